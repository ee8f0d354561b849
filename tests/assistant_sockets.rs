//! Web sockets to assistants behind inspection: messages both ways, in parts, and what was offered of compression.

use crate::assistant_replies::{AFTER, HARMFUL, HARMLESS};
use crate::assistants::School;
use crate::daemon::{KS3, wait_for};
use crate::inspected::{Secure, authority, trusting};
use crate::streaming_origin::{PATIENCE, Streamed, Version};
use crate::typed_words::{ASSISTANT, HARMLESS as QUESTION, SUICIDE, frame, prompt};
use crate::wire::find_head_end;
use serde_json::json;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const SWITCHED: [(&str, &str); 2] = [("upgrade", "websocket"), ("connection", "upgrade")];

/// A frame of text as servers send it, without a mask.
fn from_site(first: u8, text: &str) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(text.len()) {
        Ok(length @ 0..=125) => frame.push(length),
        _ => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// A reply in messages of a few letters each, as JSON.
fn messages(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let piece = |piece: &[char]| {
        let text: String = piece.iter().collect();
        json!({ "event": "appendText", "messageId": "b71", "partId": "0", "text": text })
            .to_string()
    };
    letters.chunks(6).map(piece).collect()
}

/// A pupil's web socket inside a tunnel, open.
struct Socket {
    inside: Secure,
    head: String,
    came: Vec<u8>,
}

impl Socket {
    fn open(school: &School, path: &str) -> Self {
        let pem = std::fs::read(authority(&school.daemon)).unwrap();
        let host = school.authority(Version::One);
        let config = trusting(&pem, &[b"http/1.1"]);
        let mut inside = Secure::open_to(&school.daemon, KS3, &host, ASSISTANT, config).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        );
        inside.stream.write_all(request.as_bytes()).unwrap();
        let mut socket = Self { inside, head: String::new(), came: Vec::new() };
        while find_head_end(&socket.came).is_none() {
            assert!(socket.more(), "closed: {}", String::from_utf8_lossy(&socket.came));
        }
        let rest = socket.came.split_off(find_head_end(&socket.came).unwrap());
        socket.head = String::from_utf8(std::mem::replace(&mut socket.came, rest)).unwrap();
        assert!(socket.head.starts_with("HTTP/1.1 101"), "{}", socket.head);
        socket
    }

    /// Reads on; `false`: it is closed.
    fn more(&mut self) -> bool {
        let mut piece = [0; 4096];
        match self.inside.stream.read(&mut piece) {
            Ok(bytes) if bytes > 0 => {
                self.came.extend_from_slice(&piece[..bytes]);
                true
            }
            Ok(_) => false,
            Err(error) => {
                let is_late = error.kind() == std::io::ErrorKind::WouldBlock;
                assert!(!is_late, "nothing comes, and it is not closed");
                false
            }
        }
    }

    /// Whether these bytes come next, before it is closed.
    fn gets(&mut self, bytes: &[u8]) -> bool {
        while self.came.len() < bytes.len() {
            if !self.more() {
                return false;
            }
        }
        let came: Vec<u8> = self.came.drain(..bytes.len()).collect();
        assert_eq!(came, bytes);
        true
    }

    fn say(&mut self, bytes: &[u8]) {
        self.inside.stream.write_all(bytes).unwrap();
        self.inside.stream.flush().unwrap();
    }
}

/// Sends a reply message by message, each once the one before was read; `false`: it was cut.
fn tell(socket: &mut Socket, reply: &Streamed, text: &str) -> bool {
    messages(text).iter().enumerate().all(|(number, message)| {
        // Every other one comes in two frames.
        let (half, rest) = message.split_at(message.len() - 5);
        let parts = match number % 2 {
            0 => vec![from_site(0x81, message)],
            _ => vec![from_site(0x01, half), from_site(0x80, rest)],
        };
        parts.iter().all(|part| {
            reply.send(part.clone());
            socket.gets(part)
        })
    })
}

