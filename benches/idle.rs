//! What open connections cost that say nothing: tunnels, and as many kept connections as fit.

use crate::cases::PLAIN_HOST;
use crate::hold::{Held, Holder, Kind, Task};
use crate::measure;
use crate::report::Report;
use crate::scene::{self, Gate, Needs, Scene, Sites};
use crate::schoolgate::Besides;
use crate::watch::Sample;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Tunnels of the must, and what they may cost.
const TUNNELS: usize = 7_000;
const TUNNELS_BYTES: f64 = 200e6;

/// Connections of the must.
const CROWD: usize = 60_000;

/// Tunnels and connections of the quick form.
const QUICK_TUNNELS: usize = 1_000;
const QUICK_CROWD: usize = 6_000;

/// Open files that a process has besides its connections, connections to sites among them.
const OTHER_FILES: usize = 500;

/// Instances that the connections are spread over at most.
const MOST_GATES: usize = 8;

/// How long they say nothing before memory is read.
const REST: Duration = Duration::from_secs(5);

/// People who sign in.
const USERS: usize = 16;

/// Nothing is closed for having rested: that is not what is measured.
const LIMITS: &str = "client_idle_timeout_ms = 3600000\nmax_connections = 1000000\n\
                      max_tunnels = 1000000\npassword_queue = 100000\n";

/// What the kernel keeps for TCP: sockets in use, and bytes of buffers.
#[derive(Clone, Copy, Debug, Default)]
struct Kernel {
    sockets: u64,
    buffer_bytes: u64,
    available_bytes: u64,
}

fn kernel() -> Kernel {
    let text = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let words: Vec<&str> = text
        .lines()
        .find_map(|line| line.strip_prefix("TCP: "))
        .map(|line| line.split(' ').collect())
        .unwrap_or_default();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1)?.parse::<u64>().ok()
    };
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let available = available.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok());
    Kernel {
        sockets: after("inuse").unwrap_or(0),
        buffer_bytes: after("mem").unwrap_or(0) * rustix::param::page_size() as u64,
        available_bytes: available.unwrap_or(0_u64) * 1024,
    }
}

fn needs(inspection: bool) -> Needs<'static> {
    Needs {
        inspection,
        workers: 2,
        pinned: false,
        users: USERS,
        names: 0,
        besides: Besides { limits: LIMITS, ..Besides::default() },
    }
}

