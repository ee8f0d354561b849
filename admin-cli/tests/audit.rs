//! Evidence as a technician and a DSL meet it: checkpoints, verifying, and records given out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where its setup fails")]
#![allow(dead_code, reason = "the made-up school has helpers that only other tests use")]

mod school;

use school::{Ran, School};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const OK: i32 = 0;
const USAGE: i32 = 2;
const NOT_PERMITTED: i32 = 4;
const NOT_FOUND: i32 = 5;
const PROBLEMS: i32 = 7;

/// Longest wait for the filter; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A school with some records.
fn school() -> School {
    let school = School::new();
    school.log(&[
        ("sam.p", "ks3", "arcade.test", "/play", "games", false),
        ("sam.p", "ks3", "library.test", "/maths", "education", true),
        ("kit.r", "ks2", "arcade.test", "/", "games", false),
    ]);
    school
}

fn lines(ran: &Ran) -> Vec<&str> {
    ran.out.lines().collect()
}

/// Changes a day's file behind the log's back.
fn alter(school: &School, statement: &str) {
    let access = school.path("state/access");
    let day = std::fs::read_dir(access).unwrap().map(|entry| entry.unwrap().path());
    let day = day.into_iter().find(|path| path.extension().is_some_and(|it| it == "db")).unwrap();
    let python = format!(
        "import sqlite3, sys\n\
         db = sqlite3.connect(sys.argv[1])\n\
         rules = db.execute(\"SELECT name, sql FROM sqlite_master WHERE type = 'trigger'\").fetchall()\n\
         for name, _ in rules: db.execute('DROP TRIGGER ' + name)\n\
         db.execute({statement:?})\n\
         for _, sql in rules: db.execute(sql)\n\
         db.commit()\n"
    );
    let ran = Command::new("python3").args(["-c", &python]).arg(day).status().unwrap();
    assert!(ran.success());
}

#[test]
fn a_checkpoint_is_printed_kept_and_compared_with_later() {
    let school = school();
    let ran = school.run("audit verify", &[]);
    assert_eq!(ran.code, OK, "{ran:?}");
    assert!(ran.out.contains("not covered  no checkpoint was ever signed here"), "{ran:?}");
    let signed = school.run("audit checkpoint", &[]);
    assert_eq!(signed.code, OK, "{signed:?}");
    let note = lines(&signed);
    assert!(note[0].starts_with("schoolgate/example-academy-"), "{signed:?}");
    assert_eq!((note.len(), note[3]), (5, ""));
    assert!(note[4].starts_with(&format!("\u{2014} {} ", note[0])), "{signed:?}");
    school.write("kept", &signed.out);
    let ran = school.run("audit verify --against kept", &[]);
    assert_eq!(ran.code, OK, "{ran:?}");
    assert!(ran.out.contains("3 rows and 0 later ends in 1 batches, 1 days"), "{ran:?}");
    assert!(ran.out.contains("whole: nothing was changed up to the checkpoints"), "{ran:?}");
    // What a printed page holds will do.
    school.write("typed", &format!("{}\n", note[..3].join(" ")));
    assert_eq!(school.run("audit verify --against typed", &[]).code, OK);
    school.write("other", "hello\n");
    let ran = school.run("audit verify --against other", &[]);
    assert_eq!(ran.code, USAGE, "{ran:?}");
    assert!(ran.err.contains("holds no checkpoint"), "{ran:?}");
    let ran = school.run("audit verify --json", &[]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["whole"], &report["rows"]), (&true.into(), &3.into()));
    let status = school.run("status", &[]);
    assert!(status.out.contains("evidence  checkpoint of "), "{status:?}");
    assert!(status.out.contains(&note[..3].join(" ")), "{status:?}");
}

#[test]
fn an_altered_row_is_a_problem_with_day_and_row_and_the_rest_stays_readable() {
    let school = school();
    assert_eq!(school.run("audit checkpoint", &[]).code, OK);
    alter(&school, "UPDATE access SET path = '/other' WHERE sequence = 1");
    let ran = school.run("audit verify", &[]);
    assert_eq!(ran.code, PROBLEMS, "{ran:?}");
    let problem = lines(&ran)[0];
    assert!(problem.starts_with("PROBLEM  access log, access-20"), "{ran:?}");
    assert!(problem.contains(".db, row 1: altered"), "{ran:?}");
    assert!(ran.out.ends_with("1 problem\n"), "{ran:?}");
    assert_eq!(lines(&school.run("log query --since 2h --jsonl", &[])).len(), 3);
}

