//! `noctule passwd`: users and what is kept of their passwords, as a `[[users]]` entry or in a file
//! as `mosquitto_passwd` writes it.

mod file;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum, value_parser};
use file::PasswordFile;
use noctule_server::auth::{HashKind, ROUNDS, Secret, Verifier};
use std::ffi::OsString;
use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

/// Print the configuration entry of a user, or change a password file.
///
/// With a NAME alone, an entry for noctule.toml is printed, which serves passwords and SCRAM. With
/// a FILE, the user is added to that file, or gets a new password in it; the option `password_file`
/// of noctule.toml names such a file. The password is read from the terminal or standard input. The
/// flags are those of mosquitto_passwd, and so is the file.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub(crate) struct PasswdArgs {
    /// Make a new file; one that is there is not replaced. `-` prints the line instead.
    #[arg(short, conflicts_with_all = ["delete", "upgrade"])]
    create: bool,
    /// Take the password from the command line, where other users of the machine may see it.
    #[arg(short, conflicts_with_all = ["delete", "upgrade"])]
    batch: bool,
    /// Take the user out of the file.
    #[arg(short = 'D', conflicts_with = "upgrade")]
    delete: bool,
    /// Hash the passwords of a file that holds them in plain text (NAME:PASSWORD).
    #[arg(short = 'U')]
    upgrade: bool,
    /// How a password is hashed in a file. A hash for SCRAM serves passwords too, but only noctule
    /// knows it.
    #[arg(short = 'H', value_enum, default_value_t = Kind::Argon2id)]
    hash: Kind,
    /// Rounds of sha512-pbkdf2.
    #[arg(short = 'I', default_value_t = ROUNDS)]
    #[arg(value_parser = value_parser!(u32).range(1..=10_000_000))]
    rounds: u32,
    /// The file, the user's name, and with `-b` the password; or a name alone.
    #[arg(required = true, num_args = 1..=3, value_name = "WORD")]
    words: Vec<String>,
    /// Called by the name of mosquitto's program, which knows files alone.
    #[arg(skip)]
    in_file: bool,
}

const USAGE: &str = "\
noctule passwd NAME
       noctule passwd [-H HASH] [-I ROUNDS] [-c] FILE NAME
       noctule passwd [-H HASH] [-I ROUNDS] [-c] -b FILE NAME PASSWORD
       noctule passwd -D FILE NAME
       noctule passwd [-H HASH] [-I ROUNDS] -U FILE";

const EXAMPLES: &str = "\
Examples:
  noctule passwd sensor >> noctule.toml
  noctule passwd -c passwords sensor
  noctule passwd passwords another";

/// How a password is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Kind {
    Argon2id,
    #[value(name = "sha512-pbkdf2")]
    Pbkdf2,
    Sha512,
    #[value(name = "scram-sha-256")]
    Scram,
}

/// The command line of `noctule passwd`, if these arguments, of which the first is the program,
/// start the binary as `mosquitto_passwd`.
pub(crate) fn as_mosquitto(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let (program, words) = arguments.split_first()?;
    let called = Path::new(program).file_stem()? == "mosquitto_passwd";
    let passwd = [program.clone(), "passwd".into()];
    called.then(|| passwd.into_iter().chain(words.iter().cloned()).collect())
}

impl PasswdArgs {
    /// The same, of a file alone.
    pub(crate) fn in_file(self) -> PasswdArgs {
        PasswdArgs { in_file: true, ..self }
    }

    /// Asks for the password, and prints the entry or changes the file.
    pub(crate) fn run(self) -> ExitCode {
        match self.change() {
            Ok(text) => crate::config::print(&text),
            Err(error) => crate::failed(&format_args!("{error:#}")),
        }
    }

    /// Answers what is to be printed.
    fn change(&self) -> Result<String> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match *words.as_slice() {
            [file] if self.upgrade => self.upgrade(Path::new(file)),
            [file, name] if self.delete => delete(Path::new(file), name),
            [file, name, password] if self.batch => self.set(file, name, password),
            [file, name] if !self.batch && !self.upgrade => {
                let name = checked(name)?;
                self.set(file, name, &password()?)
            }
            [name] if !(self.in_file || self.create || self.batch || self.delete) => entry(name),
            _ => bail!("these words do not fit these flags; usage:\n       {USAGE}"),
        }
    }

    fn set(&self, file: &str, name: &str, password: &str) -> Result<String> {
        let name = checked(name)?;
        if password.is_empty() {
            bail!("an empty password protects nothing");
        }
        let secret = self.secret(password)?;
        if self.create && file == "-" {
            return Ok(format!("{name}:{secret}\n"));
        }
        let path = Path::new(file);
        let mut passwords = match self.create {
            true => PasswordFile::default(),
            false => PasswordFile::read(path)?,
        };
        let said = match passwords.set(name, secret) {
            true => "Updating password for user",
            false => "Adding password for user",
        };
        passwords.write(path, self.create)?;
        Ok(format!("{said} {name}\n"))
    }

    fn upgrade(&self, path: &Path) -> Result<String> {
        let mut passwords = PasswordFile::default();
        for (at, line) in file::text(path)?.lines().enumerate() {
            let place = || format!("{}:{}", path.display(), at + 1);
            match line.split_once(':').filter(|_| !line.starts_with('#')) {
                None => passwords.keep(line),
                Some((name, kept)) if kept.parse::<Secret>().is_ok() => {
                    bail!("{}: the password of {name} is hashed already", place());
                }
                Some((name, password)) if !password.is_empty() => {
                    let name = checked(name).with_context(place)?;
                    if passwords.set(name, self.secret(password)?) {
                        bail!("{}: {name} has a line already", place());
                    }
                }
                Some(_) => bail!("{}: a password expected behind the colon", place()),
            }
        }
        passwords.write(path, false)?;
        Ok(String::new())
    }

    fn secret(&self, password: &str) -> Result<Secret> {
        let kind = match self.hash {
            Kind::Argon2id => HashKind::ARGON2ID,
            Kind::Pbkdf2 => HashKind::Pbkdf2 { rounds: self.rounds },
            Kind::Sha512 => HashKind::Sha512,
            Kind::Scram => {
                return Verifier::with_random_salt(password)
                    .map(Secret::from)
                    .context("no random numbers");
            }
        };
        kind.hash(password.as_bytes()).context("no random numbers")
    }
}

fn delete(path: &Path, name: &str) -> Result<String> {
    let mut passwords = PasswordFile::read(path)?;
    if !passwords.remove(name) {
        bail!("{}: there is no user {name:?}", path.display());
    }
    passwords.write(path, false)?;
    Ok(String::new())
}

/// A name that a line can hold.
fn checked(name: &str) -> Result<&str> {
    if name.is_empty() || name.contains(char::is_control) {
        bail!("a user name without control characters expected");
    }
    if name.contains(':') || name.starts_with('#') {
        bail!("in a file, no user name may hold a colon or begin with #");
    }
    Ok(name)
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
