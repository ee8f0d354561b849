//! Legal holds: records that are kept although their time is up, because somebody will ask for them.
//!
//! A hold names a person, a site, a range of time, or several of these, and then keeps what all of them
//! fit. It is made and lifted by people with a role, with a reason, and both stand in the change log.

use crate::change::{ChangeEntry, Event, same_person};
use crate::host::Host;
use crate::site::Site;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A hold's number, shown as `H-0003`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HoldId(pub u32);

impl std::fmt::Display for HoldId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "H-{:04}", self.0)
    }
}

impl HoldId {
    /// Reads `H-0003`, `h-3` or `3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix("H-").or_else(|| text.strip_prefix("h-")).unwrap_or(text);
        digits.parse().ok().filter(|number| *number > 0).map(Self)
    }
}

/// What a hold keeps: what fits every part that is given. At least one is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldScope {
    /// Accesses of this proven user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Accesses to this site and what is below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Accesses from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<UnixMillis>,
    /// Accesses before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMillis>,
}

impl HoldScope {
    /// Whether any access between these moments may be held.
    #[must_use]
    pub fn touches(&self, from: UnixMillis, until: UnixMillis) -> bool {
        self.from.is_none_or(|start| start < until) && self.until.is_none_or(|end| from < end)
    }

    /// Whether the hold names a range alone, so that everything in it is held.
    #[must_use]
    pub fn is_of_everything(&self) -> bool {
        self.person.is_none() && self.site.is_none()
    }

    /// Whether an access is held. What cannot be compared, such as a host that has no meaning, is held
    /// where nothing else speaks against it: a hold rather keeps too much.
    #[must_use]
    pub fn holds(
        &self,
        user: Option<&str>,
        (host, path): (&str, Option<&str>),
        at: UnixMillis,
    ) -> bool {
        let of_person = self.person.as_deref().is_none_or(|held| {
            // A record without a name may be anybody's, but a hold of a person is of what is known.
            user.is_some_and(|user| same_person(user, held))
        });
        let of_site =
            self.site.as_deref().is_none_or(|held| match (Site::parse(held), Host::parse(host)) {
                (Ok(site), Ok(host)) => {
                    site.covers(&host, path) || path.is_none() && is_of(&site, &host)
                }
                _ => true,
            });
        of_person && of_site && self.touches(at, UnixMillis(at.0.saturating_add(1)))
    }

    /// In words: `person sam.p, site example.org`.
    #[must_use]
    pub fn words(&self, moment: &dyn Fn(UnixMillis) -> String) -> String {
        let person = self.person.as_ref().map(|person| format!("person {person}"));
        let site = self.site.as_ref().map(|site| format!("site {site}"));
        let from = self.from.map(|from| format!("from {}", moment(from)));
        let until = self.until.map(|until| format!("until {}", moment(until)));
        [person, site, from, until].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Whether a tunnel to the host may have held pages of the site.
fn is_of(site: &Site, host: &Host) -> bool {
    Site::of_host(site.host().clone()).is_ok_and(|whole| whole.covers(host, None))
}

/// A hold that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its number.
    pub id: HoldId,
    /// What it keeps.
    pub scope: HoldScope,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub by: String,
    /// When.
    pub at: UnixMillis,
}

/// All holds: those in force, and the next number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// In force, by number.
    pub in_force: BTreeMap<HoldId, Hold>,
    /// Every hold ever made has a number up to this.
    pub last: u32,
}

impl Holds {
    /// Reads them out of the change log's entries.
    #[must_use]
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a ChangeEntry>) -> Self {
        let mut holds = Self::default();
        entries.into_iter().for_each(|entry| holds.fold(entry));
        holds
    }

    /// Takes in one more entry.
    pub fn fold(&mut self, entry: &ChangeEntry) {
        match &entry.event {
            Event::HoldAdded { id, scope, reason } => {
                self.last = self.last.max(id.0);
                let (id, scope, reason) = (*id, scope.clone(), reason.clone());
                let hold = Hold { id, scope, reason, by: entry.actor.clone(), at: entry.at };
                self.in_force.insert(id, hold);
            }
            Event::HoldLifted { id, .. } => {
                self.in_force.remove(id);
            }
            _ => {}
        }
    }

    /// The scopes in force.
    #[must_use]
    pub fn scopes(&self) -> Vec<HoldScope> {
        self.in_force.values().map(|hold| hold.scope.clone()).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    fn scope(person: Option<&str>, site: Option<&str>, from: i64, until: i64) -> HoldScope {
        HoldScope {
            person: person.map(str::to_owned),
            site: site.map(str::to_owned),
            from: (from != 0).then_some(UnixMillis(from)),
            until: (until != 0).then_some(UnixMillis(until)),
        }
    }

    #[test]
    fn a_hold_keeps_what_fits_every_part_of_it() {
        let cases = [
            ("person", scope(Some("Sam.P"), None, 0, 0), true),
            ("another person", scope(Some("kim"), None, 0, 0), false),
            ("site", scope(None, Some("example.org"), 0, 0), true),
            ("page", scope(None, Some("example.org/maths"), 0, 0), true),
            ("another page", scope(None, Some("example.org/games"), 0, 0), false),
            ("another site", scope(None, Some("example.com"), 0, 0), false),
            ("range", scope(None, None, 100, 101), true),
            ("its end is exclusive", scope(None, None, 0, 100), false),
            ("its start is inclusive", scope(None, None, 100, 0), true),
            ("person and site", scope(Some("sam.p"), Some("example.org"), 0, 0), true),
            ("person, not site", scope(Some("sam.p"), Some("example.com"), 0, 0), false),
            ("person, not range", scope(Some("sam.p"), None, 101, 0), false),
        ];
        for (what, scope, held) in cases {
            let found = scope.holds(
                Some("sam.p"),
                ("www.example.org", Some("/maths/fractions")),
                UnixMillis(100),
            );
            assert_eq!(found, held, "{what}");
        }
        assert!(!scope(Some("sam.p"), None, 0, 0).holds(None, ("a.test", None), UnixMillis(1)));
        let page = scope(None, Some("example.org/maths"), 0, 0);
        assert!(
            page.holds(None, ("example.org", None), UnixMillis(1)),
            "a tunnel may have held it"
        );
    }

    #[test]
    fn holds_come_and_go_and_numbers_are_never_given_twice() {
        let entry = |sequence, event| ChangeEntry {
            sequence,
            at: UnixMillis(sequence as i64),
            actor: "q.whitmore".to_owned(),
            event,
        };
        let added = |id| Event::HoldAdded {
            id: HoldId(id),
            scope: scope(Some("sam.p"), None, 0, 0),
            reason: "A complaint".to_owned(),
        };
        let lifted = Event::HoldLifted { id: HoldId(2), reason: "Settled".to_owned() };
        let entries = [entry(0, added(1)), entry(1, added(2)), entry(2, lifted)];
        let holds = Holds::of(&entries);
        assert_eq!((holds.in_force.len(), holds.last), (1, 2));
        assert_eq!(holds.in_force[&HoldId(1)].by, "q.whitmore");
        for (text, id) in
            [("H-0003", Some(3)), ("h-3", Some(3)), ("3", Some(3)), ("0", None), ("x", None)]
        {
            assert_eq!(HoldId::parse(text), id.map(HoldId), "{text}");
        }
    }
}
