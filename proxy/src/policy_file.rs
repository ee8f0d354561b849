//! The policy on disk: read with the files it names, tested against the lists, hashed, kept, put
//! into place.

mod hash;

use self::hash::hash;
use crate::config::Config;
use crate::leftovers;
use crate::named_file::Content;
use crate::phrases::{self, PhraseLists, Shelf};
use categorizer::index::Index;
use categorizer::theme::{PackError, Themes};
use ledger::changes::{ACTOR_DAEMON, AppendError, AppendWithError, ChangeLog};
use rules::category::Catalogue;
use rules::change::{Changes, Event};
use rules::policy::{Policy, PolicyError, TestFailure};
use rules::time::UnixMillis;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use thiserror::Error;

/// Most bytes of a policy file or of one that it names: a device or a log given by mistake must
/// not fill the memory.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Most bytes of what was kept of all files of a policy, with what JSON adds to them.
const MAX_KEPT_BYTES: u64 = 1 << 30;

/// A policy that was read and understood.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// The policy.
    pub policy: Policy,
    /// Its text.
    pub text: String,
    /// SHA-256 in hex of the text alone, or, where it names files, of the text followed by each
    /// file's name and content, with their lengths where any holds a byte 0: `sha256sum policy.toml` gives it for a policy
    /// in one file.
    pub hash: String,
    /// The files it names, as written, with their content.
    pub files: BTreeMap<String, Content>,
    /// What texts are scored by: the shipped words, and the policy's own.
    pub themes: Arc<WordsOfThemes>,
}

/// What texts are scored by. What is shipped is compiled where somebody scores a text first: most commands do not.
#[derive(Debug, Default)]
pub struct WordsOfThemes {
    themes: OnceLock<Arc<Themes>>,
    lists: Option<Arc<PhraseLists>>,
}

impl WordsOfThemes {
    /// The phrase lists that pages are scored by besides, where the policy names any.
    #[must_use]
    pub fn lists(&self) -> Option<&PhraseLists> {
        self.lists.as_deref()
    }

    /// Whether a text reaches by these what it does by others.
    pub(crate) fn are_the_same(&self, others: &Self) -> bool {
        let (these, those): (&Themes, &Themes) = (self, others);
        let lists = |words: &Self| words.lists.as_ref().map(Arc::as_ptr);
        std::ptr::eq(these, those) && lists(self) == lists(others)
    }

    /// Compiles what is not yet: before requests are answered by it, which would all wait for that.
    pub(crate) fn make_ready(&self) {
        let _: &Themes = self;
    }

    #[cfg(test)]
    pub(crate) fn is_ready(&self) -> bool {
        self.themes.get().is_some()
    }
}

impl std::ops::Deref for WordsOfThemes {
    type Target = Themes;

    fn deref(&self) -> &Themes {
        self.themes.get_or_init(shipped_themes)
    }
}

/// The shipped themes: compiled once, as long as somebody holds them.
pub(crate) fn shipped_themes() -> Arc<Themes> {
    static SHIPPED: Mutex<Weak<Themes>> = Mutex::new(Weak::new());
    // Whoever comes while they are compiled waits for them.
    let mut shipped = SHIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    shipped.upgrade().unwrap_or_else(|| {
        let themes = Arc::new(leftovers::are_given_back_but(Themes::shipped));
        *shipped = Arc::downgrade(&themes);
        themes
    })
}

/// A policy's words: the shipped themes with its own, and its phrase lists. Their files are among its own afterwards.
fn words_of(
    policy: Policy,
    shelf: &Shelf<'_>,
    files: &mut BTreeMap<String, Content>,
) -> Result<(Policy, Arc<WordsOfThemes>), PolicyFault> {
    let mut policy = policy;
    let mut themes = WordsOfThemes::default();
    if !policy.phrase_lists().is_empty() {
        let read = leftovers::are_given_back_during(|| phrases::read(&policy, shelf));
        if let Some((lists, read, contents)) = read.map_err(PolicyFault::Policy)? {
            files.extend(contents);
            policy = policy.with_phrases(read);
            themes.lists = Some(lists);
        }
    }
    if !policy.theme_packs().is_empty() {
        let compile = || Themes::with_own(policy.theme_packs());
        let own = leftovers::are_given_back_but(compile).map_err(PolicyFault::ThemeWords)?;
        let _ = themes.themes.set(Arc::new(own));
    }
    Ok((policy, Arc::new(themes)))
}

