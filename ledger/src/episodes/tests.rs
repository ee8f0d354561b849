use super::person::MAX_DEVICES;
use super::visit::{is_embedded, is_visit};
use super::*;
use crate::query::{AccessRow, Cursor};
use crate::record::Depth;
use jiff::civil::{Date, date};
use proptest::prelude::*;
use rules::alert::Severity::{self, High, Routine, Urgent};
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::visit::Visit;

const DAY: Date = date(2026, 11, 24);
const MINUTE: i64 = 60_000;

/// A blocked page of a category.
pub(crate) fn row(
    sequence: i64,
    at: i64,
    user: Option<&str>,
    host: &str,
    category: &str,
) -> AccessRow {
    AccessRow {
        cursor: Cursor { day: DAY, sequence },
        id: RequestId(1_000 + sequence as u64),
        at: UnixMillis(at),
        user: user.map(str::to_owned),
        level: "ks3".to_owned(),
        client: "10.0.0.7".to_owned(),
        method: "GET".to_owned(),
        scheme: Scheme::Https,
        host: host.to_owned(),
        port: 443,
        path: Some("/".to_owned()),
        categories: vec![category.to_owned()],
        verdict: Verdict::Block,
        reason: ReasonCode::Category,
        rule: None,
        unblock: None,
        depth: Depth::Page,
        visit: Visit::Unknown,
        policy_hash: String::new(),
        list_version: String::new(),
        zone: "Europe/London".to_owned(),
        ended: None,
        words: None,
        signs: Vec::new(),
    }
}

fn taken(rows: &[AccessRow]) -> EpisodeDay {
    let mut day = EpisodeDay::new(DAY);
    for row in rows {
        day.take(row, &category_signs(row));
    }
    day
}

/// Of somebody who looked then.
pub(super) fn known(at: i64) -> Known {
    Known { at: UnixMillis(at), row: None, is_time_wrong: false, is_false_alarm: false }
}

/// Rows of one person at these minutes, each another site.
fn at_minutes(minutes: &[i64], category: &str) -> Vec<AccessRow> {
    let row = |(place, minute): (usize, &i64)| {
        row(place as i64, minute * MINUTE, Some("Sam.P"), &format!("site{place}.example"), category)
    };
    minutes.iter().enumerate().map(row).collect()
}

#[test]
fn an_episode_goes_on_until_thirty_minutes_without_a_sign() {
    let cases: [(&[i64], &[u32]); 6] = [
        (&[0], &[1]),
        (&[0, 29, 58], &[3]),
        (&[0, 30], &[1, 1]),
        (&[0, 10, 45, 46], &[2, 2]),
        // Stored later than it was read.
        (&[40, 20], &[2]),
        (&[40, 5], &[1, 1]),
    ];
    for (minutes, expected) in cases {
        let day = taken(&at_minutes(minutes, "drugs"));
        let signs: Vec<u32> = day.episodes().iter().map(|episode| episode.signs).collect();
        assert_eq!(signs, expected, "{minutes:?}");
    }
}

#[test]
fn an_episode_says_who_what_when_and_which_records() {
    let day = taken(&at_minutes(&[0, 10], "self-harm"));
    let [episode] = day.episodes() else { panic!("{:?}", day.episodes()) };
    assert_eq!(episode.key, EpisodeKey { first: RequestId(1000), theme: "self-harm".into() });
    assert_eq!(episode.person, Person::User("sam.p".into()));
    assert_eq!(episode.person.confidence(), Confidence::SignedIn);
    assert_eq!((episode.severity, episode.strongest), (High, Source::Site));
    assert_eq!((episode.first, episode.last), (UnixMillis(0), UnixMillis(10 * MINUTE)));
    assert_eq!(
        (episode.requests, episode.points, &episode.records[..]),
        (2, 20, &[(0, RequestId(1000)), (1, RequestId(1001))][..])
    );
}

#[test]
fn people_themes_and_devices_are_kept_apart_and_names_have_no_case() {
    let rows = [
        row(0, 0, Some("sam.p"), "a.example", "drugs"),
        row(1, 10_000, Some("SAM.P"), "b.example", "drugs"),
        row(2, 20_000, Some("kim.o"), "a.example", "drugs"),
        row(3, 30_000, None, "a.example", "drugs"),
        row(4, 40_000, Some("sam.p"), "c.example", "weapons"),
    ];
    let day = taken(&rows);
    let signs: Vec<(&str, u32)> =
        day.episodes().iter().map(|it| (it.person.name(), it.signs)).collect();
    assert_eq!(signs, [("sam.p", 2), ("kim.o", 1), ("10.0.0.7", 1), ("sam.p", 1)]);
    assert_eq!(day.episodes()[2].person.confidence(), Confidence::DeviceOnly);
}

