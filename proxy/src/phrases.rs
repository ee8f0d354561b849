//! Phrase lists in the form of e2guardian and DansGuardian that a policy names, compiled: what the text of a page
//! reaches of each theme by them.
//!
//! All lists of one theme are one sum, as e2guardian has one of all its lists, each weight in hundredths of its own list's
//! limit. They were made for whole pages, so only those are scored by them.

mod compile;
mod include;
mod read;
mod shelf;
mod told;

pub(crate) use read::read;
pub(crate) use shelf::Shelf;

use crate::themes::Actions;
use categorizer::phrase::{Match, Phrases, Scratch};
use rules::policy::{FULL_WEIGHT, PhraseWeights, THRESHOLD};
use rules::theme::MAX_THEMES;
use std::cell::RefCell;
use std::sync::Arc;

/// [`FULL_WEIGHT`] are a hundred of these.
const HUNDREDTH: i64 = FULL_WEIGHT as i64 / 100;

thread_local! {
    /// Half a megabyte for lists as e2guardian ships them: only threads that score pages by lists have it.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// All lists of a policy. Immutable, and shared by all who score by them.
#[derive(Debug)]
pub struct PhraseLists {
    phrases: Phrases,
    /// By the number of the phrase.
    lines: Box<[Line]>,
    files: Box<[String]>,
    reports: Vec<ListReport>,
    /// A bit for each theme that a list is of.
    themes: u32,
    weights: Arc<PhraseWeights>,
}

/// Where a phrase stands and what it does.
#[derive(Clone, Copy, Debug)]
struct Line {
    file: u32,
    line: u32,
    /// In units of [`FULL_WEIGHT`]; of a phrase with a weight.
    weight: i32,
    limit: u16,
    /// None: of every theme.
    theme: Option<u8>,
    does: Does,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Weighs,
    Bans,
    Excepts,
}

/// What was read of one `[[phrase_list]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReport {
    /// The file or folder that the policy names.
    pub file: String,
    /// Of which theme.
    pub theme: String,
    /// Sum of weights at which a page is of it.
    pub limit: u16,
    /// Files that were read.
    pub files: u64,
    /// Phrases and combinations that were read, those that several files have counted each time.
    pub phrases: u64,
    /// Lines that are neither empty nor a comment.
    pub lines: u64,
    /// Those of them that could not be read, or do nothing here.
    pub skipped: u64,
}

/// What a page reaches by lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListScore {
    /// Of each theme, in hundredths of what is needed; 0 of themes that no list is of. A phrase that is banned makes them a
    /// hundred at least.
    pub percent: [u16; MAX_THEMES],
    /// A bit for each theme of which a banned phrase is there: the page is of that, whatever a level's threshold is.
    pub banned: u32,
}

/// A phrase that a page holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPhrase<'l> {
    /// The place of its theme; none: it counts for every theme that has lists.
    pub theme: Option<usize>,
    /// What it is, in the spelling that phrases are looked for in; a combination with commas between.
    pub words: String,
    /// What it does: `+40 of 100`, `banned`, `exception`.
    pub does: String,
    /// The file of the list, as from the policy's folder.
    pub file: &'l str,
    /// Its line, from 1.
    pub line: u32,
}

impl PhraseLists {
    /// What the text of a page reaches of each theme.
    #[must_use]
    pub fn score(&self, text: &str) -> ListScore {
        SCRATCH.with_borrow_mut(|scratch| self.score_with(text, scratch))
    }

    fn score_with(&self, text: &str, scratch: &mut Scratch) -> ListScore {
        let (mut sums, mut for_all) = ([0_i64; MAX_THEMES], 0_i64);
        let (mut banned, mut excepted) = (0_u32, 0_u32);
        for line in self.phrases.scan(text, scratch).matches().filter_map(|it| self.line(&it)) {
            let (sum, bit) = match line.theme {
                Some(theme) => match sums.get_mut(usize::from(theme)) {
                    Some(sum) => (sum, 1 << theme),
                    None => continue,
                },
                None => (&mut for_all, u32::MAX),
            };
            match line.does {
                Does::Weighs => *sum += i64::from(line.weight),
                Does::Bans => banned |= bit,
                Does::Excepts => excepted |= bit,
            }
        }
        let counted = self.themes & !excepted;
        let banned = banned & counted;
        let percent = std::array::from_fn(|theme| {
            let is_in = |bits: u32| bits >> theme & 1 != 0;
            if !is_in(counted) {
                return 0;
            }
            let percent = (sums[theme] + for_all).max(0) / HUNDREDTH;
            let least = if is_in(banned) { THRESHOLD } else { 0 };
            u16::try_from(percent).unwrap_or(u16::MAX).max(least)
        });
        ListScore { percent, banned }
    }

    /// The phrases of lists that the text of a page holds, the first of it first.
    #[must_use]
    pub fn found(&self, text: &str) -> Vec<FoundPhrase<'_>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let matches = self.phrases.scan(text, scratch).matches();
            matches.filter_map(|found| self.told(&found)).collect()
        })
    }

    fn told(&self, found: &Match) -> Option<FoundPhrase<'_>> {
        let line = self.line(found)?;
        let (_, _, parts) = self.phrases.phrase(found.phrase)?;
        let does = match line.does {
            Does::Bans => "banned".to_owned(),
            Does::Excepts => "exception".to_owned(),
            Does::Weighs => {
                let points =
                    f64::from(line.weight) * f64::from(line.limit) / f64::from(FULL_WEIGHT);
                format!("{:+} of {}", points.round(), line.limit)
            }
        };
        Some(FoundPhrase {
            theme: line.theme.map(usize::from),
            words: parts.iter().map(|part| part.trim()).collect::<Vec<_>>().join(", "),
            does,
            file: self.files.get(line.file as usize)?,
            line: line.line,
        })
    }

    fn line(&self, found: &Match) -> Option<&Line> {
        self.lines.get(found.phrase as usize)
    }

    /// Whether a level wants to know of any theme that a list is of.
    pub(crate) fn are_for(&self, actions: &Actions) -> bool {
        (0..MAX_THEMES).any(|theme| self.are_of(theme) && !actions.is_off(theme))
    }

    /// Whether a list is of the theme in this place.
    #[must_use]
    pub fn are_of(&self, theme: usize) -> bool {
        theme < MAX_THEMES && self.themes >> theme & 1 != 0
    }

    /// What was read, a list after the other.
    #[must_use]
    pub fn reports(&self) -> &[ListReport] {
        &self.reports
    }

    /// Different phrases and combinations of all lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.phrases.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.phrases.is_empty()
    }

    /// Bytes of memory that they take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let weights: usize = self.weights.values().map(|table| size_of_val(&**table)).sum();
        self.phrases.memory_bytes() + size_of_val(&*self.lines) + weights
    }
}

#[cfg(test)]
mod tests;
