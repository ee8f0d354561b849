//! What must stay within reach: sites of help, schools and universities, children's sites, libraries, sex
//! education.

use super::Fault;
use super::labelled_urls::judge;
use super::levels::{Levels, Who};
use super::lists::Lists;
use super::report::{Cell, Report, Share, Table};
use super::shared::Shared;
use categorizer::theme::Scratch;
use rules::category::CategorySet;
use rules::host::Host;

/// Published lists of what is good, by the folder's own word for what they hold.
const GOOD: [(&str, &str); 4] = [
    ("ut1/child", "for children (ut1)"),
    ("ut1/sexual_education", "sex education (ut1)"),
    ("ut1/liste_bu", "libraries (ut1)"),
    ("ut1/press", "press (ut1)"),
];

/// Least share of schools and universities that must pass, for everybody.
const EDUCATION_PASSES: f64 = 0.99;

/// Adds the table of sites that others list.
///
/// # Errors
/// The data is not there.
pub(crate) fn measure(
    shared: &Shared,
    lists: &Lists,
    levels: &Levels,
    report: &mut Report,
) -> Result<(), Fault> {
    let mut table = Table::new(
        "must_stay_reachable",
        "Sites that must stay within reach",
        "How many of each are refused, in a lesson; \"+ words\": by lists or by the words of the name. ut1's own lists \
         overlap: some press is on its lists of forums or shops too.",
        &["sites", "names", "ks3 lists", "+ words", "staff lists", "staff + words", "ks3 harm"],
    );
    let schools = shared.text("education/swot_domains.tsv")?;
    let schools = schools.lines().filter(|line| !line.starts_with('#'));
    let schools: Vec<String> =
        schools.filter_map(|line| line.split('\t').next()).map(str::to_owned).collect();
    let counts = count(&schools, lists, levels);
    let refused = counts[1].part.max(counts[3].part);
    let passes = 1.0 - refused as f64 / counts[0].whole.max(1) as f64;
    report.target(
        passes >= EDUCATION_PASSES,
        format!("schools and universities within reach: {passes:.4}; at least {EDUCATION_PASSES}"),
    );
    table.row(row("schools and universities (swot)", counts));
    for (list, what) in GOOD {
        let Some(names) = shared.bytes(&format!("lists/{list}/domains"))? else { continue };
        let names = String::from_utf8_lossy(&names);
        let names = names.lines().map(str::trim).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_owned).collect();
        table.row(row(what, count(&names, lists, levels)));
    }
    report.table(table);
    Ok(())
}

fn row(what: &str, counts: [Share; 5]) -> Vec<Cell> {
    let all = [Cell::from(what), Cell::from(counts[0].whole)];
    all.into_iter().chain(counts.map(|share| Cell::Count(share.part))).collect()
}

/// Refused by lists and with words, for ks3 and for staff; and for ks3 by lists for harm.
fn count(names: &[String], lists: &Lists, levels: &Levels) -> [Share; 5] {
    let mut counts = [Share::default(); 5];
    let mut scratch = Scratch::default();
    for name in names {
        let url = format!("https://{name}/");
        let Some(judged) = judge(&url, "", lists, levels, &mut scratch) else { continue };
        for (at, who) in Who::ALL.into_iter().enumerate() {
            counts[2 * at].add(judged.is_listed(who));
            counts[2 * at + 1].add(judged.is_refused(who));
        }
        counts[4].add(judged.for_harm[Who::Ks3 as usize]);
    }
    counts
}

/// Judges the shipped list of sites of help, by the words of their names: nothing but the program is needed.
///
/// # Errors
/// There is no such list.
pub(crate) fn help(levels: &Levels, report: &mut Report) -> Result<(), Fault> {
    let list = rules::defaults::list("health-help").ok_or("no list of help is shipped")?;
    let names = list.lines().map(|line| line.split('#').next().unwrap_or("").trim());
    let mut scratch = Scratch::default();
    let (mut told, mut refused) = (Share::default(), Share::default());
    for name in names.filter(|name| !name.is_empty()) {
        // As if no list knew it, which this one does.
        let host = Host::parse(name)?;
        let said = levels.address_said(&host, "/", CategorySet::default(), &mut scratch);
        told.add(said.iter().any(|said| said.is_told));
        refused.add(said.iter().any(|said| said.is_refused));
    }
    report.target(
        refused.part == 0,
        format!(
            "sites of help refused by the words of their names: {} of {} ({} are told of); none",
            refused.part, refused.whole, told.part
        ),
    );
    Ok(())
}
