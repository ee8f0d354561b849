//! A case on paper: what a safeguarding lead attaches to a pupil's record. Each alert with whom it is about and how
//! sure that is, what was asked for, who was told, who looked and what was done, and a digest that fixes the
//! records.

use super::year_or_level;
use crate::alerts::show::{Told, address};
use crate::alerts::store;
use crate::failure::Failure;
use crate::health;
use crate::school::{School, now, show_seconds};
use crate::visits::answer;
use ledger::alerts::{AlertEntry, AlertEvent, Channel, Private};
use ledger::episodes::{Confidence, Person, theme_title};
use ledger::query::AccessRow;
use paper::{Block, Paper, Table};
use proxy::snapshot::Snapshot;
use rules::policy::Policy;
use rules::time::SchoolClock;
use sha2::{Digest as _, Sha256};

/// What every reader must know.
pub(super) const NO_PROOF: &str = "A sign is no proof: a page may have been opened by mistake, and somebody else may have \
                                   used the device.";

/// The PDF of alerts. `made_by` says by whom and why.
pub(super) async fn pdf(
    school: &School,
    snapshot: &Snapshot,
    told: &[Told],
    made_by: &str,
) -> Result<Vec<u8>, Failure> {
    let policy = &snapshot.policy;
    let clock = policy.clock();
    let mut blocks = Vec::new();
    for told in told {
        let done = done(school, clock, told).await?;
        blocks.extend(alert(snapshot, told, done));
    }
    blocks.push(Block::Small(NO_PROOF.to_owned()));
    blocks.push(Block::Small(
        "Behind an answer stands what the browser said: \"opened\" as a page of its own, or fetched as a \"part\" of \
         another page, such as a picture; a \"frame\" is taken for one by where it came from and how soon."
            .to_owned(),
    ));
    blocks.push(Block::Small(
        "The digest of evidence is the SHA-256 of a line for each record: code, time, verdict, reason, address, and \
         what was found, with spaces between. The same records give it again, in every format of this export."
            .to_owned(),
    ));
    let signed = crate::audit::standing(school, health::is_running(&school.config.state)).last;
    blocks.push(Block::Small(match signed {
        Some((line, signature)) => format!("Checkpoint of the log: {line}\n{signature}"),
        None => "Checkpoint of the log: none was signed yet.".to_owned(),
    }));
    let digests: Vec<String> = told.iter().map(|told| digest(policy, told)).collect();
    let foot = match &digests[..] {
        [one] => format!("Evidence SHA-256 {one}"),
        many => format!(
            "Evidence SHA-256 {} (of the digests of {} alerts)",
            sum(&many.join("\n")),
            many.len()
        ),
    };
    let paper = Paper {
        title: format!("{}: safeguarding record", policy.school()),
        subtitle: format!("Made {} by {made_by}", clock.show(now())),
        blocks,
        foot,
        landscape: false,
        one_page: false,
    };
    paper::pdf(&paper).map_err(Failure::fault)
}

/// What fixes the records of an alert: see the small print of the PDF.
pub(super) fn digest(policy: &Policy, told: &Told) -> String {
    let mut text = String::new();
    for row in &told.rows {
        let (at, code) = (policy.clock().rfc3339(row.at), row.id.code());
        let (verdict, reason) = (row.verdict.as_str(), row.reason.as_str());
        let found = told.found(row).join(", ");
        let address = address(policy, row);
        text.push_str(&format!("{code} {at} {verdict} {reason} {address} {found}\n"));
    }
    sum(&text)
}

