//! `noctule passwd`: a `[[users]]` entry from a password.

use anyhow::{Context, Result, bail};
use clap::Args;
use noctule_server::auth::Verifier;
use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

/// Print the configuration entry of a user; the password is read from the terminal or standard
/// input.
#[derive(Args, Debug)]
pub(crate) struct PasswdArgs {
    /// User name.
    user: String,
}

impl PasswdArgs {
    /// Asks for the password and prints the entry.
    pub(crate) fn run(self) -> ExitCode {
        match entry(&self.user) {
            Ok(entry) => crate::config::print(&entry),
            Err(error) => crate::failed(&format_args!("{error:#}")),
        }
    }
}

fn entry(user: &str) -> Result<String> {
    if user.is_empty() || user.contains(char::is_control) {
        bail!("a user name without control characters expected");
    }
    let password = password()?;
    let verifier = Verifier::with_random_salt(&password).context("no random numbers")?;
    let name = user.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!("[[users]]\nname = \"{name}\"\nverifier = \"{verifier}\"\n"))
}

fn password() -> Result<String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let mut line = String::new();
        stdin.lock().read_line(&mut line).context("cannot read the password")?;
        let password = line.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            bail!("no password on standard input");
        }
        return Ok(password.to_owned());
    }
    let ask = |prompt| rpassword::prompt_password(prompt).context("cannot read the password");
    let password = ask("Password: ")?;
    if password.is_empty() {
        bail!("an empty password protects nothing");
    }
    if ask("Again: ")? != password {
        bail!("the passwords differ");
    }
    Ok(password)
}
