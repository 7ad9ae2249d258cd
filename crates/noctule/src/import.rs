//! `noctule import`: what mosquitto kept, into a store.

use crate::failed;
use clap::Args;
use noctule_server::import::Import;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Bring what mosquitto kept into a new store: sessions, subscriptions, messages.
///
/// FILE is a mosquitto.db, or the mosquitto.sqlite3 of mosquitto's persist-sqlite plugin (with the
/// -wal beside it, if there is one). Stop mosquitto first: it writes its file as it ends. The file
/// is only read. The store is the one that `noctule serve` would have with the same flags; it must
/// not hold anything yet, and either all is brought, or nothing.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct ImportArgs {
    /// What mosquitto kept.
    file: PathBuf,
    /// Directory of the store.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file of the broker, which names the directory and the user.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say what would be brought, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  noctule import --dry-run /var/lib/mosquitto/mosquitto.db
  noctule import -c /etc/mosquitto/mosquitto.conf /var/lib/mosquitto/mosquitto.db
  noctule import --data /srv/noctule mosquitto.sqlite3

Exit status:
  0  it is brought (or would be, with --dry-run); what was left is told
  1  it could not be done, and the store is as it was
  2  wrong use";

impl ImportArgs {
    /// Does it.
    pub(crate) fn run(self) -> ExitCode {
        let import = Import {
            file: self.file,
            config: self.config.as_deref(),
            data: self.data.as_deref(),
            dry_run: self.dry_run,
        };
        match import.run() {
            Ok((directory, report)) => {
                let would = if self.dry_run { "would be " } else { "" };
                let (file, into) = (import.file.display(), directory.display());
                // That nobody reads it changes nothing of what was done.
                let mut out = std::io::stdout().lock();
                let text = format!("{file}: {would}brought into {into}\n{report}");
                let _unread = out.write_all(text.as_bytes()).and_then(|()| out.flush());
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error),
        }
    }
}