/// Why a policy cannot take effect. What was in force stays so.
#[derive(Debug, Error)]
pub enum PolicyFault {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// What the file says: every fault with its line.
    #[error("{}", .0.iter().map(|fault| format!("{fault}\n  fix: {}", fault.fix)).collect::<Vec<_>>().join("\n"))]
    Policy(Vec<PolicyError>),
    /// Words of its own that cannot be looked for.
    #[error("{}", .0.iter().map(PackError::to_string).collect::<Vec<_>>().join("\n"))]
    ThemeWords(Vec<PackError>),
    /// `[[test]]` cases fail with the lists in force.
    #[error("{} of {total} policy tests failed; nothing applied\n  {}", .failures.len(), .failures.iter().map(|failure| failure.text.as_str()).collect::<Vec<_>>().join("\n  "))]
    Tests {
        /// The cases that fail.
        failures: Vec<TestFailure>,
        /// How many there are.
        total: usize,
    },
    /// The state folder cannot be written.
    #[error("{path}: {source}; check that this user may write it")]
    Store {
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// The change log.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// What is in force by the change log is not there to be read: nothing else takes its place.
    #[error(
        "the policy in force ({}) cannot be read: {why}; put STATE/policy back from a backup, or its \
         text back into the policy file", .hash.get(..12).unwrap_or(.hash)
    )]
    Lost {
        /// Hash of the policy in force.
        hash: String,
        /// Why neither what was kept nor the file is it.
        why: String,
    },
}

impl PolicyFile {
    /// Reads a policy and the files that it names, which lie beside it.
    ///
    /// # Errors
    /// [`PolicyFault::Read`], [`PolicyFault::Policy`].
    pub fn read(path: &Path, catalogue: &Catalogue) -> Result<PolicyFile, PolicyFault> {
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::read_beside(path, folder, catalogue)
    }

    /// As [`PolicyFile::read`] for a draft that lies elsewhere: the files it names are those beside
    /// the policy in `folder`.
    ///
    /// # Errors
    /// As [`PolicyFile::read`].
    pub fn read_beside(
        path: &Path,
        folder: &Path,
        catalogue: &Catalogue,
    ) -> Result<PolicyFile, PolicyFault> {
        let text = read_text(path)
            .map_err(|source| PolicyFault::Read { path: path.display().to_string(), source })?;
        let name =
            path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self::parse(text, &name, folder, catalogue)
    }

    /// As [`PolicyFile::read_beside`] for a draft that is in no file, such as one on standard input;
    /// `name` stands for the file's in messages.
    ///
    /// # Errors
    /// As [`PolicyFile::read`].
    pub fn read_stream(
        input: impl Read,
        name: &str,
        folder: &Path,
        catalogue: &Catalogue,
    ) -> Result<PolicyFile, PolicyFault> {
        let mut text = String::new();
        let read = input.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
        let bounded = read.and_then(|length| match length as u64 > MAX_FILE_BYTES {
            true => Err(std::io::Error::other("is larger than 16 MiB")),
            false => Ok(()),
        });
        bounded.map_err(|source| PolicyFault::Read { path: name.to_owned(), source })?;
        Self::parse(text, name, folder, catalogue)
    }

