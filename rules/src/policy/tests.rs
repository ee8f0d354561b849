#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod assistants;
mod differences;
mod phrase_lists;
mod searches;
mod themes;
mod thresholds;

use super::*;
use crate::host::Host;
use crate::level::{PageStyle, VideoMode};
use crate::target::Scheme;
use proptest::prelude::*;
use std::sync::Arc;

/// The sample of the user guide, with every key that a policy may have.
const SAMPLE: &str = include_str!("fixtures/sample.toml");

fn read_file(name: &str) -> Result<String, String> {
    match name {
        "local/ks1.txt" => {
            Ok("# reading\nphonics.example\nbbc.co.uk/cbeebies # clips\n".to_owned())
        }
        _ => Err("no such file".to_owned()),
    }
}

fn parse(text: &str) -> Result<Policy, Vec<PolicyError>> {
    Policy::parse(text, "policy.toml", Catalogue::shipped(), &read_file)
}

fn sample() -> Policy {
    parse(SAMPLE).unwrap()
}

/// `place: what; fix` of every fault.
fn faults(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(|fault| format!("{fault}; {}", fault.fix)).collect(),
    }
}

#[test]
fn the_sample_policy_parses_as_it_stands() {
    let policy = sample();
    assert_eq!(policy.school(), "Example Academy");
    assert_eq!(policy.files(), ["local/ks1.txt"]);
    assert_eq!(policy.levels().get(policy.levels().strictest()).name, "ks1");
}

/// An access by somebody of a level, without user, groups or roles.
pub(crate) fn someone(policy: &Policy, level: &str) -> Identity {
    Identity {
        level: policy.levels().id(level).unwrap(),
        user: None,
        groups: [].into(),
        roles: RoleSet::default(),
        banned_until: None,
        known_by: KnownBy::Nothing,
    }
}

