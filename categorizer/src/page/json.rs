//! The strings of JSON, from any pieces: of one document, of many one after another, or of what is nearly JSON.
//!
//! Nothing is refused: what is neither a string nor a bracket, comma or colon is passed over, so that
//! prefixes against scripts (`)]}'`), lengths between documents and comments do no harm, and what is cut
//! off has been read up to there.

use memchr::memchr2;

use crate::hash;

/// Deepest nesting in which places are told apart. Below, all strings are values.
const MAX_DEPTH: usize = 128;
/// Longest key that is kept, in bytes.
pub(super) const MAX_KEY_BYTES: usize = 32;

/// Where a string value stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Of the keys and indexes on the way to it: the same in each document of a stream. The index in an
    /// array that is the outermost is left out, for such an array is a stream of documents.
    pub(super) path: u64,
    key: [u8; MAX_KEY_BYTES],
    key_length: usize,
}

impl Place {
    /// The nearest key, in lower case, cut to 32 bytes; empty where there is none.
    pub(super) fn key(&self) -> &[u8] {
        &self.key[..self.key_length]
    }

    fn key_below(self, key: &[u8]) -> Self {
        Self { path: hash::extend(self.path, key), ..self }
    }

    fn index_below(self, index: u32) -> Self {
        Self { path: hash::mix(self.path, u64::from(index)), ..self }
    }
}

/// What becomes of string values.
pub(super) trait Strings {
    fn begin(&mut self, place: &Place);
    /// A part of the value, its escapes read.
    fn take(&mut self, part: &[u8]);
    fn end(&mut self);
    /// What is in no value: a part of a key, its escapes read, or what stands outside of strings.
    fn beside(&mut self, _part: &[u8]) {}
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    is_object: bool,
    index: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    Inside,
    Escape,
    /// So many of the four digits, and what they come to.
    Unicode(u8, u16),
}

/// Reads JSON.
#[derive(Debug)]
pub(super) struct Json {
    state: State,
    frames: Vec<Frame>,
    /// Levels beyond [`MAX_DEPTH`].
    deeper: u64,
    root: Place,
    /// Whether the next string of an object is a key.
    expects_key: bool,
    in_key: bool,
    key: [u8; MAX_KEY_BYTES],
    key_length: usize,
    /// The first half of a character, by its escape.
    high: Option<u16>,
}

impl Default for Json {
    fn default() -> Self {
        Self::below(0)
    }
}

impl Json {
    /// Reads JSON that stands in a string of a place.
    pub(super) fn below(path: u64) -> Self {
        Self {
            state: State::Between,
            frames: Vec::new(),
            deeper: 0,
            root: Place { path, key: [0; MAX_KEY_BYTES], key_length: 0 },
            expects_key: false,
            in_key: false,
            key: [0; MAX_KEY_BYTES],
            key_length: 0,
            high: None,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8], strings: &mut impl Strings) {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            let mut taken = 1;
            match self.state {
                State::Between => self.between(byte, strings),
                State::Inside => {
                    taken = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    if taken > 0 {
                        self.take(&rest[..taken], strings);
                    } else {
                        taken = 1;
                        if byte == b'\\' {
                            self.state = State::Escape;
                        } else {
                            self.end_string(strings);
                        }
                    }
                }
                State::Escape => self.escape(byte, strings),
                State::Unicode(digits, value) => match char::from(byte).to_digit(16) {
                    Some(digit) => self.digit(digits, value << 4 | digit as u16, strings),
                    None => {
                        // No escape after all.
                        self.state = State::Inside;
                        taken = 0;
                    }
                },
            }
            rest = &rest[taken..];
        }
    }

    /// Ends what was begun: the next bytes are a new document.
    pub(super) fn end(&mut self, strings: &mut impl Strings) {
        if self.state != State::Between {
            self.end_string(strings);
        }
        self.frames.clear();
        let frames = std::mem::take(&mut self.frames);
        *self = Self { frames, ..Self::below(self.root.path) };
    }

    fn between(&mut self, byte: u8, strings: &mut impl Strings) {
        if byte != b'"' {
            strings.beside(&[byte]);
        }
        match byte {
            b'"' => {
                self.state = State::Inside;
                self.in_key = self.expects_key && self.deeper == 0;
                if self.in_key {
                    self.key_length = 0;
                } else {
                    strings.begin(&self.place());
                }
            }
            b'{' | b'[' => {
                if self.frames.len() == MAX_DEPTH {
                    self.deeper += 1;
                    return;
                }
                let is_object = byte == b'{';
                let place = self.place();
                self.frames.push(Frame { is_object, index: 0, place });
                self.expects_key = is_object;
            }
            b'}' | b']' if self.deeper > 0 => self.deeper -= 1,
            b'}' | b']' => {
                self.frames.pop();
                self.expects_key = false;
            }
            b',' if self.deeper == 0 => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.index = frame.index.saturating_add(1);
                    self.expects_key = frame.is_object;
                }
            }
            b':' => self.expects_key = false,
            _ => {}
        }
    }

    /// Where a value stands that begins now.
    fn place(&self) -> Place {
        let Some(frame) = self.frames.last() else { return self.root };
        if frame.is_object {
            let key = &self.key[..self.key_length];
            let place = frame.place.key_below(key);
            return Place { key: self.key, key_length: self.key_length, ..place };
        }
        if self.frames.len() == 1 { frame.place } else { frame.place.index_below(frame.index) }
    }

    fn take(&mut self, part: &[u8], strings: &mut impl Strings) {
        if self.high.take().is_some() {
            self.hand_on("\u{fffd}".as_bytes(), strings);
        }
        self.hand_on(part, strings);
    }

    fn hand_on(&mut self, part: &[u8], strings: &mut impl Strings) {
        if !self.in_key {
            strings.take(part);
            return;
        }
        strings.beside(part);
        let room = &mut self.key[self.key_length..];
        for (to, byte) in room.iter_mut().zip(part) {
            *to = byte.to_ascii_lowercase();
        }
        self.key_length = (self.key_length + part.len()).min(MAX_KEY_BYTES);
    }

    fn end_string(&mut self, strings: &mut impl Strings) {
        self.take(&[], strings);
        self.state = State::Between;
        if self.in_key {
            self.expects_key = false;
        } else {
            strings.end();
        }
        self.in_key = false;
    }

    fn escape(&mut self, byte: u8, strings: &mut impl Strings) {
        self.state = State::Inside;
        let letter = match byte {
            b'u' => {
                self.state = State::Unicode(0, 0);
                return;
            }
            b'n' | b'r' | b't' | b'b' | b'f' => b' ',
            _ => byte,
        };
        self.take(&[letter], strings);
    }

    fn digit(&mut self, digits: u8, value: u16, strings: &mut impl Strings) {
        if digits < 3 {
            self.state = State::Unicode(digits + 1, value);
            return;
        }
        self.state = State::Inside;
        if (0xd800..0xdc00).contains(&value) {
            self.take(&[], strings);
            self.high = Some(value);
            return;
        }
        let units = [self.high.take(), Some(value)].into_iter().flatten();
        for letter in char::decode_utf16(units) {
            let letter = letter.unwrap_or(char::REPLACEMENT_CHARACTER);
            self.hand_on(letter.encode_utf8(&mut [0; 4]).as_bytes(), strings);
        }
    }
}

#[cfg(test)]
mod tests;
