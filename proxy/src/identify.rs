//! Who is asking: a name proved by Basic authentication, else the network.
//!
//! A connection remembers whom it was, but only under one snapshot: whoever is removed, banned or
//! given another password, level or group is looked at afresh at the next request.

pub(crate) use crate::sign_in::Verifier;

use crate::guesses::Attempt;
use crate::sign_in::{Checked, REMEMBER_RIGHT};
use crate::telemetry::{Meters, SignIn};
use crate::view::View;
use hyper::HeaderMap;
use hyper::header::{HeaderValue, PROXY_AUTHORIZATION};
use rules::access::Identity;
use rules::level::LevelId;
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

/// The challenge of a 407 (RFC 7617, 2).
pub(crate) const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"School web filter\", charset=\"UTF-8\"");

/// Longest `Proxy-Authorization` looked at: a name of 128 bytes and a password of 256, in base 64.
const LONGEST_FIELD: usize = 1024;

/// Who is asking.
pub(crate) enum Who {
    /// A proven user, or a network, or nobody: the policy said which level.
    Known(Rc<Identity>),
    /// Nobody has signed in: 407. The level is the one of the network, for the record.
    Challenge {
        /// Level of the record.
        level: LevelId,
        /// Why not.
        why: Unproven,
    },
    /// Too many sign-ins wait to be checked, of this client or in all: 503.
    Busy {
        /// Level of the record.
        level: LevelId,
    },
}

/// Why nobody has signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unproven {
    /// Credentials are missing.
    Missing,
    /// They were given, and are wrong.
    Wrong,
    /// They were given after too many that were wrong, and not looked at.
    Held,
}

/// What a connection remembers of its last request: a browser sends the same field each time.
#[derive(Default)]
pub(crate) struct Remembered {
    last: RefCell<Option<Last>>,
}

struct Last {
    /// Copied: the request's own would keep the whole buffer that it was read into.
    field: Option<Box<[u8]>>,
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
        && last.field.as_deref() == field.map(HeaderValue::as_bytes)
        && now < last.until
    {
        return Who::Known(Rc::clone(&last.who));
    }
    let policy = &view.snapshot.policy;
    let by_network = policy.identify(None, client);
    let Some(field) = field else {
        if policy.wants_sign_in() && !policy.knows_network(client) {
            return Who::Challenge { level: by_network.level, why: Unproven::Missing };
        }
        return remembered.keep(None, view, now, by_network);
    };
    let level = by_network.level;
    // Two fields, or one that is not Basic, prove nothing.
    let single = headers.get_all(PROXY_AUTHORIZATION).iter().count() == 1;
    let Some((name, password)) = Some(field).filter(|_| single).and_then(credentials) else {
        meters.sign_in(SignIn::Wrong);
        return Who::Challenge { level, why: Unproven::Wrong };
    };
    let user = view.snapshot.users.find(&name);
    let attempt = Attempt { name: &name, client, field: field.as_bytes(), user };
    let checked = verifier.check(attempt, password).await;
    meters.sign_in(match checked {
        Checked::Known(_) => SignIn::Cached,
        Checked::Now(true) => SignIn::Right,
        Checked::Now(false) => SignIn::Wrong,
        Checked::Busy => SignIn::Overloaded,
        Checked::Held => SignIn::Held,
    });
    match (checked, user) {
        (Checked::Known(true) | Checked::Now(true), Some(user)) => {
            let who = policy.identify(Some(&user.facts), client);
            remembered.keep(Some(field.as_bytes()), view, now, who)
        }
        (Checked::Busy, _) => Who::Busy { level },
        (Checked::Held, _) => Who::Challenge { level, why: Unproven::Held },
        _ => Who::Challenge { level, why: Unproven::Wrong },
    }
}

