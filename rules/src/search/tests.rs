#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod searching;

use super::*;
use crate::level::{ImageMode, VideoMode};
use crate::site::Site;

const SAFE: SearchRules = SearchRules {
    safe_search: true,
    video: VideoMode::Open,
    images: ImageMode::Any,
    child_engines: false,
};
const NONE: SearchRules = SearchRules {
    safe_search: false,
    video: VideoMode::Open,
    images: ImageMode::Any,
    child_engines: false,
};
const CHILD: SearchRules = SearchRules { child_engines: true, ..SAFE };

#[test]
fn no_shipped_pattern_is_a_public_suffix() {
    assert_eq!(Search::shipped().hosts.public_suffixes(), [""; 0]);
}

fn site(host: &str) -> SearchSite<'static> {
    let found = Search::shipped().site(&Host::parse(host).unwrap());
    found.unwrap_or_else(|| panic!("{host} is in no file"))
}

/// `pass`, the host to redial, or why it is refused.
fn unseen(host: &str, rules: &SearchRules) -> String {
    match site(host).unseen(rules) {
        Unseen::Pass => "pass".to_owned(),
        Unseen::Redial(safe) => safe.to_string(),
        Unseen::Refuse(refusal) => refusal.code().as_str().to_owned(),
    }
}

/// The target as it is sent on, or why it is refused.
fn seen(host: &str, target: &str, rules: &SearchRules) -> String {
    let site = site(host);
    match site.refusal(target, rules) {
        Some(refusal) => refusal.code().as_str().to_owned(),
        None => {
            site.rewrite(target, &[], rules).path_and_query.unwrap_or_else(|| target.to_owned())
        }
    }
}

#[test]
fn unseen_tunnels_go_to_the_safe_host_or_nowhere() {
    let cases = [
        ("www.google.com", "forcesafesearch.google.com"),
        ("www.google.co.uk", "forcesafesearch.google.com"),
        ("google.com", "pass"),
        ("images.google.co.uk", "pass"),
        ("cse.google.com", "pass"),
        ("encrypted.google.com", "search_not_inspected"),
        ("www.bing.com", "strict.bing.com"),
        ("edgeservices.bing.com", "strict.bing.com"),
        ("bing.com", "pass"),
        ("th.bing.com", "pass"),
        ("cn.bing.com", "search_not_inspected"),
        ("explicit.bing.net", "unsafe_host"),
        ("duckduckgo.com", "safe.duckduckgo.com"),
        ("www.duckduckgo.com", "safe.duckduckgo.com"),
        ("start.duckduckgo.com", "safe.duckduckgo.com"),
        ("html.duckduckgo.com", "search_not_inspected"),
        ("safe.duckduckgo.com", "pass"),
        ("www.ecosia.org", "strict-safe-search.ecosia.org"),
        ("search.brave.com", "safesearch.brave.com"),
        ("pixabay.com", "safesearch.pixabay.com"),
        ("cdn.pixabay.com", "pass"),
        ("yandex.com.tr", "familysearch.yandex.ru"),
        ("www.ya.ru", "familysearch.yandex.ru"),
        ("images.yandex.ru", "search_not_inspected"),
        ("uk.search.yahoo.com", "search_not_inspected"),
        ("api.qwant.com", "safeapi.qwant.com"),
        ("www.qwant.com", "pass"),
        ("lite.qwant.com", "search_not_inspected"),
        ("www.startpage.com", "safe.startpage.com"),
        ("eu.startpage.com", "search_not_inspected"),
        ("www.mojeek.com", "search_not_inspected"),
        ("www.kiddle.co", "pass"),
        ("www.swiggle.org.uk", "pass"),
        ("kidzsearch.com", "pass"),
        ("www.juniorsafesearch.com", "pass"),
        ("swisscows.com", "no_safe_mode"),
        ("kagi.com", "no_safe_mode"),
        ("search.lycos.com", "no_safe_mode"),
        ("www.gigablast.com", "no_safe_mode"),
        ("searx.example.org", "no_safe_mode"),
        ("www.searxng.example", "no_safe_mode"),
        ("www.zoznam.sk", "pass"),
        ("en.wikipedia.org", "pass"),
        ("www.facebook.com", "pass"),
        ("www.youtube.com", "pass"),
    ];
    for (host, expected) in cases {
        assert_eq!(unseen(host, &SAFE), expected, "{host}");
        assert_eq!(unseen(host, &NONE), "pass", "{host}, nothing wanted");
        // What is seen goes to the same address.
        let redialled = site(host).redial(&SAFE).map(Host::as_str);
        assert_eq!(
            redialled.unwrap_or("pass") == expected,
            redialled.is_some() || expected == "pass"
        );
    }
}

