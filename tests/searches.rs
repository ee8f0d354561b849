//! Searches kept safe: every engine of the shipped file, looked into and not, over HTTP/1.1 and HTTP/2, however the
//! parameters are spelt.

use crate::daemon::{Daemon, GUEST, KS1, KS2, KS3, LIVE_WITHIN, Plan, STAFF, wait_for};
use crate::inspected::{Secure, trusting};
use crate::search_web::{ENGINES, Engine, Web, engines};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

/// Every way in which a pupil may write a parameter to switch a safe mode off.
fn hostile(parameters: &[(String, String)]) -> String {
    let mut query = "?q=cats+and+dogs".to_owned();
    for (name, _) in parameters {
        let first = name.as_bytes()[0];
        let _ = write!(
            query,
            "&{name}=zzz&%{first:02x}{}=zzz&{}=zzz&{name}[]=zzz;{name}=zzz&{name}",
            &name[1..],
            name.to_uppercase(),
        );
    }
    query + "&page=2"
}

/// Whether an engine's answer shows that it was kept safe.
#[track_caller]
fn check_forced(web: &Web, engine: &Engine, host: &str, said: &str) {
    let about = format!("{} {host}: {said}", engine.id);
    let parts: Vec<&str> = said.split('|').collect();
    let address = match engine.redialled.iter().any(|it| it == host) {
        true => &*web.safe[engine.strict.as_ref().unwrap()],
        false => web.safe.get(host).map_or(ENGINES, |safe| &**safe),
    };
    assert_eq!((parts[0], parts[1]), (address, host), "{about}");
    let (path, query) = parts[2].split_once('?').unwrap();
    assert_eq!(path, engine.path, "{about}");
    assert!(query.starts_with("q=cats+and+dogs&") && query.contains("&page=2"), "{about}");
    for (name, strict) in &engine.parameters {
        let is_it = |pair: &&str| pair.split_once('=').map_or(*pair, |pair| pair.0) == name;
        let found: Vec<&str> = query.split(['&', ';']).filter(is_it).collect();
        assert_eq!(found, [format!("{name}={strict}")], "{about}");
        assert!(!query.contains("zzz"), "{about}");
    }
    for (name, strict) in &engine.headers {
        assert_eq!(name, "YouTube-Restrict");
        assert!(said.contains(&format!("|youtube={strict}|")), "{about}");
    }
    for (name, part, strict) in &engine.cookies {
        let part = part.as_ref().map(|part| format!("{part}=")).unwrap_or_default();
        let cookie = parts[3].strip_prefix("cookie=").unwrap();
        let of_name: Vec<&str> = cookie
            .split("; ")
            .filter(|it| it.split('=').next().is_some_and(|it| it.eq_ignore_ascii_case(name)))
            .collect();
        assert_eq!(of_name.len(), 1, "{about}");
        assert!(
            of_name[0].to_lowercase().contains(&format!("{part}{strict}").to_lowercase()),
            "{about}"
        );
        assert!(cookie.contains("other=1"), "{about}");
    }
}

