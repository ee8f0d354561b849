//! Who is asking: a name proved by Basic authentication, else the network.
//!
//! A password costs 19 MiB and some 20 ms to check, so it is checked on threads of its own, once
//! for however many requests of a browser wait for it, and remembered under a keyed hash until the
//! stored password changes. A name that nobody has costs the same.

use crate::telemetry::{Meters, SignIn};
use crate::view::View;
use hyper::HeaderMap;
use hyper::header::{HeaderValue, PROXY_AUTHORIZATION};
use ledger::users::{KnownUser, dummy_phc, verify_password};
use quick_cache::sync::Cache;
use rules::access::Identity;
use rules::level::LevelId;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The challenge of a 407 (RFC 7617, 2).
pub(crate) const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"School web filter\", charset=\"UTF-8\"");

/// Longest that a right password is remembered.
const REMEMBER_RIGHT: Duration = Duration::from_secs(3600);
/// Longest that a wrong one is: a machine with an old password must not cost a check a second.
const REMEMBER_WRONG: Duration = Duration::from_secs(60);
/// Credentials remembered: more than a large school has people.
const REMEMBERED: usize = 20_000;
/// Longest `Proxy-Authorization` looked at: a name of 128 bytes and a password of 256, in base 64.
const LONGEST_FIELD: usize = 1024;

/// Who is asking.
pub(crate) enum Who {
    /// A proven user, or a network, or nobody: the policy said which level.
    Known(Rc<Identity>),
    /// Credentials are missing or wrong: 407. The level is the one of the network, for the record.
    Challenge {
        /// Level of the record.
        level: LevelId,
        /// They were given, and are wrong.
        wrong: bool,
    },
    /// Too many sign-ins wait to be checked: 503.
    Busy {
        /// Level of the record.
        level: LevelId,
    },
}

/// What a connection remembers of its last request: a browser sends the same field each time.
#[derive(Default)]
pub(crate) struct Remembered {
    last: RefCell<Option<Last>>,
}

struct Last {
    field: Option<HeaderValue>,
    generation: u64,
    until: Instant,
    who: Rc<Identity>,
}

/// Finds out who is asking.
pub(crate) async fn identify(
    headers: &HeaderMap,
    client: IpAddr,
    view: &View,
    verifier: &Verifier,
    remembered: &Remembered,
    meters: &Meters,
    now: Instant,
) -> Who {
    let field = headers.get(PROXY_AUTHORIZATION);
    if let Some(last) = &*remembered.last.borrow()
        && last.generation == view.generation
        && last.field.as_ref() == field
        && now < last.until
    {
        return Who::Known(Rc::clone(&last.who));
    }
    let policy = &view.snapshot.policy;
    let by_network = policy.identify(None, client);
    let Some(field) = field else {
        if policy.wants_sign_in() && !policy.knows_network(client) {
            return Who::Challenge { level: by_network.level, wrong: false };
        }
        return remembered.keep(None, view, now, by_network);
    };
    let level = by_network.level;
    // Two fields, or one that is not Basic, prove nothing.
    let single = headers.get_all(PROXY_AUTHORIZATION).iter().count() == 1;
    let Some((name, password)) = Some(field).filter(|_| single).and_then(credentials) else {
        meters.sign_in(SignIn::Wrong);
        return Who::Challenge { level, wrong: true };
    };
    let user = view.snapshot.users.find(&name);
    let checked = verifier.check(field.as_bytes(), user, password).await;
    meters.sign_in(match checked {
        Checked::Known(_) => SignIn::Cached,
        Checked::Now(true) => SignIn::Right,
        Checked::Now(false) => SignIn::Wrong,
        Checked::Busy => SignIn::Overloaded,
    });
    match (checked, user) {
        (Checked::Known(true) | Checked::Now(true), Some(user)) => remembered.keep(
            Some(field.clone()),
            view,
            now,
            policy.identify(Some(&user.facts), client),
        ),
        (Checked::Busy, _) => Who::Busy { level },
        _ => Who::Challenge { level, wrong: true },
    }
}

impl Remembered {
    fn keep(&self, field: Option<HeaderValue>, view: &View, now: Instant, who: Identity) -> Who {
        let who = Rc::new(who);
        let last = Last {
            field,
            generation: view.generation,
            until: now + REMEMBER_RIGHT,
            who: Rc::clone(&who),
        };
        self.last.replace(Some(last));
        Who::Known(who)
    }
}

