//! Reads packs and the list of themes; every fault is noted, with its line.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::{
    DEFAULT_NEAR, Group, MAX_EXPANDED, MAX_NEAR, MAX_PHRASES, MAX_PHRASES_BYTES, MAX_THEMES,
    MAX_WEIGHT, Pack, Phrase, PolicyError, Severity, Theme,
};
use crate::document::{Document, Value, suggest};

const PACK_KEYS: [&str; 8] =
    ["theme", "language", "reviewed", "typed_only", "sets", "innocent", "ordinary", "group"];
const GROUP_KEYS: [&str; 9] =
    ["weight", "any", "with", "also", "unless", "near", "in_order", "help", "about"];
const THEME_KEYS: [&str; 5] = ["name", "title", "about", "severity", "help"];

pub(super) fn themes(text: &str, file: &str) -> Result<Vec<Theme>, Vec<PolicyError>> {
    const EXAMPLE: &str = "[[theme]] name = \"drugs\", title = \"Drugs\", about = \"...\"";
    let mut document = Document::new(file, text);
    let root = document.parse();
    document.only_keys(&root, "the file of themes", &["theme"]);
    let tables = match root.get("theme") {
        Some(value) => document.tables(value, EXAMPLE),
        None => Vec::new(),
    };
    let mut themes: Vec<Theme> = Vec::new();
    for (at, table) in tables {
        document.only_keys(table, "[[theme]]", &THEME_KEYS);
        let mut needed = |key| needed_text(&mut document, table, at, "[[theme]]", key);
        let (name, title, about) = (needed("name"), needed("title"), needed("about"));
        let severity = needed("severity");
        let severity_at = table.get("severity").map_or(at, |value| value.span().start);
        let severity = severity.map(|word| (word, Severity::from_word(word)));
        if let Some((word, None)) = severity {
            let words = Severity::ALL.map(Severity::as_str);
            let fix =
                suggest(word, words).unwrap_or_else(|| format!("use one of: {}", words.join(", ")));
            document.fault(severity_at, format!("no severity called \"{word}\""), fix);
        }
        let mut help = Vec::new();
        if let Some(value) = table.get("help") {
            for (at, host) in document.strings(value, "help = [\"childline.org.uk\"]") {
                match crate::site::Site::parse(host) {
                    Ok(_) => help.push(host.to_owned()),
                    Err(error) => {
                        document.fault(at, error.to_string(), "write it like \"example.org\"");
                    }
                }
            }
        }
        let (Some(name), Some(title), Some(about)) = (name, title, about) else { continue };
        let Some((_, Some(severity))) = severity else { continue };
        if !is_name(name) || name == super::ALL {
            let fix = "use lower-case letters, digits and hyphens, at most 40, and not \"all\"";
            document.fault(at, format!("\"{name}\" is no name of a theme"), fix);
        }
        if themes.iter().any(|theme| theme.name == name) {
            document.fault(at, format!("theme \"{name}\" is there twice"), "remove one");
        }
        let (name, title, about) = (name.to_owned(), title.to_owned(), about.to_owned());
        themes.push(Theme { name, title, about, severity, help });
    }
    if themes.len() > MAX_THEMES {
        document.fault(0, format!("more than {MAX_THEMES} themes"), "merge some of them");
    }
    let faults = document.into_faults();
    if faults.is_empty() { Ok(themes) } else { Err(faults) }
}

pub(super) fn pack(text: &str, file: &str) -> Result<Pack, Vec<PolicyError>> {
    let mut document = Document::new(file, text);
    let root = document.parse();
    // What does not even read as TOML hides keys: faults found beyond would mislead.
    if !document.faults.is_empty() {
        return Err(document.into_faults());
    }
    let pack = read_pack(&mut document, &root, file);
    let faults = document.into_faults();
    if faults.is_empty() { Ok(pack) } else { Err(faults) }
}

