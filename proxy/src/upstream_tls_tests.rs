//! What is made of sites' certificates, told by real servers: rustls for each fault of a
//! certificate, OpenSSL for what rustls would not serve.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

static MADE: AtomicU32 = AtomicU32::new(0);

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("Authority {}", MADE.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> Served {
        let mut params = CertificateParams::new(vec!["site.test".to_owned()]).unwrap();
        change(&mut params);
        params.distinguished_name.push(DnType::CommonName, "site.test");
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Served { chain: vec![certificate.der().clone()], key: key.serialize_der() }
    }
}

struct Served {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

/// Serves TLS on a port of its own, and sends a byte on each connection.
async fn serve(served: Served, alpn: &[&[u8]]) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(served.key));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(served.chain, key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    // With TLS 1.3 the ticket comes before it.
                    let _ = stream.write_all(b"x").await;
                    let _ = stream.shutdown().await;
                }
            });
        }
    });
    address
}

/// No root but that of a file.
fn only(file: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in roots::pem(file).unwrap() {
        roots.add(certificate).unwrap();
    }
    roots
}

/// TLS to sites that trusts one authority, with its revocation list if there is one.
fn trusting(authority: &Authority, crl: Option<String>) -> UpstreamTls {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, authority.issuer.pem()).unwrap();
    let crls: Vec<PathBuf> = crl
        .map(|crl| {
            let file = folder.path().join("crl.pem");
            std::fs::write(&file, crl).unwrap();
            file
        })
        .into_iter()
        .collect();
    UpstreamTls::new(only(&root), &crls).unwrap()
}

async fn connect(
    tls: &UpstreamTls,
    to: SocketAddr,
    accepted: &[ReasonCode],
) -> Result<Secured, TlsFault> {
    let mut faults = CertificateFaults::default();
    faults.extend(accepted.iter().copied());
    let host = Host::parse("site.test").unwrap();
    let stream = TcpStream::connect(to).await.unwrap();
    tls.connect(&host, stream, Alpn::Both, Some(faults)).await
}

async fn code(tls: &UpstreamTls, to: SocketAddr, accepted: &[ReasonCode]) -> &'static str {
    match connect(tls, to, accepted).await {
        Ok(_) => "ok",
        Err(TlsFault::Refused(code, _)) => code.as_str(),
        Err(TlsFault::Broken) => "broken",
    }
}

use ReasonCode as Code;

#[tokio::test]
async fn each_fault_of_a_certificate_is_told_by_its_own_reason() {
    let authority = Authority::new();
    let tls = trusting(&authority, None);
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    };
    let misnamed = |params: &mut CertificateParams| {
        *params = CertificateParams::new(vec!["other.test".to_owned()]).unwrap();
    };
    let self_signed = {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["site.test".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Served { chain: vec![certificate.der().clone()], key: key.serialize_der() }
    };
    let cases: Vec<(&str, Served, &[Code], &str)> = vec![
        ("good", authority.sign(|_| {}), &[], "ok"),
        ("expired", authority.sign(expired), &[], "tls_expired"),
        ("expired, accepted", authority.sign(expired), &[Code::TlsExpired], "ok"),
        ("expired, another accepted", authority.sign(expired), &[Code::TlsName], "tls_expired"),
        (
            "not yet valid",
            authority.sign(|params| params.not_before = date_time_ymd(4000, 1, 1)),
            &[],
            "tls_expired",
        ),
        ("another name", authority.sign(misnamed), &[], "tls_name"),
        ("another name, accepted", authority.sign(misnamed), &[Code::TlsName], "ok"),
        (
            "expired behind a name",
            authority.sign(|params| {
                misnamed(params);
                expired(params);
            }),
            &[Code::TlsName],
            "tls_expired",
        ),
        ("of nobody", Authority::new().sign(|_| {}), &[], "tls_untrusted"),
        ("of nobody, accepted", Authority::new().sign(|_| {}), &[Code::TlsUntrusted], "ok"),
        (
            "of nobody and misnamed",
            Authority::new().sign(misnamed),
            &[Code::TlsUntrusted],
            "tls_name",
        ),
        ("its own", self_signed, &[], "tls_self_signed"),
    ];
    for (what, served, accepted, expected) in cases {
        let address = serve(served, &[]).await;
        assert_eq!(code(&tls, address, accepted).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_withdrawn_certificate_is_refused_whatever_was_accepted() {
    let authority = Authority::new();
    let serial = SerialNumber::from(77u64);
    let crl = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        // Past its end: what it withdrew stays withdrawn.
        next_update: date_time_ymd(2020, 2, 1),
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: serial.clone(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let crl = crl.signed_by(&authority.issuer).unwrap().pem().unwrap();
    let tls = trusting(&authority, Some(crl));
    let withdrawn = serve(authority.sign(|params| params.serial_number = Some(serial)), &[]).await;
    let good = serve(authority.sign(|_| {}), &[]).await;
    assert_eq!(code(&tls, withdrawn, &[]).await, "tls_revoked");
    assert_eq!(code(&tls, withdrawn, &CertificateFaults::ACCEPTABLE).await, "tls_revoked");
    assert_eq!(code(&tls, good, &[]).await, "ok");
}

#[tokio::test]
async fn the_site_chooses_the_protocol_and_a_second_connection_resumes() {
    let authority = Authority::new();
    let tls = trusting(&authority, None);
    let both = serve(authority.sign(|_| {}), &[b"h2", b"http/1.1"]).await;
    let host = Host::parse("site.test").unwrap();
    for (alpn, http2) in [(Alpn::Both, true), (Alpn::Http1, false)] {
        let stream = TcpStream::connect(both).await.unwrap();
        assert_eq!(tls.connect(&host, stream, alpn, None).await.unwrap().h2, http2);
    }
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let stream = TcpStream::connect(both).await.unwrap();
        let mut secured = tls.connect(&host, stream, Alpn::Both, None).await.unwrap();
        let mut byte = [0];
        tokio::io::AsyncReadExt::read_exact(&mut secured.stream, &mut byte).await.unwrap();
        kinds.push(secured.stream.get_ref().1.handshake_kind());
    }
    assert_eq!(kinds[1], Some(rustls::HandshakeKind::Resumed), "{kinds:?}");
    // What was excused is never resumed as verified, nor the other way round.
    let excused = connect(&tls, both, &[Code::TlsExpired]).await.unwrap();
    assert_eq!(excused.stream.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
}

#[tokio::test]
async fn what_is_no_tls_and_what_hangs_up_are_told_apart() {
    let tls = trusting(&Authority::new(), None);
    for (said, expected) in
        [(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "tls_protocol"), (b"", "broken")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 512];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut hello).await;
            stream.write_all(said).await.unwrap();
        });
        assert_eq!(code(&tls, address, &[]).await, expected);
    }
}

