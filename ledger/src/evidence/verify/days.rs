//! All days together: batches without a gap, each in the tree, and the tree as it was signed.

use super::changes::Changes;
use super::day::{self, DayFound};
use super::{ACCESSES, Options, Report, VerifyError, plural, sealed_part, spans, trees::Tree};
use crate::evidence::access::lost_leaf;
use crate::evidence::hash_of_hex;
use crate::evidence::row::Hash;
use crate::evidence::tree::{MemoryTree, Tree as _};
use crate::lock::{DaysLock, Hold};
use crate::parts::{Part, days, parts, parts_of};
use crate::retention::{PartErasure, erasures, part_erasures};
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// Every batch that a file holds.
#[derive(Default)]
struct Batches {
    leaves: BTreeMap<u64, (String, Hash)>,
    /// Numbers about which something was said.
    named: BTreeSet<u64>,
    /// Days that were erased whole, by which entry, and which batches they had.
    erased: Erasures,
}

type Erasures = BTreeMap<Date, (u64, Vec<(u64, u64)>)>;

/// Checks all days of a state folder.
pub(super) async fn check(
    state: &Path,
    options: &Options,
    kept: &Tree,
    changes: &Changes,
    report: &mut Report,
    tell: &mut dyn FnMut(&str),
) -> Result<(), VerifyError> {
    let folder = state.join("access");
    let io = |source| VerifyError::Io { path: folder.display().to_string(), source };
    // Read once: a running filter may make the end of the tree anew meanwhile.
    let tree: Vec<Hash> = (0..kept.size()).map_while(|number| kept.leaf(number)).collect();
    let believed = believed(kept, changes);
    let in_tree = |number: u64| tree.get(number as usize).copied().filter(|_| number < believed);
    let mut batches = Batches { erased: erasures(&changes.entries), ..Batches::default() };
    let mut found: BTreeMap<Date, DayFound> = BTreeMap::new();
    let mut unproved = Vec::new();
    for day in days(&folder).map_err(io)? {
        let rows = options.since.is_none_or(|since| day >= since);
        tell(&format!("access log, {day}"));
        report.days += 1;
        if !rows {
            report.uncovered.push(format!("access log: rows of {day} were not asked for"));
        }
        // Nobody makes other files of the day meanwhile. Where there can be no lock, as on a copy that is
        // only to be read, there is nobody either.
        let began = Instant::now();
        let give_up = || began.elapsed() >= PATIENCE;
        let _lock = DaysLock::take(&folder, Hold::Shared, give_up).await.ok().flatten();
        let mut before = DayFound::default();
        for (number, part) in (1..).zip(parts_of(&folder, day).map_err(io)?) {
            let open = match part.sealed {
                true => None,
                false => day::check(&part.database(&folder), day, rows, &in_tree, report).await,
            };
            let this = match open {
                Some(this) => this,
                // Sealed since the folder was read.
                None => {
                    let sealed = Part { sealed: true, ..part };
                    sealed_part::check(&folder, sealed, rows, &in_tree, report).await
                }
            };
            goes_on(part, number, &before, &this, report);
            if this.starts.is_some_and(|starts| !starts.is_proved) {
                unproved.push(part);
            }
            batches.add(&day.to_string(), &this, report);
            before.add(this);
        }
        found.insert(day, before);
    }
    no_longer_unproved(&found, &unproved, report);
    missing_parts(&folder, &batches.erased, report).map_err(io)?;
    set_aside(&folder, report).map_err(io)?;
    report.batches = batches.leaves.len() as u64;
    batches.against_tree(&tree, believed, kept, report);
    batches.against_heads(&tree, changes, report);
    tell_erased(&found, &batches.erased, report);
    parts_erased(&found, &part_erasures(&changes.entries), report);
    day_counts(&found, &batches.erased, changes, report);
    not_yet_signed(&batches, changes, report);
    Ok(())
}

