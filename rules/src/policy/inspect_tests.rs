//! How far the filter looks in: what beats what, faults in the file, what differs.

#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use super::*;
use crate::access::RoleSet;
use crate::change::{ChangeEntry, Changes, Event, InspectWhat, PrivacyLift, SignOffOrder};
use crate::host::Host;
use crate::inspect::{GroupId, InspectReason, Inspection, group};
use crate::target::Scheme;
use crate::unblock::UnblockId;
use proptest::prelude::*;

const BASE: &str = r#"
school = "Example Academy"
timezone = "Europe/London"
order = ["ks2", "guest", "staff"]
[levels]
pupil = { inspect = "page" }
ks2 = { parent = "pupil" }
guest = { inspect = "name" }
staff = {}
[roles]
dsl = ["q.whitmore", "n.reyes"]
[unblock]
authorise = ["dsl"]
"#;

const LINES: &str = r#"
[inspect]
government = "name"
jobs = "never"
[[inspect_site]]
site = "zoom.us"
inspect = "page"
reason = "Meetings are held in the browser here"
review = 2027-03-25
[[inspect_site]]
site = "exam.example"
inspect = "never"
reason = "The exam board's app checks its certificate"
review = 2027-03-25
[[inspect_site]]
site = "help.exam.example"
inspect = "page"
reason = "Plain web pages for candidates"
review = 2027-03-25
"#;

fn parse(text: &str) -> Result<Policy, Vec<PolicyError>> {
    Policy::parse(text, "policy.toml", Catalogue::shipped(), &|_| Err("no file".into()))
}

fn policy(more: &str) -> Policy {
    parse(&format!("{BASE}{more}")).unwrap()
}

fn faults(more: &str) -> Vec<String> {
    let errors = parse(&format!("{BASE}{more}")).unwrap_err();
    errors.into_iter().map(|error| format!("{error}; {}", error.fix)).collect()
}

fn ask(
    policy: &Policy,
    level: &str,
    host: &str,
    categories: &[&str],
    lifts: &[PrivacyLift],
    now: UnixMillis,
) -> Inspection {
    let who = Identity {
        level: policy.levels().id(level).unwrap(),
        user: None,
        groups: [].into(),
        roles: RoleSet::default(),
        banned_until: None,
        known_by: KnownBy::Nothing,
    };
    let categories = categories.iter().map(|name| policy.catalogue().id(name).unwrap()).collect();
    let host = Host::parse(host).unwrap();
    let access = Access {
        who: &who,
        scheme: Scheme::Tunnel,
        host: &host,
        port: 443,
        path: None,
        categories,
    };
    policy.inspection_with(&access, lifts, now)
}

fn shown(policy: &Policy, inspection: Inspection) -> String {
    let because = match inspection.because {
        InspectReason::Level => "level".to_owned(),
        InspectReason::Category(id) => format!("category {}", policy.catalogue().name(id)),
        InspectReason::Site(rule) => policy.rule(rule).text.clone(),
        InspectReason::Group(id) => format!("group {}", group(id).unwrap().name),
        InspectReason::Privacy(id) => format!("privacy {}", policy.catalogue().name(id)),
        InspectReason::Change(id) => format!("change {id}"),
        InspectReason::Default => "default".to_owned(),
    };
    format!("{} by {because}", inspection.mode.as_str())
}

#[test]
fn privacy_beats_the_site_which_beats_categories_and_groups_which_beat_the_level() {
    let policy = policy(LINES);
    let cases: [(&str, &str, &[&str], &str); 16] = [
        ("ks2", "a.example", &["games"], "page by level"),
        ("pupil", "a.example", &[], "page by level"),
        ("guest", "a.example", &["games"], "name by level"),
        ("staff", "a.example", &["games"], "name by default"),
        ("ks2", "a.example", &["government"], "name by category government"),
        ("ks2", "a.example", &["games", "government"], "name by category government"),
        ("ks2", "a.example", &["government", "jobs"], "never by category jobs"),
        ("guest", "a.example", &["jobs"], "never by category jobs"),
        ("ks2", "mesu.apple.com", &["government"], "never by group apple-system"),
        ("ks2", "zoom.us", &["jobs"], "page by site = \"zoom.us\", inspect = \"page\""),
        ("ks2", "www.exam.example", &[], "never by site = \"exam.example\", inspect = \"never\""),
        (
            "ks2",
            "a.help.exam.example",
            &["jobs"],
            "page by site = \"help.exam.example\", inspect = \"page\"",
        ),
        // No line raises a level whose devices do not trust the school's authority.
        ("guest", "zoom.us", &[], "name by level"),
        ("staff", "zoom.us", &[], "name by default"),
        ("ks2", "zoom.us", &["banking"], "never by privacy banking"),
        ("guest", "a.example", &["games", "health"], "never by privacy health"),
    ];
    for (level, host, categories, expected) in cases {
        let answer = ask(&policy, level, host, categories, &[], UnixMillis(0));
        assert_eq!(shown(&policy, answer), expected, "{level} {host} {categories:?}");
    }
}

