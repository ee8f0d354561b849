//! What the filter states about itself.

use crate::config::Config;
use crate::lists::Lists;
use crate::record::now;
use crate::snapshot::Snapshot;
use aws_lc_rs::digest::{Context, SHA256};
use ledger::changes::ChangeLog;
use ledger::evidence::hex;
use ledger::seen::Seen;
use rules::change::{Attestation, Clock, DepthShare, LevelMode, LockedList};
use std::io::Read as _;
use std::path::Path;
use std::sync::OnceLock;

/// Policy, lists, levels, program and clock as they are now.
pub(super) async fn attestation(
    config: &Config,
    snapshot: &Snapshot,
    log: &ChangeLog,
) -> Attestation {
    let policy = &snapshot.policy;
    let catalogue = policy.catalogue();
    let is_locked =
        |category: &str| catalogue.id(category).is_some_and(|id| catalogue.locked().contains(id));
    let statuses = Lists::new(config, log).status().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the ages of lists are not stated");
        Vec::new()
    });
    let taken_in = |name: &str| {
        let status = statuses.iter().find(|status| status.source.name == name)?;
        status.info.as_ref().map(|info| info.imported_at)
    };
    // What is in force counts, not what the machine file names.
    let in_force = snapshot.index.lists();
    let locked_lists: Vec<LockedList> = in_force
        .iter()
        .filter_map(|(list, entries)| {
            let status = statuses.iter().find(|status| status.source.name == list.name)?;
            let category = &status.source.category;
            is_locked(category).then(|| LockedList {
                list: list.name.clone(),
                category: category.clone(),
                taken_in: taken_in(&list.name),
                entries: *entries,
            })
        })
        .collect();
    let has_entries = |category: &str| {
        locked_lists.iter().any(|list| list.category == category && list.entries > 0)
    };
    let locked = catalogue.iter().filter(|(id, _)| catalogue.locked().contains(*id));
    Attestation {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        binary: binary_hash(),
        policy_hash: snapshot.policy_hash.to_string(),
        list_version: snapshot.index.version().to_owned(),
        locked_without_entries: locked
            .map(|(id, _)| catalogue.name(id).to_owned())
            .filter(|name| !has_entries(name))
            .collect(),
        locked_lists,
        levels: policy
            .levels()
            .iter()
            .map(|(id, level)| LevelMode {
                level: level.name.clone(),
                mode: policy.level_inspect(id).as_str().to_owned(),
            })
            .collect(),
        clock: clock(Path::new("/run")),
    }
}

/// How far the filter saw today, by level.
pub(super) async fn seen_today(config: &Config, snapshot: &Snapshot) -> Vec<DepthShare> {
    let today = snapshot.policy.clock().day(now());
    let tomorrow = today.saturating_add(jiff::Span::new().days(1));
    let seen = Seen::of_days(&config.state, today, tomorrow).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "what was seen today is not stated");
        std::collections::BTreeMap::new()
    });
    let share = |(level, seen): (String, Seen)| DepthShare {
        level,
        plain: seen.plain,
        looked_into: seen.looked_into,
        by_name: seen.by_name,
        refused: seen.refused,
    };
    seen.into_iter().map(share).collect()
}

/// The hash of the program that runs, read once: its file may be replaced meanwhile.
fn binary_hash() -> Option<String> {
    static HASH: OnceLock<Option<String>> = OnceLock::new();
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open("/proc/self/exe")?;
        let (mut hash, mut buffer) = (Context::new(&SHA256), vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex(hash.finish().as_ref())),
                read => hash.update(&buffer[..read]),
            }
        }
    };
    let hash =
        || read().inspect_err(|error| tracing::warn!(%error, "the program's hash is not stated"));
    HASH.get_or_init(|| hash().ok()).clone()
}

/// Who keeps the clock right, as the services say in `/run`. The kernel would know it better, but asking
/// it takes a call that this program has no safe way to make; what is not known is said to be so.
fn clock(run: &Path) -> Clock {
    let clock = |source: &str, synchronised| Clock { source: source.to_owned(), synchronised };
    if run.join("systemd/timesync").is_dir() {
        // The service makes this file when it has set the clock, and takes it away at its end.
        return clock(
            "systemd-timesyncd",
            Some(run.join("systemd/timesync/synchronized").exists()),
        );
    }
    for (source, file) in [("chrony", "chrony/chronyd.pid"), ("ntpd", "ntpd.pid")] {
        if run.join(file).exists() {
            return clock(source, None);
        }
    }
    clock("unknown", None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_said_to_be_right_only_where_a_service_says_so() {
        let run = tempfile::tempdir().unwrap();
        let now = || clock(run.path());
        assert_eq!(now(), Clock { source: "unknown".into(), synchronised: None });
        std::fs::create_dir(run.path().join("chrony")).unwrap();
        std::fs::write(run.path().join("chrony/chronyd.pid"), "7").unwrap();
        assert_eq!(now(), Clock { source: "chrony".into(), synchronised: None });
        std::fs::create_dir_all(run.path().join("systemd/timesync")).unwrap();
        assert_eq!(now().synchronised, Some(false));
        std::fs::write(run.path().join("systemd/timesync/synchronized"), "").unwrap();
        let expected = Clock { source: "systemd-timesyncd".into(), synchronised: Some(true) };
        assert_eq!(now(), expected);
    }

    #[test]
    fn the_programs_hash_is_that_of_its_file() {
        use sha2::{Digest as _, Sha256};
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(binary_hash().unwrap(), hex(&Sha256::digest(bytes)));
    }
}
