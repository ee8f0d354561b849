//! The host parser against published vectors: agree with them, or refuse.
//!
//! The vectors are not part of the product. They are looked for in the folder that
//! `SCHOOLGATE_SHARED` names, else in `shared/data` beside the workspace; without them, these
//! tests say so and pass. The cases that must always be tried are in the modules themselves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the vectors are files")]

use flate2::read::GzDecoder;
use rules::host::Host;
use std::io::Read;
use std::net::Ipv6Addr;
use std::path::PathBuf;

/// The text of a vector file, plain or gzipped; `None`, with a note, if it is not there.
fn vectors(name: &str) -> Option<String> {
    let folder = match std::env::var_os("SCHOOLGATE_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    };
    let folder = if folder.join("data").is_dir() { folder.join("data") } else { folder };
    if let Ok(text) = std::fs::read_to_string(folder.join(name)) {
        return Some(text);
    }
    let Ok(file) = std::fs::File::open(folder.join(format!("{name}.gz"))) else {
        println!("skipped: no {name} in {}", folder.display());
        return None;
    };
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    Some(text)
}

/// The host part of a URL of a special scheme, cut out as the URL standard's parser would.
fn host_of(url: &str) -> Option<String> {
    let url = url.trim_matches(|c: char| c <= ' ').replace(['\t', '\n', '\r'], "");
    let (scheme, rest) = url.split_once(':')?;
    let is_special =
        ["http", "https", "ws", "wss", "ftp"].contains(&scheme.to_lowercase().as_str());
    let rest =
        rest.strip_prefix("//").filter(|rest| is_special && !rest.starts_with(['/', '\\']))?;
    let authority = rest.split(['/', '\\', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() || port.is_empty() => {
            Some(name.to_owned())
        }
        // Another port is a failure of its own, and a colon within brackets is none.
        Some((_, rest)) if !rest.contains(']') => None,
        _ => Some(host.to_owned()),
    }
}

/// Their serialised host in our spelling: no brackets, no trailing dot, IPv6 as RFC 5952 has it.
fn in_our_spelling(theirs: &str) -> String {
    match theirs.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.parse::<Ipv6Addr>().unwrap().to_canonical().to_string(),
        None => theirs.strip_suffix('.').unwrap_or(theirs).to_owned(),
    }
}

#[test]
fn hosts_of_urls_agree_with_the_url_standard_or_are_refused() {
    let Some(text) = vectors("vectors/urltestdata.json") else { return };
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let (mut agreed, mut both_refused, mut refused) = (0, 0, Vec::new());
    for case in cases.iter().filter(|case| case.is_object()) {
        let input = case["input"].as_str().unwrap();
        let Some(host) = host_of(input) else { continue };
        let theirs = case["hostname"].as_str().filter(|_| case.get("failure").is_none());
        match (Host::parse(&host), theirs) {
            (Ok(ours), Some(theirs)) => {
                assert_eq!(ours.as_str(), in_our_spelling(theirs), "{input}");
                agreed += 1;
            }
            (Ok(ours), None) => panic!("{input} must fail, and is {ours}"),
            (Err(_), None) => both_refused += 1,
            (Err(why), Some(theirs)) => refused.push(format!("{input:?} is {theirs}: {why}")),
        }
    }
    println!("{agreed} agree, {both_refused} refused by both, refused by us alone: {refused:#?}");
    assert!(agreed > 150 && both_refused > 60, "{agreed} agree, {both_refused} refused");
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
    let Some(text) = vectors("vectors/IdnaTestV2.txt") else { return };
    let (mut agreed, mut both_refused, mut refused) = (0, 0, 0);
    for line in text.lines() {
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
                    continue;
                }
                assert!(!is_error, "{source:?} must fail ({status}), and is {host}");
                assert_eq!(host.as_str(), in_our_spelling(&ascii), "{source:?}");
                agreed += 1;
            }
            Ok(host) => {
                assert!(ascii.ends_with(|c: char| c.is_ascii_hexdigit()), "{source:?} is {host}")
            }
            Err(_) if is_error => both_refused += 1,
            Err(_) => refused += 1,
        }
    }
    println!("{agreed} agree, {both_refused} refused by both, {refused} refused by us alone");
    assert!(agreed > 500 && both_refused > 5000, "{agreed} agree, {both_refused} refused");
}

#[test]
fn registrable_domains_agree_with_the_public_suffix_lists_vectors() {
    let Some(text) = vectors("psl/test_psl.txt") else { return };
    let mut tried = 0;
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
    assert!(tried > 60, "{tried} tried");
}