fn sum(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn alert(snapshot: &Snapshot, told: &Told, done: Vec<Vec<String>>) -> Vec<Block> {
    let Told { alert, about, episode, rows, .. } = told;
    let policy = &snapshot.policy;
    let clock = policy.clock();
    let theme = theme_title(&alert.episode.theme);
    let known = match alert.confidence {
        Confidence::SignedIn => {
            "signed in: somebody gave this name and its password on the device, which another may have used since"
        }
        Confidence::DeviceOnly => {
            "device only: nobody signed in, so it is known which device it was, not who"
        }
    };
    let when = match episode {
        Some(it) => {
            format!("{} to {}", show_seconds(clock, it.first), show_seconds(clock, it.last))
        }
        None => show_seconds(clock, alert.first),
    };
    let signs = episode.as_ref().map_or(alert.signs, |episode| episode.signs);
    let requests = episode.as_ref().map_or(0, |episode| episode.requests);
    let facts = [
        ("Person", about.as_ref().map_or("erased", Person::name).to_owned()),
        ("How sure", known.to_owned()),
        ("Year or level", year_or_level(snapshot, about.as_ref(), &alert.level)),
        ("School", policy.school().to_owned()),
        ("When", when),
        ("Theme", format!("{theme}, {}", alert.severity.as_str())),
        ("Signs", format!("{signs}, in {requests} requests")),
        ("Stands", alert.state().to_owned()),
        ("Assigned to", alert.assigned.clone().unwrap_or_else(|| "nobody".to_owned())),
        ("Digest of evidence", digest(policy, told)),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let access = |row: &AccessRow| {
        vec![
            show_seconds(clock, row.at),
            row.id.code(),
            address(policy, row),
            answer(&format!("{}, {}", row.verdict.as_str(), row.reason.as_str()), row.visit),
            told.found(row).join(", "),
        ]
    };
    let table = |headings: &[&str], rows| {
        let headings = headings.iter().map(|heading| (*heading).to_owned()).collect();
        Block::Table(Table { headings, rows })
    };
    let mut blocks = vec![Block::Heading(format!("{}: {theme}", alert.id)), Block::Facts(facts)];
    if rows.is_empty() {
        blocks.push(Block::Text("Its records are no longer kept.".to_owned()));
    }
    blocks.push(table(
        &["When", "Code", "Address", "Answer", "Found in"],
        rows.iter().map(access).collect(),
    ));
    if let Some(more) = (requests as usize).checked_sub(rows.len()).filter(|more| *more > 0) {
        blocks.push(Block::Text(format!("And {more} more records, which the log has.")));
    }
    blocks.push(table(&["When", "Who", "What"], done));
    blocks
}

/// What was done about an alert, by whom and when, in order.
async fn done(
    school: &School,
    clock: &SchoolClock,
    told: &Told,
) -> Result<Vec<Vec<String>>, Failure> {
    let Some(mut store) = store(school).await? else { return Ok(Vec::new()) };
    let entries = store.entries().await.map_err(Failure::fault)?;
    let mut rows = Vec::new();
    for entry in entries.into_iter().filter(|entry| entry.event.alert() == told.alert.id) {
        let note = match entry.event {
            AlertEvent::Reviewed { .. } => {
                store.private(entry.sequence).await.map_err(Failure::fault)?
            }
            _ => None,
        };
        if let Some(what) = what(&entry, note) {
            rows.push(vec![show_seconds(clock, entry.at), entry.actor, what]);
        }
    }
    Ok(rows)
}

fn what(entry: &AlertEntry, note: Option<Private>) -> Option<String> {
    Some(match &entry.event {
        AlertEvent::Raised { severity, .. } => format!("raised, {}", severity.as_str()),
        AlertEvent::Worsened { severity, signs, .. } => {
            format!("became {}, with {signs} signs", severity.as_str())
        }
        AlertEvent::Reopened { severity, signs, by, .. } => {
            let by = by.map(|by| format!(" by {}", by.words())).unwrap_or_default();
            format!("open again{by}; {}, with {signs} signs", severity.as_str())
        }
        AlertEvent::Notified { channel, to, failed, .. } => {
            let by = match channel {
                Channel::Mail => "by mail",
                Channel::Webhook => "by webhook",
            };
            match failed {
                None => format!("told {to} {by}"),
                Some(why) => format!("could not tell {to} {by}: {why}"),
            }
        }
        AlertEvent::Escalated { to, .. } => {
            format!("nobody had looked: told {} too", to.join(", "))
        }
        AlertEvent::Seen { .. } => "looked at it".to_owned(),
        AlertEvent::Assigned { to, .. } => format!("assigned it to {to}"),
        AlertEvent::Reviewed { outcome, .. } => match note {
            Some(Private::Note(note)) => format!("reviewed it, {}: {note}", outcome.as_str()),
            _ => format!("reviewed it, {}", outcome.as_str()),
        },
        AlertEvent::Erased { why, .. } => format!("erased the name, or notes: {why}"),
        // The review says so.
        AlertEvent::Closed { .. } => return None,
    })
}
