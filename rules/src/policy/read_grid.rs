//! Reads the grid of a policy over the shipped baseline.

use super::read::Reader;
use super::{Answer, Cell, LevelRules, RuleId, SiteList};
use crate::access::Role;
use crate::category::{CategoryId, CategorySet};
use crate::document::{Document, Value, nearest};
use crate::level::LevelId;
use std::collections::HashMap;
use toml::de::DeTable;

/// The shipped rows, for cells that a policy does not have.
pub(super) const BASELINE: &str = include_str!("../../defaults/baseline.toml");

/// Cells as written, by level and category, as places in the list of answers.
type Cells = HashMap<(LevelId, CategoryId), u16>;

impl Reader<'_> {
    pub(super) fn grid(
        &mut self,
        root: &DeTable<'_>,
        lists: Vec<Option<SiteList>>,
    ) -> Vec<LevelRules> {
        let shipped = self.baseline();
        let mut written = Cells::new();
        if let Some(value) = root.get("grid")
            && let Some(table) = self.document.table(value, "games = { pupil = \"block\" }")
        {
            for (at, name, value) in Document::rows(table) {
                self.row(at, name, value, &mut written);
            }
        }
        let categories: Vec<CategoryId> = self.catalogue.iter().map(|(id, _)| id).collect();
        let levels: Vec<LevelId> = self.levels.iter().map(|(id, _)| id).collect();
        let mut grid = Vec::new();
        for (level, list) in levels.into_iter().zip(lists) {
            let mut rules = LevelRules {
                answers: Vec::new(),
                allowed: CategorySet::EMPTY,
                conditional: CategorySet::EMPTY,
                list,
            };
            for category in &categories {
                let find = |cells: &Cells| {
                    self.levels
                        .line(level)
                        .find_map(|level| cells.get(&(level, *category)).copied())
                };
                let place = find(&written).or_else(|| find(&shipped)).unwrap_or(0);
                match &self.answers[usize::from(place)].cell {
                    Cell::Allow => rules.allowed.insert(*category),
                    Cell::Block => {}
                    Cell::AllowAt(_) | Cell::AllowFor(_) => rules.conditional.insert(*category),
                }
                rules.answers.push(place);
            }
            grid.push(rules);
        }
        grid
    }

    /// One row of `[grid]`: a category's cells by level.
    fn row(&mut self, at: usize, name: &str, value: &Value<'_>, cells: &mut Cells) {
        let category = self.category(at, name);
        let example = format!("{name} = {{ pupil = \"block\" }}");
        let Some(table) = self.document.table(value, &example) else { return };
        for (level_at, level, value) in Document::rows(table) {
            let level = self.level(level_at, level);
            let Some(words) = self.document.string(value, "\"allow at lunch\"") else { continue };
            let at = value.span().start;
            let Some(cell) = self.cell(at, words) else { continue };
            let Some(category) = category else { continue };
            if self.catalogue.locked().contains(category) && cell != Cell::Block {
                let what = format!("\"{name}\" is locked and cannot be allowed");
                self.document.fault(at, what, "remove the line");
                continue;
            }
            let place = self.document.place(at);
            if let Some(level) = level {
                let answer = self.new_answer(at, place, name, words, cell);
                cells.insert((level, category), answer);
            }
        }
    }

    /// Numbers a cell: its place in the list of answers.
    pub(super) fn new_answer(
        &mut self,
        at: usize,
        place: String,
        name: &str,
        words: &str,
        cell: Cell,
    ) -> u16 {
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let rule = self.rule(at, place, format!("{name} = \"{words}\""));
        if rule == RuleId(0) {
            return 0;
        }
        self.answers.push(Answer { cell, rule, words });
        // There are no more answers than rules, which are numbered in 16 bits.
        (self.answers.len() - 1) as u16
    }

    /// `allow | block | allow at TIME | allow for @ROLE`.
    pub(super) fn cell(&mut self, at: usize, words: &str) -> Option<Cell> {
        let parts: Vec<&str> = words.split_whitespace().collect();
        match parts[..] {
            ["allow"] => Some(Cell::Allow),
            ["block"] => Some(Cell::Block),
            ["allow", "at", ..] => self.time_cell(at, &parts[2..].join(" ")),
            ["allow", "for", role] if role.starts_with('@') => {
                let known = Role::from_word(&role[1..]);
                if known.is_none() {
                    let fix = match nearest(&role[1..], Role::ALL.map(Role::as_str)) {
                        Some(near) => format!("did you mean \"allow for @{near}\"?"),
                        None => format!("use one of: {}", Role::ALL.map(Role::as_str).join(", ")),
                    };
                    self.document.fault(at, format!("no role called \"{}\"", &role[1..]), fix);
                }
                known.map(Cell::AllowFor)
            }
            ["allow", "for", role] => {
                let what = format!("\"{words}\" names no role");
                self.document.fault(at, what, format!("did you mean \"allow for @{role}\"?"));
                None
            }
            _ => {
                let fix = match nearest(words.trim(), ["allow", "block"]) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => "write allow, block, allow at TIME, or allow for @ROLE".to_owned(),
                };
                self.document.fault(at, format!("\"{words}\" is no cell of the grid"), fix);
                None
            }
        }
    }

    fn time_cell(&mut self, at: usize, name: &str) -> Option<Cell> {
        let known = self.calendar.times.iter().find(|(known, _, _)| known == name);
        if let Some((_, times, _)) = known {
            return Some(Cell::AllowAt(times.clone()));
        }
        let names = self.calendar.times.iter().map(|(name, _, _)| name.as_str());
        let fix = match nearest(name, names) {
            Some(near) => format!("did you mean \"allow at {near}\"?"),
            None => format!("define it in [times]: {name} = \"Mon-Fri 12:10-13:10\""),
        };
        self.document.fault(at, format!("no time called \"{name}\""), fix);
        None
    }

    /// A cell of the shipped file. A test holds it to these forms; anything else is closed.
    pub(super) fn shipped_cell(words: &str) -> Cell {
        match words.strip_prefix("allow for @").map(Role::from_word) {
            Some(Some(role)) => Cell::AllowFor(role),
            None if words == "allow" => Cell::Allow,
            _ => Cell::Block,
        }
    }

    /// The shipped rows, for the levels and categories that this policy has.
    fn baseline(&mut self) -> Cells {
        let mut document = Document::new("baseline", BASELINE);
        let root = document.parse();
        let mut cells = Cells::new();
        let rows = root.get("grid").and_then(|value| value.get_ref().as_table());
        for (_, name, value) in rows.map(Document::rows).unwrap_or_default() {
            let table = value.get_ref().as_table();
            for (at, level, value) in table.map(Document::rows).unwrap_or_default() {
                let (Some(level), Some(category), Some(words)) =
                    (self.levels.id(level), self.catalogue.id(name), value.get_ref().as_str())
                else {
                    continue;
                };
                let cell = Self::shipped_cell(words);
                if self.catalogue.locked().contains(category) && cell != Cell::Block {
                    continue;
                }
                let answer = self.new_answer(0, document.place(at), name, words, cell);
                cells.insert((level, category), answer);
            }
        }
        cells
    }
}
