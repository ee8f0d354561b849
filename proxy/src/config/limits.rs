//! Every limit of the proxy, with its default, range and unit.

use serde::Deserialize;
use toml::Spanned;

/// Declares the limits once: the checked values, what the file may hold, and the ranges. The three
/// would drift apart if each were written by hand.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $min:expr => $max:expr;)*) => {
        /// `[limits]`: bounds on every queue, header, wait and connection count. Names end in their
        /// unit; counts have none.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// The limits as the file may give them.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct RawLimits {
            $($name: Option<Spanned<u64>>,)*
        }

        impl RawLimits {
            /// The limits; `fault` is told the place in the text, what is wrong and what to do.
            pub(super) fn check(
                &self,
                fault: &mut dyn FnMut(std::ops::Range<usize>, String, String),
            ) -> Limits {
                let mut limits = Limits::default();
                $(if let Some(value) = &self.$name {
                    let range: std::ops::RangeInclusive<u64> = $min..=$max;
                    let given = *value.get_ref();
                    match <$type>::try_from(given).ok().filter(|_| range.contains(&given)) {
                        Some(good) => limits.$name = good,
                        None => fault(
                            value.span(),
                            format!(
                                "{} lies between {} and {}, and is {given} here",
                                stringify!($name), range.start(), range.end()
                            ),
                            format!("leave it out for the usual {}", limits.$name),
                        ),
                    }
                })*
                limits
            }
        }

        impl Limits {
            /// Each limit's name and value, in the order of the file.
            #[must_use]
            pub fn values(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name as u64),)*]
            }
        }
    };
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

limits! {
    /// Client connections open at once; then one that rests, of the client or network that has the most,
    /// gives way to a further one, or that one is closed. So many requests over HTTP/2 may wait for a
    /// connection to their site besides; then each client has its fair part of that.
    max_connections: usize = 20_000, 1 => 1_000_000;
    /// Connections of one client address; further ones are closed. As many tunnels, and requests over
    /// HTTP/2 that wait for a connection to their site; further ones get 503. 0: no limit of its own.
    max_connections_per_client: usize = 2_000, 0 => 1_000_000;
    /// CONNECT tunnels and WebSockets open at once; further ones get 503. Of one network, an IPv4 address or an
    /// IPv6 /64, seven eighths of what others leave.
    max_tunnels: usize = 15_000, 1 => 1_000_000;
    /// Answers over HTTP/2 that may wait for clients which do not read them, each holding up to some
    /// 272 kB; past them, those of the clients with the most end. 0: no limit.
    max_unread_streams: usize = 1_024, 0 => 1_000_000;
    /// Bytes of a request or response head: line and fields together.
    max_head_bytes: usize = 65_536, 8_192 => 1_048_576;
    /// Fields of a head.
    max_headers: usize = 128, 16 => 4_096;
    /// Longest wait for a whole request head once its first byte is there.
    header_read_timeout_ms: u64 = 30_000, 100 => HOUR_MS;
    /// Longest that a client connection may rest between requests.
    client_idle_timeout_ms: u64 = 120_000, 100 => DAY_MS;
    /// Longest wait for a name's addresses.
    dns_timeout_ms: u64 = 5_000, 100 => 2 * MINUTE_MS;
    /// Names kept with their addresses.
    dns_cache_entries: usize = 50_000, 0 => 10_000_000;
    /// Longest wait for a connection to a site, over all its addresses.
    connect_timeout_ms: u64 = 10_000, 100 => 10 * MINUTE_MS;
    /// Longest wait for a site's response head once the request is sent.
    response_header_timeout_ms: u64 = 120_000, 100 => HOUR_MS;
    /// Longest rest in the middle of a body, either way.
    body_idle_timeout_ms: u64 = 120_000, 100 => HOUR_MS;
    /// Longest rest of a tunnel, both ways together.
    tunnel_idle_timeout_ms: u64 = HOUR_MS, 100 => 7 * DAY_MS;
    /// Longest life of a tunnel.
    tunnel_lifetime_ms: u64 = DAY_MS, 100 => DAY_MS;
    /// Idle connections kept to one site by one worker. 0: none.
    pool_max_idle_per_host: usize = 32, 0 => 10_000;
    /// Longest that an idle connection to a site is kept.
    pool_idle_timeout_ms: u64 = 60_000, 100 => HOUR_MS;
    /// Certificates of ours kept in memory, of some 3 kB each.
    minted_certificates: usize = 4_096, 16 => 1_000_000;
    /// Sign-ins checked at once; each takes 19 MiB, which are kept, and a core for some 20 ms. More
    /// wait; client addresses take turns.
    password_checks: usize = 2, 1 => 1_024;
    /// Sign-ins that may wait to be checked, an eighth of them of one client; further ones get 503.
    password_queue: usize = 1_024, 1 => 1_000_000;
    /// Longest that open exchanges may take to end when the proxy stops.
    drain_timeout_ms: u64 = 10_000, 0 => HOUR_MS;
}
