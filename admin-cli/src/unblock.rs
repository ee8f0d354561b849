//! `unblock`: a site opened for a lesson, asked for by one person and authorised by another. Requests of
//! every other kind are answered, listed and ended here too.

use crate::args::{ChangeArgs, UnblockCommand, WhoArgs};
use crate::block::{known_scope, numbered};
use crate::changes_log;
use crate::effects::{self, Ready};
use crate::failure::{Exit, Failure};
use crate::in_force::short;
use crate::live_check;
use crate::output::{Cell, Column, Format, Sheet, json_text, visible};
use crate::requests;
use crate::review_due;
use crate::school::{
    Acting, School, from_append_error, from_change_error, from_change_error_for, moment, now,
};
use crate::since::Since;
use crate::tried;
use crate::visits::{self, Visits};
use crate::who::{READS_CHANGES, READS_REQUESTS, look, person, subject_words};
use ledger::changes::ChangeLog;
use proxy::snapshot::Snapshot;
use rules::access::Role;
use rules::change::{
    ChangeError, Changes, Event, Replayed, RequestKind, SignOff, UnblockHistory, UnblockState,
    apply_unblock, authorise_unblock, closing_roles, confirm_unblock, extend_unblock,
    refuse_unblock, require_role, revoke_unblock, wrongly_blocked,
};
use rules::policy::Policy;
use rules::site::Site;
use rules::time::{SchoolClock, UnixMillis};
use rules::unblock::UnblockId;

const COLUMNS: &[Column] = &[
    Column { key: "id", title: "Unblock", gives_way: 0 },
    Column { key: "state", title: "State", gives_way: 0 },
    Column { key: "kind", title: "Kind", gives_way: 0 },
    Column { key: "site", title: "Site", gives_way: 0 },
    Column { key: "for", title: "For", gives_way: 0 },
    Column { key: "from", title: "From", gives_way: 4 },
    Column { key: "until", title: "Until", gives_way: 0 },
    Column { key: "requested_by", title: "Asked by", gives_way: 2 },
    Column { key: "asked_at", title: "Asked", gives_way: 5 },
    Column { key: "authorised_by", title: "Authorised by", gives_way: 1 },
    Column { key: "reason", title: "Reason", gives_way: 3 },
];

/// Runs an `unblock` command.
pub(crate) async fn run(school: &School, command: UnblockCommand) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    let log = school.change_log().await?;
    let desk = Desk { school, snapshot: &snapshot, policy: &snapshot.policy, log: &log };
    match command {
        UnblockCommand::Request { site, scope, until, from, reason, change } => {
            desk.request(&site, &scope, (from.as_deref(), &until), &reason, &change).await
        }
        UnblockCommand::List { state, who, print } => {
            let subject = subject_words(&[("state", state.as_deref())]);
            desk.look(&who, READS_REQUESTS, "unblock list", &subject).await?;
            desk.list(state.as_deref(), print.format()).await
        }
        UnblockCommand::Show { id, who, json } => {
            let id = unblock_id(&id)?;
            desk.look(&who, READS_REQUESTS, "unblock show", &id.to_string()).await?;
            desk.show(id, json).await
        }
        UnblockCommand::Authorise { id, wrongly_blocked, change } => {
            desk.authorise(unblock_id(&id)?, wrongly_blocked, &change).await
        }
        UnblockCommand::Refuse { id, reason, wrongly_blocked, change } => {
            desk.refuse(unblock_id(&id)?, &reason, wrongly_blocked, &change).await
        }
        UnblockCommand::Revoke { id, reason, change } => {
            desk.revoke(unblock_id(&id)?, &reason, &change).await
        }
        UnblockCommand::Extend { id, until, reason, change } => {
            desk.extend(unblock_id(&id)?, &until, &reason, &change).await
        }
        UnblockCommand::Apply { id, change } => desk.apply(unblock_id(&id)?, &change).await,
        UnblockCommand::Confirm { id, note, wrongly_blocked, change } => {
            desk.confirm(unblock_id(&id)?, &note, wrongly_blocked, &change).await
        }
        UnblockCommand::ReviewDue { who, print } => {
            desk.look(&who, READS_REQUESTS, "unblock review-due", "").await?;
            review_due::print(desk.policy, &log, print.format()).await
        }
        UnblockCommand::Log { since, who, print } => {
            let subject = subject_words(&[("since", since.as_deref())]);
            desk.look(&who, READS_CHANGES, "unblock log", &subject).await?;
            changes_log::print(&desk.policy.clock().clone(), &log, since.as_deref(), print.format())
                .await
        }
    }
}

