#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::access::{Identity, KnownBy, Role, RoleSet};
use crate::category::Catalogue;
use crate::policy::LevelChanges;
use proptest::prelude::*;

const MORNING: UnixMillis = UnixMillis(1_795_600_800_000);
const LUNCH: UnixMillis = UnixMillis(1_795_609_200_000);

/// A policy with these rows of `[files]`.
fn read(files: &str) -> Result<Policy, Vec<String>> {
    let text = format!(
        "school = \"Example Academy\"\ntimezone = \"Europe/London\"\n\
         order = [\"ks2\", \"ks3\", \"guest\", \"staff\"]\n\
         [times]\nlunch = \"Mon-Fri 12:10-13:10\"\nnoon = \"Mon-Fri 12:00-14:00\"\n\
         [levels]\npupil = {{}}\nks2 = {{ parent = \"pupil\" }}\nks3 = {{ parent = \"pupil\" }}\nguest = {{}}\nstaff = {{}}\n\
         [roles]\ndsl = [\"q.whitmore\"]\n[unblock]\nauthorise = [\"dsl\"]\n{files}"
    );
    Policy::parse(&text, "policy.toml", Catalogue::shipped(), &|_| Err(String::new())).map_err(
        |faults| faults.iter().map(|fault| format!("{}; {}", fault.what, fault.fix)).collect(),
    )
}

fn policy(rows: &str) -> Policy {
    read(&format!("[files]\n{rows}\n")).unwrap()
}

fn person(policy: &Policy, level: &str, roles: &[Role]) -> Identity {
    Identity {
        level: policy.levels().id(level).unwrap(),
        user: None,
        groups: [].into(),
        roles: roles.iter().copied().collect::<RoleSet>(),
        banned_until: None,
        known_by: KnownBy::Nothing,
    }
}

/// The row that blocks, for a level with roles.
fn blocked(policy: &Policy, level: &str, roles: &[Role], kinds: &[FileKind]) -> Option<String> {
    let kinds = kinds.iter().copied().collect();
    let block = policy.file_block(&person(policy, level, roles), kinds, MORNING)?;
    Some(policy.rule(block.rule).text.clone())
}

#[test]
fn as_shipped_programs_and_scripts_are_for_nobody_but_the_technician() {
    let policy = read("").unwrap();
    for kind in [FileKind::Executable, FileKind::Script, FileKind::Installer, FileKind::MobileApp] {
        for level in ["ks2", "ks3", "guest"] {
            assert!(blocked(&policy, level, &[Role::It], &[kind]).is_some(), "{kind:?} {level}");
        }
        assert!(blocked(&policy, "staff", &[Role::Dsl], &[kind]).is_some(), "{kind:?}");
        assert_eq!(blocked(&policy, "staff", &[Role::It], &[kind]), None, "{kind:?}");
    }
    assert_eq!(blocked(&policy, "ks2", &[], &[FileKind::Archive]), None);
    assert!(blocked(&policy, "ks2", &[], &[FileKind::EncryptedArchive]).is_some());
    assert_eq!(blocked(&policy, "staff", &[], &[FileKind::EncryptedArchive]), None);
    assert_eq!(blocked(&policy, "ks2", &[], &[]), None);
    for (id, _) in policy.levels().iter() {
        assert!(policy.looks_at_files(id) && policy.virus_scan(id).is_none());
        assert_eq!(policy.largest_file(id), None);
        for kind in FileKind::all() {
            let place = &policy.rule(policy.file_cell(id, kind).1).place;
            assert!(place.starts_with("baseline:"), "{kind:?} has no shipped row");
        }
    }
}

#[test]
fn a_row_is_the_levels_own_then_its_parents_then_the_baselines() {
    let policy = policy(
        "executables = { pupil = \"allow at lunch\", ks3 = \"allow\" }\narchives = { pupil = \"block\" }",
    );
    let who = person(&policy, "ks2", &[]);
    let kinds: FileKinds = [FileKind::Executable].into_iter().collect();
    let block = policy.file_block(&who, kinds, MORNING).unwrap();
    assert_eq!((block.code, block.kind), (ReasonCode::FileKind, Some(FileKind::Executable)));
    assert_eq!(policy.rule(block.rule).text, "executables = \"allow at lunch\"");
    assert_eq!(policy.file_block(&who, kinds, LUNCH), None);
    assert_eq!(blocked(&policy, "ks3", &[], &[FileKind::Executable]), None);
    // The flat block says more than the time that does not hold.
    let both = [FileKind::Executable, FileKind::Archive];
    assert_eq!(blocked(&policy, "ks2", &[], &both).as_deref(), Some("archives = \"block\""));
    assert!(blocked(&policy, "guest", &[], &[FileKind::Executable]).is_some());
}