#[test]
fn the_same_page_within_five_minutes_and_several_sites_at_once_count_once() {
    let page = |sequence, at| row(sequence, at, Some("sam.p"), "a.example", "drugs");
    let day = taken(&[page(0, 0), page(1, 4 * MINUTE), page(2, 5 * MINUTE), page(3, 6 * MINUTE)]);
    assert_eq!((day.episodes()[0].signs, day.episodes()[0].requests), (2, 4));

    let burst: Vec<AccessRow> = (0..4)
        .map(|place| row(place, place * 500, Some("sam.p"), &format!("s{place}.example"), "drugs"))
        .collect();
    let day = taken(&burst);
    assert_eq!((day.episodes()[0].signs, day.episodes()[0].requests), (1, 4));
}

#[test]
fn what_a_page_fetches_by_itself_begins_nothing_but_where_it_is_urgent_and_never_counts() {
    let script = |mut row: AccessRow| {
        row.path = Some("/widget.JS".to_owned());
        row
    };
    let fetched = script(row(0, 0, Some("sam.p"), "a.example", "drugs"));
    for source in Source::ALL {
        let by_its_ending = matches!(source, Source::Site | Source::Url);
        assert_eq!(is_embedded(&fetched, source), by_its_ending, "{source:?}");
    }
    assert!(taken(&[fetched]).episodes().is_empty());

    let opened = row(0, 0, Some("sam.p"), "a.example", "drugs");
    let later = script(row(1, MINUTE, Some("sam.p"), "b.example", "drugs"));
    let day = taken(&[opened, later]);
    assert_eq!((day.episodes()[0].signs, day.episodes()[0].requests), (1, 2));

    let urgent = script(row(0, 0, Some("sam.p"), "a.example", "suicide"));
    let again = script(row(1, MINUTE, Some("sam.p"), "b.example", "suicide"));
    let day = taken(&[urgent, again]);
    assert_eq!((day.episodes()[0].signs, day.episodes()[0].requests), (1, 2));
}

#[test]
fn a_page_that_was_read_counts_whatever_its_address_ends_with() {
    for (path, source, begins) in [
        ("/story.js", Source::Page, true),
        ("/answer.ts", Source::Reply, true),
        ("/search/drugs.js", Source::Search, true),
        ("/widget.js", Source::Url, false),
    ] {
        let mut row = row(0, 0, Some("sam.p"), "a.example", "search-engines");
        (row.verdict, row.path) = (Verdict::Allow, Some(path.to_owned()));
        let sign = Sign { theme: "drugs".into(), points: 40, source, severity: High };
        let mut day = EpisodeDay::new(DAY);
        day.take(&row, &[sign]);
        let counted: Vec<u32> = day.episodes().iter().map(|it| it.signs).collect();
        assert_eq!(counted, if begins { vec![1] } else { vec![] }, "{path}");
    }
}

