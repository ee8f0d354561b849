//! The grammar of what was recorded: `log`, `report` and `retention`.

use super::{ChangeArgs, PrintArgs, WhoArgs};
use clap::{Args, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;

/// Which records.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct LogFilters {
    /// This proven user
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// This level
    #[arg(long)]
    pub(crate) level: Option<String>,
    /// This site and what is below it
    #[arg(long)]
    pub(crate) site: Option<String>,
    /// Sites of this category
    #[arg(long)]
    pub(crate) category: Option<String>,
    /// allow or block
    #[arg(long, value_parser = ["allow", "block"])]
    pub(crate) verdict: Option<String>,
    /// This text anywhere in the address (host and path), whatever its case, or for the DSL and the
    /// head in the words of a search; what else stood behind a question mark is not recorded
    #[arg(long, value_name = "TEXT")]
    pub(crate) term: Option<String>,
    /// The record of this block-page code
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// This reason, e.g. category, outside_times, not_on_list, unblock
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// From this address of the school's network
    #[arg(long)]
    pub(crate) client: Option<IpAddr>,
    /// How far the filter saw: plain (http, the whole address), name (https by name only) or page
    /// (https looked into)
    #[arg(long, value_parser = ["plain", "name", "page"])]
    pub(crate) depth: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Records of a time range: today's when none is given, the oldest first, at most 1000
    #[command(before_help = "Examples:
  schoolgate log query --since 2h --verdict block
  schoolgate log query --since \"last week\" --user sam.p --csv
  schoolgate log query --since \"this term\" --term roulette
  schoolgate log query --since 2026-11-23 --until 2026-11-24 --category games --jsonl")]
    Query {
        #[command(flatten)]
        filters: LogFilters,
        /// RFC 3339, a date, 2h, yesterday, "last week", "this term"; today when not given
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// First instant that is not wanted; now when not given, but the end of a --since that is a whole day,
        /// week, month or term ("yesterday", "last week")
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
        /// At most this many records, counted from the oldest (with --newest-first: the newest)
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        /// The newest first
        #[arg(long)]
        newest_first: bool,
        /// Show the addresses of illegal content too; without it the host is hidden-HASH (the start
        /// of the name's SHA-256) and the path is locked:sha256-HASH (of the whole address)
        #[arg(long)]
        show_locked: bool,
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Print new records as they come, until interrupted
    #[command(before_help = "Examples:
  schoolgate log follow --verdict block
  schoolgate log follow --since 10m --until 10:50 --jsonl")]
    Follow {
        #[command(flatten)]
        filters: LogFilters,
        /// First what was recorded since then: RFC 3339, a date, 2h, yesterday; only what comes when
        /// not given
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// End by itself then: 10:50, "2 hours", RFC 3339; until interrupted when not given
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
        /// Show the addresses of illegal content too; without it the host is hidden-HASH (the start
        /// of the name's SHA-256) and the path is locked:sha256-HASH (of the whole address)
        #[arg(long)]
        show_locked: bool,
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Who visited: the people behind the records that the filters keep, the most requests first
    #[command(before_help = "Examples:
  schoolgate log visitors --site chess.com --since \"this term\"
  schoolgate log visitors --category gambling --verdict block --since \"last week\" --csv")]
    Visitors {
        #[command(flatten)]
        filters: LogFilters,
        /// RFC 3339, a date, 2h, yesterday, "last week", "this term"; today when not given
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// First instant that is not wanted; now when not given, but the end of a --since that is a whole day,
        /// week, month or term ("yesterday", "last week")
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Seal days that are over: their records become Parquet files, which take less room and which
    /// other programs read; the filter does it by itself in the night
    #[command(
        before_help = "Examples:\n  schoolgate log seal\n  schoolgate log seal --day 2026-11-25"
    )]
    Seal {
        /// This day alone
        #[arg(long, value_name = "DATE")]
        day: Option<jiff::civil::Date>,
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Every entry of the change log: changes, people, bans, lists, starts, refused attempts
    #[command(before_help = "Examples:
  schoolgate log actions --since \"this week\"
  schoolgate log actions --since \"this term\" --event action_refused
  schoolgate log actions --since \"this term\" --actor j.cho --csv")]
    Actions {
        /// What this person did (or `automatic`, `schoolgate`)
        #[arg(long, value_name = "NAME")]
        actor: Option<String>,
        /// Entries of this kind alone, e.g. user_banned, list_accepted, serve_started
        #[arg(long, value_name = "WORD")]
        event: Option<String>,
        /// RFC 3339, a date, 2h, yesterday, "last week", "this term"; today when not given
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// First instant that is not wanted; now when not given, but the end of a --since that is a whole day,
        /// week, month or term ("yesterday", "last week")
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Everything about one record
    #[command(
        before_help = "Examples:\n  schoolgate log show 1RX91-Y33A8\n  schoolgate log show 2026-11-23:1041"
    )]
    Show {
        /// The code, or DAY:SEQUENCE as `log query --json` prints them
        record: String,
        /// Show the addresses of illegal content too; without it the host is hidden-HASH (the start
        /// of the name's SHA-256) and the path is locked:sha256-HASH (of the whole address)
        #[arg(long)]
        show_locked: bool,
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
}

/// For whom a weekly report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reader {
    /// The safeguarding lead: no technical words
    Dsl,
    /// The technician
    It,
}

