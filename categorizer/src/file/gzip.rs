//! gzip (RFC 1952): the file in it, through all members.

use super::Work;
use super::stream::Stream;
use super::zip::{Unpacked, inflate};
use flate2::Decompress;

const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const HEADER_CHECK: u8 = 2;

#[derive(Debug)]
enum State {
    /// The ten fixed bytes of a member's header.
    Fixed(Vec<u8>),
    /// What its flags say comes next, up to the packed bytes.
    ExtraLength(u8, Vec<u8>),
    Skip(u8, usize),
    Text(u8, Vec<u8>),
    Packed(Box<Unpacked>),
    /// Check sum and length.
    Trailer(usize),
    /// No further member, or a fault.
    Over,
}

/// A gzip file.
#[derive(Debug)]
pub(super) struct Gzip {
    state: State,
    inside: Stream,
    members: u32,
}

impl Gzip {
    pub(super) fn new(depth: u8) -> Gzip {
        Gzip {
            state: State::Fixed(Vec::new()),
            inside: Stream::inside(depth, "", true),
            members: 0,
        }
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], work: &mut Work) {
        while !bytes.is_empty() && !work.is_over {
            if let State::Packed(unpacked) = &mut self.state {
                let (used, is_over) = inflate(unpacked, bytes, &mut self.inside, work);
                bytes = &bytes[used..];
                match is_over {
                    None => {}
                    Some(true) if self.inside.is_settled() => self.state = State::Over,
                    Some(true) => self.state = State::Trailer(8),
                    Some(false) => {
                        work.unreadable();
                        self.state = State::Over;
                    }
                }
                continue;
            }
            if matches!(self.state, State::Over) {
                return;
            }
            self.header(bytes[0], work);
            bytes = &bytes[1..];
        }
    }

    /// One byte outside the packed ones.
    fn header(&mut self, byte: u8, work: &mut Work) {
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match state {
            State::Fixed(mut fixed) => {
                fixed.push(byte);
                match fixed.len() {
                    10 if fixed.starts_with(b"\x1f\x8b\x08") && work.may_enter() => {
                        self.members += 1;
                        Self::after(fixed[3])
                    }
                    10 => {
                        // Other bytes behind the last member are passed over, as gzip itself does.
                        if self.members == 0 {
                            work.unreadable();
                        }
                        State::Over
                    }
                    _ => State::Fixed(fixed),
                }
            }
            State::ExtraLength(flags, mut length) => {
                length.push(byte);
                match length[..] {
                    [low, high] => {
                        let length = usize::from(u16::from_le_bytes([low, high]));
                        if length == 0 { Self::after(flags) } else { State::Skip(flags, length) }
                    }
                    _ => State::ExtraLength(flags, length),
                }
            }
            State::Skip(flags, 1) => Self::after(flags),
            State::Skip(flags, left) => State::Skip(flags, left - 1),
            State::Text(flags, text) if byte == 0 => {
                if !text.is_empty() {
                    work.entry(&String::from_utf8_lossy(&text));
                }
                Self::after(flags)
            }
            State::Text(flags, mut text) => {
                // The name that was; a longer one is no file's, and its end is what matters.
                if text.len() >= 1024 {
                    text.drain(..512);
                }
                text.push(byte);
                State::Text(flags, text)
            }
            State::Trailer(1) => State::Fixed(Vec::new()),
            State::Trailer(left) => State::Trailer(left - 1),
            other => other,
        };
    }

    /// What comes next by the flags that are left; each state takes its own away.
    fn after(flags: u8) -> State {
        if flags & EXTRA != 0 {
            State::ExtraLength(flags & !EXTRA, Vec::new())
        } else if flags & NAME != 0 {
            State::Text(flags & !NAME, Vec::new())
        } else if flags & COMMENT != 0 {
            // Read like a name: a comment that looks like one harms nobody.
            State::Text(flags & !COMMENT, Vec::new())
        } else if flags & HEADER_CHECK != 0 {
            State::Skip(flags & !HEADER_CHECK, 2)
        } else {
            State::Packed(Box::new(Unpacked::new(Decompress::new(false))))
        }
    }

    pub(super) fn finish(&mut self, work: &mut Work) {
        self.inside.finish(work);
    }
}
