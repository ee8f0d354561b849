//! Which of many host patterns cover a host, found by a few looks into one table: a proxy asks this for
//! every request, and nearly every host is in none.

use super::SearchFileError;
use crate::host::Host;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Lists of country domains by name: `{country}` in a pattern stands for each of `country`.
pub(crate) type Countries = HashMap<String, Vec<String>>;

/// Host patterns, each with what it stands for.
#[derive(Clone, Debug)]
pub(crate) struct HostTable<T> {
    by_base: HashMap<Box<str>, Vec<(Front, T)>, BuildHasherDefault<ShortHasher>>,
    /// By the first label alone: `searx.*`.
    by_label: HashMap<Box<str>, Vec<T>, BuildHasherDefault<ShortHasher>>,
    marks: Marks,
}

/// A bit for the length and the first two bytes of each base: it tells most texts that are none without
/// hashing them.
#[derive(Clone, Debug)]
struct Marks(Box<[u64]>);

impl Marks {
    fn new() -> Self {
        Self(vec![0; 1 << 10].into())
    }

    /// The word and the bit of a text.
    fn place(text: &[u8]) -> (usize, u64) {
        let letter = |at: usize| text.get(at).map_or(0, |byte| usize::from(byte & 31));
        (letter(0) << 5 | letter(1), 1 << (text.len() & 63))
    }

    fn insert(&mut self, text: &str) {
        let (word, bit) = Self::place(text.as_bytes());
        self.0[word] |= bit;
    }

    fn may_hold(&self, text: &[u8]) -> bool {
        let (word, bit) = Self::place(text);
        self.0[word] & bit != 0
    }
}

/// What may stand before the base of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Front {
    Nothing,
    /// `www` of `www.google.co.uk`, whose base is `google.co.uk`.
    Labels(Box<str>),
    /// Nothing, `www` or `m`: people take them for one site.
    Site,
    /// `*`: any labels, at least one.
    Below,
}

impl<T: Copy> HostTable<T> {
    pub(crate) fn new() -> Self {
        Self { by_base: HashMap::default(), by_label: HashMap::default(), marks: Marks::new() }
    }

    /// Adds a pattern: a host, or `*.` and a host, with `{name}` at its end for the country domains of
    /// that name; or a label and `.*`, for every host whose first label it is, with `www.` before it or not.
    pub(crate) fn insert(
        &mut self,
        pattern: &str,
        countries: &Countries,
        value: T,
    ) -> Result<(), SearchFileError> {
        self.expand(pattern, countries, |front| front, value)
    }

    /// The same, where a host stands for itself with `www.` and `m.` before it too.
    pub(crate) fn insert_site(
        &mut self,
        pattern: &str,
        countries: &Countries,
        value: T,
    ) -> Result<(), SearchFileError> {
        let plain = pattern.strip_prefix("www.").or_else(|| pattern.strip_prefix("m."));
        let as_site = |front| match front {
            Front::Nothing => Front::Site,
            other => other,
        };
        self.expand(plain.unwrap_or(pattern), countries, as_site, value)
    }

    /// Adds a host with everything below it. It may be one of whose subdomains each is somebody's
    /// (`nip.io`), where the whole is meant.
    pub(crate) fn insert_all_of(&mut self, host: &str, value: T) -> Result<(), SearchFileError> {
        if !host.contains('.') {
            return Err(SearchFileError(format!("{host}: a whole top-level domain")));
        }
        self.put_any(host, host, Front::Nothing, value)?;
        self.put_any(host, host, Front::Below, value)
    }

