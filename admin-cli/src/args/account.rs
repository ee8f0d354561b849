//! The grammar of `setup`, `login`, `logout`, `whoami` and `account`: administrators, who change the
//! filter and read its log.

use super::{ChangeArgs, PasswordArgs, PrintArgs};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct SetupArgs {
    /// The name, one of those in `[roles]` of the policy
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    /// Make it though `[roles]` of the policy does not name it: such an account may do next to nothing
    #[arg(long)]
    pub(crate) yes: bool,
    /// Never ask anything; fail where an answer is needed
    #[arg(long)]
    pub(crate) no_input: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The name; asked for when not given
    #[arg(conflicts_with = "break_glass")]
    pub(crate) name: Option<String>,
    /// The one-time code of the authenticator app, where two-step log-in is on; asked for when not given
    #[arg(long, value_name = "CODE", conflicts_with = "break_glass")]
    pub(crate) totp: Option<String>,
    /// With the emergency code from the head's safe; every use raises an alarm
    #[arg(long)]
    pub(crate) break_glass: bool,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    /// Read your own new password, where another person has set the present one, from this file's
    /// first line
    #[arg(long, value_name = "FILE", conflicts_with = "break_glass")]
    pub(crate) new_password_file: Option<PathBuf>,
    /// Never ask anything; fail where an answer is needed
    #[arg(long)]
    pub(crate) no_input: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// Who; the only one logged in here when not given
    #[arg(conflicts_with = "all")]
    pub(crate) name: Option<String>,
    /// Everybody who is logged in here
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WhoamiArgs {
    #[command(flatten)]
    pub(crate) print: PrintArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Add an administrator, with a password that must be changed at the first log-in
    #[command(before_help = "Examples:
  schoolgate account add q.whitmore --by j.cho
  schoolgate account add m.obi --password-file first.txt --by j.cho")]
    Add {
        /// The name, as in `[roles]` of the policy
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// All administrators: roles, last log-in, two-step log-in, locks
    #[command(
        before_help = "Examples:\n  schoolgate account list\n  schoolgate account list --json"
    )]
    List {
        #[command(flatten)]
        who: super::WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Change your own password, or give somebody a new first one
    #[command(before_help = "Examples:
  schoolgate account password                       your own: the old one, then the new one twice
  schoolgate account password m.obi --by j.cho      another's: to be changed at the next log-in

From standard input: for your own two lines, the old and the new one; for another's one line.")]
    Password {
        /// Whose; your own when not given
        name: Option<String>,
        #[command(flatten)]
        password: PasswordArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Two-step log-in: a one-time code of an authenticator app besides the password
    #[command(
        before_help = "Examples:\n  schoolgate account totp on\n  schoolgate account totp off m.obi --by j.cho",
        subcommand_required = true
    )]
    #[command(subcommand)]
    Totp(TotpCommand),
    /// Let an account that was locked be logged in to again
    #[command(before_help = "Examples:\n  schoolgate account unlock m.obi --by j.cho")]
    Unlock {
        /// Whose
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Remove an administrator; sessions end at once, past records stay
    #[command(before_help = "Examples:\n  schoolgate account remove m.obi --yes --by j.cho")]
    Remove {
        /// Whose
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// The emergency code in the head's safe
    #[command(
        before_help = "Examples:\n  schoolgate account break-glass renew --by j.cho",
        subcommand_required = true
    )]
    #[command(subcommand)]
    BreakGlass(BreakGlassCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TotpCommand {
    /// Turn it on for yourself: prints a secret for the app, then asks for the code that it shows
    #[command(
        before_help = "Examples:\n  schoolgate account totp on\n  schoolgate account totp on --by j.cho"
    )]
    On {
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Turn it off: your own with your password, or another's who has lost the app
    #[command(
        before_help = "Examples:\n  schoolgate account totp off\n  schoolgate account totp off m.obi --by j.cho"
    )]
    Off {
        /// Whose; your own when not given
        name: Option<String>,
        #[command(flatten)]
        password: PasswordArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BreakGlassCommand {
    /// Make another emergency code and print it once; the one before is void
    #[command(before_help = "Examples:\n  schoolgate account break-glass renew --by j.cho")]
    Renew {
        #[command(flatten)]
        change: ChangeArgs,
    },
}
