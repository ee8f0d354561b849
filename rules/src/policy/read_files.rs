//! Reads `[files]` of a policy over the shipped baseline: what a level may fetch by kind, how large it may be,
//! and whether it is scanned for viruses.

use super::RuleId;
use super::read::Reader;
use super::read_grid::BASELINE;
use crate::category::CategorySet;
use crate::decide::Verdict;
use crate::document::{Document, Value, suggest};
use crate::file::{FileKind, FileRules, MEGABYTE, ScanRule};
use crate::level::LevelId;
use std::collections::HashMap;
use toml::de::{DeTable, DeValue};

const EXAMPLE: &str = "executables = { pupil = \"block\", staff = \"allow for @it\" }";
const LARGEST: &str = "largest_mb = { pupil = 200, staff = \"any\" }";
const UNCHECKED: &str = "unchecked = [\"updates\"]";
/// What stands beside the kinds.
const KEYS: [&str; 3] = ["largest_mb", "virus_scan", "unchecked"];
const SCAN: &str = "virus_scan = { pupil = \"on\", if_unavailable = \"block\" }";

/// Cells as written, by level and kind, as places in the list of answers.
type Cells = HashMap<(LevelId, FileKind), u16>;

/// What is written of sizes and scans, by level.
#[derive(Default)]
struct Written {
    cells: Cells,
    /// `None` inside: any size.
    largest: HashMap<LevelId, Option<(u64, RuleId)>>,
    scan: HashMap<LevelId, bool>,
    scan_rule: ScanRule,
    unchecked: CategorySet,
}

impl Reader<'_> {
    /// `[files]`, a level each in their order; what becomes of files that cannot be scanned; and of what sites none is
    /// looked at.
    pub(super) fn files(&mut self, root: &DeTable<'_>) -> (Vec<FileRules>, ScanRule, CategorySet) {
        let shipped = self.shipped_files();
        let mut written = Written::default();
        if let Some(value) = root.get("files")
            && let Some(table) = self.document.table(value, EXAMPLE)
        {
            for (at, name, value) in Document::rows(table) {
                match name {
                    "largest_mb" => self.largest(value, &mut written),
                    "virus_scan" => self.scans(value, &mut written),
                    "unchecked" => written.unchecked = self.categories(Some(value), UNCHECKED),
                    _ => self.file_row(at, name, value, &mut written.cells),
                }
            }
        }
        let levels: Vec<LevelId> = self.levels.iter().map(|(id, _)| id).collect();
        let rules = levels.into_iter().map(|level| {
            let mut rules = FileRules::default();
            for kind in FileKind::all() {
                let find = |cells: &Cells| {
                    self.levels.line(level).find_map(|level| cells.get(&(level, kind)).copied())
                };
                let place = find(&written.cells).or_else(|| find(&shipped));
                rules.answers[kind as usize] = place.unwrap_or(0);
            }
            let mut line = self.levels.line(level);
            rules.largest = line.find_map(|level| written.largest.get(&level).copied()).flatten();
            let mut line = self.levels.line(level);
            rules.scan =
                line.find_map(|level| written.scan.get(&level).copied()).unwrap_or_default();
            rules
        });
        (rules.collect(), written.scan_rule, written.unchecked)
    }

    /// A kind's cells by level.
    fn file_row(&mut self, at: usize, name: &str, value: &Value<'_>, cells: &mut Cells) {
        let Some(kind) = FileKind::from_word(name) else {
            let known = FileKind::all().map(FileKind::as_str).chain(KEYS);
            let known: Vec<&str> = known.collect();
            let fix = suggest(name, known.iter().copied())
                .unwrap_or_else(|| format!("use one of: {}", known.join(", ")));
            self.document.fault(at, format!("no kind of file called \"{name}\""), fix);
            return;
        };
        let example = format!("{name} = {{ pupil = \"block\" }}");
        let Some(table) = self.document.table(value, &example) else { return };
        for (level_at, level, value) in Document::rows(table) {
            let level = self.level(level_at, level);
            let Some(words) = self.document.string(value, "\"allow for @it\"") else { continue };
            let at = value.span().start;
            let Some(cell) = self.cell(at, words) else { continue };
            let place = self.document.place(at);
            if let Some(level) = level {
                let answer = self.new_answer(at, place, name, words, cell);
                cells.insert((level, kind), answer);
            }
        }
    }

    fn largest(&mut self, value: &Value<'_>, written: &mut Written) {
        let Some(table) = self.document.table(value, LARGEST) else { return };
        for (level_at, level, value) in Document::rows(table) {
            let Some(level) = self.level(level_at, level) else { continue };
            let at = value.span().start;
            let most = match value.get_ref() {
                DeValue::String(word) if word.as_ref() == "any" => None,
                _ => match self.document.number(value, 1..=u16::MAX, LARGEST) {
                    Some(most) => Some(most),
                    None => continue,
                },
            };
            let most = most.map(|most| {
                let place = self.document.place(at);
                let rule = self.rule(at, place, format!("largest_mb = {most}"));
                (u64::from(most) * MEGABYTE, rule)
            });
            written.largest.insert(level, most);
        }
    }

    fn scans(&mut self, value: &Value<'_>, written: &mut Written) {
        let Some(table) = self.document.table(value, SCAN) else { return };
        for (at, name, value) in Document::rows(table) {
            let verdict = |word: &str| match word {
                "block" => Some(Verdict::Block),
                "allow" => Some(Verdict::Allow),
                _ => None,
            };
            let part = match name {
                "if_unavailable" => &mut written.scan_rule.if_unavailable,
                "if_too_large" => &mut written.scan_rule.if_too_large,
                level => {
                    let on = |word: &str| match word {
                        "on" => Some(true),
                        "off" => Some(false),
                        _ => None,
                    };
                    if let Some(level) =
                        self.level_or(at, level, ["if_unavailable", "if_too_large"])
                        && let Some(scan) = self.word(value, "virus scan", on, &["on", "off"])
                    {
                        written.scan.insert(level, scan);
                    }
                    continue;
                }
            };
            if let Some(verdict) = self.word(value, "answer", verdict, &["block", "allow"]) {
                *part = verdict;
            }
        }
    }

    /// The level of a name where other keys may stand too, or a fault.
    fn level_or(&mut self, at: usize, name: &str, keys: [&str; 2]) -> Option<LevelId> {
        let near = suggest(name, keys).filter(|_| self.levels.id(name).is_none());
        let Some(fix) = near else { return self.level(at, name) };
        self.document.fault(at, format!("no level or key called \"{name}\""), fix);
        None
    }

    /// The shipped rows, for the levels that this policy has.
    fn shipped_files(&mut self) -> Cells {
        let mut document = Document::new("baseline", BASELINE);
        let root = document.parse();
        let mut cells = Cells::new();
        let rows = root.get("files").and_then(|value| value.get_ref().as_table());
        for (_, name, value) in rows.map(Document::rows).unwrap_or_default() {
            let table = value.get_ref().as_table();
            for (at, level, value) in table.map(Document::rows).unwrap_or_default() {
                let (Some(level), Some(kind), Some(words)) =
                    (self.levels.id(level), FileKind::from_word(name), value.get_ref().as_str())
                else {
                    continue;
                };
                let cell = Self::shipped_cell(words);
                let answer = self.new_answer(0, document.place(at), name, words, cell);
                cells.insert((level, kind), answer);
            }
        }
        cells
    }
}