#[test]
fn what_the_browser_says_a_page_fetched_is_never_urgent_and_what_was_opened_is_whatever_it_ends_in()
{
    let told = |sequence, at, host: &str, category: &str, visit| {
        let row = row(sequence, at, Some("sam.p"), host, category);
        AccessRow { visit, path: Some("/w.js".to_owned()), ..row }
    };
    let due = |rows: &[AccessRow]| {
        taken(rows).episodes().iter().map(|it| it.due(Thresholds::default())).collect::<Vec<_>>()
    };
    for category in ["suicide", "self-harm", "adult"] {
        assert_eq!(due(&[told(0, 0, "a.example", category, Visit::Part)]), [], "{category}");
    }
    assert_eq!(due(&[told(0, 0, "a.example", "suicide", Visit::Opened)]), [Some(Urgent)]);
    // By its time alone: it might have been opened.
    assert_eq!(due(&[told(0, 0, "a.example", "suicide", Visit::Frame)]), [Some(Urgent)]);
    assert_eq!(due(&[told(0, 0, "a.example", "drugs", Visit::Frame)]), []);

    // A second one within an episode's time may be the next of some that somebody opened; both at once are one page's.
    let framed = |sequence, at, host: &str| told(sequence, at, host, "weapons", Visit::Frame);
    for (host, at, expected) in [
        ("b.example", MINUTE, 1),
        ("b.example", 29 * MINUTE, 1),
        ("b.example", 1_900, 0),
        ("a.example", MINUTE, 0),
        ("b.example", 30 * MINUTE, 0),
    ] {
        let day = taken(&[framed(0, 0, "a.example"), framed(1, at, host)]);
        let begun: Vec<_> = day.episodes().iter().map(|it| (it.severity, it.signs)).collect();
        assert_eq!(begun, vec![(Routine, 1); expected], "{host} {at}");
    }
    let high = |sequence, at, host: &str| told(sequence, at, host, "extremism", Visit::Frame);
    let day = taken(&[high(0, 0, "a.example"), high(1, MINUTE, "b.example")]);
    assert_eq!(day.episodes().iter().map(|it| it.severity).collect::<Vec<_>>(), [Routine]);

    // Beside what was opened it is counted among the requests, and makes nothing worse.
    let rows = [
        told(0, 0, "a.example", "weapons", Visit::Opened),
        told(1, MINUTE, "b.example", "dangerous-acts", Visit::Part),
    ];
    let day = taken(&rows);
    let [episode] = day.episodes() else { panic!("{:?}", day.episodes()) };
    assert_eq!((episode.severity, episode.signs, episode.requests), (Routine, 1, 2));

    // Illegal pictures in a page: the second page that has some is told of, and not at once.
    let locked = |sequence, at, host: &str| AccessRow {
        reason: ReasonCode::Locked,
        ..told(sequence, at, host, "csam", Visit::Part)
    };
    let first = [locked(0, 0, "a.example"), locked(1, 300, "b.example")];
    assert_eq!(due(&first), [None]);
    let [one, other] = first;
    assert_eq!(due(&[one, other, locked(2, MINUTE, "c.example")]), [Some(High)]);

    // What a page says counts, whoever had it fetched.
    let mut day = EpisodeDay::new(DAY);
    let sign = Sign { theme: "suicide".into(), points: 40, source: Source::Page, severity: Urgent };
    assert_eq!(day.take(&told(0, 0, "a.example", "education", Visit::Part), &[sign]), [0]);
}

#[test]
fn what_is_listed_as_advertising_besides_begins_an_episode_where_it_was_opened_or_read() {
    let listed = |visit| {
        let mut row = AccessRow { visit, ..row(0, 0, None, "a.example", "suicide") };
        row.categories.push("trackers".to_owned());
        row
    };
    for (visit, source, expected) in [
        (Visit::Opened, Source::Site, false),
        (Visit::Opened, Source::Page, false),
        (Visit::Unknown, Source::Site, true),
        (Visit::Unknown, Source::Page, false),
        (Visit::Part, Source::Reply, false),
    ] {
        assert_eq!(is_embedded(&listed(visit), source), expected, "{visit:?} {source:?}");
    }
    let drugs = AccessRow {
        categories: vec!["drugs".into(), "advertising".into()],
        ..listed(Visit::Opened)
    };
    assert_eq!(taken(&[drugs]).episodes().len(), 1);
}

#[test]
fn pages_that_were_opened_are_visits_once() {
    use crate::record::{End, Ended};
    let opened = AccessRow { visit: Visit::Opened, ..row(0, 0, None, "a.example", "games") };
    let ended = |status| {
        let (end, depth) = (End::Complete, None);
        Some(Ended { end, status, bytes_up: 0, bytes_down: 0, duration_us: 0, depth })
    };
    assert!(is_visit(&opened));
    for (status, expected) in [(200, true), (304, true), (403, true), (301, false), (302, false)] {
        let row = AccessRow { ended: ended(status), ..opened.clone() };
        assert_eq!(is_visit(&row), expected, "{status}");
    }
    for (method, visit) in [
        ("PAGE", Visit::Opened),
        ("PROMPT", Visit::Opened),
        ("CONNECT", Visit::Unknown),
        ("GET", Visit::Part),
    ] {
        let row = AccessRow { method: method.to_owned(), visit, ..opened.clone() };
        assert!(!is_visit(&row), "{method}");
    }
}

#[test]
fn what_somebody_typed_counts_though_a_script_sent_it_and_is_no_repeat() {
    let mut day = EpisodeDay::new(DAY);
    for sequence in 0..3 {
        let mut row =
            row(sequence, sequence * 1000, Some("sam.p"), "search.example", "search-engines");
        (row.verdict, row.method) = (Verdict::Allow, "PUT".to_owned());
        let sign =
            Sign { theme: "drugs".into(), points: 40, source: Source::Search, severity: High };
        assert_eq!(day.take(&row, &[sign]), [0]);
    }
    assert_eq!((day.episodes()[0].signs, day.episodes()[0].strongest), (3, Source::Search));
}

