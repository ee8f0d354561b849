//! How well the shipped theme packs find what the labelled set calls concerning, and what they wrongly find.
//!
//! Prints recall and precision a theme, for searches and for short texts, and for the two parts of the set apart:
//! the *development* part, whose lines were looked at while packs were improved, and the part *held out*, of which
//! only sums are ever printed ([`Labelled::is_held_out`]). What is claimed is the held-out figure. With
//! `SCHOOLGATE_THEME_MISSES=1` the lines of the development part that were missed are printed too.

use crate::labelled_texts::{HARMLESS, LANGUAGES, Labelled, THEMES, files, help_in_languages};
use categorizer::theme::{Scratch, Themes};
use rules::category::Catalogue;
use rules::policy::{Policy, ThemeAction};
use std::io::Read;
use std::path::Path;

/// From which percent a line is flagged for a pupil.
const FLAGGED: u32 = 100;

/// A line, and the themes that it was found to be of.
struct Scored {
    line: Labelled,
    found: Vec<String>,
}

/// Counts of one theme, or of all together.
#[derive(Clone, Copy, Default)]
struct Counts {
    /// Concerning lines of the theme, and those found to be of it.
    concerning: usize,
    found: usize,
    /// Found to be of some theme: somebody is told, though under another heading.
    found_any: usize,
    /// Harmless lines found to be of it.
    false_alarms: usize,
    /// Lines that concern by another theme and were found to be of this one too: no false alarm.
    further: usize,
}

impl Counts {
    fn recall(self) -> f64 {
        share(self.found, self.concerning)
    }

    fn precision(self) -> f64 {
        share(self.found, self.found + self.false_alarms)
    }
}

/// A share; 1 of nothing, as nothing went wrong.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// How a line reaches the filter.
#[derive(Clone, Copy)]
enum Way {
    /// Somebody types it: a search, a message, a prompt.
    Typed,
    /// It comes from elsewhere: a page, what an assistant answers, what others write.
    Read,
}

fn score(themes: &Themes, lines: Vec<Labelled>, way: Way) -> Vec<Scored> {
    let mut scratch = Scratch::default();
    let score = |line: Labelled| {
        let found = match way {
            Way::Typed => themes.score_typed(line.text, &mut scratch),
            Way::Read => themes.score_page(line.text, &mut scratch),
        };
        let found = found.themes_from(FLAGGED).map(str::to_owned).collect();
        Scored { line, found }
    };
    lines.into_iter().map(score).collect()
}

/// The counts of a theme among lines.
fn count<'s>(lines: impl Iterator<Item = &'s Scored>, theme: &str) -> Counts {
    let mut counts = Counts::default();
    for Scored { line, found } in lines {
        let is_found = found.iter().any(|name| name == theme);
        if line.themes.contains(&theme) {
            counts.concerning += 1;
            counts.found += usize::from(is_found);
            counts.found_any += usize::from(!found.is_empty());
        } else if is_found && line.is_concerning() {
            counts.further += 1;
        } else if is_found {
            counts.false_alarms += 1;
        }
    }
    counts
}

/// Whether lines concern at all, and are found at all.
fn count_all<'s>(lines: impl Iterator<Item = &'s Scored>) -> Counts {
    let mut counts = Counts::default();
    for Scored { line, found } in lines {
        let is_found = !found.is_empty();
        if line.is_concerning() {
            counts.concerning += 1;
            counts.found += usize::from(is_found);
            counts.found_any += usize::from(is_found);
        } else {
            counts.false_alarms += usize::from(is_found);
        }
    }
    counts
}

fn cells(counts: Counts) -> String {
    format!(
        "{:>5} {:>6.2} {:>6.2} {:>6.2} {:>6}",
        counts.concerning,
        counts.recall(),
        share(counts.found_any, counts.concerning),
        counts.precision(),
        counts.false_alarms
    )
}

/// A row of both parts.
fn row(name: &str, count: impl Fn(bool) -> Counts) {
    println!("{name:<26} {}   | {}", cells(count(false)), cells(count(true)));
}

