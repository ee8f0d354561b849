//! The host parser against published vectors: agree with them, or refuse.
//!
//! A filter may refuse what a browser takes, but must never read another host than the browser and
//! the site do. The counts are exact, and what is refused by us alone is told by kind, so that a
//! parser which refuses more than it did fails here as well.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the vectors are files")]

use flate2::read::GzDecoder;
use rules::host::{Host, HostError};
use rules::target::{TargetError, parse_absolute, parse_connect, parse_typed, seen_path};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::Ipv6Addr;
use std::path::Path;

/// The text of a file in `tests/vectors`, gzipped or not.
fn vectors(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    if !name.ends_with(".gz") {
        return std::fs::read_to_string(path).unwrap();
    }
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// How many cases came to each end.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn add(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn is(&self, expected: &[(&str, usize)]) {
        let found: Vec<_> = self.counts.iter().map(|(what, count)| (*what, *count)).collect();
        assert_eq!(found, expected);
    }
}

fn kind(error: HostError) -> &'static str {
    match error {
        HostError::Empty => "refused by us: empty",
        HostError::TooLong => "refused by us: too long",
        HostError::BadCharacter => "refused by us: character",
        HostError::BadName => "refused by us: name",
        HostError::BadAddress => "refused by us: address",
    }
}

/// The authority of a URL of a special scheme, cut out as the URL standard's parser would.
fn authority_of(url: &str) -> Option<String> {
    let url = url.trim_matches(|c: char| c <= ' ').replace(['\t', '\n', '\r'], "");
    let (scheme, rest) = url.split_once(':')?;
    let is_special =
        ["http", "https", "ws", "wss", "ftp"].contains(&scheme.to_lowercase().as_str());
    let rest =
        rest.strip_prefix("//").filter(|rest| is_special && !rest.starts_with(['/', '\\']))?;
    rest.split(['/', '\\', '?', '#']).next().map(str::to_owned)
}

/// The host part of an authority; `None` where the port is a failure of its own.
fn host_of(authority: &str) -> Option<&str> {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() || port.is_empty() => Some(name),
        // A colon within brackets is none.
        Some((_, rest)) if !rest.contains(']') => None,
        _ => Some(host),
    }
}

/// Their serialised host in our spelling: no brackets, no trailing dot, IPv6 as RFC 5952 has it.
fn in_our_spelling(theirs: &str) -> String {
    match theirs.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.parse::<Ipv6Addr>().unwrap().to_canonical().to_string(),
        None => theirs.strip_suffix('.').unwrap_or(theirs).to_owned(),
    }
}

fn url_cases() -> Vec<serde_json::Value> {
    serde_json::from_str(&vectors("urltestdata.json")).unwrap()
}

#[test]
fn hosts_of_urls_agree_with_the_url_standard_or_are_refused() {
    let mut tally = Tally::default();
    for case in url_cases() {
        let input = case["input"].as_str().unwrap();
        let authority = authority_of(input);
        let Some(host) = authority.as_deref().and_then(host_of) else {
            tally.add("no host to read");
            continue;
        };
        match (Host::parse(host), case["hostname"].as_str()) {
            (Ok(ours), Some(theirs)) => {
                assert_eq!(ours.as_str(), in_our_spelling(theirs), "{input}");
                tally.add("agreed");
            }
            (Ok(ours), None) => panic!("{input} must fail, and is {ours}"),
            (Err(_), None) => tally.add("refused by both"),
            (Err(why), Some(_)) => tally.add(kind(why)),
        }
    }
    tally.is(&[
        ("agreed", 161),
        ("no host to read", 10),
        ("refused by both", 185),
        ("refused by us: character", 2),
        ("refused by us: empty", 1),
        ("refused by us: name", 2),
    ]);
}

#[test]
fn targets_of_requests_agree_with_the_url_standard_or_are_refused() {
    let mut tally = Tally::default();
    for case in url_cases() {
        let input = case["input"].as_str().unwrap();
        let Some(authority) = authority_of(input) else { continue };
        let target = match parse_absolute(Some("http"), Some(&authority)) {
            Ok(target) => target,
            Err(why) => {
                tally.add(match (why, case["hostname"].is_null()) {
                    (_, true) => "refused by both",
                    (TargetError::UserInfo, _) => "refused by us: user name or password",
                    (TargetError::BadPort, _) => "refused by us: port",
                    (TargetError::Host(why), _) => kind(why),
                    (why, _) => panic!("{input}: {why}"),
                });
                continue;
            }
        };
        let theirs = case["hostname"].as_str().unwrap_or_else(|| panic!("{input} must fail"));
        assert_eq!(target.host.as_str(), in_our_spelling(theirs), "{input}");
        // A port is left out of the serialised URL where it is the default of the scheme.
        let default = match case["protocol"].as_str().unwrap() {
            "https:" | "wss:" => 443,
            "ftp:" => 21,
            _ => 80,
        };
        match case["port"].as_str().unwrap() {
            "" => assert!([80, default].contains(&target.port), "{input}"),
            port => assert_eq!(target.port.to_string(), port, "{input}"),
        }
        match parse_connect(&authority) {
            Ok(connect) => assert_eq!((connect.host, connect.port), (target.host, target.port)),
            Err(why) => assert_eq!(why, TargetError::NoPort, "{input}"),
        }
        tally.add("agreed");
    }
    tally.is(&[
        ("agreed", 137),
        ("refused by both", 195),
        ("refused by us: character", 2),
        ("refused by us: empty", 1),
        ("refused by us: name", 2),
        ("refused by us: port", 2),
        ("refused by us: user name or password", 22),
    ]);
}

