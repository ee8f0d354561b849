//! What the names and types of real requests come to as files, and that the ends of names which Debian's e2guardian
//! blocks are known.
//!
//! The data is found through `SCHOOLGATE_SHARED`; without it these tests say so and pass.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::disallowed_methods, reason = "tests read files")]

use categorizer::file::{Declared, Look};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The folder of shared data, where it is there.
fn shared_data() -> Option<PathBuf> {
    let data = std::env::var_os("SCHOOLGATE_SHARED").map(|shared| Path::new(&shared).join("data"));
    let data = data.filter(|data| data.is_dir());
    if data.is_none() {
        println!("passed over: SCHOOLGATE_SHARED names no folder with traces and lists");
    }
    data
}

fn found(path: &str, media: &str) -> Vec<&'static str> {
    let content_type = (!media.is_empty()).then_some(media.as_bytes());
    let declared = Declared { path: Some(path), content_type, ..Declared::default() };
    Look::begin(&declared).found().kinds.iter().map(|kind| kind.as_str()).collect()
}

/// Browsers' requests for pages and their parts: none is a program, though no `Sec-Fetch-Dest` was recorded.
#[test]
fn parts_of_real_pages_are_no_downloads() {
    let Some(data) = shared_data() else { return };
    let packed = std::fs::File::open(data.join("traces/har_requests.tsv.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let mut requests = 0;
    let mut wrong = Vec::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (url, media) = (fields[5], fields[8]);
        let path = url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
        requests += 1;
        let kinds = found(&path, media);
        if !kinds.is_empty() {
            wrong.push(format!("{kinds:?} {media:?} {url}"));
        }
    }
    println!("{} of {requests}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(requests, 5_254);
    assert_eq!(wrong.len(), 0);
}

/// Media, fonts, documents and settings, which are blocked there for other reasons than what they do when opened.
const NO_KIND: [&str; 18] = [
    "asf", "avi", "bin", "crt", "cue", "doc", "ini", "mp3", "mpeg", "mpg", "ogg", "ops", "otf",
    "pps", "prf", "smi", "wmf", "xls",
];

#[test]
fn the_ends_that_another_filter_blocks_are_known() {
    let Some(data) = shared_data() else { return };
    let list = data.join("policy-lists/e2guardian-debian/bannedextensionlist");
    let list = String::from_utf8_lossy(&std::fs::read(list).unwrap()).into_owned();
    let ends = list.lines().filter_map(|line| line.split_whitespace().next()?.strip_prefix('.'));
    let mut known = 0;
    for end in ends {
        let kinds = found(&format!("/a.{end}"), "application/octet-stream");
        assert_eq!(kinds.is_empty(), NO_KIND.contains(&end), "{end}: {kinds:?}");
        known += usize::from(!kinds.is_empty());
    }
    assert_eq!(known, 58);
}
