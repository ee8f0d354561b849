use super::*;
use crate::policy::{FULL_WEIGHT, PhraseKind, PhrasesRead};
use std::sync::Arc;

fn with_lists(rows: &str) -> Result<Policy, Vec<PolicyError>> {
    parse(&format!("{SAMPLE}\n{rows}"))
}

#[test]
fn a_list_has_a_file_a_theme_a_limit_and_a_kind() {
    let policy = with_lists(
        "[[phrase_list]]\nfile = \"phrases/drugs/\"\ntheme = \"drugs\"\nlimit = 160\n\
         [[phrase_list]]\nfile = \"phrases/ours\"\ntheme = \"all\"\nkind = \"exception\"\n",
    )
    .unwrap();
    let [drugs, all] = policy.phrase_lists() else { panic!("{:?}", policy.phrase_lists()) };
    assert_eq!((&*drugs.file, &*drugs.theme), ("phrases/drugs", "drugs"));
    assert_eq!((drugs.limit, drugs.kind), (160, None));
    let place = drugs.theme_place.unwrap();
    assert_eq!(crate::theme::shipped_themes()[place].name, "drugs");
    assert_eq!((all.theme_place, all.limit), (None, 100));
    assert_eq!(all.kind, Some(PhraseKind::Exception));
    assert!(drugs.place.starts_with("policy.toml:"), "{}", drugs.place);
}

#[test]
fn what_a_file_is_named_says_what_it_does() {
    for (name, expected) in [
        ("weighted", Some(PhraseKind::Weighted)),
        ("weighted_danish", Some(PhraseKind::Weighted)),
        ("bannedphraselist", Some(PhraseKind::Banned)),
        ("newexceptionphraselist", Some(PhraseKind::Exception)),
        ("Exception_email", Some(PhraseKind::Exception)),
        ("COPYRIGHT", None),
        ("news", None),
        ("", None),
    ] {
        assert_eq!(PhraseKind::of_name(name), expected, "{name}");
    }
}

#[test]
fn faults_have_their_line_and_what_to_do() {
    let row = "[[phrase_list]]\nfile = \"phrases/drugs\"\ntheme = \"drugs\"\n";
    for (rows, expected) in [
        ("[[phrase_list]]\ntheme = \"drugs\"\n", "[[phrase_list]] has no file"),
        ("[[phrase_list]]\nfile = \"phrases\"\n", "[[phrase_list]] has no theme"),
        (
            &row.replace("drugs\"\n", "drogs\"\n"),
            "no theme called \"drogs\"; did you mean \"drugs\"?",
        ),
        (&format!("{row}limit = 0\n"), "0 is not a whole number from 1 to 10000"),
        (&format!("{row}kind = \"baned\"\n"), "did you mean \"banned\"?"),
        (&format!("{row}limits = 1\n"), "did you mean \"limit\"?"),
        (&row.replace("phrases/", "../"), "\"../drugs\" does not lie beside the policy"),
        (&row.replace("phrases/", "/etc/"), "\"/etc/drugs\" does not lie beside the policy"),
        (&row.replace("phrases/", "a/./"), "does not lie beside the policy"),
        (&row.repeat(2), "phrases/drugs is named twice for drugs"),
    ] {
        let faults = with_lists(rows).err().unwrap_or_default();
        let said: Vec<_> = faults.iter().map(|fault| format!("{fault}; {}", fault.fix)).collect();
        assert!(said.iter().any(|fault| fault.contains(expected)), "{expected}: {said:?}");
        assert!(said.iter().all(|fault| fault.starts_with("policy.toml:")), "{said:?}");
    }
}

#[test]
fn phrases_that_come_tighten_and_phrases_that_go_loosen() {
    let with = |phrases: &[(u8, i32)]| {
        let table = phrases.iter().map(|(name, weight)| ([*name; 16], *weight)).collect();
        let weights = Arc::new(std::iter::once(("drugs".to_owned(), table)).collect());
        sample().with_phrases(PhrasesRead { weights, ..PhrasesRead::default() })
    };
    let half = FULL_WEIGHT / 2;
    for (old, new, expected) in [
        (&[(1, half)][..], &[(1, half)][..], None),
        (&[], &[(1, half)], Some(("1 added", false))),
        (&[(1, half)], &[], Some(("1 removed", true))),
        (&[(1, half)], &[(1, half - 1)], Some(("1 weigh otherwise", true))),
        (&[(1, half)], &[(1, half + 1)], Some(("1 weigh otherwise", false))),
        (&[], &[(1, -1)], Some(("1 added", false))),
        (&[(2, half)], &[(1, -1), (2, half)], Some(("1 added", true))),
        (&[(1, -1)], &[], Some(("1 removed", false))),
        (&[], &[(1, i32::MIN)], Some(("1 added", false))),
        (&[(2, half)], &[(1, i32::MIN), (2, half)], Some(("1 added", true))),
        (&[(1, i32::MAX)], &[], Some(("1 removed", true))),
        (&[(1, i32::MAX)], &[(1, half)], Some(("1 weigh otherwise", true))),
        (&[(1, half), (3, half)], &[(2, half), (3, half)], Some(("1 added, 1 removed", true))),
    ] {
        let diff = with(old).diff(&with(new), &LevelChanges::default());
        let expected = expected.map(|(words, loosens)| {
            (vec![format!("phrases of lists for drugs: {words}")], loosens)
        });
        assert_eq!((diff.lines, diff.loosens), expected.unwrap_or_default(), "{old:?} to {new:?}");
    }
}

#[test]
fn files_and_folders_of_lists_are_the_policys_own() {
    let read = PhrasesRead {
        files: vec!["phrases/weighted".to_owned()],
        folders: vec!["phrases".to_owned()],
        warnings: vec!["one line was not read".to_owned()],
        ..PhrasesRead::default()
    };
    let policy = sample().with_phrases(read);
    assert_eq!(policy.files(), ["local/ks1.txt", "phrases/weighted"]);
    assert_eq!(policy.folders(), ["phrases"]);
    assert!(policy.warnings().iter().any(|it| it == "one line was not read"));
}
