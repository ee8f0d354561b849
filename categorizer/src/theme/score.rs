//! Scoring a text: by passages, then as a whole.

use rules::theme::{FULL, MAX_THEMES, Theme};
use std::borrow::Cow;

use super::address::Address;
use super::compile::Compiled;
use super::disguise::{Disguised, MAX_BYTES};
use super::parted::parted;
use super::passage::{Hit, Token, UNLESS_WORDS, Workspace};
use super::pattern::MAX_PARTS;
use super::set::Themes;
use super::vocabulary::UNKNOWN;
use super::weights::{self, Points, Weighing, Weights};
use super::words::{Splitter, Word};

/// Words that are judged at once. A page of any length needs no more room.
pub(super) const PASSAGE_WORDS: usize = 1024;
/// Words at the edges of a passage that only lend it context: they are judged with their neighbours.
const MARGIN_WORDS: usize = rules::theme::MAX_NEAR as usize + 2 * MAX_PARTS + UNLESS_WORDS as usize;
/// Most findings that are kept for an explanation.
pub const MAX_FINDINGS: usize = 256;

/// Words up to which [`FULL`] points are enough: a long search.
const SHORT_WORDS: u64 = 16;

/// Points from which a text of so many words is of a theme.
///
/// [`FULL`] up to 16 words. From there to 48 words it rises to half as much again, as words come near each
/// other by chance in a paragraph. Beyond 225, with the root of the length: a page of 2,700 words must
/// hold five times what a search must, not 170 times.
#[must_use]
pub fn needed(words: u64) -> i64 {
    let full = i64::from(FULL);
    let more = words.clamp(SHORT_WORDS, 3 * SHORT_WORDS) - SHORT_WORDS;
    let paragraph = full + full * i64::try_from(more).unwrap_or(0) / (4 * SHORT_WORDS as i64);
    let root = i64::try_from((words.min(1 << 40) * 100).isqrt()).unwrap_or(i64::MAX / full);
    paragraph.max(full * root / 100)
}

/// Themes by which somebody is in danger who types: looking for help too makes that no less so.
pub const HELP_FIRST: [&str; 2] = ["self-harm", "suicide"];

/// Weight from which a phrase is hardly said otherwise: what words weigh does not undo it.
const PLAIN: i32 = 150;

/// Weight from which a phrase is of its theme whatever speaks against it, in a short text.
const INEXCUSABLE: i32 = 250;
/// Hundredths of what is needed that are taken off at most: else, where a phrase is [`INEXCUSABLE`], and for
/// [`HELP_FIRST`] of what was typed: one look for help.
const MOST_AGAINST: u8 = 200;
const MOST_AGAINST_INEXCUSABLE: u8 = 150;
const MOST_AGAINST_DANGER: u8 = 120;

/// Weight up to which a phrase of one theme says that somebody else is meant, or a service of help: [`MOST_EXCUSED`] is
/// taken off then, unless a phrase is [`INEXCUSABLE`]. What says much more of the theme is of it all the same: such
/// phrases can be added to any search.
const EXCUSING: i32 = -250;
const MOST_EXCUSED: u8 = 250;
/// Words of a text that may be excused so: more have room for two matters.
const EXCUSED_WORDS: u64 = 48;

/// By theme, the hundredths of what a typed text needs that what speaks against takes off at most.
pub(super) fn most_against(themes: &[Theme]) -> [u8; MAX_THEMES] {
    let mut most = [MOST_AGAINST; MAX_THEMES];
    for (most, theme) in most.iter_mut().zip(themes) {
        if HELP_FIRST.contains(&&*theme.name) {
            *most = MOST_AGAINST_DANGER;
        }
    }
    most
}

/// What is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum TextKind {
    /// What somebody typed, and what its words weigh.
    Typed { weighed: Points },
    /// What comes from elsewhere, and hundredths of what [`needed`] says that it needs: packs for what is typed are
    /// passed over.
    Page { needed_percent: i64 },
}

impl TextKind {
    /// A page as it is.
    pub(super) const PAGE: Self = Self::Page { needed_percent: 100 };
}

