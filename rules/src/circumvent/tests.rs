#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod judging;

use super::fuzzing::Lines;
use super::*;

/// Those whose every subdomain is somebody's are meant whole (`insert_all_of`).
#[test]
fn of_public_suffixes_only_those_are_shipped_that_are_meant() {
    let mut suffixes = Pack::shipped().hosts.public_suffixes();
    suffixes.sort_unstable();
    assert_eq!(suffixes, ["torproject.net", "translate.goog", "ts.net"]);
}

/// What a request is found to be: technique, grade, and hosts within.
fn found(url: &str) -> Option<(Technique, Grade, String)> {
    found_with(url, "GET", false, &[])
}

fn found_with(
    url: &str,
    method: &str,
    websocket: bool,
    fields: &[(&str, &str)],
) -> Option<(Technique, Grade, String)> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => Scheme::Tunnel,
    };
    let cut = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(cut);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap()),
        _ => (authority, 443),
    };
    let host = Host::parse(host).unwrap();
    let fields = Lines(fields.to_vec());
    let head = Some(Head { method, websocket, fields: &fields });
    let path_and_query = (scheme != Scheme::Tunnel).then_some(path);
    let found = Pack::shipped().find(&Seen { scheme, host: &host, port, path_and_query, head })?;
    let inner: Vec<&str> = found.inner.iter().map(|url| url.host.as_str()).collect();
    Some((found.technique, found.grade, inner.join(" ")))
}

#[test]
fn each_technique_is_found_by_what_it_is_known_by() {
    use Technique as T;
    let cases = [
        ("tunnel://dns.google:443", T::Doh),
        ("tunnel://a1b2c3.dns.nextdns.io:443", T::Doh),
        ("tunnel://1.1.1.1:443", T::Doh),
        ("tunnel://[2606:4700:4700::1111]:443", T::Doh),
        ("tunnel://use-application-dns.net:443", T::Doh),
        (
            "https://my.resolver.example/dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB",
            T::Doh,
        ),
        (
            "https://my.resolver.example/x?ct&dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB",
            T::Doh,
        ),
        ("https://my.resolver.example/dns%2Dquery?name=example.org", T::Doh),
        ("https://my.resolver.example/dns-query/profile?x", T::Doh),
        ("tunnel://resolver.example:853", T::Dot),
        ("tunnel://mask.icloud.com:443", T::PrivateRelay),
        ("tunnel://mask-h2.icloud.com:443", T::PrivateRelay),
        ("https://relay.example/.well-known/masque/udp/192.0.2.6/443/", T::Vpn),
        ("tunnel://engage.cloudflareclient.com:443", T::Vpn),
        ("https://vpn.example/sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/", T::Vpn),
        ("https://vpn.example/sra_%7BBA195980-CD49-458b-9E23-C84EE0ADCD75%7D/", T::Vpn),
        ("https://vpn.example/vpnsvc/connect.cgi", T::Vpn),
        ("tunnel://relay-1a2b.net.anydesk.com:443", T::RemoteDesktop),
        ("tunnel://remotedesktop-pa.googleapis.com:443", T::RemoteDesktop),
        ("https://gateway.example/remoteDesktopGateway/", T::RemoteDesktop),
        ("tunnel://www.torproject.org:443", T::Tor),
        ("tunnel://expyuzz4wqqyqhjn.onion:443", T::Tor),
        ("http://128.31.0.39:9131/tor/status-vote/current/consensus", T::Tor),
        ("http://relay.example:9030/tor/server/all", T::Tor),
        ("https://math.example/uv/uv.bundle.js", T::WebProxy),
        ("https://math.example/scram/scramjet.all.js", T::WebProxy),
        ("https://math.example/bare/v3/", T::WebProxy),
        ("https://math.example/cgi-bin/nph-proxy.cgi/000100A/http/games.example/", T::WebProxy),
        ("https://math.example/0123456789abcdef0123456789abcdef/_rhsEkTOdZ", T::WebProxy),
        ("http://8.8.4.5/bare/v3/", T::WebProxy),
        ("http://8.8.4.5/x/https://a.example.com/", T::RawAddress),
        ("tunnel://8.8.4.5:443", T::RawAddress),
        ("http://3627734734/x", T::RawAddress),
        ("http://0xd8.0x3a.0xd6.0xce/", T::RawAddress),
        ("http://[::ffff:216.58.214.206]/", T::RawAddress),
        ("tunnel://8-8-4-5.nip.io:443", T::RawAddress),
        ("tunnel://cloudflare-ech.com:443", T::HiddenName),
    ];
    for (url, technique) in cases {
        assert_eq!(found(url), Some((technique, Grade::Certain, String::new())), "{url}");
    }
}

