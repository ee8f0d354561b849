//! How many points make a text one of a theme, by level: what lies between two levels' thresholds is refused for one and
//! let through for the other, wherever it is read.

use crate::assistant_replies::SHAPES;
use crate::client::{Answer, Client};
use crate::daemon::{Daemon, KS2, KS3, Plan, STAFF, wait_for};
use crate::typed_words::{ASSISTANT, ENGINE, JSON, echoed, frame, post, prompt, socket};
use rustix::process::Signal;
use serde_json::Value;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// Words that nobody has a weight for but the school: of 90 points, and of 130.
const PACK: &str = "theme = \"drugs\"\nlanguage = \"en\"\nreviewed = true\n\
                    [[group]]\nweight = 90\nany = [\"zorbleflax\"]\n\
                    [[group]]\nweight = 130\nany = [\"blorptine\"]\n";
const BANNED: &str = "<frumious quorple>\n";
const ROWS: &str = "\n[[theme_words]]\nfile = \"ours.toml\"\n\
                    \n[[phrase_list]]\nfile = \"list.txt\"\ntheme = \"drugs\"\nkind = \"banned\"\n\
                    \n[themes]\ndrugs = { pupil = \"block\", staff = \"watch\" }\n\
                    \n[theme_thresholds]\ndrugs = { ks2 = 60, ks3 = 150, staff = 120 }\n";

const PAGES: [(&str, &str); 3] =
    [("one.html", "zorbleflax"), ("two.html", "blorptine"), ("three.html", "frumious quorple")];

struct School {
    daemon: Daemon,
    _pages: tempfile::TempDir,
}

impl School {
    /// With pages, and no threshold yet.
    fn start() -> Self {
        let hosts = [ENGINE, ASSISTANT, "forcesafesearch.google.com"];
        let hosts = hosts.map(|host| (host, vec!["127.0.0.1"])).to_vec();
        let edits = [
            ("pupil = { safe_search = true", "pupil = { safe_search = false"),
            ("uncategorised = { pupil = \"block\"", "uncategorised = { pupil = \"allow\""),
        ];
        let edits = edits.map(|(from, to)| (from.to_owned(), to.to_owned())).to_vec();
        let daemon = Daemon::start_with(&Plan { hosts, edits, ..Plan::default() });
        let pages = tempfile::tempdir().unwrap();
        for (name, text) in PAGES {
            let page = format!("<!doctype html><title>Page</title><p>{text}</p>");
            std::fs::write(pages.path().join(name), page).unwrap();
        }
        daemon.origin.add_folder("pages", pages.path().to_owned());
        Self { daemon, _pages: pages }
    }

    /// The rows, which somebody has to sign for: at ks3 less is found of a theme that was watched for.
    fn with_thresholds() -> Self {
        let school = Self::start();
        let folder = school.daemon.folder();
        std::fs::write(folder.join("ours.toml"), PACK).unwrap();
        std::fs::write(folder.join("list.txt"), BANNED).unwrap();
        school.edit(|policy| format!("{policy}{ROWS}"));
        wait_for("the request", Duration::from_secs(10), || {
            let ready = school.daemon.ops_get("/readyz").unwrap().text();
            ready.contains("waits for sign-off") && ready.contains("threshold of drugs for ks2")
        });
        let both = "zorbleflax and blorptine";
        assert_eq!(school.search(KS2, both).status, 404, "nothing of it is in force yet");
        let request = school.daemon.sign_off();
        let shown = school.daemon.run(&["unblock", "show", &request]).ok().out;
        assert!(shown.contains("threshold of drugs for ks3: 100 -> 150"), "{shown}");
        wait_for("the rows", Duration::from_secs(10), || school.search(KS2, both).status == 403);
        school
    }

