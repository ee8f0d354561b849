//! How much of a file a site is asked for.

use crate::files::SEC_FETCH_DEST;
use crate::live::Live;
use crate::worker::Worker;
use hyper::HeaderMap;
use hyper::header::{IF_RANGE, RANGE};
use hyper::http::uri::PathAndQuery;

/// Has a site send a file from its beginning, where its bytes will be looked at and a client that has some of it asks for
/// the rest *or, if it has changed, for the whole* (`If-Range`; RFC 9110, 13.1.5). The rest alone cannot be judged and
/// would be refused; the whole can, and the client is ready for it. Players alone go on by pieces: what browsers ask for
/// to play, and where nothing says what for, what an address says is sound or film.
pub(crate) fn ask_from_the_beginning(worker: &Worker, live: &Live, headers: &mut HeaderMap) {
    if !headers.contains_key(IF_RANGE) || !headers.contains_key(RANGE) {
        return;
    }
    let facts = live.facts();
    let view = worker.view();
    let level = view.who(&facts).level;
    let is_looked_at =
        view.files(level).bytes() && !view.snapshot.policy.leaves_files_unchecked(facts.categories);
    if !is_looked_at || is_to_be_played(headers, facts.path_and_query.as_ref()) {
        return;
    }
    headers.remove(RANGE);
    headers.remove(IF_RANGE);
}

fn is_to_be_played(headers: &HeaderMap, address: Option<&PathAndQuery>) -> bool {
    const PLAYED: [&str; 14] = [
        "aac", "flac", "m4a", "m4s", "m4v", "mkv", "mov", "mp3", "mp4", "oga", "ogg", "ogv", "wav",
        "webm",
    ];
    if let Some(dest) = headers.get(SEC_FETCH_DEST) {
        return dest == "audio" || dest == "video";
    }
    let ending = address.and_then(|it| it.path().rsplit_once('.')).map_or("", |(_, end)| end);
    PLAYED.iter().any(|it| it.eq_ignore_ascii_case(ending))
}