#[test]
fn a_head_tells_what_a_url_does_not() {
    use Technique as T;
    let cases = [
        ("POST", false, "content-type", "application/dns-message", Some(T::Doh)),
        ("GET", false, "accept", "application/dns-json", Some(T::Doh)),
        ("GET", false, "accept", "Application/DNS-Message;q=0.5, */*", Some(T::Doh)),
        ("GET", false, "accept", "text/html,application/xhtml+xml,*/*;q=0.8", None),
        ("GET", false, "x-bare-url", "https://games.example/", Some(T::WebProxy)),
        ("RDG_OUT_DATA", false, "accept", "*/*", Some(T::RemoteDesktop)),
        ("SSTP_DUPLEX_POST", false, "accept", "*/*", Some(T::Vpn)),
        ("PROPPATCH", false, "accept", "*/*", None),
        ("GET", true, "accept", "*/*", None),
    ];
    for (method, websocket, name, value, expected) in cases {
        let url = "https://a.example/x";
        let found = found_with(url, method, websocket, &[("host", "a.example"), (name, value)]);
        assert_eq!(found.map(|it| it.0), expected, "{method} {name}: {value}");
    }
    for (url, technique) in [
        ("https://a.example/wisp/", T::WebProxy),
        ("https://a.example/websockify", T::RemoteDesktop),
        ("https://a.example/guacamole/websocket-tunnel?x", T::RemoteDesktop),
    ] {
        assert_eq!(found_with(url, "GET", true, &[]).map(|it| it.0), Some(technique), "{url}");
        assert_eq!(found_with(url, "GET", false, &[]), None, "{url} without a WebSocket");
    }
    assert_eq!(found("https://docs.example/dns-query"), None, "a page about it");
    let asked = found_with("https://docs.example/dns-query", "POST", false, &[]);
    assert_eq!(asked.map(|it| it.0), Some(T::Doh));
}

#[test]
fn the_url_that_a_web_proxy_is_to_fetch_is_read() {
    let urls = [
        "https://math.example/service/hvtrs8%2F-Gcmgs%2Cezaopne-",
        "https://math.example/anything/hvtrs8%2F-gcmgs%2Cezaopne-a%3Db%3Fc",
        "https://math.example/a/b/uv/service/https%3A%2F%2Fgames.example%2F",
        "https://math.example/scramjet/https%3A%2F%2Fgames.example%2F%3Fq%3D1",
        "https://math.example/main/aHR0cHM6Ly9nYW1lcy5leGFtcGxlLw==",
        "https://math.example/main/https://games.example/",
        "https://math.example/%6Dain/%61HR0cHM6Ly9nYW1lcy5leGFtcGxlLw==",
        "https://math.example/service/68747470733a2f2f67616d65732e6578616d706c652f",
        "https://math.example/about/home/apples/shared/assets/hello/update/after/uv/hvtrs8%2F-gcmgs%2Cezaopne-",
        "https://math.example/http/http/http/http/http/http/http/http/http/x/hvtrs8/-gcmgs,ezaopne-a",
        "https://math.example/x/uggcf%3A%2F%2Ftnzrf.rknzcyr%2F",
        "https://math.example/x?go=uggcf://tnzrf.rknzcyr/",
        "https://math.example/x?go=hvtrs8%2F-gcmgs%2Cezaopne-",
        "https://math.example/browse.php?u=https%3A%2F%2Fgames.example%2F&b=4",
        "https://math.example/browse.php?u=Oi8vZ2FtZXMuZXhhbXBsZS8%3D&b=4",
        "https://math.example/p/index.php?q=aHR0cHM6Ly9nYW1lcy5leGFtcGxlLw%3D%3D&hl=3e5",
        "https://math.example/?__cpo=aHR0cHM6Ly9nYW1lcy5leGFtcGxl",
    ];
    for url in urls {
        let expected = (Technique::WebProxy, Grade::Certain, "games.example".to_owned());
        assert_eq!(found(url), Some(expected), "{url}");
    }
}

