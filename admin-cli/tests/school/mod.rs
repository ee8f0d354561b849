//! A small made-up school in a folder of its own, and the program run in it. Whoever a command acts as
//! is logged in beforehand, in a folder of sessions beside the school's: see [`sessions`].

mod sessions;

use ledger::ingest::{Settings, Writer};
use ledger::journal::{Journal, refused};
use ledger::record::{Context, Decided, Depth, End};
use rules::category::{CategoryId, CategorySet};
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;

const MACHINE: &str = r#"state = "state"
policy = "policy.toml"

[listen]
proxy = ["127.0.0.1:0"]
ops = "127.0.0.1:0"

[[lists]]
name = "own-games"
category = "games"
path = "lists/games.txt"

[[lists]]
name = "own-education"
category = "education"
path = "lists/education.txt"

[[lists]]
name = "own-gambling"
category = "gambling"
path = "lists/gambling.txt"

[[lists]]
name = "own-illegal"
category = "illegal"
path = "lists/illegal.txt"
"#;

const POLICY: &str = r#"school = "Example Academy"
timezone = "Europe/London"
terms = ["2026-09-02/2026-12-18"]
order = ["ks2", "ks3", "ks4", "guest", "staff"]

[times]
lunch = "Mon-Fri 12:30-13:20"

[levels]
pupil = {}
ks2 = { parent = "pupil" }
ks3 = { parent = "pupil" }
ks4 = { parent = "pupil" }
guest = {}
staff = {}

[who]
"group:Year 7" = "ks3"

[grid]
games = { pupil = "block", ks4 = "allow at lunch", guest = "block", staff = "allow" }
education = { pupil = "allow", guest = "allow", staff = "allow" }
gambling = { pupil = "block", guest = "block", staff = "block" }
uncategorised = { pupil = "block", guest = "allow", staff = "allow" }

[roles]
dsl = ["q.whitmore", "a.deputy"]
it = ["j.cho"]
teacher = ["m.obi"]

[unblock]
authorise = ["dsl"]
apply = "automatic"
confirm = ["it"]
max_days = 30
never = ["gambling"]

[keep]
allowed = "90 days"
blocked = "12 months"
changes = "7 years"

[[test]]
as = "ks2"
block = ["category:games"]
"#;

/// The categories that records can have.
pub(crate) const CATEGORIES: [&str; 14] = [
    "uncategorised",
    "games",
    "education",
    "gambling",
    "illegal",
    "suicide",
    "self-harm",
    "extremism",
    "hate",
    "bullying",
    "random-chat",
    "drugs",
    "violence",
    "adult",
];

/// A school in a folder that goes away with it.
pub(crate) struct School {
    folder: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

/// User (empty: nobody proved), level, host, path, category, allowed.
pub(crate) type Record<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, bool);

/// Level, host, client, what came of it, how often.
pub(crate) type Connection<'a> = (&'a str, &'a str, &'a str, Kind, u32);

/// What came of an https connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Looked into, with one request inside.
    Used,
    /// Looked into, with none.
    Unused,
    /// Known by its name alone.
    ByName,
    /// The device refused the certificate.
    Refused,
}

impl School {
    /// A school that has never run.
    pub(crate) fn new() -> School {
        let school = School { folder: tempfile::tempdir().unwrap() };
        school.write("schoolgate.toml", MACHINE);
        school.write("policy.toml", POLICY);
        school.write("lists/games.txt", "arcade.test\n");
        school.write("lists/education.txt", "library.test\n");
        school.write("lists/gambling.txt", "casino.test\n");
        school.write("lists/illegal.txt", "sealed.test\n");
        school
    }

    /// A file's place in the school's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The machine file's text.
    pub(crate) fn machine(&self) -> String {
        std::fs::read_to_string(self.path("schoolgate.toml")).unwrap()
    }

    /// The policy in force.
    pub(crate) fn policy(&self) -> String {
        std::fs::read_to_string(self.path("policy.toml")).unwrap()
    }

    /// Runs the program with the words of `line`, then `more` as they are.
    pub(crate) fn run(&self, line: &str, more: &[&str]) -> Ran {
        self.run_with(line, more, b"")
    }