/// Idle tunnels, passed on and looked into.
///
/// # Errors
/// A sentence: what could not be started.
pub(crate) fn tunnels(scene: &Scene, report: &mut Report) -> Result<(), String> {
    let wanted = if scene.quick { QUICK_TUNNELS } else { TUNNELS };
    // Two files each in the proxy.
    let count = wanted.min(scene::file_limit().saturating_sub(OTHER_FILES) / 2);
    let sites = scene.sites("idle-sites")?;
    for (what, inspection) in [("passed on", false), ("looked into", true)] {
        let key = format!("idle tunnels, {what}");
        let name = if inspection { "idle-inspected" } else { "idle" };
        let needs = Needs { names: scene.names, ..needs(inspection) };
        let mut gate = scene.gate(name, &sites, &needs)?;
        let trusted = trusted(scene, name, &sites, &gate)?;
        let task = Task {
            kind: Kind::Tunnel,
            proxy: gate.school.address,
            count: 50,
            first: TUNNELS,
            authority: format!("{PLAIN_HOST}:{}", sites.secure.port()),
            users: USERS,
            trusted,
        };
        // People sign in, and what is opened once and kept belongs to the start.
        let mut first = Holder::start(&task)?;
        gate.decisions += first.hear()?.decisions;
        drop(first);
        let before = gate.resident();
        let kernel_before = kernel();
        let mut holder = Holder::start(&Task { count, first: 0, ..task })?;
        let opened = holder.hear()?;
        std::thread::sleep(REST);
        let after = gate.resident();
        let kernel_after = kernel();
        let seen = Sample::take(&gate.school, Duration::ZERO);
        holder.tell()?;
        let asked = holder.hear()?;
        gate.decisions += opened.decisions + asked.decisions;

        let grown = after.saturating_sub(before) as f64;
        let each = grown / opened.open.max(1) as f64;
        let most = TUNNELS_BYTES / TUNNELS as f64;
        let line = format!(
            "{key}: {} open (the proxy counts {} connections) cost {:.1} MB resident, {each:.0} bytes each \
             ({:.1} MB before, {:.1} MB with them); target {:.0} MB for {TUNNELS}, {most:.0} bytes each",
            opened.open,
            seen.connections,
            grown / 1e6,
            before as f64 / 1e6,
            after as f64 / 1e6,
            TUNNELS_BYTES / 1e6,
        );
        let value = json!({
            "open": opened.open, "bytes": grown, "bytes_each": each, "before_bytes": before,
            "with_them_bytes": after, "seconds_to_open": opened.seconds,
        });
        report.target(&key, each <= most && opened.open > 0, line, value);
        let expected = if inspection { opened.open } else { 0 };
        let line = format!(
            "{key}: {} of {wanted} wanted, {} failed to open, {} of them looked into, {} failed when asked after {} s of rest \
             {:?}; target none failed",
            opened.open,
            opened.failed,
            opened.looked_into,
            asked.failed,
            REST.as_secs(),
            fault(&[&opened, &asked])
        );
        let holds = opened.failed + asked.failed == 0
            && opened.looked_into == expected
            && asked.open == opened.open;
        report.target(&format!("{key}, failed"), holds, line, json!(opened.failed + asked.failed));
        let buffers = kernel_after.buffer_bytes as f64 - kernel_before.buffer_bytes as f64;
        let line = format!(
            "{key}: opened at {:.0} a second; the kernel has {} more TCP sockets, of all programs, and {:+.1} MB more in their buffers",
            opened.open as f64 / opened.seconds.max(1e-9),
            kernel_after.sockets.saturating_sub(kernel_before.sockets),
            buffers / 1e6,
        );
        report.fact(&format!("{key}, kernel"), line, json!({ "buffer_bytes": buffers }));
        drop(holder);
        gate.conclude(&key, report)?;
    }
    Ok(())
}

/// The certificates that a browser trusts here, as files.
fn trusted(scene: &Scene, name: &str, sites: &Sites, gate: &Gate) -> Result<Vec<PathBuf>, String> {
    let mut trusted = vec![sites.authority.clone()];
    if let Some(own) = &gate.authority {
        let path = scene.folder_of(name).join("ours.pem");
        std::fs::write(&path, own).map_err(|error| format!("{}: {error}", path.display()))?;
        trusted.push(path);
    }
    Ok(trusted)
}

fn fault(held: &[&Held]) -> Option<String> {
    held.iter().find_map(|held| held.fault.clone())
}

/// A Schoolgate with its part of the crowd.
struct Part {
    gate: Gate,
    holder: Holder,
    open: usize,
    failed: usize,
}