#[test]
fn paths_that_browsers_send_are_seen_as_the_paths_that_people_type() {
    let mut tally = Tally::default();
    for case in url_cases() {
        // Browsers drop these before they look at an address.
        let input = case["input"].as_str().unwrap().replace(['\t', '\n', '\r'], "");
        match (parse_typed(&input), case["pathname"].as_str()) {
            (Ok((target, path)), Some(sent)) => {
                let host = in_our_spelling(case["hostname"].as_str().unwrap());
                assert_eq!(target.host.as_str(), host, "{input}");
                if seen_path(&path) == seen_path(sent) {
                    tally.add("agreed");
                } else {
                    // Browsers step out of an empty segment first; servers that merge slashes
                    // never see it, and what rules see is what those serve.
                    assert!(path.contains("//.."), "{input}: {path} and {sent}");
                    tally.add("steps out of an empty segment");
                }
            }
            (Ok((target, _)), None) => panic!("{input} must fail, and is {target:?}"),
            (Err(_), None) => tally.add("refused by both"),
            (Err(TargetError::Scheme), Some(_)) => tally.add("refused by us: scheme"),
            (Err(TargetError::UserInfo), Some(_)) => {
                tally.add("refused by us: user name or password");
            }
            (Err(TargetError::BadPort), Some(_)) => tally.add("refused by us: port"),
            (Err(TargetError::Host(why)), Some(_)) => tally.add(kind(why)),
            (Err(why), Some(_)) => panic!("{input}: {why}"),
        }
    }
    tally.is(&[
        ("agreed", 120),
        ("refused by both", 195),
        ("refused by us: character", 1),
        ("refused by us: empty", 1),
        ("refused by us: name", 2),
        ("refused by us: port", 2),
        ("refused by us: scheme", 18),
        ("refused by us: user name or password", 20),
        ("steps out of an empty segment", 2),
    ]);
}

/// Undoes the escapes of the Unicode file: `\u00DF`, `\x{1F600}`.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let (digits, left) = match after.strip_prefix("x{") {
            Some(braced) => braced.split_once('}')?,
            None => after.strip_prefix('u')?.split_at(4),
        };
        // A lone surrogate is no text that could reach the parser.
        out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
        rest = left;
    }
    out.push_str(rest);
    Some(out)
}

#[test]
fn names_agree_with_the_unicode_idna_vectors_or_are_refused() {
    let mut tally = Tally::default();
    for line in vectors("IdnaTestV2.txt.gz").lines() {
        let line = line.split('#').next().unwrap_or_default();
        let columns: Vec<&str> = line.split(';').map(str::trim).collect();
        let [source, unicode, unicode_status, ascii, ascii_status, ..] = columns[..] else {
            continue;
        };
        let or =
            |own: &str, other: &str| if own.is_empty() { other.to_owned() } else { own.to_owned() };
        let ascii = or(ascii, &or(unicode, source)).replace("\"\"", "");
        let status = or(ascii_status, unicode_status);
        let (Some(source), Some(ascii)) = (unescape(&source.replace("\"\"", "")), unescape(&ascii))
        else {
            tally.add("no text");
            continue;
        };
        // The URL standard checks neither hyphens nor STD3, and lengths are checked elsewhere.
        let is_error = status
            .trim_matches(['[', ']'])
            .split(',')
            .any(|code| !["", "V2", "V3", "U1", "A4_1", "A4_2"].contains(&code.trim()));
        match Host::parse(&source) {
            Ok(host) if host.address().is_none() => {
                // Assigned in Unicode 17, after the vectors: CJK Extension J.
                let (unicode, _) = idna::domain_to_unicode(&source);
                if unicode.contains(|c| ('\u{323b0}'..='\u{33479}').contains(&c)) {
                    tally.add("assigned since");
                    continue;
                }
                assert!(!is_error, "{source:?} must fail ({status}), and is {host}");
                assert_eq!(host.as_str(), in_our_spelling(&ascii), "{source:?}");
                tally.add("agreed");
            }
            // UTS 46 knows no addresses; the URL standard does.
            Ok(host) => {
                assert!(ascii.ends_with(|c: char| c.is_ascii_hexdigit()), "{source:?} is {host}");
                tally.add("an address");
            }
            Err(_) if is_error => tally.add("refused by both"),
            Err(why) => tally.add(kind(why)),
        }
    }
    tally.is(&[
        ("agreed", 629),
        ("assigned since", 3),
        ("no text", 2),
        ("refused by both", 5551),
        ("refused by us: address", 1),
        ("refused by us: character", 97),
        ("refused by us: empty", 3),
        ("refused by us: name", 59),
        ("refused by us: too long", 44),
    ]);
}

#[test]
fn registrable_domains_agree_with_the_public_suffix_lists_vectors() {
    let mut tried = 0;
    let text = vectors("test_psl.txt");
    for line in text.lines().filter(|line| line.starts_with("checkPublicSuffix(")) {
        let inside = line.trim_start_matches("checkPublicSuffix(").trim_end_matches(");");
        let (name, domain) = inside.split_once(',').unwrap();
        let unquoted = |text: &str| {
            text.trim().strip_prefix('\'').map(|text| text.trim_end_matches('\'').to_owned())
        };
        // Names that are null or start with a dot are no hosts.
        let Some(Ok(host)) = unquoted(name).map(|name| Host::parse(&name)) else { continue };
        let domain = unquoted(domain).map(|domain| Host::parse(&domain).unwrap().to_string());
        assert_eq!(host.registrable(), domain.as_deref(), "{host}");
        assert_eq!(host.is_public_suffix(), domain.is_none(), "{host}");
        tried += 1;
    }
    assert_eq!(tried, 73);
}
