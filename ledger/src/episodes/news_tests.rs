#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::super::day::EpisodeDay;
use super::super::tests::{known, row};
use super::super::{Episode, category_signs};
use super::*;
use crate::notes::{SearchWords, WordsKind};
use crate::query::AccessRow;
use crate::record::{End, Ended};
use jiff::civil::date;

const MINUTE: i64 = 60_000;

/// An access with its signs.
type Access = (AccessRow, Vec<Sign>);

/// Somebody's access to a site of a category at a minute.
fn site(place: i64, minute: i64, host: &str, category: &str) -> AccessRow {
    row(place, minute * MINUTE, Some("sam.p"), host, category)
}

/// The one episode of these accesses, each with the signs of its category or those given.
fn episode(rows: &[Access]) -> Episode {
    let mut day = EpisodeDay::new(date(2026, 11, 24));
    for (row, signs) in rows {
        day.take(row, signs);
    }
    assert_eq!(day.episodes().len(), 1, "{:?}", day.episodes());
    day.episodes()[0].clone()
}

fn by_category(row: AccessRow) -> Access {
    let signs = category_signs(&row);
    (row, signs)
}

fn typed(mut row: AccessRow, text: &str, severity: Severity) -> Access {
    row.words = Some(SearchWords { text: text.into(), kind: WordsKind::Search, site: "s".into() });
    let sign = Sign { theme: "suicide".into(), points: 100, source: Source::Search, severity };
    (row, vec![sign])
}

fn further(episode: &Episode, known: Known) -> Option<String> {
    episode.further(known, Thresholds::default()).map(|it| it.words())
}

#[test]
fn what_is_stored_behind_the_last_row_that_somebody_saw_is_new_whatever_the_clock_says() {
    // Asked for before they looked, as its time says, and stored after.
    let rows = [site(0, 10, "a.test", "suicide"), site(1, 5, "b.test", "suicide")];
    let episode = episode(&rows.map(by_category));
    let ahead = Known { row: Some(0), ..known(60 * MINUTE) };
    assert_eq!(further(&episode, ahead).unwrap(), "1 sign, urgent (site)");
    assert_eq!(further(&episode, Known { row: Some(1), ..ahead }), None);
    // A clock that was behind as they looked: told by the time, as before.
    let behind = Known { row: Some(1), ..known(7 * MINUTE) };
    assert_eq!(further(&episode, behind).unwrap(), "1 sign, urgent (site)");
}

#[test]
fn where_the_clock_was_wrong_what_only_time_could_tell_is_new() {
    let wrong = |row| Known { row, is_time_wrong: true, ..known(60 * MINUTE) };
    let of_site = episode(&[by_category(site(0, 0, "a.test", "suicide"))]);
    assert_eq!(further(&of_site, wrong(Some(0))), None);
    assert!(further(&of_site, wrong(None)).is_some(), "nothing says what was stored by then");
    // Its row was there, and what it says was read later.
    let mut read = site(0, 0, "a.test", "education");
    read.ended = Some(Ended {
        end: End::Complete,
        status: 200,
        bytes_up: 0,
        bytes_down: 0,
        duration_us: 60_000_000,
        depth: None,
    });
    let severity = Severity::High;
    let sign = Sign { theme: "suicide".into(), points: 40, source: Source::Page, severity };
    let of_page = episode(&[(read, vec![sign])]);
    assert!(further(&of_page, wrong(Some(0))).is_some());
    assert_eq!(further(&of_page, Known { is_time_wrong: false, ..wrong(Some(0)) }), None);
}

