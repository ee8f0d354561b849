//! Files and the virus scanner: held back, trickled, refused, cut, and what becomes of them without an answer.

use crate::client::{Answer, Client};
use crate::daemon::{Daemon, KS2, KS3, Plan, STAFF, wait_for};
use crate::fake_origin::gzip;
use crate::files::{get, records, with, zip};
use crate::scanner::{Clamd, MARKER, VIRUS};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

const OCTETS: &str = "200 OK\r\nContent-Type: application/octet-stream\r\n";

/// A school that has pupils' files scanned by a socket; `rest` is the rest of the policy's row.
fn scanned(socket: &Path, rest: &str, machine: &str) -> Daemon {
    let plan = with(&format!("[files]\nvirus_scan = {{ pupil = \"on\"{rest} }}\n"));
    let machine = format!("[virus_scan]\nsocket = {:?}\n{machine}", socket.display().to_string());
    Daemon::start_with(&Plan { machine, ..plan })
}

/// Waits for its first answer, which comes once the words of all themes are compiled: seconds, where nothing is
/// optimised. It leaves a record.
fn is_quick(daemon: &Daemon) {
    assert_eq!(get(daemon, STAFF, "/size/100").status, 200);
}

/// So many bytes with the marker at a place.
fn marked(bytes: usize, at: usize) -> Vec<u8> {
    let mut file = vec![b'x'; bytes];
    file[at..at + MARKER.len()].copy_from_slice(MARKER);
    file
}

/// A server that takes a file as clamd does, waits, and says this.
fn slow_scanner(folder: &Path, wait: Duration, answer: &'static str) -> std::path::PathBuf {
    let socket = folder.join("slow.ctl");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            std::thread::spawn(move || -> io::Result<()> {
                let mut command = [0; 10];
                connection.read_exact(&mut command[..6])?;
                if command.starts_with(b"zPING\0") {
                    return connection.write_all(b"PONG\0");
                }
                connection.read_exact(&mut command[6..])?;
                loop {
                    let mut length = [0; 4];
                    connection.read_exact(&mut length)?;
                    let length = u32::from_be_bytes(length) as usize;
                    if length == 0 {
                        break;
                    }
                    connection.read_exact(&mut vec![0; length])?;
                }
                std::thread::sleep(wait);
                connection.write_all(answer.as_bytes())
            });
        }
    });
    socket
}

