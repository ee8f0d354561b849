//! Files on their way: refused by name, type, bytes and what archives hold, by level and role, and by size.

use crate::client::{Answer, Client, basic};
use crate::daemon::{Daemon, KS2, KS3, PASSWORD, Plan, STAFF, wait_for};
use crate::fake_origin::gzip;
use crate::inspected::{Secure, authority};
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;

/// As programs of Windows begin.
pub(crate) fn program(bytes: usize) -> Vec<u8> {
    let mut program = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0".to_vec();
    program.resize(bytes, 7);
    program
}

/// A zip archive of stored entries.
pub(crate) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(data);
        let (sum, size) = (crc.sum().to_le_bytes(), (data.len() as u32).to_le_bytes());
        let at = (body.len() as u32).to_le_bytes();
        let name_size = (name.len() as u16).to_le_bytes();
        let shared = [&[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x58][..], &sum, &size, &size, &name_size];
        let shared = shared.concat();
        body.extend([b"PK\x03\x04", &shared[..], &[0, 0], name.as_bytes(), data].concat());
        let rest = [0; 12];
        directory.extend([b"PK\x01\x02\x14\0", &shared[..], &rest, &at, name.as_bytes()].concat());
    }
    let (at, size) = ((body.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    let count = (entries.len() as u16).to_le_bytes();
    let end = [b"PK\x05\x06\0\0\0\0", &count[..], &count, &size, &at, &[0, 0]].concat();
    [body, directory, end].concat()
}

/// A plan with more lines of policy before its roles.
pub(crate) fn with(lines: &str) -> Plan {
    let edits = vec![("[roles]\n".to_owned(), format!("{lines}\n[roles]\n"))];
    Plan { edits, ..Plan::default() }
}

/// The records of method `PAGE`, and the others, once so many are there and each has its end.
pub(crate) fn records(daemon: &Daemon, wanted: usize) -> (Vec<Value>, Vec<Value>) {
    let mut records = daemon.wait_records(wanted);
    wait_for("the ends of the records", Duration::from_secs(10), || {
        records = daemon.records();
        records.iter().all(|record| !record["end"].is_null())
    });
    records.into_iter().partition(|record| record["method"] == "PAGE")
}

pub(crate) fn get(daemon: &Daemon, from: IpAddr, path: &str) -> Answer {
    daemon.get_from(from, &daemon.url("library.test", path))
}

const OCTETS: &str = "200 OK\r\nContent-Type: application/octet-stream\r\n";

#[test]
fn programs_are_refused_by_name_type_bytes_and_place_and_pass_for_the_role() {
    let edits = vec![("it = [\"j.cho\"]".to_owned(), "it = [\"j.cho\", \"ms.obi\"]".to_owned())];
    let daemon = Daemon::start_with(&Plan { edits, people: true, ..Plan::default() });
    let exe = program(20_000);
    let inner = zip(&[("readme.txt", b"hello"), ("tools/setup.exe", &exe)]);
    let outer = zip(&[("homework.zip", &inner)]);
    let renamed = zip(&[("picture.png", &exe)]);
    let packed = gzip(&exe).unwrap();
    let attached = "200 OK\r\nContent-Type: application/octet-stream\r\n\
                    Content-Disposition: attachment; filename=\"game.scr\"\r\n";
    let text = b"nothing of it";
    let cases: [(&str, &str, &[u8], &str); 9] = [
        ("/by-name/setup.exe", OCTETS, text, "by name: setup.exe"),
        ("/by-disposition", attached, text, "by name: game.scr"),
        ("/by-type", "200 OK\r\nContent-Type: application/x-msdownload\r\n", text, "by type"),
        ("/cat.png", "200 OK\r\nContent-Type: image/png\r\n", &exe, "by its bytes"),
        ("/page.html", "200 OK\r\nContent-Type: text/html\r\n", &exe, "by its bytes"),
        ("/in.zip", OCTETS, &inner, "inside: tools/setup.exe"),
        ("/in-in.zip", OCTETS, &outer, "inside: tools/setup.exe"),
        ("/renamed.zip", OCTETS, &renamed, "inside"),
        (
            "/coded",
            "200 OK\r\nContent-Type: image/jpeg\r\nContent-Encoding: gzip\r\n",
            &packed,
            "by its bytes",
        ),
    ];
    for (path, head, body, _) in cases {
        let length = format!("{head}Content-Length: {}\r\n", body.len());
        // In one piece and in many; with and without its length.
        daemon.origin.answer_with(path, &length, &[(0, body)]);
        let pieces: Vec<(u64, &[u8])> = body.chunks(700).map(|piece| (0, piece)).collect();
        daemon.origin.answer_with(&format!("/pieces{path}"), head, &pieces);
    }
    let with_role = basic("ms.obi", PASSWORD);
    for (path, _, body, how) in cases {
        for path in [path.to_owned(), format!("/pieces{path}")] {
            for from in [KS2, STAFF] {
                let refused = get(&daemon, from, &path);
                assert_eq!(refused.status, 403, "{path} {from}: {refused:?}");
                assert_eq!(refused.json()["reason"], "file_kind", "{path} {how}");
                assert!(!refused.is_from_origin(), "{path}");
            }
            let url = daemon.url("library.test", &path);
            let headers = [("Proxy-Authorization", with_role.as_str())];
            let passed = Client::connect(daemon.proxy).ask("GET", &url, &headers);
            assert_eq!((passed.status, passed.is_from_origin()), (200, true), "{path}: {passed:?}");
            assert!(passed.body == body, "{path}: whole and as it was sent");
        }
    }
    let (pages, requests) = records(&daemon, 18 * 5);
    assert_eq!((pages.len(), requests.len()), (36, 54));
    for (path, _, _, how) in cases {
        let of_path = pages.iter().filter(|page| page["path"].as_str().unwrap().ends_with(path));
        let of_path: Vec<_> = of_path.collect();
        assert_eq!(of_path.len(), 4, "{path}");
        for page in of_path {
            assert_eq!((&page["verdict"], &page["reason"]), (&"block".into(), &"file_kind".into()));
            let rule = page["rule"].as_str().unwrap();
            assert!(
                rule.contains("executables") && rule.contains(how),
                "{path}: {rule}, not {how}"
            );
        }
    }
    let code = pages[0]["code"].as_str().unwrap();
    let said = daemon.run(&["explain", code]).ok().out;
    assert!(said.contains("files of this kind") && said.contains("executables"), "{said}");
    let query = ["log", "query", "--since", "1h", "--reason", "file_kind", "--jsonl"];
    assert_eq!(daemon.run(&query).ok().lines().len(), 36);
}

#[test]
fn what_is_harmless_passes_whole_and_what_is_refused_is_told_in_the_readers_language() {
    let daemon = Daemon::start_without_people();
    let document = zip(&[("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w/>")]);
    let archive = zip(&[("index.html", b"<p>a page"), ("script.js", b"alert(1)"), ("a.png", b"x")]);
    let script = b"#!/bin/sh\nrm -rf /\n".repeat(400);
    let big = vec![0x55; 300_000];
    let cases: [(&str, &str, &[u8]); 7] = [
        ("/essay.docx", "application/octet-stream", &document),
        ("/pack.zip", "application/zip", &archive),
        ("/a.png", "image/png", &big),
        ("/film.mp4", "video/mp4", &big),
        ("/app.js", "text/javascript", &script),
        ("/wiki/setup.exe", "text/html", b"<p>About setup.exe"),
        ("/empty.exe", "text/html", b""),
    ];
    for (path, media, body) in cases {
        let head = format!("200 OK\r\nContent-Type: {media}\r\n");
        let pieces: Vec<(u64, &[u8])> = body.chunks(9_000).map(|piece| (0, piece)).collect();
        daemon.origin.answer_with(path, &head, &pieces);
        let passed = get(&daemon, KS2, path);
        assert_eq!((passed.status, passed.is_from_origin()), (200, true), "{path}: {passed:?}");
        assert!(passed.body == body, "{path}");
    }
    let head = "200 OK\r\nContent-Type: text/plain\r\n";
    daemon.origin.answer_with("/run.sh", head, &[(0, &script)]);
    assert_eq!(get(&daemon, KS2, "/run.sh").json()["reason"], "file_kind", "curl saves it");
    daemon.origin.answer_with("/a.exe", OCTETS, &[(0, b"x")]);
    for (language, words) in
        [("en", "fetch files of this kind"), ("cy", "lwytho ffeiliau o'r math hwn")]
    {
        let fields = [("Accept", "text/html"), ("Accept-Language", language)];
        let url = daemon.url("library.test", "/a.exe");
        let page = Client::connect_from(KS3, daemon.proxy).ask("GET", &url, &fields);
        assert_eq!(page.status, 403);
        assert!(page.text().replace("&#39;", "'").contains(words), "{language}: {}", page.text());
    }
}

#[test]
fn what_shows_late_is_cut_and_no_exception_for_the_site_opens_it() {
    let plan = with(
        "[[exception]]\nsite = \"library.test\"\nallow_for = \"pupil\"\nreason = \"Reading\"\n\
         review = 2099-01-01\n",
    );
    let daemon = Daemon::start_with(&plan);
    let filler = vec![b'x'; 400_000];
    let late = zip(&[("book.txt", &filler), ("setup.exe", b"x"), ("more.txt", &filler)]);
    let head =
        format!("200 OK\r\nContent-Type: application/zip\r\nContent-Length: {}\r\n", late.len());
    let pieces: Vec<(u64, &[u8])> = late.chunks(16_000).map(|piece| (3, piece)).collect();
    daemon.origin.answer_with("/late.zip", &head, &pieces);
    let url = daemon.url("library.test", "/late.zip");
    let cut = Client::connect_from(KS2, daemon.proxy).try_ask("GET", &url, &[]);
    assert!(cut.is_err(), "it is cut: {:?}", cut.map(|it| (it.status, it.body.len())));
    // A program that dribbles is cut before it can run, or refused.
    let exe = program(3_000);
    let drops: Vec<(u64, &[u8])> = exe.chunks(1_000).map(|piece| (300, piece)).collect();
    daemon.origin.answer_with("/dribble", OCTETS, &drops);
    assert_eq!(get(&daemon, KS2, "/dribble").status, 403, "its first bytes say it");
    let (pages, requests) = records(&daemon, 4);
    assert_eq!((pages.len(), requests.len()), (2, 2), "{pages:#?}");
    assert!(pages.iter().all(|page| page["reason"] == "file_kind"), "{pages:#?}");
    assert!(requests.iter().all(|request| request["end"] == "cut"), "{requests:#?}");
    assert!(requests[0]["bytes_down"].as_u64().unwrap() < 420_000, "{}", requests[0]);
}

#[test]
fn files_are_looked_at_inside_tunnels_over_both_versions() {
    let daemon = Daemon::start_with(&Plan { inspected: true, ..Plan::default() });
    daemon.origin.answer_with(
        "/cat.png",
        "200 OK\r\nContent-Type: image/png\r\n",
        &[(0, &program(9_000))],
    );
    let pem = std::fs::read(authority(&daemon)).unwrap();
    let host = daemon.authority("library.test");
    let mut inside = Secure::open(&daemon, KS2, "library.test", &pem).unwrap();
    let refused = inside.ask(&host, "/cat.png").unwrap();
    assert_eq!((refused.status, refused.is_from_origin()), (403, false), "{refused:?}");
    let passed = inside.ask(&host, "/size/9000").unwrap();
    assert_eq!((passed.status, passed.body.len()), (200, 9_000), "the connection goes on");

    let school = crate::secure_origin::SecureSchool::start();
    school.publish("setup.exe", b"nothing of it");
    school.publish("cat.svg", &program(9_000));
    school.publish("fine.bin", &vec![b'x'; 500_000]);
    let (proxy, pem) = (school.proxy(), school.authority_text());
    for (path, status) in [("/setup.exe", "2 403"), ("/cat.svg", "2 403"), ("/fine.bin", "2 200")] {
        let url = school.url(crate::secure_origin::SITE, path);
        let told = ["-o", "/dev/null", "-w", "%{http_version} %{http_code}", "--http2", &url];
        let usual = ["-sS", "--max-time", "20", "-x", &proxy, "--cacert", &pem];
        let out = school.run("curl", &[&usual[..], &told].concat()).ok().out;
        assert_eq!(out, status, "{path}");
    }
}

#[test]
fn a_file_has_a_size_by_what_is_announced_and_by_what_comes() {
    let daemon =
        Daemon::start_with(&with("[files]\nlargest_mb = { pupil = 1, staff = \"any\" }\n"));
    for (from, status) in [(KS2, 403), (STAFF, 200)] {
        let answer = get(&daemon, from, "/size/1000001");
        assert_eq!(answer.status, status, "{from}");
    }
    assert_eq!(get(&daemon, KS2, "/size/1000000").body.len(), 1_000_000);
    let piece = vec![b'x'; 100_000];
    let pieces: Vec<(u64, &[u8])> = (0..11).map(|_| (1, &piece[..])).collect();
    daemon.origin.answer_with("/grows", OCTETS, &pieces);
    let url = daemon.url("library.test", "/grows");
    let cut = Client::connect_from(KS2, daemon.proxy).try_ask("GET", &url, &[]);
    assert!(cut.is_err(), "{:?}", cut.map(|it| it.body.len()));
    let part =
        "206 Partial Content\r\nContent-Type: video/mp4\r\nContent-Range: bytes 5-9/2000000\r\n";
    daemon.origin.answer_with("/part", part, &[(0, b"12345")]);
    assert_eq!(
        get(&daemon, KS2, "/part").json()["reason"],
        "file_size",
        "of the file, not of the piece"
    );
    let (pages, _) = records(&daemon, 8);
    assert_eq!(pages.len(), 3, "{pages:#?}");
    for page in pages {
        assert_eq!(page["reason"], "file_size");
        assert!(page["rule"].as_str().unwrap().contains("largest_mb = 1"), "{page}");
    }
}

#[test]
fn pieces_heads_and_refused_switches_are_judged_by_what_they_say() {
    let daemon = Daemon::start_without_people();
    let exe = program(6_000);
    let part = |media: &str, range: &str| {
        format!("206 Partial Content\r\nContent-Type: {media}\r\nContent-Range: {range}\r\n")
    };
    let octets = "application/octet-stream";
    let several = "206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x\r\n";
    let cases: [(&str, String, &[u8], Option<&str>); 7] = [
        ("/setup.exe", part(octets, "bytes 100-105/6000"), b"middle", Some("file_kind")),
        ("/first", part("image/png", "bytes 0-5999/9000"), &exe, Some("file_kind")),
        ("/middle", part(octets, "bytes 100-105/6000"), b"middle", Some("file_hidden")),
        ("/several", several.to_owned(), b"--x\r\n\r\n--x--", Some("unscanned")),
        ("/image", part("image/png", "bytes 1-6/6000"), b"middle", Some("file_hidden")),
        // Players ask for films like this; what stands in the middle is no beginning.
        ("/film", part("video/mp4", "bytes 100-6099/9000"), &exe, None),
        ("/beginning", part(octets, "bytes 0-5/9000"), b"simple", None),
    ];
    for (path, head, body, reason) in &cases {
        daemon.origin.answer_with(path, head, &[(0, body)]);
        let answer = get(&daemon, KS2, path);
        match reason {
            Some(reason) => assert_eq!(answer.json()["reason"], *reason, "{path}: {answer:?}"),
            None => assert_eq!((answer.status, &answer.body[..]), (206, *body), "{path}"),
        }
    }
    // A page's script that asks for all but the first byte.
    let url = daemon.url("library.test", "/middle");
    let script = Client::connect_from(KS2, daemon.proxy).ask(
        "GET",
        &url,
        &[("Sec-Fetch-Dest", "empty"), ("Range", "bytes=1-")],
    );
    assert_eq!(script.json()["reason"], "file_hidden", "{script:?}");
    // Nothing comes with these, so that nothing is refused.
    daemon.origin.answer_with("/head/setup.exe", OCTETS, &[]);
    let url = daemon.url("library.test", "/head/setup.exe");
    let head = Client::connect_from(KS2, daemon.proxy).ask("HEAD", &url, &[]);
    assert_eq!(head.status, 200);
    assert_eq!(get(&daemon, KS2, "/status/304").status, 304);
    // Whoever asks to leave HTTP, and is answered all the same, gets an answer like any.
    daemon.origin.answer_with("/socket", OCTETS, &[(0, &exe)]);
    let url = daemon.url("library.test", "/socket");
    let switch = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let answer = Client::connect_from(KS2, daemon.proxy).ask("GET", &url, &switch);
    assert_eq!(answer.json()["reason"], "file_kind", "{answer:?}");
}

type Fields = &'static [(&'static str, &'static str)];

#[test]
fn a_broken_download_begins_anew_by_itself() {
    const REST: (&str, &str) = ("Range", "bytes=100-");
    const UNLESS_CHANGED: (&str, &str) = ("If-Range", "\"v1\"");
    let daemon = Daemon::start_without_people();
    let asks: [(&str, Fields, Option<&str>); 7] = [
        ("/essay.docx", &[REST, UNLESS_CHANGED], None),
        ("/picture.png", &[REST, UNLESS_CHANGED, ("Sec-Fetch-Dest", "image")], None),
        ("/film.mp4", &[REST, UNLESS_CHANGED, ("Sec-Fetch-Dest", "empty")], None),
        // Players need the piece that they asked for.
        ("/clip", &[REST, UNLESS_CHANGED, ("Sec-Fetch-Dest", "video")], Some("bytes=100-")),
        ("/sound.MP3?x=1", &[REST, UNLESS_CHANGED], Some("bytes=100-")),
        // Whoever does not say so may not be ready for the whole.
        ("/alone.docx", &[REST], Some("bytes=100-")),
        ("/no-range.docx", &[UNLESS_CHANGED], None),
    ];
    for (path, fields, range) in asks {
        let mut client = Client::connect_from(KS2, daemon.proxy);
        client.ask("GET", &daemon.url("library.test", path), fields);
        let asked = daemon.origin.asked();
        let seen = asked.iter().find(|it| it.line.contains(path)).expect(path);
        assert_eq!(seen.header("range"), range, "{path}");
        let alone = range.is_none() && fields.contains(&REST);
        assert_eq!(
            seen.header("if-range").is_none(),
            alone || !fields.contains(&UNLESS_CHANGED),
            "{path}"
        );
    }
}

#[test]
fn what_comes_from_sites_of_updates_is_not_looked_at() {
    let daemon = Daemon::start_with(&with("[files]\nunchecked = [\"education\"]\n"));
    let exe = program(6_000);
    daemon.origin.answer_with("/update.exe", OCTETS, &[(0, &exe)]);
    assert_eq!(get(&daemon, KS2, "/update.exe").body, exe);
    let url = daemon.url("library.test", "/update.exe");
    let fields = [("Range", "bytes=100-"), ("If-Range", "\"v1\"")];
    Client::connect_from(KS2, daemon.proxy).ask("GET", &url, &fields);
    let asked = daemon.origin.asked();
    assert_eq!(asked.last().and_then(|it| it.header("range")), Some("bytes=100-"), "{asked:?}");
    // Elsewhere they are.
    daemon.origin.answer_with("/other.exe", OCTETS, &[(0, &exe)]);
    let elsewhere = daemon.get_from(STAFF, &daemon.url("other.test", "/other.exe"));
    assert_eq!(elsewhere.status, 403, "{elsewhere:?}");
}

#[test]
fn a_coding_that_is_not_known_or_not_true_hides_no_program_and_is_recorded() {
    let daemon = Daemon::start_without_people();
    let exe = program(6_000);
    let coded = |coding: &str| {
        format!(
            "200 OK\r\nContent-Type: application/octet-stream\r\nContent-Encoding: {coding}\r\n"
        )
    };
    for (path, coding) in [("/unknown", "x-made-up"), ("/untrue", "gzip"), ("/untrue-br", "br")] {
        daemon.origin.answer_with(path, &coded(coding), &[(0, &exe)]);
        assert_eq!(get(&daemon, KS2, path).json()["reason"], "file_kind", "{path}");
    }
    daemon.origin.answer_with("/fine", &coded("x-made-up"), &[(0, b"who knows")]);
    assert_eq!(get(&daemon, KS2, "/fine").text(), "who knows");
    let (pages, _) = records(&daemon, 9);
    let passed: Vec<_> = pages.iter().filter(|page| page["verdict"] == "allow").collect();
    assert!(passed.iter().any(|page| page["path"] == "/fine"), "{pages:#?}");
    assert!(passed.iter().all(|page| page["reason"] == "unscanned"), "{pages:#?}");
    assert!(
        daemon.origin.asked().iter().all(|asked| asked.header("available-dictionary").is_none())
    );
}
