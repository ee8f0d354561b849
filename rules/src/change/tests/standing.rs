//! What the change log keeps of a standing yes that was used, and what is opened by it.

use super::*;

/// An unblock that a standing yes says yes to, by an entry as the log has it.
fn opened_by(used: &str) -> Changes {
    let mut changes = asked_by("t.obi", &policy("automatic"));
    let used: Event = serde_json::from_str(used).unwrap();
    let applied = Event::UnblockApplied { id: ID };
    fold_all(&mut changes, NOW, vec![(AUTOMATIC.into(), used), (AUTOMATIC.into(), applied)]);
    changes
}

#[test]
fn an_unblock_carries_the_categories_of_the_standing_yes_and_any_other_carries_none() {
    let text = r#"{"event":"standing_yes_used","id":1,"authorised":"Q. Whitmore","categories":["games","music"]}"#;
    let changes = opened_by(text);
    let names = vec!["games".to_owned(), "music".to_owned()];
    assert_eq!(changes.live(NOW)[0].within, Some(names));
    let policy = policy("automatic");
    let mut signed = asked_by("t.obi", &policy);
    let yes = authorise_unblock(&signed, &policy, ID, "q.whitmore", NOW).unwrap();
    fold_all(&mut signed, NOW, yes);
    assert_eq!(signed.live(NOW)[0].within, None, "a person has looked at it");
}

#[test]
fn an_entry_of_before_is_read_and_written_as_it_was_and_names_no_category() {
    let text = r#"{"event":"standing_yes_used","id":1,"authorised":"Q. Whitmore"}"#;
    let changes = opened_by(text);
    assert_eq!(changes.live(NOW)[0].within, Some(Vec::new()), "it opens nothing that is closed");
    let event: Event = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), text);
}
