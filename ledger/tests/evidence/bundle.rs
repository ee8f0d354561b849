//! Records given out, checked by a stranger with Python and openssl.

use crate::log::{change, checkpoints, day_file, record, record_late_ends, sign, small, sql};
use crate::sample::{rows, wait};
use ledger::changes::ChangeLog;
use ledger::evidence::export::{ExportError, Exported, export};
use ledger::evidence::key::Key;
use ledger::query::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn give_out(state: &Path, places: &[Cursor], folder: &Path) -> Result<Exported, ExportError> {
    let (key, _) =
        Key::open(&ledger::evidence::folder(state), Some("school.example/log"), "x").unwrap();
    wait(async {
        let log = ChangeLog::open(state).await.unwrap();
        export(state, &log, &key, ("2026-014", "Example Academy"), places, folder).await
    })
}

fn verify(program: &Path, folder: &Path, more: &[&str]) -> Output {
    Command::new("python3").arg(program).arg(folder).args(more).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A bundle of some records of both days, with ends of both kinds, and the program that checks it.
fn bundle(state: &Path) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("case");
    let places: Vec<Cursor> = rows(state).iter().map(|row| row.cursor).step_by(7).collect();
    let exported = give_out(state, &places, &folder).unwrap();
    assert_eq!((exported.records, exported.not_covered.len()), (places.len() as u64, 0));
    let program = outside.path().join("verify.py");
    std::fs::copy(folder.join("verify.py"), &program).unwrap();
    (outside, folder, program)
}

#[test]
fn a_stranger_finds_the_records_right_and_sees_no_others() {
    let state = tempfile::tempdir().unwrap();
    small(state.path());
    let (_outside, folder, program) = bundle(state.path());
    let output = verify(&folder.join("verify.py"), &folder, &["--show"]);
    let text = said(&output);
    assert!(
        output.status.success() && text.contains("RIGHT: 15 records of case \"2026-014\""),
        "{text}"
    );
    assert!(text.contains("search at \"Bing\": \"How do \\u00c9clairs work\""), "{text}");
    assert!(text.contains("BLOCK") && text.contains("arcade.test/"), "{text}");
    assert!(text.contains("school.example/log 9 "), "{text}");
    let public = std::fs::read_to_string(state.path().join("audit/key.pub")).unwrap();
    assert!(text.contains(&format!("  key         {public}")), "the whole key is there: {text}");
    let proofs = std::fs::read_to_string(folder.join("proofs.json")).unwrap();
    assert_eq!(proofs.matches("\"number\"").count(), 15, "no other record is in it");
    assert!(proofs.contains("\"signs\""), "{proofs}");
    assert!(proofs.matches("\"place\"").count() > 0, "an end that came by itself is");
    let files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(!files.iter().any(|name| name == "key"), "the key that signs is never given out");
    // A copy that somebody else kept.
    let kept = folder.with_file_name("kept");
    std::fs::write(&kept, checkpoints(state.path())).unwrap();
    let kept_text = kept.to_str().unwrap();
    assert!(verify(&program, &folder, &["--checkpoint", kept_text]).status.success());
    let compare = |text: &str| {
        std::fs::write(&kept, text).unwrap();
        let ran = verify(&program, &folder, &["--checkpoint", kept_text]);
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
    };
    let note = std::fs::read_to_string(folder.join("checkpoint")).unwrap();
    let [origin, size, root] = *note.lines().take(3).collect::<Vec<_>>() else { panic!("{note}") };
    // As a report prints it.
    assert_eq!(compare(&format!("Checkpoint: {origin} {size} {root}\n")).0, Some(0));
    let earlier = checkpoints(state.path());
    let earlier = earlier.split("\n\n\n").next().unwrap().replace(&note, "");
    let first = earlier.lines().nth(1).unwrap();
    assert_ne!(first, size);
    let (code, told) = compare(&format!("{origin}\n{first}\n{}\n", "A".repeat(43) + "="));
    assert!(code == Some(2) && told.starts_with("NOT COMPARED: "), "an honest earlier one: {told}");
    let (code, told) = compare(&format!("{origin}\n{size}\n{}\n", "A".repeat(43) + "="));
    assert!(code == Some(1) && told.starts_with("WRONG: "), "another log of that size: {told}");
    assert_eq!(compare("something else\n").0, Some(1));
}

