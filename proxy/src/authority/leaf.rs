//! What a leaf certificate says: names, life, use.

use super::MintError;
use super::root::{Authority, DAY_S, serial, set_life};
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};
use rules::host::Host;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::net::IpAddr;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Longest life of a leaf, in days, both ends counted.
pub const MAX_LEAF_DAYS: i64 = 90;

/// Most names in a leaf. Shared hosting has certificates of some hundred; the asked host always
/// stands first.
const MAX_NAMES: usize = 200;

/// What is copied from the upstream's own certificate, once it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamCertificate {
    /// DNS names it holds for, as written there; may start with `*.`.
    pub dns_names: Vec<String>,
    /// Addresses it holds for.
    pub addresses: Vec<IpAddr>,
    /// Last second of its life, since 1970.
    pub not_after: i64,
    /// SHA-256 over the whole chain as sent: another chain is another leaf.
    pub chain_digest: [u8; 32],
}

impl UpstreamCertificate {
    /// Reads the chain that the upstream sent and that was verified, its own certificate first.
    ///
    /// # Errors
    /// [`MintError::Upstream`]: the first is no certificate, or its names cannot be read. The
    /// verifier would have refused either.
    pub fn from_chain(chain: &[CertificateDer<'_>]) -> Result<Self, MintError> {
        let own = chain.first().ok_or(MintError::Upstream("it sent no certificate"))?;
        let (_, parsed) = X509Certificate::from_der(own)
            .map_err(|_| MintError::Upstream("its certificate cannot be read"))?;
        let names = parsed
            .subject_alternative_name()
            .map_err(|_| MintError::Upstream("the names of its certificate cannot be read"))?;
        let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
        let names = names.iter().flat_map(|extension| &extension.value.general_names);
        for name in names.take(MAX_NAMES) {
            match name {
                GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        let mut digest = Sha256::new();
        for certificate in chain {
            // With its length, so that two chains never run together into the same bytes.
            digest.update((certificate.len() as u64).to_be_bytes());
            digest.update(certificate);
        }
        Ok(Self {
            dns_names,
            addresses,
            not_after: parsed.validity().not_after.timestamp(),
            chain_digest: digest.finalize().into(),
        })
    }
}

/// RFC 5280, 4.2.1.6: four or sixteen bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// A signed leaf and the last second of its life.
pub(super) struct Leaf {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) not_after: i64,
}

/// Signs a leaf for `host`, at `now` (seconds since 1970).
pub(super) fn sign(
    authority: &Authority,
    key: &KeyPair,
    host: &Host,
    upstream: Option<&UpstreamCertificate>,
    now: i64,
) -> Result<Leaf, MintError> {
    let root = authority.facts();
    if !(root.not_before..=root.not_after).contains(&now) {
        return Err(MintError::AuthorityEnded);
    }
    let ends = upstream.map_or(i64::MAX, |upstream| upstream.not_after);
    if ends < now {
        return Err(MintError::Upstream("its certificate has ended"));
    }
    let not_before = (now - DAY_S).max(root.not_before);
    let longest = now - DAY_S + MAX_LEAF_DAYS * DAY_S - 1;
    let not_after = longest.min(ends).min(root.not_after);
    let mut params = CertificateParams::default();
    set_life(&mut params, not_before, not_after);
    params.serial_number = Some(serial().map_err(|error| MintError::Sign(error.to_string()))?);
    // No common name: names stand in the extension, which is critical then (RFC 5280, 4.2.1.6).
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = names(host, upstream)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let signed = params
        .signed_by(key, authority.issuer())
        .map_err(|error| MintError::Sign(error.to_string()))?;
    Ok(Leaf { certificate: signed.der().clone(), not_after })
}

/// The asked host first, then the upstream's own names, without what is no name.
fn names(host: &Host, upstream: Option<&UpstreamCertificate>) -> Result<Vec<SanType>, MintError> {
    let dns = |name: String| {
        let name = name.try_into().map_err(|_| MintError::Sign("a name is not ASCII".to_owned()));
        name.map(SanType::DnsName)
    };
    let mut known = HashSet::new();
    let mut names = vec![match host.address() {
        Some(address) => SanType::IpAddress(address),
        None => dns(host.as_str().to_owned())?,
    }];
    known.insert(host.as_str().to_owned());
    let Some(upstream) = upstream else { return Ok(names) };
    for name in &upstream.dns_names {
        if names.len() == MAX_NAMES {
            break;
        }
        if let Some(name) = canonical(name)
            && known.insert(name.clone())
        {
            names.push(dns(name)?);
        }
    }
    for address in &upstream.addresses {
        if names.len() == MAX_NAMES {
            break;
        }
        if known.insert(Host::from_address(*address).as_str().to_owned()) {
            names.push(SanType::IpAddress(*address));
        }
    }
    Ok(names)
}

/// A DNS name in its one spelling, with at most a leading `*.`; `None` for anything else.
fn canonical(name: &str) -> Option<String> {
    let (star, rest) = name.strip_prefix("*.").map_or(("", name), |rest| ("*.", rest));
    let host = Host::parse(rest).ok().filter(|host| host.address().is_none())?;
    Some(format!("{star}{}", host.as_str()))
}
