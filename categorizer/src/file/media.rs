//! Declared media types.

use rules::file::FileKind;

/// The type and subtype in lower case, without parameters; `None` where there is none to read.
pub(super) fn read(value: &[u8]) -> Option<String> {
    // Two fields joined by a comma: browsers take the last; a filter that took it would miss what others take.
    let first = value.split(|byte| matches!(byte, b';' | b',')).next()?;
    let text = std::str::from_utf8(first.trim_ascii()).ok()?;
    let is_type = text.len() <= 127 && text.split_once('/').is_some_and(|(_, sub)| !sub.is_empty());
    is_type.then(|| text.to_ascii_lowercase())
}

/// What browsers do with a type that is not an attachment.
pub(super) enum Shown {
    /// Shown, played or run as part of a page.
    ByPages,
    /// Shown as text.
    AsText,
    /// Saved.
    Saved,
}

/// What browsers do with a type.
pub(super) fn shown(media: &str) -> Shown {
    if is_javascript(media) {
        return Shown::ByPages;
    }
    if kind(media).is_some() {
        return Shown::Saved;
    }
    let (top, sub) = media.split_once('/').unwrap_or((media, ""));
    match top {
        "image" | "audio" | "video" | "font" | "multipart" => Shown::ByPages,
        "text" => match sub {
            "html" | "css" | "xml" | "event-stream" | "x-component" | "cache-manifest" => {
                Shown::ByPages
            }
            _ => Shown::AsText,
        },
        "application" => match sub {
            "xhtml+xml" | "xml" | "json" | "pdf" | "wasm" | "manifest+json" | "ld+json" => {
                Shown::ByPages
            }
            _ if sub.ends_with("+json") || sub.ends_with("+xml") => Shown::ByPages,
            // Fonts by their older names, streams of players, calls of web applications.
            "font-woff"
            | "font-woff2"
            | "x-font-woff"
            | "x-font-ttf"
            | "vnd.ms-fontobject"
            | "x-mpegurl"
            | "vnd.apple.mpegurl"
            | "grpc"
            | "grpc-web"
            | "x-protobuf"
            | "protobuf"
            | "x-www-form-urlencoded"
            | "x-ndjson" => Shown::ByPages,
            _ => Shown::Saved,
        },
        _ => Shown::Saved,
    }
}

/// The essences that the MIME Sniffing Standard calls JavaScript.
fn is_javascript(media: &str) -> bool {
    let (top, sub) = media.split_once('/').unwrap_or((media, ""));
    let sub = sub.strip_prefix("x-").unwrap_or(sub);
    matches!(top, "text" | "application")
        && (sub.starts_with("javascript") || matches!(sub, "ecmascript" | "jscript" | "livescript"))
}

/// The kind that a type stands for.
pub(super) fn kind(media: &str) -> Option<FileKind> {
    if is_javascript(media) {
        return Some(FileKind::Script);
    }
    if media.contains("macroenabled") {
        return Some(FileKind::MacroDocument);
    }
    let (_, sub) = media.split_once('/')?;
    let bare = sub.strip_prefix("x-").unwrap_or(sub);
    let bare = bare.strip_prefix("vnd.").unwrap_or(bare);
    Some(match bare {
        "msdownload"
        | "ms-dos-executable"
        | "msdos-program"
        | "dosexec"
        | "exe"
        | "winexe"
        | "microsoft.portable-executable"
        | "executable"
        | "elf"
        | "pie-executable"
        | "sharedlib"
        | "object"
        | "mach-binary"
        | "mach-o-executable"
        | "java-archive"
        | "java-vm"
        | "java-applet"
        | "java-class"
        | "com"
        | "appimage" => FileKind::Executable,
        "sh" | "shellscript" | "shar" | "csh" | "bash" | "zsh" | "bat" | "msdos-batch"
        | "ms-bat" | "vbscript" | "vbs" | "hta" | "powershell" | "ms-shortcut" | "mswinurl"
        | "java-jnlp-file" | "ms-application" | "ms-htmlhelp" | "applescript" | "desktop" => {
            FileKind::Script
        }
        "msi"
        | "ms-installer"
        | "msix"
        | "appx"
        | "appxbundle"
        | "msixbundle"
        | "ms-appx"
        | "debian.binary-package"
        | "debian-package"
        | "deb"
        | "rpm"
        | "redhat-package-manager"
        | "apple.installer+xml"
        | "newton-compatible-pkg"
        | "flatpak"
        | "snap" => FileKind::Installer,
        "android.package-archive" | "apk" | "itunes-ipa" | "ios-app" => FileKind::MobileApp,
        "chrome-extension" | "xpinstall" => FileKind::BrowserExtension,
        "iso9660-image" | "iso-image" | "apple-diskimage" | "raw-disk-image" | "virtualbox-vdi"
        | "vhd" | "vhdx" | "virtual-disk" | "cd-image" | "ms-wim" => FileKind::DiskImage,
        "zip" | "zip-compressed" | "7z-compressed" | "rar" | "rar-compressed" | "gzip" | "tar"
        | "gtar" | "compressed-tar" | "bzip" | "bzip2" | "xz" | "lzma" | "zstd" | "lz4"
        | "compress" | "compressed" | "ms-cab-compressed" | "cab" | "lzh" | "lzh-compressed"
        | "lha" | "arj" | "ace-compressed" | "stuffit" | "cpio" | "alz" => FileKind::Archive,
        _ => return None,
    })
}
