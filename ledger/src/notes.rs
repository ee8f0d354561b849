//! What some records say besides: the words of a search, and signs of a theme.
//!
//! Few records have any, so that both stand apart from what every record has: in a table of their own in a
//! day's file, in columns that are empty elsewhere in a sealed one. Both are part of what a record is proved
//! with ([`crate::evidence::row`]); a record without them has the hash that it had before there were any.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, ValueRef};
use std::fmt::Write as _;

/// Most bytes of a search's words that are kept; they are 512 characters at most where they are found.
pub const MAX_WORDS_BYTES: usize = 2048;

/// Most bytes of a site's name that are kept.
pub const MAX_SITE_BYTES: usize = 64;

/// Most signs of a decision, and most of an end.
pub const MAX_SIGNS: usize = 8;

/// Most bytes of a theme's name.
pub const MAX_THEME_BYTES: usize = 32;

/// Why words were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum WordsKind {
    /// A search.
    Search = 0,
    /// Asked for letter by letter while somebody types.
    Suggest = 1,
    /// Asked of an assistant.
    Prompt = 2,
}

impl WordsKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [WordsKind; 3] = [WordsKind::Search, WordsKind::Suggest, WordsKind::Prompt];

    /// `search`, `suggest` or `prompt`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            WordsKind::Search => "search",
            WordsKind::Suggest => "suggest",
            WordsKind::Prompt => "prompt",
        }
    }

    /// The kind stored as this number; numbers are never reassigned.
    #[must_use]
    pub fn from_number(number: u8) -> Option<WordsKind> {
        WordsKind::ALL.get(usize::from(number)).copied()
    }

    /// The kind of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<WordsKind> {
        WordsKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The words of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Words<'a> {
    /// The words; [`MAX_WORDS_BYTES`] are kept.
    pub text: &'a str,
    /// Why they were sent.
    pub kind: WordsKind,
    /// The site's name; [`MAX_SITE_BYTES`] are kept.
    pub site: &'a str,
}

impl Words<'_> {
    /// The words on their own.
    #[must_use]
    pub fn owned(&self) -> SearchWords {
        let (text, site) = (self.text.to_owned(), self.site.to_owned());
        SearchWords { text, kind: self.kind, site }
    }
}

/// The words of a search, as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchWords {
    /// The words.
    pub text: String,
    /// Why they were sent.
    pub kind: WordsKind,
    /// The site's name.
    pub site: String,
}

/// Where a sign was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignSource {
    /// The words of a search.
    Search,
    /// The address.
    Url,
    /// What was asked of an assistant.
    Prompt,
    /// A page's text.
    Page,
    /// An assistant's answer.
    Reply,
}

impl SignSource {
    /// All sources.
    pub const ALL: [SignSource; 5] = [
        SignSource::Search,
        SignSource::Url,
        SignSource::Prompt,
        SignSource::Page,
        SignSource::Reply,
    ];

    /// `search`, `url`, `prompt`, `page` or `reply`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SignSource::Search => "search",
            SignSource::Url => "url",
            SignSource::Prompt => "prompt",
            SignSource::Page => "page",
            SignSource::Reply => "reply",
        }
    }
}

/// How soon somebody has to know of a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// With the week's report.
    Routine,
    /// Soon.
    High,
    /// At once.
    Urgent,
}

impl Severity {
    /// All, the mildest first.
    pub const ALL: [Severity; 3] = [Severity::Routine, Severity::High, Severity::Urgent];

    /// `routine`, `high` or `urgent`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Routine => "routine",
            Severity::High => "high",
            Severity::Urgent => "urgent",
        }
    }
}

/// A sign of a theme.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sign {
    /// The theme's name: a word of letters, digits and hyphens, at most [`MAX_THEME_BYTES`]. A sign of
    /// another name is not recorded.
    pub theme: String,
    /// How strong it is.
    pub points: u16,
    /// Where it was found.
    pub source: SignSource,
    /// How soon somebody has to know.
    pub severity: Severity,
}

/// Signs as they are stored and proved: `theme:points:source:severity`, the first [`MAX_SIGNS`] of them, with
/// a space between. `None`: there are none.
#[must_use]
pub fn signs_text(signs: &[Sign]) -> Option<String> {
    let mut text = String::new();
    for sign in signs.iter().filter(|sign| is_theme(&sign.theme)).take(MAX_SIGNS) {
        let between = if text.is_empty() { "" } else { " " };
        let (source, severity) = (sign.source.as_str(), sign.severity.as_str());
        // Writing to a text cannot fail.
        let _ = write!(text, "{between}{}:{}:{source}:{severity}", sign.theme, sign.points);
    }
    (!text.is_empty()).then_some(text)
}

/// What [`signs_text`] wrote; what it never writes is left out.
#[must_use]
pub fn read_signs(text: &str) -> Vec<Sign> {
    let sign = |word: &str| {
        let mut parts = word.split(':');
        let mut part = || parts.next();
        let theme = part().filter(|theme| is_theme(theme))?.to_owned();
        let points = part()?.parse().ok()?;
        let (source, severity) = (part()?, part()?);
        let source = SignSource::ALL.into_iter().find(|it| it.as_str() == source)?;
        let severity = Severity::ALL.into_iter().find(|it| it.as_str() == severity)?;
        part().is_none().then_some(Sign { theme, points, source, severity })
    };
    text.split(' ').filter_map(sign).collect()
}

