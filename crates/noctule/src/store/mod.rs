//! `noctule store`: looks into what a broker keeps, mends it, copies it.
//!
//! * `check`    what is damaged
//! * `export`   every message that is owed, as JSON
//! * `salvage`  a damaged store made one that a broker starts from
//! * `snapshot` a copy, also of the store of a running broker
//! * `stats`    how much there is of what
//! * `words`    counts and sizes
//!
//! Exit codes: 0 well; 1 it could not be done; 2 wrong use; 3 something is damaged, or was lost.

mod check;
mod export;
mod salvage;
mod snapshot;
mod stats;
mod words;

use crate::failed;
use clap::{Args, Subcommand};
use noctule_server::{RunError, store_directory};
use noctule_store::StoreError;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Something is damaged, or was lost.
const DAMAGED: u8 = 3;

/// Look into what a broker keeps; mend it, copy it.
///
/// The directory is the one that `noctule serve` would have with the same flags, unless it is
/// named. But for snapshot, the broker has to be stopped.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

const EXAMPLES: &str = "\
Examples:
  noctule store check
  noctule store stats /srv/noctule --json
  noctule store export /srv/noctule > owed.jsonl
  noctule store salvage /srv/noctule --dry-run
  noctule store snapshot --from /srv/noctule /backup/monday

Exit status:
  0  well: nothing is damaged, or lost
  1  it could not be done
  2  wrong use
  3  something is damaged, or was lost";

#[derive(Subcommand, Debug)]
enum StoreCommand {
    /// Read everything and verify it; change nothing.
    #[command(after_help = check::EXAMPLES)]
    Check {
        #[command(flatten)]
        place: PlaceArgs,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    Stats(stats::StatsArgs),
    Export(export::ExportArgs),
    Salvage(salvage::SalvageArgs),
    Snapshot(snapshot::SnapshotArgs),
}

/// Which store.
#[derive(Args, Debug)]
struct PlaceArgs {
    /// Directory of the store.
    #[arg(value_name = "DIR", conflicts_with_all = ["data", "config"])]
    directory: Option<PathBuf>,
    /// The same, as `noctule serve` has it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file of the broker.
    #[arg(short, long, value_name = "FILE", conflicts_with = "data")]
    config: Option<PathBuf>,
}

/// How the answer is written.
#[derive(Args, Debug)]
struct AnswerArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl StoreArgs {
    /// Does it.
    pub(crate) fn run(&self) -> ExitCode {
        match &self.command {
            StoreCommand::Check { place, answer } => {
                place.run(|directory| check::check(directory, answer.json))
            }
            StoreCommand::Stats(args) => args.run(),
            StoreCommand::Export(args) => args.run(),
            StoreCommand::Salvage(args) => args.run(),
            StoreCommand::Snapshot(args) => args.run(),
        }
    }
}

impl PlaceArgs {
    /// The directory of the store.
    fn directory(&self) -> Result<PathBuf, RunError> {
        let named = self.directory.as_deref().or(self.data.as_deref());
        store_directory(self.config.as_deref(), named)
    }

    /// Does something with the store.
    fn run(&self, act: impl FnOnce(&Path) -> ExitCode) -> ExitCode {
        match self.directory() {
            Ok(directory) => act(&directory),
            Err(error) => failed(&error),
        }
    }
}

/// Prints an answer. That nobody reads it changes nothing of what was done.
fn show(text: &str) {
    let mut out = std::io::stdout().lock();
    let _unread = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// There is nothing there.
fn none(directory: &Path) -> ExitCode {
    failed(&format!("there is no store in {}", directory.display()))
}

/// Says why something could not be done.
fn refused(directory: &Path, error: &StoreError) -> ExitCode {
    let shown = directory.display();
    if let StoreError::InUse { pid } = error {
        let whose = pid.map_or_else(String::new, |pid| format!(", process {pid}"));
        return failed(&format!("{shown} is in use by a broker{whose}: stop it first"));
    }
    failed(&format!("{shown}: {error}"))
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

    fn parse(arguments: &[&str]) -> Result<(PlaceArgs, AnswerArgs), clap::Error> {
        let words = [&["store", "check"], arguments].concat();
        match Cli::try_parse_from(words)?.store.command {
            StoreCommand::Check { place, answer } => Ok((place, answer)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_takes_the_directory_or_the_configuration() {
        let (place, answer) = parse(&["--data", "/d", "--json"]).unwrap();
        assert!(answer.json);
        assert_eq!(place.directory().unwrap(), PathBuf::from("/d"));
        assert_eq!(parse(&["/d"]).unwrap().0.directory().unwrap(), PathBuf::from("/d"));
        for two in [["--data", "/d", "-c", "f"], ["/d", "--data", "/e", "--json"]] {
            assert!(parse(&two).is_err());
        }
    }

    #[test]
    fn a_configuration_that_keeps_nothing_now_still_names_what_was_kept() {
        let file = std::env::temp_dir().join(format!("noctule-store-{}.toml", std::process::id()));
        let text = "[durability]\nclass = \"memory\"\ndata = \"/was/here\"\n";
        std::fs::write(&file, text).unwrap();
        let (place, _) = parse(&["-c", file.to_str().unwrap()]).unwrap();
        assert_eq!(place.directory().unwrap(), PathBuf::from("/was/here"));
        std::fs::remove_file(file).unwrap();
    }
}
