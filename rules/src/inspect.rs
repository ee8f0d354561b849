//! How far the filter looks into HTTPS: the modes, why one was chosen, and what a school may
//! decide about connections that cannot be read.
//!
//! [`crate::policy::Policy::inspection`] answers for one access. In order: a category of privacy
//! (only an authorised change lifts it), the school's own line about the site, the most private of
//! what is said of its categories and groups, the level. No line about a site or
//! category raises a level above its own mode, for that is what its devices are set up for.

mod groups;

pub use groups::{Group, group, group_of, groups};

use crate::category::CategoryId;
use crate::decide::{ReasonCode, Verdict};
use crate::policy::RuleId;
use crate::unblock::UnblockId;
use serde::{Deserialize, Serialize};

/// How far the filter looks into an HTTPS connection; the more private the greater.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Inspect {
    /// Opened with a certificate of the school's own authority: every page is seen and decided.
    Page,
    /// Not opened: only the name of the site is seen. A blocked site may still be answered with the
    /// block page under a certificate of the school's own.
    #[default]
    Name,
    /// Not opened, and the school's own certificate is never shown there, not even for a block page.
    Never,
}

impl Inspect {
    /// All modes, the least private first.
    pub const ALL: [Inspect; 3] = [Self::Page, Self::Name, Self::Never];

    /// The word in `policy.toml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Name => "name",
            Self::Never => "never",
        }
    }

    /// The mode of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Inspect> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }
}

/// The place of a shipped do-not-inspect group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u16);

/// What chose the mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InspectReason {
    /// The level's own `inspect`, or its parent's.
    Level,
    /// A line of `[inspect]`.
    Category(CategoryId),
    /// An `[[inspect_site]]`.
    Site(RuleId),
    /// A shipped do-not-inspect group.
    Group(GroupId),
    /// A category of privacy: nothing but an authorised change looks into it.
    Privacy(CategoryId),
    /// An authorised change lets the filter look into what is private.
    Change(UnblockId),
    /// Nobody has said anything: the name alone.
    Default,
}

/// How far to look, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// How far.
    pub mode: Inspect,
    /// Why.
    pub because: InspectReason,
}

/// `[tls]`: what becomes of tunnels to a port of TLS whose inside does not say which site it is
/// for. All default to block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsRules {
    /// A ClientHello without a server name (RFC 6066, 3).
    pub no_sni: Verdict,
    /// An encrypted ClientHello, of which only the outer name is seen.
    pub encrypted_hello: Verdict,
    /// Bytes that are no TLS.
    pub not_tls: Verdict,
}

impl Default for TlsRules {
    fn default() -> Self {
        Self { no_sni: Verdict::Block, encrypted_hello: Verdict::Block, not_tls: Verdict::Block }
    }
}

/// The certificate faults of one host that the school has accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertificateFaults(u8);

impl CertificateFaults {
    /// The faults that can be accepted. A withdrawn certificate never is; a broken protocol or a
    /// weak key is no statement about who the site is, and cannot be accepted away.
    pub const ACCEPTABLE: [ReasonCode; 4] = [
        ReasonCode::TlsExpired,
        ReasonCode::TlsName,
        ReasonCode::TlsUntrusted,
        ReasonCode::TlsSelfSigned,
    ];

    /// Adds a fault; `false`, and nothing is added, where it is none of
    /// [`CertificateFaults::ACCEPTABLE`].
    pub fn insert(&mut self, fault: ReasonCode) -> bool {
        let place = Self::ACCEPTABLE.iter().position(|known| *known == fault);
        self.0 |= place.map_or(0, |place| 1 << place);
        place.is_some()
    }

    /// Whether a fault is accepted.
    #[must_use]
    pub fn contains(self, fault: ReasonCode) -> bool {
        Self::ACCEPTABLE
            .iter()
            .position(|known| *known == fault)
            .is_some_and(|place| self.0 & 1 << place != 0)
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The accepted faults.
    pub fn iter(self) -> impl Iterator<Item = ReasonCode> {
        Self::ACCEPTABLE.into_iter().filter(move |fault| self.contains(*fault))
    }
}

impl Extend<ReasonCode> for CertificateFaults {
    fn extend<T: IntoIterator<Item = ReasonCode>>(&mut self, faults: T) {
        faults.into_iter().for_each(|fault| {
            self.insert(fault);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_lead_back_from_their_words_and_rank_by_privacy() {
        for mode in Inspect::ALL {
            assert_eq!(Inspect::from_word(mode.as_str()), Some(mode));
        }
        assert_eq!(Inspect::from_word("Page"), None);
        assert!(Inspect::Page < Inspect::Name && Inspect::Name < Inspect::Never);
    }

    #[test]
    fn a_withdrawn_certificate_is_never_accepted() {
        let mut faults = CertificateFaults::default();
        for code in (0..=u8::MAX).filter_map(ReasonCode::from_number) {
            let may = CertificateFaults::ACCEPTABLE.contains(&code);
            assert_eq!(faults.insert(code), may, "{}", code.as_str());
            assert_eq!(faults.contains(code), may, "{}", code.as_str());
        }
        assert_eq!(faults.iter().collect::<Vec<_>>(), CertificateFaults::ACCEPTABLE);
        assert!(!CertificateFaults::ACCEPTABLE.contains(&ReasonCode::TlsRevoked));
    }
}
