//! Text that comes in pieces among other things: the replies of assistants, as services stream them.
//!
//! Each service has a shape of its own, and they change. What they share: a message is JSON, the next
//! piece of the text stands at the same place in the next message (`choices[0].delta.content`,
//! `candidates[0].content.parts[0].text`, `delta.text`, `v`), and what else is there stays the same
//! from message to message, or is of no account. So each place is a *lane*:
//!
//! - Its pieces are one text: `su`, then `icide`, is one word.
//! - A value that is what the lane has had from the start, as a name of a model, is read once.
//! - A value that begins with the whole value before is the text so far, as some services send it: what is
//!   new of it is read.
//! - Where lanes take turns, the one that goes on begins with the end of what it said last, so that a
//!   phrase which others stand between is found; its last words are then read twice. Lanes that do so again and again
//!   wait until they have something to say: else a reply that comes letter by letter, with another number in each
//!   message, would be read as the same words a hundred times. What is numbers by then, as times and identifiers are,
//!   is no text. Where that may be a word, it is read.
//! - A value that is JSON itself is read as such.
//! - A value that goes on and on is read before its end, once it is clear that it is none of these.

use super::json::{Json, Place, Strings};
use super::text::Text;
use crate::hash;

/// Lanes that are known at once; of more, the one is forgotten that was used least recently.
const MAX_LANES: usize = 32;
/// How much of what a lane said last is kept.
const TAIL_BYTES: usize = 96;
/// How often a lane takes turns with others before it has to wait until it has more to say, and how much that is.
const TURNS: u8 = 4;
const TURN_BYTES: usize = 64;
/// A value up to which it is looked into as a whole. A longer one is read as it comes.
const VALUE_BYTES: usize = 64 << 10;
/// Of what is no text, one byte of so many is a digit at least: of times nearly all are, of hexadecimal numbers five of
/// eight.
const BYTES_A_DIGIT: usize = 4;
/// Letters in a row that may be a word, where numbers are not written with them.
const WORD_LETTERS: usize = 3;
/// How much of a value may wait for its end unread, where it cannot be one that is read otherwise.
const AHEAD_BYTES: usize = 256;
/// Where a value says whether it is JSON.
const BEGINNING_BYTES: usize = 64;
/// Values up to here may be pieces of a text that are twice the same, and are remembered until it is
/// known whether they are.
const TOKEN_BYTES: usize = 16;
/// How deep JSON stands in strings of JSON.
const MAX_NESTING: u8 = 3;
/// Stands in a path for JSON within a string.
const NESTED: u64 = 1;

/// The lanes of one stream.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// The path of the lane whose text came last.
    current: Option<u64>,
    /// What lanes had still to say that were forgotten.
    left: Vec<u8>,
    uses: u64,
    nesting: u8,
    /// The value that is coming: its path, what came of it, how much of that is read, and whether it was too much to
    /// keep.
    path: u64,
    value: Vec<u8>,
    said: usize,
    is_long: bool,
}

#[derive(Debug)]
struct Lane {
    path: u64,
    used: u64,
    /// Whether it had two different values.
    varies: bool,
    /// How often its first value came again.
    repeats: u8,
    length: usize,
    hash: u64,
    tail: Vec<u8>,
    /// How often others stood between what it said.
    turns: u8,
    /// What it has to say, and has not said yet.
    waiting: Vec<u8>,
}

/// Lanes and the text that they write to.
#[derive(Debug)]
pub(super) struct Joined<'a> {
    pub(super) lanes: &'a mut Lanes,
    pub(super) text: &'a mut Text,
}

impl Strings for Joined<'_> {
    fn begin(&mut self, place: &Place) {
        self.begin_at(place.path);
    }

    fn take(&mut self, part: &[u8]) {
        self.take_part(part);
    }

    fn end(&mut self) {
        self.end_value();
    }
}

