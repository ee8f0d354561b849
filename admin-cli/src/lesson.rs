//! `lesson`: a site opened for a class by its teacher, at once where the policy holds a standing yes to
//! it, else by a request like any other.

use crate::args::{ChangeArgs, LessonCommand};
use crate::block::unknown_group;
use crate::check;
use crate::companions::{self, Companions};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Format, Sheet, visible};
use crate::requests;
use crate::school::{Acting, School, from_change_error, from_change_error_for, moment, now};
use crate::unblock::unblock_id;
use crate::who::{READS_REQUESTS, look, person};
use crate::words;
use proxy::snapshot::Snapshot;
use rules::access::{Access, Identity, Role};
use rules::change::{
    ChangeError, Event, Lesson, RequestKind, UnblockState, closing_roles, revoke_unblock,
    start_lesson,
};
use rules::decide::{Decision, Verdict};
use rules::host::Host;
use rules::site::Site;
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::unblock::{Scope, UnblockId};
use std::sync::Arc;

/// What lasts at most so long, for a class, is a lesson: a school day, in milliseconds.
const LESSON_MILLIS: i64 = 24 * 3_600_000;

const COLUMNS: &[Column] = &[
    Column { key: "id", title: "Lesson", gives_way: 0 },
    Column { key: "state", title: "State", gives_way: 0 },
    Column { key: "class", title: "Class", gives_way: 0 },
    Column { key: "site", title: "Site", gives_way: 0 },
    Column { key: "until", title: "Until", gives_way: 0 },
    Column { key: "by", title: "By", gives_way: 1 },
    Column { key: "authorised_by", title: "Authorised by", gives_way: 2 },
    Column { key: "reason", title: "Reason", gives_way: 3 },
];

/// Runs a `lesson` command.
pub(crate) async fn run(school: &School, command: LessonCommand) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    match command {
        LessonCommand::Start { class, site, until, reason, change } => {
            let wanted = Wanted { class: &class, site: &site, until: &until, reason };
            start(school, &snapshot, wanted, &change).await
        }
        LessonCommand::List { who, print } => {
            look(school, &snapshot.policy, &who, READS_REQUESTS, "lesson list", "").await?;
            list(school, &snapshot, print.format()).await
        }
        LessonCommand::End { id, reason, change } => {
            end(school, &snapshot, unblock_id(&id)?, &reason, &change).await
        }
    }
}

struct Wanted<'a> {
    class: &'a str,
    site: &'a str,
    until: &'a str,
    reason: Option<String>,
}

async fn start(
    school: &School,
    snapshot: &Snapshot,
    wanted: Wanted<'_>,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let policy = &snapshot.policy;
    let clock = policy.clock();
    let log = school.change_log().await?;
    let by = person(school, &log, change).await?;
    let action = format!("lesson start {} --class {}", wanted.site, wanted.class.trim());
    let acting = Acting::new(&log, &by, action, change);
    // Asking checks it too; who has no role is not told here which classes the school has.
    acting.require(policy, &Role::ALL).await?;
    let class = wanted.class.trim().trim_start_matches('@').trim();
    if class.is_empty() || class.chars().any(char::is_control) {
        return Err(Failure::usage("a lesson is for a class").fix("add --class 9C"));
    }
    let site = Site::parse(wanted.site).map_err(|error| Failure::usage(error.to_string()))?;
    let scope = Scope::Group(class.to_owned());
    // A class that nobody is in is a slip: the lesson would open nothing, or wait for a yes to nothing.
    match unknown_group(&scope, snapshot) {
        Some([what, fix]) if !change.yes => {
            return Err(Failure::usage(what).fix(format!("{fix}; or all the same: --yes")));
        }
        Some([what, _]) => note!("warning: {}", visible(&what)),
        None => {}
    }
    let at = now();
    let until = moment(clock, wanted.until, true)?;
    let reason = wanted.reason.unwrap_or_else(|| format!("a lesson with class {class}, by {by}"));
    let lesson = Lesson {
        categories: snapshot.categories(site.host(), site.path()),
        scope,
        site,
        until,
        reason,
    };
    let mut outcome = None;
    let entries = acting
        .append(|changes| {
            let (events, yes) = start_lesson(changes, policy, &by, &lesson, at)
                .map_err(|error| from_change_error(error, policy, &Role::ALL))?;
            outcome = Some(yes);
            Ok(events)
        })
        .await?;
    let id = entries.iter().find_map(|entry| match &entry.event {
        Event::UnblockAsked { id, .. } => Some(*id),
        _ => None,
    });
    let (Some(id), Some(yes)) = (id, outcome) else {
        return Err(Failure::fault("the change log did not keep the lesson"));
    };
    let (site, shown) = (&lesson.site, visible(class));
    let would = if change.dry_run { "would be " } else { "" };
    match yes {
        Ok(yes) => {
            say!("{id}  {site} {would}open for @{shown} until {}", clock.show(until));
            say!("  by        the standing yes of {}", visible(&yes.authorised));
            let names = policy.catalogue().names(yes.categories).join(", ");
            say!("  opens     {names}; what is below it in another closed category stays closed");
            if !change.dry_run {
                say!("  live      within 1 s");
            }
            print_companions(school, snapshot, &lesson, id).await?;
            say!("  end       schoolgate lesson end {id} --by {}", visible(&by));
        }
        Err(why) => {
            say!("{id}  {site} {would}asked for, for @{shown}, until {}", clock.show(until));
            say!("  not open  {}", visible(&why.to_string()));
            say!("  next      {}", requests::next_step(policy, id, &by));
            print_companions(school, snapshot, &lesson, id).await?;
            say!("  undo      schoolgate unblock refuse {id} --reason TEXT --by NAME");
        }
    }
    Ok(Exit::Ok)
}

