//! Category lists: from a publisher's folder, file or URL to versions that are in force, held or
//! kept for a rollback, and from those to the compiled index.
//!
//! A list's source is read only when it has changed. What it gives is stored as a *version*; the
//! version takes effect when the change log says so, at once or, where it would open or close too
//! much, after a person has accepted it. The version that was in force stays until then.

mod below;
mod compile;
mod entries;
mod fetch;
mod first;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gate;
mod judge;
mod moves;
mod pieces;
mod source;
mod unpack;
mod version;

pub use entries::Difference;
pub(crate) use entries::hex;
pub(crate) use fetch::{dial, handshake_tls};
use gate::Change;
pub use gate::Gate;
pub(crate) use moves::ACTOR_MACHINE_FILE;
pub use moves::Displaced;
pub use version::{FileReport, Lineage, VersionInfo};
pub(crate) use version::{make_folder, replace_file, write_synced};

use crate::config::{Config, ListOrigin, ListSource};
use crate::leftovers;
use categorizer::index::{Index, ListInfo};
use compile::Recipe;
use entries::Entries;
use fetch::Download;
use jiff::civil::Date;
use judge::{Fresh, Step, candidate, consider, event_of, is_due};
use ledger::changes::{ACTOR_DAEMON, AppendError, ChangeLog};
use moves::category_in_force;
use rules::category::Catalogue;
use rules::change::{Event, ListRequest};
use rules::host::Host;
use rules::time::{SchoolClock, UnixMillis};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;
use url::Url;
use version::{LIST_EVENTS, Looked, Shelf, lineages};

/// Longest wait for another process that is updating the same lists, in milliseconds.
const LOCK_TIMEOUT_MS: u64 = 120_000;
const HOUR_MS: i64 = 3_600_000;

/// Why something about a list did not work. What was in force stays so.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ListError {
    #[error("no list is called {name:?}; schoolgate.toml has {known}")]
    Unknown { name: String, known: String },
    #[error("{path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path}: {source}; free space, and check that this user may write the state folder")]
    Store { path: String, source: std::io::Error },
    #[error("{url}: {why}")]
    Fetch { url: String, why: String },
    #[error("{path}: {why}, not a list")]
    NoList { path: String, why: &'static str },
    #[error("{path}: holds no file called domains, urls or expressions (plain or .gz)")]
    NoFiles { path: String },
    #[error("{path}: holds several lists ({some}); say which with `member`")]
    ManyFolders { path: String, some: String },
    #[error("{path}: holds no list {member:?}; it has {some}")]
    NoMember { path: String, member: String, some: String },
    #[error(
        "{path}: more than {limit_bytes} bytes unpacked, or packed absurdly tight; raise max_unpacked_bytes if it is right"
    )]
    TooBig { path: String, limit_bytes: u64 },
    #[error("list {list:?}: its source holds no entries; the version in force stays")]
    Empty { list: String },
    #[error("{path}: damaged ({why}); run schoolgate lists update")]
    Damaged { path: String, why: String },
    #[error("compiling the lists: {why}")]
    Index { why: String },
    #[error("list {list:?} has no version that waits to be accepted")]
    NothingHeld { list: String },
    #[error("list {list:?} has no earlier version to go back to")]
    NothingEarlier { list: String },
    #[error("list {list:?}: {why}; change the test or the policy first")]
    Tests { list: String, why: String },
    #[error("the lists are being updated by another process; try again")]
    Busy,
    #[error(transparent)]
    Log(#[from] AppendError),
}

/// What an update did to one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The source is as it was, or gives the version in force.
    Unchanged {
        /// Version in force.
        version: String,
    },
    /// A version took effect.
    Accepted {
        /// Version.
        version: String,
        /// Its entries.
        entries: u64,
        /// Entries that the version before had not.
        added: u64,
        /// Entries that only the version before had.
        removed: u64,
    },
    /// A version waits for a person; the one before stays in force.
    Held {
        /// Version.
        version: String,
        /// Why, as in "held: would newly block 14 sites used last week".
        why: String,
    },
}

