//! URLs that others labelled by hand: what of each kind is blocked, by lists alone and with the words of the
//! URL.
//!
//! Citizen Lab's test lists (CC BY-NC-SA 4.0) and votes on adult content of 2010 (Get-Another-Label,
//! Apache-2.0). Only sums are printed. Most of those sites no longer exist; they are names here, and nothing is
//! fetched.

use super::Fault;
use super::levels::{Levels, Said, Who};
use super::lists::Lists;
use super::report::{Cell, Report, Share, Table};
use super::shared::Shared;
use categorizer::theme::Scratch;
use rules::category::CategorySet;
use rules::decide::Verdict;
use rules::host::Host;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use url::Url;

/// Codes of what a school filter should block, at least by age or time of day, with our word for each.
pub(crate) const TO_BLOCK: [(&str, &str); 15] = [
    ("PORN", "pornography"),
    ("PROV", "provocative attire"),
    ("GMB", "gambling"),
    ("DATE", "dating"),
    ("ANON", "anonymisers, ways round"),
    ("HACK", "hacking tools"),
    ("FILE", "file sharing"),
    ("ALDR", "alcohol and drugs"),
    ("HATE", "hate speech"),
    ("MILX", "terrorism, militants"),
    ("GAME", "games"),
    ("GRP", "social networks"),
    ("COMT", "communication tools"),
    ("MMED", "media sharing"),
    ("SRCH", "search engines"),
];

/// Codes of what must stay open.
pub(crate) const TO_PASS: [(&str, &str); 13] = [
    ("NEWS", "news"),
    ("HUMR", "human rights"),
    ("XED", "sex education"),
    ("PUBH", "public health"),
    ("LGBT", "LGBT"),
    ("ENV", "environment"),
    ("REL", "religion"),
    ("CULTR", "culture"),
    ("GOVT", "government"),
    ("IGO", "intergovernmental bodies"),
    ("ECON", "economics"),
    ("POLR", "political criticism"),
    ("CTRL", "harmless, as a control"),
];

/// One URL, and what becomes of it.
pub(crate) struct Judged {
    /// Its label.
    pub label: String,
    /// Categories that lists give it.
    pub categories: CategorySet,
    /// By lists alone, by [`Who`].
    pub by_lists: [Verdict; 2],
    /// By lists alone, for harm and not for age.
    pub for_harm: [bool; 2],
    /// What its words come to.
    pub said: [Said; 2],
}

impl Judged {
    /// Whether it is refused, by lists or by its words.
    pub(crate) fn is_refused(&self, who: Who) -> bool {
        self.is_listed(who) || self.said[who as usize].is_refused
    }

    /// Whether lists block it.
    pub(crate) fn is_listed(&self, who: Who) -> bool {
        self.by_lists[who as usize] == Verdict::Block
    }
}

/// The host, and the path with its query, of a URL as people write it.
pub(crate) fn parts(url: &str) -> Option<(Host, String)> {
    let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let parsed = Url::parse(&whole).ok()?;
    let host = Host::parse(parsed.host_str()?).ok()?;
    let path = match parsed.query() {
        Some(query) => format!("{}?{query}", parsed.path()),
        None => parsed.path().to_owned(),
    };
    Some((host, path))
}

/// Judges a URL; `None` if it has no host.
pub(crate) fn judge(
    url: &str,
    label: &str,
    lists: &Lists,
    levels: &Levels,
    scratch: &mut Scratch,
) -> Option<Judged> {
    let (host, path) = parts(url)?;
    let categories = lists.index.categories(&host, Some(&path));
    let decisions = Who::ALL.map(|who| levels.decide(who, &host, &path, categories));
    let for_harm =
        Who::ALL.map(|who| levels.is_for_harm(who, &decisions[who as usize], categories));
    let by_lists = decisions.map(|decision| decision.verdict);
    let said = levels.address_said(&host, &path, categories, scratch);
    Some(Judged { label: label.to_owned(), categories, by_lists, for_harm, said })
}

