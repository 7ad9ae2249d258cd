//! `noctule store`: looks into the store of a broker that is stopped.
//!
//! * `found`  what was found, for people and as JSON
//!
//! Exit codes: 0 well; 1 it could not be done; 2 wrong use; 3 something is damaged.

mod found;

use crate::failed;
use clap::{Args, Subcommand};
use found::{Check, Damage, Span};
use noctule_server::{RunError, store_directory};
use noctule_store::StoreError;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Something is damaged.
const DAMAGED: u8 = 3;

/// Look into what a broker keeps, while it is stopped.
///
/// The directory is the one that `noctule serve` would have with the same flags.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

const EXAMPLES: &str = "\
Examples:
  noctule store check
  noctule store check --data /srv/noctule --json

Exit status:
  0  nothing is damaged
  1  it could not be done
  2  wrong use
  3  something is damaged";

#[derive(Subcommand, Debug)]
enum StoreCommand {
    /// Read everything and verify it; change nothing.
    Check(PlaceArgs),
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

impl StoreArgs {
    /// Does it.
    pub(crate) fn run(&self) -> ExitCode {
        let StoreCommand::Check(place) = &self.command;
        match place.directory() {
            Ok(directory) => check(&directory, place.json),
            Err(error) => failed(&error),
        }
    }
}

impl PlaceArgs {
    /// The directory of the store.
    fn directory(&self) -> Result<PathBuf, RunError> {
        store_directory(self.config.as_deref(), self.data.as_deref())
    }
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
fn check(directory: &Path, json: bool) -> ExitCode {
    let shown = directory.display();
    let found = match noctule_store::check(directory) {
        Ok(Some(checked)) => Check::of(checked),
        Ok(None) => return failed(&format!("there is no store in {shown}")),
        // Such damage that no broker starts from it.
        Err(StoreError::Damaged { file, offset, what }) => {
            let damages = vec![Damage { file, offset, what: what.to_owned() }];
            Check { damages, ..Check::default() }
        }
        Err(StoreError::InUse { pid }) => {
            let whose = pid.map_or_else(String::new, |pid| format!(", process {pid}"));
            return failed(&format!("{shown} is in use by a broker{whose}: stop it first"));
        }
        Err(error) => return failed(&format!("{shown}: {error}")),
    };
    if json {
        println!("{}", found.to_json(directory));
    } else {
        print!("{}", found.to_text(directory));
    }
    if found.is_bad() { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS }
}

impl Check {
    fn of(checked: noctule_store::log::Checked) -> Check {
        let what = "this is not what was written; messages that lie here may be lost";
        let damage = |it: noctule_store::log::Damage| Damage {
            file: it.file,
            offset: it.offset,
            what: what.to_owned(),
        };
        Check {
            files: checked.segments,
            bytes: checked.bytes,
            frames: checked.frames,
            torn: checked.torn.map(|it| Span {
                file: it.file.to_string(),
                offset: it.offset,
                bytes: it.bytes,
            }),
            damages: checked.damaged.into_iter().map(damage).collect(),
        }
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

    fn parse(arguments: &[&str]) -> Result<PlaceArgs, clap::Error> {
        let words = [&["store", "check"], arguments].concat();
        let StoreCommand::Check(place) = Cli::try_parse_from(words)?.store.command;
        Ok(place)
    }

    #[test]
    fn it_takes_the_directory_or_the_configuration() {
        let place = parse(&["--data", "/d", "--json"]).unwrap();
        assert!(place.json);
        assert_eq!(place.directory().unwrap(), PathBuf::from("/d"));
        assert!(parse(&["--data", "/d", "-c", "f"]).is_err());
    }

    #[test]
    fn a_configuration_that_keeps_nothing_now_still_names_what_was_kept() {
        let file = std::env::temp_dir().join(format!("noctule-store-{}.toml", std::process::id()));
        let text = "[durability]\nclass = \"memory\"\ndata = \"/was/here\"\n";
        std::fs::write(&file, text).unwrap();
        let place = parse(&["-c", file.to_str().unwrap()]).unwrap();
        assert_eq!(place.directory().unwrap(), PathBuf::from("/was/here"));
        std::fs::remove_file(file).unwrap();
    }
}
