//! `noctule config`: print the configuration in force, print or check files.

use crate::serve::ChoiceArgs;
use clap::{Args, Subcommand};
use noctule_server::config::{self, mosquitto};
use noctule_server::{ConfigFile, Keep, Options};
use std::io::Write;
use std::path::{Path, PathBuf};
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
  noctule config check noctule.toml
  noctule config convert /etc/mosquitto/mosquitto.conf > noctule.toml";

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Print a file with every option, its meaning and its default.
    Sample,
    /// Say what is wrong with a file and those that it names; exit with 0 if nothing is.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Print a mosquitto.conf as a noctule.toml that says the same.
    ///
    /// Behind each line stands where it comes from, and at the top what has no effect. Relative
    /// paths begin at the present folder, as they do for mosquitto when it is started here.
    Convert {
        /// The file.
        #[arg(required_unless_present = "options")]
        file: Option<PathBuf>,
        /// Print every option of mosquitto.conf and what becomes of it, as the manual has it.
        #[arg(long, conflicts_with = "file")]
        options: bool,
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
            Some(ConfigCommand::Check { file }) => check(file),
            Some(ConfigCommand::Convert { options: true, .. }) => print(&mosquitto::table()),
            Some(ConfigCommand::Convert { file, .. }) => convert(file.as_deref()),
        }
    }
}

fn check(file: PathBuf) -> ExitCode {
    let nothing = format!("{}: nothing is wrong\n", file.display());
    let options = Options {
        config: ConfigFile::named(Some(file)),
        keep: Keep::Nothing,
        ..Options::default()
    };
    match crate::serve::check(&options) {
        Ok(()) => print(&nothing),
        Err(error) => crate::failed(&error),
    }
}

fn convert(file: Option<&Path>) -> ExitCode {
    let translation = match Options::default().translation(file) {
        Ok(translation) => translation,
        Err(error) => return crate::failed(&error),
    };
    // What is printed can be used as it is.
    match translation.config() {
        Ok(_) => print(translation.text()),
        Err(error) => crate::failed(&error),
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