/// One that was made up beside the log, under the log's own name, fits its own key.
#[test]
fn a_bundle_of_another_key_is_told_by_the_key_that_somebody_kept() {
    let (state, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    small(state.path());
    small(other.path());
    let (_outside, folder, program) = bundle(state.path());
    let (_made_up, forged, _) = bundle(other.path());
    let kept = folder.with_file_name("kept.pub");
    let public = std::fs::read_to_string(state.path().join("audit/key.pub")).unwrap();
    std::fs::write(&kept, format!("Printed on 1 September:\r\n  {}\r\n", public.trim())).unwrap();
    let with_key = ["--key", kept.to_str().unwrap()];
    assert!(verify(&program, &folder, &with_key).status.success());
    assert!(verify(&program, &forged, &[]).status.success(), "it fits its own key");
    let output = verify(&program, &forged, &with_key);
    assert!(!output.status.success() && !said(&output).contains("RIGHT"), "{}", said(&output));
    assert!(said(&output).contains("does not hold the key of this bundle"), "{}", said(&output));
    // A part of the key is not the key.
    std::fs::write(&kept, &public[..public.len() - 9]).unwrap();
    assert!(!verify(&program, &folder, &with_key).status.success());
}

#[test]
fn any_changed_byte_of_a_bundle_is_found() {
    let state = tempfile::tempdir().unwrap();
    small(state.path());
    let (_outside, folder, program) = bundle(state.path());
    let all = std::env::var_os("SCHOOLGATE_FLIP_ALL").is_some();
    for name in ["README.txt", "checkpoint", "key.pub", "manifest", "proofs.json", "verify.py"] {
        let file = folder.join(name);
        let sound = std::fs::read(&file).unwrap();
        let step = if all { 1 } else { sound.len() / 12 + 1 };
        for place in (0..sound.len()).step_by(step).chain([sound.len() - 1]) {
            let mut bytes = sound.clone();
            bytes[place] ^= 1 << (place % 8);
            std::fs::write(&file, &bytes).unwrap();
            let output = verify(&program, &folder, &[]);
            let text = said(&output);
            assert!(
                !output.status.success() && !text.contains("RIGHT"),
                "{name}, byte {place}: {text}"
            );
        }
        std::fs::write(&file, &sound).unwrap();
    }
    assert!(verify(&program, &folder, &[]).status.success(), "put back, it is right again");
}

/// Changes a bundle's proofs and signs what names them anew, as somebody with the key could: the proofs
/// themselves must not hold.
#[test]
fn other_values_do_not_fit_their_proofs_whoever_signs_the_bundle() {
    let state = tempfile::tempdir().unwrap();
    small(state.path());
    let (_outside, folder, program) = bundle(state.path());
    let text = std::fs::read_to_string(&program).unwrap();
    // The same checks without those of the files.
    let text = text.replace("    case = check_files(folder, key)\n", "    case = \"2026-014\"\n");
    std::fs::write(&program, text).unwrap();
    assert!(verify(&program, &folder, &[]).status.success());
    let proofs = std::fs::read_to_string(folder.join("proofs.json")).unwrap();
    let changes = [
        ("\"verdict\": \"block\"", "\"verdict\": \"allow\""),
        ("\"user\": \"pupil01\"", "\"user\": \"pupil02\""),
        ("\"user\": \"pupil01\"", "\"user\": null"),
        ("\"host\": \"arcade.test\"", "\"host\": \"library.test\""),
        ("\"path\": \"/\"", "\"path\": \"/x\""),
        ("\"locked\": false", "\"locked\": true"),
        ("\"games\"", "\"game\""),
        ("\"status\": 403", "\"status\": 200"),
        ("\"duration_us\": 1234", "\"duration_us\": 1235"),
        ("\"place\": ", "\"place\": 1"),
        ("\"batch\": 0", "\"batch\": 1"),
    ];
    // One of an earlier state, with which the bundle cannot be compared.
    let note = std::fs::read_to_string(folder.join("checkpoint")).unwrap();
    let kept = folder.with_file_name("kept");
    let root = "A".repeat(43) + "=";
    std::fs::write(&kept, format!("{} 1 {root}\n", note.lines().next().unwrap())).unwrap();
    let earlier = ["--checkpoint", kept.to_str().unwrap()];
    assert_eq!(verify(&program, &folder, &earlier).status.code(), Some(2));
    for (from, to) in changes {
        assert!(proofs.contains(from), "{from}");
        std::fs::write(folder.join("proofs.json"), proofs.replacen(from, to, 1)).unwrap();
        let output = verify(&program, &folder, &[]);
        assert!(!output.status.success(), "{from} -> {to}: {}", said(&output));
        let output = verify(&program, &folder, &earlier);
        assert_eq!(output.status.code(), Some(1), "{from} -> {to}: {}", said(&output));
    }
}

#[test]
fn a_record_of_a_sealed_day_is_given_out_with_the_same_proof() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    small(state);
    let (_before, open, _) = bundle(state);
    crate::sealed_days::seal(state);
    let (_after, sealed, program) = bundle(state);
    for name in ["proofs.json", "manifest"] {
        let text = |folder: &Path| std::fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(text(&sealed), text(&open), "{name}");
    }
    let output = verify(&program, &sealed, &[]);
    assert!(output.status.success() && said(&output).contains("RIGHT: 15 records"));
    // Records of a later part of a sealed day, beside those of the first.
    record(state, 0, 9);
    record_late_ends(state, 0, 2);
    sign(state);
    for sealed_parts in [0, 1] {
        let (_outside, folder, program) = bundle(state);
        let output = verify(&program, &folder, &[]);
        let text = said(&output);
        assert!(output.status.success() && text.contains("RIGHT: 17 records"), "{text}");
        if sealed_parts == 0 {
            assert_eq!(crate::sealed_days::seal(state).len(), 1);
        }
    }
}