#[test]
fn a_file_with_a_virus_is_refused_whole_and_a_clean_one_passes() {
    let clamd = Clamd::start();
    let daemon = scanned(&clamd.socket(), "", "");
    let late = marked(900_000, 850_000);
    let clean = vec![b'x'; 900_000];
    let archive = zip(&[("notes.txt", &marked(30_000, 20_000))]);
    let packed = gzip(&marked(50_000, 40_000)).unwrap();
    let found: [(&str, &str, &[u8]); 6] = [
        ("/early", OCTETS, MARKER),
        ("/late", OCTETS, &late),
        ("/archive.zip", OCTETS, &archive),
        (
            "/coded",
            "200 OK\r\nContent-Encoding: gzip\r\nContent-Type: application/octet-stream\r\n",
            &packed,
        ),
        ("/paper.pdf", "200 OK\r\nContent-Type: application/pdf\r\n", &late),
        // Its first bytes are of a kind: it is scanned whatever it is said to be.
        ("/cat.png", "200 OK\r\nContent-Type: image/png\r\n", &archive),
    ];
    for (path, head, body) in found {
        let pieces: Vec<(u64, &[u8])> = body.chunks(60_000).map(|piece| (1, piece)).collect();
        daemon.origin.answer_with(path, head, &pieces);
        let refused = get(&daemon, KS2, path);
        assert_eq!((refused.status, refused.is_from_origin()), (403, false), "{path}: {refused:?}");
        assert_eq!(refused.json()["reason"], "virus", "{path}");
        assert_eq!(get(&daemon, STAFF, path).body, body, "{path}: staff's are not scanned here");
    }
    let pieces: Vec<(u64, &[u8])> = clean.chunks(60_000).map(|piece| (1, piece)).collect();
    daemon.origin.answer_with("/clean", OCTETS, &pieces);
    let exact = format!("{OCTETS}Content-Length: {}\r\n", clean.len());
    daemon.origin.answer_with("/clean-exact", &exact, &[(0, &clean)]);
    daemon.origin.answer_with("/picture", "200 OK\r\nContent-Type: image/png\r\n", &[(0, &late)]);
    assert_eq!(get(&daemon, KS2, "/clean").body, clean);
    assert_eq!(get(&daemon, KS2, "/clean-exact").body, clean);
    assert_eq!(get(&daemon, KS2, "/picture").body, late, "pictures are not scanned");
    let (pages, requests) = records(&daemon, 21);
    assert_eq!((pages.len(), requests.len()), (6, 15));
    for page in &pages {
        assert_eq!((&page["verdict"], &page["reason"]), (&"block".into(), &"virus".into()));
        assert_eq!(page["rule"], format!("virus scanner: {VIRUS}"), "{page}");
    }
    let said = daemon.run(&["explain", pages[0]["code"].as_str().unwrap()]).ok().out;
    assert!(said.contains(VIRUS) && said.contains("virus scanner"), "{said}");
    let metrics = daemon.ops_get("/metrics").unwrap().text();
    assert!(metrics.contains("proxy_virus_scanner_up 1"), "{metrics}");
    wait_for("the scans to be counted", Duration::from_secs(5), || {
        let metrics = daemon.ops_get("/metrics").unwrap().text();
        metrics.contains("proxy_virus_scans_total{result=\"virus\"} 6")
            && metrics.contains("proxy_virus_scans_total{result=\"clean\"} 2")
    });
}

#[test]
fn a_client_is_kept_while_the_scan_goes_on_and_left_with_a_piece_if_it_finds_something() {
    let folder = tempfile::tempdir().unwrap();
    let file = vec![b'x'; 200_000];
    let head = format!("{OCTETS}Content-Length: {}\r\n", file.len());
    let wait = Duration::from_secs(4);
    for (answer, is_found) in [("stream: Bad.Thing FOUND\0", true), ("stream: OK\0", false)] {
        let inside = folder.path().join(if is_found { "found" } else { "clean" });
        std::fs::create_dir(&inside).unwrap();
        let socket = slow_scanner(&inside, wait, answer);
        // It takes longer than others may go without a byte.
        let machine = "trickle_after_ms = 500\n[limits]\nbody_idle_timeout_ms = 2000\n";
        let daemon = scanned(&socket, "", machine);
        is_quick(&daemon);
        daemon.origin.answer_with("/file", &head, &[(0, &file)]);
        let url = daemon.url("library.test", "/file");
        let mut client = Client::connect_from(KS2, daemon.proxy);
        client.send(crate::client::request("GET", &url, &[]).as_bytes());
        let begun = Instant::now();
        let head = client.read_head().unwrap();
        assert_eq!((head.status, head.is_from_origin()), (200, true));
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        let mut came = Vec::new();
        let first = loop {
            match client.read_some() {
                Ok(piece) if piece.is_empty() => break None,
                Ok(piece) => came.extend(piece),
                Err(error) => break Some(error),
            }
            if came.len() == file.len() {
                break None;
            }
        };
        if is_found {
            assert!((512..=1_536).contains(&came.len()), "{} {first:?}", came.len());
        } else {
            assert!(came == file, "{} {first:?}", came.len());
        }
        assert!(begun.elapsed() >= wait, "{:?}", begun.elapsed());
        let (pages, requests) = records(&daemon, if is_found { 3 } else { 2 });
        assert_eq!(requests[1]["end"], if is_found { "cut" } else { "complete" }, "{requests:?}");
        assert_eq!(pages.len(), usize::from(is_found));
    }
}

