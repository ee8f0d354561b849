//! Who may do what: checks each action on a change and makes its event.

use super::{
    AUTOMATIC, BREAK_GLASS, BREAK_GLASS_ROLES, ChangeError, Changes, DAY_MILLIS, Event,
    LAPSE_SCHOOL_DAYS, RequestKind, SignOff, UnblockHistory, UnblockState, is_person,
    may_still_end, same_person,
};
use crate::access::{Role, RoleSet};
use crate::category::CategorySet;
use crate::policy::Policy;
use crate::site::Site;
use crate::time::UnixMillis;
use crate::unblock::{Scope, UnblockId};

/// Fewest letters of a reason.
const REASON_LETTERS: usize = 10;

/// Checks a request by somebody and makes its event. `categories` are those of the site.
///
/// # Errors
/// [`ChangeError`]: no role, reason, end, scope, site or category.
#[allow(clippy::too_many_arguments, reason = "the fields of the request form")]
pub fn ask_unblock(
    changes: &Changes,
    policy: &Policy,
    by: &str,
    categories: CategorySet,
    site: &Site,
    scope: Scope,
    from: UnixMillis,
    until: UnixMillis,
    reason: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    check_asker(policy, by)?;
    check_categories(policy, categories)?;
    if matches!(&scope, Scope::Level(_)) && scope.level(policy).is_none() {
        return Err(ChangeError::BadScope(scope.to_string()));
    }
    check_end(policy, from, until, now)?;
    check_reason(reason)?;
    let (site, reason) = (site.to_string(), reason.trim().to_owned());
    let lapses = policy.clock().after_school_days(now, LAPSE_SCHOOL_DAYS);
    let (id, order) = (changes.next_unblock(), policy.unblock_rules().order);
    Ok(Event::UnblockAsked { id, site, scope, from, until, reason, lapses, order })
}

/// Whether somebody may ask for anything that opens: whoever holds a role, whichever it is. Else one
/// person could ask under an account that is nobody's, and say yes under their own.
pub(super) fn check_asker(policy: &Policy, by: &str) -> Result<(), ChangeError> {
    require_role(policy, by, &Role::ALL)
}

/// Whether a site of these categories may be opened at all.
pub(super) fn check_categories(
    policy: &Policy,
    categories: CategorySet,
) -> Result<(), ChangeError> {
    let closed = |set: CategorySet| {
        let id = set.intersection(categories).iter().next()?;
        Some(policy.catalogue().name(id).to_owned())
    };
    if let Some(category) = closed(policy.catalogue().locked()) {
        return Err(ChangeError::Locked { category });
    }
    match closed(policy.unblock_rules().never) {
        Some(category) => Err(ChangeError::Never { category }),
        None => Ok(()),
    }
}

pub(super) fn check_end(
    policy: &Policy,
    from: UnixMillis,
    until: UnixMillis,
    now: UnixMillis,
) -> Result<(), ChangeError> {
    let max_days = policy.unblock_rules().max_days;
    if until <= now {
        return Err(ChangeError::EndsInPast);
    }
    if until <= from {
        return Err(ChangeError::EndsBeforeStart);
    }
    if until.0.saturating_sub(from.0.min(now.0)) > i64::from(max_days) * DAY_MILLIS {
        return Err(ChangeError::TooLong { max_days });
    }
    Ok(())
}

pub(super) fn check_reason(reason: &str) -> Result<(), ChangeError> {
    if is_reason(reason) { Ok(()) } else { Err(ChangeError::ReasonTooShort) }
}

/// Whether a reason says something: enough letters, and not one of them over and over.
#[must_use]
pub fn is_reason(reason: &str) -> bool {
    let letters: Vec<char> =
        reason.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect();
    let mut words: Vec<String> = reason.split_whitespace().map(str::to_lowercase).collect();
    let spoken = words.len();
    words.sort();
    words.dedup();
    let mut kinds = letters.clone();
    kinds.sort_unstable();
    kinds.dedup();
    let repeated = kinds.len() < 4 || (spoken > 1 && words.len() == 1);
    letters.len() >= REASON_LETTERS && !repeated
}

