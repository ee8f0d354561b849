//! The command line's contract: words, columns and exit codes that scripts rely on.

use crate::daemon::{Daemon, KS2};

#[test]
fn a_code_from_a_block_page_is_explained() {
    let daemon = Daemon::start_without_people();
    let answer = daemon.get_from(KS2, &daemon.url("casino.test", "/"));
    let code = daemon.wait_records(1)[0]["code"].as_str().unwrap().to_owned();
    assert!(answer.text().contains(&code));
    let said = daemon.run(&["explain", &code]).ok().out;
    for word in ["casino.test", "ks2", "gambling", "test-gambling"] {
        assert!(said.contains(word), "{word} is missing: {said}");
    }
    let spoken = code.to_lowercase().replace('-', " ");
    let words: Vec<&str> = ["explain"].into_iter().chain(spoken.split(' ')).collect();
    assert_eq!(daemon.run(&words).ok().out, said, "a code read out over the telephone");
    assert_eq!(daemon.run(&["explain", "00000-00000"]).code, 5, "no such code");
}

#[test]
fn check_answers_with_a_reason_and_an_exit_code() {
    let daemon = Daemon::start_without_people();
    let check = |url: &str, more: &[&str]| daemon.run(&[&["check", url], more].concat());
    let blocked = check("chess.test", &["--as", "ks3", "--at", "2026-11-25T10:00:00+00:00"]);
    assert_eq!(blocked.code, 10, "{blocked:?}");
    let words = [
        "BLOCKED",
        "chess.test",
        "ks3",
        "Wed 25 Nov 2026 10:00 GMT",
        "policy.toml:",
        "allow at lunch",
    ];
    for word in words.into_iter().chain(["test-games", "Wed 12:10 to 13:10"]) {
        assert!(blocked.out.contains(word), "{word} is missing: {}", blocked.out);
    }
    let summer = check("chess.test", &["--as", "ks3", "--at", "2026-07-01T12:30:00+01:00"]);
    assert_eq!((summer.code, summer.out.contains("BST")), (0, true), "{summer:?}");
    let json = check("chess.test", &["--as", "staff", "--json"]);
    assert_eq!(json.code, 0);
    let answer = json.json();
    let answer = answer.as_array().map_or(&answer, |all| &all[0]);
    assert_eq!((&answer["verdict"], &answer["categories"][0]), (&"allow".into(), &"games".into()));

    assert_eq!(check("chess.test", &["--as", "ks9"]).code, 5, "no such level");
    assert_eq!(check("chess.test", &[]).code, 2, "a level is wanted");
    assert_eq!(daemon.run(&["chekc", "chess.test"]).code, 2);
    let odd = check("http://exa mple/", &["--as", "ks3"]);
    assert!(odd.code != 0 && odd.err.contains("error:"), "{odd:?}");
}

#[test]
fn a_stream_of_addresses_is_answered_line_by_line() {
    let daemon = Daemon::start_without_people();
    let input: String = (0..2_000)
        .map(|number| match number % 4 {
            0 => format!("arcade.test/{number}\n"),
            1 => format!("https://library.test/{number}\n"),
            2 => "http://exa mple/\n".to_owned(),
            _ => format!("site-{number}.example\n"),
        })
        .collect();
    let asked = ["check", "-", "--as", "ks2", "--jsonl"];
    let answers = daemon.run_with_input(&asked, &input).ok().lines();
    assert_eq!(answers.len(), 2_000);
    for (answer, url) in answers.iter().zip(input.lines()) {
        assert_eq!(answer["url"], url);
        let verdict = match url {
            url if url.starts_with("arcade") => "block",
            url if url.starts_with("https") => "allow",
            url if url.contains(' ') => {
                assert!(answer["error"].is_string(), "{answer}");
                continue;
            }
            _ => "block",
        };
        assert_eq!(answer["verdict"], verdict, "{answer}");
    }
}

