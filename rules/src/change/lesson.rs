//! Lessons: what a teacher may open alone, because an authoriser has said a standing yes to it.
//!
//! A standing yes stands in the policy, so it came there by sign-off like everything that opens. It
//! has an author, a role, categories, a width, a length and a date for review; outside any of them a
//! lesson is an ordinary request. It opens nothing that is locked or never unblocked, and of what lies
//! below its site nothing that another category closes: its entry keeps the categories of then.

use super::act::{ask_unblock, check_categories};
use super::{AUTOMATIC, ChangeError, Changes, Event};
use crate::category::CategorySet;
use crate::policy::{Cell, Policy, StandingYes};
use crate::site::Site;
use crate::time::UnixMillis;
use crate::unblock::Scope;

const MINUTE_MILLIS: i64 = 60_000;

/// What somebody wants open for a lesson, from now on.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields of the request form")]
pub struct Lesson {
    pub site: Site,
    /// Of the site.
    pub categories: CategorySet,
    pub scope: Scope,
    pub until: UnixMillis,
    pub reason: String,
}

/// The standing yes under which `by` may open this alone, now.
///
/// # Errors
/// [`ChangeError`]: locked, never, or why no standing yes covers it.
pub fn standing_yes<'p>(
    changes: &Changes,
    policy: &'p Policy,
    by: &str,
    lesson: &Lesson,
    now: UnixMillis,
) -> Result<&'p StandingYes, ChangeError> {
    check_categories(policy, lesson.categories)?;
    let all = &policy.unblock_rules().standing;
    if all.is_empty() {
        return Err(ChangeError::NoStandingYes("the policy has none".to_owned()));
    }
    let mut why = String::new();
    for yes in all {
        match uncovered((changes, policy), yes, by, lesson, now) {
            None => return Ok(yes),
            // The reason of the last one whose role is held says more than "not your role".
            Some(reason) if why.is_empty() || policy.roles(by).contains(yes.who) => why = reason,
            Some(_) => {}
        }
    }
    Err(ChangeError::NoStandingYes(why))
}

/// Why a standing yes does not cover a lesson; `None`: it does.
fn uncovered(
    (changes, policy): (&Changes, &Policy),
    yes: &StandingYes,
    by: &str,
    lesson: &Lesson,
    now: UnixMillis,
) -> Option<String> {
    let clock = policy.clock();
    if !policy.roles(by.trim()).contains(yes.who) {
        return Some(format!("it is for the role {}", yes.who.as_str()));
    }
    match author(policy, &yes.authorised) {
        Ok(author) if author.eq_ignore_ascii_case(by.trim()) => {
            return Some("it is your own yes, and nobody says yes to what they ask for".to_owned());
        }
        // The yes was given before: that others may have come to its author's account takes nothing away.
        Ok(author)
            if changes.keyed.are_linked(author, by, now)
                || changes.keyed.may_be_anybody(by, now) =>
        {
            return Some(format!(
                "you and its author {author} count as one person (schoolgate account list)"
            ));
        }
        Ok(_) => {}
        Err(why) => return Some(why),
    }
    let last = UnixMillis(lesson.until.0 - 1);
    if clock.day(now) > yes.review || clock.day(last) > yes.review {
        return Some(format!("it had to be reviewed by {}", yes.review));
    }
    let opened = lesson.categories.difference(open_to_all(policy));
    if let Some(category) = opened.difference(yes.categories).iter().next() {
        return Some(format!("it does not name {}", policy.catalogue().name(category)));
    }
    if opened.is_empty() {
        return Some("it names none of the site's categories".to_owned());
    }
    let is_wide_enough = match (yes.scope.as_str(), &lesson.scope) {
        (_, Scope::Everyone) => false,
        (_, Scope::User(_)) | ("class" | "level", Scope::Group(_)) => true,
        ("level", Scope::Level(_)) => true,
        _ => false,
    };
    if !is_wide_enough {
        return Some(format!("it is for a {} at most", yes.scope));
    }
    if lesson.until.0.saturating_sub(now.0) > i64::from(yes.max_minutes) * MINUTE_MILLIS {
        return Some(format!("it is for {} minutes at most", yes.max_minutes));
    }
    None
}

/// Categories that every level may see anyway: a lesson opens nothing by them.
fn open_to_all(policy: &Policy) -> CategorySet {
    let is_open =
        |id| policy.levels().iter().all(|(level, _)| *policy.cell(level, id).0 == Cell::Allow);
    policy.catalogue().iter().map(|(id, _)| id).filter(|id| is_open(*id)).collect()
}