/// The file format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// A page to print
    Html,
    /// A4, to attach or to print; give it a file with -o
    Pdf,
    /// Markdown
    Md,
    /// CSV
    Csv,
    /// JSON
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// The week on one page
    #[command(before_help = "Examples:
  schoolgate report weekly --for dsl -o week.pdf
  schoolgate report weekly --for it --since \"this week\" --format md
  schoolgate report weekly --names --reason \"to talk to two form tutors\"")]
    Weekly {
        /// For whom
        #[arg(long = "for", value_enum, ignore_case = true, default_value_t = Reader::Dsl)]
        reader: Reader,
        /// File format; that of the file's ending when not given, else Markdown
        #[arg(long, value_enum, ignore_case = true)]
        format: Option<ReportFormat>,
        /// The range; last week (Monday to Sunday) when not given
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// Name the people; a pseudonym stands for each otherwise. Needs dsl or head, and --reason
        #[arg(long, requires = "reason")]
        names: bool,
        /// Why the names are needed; stands in the change log
        #[arg(long, value_name = "TEXT", requires = "names")]
        reason: Option<String>,
        /// Write to this file instead of standard output: .pdf, .html, .csv, .json, .md or .txt
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        who: WhoArgs,
    },
    /// Sign the safeguarding lead's weekly report as reviewed; needs dsl or head
    #[command(before_help = "Examples:
  schoolgate report review --action \"Spoke to the head of year 9; nothing else\" --by q.whitmore
  schoolgate report review --week 2026-11-16 --action \"Nothing to do\"")]
    Review {
        /// What was done about it, without pupils' names: it stays in the change log
        #[arg(long, value_name = "TEXT")]
        action: String,
        /// The week, by any of its days; last week when not given
        #[arg(long, value_name = "DATE")]
        week: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// The Filtering Change Log: seven columns
    #[command(before_help = "Examples:
  schoolgate report changes -o changes.csv
  schoolgate report changes --since \"this term\" -o changes.html")]
    Changes {
        /// File format; that of the file's ending when not given, else Markdown
        #[arg(long, value_enum, ignore_case = true)]
        format: Option<ReportFormat>,
        /// Only that about which anything was done since; all when not given
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// Write to this file instead of standard output: .pdf, .html, .csv, .json, .md or .txt
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        who: WhoArgs,
    },
    /// Everything recorded on one person, for a subject access request; needs dsl or head
    #[command(before_help = "Examples:
  schoolgate report person sam.p --reason \"subject access request of 3 March\" -o sam.html
  schoolgate report person sam.p --reason \"subject access request of 3 March\" --format json")]
    Person {
        /// The user, as the log has the name
        name: String,
        /// Why it is needed; stands in the change log
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// File format; that of the file's ending when not given, else Markdown
        #[arg(long, value_enum, ignore_case = true)]
        format: Option<ReportFormat>,
        /// Write to this file instead of standard output: .pdf, .html, .csv, .json, .md or .txt
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        who: WhoArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// Each kind of record: days kept, and on what basis
    #[command(
        before_help = "Examples:\n  schoolgate retention show\n  schoolgate retention show --json"
    )]
    Show {
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Erase every day and each kind of record whose time is up; needs it, dsl or head
    #[command(
        before_help = "Examples:\n  schoolgate retention run --dry-run\n  schoolgate retention run --by j.cho"
    )]
    Run {
        /// Days before two months without any record too: the clock of this machine is right
        #[arg(long)]
        despite_gap: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Legal holds: records that are kept although their time is up
    #[command(before_help = "Examples:
  schoolgate retention hold add --person sam.p --reason \"police request 12/26\"
  schoolgate retention hold list
  schoolgate retention hold lift H-0001 --reason \"the case is closed\"")]
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Erase what one person's requests say, for good; one person asks, another carries it out
    #[command(before_help = "Examples:
  schoolgate retention erase ask sam.p --reason \"parents' letter of 3 March, agreed\" --by q.whitmore
  schoolgate retention erase list
  schoolgate retention erase carry-out E-0001 --person sam.p --by a.deputy")]
    #[command(subcommand)]
    Erase(EraseCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum EraseCommand {
    /// Ask for it; needs dsl or head. The name is not kept
    #[command(before_help = "Examples:
  schoolgate retention erase ask sam.p --reason \"parents' letter of 3 March, agreed\" --by q.whitmore")]
    Ask {
        /// The user, as the log has the name
        name: String,
        /// Why, in at least 10 letters and without the name; stays in the change log
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// What was asked for, and how it stands
    #[command(
        before_help = "Examples:\n  schoolgate retention erase list\n  schoolgate retention erase list --json"
    )]
    List {
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Carry it out: cannot be undone; needs dsl or head, and another person than who asked
    #[command(before_help = "Examples:
  schoolgate retention erase carry-out E-0001 --person sam.p --dry-run
  schoolgate retention erase carry-out E-0001 --person sam.p --by a.deputy")]
    CarryOut {
        /// Its number, such as E-0001
        id: String,
        /// The user's name again: it must be the one that was asked for
        #[arg(long, value_name = "NAME")]
        person: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    /// Keep what fits everything that is given; needs dsl or head
    #[command(before_help = "Examples:
  schoolgate retention hold add --person sam.p --from 2026-01-05 --reason \"police request 12/26\"")]
    Add {
        /// Records of this user
        #[arg(long, value_name = "NAME")]
        person: Option<String>,
        /// Records of this site and what is below it
        #[arg(long)]
        site: Option<String>,
        /// Records from then
        #[arg(long, value_name = "WHEN")]
        from: Option<String>,
        /// Records until then
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
        /// Why, in at least 10 letters
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// The holds in force
    #[command(
        before_help = "Examples:\n  schoolgate retention hold list\n  schoolgate retention hold list --json"
    )]
    List {
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// End a hold; needs dsl or head, and another person than who made it
    #[command(before_help = "Examples:
  schoolgate retention hold lift H-0001 --reason \"the case is closed\" --by a.deputy")]
    Lift {
        /// Its number, such as H-0001
        id: String,
        /// Why, in at least 10 letters
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}