/// What a text holds of one theme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// The weights of the different phrases that were found. What speaks against is taken off, at most
    /// twice what the text [`needed`], and one and a half times that where a phrase weighs 250; of what
    /// somebody typed, no more than one look for help for [`HELP_FIRST`]: nobody makes a plan to die a
    /// lesson by adding words to it. Two and a half times of a short text where a phrase of one theme, of -250 or
    /// less, says that somebody else is meant.
    pub points: i64,
    /// Hundredths of what is needed: from 100 on, or where a policy's threshold lies for a level, the text is of the
    /// theme. The larger of two: of the whole text, and of its worst passage of some 1,000 words.
    pub percent: u32,
    /// How many different phrases were found that speak for it.
    pub phrases: u32,
    /// What of the points comes of what the words weigh, where phrases or none stand: for it, or against it.
    pub weighed: i16,
}

impl Score {
    /// Hundredths of what is enough to tell of a text that are needed to refuse one in which no phrase speaks for the
    /// theme: what words weigh together is a reason to look sooner than it is one to refuse.
    const ALONE_PERCENT: u64 = 125;

    /// What of [`Self::percent`] counts where a text is to be refused for the theme, and not only to be told of. All of
    /// it, but of a text in which no phrase speaks for the theme: of 125 a hundred count.
    #[must_use]
    pub fn refusal_percent(&self) -> u32 {
        if self.phrases > 0 {
            return self.percent;
        }
        let counts = u64::from(self.percent) * 100 / Self::ALONE_PERCENT;
        u32::try_from(counts).unwrap_or(u32::MAX)
    }
}

/// A phrase that was found, for an explanation to those who may see one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding<'t> {
    /// Themes that it counts for, a bit for each by its place in [`Themes::themes`].
    pub themes: u32,
    /// The pack, and the line of the phrase in it.
    pub file: &'t str,
    /// From 1.
    pub line: u32,
    /// Points.
    pub weight: i32,
    /// Whether whoever says so looks for help.
    pub is_help: bool,
    /// From the first to the last word that it took, in bytes of the text.
    pub start: u64,
    /// Where the last of them ends.
    pub end: u64,
    /// Whether the words were disguised or misspelt.
    pub disguised: bool,
}

/// Sums of one theme.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    points_for: i64,
    /// Those of them that are of a school's own packs.
    points_own: i64,
    points_against: i64,
    phrases: u32,
    /// Whether a phrase is [`PLAIN`].
    is_plain: bool,
    is_inexcusable: bool,
    is_excused: bool,
}

impl Sum {
    /// `words`: how many the text has; `weighed`: what these weigh, for the theme or against it, in hundredths of what is
    /// needed.
    fn points(&self, words: u64, needed: i64, most_against: u8, weighed: i16) -> i64 {
        let most = match self.is_inexcusable {
            true => most_against.min(MOST_AGAINST_INEXCUSABLE),
            false if self.is_excused && words <= EXCUSED_WORDS => MOST_EXCUSED,
            false => most_against,
        };
        // What weighs against it takes nothing from a school's own words, nor from what no lesson may excuse; and of a
        // phrase that is hardly said otherwise it leaves enough.
        let weighed = in_points(if self.is_inexcusable { weighed.max(0) } else { weighed }, needed);
        let left = if self.is_plain { needed.min(self.points_for - self.points_own) } else { 0 };
        let points_for = self.points_own + (self.points_for - self.points_own + weighed).max(left);
        points_for - self.points_against.min(needed * i64::from(most) / 100)
    }

    fn percent(&self, words: u64, needed: i64, most_against: u8, weighed: i16) -> u32 {
        let points = self.points(words, needed, most_against, weighed);
        u32::try_from(points.max(0) * 100 / needed).unwrap_or(u32::MAX)
    }
}

/// What words weigh, given in hundredths of what is needed.
fn in_points(weighed: i16, needed: i64) -> i64 {
    i64::from(weighed) * needed / 100
}

/// One reading of a text: as it is, or through its disguises.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    sums: [Sum; MAX_THEMES],
    /// The worst passage's percent, by theme.
    worst: [u32; MAX_THEMES],
    words: u64,
}