fn is_theme(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=MAX_THEME_BYTES).contains(&name.len()) && name.bytes().all(fits)
}

/// What a record says besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Notes<'a> {
    /// The words of a search.
    pub words: Option<Words<'a>>,
    /// Signs, as [`signs_text`] writes them.
    pub signs: Option<&'a str>,
}

impl Notes<'_> {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_none() && self.signs.is_none()
    }
}

/// [`Notes`] on their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnedNotes {
    pub(crate) words: Option<SearchWords>,
    pub(crate) signs: Option<String>,
}

impl OwnedNotes {
    /// Of a decision, with the signs of its end where that came with it. `None`: there are none.
    pub(crate) fn of(notes: &Notes<'_>, end_signs: Option<&str>) -> Option<Box<Self>> {
        let signs = match (notes.signs, end_signs) {
            (Some(decided), Some(ended)) => Some(format!("{decided} {ended}")),
            (one, other) => one.or(other).map(str::to_owned),
        };
        let words = notes.words.map(|words| words.owned());
        (words.is_some() || signs.is_some()).then(|| Box::new(Self { words, signs }))
    }

    /// The same, borrowed.
    pub(crate) fn borrowed(&self) -> Notes<'_> {
        let words = self.words.as_ref().map(|words| Words {
            text: &words.text,
            kind: words.kind,
            site: &words.site,
        });
        Notes { words, signs: self.signs.as_deref() }
    }
}

/// The version from which on a day's file has the tables of notes.
pub(crate) const FIRST_WITH_NOTES: i64 = 5;

/// Whether a day's file has them.
pub(crate) async fn are_in(db: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let version = sqlx::query("PRAGMA user_version").fetch_one(db).await?;
    Ok(version.try_get::<i64, _>(0)? >= FIRST_WITH_NOTES)
}

/// The notes in four columns: kind, site, words, signs; `None`: none of them has a value.
///
/// # Errors
/// [`sqlx::Error`]: they are not as they were written.
pub(crate) fn read(row: &SqliteRow, column: usize) -> Result<Option<Box<OwnedNotes>>, sqlx::Error> {
    let wrong = |what: &str| sqlx::Error::Decode(what.into());
    let nulls = (column..column + 3)
        .map(|column| row.try_get_raw(column).is_ok_and(|value| value.is_null()))
        .filter(|null| *null)
        .count();
    let words = match nulls {
        3 => None,
        0 => {
            let kind = u8::try_from(row.try_get::<i64, _>(column)?).ok();
            let kind = kind.and_then(WordsKind::from_number);
            let kind = kind.ok_or_else(|| wrong("unknown kind of words"))?;
            let (site, text) = (row.try_get(column + 1)?, row.try_get(column + 2)?);
            Some(SearchWords { text, kind, site })
        }
        _ => return Err(wrong("words of which a part is missing")),
    };
    let signs: Option<String> = row.try_get(column + 3)?;
    let is_any = words.is_some() || signs.is_some();
    Ok(is_any.then(|| Box::new(OwnedNotes { words, signs })))
}

/// Borrowed notes of a row that may have some.
pub(crate) fn borrowed(notes: Option<&OwnedNotes>) -> Notes<'_> {
    notes.map(OwnedNotes::borrowed).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(theme: &str, points: u16) -> Sign {
        let (source, severity) = (SignSource::Search, Severity::Urgent);
        Sign { theme: theme.to_owned(), points, source, severity }
    }

    #[test]
    fn signs_are_read_back_as_they_were_written() {
        let mut signs = Vec::new();
        for (source, severity) in SignSource::ALL.into_iter().zip(Severity::ALL.into_iter().cycle())
        {
            signs.push(Sign { theme: "self-harm".to_owned(), points: u16::MAX, source, severity });
        }
        let text = signs_text(&signs).unwrap_or_default();
        assert!(text.starts_with("self-harm:65535:search:routine self-harm:65535:url:high "));
        assert_eq!(read_signs(&text), signs);
    }

    #[test]
    fn signs_are_bounded_and_a_name_cannot_make_another_sign() {
        assert_eq!(signs_text(&[]), None);
        let forged = ["drugs:1:page:urgent suicide", "a b", "a:b", "", "ä", &"x".repeat(33)];
        assert_eq!(signs_text(&forged.map(|theme| sign(theme, 1))), None);
        let many: Vec<Sign> = (0..20).map(|points| sign("drugs", points)).collect();
        let text = signs_text(&many).unwrap_or_default();
        assert_eq!(read_signs(&text), many[..MAX_SIGNS]);
    }

    #[test]
    fn what_is_no_sign_is_left_out() {
        for text in
            ["", "drugs", "drugs:70000:page:high", "drugs:1:ear:high", "drugs:1:page:high:x"]
        {
            assert_eq!(read_signs(text), [], "{text}");
        }
    }

    #[test]
    fn kinds_go_there_and_back() {
        for kind in WordsKind::ALL {
            assert_eq!(WordsKind::from_number(kind as u8), Some(kind));
            assert_eq!(WordsKind::from_word(kind.as_str()), Some(kind));
        }
        assert_eq!((WordsKind::from_number(3), WordsKind::from_word("page")), (None, None));
    }
}
