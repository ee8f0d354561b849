//! Whether somebody opened what a request asks for, or a page fetched it by itself.
//!
//! Browsers say so: by fetch metadata (W3C, Fetch Metadata Request Headers) where the site is secure, and else by what
//! they accept, which for a page begins with `text/html`. What they do not say there is whether such a page is
//! to stand in a frame of another. That is told by the page that it comes from and by the time ([`Loads`]).
//!
//! Programs other than browsers may say what they like, so that what is taken for a part hides nothing but this: that
//! somebody wanted to open a site that was refused. What the text of a page says counts whatever it was asked for as.

mod loads;

pub use loads::Loads;

/// Who asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Visit {
    /// It is not known: a tunnel, a program, a record of before this was told.
    #[default]
    Unknown = 0,
    /// Somebody opened it, as a page of its own.
    Opened = 1,
    /// A page fetched it: a picture, a script, a frame.
    Part = 2,
    /// A page, it seems, put it in a frame, or fetched it in case somebody opens it.
    Frame = 3,
}

impl Visit {
    /// All, in the order of their numbers.
    pub const ALL: [Visit; 4] = [Visit::Unknown, Visit::Opened, Visit::Part, Visit::Frame];

    /// `unknown`, `opened`, `part` or `frame`: the word in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Visit::Unknown => "unknown",
            Visit::Opened => "opened",
            Visit::Part => "part",
            Visit::Frame => "frame",
        }
    }

    /// The visit of this number; numbers are never reassigned.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Visit> {
        Visit::ALL.get(usize::from(number)).copied()
    }
}

