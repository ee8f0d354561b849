//! The grammar of `audit`: what proves that the log is whole.

use super::{ChangeArgs, LogFilters};
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one in a run of the program")]
pub(crate) enum AuditCommand {
    /// Look for every record that was changed, dropped, put in or moved; exit 7 where there is one
    #[command(before_help = "Examples:
  schoolgate audit verify
  schoolgate audit verify --against /mnt/other/disk/checkpoints
  schoolgate audit verify --since 2026-11-01 --json")]
    Verify {
        /// Checkpoints that somebody else kept: a copy of the file, or a line of a printed report
        #[arg(long, value_name = "FILE")]
        against: Vec<PathBuf>,
        /// The public key that somebody else kept, instead of the one beside the log
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Hash rows of this day and later alone; of the days before, look at the batches
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Sign a checkpoint now and print it: whoever keeps it can prove later what the log was
    #[command(before_help = "Examples:
  schoolgate audit checkpoint
  schoolgate audit checkpoint > /media/stick/checkpoint-2026-11-27")]
    Checkpoint {
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Give out records with what proves them, as a folder that anybody can check
    #[command(before_help = "Examples:
  schoolgate audit export --case 2026-014 --user sam.p --since 2026-11-23 --until 2026-11-24 \\
    -o case-2026-014 --by q.whitmore
  schoolgate audit export --case 2026-015 --code 1RX91-Y33A8 -o case-2026-015 --by q.whitmore")]
    Export {
        /// The school's own name for the case; it stands in the bundle and in the change log
        #[arg(long, value_name = "ID")]
        case: String,
        #[command(flatten)]
        filters: LogFilters,
        /// RFC 3339, a date, 2h, yesterday, "last week", "this term"; today when not given
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// First instant that is not wanted; now when not given
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
        /// The new folder
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        #[command(flatten)]
        change: ChangeArgs,
    },
}