#[test]
fn the_same_search_counts_once_in_five_minutes_and_what_is_still_being_typed_not_at_all() {
    use crate::notes::{self, SearchWords, SignSource, WordsKind};
    let ask = |sequence, at, text: &str, kind| {
        let mut row = row(sequence, at, Some("sam.p"), "search.example", "search-engines");
        row.verdict = Verdict::Allow;
        let (text, site) = (text.to_owned(), "Example Search".to_owned());
        row.words = Some(SearchWords { text, kind, site });
        let (theme, source) = ("drugs".to_owned(), SignSource::Search);
        row.signs =
            vec![notes::Sign { theme, points: 40, source, severity: notes::Severity::High }];
        row
    };
    let rows = [
        ask(0, 0, "buy we", WordsKind::Suggest),
        ask(1, 900, "buy weed", WordsKind::Suggest),
        ask(2, 1_000, "buy weed", WordsKind::Search),
        ask(3, 2_000, "Buy weed ", WordsKind::Search),
        ask(4, 3_000, "weed near me", WordsKind::Search),
        ask(5, 4_000, "weed near me wh", WordsKind::Suggest),
    ];
    let mut day = EpisodeDay::new(DAY);
    for row in &rows {
        day.take(row, &signs_of(row, 0));
    }
    let [episode] = day.episodes() else { panic!("{:?}", day.episodes()) };
    assert_eq!((episode.key.first, episode.signs, episode.requests), (rows[2].id, 2, 4));
    assert_eq!(signs_of(&rows[2], 1), []);
}

/// Who wants to open a site of suicide says so whatever rule was the first to say no; of what is routine the level might
/// be allowed the site, so that only a category that decided counts. What was refused after its category was allowed
/// is no more of a sign than having opened it.
#[test]
fn urgent_and_high_categories_are_signs_whatever_rule_refused_and_routine_ones_where_they_decided()
{
    let blocked = row(0, 0, None, "a.example", "csam");
    let cases = [
        (Verdict::Block, ReasonCode::Locked, [1, 1, 1]),
        (Verdict::Block, ReasonCode::Category, [1, 1, 1]),
        (Verdict::Block, ReasonCode::NotNominated, [1, 1, 1]),
        (Verdict::Block, ReasonCode::NotOnList, [1, 1, 0]),
        (Verdict::Block, ReasonCode::Banned, [1, 1, 0]),
        (Verdict::Block, ReasonCode::SiteBlocked, [1, 1, 0]),
        (Verdict::Block, ReasonCode::OutsideTimes, [1, 1, 0]),
        // Beside that it is a way round.
        (Verdict::Block, ReasonCode::TranslatedCopy, [2, 2, 1]),
        (Verdict::Block, ReasonCode::StoredCopy, [2, 2, 1]),
        (Verdict::Block, ReasonCode::UrlInside, [2, 2, 1]),
        (Verdict::Block, ReasonCode::TlsExpired, [0, 0, 0]),
        (Verdict::Block, ReasonCode::SignIn, [0, 0, 0]),
        (Verdict::Allow, ReasonCode::Allowed, [0, 0, 0]),
        (Verdict::Allow, ReasonCode::Unblock, [0, 0, 0]),
    ];
    for (verdict, reason, expected) in cases {
        for (category, expected) in ["suicide", "drugs", "adult"].into_iter().zip(expected) {
            let categories = vec![category.to_owned()];
            let row = AccessRow { verdict, reason, categories, ..blocked.clone() };
            assert_eq!(category_signs(&row).len(), expected, "{reason:?} {category}");
        }
    }
    let both = AccessRow { categories: vec!["gore".into(), "dangerous-acts".into()], ..blocked };
    let signs = category_signs(&both);
    assert_eq!((signs.len(), signs[0].severity), (1, High), "one theme, the higher severity");
}

/// Somebody is kept from a way round.
fn way_round(sequence: i64, at: i64, host: &str, reason: ReasonCode) -> AccessRow {
    AccessRow { reason, ..row(sequence, at, Some("sam.p"), host, "uncategorised") }
}

