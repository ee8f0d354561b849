//! The searches and texts of `tests/fixtures/themes`: what the packs find of them, and what e2guardian's
//! phrases do.
//!
//! Lines that are held out ([`Labelled::is_held_out`]) stand beside those that packs were improved by. Nothing
//! here prints a line.

use super::Fault;
use super::labelled_texts::{HARMLESS, LANGUAGES, Labelled, THEMES, files, help_in_languages};
use super::levels::{FLAGGED_PERCENT, Levels, Who};
use super::phrase_lists::{self, Choice, LIMITS, Scorer};
use super::report::{Cell, Report, Share, Table};
use super::shared::Shared;
use categorizer::phrase;
use categorizer::theme::Scratch;
use rules::policy::ThemeAction;

/// Recall and precision that each theme should have.
const GOAL: f64 = 0.90;

/// A line, and what was found.
struct Scored {
    line: Labelled,
    /// Themes that it is of.
    found: Vec<&'static str>,
    /// What becomes of it, by [`Who`].
    actions: [ThemeAction; 2],
}

/// Counts of one theme among some lines.
#[derive(Clone, Copy, Default)]
struct Counts {
    /// Lines of the theme found to be of it.
    recall: Share,
    /// Lines of the theme found to be of any.
    any: Share,
    /// Lines found to be of the theme that are; what concerns by another theme is no false alarm.
    precision: Share,
}

impl Counts {
    fn false_alarms(self) -> u64 {
        self.precision.whole - self.precision.part
    }

    fn cells(self) -> [Cell; 5] {
        let lines = Cell::Count(self.recall.whole);
        let [recall, any, precision] = [self.recall, self.any, self.precision].map(Cell::Share);
        [lines, recall, any, precision, Cell::Count(self.false_alarms())]
    }

    fn meets_goal(self) -> bool {
        let is_met = |share: Share| share.value().is_none_or(|value| value >= GOAL);
        is_met(self.recall) && is_met(self.precision)
    }
}

/// Adds the tables and judges the targets.
///
/// # Errors
/// e2guardian's phrases are named and cannot be read.
pub(crate) fn measure(
    levels: &Levels,
    shared: Option<&Shared>,
    report: &mut Report,
) -> Result<(), Fault> {
    let [(_, searches), (_, texts)] = files();
    for (what, key, lines) in [
        ("Searches", ["search_themes", "search_groups", "search_e2guardian"], searches),
        ("Short texts", ["text_themes", "text_groups", "text_e2guardian"], texts),
    ] {
        let scored = score(levels, lines);
        by_theme(what, key[0], &scored, report);
        by_group(what, key[1], &scored, report);
        if let Some(shared) = shared {
            beside_e2guardian(what, key[2], &scored, shared, report)?;
        }
    }
    help_by_language(&score(levels, help_in_languages()), report);
    Ok(())
}

fn score(levels: &Levels, lines: Vec<Labelled>) -> Vec<Scored> {
    let mut scratch = Scratch::default();
    let score = |line: Labelled| {
        let found = levels.themes.score_typed(line.text, &mut scratch);
        let is_found =
            |theme: &&'static str| found.themes_from(FLAGGED_PERCENT).any(|it| it == *theme);
        let found: Vec<&'static str> = THEMES.into_iter().filter(is_found).collect();
        let action = |who: Who| found.iter().map(|theme| levels.action(who, theme)).max();
        let actions = Who::ALL.map(|who| action(who).unwrap_or(ThemeAction::Off));
        Scored { line, found, actions }
    };
    lines.into_iter().map(score).collect()
}

/// Whether a line is in a part, and in English.
fn is_of(scored: &Scored, held_out: bool) -> bool {
    scored.line.is_held_out() == held_out && scored.line.language == "en"
}

fn count<'s>(lines: impl Iterator<Item = &'s Scored>, theme: &str) -> Counts {
    let mut counts = Counts::default();
    for Scored { line, found, .. } in lines {
        let is_found = found.contains(&theme);
        let is_theirs = line.themes.contains(&theme);
        if is_theirs {
            counts.recall.add(is_found);
            counts.any.add(!found.is_empty());
        }
        if is_found && (is_theirs || !line.is_concerning()) {
            counts.precision.add(is_theirs);
        }
    }
    counts
}

