//! `report review`: somebody signs the week's report, and says what was done about it.

use crate::args::ChangeArgs;
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::school::{Acting, School, from_append_error, now};
use crate::who::person;
use jiff::civil::Date;
use rules::change::{ChangeEntry, Event, same_person};
use rules::report::{DEPUTY_ROLES, FOR_LEAD, Reading, week_bounds};
use rules::time::{SchoolClock, UnixMillis};

/// Most characters of what was done.
const LONGEST_ACTION: usize = 500;

pub(super) async fn run(
    school: &School,
    action: &str,
    week: Option<&str>,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let policy = school.snapshot().await?.policy;
    let log = school.change_log().await?;
    let by = person(school, &log, change).await?;
    let acting = Acting::new(&log, &by, "report review".to_owned(), change);
    acting.require(&policy, &DEPUTY_ROLES).await?;
    let action = action.trim();
    let letters = action.chars().count();
    if letters == 0 || letters > LONGEST_ACTION {
        return Err(Failure::usage(format!(
            "say in 1 to {LONGEST_ACTION} characters what was done"
        ))
        .fix("--action \"Nothing to do\" is an answer too"));
    }
    let clock = policy.clock();
    let monday = monday(clock, week)?;
    let entries = log.entries_after(0).await.map_err(from_append_error)?;
    has_run(clock, &entries, monday)?;
    let sunday = UnixMillis(week_bounds(clock, monday).1.0 - 1);
    let reviews = Reading::of(&entries, clock, monday, FOR_LEAD).reviews;
    if let Some(review) = reviews.iter().find(|review| same_person(&review.by, &by)) {
        let (signer, at) = (visible(&review.by), clock.show(review.at));
        say!(
            "week of {monday} to {}  already signed by {signer} at {at}; nothing was added",
            clock.day(sunday)
        );
        return Ok(Exit::Ok);
    }
    let size = entries.last().map_or(0, |entry| entry.sequence + 1);
    let event = Event::ReportReviewed { week: monday.to_string(), action: action.to_owned() };
    acting
        .append(|changes| match changes.size == size {
            true => Ok(vec![(by.clone(), event)]),
            false => Err(crate::hold::moved()),
        })
        .await?;
    let would = if change.dry_run { "would be " } else { "" };
    say!("week of {monday} to {}  {would}reviewed by {}", clock.day(sunday), visible(&by));
    Ok(Exit::Ok)
}

/// Nobody signs the report of a week in which there was no filter. What the log says to come has been: a clock
/// once ran ahead.
fn has_run(clock: &SchoolClock, entries: &[ChangeEntry], monday: Date) -> Result<(), Failure> {
    let started = |entry: &&ChangeEntry| matches!(entry.event, Event::ServeStarted { .. });
    let mut starts = entries.iter().filter(started).map(|entry| entry.at).peekable();
    let (until, now) = (week_bounds(clock, monday).1, now());
    let Some(first) = starts.peek().copied() else {
        return Err(Failure::usage("the filter has not run yet: there is no week to sign")
            .fix("start it with: schoolgate serve"));
    };
    if starts.any(|at| at < until || at > now) {
        return Ok(());
    }
    let what = format!(
        "the filter first ran on {}, after the week of {monday}: that has no report",
        clock.show(first)
    );
    Err(Failure::usage(what).fix("sign a later week: --week DATE"))
}

/// The Monday of a week that is over.
fn monday(clock: &SchoolClock, week: Option<&str>) -> Result<Date, Failure> {
    let today = clock.day(now());
    let day = match week {
        None => today.saturating_sub(jiff::Span::new().days(7)),
        Some(text) => text.trim().parse::<Date>().map_err(|_| {
            Failure::usage(format!("\"{}\" is no day", visible(text)))
                .fix("write it like --week 2026-11-16")
        })?,
    };
    let monday_of = |day: Date| {
        day.saturating_sub(jiff::Span::new().days(day.weekday().to_monday_zero_offset()))
    };
    if monday_of(day) >= monday_of(today) {
        return Err(Failure::usage(format!("the week of {day} is not over"))
            .fix("its report can be signed from the Monday after"));
    }
    Ok(monday_of(day))
}
