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
//!   phrase which others stand between is found; its last words are then read twice.
//! - A value that is JSON itself is read as such.

use super::json::{Json, Place, Strings};
use super::text::Text;
use crate::hash;

/// Lanes that are known at once; of more, the one is forgotten that was used least recently.
const MAX_LANES: usize = 32;
/// How much of what a lane said last is kept.
const TAIL_BYTES: usize = 96;
/// A value up to which it is looked into as a whole. A longer one is read as it comes.
const VALUE_BYTES: usize = 64 << 10;
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
    uses: u64,
    nesting: u8,
    /// The value that is coming: its path, what came of it, and whether that was too much to keep.
    path: u64,
    value: Vec<u8>,
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
        self.lanes.is_long = false;
    }

    /// Takes a part of the value.
    pub(super) fn take_part(&mut self, part: &[u8]) {
        let Self { lanes, text } = self;
        if !lanes.is_long && lanes.value.len() + part.len() <= VALUE_BYTES {
            lanes.value.extend_from_slice(part);
            return;
        }
        if !lanes.is_long {
            lanes.is_long = true;
            let value = std::mem::take(&mut lanes.value);
            lanes.say(lanes.path, &value, text);
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
        if lanes.nesting < MAX_NESTING && is_json(&value) {
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

impl Lanes {
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
            };
            if self.lanes.len() < MAX_LANES {
                self.lanes.push(lane);
                return self.lanes.len() - 1;
            }
            let oldest = (0..MAX_LANES).min_by_key(|&at| self.lanes[at].used).unwrap_or(0);
            self.lanes[oldest] = lane;
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
        lane.length = value.len();
        lane.hash = hashed;
        let is_first = length == 0;
        let mut again = 0;
        if !is_first && !lane.varies {
            lane.varies = true;
            if length <= TOKEN_BYTES {
                again = lane.repeats.min(TOKEN_BYTES as u8);
            }
        }
        let first = if again > 0 { lane.tail.clone() } else { Vec::new() };
        for _ in 0..again {
            self.say(path, &first, text);
        }
        let is_longer =
            length >= 2 && value.len() > length && hash::digest(0, &value[..length]) == before;
        self.say(path, &value[if is_longer { length } else { 0 }..], text);
    }

    /// Adds to a lane's text.
    fn say(&mut self, path: u64, part: &[u8], text: &mut Text) {
        let goes_on = self.current == Some(path);
        let lane = self.lane(path);
        if !goes_on {
            text.part();
            text.push(&lane.tail);
        }
        text.push(part);
        lane.remember(part);
        self.current = Some(path);
    }

    /// Ends all of them.
    pub(super) fn end(&mut self, text: &mut Text) {
        text.part();
        *self = Self::default();
    }
}

impl Lane {
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
