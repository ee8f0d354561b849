//! The command line: a noun, then a verb. Every help text opens with examples.

mod account;
mod alerts;
mod audit;
mod backup;
mod ca;
mod changes;
mod lesson;
mod look;
mod machine;
mod records;

pub(crate) use account::{
    AccountCommand, BreakGlassCommand, LoginArgs, LogoutArgs, SetupArgs, TotpCommand, WhoamiArgs,
};
pub(crate) use alerts::{AlertsCommand, CaseCommand};
pub(crate) use audit::AuditCommand;
pub(crate) use backup::BackupCommand;
pub(crate) use ca::{CaCommand, CaFormat, NewArgs};
pub(crate) use changes::{BlockArgs, BlockCommand, PolicyCommand, ReplayArgs, UnblockCommand};
pub(crate) use lesson::LessonCommand;
pub(crate) use look::{CertificateCommand, InspectCommand};
pub(crate) use machine::{ConfigCommand, ListsCommand, PasswordArgs, UserCommand};
pub(crate) use records::{
    EraseCommand, HoldCommand, LogCommand, LogFilters, Reader, ReportCommand, ReportFormat,
    RetentionCommand,
};

use crate::output::Format;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The school web filter and everything to run it with.
#[derive(Debug, Parser)]
#[command(
    name = "schoolgate",
    version,
    about = "A web filter for schools: decides by level, records everything, opens sites for a lesson",
    before_help = "Examples:
  schoolgate serve                               start with the built-in example school
  schoolgate setup j.cho                         make the first administrator, then log in
  schoolgate login j.cho
  schoolgate check chess.com --as ks3 --at \"Wed 10:00\"
  schoolgate unblock request chess.com --for ks3 --until friday --reason \"Chess final\" --by m.obi
  schoolgate log query --since 2h --verdict block
  schoolgate report weekly --for dsl --format html -o week.html",
    after_help = "Exit codes: 0 ok or allowed, 1 fault, 2 usage, 3 bad configuration, 4 not permitted, 5 not found, \
                  6 filter down, 7 problems found, 10 blocked (check).",
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub(crate) struct Cli {
    /// The machine file; without it ./schoolgate.toml, else the example school that `serve` made in ./state
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
    /// Make the first administrator's account; once
    #[command(before_help = "Examples:
  schoolgate setup j.cho
  schoolgate setup j.cho --password-file first.txt")]
    Setup(SetupArgs),
    /// Prove who you are; commands act as you for a while
    #[command(before_help = "Examples:
  schoolgate login j.cho
  schoolgate login j.cho --totp 492039
  schoolgate login --break-glass                 with the emergency code from the head's safe

From standard input, a line each: the password; where another person has set it, your own new one;
and the one-time code, where two-step log-in is on.")]
    Login(LoginArgs),
    /// End your session
    #[command(before_help = "Examples:\n  schoolgate logout\n  schoolgate logout --all")]
    Logout(LogoutArgs),
    /// Say who is logged in here, with which roles, for how long
    #[command(before_help = "Examples:\n  schoolgate whoami\n  schoolgate whoami --json")]
    Whoami(WhoamiArgs),
    /// Administrators: who changes the filter and reads its log
    #[command(before_help = "Examples:
  schoolgate account add q.whitmore --by j.cho
  schoolgate account password
  schoolgate account totp on
  schoolgate account list")]
    #[command(subcommand)]
    Account(AccountCommand),
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
        before_help = "Examples:\n  schoolgate explain 1RX91-Y33A8\n  schoolgate explain 1RX91-Y33A8 --json"
    )]
    Explain(ExplainArgs),
    /// Close a site at once
    #[command(before_help = "Examples:
  schoolgate block example.com --for pupil --reason \"Pupils share harmful videos there\" --by j.cho
  schoolgate block list
  schoolgate block lift B-0001 --reason \"The owner took it down\" --by j.cho")]
    Block(BlockArgs),
    /// Open a site for a lesson: asked for by one person, authorised by another
    #[command(
        before_help = "Examples:
  schoolgate unblock request chess.com --for ks3 --until friday --reason \"Chess final\" --by m.obi
  schoolgate unblock authorise U-0001 --by q.whitmore
  schoolgate unblock list
  schoolgate unblock revoke U-0001 --reason \"Lesson over\" --by q.whitmore",
        subcommand_required = true
    )]
    #[command(subcommand)]
    Unblock(UnblockCommand),
    /// Open a site for a class, under a standing yes of the policy
    #[command(before_help = "Examples:
  schoolgate lesson start --class 9C --open chess.com --until 10:50 --by m.obi
  schoolgate lesson list
  schoolgate lesson end U-0007 --by m.obi")]
    #[command(subcommand)]
    Lesson(LessonCommand),
    /// Site lists: their age, updates and versions
    #[command(before_help = "Examples:
  schoolgate lists status
  schoolgate lists update
  schoolgate lists diff ut1-games
  schoolgate lists accept ut1-games --reason \"Checked by hand\" --by j.cho")]
    #[command(subcommand)]
    Lists(ListsCommand),
    /// The school's decisions: check, test and apply policy.toml
    #[command(before_help = "Examples:
  schoolgate policy validate new.toml
  schoolgate policy test new.toml
  schoolgate policy diff new.toml
  schoolgate policy replay new.toml
  schoolgate policy apply new.toml --reason \"Spring term\" --by j.cho")]
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// The school's certificate authority, with which the filter opens https
    #[command(before_help = "Examples:
  schoolgate ca init --by j.cho
  schoolgate ca export -o for-devices
  schoolgate ca show")]
    #[command(subcommand)]
    Ca(CaCommand),
    /// How far the filter looks into https: what is opened, what never, and why
    #[command(before_help = "Examples:
  schoolgate inspect show https://bank.example --as ks3
  schoolgate inspect list
  schoolgate inspect request clinic.example --until friday --reason \"Uploads to check\" --by j.cho")]
    #[command(subcommand)]
    Inspect(InspectCommand),
    /// Certificate faults of single hosts that the school accepts for a time
    #[command(before_help = "Examples:
  schoolgate certificate request exam.example --accept tls_expired --until friday \\
    --reason \"The board renews it this week\" --by j.cho
  schoolgate unblock list")]
    #[command(subcommand)]
    Certificate(CertificateCommand),
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
  schoolgate log show 1RX91-Y33A8
  schoolgate log follow")]
    #[command(subcommand)]
    Log(LogCommand),
    /// Reports for the safeguarding lead and the technician
    #[command(before_help = "Examples:
  schoolgate report weekly --for dsl --format html -o week.html
  schoolgate report changes --format csv -o changes.csv")]
    #[command(subcommand)]
    Report(ReportCommand),
    /// What somebody must look at: signs of harm, by person and theme, and what came of them
    #[command(before_help = "Examples:
  schoolgate alerts list --open
  schoolgate alerts show A-0012
  schoolgate alerts assign A-0012 n.reyes
  schoolgate alerts review A-0012 --outcome spoken --note \"Spoke to Sam with Mr Fenn\"")]
    #[command(subcommand)]
    Alerts(AlertsCommand),
    /// What is given to the school's safeguarding records
    #[command(before_help = "Examples:
  schoolgate case export A-0012 --reason \"Case 2026-014\" -o case-014.csv")]
    #[command(subcommand)]
    Case(CaseCommand),
    /// What proves that the log is whole: checkpoints, a check of everything, records with proofs
    #[command(before_help = "Examples:
  schoolgate audit verify --against /mnt/other/disk/checkpoints
  schoolgate audit checkpoint
  schoolgate audit export --case 2026-014 --user sam.p --since yesterday -o case-014 --by q.whitmore")]
    #[command(subcommand)]
    Audit(AuditCommand),
    /// How long each kind of record is kept, legal holds, and erasing what is over
    #[command(
        before_help = "Examples:\n  schoolgate retention show\n  schoolgate retention run --dry-run"
    )]
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Copies of everything recorded and decided, taken while the filter serves
    #[command(before_help = "Examples:
  schoolgate backup create /mnt/backup/schoolgate.tar.gz
  schoolgate backup verify /mnt/backup/schoolgate.tar.gz
  schoolgate backup restore /mnt/backup/schoolgate.tar.gz")]
    #[command(subcommand)]
    Backup(BackupCommand),
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

