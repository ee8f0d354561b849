//! Zip archives (APPNOTE.TXT 6.3), as they stream by.
//!
//! The list of entries stands at the end, and what stands before each entry may say something else. Programs
//! disagree about which of the two holds, so this reads both, and neither by where the other says that it is: every
//! byte is looked at for the signatures of a local header and of a header of the central directory. So it finds a
//! zip archive behind a picture or a program too, entries of unknown length, and what a made-up length
//! would have it pass over. What a name or the first bytes of an entry say counts, whichever header led there.
//!
//! A crate was weighed: `zip` and `rc-zip` want the end of the file first, `zip`'s reader of streams refuses entries
//! of unknown length, and all of them believe the lengths.

use super::stream::Stream;
use super::{By, MAX_ENTRIES, MAX_RATIO, SMALL_BYTES, Work};
use flate2::{Decompress, FlushDecompress, Status};
use memchr::memmem::Finder;
use rules::file::FileKind;
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::LazyLock;

/// Fixed bytes of a local header and of one of the central directory, behind their signatures.
const LOCAL: usize = 26;
const CENTRAL: usize = 42;
/// Longest name of an entry, in bytes: longer ones cannot be made on any device (Linux: 4,096).
const MAX_NAME: usize = 4_096;
/// Headers that may be open at once; in an honest archive one.
const MAX_OPEN: usize = 4;

/// The search for a zip archive in one run of bytes.
#[derive(Debug)]
pub(super) struct Zip {
    depth: u8,
    /// How many bytes of a signature the bytes so far end with.
    signature: Vec<u8>,
    open: Vec<Header>,
    probe: Option<Probe>,
    /// Names of local headers, hashed.
    local: Hashes,
    /// Those with the packed size that the header has; and those whose header has none.
    sized: Hashes,
    lengthless: Hashes,
    /// Headers of the central directory.
    listed: u32,
    /// An entry of the directory is not there, or has another length.
    is_lying: bool,
    is_packed: bool,
    /// Bytes that the central directory claims for all entries, packed or not.
    claimed: u64,
}

type Hashes = HashSet<u64, BuildHasherDefault<DefaultHasher>>;

/// A header of which not all bytes are here yet.
#[derive(Debug)]
struct Header {
    is_local: bool,
    /// It began in bytes that are packed, or looked at by something that knows better.
    is_within: bool,
    bytes: Vec<u8>,
    need: usize,
}

/// An entry whose bytes are looked into.
#[derive(Debug)]
struct Probe {
    /// `None`: stored as it is.
    unpacked: Option<Unpacked>,
    /// Bytes that are left of a stored entry; `None`: not known.
    left: Option<u64>,
    inside: Box<Stream>,
}

impl Probe {
    /// Whether the entry's bytes are other than those that are seen here, or are followed entry by entry.
    fn is_other(&self) -> bool {
        self.unpacked.is_some() || self.inside.is_followed()
    }
}

/// Unpacking, with what came of what.
#[derive(Debug)]
pub(super) struct Unpacked {
    inflate: Decompress,
    packed: u64,
    unpacked: u64,
}

impl Unpacked {
    pub(super) fn new(inflate: Decompress) -> Unpacked {
        Unpacked { inflate, packed: 0, unpacked: 0 }
    }
}

