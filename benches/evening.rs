//! A log that has already so many records of the day that is: what a filter has in the evening.

use crate::days::Days;
use crate::pupils::School;
use crate::stage;
use crate::web::Web;
use ledger::ingest::recover;
use rules::time::{SchoolClock, UnixMillis};
use std::path::Path;

/// Hour of the day in the zone that is chosen: the day of the made-up school is over by then, and the
/// date does not change for an hour at least.
const HOUR: i8 = 22;

/// Writes so many records into the log of a state folder that nobody uses, all on the day that it is
/// now in a zone of [`zone`], so that all of them lie in the past.
///
/// # Errors
/// A sentence: what failed.
pub(crate) fn write(state: &Path, records: usize, zone: &str) -> Result<(), String> {
    let say = |error: std::io::Error| format!("{}: {error}", state.display());
    let clock = SchoolClock::new(zone, &[]).map_err(|error| error.to_string())?;
    let now = jiff::Timestamp::now();
    let day = clock.day(UnixMillis(now.as_millisecond()));
    let shared = stage::shared_folder();
    // The web looks for the folder above the data.
    let web = Web::new(shared.as_deref().and_then(Path::parent));
    let school = School::new();
    let journal = state.join("journal");
    std::fs::create_dir_all(&journal).map_err(say)?;
    Days::new(&web, &school, &clock).write(&journal, day, 1, records).map_err(say)?;
    let recovered = recover(state).map_err(|error| error.to_string())?;
    let stored = recovered.ok_or("another process holds the folder")?.decisions;
    if stored != records as u64 {
        return Err(format!("{stored} of {records} records stored"));
    }
    Ok(())
}

/// The zone in which it is evening now.
///
/// # Errors
/// A sentence: there is none.
pub(crate) fn zone() -> Result<String, String> {
    let now = jiff::Timestamp::now();
    // These zones count west as positive.
    let zones =
        (-14..=12_i8).map(|west| format!("Etc/GMT{}{}", if west < 0 { "" } else { "+" }, west));
    for zone in zones {
        let known = jiff::tz::TimeZone::get(&zone).map_err(|error| error.to_string())?;
        if now.to_zoned(known).hour() == HOUR {
            return Ok(zone);
        }
    }
    Err("no time zone of the system has evening now".to_owned())
}
