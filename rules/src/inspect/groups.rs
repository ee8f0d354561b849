//! The shipped do-not-inspect groups (`rules/defaults/do_not_inspect.toml`).

use super::GroupId;
use crate::defaults::DO_NOT_INSPECT;
use crate::host::Host;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Hosts that are never opened, and why.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Short name.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// Why nobody looks inside.
    pub reason: String,
    /// Who says so.
    pub source: String,
    /// Some of its hosts rest on experience alone.
    #[serde(default)]
    pub unverified: bool,
    /// `a.example` alone, or `*.a.example` for everything below it.
    pub hosts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    group: Vec<Group>,
}

/// The groups, and their hosts for looking up.
struct Groups {
    groups: Vec<Group>,
    exact: HashMap<String, GroupId>,
    below: HashMap<String, GroupId>,
}

impl Groups {
    fn parse(text: &str) -> Result<Self, String> {
        let File { group: groups } = toml::from_str(text).map_err(|error| error.to_string())?;
        let (mut exact, mut below) = (HashMap::new(), HashMap::new());
        for (place, group) in groups.iter().enumerate() {
            let id = GroupId(u16::try_from(place).map_err(|error| error.to_string())?);
            for written in &group.hosts {
                let (name, map) = match written.strip_prefix("*.") {
                    Some(name) => (name, &mut below),
                    None => (written.as_str(), &mut exact),
                };
                let host = Host::parse(name).map_err(|error| format!("{written}: {error}"))?;
                if host.as_str() != name || host.is_public_suffix() {
                    return Err(format!("{written}: write a host as it is compared"));
                }
                if map.insert(name.to_owned(), id).is_some() {
                    return Err(format!("{written}: twice"));
                }
            }
        }
        Ok(Self { groups, exact, below })
    }

    fn shipped() -> &'static Groups {
        static SHIPPED: OnceLock<Groups> = OnceLock::new();
        SHIPPED.get_or_init(|| match Self::parse(DO_NOT_INSPECT) {
            Ok(groups) => groups,
            Err(error) => panic!("the shipped do-not-inspect groups do not parse: {error}"),
        })
    }
}

/// The shipped groups, in the order of their ids.
///
/// # Panics
/// Never in a build that passed its tests: the file is part of the program.
#[must_use]
pub fn groups() -> &'static [Group] {
    &Groups::shipped().groups
}

/// A group by its place.
#[must_use]
pub fn group(id: GroupId) -> Option<&'static Group> {
    groups().get(usize::from(id.0))
}

/// The group that names a host: the host itself, or something above it with `*.`.
#[must_use]
pub fn group_of(host: &Host) -> Option<GroupId> {
    let shipped = Groups::shipped();
    if let Some(id) = shipped.exact.get(host.as_str()) {
        return Some(*id);
    }
    host.suffixes().skip(1).find_map(|above| shipped.below.get(above)).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn name_of(host: &str) -> Option<&'static str> {
        group_of(&Host::parse(host).unwrap()).and_then(group).map(|group| group.name.as_str())
    }

    #[test]
    fn a_star_covers_every_depth_below_and_not_the_name_itself() {
        let cases = [
            ("zoom.us", Some("video-meetings")),
            ("us02web.zoom.us", Some("video-meetings")),
            ("a.b.cloud.zoom.us", Some("video-meetings")),
            ("notzoom.us", None),
            ("windowsupdate.com", None),
            ("x.y.windowsupdate.com", Some("windows-system")),
            ("mesu.apple.com", Some("apple-system")),
            ("sub.mesu.apple.com", None),
            ("apple.com", None),
            ("192.0.2.1", None),
        ];
        for (host, expected) in cases {
            assert_eq!(name_of(host), expected, "{host}");
        }
    }

    #[test]
    fn every_group_says_why_and_who_says_so() {
        for group in groups() {
            assert!(group.reason.len() > 40 && group.source.len() > 20, "{}", group.name);
            assert!(!group.hosts.is_empty(), "{}", group.name);
        }
    }

    #[test]
    fn no_group_lets_a_whole_service_of_messages_or_uploads_pass() {
        for host in [
            "web.whatsapp.com",
            "g.whatsapp.net",
            "chat.signal.org",
            "gateway.discord.gg",
            "i.instagram.com",
            "www.icloud.com",
            "www.apple.com",
            "storage.googleapis.com",
            "commondatastorage.googleapis.com",
            "drive.google.com",
            "www.googleapis.com",
            "anything.microsoft.com",
        ] {
            assert_eq!(name_of(host), None, "{host}");
        }
    }

    #[test]
    fn faults_in_the_file_are_found() {
        let group = |hosts: &str| {
            format!("[[group]]\nname='a'\ntitle='A'\nreason='r'\nsource='s'\nhosts={hosts}\n")
        };
        assert!(Groups::parse(&group("['a.example', '*.a.example']")).is_ok());
        for hosts in ["['A.example']", "['*.com']", "['a.example', 'a.example']", "['a b']", "[1]"]
        {
            assert!(Groups::parse(&group(hosts)).is_err(), "{hosts}");
        }
        assert!(Groups::parse(&format!("{}extra = 1", group("[]"))).is_err());
    }
}