/// Unpacks into a stream; how many bytes were used, and whether that is over: well, or by a fault or a bound. It is well
/// over, too, as soon as nothing can come of more, and exactly then: what stands behind is not looked at, in
/// whatever pieces the bytes come.
pub(super) fn inflate(
    unpacked: &mut Unpacked,
    bytes: &[u8],
    inside: &mut Stream,
    work: &mut Work,
) -> (usize, Option<bool>) {
    let mut buffer = [0; 8_192];
    let mut used = 0;
    loop {
        let buffer = &mut buffer[..inside.room().min(8_192)];
        let (before_in, before_out) = (unpacked.inflate.total_in(), unpacked.inflate.total_out());
        let status = unpacked.inflate.decompress(&bytes[used..], buffer, FlushDecompress::None);
        let taken = (unpacked.inflate.total_in() - before_in) as usize;
        let made = (unpacked.inflate.total_out() - before_out) as usize;
        used += taken;
        unpacked.packed += taken as u64;
        unpacked.unpacked += made as u64;
        work.count_inflated(made as u64);
        inside.feed(&buffer[..made], work);
        if unpacked.unpacked > SMALL_BYTES && unpacked.unpacked / MAX_RATIO > unpacked.packed {
            work.give_up();
        }
        match status {
            _ if work.is_over => return (used, Some(false)),
            _ if inside.is_settled() => return (used, Some(true)),
            Ok(Status::StreamEnd) => return (used, Some(true)),
            Err(_) => return (used, Some(false)),
            // All that can be made of these bytes is made only when the buffer was not filled.
            Ok(_) if taken == 0 && made == 0 => return (bytes.len(), None),
            Ok(_) if used == bytes.len() && made < buffer.len() => return (used, None),
            Ok(_) => {}
        }
    }
}

impl Zip {
    pub(super) fn new(depth: u8) -> Zip {
        Zip {
            depth,
            signature: Vec::new(),
            open: Vec::new(),
            probe: None,
            local: Hashes::default(),
            sized: Hashes::default(),
            lengthless: Hashes::default(),
            listed: 0,
            is_lying: false,
            is_packed: false,
            claimed: 0,
        }
    }

    /// Whether an entry was seen.
    pub(super) fn has_begun(&self) -> bool {
        !self.local.is_empty() || !self.open.is_empty()
    }

