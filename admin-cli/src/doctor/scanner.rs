//! The virus scanner, where the policy wants files scanned.

use super::Check;
use proxy::clamd::{Scanner, Unavailable};
use proxy::config::{Config, ScannerPlace};
use proxy::snapshot::Snapshot;
use std::time::Duration;

const WHAT: &str = "virus scanner";
/// Longest wait for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether it is there; `None` where nobody wants it.
pub(super) async fn check(config: &Config, snapshot: Option<&Snapshot>) -> Option<Check> {
    let levels = snapshot.map(|snapshot| (snapshot.policy.levels().iter(), &snapshot.policy));
    let wanted = levels.is_some_and(|(mut levels, policy)| {
        levels.any(|(level, _)| policy.virus_scan(level).is_some())
    });
    let Some(settings) = &config.scanner else {
        return wanted.then(|| {
            Check::problem(
                WHAT,
                "the policy wants files scanned (virus_scan), and there is no scanner",
                "give [virus_scan] of the machine file the socket of clamd: docs/files.md",
            )
        });
    };
    let place = match &settings.place {
        ScannerPlace::Socket(path) => path.display().to_string(),
        ScannerPlace::Address(address) => address.to_string(),
    };
    let answer = tokio::time::timeout(PATIENCE, Scanner::new(settings.clone()).ping()).await;
    Some(match answer.unwrap_or(Err(Unavailable::Slow)) {
        Ok(()) if wanted => Check::good(WHAT, format!("clamd answers at {place}")),
        Ok(()) => Check::note(
            WHAT,
            format!("clamd answers at {place}, and no level has its files scanned"),
            "virus_scan in [files] of the policy",
        ),
        Err(why) => Check::problem(
            WHAT,
            format!("clamd at {place}: {}", words(why)),
            "systemctl status clamav-daemon; the filter's user must be allowed to its socket",
        ),
    })
}

fn words(why: Unavailable) -> &'static str {
    match why {
        Unavailable::Refused => "no connection",
        Unavailable::Gone => "broke off",
        Unavailable::Slow => "no answer in time",
        Unavailable::Busy => "busy",
        Unavailable::Fault | Unavailable::Part => "answered with something else",
    }
}
