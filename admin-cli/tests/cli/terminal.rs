//! What a person at a terminal meets: long tables go through the pager, short ones and data for
//! programs do not.

use crate::school::School;
use std::process::{Command, Stdio};

/// Runs the program on a terminal of twelve lines, which `script` makes; what stood there in the end,
/// with plain line ends.
fn on_a_terminal(school: &School, line: &str, pager: &str) -> String {
    let program = env!("CARGO_BIN_EXE_schoolgate");
    let command = format!("stty rows 12 cols 120; '{program}' {line} 2>/dev/null");
    let output = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .current_dir(school.path(""))
        // Where the records were made, the technician has logged in.
        .env("SCHOOLGATE_SESSIONS", school.path("sessions"))
        .env("PAGER", pager)
        .env("SHELL", "/bin/sh")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("script: {error}\n  fix: run `bash tests/run`"));
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")
}

#[test]
fn a_table_longer_than_the_terminal_goes_through_the_pager() {
    let school = School::new();
    school.log(&[("sam.p", "ks3", "arcade.test", "/", "games", false); 20]);
    let pager = "sed 's/^/paged: /'";
    let long = on_a_terminal(&school, "log query --since 1h", pager);
    assert_eq!(long.lines().count(), 21, "a heading and twenty rows: {long}");
    assert!(long.lines().all(|line| line.starts_with("paged: ")), "{long}");

    for line in ["log query --since 1h --limit 3", "log query --since 1h --jsonl"] {
        let shown = on_a_terminal(&school, line, pager);
        assert!(shown.contains("arcade.test") && !shown.contains("paged"), "{line}: {shown}");
    }
    for none in ["", "cat", "no-such-pager"] {
        let shown = on_a_terminal(&school, "log query --since 1h", none);
        assert!(shown.contains("arcade.test") && !shown.contains("paged"), "{none}: {shown}");
    }
    // What is not a terminal is never paged.
    let piped = school.run("log query --since 1h", &[]);
    assert_eq!(piped.out.lines().count(), 21, "{piped:?}");
}
