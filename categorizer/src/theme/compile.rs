//! Compiling what was gathered of packs into one immutable set.

use rules::theme::{MAX_THEMES, Theme};

use super::anchor::{Anchored, Wanted, wanted};
use super::gather::{GatheredPart, GatheredUse, Gatherer};
use super::pattern::{self, Form};
use super::score::most_against;
use super::sound::Sounds;
use super::typos::Typos;
use super::vocabulary::{Vocabulary, WordId};
use std::collections::HashSet;

/// What a phrase is to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Of one of the lists that must all be met: `any`, `with`, `also`.
    Part(u8),
    /// Of `unless`.
    Unless,
}

/// A phrase in a group: the group's number, and in the two lowest bits the role there, as there are many of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use(u32);

impl Use {
    /// `group`: less than 2^30.
    pub(super) fn new(group: u32, role: Role) -> Self {
        let role = match role {
            Role::Part(part) => u32::from(part),
            Role::Unless => 3,
        };
        Self(group << 2 | role)
    }

    #[inline]
    pub(super) fn group(self) -> usize {
        (self.0 >> 2) as usize
    }

    #[inline]
    pub(super) fn role(self) -> Role {
        match self.0 & 3 {
            3 => Role::Unless,
            part => Role::Part(part as u8),
        }
    }
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
    /// Whether whoever says so looks for help.
    pub(super) is_help: bool,
    /// Whether it is a school's own.
    pub(super) is_own: bool,
    /// Whether it is for what is typed alone, and not for pages.
    pub(super) is_typed_only: bool,
    /// How many lists must be met: 1 to 3.
    pub(super) parts: u8,
    pub(super) pack: u32,
}

/// Words in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Sequence {
    /// Where its parts begin among all of [`Compiled::sequence_parts`]; they end where the next one's begin.
    first: u32,
    /// The themes for which it is innocent, and those for which it is so in what is typed alone.
    innocent: u32,
    innocent_typed: u32,
    /// Whether it is only what another is said as: on a page it is nothing.
    pub(super) is_said: bool,
    /// Where its uses begin among all, those in an `any` first, and where the others begin; they end where the next
    /// one's begin.
    uses: (u32, u32),
}

impl Sequence {
    /// The themes for which it is innocent where it was read.
    #[inline]
    pub(super) fn innocent(&self, is_page: bool) -> u32 {
        match is_page {
            true if self.is_said => 0,
            true => self.innocent,
            false => self.innocent | self.innocent_typed,
        }
    }
}

impl Gatherer {
    /// Compiles what was added; some tens of milliseconds for what is shipped.
    ///
    /// Words, parts and phrases are numbered in the order of their letters, so that the order of groups and packs
    /// changes nothing.
    pub(super) fn finish(self) -> Compiled {
        let mut texts: Vec<(&str, u32)> =
            self.words.iter().map(|(word, number)| (&**word, *number)).collect();
        texts.sort_unstable();
        let mut ranks = vec![0; texts.len()];
        for (rank, &(_, number)) in (0..).zip(&texts) {
            ranks[number as usize] = rank;
        }
        let ranked = |part: &GatheredPart| part.with_word(ranks[part.word() as usize]);
        let mut phrases: Vec<(Box<[GatheredPart]>, u32)> = self
            .phrases
            .iter()
            .map(|(parts, number)| (parts.iter().map(ranked).collect(), *number))
            .collect();
        phrases.sort_unstable();

        let mut parts: Vec<GatheredPart> =
            phrases.iter().flat_map(|(parts, _)| parts.iter().copied()).collect();
        parts.sort_unstable();
        let part_uses: Vec<u32> =
            parts.chunk_by(|one, two| one == two).map(|same| same.len() as u32).collect();
        parts.dedup();
        let numbered = |part: &GatheredPart| parts.binary_search(part).unwrap_or_default();

        let (mut known, mut beginnings) = (Vec::new(), Vec::new());
        let mut short: HashSet<String> = HashSet::new();
        known.extend(self.ordinary.iter().map(|word| (word.clone(), None)));
        for (number, part) in (0..).zip(&parts) {
            let of_form = if part.form() == Form::Beginning { &mut beginnings } else { &mut known };
            let (spellings, typed) = pattern::spellings(texts[part.word() as usize].0, part.form());
            short.extend(typed.iter().cloned());
            of_form.extend(
                spellings.into_iter().chain(typed).map(|spelling| (spelling, Some(number))),
            );
        }
        for spelled in [&mut known, &mut beginnings] {
            spelled.sort_unstable();
            spelled.dedup();
        }
        let vocabulary = Vocabulary::new(&known, &beginnings);
        // What a pack names itself is none of them.
        short.retain(|word| !self.words.contains_key(word.as_str()));
        let mut shorthand = vec![false; vocabulary.ids().len()];
        for word in &short {
            shorthand[vocabulary.look_up(word.as_bytes()) as usize] = true;
        }
        drop((known, beginnings));

        let mut sequences = Vec::with_capacity(phrases.len() + 1);
        let mut sequence_parts = Vec::new();
        let mut anchored = vec![Vec::new(); parts.len()];
        let mut phrase_ranks = vec![0; phrases.len()];
        for (rank, (phrase, number)) in (0_u32..).zip(&phrases) {
            phrase_ranks[*number as usize] = rank;
            let of: Vec<usize> = phrase.iter().map(numbered).collect();
            let letters = |part: &GatheredPart| texts[part.word() as usize].0.len();
            let fewest = |&place: &usize| {
                (part_uses[of[place]], std::cmp::Reverse(letters(&phrase[place])), place)
            };
            let anchor = (0..of.len()).min_by_key(fewest).unwrap_or(0);
            let other = if anchor == 0 { of.len().min(2) - 1 } else { anchor - 1 };
            anchored[of[anchor]].push(Anchored {
                phrase: rank,
                before: anchor as u8,
                length: of.len() as u8,
                other_at: other as i8 - anchor as i8,
                other: of[other] as u32,
            });
            sequences.push(Sequence {
                first: sequence_parts.len() as u32,
                innocent: self.innocent[*number as usize].0,
                innocent_typed: self.innocent[*number as usize].1,
                is_said: self.is_said[*number as usize],
                uses: (0, 0),
            });
            sequence_parts.extend(of.iter().map(|&part| part as u32));
        }
        sequences.push(Sequence { first: sequence_parts.len() as u32, ..Sequence::default() });
        let (uses, lines) = number_uses(self.uses, &phrase_ranks, &mut sequences);
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
            typos: Typos::new(&vocabulary),
            sounds: Sounds::new(&vocabulary),
            vocabulary,
            shorthand: shorthand.into(),
            sequences: sequences.into(),
            sequence_parts: sequence_parts.into(),
            anchor_starts: anchor_starts.into(),
            anchored: anchored.concat().into(),
            uses,
            lines,
            rules: self.rules.into(),
            files: self.files.into(),
            most_against: most_against(&self.themes),
            themes: self.themes.into(),
        }
    }
}

