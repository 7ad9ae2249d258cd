//! `noctule store`: looks into the store of a broker that is stopped, mends it, copies it.
//!
//! * `found`  what was found, for people and as JSON
//!
//! Exit codes: 0 well; 1 it could not be done; 2 wrong use; 3 something is damaged, or was lost.

mod found;

use clap::{Args, Subcommand};
use noctule_server::{RunError, store_directory};
use std::path::PathBuf;

/// Look into what a broker keeps, mend it, copy it.
///
/// The directory is the one that `noctule serve` would have with the same flags. But for snapshot,
/// the broker has to be stopped.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

const EXAMPLES: &str = "\
Examples:
  noctule store check
  noctule store stats --data /srv/noctule --json
  noctule store export -c noctule.toml > everything.jsonl
  noctule store snapshot /backup/monday
  noctule serve --data /backup/monday -p 2883

Exit status:
  0  nothing is damaged, or lost
  1  it could not be done
  2  wrong use
  3  something is damaged (check), or was lost (salvage)";

#[derive(Subcommand, Debug)]
enum StoreCommand {
    /// Read everything and verify it; change nothing.
    Check(PlaceArgs),
    /// Make a damaged store start again; say exactly what was lost.
    ///
    /// What is damaged is kept aside, beside the store.
    Salvage(PlaceArgs),
    /// Say how much there is of what.
    Stats(PlaceArgs),
    /// Print everything that is kept, one JSON object a line.
    Export(PlaceArgs),
    /// Make a consistent copy that a broker can start from, also while one is running.
    Snapshot {
        /// Where to; it must not exist, or be empty.
        to: PathBuf,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Which store, and how the answer is written.
#[derive(Args, Debug)]
struct PlaceArgs {
    /// Directory of the store.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file of the broker.
    #[arg(short, long, value_name = "FILE", conflicts_with = "data")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl PlaceArgs {
    /// The directory of the store.
    fn directory(&self) -> Result<PathBuf, RunError> {
        store_directory(self.config.as_deref(), self.data.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser, Debug)]
    struct Cli {
        #[command(flatten)]
        store: StoreArgs,
    }

    fn parse(arguments: &[&str]) -> Result<StoreCommand, clap::Error> {
        let words = [&["store"], arguments].concat();
        Cli::try_parse_from(words).map(|cli| cli.store.command)
    }

    #[test]
    fn every_command_takes_the_directory_or_the_configuration() {
        for command in ["check", "salvage", "stats", "export"] {
            let parsed = parse(&[command, "--data", "/d", "--json"]).unwrap();
            let (StoreCommand::Check(place)
            | StoreCommand::Salvage(place)
            | StoreCommand::Stats(place)
            | StoreCommand::Export(place)) = parsed
            else {
                panic!("{command}: {parsed:?}");
            };
            assert!(place.json);
            assert_eq!(place.directory().unwrap(), PathBuf::from("/d"));
            assert!(parse(&[command, "--data", "/d", "-c", "f"]).is_err());
        }
        assert!(parse(&["snapshot"]).is_err(), "it has to be told where to");
        let snapshot = parse(&["snapshot", "/to", "--data", "/d"]).unwrap();
        let StoreCommand::Snapshot { to, place } = snapshot else { panic!("{snapshot:?}") };
        assert_eq!((to, place.directory().unwrap()), ("/to".into(), "/d".into()));
    }

    #[test]
    fn a_configuration_that_keeps_nothing_now_still_names_what_was_kept() {
        let file = std::env::temp_dir().join(format!("noctule-store-{}.toml", std::process::id()));
        let text = "[durability]\nclass = \"memory\"\ndata = \"/was/here\"\n";
        std::fs::write(&file, text).unwrap();
        let parsed = parse(&["check", "-c", file.to_str().unwrap()]).unwrap();
        let StoreCommand::Check(place) = parsed else { panic!("{parsed:?}") };
        assert_eq!(place.directory().unwrap(), PathBuf::from("/was/here"));
        std::fs::remove_file(file).unwrap();
    }
}
