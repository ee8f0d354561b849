//! Files: the kinds that a policy tells apart, and what it says of each, of their size and of the virus scan.
//!
//! What kind a file is, `categorizer::file` finds out by name, declared type and bytes; here is what a level may
//! do with it. A file may be of several kinds at once (an archive that holds a program is both): the strictest
//! answer stands, as with the categories of a site. A kind that no row says anything of, in the policy or in the
//! shipped baseline, is blocked.

use crate::access::Identity;
use crate::category::CategorySet;
use crate::decide::{ReasonCode, Verdict};
use crate::policy::{Cell, Policy, RuleId};
use crate::time::UnixMillis;

/// Bytes of one of the megabytes that `largest_mb` counts: 1,000,000, as sites and file managers count them.
pub const MEGABYTE: u64 = 1_000_000;

/// A kind of file that a policy has a row for. Stored nowhere by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum FileKind {
    /// Machine code and what runs like it: Windows, Linux, macOS, Java.
    Executable,
    /// Text that a device runs when it is opened: batch files, PowerShell, VBScript, shell, shortcuts, HTA.
    Script,
    /// Packages that install programs: MSI, MSIX, deb, rpm, pkg.
    Installer,
    /// Apps for phones and tablets: apk, ipa.
    MobileApp,
    /// Extensions of browsers: crx, xpi.
    BrowserExtension,
    /// Documents of office programs with macros in them.
    MacroDocument,
    /// Images of disks, which open like a drive: ISO, DMG, VHD.
    DiskImage,
    /// Files that hold files: zip, 7z, RAR, tar, gzip.
    Archive,
    /// An archive with entries that want a password: what they hold cannot be seen.
    EncryptedArchive,
    /// An archive that cannot be looked into for another reason: its kind, damage, or a bound that was reached.
    UnreadableArchive,
}

impl FileKind {
    /// All kinds with the rows of `[files]`.
    const ROWS: [(FileKind, &'static str); 10] = [
        (FileKind::Executable, "executables"),
        (FileKind::Script, "scripts"),
        (FileKind::Installer, "installers"),
        (FileKind::MobileApp, "mobile_apps"),
        (FileKind::BrowserExtension, "browser_extensions"),
        (FileKind::MacroDocument, "macro_documents"),
        (FileKind::DiskImage, "disk_images"),
        (FileKind::Archive, "archives"),
        (FileKind::EncryptedArchive, "encrypted_archives"),
        (FileKind::UnreadableArchive, "unreadable_archives"),
    ];
    /// How many there are.
    pub const COUNT: usize = Self::ROWS.len();

    /// All kinds, those that run first.
    pub fn all() -> impl Iterator<Item = FileKind> {
        Self::ROWS.into_iter().map(|(kind, _)| kind)
    }

    /// The row of `[files]`, e.g. `executables`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ROWS[self as usize].1
    }

