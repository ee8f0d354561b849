#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::access::{Identity, KnownBy, Role, RoleSet};
use crate::category::{Catalogue, CategorySet};
use crate::host::Host;
use crate::site::Site;
use crate::target::Scheme;
use crate::unblock::Scope;
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

const POLICY: &str = r#"
school = "Example Academy"
timezone = "Europe/London"
order = ["ks1", "ks2", "ks3", "staff"]
[times]
lunch = "Mon-Fri 12:10-13:10"
[levels]
pupil = {}
ks1 = { parent = "pupil", only = "local/ks1.txt" }
ks2 = { parent = "pupil" }
ks3 = { parent = "pupil" }
staff = {}
[grid]
games = { pupil = "block", ks3 = "allow at lunch", staff = "allow" }
music = { pupil = "allow", staff = "allow" }
self-harm = { pupil = "block", staff = "allow for @dsl" }
uncategorised = { pupil = "block", staff = "allow" }
[[exception]]
site = "audio.example/library"
allow_for = "pupil"
reason = "Music library"
review = 2027-03-25
[[exception]]
site = "pranks.example"
block_for = "ks3"
reason = "Bullying in form time"
review = 2027-03-25
[roles]
dsl = ["q.whitmore"]
[unblock]
authorise = ["dsl"]
never = ["gambling"]
"#;

static SCHOOL: LazyLock<Policy> = LazyLock::new(|| {
    let read = |_: &str| Ok("phonics.example\nchess.example/rules\n".to_owned());
    Policy::parse(POLICY, "policy.toml", Catalogue::shipped(), &read).unwrap()
});

/// A Wednesday in November, 10:00 and lunch.
const MORNING: UnixMillis = UnixMillis(1_795_600_800_000);
const LUNCH: UnixMillis = UnixMillis(1_795_609_200_000);

fn person(level: &str) -> Identity {
    Identity {
        level: SCHOOL.levels().id(level).unwrap(),
        user: Some("sam.p".into()),
        groups: Arc::from(["9C".to_owned()]),
        roles: RoleSet::default(),
        banned_until: None,
        known_by: KnownBy::User,
    }
}

fn unblock(site: &str, scope: Scope, authorised: u64) -> Unblock {
    Unblock {
        id: UnblockId(7),
        site: Site::parse(site).unwrap(),
        scope,
        within: None,
        authorised_sequence: authorised,
        from: UnixMillis(0),
        until: UnixMillis(LUNCH.0 + 1),
    }
}

/// An unblock under a standing yes to these categories.
fn standing(site: &str, names: &[&str]) -> Unblock {
    let within = Some(names.iter().map(|name| (*name).to_owned()).collect());
    Unblock { within, ..unblock(site, pupils(), 1) }
}

/// The clock runs against the sequence, as after it was set back: it must not matter.
fn site_block(site: &str, scope: Scope, sequence: u64) -> SiteBlock {
    SiteBlock {
        id: BlockId(3),
        site: Site::parse(site).unwrap(),
        scope,
        sequence,
        at: UnixMillis(MORNING.0 - i64::try_from(sequence).unwrap()),
        reason: "seen in class".into(),
    }
}

fn categories(names: &[&str]) -> CategorySet {
    names.iter().map(|name| SCHOOL.catalogue().id(name).unwrap()).collect()
}

#[derive(Clone, Debug, Default)]
struct Beside {
    unblocks: Vec<Unblock>,
    blocks: Vec<SiteBlock>,
}

fn asked(who: &Identity, url: &str, names: &[&str], beside: &Beside, now: UnixMillis) -> Decision {
    let (host, path) =
        url.split_once('/').map_or((url, None), |(host, _)| (host, Some(&url[host.len()..])));
    let host = Host::parse(host).unwrap();
    let access = Access {
        who,
        scheme: Scheme::Http,
        host: &host,
        port: 80,
        path,
        categories: categories(names),
    };
    decide(&SCHOOL, &beside.unblocks, &beside.blocks, &access, now)
}

fn word(
    who: &Identity,
    url: &str,
    names: &[&str],
    beside: &Beside,
    now: UnixMillis,
) -> &'static str {
    asked(who, url, names, beside, now).code(&SCHOOL).as_str()
}