#[test]
fn the_change_log_has_its_seven_columns_in_order() {
    let daemon = Daemon::start_without_people();
    let why = "Chess club final, \"round 2\"";
    let ask =
        ["unblock", "request", "chess.test", "--for", "ks2", "--until", "3 days", "--by", "p.obi"];
    daemon.run(&[&ask[..], &["--reason", why]].concat()).ok();
    let id = daemon.run(&["unblock", "list", "--jsonl"]).ok().lines()[0]["id"].clone();
    daemon.run(&["unblock", "authorise", id.as_str().unwrap(), "--by", "q.whitmore"]).ok();

    let csv = daemon.run(&["report", "changes", "--format", "csv"]).ok().out;
    let mut lines = csv.lines();
    let header = "Website / category,Date,Requested by / reason,Authorised by,Change made by,Confirmed by,Date for review";
    assert_eq!(lines.next().map(|line| line.trim_start_matches('\u{feff}')), Some(header));
    let row = lines.find(|line| line.contains("chess.test")).unwrap();
    for part in ["p.obi", "Chess club final, \"\"round 2\"\"", "q.whitmore"] {
        assert!(row.contains(part), "{part} is missing: {row}");
    }
    let log = daemon.run(&["unblock", "log", "--csv"]).ok().out;
    assert_eq!(log.lines().next().map(|line| line.trim_start_matches('\u{feff}')), Some(header));
}

#[test]
fn who_asked_cannot_authorise_and_who_has_no_role_cannot_either() {
    let daemon = Daemon::start_without_people();
    let request = |site: &str, by: &str| {
        let ask = ["unblock", "request", site, "--for", "ks2", "--until", "3 days", "--by", by];
        daemon.run(&[&ask[..], &["--reason", "A lesson on openings"]].concat())
    };
    request("chess.test", "q.whitmore").ok();
    let id = daemon.run(&["unblock", "list", "--jsonl"]).ok().lines()[0]["id"].clone();
    let id = id.as_str().unwrap();
    let own = daemon.run(&["unblock", "authorise", id, "--by", "q.whitmore"]);
    assert_eq!(own.code, 4, "{own:?}");
    assert!(own.err.contains("you asked for"), "{}", own.err);
    assert_eq!(daemon.run(&["unblock", "authorise", id, "--by", "p.obi"]).code, 4);
    assert_eq!(daemon.run(&["unblock", "authorise", "U-9999", "--by", "q.whitmore"]).code, 5);

    // Nothing opens a locked site, and nothing opens a whole suffix.
    let locked = request("forbidden.test", "p.obi");
    let locked_id = daemon.run(&["unblock", "list", "--jsonl"]).ok().lines();
    if locked.code == 0 {
        let newest = locked_id.iter().find(|one| one["site"] == "forbidden.test").unwrap();
        let yes = ["unblock", "authorise", newest["id"].as_str().unwrap(), "--by", "q.whitmore"];
        assert_ne!(daemon.run(&yes).code, 0, "a locked site was opened");
    }
    assert_eq!(daemon.get_from(KS2, &daemon.url("forbidden.test", "/")).status, 403);
    assert_ne!(request("co.uk", "p.obi").code, 0, "a public suffix is no site");
    let short = daemon.run(&[
        "unblock",
        "request",
        "chess.test",
        "--for",
        "ks2",
        "--until",
        "3 days",
        "--reason",
        "x",
        "--by",
        "p.obi",
    ]);
    assert_ne!(short.code, 0, "a reason must be one: {short:?}");
    assert_eq!(daemon.get_from(KS2, &daemon.url("chess.test", "/")).status, 403);
}

#[test]
fn faults_of_files_name_file_line_and_fix_with_exit_code_3() {
    let daemon = Daemon::start_without_people();
    let path = daemon.folder().join("bad.toml");
    let policy = std::fs::read_to_string(daemon.folder().join("policy.toml")).unwrap();
    std::fs::write(&path, policy.replace("allow at lunch", "allow at luch")).unwrap();
    let said = daemon.run(&["policy", "validate", "bad.toml"]);
    let line = policy.lines().position(|line| line.contains("allow at lunch")).unwrap() + 1;
    assert_eq!(said.code, 3, "{said:?}");
    for word in [format!("bad.toml:{line}"), "luch".to_owned(), "did you mean".to_owned()] {
        assert!(said.err.contains(&word), "{word} is missing: {}", said.err);
    }
    let machine = std::fs::read_to_string(daemon.folder().join("schoolgate.toml")).unwrap();
    std::fs::write(
        daemon.folder().join("other.toml"),
        machine.replace("[listen]\nproxy", "[listen]\nporxy"),
    )
    .unwrap();
    let output = std::process::Command::new(crate::daemon::binary())
        .args(["config", "validate", "--config", "other.toml"])
        .current_dir(daemon.folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("other.toml:4") && said.contains("proxy"), "{said}");
}

