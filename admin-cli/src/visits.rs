//! Visits among records: pages that somebody opened; the same one again within five minutes is none.
//!
//! What was visited under an unblock: which hosts, how often, by how many people. No names: who they are is asked of
//! the log itself.

use crate::failure::Failure;
use crate::log::{self, from_query_error};
use crate::school::School;
use ledger::episodes::REPEAT_MS;
use ledger::episodes::visit::is_visit;
use ledger::query::{AccessRow, Cursor, Filter, Order};
use rules::change::UnblockHistory;
use rules::visit::Visit;
use std::collections::{HashMap, HashSet};

/// Rows asked for at a time.
const PAGE_ROWS: usize = 5_000;

/// Most rows that are counted: beyond these the counts are "at least".
const MAX_ROWS: usize = 500_000;

/// Most hosts that are counted apart.
const MAX_HOSTS: usize = 10_000;

/// What was answered, and where it is known whether somebody opened it: `locked (opened)`.
pub(crate) fn answer(answer: &str, visit: Visit) -> String {
    match visit {
        Visit::Unknown => answer.to_owned(),
        Visit::Opened | Visit::Part | Visit::Frame => format!("{answer} ({})", visit.as_str()),
    }
}

/// The counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Visits {
    /// Pages that somebody opened.
    pub(crate) pages: u64,
    /// Requests.
    pub(crate) requests: u64,
    /// People; somebody without a name counts by their device.
    pub(crate) people: usize,
    /// Hosts with their requests, the most visited first.
    pub(crate) hosts: Vec<(String, u64)>,
    /// Whether there was more than is counted.
    pub(crate) is_cut: bool,
}

/// Most pages remembered to tell repeats by.
const MAX_PAGES: usize = 50_000;

/// What was opened lately.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// By person or device, host and path: when it last counted.
    pages: HashMap<(String, String, Option<String>), i64>,
}

impl Opened {
    /// Whether somebody opened a page that they had not opened within the last minutes.
    pub(crate) fn is_new(&mut self, row: &AccessRow) -> bool {
        if !is_visit(row) {
            return false;
        }
        if self.pages.len() >= MAX_PAGES {
            self.pages.retain(|_, at| row.at.0 - *at < REPEAT_MS);
        }
        let who = row.user.as_ref().map_or(row.client.clone(), |name| name.to_lowercase());
        let page = (who, row.host.clone(), row.path.clone());
        let is_repeat = self.pages.get(&page).is_some_and(|at| row.at.0 - at < REPEAT_MS);
        if !is_repeat && self.pages.len() < MAX_PAGES {
            self.pages.insert(page, row.at.0);
        }
        !is_repeat
    }
}

/// Counts what an unblock has opened.
pub(crate) async fn under(school: &School, request: &UnblockHistory) -> Result<Visits, Failure> {
    let Some((applied, _)) = &request.applied else { return Ok(Visits::default()) };
    let mut access = log::open(school).await?;
    let filter = Filter { unblock: Some(request.id), since: Some(*applied), ..Filter::default() };
    let mut visits = Visits::default();
    let mut people: HashSet<(Option<String>, Option<String>)> = HashSet::new();
    let mut hosts: HashMap<String, u64> = HashMap::new();
    let mut opened = Opened::default();
    let mut after: Option<Cursor> = None;
    loop {
        let page = access
            .page(&filter, Order::OldestFirst, after, PAGE_ROWS)
            .await
            .map_err(from_query_error)?;
        for row in page.rows {
            visits.requests += 1;
            visits.pages += u64::from(opened.is_new(&row));
            if hosts.len() < MAX_HOSTS || hosts.contains_key(&row.host) {
                *hosts.entry(row.host).or_default() += 1;
            } else {
                visits.is_cut = true;
            }
            let client = row.user.is_none().then_some(row.client);
            people.insert((row.user.map(|name| name.to_lowercase()), client));
        }
        match page.next {
            Some(next) if (visits.requests as usize) < MAX_ROWS => after = Some(next),
            Some(_) => {
                visits.is_cut = true;
                break;
            }
            None => break,
        }
    }
    visits.people = people.len();
    visits.hosts = hosts.into_iter().collect();
    visits.hosts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    Ok(visits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use ledger::record::Depth;
    use rules::code::RequestId;
    use rules::decide::{ReasonCode, Verdict};
    use rules::target::Scheme;
    use rules::time::UnixMillis;

    fn row(at: i64, user: Option<&str>, path: &str, visit: Visit) -> AccessRow {
        AccessRow {
            cursor: Cursor { day: date(2026, 11, 24), sequence: at },
            id: RequestId(at as u64),
            at: UnixMillis(at),
            user: user.map(str::to_owned),
            level: "ks3".to_owned(),
            client: "10.0.0.7".to_owned(),
            method: "GET".to_owned(),
            scheme: Scheme::Https,
            host: "a.example".to_owned(),
            port: 443,
            path: Some(path.to_owned()),
            categories: Vec::new(),
            verdict: Verdict::Allow,
            reason: ReasonCode::Allowed,
            rule: None,
            unblock: None,
            depth: Depth::Page,
            visit,
            policy_hash: String::new(),
            list_version: String::new(),
            zone: "Europe/London".to_owned(),
            ended: None,
            words: None,
            signs: Vec::new(),
        }
    }

    #[test]
    fn the_same_page_again_within_five_minutes_is_no_visit_whoever_else_opens_it() {
        let steps = [
            ("opened", row(0, Some("sam.p"), "/x", Visit::Opened), true),
            ("a picture in it", row(200, Some("sam.p"), "/x.png", Visit::Part), false),
            ("again", row(REPEAT_MS - 1, Some("Sam.P"), "/x", Visit::Opened), false),
            ("another page", row(REPEAT_MS - 1, Some("sam.p"), "/y", Visit::Opened), true),
            ("by somebody else", row(REPEAT_MS - 1, Some("kim"), "/x", Visit::Opened), true),
            ("on a device", row(REPEAT_MS - 1, None, "/x", Visit::Unknown), true),
            ("later", row(REPEAT_MS, Some("sam.p"), "/x", Visit::Opened), true),
        ];
        let mut opened = Opened::default();
        for (what, row, expected) in steps {
            assert_eq!(opened.is_new(&row), expected, "{what}");
        }
    }
}
