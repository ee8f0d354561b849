//! What a policy says about searches, and about accounts at services.

use super::*;
use crate::level::ImageMode;
use crate::search::SearchRules;

const GUID: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn with(tenants: &str) -> String {
    format!("{SAMPLE}\n[tenants]\n{tenants}\n")
}

fn levels(pupil: &str, ks3: &str) -> String {
    let pupil = SAMPLE.replace("pupil = { safe_search = true }", &format!("pupil = {{ {pupil} }}"));
    pupil.replace("parent = \"pupil\", video = \"moderate\"", &format!("parent = \"pupil\"{ks3}"))
}

fn loosens(old: &str, new: &str) -> bool {
    parse(old).unwrap().diff(&parse(new).unwrap(), &LevelChanges::default()).loosens
}

#[test]
fn levels_take_settings_about_searches_from_their_parents() {
    let policy = parse(&levels(
        "safe_search = true, video = \"strict\", images = \"block\", child_engines = true",
        ", video = \"off\", images = \"safe\"",
    ))
    .unwrap();
    let rules = |name: &str| {
        let levels = policy.levels();
        levels.get(levels.id(name).unwrap()).search_rules()
    };
    let pupil = SearchRules {
        safe_search: true,
        video: VideoMode::Strict,
        images: ImageMode::Block,
        child_engines: true,
    };
    assert_eq!((rules("pupil"), rules("ks2")), (pupil, pupil));
    let ks3 = SearchRules { video: VideoMode::Open, images: ImageMode::Safe, ..pupil };
    assert_eq!(rules("ks3"), ks3);
    assert_eq!(rules("staff"), SearchRules::default());
    // The older word of the same mode.
    assert!(parse(&levels("video = \"open\"", "")).is_ok());
}

#[test]
fn a_setting_about_searches_that_gives_way_needs_sign_off() {
    // From, to, whether that way opens, and whether the way back does.
    let cases = [
        ("safe_search = true", "safe_search = false", true, false),
        ("video = \"strict\"", "video = \"moderate\"", true, false),
        ("video = \"moderate\"", "video = \"off\"", true, false),
        ("video = \"off\"", "video = \"open\"", false, false),
        ("images = \"block\"", "images = \"safe\"", true, false),
        ("images = \"safe\"", "images = \"any\"", true, false),
        ("images = \"safe\"", "", true, false),
        ("child_engines = true", "", true, false),
        ("child_engines = true", "safe_search = true", true, true),
    ];
    for (from, to, there, back) in cases {
        let (from, to) = (levels(from, ""), levels(to, ""));
        assert_eq!((loosens(&from, &to), loosens(&to, &from)), (there, back), "{from} -> {to}");
    }
    let (old, new) = (levels("images = \"block\", child_engines = true", ""), levels("", ""));
    let diff = parse(&old).unwrap().diff(&parse(&new).unwrap(), &LevelChanges::default());
    let line = "level pupil: on its own, image search: block, children's engines only, secondary pages -> \
                on its own, secondary pages";
    assert!(diff.lines.iter().any(|found| found == line), "{diff:#?}");
    // A child that had its parent's is looser too, by its parent's line alone.
    assert!(diff.lines.iter().any(|line| line.starts_with("level ks2: ")), "{diff:#?}");
}

#[test]
fn somebody_who_moves_to_a_level_that_finds_more_is_seen() {
    let people = |level: &str| {
        levels("", ", images = \"safe\"")
            .replace("\"user:sam.p\" = \"ks2\"", &format!("\"user:sam.p\" = \"{level}\""))
            .replace(
                "games = { pupil = \"block\", ks3 = \"allow at lunch\"",
                "games = { pupil = \"block\"",
            )
            // Of themes, the shipped rows refuse more to ks2.
            + "\n[themes]\nviolence = { ks2 = \"watch\" }\ndrugs = { ks2 = \"watch\" }\n\
               discrimination = { ks2 = \"watch\" }\n"
    };
    assert!(loosens(&people("ks3"), &people("ks2")));
    assert!(!loosens(&people("ks2"), &people("ks3")));
}

#[test]
fn what_is_wrong_about_searches_is_said_with_a_fix() {
    for (setting, expected) in [
        ("images = \"blok\"", "no image mode called \"blok\"; did you mean \"block\"?"),
        ("video = \"on\"", "no video mode called \"on\"; use one of: off, moderate, strict"),
        ("images = true", "true is not a text in quotes; write it like \"any\""),
        (
            "child_engines = \"yes\"",
            "\"yes\" is not true or false; write it like child_engines = true",
        ),
        (
            "child_engine = true",
            "unknown key \"child_engine\" in level pupil; did you mean \"child_engines\"?",
        ),
    ] {
        let faults = faults(&levels(setting, ""));
        assert_eq!(faults.len(), 1, "{faults:#?}");
        assert!(
            faults[0].contains(expected) && faults[0].starts_with("policy.toml:11: "),
            "{faults:#?}"
        );
    }
}

#[test]
fn the_schools_own_accounts_become_headers() {
    let text = with(&format!(
        "google = [\"school.example\", \"trust.example\"]\nmicrosoft = {{ tenants = \"school.example\", \
         directory = \"{GUID}\" }}\nmicrosoft-personal = \"block\"\nslack = {{ requester = \"T01\", \
         workspaces = [\"T01\", \"T02\"] }}"
    ));
    let policy = parse(&text).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let sent = |host: &str| -> Vec<String> {
        let host = Host::parse(host).unwrap();
        policy.tenants().headers(&host).map(|(name, value)| format!("{name}: {value}")).collect()
    };
    let google = ["X-GoogApps-Allowed-Domains: school.example,trust.example"];
    assert_eq!(sent("accounts.google.com"), google);
    let microsoft = [
        "Restrict-Access-To-Tenants: school.example".to_owned(),
        format!("Restrict-Access-Context: {GUID}"),
    ];
    assert_eq!(sent("login.microsoftonline.com"), microsoft);
    assert_eq!(sent("login.live.com"), ["sec-Restrict-Tenant-Access-Policy: restrict-msa"]);
    assert_eq!(sent("app.slack.com")[1], "X-Slack-Allowed-Workspaces: T01,T02");
    assert_eq!(sent("dropbox.com"), [""; 0]);
    assert_eq!(policy.tenants().restrictions().len(), 4);
    assert_eq!(sample().tenants().restrictions().len(), 0);
}

