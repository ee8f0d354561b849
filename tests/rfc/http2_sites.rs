//! Sites that speak HTTP/2, and what they get wrong (RFC 9113, 3.4, 5, 6, 8): frame by frame, over TLS
//! that the proxy verifies.

use super::Faults;
use super::frames::*;
use super::hpack::{block, field, value};
use super::http2::{Raw, request, still_serves};
use crate::daemon::{Daemon, KS2, Plan, free_port, wait_for};
use crate::inspected::{Secure, authority, trusting};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The site's end of a connection.
pub(super) type Line = Peer<StreamOwned<ServerConnection, TcpStream>>;

/// What the site does with its connection of this number.
pub(super) type Script = dyn Fn(&mut Line, usize) + Send + Sync;

/// A school with a site that follows a script.
pub(super) struct Stage {
    pub(super) daemon: Daemon,
    port: u16,
    ended: Arc<AtomicBool>,
}

impl Stage {
    /// The script is run for each connection that has chosen HTTP/2; `http1` for the others.
    pub(super) fn start(script: impl Fn(&mut Line, usize) + Send + Sync + 'static) -> Self {
        Self::start_both(Some(Box::new(script)), None)
    }

    /// A site that speaks one version, or both.
    pub(super) fn start_both(http2: Option<Box<Script>>, http1: Option<Box<Script>>) -> Self {
        Self::start_with("", http2, http1)
    }

    /// The same with more in the machine file.
    pub(super) fn start_with(
        machine: &str,
        http2: Option<Box<Script>>,
        http1: Option<Box<Script>>,
    ) -> Self {
        Self::start_school(Plan { machine: machine.to_owned(), ..Plan::default() }, http2, http1)
    }

    /// The same in a school of which the plan says more.
    fn start_school(plan: Plan, http2: Option<Box<Script>>, http1: Option<Box<Script>>) -> Self {
        let port = free_port();
        let plan = Plan { inspected: true, tls_ports: vec![port], ..plan };
        let daemon = Daemon::start_with(&plan);
        let (certificate, key) = daemon.origin.certificate(&["library.test"], false);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let protocols = [http2.is_some().then_some("h2"), http1.is_some().then_some("http/1.1")];
        config.alpn_protocols =
            protocols.into_iter().flatten().map(|name| name.as_bytes().to_vec()).collect();
        let config = Arc::new(config);
        let ended = Arc::new(AtomicBool::new(false));
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let scripts = Arc::new((http2, http1));
        let stop = Arc::clone(&ended);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (config, scripts) = (Arc::clone(&config), Arc::clone(&scripts));
                std::thread::spawn(move || serve(stream, config, number, &scripts));
            }
        });
        Self { daemon, port, ended }
    }

    /// `library.test` with the site's port.
    pub(super) fn host(&self) -> String {
        format!("library.test:{}", self.port)
    }

    /// A client that speaks HTTP/2.
    pub(super) fn client(&self) -> Raw {
        self.client_with(&[])
    }

    /// The same with these settings.
    pub(super) fn client_with(&self, values: &[(u16, u32)]) -> Raw {
        Raw::open_with(&self.daemon, &self.host(), values)
    }

    /// A client that speaks HTTP/1.1.
    pub(super) fn old_client(&self) -> Secure {
        let pem = std::fs::read(authority(&self.daemon)).unwrap();
        let config = trusting(&pem, &[b"http/1.1"]);
        Secure::open_to(&self.daemon, KS2, &self.host(), "library.test", config).unwrap()
    }

    /// One GET by a client of HTTP/2.
    pub(super) fn get(&self, path: &str) -> Answer {
        let mut client = self.client();
        client.send(&headers(1, END_STREAM, &request("GET", &self.host(), path)));
        client.answer(1)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    number: usize,
    (http2, http1): &(Option<Box<Script>>, Option<Box<Script>>),
) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let session = ServerConnection::new(config).unwrap();
    let mut stream = StreamOwned::new(session, stream);
    while stream.conn.is_handshaking() {
        if stream.conn.complete_io(&mut stream.sock).is_err() {
            return;
        }
    }
    let chosen = stream.conn.alpn_protocol() == Some(b"h2");
    let mut line = Line::new(stream);
    if !chosen {
        http1.as_ref().unwrap()(&mut line, number);
    } else if line.bytes(PREFACE.len()).as_deref() == Some(PREFACE) {
        http2.as_ref().unwrap()(&mut line, number);
    }
    if line.cut {
        return;
    }
    line.stream.conn.send_close_notify();
    let _ = line.stream.flush();
}