/// What a thread keeps from text to text, so that scoring allocates nothing once it is warm.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) workspace: Workspace,
    pub(super) splitter: Splitter,
    pub(super) disguised: Disguised,
    pub(super) address: Address,
    weighing: Weighing,
    /// What the words of the text weigh.
    weighed: Points,
    pub(super) plain: Reading,
    through: Reading,
    is_through: bool,
    /// Hundredths of what [`needed`] says that this kind of text needs.
    needed_percent: i64,
    /// That of the set it is scored by.
    most_against: [u8; MAX_THEMES],
    /// By use: the reading of a text, and the passage, in which it counted last.
    pub(super) counted: Vec<(u32, u32)>,
    /// The uses that counted first since the text, or the passages of it that are kept, were begun.
    pub(super) newly: Vec<u32>,
    pub(super) text: u32,
    passage: u32,
    findings: Vec<Kept>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    start: u64,
    end: u64,
    number: u32,
    group: u32,
    disguised: bool,
}

impl Themes {
    /// Scores what somebody typed: a search, a message, a prompt. Besides the words as they stand, the
    /// first [`MAX_BYTES`] are read through disguises and slips (`su1cide`, `p o r n`, `sucide`); of
    /// the two readings, each theme has the higher score.
    pub fn score_typed<'s>(&'s self, text: &str, scratch: &'s mut Scratch) -> Found<'s> {
        let read = self.read_as(text, &mut scratch.weighing);
        let text = &*read;
        let weighed = match &self.weights {
            Some(weights) => weights.weigh(text, &mut scratch.weighing),
            None => weights::NOTHING,
        };
        self.compiled.read_plainly(text, TextKind::Typed { weighed }, scratch);
        let end = text.floor_char_boundary(text.len().min(MAX_BYTES));
        scratch.read_through(&self.compiled, &text[..end]);
        Found { themes: &self.compiled, scratch }
    }

    /// A text whose words somebody joined, with these apart: where they are known then, as else it was cut within words.
    pub(super) fn read_as<'t>(&self, text: &'t str, weighing: &mut Weighing) -> Cow<'t, str> {
        let apart = parted(text);
        let is_joined = matches!(apart, Cow::Owned(_));
        if is_joined && self.weights.is_some() && Weights::knows(&apart, weighing) {
            apart
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Scores the text of a page, or of anything that came from elsewhere, without packs that are only
    /// for what is typed. Mark-up is the caller's to take out.
    pub fn score_page<'s>(&'s self, text: &str, scratch: &'s mut Scratch) -> Found<'s> {
        self.compiled.read_plainly(text, TextKind::PAGE, scratch);
        Found { themes: &self.compiled, scratch }
    }

    /// Starts with a page whose text comes in pieces.
    pub fn start<'s>(&'s self, scratch: &'s mut Scratch) -> Scan<'s> {
        scratch.prepare(&self.compiled, TextKind::PAGE);
        Scan { themes: &self.compiled, scratch }
    }
}

impl Compiled {
    /// Reads a text as it stands.
    pub(super) fn read_plainly(&self, text: &str, kind: TextKind, scratch: &mut Scratch) {
        scratch.prepare(self, kind);
        scratch.feed(self, text);
        scratch.end(self);
    }
}

/// A page that is being scored. What comes out hangs on the whole text alone, not on how it is cut.
#[derive(Debug)]
pub struct Scan<'s> {
    themes: &'s Compiled,
    scratch: &'s mut Scratch,
}

impl<'s> Scan<'s> {
    /// Takes the text that comes next.
    pub fn feed(&mut self, text: &str) {
        self.scratch.feed(self.themes, text);
    }

    /// Ends the page and says what it holds.
    #[must_use]
    pub fn finish(self) -> Found<'s> {
        self.scratch.end(self.themes);
        Found { themes: self.themes, scratch: self.scratch }
    }
}

