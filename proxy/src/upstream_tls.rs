//! TLS to the site, verified: the chain against the roots ([`crate::roots`]), the name,
//! the time, the revocation lists given, and the strength of the keys.
//!
//! A revocation list is used past its `nextUpdate`, as what it withdrew stays withdrawn; a
//! certificate that no list speaks of counts as not revoked. Stapled OCSP answers are not checked:
//! rustls hands them over, but webpki has no check for them.

use crate::roots::{self, RootsError};
use rules::decide::ReasonCode;
use rules::host::Host;
use rules::inspect::CertificateFaults;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Sites whose sessions are kept for resumption.
const SESSIONS: usize = 1024;
/// Fewest bits of an RSA key (NIST SP 800-131A; CA/Browser Forum requirements, 6.1.5).
const RSA_BITS: usize = 2048;
/// The gravest fault first: of several that were not accepted, this one is told.
const GRAVEST: [ReasonCode; 7] = [
    ReasonCode::TlsRevoked,
    ReasonCode::TlsWeak,
    ReasonCode::TlsProtocol,
    ReasonCode::TlsSelfSigned,
    ReasonCode::TlsUntrusted,
    ReasonCode::TlsName,
    ReasonCode::TlsExpired,
];

/// The protocols offered to the site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Alpn {
    /// HTTP/2 and HTTP/1.1.
    Both,
    /// For upgrades (WebSocket).
    Http1,
}

/// How sites are connected to over TLS; one for the process.
pub(crate) struct UpstreamTls {
    verifier: Arc<WebPkiServerVerifier>,
    http2: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

/// Why the roots or revocation lists of the machine file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamTlsError {
    /// A file cannot be read, or holds something else.
    #[error(transparent)]
    File(#[from] RootsError),
    /// The verifier cannot be made of them.
    #[error("the certificates and revocation lists under [upstream] cannot be used: {0}")]
    Unusable(String),
}

/// A connection to a site that was verified.
pub(crate) struct Secured {
    pub(crate) stream: tokio_rustls::client::TlsStream<TcpStream>,
    pub(crate) h2: bool,
}

/// Why there is no verified connection.
#[derive(Debug)]
pub(crate) enum TlsFault {
    /// One of the `tls_*` codes; the detail names no host.
    Refused(ReasonCode, String),
    /// The connection failed or was closed without an alert (RFC 8446, 6): no word about trust.
    Broken,
}

impl UpstreamTls {
    /// Verifies against these roots and the revocation lists, in PEM.
    ///
    /// # Errors
    /// A file that cannot be read or used, or one with nothing of its kind in it.
    pub(crate) fn new(roots: RootCertStore, crl: &[PathBuf]) -> Result<Self, UpstreamTlsError> {
        let mut lists = Vec::new();
        for file in crl {
            lists.extend(roots::pem::<CertificateRevocationListDer<'static>>(file)?);
        }
        let unusable =
            |error: &dyn std::fmt::Display| UpstreamTlsError::Unusable(error.to_string());
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        // As browsers do: the same strength in practice, and SHA-256 is what processors are fast at.
        provider
            .cipher_suites
            .sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let provider = Arc::new(provider);
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .with_crls(lists)
                .allow_unknown_revocation_status()
                .build()
                .map_err(|error| unusable(&error))?;
        let site =
            SiteVerifier { inner: Arc::clone(&verifier), accepted: CertificateFaults::default() };
        let mut http2 = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(site))
            .with_no_client_auth();
        http2.resumption = Resumption::in_memory_sessions(SESSIONS);
        let mut http1 = http2.clone();
        http2.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { verifier, http2: Arc::new(http2), http1: Arc::new(http1) })
    }

    /// Shakes hands with the site; the caller limits the time. With `accepted`, a certificate all
    /// of whose faults are among them will do, and no session is resumed or kept.
    pub(crate) async fn connect(
        &self,
        host: &Host,
        stream: TcpStream,
        alpn: Alpn,
        accepted: Option<CertificateFaults>,
    ) -> Result<Secured, TlsFault> {
        let config = if alpn == Alpn::Both { &self.http2 } else { &self.http1 };
        let config = match accepted.filter(|accepted| !accepted.is_empty()) {
            None => Arc::clone(config),
            Some(accepted) => {
                let mut config = ClientConfig::clone(config);
                config.resumption = Resumption::disabled();
                let inner = Arc::clone(&self.verifier);
                let verifier = Arc::new(SiteVerifier { inner, accepted });
                config.dangerous().set_certificate_verifier(verifier);
                Arc::new(config)
            }
        };
        // An address is verified against the addresses of the certificate, and not sent.
        let name = match host.address() {
            Some(address) => ServerName::from(address),
            None => ServerName::try_from(host.as_str().to_owned()).map_err(|error| {
                TlsFault::Refused(ReasonCode::TlsName, format!("no name for TLS: {error}"))
            })?,
        };
        match tokio_rustls::TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => {
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Ok(Secured { stream, h2 })
            }
            Err(error) => Err(told(&error)),
        }
    }
}

