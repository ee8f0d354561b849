//! Phrase lists that a policy names: what they make of pages, what they leave alone, and what a change of them takes.

use crate::client::{Answer, Client};
use crate::daemon::{Daemon, KS2, KS3, Plan, STAFF, wait_for};
use rustix::process::Signal;
use serde_json::Value;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

const ENGINE: &str = "www.google.co.uk";

/// What a server of the old filter had, and what the school writes of it.
const INCLUDES: &str = "#listcategory: \"Weighted Phrases\"\n\
                        .Include</etc/e2guardian/lists/phraselists/tables/weighted>\n\
                        .Include</etc/e2guardian/lists/phraselists/goodphrases/weighted_general>\n\
                        #.Include</etc/e2guardian/lists/phraselists/off/weighted>\n";
const TABLES: &str = "< wibblejack ><60>\n<double grumble,<snaffle><50>\n<ga\n";
const ROWS: &str = "\n[[phrase_list]]\nfile = \"phrases/weightedphraselist\"\ntheme = \"drugs\"\nlimit = 100\n\
                    \n[[phrase_list]]\nfile = \"phrases/strict\"\ntheme = \"drugs\"\n\
                    \n[themes]\ndrugs = { ks2 = \"block\", ks3 = \"watch\", staff = \"off\" }\n";

/// Enough of the lists to be refused, what is below, and what speaks for it.
const PAGES: [(&str, &str); 5] = [
    ("all.html", "The double grumble beats a wibblejack. Snaffle it!"),
    ("some.html", "Only a wibblejack."),
    ("lesson.html", "The probability lesson: a double grumble, a wibblejack and a snaffle."),
    ("caf.html", "Nothing but a cafzoot\u{e9} here."),
    ("new.html", "The frumious quorple."),
];

