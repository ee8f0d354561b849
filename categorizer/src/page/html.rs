//! The text of HTML, as people see it, from a page that comes in any pieces.
//!
//! A tokenizer alone (HTML, 13.2.5), without a tree: it tells tags, comments, scripts and text apart exactly
//! as browsers do, and from the names of elements what is shown and where words part. `<b>su</b>icide` is
//! one word, `<td>su</td><td>icide</td>` two. Text that is hidden by a style is text.
//!
//! What people see of attributes is gathered aside and comes at the next border of a block, so that it
//! does not part the words that it stands in.
//!
//! Not as in browsers: what a script writes, tables that are taken apart, `foreignObject`, and `noscript`,
//! which is left out because pages are shown with scripts.

mod comment;
mod element;
mod raw;
mod reference;
mod state;
mod step;

use std::ops::Range;

use super::text::Text;
use element::{Attribute, Element, Kind, MAX_NAME_BYTES};
use reference::Reference;
use state::{Script, State};

/// Longest title that is kept, in bytes. All of it is text.
pub const MAX_TITLE_BYTES: usize = 300;
/// What is gathered aside before a blank, instead of a block's border, lets it in.
const ASIDE_SOFT_BYTES: usize = 4 << 10;
/// What is gathered aside at most.
const ASIDE_BYTES: usize = 16 << 10;

/// Reads a page.
#[derive(Debug)]
pub struct Html {
    state: State,
    script: Script,
    /// The name of the tag, in lower case; or what may become an end tag in text, as it was written.
    name: [u8; MAX_NAME_BYTES],
    name_length: usize,
    is_end: bool,
    element: Element,
    /// The element whose text this is, and its name where only its end tag ends it.
    within: Kind,
    raw_name: [u8; MAX_NAME_BYTES],
    raw_length: usize,
    attribute_name: [u8; MAX_NAME_BYTES],
    attribute_length: usize,
    attribute: Attribute,
    tag: Tag,
    reference: Option<Reference>,
    aside: Vec<u8>,
    templates: u32,
    foreign: u32,
    /// Within a style or script of SVG, whose text is not shown.
    foreign_hidden: bool,
    title: Text,
    title_text: String,
}

/// What the attributes of a tag said so far.
#[derive(Debug, Default)]
struct Tag {
    /// What was aside before it.
    from: usize,
    /// Where in what is aside a value stands that may not be seen.
    pending: Option<Range<usize>>,
    /// Which attributes it had, by [`Attribute::bit`].
    had: u16,
    is_description: bool,
    hides_value: bool,
    has_shadow_root: bool,
    value: Vec<u8>,
}

impl Default for Html {
    fn default() -> Self {
        Self {
            state: State::Data,
            script: Script::Plain,
            name: [0; MAX_NAME_BYTES],
            name_length: 0,
            is_end: false,
            element: Element::default(),
            within: Kind::Plain,
            raw_name: [0; MAX_NAME_BYTES],
            raw_length: 0,
            attribute_name: [0; MAX_NAME_BYTES],
            attribute_length: 0,
            attribute: Attribute::Other,
            tag: Tag::default(),
            reference: None,
            aside: Vec::new(),
            templates: 0,
            foreign: 0,
            foreign_hidden: false,
            title: Text::default(),
            title_text: String::new(),
        }
    }
}

impl Html {
    /// What the first title says, as far as it came; at most [`MAX_TITLE_BYTES`].
    #[must_use]
    pub fn title(&self) -> &str {
        self.title_text.trim_end()
    }

    /// Takes the bytes that come next, in UTF-8 or what goes for it.
    pub fn push(&mut self, bytes: &[u8], text: &mut Text) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = match self.reference {
                Some(_) => self.refer(rest[0], text),
                None => self.step(rest, text),
            };
            rest = &rest[taken..];
        }
    }

    /// Ends the page; what was begun and not ended is text where browsers show it.
    pub fn end(&mut self, text: &mut Text) {
        if let Some(reference) = self.reference.take() {
            self.settle(&reference, None, text);
        }
        match self.state {
            State::TagOpen | State::RawOpen => self.show(b"<", text),
            State::EndTagOpen => self.show(b"</", text),
            State::RawEndName => self.show_raw_name(text),
            // A tag that does not end is none.
            State::BeforeAttribute
            | State::AttributeName
            | State::AfterAttributeName
            | State::BeforeValue
            | State::Value(_)
            | State::AfterValue
            | State::SelfClosing => self.aside.truncate(self.tag.from),
            _ => {}
        }
        self.state = State::Data;
        self.part(text);
    }

    /// Takes one byte of a character reference, or finds that it is behind it.
    fn refer(&mut self, byte: u8, text: &mut Text) -> usize {
        let Some(reference) = &mut self.reference else { return 0 };
        let next = reference.push(byte);
        if next == reference::Next::Goes {
            return 1;
        }
        let is_behind = next == reference::Next::Behind;
        if let Some(reference) = self.reference.take() {
            self.settle(&reference, Some(byte).filter(|_| is_behind), text);
        }
        usize::from(!is_behind)
    }

    fn settle(&mut self, reference: &Reference, next: Option<u8>, text: &mut Text) {
        let in_value = matches!(self.state, State::Value(_));
        reference.finish(in_value, next, &mut |part| {
            if in_value {
                self.take_value(part, text);
            } else {
                self.show(part, text);
            }
        });
    }

    /// Text that people see, unless it stands where nothing is shown.
    fn show(&mut self, run: &[u8], text: &mut Text) {
        match self.within {
            Kind::Hidden | Kind::Script | Kind::Style | Kind::IFrame => return,
            Kind::Title if self.title_text.len() < MAX_TITLE_BYTES => {
                self.title.push(run);
                let title = &mut self.title_text;
                self.title.read(&mut |part| {
                    let room = MAX_TITLE_BYTES.saturating_sub(title.len());
                    title.push_str(&part[..part.floor_char_boundary(room)]);
                });
            }
            _ => {}
        }
        if self.templates > 0 || self.foreign_hidden {
            return;
        }
        if self.aside.len() >= ASIDE_SOFT_BYTES
            && let Some(blank) = run.iter().position(u8::is_ascii_whitespace)
        {
            text.push(&run[..blank]);
            self.part(text);
            text.push(&run[blank..]);
            return;
        }
        text.push(run);
    }

    /// The border of a block: words end here, and what was gathered aside comes in.
    fn part(&mut self, text: &mut Text) {
        text.part();
        if !self.aside.is_empty() {
            text.push(&self.aside);
            text.part();
            self.aside.clear();
            self.tag.from = 0;
            self.tag.pending = None;
        }
    }
}

#[cfg(test)]
mod tests;
