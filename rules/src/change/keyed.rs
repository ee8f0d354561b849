//! Whose accounts were keyed by whom: one person must not sign off as two.
//!
//! Whoever keeps accounts can set the password of one, and log in to it before its owner does. So the two
//! count as one person in any request, until a week after the owner has chosen a password. That the owner
//! has chosen one proves little, for whoever knew the first one could choose it: the week is for the owner
//! to find that what was handed over does not work, or that the old password no longer does, and to say so.
//!
//! In the first week of a school's accounts, one that nobody has used yet is its owner's as soon as that
//! one has chosen a password: somebody has to add the others, and a school of two must be able to begin.

use super::{BREAK_GLASS, ChangeEntry, Event, is_person, same_person};
use crate::time::UnixMillis;
use std::collections::BTreeSet;

/// How long an account and whoever set its password count as one person after its owner has chosen
/// another, in milliseconds: a week.
pub const KEYED_MILLIS: i64 = 7 * super::DAY_MILLIS;

/// How long after the first account an account that is new needs no such week, in milliseconds.
pub const SETTING_UP_MILLIS: i64 = 7 * super::DAY_MILLIS;

/// Until when an account and whoever keyed it count as one person; the later, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyedUntil {
    /// Then.
    At(UnixMillis),
    /// Its owner has yet to choose a password.
    OwnPassword,
}

/// An account in the hands of another.
#[derive(Clone, Debug)]
struct Edge {
    /// Without case.
    account: String,
    /// Who keyed it, without case.
    by: String,
    /// Since when they can no longer log in to it; `None`: they still can.
    over_at: Option<UnixMillis>,
    /// How long after that the two still count as one.
    wait: i64,
}

impl Edge {
    fn until(&self) -> KeyedUntil {
        match self.over_at {
            None => KeyedUntil::OwnPassword,
            Some(at) => KeyedUntil::At(UnixMillis(at.0.saturating_add(self.wait))),
        }
    }

    fn holds(&self, at: UnixMillis) -> bool {
        match self.until() {
            KeyedUntil::OwnPassword => true,
            KeyedUntil::At(until) => at < until,
        }
    }
}

/// Who keyed which accounts.
#[derive(Clone, Debug, Default)]
pub struct Keyed {
    first: Option<UnixMillis>,
    /// Accounts whose owner has once chosen a password, without case.
    owned: BTreeSet<String>,
    edges: Vec<Edge>,
}

impl Keyed {
    /// Takes an entry in.
    pub(super) fn fold(&mut self, entry: &ChangeEntry) {
        match &entry.event {
            Event::AccountChanged { account, changed } => {
                self.fold_changed(account, changed, entry)
            }
            // Whoever knew its password can do nothing with it any more.
            Event::AccountRemoved { account } => self.release(&key(account), entry.at),
            // Whoever has the emergency code made has seen it, and could ask as nobody and answer as oneself.
            Event::BreakGlassMade {} => {
                self.release(BREAK_GLASS, entry.at);
                if is_person(&entry.actor) && !same_person(&entry.actor, BREAK_GLASS) {
                    let (account, by) = (BREAK_GLASS.to_owned(), key(&entry.actor));
                    self.edges.push(Edge { account, by, over_at: None, wait: KEYED_MILLIS });
                }
            }
            _ => {}
        }
    }

    fn fold_changed(&mut self, account: &str, changed: &[String], entry: &ChangeEntry) {
        let is_first = self.first.is_none();
        let first = *self.first.get_or_insert(entry.at);
        let is_own = same_person(account, &entry.actor);
        let is_changed = |what: &str| changed.iter().any(|it| it == what);
        let (account, by) = (key(account), key(&entry.actor));
        if is_changed("password") {
            self.release(&account, entry.at);
            // Whoever sets the filter up chooses the first account's.
            if is_own || is_first {
                self.owned.insert(account);
                return;
            }
            let since = entry.at.0.saturating_sub(first.0);
            let is_setting_up = (0..SETTING_UP_MILLIS).contains(&since);
            let is_new = is_setting_up && !self.owned.contains(&account);
            let wait = if is_new { 0 } else { KEYED_MILLIS };
            self.edges.push(Edge { account, by, over_at: None, wait });
        } else if is_changed("two-step off") && !is_own {
            // What is left is the password, so that no other one has to be chosen.
            self.edges.push(Edge { account, by, over_at: Some(entry.at), wait: KEYED_MILLIS });
        }
    }

