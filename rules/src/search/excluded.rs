//! What a search leaves out: `-word`, `-"two words"`, `-site:a.example`, `NOT word`.
//!
//! To an engine these words are not asked for; to whoever counts words they could speak for a lesson or for help.

/// The text without what it excludes; `None` where it excludes nothing, as nearly all do, or asks for nothing else.
pub(super) fn without_excluded(text: &str) -> Option<String> {
    if !text.contains(DASHES) && !text.contains("NOT ") {
        return None;
    }
    let mut kept = String::new();
    let mut is_cut = false;
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let excluded = match rest.strip_prefix(DASHES) {
            // A dash by itself stands between words.
            Some(after) => {
                Some(after).filter(|after| after.starts_with(|next: char| !next.is_whitespace()))
            }
            None => rest.strip_prefix("NOT ").map(str::trim_start),
        };
        let (term, after) = split_term(excluded.unwrap_or(rest));
        if excluded.is_some() {
            is_cut = true;
        } else {
            kept.push_str(term);
            kept.push(' ');
        }
        rest = after.trim_start();
    }
    kept.truncate(kept.trim_end().len());
    (is_cut && !kept.is_empty()).then_some(kept)
}

/// What is written for a minus, by people and by the programs that they type into.
const DASHES: [char; 6] = ['-', '\u{2010}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2212}'];

/// The first term, and what comes after it: up to a blank, or all between quotation marks or brackets.
fn split_term(text: &str) -> (&str, &str) {
    let start = text.find([' ', '"', '(']).unwrap_or(text.len());
    let closing = match text.as_bytes().get(start) {
        Some(b'"') => '"',
        Some(b'(') => ')',
        _ => return text.split_at(start),
    };
    let inside = &text[start + 1..];
    match inside.find(closing) {
        Some(end) => text.split_at(start + 1 + end + 1),
        // One that is not closed is no more than a mark.
        None => text.split_at(text.find(' ').unwrap_or(text.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_search_excludes_is_no_part_of_what_it_asks_for() {
        for (text, expected) in [
            ("buy weed near me -nhs", Some("buy weed near me")),
            ("how to make a pipe bomb -minecraft -lesson", Some("how to make a pipe bomb")),
            ("-nhs buy weed", Some("buy weed")),
            ("buy weed -\"national health\" near me", Some("buy weed near me")),
            ("buy weed -site:nhs.uk", Some("buy weed")),
            ("buy weed -intitle:\"help with\" now", Some("buy weed now")),
            ("buy weed -(nhs OR help)", Some("buy weed")),
            ("buy weed NOT nhs", Some("buy weed")),
            ("buy weed NOT \"the nhs\" near", Some("buy weed near")),
            ("buy weed \u{2013}nhs \u{2212}help", Some("buy weed")),
            ("buy weed -\"nhs near me", Some("buy weed near me")),
            ("\"self-harm -tips\" -nhs", Some("\"self-harm -tips\"")),
            ("self-harm", None),
            ("a - b", None),
            ("do not -", None),
            ("-nhs", None),
            ("cats", None),
            ("", None),
        ] {
            assert_eq!(without_excluded(text).as_deref(), expected, "{text}");
        }
    }
}
