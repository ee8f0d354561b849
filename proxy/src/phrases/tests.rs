#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

use crate::policy_file::{PolicyFault, PolicyFile};
use crate::themes::tests::POLICY;
use rules::category::Catalogue;
use rules::policy::LevelChanges;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

/// A folder with a policy that names lists, and these files.
fn school(rows: &str, files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.toml"), format!("{POLICY}{rows}")).unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn read_in(folder: &Path) -> Result<PolicyFile, PolicyFault> {
    PolicyFile::read(&folder.join("policy.toml"), &Catalogue::shipped())
}

fn read(rows: &str, files: &[(&str, &[u8])]) -> Result<PolicyFile, PolicyFault> {
    read_in(school(rows, files).path())
}

/// What is wrong, with what to do.
fn faults(rows: &str, files: &[(&str, &[u8])]) -> Vec<String> {
    told(read(rows, files))
}

fn told(read: Result<PolicyFile, PolicyFault>) -> Vec<String> {
    match read.err() {
        Some(PolicyFault::Policy(faults)) => {
            faults.iter().map(|fault| format!("{fault}; {}", fault.fix)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn row(file: &str, theme: &str) -> String {
    format!("[[phrase_list]]\nfile = \"{file}\"\ntheme = \"{theme}\"\n")
}

/// What a page reaches of a theme.
fn score(policy: &PolicyFile, theme: &str, page: &str) -> u16 {
    let place = rules::theme::shipped_themes().iter().position(|it| it.name == theme).unwrap();
    policy.themes.lists().unwrap().score(page).percent[place]
}

#[test]
fn weights_of_all_lists_of_a_theme_are_one_sum_in_hundredths_of_their_limits() {
    let rows = row("phrases/bets", "illegal")
        + &row("phrases/more/weighted", "illegal").replace("theme", "limit = 50\ntheme")
        + &row("phrases/good", "all")
        + &row("phrases/drink", "drugs");
    let files: [(&str, &[u8]); 6] = [
        (
            "phrases/bets/weighted",
            b"< roulette ><30>\n<free spins>,<jackpot><50>\n<sure win><10%>\n",
        ),
        ("phrases/bets/banned", b"<never anywhere>\n"),
        ("phrases/more/weighted", b"<croupier><20>\n< roulette ><5>\n"),
        ("phrases/good/weighted_general", b"< probability ><-40>\n"),
        ("phrases/good/exception", b"<board of governors>\n"),
        ("phrases/drink/weighted", b"< roulette ><7>\n<gin><94>\n"),
    ];
    let policy = read(&rows, &files).unwrap();
    for (page, illegal, drugs) in [
        ("Nothing of it", 0, 0),
        ("Roulette!", 30, 7),
        ("roulettes", 0, 0),
        ("roulette roulette roulette", 30, 7),
        ("free spins and a jackpot", 50, 0),
        ("a jackpot", 0, 0),
        ("a sure win", 10, 0),
        // Forty hundredths of one list's limit, thirty of another's.
        ("the croupier at the roulette", 70, 7),
        ("roulette and probability", 0, 0),
        ("croupier, roulette: sure win, free spins, jackpot", 130, 7),
        ("croupier, roulette: sure win, free spins, jackpot, probability", 90, 0),
        ("never anywhere", 100, 0),
        ("never anywhere, probability", 100, 0),
        ("never anywhere, by the board of governors", 0, 0),
        ("gin at the roulette", 30, 101),
    ] {
        assert_eq!(score(&policy, "illegal", page), illegal, "{page}");
        assert_eq!(score(&policy, "drugs", page), drugs, "{page}");
        assert_eq!(score(&policy, "suicide", page), 0, "{page}");
    }
    let lists = policy.themes.lists().unwrap();
    let found = lists.found("The croupier: probability, never anywhere");
    let said: Vec<String> = found
        .iter()
        .map(|it| format!("{} {} {}:{}", it.does, it.words, it.file, it.line))
        .collect();
    assert_eq!(
        said,
        [
            "+20 of 50 croupier phrases/more/weighted:1",
            "-40 of 100 probability phrases/good/weighted_general:1",
            "banned never anywhere phrases/bets/banned:1",
        ]
    );
    let report = &lists.reports()[0];
    assert_eq!((report.files, report.phrases, report.skipped), (2, 4, 0));
}

#[test]
fn weights_that_come_to_the_limit_reach_it_whatever_it_is() {
    for limit in [3, 7, 30, 49, 160, 9_999] {
        let rows = row("l/weighted", "drugs").replace("theme", &format!("limit = {limit}\ntheme"));
        let list = format!("<alpha><{}>\n<beta><1>\n<gamma><1>\n", limit - 2);
        let policy = read(&rows, &[("l/weighted", list.as_bytes())]).unwrap();
        assert_eq!(score(&policy, "drugs", "alpha beta gamma"), 100, "{limit}");
        assert!(score(&policy, "drugs", "alpha beta") < 100, "{limit}");
    }
}

#[test]
fn a_phrase_that_lists_repeat_counts_once_with_the_weight_farther_from_nothing() {
    let files: [(&str, &[u8]); 2] =
        [("l/weighted", b"<gin><20>\n"), ("l/weighted_b", b"\n<gin><60>\n<gin><5>")];
    let policy = read(&row("l", "drugs"), &files).unwrap();
    assert_eq!(score(&policy, "drugs", "gin"), 60);
    let lists = policy.themes.lists().unwrap();
    assert_eq!(lists.len(), 1);
    let found = &lists.found("gin")[0];
    assert_eq!((found.file, found.line, &*found.does), ("l/weighted_b", 2, "+60 of 100"));
}

#[test]
fn what_lists_include_is_found_where_it_was_copied_to() {
    let server =
        b"#listcategory: \"All\"\n.Include</etc/e2guardian/lists/phraselists/bets/weighted>\n\
                   .Include<@DGCONFIG@/lists/phraselists/drink/weighted> #BETA#\n\
                   #.Include</etc/e2guardian/lists/phraselists/off/weighted>\n";
    let named = row("phrases/weightedphraselist", "illegal");
    for (rows, top, lists) in [
        (&named, "phrases/weightedphraselist", "phrases/phraselists/"),
        (&named, "phrases/weightedphraselist", "phrases/"),
        (
            &row("p/_include-files/weightedphraselist", "illegal"),
            "p/_include-files/weightedphraselist",
            "p/",
        ),
        (
            &row("p/of/weightedphraselist", "illegal"),
            "p/of/weightedphraselist",
            "p/lists/phraselists/",
        ),
    ] {
        let names = ["bets/weighted", "drink/weighted", "off/weighted"]
            .map(|name| format!("{lists}{name}"));
        let files: [(&str, &[u8]); 4] = [
            (top, server),
            (&names[0], b"<roulette><60>\n"),
            (&names[1], b"<gin><40>\n"),
            (&names[2], b"<chess><90>\n"),
        ];
        let policy = read(rows, &files).unwrap();
        assert_eq!(score(&policy, "illegal", "gin, roulette and chess"), 100, "{lists}");
        let mut expected = [top, &names[0], &names[1]];
        expected.sort_unstable();
        assert_eq!(policy.policy.files(), expected, "{lists}");
    }
}

#[test]
fn another_list_of_the_same_name_is_not_taken_for_one_that_is_not_there() {
    for path in [
        "/etc/e2guardian/lists/phraselists/ukenglish/bets/weighted",
        "/etc/e2guardian/lists/newphraselists/other/weighted",
        "/srv/lists/group1/other/weighted",
        "/srv/weighted2",
        "../outside/weighted",
        "/etc/passwd",
        "/",
    ] {
        let list = format!("<x1><1>\n.Include<{path}>\n");
        let files: [(&str, &[u8]); 3] = [
            ("phrases/weighted_all", list.as_bytes()),
            ("phrases/bets/weighted", b"<roulette><60>\n"),
            ("outside/weighted", b"<gin><60>\n"),
        ];
        let said = faults(&row("phrases/weighted_all", "drugs"), &files);
        let expected = format!("phrases/weighted_all:2: {path} is included and not there; copy it");
        assert!(said.len() == 1 && said[0].starts_with(&expected), "{said:?}");
        // Where all of a folder is read, nothing that is there is missed for it; it is told.
        let policy = read(&row("phrases", "drugs"), &files).unwrap();
        let warnings = policy.policy.warnings().join("\n");
        let expected =
            format!("files that are included and not there: 1 (phrases/weighted_all:2 {path})");
        assert!(warnings.contains(&expected), "{warnings}");
        assert_eq!(score(&policy, "drugs", "roulette and gin"), 60);
    }
}

#[test]
fn lists_that_include_each_other_are_read_once() {
    let files: [(&str, &[u8]); 2] = [
        ("p/weighted", b"<gin><30>\n.Include</x/lists/weighted_b>\n.Include</x/lists/weighted>\n"),
        ("p/weighted_b", b"<ale><30>\n.Include</x/lists/weighted>\n"),
    ];
    for rows in [row("p/weighted", "drugs"), row("p", "drugs")] {
        let policy = read(&rows, &files).unwrap();
        assert_eq!(score(&policy, "drugs", "gin, ale"), 60);
        assert_eq!(policy.themes.lists().unwrap().reports()[0].files, 2);
    }
}

#[test]
fn what_is_read_and_what_is_not_is_told() {
    let files: [(&str, &[u8]); 5] = [
        ("p/weighted", b"\xef\xbb\xbf<gin><30>\n<ga\n<ale>\n<pils><10> mark\n"),
        // windows-1251, as it says nowhere.
        ("p/weighted_russian", b"<\xe2\xee\xe4\xea\xe0><20>\n<\xef\xe8\xe2\xee \xe8 \xe2\xe8\xed\xee><20>\n<\xf1\xe0\xec\xee\xe3\xee\xed \xe4\xee\xec\xe0><20>\n"),
        ("p/weighted_none", b"# Nothing yet.\n"),
        ("p/COPYRIGHT", b"All of it.\n"),
        ("p/.git/weighted", b"<rum><90>\n"),
    ];
    let policy = read(&row("p", "drugs"), &files).unwrap();
    for (page, expected) in [("gin", 30), ("водка", 20), ("ale", 0), ("rum", 0), ("pils", 10)]
    {
        assert_eq!(score(&policy, "drugs", page), expected, "{page}");
    }
    let warnings = policy.policy.warnings().join("\n");
    for expected in [
        "policy.toml:14: p: lines that cannot be read and are passed over: 2 (p/weighted:2 has a < that is not closed; \
         p/weighted:3 has no weight",
        "p: lines that have a slip, or say more than is heeded: 1 (p/weighted:4 has words after it without a #",
        "p: files that are not read, as their names say no kind of list: 1 (p/COPYRIGHT)",
    ] {
        assert!(warnings.contains(expected), "{expected}: {warnings}");
    }
    let report = &policy.themes.lists().unwrap().reports()[0];
    assert_eq!((report.files, report.phrases, report.lines, report.skipped), (3, 5, 7, 2));
}

#[test]
fn what_cannot_be_read_at_all_is_a_fault_and_nothing_is_taken() {
    let drugs = row("p", "drugs");
    let one = row("p/weighted", "drugs");
    for (rows, files, expected) in [
        (
            &drugs,
            &[("p/weighted", &b"\x1f\x8b\x08gz\n"[..]), ("p/banned", b"<a b>\n")][..],
            "p/weighted:1: nothing of it can be read as a phrase list",
        ),
        (&drugs, &[("p/weighted", b"# none\n")], "policy.toml:14: there is no phrase in p; "),
        (&drugs, &[("p/list.txt", b"<a><1>\n")], "policy.toml:14: there is no phrase in p; "),
        (&one, &[], "policy.toml:14: cannot read p/weighted: No such file"),
        (
            &row("p/mine", "drugs"),
            &[("p/mine", b"<a b>\n")],
            "p/mine: its name does not say what it does; add kind =",
        ),
        (
            &row("weighted", "drugs"),
            &[("weighted", b"<a><1>\n.Include</a/weighted_b>\n"), ("weighted_b", b"<b><1>\n")],
            "weighted:2: /a/weighted_b is included and not there; put the lists into a folder of their own",
        ),
        (&row("p/banned", "all"), &[("p/banned", b"<a b>\n")], "there is no phrase in p/banned"),
    ] {
        let said = faults(rows, files);
        assert!(said.len() == 1 && said[0].contains(expected), "{expected}: {said:?}");
    }
    let kinds = [("p/mine", &b"<a b>\n"[..])];
    let policy = read(&row("p/mine", "drugs").replace("theme", "kind = \"banned\"\ntheme"), &kinds);
    assert_eq!(score(&policy.unwrap(), "drugs", "a b"), 100);
}

#[test]
fn a_list_for_every_theme_only_speaks_for_pages() {
    let rows = row("p/weighted", "drugs") + &row("good", "all");
    let files: [(&str, &[u8]); 2] =
        [("p/weighted", b"<gin><90>\n"), ("good/weighted", b"<lesson><-30>\n<ale><50>\n")];
    let policy = read(&rows, &files).unwrap();
    assert_eq!(score(&policy, "drugs", "gin lesson ale"), 60);
    let warnings = policy.policy.warnings().join("\n");
    assert!(
        warnings.contains(
            "good: phrases that count for no theme, as they weigh against pages: 1 (good/weighted:2)"
        ),
        "{warnings}"
    );
}

#[test]
fn hostile_files_are_faults_and_not_read() {
    let large = school(&row("p", "drugs"), &[("p/weighted", b"<gin><1>\n")]);
    let file = fs::File::create(large.path().join("p/weighted_large")).unwrap();
    file.set_len(1 << 30).unwrap();
    let said = told(read_in(large.path()));
    assert!(said[0].contains("cannot read p/weighted_large: is larger than 16 MiB"), "{said:?}");

    let linked =
        school(&row("p", "drugs"), &[("p/weighted", b"<gin><1>\n"), ("secret", b"<ale><1>\n")]);
    symlink(linked.path().join("secret"), linked.path().join("p/banned_linked")).unwrap();
    let said = told(read_in(linked.path()));
    assert!(
        said[0].contains("cannot read p/banned_linked: is a link that leads out of p"),
        "{said:?}"
    );

    let round = school(&row("p", "drugs"), &[("p/weighted", b"<gin><30>\n")]);
    symlink(round.path().join("p"), round.path().join("p/again")).unwrap();
    symlink("weighted", round.path().join("p/weighted_same")).unwrap();
    let policy = read_in(round.path()).unwrap();
    assert!(
        policy
            .policy
            .warnings()
            .join("\n")
            .contains("links to folders that are not read: 1 (p/again)")
    );
    assert_eq!(score(&policy, "drugs", "gin"), 30);

    let deep = format!("p{}/weighted", "/d".repeat(20));
    let said = faults(&row("p", "drugs"), &[(&deep, b"<gin><1>\n")]);
    assert!(said[0].contains("more than 16 folders deep"), "{said:?}");

    let many = ".Include</x/lists/weighted>\n".repeat(2_001);
    let said = faults(&row("p/weighted", "drugs"), &[("p/weighted", many.as_bytes())]);
    assert!(
        said[0].starts_with("p/weighted:2001: the lists include more than 2000 files"),
        "{said:?}"
    );

    let phrases: String = (0..200_001).map(|number| format!("<w{number}><1>\n")).collect();
    let said = faults(&row("p/weighted", "drugs"), &[("p/weighted", phrases.as_bytes())]);
    assert!(said[0].contains("the lists have more than 200000 phrases"), "{said:?}");

    let folder = school(&row("p", "drugs"), &[("p/weighted", b"<gin><1>\n")]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path().join("p/banned"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let said = told(read_in(folder.path()));
    assert!(said[0].contains("cannot read p/banned: is no plain file"), "{said:?}");
}

#[test]
fn a_policy_is_kept_with_its_lists_whatever_their_encoding_and_read_again() {
    let rows = row("p/of/weightedphraselist", "drugs") + &row("q", "all");
    let files: [(&str, &[u8]); 4] = [
        ("p/of/weightedphraselist", b".Include</etc/lists/phraselists/b/weighted>\n"),
        ("p/b/weighted", b"<caf\xe9><70>\n<gin><50>\n"),
        ("q/x/weighted_good", b"<lesson><-20>\n"),
        ("q/exception", b"<governors>\n"),
    ];
    let folder = school(&rows, &files);
    let state = tempfile::tempdir().unwrap();
    let policy = read_in(folder.path()).unwrap();
    policy.keep(state.path()).unwrap();
    let kept = PolicyFile::kept(state.path(), &policy.hash, &Catalogue::shipped()).unwrap();
    assert_eq!((&kept.files, kept.policy.files()), (&policy.files, policy.policy.files()));
    assert_eq!(score(&kept, "drugs", "gin, lesson"), 30);
    assert_eq!(score(&kept, "drugs", "café, gin"), 120);
    assert!(
        std::ptr::eq(policy.themes.lists().unwrap(), kept.themes.lists().unwrap()),
        "compiled once"
    );
    let diff = policy.policy.diff(&kept.policy, &LevelChanges::default());
    assert!(diff.lines.is_empty(), "{:?}", diff.lines);
    // What is put into a folder is another policy.
    fs::write(folder.path().join("q/exception_more"), b"<gin>\n").unwrap();
    let more = read_in(folder.path()).unwrap();
    assert_ne!(more.hash, policy.hash);
    let diff = policy.policy.diff(&more.policy, &LevelChanges::default());
    assert_eq!(
        (&*diff.lines, diff.loosens),
        (&["phrases of lists for every theme: 1 added".to_owned()][..], true)
    );
    let diff = more.policy.diff(&policy.policy, &LevelChanges::default());
    assert!(!diff.loosens && diff.lines.len() == 1, "{:?}", diff.lines);
}

#[test]
fn a_higher_limit_is_loosening_and_moving_a_phrase_to_another_file_is_no_difference() {
    let of = |rows: &str, file: &str, list: &[u8]| read(rows, &[(file, list)]).unwrap().policy;
    let plain = row("p", "drugs");
    let higher = plain.replace("theme", "limit = 160\ntheme");
    let old = of(&plain, "p/weighted", b"<gin><50>\n<ale><-5>\n");
    for (new, lines, loosens) in [
        (of(&higher, "p/weighted", b"<gin><50>\n<ale><-5>\n"), 1, true),
        (of(&plain, "p/weighted_b", b"<ale><-5>\n# moved\n<gin><50>\n"), 0, false),
        (of(&plain, "p/weighted", b"<gin><50>\n"), 1, false),
        (of(&plain, "p/weighted", b"<ale><-5>\n"), 1, true),
    ] {
        let diff = old.diff(&new, &LevelChanges::default());
        assert_eq!((diff.lines.len(), diff.loosens), (lines, loosens), "{:?}", diff.lines);
    }
}

#[test]
fn a_policy_without_lists_has_none_of_it() {
    let policy = read("", &[("phrases/weighted", b"<gin><50>\n")]).unwrap();
    assert!(policy.themes.lists().is_none());
    assert!(policy.policy.files().is_empty() && policy.policy.folders().is_empty());
}