#[test]
fn a_level_beside_the_shipped_ones_has_every_kind_blocked() {
    let text = "school = \"A\"\ntimezone = \"UTC\"\norder = [\"club\"]\n[levels]\nclub = {}\n\
                [roles]\ndsl = [\"q\"]\n[unblock]\nauthorise = [\"dsl\"]\n";
    let policy =
        Policy::parse(text, "p.toml", Catalogue::shipped(), &|_| Err(String::new())).unwrap();
    for kind in FileKind::all() {
        assert!(blocked(&policy, "club", &[], &[kind]).is_some(), "{kind:?}");
    }
}

#[test]
fn sizes_and_scans_are_inherited_and_fail_closed() {
    let policy = policy(
        "largest_mb = { pupil = 200, ks3 = \"any\", staff = 5 }\n\
         virus_scan = { pupil = \"on\", ks3 = \"off\", if_too_large = \"allow\" }",
    );
    let size = |level, bytes| {
        policy.file_size_block(&person(&policy, level, &[]), bytes).map(|block| block.code)
    };
    assert_eq!(size("ks2", 200_000_000), None);
    assert_eq!(size("ks2", 200_000_001), Some(ReasonCode::FileSize));
    assert_eq!(size("ks3", u64::MAX), None);
    assert_eq!(size("guest", u64::MAX), None);
    assert_eq!(size("staff", 5_000_001), Some(ReasonCode::FileSize));
    let scan = |level| policy.virus_scan(policy.levels().id(level).unwrap());
    let rule = ScanRule { if_unavailable: Verdict::Block, if_too_large: Verdict::Allow };
    assert_eq!((scan("ks2"), scan("ks3"), scan("staff")), (Some(rule), None, None));
    assert_eq!(ScanRule::default().if_too_large, Verdict::Block);
    assert!(!policy.warnings().iter().any(|it| it.contains("[files]")));
}

#[test]
fn sites_whose_files_are_not_looked_at_are_the_schools_choice() {
    let opened = policy("unchecked = [\"updates\", \"cdn\"]");
    let of = |names: &[&str]| {
        let ids = names.iter().map(|name| opened.catalogue().id(name).unwrap());
        opened.leaves_files_unchecked(ids.collect())
    };
    assert!(of(&["updates"]) && of(&["games", "cdn"]));
    assert!(!of(&["games"]) && !of(&[]));
    let none = policy("");
    assert!(!none.leaves_files_unchecked(none.catalogue().id("updates").into_iter().collect()));
}

#[test]
fn faults_say_what_to_do() {
    let cases = [
        (
            "executable = { pupil = \"block\" }",
            "no kind of file called \"executable\"; did you mean \"executables\"?",
        ),
        ("unchecked = [\"update\"]", "no category called \"update\"; did you mean \"updates\"?"),
        (
            "movies = { pupil = \"block\" }",
            "no kind of file called \"movies\"; use one of: executables, scripts, ",
        ),
        ("scripts = { pupils = \"block\" }", "no level called \"pupils\"; did you mean \"pupil\"?"),
        (
            "scripts = { pupil = \"blok\" }",
            "\"blok\" is no cell of the grid; did you mean \"block\"?",
        ),
        (
            "scripts = { staff = \"allow for @itt\" }",
            "no role called \"itt\"; did you mean \"allow for @it\"?",
        ),
        (
            "scripts = \"block\"",
            "\"block\" is not a table; write it like scripts = { pupil = \"block\" }",
        ),
        (
            "largest_mb = { pupil = 0 }",
            "0 is not a whole number from 1 to 65535; write it like largest_mb = ",
        ),
        ("largest_mb = { pupil = \"all\" }", "\"all\" is not a whole number from 1 to 65535; "),
        ("virus_scan = { pupil = \"yes\" }", "no virus scan called \"yes\"; use one of: on, off"),
        (
            "virus_scan = { if_unavailable = \"closed\" }",
            "no answer called \"closed\"; use one of: block, allow",
        ),
        (
            "virus_scan = { if_to_large = \"block\" }",
            "no level or key called \"if_to_large\"; did you mean \"if_too_large\"?",
        ),
    ];
    for (row, fault) in cases {
        let faults = read(&format!("[files]\n{row}\n")).unwrap_err();
        assert_eq!(faults.len(), 1, "{row}: {faults:?}");
        assert!(faults[0].starts_with(fault), "{row}: {}", faults[0]);
    }
}

