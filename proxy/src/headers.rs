//! Header fields at a hop: what never leaves, what is added, and where this proxy sees itself.

use hyper::HeaderMap;
use hyper::Version;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALT_SVC, AUTHORIZATION, CACHE_CONTROL, CONNECTION,
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE,
    DATE, EXPECT, HOST, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, LOCATION, MAX_FORWARDS, ORIGIN, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, RANGE, REFERER, REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VARY, VIA, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use rules::target::Scheme;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Says that this proxy keeps a signed-in connection for its client (RFC 4559, 6).
pub(crate) const PROXY_SUPPORT: HeaderName = HeaderName::from_static("proxy-support");
/// The value of that field.
pub(crate) const SESSION_BASED: HeaderValue =
    HeaderValue::from_static("Session-Based-Authentication");

const ALT_USED: HeaderName = HeaderName::from_static("alt-used");

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

/// Fields that change what a message is, where it goes or who sent it: too late behind its body.
const NO_TRAILERS: [HeaderName; 18] = [
    HOST,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    TRAILER,
    EXPECT,
    MAX_FORWARDS,
    VIA,
    AUTHORIZATION,
    WWW_AUTHENTICATE,
    COOKIE,
    SET_COOKIE,
    CACHE_CONTROL,
    LOCATION,
    RANGE,
    CONTENT_SECURITY_POLICY,
    STRICT_TRANSPORT_SECURITY,
];

/// Fields that a `Connection` option must not take away: a client or origin could otherwise make
/// this hop lose framing, meaning or protection that the next one relies on. They are for every
/// recipient, so no honest sender names them (RFC 9110, 7.6.1).
const KEPT_AGAINST_CONNECTION: [HeaderName; 35] = [
    HOST,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    TRAILER,
    EXPECT,
    MAX_FORWARDS,
    VIA,
    AUTHORIZATION,
    WWW_AUTHENTICATE,
    COOKIE,
    SET_COOKIE,
    CACHE_CONTROL,
    VARY,
    DATE,
    LOCATION,
    RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    IF_RANGE,
    ORIGIN,
    REFERER,
    REFERRER_POLICY,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    CONTENT_SECURITY_POLICY,
    STRICT_TRANSPORT_SECURITY,
    X_FRAME_OPTIONS,
    X_CONTENT_TYPE_OPTIONS,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("cross-origin-resource-policy"),
];

/// Removes what belongs to the hop that a message came from, including the fields that its
/// `Connection` names, and leaves one `Content-Length` at most.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        strip_named_by_connection(headers);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    unify_length(headers);
}

/// A list of equal lengths becomes one (RFC 9112, 6.3, rule 5), so that the next reader has no
/// choice. What is no length goes: it can only stand where there is no body (HEAD, 304), as hyper has
/// refused it elsewhere.
fn unify_length(headers: &mut HeaderMap) {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return };
    let is_digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if lengths.next().is_none() && is_digits(first.as_bytes()) {
        return;
    }
    let mut members = headers
        .get_all(CONTENT_LENGTH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let one = members
        .next()
        .filter(|one| is_digits(one) && members.all(|other| other == *one))
        .and_then(|one| HeaderValue::from_bytes(one).ok());
    match one {
        Some(one) => headers.insert(CONTENT_LENGTH, one),
        None => headers.remove(CONTENT_LENGTH),
    };
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

/// A head's fields, as ways round the filter are looked for in them.
pub(crate) struct HeadFields<'h>(pub(crate) &'h HeaderMap);

impl rules::circumvent::Fields for HeadFields<'_> {
    fn any(&self, is_one: &mut dyn FnMut(&str, &[u8]) -> bool) -> bool {
        self.0.iter().any(|(name, value)| is_one(name.as_str(), value.as_bytes()))
    }
}

/// Removes what a request must not carry beyond this proxy: credentials meant for it, the client's
/// address, and by which other way a client says that it reaches the site (RFC 7838, 5): by none.
pub(crate) fn strip_private(headers: &mut HeaderMap) {
    headers.remove(PROXY_AUTHORIZATION);
    headers.remove(ALT_USED);
    for name in &CLIENT_ADDRESS {
        headers.remove(name);
    }
}

/// Removes from a response what would take the client away from this proxy: a proxy's challenge, by
/// which an origin would ask for the school's sign-in, and other ways to the origin (RFC 7838), which
/// nobody has decided about.
pub(crate) fn strip_challenge(headers: &mut HeaderMap) {
    headers.remove(PROXY_AUTHENTICATE);
    headers.remove(ALT_SVC);
}