/// How long whoever replaces files of days is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// Whether a part goes on where the ones before it end: otherwise it was put in, or one is missing.
fn goes_on(part: Part, number: u32, before: &DayFound, this: &DayFound, report: &mut Report) {
    let file = part.database(Path::new("")).display().to_string();
    if part.number != number {
        let what = format!("it is part {} of its day, and part {number} is missing", part.number);
        report.problem(ACCESSES, file, what);
        return;
    }
    // Where something was found already, places say little.
    let Some(starts) = this.starts.filter(|_| !before.named && !this.named) else { return };
    if (starts.row, starts.end) != (before.rows, before.ends) {
        let what = format!(
            "it begins with row {} and end {}, where {} and {} are the next",
            starts.row, starts.end, before.rows, before.ends
        );
        report.problem(ACCESSES, file, what);
    } else if number > 1 && !starts.is_proved {
        let what =
            "it says that it was recorded before the log was proved, and is a later part of a day";
        report.problem(ACCESSES, file, what);
    }
}

/// Days from the first proved one on which others may still have begun before.
const WHILE_UPDATED_DAYS: i32 = 2;

/// What says that it was recorded before the log was proved, though days before it were.
fn no_longer_unproved(found: &BTreeMap<Date, DayFound>, unproved: &[Part], report: &mut Report) {
    let first = found.iter().find(|(_, this)| !this.batches.is_empty()).map(|(day, _)| *day);
    let Some(first) = first else { return };
    for part in unproved.iter().filter(|part| (part.day - first).get_days() > WHILE_UPDATED_DAYS) {
        let what = format!(
            "it says that it, or its first rows, were recorded before the log was proved, and {first} was proved"
        );
        report.problem(ACCESSES, part.database(Path::new("")).display().to_string(), what);
    }
}

/// How much of the tree's file a signed entry says to be right.
fn believed(kept: &Tree, changes: &Changes) -> u64 {
    let fits = |size: u64, root: &str| kept.root_at(size) == hash_of_hex(root);
    let heads = changes.heads.iter().map(|(_, head)| head);
    heads.filter(|head| fits(head.size, &head.root)).map(|head| head.size).max().unwrap_or(0)
}

impl Batches {
    fn add(&mut self, day: &str, found: &DayFound, report: &mut Report) {
        self.named.extend(found.unread.iter().map(|(number, _)| *number));
        let read = found.batches.iter().map(|(number, leaf, _)| (number, leaf));
        for (number, leaf) in read.chain(found.unread.iter().map(|(number, leaf)| (number, leaf))) {
            match self.leaves.get(number) {
                Some((other, _)) => {
                    self.named.insert(*number);
                    let what = format!("{other} and {day} both have a batch of this number");
                    report.problem(ACCESSES, format!("batch {number}"), what);
                }
                None => {
                    self.leaves.insert(*number, (day.to_owned(), *leaf));
                }
            }
        }
    }

    /// Whether the change log says that a batch was erased with its day.
    fn is_erased(&self, number: u64) -> bool {
        let within = |(first, last): &(u64, u64)| (*first..=*last).contains(&number);
        self.erased.values().any(|(_, batches)| batches.iter().any(within))
    }

    fn size(&self) -> u64 {
        self.leaves.keys().next_back().map_or(0, |last| last + 1)
    }

    /// The days around batches that are missing.
    fn around(&self, (first, last): (u64, u64)) -> String {
        let before = self.leaves.range(..first).next_back().map(|(_, (day, _))| day.as_str());
        let after = self.leaves.range(last + 1..).next().map(|(_, (day, _))| day.as_str());
        match (before, after) {
            (Some(before), Some(after)) if before == after => format!("on {before}"),
            (Some(before), Some(after)) => format!("between {before} and {after}"),
            (Some(before), None) => format!("on or after {before}"),
            (None, Some(after)) => format!("on or before {after}"),
            (None, None) => "of days that are all missing".to_owned(),
        }
    }

