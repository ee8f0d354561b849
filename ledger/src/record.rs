//! One access, as decided and as ended.

use crate::notes::{Sign, Words};
use rules::category::CategorySet;
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::unblock::UnblockId;
use rules::visit::Visit;
use std::net::IpAddr;
use std::sync::Arc;

/// What all records made under one snapshot share: names behind the small numbers, and which policy
/// and lists decided. Written to a journal once, before the first record that points to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// SHA-256 of the policy text, hex.
    pub policy_hash: String,
    /// Version of the compiled lists.
    pub list_version: String,
    /// Category names by place.
    pub categories: Vec<String>,
    /// Level names by place.
    pub levels: Vec<String>,
    /// The locked categories: their addresses are hashed in logs that others read.
    pub locked: CategorySet,
    /// The school's zone (IANA name): decides the day.
    pub zone: String,
}

/// How deep the proxy saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Depth {
    /// Plain HTTP: everything.
    Plain = 0,
    /// A tunnel: only the name.
    Name = 1,
    /// Inside TLS: everything.
    Page = 2,
}

impl Depth {
    /// All depths, in the order of their numbers.
    pub const ALL: [Depth; 3] = [Depth::Plain, Depth::Name, Depth::Page];

    /// `plain`, `name` or `page`: the word in logs and filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Depth::Plain => "plain",
            Depth::Name => "name",
            Depth::Page => "page",
        }
    }

    /// The depth stored as this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Depth> {
        Depth::ALL.get(usize::from(number)).copied()
    }
}

/// What was known of an access when it was decided, beside what it asked for: one number and one word in the log.
/// Where the visit is not known both are those of the depth alone, as they were before visits were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsDecided {
    /// How deep the proxy saw.
    pub depth: Depth,
    /// Whether somebody opened it.
    pub visit: Visit,
}

impl AsDecided {
    /// Words by depth and visit.
    const WORDS: [[&str; 4]; 3] = [
        ["plain", "plain opened", "plain part", "plain frame"],
        ["name", "name opened", "name part", "name frame"],
        ["page", "page opened", "page part", "page frame"],
    ];

    /// The depth's number, and from the fifth bit on the visit's.
    #[must_use]
    pub fn number(self) -> u8 {
        self.depth as u8 | (self.visit as u8) << 4
    }

    /// What a number stands for; `None`: nothing.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        let (depth, visit) = (Depth::from_number(number & 15)?, Visit::from_number(number >> 4)?);
        Some(Self { depth, visit })
    }

    /// The depth's word, and behind it the visit's, where that is known.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS[self.depth as usize][self.visit as usize]
    }

    /// What a word stands for; `None`: nothing.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let of_depth =
            |depth: Depth| Visit::ALL.into_iter().map(move |visit| Self { depth, visit });
        Depth::ALL.into_iter().flat_map(of_depth).find(|known| known.as_str() == word)
    }
}

impl From<Depth> for AsDecided {
    /// Of a visit nothing is known.
    fn from(depth: Depth) -> Self {
        Self { depth, visit: Visit::Unknown }
    }
}

/// One access at the moment of its decision. Borrowed: encoding it copies nothing twice.
#[derive(Clone, Debug)]
pub struct Decided<'a> {
    /// Id; its code is on the block page.
    pub id: RequestId,
    /// When the request was read.
    pub at: UnixMillis,
    /// Shared names.
    pub context: &'a Arc<Context>,
    /// Proven user.
    pub user: Option<&'a str>,
    /// Level, by place in the context.
    pub level: u8,
    /// Client address.
    pub client: IpAddr,
    /// Method, at most 32 bytes kept.
    pub method: &'a str,
    /// Scheme.
    pub scheme: Scheme,
    /// Canonical host; for a refused, unreadable target: as sent, escaped, at most 253 bytes.
    pub host: &'a str,
    /// Port, 0 if unknown.
    pub port: u16,
    /// Path without query, at most 2,048 bytes kept; `None` in a tunnel.
    pub path: Option<&'a str>,
    /// Categories, by place in the context.
    pub categories: CategorySet,
    /// Verdict.
    pub verdict: Verdict,
    /// Why, as a word.
    pub reason: ReasonCode,
    /// The policy line that decided, e.g. `policy.toml:26 games = "block"`, or `B-0012`.
    pub rule: Option<&'a str>,
    /// The unblock that opened it.
    pub unblock: Option<UnblockId>,
    /// How deep the proxy saw.
    pub depth: Depth,
    /// Whether somebody opened it.
    pub visit: Visit,
    /// The words of a search.
    pub words: Option<Words<'a>>,
    /// Signs of themes, as far as they were known then: the first [`crate::notes::MAX_SIGNS`] are kept.
    pub signs: &'a [Sign],
}

