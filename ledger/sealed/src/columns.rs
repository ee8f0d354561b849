//! What a row holds, and the columns that it becomes.

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{Type, TypePtr};
use std::sync::Arc;

/// One access with everything named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Place in the day, from 0.
    pub sequence: i64,
    /// Id.
    pub id: i64,
    /// When the request was read, milliseconds since 1970.
    pub at: i64,
    /// Proven user.
    pub user: Option<&'a str>,
    /// Level name.
    pub level: &'a str,
    /// Client address.
    pub client: &'a str,
    /// Method.
    pub method: &'a str,
    /// Scheme, as a word.
    pub scheme: &'a str,
    /// Host.
    pub host: &'a str,
    /// Port, 0 if unknown.
    pub port: u16,
    /// Path without query.
    pub path: Option<&'a str>,
    /// Category names, joined by one space.
    pub categories: &'a str,
    /// Whether one of them was locked.
    pub locked: bool,
    /// `allow` or `block`.
    pub verdict: &'a str,
    /// Why, as a word.
    pub reason: &'a str,
    /// The policy line or block that decided.
    pub rule: Option<&'a str>,
    /// The unblock that opened it, by number.
    pub unblock: Option<u32>,
    /// How deep the proxy saw, as decided.
    pub depth: &'a str,
    /// SHA-256 of the policy text that decided, hex.
    pub policy_hash: &'a str,
    /// Version of the lists that decided.
    pub list_version: &'a str,
    /// The school's zone.
    pub zone: &'a str,
    /// How it ended.
    pub ended: Option<Ended<'a>>,
    /// Words of a search; with them their kind, as a word, and the site's name.
    pub words: Option<&'a str>,
    /// What kind of words.
    pub words_kind: Option<&'a str>,
    /// Where they were sent.
    pub words_site: Option<&'a str>,
    /// Signs of themes, as one text.
    pub signs: Option<&'a str>,
}

/// How an access ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended<'a> {
    /// The word for it.
    pub end: &'a str,
    /// How deep the proxy saw in the end; `None`: as decided.
    pub depth: Option<&'a str>,
    /// Status sent to the client, 0 if none.
    pub status: u16,
    /// Bytes from the client.
    pub bytes_up: i64,
    /// Bytes to the client.
    pub bytes_down: i64,
    /// Microseconds from request read to end.
    pub duration_us: i64,
    /// Place among the day's ends that came by themselves; `None`: it came with the row.
    pub place: Option<i64>,
    /// Signs of themes that came with an end by itself, as one text.
    pub signs: Option<&'a str>,
}

/// A column of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the field of `Row` or `Ended` of that name")]
#[repr(u8)]
pub enum Text {
    User,
    Level,
    Client,
    Method,
    Scheme,
    Host,
    Path,
    Categories,
    Verdict,
    Reason,
    Rule,
    Depth,
    PolicyHash,
    ListVersion,
    Zone,
    End,
    DepthEnd,
    Words,
    WordsKind,
    WordsSite,
    Signs,
    SignsEnd,
}

/// A column of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the field of `Row` or `Ended` of that name")]
#[repr(u8)]
pub enum Number {
    Sequence,
    Id,
    At,
    Port,
    Locked,
    Unblock,
    Status,
    BytesUp,
    BytesDown,
    DurationUs,
    EndPlace,
}

/// How many columns hold texts.
pub(crate) const TEXTS: usize = Text::SignsEnd as usize + 1;
/// How many hold numbers.
pub(crate) const NUMBERS: usize = Number::EndPlace as usize + 1;

/// A column, in either kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Text(Text),
    Number(Number),
}

use Column::{Number as N, Text as T};

/// Columns with their names, and whether a row may be without.
pub(crate) type Columns = &'static [(Column, &'static str, bool)];

/// The columns of files of before there were words and signs: the first so many.
pub(crate) const WITHOUT_NOTES: usize = 28;

