//! `multipart/form-data` (RFC 7578): the fields that are no files.

use memchr::memmem::{self, Finder};

use super::Values;
use crate::page::extract::parameter;
use crate::page::json::Strings;

/// Longest head of a part. What has a longer one is passed over.
const MAX_HEAD_BYTES: usize = 8 << 10;

/// Reads a body of several parts.
#[derive(Debug)]
pub(super) struct Multipart {
    /// What stands between parts: a line's end, two hyphens and the boundary.
    border: Finder<'static>,
    border_length: usize,
    /// What came and cannot be told yet.
    pending: Vec<u8>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Behind a border: two hyphens end the body, else a head follows.
    Border,
    Head,
    /// Within a part, whose text is read or not.
    Part(bool),
    End,
}

impl Multipart {
    pub(super) fn new(boundary: &str) -> Self {
        let border = format!("\r\n--{boundary}");
        Self {
            border: Finder::new(border.as_bytes()).into_owned(),
            border_length: border.len(),
            // The first border begins the body, and what stands before it is no part.
            pending: b"\r\n".to_vec(),
            place: Place::Part(false),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8], values: &mut Values) {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        while let Some(taken) = self.step(rest, values) {
            rest = &rest[taken..];
        }
        self.pending.extend_from_slice(rest);
    }

    /// Takes what can be told; nothing if more is needed for that.
    fn step(&mut self, rest: &[u8], values: &mut Values) -> Option<usize> {
        match self.place {
            Place::Border => {
                let end = rest.get(..2)?;
                self.place = if end == b"--" { Place::End } else { Place::Head };
                // The line's end is left: a head of no lines ends with it.
                Some(0)
            }
            Place::Head => {
                let end = memmem::find(rest, b"\r\n\r\n");
                if end.is_none() && rest.len() <= MAX_HEAD_BYTES {
                    return None;
                }
                let is_field = end.is_some_and(|end| is_field(&rest[..end]));
                self.place = Place::Part(is_field);
                if is_field {
                    values.begin_value(true);
                }
                // The last line's end is left, as the border of an empty part begins with it.
                Some(end.map_or(0, |end| end + 2))
            }
            Place::Part(is_field) => {
                let end = self.border.find(rest);
                let kept = self.border_length - 1;
                let length = end.unwrap_or(rest.len().saturating_sub(kept));
                if is_field {
                    values.take(&rest[..length]);
                }
                if end.is_some() {
                    if is_field {
                        values.end();
                    }
                    self.place = Place::Border;
                    return Some(length + self.border_length);
                }
                (length > 0).then_some(length)
            }
            Place::End => (!rest.is_empty()).then_some(rest.len()),
        }
    }

    pub(super) fn end(&mut self, values: &mut Values) {
        if self.place == Place::Part(true) {
            values.take(&self.pending);
            values.end();
        }
        self.pending.clear();
        self.place = Place::End;
    }
}

/// Whether a part is a field of text: it has no file's name, and no type that is none of text.
fn is_field(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    let mut is_field = false;
    for line in head.split("\r\n") {
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.trim().to_ascii_lowercase().as_str() {
            "content-disposition" => {
                is_field = parameter(value, "filename").is_none()
                    && parameter(value, "filename*").is_none()
                    && parameter(value, "name").is_some();
            }
            "content-type" => {
                let kind = value.trim().to_ascii_lowercase();
                if !kind.starts_with("text/") && !kind.starts_with("application/json") {
                    return false;
                }
            }
            _ => {}
        }
    }
    is_field
}
