#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod standard;

use super::*;
use proptest::prelude::*;

/// The text of a page that comes in pieces of a size.
pub(super) fn text_of(page: &[u8], size: usize) -> (String, String) {
    let mut html = Html::default();
    let mut text = Text::default();
    let mut read = String::new();
    for piece in page.chunks(size.max(1)) {
        html.push(piece, &mut text);
        text.read(&mut |part| read.push_str(part));
        assert!(html.aside.capacity() <= 4 * ASIDE_BYTES, "{}", html.aside.capacity());
    }
    html.end(&mut text);
    text.read_last(&mut |part| read.push_str(part));
    (read.trim().to_owned(), html.title().to_owned())
}

#[test]
fn text_is_as_people_see_it() {
    let cases = [
        ("inline elements stand within words", "<b>su</b>ici<!-- x -->de", "suicide"),
        ("blocks part words", "<div>su</div>icide", "su\nicide"),
        ("cells part words", "<tr><td>su</td><td>icide</td>", "su\nicide"),
        ("a line's end parts, a place for one does not", "a<br>b<wbr>c", "a\nbc"),
        ("unknown elements stand within words", "su<x-a>icide", "suicide"),
        ("scripts and styles are not shown", "a<script>b</script><style>c</style>d", "ad"),
        ("a script ends where browsers end it", "<script>'</scrip' + '</script x>a", "a"),
        ("a comment of a script hides its end", "<script><!--<script></script>a</script>b", "b"),
        ("comments end as browsers end them", "<!-->a<!--->b<!-- --!>c<!-- -- -->d", "abcd"),
        ("declarations are not shown", "<!doctype html><?x y?></ z>a", "a"),
        ("no tag", "1 < 2, a <3 b", "1 < 2, a <3 b"),
        ("an unended tag is none", "a<b title='c", "a"),
        ("an unended comment is one", "a<!-- b", "a"),
        ("an unended reference is read", "a&eacute", "aé"),
        ("references", "s&#117;i&#x63;ide &lt;b&gt;", "suicide <b>"),
        ("what is not seen in a word is left to the scorer", "su&shy;i", "su\u{ad}i"),
        ("attributes that are seen", "<img alt='a &amp; b' title=c>d", "a & b c\nd"),
        ("do not part words", "su<b title='x'>icide</b> y<p>", "suicide y\nx"),
        ("nor when the words end the page", "su<b title='x'>icide", "suicide\nx"),
        ("attributes that are not seen", "<a href='x' data-title='y' class=z>a", "a"),
        ("placeholders and labels", "<input placeholder=a aria-label=b><p>", "a b"),
        ("a button's value", "<input type=submit value='Send it'>", "Send it"),
        ("a hidden field's value", "<input value=x type='HIDDEN'>a", "a"),
        ("a hidden field's title", "<input value=x title=y type=hidden>a", "y\na"),
        ("a password", "<input type=password value=x>", ""),
        ("descriptions", "<meta content=' a b ' name='Description'>", "a b"),
        ("of which the first counts", "<meta name=keywords content=a content=b>", "a"),
        ("other declarations", "<meta name=viewport content='width=device-width'>a", "a"),
        ("a title is apart", "<title>a &amp; <b></title>c", "a & <b>\nc"),
        ("fields", "<textarea>a</b></textarea>b", "a</b>\nb"),
        ("templates are not shown", "a<template>b<template></template>c</template>d", "ad"),
        ("but as the shadow of an element", "<template shadowrootmode=open>a</template>", "a"),
        ("no attribute of a template either", "<template><img alt=x></template>a", "a"),
        ("what is for browsers without scripts", "<noscript>a<!--</noscript>b-->", "b-->"),
        ("frames", "<iframe>a</iframe><iframe srcdoc='b'></iframe>c", "b\nc"),
        ("old raw text", "<xmp><b></xmp><plaintext>c</plaintext>", "<b>\nc</plaintext>"),
        ("pictures of lines", "<svg><style>x</style><text>a</text></svg>b", "a\nb"),
        ("which mark-up breaks out of", "<svg><style><p>a</p><style>b</style>c", "a\n\nc"),
        ("raw text there", "<svg><![CDATA[a<b>]]]]></svg>", "a<b>]]"),
        ("and elsewhere", "<![CDATA[a>b", "b"),
        ("an empty picture", "<svg/><style>a</style>b", "b"),
        ("NUL is left out", "su\0icide", "suicide"),
        ("case does not matter", "<SCRIPT>a</ScRiPt>b<P TITLE=C>", "b\nC"),
        ("a slash between attributes", "<img/alt=a/title=b>c", "a/title=b\nc"),
        ("an equals sign first", "<a =title=b>c</a>", "c"),
        ("quotes within quotes", "<p title='\"a\"'>b", "\"a\"\nb"),
        ("a tag's end within quotes", "<a title=\">b\">c</a>", "c\n>b"),
    ];
    for (what, page, expected) in cases {
        // Where blocks meet, one border is as good as two.
        let expected = expected.replace("\n\n", "\n");
        for size in [usize::MAX, 1, 2, 3, 7] {
            assert_eq!(text_of(page.as_bytes(), size).0, expected, "{what}, {size}: {page}");
        }
    }
}

