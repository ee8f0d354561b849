//! `log`: the access log, asked by people.

use crate::actions_log;
use crate::args::{ExplainArgs, LogCommand, LogFilters, PrintArgs, WhoArgs};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Format, HIDDEN, Sheet, json_text, visible};
use crate::school::{School, from_append_error, from_time_error, moment, now, range, show_seconds};
use crate::who::{READS_LOG, READS_REQUESTS, READS_WORDS, look, look_further, subject_words};
use crate::words;
use crate::{log_seal, log_visitors};
use ledger::changes::ACTOR_DAEMON;
use ledger::notes::Sign;
use ledger::query::{AccessLog, AccessRow, Cursor, Filter, Order, QueryError};
use ledger::record::{Depth, End, Ended};
use ledger::squid;
use rules::access::Role;
use rules::change::require_role;
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::policy::Policy;
use rules::site::Site;
use rules::time::{SchoolClock, UnixMillis};
use sha2::{Digest, Sha256};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Rows asked for at a time: a page keeps memory small whatever the limit.
const PAGE_ROWS: usize = 2_000;

/// Longest wait for the running daemon to store what it has recorded, in milliseconds.
const STORE_TIMEOUT_MS: u64 = 2_000;

/// Pause between two looks while following, in milliseconds.
const FOLLOW_PAUSE_MS: u64 = 200;

const COLUMNS: &[Column] = &[
    Column { key: "at", title: "Time", gives_way: 0 },
    Column { key: "user", title: "User", gives_way: 1 },
    Column { key: "level", title: "Level", gives_way: 2 },
    Column { key: "verdict", title: "Verdict", gives_way: 0 },
    Column { key: "host", title: "Site", gives_way: 0 },
    Column { key: "path", title: "Path", gives_way: 6 },
    Column { key: "categories", title: "Categories", gives_way: 3 },
    Column { key: "reason", title: "Reason", gives_way: 4 },
    Column { key: "code", title: "Code", gives_way: 5 },
    Column { key: "client", title: "From", gives_way: 8 },
    Column { key: "method", title: "Method", gives_way: 9 },
    Column { key: "status", title: "Status", gives_way: 10 },
    Column { key: "bytes_down", title: "Bytes", gives_way: 11 },
    Column { key: "duration_ms", title: "ms", gives_way: 12 },
    // For programs.
    Column { key: "sequence", title: "", gives_way: 13 },
    Column { key: "scheme", title: "", gives_way: 13 },
    Column { key: "port", title: "", gives_way: 13 },
    Column { key: "rule", title: "", gives_way: 13 },
    Column { key: "unblock", title: "", gives_way: 13 },
    Column { key: "depth", title: "", gives_way: 13 },
    Column { key: "end", title: "", gives_way: 13 },
    Column { key: "bytes_up", title: "", gives_way: 13 },
    Column { key: "policy_hash", title: "", gives_way: 13 },
    Column { key: "list_version", title: "", gives_way: 13 },
    Column { key: "visit", title: "", gives_way: 13 },
    // For who may read them.
    Column { key: "words", title: "Words", gives_way: 2 },
    Column { key: "words_kind", title: "", gives_way: 13 },
    Column { key: "words_site", title: "", gives_way: 13 },
    Column { key: "signs", title: "Signs", gives_way: 7 },
];

