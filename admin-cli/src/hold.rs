//! `retention hold`: records that are kept although their time is up.
//!
//! A hold keeps more than the policy says, so it acts at once. Lifting one lets records go, so that
//! another person does it than who made the hold.

use crate::args::{ChangeArgs, HoldCommand, PrintArgs, WhoArgs};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Sheet, visible};
use crate::school::{
    Acting, School, from_append_error, is_one_person, moment, not_yet, whom_else_to_ask,
};
use crate::who::{look, person};
use ledger::changes::ChangeLog;
use ledger::query::Filter;
use proxy::snapshot::Snapshot;
use rules::access::{KnownBy, Role, UserFacts};
use rules::change::{Event, same_person};
use rules::hold::{HoldId, HoldScope, Holds};
use rules::site::Site;
use rules::time::UnixMillis;
use std::sync::Arc;

/// Who makes, sees and lifts holds.
const MAY_HOLD: &[Role] = &[Role::Dsl, Role::Head];

/// Who sees them besides.
const READS_HOLDS: &[Role] = &[Role::Dsl, Role::Head, Role::Auditor];

/// Fewest letters of a reason.
const SHORTEST_REASON: usize = 10;

/// Most characters of a name or a reason.
const LONGEST: usize = 1_000;

const COLUMNS: &[Column] = &[
    Column { key: "hold", title: "Hold", gives_way: 0 },
    Column { key: "keeps", title: "Keeps", gives_way: 0 },
    Column { key: "since", title: "Since", gives_way: 1 },
    Column { key: "by", title: "By", gives_way: 2 },
    Column { key: "reason", title: "Reason", gives_way: 3 },
];

/// Runs a `retention hold` command.
pub(crate) async fn run(school: &School, command: &HoldCommand) -> Result<Exit, Failure> {
    match command {
        HoldCommand::Add { person, site, from, until, reason, change } => {
            let parts = [person, site, from, until].map(Option::as_deref);
            add(school, parts, reason, change).await
        }
        HoldCommand::List { who, print } => list(school, who, print).await,
        HoldCommand::Lift { id, reason, change } => lift(school, id, reason, change).await,
    }
}

/// A reason that says something.
pub(crate) fn reason(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let letters = text.chars().filter(|letter| letter.is_alphanumeric()).count();
    if letters < SHORTEST_REASON || text.chars().count() > LONGEST {
        return Err(Failure::usage("the reason is too short or too long")
            .fix("say in 10 to 1,000 letters who asked for it and why"));
    }
    Ok(text.to_owned())
}

/// The holds in force, with how many entries of the change log were read for them.
async fn holds(log: &ChangeLog) -> Result<(Holds, u64), Failure> {
    let entries = log.entries_after(0).await.map_err(from_append_error)?;
    let size = entries.last().map_or(0, |entry| entry.sequence + 1);
    Ok((Holds::of(&entries), size))
}

/// Somebody else was quicker.
pub(crate) fn moved() -> Failure {
    Failure::fault("somebody else changed the log in the same moment").fix("try again")
}

async fn add(
    school: &School,
    [who, site, from, until]: [Option<&str>; 4],
    why: &str,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let log = school.change_log().await?;
    let by = person(school, &log, change).await?;
    let acting = Acting::new(&log, &by, "retention hold add".to_owned(), change);
    acting.require(policy, MAY_HOLD).await?;
    let reason = reason(why)?;
    let held_person = who.map(str::trim).filter(|name| !name.is_empty());
    if who.is_some() && held_person.is_none_or(|name| name.chars().count() > LONGEST) {
        return Err(Failure::usage("--person is no name").fix("write it as the log has it"));
    }
    let site = site
        .map(|text| Site::parse(text).map_err(|error| Failure::usage(format!("--site: {error}"))));
    let clock = policy.clock();
    let scope = HoldScope {
        person: held_person.map(str::to_owned),
        site: site.transpose()?.map(|site| site.to_string()),
        from: from.map(|text| moment(clock, text, false)).transpose()?,
        until: until.map(|text| moment(clock, text, true)).transpose()?,
    };
    if scope == HoldScope::default() {
        return Err(Failure::usage("a hold of everything for ever keeps more than anybody needs")
            .fix("give --person, --site, --from or --until"));
    }
    if scope.from.zip(scope.until).is_some_and(|(from, until)| until <= from) {
        return Err(Failure::usage("the range ends before it starts"));
    }
    let (holds, size) = holds(&log).await?;
    let next = holds.last.checked_add(1).ok_or_else(|| Failure::fault("no number is left"))?;
    let id = HoldId(next);
    let words = scope.words(&|at| clock.show(at));
    let fitting = Filter {
        user: scope.person.clone(),
        site: scope.site.clone(),
        since: scope.from,
        until: scope.until,
        ..Filter::default()
    };
    acting
        .append(|changes| match changes.size == size {
            true => Ok(vec![(by.clone(), Event::HoldAdded { id, scope, reason })]),
            false => Err(moved()),
        })
        .await?;
    let would = if change.dry_run { "would be " } else { "" };
    say!("{id}  {would}kept: {}", visible(&words));
    // After the hold: what cannot be counted is held all the same.
    tell_fitting(school, &snapshot, &fitting).await?;
    say!("  undo  another person: schoolgate retention hold lift {id} --reason TEXT");
    Ok(Exit::Ok)
}

