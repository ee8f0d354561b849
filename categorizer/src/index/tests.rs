#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::disallowed_methods, reason = "tests read files and measure")]
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::list::Entry;

const CATEGORIES: [&str; 4] = ["games", "adult", "vpn", "news"];

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::shipped();
    for name in CATEGORIES {
        if catalogue.id(name).is_none() {
            catalogue.add(name).unwrap();
        }
    }
    catalogue
}

fn list(category: &str) -> ListInfo {
    ListInfo { name: format!("our-{category}"), category: category.into(), version: "v1".into() }
}

fn domain(name: &str) -> Entry<'_> {
    Entry::Domain(Cow::Borrowed(name))
}

fn url(text: &str) -> Entry<'_> {
    Entry::Url(Cow::Borrowed(text))
}

fn build(lists: &[(&str, &[Entry<'_>])]) -> Vec<u8> {
    let mut builder = Builder::new();
    for (category, entries) in lists {
        builder.begin(list(category));
        entries.iter().for_each(|entry| builder.add(entry.clone()));
    }
    builder.finish("2026-11-22").unwrap()
}

fn index(lists: &[(&str, &[Entry<'_>])]) -> Index {
    Index::open(Box::new(build(lists)), &catalogue()).unwrap()
}

fn names(index: &Index, host: &str, path: Option<&str>) -> Vec<String> {
    let found = index.categories(&Host::parse(host).unwrap(), path);
    catalogue().names(found).into_iter().map(str::to_owned).collect()
}

fn hits(index: &Index, host: &str, path: Option<&str>) -> Vec<(String, String)> {
    let hits = index.hits(&Host::parse(host).unwrap(), path);
    hits.into_iter().map(|hit| (hit.list.category, hit.entry)).collect()
}

#[test]
fn a_listed_name_covers_itself_and_below_at_label_boundaries_only() {
    let index = index(&[("games", &[domain("games.example.com"), domain("a.b.c.d.example")])]);
    for (host, listed) in [
        ("games.example.com", true),
        ("www.games.example.com", true),
        ("a.b.games.example.com.", true),
        ("GAMES.example.com", true),
        ("example.com", false),
        ("mygames.example.com", false),
        ("games.example.com.org", false),
        ("com", false),
        ("a.b.c.d.example", true),
        ("x.a.b.c.d.example", true),
        ("b.c.d.example", false),
    ] {
        let expected = if listed { "games" } else { "uncategorised" };
        assert_eq!(names(&index, host, None), [expected], "{host}");
    }
}

#[test]
fn a_name_on_several_lists_and_its_parent_give_every_category() {
    let index = index(&[
        ("games", &[domain("example.com"), domain("example.com")]),
        ("adult", &[domain("www.example.com")]),
        ("vpn", &[domain("example.com"), domain("other.example")]),
    ]);
    let mut found = names(&index, "www.example.com", None);
    found.sort();
    assert_eq!(found, ["adult", "games", "vpn"]);
    assert_eq!(
        hits(&index, "a.www.example.com", None),
        [
            ("games".into(), "example.com".into()),
            ("adult".into(), "www.example.com".into()),
            ("vpn".into(), "example.com".into())
        ]
    );
    let counts: Vec<u64> = index.lists().into_iter().map(|(_, entries)| entries).collect();
    assert_eq!(counts, [1, 1, 2]);
    assert_eq!(index.version(), "2026-11-22");
}

#[test]
fn names_of_many_labels_are_looked_up_to_the_last() {
    let deep = "a.b.c.d.e.f.g.h.i.j.example.com";
    let index = index(&[("games", &[domain(deep)]), ("adult", &[domain("h.i.j.example.com")])]);
    let mut found = names(&index, &format!("x.y.z.{deep}"), None);
    found.sort();
    assert_eq!(found, ["adult", "games"]);
    assert_eq!(names(&index, "b.c.d.e.f.g.h.i.j.example.com", None), ["adult"]);
    assert_eq!(names(&index, "i.j.example.com", None), ["uncategorised"]);
}

#[test]
fn addresses_match_themselves_and_never_as_names() {
    let index = index(&[("vpn", &[domain("192.0.2.7"), domain("2001:db8::1")])]);
    for host in ["192.0.2.7", "0xc0000207", "[2001:DB8:0::1]"] {
        assert_eq!(names(&index, host, None), ["vpn"], "{host}");
    }
    for host in ["192.0.2.8", "1.192.0.2.7.example", "[2001:db8::2]", "7.example"] {
        assert_eq!(names(&index, host, None), ["uncategorised"], "{host}");
    }
}

#[test]
fn a_listed_top_level_name_covers_all_below() {
    let index = index(&[("adult", &[domain("xxx")])]);
    assert_eq!(names(&index, "www.example.xxx", None), ["adult"]);
    assert_eq!(names(&index, "xxx", None), ["adult"]);
    assert_eq!(names(&index, "xxx.example", None), ["uncategorised"]);
}

#[test]
fn a_url_covers_its_path_and_below_and_its_query_among_others() {
    let index = index(&[(
        "games",
        &[
            url("example.com/foo"),
            url("www.example.com/a/b"),
            url("example.com/q?x=1&y=2"),
            url("whole.example/"),
            url("192.0.2.7/bad"),
        ],
    )]);
    for (host, path, listed) in [
        ("example.com", Some("/foo"), true),
        ("www.example.com", Some("/FOO/"), true),
        ("www3.example.com", Some("/foo/bar.html?x"), true),
        ("example.com", Some("/x/../%66oo"), true),
        ("example.com", Some("/foobar"), false),
        ("example.com", Some("/fo"), false),
        ("example.com", Some("/"), false),
        ("example.com", None, false),
        ("sub.example.com", Some("/foo"), false),
        ("com", Some("/foo"), false),
        ("example.com", Some("/a/b"), true),
        ("example.com", Some("/a"), false),
        ("example.com", Some("/q?x=1&y=2"), true),
        ("example.com", Some("/q?z=3&Y=2&x=1"), true),
        ("example.com", Some("/q?x=1;y=2&z"), true),
        ("example.com", Some("/q/../q?x=%31&y=2#top"), true),
        ("example.com", Some("/q?x=1&y=22"), false),
        ("example.com", Some("/q?x=1"), false),
        ("example.com", Some("/q"), false),
        ("example.com", Some("/q/r?x=1&y=2"), false),
        ("whole.example", None, true),
        ("whole.example", Some("/any?thing"), true),
        ("sub.whole.example", Some("/"), false),
        ("192.0.2.7", Some("/bad/x"), true),
        ("192.0.2.7", Some("/"), false),
    ] {
        let expected = if listed { "games" } else { "uncategorised" };
        assert_eq!(names(&index, host, path), [expected], "{host} {path:?}");
    }
    let found = hits(&index, "www.example.com", Some("/A//b/c?d"));
    assert_eq!(found, [("games".to_owned(), "example.com/a/b".to_owned())]);
    let found = hits(&index, "www.example.com", Some("/q?x=1&z=3&Y=2#z"));
    assert_eq!(found, [("games".to_owned(), "example.com/q?x=1&y=2".to_owned())]);
}

#[test]
fn no_respelling_of_a_path_passes_a_listed_url() {
    let index = index(&[(
        "games",
        &[url("example.com/bad"), url("example.com/q?id=7"), url("example.com/a%2fb;c")],
    )]);
    for path in [
        "/bad",
        "/BAD",
        "/%62ad",
        "//bad",
        "/bad/",
        "/x\\..\\bad",
        "/\\bad",
        "/x/..%2fbad",
        "/x/..%5Cbad",
        "/x/..;/bad",
        "/bad;x=1",
        "/bad%3bx=1",
        "/;x/bad",
        "/.;x/bad",
        "/%2fbad",
        "/x%2f..%2fbad",
        "/bad%2fmore",
        "/bad\\more",
        "/q?id=7&x=1",
        "/q?x=1&id=7",
        "/q;s=1?id=7",
        "/x\\..\\q?&id=%37",
        "/a%2fb;c",
        "/x/../A%2FB;c/d",
    ] {
        assert_eq!(names(&index, "example.com", Some(path)), ["games"], "{path}");
        assert_eq!(hits(&index, "example.com", Some(path)).len(), 1, "{path}");
    }
    for path in ["/", "/bad.html", "/x;/bad;", "/..;bad", "/x%2fbad", "/q", "/q?id=8", "/a/b;c"] {
        assert_eq!(names(&index, "example.com", Some(path)), ["uncategorised"], "{path}");
    }
    let found = hits(&index, "example.com", Some("/x\\..\\bad;y/z"));
    assert_eq!(found, [("games".to_owned(), "example.com/bad".to_owned())]);
}

#[test]
fn a_query_too_large_to_tell_is_of_every_list_that_names_queries_of_its_path() {
    let index = index(&[
        ("games", &[url("example.com/q?id=7")]),
        ("adult", &[url("example.com/q?id=8&x=1"), url("example.com/other")]),
    ]);
    let many: String = (0..200).map(|n| format!("x{n}&")).collect();
    let mut found = names(&index, "example.com", Some(&format!("/q?{many}id=7")));
    found.sort();
    assert_eq!(found, ["adult", "games"]);
    assert_eq!(names(&index, "example.com", Some(&format!("/r?{many}"))), ["uncategorised"]);
    assert_eq!(names(&index, "example.com", Some("/q?id=7&x=1")), ["games"]);
    let counts: Vec<u64> = index.lists().into_iter().map(|(_, entries)| entries).collect();
    assert_eq!(counts, [1, 2], "marks of paths are no entries");
}

#[test]
fn expressions_are_looked_for_in_every_reading_of_a_path() {
    let index = index(&[("games", &[Entry::Expression(Cow::Borrowed("example\\.com/play/"))])]);
    for path in ["/play/x", "/x/..%2fplay/x", "/a\\..\\play/x?y", "/a/..;/play/x"] {
        assert_eq!(names(&index, "example.com", Some(path)), ["games"], "{path}");
    }
    assert_eq!(names(&index, "example.com", Some("/x;/play")), ["uncategorised"]);
}

#[test]
fn expressions_and_keywords_say_what_matched() {
    let index = index(&[
        ("games", &[Entry::Expression(Cow::Borrowed("(/banner/|games[0-9]+\\.)"))]),
        ("adult", &[Entry::Keyword(Cow::Borrowed("bad words"))]),
    ]);
    assert_eq!(
        hits(&index, "games12.example", Some("/bad+words")),
        [
            ("games".into(), "(/banner/|games[0-9]+\\.)".into()),
            ("adult".into(), "bad words".to_owned())
        ]
    );
    assert_eq!(names(&index, "games12.example", None), ["games"]);
    assert_eq!(names(&index, "games.example", Some("/badwords")), ["uncategorised"]);
}

#[test]
fn an_expression_that_does_not_compile_stops_the_build() {
    let mut builder = Builder::new();
    builder.begin(list("games"));
    builder.add(Entry::Expression(Cow::Borrowed("(")));
    let problem = builder.finish("v").unwrap_err().to_string();
    assert!(problem.contains("our-games") && problem.contains("\"(\""), "{problem}");
}

#[test]
fn equal_lists_give_equal_bytes_whatever_the_order_of_their_lines() {
    let one = build(&[("games", &[domain("a.example"), domain("b.example"), url("c.example/d")])]);
    let other =
        build(&[("games", &[url("c.example/d"), domain("b.example"), domain("a.example")])]);
    assert_eq!(one, other);
}

#[test]
fn an_index_without_entries_leaves_everything_uncategorised() {
    for index in [Index::empty(), index(&[]), index(&[("games", &[])])] {
        assert_eq!(names(&index, "www.example.com", Some("/x?y")), ["uncategorised"]);
        assert_eq!(hits(&index, "www.example.com", Some("/x?y")), []);
    }
}

#[test]
fn a_category_that_the_catalogue_does_not_have_is_named() {
    let bytes = build(&[("no-such-category", &[domain("a.example")])]);
    let problem = Index::open(Box::new(bytes), &catalogue()).unwrap_err();
    assert!(problem.to_string().contains("no-such-category"), "{problem}");
}

fn everything() -> Vec<u8> {
    let names: Vec<String> = (0..300).map(|n| format!("site{n}.example.com")).collect();
    let mut entries: Vec<Entry<'_>> = names.iter().map(|name| domain(name)).collect();
    entries.push(url("example.com/a"));
    entries.push(Entry::Expression(Cow::Borrowed("banner[0-9]")));
    entries.push(Entry::Keyword(Cow::Borrowed("words")));
    build(&[("games", &entries), ("adult", &entries[5..20])])
}

#[test]
fn an_index_cut_short_or_of_other_origin_is_refused() {
    let (bytes, catalogue) = (everything(), catalogue());
    for length in 0..bytes.len() {
        assert!(Index::open(Box::new(bytes[..length].to_vec()), &catalogue).is_err(), "{length}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(Index::open(Box::new(longer), &catalogue).is_err());
    assert_eq!(
        Index::open(Box::new(b"not an index at all".to_vec()), &catalogue).unwrap_err(),
        OpenError::Foreign
    );
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let (bytes, catalogue) = (everything(), catalogue());
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(Index::open(Box::new(changed), &catalogue).is_err(), "byte {place}");
    }
    for start in (0..bytes.len() - 64).step_by(64) {
        let mut changed = bytes.clone();
        changed[start..start + 64].fill(0);
        let same = changed == bytes;
        assert!(same || Index::open(Box::new(changed), &catalogue).is_err(), "from {start}");
    }
}

/// With the right digest again, as somebody who means ill would have it.
fn with_digest(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = layout::digest_of(&bytes).to_le_bytes();
    bytes[layout::DIGEST].copy_from_slice(&sum);
    bytes
}

/// What a listed name is to the plainest matcher there is.
fn naive(listed: &HashMap<String, BTreeSet<String>>, host: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = Some(host);
    while let Some(name) = rest {
        found.extend(listed.get(name).into_iter().flatten().cloned());
        rest = name.split_once('.').map(|(_, parent)| parent);
    }
    if found.is_empty() {
        found.insert("uncategorised".into());
    }
    found
}

proptest! {
    #[test]
    fn look_ups_agree_with_the_plainest_matcher(
        listed in prop::collection::vec((0..4_usize, "([ab]{1,2}|[abcdefghi]{7,18})(\\.[ab]{1,2}){0,3}"), 0..60),
        hosts in prop::collection::vec("([ab]{1,2}|[abcdefghi]{7,18})(\\.[ab]{1,2}){0,4}", 1..60),
    ) {
        let mut builder = Builder::new();
        let mut expected: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (place, category) in CATEGORIES.iter().enumerate() {
            builder.begin(list(category));
            for (_, name) in listed.iter().filter(|(of, _)| *of == place) {
                builder.add(domain(name));
                expected.entry(name.clone()).or_default().insert((*category).to_owned());
            }
        }
        let index = Index::open(Box::new(builder.finish("v").unwrap()), &catalogue()).unwrap();
        for host in hosts.iter().chain(listed.iter().map(|(_, name)| name)) {
            let found: BTreeSet<String> = names(&index, host, None).into_iter().collect();
            prop_assert_eq!(found, naive(&expected, host), "{}", host);
        }
    }

    #[test]
    fn changed_bytes_are_refused_or_answer_without_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = everything();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Ok(index) = Index::open(Box::new(with_digest(bytes)), &catalogue()) {
            for host in ["site7.example.com", "example.com", "192.0.2.1", "a.b.c.d.e"] {
                let host = Host::parse(host).unwrap();
                let _ = index.categories(&host, Some("/a/b?words"));
                let _ = index.hits(&host, Some("/banner1"));
            }
        }
    }

    #[test]
    fn any_path_is_looked_up_without_panic(path in "/[ -~é]{0,60}") {
        let index = index(&[("games", &[url("example.com/a"), Entry::Keyword(Cow::Borrowed("words"))])]);
        let host = Host::parse("www.example.com").unwrap();
        let _ = index.categories(&host, Some(&path));
        let _ = index.hits(&host, Some(&path));
    }
}

#[test]
fn a_large_index_opens_in_milliseconds() {
    let sites: Vec<String> = (0..300_000).map(|n| format!("s{n}.example")).collect();
    let entries: Vec<Entry<'_>> = sites.iter().map(|name| domain(name)).collect();
    let bytes = build(&[("games", &entries)]);
    let (size, catalogue) = (bytes.len(), catalogue());
    let start = std::time::Instant::now();
    let index = Index::open(Box::new(bytes), &catalogue).unwrap();
    let took = start.elapsed();
    println!("{size} bytes opened in {took:?}");
    assert_eq!(names(&index, "s299999.example", None), ["games"]);
    // Unoptimised, and beside other tests.
    assert!(took < std::time::Duration::from_secs(2), "{took:?}");
}

#[test]
fn thousands_of_keywords_open_quickly_and_are_found() {
    let words: Vec<String> = (0..5000).map(|n| format!("word{n} number")).collect();
    let entries: Vec<Entry<'_>> =
        words.iter().map(|word| Entry::Keyword(Cow::Borrowed(word.as_str()))).collect();
    let bytes = build(&[("games", &entries)]);
    let catalogue = catalogue();
    let start = std::time::Instant::now();
    let index = Index::open(Box::new(bytes), &catalogue).unwrap();
    println!("opened in {:?}", start.elapsed());
    assert_eq!(names(&index, "example.com", Some("/word4999-number")), ["games"]);
    assert_eq!(names(&index, "example.com", Some("/word5000-number")), ["uncategorised"]);
}
