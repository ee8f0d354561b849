//! `inspect`: how far the filter looks into https, and asking it to look into what is private.

use crate::args::{ChangeArgs, InspectCommand};
use crate::check::{look_at, subject};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Format, Sheet, visible};
use crate::requests;
use crate::school::{Acting, School, from_change_error, moment, now};
use crate::who::{READS_LOG, look, person, subject_words};
use ledger::changes::ChangeLog;
use proxy::authority::{Standing, Store};
use proxy::snapshot::Snapshot;
use rules::access::{Access, Identity, Role};
use rules::category::CategorySet;
use rules::change::{Event, InspectWhat, ask_inspect};
use rules::host::Host;
use rules::inspect::{Inspect, InspectReason, Inspection, group, groups};
use rules::policy::Policy;
use rules::site::Site;
use rules::target::Scheme;
use rules::unblock::UnblockId;

const SHOW_COLUMNS: &[Column] = &[
    Column { key: "url", title: "Address", gives_way: 0 },
    Column { key: "inspect", title: "Looks into", gives_way: 0 },
    Column { key: "because", title: "Because", gives_way: 0 },
    Column { key: "level", title: "Level", gives_way: 1 },
    Column { key: "categories", title: "Categories", gives_way: 2 },
    Column { key: "authority", title: "Authority", gives_way: 3 },
];

const LIST_COLUMNS: &[Column] = &[
    Column { key: "entry", title: "Entry", gives_way: 0 },
    Column { key: "inspect", title: "Looks into", gives_way: 0 },
    Column { key: "from", title: "From", gives_way: 1 },
    Column { key: "reason", title: "Reason", gives_way: 2 },
    Column { key: "source", title: "", gives_way: 3 },
    Column { key: "unverified", title: "", gives_way: 4 },
];

/// Runs an `inspect` command.
pub(crate) async fn run(school: &School, command: InspectCommand) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    match command {
        InspectCommand::Show { url, as_whom, who, print } => {
            look_at(school, &snapshot, &who, "inspect show", &as_whom).await?;
            show(school, &snapshot, &url, &as_whom, print.format())
        }
        InspectCommand::List { print } => list(&snapshot, print.format()),
        InspectCommand::Learned { since, all, who, print } => {
            let subject = subject_words(&[("since", Some(&since))]);
            let policy = &snapshot.policy;
            look(school, policy, &who, READS_LOG, "inspect learned", &subject).await?;
            crate::inspect_learned::run(school, &snapshot, &since, all, print.format()).await
        }
        InspectCommand::Request { what, until, from, reason, change } => {
            let log = school.change_log().await?;
            let span = (from.as_deref(), until.as_str());
            request(school, &snapshot, &log, &what, span, &reason, &change).await
        }
    }
}

/// How far the filter looks into a host by name, for somebody.
pub(crate) fn of_host(
    snapshot: &Snapshot,
    who: &Identity,
    host: &Host,
    port: u16,
    categories: CategorySet,
    at: rules::time::UnixMillis,
) -> Inspection {
    let access = Access { who, scheme: Scheme::Tunnel, host, port, path: None, categories };
    let lifts = snapshot.changes.privacy_lifts(at);
    snapshot.policy.inspection_with(&access, &lifts, at)
}

/// Why the filter looks so far, for people.
pub(crate) fn because(policy: &Policy, level: &str, inspection: Inspection) -> String {
    let rule = |id| {
        let rule = policy.rule(id);
        format!("{} ({})", rule.text, rule.place)
    };
    let name = |id| policy.catalogue().name(id);
    match inspection.because {
        InspectReason::Level => format!("level {level}"),
        InspectReason::Default => format!("no `inspect` for level {level} in the policy"),
        InspectReason::Category(id) => {
            policy.inspect_rule(id).map_or_else(|| name(id).to_owned(), rule)
        }
        InspectReason::Site(id) => rule(id),
        InspectReason::Group(id) => match group(id) {
            Some(group) => format!("shipped group {}: {}", group.name, group.reason),
            None => "a shipped group".to_owned(),
        },
        InspectReason::Privacy(id) => {
            format!("{} is private; only an authorised request changes that", name(id))
        }
        InspectReason::Change(id) => format!("authorised by {id}, though it is private"),
    }
}

/// What a mode means.
fn meaning(mode: Inspect) -> &'static str {
    match mode {
        Inspect::Page => "every page is seen, decided and recorded",
        Inspect::Name => "the name of the site is seen, and nothing inside",
        Inspect::Never => {
            "the name of the site is seen, and nothing inside; the school's certificate is never shown"
        }
    }
}

