//! The machine file, `schoolgate.toml`: where things lie, what to listen on, how far the proxy may
//! reach, and every limit.
//!
//! Nothing is guessed: an unknown key, a value out of range or a list named twice is an error with
//! the file's line and what to do. Paths are relative to the file's folder, so that the same file
//! works whatever the current folder is.

mod alerts;
mod file;
mod limits;
mod mail;
mod scanner;
mod show;

pub use alerts::AlertSettings;
pub use limits::Limits;
pub use mail::{MailSettings, MailTls};
pub use scanner::{ScannerPlace, ScannerSettings};

use crate::address::{Reach, reach, unmapped};
use rules::host::Host;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The machine file's usual name.
pub const FILE_NAME: &str = "schoolgate.toml";
/// What a machine file inside the program is called in messages.
const EMBEDDED_NAME: &str = "builtin:schoolgate.toml";

/// Everything the machine file says, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file; `None`: the one inside the program.
    pub file: Option<PathBuf>,
    /// Folder for logs, users and compiled lists.
    pub state: PathBuf,
    /// The school's decisions.
    pub policy: PathBuf,
    /// Folder in which a school may keep its own page words (`en.toml`, `cy.toml`).
    pub text: PathBuf,
    /// What to listen on.
    pub listen: Listen,
    /// How to reach sites.
    pub upstream: Upstream,
    /// Limits on every queue, header, wait and connection count.
    pub limits: Limits,
    /// The log.
    pub log: LogSettings,
    /// The certificate authority.
    pub ca: CaSettings,
    /// Checkpoints.
    pub audit: AuditSettings,
    /// How people are told of alerts.
    pub alerts: AlertSettings,
    /// The server that takes mail; `None`: none is sent.
    pub mail: Option<MailSettings>,
    /// The virus scanner; `None`: there is none, and what the policy wants scanned cannot be.
    pub scanner: Option<ScannerSettings>,
    /// Administrators' sessions.
    pub accounts: AccountSettings,
    /// Where categories come from.
    pub lists: Vec<ListSource>,
    /// Whether this is the file inside the program: demonstration users, starter policy.
    pub demo: bool,
    /// SHA-256 of the file's text, in hex.
    pub hash: String,
}

/// `[listen]`.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Addresses of the proxy; port 0: any free one.
    pub proxy: Vec<SocketAddr>,
    /// Address of /metrics, /healthz and /readyz; `None`: not served.
    pub ops: Option<SocketAddr>,
    /// This proxy's name in `Via`: how it knows its own requests again.
    pub name: String,
    /// Whether requests within tunnels that are looked into bear `Via` too.
    pub via_inside: bool,
    /// Worker threads; `None`: one for each core.
    pub workers: Option<usize>,
}

/// `[upstream]`.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Answers given before DNS; hold for the name alone, not for names below it.
    pub hosts: HashMap<Host, Vec<IpAddr>>,
    /// Names that may lead to loopback or private addresses.
    pub allow_private: Vec<Host>,
    /// Whom sites' certificates are held against.
    pub roots: Roots,
    /// PEM files of authorities trusted besides those.
    pub ca_files: Vec<PathBuf>,
    /// Ports that CONNECT may reach.
    pub connect_ports: PortSet,
    /// Ports that plain HTTP may reach.
    pub http_ports: PortSet,
    /// Of the ports that CONNECT may reach, those where TLS is spoken: what is not TLS there is
    /// refused, and inspection looks inside.
    pub tls_ports: PortSet,
    /// PEM files of certificate revocation lists.
    pub crl_files: Vec<PathBuf>,
}

impl Upstream {
    /// Whether a host is known, without asking DNS, to lead only to addresses that are refused: it is
    /// an address, or `hosts` answers for it.
    #[must_use]
    pub fn leads_inside(&self, host: &Host) -> bool {
        let own = host.address();
        let known = self.hosts.get(host).map_or(own.as_slice(), Vec::as_slice);
        if known.is_empty() {
            return false;
        }
        let is_named = self
            .allow_private
            .iter()
            .any(|allowed| host.suffixes().any(|name| name == allowed.as_str()));
        let is_refused = |address: &IpAddr| match reach(unmapped(*address)) {
            Reach::Public => false,
            Reach::Private => !is_named,
            Reach::Never => true,
        };
        known.iter().all(is_refused)
    }
}

/// The authorities that vouch for sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// Those of the operating system, which its updates keep; where it has none, the built-in ones.
    #[default]
    System,
    /// Those inside the program, as Mozilla had them when it was built.
    BuiltIn,
}

impl Roots {
    /// The word in the machine file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::BuiltIn => "built-in",
        }
    }
}

/// `[log]`.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Longest that a recorded decision waits for the disk itself, in milliseconds; 0: it is on the
    /// disk before it is answered.
    pub sync_interval_ms: u64,
    /// Bytes of journal that may wait to be stored before browsing stops.
    pub max_backlog_bytes: u64,
    /// Also write Squid's native access log here.
    pub squid: Option<PathBuf>,
    /// The same with code, level, reason, categories, unblock, depth and end behind each line.
    pub squid_ext: Option<PathBuf>,
}

/// `[ca]`.
#[derive(Clone, Debug, Default)]
pub struct CaSettings {
    /// File whose first line opens the sealed key; `None`: the systemd credential, if there is one.
    pub passphrase_file: Option<PathBuf>,
}

/// `[audit]`.
#[derive(Clone, Debug, Default)]
pub struct AuditSettings {
    /// Name of the log in its checkpoints; `None`: made from the school's at the first start.
    pub origin: Option<String>,
    /// Files, on other disks, that get every checkpoint too.
    pub copy_to: Vec<PathBuf>,
    /// Address that every checkpoint is posted to.
    pub webhook: Option<url::Url>,
    /// Who gets the first checkpoint of each day by mail.
    pub mail_to: Vec<lettre::message::Mailbox>,
}

