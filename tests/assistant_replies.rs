//! What assistants send, as the tests write it: replies in pieces that part words, in the shapes of the big services.

use brotli::CompressorWriter;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;

/// A reply that begins with a lesson, ...
pub(crate) const HARMLESS: &str = "A river begins in the hills, where rain gathers in small streams. It carries gravel and \
    sand, and lays them down where the water is slow. Over many years it bends, and the outer bank of each bend wears \
    away. Near the sea the land is flat, and mud settles in wide marshes where birds feed in winter. ";
/// ... says what a pupil may not read, ...
pub(crate) const HARMFUL: &str = "How to kill yourself without pain: the easiest way to end your life, painless ways to \
    die, how many paracetamol it takes to die, how to tie a noose. Where to jump, which pills to take an overdose, how \
    to hang yourself so that nobody finds you in time, what to write in a suicide note, and how to hide all of it. ";
/// ... and goes on with this, which nobody may get.
pub(crate) const AFTER: &str = "quokka quokka quokka";

/// How a service sends a reply.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Whose it is like.
    pub like: &'static str,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// A piece of the reply, the so-manieth, as it is sent.
    pub piece: fn(usize, &str) -> String,
    /// Where a message has its piece.
    pub at: &'static str,
}

/// The shapes: each has other things beside the text, which change from message to message or stay the same.
pub(crate) const SHAPES: [Shape; 5] = [
    Shape {
        like: "chat completions",
        content_type: "text/event-stream; charset=utf-8",
        piece: |number, text| {
            let choice = json!({ "index": 0, "delta": { "content": text }, "finish_reason": null });
            event(
                &json!({ "id": "chatcmpl-9f2", "object": "chat.completion.chunk", "model": "auto",
                           "choices": [choice], "obfuscation": format!("{:x}", number * 7_919 + 11) }),
            )
        },
        at: "/choices/0/delta/content",
    },
    Shape {
        like: "content blocks",
        content_type: "text/event-stream",
        piece: |_, text| {
            let delta = json!({ "type": "text_delta", "text": text });
            let message = json!({ "type": "content_block_delta", "index": 0, "delta": delta });
            format!("event: content_block_delta\n{}", event(&message))
        },
        at: "/delta/text",
    },
    Shape {
        like: "patches",
        content_type: "text/event-stream",
        piece: |number, text| match number {
            0 => event(&json!({ "p": "/message/content/parts/0", "o": "append", "v": text })),
            _ => event(&json!({ "v": text })),
        },
        at: "/v",
    },
    Shape {
        like: "lines of JSON",
        content_type: "application/x-ndjson",
        piece: |number, text| {
            let message = json!({ "role": "assistant", "content": text });
            let at = format!("2026-11-30T12:00:00.{number:06}Z");
            format!("{}\n", json!({ "created_at": at, "message": message, "done": false }))
        },
        at: "/message/content",
    },
    Shape {
        like: "an array that goes on",
        content_type: "application/json; charset=UTF-8",
        piece: |number, text| {
            let content = json!({ "parts": [{ "text": text }], "role": "model" });
            let message = json!({ "candidates": [{ "content": content }], "responseId": "r7" });
            format!("{}{message}\n", if number == 0 { '[' } else { ',' })
        },
        at: "/candidates/0/content/parts/0/text",
    },
];

impl Shape {
    /// A reply, in pieces of so many letters.
    pub(crate) fn pieces(&self, text: &str, letters: usize) -> Vec<String> {
        let letters_of: Vec<char> = text.chars().collect();
        let pieces = letters_of.chunks(letters).map(|piece| piece.iter().collect::<String>());
        pieces.enumerate().map(|(number, piece)| (self.piece)(number, &piece)).collect()
    }

    /// What a body says, as far as it came: whole messages alone.
    pub(crate) fn said(&self, body: &[u8]) -> String {
        let whole = body.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let text = String::from_utf8_lossy(&body[..whole]).into_owned();
        let messages = text.lines().filter_map(|line| {
            let line = line.strip_prefix("data: ").unwrap_or(line).trim_start_matches(['[', ',']);
            serde_json::from_str::<Value>(line).ok()
        });
        messages.filter_map(|it| Some(it.pointer(self.at)?.as_str()?.to_owned())).collect()
    }
}

/// A message as an event.
pub(crate) fn event(message: &Value) -> String {
    format!("data: {message}\n\n")
}

/// A coding that is flushed behind each piece, as services do that stream.
pub(crate) enum Packer {
    /// As it is.
    None,
    /// gzip.
    Gzip(Box<GzEncoder<Vec<u8>>>),
    /// Brotli.
    Brotli(Box<CompressorWriter<Vec<u8>>>),
}

impl Packer {
    /// By the name in `Content-Encoding`; none where it is empty.
    pub(crate) fn of(coding: &str) -> Self {
        match coding {
            "gzip" => Self::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::default()))),
            "br" => Self::Brotli(Box::new(CompressorWriter::new(Vec::new(), 4096, 5, 18))),
            _ => Self::None,
        }
    }

    /// The bytes of the next piece.
    pub(crate) fn pack(&mut self, piece: &str) -> Vec<u8> {
        match self {
            Self::None => piece.as_bytes().to_vec(),
            Self::Gzip(to) => {
                to.write_all(piece.as_bytes()).unwrap();
                to.flush().unwrap();
                std::mem::take(to.get_mut())
            }
            Self::Brotli(to) => {
                to.write_all(piece.as_bytes()).unwrap();
                to.flush().unwrap();
                std::mem::take(to.get_mut())
            }
        }
    }
}
