//! Which words are found where.

use super::*;

fn terms(host: &str, target: &str) -> Option<(String, SearchKind, &'static str)> {
    let terms = site(host).terms(target)?;
    Some((terms.words, terms.kind, terms.site))
}

#[test]
fn words_are_found_where_each_site_has_them() {
    use SearchKind::{Prompt, Search, Suggest};
    let cases = [
        ("www.google.co.uk", "/search?q=two+words&hl=en", "two words", Search, "Google"),
        ("google.com", "/?q=a", "a", Search, "Google"),
        ("www.google.com", "/search?q=a&tbm=isch&start=20", "a", Search, "Google"),
        ("images.google.com", "/images?q=a", "a", Search, "Google"),
        ("www.google.com", "/complete/search?q=tw&client=gws-wiz", "tw", Suggest, "Google"),
        ("cse.google.com", "/cse?q=a", "a", Search, "Google Custom Search"),
        ("scholar.google.co.uk", "/scholar?q=a", "a", Search, "Google Scholar"),
        (
            "www.google.com",
            "/maps/search/fish+and+chips/@51",
            "fish and chips",
            Search,
            "Google Maps",
        ),
        ("www.bing.com", "/search?q=a", "a", Search, "Bing"),
        ("cn.bing.com", "/search?Q=a", "a", Search, "Bing"),
        ("www.bing.com", "/AS/Suggestions?pt=page.home&qry=tw", "tw", Suggest, "Bing"),
        ("uk.search.yahoo.com", "/search?p=a&fr=x", "a", Search, "Yahoo!"),
        ("search.yahoo.co.jp", "/search?p=%94L", "猫", Search, "Yahoo! Japan"),
        ("duckduckgo.com", "/?q=a&ia=web", "a", Search, "DuckDuckGo"),
        ("duckduckgo.com", "/ac/?q=tw&type=list", "tw", Suggest, "DuckDuckGo"),
        ("www.ecosia.org", "/search?q=a", "a", Search, "Ecosia"),
        ("search.brave.com", "/search?q=a", "a", Search, "Brave"),
        ("api.qwant.com", "/v3/search/web?q=a", "a", Search, "Qwant"),
        ("api.qwant.com", "/v3/suggest?q=tw", "tw", Suggest, "Qwant"),
        ("www.startpage.com", "/do/search?query=a", "a", Search, "Startpage"),
        ("yandex.com.tr", "/search/?text=a", "a", Search, "Yandex"),
        ("www.baidu.com", "/s?wd=%B9%B7", "狗", Search, "Baidu"),
        ("go.mail.ru", "/search?q=%EA%EE%F2", "кот", Search, "Mailru"),
        ("www.kiddle.co", "/s.php?q=a", "a", Search, "Kiddle"),
        ("www.youtube.com", "/results?search_query=a", "a", Search, "YouTube"),
        ("suggestqueries-clients6.youtube.com", "/complete/search?q=tw", "tw", Suggest, "YouTube"),
        ("en.wikipedia.org", "/w/index.php?search=a", "a", Search, "Wikipedia"),
        ("cy.wikipedia.org", "/w/api.php?action=opensearch&search=tw", "tw", Suggest, "Wikipedia"),
        ("www.reddit.com", "/r/maths/search/?q=a", "a", Search, "Reddit"),
        ("www.tiktok.com", "/search?q=a", "a", Search, "TikTok"),
        ("x.com", "/search?q=a", "a", Search, "X"),
        ("uk.pinterest.com", "/search/pins/?q=a", "a", Search, "Pinterest"),
        ("www.amazon.co.uk", "/s?k=a", "a", Search, "Amazon"),
        ("www.ebay.co.uk", "/sch/i.html?_nkw=a", "a", Search, "eBay"),
        ("www.flickr.com", "/search/?text=a", "a", Search, "Flickr"),
        ("giphy.com", "/search/two-words", "two words", Search, "GIPHY"),
        ("tenor.com", "/search/two-words-gifs", "two words", Search, "Tenor"),
        ("unsplash.com", "/s/photos/two-words?license=free", "two words", Search, "Unsplash"),
        ("pixabay.com", "/images/search/two%20words/", "two words", Search, "Pixabay"),
        ("imgur.com", "/search?q=a", "a", Search, "Imgur"),
        ("vimeo.com", "/search?q=a", "a", Search, "Vimeo"),
        ("www.dailymotion.com", "/search/two%20words/videos", "two words", Search, "Dailymotion"),
        ("www.roblox.com", "/discover/?Keyword=a", "a", Search, "Roblox"),
        ("archive.org", "/search?query=a", "a", Search, "Internet Archive"),
        ("chatgpt.com", "/?q=two+words", "two words", Prompt, "ChatGPT"),
        ("claude.ai", "/new?q=a", "a", Prompt, "Claude"),
        ("gemini.google.com", "/app?q=a", "a", Prompt, "Gemini"),
        ("x.com", "/i/grok?q=a", "a", Prompt, "Grok"),
        ("search.seesaa.jp", "/a/index.html", "a", Search, "SeeSaa"),
        ("scour.com", "/search/web/a", "a", Search, "Scour.com"),
        ("blekko.com", "/ws/a", "a", Search, "blekko"),
    ];
    for (host, target, words, kind, name) in cases {
        assert_eq!(terms(host, target), Some((words.to_owned(), kind, name)), "{host}{target}");
    }
}

