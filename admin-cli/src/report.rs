//! `report`: the weekly report and the Filtering Change Log, as files or on standard output.

mod blocked;
mod called;
mod changed;
mod days;
pub(crate) mod document;
pub(crate) mod format;
pub(crate) mod https;
mod pages;
pub(crate) mod person;
mod pupils;
mod review;
mod reviewed;
mod running;
pub(crate) mod target;
mod themes;
mod tries;
pub(crate) mod unread;
pub(crate) mod weekly;

use crate::args::{Reader, ReportCommand, ReportFormat, WhoArgs};
use crate::changes_log;
use crate::failure::{Exit, Failure};
use crate::health;
use crate::log;
use crate::school::{School, from_append_error, from_time_error, now};
use crate::status::folder_bytes;
use crate::terminal::Patience;
use crate::who::{MAX_SUBJECT_CHARS, READS_CHANGES, look, subject_words};
use called::Called;
pub(crate) use days::whole_days;
use days::{last_days, range_before};
use document::{Document, Section, Table, plain_csv, plain_json};
use https::Https;
use ledger::record::Depth;
use ledger::seen::Seen;
use ledger::summary::Summary;
use proxy::config::ListOrigin;
use proxy::lists::Lists;
use proxy::snapshot::Snapshot;
use rules::access::Role;
use rules::decide::Verdict;
use rules::time::UnixMillis;
use target::Target;
use weekly::{Figures, ListAge, Week};

/// Days of the ordinary report, and of "sites used last week".
const WEEK_DAYS: i64 = 7;

/// Sites handed to the lists' gate: beyond these, a new block is rarely missed.
const MAX_SEEN_SITES: usize = 100_000;

/// Who may read the safeguarding lead's weekly report.
const READS_DSL_REPORT: &[Role] = &[Role::Dsl, Role::Head, Role::Auditor];

/// Who may read the technician's.
const READS_IT_REPORT: &[Role] = &[Role::It, Role::Dsl, Role::Head, Role::Auditor];

/// Runs a `report` command.
pub(crate) async fn run(school: &School, command: ReportCommand) -> Result<Exit, Failure> {
    match command {
        ReportCommand::Weekly { reader, format, since, names, reason, output, who } => {
            let format = format::chosen(format, output.as_deref(), ReportFormat::Md)?;
            let target = match names {
                true => Target::private(output.as_deref(), format),
                false => Target::open(output.as_deref(), format),
            }?;
            let at_work = Patience::new("reading the sums of the log");
            let why = names.then(|| reason.as_deref().unwrap_or_default());
            let text = weekly(school, &who, reader, format, since.as_deref(), why).await;
            drop(at_work);
            target.deliver(&text?)
        }
        ReportCommand::Changes { format, since, output, who } => {
            let format = format::chosen(format, output.as_deref(), ReportFormat::Md)?;
            let target = Target::open(output.as_deref(), format)?;
            let text = changes(school, &who, format, since.as_deref()).await?;
            target.deliver(&text)
        }
        ReportCommand::Review { action, week, change } => {
            review::run(school, &action, week.as_deref(), &change).await
        }
        ReportCommand::Person { name, reason, format, output, who } => {
            let format = format::chosen(format, output.as_deref(), ReportFormat::Md)?;
            // It holds one person's whole record: for whoever asked for it alone.
            let target = Target::private(output.as_deref(), format)?;
            let at_work = Patience::new("reading the log");
            let text = person::report(school, &who, &name, &reason, format).await;
            drop(at_work);
            target.deliver(&text?)
        }
    }
}

