//! Queries of listed URLs. An entry's query matches where all its parameters stand in the request's,
//! in any order and among any others: `?id=7` is also `?x=1&id=7`.
//!
//! The index keeps an entry's parameters as a chain, in the order of their hashes: the path's mark,
//! then the mark with the first parameter, and so on. A look-up walks down the chains that its own
//! parameters make, and so never tries sets of parameters that no entry starts with.

use crate::hash::{Stream, mix};
use crate::url::Spelled;

/// Most distinct parameters of a query that are told apart; one with more is taken to match every
/// entry of its path, so that nobody hides one parameter behind hundreds.
pub(crate) const MAX_PARAMETERS: usize = 128;
/// Most look-ups for one query, with the same consequence: one that needs more was made for it.
const MAX_STEPS: usize = 4096;
const QUERY_MARK: u64 = 0x082e_fa98_ec4e_6c89;
const PARAMETER: u64 = 0x4528_21e6_38d0_1377;

/// A query's distinct parameters, ascending by hash.
pub(crate) struct Query {
    parameters: [u64; MAX_PARAMETERS],
    count: usize,
    /// Whether there are more than can be told apart.
    overflows: bool,
}

/// What stands in the index under one hash of a chain.
#[derive(Clone, Copy)]
pub(crate) struct Link<S> {
    /// The entries that end here, if any.
    pub(crate) set: Option<S>,
    /// Whether longer entries go on from here.
    pub(crate) goes_on: bool,
}

/// Where a look-up ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Walk {
    /// Every entry that matches was named.
    Complete,
    /// The query is too large to tell: every entry of the path is to be taken as matching.
    TooLarge,
}

impl Query {
    /// Reads a query (raw, without `?`).
    pub(crate) fn new(query: &str) -> Self {
        let mut read = Self { parameters: [0; MAX_PARAMETERS], count: 0, overflows: false };
        each_parameter(query, |hash, _| read.insert(hash));
        read
    }

    /// Whether no parameter stands in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The hashes of an entry's chain under the hash of its path; the last is the entry's own, the
    /// first the path's mark.
    pub(crate) fn chain(&self, path: u64) -> impl Iterator<Item = u64> {
        let root = root(path);
        let links = self.parameters[..self.count].iter().scan(root, |hash, &parameter| {
            *hash = mix(*hash, parameter);
            Some(*hash)
        });
        std::iter::once(root).chain(links)
    }

    /// Walks the chains that start at a path's mark. `link` looks a hash up; `found` is told each
    /// set with the parameters of its entries, one bit each in the order of [`Query::holds`].
    pub(crate) fn walk<S: Copy>(
        &self,
        path: u64,
        link: &impl Fn(u64) -> Option<Link<S>>,
        found: &mut impl FnMut(S, u128),
    ) -> Walk {
        let root = root(path);
        if !link(root).is_some_and(|link| link.goes_on) {
            return Walk::Complete;
        }
        if self.overflows {
            return Walk::TooLarge;
        }
        let mut steps = MAX_STEPS;
        self.descend(root, 0, 0, &mut steps, link, found)
    }

    fn descend<S: Copy>(
        &self,
        hash: u64,
        first: usize,
        chosen: u128,
        steps: &mut usize,
        link: &impl Fn(u64) -> Option<Link<S>>,
        found: &mut impl FnMut(S, u128),
    ) -> Walk {
        for place in first..self.count {
            let Some(left) = steps.checked_sub(1) else { return Walk::TooLarge };
            *steps = left;
            let next = mix(hash, self.parameters[place]);
            let Some(reached) = link(next) else { continue };
            let chosen = chosen | 1 << place;
            if let Some(set) = reached.set {
                found(set, chosen);
            }
            if reached.goes_on
                && self.descend(next, place + 1, chosen, steps, link, found) == Walk::TooLarge
            {
                return Walk::TooLarge;
            }
        }
        Walk::Complete
    }

    /// The chosen parameters of the text that this was read from, as people read them.
    pub(crate) fn text(&self, query: &str, chosen: u128) -> String {
        let mut text = String::new();
        let mut left = chosen;
        each_parameter(query, |hash, parameter| {
            let place = self.parameters[..self.count].binary_search(&hash);
            let bit = place.map_or(0, |place| 1_u128 << place);
            if left & bit != 0 {
                left &= !bit;
                text.push_str(if text.is_empty() { "" } else { "&" });
                text.extend(Spelled::new(parameter.as_bytes()).map(char::from));
            }
        });
        text
    }