fn pupils() -> Scope {
    Scope::Level("pupil".into())
}

#[test]
fn the_strictest_cell_of_a_sites_categories_decides() {
    let none = Beside::default();
    let (ks2, ks3, staff) = (person("ks2"), person("ks3"), person("staff"));
    let mut dsl = staff.clone();
    dsl.roles.insert(Role::Dsl);
    let cases = [
        (&ks2, &["games"][..], MORNING, "category"),
        (&ks3, &["games"], MORNING, "outside_times"),
        (&ks3, &["games"], LUNCH, "allowed"),
        (&ks3, &["games", "music"], LUNCH, "allowed"),
        (&ks3, &["games", "self-harm"], LUNCH, "category"),
        (&ks2, &["music"], MORNING, "allowed"),
        (&ks2, &["uncategorised"], MORNING, "uncategorised"),
        (&ks2, &[], MORNING, "uncategorised"),
        (&staff, &["self-harm"], MORNING, "not_nominated"),
        (&staff, &["self-harm", "games"], MORNING, "not_nominated"),
        (&dsl, &["self-harm", "games"], MORNING, "allowed"),
        (&dsl, &["self-harm", "csam"], MORNING, "locked"),
    ];
    for (who, names, now, expected) in cases {
        assert_eq!(word(who, "site.example", names, &none, now), expected, "{names:?}");
    }
}

#[test]
fn the_cell_that_decided_is_named() {
    let ks3 = person("ks3");
    let decision = asked(&ks3, "chess.example", &["music", "games"], &Beside::default(), MORNING);
    assert_eq!(decision.rule(&SCHOOL).unwrap().text, "games = \"allow at lunch\"");
    let decision = asked(&ks3, "chess.example", &["music", "games"], &Beside::default(), LUNCH);
    assert_eq!(decision.rule(&SCHOOL).unwrap().text, "games = \"allow at lunch\"");
}

#[test]
fn an_unblock_opens_its_scope_until_it_ends() {
    let beside =
        |scope| Beside { unblocks: vec![unblock("chess.example", scope, 1)], ..Beside::default() };
    let ks2 = person("ks2");
    let word = |scope, url, now| word(&ks2, url, &["games"], &beside(scope), now);
    assert_eq!(word(pupils(), "www.chess.example", MORNING), "unblock");
    assert_eq!(word(Scope::Group("9c".into()), "chess.example", MORNING), "unblock");
    assert_eq!(word(Scope::User("Sam.P".into()), "chess.example", MORNING), "unblock");
    assert_eq!(word(pupils(), "chess.example", LUNCH), "unblock", "the last instant");
    assert_eq!(
        word(pupils(), "chess.example", UnixMillis(LUNCH.0 + 1)),
        "category",
        "the end is exclusive"
    );
    assert_eq!(word(pupils(), "other.example", MORNING), "category");
    for scope in ["staff", "ks3", "gone"].map(|level| Scope::Level(level.into())) {
        assert_eq!(word(scope, "chess.example", MORNING), "category");
    }
    let decision = asked(&ks2, "chess.example", &["games"], &beside(pupils()), MORNING);
    assert_eq!((decision.unblock(), decision.rule(&SCHOOL)), (Some(UnblockId(7)), None));
}

#[test]
fn an_unblock_opens_nothing_that_is_never_unblocked_even_below_its_site() {
    let beside =
        Beside { unblocks: vec![unblock("chess.example", pupils(), 1)], ..Beside::default() };
    let ks2 = person("ks2");
    let word = |url, names: &[&str]| word(&ks2, url, names, &beside, MORNING);
    assert_eq!(word("chess.example", &["games"]), "unblock");
    assert_eq!(word("bets.chess.example", &["games", "gambling"]), "category");
}

