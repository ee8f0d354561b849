//! Where the files of phrase lists come from: the folder of the policy, or what was kept with one.

use crate::named_file::Content;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

/// Files and folders by names that are relative to the policy's folder, with `/` between.
pub(crate) enum Shelf<'a> {
    /// Those beside a policy.
    Beside(&'a Path),
    /// Those that were kept with one: what was read of them then, and nothing else.
    Kept(&'a BTreeMap<String, Content>),
}

/// What bears a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    File,
    Folder,
    /// Neither, or nothing.
    Nothing,
}

/// One name in a folder.
pub(super) struct Entry {
    pub name: String,
    pub thing: Thing,
    /// A link that leads to a folder: it may lead back to where it stands.
    pub is_linked_folder: bool,
}

impl Shelf<'_> {
    pub(super) fn thing(&self, name: &str) -> Thing {
        match self {
            Self::Beside(folder) => match std::fs::metadata(folder.join(name)) {
                Ok(data) if data.is_file() => Thing::File,
                Ok(data) if data.is_dir() => Thing::Folder,
                _ => Thing::Nothing,
            },
            Self::Kept(files) if files.contains_key(name) => Thing::File,
            Self::Kept(files) if files.keys().any(|file| is_in(file, name)) => Thing::Folder,
            Self::Kept(_) => Thing::Nothing,
        }
    }

    /// What stands in a folder, in the order of names.
    pub(super) fn entries(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        match self {
            Self::Beside(base) => {
                for entry in std::fs::read_dir(base.join(folder))? {
                    let entry = entry?;
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let thing = self.thing(&format!("{folder}/{name}"));
                    let is_linked_folder =
                        entry.file_type()?.is_symlink() && thing == Thing::Folder;
                    found.push(Entry { name, thing, is_linked_folder });
                }
                found.sort_by(|left, right| left.name.cmp(&right.name));
            }
            Self::Kept(files) => {
                let inside = files.keys().filter(|file| is_in(file, folder));
                let rests = inside.map(|file| &file[folder.len() + 1..]);
                let names: BTreeSet<(&str, bool)> = rests
                    .map(|rest| {
                        rest.split_once('/').map_or((rest, false), |(name, _)| (name, true))
                    })
                    .collect();
                found.extend(names.into_iter().map(|(name, is_folder)| Entry {
                    name: name.to_owned(),
                    thing: if is_folder { Thing::Folder } else { Thing::File },
                    is_linked_folder: false,
                }));
            }
        }
        Ok(found)
    }

    /// Reads a file of at most so many bytes. Where it has a topmost folder it may not be a link that leads out of
    /// that.
    pub(super) fn read(&self, name: &str, most_bytes: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::Beside(folder) => {
                let path = folder.join(name);
                if let Some((top, _)) = name.split_once('/')
                    && !path.canonicalize()?.starts_with(folder.join(top).canonicalize()?)
                {
                    return Err(io::Error::other(format!("is a link that leads out of {top}")));
                }
                if !std::fs::metadata(&path)?.is_file() {
                    return Err(io::Error::other("is no plain file"));
                }
                let mut bytes = Vec::new();
                std::fs::File::open(&path)?.take(most_bytes + 1).read_to_end(&mut bytes)?;
                match bytes.len() as u64 > most_bytes {
                    true => {
                        Err(io::Error::other(format!("is larger than {} MiB", most_bytes >> 20)))
                    }
                    false => Ok(bytes),
                }
            }
            Self::Kept(files) => {
                let content = files.get(name).ok_or_else(|| io::Error::other("was not kept"))?;
                Ok(content.bytes().to_vec())
            }
        }
    }
}

fn is_in(file: &str, folder: &str) -> bool {
    file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}
