//! A report's PDF: [`Document`] as the blocks that `paper` sets.

use super::document::{Document, TO_WRITE};
use crate::failure::Failure;
use paper::{Block, Paper, Table};

impl Document {
    /// A4, tagged for screen readers. Bars are left out: the figures stand beside them.
    pub(crate) fn pdf(&self) -> Result<Vec<u8>, Failure> {
        let mut blocks = Vec::new();
        if !self.headline.is_empty() {
            blocks.push(Block::Strong(plain(&self.headline)));
        }
        for section in &self.sections {
            blocks.push(Block::Heading(section.heading.clone()));
            let sentences = section.sentences.iter().map(|sentence| plain(sentence));
            match self.one_page {
                // A paragraph, as there is no room for a line each.
                true => blocks.push(Block::Text(sentences.collect::<Vec<_>>().join(" "))),
                false => blocks.extend(sentences.map(Block::Text)),
            }
            if let Some(table) = &section.table {
                let cells = |row: &Vec<String>| row.iter().map(|text| cell(text)).collect();
                let rows = table.rows.iter().map(cells).collect();
                blocks.push(Block::Table(Table { headings: table.headings.clone(), rows }));
            }
        }
        blocks.extend(self.footer.iter().map(|line| Block::Small(plain(line))));
        let paper = Paper {
            title: self.title.clone(),
            subtitle: self.subtitle.clone(),
            blocks,
            foot: self.title.clone(),
            landscape: self.landscape,
            one_page: self.one_page,
        };
        paper::pdf(&paper).map_err(Failure::fault)
    }
}

/// A cell to be filled in by hand has room for it; others hold what people typed, as it is.
fn cell(text: &str) -> String {
    if text == TO_WRITE { "\n".to_owned() } else { text.to_owned() }
}

/// Commands stand between backticks in sentences.
fn plain(text: &str) -> String {
    text.replace('`', "")
}
