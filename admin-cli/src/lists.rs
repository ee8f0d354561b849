//! `lists`: the age, versions and updates of site lists.

use crate::args::{ChangeArgs, ListsCommand};
use crate::failure::{Exit, Failure};
use crate::log::hidden_host;
use crate::output::{Cell, Column, Format, Sheet, visible};
use crate::report::weekly::{span_words, thousands};
use crate::requests;
use crate::school::{Acting, School, from_append_error, from_change_error, moment, now};
use crate::terminal::Patience;
use crate::who::{READS_LOG, look, machine_account, named, person_or_account};
use ledger::changes::ChangeLog;
use proxy::config::ListOrigin;
use proxy::lists::{Gate, ListError, ListPlan, ListStatus, Lists, Outcome};
use proxy::snapshot::Snapshot;
use rules::access::Role;
use rules::category::Catalogue;
use rules::change::{Event, ask_list};
use rules::policy::Policy;
use std::path::Path;
use std::sync::Arc;

/// Who keeps the lists.
const MAY_KEEP_LISTS: &[Role] = &[Role::It, Role::Dsl];

/// The one change that needs no person.
const UPDATE: &str = "lists update";

/// Entries of each kind that `lists diff` shows.
const DIFF_SAMPLE: usize = 20;

/// Skipped lines of a list that `lists status` shows.
const SKIPPED_SAMPLE: usize = 20;

const STATUS_COLUMNS: &[Column] = &[
    Column { key: "list", title: "List", gives_way: 0 },
    Column { key: "category", title: "Category", gives_way: 1 },
    Column { key: "entries", title: "Entries", gives_way: 0 },
    Column { key: "version", title: "Version", gives_way: 2 },
    Column { key: "age", title: "Looked at", gives_way: 0 },
    Column { key: "state", title: "State", gives_way: 0 },
    // For programs: with these the table is too wide for a terminal.
    Column { key: "skipped", title: "", gives_way: 4 },
    Column { key: "source", title: "", gives_way: 5 },
    Column { key: "licence", title: "", gives_way: 3 },
    Column { key: "skipped_lines", title: "", gives_way: 6 },
];

const DIFF_COLUMNS: &[Column] = &[
    Column { key: "change", title: "Change", gives_way: 0 },
    Column { key: "entry", title: "Entry", gives_way: 0 },
];

/// Runs a `lists` command.
pub(crate) async fn run(school: &School, command: ListsCommand) -> Result<Exit, Failure> {
    let log = school.change_log().await?;
    let lists = Lists::new(&school.config, &log);
    match command {
        ListsCommand::Status { names, print } => {
            let catalogue = proxy::lists::catalogue(&school.config).map_err(from_list_error)?;
            status(&lists, &catalogue, &names, print.format()).await
        }
        ListsCommand::Diff { name, show_locked, who, print } => {
            if show_locked {
                let subject = format!("{name}; addresses of illegal content shown");
                let policy = school.snapshot().await?.policy;
                look(school, &policy, &who, READS_LOG, "lists diff", &subject).await?;
            }
            let catalogue = proxy::lists::catalogue(&school.config).map_err(from_list_error)?;
            diff(&lists, &catalogue, &name, show_locked, print.format()).await
        }
        ListsCommand::Update { names, all, change } => {
            let keeper = Keeper::new(school, &log, &change, UPDATE).await?;
            keeper.update(&lists, &names, all).await
        }
        ListsCommand::Accept { name, reason, review, change } => {
            let keeper =
                Keeper::new(school, &log, &change, &format!("lists accept {name}")).await?;
            let plan = lists.plan_accept(&name, now(), &keeper.gate).await;
            let asked = Asked { reason, review, change: &change };
            keeper.put(&lists, &log, plan.map_err(from_list_error)?, asked).await
        }
        ListsCommand::Rollback { name, reason, review, change } => {
            let keeper =
                Keeper::new(school, &log, &change, &format!("lists rollback {name}")).await?;
            let plan = lists.plan_rollback(&name, &keeper.gate).await;
            let asked = Asked { reason, review, change: &change };
            keeper.put(&lists, &log, plan.map_err(from_list_error)?, asked).await
        }
        ListsCommand::Import { name, path, change } => {
            let keeper =
                Keeper::new(school, &log, &change, &format!("lists import {name}")).await?;
            keeper.import(&lists, &name, &path).await
        }
    }
}

/// Who changes a list, and what its new version is measured against.
struct Keeper {
    by: String,
    gate: Gate,
    policy: Arc<Policy>,
}

