//! `unblock`: a site opened for a lesson, asked for by one person and authorised by another. Requests of
//! `inspect` and `certificate` are answered, listed and ended here too.

use crate::args::{ChangeArgs, UnblockCommand};
use crate::block::{known_scope, numbered};
use crate::changes_log;
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Format, Sheet, json_text, visible};
use crate::requests;
use crate::school::{
    Acting, School, from_append_error, from_change_error, from_change_error_for, moment, now,
    person,
};
use ledger::changes::ChangeLog;
use proxy::snapshot::Snapshot;
use rules::access::Role;
use rules::change::{
    ChangeError, Changes, Event, RequestKind, UnblockHistory, UnblockState, apply_unblock,
    closing_roles, confirm_unblock, extend_unblock, refuse_unblock, revoke_unblock,
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
    let desk = Desk { snapshot: &snapshot, policy: &snapshot.policy, log: &log };
    match command {
        UnblockCommand::Request { site, scope, until, from, reason, change } => {
            desk.request(&site, &scope, (from.as_deref(), &until), &reason, &change).await
        }
        UnblockCommand::List { state, print } => desk.list(state.as_deref(), print.format()).await,
        UnblockCommand::Show { id, json } => desk.show(unblock_id(&id)?, json).await,
        UnblockCommand::Authorise { id, change } => desk.authorise(unblock_id(&id)?, &change).await,
        UnblockCommand::Refuse { id, reason, change } => {
            desk.refuse(unblock_id(&id)?, &reason, &change).await
        }
        UnblockCommand::Revoke { id, reason, change } => {
            desk.revoke(unblock_id(&id)?, &reason, &change).await
        }
        UnblockCommand::Extend { id, until, reason, change } => {
            desk.extend(unblock_id(&id)?, &until, &reason, &change).await
        }
        UnblockCommand::Apply { id, change } => desk.apply(unblock_id(&id)?, &change).await,
        UnblockCommand::Confirm { id, note, change } => {
            desk.confirm(unblock_id(&id)?, &note, &change).await
        }
        UnblockCommand::Log { since, print } => {
            changes_log::print(&desk.policy.clock().clone(), &log, since.as_deref(), print.format())
                .await
        }
    }
}

fn unblock_id(text: &str) -> Result<UnblockId, Failure> {
    numbered(text, 'U').map(UnblockId).ok_or_else(|| {
        Failure::usage(format!("\"{text}\" is no unblock; an unblock is written U-0001"))
    })
}

/// What the commands work on.
struct Desk<'a> {
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    log: &'a ChangeLog,
}

