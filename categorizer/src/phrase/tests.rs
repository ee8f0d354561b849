#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use proptest::prelude::*;

fn weighted(entries: &[(&str, i32, &[&str])], options: Options) -> Phrases {
    let mut builder = PhrasesBuilder::new(options);
    for (category, points, parts) in entries {
        builder.add(category, Effect::Weigh(Weight::Points(*points)), parts).unwrap();
    }
    builder.finish().unwrap()
}

#[test]
fn weights_are_summed_by_category_and_a_phrase_counts_once_or_each_time() {
    let entries: &[(&str, i32, &[&str])] = &[
        ("gambling", 30, &[" roulette "]),
        ("gambling", 50, &["free spins", "jackpot"]),
        ("gambling", 70, &["free spins", "poker"]),
        ("schools", -20, &["lesson"]),
    ];
    let page = "Roulette, roulette! A LESSON on free spins and the jackpot. Roulettes.";
    for (counting, gambling) in [(Counting::Once, 80), (Counting::Each, 110)] {
        let phrases = weighted(entries, Options { counting, ..Options::default() });
        let mut scratch = Scratch::default();
        let found = phrases.scan(page, &mut scratch);
        let sums: Vec<_> = found.sums().collect();
        assert_eq!(sums[0], ("gambling", Sum { weight: gambling, phrases: 2 }));
        assert_eq!(sums[1], ("schools", Sum { weight: -20, phrases: 1 }));
        assert_eq!(found.weight(), gambling - 20);
        let found: Vec<_> = found.matches().map(|one| (one.phrase, one.first, one.times)).collect();
        assert_eq!(found, [(0, 0, 2), (3, 21, 1), (1, 50, 1)]);
    }
}

#[test]
fn banned_and_excepted_pages_say_by_which_phrase() {
    let mut builder = PhrasesBuilder::default();
    builder.add("", Effect::Except, &["school board"]).unwrap();
    builder.add("", Effect::Ban, &["never anywhere"]).unwrap();
    let ban = builder.add("", Effect::Ban, &["nor", "here"]).unwrap();
    let phrases = builder.finish().unwrap();
    let mut scratch = Scratch::default();
    let found = phrases.scan("Here, nor there, by the School-Board", &mut scratch);
    assert_eq!(found.banned().unwrap().phrase, ban);
    assert_eq!(found.excepted().unwrap().phrase, 0);
    assert_eq!(found.weight(), 0);
    let found = phrases.scan("neither", &mut scratch);
    assert!(found.banned().is_none() && found.excepted().is_none());
}

#[test]
fn a_repeated_phrase_counts_once_with_the_weight_that_is_farther_from_nothing() {
    let mut builder = PhrasesBuilder::default();
    for (points, part) in [(10, "Word"), (-30, "word"), (20, "WORD")] {
        assert_eq!(builder.add("a", Effect::Weigh(Weight::Points(points)), &[part]), Ok(0));
    }
    assert_eq!(builder.add("b", Effect::Weigh(Weight::Percent(25)), &["word"]), Ok(1));
    assert_eq!(builder.repeated(), 2);
    let phrases = builder.finish().unwrap();
    assert_eq!((phrases.len(), phrases.texts()), (2, 1));
    let mut scratch = Scratch::default();
    let sums: Vec<_> = phrases.scan("word", &mut scratch).sums().collect();
    assert_eq!((sums[0].1.weight, sums[1].1.weight), (-30, 25));
    let parts = phrases.phrase(0).unwrap();
    assert_eq!(parts, ("a", Effect::Weigh(Weight::Points(-30)), vec!["word"]));
    assert!(phrases.phrase(2).is_none());
}

#[test]
fn what_cannot_be_looked_for_is_refused() {
    let mut builder = PhrasesBuilder::default();
    let long = "a".repeat(MAX_PHRASE_BYTES + 1);
    let many = vec!["a"; MAX_PARTS + 1];
    for (parts, why) in [
        (&[][..], Refused::Blank),
        (&[" "], Refused::Blank),
        (&["word", "\u{ad}"], Refused::Blank),
        (&[&long], Refused::Long),
        (&many, Refused::ManyParts),
    ] {
        assert_eq!(builder.add("", Effect::Ban, parts), Err(why));
    }
    assert!(builder.finish().unwrap().is_empty());
}

#[test]
fn a_scratch_serves_different_sets_one_after_the_other() {
    let small = weighted(&[("a", 1, &["one"])], Options::default());
    let large = weighted(&[("a", 1, &["two"]), ("b", 2, &["one", "two"])], Options::default());
    let mut scratch = Scratch::default();
    for _ in 0..3 {
        assert_eq!(small.scan("one two", &mut scratch).weight(), 1);
        assert_eq!(large.scan("one two", &mut scratch).weight(), 3);
        assert_eq!(large.scan("one", &mut scratch).weight(), 0);
        // One that is given up leaves nothing behind.
        large.start(&mut scratch).feed("one two");
    }
}

#[test]
fn phrases_across_the_edges_of_the_buffer_are_found_once() {
    let long = format!("x{}y", "w".repeat(MAX_PHRASE_BYTES - 2));
    let entries = [vec![long.as_str()], vec![" end "], vec!["é"], vec!["begin"]];
    for shift in [0, 1, 2, 3, 200, 255, 256, 257] {
        let page = "begin".to_owned()
            + &"_.a".repeat(5_400 + shift)
            + &long
            + "é"
            + &"ab".repeat(9_000)
            + " end";
        fuzzing::check_scan(&entries, &page, &[10_000]);
    }
}

proptest! {
    #[test]
    fn a_scan_finds_what_the_plainest_search_finds_however_the_page_is_cut(
        lines in prop::collection::vec("[ab ]{1,6}|[a-c é少,]{1,9}|[A-Ca-c.-]{1,20}", 0..40),
        page in "[ab ]{0,100}|[A-Ca-c é少.\u{ad}]{0,200}",
    ) {
        let entries: Vec<Vec<&str>> = lines.iter().map(|line| line.split(',').collect()).collect();
        fuzzing::check_scan(&entries, &page, &[1, 5]);
    }

    #[test]
    fn any_bytes_are_a_list_of_which_every_line_is_told(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        lines in prop::collection::vec("[<>,a-c0-9 #%é.-]{0,20}|(<[a-c ]{1,3}>,?){1,3}<-?[0-9]{1,2}>", 0..20),
    ) {
        fuzzing::phrase_list(&bytes);
        fuzzing::phrase_list(lines.join("\n").as_bytes());
    }
}

#[test]
fn no_weight_in_percent_becomes_nothing() {
    let points = |percent, limit| Weight::Percent(percent).points(limit);
    assert_eq!([points(1, 50), points(-1, 50), points(10, 50), points(3, 50)], [1, -1, 5, 2]);
    assert_eq!([points(1_000_000, i32::MAX), points(-1_000_000, i32::MAX)], [i32::MAX, i32::MIN]);
}
