//! A page that is scored while it comes, by a scratch that others use in between.
//!
//! Each passage is judged once, as soon as a word behind it has come; of what came of the next one, as often as
//! somebody asks. What is said then is what [`Themes::score_page`] says of all that came.

use super::compile::Compiled;
use super::passage::Token;
use super::score::{Found, PASSAGE_WORDS, Reading, Scratch, TextKind};
use super::set::Themes;
use super::words::Splitter;

/// How far a page was read: some 32 KB. Of one set of themes, by which all of it is read.
#[derive(Debug, Default)]
pub struct Progress {
    splitter: Splitter,
    /// Words of the passage that has not come whole, and a margin before them.
    tokens: Vec<Token>,
    plain: Reading,
    /// Uses that counted in the passages before.
    counted: Vec<u32>,
}

impl Themes {
    /// Takes the text of a page that comes next, and says what the page holds so far. Findings are those of the last
    /// passages alone.
    pub fn read_on<'s>(
        &'s self,
        text: &str,
        progress: &mut Progress,
        scratch: &'s mut Scratch,
    ) -> Found<'s> {
        scratch.read_on(&self.compiled, text, progress);
        Found::new(&self.compiled, scratch)
    }
}

impl Scratch {
    fn read_on(&mut self, themes: &Compiled, text: &str, progress: &mut Progress) {
        self.prepare(themes, TextKind::PAGE);
        self.workspace.tokens.extend_from_slice(&progress.tokens);
        self.splitter = std::mem::take(&mut progress.splitter);
        self.plain = progress.plain;
        for &number in &progress.counted {
            self.counted[number as usize].0 = self.text;
        }
        self.feed(themes, text);
        // Whatever the word becomes that is open, it is one, and ends the passage before it.
        if self.splitter.is_open() {
            self.make_room(themes);
        }
        progress.counted.append(&mut self.newly);
        progress.plain = self.plain;
        progress.splitter = self.splitter.clone();
        // Before they are judged, which marks some of them.
        progress.tokens.clear();
        progress.tokens.extend_from_slice(&self.workspace.tokens);
        self.end(themes);
    }
}

const _: () = assert!(PASSAGE_WORDS * size_of::<Token>() <= 32 << 10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::Score;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    fn shipped() -> &'static Themes {
        static SHIPPED: LazyLock<Themes> = LazyLock::new(Themes::shipped);
        &SHIPPED
    }

    fn scores(found: &Found<'_>) -> Vec<Score> {
        found.scores().collect()
    }

    /// Words of phrases of several themes, of what speaks against them, and of none.
    const WORDS: [&str; 24] = [
        "kill",
        "myself",
        "how",
        "to",
        "buy",
        "weed",
        "ketamine",
        "near",
        "me",
        "lesson",
        "gcse",
        "childline",
        "want",
        "die",
        "the",
        "river",
        "of",
        "porn",
        "noose",
        "tie",
        "a",
        "bomb",
        "killer",
        "\u{1f52a}",
    ];

    fn text() -> impl Strategy<Value = String> {
        let word = prop::sample::select(WORDS.to_vec());
        let between = prop::sample::select(vec![" ", " ", ", ", "-", "' ", "\n", " \u{301}"]);
        let pairs = prop::collection::vec((word, between), 0..3_000);
        pairs.prop_map(|pairs| {
            pairs.into_iter().map(|(word, between)| format!("{word}{between}")).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn however_a_page_comes_what_is_said_is_what_is_said_of_all_that_came(
            text in text(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            harmless in prop::bool::ANY,
        ) {
            let themes = shipped();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.iter_mut().for_each(|cut| *cut = text.floor_char_boundary(*cut));
            cuts.push(text.len());
            cuts.sort_unstable();
            let (mut scratch, mut other) = (Scratch::default(), Scratch::default());
            let (mut progress, mut from) = (Progress::default(), 0);
            for cut in cuts {
                let found = scores(&themes.read_on(&text[from..cut], &mut progress, &mut scratch));
                prop_assert_eq!(found, scores(&themes.score_page(&text[..cut], &mut other)));
                // Others are read with the same scratch in between.
                let between = if harmless { "the river" } else { "how to kill myself, buy weed" };
                let _ = themes.score_typed(between, &mut scratch);
                from = cut;
            }
        }
    }

    #[test]
    fn a_word_that_is_cut_at_the_end_of_a_passage_is_one() {
        let themes = shipped();
        let mut text = "river ".repeat(PASSAGE_WORDS - 2);
        text.push_str("kill myself tonight, how to tie a noose");
        let (mut scratch, mut other) = (Scratch::default(), Scratch::default());
        let (mut progress, mut from) = (Progress::default(), 0);
        for cut in text.len() - 40..=text.len() {
            let found = scores(&themes.read_on(&text[from..cut], &mut progress, &mut scratch));
            assert_eq!(found, scores(&themes.score_page(&text[..cut], &mut other)), "{cut}");
            from = cut;
        }
    }
}
