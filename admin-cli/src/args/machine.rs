//! The grammar of what keeps the filter running: `lists`, `config` and `user`.

use super::{ChangeArgs, PrintArgs, WhoArgs};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum ListsCommand {
    /// Each list: version, age, entries, and whether one waits for a person
    #[command(before_help = "Examples:
  schoolgate lists status
  schoolgate lists status ut1-games              and which of its lines were skipped, with why
  schoolgate lists status --json")]
    Status {
        /// Only these lists, with the lines that were skipped in them
        names: Vec<String>,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Fetch new versions; what loses entries or newly blocks visited sites is held
    #[command(
        before_help = "Examples:\n  schoolgate lists update\n  schoolgate lists update ut1-games"
    )]
    Update {
        /// Only these lists
        names: Vec<String>,
        /// A line for each list, not only for what changed, is held or failed
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// What a held version would add and remove
    #[command(before_help = "Examples:\n  schoolgate lists diff ut1-games")]
    Diff {
        /// The list
        name: String,
        /// Show the addresses of a list of illegal content too; without it they are hidden-HASH
        #[arg(long)]
        show_locked: bool,
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Let a held version take effect; one that may open sites is asked for
    #[command(before_help = "Examples:
  schoolgate lists accept ut1-games --by j.cho
  schoolgate lists accept ut1-games --reason \"The publisher has thinned it out\" --by j.cho")]
    Accept {
        /// The list
        name: String,
        /// Why, where the version may open sites; another person then authorises it
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// When somebody looks again at what it opens; after `max_days` when not given
        #[arg(long, value_name = "WHEN")]
        review: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Go back to the version before; where that may open sites, it is asked for
    #[command(before_help = "Examples:
  schoolgate lists rollback ut1-games --reason \"It blocks the exam board\" --by j.cho")]
    Rollback {
        /// The list
        name: String,
        /// Why, where the version may open sites; another person then authorises it
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// When somebody looks again at what it opens; after `max_days` when not given
        #[arg(long, value_name = "WHEN")]
        review: Option<String>,
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
pub(crate) enum ConfigCommand {
    /// Look for faults in the machine file and in the policy that it names
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
        who: WhoArgs,
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
    /// No internet but sites of help for a person until then
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
