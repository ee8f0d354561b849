//! A school year in the log: written, sealed, and asked.
//!
//! `cargo bench --bench year -- [--records N] [--days D] [--state DIR]`
//!
//! Without arguments 5 million records in 20 school days, a tenth of a secondary school's month; a year at
//! that scale is `--records 50000000 --days 190`. Sites, people, lessons and times of the day are skewed
//! as a school's are; see `web.rs`, `pupils.rs` and `days.rs`. Each day is written as a journal and goes
//! through the same ingest and sealing as a filter's own. With `--state` the days stay, and a second run
//! on the same folder only asks. `SCHOOLGATE_SHARED` may name a folder of public data (popular sites,
//! recorded pages), whose names and forms are then used instead of made-up ones.
//!
//! Each question is asked twice: `cold` means that the files' pages were given back to the system before.

#[path = "chance.rs"]
mod chance;
#[path = "days.rs"]
mod days;
#[allow(dead_code, reason = "other benches use more of it")]
#[path = "family.rs"]
mod family;
#[allow(dead_code, reason = "other benches use more of it")]
#[path = "measure.rs"]
mod measure;
#[path = "pupils.rs"]
mod pupils;
#[path = "web.rs"]
mod web;

use chance::Zipf;
use days::Days;
use jiff::civil::{Date, Weekday, date};
use ledger::evidence::verify::{Options, Report, verify};
use ledger::ingest::recover;
use ledger::parts::parts;
use ledger::query::{AccessLog, Filter, Order};
use ledger::record::Depth;
use ledger::seal::{Sealed, seal_days};
use ledger::summary::Summary;
use pupils::School;
use rules::decide::Verdict;
use rules::time::{SchoolClock, UnixMillis};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use web::Web;

/// First school day.
const FIRST: Date = date(2025, 9, 1);

/// School days of the longest term.
const TERM_DAYS: usize = 70;

/// Rows of a page.
const PAGE: usize = 1000;

/// Records of a week at full scale, and those that a report is to sum.
const WEEK_RECORDS: u64 = 13_500_000;
const REPORT_RECORDS: u64 = 15_000_000;

type Fault = Box<dyn std::error::Error>;