impl Line {
    /// The site's own beginning.
    pub(super) fn greet(&mut self, values: &[(u16, u32)]) {
        self.send(&[settings(values), frame(SETTINGS, ACK, 0, &[])].concat());
    }

    /// The next request's head; `None` once the proxy has gone.
    pub(super) fn asked(&mut self) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.kind == HEADERS && !frame.value(":method").is_empty() {
                return Some(frame);
            }
        }
    }

    /// An answer of one piece.
    pub(super) fn say(&mut self, stream: u32, body: &str) {
        self.send(&headers(stream, 0, &[(":status", "200")]));
        self.send(&frame(DATA, END_STREAM, stream, body.as_bytes()));
    }
}

/// RFC 9113, 6.5.2, 8.3.1, 8.4: what a site is sent is a request of HTTP/2 for it alone, on a
/// connection that takes no pushes.
#[test]
fn rfc9113_8_3_1_a_site_gets_a_whole_request_and_nothing_of_the_hop() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let by = Arc::clone(&seen);
    let stage = Stage::start(move |line, _| {
        line.greet(&[]);
        let first = line.wait(SETTINGS, 0);
        while let Some(asked) = line.asked() {
            by.lock().unwrap().push((first.payload.clone(), asked.fields.clone()));
            line.say(asked.stream, "ok");
        }
    });
    // Of a client of HTTP/1.1, with fields of its hop.
    let mut client = stage.old_client();
    let host = stage.host();
    let asked = format!(
        "GET /a?b=c HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, x-hop, TE\r\nKeep-Alive: 5\r\n\
         X-Hop: 1\r\nTE: trailers, gzip\r\nProxy-Connection: close\r\nX-Kept: 2\r\n\
         Cookie: a=b; c=d\r\n\r\n"
    );
    client.stream.write_all(asked.as_bytes()).unwrap();
    wait_for("the request", Duration::from_secs(5), || seen.lock().unwrap().len() == 1);
    let (settings, fields) = seen.lock().unwrap()[0].clone();
    assert!(settings.chunks(6).any(|value| value == [0, 2, 0, 0, 0, 0]), "pushes: {settings:?}");
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [":authority", ":method", ":path", ":scheme", "cookie", "te", "x-kept"],
        "{fields:?}"
    );
    assert_eq!(value(&fields, ":authority"), host);
    assert_eq!(value(&fields, ":path"), "/a?b=c");
    assert_eq!(value(&fields, ":scheme"), "https");
    assert_eq!(value(&fields, "te"), "trailers");
}

/// RFC 9110, 7.6.3: within a tunnel that is looked into no site is told that a proxy stands between, unless the
/// machine file says so; what another one wrote there goes on, and the client is told.
#[test]
fn rfc9110_7_6_3_no_via_of_ours_goes_into_a_tunnel_unless_it_is_wanted() {
    for (listening, before, told) in [
        ("", None, vec![]),
        ("", Some("1.1 before"), vec!["1.1 before"]),
        ("via_inside = true", None, vec!["2.0 schoolgate-"]),
        ("via_inside = true", Some("1.1 before"), vec!["1.1 before", "2.0 schoolgate-"]),
    ] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let by = Arc::clone(&seen);
        let script: Box<Script> = Box::new(move |line, _| {
            line.greet(&[]);
            while let Some(asked) = line.asked() {
                let via = asked.fields.iter().filter(|(name, _)| name == "via");
                by.lock().unwrap().extend(via.map(|(_, value)| value.clone()));
                line.say(asked.stream, "ok");
            }
        });
        let plan = Plan { listening: listening.to_owned(), ..Plan::default() };
        let stage = Stage::start_school(plan, Some(script), None);
        let mut client = stage.client();
        let host = stage.host();
        let mut fields = request("GET", &host, "/a").to_vec();
        fields.extend(before.map(|before| ("via", before)));
        client.send(&headers(1, END_STREAM, &fields));
        let answer = client.answer(1);
        assert_eq!(answer.text(), "ok", "{listening} {before:?}");
        assert!(value(&answer.heads[0], "via").starts_with("2.0 schoolgate-"), "{answer:?}");
        let seen = seen.lock().unwrap();
        let fits = |(seen, told): (&String, &&str)| seen.starts_with(told);
        assert!(
            seen.len() == told.len() && seen.iter().zip(&told).all(fits),
            "{listening} {before:?}: {seen:?}"
        );
    }
}

