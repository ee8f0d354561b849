//! The pages that people see instead of a site: blocked, sign in, site down, filter fault.
//!
//! A page is one file under 14 KB (the first flight of a TCP connection) with nothing to fetch and
//! no script. Everything filled in is escaped. Pupils never see a list's name, and nobody sees the
//! site or category of a locked one.

use crate::identify::Unproven;
use crate::texts::{Language, Words};
use base64ct::Encoding;
use rules::decide::ReasonCode;
use rules::level::PageStyle;
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

/// The style sheet, inline; its hash is all that the content security policy lets through.
const STYLE: &str = include_str!("page.css");
/// The picture of KS1, which cannot be asked to read.
const GATE: &str = include_str!("gate.svg");
/// The phone numbers that become links, as written and as dialled.
const PHONES: [(&str, &str); 3] =
    [("0800 1111", "08001111"), ("116 123", "116123"), ("85258", "85258")];

/// What a page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A block, in the level's style.
    Blocked(ReasonCode),
    /// A block where help comes first.
    Help,
    /// A locked category.
    Locked,
    /// 407.
    SignIn(Unproven),
    /// 502, with the sentence of this key; none if empty.
    SiteDown(&'static str),
    /// 504.
    SiteSlow,
    /// 503.
    Fault(ReasonCode),
    /// 400, 405.
    BadRequest(ReasonCode),
}

/// A page before it is written out.
pub(crate) struct Page<'a> {
    pub(crate) words: &'a Words,
    pub(crate) kind: Kind,
    pub(crate) style: PageStyle,
    /// Nobody is signed in, though somebody could be.
    pub(crate) unidentified: bool,
    /// Somebody at the school can open what was blocked.
    pub(crate) can_be_opened: bool,
    pub(crate) code: &'a str,
    pub(crate) school: &'a str,
    pub(crate) site: &'a str,
    pub(crate) category: Option<&'a str>,
    pub(crate) list: Option<&'a str>,
    pub(crate) opens: Option<&'a str>,
    pub(crate) until: Option<&'a str>,
    pub(crate) who: Option<&'a str>,
}

/// The content security policy of every page: this style sheet and nothing else.
pub(crate) fn content_security_policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let hash = base64ct::Base64::encode_string(&Sha256::digest(STYLE));
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; sandbox"
        )
    })
}

