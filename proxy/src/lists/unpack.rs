//! From what a publisher offers (a folder, a file, gzip, a tar file) to the bytes of list files,
//! within bounds: a hostile or broken archive costs a bounded amount of memory, disk and time, and
//! no name inside it ever becomes a path outside it.

use super::ListError;
use super::pieces::Pieces;
use crate::config::ListSource;
use categorizer::list::Format;
use flate2::read::MultiGzDecoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use tar::EntryType;

/// Most entries of a tar file that are looked at.
const MAX_TAR_ENTRIES: usize = 100_000;
/// Most links followed from a category's name to its folder.
const MAX_LINKS: usize = 8;
/// Most that gzip may blow a file up: real lists reach 12, a bomb 1000.
const MAX_RATIO: u64 = 100;
/// The ratio is not looked at below this size: small files of one repeated line are no bomb.
const RATIO_FREE_BYTES: u64 = 8 << 20;

/// The files of a squidGuard folder and their syntax.
const SQUIDGUARD: [(&str, Format); 3] =
    [("domains", Format::Plain), ("urls", Format::Urls), ("expressions", Format::Expressions)];

/// One list file, unpacked.
pub(super) struct ListFile {
    /// Its name for messages, e.g. `games/domains`.
    pub(super) name: String,
    /// Its syntax where the layout tells it.
    pub(super) format: Option<Format>,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

/// Reads the files of a list from a path: a squidGuard folder, or one file of any packing.
pub(super) fn read_path(path: &Path, list: &ListSource) -> Result<Vec<ListFile>, ListError> {
    let mut budget = Budget { left: list.max_unpacked_bytes, limit: list.max_unpacked_bytes };
    let unreadable =
        |path: &Path, source| ListError::Read { path: path.display().to_string(), source };
    let metadata = std::fs::metadata(path).map_err(|e| unreadable(path, e))?;
    if metadata.is_dir() {
        return read_folder(path, &mut budget);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    read_file(path, &name, list, &mut budget)
}

/// Reads one file of any packing: plain, gzip, tar, tar in gzip.
pub(super) fn read_file_as(
    path: &Path,
    name: &str,
    list: &ListSource,
) -> Result<Vec<ListFile>, ListError> {
    let mut budget = Budget { left: list.max_unpacked_bytes, limit: list.max_unpacked_bytes };
    read_file(path, name, list, &mut budget)
}

fn read_folder(folder: &Path, budget: &mut Budget) -> Result<Vec<ListFile>, ListError> {
    let mut files = Vec::new();
    for (name, format) in SQUIDGUARD {
        for file in [name.to_owned(), format!("{name}.gz")] {
            let path = folder.join(&file);
            if path.exists() {
                let bytes = budget.read(open(&path)?, &path.display().to_string())?;
                check_text(&bytes, &path.display().to_string())?;
                files.push(ListFile { name: file, format: Some(format), bytes });
                break;
            }
        }
    }
    if files.is_empty() {
        return Err(ListError::NoFiles { path: folder.display().to_string() });
    }
    Ok(files)
}

fn read_file(
    path: &Path,
    name: &str,
    list: &ListSource,
    budget: &mut Budget,
) -> Result<Vec<ListFile>, ListError> {
    let shown = path.display().to_string();
    if is_tar(path)? {
        return read_tar(path, list, budget);
    }
    let bytes = budget.read(open(path)?, &shown)?;
    check_text(&bytes, &shown)?;
    // A file taken out of a squidGuard folder keeps its meaning.
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let format = SQUIDGUARD.iter().find(|(known, _)| *known == stem && stem != "domains");
    Ok(vec![ListFile { name: name.to_owned(), format: format.map(|(_, format)| *format), bytes }])
}

/// A file's bytes, through gzip where it starts as gzip does. Devices and pipes are refused: a list
/// path must not be able to hang the filter.
struct Source {
    inner: Box<dyn Read>,
    packed_bytes: Option<u64>,
    /// Of a file that is not packed.
    plain_bytes: Option<u64>,
}

fn open(path: &Path) -> Result<Source, ListError> {
    let unreadable = |source| ListError::Read { path: path.display().to_string(), source };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ListError::NoList {
            path: path.display().to_string(),
            why: "it is no plain file",
        });
    }
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let gzip =
        std::io::BufRead::fill_buf(&mut file).map_err(unreadable)?.starts_with(&[0x1f, 0x8b]);
    Ok(match gzip {
        // Several gzip members one after the other are one file, as gunzip reads them.
        true => Source {
            inner: Box::new(MultiGzDecoder::new(file)),
            packed_bytes: Some(metadata.len()),
            plain_bytes: None,
        },
        false => {
            Source { inner: Box::new(file), packed_bytes: None, plain_bytes: Some(metadata.len()) }
        }
    })
}

