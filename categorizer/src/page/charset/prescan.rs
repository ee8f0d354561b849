//! What a page says of its own encoding: the HTML standard's prescan (13.2.3.2).

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::known;

/// What the first bytes of a page say.
pub(super) fn encoding(head: &[u8]) -> Option<&'static Encoding> {
    // An XML declaration without a mark.
    if head.starts_with(b"<\0?\0x\0") {
        return Some(UTF_16LE);
    }
    if head.starts_with(b"\0<\0?\0x") {
        return Some(UTF_16BE);
    }
    by_meta(head).or_else(|| by_declaration(head)).map(|encoding| {
        // A page whose ASCII could be read is in neither of these.
        if encoding == UTF_16LE || encoding == UTF_16BE {
            UTF_8
        } else if encoding == encoding_rs::X_USER_DEFINED {
            WINDOWS_1252
        } else {
            encoding
        }
    })
}

fn by_meta(head: &[u8]) -> Option<&'static Encoding> {
    let mut at = 0;
    while at < head.len() {
        let rest = &head[at..];
        if rest.starts_with(b"<!--") {
            // The two hyphens of `-->` may be those of `<!--`.
            at += 2 + memchr::memmem::find(&rest[2..], b"-->")? + 3;
        } else if rest.len() > 5
            && rest[..5].eq_ignore_ascii_case(b"<meta")
            && (is_space(rest[5]) || rest[5] == b'/')
        {
            let mut attributes = Attributes { bytes: head, at: at + 5 };
            if let Some(encoding) = meta(&mut attributes) {
                return Some(encoding);
            }
            at = attributes.at;
        } else if is_tag(rest) {
            at += rest.iter().position(|&byte| is_space(byte) || byte == b'>')?;
            let mut attributes = Attributes { bytes: head, at };
            while attributes.next().is_some() {}
            at = attributes.at + 1;
        } else if rest.starts_with(b"<!") || rest.starts_with(b"</") || rest.starts_with(b"<?") {
            at += memchr::memchr(b'>', rest)? + 1;
        } else {
            at += 1;
        }
    }
    None
}

fn is_tag(rest: &[u8]) -> bool {
    match rest {
        [b'<', b'/', letter, ..] | [b'<', letter, ..] => letter.is_ascii_alphabetic(),
        _ => false,
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

/// What the attributes of one `meta` say.
fn meta(attributes: &mut Attributes<'_>) -> Option<&'static Encoding> {
    let (mut is_pragma, mut needs_pragma) = (false, None);
    let mut charset = None;
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for (name, value) in attributes {
        if seen.contains(&name) {
            continue;
        }
        match &name[..] {
            b"http-equiv" => is_pragma |= value == b"content-type",
            b"content" if charset.is_none() => {
                if let Some(encoding) = in_content(&value) {
                    charset = Some(encoding);
                    needs_pragma = Some(true);
                }
            }
            b"charset" => {
                charset = known(&value);
                needs_pragma = Some(false);
            }
            _ => {}
        }
        seen.push(name);
    }
    if needs_pragma? && !is_pragma { None } else { charset }
}

/// `text/html; charset=...` (HTML, 2.6.5).
fn in_content(value: &[u8]) -> Option<&'static Encoding> {
    let mut rest = value;
    loop {
        let at = memchr::memmem::find(rest, b"charset")?;
        rest = rest[at + 7..].trim_ascii_start();
        let Some(after) = rest.strip_prefix(b"=") else { continue };
        let after = after.trim_ascii_start();
        let label = match after.first()? {
            quote @ (b'"' | b'\'') => after[1..].split(|byte| byte == quote).next()?,
            _ => after.split(|&byte| is_space(byte) || byte == b';').next()?,
        };
        return known(label);
    }
}

/// `<?xml version="1.0" encoding="..."?>`, which browsers read as well.
fn by_declaration(head: &[u8]) -> Option<&'static Encoding> {
    let declaration = head.strip_prefix(b"<?xml")?;
    let declaration = &declaration[..memchr::memchr(b'>', declaration)?];
    let at = memchr::memmem::find(declaration, b"encoding")?;
    let rest = declaration[at + 8..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let quote = *rest.first().filter(|&&byte| byte == b'"' || byte == b'\'')?;
    known(rest[1..].split(|&byte| byte == quote).next()?)
}

/// The attributes of a tag, names and values in lower case. Behind the last, `at` is at the `>`.
struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Attributes<'_> {
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while self.byte().is_some_and(is_space) {
            self.at += 1;
        }
    }
}

impl Iterator for Attributes<'_> {
    type Item = (Vec<u8>, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.byte().is_some_and(|byte| is_space(byte) || byte == b'/') {
            self.at += 1;
        }
        if self.byte()? == b'>' {
            return None;
        }
        let (mut name, mut value) = (Vec::new(), Vec::new());
        loop {
            match self.byte()? {
                b'=' if !name.is_empty() => break,
                byte if is_space(byte) => {
                    self.skip_spaces();
                    if self.byte()? == b'=' {
                        break;
                    }
                    return Some((name, value));
                }
                b'/' | b'>' => return Some((name, value)),
                byte => name.push(byte.to_ascii_lowercase()),
            }
            self.at += 1;
        }
        self.at += 1;
        self.skip_spaces();
        let quote = self.byte().filter(|&byte| byte == b'"' || byte == b'\'');
        self.at += usize::from(quote.is_some());
        loop {
            let byte = self.byte()?;
            match quote {
                Some(quote) if byte == quote => {
                    self.at += 1;
                    return Some((name, value));
                }
                None if is_space(byte) || byte == b'>' => return Some((name, value)),
                _ => value.push(byte.to_ascii_lowercase()),
            }
            self.at += 1;
        }
    }
}
