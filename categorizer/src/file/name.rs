//! Names of files, as devices read them: the same letters may be read in several ways, and each counts.

use super::extension;
use rules::file::FileKind;

/// The last part of a URL's path, decoded; `None` where it has none.
pub(super) fn from_path(path: &str) -> Option<String> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = percent_decoded(last);
    (!name.is_empty()).then_some(name)
}

/// `%2e` and the like decoded once, as a client does for a name to save under; what is no code stays.
pub(super) fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |place: usize| bytes.get(place).and_then(|byte| (*byte as char).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A name without what nobody sees: control characters, marks of writing direction (U+202E turns
/// `annexe[...]fdp.exe` around), joiners of no width.
pub(super) fn clean(name: &str) -> String {
    if name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return name.to_owned();
    }
    let is_unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    name.chars().filter(|c| !is_unseen(*c)).collect()
}

/// The kinds that a name stands for, under each of its readings.
pub(super) fn kinds(name: &str) -> impl Iterator<Item = FileKind> {
    readings(name).into_iter().filter_map(|reading| extension::kind(&end(&reading)))
}

/// The readings of a name: whole; up to a NUL, where C ends a text; up to a `;`, where servers' path parameters
/// begin; up to a `:`, where Windows names a stream of the file.
fn readings(name: &str) -> Vec<String> {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let mut readings = vec![clean(file)];
    for mark in ['\0', ';', ':'] {
        if let Some((before, _)) = file.split_once(mark) {
            readings.push(clean(before));
        }
    }
    readings
}

/// The end of a name in lower case. Windows takes dots and spaces off the end of a name that it saves.
fn end(name: &str) -> String {
    let trimmed = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace() || c == '"');
    extension::of(trimmed).trim().to_lowercase()
}

/// The kind of an entry of an archive: by its end, or because it makes the archive what it is.
pub(super) fn of_entry(name: &str) -> Option<FileKind> {
    let name = name.strip_prefix("./").unwrap_or(name);
    match name {
        // A manifest makes a zip a program of Java; Android's, an app; Microsoft's, a package.
        "META-INF/MANIFEST.MF" => return Some(FileKind::Executable),
        "AndroidManifest.xml" | "classes.dex" => return Some(FileKind::MobileApp),
        "AppxManifest.xml" | "AppxBlockMap.xml" => return Some(FileKind::Installer),
        "META-INF/mozilla.rsa" => return Some(FileKind::BrowserExtension),
        _ => {}
    }
    let lower = name.to_lowercase();
    if lower.ends_with("vbaproject.bin") || lower.contains("xl/macrosheets/") {
        return Some(FileKind::MacroDocument);
    }
    if lower.starts_with("payload/") && lower.contains(".app/") {
        return Some(FileKind::MobileApp);
    }
    // A folder may end in anything, and scripts of a page are judged with the archive's other names.
    if name.ends_with(['/', '\\']) {
        return None;
    }
    kinds(name).find(|kind| *kind != FileKind::Script || !is_page_script(name))
}

/// Whether it may be a script of a page.
pub(super) fn is_page_script(name: &str) -> bool {
    end(&clean(name)) == "js"
}
