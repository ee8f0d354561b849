//! What every page must be: small, complete, escaped, and silent about what it must not say.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

use super::*;
use crate::texts::Texts;

const STYLES: [PageStyle; 4] =
    [PageStyle::Ks1, PageStyle::Ks2, PageStyle::Secondary, PageStyle::Staff];

/// A code as records have it: ten characters, the last one a check.
const CODE: &str = "4F2KQ-7M0XM";

const KINDS: [Kind; 19] = [
    Kind::Blocked(ReasonCode::Category),
    Kind::Blocked(ReasonCode::OutsideTimes),
    Kind::Blocked(ReasonCode::Banned),
    Kind::Blocked(ReasonCode::PrivateAddress),
    Kind::Blocked(ReasonCode::Port),
    Kind::Blocked(ReasonCode::Loop),
    Kind::Blocked(ReasonCode::TlsExpired),
    Kind::Blocked(ReasonCode::EncryptedHello),
    Kind::Help,
    Kind::Locked,
    Kind::SignIn(Unproven::Missing),
    Kind::SignIn(Unproven::Wrong),
    Kind::SignIn(Unproven::Held),
    Kind::SiteDown("name"),
    Kind::SiteSlow,
    Kind::Fault(ReasonCode::LogUnavailable),
    Kind::BadRequest(ReasonCode::BadRequest),
    Kind::BadRequest(ReasonCode::Unsupported),
    Kind::BadRequest(ReasonCode::Misdirected),
];

fn page<'a>(texts: &'a Texts, language: Language, kind: Kind, style: PageStyle) -> Page<'a> {
    Page {
        words: texts.words(language),
        kind,
        style,
        unidentified: true,
        can_be_opened: true,
        code: CODE,
        school: "Ysgol \"Enghraifft\" & Sons",
        site: "chess<script>alert(1)</script>.example",
        category: Some("Games <b>& more</b>"),
        list: Some("made-up-games"),
        opens: Some("Wed 12:10 to 13:10"),
        until: Some("Fri 09:00"),
        who: Some("Q. Whitmore (DSL)"),
    }
}

fn every_page(mut check: impl FnMut(Language, Kind, PageStyle, &str)) {
    let texts = Texts::shipped().unwrap();
    let mut seen = 0;
    for language in [Language::English, Language::Welsh] {
        for kind in KINDS {
            for style in STYLES {
                check(language, kind, style, &page(&texts, language, kind, style).html());
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 2 * KINDS.len() * STYLES.len());
}

#[test]
fn every_page_is_small_has_its_language_one_heading_and_nothing_to_fetch() {
    every_page(|language, kind, style, html| {
        let what = format!("{language:?} {kind:?} {style:?}");
        assert!(html.len() < 14 * 1024, "{what}: {} bytes", html.len());
        let lang = if language == Language::English { "en" } else { "cy" };
        assert!(html.contains(&format!("<html lang=\"{lang}\">")), "{what}");
        assert_eq!(html.matches("<h1>").count(), 1, "{what}");
        assert!(!html.contains("<h1></h1>") && !html.contains("<title></title>"), "{what}");
        for forbidden in
            ["<script", "src=", "http:", "https:", "url(", "@import", "style=", "<form", "onload"]
        {
            assert!(!html.contains(forbidden), "{what}: {forbidden}");
        }
        assert!(html.contains("width=device-width"), "{what}");
        assert!(
            !html.contains('{') || html.matches('{').count() == STYLE.matches('{').count(),
            "{what}"
        );
    });
}

#[test]
fn what_is_filled_in_is_escaped() {
    every_page(|language, kind, style, html| {
        let what = format!("{language:?} {kind:?} {style:?}");
        assert!(!html.contains("<script>alert"), "{what}");
        assert!(!html.contains("<b>&"), "{what}");
    });
    assert_eq!(
        escaped("a<b>\"c\"&'d'\u{202e}\n"),
        "a&lt;b&gt;&quot;c&quot;&amp;&#39;d&#39;\u{fffd}\u{fffd}"
    );
}

#[test]
fn the_code_is_on_every_page() {
    assert!(rules::code::RequestId::from_code(CODE).is_ok());
    every_page(|language, kind, style, html| {
        assert_eq!(html.matches(CODE).count(), 1, "{language:?} {kind:?} {style:?}");
    });
}

#[test]
fn pupils_never_see_the_list_and_nobody_the_site_of_a_locked_page() {
    every_page(|language, kind, style, html| {
        let what = format!("{language:?} {kind:?} {style:?}");
        let shows_list = style == PageStyle::Staff && matches!(kind, Kind::Blocked(_));
        assert_eq!(html.contains("made-up-games"), shows_list, "{what}");
        if kind == Kind::Locked {
            assert!(!html.contains("chess") && !html.contains("Games"), "{what}");
            assert!(!html.contains("Whitmore"), "{what}: there is nobody to ask");
        }
    });
}

#[test]
fn help_comes_before_the_words_about_blocking() {
    let texts = Texts::shipped().unwrap();
    for style in STYLES {
        let html = page(&texts, Language::English, Kind::Help, style).html();
        let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("{style:?}: no {text}"));
        assert!(at("tel:08001111") < at("is blocked"));
        assert!(at("tel:116123") < at("is blocked"));
        assert!(at("<h1>You can talk to someone now</h1>") < at("tel:08001111"));
        assert!(!html.contains("Nobody is signed in"), "nothing stands before help");
    }
}

#[test]
fn whoever_is_not_signed_in_is_told_so_first() {
    let texts = Texts::shipped().unwrap();
    for style in STYLES {
        let kind = Kind::Blocked(ReasonCode::Category);
        let mut page = page(&texts, Language::English, kind, style);
        let html = page.html();
        assert!(
            html.find("Nobody is signed in").unwrap() < html.find("<h1>").unwrap(),
            "{style:?}"
        );
        page.unidentified = false;
        assert!(!page.html().contains("Nobody is signed in"), "{style:?}");
    }
}

#[test]
fn nobody_is_told_to_ask_for_what_nobody_can_open() {
    let texts = Texts::shipped().unwrap();
    for language in [Language::English, Language::Welsh] {
        for style in STYLES {
            let mut page = page(&texts, language, Kind::Blocked(ReasonCode::PrivateAddress), style);
            let what = format!("{language:?} {style:?}");
            let asks = |page: &Page<'_>| {
                let table = page.table();
                let shown = |key: &&str| {
                    let text = page.filled(table, key);
                    let text = if *key == "who" && style == PageStyle::Staff {
                        format!("<dt>{text}</dt>")
                    } else {
                        text
                    };
                    text.len() > "<dt></dt>".len() && page.html().contains(&text)
                };
                ["who", "nobody", "ask"].iter().filter(|key| shown(key)).count()
            };
            let usual = [0, 1, 2, 2][style as usize];
            assert_eq!(asks(&page), usual, "{what}: what can be opened says whom to ask");
            page.can_be_opened = false;
            assert_eq!(asks(&page), 0, "{what}");
            assert!(!page.html().contains("Whitmore"), "{what}");
            page.who = None;
            assert_eq!(asks(&page), 0, "{what}: the school's name instead of a person's");
        }
    }
}

