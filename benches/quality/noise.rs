//! What recorded browsing would tell a safeguarding lead: an alert for each request that carries a sign, beside
//! one for each episode (`ledger::episodes`).
//!
//! A sign is a blocked category that has a theme, or a URL whose words are of a watched one. The recordings are
//! of ordinary people on news and developers' sites, so that next to every sign is a false one.

use super::Fault;
use super::levels::{FLAGGED_PERCENT, Levels, Who};
use super::lists::Lists;
use super::report::{Cell, Report, Share, Table};
use super::shared::Shared;
use super::trace_rows::{self, Request};
use categorizer::theme::Scratch;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ledger::episodes::visit::is_visit;
use ledger::episodes::{EpisodeDay, REPEAT_MS, Sign, Source, Thresholds, category_signs};
use ledger::query::{AccessRow, Cursor};
use ledger::record::{Depth, End, Ended};
use rules::alert::Severity;
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::host::Host;
use rules::policy::ThemeAction;
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::visit::{Clues, Loads, Visit, told_by};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

/// What one recording comes to.
#[derive(Default)]
struct Counts {
    requests: u64,
    pages: BTreeSet<String>,
    /// Taken for pages that somebody opened.
    opened: u64,
    /// The same without repeats of a page.
    visits: u64,
    blocked: u64,
    /// Of those, taken for pages that somebody opened.
    blocked_opened: u64,
    /// Requests that carry a sign, themes counted apart.
    signs: u64,
    episodes: u64,
    due: u64,
    by_theme: BTreeMap<String, (u64, u64)>,
}

/// Adds the tables.
///
/// # Errors
/// The recordings are not there.
pub(crate) fn measure(
    shared: &Shared,
    lists: &Lists,
    levels: &Levels,
    report: &mut Report,
) -> Result<(), Fault> {
    let requests = trace_rows::read(shared)?;
    let mut table = Table::new(
        "noise",
        "Alerts of recorded browsing, ks3",
        "\"pages\": what the recording calls one, where it does. \"opened\": not told to be fetched by a page, nor to lead elsewhere. \
         \"visits\": the same with repeats within five minutes left out. \"signs\": alerts if each request raised \
         one. \"episodes\": one person, one theme, 30 minutes. \"due\": episodes that alert somebody by the shipped \
         thresholds.",
        &[
            "recording",
            "requests",
            "pages",
            "opened",
            "visits",
            "blocked",
            "opened and blocked",
            "signs",
            "episodes",
            "due",
        ],
    );
    let mut by_trace: BTreeMap<&str, Vec<&Request>> = BTreeMap::new();
    for request in &requests {
        by_trace.entry(request.trace).or_default().push(request);
    }
    let mut all = Counts::default();
    for (trace, requests) in by_trace {
        let counts = count(&requests, lists, levels)?;
        table.row(cells(trace, &counts));
        all.add(counts);
    }
    table.row(cells("all", &all));
    report.table(table);
    for (theme, (signs, episodes)) in &all.by_theme {
        report.fact(
            &format!("noise {theme}"),
            format!("{theme}: {signs} signs, {episodes} episodes"),
            json!({ "signs": signs, "episodes": episodes }),
        );
    }
    let removed = Share { part: all.signs - all.episodes.min(all.signs), whole: all.signs };
    let shown = removed.value().map_or("-".to_owned(), |value| format!("{value:.2}"));
    report.fact(
        "noise_removed",
        format!("share of alerts that episodes take away: {shown}"),
        json!({ "part": removed.part, "whole": removed.whole }),
    );
    Ok(())
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.requests += other.requests;
        self.pages.extend(other.pages);
        self.opened += other.opened;
        self.visits += other.visits;
        self.blocked += other.blocked;
        self.blocked_opened += other.blocked_opened;
        self.signs += other.signs;
        self.episodes += other.episodes;
        self.due += other.due;
        for (theme, (signs, episodes)) in other.by_theme {
            let sums = self.by_theme.entry(theme).or_default();
            *sums = (sums.0 + signs, sums.1 + episodes);
        }
    }
}

fn cells(name: &str, counts: &Counts) -> Vec<Cell> {
    let pages = counts.pages.len() as u64;
    let pages = if pages == 0 { Cell::from("-") } else { Cell::from(pages) };
    let Counts { requests, opened, visits, blocked, blocked_opened, signs, episodes, due, .. } =
        *counts;
    let rest = [opened, visits, blocked, blocked_opened, signs, episodes, due].map(Cell::Count);
    [Cell::from(name), Cell::from(requests), pages].into_iter().chain(rest).collect()
}

