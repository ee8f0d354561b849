//! One run of bytes: the body, or what was unpacked from it. Its head is judged; what goes on inside is followed.

use super::compound::Compound;
use super::gzip::Gzip;
use super::magic::{self, DMG_TRAILER, ISO_AT, ISO_MARKS, Magic, VHD_FOOTER};
use super::tar::Tar;
use super::zip::Zip;
use super::{By, HEAD_BYTES, MAX_NESTING, Purpose, Work};
use rules::file::FileKind;

/// One run of bytes.
#[derive(Debug)]
pub(super) struct Stream {
    /// Archives around it.
    depth: u8,
    /// The first bytes, until they are judged.
    head: Vec<u8>,
    is_judged: bool,
    /// Bytes so far.
    at: u64,
    /// The name says that it is a document which is zip inside.
    is_document: bool,
    /// The name says that it is text, which is shown and not run.
    is_text: bool,
    /// It began as a zip archive.
    is_zip: bool,
    zip: Option<Box<Zip>>,
    inner: Inner,
    /// Of the whole body: the last bytes, and those where a disk image names itself.
    ends: Option<Ends>,
}

#[derive(Debug)]
enum Inner {
    None,
    Gzip(Box<Gzip>),
    Tar(Box<Tar>),
    Compound(Compound),
}

#[derive(Debug, Default)]
struct Ends {
    iso: [u8; 5],
    tail: Vec<u8>,
}

impl Stream {
    /// The body itself.
    pub(super) fn whole(is_document: bool, is_text: bool) -> Stream {
        let zip = Some(Box::new(Zip::new(0)));
        Stream { is_document, is_text, zip, ends: Some(Ends::default()), ..Stream::at(0) }
    }

    /// What is unpacked from an archive that lies in `depth` - 1 others. `seeks_zip`: zip archives in it are not
    /// seen from outside.
    pub(super) fn inside(depth: u8, name: &str, seeks_zip: bool) -> Stream {
        let zip = (seeks_zip && depth <= MAX_NESTING).then(|| Box::new(Zip::new(depth)));
        let is_text = super::extension::is_text(name);
        Stream { is_text, zip, ..Stream::at(depth) }
    }

    fn at(depth: u8) -> Stream {
        Stream {
            depth,
            head: Vec::new(),
            is_judged: false,
            at: 0,
            is_document: false,
            is_text: false,
            is_zip: false,
            zip: None,
            inner: Inner::None,
            ends: None,
        }
    }

    /// Whether nothing further can come of it: its head is judged, and it is no archive.
    pub(super) fn is_settled(&self) -> bool {
        let has_zip = self.zip.as_ref().is_some_and(|zip| zip.has_begun());
        self.is_judged && !has_zip && matches!(self.inner, Inner::None)
    }

    /// Whether the first bytes were judged.
    pub(super) fn is_judged(&self) -> bool {
        self.is_judged
    }

    /// Whether any bytes came.
    pub(super) fn has_begun(&self) -> bool {
        self.at > 0
    }

    /// Bytes that are still to be judged together, or any number.
    pub(super) fn room(&self) -> usize {
        if self.is_judged { usize::MAX } else { HEAD_BYTES - self.head.len() }
    }