#[test]
fn every_technique_that_was_refused_is_a_routine_sign_of_ways_round_and_only_one() {
    use rules::circumvent::Technique;
    let reasons: Vec<ReasonCode> =
        Technique::all().map(Technique::code).chain([ReasonCode::EncryptedHello]).collect();
    assert_eq!(reasons.len(), 13);
    for reason in reasons {
        let mut row = way_round(0, 0, "a.example", reason);
        row.categories = vec!["vpn".to_owned(), "proxy".to_owned()];
        let signs: Vec<_> =
            category_signs(&row).into_iter().map(|it| (it.theme, it.severity)).collect();
        assert_eq!(signs, [("circumvention".to_owned(), Routine)], "{reason:?}");
        row.verdict = Verdict::Allow;
        assert_eq!(category_signs(&row), [], "{reason:?}");
    }
}

#[test]
fn who_tries_ways_round_is_an_alert_and_what_devices_do_all_day_by_themselves_is_none() {
    use ReasonCode::{
        Doh, Dot, EncryptedHello, HiddenName, PrivateRelay, RawAddress, RemoteDesktop, StoredCopy,
        Tor, TranslatedCopy, UrlInside, Vpn, WebProxy,
    };
    let due = |rows: &[AccessRow]| {
        taken(rows).episodes().last().and_then(|it| it.due(Thresholds::default()))
    };
    let tries = |reason: ReasonCode, times: i64, visit: Visit| -> Vec<AccessRow> {
        let row = |place: i64| AccessRow {
            visit,
            ..way_round(place, place * MINUTE, &format!("s{place}.example"), reason)
        };
        (0..times).map(row).collect()
    };
    for reason in [Vpn, RemoteDesktop, Tor, WebProxy, TranslatedCopy, StoredCopy, UrlInside] {
        for visit in [Visit::Opened, Visit::Unknown] {
            assert_eq!(due(&tries(reason, 4, visit)), None, "{reason:?}");
            assert_eq!(due(&tries(reason, 5, visit)), Some(Routine), "{reason:?}");
        }
        // A program that asks again and again.
        let mut again = tries(reason, 240, Visit::Unknown);
        for (place, row) in again.iter_mut().enumerate() {
            (row.host, row.at) = ("s.example".to_owned(), UnixMillis(place as i64 * 5_000));
        }
        let day = taken(&again);
        assert_eq!((day.episodes()[0].signs, day.episodes()[0].requests), (4, 240));
    }
    let own = [Doh, Dot, PrivateRelay, RawAddress, HiddenName, EncryptedHello];
    for reason in own {
        assert_eq!(taken(&tries(reason, 400, Visit::Unknown)).episodes(), [], "{reason:?}");
        assert_eq!(due(&tries(reason, 5, Visit::Opened)), Some(Routine), "{reason:?}");
    }
    // All of them, again and again.
    let mut all: Vec<AccessRow> = Vec::new();
    for place in 0..360 {
        let reason = own[place as usize % own.len()];
        all.push(way_round(place, place * MINUTE, &format!("s{place}.example"), reason));
    }
    assert_eq!(taken(&all).episodes(), []);

    // Beside what somebody tries each counts once a day, and goes on no episode.
    let mut all: Vec<AccessRow> = Vec::new();
    for place in 0..60 {
        let reason = [Doh, PrivateRelay][place as usize % 2];
        all.push(way_round(place, place * MINUTE, "d.example", reason));
    }
    for (place, at) in [(60, 0), (61, 10 * MINUTE), (62, 59 * MINUTE)] {
        all.push(way_round(place, at + 30_000, &format!("s{place}.example"), Vpn));
    }
    all.sort_by_key(|row| row.at);
    let day = taken(&all);
    let made: Vec<_> = day
        .episodes()
        .iter()
        .map(|it| (it.signs, it.requests, it.due(Thresholds::default())))
        .collect();
    assert_eq!(made, [(4, 4, None), (1, 1, Some(Routine))]);
}

