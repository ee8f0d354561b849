//! The grammar of `ca`: the school's certificate authority.

use super::{ChangeArgs, PrintArgs};
use clap::{Args, Subcommand, ValueEnum};
use proxy::authority::MAX_ROOT_YEARS;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Make the school's certificate authority; a running filter uses it at once
    #[command(before_help = "Examples:
  schoolgate ca init --by j.cho
  schoolgate ca init --passphrase-file /etc/schoolgate/ca-passphrase --by j.cho
  schoolgate ca init --school \"Example Academy\" --years 5")]
    Init {
        #[command(flatten)]
        new: NewArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Write the certificate for devices, and print its fingerprint; never the key
    #[command(before_help = "Examples:
  schoolgate ca export -o for-devices
  schoolgate ca export --format mobileconfig
  schoolgate ca export --format cer -o for-devices --yes")]
    Export {
        /// Folder to write into; made if it is not there
        #[arg(short, long, value_name = "FOLDER", default_value = ".")]
        output: PathBuf,
        /// Which files
        #[arg(long, value_enum, ignore_case = true, default_value_t = CaFormat::All)]
        format: CaFormat,
        /// Overwrite files that are there
        #[arg(long)]
        yes: bool,
    },
    /// Replace the authority: make the next one, let it sign, retire the old one
    #[command(before_help = "Examples:
  schoolgate ca rotate --by j.cho               make the next authority; give it to all devices
  schoolgate ca rotate --activate --by j.cho    from now on it signs; the old one is kept
  schoolgate ca rotate --undo --by j.cho        if devices warn: the old one signs
  schoolgate ca rotate --retire --by j.cho      destroy the old one's key")]
    Rotate {
        /// Let the next authority sign
        #[arg(long, conflicts_with_all = ["undo", "retire", "school", "years", "passphrase_file"])]
        activate: bool,
        /// Let the old authority sign again
        #[arg(long, conflicts_with_all = ["retire", "school", "years", "passphrase_file"])]
        undo: bool,
        /// Destroy the old authority's key
        #[arg(long, conflicts_with_all = ["school", "years", "passphrase_file"])]
        retire: bool,
        #[command(flatten)]
        new: NewArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Names, fingerprints, dates and what each authority is for; never a key
    #[command(before_help = "Examples:\n  schoolgate ca show\n  schoolgate ca show --json")]
    Show {
        #[command(flatten)]
        print: PrintArgs,
    },
}

/// What a new authority shall be.
#[derive(Clone, Debug, Args)]
pub(crate) struct NewArgs {
    /// The school's name in the certificate; the policy's when not given
    #[arg(long, value_name = "NAME")]
    pub(crate) school: Option<String>,
    /// How long it lives
    #[arg(long, value_name = "YEARS", default_value_t = MAX_ROOT_YEARS,
          value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_ROOT_YEARS)))]
    pub(crate) years: u8,
    /// Seal the key by this file's first line, `-` is standard input; when not given, by the
    /// passphrase_file of the machine file, if it has one
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// Files for devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CaFormat {
    /// PEM: Linux, Google Admin, Firefox
    Pem,
    /// DER: Windows, Intune, Android
    Cer,
    /// Configuration profile: iPad, Mac, Jamf
    Mobileconfig,
    /// One of each
    All,
}
