//! Where a file is that a list names by `.Include<...>`: lists were moved from the server that they were written for.

use super::shelf::{Shelf, Thing};

/// Folders of the old server in which lists stood, as far as they go by a name of their own.
const OLD_FOLDERS: [&str; 4] = ["lists", "e2guardian", "dansguardian", "@DGCONFIG@"];

/// What the folder of all phrase lists is called there, with something before it or not.
const PHRASE_LISTS: &str = "phraselists";

/// Most parts of a path that are looked for beside those that have to agree.
const MAX_PARTS: usize = 16;

/// The name of the file that a list in `from` means by a path, if it is there: never one outside the topmost folder of
/// `from`.
///
/// Looked for is as much of the path's end as there is, from the list's own folder up to the topmost one. All that stood
/// below `phraselists` has to agree, so that another list of the same name is not taken for it.
pub(super) fn find(shelf: &Shelf<'_>, from: &str, path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.iter().any(|part| *part == ".." || part.contains(['\0', '\\'])) {
        return None;
    }
    let least = least(&parts);
    let mut folder = from;
    while let Some((above, _)) = folder.rsplit_once('/') {
        folder = above;
        let last = parts.len().checked_sub(least)?;
        for first in last.saturating_sub(MAX_PARTS)..=last {
            let name = format!("{folder}/{}", parts.get(first..)?.join("/"));
            if shelf.thing(&name) == Thing::File {
                return Some(name);
            }
        }
    }
    None
}

/// How many of the last parts of a path must agree.
fn least(parts: &[&str]) -> usize {
    let below = |is_folder: &dyn Fn(&str) -> bool| {
        let last = parts.iter().rposition(|part| is_folder(part))?;
        Some(parts.len() - last - 1).filter(|count| *count > 0)
    };
    if let Some(count) = below(&|part| part.ends_with(PHRASE_LISTS)) {
        return count;
    }
    below(&|part| OLD_FOLDERS.contains(&part)).unwrap_or(parts.len()).clamp(1, 2)
}