/// Runs a `log` command.
pub(crate) async fn run(school: &School, command: LogCommand) -> Result<Exit, Failure> {
    let policy = school.snapshot().await?.policy;
    let clock = policy.clock().clone();
    match command {
        LogCommand::Query {
            filters,
            since,
            until,
            limit,
            newest_first,
            show_locked,
            who,
            print,
        } => {
            let when = [("since", since.as_deref()), ("until", until.as_deref())];
            let filters = of_policy(&policy, filters);
            let see_words =
                looked(school, &policy, &who, "log query", &filters, &when, show_locked).await?;
            let (from, to) = range(&clock, since.as_deref(), until.as_deref(), "today")?;
            warn_of_unknown(&policy, &filters);
            let mut filter = filter(&filters, see_words)?;
            filter.since = Some(from);
            filter.until = Some(to);
            let order = if newest_first { Order::NewestFirst } else { Order::OldestFirst };
            let eyes = Eyes { policy: &policy, show_locked, see_words };
            query(school, &eyes, &filter, order, limit, print).await
        }
        LogCommand::Follow { filters, since, until, show_locked, who, print } => {
            let when = [("since", since.as_deref()), ("until", until.as_deref())];
            let filters = of_policy(&policy, filters);
            let see_words =
                looked(school, &policy, &who, "log follow", &filters, &when, show_locked).await?;
            warn_of_unknown(&policy, &filters);
            let mut filter = filter(&filters, see_words)?;
            let range = |text: &str| clock.range(text, now()).map_err(from_time_error);
            filter.since = since.as_deref().map(range).transpose()?.map(|(from, _)| from);
            filter.until = until.as_deref().map(|text| ending(&clock, text)).transpose()?;
            let eyes = Eyes { policy: &policy, show_locked, see_words };
            follow(school, &eyes, filter, print).await
        }
        LogCommand::Actions { actor, event, since, until, who, print } => {
            let subject = subject_words(&[
                ("actor", actor.as_deref()),
                ("event", event.as_deref()),
                ("since", since.as_deref()),
                ("until", until.as_deref()),
            ]);
            look(school, &policy, &who, READS_LOG, "log actions", &subject).await?;
            let wanted = actions_log::Wanted {
                actor: actor.as_deref(),
                event: event.as_deref(),
                since: since.as_deref(),
                until: until.as_deref(),
            };
            actions_log::print(school, &clock, &wanted, print.format()).await
        }
        LogCommand::Visitors { filters, since, until, who, print } => {
            let when = [("since", since.as_deref()), ("until", until.as_deref())];
            let filters = of_policy(&policy, filters);
            let see_words =
                looked(school, &policy, &who, "log visitors", &filters, &when, false).await?;
            let (from, to) = range(&clock, since.as_deref(), until.as_deref(), "today")?;
            let filter =
                Filter { since: Some(from), until: Some(to), ..filter(&filters, see_words)? };
            log_visitors::print(school, &clock, &filter, print.format()).await
        }
        LogCommand::Seal { day, who, print } => {
            let subject = day.map(|day| day.to_string()).unwrap_or_default();
            look(school, &policy, &who, READS_LOG, "log seal", &subject).await?;
            log_seal::run(school, &clock, day, print.format()).await
        }
        LogCommand::Show { record, show_locked, who, print } => {
            let subject = with_locked(record.clone(), show_locked);
            let (_, see_words) =
                look_further(school, &policy, &who, READS_LOG, ("log show", &subject), WORDS)
                    .await?;
            let eyes = Eyes { policy: &policy, show_locked, see_words };
            show(school, &eyes, &record, print.format()).await
        }
    }
}

/// Filters in words, as an entry keeps what was looked at.
pub(crate) fn filter_words(filters: &LogFilters, when: &[(&str, Option<&str>)]) -> String {
    let client = filters.client.map(|client| client.to_string());
    let parts = [
        ("user", filters.user.as_deref()),
        ("level", filters.level.as_deref()),
        ("site", filters.site.as_deref()),
        ("category", filters.category.as_deref()),
        ("verdict", filters.verdict.as_deref()),
        ("term", filters.term.as_deref()),
        ("code", filters.code.as_deref()),
        ("reason", filters.reason.as_deref()),
        ("client", client.as_deref()),
        ("depth", filters.depth.as_deref()),
    ];
    subject_words(&[&parts[..], when].concat())
}

/// What more some may see of records, and how that stands in the entry of their look.
pub(crate) const WORDS: Option<(&[Role], &str)> = Some((READS_WORDS, "words of searches shown"));

