//! `certificate`: asking that faults of a host's certificate be accepted for a time.

use crate::args::{CertificateCommand, ChangeArgs};
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::requests;
use crate::school::{Acting, School, from_change_error, moment, now};
use crate::who::person;
use rules::access::Role;
use rules::change::{Event, ask_certificate};
use rules::decide::ReasonCode;
use rules::host::Host;
use rules::inspect::CertificateFaults;
use rules::unblock::UnblockId;

/// Runs a `certificate` command.
pub(crate) async fn run(school: &School, command: CertificateCommand) -> Result<Exit, Failure> {
    let CertificateCommand::Request { host, accept, until, from, reason, change } = command;
    let span = (from.as_deref(), until.as_str());
    request(school, &host, &accept, span, &reason, &change).await
}

async fn request(
    school: &School,
    host: &str,
    accept: &[String],
    (from, until): (Option<&str>, &str),
    reason: &str,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    let log = school.change_log().await?;
    let policy = &snapshot.policy;
    let by = person(school, &log, change).await?;
    let acting = Acting::new(&log, &by, format!("certificate request {host}"), change);
    let faults = accept.iter().map(|word| fault(word)).collect::<Result<Vec<_>, _>>()?;
    let host = Host::parse(host.trim()).map_err(|error| {
        Failure::usage(format!("\"{host}\" is no host: {error}"))
            .fix("give one host such as exam.example; a wildcard is not accepted")
    })?;
    let categories = snapshot.categories(&host, None);
    let (clock, at) = (policy.clock(), now());
    let from = from.map_or(Ok(at), |text| moment(clock, text, false))?;
    let until = moment(clock, until, true)?;
    let mut id = UnblockId(0);
    acting
        .append(|changes| {
            let asked = ask_certificate(
                changes, policy, &by, &host, &faults, categories, from, until, reason, at,
            );
            let event = asked.map_err(|error| from_change_error(error, policy, &Role::ALL))?;
            if let Event::CertificateAsked { id: new, .. } = &event {
                id = *new;
            }
            Ok(vec![(by.clone(), event)])
        })
        .await?;
    let would = if change.dry_run { "would be " } else { "" };
    let words: Vec<&str> = faults.iter().map(|fault| fault.as_str()).collect();
    say!("{id}  {} of {} {would}asked for", words.join(", "), visible(host.as_str()));
    requests::print_asked(policy, id, (from, until), &by)
}

/// The fault of a word.
fn fault(word: &str) -> Result<ReasonCode, Failure> {
    let wanted = word.trim().to_lowercase().replace('-', "_");
    let known = CertificateFaults::ACCEPTABLE.map(ReasonCode::as_str).join(", ");
    let fix = format!("faults that can be accepted: {known}");
    match ReasonCode::from_word(&wanted) {
        Some(code) if wanted.starts_with("tls_") => Ok(code),
        _ => Err(Failure::usage(format!("no certificate fault called \"{word}\"")).fix(fix)),
    }
}
