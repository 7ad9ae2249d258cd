//! `noctule completions`: scripts that let a shell complete commands and flags.

use clap::{Args, ValueEnum};
use clap_complete::{Shell, generate};
use std::process::ExitCode;

/// Print a script that lets a shell complete commands and flags.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  noctule completions bash > /etc/bash_completion.d/noctule
  noctule completions zsh > \"${fpath[1]}/_noctule\"
  noctule completions fish > ~/.config/fish/completions/noctule.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Known,
    /// Complete for a link of this name instead.
    #[arg(long = "for", value_name = "NAME")]
    link: Option<Link>,
}

/// Shells that are known.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

/// Names of mosquitto's programs.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Link {
    #[value(name = "mosquitto_pub")]
    Pub,
    #[value(name = "mosquitto_sub")]
    Sub,
    #[value(name = "mosquitto_rr")]
    Rr,
}

impl CompletionsArgs {
    /// Prints the script.
    pub(crate) fn run(self) -> ExitCode {
        let shell = match self.shell {
            Known::Bash => Shell::Bash,
            Known::Zsh => Shell::Zsh,
            Known::Fish => Shell::Fish,
        };
        let (mut command, name) = match self.link {
            None => (crate::command(), "noctule"),
            Some(Link::Pub) => (crate::tools::Tool::Pub.command(), "mosquitto_pub"),
            Some(Link::Sub) => (crate::tools::Tool::Sub.command(), "mosquitto_sub"),
            Some(Link::Rr) => (crate::tools::Tool::Rr.command(), "mosquitto_rr"),
        };
        let mut script = Vec::new();
        generate(shell, &mut command, name, &mut script);
        crate::config::print(&String::from_utf8_lossy(&script))
    }
}
