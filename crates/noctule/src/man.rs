//! `noctule man`: manual pages, from the same definitions as the help.

use clap::{Args, Command};
use clap_mangen::Man;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write the manual pages of all commands into a directory.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  noctule man /usr/local/share/man/man1 && man noctule-pub")]
pub(crate) struct ManArgs {
    /// The directory; it is made if it does not exist.
    directory: PathBuf,
}

impl ManArgs {
    /// Writes the pages.
    pub(crate) fn run(self) -> ExitCode {
        let written = std::fs::create_dir_all(&self.directory)
            .and_then(|()| write(&self.directory, &crate::command(), "noctule"));
        match written {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => crate::failed(&format_args!("{}: {error}", self.directory.display())),
        }
    }
}

/// A page for the command, and one for each command within.
fn write(directory: &Path, command: &Command, name: &str) -> io::Result<()> {
    let page = command.clone().name(name.to_owned()).display_name(name.replace('-', " "));
    let mut text = Vec::new();
    Man::new(page).title(name).render(&mut text)?;
    std::fs::write(directory.join(format!("{name}.1")), text)?;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write(directory, inner, &format!("{name}-{}", inner.get_name()))?;
    }
    Ok(())
}