/// RFC 9113, 8.1, 8.1.1, 8.2, 8.3.2, 8.4; 5.4: an answer that is malformed, or comes in frames that
/// must not be, is never passed on as if it were none of both.
#[test]
fn rfc9113_8_1_1_malformed_answers_are_never_passed_on() {
    let ok = || block(&[(":status", "200")]);
    let with = |name: &str, value: &str| [ok(), field(name, value)].concat();
    let head = |fields: Vec<u8>| frame(HEADERS, END_HEADERS, 1, &fields);
    let evil = || frame(DATA, END_STREAM, 1, b"EVIL");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("8.3.2, no status", [head(block(&[("x-a", "b")])), evil()].concat()),
        ("8.3.2, two statuses", [head(with(":status", "204")), evil()].concat()),
        ("8.3.2, no number", [head(block(&[(":status", "2OO")])), evil()].concat()),
        ("8.3.2, below 100", [head(block(&[(":status", "99")])), evil()].concat()),
        (
            "8.3, a pseudo-field behind others",
            [head(block(&[("x-a", "b"), (":status", "200")])), evil()].concat(),
        ),
        ("8.2.1, upper case", [head(with("X-A", "b")), evil()].concat()),
        ("8.2.1, a line break", [head(with("x-a", "b\r\nset-cookie: evil=1")), evil()].concat()),
        ("8.2.1, a NUL", [head(with("x-a", "b\0c")), evil()].concat()),
        ("8.2.1, a colon in a name", [head(with("x-a:b", "c")), evil()].concat()),
        ("8.2.2, a field of the connection", [head(with("connection", "x-a")), evil()].concat()),
        ("8.2.2, a coding", [head(with("transfer-encoding", "chunked")), evil()].concat()),
        ("8.1, data before a head", evil()),
        ("8.6, 101", [head(block(&[(":status", "101")])), evil()].concat()),
        ("8.1.1, longer than announced", [head(with("content-length", "2")), evil()].concat()),
        ("8.1.1, two lengths", {
            [head([with("content-length", "4"), field("content-length", "5")].concat()), evil()]
                .concat()
        }),
        ("8.1.1, a length that is none", [head(with("content-length", "-4")), evil()].concat()),
        (
            "5.1, an answer to another stream",
            [frame(HEADERS, END_HEADERS, 3, &ok()), evil()].concat(),
        ),
        (
            "5.1, a head on a stream of its own",
            [frame(HEADERS, END_HEADERS, 2, &ok()), evil()].concat(),
        ),
        ("8.4, a push", {
            let promised =
                [&2_u32.to_be_bytes()[..], &block(&request("GET", "library.test", "/x"))];
            [frame(PUSH_PROMISE, END_HEADERS, 1, &promised.concat()), head(ok()), evil()].concat()
        }),
        ("6.10, a head with another frame inside", {
            [frame(HEADERS, 0, 1, &ok()), frame(PING, 0, 0, &[0; 8]), evil()].concat()
        }),
        ("4.3, a block that cannot be read", [head(vec![0x80]), evil()].concat()),
        ("6.8, GOAWAY", [go_away(0, PROTOCOL_ERROR), evil()].concat()),
        ("6.4, a reset", number(RST_STREAM, 1, 2)),
        ("an answer in HTTP/1.1", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL".to_vec()),
        ("nothing at all", Vec::new()),
    ];
    let mut faults = Faults::default();
    for (what, bytes) in cases {
        let stage = Stage::start(move |line, _| {
            line.greet(&[]);
            if let Some(asked) = line.asked() {
                // The first stream of a client is 1, whichever connection this is.
                assert_eq!(asked.stream, 1);
                line.send(&bytes);
                // What the proxy says to that is read, so that the close is none of this end's.
                line.stream.sock.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
                while line.next().is_some() {}
            }
        });
        let answer = stage.get("/bad");
        // A 502 of the filter's own, or a stream that is broken off.
        let refused = answer.status() == 502 && answer.ended && !answer.text().contains("EVIL");
        faults.check(refused || answer.error.is_some(), || format!("{what}: {answer:?}"));
        let shown = format!("{answer:?}").to_ascii_lowercase();
        faults.check(!shown.contains("set-cookie"), || format!("{what}: {answer:?}"));
        let records = stage.daemon.wait_records(2);
        faults.check(records.len() == 2 && records[1]["end"] != "complete", || {
            format!("{what}: {records:#?}")
        });
    }
}

