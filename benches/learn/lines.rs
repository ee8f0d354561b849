//! Labelled lines, with what the packs say of them.

use super::labelled_texts::{HARMLESS, THEMES, all_files, stripped};
use categorizer::theme::{Scratch, Themes, features, needed};
use std::collections::HashSet;
use std::path::Path;

/// A line.
pub(crate) struct Line {
    /// The file's name without its ending.
    pub(crate) file: String,
    /// By theme, whether the line is of it.
    pub(crate) is_of: [bool; THEMES.len()],
    /// `concerning`, or what kind of harmless line.
    pub(crate) kind: String,
    /// By theme, points by phrases, in hundredths of what the text needs.
    pub(crate) points: [f32; THEMES.len()],
    /// What it is weighed by, window by window.
    pub(crate) windows: Vec<Vec<String>>,
}

impl Line {
    pub(crate) fn concerns(&self) -> bool {
        self.is_of.contains(&true)
    }
}

pub(crate) fn concerning(lines: &[Line]) -> usize {
    lines.iter().filter(|line| line.concerns()).count()
}

/// Reads all `.tsv` files of a folder: themes, kind and text a line.
///
/// # Errors
/// What is wrong with which line of which file.
pub(crate) fn read(folder: &Path) -> Result<Vec<Line>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.extension().is_some_and(|ending| ending == "tsv") {
            paths.push(path);
        }
    }
    paths.sort();
    let themes = Themes::shipped().without_weights();
    let place = |theme: &str| themes.themes().iter().position(|one| one.name == theme);
    let places = THEMES.map(|theme| place(theme).expect("a shipped theme"));
    let mut scratch = Scratch::default();
    let mut seen: HashSet<String> =
        all_files().iter().flat_map(|(_, lines)| lines).map(|line| stripped(line.text)).collect();
    let mut lines = Vec::new();
    for path in paths {
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = |what: &str| format!("{}:{number}: {what}: {line}", path.display());
            let [themes_of, kind, text] = line.split('\t').collect::<Vec<_>>()[..] else {
                return Err(wrong("three columns are wanted"));
            };
            let mut is_of = [false; THEMES.len()];
            for theme in themes_of.split(',').filter(|theme| !theme.is_empty()) {
                let at = THEMES.iter().position(|one| *one == theme);
                is_of[at.ok_or_else(|| wrong("there is no such theme"))?] = true;
            }
            let is_harmless = HARMLESS.contains(&kind);
            if is_harmless == is_of.contains(&true) || !is_harmless && kind != "concerning" {
                return Err(wrong("the kind does not go with the themes"));
            }
            if !seen.insert(stripped(text)) {
                continue;
            }
            let found = themes.score_typed(text, &mut scratch);
            let needed = needed(text.split_whitespace().count() as u64) as f32;
            lines.push(Line {
                file: file.clone(),
                is_of,
                kind: kind.to_owned(),
                points: places.map(|place| found.score(place).points as f32 * 100.0 / needed),
                windows: features(text),
            });
        }
    }
    Ok(lines)
}