struct Arguments {
    records: usize,
    days: usize,
    state: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, Fault> {
    let mut read = Arguments { records: 5_000_000, days: 20, state: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match &*word {
            "--records" => read.records = value()?.parse()?,
            "--days" => read.days = value()?.parse()?,
            "--state" => read.state = Some(value()?.into()),
            // Cargo's own.
            "--bench" => {}
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    Ok(read)
}

/// Weekdays from the first day on, with a week off after every seven.
fn school_days(count: usize) -> Vec<Date> {
    let weekday = |day: &Date| !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    let in_term = |day: &Date| (*day - FIRST).get_days() / 7 % 8 != 7;
    FIRST
        .series(jiff::Span::new().days(1))
        .filter(|day| weekday(day) && in_term(day))
        .take(count)
        .collect()
}

fn run() -> Result<(), Fault> {
    let asked = arguments()?;
    let temporary = tempfile::tempdir()?;
    let state = asked.state.clone().unwrap_or_else(|| temporary.path().to_owned());
    let clock = SchoolClock::new("Europe/London", &[])?;
    let days = school_days(asked.days.max(1));
    println!("load at the start: {}", load());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shared = std::env::var_os("SCHOOLGATE_SHARED").map(PathBuf::from);
    let web = Web::new(shared.as_deref());
    let school = School::new();
    if parts(&state.join("access"))?.is_empty() {
        let writing = Writing { web: &web, school: &school, clock: &clock, state: &state };
        runtime.block_on(writing.write(&days, asked.records / days.len()))?;
    }
    let mut questions =
        Questions { clock: &clock, state: &state, days, rows: 0, web: &web, school: &school };
    runtime.block_on(questions.ask())?;
    println!("load at the end: {}", load());
    Ok(())
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn peak_mb() -> f64 {
    measure::usage(std::process::id()).rss_peak_bytes as f64 / 1e6
}

fn cpu() -> u64 {
    measure::usage(std::process::id()).cpu_ns
}

fn cpu_since(before: u64) -> Duration {
    Duration::from_nanos(cpu().saturating_sub(before))
}

/// Lets the peak begin again at what is in use now.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

struct Writing<'a> {
    web: &'a Web,
    school: &'a School,
    clock: &'a SchoolClock,
    state: &'a Path,
}

#[derive(Default)]
struct Totals {
    rows: u64,
    open_bytes: u64,
    sealed_bytes: u64,
    writing: Duration,
    storing: Duration,
    /// Processor time of storing, with everything that proves the rows.
    storing_cpu: Duration,
    sealing: Duration,
    peak_storing: f64,
    peak_sealing: f64,
}

impl Writing<'_> {
    async fn write(&self, days: &[Date], records: usize) -> Result<(), Fault> {
        let journal = self.state.join("journal");
        std::fs::create_dir_all(&journal)?;
        let mut writer = Days::new(self.web, self.school, self.clock);
        let mut totals = Totals::default();
        for (number, day) in days.iter().enumerate() {
            let began = Instant::now();
            writer.write(&journal, *day, number as u64, records)?;
            totals.writing += began.elapsed();
            forget_peak();
            let began = Instant::now();
            let cpu = cpu();
            let recovered = recover(self.state)?.ok_or("another process holds the folder")?;
            totals.storing += began.elapsed();
            totals.storing_cpu += cpu_since(cpu);
            totals.peak_storing = totals.peak_storing.max(peak_mb());
            if recovered.decisions != records as u64 {
                return Err(format!("{} of {records} records stored", recovered.decisions).into());
            }
            forget_peak();
            let (_, until) = self.clock.day_bounds(*day);
            let mut sealed: Option<Sealed> = None;
            let told = |part: &Sealed| sealed = Some(part.clone());
            seal_days(self.state, Some(*day), until, || false, told).await?;
            let sealed = sealed.ok_or("the day was not sealed")?;
            totals.peak_sealing = totals.peak_sealing.max(peak_mb());
            totals.sealing += sealed.took;
            totals.rows += sealed.rows;
            totals.open_bytes += sealed.open_bytes;
            totals.sealed_bytes += sealed.sealed_bytes;
            if number % 10 == 9 || number + 1 == days.len() {
                println!("{day}: {} records so far", totals.rows);
            }
        }
        totals.print(self.state);
        Ok(())
    }
}

impl Totals {
    fn print(&self, state: &Path) {
        let rows = self.rows.max(1) as f64;
        let rate = |took: Duration| rows / took.as_secs_f64().max(1e-9);
        let parquet: u64 = parts(&state.join("access"))
            .unwrap_or_default()
            .iter()
            .filter_map(|part| std::fs::metadata(part.rows(&state.join("access"))).ok())
            .map(|file| file.len())
            .sum();
        println!();
        row(
            "bytes a record, open day",
            "at most 80",
            &format!("{:.1}", self.open_bytes as f64 / rows),
        );
        let sealed = self.sealed_bytes as f64 / rows;
        let sums = sealed - parquet as f64 / rows;
        let told = format!("{sealed:.1} (of them {sums:.1} sums and proofs)");
        row("bytes a record, sealed", "at most 20", &told);
        row("written by the generator, records/s", "", &format!("{:.0}", rate(self.writing)));
        row("stored, records/s", "", &format!("{:.0}", rate(self.storing)));
        let micros = self.storing_cpu.as_secs_f64() * 1e6 / rows;
        row("stored, microseconds of processor a record", "", &format!("{micros:.2}"));
        row("sealed, records/s", "", &format!("{:.0}", rate(self.sealing)));
        row("peak memory while storing, MB", "", &format!("{:.0}", self.peak_storing));
        row("peak memory while sealing, MB", "", &format!("{:.0}", self.peak_sealing));
    }
}

fn row(what: &str, goal: &str, measured: &str) {
    println!("{what:<58} {goal:<12} {measured}");
}

struct Questions<'a> {
    clock: &'a SchoolClock,
    state: &'a Path,
    days: Vec<Date>,
    rows: u64,
    web: &'a Web,
    school: &'a School,
}

impl Questions<'_> {
    fn bounds(&self, days: &[Date]) -> (UnixMillis, UnixMillis) {
        let first = days.first().copied().unwrap_or(FIRST);
        let last = days.last().copied().unwrap_or(first);
        (self.clock.day_bounds(first).0, self.clock.day_bounds(last).1)
    }

    fn within(&self, days: &[Date], filter: Filter) -> Filter {
        let (since, until) = self.bounds(days);
        Filter { since: Some(since), until: Some(until), ..filter }
    }

    async fn summary(&self, days: &[Date]) -> Result<Summary, Fault> {
        let first = days.first().copied().unwrap_or(FIRST);
        let last = days.last().copied().unwrap_or(first);
        let until = last.saturating_add(jiff::Span::new().days(1));
        Ok(Summary::read(self.state, first, until).await?)
    }

