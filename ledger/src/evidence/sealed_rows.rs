//! The rows of a sealed part as what they are proved with: their leaves, made again from its columns.
//!
//! A sealed file is sorted by person; batches run by place. So a search goes over all row groups and
//! puts each leaf where it belongs, for as many batches at a time as memory should hold
//! ([`passes`]).

use super::batch::Batch;
use super::row::{End, Hash, Row, What, Who};
use super::salt::Salts;
use crate::record::{AsDecided, Ended};
use crate::sealed_day::{depth_of, end_of, notes_of, scheme_of, verdict_of};
use rules::decide::ReasonCode;
use sealed::Group;
use std::collections::HashMap;
use std::ops::Range;

/// Most rows and ends whose leaves are held at a time: 132 MB.
const MOST_LEAVES: u64 = 4_000_000;

/// A row of a sealed file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made<'g> {
    /// What its leaf is made of.
    pub(crate) row: Row<'g>,
    /// Its end, where that came by itself.
    pub(crate) end: Option<End<'g>>,
    /// The values as the file has them.
    pub(crate) values: sealed::Row<'g>,
}

/// What many rows share is hashed once a row group.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct WhatKey<'g> {
    texts: [&'g str; 10],
    rule: Option<&'g str>,
    port: u16,
    locked: bool,
    unblock: Option<u32>,
}

/// Reads the rows of one row group.
pub(crate) struct Reader<'g> {
    group: &'g Group<'g>,
    who: HashMap<(Option<&'g str>, &'g str, &'g str), Hash>,
    what: HashMap<WhatKey<'g>, Hash>,
}

impl<'g> Reader<'g> {
    pub(crate) fn new(group: &'g Group<'g>) -> Self {
        Self { group, who: HashMap::new(), what: HashMap::new() }
    }

    /// A row. `Ok(None)`: it has words or numbers that no row has.
    ///
    /// # Errors
    /// [`sealed::Error`]: a column cannot be read.
    pub(crate) fn read(&mut self, place: usize) -> Result<Option<Made<'g>>, sealed::Error> {
        let values = self.group.row(place)?;
        Ok(self.made(values))
    }

    fn made(&mut self, values: sealed::Row<'g>) -> Option<Made<'g>> {
        let number = u64::try_from(values.sequence).ok()?;
        let who = (values.user, values.level, values.client);
        let who = *self.who.entry(who).or_insert_with(|| {
            Who { user: values.user, level: values.level, client: values.client }.hash()
        });
        let what = self.what(&values)?;
        let ended = match values.ended {
            None => None,
            Some(ended) => Some((read_end(&ended)?, ended.place, ended.signs)),
        };
        let (inline, end) = match ended {
            None => (None, None),
            Some((ended, None, None)) => (Some(ended), None),
            // Signs of an end that came with its row are the row's.
            Some((_, None, Some(_))) => return None,
            Some((ended, Some(place), signs)) => {
                (None, Some(End { place: u64::try_from(place).ok()?, row: number, ended, signs }))
            }
        };
        let id = values.id as u64;
        let (at, path, notes) = (values.at, values.path, notes_of(&values)?);
        let row = Row { number, id, at, who, what, path, ended: inline, notes };
        Some(Made { row, end, values })
    }

    fn what(&mut self, values: &sealed::Row<'g>) -> Option<Hash> {
        let key = WhatKey {
            texts: [
                values.host,
                values.categories,
                values.method,
                values.scheme,
                values.verdict,
                values.reason,
                values.depth,
                values.policy_hash,
                values.list_version,
                values.zone,
            ],
            rule: values.rule,
            port: values.port,
            locked: values.locked,
            unblock: values.unblock,
        };
        if let Some(hash) = self.what.get(&key) {
            return Some(*hash);
        }
        let what = What {
            policy_hash: values.policy_hash,
            list_version: values.list_version,
            zone: values.zone,
            method: values.method,
            scheme: scheme_of(values.scheme)?,
            host: values.host,
            port: values.port,
            categories: values.categories.split_whitespace().collect(),
            locked: values.locked,
            verdict: verdict_of(values.verdict)?,
            reason: ReasonCode::from_word(values.reason)?,
            rule: values.rule,
            unblock: values.unblock,
            known: AsDecided::from_word(values.depth)?,
        };
        let hash = what.hash();
        self.what.insert(key, hash);
        Some(hash)
    }
}

