//! Who is asking: a name proved by Basic authentication, else the network.
//!
//! A connection remembers whom it was, but only under one snapshot: whoever is removed, banned or
//! given another password, level or group is looked at afresh at the next request.

pub(crate) use crate::sign_in::Verifier;

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
    /// Credentials are missing or wrong: 407. The level is the one of the network, for the record.
    Challenge {
        /// Level of the record.
        level: LevelId,
        /// They were given, and are wrong.
        wrong: bool,
    },
    /// Too many sign-ins wait to be checked, of this client or in all: 503.
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
    let checked = verifier.check(client, field.as_bytes(), user, password).await;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;

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
}
