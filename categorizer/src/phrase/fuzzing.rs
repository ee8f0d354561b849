//! What the fuzzer calls and the tests replay: each function panics where a promise is broken.

#![allow(clippy::unwrap_used, reason = "a broken promise is a panic here")]

use std::collections::{BTreeMap, BTreeSet};

use super::list::{self, Item, Kind};
use super::{
    Counting, Effect, Match, Options, Phrases, PhrasesBuilder, Scratch, Weight, normalise,
};

/// A phrase list. Every line is an entry, names a file, or is told; every entry can be added to a
/// set, and is found in a page of its own parts.
pub fn phrase_list(bytes: &[u8]) {
    for kind in [Kind::Weighted, Kind::Banned, Kind::Exception] {
        let mut builder = PhrasesBuilder::default();
        let mut entries = 0;
        let mut texts = Vec::new();
        let report = list::read(bytes, list::Options { kind, encoding: None }, &mut |item| {
            let Item::Entry(entry) = item else { return };
            entries += 1;
            let number = builder.add(entry.category, entry.effect, entry.parts).unwrap();
            texts.push((number, entry.parts.join("\n")));
        });
        assert_eq!(report.entries, entries);
        assert_eq!(report.lines, report.entries + report.includes + report.skipped);
        assert_eq!(report.examples.len() as u64, report.skipped.min(100));
        let phrases = builder.finish().unwrap();
        let mut scratch = Scratch::default();
        for (number, text) in texts.iter().take(50) {
            let found = phrases.scan(text, &mut scratch);
            assert!(found.matches().any(|one| one.phrase == *number), "{text:?}");
        }
    }
}

/// Phrases, one a line with its parts between commas, then an empty line, then a page. However the
/// page is cut, what is found is what the plainest search finds.
pub fn phrase_scan(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (lines, page) = text.split_once("\n\n").unwrap_or((&text, &text));
    let entries: Vec<Vec<&str>> =
        lines.lines().take(200).map(|line| line.split(',').collect()).collect();
    check_scan(&entries, page, &[1, 7, 1000]);
}

/// Scans a page by some phrases in both ways of counting, in pieces of some sizes, and compares
/// with the plainest search.
pub fn check_scan(entries: &[Vec<&str>], page: &str, sizes: &[usize]) {
    for counting in [Counting::Once, Counting::Each] {
        let mut builder = PhrasesBuilder::new(Options { counting, limit: 100 });
        let mut known = BTreeMap::new();
        for (place, parts) in (1..).zip(entries) {
            let category = ["odd", "even"][place as usize % 2];
            let effect = Effect::Weigh(Weight::Points(place));
            if let Ok(number) = builder.add(category, effect, parts) {
                // Repeated phrases keep the larger weight, and weights grow here.
                known.insert(number, (category, place, parts));
            }
        }
        let phrases = builder.finish().unwrap();
        let mut matches = Vec::new();
        let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
        let normal = normalise::page(page);
        for (&number, (category, points, parts)) in &known {
            let Some(found) = plain_search(&normal, parts) else { continue };
            let times = if counting == Counting::Each { i64::from(found.1) } else { 1 };
            *sums.entry(category).or_default() += i64::from(*points) * times;
            matches.push(Match { first: found.0, phrase: number, times: found.1 });
        }
        matches.sort_unstable();
        let mut scratch = Scratch::default();
        compare(&phrases, &[page], &mut scratch, &matches, &sums);
        for &size in sizes {
            let mut pieces = vec![""; 0];
            let mut rest = page;
            while !rest.is_empty() {
                let cut = (size.min(rest.len())..=rest.len()).find(|&at| rest.is_char_boundary(at));
                let (piece, after) = rest.split_at(cut.unwrap());
                pieces.push(piece);
                rest = after;
            }
            compare(&phrases, &pieces, &mut scratch, &matches, &sums);
        }
    }
}

fn compare(
    phrases: &Phrases,
    pieces: &[&str],
    scratch: &mut Scratch,
    matches: &[Match],
    sums: &BTreeMap<&str, i64>,
) {
    let mut scan = phrases.start(scratch);
    for piece in pieces {
        scan.feed(piece);
        // Asking on the way changes nothing, and never tells more than is there in the end.
        let so_far: Vec<u32> = scan.so_far().matches().map(|found| found.phrase).collect();
        assert!(so_far.iter().all(|phrase| matches.iter().any(|found| found.phrase == *phrase)));
    }
    let found = scan.finish();
    assert_eq!(found.matches().collect::<Vec<_>>(), matches);
    let theirs: BTreeMap<&str, i64> = found.sums().map(|(name, sum)| (name, sum.weight)).collect();
    assert_eq!(&theirs, sums);
    assert_eq!(found.weight(), sums.values().sum::<i64>());
}

/// Where a phrase or combination first is in a normalised page, and how often.
pub fn plain_search(page: &str, parts: &[&str]) -> Option<(u64, u32)> {
    let parts: BTreeSet<String> = parts.iter().map(|part| normalise::phrase(part)).collect();
    let (mut last, mut times) = (0, 0);
    for part in &parts {
        let ends = page.len().checked_sub(part.len())?;
        let begins = |at: &usize| page.as_bytes()[*at..].starts_with(part.as_bytes());
        last = last.max(page.find(part)?);
        times = if parts.len() > 1 { 1 } else { (0..=ends).filter(begins).count() };
    }
    Some((last as u64, times as u32))
}

#[cfg(test)]
mod tests {
    use crate::replay::replay;

    #[test]
    fn phrase_list() {
        replay("phrase_list", super::phrase_list);
    }

    #[test]
    fn phrase_scan() {
        replay("phrase_scan", super::phrase_scan);
    }
}