/// A change of a list that a person wants, ready to be recorded. While it is held, nobody else
/// changes any list.
#[derive(Debug)]
pub struct ListPlan {
    /// The version, and how it differs from the one in force.
    pub what: ListRequest,
    /// What it may do that waits for sign-off, as `may open sites`; `None`: nothing.
    pub opening: Option<String>,
    _lock: OwnedFd,
}

impl ListPlan {
    /// The event that puts the version into force.
    #[must_use]
    pub fn event(&self) -> Event {
        let ListRequest { list, version, rollback, entries, added, removed, .. } =
            self.what.clone();
        match rollback {
            true => Event::ListRolledBack { list, version },
            false => Event::ListAccepted { list, version, entries, added, removed },
        }
    }
}

/// One list as `lists status` shows it.
#[derive(Debug)]
pub struct ListStatus {
    /// The list.
    pub source: ListSource,
    /// Versions in force, held and earlier.
    pub lineage: Lineage,
    /// What is known of the version in force.
    pub info: Option<VersionInfo>,
    /// When the source was last looked at with success.
    pub looked_at: Option<UnixMillis>,
    /// Why the last look failed.
    pub error: Option<String>,
}

impl ListStatus {
    /// Milliseconds since the source was last known to be current.
    #[must_use]
    pub fn age_ms(&self, now: UnixMillis) -> Option<u64> {
        self.looked_at.map(|at| u64::try_from(now.0 - at.0).unwrap_or(0))
    }
}

/// Works on the lists of one machine file. `by` is the acting person.
#[derive(Clone, Copy)]
pub struct Lists<'a> {
    config: &'a Config,
    log: &'a ChangeLog,
}

/// Which sources an update looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// All: a person asked.
    All,
    /// Paths, and URLs whose time has come.
    Due,
    /// Only lists without a version in force.
    Missing,
}

/// The categories of an installation: the shipped ones and those that its lists name.
///
/// # Errors
/// [`ListError::Index`] for more categories than there may be.
pub fn catalogue(config: &Config) -> Result<Catalogue, ListError> {
    let mut catalogue = Catalogue::shipped();
    for list in &config.lists {
        catalogue.add(&list.category).map_err(|e| ListError::Index { why: e.to_string() })?;
    }
    Ok(catalogue)
}

impl<'a> Lists<'a> {
    /// The lists of a machine file, with the change log of its state.
    #[must_use]
    pub fn new(config: &'a Config, log: &'a ChangeLog) -> Self {
        Self { config, log }
    }

    /// Looks at the sources of these lists (none named: all) and takes in what is new. One list's
    /// fault does not keep the others back.
    ///
    /// # Errors
    /// [`ListError`] where nothing could be done at all; each list's own beside its name.
    pub async fn update(
        &self,
        names: &[String],
        by: &str,
        now: UnixMillis,
        gate: &Gate,
    ) -> Result<Vec<(String, Result<Outcome, ListError>)>, ListError> {
        for name in names {
            self.source(name)?;
        }
        let chosen = |list: &&ListSource| names.is_empty() || names.contains(&list.name);
        let lists: Vec<_> = self.config.lists.iter().filter(chosen).cloned().collect();
        self.take_in(lists, Look::All, by, now, gate).await
    }

    /// Looks at paths that changed and at URLs whose time has come: what the daemon does by itself.
    ///
    /// # Errors
    /// As [`Lists::update`].
    pub async fn update_due(
        &self,
        now: UnixMillis,
        gate: &Gate,
    ) -> Result<Vec<(String, Result<Outcome, ListError>)>, ListError> {
        self.take_in(self.config.lists.clone(), Look::Due, ACTOR_DAEMON, now, gate).await
    }

    /// What [`Lists::update_due`] would look at, as a text that changes while the sources do; `None`:
    /// nothing. A few file-system look-ups, no reading.
    #[must_use]
    pub fn due_mark(&self, now: UnixMillis) -> Option<String> {
        let mut mark = String::new();
        for list in &self.config.lists {
            if is_due(list, &Shelf::new(&self.config.state, &list.name).looked(), now) {
                let fingerprint = source::fingerprint(list, None).unwrap_or_default();
                mark.push_str(&format!("{} {fingerprint}\n", list.name));
            }
        }
        (!mark.is_empty()).then_some(mark)
    }

