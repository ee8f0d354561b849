//! What somebody typed, out of a URL: decoded, without what could deceive its reader, of bounded length.

use super::query::decode as decode_percent;
use encoding_rs::Encoding;
use std::borrow::Cow;

/// Longest that words are kept, in characters.
pub const MAX_WORDS: usize = 512;
/// Most bytes of words that are judged; engines refuse addresses of half of that. Of more, the first and the last
/// half, which is not all that a site may read.
pub const MAX_JUDGED_BYTES: usize = 16 * 1024;
/// Most different values that are judged each by itself; no form has so many boxes.
pub const MAX_VALUES: usize = 64;
/// Longest raw value that is looked at, in bytes: the longest address that is read. Of a longer one not all is judged.
pub(super) const MAX_RAW_BYTES: usize = 64 * 1024;

/// Words as they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) text: String,
    /// All of them, up to [`MAX_JUDGED_BYTES`].
    pub(super) all: String,
    /// What is judged besides, where all is: the different values, cleaned, where there are several; and those in which
    /// marks that are not seen stand between words, with blanks in their place.
    pub(super) values: Vec<String>,
    pub(super) is_cut: bool,
    /// Whether all of them are to be judged.
    pub(super) is_whole: bool,
}

/// The text of a raw value: UTF-8 if it is that, else the first of the encodings that reads it without
/// a fault, else UTF-8 with marks where it is none.
pub(super) fn decode(
    raw: Cow<'_, str>,
    charsets: impl Iterator<Item = &'static Encoding>,
) -> String {
    let end = raw.floor_char_boundary(MAX_RAW_BYTES);
    let bytes = decode_percent(&raw[..end]);
    if let Ok(text) = std::str::from_utf8(&bytes) {
        return text.to_owned();
    }
    for charset in charsets {
        if let Some(text) = charset.decode_without_bom_handling_and_without_replacement(&bytes) {
            return text.into_owned();
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Words from the decoded values of parameters; `None` where nothing is left.
pub(super) fn clean(values: &[String]) -> Option<Words> {
    let mut all = String::new();
    values.iter().for_each(|value| clean_into(&mut all, value, Unseen::Gone));
    all.truncate(all.trim_end().len());
    if all.is_empty() {
        return None;
    }
    let end = all.char_indices().nth(MAX_WORDS).map_or(all.len(), |(place, _)| place);
    let (text, is_cut) = (all[..end].trim_end().to_owned(), end < all.len());
    let mut each = different(values);
    let apart = parted(values, |apart| apart == all || each.iter().any(|it| it == apart));
    let is_whole =
        all.len() <= MAX_JUDGED_BYTES && each.len() <= MAX_VALUES && apart.len() <= MAX_VALUES;
    if is_whole {
        each.extend(apart);
    } else {
        cut_middle(&mut all);
        each.clear();
    }
    let values = each;
    Some(Words { text, all, values, is_cut, is_whole })
}

/// What becomes of marks that are not seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unseen {
    /// They are gone.
    Gone,
    /// So they are, but for those that may part words: these are blanks.
    Blank,
}

/// Adds a value, and a blank behind it. Control characters and white space become one blank; marks that change the
/// direction of text or are not seen are gone from what is kept, as they could make a record look like another.
fn clean_into(all: &mut String, value: &str, unseen: Unseen) {
    for character in value.chars().chain([' ']) {
        let parts = unseen == Unseen::Blank && may_part(character);
        let is_blank = parts || character.is_whitespace() || character.is_control();
        let is_gone = is_unseen(character) && !parts;
        if is_gone || is_blank && (all.is_empty() || all.ends_with(' ')) {
            continue;
        }
        all.push(if is_blank { ' ' } else { character });
    }
}

/// A value by itself.
fn cleaned(value: &str, unseen: Unseen) -> String {
    let mut cleaned = String::new();
    clean_into(&mut cleaned, value, unseen);
    cleaned.truncate(cleaned.trim_end().len());
    cleaned
}

/// Values in which unseen marks may part words, which a site may read as it reads blanks, with blanks for them: else
/// `how(zero-width space)to` would be one word that nobody knows. None that is judged anyway; at most one more than
/// [`MAX_VALUES`].
fn parted(values: &[String], is_judged: impl Fn(&str) -> bool) -> Vec<String> {
    let mut parted: Vec<String> = Vec::new();
    for value in values.iter().filter(|value| value.contains(may_part)) {
        let apart = cleaned(value, Unseen::Blank);
        let is_new = !apart.is_empty() && !is_judged(&apart) && !parted.contains(&apart);
        if is_new {
            parted.push(apart);
        }
        if parted.len() > MAX_VALUES {
            break;
        }
    }
    parted
}

/// Each value by itself, cleaned; none where there is but one. Of several a site may read one alone: what the others say
/// must neither hide it nor speak against it. At most one more than [`MAX_VALUES`].
fn different(values: &[String]) -> Vec<String> {
    if values.len() < 2 {
        return Vec::new();
    }
    let mut different: Vec<String> = Vec::new();
    for value in values {
        let cleaned = cleaned(value, Unseen::Gone);
        if !cleaned.is_empty() && !different.contains(&cleaned) {
            different.push(cleaned);
        }
        if different.len() > MAX_VALUES {
            break;
        }
    }
    if different.len() < 2 { Vec::new() } else { different }
}

/// Leaves the first and the last half of what is judged at most.
fn cut_middle(all: &mut String) {
    let half = MAX_JUDGED_BYTES / 2;
    if all.len() > MAX_JUDGED_BYTES {
        // One byte less, for the blank between them.
        let (first, last) =
            (all.floor_char_boundary(half - 1), all.ceil_char_boundary(all.len() - half));
        all.replace_range(first..last, " ");
    }
}

/// Marks without a shape. The joiners of Persian, Indic scripts and emoji (U+200C, U+200D) are words'
/// own.
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Those of them at which a line may be broken, or could be in older texts (Unicode line breaking classes ZW and BK, and
/// what were spaces once): a site may part words there.
fn may_part(character: char) -> bool {
    matches!(character, '\u{180e}' | '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a malformed fixture is a failed test")]
    use super::*;

    fn text(raw: &str, charsets: &[&'static Encoding]) -> Option<String> {
        clean(&[decode(raw.into(), charsets.iter().copied())]).map(|words| words.text)
    }

    #[test]
    fn words_are_decoded_and_cleaned() {
        let cases = [
            ("cats", Some("cats")),
            ("two+words%20more", Some("two words more")),
            ("caf%C3%A9", Some("café")),
            ("café", Some("café")),
            ("%E4%BD%A0%E5%A5%BD", Some("你好")),
            ("100%25+%zz+%", Some("100% %zz %")),
            ("a%00b%0D%0Ac%09%7Fd%C2%85e", Some("a b c d e")),
            ("a%E2%80%AEb%E2%80%8Bc%C2%ADd", Some("abcd")),
            ("%D9%85%DB%8C%E2%80%8C%D8%B1%D9%88%D9%85", Some("می\u{200c}روم")),
            ("%FF%FE", Some("\u{fffd}\u{fffd}")),
            ("%2525", Some("%25")),
            ("", None),
            ("++%20%09", None),
            ("%00", None),
            ("%E2%80%8B", None),
        ];
        for (raw, expected) in cases {
            assert_eq!(text(raw, &[]).as_deref(), expected, "{raw}");
        }
    }

    #[test]
    fn words_between_unseen_marks_are_judged_apart_too() {
        let values = |raw: &[&str]| {
            let decoded: Vec<String> =
                raw.iter().map(|raw| decode((*raw).into(), std::iter::empty())).collect();
            let words = clean(&decoded).unwrap();
            (words.text, words.values)
        };
        let (text, judged) = values(&["how%E2%80%8Bto%EF%BB%BFti%C2%ADe%E2%80%8B+a"]);
        assert_eq!(text, "howtotie a");
        assert_eq!(judged, ["how to tie a"], "what parts no word is gone all the same");
        let (_, judged) = values(&["cats", "two%E2%80%8Bdogs"]);
        assert_eq!(judged, ["cats", "twodogs", "two dogs"]);
        assert!(values(&["two%C2%ADdo%E2%81%A0gs"]).1.is_empty());
        let (_, judged) = values(&["cats", "%E2%80%8Bdogs"]);
        assert_eq!(judged, ["cats", "dogs"]);
        for plain in ["how+to+tie", "%E2%80%8Bhow+to%E2%80%8B+tie%E2%80%8B"] {
            let (text, judged) = values(&[plain]);
            assert_eq!((text.as_str(), judged.len()), ("how to tie", 0), "{plain}");
        }
        // Decoys that read the same without the marks must not push out the one that is meant.
        let many = |count: usize| -> Vec<String> {
            let decoy = "a".repeat(count);
            let mut many: Vec<String> =
                (1..count).map(|at| format!("{}\u{200b}{}", &decoy[..at], &decoy[at..])).collect();
            many.push(decoy);
            many
        };
        let few = clean(&many(60)).unwrap();
        assert!(few.is_whole && few.values.len() == 59, "{}", few.values.len());
        let crowd = clean(&many(70)).unwrap();
        assert!(!crowd.is_whole && crowd.values.is_empty(), "not all of them are judged");
    }

    #[test]
    fn what_is_no_utf_8_is_read_as_the_site_writes_it() {
        let cases: [(&str, &[&'static Encoding], &str); 5] = [
            ("%EA%EE%F2", &[encoding_rs::WINDOWS_1251], "кот"),
            ("%C3%A8", &[encoding_rs::GBK], "è"),
            ("%B9%B7", &[encoding_rs::GBK], "狗"),
            ("%94L", &[encoding_rs::EUC_JP, encoding_rs::SHIFT_JIS], "猫"),
            ("%E9%FF", &[encoding_rs::EUC_KR], "\u{fffd}\u{fffd}"),
        ];
        for (raw, charsets, expected) in cases {
            assert_eq!(text(raw, charsets).as_deref(), Some(expected), "{raw}");
        }
    }

    #[test]
    fn length_is_bounded_in_characters_and_said() {
        let words = |raw: &str| clean(&[decode(raw.into(), std::iter::empty())]);
        let fits = words(&"é".repeat(MAX_WORDS));
        assert_eq!(fits.map(|it| (it.text.chars().count(), it.is_cut)), Some((MAX_WORDS, false)));
        let blanks = words(&format!("{}++", "é".repeat(MAX_WORDS)));
        assert_eq!(blanks.map(|it| it.is_cut), Some(false));
        let long = words(&"%C3%A9".repeat(MAX_WORDS + 1));
        assert_eq!(long.map(|it| (it.text.chars().count(), it.is_cut)), Some((MAX_WORDS, true)));
        let longer = words(&"a+".repeat(8000));
        assert_eq!(longer.map(|it| (it.text.chars().count(), it.is_cut)), Some((511, true)));
    }

    #[test]
    fn what_is_judged_is_longer_than_what_is_kept_and_of_too_much_has_both_ends() {
        let words = |raw: &str| clean(&[decode(raw.into(), std::iter::empty())]).unwrap();
        let short = words("cats+and+dogs");
        assert_eq!(short.all, short.text);
        let padded = words(&format!("{}+dogs", "a".repeat(MAX_WORDS)));
        assert_eq!(padded.text, "a".repeat(MAX_WORDS));
        assert_eq!(padded.all, format!("{} dogs", padded.text));
        for pad in ["a", "%C3%A9", "%F0%9F%90%88", "a+"] {
            let long = words(&format!("cats+{}+dogs", pad.repeat(4000)));
            assert!(long.is_cut && long.is_whole, "{pad}");
            let pads = pad.replace("%C3%A9", "é").replace("%F0%9F%90%88", "🐈").replace('+', " ");
            let expected = format!("cats {} dogs", pads.repeat(4000)).replace("  ", " ");
            assert_eq!(long.all, expected, "{pad}: all of it");
        }
        let longer = words(&format!("cats+{}+dogs", "é".repeat(20_000)));
        assert!(!longer.is_whole && longer.values.is_empty());
        assert!((MAX_JUDGED_BYTES - 4..=MAX_JUDGED_BYTES).contains(&longer.all.len()));
        assert!(longer.all.starts_with("cats ") && longer.all.ends_with(" dogs"));
    }

    #[test]
    fn of_several_values_each_is_there_by_itself_once() {
        let of = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
            clean(&values).unwrap()
        };
        let words = of(&["two  words", "\u{200b}", "other", "two words ", ""]);
        assert_eq!(words.all, "two words other two words");
        assert_eq!(words.values, ["two words", "other"]);
        for one in [&["cats"][..], &["cats", "", "cats "], &["cats", " "]] {
            assert_eq!(of(one).values, [""; 0], "{one:?}");
        }
        let numbers: Vec<String> = (0..=MAX_VALUES).map(|number| number.to_string()).collect();
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let (most, more) = (of(&numbers[1..]), of(&numbers));
        assert_eq!((most.values.len(), most.is_whole), (MAX_VALUES, true));
        assert_eq!((more.values.len(), more.is_whole), (0, false));
    }
}
