//! `report person`: everything that is recorded on one person, for a subject access request.
//!
//! What a person's name stands in: the accesses under the name, what was searched for and written in them, the
//! alerts about the person, the entries of the change log that the person made or that name the person, and the
//! person's own row among the users. Other people's names may stand in an entry beside it, so that somebody reads the report before it is
//! handed over; it says so.

use super::document::{Document, Section, Table};
use super::weekly::thousands;
use crate::actions_log;
use crate::alerts;
use crate::args::{ReportFormat, WhoArgs};
use crate::failure::Failure;
use crate::hold;
use crate::log;
use crate::school::{School, from_append_error, now, show_seconds};
use crate::visits::Opened;
use crate::who::{MAX_SUBJECT_CHARS, look_further, subject_words};
use ledger::episodes::theme_title;
use ledger::query::{AccessRow, Filter, Order};
use ledger::users::UserRow;
use rules::access::Role;
use rules::change::{ChangeEntry, same_person};
use rules::policy::Policy;
use rules::time::SchoolClock;
use serde_json::Value;

/// Who may see everything of one person. They may all read alerts, notes included ([`alerts::READS_ALERTS`]).
pub(super) const READS_PERSON: &[Role] = &[Role::Dsl, Role::Head];

const WORDS_HEADING: &str = "Words searched for and written under the name";

/// Stands in the place of the words where the reader may not see them.
const WORDS_LEFT_OUT: &str = "Left out: words are shown to the safeguarding lead and the head alone. The answer is \
                              not whole without them.";

/// Stands in the place of words at an illegal site.
const HIDDEN: &str = "(hidden)";

/// Rows read at a time.
const PAGE_ROWS: usize = 2_000;

/// Most characters of a name.
const LONGEST_NAME: usize = 200;

const ACCESS_HEADINGS: &[&str] = &[
    "Time",
    "Level",
    "From",
    "Method",
    "Site",
    "Port",
    "Path",
    "Categories",
    "Verdict",
    "Reason",
    "Rule",
    "Unblock",
    "Depth",
    "Visit",
    "End",
    "Status",
    "Bytes up",
    "Bytes down",
    "Code",
];
const WORDS_HEADINGS: &[&str] = &["Time", "Site", "Verdict", "Kind", "Words", "Signs", "Code"];
/// Where among them the words stand.
const WORDS_PLACE: usize = 4;
const ENTRY_HEADINGS: &[&str] = &["Entry", "Time", "Actor", "Event", "Detail"];
const ALERT_HEADINGS: &[&str] =
    &["Alert", "Theme", "Severity", "Raised", "State", "Outcome", "Notes"];
const USER_HEADINGS: &[&str] =
    &["Name", "Level", "Groups", "Added", "Banned until", "Signs in with a password"];

