//! Questions to the access log: filtered pages, one record by its code, and following along.
//!
//! Pages run by (day, sequence). Rows are only ever added, and always at the end, so a page never
//! changes while the log grows. A day that is over may be sealed at any time: its rows then come from
//! another file, the same ones in the same order, so that a cursor stays good. All connections are
//! read-only.

use crate::notes::{self, SearchWords, Sign};
use crate::parts::{Part, days, parts};
use crate::record::{AsDecided, Depth, Ended, scheme_from_number};
use crate::sealed_day::{Ahead, SealedDay, both_signs};
use crate::source::leftovers;
use crate::sqlite::{open_rows_to_read, stored_positions};
use jiff::civil::Date;
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::unblock::UnblockId;
use rules::visit::Visit;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Most files of days held open at once.
const MAX_OPEN_DAYS: usize = 16;

/// Times that a file is looked for again when it was sealed, or unsealed, between the look and the opening.
const MAX_LOOKS: usize = 3;

/// Why the log cannot be asked.
#[derive(Debug, Error)]
pub enum QueryError {
    /// A day file.
    #[error("access log {path}: {source}")]
    Store {
        /// The day's file.
        path: PathBuf,
        /// Cause.
        source: sqlx::Error,
    },
    /// The file of a sealed day.
    #[error("access log: {0}")]
    Sealed(#[from] sealed::Error),
    /// The folder.
    #[error("access log folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// Which accesses. Everything given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Proven user, compared without case.
    pub user: Option<String>,
    /// Level name.
    pub level: Option<String>,
    /// A host and those below it, in canonical spelling; optionally a path and what is below it,
    /// as in `example.org/maths`.
    pub site: Option<String>,
    /// Category name, among the access's categories.
    pub category: Option<String>,
    /// Verdict.
    pub verdict: Option<Verdict>,
    /// Reason word.
    pub reason: Option<ReasonCode>,
    /// One request.
    pub id: Option<RequestId>,
    /// Client address.
    pub client: Option<IpAddr>,
    /// Read at or after.
    pub since: Option<UnixMillis>,
    /// Read before.
    pub until: Option<UnixMillis>,
    /// Opened by this unblock.
    pub unblock: Option<UnblockId>,
    /// How deep the proxy saw in the end.
    pub depth: Option<Depth>,
    /// Text anywhere in host or path, compared without (ASCII) case; also as a path spells it, with
    /// percent-encoded spaces and letters beyond ASCII.
    pub text: Option<String>,
    /// Whether [`Filter::text`] is also looked for in the words of searches. Only for who may see these.
    pub text_in_words: bool,
    /// Blocked, or with a sign of a theme: what episodes are made of.
    pub telling: bool,
}

/// Which way pages run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As stored.
    OldestFirst,
    /// Latest stored first.
    #[default]
    NewestFirst,
}

/// A place in the log: the next page starts behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// School day.
    pub day: Date,
    /// Place in the day's file, from 0.
    pub sequence: i64,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.day, self.sequence)
    }
}

/// A text that is no cursor.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("\"{0}\" is no place in the log; one looks like 2026-11-22:1042")]
pub struct CursorError(String);

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let parse = || {
            let (day, sequence) = text.split_once(':')?;
            Some(Self { day: day.parse().ok()?, sequence: sequence.parse().ok()? })
        };
        parse().ok_or_else(|| CursorError(text.to_owned()))
    }
}