/// As many kept connections as are wanted: in one process as far as this machine lets one have open
/// files, and past that in several.
///
/// # Errors
/// A sentence: what could not be started.
pub(crate) fn crowd(scene: &Scene, report: &mut Report) -> Result<(), String> {
    let wanted = if scene.quick { QUICK_CROWD } else { CROWD };
    let of_one = wanted.min(scene::file_limit().saturating_sub(OTHER_FILES));
    let sites = scene.sites("crowd-sites")?;
    let before = kernel();
    let mut parts: Vec<Part> = Vec::new();
    let mut open = 0;
    while open < wanted && parts.len() < MOST_GATES {
        let count = of_one.min(wanted - open);
        let key = format!("connections, process {}", parts.len() + 1);
        let (part, opened) = part(scene, &sites, parts.len(), count, open, &key, report)?;
        // With a failure the rest would only repeat it.
        let failed = opened.failed;
        open += count;
        parts.push(part);
        if failed > 0 {
            break;
        }
    }
    std::thread::sleep(REST);
    let with_them = kernel();
    let mut failed = parts.iter().map(|part| part.failed).sum::<usize>();
    let (mut answered, mut counted, mut resident) = (0, 0, 0);
    for part in &mut parts {
        part.holder.tell()?;
    }
    for part in &mut parts {
        let asked = part.holder.hear()?;
        part.gate.decisions += asked.decisions;
        answered += asked.open;
        failed += asked.failed;
        counted += Sample::take(&part.gate.school, Duration::ZERO).connections;
        resident += measure::usage(part.gate.school.process.pid()).rss_bytes;
    }
    let opened: usize = parts.iter().map(|part| part.open).sum();
    let line = format!(
        "connections: {opened} of {wanted} open at once in {} process(es) (this machine lets one have {} open files), \
         {answered} answered again after {} s of rest, {failed} failed; the proxies count {counted}; target {wanted} without a failure",
        parts.len(),
        scene::file_limit(),
        REST.as_secs(),
    );
    let value = json!({
        "wanted": wanted, "open": opened, "processes": parts.len(), "answered": answered,
        "failed": failed, "most_in_one_process": parts.first().map(|part| part.open),
    });
    let holds = failed == 0 && answered == wanted;
    report.target("connections", holds, line, value);
    if parts.len() > 1 {
        let line = format!(
            "connections: NOT shown here: {wanted} in one process, for which this machine's limit of open files is too low"
        );
        report.fact("connections in one process", line, json!(parts.first().map(|it| it.open)));
    }
    let used = before.available_bytes.saturating_sub(with_them.available_bytes);
    let line = format!(
        "connections: the proxies hold {:.1} MB together; the whole machine has {:.1} MB less to give than before, clients and sites of the bench included; the kernel has {} more TCP sockets",
        resident as f64 / 1e6,
        used as f64 / 1e6,
        with_them.sockets.saturating_sub(before.sockets),
    );
    report.fact("connections, memory", line, json!({ "resident": resident, "machine": used }));
    for (number, Part { gate, holder, .. }) in parts.into_iter().enumerate() {
        drop(holder);
        gate.conclude(&format!("connections, process {}", number + 1), report)?;
    }
    Ok(())
}

/// Starts a Schoolgate and opens connections to it.
fn part(
    scene: &Scene,
    sites: &Sites,
    number: usize,
    count: usize,
    first: usize,
    key: &str,
    report: &mut Report,
) -> Result<(Part, Held), String> {
    let needs = Needs { names: scene.names, ..needs(false) };
    let mut gate = scene.gate(&format!("crowd-{number}"), sites, &needs)?;
    let task = Task {
        kind: Kind::Kept,
        proxy: gate.school.address,
        count: 50,
        first: CROWD,
        authority: format!("{PLAIN_HOST}:{}", sites.plain.port()),
        users: USERS,
        trusted: Vec::new(),
    };
    let mut warm = Holder::start(&task)?;
    gate.decisions += warm.hear()?.decisions;
    drop(warm);
    let before = gate.resident();
    let mut holder = Holder::start(&Task { count, first, ..task })?;
    let opened = holder.hear()?;
    gate.decisions += opened.decisions;
    let after = gate.resident();
    let each = after.saturating_sub(before) as f64 / opened.open.max(1) as f64;
    let line = format!(
        "{key}: {} open in {:.1} s, {} failed {:?}; {:.1} MB before, {:.1} MB with them, {each:.0} bytes each",
        opened.open,
        opened.seconds,
        opened.failed,
        opened.fault,
        before as f64 / 1e6,
        after as f64 / 1e6
    );
    report.fact(key, line, json!({ "open": opened.open, "bytes_each": each }));
    Ok((Part { gate, holder, open: opened.open, failed: opened.failed }, opened))
}
