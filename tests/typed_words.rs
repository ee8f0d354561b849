//! What somebody types: searches, completion while they type, and what is asked of assistants, in the address and in
//! the body, seen and inside tunnels, over HTTP/1.1 and HTTP/2.

use crate::client::{Answer, Client};
use crate::daemon::{Daemon, KS3, Plan, STAFF};
use crate::inspected::authority;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::Command;

pub(crate) const ENGINE: &str = "www.google.co.uk";
pub(crate) const ASSISTANT: &str = "chatgpt.com";
pub(crate) const SUICIDE: &str = "painless ways to kill myself tonight";
const DRUGS: &str = "where to buy cocaine and ketamine near me";
pub(crate) const HARMLESS: &str = "how do volcanoes form and why do they erupt";

/// A school where nothing of a search is kept safe.
pub(crate) fn school(inspected: bool) -> Daemon {
    Daemon::start_with(&plan(inspected))
}

/// What is different in it.
pub(crate) fn plan(inspected: bool) -> Plan {
    let hosts = [ENGINE, ASSISTANT, "forcesafesearch.google.com", "www.startpage.com"];
    let hosts = hosts.map(|host| (host, vec!["127.0.0.1"])).to_vec();
    // The address of a site is asked for in the same way by all of them: nothing is kept safe here.
    let edits = vec![(
        "pupil = { safe_search = true".to_owned(),
        "pupil = { safe_search = false".to_owned(),
    )];
    Plan { hosts, edits, inspected, ..Plan::default() }
}

fn search(daemon: &Daemon, from: IpAddr, path: &str, words: &str) -> Answer {
    let url = daemon.url(ENGINE, &format!("{path}?q={}", words.replace(' ', "+")));
    Client::connect_from(from, daemon.proxy).ask("GET", &url, &[("Accept", "text/html")])
}

fn signs(record: &Value) -> String {
    record["signs"].to_string()
}

/// Sends a body in pieces, as a body of known length or in chunks.
pub(crate) fn post(
    daemon: &Daemon,
    from: IpAddr,
    host: &str,
    fields: &str,
    pieces: &[&[u8]],
    chunked: bool,
) -> Answer {
    let mut client = Client::connect_from(from, daemon.proxy);
    let url = daemon.url(host, "/backend-api/conversation");
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let framing = match chunked {
        true => "Transfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {length}"),
    };
    let authority = daemon.authority(host);
    client.send(
        format!("POST {url} HTTP/1.1\r\nHost: {authority}\r\n{framing}\r\n{fields}\r\n").as_bytes(),
    );
    for piece in pieces {
        if chunked {
            client.send(format!("{:x}\r\n", piece.len()).as_bytes());
        }
        client.send(piece);
        if chunked {
            client.send(b"\r\n");
        }
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    if chunked {
        client.send(b"0\r\n\r\n");
    }
    client.read("POST")
}

/// What an assistant's page sends.
pub(crate) fn prompt(words: &str) -> String {
    let message = serde_json::json!({
        "action": "next",
        "model": "auto",
        "messages": [{ "id": "5f2c", "author": { "role": "user" },
                       "content": { "content_type": "text", "parts": [words] } }],
    });
    message.to_string()
}

