//! The command line of noctule. Plain `noctule` is `noctule serve`.

mod config;
mod connection;
mod passwd;
mod publish;
mod serve;
mod subscribe;

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
}

fn main() -> ExitCode {
    let Cli { command, serve } = Cli::parse();
    match command {
        None => serve.run(),
        Some(Command::Serve(args)) => args.run(),
        Some(Command::Config(args)) => args.run(),
        Some(Command::Passwd(args)) => args.run(),
        Some(Command::Pub(args)) => args.run(),
        Some(Command::Sub(args)) => args.run(),
    }
}

/// Says on standard error why a command failed.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("noctule: {error}");
    ExitCode::FAILURE
}
