#![allow(clippy::unwrap_used, reason = "a malformed fixture is a failed test")]
use super::*;

fn searched(method: &Method, host: &str, target: &str) -> Rc<Searched> {
    let target = PathAndQuery::try_from(target).unwrap();
    Searched::of(method, &Host::parse(host).unwrap(), Some(&target)).unwrap()
}

#[test]
fn all_words_are_judged_and_the_first_recorded() {
    let pad = "a".repeat(MAX_WORDS);
    let many = "-cats+".repeat(1000);
    for target in [
        format!("/search?q=-{pad}+how+to+tie"),
        format!("/search?q={pad}&q=how+to+tie"),
        format!("/search?q={many}&as_epq=how+to+tie"),
        format!("/search?q=how+to+tie&as_q={many}"),
        format!("/search?q={many}+how+to+tie+{many}"),
        format!("/search?q={many}&q=how+to+tie&q={many}"),
    ] {
        let searched = searched(&Method::GET, "www.google.co.uk", &target);
        assert!(searched.typed().any(|text| text.contains("how to tie")), "{target}");
        assert!(searched.typed().all(|text| text.chars().count() <= MAX_WORDS), "{target}");
        assert!(searched.words().unwrap().text.chars().count() <= MAX_WORDS, "{target}");
    }
    let short = searched(&Method::GET, "www.google.co.uk", "/search?q=how+to+tie");
    assert_eq!(short.typed().collect::<Vec<_>>(), ["how to tie"]);
    let excluding = searched(&Method::GET, "www.google.co.uk", "/search?q=how+to+tie+-a+NOT+knot");
    assert_eq!(excluding.typed().collect::<Vec<_>>(), ["how to tie -a NOT knot", "how to tie"]);
    assert_eq!(short.words().unwrap().text, "how to tie");
    let two = searched(&Method::GET, "www.google.co.uk", "/search?q=how+to+tie&as_q=a+-b");
    let texts = ["how to tie a -b", "how to tie a", "a", "how to tie", "a -b"];
    assert_eq!(two.typed().collect::<Vec<_>>(), texts);
    let none = searched(&Method::GET, "www.google.co.uk", "/search");
    assert!(none.typed().count() == 0 && none.is_typed_whole());
}

#[test]
fn many_harmless_words_hide_no_others() {
    let themes = categorizer::theme::Themes::shipped();
    let mut scratch = categorizer::theme::Scratch::default();
    let mut percent = |text: &str| {
        let found = themes.score_typed(text, &mut scratch);
        found.scores().map(|score| score.percent).max().unwrap_or(0)
    };
    let (bad, harmless) = ("painless+ways+to+kill+myself+tonight", "rivers+of+wales+".repeat(200));
    let target = |query: String| searched(&Method::GET, "www.google.co.uk", &query);
    for query in [
        format!("/search?q={harmless}{bad}"),
        format!("/search?q={bad}+{harmless}"),
        format!("/search?q={harmless}{bad}+{harmless}"),
        format!("/search?q={harmless}&q={bad}"),
        format!("/search?q=-{}+{bad}", "a".repeat(MAX_WORDS)),
        format!("/search?q={bad}&q=childline+lesson+essay+gcse"),
    ] {
        let highest = target(query.clone()).typed().map(&mut percent).max();
        assert!(highest >= Some(100), "{highest:?}: {query}");
    }
    let highest = target(format!("/search?q={harmless}")).typed().map(&mut percent).max();
    assert!(highest < Some(100), "{highest:?}");
}

#[test]
fn stretches_overlap_by_half_and_leave_nothing_out() {
    let text: String = ('a'..='z').chain(['\u{e9}', '\u{1f408}']).cycle().take(1300).collect();
    let lengths: Vec<usize> = stretches(&text).map(|it| it.chars().count()).collect();
    assert_eq!(lengths, [512, 512, 512, 512, 276]);
    let halves = |it: &str| it.chars().take(256).collect::<String>();
    let last = stretches(&text).last().unwrap().chars().skip(256).collect::<String>();
    assert_eq!(stretches(&text).map(halves).collect::<String>() + &last, text);
}

#[test]
fn a_path_with_words_is_recorded_without_them_whoever_asks() {
    for (target, recorded) in
        [("/search/two-words?x=1", "/search/{words}"), ("/gifs/x?y=1", "/gifs/x")]
    {
        let asked = PathAndQuery::from_static(target);
        let giphy = searched(&Method::GET, "giphy.com", target);
        assert_eq!(crate::record::path(Some(&asked), Some(&giphy)), Some(recorded));
    }
    assert_eq!(crate::record::path(None, None), None);
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        let giphy = searched(&method, "giphy.com", "/search/two-words?x=1");
        assert_eq!(giphy.path(), Some("/search/{words}"), "{method}");
        assert_eq!(giphy.words().is_some(), method != Method::OPTIONS);
    }
    assert_eq!(searched(&Method::GET, "giphy.com", "/gifs/two-words").path(), None);
}

#[test]
fn an_assistant_below_an_engine_is_one_there_alone() {
    for (target, name) in [("/duckchat/v1/chat", "Duck.ai"), ("/?q=a", "DuckDuckGo")] {
        let duck = searched(&Method::POST, "duckduckgo.com", target);
        assert_eq!((duck.name(), duck.is_assistant()), (name, name == "Duck.ai"));
    }
    let tunnel = Searched::of(&Method::CONNECT, &Host::parse("claude.ai").unwrap(), None);
    assert!(tunnel.unwrap().is_assistant());
}

#[test]
fn what_a_device_says_of_accounts_is_removed_and_nothing_else() {
    let mut headers = HeaderMap::new();
    let kept = ["accept", "user-agent", "upgrade-insecure-requests", "x-forwarded-host"];
    for name in kept {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
    }
    strip_restrictions(&mut headers);
    assert_eq!(headers.len(), kept.len());
    let mut names = 0;
    for service in rules::tenants::services() {
        for header in &service.headers {
            let name = HeaderName::from_bytes(header.name.as_bytes()).unwrap();
            headers.append(name.clone(), HeaderValue::from_static("own.example"));
            headers.append(name, HeaderValue::from_static("twice.example"));
            names += 1;
        }
    }
    assert!(names >= 12);
    strip_restrictions(&mut headers);
    let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(left, kept);
}
