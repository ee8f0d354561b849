//! Texts scored by themes: what a search, a page or a message is of, and what becomes of that for a level.

mod reached;

pub(crate) use reached::{Actions, Reached};

use crate::policy_file::WordsOfThemes;
use categorizer::page::Scorer;
use categorizer::theme::{Progress, Scratch, Themes};
use ledger::notes::{Sign, SignSource};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Text that is judged at once, in bytes: of a longer one, each stretch of this length.
const STRETCH_BYTES: usize = 64 << 10;

/// What of a stretch is judged again with the next one: a phrase may stand across the border.
const OVERLAP_BYTES: usize = 2 << 10;

/// New text after which it is asked again what a body holds that is still coming, in bytes: at least this, and half of what
/// was scored already. Each time the last passage is judged again, of at most 1,024 words; those before are not.
const AGAIN_BYTES: usize = 2 << 10;

/// The same for what a person reads while it comes: always this much, however long it is, as what is read cannot be taken
/// back. Less would judge sentences that have only begun.
const AGAIN_STREAM_BYTES: usize = 256;

/// Phrase lists begin at a stretch's beginning each time: of what a person reads along they are asked once it has grown
/// by this part.
const LISTS_GROWTH: usize = 8;

/// What somebody typed.
pub(crate) fn typed(themes: &Themes, text: &str, scratch: &RefCell<Scratch>) -> Reached {
    let mut reached = Reached::default();
    let mut scratch = scratch.borrow_mut();
    let found = themes.score_typed(text, &mut scratch);
    reached.raise(&found);
    reached.ask_for_help(found.findings().any(|finding| finding.is_help));
    reached
}

/// What an address says.
pub(crate) fn addressed(
    themes: &Themes,
    host: &str,
    path_and_query: &str,
    scratch: &RefCell<Scratch>,
) -> Reached {
    let mut reached = Reached::default();
    reached.raise(&themes.score_address(host, path_and_query, &mut scratch.borrow_mut()));
    reached
}

/// The text of a page or an answer, scored while it comes.
pub(crate) struct Reading {
    themes: Arc<WordsOfThemes>,
    actions: Rc<Actions>,
    scratch: Rc<RefCell<Scratch>>,
    text: String,
    /// How far it was read, and by which bytes of `text`.
    progress: Progress,
    read: usize,
    /// Bytes of `text` that were scored last, and by phrase lists.
    scored: usize,
    listed: usize,
    /// Somebody reads along.
    streams: bool,
    reached: Reached,
    /// Whether phrase lists count, which were made for whole pages.
    by_lists: bool,
}

impl Reading {
    /// Nothing yet. `streams`: somebody reads along.
    pub(crate) fn new(
        themes: Arc<WordsOfThemes>,
        actions: Rc<Actions>,
        scratch: Rc<RefCell<Scratch>>,
        streams: bool,
    ) -> Self {
        Self {
            themes,
            actions,
            scratch,
            text: String::new(),
            progress: Progress::default(),
            read: 0,
            scored: 0,
            listed: 0,
            streams,
            reached: Reached::default(),
            by_lists: true,
        }
    }

    /// The same for what was typed: by the words of themes alone.
    pub(crate) fn without_lists(self) -> Self {
        Self { by_lists: false, ..self }
    }

    /// From now on it is scored by these, and what is at hand of it again.
    pub(crate) fn renew(&mut self, themes: &Arc<WordsOfThemes>, actions: Rc<Actions>) {
        self.actions = actions;
        if !self.themes.are_the_same(themes) {
            self.themes = Arc::clone(themes);
            // The places of themes may mean others now.
            (self.reached, self.scored, self.listed) = (Reached::default(), 0, 0);
            (self.progress, self.read) = (Progress::default(), 0);
        }
    }

    /// What it is scored by.
    pub(crate) fn themes(&self) -> &Themes {
        &self.themes
    }

    /// What a part of it is that was typed.
    pub(crate) fn typed(&self, text: &str) -> Reached {
        typed(&self.themes, text, &self.scratch)
    }

    /// How much a part of it matters that was typed.
    pub(crate) fn matters(&self, part: &Reached) -> (bool, u16) {
        part.matters(&self.themes, &self.actions)
    }

