//! Squid's native access log: one line an access, for tools that schools already have.
//!
//! `time.ms elapsed client code/status bytes method URL user hierarchy/peer type`. Queries are never
//! seen here; the user stands only where proved; an address under a locked category is a hash.

use crate::record::Ended;
use rules::decide::Verdict;
use rules::target::Scheme;
use rules::time::UnixMillis;
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

/// The file that lines are appended to; found again after a rotation has moved it away.
#[derive(Debug)]
pub(crate) struct SquidLog {
    path: PathBuf,
    open: Option<(File, u64)>,
}

impl SquidLog {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None }
    }

    /// Appends whole lines with one write.
    pub(crate) fn append(&mut self, lines: &str) -> std::io::Result<()> {
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
