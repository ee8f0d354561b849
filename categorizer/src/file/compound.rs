//! OLE compound files ([MS-CFB]): older office documents and MSI packages.
//!
//! Their directory may lie anywhere in the file, in any order of sectors, but an entry of it is always in one
//! piece of 128 bytes: names and classes are looked for in all bytes, and no sector is followed.

use super::{By, Work};
use memchr::memmem;
use rules::file::FileKind;

/// Names in UTF-16 and classes of directory entries, with what they make of a file.
const MARKS: [(&[u8], FileKind); 6] = [
    (b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0", FileKind::MacroDocument),
    (b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0", FileKind::EncryptedArchive),
    // The classes of MSI packages, transforms and patches: 000C1084, 000C1082 and 000C1086.
    (b"\x84\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0\x46", FileKind::Installer),
    (b"\x82\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0\x46", FileKind::Installer),
    (b"\x86\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0\x46", FileKind::Installer),
    // Programs put into documents: the stream of an embedded object of the packager.
    (b"\x01\0O\0l\0e\x001\x000\0N\0a\0t\0i\0v\0e\0", FileKind::Executable),
];
const LONGEST: usize = 34;

/// The search so far.
#[derive(Debug, Default)]
pub(super) struct Compound {
    /// The last bytes, in which a mark may have begun.
    carried: Vec<u8>,
}

impl Compound {
    pub(super) fn feed(&mut self, bytes: &[u8], work: &mut Work) {
        // The seam first: the end of what was, the beginning of what comes.
        let mut seam = std::mem::take(&mut self.carried);
        seam.extend_from_slice(&bytes[..bytes.len().min(LONGEST)]);
        for text in [seam.as_slice(), bytes] {
            for (mark, kind) in MARKS {
                if !work.found.kinds.contains(kind) && memmem::find(text, mark).is_some() {
                    work.found.add(kind, By::Bytes, None);
                }
            }
        }
        let tail = if bytes.len() >= LONGEST { bytes } else { &seam };
        self.carried = tail[tail.len().saturating_sub(LONGEST - 1)..].to_vec();
    }
}
