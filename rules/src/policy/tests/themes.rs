use super::*;
use crate::theme::shipped_themes;

const TOML_PACK: &str =
    "theme = \"drugs\"\nlanguage = \"en\"\n[[group]]\nweight = 100\nany = [\"zoot\"]\n";

fn with_files(text: &str, files: &[(&str, &str)]) -> Result<Policy, Vec<PolicyError>> {
    let read = |name: &str| match files.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => Ok((*text).to_owned()),
        None => read_file(name),
    };
    Policy::parse(text, "policy.toml", Catalogue::shipped(), &read)
}

fn action(policy: &Policy, level: &str, theme: &str) -> ThemeAction {
    policy.theme_action(policy.levels().id(level).unwrap(), theme)
}

/// The sample with its `[themes]` and `[[theme_words]]` in place of others.
fn with_themes(rows: &str) -> String {
    format!("{SAMPLE}\n[themes]\n{rows}")
}

#[test]
fn a_level_takes_its_own_row_then_its_parents_then_the_shipped_ones() {
    let policy =
        parse(&with_themes("bullying = { pupil = \"block\", ks3 = \"watch\" }\n")).unwrap();
    for (level, theme, expected) in [
        ("ks3", "bullying", ThemeAction::Watch),
        ("ks2", "bullying", ThemeAction::Block),
        ("staff", "bullying", ThemeAction::Off),
        ("ks2", "drugs", ThemeAction::Block),
        ("ks3", "drugs", ThemeAction::Watch),
        ("ks3", "suicide", ThemeAction::Block),
        ("staff", "illegal", ThemeAction::Watch),
        ("ks3", "no such theme", ThemeAction::Watch),
    ] {
        assert_eq!(action(&policy, level, theme), expected, "{theme} for {level}");
    }
    let rule = policy.theme_rule(policy.levels().id("ks2").unwrap(), "bullying").unwrap();
    assert_eq!(rule.text, "bullying = \"block\"");
    assert!(rule.place.starts_with("policy.toml:"), "{}", rule.place);
    let rule = policy.theme_rule(policy.levels().id("ks2").unwrap(), "drugs").unwrap();
    assert!(rule.place.starts_with("baseline:"), "{}", rule.place);
}

#[test]
fn a_level_that_no_row_names_is_watched() {
    let text = "school = \"S\"\ntimezone = \"Europe/London\"\nterms = []\nidentify = []\n\
                order = [\"anybody\"]\n[levels]\nanybody = {}\n[unblock]\nauthorise = [\"dsl\"]\n\
                apply = \"automatic\"\nconfirm = [\"it\"]\nmax_days = 30\nnever = []\n[roles]\ndsl = [\"q\"]\nit = [\"j\"]\n";
    let policy = parse(text).unwrap();
    for theme in shipped_themes() {
        assert_eq!(action(&policy, "anybody", &theme.name), ThemeAction::Watch);
    }
}

#[test]
fn every_shipped_theme_has_a_shipped_row() {
    let policy = sample();
    for theme in shipped_themes() {
        for level in ["ks1", "ks2", "ks3", "guest", "staff"] {
            let level = policy.levels().id(level).unwrap();
            let place = &policy.theme_rule(level, &theme.name).unwrap().place;
            assert!(place.starts_with("baseline:"), "{}: {place}", theme.name);
        }
    }
}

#[test]
fn faults_have_their_line_and_what_to_do() {
    for (rows, expected) in [
        ("drugz = { pupil = \"watch\" }\n", "no theme called \"drugz\"; did you mean \"drugs\"?"),
        (
            "drugs = { pupil = \"wach\" }\n",
            "no action for a theme called \"wach\"; did you mean \"watch\"?",
        ),
        (
            "drugs = { pupil = \"allow\" }\n",
            "no action for a theme called \"allow\"; use one of: off, watch, block",
        ),
        ("drugs = \"watch\"\n", "write it like drugs = { pupil = \"watch\" }"),
        ("drugs = { pupils = \"watch\" }\n", "did you mean \"pupil\"?"),
    ] {
        let text = with_themes(rows);
        let line = text.lines().count();
        let faults = faults(&text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(&format!("policy.toml:{line}: ")), "{faults:?}");
        assert!(faults[0].ends_with(expected), "{faults:?}");
    }
}

#[test]
fn a_schools_words_come_from_files_beside_the_policy() {
    let text = format!(
        "{SAMPLE}\n[[theme_words]]\nfile = \"local/drugs.txt\"\ntheme = \"drugs\"\n\
         [[theme_words]]\nfile = \"local/ours.toml\"\n"
    );
    let files = [
        ("local/drugs.txt", "\u{feff}# ours\nblue smarties\n\n zoot~ # slang\n"),
        ("local/ours.toml", TOML_PACK),
    ];
    let policy = with_files(&text, &files).unwrap();
    assert_eq!(policy.files(), ["local/drugs.txt", "local/ks1.txt", "local/ours.toml"]);
    let [lines, pack] = policy.theme_packs() else { panic!("{:?}", policy.theme_packs()) };
    let found: Vec<_> = lines.groups[0].any.iter().map(|it| (it.text.as_str(), it.line)).collect();
    assert_eq!((lines.theme.as_str(), found), ("drugs", vec![("blue smarties", 2), ("zoot~", 4)]));
    assert_eq!(pack.groups[0].any[0].text, "zoot");
}

