//! What the fuzzer calls and the tests replay: panics where a promise is broken.

#![allow(clippy::unwrap_used, reason = "a broken promise is a panic here")]

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests read files")]
#[path = "../../../fuzz/replay.rs"]
pub(crate) mod replay;

use super::engines::Engine;
use super::query::{is_named, pairs, split};
use super::{MAX_JUDGED_BYTES, MAX_VALUES, MAX_WORDS, Search, SearchRules, Terms, Unseen};
use crate::host::Host;
use crate::level::{ImageMode, VideoMode};

/// The strictest settings, but for engines made for children.
pub const STRICT: SearchRules = SearchRules {
    safe_search: true,
    video: VideoMode::Strict,
    images: ImageMode::Safe,
    child_engines: false,
};

/// A host, a request target and `Cookie` fields, a line each. What is rewritten needs no rewriting, has no
/// unsafe parameter, and is otherwise as it was; words keep their bounds.
pub fn search_request(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let (Some(host), Some(target)) = (lines.next(), lines.next()) else { return };
    let Ok(host) = Host::parse(host) else { return };
    let cookies: Vec<&str> = lines.collect();
    check(&host, target, &cookies);
}

/// The promises, for one request.
pub fn check(host: &Host, target: &str, cookies: &[&str]) {
    let Some(site) = Search::shipped().site(host) else { return };
    if let Some(terms) = site.terms(target) {
        let length = terms.words.chars().count();
        assert!((1..=MAX_WORDS).contains(&length), "{length} characters");
        assert!(!terms.words.chars().any(char::is_control), "{:?}", terms.words);
        assert_eq!(terms.words, terms.words.trim());
        are_judged(&terms);
    }
    let open = SearchRules::default();
    assert!(site.rewrite(target, cookies, &open).is_empty());
    assert_eq!((site.refusal(target, &open), site.unseen(&open)), (None, Unseen::Pass));
    let _ = (site.refusal(target, &STRICT), site.is_image_search(target), site.is_video(target));

    let changes = site.rewrite(target, cookies, &STRICT);
    let new_target = changes.path_and_query.as_deref().unwrap_or(target);
    let new_cookies: Vec<&str> = changes.cookie.as_deref().map_or(cookies.to_vec(), |it| vec![it]);
    let again = site.rewrite(new_target, &new_cookies, &STRICT);
    assert_eq!(again.path_and_query, None, "{new_target} is rewritten again");
    assert_eq!(again.cookie, None, "{new_cookies:?} are set again");
    let Some(engine) = site.engine() else {
        assert!(changes.is_empty());
        return;
    };
    let (old_path, old_query) = split(target);
    let (path, query) = split(new_target);
    assert_eq!(path, old_path);
    assert!(!new_target.contains('#'));
    is_safe(engine, query.unwrap_or_default());
    let others = |query: &str| -> Vec<String> {
        let is_set = |name: &str| engine.parameters.iter().any(|it| is_named(name, &it.name));
        // Words may be taken out of these.
        let is_query = |name: &str| engine.query.iter().any(|known| is_named(name, known));
        let kept = pairs(query).filter(|(name, _)| !is_set(name) && !is_query(name));
        let text = |(name, value): (&str, &str)| format!("{name}={value}");
        kept.map(text).filter(|pair| pair != "=").collect()
    };
    if engine.off_words.is_empty() {
        let (old, new) = (others(old_query.unwrap_or_default()), others(query.unwrap_or_default()));
        assert_eq!(old, new, "other parameters are kept, in their order");
    }
}

/// What is judged keeps its bounds, and has what is recorded.
fn are_judged(terms: &Terms<'_>) {
    let Terms { words, all, each, is_cut, .. } = terms;
    assert!((words.len()..=MAX_JUDGED_BYTES).contains(&all.len()));
    assert!(all.starts_with(words) && !all.chars().any(char::is_control));
    assert!(*is_cut || words == all, "what is not cut is recorded as it is judged");
    assert!(each.len() <= 2 * MAX_VALUES && each.len() != 1);
    let bytes: usize = each.iter().map(String::len).sum();
    assert!(bytes <= 2 * MAX_JUDGED_BYTES, "{bytes} bytes");
    for value in each {
        assert!(!value.is_empty() && value == value.trim() && !value.chars().any(char::is_control));
    }
    // Behind those without what they exclude stand the values themselves.
    assert!(each.last().is_none_or(|last| all.contains(&**last)));
}

/// No parameter of the engine's has another value than the safe one, nor stands there twice.
fn is_safe(engine: &Engine, query: &str) {
    for parameter in &engine.parameters {
        // One that counts on some paths alone is set there alone.
        if !parameter.paths.is_empty() {
            continue;
        }
        let given: Vec<_> =
            pairs(query).filter(|(name, _)| is_named(name, &parameter.name)).collect();
        assert!(given.len() <= 1, "{query}: {} twice", parameter.name);
        for (_, value) in given {
            assert_eq!(value, parameter.strict, "{query}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::replay::replay;

    #[test]
    fn search_request() {
        replay("search_request", super::search_request);
    }
}