impl Page<'_> {
    /// The page as HTML.
    pub(crate) fn html(&self) -> String {
        let mut html = String::with_capacity(6 * 1024);
        let big = if self.style == PageStyle::Ks1 && self.table() == "ks1" {
            " class=\"big\""
        } else {
            ""
        };
        html.push_str("<!doctype html>\n<html lang=\"");
        html.push_str(&escaped(self.words.text("page", "lang")));
        html.push_str("\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"robots\" content=\"noindex\"><title>");
        html.push_str(&self.filled(self.table(), "title"));
        html.push_str("</title><style>");
        html.push_str(STYLE);
        html.push_str("</style></head><body><main");
        html.push_str(big);
        html.push('>');
        self.body(&mut html);
        html.push_str("</main></body></html>\n");
        html
    }

    /// The sentence that says why, as text.
    pub(crate) fn sentence(&self) -> String {
        let (table, key) = match self.kind {
            Kind::Blocked(code) | Kind::Fault(code) | Kind::BadRequest(code) => {
                ("reason", code.as_str())
            }
            Kind::Help => ("self_harm", "blocked"),
            Kind::Locked => ("locked", "body"),
            Kind::SignIn(Unproven::Held) => ("sign_in", "held"),
            Kind::SignIn(_) => ("sign_in", "body"),
            Kind::SiteDown(key) => ("site_down", key),
            Kind::SiteSlow => ("site_slow", "body"),
        };
        let text = match self.words.text(table, key) {
            "" => self.words.text(self.table(), "body"),
            text => text,
        };
        self.fill(text, &str::to_owned)
    }

    /// The heading, as text.
    pub(crate) fn title(&self) -> &str {
        self.words.text(self.table(), "title")
    }

    fn table(&self) -> &'static str {
        match self.kind {
            Kind::Blocked(_) => match self.style {
                PageStyle::Ks1 => "ks1",
                PageStyle::Ks2 => "ks2",
                PageStyle::Secondary => "secondary",
                PageStyle::Staff => "staff",
            },
            Kind::Help => "self_harm",
            Kind::Locked => "locked",
            Kind::SignIn(_) => "sign_in",
            Kind::SiteDown(_) => "site_down",
            Kind::SiteSlow => "site_slow",
            Kind::Fault(_) => "fault",
            Kind::BadRequest(_) => "bad_request",
        }
    }

    fn body(&self, html: &mut String) {
        if self.unidentified && matches!(self.kind, Kind::Blocked(_)) {
            self.sign_in_first(html);
        }
        match self.kind {
            Kind::Blocked(code) => match self.style {
                PageStyle::Ks1 => self.ks1(html),
                PageStyle::Ks2 if self.can_be_opened => {
                    self.paragraphs(html, &["body", "ask", "worried"]);
                }
                PageStyle::Ks2 => self.paragraphs(html, &["body", "worried"]),
                PageStyle::Secondary => self.secondary(html, code),
                PageStyle::Staff => self.staff(html, code),
            },
            Kind::Help => self.help(html),
            Kind::Locked => self.paragraphs(html, &["body", "report", "worried"]),
            Kind::SignIn(why) => self.paragraphs(
                html,
                match why {
                    Unproven::Missing => &["body", "forgotten"],
                    Unproven::Wrong => &["wrong", "body", "forgotten"],
                    Unproven::Held => &["held", "forgotten"],
                },
            ),
            Kind::SiteDown(key) => self.paragraphs(html, &["body", key, "todo"]),
            Kind::SiteSlow => self.paragraphs(html, &["body", "todo"]),
            Kind::Fault(code) => {
                self.heading(html);
                self.paragraph(html, "reason", code.as_str());
                self.paragraph(html, "fault", "body");
                self.paragraph(html, "fault", "todo");
            }
            Kind::BadRequest(code) => {
                self.paragraphs(html, &["body", "todo"]);
                if code != ReasonCode::BadRequest {
                    self.paragraph(html, "reason", code.as_str());
                }
            }
        }
        if !matches!((self.kind, self.style), (Kind::Blocked(_), PageStyle::Staff)) {
            self.code_line(html);
        }
    }

    /// KS1 cannot read much: the picture and five words.
    fn ks1(&self, html: &mut String) {
        html.push_str(&GATE.replace("{picture}", &self.filled("ks1", "picture")));
        self.heading(html);
    }

    fn secondary(&self, html: &mut String, code: ReasonCode) {
        self.heading(html);
        self.paragraph(html, "reason", code.as_str());
        self.paragraph(html, "secondary", "body");
        if self.opens.is_some() {
            self.paragraph(html, "secondary", "opens");
        }
        if self.can_be_opened {
            self.paragraph(html, "secondary", if self.who.is_some() { "who" } else { "nobody" });
            self.paragraph(html, "secondary", "ask");
        }
        self.paragraph(html, "secondary", "worried");
    }

    fn staff(&self, html: &mut String, code: ReasonCode) {
        self.heading(html);
        self.paragraph(html, "staff", "body");
        html.push_str("<dl>");
        self.term(html, "why", &self.filled("reason", code.as_str()));
        let none = self.words.text("page", "none");
        self.term(html, "category", &escaped(self.category.unwrap_or(none)));
        self.term(html, "list", &escaped(self.list.unwrap_or(none)));
        if self.can_be_opened {
            self.term(html, "who", &escaped(self.who.unwrap_or(none)));
        }
        if let Some(opens) = self.opens {
            self.term(html, "opens", &escaped(opens));
        }
        self.term(html, "code", &format!("<span class=\"code\">{}</span>", escaped(self.code)));
        html.push_str("</dl>");
        if self.can_be_opened {
            self.paragraph(html, "staff", "ask");
        }
        if self.category.is_some() {
            self.paragraph(html, "staff", "wrong");
        }
    }

    /// Help comes before anything about blocking.
    fn help(&self, html: &mut String) {
        self.heading(html);
        let school = if self.who.is_some() { "school" } else { "school_nobody" };
        for key in ["body", "childline", "samaritans", "text", school, "emergency", "blocked"] {
            self.paragraph(html, "self_harm", key);
        }
        if self.style == PageStyle::Staff {
            self.paragraph(html, "staff", "wrong");
        }
    }

    fn sign_in_first(&self, html: &mut String) {
        html.push_str("<section><p><strong>");
        html.push_str(&self.filled("unidentified", "heading"));
        html.push_str("</strong></p><p>");
        let key = if self.style == PageStyle::Ks1 { "short" } else { "body" };
        html.push_str(&self.filled("unidentified", key));
        html.push_str("</p></section>");
    }

    fn paragraphs(&self, html: &mut String, keys: &[&str]) {
        self.heading(html);
        for key in keys {
            self.paragraph(html, self.table(), key);
        }
    }

    fn heading(&self, html: &mut String) {
        html.push_str("<h1>");
        html.push_str(&self.filled(self.table(), "heading"));
        html.push_str("</h1>");
    }

    fn paragraph(&self, html: &mut String, table: &str, key: &str) {
        let text = self.filled(table, key);
        if !text.is_empty() {
            html.push_str("<p>");
            html.push_str(&text);
            html.push_str("</p>");
        }
    }

    fn term(&self, html: &mut String, key: &str, description: &str) {
        html.push_str("<dt>");
        html.push_str(&self.filled("staff", key));
        html.push_str("</dt><dd>");
        html.push_str(description);
        html.push_str("</dd>");
    }

    fn code_line(&self, html: &mut String) {
        html.push_str("<p class=\"code\">");
        html.push_str(&self.filled("page", "code"));
        html.push_str(": ");
        html.push_str(&escaped(self.code));
        html.push_str("</p>");
    }

    /// A text with its values, as HTML: both escaped, phone numbers as links.
    fn filled(&self, table: &str, key: &str) -> String {
        let text = self.words.text(table, key);
        let mut html = self.fill(&escaped(text), &escaped);
        // Links only where nothing was filled in: a value must never become markup.
        if !text.contains('{') {
            for (written, dialled) in PHONES {
                html = html.replace(written, &format!("<a href=\"tel:{dialled}\">{written}</a>"));
            }
        }
        html
    }

    fn fill(&self, text: &str, show: &dyn Fn(&str) -> String) -> String {
        let none = self.words.text("page", "none");
        let mut out = String::with_capacity(text.len() + 32);
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            out.push_str(&rest[..start]);
            let Some(length) = rest[start..].find('}') else { break };
            let value = match &rest[start + 1..start + length] {
                "school" => Some(self.school),
                "category" => Some(self.category.unwrap_or(none)),
                "list" => Some(self.list.unwrap_or(none)),
                "opens" => Some(self.opens.unwrap_or(none)),
                "until" => Some(self.until.unwrap_or(none)),
                "who" => Some(self.who.unwrap_or(none)),
                "code" => Some(self.code),
                "site" => Some(self.site),
                _ => None,
            };
            out.push_str(&value.map_or_else(|| rest[start..=start + length].to_owned(), show));
            rest = &rest[start + length + 1..];
        }
        out.push_str(rest);
        out
    }
}

