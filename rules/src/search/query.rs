//! Parameters of a URL's query: found however they are spelt, set once, the others left as they are.

use std::borrow::Cow;

/// A parameter to set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'s> {
    pub(super) name: &'s str,
    pub(super) value: &'s str,
    /// Whether it is added where the query has none.
    pub(super) add: bool,
}

/// The path and the query of a request target. A fragment belongs to neither (RFC 9112, 3.2), and a
/// server that kept it might read parameters from it.
pub(crate) fn split(path_and_query: &str) -> (&str, Option<&str>) {
    let target = path_and_query.split('#').next().unwrap_or_default();
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// The raw name and value of each parameter. Between `;` too, as some servers read them.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pieces = query.split('&').flat_map(|piece| piece.split(';'));
    pieces.map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

/// Whether a raw name is this one to any server: decoded, without case, blanks and control characters
/// around it, up to the bracket that makes an array of it, or to a NUL.
pub(crate) fn is_named(raw: &str, name: &str) -> bool {
    // Most parameters are as they seem.
    if raw.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return raw.eq_ignore_ascii_case(name);
    }
    let decoded = decode(raw);
    let end = decoded.iter().position(|byte| matches!(byte, b'[' | 0)).unwrap_or(decoded.len());
    let is_blank = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    let Some(start) = decoded[..end].iter().position(|byte| !is_blank(byte)) else { return false };
    let last = decoded[..end].iter().rposition(|byte| !is_blank(byte)).unwrap_or(start);
    decoded[start..=last].eq_ignore_ascii_case(name.as_bytes())
}

/// The query with all settings made, or `None` where it has them already. What is set stands where the
/// first of its name stood, and every other of its name is gone.
pub(super) fn set(query: &str, settings: &[Setting<'_>]) -> Option<String> {
    let setting_of = |piece: &str| {
        let name = piece.split('=').next().unwrap_or_default();
        settings.iter().position(|setting| is_named(name, setting.name))
    };
    let mut is_placed = vec![false; settings.len()];
    let mut is_wanted: Vec<bool> = settings.iter().map(|setting| setting.add).collect();
    let mut pieces: Vec<Cow<'_, str>> = Vec::new();
    for piece in query.split('&') {
        let parts: Vec<&str> = piece.split(';').collect();
        let kept: Vec<&str> = parts
            .iter()
            .filter(|part| {
                let found = setting_of(part);
                if let Some(place) = found {
                    is_wanted[place] = true;
                }
                found.is_none()
            })
            .copied()
            .collect();
        if kept.len() == parts.len() {
            pieces.push(piece.into());
        } else if let ([part], Some(place)) = (&parts[..], setting_of(parts[0])) {
            let wanted = pair(&settings[place]);
            if !std::mem::replace(&mut is_placed[place], true) {
                pieces.push(if *part == wanted { piece.into() } else { wanted.into() });
            }
        } else if !kept.is_empty() {
            pieces.push(kept.join(";").into());
        }
    }
    // An empty query is no piece before the first.
    if query.is_empty() {
        pieces.clear();
    }
    for (place, setting) in settings.iter().enumerate() {
        if is_wanted[place] && !is_placed[place] {
            pieces.push(pair(setting).into());
        }
    }
    let made = pieces.join("&");
    (made != query).then_some(made)
}

fn pair(setting: &Setting<'_>) -> String {
    format!("{}={}", setting.name, setting.value)
}

/// The query without some words in the parameters of these names, or `None` where it has none of them.
pub(super) fn without_words(query: &str, names: &[String], words: &[String]) -> Option<String> {
    let is_off = |token: &str| words.iter().any(|word| token.eq_ignore_ascii_case(word));
    let is_space = |c: char| c.is_whitespace() || c.is_control();
    let is_named_so = |piece: &str| {
        let name = piece.split('=').next().unwrap_or_default();
        names.iter().any(|known| is_named(name, known))
    };
    let mut is_changed = false;
    let mut cleaned = |piece: &str| -> String {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let decoded = String::from_utf8_lossy(&decode(value)).into_owned();
        if !is_named_so(piece) || !decoded.split(is_space).any(is_off) {
            return piece.to_owned();
        }
        is_changed = true;
        let tokens = decoded.split(is_space);
        let kept: Vec<&str> = tokens.filter(|it| !it.is_empty() && !is_off(it)).collect();
        format!("{name}={}", encode(&kept.join(" ")))
    };
    // To most sites a `;` is a part of the words; to others it ends them.
    let pieces: Vec<String> = query
        .split('&')
        .map(|piece| match is_named_so(piece) {
            true => cleaned(piece),
            false => piece.split(';').map(&mut cleaned).collect::<Vec<_>>().join(";"),
        })
        .collect();
    is_changed.then(|| pieces.join("&"))
}

/// Decodes `%XX` and `+`; a stray `%` stays.
pub(super) fn decode(raw: &str) -> Cow<'_, [u8]> {
    let bytes = raw.as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return bytes.into();
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let (decoded, left) = match crate::host::escape(rest) {
            Some(decoded) => (decoded, &rest[3..]),
            None => (if byte == b'+' { b' ' } else { byte }, after),
        };
        out.push(decoded);
        rest = left;
    }
    out.into()
}