#[test]
fn each_style_says_what_it_should() {
    let texts = Texts::shipped().unwrap();
    let html = |style| {
        page(&texts, Language::English, Kind::Blocked(ReasonCode::OutsideTimes), style).html()
    };
    let ks1 = html(PageStyle::Ks1);
    assert!(
        ks1.contains("Stop. Ask your teacher.")
            && ks1.contains("<svg")
            && ks1.contains("A shut gate")
    );
    assert!(html(PageStyle::Ks2).contains("You are not in trouble. School keeps a record."));
    let secondary = html(PageStyle::Secondary);
    for part in [
        "It opens Wed 12:10 to 13:10.",
        "Q. Whitmore (DSL) decides",
        "tel:08001111",
        "Games &lt;b&gt;",
    ] {
        assert!(secondary.contains(part), "{part}");
    }
    let staff = html(PageStyle::Staff);
    for part in
        ["<dt>Category</dt>", "<dt>Listed in</dt><dd>made-up-games</dd>", "Wed 12:10 to 13:10"]
    {
        assert!(staff.contains(part), "{part}");
    }
}

#[test]
fn the_policy_lets_through_this_style_sheet_alone() {
    let policy = content_security_policy();
    let hash = base64ct::Base64::encode_string(&Sha256::digest(STYLE));
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(policy.contains(&hash));
    assert!(!policy.contains("unsafe"));
    every_page(|_, _, _, html| {
        let sheet = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        assert_eq!(sheet, STYLE);
    });
}

/// WCAG 2.2 relative luminance of `#rgb` or `#rrggbb`.
fn luminance(colour: &str) -> f64 {
    let hex = colour.trim_start_matches('#');
    let hex: String =
        if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex.to_owned() };
    let channel = |i: usize| {
        let value = f64::from(u8::from_str_radix(&hex[i..i + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
}

#[test]
fn text_stands_out_enough_in_light_and_dark_and_nothing_is_red() {
    let schemes: Vec<&str> = STYLE.split(":root{").skip(1).collect();
    assert_eq!(schemes.len(), 2, "light and dark");
    for scheme in schemes {
        let colour = |name: &str| {
            let after = scheme.split(&format!("--{name}:")).nth(1).unwrap();
            after.split([';', '}']).next().unwrap()
        };
        for paper in ["paper", "soft"] {
            for ink in ["ink", "link"] {
                let (a, b) = (luminance(colour(ink)), luminance(colour(paper)));
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(contrast >= 4.5, "{ink} on {paper}: {contrast:.1}");
            }
        }
        for name in ["ink", "paper", "edge", "soft", "link"] {
            let hex = colour(name).trim_start_matches('#');
            if hex.len() == 6 {
                let part = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
                assert!(part(0) <= part(2).max(part(4)), "{name} is reddish");
            }
        }
    }
    assert!(STYLE.contains("min-height:44px"), "targets of 44 px");
}

#[test]
fn times_and_names_are_written_for_people() {
    let shown = "Wed 26 Nov 2025 12:10 GMT";
    assert_eq!(short_time(shown, false, Language::English), "Wed 12:10");
    assert_eq!(short_time(shown, true, Language::English), "Wed 26 Nov 12:10");
    assert_eq!(short_time(shown, true, Language::Welsh), "Mercher 26 Tachwedd 12:10");
    assert_eq!(shown_name("q.whitmore"), "Q. Whitmore");
    assert_eq!(shown_name("okafor"), "Okafor");
    assert_eq!(shown_name("..."), "...");
}