#[test]
fn a_standing_yes_opens_only_the_categories_that_it_names_even_below_its_site() {
    let (ks2, ks3) = (person("ks2"), person("ks3"));
    let cases = [
        ("its site", &ks2, &["games"][..], &["games"][..], "chess.example", MORNING, "unblock"),
        ("a host below", &ks2, &["games"], &["games"], "play.chess.example", MORNING, "unblock"),
        (
            "a host below in another category",
            &ks2,
            &["games"],
            &["games", "self-harm"],
            "forum.chess.example",
            MORNING,
            "category",
        ),
        (
            "a page below in another category",
            &ks2,
            &["games"],
            &["games", "self-harm"],
            "chess.example/forum",
            MORNING,
            "category",
        ),
        (
            "in another alone",
            &ks2,
            &["games"],
            &["self-harm"],
            "chess.example",
            MORNING,
            "category",
        ),
        (
            "in one that is open anyway",
            &ks2,
            &["games"],
            &["games", "music"],
            "chess.example/songs",
            MORNING,
            "unblock",
        ),
        (
            "both named",
            &ks2,
            &["games", "self-harm"],
            &["games", "self-harm"],
            "chess.example/forum",
            MORNING,
            "unblock",
        ),
        ("unknown", &ks2, &["games"], &[], "chess.example", MORNING, "uncategorised"),
        ("an older entry", &ks2, &[], &["games"], "chess.example", MORNING, "category"),
        (
            "open at this time anyway",
            &ks3,
            &["self-harm"],
            &["games", "self-harm"],
            "chess.example",
            LUNCH,
            "unblock",
        ),
        (
            "closed at this time",
            &ks3,
            &["self-harm"],
            &["games", "self-harm"],
            "chess.example",
            MORNING,
            "category",
        ),
    ];
    for (what, who, named, names, url, now, expected) in cases {
        let unblocks = vec![standing("chess.example", named)];
        assert_eq!(
            word(who, url, names, &Beside { unblocks, ..Beside::default() }, now),
            expected,
            "{what}"
        );
    }
}

#[test]
fn a_standing_yes_opens_nothing_that_was_closed_by_name() {
    let (ks1, ks3) = (person("ks1"), person("ks3"));
    // The yes is later than all of these.
    let cases = [
        ("the site", &ks3, "chess.example", "chess.example", &["games"][..], "site_blocked"),
        ("a page below", &ks3, "chess.example/b", "chess.example/b", &["games"], "site_blocked"),
        ("of an open category", &ks3, "chess.example", "chess.example", &["music"], "site_blocked"),
        ("by the policy", &ks3, "elsewhere.example", "pranks.example", &["music"], "site_blocked"),
        (
            "by a level's list",
            &ks1,
            "elsewhere.example",
            "music.example",
            &["music"],
            "not_on_list",
        ),
        ("by nobody", &ks3, "elsewhere.example", "chess.example", &["games"], "unblock"),
    ];
    for (what, who, blocked, url, names, expected) in cases {
        let site = url.split('/').next().unwrap();
        let yes = Unblock { authorised_sequence: 9, ..standing(site, &["games", "music"]) };
        let blocks = vec![site_block(blocked, pupils(), 5)];
        let beside = Beside { unblocks: vec![yes.clone()], blocks: blocks.clone() };
        assert_eq!(word(who, url, names, &beside, MORNING), expected, "{what}");
        // Somebody's own yes opens each of them.
        let own = Beside { unblocks: vec![Unblock { within: None, ..yes }], blocks };
        assert_eq!(word(who, url, names, &own, MORNING), "unblock", "{what}");
    }
}

#[test]
fn words_of_pages_are_judged_where_a_standing_yes_does_not_open_them() {
    let unblocks = [standing("chess.example", &["games"])];
    let (who, host) = (person("ks2"), Host::parse("chess.example").unwrap());
    let is_opened = |names: &[&str]| {
        let (scheme, categories) = (Scheme::Http, categories(names));
        let access = Access { who: &who, scheme, host: &host, port: 80, path: None, categories };
        super::is_opened(&SCHOOL, &unblocks, &access, MORNING)
    };
    assert!(is_opened(&["games"]));
    assert!(!is_opened(&["games", "self-harm"]));
}

#[test]
fn what_the_policy_allows_is_not_put_down_to_an_unblock() {
    let beside =
        Beside { unblocks: vec![unblock("chess.example", pupils(), 1)], ..Beside::default() };
    assert_eq!(word(&person("ks2"), "chess.example", &["music"], &beside, MORNING), "allowed");
}

