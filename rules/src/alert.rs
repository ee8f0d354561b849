//! Words about alerts that the policy, the log and the command line share, and `[alerts]` of the policy.

use crate::access::Role;
use serde::{Deserialize, Serialize};

/// How soon somebody must look.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Severity {
    /// With the weekly report.
    #[default]
    Routine = 0,
    /// The same day.
    High = 1,
    /// At once: what is illegal, and suicide.
    Urgent = 2,
}

impl Severity {
    /// All, the least first.
    pub const ALL: [Severity; 3] = [Severity::Routine, Severity::High, Severity::Urgent];

    /// `routine`, `high` or `urgent`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Routine => "routine",
            Severity::High => "high",
            Severity::Urgent => "urgent",
        }
    }

    /// The severity of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.as_str() == word)
    }
}

/// An alert's number, shown as `A-0012`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(pub u32);

impl std::fmt::Display for AlertId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "A-{:04}", self.0)
    }
}

impl AlertId {
    /// Reads `A-0012`, `a-12` or `12`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix("A-").or_else(|| text.strip_prefix("a-")).unwrap_or(text);
        digits.parse().ok().filter(|number| *number > 0).map(Self)
    }
}

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;

/// `[alerts]`: who is told of what, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRules {
    /// Roles whose holders are told, by severity. Of what is routine nobody is told at once: it stands
    /// in the weekly report.
    pub told: [Vec<Role>; 3],
    /// Roles whose holders are told too where nobody has looked.
    pub escalate_to: Vec<Role>,
    /// Milliseconds after which that is, by severity; `None`: never.
    pub escalate_after_ms: [Option<i64>; 3],
    /// Signs of high severity within 30 minutes that make an alert.
    pub high_after: u32,
    /// Signs of one person and theme in a school day that make an alert.
    pub routine_after: u32,
    /// Signs of what devices do by themselves to get round the filter, of one person or device in a school day, that make
    /// an alert; `None`: none do.
    pub devices_after: Option<u32>,
    /// Whether mail says whom an alert is about.
    pub names_in_mail: bool,
}

impl Default for AlertRules {
    /// Urgent to safeguarding leads and head, and again after 15 minutes; high to the safeguarding
    /// leads, and to the head too after a day; at 2 and 5 signs, of what devices do by themselves at none; no names.
    fn default() -> Self {
        let leads = || vec![Role::Dsl];
        Self {
            told: [leads(), leads(), vec![Role::Dsl, Role::Head]],
            escalate_to: vec![Role::Head],
            escalate_after_ms: [None, Some(24 * 60 * MINUTE_MS), Some(15 * MINUTE_MS)],
            high_after: 2,
            routine_after: 5,
            devices_after: None,
            names_in_mail: false,
        }
    }
}

impl AlertRules {
    /// The roles that are told of a severity.
    #[must_use]
    pub fn told_of(&self, severity: Severity) -> &[Role] {
        &self.told[severity as usize]
    }

    /// Milliseconds until others are told, too.
    #[must_use]
    pub fn escalate_after(&self, severity: Severity) -> Option<i64> {
        self.escalate_after_ms[severity as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_have_their_words_and_order() {
        for severity in Severity::ALL {
            assert_eq!(Severity::from_word(severity.as_str()), Some(severity));
        }
        assert!(Severity::Routine < Severity::High && Severity::High < Severity::Urgent);
        assert_eq!(Severity::from_word("Urgent"), None);
    }

    #[test]
    fn a_number_reads_as_it_is_shown() {
        assert_eq!(AlertId(12).to_string(), "A-0012");
        for text in ["A-0012", "a-12", " 12 "] {
            assert_eq!(AlertId::parse(text), Some(AlertId(12)), "{text}");
        }
        for text in ["", "A-", "A-0", "U-0012", "-1", "A-99999999999"] {
            assert_eq!(AlertId::parse(text), None, "{text}");
        }
    }
}
