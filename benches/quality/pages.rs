//! Real pages, ordinary with a few exceptions: how many are taken for something that they are not.
//!
//! Test pages of Mozilla's readability. Their texts belong to their publishers: a page is named here by its
//! number in the data folder's index.

use super::Fault;
use super::e2guardian_run;
use super::levels::{Levels, Said, Who};
use super::page_text::text_of;
use super::phrase_lists::{self, Choice, LIMITS, Scorer};
use super::report::{Cell, Report, Share, Table};
use super::shared::Shared;
use categorizer::phrase;
use categorizer::theme::Scratch;
use serde_json::json;
use std::path::Path;

const FOLDER: &str = "pages/readability";

/// Most pages that may be flagged for ks3, and for staff.
const MOST: [u64; 2] = [1, 0];

/// How close to the threshold a page is told of, in percent.
const NEAR_PERCENT: u32 = 60;

/// One page.
pub(crate) struct Page {
    /// Its number in the index.
    pub number: String,
    /// As published.
    pub html: Vec<u8>,
    /// What is read of it.
    pub text: String,
}

fn read(shared: &Shared) -> Result<Vec<Page>, Fault> {
    let mut pages = Vec::new();
    for name in shared.names(FOLDER)? {
        let Some(name) = name.strip_suffix(".gz").or(name.strip_suffix(".html").map(|_| &*name))
        else {
            continue;
        };
        let Some(html) = shared.bytes(&format!("{FOLDER}/{name}"))? else { continue };
        let number = name.trim_end_matches(".html").to_owned();
        pages.push(Page { number, text: text_of(&html), html });
    }
    Ok(pages)
}

/// Adds the tables; with a folder for what is fetched, runs e2guardian too.
///
/// # Errors
/// The data is not there, or e2guardian does not run.
pub(crate) fn measure(
    shared: &Shared,
    levels: &Levels,
    peers: Option<&Path>,
    report: &mut Report,
) -> Result<(), Fault> {
    let pages = read(shared)?;
    let bytes: usize = pages.iter().map(|page| page.text.len()).sum();
    report.fact(
        "pages",
        format!("{} real pages with {} KB of text", pages.len(), bytes >> 10),
        json!({ "pages": pages.len(), "text_bytes": bytes }),
    );
    let mut table = Table::new(
        "pages",
        "Real pages flagged",
        "Pages of a theme that is watched or refused, or blocked by e2guardian's phrases at the limit for the age.",
        &["by", "flagged", "refused"],
    );
    by_themes(&pages, levels, &mut table, report);
    by_phrases(&pages, shared, &mut table)?;
    report.table(table);
    match peers {
        Some(folder) => e2guardian_run::compare(&pages, shared, folder, report)?,
        None => report.passed_over("e2guardian itself: run with --e2guardian"),
    }
    Ok(())
}

fn by_themes(pages: &[Page], levels: &Levels, table: &mut Table, report: &mut Report) {
    let mut scratch = Scratch::default();
    let mut flagged = [Share::default(); 2];
    let mut refused = [Share::default(); 2];
    for page in pages {
        let found = levels.themes.score_page(&page.text, &mut scratch);
        for who in Who::ALL {
            let Said { is_told, is_refused } = levels.said(who, &found);
            flagged[who as usize].add(is_told);
            refused[who as usize].add(is_refused);
        }
        let names = levels.themes.themes().iter().map(|theme| &theme.name);
        for (name, score) in names.zip(found.scores()) {
            if score.percent >= NEAR_PERCENT {
                let line =
                    format!("page {}: {name} {} % of what is needed", page.number, score.percent);
                report.fact(&format!("page {} {name}", page.number), line, json!(score.percent));
            }
        }
    }
    for who in Who::ALL {
        let (flagged, refused) = (flagged[who as usize], refused[who as usize]);
        table.row(vec![
            Cell::from(format!("theme packs, {}", who.name())),
            Cell::Of(flagged),
            Cell::Of(refused),
        ]);
        let most = MOST[who as usize];
        report.target(
            flagged.part <= most,
            format!(
                "real pages flagged for {}: {} of {}; at most {most}",
                who.name(),
                flagged.part,
                flagged.whole
            ),
        );
    }
}

fn by_phrases(pages: &[Page], shared: &Shared, table: &mut Table) -> Result<(), Fault> {
    let mut scratch = phrase::Scratch::default();
    for choice in Choice::ALL {
        let files = phrase_lists::files(shared, choice)?;
        for limit in LIMITS.into_iter().filter(|limit| *limit > 0) {
            let scorer = Scorer::new(&files, limit)?;
            let mut blocked = Share::default();
            pages.iter().for_each(|page| blocked.add(scorer.blocks(&page.text, &mut scratch)));
            table.row(vec![
                Cell::from(format!(
                    "e2guardian {} ({} phrases), limit {limit}",
                    choice.name(),
                    scorer.len()
                )),
                Cell::Of(blocked),
                Cell::Of(blocked),
            ]);
        }
    }
    Ok(())
}