#[test]
fn a_level_that_is_never_looked_into_stays_so() {
    let text = BASE.replace("\"page\"", "\"never\"");
    let policy = parse(&format!("{text}{LINES}")).unwrap();
    for host in ["a.example", "zoom.us", "help.exam.example"] {
        assert_eq!(ask(&policy, "ks2", host, &[], &[], UnixMillis(0)).mode, Inspect::Never);
    }
    assert_eq!(policy.level_inspect(policy.levels().id("ks2").unwrap()), Inspect::Never);
}

/// A lift in force from 100 to 200.
fn lift(id: u32, what: InspectWhat) -> Changes {
    let mut changes = Changes::default();
    let (id, reason) = (UnblockId(id), "because".to_owned());
    let (from, until) = (UnixMillis(100), UnixMillis(200));
    let (lapses, order) = (None, SignOffOrder::default());
    let events = [
        ("m.obi", Event::InspectAsked { id, what, from, until, reason, lapses, order }),
        ("q.whitmore", Event::UnblockAuthorised { id }),
        ("automatic", Event::UnblockApplied { id }),
    ];
    for (sequence, (actor, event)) in events.into_iter().enumerate() {
        let entry = ChangeEntry {
            sequence: sequence as u64,
            at: UnixMillis(50),
            actor: actor.into(),
            event,
        };
        changes.fold(&entry);
    }
    changes
}

#[test]
fn an_authorised_change_takes_the_privacy_away_for_its_time_and_nothing_else() {
    let policy = policy(LINES);
    let category = lift(7, InspectWhat::Category("banking".into())).privacy_lifts(UnixMillis(60));
    let site = lift(8, InspectWhat::Site("zoom.us".into())).privacy_lifts(UnixMillis(60));
    assert_eq!((category.len(), site.len()), (1, 1));
    let bank = ("bank.example", &["banking"][..]);
    let cases = [
        (&category, "ks2", bank, 100, "page by change U-0007"),
        (&category, "ks2", bank, 99, "never by privacy banking"),
        (&category, "ks2", bank, 200, "never by privacy banking"),
        (&category, "guest", bank, 150, "name by level"),
        (
            &category,
            "ks2",
            ("bank.example", &["banking", "health"][..]),
            150,
            "never by privacy health",
        ),
        (
            &category,
            "ks2",
            ("bank.example", &["banking", "jobs"][..]),
            150,
            "never by category jobs",
        ),
        (
            &category,
            "ks2",
            ("mesu.apple.com", &["banking"][..]),
            150,
            "never by group apple-system",
        ),
        (&site, "ks2", bank, 150, "never by privacy banking"),
        (
            &site,
            "ks2",
            ("www.zoom.us", &["banking", "health"][..]),
            150,
            "page by site = \"zoom.us\", inspect = \"page\"",
        ),
        (&category, "ks2", ("a.example", &["games"][..]), 150, "page by level"),
    ];
    for (lifts, level, (host, categories), now, expected) in cases {
        let answer = ask(&policy, level, host, categories, lifts, UnixMillis(now));
        assert_eq!(shown(&policy, answer), expected, "{level} {host} {categories:?} at {now}");
    }
}

