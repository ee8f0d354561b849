//! A load whose requests are due at fixed times, whoever is late: an open loop. Each latency counts
//! from the time at which its request was due, so that one long answer shows in all that waited for it.

use crate::load::{Person, Prepared, Tally, User};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::rustls::ClientConfig;

/// Time between the start and the first request that may be due.
const LEAD: Duration = Duration::from_millis(300);

/// How long after the last request was due those that wait are still sent.
const PATIENCE: Duration = Duration::from_secs(30);

/// One request of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    /// When, from the start.
    pub at: Duration,
    /// What.
    pub request: Prepared,
    /// Its place among the latencies.
    pub number: usize,
}

/// What one connection carries, in order.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Whose it is.
    pub person: Person,
    /// Its requests.
    pub requests: Vec<Due>,
}

/// The whole.
#[derive(Clone, Debug)]
pub(crate) struct Paced {
    /// Proxy, or the sites themselves for the control.
    pub target: SocketAddr,
    /// What is spoken inside tunnels; none: HTTP in the open.
    pub tls: Option<Arc<ClientConfig>>,
    /// As [`crate::load::Load::bare`].
    pub bare: bool,
    /// One a connection.
    pub plans: Vec<Plan>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Counts.
    pub tally: Tally,
    /// By number of the request; none where it failed.
    pub latencies_us: Vec<Option<u32>>,
    /// The same from the time at which each was sent: without its wait for the one before it on the
    /// same connection.
    pub sent_us: Vec<Option<u32>>,
    /// How late the generator itself was, connection by connection: from the time at which its first
    /// request was due until it was begun.
    pub late_us: Vec<u32>,
}

impl Outcome {
    /// Latencies of those that did not fail, sorted.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        sorted(&self.latencies_us)
    }

    /// The same from the time at which each was sent.
    pub(crate) fn sorted_from_sent(&self) -> Vec<u32> {
        sorted(&self.sent_us)
    }
}

fn sorted(latencies: &[Option<u32>]) -> Vec<u32> {
    let mut sorted: Vec<u32> = latencies.iter().flatten().copied().collect();
    sorted.sort_unstable();
    sorted
}

/// Runs it to its end; `stop` ends it early: what is not begun by then was never asked.
pub(crate) fn run(paced: &Paced, stop: &dyn Fn() -> bool) -> io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = paced.plans.iter().map(|plan| plan.requests.len()).sum();
    let last = paced.plans.iter().filter_map(|plan| Some(plan.requests.last()?.at)).max();
    let tally = Rc::new(RefCell::new(Tally::default()));
    let found = Rc::new(RefCell::new(Outcome {
        latencies_us: vec![None; count],
        sent_us: vec![None; count],
        ..Outcome::default()
    }));
    let ended = Rc::new(Cell::new(false));
    let begun = Instant::now();
    let start = begun + LEAD;
    let end = start + last.unwrap_or_default() + PATIENCE;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut tasks = Vec::with_capacity(paced.plans.len());
        for plan in paced.plans.iter().cloned() {
            let mut user = User::new(paced.target, plan.person.clone(), paced.tls.clone(), &tally);
            user.bare = paced.bare;
            let (found, ended, tally) = (Rc::clone(&found), Rc::clone(&ended), Rc::clone(&tally));
            tasks.push(tokio::task::spawn_local(async move {
                follow(user, plan, start, &found, &ended, &tally).await;
            }));
        }
        for mut task in tasks {
            loop {
                tokio::select! {
                    // A task that panicked shows on standard error.
                    _ = &mut task => break,
                    () = tokio::time::sleep(Duration::from_millis(20)) => {
                        ended.set(ended.get() || stop() || Instant::now() > end);
                    }
                }
            }
        }
    });
    let mut tally = Rc::try_unwrap(tally).map(RefCell::into_inner).unwrap_or_default();
    tally.elapsed = begun.elapsed();
    let mut outcome = found.take();
    outcome.late_us.sort_unstable();
    outcome.tally = tally;
    Ok(outcome)
}

async fn follow(
    mut user: User,
    plan: Plan,
    start: Instant,
    found: &RefCell<Outcome>,
    ended: &Cell<bool>,
    tally: &RefCell<Tally>,
) {
    for (place, due) in plan.requests.iter().enumerate() {
        let at = start + due.at;
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() || ended.get() {
                break;
            }
            // In steps, so that whoever stops early need not wait for the last request.
            tokio::time::sleep(left.min(Duration::from_secs(1))).await;
        }
        if ended.get() {
            if Instant::now() > at {
                tally.borrow_mut().fail("not begun 30 s after the last one was due".to_owned());
            }
            continue;
        }
        let late = u32::try_from(at.elapsed().as_micros()).unwrap_or(u32::MAX);
        if place == 0 {
            found.borrow_mut().late_us.push(late);
        }
        let latency = user.ask(&due.request, at).await;
        let mut found = found.borrow_mut();
        if let Some(slot) = found.latencies_us.get_mut(due.number) {
            *slot = latency;
        }
        if let Some(slot) = found.sent_us.get_mut(due.number) {
            *slot = latency.map(|latency| latency.saturating_sub(late));
        }
    }
    user.leave().await;
}