/// What is needed besides where a version may open something.
struct Asked<'a> {
    reason: Option<String>,
    review: Option<String>,
    change: &'a ChangeArgs,
}

impl Keeper {
    async fn new(
        school: &School,
        log: &ChangeLog,
        change: &ChangeArgs,
        action: &str,
    ) -> Result<Keeper, Failure> {
        if change.dry_run {
            return Err(Failure::usage(format!("{action} has no --dry-run"))
                .fix("see what waits with: schoolgate lists diff NAME"));
        }
        let snapshot = school.snapshot().await?;
        let policy = Some(&*snapshot.policy);
        let by = match action {
            // The machine's own round, as the timer and the filter itself do it: what would open or
            // close much waits for a person all the same.
            UPDATE if named(change.by.as_deref()).is_none() => machine_account(),
            _ => person_or_account(school, change, log, policy, MAY_KEEP_LISTS, action).await?,
        };
        let gate = gate(school, &snapshot).await?;
        Ok(Keeper { by, gate, policy: snapshot.policy })
    }

    async fn update(
        &self,
        lists: &Lists<'_>,
        names: &[String],
        all: bool,
    ) -> Result<Exit, Failure> {
        // Who names lists wants to hear of each.
        let all = all || !names.is_empty();
        let (mut changed, mut held, mut failed, mut unchanged) = (0, 0, 0, 0);
        let at_work = Patience::new("fetching and comparing lists");
        let done = lists.update(names, &self.by, now(), &self.gate).await;
        drop(at_work);
        let done = done.map_err(from_list_error)?;
        for (name, outcome) in done {
            let is_told = all || !matches!(outcome, Ok(Outcome::Unchanged { .. }));
            let sum = match &outcome {
                Ok(Outcome::Unchanged { .. }) => &mut unchanged,
                Ok(Outcome::Accepted { .. }) => &mut changed,
                Ok(Outcome::Held { .. }) => &mut held,
                Err(_) => &mut failed,
            };
            *sum += 1;
            match outcome {
                Ok(outcome) if is_told => print_outcome(&name, &outcome)?,
                Ok(_) => {}
                Err(error) => {
                    say!("{}: failed", visible(&name));
                    from_list_error(error).print();
                }
            }
        }
        if names.is_empty() {
            let count = changed + held + failed + unchanged;
            let lists = if count == 1 { "list" } else { "lists" };
            say!(
                "{count} {lists}: {changed} changed, {held} held, {failed} failed, {unchanged} unchanged"
            );
        }
        Ok(if held + failed == 0 { Exit::Ok } else { Exit::ProblemsFound })
    }

    /// Puts a version into force that opens nothing; asks for one that may.
    async fn put(
        &self,
        lists: &Lists<'_>,
        log: &ChangeLog,
        plan: ListPlan,
        asked: Asked<'_>,
    ) -> Result<Exit, Failure> {
        let name = plan.what.list.clone();
        let shown = visible(&name);
        if let Some(words) = plan.opening.clone() {
            return self.ask(log, plan, &words, asked).await;
        }
        let rollback = plan.what.rollback;
        let done = lists.put_in_force(plan, &self.by, now()).await.map_err(from_list_error)?;
        match (&done, rollback) {
            (Outcome::Accepted { version, .. }, true) => {
                say!("{shown}: back to {}; live within 1 s", visible(version));
                say!("  undo  schoolgate lists update {shown}, then lists accept {shown}");
            }
            _ => {
                print_outcome(&name, &done)?;
                say!("  undo  schoolgate lists rollback {shown}");
            }
        }
        Ok(Exit::Ok)
    }

    async fn ask(
        &self,
        log: &ChangeLog,
        plan: ListPlan,
        words: &str,
        asked: Asked<'_>,
    ) -> Result<Exit, Failure> {
        let what = &plan.what;
        let counts = format!(
            "{} more and {} fewer entries than in force",
            thousands(what.added),
            thousands(what.removed)
        );
        let Some(reason) = asked.reason else {
            let verb = if what.rollback { "rollback" } else { "accept" };
            return Err(Failure::usage(format!(
                "{} of the list \"{}\" {words} ({counts}); that needs a reason",
                what.version, what.list
            ))
            .fix(format!("schoolgate lists {verb} {} --reason TEXT --by NAME", what.list)));
        };
        let (policy, at) = (&self.policy, now());
        let action = format!("lists accept {}", what.list);
        let acting = Acting::new(log, &self.by, action, asked.change);
        let review = asked.review.map(|text| moment(policy.clock(), &text, true)).transpose()?;
        let mut entries = acting
            .append(|changes| {
                let event = ask_list(changes, policy, what.clone(), &reason, review, at)
                    .map_err(|error| from_change_error(error, policy, &[]))?;
                Ok(vec![(self.by.clone(), event)])
            })
            .await?;
        let Some(Event::ListAsked { id, review, .. }) = entries.pop().map(|it| it.event) else {
            return Err(Failure::fault("the change log did not keep the request"));
        };
        let (name, version) = (visible(&what.list), visible(&what.version));
        say!("{id}  {name}: {version} asked for; it {words} ({counts})");
        requests::print_asked_for_good(policy, id, review, &self.by)
    }