impl Desk<'_> {
    async fn request(
        &self,
        site: &str,
        scope: &str,
        (from, until): (Option<&str>, &str),
        reason: &str,
        change: &ChangeArgs,
    ) -> Result<Exit, Failure> {
        let by = person(change)?;
        let acting = Acting::new(self.log, &by, format!("unblock request {site}"), change);
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
        say!("  until     {}", clock.show(until));
        say!("  category  {names}");
        say!("  next      {}", requests::next_step(self.policy, id, &by));
        say!("  undo      schoolgate unblock refuse {id} --reason TEXT --by NAME");
        Ok(Exit::Ok)
    }

    async fn authorise(&self, id: UnblockId, change: &ChangeArgs) -> Result<Exit, Failure> {
        let by = person(change)?;
        let acting = Acting::new(self.log, &by, format!("unblock authorise {id}"), change);
        let at = now();
        let entries = acting
            .append(|changes| {
                rules::change::authorise_unblock(changes, self.policy, id, &by, at).map_err(
                    |error| {
                        let roles = &self.policy.unblock_rules().authorise;
                        from_change_error_for(error, self.policy, roles, &but(changes, id, &by))
                    },
                )
            })
            .await?;
        let history = self.history(id).await?;
        let clock = self.policy.clock();
        let applied =
            entries.iter().any(|entry| matches!(entry.event, Event::UnblockApplied { .. }));
        let would = if change.dry_run { "would be " } else { "" };
        say!("{id}  {}", visible(&authorised_words(&history, would, clock)));
        match (applied, history.from > at) {
            _ if change.dry_run => {}
            (true, false) => say!("  live within 1 s"),
            (true, true) => say!("  live from {}", clock.show(history.from)),
            (false, _) => say!("  waits to be applied (policy `apply`)"),
        }
        say!("  undo  schoolgate unblock revoke {id} --reason TEXT --by {}", visible(&by));
        Ok(Exit::Ok)
    }

    async fn refuse(
        &self,
        id: UnblockId,
        reason: &str,
        change: &ChangeArgs,
    ) -> Result<Exit, Failure> {
        let history = self
            .decide(
                "refuse",
                id,
                change,
                &self.policy.unblock_rules().authorise,
                |changes, by, at| refuse_unblock(changes, self.policy, id, by, reason, at),
            )
            .await?;
        let would = if change.dry_run { "would be " } else { "" };
        say!("{id}  {} {would}refused", visible(&history.site));
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
                revoke_unblock(changes, self.policy, id, by, reason, at)
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
                _ => say!("  live within 1 s, for new connections"),
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
            |changes, by, at| extend_unblock(changes, self.policy, id, by, until, reason, at),
        )
        .await?;
        let would = if change.dry_run { "would end" } else { "ends" };
        let (site, was) = (visible(&before.site), clock.show(before.until));
        say!("{id}  {site} {would} {} (was {was})", clock.show(until));
        say!("  undo  schoolgate unblock revoke {id} --reason TEXT --by NAME");
        Ok(Exit::Ok)
    }

    async fn apply(&self, id: UnblockId, change: &ChangeArgs) -> Result<Exit, Failure> {
        let history = self
            .decide("apply", id, change, &self.policy.unblock_rules().apply, |changes, by, at| {
                apply_unblock(changes, self.policy, id, by, at)
            })
            .await?;
        let (would, live) =
            if change.dry_run { ("would be ", "") } else { ("", "; live within 1 s") };
        say!("{id}  {} {would}applied{live}", visible(&history.site));
        say!("  undo  schoolgate unblock revoke {id} --reason TEXT --by NAME");
        Ok(Exit::Ok)
    }

    async fn confirm(
        &self,
        id: UnblockId,
        note: &str,
        change: &ChangeArgs,
    ) -> Result<Exit, Failure> {
        let history = self
            .decide(
                "confirm",
                id,
                change,
                &self.policy.unblock_rules().confirm,
                |changes, by, at| confirm_unblock(changes, self.policy, id, by, note, at),
            )
            .await?;
        let would = if change.dry_run { "would be " } else { "" };
        say!("{id}  {} {would}confirmed", visible(&history.site));
        Ok(Exit::Ok)
    }

    /// Appends the one event that `make` answers for the acting person; the unblock afterwards.
    async fn decide(
        &self,
        verb: &str,
        id: UnblockId,
        change: &ChangeArgs,
        roles: &[Role],
        make: impl FnOnce(&Changes, &str, UnixMillis) -> Result<Event, ChangeError>,
    ) -> Result<UnblockHistory, Failure> {
        let by = person(change)?;
        let acting = Acting::new(self.log, &by, format!("unblock {verb} {id}"), change);
        acting
            .append(|changes| {
                let event = make(changes, &by, now()).map_err(|error| {
                    from_change_error_for(error, self.policy, roles, &but(changes, id, &by))
                })?;
                Ok(vec![(by.clone(), event)])
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
                time(history.until),
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
                "from": time(unblock.from),
                "until": time(unblock.until),
                "requested_by": unblock.requested_by,
                "reason": unblock.reason,
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
        }
        say!("  for     {}", visible(&history.scope.to_string()));
        say!("  from    {}", clock.show(history.from));
        say!("  until   {}", clock.show(history.until));
        say!("  reason  {}", visible(&history.reason));
        say!("  history");
        for (at, what) in steps {
            say!("    {}  {}", clock.show(at), visible(&what));
        }
        match state {
            "asked" => {
                say!("  next    {}", requests::next_step(self.policy, id, &history.requested_by))
            }
            "authorised" | "live" | "confirmed" | "review due" => {
                say!("  undo    schoolgate unblock revoke {id} --reason TEXT --by NAME");
            }
            _ => {}
        }
        Ok(Exit::Ok)
    }
}

/// Who is not to be asked about an unblock: who tries, and who asked for it.
fn but<'n>(changes: &'n Changes, id: UnblockId, by: &'n str) -> Vec<&'n str> {
    let asker = changes.unblocks.get(&id).map(|unblock| unblock.requested_by.as_str());
    std::iter::once(by).chain(asker).collect()
}

/// What an authoriser has said yes to: `chess.com authorised for ks3 until ...`.
fn authorised_words(history: &UnblockHistory, would: &str, clock: &SchoolClock) -> String {
    let (site, until) = (&history.site, clock.show(history.until));
    match &history.kind {
        RequestKind::Unblock => {
            format!("{site} {would}authorised for {} until {until}", history.scope)
        }
        RequestKind::Inspect(_) => {
            format!("{site} {would}authorised to be looked into until {until}")
        }
        RequestKind::Certificate(accept) => {
            format!("{} of {site} {would}authorised until {until}", requests::faults(accept))
        }
    }
}

/// What happened to an unblock, in order.
fn steps(history: &UnblockHistory, clock: &SchoolClock) -> Vec<(UnixMillis, String)> {
    let mut steps = vec![(history.asked_at, format!("asked by {}", history.requested_by))];
    let done = [
        ("authorised", &history.authorised),
        ("applied", &history.applied),
        ("confirmed", &history.confirmed),
    ];
    for (what, step) in done {
        if let Some((at, by)) = step {
            steps.push((*at, format!("{what} by {by}")));
        }
    }
    for (at, by, until) in &history.extensions {
        steps.push((*at, format!("extended to {} by {by}", clock.show(*until))));
    }
    for (what, step) in [("refused", &history.refused), ("revoked", &history.revoked)] {
        if let Some((at, by, why)) = step {
            steps.push((*at, format!("{what} by {by}: {why}")));
        }
    }
    steps.sort_by_key(|(at, _)| *at);
    steps
}