/// One access with everything named.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessRow {
    /// Where it stands.
    pub cursor: Cursor,
    /// Id; [`RequestId::code`] is what the block page shows.
    pub id: RequestId,
    /// When the request was read.
    pub at: UnixMillis,
    /// Proven user.
    pub user: Option<String>,
    /// Level name.
    pub level: String,
    /// Client address.
    pub client: String,
    /// Method.
    pub method: String,
    /// Scheme.
    pub scheme: Scheme,
    /// Host.
    pub host: String,
    /// Port, 0 if unknown.
    pub port: u16,
    /// Path without query; `None` where it was not seen.
    pub path: Option<String>,
    /// Category names.
    pub categories: Vec<String>,
    /// Verdict.
    pub verdict: Verdict,
    /// Why, as a word.
    pub reason: ReasonCode,
    /// The policy line or block that decided.
    pub rule: Option<String>,
    /// The unblock that opened it.
    pub unblock: Option<UnblockId>,
    /// How deep the proxy saw in the end; as decided while the access is open.
    pub depth: Depth,
    /// Whether somebody opened it.
    pub visit: Visit,
    /// SHA-256 of the policy text that decided, hex.
    pub policy_hash: String,
    /// Version of the lists that decided.
    pub list_version: String,
    /// The school's zone.
    pub zone: String,
    /// How it ended; `None` while it is open.
    pub ended: Option<Ended>,
    /// The words of a search: to be shown only to who may see them.
    pub words: Option<SearchWords>,
    /// Signs of themes, those of the decision first.
    pub signs: Vec<Sign>,
}

/// Rows, and where the next page starts; `None`: there is no more now.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The rows, in the order asked for.
    pub rows: Vec<AccessRow>,
    /// Give it to get the next page.
    pub next: Option<Cursor>,
}

/// Somebody's accesses among those asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Proven user; `None`: everybody not proved, together.
    pub user: Option<String>,
    /// Requests.
    pub requests: u64,
    /// Of those, blocked.
    pub blocked: u64,
    /// When the first was read.
    pub first: UnixMillis,
    /// When the last was.
    pub last: UnixMillis,
}

/// Where the rows of a part are.
#[derive(Debug)]
enum Store {
    Open(PathBuf, SqliteConnection),
    Sealed(SealedDay),
}

/// The access log of a state folder, open to be asked.
#[derive(Debug)]
pub struct AccessLog {
    folder: PathBuf,
    stores: HashMap<(Date, u32), Store>,
    ahead: Ahead,
}