pub(crate) const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn a_search_is_refused_watched_for_or_passed_by_theme_and_level() {
    let daemon = school(false);
    let refused = search(&daemon, KS3, "/search", SUICIDE);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.text().contains("0800 1111"), "help comes first: {}", refused.text());
    assert!(!refused.is_from_origin() && !refused.text().contains("painless"));
    assert!(search(&daemon, KS3, "/search", DRUGS).status == 404, "watched for, and passed on");
    assert!(search(&daemon, KS3, "/search", HARMLESS).status == 404);
    assert!(search(&daemon, STAFF, "/search", SUICIDE).status == 404);
    assert_eq!(
        search(&daemon, KS3, "/complete/search", SUICIDE).status,
        403,
        "nobody helps to complete it"
    );
    let for_help = search(&daemon, KS3, "/search", "childline number i want to die");
    assert_eq!(for_help.status, 404, "who looks for help finds it");
    assert_eq!(daemon.origin.asked().len(), 4);

    let records = daemon.records_for_lead(6);
    let [suicide, drugs, harmless, staff, suggest, for_help] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(
        (&suicide["verdict"], &suicide["reason"]),
        (&"block".into(), &"search_words".into())
    );
    assert_eq!(suicide["words"], SUICIDE);
    assert!(signs(suicide).contains("suicide") && signs(suicide).contains("search"), "{suicide}");
    let code = suicide["code"].as_str().unwrap();
    assert!(refused.text().contains(code), "the page names the code of the record");
    assert!(daemon.run(&["explain", code]).ok().out.contains("the search is of a theme"));
    assert_eq!((&drugs["verdict"], &drugs["words"]), (&"allow".into(), &DRUGS.into()));
    assert!(signs(drugs).contains("drugs"), "{drugs}");
    assert!(
        !signs(harmless).contains(':') && !signs(staff).contains("suicide"),
        "{harmless} {staff}"
    );
    assert!(signs(for_help).contains("suicide"), "and is seen: {for_help}");
    assert_eq!(suggest["reason"], "search_words");
    assert!(!signs(suggest).contains(':'), "half a sentence is no sign: {suggest}");
}

#[test]
fn what_is_asked_of_an_assistant_is_judged_before_the_site_has_all_of_it() {
    let daemon = school(false);
    let suicide = prompt(SUICIDE);
    let (half, rest) = suicide.as_bytes().split_at(suicide.len() - 9);
    for (pieces, chunked) in [
        (vec![suicide.as_bytes()], false),
        (vec![suicide.as_bytes()], true),
        (vec![half, rest], false),
        (vec![half, rest], true),
        (vec![suicide.as_bytes(), b"\n"], true),
    ] {
        let refused = post(&daemon, KS3, ASSISTANT, JSON, &pieces, chunked);
        assert_eq!(refused.status, 403, "{} pieces, chunked {chunked}: {refused:?}", pieces.len());
        assert_eq!(refused.json()["reason"], "prompt_words");
    }
    let asked =
        |words: &str| daemon.origin.asked().iter().any(|it| it.body == prompt(words).as_bytes());
    assert!(!asked(SUICIDE), "no site has had a whole one");
    assert_eq!(post(&daemon, KS3, ASSISTANT, JSON, &[prompt(DRUGS).as_bytes()], false).status, 404);
    assert_eq!(
        post(&daemon, KS3, ASSISTANT, JSON, &[prompt(HARMLESS).as_bytes()], true).status,
        404
    );
    assert!(asked(DRUGS) && asked(HARMLESS), "what passes comes whole");

    let records = daemon.records_for_lead(13);
    assert_eq!(records.len(), 13);
    let of = |method: &str| {
        let is = |record: &&Value| record["method"] == method;
        records.iter().filter(is).collect::<Vec<_>>()
    };
    let (posts, prompts) = (of("POST"), of("PROMPT"));
    assert_eq!((posts.len(), prompts.len()), (7, 6));
    assert!(posts[..5].iter().all(|record| record["end"] == "cut"), "{posts:?}");
    let last = prompts[5];
    assert_eq!((&last["verdict"], &last["words_kind"]), (&"allow".into(), &"prompt".into()));
    assert!(last["words"].as_str().unwrap().contains(DRUGS), "{last}");
    for refused in &prompts[..5] {
        assert_eq!(
            (&refused["verdict"], &refused["reason"]),
            (&"block".into(), &"prompt_words".into())
        );
        assert!(refused["words"].as_str().unwrap().contains(SUICIDE), "{refused}");
        assert!(
            signs(refused).contains("suicide") && signs(refused).contains("prompt"),
            "{refused}"
        );
    }
}