#[test]
fn what_is_no_search_gives_no_words() {
    for (host, target) in [
        ("www.google.com", "/url?q=https://a.example/"),
        ("www.google.com", "/gen_204?q=a"),
        ("www.google.com", "/search"),
        ("www.google.com", "/search?q="),
        ("www.google.com", "/search?q=+%20"),
        ("www.google.com", "/search?tq=a"),
        ("www.google.com", "/searches?q=a"),
        ("www.youtube.com", "/watch?v=x&q=a"),
        ("claude.ai", "/chat/x?q=a"),
        ("tenor.com", "/search/"),
        ("www.roblox.com", "/games?keyword=a"),
    ] {
        assert_eq!(terms(host, target), None, "{host}{target}");
    }
}

#[test]
fn further_pages_are_the_same_search() {
    let first = site("www.google.com").terms("/search?q=two+words").unwrap();
    for target in [
        "/search?q=two%20words&start=10",
        "/search?start=990&q=two+words",
        "/search?q=+two++words+",
    ] {
        assert_eq!(site("www.google.com").terms(target).unwrap(), first, "{target}");
    }
}

#[test]
fn a_parameter_given_twice_hides_no_words() {
    let cases = [
        ("/search?q=kittens&q=other", "kittens other"),
        ("/search?q=&q=other", "other"),
        ("/search?%71=kittens", "kittens"),
        ("/search?Q=kittens", "kittens"),
        ("/search?a=1;q=kittens", "kittens"),
        ("/search?q=a;b", "a;b"),
        ("/search?q[]=kittens", "kittens"),
        ("/search?q=kittens#q=other", "kittens"),
        ("/search?q=kit%00tens", "kit tens"),
        ("/search?q=a=b", "a=b"),
        ("/search?q=cats&as_q=other", "cats other"),
        ("/search?as_oq=any&as_epq=a+phrase&as_q=other&q=cats", "cats other a phrase any"),
        ("/search?q=cats&x=1;as_q=other", "cats other"),
    ];
    for (target, words) in cases {
        let found = terms("www.google.com", target).map(|(words, ..)| words);
        assert_eq!(found.as_deref(), Some(words), "{target}");
    }
}

