//! `policy.toml`: the school's decisions, read into a grid that answers in nanoseconds.

mod diff;
mod inspect;
mod phrase_lists;
mod read;
mod read_alerts;
mod read_assistants;
mod read_files;
mod read_grid;
mod read_inspect;
mod read_levels;
mod read_phrase_lists;
mod read_reports;
mod read_rules;
mod read_tenants;
mod read_themes;
mod read_thresholds;
mod site_map;
mod themes;
mod trial;

pub use crate::document::PolicyError;
pub use diff::{LevelChanges, PolicyDiff};
pub use inspect::InspectSite;
pub use phrase_lists::{FULL_WEIGHT, PhraseKind, PhraseList, PhraseWeights, PhrasesRead};
pub use themes::{THRESHOLD, THRESHOLDS, ThemeAction};
pub use trial::TestFailure;

use crate::access::{Access, Identity, KnownBy, Role, RoleSet, UserFacts};
use crate::alert::AlertRules;
use crate::category::{Catalogue, CategoryId, CategorySet};
use crate::change::SignOffOrder;
use crate::decide::{Decision, Reason, allow, block};
use crate::file::{FileRules, ScanRule};
use crate::host::Host;
use crate::inspect::{Inspect, TlsRules};
use crate::level::{Level, LevelId, Levels};
use crate::report::ReportRules;
use crate::search::{Refusal, Search};
use crate::site::Site;
use crate::tenants::Tenants;
use crate::time::{SchoolClock, UnixMillis, WeekTimes};
use ipnet::IpNet;
use site_map::SiteMap;
use std::collections::HashMap;
use std::net::IpAddr;

/// A rule's place in its policy: for records and explanations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u16);

/// Where a rule stands and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `policy.toml:26`, or `baseline:12` for a shipped row.
    pub place: String,
    /// As written, e.g. `games = "allow at lunch"`.
    pub text: String,
}

/// A grid cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Acceptable.
    Allow,
    /// Unacceptable.
    Block,
    /// Acceptable at certain times.
    AllowAt(WeekTimes),
    /// Acceptable for nominated users.
    AllowFor(Role),
}

/// A `[[test]]` case.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the keys of [[test]]")]
pub struct PolicyTest {
    pub place: String,
    pub level: LevelId,
    /// As written, e.g. `Tue 10:00`.
    pub at: Option<String>,
    pub allow: Vec<Subject>,
    pub block: Vec<Subject>,
    /// How far the filter must look in.
    pub inspect: Vec<(Subject, Inspect)>,
}

/// What a test case is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A host (or host and path).
    Site(Site),
    /// `category:games`: an otherwise unknown site of that category.
    Category(CategoryId),
}

/// A standing exception.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys of [[exception]]")]
pub struct Exception {
    pub rule: RuleId,
    pub site: Site,
    pub level: LevelId,
    /// `block_for`: closes the site; else `allow_for`: opens it.
    pub blocks: bool,
    pub reason: String,
    pub review: jiff::civil::Date,
}

/// `[unblock]`: who may say yes, and how far.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys of [unblock]")]
pub struct UnblockRules {
    pub authorise: Vec<Role>,
    pub apply_automatically: bool,
    /// Who makes the change where it is not automatic.
    pub apply: Vec<Role>,
    pub confirm: Vec<Role>,
    pub max_days: u16,
    pub never: CategorySet,
    /// In which order a request gets its sign-offs.
    pub order: SignOffOrder,
    /// Standing yeses, used by lessons.
    pub standing: Vec<StandingYes>,
}

/// `[[unblock.standing]]`: an authoriser's yes to what a role may open alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the keys of [[unblock.standing]]")]
pub struct StandingYes {
    pub who: Role,
    pub categories: CategorySet,
    /// `class`, `level` or `user`: how wide one opening may be.
    pub scope: String,
    pub max_minutes: u16,
    /// Who said so and when, as written.
    pub authorised: String,
    pub review: jiff::civil::Date,
}

/// `[keep]`: how long records are kept, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Records of what was allowed.
    pub allowed_days: u32,
    /// Records of what was blocked, and of searches.
    pub blocked_days: u32,
    /// The change log.
    pub changes_days: u32,
    /// Whom alerts are about, and what was noted of them.
    pub alerts_days: u32,
}

impl Default for Keep {
    /// 90 days, 12 months, 7 years, 12 months.
    fn default() -> Self {
        Self { allowed_days: 90, blocked_days: 366, changes_days: 2557, alerts_days: 366 }
    }
}

