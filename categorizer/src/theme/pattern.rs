//! What a phrase of a pack stands for: its words, and how each may vary.
//!
//! - `word`: the word, or with an s at its end (`bomb`, `bombs`);
//! - `word~`: in all regular forms (`kill`, `kills`, `killed`, `killing`, `killin`);
//! - `word*`: whatever begins so (`pedo*`);
//! - `=word`: exactly so;
//! - `self-harm`: in two words or in one.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::words::words;

/// How a word may vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    Exact,
    Plain,
    Inflected,
    Beginning,
}

impl Form {
    /// All of them, in their order.
    pub(super) const ALL: [Self; 4] = [Self::Exact, Self::Plain, Self::Inflected, Self::Beginning];
}

/// A word of a phrase.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) word: String,
    pub(super) form: Form,
}

/// Most ways of saying one phrase.
const MAX_WAYS: usize = 4;
/// Most words of a phrase.
pub(super) const MAX_PARTS: usize = 10;
/// Fewest letters and bytes of what stands before a `*`: fewer would begin words of every kind.
const MIN_BEGINNING: (usize, usize) = (3, 4);

/// Why a phrase cannot be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPhrase {
    /// Nothing but marks.
    #[error("a phrase without a letter or digit")]
    Blank,
    /// More than ten words.
    #[error("a phrase has at most {MAX_PARTS} words")]
    Long,
    /// `a*`, `bo*`.
    #[error("before a * stand at least four letters")]
    ShortBeginning,
    /// `*bomb`, `bo~mb`.
    #[error("~ and * stand at the end of a word, = at its beginning")]
    Mark,
}

/// The ways in which a phrase may be written: one, or two if it has a hyphen; more where it has words that are often
/// said as one, as `want to` is `wanna`. Of each, whether it is only said so: pages are read as they are.
pub(super) fn parse(text: &str) -> Result<Vec<(Vec<Part>, bool)>, BadPhrase> {
    let mut apart = Vec::new();
    let mut joined = Vec::new();
    for chunk in text.split_whitespace() {
        let (core, form) = marked(chunk)?;
        let pieces = words(core);
        if let Some((last, before)) = pieces.split_last() {
            let exact = |word: &String| Part { word: word.clone(), form: Form::Exact };
            apart.extend(before.iter().map(exact));
            apart.push(Part { word: last.clone(), form });
            if core.contains('-') {
                joined.push(Part { word: pieces.concat(), form });
            } else {
                joined.extend(before.iter().map(exact));
                joined.push(Part { word: last.clone(), form });
            }
        }
    }
    let parts = apart.iter().chain(&joined);
    for part in parts {
        if part.word.is_empty() {
            return Err(BadPhrase::Long);
        }
        let length = (part.word.chars().count(), part.word.len());
        let is_short = length.0 < MIN_BEGINNING.0 || length.1 < MIN_BEGINNING.1;
        if part.form == Form::Beginning && is_short {
            return Err(BadPhrase::ShortBeginning);
        }
    }
    match apart.len() {
        0 => Err(BadPhrase::Blank),
        1..=MAX_PARTS => {
            let ways = if apart == joined { vec![apart] } else { vec![apart, joined] };
            let said = |way| as_said(way).into_iter().enumerate().map(|(at, way)| (way, at > 0));
            Ok(ways.into_iter().flat_map(said).collect())
        }
        _ => Err(BadPhrase::Long),
    }
}

/// Words that are often said as one: each stands for the other.
const SAID: [(&str, &str); 12] = [
    ("want to", "wanna"),
    ("going to", "gonna"),
    ("got to", "gotta"),
    ("i am", "im"),
    ("he is", "hes"),
    ("she is", "shes"),
    ("you are", "youre"),
    ("they are", "theyre"),
    ("do not", "dont"),
    ("does not", "doesnt"),
    ("my self", "myself"),
    ("your self", "yourself"),
];

/// The words by which [`SAID`] is known: the first of two, and the one.
static SAID_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let words = SAID.iter().flat_map(|(apart, joined)| [apart.split(' ').next(), Some(joined)]);
    words.flatten().collect()
});