#[test]
fn pictures_and_videos_are_told_from_pages() {
    use Vertical::{Images, Videos, Web};
    let cases = [
        ("www.google.com", "/search?q=a", Web),
        ("www.google.com", "/search?q=a&tbm=isch", Images),
        ("www.google.com", "/search?q=a&TBM=ISCH", Images),
        ("www.google.com", "/search?q=a&udm=7", Videos),
        ("www.google.com", "/images", Images),
        ("www.google.com", "/imagesearch", Web),
        ("images.google.de", "/", Images),
        ("www.bing.com", "/images/search?q=a", Images),
        ("www.bing.com", "/videos/search?q=a", Videos),
        ("duckduckgo.com", "/?q=a&iax=images&ia=images", Images),
        ("duckduckgo.com", "/v.js?q=a", Videos),
        ("images.search.yahoo.com", "/search/images?p=a", Images),
        ("search.yahoo.com", "/search/video?p=a", Videos),
        ("search.brave.com", "/images?q=a", Images),
        ("www.ecosia.org", "/images?q=a", Images),
        ("api.qwant.com", "/v3/search/images?q=a", Images),
        ("www.startpage.com", "/do/search?query=a&cat=images", Images),
        ("www.mojeek.com", "/search?q=a&fmt=images", Images),
        ("images.yandex.ru", "/yandsearch?text=a", Images),
        ("www.flickr.com", "/search?text=a", Images),
        ("www.youtube.com", "/watch?v=x", Videos),
        ("www.youtube-nocookie.com", "/embed/x", Videos),
        ("en.wikipedia.org", "/w/index.php?search=a", Web),
    ];
    for (host, target, vertical) in cases {
        let site = site(host);
        assert_eq!(site.vertical(target), vertical, "{host}{target}");
        assert_eq!(site.is_image_search(target), vertical == Images);
        assert_eq!(site.is_video(target), vertical == Videos);
    }
}

#[test]
fn no_box_of_an_advanced_search_hides_another() {
    let cases = [
        ("scholar.google.co.uk", "/scholar?as_q=a&as_epq=b+c&as_oq=d", "a b c d"),
        ("uk.search.yahoo.com", "/search?p=a&va=b&vp=c+d&vo=e", "a b c d e"),
        ("www.bing.com", "/search?Q=b&q=a", "b a"),
        // A site with words in its path may read those of its query, or both.
        ("www.google.com", "/maps/search/fish+and+chips?q=cats", "cats fish and chips"),
        ("1.cz", "/s/dogs?q=cats", "cats dogs"),
    ];
    for (host, target, words) in cases {
        let found = terms(host, target).map(|(words, ..)| words);
        assert_eq!(found.as_deref(), Some(words), "{host}{target}");
    }
}

#[test]
fn words_behind_many_others_are_there_to_be_judged() {
    let pad = "a".repeat(MAX_WORDS);
    for target in [
        format!("/search?q=-{pad}+how+to+tie"),
        format!("/search?q={pad}&q=how+to+tie"),
        format!("/search?q={pad}&as_epq=how+to+tie"),
        format!("/search?q={}&q=how+to+tie", "a".repeat(9000)),
        format!("/search?q=how+to+tie&q={}", "a".repeat(9000)),
        format!("/search?q={0}+how+to+tie+{0}", "a".repeat(8000)),
        format!("/search?q={0}&q=how+to+tie&q={0}", "a".repeat(8000)),
    ] {
        let terms = site("www.google.com").terms(&target).unwrap();
        assert!(terms.all.contains("how to tie") && terms.is_cut, "{target}");
        assert!(terms.words.len() <= MAX_WORDS && terms.all.len() <= MAX_JUDGED_BYTES);
        assert!(terms.is_whole, "{target}");
    }
    let pad = "a".repeat(MAX_JUDGED_BYTES / 2);
    let terms = site("www.google.com").terms(&format!("/search?q={pad}+how+to+tie+{pad}")).unwrap();
    assert!(!terms.all.contains("how to tie") && !terms.is_whole, "what is not there is said");
    let pad = "+".repeat(70_000);
    let terms = site("www.google.com").terms(&format!("/search?q=a{pad}how+to+tie")).unwrap();
    assert!(terms.all == "a" && !terms.is_whole, "{terms:?}");
}

