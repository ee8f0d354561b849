use super::*;

fn diff(old: &str, new: &str) -> PolicyDiff {
    parse(old).unwrap().diff(&parse(new).unwrap())
}

#[test]
fn a_policy_does_not_differ_from_itself() {
    assert_eq!(diff(SAMPLE, SAMPLE), PolicyDiff::default());
    let comments = SAMPLE.replace('\n', " # comment\n");
    assert_eq!(diff(SAMPLE, &comments), PolicyDiff::default());
}

#[test]
fn each_difference_is_a_line_and_loosening_is_seen() {
    // What is replaced, by what, the line, whether it loosens, and whether the way back does.
    let cases = [
        (
            "ks3 = \"allow at lunch\"",
            "ks3 = \"allow\"",
            "games for ks3: allow at lunch -> allow",
            true,
            false,
        ),
        (
            "ks3 = \"allow at lunch\"",
            "ks3 = \"block\"",
            "games for ks3: allow at lunch -> block",
            false,
            true,
        ),
        (
            "games = { pupil = \"block\"",
            "games = { pupil = \"allow\"",
            "games for pupil: block -> allow",
            true,
            false,
        ),
        (
            "staff = \"allow for @dsl\"",
            "staff = \"allow for @it\"",
            "self-harm for staff: allow for @dsl -> allow for @it",
            true,
            true,
        ),
        (
            "Mon-Fri 12:10-13:10",
            "Mon-Fri 12:10-13:00",
            "time lunch: Mon-Fri 12:10-13:10 -> Mon-Fri 12:10-13:00",
            false,
            true,
        ),
        ("Europe/London", "Europe/Dublin", "timezone: Europe/London -> Europe/Dublin", true, true),
        (
            "2025-12-19",
            "2025-12-18",
            "terms: 2025-09-03/2025-12-19 -> 2025-09-03/2025-12-18",
            true,
            true,
        ),
        (
            "guest = { safe_search = true }",
            "guest = {}",
            "level guest: on its own, safe search, secondary pages -> on its own, secondary pages",
            true,
            false,
        ),
        (
            "video = \"moderate\"",
            "video = \"strict\"",
            "level ks3: under pupil, safe search, moderate video, secondary pages -> under pupil, safe search, strict video, secondary pages",
            false,
            true,
        ),
        (
            ", only = \"local/ks1.txt\"",
            "",
            "ks1: no longer only the sites of local/ks1.txt",
            true,
            true,
        ),
        (
            "\"user:sam.p\" = \"ks2\"",
            "\"user:sam.p\" = \"staff\"",
            "who user:sam.p: ks2 -> staff",
            true,
            true,
        ),
        (
            "\"group:Year 7\" = \"ks3\"",
            "\"group:Year 7\" = \"ks2\"",
            "who group:year 7: ks3 -> ks2",
            false,
            true,
        ),
        ("\"group:Staff\" = \"staff\"\n", "", "who group:staff: staff -> none", true, true),
        (
            "allow_for = \"pupil\"",
            "allow_for = \"ks3\"",
            "added: exception: audionetwork.com allowed for ks3 (Music library; review 2026-03-27)",
            true,
            true,
        ),
        (
            "allow_for = \"pupil\"",
            "block_for = \"pupil\"",
            "removed: exception: audionetwork.com allowed for pupil (Music library; review 2026-03-27)",
            false,
            true,
        ),
        (
            "it = [\"j.cho\"]",
            "it = [\"j.cho\", \"k.lane\"]",
            "added: role it for k.lane",
            true,
            false,
        ),
        (
            "authorise = [\"dsl\"]",
            "authorise = [\"dsl\", \"it\"]",
            "unblock authorise: dsl -> dsl, it",
            true,
            false,
        ),
        ("apply = \"automatic\"", "apply = \"it\"", "unblock apply: automatic -> it", false, true),
        (
            "confirm = [\"it\", \"head\"]",
            "confirm = [\"it\"]",
            "unblock confirm: it, head -> it",
            true,
            true,
        ),
        ("max_days = 90", "max_days = 91", "unblock max_days: 90 days -> 91 days", true, false),
        (
            "max_days = 90",
            "order = [\"authorise\", \"confirm\", \"apply\"]\nmax_days = 90",
            "unblock order: authorise, apply, confirm -> authorise, confirm, apply",
            false,
            true,
        ),
        (
            "never = [\"adult\"]",
            "never = [\"adult\", \"gambling\"]",
            "added: gambling in unblock never",
            false,
            true,
        ),
        (
            "max_minutes = 60",
            "max_minutes = 61",
            "added: standing yes: teacher may open games for a class for 61 minutes (Q. Whitmore (DSL) 2025-09-01; review 2026-01-05)",
            true,
            true,
        ),
        (
            "blocked = \"12 months\"",
            "blocked = \"6 months\"",
            "keep blocked: 366 days -> 183 days",
            true,
            false,
        ),
        (
            "\"kerberos\", ",
            "",
            "identify: kerberos, chromebook, portal -> chromebook, portal",
            true,
            true,
        ),
        (
            "block = [\"category:games\"]",
            "block = []",
            "removed: test: ks2, Tue 10:00: category:games must be blocked",
            true,
            false,
        ),
        (
            "\"ks1\", \"ks2\", \"ks3\", \"guest\"",
            "\"ks2\", \"ks1\", \"ks3\", \"guest\"",
            "order: ks1, ks2, ks3, guest, staff -> ks2, ks1, ks3, guest, staff",
            true,
            true,
        ),
        (
            "Example Academy",
            "Sample Academy",
            "school: Example Academy -> Sample Academy",
            false,
            false,
        ),
    ];
    for (old, new, line, loosens, back) in cases {
        let changed = SAMPLE.replacen(old, new, 1);
        assert_ne!(changed, SAMPLE, "the sample has no {old}");
        let found = diff(SAMPLE, &changed);
        assert!(found.lines.iter().any(|found| found == line), "{line} is not in {found:#?}");
        assert_eq!(found.loosens, loosens, "{line}: {found:#?}");
        assert_eq!(diff(&changed, SAMPLE).loosens, back, "back from {line}");
    }
}

#[test]
fn a_line_about_a_parent_is_not_repeated_for_its_children() {
    let changed = SAMPLE.replace("adult = { pupil = \"block\"", "adult = { pupil = \"allow\"");
    assert_eq!(diff(SAMPLE, &changed).lines, ["adult for pupil: block -> allow"]);
}

#[test]
fn a_new_site_on_a_list_loosens_and_one_fewer_does_not() {
    let with = |sites: &str| {
        let sites = sites.to_owned();
        Policy::parse(SAMPLE, "policy.toml", Catalogue::shipped(), &move |_| Ok(sites.clone()))
            .unwrap()
    };
    let (fewer, more) = (with("a.example"), with("a.example\nb.example"));
    let added = fewer.diff(&more);
    assert_eq!(
        (added.lines, added.loosens),
        (vec!["added: b.example to the only sites of ks1".to_owned()], true)
    );
    assert!(!more.diff(&fewer).loosens);
}
