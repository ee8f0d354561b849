//! Signs certificates for inspected connections, each host once, and keeps them in memory.

use super::leaf::{self, UpstreamCertificate};
use super::{Authority, now_s};
use quick_cache::sync::Cache;
use rcgen::KeyPair;
use rules::host::Host;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, kx_group, sign::any_ecdsa_type};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls_pki_types::PrivateKeyDer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

/// A leaf is signed anew when so much of its life is left, in seconds; of a shorter one, half.
const RENEW_S: i64 = 7 * 86_400;

/// Sessions of TLS 1.2 clients without tickets that can be resumed.
const MOST_SESSIONS: usize = 4_096;

/// For whom a certificate is wanted.
#[derive(Clone, Copy, Debug)]
pub struct LeafFacts<'a> {
    /// The host that the client asked for.
    pub host: &'a Host,
    /// The upstream's own certificate, verified; `None`: nothing was dialled (a block page), and
    /// the leaf holds for `host` alone.
    pub upstream: Option<&'a UpstreamCertificate>,
}

/// Why there is no certificate for a host.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MintError {
    /// The authority's own life is over (or has not begun, by this machine's clock).
    #[error("the school's authority is outside its dates; see: schoolgate ca show")]
    AuthorityEnded,
    /// What the upstream sent cannot be copied.
    #[error("the upstream's certificate cannot be copied: {0}")]
    Upstream(&'static str),
    /// Signing failed.
    #[error("signing a certificate failed: {0}")]
    Sign(String),
}

/// Signs leaves under one authority; one for all workers of the process.
///
/// All leaves have the same P-256 key, made when the minter is. Tickets and sessions are shared by
/// its leaves and by nobody else's: a session of an authority that no longer signs is not resumed.
pub struct Minter {
    authority: Arc<Authority>,
    key: KeyPair,
    signer: Arc<dyn SigningKey>,
    provider: Arc<CryptoProvider>,
    ticketer: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions + Send + Sync>,
    leaves: Cache<LeafKey, Arc<Kept>>,
    signed: AtomicU64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LeafKey {
    host: Host,
    chain: Option<[u8; 32]>,
}

struct Kept {
    config: Arc<ServerConfig>,
    /// From this second on it is signed anew.
    renew_at: i64,
}

impl std::fmt::Debug for Minter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minter")
            .field("authority", &self.authority)
            .field("leaves", &self.leaves.len())
            .finish_non_exhaustive()
    }
}

impl Minter {
    /// A minter that keeps at most `most_leaves` certificates (at least one), some 3 kB each.
    ///
    /// # Errors
    /// [`MintError::Sign`]: the machine has no randomness.
    pub fn new(authority: Arc<Authority>, most_leaves: usize) -> Result<Self, MintError> {
        let fault = |error: &dyn std::fmt::Display| MintError::Sign(error.to_string());
        let key = KeyPair::generate().map_err(|error| fault(&error))?;
        let der = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let signer = any_ecdsa_type(&der).map_err(|error| fault(&error))?;
        let ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| fault(&error))?;
        Ok(Self {
            authority,
            key,
            signer,
            provider: Arc::new(provider()),
            ticketer,
            sessions: ServerSessionMemoryCache::new(MOST_SESSIONS),
            leaves: Cache::new(most_leaves.max(1)),
            signed: AtomicU64::new(0),
        })
    }

    /// How to answer a client that asked for this host: a certificate of ours, TLS 1.2 or 1.3, h2
    /// or HTTP/1.1. Signed on first use, by one task however many ask at once; then from memory.
    ///
    /// # Errors
    /// [`MintError`]. The client must get neither the upstream's content nor a plain tunnel then.
    pub async fn server_config(
        &self,
        facts: LeafFacts<'_>,
    ) -> Result<Arc<ServerConfig>, MintError> {
        self.server_config_at(facts, now_s()).await
    }

    async fn server_config_at(
        &self,
        facts: LeafFacts<'_>,
        now: i64,
    ) -> Result<Arc<ServerConfig>, MintError> {
        let chain = facts.upstream.map(|upstream| upstream.chain_digest);
        let key = LeafKey { host: facts.host.clone(), chain };
        let fresh = |kept: &Arc<Kept>| now < kept.renew_at;
        if let Some(kept) = self.leaves.get(&key).filter(fresh) {
            return Ok(Arc::clone(&kept.config));
        }
        // Of several that find it old, the first takes it out; a new one is not old.
        self.leaves.remove_if(&key, |kept| !fresh(kept));
        let kept = self.leaves.get_or_insert_async(&key, async { self.mint(facts, now) }).await?;
        Ok(Arc::clone(&kept.config))
    }

    fn mint(&self, facts: LeafFacts<'_>, now: i64) -> Result<Arc<Kept>, MintError> {
        let leaf = leaf::sign(&self.authority, &self.key, facts.host, facts.upstream, now)?;
        self.signed.fetch_add(1, Ordering::Relaxed);
        let renew_at = leaf.not_after - RENEW_S.min((leaf.not_after - now) / 2);
        let certified = CertifiedKey::new(vec![leaf.certificate], Arc::clone(&self.signer));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| MintError::Sign(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = Arc::clone(&self.ticketer);
        config.session_storage = Arc::clone(&self.sessions) as _;
        // Mozilla's intermediate profile: all suites are strong, and the client knows what its
        // hardware does best. (Groups are in our order: rustls takes the first common one.)
        config.ignore_client_order = false;
        Ok(Arc::new(Kept { config: Arc::new(config), renew_at }))
    }

    /// The authority that signs.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// SHA-256 of the root certificate, as browsers show it.
    #[must_use]
    pub fn root_fingerprint(&self) -> String {
        self.authority.fingerprint()
    }

    /// How many certificates were signed since the minter was made: for metrics.
    #[must_use]
    pub fn signed(&self) -> u64 {
        self.signed.load(Ordering::Relaxed)
    }

    /// How many certificates are in memory.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.leaves.len()
    }
}

/// Mozilla's "intermediate" suites and groups, spelt out: an update of rustls adds nothing unseen.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ],
        ..rustls::crypto::aws_lc_rs::default_provider()
    }
}

#[cfg(test)]
#[path = "minter_tests.rs"]
mod tests;
