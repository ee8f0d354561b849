use super::*;
use proptest::prelude::*;

fn decoded(telling: Telling, label: Option<&str>, bytes: &[u8], size: usize) -> (String, String) {
    let mut charset = Charset::new(telling, label, None);
    let mut read = Vec::new();
    for piece in bytes.chunks(size) {
        charset.push(piece, &mut |text| read.extend_from_slice(text));
    }
    charset.end(&mut |text| read.extend_from_slice(text));
    (String::from_utf8_lossy(&read).into_owned(), charset.name().unwrap_or("").to_owned())
}

fn in_utf16(text: &str, mark: bool) -> Vec<u8> {
    let mark = if mark { "\u{feff}" } else { "" };
    mark.encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// What it is, the header's label, the bytes, the encoding, and what the text ends with.
type Case<'a> = (&'a str, Option<&'a str>, Vec<u8>, &'a str, &'a str);

#[test]
fn an_encoding_is_told_by_mark_header_page_and_guess_in_this_order() {
    let russian = "Это страница о погоде в Москве, и она написана по-русски. ".repeat(20);
    let in_koi8 = encoding_rs::KOI8_R.encode(&russian).0.into_owned();
    let in_1251 = encoding_rs::WINDOWS_1251.encode(&russian).0.into_owned();
    let meta =
        |says: &str| format!("<!-- <meta charset=big5> --><p title='<meta charset=gbk>'>{says}");
    let cases: Vec<Case<'_>> = vec![
        ("a mark", Some("windows-1252"), b"\xef\xbb\xbf\xc3\xa9".to_vec(), "UTF-8", "é"),
        ("a mark of UTF-16", Some("utf-8"), in_utf16("é<", true), "UTF-16LE", "é<"),
        (
            "the header",
            Some("Latin1"),
            b"<meta charset=utf-8>\xe9".to_vec(),
            "windows-1252",
            "<meta charset=utf-8>é",
        ),
        ("UTF-16 by the header", Some("utf-16"), in_utf16("é<", false), "UTF-16LE", "é<"),
        (
            "UTF-16 by its declaration",
            None,
            in_utf16("<?xml v?>é", false),
            "UTF-16LE",
            "<?xml v?>é",
        ),
        (
            "the page",
            None,
            [meta("<META x Charset = 'koi8-r'/>").as_bytes(), &in_koi8].concat(),
            "KOI8-R",
            &russian,
        ),
        (
            "the page, the old way",
            None,
            [
                meta("<meta http-equiv='Content-Type' content='text/html; charset=koi8-r'>")
                    .as_bytes(),
                &in_koi8,
            ]
            .concat(),
            "KOI8-R",
            &russian,
        ),
        (
            "content alone says nothing",
            None,
            [meta("<meta content='text/html; charset=koi8-r'>").as_bytes(), &in_1251].concat(),
            "windows-1251",
            &russian,
        ),
        (
            "a page that says UTF-16 is UTF-8",
            None,
            b"<meta charset=utf-16>\xc3\xa9".to_vec(),
            "UTF-8",
            "é",
        ),
        (
            "an XML declaration",
            None,
            [&b"<?xml version='1.0' encoding='koi8-r'?>"[..], &in_koi8].concat(),
            "KOI8-R",
            &russian,
        ),
        (
            "UTF-7 is nothing",
            Some("utf-7"),
            b"+ADw-b+AD4- \xe9".to_vec(),
            "windows-1252",
            "+ADw-b+AD4- é",
        ),
        (
            "what browsers show nothing of is nothing",
            Some("iso-2022-kr"),
            b"a\xc3\xa9".to_vec(),
            "UTF-8",
            "aé",
        ),
        ("a guess", None, in_1251.clone(), "windows-1251", &russian),
        ("a guess of UTF-8", None, russian.clone().into_bytes(), "UTF-8", &russian),
        ("ASCII", None, b"abc".to_vec(), "", "abc"),
        ("nothing", None, Vec::new(), "", ""),
    ];
    for (what, label, bytes, encoding, ending) in cases {
        for size in [1, 7, 100_000] {
            let (text, name) = decoded(Telling::Page, label, &bytes, size);
            assert_eq!(name, encoding, "{what}, {size}");
            assert!(text.ends_with(ending), "{what}, {size}: {text}");
        }
    }
}

#[test]
fn a_page_says_its_encoding_within_its_first_bytes_or_not_at_all() {
    let page = |before: usize| format!("{}<meta charset=koi8-r>", " ".repeat(before));
    let name = |before| decoded(Telling::Page, None, page(before).as_bytes(), 100).1;
    assert_eq!(name(PRESCAN_BYTES - 21), "KOI8-R");
    assert_eq!(name(PRESCAN_BYTES), "");
}

#[test]
fn json_is_utf8_whatever_is_said() {
    let (text, name) = decoded(Telling::Utf8, Some("windows-1252"), "é".as_bytes(), 1);
    assert_eq!((&*text, &*name), ("é", "UTF-8"));
    let (text, name) = decoded(Telling::Utf8, None, &in_utf16("é", true), 1);
    assert_eq!((&*text, &*name), ("é", "UTF-16LE"));
}

#[test]
fn streams_are_utf8_whatever_mark_they_begin_with() {
    for size in [1, 100] {
        let (text, name) = decoded(Telling::Utf8Alone, None, b"\xff\xfedata: a", size);
        assert_eq!((&*text, &*name), ("\u{fffd}\u{fffd}data: a", "UTF-8"));
        let (text, _) =
            decoded(Telling::Utf8Alone, Some("utf-16"), b"\xef\xbb\xbfdata: \xc3\xa9", size);
        assert_eq!(text, "data: é");
    }
}

proptest! {
    #[test]
    fn pieces_come_to_what_the_whole_comes_to(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        label in prop::option::of(prop_oneof![Just("utf-8"), Just("shift_jis"), Just("utf-16"), Just("gbk")]),
        size in 1_usize..9,
    ) {
        let whole = decoded(Telling::Page, label, &bytes, 1000);
        prop_assert_eq!(decoded(Telling::Page, label, &bytes, size), whole);
    }
}
