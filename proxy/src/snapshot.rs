//! Everything that decides, at one moment: policy, lists, users, unblocks and blocks, immutable and
//! swapped whole. A request takes it once, so that no request is decided by halves of two states.

use crate::config::Config;
use crate::lists::{ListError, Lists, catalogue};
use crate::policy_file::WordsOfThemes;
use crate::policy_file::{PolicyFault, PolicyFile, in_force, record_first};
use categorizer::index::Index;
use ledger::changes::{AppendError, ChangeLog};
use ledger::record::Context;
use ledger::users::{UserError, Users};
use rules::access::Access;
use rules::category::{Catalogue, CategorySet};
use rules::change::{CertificateException, Changes, PrivacyLift};
use rules::circumvent::{Found, Judged, judge};
use rules::decide::{Decision, decide, is_opened};
use rules::host::Host;
use rules::inspect::{CertificateFaults, Inspection};
use rules::policy::Policy;
use rules::time::UnixMillis;
use rules::unblock::{SiteBlock, Unblock};
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// The snapshot in force: loaded once per request, swapped by [`crate::follow::Follower`].
pub type Current = Arc<arc_swap::ArcSwap<Snapshot>>;

/// The state that decides. The large parts are shared between snapshots: an unblock costs a small
/// copy, not a new index.
#[derive(Clone)]
pub struct Snapshot {
    /// The school's decisions.
    pub policy: Arc<Policy>,
    /// SHA-256 of the policy text and the files it names, hex.
    pub policy_hash: Arc<str>,
    /// What texts are scored by.
    pub themes: Arc<WordsOfThemes>,
    /// What sites are.
    pub index: Arc<Index>,
    /// Who may sign in.
    pub users: Arc<Users>,
    /// Unblocks in force or to come.
    pub unblocks: Arc<[Unblock]>,
    /// The school's own blocks.
    pub blocks: Arc<[SiteBlock]>,
    /// What the filter may look into though it is private, now or later.
    pub privacy_lifts: Arc<[PrivacyLift]>,
    /// Certificate faults that the school has accepted, now or later.
    pub certificate_exceptions: Arc<[CertificateException]>,
    /// The change log folded.
    pub changes: Arc<Changes>,
    /// What records made under this snapshot share.
    pub context: Arc<Context>,
    /// The school's own page words by language, as TOML; empty: the shipped ones.
    pub texts: Arc<BTreeMap<String, String>>,
    /// When it was made.
    pub loaded_at: UnixMillis,
}