/// An end as it was recorded; `None`: it has words or numbers that no end has.
fn read_end(ended: &sealed::Ended<'_>) -> Option<Ended> {
    let depth = match ended.depth {
        None => None,
        Some(word) => Some(depth_of(word)?),
    };
    Some(Ended {
        end: end_of(ended.end)?,
        status: ended.status,
        bytes_up: ended.bytes_up as u64,
        bytes_down: ended.bytes_down as u64,
        duration_us: ended.duration_us as u64,
        depth,
    })
}

/// Batches in runs of which each is gathered at once.
pub(crate) fn passes(batches: &[Batch]) -> Vec<Range<usize>> {
    let mut passes: Vec<Range<usize>> = Vec::new();
    let mut leaves = 0_u64;
    for (place, batch) in batches.iter().enumerate() {
        let more = batch.rows.saturating_add(batch.ends);
        match passes.last_mut() {
            Some(last) if leaves.saturating_add(more) <= MOST_LEAVES => last.end = place + 1,
            _ => {
                passes.push(place..place + 1);
                leaves = 0;
            }
        }
        leaves = leaves.saturating_add(more);
    }
    passes
}

/// The leaves of batches that are wanted, each in its place.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    rows: Slots,
    ends: Slots,
    buffer: Vec<u8>,
}

/// Leaves by place, in stretches that need not follow one another.
#[derive(Debug, Default)]
struct Slots {
    /// First place, and where its leaf is in `leaves`; sorted.
    starts: Vec<(u64, usize)>,
    leaves: Vec<Option<Hash>>,
}

impl Slots {
    fn over(mut ranges: Vec<Range<u64>>) -> Self {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        let mut slots = Self::default();
        let mut next = 0;
        for range in ranges {
            // Records that were altered may overlap.
            let first = range.start.max(next);
            if first >= range.end {
                continue;
            }
            slots.starts.push((first, slots.leaves.len()));
            slots.leaves.resize(slots.leaves.len() + (range.end - first) as usize, None);
            next = range.end;
        }
        slots
    }

    fn at(&self, place: u64) -> Option<usize> {
        let before = self.starts.partition_point(|(first, _)| *first <= place).checked_sub(1)?;
        let (first, at) = self.starts[before];
        let end = self.starts.get(before + 1).map_or(self.leaves.len(), |(_, next)| *next);
        let at = at.checked_add(usize::try_from(place - first).ok()?)?;
        (at < end).then_some(at)
    }

    fn leaf(&self, place: u64) -> Option<Hash> {
        self.leaves[self.at(place)?]
    }

    fn holds(&self, place: u64) -> bool {
        self.at(place).is_some()
    }

    /// `false`: there is one in this place.
    fn put(&mut self, place: u64, leaf: Hash) -> bool {
        match self.at(place) {
            None => true,
            Some(at) => self.leaves[at].replace(leaf).is_none(),
        }
    }
}

impl Gathered {
    /// Room for the leaves of these batches.
    pub(crate) fn over<'b>(batches: impl Iterator<Item = &'b Batch>) -> Self {
        let (rows, ends) = batches
            .map(|batch| (batch.first_row..batch.next_row(), batch.first_end..batch.next_end()))
            .unzip();
        Self { rows: Slots::over(rows), ends: Slots::over(ends), buffer: Vec::new() }
    }

    /// Takes the leaves of a row and its end, where they are wanted. `(false, _)`: another row has
    /// its place; `(_, false)`: another end has that of its end.
    pub(crate) fn take(&mut self, made: &Made<'_>, salts: &Salts) -> (bool, bool) {
        let number = made.row.number;
        let mut alone = (true, true);
        if self.rows.holds(number) {
            let leaf = made.row.leaf(&salts.row_apart(number), &mut self.buffer);
            alone.0 = self.rows.put(number, leaf);
        }
        if let Some(end) = made.end.filter(|end| self.ends.holds(end.place)) {
            let leaf = end.leaf(&salts.end_apart(end.place), &mut self.buffer);
            alone.1 = self.ends.put(end.place, leaf);
        }
        alone
    }

    /// The leaves of a batch, rows and then ends; `None` where none was found.
    pub(crate) fn leaves(&self, batch: &Batch) -> Vec<Option<Hash>> {
        let rows = (batch.first_row..batch.next_row()).map(|place| self.rows.leaf(place));
        let ends = (batch.first_end..batch.next_end()).map(|place| self.ends.leaf(place));
        rows.chain(ends).collect()
    }
}