fn show(
    school: &School,
    snapshot: &Snapshot,
    url: &str,
    as_whom: &str,
    format: Format,
) -> Result<Exit, Failure> {
    let policy = &snapshot.policy;
    let (target, _) = rules::target::parse_typed(url)
        .map_err(|error| Failure::usage(format!("\"{url}\": {error}")))?;
    let who = subject(snapshot, as_whom)?;
    let level = &policy.levels().get(who.level).name;
    let categories = snapshot.categories(&target.host, None);
    let names = policy.catalogue().names(categories);
    let inspection = of_host(snapshot, &who, &target.host, target.port, categories, now());
    let because = because(policy, level, inspection);
    let has_authority = has_authority(school);
    if format != Format::Table {
        let mut sheet = Sheet::stdout(format, SHOW_COLUMNS)?;
        sheet.row(&[
            Cell::text(url),
            Cell::text(inspection.mode.as_str()),
            Cell::text(because),
            Cell::text(level),
            Cell::list(&names),
            Cell::text(if has_authority { "yes" } else { "no" }),
        ])?;
        sheet.finish()?;
        return Ok(Exit::Ok);
    }
    let word = inspection.mode.as_str();
    say!("{word}  {}  {}", visible(target.host.as_str()), visible(level));
    say!("  means    {}", meaning(inspection.mode));
    say!("  because  {}", visible(&because));
    say!("  listed   {}", names.join(", "));
    if target.scheme == Scheme::Http {
        say!("  http     is never encrypted: every page is seen whatever is said here");
    }
    if inspection.mode == Inspect::Page && !has_authority {
        say!("  for now  the name alone, until there is an authority: schoolgate ca init");
    }
    if let InspectReason::Privacy(_) = inspection.because {
        say!(
            "  request  schoolgate inspect request {} --until WHEN --reason TEXT --by NAME",
            visible(target.host.as_str())
        );
    }
    Ok(Exit::Ok)
}

/// Whether the school has made its certificate authority, without which nothing is looked into.
pub(crate) fn has_authority(school: &School) -> bool {
    let entries = Store::of_state(&school.config.state).entries().unwrap_or_default();
    entries.iter().any(|entry| entry.standing == Standing::Signs)
}

/// Everything that is not looked into, the shipped and the school's own.
fn list(snapshot: &Snapshot, format: Format) -> Result<Exit, Failure> {
    let policy = &snapshot.policy;
    let catalogue = policy.catalogue();
    let mut sheet = Sheet::stdout(format, LIST_COLUMNS)?;
    let mut row = |entry: &str, mode: &str, from: &str, reason: &str, source: &str, open: bool| {
        sheet.row(&[
            Cell::text(entry),
            Cell::text(mode),
            Cell::text(from),
            Cell::text(reason),
            Cell::text(source),
            Cell::text(if open { "yes" } else { "no" }),
        ])
    };
    let never = Inspect::Never.as_str();
    let lifts = snapshot.changes.unblocks.values().filter(|it| {
        matches!(it.kind, rules::change::RequestKind::Inspect(_))
            && requests::is_in_force(it.state(now()))
    });
    for lift in lifts {
        let from = format!("request {}", lift.id);
        row(&lift.site, Inspect::Page.as_str(), &from, &lift.reason, &lift.requested_by, false)?;
    }
    for id in catalogue.privacy().iter() {
        let reason = catalogue.get(id).map_or("", |category| category.rationale.as_str());
        let entry = format!("category:{}", catalogue.name(id));
        row(&entry, never, "privacy", reason, "shipped", false)?;
    }
    for line in policy.inspect_sites() {
        let place = &policy.rule(line.rule).place;
        row(&line.site.to_string(), line.inspect.as_str(), place, &line.reason, "", false)?;
    }
    for (category, mode, rule) in policy.inspect_categories() {
        let entry = format!("category:{}", catalogue.name(*category));
        row(&entry, mode.as_str(), &policy.rule(*rule).place, "", "", false)?;
    }
    for group in groups() {
        for host in &group.hosts {
            row(host, never, &group.name, &group.reason, &group.source, group.unverified)?;
        }
    }
    sheet.finish()?;
    Ok(Exit::Ok)
}

async fn request(
    school: &School,
    snapshot: &Snapshot,
    log: &ChangeLog,
    what: &str,
    (from, until): (Option<&str>, &str),
    reason: &str,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let policy = &snapshot.policy;
    let by = person(school, log, change).await?;
    let acting = Acting::new(log, &by, format!("inspect request {what}"), change);
    let (what, categories) = subject_of(snapshot, what)?;
    let (clock, at) = (policy.clock(), now());
    let from = from.map_or(Ok(at), |text| moment(clock, text, false))?;
    let until = moment(clock, until, true)?;
    let mut id = UnblockId(0);
    acting
        .append(|changes| {
            let asked = ask_inspect(
                changes,
                policy,
                &by,
                what.clone(),
                categories,
                from,
                until,
                reason,
                at,
            );
            let event = asked.map_err(|error| from_change_error(error, policy, &Role::ALL))?;
            if let Event::InspectAsked { id: new, .. } = &event {
                id = *new;
            }
            Ok(vec![(by.clone(), event)])
        })
        .await?;
    let would = if change.dry_run { "would be " } else { "" };
    say!("{id}  look into {} {would}asked for", visible(&what.to_string()));
    requests::print_asked(policy, id, (from, until), &by)
}

/// A category of the school, or a site with its categories.
fn subject_of(snapshot: &Snapshot, text: &str) -> Result<(InspectWhat, CategorySet), Failure> {
    let catalogue = snapshot.policy.catalogue();
    let name = text.strip_prefix("category:").unwrap_or(text).trim();
    if catalogue.id(name).is_some() {
        return Ok((InspectWhat::Category(name.to_owned()), CategorySet::EMPTY));
    }
    let site = Site::parse(text).map_err(|error| {
        let failure = Failure::usage(error.to_string());
        match catalogue.nearest(name) {
            Some(near) => failure.fix(format!("did you mean the category {near}?")),
            None => failure,
        }
    })?;
    let categories = snapshot.categories(site.host(), site.path());
    Ok((InspectWhat::Site(site.to_string()), categories))
}
