//! What kind of file a response carries: by its names, its declared type, its bytes, and what is inside archives.
//!
//! [`Look::begin`] judges what the heads of a request and its answer say. [`Look::feed`] takes the body as it
//! comes, after any `Content-Encoding` was undone, and [`Look::finish`] is asked at its end. Kinds are only ever
//! added: whoever asks `Policy::file_block` again after each piece gets the stricter answer in the end. No kind is
//! ever taken back for another that looks more harmless: a name cannot clear what the bytes say.
//!
//! **A download or part of a page.** A script is only dangerous when it is saved and opened; the scripts of pages
//! are scripts too, and addresses may end like programs (`/wiki/setup.exe`, `/about/example.com`). So what a name in
//! the URL, a declared script type or text says counts for downloads alone ([`Purpose`]). What bytes say
//! of machine code, archives and the like counts always: `fetch` and a blob save a file too.
//!
//! **Bounds.** However large or hostile a body is: at most [`MAX_ENTRIES`] entries, [`MAX_NESTING`] archives within
//! the first, [`MAX_INFLATED_BYTES`] unpacked, and some tens of kilobytes held. An archive beyond them is
//! [`FileKind::UnreadableArchive`], never "nothing found".

mod compound;
mod disposition;
mod extension;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gzip;
mod magic;
mod media;
mod name;
mod purpose;
mod stream;
mod tar;
mod zip;

pub use purpose::Purpose;
use rules::file::{FileKind, FileKinds};
use stream::Stream;

/// Bytes that are looked at together, the first of them and all others. Whoever must not let a blocked kind begin holds
/// back as many; what is found in the last of a body, [`Look::finish`] says.
pub const HEAD_BYTES: usize = 4_096;
/// Most entries that are looked at in one body, all its archives together.
pub const MAX_ENTRIES: u32 = 10_000;
/// Most archives within archives: three files deep, `a.zip` in `b.zip` in `c.zip`. A `tar.gz` is two.
pub const MAX_NESTING: u8 = 2;
/// Most bytes that are unpacked of one body.
pub const MAX_INFLATED_BYTES: u64 = 64 << 20;
/// Most bytes that come of one packed byte, of what is unpacked and of what an archive claims to hold, once it is
/// more than [`SMALL_BYTES`]. Zeros come to 1,032 (zlib's own figure), documents to ten.
pub const MAX_RATIO: u64 = 250;
/// What may be unpacked at any ratio.
pub const SMALL_BYTES: u64 = 1 << 20;
/// Longest name of an entry that a finding repeats, in characters.
const SHOWN_NAME: usize = 100;

/// What the heads of a request and its answer say of a file. All of it comes from strangers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Declared<'a> {
    /// Path of the URL, percent-encoded or not, without query.
    pub path: Option<&'a str>,
    /// `Content-Disposition` of the answer.
    pub disposition: Option<&'a [u8]>,
    /// `Content-Type` of the answer.
    pub content_type: Option<&'a [u8]>,
    /// `Sec-Fetch-Dest` of the request.
    pub fetch_dest: Option<&'a [u8]>,
}

/// How a kind was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// By the end of a name.
    Name,
    /// By the declared media type.
    Type,
    /// By the bytes.
    Bytes,
    /// In an archive, by the name or the bytes of an entry.
    Inside,
}

/// One kind, and how it was first found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The kind.
    pub kind: FileKind,
    /// How.
    pub by: By,
    /// The name of the file or entry, shortened, control characters removed; for people. `None` where there is
    /// none or it said nothing.
    pub name: Option<String>,
}

/// What was found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The kinds.
    pub kinds: FileKinds,
    /// Each kind once, as first found.
    pub findings: Vec<Finding>,
}

impl Found {
    fn add(&mut self, kind: FileKind, by: By, name: Option<&str>) {
        if self.kinds.insert(kind) {
            let name = name.map(|name| name::clean(name).chars().take(SHOWN_NAME).collect());
            self.findings.push(Finding { kind, by, name });
        }
    }
}

/// What all the archives of a body share: findings and what is left of the bounds.
#[derive(Debug)]
struct Work {
    found: Found,
    purpose: Purpose,
    entries: u32,
    inflated: u64,
    /// A bound was reached: nothing further is looked at.
    is_over: bool,
    /// A `.js` in an archive, and whether the archive looks like a web project, where those belong.
    loose_js: Option<String>,
    is_web_project: bool,
}

impl Work {
    /// Counts an entry; whether it may still be looked at.
    fn may_enter(&mut self) -> bool {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            self.give_up();
        }
        !self.is_over
    }

    /// Counts unpacked bytes.
    fn count_inflated(&mut self, bytes: u64) {
        self.inflated += bytes;
        if self.inflated > MAX_INFLATED_BYTES {
            self.give_up();
        }
    }

    /// A bound was reached.
    fn give_up(&mut self) {
        self.is_over = true;
        self.unreadable();
    }

    /// Something in an archive cannot be looked into.
    fn unreadable(&mut self) {
        self.found.add(FileKind::UnreadableArchive, By::Bytes, None);
    }

    /// The name of an entry.
    fn entry(&mut self, name: &str) {
        if let Some(kind) = name::of_entry(name) {
            self.found.add(kind, By::Inside, Some(name));
        }
        match extension::of(name) {
            "js" if self.loose_js.is_none() => self.loose_js = Some(name.to_owned()),
            "html" | "htm" | "css" => self.is_web_project = true,
            _ => {}
        }
    }
}