#[test]
fn the_page_behind_a_gateway_is_read() {
    use Technique as T;
    let cases = [
        (
            "https://games-example-com.translate.goog/a?_x_tr_sl=en&_x_tr_tl=cy",
            T::TranslatedCopy,
            "games.example.com",
        ),
        (
            "https://en-m-wikipedia-org.translate.goog/wiki/Wales",
            T::TranslatedCopy,
            "en.m.wikipedia.org",
        ),
        ("https://a--b-example-com.translate.goog/", T::TranslatedCopy, "a-b.example.com"),
        (
            "https://example-com.translate.goog/?_x_tr_hp=very-long-",
            T::TranslatedCopy,
            "very-long-example.com",
        ),
        (
            "https://translate.google.co.uk/translate?sl=en&tl=cy&u=https%3A%2F%2Fgames.example.com%2F",
            T::TranslatedCopy,
            "games.example.com",
        ),
        (
            "https://translate.google.com/translate?u=games.example.com/x",
            T::TranslatedCopy,
            "games.example.com",
        ),
        (
            "https://translate.google.com/translate?%75=http%253A%252F%252Fgames.example.com",
            T::TranslatedCopy,
            "games.example.com",
        ),
        (
            "https://translate.google.com/website?u=https://a.example.com&u=https://b.example.com",
            T::TranslatedCopy,
            "a.example.com b.example.com",
        ),
        (
            "https://translated.turbopages.org/proxy_u/en-ru.ru.0a1b2c3d-/https/games.example.com/x",
            T::TranslatedCopy,
            "games.example.com",
        ),
        (
            "https://www.translatetheweb.com/?to=cy&a=https%3a%2f%2fgames.example.com",
            T::TranslatedCopy,
            "games.example.com",
        ),
        (
            "https://webcache.googleusercontent.com/search?q=cache:a1B2c3D4e5:games.example.com/x+words&hl=en",
            T::StoredCopy,
            "games.example.com",
        ),
        (
            "https://webcache.googleusercontent.com/search?q=cache%3Ahttps%3A%2F%2Fgames.example.com%2F",
            T::StoredCopy,
            "games.example.com",
        ),
        (
            "https://web.archive.org/web/20260101000000id_/http://games.example.com:80/?a=b",
            T::StoredCopy,
            "games.example.com",
        ),
        ("https://web.archive.org/web/2026/games.example.com/", T::StoredCopy, "games.example.com"),
        ("https://web.archive.org/web/*/https://games.example.com*", T::StoredCopy, ""),
        (
            "https://archive.ph/newest/https://games.example.com/",
            T::StoredCopy,
            "games.example.com",
        ),
        (
            "https://archive.is/20260101/https://games.example.com/",
            T::StoredCopy,
            "games.example.com",
        ),
        ("https://12ft.io/https://games.example.com/a?b=c", T::StoredCopy, "games.example.com"),
        (
            "https://12ft.io/proxy?q=https%3A%2F%2Fgames.example.com%2F",
            T::StoredCopy,
            "games.example.com",
        ),
        ("https://r.jina.ai/http%3A%2F%2Fgames.example.com", T::StoredCopy, "games.example.com"),
        (
            "https://www-games-example-com.cdn.ampproject.org/c/s/www.games.example.com/x",
            T::UrlInside,
            "www.games.example.com",
        ),
        ("https://www.google.co.uk/amp/s/games.example.com/x", T::UrlInside, "games.example.com"),
        (
            "https://corsproxy.io/?https%3A%2F%2Fgames.example.com",
            T::UrlInside,
            "games.example.com",
        ),
        (
            "https://cors-anywhere.herokuapp.com/https://games.example.com",
            T::UrlInside,
            "games.example.com",
        ),
    ];
    for (url, technique, inner) in cases {
        let expected = (!inner.is_empty()).then(|| (technique, Grade::Gateway, inner.to_owned()));
        assert_eq!(found(url), expected, "{url}");
    }
    // A gateway within another, and a web proxy within.
    let twice = "https://web.archive.org/web/2026/https://games-example-com.translate.goog/";
    let expected = "games-example-com.translate.goog games.example.com".to_owned();
    assert_eq!(found(twice), Some((Technique::StoredCopy, Grade::Gateway, expected)));
    let proxied = "https://translate.google.com/translate?u=https%3A%2F%2Fmath.example%2Fbrowse.php%3Fu%3Dhttps%253A%252F%252Fgames.example%252F%26b%3D4";
    let (technique, grade, _) = found(proxied).unwrap();
    assert_eq!((technique, grade), (Technique::WebProxy, Grade::Certain));
}

