//! The grammar of `inspect` and `certificate`: how far the filter looks into https, and which
//! certificate faults it puts up with.

use super::{ChangeArgs, PrintArgs, WhoArgs};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum InspectCommand {
    /// How far the filter looks into an address, for whom, and why
    #[command(before_help = "Examples:
  schoolgate inspect show https://bank.example --as ks3
  schoolgate inspect show bank.example --as staff --json")]
    Show {
        /// The address, or a host
        url: String,
        /// As whom: a level, @GROUP or a user
        #[arg(long = "as", value_name = "LEVEL|@GROUP|USER")]
        as_whom: String,
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// What is not looked into, or only with an authorised request, and why
    #[command(
        before_help = "Examples:\n  schoolgate inspect list\n  schoolgate inspect list --csv"
    )]
    List {
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Sites whose devices refuse the school's certificate, with the lines that would leave them alone
    #[command(before_help = "Examples:
  schoolgate inspect learned
  schoolgate inspect learned --since \"this term\" --all --json")]
    Learned {
        /// Since when, by whole days: 7d, yesterday, 2026-01-05, "this term"
        #[arg(long, value_name = "WHEN", default_value = "7d")]
        since: String,
        /// Those too that refused seldom, that are left alone already, or that were opened and not used
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        who: WhoArgs,
        #[command(flatten)]
        print: PrintArgs,
    },
    /// Ask that the filter look into something private for a time; another person authorises it
    #[command(before_help = "Examples:
  schoolgate inspect request clinic.example --until friday --reason \"Uploads to check\" --by j.cho
  schoolgate inspect request finance --until \"3 days\" --reason \"Scam with shares\" --by j.cho")]
    Request {
        /// A private category, or a site of one
        #[arg(value_name = "CATEGORY|SITE")]
        what: String,
        /// Until when: 10:50, friday, "3 days", 2026-01-05, "end of term"
        #[arg(long, value_name = "WHEN")]
        until: String,
        /// From when; now when not given
        #[arg(long, value_name = "WHEN")]
        from: Option<String>,
        /// Why, in at least 10 letters
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    /// Ask that faults of one host's certificate be accepted for a time; another person authorises it
    #[command(before_help = "Examples:
  schoolgate certificate request exam.example --accept tls_expired --until friday \\
    --reason \"The board renews it this week\" --by j.cho")]
    Request {
        /// The host, without what is below it
        host: String,
        /// The fault, as the log names it: tls_expired, tls_name, tls_untrusted, tls_self_signed
        #[arg(long, value_name = "FAULT", required = true, value_delimiter = ',')]
        accept: Vec<String>,
        /// Until when: 10:50, friday, "3 days", 2026-01-05, "end of term"
        #[arg(long, value_name = "WHEN")]
        until: String,
        /// From when; now when not given
        #[arg(long, value_name = "WHEN")]
        from: Option<String>,
        /// Why, in at least 10 letters
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}