/// Why there is no snapshot. Nothing is served without one.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The policy file.
    #[error(transparent)]
    Policy(#[from] PolicyFault),
    /// A list.
    #[error(transparent)]
    List(#[from] ListError),
    /// The change log.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// The users.
    #[error(transparent)]
    Users(#[from] UserError),
    /// A file of the demonstration.
    #[error("{path}: {source}; check that this user may write the state folder")]
    Demo {
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
}

impl Snapshot {
    /// Reads everything afresh: the lists (taken in and compiled if they are not), the policy with
    /// its test cases, the change log and the users. Reads, and writes only what is derived.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn load(config: &Config, now: UnixMillis) -> Result<Snapshot, SnapshotError> {
        let log = ChangeLog::open(&config.state).await?;
        Self::load_with(config, &log, now).await
    }

    /// As [`Snapshot::load`], with a change log that is open already.
    ///
    /// The policy is the one that the change log says is in force, whatever the policy file holds by
    /// now: what differs there is judged by the filter while it runs. Only where no policy was ever in
    /// force is the file taken as it is, and its tests must pass.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn load_with(
        config: &Config,
        log: &ChangeLog,
        now: UnixMillis,
    ) -> Result<Snapshot, SnapshotError> {
        let (index, file) = Self::parts(config, log, now).await?;
        Self::finish(config, log, file, index, now).await
    }

    /// As [`Snapshot::load_with`], for a filter that starts: the first policy of a state folder is
    /// recorded and kept, for it is what every later one is compared with.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn load_to_serve(
        config: &Config,
        log: &ChangeLog,
        now: UnixMillis,
    ) -> Result<Snapshot, SnapshotError> {
        let (index, file) = Self::parts(config, log, now).await?;
        record_first(config, log, &file, now).await?;
        Self::finish(config, log, file, index, now).await
    }

    async fn parts(
        config: &Config,
        log: &ChangeLog,
        now: UnixMillis,
    ) -> Result<(Arc<Index>, PolicyFile), SnapshotError> {
        let (index, catalogue) = load_index(config, log, now).await?;
        let file = match in_force(config, &log.changes().await?, &catalogue)? {
            Some(file) => file,
            None => {
                let file = PolicyFile::read(&config.policy, &catalogue)?;
                file.check_tests(&index, now)?;
                file
            }
        };
        Ok((index, file))
    }

    async fn finish(
        config: &Config,
        log: &ChangeLog,
        file: PolicyFile,
        index: Arc<Index>,
        now: UnixMillis,
    ) -> Result<Snapshot, SnapshotError> {
        let changes = log.changes().await?;
        let users = Arc::new(log.users().load_all().await?);
        Ok(Snapshot::assemble(file, index, users, changes, now).with_texts(read_texts(config)))
    }

    /// Puts the parts together.
    pub(crate) fn assemble(
        file: PolicyFile,
        index: Arc<Index>,
        users: Arc<Users>,
        changes: Changes,
        now: UnixMillis,
    ) -> Snapshot {
        let policy = Arc::new(file.policy);
        let policy_hash: Arc<str> = file.hash.into();
        let context = Arc::new(context(&policy, &policy_hash, &index));
        Snapshot {
            policy,
            policy_hash,
            themes: file.themes,
            index,
            users,
            unblocks: changes.live(now).into(),
            blocks: changes.blocks.clone().into(),
            privacy_lifts: changes.privacy_lifts(now).into(),
            certificate_exceptions: changes.certificate_exceptions(now).into(),
            changes: Arc::new(changes),
            context,
            texts: Arc::default(),
            loaded_at: now,
        }
    }

    fn with_texts(mut self, texts: BTreeMap<String, String>) -> Snapshot {
        self.texts = Arc::new(texts);
        self
    }

    /// The same with another policy.
    pub(crate) fn with_policy(&self, file: PolicyFile, now: UnixMillis) -> Snapshot {
        let policy = Arc::new(file.policy);
        let policy_hash: Arc<str> = file.hash.into();
        let context = Arc::new(context(&policy, &policy_hash, &self.index));
        let themes = file.themes;
        Snapshot { policy, policy_hash, themes, context, loaded_at: now, ..self.clone() }
    }

    /// The same with another index.
    pub(crate) fn with_index(&self, index: Arc<Index>, now: UnixMillis) -> Snapshot {
        let context = Arc::new(context(&self.policy, &self.policy_hash, &index));
        Snapshot { index, context, loaded_at: now, ..self.clone() }
    }

    /// The same with changes and, where they changed, users.
    pub(crate) fn with_changes(
        &self,
        changes: Changes,
        users: Option<Arc<Users>>,
        now: UnixMillis,
    ) -> Snapshot {
        Snapshot {
            unblocks: changes.live(now).into(),
            blocks: changes.blocks.clone().into(),
            privacy_lifts: changes.privacy_lifts(now).into(),
            certificate_exceptions: changes.certificate_exceptions(now).into(),
            changes: Arc::new(changes),
            users: users.unwrap_or_else(|| Arc::clone(&self.users)),
            loaded_at: now,
            ..self.clone()
        }
    }

    /// Decides one access.
    #[must_use]
    pub fn decide(&self, access: &Access<'_>, now: UnixMillis) -> Decision {
        decide(&self.policy, &self.unblocks, &self.blocks, access, now)
    }

    /// Decides one access with what it was found to be, and what stands within its URL.
    #[must_use]
    pub fn judge(&self, access: &Access<'_>, found: Option<&Found<'_>>, now: UnixMillis) -> Judged {
        let changes = (&*self.unblocks, &*self.blocks);
        let of = |host: &Host, path: &str| self.categories(host, Some(path));
        judge(&self.policy, changes, access, found, &of, now)
    }

    /// Whether the school has opened a site on purpose: see [`is_opened`].
    #[must_use]
    pub fn is_opened(&self, access: &Access<'_>, now: UnixMillis) -> bool {
        is_opened(&self.policy, &self.unblocks, access, now)
    }

    /// How far the filter looks into one access: the policy, and what the school has authorised
    /// besides.
    #[must_use]
    pub fn inspection(&self, access: &Access<'_>, now: UnixMillis) -> Inspection {
        self.policy.inspection_with(access, &self.privacy_lifts, now)
    }

    /// The certificate faults of a host that the school has accepted; `None` where there are none.
    /// A locked category has none, whatever was accepted before it was listed.
    #[must_use]
    pub fn certificate_exception(&self, host: &Host, now: UnixMillis) -> Option<CertificateFaults> {
        let mut faults = CertificateFaults::default();
        let covering = self.certificate_exceptions.iter().filter(|it| it.covers(host, now));
        covering.for_each(|it| faults.extend(it.faults.iter()));
        let locked = self.policy.catalogue().locked();
        let may =
            !faults.is_empty() && locked.intersection(self.index.categories(host, None)).is_empty();
        may.then_some(faults)
    }

    /// All categories of a host and, where it is seen, path and query (raw, starting with `/`).
    #[must_use]
    pub fn categories(&self, host: &Host, path_and_query: Option<&str>) -> CategorySet {
        self.index.categories(host, path_and_query)
    }
}

async fn load_index(
    config: &Config,
    log: &ChangeLog,
    now: UnixMillis,
) -> Result<(Arc<Index>, Catalogue), SnapshotError> {
    crate::demo::write_policy_if_missing(config)?;
    let catalogue = catalogue(config)?;
    // Without any policy no new list could be judged by its tests: none is taken in then.
    if in_force(config, &log.changes().await?, &catalogue)?.is_none() {
        PolicyFile::read(&config.policy, &catalogue)?;
    }
    let index = Lists::new(config, log).index(&catalogue, now).await?;
    Ok((Arc::new(index), catalogue))
}

fn context(policy: &Policy, policy_hash: &str, index: &Index) -> Context {
    Context {
        policy_hash: policy_hash.to_owned(),
        list_version: index.version().to_owned(),
        categories: policy.catalogue().iter().map(|(_, category)| category.name.clone()).collect(),
        levels: policy.levels().iter().map(|(_, level)| level.name.clone()).collect(),
        locked: policy.catalogue().locked(),
        zone: policy.clock().zone_name().to_owned(),
    }
}

/// The school's own page words. A file that cannot be read is as if it were not there: pages are
/// shown in the shipped words, and nothing stops.
pub(crate) fn read_texts(config: &Config) -> BTreeMap<String, String> {
    let languages = rules::defaults::TEXTS.iter().map(|(language, _)| *language);
    languages
        .filter_map(|language| {
            let path = config.text.join(format!("{language}.toml"));
            Some((language.to_owned(), std::fs::read_to_string(path).ok()?))
        })
        .collect()
}