    async fn import(&self, lists: &Lists<'_>, name: &str, path: &Path) -> Result<Exit, Failure> {
        let done = lists.import(name, path, &self.by, now(), &self.gate).await;
        let outcome = done.map_err(from_list_error)?;
        print_outcome(name, &outcome)?;
        Ok(match outcome {
            Outcome::Held { .. } => Exit::ProblemsFound,
            _ => Exit::Ok,
        })
    }
}

/// What a new version is measured against: the snapshot in force, and the sites used last week.
async fn gate(school: &School, snapshot: &Snapshot) -> Result<Gate, Failure> {
    Ok(Gate::new(snapshot, crate::report::seen_last_week(school, snapshot).await?))
}

fn print_outcome(name: &str, outcome: &Outcome) -> Result<(), Failure> {
    let name = visible(name);
    match outcome {
        Outcome::Unchanged { version } => say!("{name}: unchanged ({})", visible(version)),
        Outcome::Accepted { version, entries, added, removed } => say!(
            "{name}: {} in force, {} entries ({} more, {} fewer); live within 1 s",
            visible(version),
            thousands(*entries),
            thousands(*added),
            thousands(*removed)
        ),
        Outcome::Held { version, why } => {
            say!("{name}: {} held", visible(version));
            note!("warning: list \"{name}\" held: {}", visible(why));
            note!("  fix: schoolgate lists diff {name}, then lists accept {name}");
        }
    }
    Ok(())
}

/// Whether nobody needs to see the entries of a list by accident.
fn is_locked(list: &ListStatus, catalogue: &Catalogue) -> bool {
    catalogue.id(&list.source.category).is_some_and(|id| catalogue.locked().contains(id))
}

/// The first lines of a list that were skipped, as `file:line: why: text`; without the text where the
/// list is of illegal content.
fn skipped_lines(list: &ListStatus, catalogue: &Catalogue) -> Vec<String> {
    let locked = is_locked(list, catalogue);
    let files = list.info.iter().flat_map(|info| &info.files);
    let lines = files.flat_map(|file| &file.examples).take(SKIPPED_SAMPLE);
    lines
        .map(|line| match locked {
            true => line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": "),
            false => line.clone(),
        })
        .collect()
}

fn skipped_count(list: &ListStatus) -> Option<u64> {
    list.info.as_ref().map(|info| info.files.iter().map(|file| file.skipped).sum())
}

