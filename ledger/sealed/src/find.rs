//! Looking for a text inside many others, without regard to ASCII case.

use memchr::memchr2_iter;

/// Bytes by how common they are in addresses, roughly; those not named are rarer.
const COMMON: &[u8] = b"/.-_etaoinsrlcdmpuhgwb0123456789fvykjxqz";

/// A text to look for.
pub(crate) struct Finder {
    lower: Vec<u8>,
    /// Place in the text of its rarest byte, which is looked for first, in both its cases.
    place: usize,
    cases: [u8; 2],
}

impl Finder {
    pub(crate) fn new(text: &str) -> Self {
        let lower = text.to_ascii_lowercase().into_bytes();
        let rarity =
            |byte: u8| COMMON.iter().position(|known| *known == byte).unwrap_or(COMMON.len());
        let place = (0..lower.len()).max_by_key(|place| rarity(lower[*place])).unwrap_or(0);
        let byte = lower.get(place).copied().unwrap_or(0);
        Self { lower, place, cases: [byte, byte.to_ascii_uppercase()] }
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.lower.len()
    }

    /// Where it begins in some bytes, each place in turn; for an empty text none.
    pub(crate) fn places<'b>(&'b self, bytes: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
        let [lower, upper] = self.cases;
        memchr2_iter(lower, upper, if self.lower.is_empty() { &[] } else { bytes })
            .filter_map(|hit| hit.checked_sub(self.place))
            .filter(|start| {
                let found = bytes.get(*start..*start + self.lower.len());
                found.is_some_and(|found| found.eq_ignore_ascii_case(&self.lower))
            })
    }

    /// Whether it stands in a text.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.lower.is_empty() || self.places(text.as_bytes()).next().is_some()
    }

    /// Whether a first part of it, but not all, stands at the end of a host.
    pub(crate) fn may_begin_in(&self, host: &str) -> bool {
        let host = host.as_bytes();
        if !host.last().is_some_and(|last| self.lower.contains(&last.to_ascii_lowercase())) {
            return false;
        }
        (1..self.lower.len().min(host.len() + 1))
            .any(|length| host[host.len() - length..].eq_ignore_ascii_case(&self.lower[..length]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_found_without_regard_to_case() {
        let cases = [
            ("Maths", "/maths/1", true),
            ("MATHS/1", "/Maths/1", true),
            ("maths/12", "/maths/1", false),
            ("", "", true),
            ("\u{e9}", "/caf\u{e9}", true),
            ("\u{c9}", "/caf\u{e9}", false),
        ];
        for (text, within, expected) in cases {
            assert_eq!(Finder::new(text).is_in(within), expected, "{text} in {within}");
        }
        assert!(Finder::new("test/ma").may_begin_in("www.library.test"));
        assert!(!Finder::new("test").may_begin_in("www.library.org"));
    }

    proptest! {
        #[test]
        fn the_finder_finds_what_a_plain_search_finds(
            text in "[ab/.]{0,4}",
            within in "[abAB/.]{0,12}",
        ) {
            let plain = within.to_ascii_lowercase().contains(&text.to_ascii_lowercase());
            prop_assert_eq!(Finder::new(&text).is_in(&within), plain);
        }
    }
}