impl AccessLog {
    /// The log in `state`. Nothing is opened yet; a folder without a log has no rows.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("access"), stores: HashMap::new(), ahead: Ahead::default() }
    }

    /// The school days that have a file, oldest first.
    ///
    /// # Errors
    /// [`QueryError::Folder`].
    pub fn days(&self) -> Result<Vec<Date>, QueryError> {
        days(&self.folder).map_err(|source| self.folder_failed(source))
    }

    fn folder_failed(&self, source: std::io::Error) -> QueryError {
        QueryError::Folder { path: self.folder.clone(), source }
    }

    /// Up to `limit` rows behind `after`, or from the start. Sealed days are searched on the calling
    /// thread and beside it: an unhurried answer on a busy runtime belongs on a thread of its own.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn page(
        &mut self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, QueryError> {
        let mut parts = self.parts()?;
        parts.retain(|part| {
            let is_ahead = after.is_none_or(|after| is_ahead(part.day, after.day, order));
            may_hold(part.day, filter) && is_ahead
        });
        if order == Order::NewestFirst {
            parts.reverse();
        }
        let mut rows = Vec::new();
        for part in parts {
            let after = after.filter(|after| after.day == part.day).map(|after| after.sequence);
            rows.extend(self.part_rows(part, filter, order, after, limit - rows.len()).await?);
            if rows.len() == limit {
                break;
            }
        }
        let full = rows.len() == limit;
        let next = rows.last().filter(|_| full).map(|row: &AccessRow| row.cursor);
        Ok(Page { rows, next })
    }

    /// Up to `limit` rows of one school day behind a place in it, or from its start. A day may get rows
    /// when later ones have some already, so who follows the log by days must look at each.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn day_page(
        &mut self,
        day: Date,
        filter: &Filter,
        order: Order,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<AccessRow>, QueryError> {
        let mut parts = self.parts()?;
        parts.retain(|part| part.day == day);
        if order == Order::NewestFirst {
            parts.reverse();
        }
        let mut rows = Vec::new();
        for part in parts {
            rows.extend(self.part_rows(part, filter, order, after, limit - rows.len()).await?);
            if rows.len() == limit {
                break;
            }
        }
        Ok(rows)
    }

    /// The places of a day's rows of which signs were found after they were stored, as long as the day is not
    /// sealed.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn late_signs(&mut self, day: Date) -> Result<Vec<i64>, QueryError> {
        let mut places = Vec::new();
        for part in self.parts()?.into_iter().filter(|part| part.day == day) {
            if let Store::Open(path, connection) = self.store(part).await? {
                let found = open_late_signs(connection).await;
                places.extend(
                    found.map_err(|source| QueryError::Store { path: path.clone(), source })?,
                );
            }
        }
        Ok(places)
    }

    /// The access of an id. Its second tells the day; where the clock was wrong then, all days are
    /// looked through.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn find(&mut self, id: RequestId) -> Result<Option<AccessRow>, QueryError> {
        let made = utc_date(id.second());
        let mut parts = self.parts()?;
        parts.sort_by_key(|part| (made - part.day).get_days().abs());
        let filter = Filter { id: Some(id), ..Filter::default() };
        for part in parts {
            let found = self.part_rows(part, &filter, Order::NewestFirst, None, 1).await?.pop();
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Who made the accesses that a filter keeps, the most first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn visitors(&mut self, filter: &Filter) -> Result<Vec<Visitor>, QueryError> {
        let mut people: HashMap<Option<String>, sealed::Visits> = HashMap::new();
        for part in self.parts()?.into_iter().filter(|part| may_hold(part.day, filter)) {
            let found = match self.store(part).await? {
                Store::Sealed(day) => day.visitors(filter)?,
                Store::Open(path, connection) => {
                    let found = open_visitors(connection, filter).await;
                    found.map_err(|source| QueryError::Store { path: path.clone(), source })?
                }
            };
            for (user, visits) in found {
                people.entry(user).and_modify(|sum| sum.add(visits)).or_insert(visits);
            }
        }
        let mut visitors: Vec<Visitor> = people
            .into_iter()
            .map(|(user, visits)| Visitor {
                user,
                requests: visits.requests,
                blocked: visits.blocked,
                first: UnixMillis(visits.first),
                last: UnixMillis(visits.last),
            })
            .collect();
        visitors.sort_by(|one, other| {
            other.requests.cmp(&one.requests).then_with(|| one.user.cmp(&other.user))
        });
        Ok(visitors)
    }

    /// Follows the log from `filter.since` on, where that is given, else from its end.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn follow(mut self, filter: Filter) -> Result<Follow, QueryError> {
        if filter.since.is_some() {
            return Ok(Follow { log: self, filter, after: None });
        }
        let last = self.page(&Filter::default(), Order::NewestFirst, None, 1).await?.rows.pop();
        Ok(Follow { log: self, filter, after: last.map(|row| row.cursor) })
    }

    fn parts(&self) -> Result<Vec<Part>, QueryError> {
        parts(&self.folder).map_err(|source| self.folder_failed(source))
    }

    async fn part_rows(
        &mut self,
        part: Part,
        filter: &Filter,
        order: Order,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<AccessRow>, QueryError> {
        let mut ahead = std::mem::take(&mut self.ahead);
        let rows = match self.store(part).await? {
            Store::Sealed(day) => day.rows(&mut ahead, filter, order, after, limit)?,
            Store::Open(path, connection) => {
                let found = open_rows(connection, part.day, filter, order, after, limit).await;
                found.map_err(|source| QueryError::Store { path: path.clone(), source })?
            }
        };
        self.ahead = ahead;
        Ok(rows)
    }

    /// Opens a part, or finds it open. One that was opened before it was sealed stays as it is: its
    /// file is there until it is closed.
    async fn store(&mut self, part: Part) -> Result<&mut Store, QueryError> {
        let key = (part.day, part.number);
        if self.stores.len() >= MAX_OPEN_DAYS && !self.stores.contains_key(&key) {
            self.stores.clear();
        }
        if !self.stores.contains_key(&key) {
            let store = self.open(part).await?;
            self.stores.insert(key, store);
        }
        // It is there now; the entry of the map cannot be held over a wait.
        let missing = || QueryError::Folder {
            path: self.folder.clone(),
            source: std::io::Error::other("a file that was just opened is not open"),
        };
        let missing = missing();
        self.stores.get_mut(&key).ok_or(missing)
    }

    async fn open(&self, part: Part) -> Result<Store, QueryError> {
        let sealed = Part { sealed: true, ..part };
        let path = Part { sealed: false, ..part }.database(&self.folder);
        let mut looks = 0;
        loop {
            looks += 1;
            if sealed.database(&self.folder).exists() {
                let rows = sealed.rows(&self.folder);
                match SealedDay::open(part, &rows) {
                    Ok(day) => return Ok(Store::Sealed(day)),
                    // An erasure in it made a day's own file of it.
                    Err(_) if looks < MAX_LOOKS && !rows.exists() => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            match open_rows_to_read(&path).await {
                Ok(connection) => return Ok(Store::Open(path, connection)),
                Err(_) if looks < MAX_LOOKS && !path.exists() => {}
                Err(source) => return Err(QueryError::Store { path, source }),
            }
        }
    }
}

/// The log as it grows.
#[derive(Debug)]
pub struct Follow {
    log: AccessLog,
    filter: Filter,
    after: Option<Cursor>,
}

impl Follow {
    /// The rows stored since the last call, oldest first, at most 1,000; call it again at once where
    /// it gives that many, else after a moment.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn poll(&mut self) -> Result<Vec<AccessRow>, QueryError> {
        let page = self.log.page(&self.filter, Order::OldestFirst, self.after, 1000).await?;
        self.after = page.rows.last().map(|row| row.cursor).or(self.after);
        Ok(page.rows)
    }
}

/// Waits until what the journals held when it was called is stored, at most `timeout`. For commands
/// that ask while the daemon runs. `false`: not everything is stored yet.
///
/// # Errors
/// [`QueryError`].
pub async fn wait_until_stored(state: &Path, timeout: Duration) -> Result<bool, QueryError> {
    let (journal, access) = (state.join("journal"), state.join("access"));
    let folder = |path: &Path, source| QueryError::Folder { path: path.to_owned(), source };
    let files =
        leftovers(&journal).map_err(|error| folder(&journal, std::io::Error::other(error)))?;
    let mut waiting: HashMap<u64, (PathBuf, u64)> = HashMap::new();
    for (id, path) in files {
        let length = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if length > crate::frame::MAGIC.len() as u64 {
            waiting.insert(id, (path, length));
        }
    }
    let began = Instant::now();
    loop {
        let all = parts(&access).map_err(|source| folder(&access, source))?;
        let mut newest: Vec<Date> = all.iter().map(|part| part.day).collect();
        newest.dedup();
        let newest = newest.split_off(newest.len().saturating_sub(2));
        for part in all.into_iter().filter(|part| newest.contains(&part.day)) {
            let path = part.database(&access);
            let positions = stored_positions(&path)
                .await
                .map_err(|source| QueryError::Store { path, source })?;
            waiting.retain(|id, (_, length)| {
                positions.get(id).is_none_or(|position| {
                    position.offset < *length
                        || position.held.first().is_some_and(|first| first < length)
                })
            });
        }
        // A file that is gone was stored first.
        waiting.retain(|_, (path, _)| path.exists());
        if waiting.is_empty() || began.elapsed() >= timeout {
            return Ok(waiting.is_empty());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_ahead(day: Date, after: Date, order: Order) -> bool {
    match order {
        Order::OldestFirst => day >= after,
        Order::NewestFirst => day <= after,
    }
}

/// Whether a school day in any zone may hold instants of the filter's range.
fn may_hold(day: Date, filter: &Filter) -> bool {
    let begins_in_time =
        filter.until.is_none_or(|until| day <= utc_date(until).saturating_add(day_span()));
    let ends_late_enough =
        filter.since.is_none_or(|since| day >= utc_date(since).saturating_sub(day_span()));
    begins_in_time && ends_late_enough
}

fn day_span() -> jiff::Span {
    jiff::Span::new().days(1)
}

fn utc_date(at: UnixMillis) -> Date {
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    instant.to_zoned(jiff::tz::TimeZone::UTC).date()
}

const SELECT: &str = r#"
SELECT a.sequence, a.id, a.at, p.name, l.value, c.address, m.value, w.scheme, h.name, w.port, a.path,
  s.names, w.verdict, w.reason, r.value, w.unblock, w.depth, x.policy_hash, x.list_version, x.zone,
  coalesce(a."end", e."end"), coalesce(a.status, e.status), coalesce(a.bytes_up, e.bytes_up),
  coalesce(a.bytes_down, e.bytes_down), coalesce(a.duration_us, e.duration_us)"#;

const SELECT_NOTES: &str = ", n.kind, n.site, n.words, n.signs, k.signs";

const SELECT_VISITORS: &str = r#"
SELECT p.name, count(*), sum(w.verdict), min(a.at), max(a.at)"#;

const FROM: &str = r#"
FROM access a
CROSS JOIN who o ON o.id = a.who LEFT JOIN person p ON p.id = o.person
CROSS JOIN client c ON c.id = o.client CROSS JOIN name l ON l.id = o.level
CROSS JOIN what w ON w.id = a.what CROSS JOIN name m ON m.id = w.method
CROSS JOIN host h ON h.id = w.host CROSS JOIN category_set s ON s.id = w.category_set
CROSS JOIN context x ON x.id = w.context LEFT JOIN name r ON r.id = w.rule
LEFT JOIN access_end e ON e.sequence = a.sequence"#;

const FROM_NOTES: &str = r#"
LEFT JOIN access_note n ON n.sequence = a.sequence LEFT JOIN end_note k ON k.sequence = a.sequence"#;

/// The rows of an open day. A file of before notes may get them between two looks.
async fn open_rows(
    connection: &mut SqliteConnection,
    day: Date,
    filter: &Filter,
    order: Order,
    after: Option<i64>,
    limit: usize,
) -> Result<Vec<AccessRow>, sqlx::Error> {
    let has_notes = notes::are_in(connection).await?;
    let mut query = statement(has_notes, filter, order, after, limit);
    let rows = query.build().persistent(false).fetch_all(connection).await?;
    rows.iter().map(|row| read_row(day, has_notes, row)).collect()
}

async fn open_late_signs(connection: &mut SqliteConnection) -> Result<Vec<i64>, sqlx::Error> {
    if !notes::are_in(connection).await? {
        return Ok(Vec::new());
    }
    let rows = sqlx::query("SELECT sequence FROM end_note").fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// The small tables are filtered first; one pass over the accesses then compares numbers.
fn statement(
    has_notes: bool,
    filter: &Filter,
    order: Order,
    after: Option<i64>,
    limit: usize,
) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(SELECT);
    sql.push(if has_notes { SELECT_NOTES } else { "" });
    push_from(&mut sql, has_notes);
    if let Some(after) = after {
        sql.push(if order == Order::OldestFirst {
            " AND a.sequence > "
        } else {
            " AND a.sequence < "
        });
        sql.push_bind(after);
    }
    push_filter(&mut sql, has_notes, filter);
    sql.push(" ORDER BY a.sequence");
    if order == Order::NewestFirst {
        sql.push(" DESC");
    }
    sql.push(" LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    sql
}

/// Who made the accesses of an open day that a filter keeps.
async fn open_visitors(
    connection: &mut SqliteConnection,
    filter: &Filter,
) -> Result<HashMap<Option<String>, sealed::Visits>, sqlx::Error> {
    let has_notes = notes::are_in(connection).await?;
    let mut sql = QueryBuilder::<Sqlite>::new(SELECT_VISITORS);
    push_from(&mut sql, has_notes);
    push_filter(&mut sql, has_notes, filter);
    sql.push(" GROUP BY p.name");
    let rows = sql.build().persistent(false).fetch_all(connection).await?;
    let visits = |row: &SqliteRow| {
        Ok::<_, sqlx::Error>(sealed::Visits {
            requests: row.try_get::<i64, _>(1)? as u64,
            blocked: row.try_get::<i64, _>(2)? as u64,
            first: row.try_get(3)?,
            last: row.try_get(4)?,
        })
    };
    rows.iter().map(|row| Ok((row.try_get(0)?, visits(row)?))).collect()
}

fn push_from(sql: &mut QueryBuilder<Sqlite>, has_notes: bool) {
    sql.push(FROM).push(if has_notes { FROM_NOTES } else { "" }).push(" WHERE 1");
}

fn push_filter(sql: &mut QueryBuilder<Sqlite>, has_notes: bool, filter: &Filter) {
    if let Some(id) = filter.id {
        sql.push(" AND a.id = ").push_bind(id.0 as i64);
    }
    if let Some(since) = filter.since {
        sql.push(" AND a.at >= ").push_bind(since.0);
    }
    if let Some(until) = filter.until {
        sql.push(" AND a.at < ").push_bind(until.0);
    }
    push_who(sql, filter);
    push_what(sql, filter);
    if let Some((_, path)) = filter.site.as_deref().and_then(|site| site.split_once('/')) {
        let path = format!("/{}", path.trim_end_matches('/'));
        if path.len() > 1 {
            sql.push(" AND (a.path = ").push_bind(path.clone());
            let below = format!("{path}/");
            sql.push(" OR substr(a.path, 1, ").push_bind(below.chars().count() as i64);
            sql.push(") = ").push_bind(below).push(")");
        }
    }
    if filter.telling {
        sql.push(" AND (a.what IN (SELECT id FROM what WHERE verdict = 1)");
        sql.push(if has_notes { " OR n.signs IS NOT NULL OR k.signs IS NOT NULL)" } else { ")" });
    }
    if let Some(depth) = filter.depth {
        // The end's number holds the depth in the end plus one from the fifth bit on, 0 where it
        // is as decided; see `Ended::end_number`.
        sql.push(
            " AND coalesce(nullif(coalesce(a.\"end\", e.\"end\") >> 4, 0) - 1, w.depth & 15) = ",
        )
        .push_bind(depth as i64);
    }
    if let Some(text) = &filter.text {
        sql.push(" AND (");
        for (place, spelling) in spellings(text).enumerate() {
            sql.push(if place == 0 { "" } else { " OR " });
            sql.push("(h.name || coalesce(a.path, '')) LIKE ").push_bind(holding(&spelling));
            sql.push(" ESCAPE '\\'");
        }
        let in_words = filter.text_in_words && has_notes;
        for spelling in cases(text).into_iter().filter(|_| in_words) {
            sql.push(" OR n.words LIKE ").push_bind(holding(&spelling)).push(" ESCAPE '\\'");
        }
        sql.push(")");
    }
}

/// A pattern that fits every text with this one in it.
fn holding(text: &str) -> String {
    let quoted = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{quoted}%")
}

/// A text as it is, and in the cases that people write: only letters of ASCII are compared without theirs.
pub(crate) fn cases(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let mut letters = lower.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let capital = first + letters.as_str();
    let mut cases = vec![text.to_owned(), lower, capital, text.to_uppercase()];
    cases.retain(|case| !case.is_ascii());
    cases.sort_unstable();
    cases.dedup();
    if cases.is_empty() { vec![text.to_owned()] } else { cases }
}

/// A text as it is, and as a path spells it where that is something else.
pub(crate) fn spellings(text: &str) -> impl Iterator<Item = String> {
    let encoded = Some(percent_encoded(text)).filter(|encoded| encoded != text);
    std::iter::once(text.to_owned()).chain(encoded)
}

/// A text as browsers write it in a path: what is no visible ASCII becomes `%20`, `%C3%A9`, ...
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'!'..=b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
        out
    })
}

fn push_who(sql: &mut QueryBuilder<Sqlite>, filter: &Filter) {
    if filter.user.is_none() && filter.level.is_none() && filter.client.is_none() {
        return;
    }
    sql.push(" AND a.who IN (SELECT id FROM who WHERE 1");
    if let Some(user) = &filter.user {
        sql.push(" AND person IN (SELECT id FROM person WHERE name = ").push_bind(user.clone());
        sql.push(" COLLATE PERSON)");
    }
    if let Some(level) = &filter.level {
        sql.push(" AND level IN (SELECT id FROM name WHERE value = ")
            .push_bind(level.clone())
            .push(")");
    }
    if let Some(client) = &filter.client {
        sql.push(" AND client IN (SELECT id FROM client WHERE address = ");
        sql.push_bind(client.to_string()).push(")");
    }
    sql.push(")");
}

fn push_what(sql: &mut QueryBuilder<Sqlite>, filter: &Filter) {
    let Filter { site, category, verdict, reason, unblock, .. } = filter;
    if site.is_none()
        && category.is_none()
        && verdict.is_none()
        && reason.is_none()
        && unblock.is_none()
    {
        return;
    }
    sql.push(" AND a.what IN (SELECT id FROM what WHERE 1");
    if let Some(site) = site {
        let host = site.split('/').next().unwrap_or_default();
        let below = format!(".{host}");
        sql.push(" AND host IN (SELECT id FROM host WHERE name = ").push_bind(host.to_owned());
        sql.push(" OR substr(name, -").push(below.chars().count());
        sql.push(") = ").push_bind(below).push(")");
    }
    if let Some(category) = category {
        sql.push(" AND category_set IN (SELECT id FROM category_set WHERE instr(names, ");
        sql.push_bind(format!(" {category} ")).push(") > 0)");
    }
    if let Some(verdict) = verdict {
        sql.push(" AND verdict = ").push_bind(i64::from(*verdict == Verdict::Block));
    }
    if let Some(reason) = reason {
        sql.push(" AND reason = ").push_bind(*reason as i64);
    }
    if let Some(unblock) = unblock {
        sql.push(" AND unblock = ").push_bind(i64::from(unblock.0));
    }
    sql.push(")");
}

fn read_row(day: Date, has_notes: bool, row: &SqliteRow) -> Result<AccessRow, sqlx::Error> {
    let text = |column: usize| row.try_get::<String, _>(column);
    let number = |column: usize| row.try_get::<i64, _>(column);
    let unknown = |what: &str| {
        sqlx::Error::Decode(format!("unknown {what}; written by a newer version?").into())
    };
    let small =
        |column: usize| Ok::<u8, sqlx::Error>(u8::try_from(number(column)?).unwrap_or(u8::MAX));
    let ended = match row.try_get::<Option<i64>, _>(20)? {
        None => None,
        Some(number_of_end) => {
            let parts = u8::try_from(number_of_end).ok().and_then(Ended::parts);
            let (end, depth) = parts.ok_or_else(|| unknown("end"))?;
            Some(Ended {
                end,
                status: row.try_get(21)?,
                bytes_up: number(22)? as u64,
                bytes_down: number(23)? as u64,
                duration_us: number(24)? as u64,
                depth,
            })
        }
    };
    let (words, signs) = match has_notes {
        false => (None, Vec::new()),
        true => {
            let noted = notes::read(row, 25)?;
            let decided = noted.as_ref().and_then(|noted| noted.signs.as_deref());
            let signs = both_signs(decided, row.try_get(29)?);
            (noted.and_then(|noted| noted.words), signs)
        }
    };
    let decided = AsDecided::from_number(small(16)?).ok_or_else(|| unknown("depth"))?;
    Ok(AccessRow {
        cursor: Cursor { day, sequence: number(0)? },
        id: RequestId(number(1)? as u64),
        at: UnixMillis(number(2)?),
        user: row.try_get(3)?,
        level: text(4)?,
        client: text(5)?,
        method: text(6)?,
        scheme: scheme_from_number(small(7)?).ok_or_else(|| unknown("scheme"))?,
        host: text(8)?,
        port: row.try_get(9)?,
        path: row.try_get(10)?,
        categories: text(11)?.split_whitespace().map(str::to_owned).collect(),
        verdict: if number(12)? == 0 { Verdict::Allow } else { Verdict::Block },
        reason: ReasonCode::from_number(small(13)?).ok_or_else(|| unknown("reason"))?,
        rule: row.try_get(14)?,
        unblock: row.try_get::<Option<u32>, _>(15)?.map(UnblockId),
        depth: ended.and_then(|ended| ended.depth).unwrap_or(decided.depth),
        visit: decided.visit,
        policy_hash: text(17)?,
        list_version: text(18)?,
        zone: text(19)?,
        ended,
        words,
        signs,
    })
}
