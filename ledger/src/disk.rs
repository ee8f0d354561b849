//! How full the disk of the state folder is.
//!
//! A log that cannot be written stops browsing, so whoever looks after the filter hears of it long
//! before: at 80 % and at 90 %.

use std::path::Path;

/// Percent of the disk in use from which there is a warning.
pub const FILLING_PERCENT: u64 = 80;

/// Percent of the disk in use from which the warning is urgent.
pub const NEARLY_FULL_PERCENT: u64 = 90;

/// Room on the disk that holds a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that this process may use in all: what is used and what is free to it. What the file
    /// system keeps for root alone is in neither.
    pub size_bytes: u64,
    /// Bytes free to this process.
    pub free_bytes: u64,
}

/// What there is to say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fullness {
    /// Nothing.
    #[default]
    Enough,
    /// From [`FILLING_PERCENT`].
    Filling,
    /// From [`NEARLY_FULL_PERCENT`].
    NearlyFull,
}

impl Fullness {
    /// `enough`, `filling` or `nearly full`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enough => "enough",
            Self::Filling => "filling",
            Self::NearlyFull => "nearly full",
        }
    }
}

impl Disk {
    /// Asks the file system of a folder.
    ///
    /// # Errors
    /// [`std::io::Error`] of the file system.
    pub fn of(folder: &Path) -> std::io::Result<Self> {
        let space = rustix::fs::statvfs(folder)?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        let used = space.f_blocks.saturating_sub(space.f_bfree);
        Ok(Self {
            size_bytes: bytes(used.saturating_add(space.f_bavail)),
            free_bytes: bytes(space.f_bavail),
        })
    }

    /// Percent in use, rounded up: 80.2 % is over 80 %. A disk of no size is full.
    #[must_use]
    pub fn used_percent(&self) -> u64 {
        let used = u128::from(self.size_bytes.saturating_sub(self.free_bytes));
        match u128::from(self.size_bytes) {
            0 => 100,
            size => (used * 100).div_ceil(size) as u64,
        }
    }

    /// What there is to say of it.
    #[must_use]
    pub fn fullness(&self) -> Fullness {
        match self.used_percent() {
            NEARLY_FULL_PERCENT.. => Fullness::NearlyFull,
            FILLING_PERCENT.. => Fullness::Filling,
            _ => Fullness::Enough,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_told_of_from_80_and_urgently_from_90_percent() {
        let cases = [
            (1000, 1000, 0, Fullness::Enough),
            (1000, 211, 79, Fullness::Enough),
            (1000, 209, 80, Fullness::Filling),
            (1000, 200, 80, Fullness::Filling),
            (1000, 111, 89, Fullness::Filling),
            (1000, 100, 90, Fullness::NearlyFull),
            (1000, 0, 100, Fullness::NearlyFull),
            (0, 0, 100, Fullness::NearlyFull),
            (u64::MAX, u64::MAX / 2, 51, Fullness::Enough),
        ];
        for (size_bytes, free_bytes, percent, fullness) in cases {
            let disk = Disk { size_bytes, free_bytes };
            assert_eq!((disk.used_percent(), disk.fullness()), (percent, fullness), "{disk:?}");
        }
    }

    #[test]
    fn the_disk_of_a_folder_has_a_size_and_a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::of(folder.path()).unwrap();
        assert!(disk.size_bytes > 0 && disk.free_bytes <= disk.size_bytes, "{disk:?}");
        assert!(Disk::of(&folder.path().join("missing")).is_err());
    }
}
