//! A report that cannot be written was read by nobody: it is refused before the look is recorded.

use crate::school::School;
use crate::{OK, USAGE};
use std::process::{Command, Stdio};

const REASON: [&str; 2] = ["--reason", "subject access request of 3 March"];

/// How often somebody looked with this command.
fn looks(school: &School, command: &str) -> usize {
    let line = "log actions --event looked --jsonl --by q.whitmore";
    let ran = school.run(line, &["--since", "2h"]);
    assert_eq!(ran.code, OK, "{ran:?}");
    ran.out.lines().filter(|line| line.contains(command)).count()
}

/// What the program says on a terminal, which `script` makes, where it fails.
fn on_a_terminal(school: &School, line: &str) -> String {
    let command = format!("'{}' {line}", env!("CARGO_BIN_EXE_schoolgate"));
    let output = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .current_dir(school.path(""))
        .env("SCHOOLGATE_SESSIONS", school.path("sessions"))
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("script: {error}\n  fix: run `bash tests/run`"));
    assert!(!output.status.success(), "{line}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_file_that_cannot_be_written_is_no_look() {
    let school = School::new();
    school.log(&[("sam.p", "ks3", "arcade.test", "/", "games", false)]);
    school.write("there.pdf", "kept");
    school.write("folder.pdf/in.txt", "");
    let reports = [
        ("report weekly --for dsl --by q.whitmore", &[][..]),
        ("report weekly --names --by q.whitmore", &REASON[..]),
        ("report person sam.p --by q.whitmore", &REASON[..]),
    ];
    for (report, reason) in reports {
        for (file, fix) in [
            ("nofolder/week.pdf", "fix: make its folder first"),
            ("folder.pdf", "fix: name a file in it, such as folder.pdf/report.pdf"),
            ("there.pdf/week.pdf", "fix: part of its path is no folder"),
        ] {
            let ran = school.run(&format!("{report} -o {file}"), reason);
            assert!(ran.code != OK && ran.err.contains(fix), "{report} {file}: {ran:?}");
        }
        if !reason.is_empty() {
            let ran = school.run(&format!("{report} -o there.pdf"), reason);
            assert!(ran.err.contains("fix: name a file that is not there yet"), "{ran:?}");
        }
    }
    let wrong = school.run("report weekly --since whenever -o new.pdf --by q.whitmore", &[]);
    assert_eq!(wrong.code, USAGE, "{wrong:?}");
    assert!(!school.path("new.pdf").exists(), "nothing is left of a report that was refused");
    assert_eq!(std::fs::read_to_string(school.path("there.pdf")).unwrap(), "kept");
    let on_terminal = on_a_terminal(&school, "report weekly --format pdf --by q.whitmore");
    assert!(on_terminal.contains("fix: give it a file: -o FILE"), "{on_terminal}");
    assert_eq!(looks(&school, "report weekly"), 0);
    assert_eq!(looks(&school, "report person"), 0);
    // Who may not is refused, and leaves the file as it was.
    let teacher = school.run("report weekly -o there.pdf --by m.obi", &[]);
    assert!(teacher.code != OK, "{teacher:?}");
    assert_eq!(std::fs::read_to_string(school.path("there.pdf")).unwrap(), "kept");

    let written = school.run("report weekly --for dsl -o there.pdf --by q.whitmore", &[]);
    assert_eq!(written.code, OK, "{written:?}");
    assert!(std::fs::read(school.path("there.pdf")).unwrap().starts_with(b"%PDF"));
    assert_eq!(looks(&school, "report weekly"), 1);
    // A shorter one in its place leaves nothing of the longer.
    let shorter = "report weekly --for it --format csv -o there --by q.whitmore";
    school.write("there", &"long ".repeat(100_000));
    assert_eq!(school.run(shorter, &[]).code, OK);
    assert!(!std::fs::read_to_string(school.path("there")).unwrap().contains("long long"));
}
