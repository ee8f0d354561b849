//! The tokenizer's steps.

use memchr::{memchr, memchr2};

use super::super::text::Text;
use super::element::{self, Attribute, Kind, MAX_NAME_BYTES};
use super::reference::Reference;
use super::state::{Script, State};
use super::{ASIDE_BYTES, Html, Tag};

impl Html {
    /// Takes at least one byte, or changes the state; says how many.
    pub(super) fn step(&mut self, rest: &[u8], text: &mut Text) -> usize {
        let byte = rest[0];
        match self.state {
            State::Data => return self.data(rest, text),
            State::TagOpen => match byte {
                b'/' => self.state = State::EndTagOpen,
                b'!' => self.state = State::Declaration(0),
                b'?' => self.state = State::BogusComment,
                _ if byte.is_ascii_alphabetic() => return self.begin_tag(false),
                _ => {
                    self.state = State::Data;
                    self.show(b"<", text);
                    return 0;
                }
            },
            State::EndTagOpen => match byte {
                b'>' => self.state = State::Data,
                _ if byte.is_ascii_alphabetic() => return self.begin_tag(true),
                _ => {
                    self.state = State::BogusComment;
                    return 0;
                }
            },
            State::TagName => return self.tag_name(rest, text),
            State::BeforeAttribute | State::AfterAttributeName => match byte {
                _ if is_space(byte) => return self.pass_over(rest),
                b'/' => self.state = State::SelfClosing,
                b'>' => self.end_tag(false, text),
                b'=' if self.state == State::AfterAttributeName => self.state = State::BeforeValue,
                _ => {
                    self.attribute_length = 0;
                    self.state = State::AttributeName;
                    // An equals sign here is the first letter of a name.
                    self.add_to_attribute_name(byte);
                }
            },
            State::AttributeName => return self.attribute_name(rest, text),
            State::BeforeValue => match byte {
                _ if is_space(byte) => {}
                b'"' | b'\'' => self.begin_value(byte, text),
                b'>' => self.end_tag(false, text),
                _ => {
                    self.begin_value(0, text);
                    return 0;
                }
            },
            State::Value(quote) => return self.value(quote, rest, text),
            State::AfterValue => {
                self.state = State::BeforeAttribute;
                return 0;
            }
            State::SelfClosing => match byte {
                b'>' => self.end_tag(true, text),
                _ => {
                    self.state = State::BeforeAttribute;
                    return 0;
                }
            },
            State::Raw => return self.raw(rest, text),
            State::RawOpen => return self.raw_open(byte, text),
            State::RawEndName => return self.raw_end_name(byte, text),
            State::ScriptBang(_) | State::ScriptName => return self.script_step(byte),
            State::Plaintext => {
                self.show(rest, text);
                return rest.len();
            }
            _ => return self.comment(rest, text),
        }
        1
    }

    fn data(&mut self, rest: &[u8], text: &mut Text) -> usize {
        let end = memchr2(b'<', b'&', rest).unwrap_or(rest.len());
        if end > 0 {
            self.show(&rest[..end], text);
        }
        match rest.get(end) {
            None => return end,
            Some(b'<') => self.state = State::TagOpen,
            Some(_) => self.reference = Some(Reference::default()),
        }
        end + 1
    }

    fn begin_tag(&mut self, is_end: bool) -> usize {
        self.is_end = is_end;
        self.name_length = 0;
        self.state = State::TagName;
        0
    }

    fn tag_name(&mut self, rest: &[u8], text: &mut Text) -> usize {
        let length = rest.iter().position(|&byte| ends_name(byte)).unwrap_or(rest.len());
        // A longer name is none that is known; its last place says so.
        for &byte in &rest[..length] {
            self.name[self.name_length] = byte.to_ascii_lowercase();
            self.name_length = (self.name_length + 1).min(MAX_NAME_BYTES - 1);
        }
        let Some(&byte) = rest.get(length) else { return length };
        self.name_is_known();
        match byte {
            b'>' => self.end_tag(false, text),
            b'/' => self.state = State::SelfClosing,
            _ => {
                self.state = State::BeforeAttribute;
                return length + self.pass_over(&rest[length..]);
            }
        }
        length + 1
    }

