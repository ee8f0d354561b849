//! Sending mail through the school's mail server (RFC 5321, 6409).

use crate::config::{Config, MailSettings, MailTls, Roots};
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for each answer of the server.
const ANSWER: Duration = Duration::from_secs(30);
/// Longest that it may take in all.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most bytes of a password file: a device given by mistake must not fill the memory.
const MAX_PASSWORD_BYTES: u64 = 4_096;

/// Sends a text; the server has taken it once this is done. `id` is the mail's identifier, where another try
/// is to have the same (RFC 5322, 3.6.4).
///
/// # Errors
/// Why not, without any password.
pub(crate) async fn send(
    config: &Config,
    to: &[Mailbox],
    subject: &str,
    text: String,
    id: Option<String>,
) -> Result<(), String> {
    let mail = config.mail.as_ref().ok_or("the machine file has no [mail]")?;
    let mut message = Message::builder().from(mail.from.clone()).subject(subject);
    if id.is_some() {
        message = message.message_id(id);
    }
    for address in to {
        message = message.to(address.clone());
    }
    let message = message.header(ContentType::TEXT_PLAIN).body(text);
    let message = message.map_err(|error| error.to_string())?;
    let transport = transport(config, mail)?;
    let sent = timeout(PATIENCE, transport.send(message)).await;
    match sent {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(in_full(&error)),
        Err(_) => Err("the mail server did not answer in time".to_owned()),
    }
}

fn transport(
    config: &Config,
    mail: &MailSettings,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let tls = match mail.tls {
        MailTls::None => Tls::None,
        MailTls::StartTls => Tls::Required(parameters(config, mail)?),
        MailTls::Implicit => Tls::Wrapper(parameters(config, mail)?),
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host)
        .port(mail.port)
        .tls(tls)
        .timeout(Some(ANSWER));
    if let Some((user, file)) = &mail.account {
        let password = password(file)?;
        transport = transport.credentials(Credentials::new(user.clone(), password));
    }
    Ok(transport.build())
}

/// Whom the server's certificate is held against: as sites' are.
fn parameters(config: &Config, mail: &MailSettings) -> Result<TlsParameters, String> {
    let store = match config.upstream.roots {
        Roots::System => CertificateStore::Default,
        Roots::BuiltIn => CertificateStore::WebpkiRoots,
    };
    let mut parameters = TlsParameters::builder(mail.host.clone()).certificate_store(store);
    for file in &config.upstream.ca_files {
        let read = std::fs::read(file).map_err(|error| error.to_string());
        let certificate =
            read.and_then(|pem| Certificate::from_pem(&pem).map_err(|error| in_full(&error)));
        let certificate = certificate.map_err(|why| format!("{}: {why}", file.display()))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    parameters.build_rustls().map_err(|error| in_full(&error))
}

/// The first line of a file.
fn password(file: &std::path::Path) -> Result<String, String> {
    use std::io::Read;
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(MAX_PASSWORD_BYTES).read_to_string(&mut text).map_err(failed)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(format!("{}: its first line is empty", file.display())),
    }
}

/// An error with what caused it.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    let mut text = error.to_string();
    for cause in causes.map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
