//! Finding rows.

use crate::Error;
use crate::columns::{Number, Row, Text};
use crate::find::Finder;
use crate::read::{File, Group};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most threads of one search: a search must not take every processor of a machine that filters.
const MAX_THREADS: usize = 4;

/// Which way a page runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Lowest place in the day first.
    OldestFirst,
    /// Highest first.
    NewestFirst,
}

type Test<'q> = Box<dyn Fn(Option<&str>) -> bool + Sync + 'q>;

/// Which rows: all conditions must hold.
#[derive(Default)]
pub struct Conditions<'q> {
    numbers: Vec<(Number, RangeInclusive<i64>)>,
    texts: Vec<(Text, Test<'q>)>,
    /// Of which one passes, if there are any.
    one_of: Vec<(Text, Test<'q>)>,
    /// Texts that one of a column must hold, before its tests are made.
    holding: Vec<(Text, Finder)>,
    depth_in_end: Option<String>,
    addresses: Vec<String>,
    words: Vec<String>,
}

impl std::fmt::Debug for Conditions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conditions").field("numbers", &self.numbers).finish_non_exhaustive()
    }
}

impl<'q> Conditions<'q> {
    /// The number is there, and in the range.
    pub fn number(&mut self, column: Number, range: RangeInclusive<i64>) {
        self.numbers.push((column, range));
    }

    /// The text passes the test, which is made once for each distinct text of a row group.
    pub fn text(&mut self, column: Text, test: impl Fn(Option<&str>) -> bool + Sync + 'q) {
        self.texts.push((column, Box::new(test)));
    }

    /// At least one of the texts given so passes its test.
    pub fn one_of(&mut self, column: Text, test: impl Fn(Option<&str>) -> bool + Sync + 'q) {
        self.one_of.push((column, Box::new(test)));
    }

    /// Beside a test: a text that passes it holds this one, compared without (ASCII) case. Groups of which no text
    /// does are passed over for little.
    pub fn holding(&mut self, column: Text, text: &str) {
        self.holding.push((column, Finder::new(text)));
    }

    /// How deep the proxy saw, in the end where that is told, else as decided, is this word.
    pub fn depth_in_end(&mut self, word: &str) {
        self.depth_in_end = Some(word.to_owned());
    }

    /// The host with the path behind it holds one of these texts, compared without (ASCII) case.
    pub fn address(&mut self, texts: impl IntoIterator<Item = String>) {
        self.addresses.extend(texts);
    }

    /// With [`Conditions::address`]: or the words of a search hold one of these texts, compared likewise.
    pub fn or_words(&mut self, texts: impl IntoIterator<Item = String>) {
        self.words.extend(texts);
    }