fn read_pack(document: &mut Document<'_>, root: &DeTable<'_>, file: &str) -> Pack {
    document.only_keys(root, "the pack", &PACK_KEYS);
    let theme = needed_text(document, root, 0, "the pack", "theme").unwrap_or_default();
    let language = needed_text(document, root, 0, "the pack", "language").unwrap_or_default();
    for (key, written) in [("theme", theme), ("language", language)] {
        if !written.is_empty() && !is_name(&written.to_lowercase()) {
            let at = root.get(key).map_or(0, |value| value.span().start);
            let fix = "use letters, digits and hyphens, at most 40";
            document.fault(at, format!("\"{written}\" is no name of a {key}"), fix);
        }
    }
    let reviewed = root.get("reviewed");
    let reviewed = reviewed.and_then(|value| document.truth(value, "reviewed = false"));
    let typed_only = root.get("typed_only");
    let typed_only = typed_only.and_then(|value| document.truth(value, "typed_only = true"));
    let mut sets = read_sets(document, root);
    let innocent = phrases(document, root, "innocent", &mut sets);
    let ordinary = phrases(document, root, "ordinary", &mut sets);
    const EXAMPLE: &str = "[[group]] weight = 100, any = [\"word\"]";
    let tables = match root.get("group") {
        Some(value) => document.tables(value, EXAMPLE),
        None => Vec::new(),
    };
    let groups = tables.into_iter().filter_map(|(at, table)| group(document, at, table, &mut sets));
    let groups = groups.collect();
    Pack {
        file: file.to_owned(),
        theme: theme.to_owned(),
        language: language.to_owned(),
        reviewed: reviewed.unwrap_or(false),
        typed_only: typed_only.unwrap_or(false),
        innocent,
        ordinary: ordinary.into_iter().map(|phrase| phrase.text).collect(),
        groups,
    }
}

fn group(
    document: &mut Document<'_>,
    at: usize,
    table: &DeTable<'_>,
    sets: &mut Sets,
) -> Option<Group> {
    document.only_keys(table, "[[group]]", &GROUP_KEYS);
    if let Some(value) = table.get("about") {
        document.string(value, "about = \"what these are\"");
    }
    let weight = match table.get("weight") {
        Some(value) => weight(document, value),
        None => {
            document.fault(at, "[[group]] has no weight", "add weight = 100");
            None
        }
    };
    let near = table.get("near");
    let near = near.and_then(|value| document.number(value, 0..=MAX_NEAR, "near = 5"));
    let in_order = table.get("in_order");
    let in_order = in_order.and_then(|value| document.truth(value, "in_order = true"));
    let help = table.get("help").and_then(|value| document.truth(value, "help = true"));
    if help == Some(true) && weight.is_some_and(|weight| weight > 0) {
        document.fault(
            at,
            "a look for help that speaks for a theme",
            "give it a weight less than 0",
        );
    }
    let mut of = |key| phrases(document, table, key, sets);
    let (any, with, also, unless) = (of("any"), of("with"), of("also"), of("unless"));
    // Where there is one that cannot be read, that was told.
    let has_any = table
        .get("any")
        .is_some_and(|value| value.get_ref().as_array().is_none_or(|list| !list.is_empty()));
    if !has_any {
        document.fault(at, "[[group]] looks for nothing", "add any = [\"word\"]");
    }
    if with.is_empty() && !also.is_empty() {
        document.fault(at, "[[group]] has also, but no with", "call it with");
    }
    let line = document.line(at);
    Some(Group {
        line,
        weight: weight?,
        any,
        with,
        also,
        unless,
        near: near.unwrap_or(DEFAULT_NEAR),
        in_order: in_order.unwrap_or(false),
        is_help: help.unwrap_or(false),
    })
}

fn weight(document: &mut Document<'_>, value: &Value<'_>) -> Option<i32> {
    let number = value.get_ref().as_integer();
    let number = number.and_then(|one| i32::from_str_radix(one.as_str(), one.radix()).ok());
    let weight = number.filter(|weight| *weight != 0 && weight.abs() <= MAX_WEIGHT);
    if weight.is_none() {
        let what = format!("a weight is from -{MAX_WEIGHT} to {MAX_WEIGHT}, and not 0");
        document.fault(value.span().start, what, "write it like weight = 100");
    }
    weight
}

/// The sets of a pack, and how much was made of them so far.
#[derive(Default)]
struct Sets {
    /// Words by the name of their set.
    words: BTreeMap<String, Vec<String>>,
    phrases: usize,
    bytes: usize,
}

impl Sets {
    /// Counts phrases that are to be made; `false`: the pack may have no so many, and none is made any more.
    fn may_make(&mut self, phrases: usize, bytes: usize) -> bool {
        self.phrases = self.phrases.saturating_add(phrases);
        self.bytes = self.bytes.saturating_add(bytes);
        !self.are_full()
    }

    fn are_full(&self) -> bool {
        self.phrases > MAX_PHRASES || self.bytes > MAX_PHRASES_BYTES
    }
}