#[test]
fn the_later_of_a_block_and_an_unblock_holds() {
    let word = |blocked: &[u64], authorised: &[u64]| {
        let beside = Beside {
            unblocks: authorised.iter().map(|at| unblock("chess.example", pupils(), *at)).collect(),
            blocks: blocked.iter().map(|at| site_block("chess.example", pupils(), *at)).collect(),
        };
        word(&person("ks2"), "chess.example", &["music"], &beside, MORNING)
    };
    assert_eq!(word(&[5], &[]), "site_blocked");
    assert_eq!(word(&[5], &[4]), "site_blocked");
    assert_eq!(word(&[5], &[5]), "site_blocked", "at the same place, closed");
    assert_eq!(word(&[5], &[6]), "unblock");
    assert_eq!(word(&[5, 7], &[6]), "site_blocked");
    assert_eq!(word(&[5, 7], &[6, 8]), "unblock");
}

#[test]
fn a_schools_block_holds_for_its_scope_and_past_exceptions() {
    let beside =
        Beside { blocks: vec![site_block("audio.example", pupils(), 5)], ..Beside::default() };
    assert_eq!(
        word(&person("ks2"), "audio.example/library", &["games"], &beside, MORNING),
        "site_blocked"
    );
    assert_eq!(
        word(&person("staff"), "audio.example/library", &["games"], &beside, MORNING),
        "allowed"
    );
}

#[test]
fn standing_exceptions_open_and_close_for_a_level_and_below() {
    let none = Beside::default();
    let ks3 = person("ks3");
    assert_eq!(word(&ks3, "audio.example/library/a", &["games"], &none, MORNING), "exception");
    assert_eq!(word(&ks3, "audio.example/shop", &["games"], &none, MORNING), "outside_times");
    assert_eq!(
        word(&ks3, "audio.example", &["games"], &none, MORNING),
        "outside_times",
        "path not seen"
    );
    assert_eq!(word(&ks3, "pranks.example", &["music"], &none, MORNING), "site_blocked");
    assert_eq!(word(&person("ks2"), "pranks.example", &["music"], &none, MORNING), "allowed");
    let opened =
        Beside { unblocks: vec![unblock("pranks.example", pupils(), 1)], ..Beside::default() };
    assert_eq!(word(&ks3, "pranks.example", &["music"], &opened, MORNING), "unblock");
}

#[test]
fn a_level_with_a_list_sees_its_sites_whatever_their_category() {
    let none = Beside::default();
    let ks1 = person("ks1");
    assert_eq!(word(&ks1, "www.phonics.example", &["games"], &none, MORNING), "on_list");
    assert_eq!(word(&ks1, "phonics.example", &["illegal"], &none, MORNING), "locked");
    assert_eq!(word(&ks1, "music.example", &["music"], &none, MORNING), "not_on_list");
    assert_eq!(word(&ks1, "chess.example/rules", &["games"], &none, MORNING), "on_list");
    assert_eq!(word(&ks1, "chess.example/play", &["music"], &none, MORNING), "not_on_list");
    assert_eq!(word(&ks1, "audio.example/library", &["music"], &none, MORNING), "exception");
}

#[test]
fn a_ban_holds_until_its_end_past_unblocks() {
    let beside =
        Beside { unblocks: vec![unblock("chess.example", pupils(), 1)], ..Beside::default() };
    let mut ks2 = person("ks2");
    ks2.banned_until = Some(LUNCH);
    assert_eq!(word(&ks2, "chess.example", &["music"], &beside, MORNING), "banned");
    assert_eq!(word(&ks2, "chess.example", &["music"], &beside, LUNCH), "allowed");
}

