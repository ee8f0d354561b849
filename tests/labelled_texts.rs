//! The labelled searches and texts have the form and the balance that measurements rely on.
//!
//! What the labels mean is in `fixtures/themes/README.md`.

use std::collections::{BTreeMap, BTreeSet};

const SEARCHES: &str = include_str!("fixtures/themes/searches.tsv");
const TEXTS: &str = include_str!("fixtures/themes/texts.tsv");
const HELP_LANGUAGES: &str = include_str!("fixtures/themes/help-languages.tsv");

const HEADER: &str = "id\tthemes\tkind\tnear\tlanguage\ttext";
pub(crate) const THEMES: [&str; 12] = [
    "illegal",
    "bullying",
    "child-sexual-exploitation",
    "discrimination",
    "drugs",
    "extremism",
    "pornography",
    "self-harm",
    "suicide",
    "violence",
    "circumvention",
    "ai-misuse",
];
pub(crate) const HARMLESS: [&str; 5] = ["curriculum", "news", "help", "slang", "everyday"];
pub(crate) const LANGUAGES: [&str; 6] = ["en", "cy", "pl", "ro", "ur", "ar"];

/// Ids of lines that were taken out: they are not given again.
const RETIRED: [&str; 0] = [];

/// One labelled line.
pub(crate) struct Labelled {
    pub(crate) id: &'static str,
    pub(crate) themes: Vec<&'static str>,
    pub(crate) kind: &'static str,
    pub(crate) near: &'static str,
    pub(crate) language: &'static str,
    pub(crate) text: &'static str,
}

impl Labelled {
    pub(crate) fn is_concerning(&self) -> bool {
        !self.themes.is_empty()
    }

    /// Whether the line may only be counted: half of all by a hash of their texts, and the fifth whose
    /// ids end in 0 or 5. The rest may be looked at while a pack is improved.
    pub(crate) fn is_held_out(&self) -> bool {
        // FNV-1a, which needs no more than this and will not change.
        let hash = self.text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        hash >> 40 & 1 == 1 || self.id.ends_with(['0', '5'])
    }
}

fn read(file: &'static str) -> Vec<Labelled> {
    let mut lines = file.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let labelled = lines.map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [id, themes, kind, near, language, text] = cells[..] else {
            panic!("six columns are wanted: {line}");
        };
        let themes = themes.split(',').filter(|theme| !theme.is_empty()).collect();
        Labelled { id, themes, kind, near, language, text }
    });
    labelled.collect()
}

/// Searches and texts, with the first letter of their ids.
pub(crate) fn files() -> [(char, Vec<Labelled>); 2] {
    [('S', read(SEARCHES)), ('T', read(TEXTS))]
}

/// Looks for help, lessons and what concerns, in the languages other than English. All of it is held out.
pub(crate) fn help_in_languages() -> Vec<Labelled> {
    read(HELP_LANGUAGES)
}

/// All three, with the first letter of their ids.
pub(crate) fn all_files() -> [(char, Vec<Labelled>); 3] {
    let [searches, texts] = files();
    [searches, texts, ('H', help_in_languages())]
}

/// Letters and digits in lower case: what is left of a line when its punctuation is stripped.
pub(crate) fn stripped(text: &str) -> String {
    text.to_lowercase().chars().filter(|character| character.is_alphanumeric()).collect()
}

#[test]
fn every_line_has_known_labels_that_agree() {
    for (_, lines) in all_files() {
        for line in lines {
            let Labelled { id, themes, kind, near, language, text } = &line;
            let different: BTreeSet<_> = themes.iter().collect();
            assert_eq!(different.len(), themes.len(), "{id}: a theme twice");
            assert!(themes.iter().all(|theme| THEMES.contains(theme)), "{id}: {themes:?}");
            assert!(LANGUAGES.contains(language), "{id}: language {language}");
            if line.is_concerning() {
                assert_eq!((*kind, *near), ("concerning", ""), "{id}: has a theme");
            } else {
                assert!(HARMLESS.contains(kind), "{id}: kind {kind}");
                assert!(near.is_empty() || THEMES.contains(near), "{id}: near {near}");
            }
            assert!(!text.contains(char::is_control), "{id}: a control character");
            assert_eq!(text.trim(), *text, "{id}: space at an end");
        }
    }
}