pub(super) fn check_some_reason(reason: &str) -> Result<String, ChangeError> {
    let reason = reason.trim();
    if reason.is_empty() { Err(ChangeError::NoReason) } else { Ok(reason.to_owned()) }
}

/// Checks a yes and makes its events, each with its actor. Where everything that comes before the
/// apply is done with it, and the policy applies by itself, that is among them.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, own request, no role.
pub fn authorise_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    now: UnixMillis,
) -> Result<Vec<(String, Event)>, ChangeError> {
    let request = sign(changes, policy, id, SignOff::Authorise, by, now)?;
    let yes = (by.to_owned(), Event::UnblockAuthorised { id });
    Ok(with_apply(policy, request, SignOff::Authorise, yes, now))
}

/// Checks that somebody may give a sign-off now, by their role, their other parts and the state of
/// the request.
fn sign<'c>(
    changes: &'c Changes,
    policy: &Policy,
    id: UnblockId,
    step: SignOff,
    by: &str,
    now: UnixMillis,
) -> Result<&'c UnblockHistory, ChangeError> {
    let request = changes.unblock(id)?;
    let rules = policy.unblock_rules();
    let roles = match step {
        SignOff::Authorise => &rules.authorise,
        SignOff::Apply => &rules.apply,
        SignOff::Confirm => &rules.confirm,
    };
    let is_asker = same_person(by, &request.requested_by);
    let is_own = step == SignOff::Authorise && is_asker;
    let has_role = require_role(policy, by, roles);
    if has_role.is_ok() && !is_own && request.overtaken.is_some() {
        return Err(ChangeError::Overtaken(id));
    }
    let state = request.state(now);
    let waits = matches!(state, UnblockState::Asked | UnblockState::Authorised);
    let (fits, wanted) = match step {
        SignOff::Authorise => (state == UnblockState::Asked, "an asked one"),
        SignOff::Apply if request.applied.is_some() => (false, "one not yet applied"),
        // What must come first is said by name below.
        SignOff::Apply => (waits, "an authorised one"),
        SignOff::Confirm if request.order.confirms_first() => {
            (waits && request.applied.is_none(), "one that waits to be applied")
        }
        SignOff::Confirm => {
            let is_live = matches!(state, UnblockState::Live | UnblockState::ReviewDue);
            (is_live, "a live one")
        }
    };
    // Said before who may not: there is nobody to ask instead any more. Where a request stands is for people
    // with a role.
    if !fits && (is_asker || acting_roles(policy, by) != RoleSet::default()) {
        let (state, action) = (state.as_str(), step.done());
        return Err(ChangeError::WrongState { id, state, wanted, action });
    }
    // Said before the role, which would not help whoever asked.
    if is_own {
        return Err(ChangeError::OwnRequest(id));
    }
    has_role?;
    request.may(step, by)?;
    // Whoever asked may make the change and see whether it is right, but not say yes to it.
    let is_yes = match step {
        SignOff::Authorise => true,
        SignOff::Apply => false,
        SignOff::Confirm => request.order.confirms_first(),
    };
    let asker = is_yes.then_some(request.requested_by.as_str());
    let others = SignOff::ALL.into_iter().filter(|other| *other != step);
    let signed = others.filter_map(|other| request.signed(other).map(|(_, who)| who.as_str()));
    for other in asker.into_iter().chain(signed) {
        check_keyed(changes, id, (by, other), now)?;
    }
    Ok(request)
}

/// Whoever keyed the account of another hand in a request, or whose account that one keyed, is no second
/// person in it yet. What the program does by itself is in nobody's hands.
fn check_keyed(
    changes: &Changes,
    id: UnblockId,
    (by, other): (&str, &str),
    now: UnixMillis,
) -> Result<(), ChangeError> {
    let are_people = is_person(by) && is_person(other);
    if are_people && changes.keyed.may_be_one(by, other, now) {
        return Err(ChangeError::KeyedTogether { id, by: by.to_owned(), other: other.to_owned() });
    }
    Ok(())
}