    fn parse(
        text: String,
        name: &str,
        folder: &Path,
        catalogue: &Catalogue,
    ) -> Result<PolicyFile, PolicyFault> {
        let files = RefCell::new(BTreeMap::new());
        let read = |file: &str| {
            let content = read_text(&folder.join(file)).map_err(|e| e.to_string())?;
            files.borrow_mut().insert(file.to_owned(), content.clone().into_bytes().into());
            Ok(content)
        };
        let policy =
            Policy::parse(&text, name, catalogue.clone(), &read).map_err(PolicyFault::Policy)?;
        let mut files = files.into_inner();
        let (policy, themes) = words_of(policy, &Shelf::Beside(folder), &mut files)?;
        Ok(PolicyFile { policy, hash: hash(&text, &files), text, files, themes })
    }

    /// Runs the `[[test]]` cases against the lists.
    ///
    /// # Errors
    /// [`PolicyFault::Tests`].
    pub fn check_tests(&self, index: &Index, now: UnixMillis) -> Result<(), PolicyFault> {
        let failures = self.policy.run_tests(&|host, path| index.categories(host, path), now);
        if failures.is_empty() {
            return Ok(());
        }
        Err(PolicyFault::Tests { failures, total: self.policy.test_count() })
    }

    /// Keeps the policy as `STATE/policy/HASH.toml`, and the files that it names as one JSON object
    /// beside it: every policy that took effect can be looked up, and served again.
    ///
    /// # Errors
    /// [`PolicyFault::Store`].
    pub fn keep(&self, state: &Path) -> Result<(), PolicyFault> {
        let folder = state.join("policy");
        let path = folder.join(format!("{}.toml", self.hash));
        let failed = |source| PolicyFault::Store { path: path.display().to_string(), source };
        if path.is_file() {
            return Ok(());
        }
        crate::lists::make_folder(&folder).map_err(failed)?;
        let write = |path: &Path, bytes: &[u8]| {
            crate::lists::replace_file(path, |path| crate::lists::write_synced(path, bytes))
        };
        let files =
            serde_json::to_vec(&self.files).map_err(std::io::Error::other).map_err(failed)?;
        write(&folder.join(format!("{}.files.json", self.hash)), &files).map_err(failed)?;
        write(&path, self.text.as_bytes()).map_err(failed)
    }

    /// The policy of this hash as [`PolicyFile::keep`] kept it.
    ///
    /// # Errors
    /// [`PolicyFault::Read`] where it was not kept or was changed since; [`PolicyFault::Policy`]
    /// where it no longer fits the machine's lists.
    pub fn kept(
        state: &Path,
        hash: &str,
        catalogue: &Catalogue,
    ) -> Result<PolicyFile, PolicyFault> {
        let path = state.join("policy").join(format!("{hash}.toml"));
        let unreadable = |source| PolicyFault::Read { path: path.display().to_string(), source };
        let text = read_text(&path).map_err(unreadable)?;
        let files = path.with_file_name(format!("{hash}.files.json"));
        let files = read_text_of(&files, MAX_KEPT_BYTES).map_err(unreadable)?;
        let mut files: BTreeMap<String, Content> =
            serde_json::from_str(&files).map_err(std::io::Error::other).map_err(unreadable)?;
        if self::hash::hash(&text, &files) != hash {
            return Err(unreadable(std::io::Error::other("is not what was kept")));
        }
        let read = |file: &str| {
            let text = files.get(file).and_then(Content::text);
            text.map(str::to_owned).ok_or_else(|| "was not kept".to_owned())
        };
        let policy = Policy::parse(&text, "policy.toml", catalogue.clone(), &read)
            .map_err(PolicyFault::Policy)?;
        let kept = files.clone();
        let (policy, themes) = words_of(policy, &Shelf::Kept(&kept), &mut files)?;
        Ok(PolicyFile { policy, hash: hash.to_owned(), text, files, themes })
    }

    /// Writes the policy's text into the policy file, durably, and remembers that it was: a file that
    /// still holds what was put there is no change by hand.
    ///
    /// # Errors
    /// [`PolicyFault::Store`].
    pub fn put_in_place(&self, config: &Config) -> Result<(), PolicyFault> {
        crate::lists::replace_file(&config.policy, |path| {
            crate::lists::write_synced(path, self.text.as_bytes())?;
            // The new file is as readable as the old one was.
            match std::fs::metadata(&config.policy) {
                Ok(old) => std::fs::set_permissions(path, old.permissions()),
                Err(_) => Ok(()),
            }
        })
        .map_err(|source| PolicyFault::Store {
            path: config.policy.display().to_string(),
            source,
        })?;
        set_placed(&config.state, &self.hash)
    }
}

