//! The command line of noctule. Plain `noctule` is `noctule serve`.

mod acl;
mod bans;
mod bench;
mod cert;
mod completions;
mod config;
mod import;
mod man;
mod mosquitto;
mod passwd;
mod serve;
mod store;
mod tls;
mod tools;
mod top;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: noctule_alloc::Allocator = noctule_alloc::Allocator;

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
    Acl(acl::AclArgs),
    Bans(bans::BansArgs),
    Cert(cert::CertArgs),
    Store(store::StoreArgs),
    Import(import::ImportArgs),
    Top(top::TopArgs),
    Bench(bench::BenchArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // The name that it was started by may be that of one of mosquitto's programs.
    if let Some(tool) = tools::Invocation::of(arguments.iter().cloned()) {
        return tool.run();
    }
    if let Some(words) = mosquitto::words(arguments.iter().cloned()) {
        return mosquitto::run(words);
    }
    let for_mosquitto = passwd::as_mosquitto(&arguments);
    let in_file = for_mosquitto.is_some();
    let parsed = command().try_get_matches_from(for_mosquitto.unwrap_or(arguments));
    let cli = parsed.and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    let Cli { command, serve } = match cli {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match command {
        None => serve.run(),
        Some(Command::Serve(args)) => args.run(),
        Some(Command::Config(args)) => args.run(),
        Some(Command::Passwd(args)) if in_file => args.in_file().run(),
        Some(Command::Passwd(args)) => args.run(),
        Some(Command::Acl(args)) => args.run(),
        Some(Command::Bans(args)) => args.run(),
        Some(Command::Cert(args)) => args.run(),
        Some(Command::Store(args)) => args.run(),
        Some(Command::Import(args)) => args.run(),
        Some(Command::Top(args)) => args.run(),
        Some(Command::Bench(args)) => args.run(),
        Some(Command::Completions(args)) => args.run(),
        Some(Command::Man(args)) => args.run(),
    }
}

/// Everything that the binary can do, for help, completions and man pages.
fn command() -> clap::Command {
    Cli::command().subcommands(tools::Tool::ALL.map(tools::Tool::command))
}

/// Says on standard error why a command failed.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("noctule: {error}");
    ExitCode::FAILURE
}