/// All URLs of Citizen Lab's half, judged.
///
/// # Errors
/// They are not there.
pub(crate) fn citizen_lab(
    shared: &Shared,
    lists: &Lists,
    levels: &Levels,
) -> Result<Vec<Judged>, Fault> {
    let text = shared.text("labelled/citizenlab_half_a.tsv")?;
    let mut scratch = Scratch::default();
    let rows = text.lines().skip(1).filter_map(|line| {
        let mut cells = line.split('\t');
        let (url, code) = (cells.next()?, cells.next()?);
        judge(url, code, lists, levels, &mut scratch)
    });
    Ok(rows.collect())
}

/// All URLs of the adult content set, by what most voters, or where there is one the gold label, say.
fn adult_content(shared: &Shared, lists: &Lists, levels: &Levels) -> Result<Vec<Judged>, Fault> {
    let text = shared.text("labelled/adultcontent_half_a.tsv")?;
    let mut scratch = Scratch::default();
    let rows = text.lines().skip(1).filter_map(|line| {
        let mut cells = line.split('\t');
        let (url, gold, majority) = (cells.next()?, cells.next()?, cells.next()?);
        let label = if gold == "-" { majority } else { gold };
        judge(url, label, lists, levels, &mut scratch)
    });
    Ok(rows.collect())
}

/// Adds the tables.
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
    let baseline: Value = serde_json::from_str(&shared.text("labelled/baseline_half_a.json")?)?;
    to_block(&judged, &baseline, report);
    to_pass(&judged, &baseline, report);
    by_category(&judged, levels, report);
    adult(&adult_content(shared, lists, levels)?, report);
    Ok(())
}

fn by_label(judged: &[Judged]) -> BTreeMap<&str, Vec<&Judged>> {
    let mut labels: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for one in judged {
        labels.entry(&one.label).or_default().push(one);
    }
    labels
}

/// How many of some are so.
pub(crate) fn share(of: &[&Judged], is_so: impl Fn(&Judged) -> bool) -> Share {
    let mut share = Share::default();
    of.iter().for_each(|one| share.add(is_so(one)));
    share
}

/// Columns that both tables have: whether a row is refused, by lists and with its words, for both.
fn refused(of: &[&Judged], as_cell: fn(Share) -> Cell) -> Vec<Cell> {
    let mut cells = Vec::new();
    for who in Who::ALL {
        cells.push(as_cell(share(of, |one| one.is_listed(who))));
        cells.push(as_cell(share(of, |one| one.is_refused(who))));
    }
    cells
}

/// What plain suffix matching of the same lists reaches, as the data folder has it.
fn plain(baseline: &Value, code: &str, key: &str, rows: usize) -> Cell {
    match baseline["codes"][code][key].as_u64() {
        Some(part) => Cell::Share(Share { part, whole: rows as u64 }),
        None => Cell::from("-"),
    }
}

fn to_block(judged: &[Judged], baseline: &Value, report: &mut Report) {
    let mut table = Table::new(
        "citizen_lab_recall",
        "Labelled URLs that should be blocked",
        "Shares of the URLs of each kind. ks3 is a pupil of 11 to 14 in a lesson, by the starter policy. \"+ words\": by \
         lists or by the words of the URL. \"told\": of a theme that is watched or refused, lists aside. \"harm\": \
         blocked by lists for harm, not by age or time of day. \"plain\": what plain suffix matching of the lists \
         meant for that kind reaches.",
        &[
            "kind",
            "URLs",
            "plain",
            "ks3 lists",
            "+ words",
            "staff lists",
            "staff + words",
            "ks3 harm",
            "ks3 told",
        ],
    );
    let labels = by_label(judged);
    let mut all = Vec::new();
    for (code, what) in TO_BLOCK {
        let Some(of) = labels.get(code) else { continue };
        let plain = plain(baseline, code, "expected", of.len());
        let row = [Cell::from(format!("{code}: {what}")), Cell::from(of.len() as u64), plain];
        table.row(row.into_iter().chain(refused(of, Cell::Share)).chain(beside(of)).collect());
        all.extend(of.iter().copied());
    }
    let row = [Cell::from("all of them"), Cell::from(all.len() as u64), Cell::from("-")];
    table.row(row.into_iter().chain(refused(&all, Cell::Share)).chain(beside(&all)).collect());
    report.table(table);
}

