//! Cookies that hold a site's safe mode: set, the others kept.

use std::borrow::Cow;

/// A cookie to set.
#[derive(Clone, Copy, Debug)]
pub(super) struct CookieSetting<'s> {
    pub(super) name: &'s str,
    /// The part of the cookie's `a=1&b=2` that is set; the whole value where there is none.
    pub(super) part: Option<&'s str>,
    pub(super) value: &'s str,
    /// Whether it is added where the request has none.
    pub(super) add: bool,
}

/// One `Cookie` field with all settings made, in place of the fields given, or `None` where they have
/// them already. HTTP/2 may send a cookie a field (RFC 9113, 8.2.3); one field holds them all.
pub(super) fn set(fields: &[&str], settings: &[CookieSetting<'_>]) -> Option<String> {
    let mut is_placed = vec![false; settings.len()];
    let mut is_changed = false;
    let mut made: Vec<Cow<'_, str>> = Vec::new();
    let cookies = fields.iter().flat_map(|field| field.split(';'));
    for cookie in cookies.map(str::trim).filter(|cookie| !cookie.is_empty()) {
        let (name, value) = cookie.split_once('=').unwrap_or((cookie, ""));
        let Some(place) = settings.iter().position(|setting| setting.name == name.trim()) else {
            made.push(cookie.into());
            continue;
        };
        if std::mem::replace(&mut is_placed[place], true) {
            is_changed = true;
            continue;
        }
        let wanted = format!("{}={}", settings[place].name, settings[place].applied(value.trim()));
        is_changed |= wanted != cookie;
        made.push(wanted.into());
    }
    for (setting, is_placed) in settings.iter().zip(is_placed) {
        if setting.add && !is_placed {
            is_changed = true;
            made.push(format!("{}={}", setting.name, setting.applied("")).into());
        }
    }
    is_changed.then(|| made.join("; "))
}

impl CookieSetting<'_> {
    /// The value that a cookie of this value gets.
    fn applied(&self, value: &str) -> String {
        let Some(part) = self.part else { return self.value.to_owned() };
        let is_part = |piece: &&str| {
            piece.split('=').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(part))
        };
        let mut pieces: Vec<String> = value
            .split('&')
            .filter(|piece| !piece.is_empty() && !is_part(piece))
            .map(str::to_owned)
            .collect();
        let place = value.split('&').filter(|piece| !piece.is_empty()).position(|it| is_part(&it));
        pieces.insert(place.unwrap_or(pieces.len()), format!("{part}={}", self.value));
        pieces.join("&")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_set_once_and_the_others_are_kept() {
        let settings =
            [CookieSetting { name: "safesearch", part: None, value: "strict", add: true }];
        let cases: [(&[&str], Option<&str>); 8] = [
            (&[], Some("safesearch=strict")),
            (&["country=gb"], Some("country=gb; safesearch=strict")),
            (&["safesearch=off; country=gb"], Some("safesearch=strict; country=gb")),
            (&["safesearch=strict;country=gb"], None),
            (&["a=1", "safesearch=strict"], None),
            (&["a=1", "safesearch=off", "b=2"], Some("a=1; safesearch=strict; b=2")),
            (&["safesearch=strict; safesearch=off"], Some("safesearch=strict")),
            (&["safesearch; a=b=c; ;"], Some("safesearch=strict; a=b=c")),
        ];
        for (fields, expected) in cases {
            let made = set(fields, &settings);
            assert_eq!(made.as_deref(), expected, "{fields:?}");
            assert_eq!(made.and_then(|made| set(&[&made], &settings)), None, "{fields:?}");
        }
        let if_there = [CookieSetting { add: false, ..settings[0] }];
        assert_eq!(set(&["a=1"], &if_there), None);
    }

    #[test]
    fn a_part_of_a_cookie_is_set_and_its_other_parts_are_kept() {
        let settings =
            [CookieSetting { name: "PREFS", part: Some("ADLT"), value: "STRICT", add: true }];
        let cases = [
            ("PREFS=ADLT=OFF&NRSLT=10", Some("PREFS=ADLT=STRICT&NRSLT=10")),
            ("PREFS=NRSLT=10&adlt=OFF&X=1", Some("PREFS=NRSLT=10&ADLT=STRICT&X=1")),
            ("PREFS=NRSLT=10", Some("PREFS=NRSLT=10&ADLT=STRICT")),
            ("PREFS=ADLT=STRICT&ADLT=OFF", Some("PREFS=ADLT=STRICT")),
            ("PREFS=NRSLT=10&ADLT=STRICT", None),
            ("a=1", Some("a=1; PREFS=ADLT=STRICT")),
        ];
        for (field, expected) in cases {
            let made = set(&[field], &settings);
            assert_eq!(made.as_deref(), expected, "{field}");
            assert_eq!(made.and_then(|made| set(&[&made], &settings)), None, "{field}");
        }
    }
}
