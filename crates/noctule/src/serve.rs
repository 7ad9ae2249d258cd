//! `noctule serve`: the broker.

use clap::{ArgAction, Args};
use noctule_server::{ConfigFile, Keep, Options, RunError, Server};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::ExitCode;

/// Run the broker, on loopback port 1883 if nothing else is said.
///
/// What it acknowledges is kept: on disk, in the directory that --data names, else in
/// $STATE_DIRECTORY, $XDG_STATE_HOME/noctule or ~/.local/state/noctule.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    chosen: ChoiceArgs,
    /// Log more; twice for everything.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// Log nothing.
    #[arg(short, long)]
    quiet: bool,
    /// Go into the background.
    #[arg(short, long)]
    daemon: bool,
    /// Say whether the configuration is right, and end.
    #[arg(long)]
    test_config: bool,
}

const EXAMPLES: &str = "\
Examples:
  noctule serve
  noctule serve --data /srv/noctule -p 2883
  noctule serve --memory
  noctule serve -c noctule.toml
  noctule serve -c /etc/mosquitto/mosquitto.conf";

/// What the command line can say about the configuration.
#[derive(Args, Debug)]
pub(crate) struct ChoiceArgs {
    /// Configuration file; `noctule config sample` prints one. If its name ends in .conf, it is one
    /// of mosquitto's.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Port to listen on, on loopback, where no configuration file names listeners; may be
    /// repeated.
    #[arg(short, long)]
    port: Vec<u16>,
    /// Keep what is acknowledged in this directory; it is made if it does not exist.
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    data: Option<PathBuf>,
    /// Keep nothing, whatever the configuration file says: a restart forgets everything.
    #[arg(long)]
    memory: bool,
    /// Threads that serve clients; one for each core if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
}

impl ServeArgs {
    /// Runs until the process is asked to end.
    pub(crate) fn run(self) -> ExitCode {
        let options = Options {
            verbose: self.verbose,
            quiet: self.quiet,
            daemon: self.daemon,
            ..self.chosen.options()
        };
        if self.test_config { test(&options) } else { run(&options) }
    }
}

/// Runs a broker.
pub(crate) fn run(options: &Options) -> ExitCode {
    match noctule_server::run(options, noctule_bridge::BRIDGES) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, options),
    }
}

/// Whether a broker could be run, by what the configuration and the files that it names say.
pub(crate) fn check(options: &Options) -> Result<(), RunError> {
    let config = options.config()?;
    options.check_bridges(&config, noctule_bridge::BRIDGES)?;
    Ok(Server::check_files(&config)?)
}

/// Says whether a broker could be run, in mosquitto's words if it could.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
pub(crate) fn test(options: &Options) -> ExitCode {
    match check(options) {
        Ok(()) => {
            eprintln!("Configuration file is OK.");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error, options),
    }
}

fn failed(error: &RunError, options: &Options) -> ExitCode {
    crate::failed(error);
    ExitCode::from(error.exit_code(options))
}

impl ChoiceArgs {
    /// The same for the broker.
    pub(crate) fn options(self) -> Options {
        let keep = match (self.data, self.memory) {
            (Some(directory), _) => Keep::In(directory),
            (None, true) => Keep::Nothing,
            (None, false) => Keep::AsConfigured,
        };
        Options {
            config: ConfigFile::named(self.config),
            ports: self.port,
            verbose: 0,
            quiet: false,
            daemon: false,
            keep,
            shards: self.shards.and_then(NonZeroU16::new),
        }
    }
}
