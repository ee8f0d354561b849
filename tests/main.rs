//! End-to-end tests: the real program, real clients and a fake origin, on this machine alone.
//!
//! Run them with `bash tests/run`, which builds the program and installs the clients first.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and says what it skipped"
)]

mod alerts;
mod assistant_replies;
mod assistant_services;
mod assistant_sockets;
mod assistants;
mod assistants_hostile;
mod bombs;
mod browser;
mod ca;
mod circumvention;
mod client;
mod clients;
mod commands;
mod daemon;
mod escalation;
mod exchange;
mod failed_calls;
mod fake_origin;
mod files;
mod golden;
mod greedy;
mod inspected;
mod ipv6;
mod killed;
mod labelled_texts;
mod learned;
mod lessons;
mod live;
mod log_full;
mod log_troubles;
mod long_prompts;
mod long_searches;
mod machine_file;
mod page_words;
mod phrase_lists;
mod power_cut;
mod quality_tool;
mod replay_tool;
mod rfc;
mod sealed_files;
mod search_web;
mod searches;
mod second_places;
mod secure_browsers;
mod secure_clients;
mod secure_origin;
mod serving;
mod shipped;
mod signing_in;
mod streaming_client;
mod streaming_origin;
mod theme_alerts;
mod theme_quality;
mod theme_thresholds;
mod typed_words;
mod unread_report;
mod viruses;
mod visits;
mod words_replayed;

/// What a power cut can leave, as the ledger's own tests rebuild it.
#[path = "../ledger/tests/access/crash.rs"]
#[allow(dead_code, reason = "the ledger's tests use the rest")]
mod crash;

/// Debian's clamd, as the proxy's own tests start it.
#[path = "../proxy/tests/scanner/mod.rs"]
#[allow(dead_code, reason = "the proxy's tests use the rest")]
mod scanner;

/// The replay tool's own parts: some are used here, the rest only tested.
macro_rules! of_the_replay_tool {
    ($($file:literal $name:ident),+) => {
        $(
            #[path = $file]
            #[allow(dead_code, reason = "used by the replay tool")]
            mod $name;
        )+
    };
}
of_the_replay_tool!(
    "../benches/family.rs" family,
    "../benches/load.rs" load,
    "../benches/origin.rs" origin,
    "../benches/school.rs" replay_school,
    "../benches/trace.rs" trace,
    "../benches/wire.rs" wire
);
