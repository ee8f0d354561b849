//! What differs in the points from which policies take a text for one of a theme.

use super::PolicyDiff;
use crate::level::LevelId;
use crate::policy::Policy;
use crate::policy::themes::{ThemeAction, themes};
use std::collections::BTreeMap;

impl Policy {
    /// Thresholds by level: a higher one is loosening, as less is found. A lower one has the filter read nothing that it
    /// did not read before.
    pub(super) fn diff_thresholds(&self, newer: &Policy, diff: &mut PolicyDiff) {
        for (new_id, level) in newer.levels.iter() {
            let Some(id) = self.levels.id(&level.name) else { continue };
            let mut changes: BTreeMap<(u16, u16), Vec<&str>> = BTreeMap::new();
            for theme in themes() {
                let both = |id, new_id| {
                    let old = self.theme_threshold(id, &theme.name);
                    (old, newer.theme_threshold(new_id, &theme.name))
                };
                let (old, new) = both(id, new_id);
                if old == new {
                    continue;
                }
                diff.loosens |= self.finds_less(id, newer, new_id, &theme.name);
                // What is said of a parent is not said again of each child that changes likewise.
                let parents = self.levels.get(id).parent.zip(level.parent);
                let is_said = parents.is_some_and(|(above, new_above)| {
                    self.levels.get(above).name == newer.levels.get(new_above).name
                        && both(above, new_above) == (old, new)
                });
                if !is_said {
                    changes.entry((old, new)).or_default().push(&theme.name);
                }
            }
            for ((old, new), names) in changes {
                let of = match names.len() == themes().len() {
                    true => "every theme".to_owned(),
                    false => names.join(", "),
                };
                diff.add(format!("threshold of {of} for {}: {old} -> {new}", level.name), false);
            }
        }
    }

    /// Whether of a theme that is watched for or refused at a level less is found at one of another policy.
    pub(super) fn finds_less(
        &self,
        level: LevelId,
        newer: &Policy,
        new_level: LevelId,
        theme: &str,
    ) -> bool {
        self.theme_action(level, theme) != ThemeAction::Off
            && newer.theme_threshold(new_level, theme) > self.theme_threshold(level, theme)
    }
}
