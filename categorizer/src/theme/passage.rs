//! What a passage of some hundred words holds: which phrases stand where, and what they count.
//!
//! 1. Each word that is the anchor of phrases is looked around from: an event for each that is there.
//! 2. Groups of which something is missing are left out, and with them most of the events.
//! 3. What stands within an innocent phrase is masked, for the themes that the phrase is innocent for.
//! 4. The events are gone through in the order of the text. A group of one list counts at once; one
//!    of more lists counts where the last parts seen of all its lists are near each other.
//! 5. What has an `unless` near is dropped.
//!
//! The work is in proportion to the words and to what stands in them: nothing looks back further than
//! to the last part seen.

use super::anchor::Wanted;
use super::compile::{Compiled, Role, Rule};
use super::vocabulary::{WordId, signature};

/// How far off an `unless` is heard, in words.
pub(super) const UNLESS_WORDS: u32 = 12;

/// Bits for the lists of a group, in what is noted of it.
const LISTS: u32 = 3;

/// A word of the passage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) word: WordId,
    /// Themes for which it stands in an innocent phrase.
    pub(super) innocent: u32,
    /// Where it stands in the text, in bytes.
    pub(super) start: u64,
    pub(super) end: u64,
    /// Numbers the words that one was taken apart into; 0 where it was written apart.
    pub(super) joined: u32,
}

/// A phrase that stands in the passage, by places of words. One number, so that sorting is quick: by where it
/// begins, then by its length, then by the phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event(u64);

impl Event {
    fn new(start: usize, length: usize, phrase: u32) -> Self {
        Self((start as u64) << 36 | (length as u64) << 32 | u64::from(phrase))
    }

    fn start(self) -> u32 {
        (self.0 >> 36) as u32
    }

    fn end(self) -> u32 {
        self.start() + (self.0 >> 32 & 15) as u32
    }

    fn phrase(self) -> u32 {
        self.0 as u32
    }
}

// The length of a phrase has four bits.
const _: () = assert!(super::pattern::MAX_PARTS <= 15);

/// A group that is met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// The number of the use by which its `any` phrase is in the group.
    pub(super) number: u32,
    pub(super) group: u32,
    /// From the first of its parts to the last, by places of words.
    pub(super) start: u32,
    pub(super) end: u32,
    /// The phrase alone.
    own: (u32, u32),
}

/// The last that was seen of one list of a group.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    passage: u32,
    start: u32,
    end: u32,
    number: u32,
}

/// What is kept from passage to passage, so that nothing is allocated.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    pub(super) tokens: Vec<Token>,
    events: Vec<Event>,
    /// By group, and list of it: the last two.
    seen: Vec<[[Seen; 2]; 3]>,
    /// By group: the passage, and above [`LISTS`] a bit for each list of which something stands in it.
    present: Vec<u64>,
    /// By phrase: the passage that it was last seen in, and its place in `live`.
    placed: Vec<(u32, u32)>,
    /// The phrases of the passage, and where their uses begin in `uses`, and end: those in groups of
    /// which nothing is missing.
    live: Vec<(u32, u32, u32)>,
    uses: Vec<u32>,
    /// By group: the passage, and where the phrase ends that was counted last.
    counted: Vec<(u32, u32)>,
    /// Group and place.
    unless: Vec<(u32, u32)>,
    hits: Vec<Hit>,
    passage: u32,
    /// Whether what is only for what is typed is passed over.
    pub(super) is_page: bool,
}

impl Workspace {
    /// Makes room for a set. `is_page`: whether what is only for what is typed is passed over.
    pub(super) fn prepare(&mut self, themes: &Compiled, is_page: bool) {
        self.tokens.clear();
        self.is_page = is_page;
        if self.seen.len() < themes.rules.len() {
            self.seen.resize(themes.rules.len(), Default::default());
            self.present.resize(themes.rules.len(), 0);
            self.counted.resize(themes.rules.len(), (0, 0));
        }
        if self.placed.len() < themes.sequences.len() {
            self.placed.resize(themes.sequences.len(), (0, 0));
        }
    }

    /// The hits among the tokens, in the order of the text; and the tokens.
    pub(super) fn judge(&mut self, themes: &Compiled) -> (&[Hit], &[Token]) {
        self.next_passage();
        self.find(themes);
        self.note_lists(themes);
        self.keep_live(themes);
        self.mask(themes);
        self.hits.clear();
        self.unless.clear();
        for place in 0..self.events.len() {
            self.take(themes, self.events[place]);
        }
        self.unless.sort_unstable();
        let mut hits = std::mem::take(&mut self.hits);
        hits.sort_unstable_by_key(|hit| (hit.own, hit.group, hit.number));
        hits.retain(|hit| self.counts(themes, hit));
        self.hits = hits;
        (&self.hits, &self.tokens)
    }