#[test]
fn faults_have_their_line_and_a_way_out() {
    let cases = [
        (
            "[inspect]\nbanking = \"page\"",
            "policy.toml:15: \"banking\" is private, and the filter does not look into it; remove \
             the line; for a time and with a reason: schoolgate inspect request banking --until \
             WHEN --reason TEXT --by NAME",
        ),
        ("[inspect]\nhealth-help = \"name\"", "policy.toml:15: \"health-help\" is private"),
        (
            "[inspect]\ngovernmant = \"name\"",
            "policy.toml:15: no category called \"governmant\"; did you mean \"government\"?",
        ),
        (
            "[inspect]\ngames = \"nevr\"",
            "policy.toml:15: no inspection called \"nevr\"; did you mean \"never\"?",
        ),
        ("[inspect]\ngames = 1", "policy.toml:15: 1 is not a text in quotes"),
        (
            "[tls]\nno_sni = \"alow\"",
            "policy.toml:15: no answer called \"alow\"; did you mean \"allow\"?",
        ),
        (
            "[tls]\nno_snii = \"allow\"",
            "policy.toml:15: unknown key \"no_snii\" in [tls]; did you mean",
        ),
        (
            "[[inspect_site]]\nsite = \"a.example\"",
            "policy.toml:14: the [[inspect_site]] has no inspect",
        ),
        (
            &LINES.replace("zoom.us", "zoom.us/j"),
            "policy.toml:19: \"zoom.us/j\" has a path, which is seen only after looking in; write site = \"zoom.us\"",
        ),
        (&LINES.replace("zoom.us", "co.uk"), "policy.toml:19: \"co.uk\" is a public suffix"),
        (
            &LINES.replace("Meetings are held in the browser here", "because"),
            "policy.toml:21: \"because\" says too little",
        ),
        (
            &LINES.replace("\"zoom.us\"", "\"exam.example\""),
            "policy.toml:23: a second [[inspect_site]] for exam.example",
        ),
        (
            "[[test]]\nas = \"ks2\"\ninspect = { \"a.example\" = \"nevr\" }",
            "policy.toml:16: no inspection called \"nevr\"",
        ),
    ];
    for (more, expected) in cases {
        let found = faults(more);
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{found:#?} not {expected}");
    }
    let text = BASE.replace("\"page\"", "\"pages\"");
    let found = parse(&text).unwrap_err();
    assert_eq!(found[0].to_string(), "policy.toml:6: no inspection called \"pages\"");
}

#[test]
fn a_line_that_changes_nothing_is_said() {
    let warnings = policy("[inspect]\ngames = \"page\"\n").warnings().join("; ");
    assert!(
        warnings.contains("policy.toml:15: inspect: \"games\" is looked into anyway"),
        "{warnings}"
    );
}

#[test]
fn tests_of_a_policy_hold_it_to_how_far_it_looks() {
    let policy = policy(
        "[[test]]\nas = \"ks2\"\ninspect = { \"bank.example\" = \"never\", \"category:health\" = \
         \"never\", \"a.example\" = \"name\" }\n",
    );
    assert_eq!(policy.test_count(), 3);
    let banking = policy.catalogue().id("banking").unwrap();
    let categories = |host: &Host, _: Option<&str>| match host.as_str() {
        "bank.example" => CategorySet::of(banking),
        _ => CategorySet::EMPTY,
    };
    let failures = policy.run_tests(&categories, UnixMillis(0));
    let texts: Vec<&str> = failures.iter().map(|failure| failure.text.as_str()).collect();
    assert_eq!(texts, ["ks2: a.example must be inspected as name; it is page"]);
}

#[test]
fn seeing_less_is_loosening_and_seeing_more_is_said() {
    let base = policy(LINES);
    let cases = [
        (LINES.to_owned(), BASE.to_owned(), false, false, ""),
        (
            LINES.to_owned(),
            BASE.replace("\"page\"", "\"name\""),
            true,
            false,
            "inspect for ks2: page -> name (the filter sees less)",
        ),
        (
            LINES.to_owned(),
            BASE.replace("\"name\"", "\"page\""),
            false,
            true,
            "inspect for guest: name -> page (the filter sees more of what people do)",
        ),
        (
            LINES.replace("government = \"name\"", "government = \"never\""),
            BASE.to_owned(),
            true,
            false,
            "inspect government: name -> never",
        ),
        (
            LINES.replace("jobs = \"never\"", "jobs = \"name\""),
            BASE.to_owned(),
            false,
            true,
            "inspect jobs: never -> name",
        ),
        (
            LINES.replace("jobs = \"never\"\n", ""),
            BASE.to_owned(),
            false,
            true,
            "inspect jobs: never -> none",
        ),
        // Without its line a site is what its categories and a wider site are, which may be less or more.
        (
            line_of("exam.example", "name") + LINES.split_once("[[inspect_site]]").unwrap().0,
            BASE.to_owned(),
            true,
            true,
            "inspect zoom.us: page (Meetings are held in the browser here; review 2027-03-25) -> none",
        ),
        (
            LINES.replace("2027-03-25", "2027-03-26"),
            BASE.to_owned(),
            // A decision anew not to look in.
            true,
            false,
            "",
        ),
        (
            format!("{LINES}[tls]\nno_sni = \"allow\"\n"),
            BASE.to_owned(),
            true,
            false,
            "tls no_sni: block -> allow",
        ),
    ];
    for (more, text, loosens, intrudes, line) in cases {
        let diff = base.diff(&parse(&format!("{text}{more}")).unwrap(), &LevelChanges::default());
        assert_eq!((diff.loosens, diff.intrudes), (loosens, intrudes), "{:?}", diff.lines);
        let has_line = line.is_empty() || diff.lines.iter().any(|it| it == line);
        assert!(has_line, "{:?} not {line}", diff.lines);
    }
    assert!(
        !policy("[tls]\nno_sni = \"allow\"\n").diff(&policy(""), &LevelChanges::default()).loosens
    );
}

fn line_of(site: &str, mode: &str) -> String {
    format!(
        "[[inspect_site]]\nsite = \"{site}\"\ninspect = \"{mode}\"\nreason = \"Made up for a test\"\n\
         review = 2027-03-25\n"
    )
}

#[test]
fn a_line_about_a_site_that_goes_may_let_the_filter_see_less_as_well_as_more() {
    let diff = |old: &str, new: &str| {
        let diff = policy(old).diff(&policy(new), &LevelChanges::default());
        (diff.loosens, diff.intrudes)
    };
    let (page, name, never) =
        (line_of("a.example", "page"), line_of("a.example", "name"), line_of("a.example", "never"));
    for (old, new, found) in [
        (page.as_str(), "", (true, false)),
        (name.as_str(), "", (true, true)),
        (never.as_str(), "", (false, true)),
        ("", page.as_str(), (false, true)),
        ("", name.as_str(), (true, true)),
        ("", never.as_str(), (true, false)),
        (name.as_str(), &line_of("www.a.example", "name"), (true, true)),
    ] {
        assert_eq!(diff(old, new), found, "{old} -> {new}");
    }
}

#[test]
fn tls_that_does_not_say_for_whom_it_is_is_blocked_unless_the_file_says_otherwise() {
    assert_eq!(*policy("").tls(), crate::inspect::TlsRules::default());
    let tls = *policy("[tls]\nencrypted_hello = \"allow\"\n").tls();
    let verdicts = [tls.no_sni, tls.encrypted_hello, tls.not_tls];
    use crate::decide::Verdict::{Allow, Block};
    assert_eq!(verdicts, [Block, Allow, Block]);
}

fn any_lines() -> impl Strategy<Value = String> {
    let mode = || prop::sample::select(vec!["page", "name", "never"]);
    let category = prop::sample::select(vec!["games", "government", "jobs", "banking", "cdn"]);
    let site = prop::sample::select(vec!["bank.example", "example", "a.example", "zoom.us"]);
    let site = site.prop_map(|site| if site == "example" { "my.bank.example" } else { site });
    (
        prop::collection::btree_map(category, mode(), 0..4),
        prop::collection::btree_map(site, mode(), 0..4),
        [mode(), mode()],
    )
        .prop_map(|(categories, sites, [pupil, staff])| {
            let mut text = BASE
                .replace("pupil = { inspect = \"page\" }", &format!("pupil = {{ inspect = \"{pupil}\" }}"))
                .replace("staff = {}", &format!("staff = {{ inspect = \"{staff}\" }}"));
            text.push_str("[inspect]\n");
            for (category, mode) in categories {
                text.push_str(&format!("{category} = \"{mode}\"\n"));
            }
            for (site, mode) in sites {
                text.push_str(&format!(
                    "[[inspect_site]]\nsite = \"{site}\"\ninspect = \"{mode}\"\nreason = \"Made up for a \
                     property\"\nreview = 2027-03-25\n"
                ));
            }
            text
        })
}

proptest! {
    #[test]
    fn no_policy_file_alone_looks_into_a_private_category(
        text in any_lines(),
        level in prop::sample::select(vec!["pupil", "ks2", "guest", "staff"]),
        host in prop::sample::select(vec!["bank.example", "my.bank.example", "zoom.us", "b.a.example"]),
        private in prop::sample::select(vec!["banking", "finance", "health", "health-help", "identity"]),
        other in prop::sample::select(vec!["games", "government", "jobs", "uncategorised"]),
    ) {
        match parse(&text) {
            Ok(policy) => {
                let answer = ask(&policy, level, host, &[other, private], &[], UnixMillis(0));
                prop_assert_eq!(answer.mode, Inspect::Never);
                let open = ask(&policy, level, host, &[other], &[], UnixMillis(0));
                let id = policy.levels().id(level).unwrap();
                prop_assert!(open.mode >= policy.level_inspect(id));
            }
            // The one way such a file is refused.
            Err(faults) => prop_assert!(faults.iter().all(|it| it.what.contains("is private"))),
        }
    }
}

#[test]
fn the_shipped_groups_are_named_by_their_place() {
    assert_eq!(group(GroupId(0)).unwrap().name, "apple-system");
    assert_eq!(group(GroupId(u16::MAX)), None);
}
