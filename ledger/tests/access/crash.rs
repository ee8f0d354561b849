//! What a power cut can leave of a folder: every state, from a recording of what a real process did.
//!
//! A process runs under `strace`, which records its writes, syncs, renames and removals. From the
//! recording this makes the folder as it may be found after a power cut at a given moment: what was
//! synced is there, and of what was not, each 4 KiB page may be there or not, in any of the versions
//! that it had since; a file's length may be any that it had since; and the names of a folder are
//! those of its last sync and of the first few changes after it. File systems give more than that;
//! nothing promises more.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

const PAGE: usize = 4096;

/// The calls that change files, and those needed to understand them.
const CALLS: &str = "openat,write,pwrite64,lseek,fsync,fdatasync,rename,renameat,renameat2,\
                     ftruncate,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,close";

/// A small generator of random numbers (SplitMix64), so that a run can be repeated.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Seeded by `SCHOOLGATE_TEST_SEED`, else by the time; prints the seed.
    pub(crate) fn seeded(what: &str) -> Self {
        let given = std::env::var("SCHOOLGATE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| micros() % 1_000_000_007);
        eprintln!("{what}: SCHOOLGATE_TEST_SEED={seed}");
        Self(seed)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// Whether the long form of a test is asked for (docs/testing.md).
pub(crate) fn full() -> bool {
    std::env::var_os("SCHOOLGATE_TEST_FULL").is_some()
}

/// Microseconds since 1970, by the clock that `strace` uses.
pub(crate) fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

/// Whether `strace` is here and may trace.
pub(crate) fn can_trace() -> bool {
    let tried = Command::new("strace")
        .args(["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// The words before a command that is to be recorded in the file `to`.
pub(crate) fn recording(to: &Path) -> Vec<String> {
    let words = ["strace", "-f", "--seccomp-bpf", "-qq", "-ttt", "-T", "-y", "-xx"];
    let mut words: Vec<String> = words.map(str::to_owned).to_vec();
    words.extend(["-s", "4000000", "-e", "signal=none", "-o"].map(str::to_owned));
    words.extend([to.display().to_string(), "-e".to_owned(), format!("trace={CALLS}")]);
    words
}

/// The words before a command of which, in each thread, the `nth` call of `calls` fails with `error`;
/// `to` tells whether one did. With `about`, only calls about that path count.
pub(crate) fn failing(
    calls: &str,
    error: &str,
    nth: u64,
    about: Option<&Path>,
    to: &Path,
) -> Vec<String> {
    let inject = format!("inject={calls}:error={error}:when={nth}");
    let words = ["strace", "-f", "--seccomp-bpf", "-qq", "-s", "0", "-e", "signal=none", "-e"];
    let mut words: Vec<String> = words.map(str::to_owned).to_vec();
    words.extend([format!("trace={calls}"), "-e".to_owned(), inject]);
    if let Some(about) = about {
        words.extend(["-P".to_owned(), about.display().to_string()]);
    }
    words.extend(["-o".to_owned(), to.display().to_string()]);
    words
}

/// Kills what a process under `strace` is, and so ends `strace` too.
pub(crate) fn kill_traced(strace: u32) {
    let children = format!("/proc/{strace}/task/{strace}/children");
    for pid in std::fs::read_to_string(children).unwrap_or_default().split_whitespace() {
        if let Some(pid) = pid.parse().ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Whether a run under [`failing`] had its call failed.
pub(crate) fn was_failed(to: &Path) -> bool {
    std::fs::read(to).is_ok_and(|text| String::from_utf8_lossy(&text).contains("(INJECTED)"))
}

/// One call that went well.
#[derive(Clone, Debug)]
struct Call {
    thread: u32,
    began: u64,
    ended: u64,
    name: String,
    arguments: Vec<String>,
    result: String,
}

/// Something that happened to the folder, in the order in which it took effect.
#[derive(Clone, Debug)]
enum Change {
    /// A file was opened that was to be made where missing; `bool`: emptied.
    Opened(PathBuf, bool),
    Written(PathBuf, u64, Vec<u8>),
    /// Written behind what is there.
    Appended(PathBuf, Vec<u8>),
    Cut(PathBuf, u64),
    SyncBegan(PathBuf, u32),
    SyncEnded(PathBuf, u32),
    MadeFolder(PathBuf),
    Moved(PathBuf, PathBuf),
    /// The file got a second name.
    Linked(PathBuf, PathBuf),
    Removed(PathBuf),
}

/// Everything that happened below one folder, and what was printed.
pub(crate) struct Recording {
    root: PathBuf,
    changes: Vec<(u64, Change)>,
    /// What processes wrote to their standard output, with the moment at which they had.
    pub(crate) printed: Vec<(u64, Vec<u8>)>,
    /// When each sync began and ended, by thread.
    syncs: BTreeMap<(usize, u32), Vec<(u64, u64)>>,
}

impl Recording {
    /// Reads recordings of processes that worked in `cwd`, as far as they are about `root`.
    pub(crate) fn read(files: &[PathBuf], cwd: &Path, root: &Path) -> Self {
        let mut recording = Self {
            root: root.to_owned(),
            changes: Vec::new(),
            printed: Vec::new(),
            syncs: BTreeMap::new(),
        };
        for (process, file) in files.iter().enumerate() {
            let text = std::fs::read_to_string(file).unwrap();
            recording.take(process, &calls(&text), cwd);
        }
        recording.changes.sort_by_key(|(at, _)| *at);
        recording.printed.sort_by_key(|(at, _)| *at);
        recording
    }

    fn take(&mut self, process: usize, calls: &[Call], cwd: &Path) {
        let mut places: HashMap<(u32, String), u64> = HashMap::new();
        for call in calls {
            if call.name.ends_with("sync") {
                let syncs = self.syncs.entry((process, call.thread)).or_default();
                syncs.push((call.began, call.ended));
            }
            self.take_call(call, cwd, &mut places);
        }
    }

    fn take_call(&mut self, call: &Call, cwd: &Path, places: &mut HashMap<(u32, String), u64>) {
        let Call { thread, began, ended, arguments, .. } = call;
        let argument = |place: usize| arguments.get(place).map_or("", String::as_str);
        let fd = |text: &str| text.split('<').next().unwrap_or_default().to_owned();
        let number = |text: &str| text.parse::<u64>().unwrap();
        let named = |base: Option<&str>, text: &str| {
            let base = base.and_then(descriptor_path).unwrap_or_else(|| cwd.to_owned());
            base.join(path_of(&quoted(text)))
        };
        let mut add = |path: &Path, at: u64, change: Change| {
            if path.starts_with(&self.root) {
                self.changes.push((at, change));
            }
        };
        match call.name.as_str() {
            "openat" => {
                let Some(path) = descriptor_path(&call.result) else { return };
                places.insert((*thread, fd(&call.result)), 0);
                let flags = argument(2);
                if flags.contains("O_APPEND") {
                    places.remove(&(*thread, fd(&call.result)));
                }
                if flags.contains("O_CREAT") || flags.contains("O_TRUNC") {
                    let emptied = flags.contains("O_TRUNC");
                    add(&path, *ended, Change::Opened(path.clone(), emptied));
                }
            }
            "lseek" => {
                places.insert((*thread, fd(argument(0))), number(&call.result));
            }
            "write" | "pwrite64" => {
                let written = number(&call.result);
                let mut bytes = quoted(argument(1));
                bytes.truncate(written as usize);
                if fd(argument(0)) == "1" {
                    self.printed.push((*ended, bytes.clone()));
                }
                let Some(path) = descriptor_path(argument(0)) else { return };
                if !path.starts_with(&self.root) {
                    return;
                }
                let change = match call.name.as_str() {
                    "pwrite64" => Change::Written(path, number(argument(3)), bytes),
                    // A place is known of every file that is not opened to append to it.
                    _ => match places.get_mut(&(*thread, fd(argument(0)))) {
                        None => Change::Appended(path, bytes),
                        Some(place) => {
                            *place += written;
                            Change::Written(path, *place - written, bytes)
                        }
                    },
                };
                self.changes.push((*ended, change));
            }
            "ftruncate" => {
                if let Some(path) = descriptor_path(argument(0)) {
                    add(&path, *ended, Change::Cut(path.clone(), number(argument(1))));
                }
            }
            "fsync" | "fdatasync" => {
                let Some(path) = descriptor_path(argument(0)) else { return };
                if path.starts_with(&self.root) {
                    self.changes.push((*began, Change::SyncBegan(path.clone(), *thread)));
                    self.changes.push((*ended, Change::SyncEnded(path, *thread)));
                }
            }
            "rename" => {
                let (from, to) = (named(None, argument(0)), named(None, argument(1)));
                add(&to.clone(), *ended, Change::Moved(from, to));
            }
            "renameat" | "renameat2" => {
                let from = named(Some(argument(0)), argument(1));
                let to = named(Some(argument(2)), argument(3));
                add(&to.clone(), *ended, Change::Moved(from, to));
            }
            "link" => {
                let (from, to) = (named(None, argument(0)), named(None, argument(1)));
                add(&to.clone(), *ended, Change::Linked(from, to));
            }
            "linkat" => {
                let from = named(Some(argument(0)), argument(1));
                let to = named(Some(argument(2)), argument(3));
                add(&to.clone(), *ended, Change::Linked(from, to));
            }
            "unlink" | "rmdir" => {
                let path = named(None, argument(0));
                add(&path.clone(), *ended, Change::Removed(path));
            }
            "unlinkat" => {
                let path = named(Some(argument(0)), argument(1));
                add(&path.clone(), *ended, Change::Removed(path));
            }
            "mkdir" => {
                let path = named(None, argument(0));
                add(&path.clone(), *ended, Change::MadeFolder(path));
            }
            "mkdirat" => {
                let path = named(Some(argument(0)), argument(1));
                add(&path.clone(), *ended, Change::MadeFolder(path));
            }
            _ => {}
        }
    }

    /// The longest time, in microseconds, that a thread spent on syncs which followed one another.
    pub(crate) fn longest_round(&self) -> u64 {
        const PAUSE: u64 = 10_000;
        let mut longest = 0;
        for syncs in self.syncs.values() {
            let mut first = 0;
            for (place, (began, ended)) in syncs.iter().enumerate() {
                if place == 0 || *began > syncs[place - 1].1 + PAUSE {
                    first = *began;
                }
                longest = longest.max(ended - first);
            }
        }
        longest
    }

    /// When anything happened.
    pub(crate) fn moments(&self) -> Vec<u64> {
        self.changes.iter().map(|(at, _)| *at).collect()
    }

    /// Moments to cut the power at: some at any change, some just before or after a sync, a rename
    /// or a removal, where orders matter.
    pub(crate) fn cuts(&self, number: usize, random: &mut Random) -> Vec<u64> {
        let all = self.moments();
        let is_turn = |change: &Change| {
            !matches!(change, Change::Written(..) | Change::Appended(..) | Change::Opened(..))
        };
        let turns: Vec<u64> = self
            .changes
            .iter()
            .filter(|(_, change)| is_turn(change))
            .flat_map(|(at, _)| [at - 1, *at])
            .collect();
        let mut cuts: Vec<u64> = (0..number)
            .map(|turn| *random.pick(if turn % 2 == 0 { &all } else { &turns }))
            .collect();
        cuts.sort_unstable();
        cuts
    }

    /// Calls `visit` with the disk as it stood at each of the rising moments.
    pub(crate) fn replay(&self, cuts: &[u64], mut visit: impl FnMut(u64, &Disk)) {
        let mut disk = Disk::new(&self.root);
        let mut changes = self.changes.iter().peekable();
        for cut in cuts {
            while let Some((_, change)) = changes.next_if(|(at, _)| at <= cut) {
                disk.apply(change);
            }
            visit(*cut, &disk);
        }
    }
}

/// The calls of one recording that went well, with their halves joined.
fn calls(text: &str) -> Vec<Call> {
    let mut begun: HashMap<u32, String> = HashMap::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Ok(thread) = thread.parse::<u32>() else { continue };
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, start.trim_end().to_owned());
            continue;
        }
        let whole = match rest.split_once(" resumed>") {
            Some((head, tail)) if head.contains("<... ") => {
                let Some(start) = begun.remove(&thread) else { continue };
                let joint = if start.ends_with(',') { " " } else { "" };
                format!("{start}{joint}{}", tail.trim_start_matches(' '))
            }
            _ => rest.to_owned(),
        };
        found.extend(call(thread, &whole));
    }
    found
}

/// `1732.5 write(3<\x2f>, "\x61", 1) = 1 <0.0001>`; `None` for one that failed or has not returned.
fn call(thread: u32, text: &str) -> Option<Call> {
    let (at, rest) = text.split_once(' ')?;
    let (name, rest) = rest.split_once('(')?;
    let (arguments, rest) = rest.rsplit_once(") = ").or_else(|| {
        // Alignment puts spaces between the two.
        let (arguments, rest) = rest.rsplit_once("= ")?;
        Some((arguments.trim_end().strip_suffix(')')?, rest))
    })?;
    let (result, took) = rest.rsplit_once(" <")?;
    if result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    let micros = |text: &str| {
        let (seconds, part) = text.split_once('.')?;
        Some(seconds.parse::<u64>().ok()? * 1_000_000 + part.parse::<u64>().ok()?)
    };
    let began = micros(at)?;
    let ended = began + micros(took.trim_end_matches('>'))?;
    let arguments = arguments.split(", ").map(str::to_owned).collect();
    Some(Call { thread, began, ended, name: name.to_owned(), arguments, result: result.to_owned() })
}

/// The bytes of `"\x61\x62"`.
fn quoted(text: &str) -> Vec<u8> {
    assert!(!text.ends_with("..."), "the recording was cut short");
    hexadecimal(text.trim_matches('"'))
}

fn hexadecimal(text: &str) -> Vec<u8> {
    let pairs = text.split("\\x").skip(1);
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8(bytes.to_vec()).unwrap())
}

/// The path in `3<\x2f\x74>`; `None` where the file has been removed, or is none.
fn descriptor_path(text: &str) -> Option<PathBuf> {
    let (_, path) = text.split_once('<')?;
    let path = hexadecimal(path.strip_suffix('>')?);
    (path.first() == Some(&b'/')).then(|| path_of(&path))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Made(PathBuf, Node),
    Moved(PathBuf, PathBuf),
    Removed(PathBuf),
}

type Page = Rc<[u8; PAGE]>;

#[derive(Clone, Default)]
struct File {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Versions of pages that are not synced, the oldest first.
    pages: BTreeMap<usize, Vec<Page>>,
    /// Lengths since the last sync.
    lengths: Vec<usize>,
    /// What was there when a sync began: its content, and how many versions and lengths it covers.
    syncing: HashMap<u32, Syncing>,
}

type Syncing = (Vec<u8>, BTreeMap<usize, usize>, usize);

/// A folder with what of it is durable.
pub(crate) struct Disk {
    root: PathBuf,
    files: Vec<File>,
    names: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    /// By folder.
    unsynced: BTreeMap<PathBuf, Vec<NameChange>>,
    /// How many changes of a folder's names a sync that has begun covers.
    syncing: HashMap<(PathBuf, u32), usize>,
}

impl Disk {
    fn new(root: &Path) -> Self {
        let root_only = BTreeMap::from([(root.to_owned(), Node::Folder)]);
        Self {
            root: root.to_owned(),
            files: Vec::new(),
            names: root_only.clone(),
            durable: root_only,
            unsynced: BTreeMap::new(),
            syncing: HashMap::new(),
        }
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        match self.names.get(path) {
            Some(Node::File(id)) => self.files.get_mut(*id),
            _ => None,
        }
    }

    fn rename(&mut self, change: NameChange) {
        apply_name(&mut self.names, &change);
        let path = match &change {
            NameChange::Made(path, _) | NameChange::Removed(path) => path,
            NameChange::Moved(from, to) => {
                assert_eq!(from.parent(), to.parent(), "a move between folders is not modelled");
                to
            }
        };
        let folder = path.parent().unwrap().to_owned();
        self.unsynced.entry(folder).or_default().push(change);
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Opened(path, emptied) => {
                if !self.names.contains_key(path) {
                    self.files.push(File::default());
                    let node = Node::File(self.files.len() - 1);
                    self.rename(NameChange::Made(path.clone(), node));
                } else if *emptied && let Some(file) = self.file(path) {
                    file.cut(0);
                }
            }
            Change::Written(path, offset, bytes) => {
                if let Some(file) = self.file(path) {
                    file.write(*offset as usize, bytes);
                }
            }
            Change::Appended(path, bytes) => {
                if let Some(file) = self.file(path) {
                    file.write(file.now.len(), bytes);
                }
            }
            Change::Cut(path, length) => {
                if let Some(file) = self.file(path) {
                    file.cut(*length as usize);
                }
            }
            Change::SyncBegan(path, thread) => match self.names.get(path) {
                Some(Node::File(id)) => self.files[*id].begin_sync(*thread),
                _ => {
                    let covered = self.unsynced.get(path).map_or(0, Vec::len);
                    self.syncing.insert((path.clone(), *thread), covered);
                }
            },
            Change::SyncEnded(path, thread) => {
                if let Some(covered) = self.syncing.remove(&(path.clone(), *thread)) {
                    let changes = self.unsynced.entry(path.clone()).or_default();
                    for change in changes.drain(..covered.min(changes.len())) {
                        apply_name(&mut self.durable, &change);
                    }
                } else if let Some(file) = self.file(path) {
                    file.end_sync(*thread);
                }
            }
            Change::MadeFolder(path) => {
                self.rename(NameChange::Made(path.clone(), Node::Folder));
            }
            Change::Moved(from, to) => self.rename(NameChange::Moved(from.clone(), to.clone())),
            Change::Linked(from, to) => {
                if let Some(node) = self.names.get(from).copied() {
                    self.rename(NameChange::Made(to.clone(), node));
                }
            }
            Change::Removed(path) => self.rename(NameChange::Removed(path.clone())),
        }
    }

    /// Writes to `to` what a power cut may leave now.
    pub(crate) fn write_state(&self, to: &Path, random: &mut Random) {
        let mut names = self.durable.clone();
        // All or nothing more often than chance would have it: both ends are likely in life.
        let kept = *random.pick(&[0, 0, 10, 50, 90, 100, 100]);
        for changes in self.unsynced.values() {
            let some = match kept {
                0 => 0,
                100 => changes.len(),
                _ => random.below(changes.len() as u64 + 1) as usize,
            };
            changes[..some].iter().for_each(|change| apply_name(&mut names, change));
        }
        let mut made: Vec<&Path> = Vec::new();
        // Parents come before what is in them.
        for (path, node) in &names {
            let is_root = *path == self.root;
            if !is_root && !made.contains(&path.parent().unwrap()) {
                continue;
            }
            let place = to.join(path.strip_prefix(&self.root).unwrap());
            match node {
                Node::Folder => {
                    std::fs::create_dir_all(&place).unwrap();
                    made.push(path);
                }
                Node::File(id) => {
                    std::fs::write(place, self.files[*id].after(kept, random)).unwrap()
                }
            }
        }
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, Node>, change: &NameChange) {
    match change {
        NameChange::Made(path, node) => {
            names.insert(path.clone(), *node);
        }
        NameChange::Moved(from, to) => {
            if let Some(node) = names.remove(from) {
                assert_ne!(node, Node::Folder, "a moved folder is not modelled");
                names.insert(to.clone(), node);
            }
        }
        NameChange::Removed(path) => {
            names.remove(path);
        }
    }
}

impl File {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if end > self.now.len() {
            self.now.resize(end, 0);
            self.lengths.push(end);
        }
        self.now[offset..end].copy_from_slice(bytes);
        for page in offset / PAGE..end.div_ceil(PAGE) {
            let mut content = [0; PAGE];
            let there = &self.now[page * PAGE..self.now.len().min((page + 1) * PAGE)];
            content[..there.len()].copy_from_slice(there);
            self.pages.entry(page).or_default().push(Rc::new(content));
        }
    }

    fn cut(&mut self, length: usize) {
        self.now.resize(length, 0);
        self.lengths.push(length);
    }

    fn begin_sync(&mut self, thread: u32) {
        let versions = self.pages.iter().map(|(page, versions)| (*page, versions.len())).collect();
        self.syncing.insert(thread, (self.now.clone(), versions, self.lengths.len()));
    }

    fn end_sync(&mut self, thread: u32) {
        let Some((content, versions, lengths)) = self.syncing.remove(&thread) else { return };
        self.synced = content;
        self.lengths.drain(..lengths.min(self.lengths.len()));
        for (page, covered) in versions {
            if let Some(left) = self.pages.get_mut(&page) {
                left.drain(..covered.min(left.len()));
                if left.is_empty() {
                    self.pages.remove(&page);
                }
            }
        }
        // Another sync of the file that began earlier covers nothing more.
        self.syncing.clear();
    }

    /// What may be found: of unsynced pages about `kept` percent.
    fn after(&self, kept: u64, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        let length = match (kept, self.lengths.as_slice()) {
            (0, _) | (_, []) => bytes.len(),
            (100, [.., last]) => *last,
            (_, lengths) => match random.below(3) {
                0 => bytes.len(),
                _ => *random.pick(lengths),
            },
        };
        for (page, versions) in &self.pages {
            if random.below(100) >= kept {
                continue;
            }
            let version =
                if kept == 100 { versions.last().unwrap() } else { random.pick(versions) };
            let end = (page + 1) * PAGE;
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[page * PAGE..end].copy_from_slice(&version[..]);
        }
        bytes.resize(length, 0);
        bytes
    }
}

#[test]
fn what_is_synced_survives_and_what_is_not_may_not() {
    let name = |path: &str| path.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let (file, folder) = (name("/r/a"), name("/r"));
    let text = format!(
        "7 10.000001 openat(AT_FDCWD<{folder}>, \"{file}\", O_RDWR|O_CREAT, 0600) = 3<{file}> <0.000001>\n\
         7 10.000010 pwrite64(3<{file}>, \"{}\", 2, 0) = 2 <0.000001>\n\
         7 10.000020 fsync(3<{file}>) = 0 <0.000005>\n\
         7 10.000030 fsync(4<{folder}> <unfinished ...>\n\
         8 10.000031 openat(AT_FDCWD<{folder}>, \"{}\", O_RDONLY) = -1 ENOENT (No such file) <0.000001>\n\
         7 10.000039 <... fsync resumed>) = 0 <0.000009>\n\
         7 10.000050 pwrite64(3<{file}>, \"{}\", 2, 2) = 2 <0.000001>\n",
        name("hi"),
        name("/r/b"),
        name("!?"),
    );
    let log = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(log.path(), text).unwrap();
    let recording = Recording::read(&[log.path().to_owned()], Path::new("/r"), Path::new("/r"));
    let mut random = Random(1);
    let mut found: Vec<BTreeMap<Option<Vec<u8>>, u32>> = Vec::new();
    recording.replay(&[10_000_015, 10_000_039, 10_000_060], |_, disk| {
        let mut states = BTreeMap::new();
        for _ in 0..200 {
            let to = tempfile::tempdir().unwrap();
            disk.write_state(to.path(), &mut random);
            *states.entry(std::fs::read(to.path().join("a")).ok()).or_default() += 1;
        }
        found.push(states);
    });
    // Nothing is synced: no file, an empty one, one of zeros, or all.
    assert!(found[0].contains_key(&None) && found[0].contains_key(&Some(b"hi".to_vec())));
    assert!(found[0].contains_key(&Some(Vec::new())));
    assert_eq!(found[1].keys().collect::<Vec<_>>(), [&Some(b"hi".to_vec())]);
    let all_start_so =
        |state: &Option<Vec<u8>>| state.as_ref().is_some_and(|it| it.starts_with(b"hi"));
    assert!(found[2].keys().all(all_start_so) && found[2].len() >= 3, "{:?}", found[2]);
}