#[test]
fn without_an_answer_the_policy_decides_and_the_log_has_it() {
    let mut clamd = Clamd::start();
    let socket = clamd.socket();
    let closed = scanned(&socket, "", "");
    let open = scanned(&socket, ", if_unavailable = \"allow\"", "");
    let piece = vec![b'x'; 20_000];
    let pieces: Vec<(u64, &[u8])> = (0..10).map(|_| (150, &piece[..])).collect();
    for daemon in [&closed, &open] {
        daemon.origin.answer_with("/file", OCTETS, &pieces);
        wait_for("the scanner to be seen", Duration::from_secs(10), || scanner_is(daemon, true));
        is_quick(daemon);
    }
    // It is killed in the middle.
    let (refused, passed) = std::thread::scope(|scope| {
        let refused = scope.spawn(|| get(&closed, KS2, "/file"));
        let passed = scope.spawn(|| get(&open, KS2, "/file"));
        std::thread::sleep(Duration::from_millis(700));
        clamd.kill();
        (refused.join().unwrap(), passed.join().unwrap())
    });
    check_without(&closed, &open, (&refused, &passed), "gone");
    // And it is not there.
    let (refused, passed) = (get(&closed, KS2, "/file"), get(&open, KS2, "/file"));
    check_without(&closed, &open, (&refused, &passed), "refused");
    for daemon in [&closed, &open] {
        wait_for("the alarm", Duration::from_secs(15), || scanner_is(daemon, false));
        assert!(daemon.said().contains("the virus scanner does not answer"), "{}", daemon.said());
        assert_eq!(daemon.ops_get("/readyz").unwrap().status, 200);
        let doctor = daemon.run(&["doctor"]);
        assert!(doctor.out.contains("virus scanner"), "{doctor:?}");
    }
}

fn scanner_is(daemon: &Daemon, up: bool) -> bool {
    let metrics = daemon.ops_get("/metrics").unwrap().text();
    let ready = daemon.ops_get("/readyz").unwrap().json();
    metrics.contains(&format!("proxy_virus_scanner_up {}", u8::from(up)))
        && ready["virus_scanner"]["ok"] == up
}

fn check_without(closed: &Daemon, open: &Daemon, (refused, passed): (&Answer, &Answer), why: &str) {
    assert_eq!(refused.json()["reason"], "scan_unavailable", "{refused:?}");
    assert_eq!((passed.status, passed.body.len()), (200, 200_000), "{passed:?}");
    for (daemon, verdict) in [(closed, "block"), (open, "allow")] {
        wait_for("the record", Duration::from_secs(10), || {
            daemon.records().iter().any(|record| {
                record["method"] == "PAGE"
                    && record["reason"] == "scan_unavailable"
                    && record["verdict"] == verdict
                    && record["rule"] == format!("virus scanner: {why}")
            })
        });
    }
}

#[test]
fn a_file_that_is_too_large_to_scan_and_a_part_of_one_go_by_the_policy_too() {
    let clamd = Clamd::start();
    let large = vec![b'x'; 400_000];
    let exact = format!("{OCTETS}Content-Length: {}\r\n", large.len());
    let pieces: Vec<(u64, &[u8])> = large.chunks(50_000).map(|piece| (1, piece)).collect();
    for (rest, is_open) in [("", false), (", if_too_large = \"allow\"", true)] {
        let daemon = scanned(&clamd.socket(), rest, "max_file_bytes = 200000\n");
        daemon.origin.answer_with("/exact", &exact, &pieces);
        daemon.origin.answer_with("/grows", OCTETS, &pieces);
        for path in ["/exact", "/grows"] {
            let answer = get(&daemon, KS2, path);
            match is_open {
                true => assert_eq!(answer.body, large, "{path}"),
                false => assert_eq!(answer.json()["reason"], "scan_too_large", "{path}"),
            }
        }
        let part = "206 Partial Content\r\nContent-Type: application/octet-stream\r\n\
                    Content-Range: bytes 0-5/100\r\n";
        daemon.origin.answer_with("/part", part, &[(0, b"a part")]);
        assert_eq!(get(&daemon, KS2, "/part").json()["reason"], "scan_unavailable");
        let (pages, _) = records(&daemon, 6);
        assert_eq!(pages.len(), 3);
        let verdict = if is_open { "allow" } else { "block" };
        for page in pages.iter().filter(|page| page["path"] != "/part") {
            assert_eq!(
                (&page["verdict"], &page["reason"]),
                (&verdict.into(), &"scan_too_large".into())
            );
        }
    }
}