#[test]
fn records_are_given_out_to_whoever_answers_for_them_and_checked_by_strangers() {
    let school = school();
    // Not "today": midnight may come between.
    let export = "audit export --case 2026-014 --user sam.p --since 2h -o case";
    let ran = school.run_plain(export, &[], b"");
    assert_eq!(ran.code, NOT_PERMITTED, "nobody is logged in: {ran:?}");
    let ran = school.run(export, &["--by", "j.cho"]);
    assert_eq!(ran.code, NOT_PERMITTED, "{ran:?}");
    assert!(!school.path("case").exists());
    let ran = school
        .run("audit export --case 2026-014 --user nobody --since 2h -o case --by q.whitmore", &[]);
    assert_eq!(ran.code, NOT_FOUND, "{ran:?}");
    let ran = school.run(export, &["--by", "q.whitmore"]);
    assert_eq!(ran.code, OK, "{ran:?}");
    assert!(ran.out.starts_with("2 records with their proofs in case\n"), "{ran:?}");
    let check = Command::new("python3").arg(school.path("case/verify.py")).arg("--show").output();
    let check = check.unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{said}");
    assert!(said.contains("RIGHT: 2 records of case \"2026-014\""), "{said}");
    assert!(said.contains("same as what somebody else kept from before"), "{said}");
    assert!(said.contains("arcade.test/play") && !said.contains("kit.r"), "{said}");
    let proofs = std::fs::read_to_string(school.path("case/proofs.json")).unwrap();
    assert!(!proofs.contains("kit.r") && proofs.contains("\"school\": \"Example Academy\""));
    let ran = school.run("log actions --since 2h --event evidence_exported", &[]);
    assert!(ran.out.contains("q.whitmore") && ran.out.contains("case: 2026-014"), "{ran:?}");
    // The look itself, and what was looked for, also where nothing was found.
    let ran = school.run("log actions --since 2h --event looked --jsonl", &[]);
    for subject in ["user nobody; case 2026-014; since 2h", "user sam.p; case 2026-014; since 2h"] {
        assert!(
            ran.out.contains("audit export") && ran.out.contains(subject),
            "{subject}: {ran:?}"
        );
    }
    assert_eq!(school.run("audit verify", &[]).code, OK);
}

#[test]
fn the_last_checkpoint_stands_under_the_weekly_report() {
    let school = school();
    let report = |school: &School| school.run("report weekly --since", &["this week"]).out;
    assert!(report(&school).contains("Checkpoint of the log: none was signed yet."));
    let signed = school.run("audit checkpoint", &[]);
    let note = lines(&signed);
    let text = report(&school);
    assert!(text.contains(&format!("Checkpoint of the log: {}", note[..3].join(" "))), "{text}");
    assert!(text.contains(note[4]), "{text}");
}

struct Filter(Child);

impl Filter {
    fn start(school: &School) -> Filter {
        let mut child = Command::new(env!("CARGO_BIN_EXE_schoolgate"))
            .args(["serve", "--config", "schoolgate.toml"])
            .current_dir(school.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        while !lines.next().unwrap().unwrap().starts_with("filter    http://") {}
        std::thread::spawn(move || lines.for_each(drop));
        Filter(child)
    }

    fn stop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_running_filter_states_what_it_is_and_brings_checkpoints_to_their_second_place() {
    let school = school();
    let audit =
        "\n[audit]\ncopy_to = [\"elsewhere/checkpoints\"]\norigin = \"school.example/log\"\n";
    let machine = school.machine().replace(
        "\n[[lists]]\nname = \"own-games\"",
        &format!("{audit}\n[[lists]]\nname = \"own-games\""),
    );
    school.write("schoolgate.toml", &machine);
    let mut filter = Filter::start(&school);
    let own =
        || std::fs::read_to_string(school.path("state/audit/checkpoints")).unwrap_or_default();
    until("no checkpoint is signed at the start", || own().ends_with("\n\n"));
    // The other disk is not there: an event, shown, and tried again.
    let failed = || school.run("log actions --since 2h --event checkpoint_failed", &[]).out;
    until("the failure is not recorded", || failed().contains("elsewhere/checkpoints"));
    let status = school.run("status", &[]);
    assert!(status.err.contains("checkpoints do not reach"), "{status:?}");
    let stated = school.run("log actions --since 2h --event attested", &[]).out;
    for part in ["locked_lists", "own-illegal", "policy_hash", "binary", "clock", "levels"] {
        assert!(stated.contains(part), "{part}: {stated}");
    }
    std::fs::create_dir(school.path("elsewhere")).unwrap();
    let ran = school.run("audit checkpoint", &[]);
    assert_eq!(ran.code, OK, "{ran:?}");
    assert!(ran.out.starts_with("school.example/log\n"), "{ran:?}");
    let copy = || std::fs::read_to_string(school.path("elsewhere/checkpoints")).unwrap_or_default();
    until("the copy is not brought up to date", || copy() == own() && copy().contains(&ran.out));
    let verified = school.run("audit verify --against elsewhere/checkpoints", &[]);
    assert_eq!(verified.code, OK, "beside the running filter: {verified:?}");
    filter.stop();
    let verified = school.run("audit verify --against elsewhere/checkpoints", &[]);
    assert_eq!(verified.code, OK, "{verified:?}");
}
