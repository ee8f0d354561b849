//! `[mail]` of the machine file: the server that takes this filter's mail.

use lettre::message::Mailbox;
use serde::Deserialize;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Submission with STARTTLS (RFC 6409).
const SUBMISSION_PORT: u16 = 587;
/// Submission with TLS from the first byte (RFC 8314, 3.3).
const SUBMISSIONS_PORT: u16 = 465;

/// `[mail]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailSettings {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept secret.
    pub tls: MailTls,
    /// Whom the mail comes from.
    pub from: Mailbox,
    /// Account at the server, with the file whose first line is its password.
    pub account: Option<(String, PathBuf)>,
}

/// How the connection to the mail server is kept secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// By STARTTLS, without which nothing is sent (RFC 3207).
    StartTls,
    /// From its first byte (RFC 8314).
    Implicit,
    /// Not at all: to a server on this machine.
    None,
}

impl MailTls {
    const WORDS: [(&str, Self); 3] =
        [("starttls", Self::StartTls), ("implicit", Self::Implicit), ("none", Self::None)];

    /// The word in the machine file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, tls)| *tls == self).map_or("", |(word, _)| word)
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMail {
    server: Spanned<String>,
    tls: Option<Spanned<String>>,
    from: Spanned<String>,
    user: Option<Spanned<String>>,
    password_file: Option<Spanned<String>>,
}

/// Takes a fault: where, what, what to do.
pub(super) type Fault<'a> = dyn FnMut(Range<usize>, String, String) + 'a;

/// Reads an address that mail goes to or comes from.
pub(super) fn mailbox(text: &Spanned<String>, fault: &mut Fault<'_>) -> Option<Mailbox> {
    let read = text.get_ref().parse().ok();
    if read.is_none() {
        let what = format!("{:?} is no mail address", text.get_ref());
        fault(text.span(), what, "write it as in \"filter@school.example\"".to_owned());
    }
    read
}

/// Reads the table.
pub(super) fn read(raw: &RawMail, folder: &Path, fault: &mut Fault<'_>) -> Option<MailSettings> {
    let from = mailbox(&raw.from, fault);
    let tls = tls(raw.tls.as_ref(), fault);
    let (host, port) = server(&raw.server, tls?, fault)?;
    let account = match (&raw.user, &raw.password_file) {
        (None, None) => None,
        (Some(user), Some(file)) => Some((user.get_ref().clone(), folder.join(file.get_ref()))),
        (Some(one), None) | (None, Some(one)) => {
            let fix = "give both `user` and `password_file`, or neither".to_owned();
            fault(one.span(), "an account at the mail server is a name and a password".into(), fix);
            return None;
        }
    };
    let tls = tls?;
    if tls == MailTls::None && account.is_some() {
        let what = "a password is not sent without TLS".to_owned();
        fault(raw.server.span(), what, "set tls to \"starttls\" or \"implicit\"".to_owned());
        return None;
    }
    Some(MailSettings { host, port, tls, from: from?, account })
}

fn tls(raw: Option<&Spanned<String>>, fault: &mut Fault<'_>) -> Option<MailTls> {
    let Some(raw) = raw else { return Some(MailTls::StartTls) };
    let known = MailTls::WORDS.iter().find(|(word, _)| word == raw.get_ref());
    if known.is_none() {
        let what = format!("tls = {:?} is not known", raw.get_ref());
        fault(raw.span(), what, "use \"starttls\", \"implicit\" or \"none\"".to_owned());
    }
    known.map(|(_, tls)| *tls)
}

fn server(raw: &Spanned<String>, tls: MailTls, fault: &mut Fault<'_>) -> Option<(String, u16)> {
    let usual = if tls == MailTls::Implicit { SUBMISSIONS_PORT } else { SUBMISSION_PORT };
    let text = raw.get_ref().as_str();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse()),
        _ => (text, Ok(usual)),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_name = host.parse::<IpAddr>().is_ok() || rules::host::Host::parse(host).is_ok();
    let Some(port) = port.ok().filter(|port| is_name && *port > 0) else {
        let what = format!("{text:?} is no mail server");
        fault(raw.span(), what, "write it as in \"smtp.example.org:587\"".to_owned());
        return None;
    };
    let is_here = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if tls == MailTls::None && !is_here {
        let what = "mail leaves this machine over TLS alone".to_owned();
        let fix = "leave tls out, or name a server at 127.0.0.1 that sends it on".to_owned();
        fault(raw.span(), what, fix);
        return None;
    }
    Some((host.to_owned(), port))
}
