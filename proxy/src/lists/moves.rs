//! Lists that the machine file takes out of force or puts into another category: a change of what the
//! filter decides that no list version tells. It is recorded before it takes effect; a locked
//! category loses no list in this way.

use super::version::{Lineage, Shelf};
use super::{ListError, Lists, catalogue};
use crate::config::{ListOrigin, ListSource};
use categorizer::index::ListInfo;
use ledger::changes::AppendWithError;
use rules::category::Catalogue;
use rules::change::Event;
use rules::time::UnixMillis;
use std::collections::HashMap;

/// The actor of changes that whoever writes the machine file has made.
pub(crate) const ACTOR_MACHINE_FILE: &str = "schoolgate.toml";

impl Lists<'_> {
    /// Records which lists that were in force are no longer, or are in another category, or are
    /// back, since this was last recorded. Gives a sentence for each that opens something.
    ///
    /// # Errors
    /// [`ListError::Log`], [`ListError::Index`].
    pub(crate) async fn record_moves(
        &self,
        by: &str,
        now: UnixMillis,
    ) -> Result<Vec<String>, ListError> {
        let moves = self.moves().await?;
        let event = |(list, from, to): &Move| {
            let (list, from, to) = (list.clone(), from.clone(), to.clone());
            (by.to_owned(), Event::ListMoved { list, from, to })
        };
        let events: Vec<_> = moves.iter().map(event).collect();
        if !events.is_empty() {
            let append =
                self.log.append_with(now, |_| Ok::<_, std::convert::Infallible>(events)).await;
            append.map_err(|error| match error {
                AppendWithError::Refused(never) => match never {},
                AppendWithError::Log(error) => ListError::Log(error),
            })?;
        }
        Ok(moves.iter().filter_map(words).collect())
    }

    /// Lists that were in force and that this machine file takes out, or puts into another category,
    /// since that was last recorded: with it less is filtered. By name.
    ///
    /// # Errors
    /// [`ListError::Log`], [`ListError::Index`].
    pub async fn displaced(&self) -> Result<Vec<Displaced>, ListError> {
        let moves = self.moves().await?.into_iter();
        let opens = moves.filter(|it| words(it).is_some());
        Ok(opens.map(|(list, from, to)| Displaced { list, from, to }).collect())
    }

    /// Lists that the machine file has taken out of force, which is recorded, and of whose category it
    /// has none now: each with that category. What they blocked is told apart by no list any more.
    ///
    /// A list whose category cannot be read is among them, and says so.
    ///
    /// Nobody can tell by the files whether that is meant. Who means it removes `STATE/lists/NAME`.
    ///
    /// # Errors
    /// [`ListError::Log`], [`ListError::Index`].
    pub async fn uncovered(&self) -> Result<Vec<(String, String)>, ListError> {
        let catalogue = catalogue(self.config)?;
        let lineages = self.lineages().await?;
        let gone = lineages.into_iter().filter(|(_, lineage)| lineage.placed == Some(None));
        let mut uncovered = Vec::new();
        for (name, lineage) in gone {
            let (shelf, Some(accepted)) = (Shelf::new(&self.config.state, &name), lineage.accepted)
            else {
                continue;
            };
            if shelf.is_gone() {
                continue;
            }
            // What it blocked nobody knows then, nor whether another list does.
            let Ok(info) = shelf.info(&accepted) else {
                uncovered.push((name, "its category cannot be read".to_owned()));
                continue;
            };
            let category = info.category;
            let is_covered = self.config.lists.iter().any(|list| list.category == category)
                || is_locked(&category, &catalogue);
            if !is_covered && !category.is_empty() {
                uncovered.push((name, category));
            }
        }
        uncovered.sort();
        Ok(uncovered)
    }

    /// Which lists have moved since that was last recorded, by name.
    async fn moves(&self) -> Result<Vec<Move>, ListError> {
        let lineages = self.lineages().await?;
        let catalogue = catalogue(self.config)?;
        let mut moves: Vec<_> = lineages
            .iter()
            .filter_map(|(name, lineage)| self.moved(name, lineage, &catalogue))
            .collect();
        moves.sort();
        Ok(moves)
    }

    /// From where to where a list has moved since that was last recorded.
    fn moved(&self, name: &str, lineage: &Lineage, catalogue: &Catalogue) -> Option<Move> {
        let shelf = Shelf::new(&self.config.state, name);
        let info = shelf.info(lineage.accepted.as_deref()?).ok();
        let read_as = info.as_ref().map(|info| info.category.clone()).filter(|it| !it.is_empty());
        let before = match &lineage.placed {
            Some(placed) => placed.clone(),
            None => read_as,
        };
        let list = self.config.lists.iter().find(|list| list.name == name);
        let after = match list {
            Some(list) => Some(category_in_force(list, lineage, &shelf, catalogue)),
            None => info.as_ref().and_then(|info| {
                // It stays; or it is a shipped one that is in force under another name.
                let shipped = info.source.strip_prefix("builtin:").is_some_and(|source| {
                    let origin = ListOrigin::Builtin(source.to_owned());
                    self.config.lists.iter().any(|list| list.origin == origin)
                });
                (shipped || is_locked(&info.category, catalogue)).then(|| info.category.clone())
            }),
        };
        // Where nothing is known of before, and the list is there, there is nothing to tell.
        let told = lineage.placed.is_some();
        let is_moved = match (&before, &after) {
            (None, Some(_)) | (None, None) => told && before != after,
            _ => before != after,
        };
        let vanished = before.is_none() && after.is_none() && !told;
        (is_moved || vanished).then(|| (name.to_owned(), before, after))
    }

    /// Lists of locked categories that the machine file has lost: they stay in force.
    pub(super) fn left_locked(
        &self,
        lineages: &HashMap<String, Lineage>,
        catalogue: &Catalogue,
    ) -> Vec<ListInfo> {
        let mut left: Vec<_> = lineages
            .iter()
            .filter(|(name, _)| !self.config.lists.iter().any(|list| list.name == **name))
            .filter_map(|(name, lineage)| {
                let version = lineage.accepted.clone()?;
                let info = Shelf::new(&self.config.state, name).info(&version).ok()?;
                (is_locked(&info.category, catalogue) && !info.source.starts_with("builtin:"))
                    .then(|| ListInfo { name: name.clone(), category: info.category, version })
            })
            .collect();
        left.sort_by(|a, b| a.name.cmp(&b.name));
        left
    }
}

