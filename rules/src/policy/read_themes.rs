//! Reads `[themes]` over the shipped rows, and the files of `[[theme_words]]`.

use super::read::{ReadFile, Reader};
use super::themes::{ThemeAction, ThemeRules, themes};
use super::{PolicyError, RuleId};
use crate::document::{Document, Value, suggest};
use crate::level::LevelId;
use crate::theme::{FULL, Group, Pack, Phrase};
use std::collections::HashMap;
use toml::de::DeTable;

/// The shipped rows, for cells that a policy does not have.
const BASELINE: &str = crate::defaults::BASELINE;
/// Most lines of a file of words.
const MAX_LINES: usize = 20_000;
/// Longest line of a file of words, in bytes.
const MAX_LINE_BYTES: usize = 500;

/// Cells as written, by level and place of the theme.
type Cells = HashMap<(LevelId, usize), (ThemeAction, RuleId)>;

impl Reader<'_> {
    /// `[themes]`, `[theme_thresholds]` and `[[theme_words]]`, and the files that the last name.
    pub(super) fn themes(
        &mut self,
        root: &DeTable<'_>,
        read_file: &ReadFile<'_>,
    ) -> (ThemeRules, Vec<String>) {
        let actions = self.theme_actions(root);
        let thresholds = self.theme_thresholds(root);
        let (packs, files) = self.theme_words(root, read_file);
        (ThemeRules { actions, thresholds, packs }, files)
    }

    fn theme_actions(&mut self, root: &DeTable<'_>) -> Vec<Vec<(ThemeAction, RuleId)>> {
        let mut written = Cells::new();
        if let Some(value) = root.get("themes")
            && let Some(table) = self.document.table(value, "drugs = { pupil = \"watch\" }")
        {
            for (at, name, value) in Document::rows(table) {
                self.theme_row(at, name, value, &mut written);
            }
        }
        let (shipped, otherwise) = self.shipped_rows();
        let levels: Vec<LevelId> = self.levels.iter().map(|(id, _)| id).collect();
        let of_level = |level: LevelId| {
            let cell = |theme: usize| {
                let find = |cells: &Cells| {
                    self.levels.line(level).find_map(|level| cells.get(&(level, theme)).copied())
                };
                find(&written).or_else(|| find(&shipped)).unwrap_or(otherwise)
            };
            (0..themes().len()).map(cell).collect()
        };
        levels.into_iter().map(of_level).collect()
    }

    /// One row: a theme's cells by level.
    fn theme_row(&mut self, at: usize, name: &str, value: &Value<'_>, cells: &mut Cells) {
        let theme = self.theme(at, name);
        let example = format!("{name} = {{ pupil = \"watch\" }}");
        let Some(table) = self.document.table(value, &example) else { return };
        for (level_at, level, value) in Document::rows(table) {
            let level = self.level(level_at, level);
            let words = ThemeAction::ALL.map(ThemeAction::as_str);
            let what = "action for a theme";
            let action = self.word(value, what, ThemeAction::from_word, &words);
            let (Some(level), Some(theme), Some(action)) = (level, theme, action) else { continue };
            let at = value.span().start;
            let place = self.document.place(at);
            let rule = self.rule(at, place, format!("{name} = \"{}\"", action.as_str()));
            cells.insert((level, theme), (action, rule));
        }
    }

    /// The place of a theme, or a fault.
    pub(super) fn theme(&mut self, at: usize, name: &str) -> Option<usize> {
        let place = themes().iter().position(|theme| theme.name == name);
        if place.is_none() {
            let known = themes().iter().map(|theme| theme.name.as_str());
            let fix = suggest(name, known.clone())
                .unwrap_or_else(|| format!("use one of: {}", known.collect::<Vec<_>>().join(", ")));
            self.document.fault(at, format!("no theme called \"{name}\""), fix);
        }
        place
    }

    /// The shipped rows, for the levels that this policy has; and what holds where they say nothing:
    /// nobody is refused anything, and nothing goes unseen.
    fn shipped_rows(&mut self) -> (Cells, (ThemeAction, RuleId)) {
        let mut document = Document::new("baseline", BASELINE);
        let root = document.parse();
        let mut cells = Cells::new();
        let rows = root.get("themes").and_then(|value| value.get_ref().as_table());
        for (_, name, value) in rows.map(Document::rows).unwrap_or_default() {
            let theme = themes().iter().position(|theme| theme.name == name);
            let table = value.get_ref().as_table();
            for (at, level, value) in table.map(Document::rows).unwrap_or_default() {
                let word = value.get_ref().as_str();
                let (Some(level), Some(theme), Some(action)) =
                    (self.levels.id(level), theme, word.and_then(ThemeAction::from_word))
                else {
                    continue;
                };
                let text = format!("{name} = \"{}\"", action.as_str());
                let rule = self.rule(0, document.place(at), text);
                cells.insert((level, theme), (action, rule));
            }
        }
        let text = "no row of [themes]: watch".to_owned();
        let rule = self.rule(0, "baseline".to_owned(), text);
        (cells, (ThemeAction::Watch, rule))
    }

    fn theme_words(
        &mut self,
        root: &DeTable<'_>,
        read_file: &ReadFile<'_>,
    ) -> (Vec<Pack>, Vec<String>) {
        const EXAMPLE: &str = "[[theme_words]] file = \"local/drugs.txt\", theme = \"drugs\"";
        let Some(value) = root.get("theme_words") else { return Default::default() };
        let (mut packs, mut files) = (Vec::new(), Vec::new());
        for (at, table) in self.document.tables(value, EXAMPLE) {
            self.document.only_keys(table, "[[theme_words]]", &["file", "theme"]);
            let what = "[[theme_words]]";
            let file = self.required_text(table, at, what, "file", "\"local/drugs.txt\"");
            let is_pack = file.is_some_and(|file| file.ends_with(".toml"));
            let theme = match table.get("theme") {
                Some(value) if is_pack => {
                    let what = "a pack says itself which theme it is of";
                    self.document.fault(value.span().start, what, "remove theme");
                    None
                }
                None if is_pack => None,
                _ => self.required_text(table, at, what, "theme", "\"drugs\""),
            };
            let place = table.get("theme").map_or(at, |value| value.span().start);
            if let Some(theme) = theme
                && self.theme(place, theme).is_none()
            {
                continue;
            }
            let Some(file) = file else { continue };
            if files.iter().any(|known| known == file) {
                self.document.fault(at, format!("{file} is named twice"), "remove one");
                continue;
            }
            let place = table.get("file").map_or(at, |value| value.span().start);
            files.push(file.to_owned());
            let text = match read_file(file) {
                Ok(text) => text,
                Err(why) => {
                    let what = format!("cannot read {file}: {why}");
                    let fix = "correct the name, or make the file: a phrase a line";
                    self.document.fault(place, what, fix);
                    continue;
                }
            };
            match theme {
                Some(theme) => packs.push(self.lines_of_words(place, file, theme, &text)),
                None if is_pack => packs.extend(self.pack_of_words(place, file, &text)),
                None => {}
            }
        }
        (packs, files)
    }

    /// A pack in the form of those shipped.
    fn pack_of_words(&mut self, at: usize, file: &str, text: &str) -> Option<Pack> {
        match Pack::parse(text, file) {
            Ok(pack) if pack.theme == crate::theme::ALL || is_theme(&pack.theme) => Some(pack),
            Ok(pack) => {
                let what = format!("no theme called \"{}\"", pack.theme);
                let known = themes().iter().map(|theme| theme.name.as_str());
                let fix = suggest(&pack.theme, known)
                    .unwrap_or_else(|| "name a theme of [themes], or \"all\"".to_owned());
                let place = format!("{file}:1");
                self.document.fault_elsewhere(at, PolicyError { place, what, fix });
                None
            }
            Err(faults) => {
                faults.into_iter().for_each(|fault| self.document.fault_elsewhere(at, fault));
                None
            }
        }
    }

    /// A phrase a line, each of which makes a search one of the theme.
    fn lines_of_words(&mut self, at: usize, file: &str, theme: &str, text: &str) -> Pack {
        let mut any = Vec::new();
        for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let phrase = line.split('#').next().unwrap_or_default().trim();
            if phrase.is_empty() {
                continue;
            }
            let fault = if number > MAX_LINES {
                Some((format!("more than {MAX_LINES} lines"), "put the rest in another file"))
            } else if phrase.len() > MAX_LINE_BYTES {
                Some((
                    format!("a phrase of more than {MAX_LINE_BYTES} bytes"),
                    "write a shorter one",
                ))
            } else if !phrase.chars().any(char::is_alphanumeric) {
                Some((format!("\"{phrase}\" has no letter"), "write words, or remove the line"))
            } else {
                None
            };
            if let Some((what, fix)) = fault {
                let error =
                    PolicyError { place: format!("{file}:{number}"), what, fix: fix.to_owned() };
                self.document.fault_elsewhere(at, error);
                if number > MAX_LINES {
                    break;
                }
                continue;
            }
            any.push(Phrase { text: phrase.to_owned(), line: number });
        }
        let group = Group {
            line: 1,
            weight: FULL,
            any,
            with: Vec::new(),
            also: Vec::new(),
            unless: Vec::new(),
            near: crate::theme::DEFAULT_NEAR,
            in_order: false,
            is_help: false,
        };
        Pack {
            file: file.to_owned(),
            theme: theme.to_owned(),
            language: "und".to_owned(),
            reviewed: true,
            typed_only: false,
            innocent: Vec::new(),
            ordinary: Vec::new(),
            groups: vec![group],
        }
    }
}

fn is_theme(name: &str) -> bool {
    themes().iter().any(|theme| theme.name == name)
}
