//! Requests written to get round what is forced, and any others.

use super::*;
use crate::search::fuzzing::{STRICT, check};
use crate::target::{parse_absolute, parse_connect, parse_typed};
use proptest::prelude::*;

/// One searching host of every engine that is forced, and of every other.
const HOSTS: [&str; 24] = [
    "www.google.co.uk",
    "encrypted.google.com",
    "cse.google.com",
    "www.youtube.com",
    "music.youtube.com",
    "www.bing.com",
    "cn.bing.com",
    "explicit.bing.net",
    "duckduckgo.com",
    "html.duckduckgo.com",
    "www.ecosia.org",
    "search.brave.com",
    "pixabay.com",
    "yandex.ru",
    "uk.search.yahoo.com",
    "api.qwant.com",
    "lite.qwant.com",
    "www.startpage.com",
    "www.mojeek.com",
    "www.kiddle.co",
    "swisscows.com",
    "www.so.com",
    "tenor.com",
    "en.wikipedia.org",
];

#[test]
fn a_host_is_one_however_it_is_spelt() {
    for spelt in ["WWW.GOOGLE.COM", "www.google.com.", "ｗｗｗ.google.com", "www%2Egoogle.com"] {
        assert_eq!(unseen(spelt, &SAFE), "forcesafesearch.google.com", "{spelt}");
    }
    for authority in ["www.google.com:443", "WWW.google.com.:8443"] {
        let target = parse_connect(authority).unwrap();
        assert_eq!(unseen(target.host.as_str(), &SAFE), "forcesafesearch.google.com");
    }
    // A user name is refused before anything is asked.
    assert!(parse_absolute(Some("http"), Some("a@www.google.com")).is_err());
    for host in [
        "google.evil.com",
        "notgoogle.com",
        "www.google.com.evil.com",
        "www.google.evil",
        "google.co.uk.com",
        "googlecom",
        "www-google.com",
    ] {
        assert!(Search::shipped().site(&Host::parse(host).unwrap()).is_none(), "{host}");
    }
    let (target, path) =
        parse_typed("https://www.google.com/search?q=a&safe=off#safe=off").unwrap();
    assert_eq!(seen(target.host.as_str(), &path, &SAFE), "/search?q=a&safe=active");
}

#[test]
fn no_spelling_of_a_parameter_gets_through() {
    let unsafe_ones = [
        "safe=off&safe=active",
        "safe=active&safe=off",
        "%73afe=off",
        "s%61f%65=off",
        "SAFE=OFF",
        "safe[]=off",
        "safe%5b%5d=off",
        "+safe=off",
        "%20safe%20=off",
        "safe%00=off",
        "safe%00junk=off",
        "%09safe=off",
        "x=1;safe=off",
        "x=1%26;safe=off;y=2",
        "amp;safe=off",
        "safe",
        "safe=&safe",
    ];
    for one in unsafe_ones {
        for target in
            [format!("/search?q=a&{one}"), format!("/search?{one}&q=a"), format!("/search?{one}")]
        {
            let made = seen("www.google.com", &target, &SAFE);
            assert_eq!(made.matches("safe").count(), 1, "{target} -> {made}");
            assert!(made.contains("safe=active"), "{target} -> {made}");
            check(&Host::parse("www.google.com").unwrap(), &target, &[]);
        }
    }
    // What only looks like one is left alone.
    for other in ["%2573afe=off", "q=safe%3Doff", "unsafe=off", "q=%26safe%3Doff"] {
        let made = seen("www.google.com", &format!("/search?{other}"), &SAFE);
        assert_eq!(made, format!("/search?{other}&safe=active"));
    }
}

