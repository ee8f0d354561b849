//! A policy with other words and themes, tried on what was searched for.

use crate::client::Client;
use crate::daemon::{Daemon, KS3, Plan, wait_for};
use std::time::Duration;

const ENGINE: &str = "www.google.co.uk";

fn search(daemon: &Daemon, words: &str) -> u16 {
    let url = daemon.url(ENGINE, &format!("/search?q={}", words.replace(' ', "+")));
    Client::connect_from(KS3, daemon.proxy).ask("GET", &url, &[("Accept", "text/html")]).status
}

#[test]
fn words_of_a_proposed_policy_are_tried_on_what_was_searched_for() {
    let hosts =
        vec![(ENGINE, vec!["127.0.0.1"]), ("forcesafesearch.google.com", vec!["127.0.0.1"])];
    let daemon = Daemon::start_with(&Plan { hosts, ..Plan::default() });
    assert_eq!(search(&daemon, "painless ways to kill myself tonight"), 403);
    assert_eq!(search(&daemon, "where to buy cocaine and ketamine near me"), 404, "watched for");
    assert_eq!(search(&daemon, "pictures of blorptine"), 404);
    assert_eq!(search(&daemon, "how do volcanoes form"), 404);
    daemon.wait_records(4);

    let folder = daemon.folder();
    let policy = std::fs::read_to_string(folder.join("policy.toml")).unwrap();
    let replayed = |name: &str, more: &str| {
        std::fs::write(folder.join(name), format!("{policy}\n{more}")).unwrap();
        let file = folder.join(name);
        let ran =
            daemon.run(&["policy", "replay", file.to_str().unwrap(), "--since", "1h", "--jsonl"]);
        let ran = ran.ok();
        let secret = ["painless", "cocaine", "blorptine", "volcanoes"];
        assert!(
            !secret.iter().any(|word| ran.out.contains(word) || ran.err.contains(word)),
            "{ran:?}"
        );
        (ran.lines(), ran.err.clone())
    };
    let (rows, told) = replayed("same.toml", "");
    assert_eq!(rows.len(), 0, "{rows:?}");
    assert!(
        told.contains(
            "4 of them with words that were typed: 0 newly a sign of a theme, 0 no longer"
        ),
        "{told}"
    );
    assert!(
        !told.contains("recorded otherwise"),
        "what was refused for its words is refused again: {told}"
    );

    std::fs::write(folder.join("ours.txt"), "blorptine\n").unwrap();
    let (rows, told) = replayed(
        "stricter.toml",
        "[[theme_words]]\nfile = \"ours.txt\"\ntheme = \"drugs\"\n[themes]\ndrugs = { pupil = \"block\" }\n",
    );
    assert!(told.contains("1 newly a sign of a theme, 0 no longer"), "{told}");
    let [row] = &rows[..] else { panic!("{rows:?} {told}") };
    assert_eq!((&row["change"], &row["site"]), (&"blocked".into(), &ENGINE.into()), "{row}");
    assert_eq!(row["requests"], 2, "{row}");
    assert_eq!(row["because"], "what was typed is of the theme drugs", "{row}");

    let (rows, told) = replayed(
        "looser.toml",
        "[themes]\nsuicide = { pupil = \"off\" }\nself-harm = { pupil = \"off\" }\n",
    );
    assert!(told.contains("0 newly a sign of a theme, 1 no longer"), "{told}");
    assert_eq!(
        (&rows[0]["change"], &rows[0]["site"]),
        (&"opened".into(), &ENGINE.into()),
        "{rows:?}"
    );

    // Whoever applies one has it tried, and whoever authorises it sees what came of that.
    let applied = |name: &str| {
        let file = folder.join(name);
        let reason = ["--reason", "Words of the town's own", "--by", "j.cho"];
        let line = [&["policy", "apply", file.to_str().unwrap()], &reason[..]].concat();
        daemon.run(&line).ok().out
    };
    let asked = applied("looser.toml");
    let shown = daemon.run(&["unblock", "show", "U-0001"]).ok().out;
    for told in [&asked, &shown] {
        assert!(told.contains("  replay  tried on 4 records of "), "{told}");
        for line in [
            "  0 newly refused, 1 newly passed\n",
            "  ks3, typed words of suicide: 0 newly refused, 1 newly passed\n",
            "  4 with words that were typed: 0 newly a sign of a theme, 1 no longer\n",
        ] {
            assert!(told.contains(line), "{line}: {told}");
        }
        assert!(!told.contains("painless"), "{told}");
    }
    let closed = applied("stricter.toml");
    assert!(closed.contains("stricter.toml applied"), "waits for nobody: {closed}");
    assert!(
        closed.contains("ks3, typed words of drugs: 2 newly refused, 0 newly passed"),
        "{closed}"
    );
    wait_for("the words in force", Duration::from_secs(20), || {
        search(&daemon, "pictures of blorptine") == 403
    });
}