/// Puts the uses of a phrase side by side, each once, with the first of its lines, and notes in the phrases where
/// theirs stand: those in an `any` first.
fn number_uses(
    mut gathered: Vec<GatheredUse>,
    phrase_ranks: &[u32],
    sequences: &mut [Sequence],
) -> (Box<[Use]>, Box<[u32]>) {
    for one in &mut gathered {
        one.phrase = phrase_ranks[one.phrase as usize];
    }
    let counts = |one: &GatheredUse| one.of.role() == Role::Part(0);
    gathered.sort_unstable_by_key(|one| (one.phrase, !counts(one), one.of, one.line));
    gathered.dedup_by_key(|one| (one.phrase, one.of));
    let mut of_phrases = gathered.chunk_by(|one, two| one.phrase == two.phrase).peekable();
    let mut first = 0;
    for (number, sequence) in (0..).zip(sequences) {
        let own = of_phrases.next_if(|of_phrase| of_phrase[0].phrase == number).unwrap_or_default();
        let counting = own.iter().filter(|one| counts(one)).count() as u32;
        sequence.uses = (first, first + counting);
        first += own.len() as u32;
    }
    let uses = gathered.iter().map(|one| one.of).collect();
    (uses, gathered.iter().map(|one| one.line).collect())
}

/// Packs, compiled.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) vocabulary: Vocabulary,
    /// By word, whether it only stands for another as it is typed.
    shorthand: Box<[bool]>,
    pub(super) typos: Typos,
    pub(super) sounds: Sounds,
    /// By word.
    pub(super) wanted: Box<[Wanted]>,
    pub(super) singles: Box<[u32]>,
    /// By phrase, and one more, where those end.
    pub(super) sequences: Box<[Sequence]>,
    sequence_parts: Box<[u32]>,
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
    /// By theme, the most that what speaks against takes off of what is typed ([`most_against`]).
    pub(super) most_against: [u8; MAX_THEMES],
}

impl Compiled {
    /// Whether a word only stands for another as it is typed: `2`, `ur`.
    #[inline]
    pub(super) fn is_shorthand(&self, word: WordId) -> bool {
        self.shorthand[word as usize]
    }

    /// Different phrases, sets filled in.
    pub(super) fn phrases(&self) -> usize {
        self.sequences.len() - 1
    }

    /// Different words, in all their forms.
    pub(super) fn words(&self) -> usize {
        self.vocabulary.len()
    }

    /// Bytes of memory that the compiled set takes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.vocabulary.memory_bytes()
            + self.typos.memory_bytes()
            + self.sounds.memory_bytes()
            + size_of_val(&*self.sequences)
            + size_of_val(&*self.sequence_parts)
            + size_of_val(&*self.anchor_starts)
            + size_of_val(&*self.anchored)
            + size_of_val(&*self.wanted)
            + size_of_val(&*self.singles)
            + size_of_val(&*self.uses)
            + size_of_val(&*self.lines)
            + size_of_val(&*self.rules)
    }

    /// The numbers of the parts of a phrase.
    #[inline]
    pub(super) fn parts(&self, phrase: u32) -> &[u32] {
        let phrase = phrase as usize;
        let [first, end] = [phrase, phrase + 1].map(|at| self.sequences[at].first as usize);
        &self.sequence_parts[first..end]
    }

    /// Where the uses of a phrase begin among all, those in an `any` first; where the others begin; and where all end.
    #[inline]
    pub(super) fn uses_of(&self, phrase: u32) -> (u32, u32, u32) {
        let phrase = phrase as usize;
        let (first, others) = self.sequences[phrase].uses;
        (first, others, self.sequences[phrase + 1].uses.0)
    }

    /// The phrases that are looked for by a part.
    #[inline]
    pub(super) fn anchored(&self, part: u32) -> &[Anchored] {
        let part = part as usize;
        &self.anchored[self.anchor_starts[part] as usize..self.anchor_starts[part + 1] as usize]
    }
}