/// When it ends; of what does not end by itself, the day by which it is reviewed.
fn until_words(ends: bool, until: UnixMillis, clock: &SchoolClock) -> String {
    if ends {
        return clock.show_end(until);
    }
    // A review by a day is due at the midnight after it.
    let last = UnixMillis(until.0.saturating_sub(1));
    format!("review {}", clock.civil(last).strftime("%-d %b %Y"))
}

/// The number that `U-0001` stands for.
pub(crate) fn unblock_id(text: &str) -> Result<UnblockId, Failure> {
    numbered(text, 'U').map(UnblockId).ok_or_else(|| {
        Failure::usage(format!("\"{text}\" is no unblock; an unblock is written U-0001"))
    })
}

/// What the commands work on.
struct Desk<'a> {
    school: &'a School,
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    log: &'a ChangeLog,
}

impl Desk<'_> {
    async fn look(
        &self,
        who: &WhoArgs,
        roles: &[Role],
        what: &str,
        subject: &str,
    ) -> Result<(), Failure> {
        look(self.school, self.policy, who, roles, what, subject).await.map(drop)
    }

    async fn request(
        &self,
        site: &str,
        scope: &str,
        (from, until): (Option<&str>, &str),
        reason: &str,
        change: &ChangeArgs,
    ) -> Result<Exit, Failure> {
        let by = person(self.school, self.log, change).await?;
        let acting = Acting::new(self.log, &by, format!("unblock request {site}"), change);
        // Asking checks it too; who has no role is not told here whether the school has a level or person.
        acting.require(self.policy, &Role::ALL).await?;
        let site = Site::parse(site).map_err(|error| Failure::usage(error.to_string()))?;
        let scope = known_scope(scope, self.snapshot)?;
        let clock = self.policy.clock();
        let at = now();
        let from = from.map_or(Ok(at), |text| moment(clock, text, false))?;
        let until = moment(clock, until, true)?;
        let categories = self.snapshot.categories(site.host(), site.path());
        let mut id = UnblockId(0);
        acting
            .append(|changes| {
                let event = rules::change::ask_unblock(
                    changes,
                    self.policy,
                    &by,
                    categories,
                    &site,
                    scope.clone(),
                    from,
                    until,
                    reason,
                    at,
                )
                .map_err(|error| self.failure(error))?;
                if let Event::UnblockAsked { id: new, .. } = &event {
                    id = *new;
                }
                Ok(vec![(by.clone(), event)])
            })
            .await?;
        let would = if change.dry_run { "would be " } else { "" };
        let names = self.policy.catalogue().names(categories).join(", ");
        say!("{id}  {site} {would}asked for, for {}", visible(&scope.to_string()));
        say!("  from      {}", clock.show(from));
        say!("  until     {}", clock.show_end(until));
        say!("  category  {names}");
        say!("  next      {}", requests::next_step(self.policy, id, &by));
        say!("  undo      schoolgate unblock refuse {id} --reason TEXT --by NAME");
        Ok(Exit::Ok)
    }

    async fn authorise(
        &self,
        id: UnblockId,
        is_wrong: bool,
        change: &ChangeArgs,
    ) -> Result<Exit, Failure> {
        let roles = &self.policy.unblock_rules().authorise;
        let signed = self
            .sign(SignOff::Authorise, id, change, roles, |changes, by, at| {
                let events = authorise_unblock(changes, self.policy, id, by, at)?;
                with_wrong(changes, id, by, is_wrong, events)
            })
            .await?;
        self.print_signed(SignOff::Authorise, &signed, change)
    }

    /// Gives a sign-off: checks what it is given to, appends its events, and does what remains.
    async fn sign(
        &self,
        step: SignOff,
        id: UnblockId,
        change: &ChangeArgs,
        roles: &[Role],
        make: impl FnOnce(&Changes, &str, UnixMillis) -> Result<Vec<(String, Event)>, ChangeError>,
    ) -> Result<Signed, Failure> {
        let by = person(self.school, self.log, change).await?;
        let action = format!("unblock {} {id}", step.as_str());
        let acting = Acting::new(self.log, &by, action, change);
        let before = self.history(id).await?;
        // What lies outside the log is looked at where the sign-off could be given at all: who may
        // not give it is told so first, by the log.
        let waits = matches!(before.state(now()), UnblockState::Asked | UnblockState::Authorised);
        let holds = require_role(self.policy, &by, roles).is_ok();
        let ready = match waits && holds {
            true => effects::ready(self.school, self.snapshot, self.log, &before).await?,
            false => Ready::Nothing,
        };
        let entries = acting
            .append(|changes| {
                make(changes, &by, now()).map_err(|error| {
                    from_change_error_for(error, self.policy, roles, &but(changes, id, &by))
                })
            })
            .await?;
        effects::finish(self.school, self.log, ready, &entries, change.dry_run).await?;
        let applied =
            entries.iter().any(|entry| matches!(entry.event, Event::UnblockApplied { .. }));
        // With --dry-run nothing was appended, and the request stands as before.
        Ok(Signed { history: self.history(id).await?, applied })
    }

    fn print_signed(
        &self,
        step: SignOff,
        signed: &Signed,
        change: &ChangeArgs,
    ) -> Result<Exit, Failure> {
        let Signed { history, applied } = signed;
        let (id, clock) = (history.id, self.policy.clock());
        let would = if change.dry_run { "would be " } else { "" };
        say!("{id}  {}", visible(&requests::done_words(history, would, step.done(), clock)));
        say_wrong(history)?;
        if let (SignOff::Authorise, RequestKind::Policy(what)) = (step, &history.kind) {
            tried::print(what.replayed.as_ref(), clock)?;
        }
        if change.dry_run {
            return Ok(Exit::Ok);
        }
        match (applied, history.from > now()) {
            (true, true) => say!("  live from {}", clock.show(history.from)),
            (true, false) => match history.kind {
                RequestKind::Policy(_) => say!("  live within 1 s where the filter runs"),
                _ => say!("  live within 1 s"),
            },
            (false, _) if history.applied.is_none() => {
                if let Some(next) = requests::next_of(self.policy, history) {
                    say!("  next  {next}");
                }
            }
            _ => {}
        }
        say!("  undo  {}", requests::undo(history));
        Ok(Exit::Ok)
    }

    async fn refuse(
        &self,
        id: UnblockId,
        reason: &str,
        is_wrong: bool,
        change: &ChangeArgs,
    ) -> Result<Exit, Failure> {
        let history = self
            .decide(
                "refuse",
                id,
                change,
                &self.policy.unblock_rules().authorise,
                |changes, by, at| {
                    let no = refuse_unblock(changes, self.policy, id, by, reason, at)?;
                    with_wrong(changes, id, by, is_wrong, vec![(by.to_owned(), no)])
                },
            )
            .await?;
        let would = if change.dry_run { "would be " } else { "" };
        say!("{id}  {} {would}refused", visible(&history.site));
        say_wrong(&history)?;
        say!("  undo  {}", requests::ask_again(&history));
        Ok(Exit::Ok)
    }

    async fn revoke(
        &self,
        id: UnblockId,
        reason: &str,
        change: &ChangeArgs,
    ) -> Result<Exit, Failure> {
        let history = self
            .decide("revoke", id, change, &closing_roles(self.policy), |changes, by, at| {
                let event = revoke_unblock(changes, self.policy, id, by, reason, at)?;
                Ok(vec![(by.to_owned(), event)])
            })
            .await?;
        if change.dry_run {
            say!("{id}  {} would be {}", visible(&history.site), requests::ended(&history.kind));
        } else {
            say!("{id}  {} {}", visible(&history.site), requests::ended(&history.kind));
            match history.kind {
                RequestKind::Unblock => {
                    say!("  live within 1 s; connections that it had opened are closed");
                }
                _ if history.kind.ends() => say!("  live within 1 s, for new connections"),
                _ => {}
            }
        }
        say!("  undo  {}", requests::ask_again(&history));
        Ok(Exit::Ok)
    }

    async fn extend(
        &self,
        id: UnblockId,
        until: &str,
        reason: &str,
        change: &ChangeArgs,
    ) -> Result<Exit, Failure> {
        let clock = self.policy.clock();
        let until = moment(clock, until, true)?;
        let before = self.history(id).await?;
        self.decide(
            "extend",
            id,
            change,
            &self.policy.unblock_rules().authorise,
            |changes, by, at| {
                let event = extend_unblock(changes, self.policy, id, by, until, reason, at)?;
                Ok(vec![(by.to_owned(), event)])
            },
        )
        .await?;
        let would = if change.dry_run { "would end" } else { "ends" };
        let (site, was) = (visible(&before.site), clock.show_end(before.until));
        let words = match before.kind.ends() {
            true => would,
            false if change.dry_run => "would be reviewed by",
            false => "is reviewed by",
        };
        say!("{id}  {site} {words} {} (was {was})", clock.show_end(until));
        say!("  undo  schoolgate unblock revoke {id} --reason TEXT --by NAME");
        Ok(Exit::Ok)
    }

    async fn apply(&self, id: UnblockId, change: &ChangeArgs) -> Result<Exit, Failure> {
        let roles = &self.policy.unblock_rules().apply;
        let signed = self
            .sign(SignOff::Apply, id, change, roles, |changes, by, at| {
                apply_unblock(changes, self.policy, id, by, at)
            })
            .await?;
        self.print_signed(SignOff::Apply, &signed, change)
    }

    async fn confirm(
        &self,
        id: UnblockId,
        note: &str,
        is_wrong: bool,
        change: &ChangeArgs,
    ) -> Result<Exit, Failure> {
        let roles = &self.policy.unblock_rules().confirm;
        let before = self.history(id).await?;
        let state = before.state(now());
        let waits = match before.order.confirms_first() {
            true => matches!(state, UnblockState::Asked | UnblockState::Authorised),
            false => matches!(state, UnblockState::Live | UnblockState::ReviewDue),
        };
        let by = person(self.school, self.log, change).await?;
        let holds = require_role(self.policy, &by, roles).is_ok();
        // Who may not confirm is told so by the log; nothing need be tried for that.
        let checks = match waits && holds && before.confirmed.is_none() {
            true => live_check::run(self.school, self.snapshot, self.log, &before).await?,
            false => Vec::new(),
        };
        for line in &checks {
            say!("  checked  {}", visible(line));
        }
        let signed = self
            .sign(SignOff::Confirm, id, change, roles, |changes, by, at| {
                let events = confirm_unblock(changes, self.policy, id, by, (note, checks), at)?;
                with_wrong(changes, id, by, is_wrong, events)
            })
            .await?;
        self.print_signed(SignOff::Confirm, &signed, change)
    }

    /// Appends the events that `make` answers for the acting person; the unblock afterwards.
    async fn decide(
        &self,
        verb: &str,
        id: UnblockId,
        change: &ChangeArgs,
        roles: &[Role],
        make: impl FnOnce(&Changes, &str, UnixMillis) -> Result<Vec<(String, Event)>, ChangeError>,
    ) -> Result<UnblockHistory, Failure> {
        let by = person(self.school, self.log, change).await?;
        let acting = Acting::new(self.log, &by, format!("unblock {verb} {id}"), change);
        acting
            .append(|changes| {
                make(changes, &by, now()).map_err(|error| {
                    from_change_error_for(error, self.policy, roles, &but(changes, id, &by))
                })
            })
            .await?;
        self.history(id).await
    }

    async fn history(&self, id: UnblockId) -> Result<UnblockHistory, Failure> {
        let mut changes = self.changes().await?;
        changes.unblocks.remove(&id).ok_or_else(|| self.failure(ChangeError::NoSuchUnblock(id)))
    }

    async fn changes(&self) -> Result<Changes, Failure> {
        self.log.changes().await.map_err(from_append_error)
    }

    fn failure(&self, error: ChangeError) -> Failure {
        from_change_error(error, self.policy, &self.policy.unblock_rules().authorise)
    }

    async fn list(&self, state: Option<&str>, format: Format) -> Result<Exit, Failure> {
        let changes = self.changes().await?;
        let clock = self.policy.clock();
        let at = now();
        let mut sheet = Sheet::stdout(format, COLUMNS)?;
        for (id, history) in changes.unblocks.iter().rev() {
            let Some(now_is) = changes.state(*id, at).map(UnblockState::as_str) else { continue };
            if state.is_some_and(|wanted| wanted.replace(['_', '-'], " ") != now_is) {
                continue;
            }
            let time = |at: UnixMillis| Cell::new(clock.show(at), clock.rfc3339(at));
            sheet.row(&[
                Cell::text(id.to_string()),
                Cell::text(now_is),
                Cell::text(history.kind.as_str()),
                Cell::text(&history.site),
                Cell::text(history.scope.to_string()),
                time(history.from),
                Cell::new(
                    until_words(history.kind.ends(), history.until, clock),
                    clock.rfc3339(history.until),
                ),
                Cell::text(&history.requested_by),
                time(history.asked_at),
                Cell::maybe(history.authorised.as_ref().map(|(_, by)| by.as_str())),
                Cell::text(&history.reason),
            ])?;
        }
        if sheet.finish()? == 0 {
            note!("no unblocks");
        }
        Ok(Exit::Ok)
    }

    async fn show(&self, id: UnblockId, json: bool) -> Result<Exit, Failure> {
        let changes = self.changes().await?;
        let missing = || self.failure(ChangeError::NoSuchUnblock(id));
        let history = changes.unblocks.get(&id).ok_or_else(missing)?;
        let state = changes.state(id, now()).map(UnblockState::as_str).ok_or_else(missing)?;
        let clock = self.policy.clock();
        let steps = steps(history, clock);
        let visits = match &history.kind {
            RequestKind::Unblock => Some(visits::under(self.school, history).await?),
            _ => None,
        };
        let since = Since::of(self.school, self.snapshot, history);
        if json {
            let time = |at: UnixMillis| clock.rfc3339(at);
            let history: Vec<_> = steps
                .iter()
                .map(|(at, what)| serde_json::json!({ "at": time(*at), "what": what }))
                .collect();
            let Some(unblock) = changes.unblocks.get(&id) else { return Err(missing()) };
            let object = serde_json::json!({
                "id": id.to_string(),
                "state": state,
                "kind": unblock.kind.as_str(),
                "site": unblock.site,
                "for": unblock.scope.to_string(),
                "within": unblock.within(),
                "from": time(unblock.from),
                "until": time(unblock.until),
                "requested_by": unblock.requested_by,
                "reason": unblock.reason,
                "what": requests::subject(unblock),
                "replay": replay_of(unblock),
                "order": unblock.order,
                "checks": unblock.checks,
                "wrongly_blocked": unblock.wrongly_blocked.is_some(),
                "visits": visits.as_ref().map(visits_json),
                "since": since.as_ref().map(Since::json),
                "history": history,
            });
            say!("{}", json_text(object.to_string()));
            return Ok(Exit::Ok);
        }
        say!("{id}  {}  {state}", visible(&history.site));
        match &history.kind {
            RequestKind::Unblock => {}
            RequestKind::Inspect(_) => say!("  kind    inspect: look into what is private"),
            RequestKind::Certificate(accept) => {
                say!("  kind    certificate: accept {}", requests::faults(accept));
            }
            RequestKind::Policy(what) => {
                say!("  kind    policy {}", visible(short(&what.hash)));
                for line in &what.summary {
                    say!("    {}", visible(line));
                }
                tried::print(what.replayed.as_ref(), clock)?;
            }
            RequestKind::List(_) | RequestKind::Lift(_) => {
                say!("  kind    {}", visible(&requests::subject(history)));
            }
        }
        if !history.order.is_usual() {
            say!("  order   {}", history.order.words());
        }
        say!("  for     {}", visible(&history.scope.to_string()));
        match history.within().as_deref() {
            None => {}
            Some([]) => say!("  opens   nothing: its standing yes is of an older version"),
            Some(names) => say!("  opens   only {}", visible(&names.join(", "))),
        }
        say!("  from    {}", clock.show(history.from));
        match history.kind.ends() {
            true => say!("  until   {}", clock.show_end(history.until)),
            false => say!("  review  {}", clock.show_end(history.until)),
        }
        say!("  reason  {}", visible(&history.reason));
        say!("  history");
        for (at, what) in steps {
            say!("    {}  {}", clock.show(at), visible(&what));
        }
        for check in &history.checks {
            say!("    checked  {}", visible(check));
        }
        if let Some(since) = since {
            since.print()?;
        }
        if let Some(visits) = visits.filter(|_| history.applied.is_some()) {
            print_visits(&visits)?;
        }
        match state {
            "asked" | "authorised" | "live" | "confirmed" | "review due" => {
                if let Some(next) = requests::next_of(self.policy, history) {
                    say!("  next    {next}");
                }
                if state != "asked" {
                    say!("  undo    {}", requests::undo(history));
                }
            }
            _ => {}
        }
        Ok(Exit::Ok)
    }
}

