//! Names to addresses: the machine file's own answers first, then DNS with a cache.

use rules::host::Host;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

use crate::address::{Reach, reach, unmapped};
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};

/// Why a host cannot be dialled.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResolveError {
    /// The name does not exist, or has no address.
    #[error("no such site")]
    NoSuchHost,
    /// DNS did not answer in time.
    #[error("the name service did not answer in time")]
    TimedOut,
    /// DNS failed otherwise.
    #[error("the name service failed")]
    Failed,
    /// Every address is one that must not be dialled for this name.
    #[error("the site leads to an address inside the network")]
    Private,
}

/// Answers and permissions of the machine file.
pub(crate) struct ResolveRules {
    /// Answers given before DNS.
    pub(crate) hosts: HashMap<Host, Vec<IpAddr>>,
    /// Names (and what is below them) that may lead to private addresses.
    pub(crate) allow_private: Vec<Host>,
    /// The proxy's own listeners: never dialled.
    pub(crate) own: Vec<SocketAddr>,
    /// Longest wait for one name.
    pub(crate) timeout_ms: u64,
    /// Names kept in the cache.
    pub(crate) cache_entries: u64,
}

/// One worker's resolver.
pub(crate) struct Resolver {
    rules: Arc<ResolveRules>,
    dns: Option<TokioResolver>,
}

impl Resolver {
    /// A resolver on the current runtime, asking the servers of the operating system.
    pub(crate) fn new(rules: Arc<ResolveRules>) -> Self {
        let dns = match system_dns(&rules) {
            Ok(dns) => Some(dns),
            Err(error) => {
                tracing::warn!(%error, "no usable name servers; only [upstream].hosts resolve");
                None
            }
        };
        Self { rules, dns }
    }

    /// The addresses of a host that may be dialled, in the order in which to try them.
    pub(crate) async fn addresses(
        &self,
        host: &Host,
        port: u16,
    ) -> Result<Vec<SocketAddr>, ResolveError> {
        let found = self.look_up(host).await?;
        let private_allowed = self.rules.allows_private(host);
        let mut dialled: Vec<SocketAddr> = Vec::with_capacity(found.len());
        for address in found.iter().map(|address| unmapped(*address)) {
            let allowed = match reach(address) {
                Reach::Public => true,
                Reach::Private => private_allowed,
                Reach::Never => false,
            };
            let address = SocketAddr::new(address, port);
            if allowed && !self.rules.is_own(address) && !dialled.contains(&address) {
                dialled.push(address);
            }
        }
        if dialled.is_empty() {
            return Err(if found.is_empty() {
                ResolveError::NoSuchHost
            } else {
                ResolveError::Private
            });
        }
        Ok(interleaved(dialled))
    }

    async fn look_up(&self, host: &Host) -> Result<Vec<IpAddr>, ResolveError> {
        if let Some(addresses) = self.rules.hosts.get(host) {
            return Ok(addresses.clone());
        }
        if let Some(address) = host.address() {
            return Ok(vec![address]);
        }
        let dns = self.dns.as_ref().ok_or(ResolveError::Failed)?;
        // The root's dot keeps search domains out: `intranet` never becomes `intranet.example.org`.
        let name = format!("{host}.");
        let answer = tokio::time::timeout(
            Duration::from_millis(self.rules.timeout_ms),
            dns.lookup_ip(name.as_str()),
        );
        // In a box: most names need no answer, and would carry its size about.
        match Box::pin(answer).await {
            Ok(Ok(found)) => Ok(found.iter().collect()),
            Ok(Err(error)) if error.is_no_records_found() || error.is_nx_domain() => {
                Err(ResolveError::NoSuchHost)
            }
            Ok(Err(_)) => Err(ResolveError::Failed),
            Err(_) => Err(ResolveError::TimedOut),
        }
    }
}

impl ResolveRules {
    /// Whether a name may lead to private addresses.
    fn allows_private(&self, host: &Host) -> bool {
        self.allow_private
            .iter()
            .any(|allowed| host.suffixes().any(|name| name == allowed.as_str()))
    }

    /// Whether an address is one that this proxy listens on.
    fn is_own(&self, address: SocketAddr) -> bool {
        self.own.iter().any(|own| {
            own.port() == address.port()
                && (own.ip() == address.ip()
                    || (own.ip().is_unspecified() && is_local(address.ip())))
        })
    }
}

/// Whether an address is one of this machine's: only then can a socket be bound to it. Asked only
/// about a port that the proxy itself listens on.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || std::net::UdpSocket::bind((address, 0)).is_ok()
}

