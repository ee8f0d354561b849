//! Squid's native access log: one line an access, for tools that schools already have.
//!
//! `time.ms elapsed client code/status bytes method URL user hierarchy/peer type`. Queries are never
//! seen here; the user stands only where proved; an address under a locked category is a hash.
//!
//! What has no place in Squid's ten fields stands behind them in a file of its own (`squid_ext`), so that
//! tools which expect ten find ten in the other: `code level reason categories unblock depth end`.

use crate::record::{Depth, Ended};
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::unblock::UnblockId;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What a line needs of one access.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// When the request was read; the line's time is when it ended.
    pub at: UnixMillis,
    /// Client address.
    pub client: IpAddr,
    /// Verdict.
    pub verdict: Verdict,
    /// Method.
    pub method: &'a str,
    /// Scheme.
    pub scheme: Scheme,
    /// Host.
    pub host: &'a str,
    /// Port, 0 if unknown.
    pub port: u16,
    /// Path without query.
    pub path: Option<&'a str>,
    /// Whether a locked category applies.
    pub locked: bool,
    /// Proven user.
    pub user: Option<&'a str>,
    /// How it ended.
    pub ended: Ended,
}

/// Where lines are appended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// In Squid's native format.
    pub native: Option<PathBuf>,
    /// The same with [`Extras`] behind.
    pub extended: Option<PathBuf>,
}

/// What stands behind Squid's ten fields in the extended form.
#[derive(Clone, Debug)]
pub struct Extras<'a> {
    /// Id; its code is on the block page.
    pub id: RequestId,
    /// Level.
    pub level: &'a str,
    /// Why, as a word.
    pub reason: ReasonCode,
    /// Categories, with spaces between.
    pub categories: &'a str,
    /// The unblock that opened it.
    pub unblock: Option<UnblockId>,
    /// How deep the proxy saw as it decided.
    pub depth: Depth,
}

/// Appends one line of the extended form, its newline included.
pub fn write_extended_line(out: &mut String, line: &Line<'_>, extras: &Extras<'_>) {
    write_line(out, line);
    out.truncate(out.trim_end_matches('\n').len());
    let categories: Vec<String> = extras.categories.split_whitespace().map(word).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        " {} {} {} {} {} {} {}",
        extras.id.code(),
        word(extras.level),
        extras.reason.as_str(),
        word(&categories.join(",")),
        extras.unblock.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        line.ended.depth.unwrap_or(extras.depth).as_str(),
        line.ended.end.as_str(),
    );
}

/// Appends one line, its newline included.
pub fn write_line(out: &mut String, line: &Line<'_>) {
    let elapsed_ms = (line.ended.duration_us / 1000).min(i64::MAX as u64) as i64;
    let time = line.at.0.saturating_add(elapsed_ms);
    let code = match (line.verdict, line.scheme) {
        (Verdict::Block, _) => "TCP_DENIED",
        (Verdict::Allow, Scheme::Tunnel) => "TCP_TUNNEL",
        (Verdict::Allow, _) => "TCP_MISS",
    };
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{}.{:03} {elapsed_ms:>6} {} {code}/{:03} {} {} ",
        time.div_euclid(1000),
        time.rem_euclid(1000),
        line.client,
        line.ended.status,
        line.ended.bytes_down,
        word(line.method),
    );
    let url = url(line);
    if line.locked {
        let _ = write!(out, "locked:sha256-{}", hex(&Sha256::digest(&url)));
    } else {
        out.push_str(&word(&url));
    }
    let peer = match line.verdict {
        Verdict::Allow => format!("HIER_DIRECT/{}", word(line.host)),
        Verdict::Block => "HIER_NONE/-".to_owned(),
    };
    let _ = writeln!(out, " {} {peer} -", line.user.map_or_else(|| "-".to_owned(), word));
}

