//! One line of each syntax.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use super::{Entry, Format};
use crate::shape::Shape;
use crate::{domain, pattern, url};

/// Where entries of a line go.
type Sink<'s> = &'s mut dyn FnMut(Entry<'_>);
/// Why a line is no entry.
type Why = &'static str;

/// Largest IPv4 network that is listed address by address: /20, 4096 of them.
const MIN_NETWORK_BITS: u32 = 20;
const PATH_IN_NAMES: Why = "has a path; this syntax lists whole sites";

/// Whether a trimmed line is a comment, a header, or a line of the syntax that lists nothing.
pub(super) fn is_comment(format: Format, line: &[u8]) -> bool {
    match (format, line.first()) {
        (Format::Expressions | Format::Keywords, first) => first == Some(&b'#'),
        (Format::Adblock, Some(b'#')) => !is_cosmetic(line),
        (Format::Adblock, Some(b'[')) => line.last() == Some(&b']'),
        (Format::Unbound, _) if line == b"server:" => true,
        (_, Some(b'#' | b'!' | b';')) => true,
        _ => false,
    }
}

/// Reads one line and hands its entries on; a line may list several names in some syntaxes. `text` is
/// the line again where it is UTF-8.
pub(super) fn read_line(
    format: Format,
    line: &[u8],
    text: Option<&str>,
    allow_suffixes: bool,
    sink: Sink<'_>,
) -> Result<(), Why> {
    let names = Names { allow_suffixes };
    if let Some((name, shape)) = text.and_then(|text| whole_line_name(format, text)) {
        return names.plain_name(Cow::Borrowed(name), Some(shape), sink);
    }
    match format {
        Format::Plain | Format::Wildcard => names.plain(without_remark(line), false, sink),
        Format::Hosts => names.plain(without_remark(line), true, sink),
        Format::Adblock => names.adblock(line, sink),
        Format::Dnsmasq => names.dnsmasq(without_remark(line), sink),
        Format::Unbound => names.unbound(line, sink),
        Format::Urls => names.url(without_remark(line), sink),
        Format::Expressions => {
            let text = text.ok_or("is not UTF-8 text")?;
            pattern::compile(text)?;
            sink(Entry::Expression(Cow::Borrowed(text)));
            Ok(())
        }
        Format::Keywords => {
            let text = text.ok_or("is not UTF-8 text")?;
            sink(Entry::Keyword(Cow::Owned(pattern::keyword(text)?)));
            Ok(())
        }
    }
}

/// The name in a line of the commonest kinds, canonical as it stands: the millions of lines that
/// need no closer look.
fn whole_line_name(format: Format, line: &str) -> Option<(&str, Shape)> {
    let name = match format {
        Format::Plain => line,
        Format::Wildcard => line.strip_prefix("*.")?,
        Format::Hosts => line.strip_prefix("0.0.0.0 ")?,
        Format::Adblock => line.strip_prefix("||")?.strip_suffix('^')?,
        _ => return None,
    };
    domain::short_plain_name(name)
}

/// A line up to a `#` after white space.
fn without_remark(line: &[u8]) -> &[u8] {
    let remark = line.windows(2).position(|pair| pair[1] == b'#' && pair[0].is_ascii_whitespace());
    remark.map_or(line, |place| line[..place].trim_ascii_end())
}

fn is_cosmetic(line: &[u8]) -> bool {
    const MARKS: [&[u8]; 6] = [b"##", b"#@#", b"#?#", b"#$#", b"#%#", b"$$"];
    MARKS.iter().any(|mark| line.windows(mark.len()).any(|part| part == *mark))
}

/// A list's attitude to names.
#[derive(Clone, Copy)]
struct Names {
    allow_suffixes: bool,
}

impl Names {
    /// `name`, `.name`, `*.name`, `scheme://name:port/`, `host/path`, or `address name name`.
    fn plain(self, line: &[u8], hosts: bool, sink: Sink<'_>) -> Result<(), Why> {
        let Some(gap) = line.iter().position(u8::is_ascii_whitespace) else {
            return if hosts && domain::address(line).is_some() {
                Err("is an address without a name")
            } else if line.contains(&b'/') {
                self.url_or_site(line, sink)
            } else {
                self.name(line, sink)
            };
        };
        let (first, rest) = line.split_at(gap);
        let address = domain::address(first).ok_or("is more than one word")?;
        if !hosts && !address.is_unspecified() && !address.is_loopback() {
            return Err("is more than one word");
        }
        let fields = rest.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let mut read = Ok(());
        for name in fields {
            let found = if is_housekeeping(name) {
                Err("names the machine itself")
            } else {
                self.name(name, sink)
            };
            read = read.and(found);
        }
        read
    }

    /// A URL's site where it has no path, else the URL.
    fn url_or_site(self, line: &[u8], sink: Sink<'_>) -> Result<(), Why> {
        match split_url(line)? {
            (host, path) if path.len() <= 1 => self.name(host, sink),
            (host, path) if domain::address(host).is_some() && is_prefix_length(path) => {
                self.network(host, path, sink)
            }
            _ => self.url(line, sink),
        }
    }

    /// Hands on each address of a small network.
    fn network(self, host: &[u8], path: &[u8], sink: Sink<'_>) -> Result<(), Why> {
        let length = std::str::from_utf8(&path[1..]).ok().and_then(|text| text.parse::<u32>().ok());
        match (domain::address(host), length) {
            (Some(IpAddr::V4(address)), Some(length @ MIN_NETWORK_BITS..=32)) => {
                let mask = u32::MAX << (32 - length);
                let first = u32::from(address) & mask;
                for address in first..=first | !mask {
                    let text = Ipv4Addr::from(address).to_string();
                    sink(Entry::Domain(Cow::Owned(text)));
                }
                Ok(())
            }
            (Some(IpAddr::V6(_)), Some(128)) => self.name(host, sink),
            _ => Err("is a network of more than 4096 addresses"),
        }
    }

    /// Hands on `host/path`.
    fn url(self, line: &[u8], sink: Sink<'_>) -> Result<(), Why> {
        if line.iter().any(u8::is_ascii_whitespace) {
            return Err("is more than one word");
        }
        let (host, path) = split_url(line)?;
        if path.is_empty() {
            return self.name(host, sink);
        }
        let host = domain::canonical(host)?;
        let host = domain::without_www(&host);
        let before_query = path.split(|&byte| byte == b'?').next().unwrap_or_default();
        if url::PathHashes::new(0, before_query).depth() > url::MAX_DEPTH {
            return Err("has too deep a path");
        }
        let path = url::spelled_path(path);
        if path == "/"
            && !self.allow_suffixes
            && let Some(why) = domain::whole_suffix(host, None)
        {
            return Err(why);
        }
        sink(Entry::Url(Cow::Owned(format!("{host}{path}"))));
        Ok(())
    }

    /// Hands on one name, made canonical.
    fn name(self, text: &[u8], sink: Sink<'_>) -> Result<(), Why> {
        let text = text.strip_prefix(b"*.").or_else(|| text.strip_prefix(b".")).unwrap_or(text);
        if text.contains(&b'*') {
            return Err("has a wildcard inside; only *. at the start is understood");
        }
        let name = domain::canonical(without_port(text)?)?;
        self.canonical_name(name, sink)
    }

    /// Hands on a canonical name or address, unless it is a whole suffix.
    fn canonical_name(self, name: Cow<'_, str>, sink: Sink<'_>) -> Result<(), Why> {
        if domain::is_address(&name) {
            if is_housekeeping(name.as_bytes()) {
                return Err("names the machine itself");
            }
            sink(Entry::Domain(name));
            return Ok(());
        }
        self.plain_name(name, None, sink)
    }

    /// The same where it is known to be no address.
    fn plain_name(
        self,
        name: Cow<'_, str>,
        shape: Option<Shape>,
        sink: Sink<'_>,
    ) -> Result<(), Why> {
        if is_housekeeping(name.as_bytes()) {
            return Err("names the machine itself");
        }
        if !self.allow_suffixes
            && let Some(why) = domain::whole_suffix(&name, shape)
        {
            return Err(why);
        }
        sink(Entry::Domain(name));
        Ok(())
    }

    /// `||name^`, with options that do not narrow it; hosts syntax and plain names as well, as
    /// AdGuard has them.
    fn adblock(self, line: &[u8], sink: Sink<'_>) -> Result<(), Why> {
        if line.starts_with(b"@@") {
            return Err("is an exception; lists only name sites");
        }
        if is_cosmetic(line) {
            return Err("hides parts of pages, names no site");
        }
        let Some(rule) = line.strip_prefix(b"||") else {
            return match line.first() {
                Some(b'/') => Err("is an expression over URLs, not a site"),
                Some(b'|') => Err("is a rule for one URL, not a site"),
                _ if line.contains(&b'$') || line.contains(&b'^') => Err("is no whole-site rule"),
                _ if line.contains(&b'/') => Err(PATH_IN_NAMES),
                _ => self.plain(without_remark(line), true, sink),
            };
        };
        let (rule, options) = match rule.iter().position(|&byte| byte == b'$') {
            Some(place) => (&rule[..place], &rule[place + 1..]),
            None => (rule, &b""[..]),
        };
        let narrows =
            |option: &[u8]| !matches!(option, b"" | b"important" | b"all" | b"document" | b"doc");
        if options.split(|&byte| byte == b',').any(narrows) {
            return Err("has options that narrow it");
        }
        let name = rule.strip_suffix(b"^|").or_else(|| rule.strip_suffix(b"^"));
        match name {
            Some(name) if name.contains(&b'/') => Err(PATH_IN_NAMES),
            Some(name) => self.name(name, sink),
            None => Err("does not end in ^, so it is no whole-site rule"),
        }
    }

    /// `address=/a/b/target`, `server=/a/`, `local=/a/`.
    fn dnsmasq(self, line: &[u8], sink: Sink<'_>) -> Result<(), Why> {
        let line = line.strip_prefix(b"--").unwrap_or(line);
        let keyword = line.iter().position(|&byte| byte == b'=').map(|place| line.split_at(place));
        let Some((keyword @ (b"address" | b"server" | b"local"), value)) = keyword else {
            return Err("is no address=, server= or local= line");
        };
        let value = value.strip_prefix(b"=/").ok_or("names no site between slashes")?;
        let end = value.iter().rposition(|&byte| byte == b'/');
        let (names, target) = value.split_at(end.ok_or("names no site between slashes")?);
        if keyword != b"address" && target.len() > 1 && target != b"/#" {
            return Err("sends a name to another server, blocks nothing");
        }
        let mut read = Ok(());
        for name in names.split(|&byte| byte == b'/') {
            let found = if name == b"#" { Err("names every site") } else { self.name(name, sink) };
            read = read.and(found);
        }
        read
    }

    /// `local-zone: "name" type` and `local-data: "name A address"`.
    fn unbound(self, line: &[u8], sink: Sink<'_>) -> Result<(), Why> {
        let quoted = |value: &[u8]| {
            let value = value.trim_ascii().to_owned();
            let inner = value.strip_prefix(b"\"")?;
            let end = inner.iter().position(|&byte| byte == b'"')?;
            Some((inner[..end].to_owned(), inner[end + 1..].trim_ascii().to_owned()))
        };
        if let Some(value) = line.strip_prefix(b"local-zone:") {
            let (name, kind) = quoted(value).ok_or("has no name in quotation marks")?;
            let kind = kind.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            return match kind {
                b"always_null" | b"always_nxdomain" | b"always_nodata" | b"always_refuse"
                | b"always_deny" | b"static" | b"redirect" | b"refuse" | b"deny"
                | b"inform_deny" | b"inform_redirect" => self.name(&name, sink),
                _ => Err("is a zone that lets its names through"),
            };
        }
        let value =
            line.strip_prefix(b"local-data:").ok_or("is no local-zone or local-data line")?;
        let (record, _) = quoted(value).ok_or("has no name in quotation marks")?;
        let mut fields = record.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let name = fields.next().ok_or("names no site")?;
        if fields.any(|field| field == b"A" || field == b"AAAA") {
            self.name(name, sink)
        } else {
            Err("is a record without an address")
        }
    }
}

/// A URL's host with port, and its path with query (empty if none). The scheme is left out.
fn split_url(text: &[u8]) -> Result<(&[u8], &[u8]), Why> {
    let after_scheme = text.windows(3).position(|part| part == b"://").map_or(0, |place| place + 3);
    let rest = if text.starts_with(b"//") { &text[2..] } else { &text[after_scheme..] };
    let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    if host.contains(&b'@') {
        return Err("holds a user name");
    }
    Ok((without_port(host)?, path))
}

/// A host without its port: the lists mean the site, whatever the port.
fn without_port(host: &[u8]) -> Result<&[u8], Why> {
    if host.contains(&b'@') {
        return Err("holds a user name");
    }
    let Some(colon) = host.iter().rposition(|&byte| byte == b':') else {
        return Ok(host);
    };
    let is_bare_ipv6 = host[..colon].contains(&b':') && !host.starts_with(b"[");
    let digits = &host[colon + 1..];
    if !is_bare_ipv6 && digits.iter().all(u8::is_ascii_digit) {
        return Ok(&host[..colon]);
    }
    Ok(host)
}

/// `/24`: a network, not a path.
fn is_prefix_length(path: &[u8]) -> bool {
    path.len() <= 4 && path[1..].iter().all(u8::is_ascii_digit)
}

/// Names that hosts files hold for the machine itself.
fn is_housekeeping(name: &[u8]) -> bool {
    matches!(
        name,
        b"localhost"
            | b"localhost.localdomain"
            | b"local"
            | b"broadcasthost"
            | b"ip6-localhost"
            | b"ip6-loopback"
            | b"ip6-localnet"
            | b"ip6-mcastprefix"
            | b"ip6-allnodes"
            | b"ip6-allrouters"
            | b"ip6-allhosts"
            | b"0.0.0.0"
    )
}
