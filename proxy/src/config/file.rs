//! From the text of a machine file to a checked [`Config`].

use super::alerts::RawAlerts;
use super::limits::RawLimits;
use super::mail::RawMail;
use super::scanner::RawScanner;
use super::{
    AccountSettings, AuditSettings, CaSettings, Config, ConfigFault, ListOrigin, ListSource,
    Listen, LogSettings, PortSet, Roots, Upstream,
};
use categorizer::list::Format;
use rules::host::Host;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use toml::Spanned;

/// Starter lists that are in force whatever the file names: without them the self-test names of the
/// locked categories would open, and a school that blocks uncategorised sites would block Childline.
const ALWAYS: [&str; 4] = ["csam", "terrorism", "illegal", "health-help"];

fn always(name: String, category: &str, origin: ListOrigin) -> ListSource {
    ListSource {
        name,
        category: category.to_owned(),
        origin,
        licence: Some("Apache-2.0".to_owned()),
        format: None,
        allow_public_suffixes: false,
        member: None,
        refresh_hours: 24,
        max_download_bytes: MIB,
        max_unpacked_bytes: MIB,
        hold_if_seen: false,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(default = "usual_state")]
    state: String,
    #[serde(default = "usual_policy")]
    policy: String,
    text: Option<String>,
    #[serde(default)]
    listen: RawListen,
    #[serde(default)]
    upstream: RawUpstream,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    log: RawLog,
    #[serde(default)]
    ca: RawCa,
    #[serde(default)]
    audit: RawAudit,
    #[serde(default)]
    alerts: RawAlerts,
    mail: Option<RawMail>,
    virus_scan: Option<Spanned<RawScanner>>,
    #[serde(default)]
    accounts: RawAccounts,
    #[serde(default)]
    lists: Vec<RawList>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawListen {
    proxy: Option<Spanned<Vec<Spanned<String>>>>,
    ops: Option<Spanned<String>>,
    name: Option<Spanned<String>>,
    via_inside: bool,
    workers: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawUpstream {
    hosts: BTreeMap<Spanned<String>, Spanned<OneOrMany>>,
    allow_private: Vec<Spanned<String>>,
    roots: Option<Spanned<String>>,
    ca_files: Vec<String>,
    connect_ports: Option<Spanned<Vec<Spanned<PortText>>>>,
    http_ports: Option<Spanned<Vec<Spanned<PortText>>>>,
    tls_ports: Option<Spanned<Vec<Spanned<PortText>>>>,
    crl_files: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an address such as \"10.0.0.5\", or an array of them")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a port such as 443, or a range such as \"8000-8100\"")]
