//! What was counted: tables and targets, as Markdown and JSON.

use super::Fault;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// Those that it is about.
    pub part: u64,
    /// All.
    pub whole: u64,
}

impl Share {
    /// Counts one more.
    pub(crate) fn add(&mut self, is_part: bool) {
        self.part += u64::from(is_part);
        self.whole += 1;
    }

    /// Between 0 and 1; `None` of nothing.
    pub(crate) fn value(self) -> Option<f64> {
        (self.whole > 0).then(|| self.part as f64 / self.whole as f64)
    }
}

/// What stands in a table.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// Words.
    Text(String),
    /// A number of things.
    Count(u64),
    /// A share, printed with two decimals.
    Share(Share),
    /// A share of few, printed as how many.
    Of(Share),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<Share> for Cell {
    fn from(share: Share) -> Self {
        Self::Share(share)
    }
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Share(share) => {
                share.value().map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
            }
            Self::Of(share) => format!("{} of {}", share.part, share.whole),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Count(count) => json!(count),
            Self::Share(share) | Self::Of(share) => {
                json!({ "part": share.part, "whole": share.whole })
            }
        }
    }
}

/// A table with a title, what it says in words above, and columns of which the first names the row.
#[derive(Debug)]
pub(crate) struct Table {
    key: &'static str,
    title: String,
    about: String,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(key: &'static str, title: &str, about: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { key, title: title.to_owned(), about: about.to_owned(), columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "{}: {cells:?}", self.key);
        self.rows.push(cells);
    }

    fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n", self.title);
        if !self.about.is_empty() {
            let _ = writeln!(text, "{}\n", self.about);
        }
        let _ = writeln!(text, "| {} |", self.columns.join(" | "));
        let _ = writeln!(text, "|-|{}", "-:|".repeat(self.columns.len().saturating_sub(1)));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(Cell::text).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }

    fn json(&self) -> Value {
        let row = |row: &Vec<Cell>| -> Value {
            let cells = self.columns.iter().cloned().zip(row.iter().map(Cell::json));
            Value::Object(cells.collect::<Map<_, _>>())
        };
        json!({ "title": self.title, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

/// Something between titles.
#[derive(Debug)]
enum Block {
    Table(Table),
    Line(String),
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Report {
    title: &'static str,
    blocks: Vec<Block>,
    facts: Map<String, Value>,
    targets: Vec<(bool, String)>,
    passed_over: Vec<String>,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(title: &'static str) -> Self {
        let (blocks, targets, passed_over) = (Vec::new(), Vec::new(), Vec::new());
        Self { title, blocks, facts: Map::new(), targets, passed_over }
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, table: Table) {
        eprintln!("  {}", table.title);
        self.blocks.push(Block::Table(table));
    }

    /// Adds a fact, in words and as a value.
    pub(crate) fn fact(&mut self, key: &str, line: String, value: Value) {
        eprintln!("  {line}");
        self.blocks.push(Block::Line(line));
        self.facts.insert(key.to_owned(), value);
    }

    /// Judges a target.
    pub(crate) fn target(&mut self, is_met: bool, line: String) {
        self.targets.push((is_met, line));
    }

    /// Says what could not be looked at.
    pub(crate) fn passed_over(&mut self, what: &str) {
        self.passed_over.push(what.to_owned());
    }

    fn markdown(&self) -> String {
        let mut text = format!("# {}\n", self.title);
        let mut was_line = false;
        for block in &self.blocks {
            match block {
                Block::Table(table) => {
                    let _ = write!(text, "\n{}", table.markdown());
                    was_line = false;
                }
                Block::Line(line) => {
                    let _ = writeln!(text, "{}- {line}", if was_line { "" } else { "\n" });
                    was_line = true;
                }
            }
        }
        if !self.targets.is_empty() {
            let _ = writeln!(text, "\n## Targets\n\n| target | |\n|-|-|");
        }
        for (is_met, line) in &self.targets {
            let _ = writeln!(text, "| {line} | {} |", if *is_met { "met" } else { "**missed**" });
        }
        for what in &self.passed_over {
            let _ = writeln!(text, "\nPassed over: {what}.");
        }
        text
    }

    fn json(&self) -> Value {
        let tables = self.blocks.iter().filter_map(|block| match block {
            Block::Table(table) => Some((table.key.to_owned(), table.json())),
            Block::Line(_) => None,
        });
        let target = |(is_met, line): &(bool, String)| json!({ "target": line, "met": is_met });
        json!({
            "tables": tables.collect::<Map<_, _>>(),
            "facts": self.facts,
            "targets": self.targets.iter().map(target).collect::<Vec<_>>(),
            "passed_over": self.passed_over,
        })
    }

    /// Prints the report and writes it to a folder, without one beside the build; `false` if a target was
    /// missed.
    ///
    /// # Errors
    /// A sentence that names the folder and the fault.
    pub(crate) fn write(&self, folder: Option<&Path>) -> Result<bool, Fault> {
        let markdown = self.markdown();
        println!("{markdown}");
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => build_folder()?.join("quality-results"),
        };
        let text = serde_json::to_string_pretty(&self.json())?;
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join("quality.md"), &markdown))
            .and_then(|()| std::fs::write(folder.join("quality.json"), text))
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        println!("written to {}", folder.display());
        Ok(self.targets.iter().all(|(is_met, _)| *is_met))
    }
}

/// The folder that this program was built into (`.../release`).
///
/// # Errors
/// It stands in none.
pub(crate) fn build_folder() -> Result<PathBuf, Fault> {
    let program = std::env::current_exe()?;
    let folder = program.ancestors().nth(2).ok_or("this program stands in no build folder")?;
    Ok(folder.to_owned())
}
