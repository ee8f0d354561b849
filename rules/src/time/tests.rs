#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use super::*;
use proptest::prelude::*;

fn at(text: &str) -> UnixMillis {
    UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond())
}

fn london(terms: &[&str]) -> SchoolClock {
    let terms: Vec<String> = terms.iter().map(|term| (*term).to_owned()).collect();
    SchoolClock::new("Europe/London", &terms).unwrap()
}

const LUNCH: &str = "Mon-Fri 12:10-13:10";

#[test]
fn lunch_is_at_the_school_clock_before_and_after_both_clock_changes() {
    let clock = london(&[]);
    let lunch = WeekTimes::parse(LUNCH).unwrap();
    let cases = [
        ("Friday before the clocks go forward", "2026-03-27T12:10:00Z", true),
        ("first instant", "2026-03-27T12:09:59.999Z", false),
        ("end is exclusive", "2026-03-27T13:10:00Z", false),
        ("Monday after: an hour earlier in UTC", "2026-03-30T11:10:00Z", true),
        ("Monday after, at the old time", "2026-03-30T12:10:00Z", false),
        ("Friday before the clocks go back", "2026-10-23T11:30:00Z", true),
        ("Monday after", "2026-10-26T11:30:00Z", false),
        ("Monday after, at lunch", "2026-10-26T12:30:00Z", true),
        ("Saturday", "2026-10-24T11:30:00Z", false),
    ];
    for (what, instant, expected) in cases {
        assert_eq!(clock.holds(&lunch, at(instant)), expected, "{what}");
    }
}

#[test]
fn the_days_of_the_clock_changes_are_23_and_25_hours_long() {
    let clock = london(&[]);
    for (day, start, hours) in [
        ("2026-03-29", "2026-03-29T00:00:00Z", 23),
        ("2026-10-25", "2026-10-24T23:00:00Z", 25),
        ("2026-11-22", "2026-11-22T00:00:00Z", 24),
    ] {
        let (from, until) = clock.day_bounds(day.parse().unwrap());
        assert_eq!(from, at(start), "{day}");
        assert_eq!(until.0 - from.0, hours * 3_600_000, "{day}");
        assert_eq!(clock.day(from).to_string(), day);
        assert_eq!(clock.day(UnixMillis(until.0 - 1)).to_string(), day);
    }
}

#[test]
fn a_time_in_the_skipped_hour_starts_at_the_change() {
    let clock = london(&[]);
    let early = WeekTimes::parse("Sun 01:30-03:00").unwrap();
    let (from, until) = clock.next(&early, at("2026-03-29T00:00:00Z")).unwrap();
    assert_eq!((from, until), (at("2026-03-29T01:00:00Z"), at("2026-03-29T02:00:00Z")));
    assert!(clock.holds(&early, from) && !clock.holds(&early, UnixMillis(from.0 - 1)));
}

#[test]
fn next_lunch_is_on_the_next_school_day() {
    let clock = london(&["2026-09-02/2026-12-18", "2027-01-04/2027-03-25"]);
    let lunch = WeekTimes::parse(LUNCH).unwrap();
    let next = |from: &str| {
        clock.next(&lunch, at(from)).map(|(from, until)| (clock.show(from), clock.show(until)))
    };
    let pair = |from: &str, until: &str| Some((from.to_owned(), until.to_owned()));
    assert_eq!(
        next("2026-10-23T11:00:00Z"),
        pair("Fri 23 Oct 2026 12:10 BST", "Fri 23 Oct 2026 13:10 BST")
    );
    assert_eq!(
        next("2026-10-23T12:10:00Z"),
        pair("Mon 26 Oct 2026 12:10 GMT", "Mon 26 Oct 2026 13:10 GMT")
    );
    assert_eq!(
        next("2026-11-24T12:30:00Z"),
        pair("Tue 24 Nov 2026 12:30 GMT", "Tue 24 Nov 2026 13:10 GMT")
    );
    assert_eq!(
        next("2026-12-18T20:00:00Z"),
        pair("Mon 4 Jan 2027 12:10 GMT", "Mon 4 Jan 2027 13:10 GMT")
    );
    assert_eq!(next("2027-03-26T00:00:00Z"), None);
    assert!(!clock.holds(&lunch, at("2026-12-21T12:30:00Z")), "holidays");
}

#[test]
fn a_time_past_midnight_is_one_range() {
    let clock = london(&[]);
    let night = WeekTimes::parse("Sun-Thu 22:00-06:00").unwrap();
    assert!(clock.holds(&night, at("2026-11-23T05:59:00Z")), "Monday early, from Sunday");
    assert!(!clock.holds(&night, at("2026-11-22T05:59:00Z")), "Sunday early, from Saturday");
    let (from, until) = clock.next(&night, at("2026-11-22T12:00:00Z")).unwrap();
    assert_eq!((from, until), (at("2026-11-22T22:00:00Z"), at("2026-11-23T06:00:00Z")));
}

