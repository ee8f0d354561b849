//! How far a policy lets the filter look into HTTPS.

use super::{Policy, RuleId, SiteMap, or_uncategorised};
use crate::access::Access;
use crate::category::{CategoryId, CategorySet};
use crate::change::PrivacyLift;
use crate::inspect::{Inspect, InspectReason, Inspection, TlsRules, group_of};
use crate::level::LevelId;
use crate::site::Site;
use crate::time::UnixMillis;
use crate::unblock::UnblockId;

/// What a policy file says about looking in: `[inspect]` and `[[inspect_site]]`.
#[derive(Clone, Debug, Default)]
pub(super) struct InspectRules {
    /// The lines of `[inspect]`.
    pub(super) categories: Vec<(CategoryId, Inspect, RuleId)>,
    /// Categories of those lines by mode.
    pub(super) name: CategorySet,
    pub(super) never: CategorySet,
    pub(super) lines: Vec<InspectSite>,
    pub(super) sites: SiteMap<(Inspect, RuleId)>,
}

/// A standing decision about one site: `[[inspect_site]]`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys of [[inspect_site]]")]
pub struct InspectSite {
    pub rule: RuleId,
    pub site: Site,
    pub inspect: Inspect,
    pub reason: String,
    pub review: jiff::civil::Date,
}

impl Policy {
    /// How far the filter looks into an access, by the policy file alone: changes that the school
    /// has authorised besides come in through [`Policy::inspection_with`].
    #[must_use]
    pub fn inspection(&self, access: &Access<'_>) -> Inspection {
        self.inspection_with(access, &[], UnixMillis(0))
    }

    /// As [`Policy::inspection`], with what authorised changes let the filter look into. A change
    /// only takes the privacy away: pinned hosts, the school's own lines and the level still hold.
    #[must_use]
    pub fn inspection_with(
        &self,
        access: &Access<'_>,
        lifts: &[PrivacyLift],
        now: UnixMillis,
    ) -> Inspection {
        let private = access.categories.intersection(self.catalogue.privacy());
        let (lifted, change) = self.lifted(private, access, lifts, now);
        if let Some(category) = private.difference(lifted).iter().next() {
            let because = InspectReason::Privacy(category);
            return Inspection { mode: Inspect::Never, because };
        }
        let level = self.levels.get(access.who.level).inspect;
        let floor = Inspection {
            mode: level.unwrap_or_default(),
            because: match (level, change) {
                (Some(Inspect::Page), Some(change)) => InspectReason::Change(change),
                (Some(_), _) => InspectReason::Level,
                (None, _) => InspectReason::Default,
            },
        };
        match self.inspection_of_site(access, lifted) {
            // No line raises a level: its devices do not trust the school's authority.
            Some(said) if said.mode >= floor.mode => said,
            _ => floor,
        }
    }

    /// What is said of the site: its own line, else the most private of its categories and groups.
    fn inspection_of_site(&self, access: &Access<'_>, lifted: CategorySet) -> Option<Inspection> {
        let said = |mode, because| Some(Inspection { mode, because });
        if let Some((mode, rule)) = self.inspect.sites.covering(access.host, None).next() {
            return said(*mode, InspectReason::Site(*rule));
        }
        let categories = or_uncategorised(access.categories).difference(lifted);
        if let Some(category) = categories.intersection(self.inspect.never).iter().next() {
            return said(Inspect::Never, InspectReason::Category(category));
        }
        if let Some(group) = group_of(access.host) {
            return said(Inspect::Never, InspectReason::Group(group));
        }
        let name = categories.intersection(self.inspect.name).iter().next()?;
        said(Inspect::Name, InspectReason::Category(name))
    }

    /// The privacy categories of an access that authorised changes take away, and one such change.
    fn lifted(
        &self,
        private: CategorySet,
        access: &Access<'_>,
        lifts: &[PrivacyLift],
        now: UnixMillis,
    ) -> (CategorySet, Option<UnblockId>) {
        let (mut lifted, mut change) = (CategorySet::EMPTY, None);
        if private.is_empty() {
            return (lifted, change);
        }
        for lift in lifts.iter().filter(|lift| lift.from <= now && now < lift.until) {
            let taken = lift.takes(private, access.host, &self.catalogue);
            if !taken.is_empty() {
                lifted = lifted.union(taken);
                change = change.or(Some(lift.id));
            }
        }
        (lifted, change)
    }

    /// The level's own mode, or its parent's: whether its devices are held to trust the school's
    /// certificate authority.
    #[must_use]
    pub fn level_inspect(&self, level: LevelId) -> Inspect {
        self.levels.get(level).inspect.unwrap_or_default()
    }

    /// The rule of `[inspect]` about a category.
    #[must_use]
    pub fn inspect_rule(&self, category: CategoryId) -> Option<RuleId> {
        let lines = &self.inspect.categories;
        lines.iter().find(|(id, _, _)| *id == category).map(|(_, _, rule)| *rule)
    }

    /// The lines of `[inspect]`, in the order of the file.
    #[must_use]
    pub fn inspect_categories(&self) -> &[(CategoryId, Inspect, RuleId)] {
        &self.inspect.categories
    }

    /// The school's `[[inspect_site]]`, in the order of the file.
    #[must_use]
    pub fn inspect_sites(&self) -> &[InspectSite] {
        &self.inspect.lines
    }

    /// `[tls]`.
    #[must_use]
    pub fn tls(&self) -> &TlsRules {
        &self.tls
    }
}
