//! Ways round the filter: told from what a request asks for, and the URLs within its URL.
//!
//! Pure. [`Pack::find`] says what a request is, by `rules/defaults/circumvention.toml`; [`judge`] decides it
//! with that: locked categories first, then what the level's `circumvention` says, with unblocks and
//! exceptions where they always stand, and each URL within as the URL that it is. The stricter verdict
//! stands: a translated page of a blocked site is blocked, of an allowed one as the translator is.
//!
//! How sure a finding is, is its [`Grade`]. Nothing ordinary has a [`Grade::Certain`] mark. A URL in the
//! parameters of a site that the pack does not name is none at all: sign-ins, share buttons and
//! advertisements are full of them.
//!
//! What it costs: for a tunnel a look-up of the host; for a request besides a look at how the parts of its path
//! and its parameters begin. Only where one is found is anything decoded, to [`MOST_DEPTH`] codings within one
//! another and [`MOST_INNER_BYTES`] of each URL.

mod address;
mod decode;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod inside;
mod judge;
mod marks;
mod pack;
mod technique;
#[cfg(test)]
mod tests;
mod url;

pub use address::is_raw;
pub use judge::{Judged, judge};
pub use pack::PackError;
pub use technique::Technique;
pub use url::InnerUrl;

use crate::decide::ReasonCode;
use crate::defaults::CIRCUMVENTION;
use crate::host::Host;
use crate::search::hosts::HostTable;
use crate::target::Scheme;
use inside::Gateway;
use marks::Marks;
use pack::Known;
use std::cell::Cell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::OnceLock;

/// Most URLs within one another that are looked at. What goes deeper is a way round by itself.
pub const MOST_DEPTH: usize = 3;
/// Most of a URL within another that is read, in bytes: the host stands at its beginning.
pub const MOST_INNER_BYTES: usize = 8 * 1024;
/// `PROPFIND` and what is longer are looked at.
const LONGEST_USUAL_METHOD: usize = 7;
/// Most URLs within one request, however deep. A gateway with more is a way round by itself.
pub const MOST_INNER: usize = 8;

/// A request, as far as it is seen.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// How it comes.
    pub scheme: Scheme,
    /// Canonical host.
    pub host: &'a Host,
    /// Port.
    pub port: u16,
    /// Path and query as sent; `None` in a tunnel.
    pub path_and_query: Option<&'a str>,
    /// Its head, where that is at hand.
    pub head: Option<Head<'a>>,
}

/// What else of a request's head is looked at.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// Method.
    pub method: &'a str,
    /// Whether it opens a WebSocket.
    pub websocket: bool,
    /// Its fields.
    pub fields: &'a dyn Fields,
}

/// The fields of a request's head.
pub trait Fields {
    /// Whether one of them is what is asked for, by its lower-case name and its value.
    fn any(&self, is_one: &mut dyn FnMut(&str, &[u8]) -> bool) -> bool;
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// A URL within the path of a site that the pack does not name. It counts where a list names what the
    /// inner site is, not where nobody knows it.
    Perhaps,
    /// A site that is known to show pages of others: what it shows is decided as if it were asked for.
    Gateway,
    /// A way round by itself.
    Certain,
}

/// What a request was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'p> {
    /// The technique.
    pub technique: Technique,
    /// Which entry of the pack tells it, for people.
    pub mark: &'p str,
    /// How sure that is.
    pub grade: Grade,
    /// URLs within the URL, at most [`MOST_INNER`].
    pub inner: Vec<InnerUrl>,
}

/// The pack, read.
#[derive(Debug)]
pub struct Pack {
    known: Vec<Known>,
    gateways: Vec<Gateway>,
    hosts: HostTable<Place>,
    addresses: HashMap<IpAddr, u16>,
    ports: Vec<(u16, u16)>,
    fields: Vec<(String, u16)>,
    marks: Marks,
}

/// What a host is in the pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Known(u16),
    Gateway(u16),
}

impl Pack {
    /// Reads a pack of the form of `rules/defaults/circumvention.toml`.
    ///
    /// # Errors
    /// [`PackError`]; unknown keys are errors.
    pub fn parse(text: &str) -> Result<Pack, PackError> {
        pack::parse(text)
    }