#[test]
fn every_engine_is_kept_safe_inside_over_both_versions_or_refused() {
    let web = Web::start(&[]);
    let mut forced = 0;
    let mut refused = 0;
    for engine in engines() {
        let path = format!("{}{}", engine.path, hostile(&engine.parameters));
        let cookies: String = engine
            .cookies
            .iter()
            .map(|(name, part, _)| {
                let part = part.as_ref().map(|part| format!("{part}=")).unwrap_or_default();
                format!("; {name}=a=b&{part}zzz")
            })
            .collect();
        let fields = format!("Cookie: other=1{cookies}\r\nYouTube-Restrict: None\r\n");
        for host in engine.some() {
            let answer = web.ask(KS3, host, &path, &fields).unwrap();
            let is_refused = engine.refused.contains(host);
            let cookie = format!("Cookie: other=1{cookies}");
            let two = web.curl(host, &path, &["-H", &cookie, "-H", "YouTube-Restrict: None", "-g"]);
            let two = two.ok().out;
            if engine.safe == "none" || is_refused {
                let reason = if is_refused { "unsafe_host" } else { "no_safe_mode" };
                assert_eq!(answer.status, 403, "{} {host}: {}", engine.id, answer.text());
                assert_eq!(answer.json()["reason"], reason, "{} {host}", engine.id);
                assert!(two.contains(&format!("\"{reason}\"")), "{} {host}: {two}", engine.id);
                refused += 1;
            } else if engine.id == "ecosia" && host == "www.ecosia.org" {
                // Its safe host has another certificate: nobody stands in for the engine.
                assert_eq!(answer.json()["reason"], "tls_name", "{}", answer.text());
                assert!(two.contains("tls_name"), "{two}");
            } else if engine.safe == "forced" {
                assert_eq!(answer.status, 200, "{} {host}: {}", engine.id, answer.text());
                check_forced(&web, &engine, host, &answer.text());
                check_forced(&web, &engine, host, &two);
                forced += 1;
            } else {
                assert!(answer.text().starts_with(ENGINES), "{} {host}", engine.id);
            }
        }
    }
    assert!(forced >= 35 && refused >= 12, "{forced} {refused}");
}

#[test]
fn every_engine_that_is_not_looked_into_goes_to_its_safe_host_or_is_refused() {
    let web = Web::start(&[]);
    let (mut redialled, mut refused) = (0, 0);
    for engine in engines() {
        for host in engine.some() {
            let about = format!("{} {host}", engine.id);
            let reason = match (&*engine.safe, engine.refused.contains(host)) {
                _ if engine.redialled.contains(host) => None,
                ("none", _) => Some("no_safe_mode"),
                ("forced", true) => Some("unsafe_host"),
                ("forced", false) if engine.plain.contains(host) => None,
                ("forced", false) => Some("search_not_inspected"),
                _ => None,
            };
            if let Some(reason) = reason {
                let answer = web.connect(GUEST, host);
                assert_eq!(answer.status, 403, "{about}");
                assert_eq!(answer.json()["reason"], reason, "{about}");
                refused += 1;
                continue;
            }
            let answer = web.ask(GUEST, host, "/search?q=cats&safe=off", "");
            if host == "www.ecosia.org" {
                answer.expect_err("the device sees that the certificate is not the engine's");
                continue;
            }
            let said = answer.unwrap_or_else(|error| panic!("{about}: {error}")).text();
            let address = match &engine.strict {
                Some(strict) if engine.redialled.contains(host) => &*web.safe[strict],
                _ => ENGINES,
            };
            // Nothing in it is changed.
            let expected = format!("{address}|{host}|/search?q=cats&safe=off|cookie=|youtube=|");
            assert!(said.starts_with(&expected), "{about}: {said}");
            redialled += 1;
        }
    }
    assert!(redialled >= 20 && refused >= 25, "{redialled} {refused}");
    // The name inside has to be kept safe too.
    let pem = web.daemon.origin.authority_pem.clone().into_bytes();
    for name in ["www.google.co.uk", "www.mojeek.com"] {
        let authority = format!("docs.google.com:{}", web.port);
        let config = trusting(&pem, &[b"http/1.1"]);
        let tunnel = Secure::open_to(&web.daemon, GUEST, &authority, name, config);
        assert!(tunnel.is_err(), "{name} by way of another name");
    }
}