/// One body on its way.
#[derive(Debug)]
pub struct Look {
    work: Work,
    stream: Stream,
    /// Fewer than [`HEAD_BYTES`]: in whatever pieces a body comes, it is looked at in the same, and so the same is
    /// found, at the bounds too.
    waiting: Vec<u8>,
}

impl Look {
    /// Judges what is said before the body.
    #[must_use]
    pub fn begin(declared: &Declared<'_>) -> Look {
        let disposition = declared.disposition.map(disposition::read);
        let media = declared.content_type.and_then(media::read);
        let is_attachment = disposition.as_ref().is_some_and(|it| it.is_attachment);
        let purpose = purpose::of(is_attachment, media.as_deref(), declared.fetch_dest);
        let mut found = Found::default();
        let given = disposition.map(|it| it.names).unwrap_or_default();
        let from_path = declared.path.and_then(name::from_path);
        // A client saves under the first; each client has its own order, so all of them count.
        for name in given.iter().chain(&from_path) {
            let is_given = given.contains(name);
            // Sites forget the type of their scripts, and browsers say what they are for over https alone.
            let is_used = |kind: FileKind| {
                let may_be = kind == FileKind::Script && !is_given && declared.fetch_dest.is_none();
                may_be && name::is_page_script(name)
            };
            for kind in name::kinds(name).filter(|kind| !is_used(*kind)) {
                if purpose == Purpose::Download || (is_given && kind != FileKind::Script) {
                    found.add(kind, By::Name, Some(name));
                }
            }
        }
        if let Some(kind) = media.as_deref().and_then(media::kind)
            && (kind != FileKind::Script || purpose == Purpose::Download)
        {
            found.add(kind, By::Type, None);
        }
        let is_document = given.iter().chain(&from_path).any(|name| extension::is_document(name));
        let is_plain_text = given.iter().chain(&from_path).any(|name| extension::is_text(name));
        let work = Work {
            found,
            purpose,
            entries: 0,
            inflated: 0,
            is_over: false,
            loose_js: None,
            is_web_project: false,
        };
        Look { work, stream: Stream::whole(is_document, is_plain_text), waiting: Vec::new() }
    }

    /// Whether the file is saved, or part of a page.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.work.purpose
    }

    /// Takes the next bytes of the body; whether kinds were found that were not known before.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        let before = self.work.found.kinds;
        let missing = (HEAD_BYTES - self.waiting.len()) % HEAD_BYTES;
        let (first, rest) = bytes.split_at(missing.min(bytes.len()));
        self.waiting.extend_from_slice(first);
        if self.waiting.len() == HEAD_BYTES {
            let mut block = std::mem::take(&mut self.waiting);
            self.block(&block);
            block.clear();
            self.waiting = block;
        }
        let mut blocks = rest.chunks_exact(HEAD_BYTES);
        for block in &mut blocks {
            self.block(block);
        }
        self.waiting.extend_from_slice(blocks.remainder());
        self.work.found.kinds != before
    }

    fn block(&mut self, bytes: &[u8]) {
        if !self.work.is_over {
            self.stream.feed(bytes, &mut self.work);
        }
    }

    /// What was found so far.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.work.found
    }

    /// Whether any bytes were fed.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.stream.has_begun() || !self.waiting.is_empty()
    }

    /// Whether the first [`HEAD_BYTES`] came and were judged.
    #[must_use]
    pub fn has_judged_head(&self) -> bool {
        self.stream.is_judged()
    }

    /// Whether the head was judged and is no archive's, nor has one begun since: all that can still be found is an
    /// archive behind it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.stream.is_settled()
    }

    /// Judges a head of which fewer bytes came than [`HEAD_BYTES`], by those signatures alone that need no more: a
    /// caller that cannot wait for the rest asks this before it lets them through. Whether kinds were found that
    /// were not known before.
    pub fn judge_early(&mut self) -> bool {
        let before = self.work.found.kinds;
        if !self.stream.is_judged()
            && let Some(kind) = magic::kind_of(&self.waiting)
        {
            self.work.found.add(kind, By::Bytes, None);
        }
        self.work.found.kinds != before
    }

    /// The rest of the body cannot be looked into, because its coding is broken or it is a piece of a file: it counts
    /// as an archive that cannot be.
    pub fn unreadable(&mut self) {
        self.work.unreadable();
    }

    /// The body is over: judges what waited for its end. A body that was broken off is finished too.
    #[must_use]
    pub fn finish(mut self) -> Found {
        let last = std::mem::take(&mut self.waiting);
        self.block(&last);
        self.stream.finish(&mut self.work);
        if let Some(name) = self.work.loose_js.take().filter(|_| !self.work.is_web_project) {
            self.work.found.add(FileKind::Script, By::Inside, Some(&name));
        }
        self.work.found
    }
}

#[cfg(test)]
mod tests;