    /// Whether bounds and dictionaries leave it open that the group has such a row.
    fn may_hold(&self, group: &Group<'_>) -> Result<bool, Error> {
        for (column, range) in &self.numbers {
            if let Some((least, most)) = group.bounds(*column)
                && (most < *range.start() || least > *range.end())
            {
                return Ok(false);
            }
        }
        for (column, test) in &self.texts {
            let Some(dictionary) = group.dictionary(*column)? else { continue };
            let count = dictionary.count() as u32;
            if !test(None) && !(0..count).any(|number| test(dictionary.entry(number))) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The rows of the group, in their order.
    fn select(&self, group: &Group<'_>) -> Result<Vec<u32>, Error> {
        if group.rows() == 0 || !self.may_hold(group)? {
            return Ok(Vec::new());
        }
        let mut rows: Vec<u32> = (0..group.rows() as u32).collect();
        for (column, test) in &self.texts {
            for (_, finder) in self.holding.iter().filter(|(of, _)| of == column) {
                if group.texts_holding(*column, finder)?.is_none() {
                    return Ok(Vec::new());
                }
            }
            let texts = group.texts(*column)?;
            if rows.len() < texts.count() {
                rows.retain(|row| test(texts.row(*row as usize)));
                if rows.is_empty() {
                    return Ok(rows);
                }
                continue;
            }
            let passes: Vec<bool> =
                (0..texts.count() as u32).map(|number| test(texts.entry(number))).collect();
            let none = test(None);
            rows.retain(|row| {
                let number = texts.numbers[*row as usize] as usize;
                passes.get(number).copied().unwrap_or(none)
            });
            if rows.is_empty() {
                return Ok(rows);
            }
        }
        if !self.one_of.is_empty() {
            let mut kept = Vec::new();
            for (column, test) in &self.one_of {
                let texts = group.texts(*column)?;
                let passes: Vec<bool> =
                    (0..texts.count() as u32).map(|number| test(texts.entry(number))).collect();
                let none = test(None);
                let is_kept = |row: &&u32| {
                    let number = texts.numbers[**row as usize] as usize;
                    passes.get(number).copied().unwrap_or(none)
                };
                kept.extend(rows.iter().filter(is_kept));
            }
            kept.sort_unstable();
            kept.dedup();
            rows = kept;
        }
        for (column, range) in &self.numbers {
            let covers = |(least, most)| range.contains(&least) && range.contains(&most);
            if group.bounds(*column).is_some_and(covers) && !is_optional(*column) {
                continue;
            }
            let numbers = group.numbers(*column)?;
            rows.retain(|row| {
                numbers.row(*row as usize).is_some_and(|number| range.contains(&number))
            });
        }
        if let Some(word) = self.depth_in_end.as_deref().filter(|_| !rows.is_empty()) {
            let (decided, end) = (group.texts(Text::Depth)?, group.texts(Text::DepthEnd)?);
            rows.retain(|row| {
                let row = *row as usize;
                // Behind a depth as decided may stand whether somebody opened it.
                let decided = || decided.row(row).and_then(|known| known.split(' ').next());
                end.row(row).or_else(decided) == Some(word)
            });
        }
        if !self.addresses.is_empty() && !rows.is_empty() {
            let mut kept = Vec::new();
            for text in &self.addresses {
                let mut holding = rows.clone();
                retain_addresses(group, &mut holding, text)?;
                kept.extend(holding);
            }
            for text in &self.words {
                let finder = Finder::new(text);
                let Some(words) = group.texts_holding(Text::Words, &finder)? else { continue };
                let holding = words.holding(&finder);
                let holds = |row: &&u32| {
                    let number = words.numbers[**row as usize] as usize;
                    holding.get(number).copied().unwrap_or(false)
                };
                kept.extend(rows.iter().filter(holds));
            }
            kept.sort_unstable();
            kept.dedup();
            rows = kept;
        }
        Ok(rows)
    }
}

/// Whether rows may be without the number, so that bounds do not speak for all.
fn is_optional(column: Number) -> bool {
    !matches!(column, Number::Sequence | Number::Id | Number::At | Number::Port | Number::Locked)
}

/// Keeps the rows whose host, with the path behind it, holds `text`. The text may begin in the host
/// and end in the path.
fn retain_addresses(group: &Group<'_>, rows: &mut Vec<u32>, text: &str) -> Result<(), Error> {
    let hosts = group.texts(Text::Host)?;
    let finder = Finder::new(text);
    let in_hosts = hosts.holding(&finder);
    let begins: Vec<bool> = (0..hosts.count() as u32)
        .map(|number| hosts.entry(number).is_some_and(|host| finder.may_begin_in(host)))
        .collect();
    let paths = match in_hosts.iter().chain(&begins).any(|is| *is) {
        true => group.texts(Text::Path)?,
        false => match group.texts_holding(Text::Path, &finder)? {
            Some(paths) => paths,
            None => {
                rows.clear();
                return Ok(());
            }
        },
    };
    let in_paths = paths.holding(&finder);
    let is = |all: &[bool], number: u32| all.get(number as usize).copied().unwrap_or(false);
    let mut whole = String::new();
    rows.retain(|row| {
        let row = *row as usize;
        let (host, path) = (hosts.numbers[row], paths.numbers[row]);
        if is(&in_hosts, host) || is(&in_paths, path) {
            return true;
        }
        if !is(&begins, host) {
            return false;
        }
        whole.clear();
        whole.push_str(hosts.row(row).unwrap_or_default());
        whole.push_str(paths.row(row).unwrap_or_default());
        finder.is_in(&whole)
    });
    Ok(())
}

/// Somebody's visits to what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visits {
    /// Requests.
    pub requests: u64,
    /// Of those, blocked.
    pub blocked: u64,
    /// When the first was read, milliseconds since 1970.
    pub first: i64,
    /// When the last was.
    pub last: i64,
}

impl Visits {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.blocked += other.blocked;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

impl File {
    /// Up to `limit` rows, by place, in the order asked for; each is handed to `take`.
    ///
    /// # Errors
    /// [`Error`]: damage; or the first that `take` gives.
    pub fn page<T: Send, E: From<Error> + Send>(
        &self,
        conditions: &Conditions<'_>,
        order: Order,
        limit: usize,
        take: impl Fn(Row<'_>) -> Result<T, E> + Sync,
    ) -> Result<Vec<T>, E> {
        // By what a row is sorted: the lowest keys are wanted.
        let key = |sequence: i64| match order {
            Order::OldestFirst => sequence,
            Order::NewestFirst => -1 - sequence,
        };
        let all: Vec<usize> = (0..self.groups()).collect();
        let found = self.in_threads(&all, |group, at| {
            let selected = conditions.select(group)?;
            if selected.is_empty() {
                return Ok(Vec::new());
            }
            let sequences = group.numbers(Number::Sequence)?;
            let place = |row: u32| (key(sequences.row(row as usize).unwrap_or(-1)), at, row);
            Ok::<_, E>(lowest(selected.into_iter().map(place).collect(), limit))
        })?;
        let mut wanted = lowest(found.into_iter().flatten().collect(), limit);
        wanted.sort_unstable_by_key(|(key, at, row)| (*at, *row, *key));
        let parts: Vec<&[(i64, usize, u32)]> =
            wanted.chunk_by(|(_, one, _), (_, other, _)| one == other).collect();
        let groups: Vec<usize> = parts.iter().map(|part| part[0].1).collect();
        let by_group: HashMap<usize, &[(i64, usize, u32)]> =
            groups.iter().copied().zip(parts.iter().copied()).collect();
        let rows = self.in_threads(&groups, |group, at| {
            let part = by_group.get(&at).copied().unwrap_or_default();
            let taken =
                part.iter().map(|(key, _, row)| Ok((*key, take(group.row(*row as usize)?)?)));
            taken.collect::<Result<Vec<_>, E>>()
        })?;
        let mut rows: Vec<(i64, T)> = rows.into_iter().flatten().collect();
        rows.sort_by_key(|(key, _)| *key);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// Who has rows that meet the conditions, and how many; `None`: all that were not proved.
    ///
    /// # Errors
    /// [`Error`]: damage.
    pub fn visitors(
        &self,
        conditions: &Conditions<'_>,
    ) -> Result<HashMap<Option<String>, Visits>, Error> {
        let all: Vec<usize> = (0..self.groups()).collect();
        let found = self.in_threads(&all, |group, _| {
            let mut people: HashMap<u32, Visits> = HashMap::new();
            let selected = conditions.select(group)?;
            if selected.is_empty() {
                return Ok::<_, Error>(Vec::new());
            }
            let (users, times) = (group.texts(Text::User)?, group.numbers(Number::At)?);
            let verdicts = group.texts(Text::Verdict)?;
            for row in selected {
                let row = row as usize;
                let at = times.row(row).unwrap_or_default();
                let blocked = u64::from(verdicts.row(row) == Some("block"));
                let visit = Visits { requests: 1, blocked, first: at, last: at };
                people.entry(users.numbers[row]).and_modify(|sum| sum.add(visit)).or_insert(visit);
            }
            let named = people.into_iter();
            Ok(named.map(|(user, sum)| (users.entry(user).map(str::to_owned), sum)).collect())
        })?;
        let mut people: HashMap<Option<String>, Visits> = HashMap::new();
        for (user, sum) in found.into_iter().flatten() {
            people.entry(user).and_modify(|known| known.add(sum)).or_insert(sum);
        }
        Ok(people)
    }

    /// Does the same with each of the row groups, in as many threads as there are processors, and
    /// gives the outcomes in no particular order. After a failure no further group is begun.
    fn in_threads<T: Send, E: Send>(
        &self,
        groups: &[usize],
        work: impl Fn(&Group<'_>, usize) -> Result<T, E> + Sync,
    ) -> Result<Vec<T>, E> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = processors.min(MAX_THREADS).min(groups.len());
        if threads <= 1 {
            return groups.iter().map(|at| work(&self.group(*at), *at)).collect();
        }
        let next = AtomicUsize::new(0);
        let done = Mutex::new((Vec::with_capacity(groups.len()), None));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(at) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let outcome = work(&self.group(*at), *at);
                        let mut done = done.lock().unwrap_or_else(|error| error.into_inner());
                        match outcome {
                            Ok(value) => done.0.push(value),
                            Err(error) => {
                                done.1.get_or_insert(error);
                                next.store(groups.len(), Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
        match done.into_inner().unwrap_or_else(|error| error.into_inner()) {
            (_, Some(error)) => Err(error),
            (values, None) => Ok(values),
        }
    }
}

/// The `limit` lowest, in no particular order.
fn lowest(mut all: Vec<(i64, usize, u32)>, limit: usize) -> Vec<(i64, usize, u32)> {
    if all.len() > limit {
        all.select_nth_unstable(limit);
        all.truncate(limit);
    }
    all
}
