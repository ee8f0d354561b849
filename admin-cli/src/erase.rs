//! `retention erase`: what one person's requests say goes, for a right to erasure or a name that was logged
//! by mistake.
//!
//! It cannot be undone, so that two people do it: one asks with a reason, another types the name and carries
//! it out. Of the person the change log gets a pseudonym alone.

use crate::args::{ChangeArgs, EraseCommand, PrintArgs, WhoArgs};
use crate::failure::{Exit, Failure};
use crate::hold;
use crate::output::{Cell, Column, Sheet, visible};
use crate::report::person::names_in;
use crate::retention::{from_error, order, tell};
use crate::school::{
    Acting, School, from_append_error, is_one_person, not_yet, now, whom_else_to_ask,
};
use crate::who::{look, person, signed};
use jiff::Span;
use jiff::civil::Date;
use ledger::changes::ChangeLog;
use ledger::pseudonym::Pseudonyms;
use ledger::query::Filter;
use ledger::retention::{KEPT_OPEN_DAYS, Outcome, Why};
use rules::access::Role;
use rules::change::{Event, LAPSE_SCHOOL_DAYS, same_person};
use rules::erasure::{ErasureId, Erasures};

/// Who asks for an erasure, and carries out what another has asked for.
const MAY_ERASE_PERSON: &[Role] = &[Role::Dsl, Role::Head];

/// Who sees what was asked for.
const READS_ERASURES: &[Role] = &[Role::Dsl, Role::Head, Role::Auditor];

/// Most characters of a name.
const LONGEST_NAME: usize = 200;

/// What the pseudonyms of erasures are for.
const SCOPE: &str = "erasure";

const COLUMNS: &[Column] = &[
    Column { key: "erasure", title: "Erasure", gives_way: 0 },
    Column { key: "person", title: "Person", gives_way: 1 },
    Column { key: "standing", title: "Standing", gives_way: 0 },
    Column { key: "asked", title: "Asked", gives_way: 2 },
    Column { key: "by", title: "By", gives_way: 2 },
    Column { key: "reason", title: "Reason", gives_way: 3 },
    Column { key: "rows", title: "Erased", gives_way: 0 },
    Column { key: "done_by", title: "Carried out by", gives_way: 1 },
    Column { key: "done", title: "Finished", gives_way: 3 },
];

/// Runs a `retention erase` command.
pub(crate) async fn run(school: &School, command: &EraseCommand) -> Result<Exit, Failure> {
    match command {
        EraseCommand::Ask { name, reason, change } => ask(school, name, reason, change).await,
        EraseCommand::List { who, print } => list(school, who, print).await,
        EraseCommand::CarryOut { id, person, change } => {
            carry_out(school, id, person, change).await
        }
    }
}

/// A pupil's name as the log may have it.
fn name(text: &str) -> Result<&str, Failure> {
    let text = text.trim();
    match text.is_empty() || text.chars().count() > LONGEST_NAME {
        true => Err(Failure::usage("that is no user's name").fix("write it as the log has it")),
        false => Ok(text),
    }
}

fn pseudonym(school: &School, name: &str) -> Result<String, Failure> {
    Ok(Pseudonyms::open(&school.config.state).map_err(Failure::fault)?.long(SCOPE, name))
}

/// Those asked for, with how many entries of the change log were read for them.
async fn erasures(log: &ChangeLog) -> Result<(Erasures, u64), Failure> {
    let entries = log.entries_after(0).await.map_err(from_append_error)?;
    let size = entries.last().map_or(0, |entry| entry.sequence + 1);
    Ok((Erasures::of(&entries), size))
}