fn beside(of: &[&Judged]) -> [Cell; 2] {
    let ks3 = Who::Ks3 as usize;
    [
        Cell::Share(share(of, |one| one.for_harm[ks3])),
        Cell::Share(share(of, |one| one.said[ks3].is_told)),
    ]
}

fn to_pass(judged: &[Judged], baseline: &Value, report: &mut Report) {
    let mut table = Table::new(
        "citizen_lab_wrongly_blocked",
        "Labelled URLs that must not be blocked",
        "How many of each kind are blocked, in the same way. A school blocks some of these sites by age on purpose (a \
         newspaper's page on a social network): \"harm\" leaves those out.",
        &[
            "kind",
            "URLs",
            "plain",
            "ks3 lists",
            "+ words",
            "staff lists",
            "staff + words",
            "ks3 harm",
            "ks3 told",
        ],
    );
    let labels = by_label(judged);
    let count = |share: Share| Cell::Count(share.part);
    let mut all = Vec::new();
    for (code, what) in TO_PASS {
        let Some(of) = labels.get(code) else { continue };
        let plain = baseline["codes"][code]["any_block"].as_u64();
        let plain = plain.map_or(Cell::from("-"), Cell::Count);
        let row = [Cell::from(format!("{code}: {what}")), Cell::from(of.len() as u64), plain];
        let beside = beside(of).map(counted);
        table.row(row.into_iter().chain(refused(of, count)).chain(beside).collect());
        all.extend(of.iter().copied());
    }
    let row = [Cell::from("all of them"), Cell::from(all.len() as u64), Cell::from("-")];
    let beside = beside(&all).map(counted);
    table.row(row.into_iter().chain(refused(&all, count)).chain(beside).collect());
    report.table(table);
    let words = share(&all, |one| {
        let ks3 = Who::Ks3;
        one.is_refused(ks3) && !one.is_listed(ks3)
    });
    report.fact(
        "citizen_lab_wrongly_refused_by_words",
        format!(
            "of {} URLs that must pass, the words of {} more are refused for ks3",
            words.whole, words.part
        ),
        json!({ "part": words.part, "whole": words.whole }),
    );
}

/// Which categories it is that lists wrongly give, and block for harm.
fn by_category(judged: &[Judged], levels: &Levels, report: &mut Report) {
    let mut table = Table::new(
        "citizen_lab_wrong_categories",
        "What lists wrongly call sites that must not be blocked",
        "Of the URLs that are blocked for ks3 for harm, how many have each category; one may have several.",
        &["category", "URLs"],
    );
    let must_pass = |one: &&Judged| TO_PASS.iter().any(|(code, _)| *code == one.label);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for one in judged.iter().filter(must_pass) {
        for name in levels.catalogue().names(levels.harmful(Who::Ks3, one.categories)) {
            *counts.entry(name).or_default() += u64::from(one.for_harm[Who::Ks3 as usize]);
        }
    }
    let mut counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    for (name, count) in counts {
        table.row(vec![Cell::from(name), Cell::from(count)]);
    }
    report.table(table);
}

fn counted(cell: Cell) -> Cell {
    match cell {
        Cell::Share(share) => Cell::Count(share.part),
        other => other,
    }
}

fn adult(judged: &[Judged], report: &mut Report) {
    let mut table = Table::new(
        "adult_content",
        "Sites that voters rated in 2010",
        "Gold label where there is one, else the majority of votes. Most of these names have had other owners since, \
         so that recall says little; what is blocked of G does not.",
        &["rating", "sites", "ks3 lists", "+ words", "staff lists", "staff + words", "ks3 harm"],
    );
    let labels = by_label(judged);
    for (label, what) in [
        ("X", "X: explicit"),
        ("R", "R: restricted"),
        ("P", "P: with parents"),
        ("G", "G: general"),
    ] {
        let Some(of) = labels.get(label) else { continue };
        let row = [Cell::from(what), Cell::from(of.len() as u64)];
        let harm = Cell::Share(share(of, |one| one.for_harm[Who::Ks3 as usize]));
        table.row(row.into_iter().chain(refused(of, Cell::Share)).chain([harm]).collect());
    }
    report.table(table);
}
