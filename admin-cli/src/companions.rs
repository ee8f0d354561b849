//! Which other hosts a site's pages need, as far as the log tells: what the same person asked for in
//! the seconds after the site, in most of the visits of the last weeks.
//!
//! The log has names, not pages: what a browser asks for by itself at that moment looks the same. So a
//! host counts only if it came with a good part of the visits.

use crate::failure::Failure;
use crate::log::{self, from_query_error};
use crate::school::School;
use ledger::query::{AccessRow, Filter, Order};
use rules::decide::Verdict;
use rules::host::Host;
use rules::site::Site;
use rules::time::UnixMillis;
use std::collections::{HashMap, HashSet};

/// How far back is looked, in days.
pub(crate) const DAYS: i64 = 14;

/// How long after a visit its page is being loaded, in milliseconds.
const LOADING_MS: i64 = 8_000;

/// Most rows of the site that are looked at.
const MAX_ROWS: usize = 400;

/// Most visits that are looked at.
const MAX_VISITS: usize = 20;

/// Most rows after a visit that are looked at: eight seconds of a busy school.
const MAX_ROWS_AFTER: usize = 2_000;

/// Most hosts that are told.
const MAX_HOSTS: usize = 12;

/// What a site's pages need.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Companions {
    /// How many visits were looked at.
    pub(crate) visits: usize,
    /// Other hosts, with the visits that they came with; the most frequent first.
    pub(crate) hosts: Vec<(Host, usize)>,
}

/// Asks the log.
pub(crate) async fn of(
    school: &School,
    site: &Site,
    now: UnixMillis,
) -> Result<Companions, Failure> {
    let mut access = log::open(school).await?;
    let filter = Filter {
        site: Some(site.host().as_str().to_owned()),
        verdict: Some(Verdict::Allow),
        since: Some(UnixMillis(now.0 - DAYS * 86_400_000)),
        ..Filter::default()
    };
    let page =
        access.page(&filter, Order::NewestFirst, None, MAX_ROWS).await.map_err(from_query_error)?;
    let mut visits: Vec<AccessRow> = Vec::new();
    for row in page.rows {
        // One visit a person and loading time: a page's own parts are no visits of their own.
        let is_same = |known: &AccessRow| {
            who(known) == who(&row) && (known.at.0 - row.at.0).abs() < LOADING_MS
        };
        match visits.iter().position(is_same) {
            // Rows come the newest first, and the visit begins with the oldest.
            Some(place) => visits[place] = row,
            None if visits.len() < MAX_VISITS => visits.push(row),
            None => break,
        }
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    for visit in &visits {
        let page = access
            .page(&Filter::default(), Order::OldestFirst, Some(visit.cursor), MAX_ROWS_AFTER)
            .await
            .map_err(from_query_error)?;
        let with: HashSet<String> = page
            .rows
            .into_iter()
            .filter(|row| who(row) == who(visit) && row.at.0 < visit.at.0 + LOADING_MS)
            .map(|row| row.host)
            .collect();
        with.into_iter().for_each(|host| *counts.entry(host).or_default() += 1);
    }
    Ok(Companions { visits: visits.len(), hosts: chosen(counts, visits.len(), site) })
}

/// Who asked, as far as is known.
fn who(row: &AccessRow) -> (Option<&str>, &str) {
    (row.user.as_deref(), &row.client)
}

/// The hosts that came with at least a third of the visits, and are not of the site itself.
fn chosen(counts: HashMap<String, usize>, visits: usize, site: &Site) -> Vec<(Host, usize)> {
    let own = Site::of_host(site.host().clone());
    let mut hosts: Vec<(Host, usize)> = counts
        .into_iter()
        .filter(|(_, count)| count * 3 >= visits)
        .filter_map(|(host, count)| Some((Host::parse(&host).ok()?, count)))
        .filter(|(host, _)| host != site.host())
        .filter(|(host, _)| !own.as_ref().is_ok_and(|own| own.covers(host, None)))
        .collect();
    hosts.sort_by(|one, other| {
        other.1.cmp(&one.1).then_with(|| one.0.as_str().cmp(other.0.as_str()))
    });
    hosts.truncate(MAX_HOSTS);
    hosts
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    #[test]
    fn a_host_counts_if_it_came_with_a_third_of_the_visits_and_is_another_site() {
        let counts = [
            ("chess.com", 9),
            ("www.chess.com", 9),
            ("images.example", 9),
            ("fonts.example", 3),
            ("mail.example", 2),
            ("no host", 9),
        ];
        let counts = counts.map(|(host, count)| (host.to_owned(), count)).into();
        let site = Site::parse("chess.com").unwrap();
        let told: Vec<_> = chosen(counts, 9, &site)
            .into_iter()
            .map(|(host, count)| (host.to_string(), count))
            .collect();
        assert_eq!(told, [("images.example".to_owned(), 9), ("fonts.example".to_owned(), 3)]);
    }
}
