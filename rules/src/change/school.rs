//! Changes of what holds for the whole school: its policy, its lists, its own blocks. What only
//! tightens acts at once; what opens anything becomes a request, by whichever way it comes.

use super::act::{check_asker, check_end, check_reason, check_some_reason};
use super::history::{ListRequest, PolicyRequest, UnblockState};
use super::{
    ChangeError, Changes, DAY_MILLIS, Event, LAPSE_SCHOOL_DAYS, PROGRAM, Replayed, require_role,
    same_person,
};
use crate::access::Role;
use crate::policy::{Policy, PolicyDiff};
use crate::time::UnixMillis;
use crate::unblock::{BlockId, UnblockId};

/// Who brings in a new policy.
pub const POLICY_ROLES: &[Role] = &[Role::It, Role::Dsl, Role::Head];

/// The reason that stands beside what the policy's file says by itself.
const FILE_CHANGED: &str = "file changed";

/// What is to be done about a policy file that differs from the policy in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyFound {
    /// It is the policy in force; requests of an earlier state of the file are withdrawn.
    InForce(Vec<Event>),
    /// The policy in force is another one by now than the one compared with: look again.
    Moved,
    /// It opens nothing that was closed: in force once this is recorded.
    Tightens(Event),
    /// It opens something: not in force until it is signed off under this number. The event asks for
    /// it, where nobody has yet.
    Waits(UnblockId, Option<Event>),
    /// It was asked for before, and somebody said no, or nobody answered in time.
    Answered(UnblockId, UnblockState),
}

/// Checks a new policy and makes its event: in force at once where `diff` opens nothing, else a
/// request. `in_force` and `new` are hashes; `replayed` is what came of trying it on recorded accesses,
/// which nothing that opens goes without, unless somebody says why.
///
/// # Errors
/// [`ChangeError`]: no role, no reason, review, not tried, or another policy in force than was compared with.
#[allow(clippy::too_many_arguments, reason = "the fields of the request form")]
pub fn change_policy(
    changes: &Changes,
    policy: &Policy,
    (in_force, new): (&str, &str),
    (diff, replayed): (&PolicyDiff, Replayed),
    by: &str,
    reason: &str,
    review: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    require_role(policy, by, POLICY_ROLES)?;
    if changes.policy.as_deref().is_some_and(|hash| hash != in_force) {
        return Err(ChangeError::PolicyMoved);
    }
    let reason = check_some_reason(reason)?;
    if let Replayed::Left { reason } = &replayed {
        check_some_reason(reason)?;
    }
    let tested = (diff, Some(replayed));
    if !diff.loosens {
        return Ok(applied(new, tested, &reason));
    }
    check_reason(&reason)?;
    match &tested.1 {
        Some(Replayed::Left { reason }) => check_reason(reason)?,
        Some(Replayed::Failed { why }) => {
            return Err(ChangeError::NotReplayed { why: why.clone() });
        }
        _ => {}
    }
    let review = review_date(policy, review, now)?;
    Ok(ask_policy(changes, policy, (in_force, new), tested, &reason, review, now))
}

fn applied(hash: &str, (diff, replayed): (&PolicyDiff, Option<Replayed>), reason: &str) -> Event {
    let (hash, reason) = (hash.to_owned(), reason.to_owned());
    Event::PolicyApplied { hash, reason, summary: diff.lines.clone(), request: None, replayed }
}

fn ask_policy(
    changes: &Changes,
    policy: &Policy,
    (base, hash): (&str, &str),
    (diff, replayed): (&PolicyDiff, Option<Replayed>),
    reason: &str,
    review: UnixMillis,
    now: UnixMillis,
) -> Event {
    let (base, hash) = (base.to_owned(), hash.to_owned());
    Event::PolicyAsked {
        id: changes.next_unblock(),
        what: PolicyRequest { hash, base, summary: diff.lines.clone(), replayed },
        reason: reason.to_owned(),
        review,
        lapses: policy.clock().after_school_days(now, LAPSE_SCHOOL_DAYS),
        order: policy.unblock_rules().order,
    }
}

