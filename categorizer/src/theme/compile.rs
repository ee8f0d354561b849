//! Compiling packs into one immutable set.

use std::collections::{BTreeMap, BTreeSet};

use rules::theme::{ALL, Group, MAX_THEMES, Pack, Phrase, Theme};

use super::anchor::{Anchored, Wanted, wanted};
use super::pattern::{self, BadPhrase, Form, Part};
use super::sound::Sounds;
use super::typos::Typos;
use super::vocabulary::Vocabulary;
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

/// What a phrase is to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Of one of the lists that must all be met: `any`, `with`, `also`.
    Part(u8),
    /// Of `unless`.
    Unless,
}

/// A phrase in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    pub(super) group: u32,
    pub(super) role: Role,
}

/// A group, without its phrases.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// The themes that it is about, a bit for each.
    pub(super) themes: u32,
    pub(super) weight: i32,
    /// Words that may stand between the first part and the last.
    pub(super) near: u32,
    pub(super) in_order: bool,
    /// How many lists must be met: 1 to 3.
    pub(super) parts: u8,
    pub(super) pack: u32,
}

/// Words in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Sequence {
    /// The numbers of its parts.
    pub(super) parts: Box<[u32]>,
    /// The themes for which it is innocent.
    pub(super) innocent: u32,
    /// Where its uses begin among all, those in an `any` first; where the others begin; and where all end.
    pub(super) uses: (u32, u32, u32),
}

/// What is gathered of a phrase: the themes for which it is innocent, and its uses, with their lines.
type Gathered = (u32, Vec<(Use, u32)>);

/// Gathers packs; [`Gatherer::finish`] compiles them.
#[derive(Debug)]
pub(super) struct Gatherer {
    is_typed: bool,
    themes: Vec<Theme>,
    files: Vec<String>,
    rules: Vec<Rule>,
    phrases: BTreeMap<Vec<Part>, Gathered>,
    ordinary: BTreeSet<String>,
    count: usize,
}

