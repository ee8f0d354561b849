//! One list's source: whether it has changed, and what it gives.

use super::ListError;
use super::entries::{Collector, Entries, hex};
use super::fetch::Download;
use super::unpack::{ListFile, read_file_as, read_path};
use super::version::{FileReport, VersionInfo};
use crate::config::{ListOrigin, ListSource};
use rules::time::UnixMillis;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

/// Changes when the same file would give other entries: sources are then read again.
const READER_VERSION: u32 = 1;

/// What a source gave.
pub(super) struct Reading {
    pub(super) info: VersionInfo,
    pub(super) entries: Entries,
}

/// A text that changes when the source or the options it is read with do; reads no list.
pub(super) fn fingerprint(
    list: &ListSource,
    download: Option<&Download>,
) -> Result<String, ListError> {
    let ListSource { format, allow_public_suffixes, member, .. } = list;
    let mut text = format!("{READER_VERSION} {format:?} {allow_public_suffixes} {member:?}\n");
    match (&list.origin, download) {
        (ListOrigin::Path(path), _) => {
            for (name, metadata) in files(path)? {
                let (size, inode) = (metadata.len(), metadata.ino());
                let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
                text.push_str(&format!("{name} {size} {inode} {seconds}.{nanos:09}\n"));
            }
        }
        (ListOrigin::Builtin(name), _) => {
            text.push_str(builtin_hash(name));
        }
        (ListOrigin::Url(_), Some(download)) => text.push_str(&download.hash),
        (ListOrigin::Url(_), None) => {}
    }
    Ok(hex(&Sha256::digest(text)))
}

/// The hash of a starter list; computed once, as the program does not change while it runs.
fn builtin_hash(name: &str) -> &'static str {
    static HASHES: OnceLock<HashMap<&str, String>> = OnceLock::new();
    let all = rules::defaults::LISTS;
    let hashes = HASHES.get_or_init(|| {
        all.iter().map(|(name, text)| (*name, hex(&Sha256::digest(text)))).collect()
    });
    hashes.get(name).map_or("", String::as_str)
}

/// The files of a path source with what tells whether they changed.
fn files(path: &Path) -> Result<Vec<(String, std::fs::Metadata)>, ListError> {
    let unreadable = |source| ListError::Read { path: path.display().to_string(), source };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_dir() {
        return Ok(vec![(path.display().to_string(), metadata)]);
    }
    let mut files = Vec::new();
    for name in ["domains", "urls", "expressions"] {
        for name in [name.to_owned(), format!("{name}.gz")] {
            if let Ok(metadata) = std::fs::metadata(path.join(&name)) {
                files.push((name, metadata));
            }
        }
    }
    Ok(files)
}

/// Reads the source into sorted entries.
pub(super) fn read(
    list: &ListSource,
    download: Option<&Download>,
    now: UnixMillis,
) -> Result<Reading, ListError> {
    let (files, source, date) = match (&list.origin, download) {
        (ListOrigin::Path(path), _) => {
            (read_path(path, list)?, path.display().to_string(), newest(path)?)
        }
        (ListOrigin::Builtin(name), _) => {
            let bytes = rules::defaults::list(name).unwrap_or("").as_bytes().to_vec();
            let file = ListFile { name: format!("builtin:{name}"), format: None, bytes };
            (vec![file], format!("builtin:{name}"), now)
        }
        (ListOrigin::Url(url), Some(download)) => {
            let name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or("");
            (read_file_as(&download.path, name, list)?, url.to_string(), download.date)
        }
        (ListOrigin::Url(url), None) => {
            return Err(ListError::Fetch {
                url: url.to_string(),
                why: "was not fetched".to_owned(),
            });
        }
    };
    let mut collector = Collector::default();
    let reports = files.into_iter().map(|file| read_one(file, list, &mut collector)).collect();
    let too_big =
        || ListError::TooBig { path: source.clone(), limit_bytes: list.max_unpacked_bytes };
    let entries = collector.finish().ok_or_else(too_big)?;
    let hash = entries.hash();
    let info = VersionInfo {
        version: format!("{}-{}", day(date), &hash[..8]),
        hash,
        entries: entries.len(),
        source_date: date,
        imported_at: now,
        source,
        category: list.category.clone(),
        files: reports,
    };
    Ok(Reading { info, entries })
}

fn read_one(file: ListFile, list: &ListSource, collector: &mut Collector) -> FileReport {
    let options = categorizer::list::Options {
        format: list.format.or(file.format),
        allow_public_suffixes: list.allow_public_suffixes,
    };
    // Room for a name a line, as most lists have it; what is not needed is never touched.
    let breaks = memchr::memchr_iter(b'\n', &file.bytes).count();
    collector.expect((breaks + 1).min(file.bytes.len() / 8), file.bytes.len() + breaks + 1);
    let report = categorizer::list::read(&file.bytes, options, &mut |entry| collector.push(&entry));
    let line = |skipped: &categorizer::list::Skipped| {
        format!("{}:{}: {}: {}", file.name, skipped.line, skipped.why, skipped.text)
    };
    FileReport {
        format: report
            .format
            .map_or_else(String::new, |format| format!("{format:?}").to_lowercase()),
        entries: report.entries,
        lines: report.lines,
        skipped: report.skipped,
        examples: report.examples.iter().map(line).collect(),
        file: file.name,
    }
}

/// When the newest of a path's files was changed.
fn newest(path: &Path) -> Result<UnixMillis, ListError> {
    let times = files(path)?.into_iter().map(|(_, metadata)| metadata.mtime() * 1_000);
    Ok(UnixMillis(times.max().unwrap_or(0)))
}

/// `YYYY-MM-DD` in UTC: the publisher's clock, not the school's.
fn day(at: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .strftime("%Y-%m-%d")
        .to_string()
}
