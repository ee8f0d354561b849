//! The change log folded: each entry taken in, in order.

use super::history::{PolicyRequest, RequestKind, UnblockHistory, UnblockState};
use super::order::{SignOff, SignOffOrder};
use super::{
    AUTOMATIC, BREAK_GLASS, BreakGlass, ChangeEntry, ChangeError, Changes, Event, LAPSE_MILLIS,
    PROGRAM, is_person, may_still_end, same_person,
};
use crate::policy::LevelChanges;
use crate::site::Site;
use crate::time::UnixMillis;
use crate::unblock::{BlockId, Scope, SiteBlock, Unblock, UnblockId};

/// What is common to requests of every kind, as their events have it.
struct Asked<'a> {
    id: UnblockId,
    kind: RequestKind,
    site: String,
    scope: Scope,
    from: UnixMillis,
    until: UnixMillis,
    reason: &'a str,
    lapses: Option<UnixMillis>,
    order: SignOffOrder,
}

impl Changes {
    /// Takes in the next entry of the log. Entries that make no sense in this state (a damaged or
    /// foreign log) are left out, never guessed at: nothing opens but by a request, the yes of
    /// another person, and an apply by a third, in the order that the request was asked under.
    pub fn fold(&mut self, entry: &ChangeEntry) {
        self.size = self.size.max(entry.sequence + 1);
        self.keyed.fold(entry);
        if let Some(asked) = self.asked(entry) {
            return self.fold_asked(asked, entry);
        }
        match &entry.event {
            Event::SiteBlocked { id, site, scope, reason } => {
                self.fold_block(*id, site, scope, reason, entry)
            }
            // Written by versions in which a lift was no request.
            Event::SiteBlockLifted { id, .. } => self.lift(*id, None, entry.at),
            Event::PolicyApplied { hash, request, .. } => {
                self.fold_policy(hash, *request, entry.at)
            }
            Event::ListAccepted { list, version, .. } | Event::ListRolledBack { list, version } => {
                self.fold_list(list, version, entry.at)
            }
            Event::ListHeld { list, version, .. } => self.fold_held(list, version, entry.at),
            Event::BreakGlassMade {} => {
                self.break_glass = BreakGlass { made_at: Some(entry.at), ..BreakGlass::default() };
            }
            Event::BreakGlassUsed {} => {
                self.break_glass.uses += 1;
                self.break_glass.used_at = Some(entry.at);
            }
            Event::LoginRefused { account, .. } if same_person(account, BREAK_GLASS) => {
                self.break_glass.wrong += 1;
            }
            Event::AccountLocked { .. } => self.lockouts += 1,
            Event::OnePersonRefused { .. } => self.one_person_refusals += 1,
            event => self.fold_answer(event, entry),
        }
    }

