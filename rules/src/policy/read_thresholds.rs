//! Reads `[theme_thresholds]`: from how many points a text is of a theme, by level.

use super::RuleId;
use super::read::Reader;
use super::themes::{NEVER_ABOVE, THRESHOLD, THRESHOLDS, themes};
use crate::document::{Document, Value};
use crate::level::LevelId;
use crate::theme::ALL;
use std::collections::HashMap;
use toml::de::DeTable;

/// Cells as written, by level and place of the theme; without one, for every theme.
type Cells = HashMap<(LevelId, Option<usize>), (u16, RuleId)>;

impl Reader<'_> {
    /// By level, then by theme; nothing where the policy has no such rows. A level takes its own cell, of the theme before
    /// that of all, else its parent's.
    pub(super) fn theme_thresholds(
        &mut self,
        root: &DeTable<'_>,
    ) -> Vec<Vec<(u16, Option<RuleId>)>> {
        let mut cells = Cells::new();
        if let Some(value) = root.get("theme_thresholds")
            && let Some(table) = self.document.table(value, "drugs = { ks2 = 80 }")
        {
            for (at, name, value) in Document::rows(table) {
                self.threshold_row(at, name, value, &mut cells);
            }
        }
        if cells.is_empty() {
            return Vec::new();
        }
        let of = |level: LevelId, place: usize| {
            let own = |level: LevelId| {
                let of_all = cells.get(&(level, None));
                // What is said of all themes makes less of none that may not be less.
                let of_all = of_all.filter(|(points, _)| *points <= most(&themes()[place].name));
                cells.get(&(level, Some(place))).or(of_all).copied()
            };
            match self.levels.line(level).find_map(own) {
                Some((points, rule)) => (points, Some(rule)),
                None => (THRESHOLD, None),
            }
        };
        let places = 0..themes().len();
        let levels = self.levels.iter().map(|(level, _)| level);
        levels.map(|level| places.clone().map(|place| of(level, place)).collect()).collect()
    }

    /// One row: the points of a theme, or of all, by level.
    fn threshold_row(&mut self, at: usize, name: &str, value: &Value<'_>, cells: &mut Cells) {
        let theme = match name {
            ALL => Some(None),
            name => self.theme(at, name).map(Some),
        };
        let example = format!("{name} = {{ ks2 = 80 }}");
        let Some(table) = self.document.table(value, &example) else { return };
        for (level_at, level_name, value) in Document::rows(table) {
            let level = self.level(level_at, level_name);
            let example = format!("{name} = {{ {level_name} = 80 }}");
            let points = self.document.number(value, THRESHOLDS, &example);
            let (Some(level), Some(theme), Some(points)) = (level, theme, points) else { continue };
            let at = value.span().start;
            if theme.is_some() && points > most(name) {
                let what = format!("{name} is found from {THRESHOLD} points at most, not {points}");
                self.document.fault(at, what, format!("write {THRESHOLD} or less"));
                continue;
            }
            let place = self.document.place(at);
            let rule = self.rule(at, place, format!("{name} = {points}"));
            cells.insert((level, theme), (points, rule));
        }
    }
}

/// The highest threshold that a theme may have.
fn most(theme: &str) -> u16 {
    if NEVER_ABOVE.contains(&theme) { THRESHOLD } else { *THRESHOLDS.end() }
}
