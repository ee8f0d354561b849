//! What the ends of names stand for.

use rules::file::FileKind;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Ends of names by kind. Which ones run when they are opened is after the lists that mail programs and school
/// filters block; programs that only run where the school has installed an interpreter for lessons (Python, for
/// one) are not among them.
const KINDS: [(FileKind, &str); 8] = [
    (
        FileKind::Executable,
        "appimage class com cpl dll drv dylib efi elf exe ex_ jar kext msstyles ocx pif prx run \
         scr so sys tlb vxd wll xll",
    ),
    (
        FileKind::Script,
        "action application applescript appref-ms asx bas bash bat btm chm cmd command cnt csh \
         desktop diagcab diagcfg fish fxp gadget grp hlp hta inf ins iqy isp its jnlp job js jse \
         ksh library-ms lnk mam maf maq mar mat mau mav maw mcf msc mshxml oqy osd pcd ps1 \
         ps1xml ps2 ps2xml psc1 psc2 psd1 psdm1 psm1 rdp reg rgs scf scpt scptd sct \
         search-ms searchconnector-ms settingcontent-ms sh shb shs slk terminal theme themepack \
         tool udl url vb vba vbe vbp vbs webloc website workflow ws wsc wsf wsh xbap xnk zsh",
    ),
    (
        FileKind::Installer,
        "air appinstaller appx appxbundle deb flatpak flatpakref mpkg msi msix msixbundle msp \
         mst msu pkg rpm snap",
    ),
    (FileKind::MobileApp, "aab apk apkm apks hap ipa xap xapk"),
    (FileKind::BrowserExtension, "crx nex oex safariextz xpi"),
    (
        FileKind::MacroDocument,
        "accda accdb accde accdr accdu ade adn adp docm dotm mad mda mdb mde mdn mdt mdw mdz \
         potm ppa ppam ppsm pptm sldm xla xlam xlm xlsb xlsm xltm",
    ),
    (
        FileKind::DiskImage,
        "b5t b6t bwt cdr ccd dmg img iso isz mdx nrg ova qcow qcow2 sparsebundle sparseimage \
         swm toast udf vdi vhd vhdx vmdk wim",
    ),
    (
        FileKind::Archive,
        "7z ace alz arc arj bz bz2 cab cpio egg gz gzip hqx lha lz lz4 lzh lzma lzo pea rar rev \
         sea sit sitx tar taz tbz tbz2 tgz tlz txz tz tzst war xz z zip zipx zoo zst",
    ),
];

/// Documents that are zip archives inside: not archives to whoever opens them.
const DOCUMENTS: &str = "3mf cbz docx dotx epub fcstd flipchart ggb gwb h5p idml key kmz kra mscz mxl notebook \
     numbers odb odf odg odp ods odt ora otp ots ott pages potx ppsx pptx sb sb2 sb3 usdz vsdx xlsx xltx xps";

/// Ends whose files are opened as text or shown, whatever is in them.
const TEXTS: &str = "c cpp cs css csv go h htm html ini java json log md pdf php py rb rs rst rtf svg tex text ts tsv \
     txt xml yaml yml";

/// Bytes of the longest of [`DOCUMENTS`] and [`TEXTS`].
const LONGEST_END: usize = 9;

static BY_END: LazyLock<HashMap<&str, FileKind>> = LazyLock::new(|| {
    let ends = |(kind, ends): &(FileKind, &'static str)| {
        let kind = *kind;
        ends.split_ascii_whitespace().map(move |end| (end, kind))
    };
    KINDS.iter().flat_map(ends).collect()
});
static DOCUMENT_ENDS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| DOCUMENTS.split_ascii_whitespace().collect());
static TEXT_ENDS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| TEXTS.split_ascii_whitespace().collect());

/// The end of a name, in no other case than it has: what stands after its last dot.
pub(super) fn of(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.rsplit_once('.').map_or("", |(_, end)| end)
}

/// The kind of an end in lower case.
pub(super) fn kind(end: &str) -> Option<FileKind> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if end.is_empty() || end.len() > 24 || !end.bytes().all(is_plain) {
        return None;
    }
    // Split archives: `r00`, `z01`, `001`.
    let is_part = end.len() == 3
        && end[1..].bytes().all(|byte| byte.is_ascii_digit())
        && matches!(end.as_bytes()[0], b'r' | b'z' | b'0');
    if is_part {
        return Some(FileKind::Archive);
    }
    BY_END.get(end).copied()
}

/// Whether a name is one of a document that is a zip archive inside.
pub(super) fn is_document(name: &str) -> bool {
    has_end(name, &DOCUMENT_ENDS)
}

/// Whether a name is one of text that is shown, not run.
pub(super) fn is_text(name: &str) -> bool {
    has_end(name, &TEXT_ENDS)
}

fn has_end(name: &str, ends: &HashSet<&str>) -> bool {
    let end = of(name);
    // None is longer, and the largest part of all addresses has none.
    (1..=LONGEST_END).contains(&end.len()) && ends.contains(end.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_stands_for_one_kind() {
        let ends = KINDS.iter().flat_map(|(_, ends)| ends.split_ascii_whitespace());
        let mut known = HashSet::new();
        for end in ends {
            assert!(known.insert(end), "{end} is there twice");
            assert!(kind(end).is_some() && end == end.to_lowercase(), "{end}");
            let is_other = DOCUMENT_ENDS.contains(end) || TEXT_ENDS.contains(end);
            assert!(!is_other, "{end} is a document or text as well");
        }
        assert!(known.len() > 200, "{}", known.len());
        let longest = DOCUMENT_ENDS.iter().chain(TEXT_ENDS.iter()).map(|end| end.len()).max();
        assert_eq!(longest, Some(LONGEST_END));
    }
}