fn url(line: &Line<'_>) -> String {
    let host =
        if line.host.contains(':') { format!("[{}]", line.host) } else { line.host.to_owned() };
    let scheme = match line.scheme {
        Scheme::Tunnel => return format!("{host}:{}", line.port),
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let usual = match line.scheme {
        Scheme::Https => 443,
        _ => 80,
    };
    let path = line.path.unwrap_or("/");
    match line.port {
        0 => format!("{scheme}://{host}{path}"),
        port if port == usual => format!("{scheme}://{host}{path}"),
        port => format!("{scheme}://{host}:{port}{path}"),
    }
}

/// One field: what could end a field or a line is percent-encoded, an empty one is `-`.
fn word(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    let mut word = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_whitespace() || character.is_control() {
            let mut bytes = [0; 4];
            character.encode_utf8(&mut bytes).bytes().for_each(|byte| {
                let _ = write!(word, "%{byte:02X}");
            });
        } else {
            word.push(character);
        }
    }
    word
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The files that lines are copied to.
#[derive(Debug)]
pub(crate) struct Copies {
    native: Option<Waiting>,
    extended: Option<Waiting>,
}

/// A file, and the lines that wait for it.
#[derive(Debug)]
struct Waiting {
    log: SquidLog,
    lines: String,
}

impl Copies {
    pub(crate) fn new(paths: &Paths) -> Self {
        let copy = |path: &Option<PathBuf>| {
            path.as_deref().map(|path| Waiting { log: SquidLog::new(path), lines: String::new() })
        };
        Self { native: copy(&paths.native), extended: copy(&paths.extended) }
    }

    /// Whether any line is wanted at all.
    pub(crate) fn are_wanted(&self) -> bool {
        self.native.is_some() || self.extended.is_some()
    }

    /// Adds the lines of one access.
    pub(crate) fn add(&mut self, line: &Line<'_>, extras: &Extras<'_>) {
        if let Some(copy) = &mut self.native {
            write_line(&mut copy.lines, line);
        }
        if let Some(copy) = &mut self.extended {
            write_extended_line(&mut copy.lines, line, extras);
        }
    }

    /// Writes out what waits. These are copies for other tools: where one cannot be written, the
    /// ledger goes on.
    pub(crate) fn write(&mut self) {
        let waiting = self.native.iter_mut().chain(&mut self.extended);
        for copy in waiting.filter(|copy| !copy.lines.is_empty()) {
            if let Err(error) = copy.log.append(&copy.lines) {
                let path = copy.log.path.display();
                tracing::error!(%error, %path, "the Squid access log cannot be written; lines are missing from it");
            }
            copy.lines.clear();
        }
    }
}

/// The file that lines are appended to; found again after a rotation has moved it away.
#[derive(Debug)]
struct SquidLog {
    path: PathBuf,
    open: Option<(File, u64)>,
}

impl SquidLog {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None }
    }

    /// Appends whole lines with one write.
    fn append(&mut self, lines: &str) -> std::io::Result<()> {
        let inode = std::fs::metadata(&self.path).ok().map(|metadata| metadata.ino());
        let mut file = match self.open.take() {
            Some((file, opened)) if Some(opened) == inode => file,
            _ => OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path)?,
        };
        let opened = file.metadata()?.ino();
        file.write_all(lines.as_bytes())?;
        self.open = Some((file, opened));
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use crate::record::End;

    fn line() -> Line<'static> {
        Line {
            at: UnixMillis(1_795_000_000_100),
            client: [10, 1, 2, 3].into(),
            verdict: Verdict::Allow,
            method: "GET",
            scheme: Scheme::Http,
            host: "library.test",
            port: 80,
            path: Some("/a b"),
            locked: false,
            user: None,
            ended: Ended {
                end: End::Complete,
                status: 200,
                bytes_up: 0,
                bytes_down: 904,
                duration_us: 104_900,
                depth: None,
            },
        }
    }

    fn written(line: &Line<'_>) -> String {
        let mut out = String::new();
        write_line(&mut out, line);
        out
    }

    #[test]
    fn lines_read_as_squid_writes_them() {
        let allowed = "1795000000.204    104 10.1.2.3 TCP_MISS/200 904 GET http://library.test/a%20b - HIER_DIRECT/library.test -\n";
        assert_eq!(written(&line()), allowed);
        let tunnel = Line {
            scheme: Scheme::Tunnel,
            method: "CONNECT",
            port: 443,
            path: None,
            user: Some("pupil01"),
            ..line()
        };
        let tunnelled = "1795000000.204    104 10.1.2.3 TCP_TUNNEL/200 904 CONNECT library.test:443 pupil01 HIER_DIRECT/library.test -\n";
        assert_eq!(written(&tunnel), tunnelled);
        let mut denied = Line { verdict: Verdict::Block, port: 8080, ..line() };
        denied.ended.status = 403;
        let refused = "1795000000.204    104 10.1.2.3 TCP_DENIED/403 904 GET http://library.test:8080/a%20b - HIER_NONE/- -\n";
        assert_eq!(written(&denied), refused);
    }

    #[test]
    fn the_extended_form_has_seven_fields_more_and_hashes_alike() {
        let extras = Extras {
            id: RequestId(1),
            level: "ks3",
            reason: ReasonCode::Category,
            categories: " games social ",
            unblock: None,
            depth: Depth::Name,
        };
        let extended = |line: &Line<'_>, extras: &Extras<'_>| {
            let mut out = String::new();
            write_extended_line(&mut out, line, extras);
            out
        };
        let code = RequestId(1).code();
        let text = extended(&line(), &extras);
        let native = written(&line());
        let more = format!(" {code} ks3 category games,social - name complete\n");
        assert_eq!(text, native.trim_end().to_owned() + &more);
        let opened = Extras { unblock: Some(UnblockId(137)), categories: "", ..extras.clone() };
        let mut looked_into = line();
        looked_into.ended.depth = Some(Depth::Page);
        let text = extended(&looked_into, &opened);
        assert!(
            text.ends_with(&format!(" {code} ks3 category - U-0137 page complete\n")),
            "{text}"
        );
        let locked = Line { verdict: Verdict::Block, locked: true, ..line() };
        let locked = extended(&locked, &extras);
        assert!(!locked.contains("library"), "{locked}");
        let forged = Extras { level: "a b\n1.0", categories: "x\u{a0}y", ..extras };
        let text = extended(&line(), &forged);
        assert_eq!((text.lines().count(), text.split_whitespace().count()), (1, 17), "{text}");
    }

    #[test]
    fn an_address_under_a_locked_category_is_hashed_in_url_and_peer() {
        let locked = Line { verdict: Verdict::Block, locked: true, ..line() };
        let text = written(&locked);
        assert!(!text.contains("library"), "{text}");
        assert!(text.contains(" locked:sha256-"), "{text}");
        assert_eq!(text.split_whitespace().count(), 10);
    }

    #[test]
    fn hostile_names_cannot_forge_a_field_or_a_line() {
        let forged = Line { user: Some("a\n1.0 1 x"), host: "h\r\nx y", ..line() };
        let text = written(&forged);
        assert_eq!((text.lines().count(), text.split_whitespace().count()), (1, 10), "{text}");
    }

    #[test]
    fn a_rotated_log_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut log = SquidLog::new(&path);
        log.append("a\n").unwrap();
        std::fs::rename(&path, folder.path().join("access.log.1")).unwrap();
        log.append("b\n").unwrap();
        log.append("c\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "b\nc\n");
    }
}