    /// What it reached so far.
    pub(crate) fn reached(&self) -> &Reached {
        &self.reached
    }

    /// What is recorded of it.
    pub(crate) fn signs(&self, source: SignSource) -> Vec<Sign> {
        self.reached.signs(&self.themes, &self.actions, source)
    }

    /// Whether so much came since it was scored that it is to be scored again.
    fn is_due(&self) -> bool {
        let new = self.text.len() - self.scored;
        match self.streams {
            true => new >= AGAIN_STREAM_BYTES,
            false => new >= AGAIN_BYTES.max(self.scored / 2),
        }
    }

    /// Scores what came. `all`: by phrase lists too, however little that is.
    fn score(&mut self, all: bool) {
        if self.scored < self.text.len() {
            let Self { themes, text, progress, scratch, read, .. } = self;
            let mut scratch = scratch.borrow_mut();
            self.reached.raise(&themes.read_on(&text[*read..], progress, &mut scratch));
            (*read, self.scored) = (text.len(), text.len());
        }
        let new = self.text.len() - self.listed;
        if self.by_lists
            && new > 0
            && (all || !self.streams || new >= self.listed / LISTS_GROWTH)
            && let Some(lists) = self.themes.lists()
            && lists.are_for(&self.actions)
        {
            self.reached.raise_by_lists(&lists.score(&self.text));
            self.listed = self.text.len();
        }
    }

    fn is_refused(&self) -> bool {
        self.reached.refused(&self.actions).is_some()
    }
}

impl Scorer for Reading {
    fn feed(&mut self, text: &str) {
        let mut text = text;
        while self.text.len() + text.len() > STRETCH_BYTES {
            let fits = text.floor_char_boundary(STRETCH_BYTES - self.text.len());
            self.text.push_str(&text[..fits]);
            text = &text[fits..];
            self.score(true);
            let keep = self.text.ceil_char_boundary(self.text.len() - OVERLAP_BYTES);
            self.text.drain(..keep);
            (self.progress, self.read) = (Progress::default(), 0);
            (self.scored, self.listed) = (self.text.len(), self.text.len());
        }
        self.text.push_str(text);
    }

    fn is_over(&mut self) -> bool {
        if self.is_due() {
            self.score(false);
        }
        self.is_refused()
    }