fn read_sets(document: &mut Document<'_>, root: &DeTable<'_>) -> Sets {
    const EXAMPLE: &str = "drug = [\"weed\", \"ketamine\"]";
    let mut sets = Sets::default();
    let Some(value) = root.get("sets") else { return sets };
    let Some(table) = document.table(value, EXAMPLE) else { return sets };
    for (at, name, value) in Document::rows(table) {
        let texts = document.strings(value, EXAMPLE);
        if texts.is_empty() {
            document.fault(
                at,
                format!("set \"{name}\" is empty"),
                format!("write it like {EXAMPLE}"),
            );
        }
        // A set may name those that stand before it.
        let mut words = Vec::new();
        for (at, text) in texts {
            words.extend(expand(document, at, text, &mut sets));
        }
        sets.words.insert(name.to_owned(), words);
    }
    sets
}

fn phrases(
    document: &mut Document<'_>,
    table: &DeTable<'_>,
    key: &str,
    sets: &mut Sets,
) -> Vec<Phrase> {
    let Some(value) = table.get(key) else { return Vec::new() };
    let mut phrases = Vec::new();
    for (at, text) in document.strings(value, &format!("{key} = [\"word\", \"two words\"]")) {
        let line = document.line(at);
        let texts = expand(document, at, text, sets);
        phrases.extend(texts.into_iter().map(|text| Phrase { text, line }));
    }
    phrases
}

/// The phrases that `buy <drug> online` stands for: one for each word of the set.
fn expand(document: &mut Document<'_>, at: usize, text: &str, sets: &mut Sets) -> Vec<String> {
    // That there are too many was told with the first.
    if sets.are_full() {
        return Vec::new();
    }
    let mut done = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((name, after)) = after.split_once('>') else {
            document.fault(at, format!("\"{text}\" has a < without a >"), "write it like <drug>");
            return Vec::new();
        };
        let Some(words) = sets.words.get(name) else {
            let fix = suggest(name, sets.words.keys().map(String::as_str))
                .unwrap_or_else(|| format!("add it to [sets]: {name} = [\"word\"]"));
            document.fault(at, format!("no set called \"{name}\" before this"), fix);
            return Vec::new();
        };
        if done.len() * words.len() > MAX_EXPANDED {
            let what = format!("\"{text}\" stands for more than {MAX_EXPANDED} phrases");
            document.fault(at, what, "use with = [...] in place of one of the sets");
            return Vec::new();
        }
        let lengths = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
        let (starts, ends) = (done.len(), words.len());
        let bytes = lengths(&done)
            .saturating_mul(ends)
            .saturating_add(lengths(words).saturating_mul(starts))
            .saturating_add(before.len().saturating_mul(starts * ends));
        if bytes > MAX_PHRASES_BYTES {
            sets.may_make(0, bytes);
            too_many(document, at, text);
            return Vec::new();
        }
        done = done
            .iter()
            .flat_map(|start| words.iter().map(move |word| format!("{start}{before}{word}")))
            .collect();
        rest = after;
    }
    let bytes = done.iter().map(|phrase| phrase.len() + rest.len()).sum();
    if !sets.may_make(done.len(), bytes) {
        too_many(document, at, text);
        return Vec::new();
    }
    done.iter_mut().for_each(|phrase| phrase.push_str(rest));
    if let Some(blank) = done.iter().find(|phrase| phrase.trim().is_empty()) {
        let what = format!("\"{blank}\" would be found in every text");
        document.fault(at, what, "write a word, or remove it");
        return Vec::new();
    }
    done
}

fn too_many(document: &mut Document<'_>, at: usize, text: &str) {
    // It may be the text that is too long.
    let text: String = text.chars().take(80).collect();
    let most = MAX_PHRASES_BYTES >> 20;
    let what = format!(
        "with \"{text}\" the pack has more than {MAX_PHRASES} phrases, or {most} MiB of them"
    );
    document.fault(
        at,
        what,
        "use with = [...] in place of some of the sets, or make two packs of it",
    );
}

fn needed_text<'v>(
    document: &mut Document<'_>,
    table: &'v DeTable<'_>,
    at: usize,
    what: &str,
    key: &str,
) -> Option<&'v str> {
    let example = format!("{key} = \"...\"");
    let Some(value) = table.get(key) else {
        document.fault(at, format!("{what} has no {key}"), format!("add {example}"));
        return None;
    };
    let text = document.string(value, &example)?;
    if text.trim().is_empty() {
        document.fault(value.span().start, format!("{key} is blank"), format!("write {example}"));
        return None;
    }
    Some(text)
}

fn is_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&name.len()) && name.bytes().all(letters)
}
