//! The checks of `doctor` about administrators: whether somebody can act, and what nobody has seen to.

use super::Check;
use crate::school::{School, now};
use ledger::accounts::AccountRow;
use proxy::snapshot::Snapshot;
use rules::access::Role;
use rules::change::same_person;
use rules::policy::Policy;

/// Who can act, and alarms that nobody has seen to.
pub(super) async fn administrators(school: &School, snapshot: Option<&Snapshot>) -> Vec<Check> {
    const WHAT: &str = "administrators";
    // A log that cannot be read has a check of its own.
    let Ok(log) = school.change_log().await else { return Vec::new() };
    let (Ok(count), Ok(changes)) = (log.accounts().count(now()).await, log.changes().await) else {
        return Vec::new();
    };
    if count.ever == 0 {
        let found = "none: nobody can change the filter or read the log";
        return vec![Check::note(WHAT, found, "schoolgate setup NAME")];
    }
    let mut checks = vec![match count.locked {
        0 => Check::good(WHAT, format!("{}, none locked", count.present)),
        some => Check::problem(
            WHAT,
            format!("{some} of {} locked after wrong passwords", count.present),
            "schoolgate log actions --event account_locked; then account unlock NAME",
        ),
    }];
    if let (Some(snapshot), Ok(rows)) = (snapshot, log.accounts().list().await) {
        checks.extend(without_account(&snapshot.policy, &rows));
    }
    checks.push(match (changes.break_glass.made_at, changes.break_glass.uses) {
        (None, _) => Check::note(
            "emergency code",
            "there is none: if nobody can log in, nobody can act",
            "schoolgate account break-glass renew, and put it into the head's safe",
        ),
        (Some(_), 0) => match changes.break_glass.wrong {
            0 => Check::good("emergency code", "made, and not used since"),
            wrong => Check::problem(
                "emergency code",
                format!("made, and not used since; wrong ones typed: {wrong}"),
                "schoolgate log actions --event login_refused; ask the head where the sheet is",
            ),
        },
        (Some(_), uses) => Check::problem(
            "emergency code",
            format!("used {uses} times and not renewed since"),
            "schoolgate log actions --actor break-glass; then account break-glass renew",
        ),
    });
    checks
}

/// Whether somebody would be told of a weekly report that nobody reads.
pub(super) fn unread_report(school: &School, snapshot: &Snapshot) -> Check {
    const WHAT: &str = "weekly report";
    let told = crate::report::unread::Told::of(&snapshot.policy, &school.config);
    match told.fault() {
        Some((found, fix)) => Check::note(WHAT, found, fix),
        None => Check::good(
            WHAT,
            format!("unread by {}: {} is told by mail", told.at, told.people.join(", ")),
        ),
    }
}

/// People whom the policy gives a role and who cannot act in it.
fn without_account(policy: &Policy, rows: &[AccountRow]) -> Option<Check> {
    let mut names: Vec<&str> =
        Role::ALL.iter().flat_map(|role| policy.holders(*role)).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| !rows.iter().any(|row| same_person(&row.name, name)));
    (!names.is_empty()).then(|| {
        Check::note(
            "roles",
            format!("in [roles] of the policy, and without an account: {}", names.join(", ")),
            "schoolgate account add NAME",
        )
    })
}