/// Makes the report. Who looks, at whom and why, is recorded before anything is read.
pub(super) async fn report(
    school: &School,
    who: &WhoArgs,
    name: &str,
    reason: &str,
    format: ReportFormat,
) -> Result<Vec<u8>, Failure> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        return Err(Failure::usage("that is no user's name").fix("write it as the log has it"));
    }
    let reason = hold::reason(reason)?;
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let subject = subject_words(&[("user", Some(name)), ("reason", Some(&reason))]);
    // The record of the look holds all of it.
    if subject.chars().count() > MAX_SUBJECT_CHARS {
        return Err(Failure::usage("name and reason are too long for the record of this look")
            .fix(format!("say it in {MAX_SUBJECT_CHARS} characters")));
    }
    let command = ("report person", subject.as_str());
    let (by, see_words) =
        look_further(school, policy, who, READS_PERSON, command, log::WORDS).await?;
    let accesses = accesses(school, name).await?;
    let mut opened = Opened::default();
    let visits = accesses.iter().filter(|row| opened.is_new(row)).count() as u64;
    let change_log = school.change_log().await?;
    let entries = change_log.entries_after(0).await.map_err(from_append_error)?;
    let mut told = Vec::new();
    for entry in entries.iter().filter(|entry| is_about(entry, name)) {
        told.push(entry_cells(entry, policy.clock())?);
    }
    let alerts = alerts_table(school, name, policy.clock()).await?;
    let has_acted = entries.iter().any(|entry| same_person(&entry.actor, name));
    if !has_acted && alerts.rows.is_empty() {
        hold::warn_of_nobody(&snapshot, name, Some(accesses.len() as u64));
    }
    let user = change_log.users().find(name).await.map_err(Failure::fault)?;
    let tables = [
        ("The person's row among the users", users_table(user.as_ref(), policy.clock())),
        ("Requests under the name", access_table(policy, &accesses)),
        (WORDS_HEADING, words_table(policy, &accesses, see_words)),
        ("Alerts about the person", alerts),
        (
            "Entries of the change log that the person made or that name the person",
            Table::new(ENTRY_HEADINGS, told),
        ),
    ];
    Ok(match format {
        ReportFormat::Html => document(policy, name, (&by, &reason), visits, tables).html().into(),
        ReportFormat::Pdf => document(policy, name, (&by, &reason), visits, tables).pdf()?,
        ReportFormat::Md => {
            document(policy, name, (&by, &reason), visits, tables).markdown().into()
        }
        ReportFormat::Csv => csv(&tables).into(),
        ReportFormat::Json => {
            let [user, accesses, words, alerts, entries] = tables.map(|(_, table)| objects(&table));
            let value = serde_json::json!({
                "person": name, "made_at": policy.clock().rfc3339(now()), "made_by": by,
                "reason": reason, "user": user, "visits": visits, "accesses": accesses, "words": words,
                "words_shown": see_words, "alerts": alerts, "entries": entries,
            });
            crate::output::json_text(format!("{value:#}\n")).into()
        }
    })
}

async fn accesses(school: &School, name: &str) -> Result<Vec<AccessRow>, Failure> {
    // What a killed daemon left, or a running one has just recorded, belongs to it.
    let mut log = log::open(school).await?;
    let filter = Filter { user: Some(name.to_owned()), ..Filter::default() };
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = log.page(&filter, Order::OldestFirst, after, PAGE_ROWS).await;
        let page = page.map_err(log::from_query_error)?;
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            // Each worker has a journal of its own: requests of the same moment are stored in any order.
            rows.sort_by_key(|row| (row.at, row.id));
            return Ok(rows);
        }
    }
}

/// Whether a person made an entry, or it names the person: as a word of any of its texts.
fn is_about(entry: &ChangeEntry, name: &str) -> bool {
    same_person(&entry.actor, name)
        || serde_json::to_value(&entry.event).is_ok_and(|event| names(&event, name))
}

fn names(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => names_in(text, name),
        Value::Array(values) => values.iter().any(|value| names(value, name)),
        Value::Object(fields) => fields.values().any(|value| names(value, name)),
        _ => false,
    }
}

/// Whether a text has the name in it with nothing at either side that would make it another name.
pub(crate) fn names_in(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.trim().to_lowercase());
    let goes_on = |letter: char| letter.is_alphanumeric() || ['_', '-', '@'].contains(&letter);
    text.match_indices(&name).any(|(start, found)| {
        let (before, behind) = (&text[..start], &text[start + found.len()..]);
        // A full stop may be part of a name or end a sentence.
        let mut rest = behind.chars();
        let ends = match rest.next() {
            Some('.') => !rest.next().is_some_and(goes_on),
            next => !next.is_some_and(goes_on),
        };
        let begins = !before.chars().next_back().is_some_and(|it| goes_on(it) || it == '.');
        begins && ends
    })
}

fn entry_cells(entry: &ChangeEntry, clock: &SchoolClock) -> Result<Vec<String>, Failure> {
    let (event, detail) = actions_log::words(&entry.event, clock)?;
    let (number, at) = (entry.sequence.to_string(), clock.show(entry.at));
    Ok(vec![number, at, entry.actor.clone(), event, detail])
}

