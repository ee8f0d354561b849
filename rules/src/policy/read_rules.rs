//! Reads the rest of a policy: exceptions, roles, unblock rules, how long to keep, sign-in, tests.

use super::read::Reader;
use super::{Exception, Keep, PolicyTest, SignInBy, StandingYes, Subject, UnblockRules};
use crate::access::{Role, RoleSet};
use crate::category::CategorySet;
use crate::change::{SignOff, SignOffOrder, is_reserved};
use crate::document::{Document, Value, suggest};
use crate::inspect::Inspect;
use crate::level::LevelId;
use crate::time::UnixMillis;
use std::collections::HashMap;
use toml::de::DeTable;

/// Longest an unblock may run, in days: a year and a day, so that "a year" fits in a leap year.
const MAX_UNBLOCK_DAYS: u16 = 366;
const DEFAULT_UNBLOCK_DAYS: u16 = 90;

type Roles = HashMap<String, RoleSet>;
pub(super) type Holders = [Vec<String>; Role::ALL.len()];

impl Reader<'_> {
    pub(super) fn exceptions(&mut self, root: &DeTable<'_>) -> Vec<Exception> {
        const EXAMPLE: &str = "[[exception]], with site, allow_for, reason and review";
        let tables = root.get("exception").map(|value| self.document.tables(value, EXAMPLE));
        let mut exceptions = Vec::new();
        for (at, table) in tables.unwrap_or_default() {
            self.exception(at, table, &mut exceptions);
        }
        exceptions
    }

    fn exception(&mut self, at: usize, table: &DeTable<'_>, into: &mut Vec<Exception>) {
        const WHAT: &str = "the [[exception]]";
        let keys = ["site", "allow_for", "block_for", "reason", "review"];
        self.document.only_keys(table, "[[exception]]", &keys);
        let site =
            self.required_text(table, at, WHAT, "site", "\"example.org\"").map(str::to_owned);
        let site_at = table.get("site").map_or(at, |value| value.span().start);
        let site = site.and_then(|text| self.site(site_at, &text));
        let reason =
            self.required_text(table, at, WHAT, "reason", "\"Music library\"").map(str::to_owned);
        let review = self.required(table, at, WHAT, "review", "2027-03-25");
        let review = review.and_then(|value| self.document.date(value, "review = 2027-03-25"));
        let (key, value, blocks) = match (table.get("allow_for"), table.get("block_for")) {
            (Some(value), None) => ("allow_for", value, false),
            (None, Some(value)) => ("block_for", value, true),
            (None, None) => {
                let what = "the [[exception]] says for no level";
                self.document.fault(at, what, "add allow_for = \"pupil\" (or block_for)");
                return;
            }
            (Some(_), Some(value)) => {
                let what = "the [[exception]] both allows and blocks";
                self.document.fault(value.span().start, what, "make it two exceptions");
                return;
            }
        };
        let levels = self.level_names(value, &format!("{key} = \"pupil\""));
        if let (Some(site), Some(reason), Some(review)) = (site, reason, review) {
            let quoted = levels.iter().map(|level| format!("\"{}\"", self.levels.get(*level).name));
            let quoted = quoted.collect::<Vec<_>>().join(", ");
            let text = format!("site = \"{site}\", {key} = {quoted}");
            let place = self.document.place(at);
            let rule = self.rule(at, place, text);
            into.extend(levels.into_iter().map(|level| Exception {
                rule,
                site: site.clone(),
                level,
                blocks,
                reason: reason.trim().to_owned(),
                review,
            }));
        }
    }

    /// One level, or a list of levels.
    fn level_names(&mut self, value: &Value<'_>, example: &str) -> Vec<LevelId> {
        let names = match value.get_ref().as_str() {
            Some(name) => vec![(value.span().start, name)],
            None => self.document.strings(value, example),
        };
        names.into_iter().filter_map(|(at, name)| self.level(at, name)).collect()
    }

    pub(super) fn roles(&mut self, root: &DeTable<'_>) -> (Roles, Holders) {
        const EXAMPLE: &str = "dsl = [\"q.whitmore\"]";
        let (mut roles, mut holders) = (Roles::new(), Holders::default());
        let Some(value) = root.get("roles") else { return (roles, holders) };
        let Some(table) = self.document.table(value, EXAMPLE) else { return (roles, holders) };
        for (at, word, value) in Document::rows(table) {
            let role = self.role(at, word);
            for (at, name) in self.document.strings(value, EXAMPLE) {
                let name = name.trim();
                if is_reserved(name) || name.starts_with('@') {
                    let what = format!("\"{name}\" is no person's name");
                    self.document.fault(at, what, format!("write it like {EXAMPLE}"));
                } else if let Some(role) = role {
                    roles.entry(name.to_lowercase()).or_default().insert(role);
                    let names = &mut holders[role as usize];
                    if !names.iter().any(|known| known.to_lowercase() == name.to_lowercase()) {
                        names.push(name.to_owned());
                    }
                }
            }
        }
        (roles, holders)
    }

    pub(super) fn unblock(&mut self, root: &DeTable<'_>, roles: &Roles) -> Option<UnblockRules> {
        const EXAMPLE: &str = "authorise = [\"dsl\"]";
        let Some(value) = root.get("unblock") else {
            let what = "the policy names nobody who may authorise an unblock";
            self.document.fault(0, what, "add [unblock] with authorise = [\"dsl\"]");
            return None;
        };
        let table = self.document.table(value, EXAMPLE)?;
        let at = value.span().start;
        let keys = ["authorise", "apply", "confirm", "order", "max_days", "never", "standing"];
        self.document.only_keys(table, "[unblock]", &keys);
        let authorise = self.acting_roles(table.get("authorise"), EXAMPLE);
        self.check_authorisers(
            table.get("authorise").map_or(at, |v| v.span().start),
            &authorise,
            roles,
        );
        let (apply_automatically, apply) = self.apply(table.get("apply"));
        let confirm = self.acting_roles(table.get("confirm"), "confirm = [\"it\", \"head\"]");
        let max_days = table
            .get("max_days")
            .and_then(|value| self.document.number(value, 1..=MAX_UNBLOCK_DAYS, "max_days = 90"));
        let never = self.categories(table.get("never"), "never = [\"adult\"]");
        let mut standing = Vec::new();
        if let Some(value) = table.get("standing") {
            for (at, table) in self.document.tables(value, "[[unblock.standing]]") {
                standing.extend(self.standing(at, table, never));
            }
        }
        let order = table.get("order").and_then(|value| self.sign_off_order(value));
        let order = order.unwrap_or_default();
        if let Some(value) = table.get("order")
            && order.confirms_first()
        {
            self.check_confirmers(value.span().start, &confirm, roles);
        }
        Some(UnblockRules {
            authorise,
            apply_automatically,
            apply,
            confirm,
            max_days: max_days.unwrap_or(DEFAULT_UNBLOCK_DAYS),
            never,
            order,
            standing,
        })
    }

    fn sign_off_order(&mut self, value: &Value<'_>) -> Option<SignOffOrder> {
        const EXAMPLE: &str = "order = [\"authorise\", \"apply\", \"confirm\"]";
        let mut steps = Vec::new();
        for (at, word) in self.document.strings(value, EXAMPLE) {
            match SignOff::from_word(word) {
                Some(step) => steps.push(step),
                None => {
                    let fix = suggest(word, SignOff::ALL.map(SignOff::as_str))
                        .unwrap_or_else(|| format!("write it like {EXAMPLE}"));
                    self.document.fault(at, format!("no sign-off called \"{word}\""), fix);
                    return None;
                }
            }
        }
        let order = SignOffOrder::new(&steps);
        if order.is_none() {
            let known = SignOffOrder::ALL.map(SignOffOrder::words).join("; or ");
            let what = "order must name each sign-off once, and authorise before apply";
            self.document.fault(value.span().start, what, format!("use one of: {known}"));
        }
        order
    }

    /// Where a change must be confirmed before it is applied, somebody must be able to.
    fn check_confirmers(&mut self, at: usize, confirm: &[Role], roles: &Roles) {
        let wanted: RoleSet = confirm.iter().copied().collect();
        if !roles.values().any(|held| held.intersects(wanted)) {
            let what = "nothing could ever be opened: nobody holds a role that may confirm";
            let fix = "name a role in confirm, and a person for it in [roles]";
            self.document.fault(at, what, fix);
        }
    }

    fn check_authorisers(&mut self, at: usize, authorise: &[Role], roles: &Roles) {
        let wanted: RoleSet = authorise.iter().copied().collect();
        if authorise.is_empty() {
            let what = "the policy names nobody who may authorise an unblock";
            self.document.fault(at, what, "add authorise = [\"dsl\"] to [unblock]");
        } else if !roles.values().any(|held| held.intersects(wanted)) {
            let words = authorise.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
            let what = format!("nobody holds a role that may authorise ({words})");
            let fix =
                format!("name a person in [roles]: {} = [\"q.whitmore\"]", authorise[0].as_str());
            self.document.fault(at, what, fix);
        }
    }

    /// Roles that change something; governors and auditors only read.
    pub(super) fn acting_roles(&mut self, value: Option<&Value<'_>>, example: &str) -> Vec<Role> {
        let Some(value) = value else { return Vec::new() };
        let mut roles = Vec::new();
        for (at, word) in self.document.strings(value, example) {
            match self.role(at, word) {
                Some(Role::Governor | Role::Auditor) => {
                    let what = format!("\"{word}\" reads reports and changes nothing");
                    self.document.fault(at, what, "use one of: dsl, head, it, teacher");
                }
                role => roles.extend(role),
            }
        }
        roles
    }

    /// `"automatic"`, or the role (or roles) that makes the change.
    fn apply(&mut self, value: Option<&Value<'_>>) -> (bool, Vec<Role>) {
        match value {
            None => (true, Vec::new()),
            Some(value) => match value.get_ref().as_str() {
                Some("automatic") => (true, Vec::new()),
                Some(word) if Role::from_word(word).is_none() => {
                    let fix = suggest(word, ["automatic", "it", "dsl", "head"])
                        .unwrap_or_else(|| "write apply = \"automatic\", or \"it\"".to_owned());
                    let what = format!("no role called \"{word}\"");
                    self.document.fault(value.span().start, what, fix);
                    (false, Vec::new())
                }
                Some(word) => (false, Role::from_word(word).into_iter().collect()),
                None => {
                    let roles = self.acting_roles(Some(value), "apply = \"automatic\"");
                    if roles.is_empty() {
                        let what = "apply names nobody who makes the change";
                        self.document.fault(
                            value.span().start,
                            what,
                            "write apply = \"automatic\"",
                        );
                    }
                    (false, roles)
                }
            },
        }
    }

    pub(super) fn categories(&mut self, value: Option<&Value<'_>>, example: &str) -> CategorySet {
        let Some(value) = value else { return CategorySet::EMPTY };
        let names = self.document.strings(value, example);
        names.into_iter().filter_map(|(at, name)| self.category(at, name)).collect()
    }

    fn standing(
        &mut self,
        at: usize,
        table: &DeTable<'_>,
        never: CategorySet,
    ) -> Option<StandingYes> {
        const WHAT: &str = "the [[unblock.standing]]";
        let keys = ["who", "categories", "scope", "max_minutes", "authorised", "review"];
        self.document.only_keys(table, "[[unblock.standing]]", &keys);
        let who = self.required_text(table, at, WHAT, "who", "\"teacher\"").map(str::to_owned);
        let who_at = table.get("who").map_or(at, |value| value.span().start);
        let who = who.and_then(|word| self.role(who_at, &word));
        let listed = self.required(table, at, WHAT, "categories", "[\"games\"]");
        let categories = self.categories(listed, "categories = [\"games\"]");
        let closed = categories.intersection(self.catalogue.locked().union(never));
        if let (Some(category), Some(value)) = (closed.iter().next(), listed) {
            let name = self.catalogue.name(category).to_owned();
            let what = format!("\"{name}\" is never unblocked");
            self.document.fault(value.span().start, what, "take it out of the standing yes");
        }
        let scope = self.required(table, at, WHAT, "scope", "\"class\"").and_then(|value| {
            let words = ["class", "level", "user"];
            self.word(value, "scope", |word| words.contains(&word).then(|| word.to_owned()), &words)
        });
        let minutes = self.required(table, at, WHAT, "max_minutes", "60");
        let max_minutes =
            minutes.and_then(|value| self.document.number(value, 1..=1440, "max_minutes = 60"));
        let example = "\"Q. Whitmore (DSL) 2026-09-01\"";
        let authorised =
            self.required_text(table, at, WHAT, "authorised", example).map(str::to_owned);
        let review = self.required(table, at, WHAT, "review", "2027-01-05");
        let review = review.and_then(|value| self.document.date(value, "review = 2027-01-05"));
        Some(StandingYes {
            who: who?,
            categories,
            scope: scope?,
            max_minutes: max_minutes?,
            authorised: authorised?,
            review: review?,
        })
    }

    pub(super) fn keep(&mut self, root: &DeTable<'_>) -> Keep {
        const EXAMPLE: &str = "allowed = \"90 days\"";
        let mut keep = Keep::default();
        let Some(value) = root.get("keep") else { return keep };
        let Some(table) = self.document.table(value, EXAMPLE) else { return keep };
        self.document.only_keys(table, "[keep]", &["allowed", "blocked", "changes", "alerts"]);
        let parts = [
            ("allowed", &mut keep.allowed_days),
            ("blocked", &mut keep.blocked_days),
            ("changes", &mut keep.changes_days),
            ("alerts", &mut keep.alerts_days),
        ];
        for (key, days) in parts {
            let Some(value) = table.get(key) else { continue };
            let Some(text) = self.document.string(value, EXAMPLE) else { continue };
            match parse_days(text) {
                Some(parsed) => *days = parsed,
                None => {
                    let what = format!("\"{text}\" is no length of time");
                    let fix = format!("write it like {EXAMPLE}, \"12 months\" or \"7 years\"");
                    self.document.fault(value.span().start, what, fix);
                }
            }
        }
        keep
    }

    pub(super) fn identify(&mut self, root: &DeTable<'_>) -> Vec<SignInBy> {
        let Some(value) = root.get("identify") else { return Vec::new() };
        let known = SignInBy::ALL.map(SignInBy::as_str);
        let mut ways = Vec::new();
        for (at, word) in self.document.strings(value, "identify = [\"basic\"]") {
            match SignInBy::ALL.into_iter().find(|way| way.as_str() == word) {
                Some(way) => {
                    if !way.is_available() {
                        let what = format!(
                            "sign-in by {word} is not in this version; nobody is known by it"
                        );
                        self.warn_once(at, &what);
                    }
                    if !ways.contains(&way) {
                        ways.push(way);
                    }
                }
                None => {
                    let fix = suggest(word, known)
                        .unwrap_or_else(|| format!("use one of: {}", known.join(", ")));
                    self.document.fault(at, format!("no way to identify called \"{word}\""), fix);
                }
            }
        }
        ways
    }

    pub(super) fn tests(&mut self, root: &DeTable<'_>) -> Vec<PolicyTest> {
        const EXAMPLE: &str = "[[test]], with as, at, allow and block";
        let tables = root.get("test").map(|value| self.document.tables(value, EXAMPLE));
        let mut tests = Vec::new();
        for (start, table) in tables.unwrap_or_default() {
            self.document.only_keys(table, "[[test]]", &["as", "at", "allow", "block", "inspect"]);
            let level = self.required_text(table, start, "the [[test]]", "as", "\"ks2\"");
            let level_at = table.get("as").map_or(start, |value| value.span().start);
            let level = level.map(str::to_owned).and_then(|name| self.level(level_at, &name));
            let at = table.get("at").and_then(|value| self.moment(value));
            let allow = self.subjects(table.get("allow"));
            let block = self.subjects(table.get("block"));
            let inspect = self.inspect_subjects(table.get("inspect"));
            if ["allow", "block", "inspect"].iter().all(|key| table.get(*key).is_none()) {
                let fix = "add allow = [\"example.org\"] or block = [\"category:games\"]";
                self.document.fault(start, "the [[test]] expects nothing", fix);
            }
            let place = self.document.place(start);
            tests.extend(level.map(|level| PolicyTest { place, level, at, allow, block, inspect }));
        }
        tests
    }

    fn moment(&mut self, value: &Value<'_>) -> Option<String> {
        let text = self.document.string(value, "at = \"Tue 10:00\"")?;
        // Without a clock there is a fault already.
        if let Some(Err(error)) =
            self.clock.as_ref().map(|clock| clock.moment(text, UnixMillis(0), false))
        {
            let at = value.span().start;
            self.document.fault(at, error.to_string(), "write it like at = \"Tue 10:00\"");
        }
        Some(text.to_owned())
    }

    fn subjects(&mut self, value: Option<&Value<'_>>) -> Vec<Subject> {
        let Some(value) = value else { return Vec::new() };
        let mut subjects = Vec::new();
        for (at, text) in self.document.strings(value, "allow = [\"childline.org.uk\"]") {
            subjects.extend(self.subject(at, text));
        }
        subjects
    }

    fn subject(&mut self, at: usize, text: &str) -> Option<Subject> {
        match text.strip_prefix("category:") {
            Some(name) => self.category(at, name.trim()).map(Subject::Category),
            None => self.site(at, text).map(Subject::Site),
        }
    }

    /// `inspect = { "bank.example" = "never" }` of a test.
    fn inspect_subjects(&mut self, value: Option<&Value<'_>>) -> Vec<(Subject, Inspect)> {
        let table = value.and_then(|value| {
            self.document.table(value, "inspect = { \"bank.example\" = \"never\" }")
        });
        let mut subjects = Vec::new();
        for (at, text, value) in table.map(Document::rows).unwrap_or_default() {
            let subject = self.subject(at, text);
            subjects.extend(subject.zip(self.mode(value)));
        }
        subjects
    }
}

/// `90 days`, `12 months`, `7 years` as days, never fewer than any such span of the calendar has.
fn parse_days(text: &str) -> Option<u32> {
    let (amount, unit) = text.trim().split_once(' ')?;
    let amount = amount.parse::<u32>().ok().filter(|amount| (1..=10_000).contains(amount))?;
    match unit.trim() {
        "day" | "days" => Some(amount),
        "week" | "weeks" => Some(amount * 7),
        "month" | "months" => Some((amount * 366).div_ceil(12)),
        "year" | "years" => Some(amount * 365 + amount.div_ceil(4)),
        _ => None,
    }
}