#[test]
fn every_engine_has_a_case_of_what_is_sent_on() {
    let cases = [
        ("google", "www.google.co.uk", "/search?q=a&safe=off", "/search?q=a&safe=active"),
        ("google", "www.google.de", "/imghp", "/imghp?safe=active"),
        ("google", "www.google.com", "/maps?q=a", "/maps?q=a"),
        ("google", "www.google.com", "/setprefs?safeui=off&hl=en", "/setprefs?safeui=on&hl=en"),
        ("google", "www.google.com", "/SEARCH?q=a", "/SEARCH?q=a&safe=active"),
        ("google", "www.google.com", "//x/../%73earch?q=a", "//x/../%73earch?q=a&safe=active"),
        (
            "google-custom-search",
            "cse.google.com",
            "/cse/element/v1?q=a&safe=off",
            "/cse/element/v1?q=a&safe=active",
        ),
        ("bing", "www.bing.com", "/images/search?q=a", "/images/search?q=a&adlt=strict"),
        ("bing", "th.bing.com", "/th?q=a&w=120", "/th?q=a&w=120&adlt=strict"),
        ("bing", "www.bing.com", "/rp/x.js", "/rp/x.js"),
        ("duckduckgo", "duckduckgo.com", "/?q=a&kp=-2", "/?q=a&kp=1"),
        ("duckduckgo", "duckduckgo.com", "/i.js?q=a&p=-1", "/i.js?q=a&p=1&kp=1"),
        ("duckduckgo", "duckduckgo.com", "/?q=a+!safeoff", "/?q=a&kp=1"),
        ("ecosia", "www.ecosia.org", "/search?q=a", "/search?q=a"),
        (
            "brave",
            "search.brave.com",
            "/search?q=a&safesearch=off",
            "/search?q=a&safesearch=strict",
        ),
        ("pixabay", "pixabay.com", "/images/search/a/", "/images/search/a/"),
        ("yandex", "yandex.com", "/search/?text=a", "/search/?text=a"),
        ("yahoo", "uk.search.yahoo.com", "/search;_ylt=A0?p=a&vm=p", "/search;_ylt=A0?p=a&vm=r"),
        (
            "qwant",
            "api.qwant.com",
            "/v3/search/web?q=a&safesearch=0",
            "/v3/search/web?q=a&safesearch=2",
        ),
        ("qwant", "lite.qwant.com", "/?q=a&s=0", "/?q=a&s=2&safesearch=2"),
        ("startpage", "www.startpage.com", "/do/search?query=a", "/do/search?query=a"),
        ("mojeek", "www.mojeek.com", "/search?q=a&safe=0", "/search?q=a&safe=1"),
        ("kiddle", "www.kiddle.co", "/s.php?q=a", "/s.php?q=a"),
        ("swiggle", "swiggle.org.uk", "/?q=a", "/?q=a"),
        ("kidzsearch", "search.kidzsearch.com", "/?q=a", "/?q=a"),
        ("junior-safe-search", "juniorsafesearch.com", "/search?q=a", "/search?q=a"),
        ("swisscows", "swisscows.com", "/web?query=a", "no_safe_mode"),
        ("without-safe-mode", "metager.org", "/meta/meta.ger3", "no_safe_mode"),
        ("self-hosted", "searx.example.org", "/search?q=a", "no_safe_mode"),
        ("youtube", "www.youtube.com", "/results?search_query=a", "/results?search_query=a"),
    ];
    for (id, host, target, expected) in cases {
        assert_eq!(site(host).engine().unwrap().id, id, "{host}");
        assert_eq!(seen(host, target, &SAFE), expected, "{host}{target}");
        assert_eq!(seen(host, target, &NONE), target, "{host}{target}, nothing wanted");
    }
    for engine in Search::shipped().engines() {
        assert!(cases.iter().any(|(id, ..)| *id == engine.id), "{} has no case", engine.id);
    }
}

