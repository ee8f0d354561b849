//! Requests to look into what is private, and to accept faults of a host's certificate. They go the
//! way of unblocks: asked by one person, authorised by another, for a time.

use super::act::{check_asker, check_end, check_reason};
use super::{ChangeError, Changes, Event, LAPSE_SCHOOL_DAYS, RequestKind};
use crate::category::{Catalogue, CategoryId, CategorySet};
use crate::decide::ReasonCode;
use crate::host::Host;
use crate::inspect::CertificateFaults;
use crate::policy::Policy;
use crate::site::Site;
use crate::time::UnixMillis;
use crate::unblock::UnblockId;
use serde::{Deserialize, Serialize};

/// What somebody wants looked into, as the change log keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "name")]
pub enum InspectWhat {
    /// A private category, by name.
    Category(String),
    /// A site of such a category, with what is below it.
    Site(String),
}

impl std::fmt::Display for InspectWhat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Category(name) => write!(f, "category:{name}"),
            Self::Site(site) => f.write_str(site),
        }
    }
}

/// An authorised change in force or to come that lets the filter look into what is private.
#[derive(Clone, Debug)]
pub struct PrivacyLift {
    /// Number.
    pub id: UnblockId,
    what: Lifted,
    /// First instant.
    pub from: UnixMillis,
    /// First instant after.
    pub until: UnixMillis,
}

#[derive(Clone, Debug)]
enum Lifted {
    Category(String),
    Site(Site),
}

impl PrivacyLift {
    /// Which of these private categories of a host it takes away.
    pub(crate) fn takes(
        &self,
        private: CategorySet,
        host: &Host,
        catalogue: &Catalogue,
    ) -> CategorySet {
        match &self.what {
            Lifted::Category(name) => match catalogue.id(name) {
                Some(id) => private.intersection(CategorySet::of(id)),
                None => CategorySet::EMPTY,
            },
            Lifted::Site(site) if site.covers(host, None) => private,
            Lifted::Site(_) => CategorySet::EMPTY,
        }
    }
}

/// Accepted faults of one host's certificate, in force or to come. The host alone, not what is
/// below it.
#[derive(Clone, Debug)]
pub struct CertificateException {
    /// Number.
    pub id: UnblockId,
    /// The host.
    pub host: Host,
    /// The accepted faults.
    pub faults: CertificateFaults,
    /// First instant.
    pub from: UnixMillis,
    /// First instant after.
    pub until: UnixMillis,
}

impl CertificateException {
    /// Whether it holds for a host now.
    #[must_use]
    pub fn covers(&self, host: &Host, now: UnixMillis) -> bool {
        self.from <= now && now < self.until && self.host == *host
    }
}

impl Changes {
    /// What the filter may look into though it is private, now or later.
    #[must_use]
    pub fn privacy_lifts(&self, now: UnixMillis) -> Vec<PrivacyLift> {
        self.in_force(now)
            .filter_map(|it| {
                let what = match &it.kind {
                    RequestKind::Inspect(InspectWhat::Category(name)) => {
                        Lifted::Category(name.clone())
                    }
                    RequestKind::Inspect(InspectWhat::Site(site)) => {
                        Lifted::Site(Site::parse(site).ok()?)
                    }
                    _ => return None,
                };
                Some(PrivacyLift { id: it.id, what, from: it.from, until: it.until })
            })
            .collect()
    }

    /// The certificate faults that are accepted, now or later.
    #[must_use]
    pub fn certificate_exceptions(&self, now: UnixMillis) -> Vec<CertificateException> {
        self.in_force(now)
            .filter_map(|it| {
                let RequestKind::Certificate(accept) = &it.kind else { return None };
                let mut faults = CertificateFaults::default();
                // A fault that cannot be accepted is left out, whoever wrote the entry.
                faults.extend(accept.iter().copied());
                let host = Host::parse(&it.site).ok()?;
                let (id, from, until) = (it.id, it.from, it.until);
                (!faults.is_empty()).then_some(CertificateException {
                    id,
                    host,
                    faults,
                    from,
                    until,
                })
            })
            .collect()
    }
}

/// Checks a request by somebody to look into a private category, or a site of one, and makes its
/// event. `categories` are those of the site.
///
/// # Errors
/// [`ChangeError`]: no role, not private, locked, path, reason, end.
#[allow(clippy::too_many_arguments, reason = "the fields of the request form")]
pub fn ask_inspect(
    changes: &Changes,
    policy: &Policy,
    by: &str,
    what: InspectWhat,
    categories: CategorySet,
    from: UnixMillis,
    until: UnixMillis,
    reason: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    check_asker(policy, by)?;
    let catalogue = policy.catalogue();
    let is_private = match &what {
        InspectWhat::Category(name) => {
            let is_private = |id: CategoryId| catalogue.privacy().contains(id);
            catalogue.id(name).is_some_and(is_private)
        }
        InspectWhat::Site(text) => {
            check_not_locked(policy, categories)?;
            if Site::parse(text)?.path().is_some() {
                return Err(ChangeError::HasPath(text.clone()));
            }
            !catalogue.privacy().intersection(categories).is_empty()
        }
    };
    if !is_private {
        return Err(ChangeError::NotPrivate { what: what.to_string() });
    }
    check_end(policy, from, until, now)?;
    check_reason(reason)?;
    let lapses = policy.clock().after_school_days(now, LAPSE_SCHOOL_DAYS);
    let (id, reason) = (changes.next_unblock(), reason.trim().to_owned());
    let order = policy.unblock_rules().order;
    Ok(Event::InspectAsked { id, what, from, until, reason, lapses, order })
}

/// Checks a request by somebody to accept faults of a host's certificate and makes its event.
/// `categories` are those of the host.
///
/// # Errors
/// [`ChangeError`]: no role, fault, locked, public suffix, reason, end.
#[allow(clippy::too_many_arguments, reason = "the fields of the request form")]
pub fn ask_certificate(
    changes: &Changes,
    policy: &Policy,
    by: &str,
    host: &Host,
    accept: &[ReasonCode],
    categories: CategorySet,
    from: UnixMillis,
    until: UnixMillis,
    reason: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    check_asker(policy, by)?;
    check_not_locked(policy, categories)?;
    if host.is_public_suffix() {
        return Err(ChangeError::SuffixHost(host.to_string()));
    }
    let mut faults = CertificateFaults::default();
    for fault in accept {
        if !faults.insert(*fault) {
            return Err(ChangeError::NotAcceptable(fault.as_str().to_owned()));
        }
    }
    if faults.is_empty() {
        return Err(ChangeError::NoFault);
    }
    check_end(policy, from, until, now)?;
    check_reason(reason)?;
    Ok(Event::CertificateAsked {
        id: changes.next_unblock(),
        host: host.to_string(),
        accept: faults.iter().collect(),
        from,
        until,
        reason: reason.trim().to_owned(),
        lapses: policy.clock().after_school_days(now, LAPSE_SCHOOL_DAYS),
        order: policy.unblock_rules().order,
    })
}

fn check_not_locked(policy: &Policy, categories: CategorySet) -> Result<(), ChangeError> {
    let catalogue = policy.catalogue();
    match catalogue.locked().intersection(categories).iter().next() {
        Some(id) => Err(ChangeError::Locked { category: catalogue.name(id).to_owned() }),
        None => Ok(()),
    }
}
