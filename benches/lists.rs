//! The block lists of a run: found in a folder of squidGuard folders, or made up from the trace, and
//! given to both proxies in their own form.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Levels of the replay school, strictest first.
pub(crate) const LEVELS: [&str; 3] = ["pupil", "guest", "staff"];

/// Categories blocked for staff, and so for everybody.
const BLOCKED_FOR_ALL: [&str; 9] = [
    "adult",
    "gambling",
    "malware",
    "phishing",
    "ransomware",
    "scam",
    "abuse",
    "cryptojacking",
    "stalkerware",
];
/// Categories blocked for guests and pupils besides.
const BLOCKED_FOR_GUESTS: [&str; 12] = [
    "agressif",
    "drogue",
    "drugs",
    "hacking",
    "mixed-adult",
    "piracy",
    "redirector",
    "residential-proxies",
    "strong-redirector",
    "torrent",
    "vpn",
    "warez",
];
/// Categories blocked for pupils besides.
const BLOCKED_FOR_PUPILS: [&str; 14] = [
    "chat",
    "dating",
    "facebook",
    "fortnite",
    "games",
    "lingerie",
    "manga",
    "shopping",
    "social-networks",
    "sports",
    "tiktok",
    "twitter",
    "vaping",
    "webmail",
];

/// What a squidGuard folder holds.
const USUAL_FILES: [&str; 6] =
    ["domains", "domains.gz", "urls", "urls.gz", "expressions", "expressions.gz"];
/// Names that are lists all the same.
const OTHER_FILES: [&str; 4] = ["domains.top-n", "domains.top-n.gz", "ips", "ips.gz"];

/// Whether the replay school blocks a category for a level.
pub(crate) fn blocks(level: &str, category: &str) -> bool {
    let has = |names: &[&str]| names.contains(&category);
    has(&BLOCKED_FOR_ALL)
        || (level != "staff" && has(&BLOCKED_FOR_GUESTS))
        || (level == "pupil" && has(&BLOCKED_FOR_PUPILS))
}

/// One list: a folder or file.
#[derive(Clone, Debug)]
pub(crate) struct List {
    /// Name, unique.
    pub name: String,
    /// Category.
    pub category: String,
    /// Folder or file.
    pub path: PathBuf,
}

/// Every `SOURCE/CATEGORY` folder below a folder.
///
/// # Errors
/// What could not be read.
pub(crate) fn find(folder: &Path) -> Result<Vec<List>, String> {
    let mut lists = Vec::new();
    for source in folders(folder)? {
        for path in folders(&source)? {
            let category = last_name(&path).to_lowercase().replace('_', "-");
            let name = format!("{}-{category}", last_name(&source));
            let holds = |file: &str| path.join(file).exists();
            if USUAL_FILES.iter().any(|file| holds(file)) {
                lists.push(List { name, category, path });
                continue;
            }
            // Some publishers give their files other names: each is then a list of its own.
            for (number, file) in OTHER_FILES.iter().filter(|file| holds(file)).enumerate() {
                let (name, category) = (format!("{name}-{number}"), category.clone());
                lists.push(List { name, category, path: path.join(file) });
            }
        }
    }
    if lists.is_empty() {
        return Err(format!("{}: holds no SOURCE/CATEGORY folder", folder.display()));
    }
    Ok(lists)
}

/// Lists made up from the hosts of a trace: about one in twelve is a game, one in fifty adult.
///
/// # Errors
/// What could not be written.
pub(crate) fn made_up(hosts: &BTreeSet<String>, folder: &Path) -> Result<Vec<List>, String> {
    let pick = |step: usize, start: usize| -> String {
        hosts.iter().skip(start).step_by(step).map(|host| format!("{host}\n")).collect()
    };
    let mut lists = Vec::new();
    for (category, text) in [("games", pick(12, 5)), ("adult", pick(50, 7))] {
        let path = folder.join(category);
        std::fs::create_dir_all(&path)
            .and_then(|()| std::fs::write(path.join("domains"), text))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        lists.push(List { name: category.to_owned(), category: category.to_owned(), path });
    }
    Ok(lists)
}

/// The names that are blocked for a level, for Squid's `dstdomain`: no name below another, as Squid
/// would warn of each.
pub(crate) fn names_blocked_for(level: &str, lists: &[List]) -> Vec<String> {
    let mut reversed = BTreeSet::new();
    for list in lists.iter().filter(|list| blocks(level, &list.category)) {
        let files = [list.path.clone(), list.path.join("domains"), list.path.join("domains.gz")];
        let text = files.iter().find_map(|file| read_text(file)).unwrap_or_default();
        for line in text.lines() {
            let name = line.trim().trim_start_matches(['*', '.']).trim_end_matches('.');
            let plain = name.contains('.')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                && !name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            if plain {
                // A parent sorts right before its children: `com.example.` < `com.example.www.`.
                let labels: Vec<&str> = name.rsplit('.').collect();
                reversed.insert(labels.join(".").to_lowercase() + ".");
            }
        }
    }
    let mut kept: Vec<String> = Vec::new();
    let mut parent: Option<String> = None;
    for name in reversed {
        if parent.as_ref().is_some_and(|parent| name.starts_with(parent.as_str())) {
            continue;
        }
        let labels: Vec<&str> = name.trim_end_matches('.').rsplit('.').collect();
        kept.push(format!(".{}", labels.join(".")));
        parent = Some(name);
    }
    kept
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let fault = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(fault)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    Ok(found)
}

fn last_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read_text(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).ok()?;
        return Some(String::from_utf8_lossy(&text).into_owned());
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
