//! The command line: a noun, then a verb. Every help text opens with examples.

use crate::output::Format;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;

/// The school web filter and everything to run it with.
#[derive(Debug, Parser)]
#[command(
    name = "schoolgate",
    version,
    about = "A web filter for schools: decides by level, records everything, opens sites for a lesson",
    before_help = "Examples:
  schoolgate serve                               start with the built-in example school
  schoolgate check chess.com --as ks3 --at \"Wed 10:00\"
  schoolgate unblock request chess.com --for ks3 --until friday --reason \"Chess club final\" --by p.obi
  schoolgate log query --since 2h --verdict block
  schoolgate report weekly --for dsl --format html -o week.html",
    after_help = "Exit codes: 0 ok or allowed, 1 fault, 2 usage, 3 bad configuration, 4 not permitted, 5 not found, \
                  6 filter down, 7 problems found, 10 blocked (check).",
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub(crate) struct Cli {
    /// The machine file; without it ./schoolgate.toml, else the built-in example school
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The nouns, and the verbs that need none.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the filter until stopped
    #[command(before_help = "Examples:
  schoolgate serve
  schoolgate serve --config /etc/schoolgate/schoolgate.toml
  SCHOOLGATE_LOG=proxy=debug schoolgate serve --log-format json")]
    Serve(ServeArgs),
    /// Say whether the filter runs, with which policy and lists
    #[command(before_help = "Examples:\n  schoolgate status\n  schoolgate status --json")]
    Status(StatusArgs),
    /// Look for faults in the configuration, the lists, the log and the machine
    #[command(before_help = "Examples:\n  schoolgate doctor\n  schoolgate doctor --json")]
    Doctor(DoctorArgs),
    /// Decide an address as the filter would, and say why
    #[command(before_help = "Examples:
  schoolgate check chess.com --as ks3
  schoolgate check chess.com --as @9C --at \"Tue 10:00\"
  schoolgate check https://example.org/maths --as sam.p --json
  schoolgate check - --as ks2 --jsonl < addresses.txt")]
    Check(CheckArgs),
    /// Explain the code of a block page
    #[command(
        before_help = "Examples:\n  schoolgate explain 4F2KQ-7M0XD\n  schoolgate explain 4F2KQ-7M0XD --json"
    )]
    Explain(ExplainArgs),
    /// Close a site at once
    #[command(before_help = "Examples:
  schoolgate block example.com --for pupil --reason \"Pupils share harmful videos there\" --by j.cho
  schoolgate block list
  schoolgate block lift B-0001 --reason \"The owner took it down\" --by q.whitmore")]
    Block(BlockArgs),
    /// Open a site for a lesson: asked for by one person, authorised by another
    #[command(
        before_help = "Examples:
  schoolgate unblock request chess.com --for ks3 --until friday --reason \"Chess club final\" --by p.obi
  schoolgate unblock authorise U-0001 --by q.whitmore
  schoolgate unblock list
  schoolgate unblock revoke U-0001 --reason \"Lesson over\" --by q.whitmore",
        subcommand_required = true
    )]
    #[command(subcommand)]
    Unblock(UnblockCommand),
    /// Site lists: their age, updates and versions
    #[command(before_help = "Examples:
  schoolgate lists status
  schoolgate lists update
  schoolgate lists diff ut1-games
  schoolgate lists accept ut1-games --by j.cho")]
    #[command(subcommand)]
    Lists(ListsCommand),
    /// The school's decisions: check, test and apply policy.toml
    #[command(before_help = "Examples:
  schoolgate policy validate new-policy.toml
  schoolgate policy test new-policy.toml
  schoolgate policy diff new-policy.toml
  schoolgate policy apply new-policy.toml --reason \"Spring term\" --by j.cho --authorised-by q.whitmore")]
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// The machine file
    #[command(
        before_help = "Examples:\n  schoolgate config validate --config schoolgate.toml\n  schoolgate config show"
    )]
    #[command(subcommand)]
    Config(ConfigCommand),
    /// People who sign in to the filter
    #[command(before_help = "Examples:
  schoolgate user add sam.p --level ks2 --group \"Year 6\" < password.txt
  schoolgate user import people.csv --by j.cho
  schoolgate user list --level ks2
  schoolgate user ban sam.p --until friday --reason \"Agreed with the head of year\" --by q.whitmore")]
    #[command(subcommand)]
    User(UserCommand),
    /// The access log: who asked for what, and what was decided
    #[command(before_help = "Examples:
  schoolgate log query --since yesterday --verdict block --level ks3
  schoolgate log query --user sam.p --since 2026-11-23 --csv
  schoolgate log show 4F2KQ-7M0XD
  schoolgate log follow")]
    #[command(subcommand)]
    Log(LogCommand),
    /// Reports for the safeguarding lead and the technician
    #[command(before_help = "Examples:
  schoolgate report weekly --for dsl --format html -o week.html
  schoolgate report changes --format csv -o changes.csv")]
    #[command(subcommand)]
    Report(ReportCommand),
    /// How long each kind of record is kept
    #[command(before_help = "Examples:\n  schoolgate retention show")]
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Print a shell's completions
    #[command(before_help = "Examples:
  schoolgate completions bash > /etc/bash_completion.d/schoolgate
  schoolgate completions fish > ~/.config/fish/completions/schoolgate.fish")]
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for every command into a folder
    #[command(
        before_help = "Examples:\n  schoolgate man | man -l -\n  schoolgate man -o /usr/local/share/man/man1"
    )]
    Man(ManArgs),
}

