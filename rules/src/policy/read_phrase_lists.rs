//! Reads `[[phrase_list]]`: which lists there are. What they hold is read by whoever opens files.

use super::phrase_lists::{PhraseKind, PhraseList};
use super::read::Reader;
use toml::de::DeTable;

/// e2guardian's `naughtynesslimit` for older children, as its settings file has it.
const LIMIT: u16 = 100;
/// Most that a limit can be.
const MAX_LIMIT: u16 = 10_000;

impl Reader<'_> {
    /// The lists that `[[phrase_list]]` names.
    pub(super) fn phrase_lists(&mut self, root: &DeTable<'_>) -> Vec<PhraseList> {
        const EXAMPLE: &str = "[[phrase_list]] file = \"phrases/gambling\", theme = \"illegal\"";
        const WHAT: &str = "[[phrase_list]]";
        let Some(value) = root.get("phrase_list") else { return Vec::new() };
        let mut lists: Vec<PhraseList> = Vec::new();
        for (at, table) in self.document.tables(value, EXAMPLE) {
            self.document.only_keys(table, WHAT, &["file", "theme", "limit", "kind"]);
            let file = self.required_text(table, at, WHAT, "file", "\"phrases/pornography\"");
            let theme = self.required_text(table, at, WHAT, "theme", "\"pornography\"");
            let theme_at = table.get("theme").map_or(at, |value| value.span().start);
            let theme_place = match theme {
                Some(crate::theme::ALL) => Some(None),
                Some(theme) => self.theme(theme_at, theme).map(Some),
                None => None,
            };
            let limit = match table.get("limit") {
                Some(value) => self.document.number(value, 1..=MAX_LIMIT, "limit = 100"),
                None => Some(LIMIT),
            };
            let words = PhraseKind::ALL.map(PhraseKind::as_str);
            let kind = match table.get("kind") {
                Some(value) => {
                    self.word(value, "kind of phrase list", PhraseKind::from_word, &words).map(Some)
                }
                None => Some(None),
            };
            let (Some(file), Some(theme), Some(theme_place)) = (file, theme, theme_place) else {
                continue;
            };
            let (Some(limit), Some(kind)) = (limit, kind) else { continue };
            let file_at = table.get("file").map_or(at, |value| value.span().start);
            let file = file.trim_end_matches('/');
            if !is_below(file) {
                let what = format!("\"{file}\" does not lie beside the policy");
                let fix =
                    "copy the lists into a folder there, and write file = \"phrases/pornography\"";
                self.document.fault(file_at, what, fix);
                continue;
            }
            if lists.iter().any(|known| known.file == file && known.theme == theme) {
                let what = format!("{file} is named twice for {theme}");
                self.document.fault(at, what, "remove one");
                continue;
            }
            let place = self.document.place(file_at);
            let (file, theme) = (file.to_owned(), theme.to_owned());
            lists.push(PhraseList { place, file, theme, theme_place, limit, kind });
        }
        lists
    }
}

/// Whether a path leads nowhere but down from where it starts.
fn is_below(path: &str) -> bool {
    let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\0', '\\']);
    path.split('/').all(is_name)
}