/// RFC 9113, 3.4: a site that does not begin with SETTINGS does not speak HTTP/2.
#[test]
fn rfc9113_3_4_a_site_that_does_not_begin_with_settings_is_not_believed() {
    for first in [headers(1, 0, &[(":status", "200")]), frame(PING, 0, 0, &[0; 8])] {
        let stage = Stage::start(move |line, _| {
            line.send(&first);
            line.send(&frame(DATA, END_STREAM, 1, b"EVIL"));
            while line.next().is_some() {}
        });
        assert_eq!(stage.get("/bad").status(), 502);
        still_serves(&stage.daemon);
    }
}

/// RFC 9113, 8.1: a stream that is reset before its end was not whole, with whatever error; one that
/// is reset behind it was.
#[test]
fn rfc9113_8_1_a_reset_before_the_end_is_no_end() {
    for code in [NO_ERROR, CANCEL, PROTOCOL_ERROR, ENHANCE_YOUR_CALM] {
        let stage = Stage::start(move |line, _| {
            line.greet(&[]);
            while let Some(asked) = line.asked() {
                let whole = asked.value(":path") == "/whole";
                line.send(&headers(asked.stream, 0, &[(":status", "200")]));
                let end = if whole { END_STREAM } else { 0 };
                line.send(&frame(DATA, end, asked.stream, b"part"));
                std::thread::sleep(Duration::from_millis(100));
                line.send(&number(RST_STREAM, asked.stream, code));
            }
        });
        let answer = stage.get("/part");
        assert!(!answer.ended && answer.error.is_some_and(|code| code != NO_ERROR), "{answer:?}");
        // To a client of HTTP/1.1: chunks without the last.
        let mut client = stage.old_client();
        let host = stage.host();
        client
            .stream
            .write_all(format!("GET /part HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
            .unwrap();
        let mut read = Vec::new();
        let _ = client.stream.read_to_end(&mut read);
        let text = String::from_utf8_lossy(&read).into_owned();
        assert!(text.contains("part") && !text.ends_with("0\r\n\r\n"), "{code}: {text}");
        let answer = stage.get("/whole");
        assert!(answer.ended && answer.text() == "part", "{code}: {answer:?}");
        let records = stage.daemon.wait_records(6);
        let ends: Vec<_> = records
            .iter()
            .filter(|record| record["scheme"] == "https")
            .map(|record| record["end"].as_str().unwrap())
            .collect();
        assert_eq!(ends, ["upstream", "upstream", "complete"], "{records:#?}");
    }
}

/// How a site says that it did not look at a stream.
type Refuse = fn(u32) -> Vec<u8>;

const REFUSALS: [(&str, Refuse); 2] = [
    ("REFUSED_STREAM", |stream| number(RST_STREAM, stream, REFUSED_STREAM)),
    ("GOAWAY", |stream| go_away(stream.saturating_sub(2), NO_ERROR)),
];

/// What a site was asked: method and path, and the body as far as it read it.
type Seen = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A site that answers a path with `once` in it at the second time, and one with `again` never. It reads a body to its
/// end before it says so, but for `/early` and where somebody waits for leave to send it.
fn refusing(refuse: Refuse) -> (Stage, Seen) {
    let seen = Seen::default();
    let by = Arc::clone(&seen);
    let stage = Stage::start(move |line, _| {
        line.greet(&[(4, 1 << 20)]);
        line.send(&number(WINDOW_UPDATE, 0, 1 << 20));
        while let Some(asked) = line.asked() {
            let path = asked.value(":path");
            let what = format!("{} {path}", asked.value(":method"));
            let times = by.lock().unwrap().iter().filter(|seen| seen.0 == what).count();
            let refuses = path.contains("again") || (path.contains("once") && times == 0);
            let waits = !asked.value("expect").is_empty();
            if waits && !refuses {
                line.send(&headers(asked.stream, 0, &[(":status", "100")]));
            }
            let mut body = Vec::new();
            let mut ended = asked.is(END_STREAM) || (refuses && (waits || path == "/early/once"));
            while !ended {
                let Some(frame) = line.next() else { return };
                if (frame.kind, frame.stream) == (DATA, asked.stream) {
                    body.extend_from_slice(&frame.payload);
                    ended = frame.is(END_STREAM);
                }
            }
            by.lock().unwrap().push((what, body));
            match refuses {
                true if path.starts_with("/cancelled") => {
                    line.send(&number(RST_STREAM, asked.stream, CANCEL))
                }
                true => line.send(&refuse(asked.stream)),
                false => {
                    line.say(asked.stream, "ok");
                    true
                }
            };
        }
    });
    (stage, seen)
}

/// A POST by a client of its own.
fn post(stage: &Stage, path: &str, body: &[u8]) -> Answer {
    let (mut client, host) = (stage.client(), stage.host());
    // The larger window of a stream holds once it is acknowledged (RFC 9113, 6.5.3), that of the connection once it is
    // given (6.9.2).
    client.wait(SETTINGS, 0);
    client.send(&frame(SETTINGS, ACK, 0, &[]));
    client.wait(WINDOW_UPDATE, 0);
    let ends = if body.is_empty() { END_STREAM } else { 0 };
    client.send(&headers(1, ends, &request("POST", &host, path)));
    let pieces: Vec<&[u8]> = body.chunks(16_000).collect();
    for (place, piece) in pieces.iter().enumerate() {
        let ends = if place + 1 == pieces.len() { END_STREAM } else { 0 };
        client.send(&frame(DATA, ends, 1, piece));
    }
    client.answer(1)
}

/// RFC 9113, 6.8, 8.7: what the site says that it did not look at is asked again, once, whatever it asks for, with the
/// same body; nothing else is, and nothing of which the body is not there from its beginning any more.
#[test]
fn rfc9113_8_7_only_what_the_site_did_not_look_at_is_asked_again() {
    for (what, refuse) in REFUSALS {
        let (stage, seen) = refusing(refuse);
        assert_eq!(stage.get("/first").text(), "ok");
        assert_eq!(stage.get("/once").text(), "ok", "{what}");
        let large = vec![b'x'; 100_000];
        let small = &large[..60_000];
        for (path, body, status) in [
            ("/empty/once", &b""[..], 200),
            ("/short/once", b"a body", 200),
            ("/small/once", small, 200),
            ("/early/once", small, 200),
            ("/large/once", &large, 502),
            ("/cancelled/once", b"a body", 502),
            // A site that refuses every time is not asked for ever.
            ("/post/again", b"a body", 502),
        ] {
            let answer = post(&stage, path, body);
            assert_eq!(answer.status(), status, "{what} {path}: {answer:?}");
            let asked = format!("POST {path}");
            let seen = seen.lock().unwrap();
            let bodies: Vec<&[u8]> =
                seen.iter().filter(|seen| seen.0 == asked).map(|seen| &seen.1[..]).collect();
            let times = if path.contains("large") || path.contains("cancelled") { 1 } else { 2 };
            assert_eq!(bodies.len(), times, "{what} {path}");
            assert!(*bodies.last().unwrap() == body, "{what} {path}: another body");
        }
        assert_eq!(stage.get("/always/again").status(), 502, "{what}");
        let seen = seen.lock().unwrap();
        let times = |wanted: &str| seen.iter().filter(|asked| asked.0 == wanted).count();
        assert_eq!(times("GET /once"), 2, "{what}");
        assert!((1..=2).contains(&times("GET /always/again")), "{what}");
    }
}

/// RFC 9113, 8.7; 9110, 10.1.1: a body that waits for leave goes once, to whoever wants it.
#[test]
fn rfc9113_8_7_a_body_that_waits_is_not_sent_before_it_is_wanted_where_its_request_is_asked_again()
{
    for (what, refuse) in REFUSALS {
        let (stage, seen) = refusing(refuse);
        assert_eq!(stage.get("/first").text(), "ok");
        let (mut client, host) = (stage.client(), stage.host());
        let mut fields = request("POST", &host, "/expect/once").to_vec();
        fields.push(("expect", "100-continue"));
        client.send(&headers(1, 0, &fields));
        assert_eq!(client.wait(HEADERS, 1).value(":status"), "100", "{what}");
        client.send(&frame(DATA, END_STREAM, 1, b"wanted"));
        assert_eq!(client.answer(1).text(), "ok", "{what}");
        let seen = seen.lock().unwrap();
        let bodies: Vec<&[u8]> = seen[1..].iter().map(|seen| &seen.1[..]).collect();
        assert_eq!(bodies, [&b""[..], b"wanted"], "{what}");
    }
}

/// RFC 9113, 7 (HTTP_1_1_REQUIRED): a site that wants HTTP/1.1 for a request gets it, for that request
/// and those behind it.
#[test]
fn rfc9113_7_a_site_that_asks_for_http_1_1_gets_it() {
    let http1: Box<Script> = Box::new(|line, _| {
        let mut read = Vec::new();
        while let Some(byte) = line.bytes(1) {
            read.extend(byte);
            if read.ends_with(b"\r\n\r\n") {
                line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
                read.clear();
            }
        }
    });
    let streams = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&streams);
    let http2: Box<Script> = Box::new(move |line, _| {
        line.greet(&[]);
        while let Some(asked) = line.asked() {
            count.fetch_add(1, Ordering::SeqCst);
            line.send(&number(RST_STREAM, asked.stream, HTTP_1_1_REQUIRED));
        }
    });
    let stage = Stage::start_both(Some(http2), Some(http1));
    let mut client = stage.client();
    for stream in [1, 3, 5] {
        client.send(&headers(stream, END_STREAM, &request("GET", &stage.host(), "/ntlm")));
        let answer = client.answer(stream);
        assert_eq!((answer.status(), answer.text().as_str()), (200, "old"), "{answer:?}");
    }
    assert!(streams.load(Ordering::SeqCst) <= 2, "asked over HTTP/2 again and again");
}

/// RFC 9113, 10.5: a site's floods end its connection or stream, and nothing piles up.
#[test]
fn rfc9113_10_5_a_sites_floods_are_given_up_on() {
    let piece: Vec<u8> =
        std::iter::repeat_n(field("x-more", &"v".repeat(100)), 100).flatten().collect();
    let floods: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        ("interim answers", Vec::new(), headers(1, 0, &[(":status", "103"), ("link", "</a>")])),
        (
            "a head without end",
            frame(HEADERS, 0, 1, &block(&[(":status", "200")])),
            frame(CONTINUATION, 0, 1, &piece),
        ),
        ("settings", Vec::new(), settings(&[(4, 70_000)])),
        ("pings", Vec::new(), frame(PING, 0, 0, &[3; 8])),
        ("empty data", headers(1, 0, &[(":status", "200")]), frame(DATA, 0, 1, &[])),
        ("resets of nothing", Vec::new(), number(RST_STREAM, 1, REFUSED_STREAM)),
    ];
    for (what, first, cheap) in floods {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        let stage = Stage::start(move |line, _| {
            line.greet(&[]);
            if line.asked().is_none() {
                return;
            }
            line.stream.sock.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
            line.send(&first);
            let many = cheap.repeat(200);
            for _ in 0..1_000 {
                if !line.send(&many) {
                    return;
                }
                count.fetch_add(200, Ordering::SeqCst);
            }
        });
        let before = super::http2::resident_kb(&stage.daemon);
        let mut client = stage.client();
        client.send(&headers(1, END_STREAM, &request("GET", &stage.host(), "/flood")));
        let answer = client.answer(1);
        assert!(!answer.ended || answer.status() == 502, "{what}: {:?}", answer.statuses);
        assert!(answer.statuses.len() <= 66, "{what}: {} answers", answer.statuses.len());
        still_serves(&stage.daemon);
        let grown = super::http2::resident_kb(&stage.daemon).saturating_sub(before);
        assert!(
            grown < 48 * 1024,
            "{what}: grew by {grown} KB after {} frames",
            sent.load(Ordering::SeqCst)
        );
    }
}