#[test]
fn ids_run_without_gaps_but_those_retired() {
    for (letter, lines) in all_files() {
        let mut given = lines.iter().map(|line| line.id);
        for number in 1.. {
            let id = format!("{letter}{number:04}");
            if RETIRED.contains(&id.as_str()) {
                continue;
            }
            match given.next() {
                Some(next) => assert_eq!(next, id),
                None => break,
            }
        }
    }
}

#[test]
fn no_line_stands_twice_but_for_case_spaces_and_punctuation() {
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    for (_, lines) in all_files() {
        for line in lines {
            let before = first.insert(stripped(line.text), line.id);
            assert_eq!(before, None, "{}: {}", line.id, line.text);
        }
    }
}

#[test]
fn both_files_are_large_enough_and_balanced() {
    let [(_, searches), (_, texts)] = files();
    // Lines in all; of each theme, concerning ones and harmless ones that share its words; of each harmless kind; of
    // each language.
    for (what, lines, all, each_theme, each_kind, each_language) in
        [("searches", &searches, 1_500, 60, 70, 30), ("texts", &texts, 300, 12, 12, 5)]
    {
        assert!(lines.len() >= all, "{} {what}", lines.len());
        let concerning = lines.iter().filter(|line| line.is_concerning()).count();
        for (side, count) in [("concerning", concerning), ("harmless", lines.len() - concerning)] {
            assert!(count * 100 >= lines.len() * 45, "{count} {side} of {} {what}", lines.len());
        }
        let enough = |label: &str, least: usize, has: &dyn Fn(&Labelled) -> bool| {
            let count = lines.iter().filter(|line| has(line)).count();
            assert!(count >= least, "{what}, {label}: {count} of at least {least}");
        };
        for theme in THEMES {
            enough(theme, each_theme, &|line| line.themes.contains(&theme));
            enough(&format!("near {theme}"), each_theme, &|line| line.near == theme);
        }
        for kind in HARMLESS {
            enough(kind, each_kind, &|line| line.kind == kind);
        }
        for language in LANGUAGES {
            enough(language, each_language, &|line| line.language == language);
        }
        let other = lines.iter().filter(|line| line.language != "en").count();
        // One in ten, within a point.
        assert!(
            (9..=11).contains(&((other * 100 + lines.len() / 2) / lines.len())),
            "{other} {what}"
        );
    }
}

#[test]
fn what_is_held_out_is_as_varied_as_the_rest() {
    for (letter, lines) in files() {
        let held_out: Vec<&Labelled> = lines.iter().filter(|line| line.is_held_out()).collect();
        // Three fifths are held out; of what has few lines, a quarter to three quarters.
        let share = |label: &str, has: &dyn Fn(&Labelled) -> bool| {
            let all = lines.iter().filter(|line| has(line)).count();
            let held = held_out.iter().filter(|line| has(line)).count();
            assert!(
                held * 4 >= all && held * 4 <= all * 3 + 3,
                "{letter}, {label}: {held} of {all} are held out"
            );
        };
        share("concerning", &Labelled::is_concerning);
        for theme in THEMES {
            share(theme, &|line| line.themes.contains(&theme));
            share(&format!("near {theme}"), &|line| line.near == theme);
        }
        for kind in HARMLESS {
            share(kind, &|line| line.kind == kind);
        }
        share("other languages", &|line| line.language != "en");
    }
}

#[test]
fn help_has_enough_lines_in_each_language_but_english() {
    let lines = help_in_languages();
    assert!(lines.iter().all(|line| ["concerning", "help", "curriculum"].contains(&line.kind)));
    for language in LANGUAGES {
        let of = |is_concerning| {
            let lines = lines.iter().filter(|line| line.language == language);
            lines.filter(|line| line.is_concerning() == is_concerning).count()
        };
        let counts = (of(false), of(true));
        if language == "en" {
            assert_eq!(counts, (0, 0), "English stands in the other files");
        } else {
            assert!(counts.0 >= 25 && counts.1 >= 15, "{language}: {counts:?}");
        }
    }
}
