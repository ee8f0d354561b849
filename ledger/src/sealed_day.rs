//! Sealed days as the query interface sees them: filters become conditions on columns, and rows come
//! back with their words read.

use crate::notes::{Notes, Sign, Words, WordsKind, read_signs};
use crate::parts::Part;
use crate::query::{AccessRow, Cursor, Filter, Order, QueryError};
use crate::record::{AsDecided, Depth, End, Ended};
use rules::change::same_person;
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::unblock::UnblockId;
use sealed::{Conditions, Fault, File, Number, Row, Text, Visits};
use std::collections::{HashMap, VecDeque};
use std::path::Path;

/// Most rows read ahead of those asked for.
const MAX_AHEAD: usize = 32 * 1024;

/// By how many times more rows are read ahead each time that somebody asks on.
const GROWTH: usize = 4;

/// One part of a day, sealed, open to be asked.
#[derive(Debug)]
pub(crate) struct SealedDay {
    part: Part,
    file: File,
}

/// Rows read before they are asked for. The rows of a page lie all over the file, which is sorted by
/// person, so that a page of 1,000 costs nearly as much as one of 30,000: whoever asks for page after
/// page of the same search gets them from here.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    search: Option<(Part, Filter, Order)>,
    /// The rows are those behind this place.
    after: Option<i64>,
    rows: VecDeque<AccessRow>,
    /// How many were read at once.
    read: usize,
    /// There are no others.
    whole: bool,
}

impl SealedDay {
    /// Opens the file of a part.
    pub(crate) fn open(part: Part, rows: &Path) -> Result<Self, sealed::Error> {
        Ok(Self { part: Part { sealed: true, ..part }, file: File::open(rows)? })
    }

    /// Up to `limit` rows behind `after`.
    pub(crate) fn rows(
        &self,
        ahead: &mut Ahead,
        filter: &Filter,
        order: Order,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<AccessRow>, QueryError> {
        let goes_on = ahead.after == after
            && ahead
                .search
                .as_ref()
                .is_some_and(|(part, of, way)| *part == self.part && *way == order && of == filter);
        if !goes_on || (ahead.rows.len() < limit && !ahead.whole) {
            let grown = if goes_on { ahead.read.saturating_mul(GROWTH).min(MAX_AHEAD) } else { 0 };
            let wanted = limit.max(grown);
            let rows = self.page(filter, order, after, wanted)?;
            *ahead = Ahead {
                search: Some((self.part, filter.clone(), order)),
                after,
                whole: rows.len() < wanted,
                read: wanted,
                rows: rows.into(),
            };
        }
        let rows: Vec<AccessRow> = ahead.rows.drain(..limit.min(ahead.rows.len())).collect();
        ahead.after = rows.last().map(|row| row.cursor.sequence).or(ahead.after);
        Ok(rows)
    }

    fn page(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<AccessRow>, QueryError> {
        let mut conditions = conditions(filter);
        match (after, order) {
            (Some(after), Order::OldestFirst) => {
                conditions.number(Number::Sequence, after.saturating_add(1)..=i64::MAX);
            }
            (Some(after), Order::NewestFirst) => {
                conditions.number(Number::Sequence, i64::MIN..=after.saturating_sub(1));
            }
            (None, _) => {}
        }
        let order = match order {
            Order::OldestFirst => sealed::Order::OldestFirst,
            Order::NewestFirst => sealed::Order::NewestFirst,
        };
        self.file.page(&conditions, order, limit, |row| self.read(&row))
    }

    /// Who made the accesses that a filter keeps.
    pub(crate) fn visitors(
        &self,
        filter: &Filter,
    ) -> Result<HashMap<Option<String>, Visits>, QueryError> {
        Ok(self.file.visitors(&conditions(filter))?)
    }

    fn read(&self, row: &Row<'_>) -> Result<AccessRow, QueryError> {
        let unknown = |column: &'static str| {
            let what = "a word that this version does not know";
            let source = Fault::Content { column, what };
            QueryError::Sealed(sealed::Error { path: self.file.path().to_owned(), source })
        };
        let notes = notes_of(row).ok_or_else(|| unknown("words_kind"))?;
        let decided = AsDecided::from_word(row.depth).ok_or_else(|| unknown("depth"))?;
        let ended = match &row.ended {
            None => None,
            Some(ended) => Some(Ended {
                end: end_of(ended.end).ok_or_else(|| unknown("end"))?,
                status: ended.status,
                bytes_up: ended.bytes_up as u64,
                bytes_down: ended.bytes_down as u64,
                duration_us: ended.duration_us as u64,
                depth: ended
                    .depth
                    .map(|word| depth_of(word).ok_or_else(|| unknown("depth_end")))
                    .transpose()?,
            }),
        };
        Ok(AccessRow {
            cursor: Cursor { day: self.part.day, sequence: row.sequence },
            id: RequestId(row.id as u64),
            at: UnixMillis(row.at),
            user: row.user.map(str::to_owned),
            level: row.level.to_owned(),
            client: row.client.to_owned(),
            method: row.method.to_owned(),
            scheme: scheme_of(row.scheme).ok_or_else(|| unknown("scheme"))?,
            host: row.host.to_owned(),
            port: row.port,
            path: row.path.map(str::to_owned),
            categories: row.categories.split_whitespace().map(str::to_owned).collect(),
            verdict: verdict_of(row.verdict).ok_or_else(|| unknown("verdict"))?,
            reason: ReasonCode::from_word(row.reason).ok_or_else(|| unknown("reason"))?,
            rule: row.rule.map(str::to_owned),
            unblock: row.unblock.map(UnblockId),
            depth: ended.and_then(|ended| ended.depth).unwrap_or(decided.depth),
            visit: decided.visit,
            policy_hash: row.policy_hash.to_owned(),
            list_version: row.list_version.to_owned(),
            zone: row.zone.to_owned(),
            ended,
            words: notes.words.map(|words| words.owned()),
            signs: both_signs(notes.signs, row.ended.and_then(|ended| ended.signs)),
        })
    }
}

/// Signs of a decision and of its end.
pub(crate) fn both_signs(decided: Option<&str>, ended: Option<&str>) -> Vec<Sign> {
    [decided, ended].into_iter().flatten().flat_map(read_signs).collect()
}

/// Words and signs of a row; `None`: it has words of which a part is missing, or of an unknown kind.
pub(crate) fn notes_of<'a>(row: &Row<'a>) -> Option<Notes<'a>> {
    let words = match (row.words, row.words_kind, row.words_site) {
        (None, None, None) => None,
        (Some(text), Some(kind), Some(site)) => {
            Some(Words { text, kind: WordsKind::from_word(kind)?, site })
        }
        _ => return None,
    };
    Some(Notes { words, signs: row.signs })
}