#[test]
fn youtube_gets_the_mode_of_the_level() {
    let with = |video| SearchRules { video, ..NONE };
    for host in [
        "www.youtube.com",
        "m.youtube.com",
        "youtubei.googleapis.com",
        "youtube.googleapis.com",
        "www.youtube-nocookie.com",
    ] {
        assert_eq!(unseen(host, &with(VideoMode::Strict)), "restrict.youtube.com");
        assert_eq!(unseen(host, &with(VideoMode::Moderate)), "restrictmoderate.youtube.com");
        assert_eq!(unseen(host, &with(VideoMode::Open)), "pass");
        let headers = |video| site(host).rewrite("/watch?v=x", &[], &with(video)).headers;
        assert_eq!(headers(VideoMode::Strict), [("YouTube-Restrict", "Strict")]);
        assert_eq!(headers(VideoMode::Moderate), [("YouTube-Restrict", "Moderate")]);
        assert_eq!(headers(VideoMode::Open), []);
    }
    let strict = with(VideoMode::Strict);
    assert_eq!(unseen("youtu.be", &strict), "pass");
    assert_eq!(unseen("music.youtube.com", &strict), "unsafe_host");
    assert_eq!(site("music.youtube.com").refusal("/watch?v=x", &strict), Some(Refusal::UnsafeHost));
    assert_eq!(site("music.youtube.com").refusal("/watch?v=x", &SAFE), None);
    assert!(Search::shipped().site(&Host::parse("rr3---sn-x.googlevideo.com").unwrap()).is_none());
}

#[test]
fn cookies_keep_what_is_not_about_the_safe_mode() {
    let cases: [(&str, &str, &[&str], Option<&str>); 7] = [
        ("search.brave.com", "/search?q=a", &["country=gb"], Some("country=gb; safesearch=strict")),
        ("search.brave.com", "/search?q=a", &["safesearch=strict; a=b"], None),
        (
            "www.bing.com",
            "/search?q=a",
            &["SRCHHPGUSR=ADLT=OFF&N=1", "b=2"],
            Some("SRCHHPGUSR=ADLT=STRICT&N=1; b=2"),
        ),
        // Pictures and scripts get no cookie, but keep none that says otherwise.
        ("www.bing.com", "/rp/x.js", &["b=2"], None),
        ("www.bing.com", "/rp/x.js", &["SRCHHPGUSR=ADLT=OFF"], Some("SRCHHPGUSR=ADLT=STRICT")),
        ("duckduckgo.com", "/?q=a", &["p=-2; ae=d"], Some("p=1; ae=d")),
        ("www.google.com", "/search?q=a", &["NID=1"], None),
    ];
    for (host, target, cookies, expected) in cases {
        let changes = site(host).rewrite(target, cookies, &SAFE);
        assert_eq!(changes.cookie.as_deref(), expected, "{host}{target} {cookies:?}");
    }
}

#[test]
fn children_have_the_engines_made_for_them_and_what_those_need() {
    for (host, unseen_as, target, seen_as) in [
        ("www.kiddle.co", "pass", "/s.php?q=a", "/s.php?q=a"),
        ("swiggle.org.uk", "pass", "/?q=a", "/?q=a"),
        ("cse.google.com", "pass", "/cse?q=a", "/cse?q=a&safe=active"),
        ("www.google.com", "not_for_children", "/search?q=a", "not_for_children"),
        ("www.google.com", "not_for_children", "/", "not_for_children"),
        ("www.google.com", "not_for_children", "/recaptcha/api.js", "/recaptcha/api.js"),
        ("google.com", "pass", "/maps", "/maps"),
        ("duckduckgo.com", "not_for_children", "/?q=a", "not_for_children"),
        ("search.lycos.com", "not_for_children", "/?query=a", "not_for_children"),
        ("kagi.com", "not_for_children", "/", "not_for_children"),
        ("en.wikipedia.org", "pass", "/w/index.php?search=a", "/w/index.php?search=a"),
        ("www.youtube.com", "pass", "/results?search_query=a", "/results?search_query=a"),
    ] {
        assert_eq!(unseen(host, &CHILD), unseen_as, "{host}");
        assert_eq!(seen(host, target, &CHILD), seen_as, "{host}{target}");
    }
}

