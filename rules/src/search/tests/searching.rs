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
