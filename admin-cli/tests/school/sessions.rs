//! Sessions for whoever a test's command acts as, made through the ledger: a real log-in would cost
//! each test some hashes of passwords. What logging in itself does, other tests show.

use ledger::accounts::SessionFolder;
use ledger::changes::ChangeLog;
use rules::time::UnixMillis;
use std::path::Path;

/// The folder of sessions, in the school's.
pub(crate) const FOLDER: &str = "sessions";

/// The technician, who acts where a test does not say who.
const USUAL: &str = "j.cho";

/// The safeguarding lead, who reads what the technician does not.
const LEAD: &str = "q.whitmore";

/// Commands that act as somebody.
const ACTING: &[&str] = &[
    "account",
    "alerts",
    "audit",
    "backup",
    "block",
    "ca",
    "case",
    "certificate",
    "check",
    "explain",
    "inspect",
    "lesson",
    "lists",
    "log",
    "policy",
    "report",
    "retention",
    "unblock",
    "user",
];

/// Of those, what needs nobody: it must go on working in a folder where nothing is kept yet.
const OPEN: [(&str, &str); 15] = [
    ("audit", "verify"),
    ("audit", "checkpoint"),
    ("backup", "create"),
    ("backup", "verify"),
    ("backup", "restore"),
    ("lists", "status"),
    ("lists", "diff"),
    ("lists", "update"),
    ("policy", "validate"),
    ("policy", "test"),
    ("policy", "diff"),
    ("inspect", "list"),
    ("ca", "show"),
    ("ca", "export"),
    ("retention", "show"),
];

/// Logs in whoever the words of a command name, and answers who acts where they name nobody; `None`
/// for what needs nobody.
pub(crate) fn prepare(school: &Path, words: &[&str]) -> Option<&'static str> {
    let usual = match words {
        ["report", "weekly", ..] => LEAD,
        _ => USUAL,
    };
    let (noun, verb) = (words.first()?, words.get(1).unwrap_or(&""));
    let is_help = words.iter().any(|word| matches!(*word, "--help" | "-h"));
    if !ACTING.contains(noun) || is_help {
        return None;
    }
    let named: Vec<&str> =
        words.windows(2).filter(|pair| pair[0] == "--by").map(|pair| pair[1]).collect();
    let is_open = OPEN.contains(&(*noun, *verb)) && !words.contains(&"--show-locked");
    if is_open && named.is_empty() {
        return None;
    }
    let state = school.join("state");
    let folder = SessionFolder::at(school.join(FOLDER));
    for name in named.into_iter().chain([usual]) {
        if !folder.find(&state, name).is_ok_and(|held| held.is_some()) {
            log_in(&state, &folder, name);
        }
    }
    Some(usual)
}

/// Gives somebody an account and a session. Where that fails, so will the command, with the error
/// that the test is about.
fn log_in(state: &Path, folder: &SessionFolder, name: &str) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = UnixMillis(i64::try_from(since.as_millis()).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Ok(log) = ChangeLog::open(state).await else { return };
        let accounts = log.accounts();
        // One that is there already is as good.
        let _ = accounts.add("test", at, name, None).await;
        if let Ok(token) = accounts.open_session(at, name, "test", 8 * 3_600_000).await {
            folder.keep(state, name, &token).unwrap();
        }
    });
}

/// Lets a command find its sessions, and act as this person where it names nobody.
pub(crate) fn act(command: &mut std::process::Command, school: &Path, by: Option<&str>) {
    command.env("SCHOOLGATE_SESSIONS", school.join(FOLDER));
    match by {
        Some(by) => command.env("SCHOOLGATE_BY", by),
        None => command.env_remove("SCHOOLGATE_BY"),
    };
}