impl Joined<'_> {
    /// Begins a value of a lane.
    pub(super) fn begin_at(&mut self, path: u64) {
        self.lanes.path = path;
        self.lanes.value.clear();
        self.lanes.said = 0;
        self.lanes.is_long = false;
    }

    /// Takes a part of the value.
    pub(super) fn take_part(&mut self, part: &[u8]) {
        let Self { lanes, text } = self;
        let mut part = part;
        if !lanes.is_long {
            let (fits, rest) = part.split_at(part.len().min(VALUE_BYTES - lanes.value.len()));
            lanes.value.extend_from_slice(fits);
            lanes.say_ahead(text);
            part = rest;
        }
        if part.is_empty() {
            return;
        }
        if !lanes.is_long {
            lanes.is_long = true;
            let value = std::mem::take(&mut lanes.value);
            lanes.say(lanes.path, &value[lanes.said..], text);
        }
        lanes.say(lanes.path, part, text);
    }

    /// Ends the value.
    pub(super) fn end_value(&mut self) {
        let Self { lanes, text } = self;
        if lanes.is_long {
            lanes.is_long = false;
            let lane = lanes.lane(lanes.path);
            (lane.varies, lane.length) = (true, 0);
            return;
        }
        let mut value = std::mem::take(&mut lanes.value);
        if lanes.said > 0 {
            lanes.end_ahead(&value, text);
        } else if lanes.nesting < MAX_NESTING && is_json(&value) {
            let mut json = Json::below(hash::mix(lanes.path, NESTED));
            lanes.nesting += 1;
            json.push(&value, self);
            json.end(self);
            self.lanes.nesting -= 1;
        } else {
            lanes.judge(&value, text);
        }
        value.clear();
        self.lanes.value = value;
    }
}