async fn weekly(
    school: &School,
    who: &WhoArgs,
    reader: Reader,
    format: ReportFormat,
    since: Option<&str>,
    names: Option<&str>,
) -> Result<Vec<u8>, Failure> {
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let (word, roles) = match reader {
        Reader::Dsl => ("dsl", READS_DSL_REPORT),
        Reader::It => ("it", READS_IT_REPORT),
    };
    let names = names.map(crate::hold::reason).transpose()?;
    let roles = if names.is_some() { person::READS_PERSON } else { roles };
    let subject = subject_words(&[
        ("for", Some(word)),
        ("since", since),
        ("with names, reason", names.as_deref()),
    ]);
    // The record of the look holds all of the reason.
    if subject.chars().count() > MAX_SUBJECT_CHARS {
        return Err(Failure::usage("the reason is too long for the record of this look")
            .fix(format!("say it in {MAX_SUBJECT_CHARS} characters")));
    }
    // Before the look, which says that the week was read.
    let clock = policy.clock();
    let made_at = now();
    let asked = clock.range(since.unwrap_or("last week"), made_at).map_err(from_time_error)?;
    let range = whole_days(clock, asked);
    look(school, policy, who, roles, "report weekly", &subject).await?;
    note!("range: {} to {}", clock.show(range.0), clock.show(range.1));
    // What a killed daemon left, or a running one has just recorded, belongs into the sums.
    drop(log::open(school).await?);
    let change_log = school.change_log().await?;
    let changes = change_log.changes().await.map_err(from_append_error)?;
    let entries = change_log.entries_after(0).await.map_err(from_append_error)?;
    let before = range_before(clock, range);
    let themes = match reader {
        Reader::Dsl => Some(themes::Themes::read(school, &snapshot, range).await?),
        // Who looked for what is no business of the technician.
        Reader::It => None,
    };
    let called = Called::new(&school.config.state, clock, range, names.is_some())?;
    let week = Week {
        policy,
        called,
        themes,
        range,
        made_at,
        figures: figures(school, &snapshot, range).await?,
        before: figures(school, &snapshot, before).await?,
        changes: &changes,
        entries: &entries,
        lists: list_ages(school, &change_log).await?,
        log_bytes: folder_bytes(&school.config.state.join("access")),
        running: health::is_running(&school.config.state),
        authority: crate::inspect::has_authority(school),
        told: unread::Told::of(policy, &school.config),
        checkpoint: crate::audit::standing(school, health::is_running(&school.config.state)).last,
    };
    Ok(match format {
        ReportFormat::Html => week.document(reader).html().into(),
        ReportFormat::Pdf => week.document(reader).pdf()?,
        ReportFormat::Md => week.document(reader).markdown().into(),
        ReportFormat::Csv => week.document(reader).csv().into(),
        ReportFormat::Json => crate::output::json_text(format!("{:#}\n", week.json())).into(),
    })
}

async fn figures(
    school: &School,
    snapshot: &Snapshot,
    (from, until): (UnixMillis, UnixMillis),
) -> Result<Figures, Failure> {
    let policy = &snapshot.policy;
    let clock = policy.clock();
    let summary = Summary::read(&school.config.state, clock.day(from), clock.day(until))
        .await
        .map_err(log::from_query_error)?;
    let title = |name: String| {
        let category = policy.catalogue().id(&name).and_then(|id| policy.catalogue().get(id));
        category.map_or(name, |category| category.title.clone())
    };
    let seen = Seen::total(summary.seen.values());
    // A connection that was looked into stands here by the requests inside it.
    let depths = Depth::ALL.map(|depth| {
        let requests = match depth {
            Depth::Plain => seen.plain,
            Depth::Name => seen.by_name,
            Depth::Page => seen.inside,
        };
        (depth.as_str().to_owned(), requests)
    });
    Ok(Figures {
        requests: summary.requests.total(),
        blocked: summary.requests.blocked,
        visits: summary.visits.total(),
        visits_blocked: summary.visits.blocked,
        identified: summary
            .depths
            .iter()
            .filter(|((_, known), _)| *known)
            .map(|(_, count)| count.total())
            .sum(),
        depths: depths.into_iter().filter(|(_, requests)| *requests > 0).collect(),
        https: seen.into(),
        https_levels: policy
            .levels()
            .iter()
            .filter_map(|(_, level)| {
                let seen = summary.seen.get(&level.name)?;
                Some((level.name.clone(), Https::from(*seen)))
            })
            .filter(|(_, https)| https.connections() + https.refused > 0)
            .collect(),
        categories: summary
            .blocked_categories()
            .into_iter()
            .filter(|(_, blocked)| *blocked > 0)
            .map(|(name, blocked)| (title(name), blocked))
            .collect(),
        reasons: blocked::reasons(&summary),
        tries: tries::Tries::of(&summary),
        people: blocked::people(&summary, title),
        hosts: summary
            .top_sites(Verdict::Block, 50)
            .into_iter()
            .filter(|(_, blocked)| *blocked > 0)
            .map(|(host, blocked)| match is_locked_site(snapshot, &host) {
                true => (log::hidden_host(&host), blocked),
                false => (host, blocked),
            })
            .collect(),
        bytes_down: summary.bytes_down,
    })
}