#[test]
fn a_policy_that_wants_files_scanned_without_a_scanner_is_closed_and_says_so() {
    let daemon = Daemon::start_with(&with("[files]\nvirus_scan = { pupil = \"on\" }\n"));
    assert_eq!(get(&daemon, KS2, "/size/100").json()["reason"], "scan_unavailable");
    let doctor = daemon.run(&["doctor"]);
    assert!(doctor.out.contains("[virus_scan]"), "{doctor:?}");
    assert_eq!(daemon.ops_get("/readyz").unwrap().json()["virus_scanner"], serde_json::Value::Null);
}

#[test]
fn files_that_drip_keep_the_scanner_from_nobody() {
    let clamd = Clamd::start();
    let daemon = scanned(&clamd.socket(), "", "max_scans = 2\n");
    is_quick(&daemon);
    let drops: Vec<(u64, &[u8])> = (0..100).map(|_| (200, &b"drip"[..])).collect();
    daemon.origin.answer_with("/drips", OCTETS, &drops);
    let url = daemon.url("library.test", "/drips");
    let dripping: Vec<Client> = (0..6)
        .map(|_| {
            let mut client = Client::connect_from(KS2, daemon.proxy);
            client.send(crate::client::request("GET", &url, &[]).as_bytes());
            client
        })
        .collect();
    std::thread::sleep(Duration::from_secs(1));
    let file = marked(60_000, 50_000);
    let packed = gzip(&vec![b'x'; 60_000]).unwrap();
    let coded = format!("{OCTETS}Content-Encoding: gzip\r\n");
    daemon.origin.answer_with("/virus", OCTETS, &[(0, &file[..30_000]), (50, &file[30_000..])]);
    daemon.origin.answer_with("/clean", &coded, &[(0, &packed)]);
    let begun = Instant::now();
    assert_eq!(get(&daemon, KS3, "/virus").json()["reason"], "virus");
    assert_eq!(get(&daemon, KS3, "/clean").body, packed);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    drop(dripping);
}

#[test]
fn an_archive_that_is_said_to_be_a_picture_is_scanned_however_slowly_it_begins() {
    let clamd = Clamd::start();
    let daemon = scanned(&clamd.socket(), "", "");
    let archive = zip(&[("notes.txt", &marked(30_000, 20_000))]);
    let pieces: Vec<(u64, &[u8])> = archive.chunks(1_500).map(|piece| (40, piece)).collect();
    let head = "200 OK\r\nContent-Type: image/png\r\n";
    daemon.origin.answer_with("/slow.png", head, &pieces);
    let url = daemon.url("library.test", "/slow.png");
    let mut client = Client::connect_from(KS2, daemon.proxy);
    client.send(crate::client::request("GET", &url, &[]).as_bytes());
    assert_eq!(client.read_head().unwrap().status, 200, "its first bytes go");
    let mut came = 0;
    while let Ok(piece) = client.read_some() {
        if piece.is_empty() {
            break;
        }
        came += piece.len();
    }
    assert!(came < 8_000, "{came}: the rest is held until it was scanned, and then cut");
    let (pages, requests) = records(&daemon, 2);
    assert_eq!((&pages[0]["reason"], &requests[0]["end"]), (&"virus".into(), &"cut".into()));
}