    /// Takes in one list from a file instead of its source, under the same rules; what it may open is
    /// held besides.
    ///
    /// # Errors
    /// [`ListError`].
    pub async fn import(
        &self,
        name: &str,
        file: &Path,
        by: &str,
        now: UnixMillis,
        gate: &Gate,
    ) -> Result<Outcome, ListError> {
        let mut list = self.source(name)?.clone();
        list.origin = ListOrigin::Path(file.to_owned());
        let gate = Gate { by_hand: true, ..gate.clone() };
        let mut done = self.take_in(vec![list], Look::All, by, now, &gate).await?;
        done.pop().map_or(Err(ListError::Busy), |(_, outcome)| outcome)
    }

    /// Each list with its versions, age and faults, in the order of the machine file.
    ///
    /// # Errors
    /// [`ListError::Log`].
    pub async fn status(&self) -> Result<Vec<ListStatus>, ListError> {
        let mut lineages = self.lineages().await?;
        Ok(self
            .config
            .lists
            .iter()
            .map(|source| {
                let shelf = Shelf::new(&self.config.state, &source.name);
                let lineage = lineages.remove(&source.name).unwrap_or_default();
                let info = lineage.accepted.as_deref().and_then(|version| shelf.info(version).ok());
                let looked = shelf.looked();
                ListStatus {
                    source: source.clone(),
                    lineage,
                    info,
                    looked_at: looked.at,
                    error: looked.error,
                }
            })
            .collect())
    }

    /// Lists of locked categories that were in force under this state folder and that the machine file
    /// no longer has in that category, each with it: they stay in force as they were, and learn
    /// nothing new. Shipped lists are not among them, since those of locked categories are always in
    /// force.
    ///
    /// Nobody can tell by the files whether that is meant. Who means it removes `STATE/lists/NAME`.
    ///
    /// # Errors
    /// [`ListError::Log`], [`ListError::Index`].
    pub async fn taken_out(&self) -> Result<Vec<(String, String)>, ListError> {
        let lineages = self.lineages().await?;
        let catalogue = catalogue(self.config)?;
        let locked = |category: &str| {
            catalogue.id(category).is_some_and(|id| catalogue.locked().contains(id))
        };
        let mut taken_out: Vec<_> = lineages
            .into_iter()
            .filter_map(|(name, lineage)| {
                let info = Shelf::new(&self.config.state, &name).info(&lineage.accepted?).ok()?;
                let is_there =
                    |list: &ListSource| list.name == name && list.category == info.category;
                let gone = locked(&info.category)
                    && !info.source.starts_with("builtin:")
                    && !self.config.lists.iter().any(is_there);
                gone.then_some((name, info.category))
            })
            .collect();
        taken_out.sort();
        Ok(taken_out)
    }

    /// How the held version of a list differs from the one in force; where none is held, the one in
    /// force from the one before. Gives both versions' names, older first (`none`: nothing was in force), and at most `sample`
    /// entries of each kind.
    ///
    /// # Errors
    /// [`ListError::NothingEarlier`] if there is nothing to compare.
    pub async fn diff(
        &self,
        name: &str,
        sample: usize,
    ) -> Result<(String, String, Difference), ListError> {
        self.source(name)?;
        let lineage = self.lineages().await?.remove(name).unwrap_or_default();
        let pair = match (lineage.held, lineage.accepted) {
            (Some((held, _)), Some(accepted)) => Some((accepted, held)),
            (Some((held, _)), None) => Some(("none".to_owned(), held)),
            (_, Some(accepted)) => lineage.previous.last().cloned().map(|old| (old, accepted)),
            _ => None,
        };
        let (old, new) = pair.ok_or_else(|| ListError::NothingEarlier { list: name.to_owned() })?;
        let shelf = Shelf::new(&self.config.state, name);
        let before = if old == "none" { Entries::default() } else { shelf.entries(&old)? };
        let difference = before.difference(&shelf.entries(&new)?, sample);
        Ok((old, new, difference))
    }