impl AuditSettings {
    /// Whether checkpoints are kept on this machine alone.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.copy_to.is_empty() && self.webhook.is_none() && self.mail_to.is_empty()
    }
}

/// `[accounts]`. Commands read it afresh; a running filter does not need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// Minutes without use after which a session of the command line ends.
    pub session_idle_minutes: u64,
    /// Hours after which it ends in any case.
    pub session_max_hours: u64,
}

impl Default for AccountSettings {
    fn default() -> Self {
        Self { session_idle_minutes: 15, session_max_hours: 8 }
    }
}

/// One `[[lists]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListSource {
    /// Name, unique.
    pub name: String,
    /// Category that its entries have.
    pub category: String,
    /// Where it comes from.
    pub origin: ListOrigin,
    /// Its licence, shown by `lists status`.
    pub licence: Option<String>,
    /// Syntax of its file; `None`: guessed.
    pub format: Option<categorizer::list::Format>,
    /// Whether entries may be whole public suffixes such as `co.uk`.
    pub allow_public_suffixes: bool,
    /// Folder inside a tar file; `None`: the one folder that it holds.
    pub member: Option<String>,
    /// Hours between looks at a URL; 0: only on `lists update`.
    pub refresh_hours: u64,
    /// Most bytes that may be downloaded.
    pub max_download_bytes: u64,
    /// Most bytes after unpacking.
    pub max_unpacked_bytes: u64,
    /// Whether a new version that would block sites seen last week waits for a person.
    pub hold_if_seen: bool,
}

/// Where a list comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListOrigin {
    /// A squidGuard folder or a file; plain, gz or tar.gz.
    Path(PathBuf),
    /// A starter list inside the program, by category.
    Builtin(String),
    /// Fetched; https, or http for a host in `allow_private`.
    Url(url::Url),
}

/// Ports as ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSet {
    ranges: Vec<(u16, u16)>,
}

impl PortSet {
    /// Whether the set holds a port.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }

    /// The ranges, both ends included.
    #[must_use]
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }
}

impl PortSet {
    /// Where CONNECT may go: https, and the port on which schools' own https services often stand.
    #[must_use]
    pub fn usual_connect() -> Self {
        Self { ranges: vec![(443, 443), (8443, 8443)] }
    }

    /// Where plain HTTP may go: web servers stand on 80 and on unprivileged ports. The others speak
    /// mail, names and log-ins, and a request can be written that they take for their own.
    #[must_use]
    pub fn usual_http() -> Self {
        Self { ranges: vec![(80, 80), (443, 443), (1024, u16::MAX)] }
    }
}

impl std::fmt::Display for PortSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// Why the machine file cannot be used. Exit status 3.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// File.
        file: String,
        /// Cause.
        source: std::io::Error,
    },
    /// What the file says, all faults in its order.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<ConfigFault>),
}

/// One fault in the machine file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// `schoolgate.toml:26`.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl std::fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}\n  fix: {}", self.place, self.what, self.fix)
    }
}

impl ConfigError {
    /// The faults, the unreadable file as one: each with place, what and fix.
    #[must_use]
    pub fn faults(&self) -> Vec<ConfigFault> {
        match self {
            ConfigError::Faults(faults) => faults.clone(),
            ConfigError::Read { file, source } => vec![ConfigFault {
                place: file.clone(),
                what: source.to_string(),
                fix: "check the path given to --config, and that this user may read it".to_owned(),
            }],
        }
    }
}

impl Config {
    /// Reads the machine file: the one given, else `./schoolgate.toml`, else the one inside the
    /// program, whose paths are relative to the current folder.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault found.
    pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
        let usual = Path::new(FILE_NAME);
        let Some(path) = path.or_else(|| Some(usual).filter(|path| path.is_file())) else {
            return Self::embedded(Path::new(""));
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { file: name.clone(), source })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut config = Self::parse(&text, &name, folder)?;
        config.file = Some(path.to_owned());
        Ok(config)
    }

    /// The machine file inside the program, with paths relative to `folder`.
    ///
    /// # Errors
    /// [`ConfigError`]; a test keeps the shipped file free of faults.
    pub fn embedded(folder: &Path) -> Result<Config, ConfigError> {
        let mut config = Self::parse(rules::defaults::MACHINE, EMBEDDED_NAME, folder)?;
        config.demo = true;
        Ok(config)
    }

    /// Like [`Config::parse`], with the lists of the text alone: for tests that count lists.
    #[cfg(test)]
    pub(crate) fn parse_own_lists(
        text: &str,
        file: &str,
        folder: &Path,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::parse(text, file, folder)?;
        config.lists.retain(|list| !list.name.starts_with("always-"));
        Ok(config)
    }

    /// Reads the text of a machine file; `name` stands in messages, `folder` is where relative
    /// paths start.
    ///
    /// # Errors
    /// [`ConfigError::Faults`].
    pub fn parse(text: &str, name: &str, folder: &Path) -> Result<Config, ConfigError> {
        file::read(text, name, folder).map_err(ConfigError::Faults)
    }

    /// The keys whose values in effect differ from another machine file's, as `listen.proxy`; the
    /// lists are not compared.
    #[must_use]
    pub fn differences(&self, other: &Config) -> Vec<String> {
        show::differences(self, other)
    }

    /// The values in effect, defaults included, as a machine file: `config show`.
    #[must_use]
    pub fn show(&self) -> String {
        show::show(self)
    }
}

#[cfg(test)]
mod tests;
