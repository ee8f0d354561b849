//! The pack as a file (`rules/defaults/circumvention.toml`).

use super::inside::{Gateway, GatewayFile};
use super::marks::{Marks, PathFile, ScriptFile};
use super::{Found, Pack, Place, Technique, certain};
use crate::search::hosts::{Countries, HostTable};
use serde::Deserialize;
use std::collections::HashMap;
use std::net::IpAddr;
use thiserror::Error;

/// Why a pack cannot be used: what is wrong, and where.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct PackError(pub(super) String);

/// One entry that is a way round by itself.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) technique: Technique,
    pub(super) name: String,
    methods: Vec<String>,
}

impl Known {
    pub(super) fn found(&self) -> Found<'_> {
        certain(self.technique, &self.name)
    }

    /// Whether a method is one of its.
    pub(super) fn has_method(&self, method: &str) -> bool {
        self.methods.iter().any(|known| known == method)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    hosts: Vec<HostsFile>,
    paths: Vec<PathFile>,
    methods: Vec<MethodsFile>,
    fields: Vec<FieldsFile>,
    scripts: Vec<ScriptFile>,
    gateways: Vec<GatewayFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostsFile {
    technique: Technique,
    name: String,
    source: String,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    addresses: Vec<IpAddr>,
    #[serde(default)]
    ports: Vec<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodsFile {
    technique: Technique,
    name: String,
    source: String,
    methods: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldsFile {
    technique: Technique,
    name: String,
    source: String,
    fields: Vec<FieldName>,
}

/// The name of a header field, in lower case: one of those that begin with `x-`, since others are not looked at.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct FieldName(String);

impl TryFrom<String> for FieldName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match text.starts_with("x-") && text.bytes().all(is_plain) {
            true => Ok(Self(text)),
            false => {
                Err(format!("{text}: write a field's name that begins with x-, in lower case"))
            }
        }
    }
}

/// Reads a pack.
pub(super) fn parse(text: &str) -> Result<Pack, PackError> {
    let file: File = toml::from_str(text).map_err(|error| PackError(error.to_string()))?;
    let countries = crate::search::countries().map_err(|error| PackError(error.to_string()))?;
    let mut pack = Pack {
        known: Vec::new(),
        gateways: Vec::new(),
        hosts: HostTable::new(),
        addresses: HashMap::new(),
        ports: Vec::new(),
        fields: Vec::new(),
        marks: Marks::default(),
    };
    for entry in file.hosts {
        let place = pack.add_known(entry.technique, entry.name, &entry.source)?;
        if entry.hosts.is_empty() && entry.addresses.is_empty() && entry.ports.is_empty() {
            return Err(pack.wrong(place, "it has no host, address or port"));
        }
        for host in &entry.hosts {
            pack.add_host(host, &countries, place)?;
        }
        pack.addresses.extend(entry.addresses.iter().map(|it| (it.to_canonical(), place)));
        pack.ports.extend(entry.ports.iter().map(|port| (*port, place)));
    }
    for entry in file.methods {
        let place = pack.add_known(entry.technique, entry.name, &entry.source)?;
        pack.known[usize::from(place)].methods = entry.methods;
    }
    for entry in file.fields {
        let place = pack.add_known(entry.technique, entry.name, &entry.source)?;
        pack.fields.extend(entry.fields.into_iter().map(|name| (name.0, place)));
    }
    for entry in file.gateways {
        let place = number(pack.gateways.len())?;
        for pattern in &entry.hosts {
            let value = Place::Gateway(place);
            let added = match entry.hyphens {
                true => pack.hosts.insert_all_of(pattern, value),
                false => pack.hosts.insert(pattern, &countries, value),
            };
            added.map_err(|error| PackError(error.to_string()))?;
        }
        pack.gateways.push(Gateway::new(entry)?);
    }
    pack.marks = Marks::new(file.paths, file.scripts)?;
    Ok(pack)
}

impl Pack {
    fn add_known(
        &mut self,
        technique: Technique,
        name: String,
        source: &str,
    ) -> Result<u16, PackError> {
        if source.trim().is_empty() {
            return Err(PackError(format!("{name}: nobody is named who says so")));
        }
        let place = number(self.known.len())?;
        self.known.push(Known { technique, name, methods: Vec::new() });
        Ok(place)
    }

    /// A host with what is below it; country domains for themselves.
    fn add_host(&mut self, host: &str, countries: &Countries, place: u16) -> Result<(), PackError> {
        let value = Place::Known(place);
        let added = match host.contains('{') {
            true => self.hosts.insert(host, countries, value),
            false => self.hosts.insert_all_of(host, value),
        };
        added.map_err(|error| PackError(error.to_string()))
    }

    fn wrong(&self, place: u16, why: &str) -> PackError {
        PackError(format!("{}: {why}", self.known[usize::from(place)].name))
    }
}

fn number(place: usize) -> Result<u16, PackError> {
    u16::try_from(place).map_err(|_| PackError("more than 65,535 entries".to_owned()))
}
