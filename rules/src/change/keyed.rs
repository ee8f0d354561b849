//! Whose accounts were keyed by whom: one person must not sign off as two.
//!
//! Whoever keeps accounts can add one, or set another password for one, and log in to it before its
//! owner does. So for a day after that, the two accounts count as one person in any request: long
//! enough for the entry to be seen, and for the owner to find that the handed-over password is spent.
//! In the first week of a school's accounts nothing is held back: somebody has to add the others.

use super::{BREAK_GLASS, ChangeEntry, Event, same_person};
use crate::time::UnixMillis;

const HOUR_MILLIS: i64 = 3_600_000;

/// How long two accounts count as one person, in milliseconds.
pub const KEYED_MILLIS: i64 = 24 * HOUR_MILLIS;

/// How long after the first account that is not so, in milliseconds.
pub const SETTING_UP_MILLIS: i64 = 7 * 24 * HOUR_MILLIS;

/// What lets whoever did it log in to somebody else's account.
const KEYS: [&str; 3] = ["added", "password", "two-step off"];

/// Who keyed which accounts.
#[derive(Clone, Debug, Default)]
pub struct Keyed {
    first: Option<UnixMillis>,
    /// Account and who keyed it, without case, and when: those that may still count.
    edges: Vec<(String, String, UnixMillis)>,
}

impl Keyed {
    /// Takes an entry in.
    pub(super) fn fold(&mut self, entry: &ChangeEntry) {
        let Event::AccountChanged { account, changed } = &entry.event else { return };
        let first = *self.first.get_or_insert(entry.at);
        let is_keyed = changed.iter().any(|what| KEYS.contains(&what.as_str()));
        let is_late = entry.at.0 >= first.0.saturating_add(SETTING_UP_MILLIS);
        // An own password changes nothing: whoever logs in first chooses it.
        if is_keyed && is_late && !same_person(account, &entry.actor) {
            self.edges.retain(|edge| is_fresh(edge.2, entry.at));
            let name = |text: &str| text.trim().to_lowercase();
            self.edges.push((name(account), name(&entry.actor), entry.at));
        }
    }

    /// Until when two accounts count as one person's, if they do now. Whoever keyed an account may be its
    /// owner, and so on along the chain; whoever holds the emergency code may be anybody.
    #[must_use]
    pub fn until(&self, one: &str, other: &str, now: UnixMillis) -> Option<UnixMillis> {
        let (one, other) = (one.trim().to_lowercase(), other.trim().to_lowercase());
        let fresh: Vec<_> = self.edges.iter().filter(|edge| is_fresh(edge.2, now)).collect();
        let reached = |from: &str| {
            let mut reached = vec![from.to_owned()];
            let mut until = UnixMillis(i64::MIN);
            let mut next = 0;
            while let Some(here) = reached.get(next).cloned() {
                next += 1;
                for (account, by, at) in fresh.iter().map(|edge| (&edge.0, &edge.1, edge.2)) {
                    let neighbour = match (*account == here, *by == here) {
                        (true, _) => by,
                        (_, true) => account,
                        _ => continue,
                    };
                    until = until.max(UnixMillis(at.0.saturating_add(KEYED_MILLIS)));
                    if !reached.contains(neighbour) {
                        reached.push(neighbour.clone());
                    }
                }
            }
            (reached, until)
        };
        let ((of_one, until_one), (of_other, until_other)) = (reached(&one), reached(&other));
        let is_anybody = |reached: &[String]| {
            reached.len() > 1 && reached.iter().any(|name| name == BREAK_GLASS)
        };
        let is_same = of_one.contains(&other) && one != other;
        match (is_same, is_anybody(&of_one), is_anybody(&of_other)) {
            (true, ..) | (_, true, _) => Some(until_one),
            (_, _, true) => Some(until_other),
            _ => None,
        }
    }
}

fn is_fresh(at: UnixMillis, now: UnixMillis) -> bool {
    now.0 < at.0.saturating_add(KEYED_MILLIS)
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
        assert_eq!(keyed.until("one", "two", now), Some(UnixMillis(late + 2 + DAY)));
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

    #[test]
    fn a_chain_of_keyed_accounts_is_one_person_and_the_emergency_code_anybody() {
        let late = 30 * DAY;
        let keyed = told(&[
            (0, "machine:root", "q.whitmore", "added"),
            (late, "j.cho", "one", "password"),
            (late + 1, "one", "two", "password"),
            // Somebody else's help with the same account makes nobody forgotten.
            (late + 2, "k.lane", "one", "two-step off"),
        ]);
        let now = UnixMillis(late + 3);
        assert!(keyed.until("j.cho", "two", now).is_some());
        assert!(keyed.until("k.lane", "j.cho", now).is_some());
        assert_eq!(keyed.until("j.cho", "q.whitmore", now), None);
        assert_eq!(keyed.until("j.cho", "two", UnixMillis(late + 2 * DAY)), None);
        let emergency = told(&[
            (0, "machine:root", "q.whitmore", "added"),
            (late, BREAK_GLASS, "one", "added"),
        ]);
        assert!(emergency.until("q.whitmore", "one", now).is_some());
        assert!(emergency.until("one", "j.cho", now).is_some());
        assert_eq!(emergency.until("q.whitmore", "j.cho", now), None);
    }
}
