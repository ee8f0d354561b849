//! The table as text: `categorizer/src/theme/weights/table.rs` says how it is read.

use super::labelled_texts::THEMES;
use super::model::Model;
use std::fmt::Write as _;

const HEAD: &str = "\
# What words, pairs of words and pieces of words weigh for each theme (docs/themes.md). Learned from the lines in
# rules/defaults/lines by `just learn`, which writes this file: nothing in it is changed by hand.
";

/// # Errors
/// A name that the form has no place for.
pub(crate) fn table(model: &Model) -> Result<String, String> {
    let unit = model.unit;
    let mut text = String::from(HEAD);
    let told = "writing to a String cannot fail";
    writeln!(text, "!unit\t{unit}").expect(told);
    for (name, theme) in THEMES.iter().zip(&model.themes) {
        writeln!(text, "!theme\t{name}\t{}", theme.nothing).expect(told);
    }
    for (number, name) in model.names.iter().enumerate() {
        if name.starts_with(['#', '!']) || name.contains(['\t', '\n']) {
            return Err(format!("no place for the name {name:?}"));
        }
        let weights: Vec<String> = (0..)
            .zip(&model.themes)
            .map(|(place, theme): (u32, _)| (place, (theme.weights[number] / unit).round() as i32))
            .filter(|(_, weight)| *weight != 0)
            .map(|(place, weight)| format!("{place}:{weight}"))
            .collect();
        let weights = if weights.is_empty() { "0:0".to_owned() } else { weights.join(" ") };
        writeln!(text, "{name}\t{weights}").expect(told);
    }
    Ok(text)
}
