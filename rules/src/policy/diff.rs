//! What differs between two policies, and whether it opens anything.
//!
//! Levels, categories and roles are compared by name, since their places differ between files.
//! Where it is not plain that a difference only tightens, it counts as loosening: then somebody
//! has to sign for it.

mod alerts;
mod files;
mod phrase_lists;
mod reports;
mod searches;
mod themes;
mod thresholds;

use super::{Cell, Keep, Policy, SiteMap, UnblockRules};
use crate::access::Role;
use crate::category::CategorySet;
use crate::decide::Verdict;
use crate::inspect::Inspect;
use crate::level::{Circumvention, ImageMode, Level, LevelId, VideoMode};
use crate::site::Site;
use searches::loosens_searches;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// What differs between two policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyDiff {
    /// A line each, e.g. `games for ks3: block -> allow at lunch`.
    pub lines: Vec<String>,
    /// Whether anything opens that was closed.
    pub loosens: bool,
    /// Whether the filter looks further into what people do than before.
    pub intrudes: bool,
}

/// Levels, by name, that the school's own changes hold for: they are in no policy, and whoever moves to
/// another level leaves a block behind, or comes to an unblock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LevelChanges {
    /// A block holds for this level.
    pub blocked: BTreeSet<String>,
    /// An unblock holds for this level, or may come to.
    pub opened: BTreeSet<String>,
}

impl PolicyDiff {
    fn add(&mut self, line: String, loosens: bool) {
        self.lines.push(line);
        self.loosens |= loosens;
    }

    /// A line where two texts differ.
    fn change(&mut self, what: &str, old: &str, new: &str, loosens: bool) {
        if old != new {
            let shown =
                |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
            self.add(format!("{what}: {} -> {}", shown(old), shown(new)), loosens);
        }
    }

    /// A line where the filter looks further in than before, or less far. Seeing less is loosening:
    /// what is blocked by its path is then not seen.
    fn inspection(&mut self, what: &str, old: Inspect, new: Inspect) {
        let note = match new.cmp(&old) {
            Ordering::Equal => return,
            Ordering::Greater => "the filter sees less",
            Ordering::Less => "the filter sees more of what people do",
        };
        self.intrudes |= new < old;
        let line = format!("{what}: {} -> {} ({note})", old.as_str(), new.as_str());
        self.add(line, new > old);
    }

    /// Lines for what came into a set and what left it.
    fn sets(
        &mut self,
        old: &BTreeSet<String>,
        new: &BTreeSet<String>,
        adding: bool,
        removing: bool,
    ) {
        for added in new.difference(old) {
            self.add(format!("added: {added}"), adding);
        }
        for removed in old.difference(new) {
            self.add(format!("removed: {removed}"), removing);
        }
    }
}

impl Policy {
    /// What differs from another policy, a line each, for `policy diff` and the change log;
    /// `loosens` tells whether any line opens more than before, to anybody, or has the filter see or
    /// enforce less. What cannot be told counts as opening more. `beside` is what else holds.
    #[must_use]
    pub fn diff(&self, newer: &Policy, beside: &LevelChanges) -> PolicyDiff {
        let mut diff = PolicyDiff::default();
        diff.change("school", &self.school, &newer.school, false);
        self.diff_calendar(newer, &mut diff);
        self.diff_levels(newer, beside, &mut diff);
        self.diff_grid(newer, &mut diff);
        self.diff_who(newer, beside, &mut diff);
        diff.sets(&self.exception_lines(false), &newer.exception_lines(false), true, false);
        diff.sets(&self.exception_lines(true), &newer.exception_lines(true), false, true);
        self.diff_roles(newer, &mut diff);
        self.diff_unblock(newer, &mut diff);
        self.diff_inspect(newer, &mut diff);
        self.diff_tenants(newer, &mut diff);
        alerts::diff_alerts(&self.alerts, &newer.alerts, &mut diff);
        reports::diff_reports(&self.reports, &newer.reports, &mut diff);
        self.diff_themes(newer, &mut diff);
        self.diff_phrase_lists(newer, &mut diff);
        self.diff_assistants(newer, &mut diff);
        self.diff_files(newer, &mut diff);
        diff_keep(self.keep, newer.keep, &mut diff);
        let words = |policy: &Policy| {
            policy.sign_in.iter().map(|way| way.as_str()).collect::<Vec<_>>().join(", ")
        };
        diff.change("identify", &words(self), &words(newer), true);
        // A test that is gone no longer holds anybody to it.
        diff.sets(&self.test_lines(), &newer.test_lines(), false, true);
        diff
    }