fn at(text: &str) -> UnixMillis {
    UnixMillis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn categories(policy: &Policy, names: &[&str]) -> CategorySet {
    names.iter().map(|name| policy.catalogue().id(name).unwrap()).collect()
}

fn cell_words(policy: &Policy, level: &str, category: &str) -> (String, String) {
    let level = policy.levels().id(level).unwrap();
    let (_, rule) = policy.cell(level, policy.catalogue().id(category).unwrap());
    let rule = policy.rule(rule);
    (rule.text.clone(), rule.place.clone())
}

#[test]
fn levels_take_what_their_parents_have() {
    let policy = sample();
    let levels = policy.levels();
    let level = |name: &str| levels.get(levels.id(name).unwrap());
    assert!(level("ks1").safe_search && level("guest").safe_search && !level("staff").safe_search);
    assert_eq!((level("ks3").video, level("ks2").video), (VideoMode::Moderate, VideoMode::Open));
    let styles = ["ks1", "ks2", "ks3", "guest", "staff"].map(|name| level(name).style);
    let wanted = [
        PageStyle::Ks1,
        PageStyle::Ks2,
        PageStyle::Secondary,
        PageStyle::Secondary,
        PageStyle::Staff,
    ];
    assert_eq!(styles, wanted);
    let names: Vec<_> = levels.iter().map(|(_, level)| level.name.as_str()).collect();
    assert_eq!(names, ["pupil", "ks1", "ks2", "ks3", "guest", "staff"], "the order of the file");
    let strictness =
        ["ks1", "ks2", "ks3", "guest", "staff", "pupil"].map(|name| level(name).strictness);
    assert_eq!(strictness, [0, 1, 2, 3, 4, 2]);
    assert!(policy.only(levels.id("ks1").unwrap()).is_some());
    assert!(policy.only(levels.id("ks2").unwrap()).is_none());
}

#[test]
fn a_cell_is_the_levels_own_then_its_parents_then_the_baselines_then_block() {
    let policy = sample();
    let line = |needle: &str| {
        let place = SAMPLE.lines().position(|line| line.starts_with(needle)).unwrap();
        format!("policy.toml:{}", place + 1)
    };
    let games = line("games = ");
    assert_eq!(
        cell_words(&policy, "ks3", "games"),
        ("games = \"allow at lunch\"".into(), games.clone())
    );
    assert_eq!(cell_words(&policy, "ks2", "games"), ("games = \"block\"".into(), games));
    let (text, place) = cell_words(&policy, "guest", "uncategorised");
    assert_eq!(text, "uncategorised = \"allow\"");
    assert!(place.starts_with("baseline:"), "{place}");
    let mut catalogue = Catalogue::shipped();
    catalogue.add("school-made-up").unwrap();
    let policy = Policy::parse(SAMPLE, "policy.toml", catalogue, &read_file).unwrap();
    let (text, place) = cell_words(&policy, "staff", "school-made-up");
    assert_eq!((text.as_str(), place.as_str()), ("no cell: block", "baseline"));
    let later = CategoryId::from_index(255);
    let staff = policy.levels().id("staff").unwrap();
    assert_eq!(
        policy.cell(staff, later).0,
        &Cell::Block,
        "a category added after the policy was read"
    );
}

#[test]
fn the_shipped_baseline_has_only_cells_that_it_may_have() {
    let catalogue = Catalogue::shipped();
    let table: toml::Table = toml::from_str(include_str!("../../defaults/baseline.toml")).unwrap();
    assert_eq!(table.keys().collect::<Vec<_>>(), ["files", "grid", "themes"]);
    for (name, row) in table["themes"].as_table().unwrap() {
        assert!(crate::theme::shipped_themes().iter().any(|theme| theme.name == *name), "{name}");
        for (level, action) in row.as_table().unwrap() {
            let levels = ["pupil", "ks1", "ks2", "guest", "staff"];
            assert!(levels.contains(&level.as_str()), "{name} {level}");
            assert!(ThemeAction::from_word(action.as_str().unwrap()).is_some(), "{name} {action}");
        }
    }
    let rows = |part: &str| table[part].as_table().unwrap().iter();
    for (name, row) in rows("grid").chain(rows("files")) {
        let id = catalogue.id(name);
        let is_file = crate::file::FileKind::from_word(name).is_some();
        assert!(id.is_some() != is_file, "no category or kind of file {name}");
        for (level, cell) in row.as_table().unwrap() {
            let cell = cell.as_str().unwrap();
            assert!(["pupil", "guest", "staff"].contains(&level.as_str()), "{name} {level}");
            let role = cell.strip_prefix("allow for @").map(Role::from_word);
            assert!(
                matches!((cell, role), ("allow" | "block", None) | (_, Some(Some(_)))),
                "{name} {cell}"
            );
            let is_locked = id.is_some_and(|id| catalogue.locked().contains(id));
            assert!(cell == "block" || !is_locked, "{name} is locked");
        }
    }
}

#[test]
fn the_starter_policy_parses_without_a_fault() {
    assert!(starter().test_count() > 10);
}

fn starter() -> Policy {
    let read = |name: &str| {
        let files = crate::defaults::POLICY_FILES;
        files
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, text)| (*text).to_owned())
            .ok_or_else(String::new)
    };
    let policy = Policy::parse(crate::defaults::POLICY, "policy.toml", Catalogue::shipped(), &read);
    policy.unwrap_or_else(|faults| panic!("{faults:#?}"))
}

#[test]
fn user_beats_group_beats_network_and_nobody_known_is_the_strictest() {
    let text = SAMPLE
        .replace("\"net:10.20.0.0/16\" = \"guest\"", "\"net:10.20.0.0/16\" = \"guest\"\n\"net:10.20.5.0/24\" = \"ks2\"\n\"net:fd00::/8\" = \"guest\"");
    let policy = parse(&text).unwrap();
    let facts = |name: &str, level: Option<&str>, groups: &[&str]| UserFacts {
        name: Arc::from(name),
        level: level.map(str::to_owned),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        banned_until: None,
    };
    let who = |user: Option<&UserFacts>, client: &str| {
        let who = policy.identify(user, client.parse().unwrap());
        (policy.levels().get(who.level).name.clone(), who.known_by)
    };
    let case = |level: &str, by: KnownBy| (level.to_owned(), by);
    let sam = facts("Sam.P", Some("staff"), &["Year 7"]);
    assert_eq!(who(Some(&sam), "10.20.0.9"), case("ks2", KnownBy::User), "[who] beats the store");
    let kept = facts("a.kept", Some("ks3"), &["Staff"]);
    assert_eq!(who(Some(&kept), "10.20.0.9"), case("ks3", KnownBy::User), "the store beats groups");
    let gone = facts("a.gone", Some("year-9"), &["staff"]);
    assert_eq!(
        who(Some(&gone), "10.20.0.9"),
        case("staff", KnownBy::Group),
        "an unknown level is passed over"
    );
    let both = facts("a.both", None, &["Staff", "YEAR 7"]);
    assert_eq!(
        who(Some(&both), "10.20.0.9"),
        case("ks3", KnownBy::Group),
        "the first group in the file"
    );
    let other = facts("a.other", None, &["Chess"]);
    assert_eq!(who(Some(&other), "10.20.0.9"), case("guest", KnownBy::Network));
    assert_eq!(who(None, "10.20.5.9"), case("ks2", KnownBy::Network), "the narrowest network");
    assert_eq!(who(None, "::ffff:10.20.5.9"), case("ks2", KnownBy::Network));
    assert_eq!(who(None, "fd00::1"), case("guest", KnownBy::Network));
    assert_eq!(who(Some(&other), "192.0.2.1"), case("ks1", KnownBy::Nothing));
    assert_eq!(who(None, "192.0.2.1"), case("ks1", KnownBy::Nothing));
    assert!(policy.knows_network("10.20.0.1".parse().unwrap()));
    assert!(!policy.knows_network("10.21.0.1".parse().unwrap()));
}

