//! `check --words` and `check --page`: what themes a text is of, which phrases say so, and what becomes of it. The phrase
//! lists that a policy names count for pages alone.

use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Format, Sheet, visible};
use categorizer::page::{PageHead, PageLimits, PageScan, Scorer};
use categorizer::theme::{Found, Scratch};
use proxy::phrases::{FoundPhrase, ListScore, PhraseLists};
use proxy::snapshot::Snapshot;
use rules::level::LevelId;
use rules::policy::{THRESHOLD, ThemeAction};
use std::io::Read as _;
use std::path::Path;

const COLUMNS: &[Column] = &[
    Column { key: "theme", title: "Theme", gives_way: 0 },
    Column { key: "percent", title: "Score", gives_way: 0 },
    Column { key: "action", title: "Action", gives_way: 0 },
    Column { key: "severity", title: "How soon", gives_way: 2 },
    Column { key: "threshold", title: "Of it from", gives_way: 1 },
    Column { key: "phrases", title: "Found", gives_way: 1 },
];

/// Longest file that is read, in bytes.
const MOST_BYTES: u64 = 32 << 20;

/// What is to be judged.
pub(crate) enum Text<'a> {
    /// Something typed: a search, or a question to an assistant.
    Typed(&'a str),
    /// A page in a file; `-` is standard input.
    Page(&'a Path),
}

/// Prints what a text is of for a level; [`Exit::Blocked`] where it would be refused.
pub(crate) fn run(
    snapshot: &Snapshot,
    level: LevelId,
    text: &Text<'_>,
    format: Format,
) -> Result<Exit, Failure> {
    let themes = &snapshot.themes;
    let mut scratch = Scratch::default();
    let page;
    let (found, read) = match text {
        Text::Typed(text) => (themes.score_typed(text, &mut scratch), *text),
        Text::Page(path) => {
            page = text_of(path)?;
            (themes.score_page(&page, &mut scratch), &*page)
        }
    };
    let lists = themes.lists().filter(|_| matches!(text, Text::Page(_)));
    let by_lists = lists.map(|lists| ByLists::of(lists, read));
    let policy = &snapshot.policy;
    let mut blocked = false;
    let (mut rows, mut thresholds) = (Vec::new(), Vec::new());
    for ((place, theme), score) in themes.themes().iter().enumerate().zip(found.scores()) {
        let mut phrases = phrases(&found, place, read);
        if score.weighed > 0 || score.weighed < 0 && !phrases.is_empty() {
            phrases.push(by_words(&themes.weighed_words(read, place), score.weighed, read));
        }
        let mut percent = score.percent;
        let mut is_banned = false;
        if let Some(by_lists) = &by_lists {
            percent = percent.max(by_lists.percent(place));
            is_banned = by_lists.is_banned(place);
            phrases.extend(by_lists.phrases(place));
        }
        if percent == 0 && phrases.is_empty() {
            continue;
        }
        let threshold = policy.theme_threshold(level, &theme.name);
        if let Some(rule) = policy.theme_threshold_rule(level, &theme.name) {
            thresholds.push((&theme.name, threshold, rule));
        }
        let needed = u32::from(threshold);
        let is_of = percent >= needed || is_banned;
        let may_refuse = score.refusal_percent() >= needed || percent > score.percent || is_banned;
        let action = match is_of {
            true if may_refuse => policy.theme_action(level, &theme.name),
            true => policy.theme_action(level, &theme.name).min(ThemeAction::Watch),
            false => ThemeAction::Off,
        };
        blocked |= action == ThemeAction::Block;
        rows.push([
            Cell::text(theme.name.to_string()),
            Cell::number(percent),
            Cell::text(if is_of { action.as_str() } else { "below" }),
            Cell::text(theme.severity.as_str()),
            Cell::number(threshold),
            Cell::list(&phrases),
        ]);
    }
    if format == Format::Table {
        let word = if blocked { "BLOCKED" } else { "ALLOWED" };
        let level = &policy.levels().get(level).name;
        let otherwise = if thresholds.is_empty() { "" } else { ", where no row says otherwise" };
        say!("{word}  {}  ({THRESHOLD} is of the theme{otherwise})", visible(level));
        for (theme, threshold, rule) in &thresholds {
            let (text, place) = (visible(&rule.text), visible(&rule.place));
            say!("  {theme} is found from {threshold} here: {text} ({place})");
        }
        if rows.is_empty() {
            say!("  nothing in it is of any theme");
            return Ok(Exit::Ok);
        }
    }
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    for row in &rows {
        sheet.row(row)?;
    }
    sheet.finish()?;
    Ok(if blocked { Exit::Blocked } else { Exit::Ok })
}

/// What was found for or against a theme: `-50 childline (suicide.en.toml:12)`.
fn phrases(found: &Found<'_>, theme: usize, text: &str) -> Vec<String> {
    let of_theme = found.findings().filter(|finding| finding.themes & (1 << theme) != 0);
    of_theme
        .map(|finding| {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            // Behind a disguise the places are those of the text as it was read.
            let words = match finding.disguised {
                false => text.get(place(finding.start)..place(finding.end)).unwrap_or(""),
                true => "disguised",
            };
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("{:+} {words} ({}:{})", finding.weight, finding.file, finding.line)
        })
        .collect()
}

/// Most words that are named of those by which a text weighs something.
const MOST_WORDS: usize = 4;

/// What the words of something typed weigh together, and the heaviest of them: `+62 by its words (locked +20, fridge +17)`.
fn by_words(words: &[(std::ops::Range<usize>, i16)], weighed: i16, text: &str) -> String {
    let mut same: Vec<_> =
        words.iter().filter(|(_, points)| points.signum() == weighed.signum()).collect();
    same.sort_by_key(|(place, points)| (std::cmp::Reverse(points.abs()), place.start));
    let named = same
        .iter()
        .take(MOST_WORDS)
        .map(|(place, points)| format!("{} {points:+}", text.get(place.clone()).unwrap_or("")));
    let named: Vec<String> = named.collect();
    match named.is_empty() {
        true => format!("{weighed:+} by its words"),
        false => format!("{weighed:+} by its words ({})", named.join(", ")),
    }
}

/// What a page reaches by phrase lists, and by which phrases.
struct ByLists<'l> {
    lists: &'l PhraseLists,
    score: ListScore,
    found: Vec<FoundPhrase<'l>>,
}