/// Asks the servers of the operating system.
fn system_dns(rules: &ResolveRules) -> Result<TokioResolver, NetError> {
    bounded(TokioResolver::builder_tokio()?, rules)
}

/// A resolver with the limits of the machine file.
fn bounded(
    mut builder: ResolverBuilder<TokioRuntimeProvider>,
    rules: &ResolveRules,
) -> Result<TokioResolver, NetError> {
    let options = builder.options_mut();
    options.cache_size = rules.cache_entries;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = Duration::from_millis((rules.timeout_ms / 2).max(1));
    options.attempts = 2;
    // A site that has come up again should not stay unreachable for an hour.
    options.negative_max_ttl = Some(Duration::from_secs(30));
    options.positive_max_ttl = Some(Duration::from_secs(3600));
    builder.build()
}

/// IPv6 and IPv4 by turns, IPv6 first (RFC 8305, 4), otherwise as DNS gave them.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if addresses.iter().all(SocketAddr::is_ipv4) || addresses.iter().all(SocketAddr::is_ipv6) {
        return addresses;
    }
    let (six, four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    let longest = six.len().max(four.len());
    (0..longest).flat_map(|i| [six.get(i), four.get(i)]).flatten().copied().collect()
}

#[cfg(test)]
#[path = "resolve_dns_tests.rs"]
mod dns_tests;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a malformed fixture is a failed test")]
    use super::*;

    fn resolver(hosts: &[(&str, &[&str])], allow_private: &[&str], own: &[&str]) -> Resolver {
        let rules = ResolveRules {
            hosts: hosts
                .iter()
                .map(|(name, addresses)| {
                    (
                        Host::parse(name).unwrap(),
                        addresses.iter().map(|a| a.parse().unwrap()).collect(),
                    )
                })
                .collect(),
            allow_private: allow_private.iter().map(|name| Host::parse(name).unwrap()).collect(),
            own: own.iter().map(|address| address.parse().unwrap()).collect(),
            timeout_ms: 100,
            cache_entries: 8,
        };
        Resolver { rules: Arc::new(rules), dns: None }
    }

    async fn dialled(
        resolver: &Resolver,
        host: &str,
        port: u16,
    ) -> Result<Vec<String>, ResolveError> {
        let found = resolver.addresses(&Host::parse(host).unwrap(), port).await?;
        Ok(found.iter().map(SocketAddr::to_string).collect())
    }

    #[tokio::test]
    async fn a_name_reaches_inside_only_where_the_machine_file_says_so() {
        let inside: &[&str] = &["127.0.0.1"];
        let hosts: &[(&str, &[&str])] = &[
            ("origin.test", inside),
            ("www.origin.test", inside),
            ("rebind.test", &["10.0.0.7", "8.8.8.8"]),
            ("metadata.origin.test", &["169.254.169.254"]),
        ];
        let resolver = resolver(hosts, &["origin.test"], &[]);
        let cases = [
            ("origin.test", Ok(vec!["127.0.0.1:80"])),
            ("www.origin.test", Ok(vec!["127.0.0.1:80"])),
            ("rebind.test", Ok(vec!["8.8.8.8:80"])),
            ("metadata.origin.test", Err(ResolveError::Private)),
            ("127.0.0.1", Err(ResolveError::Private)),
            ("[::ffff:10.0.0.1]", Err(ResolveError::Private)),
            ("[::ffff:8.8.8.8]", Ok(vec!["8.8.8.8:80"])),
            ("0x7f.1", Err(ResolveError::Private)),
            ("elsewhere.test", Err(ResolveError::Failed)),
        ];
        for (host, expected) in cases {
            let expected = expected.map(|list| list.into_iter().map(str::to_owned).collect());
            assert_eq!(dialled(&resolver, host, 80).await, expected, "{host}");
        }
    }

    #[tokio::test]
    async fn the_proxy_never_dials_itself() {
        let hosts: &[(&str, &[&str])] = &[("me.test", &["127.0.0.1", "::1"])];
        let resolver =
            resolver(hosts, &["me.test"], &["127.0.0.1:3128", "[::]:3190", "0.0.0.0:3191"]);
        assert_eq!(dialled(&resolver, "me.test", 3128).await.unwrap(), ["[::1]:3128"]);
        assert_eq!(dialled(&resolver, "me.test", 3190).await, Err(ResolveError::Private));
        assert_eq!(dialled(&resolver, "me.test", 3191).await, Err(ResolveError::Private));
        assert_eq!(dialled(&resolver, "me.test", 80).await.unwrap(), ["[::1]:80", "127.0.0.1:80"]);
    }
}
