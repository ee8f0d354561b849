//! Requests that are made to be slow, or to be read wrongly.

use super::super::fuzzing::{Lines, check};
use super::*;

const HOSTS: [&str; 6] = [
    "math.example",
    "games-example-com.translate.goog",
    "translate.google.com",
    "web.archive.org",
    "12ft.io",
    "webcache.googleusercontent.com",
];

fn targets() -> Vec<String> {
    let nested = |times: usize| {
        let mut text = "https://games.example/".to_owned();
        for _ in 0..times {
            text = text.replace('%', "%25").replace(':', "%3A").replace('/', "%2F");
        }
        text
    };
    let mut targets = vec![
        String::new(),
        "/".to_owned(),
        "?".to_owned(),
        "/?".to_owned(),
        "*".to_owned(),
        "/%".to_owned(),
        "/%%%%".to_owned(),
        "/%zz/%4".to_owned(),
        "/%68%74%74%70%73%3A%2F%2F%67ames.example/".to_owned(),
        "/https:".to_owned(),
        "/https:/".to_owned(),
        "/https://".to_owned(),
        "/https:///games.example".to_owned(),
        "/https:\\\\games.example".to_owned(),
        "/https://[::1".to_owned(),
        "/https://games.example:99999/".to_owned(),
        "/service/hvtr".to_owned(),
        "/service/hvtrs8/".to_owned(),
        "/main/aHR0c".to_owned(),
        "/main/aHR0cHM6Ly8".to_owned(),
        "/x/6874747".to_owned(),
        "/?dns=".to_owned(),
        "/?dns=AAAA".to_owned(),
        "/?u=%00https://games.example".to_owned(),
        "/web/20260101/https://\u{202e}games.example/é".to_owned(),
        "/?q=cache:".to_owned(),
        "/?q=cache:::::".to_owned(),
        "/?_x_tr_hp=%2F%2Fevil&_x_tr_enc=0,1".to_owned(),
    ];
    targets.extend((1..8).flat_map(|times| {
        let text = nested(times);
        [format!("/service/{text}"), format!("/?u={text}"), format!("/web/1/{text}")]
    }));
    let most = 64 * 1024;
    for piece in [
        "/",
        "%",
        "%25",
        "%252525",
        "a",
        "/http:",
        "/https://a.example",
        "/hvtrs8%2F-a",
        "/aHR0cHM6Ly9",
        "é",
        "/service/aHR0cHM6Ly9nYW1lcy5leGFtcGxl",
        "u=https://a.example.com&",
        ";u=aHR0cHM6Ly9",
    ] {
        targets.push(format!("/{}", piece.repeat(most / piece.len())));
        targets.push(format!("/x?{}", piece.repeat(most / piece.len())));
    }
    targets
}

#[test]
fn whatever_comes_is_bounded_and_keeps_its_promises() {
    let targets = targets();
    for host in HOSTS.map(|host| Host::parse(host).unwrap()) {
        for target in &targets {
            check(&host, "GET", target, &Lines(vec![("accept", "*/*")]));
        }
    }
}

/// Each holds all that follow it: without the bound the test would not end.
#[test]
fn urls_that_multiply_are_looked_at_no_oftener_than_the_bound() {
    let mut path = String::new();
    for i in 0..4000 {
        path.push_str(&format!("/https://s{i}.example{i}.com"));
    }
    for host in ["plain.example", "web.archive.org", "12ft.io"] {
        let found = found(&format!("https://{host}/web/1{path}")).unwrap();
        assert_eq!(found.2.split(' ').count(), MOST_INNER, "{host}");
    }
}

/// What advertisements are full of.
#[test]
fn a_chain_of_urls_in_the_path_of_a_site_that_nobody_knows_is_no_way_round() {
    let chain = "/c/http://a.example.com/http://b.example.net/http://c.example.org/http://8.8.4.5/";
    let (technique, grade, inner) = found(&format!("https://ads.example{chain}x")).unwrap();
    assert_eq!((technique, grade), (Technique::UrlInside, Grade::Perhaps));
    assert!(inner.starts_with("a.example.com b.example.net c.example.org 8.8.4.5"), "{inner}");
}

#[test]
fn what_is_nested_too_deep_is_a_way_round() {
    let mut url = "https://games.example.com/".to_owned();
    let mut grades = Vec::new();
    for _ in 0..5 {
        url = format!("https://web.archive.org/web/2026/{url}");
        grades.push(found(&url).unwrap().1);
    }
    let gateway = Grade::Gateway;
    assert_eq!(grades[..3], [gateway, gateway, gateway]);
    assert_eq!(grades[3..], [Grade::Certain, Grade::Certain]);
    let many: String = (0..20).map(|i| format!("&u=https://s{i}.example.com")).collect();
    let (_, grade, inner) = found(&format!("https://translate.google.com/?x=1{many}")).unwrap();
    assert_eq!((grade, inner.split(' ').count()), (Grade::Certain, MOST_INNER));
}