/// The number of the first batch whose rows and ends in a sealed file are not those of its record.
/// `stop` is asked at each row group: `None`, it was told to.
///
/// # Errors
/// [`sealed::Error`].
pub(crate) fn first_misfit(
    file: &sealed::File,
    batches: &[Batch],
    salts: &Salts,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Option<Checked>, sealed::Error> {
    for pass in passes(batches) {
        let batches = &batches[pass];
        // No record may ask for more room than there are rows.
        if let Some(batch) = batches.iter().find(|batch| is_too_large(batch, file.rows())) {
            return Ok(Some(Checked::Misfit(batch.number)));
        }
        let mut gathered = Gathered::over(batches.iter());
        for number in 0..file.groups() {
            if stop() {
                return Ok(None);
            }
            let group = file.group(number);
            let mut reader = Reader::new(&group);
            for row in 0..group.rows() {
                let Some(made) = reader.read(row)? else { continue };
                gathered.take(&made, salts);
            }
        }
        for batch in batches {
            let leaves: Option<Vec<Hash>> = gathered.leaves(batch).into_iter().collect();
            let root = leaves.and_then(|leaves| super::batch::root_of(&leaves).ok());
            if root.is_none() || root != super::hash_of_hex(&batch.root) {
                return Ok(Some(Checked::Misfit(batch.number)));
            }
        }
    }
    Ok(Some(Checked::Fits))
}

/// What became of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    Fits,
    /// The batch of this number does not.
    Misfit(u64),
}

/// Whether a batch's record tells of more rows or ends than a file has.
pub(crate) fn is_too_large(batch: &Batch, rows: u64) -> bool {
    batch.rows > rows || batch.ends > rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn batch(first_row: u64, rows: u64, first_end: u64, ends: u64) -> Batch {
        let (day, root) = ("2026-11-27".to_owned(), String::new());
        Batch { number: 0, day, first_row, rows, first_end, ends, at: 0, root }
    }

    #[test]
    fn leaves_find_their_places_in_stretches_apart() {
        let batches = [batch(10, 5, 0, 2), batch(30, 2, 7, 1)];
        let mut gathered = Gathered::over(batches.iter());
        for (place, wanted) in
            [(9, false), (10, true), (14, true), (15, false), (29, false), (31, true), (32, false)]
        {
            assert_eq!(gathered.rows.holds(place), wanted, "row {place}");
        }
        assert!(gathered.rows.put(31, [7; 32]));
        assert!(!gathered.rows.put(31, [8; 32]), "two in one place");
        assert!(gathered.ends.put(1, [9; 32]));
        assert_eq!(gathered.leaves(&batches[1]), [None, Some([8; 32]), None]);
        let first = gathered.leaves(&batches[0]);
        assert_eq!((first.len(), first[6]), (7, Some([9; 32])));
    }

    #[test]
    fn passes_hold_no_more_leaves_than_they_should_and_lose_no_batch() {
        let large = MOST_LEAVES / 2;
        let batches: Vec<Batch> =
            [large, large, 1, u64::MAX, 1, 1].iter().map(|rows| batch(0, *rows, 0, 0)).collect();
        assert_eq!(passes(&batches), [0..2, 2..3, 3..4, 4..6]);
        assert_eq!(passes(&[]), [] as [Range<usize>; 0]);
    }
}