#[test]
fn the_words_of_each_parameter_are_judged_by_themselves_too() {
    let cases = [
        ("/search?q=kittens", "kittens", &[][..]),
        ("/search?q=kittens&q=kittens", "kittens kittens", &[]),
        ("/search?q=kittens&oq=kit", "kittens", &[]),
        ("/search?q=a+b&q=c", "a b c", &["a b", "c"]),
        ("/search?q=a+-b&q=c", "a -b c", &["a", "a -b", "c"]),
        ("/search?q=c&as_epq=a+b", "c a b", &["c", "a b"]),
        ("/maps/search/fish+and+chips?q=cats", "cats fish and chips", &["cats", "fish and chips"]),
    ];
    for (target, all, each) in cases {
        let terms = site("www.google.com").terms(target).unwrap();
        assert_eq!((&*terms.all, terms.is_whole), (all, true), "{target}");
        assert_eq!(terms.each, each, "{target}");
    }
    let many: String = (0..=MAX_VALUES).map(|number| format!("&q=x{number}")).collect();
    let terms = site("www.google.com").terms(&format!("/search?{many}")).unwrap();
    assert!(!terms.is_whole && terms.each.is_empty(), "{terms:?}");
}

#[test]
fn a_path_is_recorded_without_its_words() {
    let cases = [
        ("giphy.com", "/search/two-words", Some("/search/{words}")),
        ("giphy.com", "/search/two-words/stickers?x=1", Some("/search/{words}/stickers")),
        ("giphy.com", "/SEARCH//two%2Dwords", Some("/SEARCH/{words}")),
        ("www.pexels.com", "/search/two%20words%2Fmore/", Some("/search/{words}/")),
        ("tenor.com", "/search/two-words-gifs", Some("/search/{words}-gifs")),
        ("unsplash.com", "/s/photos/two-words?license=free", Some("/s/photos/{words}")),
        ("www.google.com", "/maps/search/fish+and+chips/@51", Some("/maps/search/{words}/@51")),
        ("1.cz", "/s/dogs?q=cats", Some("/s/{words}")),
        ("scour.com", "/search/web/a", Some("/search/web/{words}")),
        ("search.seesaa.jp", "/a/index.html", Some("/{words}/index.html")),
        ("giphy.com", "/search/", None),
        ("giphy.com", "/gifs/two-words", None),
        ("www.google.com", "/search?q=a", None),
        ("www.google.com", "*", None),
    ];
    for (host, target, path) in cases {
        assert_eq!(site(host).path_without_words(target).as_deref(), path, "{host}{target}");
    }
}

#[test]
fn a_part_of_a_site_may_be_an_assistant() {
    let cases = [
        ("duckduckgo.com", "/duckchat/v1/chat", Some("Duck.ai")),
        ("duckduckgo.com", "/x/../DuckChat/v1/chat?q=a", Some("Duck.ai")),
        ("duckduckgo.com", "/?q=a&ia=web", None),
        ("duckduckgo.com", "/html/", None),
        ("duckduckgo.com", "", None),
        ("duck.ai", "/duckchat/v1/chat", Some("Duck.ai")),
        ("claude.ai", "/api/organizations/x", Some("Claude")),
        ("www.google.com", "/search?q=a", None),
    ];
    for (host, target, name) in cases {
        let site = site(host);
        assert_eq!(site.is_assistant(target), name.is_some(), "{host}{target}");
        let other = site.engine().map_or("", |engine| &engine.title);
        assert_eq!(site.name(target), name.unwrap_or(other), "{host}{target}");
    }
    assert_eq!(
        terms("duckduckgo.com", "/duckchat?q=a"),
        Some(("a".into(), SearchKind::Prompt, "Duck.ai"))
    );
}