/// An answer's events, with the one that says that the block was wrong where `by` says so and nobody has yet.
fn with_wrong(
    changes: &Changes,
    id: UnblockId,
    by: &str,
    is_wrong: bool,
    mut events: Vec<(String, Event)>,
) -> Result<Vec<(String, Event)>, ChangeError> {
    let is_known = changes.unblocks.get(&id).is_some_and(|it| it.wrongly_blocked.is_some());
    if is_wrong && !is_known {
        events.push((by.to_owned(), wrongly_blocked(changes, id)?));
    }
    Ok(events)
}

fn say_wrong(history: &UnblockHistory) -> Result<(), Failure> {
    if let Some((_, by)) = &history.wrongly_blocked {
        say!("  wrongly blocked, says {}: the weekly report counts it", visible(by));
    }
    Ok(())
}

/// Who is not to be asked about an unblock: who tries, who asked for it, and who has a part in it.
fn but<'n>(changes: &'n Changes, id: UnblockId, by: &'n str) -> Vec<&'n str> {
    let Some(unblock) = changes.unblocks.get(&id) else { return vec![by] };
    let signed = SignOff::ALL.into_iter().filter_map(|step| unblock.signed(step));
    let parts = signed.map(|(_, who)| who.as_str());
    [by, unblock.requested_by.as_str()].into_iter().chain(parts).collect()
}

