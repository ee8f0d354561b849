//! `schoolgate`: the one program of the filter. `serve` runs it, everything else asks or changes it.

#[macro_use]
mod output;

mod account;
mod actions_log;
mod alerts;
mod args;
mod audit;
mod backup;
mod block;
mod ca;
mod case;
mod certificate;
mod changes_log;
mod check;
mod check_stream;
mod check_words;
mod companions;
mod config;
mod doctor;
mod effects;
mod erase;
mod failure;
mod health;
mod hold;
mod in_force;
mod inspect;
mod inspect_learned;
mod lesson;
mod lists;
mod live_check;
mod log;
mod log_seal;
mod log_visitors;
mod login;
mod memory;
mod policy;
mod prompt;
mod replay;
mod report;
mod requests;
mod retention;
mod review_due;
mod safe_search;
mod school;
mod serve;
mod shell;
mod since;
mod status;
mod terminal;
mod tried;
mod unblock;
mod user;
mod visits;
mod who;
mod words;

use args::{Cli, Command};
use clap::Parser;
use failure::{Exit, Failure};
use school::{Example, School};
use std::process::ExitCode;

fn main() -> ExitCode {
    proxy::leftovers::are_given_back_by(memory::give_back);
    let exit = match run(Cli::parse_from(shell::with_help(std::env::args_os()))) {
        Ok(exit) => exit,
        Err(failure) => {
            failure.print();
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let config = cli.config.as_deref();
    match cli.command {
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::Serve(args) => serve::run(School::open(config)?, &args),
        Command::Config(command) => config::run(&School::open(config)?, &command),
        Command::Doctor(args) => {
            School::is_here(config)?;
            runtime()?.block_on(doctor::run(config, &args))
        }
        command => {
            let example = match School::is_here(config) {
                Err(_) if command.asks_any_school() => Some(Example::new()?),
                Err(failure) if !command.brings_its_school() => return Err(failure),
                _ => None,
            };
            if let Some(example) = &example {
                note!("no school in this folder: the built-in example school answers");
                return runtime()?.block_on(ask(&example.school()?, command));
            }
            let asks_status = matches!(command, Command::Status(_));
            let school = School::open(config).map_err(|failure| match asks_status {
                true => failure.detail("a running filter keeps the machine file that it had"),
                false => failure,
            })?;
            runtime()?.block_on(ask(&school, command))
        }
    }
}

/// The commands that read or change the school's state.
async fn ask(school: &School, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Status(args) => status::run(school, &args).await,
        Command::Setup(args) => login::setup(school, &args).await,
        Command::Login(args) => login::login(school, args).await,
        Command::Logout(args) => login::logout(school, &args).await,
        Command::Whoami(args) => login::whoami(school, &args).await,
        Command::Account(command) => account::run(school, command).await,
        Command::Alerts(command) => alerts::run(school, command).await,
        Command::Case(command) => case::run(school, command).await,
        Command::Check(args) => check::run(school, args).await,
        Command::Explain(args) => log::explain(school, &args).await,
        Command::Block(args) => block::run(school, args).await,
        Command::Unblock(command) => unblock::run(school, command).await,
        Command::Lesson(command) => lesson::run(school, command).await,
        Command::Lists(command) => lists::run(school, command).await,
        Command::Inspect(command) => inspect::run(school, command).await,
        Command::Certificate(command) => certificate::run(school, command).await,
        Command::Ca(command) => ca::run(school, command).await,
        Command::Policy(command) => policy::run(school, command).await,
        Command::User(command) => user::run(school, command).await,
        Command::Log(command) => log::run(school, command).await,
        Command::Report(command) => report::run(school, command).await,
        Command::Audit(command) => audit::run(school, command).await,
        Command::Backup(command) => backup::run(school, command).await,
        Command::Retention(command) => retention::run(school, &command).await,
        Command::Serve(_)
        | Command::Doctor(_)
        | Command::Config(_)
        | Command::Completions(_)
        | Command::Man(_) => Ok(Exit::Ok),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::fault)
}