impl<'l> ByLists<'l> {
    fn of(lists: &'l PhraseLists, text: &str) -> Self {
        Self { lists, score: lists.score(text), found: lists.found(text) }
    }

    fn percent(&self, theme: usize) -> u32 {
        self.score.percent.get(theme).copied().unwrap_or(0).into()
    }

    fn is_banned(&self, theme: usize) -> bool {
        self.score.banned.unbounded_shr(theme as u32) & 1 != 0
    }

    /// `phrase lists: 70`, and then `+40 of 100 roulette (phrases/gambling/weighted:12)`.
    fn phrases(&self, theme: usize) -> Vec<String> {
        let counts = |found: &&FoundPhrase<'_>| found.theme.is_none_or(|its| its == theme);
        let found = self.found.iter().filter(counts).filter(|_| self.lists.are_of(theme));
        let mut lines: Vec<String> =
            found.map(|it| format!("{} {} ({}:{})", it.does, it.words, it.file, it.line)).collect();
        if !lines.is_empty() {
            lines.insert(0, format!("phrase lists: {}", self.percent(theme)));
        }
        lines
    }
}

/// The text of a page.
fn text_of(path: &Path) -> Result<String, Failure> {
    let read = match path == Path::new("-") {
        true => read_all(std::io::stdin()),
        false => std::fs::File::open(path).and_then(read_all),
    };
    let bytes = read.map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display()))
            .fix("give a page that was saved as a file, or - for standard input")
    })?;
    let head = PageHead { content_type: Some("text/html"), ..PageHead::default() };
    let mut text = Whole(String::new());
    if let Ok(Some(mut scan)) = PageScan::new(&head, PageLimits::default()) {
        scan.push(&bytes, &mut text);
        scan.end(&mut text);
    }
    Ok(text.0)
}

fn read_all(file: impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Keeps the text as it comes.
struct Whole(String);

impl Scorer for Whole {
    fn feed(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn is_over(&mut self) -> bool {
        false
    }
}