#[test]
fn words_are_recorded_for_those_who_may_see_them_and_the_address_that_was_asked_for() {
    let web = Web::start(&[]);
    let asked = "/search?q=how+do+%C3%89clairs+rise&safe=off&tbm=vid";
    assert!(web.ask(KS3, "www.google.co.uk", asked, "").unwrap().text().contains("safe=active"));
    // Of a site that the policy refuses, and of a host that does not search.
    let refused = "/search?q=poker+odds";
    assert_eq!(web.ask(KS3, "search.aol.com", refused, "").map_or(403, |it| it.status), 403);
    web.ask(KS3, "docs.google.com", "/d?q=private", "").unwrap();
    web.daemon.wait_records(6);
    let query = ["log", "query", "--since", "24h", "--jsonl"];
    let run = |more: &[&str]| web.daemon.run(&[&query[..], more].concat()).ok();
    let lead = run(&["--by", "q.whitmore"]);
    let records = lead.lines();
    let of = |host: &str| {
        let is_it = |it: &&serde_json::Value| it["host"] == host && it["scheme"] == "https";
        records.iter().find(is_it).unwrap_or_else(|| panic!("{host}: {records:#?}"))
    };
    let google = of("www.google.co.uk");
    assert_eq!(google["words"], "how do \u{c9}clairs rise");
    assert_eq!(
        (&google["words_kind"], &google["words_site"]),
        (&"search".into(), &"Google".into())
    );
    assert_eq!((&google["path"], &google["verdict"]), (&"/search".into(), &"allow".into()));
    assert_eq!(of("docs.google.com")["words"], serde_json::Value::Null);
    // The technician reads records, and no words; not by looking for them either.
    let technician = run(&["--by", "j.cho"]).out;
    assert!(!technician.contains("clairs") && !technician.contains("poker"), "{technician}");
    let found = |term: &str, by: &str| run(&["--term", term, "--by", by]).lines().len();
    assert_eq!((found("\u{e9}clairs", "j.cho"), found("\u{e9}clairs", "q.whitmore")), (0, 1));
    // Neither do other logs have them; the look does.
    let actions = web.daemon.run(&["log", "actions", "--since", "24h", "--jsonl"]).ok().out;
    let looks = actions.lines().filter(|line| line.contains("words of searches shown")).count();
    assert_eq!(looks, 2, "{actions}");
    let metrics = web.daemon.ops_get("/metrics").unwrap().text();
    assert!(!metrics.contains("clairs") && !web.daemon.said().contains("clairs"));
}

#[test]
fn a_subject_access_answer_has_the_words_and_the_look_says_that_they_were_shown() {
    let engine = "www.google.co.uk";
    let hosts = [engine, "forcesafesearch.google.com"].map(|host| (host, vec!["127.0.0.1"]));
    let hosts = hosts.to_vec();
    let daemon =
        Daemon::start_with(&Plan { hosts, people: true, inspected: true, ..Plan::default() });
    let asks = |user: &str, words: &str| {
        daemon.get_as(user, &daemon.url(engine, &format!("/search?q={words}"))).status
    };
    asks("sam", "how+do+eclairs+rise");
    assert_eq!(asks("sam", "painless+ways+to+kill+myself+tonight"), 403);
    asks("kim", "words+of+another");
    let person = |by: &str, format: &str| {
        let line = ["report", "person", "sam", "--reason", "subject access request of 3 March"];
        daemon.run(&[&line[..], &["--format", format, "--by", by]].concat())
    };
    let read = || person("q.whitmore", "json").ok().json();
    wait_for("both searches", Duration::from_secs(20), || {
        read()["words"].as_array().unwrap().len() == 2
    });
    let whole = read();
    let [harmless, urgent] = &whole["words"].as_array().unwrap()[..] else { panic!("{whole}") };
    assert_eq!(
        (&harmless["words"], &harmless["kind"]),
        (&"how do eclairs rise".into(), &"search".into())
    );
    assert_eq!((&harmless["site"], &harmless["signs"]), (&engine.into(), &"".into()));
    assert_eq!(urgent["words"], "painless ways to kill myself tonight");
    assert!(urgent["signs"].as_str().unwrap().contains("suicide"), "{urgent}");
    assert_eq!((&urgent["verdict"], &whole["words_shown"]), (&"block".into(), &true.into()));
    for format in ["html", "md", "csv"] {
        let text = person("a.fenn", format);
        assert_eq!(text.code, 4, "nobody without the role: {text:?}");
        let text = person("q.whitmore", format).ok().out;
        assert!(text.contains("eclairs") && text.contains("kill myself"), "{format}: {text}");
        assert!(!text.contains("words of another"), "{format}: {text}");
    }
    let refused = person("j.cho", "md");
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(!refused.out.contains("eclairs"), "{refused:?}");
    let looks = daemon.run(&["log", "actions", "--event", "looked", "--jsonl"]).ok().out;
    let is_told =
        |line: &&str| line.contains("report person") && line.contains("words of searches shown");
    assert!(looks.lines().filter(is_told).count() >= 5, "{looks}");
    assert!(!looks.contains("eclairs"), "{looks}");
}