/// A sign-off, and the automatic apply where it was the last thing that this waited for.
fn with_apply(
    policy: &Policy,
    request: &UnblockHistory,
    step: SignOff,
    signed: (String, Event),
    now: UnixMillis,
) -> Vec<(String, Event)> {
    let mut after = request.clone();
    let by = Some((now, signed.0.clone()));
    match step {
        SignOff::Authorise => after.authorised = by,
        SignOff::Apply => after.applied = by,
        SignOff::Confirm => after.confirmed = by,
    }
    let mut events = vec![signed];
    let applies = policy.unblock_rules().apply_automatically;
    if applies && step != SignOff::Apply && after.may(SignOff::Apply, AUTOMATIC).is_ok() {
        events.extend(apply(&after, AUTOMATIC));
    }
    events
}

/// The events of an apply: that it was, and what it puts into force where another part of the program
/// follows that.
fn apply(request: &UnblockHistory, by: &str) -> Vec<(String, Event)> {
    let id = request.id;
    let effect = match &request.kind {
        RequestKind::Policy(what) => Some(Event::PolicyApplied {
            hash: what.hash.clone(),
            reason: request.reason.clone(),
            summary: what.summary.clone(),
            request: Some(id),
            replayed: what.replayed.clone(),
        }),
        RequestKind::List(what) if what.rollback => {
            Some(Event::ListRolledBack { list: what.list.clone(), version: what.version.clone() })
        }
        RequestKind::List(what) => Some(Event::ListAccepted {
            list: what.list.clone(),
            version: what.version.clone(),
            entries: what.entries,
            added: what.added,
            removed: what.removed,
        }),
        _ => None,
    };
    let applied = std::iter::once(Event::UnblockApplied { id });
    applied.chain(effect).map(|event| (by.to_owned(), event)).collect()
}

/// Whether `by` would be allowed to apply a request, whatever its state is: for saying whom to ask.
#[must_use]
pub fn may_apply(request: &UnblockHistory, by: &str) -> bool {
    let others = [&request.authorised, &request.confirmed];
    !others.into_iter().flatten().any(|(_, who)| same_person(who, by))
}

/// The event that says that the block was wrong which a request is about, beside the answer of whoever may
/// give one.
///
/// # Errors
/// [`ChangeError::NoBlock`]; unknown.
pub fn wrongly_blocked(changes: &Changes, id: UnblockId) -> Result<Event, ChangeError> {
    match changes.unblock(id)?.kind.is_of_block() {
        true => Ok(Event::WronglyBlocked { id }),
        false => Err(ChangeError::NoBlock(id)),
    }
}

/// Checks a no and makes its event.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, no role, no reason.
pub fn refuse_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    reason: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    require_role(policy, by, &policy.unblock_rules().authorise)?;
    let asked = |state| state == UnblockState::Asked;
    changes.unblock_that(id, now, asked, "an asked one", "refused")?;
    Ok(Event::UnblockRefused { id, reason: check_some_reason(reason)? })
}

/// Checks that the change is made by somebody other than its authoriser, and makes its events.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, same person, no role.
pub fn apply_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    now: UnixMillis,
) -> Result<Vec<(String, Event)>, ChangeError> {
    Ok(apply(sign(changes, policy, id, SignOff::Apply, by, now)?, by))
}

/// Checks that the change is confirmed by who neither authorised nor made it, and makes its events; `checks` is what the
/// filter itself found. Where the school confirms before it applies, the automatic apply may follow.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, same person, no role.
pub fn confirm_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    (note, checks): (&str, Vec<String>),
    now: UnixMillis,
) -> Result<Vec<(String, Event)>, ChangeError> {
    let request = sign(changes, policy, id, SignOff::Confirm, by, now)?;
    let note = note.trim().to_owned();
    let confirmed = (by.to_owned(), Event::UnblockConfirmed { id, note, checks });
    Ok(with_apply(policy, request, SignOff::Confirm, confirmed, now))
}

