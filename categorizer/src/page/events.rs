//! Event streams (`text/event-stream`), messages of web sockets, and streams of JSON documents.

use memchr::memchr2;

use super::json::Json;
use super::lanes::{Joined, Lanes};
use super::text::Text;

/// The lane of what is no JSON.
const PLAIN: u64 = u64::MAX;

/// One message after another: JSON, or text as it is. Their pieces are joined as [`lanes`](super::lanes)
/// says; what is no JSON is one lane, whose messages go on from each other.
#[derive(Debug, Default)]
pub(super) struct Messages {
    json: Json,
    lanes: Lanes,
    payload: Payload,
    /// Whether blanks came before anything else of this message.
    has_blank: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Payload {
    #[default]
    Unknown,
    Json,
    Plain,
}

impl Messages {
    /// Takes a part of a message.
    pub(super) fn push(&mut self, part: &[u8], text: &mut Text) {
        let mut part = part;
        let mut joined = Joined { lanes: &mut self.lanes, text };
        if self.payload == Payload::Unknown {
            let first = part.iter().position(|byte| !byte.is_ascii_whitespace());
            self.has_blank |= first.is_none_or(|at| at > 0) && !part.is_empty();
            let Some(first) = first else { return };
            part = &part[first..];
            if matches!(part[0], b'{' | b'[' | b'"') {
                self.payload = Payload::Json;
            } else {
                self.payload = Payload::Plain;
                joined.begin_at(PLAIN);
                if self.has_blank {
                    joined.take_part(b" ");
                }
            }
        }
        if self.payload == Payload::Json {
            self.json.push(part, &mut joined);
        } else {
            joined.take_part(part);
        }
    }

    /// Ends a message.
    pub(super) fn end_message(&mut self, text: &mut Text) {
        let mut joined = Joined { lanes: &mut self.lanes, text };
        match self.payload {
            Payload::Unknown => {}
            Payload::Json => self.json.end(&mut joined),
            Payload::Plain => joined.end_value(),
        }
        self.payload = Payload::Unknown;
        self.has_blank = false;
    }

    /// Nothing has come for a while.
    pub(super) fn rest(&mut self, text: &mut Text) {
        self.lanes.rest(text);
    }

    /// Ends the stream.
    pub(super) fn end(&mut self, text: &mut Text) {
        self.end_message(text);
        self.lanes.end(text);
    }
}

/// JSON documents one after another, whatever stands between them; or an array of them.
#[derive(Debug, Default)]
pub(super) struct Documents {
    json: Json,
    lanes: Lanes,
}

impl Documents {
    pub(super) fn push(&mut self, part: &[u8], text: &mut Text) {
        self.json.push(part, &mut Joined { lanes: &mut self.lanes, text });
    }

    /// Nothing has come for a while.
    pub(super) fn rest(&mut self, text: &mut Text) {
        self.lanes.rest(text);
    }

    pub(super) fn end(&mut self, text: &mut Text) {
        self.json.end(&mut Joined { lanes: &mut self.lanes, text });
        self.lanes.end(text);
    }
}

/// An event stream (HTML, 9.2.6): of its fields, `data` alone.
#[derive(Debug, Default)]
pub(super) struct Events {
    messages: Messages,
    line: Line,
    /// Whether the last line ended with a carriage return, and a line feed may follow that ends nothing.
    after_return: bool,
    /// Whether this event has a line of data.
    has_data: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// So much of `data`.
    Field(usize),
    /// Behind the colon, where one space may be left out.
    Colon,
    Data,
    Other,
}

impl Default for Line {
    fn default() -> Self {
        Self::Field(0)
    }
}

const FIELD: &[u8] = b"data";

impl Events {
    pub(super) fn push(&mut self, bytes: &[u8], text: &mut Text) {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            if std::mem::take(&mut self.after_return) && byte == b'\n' {
                rest = &rest[1..];
                continue;
            }
            if byte == b'\n' || byte == b'\r' {
                self.after_return = byte == b'\r';
                if self.line == Line::Field(0) {
                    self.messages.end_message(text);
                    self.has_data = false;
                }
                self.line = Line::default();
                rest = &rest[1..];
                continue;
            }
            let mut taken = 1;
            match self.line {
                Line::Field(at) if FIELD.get(at) == Some(&byte) => self.line = Line::Field(at + 1),
                Line::Field(at) if at == FIELD.len() && byte == b':' => {
                    if self.has_data {
                        self.messages.push(b"\n", text);
                    }
                    self.has_data = true;
                    self.line = Line::Colon;
                }
                Line::Field(_) => self.line = Line::Other,
                Line::Colon => {
                    self.line = Line::Data;
                    taken = usize::from(byte == b' ');
                }
                Line::Data | Line::Other => {
                    taken = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                    if self.line == Line::Data {
                        self.messages.push(&rest[..taken], text);
                    }
                }
            }
            rest = &rest[taken..];
        }
    }

    /// Nothing has come for a while.
    pub(super) fn rest(&mut self, text: &mut Text) {
        self.messages.rest(text);
    }

    pub(super) fn end(&mut self, text: &mut Text) {
        self.messages.end(text);
    }
}
