//! What mail and webhook say of an alert: enough to know how soon to look and where, and nothing of what
//! was read or written. Whom it is about only where the school has decided so.

use ledger::alerts::Alert;
use ledger::episodes::{Person, theme_title};
use rules::alert::Severity;
use rules::time::SchoolClock;
use std::fmt::Write as _;

/// What a message is made of.
pub(super) struct Facts<'a> {
    pub(super) alert: &'a Alert,
    /// 0, or which escalation.
    pub(super) step: u32,
    pub(super) clock: &'a SchoolClock,
    pub(super) school: &'a str,
    /// Whom it is about, where mail may say so.
    pub(super) about: Option<&'a Person>,
}

/// The subject of the mail.
pub(super) fn subject(facts: &Facts<'_>) -> String {
    let Facts { alert, school, step, .. } = facts;
    let again = match step {
        0 if alert.reopening().is_some() => ", open again",
        0 => "",
        _ => ", nobody has looked yet",
    };
    format!("{} alert {} at {school}{again}", capital(alert.severity), alert.id)
}

/// The text of the mail.
pub(super) fn text(facts: &Facts<'_>) -> String {
    let Facts { alert, clock, step, about, .. } = facts;
    let mut text = String::new();
    // Writing to a text cannot fail.
    let mut line = |line: &str| {
        let _ = writeln!(text, "{line}");
    };
    if *step > 0 {
        line("Nobody has looked at this alert yet. Please do, or see that somebody does.\n");
    }
    line(match alert.severity {
        Severity::Urgent => "Somebody must look at this at once.\n",
        _ => "Somebody should look at this today.\n",
    });
    if alert.reopening().is_some() {
        line("It was closed, and something further came: it is open again.\n");
    }
    line(&format!("Alert      {}", alert.id));
    line(&format!("Severity   {}", alert.severity.as_str()));
    line(&format!("Theme      {}", theme_title(&alert.episode.theme)));
    line(&format!("Signs      {}", alert.signs));
    if let Some(by) = alert.reopening().and_then(|it| it.by) {
        line(&format!("Further    {}", by.words()));
    }
    line(&format!("When       {}", clock.show(alert.first)));
    line(&format!("Level      {}", alert.level));
    line(&format!("Known by   {}", alert.confidence.as_str()));
    if let Some(person) = about {
        line(&format!("About      {}", person.name()));
    }
    line(&format!("\nTo look at it, on the filter:\n\n    schoolgate alerts show {}\n", alert.id));
    line("Who looks is recorded. A sign is no proof: a page may have been opened by mistake, and");
    line("somebody else may have used the device.");
    text
}

/// What is posted to the webhook.
pub(super) fn json(facts: &Facts<'_>) -> String {
    let Facts { alert, clock, step, school, .. } = facts;
    serde_json::json!({
        "alert": alert.id.to_string(),
        "school": school,
        "severity": alert.severity,
        "escalation": step,
        "theme": alert.episode.theme,
        "signs": alert.signs,
        "reopened_by": alert.reopening().and_then(|it| it.by),
        "first": clock.rfc3339(alert.first),
        "raised": clock.rfc3339(alert.raised_at),
        "level": alert.level,
        "confidence": alert.confidence,
        "show": format!("schoolgate alerts show {}", alert.id),
    })
    .to_string()
}

fn capital(severity: Severity) -> &'static str {
    match severity {
        Severity::Routine => "Routine",
        Severity::High => "High",
        Severity::Urgent => "Urgent",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use ledger::alerts::{AlertEntry, AlertEvent, Alerts};
    use ledger::episodes::{Confidence, EpisodeKey, Source};
    use rules::alert::AlertId;
    use rules::code::RequestId;
    use rules::time::UnixMillis;

    fn alerts() -> Alerts {
        let mut alerts = Alerts::default();
        alerts.fold(&AlertEntry {
            sequence: 0,
            at: UnixMillis(1_764_151_205_000),
            clock: UnixMillis(1_764_151_205_000),
            actor: "schoolgate".into(),
            event: AlertEvent::Raised {
                alert: AlertId(12),
                episode: EpisodeKey { first: RequestId(1), theme: "suicide".into() },
                day: "2025-11-26".into(),
                severity: Severity::Urgent,
                level: "ks3".into(),
                confidence: Confidence::SignedIn,
                strongest: Source::Search,
                first: UnixMillis(1_764_151_200_000),
                signs: 1,
                private: String::new(),
            },
        });
        alerts
    }

    #[test]
    fn messages_say_how_soon_and_where_to_look_and_whom_only_where_the_school_decided() {
        let (alerts, clock) = (alerts(), SchoolClock::new("Europe/London", &[]).unwrap());
        let alert = alerts.get(AlertId(12)).unwrap();
        let facts =
            |step, about| Facts { alert, step, clock: &clock, school: "Example Academy", about };
        let person = Person::User("sam.p".into());
        assert_eq!(subject(&facts(0, None)), "Urgent alert A-0012 at Example Academy");
        assert!(subject(&facts(2, None)).ends_with("nobody has looked yet"));
        let plain = text(&facts(0, None));
        for part in ["A-0012", "urgent", "Suicide", "26 Nov 2025 10:00 GMT", "ks3", "signed in"] {
            assert!(plain.contains(part), "{part}: {plain}");
        }
        assert!(plain.contains("schoolgate alerts show A-0012"));
        assert!(!plain.contains("sam.p") && !json(&facts(0, Some(&person))).contains("sam.p"));
        assert!(text(&facts(0, Some(&person))).contains("About      sam.p"));
        assert!(text(&facts(1, None)).starts_with("Nobody has looked"));
        let posted: serde_json::Value = serde_json::from_str(&json(&facts(1, None))).unwrap();
        assert_eq!((&posted["alert"], &posted["escalation"]), (&"A-0012".into(), &1.into()));
    }
}