impl Scratch {
    pub(super) fn prepare(&mut self, themes: &Compiled, kind: TextKind) {
        let uses = themes.uses.len();
        if self.counted.len() < uses {
            self.counted.resize(uses, (0, 0));
        }
        if self.text.max(self.passage) > u32::MAX / 2 {
            // No text has so many passages that they end before the next one begins.
            self.counted.fill((0, 0));
            (self.text, self.passage) = (0, 0);
        }
        self.workspace.prepare(themes, matches!(kind, TextKind::Page { .. }));
        self.workspace.tokens.reserve(PASSAGE_WORDS);
        self.splitter = Splitter::default();
        self.plain = Reading::default();
        self.through = Reading::default();
        self.is_through = false;
        (self.weighed, self.needed_percent, self.most_against) = match kind {
            TextKind::Typed { weighed } => (weighed, 100, themes.most_against),
            TextKind::Page { needed_percent } => {
                (weights::NOTHING, needed_percent, [MOST_AGAINST; MAX_THEMES])
            }
        };
        self.newly.clear();
        self.findings.clear();
        self.findings.reserve(MAX_FINDINGS);
        self.text += 1;
    }

    pub(super) fn feed(&mut self, themes: &Compiled, text: &str) {
        // Taken out, so that a word can be told to the rest while the splitter goes on.
        let mut splitter = std::mem::take(&mut self.splitter);
        splitter.feed(text, &mut |word| self.push(themes, word));
        self.splitter = splitter;
    }

    /// Judges the passage, if it is whole, before the word behind it.
    pub(super) fn make_room(&mut self, themes: &Compiled) {
        if self.workspace.tokens.len() == PASSAGE_WORDS {
            self.judge(themes, PASSAGE_WORDS - MARGIN_WORDS);
            self.workspace.tokens.drain(..PASSAGE_WORDS - 2 * MARGIN_WORDS);
            self.workspace.tokens.iter_mut().for_each(|token| token.innocent = 0);
        }
    }

    fn push(&mut self, themes: &Compiled, word: Word<'_>) {
        self.make_room(themes);
        self.plain.words += 1;
        let Word { letters, start, end } = word;
        let mut word =
            if letters.is_empty() { UNKNOWN } else { themes.vocabulary.look_up(letters) };
        if self.workspace.is_page && themes.is_shorthand(word) {
            word = UNKNOWN;
        }
        self.workspace.tokens.push(Token { word, innocent: 0, start, end, joined: 0 });
    }

    pub(super) fn end(&mut self, themes: &Compiled) {
        let mut splitter = std::mem::take(&mut self.splitter);
        splitter.finish(&mut |word| self.push(themes, word));
        self.judge(themes, usize::MAX);
    }

    /// Judges a passage; what begins in its margins is left to its neighbours.
    fn judge(&mut self, themes: &Compiled, until: usize) {
        // Every passage but the first begins with what the one before it has judged, and a margin.
        let is_first = self.plain.words <= PASSAGE_WORDS as u64;
        let from = if is_first || self.is_through { 0 } else { MARGIN_WORDS };
        self.passage += 1;
        let reading = if self.is_through { &mut self.through } else { &mut self.plain };
        let length = self.workspace.tokens.len() as u64;
        // The rest that a long page ends with is no short text.
        let words = if is_first { length } else { PASSAGE_WORDS as u64 };
        let mut sums = [Sum::default(); MAX_THEMES];
        let Self { workspace, counted, newly, findings, .. } = self;
        let (hits, tokens) = workspace.judge(themes);
        for hit in hits {
            if (hit.start as usize) < from || hit.start as usize >= until {
                continue;
            }
            let counted = &mut counted[hit.number as usize];
            let is_new = (counted.0 != self.text, counted.1 != self.passage);
            *counted = (self.text, self.passage);
            if is_new.0 {
                newly.push(hit.number);
                keep(findings, hit, tokens, self.is_through);
                add(&mut reading.sums, themes, hit);
            }
            if is_new.1 {
                add(&mut sums, themes, hit);
            }
        }
        let needed = needed(words) * self.needed_percent / 100;
        let of_theme = sums.iter().zip(self.most_against).zip(self.weighed);
        for (worst, ((sum, most), weighed)) in reading.worst.iter_mut().zip(of_theme) {
            *worst = sum.percent(words, needed, most, weighed).max(*worst);
        }
    }