#[test]
fn records_of_an_altered_sealed_day_are_not_given_out() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    small(state);
    crate::sealed_days::seal(state);
    let places: Vec<Cursor> = rows(state).iter().map(|row| row.cursor).take(1).collect();
    crate::sealed_days::rewrite(state, 0, |rows| {
        let row = rows.iter_mut().find(|row| row.sequence == 2).unwrap();
        row.path = Some("/other");
    });
    let outside = tempfile::tempdir().unwrap();
    let refused = give_out(state, &places, &outside.path().join("case")).unwrap_err();
    assert!(matches!(refused, ExportError::DoesNotFit(_)), "{refused}");
}

#[test]
fn what_no_checkpoint_covers_is_said_and_not_shown() {
    let state = tempfile::tempdir().unwrap();
    record(state.path(), 0, 8);
    let outside = tempfile::tempdir().unwrap();
    let all = || rows(state.path()).iter().map(|row| row.cursor).collect::<Vec<_>>();
    let refused = give_out(state.path(), &all(), &outside.path().join("none")).unwrap_err();
    assert!(matches!(refused, ExportError::NoCheckpoint), "{refused}");
    sign(state.path());
    change(state.path(), &["between"]);
    record(state.path(), 1, 4);
    record_late_ends(state.path(), 0, 1);
    let folder = outside.path().join("case");
    let exported = give_out(state.path(), &all(), &folder).unwrap();
    assert_eq!((exported.records, exported.not_covered.len()), (8, 5));
    let output = verify(&folder.join("verify.py"), &folder, &[]);
    assert!(output.status.success() && said(&output).contains("5 more were asked for"));
    let again = give_out(state.path(), &all(), &folder).unwrap_err();
    assert!(matches!(again, ExportError::Exists(_)), "{again}");
}

#[test]
fn records_of_an_altered_log_are_not_given_out() {
    let state = tempfile::tempdir().unwrap();
    small(state.path());
    sql(&day_file(state.path(), 0), &["UPDATE access SET path = '/other' WHERE sequence = 2"]);
    let outside = tempfile::tempdir().unwrap();
    let places: Vec<Cursor> = rows(state.path()).iter().map(|row| row.cursor).take(1).collect();
    let refused = give_out(state.path(), &places, &outside.path().join("case")).unwrap_err();
    assert!(matches!(refused, ExportError::DoesNotFit(_)), "{refused}");
    assert!(!outside.path().join("case").exists());
}
