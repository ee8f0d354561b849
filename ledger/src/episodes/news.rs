//! What may open an alert again that somebody closed: the signs of an episode with when and where each came to be known.
//!
//! New is what was stored behind the last row that was there when somebody looked, whatever the clock says, and what
//! came to be known later than that by the clock. Where the two differ it is new: a clock that ran ahead must silence
//! nothing.

use super::day::{MAX_TIMES, Thresholds};
use super::sign::{Sign, Source};
use crate::query::AccessRow;
use rules::alert::Severity;
use rules::decide::ReasonCode;
use rules::time::UnixMillis;
use rules::visit::Visit;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Most sites of an episode that a false alarm may silence; what further ones do is always told.
const MAX_SITES: usize = 64;

/// How far somebody knew of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// What the clock said as they looked.
    pub at: UnixMillis,
    /// Place of the last row of the day that was stored by then; `None`: it was not written down, and time alone tells.
    pub row: Option<i64>,
    /// Whether the clock is known to have been wrong as they looked: what only time can tell is new then.
    pub is_time_wrong: bool,
    /// Whether they said that it was a false alarm: what the same sites do by themselves is not told again.
    pub is_false_alarm: bool,
}

/// What came of an episode since somebody knew of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Further {
    /// How many signs, those left out that a false alarm silences.
    pub signs: u32,
    /// The highest of theirs.
    pub severity: Severity,
    /// What tells most among what they were found in.
    pub source: Source,
}

impl Further {
    /// `3 signs, high (search)`: how many, the highest severity and what tells most.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { signs, severity, source } = self;
        let plural = if *signs == 1 { "" } else { "s" };
        format!("{signs} sign{plural}, {} ({})", severity.as_str(), source.as_str())
    }
}

/// Why a sign may be told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// It counts.
    Counts,
    /// Somebody typed it, though it is a repeat.
    Typed,
    /// It is a repeat, but a browser says that somebody opened it. After a false alarm that is news: what the site did by
    /// itself a moment before must not hide who opens it.
    Opened,
}

impl Tells {
    /// Of a sign that counts or not; `None`: it is no news.
    pub(super) fn of(row: &AccessRow, sign: &Sign, counts: bool) -> Option<Self> {
        match sign.severity {
            _ if counts => Some(Self::Counts),
            // A page or a program that asks again and again is no news; somebody who types is.
            Severity::Urgent if sign.source.is_typed() => Some(Self::Typed),
            Severity::Urgent | Severity::High if row.visit == Visit::Opened => Some(Self::Opened),
            _ => None,
        }
    }
}

/// One sign that may be told again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct New {
    row: i64,
    at: UnixMillis,
    severity: Severity,
    source: Source,
    host: String,
    tells: Tells,
    /// Whether nothing says that a person did it on purpose.
    may_be_by_itself: bool,
}

/// A site that signs of an episode were of, and since when it is known, with that severity.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Site {
    host: String,
    severity: Severity,
    row: i64,
    at: UnixMillis,
}

/// The signs of an episode that may be told again, the last ones: of [`MAX_TIMES`] kinds at least the last of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    all: VecDeque<New>,
    sites: Vec<Site>,
}

impl News {
    /// Takes a sign that came to be known at a time.
    pub(super) fn take(
        &mut self,
        row: &AccessRow,
        sign: &Sign,
        at: UnixMillis,
        tells: Option<Tells>,
    ) {
        let place = row.cursor.sequence;
        let covers = |it: &Site| it.host == row.host && it.severity >= sign.severity;
        let is_site = sign.source == Source::Site;
        if is_site && self.sites.len() < MAX_SITES && !self.sites.iter().any(covers) {
            let (host, severity) = (row.host.clone(), sign.severity);
            self.sites.push(Site { host, severity, row: place, at });
        }
        let Some(tells) = tells else { return };
        let new = New {
            row: place,
            at,
            severity: sign.severity,
            source: sign.source,
            host: row.host.clone(),
            tells,
            // What the lists of illegal content name is told whatever somebody said of it before.
            may_be_by_itself: is_site
                && matches!(row.visit, Visit::Unknown | Visit::Part)
                && row.reason != ReasonCode::Locked,
        };
        if self.all.len() == MAX_TIMES {
            // What one site does all day must not push out what somebody typed.
            let kind = |it: &New| (it.severity, it.source, it.tells, it.may_be_by_itself);
            let is_same = |it: &New| kind(it) == kind(&new) && it.host == new.host;
            let place = self.all.iter().position(is_same).unwrap_or(0);
            self.all.remove(place);
        }
        self.all.push_back(new);
    }

    /// What is to be told again of what came since: anything urgent, a sign that is high, or as many of any kind as make a
    /// routine alert.
    pub(super) fn since(&self, known: Known, thresholds: Thresholds) -> Option<Further> {
        let is_told = |it: &&New| {
            known.is_new(it)
                && !self.is_silenced(known, it)
                && (it.tells != Tells::Opened || known.is_false_alarm)
        };
        let further: Vec<&New> = self.all.iter().filter(is_told).collect();
        let counted = further.iter().filter(|it| it.tells == Tells::Counts).count();
        let is_grave = further.iter().any(|it| it.severity >= Severity::High);
        if !is_grave && counted < thresholds.routine as usize {
            return None;
        }
        Some(Further {
            signs: u32::try_from(further.len()).unwrap_or(u32::MAX),
            severity: further.iter().map(|it| it.severity).max()?,
            source: further.iter().map(|it| it.source).max()?,
        })
    }

    /// How many signs came since that are not told again, as a false alarm silences them; at most [`MAX_TIMES`].
    pub(super) fn silenced(&self, known: Known) -> usize {
        self.all.iter().filter(|it| known.is_new(it) && self.is_silenced(known, it)).count()
    }

    /// Whether it is of a site that somebody knew of as they said that it was a false alarm, no worse than that was, and
    /// nothing says that a person did it.
    fn is_silenced(&self, known: Known, new: &New) -> bool {
        let was_known = |site: &Site| {
            site.host == new.host
                && site.severity >= new.severity
                && !known.is_later(site.row, site.at)
        };
        known.is_false_alarm && new.may_be_by_itself && self.sites.iter().any(was_known)
    }
}

impl Known {
    fn is_new(self, it: &New) -> bool {
        // What is read may be found long after its row was stored.
        let is_told_by_time = self.row.is_none() || it.source.is_read();
        self.is_later(it.row, it.at) || self.is_time_wrong && is_told_by_time
    }

    fn is_later(self, row: i64, at: UnixMillis) -> bool {
        self.row.is_some_and(|known| row > known) || at > self.at
    }
}

#[cfg(test)]
#[path = "news_tests.rs"]
mod tests;