fn count(requests: &[&Request], lists: &Lists, levels: &Levels) -> Result<Counts, Fault> {
    let mut counts = Counts::default();
    let mut days: BTreeMap<Date, EpisodeDay> = BTreeMap::new();
    let mut seen: HashMap<(String, String), i64> = HashMap::new();
    let mut scratch = Scratch::default();
    let mut browsers = Browsers::default();
    for (sequence, request) in requests.iter().enumerate() {
        let visit = browsers.visit(request);
        let Some(row) = row((sequence, visit), request, lists, levels)? else { continue };
        counts.requests += 1;
        counts.pages.extend(request.page.clone());
        counts.blocked += u64::from(row.verdict == Verdict::Block);
        if is_visit(&row) {
            counts.opened += 1;
            counts.blocked_opened += u64::from(row.verdict == Verdict::Block);
            let page = (request.person.clone(), format!("{}{:?}", row.host, row.path));
            let is_new = seen.get(&page).is_none_or(|before| row.at.0 - before >= REPEAT_MS);
            if is_new {
                counts.visits += 1;
                seen.insert(page, row.at.0);
            }
        }
        let signs = signs(&row, request, levels, &mut scratch);
        counts.signs += signs.len() as u64;
        for sign in &signs {
            counts.by_theme.entry(sign.theme.clone()).or_default().0 += 1;
        }
        let day = row.cursor.day;
        days.entry(day).or_insert_with(|| EpisodeDay::new(day)).take(&row, &signs);
    }
    for episode in days.values().flat_map(EpisodeDay::episodes) {
        counts.episodes += 1;
        counts.due += u64::from(episode.due(Thresholds::default()).is_some());
        counts.by_theme.entry(episode.key.theme.clone()).or_default().1 += 1;
    }
    Ok(counts)
}

/// Who browses, each with a device of their own, and what they load.
#[derive(Default)]
struct Browsers {
    people: HashMap<String, u32>,
    loads: Loads,
}

impl Browsers {
    /// What the filter would say of a request; where the recording has no heads it is not known.
    fn visit(&mut self, request: &Request) -> Visit {
        if request.fields.is_empty() {
            return Visit::Unknown;
        }
        let next = self.people.len() as u32;
        let number = *self.people.entry(request.person.clone()).or_insert(next);
        let field = |name: &str| request.fields.get(name).map(String::as_str);
        let clues = Clues::of(&request.method, request.url.path(), field);
        let host = request.url.host_str().unwrap_or_default();
        let client = IpAddr::V4(Ipv4Addr::from(number));
        let page = || self.loads.page(client, host, clues.referer, UnixMillis(request.at_ms));
        told_by(&clues).unwrap_or_else(page)
    }
}

/// The row that the log would have.
fn row(
    (sequence, visit): (usize, Visit),
    request: &Request,
    lists: &Lists,
    levels: &Levels,
) -> Result<Option<AccessRow>, Fault> {
    let Ok(host) = Host::parse(request.url.host_str().unwrap_or_default()) else { return Ok(None) };
    let path = request.url.path();
    let whole = request.url.query().map_or(path.to_owned(), |query| format!("{path}?{query}"));
    let categories = lists.index.categories(&host, Some(&whole));
    let decision = levels.decide(Who::Ks3, &host, &whole, categories);
    let reason: ReasonCode = levels.reason(&decision);
    let day = Timestamp::from_millisecond(request.at_ms)?.to_zoned(TimeZone::UTC).date();
    Ok(Some(AccessRow {
        cursor: Cursor { day, sequence: sequence as i64 },
        id: RequestId(sequence as u64),
        at: UnixMillis(request.at_ms),
        user: Some(request.person.clone()),
        level: Who::Ks3.name().to_owned(),
        client: "192.0.2.1".to_owned(),
        method: request.method.clone(),
        scheme: if request.url.scheme() == "https" { Scheme::Https } else { Scheme::Http },
        host: host.to_string(),
        port: request.url.port_or_known_default().unwrap_or(0),
        path: (request.method != "CONNECT").then(|| path.to_owned()),
        categories: levels.catalogue().names(categories).into_iter().map(str::to_owned).collect(),
        verdict: decision.verdict,
        reason,
        rule: None,
        unblock: None,
        depth: Depth::Page,
        visit,
        policy_hash: String::new(),
        list_version: String::new(),
        zone: "Europe/London".to_owned(),
        ended: (request.status > 0).then_some(Ended {
            end: End::Complete,
            status: request.status,
            bytes_up: 0,
            bytes_down: 0,
            duration_us: 0,
            depth: None,
        }),
        words: None,
        signs: Vec::new(),
    }))
}

/// What a row says of themes: by its categories, and by the words of the URL.
fn signs(row: &AccessRow, request: &Request, levels: &Levels, scratch: &mut Scratch) -> Vec<Sign> {
    let mut signs = category_signs(row);
    let path = &request.url[url::Position::BeforePath..url::Position::AfterQuery];
    let found = levels.themes.score_address(&row.host, path, scratch);
    for (theme, score) in levels.themes.themes().iter().zip(found.scores()) {
        let is_watched = levels.action(Who::Ks3, &theme.name) > ThemeAction::Off;
        if score.percent < FLAGGED_PERCENT || !is_watched {
            continue;
        }
        if signs.iter().any(|sign| sign.theme == theme.name) {
            continue;
        }
        let severity = match theme.severity {
            rules::theme::Severity::Routine => Severity::Routine,
            rules::theme::Severity::High => Severity::High,
            rules::theme::Severity::Urgent => Severity::Urgent,
        };
        signs.push(Sign {
            theme: theme.name.clone(),
            points: u16::try_from(score.percent).unwrap_or(u16::MAX),
            source: Source::Url,
            severity,
        });
    }
    signs
}