    fn against_tree(&mut self, tree: &[Hash], believed: u64, kept: &Tree, report: &mut Report) {
        let all = self.size().max(tree.len() as u64);
        // Of a batch that was erased the tree has the hash, and a signed head says that it is right.
        let stands_in = |number: u64| {
            number < believed
                && tree.get(number as usize).is_some_and(|leaf| *leaf != lost_leaf(number))
                && self.is_erased(number)
        };
        let missing: Vec<u64> = (0..all)
            .filter(|number| !self.leaves.contains_key(number) && !self.named.contains(number))
            .filter(|number| !stands_in(*number))
            .collect();
        for run in spans(missing.iter().copied()) {
            let lost =
                (run.0..=run.1).all(|number| tree.get(number as usize) == Some(&lost_leaf(number)));
            let what = match lost {
                true => "lost before: no file had them when the filter last started",
                false => "missing: no day's file has them",
            };
            let place = format!(
                "{}, {}",
                plural("batch", run).replace("batchs", "batches"),
                self.around(run)
            );
            report.problem(ACCESSES, place, what);
        }
        self.named.extend(missing);
        let mut differs = Vec::new();
        for (number, (day, leaf)) in &self.leaves {
            let Some(kept) = tree.get(*number as usize) else { continue };
            if kept != leaf && *number < believed && !self.named.contains(number) {
                self.named.insert(*number);
                let what = "it is not the batch that was signed: its record was altered, or it was made anew";
                report.problem(ACCESSES, format!("{day}, batch {number}"), what);
            } else if kept != leaf && *number >= believed {
                differs.push(*number);
            }
        }
        if let Some(first) = differs.first().filter(|first| !self.named.contains(first)) {
            let what = format!("it does not have the batches that the days have, from {first} on");
            report.problem(&kept.name, "the file", what);
        }
    }

    /// Each head that a signed entry carries is the root of the batches up to there.
    fn against_heads(&mut self, tree: &[Hash], changes: &Changes, report: &mut Report) {
        // What is missing has been said; the tree's file stands in for it.
        let leaf = |number: u64| match self.leaves.get(&number) {
            Some((_, leaf)) => Some(*leaf),
            None => tree.get(number as usize).copied(),
        };
        let leaves = (0..).map_while(leaf);
        let whole = MemoryTree::of(leaves).unwrap_or_default();
        let (mut right, mut cut) = (0, false);
        for (entry, head) in &changes.heads {
            if head.size > whole.size() {
                if !cut && self.named.range(whole.size()..).next().is_none() {
                    let run = (whole.size(), head.size - 1);
                    let place = format!(
                        "{}, {}",
                        plural("batch", run).replace("batchs", "batches"),
                        self.around(run)
                    );
                    let what =
                        format!("missing at the end: entry {entry} of the change log states them");
                    report.problem(ACCESSES, place, what);
                }
                cut = true;
                continue;
            }
            if whole.root_at(head.size).ok() == hash_of_hex(&head.root) {
                right = right.max(head.size);
            } else if self.named.range(..head.size).next().is_none() {
                let place = format!("batches {right} to {}", head.size.max(1) - 1);
                let what = format!(
                    "one of them is not the batch that was signed: entry {entry} of the change log states another root"
                );
                report.problem(ACCESSES, place, what);
                self.named.insert(right);
            }
        }
    }
}

fn not_finished(day: Date, entry: u64) -> String {
    format!(
        "access log: entry {entry} of the change log says that {day} was erased, and it has a file; schoolgate \
         retention run finishes an erasure that was cut short"
    )
}

/// The days that the change log calls erased, each with the entry that says so.
fn tell_erased(found: &BTreeMap<Date, DayFound>, erased: &Erasures, report: &mut Report) {
    for (day, (entry, batches)) in erased {
        if found.contains_key(day) {
            report.uncovered.push(not_finished(*day, *entry));
            continue;
        }
        let runs: Vec<String> =
            batches.iter().map(|run| plural("batch", *run).replace("batchs", "batches")).collect();
        let hashes = match runs.is_empty() {
            true => "it was recorded before the log was proved".to_owned(),
            false => format!("the hashes of {} are kept", runs.join(", ")),
        };
        report.erased.push(format!("access log: {day} was erased by entry {entry}; {hashes}"));
    }
}