/// Says how many records fit so far, where that can be counted, and warns of a name that nobody has: a slip
/// would leave the records of the person who was meant as they are.
pub(crate) async fn tell_fitting(
    school: &School,
    snapshot: &Snapshot,
    fitting: &Filter,
) -> Result<(), Failure> {
    let count = count(school, fitting).await;
    match count {
        Some(1) => say!("  fits  1 record so far"),
        Some(count) => say!("  fits  {count} records so far"),
        None => {}
    }
    let Some(name) = fitting.user.as_deref().filter(|name| !is_known(snapshot, name)) else {
        return Ok(());
    };
    let of_name = match count {
        Some(0) => count_of_name(school, name).await,
        count => count,
    };
    warn_of_nobody(snapshot, name, of_name);
    Ok(())
}

/// Warns of a name that no user has, where no record has it either (`None`: they could not be counted).
pub(crate) fn warn_of_nobody(snapshot: &Snapshot, name: &str, of_name: Option<u64>) {
    if of_name.is_none_or(|count| count == 0) && !is_known(snapshot, name) {
        let users = snapshot.users.iter().map(|user| &*user.facts.name);
        let [what, fix] = doubt(name, of_name.is_some(), rules::nearest(name, users));
        note!("warning: {}", visible(&what));
        note!("  fix: {}", visible(&fix));
    }
}

async fn count_of_name(school: &School, name: &str) -> Option<u64> {
    count(school, &Filter { user: Some(name.to_owned()), ..Filter::default() }).await
}

/// How many records fit; `None` where the log cannot be read.
async fn count(school: &School, filter: &Filter) -> Option<u64> {
    let mut log = crate::log::open(school).await.ok()?;
    let visitors = log.visitors(filter).await.ok()?;
    Some(visitors.iter().map(|visitor| visitor.requests).sum())
}

/// Whether a user or a row of `[who]` has this name.
fn is_known(snapshot: &Snapshot, name: &str) -> bool {
    let facts = UserFacts { name: Arc::from(name), ..UserFacts::default() };
    let nowhere = std::net::Ipv4Addr::UNSPECIFIED.into();
    snapshot.users.find(name).is_some()
        || snapshot.policy.identify(Some(&facts), nowhere).known_by == KnownBy::User
}

/// What is said of a name that no user has: a warning and what to do.
fn doubt(name: &str, was_counted: bool, nearest: Option<&str>) -> [String; 2] {
    let no_record = if was_counted { ", and no record has the name" } else { "" };
    let what = format!("no user is called {name}{no_record}: this reaches nobody's records so far");
    let fix = match nearest {
        Some(near) => format!("did you mean {near}?"),
        None => "check the name; names in the log: schoolgate log visitors --since \"this term\""
            .to_owned(),
    };
    [what, fix]
}

async fn list(school: &School, who: &WhoArgs, print: &PrintArgs) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    // A hold names people and why somebody asks for their records.
    look(school, policy, who, READS_HOLDS, "retention hold list", "").await?;
    let log = school.change_log().await?;
    let (holds, _) = holds(&log).await?;
    let clock = policy.clock();
    let moment = |at: UnixMillis| clock.show(at);
    let mut sheet = Sheet::stdout(print.format(), COLUMNS)?;
    for hold in holds.in_force.values() {
        sheet.row(&[
            Cell::text(hold.id.to_string()),
            Cell::text(hold.scope.words(&moment)),
            Cell::new(clock.show(hold.at), clock.rfc3339(hold.at)),
            Cell::text(&hold.by),
            Cell::text(&hold.reason),
        ])?;
    }
    if sheet.finish()? == 0 {
        note!("no holds");
    }
    Ok(Exit::Ok)
}

async fn lift(school: &School, id: &str, why: &str, change: &ChangeArgs) -> Result<Exit, Failure> {
    let id = HoldId::parse(id).ok_or_else(|| {
        Failure::usage(format!("\"{}\" is no hold; a hold is written H-0001", visible(id)))
    })?;
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let log = school.change_log().await?;
    let by = person(school, &log, change).await?;
    let acting = Acting::new(&log, &by, format!("retention hold lift {id}"), change);
    acting.require(policy, MAY_HOLD).await?;
    let reason = reason(why)?;
    let (holds, size) = holds(&log).await?;
    acting
        .append(|changes| {
            if changes.size != size {
                return Err(moved());
            }
            let Some(hold) = holds.in_force.get(&id) else {
                return Err(Failure::not_found(format!("no hold {id} is in force"))
                    .fix("see the numbers with: schoolgate retention hold list"));
            };
            if is_one_person(changes, &hold.by, &by) {
                return Err(not_yet(&format!("lift {id}"), &hold.by));
            }
            if same_person(&hold.by, &by) {
                return Err(Failure::not_permitted(format!(
                    "you made {id}, so you cannot lift it"
                ))
                .fix(whom_else_to_ask(policy, MAY_HOLD, &[by.as_str()])));
            }
            Ok(vec![(by.clone(), Event::HoldLifted { id, reason })])
        })
        .await?;
    let would = if change.dry_run { "would be " } else { "" };
    say!("{id}  {would}lifted; what is over is erased by the next run");
    Ok(Exit::Ok)
}
