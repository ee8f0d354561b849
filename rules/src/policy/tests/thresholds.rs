use super::*;
use crate::theme::shipped_themes;

/// The sample with these rows of `[theme_thresholds]`.
fn with(rows: &str) -> String {
    format!("{SAMPLE}\n[theme_thresholds]\n{rows}")
}

fn threshold(policy: &Policy, level: &str, theme: &str) -> u16 {
    policy.theme_threshold(policy.levels().id(level).unwrap(), theme)
}

#[test]
fn a_level_takes_its_own_number_then_its_parents_then_a_hundred() {
    let rows = "drugs = { pupil = 150, ks2 = 80 }\nall = { staff = 160, ks2 = 60 }\n\
                illegal = { pupil = 70 }\n";
    let policy = parse(&with(rows)).unwrap();
    for (level, theme, expected) in [
        ("ks2", "drugs", 80),
        ("ks3", "drugs", 150),
        ("guest", "drugs", 100),
        ("ks2", "suicide", 60),
        ("ks3", "suicide", 100),
        ("staff", "extremism", 160),
        ("staff", "suicide", 100),
        ("staff", "self-harm", 100),
        ("staff", "illegal", 100),
        ("ks2", "illegal", 60),
        ("ks3", "illegal", 70),
        ("ks2", "no such theme", 100),
    ] {
        assert_eq!(threshold(&policy, level, theme), expected, "{theme} for {level}");
    }
    let rule = |level: &str, theme: &str| {
        let rule = policy.theme_threshold_rule(policy.levels().id(level).unwrap(), theme);
        rule.map(|rule| (rule.text.as_str(), rule.place.starts_with("policy.toml:")))
    };
    assert_eq!(rule("ks2", "drugs"), Some(("drugs = 80", true)));
    assert_eq!(rule("ks3", "drugs"), Some(("drugs = 150", true)));
    assert_eq!(rule("ks2", "suicide"), Some(("all = 60", true)));
    assert_eq!(rule("staff", "illegal"), None, "what is said of all makes less of no crime");
    assert_eq!(rule("guest", "drugs"), None);
}

#[test]
fn a_policy_that_says_nothing_finds_everything_from_a_hundred() {
    let policy = sample();
    for (level, _) in policy.levels().iter() {
        for theme in shipped_themes() {
            assert_eq!(policy.theme_threshold(level, &theme.name), THRESHOLD);
            assert_eq!(policy.theme_threshold_rule(level, &theme.name), None);
        }
    }
    assert_eq!(threshold(&parse(&with("")).unwrap(), "ks2", "drugs"), THRESHOLD);
}

#[test]
fn crimes_and_danger_are_found_from_a_hundred_at_most_wherever_it_stands() {
    // The nearer row for all is passed over, and the parent's own number holds.
    let rows = "all = { ks2 = 200 }\nillegal = { pupil = 90 }\n";
    assert_eq!(threshold(&parse(&with(rows)).unwrap(), "ks2", "illegal"), 90);
    for theme in ["illegal", "suicide", "self-harm"] {
        for points in [101, 250] {
            let found = faults(&with(&format!("{theme} = {{ staff = {points} }}\n")));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].ends_with(&format!(
                    "{theme} is found from 100 points at most, not {points}; write 100 or less"
                )),
                "{found:?}"
            );
        }
        assert!(faults(&with(&format!("{theme} = {{ staff = 100 }}\n"))).is_empty());
    }
}

#[test]
fn faults_have_their_line_and_what_to_do() {
    let range = "is not a whole number from 50 to 250; write it like drugs = { ks2 = 80 }";
    for (rows, expected) in [
        ("drugz = { ks2 = 80 }\n", "no theme called \"drugz\"; did you mean \"drugs\"?".to_owned()),
        ("drugs = { ks22 = 80 }\n", "no level called \"ks22\"; did you mean \"ks2\"?".to_owned()),
        ("drugs = { ks2 = 49 }\n", format!("49 {range}")),
        ("drugs = { ks2 = 251 }\n", format!("251 {range}")),
        ("drugs = { ks2 = -80 }\n", format!("-80 {range}")),
        ("drugs = { ks2 = 80.5 }\n", format!("80.5 {range}")),
        ("drugs = { ks2 = 70000 }\n", format!("70000 {range}")),
        ("drugs = { ks2 = \"80\" }\n", format!("\"80\" {range}")),
        ("drugs = 80\n", "80 is not a table; write it like drugs = { ks2 = 80 }".to_owned()),
    ] {
        let text = with(rows);
        let line = text.lines().count();
        let found = faults(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("policy.toml:{line}: ")), "{found:?}");
        assert!(found[0].ends_with(&expected), "{expected}: {found:?}");
    }
    let ends = parse(&with("drugs = { ks2 = 50, staff = 250 }\n")).unwrap();
    assert_eq!((threshold(&ends, "ks2", "drugs"), threshold(&ends, "staff", "drugs")), (50, 250));
    let not_rows = faults(&format!("theme_thresholds = 80\n{SAMPLE}"));
    assert!(not_rows[0].contains("80 is not a table"), "{not_rows:?}");
}

