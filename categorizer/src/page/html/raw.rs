//! Elements that are text until their end tag: scripts, styles, titles.

use memchr::{memchr, memchr2};

use super::super::text::Text;
use super::Html;
use super::element::{Kind, MAX_NAME_BYTES};
use super::reference::Reference;
use super::state::{Script, State};
use super::step::is_space;

impl Html {
    pub(super) fn raw(&mut self, rest: &[u8], text: &mut Text) -> usize {
        if self.script != Script::Plain {
            return self.escaped_script(rest);
        }
        let has_references = matches!(self.within, Kind::Title | Kind::TextArea);
        let end = if has_references { memchr2(b'<', b'&', rest) } else { memchr(b'<', rest) };
        let length = end.unwrap_or(rest.len());
        self.show(&rest[..length], text);
        match rest.get(length) {
            None => return length,
            Some(b'<') => self.state = State::RawOpen,
            Some(_) => self.reference = Some(Reference::default()),
        }
        length + 1
    }

    /// Behind a `<`.
    pub(super) fn raw_open(&mut self, byte: u8, text: &mut Text) -> usize {
        self.name_length = 0;
        match byte {
            b'/' if !matches!(self.script, Script::DoubleEscaped(_)) => {
                self.state = State::RawEndName;
                return 1;
            }
            b'/' => {
                self.state = State::ScriptName;
                return 1;
            }
            b'!' if self.within == Kind::Script && self.script == Script::Plain => {
                self.state = State::ScriptBang(0);
                return 1;
            }
            _ if matches!(self.script, Script::Escaped(_)) && byte.is_ascii_alphabetic() => {
                self.state = State::ScriptName;
            }
            _ => {
                self.state = State::Raw;
                self.show(b"<", text);
            }
        }
        0
    }

    /// Behind `</`: the name of an end tag, or text.
    pub(super) fn raw_end_name(&mut self, byte: u8, text: &mut Text) -> usize {
        if byte.is_ascii_alphabetic() && self.name_length < MAX_NAME_BYTES {
            self.name[self.name_length] = byte;
            self.name_length += 1;
            return 1;
        }
        let mut name = self.name;
        name.make_ascii_lowercase();
        let ends = is_space(byte) || byte == b'/' || byte == b'>';
        if ends && name[..self.name_length] == self.raw_name[..self.raw_length] {
            self.name = name;
            self.is_end = true;
            self.name_is_known();
            self.state = State::BeforeAttribute;
        } else {
            self.show_raw_name(text);
            self.state = State::Raw;
        }
        0
    }

    /// What looked like an end tag is text.
    pub(super) fn show_raw_name(&mut self, text: &mut Text) {
        self.show(b"</", text);
        let name = self.name;
        self.show(&name[..self.name_length], text);
    }

    /// Within `<!--` of a script.
    fn escaped_script(&mut self, rest: &[u8]) -> usize {
        let (Script::Escaped(dashes) | Script::DoubleEscaped(dashes)) = &mut self.script else {
            return 0;
        };
        match rest[0] {
            b'-' => *dashes = (*dashes + 1).min(2),
            b'>' if *dashes == 2 => self.script = Script::Plain,
            b'<' => {
                *dashes = 0;
                self.state = State::RawOpen;
            }
            _ => {
                *dashes = 0;
                return memchr2(b'<', b'-', rest).unwrap_or(rest.len());
            }
        }
        1
    }

    pub(super) fn script_step(&mut self, byte: u8) -> usize {
        match self.state {
            State::ScriptBang(dashes) if byte == b'-' => {
                if dashes == 1 {
                    self.script = Script::Escaped(2);
                    self.state = State::Raw;
                } else {
                    self.state = State::ScriptBang(1);
                }
                1
            }
            State::ScriptName if byte.is_ascii_alphabetic() => {
                self.name[self.name_length] = byte.to_ascii_lowercase();
                self.name_length = (self.name_length + 1).min(MAX_NAME_BYTES - 1);
                1
            }
            State::ScriptName if is_space(byte) || byte == b'/' || byte == b'>' => {
                if &self.name[..self.name_length] == b"script" {
                    self.script = match self.script {
                        Script::Escaped(_) => Script::DoubleEscaped(0),
                        _ => Script::Escaped(0),
                    };
                }
                self.state = State::Raw;
                1
            }
            _ => {
                self.state = State::Raw;
                0
            }
        }
    }
}
