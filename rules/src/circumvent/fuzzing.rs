//! What the fuzzer calls and the tests replay: panics where a promise is broken.

#![allow(clippy::unwrap_used, reason = "a broken promise is a panic here")]

use super::{Fields, Grade, Head, MOST_INNER, Pack, Seen, Technique};
use crate::host::Host;
use crate::target::Scheme;

/// Fields as lines of a text: `name: value`.
pub struct Lines<'a>(pub Vec<(&'a str, &'a str)>);

impl Fields for Lines<'_> {
    fn any(&self, is_one: &mut dyn FnMut(&str, &[u8]) -> bool) -> bool {
        self.0.iter().any(|(name, value)| is_one(name, value.as_bytes()))
    }
}

/// A host, a method, a request target and fields, a line each. Whatever they are, what is found is bounded,
/// each URL within leads to a canonical host and is a URL by itself, and a head more finds nothing less.
pub fn way_round(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let (Some(host), Some(method), Some(target)) = (lines.next(), lines.next(), lines.next())
    else {
        return;
    };
    let Ok(host) = Host::parse(host) else { return };
    let fields = Lines(lines.filter_map(|line| line.split_once(':')).collect());
    check(&host, method, target, &fields);
}

/// The promises, for one request.
pub fn check(host: &Host, method: &str, target: &str, fields: &Lines<'_>) {
    let pack = Pack::shipped();
    for scheme in [Scheme::Http, Scheme::Https, Scheme::Tunnel] {
        let path_and_query = (scheme != Scheme::Tunnel).then_some(target);
        let plain = Seen { scheme, host, port: 443, path_and_query, head: None };
        let head = Head { method, websocket: true, fields };
        let found = pack.find(&plain);
        let more = pack.find(&Seen { head: Some(head), ..plain });
        if let Some(found) = &found {
            assert!(more.as_ref().is_some_and(|more| more.grade >= found.grade), "{target}");
        }
        for found in found.into_iter().chain(more) {
            assert!(found.inner.len() <= MOST_INNER && !found.mark.is_empty());
            assert_eq!(Technique::of(found.technique.code()), Some(found.technique));
            assert!(found.grade == Grade::Certain || !found.inner.is_empty(), "{found:?}");
            for inner in &found.inner {
                assert_eq!(
                    Host::parse(inner.host.as_str()).ok().as_ref(),
                    bracketless(&inner.host)
                );
                assert!(inner.path_and_query.starts_with('/'), "{inner:?}");
                assert!(inner.path_and_query.len() <= super::MOST_INNER_BYTES + 1);
                assert!(!inner.path_and_query.contains(char::is_control), "{inner:?}");
            }
        }
    }
}

/// The host, but for IPv6, whose text is read in brackets alone.
fn bracketless(host: &Host) -> Option<&Host> {
    Some(host).filter(|host| !host.as_str().contains(':'))
}

#[cfg(test)]
mod tests {
    use crate::search::fuzzing::replay::replay;

    #[test]
    fn way_round() {
        replay("way_round", super::way_round);
    }
}
