//! The phrase lists that Debian's e2guardian ships, named by a policy as they are.
//!
//! They are found through `SCHOOLGATE_SHARED`; without it these tests say so and pass, for the product carries no lists of
//! others.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

use proxy::policy_file::{PolicyFault, PolicyFile};
use rules::category::Catalogue;
use std::path::{Path, PathBuf};
use std::time::Instant;

const POLICY: &str = r#"
school = "Example Academy"
timezone = "Europe/London"
order = ["staff"]
[levels]
staff = {}
[grid]
uncategorised = { staff = "allow" }
[roles]
dsl = ["q.whitmore"]
[unblock]
authorise = ["dsl"]
"#;

/// The folder of lists, where it is there.
fn lists() -> Option<PathBuf> {
    let shared = std::env::var_os("SCHOOLGATE_SHARED").map(PathBuf::from);
    let lists = shared.map(|shared| shared.join("data/phrases/e2guardian-debian"));
    let lists = lists.filter(|lists| lists.is_dir());
    if lists.is_none() {
        println!("passed over: SCHOOLGATE_SHARED names no folder with phrase lists");
    }
    lists
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.unwrap(), to.to_owned());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => {
                std::fs::write(to.join(entry.file_name()), std::fs::read(entry.path()).unwrap())
                    .unwrap();
            }
        }
    }
}

/// A policy with one list, beside a copy of all of them in `phrases`.
fn read(lists: &Path, file: &str) -> Result<PolicyFile, PolicyFault> {
    let folder = tempfile::tempdir().unwrap();
    copy(lists, &folder.path().join("phrases"));
    let row = format!("[[phrase_list]]\nfile = \"{file}\"\ntheme = \"pornography\"\n");
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, format!("{POLICY}{row}")).unwrap();
    PolicyFile::read(&path, &Catalogue::shipped())
}

#[test]
fn all_lists_that_are_shipped_load_as_they_are() {
    let Some(lists) = lists() else { return };
    let started = Instant::now();
    let policy = read(&lists, "phrases").unwrap();
    let taken = started.elapsed();
    let loaded = policy.themes.lists().unwrap();
    let report = &loaded.reports()[0];
    println!(
        "{} phrases, {} different, of {} files in {taken:?}; {} KB",
        report.phrases,
        loaded.len(),
        report.files,
        loaded.memory_bytes() >> 10
    );
    policy.policy.warnings().iter().for_each(|warning| println!("{warning}"));
    // 106 lists, and the six files that say which of them are in force.
    assert_eq!(report.files, 112);
    assert_eq!((report.phrases, report.skipped), (17_680, 6));
    let warnings = policy.policy.warnings().join("\n");
    assert!(
        warnings.contains(
            "files that are included and not there: 14 (phrases/_include-files/newbannedphraselist:"
        ),
        "{warnings}"
    );
    assert!(
        warnings.contains(
            "files that are not read, as their names say no kind of list: 1 (phrases/COPYRIGHT)"
        ),
        "{warnings}"
    );
    // Kept and read again it is the same: the bytes of old encodings too.
    let state = tempfile::tempdir().unwrap();
    policy.keep(state.path()).unwrap();
    let kept = PolicyFile::kept(state.path(), &policy.hash, &Catalogue::shipped()).unwrap();
    assert_eq!(kept.files, policy.files);
    assert_eq!(kept.themes.lists().unwrap().reports(), loaded.reports());
}

#[test]
fn the_file_that_says_what_is_in_force_brings_its_lists() {
    let Some(lists) = lists() else { return };
    let policy = read(&lists, "phrases/_include-files/weightedphraselist").unwrap();
    let report = &policy.themes.lists().unwrap().reports()[0];
    let included =
        std::fs::read_to_string(lists.join("_include-files/weightedphraselist")).unwrap();
    let included = included.lines().filter(|line| line.starts_with(".Include")).count();
    assert_eq!(report.files, 1 + included as u64);
    assert!(
        !policy.policy.files().iter().any(|file| file.contains("drugadvocacy")),
        "not in force"
    );
}

#[test]
fn each_list_that_is_included_and_not_there_is_a_fault_with_its_line() {
    let Some(lists) = lists() else { return };
    let fault = read(&lists, "phrases/_include-files/newweightedphraselist").err().unwrap();
    let PolicyFault::Policy(faults) = fault else { panic!("{fault:?}") };
    assert_eq!(faults.len(), 12, "{faults:?}");
    let is_told = |fault: &rules::policy::PolicyError| {
        fault.place.starts_with("phrases/_include-files/newweightedphraselist:")
            && fault.what.ends_with("is included and not there")
    };
    assert!(faults.iter().all(is_told), "{faults:?}");
}
