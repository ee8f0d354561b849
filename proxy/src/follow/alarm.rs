//! Alarms of the filter's own messages: what somebody must hear of who does not read the log.
//!
//! They name nobody; the change log does. The metrics `ledger_break_glass_uses`, `ledger_break_glass_wrong`,
//! `ledger_account_lockouts` and `ledger_one_person_refusals` and the alerts of `deploy/` tell the same.

use rules::change::{BREAK_GLASS, ChangeEntry, Changes, Event, same_person};

/// How loud an alarm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loudness {
    /// Somebody should know of it.
    Warning,
    /// Somebody must look at it now.
    Error,
}

/// Raises the alarms of new entries.
pub(super) fn raise(entries: &[ChangeEntry]) {
    for (loudness, words) in entries.iter().filter_map(alarm) {
        match loudness {
            Loudness::Warning => tracing::warn!("{words}"),
            Loudness::Error => tracing::error!("{words}"),
        }
    }
}

/// What an entry raises, and what to do about it.
fn alarm(entry: &ChangeEntry) -> Option<(Loudness, &'static str)> {
    match &entry.event {
        Event::BreakGlassUsed {} => Some((
            Loudness::Error,
            "the emergency code was used; see schoolgate log actions --event break_glass_used, then \
             schoolgate account break-glass renew",
        )),
        // Each one: wrong codes lock nothing, so that an alarm is all that stands against guessing.
        Event::LoginRefused { account, .. } if same_person(account, BREAK_GLASS) => Some((
            Loudness::Error,
            "a wrong emergency code was typed; see schoolgate log actions --event login_refused, and ask the \
             head where the sheet is",
        )),
        Event::AccountLocked { .. } => Some((
            Loudness::Error,
            "an administrator's account was locked: too many wrong passwords; see schoolgate log actions \
             --event account_locked",
        )),
        Event::SignInsHeld { .. } => Some((
            Loudness::Warning,
            "somebody guesses the passwords of people who browse, and is held back; see schoolgate log actions \
             --event sign_ins_held",
        )),
        Event::OnePersonRefused { .. } => Some((
            Loudness::Error,
            "what takes two people was refused: their accounts count as one person; see schoolgate log \
             actions --event one_person_refused, and ask the owners of both whether they acted",
        )),
        Event::AccountChanged { account, changed }
            if changed.iter().any(|what| what == "password")
                && !is_set_up(&entry.actor, changed)
                && !same_person(&entry.actor, account) =>
        {
            Some((
                Loudness::Warning,
                "an administrator's password was set by somebody else; its owner should know of it: \
                 schoolgate log actions --event account_changed",
            ))
        }
        _ => None,
    }
}

/// Whether the school's first account was made, by whoever sets the filter up on the machine.
fn is_set_up(actor: &str, changed: &[String]) -> bool {
    actor.starts_with("machine:") && changed.iter().any(|what| what == "added")
}

/// Raises again, at the start, what has not been seen to since.
pub(super) fn raise_standing(changes: &Changes) {
    if changes.break_glass.uses > 0 {
        tracing::error!(
            uses = changes.break_glass.uses,
            "the emergency code was used and has not been renewed: schoolgate account break-glass \
             renew"
        );
    }
}

/// Whether an entry is about administrators alone, so that no request is decided otherwise because of
/// it: reading the log must not make the filter look again at every open connection. What a metric
/// counts is not among them, for such entries are not folded.
pub(super) fn concerns_no_decision(event: &Event) -> bool {
    match event {
        Event::LoginRefused { account, .. } => !same_person(account, BREAK_GLASS),
        Event::Looked { .. }
        | Event::SignInsHeld { .. }
        | Event::AlertHandled { .. }
        | Event::ReportReviewed { .. }
        | Event::ReportUnread { .. }
        | Event::AlertsCovered { .. }
        | Event::SessionStarted { .. }
        | Event::SessionEnded { .. }
        | Event::AccountChanged { .. }
        | Event::AccountRemoved { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::time::UnixMillis;

    fn alarm_of(actor: &str, event: Event) -> Option<(Loudness, &'static str)> {
        alarm(&ChangeEntry { sequence: 0, at: UnixMillis(0), actor: actor.to_owned(), event })
    }

    fn set(account: &str, changed: &str) -> Event {
        Event::AccountChanged { account: account.to_owned(), changed: vec![changed.to_owned()] }
    }

    #[test]
    fn what_somebody_must_hear_of_is_an_alarm_that_names_nobody_and_says_where_to_look() {
        let (action, why) = ("unblock authorise U-0001".to_owned(), "one person".to_owned());
        let account = "q.whitmore".to_owned();
        let cases = [
            (Event::BreakGlassUsed {}, Loudness::Error, "break_glass_used"),
            (
                Event::AccountLocked { account: account.clone(), until: UnixMillis(1) },
                Loudness::Error,
                "account_locked",
            ),
            (Event::OnePersonRefused { action, why }, Loudness::Error, "one_person_refused"),
            (
                Event::SignInsHeld {
                    held: "name_at_client".to_owned(),
                    user: Some("q.whitmore".to_owned()),
                    client: Some("10.0.0.1".to_owned()),
                    guesses: 10,
                    until: UnixMillis(1),
                },
                Loudness::Warning,
                "sign_ins_held",
            ),
            (
                Event::LoginRefused {
                    account: BREAK_GLASS.to_owned(),
                    why: "wrong code".to_owned(),
                },
                Loudness::Error,
                "login_refused",
            ),
            (set("q.whitmore", "password"), Loudness::Warning, "account_changed"),
        ];
        for (event, loudness, word) in cases {
            let found = alarm_of("j.cho", event.clone());
            let (found, words) = found.unwrap_or_else(|| panic!("{event:?} raises nothing"));
            assert_eq!(found, loudness, "{event:?}");
            assert!(words.contains(&format!("--event {word}")), "{words}");
            assert!(!words.contains("whitmore") && !words.contains("j.cho"), "{words}");
        }
    }

    #[test]
    fn what_people_do_with_their_own_accounts_is_no_alarm() {
        let (action, why) = ("block lift B-0001".to_owned(), "no role".to_owned());
        for event in [
            set("J.Cho ", "password"),
            set("q.whitmore", "unlocked"),
            Event::ActionRefused { action, why },
            Event::SessionStarted { how: "password".to_owned() },
            Event::LoginRefused { account: "j.cho".to_owned(), why: "wrong password".to_owned() },
        ] {
            assert_eq!(alarm_of("j.cho", event.clone()), None, "{event:?}");
        }
    }
}