/// The columns in the order of the file, with their names, and whether a row may be without. Others are only
/// ever added behind, and a row may be without them.
pub(crate) const COLUMNS: [(Column, &str, bool); TEXTS + NUMBERS] = [
    (N(Number::At), "at", false),
    (T(Text::User), "user", true),
    (T(Text::Level), "level", false),
    (T(Text::Client), "client", false),
    (T(Text::Method), "method", false),
    (T(Text::Scheme), "scheme", false),
    (T(Text::Host), "host", false),
    (N(Number::Port), "port", false),
    (T(Text::Path), "path", true),
    (T(Text::Categories), "categories", false),
    (N(Number::Locked), "locked", false),
    (T(Text::Verdict), "verdict", false),
    (T(Text::Reason), "reason", false),
    (T(Text::Rule), "rule", true),
    (N(Number::Unblock), "unblock", true),
    (T(Text::Depth), "depth", false),
    (T(Text::PolicyHash), "policy_hash", false),
    (T(Text::ListVersion), "list_version", false),
    (T(Text::Zone), "zone", false),
    (T(Text::End), "end", true),
    (T(Text::DepthEnd), "depth_end", true),
    (N(Number::Status), "status", true),
    (N(Number::BytesUp), "bytes_up", true),
    (N(Number::BytesDown), "bytes_down", true),
    (N(Number::DurationUs), "duration_us", true),
    (N(Number::EndPlace), "end_place", true),
    (N(Number::Sequence), "sequence", false),
    (N(Number::Id), "id", false),
    (T(Text::Words), "words", true),
    (T(Text::WordsKind), "words_kind", true),
    (T(Text::WordsSite), "words_site", true),
    (T(Text::Signs), "signs", true),
    (T(Text::SignsEnd), "signs_end", true),
];

impl Column {
    /// Where it stands in the file.
    pub(crate) fn place(self) -> usize {
        COLUMNS.iter().position(|(column, ..)| *column == self).unwrap_or(COLUMNS.len())
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        COLUMNS.iter().find(|(column, ..)| *column == self).map_or("?", |(_, name, _)| name)
    }
}

impl<'a> Row<'a> {
    /// The row's value in a column of texts.
    pub(crate) fn text(&self, column: Text) -> Option<&'a str> {
        match column {
            Text::User => self.user,
            Text::Level => Some(self.level),
            Text::Client => Some(self.client),
            Text::Method => Some(self.method),
            Text::Scheme => Some(self.scheme),
            Text::Host => Some(self.host),
            Text::Path => self.path,
            Text::Categories => Some(self.categories),
            Text::Verdict => Some(self.verdict),
            Text::Reason => Some(self.reason),
            Text::Rule => self.rule,
            Text::Depth => Some(self.depth),
            Text::PolicyHash => Some(self.policy_hash),
            Text::ListVersion => Some(self.list_version),
            Text::Zone => Some(self.zone),
            Text::End => self.ended.map(|ended| ended.end),
            Text::DepthEnd => self.ended.and_then(|ended| ended.depth),
            Text::Words => self.words,
            Text::WordsKind => self.words_kind,
            Text::WordsSite => self.words_site,
            Text::Signs => self.signs,
            Text::SignsEnd => self.ended.and_then(|ended| ended.signs),
        }
    }

    /// The row's value in a column of numbers.
    pub(crate) fn number(&self, column: Number) -> Option<i64> {
        match column {
            Number::Sequence => Some(self.sequence),
            Number::Id => Some(self.id),
            Number::At => Some(self.at),
            Number::Port => Some(self.port.into()),
            Number::Locked => Some(self.locked.into()),
            Number::Unblock => self.unblock.map(i64::from),
            Number::Status => self.ended.map(|ended| ended.status.into()),
            Number::BytesUp => self.ended.map(|ended| ended.bytes_up),
            Number::BytesDown => self.ended.map(|ended| ended.bytes_down),
            Number::DurationUs => self.ended.map(|ended| ended.duration_us),
            Number::EndPlace => self.ended.and_then(|ended| ended.place),
        }
    }
}

/// The columns of a file with this schema; `None`: no file has it.
pub(crate) fn columns_of(found: &Type) -> Result<Option<Columns>, ParquetError> {
    for count in [COLUMNS.len(), WITHOUT_NOTES] {
        let columns = &COLUMNS[..count];
        if found.get_fields() == schema(columns)?.get_fields() {
            return Ok(Some(columns));
        }
    }
    Ok(None)
}

/// The schema of a file with these columns.
pub(crate) fn schema(columns: Columns) -> Result<TypePtr, ParquetError> {
    let fields = columns.iter().map(|(column, name, optional)| {
        let repetition = if *optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let (physical, logical) = match column {
            T(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            N(Number::At) => {
                (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS)))
            }
            N(Number::Locked) => (Physical::BOOLEAN, None),
            N(_) => (Physical::INT64, None),
        };
        let field = Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()?;
        Ok(Arc::new(field))
    });
    let fields = fields.collect::<Result<Vec<_>, ParquetError>>()?;
    Ok(Arc::new(Type::group_type_builder("access").with_fields(fields).build()?))
}
