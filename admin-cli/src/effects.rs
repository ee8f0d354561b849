//! What must be so before a request takes effect, and what is done once it has: the parts of a change
//! that lie outside the change log, such as a policy's text or a list's version.

use crate::failure::Failure;
use crate::lists::from_list_error;
use crate::policy;
use crate::school::{School, now};
use ledger::changes::ChangeLog;
use proxy::lists::{Gate, ListPlan, Lists};
use proxy::policy_file::PolicyFile;
use proxy::snapshot::Snapshot;
use rules::change::{ChangeEntry, Event, ListRequest, RequestKind, UnblockHistory};

/// What a request would put into force, checked and held ready.
pub(crate) enum Ready {
    /// Nothing beside the change log.
    Nothing,
    /// A policy.
    Policy(Box<PolicyFile>),
    /// A version of a list. No list changes while it is held.
    List(ListPlan),
}

/// Checks that what a request is for can take effect as it was asked for. A sign-off is given to
/// this, not to what has become of it since.
pub(crate) async fn ready(
    school: &School,
    snapshot: &Snapshot,
    log: &ChangeLog,
    request: &UnblockHistory,
) -> Result<Ready, Failure> {
    match &request.kind {
        RequestKind::Policy(what) => {
            Ok(Ready::Policy(Box::new(policy::ready(school, snapshot, &what.hash)?)))
        }
        RequestKind::List(what) => {
            let gate = Gate::new(snapshot, Vec::new());
            let lists = Lists::new(&school.config, log);
            let plan = match what.rollback {
                true => lists.plan_rollback(&what.list, &gate).await,
                false => lists.plan_accept(&what.list, now(), &gate).await,
            };
            let plan = plan.map_err(from_list_error)?;
            if plan.what != *what {
                return Err(moved(request, what));
            }
            Ok(Ready::List(plan))
        }
        _ => Ok(Ready::Nothing),
    }
}

fn moved(request: &UnblockHistory, what: &ListRequest) -> Failure {
    Failure::not_permitted(format!(
        "the versions of the list \"{}\" have changed since {} was asked for",
        what.list, request.id
    ))
    .fix(format!("see schoolgate lists diff {}, then ask again", what.list))
}

/// Does what remains once these entries are durable.
pub(crate) async fn finish(
    school: &School,
    log: &ChangeLog,
    ready: Ready,
    entries: &[ChangeEntry],
    dry_run: bool,
) -> Result<(), Failure> {
    let is_applied = entries.iter().any(|it| matches!(it.event, Event::UnblockApplied { .. }));
    if !is_applied || dry_run {
        return Ok(());
    }
    match ready {
        Ready::Nothing => {}
        Ready::Policy(file) => policy::put_in_place(school, &file),
        Ready::List(plan) => {
            Lists::new(&school.config, log).tidy(&plan.what.list).await.map_err(from_list_error)?;
        }
    }
    Ok(())
}
