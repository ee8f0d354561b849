//! One authority: its certificate, and its key in memory.

use super::seal::{self, Passphrase};
use super::store::{Standing, Store};
use super::{AuthorityError, hex};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use pkcs8::SecretDocument;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyUsagePurpose,
    PublicKeyData, SerialNumber, SigningKey,
};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Longest life of an authority, in years of 365 days.
pub const MAX_ROOT_YEARS: u8 = 10;

/// Seconds in a day.
pub(super) const DAY_S: i64 = 86_400;

/// Longest common name, in characters (RFC 5280, A.1: ub-common-name).
const MAX_NAME_CHARS: usize = 64;

/// What a root certificate says of itself; nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its common name, e.g. `Example Academy Schoolgate CA 2026 3f9a`.
    pub name: String,
    /// SHA-256 of the certificate: pairs of upper-case hex digits with colons, as browsers show it.
    pub fingerprint: String,
    /// First second of its life, since 1970.
    pub not_before: i64,
    /// Last second of its life, since 1970.
    pub not_after: i64,
}

impl Facts {
    /// Reads them from a certificate; `None` if it is none.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let name = parsed.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
        Some(Self {
            name,
            fingerprint: fingerprint(certificate),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }
}

/// The authority that signs now, with its key in memory.
pub struct Authority {
    certificate: CertificateDer<'static>,
    facts: Facts,
    issuer: Issuer<'static, RootKey>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Authority {
    /// Loads the authority that signs from the store's folder (`STATE/ca`); `None`: none was made.
    /// From then on the process cannot be dumped ([`super::forbid_core_dumps`]). Opening a sealed
    /// key takes some 200 ms.
    ///
    /// # Errors
    /// [`AuthorityError`]: files that cannot be read, that others may read, that do not fit
    /// together, or a key that stays sealed.
    pub fn load(
        folder: &Path,
        secret: Option<&Passphrase>,
    ) -> Result<Option<Self>, AuthorityError> {
        let store = Store::at(folder);
        let entries = store.entries()?;
        let Some(entry) = entries.into_iter().find(|entry| entry.standing == Standing::Signs)
        else {
            return Ok(None);
        };
        let path = store.key_path(&entry.id);
        let key = RootKey::from_pkcs8(&seal::read_key(&path, secret)?)
            .map_err(|_| AuthorityError::damaged(&path, "this is no P-256 key"))?;
        Self::assemble(entry.certificate, key)
            .ok_or_else(|| AuthorityError::damaged(&path, "the key is not its certificate's"))
            .map(Some)
    }

    /// The two together; `None` where they do not belong together.
    pub(super) fn assemble(certificate: CertificateDer<'static>, key: RootKey) -> Option<Self> {
        let facts = Facts::read(&certificate)?;
        let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
        if *parsed.public_key().subject_public_key.data != *key.der_bytes() {
            return None;
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).ok()?;
        Some(Self { certificate, facts, issuer })
    }

    /// The root certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 of the certificate, as browsers show it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.facts.fingerprint.clone()
    }

    /// Last second of its life, since 1970.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.facts.not_after
    }

    /// What the certificate says of itself.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, RootKey> {
        &self.issuer
    }
}

/// The authority's key. aws-lc holds the secret and wipes that memory when it is freed; rcgen's own
/// key pair would keep a plain copy beside it.
pub(super) struct RootKey {
    pair: EcdsaKeyPair,
}

impl RootKey {
    pub(super) fn generate() -> Result<Self, AuthorityError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING);
        pair.map(|pair| Self { pair }).map_err(|error| AuthorityError::Key(error.to_string()))
    }

    pub(super) fn from_pkcs8(der: &SecretDocument) -> Result<Self, AuthorityError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.as_bytes());
        pair.map(|pair| Self { pair }).map_err(|error| AuthorityError::Key(error.to_string()))
    }

    /// The key as PKCS#8, in memory that is wiped.
    pub(super) fn to_pkcs8(&self) -> Result<SecretDocument, AuthorityError> {
        let der = self.pair.to_pkcs8v1().map_err(|error| AuthorityError::Key(error.to_string()))?;
        SecretDocument::try_from(der.as_ref())
            .map_err(|error| AuthorityError::Key(error.to_string()))
    }
}

impl PublicKeyData for RootKey {
    fn der_bytes(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for RootKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signed = self.pair.sign(&SystemRandom::new(), message);
        signed
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// Signs a new root with its own key: P-256, `pathlen:0`, for signing certificates and CRLs alone.
pub(super) fn make(
    key: &RootKey,
    school: &str,
    years: u8,
    now: i64,
) -> Result<CertificateDer<'static>, AuthorityError> {
    // A device whose clock is slow must not find that the authority lies in the future.
    let not_before = now - DAY_S;
    let not_after = not_before + i64::from(years.clamp(1, MAX_ROOT_YEARS)) * 365 * DAY_S - 1;
    let mut params = CertificateParams::default();
    set_life(&mut params, not_before, not_after);
    params.serial_number = Some(serial()?);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name(school, now)?);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate =
        params.self_signed(key).map_err(|error| AuthorityError::Key(error.to_string()))?;
    Ok(certificate.der().clone())
}

/// `Example Academy Schoolgate CA 2026 3f9a`: the digits keep two authorities of one year apart in
/// a device's list. A long school name is cut, the rest never.
fn common_name(school: &str, now: i64) -> Result<String, AuthorityError> {
    let mut tail = [0; 2];
    random(&mut tail)?;
    let year = jiff::Timestamp::from_second(now)
        .map_or(1970, |at| at.to_zoned(jiff::tz::TimeZone::UTC).year());
    let rest = format!("Schoolgate CA {year} {}", hex(&tail));
    let plain: String = school.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let room = MAX_NAME_CHARS - rest.chars().count() - 1;
    let cut: String = plain.trim().chars().take(room).collect();
    Ok(format!("{} {rest}", cut.trim_end()).trim_start().to_owned())
}

/// A serial of 16 bytes, 126 of its bits random: positive, and never short (RFC 5280, 4.1.2.2).
pub(super) fn serial() -> Result<SerialNumber, AuthorityError> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

pub(super) fn random(bytes: &mut [u8]) -> Result<(), AuthorityError> {
    aws_lc_rs::rand::fill(bytes).map_err(|error| AuthorityError::Key(error.to_string()))
}

/// SHA-256 as browsers and device managers show it.
pub(super) fn fingerprint(certificate: &[u8]) -> String {
    let pairs: Vec<String> =
        Sha256::digest(certificate).iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

/// First and last second of a certificate's life, both included (RFC 5280, 4.1.2.5).
pub(super) fn set_life(params: &mut CertificateParams, not_before: i64, not_after: i64) {
    let start = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = start + Duration::from_secs(not_before.max(0).unsigned_abs());
    params.not_after = start + Duration::from_secs(not_after.max(0).unsigned_abs());
}
