//! Whether an answer is saved as a file, or is part of a page.

use super::media;

/// What a client does with an answer, as far as its request and the answer tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is shown, or used by a page.
    Page,
    /// It is saved, or may be.
    Download,
}

/// Destinations of the Fetch Standard whose answers a page uses, and which no browser saves. `empty` is `fetch`.
const USED: [&[u8]; 15] = [
    b"audio",
    b"audioworklet",
    b"empty",
    b"font",
    b"image",
    b"json",
    b"manifest",
    b"paintworklet",
    b"script",
    b"serviceworker",
    b"sharedworker",
    b"style",
    b"track",
    b"video",
    b"worker",
];

/// The purpose, the first of these that holds:
///
/// 1. `Content-Disposition: attachment`: a download.
/// 2. The media type is of a file to run or keep (`application/octet-stream`, of programs, archives, and none at
///    all): part of a page where `Sec-Fetch-Dest` says that a page uses it, else a download.
/// 3. Plain text and the like: a download where the client says no destination (`curl`, `wget`), else shown.
/// 4. Anything that browsers show or pages use: part of a page.
///
/// `Sec-Fetch-Dest` is the client's own word: a program may lie, and gains no more than the text of a script; what
/// bytes say counts for both purposes.
pub(super) fn of(is_attachment: bool, media: Option<&str>, dest: Option<&[u8]>) -> Purpose {
    if is_attachment {
        return Purpose::Download;
    }
    let is_used = dest.is_some_and(|dest| {
        let dest = dest.trim_ascii().to_ascii_lowercase();
        USED.contains(&dest.as_slice())
    });
    match media.map_or(media::Shown::Saved, media::shown) {
        media::Shown::ByPages => Purpose::Page,
        media::Shown::AsText if dest.is_some() => Purpose::Page,
        media::Shown::AsText => Purpose::Download,
        media::Shown::Saved if is_used => Purpose::Page,
        media::Shown::Saved => Purpose::Download,
    }
}
