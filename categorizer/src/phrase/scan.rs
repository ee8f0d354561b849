//! Scanning one page.

use super::finder::PADDING;
use super::normalise::{self, WIDEST};
use super::{Counting, Effect, MAX_PHRASE_BYTES, Phrases};

/// Normalised text that is looked through at once. A page of any length needs no more.
const PIECE_BYTES: usize = 16 << 10;
/// Room for a piece, and for what is kept of the piece before.
const BUFFER_BYTES: usize = PIECE_BYTES + 2 * MAX_PHRASE_BYTES + WIDEST + PADDING;

/// What a thread keeps from page to page, so that scanning allocates nothing: some 20 KB, and 44
/// bytes for each phrase of the largest set that it has scanned by.
#[derive(Debug, Default)]
pub struct Scratch {
    text: Vec<u8>,
    /// By needle.
    states: Vec<State>,
    /// The needles whose state is not the first one.
    touched: Vec<u32>,
    matches: Vec<Match>,
    /// By category.
    sums: Vec<Sum>,
}

/// What is known of a needle in this page.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    first: u64,
    times: u32,
}

/// A phrase or combination that a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// Where in the normalised text it first begins, in bytes; of a combination, where that one of
    /// its parts begins that comes last.
    pub first: u64,
    /// Its number, as [`PhrasesBuilder::add`](super::PhrasesBuilder::add) gave it.
    pub phrase: u32,
    /// How often it occurs; a combination once.
    pub times: u32,
}

/// What a page holds of one category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// The weights of its phrases, summed as [`Counting`] says.
    pub weight: i64,
    /// How many of its phrases occur, of any effect.
    pub phrases: u32,
}

impl Phrases {
    /// Scans a whole text. Mark-up and character references are the caller's to take out before; normalising is
    /// part of it.
    pub fn scan<'s>(&'s self, text: &str, scratch: &'s mut Scratch) -> Found<'s> {
        let mut scan = self.start(scratch);
        scan.feed(text);
        scan.finish()
    }

    /// Starts with a page whose text comes in pieces.
    pub fn start<'s>(&'s self, scratch: &'s mut Scratch) -> Scan<'s> {
        scratch.prepare(self);
        scratch.text[0] = b' ';
        Scan { phrases: self, scratch, base: 0, done: 0, end: 1 }
    }
}

impl Scratch {
    fn prepare(&mut self, phrases: &Phrases) {
        for needle in self.touched.drain(..) {
            self.states[needle as usize] = State::default();
        }
        self.matches.clear();
        self.sums.clear();
        self.sums.resize(phrases.categories.len(), Sum::default());
        self.text.resize(BUFFER_BYTES, 0);
        // Room for all that a page can hold, so that none is asked for in the middle of one.
        if self.states.len() < phrases.texts() {
            self.states.resize(phrases.texts(), State::default());
            self.touched.reserve(phrases.texts());
        }
        self.matches.reserve(phrases.len());
    }
}

/// A page that is being scanned. What is found hangs on the whole text alone, not on how it is cut.
#[derive(Debug)]
pub struct Scan<'s> {
    phrases: &'s Phrases,
    scratch: &'s mut Scratch,
    /// Where in the page the buffer begins.
    base: u64,
    /// How far the buffer was looked through, and how far it is filled.
    done: usize,
    end: usize,
}

impl<'s> Scan<'s> {
    /// Takes the text that comes next.
    pub fn feed(&mut self, mut text: &str) {
        loop {
            // A space at the end and the padding have their place, whatever comes.
            let room = &mut self.scratch.text[..BUFFER_BYTES - 1 - PADDING];
            let (taken, end) = normalise::fold(text, room, self.end);
            self.end = end;
            text = &text[taken..];
            if text.is_empty() {
                break;
            }
            self.make_room();
        }
    }

    /// Looks through what is there, and keeps of it what later text may be part of a phrase with.
    fn make_room(&mut self) {
        let margin = self.phrases.finder.longest().max(PADDING);
        let to = self.end - margin;
        self.search(to);
        let kept = to.saturating_sub(margin);
        self.scratch.text.copy_within(kept..self.end, 0);
        self.base += kept as u64;
        self.done = to - kept;
        self.end -= kept;
    }