/// Lets somebody read records, and records which ones. Gives whether they may read the words of searches.
async fn looked(
    school: &School,
    policy: &Policy,
    who: &WhoArgs,
    what: &str,
    filters: &LogFilters,
    when: &[(&str, Option<&str>)],
    show_locked: bool,
) -> Result<bool, Failure> {
    let subject = with_locked(filter_words(filters, when), show_locked);
    let looked = look_further(school, policy, who, READS_LOG, (what, &subject), WORDS).await?;
    Ok(looked.1)
}

/// A subject, with what else is shown of it.
fn with_locked(subject: String, show_locked: bool) -> String {
    let shown = if show_locked { Some("addresses of illegal content shown") } else { None };
    let parts = [Some(subject.as_str()).filter(|subject| !subject.is_empty()), shown];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What may be seen of records: addresses of locked categories only where they are asked for, words of searches
/// only by some.
struct Eyes<'a> {
    policy: &'a Policy,
    show_locked: bool,
    see_words: bool,
}

impl Eyes<'_> {
    fn clock(&self) -> &SchoolClock {
        self.policy.clock()
    }

    /// Host and path as they may be shown. A hidden host is the start of its SHA-256 (hex), so that
    /// two records of one site can be told to be so, and a known name be compared.
    fn address(&self, row: &AccessRow) -> (String, Option<String>) {
        if self.show_locked || !is_locked(self.policy, row) {
            return (row.host.clone(), row.path.clone());
        }
        (hidden_host(&row.host), Some(hidden_address(row)))
    }
}

/// Host and path as a report may show them: those of illegal content are hidden.
pub(crate) fn shown_address(policy: &Policy, row: &AccessRow) -> (String, Option<String>) {
    Eyes { policy, show_locked: false, see_words: false }.address(row)
}

/// What stands for the host of illegal content: `hidden-` and the start of its SHA-256.
pub(crate) fn hidden_host(host: &str) -> String {
    let hash = Sha256::digest(host.as_bytes());
    let hex: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("hidden-{hex}")
}

/// What stands for the whole address of illegal content, `locked:sha256-` and a SHA-256: exactly as
/// in the log in Squid's form, so that a line there and a record here can be told to be of one
/// address.
fn hidden_address(row: &AccessRow) -> String {
    const URL_FIELD: usize = 6;
    let mut text = String::new();
    let line = squid::Line {
        at: row.at,
        client: Ipv4Addr::UNSPECIFIED.into(),
        verdict: row.verdict,
        method: "-",
        scheme: row.scheme,
        host: &row.host,
        port: row.port,
        path: row.path.as_deref(),
        locked: true,
        user: None,
        ended: Ended {
            end: End::Complete,
            status: 0,
            bytes_up: 0,
            bytes_down: 0,
            duration_us: 0,
            depth: None,
        },
    };
    squid::write_line(&mut text, &line);
    text.split_whitespace().nth(URL_FIELD).unwrap_or(HIDDEN).to_owned()
}

/// Whether a record is of illegal content: decided so then, or in a category that is locked now.
pub(crate) fn is_locked(policy: &Policy, row: &AccessRow) -> bool {
    let catalogue = policy.catalogue();
    let is_locked = |name: &String| {
        catalogue.id(name).and_then(|id| catalogue.get(id)).is_some_and(|category| category.locked)
    };
    row.reason == ReasonCode::Locked || row.categories.iter().any(is_locked)
}

/// Opens the log so that it holds everything recorded until now: what a killed daemon left is stored
/// first, and a running one is waited for.
pub(crate) async fn open(school: &School) -> Result<AccessLog, Failure> {
    let state = &school.config.state;
    if !state.is_dir() {
        return Ok(AccessLog::new(state));
    }
    if let Some(recovered) = ledger::ingest::recover(state).map_err(Failure::fault)? {
        if let Some(event) = recovered.event() {
            let log = school.change_log().await?;
            let noted = log.append(now(), ACTOR_DAEMON, event).await;
            noted.map_err(from_append_error)?;
        }
    } else {
        let wait = Duration::from_millis(STORE_TIMEOUT_MS);
        if !ledger::query::wait_until_stored(state, wait).await.map_err(from_query_error)? {
            note!(
                "warning: the last moments are recorded but not yet stored, and are missing here"
            );
        }
    }
    Ok(AccessLog::new(state))
}