#[test]
fn roles_are_held_by_name_without_case() {
    let policy = sample();
    assert!(policy.roles("Q.WHITMORE").contains(Role::Dsl));
    assert_eq!(policy.roles("nobody"), RoleSet::default());
    assert_eq!(policy.holders(Role::Dsl), ["q.whitmore"]);
    let dsl = UserFacts { name: "Q.Whitmore".into(), ..UserFacts::default() };
    assert!(policy.identify(Some(&dsl), "192.0.2.1".parse().unwrap()).roles.contains(Role::Dsl));
}

#[test]
fn the_unblock_rules_and_times_to_keep_are_as_written() {
    let policy = sample();
    let rules = policy.unblock_rules();
    assert_eq!((&rules.authorise[..], rules.apply_automatically), (&[Role::Dsl][..], true));
    assert_eq!((&rules.confirm[..], rules.max_days), (&[Role::It, Role::Head][..], 90));
    assert_eq!(policy.catalogue().names(rules.never), ["adult"]);
    let standing = &rules.standing[0];
    assert_eq!(
        (standing.who, standing.max_minutes, standing.scope.as_str()),
        (Role::Teacher, 60, "class")
    );
    assert_eq!(
        policy.keep(),
        Keep { allowed_days: 90, blocked_days: 366, changes_days: 2557, alerts_days: 366 }
    );
    let by_it = parse(&SAMPLE.replace("apply = \"automatic\"", "apply = \"it\"")).unwrap();
    assert_eq!(
        (&by_it.unblock_rules().apply[..], by_it.unblock_rules().apply_automatically),
        (&[Role::It][..], false)
    );
}

