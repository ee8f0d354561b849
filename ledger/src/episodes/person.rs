//! Who an episode is about.
//!
//! Where nobody signed in that is a device, by its address. Of IPv6 a device has as many addresses as it likes, so that
//! those of one network are told apart up to a bound only.

use crate::query::AccessRow;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::net::Ipv6Addr;

/// Bits of an IPv6 address that say which network it is in; a device chooses the rest itself (RFC 4291, 2.5.1; RFC 8981).
const NETWORK_BITS: u32 = 64;

/// Most devices of one IPv6 network that are told apart in a day, for one theme. One that invents addresses would begin
/// episodes without end, and have mail sent of what is urgent.
pub(super) const MAX_DEVICES: usize = 256;

/// Who it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "name")]
pub enum Person {
    /// A proven user, in lower case: names are compared without case.
    User(String),
    /// Nobody proved: a device, by its address. Where an IPv6 network has more than 256, the
    /// others are one, by the network (`2001:db8::/64`).
    Device(String),
}

impl Person {
    /// The name or the address.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::User(name) | Self::Device(name) => name,
        }
    }

    /// How sure it is who it was.
    #[must_use]
    pub fn confidence(&self) -> Confidence {
        match self {
            Self::User(_) => Confidence::SignedIn,
            Self::Device(_) => Confidence::DeviceOnly,
        }
    }
}

/// How sure it is who it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Nobody signed in: only which device it was is known.
    DeviceOnly,
    /// Somebody gave the name and its password on the device. Another may have used it since.
    SignedIn,
}

impl Confidence {
    /// The words for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeviceOnly => "device only",
            Self::SignedIn => "signed in",
        }
    }
}

/// The devices that have episodes, where addresses can be invented.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// By their network and the theme.
    known: HashMap<(u64, String), HashSet<Ipv6Addr>>,
}

impl Devices {
    /// Who a sign of a theme is about.
    pub(super) fn person(&self, row: &AccessRow, theme: &str) -> Person {
        if let Some(user) = &row.user {
            return Person::User(user.to_lowercase());
        }
        let Ok(device) = row.client.parse::<Ipv6Addr>() else {
            return Person::Device(row.client.clone());
        };
        let network = network_of(device);
        let known = self.known.get(&(network, theme.to_owned()));
        if known.is_none_or(|known| known.len() < MAX_DEVICES || known.contains(&device)) {
            return Person::Device(row.client.clone());
        }
        let network = Ipv6Addr::from_bits(u128::from(network) << (128 - NETWORK_BITS));
        Person::Device(format!("{network}/{NETWORK_BITS}"))
    }

    /// Somebody has an episode of a theme.
    pub(super) fn begin(&mut self, row: &AccessRow, theme: &str) {
        let (None, Ok(device)) = (&row.user, row.client.parse::<Ipv6Addr>()) else { return };
        let known = self.known.entry((network_of(device), theme.to_owned())).or_default();
        if known.len() < MAX_DEVICES {
            known.insert(device);
        }
    }
}

fn network_of(device: Ipv6Addr) -> u64 {
    (device.to_bits() >> (128 - NETWORK_BITS)) as u64
}