#[test]
fn faults_in_a_schools_words_name_the_file_and_line() {
    let of = |rows: &str, files: &[(&str, &str)]| -> Vec<String> {
        let faults = with_files(&format!("{SAMPLE}\n{rows}"), files).err().unwrap_or_default();
        faults.iter().map(|fault| format!("{fault}; {}", fault.fix)).collect()
    };
    let row = "[[theme_words]]\nfile = \"local/drugs.txt\"\ntheme = \"drugs\"\n";
    let pack = "[[theme_words]]\nfile = \"ours.toml\"\n";
    let long = format!("ok\n{}", "a".repeat(501));
    for (rows, files, expected) in [
        (row, &[("local/drugs.txt", "fine\n--\n")][..], "local/drugs.txt:2: \"--\" has no letter"),
        (
            row,
            &[("local/drugs.txt", long.as_str())],
            "local/drugs.txt:2: a phrase of more than 500 bytes",
        ),
        (row, &[], "cannot read local/drugs.txt: no such file"),
        (
            pack,
            &[("ours.toml", "theme = \"drugs\"\nlanguage = \"en\"\nwords = []\n")],
            "ours.toml:3: unknown key",
        ),
        (
            pack,
            &[("ours.toml", "theme = \"drogs\"\nlanguage = \"en\"\n")],
            "ours.toml:1: no theme called \"drogs\"; did you mean \"drugs\"?",
        ),
        (
            "[[theme_words]]\nfile = \"local/drugs.txt\"\n",
            &[("local/drugs.txt", "a b")],
            "[[theme_words]] has no theme",
        ),
        (
            "[[theme_words]]\nfile = \"ours.toml\"\ntheme = \"drugs\"\n",
            &[("ours.toml", TOML_PACK)],
            "a pack says itself which theme it is of",
        ),
        (
            "[[theme_words]]\nfile = \"local/drugs.txt\"\ntheme = \"drogs\"\n",
            &[("local/drugs.txt", "a b")],
            "no theme called \"drogs\"",
        ),
        ("[[theme_words]]\ntheme = \"drugs\"\n", &[], "[[theme_words]] has no file"),
    ] {
        let faults = of(rows, files);
        assert!(faults.len() == 1 && faults[0].contains(expected), "{expected}: {faults:?}");
    }
    let twice = of(&row.repeat(2), &[("local/drugs.txt", "a b")]);
    assert!(twice[0].contains("local/drugs.txt is named twice"), "{twice:?}");
    let many = of(row, &[("local/drugs.txt", &"word\n".repeat(20_001))]);
    assert!(many[0].contains("local/drugs.txt:20001: more than 20000 lines"), "{many:?}");
}

#[test]
fn seeing_or_refusing_less_is_loosening() {
    let diff = |old: &str, new: &str| {
        let (old, new) = (parse(&with_themes(old)).unwrap(), parse(&with_themes(new)).unwrap());
        old.diff(&new, &LevelChanges::default())
    };
    for (old, new, lines, loosens, intrudes) in [
        ("", "", &[][..], false, false),
        (
            "",
            "suicide = { pupil = \"watch\" }",
            &["theme suicide for pupil: block -> watch"],
            true,
            false,
        ),
        (
            "suicide = { pupil = \"watch\" }",
            "",
            &["theme suicide for pupil: watch -> block"],
            false,
            false,
        ),
        ("", "drugs = { ks3 = \"off\" }", &["theme drugs for ks3: watch -> off"], true, false),
        (
            "",
            "drugs = { staff = \"watch\" }",
            &["theme drugs for staff: off -> watch"],
            false,
            true,
        ),
    ] {
        let diff = diff(old, new);
        let got = (
            diff.lines.iter().map(String::as_str).collect::<Vec<_>>(),
            diff.loosens,
            diff.intrudes,
        );
        assert_eq!(got, (lines.to_vec(), loosens, intrudes), "{old} to {new}");
    }
}

#[test]
fn words_that_come_tighten_and_words_that_go_loosen() {
    let with = |text: Option<&str>| {
        let rows = "[[theme_words]]\nfile = \"local/drugs.txt\"\ntheme = \"drugs\"\n";
        let rows = if text.is_some() { rows } else { "" };
        with_files(&format!("{SAMPLE}\n{rows}"), &[("local/drugs.txt", text.unwrap_or(""))])
            .unwrap()
    };
    for (old, new, loosens) in [
        (None, Some("zoot"), Some(false)),
        (Some("zoot"), None, Some(true)),
        (Some("zoot"), Some("zoot\nspliff"), Some(false)),
        (Some("zoot\nspliff"), Some("zoot"), Some(true)),
        (Some("zoot\nspliff"), Some("# the same\nspliff\nzoot"), None),
    ] {
        let diff = with(old).diff(&with(new), &LevelChanges::default());
        let expected = loosens.map_or((0, false), |loosens| (1, loosens));
        assert_eq!((diff.lines.len(), diff.loosens), expected, "{:?}", diff.lines);
    }
    let pack = |extra: &str| {
        let text = format!("{SAMPLE}\n[[theme_words]]\nfile = \"ours.toml\"\n");
        let pack = TOML_PACK.replace("[[group]]", &format!("{extra}\n[[group]]"));
        with_files(&text, &[("ours.toml", &pack)]).unwrap()
    };
    // What is made innocent may hide anything.
    let diff = pack("").diff(&pack("innocent = [\"zoot suit\"]"), &LevelChanges::default());
    assert!(diff.loosens, "{:?}", diff.lines);
}

#[test]
fn somebody_who_moves_to_a_level_that_is_watched_less_is_loosened() {
    let rows = "illegal = { ks2 = \"block\", ks3 = \"off\" }\n";
    let old = with_themes(rows);
    let new = old.replace("\"user:sam.p\" = \"ks2\"", "\"user:sam.p\" = \"ks3\"");
    assert_ne!(old, new);
    assert!(parse(&old).unwrap().diff(&parse(&new).unwrap(), &LevelChanges::default()).loosens);
}