/// Checks a new end and makes its event. Opening for longer is opening: it takes an authoriser who
/// did not ask for it, and `max_days` counts from the first start. What does not end by itself gets
/// another date for review: it was looked at, and stays.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, own request, no role, reason, end.
pub fn extend_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    until: UnixMillis,
    reason: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    require_role(policy, by, &policy.unblock_rules().authorise)?;
    let unblock =
        changes.unblock_that(id, now, may_still_end, "an authorised or live one", "extended")?;
    if same_person(by, &unblock.requested_by) {
        return Err(ChangeError::SamePerson { id, did: "asked for", action: "extend" });
    }
    check_keyed(changes, id, (by, &unblock.requested_by), now)?;
    let counted_from = if unblock.kind.ends() { unblock.from } else { now };
    check_end(policy, counted_from, until, now)?;
    check_reason(reason)?;
    Ok(Event::UnblockExtended { id, until, reason: reason.trim().to_owned() })
}

/// Checks that somebody may end an unblock early and makes the event. Closing is safe: whoever may
/// authorise, apply or confirm may do it, and whoever asked.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, no role, no reason.
pub fn revoke_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    reason: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    let unblock = changes.unblock(id)?;
    if !same_person(by, &unblock.requested_by) {
        require_role(policy, by, &closing_roles(policy))?;
    }
    changes.unblock_that(id, now, may_still_end, "an authorised or live one", "revoked")?;
    if !unblock.can_be_revoked() {
        return Err(ChangeError::NotRevocable { id });
    }
    Ok(Event::UnblockRevoked { id, reason: check_some_reason(reason)? })
}

/// The roles that may close something: the technician, the DSL, the head, and whoever has a part
/// in unblocks.
#[must_use]
pub fn closing_roles(policy: &Policy) -> Vec<Role> {
    let rules = policy.unblock_rules();
    let parts =
        [&[Role::It, Role::Dsl, Role::Head][..], &rules.authorise, &rules.apply, &rules.confirm];
    let mut roles = parts.concat();
    roles.sort();
    roles.dedup();
    roles
}

/// Checks a school's own block and makes its event. Tightening acts at once.
///
/// # Errors
/// [`ChangeError`]: scope, no role, no reason.
pub fn block_site(
    changes: &Changes,
    policy: &Policy,
    site: &Site,
    scope: Scope,
    by: &str,
    reason: &str,
) -> Result<Event, ChangeError> {
    require_role(policy, by, &closing_roles(policy))?;
    if matches!(&scope, Scope::Level(_)) && scope.level(policy).is_none() {
        return Err(ChangeError::BadScope(scope.to_string()));
    }
    check_reason(reason)?;
    let (id, reason) = (changes.next_block(), reason.trim().to_owned());
    Ok(Event::SiteBlocked { id, site: site.to_string(), scope, reason })
}

/// Checks that `by` holds one of `roles` in the policy.
///
/// # Errors
/// [`ChangeError::NoRole`].
pub fn require_role(policy: &Policy, by: &str, roles: &[Role]) -> Result<(), ChangeError> {
    let wanted: RoleSet = roles.iter().copied().collect();
    if acting_roles(policy, by).intersects(wanted) {
        return Ok(());
    }
    let roles = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    Err(ChangeError::NoRole { by: by.trim().to_owned(), roles })
}

/// The roles in which somebody acts: those of the policy, and for whoever holds the emergency code
/// always the same two, whatever the policy says of that name.
#[must_use]
pub fn acting_roles(policy: &Policy, by: &str) -> RoleSet {
    match same_person(by, BREAK_GLASS) {
        true => BREAK_GLASS_ROLES.into_iter().collect(),
        false => policy.roles(by.trim()),
    }
}