impl Remembered {
    fn keep(&self, field: Option<&[u8]>, view: &View, now: Instant, who: Identity) -> Who {
        let who = Rc::new(who);
        let last = Last {
            field: field.map(Box::from),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;
    use crate::config::Config;
    use crate::snapshot::Snapshot;
    use crate::telemetry::Metrics;
    use ledger::changes::ChangeLog;
    use ledger::users::{NewUser, Password};
    use rules::time::UnixMillis;
    use std::sync::Arc;

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

    const POLICY: &str = r#"
school = "Example Academy"
timezone = "Europe/London"
order = ["pupil", "staff"]
identify = ["basic"]
[levels]
pupil = {}
staff = {}
[roles]
dsl = ["q.whitmore"]
[unblock]
authorise = ["dsl"]
"#;

    /// A school with one pupil, `sam`, who has signed in on an open connection.
    struct School {
        _folder: tempfile::TempDir,
        config: Config,
        log: ChangeLog,
        verifier: Arc<Verifier>,
        remembered: Remembered,
        metrics: Metrics,
        generation: u64,
    }

    const AT: UnixMillis = UnixMillis(1_790_000_000_000);

    impl School {
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
            let config = Config::parse_own_lists("", "schoolgate.toml", folder.path()).unwrap();
            let log = ChangeLog::open(&config.state).await.unwrap();
            let sam = NewUser {
                name: "sam".to_owned(),
                level: Some("pupil".to_owned()),
                groups: Vec::new(),
                password: Some(Password::new("correct horse").unwrap()),
            };
            log.users().add("q.whitmore", AT, sam).await.unwrap();
            Self {
                _folder: folder,
                config,
                log,
                verifier: Verifier::start(1, 8).unwrap(),
                remembered: Remembered::default(),
                metrics: Metrics::new().unwrap(),
                generation: 0,
            }
        }

        /// The state in force, after a change.
        async fn view(&mut self) -> Rc<View> {
            self.generation += 1;
            let snapshot = Snapshot::load_with(&self.config, &self.log, AT).await.unwrap();
            View::new(Arc::new(snapshot), self.generation, &self.metrics)
        }

        /// One more request of sam's browser, with a password.
        async fn request(&self, view: &View, password: &str) -> Who {
            use base64ct::Encoding;
            let token = base64ct::Base64::encode_string(format!("sam:{password}").as_bytes());
            let mut headers = HeaderMap::new();
            let field = HeaderValue::from_str(&format!("Basic {token}")).unwrap();
            headers.insert(PROXY_AUTHORIZATION, field);
            let (client, now) = (IpAddr::from([127, 0, 0, 1]), Instant::now());
            let (verifier, remembered) = (&self.verifier, &self.remembered);
            let meters = self.metrics.meters(0);
            identify(&headers, client, view, verifier, remembered, &meters, now).await
        }
    }

    fn who(who: Who) -> Rc<Identity> {
        match who {
            Who::Known(who) => who,
            Who::Challenge { .. } | Who::Busy { .. } => panic!("sam is not known"),
        }
    }

    #[tokio::test]
    async fn an_open_connection_notices_a_ban_a_level_and_a_removal_at_its_next_request() {
        let mut school = School::start().await;
        let view = school.view().await;
        let first = who(school.request(&view, "correct horse").await);
        let again = who(school.request(&view, "correct horse").await);
        assert!(Rc::ptr_eq(&first, &again), "remembered, or this test shows nothing");
        assert_eq!(first.banned_until, None);

        let until = UnixMillis(AT.0 + 60_000);
        school.log.users().ban("q.whitmore", AT, "sam", until, "trial").await.unwrap();
        let view = school.view().await;
        let banned = who(school.request(&view, "correct horse").await);
        assert_eq!(banned.banned_until, Some(until));

        school.log.users().set_level("q.whitmore", AT, "sam", Some("staff")).await.unwrap();
        let view = school.view().await;
        let moved = who(school.request(&view, "correct horse").await);
        assert_ne!(moved.level, first.level);

        school.log.users().remove("q.whitmore", AT, "sam").await.unwrap();
        let view = school.view().await;
        let removed = school.request(&view, "correct horse").await;
        assert!(matches!(removed, Who::Challenge { why: Unproven::Wrong, .. }));
    }

    #[tokio::test]
    async fn an_open_connection_with_the_old_password_is_challenged_once_it_has_changed() {
        let mut school = School::start().await;
        let view = school.view().await;
        who(school.request(&view, "correct horse").await);
        let new = Password::new("battery staple").unwrap();
        school.log.users().set_password("q.whitmore", AT, "sam", &new).await.unwrap();
        let view = school.view().await;
        let old = school.request(&view, "correct horse").await;
        assert!(matches!(old, Who::Challenge { why: Unproven::Wrong, .. }));
        who(school.request(&view, "battery staple").await);
    }
}
