//! The file format of what is written: asked for, or that of the file's ending.

use crate::args::ReportFormat;
use crate::failure::Failure;
use crate::output::visible;
use clap::ValueEnum as _;
use std::path::Path;

/// Endings that are not the word of `--format`, and what they mean.
const OTHER_ENDINGS: [(&str, ReportFormat); 4] = [
    ("htm", ReportFormat::Html),
    ("txt", ReportFormat::Md),
    ("text", ReportFormat::Md),
    ("markdown", ReportFormat::Md),
];

/// The format asked for, else that of the file's ending, else `usual`. A file that says one format and
/// holds another opens nowhere.
///
/// # Errors
/// An ending that says another format than the one asked for, or none that is known.
pub(crate) fn chosen(
    asked: Option<ReportFormat>,
    output: Option<&Path>,
    usual: ReportFormat,
) -> Result<ReportFormat, Failure> {
    let ending = output.and_then(|path| path.extension()?.to_str().map(str::to_lowercase));
    let (Some(path), Some(ending)) = (output, ending) else { return Ok(asked.unwrap_or(usual)) };
    let shown = visible(&path.display().to_string()).into_owned();
    match (asked, of_ending(&ending)) {
        (None, Some(format)) => Ok(format),
        (Some(asked), Some(format)) if asked != format => {
            let (asked, format) = (word(asked), word(format));
            Err(Failure::usage(format!("{shown} would hold {asked} by --format {asked}"))
                .fix(format!("end the name in .{asked}, or give --format {format}")))
        }
        (None, None) => Err(Failure::usage(format!(
            "{shown}: .{} is the ending of no format that is known here",
            visible(&ending)
        ))
        .fix("end the name in .pdf, .html, .csv, .json, .md or .txt, or give --format")),
        (Some(asked), _) => Ok(asked),
    }
}

fn of_ending(ending: &str) -> Option<ReportFormat> {
    let other = OTHER_ENDINGS.iter().find(|(other, _)| *other == ending).map(|(_, format)| *format);
    other.or_else(|| ReportFormat::from_str(ending, true).ok())
}

/// As `--format` says it.
fn word(format: ReportFormat) -> String {
    format.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_ending_says_the_format_and_may_not_contradict_it() {
        use ReportFormat::{Csv, Html, Json, Md, Pdf};
        for (asked, file, expected) in [
            (None, Some("week.pdf"), Some(Pdf)),
            (None, Some("week.PDF"), Some(Pdf)),
            (None, Some("week.htm"), Some(Html)),
            (None, Some("week.html"), Some(Html)),
            (None, Some("week.json"), Some(Json)),
            (None, Some("week.csv"), Some(Csv)),
            (None, Some("week.md"), Some(Md)),
            (None, Some("week.txt"), Some(Md)),
            (None, Some("week"), Some(Csv)),
            (None, None, Some(Csv)),
            (None, Some("week.docx"), None),
            (Some(Md), Some("week.md"), Some(Md)),
            (Some(Md), Some("week.txt"), Some(Md)),
            (Some(Pdf), Some("week.out"), Some(Pdf)),
            (Some(Pdf), Some("week"), Some(Pdf)),
            (Some(Csv), Some("week.pdf"), None),
            (Some(Csv), Some("week.txt"), None),
        ] {
            let found = chosen(asked, file.map(Path::new), Csv).ok();
            assert_eq!(found, expected, "{asked:?} {file:?}");
        }
    }
}
