//! `noctule man`: manual pages, from the same definitions as the help.

use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
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
    std::fs::write(directory.join(format!("{name}.1")), page(command, name)?)?;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write(directory, inner, &format!("{name}-{}", inner.get_name()))?;
    }
    Ok(())
}

fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let spaced = command.clone().name(name.to_owned()).display_name(name.replace('-', " "));
    let man = Man::new(spaced)
        .title(name)
        .source(concat!("noctule ", env!("CARGO_PKG_VERSION")))
        .manual("Noctule");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let about = about.lines().next().unwrap_or_default().trim_end_matches('.');
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]).text([roman(format!("{name} - {about}"))]);
    text.extend_from_slice(roff.to_roff().as_bytes());
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().next().is_some() {
        man.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let behind = command.get_after_long_help().or_else(|| command.get_after_help());
    if let Some(behind) = behind {
        text.extend_from_slice(sections(&behind.to_string()).to_roff().as_bytes());
    }
    Ok(text)
}

/// Sections begin with a line that ends in a colon; what they hold stays as it is, line by line.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    let mut filled = true;
    for line in text.trim_end().lines() {
        let heading = line.strip_suffix(':').filter(|line| !line.starts_with(' '));
        if let Some(heading) = heading {
            if !filled {
                roff.control("fi", []);
            }
            roff.control("SH", [heading.to_uppercase().as_str()]).control("nf", []);
            filled = false;
        } else {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
    }
    roff.control("fi", []);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_headings_and_keep_their_lines() {
        let text = "Examples:\n  Listen:\n  a -b\n\nFiles:\n  .profile\n";
        let expected =
            ".SH EXAMPLES\n.nf\nListen:\na \\-b\n\n.fi\n.SH FILES\n.nf\n\\&.profile\n.fi\n";
        assert_eq!(sections(text).to_roff(), expected);
    }
}