/// What may still be unpacked for one list.
struct Budget {
    left: u64,
    limit: u64,
}

impl Budget {
    fn read(&mut self, source: Source, name: &str) -> Result<Vec<u8>, ListError> {
        let mut guarded = Guarded::new(source, self.left);
        let mut bytes = Vec::with_capacity(guarded.expected());
        let outcome = guarded.read_to_end(&mut bytes);
        self.settle(outcome, bytes.len() as u64, &guarded, name)?;
        Ok(bytes)
    }

    fn settle<T>(
        &mut self,
        outcome: std::io::Result<T>,
        bytes: u64,
        guarded: &Guarded,
        name: &str,
    ) -> Result<T, ListError> {
        if guarded.over {
            return Err(ListError::TooBig { path: name.to_owned(), limit_bytes: self.limit });
        }
        self.left = self.left.saturating_sub(bytes);
        outcome.map_err(|source| ListError::Read { path: name.to_owned(), source })
    }
}

/// Stops reading at the byte bound, or when unpacked bytes outgrow packed ones absurdly.
struct Guarded {
    source: Source,
    read: u64,
    limit: u64,
    over: bool,
}

impl Guarded {
    fn new(source: Source, limit: u64) -> Self {
        let limit = match source.packed_bytes {
            Some(packed) => limit.min(packed.saturating_mul(MAX_RATIO).max(RATIO_FREE_BYTES)),
            None => limit,
        };
        Self { source, read: 0, limit, over: false }
    }

    /// How many bytes will come, where that is known: growing on the way would copy them again.
    fn expected(&self) -> usize {
        // One more, to see the end.
        let bytes = self.source.plain_bytes.map_or(0, |bytes| bytes.min(self.limit) + 1);
        usize::try_from(bytes).unwrap_or(0)
    }
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = Pieces(&mut self.source.inner).read(buffer)?;
        self.read += count as u64;
        if self.read > self.limit {
            self.over = true;
            return Err(std::io::Error::other("over the size limit"));
        }
        Ok(count)
    }
}

fn is_tar(path: &Path) -> Result<bool, ListError> {
    let mut head = Vec::new();
    let source = open(path)?;
    let read = source.inner.take(512).read_to_end(&mut head);
    read.map_err(|source| ListError::Read { path: path.display().to_string(), source })?;
    Ok(head.get(257..262) == Some(b"ustar".as_slice()))
}

/// Takes a category's folder out of a tar file. Two walks: links first, because a link may stand
/// before or after the folder it leads to; then only the files that are needed.
fn read_tar(
    path: &Path,
    list: &ListSource,
    budget: &mut Budget,
) -> Result<Vec<ListFile>, ListError> {
    let shown = path.display().to_string();
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    let mut links: BTreeMap<String, String> = BTreeMap::new();
    walk_tar(path, budget.limit, &mut |name, entry| {
        match entry.header().entry_type() {
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name()?.map(|target| target.to_string_lossy().into_owned());
                let base = match entry.header().entry_type() {
                    EntryType::Symlink => parent(name),
                    _ => "",
                };
                if let Some(inside) = target.and_then(|target| inside(base, &target)) {
                    links.insert(name.to_owned(), inside);
                }
            }
            EntryType::Regular | EntryType::Continuous
                if squidguard_format(file_name(name)).is_some() =>
            {
                *folders.entry(parent(name).to_owned()).or_default() += 1;
            }
            _ => {}
        }
        Ok(())
    })?;
    let folder = choose_folder(&folders, &links, list, &shown)?;
    let mut files = Vec::new();
    walk_tar(path, budget.limit, &mut |name, entry| {
        let Some(format) = squidguard_format(file_name(name)).filter(|_| parent(name) == folder)
        else {
            return Ok(());
        };
        if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Continuous) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        entry.take(budget.left + 1).read_to_end(&mut bytes)?;
        let bytes = match bytes.starts_with(&[0x1f, 0x8b]) {
            true => gunzip(&bytes, budget.left)?,
            false => bytes,
        };
        if bytes.len() as u64 > budget.left {
            return Err(std::io::Error::other("over the size limit"));
        }
        budget.left -= bytes.len() as u64;
        files.push(ListFile { name: name.to_owned(), format: Some(format), bytes });
        Ok(())
    })?;
    for file in &files {
        check_text(&file.bytes, &format!("{shown}: {}", file.name))?;
    }
    Ok(files)
}