    fn expand(
        &mut self,
        pattern: &str,
        countries: &Countries,
        front: impl Fn(Front) -> Front,
        value: T,
    ) -> Result<(), SearchFileError> {
        let wrong = |why: &str| SearchFileError(format!("{pattern}: {why}"));
        if let Some(label) = pattern.strip_suffix(".*") {
            let is_label = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if label.len() < 4 || !is_label || label.bytes().any(|byte| byte.is_ascii_uppercase()) {
                return Err(wrong("write a whole label of four letters at least"));
            }
            self.marks.insert(label);
            self.by_label.entry(label.into()).or_default().push(value);
            return Ok(());
        }
        let (start, below) = match pattern.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (pattern, false),
        };
        let Some((before, list)) = start.split_once('{') else {
            let kind = if below { Front::Below } else { Front::Nothing };
            return self.put(pattern, start, front(kind), value);
        };
        let list = list.strip_suffix('}').ok_or_else(|| wrong("a country domain ends the host"))?;
        let list = countries.get(list).ok_or_else(|| wrong("no such list of country domains"))?;
        // The label before the country domain is the owner's name: `google.` of `www.google.`.
        let named =
            before.strip_suffix('.').ok_or_else(|| wrong("a whole label is the country"))?;
        let (labels, owner) = match named.rsplit_once('.') {
            Some((labels, owner)) => (Some(labels), owner),
            None => (None, named),
        };
        let kind = match (below, labels) {
            (true, None) => Front::Below,
            (true, Some(_)) => return Err(wrong("write *.owner.{country}")),
            (false, None) => Front::Nothing,
            (false, Some(labels)) => Front::Labels(labels.into()),
        };
        // Only shipped files have these, and their tests ask whether one is a public suffix: asking of thousands takes each
        // start a while.
        for country in list {
            self.put_any(pattern, &format!("{owner}.{country}"), front(kind.clone()), value)?;
        }
        Ok(())
    }

    fn put(
        &mut self,
        pattern: &str,
        base: &str,
        front: Front,
        value: T,
    ) -> Result<(), SearchFileError> {
        if Host::parse(base).is_ok_and(|host| host.is_public_suffix()) {
            return Err(SearchFileError(format!("{pattern}: a public suffix")));
        }
        self.put_any(pattern, base, front, value)
    }

    fn put_any(
        &mut self,
        pattern: &str,
        base: &str,
        front: Front,
        value: T,
    ) -> Result<(), SearchFileError> {
        let wrong = |why: String| SearchFileError(format!("{pattern}: {why}"));
        let host = Host::parse(base).map_err(|error| wrong(error.to_string()))?;
        if host.as_str() != base || host.address().is_some() {
            return Err(wrong("write a host as it is compared".to_owned()));
        }
        self.marks.insert(base);
        let fronts = self.by_base.entry(base.into()).or_default();
        // The narrower first, in the order of the file among equals.
        let place = match front {
            Front::Below => fronts.len(),
            _ => fronts.iter().position(|(it, _)| *it == Front::Below).unwrap_or(fronts.len()),
        };
        // Most have one, and room for four would be made for it.
        fronts.reserve_exact(1);
        fronts.insert(place, (front, value));
        Ok(())
    }

    /// What of the bases is a public suffix: it covers other people's sites.
    #[cfg(test)]
    pub(crate) fn public_suffixes(&self) -> Vec<&str> {
        let is_one = |base: &&str| Host::parse(base).is_ok_and(|host| host.is_public_suffix());
        self.by_base.keys().map(|base| &**base).filter(is_one).collect()
    }

    /// What the patterns that cover a host stand for, the narrowest first.
    pub(crate) fn covering<'t>(&'t self, host: &'t Host) -> impl Iterator<Item = T> + 't {
        let text = host.as_str();
        let bytes = text.as_bytes();
        // Nothing is below an address. No base is a single label.
        let last_dot = match host.address() {
            Some(_) => None,
            None => bytes.iter().rposition(|byte| *byte == b'.'),
        };
        let mut next = last_dot.map(|_| 0);
        let bases = std::iter::from_fn(move || {
            loop {
                let start = next?;
                let dot = start + bytes[start..].iter().position(|byte| *byte == b'.')?;
                next = (Some(dot) != last_dot).then_some(dot + 1);
                if self.marks.may_hold(&bytes[start..])
                    && let Some(fronts) = self.by_base.get(&text[start..])
                {
                    return Some((start, fronts));
                }
            }
        });
        let by_base = bases.flat_map(move |(start, fronts)| {
            let before = text[..start].trim_end_matches('.');
            fronts.iter().filter(move |(front, _)| front.fits(before)).map(|(_, value)| *value)
        });
        by_base.chain(self.of_label(last_dot.map_or("", |_| text)))
    }

    /// What stands for hosts with the first label of this one.
    fn of_label(&self, host: &str) -> impl Iterator<Item = T> {
        let label =
            host.strip_prefix("www.").unwrap_or(host).split_once('.').map(|(label, _)| label);
        let known = label.filter(|label| self.marks.may_hold(label.as_bytes()));
        known.and_then(|label| self.by_label.get(label)).into_iter().flatten().copied()
    }
}