#[test]
fn a_ban_leaves_sites_of_help_as_the_rest_of_the_policy_has_them() {
    let none = Beside::default();
    let closed =
        Beside { blocks: vec![site_block("help.example", pupils(), 5)], ..Beside::default() };
    let cases = [
        ("help", "ks2", &["health-help"][..], &none, MORNING, "allowed"),
        ("help that is more besides", "ks2", &["health-help", "music"], &none, MORNING, "allowed"),
        ("the grid still holds", "ks2", &["health-help", "games"], &none, MORNING, "category"),
        ("its times too", "ks3", &["health-help", "games"], &none, MORNING, "outside_times"),
        ("locked", "ks2", &["health-help", "csam"], &none, MORNING, "locked"),
        ("closed by hand", "ks2", &["health-help"], &closed, MORNING, "site_blocked"),
        ("a level with a list", "ks1", &["health-help"], &none, MORNING, "not_on_list"),
        ("health alone is no help", "ks2", &["health"], &none, MORNING, "banned"),
        ("unknown", "ks2", &[], &none, MORNING, "banned"),
        ("the last instant", "ks2", &["music"], &none, UnixMillis(LUNCH.0 - 1), "banned"),
    ];
    for (what, level, names, beside, now, expected) in cases {
        let who = Identity { banned_until: Some(LUNCH), ..person(level) };
        assert_eq!(word(&who, "help.example", names, beside, now), expected, "{what}");
    }
}

#[test]
fn reason_words_and_numbers_lead_back() {
    for (code, word) in ReasonCode::ALL {
        assert_eq!(ReasonCode::from_number(code as u8), Some(code));
        assert_eq!(ReasonCode::from_word(word), Some(code));
        assert_eq!(code.as_str(), word);
        assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{word}\""));
    }
    assert_eq!(ReasonCode::from_number(4), None);
    assert_eq!(ReasonCode::from_word("nothing"), None);
}

fn any_person() -> impl Strategy<Value = Identity> {
    let level = prop::sample::select(vec!["pupil", "ks1", "ks2", "ks3", "staff"]);
    let roles = prop::sample::subsequence(Role::ALL.to_vec(), 0..=6);
    (level, roles, prop::option::of(0_i64..4_000_000_000_000)).prop_map(|(level, roles, banned)| {
        Identity {
            roles: roles.into_iter().collect(),
            banned_until: banned.map(UnixMillis),
            ..person(level)
        }
    })
}

fn any_scope() -> impl Strategy<Value = Scope> {
    prop::sample::select(vec![
        pupils(),
        Scope::Level("staff".into()),
        Scope::Level("ks1".into()),
        Scope::Group("9C".into()),
        Scope::User("sam.p".into()),
    ])
}

const SITES: [&str; 5] = [
    "audio.example/library",
    "phonics.example",
    "chess.example",
    "pranks.example",
    "chess.example/rules",
];

fn any_beside() -> impl Strategy<Value = Beside> {
    let site = || prop::sample::select(SITES.to_vec());
    let within = prop::option::of(any_names());
    let unblocks = prop::collection::vec((site(), any_scope(), 0_u64..9, within), 0..4);
    let blocks = prop::collection::vec((site(), any_scope(), 0_u64..9), 0..3);
    (unblocks, blocks).prop_map(|(unblocks, blocks)| Beside {
        unblocks: unblocks
            .into_iter()
            .map(|(site, scope, at, within)| {
                let within = within.map(|names| standing(site, &names).within);
                Unblock { within: within.flatten(), ..unblock(site, scope, at) }
            })
            .collect(),
        blocks: blocks.into_iter().map(|(site, scope, at)| site_block(site, scope, at)).collect(),
    })
}