pub(crate) fn depth_of(word: &str) -> Option<Depth> {
    Depth::ALL.into_iter().find(|depth| depth.as_str() == word)
}

pub(crate) fn end_of(word: &str) -> Option<End> {
    End::ALL.into_iter().find(|end| end.as_str() == word)
}

pub(crate) fn scheme_of(word: &str) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https, Scheme::Tunnel].into_iter().find(|scheme| scheme.as_str() == word)
}

pub(crate) fn verdict_of(word: &str) -> Option<Verdict> {
    [Verdict::Allow, Verdict::Block].into_iter().find(|verdict| verdict.as_str() == word)
}

/// A filter as conditions; each keeps exactly the rows that its statement on an open day's file keeps.
fn conditions(filter: &Filter) -> Conditions<'_> {
    let mut conditions = Conditions::default();
    if let Some(id) = filter.id {
        conditions.number(Number::Id, id.0 as i64..=id.0 as i64);
    }
    let since = filter.since.map_or(i64::MIN, |since| since.0);
    let until = filter.until.map_or(i64::MAX, |until| until.0.saturating_sub(1));
    if filter.since.is_some() || filter.until.is_some() {
        conditions.number(Number::At, since..=until);
    }
    if let Some(unblock) = filter.unblock {
        conditions.number(Number::Unblock, i64::from(unblock.0)..=i64::from(unblock.0));
    }
    if let Some(user) = &filter.user {
        conditions.text(Text::User, |text| text.is_some_and(|text| same_person(text, user)));
    }
    if let Some(client) = filter.client {
        let client = client.to_string();
        conditions.text(Text::Client, move |text| text == Some(client.as_str()));
    }
    if let Some(site) = &filter.site {
        let (host, path) = site.split_once('/').unwrap_or((site, ""));
        let below = format!(".{host}");
        conditions.text(Text::Host, move |text| {
            text.is_some_and(|text| text == host || text.ends_with(&below))
        });
        let path = format!("/{}", path.trim_end_matches('/'));
        if path.len() > 1 {
            conditions.holding(Text::Path, &path);
            conditions.text(Text::Path, move |text| {
                let rest = text.and_then(|text| text.strip_prefix(&path));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
        }
    }
    if let Some(category) = &filter.category {
        let category = format!(" {category} ");
        conditions.text(Text::Categories, move |text| {
            text.is_some_and(|text| format!(" {text} ").contains(&category))
        });
    }
    if let Some(reason) = filter.reason {
        conditions.text(Text::Reason, move |text| text == Some(reason.as_str()));
    }
    if let Some(verdict) = filter.verdict {
        conditions.text(Text::Verdict, move |text| text == Some(verdict.as_str()));
    }
    if filter.telling {
        conditions.one_of(Text::Verdict, |text| text == Some(Verdict::Block.as_str()));
        conditions.one_of(Text::Signs, |text| text.is_some());
        conditions.one_of(Text::SignsEnd, |text| text.is_some());
    }
    if let Some(level) = &filter.level {
        conditions.text(Text::Level, move |text| text == Some(level.as_str()));
    }
    if let Some(depth) = filter.depth {
        conditions.depth_in_end(depth.as_str());
    }
    if let Some(text) = &filter.text {
        conditions.address(crate::query::spellings(text));
        if filter.text_in_words {
            conditions.or_words(crate::query::cases(text));
        }
    }
    conditions
}
