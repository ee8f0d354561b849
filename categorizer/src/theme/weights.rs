//! Weighing what somebody typed by what was learned from labelled lines.
//!
//! Phrases find what somebody thought of. What is said round about, in words that each mean nothing, is found by many
//! small weights: each word, pair of words and piece of a word of a text has one for each theme, learned from the lines
//! in `rules/defaults/lines` on top of what phrases say (`benches/learn`). Their sum is points like those of phrases,
//! for or against, within bounds: so much speaks for a theme that a text is of it by this alone, and never so much
//! against that a phrase of 150 points or more is not enough. See `docs/adr/0023-learned-weights.md`.
//!
//! English was learned, and some of five other languages: a window of words of which half are not known is not weighed.

mod features;
mod table;

use std::ops::Range;

use rules::theme::{MAX_THEMES, Theme};

use super::letters::is_picture;
use super::score::HELP_FIRST;
use features::Words;
use table::{THEMES, Table};

/// Words that are weighed together; a longer text in windows, each half over the one before, and the most counts.
const WINDOW_WORDS: usize = 48;
/// The most points for a theme, and against it; and against one by which somebody is in danger who types. In hundredths of
/// what the text needs.
const MOST_FOR: f32 = 130.0;
const MOST_AGAINST: f32 = 80.0;
const MOST_AGAINST_DANGER: f32 = 50.0;

/// The most points of one word for a theme: what it is said of is not known.
const MOST_FOR_ONE: f32 = 90.0;

/// What Arabic writes onto the word behind it: and, so, by, as, to, the. Longest first.
const WRITTEN_ONTO: [&str; 11] = ["وال", "فال", "بال", "كال", "ال", "لل", "و", "ف", "ب", "ك", "ل"];
/// Fewest bytes of the word behind: three letters.
const MIN_REST: usize = 6;

/// The most that words weigh against a theme, below 0, and for it.
#[must_use]
pub fn bounds(theme: &str) -> (f32, f32) {
    let against = if HELP_FIRST.contains(&theme) { MOST_AGAINST_DANGER } else { MOST_AGAINST };
    (-against, MOST_FOR)
}

/// Points that a weight of one stands for, and the themes, each with the points of a text of which nothing is known.
const HEAD: (f32, &[(&str, f32)]) = include!(concat!(env!("OUT_DIR"), "/weights.rs"));
static STARTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weights.starts"));
static HASHES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weights.hashes"));
static ROWS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weights.rows"));

/// Points of each theme, for or against.
pub(super) type Points = [i16; MAX_THEMES];

/// Of a text that is not weighed.
pub(super) const NOTHING: Points = [0; MAX_THEMES];

/// The table, for the themes of a set.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// By theme of the table, its place among those of the set.
    places: [Option<u8>; THEMES],
}

/// What is kept from text to text.
#[derive(Debug, Default)]
pub(super) struct Weighing {
    words: Words,
    entries: Vec<u32>,
}

impl Weights {
    pub(super) fn new(themes: &[Theme]) -> Self {
        let mut places = [None; THEMES];
        for (place, (name, _)) in places.iter_mut().zip(HEAD.1) {
            *place = themes.iter().position(|theme| theme.name == *name).map(|place| place as u8);
        }
        Self { places }
    }

    /// What a text weighs.
    pub(super) fn weigh(&self, text: &str, weighing: &mut Weighing) -> Points {
        let mut points = NOTHING;
        let Weighing { words, entries } = weighing;
        words.read(text);
        // What is not known weighs nothing, and so nothing against a theme either.
        let (mut most, mut is_any_known) = ([f32::MIN; THEMES], false);
        for window in windows(words.len()) {
            let is_known = words.is_known(window.clone());
            is_any_known |= is_known;
            let weighed = if is_known { weigh(words, window, entries) } else { [0.0; THEMES] };
            most.iter_mut().zip(weighed).for_each(|(most, one)| *most = most.max(one));
        }
        if !is_any_known {
            return points;
        }
        for ((place, most), (name, _)) in self.places.iter().zip(most).zip(HEAD.1) {
            let (mut least, mut most_for) = bounds(name);
            if words.len() == 1 {
                most_for = MOST_FOR_ONE;
            }
            // What stands behind may say what these words do not.
            if !words.is_whole() {
                least = 0.0;
            }
            if let Some(place) = points.get_mut(place.map_or(MAX_THEMES, usize::from)) {
                *place = most.clamp(least, most_for).round() as i16;
            }
        }
        points
    }