    /// The shipped pack.
    ///
    /// # Panics
    /// Never in a build that passed its tests: the file is part of the program.
    #[must_use]
    pub fn shipped() -> &'static Pack {
        static SHIPPED: OnceLock<Pack> = OnceLock::new();
        SHIPPED.get_or_init(|| match Pack::parse(CIRCUMVENTION) {
            Ok(pack) => pack,
            Err(error) => panic!("the shipped circumvention.toml does not parse: {error}"),
        })
    }

    /// What a request is; `None` for nearly every one.
    #[must_use]
    pub fn find(&self, seen: &Seen<'_>) -> Option<Found<'_>> {
        self.find_at(seen, 0, &Cell::new(MOST_INNER))
    }

    /// `depth` URLs deep; `left` is how many more are looked at, whichever of them holds which.
    fn find_at(&self, seen: &Seen<'_>, depth: usize, left: &Cell<usize>) -> Option<Found<'_>> {
        let (by_place, gateway) = self.by_place(seen);
        // What is asked of an address may say more than that it is one.
        if by_place.as_ref().is_some_and(|found| found.technique != Technique::RawAddress) {
            return by_place;
        }
        let Some(path_and_query) = seen.path_and_query else { return by_place };
        if let Some(found) = self.by_head(seen.head.as_ref()) {
            return Some(found);
        }
        let own = match gateway {
            Some(gateway) => gateway.found(seen.host, path_and_query),
            None => self.marks.find(seen, path_and_query),
        };
        match (own.map(|found| self.look_inside(found, depth, left)), by_place) {
            (Some(found), Some(_)) if found.grade == Grade::Certain => Some(found),
            (_, Some(address)) => Some(address),
            (found, None) => found,
        }
    }

    /// The same of each URL within: one that is a way round makes the whole one.
    fn look_inside<'p>(
        &'p self,
        mut found: Found<'p>,
        depth: usize,
        left: &Cell<usize>,
    ) -> Found<'p> {
        let mut deeper = Vec::new();
        // What is deeper was told by whatever holds it.
        if depth < MOST_DEPTH {
            for inner in &found.inner {
                let Some(after) = left.get().checked_sub(1) else { break };
                left.set(after);
                let Some(below) = self.find_at(&inner.seen(), depth + 1, left) else { continue };
                let is_too_deep = depth + 1 == MOST_DEPTH && below.grade == Grade::Gateway;
                // Advertisers have servers without names.
                let is_an_address =
                    found.grade == Grade::Perhaps && below.technique == Technique::RawAddress;
                if below.grade == Grade::Certain && !is_an_address || is_too_deep {
                    found.grade = Grade::Certain;
                    found.technique = below.technique;
                    found.mark = below.mark;
                }
                deeper.extend(below.inner);
            }
        }
        if found.inner.len() + deeper.len() > MOST_INNER && found.grade == Grade::Gateway {
            found.grade = Grade::Certain;
        }
        found.inner.extend(deeper);
        found.inner.truncate(MOST_INNER);
        found
    }

    /// By host, address and port: all that a tunnel shows. Else the gateway that the host is.
    fn by_place(&self, seen: &Seen<'_>) -> (Option<Found<'_>>, Option<&Gateway>) {
        let known = |known: u16| (Some(self.known[usize::from(known)].found()), None);
        if seen.scheme == Scheme::Tunnel
            && let Some((_, entry)) = self.ports.iter().find(|(port, _)| *port == seen.port)
        {
            return known(*entry);
        }
        if let Some(address) = seen.host.address() {
            return match self.addresses.get(&address) {
                Some(entry) => known(*entry),
                None if is_raw(address) => {
                    (Some(certain(Technique::RawAddress, "an address")), None)
                }
                None => (None, None),
            };
        }
        let name = seen.host.as_str();
        if name.ends_with(".onion") || name.ends_with(".i2p") {
            return (Some(certain(Technique::Tor, "a hidden service (RFC 7686)")), None);
        }
        match self.hosts.covering(seen.host).next() {
            Some(Place::Known(entry)) => known(entry),
            Some(Place::Gateway(gateway)) => (None, Some(&self.gateways[usize::from(gateway)])),
            None => (None, None),
        }
    }

    /// By what a request's head says beside its URL.
    fn by_head(&self, head: Option<&Head<'_>>) -> Option<Found<'_>> {
        let head = head?;
        // The methods of the standards are short.
        if head.method.len() > LONGEST_USUAL_METHOD
            && let Some(known) = self.known.iter().find(|it| it.has_method(head.method))
        {
            return Some(known.found());
        }
        let mut found = None;
        head.fields.any(&mut |name, value| {
            match name {
                "accept" | "content-type" if marks::is_dns_type(value) => {
                    found = Some(certain(Technique::Doh, "DNS over HTTPS"));
                }
                _ if name.starts_with("x-") => {
                    let known = self.fields.iter().find(|(it, _)| it == name);
                    found = known.map(|(_, known)| self.known[usize::from(*known)].found());
                }
                _ => {}
            }
            found.is_some()
        });
        found
    }
}

/// A finding without a URL within.
fn certain(technique: Technique, mark: &str) -> Found<'_> {
    Found { technique, mark, grade: Grade::Certain, inner: Vec::new() }
}

/// Whether a record with this reason is of somebody who tried to get round the filter, or whose program did:
/// what is counted for each person.
#[must_use]
pub fn is_attempt(code: ReasonCode) -> bool {
    code == ReasonCode::EncryptedHello || Technique::of(code).is_some()
}