    /// The bytes are packed, and what is in them is looked at where they are unpacked: here, deflate lets pieces of
    /// it stand as they are, with the heads of its blocks in between. Names in them count, and nothing else.
    pub(super) fn names_only(&mut self) {
        self.is_packed = true;
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], work: &mut Work) {
        // How far away the next signature ends; found once, kept while headers end before it.
        let mut next: Option<usize> = None;
        while !bytes.is_empty() && !work.is_over {
            let signature = *next.get_or_insert_with(|| self.next_signature(bytes));
            let header = self.open.iter().map(|header| header.need - header.bytes.len()).min();
            let step = signature.min(header.unwrap_or(usize::MAX)).min(bytes.len());
            let (part, rest) = bytes.split_at(step);
            self.feed_probe(part, work);
            for header in &mut self.open {
                header.bytes.extend_from_slice(part);
            }
            self.headers(work);
            if step == signature {
                next = None;
                self.begin_header(part);
            } else {
                next = Some(signature - step);
                self.keep_beginning(part);
            }
            bytes = rest;
        }
    }

    /// After how many of these bytes a signature ends; beyond them if none does.
    fn next_signature(&self, bytes: &[u8]) -> usize {
        // Across the seam: a few bytes of what was, a few of what comes.
        if !self.signature.is_empty() {
            let mut seam = self.signature.clone();
            seam.extend_from_slice(&bytes[..bytes.len().min(3)]);
            if let Some(at) = find_signature(&seam).filter(|at| *at > self.signature.len()) {
                return at - self.signature.len();
            }
        }
        find_signature(bytes).unwrap_or(usize::MAX)
    }

    /// Keeps the last three bytes: a signature may have begun in them.
    fn keep_beginning(&mut self, part: &[u8]) {
        self.signature.extend_from_slice(&part[part.len().saturating_sub(3)..]);
        let over = self.signature.len().saturating_sub(3);
        self.signature.drain(..over);
    }

    /// A signature has just ended.
    fn begin_header(&mut self, part: &[u8]) {
        self.keep_beginning(part);
        // `P`, `K`, 1, 2 or `P`, `K`, 3, 4: its last byte tells.
        let is_local = self.signature.last() == Some(&4);
        self.signature.clear();
        let is_within = self.is_packed || self.probe.as_ref().is_some_and(Probe::is_other);
        if self.open.len() >= MAX_OPEN {
            let oldest = self.open.remove(0);
            self.is_lying |= !oldest.is_within;
        }
        let need = if is_local { LOCAL } else { CENTRAL };
        self.open.push(Header { is_local, is_within, bytes: Vec::new(), need });
    }

    /// Takes the headers that are whole.
    fn headers(&mut self, work: &mut Work) {
        let mut at = 0;
        while at < self.open.len() {
            let header = &mut self.open[at];
            if header.bytes.len() < header.need {
                at += 1;
                continue;
            }
            let fixed = if header.is_local { LOCAL } else { CENTRAL };
            if header.need == fixed {
                match variable_bytes(header) {
                    Some(more) => header.need += more,
                    None => {
                        self.open.remove(at);
                    }
                }
                continue;
            }
            let header = self.open.remove(at);
            if header.is_local { self.local(&header, work) } else { self.central(&header, work) }
        }
    }

    fn local(&mut self, header: &Header, work: &mut Work) {
        let field = |at: usize| u16::from_le_bytes([header.bytes[at], header.bytes[at + 1]]);
        let (flags, method, name_length) = (field(2), field(4), usize::from(field(22)));
        let name = &header.bytes[LOCAL..LOCAL + name_length];
        let extra = &header.bytes[LOCAL + name_length..];
        if !work.may_enter() {
            return;
        }
        let hash = self.local.hasher().hash_one(name);
        self.local.insert(hash);
        let short = u32::from_le_bytes([14, 15, 16, 17].map(|at| header.bytes[at]));
        let is_length_known = flags & (1 << 3) == 0;
        match is_length_known && short != u32::MAX {
            true => self.sized.insert(self.sized.hasher().hash_one((name, short))),
            false => self.lengthless.insert(hash),
        };
        let name = String::from_utf8_lossy(name);
        work.entry(&name);
        if header.is_within {
            return;
        }
        // A header that lies in another's: two claims to the same bytes.
        if self.probe.as_ref().is_some_and(Probe::is_other) {
            self.is_lying = true;
            return;
        }
        // What is stored ends here, whatever length was claimed for it.
        self.end_probe(work);
        // Encrypted; of the central directory too, where names here are made up (4.4.4, bits 0, 6 and 13).
        let is_encrypted = flags & (1 | 1 << 6 | 1 << 13) != 0 || method == 99;
        if is_encrypted {
            work.found.add(FileKind::EncryptedArchive, By::Bytes, None);
        }
        if flags & (1 << 13) != 0 {
            work.unreadable();
        }
        if is_encrypted || name.ends_with('/') {
            return;
        }
        let size = stored_size(&header.bytes, extra);
        let unpacked = match method {
            0 if is_length_known && size == 0 => return,
            0 => None,
            8 => Some(Unpacked::new(Decompress::new(false))),
            // Deflate64, bzip2, LZMA, Zstandard, XZ: the name is all that there is to see.
            _ => return work.unreadable(),
        };
        // What is stored is seen from here, byte by byte: only what is packed has its own search.
        let inside = Box::new(Stream::inside(self.depth + 1, &name, unpacked.is_some()));
        let left = is_length_known.then_some(size);
        self.probe = Some(Probe { unpacked, left, inside });
    }

    fn central(&mut self, header: &Header, work: &mut Work) {
        let field = |at: usize| u16::from_le_bytes([header.bytes[at], header.bytes[at + 1]]);
        let name_length = usize::from(field(24));
        let name = &header.bytes[CENTRAL..CENTRAL + name_length];
        self.listed += 1;
        if self.listed > MAX_ENTRIES {
            return work.give_up();
        }
        // An entry that is not there, or whose length is another: programs will read other bytes than were seen.
        let packed = u32::from_le_bytes([16, 17, 18, 19].map(|at| header.bytes[at]));
        let hash = self.local.hasher().hash_one(name);
        let is_seen = self.local.contains(&hash)
            && (self.lengthless.contains(&hash)
                || self.sized.contains(&self.sized.hasher().hash_one((name, packed))));
        self.is_lying |= !is_seen && !header.is_within;
        work.entry(&String::from_utf8_lossy(name));
        let size = u32::from_le_bytes([20, 21, 22, 23].map(|at| header.bytes[at]));
        self.claimed = self.claimed.saturating_add(u64::from(size));
    }

    fn feed_probe(&mut self, mut part: &[u8], work: &mut Work) {
        let Some(probe) = &mut self.probe else { return };
        let is_over = match &mut probe.unpacked {
            Some(unpacked) => match inflate(unpacked, part, &mut probe.inside, work) {
                (_, Some(true)) => true,
                (_, Some(false)) => {
                    work.unreadable();
                    true
                }
                (_, None) => false,
            },
            None => {
                if let Some(left) = &mut probe.left {
                    part = &part[..part.len().min(usize::try_from(*left).unwrap_or(usize::MAX))];
                    *left -= part.len() as u64;
                }
                probe.inside.feed(part, work);
                probe.left == Some(0)
            }
        };
        if is_over || probe.inside.is_settled() {
            self.end_probe(work);
        }
    }

    fn end_probe(&mut self, work: &mut Work) {
        if let Some(mut probe) = self.probe.take() {
            probe.inside.finish(work);
        }
    }

    /// The run of bytes is over, after so many. `is_zip`: it began as a zip archive; else the headers in it may be
    /// parts of what it is, and what they say together means nothing.
    pub(super) fn finish(&mut self, bytes: u64, is_zip: bool, work: &mut Work) {
        self.end_probe(work);
        // More than deflate can make of these bytes: entries that share them, or a claim that is not so.
        let is_bomb = self.claimed > 1 << 30 && self.claimed / MAX_RATIO > bytes;
        if is_zip && (self.is_lying || is_bomb) {
            work.unreadable();
        }
    }
}

