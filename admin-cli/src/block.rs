//! `block`: closing a site at once, and taking that away again.

use crate::args::{BlockArgs, BlockCommand, ChangeArgs, WhoArgs};
use crate::doctor::first_of;
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Sheet, visible};
use crate::prompt;
use crate::requests;
use crate::school::{Acting, School, from_change_error, moment, now};
use crate::who::{READS_REQUESTS, look, person};
use proxy::lists::Lists;
use proxy::snapshot::Snapshot;
use rules::access::{KnownBy, Role, UserFacts};
use rules::change::{ChangeError, Event, ask_lift, block_site, closing_roles};
use rules::decide::HELP;
use rules::site::Site;
use rules::unblock::{BlockId, Scope, SiteBlock};
use std::sync::Arc;

/// Most help sites that a warning names.
const NAMED_HELP: usize = 5;

const COLUMNS: &[Column] = &[
    Column { key: "id", title: "Block", gives_way: 0 },
    Column { key: "site", title: "Site", gives_way: 0 },
    Column { key: "for", title: "For", gives_way: 0 },
    Column { key: "since", title: "Since", gives_way: 2 },
    Column { key: "by", title: "By", gives_way: 3 },
    Column { key: "reason", title: "Reason", gives_way: 1 },
];

/// Runs `block SITE`, `block list` or `block lift`.
pub(crate) async fn run(school: &School, args: BlockArgs) -> Result<Exit, Failure> {
    match args.command {
        Some(BlockCommand::List { who, print }) => list(school, &who, print.format()).await,
        Some(BlockCommand::Lift { id, reason, review, change }) => {
            lift(school, &id, &reason, review.as_deref(), &change).await
        }
        None => {
            let (Some(site), Some(scope), Some(reason)) = (args.site, args.scope, args.reason)
            else {
                return Err(Failure::usage("block needs a site, --for and --reason"));
            };
            block(school, &site, &scope, reason, &args.change).await
        }
    }
}

async fn block(
    school: &School,
    site: &str,
    scope: &str,
    reason: String,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let log = school.change_log().await?;
    let by = person(school, &log, change).await?;
    let acting = Acting::new(&log, &by, format!("block {site} --for {scope}"), change);
    let site = Site::parse(site).map_err(|error| Failure::usage(error.to_string()))?;
    let scope = known_scope(scope, &snapshot)?;
    let lists = Lists::new(&school.config, &log);
    warn_of_help(&lists, &snapshot, &acting, &site, change).await?;
    let mut number = BlockId(0);
    acting
        .append(|changes| {
            let event = block_site(changes, policy, &site, scope.clone(), &by, &reason)
                .map_err(|error| from_change_error(error, policy, &closing_roles(policy)))?;
            let same = |block: &&SiteBlock| block.site == site && block.scope == scope;
            if let Some(block) = changes.blocks.iter().find(same) {
                let what = format!("{site} is blocked for {scope} already, by {}", block.id);
                return Err(Failure::usage(what));
            }
            number = changes.next_block();
            Ok(vec![(by.clone(), event)])
        })
        .await?;
    let would = if change.dry_run { "would be " } else { "" };
    say!("{number}  {site} {would}blocked for {}", visible(&scope.to_string()));
    if !change.dry_run {
        say!("  live within 1 s; open connections are closed");
    }
    say!("  undo  schoolgate block lift {number} --reason TEXT --by {}", visible(&by));
    Ok(Exit::Ok)
}

/// Closing a site that gives help, or one with such a site below it, needs a yes: a pupil may need
/// it today.
async fn warn_of_help(
    lists: &Lists<'_>,
    snapshot: &Snapshot,
    acting: &Acting<'_>,
    site: &Site,
    change: &ChangeArgs,
) -> Result<(), Failure> {
    let categories = snapshot.categories(site.host(), site.path());
    let help = snapshot.policy.catalogue().id(HELP);
    if help.is_some_and(|help| categories.contains(help)) {
        note!("warning: this closes a help site: {site} is in {HELP}");
    } else {
        let below = lists.below(site, HELP).await.map_err(Failure::fault)?;
        if below.is_empty() {
            return Ok(());
        }
        let more = match below.len().saturating_sub(NAMED_HELP) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = below.iter().take(NAMED_HELP).map(|host| visible(host).to_string());
        let named = named.collect::<Vec<_>>().join(", ");
        note!("warning: this closes a help site: {named}{more} below {site} is in {HELP}");
    }
    if change.dry_run {
        return Ok(());
    }
    // Whoever may not close it is told so, not asked.
    acting.require(&snapshot.policy, &closing_roles(&snapshot.policy)).await?;
    prompt::confirm("Close it?", change)
}

