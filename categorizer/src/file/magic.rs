//! What the first bytes of a file say.
//!
//! A small table of ours and not a crate: those that there are (`infer`, `file-format`) tell apart some two hundred
//! kinds that no policy has a row for, want the bytes in one piece, and know neither shortcuts, registry files,
//! HTML applications nor macros. Each signature here has its source in the format's own description.

use memchr::memmem::Finder;
use rules::file::FileKind;
use std::sync::LazyLock;

/// What a file's first bytes make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Magic {
    /// Nothing that a policy has a row for.
    Other,
    /// A kind.
    Kind(FileKind),
    /// Text that runs when a device opens it.
    ScriptText,
    /// A zip archive, or one of the many formats that are zip inside.
    Zip,
    /// gzip, whatever is in it.
    Gzip,
    /// tar.
    Tar,
    /// OLE compound file: older office documents, MSI.
    Compound,
    /// An archive that is not looked into.
    ClosedArchive,
}

/// Where the identifier of an ISO 9660 or UDF image stands: in the first volume descriptor.
pub(super) const ISO_AT: u64 = 0x8001;
/// The identifiers there.
pub(super) const ISO_MARKS: [&[u8; 5]; 2] = [b"CD001", b"BEA01"];
/// How an Apple disk image ends: with a trailer of 512 bytes that starts so.
pub(super) const DMG_TRAILER: (&[u8], usize) = (b"koly\0\0\0\x04", 512);
/// How a fixed Windows disk image ends.
pub(super) const VHD_FOOTER: (&[u8], usize) = (b"conectix", 512);

const GZIP: &[u8] = b"\x1f\x8b\x08";

const SIGNATURES: [(&[u8], Magic); 36] = [
    (b"\x7fELF", Magic::Kind(FileKind::Executable)),
    // Mach-O, both orders of bytes, 32 and 64 bits; "fat" ones begin as classes of Java do.
    (b"\xfe\xed\xfa\xce", Magic::Kind(FileKind::Executable)),
    (b"\xfe\xed\xfa\xcf", Magic::Kind(FileKind::Executable)),
    (b"\xce\xfa\xed\xfe", Magic::Kind(FileKind::Executable)),
    (b"\xcf\xfa\xed\xfe", Magic::Kind(FileKind::Executable)),
    (b"\xca\xfe\xba\xbe", Magic::Kind(FileKind::Executable)),
    (b"\xca\xfe\xba\xbf", Magic::Kind(FileKind::Executable)),
    (b"dex\n", Magic::Kind(FileKind::MobileApp)),
    // [MS-SHLLINK] 2.1: the size of the header, and the start of its class.
    (b"L\0\0\0\x01\x14\x02\0", Magic::Kind(FileKind::Script)),
    (b"ITSF\x03\0\0\0", Magic::Kind(FileKind::Script)),
    (b"FasdUAS", Magic::Kind(FileKind::Script)),
    (b"!<arch>\ndebian", Magic::Kind(FileKind::Installer)),
    (b"\xed\xab\xee\xdb", Magic::Kind(FileKind::Installer)),
    (b"xar!\0", Magic::Kind(FileKind::Installer)),
    (b"flatpak\0", Magic::Kind(FileKind::Installer)),
    (b"Cr24", Magic::Kind(FileKind::BrowserExtension)),
    (b"conectix", Magic::Kind(FileKind::DiskImage)),
    (b"vhdxfile", Magic::Kind(FileKind::DiskImage)),
    (b"KDMV", Magic::Kind(FileKind::DiskImage)),
    (b"# Disk DescriptorFile", Magic::Kind(FileKind::DiskImage)),
    (b"QFI\xfb", Magic::Kind(FileKind::DiskImage)),
    (b"MSWIM\0\0\0", Magic::Kind(FileKind::DiskImage)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Magic::Compound),
    (b"PK\x03\x04", Magic::Zip),
    (b"PK\x05\x06", Magic::Zip),
    (b"PK\x07\x08PK", Magic::Zip),
    (b"PK00PK\x03\x04", Magic::Zip),
    (GZIP, Magic::Gzip),
    (b"7z\xbc\xaf\x27\x1c", Magic::ClosedArchive),
    (b"Rar!\x1a\x07", Magic::ClosedArchive),
    (b"MSCF\0\0\0\0", Magic::ClosedArchive),
    (b"BZh", Magic::ClosedArchive),
    (b"\xfd7zXZ\0", Magic::ClosedArchive),
    (b"\x28\xb5\x2f\xfd", Magic::ClosedArchive),
    (b"LZIP\x01", Magic::ClosedArchive),
    (b"\x04\x22\x4d\x18", Magic::ClosedArchive),
];