    /// Whether a text is of known words, three in four of them at least.
    pub(super) fn knows(text: &str, weighing: &mut Weighing) -> bool {
        let words = &mut weighing.words;
        words.read(text);
        let known = (0..words.len()).filter(|&word| words.is_word(word)).count();
        known > 0 && known * 4 >= words.len() * 3
    }

    /// The words of a text by which it weighs something for a theme, each with its points, as they stand; the
    /// heaviest window's.
    pub(super) fn explain(&self, text: &str, theme: usize) -> Vec<(Range<usize>, i16)> {
        let Some(column) = self.places.iter().position(|place| *place == Some(theme as u8)) else {
            return Vec::new();
        };
        let mut words = Words::default();
        words.read(text);
        let weight = |window: &Range<usize>| weigh(&words, window.clone(), &mut Vec::new())[column];
        let heavier =
            |one: &Range<usize>, other: &Range<usize>| weight(one).total_cmp(&weight(other));
        let known = windows(words.len()).filter(|window| words.is_known(window.clone()));
        let Some(window) = known.max_by(heavier) else { return Vec::new() };
        let mut by_word = vec![0.0; words.len()];
        let table = table();
        // Each entry counts once, by its first place.
        let mut seen = Vec::new();
        words.features(window.clone(), &mut |pieces, first, last| {
            if let Some(entry) = table.find(table::hash(pieces))
                && !seen.contains(&entry)
            {
                seen.push(entry);
                let share =
                    f32::from(table.row(entry)[column]) / if first == last { 1.0 } else { 2.0 };
                by_word[first] += share;
                if first != last {
                    by_word[last] += share;
                }
            }
        });
        let scale = scale(seen.len());
        let points = by_word.iter().map(|weight| (weight * scale).round() as i16);
        let places = words.words().iter().map(|word| word.start as usize..word.end as usize);
        places
            .zip(points)
            .enumerate()
            .filter(|(at, _)| window.contains(at))
            .map(|(_, it)| it)
            .collect()
    }
}

impl Words {
    /// Whether the word at a place is known.
    /// Whether a word is known, or in Arabic the word that little ones are written onto.
    fn is_word(&self, place: usize) -> bool {
        let letters = self.letters(place);
        let is_known = |letters: &[u8]| table().find(table::hash(&[letters])).is_some();
        is_known(letters)
            || !letters.is_ascii()
                && WRITTEN_ONTO
                    .iter()
                    .filter_map(|onto| letters.strip_prefix(onto.as_bytes()))
                    .any(|rest| rest.len() >= MIN_REST && is_known(rest))
    }

    /// Whether at least half of the words of a window are known: else it is of another language. Pictures and numbers say
    /// nothing of that.
    fn is_known(&self, window: Range<usize>) -> bool {
        let counts = |word: &usize| !is_picture_or_number(self.letters(*word));
        let (mut words, mut known) = (0, 0);
        for word in window.filter(counts) {
            words += 1;
            known += usize::from(self.is_word(word));
        }
        words > 0 && known * 2 >= words
    }
}

fn is_picture_or_number(letters: &[u8]) -> bool {
    let is_picture = || {
        let first = std::str::from_utf8(letters).ok().and_then(|letters| letters.chars().next());
        first.is_some_and(is_picture)
    };
    letters.iter().all(u8::is_ascii_digit) || !letters.is_ascii() && is_picture()
}

fn table() -> Table<'static> {
    Table::new(STARTS, HASHES, ROWS)
}