#[test]
fn times_of_the_week_are_read_in_their_forms() {
    let parse = |text: &str| WeekTimes::parse(text).map(|times| times.minutes);
    assert_eq!(parse("Mon 00:00-24:00"), Ok(vec![(0, 1440)]));
    assert_eq!(parse("Mon,Wed 15:30-17:00"), Ok(vec![(930, 1020), (3810, 3900)]));
    assert_eq!(parse("Mon 9:00-10:00; Tue 09:00-10:00"), parse("mon-tuesday 09:00 - 10:00"));
    assert_eq!(parse("Mon 9:00-10:00, 10:00-11:00"), Ok(vec![(540, 660)]));
    assert_eq!(parse("Mon 9:00-10:00, Tue 9:00-10:00"), parse("Mon-Tue 9:00\u{2013}10:00"));
    assert_eq!(parse("Sun 23:00-01:00"), Ok(vec![(0, 60), (10020, 10080)]));
    assert_eq!(parse("Fri-Mon 12:00-13:00").unwrap().len(), 4);
    assert_eq!(parse("12:00-13:00").unwrap().len(), 7);
    for text in [
        "",
        "Mon",
        "12:00",
        "Mon-Fri",
        "Mon 12:60-13:00",
        "Mon 25:00-26:00",
        "Mon 12-13",
        "Mon 12:00-12:00",
        "Mon 24:00-01:00",
        "Fun 12:00-13:00",
        "Mo 12:00-13:00",
        "Mon 12:00-13:00 Tue",
        "Mon-Fri 12.10-13.10",
    ] {
        assert!(WeekTimes::parse(text).is_err(), "{text}");
    }
}

#[test]
fn moments_are_read_as_people_say_them() {
    let clock = london(&["2026-09-02/2026-12-18"]);
    // A Sunday afternoon, GMT.
    let now = at("2026-11-22T15:20:00Z");
    let cases = [
        ("Tue 10:00", false, "Tue 24 Nov 2026 10:00 GMT"),
        ("Sun 15:20", false, "Sun 22 Nov 2026 15:20 GMT"),
        ("sunday 15:19", false, "Sun 29 Nov 2026 15:19 GMT"),
        ("10:50", true, "Sun 22 Nov 2026 10:50 GMT"),
        ("2026-01-05", false, "Mon 5 Jan 2026 00:00 GMT"),
        ("2026-01-05", true, "Tue 6 Jan 2026 00:00 GMT"),
        ("2026-07-05 14:00", true, "Sun 5 Jul 2026 14:00 BST"),
        ("2026-07-05T14:00", true, "Sun 5 Jul 2026 14:00 BST"),
        ("2026-07-05T14:00:00Z", true, "Sun 5 Jul 2026 15:00 BST"),
        ("2026-07-05T14:00:00+01:00", true, "Sun 5 Jul 2026 14:00 BST"),
        ("2h", true, "Sun 22 Nov 2026 17:20 GMT"),
        ("90 minutes", true, "Sun 22 Nov 2026 16:50 GMT"),
        ("3 days", true, "Wed 25 Nov 2026 15:20 GMT"),
        ("friday", true, "Sat 28 Nov 2026 00:00 GMT"),
        ("next friday", true, "Sat 28 Nov 2026 00:00 GMT"),
        ("next sunday", false, "Sun 29 Nov 2026 00:00 GMT"),
        ("next mon 09:00", false, "Mon 23 Nov 2026 09:00 GMT"),
        ("Fri", false, "Fri 27 Nov 2026 00:00 GMT"),
        ("sunday", true, "Mon 23 Nov 2026 00:00 GMT"),
        ("tomorrow", true, "Tue 24 Nov 2026 00:00 GMT"),
        ("end of term", true, "Sat 19 Dec 2026 00:00 GMT"),
        ("now", true, "Sun 22 Nov 2026 15:20 GMT"),
    ];
    for (text, end, shown) in cases {
        assert_eq!(clock.show(clock.moment(text, now, end).unwrap()), shown, "{text}");
    }
    for text in [
        "",
        "soon",
        "Tue",
        "10:60",
        "2026-13-01",
        "2026-02-30",
        "h",
        "3 fortnights",
        "99999999999999999999 days",
    ] {
        let moment = clock.moment(text, now, true);
        assert_eq!(moment.is_err(), text != "Tue", "{text}");
    }
    assert_eq!(london(&[]).moment("end of term", now, true), Err(TimeError::NoTerm));
    let wednesday = UnixMillis(now.0 + 3 * 86_400_000);
    let next = clock.moment("next friday", wednesday, true).unwrap();
    assert_eq!(clock.show_end(next), "the end of Fri 4 Dec 2026", "not the one of this week");
    assert_eq!(clock.show_end(UnixMillis(next.0 - 60_000)), "Fri 4 Dec 2026 23:59 GMT");
}