#[test]
fn a_service_whose_sign_in_is_not_inspected_is_warned_of() {
    let warned = |text: &str| {
        let policy = parse(text).unwrap_or_else(|faults| panic!("{faults:#?}"));
        policy
            .warnings()
            .iter()
            .any(|warning| warning.contains("only where accounts.google.com is inspected"))
    };
    let google = with("google = [\"school.example\"]");
    assert!(warned(&google));
    let line = |mode: &str| {
        format!(
            "{google}\n[[inspect_site]]\nsite = \"accounts.google.com\"\ninspect = \"{mode}\"\n\
             reason = \"Pupils sign in with the school's accounts\"\nreview = 2027-03-25\n"
        )
    };
    assert!(!warned(&line("page")));
    assert!(warned(&line("name")));
}

#[test]
fn what_is_wrong_about_accounts_is_said_with_a_fix() {
    let at = SAMPLE.lines().count() + 3;
    let many = format!(
        "google = [{}]",
        (0..101).map(|i| format!("\"s{i}.example\"")).collect::<Vec<_>>().join(",")
    );
    let double = format!(
        "microsoft-v2 = {{ directory = \"{GUID}\", policy = \"{GUID}\" }}\nmicrosoft-personal = \"block\""
    );
    for (line, expected) in [
        ("gogle = [\"school.example\"]", "no service called \"gogle\"; did you mean \"google\"?"),
        (
            "google = []",
            "tenants google: domains is empty, which would keep everybody out; write domains = [\"school.example\"], or remove the line",
        ),
        (
            "google = [\"School.example\"]",
            "\"School.example\" is no value of domains for google; write a domain, like \"school.example\"",
        ),
        (
            "google = [\"a.example\\r\\nX-Evil: 1\"]",
            "\"a.example\\r\\nX-Evil: 1\" is no value of domains",
        ),
        ("google = [\"a.example,b.example\"]", "is no value of domains for google"),
        ("google = [\"a.example\", \"a.example\"]", "\"a.example\" is there twice"),
        ("google = true", "true is not a text in quotes"),
        (&many, "tenants google: more than 100 values"),
        (
            "google = { domain = \"a.example\" }",
            "unknown key \"domain\" in tenants google; did you mean \"domains\"?",
        ),
        (
            "microsoft = [\"school.example\"]",
            "is not a table; write it like microsoft = { tenants = [\"school.example\"], directory =",
        ),
        ("microsoft = { tenants = \"school.example\" }", "tenants microsoft has no directory"),
        (
            "microsoft = { tenants = \"school.example\", directory = \"school.example\" }",
            "is no value of directory for microsoft; write an identifier",
        ),
        ("microsoft-personal = \"allow\"", "no answer called \"allow\"; use one of: block"),
        ("zoom = [\"a\", \"b\"]", "is not a text in quotes"),
        (&double, "send the same header"),
    ] {
        let faults = faults(&with(line));
        let found = faults.iter().find(|fault| fault.contains(expected));
        let found = found.unwrap_or_else(|| panic!("{line}: {expected} is not in {faults:#?}"));
        let line_number = found.split([':', ';']).nth(1).unwrap();
        assert!([at, at - 1].contains(&line_number.parse().unwrap()), "{found}, not {at}");
    }
    assert!(
        faults(&SAMPLE.replace("[times]", "tenants = 3\n[times]"))[0].contains("3 is not a table")
    );
}

#[test]
fn letting_another_account_in_needs_sign_off_and_keeping_one_out_does_not() {
    let two = with("google = [\"a.example\", \"b.example\"]");
    let one = with("google = [\"b.example\"]");
    let turned = with("google = [\"b.example\", \"a.example\"]");
    let other = with("google = [\"c.example\"]");
    let label = with("zoom = \"a\"");
    let relabelled = with("zoom = \"b\"");
    for (old, new, expected) in [
        (SAMPLE, &*two, false),
        (&two, SAMPLE, true),
        (&two, &one, false),
        (&one, &two, true),
        (&one, &other, true),
        (&two, &turned, false),
        (&label, &relabelled, true),
        (&label, &two, true),
    ] {
        assert_eq!(loosens(old, new), expected, "{old} -> {new}");
    }
    let diff = parse(&one).unwrap().diff(&parse(&two).unwrap(), &LevelChanges::default());
    assert_eq!(diff.lines, ["tenants google domains: b.example -> a.example, b.example"]);
    let same = parse(&two).unwrap().diff(&parse(&turned).unwrap(), &LevelChanges::default());
    assert_eq!(same.lines, [""; 0]);
}

#[test]
fn settings_about_searches_and_accounts_are_in_force_and_need_no_warning() {
    let text = levels("safe_search = true, images = \"safe\", child_engines = true", "");
    let policy = parse(&format!("{text}\n[tenants]\ndropbox = \"1\"\n")).unwrap();
    let about = |warning: &&String| {
        ["search", "tenants", "images", "child_engines"].iter().any(|word| warning.contains(word))
    };
    assert_eq!(policy.warnings().iter().filter(about).count(), 0, "{:#?}", policy.warnings());
}
