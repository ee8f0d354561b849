//! stub
use rules::decide::ReasonCode;
use rules::host::Host;
use rules::inspect::CertificateFaults;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpStream;
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Alpn {
    Both,
    Http1,
}
pub(crate) struct UpstreamTls {
    h2: Arc<rustls::ClientConfig>,
    h1: Arc<rustls::ClientConfig>,
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct UpstreamTlsError;
pub(crate) struct Secured {
    pub stream: tokio_rustls::client::TlsStream<TcpStream>,
    pub h2: bool,
}
pub(crate) enum TlsFault {
    Refused(ReasonCode, String),
    Broken(std::io::Error),
}
impl UpstreamTls {
    pub(crate) fn new(ca: &[PathBuf], _: &[PathBuf]) -> Result<Self, UpstreamTlsError> {
        use rustls::pki_types::pem::PemObject;
        let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for f in ca {
            for c in
                rustls::pki_types::CertificateDer::pem_file_iter(f).map_err(|_| UpstreamTlsError)?
            {
                roots.add(c.map_err(|_| UpstreamTlsError)?).map_err(|_| UpstreamTlsError)?;
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let c = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut h2 = c.clone();
        h2.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut h1 = c;
        h1.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { h2: Arc::new(h2), h1: Arc::new(h1) })
    }
    pub(crate) async fn connect(
        &self,
        h: &Host,
        s: TcpStream,
        a: Alpn,
        _e: Option<CertificateFaults>,
    ) -> Result<Secured, TlsFault> {
        let c = if a == Alpn::Both { &self.h2 } else { &self.h1 };
        let name = rustls::pki_types::ServerName::try_from(h.as_str().to_owned())
            .map_err(|e| TlsFault::Broken(std::io::Error::other(e)))?;
        match tokio_rustls::TlsConnector::from(Arc::clone(c)).connect(name, s).await {
            Ok(stream) => {
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Ok(Secured { stream, h2 })
            }
            Err(e) => Err(TlsFault::Refused(ReasonCode::TlsUntrusted, e.to_string())),
        }
    }
}
