//! Just enough HTTP/1.1 to drive a proxy and to answer it: heads, body lengths, chunks.
//!
//! This is a load generator's reader, not a product's: it trusts its own origin and the proxies under
//! test, and gives up on the connection when anything is odd.

/// Where the head ends (the index after the empty line), once it has come whole.
pub(crate) fn find_head_end(buffer: &[u8]) -> Option<usize> {
    buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// How a message's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// So many bytes.
    Exact(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Until the connection closes (responses only).
    ToClose,
}

/// A message head, borrowed.
pub(crate) struct Head<'a> {
    text: &'a str,
}

impl<'a> Head<'a> {
    /// A head's bytes, with its empty line. Bytes that are no text read as an empty head.
    pub(crate) fn parse(bytes: &'a [u8]) -> Self {
        Self { text: std::str::from_utf8(bytes).unwrap_or("") }
    }

    /// Request or status line.
    pub(crate) fn first_line(&self) -> &'a str {
        self.text.split("\r\n").next().unwrap_or("")
    }

    /// Status code of a response; 0 if it has none.
    pub(crate) fn status(&self) -> u16 {
        self.first_line().split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// The first header of this name (in lower case).
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.text.split("\r\n").skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Whether the sender closes the connection after this message.
    pub(crate) fn closes(&self) -> bool {
        self.value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Length of a request's body.
    pub(crate) fn request_body_length(&self) -> BodyLength {
        match self.framing() {
            BodyLength::ToClose => BodyLength::Exact(0),
            framed => framed,
        }
    }

    /// Length of a response's body; `bodiless` for answers to HEAD.
    pub(crate) fn response_body_length(&self, bodiless: bool) -> BodyLength {
        if bodiless || matches!(self.status(), 100..=199 | 204 | 304) {
            BodyLength::Exact(0)
        } else {
            self.framing()
        }
    }

    fn framing(&self) -> BodyLength {
        if self
            .value("transfer-encoding")
            .is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"))
        {
            return BodyLength::Chunked;
        }
        match self.value("content-length").and_then(|value| value.parse().ok()) {
            Some(bytes) => BodyLength::Exact(bytes),
            None => BodyLength::ToClose,
        }
    }
}

/// Passes over one body, fed piece by piece.
pub(crate) struct BodySkip {
    state: State,
    /// Body bytes seen so far, without chunk framing.
    pub body_bytes: u64,
}

enum State {
    Bytes { left: u64 },
    ToClose,
    ChunkSize,
    ChunkData { left: u64 },
    Trailers,
    Done,
}

impl BodySkip {
    /// Starts on a body of this length.
    pub(crate) fn new(length: BodyLength) -> Self {
        let state = match length {
            BodyLength::Exact(0) => State::Done,
            BodyLength::Exact(left) => State::Bytes { left },
            BodyLength::Chunked => State::ChunkSize,
            BodyLength::ToClose => State::ToClose,
        };
        Self { state, body_bytes: 0 }
    }

    /// Whether the body has ended. One that runs to the close never says so.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether only the end of the connection ends the body.
    pub(crate) fn runs_to_close(&self) -> bool {
        matches!(self.state, State::ToClose)
    }

    /// Takes what it can from the front of `input`; returns how many bytes to drop. What is left
    /// belongs to the next message, or is a chunk line that has not come whole.
    pub(crate) fn feed(&mut self, input: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match &mut self.state {
                State::Done => return used,
                State::ToClose => {
                    self.body_bytes += rest.len() as u64;
                    return input.len();
                }
                State::Bytes { left } => {
                    let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    self.body_bytes += taken as u64;
                    used += taken;
                    if *left > 0 {
                        return used;
                    }
                    self.state = State::Done;
                }
                State::ChunkSize => {
                    let Some(end) = line_end(rest) else { return used };
                    let text = std::str::from_utf8(&rest[..end]).unwrap_or("0");
                    let size = text.split(';').next().unwrap_or("0").trim();
                    let size = u64::from_str_radix(size, 16).unwrap_or(0);
                    used += end + 2;
                    self.body_bytes += size;
                    // The data is followed by its own line end.
                    self.state = match size {
                        0 => State::Trailers,
                        size => State::ChunkData { left: size + 2 },
                    };
                }
                State::ChunkData { left } => {
                    let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    used += taken;
                    if *left > 0 {
                        return used;
                    }
                    self.state = State::ChunkSize;
                }
                State::Trailers => {
                    let Some(end) = line_end(rest) else { return used };
                    used += end + 2;
                    if end == 0 {
                        self.state = State::Done;
                    }
                }
            }
        }
    }
}

fn line_end(input: &[u8]) -> Option<usize> {
    input.windows(2).position(|two| two == b"\r\n")
}
