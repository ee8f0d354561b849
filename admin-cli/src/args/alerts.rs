//! The grammar of what somebody must look at: `alerts` and `case`.

use super::{ChangeArgs, PrintArgs, ReportFormat, WhoArgs};
use clap::{Subcommand, ValueEnum};
use ledger::alerts::Outcome;
use rules::alert::Severity;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// Alerts, the most urgent and newest first; it names no pupil
    #[command(before_help = "Examples:
  schoolgate alerts list --open
  schoolgate alerts list --severity urgent --since \"this term\" --csv
  schoolgate alerts list --mine")]
    List {
        /// Those that are not closed
        #[arg(long)]
        open: bool,
        /// Those that are assigned to you
        #[arg(long)]
        mine: bool,
        /// Of this severity
        #[arg(long, value_parser = severity)]
        severity: Option<Severity>,
        /// Raised since then: RFC 3339, a date, 2h, yesterday, "last week", "this term"; all when not given
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Everything about one alert, with whom it is about; that you looked is recorded
    #[command(
        before_help = "Examples:\n  schoolgate alerts show A-0012\n  schoolgate alerts show A-0012 --json"
    )]
    Show {
        /// The alert's number
        alert: String,
        #[command(flatten)]
        who: WhoArgs,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Make an alert somebody's to deal with: a safeguarding lead's or the head's
    #[command(before_help = "Examples:\n  schoolgate alerts assign A-0012 n.reyes")]
    Assign {
        /// The alert's number
        alert: String,
        /// Whose it is from now on
        user: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Say what came of an alert; it is closed, but with `watching`
    #[command(before_help = "Examples:
  schoolgate alerts review A-0012 --outcome spoken --note \"Spoke to Sam with Mr Fenn\"
  schoolgate alerts review A-0013 --outcome false-alarm
  schoolgate alerts review A-0013 --outcome spoken --correct --note \"Closed the wrong one; spoke to Sam\"")]
    Review {
        /// The alert's number
        alert: String,
        /// false-alarm, no-action, spoken, parents, referred or watching
        #[arg(long, value_parser = outcome)]
        outcome: Outcome,
        /// What was done, in your words; kept apart, and erased with the alert's name
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// Correct what was said of a closed alert; both stay in its history. Needs --note
        #[arg(long, requires = "note")]
        correct: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// The file format of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CaseFormat {
    /// CSV, a row an alert
    Csv,
    /// A4, to attach or to print; give it a file with -o
    Pdf,
    /// A page for the browser
    Html,
    /// Markdown
    Md,
    /// JSON
    Json,
}

impl From<CaseFormat> for ReportFormat {
    fn from(format: CaseFormat) -> Self {
        match format {
            CaseFormat::Csv => Self::Csv,
            CaseFormat::Pdf => Self::Pdf,
            CaseFormat::Html => Self::Html,
            CaseFormat::Md => Self::Md,
            CaseFormat::Json => Self::Json,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum CaseCommand {
    /// One person's alerts, or one alert, in a form for CPOMS and the like
    #[command(before_help = "Examples:
  schoolgate case export A-0012 --reason \"Case 2026-014\" --format csv -o case-014.csv
  schoolgate case export sam.p --reason \"Case 2026-014\" --format pdf -o case-014.pdf")]
    Export {
        /// A person's name as the log has it, or an alert's number
        #[arg(value_name = "PERSON|ALERT")]
        of: String,
        /// Why it is given out, in at least ten letters; recorded
        #[arg(long)]
        reason: String,
        /// How to write it; as the file's name ends when not given, else CSV
        #[arg(long, value_enum, ignore_case = true)]
        format: Option<CaseFormat>,
        /// Into this new file, which nobody else on this machine can read
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        who: WhoArgs,
    },
}

fn severity(text: &str) -> Result<Severity, String> {
    Severity::from_word(&text.to_lowercase())
        .ok_or_else(|| "use one of: urgent, high, routine".to_owned())
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let known = Outcome::ALL.map(Outcome::as_str).join(", ");
    Outcome::from_word(&text.to_lowercase()).ok_or_else(|| format!("use one of: {known}"))
}