/// How to print data.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct PrintArgs {
    /// One JSON array or object
    #[arg(long, conflicts_with_all = ["jsonl", "csv", "plain"])]
    pub(crate) json: bool,
    /// A JSON object a line
    #[arg(long, conflicts_with_all = ["csv", "plain"])]
    pub(crate) jsonl: bool,
    /// CSV with a header
    #[arg(long, conflicts_with = "plain")]
    pub(crate) csv: bool,
    /// Tab-separated, no header
    #[arg(long)]
    pub(crate) plain: bool,
}

impl PrintArgs {
    /// The format asked for; a table when none is.
    pub(crate) fn format(self) -> Format {
        match self {
            Self { json: true, .. } => Format::Json,
            Self { jsonl: true, .. } => Format::Jsonl,
            Self { csv: true, .. } => Format::Csv,
            Self { plain: true, .. } => Format::Plain,
            _ => Format::Table,
        }
    }
}

/// Who makes a change, and how far.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Change")]
pub(crate) struct ChangeArgs {
    /// The acting person, as named in [roles]; also SCHOOLGATE_BY
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// Say what would change; change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub(crate) yes: bool,
    /// Never ask anything; fail where an answer is needed
    #[arg(long)]
    pub(crate) no_input: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// How to write messages to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// The daemon's own messages.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people and journald
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// One JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Addresses; `-` reads one a line from standard input
    #[arg(required = true, value_name = "URL")]
    pub(crate) urls: Vec<String>,
    /// As whom: a level, @GROUP or a user
    #[arg(long = "as", value_name = "LEVEL|@GROUP|USER")]
    pub(crate) as_whom: String,
    /// At which time, e.g. "Tue 10:00" or 2026-11-24T10:00:00Z; now when not given
    #[arg(long, value_name = "WHEN")]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) print: PrintArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The ten characters from the block page; case, spaces and hyphens do not matter
    #[arg(required = true, num_args = 1..=3)]
    pub(crate) code: Vec<String>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct BlockArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BlockCommand>,
    /// The site: a host and everything below it, or a host and path
    #[arg(required = true, value_name = "SITE")]
    pub(crate) site: Option<String>,
    /// For whom: a level, @GROUP or a user
    #[arg(long = "for", required = true, value_name = "LEVEL|@GROUP|USER")]
    pub(crate) scope: Option<String>,
    /// Why
    #[arg(long, required = true, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BlockCommand {
    /// Blocks in force
    #[command(before_help = "Examples:\n  schoolgate block list\n  schoolgate block list --json")]
    List {
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Take a block away again
    #[command(
        before_help = "Examples:\n  schoolgate block lift B-0001 --reason \"The owner took it down\" --by q.whitmore"
    )]
    Lift {
        /// The block, e.g. B-0001
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum UnblockCommand {
    /// Ask for a site to be opened
    #[command(before_help = "Examples:
  schoolgate unblock request chess.com --for ks3 --until friday --reason \"Chess club final\" --by p.obi
  schoolgate unblock request example.org/maths --for @9C --until 10:50 --reason \"Fractions lesson\" --by p.obi")]
    Request {
        /// The site: a host and everything below it, or a host and path
        site: String,
        /// For whom: a level, @GROUP or a user
        #[arg(long = "for", value_name = "LEVEL|@GROUP|USER")]
        scope: String,
        /// Until when: 10:50, friday, "3 days", 2026-01-05, "end of term"
        #[arg(long, value_name = "WHEN")]
        until: String,
        /// From when; now when not given
        #[arg(long, value_name = "WHEN")]
        from: Option<String>,
        /// Why: the lesson or need, at least 10 letters
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// All unblocks, the newest first
    #[command(
        before_help = "Examples:\n  schoolgate unblock list\n  schoolgate unblock list --state asked --json"
    )]
    List {
        /// Only those in this state
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// One unblock and its history
    #[command(before_help = "Examples:\n  schoolgate unblock show U-0001")]
    Show {
        /// The unblock, e.g. U-0001
        id: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say yes; never by the person who asked
    #[command(
        alias = "authorize",
        before_help = "Examples:\n  schoolgate unblock authorise U-0001 --by q.whitmore"
    )]
    Authorise {
        /// The unblock, e.g. U-0001
        id: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Say no
    #[command(
        before_help = "Examples:\n  schoolgate unblock refuse U-0001 --reason \"Use the school's own library\" --by q.whitmore"
    )]
    Refuse {
        /// The unblock, e.g. U-0001
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// End an unblock before its time; its open connections are closed
    #[command(
        before_help = "Examples:\n  schoolgate unblock revoke U-0001 --reason \"Lesson over\" --by q.whitmore"
    )]
    Revoke {
        /// The unblock, e.g. U-0001
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Move the end
    #[command(
        before_help = "Examples:\n  schoolgate unblock extend U-0001 --until \"3 days\" --reason \"Club final moved\" --by q.whitmore"
    )]
    Extend {
        /// The unblock, e.g. U-0001
        id: String,
        /// Until when: 10:50, friday, "3 days", 2026-01-05
        #[arg(long, value_name = "WHEN")]
        until: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Make an authorised change, where the policy does not do it by itself
    #[command(before_help = "Examples:\n  schoolgate unblock apply U-0001 --by j.cho")]
    Apply {
        /// The unblock, e.g. U-0001
        id: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Say that it works as meant; by a third person
    #[command(
        before_help = "Examples:\n  schoolgate unblock confirm U-0001 --note \"Tried in room 12\" --by j.cho"
    )]
    Confirm {
        /// The unblock, e.g. U-0001
        id: String,
        /// What was looked at
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// The Filtering Change Log: seven columns
    #[command(
        before_help = "Examples:\n  schoolgate unblock log\n  schoolgate unblock log --since \"this term\" --csv"
    )]
    Log {
        /// Only changes since: a date, 2h, yesterday, "last week", "this term"
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        #[command(flatten)]
        print: PrintArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ListsCommand {
    /// Each list: version, age, entries, and whether one waits for a person
    #[command(
        before_help = "Examples:\n  schoolgate lists status\n  schoolgate lists status --json"
    )]
    Status {
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Fetch new versions; what shrinks or newly blocks visited sites is held
    #[command(
        before_help = "Examples:\n  schoolgate lists update\n  schoolgate lists update ut1-games"
    )]
    Update {
        /// Only these lists
        names: Vec<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// What a held version would add and remove
    #[command(before_help = "Examples:\n  schoolgate lists diff ut1-games")]
    Diff {
        /// The list
        name: String,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Let a held version take effect
    #[command(before_help = "Examples:\n  schoolgate lists accept ut1-games --by j.cho")]
    Accept {
        /// The list
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Go back to the version before
    #[command(before_help = "Examples:\n  schoolgate lists rollback ut1-games --by j.cho")]
    Rollback {
        /// The list
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Take a version from a file or folder instead of the list's own address
    #[command(
        before_help = "Examples:\n  schoolgate lists import ut1-games ./games.tar.gz --by j.cho"
    )]
    Import {
        /// The list
        name: String,
        /// A list file, a squidGuard folder, or either as .gz or .tar.gz
        path: PathBuf,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Look for faults; run nothing
    #[command(
        before_help = "Examples:\n  schoolgate policy validate\n  schoolgate policy validate new-policy.toml"
    )]
    Validate {
        /// The policy; the one in force when not given
        file: Option<PathBuf>,
    },
    /// Run the policy's [[test]] cases against the lists in use
    #[command(
        before_help = "Examples:\n  schoolgate policy test\n  schoolgate policy test new-policy.toml"
    )]
    Test {
        /// The policy; the one in force when not given
        file: Option<PathBuf>,
    },
    /// What would change
    #[command(before_help = "Examples:\n  schoolgate policy diff new-policy.toml")]
    Diff {
        /// The new policy
        file: PathBuf,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Put a policy in force; what opens more than before needs an authoriser
    #[command(before_help = "Examples:
  schoolgate policy apply new-policy.toml --reason \"Block web proxies\" --by j.cho
  schoolgate policy apply new-policy.toml --reason \"Games at lunch\" --by j.cho --authorised-by q.whitmore")]
    Apply {
        /// The new policy
        file: PathBuf,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who authorised it, where it opens more than before; never the person who applies it
        #[arg(long, value_name = "NAME")]
        authorised_by: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Put the policy before this one back in force
    #[command(
        before_help = "Examples:\n  schoolgate policy rollback --reason \"Blocked too much\" --by j.cho --authorised-by q.whitmore"
    )]
    Rollback {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Which: the first characters of its hash; the one before when not given
        #[arg(long, value_name = "HASH")]
        to: Option<String>,
        /// Who authorised it, where it opens more than before; never the person who applies it
        #[arg(long, value_name = "NAME")]
        authorised_by: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Look for faults in the machine file
    #[command(before_help = "Examples:\n  schoolgate config validate --config schoolgate.toml")]
    Validate,
    /// The machine's settings as they are used, defaults included
    #[command(before_help = "Examples:\n  schoolgate config show\n  schoolgate config show --json")]
    Show {
        #[command(flatten)]
        print: PrintArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from this file's first line; `-` or nothing: standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a person
    #[command(before_help = "Examples:
  schoolgate user add sam.p --level ks2 --group \"Year 6\" --password-file pw.txt --by j.cho
  schoolgate user add sam.p --level ks2 < pw.txt")]
    Add {
        /// The name to sign in with
        name: String,
        /// The level; when not given, groups and networks of the policy decide
        #[arg(long)]
        level: Option<String>,
        /// A group or class; may be given several times
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Without a password: the person cannot sign in with one
        #[arg(long, conflicts_with = "password_file")]
        no_password: bool,
        #[command(flatten)]
        password: PasswordArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Add people from a CSV file with the columns user, level, groups, password
    #[command(
        before_help = "Examples:\n  schoolgate user import people.csv --by j.cho\n  schoolgate user import - < people.csv

people.csv (groups separated by semicolons; who exists is changed; no password given: kept):
  user,level,groups,password
  sam.p,ks2,Year 6;9C,correct horse"
    )]
    Import {
        /// The file; `-` is standard input
        file: PathBuf,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Everybody who can sign in
    #[command(
        before_help = "Examples:\n  schoolgate user list\n  schoolgate user list --level ks2 --csv"
    )]
    List {
        /// Only this level
        #[arg(long)]
        level: Option<String>,
        /// Only this group
        #[arg(long)]
        group: Option<String>,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Change a person's level
    #[command(before_help = "Examples:\n  schoolgate user set-level sam.p ks2 --by j.cho")]
    SetLevel {
        /// The person
        name: String,
        /// The level; `-` takes it away, groups and networks then decide
        #[arg(allow_hyphen_values = true)]
        level: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Give a person these groups and no others
    #[command(
        before_help = "Examples:\n  schoolgate user set-groups sam.p \"Year 7\" 7C --by j.cho"
    )]
    SetGroups {
        /// The person
        name: String,
        /// The groups; none takes all away
        groups: Vec<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Change a person's password
    #[command(
        before_help = "Examples:\n  schoolgate user set-password sam.p --password-file pw.txt --by j.cho"
    )]
    SetPassword {
        /// The person
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// No internet for a person until then
    #[command(
        before_help = "Examples:\n  schoolgate user ban sam.p --until friday --reason \"Agreed with the head of year\" --by q.whitmore"
    )]
    Ban {
        /// The person
        name: String,
        /// Until when: friday, "3 days", 2026-01-05
        #[arg(long, value_name = "WHEN")]
        until: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// End a ban now
    #[command(
        before_help = "Examples:\n  schoolgate user unban sam.p --reason \"Talked it over\" --by q.whitmore"
    )]
    Unban {
        /// The person
        name: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Remove a person; their records stay as long as the policy keeps them
    #[command(before_help = "Examples:\n  schoolgate user remove sam.p --yes --by j.cho")]
    Remove {
        /// The person
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

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
    /// The record of this block-page code
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// This reason, e.g. category, outside_times, not_on_list, unblock
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// From this address of the school's network
    #[arg(long)]
    pub(crate) client: Option<IpAddr>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Records of a time range, the oldest first
    #[command(before_help = "Examples:
  schoolgate log query --since 2h --verdict block
  schoolgate log query --since \"last week\" --user sam.p --csv
  schoolgate log query --since 2026-11-23 --until 2026-11-24 --category games --jsonl")]
    Query {
        #[command(flatten)]
        filters: LogFilters,
        /// RFC 3339, a date, 2h, yesterday, "last week", "this term"; today when not given
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// First instant that is not wanted; now when not given
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
        /// At most this many records
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        /// The newest first
        #[arg(long)]
        newest_first: bool,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Print new records as they come, until interrupted
    #[command(
        before_help = "Examples:\n  schoolgate log follow --verdict block\n  schoolgate log follow --jsonl"
    )]
    Follow {
        #[command(flatten)]
        filters: LogFilters,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Everything about one record
    #[command(
        before_help = "Examples:\n  schoolgate log show 4F2KQ-7M0XD\n  schoolgate log show 2026-11-23/1041"
    )]
    Show {
        /// The code, or DAY/SEQUENCE as `log query --json` prints them
        record: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
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
  schoolgate report weekly --for dsl --format html -o week.html
  schoolgate report weekly --for it --since \"this week\" --format md")]
    Weekly {
        /// For whom
        #[arg(long = "for", value_enum, default_value_t = Reader::Dsl)]
        reader: Reader,
        /// File format
        #[arg(long, value_enum, default_value_t = ReportFormat::Md)]
        format: ReportFormat,
        /// The range; last week (Monday to Sunday) when not given
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// Write to this file instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// The Filtering Change Log: seven columns
    #[command(before_help = "Examples:
  schoolgate report changes --format csv -o changes.csv
  schoolgate report changes --since \"this term\" --format html -o changes.html")]
    Changes {
        /// File format
        #[arg(long, value_enum, default_value_t = ReportFormat::Md)]
        format: ReportFormat,
        /// Only changes since; all when not given
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// Write to this file instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
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
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for every command into this folder
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_consistent_and_every_help_opens_with_examples() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        let mut checked = 0;
        let mut todo = vec![command];
        while let Some(command) = todo.pop() {
            let help = command.clone().render_help().to_string();
            assert!(help.starts_with("Examples:\n"), "{}: {help}", command.get_name());
            checked += 1;
            todo.extend(command.get_subcommands().cloned());
        }
        assert!(checked > 40, "only {checked} commands seen");
    }

    #[test]
    fn block_takes_a_site_or_a_verb() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("schoolgate block example.com --for ks3 --reason because").is_ok());
        assert!(parse("schoolgate block list").is_ok());
        assert!(parse("schoolgate block lift B-0001 --reason because").is_ok());
        assert!(parse("schoolgate block example.com --for ks3").is_err(), "a reason is mandatory");
        assert!(
            parse("schoolgate unblock request x.test --for ks3 --reason because").is_err(),
            "so is an end"
        );
    }
}