    /// What putting the held version of a list into force would come to. Policy tests must pass with
    /// it. Nobody else changes a list while the plan is held.
    ///
    /// # Errors
    /// [`ListError::NothingHeld`], [`ListError::Tests`].
    pub async fn plan_accept(
        &self,
        name: &str,
        now: UnixMillis,
        gate: &Gate,
    ) -> Result<ListPlan, ListError> {
        let mut list = self.source(name)?.clone();
        let lock = self.lock().await?;
        let lineage = self.lineages().await?.remove(name).unwrap_or_default();
        let Some((version, _)) = lineage.held.clone() else {
            return Err(ListError::NothingHeld { list: name.to_owned() });
        };
        let shelf = Shelf::new(&self.config.state, name);
        let catalogue = catalogue(self.config)?;
        list.category = category_in_force(&list, &lineage, &shelf, &catalogue);
        let new = shelf.entries(&version)?;
        let old = lineage
            .accepted
            .as_deref()
            .map(|old| shelf.entries(old))
            .transpose()?
            .unwrap_or_default();
        let difference = old.difference(&new, 0);
        let (removed, after) = (difference.removed, new.len());
        let change = Change { before: old.len(), after, removed };
        drop((old, new));
        let candidate = candidate(&list, change);
        if let Some(why) = candidate.failing(shelf.prepared(&version)?, gate, &catalogue, now)? {
            return Err(ListError::Tests { list: name.to_owned(), why });
        }
        // Nothing in force that it could be compared with tells whether it is a list.
        let is_junk = lineage.accepted.is_none() && shelf.info(&version)?.is_mostly_junk();
        let what = ListRequest {
            list: name.to_owned(),
            version,
            rollback: false,
            base: lineage.accepted,
            entries: after,
            added: difference.added,
            removed: difference.removed,
        };
        let mut plan = plan(&list, what, gate, lock);
        if is_junk {
            plan.opening.get_or_insert_with(|| gate::HARDLY_A_LIST.to_owned());
        }
        Ok(plan)
    }

    /// What putting the version before into force again would come to. The one that was stays away
    /// until it is accepted.
    ///
    /// # Errors
    /// [`ListError::NothingEarlier`].
    pub async fn plan_rollback(&self, name: &str, gate: &Gate) -> Result<ListPlan, ListError> {
        let mut list = self.source(name)?.clone();
        let lock = self.lock().await?;
        let lineage = self.lineages().await?.remove(name).unwrap_or_default();
        let shelf = Shelf::new(&self.config.state, name);
        list.category = category_in_force(&list, &lineage, &shelf, &catalogue(self.config)?);
        let version = lineage.previous.iter().rev().find(|version| shelf.has(version)).cloned();
        let version = version.ok_or_else(|| ListError::NothingEarlier { list: name.to_owned() })?;
        let new = shelf.entries(&version)?;
        let old = lineage.accepted.as_deref().map(|old| shelf.entries(old)).transpose();
        // A version in force that cannot be read is no reason to keep it.
        let difference = old.ok().flatten().unwrap_or_default().difference(&new, 0);
        let what = ListRequest {
            list: name.to_owned(),
            version,
            rollback: true,
            base: lineage.accepted,
            entries: new.len(),
            added: difference.added,
            removed: difference.removed,
        };
        Ok(plan(&list, what, gate, lock))
    }

    /// Puts a planned version into force that opens nothing.
    ///
    /// # Errors
    /// [`ListError::Log`].
    pub async fn put_in_force(
        &self,
        plan: ListPlan,
        by: &str,
        now: UnixMillis,
    ) -> Result<Outcome, ListError> {
        self.log.append(now, by, plan.event()).await?;
        self.tidy(&plan.what.list).await?;
        let ListRequest { version, entries, added, removed, .. } = plan.what;
        Ok(Outcome::Accepted { version, entries, added, removed })
    }

