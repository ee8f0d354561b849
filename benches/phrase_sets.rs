//! Phrases to look for, and the automata that the phrase engine is compared with.

use crate::{AnyError, names::Random};
use categorizer::phrase::list::{self, Item, Kind};
use categorizer::phrase::{Effect, Phrases, Weight, normalise};
use std::collections::BTreeSet;
use std::path::Path;

/// A category, what the phrase does, and its parts.
pub(crate) type Entry = (String, Effect, Vec<String>);

/// Different texts that a set is topped up to.
const TEXTS: usize = 16_000;

/// All lists that are there, whatever their language.
pub(crate) fn shipped(data: &Path) -> Result<Vec<Entry>, AnyError> {
    let mut folders = vec![data.join("phrases/e2guardian-debian")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match name.split('_').next() {
                _ if path.is_dir() => folders.push(path),
                Some("weighted") => files.push((path, Kind::Weighted)),
                Some("banned") => files.push((path, Kind::Banned)),
                Some("exception") => files.push((path, Kind::Exception)),
                _ => {}
            }
        }
    }
    files.sort_by(|left, right| left.0.cmp(&right.0));
    let mut entries = Vec::new();
    for (path, kind) in files {
        let bytes = std::fs::read(path)?;
        list::read(&bytes, list::Options { kind, encoding: None }, &mut |item| {
            if let Item::Entry(entry) = item {
                let parts = entry.parts.iter().map(|part| (*part).to_owned()).collect();
                entries.push((entry.category.to_owned(), entry.effect, parts));
            }
        });
    }
    Ok(entries)
}

/// Adds phrases of one to three words until there are 16,000 different texts; one in five is a
/// combination. Half the words are ordinary ones, half are ordinary ones misspelled.
pub(crate) fn top_up(entries: &mut Vec<Entry>, documents: &[String]) {
    let texts = entries.iter().flat_map(|entry| &entry.2).map(|part| normalise::phrase(part));
    let mut texts: BTreeSet<String> = texts.collect();
    let words: BTreeSet<String> = documents
        .iter()
        .flat_map(|text| text.split(|letter: char| !letter.is_ascii_alphabetic()))
        .filter(|word| word.len() > 3)
        .map(str::to_lowercase)
        .collect();
    let words: Vec<String> = words.into_iter().collect();
    let mut random = Random(7);
    while texts.len() < TEXTS && !words.is_empty() {
        let parts = 1 + usize::from(random.below(5) == 0);
        let parts: Vec<String> = (0..parts).map(|_| made_up(&words, &mut random)).collect();
        texts.extend(parts.iter().map(|part| normalise::phrase(part)));
        let weight = Weight::Points(random.below(100) as i32 - 20);
        let category = format!("made up {}", random.below(20));
        entries.push((category, Effect::Weigh(weight), parts));
    }
}

fn made_up(words: &[String], random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..1 + random.below(3) {
        let mut word = words[random.below(words.len())].clone();
        if random.below(2) == 0 {
            let letter = char::from(b'a' + random.below(26) as u8);
            word.insert(random.below(word.len()), letter);
        }
        text.push(' ');
        text.push_str(&word);
    }
    // A third are whole words, a third begin one, a third stand anywhere.
    match random.below(3) {
        0 => text.push(' '),
        1 => {}
        _ => text = text.trim_start().to_owned(),
    }
    text
}

/// The texts that a set looks for.
pub(crate) fn texts(phrases: &Phrases) -> Vec<String> {
    let numbers = 0..phrases.len() as u32;
    let parts = numbers.filter_map(|number| phrases.phrase(number)).flat_map(|phrase| phrase.2);
    let texts: BTreeSet<String> = parts.map(str::to_owned).collect();
    texts.into_iter().collect()
}

/// Hands on each automaton of the same texts, as a function that counts what it finds.
pub(crate) fn automata(
    phrases: &Phrases,
    mut measure: impl FnMut(&str, &dyn Fn(&str, &mut [u32])),
) -> Result<(), AnyError> {
    let texts = texts(phrases);
    let by_bytes =
        daachorse::DoubleArrayAhoCorasick::<u32>::new(&texts).map_err(|error| error.to_string())?;
    measure("daachorse by bytes", &|page, seen| {
        for hit in by_bytes.find_overlapping_iter(page) {
            seen[hit.value() as usize] += 1;
        }
    });
    let by_letters = daachorse::CharwiseDoubleArrayAhoCorasick::<u32>::new(&texts)
        .map_err(|error| error.to_string())?;
    measure("daachorse by characters", &|page, seen| {
        for hit in by_letters.find_overlapping_iter(page) {
            seen[hit.value() as usize] += 1;
        }
    });
    Ok(())
}
