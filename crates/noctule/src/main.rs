//! The command line of noctule. Plain `noctule` is `noctule serve`.

mod bench;
mod config;
mod connection;
mod passwd;
mod publish;
mod serve;
mod subscribe;
mod top;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// An MQTT broker and its tools in one binary. Without a command: serve.
#[derive(Parser, Debug)]
#[command(name = "noctule", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Subcommand, Debug)]
enum Command {
    Serve(serve::ServeArgs),
    Config(config::ConfigArgs),
    Passwd(passwd::PasswdArgs),
    Pub(publish::PubArgs),
    Sub(subscribe::SubArgs),
    Top(top::TopArgs),
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let Cli { command, serve } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    match command {
        None => serve.run(),
        Some(Command::Serve(args)) => args.run(),
        Some(Command::Config(args)) => args.run(),
        Some(Command::Passwd(args)) => args.run(),
        Some(Command::Pub(args)) => args.run(),
        Some(Command::Sub(args)) => args.run(),
        Some(Command::Top(args)) => args.run(),
        Some(Command::Bench(args)) => args.run(),
    }
}

/// Says how to use a command, or what is wrong with its use. `pub` and `sub` do it as mosquitto's
/// tools do: with exit code 1, and not if asked to be quiet.
fn misused(error: &clap::Error) -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let mosquitto = words.next().is_some_and(|word| word == "pub" || word == "sub");
    let wrong = error.use_stderr();
    if !(wrong && mosquitto && words.any(|word| word == "--quiet")) {
        // Nobody is left to be told when that stream is closed.
        let _ = error.print();
    }
    match (wrong, mosquitto) {
        (false, _) => ExitCode::SUCCESS,
        (true, true) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(2),
    }
}

/// Says on standard error why a command failed.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("noctule: {error}");
    ExitCode::FAILURE
}