    fn edit(&self, change: impl Fn(&str) -> String) {
        let path = self.daemon.folder().join("policy.toml");
        let policy = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, change(&policy)).unwrap();
        self.daemon.signal(Signal::HUP);
    }

    fn get(&self, from: IpAddr, host: &str, path: &str) -> Answer {
        let url = self.daemon.url(host, path);
        Client::connect_from(from, self.daemon.proxy).ask("GET", &url, &[("Accept", "text/html")])
    }

    fn search(&self, from: IpAddr, words: &str) -> Answer {
        self.get(from, ENGINE, &format!("/search?q={}", words.replace(' ', "+")))
    }

    /// Compares the signs of drugs in the log with what is expected of requests: of which level, for which path or with which
    /// words, and what the sign says, or that there is none.
    fn assert_signs(&self, expected: &[(&str, String, Option<&str>)]) {
        let ended = |it: &Value| it["verdict"] == "block" || !it["end"].is_null();
        let of = |records: &[Value], level: &str, what: &str| -> (bool, Vec<String>) {
            let is_of =
                |it: &&Value| it["level"] == level && (it["path"] == what || it["words"] == what);
            let of: Vec<&Value> = records.iter().filter(is_of).collect();
            let signs = of.iter().map(|it| it["signs"].to_string());
            let has_ended = of.iter().any(|it| it["method"] == "GET" && ended(it));
            (has_ended, signs.filter(|signs| signs.contains("drugs")).collect())
        };
        let query = ["log", "query", "--since", "24h", "--jsonl", "--by", "q.whitmore"];
        let mut records = Vec::new();
        wait_for("the records", Duration::from_secs(30), || {
            records = self.daemon.run(&query).ok().lines();
            expected.iter().all(|(level, what, sign)| {
                let (has_ended, signs) = of(&records, level, what);
                has_ended && sign.is_some() != signs.is_empty()
            }) || expected.iter().any(|(level, what, sign)| {
                sign.is_none() && !of(&records, level, what).1.is_empty()
            })
        });
        for (level, what, sign) in expected {
            let (_, signs) = of(&records, level, what);
            match sign {
                Some(sign) => assert!(
                    signs.iter().any(|it| it.contains(sign)),
                    "{level}, {what}: no {sign} in {signs:?}"
                ),
                None => assert!(signs.is_empty(), "{level}, {what}: {signs:?}"),
            }
        }
    }
}

#[test]
fn a_text_between_two_thresholds_is_refused_at_one_level_and_passes_unseen_at_another() {
    let school = School::with_thresholds();
    let mut expected = Vec::new();
    // Who, what of 90 points and of 130 comes to, and which of them is a sign.
    for (from, level, refused, seen) in [
        (KS2, "ks2", [true, true], [true, true]),
        (KS3, "ks3", [false, false], [false, false]),
        (STAFF, "staff", [false, false], [false, true]),
    ] {
        for (place, words) in ["zorbleflax", "blorptine"].into_iter().enumerate() {
            let what = format!("{words} for {level}");
            let searched = school.search(from, words);
            assert_eq!(searched.status, if refused[place] { 403 } else { 404 }, "{what}");
            let sign = ["drugs 90 (search", "drugs 130 (search"][place];
            expected.push((level, words.to_owned(), seen[place].then_some(sign)));

            let path = format!("/pages/{}", PAGES[place].0);
            let page = school.get(from, "library.test", &path);
            assert_eq!(page.is_from_origin(), !refused[place], "{what}: {page:?}");
            let sign = ["drugs 90 (page", "drugs 130 (page"][place];
            expected.push((level, path, seen[place].then_some(sign)));

            // Of an address twice as much is needed: of 130 points 65 hundredths.
            let path = format!("/{words}");
            school.get(from, "library.test", &path);
            let is_sign = level == "ks2" && words == "blorptine";
            expected.push((level, path, is_sign.then_some("drugs 65 (url")));
        }
        // One phrase that a list bans is enough, wherever the threshold is.
        let path = "/pages/three.html";
        let banned = school.get(from, "library.test", path);
        assert_eq!(banned.is_from_origin(), level == "staff", "{level}: {banned:?}");
        expected.push((level, path.to_owned(), Some("drugs 100 (page")));
    }
    school.assert_signs(&expected);
}