/// Most hosts of the visits that are shown.
const SHOWN_HOSTS: usize = 10;

fn print_visits(visits: &Visits) -> Result<(), Failure> {
    let Visits { pages, requests, people, hosts, is_cut } = visits;
    let least = if *is_cut { "at least " } else { "" };
    let requests_word = if *requests == 1 { "request" } else { "requests" };
    let people_word = if *people == 1 { "person" } else { "people" };
    let pages_word = if *pages == 1 { "page" } else { "pages" };
    say!(
        "  visits  {least}{pages} {pages_word} in {requests} {requests_word} by {least}{people} {people_word}"
    );
    for (host, count) in hosts.iter().take(SHOWN_HOSTS) {
        say!("    {}  {count}", visible(host));
    }
    match hosts.len().saturating_sub(SHOWN_HOSTS) {
        0 => {}
        more => say!("    and {more} more hosts"),
    }
    Ok(())
}

/// What came of trying a policy on what was recorded; null where nobody did, or it is none.
fn replay_of(request: &UnblockHistory) -> Option<&Replayed> {
    match &request.kind {
        RequestKind::Policy(what) => what.replayed.as_ref(),
        _ => None,
    }
}

fn visits_json(visits: &Visits) -> serde_json::Value {
    let hosts: Vec<_> = visits
        .hosts
        .iter()
        .map(|(host, requests)| serde_json::json!({ "host": host, "requests": requests }))
        .collect();
    serde_json::json!({
        "visits": visits.pages,
        "requests": visits.requests,
        "people": visits.people,
        "hosts": hosts,
        "at_least": visits.is_cut,
    })
}