/// Removes from trailers what must not come behind a body (RFC 9110, 6.5.1): fields of the hop, of
/// this proxy, of routing, framing and signing in. What is left can change nothing that was decided.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    strip_hop_by_hop(trailers);
    strip_private(trailers);
    strip_challenge(trailers);
    for name in &NO_TRAILERS {
        trailers.remove(name);
    }
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

/// Whether a message has a transfer coding besides `chunked`, or has that twice: without it the
/// bytes would mean something else, and no such coding is ever asked for (RFC 9112, 6.1 and 7.4).
pub(crate) fn has_other_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || codings.next().is_some()
}

/// How often a request may still be forwarded (RFC 9110, 7.6.2). A number past 64 bits counts as the
/// largest; what is no number does not count.
pub(crate) fn max_forwards(headers: &HeaderMap) -> Option<u64> {
    let digits = headers.get(MAX_FORWARDS)?.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits.iter().fold(0_u64, |left, digit| {
            left.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        }),
    )
}

/// Whether a `Host` field is a host and perhaps a port, or empty (RFC 9110, 7.2). Anything else gets
/// 400, although the target's own host counts (RFC 9112, 3.2).
pub(crate) fn host_is_valid(host: &HeaderValue) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let bytes = host.as_bytes();
    if bytes.iter().all(is_plain) {
        return true;
    }
    host.to_str().is_ok_and(|text| rules::target::parse_absolute(Some("http"), Some(text)).is_ok())
}

/// The one protocol that an upgrade may lead to. Behind any other (HTTP/2 in the clear, TLS by RFC
/// 2817, a tunnel) would be requests that nobody decides about.
const WEBSOCKET: &[u8] = b"websocket";

/// What a client asks to upgrade to, where it asks properly (RFC 9110, 7.8) and for that alone.
pub(crate) fn asked_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    if !connection_has(headers, "upgrade") {
        return None;
    }
    let mut wanted = headers.get_all(UPGRADE).iter();
    let one = wanted.next().filter(|one| one.as_bytes().eq_ignore_ascii_case(WEBSOCKET))?;
    wanted.next().is_none().then(|| one.clone())
}

/// How this proxy names itself in `Via`: the pseudonym of the machine file and the instance, so
/// that two proxies of one name can stand in a chain while a loop is still seen.
#[derive(Clone, Debug)]
pub(crate) struct ViaName {
    received_by: String,
    field_1_0: HeaderValue,
    field_1_1: HeaderValue,
    field_2_0: HeaderValue,
    /// Sites learn of it from requests within tunnels too.
    inside: bool,
}

impl ViaName {
    /// A name for this instance, and whether requests within tunnels bear it. Characters that no token may
    /// hold become `-`.
    pub(crate) fn new(pseudonym: &str, instance: u64, inside: bool) -> Self {
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
        let (field_1_0, field_1_1, field_2_0) = (field("1.0"), field("1.1"), field("2.0"));
        Self { received_by, field_1_0, field_1_1, field_2_0, inside }
    }

    /// Adds this proxy to `Via`, with the version in which the message came.
    pub(crate) fn add(&self, headers: &mut HeaderMap, received: Version) {
        let field = match received {
            Version::HTTP_10 => &self.field_1_0,
            Version::HTTP_2 => &self.field_2_0,
            _ => &self.field_1_1,
        };
        headers.append(VIA, field.clone());
    }

