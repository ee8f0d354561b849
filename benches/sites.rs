//! TLS of the origin: an authority of its own, and a certificate for each host that it is asked for.

use crate::load::SITES_AUTHORITY;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// File with the authority's certificate.
pub(crate) const AUTHORITY: &str = "sites.pem";
/// File with the hosts, one a line.
pub(crate) const HOSTS: &str = "hosts.txt";

/// Makes an authority; gives its certificate and key in PEM.
///
/// # Errors
/// A sentence from the library.
pub(crate) fn authority(name: &str) -> Result<(String, KeyPair), rcgen::Error> {
    let key = KeyPair::generate()?;
    Ok((parameters(name)?.self_signed(&key)?.pem(), key))
}

/// Makes an authority and one site's certificate; gives the authority's certificate, the site's, and
/// the site's key, in PEM.
///
/// # Errors
/// A sentence from the library.
pub(crate) fn leaf(name: &str, host: &str) -> Result<(String, String, String), rcgen::Error> {
    let (pem, key) = authority(name)?;
    let issuer = Issuer::new(parameters(name)?, key);
    let leaf_key = KeyPair::generate()?;
    let leaf = CertificateParams::new([host.to_owned()])?.signed_by(&leaf_key, &issuer)?;
    Ok((pem, leaf.pem(), leaf_key.serialize_pem()))
}

fn parameters(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.distinguished_name.push(DnType::CommonName, name);
    Ok(parameters)
}

/// Certificates by host.
#[derive(Debug)]
struct Sites {
    by_host: HashMap<String, Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Sites {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.by_host.get(hello.server_name()?).cloned()
    }
}

/// Reads the hosts of a folder, makes an authority and their certificates, writes the authority's
/// own there, and gives the server's configuration.
///
/// # Errors
/// A sentence that says what failed.
pub(crate) fn server(folder: &Path, http2: bool) -> Result<Arc<ServerConfig>, String> {
    let say = |error: rcgen::Error| error.to_string();
    let hosts = std::fs::read_to_string(folder.join(HOSTS)).map_err(|error| error.to_string())?;
    let key = KeyPair::generate().map_err(say)?;
    let pem = parameters(SITES_AUTHORITY).and_then(|it| it.self_signed(&key)).map_err(say)?.pem();
    let issuer = Issuer::new(parameters(SITES_AUTHORITY).map_err(say)?, key);
    let leaf_key = KeyPair::generate().map_err(say)?;
    let signing = PrivateKeyDer::from_pem_slice(leaf_key.serialize_pem().as_bytes())
        .map_err(|error| error.to_string())?;
    let signing =
        aws_lc_rs::sign::any_supported_type(&signing).map_err(|error| error.to_string())?;
    let mut by_host = HashMap::new();
    for host in hosts.lines() {
        let leaf = CertificateParams::new([host.to_owned()])
            .and_then(|params| params.signed_by(&leaf_key, &issuer))
            .map_err(say)?;
        let certified = CertifiedKey::new(vec![leaf.der().clone()], Arc::clone(&signing));
        by_host.insert(host.to_owned(), Arc::new(certified));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Sites { by_host }));
    config.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    // Whoever sees the authority may connect.
    std::fs::write(folder.join(AUTHORITY), pem).map_err(|error| error.to_string())?;
    Ok(Arc::new(config))
}

/// TLS of a client that trusts these authorities (PEM) alone.
///
/// # Errors
/// A sentence: the PEM is none.
pub(crate) fn client(pems: &[&[u8]], alpn: &str) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in pems.iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem)) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let mut provider = aws_lc_rs::default_provider();
    // The order of the browsers: the shorter key first.
    let browsers_first = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites.sort_by_key(|suite| *suite != browsers_first);
    let provider = Arc::new(provider);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    Ok(config)
}