/// A phrase, and the same with one or two words the other way ([`SAID`]).
fn as_said(parts: Vec<Part>) -> Vec<Vec<Part>> {
    // Most phrases have none of these words.
    if !parts.iter().any(|part| SAID_WORDS.contains(part.word.as_str())) {
        return vec![parts];
    }
    let mut ways = vec![parts];
    for (apart, joined) in SAID {
        let Some((first, second)) = apart.split_once(' ') else { continue };
        for at in 0..ways.len() {
            let is = |place: usize, word: &str| {
                let part = ways[at].get(place);
                part.is_some_and(|part| part.form != Form::Exact && part.word == word)
            };
            let plain = |word: &str| Part { word: word.to_owned(), form: Form::Plain };
            let place = (0..ways[at].len())
                .find(|&place| is(place, joined) || is(place, first) && is(place + 1, second));
            let Some(place) = place else { continue };
            let (taken, put) = if is(place, joined) {
                (1, vec![plain(first), plain(second)])
            } else {
                (2, vec![plain(joined)])
            };
            let mut other = ways[at].clone();
            other.splice(place..place + taken, put);
            if other.len() <= MAX_PARTS && ways.len() < MAX_WAYS && !ways.contains(&other) {
                ways.push(other);
            }
        }
    }
    ways
}

fn marked(chunk: &str) -> Result<(&str, Form), BadPhrase> {
    let marked = if let Some(core) = chunk.strip_prefix('=') {
        (core, Form::Exact)
    } else if let Some(core) = chunk.strip_suffix('~') {
        (core, Form::Inflected)
    } else if let Some(core) = chunk.strip_suffix('*') {
        (core, Form::Beginning)
    } else {
        (chunk, Form::Plain)
    };
    if marked.0.contains(['=', '~', '*']) { Err(BadPhrase::Mark) } else { Ok(marked) }
}

/// The words that a part is found in; of a beginning, itself. And the short ones that are typed for it: on a page `4` is no
/// `for`.
pub(super) fn spellings(word: &str, form: Form) -> (Vec<String>, Vec<String>) {
    let (mut all, mut short) = (vec![word.to_owned()], Vec::new());
    let is_english = word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_english && matches!(form, Form::Plain | Form::Inflected) {
        all.push(plural(word));
    }
    if is_english && form == Form::Inflected {
        for stem in stems(word) {
            all.extend([format!("{stem}ed"), format!("{stem}ing"), format!("{stem}in")]);
        }
    }
    if is_english && form != Form::Exact {
        let typed = TYPED.iter().filter(|(full, _)| *full == word);
        short.extend(typed.map(|(_, short)| (*short).to_owned()));
    }
    if word == "to" && form == Form::Plain {
        short.push("2".to_owned());
    }
    all.sort();
    all.dedup();
    (all, short)
}

/// How words are typed in messages.
const TYPED: [(&str, &str); 40] = [
    ("you", "u"),
    ("you", "ya"),
    ("your", "ur"),
    ("youre", "ur"),
    ("are", "r"),
    ("for", "4"),
    ("and", "n"),
    ("with", "wiv"),
    ("people", "ppl"),
    ("because", "cos"),
    ("because", "coz"),
    ("because", "cuz"),
    ("please", "pls"),
    ("please", "plz"),
    ("something", "summat"),
    ("something", "smth"),
    ("anything", "anythink"),
    ("tonight", "tonite"),
    ("school", "skl"),
    ("school", "skool"),
    ("mates", "m8s"),
    ("gonna", "gunna"),
    ("what", "wot"),
    ("the", "da"),
    ("without", "wivout"),
    ("before", "b4"),
    ("tomorrow", "tmrw"),
    ("tomorrow", "tomoz"),
    ("tonight", "2nite"),
    ("someone", "sum1"),
    ("someone", "sumone"),
    ("about", "abt"),
    ("really", "rly"),
    ("nothing", "nuffin"),
    ("anyone", "ne1"),
    ("think", "fink"),
    ("love", "luv"),
    ("friend", "frend"),
    ("dont", "dnt"),
    ("cant", "cnt"),
];

const VOWELS: [u8; 5] = *b"aeiou";

fn ends_in_consonant_and_y(word: &str) -> bool {
    matches!(word.as_bytes(), [.., before, b'y'] if !VOWELS.contains(before))
}

fn plural(word: &str) -> String {
    if ends_in_consonant_and_y(word) {
        return format!("{}ies", &word[..word.len() - 1]);
    }
    let hisses = ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end));
    format!("{word}{}", if hisses { "es" } else { "s" })
}

