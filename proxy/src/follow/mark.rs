//! What files look like from outside: whether they may have changed since they were read.

use sha2::{Digest, Sha256};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file changed so lately, in milliseconds, may be changed again without its times showing it: they
/// move in ticks of 4 ms on most systems and of a second on some.
const YOUNG_MS: u64 = 1_100;

/// Most bytes of a young file that are looked at; a longer one is refused when it is read.
const MAX_LOOKED_BYTES: u64 = 16 << 20;

/// A text that changes when one of the files does, whether it was replaced or written in place.
///
/// The time of a file's last change of any kind (`ctime`) is part of it: unlike the time of its last
/// writing, no copying program sets it. While that time is young, so is the content.
pub(super) fn looks(files: &[PathBuf]) -> String {
    // The clock is read first: a file changed after this counts as young.
    let now = SystemTime::now();
    files.iter().map(|path| look(path, now)).collect()
}

fn look(path: &Path, now: SystemTime) -> String {
    let data = match std::fs::metadata(path) {
        Ok(data) => data,
        Err(error) => return format!("{:?};", error.kind()),
    };
    let mut mark = format!("{} {} {}", data.dev(), data.ino(), data.len());
    for (seconds, nanos) in [(data.mtime(), data.mtime_nsec()), (data.ctime(), data.ctime_nsec())] {
        mark.push_str(&format!(" {seconds}.{nanos:09}"));
    }
    if data.is_file() && data.len() <= MAX_LOOKED_BYTES && is_young(&data, now) {
        match std::fs::read(path) {
            Ok(content) => {
                mark.push(' ');
                mark.push_str(&crate::lists::hex(&Sha256::digest(content)));
            }
            Err(error) => mark.push_str(&format!(" {:?}", error.kind())),
        }
    }
    mark.push(';');
    mark
}

fn is_young(data: &Metadata, now: SystemTime) -> bool {
    let (Ok(seconds), Ok(nanos)) = (u64::try_from(data.ctime()), u32::try_from(data.ctime_nsec()))
    else {
        return false;
    };
    // A change in the future is one of a clock that was set back, or of a later look.
    now.duration_since(UNIX_EPOCH + Duration::new(seconds, nanos))
        .map_or(true, |age| age < Duration::from_millis(YOUNG_MS))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn writes_in_place_of_the_same_length_within_a_tick_of_the_clock_look_different() {
        let folder = tempfile::tempdir().unwrap();
        let files = [folder.path().join("policy.toml")];
        for round in 0..500 {
            std::fs::write(&files[0], format!("{round:06}")).unwrap();
            let first = looks(&files);
            std::fs::write(&files[0], format!("{:06}", round + 1)).unwrap();
            assert_ne!(first, looks(&files), "round {round}");
        }
    }

    #[test]
    fn a_young_file_is_looked_at_once_more_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let files = [folder.path().join("policy.toml")];
        std::fs::write(&files[0], "a").unwrap();
        let young = looks(&files);
        assert!(young.contains(&crate::lists::hex(&Sha256::digest("a"))), "{young}");
        let later = SystemTime::now() + Duration::from_millis(YOUNG_MS * 2);
        assert_ne!(young, look(&files[0], later), "so that what came between is read");
        assert_eq!(look(&files[0], later), look(&files[0], later));
        std::fs::remove_file(&files[0]).unwrap();
        assert_eq!(looks(&files), "NotFound;");
    }
}