#[test]
fn a_failing_policy_test_stops_the_policy_with_exit_code_7() {
    let daemon = Daemon::start_without_people();
    let policy = std::fs::read_to_string(daemon.folder().join("policy.toml")).unwrap();
    let failing =
        policy.replace("allow = [\"library.test\"]", "allow = [\"library.test\", \"adult.test\"]");
    std::fs::write(daemon.folder().join("failing.toml"), failing).unwrap();
    let said = daemon.run(&["policy", "test", "failing.toml"]);
    assert_eq!(said.code, 7, "{said:?}");
    assert!(said.err.contains("adult.test must be allowed"), "{said:?}");
    let apply = ["policy", "apply", "failing.toml", "--by", "j.cho"];
    let said = daemon.run(&[&apply[..], &["--reason", "Trying it out"]].concat());
    assert_eq!(said.code, 7, "{said:?}");
    assert!(said.err.contains("nothing applied"), "{said:?}");
}

#[test]
fn the_log_is_filtered_and_printed_for_programs() {
    let daemon = Daemon::start_without_people();
    for host in ["casino.test", "library.test", "arcade.test", "library.test"] {
        daemon.get_from(KS2, &daemon.url(host, "/size/1"));
    }
    daemon.wait_records(4);
    let query = |more: &[&str]| {
        let usual = ["log", "query", "--since", "2h"];
        daemon.run(&[&usual[..], more].concat()).ok()
    };
    // Sorted: requests of the same moment stand in the order in which two workers' records came.
    let hosts = |more: &[&str]| -> Vec<String> {
        let lines = query(&[more, &["--jsonl"]].concat()).lines();
        let mut hosts: Vec<String> =
            lines.iter().map(|line| line["host"].as_str().unwrap().to_owned()).collect();
        hosts.sort_unstable();
        hosts
    };
    assert_eq!(hosts(&["--verdict", "block"]), ["arcade.test", "casino.test"]);
    assert_eq!(hosts(&["--site", "library.test"]).len(), 2);
    assert_eq!(hosts(&["--category", "games"]), ["arcade.test"]);
    assert_eq!(hosts(&["--level", "staff"]), [""; 0]);
    assert_eq!(hosts(&["--limit", "3"]).len(), 3);
    assert_eq!(newest_of_two_moments(&daemon), "school.test");
    assert_eq!(query(&["--csv"]).out.lines().count(), 6, "a header and five rows");
    assert_eq!(query(&["--json"]).json().as_array().map(Vec::len), Some(5));
}

/// The host that `--newest-first` gives first, after one more request that comes well after the rest.
fn newest_of_two_moments(daemon: &Daemon) -> String {
    std::thread::sleep(std::time::Duration::from_millis(300));
    daemon.get_from(KS2, &daemon.url("school.test", "/size/1"));
    daemon.wait_records(5);
    let query = ["log", "query", "--since", "2h", "--limit", "1", "--newest-first", "--jsonl"];
    daemon.run(&query).ok().lines()[0]["host"].as_str().unwrap().to_owned()
}

#[test]
fn the_squid_log_has_a_line_a_decision() {
    let plan = crate::daemon::Plan {
        machine: "[log]\nsquid = \"access.log\"\n".to_owned(),
        ..crate::daemon::Plan::default()
    };
    let daemon = Daemon::start_with(&plan);
    daemon.get_from(KS2, &daemon.url("library.test", "/size/5?secret=1"));
    daemon.get_from(KS2, &daemon.url("casino.test", "/"));
    let path = [daemon.folder().join("access.log"), daemon.folder().join("state/access.log")];
    let read =
        || path.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    crate::daemon::wait_for("two lines", std::time::Duration::from_secs(5), || {
        read().lines().count() == 2
    });
    let text = read();
    let mut lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    lines.sort_by_key(|line| line[3].to_owned()); // TCP_DENIED stands before TCP_MISS

    assert_eq!(lines[1][3], "TCP_MISS/200", "{text}");
    assert_eq!(lines[0][3], "TCP_DENIED/403", "{text}");
    assert_eq!((lines[1][5], lines[1][7]), ("GET", "-"), "{text}");
    assert!(!text.contains("secret"), "the query is cut off: {text}");
}
