//! `status`: whether the filter runs, with which policy and lists.

use crate::args::StatusArgs;
use crate::config::name;
use crate::doctor::size;
use crate::failure::{Exit, Failure};
use crate::health;
use crate::output::visible;
use crate::report::weekly::thousands;
use crate::school::School;
use rules::change::UnblockState;
use std::path::Path;

/// Prints the state of the filter; exit 6 where it does not run or answer.
pub(crate) async fn run(school: &School, args: &StatusArgs) -> Result<Exit, Failure> {
    let config = &school.config;
    let running = health::is_running(&config.state);
    let answer = match config.listen.ops.filter(|ops| running && ops.port() != 0) {
        Some(ops) => Some(health::ask(ops, "/readyz").await),
        None => None,
    };
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let clock = policy.clock();
    let at = crate::school::now();
    let lists = snapshot.index.lists();
    let entries: u64 = lists.iter().map(|(_, entries)| entries).sum();
    let count = |state| {
        snapshot.changes.unblocks.values().filter(|unblock| unblock.state(at) == state).count()
    };
    let live = count(UnblockState::Live) + count(UnblockState::Confirmed);
    let asked = count(UnblockState::Asked);
    let waiting_bytes = folder_bytes(&config.state.join("journal"));
    let ready = match &answer {
        Some(Ok((200, _))) => "ready".to_owned(),
        Some(Ok((status, text))) => format!("not ready ({status}): {}", text.trim()),
        Some(Err(error)) => format!("not answering: {error}"),
        None if running => "running (no ops address to ask)".to_owned(),
        None => "not running; browsing through it is stopped, not open".to_owned(),
    };
    let levels: Vec<&str> = policy.levels().iter().map(|(_, level)| level.name.as_str()).collect();
    let fine = running && !matches!(&answer, Some(Err(_)));
    let exit = match (&answer, fine) {
        (_, false) => Exit::FilterDown,
        (Some(Ok((status, _))), true) if *status != 200 => Exit::ProblemsFound,
        _ => Exit::Ok,
    };
    if args.json {
        say!(
            "{}",
            serde_json::json!({
                "running": running, "ready": exit == Exit::Ok, "state": ready,
                "school": policy.school(), "policy_hash": &*snapshot.policy_hash,
                "list_version": snapshot.index.version(), "lists": lists.len(), "list_entries": entries,
                "levels": levels, "users": snapshot.users.len(), "unblocks_live": live,
                "unblocks_asked": asked, "blocks": snapshot.blocks.len(),
                "journal_bytes": waiting_bytes, "log_bytes": folder_bytes(&config.state.join("access")),
                "at": clock.rfc3339(at),
            })
        );
        return Ok(exit);
    }
    say!("filter    {}", visible(&ready));
    for address in &config.listen.proxy {
        say!("address   {address}");
    }
    say!("machine   {}", name(config.file.as_deref()));
    say!("school    {}", visible(policy.school()));
    say!(
        "policy    {} ({} levels: {})",
        short(&snapshot.policy_hash),
        levels.len(),
        visible(&levels.join(", "))
    );
    say!("lists     {} with {} entries", lists.len(), thousands(entries));
    say!("people    {} can sign in", snapshot.users.len());
    say!(
        "unblocks  {live} live, {asked} waiting for a yes; {} blocks beside the policy",
        snapshot.blocks.len()
    );
    say!(
        "log       {} stored, {} on its way",
        size(folder_bytes(&config.state.join("access"))),
        size(waiting_bytes)
    );
    // Honest about depth: what is not inspected is decided by its name alone.
    say!("depth     http: whole address; https: the site's name only (no inspection yet)");
    say!("time      {}", clock.show(at));
    Ok(exit)
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Bytes of the files in a folder; 0 where there is none.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(|metadata| metadata.is_file())
        .map(|metadata| metadata.len())
        .sum()
}
