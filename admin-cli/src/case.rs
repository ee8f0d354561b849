//! `case export`: one person's alerts, or one alert, for the school's safeguarding records (CPOMS,
//! MyConcern). These take no file by a published format: what is given is the fields that an incident
//! there has, a row an alert, to be entered or attached.

mod paper;

use crate::alerts::show::Told;
use crate::alerts::{HANDLES_ALERTS, about, store};
use crate::args::{CaseCommand, ReportFormat};
use crate::failure::{Exit, Failure};
use crate::hold::reason;
use crate::report::document::{Document, Section, Table, plain_csv, plain_json};
use crate::report::target::Target;
use crate::school::{School, now};
use crate::who::{MAX_SUBJECT_CHARS, look};
use ledger::alerts::Alert;
use ledger::episodes::{MAX_RECORDS, Person, theme_title};
use proxy::snapshot::Snapshot;
use rules::alert::AlertId;
use rules::change::same_person;

const HEADINGS: [&str; 16] = [
    "Incident",
    "Student",
    "Known by",
    "Year or level",
    "Date",
    "Time",
    "Category",
    "Severity",
    "What happened",
    "Evidence",
    "Digest of evidence",
    "Reported by",
    "Assigned to",
    "Status",
    "Action taken",
    "Action by and when",
];

/// Runs a `case` command.
pub(crate) async fn run(school: &School, command: CaseCommand) -> Result<Exit, Failure> {
    let CaseCommand::Export { of, reason: why, format, output, who } = command;
    let format = format.map(ReportFormat::from);
    let format = crate::report::format::chosen(format, output.as_deref(), ReportFormat::Csv)?;
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let why = reason(&why)?;
    let subject = format!("{}; reason {why}", of.trim());
    // The record of the look holds all of the reason.
    if subject.chars().count() > MAX_SUBJECT_CHARS {
        return Err(Failure::usage("the reason is too long for the record of this look")
            .fix(format!("say it in {MAX_SUBJECT_CHARS} characters")));
    }
    let target = Target::private(output.as_deref(), format)?;
    let by = look(school, policy, &who, HANDLES_ALERTS, "case export", &subject).await?;
    let told = told(school, &of).await?;
    let rows = told.iter().map(|told| row(&snapshot, told)).collect();
    let table = Table::new(&HEADINGS, rows);
    let clock = policy.clock();
    let bytes = match format {
        ReportFormat::Csv => plain_csv(&table).into(),
        ReportFormat::Json => plain_json(&table).into(),
        ReportFormat::Pdf => paper::pdf(school, &snapshot, &told, &format!("{by}. {why}")).await?,
        page => {
            let document = Document {
                title: format!("{}: safeguarding incidents", policy.school()),
                subtitle: format!("Made {} by {by}. {why}", clock.show(now())),
                sections: told
                    .iter()
                    .zip(table.rows)
                    .map(|(told, row)| section(told, row))
                    .collect(),
                footer: vec![paper::NO_PROOF.to_owned()],
                ..Document::default()
            };
            match page {
                ReportFormat::Md => document.markdown().into(),
                _ => document.html().into(),
            }
        }
    };
    target.deliver(&bytes)
}

/// The alerts of a person, or the one of a number.
async fn told(school: &School, of: &str) -> Result<Vec<Told>, Failure> {
    let none = || {
        Failure::not_found(format!("no alert of {}", crate::output::visible(of.trim())))
            .fix("see the numbers with: schoolgate alerts list")
    };
    let Some(mut store) = store(school).await? else { return Err(none()) };
    let all: Vec<Alert> = store.alerts().await.map_err(Failure::fault)?.iter().cloned().collect();
    let number = AlertId::parse(of).filter(|_| of.trim().to_lowercase().starts_with("a-"));
    let mut kept = Vec::new();
    for alert in all {
        let is_it = match number {
            Some(number) => alert.id == number,
            None => {
                let about = about(&mut store, &alert).await?;
                about.is_some_and(|person| same_person(person.name(), of))
            }
        };
        if is_it {
            kept.push(Told::read(school, &mut store, alert, MAX_RECORDS).await?);
        }
    }
    if kept.is_empty() { Err(none()) } else { Ok(kept) }
}

fn row(snapshot: &Snapshot, told: &Told) -> Vec<String> {
    let Told { alert, about, episode, rows, notes } = told;
    let clock = snapshot.policy.clock();
    let (date, time) = (clock.day(alert.first).to_string(), clock.show(alert.first));
    let signs = episode.as_ref().map_or(alert.signs, |episode| episode.signs);
    let strongest = episode.as_ref().map_or(alert.strongest, |episode| episode.strongest);
    let until = episode.as_ref().map(|it| format!(" until {}", clock.show(it.last)));
    let happened = format!(
        "{signs} signs of the theme {}{}, the strongest in a {}. The filter recorded them; what blocked it \
         is in its log.",
        theme_title(&alert.episode.theme).to_lowercase(),
        until.unwrap_or_default(),
        strongest.as_str(),
    );
    let codes: Vec<String> = rows.iter().map(|row| row.id.code()).collect();
    let actions: Vec<String> = alert
        .reviews
        .iter()
        .zip(notes)
        .map(|(review, note)| match note {
            Some(note) => format!("{}: {note}", review.outcome.as_str()),
            None => review.outcome.as_str().to_owned(),
        })
        .collect();
    let actors: Vec<String> =
        alert.reviews.iter().map(|it| format!("{}, {}", it.by, clock.show(it.at))).collect();
    vec![
        alert.id.to_string(),
        about.as_ref().map_or("erased", Person::name).to_owned(),
        alert.confidence.as_str().to_owned(),
        year_or_level(snapshot, about.as_ref(), &alert.level),
        date,
        time,
        theme_title(&alert.episode.theme).to_owned(),
        alert.severity.as_str().to_owned(),
        happened,
        codes.join(" "),
        paper::digest(&snapshot.policy, told),
        "Schoolgate, the school's web filter".to_owned(),
        alert.assigned.clone().unwrap_or_default(),
        alert.state().to_owned(),
        actions.join("; "),
        actors.join("; "),
    ]
}

fn section(told: &Told, row: Vec<String>) -> Section {
    let rows = HEADINGS.iter().zip(row).map(|(heading, cell)| vec![(*heading).to_owned(), cell]);
    Section {
        heading: told.alert.id.to_string(),
        sentences: Vec::new(),
        table: Some(Table::new(&["Field", ""], rows.collect())),
    }
}

/// A pupil's year by their groups, as `Year 8`; else the level.
pub(crate) fn year_or_level(snapshot: &Snapshot, about: Option<&Person>, level: &str) -> String {
    let name = match about {
        Some(Person::User(name)) => name,
        _ => return level.to_owned(),
    };
    let user = snapshot.users.iter().find(|user| same_person(&user.facts.name, name));
    let year = user.and_then(|user| {
        let is_year = |group: &&String| {
            group
                .to_lowercase()
                .strip_prefix("year")
                .is_some_and(|rest| rest.trim().parse::<u8>().is_ok())
        };
        user.facts.groups.iter().find(is_year).cloned()
    });
    year.unwrap_or_else(|| level.to_owned())
}