/// Encodes a value as forms do (URL Standard, application/x-www-form-urlencoded).
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAFE: Setting<'static> = Setting { name: "safe", value: "active", add: true };
    const IF_THERE: Setting<'static> = Setting { name: "safeui", value: "on", add: false };

    #[test]
    fn a_setting_stands_once_and_the_rest_is_as_it_was() {
        let cases = [
            ("q=a", Some("q=a&safe=active")),
            ("", Some("safe=active")),
            ("q=a&safe=active", None),
            ("safe=active&q=a", None),
            ("safe=off&q=%C3%A9+b&hl=en", Some("safe=active&q=%C3%A9+b&hl=en")),
            ("q=a&safe=active&safe=off", Some("q=a&safe=active")),
            ("safe=off&q=a&safe=active", Some("safe=active&q=a")),
            ("q=a&%73afe=off", Some("q=a&safe=active")),
            ("q=a&%73%61%66%65=off", Some("q=a&safe=active")),
            ("q=a&SAFE=off", Some("q=a&safe=active")),
            ("q=a&+safe=off", Some("q=a&safe=active")),
            ("q=a&safe%00=off", Some("q=a&safe=active")),
            ("q=a&safe%00x=off", Some("q=a&safe=active")),
            ("q=a&safe[]=off", Some("q=a&safe=active")),
            ("q=a&safe%5B0%5D=off", Some("q=a&safe=active")),
            ("q=a&safe", Some("q=a&safe=active")),
            ("q=a&safe=", Some("q=a&safe=active")),
            ("q=a;safe=off", Some("q=a&safe=active")),
            ("q=a;safe=off&b=1;c=2", Some("q=a&b=1;c=2&safe=active")),
            ("q=a&amp;safe=off", Some("q=a&amp&safe=active")),
            ("safe=off;safe=off", Some("safe=active")),
            ("q=a&unsafe=1&safety=2&s=3", Some("q=a&unsafe=1&safety=2&s=3&safe=active")),
            ("q=%2573afe%3Doff", Some("q=%2573afe%3Doff&safe=active")),
            ("q=100%&x=%zz", Some("q=100%&x=%zz&safe=active")),
            ("&&q=a&", Some("&&q=a&&safe=active")),
            ("q=a&safeui=off", Some("q=a&safeui=on&safe=active")),
            ("q=a=b&=c&==", Some("q=a=b&=c&==&safe=active")),
        ];
        for (query, expected) in cases {
            let made = set(query, &[SAFE, IF_THERE]);
            assert_eq!(made.as_deref(), expected, "{query}");
            assert_eq!(made.and_then(|made| set(&made, &[SAFE, IF_THERE])), None, "{query}");
        }
    }

    #[test]
    fn words_that_turn_the_safe_mode_off_are_taken_out() {
        let (names, words) = (["q".to_owned()], ["!safeoff".to_owned()]);
        let cases = [
            ("q=cats", None),
            ("q=%21safeoff", Some("q=")),
            ("q=caf%C3%A9+!SafeOff&kp=1", Some("q=caf%C3%A9&kp=1")),
            ("x=!safeoff&q=a%09!safeoff%20b", Some("x=!safeoff&q=a+b")),
            ("q=not!safeoff", None),
            ("%71=!safeoff+a", Some("%71=a")),
            ("x=1;q=!safeoff+a", Some("x=1;q=a")),
            ("q=a;q=b+!safeoff", Some("q=a%3Bq%3Db")),
        ];
        for (query, expected) in cases {
            assert_eq!(without_words(query, &names, &words).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn a_fragment_is_no_part_of_a_target() {
        assert_eq!(split("/a?b#c?d"), ("/a", Some("b")));
        assert_eq!(split("/a#?b"), ("/a", None));
        assert_eq!(split("/a?"), ("/a", Some("")));
    }
}