/// How an access ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// In order.
    Complete = 0,
    /// The client went away, or the exchange was dropped.
    Aborted = 1,
    /// Ended by the filter: its unblock ended, a block came, the clock moved on.
    Cut = 2,
    /// The site could not be reached or broke off.
    Upstream = 3,
    /// The proxy stopped (crash or kill) before the end was known.
    Unknown = 4,
    /// A time limit.
    TimedOut = 5,
    /// The client would not have the filter's certificate: it ended the TLS handshake with an alert
    /// such as `unknown_ca` (RFC 8446, 6.2), or by closing. Nothing inside was seen.
    Rejected = 6,
}

impl End {
    /// All ends, in the order of their numbers.
    pub const ALL: [End; 7] = [
        End::Complete,
        End::Aborted,
        End::Cut,
        End::Upstream,
        End::Unknown,
        End::TimedOut,
        End::Rejected,
    ];

    /// `complete`, `aborted`, `cut`, `upstream`, `unknown`, `timed_out` or `rejected`: the word in
    /// logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            End::Complete => "complete",
            End::Aborted => "aborted",
            End::Cut => "cut",
            End::Upstream => "upstream",
            End::Unknown => "unknown",
            End::TimedOut => "timed_out",
            End::Rejected => "rejected",
        }
    }

    /// The end stored as this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<End> {
        End::ALL.get(usize::from(number)).copied()
    }
}

/// What is known once an access has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub end: End,
    /// Status sent to the client, 0 if none.
    pub status: u16,
    /// Body or tunnel bytes from the client.
    pub bytes_up: u64,
    /// Body or tunnel bytes to the client.
    pub bytes_down: u64,
    /// Microseconds from request read to end.
    pub duration_us: u64,
    /// How deep the proxy saw in the end: a `CONNECT` is decided at [`Depth::Name`] and ends at
    /// [`Depth::Page`] where its inside was opened. `None`: as decided.
    pub depth: Option<Depth>,
}

impl Ended {
    /// How it ended and how deep, as one number: the end, and in the bits from the fifth on the
    /// depth's number plus one. Logs written before depths had an end read as they did.
    #[must_use]
    pub(crate) fn end_number(&self) -> u8 {
        self.end as u8 | self.depth.map_or(0, |depth| (depth as u8 + 1) << 4)
    }

    /// What [`Ended::end_number`] stands for; `None`: no such end or depth.
    #[must_use]
    pub(crate) fn parts(number: u8) -> Option<(End, Option<Depth>)> {
        let depth = match number >> 4 {
            0 => None,
            above => Some(Depth::from_number(above - 1)?),
        };
        Some((End::from_number(number & 15)?, depth))
    }
}

/// The number under which the log stores a scheme; never reassigned.
#[must_use]
pub fn scheme_number(scheme: Scheme) -> u8 {
    match scheme {
        Scheme::Http => 0,
        Scheme::Https => 1,
        Scheme::Tunnel => 2,
    }
}

/// The scheme stored as this number.
#[must_use]
pub fn scheme_from_number(number: u8) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https, Scheme::Tunnel].get(usize::from(number)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_goes_there_and_back_and_depths_alone_are_as_they_were() {
        for depth in Depth::ALL {
            for visit in Visit::ALL {
                let known = AsDecided { depth, visit };
                assert_eq!(AsDecided::from_number(known.number()), Some(known));
                assert_eq!(AsDecided::from_word(known.as_str()), Some(known));
                let words = match visit {
                    Visit::Unknown => depth.as_str().to_owned(),
                    _ => format!("{} {}", depth.as_str(), visit.as_str()),
                };
                assert_eq!(known.as_str(), words);
            }
            assert_eq!(AsDecided::from(depth).number(), depth as u8);
        }
        assert_eq!((AsDecided::from_number(3), AsDecided::from_number(0x40)), (None, None));
        assert_eq!(AsDecided::from_word("page closed"), None);
    }
}
