//! What `unblock confirm` looks at before somebody confirms: whether the change does what it says, in
//! its scope and outside of it, by the engine that decides traffic, and whether the running filter
//! has it in force.

use crate::check;
use crate::failure::{Exit, Failure};
use crate::health;
use crate::in_force::short;
use crate::school::{School, from_append_error, now};
use crate::words;
use ledger::changes::ChangeLog;
use proxy::follow::Serving;
use proxy::snapshot::Snapshot;
use rules::access::{Access, Identity, KnownBy};
use rules::change::{InspectWhat, RequestKind, UnblockHistory};
use rules::decide::{Decision, Reason, Verdict, decide};
use rules::host::Host;
use rules::inspect::{Inspect, InspectReason};
use rules::site::Site;
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::unblock::{Scope, Unblock};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a change may be on its way into the running filter, in milliseconds.
const ON_ITS_WAY_MS: u64 = 2_000;

/// What was found, a line each, and whether any of it is wrong.
#[derive(Default)]
struct Findings {
    lines: Vec<String>,
    faults: Vec<String>,
}

impl Findings {
    fn add(&mut self, is_right: bool, line: String) {
        if !is_right {
            self.faults.push(line.clone());
        }
        self.lines.push(line);
    }
}

/// Checks a change; the lines for the record.
///
/// # Errors
/// A check that failed: the change is not as it says, and cannot be confirmed.
pub(crate) async fn run(
    school: &School,
    snapshot: &Snapshot,
    log: &ChangeLog,
    request: &UnblockHistory,
) -> Result<Vec<String>, Failure> {
    let mut found = Findings::default();
    let at = now();
    match &request.kind {
        RequestKind::Unblock => unblock(snapshot, request, at, &mut found),
        RequestKind::Inspect(what) => inspect(snapshot, request, what, at, &mut found),
        RequestKind::Certificate(accept) => {
            let host = Host::parse(&request.site).ok();
            let faults = host.and_then(|host| snapshot.certificate_exception(&host, at));
            let accepted = accept.iter().all(|it| faults.is_some_and(|held| held.contains(*it)));
            let words = if accepted { "are accepted" } else { "are NOT accepted" };
            let is_right = accepted || request.applied.is_none();
            found.add(is_right, format!("the faults of {} {words}", request.site));
        }
        RequestKind::Policy(what) if request.applied.is_some() => {
            let is_it = *snapshot.policy_hash == what.hash;
            let words = if is_it { "in force" } else { "NOT in force" };
            found.add(is_it, format!("policy {} is {words}", short(&what.hash)));
            let index = &snapshot.index;
            let failing = snapshot.policy.run_tests(&|host, path| index.categories(host, path), at);
            let count = snapshot.policy.test_count();
            let words = format!("{} of {count} policy tests pass", count - failing.len());
            found.add(failing.is_empty(), words);
        }
        RequestKind::List(what) if request.applied.is_some() => {
            let in_force = snapshot.index.lists().into_iter();
            let is_it = in_force
                .map(|(list, _)| list)
                .any(|list| list.name == what.list && list.version == what.version);
            let words = if is_it { "in force" } else { "NOT in force" };
            found.add(is_it, format!("list {} {} is {words}", what.list, what.version));
        }
        RequestKind::Lift(block) if request.applied.is_some() => {
            let is_gone = !snapshot.blocks.iter().any(|it| it.id == *block);
            let words = if is_gone { "lifted" } else { "still in force" };
            found.add(is_gone, format!("{block} is {words}"));
        }
        kind => found.add(true, format!("{} not in force yet: nothing to try", kind.as_str())),
    }
    daemon(school, log, request, &mut found).await?;
    if found.faults.is_empty() {
        return Ok(found.lines);
    }
    let what = format!("{} is not as it says; nothing was confirmed", request.id);
    let failure = Failure::new(Exit::ProblemsFound, what)
        .fix("see schoolgate status, and what else blocks or opens the site: schoolgate check");
    Err(found.faults.into_iter().fold(failure, Failure::detail))
}

/// Tries a site as somebody in scope, and as those who are not.
fn unblock(snapshot: &Snapshot, request: &UnblockHistory, at: UnixMillis, found: &mut Findings) {
    let policy = &snapshot.policy;
    let Ok(site) = Site::parse(&request.site) else {
        return found.add(false, format!("{} is no site any more", request.site));
    };
    let mut unblocks = snapshot.changes.live(at);
    let will_be = request.applied.is_none();
    if will_be {
        // Confirmed before it is made: tried as it would be.
        unblocks.push(Unblock {
            id: request.id,
            site: site.clone(),
            scope: request.scope.clone(),
            within: request.within(),
            authorised_sequence: snapshot.changes.size,
            from: request.from,
            until: request.until,
        });
    }
    let at = at.max(request.from);
    let ask = |who: &Identity, path: &str| {
        let (host, path) = (site.host(), Some(path));
        let categories = snapshot.categories(host, path);
        let access = Access { who, scheme: Scheme::Https, host, port: 443, path, categories };
        decide(policy, &unblocks, &snapshot.blocks, &access, at)
    };
    let by_this = |decision: &Decision| decision.reason == Reason::Unblock(request.id);
    let words = |decision: &Decision| {
        let word = if decision.verdict == Verdict::Allow { "allowed" } else { "blocked" };
        format!("{word}: {}", words::because(policy, decision))
    };
    let inside = member(snapshot, &request.scope);
    let decision = ask(&inside, site.path().unwrap_or("/"));
    let is_open = decision.verdict == Verdict::Allow;
    let (scope, would) = (&request.scope, if will_be { " (as it would be)" } else { "" });
    found.add(is_open, format!("in scope{would}: {site} for {scope} {}", words(&decision)));
    for (name, outside) in outsiders(snapshot, &request.scope, &inside) {
        let decision = ask(&outside, site.path().unwrap_or("/"));
        let line = format!("out of scope: {site} for {name} {}", words(&decision));
        found.add(!by_this(&decision), line);
    }
    if site.path().is_some() {
        let decision = ask(&inside, "/");
        let line = format!("beside it: {}/ for {scope} {}", site.host(), words(&decision));
        found.add(!by_this(&decision), line);
        let categories = snapshot.categories(site.host(), None);
        let access = Access {
            who: &inside,
            scheme: Scheme::Tunnel,
            host: site.host(),
            port: 443,
            path: None,
            categories,
        };
        if snapshot.inspection(&access, at).mode != Inspect::Page {
            let line =
                "over https only the name of the site is seen for them: its path opens nothing";
            found.add(true, line.to_owned());
        }
    }
}

