//! The minter of a running filter, which follows the store.

use super::store::Store;
use super::{Authority, AuthorityError, Minter, Passphrase};
use arc_swap::ArcSwapOption;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The minter in force, shared by all workers; replaced whole when another authority signs.
#[derive(Debug)]
pub struct Live {
    store: Store,
    passphrase_file: Option<PathBuf>,
    most_leaves: usize,
    minter: ArcSwapOption<Minter>,
    /// The store's stamp at the last look.
    seen: Mutex<Option<(u64, i64, i64)>>,
}

impl Live {
    /// The authority of a state folder, if one was made. `passphrase_file` opens a sealed key (the
    /// systemd credential does where it is `None`); at most `most_leaves` certificates are kept.
    ///
    /// # Errors
    /// [`AuthorityError`]: there is one, and it cannot be used. A filter must not start then: its
    /// devices would be less filtered than the school believes.
    pub fn open(
        state: &Path,
        passphrase_file: Option<&Path>,
        most_leaves: usize,
    ) -> Result<Self, AuthorityError> {
        let live = Self {
            store: Store::of_state(state),
            passphrase_file: passphrase_file.map(Path::to_owned),
            most_leaves,
            minter: ArcSwapOption::empty(),
            seen: Mutex::new(None),
        };
        live.follow().unwrap_or(Ok(()))?;
        Ok(live)
    }

    /// The minter in force; `None`: no authority was made. Take it once for each connection.
    #[must_use]
    pub fn minter(&self) -> Option<Arc<Minter>> {
        self.minter.load_full()
    }

    /// Looks whether another authority signs, and loads it. One `stat` where nothing has changed
    /// (`None`); opening a sealed key takes some 100 ms, so call it on no worker.
    ///
    /// # Errors
    /// [`AuthorityError`]: what was in force stays so; the next look tries again.
    pub fn follow(&self) -> Option<Result<(), AuthorityError>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Before reading: what changes in between is read at the next look.
        let stamp = self.store.stamp();
        if *seen == stamp {
            return None;
        }
        let outcome = self.load();
        if outcome.is_ok() {
            *seen = stamp;
        }
        Some(outcome)
    }

    fn load(&self) -> Result<(), AuthorityError> {
        let secret = Passphrase::find(self.passphrase_file.as_deref())?;
        let Some(authority) = Authority::load(self.store.folder(), secret.as_ref())? else {
            // Nothing takes an authority away but somebody who deletes its files.
            let what = "the list of authorities is gone".to_owned();
            let fix = "put the folder ca of the state folder back; the filter uses what it loaded";
            return Err(AuthorityError::State { what, fix });
        };
        let current = self.minter.load();
        if current.as_ref().is_some_and(|now| now.root_fingerprint() == authority.fingerprint()) {
            return Ok(());
        }
        let minter = Minter::new(Arc::new(authority), self.most_leaves);
        let minter = minter.map_err(|error| AuthorityError::Key(error.to_string()))?;
        self.minter.store(Some(Arc::new(minter)));
        Ok(())
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