    /// Reads a short text again, through its disguises.
    fn read_through(&mut self, themes: &Compiled, text: &str) {
        self.text += 1;
        self.workspace.tokens.clear();
        let has_any = self.disguised.read(themes, text, &mut self.workspace.tokens);
        if !has_any {
            return;
        }
        self.is_through = true;
        self.through.words = self.workspace.tokens.len() as u64;
        self.judge(themes, usize::MAX);
    }
}

fn add(sums: &mut [Sum; MAX_THEMES], themes: &Compiled, hit: &Hit) {
    let rule = &themes.rules[hit.group as usize];
    for (theme, sum) in sums.iter_mut().enumerate() {
        if rule.themes >> theme & 1 == 0 {
            continue;
        }
        if rule.weight > 0 {
            sum.points_for += i64::from(rule.weight);
            sum.points_own += if rule.is_own { i64::from(rule.weight) } else { 0 };
            sum.phrases += 1;
            sum.is_plain |= rule.weight >= PLAIN;
            sum.is_inexcusable |= rule.weight >= INEXCUSABLE;
        } else {
            sum.points_against -= i64::from(rule.weight);
            sum.is_excused |= rule.weight <= EXCUSING && rule.themes.is_power_of_two();
        }
    }
}

fn keep(findings: &mut Vec<Kept>, hit: &Hit, tokens: &[Token], disguised: bool) {
    if findings.len() < MAX_FINDINGS {
        let place = &tokens[hit.start as usize..hit.end as usize];
        let start = place.first().map_or(0, |token| token.start);
        let end = place.last().map_or(0, |token| token.end);
        let Hit { number, group, .. } = *hit;
        findings.push(Kept { start, end, number, group, disguised });
    }
}

/// What a text holds.
#[derive(Debug)]
pub struct Found<'s> {
    themes: &'s Compiled,
    scratch: &'s Scratch,
}

impl<'s> Found<'s> {
    pub(super) fn new(themes: &'s Compiled, scratch: &'s Scratch) -> Self {
        Self { themes, scratch }
    }

    /// What it holds of each theme, in the order of [`Themes::themes`].
    pub fn scores(&self) -> impl Iterator<Item = Score> + use<'s> {
        let scratch = self.scratch;
        (0..self.themes.themes.len()).map(move |theme| scratch.score(theme).0)
    }

    /// What it holds of the theme at a place of [`Themes::themes`].
    #[must_use]
    pub fn score(&self, theme: usize) -> Score {
        if theme < MAX_THEMES { self.scratch.score(theme).0 } else { Score::default() }
    }

    /// The themes that it is of: from a percentage on, 100 if nothing else is wanted.
    pub fn themes_from(&self, percent: u32) -> impl Iterator<Item = &'s str> + use<'s> {
        let named = self.themes.themes.iter().zip(self.scores());
        named.filter(move |(_, score)| score.percent >= percent).map(|(theme, _)| &*theme.name)
    }

    /// What was found, each phrase once, at most [`MAX_FINDINGS`]; in the order of the text, what
    /// was disguised last.
    pub fn findings(&self) -> impl Iterator<Item = Finding<'s>> + use<'s> {
        let (themes, scratch) = (self.themes, self.scratch);
        let through = (0..themes.themes.len()).filter(|&theme| scratch.score(theme).1);
        let through = through.fold(0_u32, |bits, theme| bits | 1 << theme);
        scratch.findings.iter().filter_map(move |kept| {
            let rule = &themes.rules[kept.group as usize];
            // Each theme is explained by the reading that gave its score.
            let read = if kept.disguised { through } else { !through };
            let line = themes.lines[kept.number as usize];
            (rule.themes & read != 0).then(|| Finding {
                themes: rule.themes & read,
                file: &themes.files[rule.pack as usize],
                line,
                weight: rule.weight,
                is_help: rule.is_help,
                start: kept.start,
                end: kept.end,
                disguised: kept.disguised,
            })
        })
    }
}

