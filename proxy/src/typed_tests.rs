#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use crate::themes::tests::{POLICY, themes_and_actions};

const SUICIDE: &str = "painless ways to kill myself tonight";

fn is_fetched(fields: &[(&'static str, &'static str)]) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    is_embedded(&headers)
}

#[test]
fn a_search_in_a_frame_or_by_hand_is_somebodys_and_any_other_is_still_a_sign() {
    for dest in ["document", "iframe", "frame", "embed", "object"] {
        assert!(!is_fetched(&[("sec-fetch-dest", dest)]), "{dest}");
    }
    assert!(is_fetched(&[("sec-fetch-dest", "image")]));
    assert!(!is_fetched(&[("sec-fetch-dest", "image"), ("sec-fetch-user", "?1")]));
    assert!(is_fetched(&[("sec-fetch-dest", "empty"), ("sec-fetch-site", "cross-site")]));
    assert!(!is_fetched(&[("sec-fetch-dest", "empty"), ("sec-fetch-site", "same-origin")]));
    let sign = |severity| Sign {
        theme: "suicide".to_owned(),
        points: 100,
        source: SignSource::Search,
        severity,
    };
    let mut signs = vec![sign(Severity::Urgent), sign(Severity::Routine)];
    soften(&mut signs);
    assert_eq!(signs, [sign(Severity::High), sign(Severity::Routine)]);
}

async fn written(policy: &str, text: &str) -> (bool, String) {
    let (themes, actions) = themes_and_actions(policy).await;
    let whole = Reading::new(themes, Rc::clone(&actions), Rc::default(), false);
    let (last, reached, found) = (String::new(), Reached::default(), None);
    let mut written = Written { last, whole, is_long: false, stretches: 0, reached, found };
    written.take(text);
    let is_refused = written.judged().refused_typed(written.whole.themes(), &actions).is_some();
    (is_refused, written.found.map_or(written.last, |(_, text)| text))
}

#[tokio::test]
async fn help_that_stands_elsewhere_in_a_body_passes_nothing() {
    let policy = format!("{POLICY}\n[themes]\nsuicide = {{ staff = \"block\" }}\n");
    let far = "the cat sat on the mat. ".repeat(400);
    for (text, expected) in [
        (SUICIDE.to_owned(), true),
        (format!("childline number, {SUICIDE}"), false),
        (format!("task 1, crossword, {SUICIDE}"), true),
        (format!("childline number. {far} {SUICIDE}"), true),
        (format!("{SUICIDE}. {far} childline number"), true),
        (format!("childline number, {SUICIDE}. {far}"), false),
    ] {
        assert_eq!(written(&policy, &text).await.0, expected, "{}", &text[..40.min(text.len())]);
    }
}

#[tokio::test]
async fn the_words_of_a_record_are_those_that_matter_to_the_level() {
    let themes = "suicide = { staff = \"block\" }\ndrugs = { staff = \"off\" }\n";
    let policy = format!("{POLICY}\n[themes]\n{themes}");
    let far = "the cat sat on the mat. ".repeat(400);
    let text = format!("where to buy cocaine and ketamine near me. {far} {SUICIDE}. {far}");
    let (is_refused, words) = written(&policy, &text).await;
    assert!(is_refused && words.contains(SUICIDE), "{words}");
}
