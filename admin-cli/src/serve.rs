//! `serve`: the only door into the proxy.

use crate::args::{LogFormat, ServeArgs};
use crate::failure::{Exit, Failure};
use crate::memory;
use crate::output::visible;
use crate::school::{School, from_snapshot_error, now};
use proxy::policy_file::PolicyFile;
use proxy::{Running, ServeError};
use std::io::Write;
use tracing_subscriber::EnvFilter;

/// Runs the filter until it is stopped.
pub(crate) fn run(school: School, args: &ServeArgs) -> Result<Exit, Failure> {
    memory::starts();
    start_messages(args.log_format)?;
    let demo = school.config.demo;
    let warnings = policy_warnings(&school);
    proxy::serve(school.config, |running| {
        memory::started();
        greet(running, demo, &warnings);
    })
    .map_err(from_serve_error)?;
    Ok(Exit::Ok)
}

/// What the policy asks for that is not done, or that time has overtaken. A policy with faults is
/// told of by the start itself.
fn policy_warnings(school: &School) -> Vec<String> {
    proxy::lists::catalogue(&school.config)
        .ok()
        .and_then(|catalogue| PolicyFile::read(&school.config.policy, &catalogue).ok())
        .map_or_else(Vec::new, |file| file.policy.warnings_at(now()))
}

/// Says where the filter answers, with the ports it really got. Nothing stops where standard error
/// has gone away.
fn greet(running: &Running, demo: bool, warnings: &[String]) {
    let mut hello = std::io::stderr().lock();
    for address in running.proxy_addresses() {
        let _ = writeln!(hello, "filter    http://{address}");
    }
    if let Some(ops) = running.ops_address() {
        let _ = writeln!(hello, "health    http://{ops}/readyz");
    }
    for warning in warnings {
        let _ = writeln!(hello, "warning   {}", visible(warning));
    }
    if demo {
        let names: Vec<String> =
            proxy::demo::USERS.iter().map(|(name, level)| format!("{name} ({level})")).collect();
        let password = proxy::demo::PASSWORD;
        let _ = writeln!(hello, "example   sign in as {}; password {password}", names.join(", "));
        if let Some(address) = running.proxy_addresses().first() {
            let _ =
                writeln!(hello, "  curl -x http://pupil:{password}@{address} http://casino.test/");
        }
    }
}

fn from_serve_error(error: ServeError) -> Failure {
    match error {
        ServeError::Snapshot(error) => from_snapshot_error(&error),
        error => Failure::fault(error),
    }
}

/// Sends the daemon's own messages to standard error; `SCHOOLGATE_LOG` chooses which (default:
/// `info`). They hold no user, site or address of a person: those are in the log alone.
fn start_messages(format: LogFormat) -> Result<(), Failure> {
    let words = std::env::var("SCHOOLGATE_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(&words).map_err(|error| {
        Failure::usage(format!("SCHOOLGATE_LOG: {error}"))
            .fix("give a level such as info, or parts such as proxy=debug,info")
    })?;
    // Standard error may be a file on the disk that is full: a message that cannot be written must
    // not stop the request that it is about.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr())
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let started = match format {
        LogFormat::Text => builder.with_ansi(colour).with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| Failure::fault(&*error))
}
