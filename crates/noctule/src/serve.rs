//! `noctule serve`: the broker.

use clap::{ArgAction, Args};
use noctule_server::Options;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::ExitCode;

/// Run the broker, on loopback port 1883 if nothing else is said.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Configuration file; `noctule config sample` prints one.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Port to listen on, on loopback, where no configuration file names listeners.
    #[arg(short, long)]
    port: Option<u16>,
    /// Log more; twice for everything.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// Directory of the durable store (not there yet).
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    data: Option<PathBuf>,
    /// Keep everything in memory; what happens anyway until the durable store is there.
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
            config: self.config,
            port: self.port,
            verbose: self.verbose,
            data: self.data,
            shards: self.shards.and_then(NonZeroU16::new),
        };
        match noctule_server::run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => crate::failed(&error),
        }
    }
}