#[test]
fn pages_say_why_and_an_exception_opens_an_engine_only_by_its_own_name() {
    let web = Web::start(&[
        (
            "ks2 = { parent = \"pupil\" }",
            "ks2 = { parent = \"pupil\", images = \"block\" }\n\
             young = { parent = \"pupil\", child_engines = true }",
        ),
        ("\"ks1\", \"ks2\"", "\"ks1\", \"young\", \"ks2\""),
        ("\"net:127.21.0.0/16\" = \"ks1\"", "\"net:127.21.0.0/16\" = \"young\""),
        ("uncategorised = { pupil = \"block\", ks3", "uncategorised = { pupil = \"allow\", ks3"),
        (
            "[roles]\n",
            "[[exception]]\nsite = \"aol.com\"\nallow_for = \"pupil\"\nreason = \"Its news\"\n\
             review = 2027-07-01\n[[exception]]\nsite = \"www.google.co.uk\"\nallow_for = \"ks2\"\n\
             reason = \"Asked for\"\nreview = 2027-07-01\n[[exception]]\nsite = \"boomle.com\"\n\
             allow_for = \"ks3\"\nreason = \"Asked for\"\nreview = 2027-07-01\n\
             [[exception]]\nsite = \"www.bing.com\"\nallow_for = \"pupil\"\nreason = \"For the young too\"\n\
             review = 2027-07-01\n\n[roles]\n",
        ),
    ]);
    let html = "Accept: text/html\r\n";
    let cases = [
        (KS1, "www.google.co.uk", "/search?q=cats", "not_for_children"),
        (KS2, "www.google.co.uk", "/search?q=cats&tbm=isch", "image_search"),
        (KS3, "search.aol.com", "/aol/search?q=cats", "no_safe_mode"),
        (KS3, "music.youtube.com", "/", "unsafe_host"),
    ];
    for (from, host, path, reason) in cases {
        let answer = web.ask(from, host, path, "").unwrap();
        assert_eq!(
            (answer.status, &answer.json()["reason"]),
            (403, &reason.into()),
            "{host}{path}"
        );
        let page = web.ask(from, host, path, html).unwrap();
        assert!(page.status == 403 && page.text().contains("</html>"), "{host}{path}");
    }
    let page = web.ask(KS3, "search.aol.com", "/aol/search?q=cats", html).unwrap().text();
    assert!(page.contains("This search engine has no safe search. Use another one."), "{page}");
    // By its own name it is opened, by that of the site around it not; what has a safe mode is kept to it.
    assert_eq!(web.ask(KS3, "boomle.com", "/?q=cats", html).unwrap().status, 200);
    assert_eq!(web.ask(KS2, "boomle.com", "/?q=cats", html).unwrap().status, 403, "for ks3 alone");
    let bing = web.ask(KS1, "www.bing.com", "/search?q=cats", "").unwrap();
    assert!(bing.text().starts_with(&*web.safe["strict.bing.com"]), "{}", bing.text());
    assert!(bing.text().contains("adlt=strict"), "{}", bing.text());
    let opened = record(&web, |it| {
        it["host"] == "boomle.com" && it["level"] == "ks3" && it["method"] == "GET"
    });
    assert_eq!((&opened["verdict"], &opened["reason"]), (&"allow".into(), &"exception".into()));
    assert_eq!(web.ask(KS2, "www.google.co.uk", "/search?q=cats", html).unwrap().status, 200);
    assert_eq!(web.ask(KS1, "www.kiddle.co", "/s.php?q=cats", html).unwrap().status, 200);
    // Staff search as they like, at the engine itself; and a level's connections are its own.
    let safe = &*web.safe["forcesafesearch.google.com"];
    for (from, address) in [(STAFF, ENGINES), (KS3, safe), (STAFF, ENGINES), (KS3, safe)] {
        let said = web.ask(from, "www.google.co.uk", "/search?q=cats", "").unwrap().text();
        assert!(said.starts_with(address), "{said}");
    }
    // Without TLS too.
    let url = format!("http://www.google.co.uk:{}/search?q=cats&safe=off", web.plain);
    let said = web.daemon.get_from(KS3, &url).text();
    assert!(
        said.starts_with(&format!("{safe}|www.google.co.uk|/search?q=cats&safe=active|")),
        "{said}"
    );
    assert!(web.daemon.get_from(STAFF, &url).text().starts_with(ENGINES));
}