    /// Whether it is an archive that is unpacked byte by byte.
    pub(super) fn is_followed(&self) -> bool {
        matches!(self.inner, Inner::Gzip(_) | Inner::Tar(_))
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], work: &mut Work) {
        // Cut where the head ends, so that pieces of any size do the same in the same order.
        if !self.is_judged {
            let (first, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.head.len()));
            self.head.extend_from_slice(first);
            // Before its first bytes are searched: there is no header in fewer than four.
            if let Some(zip) = self.zip.as_mut().filter(|_| magic::is_gzip(&self.head)) {
                zip.names_only();
            }
            self.pass(first, work);
            if self.head.len() == HEAD_BYTES {
                self.judge(work);
            }
            bytes = rest;
        }
        if !bytes.is_empty() {
            self.pass(bytes, work);
            self.feed_inner(bytes, work);
        }
    }

    /// What looks at every byte.
    fn pass(&mut self, bytes: &[u8], work: &mut Work) {
        if let Some(zip) = &mut self.zip {
            zip.feed(bytes, work);
        }
        if let Some(ends) = &mut self.ends {
            ends.feed(self.at, bytes);
        }
        self.at += bytes.len() as u64;
    }

    fn feed_inner(&mut self, bytes: &[u8], work: &mut Work) {
        if work.is_over {
            return;
        }
        match &mut self.inner {
            Inner::None => {}
            Inner::Gzip(gzip) => gzip.feed(bytes, work),
            Inner::Tar(tar) => tar.feed(bytes, work),
            Inner::Compound(compound) => compound.feed(bytes, work),
        }
    }

    pub(super) fn finish(&mut self, work: &mut Work) {
        if !self.is_judged {
            self.judge(work);
        }
        if work.is_over {
            return;
        }
        match &mut self.inner {
            Inner::None | Inner::Compound(_) => {}
            Inner::Gzip(gzip) => gzip.finish(work),
            Inner::Tar(tar) => tar.finish(work),
        }
        if let Some(zip) = &mut self.zip {
            zip.finish(self.at, self.is_zip, work);
        }
        if self.ends.as_ref().is_some_and(Ends::is_disk_image) {
            work.found.add(FileKind::DiskImage, By::Bytes, None);
        }
    }

    fn judge(&mut self, work: &mut Work) {
        self.is_judged = true;
        let head = std::mem::take(&mut self.head);
        let by = if self.depth == 0 { By::Bytes } else { By::Inside };
        let seeks_scripts = !self.is_text && work.purpose == Purpose::Download;
        let magic = magic::judge(&head, seeks_scripts);
        let is_archive = match magic {
            Magic::Other => return,
            Magic::Kind(kind) => {
                work.found.add(kind, by, None);
                return;
            }
            Magic::ScriptText => {
                work.found.add(FileKind::Script, by, None);
                return;
            }
            Magic::Compound => false,
            Magic::Zip => !self.is_document && !is_document_zip(&head),
            Magic::Gzip | Magic::Tar | Magic::ClosedArchive => true,
        };
        if is_archive {
            work.found.add(FileKind::Archive, by, None);
        }
        if magic == Magic::ClosedArchive || (self.depth > MAX_NESTING && magic != Magic::Compound) {
            work.unreadable();
            return;
        }
        self.is_zip = magic == Magic::Zip;
        self.inner = match magic {
            Magic::Gzip => Inner::Gzip(Box::new(Gzip::new(self.depth + 1))),
            Magic::Tar => Inner::Tar(Box::new(Tar::new(self.depth + 1))),
            Magic::Compound => Inner::Compound(Compound::default()),
            _ => Inner::None,
        };
        self.feed_inner(&head, work);
    }
}

/// Whether the first entry of a zip is one that only documents begin with: `mimetype` of OpenDocument and EPUB,
/// the parts of Office Open XML, a project of Scratch.
fn is_document_zip(head: &[u8]) -> bool {
    const NAMES: [&[u8]; 8] = [
        b"mimetype",
        b"[Content_Types].xml",
        b"_rels/",
        b"docProps/",
        b"word/",
        b"xl/",
        b"ppt/",
        b"project.json",
    ];
    head.starts_with(b"PK\x03\x04")
        && head.get(30..).is_some_and(|name| NAMES.iter().any(|known| name.starts_with(known)))
}

impl Ends {
    fn feed(&mut self, at: u64, bytes: &[u8]) {
        for (place, byte) in self.iso.iter_mut().enumerate() {
            let offset = (ISO_AT + place as u64).checked_sub(at);
            if let Some(seen) = offset.and_then(|offset| bytes.get(usize::try_from(offset).ok()?)) {
                *byte = *seen;
            }
        }
        let most = DMG_TRAILER.1;
        if bytes.len() >= most {
            self.tail.clear();
        }
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(most)..]);
        let over = self.tail.len().saturating_sub(most);
        self.tail.drain(..over);
    }

    fn is_disk_image(&self) -> bool {
        let ends =
            |(mark, size): (&[u8], usize)| self.tail.len() == size && self.tail.starts_with(mark);
        ISO_MARKS.contains(&&self.iso) || ends(DMG_TRAILER) || ends(VHD_FOOTER)
    }
}