    /// The request that an entry asks for.
    fn asked<'a>(&self, entry: &'a ChangeEntry) -> Option<Asked<'a>> {
        let from_now = entry.at;
        Some(match &entry.event {
            Event::UnblockAsked { id, site, scope, from, until, reason, lapses, order } => Asked {
                id: *id,
                kind: RequestKind::Unblock,
                site: site.clone(),
                scope: scope.clone(),
                from: *from,
                until: *until,
                reason,
                lapses: *lapses,
                order: *order,
            },
            Event::InspectAsked { id, what, from, until, reason, lapses, order } => Asked {
                id: *id,
                kind: RequestKind::Inspect(what.clone()),
                site: what.to_string(),
                scope: Scope::Everyone,
                from: *from,
                until: *until,
                reason,
                lapses: *lapses,
                order: *order,
            },
            Event::CertificateAsked { id, host, accept, from, until, reason, lapses, order } => {
                Asked {
                    id: *id,
                    kind: RequestKind::Certificate(accept.clone()),
                    site: host.clone(),
                    scope: Scope::Everyone,
                    from: *from,
                    until: *until,
                    reason,
                    lapses: *lapses,
                    order: *order,
                }
            }
            Event::PolicyAsked { id, what, reason, review, lapses, order } => Asked {
                id: *id,
                kind: RequestKind::Policy(what.clone()),
                site: "policy".to_owned(),
                scope: Scope::Everyone,
                from: from_now,
                until: *review,
                reason,
                lapses: *lapses,
                order: *order,
            },
            Event::ListAsked { id, what, reason, review, lapses, order } => Asked {
                id: *id,
                kind: RequestKind::List(what.clone()),
                site: what.list.clone(),
                scope: Scope::Everyone,
                from: from_now,
                until: *review,
                reason,
                lapses: *lapses,
                order: *order,
            },
            Event::LiftAsked { id, block, reason, review, lapses, order } => {
                let blocked = self.blocks.iter().find(|it| it.id == *block)?;
                Asked {
                    id: *id,
                    kind: RequestKind::Lift(*block),
                    site: blocked.site.to_string(),
                    scope: blocked.scope.clone(),
                    from: from_now,
                    until: *review,
                    reason,
                    lapses: *lapses,
                    order: *order,
                }
            }
            _ => return None,
        })
    }

    fn fold_asked(&mut self, asked: Asked<'_>, entry: &ChangeEntry) {
        let Asked { id, kind, site, scope, from, until, reason, lapses, order } = asked;
        let at = entry.at;
        // A number is given once: who asked under it does not change afterwards.
        if self.unblocks.contains_key(&id) {
            return;
        }
        if let RequestKind::Policy(what) = &kind {
            self.overtake_file_requests(what, &entry.actor, at);
        }
        let history = UnblockHistory {
            id,
            kind,
            site,
            scope,
            from,
            until,
            reason: reason.to_owned(),
            asked_at: at,
            lapses: lapses.unwrap_or(UnixMillis(at.0.saturating_add(LAPSE_MILLIS))),
            requested_by: entry.actor.clone(),
            order,
            authorised: None,
            authorised_sequence: None,
            by_standing_yes: false,
            standing_categories: Vec::new(),
            applied: None,
            confirmed: None,
            checks: Vec::new(),
            refused: None,
            revoked: None,
            overtaken: None,
            wrongly_blocked: None,
            extensions: Vec::new(),
        };
        self.unblocks.insert(id, history);
    }

    /// The file asks for one policy at a time; and once a person has asked for that policy by name,
    /// nobody can be taken for unknown any more.
    fn overtake_file_requests(&mut self, newer: &PolicyRequest, by: &str, at: UnixMillis) {
        for older in self.unblocks.values_mut() {
            let RequestKind::Policy(what) = &older.kind else { continue };
            let is_of_file = same_person(&older.requested_by, PROGRAM);
            let is_same = what.hash == newer.hash || same_person(by, PROGRAM);
            if is_of_file && is_same && older.applied.is_none() {
                older.overtaken.get_or_insert(at);
            }
        }
    }

    fn fold_block(
        &mut self,
        id: BlockId,
        site: &str,
        scope: &Scope,
        reason: &str,
        entry: &ChangeEntry,
    ) {
        if id.0 < self.next_block {
            return;
        }
        let Ok(site) = Site::parse(site) else { return };
        self.next_block = id.0 + 1;
        self.blocks.push(SiteBlock {
            id,
            site,
            scope: scope.clone(),
            sequence: entry.sequence,
            at: entry.at,
            reason: reason.to_owned(),
        });
    }

    /// Takes a block away; other requests to do so have nothing left to ask for.
    fn lift(&mut self, block: BlockId, request: Option<UnblockId>, at: UnixMillis) {
        self.blocks.retain(|it| it.id != block);
        for other in self.unblocks.values_mut() {
            let is_same = other.kind == RequestKind::Lift(block) && Some(other.id) != request;
            if is_same && other.applied.is_none() {
                other.overtaken.get_or_insert(at);
            }
        }
    }

    /// A policy came into force: at once, because it opens nothing, or by a request. One that names a
    /// request is believed only if that request was for this policy and was applied.
    fn fold_policy(&mut self, hash: &str, request: Option<UnblockId>, at: UnixMillis) {
        let is_signed = |id: UnblockId| {
            self.unblocks.get(&id).is_some_and(|it| {
                let is_it = matches!(&it.kind, RequestKind::Policy(what) if what.hash == hash);
                is_it && it.applied.is_some() && it.overtaken.is_none()
            })
        };
        if request.is_some_and(|id| !is_signed(id)) || self.policy.as_deref() == Some(hash) {
            return;
        }
        self.policy = Some(hash.to_owned());
        for other in self.unblocks.values_mut().filter(|other| Some(other.id) != request) {
            if matches!(other.kind, RequestKind::Policy(_)) {
                other.overtaken.get_or_insert(at);
            }
        }
    }

    /// Another version of a list came into force.
    fn fold_list(&mut self, list: &str, version: &str, at: UnixMillis) {
        for other in self.unblocks.values_mut() {
            let RequestKind::List(what) = &other.kind else { continue };
            let is_it = other.applied.is_some() && what.version == version;
            if what.list == list && !is_it {
                other.overtaken.get_or_insert(at);
            }
        }
    }

    /// Another version of a list waits: a request for the one before has nothing left to ask for.
    fn fold_held(&mut self, list: &str, version: &str, at: UnixMillis) {
        for other in self.unblocks.values_mut() {
            let RequestKind::List(what) = &other.kind else { continue };
            let is_other = what.list == list && !what.rollback && what.version != version;
            if is_other && other.applied.is_none() {
                other.overtaken.get_or_insert(at);
            }
        }
    }

    /// Takes in what happened to a request after it was asked for. The order of the entries decides,
    /// not their times: whoever wrote them has checked those, and a clock that was wrong for a while
    /// must not undo what was done.
    fn fold_answer(&mut self, event: &Event, entry: &ChangeEntry) {
        let (Event::UnblockAuthorised { id }
        | Event::StandingYesUsed { id, .. }
        | Event::UnblockRefused { id, .. }
        | Event::UnblockApplied { id }
        | Event::UnblockConfirmed { id, .. }
        | Event::WronglyBlocked { id }
        | Event::UnblockExtended { id, .. }
        | Event::UnblockRevoked { id, .. }) = event
        else {
            return;
        };
        let (at, by) = (entry.at, entry.actor.clone());
        let Some(request) = self.unblocks.get_mut(id) else { return };
        match event {
            Event::UnblockAuthorised { .. } if request.may(SignOff::Authorise, &by).is_ok() => {
                request.authorised = Some((at, by));
                request.authorised_sequence = Some(entry.sequence);
            }
            Event::StandingYesUsed { authorised, categories, .. } => {
                // Only the program finds that one holds, and only for a site.
                let is_waiting = request.step() == UnblockState::Asked;
                let is_its = request.kind == RequestKind::Unblock && by == AUTOMATIC;
                if is_waiting && is_its && request.overtaken.is_none() {
                    request.authorised = Some((at, authorised.clone()));
                    request.authorised_sequence = Some(entry.sequence);
                    request.by_standing_yes = true;
                    request.standing_categories.clone_from(categories);
                }
            }
            Event::UnblockRefused { reason, .. } if request.step() == UnblockState::Asked => {
                request.refused = Some((at, by, reason.clone()));
            }
            Event::UnblockApplied { .. } if request.may(SignOff::Apply, &by).is_ok() => {
                request.applied = Some((at, by));
                if let RequestKind::Lift(block) = request.kind {
                    let id = request.id;
                    self.lift(block, Some(id), at);
                }
            }
            Event::UnblockConfirmed { checks, .. }
                if request.may(SignOff::Confirm, &by).is_ok() =>
            {
                request.confirmed = Some((at, by));
                request.checks.clone_from(checks);
            }
            Event::WronglyBlocked { .. } if request.kind.is_of_block() && is_person(&by) => {
                request.wrongly_blocked.get_or_insert((at, by));
            }
            Event::UnblockExtended { until, .. }
                if may_still_end(request.step()) && !same_person(&by, &request.requested_by) =>
            {
                request.until = *until;
                request.extensions.push((at, by, *until));
            }
            Event::UnblockRevoked { reason, .. } if request.can_be_revoked() => {
                request.revoked = Some((at, by, reason.clone()));
            }
            _ => {}
        }
    }

    /// Where an unblock stands at an instant.
    #[must_use]
    pub fn state(&self, id: UnblockId, now: UnixMillis) -> Option<UnblockState> {
        self.unblocks.get(&id).map(|unblock| unblock.state(now))
    }

    /// Unblocks that are authorised, applied, not revoked, and not ended at `now` (those that start
    /// later included): what goes into a snapshot. One whose site no longer parses stays closed.
    #[must_use]
    pub fn live(&self, now: UnixMillis) -> Vec<Unblock> {
        self.in_force(now)
            .filter(|unblock| unblock.kind == RequestKind::Unblock)
            .filter_map(|unblock| {
                Some(Unblock {
                    id: unblock.id,
                    site: Site::parse(&unblock.site).ok()?,
                    scope: unblock.scope.clone(),
                    within: unblock.within(),
                    authorised_sequence: unblock.authorised_sequence?,
                    from: unblock.from,
                    until: unblock.until,
                })
            })
            .collect()
    }

    /// The levels that blocks in force and unblocks hold for, those that only may come to be among them.
    #[must_use]
    pub fn of_levels(&self, now: UnixMillis) -> LevelChanges {
        let level = |scope: &Scope| match scope {
            Scope::Level(level) => Some(level.clone()),
            _ => None,
        };
        let may_open = |it: &&UnblockHistory| {
            let state = it.state(now);
            state == UnblockState::Asked || may_still_end(state)
        };
        LevelChanges {
            blocked: self.blocks.iter().filter_map(|it| level(&it.scope)).collect(),
            opened: self
                .unblocks
                .values()
                .filter(may_open)
                .filter_map(|it| level(&it.scope))
                .collect(),
        }
    }

    /// Requests of every kind that are authorised, applied, not revoked, and not ended at `now`.
    pub(super) fn in_force(&self, now: UnixMillis) -> impl Iterator<Item = &UnblockHistory> {
        self.unblocks
            .values()
            .filter(move |unblock| unblock.applied.is_some() && may_still_end(unblock.state(now)))
    }

    /// The request for a policy over the one in force that nothing has overtaken, the newest first
    /// looked at: it waits, or a person has said no to it.
    #[must_use]
    pub fn policy_request(&self, hash: &str, base: &str) -> Option<&UnblockHistory> {
        self.unblocks.values().rev().find(|it| {
            let is_it = |what: &PolicyRequest| what.hash == hash && what.base == base;
            matches!(&it.kind, RequestKind::Policy(what) if is_it(what))
                && it.overtaken.is_none()
                && it.applied.is_none()
        })
    }

    /// The number that the next unblock gets.
    #[must_use]
    pub fn next_unblock(&self) -> UnblockId {
        UnblockId(self.unblocks.last_key_value().map_or(1, |(id, _)| id.0 + 1))
    }

    /// The number that the next school block gets.
    #[must_use]
    pub fn next_block(&self) -> BlockId {
        BlockId(self.next_block.max(1))
    }

    pub(super) fn unblock(&self, id: UnblockId) -> Result<&UnblockHistory, ChangeError> {
        self.unblocks.get(&id).ok_or(ChangeError::NoSuchUnblock(id))
    }

    pub(super) fn unblock_that(
        &self,
        id: UnblockId,
        now: UnixMillis,
        fits: impl Fn(UnblockState) -> bool,
        wanted: &'static str,
        action: &'static str,
    ) -> Result<&UnblockHistory, ChangeError> {
        let unblock = self.unblock(id)?;
        let state = unblock.state(now);
        if fits(state) {
            return Ok(unblock);
        }
        Err(ChangeError::WrongState { id, state: state.as_str(), wanted, action })
    }
}

impl UnblockHistory {
    /// How far it has come, whatever the time is.
    fn step(&self) -> UnblockState {
        match (&self.authorised, &self.applied, &self.confirmed) {
            _ if self.revoked.is_some() => UnblockState::Revoked,
            _ if self.refused.is_some() => UnblockState::Refused,
            (None, _, _) => UnblockState::Asked,
            (Some(_), None, _) => UnblockState::Authorised,
            (Some(_), Some(_), None) => UnblockState::Live,
            (Some(_), Some(_), Some(_)) => UnblockState::Confirmed,
        }
    }

    /// Whether it can be taken back: a site can be closed again at any time, but a policy, a list or
    /// a block that is in force is changed back by a change of its own.
    pub(super) fn can_be_revoked(&self) -> bool {
        may_still_end(self.step()) && (self.kind.ends() || self.applied.is_none())
    }
}
