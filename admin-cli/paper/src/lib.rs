//! A report on paper: headings, sentences and tables as an A4 PDF, for whoever must attach or print it.
//!
//! Texts come from outside: names, addresses, notes. They are set as letters and never read as anything else.
//! Long ones wrap, long tables go on over the page with their headings again, and a letter that the fonts
//! lack stands as its code, which the last page says. The file is tagged for screen readers as PDF/UA-1 wants
//! it (ISO 14289-1), and holds nothing but what is shown: no script, no link, nothing from elsewhere.
//!
//! The letters are DejaVu Sans: Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew and Arabic, the last two from
//! right to left.

mod draw;
mod layout;
mod letters;
mod wrap;

use thiserror::Error;

/// A report.
#[derive(Clone, Debug, Default)]
pub struct Paper {
    /// The title, also of the file.
    pub title: String,
    /// A line below it.
    pub subtitle: String,
    /// What it says, in order.
    pub blocks: Vec<Block>,
    /// At the foot of each page, beside its number.
    pub foot: String,
    /// Whether pages are wide rather than tall.
    pub landscape: bool,
    /// Whether all of it belongs on one page: letters and distances become smaller for that, as long as they are read
    /// well. What does not fit even so goes on over the page.
    pub one_page: bool,
}

/// A part of a report.
#[derive(Clone, Debug)]
pub enum Block {
    /// A heading.
    Heading(String),
    /// The sentence to read if no other is.
    Strong(String),
    /// A paragraph.
    Text(String),
    /// Small print.
    Small(String),
    /// Names and what they stand for, a row each.
    Facts(Vec<(String, String)>),
    /// A table.
    Table(Table),
}

/// Cells in rows.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Headings of the columns.
    pub headings: Vec<String>,
    /// Cells, as many a row as there are headings.
    pub rows: Vec<Vec<String>>,
}

/// Why no PDF can be made.
#[derive(Debug, Error)]
pub enum PaperError {
    /// The letters cannot be read: a fault of this program.
    #[error("the fonts for PDF cannot be read")]
    Fonts,
    /// The file cannot be written as it should be: a fault of this program.
    #[error("the PDF cannot be made: {0}")]
    Pdf(String),
}

/// The PDF of a report.
///
/// # Errors
/// [`PaperError`]: a fault of this program; no text leads to one.
pub fn pdf(paper: &Paper) -> Result<Vec<u8>, PaperError> {
    let letters = letters::Letters::new()?;
    let laid_out = layout::lay_out(paper, &letters);
    draw::draw(paper, &laid_out, &letters)
}

#[cfg(test)]
mod tests;