/// How all signatures begin; prepared once, as most bodies are short.
static MARK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"PK"));

/// Where the first signature ends.
fn find_signature(bytes: &[u8]) -> Option<usize> {
    let is_ours = |at: &usize| matches!(bytes.get(at + 2..at + 4), Some(&[1, 2] | &[3, 4]));
    MARK.find_iter(bytes).find(is_ours).map(|at| at + 4)
}

/// How many bytes follow the fixed ones; `None` where they cannot be a header's.
fn variable_bytes(header: &Header) -> Option<usize> {
    let field = |at: usize| u16::from_le_bytes([header.bytes[at], header.bytes[at + 1]]);
    // Behind the signature, the central header has "version made by" before the same fields.
    let (shift, name_at) = if header.is_local { (0, 22) } else { (2, 24) };
    let (version, method, name) = (field(shift), field(shift + 4), usize::from(field(name_at)));
    let is_one = version & 0xff <= 100 && method <= 99 && (1..=MAX_NAME).contains(&name);
    let extra = if header.is_local { usize::from(field(24)) } else { 0 };
    is_one.then_some(name + extra)
}

/// The packed size of a local header, or of its zip64 field (4.5.3): there, the packed size is the second.
fn stored_size(fixed: &[u8], mut extra: &[u8]) -> u64 {
    let size = u32::from_le_bytes([14, 15, 16, 17].map(|at| fixed[at]));
    if size != u32::MAX {
        return u64::from(size);
    }
    while let [id_low, id_high, low, high, rest @ ..] = extra {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let Some(field) = rest.get(..length) else { break };
        if u16::from_le_bytes([*id_low, *id_high]) == 1
            && let Some(size) = field.get(8..16).and_then(|size| size.try_into().ok())
        {
            return u64::from_le_bytes(size);
        }
        extra = &rest[length..];
    }
    u64::from(size)
}