    fn next_passage(&mut self) {
        self.passage = self.passage.wrapping_add(1);
        if self.passage == 0 {
            // After four thousand million passages what was seen in the first ones would look new.
            self.seen.fill(Default::default());
            self.present.fill(0);
            self.placed.fill((0, 0));
            self.counted.fill((0, 0));
            self.passage = 1;
        }
    }

    fn find(&mut self, themes: &Compiled) {
        let Self { tokens, events, .. } = self;
        let vocabulary = &themes.vocabulary;
        events.clear();
        for (at, token) in tokens.iter().enumerate() {
            let beside = |at: Option<usize>| {
                let token = at.and_then(|at| tokens.get(at));
                token.map_or(0, |token| vocabulary.signature(token.word))
            };
            let Wanted { before, after, alone } = themes.wanted[token.word as usize];
            for &phrase in &themes.singles[alone.0 as usize..alone.1 as usize] {
                events.push(Event::new(at, 1, phrase));
            }
            if before & beside(at.checked_sub(1)) == 0 && after & beside(Some(at + 1)) == 0 {
                continue;
            }
            for &part in vocabulary.parts(token.word) {
                for anchored in themes.anchored(part) {
                    let other = at.wrapping_add_signed(isize::from(anchored.other_at));
                    let Some(other) = tokens.get(other) else { continue };
                    if vocabulary.signature(other.word) & signature(anchored.other) == 0 {
                        continue;
                    }
                    let Some(start) = at.checked_sub(usize::from(anchored.before)) else {
                        continue;
                    };
                    let end = start + usize::from(anchored.length);
                    let Some(place) = tokens.get(start..end) else { continue };
                    let parts = themes.parts(anchored.phrase);
                    let fits =
                        |(token, part): (&Token, &u32)| vocabulary.parts(token.word).contains(part);
                    if place.iter().zip(parts).all(fits) {
                        let length = usize::from(anchored.length);
                        events.push(Event::new(start, length, anchored.phrase));
                    }
                }
            }
        }
    }

    fn mask(&mut self, themes: &Compiled) {
        let Self { tokens, events, is_page, .. } = self;
        for event in events {
            let innocent = themes.sequences[event.phrase() as usize].innocent(*is_page);
            if innocent != 0 {
                let masked = &mut tokens[event.start() as usize..event.end() as usize];
                masked.iter_mut().for_each(|token| token.innocent |= innocent);
            }
        }
    }

    /// Notes which groups have something of each of their lists: most lack one, and their phrases need
    /// no more than this, once a passage.
    fn note_lists(&mut self, themes: &Compiled) {
        let Self { events, present, placed, live, uses, is_page, .. } = self;
        live.clear();
        uses.clear();
        for event in events.iter() {
            let place = &mut placed[event.phrase() as usize];
            if place.0 != self.passage {
                *place = (self.passage, live.len() as u32);
                live.push((event.phrase(), 0, 0));
            }
        }
        let none = u64::from(self.passage) << LISTS;
        // First those that count, as nothing is found without one: what is only near often stands alone.
        for (phrase, ..) in live.iter() {
            let (first, others, _) = themes.uses_of(*phrase);
            for of in &themes.uses[first as usize..others as usize] {
                present[of.group()] = none | 1;
            }
        }
        for (phrase, ..) in live.iter() {
            let (_, others, last) = themes.uses_of(*phrase);
            for of in &themes.uses[others as usize..last as usize] {
                let present = &mut present[of.group()];
                if let Role::Part(part) = of.role()
                    && *present > none
                {
                    *present |= 1 << part;
                }
            }
        }
        for (phrase, start, end) in live.iter_mut() {
            let (first, _, last) = themes.uses_of(*phrase);
            *start = uses.len() as u32;
            let is_passed_over = *is_page && themes.sequences[*phrase as usize].is_said;
            let last = if is_passed_over { first } else { last };
            for number in first..last {
                let group = themes.uses[number as usize].group();
                let rule = &themes.rules[group];
                let all = (1 << rule.parts) - 1;
                if present[group] == none | all && !(*is_page && rule.is_typed_only) {
                    uses.push(number);
                }
            }
            *end = uses.len() as u32;
        }
    }

    /// Leaves what has something to count or to mask, in the order of the text.
    fn keep_live(&mut self, themes: &Compiled) {
        let Self { events, placed, live, is_page, .. } = self;
        events.retain(|event| {
            let (_, place) = placed[event.phrase() as usize];
            let (phrase, first, last) = live[place as usize];
            first < last || themes.sequences[phrase as usize].innocent(*is_page) != 0
        });
        events.sort_unstable();
        events.dedup();
    }

