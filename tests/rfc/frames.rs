//! HTTP/2 frame by frame, from either end.

use super::hpack::{Fields, Reader, block, value};
use std::io::{ErrorKind, Read, Write};

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const WITH_PRIORITY: u8 = 0x20;
/// RFC 9113, 7.
pub(super) const NO_ERROR: u32 = 0;
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
pub(super) const STREAM_CLOSED: u32 = 5;
pub(super) const FRAME_SIZE_ERROR: u32 = 6;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;
pub(super) const COMPRESSION_ERROR: u32 = 9;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;
pub(super) const HTTP_1_1_REQUIRED: u32 = 13;

/// One frame as it goes over the wire (RFC 9113, 4.1).
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A SETTINGS frame.
pub(super) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = values
        .iter()
        .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// A HEADERS frame, whole.
pub(super) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(fields))
}

/// A frame whose payload is a number: RST_STREAM, WINDOW_UPDATE.
pub(super) fn number(kind: u8, stream: u32, value: u32) -> Vec<u8> {
    frame(kind, 0, stream, &value.to_be_bytes())
}

/// A GOAWAY frame.
pub(super) fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// A frame as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
    /// Of HEADERS.
    pub(super) fields: Fields,
}

impl Frame {
    pub(super) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// A number of its payload.
    pub(super) fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    pub(super) fn value(&self, name: &str) -> &str {
        value(&self.fields, name)
    }
}

/// What a stream came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// All statuses, those of interim answers too.
    pub(super) statuses: Vec<u16>,
    /// The fields of each, and trailers.
    pub(super) heads: Vec<Fields>,
    pub(super) body: Vec<u8>,
    /// It ended in order.
    pub(super) ended: bool,
    /// It, or the connection, was ended with this error.
    pub(super) error: Option<u32>,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.statuses.last().copied().unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One end of a connection, opposite to the proxy.
pub(super) struct Peer<S> {
    pub(super) stream: S,
    read: Vec<u8>,
    reader: Reader,
    /// The proxy has closed; otherwise it is only silent.
    pub(super) closed: bool,
    /// This end is to be cut off, without a goodbye of TLS.
    pub(super) cut: bool,
}

impl<S: Read + Write> Peer<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, read: Vec::new(), reader: Reader::default(), closed: false, cut: false }
    }

    /// Sends; a connection that is gone by now is for the reader to find.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Reads until so many bytes wait.
    fn fill(&mut self, count: usize) -> bool {
        let mut piece = [0; 16 * 1024];
        while self.read.len() < count {
            match self.stream.read(&mut piece) {
                Ok(bytes) if bytes > 0 => self.read.extend_from_slice(&piece[..bytes]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return false;
                }
                _ => {
                    self.closed = true;
                    return false;
                }
            }
        }
        true
    }

    /// So many bytes as they are.
    pub(super) fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        self.fill(count).then(|| self.read.drain(..count).collect())
    }

    /// The next frame; `None` once the connection has ended or is silent.
    pub(super) fn next(&mut self) -> Option<Frame> {
        if !self.fill(9) {
            return None;
        }
        let length = u32::from_be_bytes([0, self.read[0], self.read[1], self.read[2]]) as usize;
        let bytes = self.bytes(9 + length)?;
        let stream = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
        let (kind, flags, payload) = (bytes[3], bytes[4], bytes[9..].to_vec());
        let fields = if kind == HEADERS { self.reader.read(&payload) } else { Fields::new() };
        Some(Frame { kind, flags, stream, payload, fields })
    }

    /// The next frame of this kind on this stream; others are passed over.
    #[track_caller]
    pub(super) fn wait(&mut self, kind: u8, stream: u32) -> Frame {
        let mut seen = Vec::new();
        while let Some(frame) = self.next() {
            if (frame.kind, frame.stream) == (kind, stream) {
                return frame;
            }
            seen.push(frame);
        }
        panic!("no frame of kind {kind} on stream {stream}, but {seen:?}; closed: {}", self.closed)
    }

    /// What a stream comes to, all of it.
    pub(super) fn answer(&mut self, of: u32) -> Answer {
        let mut answer = Answer::default();
        while let Some(frame) = self.next() {
            match frame.kind {
                GOAWAY if frame.number(4) != NO_ERROR => answer.error = Some(frame.number(4)),
                RST_STREAM if frame.stream == of => answer.error = Some(frame.number(0)),
                HEADERS if frame.stream == of => {
                    answer.statuses.extend(frame.value(":status").parse::<u16>());
                    answer.heads.push(frame.fields.clone());
                }
                DATA if frame.stream == of => answer.body.extend_from_slice(&frame.payload),
                _ => continue,
            }
            answer.ended |= frame.stream == of && frame.kind <= HEADERS && frame.is(END_STREAM);
            if answer.ended || answer.error.is_some() {
                return answer;
            }
        }
        answer
    }

    /// The error that ends the connection; `None` if none does.
    pub(super) fn gone(&mut self) -> Option<u32> {
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                return Some(frame.number(4));
            }
        }
        None
    }
}