#[test]
fn what_a_device_does_all_day_is_one_episode_of_its_own_for_a_school_that_wants_it_told() {
    use ReasonCode::{Dot, EncryptedHello, RawAddress, Vpn};
    let thresholds = |devices| Thresholds { devices, ..Thresholds::default() };
    let mut day = EpisodeDay::with_devices(DAY);
    let take = |day: &mut EpisodeDay, row: &AccessRow| day.take(row, &category_signs(row));
    // Three ways at once, and again within five minutes; hours lie between.
    let mut place = 0;
    for hour in 0..4 {
        for (reason, host) in
            [(Dot, "a.example"), (RawAddress, "192.0.2.7"), (EncryptedHello, "b.example")]
        {
            for again in [0, MINUTE] {
                let row = way_round(place, hour * 60 * MINUTE + again, host, reason);
                let changed = take(&mut day, &row);
                assert_eq!(changed.len(), usize::from(again == 0), "{hour} {host} {again}");
                place += 1;
            }
        }
    }
    let [episode] = day.episodes() else { panic!("{:?}", day.episodes()) };
    assert_eq!(
        (&*episode.key.theme, episode.signs, episode.records.len()),
        ("circumvention-devices", 12, 12)
    );
    assert_eq!(episode.key.first, RequestId(1_000));
    for (after, due) in [(None, None), (Some(13), None), (Some(12), Some(Routine))] {
        assert_eq!(episode.due(thresholds(after)), due, "{after:?}");
    }
    // Further ones open it again by the same number, once somebody knew of it.
    let looked = known(60 * MINUTE + 30_000);
    assert_eq!(episode.further(looked, thresholds(None)), None);
    assert_eq!(episode.further(looked, thresholds(Some(7))), None);
    assert_eq!(
        episode.further(looked, thresholds(Some(6))).expect("an episode").words(),
        "6 signs, routine (site)"
    );
    // What somebody tries is an episode beside it, and what they open as a page is theirs.
    take(&mut day, &way_round(place, 0, "vpn.example", Vpn));
    let opened =
        AccessRow { visit: Visit::Opened, ..way_round(place + 1, 0, "203.0.113.9", RawAddress) };
    take(&mut day, &opened);
    let themes: Vec<&str> = day.episodes().iter().map(|it| &*it.key.theme).collect();
    assert_eq!(themes, ["circumvention-devices", "circumvention"]);
    assert_eq!(day.episodes()[0].signs, 12);
    // A sign that comes to be known later is nothing that the device did.
    let late = Sign { source: Source::Page, ..category_signs(&opened)[0].clone() };
    let mut row = way_round(0, 0, "late.example", Dot);
    row.id = RequestId(1);
    day.take(&row, &[late]);
    assert_eq!(day.episodes()[0].signs, 12);
}

#[test]
fn a_web_proxys_own_scripts_tell_of_it_once_in_five_minutes_and_parts_of_other_pages_do_not() {
    use ReasonCode::{RemoteDesktop, UrlInside, Vpn, WebProxy};
    let fetched = |reason, rule: Option<&str>, visit, path: &str| {
        let row = |place: i64| AccessRow {
            rule: rule.map(str::to_owned),
            visit,
            path: Some(format!("/{place}{path}")),
            ..way_round(place, place * 10_000, "games.example", reason)
        };
        let rows: Vec<_> = (0..40).map(row).collect();
        taken(&rows).episodes().iter().map(|it| (it.signs, it.requests)).collect::<Vec<_>>()
    };
    let found = Some("circumvention: Ultraviolet");
    for (reason, rule, visit, path, expected) in [
        (WebProxy, found, Visit::Part, "/uv/uv.bundle.js", vec![(2, 40)]),
        (WebProxy, found, Visit::Unknown, "/uv/uv.bundle.js", vec![(2, 40)]),
        (RemoteDesktop, found, Visit::Part, "/websockify", vec![(2, 40)]),
        // Known by a list alone; an advertisement; a picture whose place stands in a path.
        (WebProxy, None, Visit::Part, "/a.png", vec![]),
        (Vpn, found, Visit::Part, "/a.png", vec![]),
        (UrlInside, found, Visit::Part, "/a.png", vec![]),
    ] {
        assert_eq!(fetched(reason, rule, visit, path), expected, "{reason:?} {rule:?} {visit:?}");
    }
}

