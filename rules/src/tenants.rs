//! Services that can be kept to a school's own accounts: the headers that tell them which.
//!
//! The services and their headers are shipped (`rules/defaults/tenant_restrictions.toml`), the values come
//! from `[tenants]` of the policy. A value goes into a header as it is written, so each is checked for its
//! kind, and none can hold a line end, a comma or more than [`MAX_VALUE_BYTES`].

#[cfg(test)]
mod tests;

use crate::defaults::TENANT_RESTRICTIONS;
use crate::host::Host;
use crate::search::hosts::{Countries, HostTable};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 253;
/// Most values of one key: what the services themselves allow is 20 (GitHub) and more.
pub const MAX_VALUES: usize = 100;

/// A service that can be restricted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The key in `[tenants]`.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// Whose requests get the headers: `a.example` alone, or `*.a.example` for everything below it.
    pub hosts: Vec<String>,
    /// What the policy gives; nothing where it only says "block".
    #[serde(default)]
    pub values: Vec<ValueKey>,
    /// What is sent.
    pub headers: Vec<HeaderTemplate>,
    /// Hosts that have to be inspected for it to work.
    #[serde(default)]
    pub sign_in: Vec<String>,
    /// Whether documentation of its maker was found.
    #[serde(default = "yes")]
    pub confirmed: bool,
    /// Who says so.
    pub source: String,
    /// What to know before using it.
    pub note: Option<String>,
}

fn yes() -> bool {
    true
}

/// A value that the policy gives.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueKey {
    /// Its key.
    pub key: String,
    /// What it is.
    pub kind: ValueKind,
    /// Whether a list is allowed.
    #[serde(default)]
    pub many: bool,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueKind {
    /// A domain name.
    Domain,
    /// 32 hexadecimal digits in five groups.
    Guid,
    /// Either.
    DomainOrGuid,
    /// Letters, digits, `-` and `_`, 1 to 64.
    Id,
    /// Visible ASCII without commas, semicolons and quotes, 1 to 128.
    Label,
}

impl ValueKind {
    /// Whether a text is of this kind.
    #[must_use]
    pub fn fits(self, text: &str) -> bool {
        let is_word = |most: usize, is_part: fn(u8) -> bool| {
            (1..=most).contains(&text.len()) && text.bytes().all(is_part)
        };
        match self {
            Self::Domain => Host::parse(text).is_ok_and(|host| {
                host.as_str() == text && host.registrable().is_some() && text.contains('.')
            }),
            Self::Guid => {
                let groups: Vec<&str> = text.split('-').collect();
                groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
                    && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
            }
            Self::DomainOrGuid => Self::Domain.fits(text) || Self::Guid.fits(text),
            Self::Id => {
                is_word(64, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            }
            Self::Label => is_word(128, |byte| {
                byte.is_ascii_graphic() && !matches!(byte, b',' | b';' | b'"' | b'\\')
            }),
        }
    }

    /// What it is, for a message, with an example.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Domain => "a domain, like \"school.example\"",
            Self::Guid => "an identifier, like \"01234567-89ab-cdef-0123-456789abcdef\"",
            Self::DomainOrGuid => "a domain or an identifier, like \"school.example\"",
            Self::Id => "an identifier, like \"T0123456\"",
            Self::Label => "a label, like \"abc-123\"",
        }
    }
}

/// A header; `{key}` in its value stands for the policy's values of that key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderTemplate {
    /// Name, in the case that the service documents.
    pub name: String,
    /// Value.
    pub value: String,
}