    /// Removes versions that nothing can bring back into force, after one has come into force.
    ///
    /// # Errors
    /// [`ListError::Log`].
    pub async fn tidy(&self, name: &str) -> Result<(), ListError> {
        let lineage = self.lineages().await?.remove(name).unwrap_or_default();
        Shelf::new(&self.config.state, name).tidy(&lineage);
        Ok(())
    }

    /// The index of all versions in force, compiled if that has not been done. Lists that were never
    /// taken in are first: a list that is configured and not there would leave a hole. One whose
    /// first version makes a policy test fail waits for a person, and is not in the index.
    ///
    /// # Errors
    /// [`ListError`], the first one of any list.
    pub async fn index(&self, catalogue: &Catalogue, now: UnixMillis) -> Result<Index, ListError> {
        let lacking = self.lacking(&self.lineages().await?);
        self.index_with(lacking, catalogue, now, &Gate::default()).await
    }

    /// As [`Lists::index`], but what must be downloaded is left out, and first versions are measured
    /// against `gate`.
    ///
    /// # Errors
    /// As [`Lists::index`].
    pub(crate) async fn index_of_local(
        &self,
        catalogue: &Catalogue,
        now: UnixMillis,
        gate: &Gate,
    ) -> Result<Index, ListError> {
        let mut lacking = self.lacking(&self.lineages().await?);
        lacking.retain(|list| !matches!(list.origin, ListOrigin::Url(_)));
        self.index_with(lacking, catalogue, now, gate).await
    }

    /// The lists that are not there until they are downloaded.
    ///
    /// # Errors
    /// [`ListError::Log`].
    pub(crate) async fn not_downloaded(&self) -> Result<Vec<String>, ListError> {
        let mut lacking = self.lacking(&self.lineages().await?);
        lacking.retain(|list| matches!(list.origin, ListOrigin::Url(_)));
        Ok(lacking.into_iter().map(|list| list.name).collect())
    }

    /// The lists of which no version was ever judged.
    fn lacking(&self, lineages: &HashMap<String, Lineage>) -> Vec<ListSource> {
        let is_lacking = |list: &&ListSource| {
            lineages.get(&list.name).is_none_or(|lineage| {
                let shelf = Shelf::new(&self.config.state, &list.name);
                lineage.accepted.is_none() && shelf.waits(lineage, list).is_none()
            })
        };
        self.config.lists.iter().filter(is_lacking).cloned().collect()
    }

    async fn index_with(
        &self,
        lacking: Vec<ListSource>,
        catalogue: &Catalogue,
        now: UnixMillis,
        gate: &Gate,
    ) -> Result<Index, ListError> {
        for (list, category) in self.taken_out().await? {
            tracing::warn!(
                list,
                category,
                "a list of a locked category is no longer so in the machine file; it stays in force"
            );
        }
        if !lacking.is_empty() {
            let done = self.take_in(lacking, Look::Missing, ACTOR_DAEMON, now, gate).await?;
            for (list, outcome) in done {
                if let Outcome::Held { why, .. } = outcome? {
                    tracing::warn!(list, why, "list held: it is not in force");
                }
            }
        }
        let lineages = self.lineages().await?;
        let lists = self.config.lists.iter().filter_map(|list| {
            let lineage = lineages.get(&list.name)?;
            let version = lineage.accepted.clone()?;
            let shelf = Shelf::new(&self.config.state, &list.name);
            let category = category_in_force(list, lineage, &shelf, catalogue);
            Some(ListInfo { name: list.name.clone(), category, version })
        });
        let left = self.left_locked(&lineages, catalogue);
        let recipe = Recipe::new(&self.config.state, lists.chain(left).collect());
        let catalogue = catalogue.clone();
        blocking(move || recipe.open(&catalogue)).await
    }