/// Whether a site is listed as illegal content: a report never names it.
pub(crate) fn is_locked_site(snapshot: &Snapshot, host: &str) -> bool {
    rules::host::Host::parse(host).is_ok_and(|host| {
        let locked = snapshot.policy.catalogue().locked();
        !snapshot.index.categories(&host, None).intersection(locked).is_empty()
    })
}

/// Each list with its age.
pub(crate) async fn list_ages(
    school: &School,
    log: &ledger::changes::ChangeLog,
) -> Result<Vec<ListAge>, Failure> {
    let lists = Lists::new(&school.config, log).status().await.map_err(Failure::fault)?;
    Ok(lists
        .into_iter()
        .map(|list| ListAge {
            taken_in: list.info.as_ref().map(|info| info.imported_at.0),
            held: list.lineage.held.is_some(),
            shipped: matches!(list.source.origin, ListOrigin::Builtin(_)),
            category: list.source.category.clone(),
            name: list.source.name,
        })
        .collect())
}

/// Sites that were allowed in the last week, with how many requests each.
pub(crate) async fn seen_last_week(
    school: &School,
    snapshot: &Snapshot,
) -> Result<Vec<(String, u64)>, Failure> {
    let clock = snapshot.policy.clock();
    let (first, after) = last_days(clock, now(), WEEK_DAYS);
    let summary =
        Summary::read(&school.config.state, first, after).await.map_err(log::from_query_error)?;
    Ok(summary.top_sites(Verdict::Allow, MAX_SEEN_SITES))
}

async fn changes(
    school: &School,
    who: &WhoArgs,
    format: ReportFormat,
    since: Option<&str>,
) -> Result<Vec<u8>, Failure> {
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let subject = subject_words(&[("since", since)]);
    look(school, policy, who, READS_CHANGES, "report changes", &subject).await?;
    let log = school.change_log().await?;
    let rows = changes_log::read(policy.clock(), &log, since).await?;
    let headings: Vec<&str> = changes_log::COLUMNS.iter().map(|column| column.title).collect();
    let table = Table::new(&headings, rows.into_iter().map(|row| row.cells.to_vec()).collect());
    let page = |table: Table| Document {
        title: format!("{}: Filtering Change Log", policy.school()),
        subtitle: format!("Made {}.", policy.clock().show(now())),
        headline: String::new(),
        sections: vec![Section {
            sentences: table
                .rows
                .is_empty()
                .then(|| "No changes.".to_owned())
                .into_iter()
                .collect(),
            table: Some(table),
            ..Section::default()
        }],
        footer: Vec::new(),
        landscape: true,
        one_page: false,
    };
    Ok(match format {
        ReportFormat::Html => page(table).html().into(),
        ReportFormat::Pdf => page(table).pdf()?,
        ReportFormat::Md => page(table).markdown().into(),
        ReportFormat::Csv => plain_csv(&table).into(),
        ReportFormat::Json => plain_json(&table).into(),
    })
}