#[test]
fn long_and_broken_requests_are_kept_to_the_same_promises() {
    let long = "a".repeat(8000);
    let many = "&safe=off".repeat(900);
    let targets = [
        format!("/search?q={long}"),
        format!("/search?q={}", "%C3%A9".repeat(1300)),
        format!("/search?q=a{many}"),
        format!("/search?q=a{}", ";safe=off".repeat(900)),
        format!("/{}?q=a", "../".repeat(2000)),
        "/search?q=%&safe=%".to_owned(),
        "/search?q=%zz%0&%s=1".to_owned(),
        "/search?q=\0\u{1}a".to_owned(),
        "/search?".to_owned(),
        "/search?#".to_owned(),
        "/search#?safe=off".to_owned(),
        "/search?q=a#&safe=off".to_owned(),
        "/search??q=a&?safe=off".to_owned(),
        "?q=a".to_owned(),
        String::new(),
        "/search?q=é&s\u{430}fe=off".to_owned(),
        "*".to_owned(),
    ];
    for host in HOSTS.map(|host| Host::parse(host).unwrap()) {
        for target in &targets {
            check(&host, target, &["safesearch=off; p=-2", "SRCHHPGUSR=ADLT=OFF&ADLT=DEMOTE"]);
        }
    }
    let words = site("www.google.com").terms(&targets[0]).unwrap();
    assert_eq!((words.words.len(), words.is_cut), (MAX_WORDS, true));
}

#[test]
fn every_google_country_is_one_and_every_other_name_is_not() {
    let shipped = Search::shipped();
    let mut found = 0;
    for country in ["com", "co.uk", "de", "fr", "ie", "com.au", "co.in", "cat", "com.ua", "ws"] {
        let host = Host::parse(&format!("www.google.{country}")).unwrap();
        let site = shipped.site(&host).unwrap_or_else(|| panic!("{host}"));
        assert_eq!(site.redial(&STRICT).map(Host::as_str), Some("forcesafesearch.google.com"));
        found += 1;
    }
    assert_eq!(found, 10);
    for host in ["www.google.xyz", "www.google.co", "www.google.zip", "www.google.app"] {
        let site = shipped.site(&Host::parse(host).unwrap());
        // google.co is Colombia's, and Google's own.
        assert_eq!(site.is_some(), host == "www.google.co", "{host}");
    }
}

fn query() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "q",
        "safe",
        "%73afe",
        "SAFE",
        "safe[]",
        "adlt",
        "AdLt",
        "kp",
        "p",
        "vm",
        "safesearch",
        "s",
        "text",
        "query",
        "tbm",
        "udm",
        "ia",
        "safeui",
        "x",
        "",
        "%",
        "amp",
        " ",
        "%00safe",
        "fmt",
        "wd",
    ]);
    let value = prop::sample::select(vec![
        "",
        "off",
        "active",
        "strict",
        "1",
        "2",
        "-2",
        "r",
        "isch",
        "images",
        "a+b",
        "%C3%A9",
        "!safeoff",
        "%21SafeOff+a",
        "%B9%B7",
        "%zz",
        "a=b",
        "é",
        "%00",
    ]);
    let separator = prop::sample::select(vec!["&", "&", "&", ";", "&amp;", "#", "?", "&&"]);
    prop::collection::vec((name, value, separator), 0..8).prop_map(|parts| {
        parts
            .into_iter()
            .map(|(name, value, separator)| format!("{name}={value}{separator}"))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_forced_is_forced_once_and_for_all(
        host in prop::sample::select(HOSTS.to_vec()),
        path in prop::sample::select(vec![
            "/search", "/", "/images", "/i.js", "/html/", "/th", "/v3/search/web", "/%73earch", "/search;a=b",
            "//search", "/setprefs", "/web", "/s", "",
        ]),
        query in query(),
        cookies in prop::collection::vec("(safesearch|p|SRCHHPGUSR|a)=(off|strict|1|ADLT=OFF&N=1|ADLT=STRICT)(; ?b=2)?", 0..3),
    ) {
        let cookies: Vec<&str> = cookies.iter().map(String::as_str).collect();
        check(&Host::parse(host).unwrap(), &format!("{path}?{query}"), &cookies);
    }

    #[test]
    fn any_text_is_survived(
        host in prop::sample::select(HOSTS.to_vec()),
        target in "/?\\PC{0,60}",
        cookie in "\\PC{0,30}",
    ) {
        check(&Host::parse(host).unwrap(), &target, &[&cookie]);
    }
}