async fn status(
    lists: &Lists<'_>,
    catalogue: &Catalogue,
    names: &[String],
    format: Format,
) -> Result<Exit, Failure> {
    let at = now();
    let mut all = lists.status().await.map_err(from_list_error)?;
    if let Some(name) = names.iter().find(|name| !all.iter().any(|list| list.source.name == **name))
    {
        return Err(Failure::not_found(format!("no list is called \"{name}\""))
            .fix("see the names with: schoolgate lists status"));
    }
    all.retain(|list| names.is_empty() || names.contains(&list.source.name));
    let mut sheet = Sheet::stdout(format, STATUS_COLUMNS)?;
    let mut below: Vec<(String, String)> = Vec::new();
    for list in &all {
        // A word for the table, all of it for programs and below the table.
        let state = match (&list.error, &list.lineage.held, &list.lineage.accepted) {
            (Some(error), ..) => {
                let told = format!("last look failed: {error}");
                below.push((list.source.name.clone(), told.clone()));
                Cell::new("failed", told)
            }
            (None, Some((version, why)), _) => {
                below.push((list.source.name.clone(), format!("held: {why}")));
                Cell::new("held", format!("{version} held: {why}"))
            }
            (None, None, Some(_)) => Cell::text("in force"),
            (None, None, None) => Cell::new("not taken in", "not taken in yet"),
        };
        let shipped = matches!(list.source.origin, ListOrigin::Builtin(_));
        let age = match list.age_ms(at) {
            _ if shipped => Cell::new("shipped", serde_json::Value::Null),
            Some(ms) => {
                let ms = i64::try_from(ms).unwrap_or(i64::MAX);
                Cell::new(format!("{} ago", span_words(ms)), ms / 1000)
            }
            None => Cell::new("never", serde_json::Value::Null),
        };
        let number = |number: Option<u64>| {
            number.map_or_else(
                || Cell::maybe(None::<String>),
                |number| Cell::new(thousands(number), number),
            )
        };
        let source = match &list.source.origin {
            ListOrigin::Path(path) => path.display().to_string(),
            ListOrigin::Builtin(name) => format!("builtin:{name}"),
            ListOrigin::Url(url) => url.to_string(),
        };
        sheet.row(&[
            Cell::text(&list.source.name),
            Cell::text(&list.source.category),
            number(list.info.as_ref().map(|info| info.entries)),
            Cell::maybe(list.lineage.accepted.as_deref()),
            age,
            state,
            number(skipped_count(list)),
            Cell::text(source),
            Cell::maybe(list.source.licence.as_deref()),
            Cell::list(&skipped_lines(list, catalogue)),
        ])?;
    }
    sheet.finish()?;
    if !names.is_empty() && format == Format::Table {
        for list in &all {
            print_skipped(list, catalogue)?;
        }
    }
    for (name, told) in &below {
        note!("warning: list \"{}\": {}", visible(name), visible(told));
    }
    Ok(if below.is_empty() { Exit::Ok } else { Exit::ProblemsFound })
}

/// Says which lines of a list were skipped, and why.
fn print_skipped(list: &ListStatus, catalogue: &Catalogue) -> Result<(), Failure> {
    let name = visible(&list.source.name);
    let Some(count @ 1..) = skipped_count(list) else {
        say!("{name}: no line was skipped");
        return Ok(());
    };
    let lines = skipped_lines(list, catalogue);
    let shown = match lines.len() as u64 {
        all if all == count => String::new(),
        some => format!("; the first {some}"),
    };
    say!("{name}: {} skipped{shown}", lines_word(count));
    for line in &lines {
        say!("  {}", visible(line));
    }
    Ok(())
}

fn lines_word(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{} lines", thousands(count)) }
}

async fn diff(
    lists: &Lists<'_>,
    catalogue: &Catalogue,
    name: &str,
    show_locked: bool,
    format: Format,
) -> Result<Exit, Failure> {
    let (old, new, difference) =
        lists.diff(name, DIFF_SAMPLE).await.map_err(|error| match error {
            ListError::NothingEarlier { list } => Failure::not_found(format!(
                "list \"{list}\": nothing is held, and there is no earlier version to compare with"
            ))
            .fix("see the versions with: schoolgate lists status"),
            other => from_list_error(other),
        })?;
    let status = lists.status().await.map_err(from_list_error)?;
    let list = status.iter().find(|list| list.source.name == name);
    let hides = !show_locked && list.is_none_or(|list| is_locked(list, catalogue));
    if list.is_none_or(|list| list.lineage.held.is_none()) {
        note!("nothing is held; this is how the version in force differs from the one before");
    }
    let (added, removed) = (thousands(difference.added), thousands(difference.removed));
    note!(
        "{}: {} -> {}: {added} more, {removed} fewer",
        visible(name),
        visible(&old),
        visible(&new)
    );
    let mut sheet = Sheet::stdout(format, DIFF_COLUMNS)?;
    for (word, sample) in
        [("added", &difference.added_sample), ("removed", &difference.removed_sample)]
    {
        for entry in sample {
            let entry = if hides { hidden_host(entry) } else { entry.clone() };
            sheet.row(&[Cell::text(word), Cell::text(entry)])?;
        }
    }
    sheet.finish()?;
    if difference.added > DIFF_SAMPLE as u64 || difference.removed > DIFF_SAMPLE as u64 {
        note!("the first {DIFF_SAMPLE} of each kind are shown");
    }
    Ok(Exit::Ok)
}

pub(crate) fn from_list_error(error: ListError) -> Failure {
    let what = error.to_string();
    match error {
        ListError::Unknown { .. } => Failure::not_found(what),
        ListError::NothingHeld { .. } | ListError::NothingEarlier { .. } => {
            Failure::not_found(what).fix("see the versions with: schoolgate lists status")
        }
        ListError::Tests { .. } => Failure::new(Exit::ProblemsFound, what),
        ListError::Log(error) => from_append_error(error),
        _ => Failure::fault(what),
    }
}