/// What -ed and -ing are put to: `cut` gives `cut` and `cutt`, `die` gives `di` and `dy`.
fn stems(word: &str) -> Vec<String> {
    let bytes = word.as_bytes();
    let without_last = &word[..word.len() - 1];
    match bytes {
        [.., b'i', b'e'] => {
            vec![without_last.to_owned(), format!("{}y", &word[..word.len() - 2])]
        }
        [.., b'e'] => vec![without_last.to_owned()],
        _ if ends_in_consonant_and_y(word) => vec![word.to_owned(), format!("{without_last}i")],
        [.., before, vowel, last]
            if VOWELS.contains(vowel)
                && !VOWELS.contains(before)
                && !VOWELS.contains(last)
                && !b"wxy".contains(last) =>
        {
            vec![word.to_owned(), format!("{word}{}", char::from(*last))]
        }
        _ => vec![word.to_owned()],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn spelled(word: &str) -> Vec<String> {
        let part = parse(word).unwrap()[0].0[0].clone();
        spellings(&part.word, part.form).0
    }

    #[test]
    fn a_word_varies_as_its_mark_says() {
        assert_eq!(spelled("=bomb"), ["bomb"]);
        assert_eq!(spelled("bomb"), ["bomb", "bombs"]);
        assert_eq!(spelled("baby"), ["babies", "baby"]);
        assert_eq!(spelled("kill~"), ["kill", "killed", "killin", "killing", "kills"]);
        let cut = ["cut", "cuted", "cutin", "cuting", "cuts", "cutted", "cuttin", "cutting"];
        assert_eq!(spelled("cut~"), cut);
        let die = ["died", "die", "dies", "diin", "diing", "dyed", "dyin", "dying"];
        let mut die = die.map(String::from);
        die.sort();
        assert_eq!(spelled("die~"), die);
        assert!(spelled("smoke~").contains(&"smoking".to_owned()));
        assert!(spelled("marry~").contains(&"married".to_owned()));
        assert_eq!(spelled("pedo*"), ["pedo"]);
        assert_eq!(spelled("zabić"), ["zabic", "zabics"]);
        assert_eq!(spelled("خودکشی"), ["خودكشي"]);
        assert_eq!(spelled("me"), ["me"]);
    }

    #[test]
    fn a_hyphen_is_a_space_or_nothing() {
        let ways = parse("self-harm~ now").unwrap();
        let words: Vec<Vec<&str>> = ways
            .iter()
            .map(|(way, _)| way.iter().map(|part| part.word.as_str()).collect())
            .collect();
        assert_eq!(words, [vec!["self", "harm", "now"], vec!["selfharm", "now"]]);
        assert_eq!((ways[0].0[0].form, ways[0].0[1].form), (Form::Exact, Form::Inflected));
    }

    #[test]
    fn what_is_typed_is_found_as_it_is_typed() {
        let ways = |text: &str, is_typed: bool| -> Vec<String> {
            let ways = parse(text).unwrap().into_iter();
            let ways: Vec<_> = ways.filter(|way| is_typed || !way.1).map(|way| way.0).collect();
            let words = |way: &Vec<Part>| {
                way.iter().map(|part| part.word.clone()).collect::<Vec<_>>().join(" ")
            };
            ways.iter().map(words).collect()
        };
        assert_eq!(ways("i want to die", true), ["i want to die", "i wanna die"]);
        assert_eq!(
            ways("im going to", true),
            ["im going to", "im gonna", "i am going to", "i am gonna"]
        );
        assert_eq!(ways("i want to die", false), ["i want to die"]);
        assert_eq!(ways("=want to die", true), ["want to die"]);
        let you =
            (vec!["you".to_owned(), "yous".to_owned()], vec!["u".to_owned(), "ya".to_owned()]);
        assert_eq!(spellings("you", Form::Plain), you);
    }

    #[test]
    fn what_cannot_be_looked_for_is_refused() {
        for (text, why) in [
            ("", BadPhrase::Blank),
            ("!?", BadPhrase::Blank),
            ("bo*", BadPhrase::ShortBeginning),
            ("*bomb", BadPhrase::Mark),
            ("bo~mb", BadPhrase::Mark),
            ("a b c d e f g h i j k", BadPhrase::Long),
            (&"a".repeat(100), BadPhrase::Long),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }
}
