//! Header fields at a hop: what never leaves, what is added, and where this proxy sees itself.

use hyper::HeaderMap;
use hyper::Version;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    COOKIE, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Says that this proxy keeps a signed-in connection for its client (RFC 4559, 6).
pub(crate) const PROXY_SUPPORT: HeaderName = HeaderName::from_static("proxy-support");
/// The value of that field.
pub(crate) const SESSION_BASED: HeaderValue =
    HeaderValue::from_static("Session-Based-Authentication");

/// Schemes that sign in a connection instead of a request.
const CONNECTION_SCHEMES: [&[u8]; 3] = [b"ntlm", b"negotiate", b"kerberos"];

/// Fields that mean something only between two neighbours (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATION_INFO,
    HTTP2_SETTINGS,
];

/// Fields that would tell a site who is asking: the school's addresses stay inside.
const CLIENT_ADDRESS: [HeaderName; 9] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("client-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("x-originating-ip"),
];

/// Fields that a `Connection` option must not take away: a client or origin could otherwise make
/// this hop lose framing or protection that the next one relies on.
const KEPT_AGAINST_CONNECTION: [HeaderName; 15] = [
    HOST,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    AUTHORIZATION,
    COOKIE,
    SET_COOKIE,
    VIA,
    CACHE_CONTROL,
    HeaderName::from_static("origin"),
    HeaderName::from_static("content-security-policy"),
    HeaderName::from_static("strict-transport-security"),
    HeaderName::from_static("x-frame-options"),
    HeaderName::from_static("x-content-type-options"),
    HeaderName::from_static("max-forwards"),
];

/// Removes what belongs to the hop that a message came from, including the fields that its
/// `Connection` names.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        strip_named_by_connection(headers);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn strip_named_by_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .filter(|name| !KEPT_AGAINST_CONNECTION.contains(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
}

/// Removes what a request must not carry beyond this proxy: credentials meant for it, and the
/// client's address.
pub(crate) fn strip_private(headers: &mut HeaderMap) {
    headers.remove(PROXY_AUTHORIZATION);
    for name in &CLIENT_ADDRESS {
        headers.remove(name);
    }
}

/// Removes a proxy's challenge from a response: an origin must not ask for the school's sign-in.
pub(crate) fn strip_challenge(headers: &mut HeaderMap) {
    headers.remove(PROXY_AUTHENTICATE);
}

/// Whether a `Connection` field has this option.
pub(crate) fn connection_has(headers: &HeaderMap, wanted: &str) -> bool {
    has_token(headers, &CONNECTION, wanted)
}

/// Whether a comma-separated field has this token, compared without case.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(
        |token| {
            let token = token.split(|byte| *byte == b';').next().unwrap_or_default();
            token.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes())
        },
    )
}

/// Whether a field of credentials or challenges names a scheme that signs in the connection. A
/// challenge that only quotes such a word counts too: the cost is a connection kept apart.
pub(crate) fn signs_connection_in(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(
        |challenge| {
            let scheme = challenge
                .trim_ascii()
                .split(|byte| !byte.is_ascii_alphanumeric())
                .next()
                .unwrap_or_default();
            CONNECTION_SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known))
        },
    )
}

/// The token that a client asks to upgrade to, where it asks properly.
pub(crate) fn asked_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    if !connection_has(headers, "upgrade") {
        return None;
    }
    headers.get(UPGRADE).cloned()
}

/// How this proxy names itself in `Via`: the pseudonym of the machine file and the instance, so
/// that two proxies of one name can stand in a chain while a loop is still seen.
#[derive(Clone, Debug)]
pub(crate) struct ViaName {
    received_by: String,
    field_1_0: HeaderValue,
    field_1_1: HeaderValue,
}

impl ViaName {
    /// A name for this instance. Characters that no token may hold become `-`.
    pub(crate) fn new(pseudonym: &str, instance: u64) -> Self {
        let pseudonym: String = pseudonym
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' })
            .take(64)
            .collect();
        let received_by = format!("{pseudonym}-{instance:016x}");
        let field = |version: &str| {
            HeaderValue::from_str(&format!("{version} {received_by}"))
                .unwrap_or_else(|_| HeaderValue::from_static("1.1 schoolgate"))
        };
        let (field_1_0, field_1_1) = (field("1.0"), field("1.1"));
        Self { received_by, field_1_0, field_1_1 }
    }

