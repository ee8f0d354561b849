#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use proptest::prelude::*;

fn boxed(needles: &[&str]) -> Vec<Box<[u8]>> {
    needles.iter().map(|needle| needle.as_bytes().into()).collect()
}

/// All places of all needles, in order.
fn search(needles: &[&str], text: &str, cuts: &[usize]) -> Vec<(u32, usize)> {
    let finder = Finder::new(&boxed(needles)).unwrap();
    let padded = [text.as_bytes(), &[0; PADDING]].concat();
    let mut found = Vec::new();
    let mut from = 0;
    for &to in cuts.iter().chain(&[text.len()]) {
        finder.search(&padded, from, to, &mut |needle, at| found.push((needle, at)));
        from = to;
    }
    found.sort_unstable();
    found
}

fn plainly(needles: &[&str], text: &str) -> Vec<(u32, usize)> {
    let places = (0..text.len()).filter(|&at| text.is_char_boundary(at));
    let mut found: Vec<_> = places
        .flat_map(|at| {
            let begins = move |needle: &str| text[at..].starts_with(needle);
            (0..)
                .zip(needles)
                .filter(move |(_, needle)| begins(needle))
                .map(move |(id, _)| (id, at))
        })
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn needles_of_every_length_are_found_where_they_overlap_and_at_both_ends() {
    let needles = ["a", "ab", "abc", "abcd", "bcde", "abcdefgh", "cdefgh", "é", "美", "é美", "ha"];
    let text = "abcdefghabé美abc";
    assert_eq!(search(&needles, text, &[]), plainly(&needles, text));
    assert_eq!(search(&needles, "", &[]), []);
}

#[test]
fn needles_that_share_all_windows_are_found_by_the_automaton() {
    let needles: Vec<String> = (1..60).map(|length| "a".repeat(length)).collect();
    let needles: Vec<&str> = needles.iter().map(String::as_str).collect();
    assert!(Finder::new(&boxed(&needles)).unwrap().crowded.is_some());
    let text = "a".repeat(100) + "b" + &"a".repeat(30);
    let found = search(&needles, &text, &[40, 41, 90]);
    assert_eq!(found, plainly(&needles, &text));
}

#[test]
fn no_needles_are_found_nowhere() {
    assert_eq!(search(&[], "some text", &[]), []);
}

proptest! {
    #[test]
    fn what_is_found_is_what_the_plainest_search_finds(
        needles in prop::collection::btree_set("[ab]{1,7}|[a-d é美]{1,5}|[ab]{4,40}", 0..60),
        text in "[ab]{0,200}|[a-d é美]{0,300}",
        cuts in prop::collection::vec(0_usize..300, 0..4),
    ) {
        let needles: Vec<&str> = needles.iter().map(String::as_str).collect();
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|&at| at <= text.len()).collect();
        cuts.sort_unstable();
        prop_assert_eq!(search(&needles, &text, &cuts), plainly(&needles, &text));
    }
}
