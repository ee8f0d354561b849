//! What the running filter says it decides by, beside what the files and the change log say.

use crate::health;
use crate::school::School;
use ledger::changes::ChangeLog;
use proxy::follow::Serving;
use proxy::policy_file::PolicyFile;
use proxy::snapshot::Snapshot;
use std::time::{Duration, Instant};

/// How long a change may be on its way before the filter counts as behind, in milliseconds: lists of
/// the machine file have two seconds, all else has one.
const ON_ITS_WAY_MS: u64 = 2_500;

/// Between two looks, in milliseconds.
const LOOK_MS: u64 = 100;

/// What to do where the filter does not follow.
const MESSAGES: &str = "see its messages (journalctl -u schoolgate), then restart it";

/// What a running filter has in force.
pub(crate) struct InForce {
    /// Its own words; `None`: it has not said anything.
    pub(crate) serving: Option<Serving>,
    /// How that differs from what should be in force, with what to do.
    pub(crate) behind: Vec<(String, &'static str)>,
}

impl InForce {
    /// Asks the running filter; `None` where none runs. What is newer than the filter is given time to
    /// come into force. `snapshot` is what the files say, where they can be read.
    pub(crate) async fn look(
        school: &School,
        log: &ChangeLog,
        snapshot: Option<&Snapshot>,
    ) -> Option<InForce> {
        let begun = Instant::now();
        loop {
            if !health::is_running(&school.config.state) {
                return None;
            }
            let serving = Serving::read(&school.config.state);
            let behind = behind(school, log, snapshot, serving.as_ref()).await;
            let waited = begun.elapsed() >= Duration::from_millis(ON_ITS_WAY_MS);
            if behind.is_empty() || waited {
                return Some(InForce { serving, behind });
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }
}

async fn behind(
    school: &School,
    log: &ChangeLog,
    snapshot: Option<&Snapshot>,
    serving: Option<&Serving>,
) -> Vec<(String, &'static str)> {
    let Some(serving) = serving else {
        let found = "the filter does not say what it has in force";
        return vec![(found.to_owned(), MESSAGES)];
    };
    let mut behind: Vec<(String, &'static str)> = Vec::new();
    for (part, why) in &serving.problems {
        let why = first_line(why);
        let (found, fix) = match part.as_str() {
            "policy" => (
                format!("an OLDER policy ({}) is in force: {why}", short(&serving.policy_hash)),
                "correct the policy; it is read again when it is saved",
            ),
            "policy file" => {
                (format!("the policy FILE is not in force: it {why}"), "schoolgate unblock list")
            }
            "machine file" => (
                format!("the lists of an OLDER machine file are in force: {why}"),
                "correct the machine file; it is read again when it is saved",
            ),
            "log" => (format!("changes cannot be followed: {why}"), "schoolgate doctor"),
            part => (
                format!("{part}: what was in force before stays so: {why}"),
                "schoolgate lists status",
            ),
        };
        behind.push((found, fix));
    }
    let told = |part: &str| serving.problems.contains_key(part);
    if let Ok(size) = log.size().await
        && size > serving.changes
        && !told("log")
    {
        let missing = size - serving.changes;
        behind.push((
            format!("the filter is BEHIND: {missing} changes of the change log are not in force"),
            MESSAGES,
        ));
    }
    let same_machine = serving.machine_hash == school.config.hash;
    if !same_machine && !told("machine file") {
        let found = "the lists of an OLDER machine file are in force".to_owned();
        behind.push((found, "schoolgate serve reads its own --config; see that it is this one"));
    }
    if !told("policy") && !told("log") {
        behind.extend(policy_behind(school, log, serving, told("policy file")).await);
    }
    if let Some(snapshot) = snapshot
        && serving.list_version != snapshot.index.version()
        && same_machine
        && !serving.problems.keys().any(|part| part.contains("list") || part == "machine file")
    {
        behind.push(("OLDER lists are in force than the change log says".to_owned(), MESSAGES));
    }
    behind
}

/// Whether the policy that the change log says is in force is not served; or the file holds another
/// one, of which the filter has not said anything yet (`is_told`).
async fn policy_behind(
    school: &School,
    log: &ChangeLog,
    serving: &Serving,
    is_told: bool,
) -> Option<(String, &'static str)> {
    let old = short(&serving.policy_hash);
    if let Ok(Some(hash)) = log.changes().await.map(|changes| changes.policy)
        && hash != serving.policy_hash
    {
        let found = format!("an OLDER policy ({old}) is in force, not {}", short(&hash));
        return Some((found, MESSAGES));
    }
    if is_told {
        return None;
    }
    let read = proxy::lists::catalogue(&school.config).map_err(|error| error.to_string()).and_then(
        |catalogue| {
            PolicyFile::read(&school.config.policy, &catalogue).map_err(|it| it.to_string())
        },
    );
    match read {
        Ok(file) if file.hash == serving.policy_hash => None,
        Ok(file) => Some((
            format!("an OLDER policy ({old}) is in force, not the file's {}", short(&file.hash)),
            MESSAGES,
        )),
        Err(why) => Some((
            format!("an OLDER policy ({old}) is in force: {}", first_line(&why)),
            "schoolgate policy validate",
        )),
    }
}

/// What a fault is, without its cure: the finding has one of its own.
fn first_line(why: &str) -> &str {
    why.lines().next().unwrap_or(why)
}

/// The start of a hash, enough to tell it by.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