    /// So many of the last days that they hold the records, or all.
    fn days_with(&self, records: u64) -> &[Date] {
        let a_day = (self.rows / self.days.len() as u64).max(1);
        let count = usize::try_from(records.div_ceil(a_day)).unwrap_or(usize::MAX);
        &self.days[self.days.len().saturating_sub(count)..]
    }

    async fn ask(&mut self) -> Result<(), Fault> {
        let held: Vec<Date> = AccessLog::new(self.state).days()?;
        self.days = held;
        let all = self.summary(&self.days).await?;
        self.rows = all.requests.total();
        println!();
        println!("{} records in {} days", self.rows, self.days.len());
        row("question", "goal", "cold / again");
        forget_peak();
        self.ask_about_people().await?;
        self.ask_filters().await?;
        self.ask_sites().await?;
        self.ask_reports().await?;
        self.ask_the_rest().await?;
        row("peak memory of the questions, MB", "", &format!("{:.0}", peak_mb()));
        Ok(())
    }

    /// Asks twice, the first time from the disk.
    async fn time<T>(
        &self,
        what: &str,
        goal: &str,
        mut ask: impl AsyncFnMut() -> Result<T, Fault>,
        told: impl Fn(&T) -> String,
    ) -> Result<T, Fault> {
        drop_pages(&self.state.join("access"))?;
        let began = Instant::now();
        ask().await?;
        let cold = began.elapsed();
        let began = Instant::now();
        let answer = ask().await?;
        let again = began.elapsed();
        let measured = format!("{} / {}  ({})", show(cold), show(again), told(&answer));
        row(what, goal, &measured);
        Ok(answer)
    }

    async fn page(&self, filter: &Filter, order: Order) -> Result<usize, Fault> {
        let page = AccessLog::new(self.state).page(filter, order, None, PAGE).await?;
        Ok(page.rows.len())
    }

    async fn ask_about_people(&self) -> Result<(), Fault> {
        let term = &self.days[..self.days.len().min(TERM_DAYS)];
        let day = [term[term.len() / 2]];
        let busy = self.summary(&day).await?;
        let most = busy.people.iter().filter(|(key, _)| key.category.is_none());
        let most = most.filter_map(|(key, count)| Some((count.total(), key.person.clone()?))).max();
        let user = most.map(|(_, user)| user);
        let filter = self.within(&day, Filter { user: user.clone(), ..Filter::default() });
        let whole = async || -> Result<usize, Fault> {
            let (mut log, mut after, mut rows) = (AccessLog::new(self.state), None, 0);
            loop {
                let page = log.page(&filter, Order::OldestFirst, after, PAGE).await?;
                rows += page.rows.len();
                after = page.next;
                if after.is_none() {
                    return Ok(rows);
                }
            }
        };
        let rows = |rows: &usize| format!("{rows} rows");
        self.time("one person's day out of a term, all of it", "1 s", whole, rows).await?;
        let filter = self.within(term, Filter { user, ..Filter::default() });
        let newest = async || self.page(&filter, Order::NewestFirst).await;
        self.time("one person's newest 1,000 in a term", "", newest, rows).await?;
        Ok(())
    }

    fn filters(&self) -> Vec<(&'static str, Filter)> {
        let none = Filter::default;
        let text = |text: &str| Some(text.to_owned());
        let person =
            &self.school.people[Zipf::new(pupils::PEOPLE, 1.0).pick(&mut chance::Chance::new(4))];
        let client = person.client(3);
        vec![
            ("nothing", none()),
            ("a person", Filter { user: person.user.clone(), ..none() }),
            ("a level", Filter { level: text("guest"), ..none() }),
            ("a popular site", Filter { site: Some(self.site(0)), ..none() }),
            ("a rare site", Filter { site: Some(self.site(9000)), ..none() }),
            ("a site that is not there", Filter { site: text("nowhere.invalid"), ..none() }),
            ("a site's part", Filter { site: Some(format!("{}/nowhere", self.site(0))), ..none() }),
            ("a category", Filter { category: text("gambling"), ..none() }),
            ("blocked", Filter { verdict: Some(Verdict::Block), ..none() }),
            ("an address", Filter { client: Some(client), ..none() }),
            ("a depth", Filter { depth: Some(Depth::Plain), ..none() }),
            ("a text that is nowhere", Filter { text: text("no-such-text"), ..none() }),
            ("a common text", Filter { text: text(".js"), ..none() }),
            (
                "person, category and verdict",
                Filter {
                    user: person.user.clone(),
                    category: text("games"),
                    verdict: Some(Verdict::Block),
                    ..none()
                },
            ),
        ]
    }