/// What becomes of each host that a file says searches, however it is asked.
#[test]
fn every_site_that_searches_is_kept_safe_refused_or_let_through_for_what_it_says() {
    let (mut by_engine, mut engines, mut portals, mut others) = (0, 0, 0, 0);
    for known in &Search::shipped().sites {
        if known.kind != SearchKind::Search {
            continue;
        }
        for pattern in &known.hosts {
            let country = if pattern.contains("{yandex}") { "com.tr" } else { "co.uk" };
            let pattern = pattern.replace("{yandex}", country).replace("{country}", country);
            let host = pattern.replace("*.", "some.").replace(".*", ".example.org");
            let found = site(&host);
            let words = known.example();
            let about = format!("{host}{words}");
            if let Some(engine) = found.engine() {
                by_engine += 1;
                let is_kept = found.role == Role::Plain
                    || engine.safe == SafeMode::Always
                    || engine.forced_by == ForcedBy::Video
                    || unseen(&host, &SAFE) != "pass";
                assert!(is_kept, "{about}");
                continue;
            }
            // What another way of searching the host says counts too.
            let (is_engine, is_portal) = found.sites.iter().fold((false, false), |said, site| {
                (
                    said.0 | (site.engine && site.paths.is_empty()),
                    said.1 | site.portal | site.engine,
                )
            });
            let (all, one) = (unseen(&host, &SAFE), seen(&host, &words, &SAFE));
            let front = seen(&host, "/", &SAFE);
            if is_engine {
                engines += 1;
                assert_eq!((&*all, &*one), ("no_safe_mode", "no_safe_mode"), "{about}");
            } else if is_portal {
                portals += 1;
                assert_eq!((&*all, &*one, &*front), ("pass", "no_safe_mode", "/"), "{about}");
            } else {
                others += 1;
                assert_eq!((&*all, &*one, &*front), ("pass", &*words, "/"), "{about}");
            }
            let child = SearchRules { safe_search: false, ..CHILD };
            let expected = if is_engine || is_portal { "not_for_children" } else { &*words };
            assert_eq!(seen(&host, &words, &child), expected, "{about}");
        }
    }
    assert!(by_engine > 60 && engines > 300, "{by_engine} {engines}");
    assert!(portals > 40 && others > 80, "{portals} {others}");
}

#[test]
fn what_belongs_to_an_engine_is_told_from_what_only_has_its_name() {
    let is_engine = |site: &str| Search::shipped().is_engine(&Site::parse(site).unwrap());
    for host in [
        "www.google.co.uk",
        "kagi.com",
        "search.yahoo.com",
        "searx.example.org",
        "www.kiddle.co",
        "www.charter.net/search",
    ] {
        assert!(is_engine(host), "{host}");
    }
    for host in [
        "google.com",
        "yahoo.com",
        "www.youtube.com",
        "en.wikipedia.org",
        "example.org",
        "charter.net",
        "www.charter.net",
    ] {
        assert!(!is_engine(host), "{host}");
    }
}