/// A cell as it holds: what it says, where, and in which words.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) cell: Cell,
    pub(crate) rule: RuleId,
    /// `allow at lunch`.
    words: String,
}

/// What a level's row of the grid comes to, for the hot path.
#[derive(Clone, Debug)]
struct LevelRules {
    /// Category to place in `answers`; categories beyond its end are blocked.
    answers: Vec<u16>,
    /// Cells that say `allow`.
    allowed: CategorySet,
    /// Cells that depend on the time or a role.
    conditional: CategorySet,
    /// `only`.
    list: Option<SiteList>,
}

/// The sites that a level is limited to.
#[derive(Clone, Debug)]
struct SiteList {
    rule: RuleId,
    file: String,
    sites: SiteMap<()>,
}

/// The entries of `[who]`.
#[derive(Clone, Debug, Default)]
struct Who {
    /// By name in lower case.
    users: HashMap<String, LevelId>,
    /// By name in lower case, in the order of the file.
    groups: Vec<(String, LevelId)>,
    /// Longest prefix first.
    networks: Vec<(IpNet, LevelId)>,
}

/// A policy, checked and compiled.
#[derive(Clone, Debug)]
pub struct Policy {
    school: String,
    levels: Levels,
    catalogue: Catalogue,
    clock: SchoolClock,
    /// The words of `timezone`, `terms` and `[times]`, to compare policies by.
    calendar: Calendar,
    rules: Vec<Rule>,
    /// All answers of the grid; the first is the block where nothing is written.
    pub(crate) answers: Vec<Answer>,
    grid: Vec<LevelRules>,
    exceptions: Vec<Exception>,
    opened: SiteMap<(LevelId, RuleId)>,
    closed: SiteMap<(LevelId, RuleId)>,
    who: Who,
    roles: HashMap<String, RoleSet>,
    /// By role, as written.
    holders: [Vec<String>; Role::ALL.len()],
    unblock: UnblockRules,
    alerts: AlertRules,
    reports: ReportRules,
    keep: Keep,
    inspect: inspect::InspectRules,
    tls: TlsRules,
    tenants: Tenants,
    themes: themes::ThemeRules,
    phrase_lists: Vec<PhraseList>,
    /// Those in which lists were looked for.
    phrase_folders: Vec<String>,
    phrase_weights: std::sync::Arc<PhraseWeights>,
    assistants: SiteMap<()>,
    /// `[files]` by level.
    pub(crate) file_rules: Vec<FileRules>,
    pub(crate) scan_rule: ScanRule,
    pub(crate) unchecked_files: CategorySet,
    sign_in: Vec<SignInBy>,
    tests: Vec<PolicyTest>,
    files: Vec<String>,
    warnings: Vec<String>,
}

/// The words about time in a policy, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Calendar {
    timezone: String,
    terms: Vec<String>,
    times: Vec<(String, WeekTimes, String)>,
}

/// A way of finding out who asks; a word of `identify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInBy {
    /// Name and password of the user store.
    Basic,
    /// The networks of `[who]`; always used.
    Network,
    /// Kerberos tickets. Not in this version.
    Kerberos,
    /// Chromebook sign-in. Not in this version.
    Chromebook,
    /// A sign-in page. Not in this version.
    Portal,
}

impl SignInBy {
    /// All ways.
    pub const ALL: [SignInBy; 5] =
        [Self::Basic, Self::Network, Self::Kerberos, Self::Chromebook, Self::Portal];

    /// The word in `identify`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Network => "network",
            Self::Kerberos => "kerberos",
            Self::Chromebook => "chromebook",
            Self::Portal => "portal",
        }
    }

    /// Whether this version can do it.
    #[must_use]
    pub fn is_available(self) -> bool {
        matches!(self, Self::Basic | Self::Network)
    }
}

impl Policy {
    /// Reads a policy. `catalogue` holds the shipped categories and those of the machine's lists;
    /// `read` gives the text of a file that the policy names (`only = "local/ks1.txt"`).
    ///
    /// # Errors
    /// Every fault found, each with its line; unknown keys are faults.
    pub fn parse(
        text: &str,
        file: &str,
        catalogue: Catalogue,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Policy, Vec<PolicyError>> {
        read::read(text, file, catalogue, read)
    }

    /// Files that the policy names, as written: watched for changes, part of its hash.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        self.files.clone()
    }

    /// The school's name.
    #[must_use]
    pub fn school(&self) -> &str {
        &self.school
    }

    /// Levels.
    #[must_use]
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Categories.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Time zone and terms.
    #[must_use]
    pub fn clock(&self) -> &SchoolClock {
        &self.clock
    }