#[test]
fn the_first_title_is_kept() {
    let long = "é".repeat(400);
    for (page, expected) in [
        ("<title> A  page\n</title><title>x</title>".to_owned(), "A page x"),
        ("<p>none".to_owned(), ""),
        (format!("<title>{long}</title>"), &long[..300]),
    ] {
        assert_eq!(text_of(page.as_bytes(), 5).1, expected);
    }
}

#[test]
fn megabytes_of_anything_are_read_within_bounds() {
    let pieces = [
        "<!",
        "<!--",
        "<a ",
        "<a title=",
        "<a title='x' ",
        "&",
        "&#",
        "&#x",
        "&#1",
        "&a",
        "</",
        "<b>",
        "<template>",
        "<svg>",
        "<script>",
        "<script><!--",
        "]]>",
        "-",
        "\0",
        " ",
        "<p title=x>",
        "\u{e9}",
        "<![CDATA[",
        "x=\"",
        "<title>",
        "<textarea>&",
    ];
    let starts = ["", "<a title=\"", "<title>", "<svg><![CDATA[", "<script><!--"];
    // Ten of one, and of the others as much as would take hours if time grew with the square.
    for (piece, start) in
        pieces.into_iter().flat_map(|piece| starts.map(|start| (piece, start))).chain([("<", "")])
    {
        {
            let length = if piece == "<" { 10 << 20 } else { 256 << 10 };
            let page = start.to_owned() + &piece.repeat(length / piece.len());
            let (mut html, mut text) = (Html::default(), Text::default());
            let mut most = 0;
            for chunk in page.as_bytes().chunks(16 << 10) {
                html.push(chunk, &mut text);
                most = most.max(text.waiting_bytes());
                text.read(&mut |_| ());
            }
            html.end(&mut text);
            assert!(most <= 64 << 10, "{start}{piece}: {most}");
            assert!(html.aside.capacity() <= 4 * ASIDE_BYTES);
            assert!(html.title_text.len() <= MAX_TITLE_BYTES);
        }
    }
}

#[test]
fn a_long_attribute_is_read_whole() {
    let value = "word ".repeat(30_000);
    for tag in ["<p title='", "<input value='", "<meta name=description content='"] {
        let page = format!("a{tag}{value}'>b");
        let (text, _) = text_of(page.as_bytes(), 1000);
        assert_eq!(text.matches("wo").count(), 30_000, "{tag}");
    }
}

/// Pieces of mark-up that make most of what can happen.
pub(super) fn mark_up() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<"),
        Just(">"),
        Just("</"),
        Just("/>"),
        Just("<b>"),
        Just("</b>"),
        Just("<p>"),
        Just("<td>"),
        Just("<script>"),
        Just("</script>"),
        Just("<style>"),
        Just("</style>"),
        Just("<title>"),
        Just("</title>"),
        Just("<textarea>"),
        Just("</textarea>"),
        Just("<!--"),
        Just("-->"),
        Just("--"),
        Just("--!>"),
        Just("<!"),
        Just("<?"),
        Just("-"),
        Just("<img alt="),
        Just("<a title='"),
        Just("<input value=\""),
        Just("'"),
        Just("\""),
        Just(" "),
        Just("\n"),
        Just("="),
        Just("&amp;"),
        Just("&notit;"),
        Just("&"),
        Just("&#"),
        Just("&#x73;"),
        Just("&#115"),
        Just("é"),
        Just("word"),
        Just("a"),
        Just("s"),
        Just("<iframe>"),
        Just("</iframe>"),
        Just("<xmp>"),
        Just("</xmp>"),
        Just("script"),
        Just("/"),
        Just("!"),
        Just(";"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn pieces_come_to_what_the_whole_comes_to(page in mark_up(), size in 1_usize..9) {
        prop_assert_eq!(text_of(page.as_bytes(), size), text_of(page.as_bytes(), usize::MAX));
    }
}