#[test]
fn searches_for_pictures_can_be_refused_or_kept_safe_alone() {
    let block = SearchRules { images: ImageMode::Block, ..NONE };
    let only_safe = SearchRules { images: ImageMode::Safe, ..NONE };
    for (host, target, blocked, safe) in [
        ("www.google.com", "/search?q=a&tbm=isch", true, "/search?q=a&tbm=isch&safe=active"),
        ("www.google.com", "/search?q=a&u%64m=2", true, "/search?q=a&u%64m=2&safe=active"),
        ("www.google.com", "/search?q=a", false, "/search?q=a"),
        ("images.google.com", "/", true, "/?safe=active"),
        ("uk.images.search.yahoo.com", "/search?p=a", true, "/search?p=a&vm=r"),
        ("www.flickr.com", "/search?text=a", true, "no_safe_mode"),
        ("www.flickr.com", "/photos/a", false, "/photos/a"),
        ("giphy.com", "/search/a", true, "no_safe_mode"),
        ("www.sogou.com", "/web?query=a", false, "/web?query=a"),
        ("pic.sogou.com", "/pics?query=a", true, "no_safe_mode"),
        ("pixabay.com", "/images/search/a/", true, "/images/search/a/"),
    ] {
        let expected = if blocked { "image_search" } else { target };
        assert_eq!(seen(host, target, &block), expected, "{host}{target}, blocked");
        assert_eq!(seen(host, target, &only_safe), safe, "{host}{target}, safe");
    }
    assert_eq!(unseen("images.google.com", &block), "image_search");
    // Which of a tunnel's requests are for pictures is not seen: all of it is kept safe.
    assert_eq!(unseen("www.google.com", &block), "forcesafesearch.google.com");
    assert_eq!(unseen("www.google.com", &only_safe), "forcesafesearch.google.com");
    assert_eq!(unseen("uk.search.yahoo.com", &only_safe), "pass");
    assert_eq!(unseen("images.search.yahoo.com", &only_safe), "search_not_inspected");
}

#[test]
fn faults_in_the_files_are_found() {
    let engine = |more: &str| {
        format!("[[engine]]\nid='a'\ntitle='A'\nsource='s'\nhosts=['a.example']\n{more}\n")
    };
    let sites = "site=[{ name='S', hosts=['s.example'], query=['q'], portal=true }]";
    let forced = "safe='forced'\nparameters=[{ name='safe', strict='1' }]";
    assert!(Search::parse(&engine(forced), sites).is_ok());
    for more in [
        "",
        "safe='forced'",
        "safe='strict'",
        "safe='none'\nparameters=[{ name='safe', strict='1' }]",
        "safe='forced'\nconfirmed=false\nparameters=[{ name='safe', strict='1' }]",
        "safe='none'\ncolour=1",
        "safe='none'\nplain=['*.com']",
        "safe='none'\nplain=['www.b.{nowhere}']",
        "safe='forced'\nredial={ hosts=['a.example'], strict='B.example' }",
        "safe='forced'\nparameters=[{ name='sa&fe', strict='1' }]",
        "safe='forced'\nparameters=[{ name='safe', strict='1&q=2' }]",
        "safe='forced'\nheaders=[{ name='X', strict=\"a\\r\\nY: 1\", moderate='b' }]",
        "safe='none'\npaths=['search']",
        "safe='none'\npaths=['/a/']",
        "safe='none'\nimages=[{ parameter='tbm' }]",
        "safe='none'\nimages=[{ values=['isch'] }]",
    ] {
        let fault = Search::parse(&engine(more), sites);
        assert!(fault.is_err(), "{more}");
    }
    let twice = Search::parse(&engine("safe='none'").repeat(2), sites).unwrap_err();
    assert_eq!(twice.to_string(), "engine a: there twice");
    for site in [
        "name='S', hosts=['s.example'], engine=true",
        "name='S', hosts=[], query=['q'], engine=true",
        "name='S', hosts=['S.example'], query=['q'], engine=true",
        "name='S', hosts=['s.example'], query=['q'], kind='guess', engine=true",
        "name='S', hosts=['s.example'], in_path=['/a/b'], engine=true",
        "name='S', hosts=['s.example'], in_path=['a/{words}'], engine=true",
        "name='S', hosts=['s.example'], in_path=['/{words}/{words}'], engine=true",
        "name='S', hosts=['s.example'], query=['q'], charsets=['utf-9'], engine=true",
        "name='S', hosts=['s.example'], query=['q'], colour=1, engine=true",
        "name='S', hosts=['s.example'], query=['q']",
        "name='S', hosts=['s.example'], query=['q'], engine=true, portal=true",
        "name='S', hosts=['s.example'], query=['q'], engine=true, searches='goods'",
    ] {
        let text = format!("site=[{{ {site} }}]");
        assert!(Search::parse(&engine("safe='none'"), &text).is_err(), "{site}");
    }
}