impl Gatherer {
    /// For these themes. At most [`MAX_THEMES`] are taken.
    /// `is_typed`: for what people type, as they type it.
    pub(super) fn new(mut themes: Vec<Theme>, is_typed: bool) -> Self {
        themes.truncate(MAX_THEMES);
        Self {
            is_typed,
            themes,
            files: Vec::new(),
            rules: Vec::new(),
            phrases: BTreeMap::new(),
            ordinary: BTreeSet::new(),
            count: 0,
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
        let mut errors = Vec::new();
        for phrase in &pack.innocent {
            self.phrase(pack, phrase, &mut errors, &|known, _| known.0 |= themes);
        }
        for group in &pack.groups {
            if self.rules.len() == MAX_PHRASES {
                errors.push(PackError::Full { file: pack.file.clone() });
                break;
            }
            self.group(pack, group, themes, file, &mut errors);
        }
        // On pages nothing is taken for a misspelling, so that a word which only says it is none needs no place.
        if self.is_typed {
            self.ordinary.extend(pack.ordinary.iter().flat_map(|word| words(word)));
        }
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
            parts: lists.clone().count() as u8,
            pack: file,
        });
        let roles = (0..).zip(lists).map(|(part, list)| (Role::Part(part), list));
        for (role, list) in roles.chain([(Role::Unless, &group.unless)]) {
            for phrase in list {
                self.phrase(pack, phrase, errors, &|known, line| {
                    known.1.push((Use { group: number, role }, line));
                });
            }
        }
    }

    fn phrase(
        &mut self,
        pack: &Pack,
        phrase: &Phrase,
        errors: &mut Vec<PackError>,
        note: &dyn Fn(&mut Gathered, u32),
    ) {
        let file = || pack.file.clone();
        match pattern::parse(&phrase.text, self.is_typed) {
            Ok(_) if self.count >= MAX_PHRASES => errors.push(PackError::Full { file: file() }),
            Ok(ways) => {
                self.count += ways.len();
                for way in ways {
                    note(self.phrases.entry(way).or_default(), phrase.line as u32);
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

    /// Compiles what was added; some tens of milliseconds for what is shipped.
    pub(super) fn finish(self) -> Compiled {
        // Parts are numbered in their order, so that the order of groups and packs changes nothing.
        let mut part_uses: BTreeMap<&Part, u32> = BTreeMap::new();
        for part in self.phrases.keys().flatten() {
            *part_uses.entry(part).or_default() += 1;
        }
        let (mut known, mut beginnings) = (BTreeMap::new(), BTreeMap::new());
        for word in &self.ordinary {
            known.insert(word.clone(), BTreeSet::new());
        }
        let mut numbers: BTreeMap<&Part, u32> = BTreeMap::new();
        for (number, &part) in (0..).zip(part_uses.keys()) {
            numbers.insert(part, number);
            let map = if part.form == Form::Beginning { &mut beginnings } else { &mut known };
            for spelling in part.spellings(self.is_typed) {
                map.entry(spelling).or_insert_with(BTreeSet::new).insert(number);
            }
        }
        let mut sequences = Vec::with_capacity(self.phrases.len());
        let (mut all_uses, mut lines) = (Vec::new(), Vec::new());
        let mut anchored = vec![Vec::new(); part_uses.len()];
        for (number, (parts, (innocent, uses))) in (0_u32..).zip(&self.phrases) {
            let fewest = |(place, part): &(usize, &Part)| {
                (part_uses[*part], std::cmp::Reverse(part.word.len()), *place)
            };
            let anchor = parts.iter().enumerate().min_by_key(fewest).map_or(0, |(place, _)| place);
            let other = if anchor == 0 { parts.len().min(2) - 1 } else { anchor - 1 };
            let parts: Box<[u32]> = parts.iter().map(|part| numbers[part]).collect();
            anchored[parts[anchor] as usize].push(Anchored {
                phrase: number,
                before: anchor as u8,
                length: parts.len() as u8,
                other_at: other as i8 - anchor as i8,
                other: parts[other],
            });
            let mut uses = uses.clone();
            uses.sort_unstable();
            uses.dedup_by_key(|(of, _)| *of);
            uses.sort_by_key(|(of, _)| of.role != Role::Part(0));
            let first = all_uses.len() as u32;
            let counting = uses.iter().filter(|(of, _)| of.role == Role::Part(0)).count() as u32;
            all_uses.extend(uses.iter().map(|(of, _)| *of));
            lines.extend(uses.iter().map(|(_, line)| *line));
            let uses = (first, first + counting, all_uses.len() as u32);
            sequences.push(Sequence { parts, innocent: *innocent, uses });
        }
        let vocabulary = Vocabulary::new(&known, &beginnings);
        let (wanted, singles) = wanted(&vocabulary, &anchored);
        // Phrases of one word are found by it, and need no looking for.
        anchored.iter_mut().for_each(|list| list.retain(|one| one.length > 1));
        let mut anchor_starts = vec![0];
        for list in &anchored {
            anchor_starts.push(anchor_starts.last().copied().unwrap_or(0) + list.len() as u32);
        }
        Compiled {
            wanted: wanted.into(),
            singles: singles.into(),
            typos: if self.is_typed { Typos::new(&vocabulary) } else { Typos::default() },
            sounds: if self.is_typed { Sounds::new(&vocabulary) } else { Sounds::default() },
            vocabulary,
            sequences: sequences.into(),
            anchor_starts: anchor_starts.into(),
            anchored: anchored.concat().into(),
            uses: all_uses.into(),
            lines: lines.into(),
            rules: self.rules.into(),
            files: self.files.into(),
            themes: self.themes.into(),
        }
    }
}

/// Packs, compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) vocabulary: Vocabulary,
    pub(super) typos: Typos,
    pub(super) sounds: Sounds,
    /// By word.
    pub(super) wanted: Box<[Wanted]>,
    pub(super) singles: Box<[u32]>,
    pub(super) sequences: Box<[Sequence]>,
    /// Where the phrases of a part begin in `anchored`; one more than there are parts.
    anchor_starts: Box<[u32]>,
    /// Phrases by the part that they are looked for by.
    anchored: Box<[Anchored]>,
    /// What phrases are to groups, those of a phrase side by side; and the lines of the packs.
    pub(super) uses: Box<[Use]>,
    pub(super) lines: Box<[u32]>,
    pub(super) rules: Box<[Rule]>,
    pub(super) files: Box<[String]>,
    pub(super) themes: Box<[Theme]>,
}

impl Compiled {
    /// Different phrases, sets filled in.
    pub(super) fn phrases(&self) -> usize {
        self.sequences.len()
    }

    /// Different words, in all their forms.
    pub(super) fn words(&self) -> usize {
        self.vocabulary.len()
    }

    /// Bytes of memory that the compiled set takes.
    pub(super) fn memory_bytes(&self) -> usize {
        let sequences = self.sequences.iter();
        let inner = sequences.map(|one| size_of_val(&*one.parts));
        self.vocabulary.memory_bytes()
            + self.typos.memory_bytes()
            + self.sounds.memory_bytes()
            + size_of_val(&*self.sequences)
            + inner.sum::<usize>()
            + size_of_val(&*self.anchor_starts)
            + size_of_val(&*self.anchored)
            + size_of_val(&*self.wanted)
            + size_of_val(&*self.singles)
            + size_of_val(&*self.uses)
            + size_of_val(&*self.lines)
            + size_of_val(&*self.rules)
    }

    /// The phrases that are looked for by a part.
    #[inline]
    pub(super) fn anchored(&self, part: u32) -> &[Anchored] {
        let part = part as usize;
        &self.anchored[self.anchor_starts[part] as usize..self.anchor_starts[part + 1] as usize]
    }
}
