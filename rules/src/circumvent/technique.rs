//! What ways round the filter there are, each with its reason in the record.

use crate::category::{Catalogue, CategoryId, CategorySet};
use crate::decide::ReasonCode;
use serde::Deserialize;

/// A way round the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Technique {
    /// Names looked up over HTTPS (RFC 8484).
    Doh,
    /// Names looked up over TLS or QUIC (RFC 7858, RFC 9250).
    Dot,
    /// iCloud Private Relay.
    PrivateRelay,
    /// A virtual private network.
    Vpn,
    /// The screen of another computer.
    RemoteDesktop,
    /// Tor, and what leads to its hidden services.
    Tor,
    /// A page that fetches others.
    WebProxy,
    /// A blocked page, translated.
    TranslatedCopy,
    /// A blocked page out of a cache or archive.
    StoredCopy,
    /// A blocked page within the URL of another.
    UrlInside,
    /// An address in the place of a name.
    RawAddress,
    /// A connection that hides which site it is for (ECH).
    HiddenName,
}

impl Technique {
    /// All of them, with the reason and the category of each.
    const ALL: [(Technique, ReasonCode, &'static str); 12] = [
        (Technique::Doh, ReasonCode::Doh, "doh"),
        (Technique::Dot, ReasonCode::Dot, "doh"),
        (Technique::PrivateRelay, ReasonCode::PrivateRelay, "vpn"),
        (Technique::Vpn, ReasonCode::Vpn, "vpn"),
        (Technique::RemoteDesktop, ReasonCode::RemoteDesktop, "remote-access"),
        (Technique::Tor, ReasonCode::Tor, "proxy"),
        (Technique::WebProxy, ReasonCode::WebProxy, "proxy"),
        (Technique::TranslatedCopy, ReasonCode::TranslatedCopy, "translation"),
        (Technique::StoredCopy, ReasonCode::StoredCopy, "web-archive"),
        (Technique::UrlInside, ReasonCode::UrlInside, ""),
        (Technique::RawAddress, ReasonCode::RawAddress, ""),
        (Technique::HiddenName, ReasonCode::HiddenName, "proxy"),
    ];

    /// All techniques.
    pub fn all() -> impl Iterator<Item = Technique> {
        Self::ALL.iter().map(|(technique, ..)| *technique)
    }

    /// The reason in the record.
    #[must_use]
    pub fn code(self) -> ReasonCode {
        Self::ALL.iter().find(|(it, ..)| *it == self).map_or(ReasonCode::Internal, |it| it.1)
    }

    /// The technique with this reason.
    #[must_use]
    pub fn of(code: ReasonCode) -> Option<Technique> {
        Self::ALL.iter().find(|(_, it, _)| *it == code).map(|(technique, ..)| *technique)
    }

    /// The category of sites that are for it: by its row of the grid a level with
    /// [`crate::level::Circumvention::Grid`] is decided. Empty where there is none.
    #[must_use]
    pub fn categories(self, catalogue: &Catalogue) -> CategorySet {
        let name = Self::ALL.iter().find(|(it, ..)| *it == self).map_or("", |it| it.2);
        catalogue.id(name).map_or(CategorySet::EMPTY, CategorySet::of)
    }

    /// The technique that sites of a category are for, by whatever list; `None` for categories that are for
    /// something else as well.
    #[must_use]
    pub fn of_category(catalogue: &Catalogue, category: CategoryId) -> Option<Technique> {
        match catalogue.name(category) {
            "doh" => Some(Technique::Doh),
            "vpn" => Some(Technique::Vpn),
            "proxy" => Some(Technique::WebProxy),
            "remote-access" => Some(Technique::RemoteDesktop),
            _ => None,
        }
    }
}