#[test]
fn a_prompt_is_read_through_its_coding_or_not_passed_on() {
    let daemon = school(false);
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(prompt(SUICIDE).as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let fields = format!("{JSON}Content-Encoding: gzip\r\n");
    let refused = post(&daemon, KS3, ASSISTANT, &fields, &[&packed], false);
    assert_eq!((refused.status, &refused.json()["reason"]), (403, &"prompt_words".into()));
    let fields = format!("{JSON}Content-Encoding: dcb\r\n");
    let unread = post(&daemon, KS3, ASSISTANT, &fields, &[b"\x00\x01\x02"], false);
    assert_eq!((unread.status, &unread.json()["reason"]), (403, &"unscanned".into()));
    // What is no text is none of anybody's words.
    let picture = "Content-Type: image/png\r\n";
    assert_eq!(post(&daemon, KS3, ASSISTANT, picture, &[b"\x89PNG"], false).status, 404);
    // A form of a search engine that does not show its searches in the address.
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let body = format!("language=english&query={}", SUICIDE.replace(' ', "+"));
    let refused = post(&daemon, KS3, "www.startpage.com", form, &[body.as_bytes()], false);
    assert_eq!((refused.status, &refused.json()["reason"]), (403, &"search_words".into()));
}

#[test]
fn what_is_typed_is_judged_inside_tunnels_over_both_versions() {
    let daemon = school(true);
    let file = authority(&daemon).display().to_string();
    for version in ["--http1.1", "--http2"] {
        let curl = |host: &str, path: &str, more: &[&str]| {
            let url = format!("https://{}{path}", daemon.authority(host));
            let output = Command::new("curl")
                .args([
                    "-sS",
                    version,
                    "--max-time",
                    "20",
                    "-x",
                    &format!("http://{}", daemon.proxy),
                ])
                .args(["--cacert", &file, "--interface", &KS3.to_string(), &url])
                .args(more)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let query = format!("/search?q={}", SUICIDE.replace(' ', "%20"));
        let said = curl(ENGINE, &query, &[]);
        assert!(said.contains("\"search_words\""), "{version}: {said}");
        let json = ["-H", "Content-Type: application/json", "-d", &prompt(SUICIDE)];
        let said = curl(ASSISTANT, "/backend-api/conversation", &json);
        assert!(said.contains("\"prompt_words\""), "{version}: {said}");
        let json = ["-H", "Content-Type: application/json", "-d", &prompt(HARMLESS)];
        let said = curl(ASSISTANT, "/echo", &json);
        assert!(said.contains("volcanoes"), "{version}: {said}");
    }
    assert!(!daemon.origin.asked().iter().any(|it| it.body == prompt(SUICIDE).as_bytes()));
}

#[test]
fn an_address_is_a_sign_and_refuses_only_what_nobody_knows() {
    let unknown = "hardcore-porn-videos.test";
    let daemon =
        Daemon::start_with(&Plan { hosts: vec![(unknown, vec!["127.0.0.1"])], ..Plan::default() });
    let get = |host: &str, path: &str, fields: &[(&str, &str)]| {
        Client::connect_from(KS3, daemon.proxy).ask("GET", &daemon.url(host, path), fields).status
    };
    let html = ("Accept", "text/html,*/*");
    let path = "/how-to-tie-a-noose-and-kill-yourself-without-pain";
    assert_eq!(get(unknown, "/free-hardcore-porn-videos", &[html]), 403);
    assert_eq!(get("library.test", path, &[html]), 404, "known for something else");
    assert_eq!(get("library.test", "/volcanoes", &[html]), 404);
    let embedded = [("Accept", "*/*"), ("Sec-Fetch-Dest", "image")];
    assert_eq!(get("library.test", path, &embedded), 404);
    let records = daemon.records_for_lead(4);
    let [refused, sign, harmless, embedded] = &records[..] else { panic!("{records:#?}") };
    assert_eq!(refused["reason"], "address_words");
    assert!(signs(refused).contains("pornography") && signs(refused).contains("url"), "{refused}");
    assert!(signs(sign).contains("suicide"), "{sign}");
    for nothing in [harmless, embedded] {
        assert_eq!(nothing["signs"], serde_json::json!([]), "{nothing}");
    }
}

/// A frame of text, as clients send it (RFC 6455, 5.2); `first` has the bits and the opcode.
pub(crate) fn frame(first: u8, text: &str) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first, 0x80 | 126];
    frame.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&mask);
    frame.extend(text.bytes().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    frame
}