impl Front {
    fn fits(&self, before: &str) -> bool {
        match self {
            Self::Nothing => before.is_empty(),
            Self::Labels(labels) => before == &**labels,
            Self::Site => matches!(before, "" | "www" | "m"),
            Self::Below => !before.is_empty(),
        }
    }
}

/// A fast hash of short texts. The table is made once from the program's own files, so nobody can fill
/// it with texts that collide.
#[derive(Default)]
pub(crate) struct ShortHasher(u64);

impl Hasher for ShortHasher {
    fn write(&mut self, bytes: &[u8]) {
        /// 2^64 divided by the golden ratio, as Fibonacci hashing has it (Knuth, volume 3, 6.4).
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut add = |word: u64| self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(SPREAD);
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        add(u64::from_le_bytes(last) ^ bytes.len() as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn table() -> HostTable<u8> {
        let countries = [("country".to_owned(), vec!["com".to_owned(), "co.uk".to_owned()])].into();
        let mut table = HostTable::new();
        for (pattern, value) in [
            ("google.{country}", 1),
            ("www.google.{country}", 2),
            ("*.bing.com", 3),
            ("www.bing.com", 4),
            ("search.brave.com", 5),
        ] {
            table.insert(pattern, &countries, value).unwrap();
        }
        table.insert_site("www.info.com", &countries, 6).unwrap();
        table.insert_site("*.lycos.{country}", &countries, 7).unwrap();
        table.insert("searx.*", &countries, 8).unwrap();
        table.insert("searx.own.example", &countries, 9).unwrap();
        table
    }

    #[test]
    fn a_pattern_covers_its_hosts_and_no_other() {
        let table = table();
        let cases: [(&str, &[u8]); 29] = [
            ("google.com", &[1]),
            ("google.co.uk", &[1]),
            ("www.google.co.uk", &[2]),
            ("WWW.Google.Co.Uk.", &[2]),
            ("www.www.google.com", &[]),
            ("images.google.com", &[]),
            ("google.evil.com", &[]),
            ("google.com.evil.com", &[]),
            ("www.google.com.evil.co.uk", &[]),
            ("notgoogle.com", &[]),
            ("google.de", &[]),
            ("google", &[]),
            ("com", &[]),
            ("bing.com", &[]),
            ("www.bing.com", &[4, 3]),
            ("a.b.bing.com", &[3]),
            ("search.brave.com", &[5]),
            ("a.search.brave.com", &[]),
            ("info.com", &[6]),
            ("www.info.com", &[6]),
            ("m.info.com", &[6]),
            ("de.lycos.co.uk", &[7]),
            ("searx.be", &[8]),
            ("SEARX.foo.li", &[8]),
            ("www.searx.be", &[8]),
            ("searx.own.example", &[9, 8]),
            ("a.searx.be", &[]),
            ("searxx.be", &[]),
            ("searx", &[]),
        ];
        for (host, expected) in cases {
            let found: Vec<u8> = table.covering(&Host::parse(host).unwrap()).collect();
            assert_eq!(found, expected, "{host}");
        }
        for address in ["10.0.0.1", "[::1]"] {
            assert_eq!(table.covering(&Host::parse(address).unwrap()).next(), None);
        }
    }

    #[test]
    fn faulty_patterns_are_refused() {
        let countries = [("country".to_owned(), vec!["com".to_owned()])].into();
        for pattern in [
            "",
            "com",
            "*.com",
            "co.uk",
            "A.example",
            "a b.example",
            "10.0.0.1",
            "*",
            "a.*.example",
            "google.{other}",
            "google.{country",
            "google.{country}.x",
            "google{country}",
            "*.www.google.{country}",
            "{country}",
            "a.searx.*",
            "Searx.*",
            "www.*",
            ".*",
            "*.*",
        ] {
            let mut table = HostTable::new();
            assert!(table.insert(pattern, &countries, 0).is_err(), "{pattern}");
        }
    }

    #[test]
    fn short_texts_get_hashes_of_their_own() {
        use std::hash::BuildHasher;
        let build = BuildHasherDefault::<ShortHasher>::default();
        let texts = (0..5000).map(|number| format!("site-{number}.example"));
        let hashes: std::collections::HashSet<u64> =
            texts.map(|text| build.hash_one(text)).collect();
        assert_eq!(hashes.len(), 5000);
        assert_ne!(build.hash_one("a\0"), build.hash_one("a"));
    }
}
