//! The shipped files about searches against public ones, where `SCHOOLGATE_SHARED` names the folder that
//! has them: nothing that those name is missing from ours.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests read files, and where they are")]

use rules::host::Host;
use rules::level::VideoMode;
use rules::search::{Search, SearchRules, Unseen};
use serde_json::Value;
use std::path::{Path, PathBuf};
use yaml_rust2::{Yaml, YamlLoader};

/// The folder of public data; says where there is none.
fn data() -> Option<PathBuf> {
    let data = std::env::var_os("SCHOOLGATE_SHARED").map(|shared| Path::new(&shared).join("data"));
    let found = data.filter(|data| data.join("search/safe_search.json").is_file());
    if found.is_none() {
        println!("passed over: SCHOOLGATE_SHARED names no folder with data about searches");
    }
    found
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(all) => all.iter().map(|it| it.as_str().unwrap()).collect(),
        Value::String(one) => vec![one],
        _ => Vec::new(),
    }
}

/// A host that a pattern covers.
fn example(pattern: &str) -> Host {
    let country = match pattern {
        _ if pattern.contains("yandex") => "com.tr",
        // Its countries stand before the name: uk.search.yahoo.com.
        _ if pattern.contains("yahoo") => "com",
        _ => "co.uk",
    };
    let text = pattern.replace("*.", "de.").replace("<tld>", country);
    Host::parse(text.split(['/', ' ']).next().unwrap()).unwrap()
}

const STRICT: SearchRules = SearchRules {
    safe_search: true,
    video: VideoMode::Strict,
    images: rules::level::ImageMode::Any,
    child_engines: false,
};

#[test]
fn every_engine_that_can_be_forced_is_forced_by_ours() {
    let Some(data) = data() else { return };
    let shared = json(&data.join("search/safe_search.json"));
    let shipped = Search::shipped();
    let mut hosts = 0;
    let engines = shared["engines"].as_array().unwrap();
    for engine in engines {
        let id = engine["id"].as_str().unwrap();
        assert!(shipped.engines().iter().any(|ours| ours.id == id), "{id}");
        for name in texts(&engine["dns"]["names"]) {
            let site =
                shipped.site(&Host::parse(name).unwrap()).unwrap_or_else(|| panic!("{name}"));
            let safe = site.redial(&STRICT).unwrap_or_else(|| panic!("{name} is not redialled"));
            let target = &engine["dns"]["target"];
            let target = target.as_str().or_else(|| target["strict"].as_str()).unwrap();
            // Brave's own browser, and AdGuard's newer list, name another host.
            let expected = if id == "brave" { "safesearch.brave.com" } else { target };
            assert_eq!(safe.as_str(), expected, "{name}");
            assert!(matches!(site.unseen(&STRICT), Unseen::Redial(_)), "{name}");
            hosts += 1;
        }
        let Some(parameters) = engine["url"]["set"].as_object() else { continue };
        let hosts = match id {
            "google" => vec!["www.google.co.uk"],
            _ => texts(&engine["url"]["hosts"]),
        };
        for (pattern, (name, value)) in
            hosts.iter().flat_map(|host| parameters.iter().map(move |it| (host, it)))
        {
            // The pages of www.qwant.com fetch what they show from api.qwant.com.
            let site = shipped.site(&example(pattern)).unwrap_or_else(|| panic!("{pattern}"));
            let target = format!("/search?q=a&{name}=other");
            let made = site.rewrite(&target, &[], &STRICT).path_and_query.unwrap();
            assert!(
                made.contains(&format!("{name}={}", value.as_str().unwrap())),
                "{pattern}: {made}"
            );
        }
        for host in texts(&engine["block_hosts"]) {
            let site = shipped.site(&Host::parse(host).unwrap()).unwrap();
            assert!(matches!(site.unseen(&STRICT), Unseen::Refuse(_)), "{host}");
        }
    }
    assert!(engines.len() >= 10 && hosts > 200, "{} engines, {hosts} hosts", engines.len());
}

#[test]
fn every_engine_that_a_public_list_calls_unsafe_is_kept_safe_or_refused() {
    let Some(data) = data() else { return };
    let list = std::fs::read_to_string(data.join("formats/hagezi-nosafesearch/domains")).unwrap();
    let (mut names, mut passed) = (0, Vec::new());
    for name in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        names += 1;
        let found = Search::shipped().site(&Host::parse(name).unwrap());
        let is_kept = found.is_some_and(|site| {
            // Somebody's own site with an engine on it: only what searches there is refused.
            site.unseen(&STRICT) != Unseen::Pass || site.refusal("/?q=cats", &STRICT).is_some()
        });
        if !is_kept {
            passed.push(name);
        }
    }
    assert_eq!(names, 175);
    assert_eq!(passed, ["ecosia.org"], "which redirects to www, and is redialled there");
}

