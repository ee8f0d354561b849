use super::super::fold::{Escalation, Look, Reopening, Review};
use super::super::{Alerts, Outcome};
use super::*;
use crate::episodes::{Confidence, EpisodeKey, Source};
use rules::code::RequestId;

const MINUTE: i64 = 60_000;

fn alert(severity: Severity) -> Alert {
    Alert {
        id: AlertId(12),
        sequence: 0,
        episode: EpisodeKey { first: RequestId(1), theme: "suicide".into() },
        day: "2026-11-24".into(),
        severity,
        severe_place: 0,
        severe_since: UnixMillis(0),
        waits_since: UnixMillis(0),
        level: "ks3".into(),
        confidence: Confidence::SignedIn,
        strongest: Source::Site,
        first: UnixMillis(0),
        signs: 1,
        raised_at: UnixMillis(0),
        deliveries: Vec::new(),
        escalated: None,
        reopened: Vec::new(),
        seen: None,
        seen_last: None,
        assigned: None,
        reviews: Vec::new(),
        closed: None,
        known_until: None,
    }
}

fn holders(role: Role) -> Vec<String> {
    match role {
        Role::Dsl => vec!["q.whitmore".into(), "n.reyes".into()],
        // The deputy is head, too.
        Role::Head => vec!["a.fenn".into(), "N.Reyes".into()],
        _ => Vec::new(),
    }
}

fn at(alert: &Alert, minutes: i64) -> Vec<String> {
    let now = UnixMillis(minutes * MINUTE);
    let show = |due| match due {
        Due::Tell { step, channel, to, .. } => format!("{} {to} {step}", channel.as_str()),
        Due::Escalate { step, to, .. } => format!("escalate {step} to {}", to.join(" ")),
    };
    due(alert, &AlertRules::default(), &holders, Some("hook"), now).into_iter().map(show).collect()
}

fn delivered(alert: &mut Alert, severity: Severity, step: u32, to: &str, failed: Option<&str>) {
    let channel = if to == "hook" { Channel::Webhook } else { Channel::Mail };
    let (to, failed) = (to.to_owned(), failed.map(str::to_owned));
    let (of, at) = (alert.severe_place, UnixMillis(1));
    alert.deliveries.push(Delivery { severity, step, channel, to, of, at, failed });
}

/// Nobody had looked at a minute, as the next entry says.
fn escalated(alert: &mut Alert, place: u64, step: u32, minute: i64) {
    let at = UnixMillis(minute * MINUTE);
    alert.escalated = Some(Escalation { place, step, at });
    alert.waits_since = at;
}

fn looked(place: u64) -> Option<Look> {
    Some(Look { place, clock: UnixMillis(MINUTE), read: None })
}

#[test]
fn urgent_goes_to_everybody_named_at_once_and_each_until_it_arrived() {
    let mut urgent = alert(Severity::Urgent);
    let all = ["mail q.whitmore 0", "mail n.reyes 0", "mail a.fenn 0", "webhook hook 0"];
    assert_eq!(at(&urgent, 0), all);
    delivered(&mut urgent, Severity::Urgent, 0, "q.whitmore", None);
    delivered(&mut urgent, Severity::Urgent, 0, "n.reyes", Some("no answer"));
    delivered(&mut urgent, Severity::Urgent, 0, "hook", None);
    assert_eq!(at(&urgent, 1), all[1..3]);
    // That one has looked does not keep it from the other.
    urgent.seen_last = looked(1);
    assert_eq!(at(&urgent, 90), all[1..3]);
}

#[test]
fn what_nobody_looks_at_is_brought_up_again_to_more_people_but_not_for_ever() {
    let mut urgent = alert(Severity::Urgent);
    for to in ["q.whitmore", "n.reyes", "a.fenn", "hook"] {
        delivered(&mut urgent, Severity::Urgent, 0, to, None);
    }
    assert_eq!(at(&urgent, 14), [""; 0]);
    assert_eq!(at(&urgent, 15), ["escalate 1 to q.whitmore n.reyes a.fenn"]);
    escalated(&mut urgent, 1, 1, 15);
    let again = ["mail q.whitmore 1", "mail n.reyes 1", "mail a.fenn 1", "webhook hook 1"];
    assert_eq!(at(&urgent, 16), again);
    urgent.seen_last = looked(2);
    assert_eq!(at(&urgent, 60), [""; 0], "somebody looks: nobody else is called");
    urgent.seen_last = None;
    escalated(&mut urgent, 1, MAX_ESCALATIONS, 15);
    assert!(!at(&urgent, 10_000).iter().any(|due| due.starts_with("escalate")));
}

