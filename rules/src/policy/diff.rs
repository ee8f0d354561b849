//! What differs between two policies.

use super::Policy;

/// What differs between two policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyDiff {
    /// A line each, e.g. `games for ks3: block -> allow at lunch`.
    pub lines: Vec<String>,
    /// Whether anything opens that was closed.
    pub loosens: bool,
}

impl Policy {
    /// What differs.
    #[must_use]
    pub fn diff(&self, newer: &Policy) -> PolicyDiff {
        let _ = newer;
        // Until the parts are compared, any change counts as loosening.
        PolicyDiff { lines: vec!["the policy text".to_owned()], loosens: true }
    }
}