/// Somebody in scope.
fn member(snapshot: &Snapshot, scope: &Scope) -> Identity {
    let nobody = || snapshot.policy.identify(None, Ipv4Addr::UNSPECIFIED.into());
    let subject = match scope {
        Scope::Level(name) => name.clone(),
        Scope::Group(name) => format!("@{name}"),
        Scope::User(name) => format!("user:{name}"),
        Scope::Everyone => return nobody(),
    };
    check::subject(snapshot, &subject).unwrap_or_else(|_| match scope {
        Scope::Group(name) => Identity { groups: Arc::from([name.clone()]), ..nobody() },
        Scope::User(name) => Identity { user: Some(Arc::from(name.as_str())), ..nobody() },
        _ => nobody(),
    })
}

/// Those who are just outside of a scope: the levels that are not in it; for a class or a person,
/// somebody of the same level who is neither.
fn outsiders(snapshot: &Snapshot, scope: &Scope, inside: &Identity) -> Vec<(String, Identity)> {
    let policy = &snapshot.policy;
    let plain = |level| Identity {
        level,
        known_by: KnownBy::Network,
        ..policy.identify(None, Ipv4Addr::UNSPECIFIED.into())
    };
    match scope.level(policy) {
        Some(wide) => policy
            .levels()
            .iter()
            .filter(|(level, _)| !policy.levels().within(*level, wide))
            .map(|(level, it)| (it.name.clone(), plain(level)))
            .collect(),
        None => {
            let name = &policy.levels().get(inside.level).name;
            vec![(format!("others of {name}"), plain(inside.level))]
        }
    }
}

fn inspect(
    snapshot: &Snapshot,
    request: &UnblockHistory,
    what: &InspectWhat,
    at: UnixMillis,
    found: &mut Findings,
) {
    if request.applied.is_none() {
        return found.add(true, "not in force yet: nothing to try".to_owned());
    }
    let policy = &snapshot.policy;
    let is_lifted = snapshot.changes.privacy_lifts(at).iter().any(|it| it.id == request.id);
    let words = if is_lifted { "in force" } else { "NOT in force" };
    found.add(is_lifted, format!("looking into {} is {words}", request.site));
    let InspectWhat::Site(site) = what else { return };
    let Ok(site) = Site::parse(site) else { return };
    for (level, it) in policy.levels().iter() {
        let who = Identity { level, ..policy.identify(None, Ipv4Addr::UNSPECIFIED.into()) };
        let categories = snapshot.categories(site.host(), None);
        let host = site.host();
        let access =
            Access { who: &who, scheme: Scheme::Tunnel, host, port: 443, path: None, categories };
        let answer = snapshot.inspection(&access, at);
        let by = match answer.because {
            InspectReason::Change(id) => format!(", by {id}"),
            _ => String::new(),
        };
        found.add(true, format!("{} for {}: {}{by}", site, it.name, answer.mode.as_str()));
    }
}

/// Whether the running filter has it too. Where none runs, the record says so.
async fn daemon(
    school: &School,
    log: &ChangeLog,
    request: &UnblockHistory,
    found: &mut Findings,
) -> Result<(), Failure> {
    let state = &school.config.state;
    let size = log.size().await.map_err(from_append_error)?;
    let begun = Instant::now();
    loop {
        if !health::is_running(state) {
            found.add(true, "the filter is not running: by the change log alone".to_owned());
            return Ok(());
        }
        let serving = Serving::read(state).unwrap_or_default();
        let is_there = serving.changes >= size && has(&serving, request);
        if is_there {
            let line = format!("the running filter has it in force ({size} entries)");
            found.add(true, line);
            return Ok(());
        }
        if begun.elapsed() >= Duration::from_millis(ON_ITS_WAY_MS) {
            let line = format!(
                "the running filter does NOT have it in force ({} of {size} entries)",
                serving.changes
            );
            found.add(false, line);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether the running filter serves what a request has put into force beside the change log.
fn has(serving: &Serving, request: &UnblockHistory) -> bool {
    match &request.kind {
        _ if request.applied.is_none() => true,
        RequestKind::Policy(what) => serving.policy_hash == what.hash,
        RequestKind::List(what) => {
            serving.lists.iter().any(|it| it.name == what.list && it.version == what.version)
        }
        _ => true,
    }
}