/// The table of some lines, and the share of harmless ones found.
fn table(what: &str, lines: &[Scored]) {
    let columns = "lines recall    any precis. false";
    println!("\n{what}: {} lines", lines.len());
    println!("{:<26} {:<37} | held out", "", "development");
    println!("{:<26} {columns:<37} | {columns}", "English");
    let of = |held_out: bool, language: &'static str| {
        lines
            .iter()
            .filter(move |it| it.line.is_held_out() == held_out && it.line.language == language)
    };
    for theme in THEMES {
        row(theme, |held_out| count(of(held_out, "en"), theme));
    }
    println!("any theme, by language");
    for language in LANGUAGES {
        row(language, |held_out| count_all(of(held_out, language)));
    }
    println!("harmless lines found, of how many");
    for kind in HARMLESS {
        let found = |held_out: bool| {
            let lines = lines.iter().filter(|it| it.line.is_held_out() == held_out);
            let lines = lines.filter(|it| it.line.kind == kind);
            let found = lines.clone().filter(|it| !it.found.is_empty()).count();
            format!("{found:>4} of {:>4}", lines.count())
        };
        println!("{kind:<26} {:<37} | {}", found(false), found(true));
    }
}

/// Lines of the development part that went wrong.
fn wrong(lines: &[Scored], missed_too: bool) {
    let seen = || lines.iter().filter(|it| !it.line.is_held_out());
    println!("harmless lines found, development part:");
    for Scored { line, found } in seen().filter(|it| !it.line.is_concerning()) {
        if !found.is_empty() {
            println!("  {} {} {}: {}", line.id, line.kind, found.join(","), line.text);
        }
    }
    if !missed_too {
        return;
    }
    println!("missed, development part:");
    for Scored { line, found } in seen() {
        for theme in line.themes.iter().filter(|theme| !found.iter().any(|it| it == *theme)) {
            println!(
                "  {} {} {theme} [{}]: {}",
                line.id,
                line.language,
                found.join(","),
                line.text
            );
        }
    }
}

/// Prints everything, and gives what was scored: searches, then texts.
fn report(themes: &Themes) -> [Vec<Scored>; 2] {
    let missed_too = std::env::var_os("SCHOOLGATE_THEME_MISSES").is_some();
    let scored = files().map(|(_, lines)| score(themes, lines, Way::Typed));
    for (what, lines) in ["searches", "texts, as typed"].into_iter().zip(&scored) {
        table(what, lines);
        wrong(lines, missed_too);
    }
    let [_, (_, texts)] = files();
    table("texts, as pages and answers are read", &score(themes, texts, Way::Read));
    scored
}

/// Counts over all themes of English lines that are held out.
fn held_out(lines: &[Scored]) -> Counts {
    count_all(lines.iter().filter(|it| it.line.is_held_out() && it.line.language == "en"))
}

#[test]
fn the_packs_find_no_less_than_was_measured_and_are_no_oftener_wrong() {
    let [searches, texts] = report(&Themes::shipped());
    // A little below what docs/themes.md states, for what a change of a pack may move.
    for (what, lines, recall, precision) in
        [("searches", &searches, 0.90, 0.95), ("texts", &texts, 0.83, 0.90)]
    {
        let counts = held_out(lines);
        assert!(counts.recall() >= recall, "{what}: recall {:.3}", counts.recall());
        assert!(counts.precision() >= precision, "{what}: precision {:.3}", counts.precision());
    }
    for theme in THEMES {
        let lines = searches.iter().filter(|it| it.line.is_held_out() && it.line.language == "en");
        let precision = count(lines, theme).precision();
        assert!(precision >= 0.86, "{theme}: precision {precision:.3}");
    }
    // Lessons and help are what a filter must not be wrong about.
    for (kind, most_in_hundred) in [("curriculum", 1), ("help", 6)] {
        let lines = searches.iter().filter(|it| it.line.is_held_out() && it.line.kind == kind);
        let found = lines.clone().filter(|it| !it.found.is_empty()).count();
        let all = lines.count();
        assert!(found * 100 <= all * most_in_hundred, "{kind}: {found} of {all}");
    }
}

/// Lines of some kind, and how many less may be found of a theme than was measured, or more be found wrongly.
struct Kind {
    what: &'static str,
    slack: usize,
}

