//! What the starter policy makes of a site, and of a text, for a pupil of 11 to 14 and for staff.

use super::Fault;
use categorizer::theme::{Found, Scratch, Themes};
use rules::access::{Access, Identity, UserFacts};
use rules::category::{Catalogue, CategoryId, CategorySet};
use rules::decide::{Decision, Verdict, decide};
use rules::host::Host;
use rules::policy::{Policy, ThemeAction};
use rules::target::{Scheme, seen_path};
use rules::time::UnixMillis;

/// A Tuesday in term, 10:00 in London: a lesson.
pub(crate) const LESSON: UnixMillis = UnixMillis(1_795_514_400_000);

/// Points of a theme from which the product acts, in hundredths of what a text of its length needs.
pub(crate) const FLAGGED_PERCENT: u32 = 100;

/// Categories that are blocked by age or time of day and not because a site harms: the last of the content
/// types of the UK guidance, and what wastes a lesson.
pub(crate) const BY_AGE: [&str; 31] = [
    "advertising",
    "ai",
    "anime",
    "astrology",
    "auctions",
    "banking",
    "blog",
    "celebrity",
    "chat",
    "crypto",
    "file-sharing",
    "finance",
    "forums",
    "games",
    "humour",
    "jobs",
    "live-streaming",
    "mobile-apps",
    "music",
    "parked",
    "radio",
    "shopping",
    "social",
    "software",
    "trackers",
    "translation",
    "uncategorised",
    "video",
    "web-archive",
    "webhosting",
    "webmail",
];

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Years 7 to 9.
    Ks3,
    /// Staff.
    Staff,
}

impl Who {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Ks3, Self::Staff];

    /// The level's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ks3 => "ks3",
            Self::Staff => "staff",
        }
    }
}

/// The starter policy, the shipped packs, and two people.
pub(crate) struct Levels {
    /// The packs, compiled.
    pub themes: Themes,
    policy: Policy,
    people: [Identity; 2],
    /// What is blocked for each of them, but for [`BY_AGE`].
    harmful: [CategorySet; 2],
}

/// What the themes of a text come to for somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// It is of a theme that is watched or refused.
    pub is_told: bool,
    /// It is of a theme that is refused.
    pub is_refused: bool,
}

impl Levels {
    /// As the product ships.
    ///
    /// # Errors
    /// The starter policy does not read.
    pub(crate) fn shipped() -> Result<Self, Fault> {
        let read = |name: &str| {
            let files = rules::defaults::POLICY_FILES;
            let file = files.iter().find(|(known, _)| *known == name);
            file.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
        };
        let starter = rules::defaults::POLICY;
        let policy = Policy::parse(starter, "policy.toml", Catalogue::shipped(), &read)
            .map_err(|faults| format!("the starter policy: {faults:?}"))?;
        let person = |who: Who| {
            let facts = UserFacts {
                name: "a.person".into(),
                level: Some(who.name().to_owned()),
                ..UserFacts::default()
            };
            policy.identify(Some(&facts), std::net::Ipv4Addr::LOCALHOST.into())
        };
        let people = Who::ALL.map(person);
        for (who, person) in Who::ALL.into_iter().zip(&people) {
            if policy.levels().id(who.name()) != Some(person.level) {
                return Err(format!("the starter policy has no level {}", who.name()).into());
            }
        }
        let harmful = [CategorySet::EMPTY; 2];
        let mut levels = Self { themes: Themes::shipped(), policy, people, harmful };
        let anywhere = Host::parse("somewhere.example")?;
        for who in Who::ALL {
            let is_harmful = |(id, category): &(CategoryId, &rules::category::Category)| {
                let alone = [*id].into_iter().collect();
                !BY_AGE.contains(&&*category.name)
                    && levels.decide(who, &anywhere, "/", alone).verdict == Verdict::Block
            };
            let blocked = levels.catalogue().iter().filter(is_harmful).map(|(id, _)| id);
            levels.harmful[who as usize] = blocked.collect();
        }
        Ok(levels)
    }

    /// The names of categories.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        self.policy.catalogue()
    }

    /// Decides about a site in a lesson.
    pub(crate) fn decide(
        &self,
        who: Who,
        host: &Host,
        path: &str,
        categories: CategorySet,
    ) -> Decision {
        let path = seen_path(path);
        let categories = if categories.is_empty() {
            [CategoryId::UNCATEGORISED].into_iter().collect()
        } else {
            categories
        };
        let access = Access {
            who: &self.people[who as usize],
            scheme: Scheme::Https,
            host,
            port: 443,
            path: Some(&path),
            categories,
        };
        decide(&self.policy, &[], &[], &access, LESSON)
    }

    /// The reason's word in the log.
    pub(crate) fn reason(&self, decision: &Decision) -> rules::decide::ReasonCode {
        decision.code(&self.policy)
    }

    /// Whether some category of a blocked site is blocked for what such sites do to people, and not by age or
    /// time of day.
    pub(crate) fn is_for_harm(
        &self,
        who: Who,
        decision: &Decision,
        categories: CategorySet,
    ) -> bool {
        decision.verdict == Verdict::Block && !self.harmful(who, categories).is_empty()
    }

    /// Those of some categories that are blocked for what such sites do to people.
    pub(crate) fn harmful(&self, who: Who, categories: CategorySet) -> CategorySet {
        self.harmful[who as usize].intersection(categories)
    }

    /// What becomes of a text that is of a theme.
    pub(crate) fn action(&self, who: Who, theme: &str) -> ThemeAction {
        self.policy.theme_action(self.people[who as usize].level, theme)
    }

    /// What the themes found in a text come to.
    pub(crate) fn said(&self, who: Who, found: &Found<'_>) -> Said {
        let actions = found.themes_from(FLAGGED_PERCENT).map(|theme| self.action(who, theme));
        let strictest = actions.max().unwrap_or(ThemeAction::Off);
        Said {
            is_told: strictest >= ThemeAction::Watch,
            is_refused: strictest == ThemeAction::Block,
        }
    }

    /// What the words of an address come to, for both: they refuse only where no list knows the host.
    pub(crate) fn address_said(
        &self,
        host: &Host,
        path: &str,
        categories: CategorySet,
        scratch: &mut Scratch,
    ) -> [Said; 2] {
        let found = self.themes.score_address(host.as_str(), path, scratch);
        Who::ALL.map(|who| {
            let said = self.said(who, &found);
            Said { is_refused: said.is_refused && categories.is_empty(), ..said }
        })
    }
}
