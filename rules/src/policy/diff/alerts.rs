//! What differs in `[alerts]`.
//!
//! Whoever decides alone that an alert is told later, or to other people, could keep one from being
//! seen. So any change of who is told needs a second person, in either direction: more people who learn
//! of pupils is no tightening either.

use super::{PolicyDiff, roles};
use crate::alert::{AlertRules, Severity};

pub(super) fn diff_alerts(old: &AlertRules, new: &AlertRules, diff: &mut PolicyDiff) {
    for severity in Severity::ALL {
        let (was, is) = (roles(old.told_of(severity)), roles(new.told_of(severity)));
        diff.change(&format!("alerts {}", severity.as_str()), &was, &is, true);
    }
    diff.change("alerts escalate_to", &roles(&old.escalate_to), &roles(&new.escalate_to), true);
    for severity in [Severity::Urgent, Severity::High] {
        let (was, is) = (old.escalate_after(severity), new.escalate_after(severity));
        let later = is.unwrap_or(i64::MAX) > was.unwrap_or(i64::MAX);
        let what = format!("alerts escalate_after {}", severity.as_str());
        diff.change(&what, &span(was), &span(is), later);
    }
    let thresholds = [
        ("high_after", old.high_after, new.high_after),
        ("routine_after", old.routine_after, new.routine_after),
    ];
    for (key, was, is) in thresholds {
        let show = |signs: u32| format!("{signs} signs");
        diff.change(&format!("alerts {key}"), &show(was), &show(is), is > was);
    }
    let show =
        |signs: Option<u32>| signs.map_or("never".to_owned(), |signs| format!("{signs} signs"));
    let most = |signs: Option<u32>| signs.unwrap_or(u32::MAX);
    let (was, is) = (old.devices_after, new.devices_after);
    diff.change("alerts devices_after", &show(was), &show(is), most(is) > most(was));
    let (was, is) = (old.names_in_mail, new.names_in_mail);
    diff.change("alerts names_in_mail", &was.to_string(), &is.to_string(), is);
}

fn span(ms: Option<i64>) -> String {
    ms.map_or_else(
        || "never".to_owned(),
        |ms| match ms % 60_000 {
            0 => format!("{} minutes", ms / 60_000),
            _ => format!("{} seconds", ms / 1_000),
        },
    )
}