/// What a request's head says of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clues<'a> {
    /// Method.
    pub method: &'a str,
    /// Path, without query.
    pub path: &'a str,
    /// Whether it opens a WebSocket.
    pub websocket: bool,
    /// `Sec-Fetch-Dest`.
    pub dest: Option<&'a str>,
    /// `Sec-Fetch-Mode`.
    pub mode: Option<&'a str>,
    /// `Sec-Purpose`, or `Purpose`.
    pub purpose: Option<&'a str>,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `User-Agent`.
    pub agent: Option<&'a str>,
    /// Whether there is `Upgrade-Insecure-Requests: 1`, which browsers send with pages alone.
    pub upgrades: bool,
    /// `X-Requested-With`.
    pub requested_with: Option<&'a str>,
    /// Whether there is an `Origin`.
    pub has_origin: bool,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Referer`.
    pub referer: Option<&'a str>,
}

impl<'a> Clues<'a> {
    /// All that fields say; `field` gives one by its name in small letters.
    pub fn of(method: &'a str, path: &'a str, field: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self {
            method,
            path,
            websocket: field("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket")),
            dest: field("sec-fetch-dest"),
            mode: field("sec-fetch-mode"),
            purpose: field("sec-purpose").or_else(|| field("purpose")),
            accept: field("accept"),
            agent: field("user-agent"),
            upgrades: field("upgrade-insecure-requests") == Some("1"),
            requested_with: field("x-requested-with"),
            has_origin: field("origin").is_some(),
            content_type: field("content-type"),
            referer: field("referer"),
        }
    }
}

/// Methods that no click makes: a script asked.
const OF_SCRIPTS: [&str; 6] = ["OPTIONS", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"];

/// Endings of what a page is made of and nobody opens by itself. Pictures and films are not among
/// them: people do open these.
const PARTS: [&str; 13] = [
    ".js", ".mjs", ".css", ".map", ".woff", ".woff2", ".ttf", ".otf", ".ico", ".wasm", ".m4s",
    ".ts", ".swf",
];

/// What a page can be put into.
const FRAMES: [&str; 5] = ["iframe", "frame", "embed", "object", "fencedframe"];

/// The types of what a form sends.
const OF_FORMS: [&str; 3] =
    ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

/// Whether a path ends as parts of pages do.
#[must_use]
pub fn is_part(path: &str) -> bool {
    let path = path.as_bytes();
    PARTS.iter().any(|ending| {
        let from = path.len().checked_sub(ending.len());
        from.is_some_and(|from| path[from..].eq_ignore_ascii_case(ending.as_bytes()))
    })
}

/// Whether only scripts use a method.
#[must_use]
pub fn is_of_scripts(method: &str) -> bool {
    OF_SCRIPTS.contains(&method)
}

/// Who asked, by the head alone. `None`: a page, of which [`Loads`] tells whether it stands by itself.
#[must_use]
pub fn told_by(clues: &Clues<'_>) -> Option<Visit> {
    if clues.method == "CONNECT" {
        return Some(Visit::Unknown);
    }
    if is_of_scripts(clues.method) || clues.websocket {
        return Some(Visit::Part);
    }
    if clues.purpose.is_some_and(|it| it.contains("prefetch") || it.contains("prerender")) {
        // Where somebody opens it then, it may not be asked for again.
        return Some(Visit::Frame);
    }
    match (clues.dest, clues.mode) {
        (Some("document"), _) => Some(Visit::Opened),
        (Some(dest), _) if FRAMES.contains(&dest) => Some(Visit::Part),
        // Asked for by a site's service worker, for somebody who opens a page.
        (Some(_), Some("navigate")) => Some(Visit::Opened),
        // An extension may have written over what the browser said of it.
        (Some(_), _) if asks_for_page(clues) => Some(Visit::Opened),
        (Some(_), _) => Some(Visit::Part),
        (None, Some("navigate")) => None,
        (None, Some(_)) => Some(Visit::Part),
        (None, None) => by_accept(clues),
    }
}

/// Whether it has what browsers send where they open a page, and pages' scripts do not.
fn asks_for_page(clues: &Clues<'_>) -> bool {
    clues.upgrades || is_html_first(clues) && !is_xml_http(clues)
}

fn is_html_first(clues: &Clues<'_>) -> bool {
    clues.accept.is_some_and(|accept| accept.starts_with("text/html"))
}

/// Whether a script's library says that it asks.
fn is_xml_http(clues: &Clues<'_>) -> bool {
    clues.requested_with.is_some_and(|it| it.eq_ignore_ascii_case("XMLHttpRequest"))
}

/// Who asked, where there is no fetch metadata.
fn by_accept(clues: &Clues<'_>) -> Option<Visit> {
    let is_get = clues.method == "GET";
    let of_form = |kind: &str| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        OF_FORMS.iter().any(|form| form.eq_ignore_ascii_case(kind))
    };
    let is_script = is_xml_http(clues)
        || is_get && clues.has_origin
        || !is_get && clues.content_type.is_some_and(|kind| !of_form(kind))
        || is_part(clues.path)
        || clues.referer.is_some_and(|from| is_part(path_of(from)));
    let accept = clues.accept.unwrap_or_default();
    if is_script {
        Some(Visit::Part)
    } else if is_html_first(clues) || accept.starts_with("application/x") {
        None
    } else if clues.agent.is_some_and(|agent| agent.starts_with("Mozilla/")) {
        // All browsers accept HTML where they open a page.
        Some(Visit::Part)
    } else {
        Some(Visit::Unknown)
    }
}

/// The path of a URL.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    rest.find('/').map_or("", |place| &rest[place..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64)";

    #[test]
    fn what_a_head_says_is_believed_in_the_order_of_its_worth() {
        let get = Clues { method: "GET", path: "/a", agent: Some(BROWSER), ..Clues::default() };
        let secure = |dest, mode| Clues { dest: Some(dest), mode: Some(mode), ..get };
        let html = Clues { accept: Some(HTML), ..get };
        let cases = [
            ("a tunnel", Clues { method: "CONNECT", ..get }, Some(Visit::Unknown)),
            ("a page", secure("document", "navigate"), Some(Visit::Opened)),
            (
                "a page that ends as a script does",
                Clues { path: "/a.js", ..secure("document", "navigate") },
                Some(Visit::Opened),
            ),
            ("a frame", secure("iframe", "navigate"), Some(Visit::Part)),
            ("a picture", secure("image", "no-cors"), Some(Visit::Part)),
            ("a fetch", secure("empty", "cors"), Some(Visit::Part)),
            (
                "a page that is called a picture",
                Clues { accept: Some(HTML), ..secure("image", "no-cors") },
                Some(Visit::Opened),
            ),
            (
                "the same, by what else comes with it",
                Clues { upgrades: true, ..secure("empty", "cors") },
                Some(Visit::Opened),
            ),
            (
                "a script that puts HTML into its page",
                Clues {
                    accept: Some("text/html, */*; q=0.01"),
                    requested_with: Some("XMLHttpRequest"),
                    ..secure("empty", "cors")
                },
                Some(Visit::Part),
            ),
            (
                "a frame, as it is sent",
                Clues { accept: Some(HTML), upgrades: true, ..secure("iframe", "navigate") },
                Some(Visit::Part),
            ),
            ("a service worker's page", secure("empty", "navigate"), Some(Visit::Opened)),
            (
                "fetched in case",
                Clues { purpose: Some("prefetch;prerender"), ..secure("document", "navigate") },
                Some(Visit::Frame),
            ),
            ("a preflight", Clues { method: "OPTIONS", ..html }, Some(Visit::Part)),
            ("a socket", Clues { websocket: true, ..get }, Some(Visit::Part)),
            ("by an older browser", html, None),
            (
                "a form",
                Clues { method: "POST", content_type: Some("multipart/form-data; b=1"), ..html },
                None,
            ),
            (
                "a beacon",
                Clues { method: "POST", content_type: Some("application/json"), ..html },
                Some(Visit::Part),
            ),
            ("from elsewhere", Clues { has_origin: true, ..html }, Some(Visit::Part)),
            (
                "a script",
                Clues { requested_with: Some("XMLHttpRequest"), ..html },
                Some(Visit::Part),
            ),
            ("in an app", Clues { requested_with: Some("org.example.app"), ..html }, None),
            ("an icon", Clues { path: "/favicon.ICO", ..html }, Some(Visit::Part)),
            (
                "from a script",
                Clues { referer: Some("http://a.test/x.js?1"), ..html },
                Some(Visit::Part),
            ),
            ("anything, by a browser", Clues { accept: Some("*/*"), ..get }, Some(Visit::Part)),
            (
                "by a program",
                Clues { agent: Some("curl/8.1"), accept: Some("*/*"), ..get },
                Some(Visit::Unknown),
            ),
            ("by nobody", Clues { agent: None, ..get }, Some(Visit::Unknown)),
        ];
        for (what, clues, expected) in cases {
            assert_eq!(told_by(&clues), expected, "{what}");
        }
    }

    #[test]
    fn numbers_go_there_and_back() {
        for visit in Visit::ALL {
            assert_eq!(Visit::from_number(visit as u8), Some(visit));
        }
        assert_eq!(Visit::from_number(4), None);
    }

    #[test]
    fn the_path_of_a_url_is_found() {
        for (url, path) in [
            ("http://a.test/x.js?y.css", "/x.js"),
            ("https://a.test", ""),
            ("a.test/b#c", "/b"),
            ("", ""),
        ] {
            assert_eq!(path_of(url), path, "{url}");
        }
    }
}