/// The first record that is such a one.
fn record(web: &Web, is_it: impl Fn(&Value) -> bool) -> Value {
    let find = || web.daemon.records().into_iter().find(&is_it);
    wait_for("the record", Duration::from_secs(10), || find().is_some());
    find().unwrap()
}

#[test]
fn an_engine_without_a_safe_mode_is_named_and_opened_by_an_unblock_of_itself_until_that_ends() {
    let web = Web::start(&[]);
    let (host, path) = ("searx.some.example", "/search?q=cats");
    let refused = || web.ask(KS3, host, path, "").unwrap();
    assert_eq!(refused().json()["reason"], "no_safe_mode");
    let url = format!("https://{host}:{}{path}", web.port);
    let check = || web.daemon.run(&["check", &url, "--as", "ks3"]);
    let said = check();
    assert!(said.code == 10 && said.out.contains("search: SearXNG"), "{said:?}");
    assert!(said.out.contains("unblock request searx.some.example"), "{said:?}");
    let blocked = record(&web, |it| it["verdict"] == "block");
    assert_eq!(blocked["rule"], "search: SearXNG", "{blocked}");
    let code = blocked["code"].as_str().unwrap();
    let explained = web.daemon.run(&["explain", code]).ok().out;
    for words in ["no safe mode that can be forced", "search: SearXNG", "unblock request"] {
        assert!(explained.contains(words), "{words}: {explained}");
    }

    let unblock = |site: &str| {
        let ask =
            ["unblock", "request", site, "--for", "ks3", "--until", "3 days", "--by", "p.obi"];
        web.daemon.run(&[&ask[..], &["--reason", "A lesson about engines"]].concat()).ok();
        web.daemon.sign_off()
    };
    // The site around it is not the engine.
    unblock("some.example");
    std::thread::sleep(LIVE_WITHIN);
    assert_eq!(refused().status, 403);
    let id = unblock(host);
    wait_for("the unblock", LIVE_WITHIN * 3, || refused().status == 200);
    assert!(refused().text().contains("|/search?q=cats|"), "{}", refused().text());
    let said = check();
    assert!(said.code == 0 && said.out.contains(&id), "{said:?}");
    let opened = record(&web, |it| it["method"] == "GET" && it["verdict"] == "allow");
    assert_eq!((&opened["reason"], &opened["unblock"]), (&"unblock".into(), &id.as_str().into()));
    web.daemon.run(&["unblock", "revoke", &id, "--by", "q.whitmore", "--reason", "Done"]).ok();
    wait_for("the end", LIVE_WITHIN * 3, || refused().status == 403);
}

