//! What differs in what a policy says about themes.

use super::PolicyDiff;
use crate::level::LevelId;
use crate::policy::Policy;
use crate::policy::themes::{ThemeAction, themes};
use crate::theme::Pack;
use std::collections::{BTreeMap, BTreeSet};

impl Policy {
    /// Actions by level, and the school's own words. Seeing less is loosening; seeing more of what
    /// people write intrudes.
    pub(super) fn diff_themes(&self, newer: &Policy, diff: &mut PolicyDiff) {
        for (new_id, level) in newer.levels.iter() {
            let Some(id) = self.levels.id(&level.name) else { continue };
            for theme in themes() {
                let action = |policy: &Policy, id| policy.theme_action(id, &theme.name);
                let (old, new) = (action(self, id), action(newer, new_id));
                if old == new {
                    continue;
                }
                diff.loosens |= new < old;
                diff.intrudes |= old == ThemeAction::Off;
                // What is said of a parent is not said again of each child that changes likewise.
                let parent = |policy: &Policy, id: LevelId| {
                    let parent = policy.levels.get(id).parent?;
                    Some((policy.levels.get(parent).name.clone(), action(policy, parent)))
                };
                let (above, new_above) = (parent(self, id), parent(newer, new_id));
                let is_said = above.zip(new_above).is_some_and(|(above, new_above)| {
                    above.0 == new_above.0 && (above.1, new_above.1) == (old, new)
                });
                if !is_said {
                    let what = format!("theme {} for {}", theme.name, level.name);
                    diff.change(&what, old.as_str(), new.as_str(), new < old);
                }
            }
        }
        self.diff_thresholds(newer, diff);
        self.diff_theme_words(newer, diff);
    }

    fn diff_theme_words(&self, newer: &Policy, diff: &mut PolicyDiff) {
        let packs = |policy: &Policy| -> BTreeMap<String, Pack> {
            policy.theme_packs().iter().map(|pack| (pack.file.clone(), pack.clone())).collect()
        };
        let (old, new) = (packs(self), packs(newer));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            match (old.get(name), new.get(name)) {
                (None, Some(pack)) => {
                    diff.add(format!("theme words: {name} added"), !only_finds_more(pack));
                }
                (Some(_), None) => diff.add(format!("theme words: {name} removed"), true),
                (Some(old), Some(new)) if meaning(old) != meaning(new) => {
                    let is_plain = only_finds_more(old) && only_finds_more(new);
                    let lost = !meaning(old).is_subset(&meaning(new));
                    diff.add(format!("theme words: {name} changed"), lost || !is_plain);
                }
                _ => {}
            }
        }
    }

    /// Whether somebody who moves from a level to one of another policy is seen or refused less.
    pub(super) fn loosens_themes(
        &self,
        level: LevelId,
        newer: &Policy,
        new_level: LevelId,
    ) -> bool {
        themes().iter().any(|theme| {
            newer.theme_action(new_level, &theme.name) < self.theme_action(level, &theme.name)
                || self.finds_less(level, newer, new_level, &theme.name)
        })
    }
}

/// Whether a pack can but find more: nothing of it speaks against, or makes innocent.
fn only_finds_more(pack: &Pack) -> bool {
    let mut groups = pack.groups.iter();
    pack.innocent.is_empty() && pack.ordinary.is_empty() && groups.all(|group| group.weight > 0)
}

/// What a pack looks for, without the lines where it stands: for each phrase that counts, the rest of its group.
fn meaning(pack: &Pack) -> BTreeSet<String> {
    let words = |phrases: &[crate::theme::Phrase]| {
        let set: BTreeSet<&str> = phrases.iter().map(|phrase| phrase.text.as_str()).collect();
        set.into_iter().collect::<Vec<_>>().join(", ")
    };
    let groups = pack.groups.iter().flat_map(|group| {
        let rest = format!(
            "{} {} {} / {} / {} / {}",
            group.weight,
            group.near,
            group.in_order,
            words(&group.with),
            words(&group.also),
            words(&group.unless)
        );
        group.any.iter().map(move |phrase| format!("{}: {} / {rest}", pack.theme, phrase.text))
    });
    let innocent = pack.innocent.iter().map(|phrase| format!("innocent: {}", phrase.text));
    let ordinary = pack.ordinary.iter().map(|word| format!("ordinary: {word}"));
    groups
        .chain(innocent)
        .chain(ordinary)
        .chain([format!("theme {}, typed only: {}", pack.theme, pack.typed_only)])
        .collect()
}