    fn source(&self, name: &str) -> Result<&'a ListSource, ListError> {
        self.config.lists.iter().find(|list| list.name == name).ok_or_else(|| {
            let known: Vec<_> = self.config.lists.iter().map(|list| list.name.as_str()).collect();
            ListError::Unknown { name: name.to_owned(), known: known.join(", ") }
        })
    }

    async fn lineages(&self) -> Result<HashMap<String, Lineage>, ListError> {
        Ok(lineages(&self.log.entries_of(&LIST_EVENTS).await?))
    }

    /// Takes the lock under which versions are made and put into force; held until dropped.
    async fn lock(&self) -> Result<OwnedFd, ListError> {
        let folder = self.config.state.join("lists");
        let failed = |source| ListError::Store { path: folder.display().to_string(), source };
        version::make_folder(&folder).map_err(failed)?;
        let file = std::fs::File::create(folder.join(".lock")).map_err(failed)?;
        let file = OwnedFd::from(file);
        let give_up = tokio::time::Instant::now() + Duration::from_millis(LOCK_TIMEOUT_MS);
        while rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .is_err()
        {
            if tokio::time::Instant::now() > give_up {
                return Err(ListError::Busy);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(file)
    }

    async fn take_in(
        &self,
        lists: Vec<ListSource>,
        look: Look,
        by: &str,
        now: UnixMillis,
        gate: &Gate,
    ) -> Result<Vec<(String, Result<Outcome, ListError>)>, ListError> {
        let _lock = self.lock().await?;
        let lineages = self.lineages().await?;
        let catalogue = catalogue(self.config)?;
        let mut downloads: HashMap<Url, Result<Download, String>> = HashMap::new();
        let mut done = Vec::new();
        let mut fresh = Vec::new();
        for mut list in lists {
            let lineage = lineages.get(&list.name).cloned().unwrap_or_default();
            let shelf = Shelf::new(&self.config.state, &list.name);
            list.category = category_in_force(&list, &lineage, &shelf, &catalogue);
            let looked = shelf.looked();
            let skip = match look {
                Look::All => false,
                Look::Due => !lineage.is_new() && !is_due(&list, &looked, now),
                // Another process may have taken it in while this one waited for the lock.
                Look::Missing => lineage.accepted.is_some(),
            };
            if skip {
                continue;
            }
            let name = list.name.clone();
            let download = self.download(&list, now, &mut downloads).await;
            let gate = gate.clone();
            let catalogue = catalogue.clone();
            let looked_before = looked.clone();
            let read = match download {
                Err(error) => Err(error),
                Ok(download) => {
                    let shelf = Shelf::new(&self.config.state, &list.name);
                    blocking(move || {
                        consider(list, lineage, looked, &shelf, download, &gate, &catalogue, now)
                    })
                    .await
                }
            };
            match read {
                Ok(Step::Done(outcome)) => done.push((name, Ok(outcome))),
                Ok(Step::Fresh(version)) => fresh.push(*version),
                Err(error) => {
                    let looked = Looked {
                        tried_at: Some(now),
                        error: Some(error.to_string()),
                        ..looked_before
                    };
                    shelf.set_looked(&looked)?;
                    done.push((name, Err(error)));
                }
            }
        }
        let accepted = lineages
            .iter()
            .filter_map(|(name, lineage)| Some((name.clone(), lineage.accepted.clone()?)))
            .collect();
        self.judge_first(&mut fresh, &accepted, &catalogue, gate, now).await?;
        // What waits already, under another date of its source, is not recorded again.
        let is_known = |version: &Fresh| match (&version.verdict, lineages.get(&version.list.name))
        {
            (Outcome::Held { version, .. }, Some(Lineage { held: Some((held, _)), .. })) => {
                version == held
            }
            _ => false,
        };
        let (known, fresh) = fresh.into_iter().partition(is_known);
        for version in Vec::<Fresh>::into_iter(known) {
            Shelf::new(&self.config.state, &version.list.name).set_looked(&version.looked)?;
            done.push((version.list.name, Ok(version.verdict)));
        }
        self.put_into_force(fresh, by, now, &mut done).await?;
        Ok(done)
    }

    /// Writes what was decided of the new versions into the change log, in one transaction, and
    /// only then remembers that their sources were seen.
    async fn put_into_force(
        &self,
        fresh: Vec<Fresh>,
        by: &str,
        now: UnixMillis,
        done: &mut Vec<(String, Result<Outcome, ListError>)>,
    ) -> Result<(), ListError> {
        let events = fresh
            .iter()
            .filter_map(|version| event_of(version).map(|event| (by.to_owned(), event)));
        let events: Vec<_> = events.collect();
        if !events.is_empty() {
            let append =
                self.log.append_with(now, |_| Ok::<_, std::convert::Infallible>(events)).await;
            append.map_err(|error| match error {
                ledger::changes::AppendWithError::Refused(never) => match never {},
                ledger::changes::AppendWithError::Log(error) => ListError::Log(error),
            })?;
        }
        let lineages = if fresh.is_empty() { HashMap::new() } else { self.lineages().await? };
        for version in fresh {
            let shelf = Shelf::new(&self.config.state, &version.list.name);
            shelf.set_looked(&version.looked)?;
            shelf.tidy(&lineages.get(&version.list.name).cloned().unwrap_or_default());
            done.push((version.list.name, Ok(version.verdict)));
        }
        Ok(())
    }

    async fn download(
        &self,
        list: &ListSource,
        now: UnixMillis,
        downloads: &mut HashMap<Url, Result<Download, String>>,
    ) -> Result<Option<Download>, ListError> {
        let ListOrigin::Url(url) = &list.origin else { return Ok(None) };
        if !downloads.contains_key(url) {
            let fetched = fetch::fetch(self.config, list, url, now).await;
            downloads.insert(
                url.clone(),
                fetched.map_err(|error| match error {
                    ListError::Fetch { why, .. } => why,
                    other => other.to_string(),
                }),
            );
        }
        match &downloads[url] {
            Ok(download) => Ok(Some(download.clone())),
            Err(why) => Err(ListError::Fetch { url: url.to_string(), why: why.clone() }),
        }
    }
}

/// Runs work that blocks beside the runtime's thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ListError> + Send + 'static,
) -> Result<T, ListError> {
    let work = || leftovers::are_given_back_during(work);
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// The sites that people were allowed to see in the last seven days, with how many requests each:
/// what a new list version must not close unseen. Sites are counted as the log's sums have them, by
/// registrable domain. Empty, with a warning, where the log cannot tell.
pub async fn seen_last_week(
    config: &Config,
    snapshot: &crate::snapshot::Snapshot,
    now: UnixMillis,
) -> Vec<(String, u64)> {
    let (from, until) = last_week(snapshot.policy.clock(), now);
    match ledger::summary::Summary::read(&config.state, from, until).await {
        Ok(summary) => {
            let mut sites = summary.top_sites(rules::decide::Verdict::Allow, usize::MAX);
            sites.retain(|(_, requests)| *requests > 0);
            sites
        }
        Err(error) => {
            tracing::warn!(%error, "cannot tell which sites were used last week");
            Vec::new()
        }
    }
}

/// A version that may be put in force, judged by the category that its list has in force.
fn plan(list: &ListSource, what: ListRequest, gate: &Gate, lock: OwnedFd) -> ListPlan {
    let opening = match &gate.current {
        Some((policy, _)) => gate::opening(policy, &list.category, what.added, what.removed),
        None => Some(gate::MAY_OPEN.to_owned()),
    };
    ListPlan { what, opening, _lock: lock }
}

/// Today and the seven school days before: the first of them, and the day after the last. By the calendar: a day on
/// which the clock is changed has 23 or 25 hours.
fn last_week(clock: &SchoolClock, now: UnixMillis) -> (Date, Date) {
    let today = clock.day(now);
    let days = |days: i64| jiff::Span::new().days(days);
    (today.saturating_sub(days(7)), today.saturating_add(days(1)))
}

/// Whether a URL leads to the machine itself or to a name that may be inside the school.
pub(crate) fn is_inside(url: &Url, allow_private: &[Host]) -> bool {
    let Some(host) = url.host_str().and_then(|host| Host::parse(host).ok()) else { return false };
    host.address().is_some_and(|address| address.is_loopback())
        || host.suffixes().any(|name| allow_private.iter().any(|allowed| allowed.as_str() == name))
}

#[cfg(test)]
mod tests;
