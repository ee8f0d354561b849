//! Words for requests of every kind: unblocks, looking into what is private, certificate faults,
//! policies, lists, lifted blocks. All go the same way, asked by one person and authorised by
//! another, and share their numbers.

use crate::failure::{Exit, Failure};
use crate::output::visible;
use rules::change::{
    ListRequest, RequestKind, SignOff, UnblockHistory, UnblockState, may_apply, same_person,
};
use rules::decide::ReasonCode;
use rules::policy::Policy;
use rules::time::{SchoolClock, UnixMillis};
use rules::unblock::UnblockId;

/// Most differences of a policy that one line names.
const NAMED_LINES: usize = 5;

/// Whether a request is in force.
pub(crate) fn is_in_force(state: UnblockState) -> bool {
    state.is_in_force()
}

/// What a request is about, for whom: `chess.com for ks3`, `look into category:banking`.
pub(crate) fn subject(history: &UnblockHistory) -> String {
    match &history.kind {
        RequestKind::Unblock => format!("{} for {}", history.site, history.scope),
        RequestKind::Inspect(_) => format!("look into {}", history.site),
        RequestKind::Certificate(accept) => {
            format!("certificate of {} with {}", history.site, faults(accept))
        }
        RequestKind::Policy(what) => policy_words(&what.summary),
        RequestKind::List(what) => list_words(what),
        RequestKind::Lift(block) => {
            format!("{} no longer blocked for {} ({block})", history.site, history.scope)
        }
    }
}

/// What a policy changes: `policy: games for ks3: block -> allow`.
pub(crate) fn policy_words(summary: &[String]) -> String {
    match summary {
        [] => "policy".to_owned(),
        few if few.len() <= NAMED_LINES => format!("policy: {}", few.join("; ")),
        many => {
            let (named, more) = many.split_at(NAMED_LINES);
            format!("policy: {}; and {} more", named.join("; "), more.len())
        }
    }
}

/// What a version of a list changes.
fn list_words(what: &ListRequest) -> String {
    let ListRequest { list, version, added, removed, .. } = what;
    match what.rollback {
        true => format!("list {list} back to {version}: {added} sites more, {removed} fewer"),
        false => format!("list {list} {version}: {added} sites more, {removed} fewer"),
    }
}

/// The faults of a certificate, as words.
pub(crate) fn faults(accept: &[ReasonCode]) -> String {
    accept.iter().map(|fault| fault.as_str()).collect::<Vec<_>>().join(", ")
}

/// What a sign-off was given to: `chess.com authorised for ks3 until ...`.
pub(crate) fn done_words(
    history: &UnblockHistory,
    would: &str,
    done: &str,
    clock: &SchoolClock,
) -> String {
    let (site, until) = (&history.site, clock.show_end(history.until));
    match &history.kind {
        RequestKind::Unblock => format!("{site} {would}{done} for {} until {until}", history.scope),
        RequestKind::Inspect(_) => format!("{site} {would}{done} to be looked into until {until}"),
        RequestKind::Certificate(accept) => {
            format!("{} of {site} {would}{done} until {until}", faults(accept))
        }
        _ => format!("{} {would}{done}, to be reviewed by {until}", subject(history)),
    }
}

/// What has become of the subject after a request was ended.
pub(crate) fn ended(kind: &RequestKind) -> &'static str {
    match kind {
        RequestKind::Unblock => "closed again",
        RequestKind::Inspect(_) => "no longer looked into",
        RequestKind::Certificate(_) => "held to a faultless certificate again",
        RequestKind::Policy(_) | RequestKind::List(_) | RequestKind::Lift(_) => "will not be made",
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
        RequestKind::Policy(_) => "schoolgate policy apply FILE --reason TEXT --by NAME".to_owned(),
        RequestKind::List(what) => {
            let verb = if what.rollback { "rollback" } else { "accept" };
            format!("schoolgate lists {verb} {site} --reason TEXT --by NAME")
        }
        RequestKind::Lift(block) => {
            format!("schoolgate block lift {block} --reason TEXT --by NAME")
        }
    }
}

/// The command that changes what is in force back.
pub(crate) fn undo(history: &UnblockHistory) -> String {
    let id = history.id;
    let site = visible(&history.site);
    match &history.kind {
        RequestKind::Policy(_) if history.applied.is_some() => {
            "schoolgate policy rollback --reason TEXT --by NAME".to_owned()
        }
        RequestKind::List(what) if history.applied.is_some() => match what.rollback {
            true => format!("schoolgate lists update {site}, then lists accept {site}"),
            false => format!("schoolgate lists rollback {site} --reason TEXT --by NAME"),
        },
        RequestKind::Lift(_) if history.applied.is_some() => {
            let scope = history.scope.to_string();
            format!("schoolgate block {site} --for {} --reason TEXT --by NAME", visible(&scope))
        }
        _ => format!("schoolgate unblock revoke {id} --reason TEXT --by NAME"),
    }
}

/// The sign-off that a request waits for; `None`: for none that a person gives.
pub(crate) fn waits_for(policy: &Policy, history: &UnblockHistory) -> Option<SignOff> {
    let steps = history.order.steps().into_iter();
    let automatic = policy.unblock_rules().apply_automatically;
    steps.filter(|step| !(automatic && *step == SignOff::Apply)).find(|step| {
        history.signed(*step).is_none() && !(history.by_standing_yes && *step == SignOff::Apply)
    })
}

/// The command that gives a sign-off, with the name of somebody who may.
pub(crate) fn step_command(policy: &Policy, id: UnblockId, step: SignOff, but: &[&str]) -> String {
    let rules = policy.unblock_rules();
    let roles = match step {
        SignOff::Authorise => &rules.authorise,
        SignOff::Apply => &rules.apply,
        SignOff::Confirm => &rules.confirm,
    };
    let name = roles
        .iter()
        .flat_map(|role| policy.holders(*role))
        .map(String::as_str)
        .find(|name| !but.iter().any(|other| same_person(name, other)))
        .unwrap_or("NAME");
    format!("schoolgate unblock {} {id} --by {}", step.as_str(), visible(name))
}

/// The command that takes a request on which was just asked for.
pub(crate) fn next_step(policy: &Policy, id: UnblockId, asked_by: &str) -> String {
    step_command(policy, id, policy.unblock_rules().order.steps()[0], &[asked_by])
}

/// The command that takes a request on from where it stands.
pub(crate) fn next_of(policy: &Policy, history: &UnblockHistory) -> Option<String> {
    let step = waits_for(policy, history)?;
    let signed = SignOff::ALL.into_iter().filter_map(|step| history.signed(step));
    let mut but: Vec<&str> = signed.map(|(_, by)| by.as_str()).collect();
    if step != SignOff::Apply || !may_apply(history, &history.requested_by) {
        but.push(&history.requested_by);
    }
    Some(step_command(policy, history.id, step, &but))
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
    say!("  until     {}", clock.show_end(until));
    say!("  next      {}", next_step(policy, id, by));
    say!("  undo      schoolgate unblock refuse {id} --reason TEXT --by NAME");
    Ok(Exit::Ok)
}

/// The lines below a request that has no end, only a date for review.
pub(crate) fn print_asked_for_good(
    policy: &Policy,
    id: UnblockId,
    review: UnixMillis,
    by: &str,
) -> Result<Exit, Failure> {
    say!("  review    {}", policy.clock().show_end(review));
    say!("  next      {}", next_step(policy, id, by));
    say!("  undo      schoolgate unblock refuse {id} --reason TEXT --by NAME");
    Ok(Exit::Ok)
}