#[test]
fn pieces_of_what_viewers_show_are_not_scanned_and_others_are_refused() {
    let clamd = Clamd::start();
    let daemon = scanned(&clamd.socket(), "", "");
    let archive = zip(&[("notes.txt", &marked(30_000, 20_000))]);
    let cases: [(&str, &str, &str, &[u8], u16); 7] = [
        ("/paper.pdf", "application/pdf", "0-5/100", b"a part", 206),
        ("/end-of-paper.pdf", "application/pdf", "6-11/100", b"a part", 206),
        ("/film", "video/mp4", "6-11/100", b"a part", 206),
        ("/file", "application/octet-stream", "0-5/100", b"a part", 403),
        ("/end-of-file", "image/png", "6-11/100", b"a part", 403),
        // All but its last byte, which a page's script knows.
        ("/beginning", "image/png", "0-29999/30001", &archive[..30_000], 403),
        ("/picture", "image/png", "0-5/100", b"a part", 206),
    ];
    for (path, media, range, body, status) in cases {
        let length = body.len();
        let head = format!(
            "206 Partial Content\r\nContent-Type: {media}\r\nContent-Range: bytes {range}\r\n\
             Content-Length: {length}\r\n"
        );
        daemon.origin.answer_with(path, &head, &[(0, body)]);
        let url = daemon.url("library.test", path);
        let headers: &[_] = match path.ends_with("file") {
            true => &[],
            false => &[("Sec-Fetch-Dest", "empty")],
        };
        let answer = Client::connect_from(KS2, daemon.proxy).ask("GET", &url, headers);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        if status == 403 {
            let expected =
                if path.starts_with("/end") { "file_hidden" } else { "scan_unavailable" };
            assert_eq!(answer.json()["reason"], expected, "{path}");
        }
    }
}

#[test]
fn windows_of_codings_have_room_that_one_client_does_not_take_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let socket = slow_scanner(folder.path(), Duration::ZERO, "stream: OK\0");
    let daemon = scanned(&socket, "", "");
    let coded = |bytes: usize| {
        let mut packed = Vec::new();
        let mut encoder = brotli::CompressorWriter::new(&mut packed, 4096, 1, 24);
        // Of few letters, and no bomb.
        let letters = (0..bytes as u64).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 28) as u8 & 3);
        encoder.write_all(&letters.collect::<Vec<_>>()).unwrap();
        drop(encoder);
        packed
    };
    let head = format!("{OCTETS}Content-Encoding: br\r\n");
    let (large, small, tiny) = (coded(18 << 20), coded(1_000_000), coded(200_000));
    // It has all but its end for a minute.
    let end = large.len() - 10;
    daemon.origin.answer_with("/large", &head, &[(0, &large[..end]), (60_000, &large[end..])]);
    daemon.origin.answer_with("/small", &head, &[(0, &small)]);
    daemon.origin.answer_with("/tiny", &head, &[(0, &tiny)]);
    assert_eq!(get(&daemon, KS2, "/small").body, small);
    let url = daemon.url("library.test", "/large");
    let is_full = || {
        let answer = get(&daemon, KS2, "/small");
        answer.status == 403 && answer.json()["reason"] == "scan_unavailable"
    };
    // One after the other: of several that grow at once none may find room for all of its window.
    let mut coming = Vec::new();
    wait_for("its windows to be full", Duration::from_secs(60), || {
        let mut client = Client::connect_from(KS2, daemon.proxy);
        client.send(crate::client::request("GET", &url, &[]).as_bytes());
        coming.push(client);
        let begun = std::time::Instant::now();
        while !is_full() && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(50));
        }
        is_full()
    });
    assert_eq!(get(&daemon, KS2, "/tiny").body, tiny, "the first 256 KiB are never refused");
    assert_eq!(get(&daemon, KS3, "/small").body, small);
    drop(coming);
    wait_for("room", Duration::from_secs(10), || get(&daemon, KS2, "/small").body == small);
}