/// What becomes of the policy file as it was found. Nobody is known to have changed it: the program
/// asks for what it opens, once for each text, and whoever has the role answers.
#[must_use]
pub fn policy_file_found(
    changes: &Changes,
    policy: &Policy,
    (in_force, found): (&str, &str),
    diff: &PolicyDiff,
    now: UnixMillis,
) -> PolicyFound {
    if changes.policy.as_deref() == Some(found) {
        return PolicyFound::InForce(withdrawals(changes, now));
    }
    if changes.policy.as_deref().is_some_and(|hash| hash != in_force) {
        return PolicyFound::Moved;
    }
    if !diff.loosens {
        return PolicyFound::Tightens(applied(found, (diff, None), FILE_CHANGED));
    }
    if let Some(known) = changes.policy_request(found, in_force) {
        let is_withdrawn =
            known.refused.as_ref().is_some_and(|(_, by, _)| same_person(by, PROGRAM));
        match known.state(now) {
            UnblockState::Asked | UnblockState::Authorised => {
                return PolicyFound::Waits(known.id, None);
            }
            state if !is_withdrawn => return PolicyFound::Answered(known.id, state),
            _ => {}
        }
    }
    let review = UnixMillis(now.0.saturating_add(max_millis(policy)));
    let ask =
        ask_policy(changes, policy, (in_force, found), (diff, None), FILE_CHANGED, review, now);
    PolicyFound::Waits(changes.next_unblock(), Some(ask))
}

/// What the file asked for and does not say any more.
fn withdrawals(changes: &Changes, now: UnixMillis) -> Vec<Event> {
    let waits = changes.unblocks.values().filter(|it| {
        let is_of_file = it.kind.as_str() == "policy" && same_person(&it.requested_by, PROGRAM);
        is_of_file && it.state(now) == UnblockState::Asked
    });
    let reason = "the file does not say so any more";
    waits.map(|it| Event::UnblockRefused { id: it.id, reason: reason.to_owned() }).collect()
}

/// Checks a request to put a version of a list into force that may open something, and makes its
/// event. Who asks is not looked at here: only who keeps lists comes so far, and that is the machine's
/// own account before anybody has a role.
///
/// # Errors
/// [`ChangeError`]: no reason, review.
pub fn ask_list(
    changes: &Changes,
    policy: &Policy,
    what: ListRequest,
    reason: &str,
    review: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    check_reason(reason)?;
    Ok(Event::ListAsked {
        id: changes.next_unblock(),
        what,
        reason: reason.trim().to_owned(),
        review: review_date(policy, review, now)?,
        lapses: policy.clock().after_school_days(now, LAPSE_SCHOOL_DAYS),
        order: policy.unblock_rules().order,
    })
}

/// Checks a request by somebody to take a school's own block away, and makes its event.
///
/// # Errors
/// [`ChangeError`]: no role, unknown, no reason, review.
pub fn ask_lift(
    changes: &Changes,
    policy: &Policy,
    by: &str,
    block: BlockId,
    reason: &str,
    review: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    check_asker(policy, by)?;
    if !changes.blocks.iter().any(|it| it.id == block) {
        return Err(ChangeError::NoSuchBlock(block));
    }
    check_reason(reason)?;
    Ok(Event::LiftAsked {
        id: changes.next_unblock(),
        block,
        reason: reason.trim().to_owned(),
        review: review_date(policy, review, now)?,
        lapses: policy.clock().after_school_days(now, LAPSE_SCHOOL_DAYS),
        order: policy.unblock_rules().order,
    })
}

/// The date on which somebody looks again: the one given, at most `max_days` away.
fn review_date(
    policy: &Policy,
    review: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<UnixMillis, ChangeError> {
    let Some(review) = review else {
        return Ok(UnixMillis(now.0.saturating_add(max_millis(policy))));
    };
    check_end(policy, now, review, now)?;
    Ok(review)
}

fn max_millis(policy: &Policy) -> i64 {
    i64::from(policy.unblock_rules().max_days) * DAY_MILLIS
}