pub(crate) fn from_query_error(error: QueryError) -> Failure {
    Failure::fault(error)
}

/// The filter that was asked for. `see_words`: its text may be looked for in the words of searches.
pub(crate) fn filter(filters: &LogFilters, see_words: bool) -> Result<Filter, Failure> {
    let code = filters.code.as_deref().map(RequestId::from_code).transpose();
    let reason = filters.reason.as_deref().map(reason_of).transpose()?;
    // Hosts are logged in their canonical spelling; what has none is looked for as it stands.
    let site = filters.site.as_ref().map(|text| {
        Site::parse(text).map_or_else(|_| text.to_ascii_lowercase(), |site| site.to_string())
    });
    Ok(Filter {
        user: filters.user.clone(),
        level: filters.level.clone(),
        site,
        category: filters.category.clone(),
        verdict: filters.verdict.as_deref().map(|word| match word {
            "allow" => Verdict::Allow,
            _ => Verdict::Block,
        }),
        reason,
        id: code.map_err(|error| Failure::usage(error.to_string()))?,
        client: filters.client,
        depth: filters.depth.as_deref().and_then(depth_of),
        text: filters.term.clone(),
        text_in_words: see_words,
        ..Filter::default()
    })
}

/// The filters with the level's name as the log has it, whatever its capitals on the command line.
fn of_policy(policy: &Policy, mut filters: LogFilters) -> LogFilters {
    filters.level = filters.level.map(|name| match policy.levels().named(&name) {
        Some(level) => policy.levels().get(level).name.clone(),
        None => name,
    });
    filters
}

/// A slip in a name would pass for "nothing happened". No error: the log may hold names of an earlier
/// policy.
fn warn_of_unknown(policy: &Policy, filters: &LogFilters) {
    if let Some(level) = filters.level.as_deref().filter(|it| policy.levels().id(it).is_none()) {
        let levels: Vec<&str> = policy.levels().iter().map(|(_, it)| it.name.as_str()).collect();
        let (level, levels) = (visible(level), levels.join(", "));
        note!("warning: no level is called \"{level}\" now; levels are {}", visible(&levels));
    }
    let category = filters.category.as_deref();
    if let Some(category) = category.filter(|it| policy.catalogue().id(it).is_none()) {
        note!("warning: no category is called \"{}\" now", visible(category));
    }
}

fn depth_of(word: &str) -> Option<Depth> {
    Depth::ALL.into_iter().find(|depth| depth.as_str() == word)
}

fn reason_of(word: &str) -> Result<ReasonCode, Failure> {
    let all: Vec<ReasonCode> = (0..=u8::MAX).filter_map(ReasonCode::from_number).collect();
    let wanted = word.replace('-', "_");
    all.iter().copied().find(|code| code.as_str() == wanted).ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|code| code.as_str()).collect();
        Failure::usage(format!("no reason called \"{word}\""))
            .fix(format!("one of {}", words.join(", ")))
    })
}

async fn query(
    school: &School,
    eyes: &Eyes<'_>,
    filter: &Filter,
    order: Order,
    limit: u64,
    print: PrintArgs,
) -> Result<Exit, Failure> {
    let mut log = open(school).await?;
    let mut sheet = Sheet::stdout(print.format(), COLUMNS)?;
    let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut after = None;
    let mut more = false;
    while left > 0 {
        let mut page =
            log.page(filter, order, after, left.min(PAGE_ROWS)).await.map_err(from_query_error)?;
        left -= page.rows.len();
        // Pages go by sequence, so that none ever changes; people read by time.
        match order {
            Order::OldestFirst => page.rows.sort_by_key(|row| row.at),
            Order::NewestFirst => page.rows.sort_by_key(|row| std::cmp::Reverse(row.at)),
        }
        for row in &page.rows {
            sheet.row(&cells(eyes, row))?;
        }
        after = page.next;
        more = after.is_some();
        if !more {
            break;
        }
    }
    let rows = sheet.finish()?;
    if rows == 0 {
        note!("no records");
    } else if more && left == 0 {
        note!("{rows} records; there may be more: raise --limit or narrow the filters");
    }
    Ok(Exit::Ok)
}