#[test]
fn replies_in_messages_are_read_as_they_come_and_end_where_they_may_not_be_read() {
    let school = School::start();
    let assistant = school.assistant(Version::One);
    let reply = assistant.stream("/c/chat", &SWITCHED);
    let mut socket = Socket::open(&school, "/c/chat");
    let seen = assistant.seen_of("/c/chat");
    let offered = seen.fields.iter().any(|(name, _)| name == "sec-websocket-extensions");
    assert!(!offered && !socket.head.to_lowercase().contains("extensions"), "{}", socket.head);
    let question = frame(0x81, &prompt(QUESTION));
    socket.say(&question);
    wait_for("the question", PATIENCE, || *seen.body.lock().unwrap() == question);
    assert!(tell(&mut socket, &reply, HARMLESS), "cut too early");
    assert!(!tell(&mut socket, &reply, HARMFUL), "never cut");
    reply.send(from_site(0x81, AFTER));
    reply.wait_gone();
    while socket.more() {}
    assert!(!String::from_utf8_lossy(&socket.came).contains("quokka"));

    let (told, own) = school.records("/c/chat");
    let [page] = &told[..] else { panic!("{told:#?}") };
    assert_eq!(
        (&page["verdict"], &page["reason"], &page["method"]),
        (&"block".into(), &"page_words".into(), &"PAGE".into())
    );
    let signs = page["signs"].to_string();
    assert!(signs.contains("suicide") && signs.contains("reply"), "{page}");
    assert_eq!((&own["end"], &own["status"]), (&"cut".into(), &101.into()), "{own}");
    assert!(own["bytes_down"].as_u64() > Some(HARMLESS.len() as u64), "{own}");
}

#[test]
fn what_may_not_be_asked_in_a_message_reaches_nobody_whole() {
    let school = School::start();
    let assistant = school.assistant(Version::One);
    let _reply = assistant.stream("/c/ask", &SWITCHED);
    let mut socket = Socket::open(&school, "/c/ask");
    let asked = prompt(SUICIDE);
    let (half, rest) = asked.split_at(asked.len() / 2);
    let (first, last) = (frame(0x01, half), frame(0x80, rest));
    socket.say(&first);
    let seen = assistant.seen_of("/c/ask");
    wait_for("the first half", PATIENCE, || seen.body.lock().unwrap().len() == first.len());
    socket.say(&last);
    while socket.more() {}
    assert!(socket.came.is_empty());
    assert_eq!(*seen.body.lock().unwrap(), first, "no byte of the rest");
    let (told, own) = school.records("/c/ask");
    let [asked] = &told[..] else { panic!("{told:#?}") };
    assert_eq!((&asked["reason"], &asked["method"]), (&"prompt_words".into(), &"PROMPT".into()));
    assert_eq!(own["end"], "cut");
}

#[test]
fn a_site_that_packs_what_nobody_agreed_to_is_cut() {
    let school = School::start();
    let fields = [&SWITCHED[..], &[("sec-websocket-extensions", "permessage-deflate")]].concat();
    let reply = school.assistant(Version::One).stream("/c/packed", &fields);
    let mut socket = Socket::open(&school, "/c/packed");
    let plain = from_site(0x81, "a river");
    reply.send(plain.clone());
    assert!(socket.gets(&plain));
    // The first bit of an extension: the message is packed.
    reply.send(from_site(0xc1, "\u{2}\u{3}quokka"));
    reply.wait_gone();
    while socket.more() {}
    assert!(socket.came.is_empty(), "{:?}", socket.came);
    let (told, own) = school.records("/c/packed");
    let [page] = &told[..] else { panic!("{told:#?}") };
    assert_eq!((&page["verdict"], &page["reason"]), (&"block".into(), &"unscanned".into()));
    assert_eq!(own["end"], "cut");
}

#[test]
fn a_reply_of_one_sentence_is_judged_once_nothing_or_nothing_else_comes() {
    let school = School::start();
    let short = "How to kill yourself without pain, painless ways to die, how to tie a noose.";
    let ping = from_site(0x81, &json!({ "event": "ping" }).to_string());
    for (path, is_pinged) in [("/c/rest", false), ("/c/pinged", true)] {
        let reply = school.assistant(Version::One).stream(path, &SWITCHED);
        let mut socket = Socket::open(&school, path);
        for message in messages(short) {
            let message = from_site(0x81, &message);
            reply.send(message.clone());
            assert!(socket.gets(&message), "{path}: cut too early");
        }
        let begun = Instant::now();
        let mut is_open = is_pinged;
        while is_open {
            assert!(begun.elapsed() < PATIENCE, "{path}: never cut");
            reply.send(ping.clone());
            is_open = socket.gets(&ping);
            // As often as some sites do: oftener than anything rests.
            std::thread::sleep(Duration::from_millis(250));
        }
        reply.wait_gone();
        while socket.more() {}
        let (told, own) = school.records(path);
        let [page] = &told[..] else { panic!("{path}: {told:#?}") };
        assert_eq!((&page["verdict"], &page["reason"]), (&"block".into(), &"page_words".into()));
        assert!(page["signs"].to_string().contains("suicide"), "{page}");
        assert_eq!(own["end"], "cut", "{own}");
    }
}