#[test]
fn a_false_alarm_silences_what_the_same_sites_do_by_themselves_and_nothing_else() {
    let false_alarm = Known { row: Some(1), is_false_alarm: true, ..known(2 * MINUTE) };
    let at = |host: &str, category: &str| site(2, 10, host, category);
    let changed = |change: &dyn Fn(&mut AccessRow)| {
        let mut row = at("poll.test", "suicide");
        change(&mut row);
        row
    };
    let sign = |source, severity| Sign { theme: "suicide".into(), points: 40, source, severity };
    let poll = at("poll.test", "suicide");
    let cases: [(&str, Access, Option<&str>); 10] = [
        ("the site again", by_category(poll.clone()), None),
        (
            "a page of it that a page fetched",
            (
                changed(&|row| row.path = Some("/b".into())),
                vec![sign(Source::Site, Severity::High)],
            ),
            None,
        ),
        ("another site", by_category(at("other.test", "suicide")), Some("1 sign, urgent (site)")),
        (
            "one that was known as less",
            (at("high.test", "suicide"), vec![sign(Source::Site, Severity::Urgent)]),
            Some("1 sign, urgent (site)"),
        ),
        (
            "that one as it was",
            (at("high.test", "suicide"), vec![sign(Source::Site, Severity::High)]),
            None,
        ),
        (
            "somebody opened it",
            by_category(changed(&|row| row.visit = Visit::Opened)),
            Some("1 sign, urgent (site)"),
        ),
        (
            "it is on a list of what is illegal",
            by_category(changed(&|row| row.reason = ReasonCode::Locked)),
            Some("1 sign, urgent (site)"),
        ),
        (
            "words of an address",
            (poll.clone(), vec![sign(Source::Url, Severity::High)]),
            Some("1 sign, high (url)"),
        ),
        (
            "words of a page",
            (poll.clone(), vec![sign(Source::Page, Severity::High)]),
            Some("1 sign, high (page)"),
        ),
        ("a search", typed(poll, "goodbye", Severity::High), Some("1 sign, high (search)")),
    ];
    for (what, case, expected) in cases {
        let before = [
            by_category(site(0, 0, "poll.test", "suicide")),
            (site(1, 1, "high.test", "suicide"), vec![sign(Source::Site, Severity::High)]),
        ];
        let episode = episode(&[&before[..], &[case]].concat());
        assert_eq!(further(&episode, false_alarm).as_deref(), expected, "{what}");
        assert_eq!(episode.silenced(false_alarm), usize::from(expected.is_none()), "{what}");
        assert_eq!(episode.signs, 3, "{what}: it is counted");
        let nothing_said = Known { is_false_alarm: false, ..false_alarm };
        assert!(further(&episode, nothing_said).is_some(), "{what}: told where it was none");
        assert_eq!(episode.silenced(nothing_said), 0, "{what}");
    }
}

#[test]
fn who_opens_a_site_within_minutes_of_what_it_does_by_itself_is_told_after_a_false_alarm() {
    let mut opened = site(2, 6, "poll.test", "suicide");
    opened.visit = Visit::Opened;
    let rows = [
        site(0, 0, "poll.test", "suicide"),
        // What it does by itself counts, and so the same page is a repeat.
        site(1, 5, "poll.test", "suicide"),
        opened,
    ];
    let episode = episode(&rows.map(by_category));
    assert_eq!(episode.signs, 2);
    let false_alarm = Known { row: Some(0), is_false_alarm: true, ..known(MINUTE) };
    assert_eq!(further(&episode, false_alarm).unwrap(), "1 sign, urgent (site)");
    assert_eq!(episode.silenced(false_alarm), 1);
    let spoken = Known { row: Some(1), ..known(5 * MINUTE) };
    assert_eq!(further(&episode, spoken), None, "a page loaded again is no news else");
}

#[test]
fn what_a_site_does_all_day_pushes_out_nothing_that_somebody_typed_and_keeps_its_count() {
    let mut rows = vec![
        by_category(site(0, 0, "poll.test", "suicide")),
        typed(site(1, 2, "s.test", "education"), "goodbye", Severity::High),
    ];
    for place in 2..400 {
        rows.push(by_category(site(place, 5 * place, "poll.test", "suicide")));
    }
    let episode = episode(&rows);
    let false_alarm = Known { row: Some(0), is_false_alarm: true, ..known(MINUTE) };
    assert_eq!(further(&episode, false_alarm).unwrap(), "1 sign, high (search)");
    assert_eq!(episode.silenced(false_alarm), MAX_TIMES - 1);
}

#[test]
fn more_sites_than_are_remembered_are_told_again() {
    let host = |place: i64| format!("s{place}.test");
    let most = MAX_SITES as i64;
    let mut rows: Vec<_> =
        (0..=most).map(|place| by_category(site(place, place, &host(place), "suicide"))).collect();
    let false_alarm = Known { row: Some(most), is_false_alarm: true, ..known(most * MINUTE) };
    rows.push(by_category(site(most + 1, most + 6, &host(0), "suicide")));
    assert_eq!(further(&episode(&rows), false_alarm), None);
    rows.push(by_category(site(most + 2, most + 6, &host(most), "suicide")));
    rows.last_mut().unwrap().0.at.0 += 3_000;
    assert!(further(&episode(&rows), false_alarm).is_some());
}