/// What one weight stands for in a text with so many known entries: a long one is no heavier than a short one that says
/// the same in each word.
fn scale(entries: usize) -> f32 {
    HEAD.0 / (entries.max(1) as f32).sqrt()
}

fn windows(words: usize) -> impl Iterator<Item = Range<usize>> {
    let last = words.saturating_sub(WINDOW_WORDS).div_ceil(WINDOW_WORDS / 2);
    (0..=last).map(move |at| {
        let first = at * WINDOW_WORDS / 2;
        first..words.min(first + WINDOW_WORDS)
    })
}

fn weigh(words: &Words, window: Range<usize>, entries: &mut Vec<u32>) -> [f32; THEMES] {
    let table = table();
    entries.clear();
    words.features(window, &mut |pieces, _, _| entries.extend(table.find(table::hash(pieces))));
    entries.sort_unstable();
    entries.dedup();
    let mut sums = [0_i32; THEMES];
    for &entry in &*entries {
        sums.iter_mut().zip(table.row(entry)).for_each(|(sum, weight)| *sum += i32::from(weight));
    }
    let scale = scale(entries.len());
    let mut points = [0.0; THEMES];
    for ((points, sum), (_, nothing)) in points.iter_mut().zip(sums).zip(HEAD.1) {
        *points = sum as f32 * scale + nothing;
    }
    points
}

/// By what a name is known in the table: two names of one hash cannot both be in it.
#[must_use]
pub fn name_hash(name: &str) -> u32 {
    table::hash(&[name.as_bytes()])
}

