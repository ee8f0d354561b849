//! Checks of passwords, on threads of their own.
//!
//! A password costs 19 MiB and some 20 ms to check, so it is checked once for however many requests
//! of a browser wait for it, and remembered. Answers are kept under a keyed hash of what was sent
//! and of the stored hash it was held against: once that changes, no older answer can be found. A
//! name that nobody has costs the same. Who guesses is held back before anything is looked up (`guesses`).

use crate::guesses::{Attempt, Guesses};
use crate::sign_in_queue::{Asker, Queue};
use ledger::users::{PasswordChecker, dummy_phc};
use quick_cache::sync::Cache;
use rules::change::Event;
use sha2::{Digest, Sha256};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest that a right password is remembered.
pub(crate) const REMEMBER_RIGHT: Duration = Duration::from_secs(3600);
/// Longest that a wrong one is: a machine with an old password must not cost a check a second.
const REMEMBER_WRONG: Duration = Duration::from_secs(60);
/// Credentials remembered: more than a large school has people.
const REMEMBERED: usize = 20_000;
/// The share of the queue that one address may fill. Addresses take turns, so a long line keeps
/// nobody else waiting, and a whole class behind one address needs one.
const SHARE_OF_ONE: usize = 8;

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// From an earlier check.
    Known(bool),
    /// From a check made for this.
    Now(bool),
    /// Too many wait, of this client or in all.
    Busy,
    /// Too many were wrong: nothing was checked.
    Held,
}

/// Names credentials and the stored hash that they are held against, and tells nothing of either.
type Key = [u8; 32];

/// A remembered answer.
#[derive(Clone, Copy)]
struct Answer {
    right: bool,
    until: Instant,
}

struct Check {
    phc: Option<Arc<str>>,
    password: String,
}

struct Line {
    queue: Queue<Key, Check, bool>,
    closed: bool,
}

struct Shared {
    guesses: Guesses,
    secret: Key,
    answers: Cache<Key, Answer>,
    line: Mutex<Line>,
    joined: Condvar,
}

/// Checks passwords on threads of its own, which end with it; shared by all workers.
pub(crate) struct Verifier(Arc<Shared>);

impl Verifier {
    /// Starts the threads; each keeps 19 MiB once it has checked a password. At most `queue` checks
    /// wait, an eighth of them of one client.
    ///
    /// # Errors
    /// [`std::io::Error`] if there is no randomness or no thread to be had.
    pub(crate) fn start(threads: usize, queue: usize) -> std::io::Result<Arc<Self>> {
        let mut secret = Key::default();
        rustls::crypto::aws_lc_rs::default_provider()
            .secure_random
            .fill(&mut secret)
            .map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
        let queue = Queue::new(queue, queue.div_ceil(SHARE_OF_ONE));
        let verifier = Arc::new(Self(Arc::new(Shared {
            guesses: Guesses::new(),
            secret,
            answers: Cache::new(REMEMBERED),
            line: Mutex::new(Line { queue, closed: false }),
            joined: Condvar::new(),
        })));
        for number in 0..threads {
            let shared = Arc::clone(&verifier.0);
            std::thread::Builder::new()
                .name(format!("sign-in-{number}"))
                .spawn(move || shared.work())?;
        }
        Ok(verifier)
    }

    /// Whether a password is the user's.
    pub(crate) async fn check(&self, attempt: Attempt<'_>, password: String) -> Checked {
        let (guesses, now) = (&self.0.guesses, Instant::now());
        let phc = attempt.user.and_then(|user| user.phc.clone());
        let key = self.0.key(attempt.field, phc.as_deref());
        let known = self.0.known(&key);
        if known == Some(true) {
            return guesses.right(&attempt, now).map_or(Checked::Held, |()| Checked::Known(true));
        }
        let Ok(counted) = guesses.begin(&attempt, now) else { return Checked::Held };
        if known.is_some() {
            counted.wrong();
            return Checked::Known(false);
        }
        let asker = Asker::from(attempt.client);
        let place = self.0.line().queue.join(asker, key, Check { phc, password });
        let Some(place) = place else { return Checked::Busy };
        self.0.joined.notify_one();
        let Ok(right) = place.await else { return Checked::Busy };
        match right {
            true => counted.right(Instant::now()),
            false => counted.wrong(),
        }
        Checked::Now(right)
    }

    /// Who was held back, to be written down; each once.
    pub(crate) fn take_news(&self) -> Vec<Event> {
        self.0.guesses.take_news()
    }

    /// How often somebody was held back since the start.
    pub(crate) fn holds(&self) -> u64 {
        self.0.guesses.holds()
    }

