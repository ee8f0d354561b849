//! A checked [`Config`] as a machine file again, with every default written out: `config show`.

use super::file::FORMATS;
use super::{AlertSettings, Config, ListOrigin, ListSource, PortSet, ScannerPlace};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The values in effect as a machine file.
pub(super) fn show(config: &Config) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let path = |path: &PathBuf| quoted(&path.display().to_string());
    line(format!("state = {}", path(&config.state)));
    line(format!("policy = {}", path(&config.policy)));
    line(format!("text = {}", path(&config.text)));
    line("\n[listen]".to_owned());
    line(format!("proxy = {}", array(&config.listen.proxy)));
    if let Some(ops) = config.listen.ops {
        line(format!("ops = {}", quoted(&ops.to_string())));
    }
    line(format!("name = {}", quoted(&config.listen.name)));
    line(format!("via_inside = {}", config.listen.via_inside));
    if let Some(workers) = config.listen.workers {
        line(format!("workers = {workers}"));
    }
    line("\n[upstream]".to_owned());
    let hosts: BTreeMap<_, _> =
        config.upstream.hosts.iter().map(|(k, v)| (k.to_string(), v)).collect();
    let hosts: Vec<_> =
        hosts.into_iter().map(|(host, to)| format!("{} = {}", quoted(&host), array(to))).collect();
    line(match hosts.is_empty() {
        true => "hosts = {}".to_owned(),
        false => format!("hosts = {{ {} }}", hosts.join(", ")),
    });
    line(format!("allow_private = {}", array(&config.upstream.allow_private)));
    line(format!("roots = {}", quoted(config.upstream.roots.as_str())));
    line(format!(
        "ca_files = [{}]",
        config.upstream.ca_files.iter().map(path).collect::<Vec<_>>().join(", ")
    ));
    line(format!("connect_ports = [{}]", ports(&config.upstream.connect_ports)));
    line(format!("http_ports = [{}]", ports(&config.upstream.http_ports)));
    line(format!("tls_ports = [{}]", ports(&config.upstream.tls_ports)));
    line(format!(
        "crl_files = [{}]",
        config.upstream.crl_files.iter().map(path).collect::<Vec<_>>().join(", ")
    ));
    line("\n[log]".to_owned());
    line(format!("sync_interval_ms = {}", config.log.sync_interval_ms));
    line(format!("max_backlog_bytes = {}", config.log.max_backlog_bytes));
    if let Some(squid) = &config.log.squid {
        line(format!("squid = {}", path(squid)));
    }
    if let Some(squid) = &config.log.squid_ext {
        line(format!("squid_ext = {}", path(squid)));
    }
    line("\n[ca]".to_owned());
    if let Some(file) = &config.ca.passphrase_file {
        line(format!("passphrase_file = {}", path(file)));
    }
    line("\n[audit]".to_owned());
    if let Some(origin) = &config.audit.origin {
        line(format!("origin = {}", quoted(origin)));
    }
    let copies = config.audit.copy_to.iter().map(path).collect::<Vec<_>>().join(", ");
    line(format!("copy_to = [{copies}]"));
    if let Some(webhook) = &config.audit.webhook {
        line(format!("webhook = {}", quoted(webhook.as_str())));
    }
    if !config.audit.mail_to.is_empty() {
        let addresses = config.audit.mail_to.iter().map(|to| quoted(&to.to_string()));
        line(format!("mail_to = [{}]", addresses.collect::<Vec<_>>().join(", ")));
    }
    if config.alerts != AlertSettings::default() {
        line("\n[alerts]".to_owned());
        if let Some(webhook) = &config.alerts.webhook {
            line(format!("webhook = {}", quoted(webhook.as_str())));
        }
        let address = |(name, to): &(String, lettre::message::Mailbox)| {
            format!("{} = {}", quoted(name), quoted(&to.to_string()))
        };
        let mail: Vec<String> = config.alerts.mail.iter().map(address).collect();
        line(format!("mail = {{ {} }}", mail.join(", ")));
    }
    if let Some(mail) = &config.mail {
        line("\n[mail]".to_owned());
        let host =
            if mail.host.contains(':') { format!("[{}]", mail.host) } else { mail.host.clone() };
        line(format!("server = {}", quoted(&format!("{host}:{}", mail.port))));
        line(format!("tls = {}", quoted(mail.tls.as_str())));
        line(format!("from = {}", quoted(&mail.from.to_string())));
        if let Some((user, file)) = &mail.account {
            line(format!("user = {}", quoted(user)));
            line(format!("password_file = {}", path(file)));
        }
    }
    if let Some(scanner) = &config.scanner {
        line("\n[virus_scan]".to_owned());
        line(match &scanner.place {
            ScannerPlace::Socket(socket) => format!("socket = {}", path(socket)),
            ScannerPlace::Address(address) => format!("address = {}", quoted(&address.to_string())),
        });
        line(format!("connect_timeout_ms = {}", scanner.connect_timeout_ms));
        line(format!("scan_timeout_ms = {}", scanner.scan_timeout_ms));
        line(format!("max_file_bytes = {}", scanner.max_file_bytes));
        line(format!("max_scans = {}", scanner.max_scans));
        line(format!("trickle_after_ms = {}", scanner.trickle_after_ms));
    }
    line("\n[accounts]".to_owned());
    line(format!("session_idle_minutes = {}", config.accounts.session_idle_minutes));
    line(format!("session_max_hours = {}", config.accounts.session_max_hours));
    line("\n[limits]".to_owned());
    for (name, value) in config.limits.values() {
        line(format!("{name} = {value}"));
    }
    for list in &config.lists {
        show_list(list, &mut line);
    }
    out
}