/// What is measured: two lines are 0.04 of the searches of a theme, one is 0.12 of its texts.
const KINDS: [Kind; 3] = [
    Kind { what: "searches", slack: 2 },
    Kind { what: "texts as typed", slack: 1 },
    Kind { what: "texts as read", slack: 1 },
];

/// English lines held out that were found of each theme, and harmless ones that were found wrongly, by [`KINDS`], as
/// `docs/themes.md` states them. Who changes packs or weights for the better raises them.
const MEASURED: [(&str, [(usize, usize); 3]); 13] = [
    ("illegal", [(62, 1), (12, 1), (1, 1)]),
    ("bullying", [(52, 0), (6, 0), (0, 0)]),
    ("child-sexual-exploitation", [(41, 1), (4, 1), (1, 0)]),
    ("discrimination", [(49, 4), (7, 0), (2, 1)]),
    ("drugs", [(44, 1), (8, 0), (4, 1)]),
    ("extremism", [(47, 3), (7, 0), (2, 0)]),
    ("pornography", [(53, 3), (7, 0), (6, 1)]),
    ("self-harm", [(48, 3), (8, 1), (2, 1)]),
    ("suicide", [(55, 2), (8, 1), (3, 1)]),
    ("violence", [(67, 0), (8, 0), (1, 0)]),
    ("circumvention", [(50, 2), (5, 1), (2, 1)]),
    ("ai-misuse", [(53, 2), (6, 3), (3, 1)]),
    ("any", [(565, 22), (78, 8), (27, 7)]),
];

/// The same of searches in other languages, of any theme; one line less or more.
const MEASURED_LANGUAGES: [(&str, (usize, usize)); 5] =
    [("cy", (10, 1)), ("pl", (9, 0)), ("ro", (11, 0)), ("ur", (15, 0)), ("ar", (17, 0))];

/// Prints what was counted beside the least recall and precision, and says what is below: by more than so many lines, or
/// one in a hundred where there are many.
fn held_to(what: &str, counts: Counts, measured: (usize, usize), slack: usize) -> Option<String> {
    let (found, false_alarms) = (counts.found, counts.false_alarms);
    let slack = slack.max(counts.concerning / 100);
    let least = measured.0.saturating_sub(slack);
    let most = measured.1 + slack;
    println!(
        "{what:<44} recall {:.2} (at least {:.2}), precision {:.2} (at least {:.2})",
        counts.recall(),
        share(least, counts.concerning),
        counts.precision(),
        share(least, least + most)
    );
    (found < least || false_alarms > most).then(|| {
        format!(
            "{what}: {found} found of at least {least}, {false_alarms} wrongly of at most {most}"
        )
    })
}

#[test]
fn no_theme_and_no_language_is_found_less_than_was_measured_nor_oftener_wrongly() {
    let themes = Themes::shipped();
    let [(_, searches), (_, texts)] = files();
    let [_, (_, again)] = files();
    let scored = [
        score(&themes, searches, Way::Typed),
        score(&themes, texts, Way::Typed),
        score(&themes, again, Way::Read),
    ];
    let held_out = |lines: &'static str, all: &[Scored], theme: &str| {
        let lines = all.iter().filter(|it| it.line.is_held_out() && it.line.language == lines);
        if theme == "any" { count_all(lines) } else { count(lines, theme) }
    };
    let mut below = Vec::new();
    assert_eq!(MEASURED.len(), THEMES.len() + 1);
    for (theme, measured) in MEASURED {
        assert!(theme == "any" || THEMES.contains(&theme), "{theme}");
        for ((kind, lines), measured) in KINDS.iter().zip(&scored).zip(measured) {
            let what = format!("{theme}, {}", kind.what);
            below.extend(held_to(&what, held_out("en", lines, theme), measured, kind.slack));
        }
    }
    for (language, measured) in MEASURED_LANGUAGES {
        let counts = held_out(language, &scored[0], "any");
        below.extend(held_to(&format!("searches in {language}"), counts, measured, 1));
    }
    assert!(below.is_empty(), "{below:#?}");
}

/// Of the looks for help and lessons of each language, how many may be found; of what concerns, how many must be, and how
/// many of what is of suicide and self-harm: one line less strict than was measured.
const HELP: [(&str, usize, usize, usize); 5] =
    [("cy", 4, 10, 8), ("pl", 5, 12, 9), ("ro", 4, 13, 11), ("ur", 4, 8, 5), ("ar", 5, 9, 7)];