#[test]
fn a_stricter_level_ends_open_connections_that_would_go_elsewhere_now() {
    let strict = "guest = { safe_search = true, video = \"strict\" }";
    let web = Web::start(&[(strict, "guest = {}")]);
    let pem = web.daemon.origin.authority_pem.clone().into_bytes();
    let open = |host: &str| {
        let authority = format!("{host}:{}", web.port);
        let config = trusting(&pem, &[b"http/1.1"]);
        let mut tunnel = Secure::open_to(&web.daemon, GUEST, &authority, host, config).unwrap();
        let said = tunnel.ask(&authority, "/search?q=cats").unwrap().text();
        (tunnel, said)
    };
    let (mut google, said) = open("www.google.co.uk");
    assert!(said.starts_with(ENGINES), "{said}");
    let (mut other, _) = open("docs.google.com");
    let file = web.daemon.folder().join("policy.toml");
    let policy = std::fs::read_to_string(&file).unwrap().replace("guest = {}", strict);
    std::fs::write(&file, policy).unwrap();
    let mut byte = [0];
    google.stream.sock.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let read = std::io::Read::read(&mut google.stream.sock, &mut byte);
    assert!(
        matches!(read, Ok(0))
            || read.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
    );
    let (_, said) = open("www.google.co.uk");
    assert!(said.starts_with(&*web.safe["forcesafesearch.google.com"]), "{said}");
    assert_eq!(other.ask("docs.google.com", "/").unwrap().status, 200, "others go on");
}

#[test]
fn services_are_told_the_schools_own_accounts_and_never_a_devices() {
    let web = Web::start(&[("[roles]\n", "[tenants]\ngoogle = [\"school.example\"]\n\n[roles]\n")]);
    let own =
        "X-GoogApps-Allowed-Domains: pupil.example\r\nx-googapps-allowed-domains: b.example\r\n";
    for (from, host, told) in [
        (KS3, "docs.google.com", "google=school.example|"),
        (STAFF, "docs.google.com", "google=school.example|"),
        (KS3, "www.kiddle.co", "google=|"),
    ] {
        let said = web.ask(from, host, "/d", own).unwrap().text();
        assert!(said.contains(told) && !said.contains("pupil.example"), "{host}: {said}");
    }
    let header = "X-GoogApps-Allowed-Domains: pupil.example";
    let said = web.curl("docs.google.com", "/d", &["-H", header]).ok().out;
    assert!(said.contains("google=school.example|HTTP/2.0"), "{said}");
}

#[test]
fn check_and_explain_say_what_is_forced() {
    let web = Web::start(&[]);
    let url = |host: &str, path: &str| format!("https://{host}:{}{path}", web.port);
    let check = |url: &str, level: &str| web.daemon.run(&["check", url, "--as", level]);
    let google = url("www.google.co.uk", "/search?q=cats");
    let said = check(&google, "ks3").ok().out;
    let forced = "forced by address forcesafesearch.google.com, parameter safe=active";
    assert!(said.contains(forced), "{said}");
    assert!(!check(&google, "staff").ok().out.contains("forced by"), "staff");
    let said = check(&google, "guest").ok().out;
    assert!(said.contains("forced by address forcesafesearch.google.com\n"), "{said}");
    let mojeek = check(&url("www.mojeek.com", "/search?q=cats"), "guest");
    assert_eq!(mojeek.code, 10, "{}", mojeek.out);
    assert!(mojeek.out.contains("only where HTTPS is inspected"), "{}", mojeek.out);
    let json = web.daemon.run(&["check", &google, "--as", "ks3", "--jsonl"]).ok().lines();
    assert_eq!(json[0]["safe_search"][1], "parameter safe=active");
    let refused = web.connect(GUEST, "www.mojeek.com").json();
    let code = refused["code"].as_str().unwrap();
    web.daemon.wait_records(1);
    let said = web.daemon.run(&["explain", code]).ok().out;
    assert!(said.contains("only where HTTPS is inspected"), "{said}");
    assert!(said.contains("an unblock does not change that"), "{said}");
    let valid = web.daemon.run(&["policy", "validate"]).ok();
    assert!(!format!("{}{}", valid.out, valid.err).contains("not enforced"), "{valid:?}");
    assert!(!engines().iter().any(|engine| engine.title.is_empty()));
}
