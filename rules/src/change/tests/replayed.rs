//! What opens is not asked for before it was tried on what was recorded, or somebody said why not.

use super::*;
use crate::policy::PolicyDiff;

fn change(loosens: bool, replayed: Replayed) -> Result<Event, ChangeError> {
    let lines = vec!["games for pupil: block -> allow".to_owned()];
    let diff = PolicyDiff { lines, loosens, intrudes: false };
    let (policy, hashes) = (policy("automatic"), ("old", "new"));
    let tested = (&diff, replayed);
    change_policy(
        &Changes::default(),
        &policy,
        hashes,
        tested,
        "j.cho",
        "Games at lunch",
        None,
        NOW,
    )
}

fn trial() -> Replayed {
    Replayed::Tried(Trial {
        from: UnixMillis(0),
        until: NOW,
        whole: true,
        records: 12,
        judged: 11,
        typed: 3,
        refused: 0,
        passed: 2,
        newly_signs: 1,
        no_longer_signs: 0,
        shares: vec![Share { level: "ks3".into(), theme: None, refused: 0, passed: 2 }],
    })
}

#[test]
fn what_opens_is_tried_first_or_says_why_not_and_what_closes_waits_for_neither() {
    let failed = || Replayed::Failed { why: "the day's file is damaged".into() };
    let left = |reason: &str| Replayed::Left { reason: reason.into() };
    let none = || Replayed::NoRecords { from: UnixMillis(0), until: NOW };
    for (replayed, opening, closing) in [
        (trial(), None, None),
        (none(), None, None),
        (
            failed(),
            Some(ChangeError::NotReplayed { why: "the day's file is damaged".into() }),
            None,
        ),
        (left("The log is being moved to another disk"), None, None),
        (left("later"), Some(ChangeError::ReasonTooShort), None),
        (left(" "), Some(ChangeError::NoReason), Some(ChangeError::NoReason)),
    ] {
        for (loosens, expected) in [(true, opening), (false, closing)] {
            let made = change(loosens, replayed.clone());
            let kept = match &made {
                Ok(Event::PolicyAsked { what, .. }) if loosens => what.replayed.clone(),
                Ok(Event::PolicyApplied { replayed, .. }) if !loosens => replayed.clone(),
                _ => None,
            };
            assert_eq!(kept, expected.is_none().then(|| replayed.clone()), "{made:?}");
            assert_eq!(made.err(), expected, "{replayed:?}, loosens: {loosens}");
        }
    }
}

#[test]
fn what_came_of_it_is_in_the_log_and_goes_along_with_the_request() {
    let asked = change(true, trial()).unwrap();
    let text = serde_json::to_string(&asked).unwrap();
    assert!(text.contains(r#""replayed":{"tried":{"from":0,"#), "{text}");
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), asked);
    let mut changes = Changes::default();
    changes.fold(&entry(&changes, NOW, "j.cho", asked));
    let policy = policy("automatic");
    let events = authorise_unblock(&changes, &policy, ID, "q.whitmore", later(1)).unwrap();
    let applied = events.iter().find_map(|(_, event)| match event {
        Event::PolicyApplied { replayed, .. } => Some(replayed.clone()),
        _ => None,
    });
    assert_eq!(applied, Some(Some(trial())));
    // Entries of older versions say nothing of it, and stay as they are, byte for byte.
    let old = r#"{"event":"policy_applied","hash":"a","reason":"b","summary":[]}"#;
    let event: Event = serde_json::from_str(old).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), old);
}