/// Text that is safe in HTML, in an attribute too.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters have no place in a page, and some reorder what is read.
            c if c.is_control()
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c) =>
            {
                out.push('\u{fffd}');
            }
            c => out.push(c),
        }
    }
    out
}

/// A time for people from the clock's long form (`Wed 26 Nov 2025 10:00 GMT`): the day and time,
/// with the date where it is further off than a week.
pub(crate) fn short_time(shown: &str, far: bool, language: Language) -> String {
    let mut words = shown.split(' ');
    let (Some(day), Some(date), Some(month), Some(_), Some(time)) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return shown.to_owned();
    };
    let (day, month) = match language {
        Language::English => (day, month),
        Language::Welsh => (welsh(&WELSH_DAYS, day), welsh(&WELSH_MONTHS, month)),
    };
    if far { format!("{day} {date} {month} {time}") } else { format!("{day} {time}") }
}

const WELSH_DAYS: [(&str, &str); 7] = [
    ("Mon", "Llun"),
    ("Tue", "Mawrth"),
    ("Wed", "Mercher"),
    ("Thu", "Iau"),
    ("Fri", "Gwener"),
    ("Sat", "Sadwrn"),
    ("Sun", "Sul"),
];

const WELSH_MONTHS: [(&str, &str); 12] = [
    ("Jan", "Ionawr"),
    ("Feb", "Chwefror"),
    ("Mar", "Mawrth"),
    ("Apr", "Ebrill"),
    ("May", "Mai"),
    ("Jun", "Mehefin"),
    ("Jul", "Gorffennaf"),
    ("Aug", "Awst"),
    ("Sep", "Medi"),
    ("Oct", "Hydref"),
    ("Nov", "Tachwedd"),
    ("Dec", "Rhagfyr"),
];

fn welsh<'a>(table: &[(&str, &'a str)], word: &'a str) -> &'a str {
    table.iter().find(|(english, _)| *english == word).map_or(word, |(_, welsh)| welsh)
}

/// A name of `[roles]` for people: `q.whitmore` as `Q. Whitmore`.
pub(crate) fn shown_name(name: &str) -> String {
    let capital = |part: &str| {
        let mut chars = part.chars();
        chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
    };
    let parts: Vec<String> =
        name.split('.')
            .filter(|part| !part.is_empty())
            .map(|part| {
                if part.chars().count() == 1 {
                    format!("{}.", capital(part))
                } else {
                    capital(part)
                }
            })
            .collect();
    if parts.is_empty() { name.to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests;