    fn is_over_at_end(&mut self) -> bool {
        self.score(true);
        self.is_refused()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;
    use crate::config::Config;
    use crate::record::now;
    use crate::snapshot::Snapshot;

    pub(crate) const POLICY: &str = r#"
school = "Example Academy"
timezone = "Europe/London"
order = ["staff"]
[levels]
staff = {}
[grid]
uncategorised = { staff = "allow" }
[roles]
dsl = ["q.whitmore"]
[unblock]
authorise = ["dsl"]
"#;

    const OWN: &str = r#"
[themes]
drugs = { staff = "block" }
[[theme_words]]
file = "own.txt"
theme = "drugs"
"#;

    pub(crate) async fn themes_and_actions(policy: &str) -> (Arc<WordsOfThemes>, Rc<Actions>) {
        loaded(policy, "zorbleflax\n").await
    }

    async fn loaded(policy: &str, own: &str) -> (Arc<WordsOfThemes>, Rc<Actions>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
        std::fs::write(folder.path().join("own.txt"), own).unwrap();
        let config = Config::parse_own_lists("", "schoolgate.toml", folder.path()).unwrap();
        let snapshot = Snapshot::load(&config, now()).await.unwrap();
        let level = snapshot.policy.levels().id("staff").unwrap();
        let actions = Actions::of(&snapshot.policy, level, &snapshot.themes);
        (snapshot.themes, Rc::new(actions))
    }

    #[tokio::test]
    async fn what_is_still_read_goes_by_the_words_and_rows_that_are_in_force() {
        let (before, watched) = themes_and_actions(POLICY).await;
        let (own, blocked) = themes_and_actions(&format!("{POLICY}{OWN}")).await;
        let mut reading = Reading::new(before.clone(), watched.clone(), Rc::default(), true);
        reading.feed("my friend has zorbleflax");
        assert!(!reading.is_over_at_end());
        reading.renew(&own, blocked.clone());
        assert!(reading.is_over_at_end(), "what came before is scored again");
        assert_eq!(reading.signs(SignSource::Reply)[0].theme, "drugs");
        // The same words, other rows.
        reading.renew(&own, watched.clone());
        assert!(!reading.is_over_at_end());
        // The same words, of which more are needed; and once more as they were.
        let raised = format!("{POLICY}{OWN}[theme_thresholds]\ndrugs = {{ staff = 101 }}\n");
        reading.renew(&own, themes_and_actions(&raised).await.1);
        assert!(!reading.is_over_at_end() && reading.signs(SignSource::Reply).is_empty());
        reading.renew(&own, blocked.clone());
        assert!(reading.is_over_at_end());
        reading.renew(&before, blocked);
        assert!(!reading.is_over_at_end(), "a word that was taken out counts no more");
    }

    const LISTS: &str = r#"
[themes]
drugs = { staff = "block" }
bullying = { staff = "off" }
[[phrase_list]]
file = "own.txt"
theme = "drugs"
kind = "banned"
"#;

    #[tokio::test]
    async fn phrase_lists_count_for_pages_and_not_for_what_is_typed() {
        let (lists, blocked) = themes_and_lists(LISTS).await;
        let reading = || Reading::new(lists.clone(), blocked.clone(), Rc::default(), false);
        for (mut reading, expected) in [(reading(), true), (reading().without_lists(), false)] {
            reading.feed("where to get zorbleflax");
            assert_eq!(reading.is_over_at_end(), expected);
            assert_eq!(reading.signs(SignSource::Page).len(), usize::from(expected));
            assert_eq!(reading.typed("zorbleflax"), Reached::default());
        }
        // A level for which the theme is off pays nothing.
        let (lists, off) = themes_and_lists(&LISTS.replace("\"drugs\"", "\"bullying\"")).await;
        assert!(!lists.lists().unwrap().are_for(&off));
        let mut reading = Reading::new(lists, off, Rc::default(), false);
        reading.feed("where to get zorbleflax");
        assert!(!reading.is_over_at_end());
    }

    /// Of a list's limit a hundredth is a point; but one phrase that is banned is enough for everybody.
    #[tokio::test]
    async fn a_threshold_is_of_a_lists_own_limit_and_no_more_than_one_banned_phrase() {
        let thresholds = "[theme_thresholds]\ndrugs = { staff = 150 }\n";
        let weighted = LISTS.replace("kind = \"banned\"", "kind = \"weighted\"\nlimit = 40");
        for (rows, weight, expected) in [
            (LISTS.to_owned(), "", true),
            (weighted.clone(), "<59>", false),
            (weighted, "<60>", true),
        ] {
            let (lists, blocked) =
                themes_and_lists_of(&format!("{rows}{thresholds}"), weight).await;
            let mut reading = Reading::new(lists, blocked, Rc::default(), false);
            reading.feed("where to get zorbleflax");
            assert_eq!(reading.is_over_at_end(), expected, "{weight}");
            assert_eq!(reading.signs(SignSource::Page).len(), usize::from(expected), "{weight}");
        }
    }

    #[tokio::test]
    async fn what_is_still_read_goes_by_the_lists_that_are_in_force() {
        let (before, blocked) = themes_and_lists("[themes]\ndrugs = { staff = \"block\" }").await;
        let (lists, _) = themes_and_lists(LISTS).await;
        let mut reading = Reading::new(before.clone(), blocked.clone(), Rc::default(), true);
        reading.feed("my friend has zorbleflax");
        assert!(!reading.is_over_at_end());
        reading.renew(&lists, blocked.clone());
        assert!(reading.is_over_at_end(), "what came before is scored again");
        reading.renew(&before, blocked.clone());
        assert!(!reading.is_over_at_end(), "a list that was taken out counts no more");
    }

    async fn themes_and_lists(rows: &str) -> (Arc<WordsOfThemes>, Rc<Actions>) {
        themes_and_lists_of(rows, "").await
    }

    async fn themes_and_lists_of(rows: &str, weight: &str) -> (Arc<WordsOfThemes>, Rc<Actions>) {
        loaded(&format!("{POLICY}{rows}"), &format!("<zorbleflax>{weight}\n")).await
    }
}
