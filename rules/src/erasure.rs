//! Erasing what one person's requests say: somebody asks with a reason, another person carries it out.
//!
//! The log goes on proving that there were such rows, and where; what they said is gone. Of the person the
//! change log has a pseudonym alone.

use crate::change::{ChangeEntry, Event};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An erasure's number, shown as `E-0003`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErasureId(pub u32);

impl std::fmt::Display for ErasureId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "E-{:04}", self.0)
    }
}

impl ErasureId {
    /// Reads `E-0003`, `e-3` or `3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix("E-").or_else(|| text.strip_prefix("e-")).unwrap_or(text);
        digits.parse().ok().filter(|number| *number > 0).map(Self)
    }
}

/// An erasure that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Its number.
    pub id: ErasureId,
    /// The pseudonym of whom it is about.
    pub person: String,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: UnixMillis,
    /// When it lapses.
    pub lapses: Option<UnixMillis>,
    /// Rows erased for it until now.
    pub rows: u64,
    /// Who finished it, and when.
    pub done: Option<(String, UnixMillis)>,
}

impl Erasure {
    /// How it stands: `asked`, `done` or `lapsed`. One that was begun does not lapse.
    #[must_use]
    pub fn standing(&self, now: UnixMillis) -> &'static str {
        let has_lapsed = self.rows == 0 && self.lapses.is_some_and(|lapses| lapses <= now);
        match (self.done.is_some(), has_lapsed) {
            (true, _) => "done",
            (false, true) => "lapsed",
            (false, false) => "asked",
        }
    }
}

/// All that were ever asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erasures {
    /// By number.
    pub all: BTreeMap<ErasureId, Erasure>,
}

impl Erasures {
    /// Reads them out of the change log's entries.
    #[must_use]
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a ChangeEntry>) -> Self {
        let mut erasures = Self::default();
        entries.into_iter().for_each(|entry| erasures.fold(entry));
        erasures
    }

    /// Takes in one more entry.
    pub fn fold(&mut self, entry: &ChangeEntry) {
        match &entry.event {
            Event::ErasureAsked { id, person, reason, lapses } => {
                let (id, by, lapses) = (*id, entry.actor.clone(), *lapses);
                let (person, reason) = (person.clone(), reason.clone());
                let (at, rows, done) = (entry.at, 0, None);
                let asked = Erasure { id, person, reason, by, at, lapses, rows, done };
                self.all.insert(id, asked);
            }
            Event::Erased { request: Some(id), rows, .. } => {
                if let Some(erasure) = self.all.get_mut(id) {
                    erasure.rows = erasure.rows.saturating_add(*rows);
                }
            }
            Event::ErasureDone { id, .. } => {
                if let Some(erasure) = self.all.get_mut(id) {
                    erasure.done = Some((entry.actor.clone(), entry.at));
                }
            }
            _ => {}
        }
    }

    /// The number of the next one.
    #[must_use]
    pub fn next(&self) -> Option<ErasureId> {
        self.all.keys().next_back().map_or(0, |last| last.0).checked_add(1).map(ErasureId)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    #[test]
    fn an_erasure_is_asked_for_then_done_or_lapses_unless_it_was_begun() {
        let entry = |sequence, actor: &str, event| ChangeEntry {
            sequence,
            at: UnixMillis(sequence as i64),
            actor: actor.to_owned(),
            event,
        };
        let asked = |id| Event::ErasureAsked {
            id: ErasureId(id),
            person: "P-7K3Q".to_owned(),
            reason: "The family asked for it".to_owned(),
            lapses: Some(UnixMillis(100)),
        };
        let part = Event::Erased {
            day: "2026-01-05".to_owned(),
            whole: false,
            classes: Vec::new(),
            request: Some(ErasureId(1)),
            rows: 7,
            batches: Vec::new(),
            lacks: Some("00".repeat(32)),
            why: "asked for".to_owned(),
        };
        let entries = [
            entry(0, "q.whitmore", asked(1)),
            entry(1, "a.deputy", part),
            entry(2, "q.whitmore", asked(2)),
        ];
        let erasures = Erasures::of(&entries);
        let standing = |id, now| erasures.all[&ErasureId(id)].standing(UnixMillis(now));
        assert_eq!((standing(1, 99), standing(1, 100)), ("asked", "asked"), "it was begun");
        assert_eq!((standing(2, 99), standing(2, 100)), ("asked", "lapsed"));
        assert_eq!(erasures.all[&ErasureId(1)].rows, 7);
        assert_eq!(erasures.next(), Some(ErasureId(3)));
        let mut done = erasures.clone();
        let event = Event::ErasureDone { id: ErasureId(1), days: 1, rows: 7 };
        done.fold(&entry(3, "a.deputy", event));
        assert_eq!(done.all[&ErasureId(1)].standing(UnixMillis(200)), "done");
        assert_eq!(done.all[&ErasureId(1)].done, Some(("a.deputy".to_owned(), UnixMillis(3))));
    }

    #[test]
    fn a_number_is_read_as_it_is_shown() {
        for (text, id) in
            [("E-0003", Some(3)), ("e-3", Some(3)), (" 3 ", Some(3)), ("0", None), ("H-1", None)]
        {
            assert_eq!(ErasureId::parse(text), id.map(ErasureId), "{text}");
        }
        assert_eq!(ErasureId(3).to_string(), "E-0003");
    }
}
