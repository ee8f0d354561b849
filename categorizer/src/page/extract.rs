//! The text of a body, by its media type.

use super::events::{Documents, Events, Messages};
use super::html::Html;
use super::json::{Json, Place, Strings};
use super::text::Text;
use std::borrow::Cow;

/// How the text of a body is told from what is around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// HTML, and XHTML as browsers that are sent HTML read it.
    Html,
    /// One JSON document, or several: each string value by itself. Keys are not read.
    Json,
    /// JSON documents whose values go on from one to the next, as assistants send them: one after
    /// another, a line each, or an array of them.
    JsonStream,
    /// Text as it is.
    Text,
    /// An event stream. Its messages are text, or JSON whose values go on.
    Events,
    /// Messages of a web socket, told apart by [`Extractor::end_message`]; what they are is as in an
    /// event stream.
    Messages,
}

impl Format {
    /// The format of a media type, as `Content-Type` has it. What is not read, as pictures and scripts,
    /// has none. Without a type, and with one that says nothing, it is HTML: browsers look what it is, and
    /// text is found in it either way. Of several with commas between it is the last, as browsers take it;
    /// the caller joins several fields so.
    ///
    /// JSON of an assistant's host is better read as [`Format::JsonStream`], which a type does not say.
    #[must_use]
    pub fn of(content_type: Option<&str>) -> Option<Self> {
        let kind = last_type(content_type.unwrap_or_default()).map(essence).unwrap_or_default();
        match &*kind {
            "" | "text/html" | "application/xhtml+xml" => Some(Self::Html),
            // Browsers look at the bytes (MIME Sniffing Standard, 7).
            "unknown/unknown" | "application/unknown" => Some(Self::Html),
            "text/xml" | "application/xml" => Some(Self::Html),
            "text/event-stream" => Some(Self::Events),
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/jsonlines"
            | "application/json-seq"
            | "application/stream+json" => Some(Self::JsonStream),
            "application/json" | "text/json" => Some(Self::Json),
            "multipart/byteranges" => Some(Self::Text),
            _ if kind.ends_with("+json") => Some(Self::Json),
            _ if kind.ends_with("+xml") => Some(Self::Html),
            _ => kind.strip_prefix("text/").filter(|sub| !is_of_a_page(sub)).map(|_| Self::Text),
        }
    }
}

/// Whether text of a subtype is a style or a script, which pages use and do not show.
fn is_of_a_page(sub: &str) -> bool {
    let sub = sub.strip_prefix("x-").unwrap_or(sub);
    sub.starts_with("javascript") || matches!(sub, "css" | "ecmascript" | "jscript" | "livescript")
}

/// The type and subtype, in lower case.
fn essence(media_type: &str) -> Cow<'_, str> {
    let essence = written_essence(media_type);
    // Nearly all are written so.
    match essence.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => essence.to_ascii_lowercase().into(),
        false => essence.into(),
    }
}

fn written_essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// The last of several types with commas between that says something (Fetch Standard, "extract a MIME type").
fn last_type(content_type: &str) -> Option<&str> {
    if !content_type.contains(',') {
        return Some(content_type).filter(|item| is_type(item));
    }
    types(content_type).filter(|item| is_type(item)).last()
}

/// Whether it is a type, and not any.
fn is_type(item: &str) -> bool {
    let kind = written_essence(item);
    let parts = kind.split_once('/').filter(|(top, sub)| !top.is_empty() && !sub.is_empty());
    parts.is_some() && kind != "*/*"
}

/// What stands between commas that are not within quotes.
fn types(content_type: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    content_type.split(move |c| {
        let was_escaped = is_escaped;
        is_escaped = is_quoted && !was_escaped && c == '\\';
        is_quoted ^= c == '"' && !was_escaped;
        c == ',' && !is_quoted
    })
}

/// The value of `charset` in a `Content-Type`; of several types the last one's, or else that of one before
/// it that is the same.
#[must_use]
pub fn charset_label(content_type: &str) -> Option<&str> {
    let kind = essence(last_type(content_type)?);
    let same = types(content_type).filter(|item| essence(item) == kind);
    same.filter_map(|item| parameter(item, "charset")).last()
}

/// A parameter of a field's value, without its quotes.
pub(super) fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|item| {
        let (key, value) = item.split_once('=')?;
        let value = value.trim().trim_matches('"').trim_matches('\'');
        (key.trim().eq_ignore_ascii_case(name) && !value.is_empty()).then_some(value)
    })
}

/// Takes the text out of a body that comes in pieces of UTF-8, or what goes for it. What comes out hangs
/// on the whole body alone, not on how it is cut.
///
/// Memory: some KB for a page, beside at most 32 KB of attributes; up to 128 KB for the value of a stream
/// that is coming.
#[derive(Debug)]
pub struct Extractor(Kind);