impl Command {
    /// Whether the built-in example school can answer where there is no other: what is given is judged by its
    /// policy, lists or categories.
    pub(crate) fn asks_any_school(&self) -> bool {
        match self {
            Command::Check(_) => true,
            Command::Policy(command) => matches!(
                command,
                PolicyCommand::Validate { file: Some(_) } | PolicyCommand::Test { file: Some(_) }
            ),
            _ => false,
        }
    }

    /// Whether it may come before there is a school: a backup holds its own.
    pub(crate) fn brings_its_school(&self) -> bool {
        matches!(
            self,
            Command::Backup(BackupCommand::Verify { .. } | BackupCommand::Restore { .. })
        )
    }
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

/// Who looks at personal data, or at what people have asked for.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Person")]
pub(crate) struct WhoArgs {
    /// Act as this person, who is logged in here; needed where several are. Also SCHOOLGATE_BY
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

/// Who makes a change, and how far.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Change")]
pub(crate) struct ChangeArgs {
    /// Act as this person, who is logged in here; needed where several are. Also SCHOOLGATE_BY
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
    #[arg(long, value_enum, ignore_case = true, default_value_t = LogFormat::Text)]
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
    #[arg(required_unless_present_any = ["words", "page"], value_name = "URL")]
    pub(crate) urls: Vec<String>,
    /// Words that are searched for or asked of an assistant, in the place of addresses
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["urls", "page", "at"])]
    pub(crate) words: Option<String>,
    /// A page that was saved as a file, in the place of addresses: what it says; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["urls", "at"])]
    pub(crate) page: Option<PathBuf>,
    /// As whom: a level, @GROUP or a user
    #[arg(long = "as", value_name = "LEVEL|@GROUP|USER")]
    pub(crate) as_whom: String,
    /// At which time, e.g. "Tue 10:00" or 2026-11-24T10:00:00Z; now when not given
    #[arg(long, value_name = "WHEN")]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
    #[command(flatten)]
    pub(crate) print: PrintArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The ten characters from the block page; case, spaces and hyphens do not matter
    #[arg(required = true, num_args = 1..=3)]
    pub(crate) code: Vec<String>,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, ignore_case = true)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for every command into this folder
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
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
            let mut examples = help.lines().take_while(|line| !line.is_empty());
            let wide = examples.find(|line| line.chars().count() > 100);
            assert_eq!(wide, None, "{}: wraps on a terminal of 100", command.get_name());
            checked += 1;
            todo.extend(command.get_subcommands().cloned());
        }
        assert!(checked > 40, "only {checked} commands seen");
    }

    #[test]
    fn codes_in_examples_are_codes() {
        let mut command = Cli::command();
        let help = command.find_subcommand_mut("explain").map(|it| it.render_help().to_string());
        let help = help.unwrap_or_default();
        let code = help.lines().nth(1).and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
        assert!(rules::code::RequestId::from_code(code).is_ok(), "{code}: {help}");
    }

    #[test]
    fn only_what_needs_no_school_runs_where_there_is_none() {
        let works = |line: &str| {
            let command = Cli::try_parse_from(line.split(' ')).unwrap().command;
            command.asks_any_school() || command.brings_its_school()
        };
        for line in ["check x.test --as ks3", "policy test new.toml", "backup verify b.tar.gz"] {
            assert!(works(&format!("schoolgate {line}")), "{line}");
        }
        for line in ["status", "setup j.cho", "policy test", "log query", "backup create b.tar.gz"]
        {
            assert!(!works(&format!("schoolgate {line}")), "{line}");
        }
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
