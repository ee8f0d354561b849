//! The content types that UK guidance names, and what is found of each.
//!
//! The shared folder says which published lists belong to a type (`policy/uk_content_types.json`); which
//! labelled URLs and which of our own searches tell of it, the table here does.

use super::Fault;
use super::labelled_texts::files;
use super::labelled_urls::{Judged, citizen_lab, share};
use super::levels::{Levels, Who};
use super::lists::{Lists, category_of};
use super::report::{Cell, Report, Share, Table};
use super::shared::Shared;
use categorizer::theme::Scratch;
use rules::category::CategorySet;
use serde_json::Value;

/// How a type begins, codes of labelled URLs, and themes of our own searches.
const TYPES: [(&str, &[&str], &[&str]); 11] = [
    ("Gambling", &["GMB"], &[]),
    ("Hate speech", &["HATE"], &["discrimination", "bullying"]),
    ("Harmful content and drugs", &["ALDR"], &["drugs"]),
    ("Malware and hacking", &["HACK"], &[]),
    ("Misinformation", &[], &[]),
    ("Piracy", &["FILE"], &[]),
    ("Pornography", &["PORN", "PROV", "DATE"], &["pornography"]),
    ("Self harm", &[], &["self-harm", "suicide"]),
    ("Violence", &["MILX"], &["violence", "extremism"]),
    ("Bypass", &["ANON"], &["circumvention"]),
    ("Social networks", &["GRP", "COMT", "MMED", "GAME", "COMM"], &[]),
];

/// Adds the table.
///
/// # Errors
/// The data is not there.
pub(crate) fn measure(
    shared: &Shared,
    lists: &Lists,
    levels: &Levels,
    report: &mut Report,
) -> Result<(), Fault> {
    let judged = citizen_lab(shared, lists, levels)?;
    let types: Value = serde_json::from_str(&shared.text("policy/uk_content_types.json")?)?;
    let mut table = Table::new(
        "content_types",
        "UK content types",
        "\"own lists\": on a list of one of the type's categories. \"ks3\": refused for a pupil of 11 to 14, for whatever \
         reason, by lists and by lists and words. \"searches\": held-out searches of the type's themes that are found \
         to be of one of them; lists find none of these, as the address is the search engine's. A dash: nothing \
         labelled tells of it.",
        &["type", "URLs", "own lists", "ks3 lists", "+ words", "searches", "found"],
    );
    for kind in types["content_types"].as_array().into_iter().flatten() {
        let name = kind["type"].as_str().unwrap_or_default();
        let Some((_, codes, themes)) = TYPES.iter().find(|(begin, ..)| name.starts_with(begin))
        else {
            return Err(format!("uk_content_types.json: no row here for \"{name}\"").into());
        };
        let own = categories(kind, levels);
        let of: Vec<&Judged> =
            judged.iter().filter(|one| codes.contains(&one.label.as_str())).collect();
        let searches = searches(levels, themes);
        table.row(vec![
            Cell::from(name),
            Cell::from(of.len() as u64),
            Cell::Share(share(&of, |one| !one.categories.intersection(own).is_empty())),
            Cell::Share(share(&of, |one| one.is_listed(Who::Ks3))),
            Cell::Share(share(&of, |one| one.is_refused(Who::Ks3))),
            Cell::from(searches.whole),
            Cell::Share(searches),
        ]);
    }
    report.table(table);
    Ok(())
}

/// Our categories of the lists that a type names.
fn categories(kind: &Value, levels: &Levels) -> CategorySet {
    let lists = kind["lists"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let categories = lists.filter_map(|list| {
        let (source, name) = list.split_once('/')?;
        let name = name.split(' ').next()?;
        levels.catalogue().id(category_of(source, name)?)
    });
    categories.collect()
}

/// Held-out searches of some themes, and those of them that are found to be of one of the same.
fn searches(levels: &Levels, themes: &[&str]) -> Share {
    let [(_, searches), _] = files();
    let mut share = Share::default();
    let mut scratch = Scratch::default();
    for line in searches.iter().filter(|line| line.is_held_out()) {
        if !line.themes.iter().any(|theme| themes.contains(theme)) {
            continue;
        }
        let found = levels.themes.score_typed(line.text, &mut scratch);
        let mut of = found.themes_from(super::levels::FLAGGED_PERCENT);
        share.add(of.any(|theme| themes.contains(&theme)));
    }
    share
}
