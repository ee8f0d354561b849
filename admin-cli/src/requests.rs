//! Words for requests of every kind: unblocks, looking into what is private, certificate faults.
//! All go the same way, asked by one person and authorised by another, and share their numbers.

use crate::failure::{Exit, Failure};
use crate::output::visible;
use rules::change::{RequestKind, UnblockHistory, UnblockState, same_person};
use rules::decide::ReasonCode;
use rules::policy::Policy;
use rules::time::UnixMillis;
use rules::unblock::UnblockId;

/// Whether a request is in force.
pub(crate) fn is_in_force(state: UnblockState) -> bool {
    matches!(state, UnblockState::Live | UnblockState::Confirmed | UnblockState::ReviewDue)
}

/// What a request is about, for whom: `chess.com for ks3`, `look into category:banking`.
pub(crate) fn subject(history: &UnblockHistory) -> String {
    match &history.kind {
        RequestKind::Unblock => format!("{} for {}", history.site, history.scope),
        RequestKind::Inspect(_) => format!("look into {}", history.site),
        RequestKind::Certificate(accept) => {
            format!("certificate of {} with {}", history.site, faults(accept))
        }
    }
}

/// What a request does, after "authorised": nothing more to say of an unblock.
pub(crate) fn faults(accept: &[ReasonCode]) -> String {
    accept.iter().map(|fault| fault.as_str()).collect::<Vec<_>>().join(", ")
}

/// What has become of the subject after a request was ended.
pub(crate) fn ended(kind: &RequestKind) -> &'static str {
    match kind {
        RequestKind::Unblock => "closed again",
        RequestKind::Inspect(_) => "no longer looked into",
        RequestKind::Certificate(_) => "held to a faultless certificate again",
    }
}

/// The command that asks for the same again.
pub(crate) fn ask_again(history: &UnblockHistory) -> String {
    let site = visible(&history.site);
    let rest = "--until WHEN --reason TEXT --by NAME";
    match &history.kind {
        RequestKind::Unblock => {
            let scope = history.scope.to_string();
            format!("schoolgate unblock request {site} --for {} {rest}", visible(&scope))
        }
        RequestKind::Inspect(_) => format!("schoolgate inspect request {site} {rest}"),
        RequestKind::Certificate(accept) => {
            let accept = faults(accept).replace(' ', "");
            format!("schoolgate certificate request {site} --accept {accept} {rest}")
        }
    }
}

/// The command that takes an asked request further, with the name of somebody who may.
pub(crate) fn next_step(policy: &Policy, id: UnblockId, asked_by: &str) -> String {
    let roles = policy.unblock_rules().authorise.iter();
    let name = roles
        .flat_map(|role| policy.holders(*role))
        .map(String::as_str)
        .find(|name| !same_person(name, asked_by))
        .unwrap_or("NAME");
    format!("schoolgate unblock authorise {id} --by {}", visible(name))
}

/// The lines below a request that was just made.
pub(crate) fn print_asked(
    policy: &Policy,
    id: UnblockId,
    (from, until): (UnixMillis, UnixMillis),
    by: &str,
) -> Result<Exit, Failure> {
    let clock = policy.clock();
    say!("  from      {}", clock.show(from));
    say!("  until     {}", clock.show(until));
    say!("  next      {}", next_step(policy, id, by));
    say!("  undo      schoolgate unblock refuse {id} --reason TEXT --by NAME");
    Ok(Exit::Ok)
}