    fn search(&mut self, to: usize) {
        let Scratch { text, states, touched, .. } = &mut *self.scratch;
        let base = self.base;
        self.phrases.finder.search(text, self.done, to, &mut |needle, at| {
            let state = &mut states[needle as usize];
            let at = base + at as u64;
            if state.times == 0 {
                touched.push(needle);
                state.first = at;
            }
            state.first = state.first.min(at);
            state.times = state.times.saturating_add(1);
        });
    }

    /// What the page holds as far as it came, but for its last words: what ends less than the longest
    /// phrase before the end may not be found yet.
    ///
    /// Takes time for each phrase found so far, beside that for the text; ask after pieces, not words.
    pub fn so_far(&mut self) -> Found<'_> {
        let margin = self.phrases.finder.longest().max(PADDING);
        let to = self.end.saturating_sub(margin);
        if to > self.done {
            self.search(to);
            self.done = to;
        }
        self.scratch.judge(self.phrases);
        Found { phrases: self.phrases, scratch: self.scratch }
    }

    /// Ends the page and says what it holds.
    #[must_use]
    pub fn finish(mut self) -> Found<'s> {
        let text = &mut self.scratch.text;
        if text[self.end - 1] != b' ' {
            text[self.end] = b' ';
            self.end += 1;
        }
        text[self.end..self.end + PADDING].fill(0);
        self.search(self.end);
        self.scratch.judge(self.phrases);
        Found { phrases: self.phrases, scratch: self.scratch }
    }
}

impl Scratch {
    /// From needles to phrases and sums.
    fn judge(&mut self, phrases: &Phrases) {
        self.matches.clear();
        self.sums.fill(Sum::default());
        for &needle in &self.touched {
            let state = self.states[needle as usize];
            for &number in phrases.watched(needle) {
                let phrase = &phrases.phrases[number as usize];
                let mut found = Match { first: state.first, phrase: number, times: state.times };
                if let [_, _, ..] = *phrase.parts {
                    let parts = phrase.parts.iter().map(|&part| self.states[part as usize]);
                    if parts.clone().any(|part| part.times == 0) {
                        continue;
                    }
                    found.first = parts.map(|part| part.first).max().unwrap_or(state.first);
                    found.times = 1;
                }
                self.matches.push(found);
                let times = match phrases.options.counting {
                    Counting::Once => 1,
                    Counting::Each => i64::from(found.times),
                };
                let sum = &mut self.sums[usize::from(phrase.category)];
                sum.weight = sum.weight.saturating_add(i64::from(phrase.points) * times);
                sum.phrases += 1;
            }
        }
        self.matches.sort_unstable();
    }
}

/// What a page holds.
#[derive(Debug)]
pub struct Found<'s> {
    phrases: &'s Phrases,
    scratch: &'s Scratch,
}

impl<'s> Found<'s> {
    /// The sum of all categories.
    #[must_use]
    pub fn weight(&self) -> i64 {
        self.scratch.sums.iter().fold(0, |sum, category| sum.saturating_add(category.weight))
    }

    /// The categories of which a phrase was found, in the order of [`Phrases::categories`].
    pub fn sums(&self) -> impl Iterator<Item = (&'s str, Sum)> + use<'s> {
        let names = self.phrases.categories.iter().map(String::as_str);
        names.zip(self.scratch.sums.iter().copied()).filter(|(_, sum)| sum.phrases > 0)
    }

    /// The phrases and combinations that were found, the first of the page first.
    pub fn matches(&self) -> impl Iterator<Item = Match> + use<'s> {
        self.scratch.matches.iter().copied()
    }

    /// The first phrase that bans the page.
    #[must_use]
    pub fn banned(&self) -> Option<Match> {
        self.first_of(Effect::Ban)
    }

    /// The first phrase that excuses the page.
    #[must_use]
    pub fn excepted(&self) -> Option<Match> {
        self.first_of(Effect::Except)
    }

    fn first_of(&self, effect: Effect) -> Option<Match> {
        let effect_of = |found: &Match| self.phrases.phrases[found.phrase as usize].effect;
        self.matches().find(|found| effect_of(found) == effect)
    }
}
