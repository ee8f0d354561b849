//! Whose accounts were keyed by whom: one person must not sign off as two.
//!
//! Whoever keeps accounts can add one, or set another password for one, and log in to it before its
//! owner does. So for a day after that, the two accounts count as one person in any request: long
//! enough for the entry to be seen, and for the owner to find that the handed-over password is spent.
//! In the first week of a school's accounts nothing is held back: somebody has to add the others.

use super::{ChangeEntry, Event, same_person};
use crate::time::UnixMillis;
use std::collections::BTreeMap;

const HOUR_MILLIS: i64 = 3_600_000;

/// How long two accounts count as one person, in milliseconds.
pub const KEYED_MILLIS: i64 = 24 * HOUR_MILLIS;

/// How long after the first account that is not so, in milliseconds.
pub const SETTING_UP_MILLIS: i64 = 7 * 24 * HOUR_MILLIS;

/// What lets whoever did it log in to somebody else's account.
const KEYS: [&str; 3] = ["added", "password", "two-step off"];

/// Who keyed which account last.
#[derive(Clone, Debug, Default)]
pub struct Keyed {
    first: Option<UnixMillis>,
    /// By name without case: by whom, and when.
    by: BTreeMap<String, (String, UnixMillis)>,
}

impl Keyed {
    /// Takes an entry in.
    pub(super) fn fold(&mut self, entry: &ChangeEntry) {
        let Event::AccountChanged { account, changed } = &entry.event else { return };
        self.first.get_or_insert(entry.at);
        let is_keyed = changed.iter().any(|what| KEYS.contains(&what.as_str()));
        // An own password changes nothing: whoever logs in first chooses it.
        if is_keyed && !same_person(account, &entry.actor) {
            let keyed = (entry.actor.trim().to_lowercase(), entry.at);
            self.by.insert(account.trim().to_lowercase(), keyed);
        }
    }

    /// Until when two accounts count as one person's, if they do now; and who keyed which.
    #[must_use]
    pub fn until(&self, one: &str, other: &str, now: UnixMillis) -> Option<UnixMillis> {
        let first = self.first?;
        let (one, other) = (one.trim().to_lowercase(), other.trim().to_lowercase());
        let fresh = |name: &str| {
            let (by, at) = self.by.get(name)?;
            let is_late = at.0 >= first.0.saturating_add(SETTING_UP_MILLIS);
            let until = UnixMillis(at.0.saturating_add(KEYED_MILLIS));
            (is_late && now < until).then_some((by.as_str(), until))
        };
        let keyers = [
            fresh(&one).filter(|(by, _)| *by == other),
            fresh(&other).filter(|(by, _)| *by == one),
        ];
        // Both by a third, who can be either.
        let third = match (fresh(&one), fresh(&other)) {
            (Some((by, until)), Some((too, and))) if by == too => Some((by, until.min(and))),
            _ => None,
        };
        keyers.into_iter().chain([third]).flatten().map(|(_, until)| until).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * HOUR_MILLIS;

    fn told(days_and_changes: &[(i64, &str, &str, &str)]) -> Keyed {
        let mut keyed = Keyed::default();
        for (sequence, (at, actor, account, what)) in (0..).zip(days_and_changes) {
            let event = Event::AccountChanged {
                account: (*account).to_owned(),
                changed: vec![(*what).to_owned()],
            };
            keyed.fold(&ChangeEntry {
                sequence,
                at: UnixMillis(*at),
                actor: (*actor).to_owned(),
                event,
            });
        }
        keyed
    }

    #[test]
    fn whoever_keyed_an_account_counts_as_its_owner_for_a_day() {
        let late = 30 * DAY;
        for what in KEYS {
            let keyed = told(&[
                (0, "machine:root", "q.whitmore", "added"),
                (late, "J.Cho", "d.deputy", what),
            ]);
            let now = |after: i64| UnixMillis(late + after);
            let until = Some(UnixMillis(late + DAY));
            assert_eq!(keyed.until("j.cho", "D.Deputy", now(0)), until, "{what}");
            assert_eq!(keyed.until("d.deputy", " j.cho ", now(DAY - 1)), until, "{what}");
            assert_eq!(keyed.until("d.deputy", "j.cho", now(DAY)), None, "{what}");
            assert_eq!(keyed.until("d.deputy", "q.whitmore", now(0)), None, "{what}");
        }
        let own = told(&[(0, "a", "a", "added"), (late, "d.deputy", "d.deputy", "password")]);
        assert_eq!(own.until("d.deputy", "a", UnixMillis(late)), None);
        let unlocked = told(&[(0, "a", "a", "added"), (late, "a", "b", "unlocked")]);
        assert_eq!(unlocked.until("a", "b", UnixMillis(late)), None);
    }

    #[test]
    fn an_own_password_afterwards_frees_nobody_and_a_third_can_be_either() {
        let late = 30 * DAY;
        let keyed = told(&[
            (0, "machine:root", "q.whitmore", "added"),
            (late, "j.cho", "one", "password"),
            (late + 1, "one", "one", "password"),
            (late + 2, "j.cho", "two", "added"),
        ]);
        let now = UnixMillis(late + 3);
        assert!(keyed.until("j.cho", "one", now).is_some());
        assert_eq!(keyed.until("one", "two", now), Some(UnixMillis(late + DAY)));
        assert_eq!(keyed.until("one", "q.whitmore", now), None);
    }

    #[test]
    fn in_the_first_week_of_accounts_somebody_adds_the_others() {
        let week = SETTING_UP_MILLIS;
        let keyed = told(&[
            (0, "machine:root", "q.whitmore", "added"),
            (week - 1, "q.whitmore", "j.cho", "added"),
            (week, "q.whitmore", "k.lane", "added"),
        ]);
        assert_eq!(keyed.until("q.whitmore", "j.cho", UnixMillis(week)), None);
        assert!(keyed.until("q.whitmore", "k.lane", UnixMillis(week)).is_some());
    }
}