    fn site(&self, rank: usize) -> String {
        let name = &self.web.hosts[rank].name;
        name.strip_prefix("www.").unwrap_or(name).to_owned()
    }

    async fn ask_filters(&self) -> Result<(), Fault> {
        let week = &self.days[self.days.len().saturating_sub(5)..];
        let as_many = self.days_with(WEEK_RECORDS);
        for (days, goal) in [(week, "1 s"), (as_many, "1 s")] {
            let records = self.rows / self.days.len() as u64 * days.len() as u64;
            println!("first page of {} days, {records} records:", days.len());
            for (what, filter) in self.filters() {
                let filter = self.within(days, filter);
                for order in [Order::NewestFirst, Order::OldestFirst] {
                    let ask = async || self.page(&filter, order).await;
                    let way = if order == Order::NewestFirst { "newest" } else { "oldest" };
                    let what = format!("  {what}, {way} first");
                    self.time(&what, goal, ask, |rows| format!("{rows} rows")).await?;
                }
            }
        }
        Ok(())
    }

    async fn ask_sites(&self) -> Result<(), Fault> {
        let term = &self.days[..self.days.len().min(TERM_DAYS)];
        for (days, goal, span) in [(term, "5 s", "a term"), (&*self.days, "", "all days")] {
            for (what, rank) in [("popular", 0), ("less popular", 300), ("rare", 20_000)] {
                let filter = Filter { site: Some(self.site(rank)), ..Filter::default() };
                let filter = self.within(days, filter);
                let ask = async || Ok(AccessLog::new(self.state).visitors(&filter).await?);
                let what = format!("a {what} site's visitors in {span}");
                let told = |people: &Vec<ledger::query::Visitor>| {
                    let requests: u64 = people.iter().map(|person| person.requests).sum();
                    format!("{} people, {requests} requests", people.len())
                };
                self.time(&what, goal, ask, told).await?;
            }
        }
        Ok(())
    }

    async fn ask_reports(&self) -> Result<(), Fault> {
        let week = &self.days[self.days.len().saturating_sub(5)..];
        let told = |summary: &Summary| {
            let people = summary.people.len();
            format!("{} records, {people} sums by person and category", summary.requests.total())
        };
        let ask = async || self.summary(week).await;
        self.time("sums of a week: report, person by category", "1 s", ask, told).await?;
        let days = self.days_with(REPORT_RECORDS);
        let ask = async || self.summary(days).await;
        let what = format!("the same of {} days", days.len());
        self.time(&what, "2 s", ask, told).await?;
        let ask = async || self.summary(&self.days).await;
        self.time("the same of all days", "", ask, told).await?;
        Ok(())
    }

    async fn ask_the_rest(&self) -> Result<(), Fault> {
        let day = [self.days[self.days.len() / 2]];
        let filter = self.within(&day, Filter::default());
        let first = AccessLog::new(self.state).page(&filter, Order::OldestFirst, None, 1).await?;
        let id = first.rows.first().ok_or("a day without a row")?.id;
        let ask = async || Ok(AccessLog::new(self.state).find(id).await?.is_some());
        self.time("one record by its code", "", ask, |found| format!("found: {found}")).await?;
        let whole = async || -> Result<usize, Fault> {
            let (mut log, mut after, mut rows) = (AccessLog::new(self.state), None, 0);
            loop {
                let page = log.page(&filter, Order::OldestFirst, after, 2000).await?;
                rows += page.rows.len();
                after = page.next;
                if after.is_none() {
                    return Ok(rows);
                }
            }
        };
        self.time("a whole day, in pages of 2,000", "", whole, |rows| format!("{rows} rows"))
            .await?;
        let last = self.days.last().copied();
        let options = || Options { since: last, ..Options::default() };
        let ask = async || Ok(verify(self.state, &options(), &mut |_| {}).await?);
        let told = |report: &Report| {
            let problems = report.problems.iter().filter(|problem| problem.log == "access log");
            format!("{} rows right, {} problems", report.rows, problems.count())
        };
        self.time("audit verify of one sealed day", "", ask, told).await?;
        Ok(())
    }
}

fn show(took: Duration) -> String {
    format!("{:.3} s", took.as_secs_f64())
}

/// Gives the pages of all files in a folder back to the system, so that the next read comes from the
/// disk.
fn drop_pages(folder: &Path) -> Result<(), Fault> {
    for entry in std::fs::read_dir(folder)? {
        let file = std::fs::File::open(entry?.path())?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