/// Whose yes it is: the one authoriser of the policy whose account (`q.whitmore`) has the letters of the
/// name as written (`Q. Whitmore (DSL) 2026-09-01`). Where that is nobody, or could be two, nobody can be
/// told from its author, and it counts for nothing.
fn author<'p>(policy: &'p Policy, written: &str) -> Result<&'p str, String> {
    let letters = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect()
    };
    let name = written.split(['(', ',']).next().unwrap_or_default();
    let name =
        name.split_whitespace().filter(|word| !word.starts_with(|c: char| c.is_ascii_digit()));
    let name = letters(&name.collect::<String>());
    let roles = policy.unblock_rules().authorise.iter();
    let authorisers = roles.flat_map(|role| policy.holders(*role));
    let mut found: Vec<&str> =
        authorisers.map(String::as_str).filter(|account| letters(account) == name).collect();
    found.sort_unstable();
    found.dedup_by(|one, other| one.eq_ignore_ascii_case(other));
    match found[..] {
        [author] => Ok(author),
        [] => Err(format!(
            "its author is written \"{written}\", and [roles] names no authoriser with an account of that name"
        )),
        _ => Err(format!("its author, \"{written}\", could be {}", found.join(" or "))),
    }
}

/// The standing yes that a lesson has, or why it has none.
pub type Yes = Result<StandingYes, ChangeError>;

/// Checks a lesson and makes its events: open at once under a standing yes, which says whose yes it
/// is; else a request, with why no standing yes covers it.
///
/// # Errors
/// [`ChangeError`]: what an unblock may not be, or who may not ask for one.
pub fn start_lesson(
    changes: &Changes,
    policy: &Policy,
    by: &str,
    lesson: &Lesson,
    now: UnixMillis,
) -> Result<(Vec<(String, Event)>, Yes), ChangeError> {
    let Lesson { site, categories, scope, until, reason } = lesson;
    let scope = scope.clone();
    let asked =
        ask_unblock(changes, policy, by, *categories, site, scope, now, *until, reason, now)?;
    let mut events = vec![(by.to_owned(), asked)];
    let yes = standing_yes(changes, policy, by, lesson, now).cloned();
    if let Ok(yes) = &yes {
        let id = changes.next_unblock();
        let names = policy.catalogue().names(yes.categories);
        let categories = names.into_iter().map(str::to_owned).collect();
        let used = Event::StandingYesUsed { id, authorised: yes.authorised.clone(), categories };
        events.push((AUTOMATIC.to_owned(), used));
        events.push((AUTOMATIC.to_owned(), Event::UnblockApplied { id }));
    }
    Ok((events, yes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a malformed fixture is a failed test")]
    use super::*;
    use crate::category::Catalogue;

    fn policy(dsl: &str) -> Policy {
        let text = format!(
            "school = \"Example Academy\"\ntimezone = \"Europe/London\"\norder = [\"pupil\"]\n\
             [levels]\npupil = {{}}\n[grid]\ngames = {{ pupil = \"block\" }}\n\
             [roles]\ndsl = [{dsl}]\nit = [\"j.cho\"]\nteacher = [\"q.whitmore\"]\n\
             [unblock]\nauthorise = [\"dsl\"]\napply = \"automatic\"\nconfirm = [\"it\"]\n"
        );
        Policy::parse(&text, "policy.toml", Catalogue::shipped(), &|_| Err("no file".into()))
            .unwrap()
    }

    #[test]
    fn the_author_of_a_standing_yes_is_one_account_or_it_counts_for_nothing() {
        let one = policy(r#""Q.Whitmore", "d.deputy""#);
        for written in ["Q. Whitmore (DSL) 2026-09-01", "q whitmore, DSL", "Q.WHITMORE 2026-09-01"]
        {
            assert_eq!(author(&one, written).unwrap(), "Q.Whitmore", "{written}");
        }
        for written in ["Q. Whit", "The DSL", "j.cho", "Whitmore", "2026-09-01", ""] {
            assert!(
                author(&one, written).unwrap_err().contains("names no authoriser"),
                "{written}"
            );
        }
        let two = policy(r#""q.whitmore", "qw.hitmore""#);
        assert!(author(&two, "Q. Whitmore (DSL)").unwrap_err().contains("could be"));
    }
}
