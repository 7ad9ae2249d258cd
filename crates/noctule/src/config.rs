//! `noctule config`: print the configuration in force, print or check files.

use crate::serve::ChoiceArgs;
use clap::{Args, Subcommand};
use noctule_server::{Config, Server, config};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print the configuration in force: what the file says, and what was left to be chosen.
///
/// With the flags of `noctule serve`, the configuration that it would have with them. What is
/// printed can be used as a file, but for the users, which are only counted.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: Option<ConfigCommand>,
    #[command(flatten)]
    chosen: ChoiceArgs,
}

const EXAMPLES: &str = "\
Examples:
  noctule config
  noctule config -c noctule.toml --data /srv/noctule
  noctule config sample > noctule.toml
  noctule config check noctule.toml";

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Print a file with every option, its meaning and its default.
    Sample,
    /// Say what is wrong with a file and those that it names; exit with 0 if nothing is.
    Check {
        /// The file.
        file: PathBuf,
    },
}

impl ConfigArgs {
    /// Prints or checks.
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            None => match self.chosen.options().config() {
                Ok(config) => print(&config::show(&config)),
                Err(error) => crate::failed(&error),
            },
            Some(ConfigCommand::Sample) => print(&config::sample()),
            Some(ConfigCommand::Check { file }) => match Config::load(&file) {
                Ok(config) => match Server::check_files(&config) {
                    Ok(()) => print(&format!("{}: nothing is wrong\n", file.display())),
                    Err(error) => crate::failed(&error),
                },
                Err(error) => crate::failed(&error),
            },
        }
    }
}

/// Prints to standard output; `| head` is no error.
pub(crate) fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => crate::failed(&error),
    }
}