/// Opens a web socket to an assistant that sends back what it gets.
pub(crate) fn socket(daemon: &Daemon, from: IpAddr) -> Client {
    let mut client = Client::connect_from(from, daemon.proxy);
    let (url, authority) = (daemon.url(ASSISTANT, "/upgrade"), daemon.authority(ASSISTANT));
    client.send(
        format!(
            "GET {url} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        )
        .as_bytes(),
    );
    assert_eq!(client.read_head().unwrap().status, 101);
    client
}

/// Sends bytes in pieces, and reads as many back.
pub(crate) fn echoed(client: &mut Client, bytes: &[u8], piece: usize) -> bool {
    for piece in bytes.chunks(piece) {
        client.send(piece);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let mut back = Vec::new();
    while back.len() < bytes.len() {
        match client.read_some() {
            Ok(more) if !more.is_empty() => back.extend(more),
            _ => return false,
        }
    }
    assert_eq!(back, bytes);
    true
}

#[test]
fn messages_to_an_assistant_are_read_as_they_pass_and_end_the_connection() {
    let daemon = school(false);
    for piece in [4096, 60] {
        let mut client = socket(&daemon, KS3);
        assert!(echoed(&mut client, &frame(0x81, &prompt(HARMLESS)), piece));
        let long = format!("{DRUGS}. {}", "Where to buy cocaine and ketamine. ".repeat(12));
        assert!(echoed(&mut client, &frame(0x81, &prompt(&long)), piece), "watched for");
        let (half, rest) = SUICIDE.split_at(20);
        let parts = [frame(0x01, half), frame(0x80, rest)].concat();
        assert!(!echoed(&mut client, &parts, piece), "cut in the middle");
    }
    let mut client = socket(&daemon, KS3);
    assert!(!echoed(&mut client, &frame(0xc1, "packed, though it was not agreed"), 4096));
    let mut staff = socket(&daemon, STAFF);
    assert!(echoed(&mut staff, &frame(0x81, &prompt(SUICIDE)), 4096));
    drop(staff);
    let offered = daemon.origin.asked();
    let is_offered = |at: usize| offered[at].header("sec-websocket-extensions").is_some();
    assert!(!is_offered(0) && !is_offered(2), "nothing is packed that is read");

    let records = daemon.records_for_lead(11);
    let of = |method: &str, verdict: &str| {
        let is = |record: &&Value| record["method"] == method && record["verdict"] == verdict;
        records.iter().filter(is).collect::<Vec<_>>()
    };
    assert_eq!(of("PROMPT", "allow").len(), 2, "{records:#?}");
    let refused = of("PROMPT", "block");
    assert_eq!(refused.len(), 3);
    let reasons: Vec<_> = refused.iter().map(|record| record["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["prompt_words", "prompt_words", "unscanned"]);
    assert!(signs(refused[0]).contains("suicide") && refused[0]["words"] == SUICIDE);
    let answers = of("PAGE", "allow");
    assert!(answers.len() == 2 && signs(answers[0]).contains("reply"), "{answers:?}");
    let cut = of("GET", "allow").iter().filter(|record| record["end"] == "cut").count();
    assert_eq!(cut, 3);
}

#[test]
fn anybody_can_ask_what_words_are_of_and_which_phrase_says_so() {
    let daemon = school(false);
    let asked = |more: &[&str]| daemon.run(&[&["check", "--as", "ks3"], more].concat());
    let said = asked(&["--words", SUICIDE]);
    assert_eq!(said.code, 10, "{said:?}");
    assert!(said.out.contains("BLOCKED") && said.out.contains("suicide.en.toml:"), "{}", said.out);
    let said = asked(&["--words", HARMLESS]);
    assert_eq!(
        (said.code, said.out.contains("nothing in it is of any theme")),
        (0, true),
        "{said:?}"
    );
    let page = daemon.folder().join("page.html");
    std::fs::write(
        &page,
        format!(
            "<title>x</title><script>{SUICIDE}</script><p>{}</p>",
            "where to buy cocaine. ".repeat(20)
        ),
    )
    .unwrap();
    let said = asked(&["--page", &page.display().to_string(), "--json"]).ok().json();
    let themes: Vec<_> = said
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["percent"].as_u64() >= Some(100))
        .collect();
    assert_eq!(themes.len(), 1, "{said}");
    assert_eq!((&themes[0]["theme"], &themes[0]["action"]), (&"drugs".into(), &"watch".into()));
    assert!(asked(&["--words", SUICIDE, "http://library.test/"]).code == 2, "one or the other");
    let missing = asked(&["--page", "nowhere.html"]);
    assert!(missing.err.contains("nowhere.html") && missing.err.contains("fix:"), "{missing:?}");
}