#[test]
fn an_assistant_on_a_site_of_people_is_one_at_its_own_paths_alone() {
    for (path, is_grok) in [
        ("/i/grok", true),
        ("/i/api/2/grok/add_response.json", true),
        ("/i/api/1.1/dm/new2.json", false),
        ("/i/api/graphql/x/CreateTweet", false),
        ("/", false),
    ] {
        assert_eq!(site("x.com").is_assistant(path), is_grok, "{path}");
    }
    for host in ["grok.x.com", "poe.com", "neo.character.ai", "graph.meta.ai", "ws.chatgpt.com"] {
        assert!(site(host).is_assistant("/any"), "{host}");
    }
    let [words, all] = ["/search?q=weed+-nhs", "/i/grok?q=weed+-nhs"].map(|target| {
        let terms = site("x.com").terms(target).unwrap();
        (terms.all, terms.asked)
    });
    assert_eq!(words, ("weed -nhs".to_owned(), Some("weed".to_owned())));
    assert_eq!(all, ("weed -nhs".to_owned(), None), "nobody excludes words of a prompt");
    for (host, is_fault) in [("x.example", true), ("*.example", true), ("y.example", false)] {
        let text = format!(
            "site=[{{ name='X', hosts=['{host}'], query=['q'], engine=true }}, {{ name='A', hosts=['www.x.example'], \
             paths=['/a'], query=['q'], kind='prompt' }}]"
        );
        let parsed = super::sites::parse(&text);
        assert_eq!(parsed.is_err_and(|it| it.0.contains("answers")), is_fault, "{host}");
    }
}

#[test]
fn the_page_for_the_technician_names_what_is_forced_and_how() {
    let page = include_str!("../../../docs/search.md");
    for engine in Search::shipped().engines() {
        assert!(page.contains(&engine.title), "{}", engine.title);
        let forced = engine.redial.iter().flat_map(|redial| {
            let moderate = redial.moderate.as_ref().map(|it| it.0.as_str());
            [Some(redial.strict.0.as_str()), moderate].into_iter().flatten()
        });
        let parameters = engine.parameters.iter().filter(|it| it.add);
        let parameters = parameters.map(|it| format!("{}={}", it.name, it.strict));
        let headers = engine.headers.iter().map(|it| format!("{}: {}", it.name, it.strict));
        for text in forced.map(str::to_owned).chain(parameters).chain(headers) {
            assert!(page.contains(&text), "{}: {text}", engine.id);
        }
    }
    for service in crate::tenants::services() {
        let (key, headers) = (format!("`{}`", service.name), service.headers.iter());
        assert!(page.contains(&key), "{key}");
        for header in headers {
            assert!(page.contains(&header.name), "{key}: {}", header.name);
        }
    }
}

#[test]
fn how_a_request_is_kept_safe_can_be_said() {
    let strict = SearchRules { video: VideoMode::Strict, ..SAFE };
    let moderate = SearchRules { video: VideoMode::Moderate, ..SAFE };
    let cases = [
        (
            "www.google.de",
            "/search?q=a",
            SAFE,
            "address forcesafesearch.google.com, parameter safe=active",
        ),
        ("www.google.de", "/maps", SAFE, "address forcesafesearch.google.com"),
        ("www.google.de", "/search?q=a", NONE, ""),
        ("search.yahoo.com", "/search?p=a", SAFE, "parameter vm=r"),
        ("www.youtube.com", "/", SAFE, ""),
        (
            "www.youtube.com",
            "/",
            strict,
            "address restrict.youtube.com, header YouTube-Restrict: Strict",
        ),
        (
            "m.youtube.com",
            "/",
            moderate,
            "address restrictmoderate.youtube.com, header YouTube-Restrict: Moderate",
        ),
        ("www.kiddle.co", "/s.php?q=a", SAFE, ""),
    ];
    for (host, target, rules, expected) in cases {
        assert_eq!(site(host).forced_by(target, &rules).join(", "), expected, "{host}{target}");
    }
}
