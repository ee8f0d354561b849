//! The grammar of `backup`.

use super::ChangeArgs;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Copy everything that cannot be made again, while the filter serves
    ///
    /// The copy holds every record and change made before it began, the lists and policies that were in
    /// force, and the school's own files. Keys are left out; it says which.
    #[command(before_help = "Examples:
  schoolgate backup create /mnt/backup/schoolgate.tar.gz
  schoolgate backup create /mnt/backup/friday --by j.cho")]
    Create {
        /// A new file (.tar.gz or .tgz) or a new folder
        #[arg(value_name = "FILE|DIR")]
        to: PathBuf,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Check that a backup is whole and as it was written
    #[command(before_help = "Examples:\n  schoolgate backup verify /mnt/backup/schoolgate.tar.gz")]
    Verify {
        /// The backup
        #[arg(value_name = "FILE|DIR")]
        from: PathBuf,
    },
    /// Bring a backup back into an empty state folder, with the filter stopped
    ///
    /// The machine file here must name every list that the backup filtered with, or less would be filtered
    /// than before: put back the one that lies in the backup as config/schoolgate.toml first. A backup of the
    /// example school inside the program is brought back without a machine file.
    #[command(before_help = "Examples:
  schoolgate backup restore /mnt/backup/schoolgate.tar.gz
  schoolgate backup restore /mnt/backup/friday --school \"Example Academy\"")]
    Restore {
        /// The backup
        #[arg(value_name = "FILE|DIR")]
        from: PathBuf,
        /// The school's name, where nobody can type it
        #[arg(long, value_name = "NAME")]
        school: Option<String>,
        /// Never ask anything; fail where an answer is needed
        #[arg(long)]
        no_input: bool,
        /// Go on although the machine file here lacks lists that the backup filtered with
        #[arg(long)]
        fewer_lists: bool,
    },
}