/// Rows that are gone from days which have a file: the change log must say that these were erased, and that
/// no others were.
fn parts_erased(
    found: &BTreeMap<Date, DayFound>,
    parts: &BTreeMap<Date, Vec<PartErasure>>,
    report: &mut Report,
) {
    for (day, this) in found {
        let entries = parts.get(day).map_or(&[][..], Vec::as_slice);
        let lacks = this.lacks.clone().unwrap_or_default();
        let fits = entries.iter().rposition(|part| part.lacks == lacks.places);
        let done = match (&this.lacks, fits) {
            (None, _) => 0,
            (Some(_), Some(last)) => last + 1,
            (Some(_), None) => {
                let what = format!(
                    "{} rows and {} ends are gone from it, and no entry of the change log says that just \
                     these were erased",
                    lacks.rows, lacks.ends
                );
                report.problem(ACCESSES, format!("access-{day}.db"), what);
                continue;
            }
        };
        for (place, part) in entries[..done].iter().enumerate() {
            // Cut short, and made again by a later entry, which tells of the same rows.
            if entries[place + 1..done].iter().any(|later| later.lacks == part.lacks) {
                continue;
            }
            report.erased.push(format!(
                "access log: {} rows of {day} were erased by entry {} ({}); their hashes are kept",
                part.rows, part.entry, part.what
            ));
        }
        for part in &entries[done..] {
            report.uncovered.push(format!(
                "access log: entry {} of the change log says that {} rows of {day} were erased ({}), and they \
                 are there: it was cut short, or the file was restored",
                part.entry, part.rows, part.what
            ));
        }
    }
}

/// What the entries say of how many rows a day had.
fn day_counts(
    found: &BTreeMap<Date, DayFound>,
    erased: &Erasures,
    changes: &Changes,
    report: &mut Report,
) {
    let mut most: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    for (entry, head) in &changes.heads {
        for count in &head.days {
            most.insert(&count.day, (*entry, count.rows, count.ends));
        }
    }
    for (day, (entry, rows, ends)) in most {
        let date = day.parse::<Date>().ok();
        if date.is_some_and(|date| erased.contains_key(&date) && !found.contains_key(&date)) {
            continue;
        }
        let there = date.and_then(|day| found.get(&day));
        let place = format!("access-{day}.db");
        match there {
            None => {
                let what = format!(
                    "the whole day is missing; entry {entry} of the change log states {rows} rows"
                );
                report.problem(ACCESSES, place, what);
            }
            Some(found) if (found.rows < rows || found.ends < ends) && !found.named => {
                let what = format!(
                    "it has {} rows and {} ends, where entry {entry} of the change log states {rows} and {ends}",
                    found.rows, found.ends
                );
                report.problem(ACCESSES, place, what);
            }
            Some(_) => {}
        }
    }
}

fn not_yet_signed(batches: &Batches, changes: &Changes, report: &mut Report) {
    let stated = changes.heads.iter().map(|(_, head)| head.size).max().unwrap_or(0);
    let size = batches.size();
    if size > stated {
        let run = plural("batch", (stated, size - 1)).replace("batchs", "batches");
        report.uncovered.push(format!(
            "access log: {run} came after the last checkpoint ({})",
            batches.around((stated, size - 1))
        ));
    }
}

/// Sealed rows that no sums go with: without those the log does not know of them.
fn missing_parts(folder: &Path, erased: &Erasures, report: &mut Report) -> std::io::Result<()> {
    let known = parts(folder)?;
    for name in names(folder)? {
        if !(name.starts_with("access-") && name.ends_with(".parquet")) {
            continue;
        }
        let part = known.iter().find(|part| part.rows(Path::new("")) == Path::new(&name));
        let day = name.get("access-".len()..).and_then(|rest| rest.get(..10)?.parse::<Date>().ok());
        match (part, day.and_then(|day| Some((day, erased.get(&day)?.0)))) {
            (Some(part), _) if part.sealed => {}
            // What is asked, and proved, is the file beside it.
            (Some(_), _) => report.uncovered.push(format!(
                "access log: {name} is left of sealing or of an erasure that was cut short; the next one, or \
                 schoolgate retention run, removes it"
            )),
            // The sums go first where a day goes whole.
            (None, Some((day, entry))) => report.uncovered.push(not_finished(day, entry)),
            (None, None) => {
                let what = "the rows of a sealed day whose sums (*.sums.db beside it) are missing";
                report.problem(ACCESSES, name, what);
            }
        }
    }
    Ok(())
}

fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        Ok(entry?.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}

/// Days that were damaged when the filter met them and went on in another file.
fn set_aside(folder: &Path, report: &mut Report) -> std::io::Result<()> {
    for name in names(folder)? {
        if name.starts_with("access-") && name.ends_with(".db") && name.contains(".damaged-") {
            let what = "the filter found it damaged and set it aside; its rows are not in the log any more";
            report.problem(ACCESSES, name, what);
        }
    }
    Ok(())
}