    pub(super) fn name_is_known(&mut self) {
        self.element = element::element(&self.name[..self.name_length]);
        let mut value = std::mem::take(&mut self.tag.value);
        value.clear();
        self.tag = Tag { value, from: self.aside.len(), ..Tag::default() };
    }

    /// At a space within a tag: passes over the attributes that follow, as far as they are whole, in the
    /// commonest spelling, and of no account. Most are.
    fn pass_over(&mut self, rest: &[u8]) -> usize {
        let kind = if self.is_end { Kind::Plain } else { self.element.kind };
        let mut at = 0;
        loop {
            at += rest[at..].iter().take_while(|&&byte| is_space(byte)).count();
            let name = &rest[at..];
            let is_end = |&byte: &u8| byte == b'=' || ends_name(byte);
            let Some(length) = name.iter().position(is_end) else { return at };
            let [b'=', quote @ (b'"' | b'\''), value @ ..] = &name[length..] else { return at };
            if length == 0 || !self.is_end && is_looked_at(kind, &name[..length]) {
                return at;
            }
            let Some(end) = memchr(*quote, value) else { return at };
            at += length + 2 + end + 1;
            self.state = State::BeforeAttribute;
            if at == rest.len() {
                return at;
            }
        }
    }

    fn attribute_name(&mut self, rest: &[u8], text: &mut Text) -> usize {
        for (at, &byte) in rest.iter().enumerate() {
            match byte {
                b'=' => self.state = State::BeforeValue,
                _ if is_space(byte) => self.state = State::AfterAttributeName,
                b'/' => self.state = State::SelfClosing,
                b'>' => self.end_tag(false, text),
                _ => {
                    self.add_to_attribute_name(byte);
                    continue;
                }
            }
            return at + 1;
        }
        rest.len()
    }

    fn add_to_attribute_name(&mut self, byte: u8) {
        self.attribute_name[self.attribute_length] = byte.to_ascii_lowercase();
        self.attribute_length = (self.attribute_length + 1).min(MAX_NAME_BYTES - 1);
    }

    fn begin_value(&mut self, quote: u8, text: &mut Text) {
        self.state = State::Value(quote);
        let name = &self.attribute_name[..self.attribute_length];
        self.attribute = if self.is_end {
            Attribute::Other
        } else {
            element::attribute(self.element.kind, name)
        };
        if self.tag.had & self.attribute.bit() != 0 {
            // Of an attribute that is there twice, the first counts.
            self.attribute = Attribute::Other;
        }
        self.tag.had |= self.attribute.bit();
        match self.attribute {
            Attribute::Other => {}
            Attribute::ShadowRoot => self.tag.has_shadow_root = true,
            Attribute::MetaName | Attribute::MetaProperty | Attribute::FieldType => {
                self.tag.value.clear()
            }
            Attribute::Seen(_) | Attribute::Content | Attribute::Value => {
                if self.aside.len() >= ASIDE_BYTES {
                    self.part(text);
                }
                let start = self.aside.len();
                if !matches!(self.attribute, Attribute::Seen(_)) {
                    self.tag.pending = Some(start..start);
                }
                if start > 0 {
                    self.aside.push(b'\n');
                }
            }
        }
    }

    fn value(&mut self, quote: u8, rest: &[u8], text: &mut Text) -> usize {
        let end = if quote == 0 {
            let is_end = |&byte: &u8| is_space(byte) || byte == b'>' || byte == b'&';
            rest.iter().position(is_end)
        } else if self.attribute == Attribute::Other {
            memchr(quote, rest)
        } else {
            memchr2(quote, b'&', rest)
        };
        let length = end.unwrap_or(rest.len());
        self.take_value(&rest[..length], text);
        let Some(&byte) = rest.get(length) else { return length };
        match byte {
            b'&' if byte != quote => self.reference = Some(Reference::default()),
            _ => {
                self.end_value();
                if byte == b'>' && quote == 0 {
                    self.end_tag(false, text);
                } else {
                    self.state = State::AfterValue;
                }
            }
        }
        length + 1
    }