/// The names of what a text is weighed by, each once, window by window: for learning what they weigh.
#[must_use]
pub fn features(text: &str) -> Vec<Vec<String>> {
    let mut words = Words::default();
    words.read(text);
    let names = |window| {
        let mut names = Vec::new();
        words.features(window, &mut |pieces, _, _| {
            names.push(String::from_utf8_lossy(&pieces.concat()).into_owned());
        });
        names.sort_unstable();
        names.dedup();
        names
    };
    windows(words.len()).map(names).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Scratch, Themes};
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static SHIPPED: LazyLock<Themes> = LazyLock::new(Themes::shipped);

    fn points(text: &str) -> Points {
        let weights = Weights::new(SHIPPED.themes());
        weights.weigh(text, &mut Weighing::default())
    }

    fn names(text: &str) -> Vec<String> {
        features(text).concat()
    }

    #[test]
    fn a_text_is_weighed_by_words_pairs_and_pieces() {
        let mut expected = vec![
            "^ go", "go", "go now", "now", "now $", "~<go", "~<go>", "~go>", "~<no", "~<now",
            "~<now>", "~now", "~now>", "~ow>",
        ];
        expected.sort_unstable();
        assert_eq!(names("Go now!"), expected);
        let names = names("one two three four");
        for name in ["one * three", "one * four", "two * four", "one two"] {
            assert!(names.iter().any(|one| one == name), "{name}");
        }
    }

    #[test]
    fn words_of_letters_of_several_bytes_have_pieces_too() {
        let names = names("المدرسة");
        for name in ["المدرسه", "~<ال", "~<المد", "~مدرس", "~رسه>", "~سه>"] {
            assert!(names.iter().any(|one| one == name), "{name}: {names:?}");
        }
        let letters = |name: &str| name.trim_start_matches('~').chars().count();
        let pieces = names.iter().filter(|name| name.starts_with('~'));
        assert!(pieces.clone().all(|name| (3..6).contains(&letters(name))));
        // Of nine signs, the ends among them: seven of three, six of four and five of five.
        assert_eq!(pieces.count(), 7 + 6 + 5);
        assert!(self::names("🔪 🍃").iter().all(|name| !name.starts_with('~')));
    }

    #[test]
    fn arabic_words_with_little_ones_written_onto_them_are_known() {
        let mut words = Words::default();
        for (text, is_word) in
            [("مدرسة", true), ("والمدرسة", true), ("بالمدرسة", true), ("وزقطفنجم", false)]
        {
            words.read(text);
            assert_eq!(words.is_word(0), is_word, "{text}");
        }
    }

    #[test]
    fn digits_and_letters_apart_are_read_as_words() {
        for (typed, word) in [("5n4cks", "snacks"), ("s n a c k s", "snacks")] {
            assert!(names(typed).iter().any(|name| name == word), "{typed}");
        }
        for typed in ["3rd", "18s", "a4", "2026"] {
            assert!(names(typed).iter().any(|name| name == typed), "{typed}");
        }
    }

    #[test]
    fn signs_letters_of_other_alphabets_and_digits_set_apart_are_read_as_letters() {
        for (typed, word) in [
            ("sn@cks", "snacks"),
            ("sn!cks", "snicks"),
            ("ba$ket", "basket"),
            ("sn\u{430}\u{441}ks", "snacks"),
            ("s n 4 c k s", "snacks"),
        ] {
            assert!(names(typed).iter().any(|name| name == word), "{typed}: {:?}", names(typed));
        }
        for (typed, word) in [
            ("1 2 3 4", "3"),
            ("help! me", "help"),
            ("someone@home", "someone"),
            ("\u{440}\u{43e}\u{442}", "\u{440}\u{43e}\u{442}"),
            ("a 4", "4"),
        ] {
            assert!(names(typed).iter().any(|name| name == word), "{typed}: {:?}", names(typed));
        }
    }

    #[test]
    fn pictures_numbers_and_marks_take_too_little_from_a_text_to_hide_it() {
        let text = "they keep hiding my bag and laughing";
        let found = |text: &str| {
            let mut scratch = Scratch::default();
            let found = SHIPPED.score_typed(text, &mut scratch);
            found.themes_from(100).map(str::to_owned).collect::<Vec<_>>()
        };
        let is_found = |text: &str| found(text).iter().any(|theme| theme == "bullying");
        assert!(is_found(text));
        for beside in ["\u{1f600} ".repeat(12), "7 ".repeat(12)] {
            assert!(is_found(&format!("{text} {beside}")), "{beside}");
        }
        assert!(is_found(&text.replace(' ', "`")));
    }

    #[test]
    fn one_word_is_of_no_theme_by_what_it_weighs() {
        for word in ["lol", "white", "boring", "toilets", "dear", "weekends"] {
            assert!(points(word).iter().all(|points| *points < 100), "{word}");
        }
    }

    /// What is behind the first kilobytes is judged by phrases, and what was read takes nothing from it.
    #[test]
    fn of_a_text_that_is_not_read_whole_nothing_speaks_against_a_theme() {
        let lesson = "what is the water cycle and how do rivers shape the land ";
        assert!(points(&lesson.repeat(70)).iter().any(|one| *one < 0));
        assert!(points(&lesson.repeat(90)).iter().all(|one| *one >= 0));
    }

    /// However many words stand around them.
    #[test]
    fn words_alone_are_enough_in_a_long_text() {
        let told = "they keep hiding my bag and laughing when i look for it and then they film me and send it round \
                    and nobody sits with me now and i eat my lunch in the toilets so that they do not find me again";
        assert!(told.split(' ').count() > 36);
        let mut scratch = Scratch::default();
        let found = SHIPPED.score_typed(told, &mut scratch);
        assert!(found.themes_from(100).any(|theme| theme == "bullying"));
    }

    #[test]
    fn every_theme_of_the_table_is_a_shipped_one() {
        assert!(Weights::new(SHIPPED.themes()).places.iter().all(Option::is_some));
        assert_eq!(HEAD.1.len(), THEMES);
    }

    #[test]
    fn languages_that_no_line_is_of_are_not_weighed() {
        for text in [
            "",
            "kur yra artimiausia mokyklos biblioteka",
            "kje se nahaja najbližja knjižnica",
            "图书馆在哪里",
            "你好 今天 怎么样 lol",
            "அருகிலுள்ள நூலகம் எங்கே homework",
        ] {
            assert_eq!(points(text), NOTHING, "{text}");
        }
    }

    #[test]
    fn languages_that_lines_are_of_are_weighed() {
        for text in [
            "gdzie jest najblizsza biblioteka szkolna",
            "ble mae'r llyfrgell yn yr ysgol",
            "unde este biblioteca scolii",
            "library kahan hai school ki",
            "وين المكتبة في المدرسة",
        ] {
            assert_ne!(points(text), NOTHING, "{text}");
        }
    }

    /// Words of a lesson do not speak against what is said in a language that nothing is known of.
    #[test]
    fn what_is_not_known_has_nothing_against_it() {
        let lesson = "what is the water cycle and how do rivers shape the land ".repeat(3);
        let unknown = "qwzx vrtp ".repeat(40);
        assert!(points(&lesson).iter().any(|one| *one < 0));
        assert!(points(&format!("{lesson}{unknown}")).iter().all(|one| *one >= 0));
    }

    #[test]
    fn however_long_a_text_is_it_weighs_within_bounds() {
        let long = "they keep hiding my bag and laughing ".repeat(400);
        for text in ["hi", "they keep hiding my bag and laughing", &long] {
            for points in points(text) {
                assert!(
                    (-MOST_AGAINST..=MOST_FOR).contains(&f32::from(points)),
                    "{text}: {points}"
                );
            }
        }
    }

    #[test]
    fn windows_cover_every_word_and_overlap() {
        for words in 0..200 {
            let windows: Vec<_> = windows(words).collect();
            assert_eq!(windows[0].start, 0);
            assert_eq!(windows[windows.len() - 1].end, words);
            for two in windows.windows(2) {
                assert!(
                    two[1].start == two[0].start + WINDOW_WORDS / 2 && two[1].start < two[0].end
                );
            }
        }
    }

    #[test]
    fn what_is_explained_is_what_is_weighed() {
        let weights = Weights::new(SHIPPED.themes());
        let text = "they made a group chat about me and everyone is in it";
        let weighed = weigh(&read(text), 0..12, &mut Vec::new());
        for (column, (name, nothing)) in HEAD.1.iter().enumerate() {
            let place = SHIPPED.themes().iter().position(|theme| theme.name == *name).unwrap_or(99);
            let words = weights.explain(text, place);
            assert_eq!(words.len(), 12);
            let sum: i16 = words.iter().map(|(_, points)| points).sum();
            let off = (f32::from(sum) + nothing - weighed[column]).abs();
            assert!(off <= 12.0, "{name}: rounding of twelve words, and not {off}");
        }
    }

    fn read(text: &str) -> Words {
        let mut words = Words::default();
        words.read(text);
        words
    }

    /// Nothing that a school says itself is lost, whatever stands around it.
    #[test]
    fn a_schools_own_word_counts_whatever_else_weighs_against() {
        let pack = "theme = \"drugs\"\nlanguage = \"en\"\nreviewed = true\n[[group]]\nweight = 100\nany = [\"zorbleflax\"]\n";
        let pack = rules::theme::Pack::parse(pack, "own.en.toml")
            .unwrap_or_else(|faults| panic!("{faults:?}"));
        let themes = Themes::with_own(&[pack]).unwrap_or_else(|faults| panic!("{faults:?}"));
        let text = "zorbleflax and the castle in the river";
        let mut scratch = Scratch::default();
        let found = themes.score_typed(text, &mut scratch);
        assert_eq!(found.themes_from(100).collect::<Vec<_>>(), ["drugs"]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in r"[a-z0-9$@'. é少🔪\u{301}]{0,400}") {
            let weights = Weights::new(SHIPPED.themes());
            let points = weights.weigh(&text, &mut Weighing::default());
            for place in 0..SHIPPED.themes().len() {
                for (words, _) in weights.explain(&text, place) {
                    prop_assert!(text.get(words).is_some());
                }
            }
            prop_assert!(points.iter().all(|one| (-80..=130).contains(one)));
        }
    }
}