    /// As [`School::run`], with this on standard input.
    pub(crate) fn run_with(&self, line: &str, more: &[&str], input: &[u8]) -> Ran {
        let words: Vec<&str> = line.split_whitespace().chain(more.iter().copied()).collect();
        let by = sessions::prepare(self.folder.path(), &words);
        let mut command = Command::new(env!("CARGO_BIN_EXE_schoolgate"));
        sessions::act(&mut command, self.folder.path(), by);
        let mut child = command
            .args(words)
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that ends before it has read everything is no fault of the test.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs the program where nobody has logged in for it, named or not.
    pub(crate) fn run_plain(&self, line: &str, more: &[&str], input: &[u8]) -> Ran {
        self.run_in_sessions(sessions::FOLDER, line, more, input)
    }

    /// As [`School::run_plain`], with another folder of sessions, as of another person at another desk.
    pub(crate) fn run_in_sessions(
        &self,
        folder: &str,
        line: &str,
        more: &[&str],
        input: &[u8],
    ) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_schoolgate"))
            .args(line.split_whitespace())
            .args(more)
            .current_dir(self.folder.path())
            .env("SCHOOLGATE_SESSIONS", self.path(folder))
            .env_remove("SCHOOLGATE_BY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs the program with nobody reading its standard output.
    pub(crate) fn run_unread(&self, line: &str) -> Ran {
        let words: Vec<&str> = line.split_whitespace().collect();
        let by = sessions::prepare(self.folder.path(), &words);
        let mut command = Command::new(env!("CARGO_BIN_EXE_schoolgate"));
        sessions::act(&mut command, self.folder.path(), by);
        let mut child = command
            .args(words)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        Ran { code: output.status.code().unwrap_or(-1), out: String::new(), err }
    }

    /// Adds a person.
    pub(crate) fn user(&self, name: &str, level: &str, groups: &[&str]) {
        let groups = groups.iter().flat_map(|group| ["--group", group]);
        let more: Vec<&str> = [name, "--level", level].into_iter().chain(groups).collect();
        let ran = self.run_with("user add", &more, b"correct horse battery\n");
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    /// Records accesses of this moment, as a running filter does; their codes.
    pub(crate) fn log(&self, records: &[Record<'_>]) -> Vec<String> {
        self.log_because(ReasonCode::Category, &[], records)
    }

    /// As [`School::log`]: what was blocked was so for this reason, and each record is as many
    /// milliseconds old as `ages` says, in whatever order they are written.
    pub(crate) fn log_because(
        &self,
        blocked: ReasonCode,
        ages: &[i64],
        records: &[Record<'_>],
    ) -> Vec<String> {
        self.record(|journal, get| {
            let mut codes = Vec::new();
            let ages = ages.iter().copied().chain(std::iter::repeat(0));
            for ((user, level, host, path, category, allowed), age) in records.iter().zip(ages) {
                let at = UnixMillis(get.at.0 - age);
                let id = journal.next_id(at);
                let category = place(&get.context.categories, category);
                let decided = Decided {
                    id,
                    at,
                    user: Some(*user).filter(|user| !user.is_empty()),
                    level: place(&get.context.levels, level),
                    host,
                    path: Some(path),
                    categories: CategorySet::of(CategoryId::from_index(category)),
                    verdict: if *allowed { Verdict::Allow } else { Verdict::Block },
                    reason: if *allowed { ReasonCode::Allowed } else { blocked },
                    rule: Some("policy.toml:28 games = \"block\""),
                    ..get.clone()
                };
                if *allowed {
                    let pending = journal.decide(&decided).unwrap();
                    pending.set_status(200);
                    pending.count_down(1234);
                    pending.finish(End::Complete);
                } else {
                    journal.refuse(&decided, refused(403, 500, 200)).unwrap();
                }
                codes.push(id.code());
            }
            codes
        })
    }

    /// Records connections of this moment, and the requests inside those that were opened.
    pub(crate) fn log_connections(&self, connections: &[Connection<'_>]) {
        self.record(|journal, get| {
            for (level, host, client, kind, times) in connections {
                let level = place(&get.context.levels, level);
                let client = client.parse().unwrap();
                let get = Decided { level, host, client, port: 443, ..get.clone() };
                for _ in 0..*times {
                    let connect = Decided {
                        id: journal.next_id(get.at),
                        method: "CONNECT",
                        scheme: Scheme::Tunnel,
                        path: None,
                        depth: Depth::Name,
                        ..get.clone()
                    };
                    let open = journal.decide(&connect).unwrap();
                    if *kind == Kind::ByName {
                        open.count_up(517);
                    }
                    if matches!(kind, Kind::Used | Kind::Unused) {
                        open.set_depth(Depth::Page);
                    }
                    let is_refused = *kind == Kind::Refused;
                    open.finish(if is_refused { End::Rejected } else { End::Complete });
                    if *kind == Kind::Used {
                        let (scheme, depth) = (Scheme::Https, Depth::Page);
                        let id = journal.next_id(get.at);
                        let inside = Decided { id, scheme, depth, ..get.clone() };
                        journal.decide(&inside).unwrap().finish(End::Complete);
                    }
                }
            }
        });
    }

    /// Writes to the log; `write` gets an allowed GET of this moment to change.
    fn record<T>(&self, write: impl FnOnce(&Rc<Journal>, &Decided<'_>) -> T) -> T {
        // A filter that records has a change log: a state folder without one is refused.
        let ran = self.run("unblock list", &[]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let context = Arc::new(Context {
            policy_hash: "ab".repeat(32),
            list_version: "2026-11-20-00000000".to_owned(),
            categories: CATEGORIES.map(str::to_owned).to_vec(),
            levels: ["ks2", "ks3", "guest", "staff"].map(str::to_owned).to_vec(),
            locked: CategorySet::EMPTY,
            zone: "Europe/London".to_owned(),
        });
        let writer = Writer::start(&self.path("state"), Settings::default()).unwrap();
        let journal = writer.journal(0).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let at = UnixMillis(i64::try_from(now.as_millis()).unwrap());
        let get = Decided {
            id: RequestId(0),
            at,
            context: &context,
            user: None,
            level: 0,
            client: "10.0.0.7".parse().unwrap(),
            method: "GET",
            scheme: Scheme::Http,
            host: "library.test",
            port: 80,
            path: Some("/"),
            categories: CategorySet::of(CategoryId::from_index(0)),
            verdict: Verdict::Allow,
            reason: ReasonCode::Allowed,
            rule: None,
            unblock: None,
            depth: Depth::Plain,
            visit: rules::visit::Visit::Unknown,
            words: None,
            signs: &[],
        };
        let written = write(&journal, &get);
        journal.flush();
        drop(journal);
        writer.stop();
        written
    }
}

fn place(names: &[String], name: &str) -> u8 {
    u8::try_from(names.iter().position(|other| other == name).unwrap()).unwrap()
}