/// A list that the machine file takes out of force, or puts into another category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Displaced {
    /// Its name.
    pub list: String,
    /// The category that it had; `None`: that is not known.
    pub from: Option<String>,
    /// The category that it has by the machine file; `None`: it is in none.
    pub to: Option<String>,
}

impl std::fmt::Display for Displaced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let from = self.from.as_deref().unwrap_or("of a category not known");
        match &self.to {
            None => write!(f, "{} ({from})", self.list),
            Some(to) => write!(f, "{} ({from}, here {to})", self.list),
        }
    }
}

/// A list's name, its category before and after.
type Move = (String, Option<String>, Option<String>);

fn words((list, from, to): &Move) -> Option<String> {
    match (from, to) {
        (Some(from), Some(to)) => Some(format!(
            "list {list} was of category {from} and is now of {to}: what it blocked may be open"
        )),
        (from, None) => {
            let of = from.as_deref().unwrap_or("unknown");
            Some(format!(
                "list {list} (category {of}) is no longer in the machine file: what it blocked may be open"
            ))
        }
        (None, Some(_)) => None,
    }
}

/// The category that a list has whatever the machine file says now: once in force in a locked
/// category, it stays there.
pub(super) fn category_in_force(
    list: &ListSource,
    lineage: &Lineage,
    shelf: &Shelf,
    catalogue: &Catalogue,
) -> String {
    let before = lineage.accepted.as_deref().and_then(|version| shelf.info(version).ok());
    match before {
        Some(info)
            if is_locked(&info.category, catalogue) && !info.source.starts_with("builtin:") =>
        {
            info.category
        }
        _ => list.category.clone(),
    }
}

fn is_locked(category: &str, catalogue: &Catalogue) -> bool {
    catalogue.id(category).is_some_and(|id| catalogue.locked().contains(id))
}
