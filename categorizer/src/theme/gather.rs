//! Gathering packs: every word and every phrase once, by number, and what each is for.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use rules::theme::{ALL, Group, MAX_THEMES, Pack, Phrase, Theme};

use super::compile::{Role, Rule, Use};
use super::pattern::{self, BadPhrase, Form, Part};
use super::words::words;

/// What of a pack cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The pack is about a theme that there is not.
    #[error("{file}: there is no theme \"{theme}\"; name one of themes.toml, or \"all\"")]
    NoTheme {
        /// The pack's file.
        file: String,
        /// What it names.
        theme: String,
    },
    /// A phrase that cannot be looked for.
    #[error("{file}:{line}: \"{phrase}\": {why}")]
    Phrase {
        /// The pack's file, and the line in it.
        file: String,
        /// From 1.
        line: usize,
        /// As written.
        phrase: String,
        /// What is wrong with it.
        why: BadPhrase,
    },
    /// More themes, groups or phrases than numbers for them.
    #[error("{file}: there are too many themes, groups or phrases")]
    Full {
        /// The pack that did not fit.
        file: String,
    },
}

/// Most phrases, and most groups: some hundred times those that are shipped.
const MAX_PHRASES: usize = 1 << 22;

/// A word of a phrase by its number, and how it may vary: the order of parts is that of their words, then of their
/// forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct GatheredPart(u32);

impl GatheredPart {
    fn new(word: u32, form: Form) -> Self {
        Self(word << 2 | form as u32)
    }

    pub(super) fn word(self) -> u32 {
        self.0 >> 2
    }

    pub(super) fn form(self) -> Form {
        Form::ALL[(self.0 & 3) as usize]
    }

    /// The same with another number for the word.
    pub(super) fn with_word(self, word: u32) -> Self {
        Self::new(word, self.form())
    }
}

/// What a phrase, by its number, is to a group, and its line in the pack.
#[derive(Clone, Copy, Debug)]
pub(super) struct GatheredUse {
    pub(super) phrase: u32,
    pub(super) of: Use,
    pub(super) line: u32,
}

/// What a phrase is there for.
#[derive(Clone, Copy)]
enum Is {
    /// It is innocent for these themes.
    Innocent(u32),
    Used(Use),
}

/// Gathers packs; [`Gatherer::finish`] compiles them.
#[derive(Debug)]
pub(super) struct Gatherer {
    /// Whether the packs that are added now are a school's own.
    pub(super) is_own: bool,
    pub(super) themes: Vec<Theme>,
    pub(super) files: Vec<String>,
    pub(super) rules: Vec<Rule>,
    /// Words of phrases, each with its number: 0, 1, and so on as they come.
    pub(super) words: HashMap<Box<str>, u32>,
    /// Phrases, numbered so too.
    pub(super) phrases: HashMap<Box<[GatheredPart]>, u32>,
    /// By phrase, the themes for which it is innocent, and those for which it is so in what is typed alone.
    pub(super) innocent: Vec<(u32, u32)>,
    /// By phrase, whether it is only what others are said as.
    pub(super) is_said: Vec<bool>,
    pub(super) uses: Vec<GatheredUse>,
    pub(super) ordinary: HashSet<String>,
    count: usize,
    /// Of the pack that is being added, by the text of a phrase, where its numbers stand in `read_numbers`: a set
    /// is put into many groups, and reading its phrases again for each would take half of all the time.
    read: HashMap<Box<str>, Range<usize>>,
    read_numbers: Vec<u32>,
}

impl Gatherer {
    /// For these themes. At most [`MAX_THEMES`] are taken.
    pub(super) fn new(mut themes: Vec<Theme>) -> Self {
        themes.truncate(MAX_THEMES);
        Self {
            is_own: false,
            themes,
            files: Vec::new(),
            rules: Vec::new(),
            words: HashMap::new(),
            phrases: HashMap::new(),
            innocent: Vec::new(),
            is_said: Vec::new(),
            uses: Vec::new(),
            ordinary: HashSet::new(),
            count: 0,
            read: HashMap::new(),
            read_numbers: Vec::new(),
        }
    }

