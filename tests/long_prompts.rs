//! Prompts that are long are read in turns, and nothing of them goes unjudged: what must not be asked stands last.

use crate::daemon::{Daemon, KS3};
use crate::inspected::authority;
use crate::typed_words::{ASSISTANT, JSON, SUICIDE, post, prompt, school};
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

/// More than is read in a turn, and more than is kept back.
const SIZES: [usize; 2] = [20 << 10, 100 << 10];

/// So many bytes of a lesson, none of which could stand in another's place unseen.
fn lesson(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 64);
    let mut number = 0;
    while text.len() < bytes {
        let _ = write!(
            text,
            "River {number} flows past hill {} into lake {}. ",
            number * 7,
            number * 13
        );
        number += 1;
    }
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// Whether the site has had this body.
fn has_come(daemon: &Daemon, body: &[u8]) -> bool {
    daemon.origin.asked().iter().any(|it| it.body == body)
}

#[test]
fn a_long_prompt_is_judged_to_its_end_and_a_harmless_one_comes_whole() {
    let daemon = school(false);
    for bytes in SIZES {
        let harmless = prompt(&lesson(bytes)).into_bytes();
        let harmful = prompt(&format!("{} {SUICIDE}", lesson(bytes))).into_bytes();
        for (chunked, packed) in [(false, false), (true, false), (false, true), (true, true)] {
            let about = format!("{bytes} bytes, chunked {chunked}, packed {packed}");
            let coding = if packed { "Content-Encoding: gzip\r\n" } else { "" };
            let sent = |body: &[u8]| if packed { gzip(body) } else { body.to_vec() };
            let ask = |body: &[u8]| {
                post(&daemon, KS3, ASSISTANT, &format!("{JSON}{coding}"), &[body], chunked)
            };
            let refused = ask(&sent(&harmful));
            assert_eq!(
                (refused.status, &refused.json()["reason"]),
                (403, &"prompt_words".into()),
                "{about}"
            );
            assert!(!has_come(&daemon, &sent(&harmful)), "{about}: no site has had a whole one");
            assert_eq!(ask(&sent(&harmless)).status, 404, "{about}: the site's own answer");
            assert!(has_come(&daemon, &sent(&harmless)), "{about}: what passes comes whole");
        }
    }
}

#[test]
fn a_long_prompt_inside_a_tunnel_is_judged_to_its_end_over_both_versions() {
    let daemon = school(true);
    let ca = authority(&daemon).display().to_string();
    let file = daemon.folder().join("prompt.json");
    let body = format!("@{}", file.display());
    for (version, bytes) in [("--http1.1", SIZES[0]), ("--http2", SIZES[0]), ("--http2", SIZES[1])]
    {
        let ask = |words: &str| {
            std::fs::write(&file, prompt(words)).unwrap();
            let url = format!("https://{}/backend-api/conversation", daemon.authority(ASSISTANT));
            let line =
                ["-sS", version, "--max-time", "20", "--cacert", &ca, "--data-binary", &body];
            let output = Command::new("curl")
                .args(line)
                .args(["-x", &format!("http://{}", daemon.proxy), "--interface", &KS3.to_string()])
                .args(["-H", "Content-Type: application/json", "-w", " %{http_code}", &url])
                .output()
                .unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let harmless = lesson(bytes);
        let harmful = format!("{harmless} {SUICIDE}");
        let said = ask(&harmful);
        assert!(
            said.contains("\"prompt_words\"") && said.ends_with(" 403"),
            "{version}, {bytes}: {said}"
        );
        assert!(!has_come(&daemon, prompt(&harmful).as_bytes()), "{version}, {bytes}");
        let said = ask(&harmless);
        assert!(said.ends_with(" 404"), "{version}, {bytes}: {said}");
        assert!(
            has_come(&daemon, prompt(&harmless).as_bytes()),
            "{version}, {bytes}: what passes comes whole"
        );
    }
}