/// When following ends by itself.
fn ending(clock: &SchoolClock, text: &str) -> Result<UnixMillis, Failure> {
    let until = moment(clock, text, true)?;
    if until <= now() {
        return Err(Failure::usage(format!("{} has passed", clock.show(until))).fix(
            "give a later --until, such as 10:50 or \"2 hours\", or ask with: schoolgate log query",
        ));
    }
    Ok(until)
}

/// Prints what `filter.since` asks for and then what comes, until `filter.until` or an interrupt.
async fn follow(
    school: &School,
    eyes: &Eyes<'_>,
    filter: Filter,
    print: PrintArgs,
) -> Result<Exit, Failure> {
    let until = filter.until;
    let log = open(school).await?;
    let mut follow = log.follow(filter).await.map_err(from_query_error)?;
    let mut sheet = Sheet::stdout(print.format(), COLUMNS)?;
    match until {
        Some(until) => note!("following until {}", eyes.clock().show(until)),
        None => note!("following; interrupt to stop"),
    }
    loop {
        let is_over = until.is_some_and(|until| now() >= until);
        if is_over {
            // What was recorded just before the end is on its way still.
            let wait = Duration::from_millis(STORE_TIMEOUT_MS);
            let state = &school.config.state;
            ledger::query::wait_until_stored(state, wait).await.map_err(from_query_error)?;
        }
        let rows = follow.poll().await.map_err(from_query_error)?;
        for row in &rows {
            // A table cannot be aligned before its end is known.
            match print.format() {
                Format::Table => say!("{}", line(eyes, row)),
                _ => sheet.row(&cells(eyes, row))?,
            }
        }
        sheet.flush()?;
        if rows.is_empty() && is_over {
            sheet.finish()?;
            return Ok(Exit::Ok);
        }
        if rows.is_empty() {
            tokio::time::sleep(Duration::from_millis(FOLLOW_PAUSE_MS)).await;
        }
    }
}

/// A record on one line, for people who watch.
fn line(eyes: &Eyes<'_>, row: &AccessRow) -> String {
    let word = if row.verdict == Verdict::Block { "BLOCKED" } else { "ALLOWED" };
    let address = match eyes.address(row) {
        (host, Some(path)) if is_locked(eyes.policy, row) && !eyes.show_locked => {
            format!("{host} {path}")
        }
        (host, path) => format!("{host}{}", path.unwrap_or_default()),
    };
    let is_shown = eyes.see_words && (eyes.show_locked || !is_locked(eyes.policy, row));
    let words = row.words.as_ref().filter(|_| is_shown);
    let words = words.map(|words| format!("  \"{}\"", visible(&words.text))).unwrap_or_default();
    format!(
        "{}  {}  {}  {word}  {}  {}  {}{words}",
        show_seconds(eyes.clock(), row.at),
        visible(row.user.as_deref().unwrap_or("-")),
        visible(&row.level),
        visible(&address),
        visible(&row.categories.join(", ")),
        row.id.code()
    )
}