    fn take(&mut self, themes: &Compiled, event: Event) {
        let (_, place) = self.placed[event.phrase() as usize];
        let (_, first, last) = self.live[place as usize];
        if first == last {
            return;
        }
        let (start, end) = (event.start(), event.end());
        let tokens = &self.tokens[start as usize..end as usize];
        let innocent = tokens.iter().fold(0, |bits, token| bits | token.innocent);
        for place in first..last {
            let number = self.uses[place as usize];
            let of = themes.uses[number as usize];
            let (group, role) = (of.group() as u32, of.role());
            let rule = &themes.rules[group as usize];
            let part = match role {
                Role::Unless => {
                    self.unless.push((group, start));
                    continue;
                }
                // What counts for all themes is not silenced by a phrase that is innocent for one.
                Role::Part(_) if innocent & rule.themes == rule.themes => continue,
                Role::Part(part) => usize::from(part),
            };
            let now = Seen { passage: self.passage, start, end, number };
            if rule.parts == 1 {
                self.hits.push(Hit { number, group, start, end, own: (start, end) });
                continue;
            }
            let seen = &mut self.seen[group as usize];
            seen[part] = [now, seen[part][0]];
            let passage = self.passage;
            for [own, first, last] in (0..2).filter_map(|any| met(rule, seen, part, passage, any)) {
                let (start, end, number) = (first.start, last.end, own.number);
                self.hits.push(Hit { number, group, start, end, own: (own.start, own.end) });
            }
        }
    }

    /// Whether a hit is not dropped: by an `unless`, by another phrase of the same group in the same
    /// place, or because its words were only taken to be several.
    fn counts(&mut self, themes: &Compiled, hit: &Hit) -> bool {
        let first = (hit.group, hit.start.saturating_sub(UNLESS_WORDS));
        let next = self.unless.partition_point(|one| *one < first);
        let is_near = |place: u32| place <= hit.end + UNLESS_WORDS;
        if self.unless.get(next).is_some_and(|&(group, place)| group == hit.group && is_near(place))
        {
            return false;
        }
        let tokens = &self.tokens[hit.start as usize..hit.end as usize];
        let joined = tokens.iter().map(|token| token.joined).max().unwrap_or(0);
        let is_apart = joined == 0;
        if !is_apart && (tokens.len() < 2 || tokens.iter().any(|token| token.joined != joined)) {
            return false;
        }
        let counted = &mut self.counted[hit.group as usize];
        let same_place = counted.0 == self.passage && hit.own.0 < counted.1;
        if same_place && themes.rules[hit.group as usize].weight > 0 {
            return false;
        }
        *counted = (self.passage, hit.own.1);
        true
    }
}

/// One of the last two `any` phrases, the first and the last part, where what was just seen of one list
/// and something seen of each of the others meet a group.
fn met(
    rule: &Rule,
    seen: &[[Seen; 2]; 3],
    now: usize,
    passage: u32,
    any: usize,
) -> Option<[Seen; 3]> {
    // Of the list that has just got a part, that part; of the others, the last one or the one before.
    let one_of = |list: usize, place: usize| {
        let one = seen[list][place];
        (one.passage == passage && (list != now || place == 0)).then_some(one)
    };
    let any = one_of(0, any)?;
    for with in (0..2).filter_map(|place| one_of(1, place)) {
        if rule.parts == 2 {
            if let Some(met) = near(rule, &[any, with]) {
                return Some(met);
            }
            continue;
        }
        for also in (0..2).filter_map(|place| one_of(2, place)) {
            if let Some(met) = near(rule, &[any, with, also]) {
                return Some(met);
            }
        }
    }
    None
}

/// The same, of parts that were chosen: they stand in different words, near each other, and in order
/// if the group says so.
fn near(rule: &Rule, parts: &[Seen]) -> Option<[Seen; 3]> {
    let mut pairs = parts
        .iter()
        .enumerate()
        .flat_map(|(at, one)| parts[at + 1..].iter().map(move |two| (one, two)));
    if pairs.any(|(one, two)| one.start < two.end && two.start < one.end) {
        return None;
    }
    if rule.in_order && !parts.is_sorted_by_key(|one| one.start) {
        return None;
    }
    let first = parts.iter().min_by_key(|one| one.start)?;
    let last = parts.iter().max_by_key(|one| one.end)?;
    let own = parts.iter().map(|one| one.end - one.start).sum::<u32>();
    (last.end - first.start <= rule.near + own).then_some([parts[0], *first, *last])
}