#[test]
fn the_order_of_sign_offs_is_one_in_which_nothing_is_applied_unauthorised() {
    assert!(sample().unblock_rules().order.is_usual());
    let with = |order: &str| {
        parse(&SAMPLE.replace("max_days = 90", &format!("max_days = 90\norder = {order}")))
    };
    let first = with(r#"["confirm", "authorise", "apply"]"#).unwrap();
    assert!(first.unblock_rules().order.confirms_first());
    let refused = [
        (r#"["apply", "authorise", "confirm"]"#, "order must name each sign-off once"),
        (r#"["authorise", "apply"]"#, "order must name each sign-off once"),
        (r#"["authorise", "apply", "aprove"]"#, "no sign-off called \"aprove\""),
    ];
    for (order, what) in refused {
        let faults = with(order).unwrap_err();
        assert!(faults[0].what.contains(what), "{faults:#?}");
    }
    // Confirming first by a role that nobody holds would close everything for good.
    let nobody = SAMPLE
        .replace("confirm = [\"it\", \"head\"]", "confirm = [\"head\"]")
        .replace("max_days = 90", "max_days = 90\norder = [\"authorise\", \"confirm\", \"apply\"]");
    let faults = parse(&nobody).unwrap_err();
    assert!(faults[0].what.contains("nobody holds a role that may confirm"), "{faults:#?}");
    let reserved =
        parse(&SAMPLE.replace("\"q.whitmore\"", "\"q.whitmore\", \"Automatic\"")).unwrap_err();
    assert!(reserved[0].what.contains("is no person's name"), "{reserved:#?}");
}

#[test]
fn what_is_not_built_yet_is_said() {
    let policy = sample();
    for what in ["kerberos", "chromebook", "portal"] {
        let said = policy.warnings().iter().filter(|warning| warning.contains(what)).count();
        assert_eq!(said, 1, "{what}: {:#?}", policy.warnings());
    }
    assert!(!policy.wants_sign_in());
    let basic =
        parse(&SAMPLE.replace("\"kerberos\", \"chromebook\", \"portal\"", "\"basic\"")).unwrap();
    assert!(basic.wants_sign_in());
    assert!(!basic.warnings().iter().any(|warning| warning.contains("sign-in")));
}

#[test]
fn every_fault_has_its_line_and_a_fix() {
    let line = |needle: &str| SAMPLE.lines().position(|line| line.contains(needle)).unwrap() + 1;
    let cases = [
        (
            "allow at lunch",
            "allow at luch",
            "no time called \"luch\"; did you mean \"allow at lunch\"?",
        ),
        (
            "allow for @dsl",
            "allow for @dls",
            "no role called \"dls\"; did you mean \"allow for @dsl\"?",
        ),
        (
            "allow for @dsl",
            "allow for dsl",
            "\"allow for dsl\" names no role; did you mean \"allow for @dsl\"?",
        ),
        (
            "games = { pupil",
            "gmaes = { pupil",
            "no category called \"gmaes\"; did you mean \"games\"?",
        ),
        (
            "games = { pupil = \"block\"",
            "games = { pupil = \"blok\"",
            "\"blok\" is no cell of the grid; did you mean \"block\"?",
        ),
        (
            "adult = { pupil",
            "adult = { pupils",
            "no level called \"pupils\"; did you mean \"pupil\"?",
        ),
        (
            "adult = { pupil = \"block\"",
            "terrorism = { pupil = \"allow\"",
            "\"terrorism\" is locked and cannot be allowed; remove the line",
        ),
        (
            "max_days = 90",
            "max_day = 90",
            "unknown key \"max_day\" in [unblock]; did you mean \"max_days\"?",
        ),
        (
            "max_days = 90",
            "max_days = 600",
            "600 is not a whole number from 1 to 366; write it like max_days = 90",
        ),
        ("max_days = 90", "max_days = \"90\"", "\"90\" is not a whole number"),
        ("school = ", "shcool = ", "the policy has no school; add school"),
        (
            "school = ",
            "shcool = ",
            "unknown key \"shcool\" in the policy; did you mean \"school\"?",
        ),
        ("Europe/London", "Europe/Lodnon", "no time zone \"Europe/Lodnon\""),
        ("2025-12-19", "2025-08-19", "\"2025-09-03/2025-08-19\" is no term"),
        (
            "\"portal\"",
            "\"potral\"",
            "no way to identify called \"potral\"; did you mean \"portal\"?",
        ),
        (
            "Mon-Fri 12:10-13:10",
            "Mon-Fri 12:10-25:10",
            "\"Mon-Fri 12:10-25:10\" is no time of the week",
        ),
        ("parent = \"pupil\", only", "parent = \"ks1\", only", "ks1 is its own parent"),
        (
            "parent = \"pupil\", only",
            "parent = \"pupl\", only",
            "no level called \"pupl\"; did you mean \"pupil\"?",
        ),
        ("local/ks1.txt", "local/ks2.txt", "cannot read local/ks2.txt: no such file"),
        (
            "video = \"moderate\"",
            "video = \"modrate\"",
            "no video mode called \"modrate\"; did you mean \"moderate\"?",
        ),
        (
            "\"user:sam.p\"",
            "\"usr:sam.p\"",
            "\"usr:sam.p\" is no user, group or network; did you mean \"user:sam.p\"?",
        ),
        (
            "net:10.20.0.0/16",
            "net:10.20.1.0/16",
            "10.20.1.0/16 has bits set beyond its prefix; did you mean \"net:10.20.0.0/16\"?",
        ),
        ("net:10.20.0.0/16", "net:10.20.0/16", "\"10.20.0/16\" is no network"),
        (
            "\"group:Staff\" = \"staff\"",
            "\"group:year 7\" = \"staff\"",
            "\"group:year 7\" is there twice",
        ),
        ("site = \"audionetwork.com\"", "site = \"co.uk\"", "\"co.uk\" is a public suffix"),
        ("review = 2026-03-27", "review = \"soon\"", "\"soon\" is not a date, YYYY-MM-DD"),
        ("reason = \"Music library\"", "reason = \" \"", "reason is blank"),
        ("it = [\"j.cho\"]", "itt = [\"j.cho\"]", "no role called \"itt\"; did you mean \"it\"?"),
        (
            "authorise = [\"dsl\"]",
            "authorise = []",
            "the policy names nobody who may authorise an unblock",
        ),
        (
            "authorise = [\"dsl\"]",
            "authorise = [\"head\"]",
            "nobody holds a role that may authorise (head)",
        ),
        (
            "authorise = [\"dsl\"]",
            "authorise = [\"governor\"]",
            "\"governor\" reads reports and changes nothing",
        ),
        (
            "apply = \"automatic\"",
            "apply = \"automatc\"",
            "no role called \"automatc\"; did you mean \"automatic\"?",
        ),
        (
            "never = [\"adult\"]",
            "never = [\"adlut\"]",
            "no category called \"adlut\"; did you mean \"adult\"?",
        ),
        ("categories = [\"games\"]", "categories = [\"adult\"]", "\"adult\" is never unblocked"),
        ("max_minutes = 60", "max_minutes = 0", "0 is not a whole number from 1 to 1440"),
        ("allowed = \"90 days\"", "allowed = \"90\"", "\"90\" is no length of time"),
        ("at = \"Tue 10:00\"", "at = \"Teu 10:00\"", "\"Teu 10:00\" is no time"),
        ("as = \"ks2\"", "as = \"ks22\"", "no level called \"ks22\"; did you mean \"ks2\"?"),
        (
            "category:games",
            "category:gamez",
            "no category called \"gamez\"; did you mean \"games\"?",
        ),
        ("childline.org.uk", "childline org uk", "\"childline org uk\" is no site"),
        ("safe_search = true }", "safe_search = \"yes\" }", "\"yes\" is not true or false"),
        ("staff = {}", "\"a b\" = {}", "\"a b\" is no name for a level"),
        (
            "\"guest\", \"staff\"] # s",
            "\"guest\"] # s",
            "order does not say how strict staff is; put \"staff\" in its place there",
        ),
        (
            "\"guest\", \"staff\"] # s",
            "\"guest\", \"guest\", \"staff\"] # s",
            "guest is in the order twice",
        ),
    ];
    for (old, new, message) in cases {
        assert!(SAMPLE.contains(old), "the sample has no {old}");
        let found = faults(&SAMPLE.replacen(old, new, 1));
        let with_line = format!("policy.toml:{}: {message}", line(old));
        let at_top = format!("policy.toml:1: {message}");
        let is_there = |fault: &String| fault.starts_with(&with_line) || fault.starts_with(&at_top);
        assert!(found.iter().any(is_there), "{with_line} is not in {found:#?}");
    }
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let text = SAMPLE
        .replace("allow at lunch", "allow at luch")
        .replace("max_days", "max_dys")
        .replace("terms = ", "trems = ")
        .replace("local/ks1.txt", "local/none.txt");
    let found = faults(&text);
    assert_eq!(found.len(), 4, "{found:#?}");
    let lines: Vec<usize> =
        found.iter().map(|fault| fault.split(':').nth(1).unwrap().parse().unwrap()).collect();
    assert!(lines.is_sorted(), "{found:#?}");
}

#[test]
fn a_text_that_is_no_toml_tells_where() {
    let found = faults("school = \"Example\nterms = [\n");
    assert!(found.iter().any(|fault| fault.starts_with("policy.toml:1: ")), "{found:#?}");
    assert!(
        !found.iter().any(|fault| fault.contains("has no")),
        "no faults that only follow: {found:#?}"
    );
    assert!(!faults("").is_empty());
}

#[test]
fn exceptions_and_tests_stand_where_their_tables_start() {
    let policy = sample();
    let line = |needle: &str| {
        let at = SAMPLE.lines().position(|line| line == needle).unwrap();
        format!("policy.toml:{}", at + 1)
    };
    let exception = &policy.exceptions()[0];
    assert_eq!(policy.rule(exception.rule).place, line("[[exception]]"));
    let text = "site = \"audionetwork.com\", allow_for = \"pupil\"";
    assert_eq!(policy.rule(exception.rule).text, text);
    assert_eq!(policy.tests[0].place, line("[[test]]"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_fail_to_answer(
        from in 0..SAMPLE.len(),
        length in 0_usize..60,
        with in prop::sample::select(vec!["", "\"", "[", "]]", "{", "=", "\n", "ks1", "pupil", "[[test]]", "= 9", "é"]),
        copy_from in 0..SAMPLE.len(),
        copy_length in 0_usize..200,
    ) {
        let part = |from: usize, length: usize| {
            SAMPLE.get(from..(from + length).min(SAMPLE.len())).unwrap_or_default()
        };
        let (before, after) = (part(0, from), part(from + length, SAMPLE.len()));
        let text = format!("{before}{with}{}{after}", part(copy_from, copy_length));
        if let Err(faults) = parse(&text) {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                prop_assert!(!fault.what.is_empty() && !fault.fix.is_empty(), "{fault:?}");
            }
        }
    }

    #[test]
    fn no_policy_that_parses_opens_a_locked_category(
        category in prop::sample::select(vec!["csam", "terrorism", "illegal"]),
        cell in prop::sample::select(vec!["allow", "allow at lunch", "allow for @dsl", "block"]),
        level in prop::sample::select(vec!["pupil", "ks1", "ks3", "guest", "staff"]),
    ) {
        let row = format!("[grid]\n{category} = {{ {level} = \"{cell}\" }}");
        match parse(&SAMPLE.replace("[grid]", &row)) {
            Ok(policy) => {
                prop_assert_eq!(cell, "block");
                let category = policy.catalogue().id(category).unwrap();
                for (level, _) in policy.levels().iter() {
                    prop_assert_eq!(policy.cell(level, category).0, &Cell::Block);
                }
            }
            Err(faults) => {
                prop_assert!(faults[0].what.contains("is locked and cannot be allowed"));
            }
        }
    }
}

#[test]
fn a_fault_in_a_list_of_sites_has_the_lists_line() {
    let read = |_: &str| Ok("good.example\n\nco.uk\nbad site\n".to_owned());
    let found = Policy::parse(SAMPLE, "policy.toml", Catalogue::shipped(), &read).unwrap_err();
    let places: Vec<_> = found.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(places, ["local/ks1.txt:3", "local/ks1.txt:4"]);
}

#[test]
fn it_opens_when_all_its_times_hold_at_once() {
    let text = SAMPLE
        .replace("terms = [\"2025-09-03/2025-12-19\"]", "")
        .replace(
            "lunch = \"Mon-Fri 12:10-13:10\"",
            "lunch = \"Mon-Fri 12:10-13:10\"\nclub = \"Wed 12:30-14:00\"",
        )
        .replace("[[exception]]", "music = { ks3 = \"allow at club\" }\n[[exception]]");
    let policy = parse(&text).unwrap();
    let who = someone(&policy, "ks3");
    let opens = |who: &Identity, names: &[&str]| {
        let host = Host::parse("chess.example").unwrap();
        let access = Access {
            who,
            scheme: Scheme::Tunnel,
            host: &host,
            port: 443,
            path: None,
            categories: categories(&policy, names),
        };
        // A Monday, at ten.
        let open = policy.opens(&access, at("2026-11-23T10:00:00Z"))?;
        Some((policy.clock().show(open.0), policy.clock().show(open.1)))
    };
    let pair = |from: &str, until: &str| Some((from.to_owned(), until.to_owned()));
    assert_eq!(
        opens(&who, &["games"]),
        pair("Mon 23 Nov 2026 12:10 GMT", "Mon 23 Nov 2026 13:10 GMT")
    );
    assert_eq!(
        opens(&who, &["games", "music"]),
        pair("Wed 25 Nov 2026 12:30 GMT", "Wed 25 Nov 2026 13:10 GMT")
    );
    assert_eq!(opens(&who, &["games", "adult"]), None, "blocked flatly too");
    assert_eq!(opens(&who, &["games", "csam"]), None, "locked");
    assert_eq!(opens(&who, &["adult"]), None);
    assert_eq!(opens(&someone(&policy, "ks2"), &["games"]), None);
    assert_eq!(opens(&someone(&policy, "ks1"), &["games"]), None, "the clock opens no list");
    let banned = Identity { banned_until: Some(at("2026-11-23T20:00:00Z")), ..who };
    assert_eq!(opens(&banned, &["games"]), None);
}

#[test]
fn failing_tests_say_what_decided() {
    let policy = sample();
    let games = policy.catalogue().id("games").unwrap();
    let now = at("2025-11-26T10:00:00Z");
    let education = CategorySet::of(policy.catalogue().id("education").unwrap());
    assert_eq!(policy.test_count(), 2);
    let allowed =
        SAMPLE.replace("uncategorised = {", "education = { pupil = \"allow\" }\nuncategorised = {");
    let good = parse(&allowed).unwrap();
    assert_eq!(good.run_tests(&|_, _| education, now), []);
    let failures = good.run_tests(&|_, _| CategorySet::of(games), now);
    let line = allowed.lines().position(|line| line.starts_with("games = ")).unwrap() + 1;
    let text = format!("ks2, Tue 10:00: childline.org.uk must be allowed; :{line} blocks it");
    assert_eq!(failures, [TestFailure { text }]);
    let open =
        parse(&allowed.replace("games = { pupil = \"block\"", "games = { pupil = \"allow\""))
            .unwrap();
    let text = format!("ks2, Tue 10:00: category:games must be blocked; :{line} allows it");
    assert_eq!(open.run_tests(&|_, _| education, now), [TestFailure { text }]);
}

#[test]
fn a_test_at_lunch_holds_in_the_holidays_too() {
    let text = SAMPLE
        .replace("as = \"ks2\"\nat = \"Tue 10:00\"", "as = \"ks3\"\nat = \"Tue 12:30\"")
        .replace(
            "allow = [\"childline.org.uk\"]\nblock = [\"category:games\"]",
            "allow = [\"category:games\"]",
        );
    let policy = parse(&text).unwrap();
    assert_eq!(policy.run_tests(&|_, _| CategorySet::EMPTY, at("2026-08-03T10:00:00Z")), []);
}

#[test]
fn terms_that_are_all_over_are_warned_of() {
    let policy = sample();
    let at = |text: &str| policy.clock().moment(text, UnixMillis(0), false).unwrap();
    assert_eq!(policy.warnings_at(at("2025-12-19 23:59")), policy.warnings());
    let over = policy.warnings_at(at("2025-12-20"));
    assert_eq!(
        over.last().unwrap(),
        "the last term ended on 2025-12-19; named times hold on no day until a new term is added"
    );
    assert_eq!(over.len(), policy.warnings().len() + 1);
    let none = parse(&SAMPLE.replace("terms = [\"2025-09-03/2025-12-19\"]", "")).unwrap();
    assert_eq!(none.terms_over(at("2030-01-01")), None, "without terms every day is one");
}

#[test]
fn an_exception_that_opens_a_search_engine_is_told_of() {
    let with = |site: &str, level: &str| {
        let text = SAMPLE.replace("[levels]", &format!("[[exception]]\nsite = \"{site}\"\nallow_for = \"{level}\"\nreason = \"Lists were wrong\"\nreview = 2027-01-01\n\n[levels]"));
        let policy = parse(&text).unwrap();
        let warned = policy.warnings_at(UnixMillis(0));
        warned.into_iter().filter(|it| it.contains("search engine")).collect::<Vec<_>>()
    };
    let told = with("kagi.com", "ks2");
    assert_eq!(
        told,
        [
            "the exception for kagi.com opens a search engine to ks2 that is refused otherwise (no_safe_mode)"
        ]
    );
    for (site, level) in [("kagi.com", "staff"), ("www.bing.com", "ks2"), ("example.org", "ks2")] {
        assert_eq!(with(site, level), [""; 0], "{site} {level}");
    }
}

#[test]
fn a_review_date_that_has_passed_is_warned_of_once_and_closes_nothing() {
    let text = SAMPLE.replace("allow_for = \"pupil\"", "allow_for = [\"ks2\", \"ks3\"]");
    let policy = parse(&text).unwrap();
    let at = |text: &str| policy.clock().moment(text, UnixMillis(0), false).unwrap();
    let standing = "review of the standing yes of Q. Whitmore (DSL) 2025-09-01 was due 2026-01-05";
    let cases = [
        ("2026-01-05 10:00", vec![]),
        ("2026-01-06", vec![standing]),
        ("2026-03-27 23:59", vec![standing]),
        ("2026-03-28", vec!["review of audionetwork.com was due 2026-03-27", standing]),
    ];
    for (when, expected) in cases {
        assert_eq!(policy.overdue_reviews(at(when)), expected, "{when}");
        let warned = policy.warnings_at(at(when));
        assert!(expected.iter().all(|it| warned.iter().any(|told| told == it)), "{when}");
    }
    let (who, host) = (someone(&policy, "ks2"), Host::parse("audionetwork.com").unwrap());
    let access = Access {
        who: &who,
        scheme: Scheme::Http,
        host: &host,
        port: 80,
        path: Some("/"),
        categories: CategorySet::EMPTY,
    };
    let late = crate::decide::decide(&policy, &[], &[], &access, at("2026-04-01"));
    assert!(matches!(late.reason, Reason::Exception(_)), "{late:?}");
}

/// What UK guidance asks a school's filter to cover (the UK Safer Internet Centre's definitions of
/// appropriate filtering), and the categories here that are of each type.
const UK_CONTENT_TYPES: [(&str, &[&str]); 13] = [
    ("child sexual abuse material", &["csam"]),
    ("unlawful terrorist content", &["terrorism"]),
    ("other unlawful content", &["illegal"]),
    ("gambling", &["gambling"]),
    ("hate speech and discrimination", &["hate", "discrimination", "bullying"]),
    ("harmful content and drugs", &["drugs", "alcohol", "tobacco-vaping", "dangerous-acts"]),
    (
        "malware and hacking",
        &["malware", "phishing", "scam", "hacking", "cryptojacking", "stalkerware", "ddos"],
    ),
    ("misinformation and conspiracy", &["misinformation"]),
    ("piracy and copyright theft", &["piracy", "peer-to-peer"]),
    ("pornography", &["adult", "mature", "lingerie", "dating", "intimate-images"]),
    ("self-harm, suicide and eating disorders", &["self-harm", "suicide", "eating-disorders"]),
    ("violence, extremism and weapons", &["violence", "gore", "extremism", "cults", "weapons"]),
    (
        "ways round the filter",
        &["proxy", "vpn", "doh", "remote-access", "dynamic-dns", "shortener"],
    ),
];

/// What depends on age and time of day.
const BY_AGE_AND_TIME: [&str; 12] = [
    "social",
    "chat",
    "games",
    "video",
    "music",
    "live-streaming",
    "ai",
    "shopping",
    "forums",
    "blog",
    "file-sharing",
    "webmail",
];

/// What must stay within reach.
const WITHIN_REACH: [&str; 6] =
    ["sex-education", "childrens", "education", "reference", "news", "health-help"];

#[test]
fn the_starter_policy_answers_for_every_content_type_of_uk_guidance() {
    let policy = starter();
    let pupils = ["ks1", "ks2", "ks3", "ks4", "ks5"];
    let cell = |level: &str, category: &str| {
        let level = policy.levels().id(level).unwrap();
        let category = policy.catalogue().id(category).unwrap_or_else(|| panic!("{category}"));
        policy.answer(level, category)
    };
    let order = policy.levels().order.iter();
    let levels: Vec<&str> = order.map(|id| policy.levels().get(*id).name.as_str()).collect();
    let harmful =
        UK_CONTENT_TYPES.iter().flat_map(|(kind, all)| all.iter().map(move |it| (*kind, *it)));
    let by_age = BY_AGE_AND_TIME.iter().map(|it| ("by age and time", *it));
    for (kind, category) in harmful.clone().chain(by_age) {
        for level in &levels {
            let answer = cell(level, category);
            let is_written = !std::ptr::eq(answer, &policy.answers[0]);
            assert!(is_written, "{kind}: nothing is written of {category} for {level}");
        }
    }
    for (kind, category) in harmful {
        for level in pupils.iter().chain(&["guest"]) {
            let words = &cell(level, category).words;
            let may = ["misinformation", "shortener"].contains(&category) && *level == "guest";
            assert!(may || words == "block", "{kind}: {category} for {level} is {words}");
        }
    }
    for category in WITHIN_REACH {
        for level in &levels {
            assert_eq!(cell(level, category).cell, Cell::Allow, "{category} for {level}");
        }
    }
    for category in ["csam", "terrorism", "illegal"] {
        let id = policy.catalogue().id(category).unwrap();
        assert!(policy.catalogue().locked().contains(id), "{category}");
    }
}

#[test]
fn one_mistake_in_several_cells_of_a_line_is_one_fault() {
    let text = SAMPLE.replacen(
        "[grid]",
        "[grid]\ncsam = { pupil = \"allow\", staff = \"allow\", guest = \"allow\" }",
        1,
    );
    let faults = parse(&text).unwrap_err();
    let locked = faults.iter().filter(|fault| fault.what.contains("is locked")).count();
    assert_eq!(locked, 1, "{faults:#?}");
}