fn cells(eyes: &Eyes<'_>, row: &AccessRow) -> [Cell; 29] {
    let clock = eyes.clock();
    let (host, path) = eyes.address(row);
    let number =
        |number: Option<u64>| number.map_or_else(|| Cell::maybe(None::<String>), Cell::number);
    let ended = row.ended;
    let is_shown = eyes.see_words && (eyes.show_locked || !is_locked(eyes.policy, row));
    let words = row.words.as_ref().filter(|_| is_shown);
    let signs: Vec<String> = row.signs.iter().filter(|_| is_shown).map(sign_words).collect();
    [
        Cell::new(show_seconds(clock, row.at), clock.rfc3339(row.at)),
        Cell::maybe(row.user.as_deref()),
        Cell::text(&row.level),
        Cell::text(row.verdict.as_str()),
        Cell::text(host),
        Cell::maybe(path),
        Cell::list(&row.categories),
        Cell::text(row.reason.as_str()),
        Cell::text(row.id.code()),
        Cell::text(&row.client),
        Cell::text(&row.method),
        number(ended.map(|ended| ended.status.into())),
        number(ended.map(|ended| ended.bytes_down)),
        number(ended.map(|ended| ended.duration_us / 1000)),
        Cell::text(row.cursor.to_string()),
        Cell::text(row.scheme.as_str()),
        number(Some(row.port.into())),
        Cell::maybe(row.rule.as_deref()),
        Cell::maybe(row.unblock.map(|id| id.to_string())),
        Cell::text(row.depth.as_str()),
        Cell::maybe(ended.map(|ended| ended.end.as_str())),
        number(ended.map(|ended| ended.bytes_up)),
        Cell::text(&row.policy_hash),
        Cell::text(&row.list_version),
        Cell::text(row.visit.as_str()),
        Cell::maybe(words.map(|words| words.text.as_str())),
        Cell::maybe(words.map(|words| words.kind.as_str())),
        Cell::maybe(words.map(|words| words.site.as_str())),
        Cell::list(&signs),
    ]
}

/// A sign in words: `drugs 40 (page, high)`.
pub(crate) fn sign_words(sign: &Sign) -> String {
    let Sign { theme, points, source, severity } = sign;
    format!("{theme} {points} ({}, {})", source.as_str(), severity.as_str())
}

/// Finds one record by its code, or by its place (`2026-11-23:1041`).
pub(crate) async fn find(school: &School, text: &str) -> Result<AccessRow, Failure> {
    let mut log = open(school).await?;
    if let Ok(cursor) = text.parse::<Cursor>() {
        let before = Cursor { sequence: cursor.sequence - 1, ..cursor };
        let page = log
            .page(&Filter::default(), Order::OldestFirst, Some(before), 1)
            .await
            .map_err(from_query_error)?;
        return page
            .rows
            .into_iter()
            .find(|row| row.cursor == cursor)
            .ok_or_else(|| Failure::not_found(format!("no record {cursor}")));
    }
    let id = RequestId::from_code(text).map_err(|error| {
        Failure::usage(error.to_string()).fix("copy it from the block page, or from log query")
    })?;
    let found = log.find(id).await.map_err(from_query_error)?;
    found.ok_or_else(|| {
        Failure::not_found(format!("no record with code {}", id.code()))
            .fix("see that --config names the school whose page showed it, and `retention show`")
    })
}

async fn show(
    school: &School,
    eyes: &Eyes<'_>,
    record: &str,
    format: Format,
) -> Result<Exit, Failure> {
    let row = find(school, record).await?;
    if format != Format::Table {
        // One record is one object.
        let format = if format == Format::Json { Format::Jsonl } else { format };
        let mut sheet = Sheet::stdout(format, COLUMNS)?;
        sheet.row(&cells(eyes, &row))?;
        sheet.finish()?;
        return Ok(Exit::Ok);
    }
    say!("{}  {}", row.id.code(), eyes.clock().show(row.at));
    for (column, cell) in COLUMNS.iter().zip(cells(eyes, &row)).skip(1) {
        let text = cell.shown();
        if !text.is_empty() && column.key != "code" {
            say!("  {:<13} {}", column.key.replace('_', " "), visible(text));
        }
    }
    Ok(Exit::Ok)
}