fn gunzip(bytes: &[u8], left: u64) -> std::io::Result<Vec<u8>> {
    let limit = left.min((bytes.len() as u64).saturating_mul(MAX_RATIO).max(RATIO_FREE_BYTES));
    let mut out = Vec::new();
    MultiGzDecoder::new(bytes).take(limit + 1).read_to_end(&mut out)?;
    match out.len() as u64 > limit {
        true => Err(std::io::Error::other("over the size limit")),
        false => Ok(out),
    }
}

/// Calls `visit` with the safe name of each entry; entries with unsafe names are passed over.
fn walk_tar(
    path: &Path,
    limit: u64,
    visit: &mut dyn FnMut(&str, &mut tar::Entry<'_, &mut Guarded>) -> std::io::Result<()>,
) -> Result<(), ListError> {
    let shown = path.display().to_string();
    let mut guarded = Guarded::new(open(path)?, limit);
    let outcome = (|| {
        let mut archive = tar::Archive::new(&mut guarded);
        for (count, entry) in archive.entries()?.enumerate() {
            if count >= MAX_TAR_ENTRIES {
                return Err(std::io::Error::other("more entries than any list has"));
            }
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if let Some(name) = inside("", &name) {
                visit(&name, &mut entry)?;
            }
        }
        Ok(())
    })();
    // To the end: gzip's checksum stands there, and a file cut off after the last entry is damaged.
    let outcome = outcome.and_then(|()| std::io::copy(&mut guarded, &mut std::io::sink()));
    if guarded.over {
        return Err(ListError::TooBig { path: shown, limit_bytes: limit });
    }
    outcome.map(|_| ()).map_err(|source| ListError::Read { path: shown, source })
}

/// A path made of `base` and `path` without `.`, `..` or doubled slashes; `None` if it leads out.
fn inside(base: &str, path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains(['\0', '\\']) {
        return None;
    }
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn file_name(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, file)| file)
}

fn squidguard_format(file: &str) -> Option<Format> {
    let stem = file.strip_suffix(".gz").unwrap_or(file);
    SQUIDGUARD.iter().find(|(name, _)| *name == stem).map(|(_, format)| *format)
}

/// The folder that `member` names (through links), or the only one there is.
fn choose_folder(
    folders: &BTreeMap<String, usize>,
    links: &BTreeMap<String, String>,
    list: &ListSource,
    shown: &str,
) -> Result<String, ListError> {
    let some = || folders.keys().take(12).cloned().collect::<Vec<_>>().join(", ");
    let Some(member) = list.member.as_deref() else {
        return match folders.len() {
            1 => Ok(folders.keys().next().cloned().unwrap_or_default()),
            0 => Err(ListError::NoFiles { path: shown.to_owned() }),
            _ => Err(ListError::ManyFolders { path: shown.to_owned(), some: some() }),
        };
    };
    let member = member.trim_matches('/');
    let ends_so = |name: &&String| **name == member || name.ends_with(&format!("/{member}"));
    let mut here = folders.keys().chain(links.keys()).find(ends_so).cloned();
    for _ in 0..MAX_LINKS {
        match here {
            Some(folder) if folders.contains_key(&folder) => return Ok(folder),
            Some(link) => here = links.get(&link).cloned(),
            None => break,
        }
    }
    Err(ListError::NoMember { path: shown.to_owned(), member: member.to_owned(), some: some() })
}

/// Refuses what is plainly no list: an error page saved as one would empty a category.
fn check_text(bytes: &[u8], shown: &str) -> Result<(), ListError> {
    let head = &bytes[..bytes.len().min(4_096)];
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let starts =
        |tag: &[u8]| text.len() >= tag.len() && text[..tag.len()].eq_ignore_ascii_case(tag);
    if starts(b"<!doctype") || starts(b"<html") || starts(b"<?xml") {
        return Err(ListError::NoList { path: shown.to_owned(), why: "it is a web page" });
    }
    if head.contains(&0) {
        return Err(ListError::NoList { path: shown.to_owned(), why: "it is not text" });
    }
    Ok(())
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