    /// Adds a pack.
    ///
    /// # Errors
    /// Everything of it that cannot be compiled; the rest of it is taken in, so that a caller which
    /// goes on has lost no more than that.
    pub(super) fn add(&mut self, pack: &Pack) -> Result<(), Vec<PackError>> {
        let themes = self.bits(&pack.theme);
        if themes == 0 {
            let (file, theme) = (pack.file.clone(), pack.theme.clone());
            return Err(vec![PackError::NoTheme { file, theme }]);
        }
        let file = self.files.len() as u32;
        self.files.push(pack.file.clone());
        self.read.clear();
        self.read_numbers.clear();
        let mut errors = Vec::new();
        for phrase in &pack.innocent {
            self.phrase(pack, phrase, &mut errors, Is::Innocent(themes));
        }
        for group in &pack.groups {
            if self.rules.len() == MAX_PHRASES {
                errors.push(PackError::Full { file: pack.file.clone() });
                break;
            }
            self.group(pack, group, themes, file, &mut errors);
        }
        self.ordinary.extend(pack.ordinary.iter().flat_map(|word| words(word)));
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn bits(&self, theme: &str) -> u32 {
        let names = self.themes.iter().map(|theme| theme.name.as_str());
        let bits = names.enumerate().filter(|(_, name)| theme == ALL || *name == theme);
        bits.fold(0, |bits, (place, _)| bits | 1 << place)
    }

    fn group(
        &mut self,
        pack: &Pack,
        group: &Group,
        themes: u32,
        file: u32,
        errors: &mut Vec<PackError>,
    ) {
        let number = self.rules.len() as u32;
        let lists = [&group.any, &group.with, &group.also];
        let lists = lists.into_iter().take_while(|list| !list.is_empty());
        self.rules.push(Rule {
            themes,
            weight: group.weight,
            near: u32::from(group.near),
            in_order: group.in_order,
            is_help: group.is_help,
            is_own: self.is_own,
            is_typed_only: pack.typed_only,
            parts: lists.clone().count() as u8,
            pack: file,
        });
        let roles = (0..).zip(lists).map(|(part, list)| (Role::Part(part), list));
        for (role, list) in roles.chain([(Role::Unless, &group.unless)]) {
            for phrase in list {
                self.phrase(pack, phrase, errors, Is::Used(Use::new(number, role)));
            }
        }
    }

    fn phrase(&mut self, pack: &Pack, phrase: &Phrase, errors: &mut Vec<PackError>, is: Is) {
        let file = || pack.file.clone();
        if self.count >= MAX_PHRASES {
            return errors.push(PackError::Full { file: file() });
        }
        let numbers = match self.read.get(phrase.text.as_str()) {
            Some(numbers) => Ok(numbers.clone()),
            None => pattern::parse(&phrase.text).map(|ways| {
                let first = self.read_numbers.len();
                for (way, is_said) in ways {
                    let number = self.number(way);
                    self.is_said[number as usize] &= is_said;
                    self.read_numbers.push(number);
                }
                let numbers = first..self.read_numbers.len();
                self.read.insert(phrase.text.as_str().into(), numbers.clone());
                numbers
            }),
        };
        match numbers {
            Ok(numbers) => {
                self.count += numbers.len();
                let line = phrase.line as u32;
                for &number in &self.read_numbers[numbers] {
                    match is {
                        Is::Innocent(themes) => {
                            let (everywhere, typed) = &mut self.innocent[number as usize];
                            *(if pack.typed_only { typed } else { everywhere }) |= themes;
                        }
                        Is::Used(of) => self.uses.push(GatheredUse { phrase: number, of, line }),
                    }
                }
            }
            Err(why) => {
                let text = phrase.text.clone();
                errors.push(PackError::Phrase {
                    file: file(),
                    line: phrase.line,
                    phrase: text,
                    why,
                });
            }
        }
    }

    /// The number of a phrase, and of its words.
    fn number(&mut self, parts: Vec<Part>) -> u32 {
        let part = |part: Part| {
            let next = self.words.len() as u32;
            let word = *self.words.entry(part.word.into()).or_insert(next);
            GatheredPart::new(word, part.form)
        };
        let parts: Box<[GatheredPart]> = parts.into_iter().map(part).collect();
        let next = self.phrases.len() as u32;
        let number = *self.phrases.entry(parts).or_insert(next);
        if number == next {
            self.innocent.push((0, 0));
            self.is_said.push(true);
        }
        number
    }
}