/// `explain CODE`: a record in sentences, without the person's name.
pub(crate) async fn explain(school: &School, args: &ExplainArgs) -> Result<Exit, Failure> {
    let (code, json) = (args.code.concat(), args.json);
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let by = look(school, policy, &args.who, READS_REQUESTS, "explain", &code).await?;
    let row = find(school, &code).await?;
    let clock = policy.clock();
    let host = rules::host::Host::parse(&row.host);
    let hits = host.map(|host| snapshot.index.hits(&host, row.path.as_deref())).unwrap_or_default();
    let initials = row.user.as_deref().map(crate::report::weekly::initials);
    let who_may = openers(policy, &row);
    let locked = is_locked(policy, &row);
    let (shown_host, shown_path) = shown_address(policy, &row);
    if json {
        let hits: Vec<_> = hits
            .iter()
            .map(|hit| {
                serde_json::json!({
                    "category": policy.catalogue().name(hit.category), "list": hit.list.name,
                    "version": hit.list.version, "entry": if locked { HIDDEN } else { &hit.entry },
                })
            })
            .collect();
        let object = serde_json::json!({
            "code": row.id.code(), "at": clock.rfc3339(row.at), "verdict": row.verdict.as_str(),
            "reason": row.reason.as_str(), "because": words::sentence(row.reason), "level": row.level,
            "person": initials, "host": shown_host, "path": shown_path, "categories": row.categories,
            "rule": row.rule, "unblock": row.unblock.map(|id| id.to_string()), "listed_now": hits,
            "policy_hash": row.policy_hash, "list_version": row.list_version,
            "status": row.ended.map(|ended| ended.status), "opens": who_may,
        });
        say!("{}", json_text(object.to_string()));
        return Ok(Exit::Ok);
    }
    let word = if row.verdict == Verdict::Block { "BLOCKED" } else { "ALLOWED" };
    let address = match locked {
        true => format!("{shown_host} {HIDDEN}"),
        false => shown_host + shown_path.as_deref().unwrap_or(""),
    };
    say!("{}  {word}  {}", row.id.code(), visible(&address));
    if locked {
        say!("  squid log  {}", hidden_address(&row));
    }
    say!("  when       {}", clock.show(row.at));
    say!("  level      {}", visible(&row.level));
    if let Some(initials) = initials {
        // Said to those alone who may run it.
        let further = match require_role(policy, &by, READS_LOG) {
            Ok(()) => format!(" (full name: schoolgate log show {})", row.id.code()),
            Err(_) => String::new(),
        };
        say!("  person     {}{further}", visible(&initials));
    }
    say!("  because    {}", words::sentence(row.reason));
    if let Some(rule) = &row.rule {
        say!("  rule       {}", visible(rule));
    }
    if let Some(id) = row.unblock {
        say!("  unblock    {id}");
    }
    for name in &row.categories {
        let category = policy.catalogue().id(name).and_then(|id| policy.catalogue().get(id));
        match category {
            Some(category) => {
                say!("  category   {}: {}", visible(name), visible(&category.rationale))
            }
            None => say!("  category   {}", visible(name)),
        }
    }
    for hit in &hits {
        let category = policy.catalogue().name(hit.category);
        say!("  listed now {}", visible(&words::listed(category, hit, locked)));
    }
    say!(
        "  policy     {}",
        applied_words(school, clock, &row.policy_hash, &snapshot.policy_hash).await?
    );
    say!("  lists      {}", visible(&words::version(&row.list_version)));
    if let Some(who) = who_may {
        say!("  opens      {}", visible(&who));
    }
    Ok(Exit::Ok)
}

/// The policy that decided: since when it was in force, and whether it still is.
async fn applied_words(
    school: &School,
    clock: &SchoolClock,
    hash: &str,
    current: &str,
) -> Result<String, Failure> {
    let log = school.change_log().await?;
    let entries = log.entries_of(&["policy_applied"]).await.map_err(from_append_error)?;
    let applied: Option<UnixMillis> = entries.iter().rev().find_map(|entry| match &entry.event {
        rules::change::Event::PolicyApplied { hash: other, .. } if other == hash => Some(entry.at),
        _ => None,
    });
    let since = applied.map_or_else(String::new, |at| format!(", applied {}", clock.show(at)));
    let still = if hash == current { "still in force" } else { "no longer in force" };
    Ok(format!("{}{since}, {still}", hash.get(..12).unwrap_or(hash)))
}