#[test]
fn help_in_other_languages_is_seldom_found_and_what_concerns_is_found_beside_it() {
    let scored = score(&Themes::shipped(), help_in_languages(), Way::Typed);
    let mut below = Vec::new();
    println!("language   wrongly found     recall   of suicide and self-harm");
    for (language, most_wrong, least, least_danger) in HELP {
        let of = || scored.iter().filter(move |it| it.line.language == language);
        let is_found = |it: &&Scored| !it.found.is_empty();
        let is_danger = |it: &&Scored| {
            it.line.themes.iter().any(|theme| categorizer::theme::HELP_FIRST.contains(theme))
        };
        let harmless = || of().filter(|it| !it.line.is_concerning());
        let concerning = || of().filter(|it| it.line.is_concerning());
        let danger = || concerning().filter(is_danger);
        let wrong = harmless().filter(is_found).count();
        let found = concerning().filter(is_found).count();
        let in_danger = danger().filter(is_found).count();
        println!(
            "{language:<10} {wrong:>2} of {:>2} = {:.2}   {found:>2} of {:>2} = {:.2}   {in_danger:>2} of {:>2} = {:.2}",
            harmless().count(),
            share(wrong, harmless().count()),
            concerning().count(),
            share(found, concerning().count()),
            danger().count(),
            share(in_danger, danger().count())
        );
        if wrong > most_wrong || found < least || in_danger < least_danger {
            below.push(format!(
                "{language}: {wrong} wrongly of at most {most_wrong}, {found} of at least {least}, \
                 {in_danger} in danger of at least {least_danger}"
            ));
        }
    }
    assert!(below.is_empty(), "{below:#?}");
}

/// The text of a page, roughly: what stands between tags, without scripts and styles.
fn text_of(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let skipped = ["script", "style"].into_iter().find(|name| {
            tag.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        });
        rest = match skipped.and_then(|name| tag.split_once(&format!("</{name}"))) {
            Some((_, after)) => after,
            None => tag,
        };
        rest = rest.split_once('>').map_or("", |(_, after)| after);
    }
    text + rest
}

#[test]
fn of_real_pages_hardly_one_is_flagged_for_pupils_and_none_for_staff() {
    let pages = std::env::var_os("SCHOOLGATE_SHARED")
        .map(|shared| Path::new(&shared).join("data/pages/readability"));
    let Some(pages) = pages.filter(|pages| pages.is_dir()) else {
        println!("passed over: SCHOOLGATE_SHARED names no folder with pages");
        return;
    };
    let read = |name: &str| {
        let files = rules::defaults::POLICY_FILES.iter();
        let file = files.copied().find(|(known, _)| *known == name);
        file.map(|(_, text)| text.to_owned()).ok_or_else(|| "no such file".to_owned())
    };
    let policy =
        Policy::parse(rules::defaults::POLICY, "policy.toml", Catalogue::shipped(), &read).unwrap();
    let levels = ["ks3", "staff"].map(|name| policy.levels().id(name).unwrap());
    let themes = Themes::shipped();
    let mut scratch = Scratch::default();
    let (mut count, mut flagged) = (0, [Vec::new(), Vec::new()]);
    for entry in std::fs::read_dir(pages).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.contains(".html") {
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        if name.ends_with(".gz") {
            let packed = std::mem::take(&mut bytes);
            flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
        }
        count += 1;
        let text = text_of(&String::from_utf8_lossy(&bytes));
        let found = themes.score_page(&text, &mut scratch);
        for (level, flagged) in levels.into_iter().zip(&mut flagged) {
            let mut seen = found.themes_from(FLAGGED);
            if seen.any(|theme| policy.theme_action(level, theme) != ThemeAction::Off) {
                flagged.push(name.clone());
            }
        }
    }
    assert_eq!(count, 129);
    println!("flagged for ks3: {:?}; for staff: {:?}", flagged[0], flagged[1]);
    assert!(flagged[0].len() <= 1, "{:?}", flagged[0]);
    assert!(flagged[1].is_empty(), "{:?}", flagged[1]);
}