    fn insert(&mut self, hash: u64) {
        let Err(place) = self.parameters[..self.count].binary_search(&hash) else { return };
        if self.count == MAX_PARAMETERS {
            self.overflows = true;
            return;
        }
        self.parameters.copy_within(place..self.count, place + 1);
        self.parameters[place] = hash;
        self.count += 1;
    }
}

/// The mark of a path under which queries are listed.
pub(crate) fn root(path: u64) -> u64 {
    mix(path, QUERY_MARK)
}

/// Hands on each parameter's hash and text; what is empty between two separators is none. Some
/// servers take `;` for `&`, and all take `+` for a space.
fn each_parameter(query: &str, mut each: impl FnMut(u64, &str)) {
    for parameter in query.split(['&', ';']).filter(|parameter| !parameter.is_empty()) {
        let mut stream = Stream::EMPTY;
        for byte in Spelled::new(parameter.as_bytes()) {
            match byte {
                b'+' => b"%20".iter().for_each(|&byte| stream.push(byte)),
                byte => stream.push(byte),
            }
        }
        each(stream.onto(PARAMETER), parameter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Chains as the index holds them, by hash.
    fn links(entries: &[&str]) -> HashMap<u64, Link<usize>> {
        let mut links: HashMap<u64, Link<usize>> = HashMap::new();
        for (number, entry) in entries.iter().enumerate() {
            let chain: Vec<u64> = Query::new(entry).chain(1).collect();
            for (place, &hash) in chain.iter().enumerate() {
                let link = links.entry(hash).or_insert(Link { set: None, goes_on: false });
                if place + 1 == chain.len() {
                    link.set = Some(number);
                } else {
                    link.goes_on = true;
                }
            }
        }
        links
    }

    fn walk(entries: &[&str], query: &str) -> (Walk, Vec<String>) {
        let links = links(entries);
        let (read, mut found) = (Query::new(query), Vec::new());
        let walk = read.walk(1, &|hash| links.get(&hash).copied(), &mut |_: usize, chosen| {
            found.push(read.text(query, chosen));
        });
        found.sort();
        (walk, found)
    }

    #[test]
    fn an_entry_matches_where_all_its_parameters_stand_in_any_order() {
        let entries = ["id=7", "a=1&b=2&c=3", "a=1&b=2", "q=bad+word"];
        for (query, expected) in [
            ("id=7", vec!["id=7"]),
            ("x=1&ID=7", vec!["id=7"]),
            ("id=7;x=1", vec!["id=7"]),
            ("&&id=%37&", vec!["id=7"]),
            ("id=70", vec![]),
            ("b=2&x&a=1", vec!["b=2&a=1"]),
            ("c=3&b=2&a=1&id=7", vec!["b=2&a=1", "c=3&b=2&a=1", "id=7"]),
            ("a=1&c=3", vec![]),
            ("q=bad%20word", vec!["q=bad%20word"]),
            ("q=bad%2bword", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(
                walk(&entries, query),
                (Walk::Complete, expected.into_iter().map(str::to_owned).collect()),
                "{query}"
            );
        }
    }

    #[test]
    fn a_parameter_cannot_be_hidden_among_hundreds_of_others() {
        let many: Vec<String> = (0..MAX_PARAMETERS).map(|n| format!("x{n}=1")).collect();
        let query = format!("{}&id=7", many.join("&"));
        assert_eq!(walk(&["id=7"], &query).0, Walk::TooLarge);
        let fewer = format!("{}&id=7", many[1..].join("&"));
        assert_eq!(walk(&["id=7"], &fewer), (Walk::Complete, vec!["id=7".to_owned()]));
        // A path without listed queries is not asked for more than its mark.
        assert_eq!(walk(&[], &query).0, Walk::Complete);
    }

    #[test]
    fn a_walk_ends_however_many_chains_a_query_could_follow() {
        // Every subset of these is a chain: 2^20 of them, were there no bound.
        let all: Vec<String> = (0..20).map(|n| format!("p{n}")).collect();
        let read = Query::new(&all.join("&"));
        let mut asked = std::cell::Cell::new(0);
        let walk = read.walk(
            1,
            &|_| {
                asked.set(asked.get() + 1);
                Some(Link { set: None::<()>, goes_on: true })
            },
            &mut |(), _| {},
        );
        assert_eq!(walk, Walk::TooLarge);
        assert!(*asked.get_mut() <= MAX_STEPS + 1);
    }
}
