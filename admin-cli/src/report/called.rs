//! How people are called in a report: by pseudonyms, and by their names where somebody with the role asked
//! for them.

use crate::failure::Failure;
use ledger::pseudonym::Pseudonyms;
use rules::time::{SchoolClock, UnixMillis};
use std::path::Path;

/// What people are called in one report.
#[derive(Debug)]
pub(crate) struct Called {
    pseudonyms: Pseudonyms,
    /// The days that the report covers: the same person is called otherwise in that of other days.
    scope: String,
    by_name: bool,
}

impl Called {
    /// For a report of this range.
    pub(super) fn new(
        state: &Path,
        clock: &SchoolClock,
        (from, until): (UnixMillis, UnixMillis),
        by_name: bool,
    ) -> Result<Self, Failure> {
        let pseudonyms = Pseudonyms::open(state).map_err(Failure::fault)?;
        let scope = format!("report {} to {}", clock.day(from), clock.day(until));
        Ok(Self { pseudonyms, scope, by_name })
    }

    /// What stands for a person.
    pub(super) fn pseudonym(&self, name: &str) -> String {
        self.pseudonyms.of(&self.scope, name)
    }

    /// The name, where it is shown.
    pub(super) fn name<'a>(&self, name: &'a str) -> Option<&'a str> {
        self.by_name.then_some(name)
    }

    /// Both, as a table's cell.
    pub(super) fn cell(&self, name: &str) -> String {
        let pseudonym = self.pseudonym(name);
        self.name(name).map_or(pseudonym.clone(), |name| format!("{pseudonym} {name}"))
    }

    /// What is said above people.
    pub(super) fn words(&self) -> &'static str {
        match self.by_name {
            true => "With names, which were asked for with a reason; the look is recorded.",
            false => {
                "Each person has a pseudonym, the same in every report of these days; the names: --names."
            }
        }
    }
}