/// What a failed handshake comes to. Bytes that are no TLS are a fault of the protocol: a TLS
/// server answers with an alert (RFC 8446, 6.2).
fn told(error: &io::Error) -> TlsFault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let refused = match inner {
        None => None,
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) => {
            other.downcast_ref::<Faulty>().map(|faulty| (faulty.0, faulty.to_string()))
        }
        // Of the handshake's own signature: the certificate's faults are all `Faulty`.
        Some(rustls::Error::InvalidCertificate(_)) => {
            Some((ReasonCode::TlsProtocol, "the handshake is not signed by its key".into()))
        }
        Some(other) => Some((ReasonCode::TlsProtocol, other.to_string())),
    };
    match refused {
        Some((code, detail)) => TlsFault::Refused(code, detail),
        None => TlsFault::Broken,
    }
}

/// A certificate's gravest fault that was not accepted.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is refused: {}", .0.as_str())]
struct Faulty(ReasonCode);

/// Finds all faults of a certificate, so that one that was accepted hides no other.
#[derive(Debug)]
struct SiteVerifier {
    inner: Arc<WebPkiServerVerifier>,
    accepted: CertificateFaults,
}

impl SiteVerifier {
    fn faults(
        &self,
        chain: (&CertificateDer<'_>, &[CertificateDer<'_>]),
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Vec<ReasonCode> {
        use CertificateError as E;
        let (end, between) = chain;
        let Ok((_, leaf)) = X509Certificate::from_der(end) else {
            return vec![ReasonCode::TlsProtocol];
        };
        let mut faults = Vec::new();
        if std::iter::once(end).chain(between).any(weak) {
            faults.push(ReasonCode::TlsWeak);
        }
        let verify = |at| match self.inner.verify_server_cert(end, between, name, &[], at) {
            Ok(_) => None,
            Err(rustls::Error::InvalidCertificate(error)) => Some(error),
            Err(_) => Some(E::BadEncoding),
        };
        let mut error = verify(now);
        if error.as_ref().is_some_and(out_of_time) {
            faults.push(ReasonCode::TlsExpired);
            // What else is wrong shows at a time when the certificate held.
            let held = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or_default();
            let held = held.saturating_sub(1);
            error = verify(UnixTime::since_unix_epoch(Duration::from_secs(held)));
        }
        let Some(error) = error else { return faults };
        faults.push(match error {
            E::Revoked => ReasonCode::TlsRevoked,
            E::NotValidForName | E::NotValidForNameContext { .. } => ReasonCode::TlsName,
            E::UnsupportedSignatureAlgorithmContext { .. }
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => ReasonCode::TlsWeak,
            // Most of these say that they are authorities, and fail as such before their issuer does.
            _ if self_signed(&leaf) => ReasonCode::TlsSelfSigned,
            // Of another time than its issuer's: there is no moment at which both held.
            E::UnknownIssuer | E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
                ReasonCode::TlsUntrusted
            }
            error if out_of_time(&error) => ReasonCode::TlsUntrusted,
            // Forged or unreadable: nothing that a school could accept.
            _ => ReasonCode::TlsProtocol,
        });
        // The name is looked at last: a chain that does not hold hides it.
        let misnamed = ParsedCertificate::try_from(end)
            .and_then(|parsed| verify_server_name(&parsed, name))
            .is_err();
        if misnamed && !faults.contains(&ReasonCode::TlsName) {
            faults.push(ReasonCode::TlsName);
        }
        faults
    }
}

fn out_of_time(error: &CertificateError) -> bool {
    use CertificateError as E;
    matches!(
        error,
        E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. }
    )
}

fn self_signed(certificate: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == certificate.subject().as_raw()
}

/// Whether a certificate's key is too short, or does not read. Signatures with SHA-1 and MD5 are
/// none that the verifier knows.
fn weak(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return true };
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => key.key_size() < RSA_BITS,
        Ok(_) => false,
        Err(_) => true,
    }
}

impl ServerCertVerifier for SiteVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let faults = self.faults((end_entity, intermediates), server_name, now);
        let told = GRAVEST
            .into_iter()
            .find(|code| faults.contains(code) && !self.accepted.contains(*code));
        match told {
            None => Ok(ServerCertVerified::assertion()),
            Some(code) => Err(CertificateError::Other(OtherError(Arc::new(Faulty(code)))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
#[path = "upstream_tls_tests.rs"]
mod tests;