fn any_names() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(
        vec!["games", "music", "self-harm", "uncategorised", "education"],
        0..=5,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_opens_a_locked_category(
        who in any_person(),
        url in prop::sample::select(SITES.to_vec()),
        names in any_names(),
        locked in prop::sample::select(vec!["csam", "terrorism", "illegal"]),
        beside in any_beside(),
        now in 0_i64..4_000_000_000_000,
    ) {
        let names: Vec<_> = names.into_iter().chain([locked]).collect();
        let decision = asked(&who, url, &names, &beside, UnixMillis(now));
        prop_assert_eq!(decision.verdict, Verdict::Block);
        prop_assert!(matches!(decision.reason, Reason::Locked(_)));
    }

    #[test]
    fn one_category_more_never_opens_unless_on_a_list(
        who in any_person(),
        url in prop::sample::select(SITES.to_vec()),
        names in any_names(),
        more in prop::sample::select(vec!["games", "self-harm", "adult", "csam"]),
        beside in any_beside(),
    ) {
        prop_assume!(!names.is_empty());
        let before = asked(&who, url, &names, &beside, LUNCH);
        let names: Vec<_> = names.into_iter().chain([more]).collect();
        let after = asked(&who, url, &names, &beside, LUNCH);
        prop_assert!(before.verdict == Verdict::Allow || after.verdict == Verdict::Block);
    }

    /// By the cells themselves: what a standing yes opens, no category closes that it does not name.
    #[test]
    fn a_standing_yes_opens_no_category_that_it_does_not_name(
        who in any_person(),
        url in prop::sample::select(vec!["chess.example", "forum.chess.example", "chess.example/rules/a"]),
        names in any_names(),
        named in any_names(),
        now in prop::sample::select(vec![MORNING, LUNCH]),
    ) {
        let unblocks = vec![standing("chess.example", &named)];
        let decision = asked(&who, url, &names, &Beside { unblocks, ..Beside::default() }, now);
        if decision.unblock().is_some() {
            let names = if names.is_empty() { vec!["uncategorised"] } else { names };
            for name in names.into_iter().filter(|name| !named.contains(name)) {
                let is_open = match SCHOOL.cell(who.level, SCHOOL.catalogue().id(name).unwrap()).0 {
                    Cell::Allow => true,
                    Cell::Block => false,
                    Cell::AllowAt(_) => now == LUNCH,
                    Cell::AllowFor(role) => who.roles.contains(*role),
                };
                prop_assert!(is_open, "{} was opened by a yes to {:?}", name, named);
            }
        }
    }

    #[test]
    fn whatever_is_allowed_past_the_grid_names_what_opened_it(
        who in any_person(),
        url in prop::sample::select(SITES.to_vec()),
        names in any_names(),
        beside in any_beside(),
    ) {
        let alone = asked(&who, url, &names, &Beside::default(), MORNING);
        let decision = asked(&who, url, &names, &beside, MORNING);
        if decision.verdict == Verdict::Allow && alone.verdict == Verdict::Block {
            prop_assert_eq!(decision.unblock(), Some(UnblockId(7)));
        }
        if who.banned_until.is_some_and(|until| MORNING < until) {
            prop_assert_eq!(decision.verdict, Verdict::Block);
        }
    }
}

#[test]
fn an_engine_without_a_safe_mode_is_opened_by_its_own_name_alone() {
    let ks3 = person("ks3");
    let opens = |host: &str, names: &[&str], unblock: Unblock, at: UnixMillis| {
        let host = Host::parse(host).unwrap();
        let categories = categories(names);
        let (who, scheme) = (&ks3, Scheme::Http);
        let access = Access { who, scheme, host: &host, port: 80, path: Some("/"), categories };
        crate::search::opens_engine(&SCHOOL, &[unblock], &access, at).is_some()
    };
    let none: &[&str] = &["uncategorised"];
    assert!(opens("www.kagi.com", none, unblock("kagi.com", pupils(), 1), MORNING));
    assert!(opens("searx.own.example", none, unblock("searx.own.example", pupils(), 1), MORNING));
    // Of the site around it, of another, for others, or over.
    assert!(!opens("search.yahoo.com", none, unblock("yahoo.com", pupils(), 1), MORNING));
    assert!(!opens("searx.own.example", none, unblock("own.example", pupils(), 1), MORNING));
    assert!(!opens("www.kagi.com", none, unblock("gibiru.com", pupils(), 1), MORNING));
    let of_staff = Scope::Level("staff".into());
    assert!(!opens("www.kagi.com", none, unblock("kagi.com", of_staff, 1), MORNING));
    assert!(!opens(
        "www.kagi.com",
        none,
        unblock("kagi.com", pupils(), 1),
        UnixMillis(LUNCH.0 + 1)
    ));
    // What the policy never unblocks.
    assert!(!opens("www.kagi.com", &["gambling"], unblock("kagi.com", pupils(), 1), MORNING));
    // A standing yes has to name engines, and whatever else closes the site.
    let by_lesson =
        |names: &[&str]| opens("www.kagi.com", none, standing("kagi.com", names), MORNING);
    assert!(by_lesson(&["search-engines", "uncategorised"]));
    assert!(!by_lesson(&["uncategorised"]) && !by_lesson(&["search-engines"]));
}
