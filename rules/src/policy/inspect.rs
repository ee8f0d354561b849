//! How far a policy lets the filter look into HTTPS.

use super::Policy;
use crate::access::Access;
use crate::inspect::{Inspect, InspectReason, Inspection, TlsRules};
use crate::level::LevelId;

impl Policy {
    /// How far the filter looks into an access, by the policy file alone: changes that the school
    /// has authorised besides come in through the proxy's snapshot.
    #[must_use]
    pub fn inspection(&self, access: &Access<'_>) -> Inspection {
        let mode = self.level_inspect(access.who.level);
        Inspection { mode, because: InspectReason::Default }
    }

    /// The level's own mode, or its parent's: whether its devices are held to trust the school's
    /// certificate authority.
    #[must_use]
    pub fn level_inspect(&self, level: LevelId) -> Inspect {
        self.levels.get(level).inspect.unwrap_or_default()
    }

    /// `[tls]`.
    #[must_use]
    pub fn tls(&self) -> &TlsRules {
        &self.tls
    }
}