/// Asks that a block be taken away: that opens, so another person authorises it.
async fn lift(
    school: &School,
    id: &str,
    reason: &str,
    review: Option<&str>,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let block = numbered(id, 'B').map(BlockId).ok_or_else(|| {
        Failure::usage(format!("\"{id}\" is no block; a block is written B-0001"))
    })?;
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let log = school.change_log().await?;
    let by = person(school, &log, change).await?;
    let acting = Acting::new(&log, &by, format!("block lift {block}"), change);
    let review = review.map(|text| moment(policy.clock(), text, true)).transpose()?;
    let at = now();
    let mut lifted = None;
    let mut entries = acting
        .append(|changes| {
            let event = ask_lift(changes, policy, &by, block, reason, review, at)
                .map_err(|error| from_change_error(error, policy, &Role::ALL))?;
            let blocked = changes.blocks.iter().find(|it| it.id == block);
            lifted = blocked.map(|it| (it.site.to_string(), it.scope.to_string()));
            Ok(vec![(by.clone(), event)])
        })
        .await?;
    let (site, scope) = lifted.unwrap_or_default();
    let would = if change.dry_run { "would be " } else { "" };
    let Some(Event::LiftAsked { id, review, .. }) = entries.pop().map(|entry| entry.event) else {
        return Err(Failure::fault("the change log did not keep the request"));
    };
    let (site, scope) = (visible(&site), visible(&scope));
    say!("{id}  end of the block of {site} for {scope} ({block}) {would}asked for");
    requests::print_asked_for_good(policy, id, review, &by)
}

async fn list(
    school: &School,
    who: &WhoArgs,
    format: crate::output::Format,
) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    look(school, &snapshot.policy, who, READS_REQUESTS, "block list", "").await?;
    let clock = snapshot.policy.clock();
    let log = school.change_log().await?;
    let entries = log.entries_of(&["site_blocked"]).await.map_err(Failure::fault)?;
    let changes = log.changes().await.map_err(Failure::fault)?;
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    for block in &changes.blocks {
        let by = entries.iter().find_map(|entry| match &entry.event {
            Event::SiteBlocked { id, .. } if *id == block.id => Some(entry.actor.as_str()),
            _ => None,
        });
        sheet.row(&[
            Cell::text(block.id.to_string()),
            Cell::text(block.site.to_string()),
            Cell::text(block.scope.to_string()),
            Cell::new(clock.show(block.at), clock.rfc3339(block.at)),
            Cell::maybe(by),
            Cell::text(&block.reason),
        ])?;
    }
    if sheet.finish()? == 0 {
        note!("no blocks in force beside the policy");
    }
    Ok(Exit::Ok)
}

/// A scope whose level, group or user this school has.
pub(crate) fn known_scope(text: &str, snapshot: &Snapshot) -> Result<Scope, Failure> {
    let bad = || from_change_error(ChangeError::BadScope(text.to_owned()), &snapshot.policy, &[]);
    let scope = Scope::parse(text, &snapshot.policy).ok_or_else(bad)?;
    let known = match &scope {
        Scope::Level(name) => snapshot.policy.levels().id(name).is_some(),
        Scope::Group(name) => !name.trim().is_empty(),
        Scope::User(name) => snapshot.users.find(name).is_some(),
        Scope::Everyone => false,
    };
    if !known {
        return Err(bad());
    }
    if let Some([what, fix]) = unknown_group(&scope, snapshot) {
        note!("warning: {}", visible(&what));
        note!("  fix: {}", visible(&fix));
    }
    Ok(scope)
}

/// That nobody is in a group or class, so that what is opened or closed for it reaches nobody; and what to do.
pub(crate) fn unknown_group(scope: &Scope, snapshot: &Snapshot) -> Option<[String; 2]> {
    let Scope::Group(group) = scope else { return None };
    let nowhere = std::net::Ipv4Addr::UNSPECIFIED.into();
    let facts = UserFacts { groups: Arc::from([group.clone()]), ..UserFacts::default() };
    let is_named = snapshot.policy.identify(Some(&facts), nowhere).known_by == KnownBy::Group;
    let is_in = |own: &String| own.eq_ignore_ascii_case(group);
    if is_named || snapshot.users.iter().any(|user| user.facts.groups.iter().any(is_in)) {
        return None;
    }
    let mut known: Vec<&str> = snapshot
        .users
        .iter()
        .flat_map(|user| user.facts.groups.iter().map(String::as_str))
        .collect();
    known.sort_unstable();
    known.dedup();
    let what =
        format!("nobody is in group \"{group}\", and [who] does not name it: this reaches nobody");
    let fix = match known.is_empty() {
        true => "put people into it: schoolgate user add, or user import".to_owned(),
        false => {
            let known = first_of(known.into_iter().map(str::to_owned));
            format!("check the name; groups with people in them are {known}")
        }
    };
    Some([what, fix])
}

/// The number in `B-0001`, `U-0001` or plain `1`.
pub(crate) fn numbered(text: &str, letter: char) -> Option<u32> {
    let text = text.trim();
    let digits = text
        .strip_prefix(letter)
        .or_else(|| text.strip_prefix(letter.to_ascii_lowercase()))
        .map_or(text, |rest| rest.strip_prefix('-').unwrap_or(rest));
    (digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_and_without_their_letter() {
        for (text, number) in [
            ("B-0012", Some(12)),
            ("b12", Some(12)),
            ("12", Some(12)),
            ("U-0012", None),
            ("B-", None),
            ("B--1", None),
            ("B-99999999999", None),
            ("", None),
        ] {
            assert_eq!(numbered(text, 'B'), number, "{text}");
        }
    }
}