async fn ask(school: &School, of: &str, why: &str, change: &ChangeArgs) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let log = school.change_log().await?;
    let by = person(school, &log, change).await?;
    let acting = Acting::new(&log, &by, "retention erase ask".to_owned(), change);
    acting.require(policy, MAY_ERASE_PERSON).await?;
    let (name, reason) = (name(of)?, hold::reason(why)?);
    if names_in(&reason, name) {
        return Err(Failure::usage(
            "the reason names the person, and would stay in the change log",
        )
        .fix("say why without the name, such as: parents' letter of 3 March"));
    }
    let pseudonym = pseudonym(school, name)?;
    let (erasures, size) = erasures(&log).await?;
    let open = erasures
        .all
        .values()
        .find(|erasure| erasure.person == pseudonym && erasure.standing(now()) == "asked");
    if let Some(open) = open {
        return Err(Failure::usage(format!("{} asks for this already", open.id)));
    }
    let id = erasures.next().ok_or_else(|| Failure::fault("no number is left"))?;
    let lapses = policy.clock().after_school_days(now(), LAPSE_SCHOOL_DAYS);
    let event = Event::ErasureAsked { id, person: pseudonym, reason, lapses };
    acting
        .append(|changes| match changes.size == size {
            true => Ok(vec![(by.clone(), event)]),
            false => Err(hold::moved()),
        })
        .await?;
    let would = if change.dry_run { "would be " } else { "" };
    say!("{id}  {would}asked: erase what the requests of {} say", visible(name));
    let fitting = Filter { user: Some(name.to_owned()), ..Filter::default() };
    hold::tell_fitting(school, &snapshot, &fitting).await?;
    say!("  next  another person: schoolgate retention erase carry-out {id} --person NAME");
    if let Some(lapses) = lapses {
        say!("  lapses  {}", policy.clock().show(lapses));
    }
    Ok(Exit::Ok)
}

async fn list(school: &School, who: &WhoArgs, print: &PrintArgs) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    look(school, policy, who, READS_ERASURES, "retention erase list", "").await?;
    let log = school.change_log().await?;
    let (erasures, _) = erasures(&log).await?;
    let (clock, now) = (policy.clock(), now());
    let mut sheet = Sheet::stdout(print.format(), COLUMNS)?;
    for erasure in erasures.all.values() {
        let done = erasure.done.as_ref();
        sheet.row(&[
            Cell::text(erasure.id.to_string()),
            Cell::text(&erasure.person),
            Cell::text(erasure.standing(now)),
            Cell::new(clock.show(erasure.at), clock.rfc3339(erasure.at)),
            Cell::text(&erasure.by),
            Cell::text(&erasure.reason),
            Cell::text(erasure.rows.to_string()),
            Cell::maybe(done.map(|done| done.0.clone())),
            Cell::maybe(done.map(|done| clock.show(done.1))),
        ])?;
    }
    if sheet.finish()? == 0 {
        note!("no erasures were asked for");
    }
    Ok(Exit::Ok)
}

async fn carry_out(
    school: &School,
    id: &str,
    of: &str,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let id = ErasureId::parse(id).ok_or_else(|| {
        Failure::usage(format!("\"{}\" is no erasure; one is written E-0001", visible(id)))
    })?;
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let log = school.change_log().await?;
    let by = person(school, &log, change).await?;
    let acting = Acting::new(&log, &by, format!("retention erase carry-out {id}"), change);
    acting.require(policy, MAY_ERASE_PERSON).await?;
    let name = name(of)?;
    let (erasures, _) = erasures(&log).await?;
    let Some(erasure) = erasures.all.get(&id) else {
        return Err(Failure::not_found(format!("nobody asked for {id}"))
            .fix("see the numbers with: schoolgate retention erase list"));
    };
    if same_person(&erasure.by, &by) {
        let failure =
            Failure::not_permitted(format!("you asked for {id}, so you cannot carry it out"))
                .fix(whom_else_to_ask(policy, MAY_ERASE_PERSON, &[by.as_str()]));
        return Err(acting.refused(failure).await);
    }
    if is_one_person(&log.changes().await.map_err(from_append_error)?, &erasure.by, &by) {
        let failure = not_yet(&format!("carry out {id}"), &erasure.by);
        return Err(acting.refused(failure).await);
    }
    match erasure.standing(now()) {
        "asked" => {}
        "lapsed" => {
            return Err(Failure::usage(format!("{id} has lapsed")).fix(
                "have it asked for again: schoolgate retention erase ask NAME --reason TEXT",
            ));
        }
        _ => return Err(Failure::usage(format!("{id} was carried out"))),
    }
    if pseudonym(school, name)? != erasure.person {
        if is_from_before_a_restore(&log, id).await? {
            return Err(from_before_a_restore(id, &log, &by).await?);
        }
        // Whose it is can be found out by trying: each try is an entry, also one that would change nothing.
        let why = format!("{id} is of another person than the one named");
        let event = Event::ActionRefused { action: format!("retention erase carry-out {id}"), why };
        log.append(now(), &by, event).await.map_err(from_append_error)?;
        return Err(Failure::usage(format!("{id} is of another person"))
            .fix("type the name as it was given when it was asked for"));
    }
    if change.dry_run {
        // It tells what there is of a person.
        let (what, subject) = ("retention erase carry-out --dry-run".to_owned(), id.to_string());
        log.append(now(), &by, Event::Looked { what, subject }).await.map_err(from_append_error)?;
    }
    // What a running filter has just recorded belongs to it.
    drop(crate::log::open(school).await?);
    let order = order(policy, &by, change.dry_run);
    let outcome =
        ledger::retention::erase_person(&school.config.state, &log, order, (id, name, erasure.at))
            .await;
    let outcome = outcome.map_err(from_error)?;
    tell(&outcome, change.dry_run)?;
    if outcome.alerts > 0 {
        let are = if change.dry_run { "would be" } else { "are" };
        note!("{} names and notes of alerts {are} erased too", outcome.alerts);
    }
    if outcome.parts.is_empty() && outcome.kept.is_empty() {
        note!("no records of this person are left");
    }
    if !outcome.kept.is_empty() {
        note!(
            "{id} stays open: carry out the rest with: schoolgate retention erase carry-out {id} \
             --person NAME{}",
            signed(&by)
        );
        if let Some(day) = day_to_come_again(&outcome) {
            note!(
                "  when  from {} on, once two later days have records",
                day.strftime("%a %-d %b %Y")
            );
            // One of which something was erased stays open for as long as that takes.
            let has_begun = erasure.rows > 0 || (!outcome.parts.is_empty() && !change.dry_run);
            if let Some(lapses) = erasure.lapses.filter(|_| !has_begun) {
                note!(
                    "        it lapses {}, and is then to be asked for again",
                    policy.clock().show(lapses)
                );
            }
        }
    }
    note!(
        "the person's row among the users, entries of the change log and backups are not touched: \
         schoolgate user remove; docs/log.md"
    );
    Ok(Exit::Ok)
}