#[test]
fn each_difference_is_a_line_and_loosening_is_seen() {
    let cases = [
        ("", "scripts = { pupil = \"allow\" }", "files: scripts for pupil: block -> allow", true),
        (
            "scripts = { staff = \"allow for @it\" }",
            "scripts = { staff = \"allow for @dsl\" }",
            "files: scripts for staff: allow for @it -> allow for @dsl",
            true,
        ),
        ("", "archives = { ks3 = \"block\" }", "files: archives for ks3: allow -> block", false),
        (
            "largest_mb = { pupil = 100 }",
            "largest_mb = { pupil = 101 }",
            "files: largest for pupil: 100 MB -> 101 MB",
            true,
        ),
        ("largest_mb = { pupil = 100 }", "", "files: largest for pupil: 100 MB -> any size", true),
        ("", "largest_mb = { pupil = 100 }", "files: largest for pupil: any size -> 100 MB", false),
        ("virus_scan = { staff = \"on\" }", "", "files: virus scan for staff: on -> off", true),
        ("", "virus_scan = { staff = \"on\" }", "files: virus scan for staff: off -> on", false),
        ("", "unchecked = [\"updates\"]", "added: updates in files unchecked", true),
        ("unchecked = [\"updates\"]", "", "removed: updates in files unchecked", false),
        (
            "",
            "virus_scan = { if_unavailable = \"allow\" }",
            "files: virus scan if_unavailable: block -> allow",
            true,
        ),
        (
            "virus_scan = { if_too_large = \"allow\" }",
            "",
            "files: virus scan if_too_large: allow -> block",
            false,
        ),
    ];
    for (old, new, line, loosens) in cases {
        let diff = policy(old).diff(&policy(new), &LevelChanges::default());
        assert_eq!((diff.lines, diff.loosens), (vec![line.to_owned()], loosens));
    }
    // What moves people among levels counts files too.
    let moved = "[files]\nscripts = { ks3 = \"allow\" }\n[who]\n\"user:sam.p\" = ";
    let (old, new) = (format!("{moved}\"ks2\"\n"), format!("{moved}\"ks3\"\n"));
    let diff = read(&old).unwrap().diff(&read(&new).unwrap(), &LevelChanges::default());
    assert!(diff.loosens, "{:?}", diff.lines);
}

fn rows() -> impl Strategy<Value = String> {
    let cell = prop::sample::select(vec![
        "allow",
        "block",
        "allow at lunch",
        "allow at noon",
        "allow for @it",
        "allow for @dsl",
    ]);
    let level = || prop::sample::select(vec!["pupil", "ks2", "ks3", "guest", "staff"]);
    let kinds = FileKind::all().map(FileKind::as_str).collect::<Vec<_>>();
    let row = (prop::sample::select(kinds), prop::collection::btree_map(level(), cell, 0..4));
    let cells = prop::collection::btree_map(row.0, row.1, 0..4);
    let largest = prop::collection::btree_map(level(), 1_u16..4, 0..3);
    let scan = prop::collection::btree_map(level(), any::<bool>(), 0..3);
    (cells, largest, scan, any::<[bool; 2]>()).prop_map(|(cells, largest, scan, rule)| {
        let table =
            |name: &str, cells: Vec<String>| format!("{name} = {{ {} }}\n", cells.join(", "));
        let mut text: String = cells
            .iter()
            .map(|(kind, row)| {
                table(
                    kind,
                    row.iter().map(|(level, cell)| format!("{level} = \"{cell}\"")).collect(),
                )
            })
            .collect();
        text += &table(
            "largest_mb",
            largest.iter().map(|(level, mb)| format!("{level} = {mb}")).collect(),
        );
        let on = |is: bool| if is { "on" } else { "off" };
        let answer = |is: bool| if is { "allow" } else { "block" };
        let mut scans: Vec<String> =
            scan.iter().map(|(level, is)| format!("{level} = \"{}\"", on(*is))).collect();
        scans.push(format!("if_unavailable = \"{}\"", answer(rule[0])));
        scans.push(format!("if_too_large = \"{}\"", answer(rule[1])));
        text + &table("virus_scan", scans)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever anybody gains by another `[files]`, the difference calls it opening; and more kinds never open what
    /// fewer closed.
    #[test]
    fn nothing_opens_unseen(old in rows(), new in rows(), bits in 0_u16..1 << FileKind::COUNT) {
        let (old, new) = (policy(&old), policy(&new));
        let diff = old.diff(&new, &LevelChanges::default());
        let mut gains = false;
        for level in ["pupil", "ks2", "ks3", "guest", "staff"] {
            let id = old.levels().id(level).unwrap();
            for roles in [&[][..], &[Role::It], &[Role::Dsl]] {
                let who = person(&old, level, roles);
                for now in [MORNING, LUNCH, UnixMillis(LUNCH.0 - 25 * 60_000)] {
                    for kind in FileKind::all() {
                        let one = [kind].into_iter().collect();
                        let was = old.file_block(&who, one, now);
                        gains |= was.is_some() && new.file_block(&who, one, now).is_none();
                        if FileKinds(bits).contains(kind) && was.is_some() {
                            prop_assert!(old.file_block(&who, FileKinds(bits), now).is_some());
                        }
                    }
                }
                let largest = |policy: &Policy| policy.largest_file(id).unwrap_or(u64::MAX);
                gains |= largest(&new) > largest(&old);
            }
            let (was, is) = (old.virus_scan(id), new.virus_scan(id));
            let opens = |was: Verdict, is: Verdict| was == Verdict::Block && is == Verdict::Allow;
            gains |= was.is_some_and(|was| is.is_none_or(|is| {
                opens(was.if_unavailable, is.if_unavailable) || opens(was.if_too_large, is.if_too_large)
            }));
        }
        prop_assert!(!gains || diff.loosens, "{:?}", diff.lines);
    }
}
