use super::*;

#[derive(Default)]
struct Kept {
    values: Vec<(String, u64, String)>,
}

impl Strings for Kept {
    fn begin(&mut self, place: &Place) {
        let key = String::from_utf8_lossy(place.key()).into_owned();
        self.values.push((key, place.path, String::new()));
    }

    fn take(&mut self, part: &[u8]) {
        if let Some(value) = self.values.last_mut() {
            value.2.push_str(&String::from_utf8_lossy(part));
        }
    }

    fn end(&mut self) {}
}

fn values(json: &str, size: usize) -> Vec<(String, u64, String)> {
    let (mut kept, mut reader) = (Kept::default(), Json::default());
    for piece in json.as_bytes().chunks(size) {
        reader.push(piece, &mut kept);
    }
    reader.end(&mut kept);
    kept.values
}

#[test]
fn values_are_read_with_their_nearest_key() {
    let cases: [(&str, &[(&str, &str)]); 11] = [
        (
            r#"{"a":"b","c":{"D":["e","f",{"g":"h"}]},"i":1}"#,
            &[("a", "b"), ("d", "e"), ("d", "f"), ("g", "h")],
        ),
        (r#"["a","b"]"#, &[("", "a"), ("", "b")]),
        (r#""a""#, &[("", "a")]),
        (r#"{"a":"su\u0069cide \"\\\/ \ud83d\ude00"}"#, &[("a", "suicide \"\\/ 😀")]),
        (
            r#"["\ud83d","\ud83dx","\ude00","\ud83d\ud83d\ude00"]"#,
            &[("", "\u{fffd}"), ("", "\u{fffd}x"), ("", "\u{fffd}"), ("", "\u{fffd}😀")],
        ),
        (r#")]}' 123 [["a"]] 45 {"b":"c"}"#, &[("", "a"), ("b", "c")]),
        (r#"{"a":"b"#, &[("a", "b")]),
        (r#"{"a":"b\u00"#, &[("a", "b")]),
        (r#"{"a":["b"],"c":"d"}"#, &[("a", "b"), ("c", "d")]),
        (r#"["\uzz"]"#, &[("", "zz")]),
        ("", &[]),
    ];
    for (json, expected) in cases {
        for size in [1, 2, 1000] {
            let found = values(json, size);
            let found: Vec<_> = found.iter().map(|one| (&*one.0, &*one.2)).collect();
            assert_eq!(found, expected, "{json}");
        }
    }
}

#[test]
fn places_are_the_same_from_document_to_document() {
    let [one, two, three] =
        [r#"{"a":[{"b":"1"},{"b":"2"}]}"#, r#"[{"a":[{"b":"1"},{"b":"2"}]}"#, r#"{"b":"1"}"#];
    let paths = |json: &str| values(json, 1000).iter().map(|one| one.1).collect::<Vec<_>>();
    let both = format!("{one}\n{one}");
    let first = paths(one);
    assert_eq!(paths(&both), [&first[..], &first].concat());
    assert_ne!(first[0], first[1]);
    assert_ne!(first[0], paths(three)[0]);
    // Documents of an array are a stream.
    assert_eq!(paths(r#"[{"b":"1"},{"b":"2"}]"#)[0], paths(r#"[{"b":"1"},{"b":"2"}]"#)[1]);
    assert_eq!(paths(two).len(), 2);
}

#[test]
fn any_depth_and_any_rubbish_is_read_within_bounds() {
    for piece in ["[", "{\"a\":", "]", "\"", "\\", "{", "}", "[\"a\"", ",", "\"\\u"] {
        let json = piece.repeat((1 << 20) / piece.len());
        let (mut none, mut reader) = (Nothing, Json::default());
        for chunk in json.as_bytes().chunks(16 << 10) {
            reader.push(chunk, &mut none);
        }
        assert!(reader.frames.len() <= MAX_DEPTH);
        reader.end(&mut none);
    }
    let deep = "[".repeat(1000) + "\"a\"" + &"]".repeat(1000) + "{\"b\":\"c\"}";
    let found = values(&deep, 1000);
    assert_eq!(found.iter().map(|one| &*one.2).collect::<Vec<_>>(), ["a", "c"]);
}

struct Nothing;

impl Strings for Nothing {
    fn begin(&mut self, _: &Place) {}
    fn take(&mut self, _: &[u8]) {}
    fn end(&mut self) {}
}