#[derive(Debug)]
enum Kind {
    Html(Box<Html>),
    Json(Json),
    Documents(Documents),
    Text,
    Events(Events),
    Messages(Messages),
}

impl Extractor {
    /// Starts with a body.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self(match format {
            Format::Html => Kind::Html(Box::default()),
            Format::Json => Kind::Json(Json::default()),
            Format::JsonStream => Kind::Documents(Documents::default()),
            Format::Text => Kind::Text,
            Format::Events => Kind::Events(Events::default()),
            Format::Messages => Kind::Messages(Messages::default()),
        })
    }

    /// Takes the bytes that come next.
    pub fn push(&mut self, bytes: &[u8], text: &mut Text) {
        match &mut self.0 {
            Kind::Html(html) => html.push(bytes, text),
            Kind::Json(json) => json.push(bytes, &mut Parted(text)),
            Kind::Documents(documents) => documents.push(bytes, text),
            Kind::Text => text.push(bytes),
            Kind::Events(events) => events.push(bytes, text),
            Kind::Messages(messages) => messages.push(bytes, text),
        }
    }

    /// Ends a message; of no account in other formats.
    pub fn end_message(&mut self, text: &mut Text) {
        if let Kind::Messages(messages) = &mut self.0 {
            messages.end_message(text);
        }
    }

    /// Nothing has come for a while of what somebody reads along: what waits for more is read. Of no account in other
    /// formats.
    pub fn rest(&mut self, text: &mut Text) {
        match &mut self.0 {
            Kind::Html(_) | Kind::Json(_) | Kind::Text => {}
            Kind::Documents(documents) => documents.rest(text),
            Kind::Events(events) => events.rest(text),
            Kind::Messages(messages) => messages.rest(text),
        }
    }

    /// Ends the body.
    pub fn end(&mut self, text: &mut Text) {
        match &mut self.0 {
            Kind::Html(html) => html.end(text),
            Kind::Json(json) => json.end(&mut Parted(text)),
            Kind::Documents(documents) => documents.end(text),
            Kind::Text => text.part(),
            Kind::Events(events) => events.end(text),
            Kind::Messages(messages) => messages.end(text),
        }
    }

    /// The title of a page, as far as it came; at most [`MAX_TITLE_BYTES`](super::html::MAX_TITLE_BYTES).
    #[must_use]
    pub fn title(&self) -> &str {
        match &self.0 {
            Kind::Html(html) => html.title(),
            _ => "",
        }
    }
}

/// Values that stand by themselves.
struct Parted<'a>(&'a mut Text);

impl Strings for Parted<'_> {
    fn begin(&mut self, _: &Place) {
        self.0.part();
    }

    fn take(&mut self, part: &[u8]) {
        self.0.push(part);
    }

    fn end(&mut self) {
        self.0.part();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_have_their_formats() {
        for (kind, expected) in [
            (None, Some(Format::Html)),
            (Some("Text/HTML; charset=utf-8"), Some(Format::Html)),
            (Some("text/plain"), Some(Format::Text)),
            (Some("application/json"), Some(Format::Json)),
            (Some("application/ld+json"), Some(Format::Json)),
            (Some("application/x-ndjson"), Some(Format::JsonStream)),
            (Some("text/event-stream;charset=UTF-8"), Some(Format::Events)),
            (Some("image/png"), None),
            (Some("text/css"), None),
            (Some("text/x-javascript"), None),
            (Some("text/xml"), Some(Format::Html)),
            (Some("application/atom+xml"), Some(Format::Html)),
            (Some("image/svg+xml"), Some(Format::Html)),
            (Some("text/markdown"), Some(Format::Text)),
            (Some("text/vtt"), Some(Format::Text)),
            (Some("multipart/byteranges; boundary=x"), Some(Format::Text)),
            (Some("*/*"), Some(Format::Html)),
            (Some("unknown/unknown"), Some(Format::Html)),
            (Some("html"), Some(Format::Html)),
            (Some("text/html, text/html"), Some(Format::Html)),
            (Some("image/png, text/html"), Some(Format::Html)),
            (Some("image/png, */*, png"), None),
            (Some("image/png; a=\"x\\\", text/html\""), None),
        ] {
            assert_eq!(Format::of(kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn the_charset_is_read_with_and_without_quotes() {
        for (value, expected) in [
            ("text/html; charset=utf-8", Some("utf-8")),
            ("text/html;CHARSET=\"windows-1252\"; x=y", Some("windows-1252")),
            ("text/html; charset=", None),
            ("text/html; charset=utf-16le, text/html", Some("utf-16le")),
            ("text/html; charset=utf-8, text/html; charset=big5", Some("big5")),
            ("text/plain; charset=utf-8, text/html", None),
            ("text/html", None),
        ] {
            assert_eq!(charset_label(value), expected);
        }
    }
}