/// The recorded category that no unblock opens now.
fn closed_now<'p>(policy: &'p Policy, row: &AccessRow) -> Option<&'p str> {
    let ids = row.categories.iter().filter_map(|name| policy.catalogue().id(name));
    words::closed_to_unblocks(policy, ids.collect())
}

/// Who may open what was blocked; `None` for what was allowed.
fn openers(policy: &Policy, row: &AccessRow) -> Option<String> {
    if row.verdict == Verdict::Allow {
        return None;
    }
    Some(match row.reason {
        _ if is_locked(policy, row) => "nobody: no setting, role or code opens it".to_owned(),
        code if words::is_unblockable(code) => {
            if let Some(category) = closed_now(policy, row) {
                return Some(format!("nobody: the policy never unblocks {category}"));
            }
            let roles = &policy.unblock_rules().authorise;
            let ask = crate::school::whom_to_ask(policy, roles);
            format!(
                "{ask}: schoolgate unblock request {} --for {} --until WHEN --reason TEXT --by NAME",
                row.host, row.level
            )
        }
        ReasonCode::Port => {
            "nobody, while `connect_ports` and `http_ports` of the machine file stay as they are"
                .to_owned()
        }
        ReasonCode::PrivateAddress => {
            "nobody, while `allow_private` of the machine file does not name it".to_owned()
        }
        ReasonCode::Banned => "when the ban ends: schoolgate user list".to_owned(),
        ReasonCode::TlsExpired
        | ReasonCode::TlsName
        | ReasonCode::TlsUntrusted
        | ReasonCode::TlsSelfSigned => format!(
            "the owner of the site by a new certificate; else, for a time: schoolgate certificate \
             request {} --accept {} --until WHEN --reason TEXT --by NAME",
            row.host,
            row.reason.as_str()
        ),
        ReasonCode::TlsRevoked | ReasonCode::TlsProtocol | ReasonCode::TlsWeak => {
            "the owner of the site alone; nobody at the school can accept it".to_owned()
        }
        ReasonCode::NoSni | ReasonCode::EncryptedHello | ReasonCode::NotTls => {
            "nobody, while [tls] of the policy blocks it; look for what the app needs first"
                .to_owned()
        }
        ReasonCode::SniMismatch | ReasonCode::Misdirected => {
            "nobody: the connection named two hosts; another browser or app may not".to_owned()
        }
        ReasonCode::TranslatedCopy | ReasonCode::StoredCopy | ReasonCode::UrlInside => {
            "whoever may open the site whose page it is: schoolgate check ADDRESS --as LEVEL"
                .to_owned()
        }
        ReasonCode::SearchNotInspected
        | ReasonCode::ImageSearch
        | ReasonCode::UnsafeHost => {
            "nobody, while `safe_search`, `video`, `images` or `child_engines` of the level wants it; \
             an unblock does not change that"
                .to_owned()
        }
        ReasonCode::FileKind | ReasonCode::FileHidden | ReasonCode::FileSize => {
            "nobody, while [files] of the policy blocks it for this level; its roles may fetch it"
                .to_owned()
        }
        ReasonCode::Virus => "nobody: the file would harm a device".to_owned(),
        ReasonCode::ScanUnavailable => {
            "by itself, once the virus scanner answers: schoolgate doctor".to_owned()
        }
        ReasonCode::ScanTooLarge => {
            "nobody, while virus_scan of the policy has if_too_large = \"block\"".to_owned()
        }
        ReasonCode::SignIn => "sign in with a school name and password".to_owned(),
        _ => "not a decision of the policy: schoolgate doctor".to_owned(),
    })
}