#[test]
fn finding_less_is_loosening_and_finding_more_is_not() {
    let diff = |old: &str, new: &str| {
        let (old, new) = (parse(old).unwrap(), parse(new).unwrap());
        old.diff(&new, &LevelChanges::default())
    };
    for (old, new, lines, loosens) in [
        ("", "drugs = { ks3 = 100 }", &[][..], false),
        ("", "drugs = { ks3 = 150 }", &["threshold of drugs for ks3: 100 -> 150"], true),
        ("drugs = { ks3 = 150 }", "", &["threshold of drugs for ks3: 150 -> 100"], false),
        ("", "drugs = { pupil = 80 }", &["threshold of drugs for pupil: 100 -> 80"], false),
        (
            "drugs = { pupil = 80 }",
            "drugs = { pupil = 80, ks2 = 81 }",
            &["threshold of drugs for ks2: 80 -> 81"],
            true,
        ),
        (
            "",
            "drugs = { pupil = 80, ks2 = 60 }",
            &["threshold of drugs for pupil: 100 -> 80", "threshold of drugs for ks2: 100 -> 60"],
            false,
        ),
        ("", "all = { ks2 = 80 }", &["threshold of every theme for ks2: 100 -> 80"], false),
        (
            "all = { ks2 = 80 }",
            "all = { ks2 = 80 }\ndrugs = { ks2 = 90 }\nviolence = { ks2 = 90 }",
            &["threshold of drugs, violence for ks2: 80 -> 90"],
            true,
        ),
        // Of staff drugs are not watched for, so that nothing less is seen of them.
        ("", "drugs = { staff = 160 }", &["threshold of drugs for staff: 100 -> 160"], false),
        (
            "",
            "extremism = { staff = 160 }",
            &["threshold of extremism for staff: 100 -> 160"],
            true,
        ),
    ] {
        let diff = diff(&with(old), &with(new));
        let got = (diff.lines.iter().map(String::as_str).collect::<Vec<_>>(), diff.loosens);
        assert_eq!(got, (lines.to_vec(), loosens), "{old} to {new}");
        assert!(!diff.intrudes, "nothing is read that was not: {old} to {new}");
    }
    // A child that is watched, below a parent that is not, is told of by its parent's line, and loosens all the same.
    let off = format!("{SAMPLE}\n[themes]\ndrugs = {{ pupil = \"off\", ks2 = \"watch\" }}\n");
    let raised = format!("{off}[theme_thresholds]\ndrugs = {{ pupil = 150, ks1 = 100 }}\n");
    let diff = diff(&off, &raised);
    assert_eq!(diff.lines, ["threshold of drugs for pupil: 100 -> 150"]);
    assert!(diff.loosens);
}

#[test]
fn somebody_who_moves_to_a_level_that_finds_less_is_loosened() {
    // Two levels that differ in nothing else.
    let alike = SAMPLE
        .replace(
            "ks3 = { parent = \"pupil\", video = \"moderate\" }",
            "ks3 = { parent = \"pupil\" }",
        )
        .replace(", ks3 = \"allow at lunch\"", "");
    let watched: String = ["violence", "drugs", "discrimination"]
        .map(|theme| format!("{theme} = {{ pupil = \"watch\", ks2 = \"watch\" }}\n"))
        .concat();
    let moved = |rows: &str| {
        let old = format!("{alike}\n[themes]\n{watched}[theme_thresholds]\n{rows}");
        let new = old.replace("\"user:sam.p\" = \"ks2\"", "\"user:sam.p\" = \"ks3\"");
        assert_ne!(old, new);
        parse(&old).unwrap().diff(&parse(&new).unwrap(), &LevelChanges::default()).loosens
    };
    assert!(!moved(""));
    assert!(moved("bullying = { ks3 = 101 }\n"));
    assert!(!moved("bullying = { ks2 = 101 }\n"));
}
