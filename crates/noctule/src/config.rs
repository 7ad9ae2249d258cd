//! `noctule config`: print or check configuration files.

use clap::{Args, Subcommand};
use noctule_server::{Config, config};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print or check a configuration file.
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Print a file with every option, its meaning and its default.
    Sample,
    /// Say what is wrong with a file; exit with 0 if nothing is.
    Check {
        /// The file.
        file: PathBuf,
    },
}

impl ConfigArgs {
    /// Prints or checks.
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            ConfigCommand::Sample => print(&config::sample()),
            ConfigCommand::Check { file } => match Config::load(&file) {
                Ok(_) => print(&format!("{}: nothing is wrong\n", file.display())),
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