impl HeaderTemplate {
    fn filled(&self, values: &BTreeMap<String, Vec<String>>) -> String {
        let fill = |text: String, (key, values): (&String, &Vec<String>)| {
            text.replace(&format!("{{{key}}}"), &values.join(","))
        };
        values.iter().fold(self.value.clone(), fill)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    service: Vec<Service>,
}

fn parse(text: &str) -> Result<Vec<Service>, String> {
    let File { service: services } = toml::from_str(text).map_err(|error| error.to_string())?;
    for (place, service) in services.iter().enumerate() {
        let wrong = |why: &str| Err(format!("service {}: {why}", service.name));
        if services[..place].iter().any(|other| other.name == service.name) {
            return wrong("there twice");
        }
        let mut hosts = HostTable::new();
        for host in &service.hosts {
            hosts.insert(host, &Countries::new(), ()).map_err(|error| error.to_string())?;
        }
        if service.hosts.is_empty() || service.headers.is_empty() {
            return wrong("it has hosts and headers");
        }
        for header in &service.headers {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            let mut rest = header.value.clone();
            for value in &service.values {
                rest = rest.replace(&format!("{{{}}}", value.key), "");
            }
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':');
            if header.name.is_empty()
                || !header.name.bytes().all(is_token)
                || !rest.bytes().all(is_plain)
            {
                return wrong("a header's name or value holds what no header has");
            }
        }
        let is_used = |value: &ValueKey| {
            service
                .headers
                .iter()
                .any(|header| header.value.contains(&format!("{{{}}}", value.key)))
        };
        if !service.values.iter().all(is_used) {
            return wrong("no header has one of its values");
        }
    }
    Ok(services)
}

/// The shipped services.
///
/// # Panics
/// Never in a build that passed its tests: the file is part of the program.
#[must_use]
pub fn services() -> &'static [Service] {
    static SHIPPED: OnceLock<Vec<Service>> = OnceLock::new();
    SHIPPED.get_or_init(|| match parse(TENANT_RESTRICTIONS) {
        Ok(services) => services,
        Err(error) => panic!("the shipped tenant restrictions do not parse: {error}"),
    })
}

/// A service by its key in `[tenants]`.
#[must_use]
pub fn service(name: &str) -> Option<&'static Service> {
    services().iter().find(|service| service.name == name)
}

/// What a policy says of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restriction {
    /// The service.
    pub service: String,
    /// Values by key, each of its kind.
    pub values: BTreeMap<String, Vec<String>>,
}

/// `[tenants]`, ready for looking up.
#[derive(Clone, Debug)]
pub struct Tenants {
    restrictions: Vec<Restriction>,
    headers: Vec<(String, String)>,
    /// Places in `headers`.
    hosts: HostTable<u16>,
}

impl Default for Tenants {
    fn default() -> Self {
        Self { restrictions: Vec::new(), headers: Vec::new(), hosts: HostTable::new() }
    }
}

impl Tenants {
    /// Makes the headers of restrictions whose values have been checked. One of a service that is not
    /// shipped has none.
    #[must_use]
    pub(crate) fn new(restrictions: Vec<Restriction>) -> Self {
        let mut tenants = Self::default();
        for restriction in &restrictions {
            for header in
                service(&restriction.service).map(|it| &it.headers[..]).unwrap_or_default()
            {
                let Ok(place) = u16::try_from(tenants.headers.len()) else { continue };
                tenants.headers.push((header.name.clone(), header.filled(&restriction.values)));
                for host in
                    &service(&restriction.service).map(|it| it.hosts.clone()).unwrap_or_default()
                {
                    // The shipped hosts have been read before.
                    let _ = tenants.hosts.insert(host, &Countries::new(), place);
                }
            }
        }
        tenants.restrictions = restrictions;
        tenants
    }

    /// What the policy says, in the order of the file.
    #[must_use]
    pub fn restrictions(&self) -> &[Restriction] {
        &self.restrictions
    }

    /// The headers for requests to a host, name and value: each comes in place of every field of its name
    /// that the client sent.
    pub fn headers(&self, host: &Host) -> impl Iterator<Item = (&str, &str)> {
        let mut places: Vec<u16> = Vec::new();
        if !self.headers.is_empty() {
            // A host may be named by two patterns of a service.
            places.extend(self.hosts.covering(host));
            places.sort_unstable();
            places.dedup();
        }
        places.into_iter().map(|place| {
            let (name, value) = &self.headers[usize::from(place)];
            (&**name, &**value)
        })
    }
}
