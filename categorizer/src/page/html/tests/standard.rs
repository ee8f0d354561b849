//! Held against html5gum, an independent tokenizer by the standard: whatever the mark-up, its text and
//! attributes are ours.

use super::super::element::{self, Attribute, Kind};
use super::{mark_up, text_of};
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Token, Tokenizer};
use proptest::prelude::*;

/// The words of a page by the other tokenizer, and the plainest reading of its tokens. Attributes stand
/// behind the text.
fn words_of(page: &str) -> (Vec<String>, Vec<String>) {
    let (mut text, mut aside) = (String::new(), String::new());
    let mut within = Kind::Plain;
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(page, emitter).flatten() {
        match token {
            Token::StartTag(tag) => {
                let element = element::element(&tag.name);
                if element.parts {
                    text.push('\n');
                }
                within = element.kind;
                let value = |name: &[u8]| {
                    let found = tag.attributes.iter().find(|one| one.0.as_slice() == name);
                    found.map(|one| String::from_utf8_lossy(one.1.as_slice()).to_lowercase())
                };
                for (name, seen) in &tag.attributes {
                    let is_seen = match element::attribute(element.kind, name) {
                        Attribute::Seen(_) => true,
                        Attribute::Value => {
                            element::shows_value(value(b"type").unwrap_or_default().as_bytes())
                        }
                        _ => false,
                    };
                    if is_seen {
                        aside.push('\n');
                        aside.push_str(&String::from_utf8_lossy(seen.as_slice()));
                    }
                }
            }
            Token::EndTag(tag) => {
                if element::element(&tag.name).parts {
                    text.push('\n');
                }
                within = Kind::Plain;
            }
            Token::String(string)
                if !matches!(within, Kind::Script | Kind::Style | Kind::IFrame | Kind::Hidden) =>
            {
                text.push_str(&String::from_utf8_lossy(string.as_slice()));
            }
            _ => {}
        }
    }
    (words(&text), words(&aside))
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Without attributes, words in order are the same. With them, all words taken together are.
fn check(page: &str) -> Result<(), TestCaseError> {
    let (text, aside) = words_of(page);
    let ours = words(&text_of(page.as_bytes(), usize::MAX).0);
    if aside.is_empty() {
        prop_assert_eq!(ours, text, "{}", page);
    } else {
        let mut theirs = [text, aside].concat();
        let mut ours = ours;
        theirs.sort();
        ours.sort();
        prop_assert_eq!(ours, theirs, "{}", page);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn mark_up_is_read_as_another_tokenizer_reads_it(page in mark_up()) {
        check(&page)?;
    }
}