/// The policy that the change log says is in force, as it was kept, or as it stands in the file;
/// `None` where no policy has ever been in force.
///
/// # Errors
/// [`PolicyFault::Lost`]: it is neither here nor there. A policy that happens to be in the file does
/// not take its place, or whoever removes the one could choose the other.
pub fn in_force(
    config: &Config,
    changes: &Changes,
    catalogue: &Catalogue,
) -> Result<Option<PolicyFile>, PolicyFault> {
    let Some(hash) = changes.policy.as_deref() else { return Ok(None) };
    let fault = match PolicyFile::kept(&config.state, hash, catalogue) {
        Ok(kept) => return Ok(Some(kept)),
        Err(fault) => fault,
    };
    match PolicyFile::read(&config.policy, catalogue) {
        Ok(file) if file.hash == hash => Ok(Some(file)),
        _ => Err(PolicyFault::Lost { hash: hash.to_owned(), why: fault.to_string() }),
    }
}

/// The hash of the policy that the policy file was last known to hold: by putting it there, or by
/// finding the policy in force there.
#[must_use]
pub(crate) fn placed(state: &Path) -> Option<String> {
    let hash = std::fs::read_to_string(placed_path(state)).ok()?;
    Some(hash.trim().to_owned()).filter(|hash| !hash.is_empty())
}

/// Remembers what the policy file holds.
///
/// # Errors
/// [`PolicyFault::Store`].
pub(crate) fn set_placed(state: &Path, hash: &str) -> Result<(), PolicyFault> {
    if placed(state).as_deref() == Some(hash) {
        return Ok(());
    }
    let path = placed_path(state);
    let write = |path: &Path| crate::lists::write_synced(path, format!("{hash}\n").as_bytes());
    crate::lists::make_folder(&state.join("policy"))
        .and_then(|()| crate::lists::replace_file(&path, write))
        .map_err(|source| PolicyFault::Store { path: path.display().to_string(), source })
}

fn placed_path(state: &Path) -> std::path::PathBuf {
    state.join("policy").join("placed")
}

/// Records the policy that a state folder starts with, if none was ever in force: it is what every
/// later one is compared with.
///
/// # Errors
/// [`PolicyFault`].
pub async fn record_first(
    config: &Config,
    log: &ChangeLog,
    file: &PolicyFile,
    now: UnixMillis,
) -> Result<(), PolicyFault> {
    if log.changes().await?.policy.is_some() {
        return Ok(());
    }
    file.keep(&config.state)?;
    set_placed(&config.state, &file.hash)?;
    let hash = file.hash.clone();
    let appended = log.append_with(now, |changes| {
        let (reason, summary) = ("first policy".to_owned(), Vec::new());
        let (request, replayed) = (None, None);
        let event = Event::PolicyApplied { hash, reason, summary, request, replayed };
        let events = match changes.policy {
            None => vec![(ACTOR_DAEMON.to_owned(), event)],
            Some(_) => Vec::new(),
        };
        Ok::<_, Infallible>(events)
    });
    match appended.await {
        Ok(_) => Ok(()),
        Err(AppendWithError::Log(error)) => Err(error.into()),
        Err(AppendWithError::Refused(never)) => match never {},
    }
}

fn read_text(path: &Path) -> std::io::Result<String> {
    read_text_of(path, MAX_FILE_BYTES)
}

fn read_text_of(path: &Path, most_bytes: u64) -> std::io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("is no plain file"));
    }
    if metadata.len() > most_bytes {
        return Err(std::io::Error::other(format!("is larger than {} MiB", most_bytes >> 20)));
    }
    std::fs::read_to_string(path)
}
