//! Adding up the tables of several days. Names are numbers while sums are added, since the same few
//! stand in all days; they become texts once, at the end.

use super::tables::{Names, Tables, damaged};
use super::{Count, Hour, PersonKey, Summary};
use crate::record::AsDecided;
use crate::seen::Seen;
use rules::decide::Verdict;
use rules::time::UnixMillis;
use rules::visit::Visit;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// A text, by its place among all that came.
type Name = u32;

/// Sums of the days so far.
#[derive(Debug, Default)]
pub(super) struct Adding {
    known: Known,
    /// What has no names in it.
    plain: Summary,
    levels: HashMap<Name, Count>,
    categories: HashMap<(Name, Name), Count>,
    people: HashMap<(Option<Name>, Name, Option<Name>), Count>,
    sites: HashMap<(Name, Name), Count>,
    reasons: HashMap<(Option<Name>, u8), u64>,
    hours: HashMap<i64, Hour>,
    seen_people: HashSet<(i64, Name)>,
    seen: BTreeMap<String, Seen>,
}

/// Every text once.
#[derive(Debug, Default)]
struct Known {
    texts: Vec<String>,
    numbers: HashMap<String, Name>,
}

impl Known {
    fn number(&mut self, text: &str) -> Name {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as Name;
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    /// The numbers here of a day's own.
    fn of_day(&mut self, names: &Names) -> Result<Day, sqlx::Error> {
        let mut day = HashMap::new();
        names.each(|own, text| {
            day.insert(own, self.number(text));
        })?;
        Ok(Day(day))
    }

    fn text(&self, number: Name) -> String {
        self.texts.get(number as usize).cloned().unwrap_or_default()
    }
}

/// Numbers of a day's own texts.
struct Day(HashMap<i64, Name>);

impl Day {
    fn get(&self, own: i64) -> Result<Name, sqlx::Error> {
        self.0.get(&own).copied().ok_or_else(|| damaged("a sum of a name that is not there"))
    }

    /// 0 is nobody, or no category.
    fn some(&self, own: i64) -> Result<Option<Name>, sqlx::Error> {
        if own == 0 { Ok(None) } else { self.get(own).map(Some) }
    }
}

fn verdict(number: i64) -> Verdict {
    if number == 0 { Verdict::Allow } else { Verdict::Block }
}

fn count(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|_| damaged("a sum below nothing"))
}

fn small(number: i64) -> Result<u8, sqlx::Error> {
    u8::try_from(number).map_err(|_| damaged("a number out of its range"))
}

impl Adding {
    /// Adds a day, or a part of one.
    pub(super) fn add(&mut self, tables: &Tables) -> Result<(), sqlx::Error> {
        let names = self.known.of_day(&tables.names)?;
        let people = self.known.of_day(&tables.people)?;
        let sites = self.known.of_day(&tables.sites)?;
        tables.by_hour.each(|[hour, level, category, answer, requests, up, down]| {
            let (verdict, requests) = (verdict(answer), count(requests)?);
            let level = names.get(level)?;
            if let Some(category) = names.some(category)? {
                let sum = self.categories.entry((level, category)).or_default();
                sum.add(verdict, requests);
                return Ok(());
            }
            let (up, down) = (count(up)?, count(down)?);
            let hour = self.hours.entry(hour).or_default();
            hour.requests.add(verdict, requests);
            hour.bytes_up += up;
            hour.bytes_down += down;
            self.plain.bytes_up += up;
            self.plain.bytes_down += down;
            self.plain.requests.add(verdict, requests);
            self.levels.entry(level).or_default().add(verdict, requests);
            Ok(())
        })?;
        tables.by_person.each(|[person, level, category, answer, requests]| {
            let key = (people.some(person)?, names.get(level)?, names.some(category)?);
            self.people.entry(key).or_default().add(verdict(answer), count(requests)?);
            Ok(())
        })?;
        tables.by_site.each(|[site, level, answer, requests]| {
            let key = (sites.get(site)?, names.get(level)?);
            self.sites.entry(key).or_default().add(verdict(answer), count(requests)?);
            Ok(())
        })?;
        tables.by_depth.each(|[depth, identified, answer, requests]| {
            let known = AsDecided::from_number(small(depth)?);
            let known = known.ok_or_else(|| damaged("a depth that there is not"))?;
            let (verdict, requests) = (verdict(answer), count(requests)?);
            let key = (known.depth as u8, identified != 0);
            self.plain.depths.entry(key).or_default().add(verdict, requests);
            if known.visit == Visit::Opened {
                self.plain.visits.add(verdict, requests);
            }
            Ok(())
        })?;
        tables.by_reason.each(|[person, reason, requests]| {
            let key = (people.some(person)?, small(reason)?);
            *self.reasons.entry(key).or_default() += count(requests)?;
            Ok(())
        })?;
        tables.seen_people.each(|[hour, person]| {
            self.seen_people.insert((hour, people.get(person)?));
            Ok(())
        })?;
        for (level, seen) in &tables.seen {
            let sum = self.seen.entry(level.clone()).or_default();
            *sum = Seen::total([&*sum, seen]);
        }
        Ok(())
    }

    /// All of it with its names; the days are for the caller to tell.
    pub(super) fn finish(mut self) -> Summary {
        for (hour, _) in &self.seen_people {
            self.hours.entry(*hour).or_default().people += 1;
        }
        let known = &self.known;
        let text = |name: Name| known.text(name);
        let some = |name: Option<Name>| name.map(text);
        let people = self.people.into_iter().map(|((person, level, category), count)| {
            let (person, category) = (some(person), some(category));
            (PersonKey { person, level: text(level), category }, count)
        });
        let pairs = |sums: HashMap<(Name, Name), Count>| {
            let named =
                sums.into_iter().map(|((one, other), count)| ((text(one), text(other)), count));
            named.collect()
        };
        let reasons = self.reasons.into_iter();
        Summary {
            hours: self
                .hours
                .into_iter()
                .map(|(hour, sums)| (UnixMillis(hour.saturating_mul(HOUR_MS)), sums))
                .collect(),
            categories: pairs(self.categories),
            levels: self.levels.into_iter().map(|(level, count)| (text(level), count)).collect(),
            sites: pairs(self.sites),
            people: people.collect(),
            seen: self.seen,
            reasons: reasons.map(|((person, reason), sum)| ((some(person), reason), sum)).collect(),
            ..self.plain
        }
    }
}