    /// Whoever had an account has lost it, but may have used it until now.
    fn release(&mut self, account: &str, at: UnixMillis) {
        for edge in self.edges.iter_mut().filter(|edge| edge.account == account) {
            edge.over_at = edge.over_at.or(Some(at));
        }
    }

    /// Whether two accounts may be one person's: they are the same, one keyed the other, somebody keyed
    /// both, or so on along the chain. One that was keyed with the emergency code may be anybody's.
    #[must_use]
    pub fn may_be_one(&self, one: &str, other: &str, at: UnixMillis) -> bool {
        self.are_linked(one, other, at)
            || self.may_be_anybody(one, at)
            || self.may_be_anybody(other, at)
    }

    /// The same, but for the emergency code.
    pub(super) fn are_linked(&self, one: &str, other: &str, at: UnixMillis) -> bool {
        self.reached(&key(one), at).0.contains(&key(other))
    }

    /// Whether an account was keyed with the emergency code, or by one that was.
    pub(super) fn may_be_anybody(&self, name: &str, at: UnixMillis) -> bool {
        self.reached(&key(name), at).1
    }

    /// The accounts that may be the same person's, and whether that may be anybody.
    fn reached(&self, from: &str, at: UnixMillis) -> (BTreeSet<String>, bool) {
        let mut reached = BTreeSet::from([from.to_owned()]);
        let mut is_anybody = false;
        let mut next = vec![from.to_owned()];
        while let Some(here) = next.pop() {
            for edge in self.edges.iter().filter(|edge| edge.holds(at)) {
                let neighbour = match (edge.account == here, edge.by == here) {
                    (true, _) => &edge.by,
                    (_, true) => &edge.account,
                    _ => continue,
                };
                // A hand that nobody knows does not make one person of all whom it has helped.
                if edge.by == BREAK_GLASS || !is_person(&edge.by) {
                    is_anybody |= edge.account == here;
                } else if reached.insert(neighbour.clone()) && neighbour != BREAK_GLASS {
                    // Two who had a code made, one after the other, are not one person for that.
                    next.push(neighbour.clone());
                }
            }
        }
        (reached, is_anybody)
    }

    /// Accounts that count as one person with another now, with that one, and until when at the latest.
    #[must_use]
    pub fn held(&self, at: UnixMillis) -> Vec<(&str, &str, KeyedUntil)> {
        let mut held: Vec<(&str, &str, KeyedUntil)> = Vec::new();
        for edge in self.edges.iter().filter(|edge| edge.holds(at)) {
            let (account, by, until) = (edge.account.as_str(), edge.by.as_str(), edge.until());
            match held.iter_mut().find(|known| (known.0, known.1) == (account, by)) {
                Some(known) => known.2 = known.2.max(until),
                None => held.push((account, by, until)),
            }
        }
        held
    }
}