    /// Takes a part of a value, if anything is to be known of it.
    pub(super) fn take_value(&mut self, part: &[u8], text: &mut Text) {
        match self.attribute {
            Attribute::Other | Attribute::ShadowRoot => {}
            Attribute::MetaName | Attribute::MetaProperty | Attribute::FieldType => {
                let room = MAX_NAME_BYTES.saturating_sub(self.tag.value.len());
                self.tag.value.extend_from_slice(&part[..room.min(part.len())]);
            }
            Attribute::Seen(_) | Attribute::Content | Attribute::Value => {
                if self.templates > 0 {
                    return;
                }
                // So much is let in at once; nothing is left out, whoever fills a tag with text.
                for piece in part.chunks(ASIDE_BYTES) {
                    self.aside.extend_from_slice(piece);
                    if self.aside.len() >= 2 * ASIDE_BYTES {
                        self.part(text);
                    }
                }
            }
        }
    }

    fn end_value(&mut self) {
        self.tag.value.make_ascii_lowercase();
        match self.attribute {
            Attribute::Content | Attribute::Value => {
                if let Some(pending) = &mut self.tag.pending {
                    pending.end = self.aside.len();
                }
            }
            Attribute::MetaName | Attribute::MetaProperty => {
                self.tag.is_description |= element::is_description(&self.tag.value)
            }
            Attribute::FieldType => self.tag.hides_value = !element::shows_value(&self.tag.value),
            _ => {}
        }
    }

    /// The `>` of a tag.
    pub(super) fn end_tag(&mut self, is_empty: bool, text: &mut Text) {
        self.state = State::Data;
        self.within = Kind::Plain;
        let element = self.element;
        if let Some(pending) = self.tag.pending.take() {
            let is_seen = match element.kind {
                Kind::Meta => self.tag.is_description,
                _ => !self.tag.hides_value,
            };
            if !is_seen {
                self.aside.drain(pending);
            }
        }
        if element.parts && self.templates == 0 {
            self.part(text);
        }
        if element.breaks_out && !self.is_end && self.foreign > 0 {
            self.foreign = 0;
            self.foreign_hidden = false;
        }
        if self.is_end {
            match element.kind {
                Kind::Template => self.templates = self.templates.saturating_sub(1),
                Kind::Foreign => {
                    self.foreign = self.foreign.saturating_sub(1);
                    self.foreign_hidden &= self.foreign > 0;
                }
                Kind::Script | Kind::Style => self.foreign_hidden = false,
                _ => {}
            }
        } else if self.foreign > 0 {
            match element.kind {
                Kind::Foreign if !is_empty => self.foreign += 1,
                Kind::Script | Kind::Style if !is_empty => self.foreign_hidden = true,
                _ => {}
            }
        } else {
            self.begin_element(element.kind, is_empty);
        }
    }

    fn begin_element(&mut self, kind: Kind, is_empty: bool) {
        match kind {
            Kind::Foreign if !is_empty => self.foreign = 1,
            Kind::Template if !self.tag.has_shadow_root => self.templates += 1,
            Kind::Plaintext => self.state = State::Plaintext,
            Kind::Hidden
            | Kind::Script
            | Kind::Style
            | Kind::IFrame
            | Kind::Title
            | Kind::TextArea
            | Kind::Xmp => {
                self.state = State::Raw;
                self.within = kind;
                self.script = Script::Plain;
                self.raw_name = self.name;
                self.raw_length = self.name_length;
            }
            _ => {}
        }
    }
}

/// Whether anything is to be known of an attribute.
fn is_looked_at(kind: Kind, name: &[u8]) -> bool {
    let mut lower = [0; MAX_NAME_BYTES];
    let Some(lower) = lower.get_mut(..name.len()) else { return false };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    element::attribute(kind, lower) != Attribute::Other
}

/// What ends the name of a tag.
#[inline]
fn ends_name(byte: u8) -> bool {
    byte <= b'>' && (byte == b'>' || byte == b'/' || is_space(byte))
}

#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}