/// The name and password of a Basic field; `None` if it is anything else.
fn credentials(field: &HeaderValue) -> Option<(String, String)> {
    let bytes = field.as_bytes();
    if bytes.len() > LONGEST_FIELD {
        return None;
    }
    let scheme_end = bytes.iter().position(|byte| *byte == b' ')?;
    let (scheme, token) = bytes.split_at(scheme_end);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = decode_base64(token.trim_ascii())?;
    let text = String::from_utf8(decoded).ok()?;
    let (name, password) = text.split_once(':')?;
    (!name.is_empty()).then(|| (name.to_owned(), password.to_owned()))
}

/// Base 64 with or without padding (clients send both).
fn decode_base64(token: &[u8]) -> Option<Vec<u8>> {
    use base64ct::Encoding;
    let text = std::str::from_utf8(token).ok()?.trim_end_matches('=');
    base64ct::Base64Unpadded::decode_vec(text).ok()
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checked {
    /// From an earlier check.
    Known(bool),
    /// From a check made for this.
    Now(bool),
    /// The queue is full.
    Busy,
}

type Key = [u8; 32];

/// A remembered answer: holds for the stored hash that it was found with.
#[derive(Clone)]
struct Answer {
    phc: Option<Arc<str>>,
    right: bool,
    until: Instant,
}

struct Job {
    key: Key,
    phc: Option<Arc<str>>,
    password: String,
}

/// Checks passwords on threads of its own; shared by all workers.
pub(crate) struct Verifier {
    secret: Key,
    answers: Cache<Key, Answer>,
    waiting: Mutex<HashMap<Key, Vec<oneshot::Sender<bool>>>>,
    queue: SyncSender<Job>,
}

impl Verifier {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`std::io::Error`] if there is no randomness or no thread to be had.
    pub(crate) fn start(threads: usize, queue: usize) -> std::io::Result<Arc<Self>> {
        let mut secret = Key::default();
        rustls::crypto::aws_lc_rs::default_provider()
            .secure_random
            .fill(&mut secret)
            .map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
        let (sender, jobs) = sync_channel(queue);
        let jobs = Arc::new(Mutex::new(jobs));
        let verifier = Arc::new(Self {
            secret,
            answers: Cache::new(REMEMBERED),
            waiting: Mutex::default(),
            queue: sender,
        });
        for number in 0..threads {
            // Weak: the threads end when the last worker does.
            let (verifier, jobs) = (Arc::downgrade(&verifier), Arc::clone(&jobs));
            std::thread::Builder::new().name(format!("sign-in-{number}")).spawn(move || {
                work(&jobs, |job| verifier.upgrade().map(|v| v.answer(job)).is_some())
            })?;
        }
        Ok(verifier)
    }

    async fn check(&self, field: &[u8], user: Option<&KnownUser>, password: String) -> Checked {
        let key: Key =
            Sha256::new().chain_update(self.secret).chain_update(field).finalize().into();
        let phc = user.and_then(|user| user.phc.clone());
        if let Some(answer) = self.answers.get(&key)
            && answer.phc == phc
            && Instant::now() < answer.until
        {
            return Checked::Known(answer.right);
        }
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(others) = waiting.get_mut(&key) {
                others.push(sender);
            } else {
                match self.queue.try_send(Job { key, phc, password }) {
                    Ok(()) => {
                        waiting.insert(key, vec![sender]);
                    }
                    Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                        return Checked::Busy;
                    }
                }
            }
        }
        Checked::Now(receiver.await.unwrap_or(false))
    }

    /// Checks one password and tells everybody who waits for it.
    fn answer(&self, job: Job) {
        // Nobody's hash is checked too, and in full, before it is said to be wrong.
        let phc = job.phc.as_deref().unwrap_or_else(|| dummy_phc());
        let right = verify_password(phc, &job.password) && job.phc.is_some();
        let remember = if right { REMEMBER_RIGHT } else { REMEMBER_WRONG };
        let answer = Answer { phc: job.phc, right, until: Instant::now() + remember };
        self.answers.insert(job.key, answer);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&job.key);
        for sender in waiting.into_iter().flatten() {
            // A client that has gone does not wait for an answer.
            let _ = sender.send(right);
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, answer: impl Fn(Job) -> bool) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if !answer(job) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;
    use ledger::users::{Password, hash_password};
    use rules::access::UserFacts;

    fn known(name: &str, password: &str) -> KnownUser {
        KnownUser {
            facts: UserFacts { name: name.into(), ..UserFacts::default() },
            phc: Some(hash_password(&Password::for_demonstration(password)).into()),
        }
    }

    #[test]
    fn basic_credentials_are_read_with_and_without_padding_and_nothing_else_is() {
        let cases = [
            ("Basic cHVwaWw6ZGVtbw==", Some(("pupil", "demo"))),
            ("basic  cHVwaWw6ZGVtbw", Some(("pupil", "demo"))),
            ("BASIC cDphOmI6", Some(("p", "a:b:"))),
            ("Basic Z8O8bnRlcjrDpA==", Some(("günter", "ä"))),
            ("Basic OmRlbW8=", None),
            ("Basic cHVwaWw=", None),
            ("Basic ****", None),
            ("Basic", None),
            ("Bearer cHVwaWw6ZGVtbw==", None),
            ("Negotiate cHVwaWw6ZGVtbw==", None),
        ];
        for (field, expected) in cases {
            let found = credentials(&HeaderValue::from_static(field));
            let expected = expected.map(|(name, password)| (name.to_owned(), password.to_owned()));
            assert_eq!(found, expected, "{field}");
        }
        let long = HeaderValue::from_str(&format!("Basic {}", "QUFB".repeat(400))).unwrap();
        assert_eq!(credentials(&long), None, "nothing endless is decoded");
    }

    #[tokio::test]
    async fn a_password_is_checked_once_until_the_stored_one_changes() {
        let verifier = Verifier::start(1, 8).unwrap();
        let user = known("pupil", "demo");
        let right = || "demo".to_owned();
        assert_eq!(verifier.check(b"a", Some(&user), right()).await, Checked::Now(true));
        assert_eq!(verifier.check(b"a", Some(&user), right()).await, Checked::Known(true));
        let changed = known("pupil", "other");
        assert_eq!(verifier.check(b"a", Some(&changed), right()).await, Checked::Now(false));
        assert_eq!(verifier.check(b"a", Some(&changed), right()).await, Checked::Known(false));
        assert_eq!(verifier.check(b"a", None, right()).await, Checked::Now(false), "removed");
    }

    #[tokio::test]
    async fn a_hundred_requests_at_once_are_one_check() {
        let verifier = Verifier::start(2, 1).unwrap();
        let user = known("pupil", "demo");
        let begun = Instant::now();
        let one = verifier.check(b"a", Some(&user), "demo".to_owned()).await;
        let cost = begun.elapsed();
        assert_eq!(one, Checked::Now(true));
        let checks = (0..100).map(|_| verifier.check(b"b", Some(&user), "demo".to_owned()));
        let begun = Instant::now();
        let local = tokio::task::LocalSet::new();
        let answers = local
            .run_until(async {
                let mut set = Vec::new();
                for check in checks {
                    // A queue of one place holds them all only if they are one.
                    set.push(Box::pin(check));
                }
                let mut answers = Vec::new();
                std::future::poll_fn(|cx| {
                    set.retain_mut(|check| match check.as_mut().poll(cx) {
                        std::task::Poll::Ready(answer) => {
                            answers.push(answer);
                            false
                        }
                        std::task::Poll::Pending => true,
                    });
                    if set.is_empty() {
                        std::task::Poll::Ready(())
                    } else {
                        std::task::Poll::Pending
                    }
                })
                .await;
                answers
            })
            .await;
        assert_eq!(answers, vec![Checked::Now(true); 100]);
        assert!(begun.elapsed() < cost * 20 + Duration::from_millis(200), "not a hundred checks");
    }

    #[tokio::test]
    async fn a_full_queue_says_so_instead_of_growing() {
        let verifier = Verifier::start(1, 1).unwrap();
        let user = known("pupil", "demo");
        let mut checks: Vec<_> = (0..20u8)
            .map(|i| {
                let (verifier, user) = (Arc::clone(&verifier), user.clone());
                Box::pin(async move { verifier.check(&[i], Some(&user), "x".to_owned()).await })
            })
            .collect();
        let mut busy = 0;
        std::future::poll_fn(|cx| {
            for check in &mut checks {
                if let std::task::Poll::Ready(Checked::Busy) = check.as_mut().poll(cx) {
                    busy += 1;
                }
            }
            std::task::Poll::Ready(())
        })
        .await;
        assert!(busy >= 17, "one at work, one or two waiting, the rest turned away: {busy}");
    }
}