    /// The same of a request. One within a tunnel goes on without, unless the machine file wants it: the client
    /// asked for a connection to the site and for no proxy's words in it, and some sites send their pages unpacked,
    /// or less of them, to whoever seems to come through a proxy. A tunnel cannot lead back here, as no CONNECT is
    /// passed on, so that no loop goes unseen.
    pub(crate) fn add_to_request(
        &self,
        headers: &mut HeaderMap,
        received: Version,
        scheme: Scheme,
    ) {
        if self.inside || scheme != Scheme::Https {
            self.add(headers, received);
        }
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
    fn lengths_that_agree_become_one_and_others_go() {
        let cases: [(&[&str], Option<&str>); 7] = [
            (&["5"], Some("5")),
            (&["5", "5"], Some("5")),
            (&["5, 5"], Some("5")),
            (&["5,5 ", "5"], Some("5")),
            (&["5, 6"], None),
            (&["5", "6"], None),
            (&["x"], None),
        ];
        for (lengths, expected) in cases {
            let lines: Vec<(&str, &str)> = lengths.iter().map(|l| ("content-length", *l)).collect();
            let mut map = headers(&lines);
            strip_hop_by_hop(&mut map);
            let left: Vec<&HeaderValue> = map.get_all(CONTENT_LENGTH).iter().collect();
            assert_eq!(left, expected.into_iter().collect::<Vec<_>>(), "{lengths:?}");
        }
    }

    #[test]
    fn trailers_bring_nothing_that_was_to_be_decided_about() {
        let mut map = headers(&[
            ("x-checksum", "abc"),
            ("grpc-status", "0"),
            ("proxy-authorization", "Basic eDp5"),
            ("authorization", "Basic eDp5"),
            ("x-forwarded-for", "10.1.2.3"),
            ("connection", "x-named"),
            ("x-named", "1"),
            ("host", "other.test"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
            ("set-cookie", "a=b"),
            ("alt-svc", "h3"),
        ]);
        clean_trailers(&mut map);
        assert_eq!(names(&map), ["grpc-status", "x-checksum"]);
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
            ("alt-used", "other.test:443"),
            ("user-agent", "test"),
        ]);
        strip_private(&mut map);
        assert_eq!(names(&map), ["user-agent"]);
    }

    #[test]
    fn a_loop_is_this_instance_and_not_its_twin() {
        let here = ViaName::new("school gate", 1, false);
        let twin = ViaName::new("school gate", 2, false);
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
        here.add(&mut map, Version::HTTP_2);
        let last = map.get_all(VIA).iter().next_back().unwrap();
        assert_eq!(last, "2.0 school-gate-0000000000000001");
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
    fn only_one_chunked_is_no_other_coding() {
        for (codings, expected) in [
            (&[][..], false),
            (&["chunked"], false),
            (&["Chunked"], false),
            (&["gzip, chunked"], true),
            (&["gzip", "chunked"], true),
            (&["chunked", "chunked"], true),
            (&["chunked, identity"], true),
            (&["identity"], true),
            (&[""], true),
        ] {
            let lines: Vec<_> = codings.iter().map(|c| ("transfer-encoding", *c)).collect();
            assert_eq!(has_other_coding(&headers(&lines)), expected, "{codings:?}");
        }
    }

    #[test]
    fn max_forwards_is_a_number_however_it_is_written() {
        for (value, expected) in [
            ("0", Some(0)),
            ("000", Some(0)),
            ("007", Some(7)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("+1", None),
            ("-1", None),
            ("1, 1", None),
            ("", None),
        ] {
            assert_eq!(max_forwards(&headers(&[("max-forwards", value)])), expected, "{value}");
        }
        assert_eq!(max_forwards(&headers(&[])), None);
    }

    #[test]
    fn a_host_field_is_a_host_and_perhaps_a_port() {
        for good in ["", "a.test", "A_b.test", "a.test:8080", "a.test:", "[::1]:80", "127.0.0.1"] {
            assert!(host_is_valid(&HeaderValue::from_str(good).unwrap()), "{good}");
        }
        for bad in [
            "a b",
            "a.test:x",
            "a.test:65536",
            "u@a.test",
            "a.test/x",
            "a.test, b.test",
            "[::1",
            "a\\",
        ] {
            assert!(!host_is_valid(&HeaderValue::from_str(bad).unwrap()), "{bad}");
        }
    }

    #[test]
    fn an_upgrade_is_asked_for_only_with_its_connection_option() {
        assert!(asked_upgrade(&headers(&[("upgrade", "websocket")])).is_none());
        let map = headers(&[("upgrade", "websocket"), ("connection", "Keep-Alive, UPGRADE")]);
        assert_eq!(asked_upgrade(&map).unwrap(), "websocket");
        let wanted = |lines: &[&str]| {
            let mut lines: Vec<_> = lines.iter().map(|line| ("upgrade", *line)).collect();
            lines.push(("connection", "upgrade"));
            asked_upgrade(&headers(&lines)).is_some()
        };
        assert!(wanted(&["WebSocket"]));
        for other in
            ["h2c", "websocket, h2c", "TLS/1.2", "HTTP/2.0", "connect-udp", "websocket/13", ""]
        {
            assert!(!wanted(&[other]), "{other}");
        }
        assert!(!wanted(&["websocket", "h2c"]) && !wanted(&["websocket", "websocket"]));
    }
}