#[test]
fn a_slip_in_a_word_for_a_time_is_told_the_word() {
    let clock = london(&[]);
    let at = |text| clock.moment(text, UnixMillis(0), true).unwrap_err().to_string();
    for (text, nearest) in [
        ("frday", "friday"),
        ("tommorow", "tomorrow"),
        ("wednsday", "wednesday"),
        ("todya", "today"),
    ] {
        let told = at(text);
        assert!(told.ends_with(&format!("did you mean \"{nearest}\"?")), "{told}");
    }
    assert!(at("soon").contains("such as \"Tue 10:00\""));
}

#[test]
fn a_date_that_is_none_or_is_written_in_another_way_is_told_so() {
    let clock = london(&[]);
    let now = at("2026-11-22T15:20:00Z");
    let moment = |text| clock.moment(text, now, true).unwrap_err().to_string();
    let range = |text| clock.range(text, now).unwrap_err().to_string();
    for (text, told) in [
        ("2026-02-30", "there is no 2026-02-30 in the calendar"),
        ("2026-02-30 14:00", "there is no 2026-02-30 in the calendar"),
        ("30.2.2026", "there is no 30.2.2026 in the calendar"),
        ("2026-01-05/2026-02-30", "there is no 2026-02-30 in the calendar"),
        ("26.11.2026 14:00", "\"26.11.2026 14:00\" is no time; did you mean \"2026-11-26\"?"),
        ("26/11/2026", "\"26/11/2026\" is no time; did you mean \"2026-11-26\"?"),
        ("1-2-2026", "\"1-2-2026\" is no time; did you mean \"2026-02-01\"?"),
        (" 26.11.2026 ", "\"26.11.2026\" is no time; did you mean \"2026-11-26\"?"),
    ] {
        assert_eq!((moment(text), range(text)), (told.to_owned(), told.to_owned()), "{text}");
    }
    // However long it is.
    let long = "2026-01-05/".repeat(200_000);
    assert!(moment(&long).contains("write it like") && range(&long).contains("write it like"));
    for text in ["2026-11-26 99:00", "26.11.26", "26.11.2026.1", "a.b.cdef", "1.999.2026"] {
        assert!(moment(text).contains("write it like"), "{text}: {}", moment(text));
    }
    let ahead = "\"2027-01-05\" (Tue 5 Jan 2027 00:00 GMT) has not come yet";
    assert!(range("2027-01-05").starts_with(ahead), "{}", range("2027-01-05"));
    let ahead = "\"2027-01-05/2027-01-09\" (Tue 5 Jan 2027 00:00 GMT) has not come yet";
    assert!(range("2027-01-05/2027-01-09").starts_with(ahead));
    assert!(range("tomorow").contains("past time or range"), "it lies ahead");
}

#[test]
fn three_days_keep_the_time_of_day_across_a_clock_change() {
    let clock = london(&[]);
    let before = at("2026-10-24T09:00:00Z");
    assert_eq!(clock.moment("3 days", before, true), Ok(at("2026-10-27T10:00:00Z")));
    assert_eq!(clock.moment("72 hours", before, true), Ok(at("2026-10-27T09:00:00Z")));
}

#[test]
fn a_test_on_tuesday_means_a_tuesday_in_term() {
    let clock = london(&["2026-09-02/2026-12-18", "2027-01-05/2027-03-25"]);
    let moment = |now: &str| clock.show(clock.school_moment("Tue 12:30", at(now)).unwrap());
    assert_eq!(moment("2026-12-16T12:00:00Z"), "Tue 5 Jan 2027 12:30 GMT");
    assert_eq!(moment("2027-06-01T12:00:00Z"), "Tue 23 Mar 2027 12:30 GMT");
    assert_eq!(moment("2026-10-20T12:00:00Z"), "Tue 27 Oct 2026 12:30 GMT");
}