/// Judges the first bytes: [`super::HEAD_BYTES`], or all where there are fewer. Scripts are looked for where they matter:
/// that is what takes longest.
pub(super) fn judge(head: &[u8], seeks_scripts: bool) -> Magic {
    if is_dos(head) {
        return Magic::Kind(FileKind::Executable);
    }
    let begins = |mark: &[u8]| head.first() == mark.first() && head.starts_with(mark);
    if let Some((mark, magic)) = SIGNATURES.iter().find(|(mark, _)| begins(mark)) {
        // bzip2's block size is a digit: "BZh" alone begins words.
        let is_word = *mark == b"BZh" && !head.get(3).is_some_and(u8::is_ascii_digit);
        return if is_word { Magic::Other } else { *magic };
    }
    if head.get(0x40..0x44) == Some(b"\x7f\x10\xda\xbe") {
        return Magic::Kind(FileKind::DiskImage);
    }
    // LHA: the method stands between hyphens.
    if head.get(2..5) == Some(b"-lh") && head.get(6) == Some(&b'-') {
        return Magic::ClosedArchive;
    }
    if super::tar::is_header(head) {
        return Magic::Tar;
    }
    if seeks_scripts && is_script(head) { Magic::ScriptText } else { Magic::Other }
}

/// The kind that the first bytes alone tell, where more bytes could not make it another.
pub(super) fn kind_of(head: &[u8]) -> Option<FileKind> {
    match judge(head, false) {
        Magic::Kind(kind) => Some(kind),
        _ => None,
    }
}

/// Whether it is gzip, as soon as there are three bytes.
pub(super) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(GZIP)
}

/// `MZ`, as programs of DOS and Windows begin; a text that does has no control characters so early.
fn is_dos(head: &[u8]) -> bool {
    let is_marked = head.starts_with(b"MZ") || head.starts_with(b"ZM");
    is_marked && head.iter().skip(2).take(62).any(|byte| *byte < 9)
}

/// Text by which a device runs the file.
fn is_script(head: &[u8]) -> bool {
    if head.starts_with(b"#!") {
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        // Python in lessons begins so too, and runs where the school has it.
        return !contains(line, b"python") && (contains(line, b"/") || contains(line, b" "));
    }
    let text = as_text(head);
    let text = text.trim_ascii_start();
    let begins =
        |mark: &[u8]| text.get(..mark.len()).is_some_and(|it| it.eq_ignore_ascii_case(mark));
    const BEGINNINGS: [&[u8]; 9] = [
        b"@echo off",
        b"@if ",
        b"windows registry editor",
        b"regedit4",
        b"[internetshortcut]",
        b"[desktop entry]",
        b"[shell]",
        b"<job",
        b"<scriptlet",
    ];
    if BEGINNINGS.iter().any(|mark| begins(mark)) {
        return true;
    }
    let lower = text.to_ascii_lowercase();
    MARKS.iter().any(|mark| mark.find(&lower).is_some())
}

/// What scripts say somewhere, in lower case.
static MARKS: LazyLock<[Finder<'static>; 8]> = LazyLock::new(|| {
    [
        "<hta:application",
        "wscript.createobject",
        "wscript.shell",
        "createobject(\"",
        "new activexobject(",
        "set-executionpolicy",
        "invoke-expression",
        "new-object net.webclient",
    ]
    .map(Finder::new)
});

fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    memchr::memmem::find(bytes, mark).is_some()
}

/// The bytes without a byte-order mark; UTF-16, as Windows saves scripts, as its low bytes.
fn as_text(head: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match head {
        [0xff, 0xfe, rest @ ..] => rest.iter().step_by(2).copied().collect::<Vec<u8>>().into(),
        [0xfe, 0xff, _, rest @ ..] => rest.iter().step_by(2).copied().collect::<Vec<u8>>().into(),
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.into(),
        _ => head.into(),
    }
}