enum PortText {
    Number(i64),
    Range(String),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLog {
    sync_interval_ms: Option<Spanned<u64>>,
    max_backlog_bytes: Option<Spanned<u64>>,
    squid: Option<Spanned<String>>,
    squid_ext: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawCa {
    passphrase_file: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawAudit {
    origin: Option<Spanned<String>>,
    copy_to: Vec<Spanned<String>>,
    webhook: Option<Spanned<String>>,
    mail_to: Vec<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawAccounts {
    session_idle_minutes: Option<Spanned<u64>>,
    session_max_hours: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawList {
    name: Spanned<String>,
    category: Spanned<String>,
    path: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
    licence: Option<String>,
    format: Option<Spanned<String>>,
    #[serde(default)]
    allow_public_suffixes: bool,
    member: Option<Spanned<String>>,
    refresh_hours: Option<Spanned<u64>>,
    max_download_bytes: Option<Spanned<u64>>,
    max_unpacked_bytes: Option<Spanned<u64>>,
    hold_if_seen: Option<bool>,
}

fn usual_state() -> String {
    "state".to_owned()
}

fn usual_policy() -> String {
    "policy.toml".to_owned()
}

const USUAL_PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3128);
const MAX_WORKERS: u64 = 1_024;
/// Longest that a session may rest, in minutes: a machine left alone is found by somebody else.
const MAX_IDLE_MINUTES: u64 = 60;
/// Longest session, in hours: a working day.
const MAX_SESSION_HOURS: u64 = 12;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

pub(super) const FORMATS: [(&str, Format); 8] = [
    ("plain", Format::Plain),
    ("hosts", Format::Hosts),
    ("wildcard", Format::Wildcard),
    ("adblock", Format::Adblock),
    ("dnsmasq", Format::Dnsmasq),
    ("unbound", Format::Unbound),
    ("urls", Format::Urls),
    ("expressions", Format::Expressions),
];

/// Reads a machine file; the faults come in the order of their lines.
pub(super) fn read(text: &str, name: &str, folder: &Path) -> Result<Config, Vec<ConfigFault>> {
    let mut reader = Reader { text, name, folder, faults: Vec::new() };
    let raw: RawConfig = toml::from_str(text).map_err(|error| vec![reader.syntax_fault(&error)])?;
    let limits = raw.limits.check(&mut |span, what, fix| reader.fault(span, what, fix));
    let listen = reader.listen(&raw.listen);
    let upstream = reader.upstream(&raw.upstream);
    let log = reader.log(&raw.log);
    let mail = raw.mail.as_ref().and_then(|raw| {
        super::mail::read(raw, folder, &mut |span, what, fix| reader.fault(span, what, &fix))
    });
    let scanner = raw.virus_scan.as_ref().and_then(|raw| {
        super::scanner::read(raw, folder, &mut |span, what, fix| reader.fault(span, what, &fix))
    });
    let audit = reader.audit(&raw.audit, raw.mail.is_some(), &upstream.allow_private);
    let alerts = reader.alerts(&raw.alerts, raw.mail.is_some(), &upstream.allow_private);
    let accounts = reader.accounts(&raw.accounts);
    let lists = reader.lists(&raw.lists, &upstream.allow_private);
    if !reader.faults.is_empty() {
        reader.faults.sort_by_key(|(line, _)| *line);
        return Err(reader.faults.into_iter().map(|(_, fault)| fault).collect());
    }
    Ok(Config {
        file: None,
        state: folder.join(&raw.state),
        policy: folder.join(&raw.policy),
        text: folder.join(raw.text.as_deref().unwrap_or("text")),
        listen,
        upstream,
        limits,
        log,
        ca: CaSettings { passphrase_file: raw.ca.passphrase_file.map(|file| folder.join(file)) },
        audit,
        alerts,
        mail,
        scanner,
        accounts,
        lists,
        demo: false,
        hash: crate::lists::hex(&Sha256::digest(text)),
    })
}

/// Gathers faults with their lines.
pub(super) struct Reader<'a> {
    text: &'a str,
    name: &'a str,
    folder: &'a Path,
    faults: Vec<(usize, ConfigFault)>,
}

impl Reader<'_> {
    pub(super) fn fault(
        &mut self,
        span: Range<usize>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let line = self.line(span.start);
        let place = format!("{}:{line}", self.name);
        self.faults.push((line, ConfigFault { place, what: what.into(), fix: fix.into() }));
    }

    fn line(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    }

    /// The parser's own complaint, with the nearest known word for an unknown key.
    fn syntax_fault(&self, error: &toml::de::Error) -> ConfigFault {
        let place = match error.span() {
            Some(span) => format!("{}:{}", self.name, self.line(span.start)),
            None => self.name.to_owned(),
        };
        let message = error.message().trim().replace('\n', "; ");
        let mut words = message.split('`').skip(1).step_by(2);
        if message.starts_with("unknown field")
            && let Some(given) = words.next()
        {
            let known: Vec<&str> = words.collect();
            let fix = match nearest(given, known.iter().copied()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("remove it; known here are {}", known.join(", ")),
            };
            return ConfigFault { place, what: format!("no key is called `{given}`"), fix };
        }
        if let Some(key) = message.strip_prefix("missing field ") {
            let (what, fix) = (format!("{key} is missing"), format!("add {key} to this table"));
            return ConfigFault { place, what, fix };
        }
        let fix = match message.split_once("expected ") {
            Some((_, expected)) => format!("give {expected} here"),
            None => "write it as TOML; deploy/schoolgate.toml shows every key".to_owned(),
        };
        ConfigFault { place, what: message, fix }
    }

    fn listen(&mut self, raw: &RawListen) -> Listen {
        let mut proxy = Vec::new();
        for text in raw.proxy.iter().flat_map(|list| list.get_ref()) {
            if let Some(address) = self.address(text) {
                if address.port() != 0 && proxy.contains(&address) {
                    self.fault(text.span(), format!("{address} stands twice"), "remove one");
                }
                proxy.push(address);
            }
        }
        match &raw.proxy {
            None => proxy.push(USUAL_PROXY),
            Some(list) if list.get_ref().is_empty() => self.fault(
                list.span(),
                "the proxy listens on nothing",
                "give at least one address, such as \"127.0.0.1:3128\"",
            ),
            Some(_) => {}
        }
        let ops = raw.ops.as_ref().and_then(|text| Some((self.address(text)?, text.span())));
        if let Some((address, span)) = &ops
            && address.port() != 0
            && proxy.contains(address)
        {
            let what = format!("{address} is the proxy's own address already");
            self.fault(span.clone(), what, "give `ops` another port, such as 3190");
        }
        Listen {
            proxy,
            ops: ops.map(|(address, _)| address),
            name: self.via_name(raw.name.as_ref()),
            via_inside: raw.via_inside,
            workers: raw.workers.as_ref().map(|workers| {
                self.in_range("workers", workers, 1..=MAX_WORKERS, "leave it out for one a core")
                    as usize
            }),
        }
    }

    fn address(&mut self, text: &Spanned<String>) -> Option<SocketAddr> {
        let parsed = text.get_ref().parse();
        if parsed.is_err() {
            let fix = "write it like \"127.0.0.1:3128\", \"0.0.0.0:3128\" or \"[::]:3128\"";
            self.fault(text.span(), format!("{:?} is no address and port", text.get_ref()), fix);
        }
        parsed.ok()
    }

    /// RFC 9110, 7.6.3: a pseudonym in `Via` is a token.
    fn via_name(&mut self, name: Option<&Spanned<String>>) -> String {
        let Some(name) = name else { return "schoolgate".to_owned() };
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.get_ref().is_empty()
            || name.get_ref().len() > 64
            || !name.get_ref().bytes().all(token)
        {
            let what = format!("{:?} cannot be this proxy's name", name.get_ref());
            self.fault(name.span(), what, "use 1 to 64 letters, digits, dots and hyphens");
        }
        name.get_ref().clone()
    }

    fn upstream(&mut self, raw: &RawUpstream) -> Upstream {
        let mut hosts = HashMap::new();
        for (name, addresses) in &raw.hosts {
            let texts = match addresses.get_ref() {
                OneOrMany::One(text) => std::slice::from_ref(text),
                OneOrMany::Many(texts) => texts,
            };
            let mut answers = Vec::new();
            for text in texts {
                match text.parse::<IpAddr>() {
                    Ok(address) => answers.push(address),
                    Err(_) => self.fault(
                        addresses.span(),
                        format!("{text:?} is no IP address"),
                        "write it like \"127.0.0.1\" or \"::1\", without a port",
                    ),
                }
            }
            if texts.is_empty() {
                let what = format!("{} has no address", name.get_ref());
                self.fault(addresses.span(), what, "give one, or remove the line");
            }
            let Some(host) = self.host(name) else { continue };
            if host.address().is_some() {
                let what = format!("{host} is an address already");
                self.fault(name.span(), what, "give a name; addresses are never looked up");
            } else if hosts.insert(host, answers).is_some() {
                let what = format!("{} stands twice", name.get_ref());
                self.fault(name.span(), what, "give its addresses as one array");
            }
        }
        let allow_private = raw.allow_private.iter().filter_map(|name| self.host(name)).collect();
        let mut ports = |given: &Option<_>, usual| match given {
            None => usual,
            Some(list) => self.ports(list),
        };
        let connect_ports = ports(&raw.connect_ports, PortSet::usual_connect());
        let http_ports = ports(&raw.http_ports, PortSet::usual_http());
        let tls_ports = ports(&raw.tls_ports, PortSet::usual_connect());
        let roots = match &raw.roots {
            None => Roots::default(),
            Some(word) => self.roots(word),
        };
        let files = |files: &[String]| files.iter().map(|file| self.folder.join(file)).collect();
        let (ca_files, crl_files) = (files(&raw.ca_files), files(&raw.crl_files));
        Upstream {
            hosts,
            allow_private,
            roots,
            ca_files,
            connect_ports,
            http_ports,
            tls_ports,
            crl_files,
        }
    }

    fn roots(&mut self, word: &Spanned<String>) -> Roots {
        let known = [Roots::System, Roots::BuiltIn];
        let found = known.into_iter().find(|roots| roots.as_str() == word.get_ref());
        found.unwrap_or_else(|| {
            let what = format!("{:?} are no roots", word.get_ref());
            self.fault(word.span(), what, "write \"system\" or \"built-in\"");
            Roots::default()
        })
    }

    fn host(&mut self, name: &Spanned<String>) -> Option<Host> {
        let parsed = Host::parse(name.get_ref());
        if let Err(why) = &parsed {
            let what = format!("{:?} is no host: {why}", name.get_ref());
            self.fault(
                name.span(),
                what,
                "write a name such as origin.test, without scheme or port",
            );
        }
        parsed.ok()
    }

    fn ports(&mut self, list: &Spanned<Vec<Spanned<PortText>>>) -> PortSet {
        let mut ranges = Vec::new();
        for item in list.get_ref() {
            let (text, range) = match item.get_ref() {
                PortText::Number(number) => {
                    (number.to_string(), u16::try_from(*number).ok().map(|port| (port, port)))
                }
                PortText::Range(text) => (format!("{text:?}"), port_range(text)),
            };
            match range.filter(|(first, last)| 1 <= *first && first <= last) {
                Some(range) => ranges.push(range),
                None => self.fault(
                    item.span(),
                    format!("{text} is no port or range of ports"),
                    "write a number from 1 to 65535, or a range such as \"8000-8100\"",
                ),
            }
        }
        PortSet { ranges }
    }

    fn log(&mut self, raw: &RawLog) -> LogSettings {
        let usual = "leave it out for the usual value";
        if let (Some(one), Some(other)) = (&raw.squid, &raw.squid_ext)
            && one.get_ref() == other.get_ref()
        {
            let what = "squid and squid_ext are one file";
            self.fault(other.span(), what, "give each a file of its own");
        }
        let path = |path: &Option<Spanned<String>>| {
            path.as_ref().map(|path| self.folder.join(path.get_ref()))
        };
        let (squid, squid_ext) = (path(&raw.squid), path(&raw.squid_ext));
        let mut number = |name, value: &Option<Spanned<u64>>, range, default| {
            value.as_ref().map_or(default, |value| self.in_range(name, value, range, usual))
        };
        LogSettings {
            sync_interval_ms: number("sync_interval_ms", &raw.sync_interval_ms, 0..=60_000, 1_000),
            max_backlog_bytes: number(
                "max_backlog_bytes",
                &raw.max_backlog_bytes,
                MIB..=1_024 * GIB,
                GIB,
            ),
            squid,
            squid_ext,
        }
    }

    fn audit(&mut self, raw: &RawAudit, mails: bool, allow_private: &[Host]) -> AuditSettings {
        if let Some(first) = raw.mail_to.first().filter(|_| !mails) {
            let fix = "add [mail] with the server that takes it";
            self.fault(first.span(), "there is no server to send mail by", fix);
        }
        if let Some(origin) = &raw.origin
            && !ledger::evidence::key::is_origin(origin.get_ref())
        {
            let what = format!("{:?} cannot be a log's origin", origin.get_ref());
            let fix =
                "use letters, digits, hyphens, dots and slashes, as in \"school.example/filter\"";
            self.fault(origin.span(), what, fix);
        }
        for copy in raw.copy_to.iter().filter(|copy| copy.get_ref().is_empty()) {
            let fix = "give a file on another disk, as in \"/mnt/backup/checkpoints\"";
            self.fault(copy.span(), "the name of a copy is empty", fix);
        }
        AuditSettings {
            origin: raw.origin.as_ref().map(|origin| origin.get_ref().clone()),
            copy_to: raw.copy_to.iter().map(|copy| self.folder.join(copy.get_ref())).collect(),
            webhook: raw.webhook.as_ref().and_then(|url| {
                let what = "a checkpoint is sent over https alone";
                self.webhook(url, allow_private, what, "https://hooks.example.org/checkpoints")
            }),
            mail_to: (raw.mail_to.iter())
                .filter_map(|to| {
                    super::mail::mailbox(to, &mut |span, what, fix| self.fault(span, what, &fix))
                })
                .collect(),
        }
    }

    /// An address that something is posted to; `https_alone` is the fault where it is not kept secret on
    /// its way.
    pub(super) fn webhook(
        &mut self,
        text: &Spanned<String>,
        allow_private: &[Host],
        https_alone: &str,
        example: &str,
    ) -> Option<url::Url> {
        let fix = format!("give an address such as {example}");
        let Ok(url) = url::Url::parse(text.get_ref()) else {
            self.fault(text.span(), "the webhook is no URL", fix);
            return None;
        };
        let is_safe = match url.scheme() {
            "https" => true,
            "http" => crate::lists::is_inside(&url, allow_private),
            _ => false,
        };
        if !is_safe || url.host_str().is_none() {
            self.fault(text.span(), https_alone, fix);
            return None;
        }
        Some(url)
    }

    fn accounts(&mut self, raw: &RawAccounts) -> AccountSettings {
        let usual = AccountSettings::default();
        let mut bounded = |name, value: &Option<Spanned<u64>>, most, usual| match value {
            None => usual,
            Some(value) => self.in_range(name, value, 1..=most, "leave it out for the usual one"),
        };
        let session_idle_minutes = bounded(
            "session_idle_minutes",
            &raw.session_idle_minutes,
            MAX_IDLE_MINUTES,
            usual.session_idle_minutes,
        );
        let session_max_hours = bounded(
            "session_max_hours",
            &raw.session_max_hours,
            MAX_SESSION_HOURS,
            usual.session_max_hours,
        );
        AccountSettings { session_idle_minutes, session_max_hours }
    }

    fn in_range(
        &mut self,
        name: &str,
        value: &Spanned<u64>,
        range: std::ops::RangeInclusive<u64>,
        fix: &str,
    ) -> u64 {
        let given = *value.get_ref();
        if !range.contains(&given) {
            let (first, last) = (range.start(), range.end());
            let what = format!("{name} lies between {first} and {last}, and is {given} here");
            self.fault(value.span(), what, fix);
        }
        given
    }

    fn lists(&mut self, raw: &[RawList], allow_private: &[Host]) -> Vec<ListSource> {
        let mut lines: HashMap<String, usize> = HashMap::new();
        let mut lists = Vec::new();
        for list in raw {
            let line = self.line(list.name.span().start);
            let name = list.name.get_ref();
            // Names differ in more than case: each is a folder, and some disks ignore case.
            if let Some(first) = lines.insert(name.to_lowercase(), line) {
                let what = format!("a list called {name:?} stands on line {first} already");
                self.fault(list.name.span(), what, "give each list a name of its own");
            }
            let read = self.list(list, allow_private);
            let is_other = |read: &ListSource| {
                let own = ListOrigin::Builtin(read.category.clone());
                read.origin != own || *name != format!("always-{}", read.category)
            };
            if ALWAYS.iter().any(|category| *name == format!("always-{category}"))
                && read.as_ref().is_some_and(is_other)
            {
                let what = format!("{name:?} is the name of a list of the filter's own");
                self.fault(list.name.span(), what, "give the list another name");
            }
            lists.extend(read);
        }
        for category in ALWAYS {
            let builtin = ListOrigin::Builtin(category.to_owned());
            let name = format!("always-{category}");
            let there = lists
                .iter()
                .any(|list: &ListSource| list.origin == builtin && list.category == category);
            lists.extend((!there).then(|| always(name, category, builtin)));
        }
        lists
    }

    fn list(&mut self, raw: &RawList, allow_private: &[Host]) -> Option<ListSource> {
        let before = self.faults.len();
        if !is_list_name(raw.name.get_ref()) {
            let what = format!("{:?} cannot be a list's name", raw.name.get_ref());
            let fix = "use 1 to 64 letters, digits, hyphens, dots and underscores, a letter or digit first";
            self.fault(raw.name.span(), what, fix);
        }
        if !is_category_name(raw.category.get_ref()) {
            let what = format!("{:?} cannot be a category", raw.category.get_ref());
            let fix = "use lower-case letters, digits and hyphens, 1 to 40 long";
            self.fault(raw.category.span(), what, fix);
        }
        let origin = self.origin(raw, allow_private)?;
        let format = raw.format.as_ref().and_then(|text| self.format(text));
        if let Some(member) = &raw.member
            && (member.get_ref().starts_with('/')
                || member.get_ref().split('/').any(|part| part == ".."))
        {
            let fix = "give the folder's name inside the tar file, such as \"games\"";
            self.fault(member.span(), "member leads out of the tar file", fix);
        }
        let usual = "leave it out for the usual value";
        let mut number = |name, value: &Option<Spanned<u64>>, range, default| {
            value.as_ref().map_or(default, |value| self.in_range(name, value, range, usual))
        };
        let refresh_hours = number("refresh_hours", &raw.refresh_hours, 0..=8_760, 24);
        let max_download_bytes =
            number("max_download_bytes", &raw.max_download_bytes, 1..=4 * GIB, 200 * MIB);
        let max_unpacked_bytes =
            number("max_unpacked_bytes", &raw.max_unpacked_bytes, 1..=4 * GIB, GIB);
        (self.faults.len() == before).then(|| ListSource {
            name: raw.name.get_ref().clone(),
            category: raw.category.get_ref().clone(),
            origin,
            licence: raw.licence.clone(),
            format,
            allow_public_suffixes: raw.allow_public_suffixes,
            member: raw.member.as_ref().map(|member| member.get_ref().clone()),
            refresh_hours,
            max_download_bytes,
            max_unpacked_bytes,
            hold_if_seen: raw.hold_if_seen.unwrap_or(true),
        })
    }

    fn origin(&mut self, raw: &RawList, allow_private: &[Host]) -> Option<ListOrigin> {
        let name = raw.name.get_ref();
        match (&raw.path, &raw.url) {
            (Some(path), None) => match path.get_ref().strip_prefix("builtin:") {
                None => Some(ListOrigin::Path(self.folder.join(path.get_ref()))),
                Some(builtin) if rules::defaults::list(builtin).is_some() => {
                    Some(ListOrigin::Builtin(builtin.to_owned()))
                }
                Some(builtin) => {
                    let known = rules::defaults::LISTS.iter().map(|(name, _)| *name);
                    let fix = match nearest(builtin, known) {
                        Some(word) => format!("did you mean \"builtin:{word}\"?"),
                        None => "give the path of a list file or folder".to_owned(),
                    };
                    self.fault(path.span(), format!("no starter list is called {builtin:?}"), fix);
                    None
                }
            },
            (None, Some(url)) => self.url(url, allow_private).map(ListOrigin::Url),
            (Some(_), Some(url)) => {
                let what = format!("list {name:?} has a path and a url");
                self.fault(url.span(), what, "keep one of them");
                None
            }
            (None, None) => {
                let what = format!("list {name:?} has neither a path nor a url");
                self.fault(
                    raw.name.span(),
                    what,
                    "add path = \"FOLDER OR FILE\" or url = \"https://...\"",
                );
                None
            }
        }
    }

    fn url(&mut self, text: &Spanned<String>, allow_private: &[Host]) -> Option<url::Url> {
        let fix = "give an address such as https://lists.example.org/games.tar.gz";
        let Ok(url) = url::Url::parse(text.get_ref()) else {
            self.fault(text.span(), format!("{:?} is no URL", text.get_ref()), fix);
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.fault(text.span(), "the URL holds a user name or password", fix);
            return None;
        }
        match url.scheme() {
            "https" => Some(url),
            // Anybody on the way could change a list fetched over plain http.
            "http" if crate::lists::is_inside(&url, allow_private) => Some(url),
            _ => {
                self.fault(text.span(), "a list is fetched over https alone", fix);
                None
            }
        }
    }

    fn format(&mut self, text: &Spanned<String>) -> Option<Format> {
        let found = FORMATS.iter().find(|(name, _)| name == text.get_ref());
        if found.is_none() {
            let names = FORMATS.iter().map(|(name, _)| *name);
            let fix = match nearest(text.get_ref(), names.clone()) {
                Some(word) => format!("did you mean {word:?}?"),
                None => format!("use one of {}", names.collect::<Vec<_>>().join(", ")),
            };
            self.fault(text.span(), format!("no list format is called {:?}", text.get_ref()), fix);
        }
        found.map(|(_, format)| *format)
    }
}

/// A list's name is also its folder below `STATE/lists`.
fn is_list_name(name: &str) -> bool {
    name.len() <= 64
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

fn is_category_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn port_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| {
        let text = text.trim();
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    Some((port(first)?, port(last)?))
}

/// The known word that a mistyped one most likely is.
fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (given.chars().count() / 3).clamp(1, 4);
    known
        .map(|word| (strsim::damerau_levenshtein(given, word), word))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, word)| word)
}