fn users_table(user: Option<&UserRow>, clock: &SchoolClock) -> Table {
    let cells = |user: &UserRow| {
        vec![
            user.name.clone(),
            user.level.clone().unwrap_or_default(),
            user.groups.join(", "),
            clock.show(user.created_at),
            user.banned_until.map(|until| clock.show_end(until)).unwrap_or_default(),
            if user.has_password { "yes" } else { "no" }.to_owned(),
        ]
    };
    Table::new(USER_HEADINGS, user.map(cells).into_iter().collect())
}

fn access_table(policy: &Policy, rows: &[AccessRow]) -> Table {
    let clock = policy.clock();
    let cells = |row: &AccessRow| {
        let (host, path) = log::shown_address(policy, row);
        let ended = row.ended.as_ref();
        let number = |number: Option<u64>| number.map(|it| it.to_string()).unwrap_or_default();
        vec![
            show_seconds(clock, row.at),
            row.level.clone(),
            row.client.clone(),
            row.method.clone(),
            host,
            row.port.to_string(),
            path.unwrap_or_default(),
            row.categories.join(", "),
            row.verdict.as_str().to_owned(),
            row.reason.as_str().to_owned(),
            row.rule.clone().unwrap_or_default(),
            row.unblock.map(|id| id.to_string()).unwrap_or_default(),
            row.depth.as_str().to_owned(),
            row.visit.as_str().to_owned(),
            ended.map(|it| it.end.as_str().to_owned()).unwrap_or_default(),
            number(ended.map(|it| u64::from(it.status))),
            number(ended.map(|it| it.bytes_up)),
            number(ended.map(|it| it.bytes_down)),
            row.id.code(),
        ]
    };
    Table::new(ACCESS_HEADINGS, rows.iter().map(cells).collect())
}

/// What was searched for and written to assistants, and signs of themes in it and in pages, where the reader may
/// see words.
fn words_table(policy: &Policy, rows: &[AccessRow], see_words: bool) -> Table {
    if !see_words {
        let mut row = vec![String::new(); WORDS_HEADINGS.len()];
        row[WORDS_PLACE] = WORDS_LEFT_OUT.to_owned();
        return Table::new(WORDS_HEADINGS, vec![row]);
    }
    let has_words = |row: &&AccessRow| row.words.is_some() || !row.signs.is_empty();
    let cells = |row: &AccessRow| {
        let (host, _) = log::shown_address(policy, row);
        let is_hidden = log::is_locked(policy, row);
        let words = row.words.as_ref();
        let text = words.map(|it| if is_hidden { HIDDEN } else { it.text.as_str() });
        let signs: Vec<String> =
            row.signs.iter().filter(|_| !is_hidden).map(log::sign_words).collect();
        vec![
            show_seconds(policy.clock(), row.at),
            host,
            row.verdict.as_str().to_owned(),
            words.map(|it| it.kind.as_str().to_owned()).unwrap_or_default(),
            text.unwrap_or_default().to_owned(),
            signs.join("; "),
            row.id.code(),
        ]
    };
    Table::new(WORDS_HEADINGS, rows.iter().filter(has_words).map(cells).collect())
}

/// The alerts about the person: how severe, what came of each, and what was noted with it.
async fn alerts_table(school: &School, name: &str, clock: &SchoolClock) -> Result<Table, Failure> {
    let mut rows = Vec::new();
    let Some(mut store) = alerts::store(school).await? else {
        return Ok(Table::new(ALERT_HEADINGS, rows));
    };
    for alert in alerts::of_person(&mut store, name).await? {
        let notes = alerts::notes(&mut store, &alert).await?;
        let outcomes = alert.reviews.iter().map(|review| {
            format!("{} ({}, {})", review.outcome.as_str(), review.by, clock.show(review.at))
        });
        rows.push(vec![
            alert.id.to_string(),
            theme_title(&alert.episode.theme).to_owned(),
            alert.severity.as_str().to_owned(),
            clock.show(alert.raised_at),
            alert.state().to_owned(),
            outcomes.collect::<Vec<_>>().join("; "),
            notes.into_iter().flatten().collect::<Vec<_>>().join("; "),
        ]);
    }
    Ok(Table::new(ALERT_HEADINGS, rows))
}