/// The keys that differ, each as `table.key`, in the order of their names.
pub(super) fn differences(one: &Config, other: &Config) -> Vec<String> {
    let (one, other) = (keys(one), keys(other));
    let all: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    all.into_iter().filter(|key| one.get(*key) != other.get(*key)).cloned().collect()
}

/// Every key that is no list's, with its value in effect.
fn keys(config: &Config) -> BTreeMap<String, toml::Value> {
    // What is shown is a machine file again; a test keeps it so.
    let shown: toml::Table = toml::from_str(&show(config)).unwrap_or_default();
    let mut keys = BTreeMap::new();
    for (key, value) in shown.into_iter().filter(|(key, _)| key != "lists") {
        match value {
            toml::Value::Table(table) => {
                keys.extend(table.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)))
            }
            value => {
                keys.insert(key, value);
            }
        }
    }
    keys
}

fn show_list(list: &ListSource, line: &mut impl FnMut(String)) {
    line(format!(
        "\n[[lists]]\nname = {}\ncategory = {}",
        quoted(&list.name),
        quoted(&list.category)
    ));
    line(match &list.origin {
        ListOrigin::Path(path) => format!("path = {}", quoted(&path.display().to_string())),
        ListOrigin::Builtin(name) => format!("path = {}", quoted(&format!("builtin:{name}"))),
        ListOrigin::Url(url) => {
            format!("url = {}\nrefresh_hours = {}", quoted(url.as_str()), list.refresh_hours)
        }
    });
    if let Some(licence) = &list.licence {
        line(format!("licence = {}", quoted(licence)));
    }
    if let Some((name, _)) = FORMATS.iter().find(|(_, format)| Some(*format) == list.format) {
        line(format!("format = {}", quoted(name)));
    }
    if let Some(member) = &list.member {
        line(format!("member = {}", quoted(member)));
    }
    line(format!(
        "allow_public_suffixes = {}\nmax_download_bytes = {}\nmax_unpacked_bytes = {}\nhold_if_seen = {}",
        list.allow_public_suffixes,
        list.max_download_bytes,
        list.max_unpacked_bytes,
        list.hold_if_seen
    ));
}

fn ports(ports: &PortSet) -> String {
    let ranges = ports.ranges().iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("\"{first}-{last}\""),
    });
    ranges.collect::<Vec<_>>().join(", ")
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn array<T: std::fmt::Display>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}