#[test]
fn what_came_since_an_alert_was_closed_is_due_again_if_it_is_urgent_high_or_often_enough() {
    use crate::notes::{SearchWords, WordsKind};
    let thresholds = Thresholds::default();
    let again = |rows: &[AccessRow], closed: i64| {
        let day = taken(rows);
        day.episodes().last().is_some_and(|it| it.further(known(closed), thresholds).is_some())
    };
    let minutes = [0, 1, 2, 3, 4, 10, 11, 12, 13, 14];
    for (category, closed, expected) in [
        ("suicide", 14, false),
        ("suicide", 13, true),
        ("drugs", 14, false),
        ("drugs", 13, true),
        ("adult", 9, true),
        ("adult", 10, false),
    ] {
        let rows = at_minutes(&minutes, category);
        assert_eq!(again(&rows, closed * MINUTE), expected, "{category} {closed}");
    }
    // The same page again within five minutes is no news.
    for category in ["suicide", "drugs"] {
        let mut rows = at_minutes(&[0, 3, 8], category);
        for row in &mut rows {
            row.host = "same.example".into();
        }
        assert!(!again(&rows[..2], MINUTE), "{category}");
        assert!(again(&rows, 4 * MINUTE), "{category}: it counts again after five minutes");
    }
    // Somebody who types it again is.
    let mut rows = at_minutes(&[0, 3], "education");
    let mut day = EpisodeDay::new(DAY);
    for row in &mut rows {
        let (text, site) = ("goodbye all of you".to_owned(), "google".to_owned());
        row.words = Some(SearchWords { text, kind: WordsKind::Search, site });
        let source = Source::Search;
        day.take(row, &[Sign { theme: "suicide".into(), points: 150, source, severity: Urgent }]);
    }
    assert_eq!(day.episodes()[0].signs, 1);
    assert!(day.episodes()[0].further(known(MINUTE), thresholds).is_some());
    // What a page says came when it had been read, not when it was asked for.
    let mut day = EpisodeDay::new(DAY);
    let mut read = row(0, 0, Some("sam.p"), "a.example", "education");
    let (end, depth) = (crate::record::End::Complete, None);
    let duration_us = 20 * 60_000_000;
    read.ended = Some(crate::record::Ended {
        end,
        status: 200,
        bytes_up: 0,
        bytes_down: 0,
        duration_us,
        depth,
    });
    let sign = Sign { theme: "drugs".into(), points: 40, source: Source::Page, severity: High };
    day.take(&read, &[sign]);
    assert!(day.episodes()[0].further(known(19 * MINUTE), thresholds).is_some());
    assert!(day.episodes()[0].further(known(20 * MINUTE), thresholds).is_none());
}

#[test]
fn every_category_with_a_theme_is_shipped_and_has_a_title_and_what_is_locked_is_urgent() {
    let catalogue = rules::category::Catalogue::shipped();
    let mut with_theme = 0;
    for (_, category) in catalogue.iter() {
        let signs = category_signs(&row(0, 0, None, "a.example", &category.name));
        with_theme += signs.len();
        assert!(signs.iter().all(|sign| theme_title(&sign.theme) != sign.theme), "{signs:?}");
        if category.locked {
            assert!(signs.iter().any(|sign| sign.severity == Urgent), "{}", category.name);
        }
    }
    assert_eq!(with_theme, 25);
}

#[test]
fn an_alert_is_due_at_once_at_the_second_or_at_the_fifth() {
    let thresholds = Thresholds::default();
    let cases: [(&str, &[i64], Option<Severity>); 8] = [
        ("suicide", &[0], Some(Urgent)),
        ("self-harm", &[0], None),
        ("self-harm", &[0, 29], Some(High)),
        // Half an hour apart: two episodes, each of one sign.
        ("self-harm", &[0, 31], None),
        ("adult", &[0, 5, 10, 15], None),
        ("adult", &[0, 5, 10, 15, 20], Some(Routine)),
        ("adult", &[0, 60, 120, 180, 240], Some(Routine)),
        // High signs that are far apart still add up to a look in the week.
        ("self-harm", &[0, 60, 120, 180, 240], Some(Routine)),
    ];
    for (category, minutes, expected) in cases {
        let day = taken(&at_minutes(minutes, category));
        let due = day.episodes().last().and_then(|episode| episode.due(thresholds));
        assert_eq!(due, expected, "{category} {minutes:?}");
    }
}

#[test]
fn no_more_episodes_than_the_bound_but_what_is_urgent() {
    let mut day = EpisodeDay::new(DAY);
    let device = |sequence: i64, category: &str| {
        // Each in a network of its own: those of one are fewer.
        let address = std::net::Ipv6Addr::from((sequence as u128) << 64).to_string();
        AccessRow { client: address, ..row(sequence, sequence, None, "a.example", category) }
    };
    for sequence in 0..50_010 {
        let row = device(sequence, "adult");
        day.take(&row, &category_signs(&row));
    }
    assert_eq!((day.episodes().len(), day.left_out()), (50_000, 10));
    let urgent = device(60_000, "suicide");
    assert_eq!(day.take(&urgent, &category_signs(&urgent)), [50_000]);
}