fn document(
    policy: &Policy,
    name: &str,
    (by, reason): (&str, &str),
    visits: u64,
    tables: [(&str, Table); 5],
) -> Document {
    let section = |(heading, table): (&str, Table)| Section {
        heading: heading.to_owned(),
        sentences: table.rows.is_empty().then(|| "Nothing.".to_owned()).into_iter().collect(),
        table: (!table.rows.is_empty()).then_some(table),
    };
    Document {
        title: format!("{}: what is recorded on {name}", policy.school()),
        subtitle: format!("Made {} by {by}. Reason: {reason}", policy.clock().show(now())),
        headline: String::new(),
        sections: tables.into_iter().map(section).collect(),
        footer: vec![
            format!(
                "Pages opened: {}, the same one again within five minutes left out. The rest of the requests are what \
                 pages fetched (\"part\", \"frame\") and what leads elsewhere; what is \"unknown\" counts as opened.",
                thousands(visits)
            ),
            "Entries of the change log and notes of alerts may name other people beside this one: read it before it is \
             handed over."
                .to_owned(),
            "Addresses of illegal content are hidden, and what was searched for or written there. Requests that nobody \
             was proved to have made are not here, \
             nor what was erased when its time was up, nor what the policy itself says of the person."
                .to_owned(),
        ],
        landscape: true,
        one_page: false,
    }
}

/// The tables one after another, each with its headings and an empty line before it.
fn csv(tables: &[(&str, Table)]) -> String {
    let tables: Vec<String> = tables.iter().map(|(_, table)| super::plain_csv(table)).collect();
    tables.join("\n")
}

/// A cell for programs: numbers are numbers.
fn value(key: &str, cell: &str) -> Value {
    match key {
        "port" | "status" | "bytes_up" | "bytes_down" | "entry" => {
            cell.parse::<u64>().map_or(Value::Null, Value::from)
        }
        _ => Value::from(cell),
    }
}

/// The rows as objects, keys being the headings in small letters with `_` for spaces.
fn objects(table: &Table) -> Value {
    let keys: Vec<String> =
        table.headings.iter().map(|heading| heading.to_lowercase().replace(' ', "_")).collect();
    let object = |row: &Vec<String>| {
        let members = keys.iter().zip(row).map(|(key, cell)| (key.clone(), value(key, cell)));
        Value::Object(members.collect())
    };
    table.rows.iter().map(object).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_see_words_is_told_that_they_are_left_out() {
        let text = include_str!("../../../tests/fixtures/policy.toml")
            .replace("only = \"only-ks1.txt\"", "");
        let catalogue = rules::category::Catalogue::shipped();
        let policy =
            Policy::parse(&text, "policy.toml", catalogue, &|_| Ok(String::new())).unwrap();
        let csv = |see_words| csv(&[(WORDS_HEADING, words_table(&policy, &[], see_words))]);
        assert!(csv(false).contains("Left out: words are shown"), "{}", csv(false));
        assert!(!csv(true).contains("Left out"), "{}", csv(true));
        assert_eq!(WORDS_HEADINGS[WORDS_PLACE], "Words");
    }

    #[test]
    fn who_reads_a_person_may_read_alerts() {
        let may = |role: &Role| alerts::READS_ALERTS.contains(role);
        assert!(READS_PERSON.iter().all(may), "else notes must be left out");
    }

    #[test]
    fn a_name_is_found_as_a_word_and_not_in_another_name() {
        let cases = [
            ("user sam.p; since 2h", true),
            ("Sam.P", true),
            ("asked by sam.p.", true),
            ("(sam.p)", true),
            ("sam.parker", false),
            ("sam.p.2", false),
            ("kit.sam.p", false),
            ("sam.p@example.org", false),
            ("xsam.p", false),
            ("", false),
        ];
        for (text, found) in cases {
            assert_eq!(names_in(text, "sam.p"), found, "{text}");
        }
    }
}
