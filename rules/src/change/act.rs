//! Who may do what: checks each action on a change and makes its event.

use super::{
    AUTOMATIC, ChangeError, Changes, DAY_MILLIS, Event, LAPSE_SCHOOL_DAYS, UnblockState,
    may_still_end, same_person,
};
use crate::access::{Role, RoleSet};
use crate::category::CategorySet;
use crate::policy::Policy;
use crate::site::Site;
use crate::time::UnixMillis;
use crate::unblock::{BlockId, Scope, UnblockId};

/// Fewest letters of a reason.
const REASON_LETTERS: usize = 10;

/// Checks a request and makes its event. `categories` are those of the site.
///
/// # Errors
/// [`ChangeError`]: reason, end, scope, site or category.
#[allow(clippy::too_many_arguments, reason = "the fields of the request form")]
pub fn ask_unblock(
    changes: &Changes,
    policy: &Policy,
    categories: CategorySet,
    site: &Site,
    scope: Scope,
    from: UnixMillis,
    until: UnixMillis,
    reason: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    let may_open = |set: CategorySet| set.intersection(categories).iter().next();
    if let Some(id) = may_open(policy.catalogue().locked()) {
        return Err(ChangeError::Locked { category: policy.catalogue().name(id).to_owned() });
    }
    if let Some(id) = may_open(policy.unblock_rules().never) {
        return Err(ChangeError::Never { category: policy.catalogue().name(id).to_owned() });
    }
    if matches!(&scope, Scope::Level(_)) && scope.level(policy).is_none() {
        return Err(ChangeError::BadScope(scope.to_string()));
    }
    check_end(policy, from, until, now)?;
    check_reason(reason)?;
    let (site, reason) = (site.to_string(), reason.trim().to_owned());
    let lapses = policy.clock().after_school_days(now, LAPSE_SCHOOL_DAYS);
    Ok(Event::UnblockAsked { id: changes.next_unblock(), site, scope, from, until, reason, lapses })
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

fn check_some_reason(reason: &str) -> Result<String, ChangeError> {
    let reason = reason.trim();
    if reason.is_empty() { Err(ChangeError::NoReason) } else { Ok(reason.to_owned()) }
}

/// Checks a yes and makes its events, each with its actor; the automatic apply is among them where
/// the policy says so.
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
    let rules = policy.unblock_rules();
    // Said first: a role would not help whoever asked.
    if same_person(by, &changes.unblock(id)?.requested_by) {
        return Err(ChangeError::OwnRequest(id));
    }
    require_role(policy, by, &rules.authorise)?;
    let asked = |state| state == UnblockState::Asked;
    changes.unblock_that(id, now, asked, "an asked one", "authorised")?;
    let mut events = vec![(by.to_owned(), Event::UnblockAuthorised { id })];
    if rules.apply_automatically {
        events.push((AUTOMATIC.to_owned(), Event::UnblockApplied { id }));
    }
    Ok(events)
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

/// Checks that the change is made by somebody other than its authoriser, and makes the event.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, same person, no role.
pub fn apply_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    require_role(policy, by, &policy.unblock_rules().apply)?;
    let authorised = |state| state == UnblockState::Authorised;
    let unblock = changes.unblock_that(id, now, authorised, "an authorised one", "applied")?;
    if unblock.applied.is_some() {
        let state = UnblockState::Authorised.as_str();
        return Err(ChangeError::WrongState {
            id,
            state,
            wanted: "one not yet applied",
            action: "applied",
        });
    }
    differs(id, unblock.authorised.as_ref(), by, "authorised", "apply")?;
    Ok(Event::UnblockApplied { id })
}

/// Checks that the change is confirmed by a third person, and makes the event.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, same person, no role.
pub fn confirm_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    note: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    require_role(policy, by, &policy.unblock_rules().confirm)?;
    let live = |state| state == UnblockState::Live;
    let unblock = changes.unblock_that(id, now, live, "a live one", "confirmed")?;
    differs(id, unblock.authorised.as_ref(), by, "authorised", "confirm")?;
    differs(id, unblock.applied.as_ref(), by, "applied", "confirm")?;
    Ok(Event::UnblockConfirmed { id, note: note.trim().to_owned() })
}

fn differs(
    id: UnblockId,
    done: Option<&(UnixMillis, String)>,
    by: &str,
    did: &'static str,
    action: &'static str,
) -> Result<(), ChangeError> {
    match done {
        Some((_, who)) if same_person(who, by) => Err(ChangeError::SamePerson { id, did, action }),
        _ => Ok(()),
    }
}

/// Checks a new end and makes its event. Opening for longer is opening: it takes an authoriser who
/// did not ask for it, and `max_days` counts from the first start.
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
    check_end(policy, unblock.from, until, now)?;
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

/// Checks that a school's block may be taken away and makes the event: loosening, so an authoriser
/// says so.
///
/// # Errors
/// [`ChangeError`]: unknown, no role, no reason.
pub fn lift_block(
    changes: &Changes,
    policy: &Policy,
    id: BlockId,
    by: &str,
    reason: &str,
) -> Result<Event, ChangeError> {
    if !changes.blocks.iter().any(|block| block.id == id) {
        return Err(ChangeError::NoSuchBlock(id));
    }
    require_role(policy, by, &policy.unblock_rules().authorise)?;
    check_reason(reason)?;
    Ok(Event::SiteBlockLifted { id, reason: reason.trim().to_owned() })
}

/// Checks that `by` holds one of `roles` in the policy.
///
/// # Errors
/// [`ChangeError::NoRole`].
pub fn require_role(policy: &Policy, by: &str, roles: &[Role]) -> Result<(), ChangeError> {
    let wanted: RoleSet = roles.iter().copied().collect();
    if policy.roles(by.trim()).intersects(wanted) {
        return Ok(());
    }
    let roles = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    Err(ChangeError::NoRole { by: by.trim().to_owned(), roles })
}