#[test]
fn a_device_that_invents_addresses_begins_no_more_urgent_episodes_than_its_network_may() {
    let at = |sequence: i64, client: String, user, category| AccessRow {
        client,
        ..row(sequence, sequence, user, &format!("s{sequence}.example"), category)
    };
    let most = MAX_DEVICES as i64;
    let invented = |sequence: i64| format!("2001:db8:0:7::{sequence:x}");
    let mut rows: Vec<_> =
        (0..4 * most).map(|place| at(place, invented(place), None, "suicide")).collect();
    let whole = "2001:db8:0:7::/64";
    let cases: [(String, Option<&str>, &str, &str); 6] = [
        // Known before there were too many.
        (invented(5), None, "suicide", "2001:db8:0:7::5"),
        (invented(4 * most), None, "suicide", whole),
        // Another theme, another network, an address of IPv4, and whoever signed in.
        (invented(4 * most), None, "csam", "2001:db8:0:7::400"),
        ("2001:db8:0:8::400".to_owned(), None, "suicide", "2001:db8:0:8::400"),
        ("10.0.0.7".to_owned(), None, "suicide", "10.0.0.7"),
        (invented(4 * most), Some("sam.p"), "suicide", "sam.p"),
    ];
    for (client, user, category, _) in &cases {
        rows.push(at(rows.len() as i64, client.clone(), *user, category));
    }
    let day = taken(&rows);
    let urgent = day.episodes().iter().filter(|it| it.key.theme == "suicide").count();
    assert_eq!(urgent, MAX_DEVICES + 1 + 3);
    for (row, (_, _, _, person)) in rows[4 * MAX_DEVICES..].iter().zip(&cases) {
        let of_row = |it: &&Episode| it.person.name() == *person;
        let episode = day.episodes().iter().filter(of_row).find(|it| it.last == row.at);
        assert!(
            episode.is_some_and(|it| it.due(Thresholds::default()) == Some(Urgent)),
            "{person}"
        );
    }
    let rest = day.episodes().iter().find(|it| it.person.name() == whole).expect("the rest");
    assert_eq!((rest.requests as usize, rest.records.len()), (3 * MAX_DEVICES + 1, MAX_RECORDS));
}

fn some_rows() -> impl Strategy<Value = Vec<AccessRow>> {
    let one = (0..90 * MINUTE, 0..3_usize, 0..4_usize, 0..5_usize, any::<bool>());
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let row = |(place, (at, who, site, category, script)): (
            usize,
            (i64, usize, usize, usize, bool),
        )| {
            let user = [Some("sam.p"), Some("kim.o"), None][who];
            let category = ["drugs", "suicide", "adult", "games", "csam"][category];
            let mut row = row(place as i64, at, user, &format!("s{site}.example"), category);
            if script {
                row.path = Some("/a.js".to_owned());
            }
            row
        };
        all.into_iter().enumerate().map(row).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// The same records in the same order give the same episodes, however often the reading stopped
    /// and began again at the start of the day.
    #[test]
    fn the_same_records_make_the_same_episodes(rows in some_rows(), stop in 0..40_usize) {
        let whole = taken(&rows);
        let mut day = taken(&rows[..stop.min(rows.len())]);
        for row in rows.iter().skip(stop) {
            day.take(row, &category_signs(row));
        }
        prop_assert_eq!(whole.episodes(), day.episodes());
    }

    /// What others do changes nobody's episodes.
    #[test]
    fn a_persons_episodes_are_made_of_their_records_alone(rows in some_rows()) {
        let own: Vec<AccessRow> =
            rows.iter().filter(|row| row.user.as_deref() == Some("sam.p")).cloned().collect();
        let (all, alone) = (taken(&rows), taken(&own));
        let of_sam = all.episodes().iter().filter(|it| it.person.name() == "sam.p");
        prop_assert!(of_sam.eq(alone.episodes()));
    }

    /// No urgent sign is lost, and each record belongs to one episode of a theme.
    #[test]
    fn every_urgent_sign_is_in_one_episode_that_is_due(rows in some_rows()) {
        let day = taken(&rows);
        for row in &rows {
            for sign in category_signs(row).iter().filter(|sign| sign.severity == Urgent) {
                let of_it: Vec<_> = day.episodes().iter()
                    .filter(|it| it.key.theme == sign.theme && it.records.contains(&(row.cursor.sequence, row.id)))
                    .collect();
                prop_assert_eq!(of_it.len(), 1);
                prop_assert_eq!(of_it[0].due(Thresholds::default()), Some(Urgent));
            }
        }
        for episode in day.episodes() {
            prop_assert!(episode.signs >= 1 && episode.signs <= episode.requests);
        }
    }
}