/// Counts without regard to which theme.
fn count_any<'s>(lines: impl Iterator<Item = &'s Scored>) -> Counts {
    let mut counts = Counts::default();
    for Scored { line, found, .. } in lines {
        if line.is_concerning() {
            counts.recall.add(!found.is_empty());
        }
        if !found.is_empty() {
            counts.precision.add(line.is_concerning());
        }
    }
    counts.any = counts.recall;
    counts
}

fn by_theme(what: &str, key: &'static str, scored: &[Scored], report: &mut Report) {
    let mut table = Table::new(
        key,
        &format!("{what} in English, by theme"),
        "\"recall\": found to be of the theme. \"any\": found to be of some theme. \"false\": harmless lines found to be \
         of it. First the lines that packs were improved by, then those held out, which are what counts.",
        &[
            "theme",
            "lines",
            "recall",
            "any",
            "precision",
            "false",
            "held out",
            "recall (held out)",
            "any (held out)",
            "precision (held out)",
            "false (held out)",
        ],
    );
    let part = |held_out| scored.iter().filter(move |it| is_of(it, held_out));
    let mut missing = Vec::new();
    for theme in THEMES {
        let [seen, held_out] = [false, true].map(|held_out| count(part(held_out), theme));
        if !held_out.meets_goal() {
            missing.push(theme);
        }
        let cells = seen.cells().into_iter().chain(held_out.cells());
        table.row([Cell::from(theme)].into_iter().chain(cells).collect());
    }
    let all = [false, true].map(|held_out| count_any(part(held_out)).cells());
    table.row([Cell::from("any")].into_iter().chain(all.into_iter().flatten()).collect());
    report.table(table);
    let told =
        if missing.is_empty() { "all".to_owned() } else { format!("not {}", missing.join(", ")) };
    report.target(
        missing.is_empty(),
        format!(
            "{}, held out, recall and precision of at least {GOAL:.2} in each theme: {told}",
            what.to_lowercase()
        ),
    );
}

fn by_group(what: &str, key: &'static str, scored: &[Scored], report: &mut Report) {
    let mut table = Table::new(
        key,
        &format!("{what} by language, and harmless ones by kind"),
        "Of concerning lines, those found to be of some theme; of harmless ones, those wrongly found, and of these the \
         ones that ks3 is refused and that staff are told of.",
        &["lines", "seen", "found", "held out", "found (held out)", "ks3 refused", "staff told"],
    );
    let mut row = |name: String, is_in: &dyn Fn(&Scored) -> bool| {
        let found = |held_out: bool| {
            let mut share = Share::default();
            let of = scored.iter().filter(|it| is_in(it) && it.line.is_held_out() == held_out);
            of.for_each(|it| share.add(!it.found.is_empty()));
            share
        };
        let with = |is_so: &dyn Fn(&Scored) -> bool| {
            scored.iter().filter(|it| is_in(it) && is_so(it)).count() as u64
        };
        let (seen, held_out) = (found(false), found(true));
        let refused = with(&|it| it.actions[Who::Ks3 as usize] == ThemeAction::Block);
        let staff = with(&|it| it.actions[Who::Staff as usize] > ThemeAction::Off);
        table.row(vec![
            Cell::from(name),
            Cell::from(seen.whole),
            Cell::from(seen),
            Cell::from(held_out.whole),
            Cell::from(held_out),
            Cell::from(refused),
            Cell::from(staff),
        ]);
    };
    for language in LANGUAGES {
        row(format!("concerning, {language}"), &|it: &Scored| {
            it.line.is_concerning() && it.line.language == language
        });
    }
    for kind in HARMLESS {
        row(format!("harmless, {kind}"), &|it: &Scored| it.line.kind == kind);
    }
    row("harmless, all".to_owned(), &|it: &Scored| !it.line.is_concerning());
    report.table(table);
}

