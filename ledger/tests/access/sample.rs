//! Made-up accesses.

use ledger::ingest::{Settings, Writer};
use ledger::journal::JournalSettings;
use ledger::notes::{Severity, Sign, SignSource, Words, WordsKind};
use ledger::query::{AccessLog, AccessRow, Filter, Order};
use ledger::record::{Context, Decided, Depth, End};
use ledger::seen::Seen;
use rules::category::{CategoryId, CategorySet};
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::visit::Visit;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Wednesday 26 November 2025, 10:00 in London.
pub(crate) const NOW: UnixMillis = UnixMillis(1_764_151_200_000);

pub(crate) const CATEGORIES: [&str; 5] =
    ["uncategorised", "games", "education", "gambling", "illegal-csam"];
pub(crate) const LEVELS: [&str; 3] = ["ks2", "ks3", "staff"];

pub(crate) fn context(zone: &str) -> Arc<Context> {
    Arc::new(Context {
        policy_hash: "0a".repeat(32),
        list_version: "lists-7".into(),
        categories: CATEGORIES.map(str::to_owned).to_vec(),
        levels: LEVELS.map(str::to_owned).to_vec(),
        locked: CategorySet::of(CategoryId::from_index(4)),
        zone: zone.into(),
    })
}

pub(crate) fn categories(places: &[u8]) -> CategorySet {
    places.iter().map(|&place| CategoryId::from_index(place)).collect()
}

/// An allowed GET of a ks3 pupil.
pub(crate) fn allowed(context: &Arc<Context>, id: RequestId, at: UnixMillis) -> Decided<'_> {
    Decided {
        id,
        at,
        context,
        user: Some("pupil01"),
        level: 1,
        client: [10, 1, 2, 3].into(),
        method: "GET",
        scheme: Scheme::Http,
        host: "www.library.test",
        port: 80,
        path: Some("/maths/fractions"),
        categories: categories(&[2]),
        verdict: Verdict::Allow,
        reason: ReasonCode::Allowed,
        rule: None,
        unblock: None,
        depth: Depth::Plain,
        // Of each kind some, so that every way a record goes keeps it.
        visit: Visit::ALL[(id.0 % 4) as usize],
        words: None,
        signs: &[],
    }
}

/// Words of a search.
pub(crate) const WORDS: Words<'static> =
    Words { text: "How do \u{c9}clairs work", kind: WordsKind::Search, site: "Bing" };

/// A sign of a theme.
pub(crate) fn sign(points: u16) -> Sign {
    let (source, severity) = (SignSource::Page, Severity::High);
    Sign { theme: "drugs".to_owned(), points, source, severity }
}

/// A blocked one.
pub(crate) fn blocked(context: &Arc<Context>, id: RequestId, at: UnixMillis) -> Decided<'_> {
    Decided {
        host: "arcade.test",
        path: Some("/"),
        categories: categories(&[1, 3]),
        verdict: Verdict::Block,
        reason: ReasonCode::Category,
        rule: Some("policy.toml:26 games = \"block\""),
        ..allowed(context, id, at)
    }
}

pub(crate) fn tunnel(context: &Arc<Context>, id: RequestId, at: UnixMillis) -> Decided<'_> {
    Decided {
        method: "CONNECT",
        scheme: Scheme::Tunnel,
        port: 443,
        path: None,
        depth: Depth::Name,
        ..allowed(context, id, at)
    }
}

pub(crate) fn settings() -> Settings {
    let journal = JournalSettings { sync_interval_ms: 50, ..JournalSettings::default() };
    Settings { journal, poll_interval_ms: 5, ..Settings::default() }
}

pub(crate) fn start(state: &Path) -> Writer {
    Writer::start(state, settings()).unwrap()
}

/// Runs a future to its end.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Every row, oldest first.
pub(crate) fn rows(state: &Path) -> Vec<AccessRow> {
    let page = wait(async {
        AccessLog::new(state)
            .page(&Filter::default(), Order::OldestFirst, None, usize::MAX >> 1)
            .await
    });
    page.unwrap().rows
}

/// What the filter saw, counted from the rows.
pub(crate) fn seen(rows: &[AccessRow]) -> BTreeMap<String, Seen> {
    let mut levels: BTreeMap<String, Seen> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.verdict == Verdict::Allow) {
        let Some(ended) = row.ended else { continue };
        let level = levels.entry(row.level.clone()).or_default();
        let count = match (row.scheme, row.depth, ended.end) {
            (Scheme::Http, ..) => &mut level.plain,
            (Scheme::Https, ..) => &mut level.inside,
            (Scheme::Tunnel, _, End::Rejected) => &mut level.refused,
            (Scheme::Tunnel, Depth::Page, _) => &mut level.looked_into,
            (Scheme::Tunnel, ..) if ended.bytes_up == 0 => &mut level.nothing,
            (Scheme::Tunnel, ..) => &mut level.by_name,
        };
        *count += 1;
    }
    levels
}

/// The journal files left in a state folder.
pub(crate) fn journal_files(state: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(state.join("journal")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sgj"));
    files.sort();
    files
}