#[test]
fn the_words_of_every_named_site_are_found() {
    let Some(data) = data() else { return };
    let shared = json(&data.join("search/search_terms.json"));
    let mut asked = 0;
    let ask = |host: &str, target: &str, expected: &str| {
        let site = Search::shipped().site(&example(host)).unwrap_or_else(|| panic!("{host}"));
        let words = site.terms(target).map(|terms| terms.words);
        assert_eq!(words.as_deref(), Some(expected), "{host}{target}");
    };
    for engine in shared["engines"].as_array().unwrap() {
        let pattern = engine["path_pattern"].as_str().unwrap_or("");
        for host in texts(&engine["hosts"]) {
            for name in texts(&engine["query_params"]) {
                let path = match (pattern, engine["id"].as_str().unwrap(), host.split('.').next()) {
                    ("", "google", Some("images")) => "/images",
                    ("", "google", Some("scholar")) => "/scholar",
                    ("", "google", Some("maps")) => "/maps",
                    ("", "google", Some("cse")) => "/cse",
                    ("", ..) => "/search",
                    (pattern, ..) => pattern.trim_end_matches('/'),
                };
                ask(host, &format!("{path}?x=1&{name}=two+words"), "two words");
                asked += 1;
            }
            if pattern.contains("{term}") {
                ask(host, &pattern.replace("{term}", "words"), "words");
                asked += 1;
            }
        }
    }
    for suggest in shared["autocomplete"].as_array().unwrap() {
        let text = |key: &str| suggest[key].as_str().unwrap();
        ask(text("host"), &format!("{}?{}=tw", text("path"), text("param")), "tw");
        let site = Search::shipped().site(&example(text("host"))).unwrap();
        let target = format!("{}?{}=tw", text("path"), text("param"));
        assert_eq!(site.terms(&target).unwrap().kind.as_str(), "suggest", "{target}");
        asked += 1;
    }
    assert!(asked >= 90, "{asked} searches");
}

#[test]
fn the_words_of_every_engine_of_the_matomo_project_are_found() {
    let Some(data) = data() else { return };
    let text = std::fs::read_to_string(data.join("search/matomo/SearchEngines.yml")).unwrap();
    let (mut hosts, mut missing) = (0, Vec::new());
    for entry in YamlLoader::load_from_str(&text).unwrap()[0].as_hash().unwrap().values() {
        for way in entry.as_vec().unwrap() {
            let names = way["params"]
                .as_vec()
                .map_or(Vec::new(), |it| it.iter().filter_map(Yaml::as_str).collect());
            // The others are patterns of a path, and a blank for a site whose words are never sent.
            let Some(name) = names.iter().find(|it| !it.starts_with('/') && !it.trim().is_empty())
            else {
                continue;
            };
            for url in way["urls"].as_vec().unwrap().iter().filter_map(Yaml::as_str) {
                // Names of Android apps, not of hosts.
                if url.contains("com.google.android") {
                    continue;
                }
                let (host, path) =
                    url.split_once('/').map_or((url, ""), |(host, path)| (host, path));
                let country = if host.contains("yandex") { "com.tr" } else { "co.uk" };
                let host = match host.strip_suffix("{}") {
                    Some(before) => format!("{before}{country}"),
                    None => host.replace("{}", "de"),
                };
                let backlink = way["backlink"].as_str().unwrap_or("");
                let page = backlink.split(['?', '#']).next().unwrap_or("");
                let page = if page.contains("{k}") || page.contains(':') { "" } else { page };
                let path = [path.trim_matches('/'), page.trim_start_matches('/')];
                let path =
                    path.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("/");
                let target = format!("/{path}?x=1&{name}=two+words");
                hosts += 1;
                let site = Search::shipped().site(&Host::parse(&host).unwrap());
                let words = site.and_then(|site| site.terms(&target)).map(|terms| terms.words);
                if words.as_deref() != Some("two words") {
                    missing.push(format!("{host}{target}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{} of {hosts}: {missing:#?}", missing.len());
    assert!(hosts > 500, "{hosts} hosts");
}

#[test]
fn every_header_of_a_named_service_is_known() {
    let Some(data) = data() else { return };
    let shared = json(&data.join("policy/tenant_restriction_headers.json"));
    let services = shared["services"].as_array().unwrap();
    for service in services {
        for name in service["headers"].as_object().unwrap().keys() {
            // YouTube's mode is a level's.
            let is_youtube = name == "YouTube-Restrict";
            let ours = rules::tenants::services().iter().filter(|ours| {
                ours.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name))
            });
            let hosts: Vec<&str> =
                ours.flat_map(|ours| ours.hosts.iter().map(String::as_str)).collect();
            for host in texts(&service["hosts"]) {
                assert!(is_youtube || hosts.contains(&host), "{name} for {host}");
            }
        }
    }
    assert!(services.len() >= 11, "{} services", services.len());
}