fn write(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

struct School {
    daemon: Daemon,
    _pages: tempfile::TempDir,
}

impl School {
    /// With pages, and a policy that names no lists yet.
    fn start() -> Self {
        let hosts =
            vec![(ENGINE, vec!["127.0.0.1"]), ("forcesafesearch.google.com", vec!["127.0.0.1"])];
        let daemon = Daemon::start_with(&Plan { hosts, ..Plan::default() });
        let pages = tempfile::tempdir().unwrap();
        for (name, text) in PAGES {
            let page =
                format!("<!doctype html><meta charset=utf-8><title>Page</title><p>{text}</p>");
            write(pages.path(), name, page.as_bytes());
        }
        daemon.origin.add_folder("pages", pages.path().to_owned());
        Self { daemon, _pages: pages }
    }

    fn get(&self, from: IpAddr, page: &str) -> Answer {
        let url = self.daemon.url("library.test", &format!("/pages/{page}"));
        Client::connect_from(from, self.daemon.proxy).ask("GET", &url, &[("Accept", "text/html")])
    }

    fn wait_status(&self, page: &str, status: u16) {
        wait_for(page, Duration::from_secs(10), || self.get(KS2, page).status == status);
    }

    /// Puts the lists beside the policy and names them there.
    fn name_lists(&self) {
        let folder = self.daemon.folder();
        write(folder, "phrases/weightedphraselist", INCLUDES.as_bytes());
        write(folder, "phrases/phraselists/tables/weighted", TABLES.as_bytes());
        write(folder, "phrases/phraselists/goodphrases/weighted_general", b"<probability><-40>\n");
        write(folder, "phrases/phraselists/off/weighted", b"<only a><200>\n");
        // Not UTF-8, as old lists are.
        write(folder, "phrases/strict/banned", b"<cafzoot\xe9>\n");
        let path = folder.join("policy.toml");
        let policy = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{policy}{ROWS}")).unwrap();
        self.daemon.signal(Signal::HUP);
        self.wait_status("all.html", 403);
    }
}

#[test]
fn pages_are_of_a_theme_by_lists_as_the_policys_rows_say() {
    let school = School::start();
    assert_eq!(school.get(KS2, "all.html").status, 200, "no list is named yet");
    school.name_lists();
    let refused = school.get(KS2, "all.html");
    assert!(!refused.is_from_origin() && !refused.text().contains("wibblejack"), "{refused:?}");
    assert_eq!(school.get(KS2, "caf.html").status, 403, "a banned phrase in an old encoding");
    for page in ["some.html", "lesson.html", "new.html"] {
        assert!(school.get(KS2, page).is_from_origin(), "{page} is below the limit");
    }
    assert!(school.get(KS3, "all.html").is_from_origin(), "watched for");
    assert!(school.get(STAFF, "all.html").is_from_origin(), "off");
    // What is typed is not judged by them.
    let url = school.daemon.url(ENGINE, "/search?q=double+grumble+wibblejack+snaffle");
    let found = Client::connect_from(KS3, school.daemon.proxy).ask("GET", &url, &[]);
    assert_eq!(found.status, 404, "{found:?}");

    let of = |level: &str, path: &str| {
        let records = school.daemon.records_for_lead(1).into_iter();
        let is_of = |it: &Value| it["level"] == level && it["path"].to_string().contains(path);
        records.filter(is_of).collect::<Vec<Value>>()
    };
    wait_for("the records", Duration::from_secs(5), || {
        !of("staff", "all.html").is_empty() && !of("ks3", "/search").is_empty()
    });
    let page = of("ks2", "all.html").into_iter().find(|it| it["method"] == "PAGE").unwrap();
    assert_eq!((&page["verdict"], &page["reason"]), (&"block".into(), &"page_words".into()));
    assert!(page["signs"].to_string().contains("drugs"), "{page}");
    assert!(of("ks3", "all.html")[0]["signs"].to_string().contains("drugs"), "it is recorded");
    assert!(!of("staff", "all.html")[0]["signs"].to_string().contains("drugs"));
    assert!(!of("ks3", "/search")[0]["signs"].to_string().contains("drugs"), "typed");
}

#[test]
fn commands_tell_what_was_read_and_which_phrase_of_which_list_counts() {
    let school = School::start();
    school.name_lists();
    let daemon = &school.daemon;
    let told = daemon.run(&["policy", "validate"]).ok();
    assert!(
        told.out.contains(
            "phrases of phrases/weightedphraselist for drugs: 3 read (files: 3; lines passed over: 1 of 6)"
        ),
        "{told:?}"
    );
    assert!(
        told.out.contains("phrases of phrases/strict for drugs: 1 read (files: 1; "),
        "{told:?}"
    );
    assert!(
        told.err.contains("phrases/phraselists/tables/weighted:3 has a < that is not closed"),
        "{told:?}"
    );

    let (name, text) = PAGES[2];
    write(daemon.folder(), name, text.as_bytes());
    let told = daemon.run(&["check", "--page", name, "--as", "ks2", "--jsonl"]).ok();
    let rows = told.lines();
    let row = rows.iter().find(|row| row["theme"] == "drugs").unwrap();
    assert_eq!((&row["percent"], &row["action"]), (&70.into(), &"below".into()), "{row}");
    for phrase in [
        "phrase lists: 70",
        "+60 of 100 wibblejack (phrases/phraselists/tables/weighted:1)",
        "+50 of 100 double grumble, snaffle (phrases/phraselists/tables/weighted:2)",
        "-40 of 100 probability (phrases/phraselists/goodphrases/weighted_general:1)",
    ] {
        assert!(row["phrases"].to_string().contains(phrase), "{phrase}: {row}");
    }
    write(daemon.folder(), "all.html", PAGES[0].1.as_bytes());
    let blocked = daemon.run(&["check", "--page", "all.html", "--as", "ks2"]);
    assert!(blocked.code == 10 && blocked.out.starts_with("BLOCKED"), "{blocked:?}");
    let typed = daemon.run(&["check", "--words", PAGES[0].1, "--as", "ks2"]).ok();
    assert!(!typed.out.contains("wibblejack"), "{typed:?}");
    assert_eq!(daemon.run(&["check", "--page", "all.html", "--as", "ks3"]).ok().code, 0);
}

#[test]
fn a_list_that_is_added_holds_at_once_and_one_that_shrinks_waits_for_a_sign_off() {
    let school = School::start();
    school.name_lists();
    let folder = school.daemon.folder();
    assert!(school.get(KS2, "new.html").is_from_origin());
    write(folder, "phrases/strict/more/banned_new", b"<frumious quorple>\n");
    school.wait_status("new.html", 403);
    // Fewer phrases open more.
    std::fs::remove_file(folder.join("phrases/strict/more/banned_new")).unwrap();
    wait_for("the request", Duration::from_secs(10), || {
        let ready = school.daemon.ops_get("/readyz").unwrap().text();
        ready.contains("waits for sign-off")
            && ready.contains("phrases of lists for drugs: 1 removed")
    });
    assert_eq!(school.get(KS2, "new.html").status, 403);
    school.daemon.sign_off();
    school.wait_status("new.html", 200);
    // A list that is broken changes nothing.
    write(folder, "phrases/strict/banned", b"\x1f\x8b\x08\0\0");
    wait_for("the fault", Duration::from_secs(10), || {
        let ready = school.daemon.ops_get("/readyz").unwrap().text();
        ready.contains("phrases/strict/banned:1: nothing of it can be read as a phrase list")
    });
    assert_eq!(school.get(KS2, "caf.html").status, 403);
}