    /// What is written to one more is read, and perhaps recorded; what is written to one fewer is judged no more.
    fn diff_assistants(&self, newer: &Policy, diff: &mut PolicyDiff) {
        let lines = |policy: &Policy| -> BTreeSet<String> {
            policy.assistants.sites().map(|site| format!("assistant {site}")).collect()
        };
        let (old, new) = (lines(self), lines(newer));
        diff.intrudes |= !new.is_subset(&old);
        diff.sets(&old, &new, false, true);
    }

    fn diff_calendar(&self, newer: &Policy, diff: &mut PolicyDiff) {
        let (old, new) = (&self.calendar, &newer.calendar);
        diff.change("timezone", &old.timezone, &new.timezone, true);
        diff.change("terms", &old.terms.join(", "), &new.terms.join(", "), true);
        let times = |calendar: &super::Calendar| -> BTreeMap<String, String> {
            calendar.times.iter().map(|(name, _, text)| (name.clone(), text.clone())).collect()
        };
        // The cells that use a time tell whether it loosens; the line is for people.
        each(&times(old), &times(new), |name, old, new| {
            diff.change(&format!("time {name}"), old, new, false);
        });
    }

    fn diff_levels(&self, newer: &Policy, beside: &LevelChanges, diff: &mut PolicyDiff) {
        let names = |policy: &Policy| -> BTreeMap<String, String> {
            policy
                .levels
                .iter()
                .map(|(id, level)| (level.name.clone(), policy.level_line(id)))
                .collect()
        };
        each(&names(self), &names(newer), |name, old, new| {
            let is_both = !old.is_empty() && !new.is_empty();
            // People of a level that comes or goes change to rules that nobody compared.
            diff.change(&format!("level {name}"), old, new, !is_both);
        });
        for (id, level) in self.levels.iter() {
            let Some(new_id) = newer.levels.id(&level.name) else { continue };
            let new = newer.levels.get(new_id);
            diff.loosens |= loosens_searches(level, new);
            // Exceptions, blocks and unblocks for the level above hold for this one: with another above
            // it, others do.
            let above = |policy: &Policy, id| {
                policy
                    .levels
                    .line(id)
                    .map(|id| policy.levels.get(id).name.clone())
                    .collect::<Vec<_>>()
            };
            diff.loosens |= above(self, id) != above(newer, new_id);
            let inspect = |level: &Level| level.inspect.unwrap_or_default();
            let what = format!("inspect for {}", level.name);
            diff.inspection(&what, inspect(level), inspect(new));
            let (was, is) = (level.circumvention, new.circumvention);
            let what = format!("circumvention for {}", level.name);
            diff.change(&what, was.as_str(), is.as_str(), loosens_circumvention(level, new));
            self.diff_list(id, newer, new_id, diff);
        }
        let order = |policy: &Policy| {
            let names = policy.levels.order.iter().map(|id| policy.levels.get(*id).name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        let (old, new) = (self.levels.strictest(), newer.levels.strictest());
        let loosens = self.is_looser(old, newer, new, beside);
        diff.change("order", &order(self), &order(newer), loosens);
    }

    /// A level's settings in words.
    fn level_line(&self, id: LevelId) -> String {
        let level = self.levels.get(id);
        let mut words = vec![match level.parent {
            Some(parent) => format!("under {}", self.levels.get(parent).name),
            None => "on its own".to_owned(),
        }];
        if level.safe_search {
            words.push("safe search".to_owned());
        }
        if level.video != VideoMode::Open {
            words.push(format!("{} video", level.video.as_str()));
        }
        if level.images != ImageMode::Any {
            words.push(format!("image search: {}", level.images.as_str()));
        }
        if level.child_engines {
            words.push("children's engines only".to_owned());
        }
        words.push(format!("{:?} pages", level.style).to_lowercase());
        words.join(", ")
    }

    fn diff_list(&self, id: LevelId, newer: &Policy, new_id: LevelId, diff: &mut PolicyDiff) {
        let name = &self.levels.get(id).name;
        let (old, new) = (&self.grid[id.index()].list, &newer.grid[new_id.index()].list);
        match (old, new) {
            (None, None) => {}
            // Sites on the list pass the grid, so a new list may open as well as close.
            (None, Some(list)) => {
                diff.add(format!("{name}: now only the sites of {}", list.file), true);
            }
            (Some(list), None) => {
                diff.add(format!("{name}: no longer only the sites of {}", list.file), true);
            }
            (Some(old), Some(new)) => {
                let lines = |sites: &SiteMap<()>| -> BTreeSet<String> {
                    sites
                        .sites()
                        .map(|site| format!("{site} to the only sites of {name}"))
                        .collect()
                };
                diff.sets(&lines(&old.sites), &lines(&new.sites), true, false);
            }
        }
    }

    fn diff_grid(&self, newer: &Policy, diff: &mut PolicyDiff) {
        for (new_id, level) in newer.levels.iter() {
            let Some(id) = self.levels.id(&level.name) else { continue };
            for (new_category, category) in newer.catalogue.iter() {
                let old = self.answer_by_name(id, &category.name);
                let new = newer.answer(new_id, new_category);
                let loosens = is_looser_cell(&old.cell, &new.cell);
                diff.loosens |= loosens;
                if old.words != new.words
                    && !self.is_said_of_parent(id, newer, new_id, &category.name)
                {
                    let what = format!("{} for {}", category.name, level.name);
                    diff.change(&what, &old.words, &new.words, loosens);
                }
            }
        }
    }

    /// Whether the line about a level's parent covers the level: both take the parent's cell.
    fn is_said_of_parent(&self, id: LevelId, newer: &Policy, new_id: LevelId, name: &str) -> bool {
        let (old, new) = (self.levels.get(id).parent, newer.levels.get(new_id).parent);
        let (Some(old), Some(new)) = (old, new) else { return false };
        self.levels.get(old).name == newer.levels.get(new).name
            && self.answer_by_name(id, name).rule == self.answer_by_name(old, name).rule
            && newer.answer_by_name(new_id, name).rule == newer.answer_by_name(new, name).rule
    }

    fn answer_by_name(&self, level: LevelId, category: &str) -> &super::Answer {
        match self.catalogue.id(category) {
            Some(category) => self.answer(level, category),
            None => &self.answers[0],
        }
    }

    /// Whether somebody who moves from a level of this policy to one of another may see more.
    fn is_looser(
        &self,
        level: LevelId,
        newer: &Policy,
        new_level: LevelId,
        beside: &LevelChanges,
    ) -> bool {
        let (was, is) = (self.levels.get(level), newer.levels.get(new_level));
        let inspect = |level: &Level| level.inspect.unwrap_or_default();
        if loosens_searches(was, is)
            || loosens_circumvention(was, is)
            || inspect(is) > inspect(was)
            || self.loosens_themes(level, newer, new_level)
            || self.loosens_files(level, newer, new_level)
        {
            return true;
        }
        let names = |policy: &Policy, id| -> BTreeSet<String> {
            policy.levels.line(id).map(|id| policy.levels.get(id).name.clone()).collect()
        };
        let (left, come_to) = (names(self, level), names(newer, new_level));
        if left.difference(&come_to).any(|name| beside.blocked.contains(name))
            || come_to.difference(&left).any(|name| beside.opened.contains(name))
        {
            return true;
        }
        let sites = |policy: &Policy, level: LevelId| -> Option<BTreeSet<String>> {
            let list = policy.grid[level.index()].list.as_ref()?;
            Some(list.sites.sites().map(Site::to_string).collect())
        };
        let (opened, closed) =
            (self.exceptions_for(level, false), self.exceptions_for(level, true));
        let is_reopened = !newer.exceptions_for(new_level, false).is_subset(&opened)
            || !closed.is_subset(&newer.exceptions_for(new_level, true));
        match (sites(self, level), sites(newer, new_level)) {
            _ if is_reopened => true,
            (Some(old), Some(new)) => !new.is_subset(&old),
            (None, None) => newer.catalogue.iter().any(|(id, category)| {
                let old = &self.answer_by_name(level, &category.name).cell;
                is_looser_cell(old, &newer.answer(new_level, id).cell)
            }),
            _ => true,
        }
    }

    /// The sites of the exceptions that hold for a level.
    fn exceptions_for(&self, level: LevelId, blocks: bool) -> BTreeSet<String> {
        self.exceptions
            .iter()
            .filter(|it| it.blocks == blocks && self.levels.within(level, it.level))
            .map(|it| it.site.to_string())
            .collect()
    }

    fn diff_who(&self, newer: &Policy, beside: &LevelChanges, diff: &mut PolicyDiff) {
        let order = |policy: &Policy| -> Vec<String> {
            policy.who.groups.iter().map(|(name, _)| name.clone()).collect()
        };
        each(&self.who_lines(), &newer.who_lines(), |entry, old, new| {
            // An entry that comes or goes moves people from or to what the other entries say.
            let moved = self.levels.id(old).zip(newer.levels.id(new));
            let loosens = moved.is_none_or(|(old, new)| self.is_looser(old, newer, new, beside));
            diff.change(&format!("who {entry}"), old, new, loosens);
        });
        let (old, new) = (order(self), order(newer));
        if old != new && old.iter().collect::<BTreeSet<_>>() == new.iter().collect::<BTreeSet<_>>()
        {
            diff.change("order of groups", &old.join(", "), &new.join(", "), true);
        }
    }

    /// The entries of `[who]` with the names of their levels.
    fn who_lines(&self) -> BTreeMap<String, String> {
        let name = |level: &LevelId| self.levels.get(*level).name.clone();
        let who = &self.who;
        let users = who.users.iter().map(|(user, level)| (format!("user:{user}"), name(level)));
        let groups =
            who.groups.iter().map(|(group, level)| (format!("group:{group}"), name(level)));
        let networks = who.networks.iter().map(|(net, level)| (format!("net:{net}"), name(level)));
        users.chain(groups).chain(networks).collect()
    }

    fn exception_lines(&self, blocks: bool) -> BTreeSet<String> {
        let word = if blocks { "blocked" } else { "allowed" };
        self.exceptions
            .iter()
            .filter(|exception| exception.blocks == blocks)
            .map(|exception| {
                let level = &self.levels.get(exception.level).name;
                let (site, review) = (&exception.site, exception.review);
                format!(
                    "exception: {site} {word} for {level} ({}; review {review})",
                    exception.reason
                )
            })
            .collect()
    }

    /// A role that is given lets somebody do more. One that is taken from those who watch over the filter
    /// leaves less watched; one taken from the technician or a teacher only tightens.
    fn diff_roles(&self, newer: &Policy, diff: &mut PolicyDiff) {
        for role in Role::ALL {
            let watches = matches!(role, Role::Dsl | Role::Head | Role::Governor | Role::Auditor);
            diff.sets(&self.role_lines(role), &newer.role_lines(role), true, watches);
        }
    }

    fn role_lines(&self, role: Role) -> BTreeSet<String> {
        let line = |name: &String| format!("role {} for {}", role.as_str(), name.to_lowercase());
        self.holders(role).iter().map(line).collect()
    }

    fn diff_unblock(&self, newer: &Policy, diff: &mut PolicyDiff) {
        let (old, new) = (&self.unblock, &newer.unblock);
        let more = |old: &[Role], new: &[Role]| new.iter().any(|role| !old.contains(role));
        let loosens = more(&old.authorise, &new.authorise);
        diff.change("unblock authorise", &roles(&old.authorise), &roles(&new.authorise), loosens);
        let apply = |rules: &UnblockRules| match rules.apply_automatically {
            true => "automatic".to_owned(),
            false => roles(&rules.apply),
        };
        diff.change("unblock apply", &apply(old), &apply(new), !old.apply_automatically);
        diff.change("unblock confirm", &roles(&old.confirm), &roles(&new.confirm), true);
        // Less is confirmed before it is made.
        let loosens = old.order.confirms_first() && !new.order.confirms_first();
        diff.change("unblock order", &old.order.words(), &new.order.words(), loosens);
        let days = |rules: &UnblockRules| format!("{} days", rules.max_days);
        diff.change("unblock max_days", &days(old), &days(new), new.max_days > old.max_days);
        let named = |policy: &Policy, set: CategorySet| -> BTreeSet<String> {
            let names = policy.catalogue.names(set);
            names.into_iter().map(|name| format!("{name} in unblock never")).collect()
        };
        diff.sets(&named(self, old.never), &named(newer, new.never), false, true);
        diff.sets(&self.standing_lines(), &newer.standing_lines(), true, false);
    }

    fn diff_inspect(&self, newer: &Policy, diff: &mut PolicyDiff) {
        let categories = |policy: &Policy| -> BTreeMap<String, String> {
            let lines = policy.inspect.categories.iter();
            lines
                .map(|(category, mode, _)| {
                    (policy.catalogue.name(*category).to_owned(), mode.as_str().to_owned())
                })
                .collect()
        };
        let sites = |policy: &Policy| -> BTreeMap<String, String> {
            let lines = policy.inspect.lines.iter();
            lines
                .map(|line| {
                    let (mode, review) = (line.inspect.as_str(), line.review);
                    (line.site.to_string(), format!("{mode} ({}; review {review})", line.reason))
                })
                .collect()
        };
        let mode = |text: &str| text.split(' ').next().and_then(Inspect::from_word);
        // The most private of what is said of a site's categories holds: a line that comes makes it no less
        // private, and one that goes no more.
        each(&categories(self), &categories(newer), |what, old, new| {
            let was = mode(old).unwrap_or(Inspect::Page);
            let is = mode(new).unwrap_or(Inspect::Page);
            diff.intrudes |= is < was;
            diff.change(&format!("inspect {what}"), old, new, is > was);
        });
        // A line about a site stands in the place of what its categories and wider sites say, which may be
        // anything: where there is none, both what is most and what is least private count.
        each(&sites(self), &sites(newer), |what, old, new| {
            let (was, is) = (mode(old), mode(new));
            let less = is.unwrap_or(Inspect::Never) > was.unwrap_or(Inspect::Page);
            let more = is.unwrap_or(Inspect::Page) < was.unwrap_or(Inspect::Never);
            // The same for longer is a decision anew, as with exceptions.
            let renewed = was == is && old != new && is != Some(Inspect::Page);
            diff.intrudes |= more;
            diff.change(&format!("inspect {what}"), old, new, less || renewed);
        });
        let (old, new) = (&self.tls, &newer.tls);
        let parts = [
            ("no_sni", old.no_sni, new.no_sni),
            ("encrypted_hello", old.encrypted_hello, new.encrypted_hello),
            ("not_tls", old.not_tls, new.not_tls),
        ];
        for (key, old, new) in parts {
            let loosens = new == Verdict::Allow;
            diff.change(&format!("tls {key}"), old.as_str(), new.as_str(), loosens);
        }
    }

    fn standing_lines(&self) -> BTreeSet<String> {
        let line = |yes: &super::StandingYes| {
            let categories = self.catalogue.names(yes.categories).join(", ");
            format!(
                "standing yes: {} may open {categories} for a {} for {} minutes ({}; review {})",
                yes.who.as_str(),
                yes.scope,
                yes.max_minutes,
                yes.authorised,
                yes.review
            )
        };
        self.unblock.standing.iter().map(line).collect()
    }

    fn test_lines(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for test in &self.tests {
            let at = test.at.as_deref().map(|at| format!(", {at}")).unwrap_or_default();
            let level = &self.levels.get(test.level).name;
            for (word, subjects) in [("allowed", &test.allow), ("blocked", &test.block)] {
                for subject in subjects {
                    let subject = self.show_subject(subject);
                    lines.insert(format!("test: {level}{at}: {subject} must be {word}"));
                }
            }
            for (subject, mode) in &test.inspect {
                let (subject, mode) = (self.show_subject(subject), mode.as_str());
                lines.insert(format!("test: {level}: {subject} must be inspected as {mode}"));
            }
        }
        lines
    }
}

/// Whether ways round the filter that were refused are left to the grid.
fn loosens_circumvention(was: &Level, is: &Level) -> bool {
    was.circumvention == Circumvention::Block && is.circumvention == Circumvention::Grid
}

/// Whether a cell opens at some time, or for somebody, for whom the other did not.
fn is_looser_cell(old: &Cell, new: &Cell) -> bool {
    match (old, new) {
        (Cell::Allow, _) | (_, Cell::Block) => false,
        (Cell::AllowAt(old), Cell::AllowAt(new)) => !old.includes(new),
        (Cell::AllowFor(old), Cell::AllowFor(new)) => old != new,
        _ => true,
    }
}

fn roles(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}

/// Shorter keeping is loosening: what nobody can look up, nobody answers for.
fn diff_keep(old: Keep, new: Keep, diff: &mut PolicyDiff) {
    let parts = [
        ("allowed", old.allowed_days, new.allowed_days),
        ("blocked", old.blocked_days, new.blocked_days),
        ("changes", old.changes_days, new.changes_days),
        ("alerts", old.alerts_days, new.alerts_days),
    ];
    for (name, old, new) in parts {
        let (before, after) = (format!("{old} days"), format!("{new} days"));
        diff.change(&format!("keep {name}"), &before, &after, new < old);
    }
}

/// Calls with each key of either map and both its values, the missing one empty.
fn each(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    mut call: impl FnMut(&str, &str, &str),
) {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let value = |map: &BTreeMap<String, String>| map.get(key).cloned().unwrap_or_default();
        call(key, &value(old), &value(new));
    }
}
