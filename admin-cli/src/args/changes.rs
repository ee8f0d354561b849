//! The grammar of what changes the filter: `block`, `unblock` and `policy`.

use super::{ChangeArgs, PrintArgs, WhoArgs};
use clap::{Args, Subcommand};
use std::path::PathBuf;

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
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Ask that a block be taken away again; another person authorises it
    #[command(before_help = "Examples:
  schoolgate block lift B-0001 --reason \"The owner took it down\" --by j.cho
  schoolgate unblock authorise U-0012 --by q.whitmore")]
    Lift {
        /// The block, e.g. B-0001
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// When somebody looks again whether it is right; after `max_days` when not given
        #[arg(long, value_name = "WHEN")]
        review: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum UnblockCommand {
    /// Ask for a site to be opened; whoever asks holds a role, and another person authorises it
    #[command(before_help = "Examples:
  schoolgate unblock request chess.com --for ks3 --until friday --reason \"Chess final\" --by m.obi
  schoolgate unblock request example.org/maths --for @9C --until 10:50 --reason \"Year 5 fractions\" --by m.obi")]
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
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// One unblock and its history
    #[command(before_help = "Examples:\n  schoolgate unblock show U-0001")]
    Show {
        /// The unblock, e.g. U-0001
        id: String,
        #[command(flatten)]
        who: WhoArgs,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say yes; never by the person who asked
    #[command(
        alias = "authorize",
        before_help = "Examples:
  schoolgate unblock authorise U-0001 --by q.whitmore
  schoolgate unblock authorise U-0001 --wrongly-blocked --by q.whitmore"
    )]
    Authorise {
        /// The unblock, e.g. U-0001
        id: String,
        /// The block was a mistake: the weekly report counts it
        #[arg(long)]
        wrongly_blocked: bool,
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
        /// The block was a mistake all the same, and is corrected otherwise: the weekly report counts it
        #[arg(long)]
        wrongly_blocked: bool,
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
    /// Move the end; of what has no end, the date for review
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
    /// Say that it is as meant, after a check in and out of its scope; by somebody who
    /// neither authorised nor made the change
    #[command(
        before_help = "Examples:\n  schoolgate unblock confirm U-0001 --note \"Tried in room 12\" --by j.cho"
    )]
    Confirm {
        /// The unblock, e.g. U-0001
        id: String,
        /// What was looked at
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        /// The block was a mistake: the weekly report counts it
        #[arg(long)]
        wrongly_blocked: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// What is overdue or due for review in a week: changes, exceptions, inspect_site, standing yeses
    #[command(
        before_help = "Examples:\n  schoolgate unblock review-due\n  schoolgate unblock review-due --json"
    )]
    ReviewDue {
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// The Filtering Change Log: seven columns
    #[command(
        before_help = "Examples:\n  schoolgate unblock log\n  schoolgate unblock log --since \"this term\" --csv"
    )]
    Log {
        /// Only that about which anything was done since: a date, 2h, yesterday, "last week", "this term"
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
}

/// How a new policy is tried on what was recorded before it is asked for.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Try it on the records of so many days, at least 7 where it opens anything, however long that takes; else of 7, for
    /// 10 s at most. Where there are none, on the newest of any age
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=366))]
    pub(crate) replay_days: Option<u16>,
    /// Do not try it on what was recorded; say why
    #[arg(long, value_name = "REASON", conflicts_with = "replay_days")]
    pub(crate) without_replay: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Look for faults; run nothing
    #[command(
        before_help = "Examples:\n  schoolgate policy validate\n  schoolgate policy validate new.toml"
    )]
    Validate {
        /// The policy, `-` is standard input; the file that the machine file names when not given
        file: Option<PathBuf>,
    },
    /// Run the policy's [[test]] cases against the lists in use
    #[command(
        before_help = "Examples:\n  schoolgate policy test\n  schoolgate policy test new.toml"
    )]
    Test {
        /// The policy, `-` is standard input; the file that the machine file names when not given
        file: Option<PathBuf>,
    },
    /// What would change
    #[command(before_help = "Examples:\n  schoolgate policy diff new.toml")]
    Diff {
        /// The new policy; `-` is standard input
        file: PathBuf,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Try a proposed policy on what was recorded: what would be newly blocked or opened
    #[command(before_help = "Examples:
  schoolgate policy replay new.toml
  schoolgate policy replay new.toml --since yesterday --csv")]
    Replay {
        /// The proposed policy; `-` is standard input
        file: PathBuf,
        /// The range; last week (Monday to Sunday) when not given
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// First instant that is not wanted
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Put a policy in force; what opens more than before is asked for, and another authorises it
    #[command(before_help = "Examples:
  schoolgate policy apply new.toml --reason \"Block web proxies\" --by j.cho
  schoolgate policy apply new.toml --reason \"Games at lunch\" --review 2027-03-26 --by j.cho
  schoolgate unblock authorise U-0012 --by q.whitmore")]
    Apply {
        /// The new policy; `-` is standard input
        file: PathBuf,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// When somebody looks again at what it opens; after `max_days` when not given
        #[arg(long, value_name = "WHEN")]
        review: Option<String>,
        #[command(flatten)]
        replay: ReplayArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Put the policy before this one back in force
    #[command(
        before_help = "Examples:\n  schoolgate policy rollback --reason \"Blocked too much\" --by j.cho"
    )]
    Rollback {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Which: the first characters of its hash; the one before when not given
        #[arg(long, value_name = "HASH")]
        to: Option<String>,
        /// When somebody looks again at what it opens; after `max_days` when not given
        #[arg(long, value_name = "WHEN")]
        review: Option<String>,
        #[command(flatten)]
        replay: ReplayArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
}