/// A sign-off that was given.
struct Signed {
    history: UnblockHistory,
    /// Whether the change was made with it.
    applied: bool,
}

/// What happened to an unblock, in order.
fn steps(history: &UnblockHistory, clock: &SchoolClock) -> Vec<(UnixMillis, String)> {
    let mut steps = vec![(history.asked_at, format!("asked by {}", history.requested_by))];
    for step in SignOff::ALL {
        let standing = step == SignOff::Authorise && history.by_standing_yes;
        let of = if standing { "the standing yes of " } else { "" };
        if let Some((at, by)) = history.signed(step) {
            steps.push((*at, format!("{} by {of}{by}", step.done())));
        }
    }
    if let Some((at, by)) = &history.wrongly_blocked {
        steps.push((*at, format!("the block was wrong, says {by}")));
    }
    for (at, by, until) in &history.extensions {
        steps.push((*at, format!("extended to {} by {by}", clock.show_end(*until))));
    }
    if let Some(at) = history.overtaken {
        let what = match history.kind {
            RequestKind::Policy(_) => "another policy",
            RequestKind::List(_) => "another version of the list",
            _ => "something else",
        };
        steps.push((at, format!("{what} took its place")));
    }
    for (what, step) in [("refused", &history.refused), ("revoked", &history.revoked)] {
        if let Some((at, by, why)) = step {
            steps.push((*at, format!("{what} by {by}: {why}")));
        }
    }
    steps.sort_by_key(|(at, _)| *at);
    steps
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_has_a_day_of_review_in_the_column_of_ends() {
        let clock = SchoolClock::new("Europe/London", &[]).unwrap();
        let at = |text: &str| clock.moment(text, UnixMillis(0), false).unwrap();
        let midnight = at("2027-03-01T00:00:00Z");
        assert_eq!(until_words(false, midnight, &clock), "review 28 Feb 2027");
        assert_eq!(until_words(false, at("2027-02-28T09:00:00Z"), &clock), "review 28 Feb 2027");
        assert_eq!(until_words(true, midnight, &clock), "the end of Sun 28 Feb 2027");
        let morning = at("2027-03-01T09:00:00Z");
        assert_eq!(until_words(true, morning, &clock), "Mon 1 Mar 2027 09:00 GMT");
    }
}