    /// How many checks wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.line().queue.waiting()
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.0.line().closed = true;
        self.0.joined.notify_all();
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, field: &[u8], phc: Option<&str>) -> Key {
        // The length keeps the two apart: no field ends in what begins a stored hash.
        Sha256::new()
            .chain_update(self.secret)
            .chain_update((field.len() as u64).to_be_bytes())
            .chain_update(field)
            .chain_update([u8::from(phc.is_some())])
            .chain_update(phc.unwrap_or_default())
            .finalize()
            .into()
    }

    fn known(&self, key: &Key) -> Option<bool> {
        let answer = self.answers.get(key)?;
        (Instant::now() < answer.until).then_some(answer.right)
    }

    /// Checks one password after the other until the verifier is gone.
    fn work(&self) {
        let mut checker = PasswordChecker::default();
        loop {
            let mut line = self.line();
            let (key, check) = loop {
                if line.closed {
                    return;
                }
                if let Some(begun) = line.queue.begin() {
                    break begun;
                }
                line = self.joined.wait(line).unwrap_or_else(PoisonError::into_inner);
            };
            drop(line);
            let found = catch_unwind(AssertUnwindSafe(|| self.answer(key.1, &check, &mut checker)));
            let waiters = self.line().queue.end(&key);
            let Ok(right) = found else {
                // The waiters, dropped, are told to come again; the thread lives on for the others.
                tracing::error!("checking a password failed; the sign-in was turned away");
                checker = PasswordChecker::default();
                continue;
            };
            for waiter in waiters {
                // A client that has gone does not wait for an answer.
                let _ = waiter.send(right);
            }
        }
    }

    fn answer(&self, key: Key, check: &Check, checker: &mut PasswordChecker) -> bool {
        // Another address may have asked the same, and been first.
        if let Some(right) = self.known(&key) {
            return right;
        }
        // Nobody's hash is checked too, and in full, before it is said to be wrong.
        let phc = check.phc.as_deref().unwrap_or_else(|| dummy_phc());
        let right = checker.verify(phc, &check.password) && check.phc.is_some();
        let remember = if right { REMEMBER_RIGHT } else { REMEMBER_WRONG };
        self.answers.insert(key, Answer { right, until: Instant::now() + remember });
        right
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;
    use ledger::users::{KnownUser, Password, hash_password};
    use rules::access::UserFacts;
    use std::future::Future;
    use std::net::IpAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn known(name: &str, password: &str) -> KnownUser {
        KnownUser {
            facts: UserFacts { name: name.into(), ..UserFacts::default() },
            phc: Some(hash_password(&Password::for_demonstration(password)).into()),
        }
    }

    type Asking = Pin<Box<dyn Future<Output = Checked>>>;

    /// Somebody who asks, and has not looked yet. Each field comes with a name of its own, so that nobody is held.
    fn ask(
        verifier: &Arc<Verifier>,
        client: IpAddr,
        field: impl Into<Vec<u8>>,
        user: &KnownUser,
        password: &str,
    ) -> Asking {
        let (verifier, user, field) = (Arc::clone(verifier), user.clone(), field.into());
        let password = password.to_owned();
        Box::pin(async move {
            let name = format!("{field:?}");
            let attempt = Attempt { name: &name, client, field: &field, user: Some(&user) };
            verifier.check(attempt, password).await
        })
    }

    fn attempt(client: IpAddr, user: Option<&KnownUser>) -> Attempt<'_> {
        Attempt { name: "pupil", client, field: b"a", user }
    }

    fn poll(asking: &mut Asking) -> Poll<Checked> {
        asking.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn a_password_is_checked_once_until_the_stored_one_changes() {
        let verifier = Verifier::start(1, 8).unwrap();
        let user = known("pupil", "demo");
        let check = async |user| verifier.check(attempt(CLIENT, user), "demo".to_owned()).await;
        assert_eq!(check(Some(&user)).await, Checked::Now(true));
        assert_eq!(check(Some(&user)).await, Checked::Known(true));
        let changed = known("pupil", "other");
        assert_eq!(check(Some(&changed)).await, Checked::Now(false));
        assert_eq!(check(Some(&changed)).await, Checked::Known(false));
        assert_eq!(check(None).await, Checked::Now(false), "removed");
        let elsewhere = attempt([127, 0, 0, 9].into(), Some(&user));
        let other = verifier.check(elsewhere, "demo".to_owned());
        assert_eq!(other.await, Checked::Known(true), "an answer holds for all addresses");
    }

    #[tokio::test]
    async fn a_check_of_the_old_hash_answers_nobody_who_asks_after_the_change() {
        // No thread checks anything yet, so that both wait at once.
        let verifier = Verifier::start(0, 16).unwrap();
        let (old, new) = (known("pupil", "before"), known("pupil", "after"));
        let mut before = ask(&verifier, CLIENT, "a", &old, "before");
        let mut after = ask(&verifier, CLIENT, "a", &new, "before");
        assert!(poll(&mut before).is_pending() && poll(&mut after).is_pending());
        let shared = Arc::clone(&verifier.0);
        std::thread::spawn(move || shared.work());
        assert_eq!(before.await, Checked::Now(true));
        assert_eq!(after.await, Checked::Now(false));
    }

    #[tokio::test]
    async fn a_hundred_requests_at_once_are_one_check() {
        // With one place in the queue they all wait only if they are one.
        let verifier = Verifier::start(0, 1).unwrap();
        let user = known("pupil", "demo");
        let mut all: Vec<_> =
            (0..100).map(|_| ask(&verifier, CLIENT, "b", &user, "demo")).collect();
        assert!(all.iter_mut().all(|asking| poll(asking).is_pending()));
        let shared = Arc::clone(&verifier.0);
        std::thread::spawn(move || shared.work());
        for asking in all {
            assert_eq!(asking.await, Checked::Now(true));
        }
    }

    #[test]
    fn a_full_queue_says_so_instead_of_growing() {
        let verifier = Verifier::start(0, 16).unwrap();
        let user = known("pupil", "demo");
        let mut asked: Vec<_> =
            (0..20u8).map(|i| ask(&verifier, CLIENT, [i], &user, "x")).collect();
        let busy = asked.iter_mut().map(poll).filter(|now| *now == Poll::Ready(Checked::Busy));
        assert_eq!(busy.count(), 18, "an eighth of the places is for one client");
    }

    #[tokio::test]
    async fn a_flood_from_one_address_keeps_nobody_else_from_signing_in() {
        let verifier = Verifier::start(2, 1_024).unwrap();
        let user = known("pupil", "demo");
        let flood: IpAddr = [127, 0, 0, 5].into();
        let mut asked: Vec<_> =
            (0..300u32).map(|i| ask(&verifier, flood, i.to_be_bytes(), &user, "guess")).collect();
        let turned_away =
            asked.iter_mut().map(poll).filter(|now| *now == Poll::Ready(Checked::Busy)).count();
        assert!(turned_away >= 160, "its line is full: {turned_away}");
        let answered = ask(&verifier, CLIENT, "stef", &user, "demo").await;
        assert_eq!(answered, Checked::Now(true));
        // Two checks were at work, and at most two more began before her turn; that the others still
        // wait shows that she did not stand behind them.
        let waiting = asked.len() - turned_away;
        let line = verifier.0.line().queue.waiting();
        assert!(line + 8 >= waiting, "{line} of {waiting} still wait");
        // They leave, and cost nothing any more.
        drop(asked);
        assert_eq!(ask(&verifier, flood, "new", &user, "demo").await, Checked::Now(true));
        assert_eq!(verifier.0.line().queue.waiting(), 0);
    }

    #[tokio::test]
    async fn who_guesses_is_told_nothing_of_a_password_that_is_known() {
        let verifier = Verifier::start(1, 8).unwrap();
        let user = known("pupil", "demo");
        let check = async |client: [u8; 4], field: &[u8], password: &str| {
            let (name, client, user) = ("pupil", client.into(), Some(&user));
            verifier.check(Attempt { name, client, field, user }, password.to_owned()).await
        };
        let (hers, his) = ([127, 0, 0, 1], [127, 0, 0, 9]);
        assert_eq!(check(hers, b"right", "demo").await, Checked::Now(true));
        for guess in 0..10 {
            assert_eq!(check(his, &[guess], "guess").await, Checked::Now(false));
        }
        assert_eq!(check(his, b"another", "guess").await, Checked::Held);
        assert_eq!(check(his, b"right", "demo").await, Checked::Held);
        assert_eq!(check(hers, b"right", "demo").await, Checked::Known(true));
        assert_eq!((verifier.holds(), verifier.take_news().len()), (1, 1));
    }

    #[test]
    fn the_threads_end_with_the_verifier() {
        let verifier = Verifier::start(2, 8).unwrap();
        let shared = Arc::downgrade(&verifier.0);
        drop(verifier);
        let begun = Instant::now();
        while shared.strong_count() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(10), "a thread lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
