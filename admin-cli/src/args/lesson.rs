//! The grammar of `lesson`.

use super::{ChangeArgs, PrintArgs, WhoArgs};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum LessonCommand {
    /// Open a site for a class: at once under a standing yes of the policy, else by a request
    #[command(before_help = "Examples:
  schoolgate lesson start --class 9C --open chess.com --until 10:50 --by m.obi
  schoolgate lesson start --class 9C --open example.org/maths --until 10:50 --reason \"Fractions\" --by m.obi")]
    Start {
        /// The class, as a group of the people who sign in
        #[arg(long, value_name = "CLASS")]
        class: String,
        /// The site: a host and everything below it, or a host and path
        #[arg(long = "open", value_name = "SITE")]
        site: String,
        /// Until when, e.g. 10:50
        #[arg(long, value_name = "WHEN")]
        until: String,
        /// Why: what the lesson is about
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Lessons that are open or asked for
    #[command(before_help = "Examples:\n  schoolgate lesson list\n  schoolgate lesson list --json")]
    List {
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// End a lesson before its time; its open connections are closed
    #[command(before_help = "Examples:\n  schoolgate lesson end U-0007 --by m.obi")]
    End {
        /// The lesson's number, e.g. U-0007
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "the lesson is over")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}