/// The other hosts that the page needs, and whether the class may see them.
async fn print_companions(
    school: &School,
    snapshot: &Snapshot,
    lesson: &Lesson,
    id: UnblockId,
) -> Result<(), Failure> {
    let Companions { visits, hosts } = companions::of(school, &lesson.site, now()).await?;
    if visits == 0 {
        say!(
            "  needs     not known: nobody has opened it in the last {} days; open it once as staff",
            companions::DAYS
        );
        return Ok(());
    }
    let who = member(snapshot, &lesson.scope);
    let locked = snapshot.policy.catalogue().locked();
    let mut shown = 0;
    for (host, times) in hosts {
        if !snapshot.categories(&host, None).intersection(locked).is_empty() {
            continue;
        }
        let label = if shown == 0 { "  needs   " } else { "          " };
        shown += 1;
        let decision = decide(snapshot, &who, &host);
        let state = match decision.verdict {
            Verdict::Allow => "open".to_owned(),
            Verdict::Block => {
                format!("BLOCKED: {}", words::because(&snapshot.policy, &decision))
            }
        };
        say!(
            "{label}  {}  {} ({times} of {visits} visits)",
            visible(host.as_str()),
            visible(&state)
        );
    }
    match shown {
        0 => say!(
            "  needs     nothing else, by {visits} visits of the last {} days",
            companions::DAYS
        ),
        _ => say!(
            "  from      the log of the last {} days; {id} opens only its site",
            companions::DAYS
        ),
    }
    Ok(())
}

/// A member of the class. Where its members have several levels or none, the strictest.
fn member(snapshot: &Snapshot, scope: &Scope) -> Identity {
    let Scope::Group(class) = scope else {
        return snapshot.policy.identify(None, std::net::Ipv4Addr::UNSPECIFIED.into());
    };
    check::subject(snapshot, &format!("@{class}")).unwrap_or_else(|_| Identity {
        groups: Arc::from([class.clone()]),
        ..snapshot.policy.identify(None, std::net::Ipv4Addr::UNSPECIFIED.into())
    })
}

fn decide(snapshot: &Snapshot, who: &Identity, host: &Host) -> Decision {
    let categories = snapshot.categories(host, None);
    let access = Access { who, scheme: Scheme::Tunnel, host, port: 443, path: None, categories };
    snapshot.decide(&access, now())
}

async fn list(school: &School, snapshot: &Snapshot, format: Format) -> Result<Exit, Failure> {
    let log = school.change_log().await?;
    let changes = log.changes().await.map_err(Failure::fault)?;
    let (clock, at) = (snapshot.policy.clock(), now());
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    for lesson in changes.unblocks.values().rev() {
        let Scope::Group(class) = &lesson.scope else { continue };
        let is_short = lesson.until.0.saturating_sub(lesson.from.0) <= LESSON_MILLIS;
        let state = lesson.state(at);
        let is_due = state.is_in_force() || state == UnblockState::Asked;
        if lesson.kind != RequestKind::Unblock || !is_short || !is_due {
            continue;
        }
        let authorised = lesson.authorised.as_ref().map(|(_, by)| by.as_str());
        sheet.row(&[
            Cell::text(lesson.id.to_string()),
            Cell::text(state.as_str()),
            Cell::text(class),
            Cell::text(&lesson.site),
            Cell::new(clock.show(lesson.until), clock.rfc3339(lesson.until)),
            Cell::text(&lesson.requested_by),
            Cell::maybe(authorised),
            Cell::text(&lesson.reason),
        ])?;
    }
    if sheet.finish()? == 0 {
        note!("no lessons");
    }
    Ok(Exit::Ok)
}

async fn end(
    school: &School,
    snapshot: &Snapshot,
    id: UnblockId,
    reason: &str,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let policy = &snapshot.policy;
    let log = school.change_log().await?;
    let by = person(school, &log, change).await?;
    let acting = Acting::new(&log, &by, format!("lesson end {id}"), change);
    let at: UnixMillis = now();
    let mut site = String::new();
    acting
        .append(|changes| {
            let event = revoke_unblock(changes, policy, id, &by, reason, at).map_err(
                |error: ChangeError| {
                    from_change_error_for(error, policy, &closing_roles(policy), &[&by])
                },
            )?;
            site = changes.unblocks.get(&id).map(|it| it.site.clone()).unwrap_or_default();
            Ok(vec![(by.clone(), event)])
        })
        .await?;
    let would = if change.dry_run { "would be " } else { "" };
    say!("{id}  {} {would}closed again", visible(&site));
    if !change.dry_run {
        say!("  live within 1 s; connections that it had opened are closed");
    }
    Ok(Exit::Ok)
}