#[test]
fn ranges_are_whole_or_open() {
    let clock = london(&["2026-09-02/2026-12-18"]);
    // A Wednesday.
    let now = at("2026-11-25T15:20:00Z");
    let cases = [
        ("2h", "Wed 25 Nov 2026 13:20 GMT", None),
        ("2 hours ago", "Wed 25 Nov 2026 13:20 GMT", None),
        ("2026-11-20", "Fri 20 Nov 2026 00:00 GMT", None),
        ("2026-11-20 09:00", "Fri 20 Nov 2026 09:00 GMT", None),
        ("2026-11-20T09:00:00Z", "Fri 20 Nov 2026 09:00 GMT", None),
        ("today", "Wed 25 Nov 2026 00:00 GMT", None),
        ("yesterday", "Tue 24 Nov 2026 00:00 GMT", Some("Wed 25 Nov 2026 00:00 GMT")),
        ("Last week", "Mon 16 Nov 2026 00:00 GMT", Some("Mon 23 Nov 2026 00:00 GMT")),
        ("this week", "Mon 23 Nov 2026 00:00 GMT", None),
        ("last month", "Thu 1 Oct 2026 00:00 BST", Some("Sun 1 Nov 2026 00:00 GMT")),
        ("this term", "Wed 2 Sep 2026 00:00 BST", None),
        ("2026-10-24/2026-10-25", "Sat 24 Oct 2026 00:00 BST", Some("Mon 26 Oct 2026 00:00 GMT")),
    ];
    for (text, from, until) in cases {
        let range = clock.range(text, now).unwrap();
        assert_eq!(clock.show(range.0), from, "{text}");
        assert_eq!(
            clock.show(range.1),
            until.map_or_else(|| clock.show(now), str::to_owned),
            "{text}"
        );
    }
    for text in ["", "friday", "2027-01-01", "last term", "10:00", "2026-10-25/2026-10-24"] {
        assert!(clock.range(text, now).is_err(), "{text}");
    }
}

#[test]
fn machines_get_the_offset() {
    let clock = london(&[]);
    assert_eq!(clock.rfc3339(at("2026-07-05T14:00:00.007Z")), "2026-07-05T15:00:00.007+01:00");
    assert_eq!(clock.rfc3339(at("2026-11-26T10:00:00Z")), "2026-11-26T10:00:00.000+00:00");
}

#[test]
fn zones_and_terms_that_are_none_are_refused() {
    assert_eq!(
        SchoolClock::new("Europe/Lodnon", &[]).unwrap_err(),
        TimeError::NoZone("Europe/Lodnon".into())
    );
    for term in ["2026-09-02", "2026-12-18/2026-09-02", "2026-09-02/", "2026-09-31/2026-12-18"] {
        assert!(SchoolClock::new("Europe/London", &[term.to_owned()]).is_err(), "{term}");
    }
}

#[test]
fn school_days_leave_out_weekends_and_holidays() {
    let clock = london(&["2026-11-02/2026-12-18"]);
    let after =
        |from: &str, count: u32| clock.after_school_days(at(from), count).map(|at| clock.show(at));
    let friday = "2026-11-20T09:00:00Z";
    assert_eq!(after(friday, 1).as_deref(), Some("Tue 24 Nov 2026 00:00 GMT"));
    assert_eq!(after(friday, 5).as_deref(), Some("Sat 28 Nov 2026 00:00 GMT"));
    assert_eq!(after("2026-10-20T09:00:00Z", 1).as_deref(), Some("Tue 3 Nov 2026 00:00 GMT"));
    assert_eq!(after("2026-12-17T09:00:00Z", 2), None, "no more terms");
    assert_eq!(after(friday, 0), None);
}

#[test]
fn the_ends_of_time_do_no_harm() {
    let clock = london(&[]);
    let lunch = WeekTimes::parse(LUNCH).unwrap();
    for instant in [UnixMillis(i64::MIN), UnixMillis(i64::MAX)] {
        let _ = (clock.show(instant), clock.rfc3339(instant), clock.holds(&lunch, instant));
        let _ = (clock.next(&lunch, instant), clock.day_bounds(clock.day(instant)));
        let _ = (clock.range("last week", instant), clock.moment("Tue 10:00", instant, true));
    }
}

proptest! {
    #[test]
    fn next_agrees_with_holds(minutes in 0_i64..600_000, from in 0_u16..1440, length in 1_u16..1439, zone in 0_usize..4) {
        let zone = ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"][zone];
        let clock = SchoolClock::new(zone, &[]).unwrap();
        let until = (from + length) % 1440;
        let text = format!("Mon-Sun {:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60);
        let times = WeekTimes::parse(&text).unwrap();
        let now = UnixMillis(1_767_225_600_000 + minutes * 60_000);
        let (open, close) = clock.next(&times, now).unwrap();
        prop_assert!(now <= open && open < close);
        prop_assert!(clock.holds(&times, open));
        if open > now {
            prop_assert!(!clock.holds(&times, now));
        }
    }
}