/// The first day on which all the days can go that stayed because they were too new; `None`: none did.
fn day_to_come_again(outcome: &Outcome) -> Option<Date> {
    let open = outcome.kept.iter().filter(|(_, why)| *why == Why::Open).map(|(day, _)| *day);
    open.max()?.checked_add(Span::new().days(KEPT_OPEN_DAYS)).ok()
}

/// Whether this state was brought back from a backup after an erasure was asked for: its pseudonym was then
/// made by a key that is in no backup.
async fn is_from_before_a_restore(log: &ChangeLog, id: ErasureId) -> Result<bool, Failure> {
    let entries = log.entries_after(0).await.map_err(from_append_error)?;
    let place =
        |is_it: &dyn Fn(&Event) -> bool| entries.iter().rposition(|entry| is_it(&entry.event));
    let asked =
        place(&|event| matches!(event, Event::ErasureAsked { id: asked, .. } if *asked == id));
    let restored = place(&|event| matches!(event, Event::BackupRestored { .. }));
    Ok(restored > asked)
}

/// Records the try, and says that nobody can tell any more whose erasure it is.
async fn from_before_a_restore(
    id: ErasureId,
    log: &ChangeLog,
    by: &str,
) -> Result<Failure, Failure> {
    let why = format!(
        "{id} was asked for before this school was brought back from a backup, and whose it is cannot be told \
         any more: the key of its pseudonym is in no backup"
    );
    let action = format!("retention erase carry-out {id}");
    let event = Event::ActionRefused { action, why: why.clone() };
    log.append(now(), by, event).await.map_err(from_append_error)?;
    Ok(Failure::usage(why)
        .fix("have it asked for again, for each person: schoolgate retention erase ask NAME --reason TEXT"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use rules::hold::HoldId;

    #[test]
    fn who_carries_out_too_early_is_told_the_first_day_on_which_all_can_go() {
        let kept = |kept: &[(Date, Why)]| Outcome { kept: kept.to_vec(), ..Outcome::default() };
        let (old, new) = (date(2026, 11, 26), date(2026, 11, 28));
        let open = kept(&[(old, Why::Open), (new, Why::Open)]);
        assert_eq!(day_to_come_again(&open), Some(date(2026, 12, 2)));
        let held = kept(&[(new, Why::Held(HoldId(1)))]);
        assert_eq!(day_to_come_again(&held), None, "no day ends a hold");
    }
}