#[test]
fn what_an_assistant_is_asked_and_answers_goes_by_the_thresholds_of_the_level() {
    let school = School::with_thresholds();
    let daemon = &school.daemon;
    let asked = prompt("blorptine");
    assert_eq!(post(daemon, KS2, ASSISTANT, JSON, &[asked.as_bytes()], false).status, 403);
    let passed = post(daemon, KS3, ASSISTANT, JSON, &[asked.as_bytes()], false);
    assert!(passed.is_from_origin(), "{passed:?}");

    // The reply goes on some time after its beginning was passed on.
    let reply = SHAPES[0];
    let first = (reply.piece)(0, "It is called ");
    let second = (reply.piece)(1, "blorptine, they say.");
    let head = format!("200 OK\r\nContent-Type: {}\r\n", reply.content_type);
    let pieces = [(0, first.as_bytes()), (500, second.as_bytes())];
    daemon.origin.answer_with("/reply", &head, &pieces);
    let url = daemon.url(ASSISTANT, "/reply");
    let read = |from: IpAddr| Client::connect_from(from, daemon.proxy).try_ask("GET", &url, &[]);
    let cut = read(KS2);
    assert!(cut.is_err(), "it breaks off: {cut:?}");
    let whole = read(KS3).unwrap();
    assert_eq!(reply.said(&whole.body), "It is called blorptine, they say.");
    let reply = "/reply".to_owned();
    school.assert_signs(&[("ks2", reply.clone(), Some("(reply")), ("ks3", reply, None)]);
}

#[test]
fn what_is_typed_over_a_websocket_goes_by_the_thresholds_of_the_level() {
    let school = School::with_thresholds();
    let mut expected = Vec::new();
    // Who, and whether what of 90 points and of 130 passes. By the usual threshold, 100, the first would and the second
    // would not.
    for (from, level, passes) in [(KS2, "ks2", false), (KS3, "ks3", true), (STAFF, "staff", true)] {
        for (words, sign) in
            [("zorbleflax", "drugs 90 (prompt"), ("blorptine", "drugs 130 (prompt")]
        {
            let mut client = socket(&school.daemon, from);
            let message = frame(0x81, &prompt(words));
            assert_eq!(echoed(&mut client, &message, 4096), passes, "{level}: {words}");
            // What is watched for at staff's threshold passes, and is a sign.
            let is_sign = level == "ks2" || (level == "staff" && words == "blorptine");
            if is_sign || level == "ks3" {
                expected.push((level, "/upgrade".to_owned(), is_sign.then_some(sign)));
            }
        }
    }
    school.assert_signs(&expected);
}

#[test]
fn commands_tell_the_threshold_and_a_lower_one_holds_at_once() {
    let school = School::with_thresholds();
    let daemon = &school.daemon;
    let row = |level: &str| {
        let told = daemon.run(&["check", "--words", "blorptine", "--as", level, "--jsonl"]);
        told.lines().into_iter().find(|row| row["theme"] == "drugs").unwrap()
    };
    for (level, threshold, action) in
        [("ks2", 60, "block"), ("ks3", 150, "below"), ("staff", 120, "watch")]
    {
        let row = row(level);
        assert_eq!(
            (&row["percent"], &row["threshold"], &row["action"]),
            (&130.into(), &threshold.into(), &action.into()),
            "{level}: {row}"
        );
    }
    let told = daemon.run(&["check", "--words", "blorptine", "--as", "ks3"]).ok().out;
    assert!(told.contains("drugs is found from 150 here: drugs = 150 (policy.toml:"), "{told}");
    let page = daemon.folder().join("three.html");
    std::fs::write(&page, PAGES[2].1).unwrap();
    let page = page.to_str().unwrap();
    assert_eq!(daemon.run(&["check", "--page", page, "--as", "ks3"]).code, 10, "banned");

    assert_eq!(school.search(KS3, "blorptine").status, 404);
    school.assert_signs(&[("ks3", "blorptine".to_owned(), None)]);
    let lowered = |policy: &str| policy.replace("ks3 = 150", "ks3 = 120");
    let policy = std::fs::read_to_string(daemon.folder().join("policy.toml")).unwrap();
    let proposed = daemon.folder().join("lowered.toml");
    std::fs::write(&proposed, lowered(&policy)).unwrap();
    let told = replayed(daemon, &proposed);
    let [row] = &told[..] else { panic!("{told:?}") };
    let because = "what was typed is of the theme drugs, which is found from 120 points";
    assert_eq!((&row["change"], &row["because"]), (&"blocked".into(), &because.into()), "{row}");

    school.edit(lowered);
    wait_for("the lower threshold", Duration::from_secs(10), || {
        school.search(KS3, "blorptine").status == 403
    });
    assert_eq!(school.search(KS3, "zorbleflax").status, 404, "of 90 points");
}

fn replayed(daemon: &Daemon, policy: &Path) -> Vec<Value> {
    let file = policy.to_str().unwrap();
    daemon.run(&["policy", "replay", file, "--since", "1h", "--jsonl"]).ok().lines()
}