/// Looks for help and lessons in languages other than English that are wrongly found, by theme too, and what concerns there
/// that is found.
fn help_by_language(scored: &[Scored], report: &mut Report) {
    let mut columns = vec![
        "language",
        "help and lessons",
        "wrongly found",
        "ks3 refused",
        "concerning",
        "found",
        "of its theme",
    ];
    columns.extend(THEMES);
    let mut table = Table::new(
        "help_languages",
        "Help in other languages",
        "Looks for help and lessons that are wrongly found to be of a theme, as typed, and what concerns that is found; then how \
         many of the former by each theme. All lines are held out.",
        &columns,
    );
    for language in LANGUAGES.into_iter().filter(|language| *language != "en") {
        let of = || scored.iter().filter(move |it| it.line.language == language);
        let (mut wrong, mut found, mut own) =
            (Share::default(), Share::default(), Share::default());
        for it in of() {
            if it.line.is_concerning() {
                found.add(!it.found.is_empty());
                own.add(it.line.themes.iter().all(|theme| it.found.contains(theme)));
            } else {
                wrong.add(!it.found.is_empty());
            }
        }
        let harmless = || of().filter(|it| !it.line.is_concerning());
        let is_refused = |it: &&Scored| it.actions[Who::Ks3 as usize] == ThemeAction::Block;
        let mut cells = vec![
            Cell::from(language),
            Cell::from(wrong.whole),
            Cell::Of(wrong),
            Cell::from(harmless().filter(is_refused).count() as u64),
            Cell::from(found.whole),
            Cell::from(found),
            Cell::from(own),
        ];
        cells.extend(THEMES.map(|theme| {
            Cell::from(harmless().filter(|it| it.found.contains(&theme)).count() as u64)
        }));
        table.row(cells);
    }
    report.table(table);
}

/// What e2guardian's phrases find of the same held-out English lines. They know no themes: found is found.
fn beside_e2guardian(
    what: &str,
    key: &'static str,
    scored: &[Scored],
    shared: &Shared,
    report: &mut Report,
) -> Result<(), Fault> {
    let mut columns = vec!["by", "precision", "harmless found", "recall"];
    columns.extend(THEMES);
    let mut table = Table::new(
        key,
        &format!("{what} in English, held out, beside e2guardian's phrases"),
        "Recall of concerning lines of all themes, then of each: found by whatever phrase. e2guardian's lists as far as \
         the data folder has them, by our reading of its scoring; a limit of 0 is any weight at all, the most that \
         its phrases could find. \"lists alone\": the address of a search is the search engine's, that of a text is \
         unknown.",
        &columns,
    );
    let lines: Vec<&Scored> = scored.iter().filter(|it| is_of(it, true)).collect();
    let mut row = |name: String, is_found: &mut dyn FnMut(&Scored) -> bool| {
        let found: Vec<bool> = lines.iter().map(|it| is_found(it)).collect();
        let (mut precision, mut harmless) = (Share::default(), Share::default());
        for (it, &found) in lines.iter().zip(&found) {
            if found {
                precision.add(it.line.is_concerning());
            }
            if !it.line.is_concerning() {
                harmless.add(found);
            }
        }
        let recall = |is_in: &dyn Fn(&Labelled) -> bool| {
            let mut share = Share::default();
            let of = lines.iter().zip(&found).filter(|(it, _)| is_in(&it.line));
            of.for_each(|(_, &found)| share.add(found));
            Cell::Share(share)
        };
        let mut cells = vec![Cell::from(name), Cell::Share(precision), Cell::Share(harmless)];
        cells.push(recall(&Labelled::is_concerning));
        cells.extend(THEMES.map(|theme| recall(&|line| line.themes.contains(&theme))));
        table.row(cells);
    };
    row("lists alone".to_owned(), &mut |_| false);
    row("theme packs".to_owned(), &mut |it| !it.found.is_empty());
    let mut scratch = phrase::Scratch::default();
    for choice in Choice::ALL {
        let files = phrase_lists::files(shared, choice)?;
        for limit in LIMITS {
            let scorer = Scorer::new(&files, limit)?;
            row(format!("e2guardian {}, limit {limit}", choice.name()), &mut |it| {
                scorer.blocks(it.line.text, &mut scratch)
            });
        }
    }
    report.table(table);
    Ok(())
}
