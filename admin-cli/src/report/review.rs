//! `report review`: somebody signs the week's report, and says what was done about it.

use crate::args::ChangeArgs;
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::school::{Acting, School, now};
use crate::who::person;
use jiff::civil::Date;
use rules::change::Event;
use rules::report::{DEPUTY_ROLES, week_bounds};
use rules::time::SchoolClock;

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
    let event = Event::ReportReviewed { week: monday.to_string(), action: action.to_owned() };
    acting.append(|_| Ok(vec![(by.clone(), event)])).await?;
    let would = if change.dry_run { "would be " } else { "" };
    let sunday = rules::time::UnixMillis(week_bounds(clock, monday).1.0 - 1);
    say!("week of {monday} to {}  {would}reviewed by {}", clock.day(sunday), visible(&by));
    Ok(Exit::Ok)
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