    /// A rule's place and text.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[usize::from(id.0)]
    }

    /// The cell that holds for a level and category, its own or inherited.
    #[must_use]
    pub fn cell(&self, level: LevelId, category: CategoryId) -> (&Cell, RuleId) {
        let answer = self.answer(level, category);
        (&answer.cell, answer.rule)
    }

    /// Whether a level is limited to a list of sites (`only`).
    #[must_use]
    pub fn only(&self, level: LevelId) -> Option<RuleId> {
        self.grid[level.index()].list.as_ref().map(|list| list.rule)
    }

    /// Who somebody is: user beats group beats network; nobody known is the strictest level.
    ///
    /// A user's own entry in `[who]` beats the level kept with the user; a kept level that this
    /// policy does not have is passed over. Of several groups the first in the file wins, and of
    /// several networks the narrowest.
    #[must_use]
    pub fn identify(&self, user: Option<&UserFacts>, client: IpAddr) -> Identity {
        let name = user.map(|facts| facts.name.to_lowercase());
        let by_user = user.zip(name.as_deref()).and_then(|(facts, name)| {
            let kept = || facts.level.as_deref().and_then(|level| self.levels.id(level));
            self.who.users.get(name).copied().or_else(kept)
        });
        let by_group = || {
            let groups: Vec<_> = user?.groups.iter().map(|group| group.to_lowercase()).collect();
            let entry = self.who.groups.iter().find(|(group, _)| groups.contains(group));
            entry.map(|(_, level)| (*level, KnownBy::Group))
        };
        let by_network = || Some((self.network(client)?, KnownBy::Network));
        let (level, known_by) = by_user
            .map(|level| (level, KnownBy::User))
            .or_else(by_group)
            .or_else(by_network)
            .unwrap_or((self.levels.strictest(), KnownBy::Nothing));
        Identity {
            level,
            user: user.map(|facts| facts.name.clone()),
            groups: user.map(|facts| facts.groups.clone()).unwrap_or_default(),
            roles: name.and_then(|name| self.roles.get(&name).copied()).unwrap_or_default(),
            banned_until: user.and_then(|facts| facts.banned_until),
            known_by,
        }
    }

    /// Whether any network maps to a level: without one, an unnamed client is always the strictest.
    #[must_use]
    pub fn knows_network(&self, client: IpAddr) -> bool {
        self.network(client).is_some()
    }

    fn network(&self, client: IpAddr) -> Option<LevelId> {
        let client = client.to_canonical();
        let entry = self.who.networks.iter().find(|(network, _)| network.contains(&client));
        entry.map(|(_, level)| *level)
    }

    /// The ways of finding out who asks, as the file lists them. Those of
    /// [`SignInBy::is_available`] are used; the others are in [`Policy::warnings`].
    #[must_use]
    pub fn sign_in(&self) -> &[SignInBy] {
        &self.sign_in
    }

    /// Whether a client that no network maps is asked for name and password: `identify` has
    /// `basic`.
    #[must_use]
    pub fn wants_sign_in(&self) -> bool {
        self.sign_in.contains(&SignInBy::Basic)
    }

    /// What the policy asks for that this version does not do, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// [`Policy::warnings`], what has become of the policy by `now` (its terms are all over, a review is overdue), and
    /// exceptions that open search engines.
    #[must_use]
    pub fn warnings_at(&self, now: UnixMillis) -> Vec<String> {
        let by_now = self.terms_over(now).into_iter().chain(self.overdue_reviews(now));
        let by_now = by_now.chain(self.opened_engines());
        self.warnings.iter().cloned().chain(by_now).collect()
    }

    /// A sentence for each standing decision whose review date has passed. It holds on all the same:
    /// to close by itself what lessons count on would help nobody.
    #[must_use]
    pub fn overdue_reviews(&self, now: UnixMillis) -> Vec<String> {
        let today = self.clock.day(now);
        // An exception for several levels is one decision.
        let mut exceptions: Vec<&Exception> = self.exceptions.iter().collect();
        exceptions.dedup_by_key(|exception| exception.rule);
        let exceptions = exceptions.into_iter().map(|it| (it.site.to_string(), it.review));
        let sites = self.inspect.lines.iter();
        let sites = sites.map(|it| (format!("how far {} is looked into", it.site), it.review));
        let standing = self.unblock.standing.iter();
        let standing =
            standing.map(|it| (format!("the standing yes of {}", it.authorised), it.review));
        let all = exceptions.chain(sites).chain(standing);
        all.filter(|(_, review)| *review < today)
            .map(|(what, review)| format!("review of {what} was due {review}"))
            .collect()
    }

    /// A sentence for each exception by which a level has a search engine that its settings would refuse: it may have been
    /// made for something else.
    fn opened_engines(&self) -> impl Iterator<Item = String> {
        let search = Search::shipped();
        let opens =
            move |exception: &&Exception| !exception.blocks && search.is_engine(&exception.site);
        self.exceptions.iter().filter(opens).flat_map(move |exception| {
            let site = search.site(exception.site.host());
            let refused = move |level: &Level| {
                let way = site.as_ref()?.way(&level.search_rules(), None, || None);
                way.err().filter(|why| matches!(why, Refusal::NoSafeMode | Refusal::NotForChildren))
            };
            let levels = self.levels.iter();
            let levels = levels.filter(|(id, _)| self.levels.within(*id, exception.level));
            levels.filter_map(move |(_, level)| {
                let why = refused(level)?.code().as_str();
                let (site, level) = (&exception.site, &level.name);
                Some(format!("the exception for {site} opens a search engine to {level} that is refused otherwise ({why})"))
            })
        })
    }

    /// The sentence to say where the terms given are all over: what was open at a named time stays
    /// closed.
    #[must_use]
    pub fn terms_over(&self, now: UnixMillis) -> Option<String> {
        let last = self.clock.terms_ended(now)?;
        Some(format!(
            "the last term ended on {last}; named times hold on no day until a new term is added"
        ))
    }

    /// The roles of a person, by name without case.
    #[must_use]
    pub fn roles(&self, user: &str) -> RoleSet {
        self.roles.get(&user.to_lowercase()).copied().unwrap_or_default()
    }

    /// The names that hold a role: for "ask Q. Whitmore (DSL)".
    #[must_use]
    pub fn holders(&self, role: Role) -> &[String] {
        &self.holders[role as usize]
    }

    /// `[unblock]`.
    #[must_use]
    pub fn unblock_rules(&self) -> &UnblockRules {
        &self.unblock
    }

    /// `[tenants]`.
    #[must_use]
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// `[alerts]`.
    #[must_use]
    pub fn alert_rules(&self) -> &AlertRules {
        &self.alerts
    }

    /// `[reports]`.
    #[must_use]
    pub fn report_rules(&self) -> &ReportRules {
        &self.reports
    }

    /// Who is told where nobody has read a week's report; may be nobody.
    #[must_use]
    pub fn report_deputies(&self) -> &[String] {
        match &self.reports.deputy[..] {
            [] => self.holders(Role::Head),
            named => named,
        }
    }

    /// `[keep]`.
    #[must_use]
    pub fn keep(&self) -> Keep {
        self.keep
    }

    /// Standing exceptions, in the order of the file.
    #[must_use]
    pub fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// Whether the policy names any assistant.
    #[must_use]
    pub fn names_assistants(&self) -> bool {
        self.assistants.sites().next().is_some()
    }

    /// Whether the policy says that a site answers what is written to it. Path as rules see it; `None`: it is not seen.
    #[must_use]
    pub fn is_assistant(&self, host: &Host, path: Option<&str>) -> bool {
        self.assistants.covering(host, path).next().is_some()
    }

    /// How many `[[test]]` expectations there are.
    #[must_use]
    pub fn test_count(&self) -> usize {
        let count = |test: &PolicyTest| test.allow.len() + test.block.len() + test.inspect.len();
        self.tests.iter().map(count).sum()
    }

    /// The next `[from, until)` when a blocked access would be allowed by the clock alone.
    #[must_use]
    pub fn opens(&self, access: &Access<'_>, now: UnixMillis) -> Option<(UnixMillis, UnixMillis)> {
        let times = self.closing_times(access)?;
        let mut at = now;
        // Several categories may each have a time: go on until all hold at once. Each round moves
        // to the next start of one of them, and there are few in a week.
        for _ in 0..200 {
            match times.iter().find(|times| !self.clock.holds(times, at)) {
                Some(times) => at = self.clock.next(times, at)?.0,
                None => {
                    let ends = times.iter().map(|times| Some(self.clock.next(times, at)?.1));
                    let until = ends.min().flatten()?;
                    let is_banned = access.who.banned_until.is_some_and(|banned| at < banned);
                    return (!is_banned).then_some((at, until));
                }
            }
        }
        None
    }

    /// The times of the cells on which a blocked access depends, if it depends on nothing else.
    fn closing_times(&self, access: &Access<'_>) -> Option<Vec<&WeekTimes>> {
        let rules = &self.grid[access.who.level.index()];
        let categories = or_uncategorised(access.categories);
        let is_locked = !categories.intersection(self.catalogue.locked()).is_empty();
        if is_locked || rules.list.is_some() || self.find(&self.closed, access).is_some() {
            return None;
        }
        let mut times = Vec::new();
        for category in categories.difference(rules.allowed).iter() {
            match &self.answer(access.who.level, category).cell {
                Cell::AllowAt(week) => times.push(week),
                cell if self.is_open(cell, access.who, UnixMillis(0)) => {}
                _ => return None,
            }
        }
        (!times.is_empty()).then_some(times)
    }

    /// What the file itself says: standing blocks, the level's list, the grid.
    pub(crate) fn written(&self, access: &Access<'_>, now: UnixMillis) -> Decision {
        let rules = &self.grid[access.who.level.index()];
        if let Some(rule) = self.find(&self.closed, access) {
            return block(Reason::Exception(rule));
        }
        if let Some(list) = &rules.list {
            let is_on_list = list.sites.covering(access.host, access.path).next().is_some();
            return match is_on_list {
                true => allow(Reason::OnList(list.rule)),
                false => block(Reason::NotOnList(list.rule)),
            };
        }
        self.by_grid(rules, access, now)
    }

    /// The strictest cell of the access's categories: a flat block, then one whose time or role
    /// fails, then allowed.
    fn by_grid(&self, rules: &LevelRules, access: &Access<'_>, now: UnixMillis) -> Decision {
        let level = access.who.level;
        let categories = or_uncategorised(access.categories);
        let grid = |category| Reason::Grid { category, rule: self.answer(level, category).rule };
        let flat = categories.difference(rules.allowed).difference(rules.conditional);
        if let Some(category) = flat.iter().next() {
            return block(grid(category));
        }
        let conditional = categories.intersection(rules.conditional);
        let is_closed = |category: &CategoryId| {
            !self.is_open(&self.answer(level, *category).cell, access.who, now)
        };
        if let Some(category) = conditional.iter().find(is_closed) {
            return block(grid(category));
        }
        // The condition that was met says more than a flat "allow" beside it.
        let category = conditional.iter().next().or_else(|| categories.iter().next());
        allow(grid(category.unwrap_or(CategoryId::UNCATEGORISED)))
    }

    /// The categories of an access whose cells are closed to whoever asks, now.
    pub(crate) fn closed_categories(&self, access: &Access<'_>, now: UnixMillis) -> CategorySet {
        let level = access.who.level;
        let rules = &self.grid[level.index()];
        let categories = or_uncategorised(access.categories);
        let conditional = categories.intersection(rules.conditional);
        let is_open =
            |id: &CategoryId| self.is_open(&self.answer(level, *id).cell, access.who, now);
        let open: CategorySet = conditional.iter().filter(is_open).collect();
        categories.difference(rules.allowed).difference(open)
    }

    pub(crate) fn is_open(&self, cell: &Cell, who: &Identity, now: UnixMillis) -> bool {
        match cell {
            Cell::Allow => true,
            Cell::Block => false,
            Cell::AllowAt(times) => self.clock.holds(times, now),
            Cell::AllowFor(role) => who.roles.contains(*role),
        }
    }

    /// The standing exception that opens an access past list and grid.
    pub(crate) fn exception(&self, access: &Access<'_>) -> Option<RuleId> {
        self.find(&self.opened, access)
    }

    fn find(&self, sites: &SiteMap<(LevelId, RuleId)>, access: &Access<'_>) -> Option<RuleId> {
        sites
            .covering(access.host, access.path)
            .find(|(level, _)| self.levels.within(access.who.level, *level))
            .map(|(_, rule)| *rule)
    }

    fn answer(&self, level: LevelId, category: CategoryId) -> &Answer {
        let answers = &self.grid[level.index()].answers;
        &self.answers[answers.get(category.index()).map_or(0, |place| usize::from(*place))]
    }

    /// The cell that stands at a rule of the grid.
    pub(crate) fn cell_of(&self, rule: RuleId) -> Option<&Cell> {
        // Rules are made in the order of answers.
        let place = self.answers.binary_search_by_key(&rule, |answer| answer.rule).ok()?;
        Some(&self.answers[place].cell)
    }
}

/// No category at all is uncategorised: an empty set must not pass as "nothing against it".
fn or_uncategorised(categories: CategorySet) -> CategorySet {
    if categories.is_empty() { CategorySet::of(CategoryId::UNCATEGORISED) } else { categories }
}

#[cfg(test)]
mod inspect_tests;
#[cfg(test)]
mod tests;
