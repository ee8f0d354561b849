//! Words about alerts that the policy, the log and the command line share.

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