    /// The kind of a row.
    #[must_use]
    pub fn from_word(word: &str) -> Option<FileKind> {
        Self::ROWS.iter().find(|(_, row)| *row == word).map(|(kind, _)| *kind)
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileKinds(u16);

impl FileKinds {
    /// Adds a kind; whether it is new.
    pub fn insert(&mut self, kind: FileKind) -> bool {
        let before = self.0;
        self.0 |= 1 << kind as u16;
        self.0 != before
    }

    /// Whether the set holds a kind.
    #[must_use]
    pub fn contains(self, kind: FileKind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    /// Whether it holds none: no file that a policy has a row for.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: FileKinds) -> FileKinds {
        FileKinds(self.0 | other.0)
    }

    /// The kinds in it, in their order.
    pub fn iter(self) -> impl Iterator<Item = FileKind> {
        FileKind::all().filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<FileKind> for FileKinds {
    fn from_iter<T: IntoIterator<Item = FileKind>>(kinds: T) -> Self {
        let mut set = Self::default();
        kinds.into_iter().for_each(|kind| {
            set.insert(kind);
        });
        set
    }
}

/// What `[files]` says for one level, its own or inherited.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileRules {
    /// By kind: places in the policy's list of answers; 0 is the block where nothing is written.
    pub(crate) answers: [u16; FileKind::COUNT],
    /// Most bytes of one file, with the rule.
    pub(crate) largest: Option<(u64, RuleId)>,
    /// Whether files are scanned for viruses.
    pub(crate) scan: bool,
}

/// What becomes of a file that the policy wants scanned, where the scanner gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanRule {
    /// The scanner is not there, does not answer in time, or answers nonsense.
    pub if_unavailable: Verdict,
    /// The file is larger than what the scanner takes.
    pub if_too_large: Verdict,
}

impl Default for ScanRule {
    /// Fail closed.
    fn default() -> Self {
        Self { if_unavailable: Verdict::Block, if_too_large: Verdict::Block }
    }
}

/// Why a file is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileBlock {
    /// For the record, the page and problem+json.
    pub code: ReasonCode,
    /// The kind whose row decided; `None` for its size.
    pub kind: Option<FileKind>,
    /// The row's place in the policy.
    pub rule: RuleId,
}

impl Policy {
    /// Whether somebody may not have a file of these kinds: the first flat block in the order of
    /// [`FileKind::all`], else the first whose time or role does not hold. `None`: nothing against it.
    ///
    /// Ask again whenever `categorizer::file` has found another kind: more kinds never open what fewer closed.
    #[must_use]
    pub fn file_block(
        &self,
        who: &Identity,
        kinds: FileKinds,
        now: UnixMillis,
    ) -> Option<FileBlock> {
        let block_of = |kind: FileKind, rule| {
            let code = match kind {
                FileKind::EncryptedArchive | FileKind::UnreadableArchive => ReasonCode::FileHidden,
                _ => ReasonCode::FileKind,
            };
            FileBlock { code, kind: Some(kind), rule }
        };
        let mut conditional = None;
        for kind in kinds.iter() {
            match self.file_cell(who.level, kind) {
                (Cell::Block, rule) => return Some(block_of(kind, rule)),
                (cell, rule) if conditional.is_none() && !self.is_open(cell, who, now) => {
                    conditional = Some(block_of(kind, rule));
                }
                _ => {}
            }
        }
        conditional
    }

    /// Whether a file of so many bytes is larger than a level may have. Ask with the declared length first, and
    /// again as bytes come: a declared length may be missing, and need not be true.
    #[must_use]
    pub fn file_size_block(&self, who: &Identity, bytes: u64) -> Option<FileBlock> {
        let (most, rule) = self.file_rules[who.level.index()].largest?;
        (bytes > most).then_some(FileBlock { code: ReasonCode::FileSize, kind: None, rule })
    }

    /// Most bytes of one file for a level; `None`: any number.
    #[must_use]
    pub fn largest_file(&self, level: crate::level::LevelId) -> Option<u64> {
        self.file_rules[level.index()].largest.map(|(most, _)| most)
    }

    /// The cell of `[files]` that holds for a level and kind, its own or inherited.
    #[must_use]
    pub fn file_cell(&self, level: crate::level::LevelId, kind: FileKind) -> (&Cell, RuleId) {
        let answer =
            &self.answers[usize::from(self.file_rules[level.index()].answers[kind as usize])];
        (&answer.cell, answer.rule)
    }

    /// Whether a level's files must be looked at for some kind at all: some row is not a plain `allow`.
    #[must_use]
    pub fn looks_at_files(&self, level: crate::level::LevelId) -> bool {
        FileKind::all().any(|kind| *self.file_cell(level, kind).0 != Cell::Allow)
    }

    /// Whether files of a site of these categories are let through unseen: `unchecked` names one of them.
    #[must_use]
    pub fn leaves_files_unchecked(&self, categories: CategorySet) -> bool {
        !self.unchecked_files.intersection(categories).is_empty()
    }

    /// Whether a level's files are scanned for viruses, and what becomes of those that cannot be.
    #[must_use]
    pub fn virus_scan(&self, level: crate::level::LevelId) -> Option<ScanRule> {
        self.file_rules[level.index()].scan.then_some(self.scan_rule)
    }
}

#[cfg(test)]
mod tests;