impl Scratch {
    /// A theme's score, and whether it is that of the reading through disguises.
    fn score(&self, theme: usize) -> (Score, bool) {
        let (needed, most) = (self.needed_percent, self.most_against[theme]);
        let weighed = self.weighed[theme];
        let plain = self.plain.score(theme, needed, most, weighed);
        // A reading that was not made says nothing.
        if !self.is_through {
            return (plain, false);
        }
        let through = self.through.score(theme, needed, most, weighed);
        if through.percent > plain.percent { (through, true) } else { (plain, false) }
    }
}

impl Reading {
    fn score(&self, theme: usize, needed_percent: i64, most_against: u8, weighed: i16) -> Score {
        let (sum, words) = (self.sums[theme], self.words);
        let needed = needed(words) * needed_percent / 100;
        Score {
            points: sum.points(words, needed, most_against, weighed),
            percent: sum.percent(words, needed, most_against, weighed).max(self.worst[theme]),
            phrases: sum.phrases,
            weighed: in_points(weighed, needed) as i16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::theme::Pack;

    /// A set with what words weigh in place of the shipped table: so much for its theme, whatever the text.
    fn percent(groups: &str, text: &str, weighed: i16) -> u32 {
        let pack = format!("theme = \"drugs\"\nlanguage = \"en\"\nreviewed = true\n{groups}");
        let pack =
            Pack::parse(&pack, "drugs.en.toml").unwrap_or_else(|faults| panic!("{faults:?}"));
        let mut builder = super::super::ThemesBuilder::new(rules::theme::shipped_themes());
        builder.add(&pack).unwrap_or_else(|faults| panic!("{faults:?}"));
        let themes = builder.finish();
        let place = themes.themes().iter().position(|theme| theme.name == "drugs");
        let place = place.unwrap_or_else(|| panic!("a shipped theme"));
        let mut points = weights::NOTHING;
        points[place] = weighed;
        let mut scratch = Scratch::default();
        themes.compiled.read_plainly(text, TextKind::Typed { weighed: points }, &mut scratch);
        scratch.read_through(&themes.compiled, text);
        scratch.score(place).0.percent
    }

    fn group(weight: i32, phrase: &str) -> String {
        format!("[[group]]\nweight = {weight}\nany = [\"{phrase}\"]\n")
    }

    #[test]
    fn what_words_weigh_does_not_undo_a_phrase_that_is_hardly_said_otherwise() {
        let text = "zorble at the castle";
        assert_eq!(percent(&group(100, "zorble"), text, -80), 20);
        assert_eq!(percent(&group(149, "zorble"), text, -80), 69);
        assert_eq!(percent(&group(150, "zorble"), text, -80), 100);
        assert_eq!(percent(&group(180, "zorble"), text, -50), 130);
        assert_eq!(percent(&group(250, "zorble"), text, -80), 250);
    }

    /// Where nothing is disguised there is one reading, and what speaks against counts in it.
    #[test]
    fn a_reading_that_was_not_made_says_nothing() {
        let against = group(-100, "castle");
        assert_eq!(percent(&against, "the castle", 130), 30);
        assert_eq!(percent(&against, "the river", 130), 130);
    }

    #[test]
    fn without_a_phrase_a_quarter_more_is_needed_to_refuse_than_to_tell() {
        for (percent, phrases, counts) in
            [(100, 1, 100), (124, 0, 99), (125, 0, 100), (63, 0, 50), (200, 0, 160)]
        {
            let score = Score { percent, phrases, ..Score::default() };
            assert_eq!(score.refusal_percent(), counts, "{percent} by {phrases} phrases");
        }
        let most = Score { percent: u32::MAX, ..Score::default() };
        assert_eq!(most.refusal_percent(), u32::MAX / 5 * 4);
    }

    #[test]
    fn what_words_weigh_is_of_what_the_text_needs() {
        for words in [4, 16, 30, 48, 400] {
            let found = percent(&group(100, "zorble"), &"river ".repeat(words), 120);
            assert!((119..=120).contains(&found), "{words} words: {found}, rounded");
        }
    }
}
