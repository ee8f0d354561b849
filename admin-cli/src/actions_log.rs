//! `log actions`: every entry of the change log, as it stands there.
//!
//! The Filtering Change Log has the seven columns of schools' forms; this is what lies behind it:
//! changes of people, bans, lists, starts of the filter, and what was refused to whom.

use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Format, Sheet};
use crate::school::{School, from_append_error, range};
use rules::change::{ChangeEntry, Event};
use rules::time::{SchoolClock, UnixMillis};

const COLUMNS: &[Column] = &[
    Column { key: "sequence", title: "No.", gives_way: 3 },
    Column { key: "at", title: "Time", gives_way: 0 },
    Column { key: "by", title: "By", gives_way: 0 },
    Column { key: "event", title: "Event", gives_way: 0 },
    Column { key: "detail", title: "Detail", gives_way: 1 },
];

/// Which entries.
pub(crate) struct Wanted<'a> {
    /// This actor, without case.
    pub(crate) actor: Option<&'a str>,
    /// This event word, e.g. `user_banned`.
    pub(crate) event: Option<&'a str>,
    /// From then.
    pub(crate) since: Option<&'a str>,
    /// Before then.
    pub(crate) until: Option<&'a str>,
}

/// Prints the entries, the oldest first.
pub(crate) async fn print(
    school: &School,
    clock: &SchoolClock,
    wanted: &Wanted<'_>,
    format: Format,
) -> Result<Exit, Failure> {
    wanted.event.map_or(Ok(()), must_be_event)?;
    let (from, to) = range(clock, wanted.since, wanted.until, "today")?;
    let log = school.change_log().await?;
    let entries = log.entries_after(0).await.map_err(from_append_error)?;
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    for entry in entries.iter().filter(|entry| from <= entry.at && entry.at < to) {
        let (event, detail) = words(&entry.event, clock)?;
        if is_wanted(entry, &event, wanted) {
            sheet.row(&[
                Cell::text(entry.sequence.to_string()),
                Cell::new(clock.show(entry.at), clock.rfc3339(entry.at)),
                Cell::text(&entry.actor),
                Cell::text(event),
                Cell::text(detail),
            ])?;
        }
    }
    if sheet.finish()? == 0 {
        note!("no entries");
    }
    Ok(Exit::Ok)
}

/// A slip in an event's word would pass for "nothing happened".
fn must_be_event(word: &str) -> Result<(), Failure> {
    // What reads the log knows every word there is, and names them where one is none.
    let read = serde_json::from_value::<Event>(serde_json::json!({ "event": word }));
    let said = read.err().map(|error| error.to_string()).unwrap_or_default();
    if !said.starts_with("unknown variant") {
        return Ok(());
    }
    let (_, known) = said.split_once(", expected one of ").unwrap_or_default();
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let failure = Failure::usage(format!("no event called \"{word}\""));
    let list = format!("one of {}", known.join(", "));
    Err(match rules::nearest(word, known) {
        Some(near) => failure.fix(format!("did you mean {near}?")).detail(list),
        None => failure.fix(list),
    })
}

fn is_wanted(entry: &ChangeEntry, event: &str, wanted: &Wanted<'_>) -> bool {
    wanted.actor.is_none_or(|actor| entry.actor.to_lowercase() == actor.trim().to_lowercase())
        && wanted.event.is_none_or(|word| word == event)
}

/// The event's word, and its fields as `name: value`, moments in school time.
pub(crate) fn words(event: &Event, clock: &SchoolClock) -> Result<(String, String), Failure> {
    let value = serde_json::to_value(event).map_err(Failure::fault)?;
    let serde_json::Value::Object(mut fields) = value else {
        return Ok((String::new(), value.to_string()));
    };
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let word = fields.remove("event").map(|word| text(&word)).unwrap_or_default();
    let moment = |name: &str, value: &serde_json::Value| {
        let millis = ["from", "until", "lapses"].contains(&name).then(|| value.as_i64())??;
        Some(clock.rfc3339(UnixMillis(millis)))
    };
    let detail: Vec<String> = fields
        .iter()
        .map(|(name, value)| {
            format!("{name}: {}", moment(name, value).unwrap_or_else(|| text(value)))
        })
        .collect();
    Ok((word, detail.join("; ")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_its_word_and_its_fields() {
        let event =
            Event::UserBanned { user: "sam.p".into(), until: UnixMillis(1), reason: "a; b".into() };
        let clock = SchoolClock::new("Europe/London", &[]).unwrap();
        let (word, detail) = words(&event, &clock).unwrap();
        assert_eq!(word, "user_banned");
        assert_eq!(detail, "reason: a; b; until: 1970-01-01T01:00:00.001+01:00; user: sam.p");
    }

    #[test]
    fn a_word_that_is_no_events_is_refused_with_those_that_are() {
        for word in ["looked", "user_banned", "unblock_asked", "serve_started"] {
            assert!(must_be_event(word).is_ok(), "{word}");
        }
        let text = must_be_event("lookd").unwrap_err().text();
        assert!(text.contains("no event called \"lookd\"\n  fix: did you mean looked?"), "{text}");
        let text = must_be_event("nothing_like_it").unwrap_err().text();
        assert!(text.contains("fix: one of ") && text.contains("user_banned, "), "{text}");
    }

    #[test]
    fn entries_are_chosen_by_actor_and_event() {
        let entry = ChangeEntry {
            sequence: 0,
            at: UnixMillis(0),
            actor: "J.Cho".into(),
            event: Event::UserRemoved { user: "sam.p".into() },
        };
        let cases = [
            (None, None, true),
            (Some("j.cho"), None, true),
            (Some("q.whitmore"), None, false),
            (None, Some("user_removed"), true),
            (None, Some("user_banned"), false),
        ];
        for (actor, event, expected) in cases {
            let wanted = Wanted { actor, event, since: None, until: None };
            assert_eq!(is_wanted(&entry, "user_removed", &wanted), expected, "{actor:?} {event:?}");
        }
    }
}