    /// Adds this proxy to `Via`, with the version in which the message came.
    pub(crate) fn add(&self, headers: &mut HeaderMap, received: Version) {
        let field = if received == Version::HTTP_10 { &self.field_1_0 } else { &self.field_1_1 };
        headers.append(VIA, field.clone());
    }

    /// Whether this instance already forwarded the message: a loop.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        headers.get_all(VIA).iter().any(|value| {
            value.as_bytes().split(|byte| *byte == b',').any(|hop| {
                let mut words =
                    hop.split(|byte| matches!(byte, b' ' | b'\t')).filter(|w| !w.is_empty());
                words
                    .nth(1)
                    .is_some_and(|name| name.eq_ignore_ascii_case(self.received_by.as_bytes()))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a malformed fixture is a failed test")]
    use super::*;
    use hyper::header::WWW_AUTHENTICATE;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
            })
            .collect()
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_connection_names_are_removed() {
        let mut map = headers(&[
            ("connection", "keep-alive, X-Secret"),
            ("connection", "x-other"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("accept", "*/*"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(names(&map), ["accept"]);
    }

    #[test]
    fn connection_cannot_take_away_framing_or_protection() {
        let kept =
            ["authorization", "content-length", "content-security-policy", "cookie", "host", "via"];
        let mut map = headers(&kept.map(|name| (name, "1")));
        map.append(CONNECTION, HeaderValue::from_str(&kept.join(" , ")).unwrap());
        strip_hop_by_hop(&mut map);
        assert_eq!(names(&map), kept);
    }

    #[test]
    fn credentials_and_client_addresses_never_leave() {
        let mut map = headers(&[
            ("proxy-authorization", "Basic eDp5"),
            ("x-forwarded-for", "10.1.2.3"),
            ("x-forwarded-for", "10.1.2.4"),
            ("forwarded", "for=10.1.2.3"),
            ("client-ip", "10.1.2.3"),
            ("x-real-ip", "10.1.2.3"),
            ("user-agent", "test"),
        ]);
        strip_private(&mut map);
        assert_eq!(names(&map), ["user-agent"]);
    }

    #[test]
    fn a_loop_is_this_instance_and_not_its_twin() {
        let here = ViaName::new("school gate", 1);
        let twin = ViaName::new("school gate", 2);
        let mut map = headers(&[("via", "1.0 fred, 1.1 p.example.net (comment, school-gate)")]);
        assert!(!here.is_in(&map));
        twin.add(&mut map, Version::HTTP_11);
        assert!(!here.is_in(&map));
        here.add(&mut map, Version::HTTP_10);
        assert!(here.is_in(&map));
        assert!(twin.is_in(&map));
        assert_eq!(
            map.get_all(VIA).iter().next_back().unwrap(),
            "1.0 school-gate-0000000000000001"
        );
    }

    #[test]
    fn a_scheme_that_signs_in_the_connection_is_known_in_any_place_and_case() {
        for (value, expected) in [
            ("NTLM", true),
            ("ntlm TlRMTVNTUAABAAAA", true),
            ("Negotiate\tYII=", true),
            ("Basic realm=\"a\", Kerberos", true),
            ("  ,negotiate", true),
            ("Basic bnRsbTp4", false),
            ("Bearer ntlm", false),
            ("NTLMv9", false),
        ] {
            let map = headers(&[("www-authenticate", "Digest x=1"), ("www-authenticate", value)]);
            assert_eq!(signs_connection_in(&map, &WWW_AUTHENTICATE), expected, "{value}");
        }
    }

    #[test]
    fn an_upgrade_is_asked_for_only_with_its_connection_option() {
        assert!(asked_upgrade(&headers(&[("upgrade", "websocket")])).is_none());
        let map = headers(&[("upgrade", "websocket"), ("connection", "Keep-Alive, UPGRADE")]);
        assert_eq!(asked_upgrade(&map).unwrap(), "websocket");
    }
}
