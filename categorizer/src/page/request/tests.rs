#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

fn text_of(kind: &str, body: &str, size: usize) -> String {
    let mut request = RequestText::new(kind).unwrap();
    let mut read = String::new();
    for piece in body.as_bytes().chunks(size) {
        request.push(piece, &mut |part| read.push_str(part));
    }
    request.end(&mut |part| read.push_str(part));
    read
}

#[test]
fn what_people_wrote_is_read_from_every_kind_of_body() {
    let json = "application/json; charset=utf-8";
    let form = "application/x-www-form-urlencoded";
    let multipart = "multipart/form-data; boundary=\"xYz\"";
    let parts = "--xYz\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nhow to\r\n--x\r\nswim\r\n--xYz\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nfile text\r\n--xYz\r\nContent-Disposition: form-data; name=b\r\nContent-Type: image/png\r\n\r\npicture\r\n--xYz\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--xYz\r\nContent-Disposition: form-data; name=\"j\"\r\nContent-Type: application/json\r\n\r\n{\"q\":\"boats\"}\r\n--xYz--\r\nafter";
    let cases = [
        (
            json,
            r#"{"model":"made-up","stream":true,"messages":[{"role":"user","content":"how to swim"}]}"#,
            "how to swim\n",
        ),
        (
            json,
            r#"{"action":"next","messages":[{"author":{"role":"user"},"content":{"content_type":"text","parts":["how to","swim"]}}],"parent":"0f3a"}"#,
            "how to\nswim\n",
        ),
        (json, r#"{"contents":[{"parts":[{"text":"how to swim"}]}]}"#, "how to swim\n"),
        (
            json,
            r#"{"prompt":"swim","timezone":"Europe/London","x":"how to swim"}"#,
            "swim\nhow to swim\n",
        ),
        (json, r#"["swim"]"#, "swim\n"),
        (form, "q=how+to%20sw%69m&hl=en&x=100%&y=%4", "how to swim\nen\n100%\n%4\n"),
        (
            form,
            "f.req=%5Bnull%2C%22%5B%5B%5C%22how+to+swim%5C%22%5D%5D%22%5D&at=x",
            "how to swim\nx\n",
        ),
        (multipart, parts, "how to --x swim\nboats\n"),
        (multipart, &parts[..105], "how to --x swim\n"),
        ("text/plain", "how to swim", "how to swim\n"),
        // In brackets, so that it looks like JSON.
        ("text/plain", r#"{how do i swim ""}"#, "{how do i swim \"\"}\n"),
        ("text/plain", r#"{"how do i swim":1}"#, "how do i swim\n"),
        ("application/json", r#"{"prompt":"{\"how to swim\": [\"x\"]}"}"#, "how to swim\n"),
        ("text/plain", r#"{"model":"m","prompt":"how to swim"}"#, "how to swim\n"),
    ];
    for (kind, body, expected) in cases {
        for size in [1, 3, 17, 100_000] {
            assert_eq!(text_of(kind, body, size), expected, "{kind}, {size}: {body}");
        }
    }
    assert!(RequestText::new("image/png").is_none());
    assert!(RequestText::new("multipart/form-data").is_none());
}

#[test]
fn long_json_in_plain_text_is_read_without_its_escapes_and_nothing_of_it_is_left_out() {
    let long = "word ".repeat(MAX_VALUE_BYTES / 4);
    let json = r#" 17 {"id":"b7","messages":[{"content":"LONG"},{"content":"how\nto \u0073wim"},{"a key":["x"]}],
        "v":"{\"parts\":[\"far out\"]}"} and then"#;
    let prose = "[LONG] he said \"swim\" and went";
    for size in [1_000, 100_000] {
        let read = text_of("text/plain", &json.replace("LONG", &long), size);
        for wanted in ["how to swim\n", "a key", "x\n", "far out\n", "and then"] {
            assert!(read.contains(wanted), "{wanted}: {:?}", &read[read.len() - 200..]);
        }
        let read = text_of("text/plain", &prose.replace("LONG", &long), size);
        assert!(read.ends_with("word ] he said swim\nand went\n"), "{}", &read[read.len() - 50..]);
        // Nothing else is taken for it.
        let read = text_of("text/plain", &format!("{long} \\u0073wim"), size);
        assert!(read.ends_with("word \\u0073wim\n"));
    }
}

#[test]
fn a_body_of_any_size_is_read_within_bounds() {
    let kinds = [
        ("application/json", "{\"content\":\""),
        ("application/x-www-form-urlencoded", "q="),
        (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n",
        ),
        ("multipart/form-data; boundary=b", "--b\r\nX: "),
        ("text/plain", ""),
        ("text/plain", "{\"content\":\""),
        ("text/plain", "["),
    ];
    for (kind, start) in kinds {
        for piece in ["word ", "\r\n-", "%", "[\"", "\\u"] {
            let mut request = RequestText::new(kind).unwrap();
            let mut most = 0;
            let mut out = |part: &str| most = most.max(part.len());
            request.push(start.as_bytes(), &mut out);
            for _ in 0..(2 << 20) / (1000 * piece.len()) {
                request.push(piece.repeat(1000).as_bytes(), &mut out);
            }
            request.end(&mut out);
            assert!(request.values.value.capacity() <= 2 * MAX_VALUE_BYTES);
            assert!(most <= 4 * MAX_VALUE_BYTES, "{kind} {piece}: {most}");
        }
    }
}