/// Whether a value looks like a whole document, behind a number as some protocols have it (`42["..."]`).
pub(super) fn is_json(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = &value[digits..];
    matches!((value.first(), value.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
        && memchr::memchr(b'"', value).is_some()
}

/// Whether what begins so may be JSON to its end.
fn may_be_json(value: &[u8]) -> bool {
    let beginning = value[..value.len().min(BEGINNING_BYTES)].trim_ascii_start();
    let first = beginning.iter().find(|byte| !byte.is_ascii_digit());
    first.is_some_and(|byte| matches!(byte, b'{' | b'['))
}

impl Lanes {
    /// Reads what came of a value that has not ended, if that is much, and no end could say that it was read before, is
    /// JSON, or goes on from the value before.
    fn say_ahead(&mut self, text: &mut Text) {
        if self.value.len() - self.said < AHEAD_BYTES || may_be_json(&self.value) {
            return;
        }
        let value = std::mem::take(&mut self.value);
        if let Some(from) = self.ahead_from(&value, text) {
            // In pieces that hang on the value alone, and not on how it is cut.
            let (pieces, _) = value[from..].as_chunks::<AHEAD_BYTES>();
            for piece in pieces {
                self.say(self.path, piece, text);
            }
            self.said = from + pieces.len() * AHEAD_BYTES;
        }
        self.value = value;
    }

    /// From where on it is read ahead; `None`: not yet.
    fn ahead_from(&mut self, value: &[u8], text: &mut Text) -> Option<usize> {
        if self.said > 0 {
            return Some(self.said);
        }
        let lane = self.lane(self.path);
        if value.len() < lane.length + AHEAD_BYTES {
            return None;
        }
        let from = if lane.is_begun_by(value) { lane.length } else { 0 };
        self.say_again(text);
        Some(from)
    }

    /// Ends a value that was read ahead.
    fn end_ahead(&mut self, value: &[u8], text: &mut Text) {
        let lane = self.lane(self.path);
        (lane.length, lane.hash) = (value.len(), hash::digest(0, value));
        if self.said < value.len() {
            self.say(self.path, &value[self.said..], text);
        }
    }

    fn lane(&mut self, path: u64) -> &mut Lane {
        self.uses += 1;
        let known = self.lanes.iter().position(|lane| lane.path == path);
        let at = known.unwrap_or_else(|| {
            let lane = Lane {
                path,
                used: 0,
                varies: false,
                repeats: 0,
                length: 0,
                hash: 0,
                tail: Vec::new(),
                turns: 0,
                waiting: Vec::new(),
            };
            if self.lanes.len() < MAX_LANES {
                self.lanes.push(lane);
                return self.lanes.len() - 1;
            }
            let oldest = (0..MAX_LANES).min_by_key(|&at| self.lanes[at].used).unwrap_or(0);
            let old = std::mem::replace(&mut self.lanes[oldest], lane);
            if !old.waiting.is_empty() {
                self.left.extend([&old.tail[..], &old.waiting, b"\n"].concat());
            }
            oldest
        });
        self.lanes[at].used = self.uses;
        &mut self.lanes[at]
    }

    /// Takes a whole value.
    fn judge(&mut self, value: &[u8], text: &mut Text) {
        if value.is_empty() {
            return;
        }
        let path = self.path;
        let lane = self.lane(path);
        let (length, before) = (lane.length, lane.hash);
        let hashed = hash::digest(0, value);
        let is_same = length == value.len() && before == hashed;
        if is_same && !lane.varies {
            lane.repeats = lane.repeats.saturating_add(1);
            return;
        }
        if is_same && length > TOKEN_BYTES {
            return;
        }
        let from = if lane.is_begun_by(value) { length } else { 0 };
        self.say_again(text);
        let lane = self.lane(path);
        (lane.length, lane.hash) = (value.len(), hashed);
        self.say(path, &value[from..], text);
    }

    /// Another value comes to the lane: if it is the second one, short first ones that came again were pieces.
    fn say_again(&mut self, text: &mut Text) {
        let path = self.path;
        let lane = self.lane(path);
        let is_second = lane.length > 0 && !lane.varies;
        lane.varies |= is_second;
        if !is_second || lane.length > TOKEN_BYTES {
            return;
        }
        let again = lane.repeats.min(TOKEN_BYTES as u8);
        let first = if again > 0 { lane.tail.clone() } else { Vec::new() };
        for _ in 0..again {
            self.say(path, &first, text);
        }
    }

    /// Adds to a lane's text.
    fn say(&mut self, path: u64, part: &[u8], text: &mut Text) {
        let goes_on = self.current == Some(path);
        if goes_on {
            text.push(part);
            return self.lane(path).remember(part);
        }
        // For which another may be forgotten.
        self.lane(path);
        self.say_left(text);
        let lane = self.lane(path);
        lane.turns = lane.turns.saturating_add(1);
        if lane.turns <= TURNS {
            lane.take_turn(part, text);
        } else {
            lane.waiting.extend_from_slice(part);
            if lane.waiting.len() < TURN_BYTES {
                return;
            }
            let part = std::mem::take(&mut lane.waiting);
            if lane.is_no_text(&part) {
                return lane.remember(&part);
            }
            lane.take_turn(&part, text);
        }
        self.current = Some(path);
    }

    /// Says what lanes had to say that are forgotten.
    fn say_left(&mut self, text: &mut Text) {
        if !self.left.is_empty() {
            text.part();
            text.push(&std::mem::take(&mut self.left));
            text.part();
            self.current = None;
        }
    }

    /// Says what lanes wait to say, as nothing has come for a while: what follows goes on from it.
    pub(super) fn rest(&mut self, text: &mut Text) {
        self.say_left(text);
        for lane in &mut self.lanes {
            if lane.waiting.is_empty() || lane.is_no_text(&lane.waiting) {
                continue;
            }
            let waiting = std::mem::take(&mut lane.waiting);
            lane.take_turn(&waiting, text);
            self.current = Some(lane.path);
        }
    }

    /// Ends all of them.
    pub(super) fn end(&mut self, text: &mut Text) {
        for lane in &mut self.lanes {
            let waiting = std::mem::take(&mut lane.waiting);
            if !waiting.is_empty() {
                lane.take_turn(&waiting, text);
            }
        }
        self.say_left(text);
        text.part();
        *self = Self::default();
    }
}

impl Lane {
    /// Says more, behind what another lane said.
    fn take_turn(&mut self, part: &[u8], text: &mut Text) {
        text.part();
        text.push(&self.tail);
        text.push(part);
        self.remember(part);
    }

    /// Whether this and what it said before are numbers without an end, such as times and identifiers. Signs part words
    /// as blanks do (`how_to_`), so that no blank in it says nothing; and a value that is read before its end is read.
    fn is_no_text(&self, part: &[u8]) -> bool {
        if part.len() >= AHEAD_BYTES || self.tail.len() < TURN_BYTES {
            return false;
        }
        let both = || self.tail.iter().chain(part);
        let digits = both().filter(|byte| byte.is_ascii_digit()).count();
        let (mut letters, mut is_hex) = (0, true);
        digits * BYTES_A_DIGIT >= self.tail.len() + part.len()
            && both().all(|byte| {
                letters = if byte.is_ascii_alphabetic() { letters + 1 } else { 0 };
                is_hex = byte.is_ascii_hexdigit() && (is_hex || letters <= 1);
                byte.is_ascii_graphic() && (letters < WORD_LETTERS || is_hex)
            })
    }

    /// Whether a value begins with the whole one before, and goes on.
    fn is_begun_by(&self, value: &[u8]) -> bool {
        let begins = self.length >= 2 && value.len() > self.length;
        begins && hash::digest(0, &value[..self.length]) == self.hash
    }

    /// Keeps the end of what was said, from the beginning of a word if there is one.
    fn remember(&mut self, part: &[u8]) {
        let part = &part[part.len().saturating_sub(TAIL_BYTES)..];
        self.tail.extend_from_slice(part);
        if self.tail.len() <= TAIL_BYTES {
            return;
        }
        let excess = self.tail.len() - TAIL_BYTES;
        let word = self.tail[excess..].iter().position(|&byte| byte == b' ' || byte == b'\n');
        let letter = self.tail[excess..].iter().position(|&byte| byte & 0xc0 != 0x80);
        self.tail.drain(..excess + word.or(letter).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests;