#[test]
fn high_goes_to_the_leads_and_to_the_head_only_after_a_day() {
    let mut high = alert(Severity::High);
    assert_eq!(at(&high, 0), ["mail q.whitmore 0", "mail n.reyes 0", "webhook hook 0"]);
    for to in ["q.whitmore", "n.reyes", "hook"] {
        delivered(&mut high, Severity::High, 0, to, None);
    }
    assert_eq!(at(&high, 24 * 60 - 1), [""; 0]);
    assert_eq!(at(&high, 24 * 60), ["escalate 1 to q.whitmore n.reyes a.fenn"]);
}

#[test]
fn what_is_routine_or_done_with_is_told_to_nobody() {
    assert_eq!(at(&alert(Severity::Routine), 10_000), [""; 0]);
    let mut closed = alert(Severity::Urgent);
    closed.closed = Some(UnixMillis(5));
    assert_eq!(at(&closed, 10_000), [""; 0]);
}

#[test]
fn what_gets_worse_is_told_anew() {
    let mut worse = alert(Severity::Urgent);
    for to in ["q.whitmore", "n.reyes", "hook"] {
        delivered(&mut worse, Severity::High, 0, to, None);
    }
    escalated(&mut worse, 1, 3, 1);
    (worse.severe_place, worse.waits_since) = (2, UnixMillis(2 * MINUTE));
    assert_eq!(at(&worse, 3).len(), 4, "from its first step");
}

#[test]
fn what_was_closed_and_is_open_again_is_told_anew_though_it_is_no_worse() {
    let mut again = alert(Severity::Urgent);
    let all = ["mail q.whitmore 0", "mail n.reyes 0", "mail a.fenn 0", "webhook hook 0"];
    for to in ["q.whitmore", "n.reyes", "a.fenn", "hook"] {
        delivered(&mut again, Severity::Urgent, 0, to, None);
    }
    assert_eq!(at(&again, 0), [""; 0]);
    again.seen_last = looked(1);
    again.severe_place = 2;
    again.reopened = vec![Reopening { place: 2, at: UnixMillis(0), by: None }];
    assert_eq!(at(&again, 3), all);
    assert!(!again.is_seen(), "whoever looked before did not see it");
    // Each telling is one of its own, so that its mail is none that a mail program has already.
    let due = |alert: &Alert| {
        due(alert, &AlertRules::default(), &holders, None, UnixMillis(3 * MINUTE))[0].clone()
    };
    assert_ne!(due(&again), due(&alert(Severity::Urgent)));
}

#[test]
fn a_first_wait_of_seconds_leaves_a_minute_between_the_further_ones() {
    let rules =
        AlertRules { escalate_after_ms: [None, None, Some(10_000)], ..AlertRules::default() };
    let is_late = |alert: &Alert, ms: i64| {
        let due = due(alert, &rules, &holders, None, UnixMillis(ms));
        due.iter().any(|due| matches!(due, Due::Escalate { .. }))
    };
    let mut urgent = alert(Severity::Urgent);
    assert!(!is_late(&urgent, 9_999) && is_late(&urgent, 10_000));
    escalated(&mut urgent, 1, 1, 1);
    assert!(!is_late(&urgent, 2 * MINUTE - 1) && is_late(&urgent, 2 * MINUTE));
}

#[test]
fn a_clock_that_ran_ahead_as_it_was_raised_makes_nobody_wait_until_then() {
    let mut ahead = alert(Severity::Urgent);
    ahead.waits_since = UnixMillis(24 * 60 * MINUTE);
    let is_late = |minute| at(&ahead, minute).iter().any(|due| due.starts_with("escalate"));
    assert!(is_late(0), "set back by a day");
    assert!(!is_late(24 * 60 - 14) && is_late(24 * 60 + 15), "set back by minutes");
}

#[test]
fn reviews_are_timed_from_the_alert_and_a_clock_set_back_gives_none_below_nothing() {
    let mut seen = alert(Severity::High);
    seen.raised_at = UnixMillis(100);
    for at in [50, 900] {
        let review = Review {
            sequence: 1,
            at: UnixMillis(at),
            by: "q.whitmore".into(),
            outcome: Outcome::Spoken,
        };
        seen.reviews = vec![review];
        assert_eq!(seen.time_to_review_ms(), Some((at - 100).max(0)));
    }
    assert!(Alerts::default().is_empty());
}
