//! `serve`: the only door into the proxy.

use crate::args::{LogFormat, ServeArgs};
use crate::failure::{Exit, Failure};
use crate::school::School;
use std::io::Write;
use tracing_subscriber::EnvFilter;

/// Runs the filter until it is stopped.
pub(crate) fn run(school: School, args: &ServeArgs) -> Result<Exit, Failure> {
    start_messages(args.log_format)?;
    let config = school.config;
    let mut hello = std::io::stderr().lock();
    // The sockets are opened by the proxy; it says itself which ports it got for port 0.
    for address in &config.listen.proxy {
        writeln!(hello, "filter    http://{address}")?;
    }
    if let Some(ops) = &config.listen.ops {
        writeln!(hello, "health    http://{ops}/readyz")?;
    }
    if config.demo {
        writeln!(hello, "example school: sign in as pupil, staff or guest, password demo")?;
        if let Some(address) = config.listen.proxy.first() {
            writeln!(hello, "  curl -x http://pupil:demo@{address} http://casino.test/")?;
        }
    }
    drop(hello);
    proxy::serve(config).map_err(|error| Failure::fault(&error))?;
    Ok(Exit::Ok)
}

/// Sends the daemon's own messages to standard error; `SCHOOLGATE_LOG` chooses which (default:
/// `info`). They hold no user, site or address of a person: those are in the log alone.
fn start_messages(format: LogFormat) -> Result<(), Failure> {
    let words = std::env::var("SCHOOLGATE_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(&words).map_err(|error| {
        Failure::usage(format!("SCHOOLGATE_LOG: {error}"))
            .fix("give a level such as info, or parts such as proxy=debug,info")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr())
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let started = match format {
        LogFormat::Text => builder.with_ansi(colour).with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| Failure::fault(&*error))
}