/// Names are compared without case or outer space.
fn key(name: &str) -> String {
    name.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = super::super::DAY_MILLIS;
    const LATE: i64 = 30;

    /// A school whose first account is k.lane's, of day 0; then what happened: day, actor, account, what.
    fn told(changes: &[(i64, &str, &str, &str)]) -> Keyed {
        let mut keyed = Keyed::default();
        let first = [(0, "machine:root", "k.lane", "password")];
        for (sequence, (day, actor, account, what)) in (0..).zip(first.iter().chain(changes)) {
            let account = (*account).to_owned();
            let event = match *what {
                "removed" => Event::AccountRemoved { account },
                "code" => Event::BreakGlassMade {},
                what => Event::AccountChanged { account, changed: vec![what.to_owned()] },
            };
            let (at, actor) = (UnixMillis(day * DAY), (*actor).to_owned());
            keyed.fold(&ChangeEntry { sequence, at, actor, event });
        }
        keyed
    }

    fn is_one(changes: &[(i64, &str, &str, &str)], one: &str, other: &str, at: i64) -> bool {
        let keyed = told(changes);
        let there = keyed.may_be_one(one, other, UnixMillis(at));
        assert_eq!(there, keyed.may_be_one(other, one, UnixMillis(at)), "{one} and {other}");
        there
    }

    #[test]
    fn whoever_set_a_password_counts_as_the_owner_until_a_week_after_the_owner_chose_another() {
        let set = [(LATE, "J.Cho", "q.whitmore", "password")];
        assert!(is_one(&set, " j.cho", "Q.Whitmore", LATE * DAY));
        assert!(is_one(&set, "j.cho", "q.whitmore", 3000 * DAY), "nobody has chosen another");
        let own = (LATE + 9, "q.whitmore", "Q.Whitmore", "password");
        let end = (LATE + 9) * DAY + KEYED_MILLIS;
        assert!(is_one(&[set[0], own], "j.cho", "q.whitmore", end - 1));
        assert!(!is_one(&[set[0], own], "j.cho", "q.whitmore", end));
        assert!(!is_one(&[set[0], own], "j.cho", "d.deputy", end - 1));
        // Changed once more, nothing begins anew; reset once more, it does.
        let more = (LATE + 11, "q.whitmore", "q.whitmore", "password");
        assert!(!is_one(&[set[0], own, more], "j.cho", "q.whitmore", end));
        let again = (LATE + 12, "j.cho", "q.whitmore", "password");
        assert!(is_one(&[set[0], own, again], "j.cho", "q.whitmore", end));
    }

    #[test]
    fn a_second_step_taken_away_counts_for_a_week_and_unlocking_or_an_account_without_a_password_never()
     {
        let off = [(LATE, "j.cho", "d.deputy", "two-step off")];
        assert!(is_one(&off, "j.cho", "d.deputy", (LATE + 7) * DAY - 1));
        assert!(!is_one(&off, "j.cho", "d.deputy", (LATE + 7) * DAY));
        for (actor, what) in
            [("d.deputy", "two-step off"), ("j.cho", "unlocked"), ("j.cho", "added")]
        {
            assert!(
                !is_one(&[(LATE, actor, "d.deputy", what)], "j.cho", "d.deputy", LATE * DAY),
                "{what}"
            );
        }
    }

    #[test]
    fn another_keeper_or_the_end_of_an_account_ends_the_first_ones_hold_in_a_week() {
        let first = (LATE, "j.cho", "q.whitmore", "password");
        let others = [
            (LATE + 1, "d.deputy", "q.whitmore", "password"),
            (LATE + 1, "d.deputy", "q.whitmore", "removed"),
        ];
        for other in others {
            assert!(
                is_one(&[first, other], "j.cho", "q.whitmore", (LATE + 8) * DAY - 1),
                "{other:?}"
            );
            assert!(!is_one(&[first, other], "j.cho", "q.whitmore", (LATE + 8) * DAY), "{other:?}");
        }
    }

    #[test]
    fn in_the_first_week_new_accounts_are_their_owners_at_once_and_used_ones_are_not() {
        let added = (6, "k.lane", "q.whitmore", "password");
        assert!(
            is_one(&[added], "k.lane", "q.whitmore", 6 * DAY),
            "not before a password is chosen"
        );
        let own = (6, "q.whitmore", "q.whitmore", "password");
        assert!(!is_one(&[added, own], "k.lane", "q.whitmore", 6 * DAY));
        // Misheard and set again before its first use, it is still new.
        assert!(!is_one(&[added, added, own], "k.lane", "q.whitmore", 6 * DAY));
        let reset = (6, "k.lane", "q.whitmore", "password");
        assert!(is_one(&[added, own, reset, own], "k.lane", "q.whitmore", 13 * DAY - 1));
        let removed = (6, "k.lane", "q.whitmore", "removed");
        assert!(is_one(&[added, own, removed, reset, own], "k.lane", "q.whitmore", 13 * DAY - 1));
        for day in [7, -1] {
            let (added, own) = ((day, added.1, added.2, added.3), (day, own.1, own.2, own.3));
            assert!(is_one(&[added, own], "k.lane", "q.whitmore", day * DAY), "day {day}");
        }
    }

    #[test]
    fn a_chain_of_keyed_accounts_is_one_person_as_are_two_of_one_keeper() {
        let chain = [
            (LATE, "j.cho", "one", "password"),
            (LATE + 1, "one", "one", "password"),
            (LATE + 1, "one", "two", "password"),
            // Somebody else's help with the same account makes nobody forgotten.
            (LATE + 2, "d.deputy", "one", "two-step off"),
            (LATE + 2, "j.cho", "three", "password"),
        ];
        let now = (LATE + 3) * DAY;
        for (one, other) in [("j.cho", "two"), ("d.deputy", "j.cho"), ("one", "three")] {
            assert!(is_one(&chain, one, other, now), "{one} and {other}");
        }
        assert!(!is_one(&chain, "j.cho", "q.whitmore", now));
        assert!(!is_one(&chain, "j.cho", "two", (LATE + 8) * DAY), "the first link is over");
        assert!(is_one(&chain, "one", "two", (LATE + 8) * DAY));
    }

    #[test]
    fn an_account_keyed_with_the_emergency_code_may_be_anybodys_and_links_nobody_else() {
        let set = [
            (LATE, BREAK_GLASS, "one", "password"),
            (LATE, BREAK_GLASS, "two", "password"),
            (LATE, "two", "three", "password"),
        ];
        let now = LATE * DAY;
        for name in ["one", "two", "three"] {
            assert!(is_one(&set, name, "q.whitmore", now), "{name}");
        }
        assert!(!is_one(&set, "q.whitmore", "j.cho", now));
        assert!(!is_one(&set, BREAK_GLASS, "j.cho", now), "what the code asks for, others answer");
    }

    #[test]
    fn whoever_had_the_emergency_code_made_is_no_second_person_to_what_it_asks_for() {
        let made = [(LATE, "q.whitmore", "", "code"), (LATE, "j.cho", "d.deputy", "password")];
        let year = (LATE + 365) * DAY;
        assert!(is_one(&made, BREAK_GLASS, "q.whitmore", year), "as long as the code holds");
        assert!(!is_one(&made, BREAK_GLASS, "d.deputy", year));
        assert!(!is_one(&made, "q.whitmore", "d.deputy", year));
        // Whoever keyed the account of the one who had it made, too.
        let keyed = [made[0], (LATE, "j.cho", "q.whitmore", "password")];
        assert!(is_one(&keyed, BREAK_GLASS, "j.cho", year));
        let again = [made[0], (LATE + 1, "h.head", "", "code")];
        assert!(is_one(&again, BREAK_GLASS, "q.whitmore", (LATE + 8) * DAY - 1));
        assert!(!is_one(&again, BREAK_GLASS, "q.whitmore", (LATE + 8) * DAY));
        assert!(is_one(&again, BREAK_GLASS, "h.head", year));
        assert!(!is_one(&again, "q.whitmore", "h.head", (LATE + 2) * DAY), "they are two");
    }

    #[test]
    fn who_counts_with_whom_and_until_when_is_told() {
        let keyed = told(&[
            (LATE, "j.cho", "one", "password"),
            (LATE, "j.cho", "two", "password"),
            (LATE, "two", "two", "password"),
        ]);
        let until = UnixMillis((LATE + 7) * DAY);
        let own = ("one", "j.cho", KeyedUntil::OwnPassword);
        assert_eq!(
            keyed.held(UnixMillis(LATE * DAY)),
            [own, ("two", "j.cho", KeyedUntil::At(until))]
        );
        assert_eq!(keyed.held(until), [own]);
    }
}
