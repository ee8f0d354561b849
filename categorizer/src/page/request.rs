//! What somebody wrote, in the body of a request: prompts to assistants, messages, comments.

mod form;
mod multipart;

use super::extract::parameter;
use super::json::{Json, Place, Strings};
use super::lanes::is_json;
use super::text::Text;
use form::Form;
use multipart::Multipart;

/// A value up to which it is judged as a whole; all of a longer one is text.
pub const MAX_VALUE_BYTES: usize = 64 << 10;
/// How deep JSON stands in strings of JSON.
const MAX_NESTING: u8 = 3;

/// Keys of what people write, in the shapes of the large assistants and of what copies them.
const KEYS: [&[u8]; 21] = [
    b"body",
    b"comment",
    b"content",
    b"description",
    b"input",
    b"instruction",
    b"instructions",
    b"message",
    b"messages",
    b"name",
    b"parts",
    b"prompt",
    b"q",
    b"query",
    b"question",
    b"subject",
    b"system",
    b"text",
    b"title",
    b"value",
    b"v",
];

/// Takes the text out of the body of a request that comes in pieces, decoded.
///
/// - JSON: values under a key of those that people write under, under none, and any with a blank in it;
///   JSON within a string too, and its keys that have a blank in them. An assistant is sent what was said before each time, and it is all read.
/// - Forms: all values, and JSON within them.
/// - Multipart: all fields that are no file.
/// - Plain text. What is JSON is read as such, as some pages send it so, which browsers let them send anywhere, and as web
///   sockets say of nothing what it is. Of what begins as JSON and is longer than [`MAX_VALUE_BYTES`], so that whether it
///   is shows too late, keys and what stands outside of strings are text too.
///
/// Values are parted. Memory is bounded by some [`MAX_VALUE_BYTES`].
#[derive(Debug)]
pub struct RequestText {
    kind: Kind,
    values: Values,
}

#[derive(Debug)]
enum Kind {
    Json(Json),
    Form(Form),
    Multipart(Box<Multipart>),
    Plain,
}

impl RequestText {
    /// Starts with a body, if it is of a kind that people's words are sent in.
    #[must_use]
    pub fn new(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let kind = match kind.as_str() {
            "application/x-www-form-urlencoded" => Kind::Form(Form::default()),
            "multipart/form-data" => {
                Kind::Multipart(Box::new(Multipart::new(parameter(content_type, "boundary")?)))
            }
            "text/plain" => Kind::Plain,
            "application/json" | "text/json" | "application/x-ndjson" => {
                Kind::Json(Json::default())
            }
            _ if kind.ends_with("+json") => Kind::Json(Json::default()),
            _ => return None,
        };
        Some(Self { kind, values: Values::default() })
    }

    /// Takes the bytes that come next and hands on the text that is whole.
    pub fn push(&mut self, bytes: &[u8], out: &mut dyn FnMut(&str)) {
        for piece in bytes.chunks(super::decoder::PIECE_BYTES) {
            match &mut self.kind {
                Kind::Json(json) => json.push(piece, &mut self.values),
                Kind::Form(form) => form.push(piece, &mut self.values),
                Kind::Multipart(multipart) => multipart.push(piece, &mut self.values),
                Kind::Plain => {
                    if !self.values.is_within {
                        self.values.begin_value(true);
                    }
                    if self.values.is_full(piece) && begins_json(&self.values.value) {
                        self.kind = Kind::Json(self.values.long_json(piece));
                    } else {
                        self.values.take(piece);
                    }
                }
            }
            self.values.text.read(out);
        }
    }

    /// Ends the body.
    pub fn end(&mut self, out: &mut dyn FnMut(&str)) {
        match &mut self.kind {
            Kind::Json(json) => json.end(&mut self.values),
            Kind::Form(form) => form.end(&mut self.values),
            Kind::Multipart(multipart) => multipart.end(&mut self.values),
            Kind::Plain if self.values.is_within => self.values.end(),
            Kind::Plain => {}
        }
        self.values.text.part();
        self.values.text.read_last(out);
    }
}

/// Judges values one after another.
#[derive(Debug, Default)]
struct Values {
    text: Text,
    value: Vec<u8>,
    /// Whether the value is text whatever it is.
    is_told: bool,
    is_long: bool,
    is_within: bool,
    nesting: u8,
    /// Whether nothing is left out, as it may be no JSON.
    is_all_text: bool,
}

impl Values {
    fn begin_value(&mut self, is_told: bool) {
        self.text.part();
        self.value.clear();
        self.is_long = false;
        self.is_within = true;
        self.is_told = is_told;
    }

    /// Whether it is longer with this than what is judged as a whole.
    fn is_full(&self, part: &[u8]) -> bool {
        !self.is_long && self.value.len() + part.len() > MAX_VALUE_BYTES
    }

    /// Reads the value, which goes on with this part, as JSON from its beginning.
    fn long_json(&mut self, part: &[u8]) -> Json {
        let value = std::mem::take(&mut self.value);
        (self.is_within, self.is_all_text) = (false, true);
        let mut json = Json::default();
        json.push(&value, self);
        json.push(part, self);
        json
    }
}

impl Strings for Values {
    fn begin(&mut self, place: &Place) {
        let key = place.key();
        self.begin_value(self.is_all_text || key.is_empty() || KEYS.contains(&key));
    }

    fn take(&mut self, part: &[u8]) {
        if !self.is_long && self.value.len() + part.len() <= MAX_VALUE_BYTES {
            self.value.extend_from_slice(part);
            return;
        }
        if !self.is_long {
            self.is_long = true;
            self.text.push(&self.value);
            self.value.clear();
        }
        self.text.push(part);
    }

    fn end(&mut self) {
        self.is_within = false;
        let value = std::mem::take(&mut self.value);
        if self.nesting < MAX_NESTING
            && is_json(&value)
            && let Some(whole) = whole_json(&value)
        {
            self.nesting += 1;
            let mut json = Json::default();
            json.push(&value, self);
            json.end(self);
            self.nesting -= 1;
            self.text.part();
            for key in spoken_keys(&whole) {
                self.text.push(key.as_bytes());
                self.text.part();
            }
        } else if self.is_told || value.trim_ascii().contains(&b' ') {
            self.text.push(&value);
        }
        self.text.part();
    }

    fn beside(&mut self, part: &[u8]) {
        // Of JSON within a value that is told as a whole.
        if self.is_all_text && self.nesting == 0 {
            self.text.push(part);
        }
    }
}

/// Whether a value begins as JSON does, behind the digits that some send its length in.
fn begins_json(value: &[u8]) -> bool {
    let value = value.trim_ascii_start();
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    matches!(value[digits..].trim_ascii_start().first(), Some(b'{' | b'['))
}

/// A value that is JSON and nothing else, behind the digits that some send its length in. What only looks so is what
/// somebody wrote.
fn whole_json(value: &[u8]) -> Option<serde_json::Value> {
    let value = value.trim_ascii();
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    serde_json::from_slice(&value[digits..]).ok()
}

/// Keys that are no names, as they have a blank in them: a sentence in brackets is JSON too.
fn spoken_keys(json: &serde_json::Value) -> Vec<&str> {
    let (mut keys, mut left) = (Vec::new(), vec![json]);
    while let Some(value) = left.pop() {
        match value {
            serde_json::Value::Array(values) => left.extend(values),
            serde_json::Value::Object(fields) => {
                keys.extend(fields.keys().map(String::as_str).filter(|key| key.contains(' ')));
                left.extend(fields.values());
            }
            _ => {}
        }
    }
    keys
}

#[cfg(test)]
mod tests;