/// OpenSSL's server, ended when dropped.
struct OpenSsl(std::process::Child);

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts OpenSSL's server with a certificate of this name, and waits until it answers. A port that
/// was free may be another's by then: the server ends, and another port is tried.
async fn openssl_server(folder: &Path, name: &str, extra: &[&str]) -> (OpenSsl, SocketAddr) {
    for _ in 0..10 {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let child = Command::new("openssl")
            .args(["s_server", "-www", "-accept", &port.to_string()])
            .args(["-cert", &format!("{name}.pem"), "-key", &format!("{name}.key")])
            .args(extra)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = OpenSsl(child);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        // A busy machine takes its time to start it.
        for _ in 0..1_000 {
            if server.0.try_wait().unwrap().is_some() {
                break;
            }
            if TcpStream::connect(address).await.is_ok() {
                return (server, address);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    panic!("OpenSSL's server does not start with {name} {extra:?}");
}

#[tokio::test]
async fn weak_keys_and_old_protocols_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let request = |bits: u32, name: &str| {
        openssl(&format!(
            "req -x509 -newkey rsa:{bits} -nodes -keyout {name}.key -out {name}.pem -days 30 \
             -subj /CN=site.test -addext subjectAltName=DNS:site.test"
        ));
    };
    request(1024, "weak");
    request(2048, "strong");
    let cases: [(&str, &[&str], &[&str]); 3] = [
        ("weak", &["-cipher", "DEFAULT@SECLEVEL=0"], &["tls_weak"]),
        ("strong", &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], &["tls_protocol"]),
        ("strong", &["-tls1_2", "-cipher", "AES128-SHA"], &["tls_protocol"]),
    ];
    for (name, extra, expected) in cases {
        let (_server, address) = openssl_server(folder.path(), name, extra).await;
        // The certificate itself is trusted: what is refused is its strength.
        let tls = UpstreamTls::new(only(&folder.path().join("strong.pem")), &[]).unwrap();
        let told = code(&tls, address, &CertificateFaults::ACCEPTABLE).await;
        assert!(expected.contains(&told), "{name} {extra:?}: {told}");
    }
}

#[test]
fn files_that_hold_something_else_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.pem");
    std::fs::write(&file, "nothing").unwrap();
    let error = UpstreamTls::new(RootCertStore::empty(), &[file]).err().unwrap().to_string();
    assert!(error.contains("empty.pem"), "{error}");
}