#[test]
fn ordinary_urls_are_nothing() {
    let ordinary = [
        "https://accounts.google.com/signin?continue=https%3A%2F%2Fwww.youtube.com%2F&service=youtube",
        "https://login.microsoftonline.com/common/oauth2/authorize?redirect_uri=https://games.example/",
        "https://www.facebook.com/sharer/sharer.php?u=https%3A%2F%2Fgames.example%2F",
        "https://twitter.com/intent/tweet?url=https%3A%2F%2Fgames.example&text=x",
        "https://www.google.com/url?q=https://games.example/&sa=D",
        "https://ad.doubleclick.net/ddm/trackclk/N1.2/B3;dc_trk=4;u=aHR0cHM6Ly9nYW1lcy5leGFtcGxl?https://games.example",
        "https://t.example/pixel?u=aHR0cHM6Ly9nYW1lcy5leGFtcGxlLw==&r=https%253A%252F%252Fx.example",
        "https://a.example/service/status",
        "https://a.example/main/httpd.html",
        "https://a.example/index.php?q=words&hl=en",
        "https://a.example/index.php?q=aHR0cHM6Ly9nYW1lcy5leGFtcGxlLw==",
        "https://a.example/bare/vegan.html",
        "https://a.example/docs/dns-query-explained?lang=en",
        "https://a.example/x?dns=1.2.3.4&dns=yes",
        "https://a.example/wisp/of/smoke.html",
        "https://a.example/whisper/wispy?x=hvtr",
        "https://translate.google.com/?sl=en&tl=cy&text=https&op=translate",
        "https://www.google.com/search?q=unblock+https%3A%2F%2Fgames.example",
        "https://web.archive.org/about/terms.php",
        "https://archive.ph/favicon.ico",
        "https://archive.org/details/texts",
        "https://www.google.com/amp/about.html",
        "https://a.example/redirect/https://www.a.example/page",
        "https://a.example/100%25/free",
        "https://xn--bcher-kva.example/a%C3%A9b",
        "http://127.0.0.1/x",
        "http://192.168.1.20/camera",
        "tunnel://www.example.org:443",
        "tunnel://www.example.org:8443",
        "tunnel://onion.example.org:443",
    ];
    for url in ordinary {
        assert_eq!(found(url), None, "{url}");
    }
    // A URL in the path of a site that nobody knows: what it leads to is looked at, and no more.
    for url in [
        "https://img.example/fetch/w_300/https://pictures.example.com/a.jpg",
        "https://img.example/insecure/plain/aHR0cHM6Ly9waWN0dXJlcy5leGFtcGxlLmNvbS9h",
        "https://camo.example/0a1b/68747470733a2f2f70696374757265732e6578616d706c652e636f6d2f61",
        "https://img.example/proxy/https%3A%2F%2Fpictures.example.com%2Fa.jpg",
    ] {
        let expected = (Technique::UrlInside, Grade::Perhaps, "pictures.example.com".to_owned());
        assert_eq!(found(url), Some(expected), "{url}");
    }
}

#[test]
fn a_pack_with_a_fault_is_refused() {
    let whole = crate::defaults::CIRCUMVENTION;
    for (old, new) in [
        ("technique = \"doh\"", "technique = \"magic\""),
        ("hosts = [\"translate.goog\"]", "hosts = [\"goog\"]"),
        ("hyphens = true", "hyphens = true\nhyphen = 1"),
        ("hyphens = true", ""),
        ("path = \"/dns-query\"", "path = \"dns-query\""),
        ("path = \"/dns-query\"", "path = \"/dns-query\"\npart = \"x\""),
        ("fields = [\"x-cstp-version\"]", "fields = [\"X-CSTP\"]"),
        ("source = \"nip.io, sslip.io\"", "source = \" \""),
        ("ports = [853]", ""),
        ("parameter = \"__cpo\"", ""),
        ("\"8888.google\",", "\"8888.google.\","),
        ("below = [\"/amp/\"]", "below = [\"amp/\"]"),
    ] {
        assert!(whole.contains(old), "{old}");
        assert!(Pack::parse(&whole.replacen(old, new, 1)).is_err(), "{old} -> {new}");
    }
}

#[test]
fn every_technique_has_a_reason_of_its_own_that_counts_as_an_attempt() {
    for technique in Technique::all() {
        let code = technique.code();
        assert_eq!(Technique::of(code), Some(technique));
        assert!(is_attempt(code) && code as u8 >= 100, "{technique:?}");
        let word = format!("\"{}\"", code.as_str());
        let read: Technique = toml::from_str::<std::collections::HashMap<String, Technique>>(
            &format!("technique = {word}"),
        )
        .unwrap()["technique"];
        assert_eq!(read, technique, "the pack and the record use one word");
    }
    assert!(is_attempt(ReasonCode::EncryptedHello));
    assert!(!is_attempt(ReasonCode::Category) && !is_attempt(ReasonCode::SniMismatch));
}
