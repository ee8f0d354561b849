//! What the address of a page says of itself, scored by themes.
//!
//! An address names a thing, and tells of nobody: it is a sign, and refuses only where nothing else is known of a host.

use crate::live::Facts;
use crate::record::now;
use crate::themes::addressed;
use crate::view::{Ruling, View};
use crate::worker::Worker;
use hyper::header::{ACCEPT, HeaderMap, HeaderName};
use ledger::notes::SignSource;
use rules::category::{CategoryId, CategorySet};
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Judges the address of a page that the policy allows and somebody opens. What pages fetch by themselves is judged by
/// what it says alone.
pub(crate) fn judge(
    worker: &Worker,
    view: &View,
    facts: &Facts,
    headers: &HeaderMap,
    ruling: &mut Ruling,
) {
    if ruling.verdict != Verdict::Allow || facts.scheme == Scheme::Tunnel || !opens_page(headers) {
        return;
    }
    // Where something is searched for its words are judged, and the rest of the address says nothing.
    if facts.searched.is_some() {
        return;
    }
    let actions = view.actions(facts.who.level);
    if !actions.watch() {
        return;
    }
    let themes = &view.snapshot.themes;
    let path = facts.path_and_query.as_ref().map_or("", |path| path.as_str());
    let reached = addressed(themes, facts.host.as_str(), path, &worker.theme_scratch);
    let signs = reached.signs(themes, &actions, SignSource::Url);
    if signs.is_empty() {
        return;
    }
    // A site that is known is judged by what it is known for.
    let others = facts.categories.difference(CategorySet::of(CategoryId::UNCATEGORISED));
    let is_known =
        !others.is_empty() || facts.with_access(|access| view.snapshot.is_opened(access, now()));
    if !is_known && reached.refused(&actions).is_some() {
        let code = ReasonCode::AddressWords;
        *ruling = Ruling { categories: ruling.categories, ..Ruling::block(code) };
    }
    ruling.signs = signs;
}

/// Whether somebody opens a page with it, as browsers say (Fetch Metadata), or else as they ask for one.
fn opens_page(headers: &HeaderMap) -> bool {
    match headers.get(SEC_FETCH_DEST) {
        Some(to) => to == "document",
        None => headers
            .get_all(ACCEPT)
            .iter()
            .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html"))),
    }
}
