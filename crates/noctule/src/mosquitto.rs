//! Started by the name `mosquitto` (through a link), the binary takes the command line of that
//! broker.

use crate::serve;
use noctule_server::{ConfigFile, Options};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// Ports that the command line may name.
const PORTS_MAX: usize = 10;

/// How mosquitto ends if it does not understand what it is told.
const MISUSED: u8 = 3;

const USAGE: &str = "\
noctule is an MQTT v5.0/v3.1.1/v3.1 broker, started here in place of mosquitto.

Usage: mosquitto [-c config_file] [-d] [-h] [-p port] [-q] [-v] [--test-config]

 -c : the configuration file, one of mosquitto's.
 -d : put the broker into the background after starting.
 -h : display this help.
 -p : start the broker listening on the specified port; may be repeated.
      Only where the configuration file has no listeners.
 -q : quiet mode: log nothing.
 -v : verbose mode: log everything.
 --test-config : test the configuration file and exit.

What else noctule can do: noctule --help
";

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Run(Options),
    Test(Options),
    Help,
    Version,
}

/// The arguments, if these, of which the first is the program, start it as mosquitto.
pub(crate) fn words(arguments: impl IntoIterator<Item = OsString>) -> Option<Vec<OsString>> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next()?;
    let called = Path::new(&program).file_stem()? == "mosquitto";
    called.then(|| arguments.collect())
}

/// Does what is asked.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    match parse(words) {
        Ok(Asked::Run(options)) => serve::run(&options),
        Ok(Asked::Test(options)) => serve::test(&options),
        Ok(Asked::Help) => print(USAGE),
        Ok(Asked::Version) => {
            print(&format!("mosquitto version 2.1.2 (noctule {})\n", env!("CARGO_PKG_VERSION")))
        }
        Err(what) => {
            crate::failed(&format!("{what}\n\n{USAGE}"));
            ExitCode::from(MISUSED)
        }
    }
}

fn print(text: &str) -> ExitCode {
    // That nobody reads is no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn parse(words: Vec<OsString>) -> Result<Asked, String> {
    let mut options = Options { config: ConfigFile::Mosquitto(None), ..Options::default() };
    let mut test = false;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.to_str().unwrap_or_default() {
            "-c" | "--config-file" => {
                let file = words.next().ok_or("-c needs a configuration file")?;
                options.config = ConfigFile::Mosquitto(Some(file.into()));
            }
            "-p" | "--port" => {
                let port = words.next().ok_or("-p needs a port")?;
                let number = port.to_str().and_then(|it| it.parse().ok()).filter(|it| *it > 0);
                let what = || format!("{} is no port", port.display());
                options.ports.push(number.ok_or_else(what)?);
                if options.ports.len() > PORTS_MAX {
                    return Err(format!("only {PORTS_MAX} ports can be given"));
                }
            }
            "-d" | "--daemon" => options.daemon = true,
            "-h" | "--help" => return Ok(Asked::Help),
            "--version" => return Ok(Asked::Version),
            "-q" | "--quiet" => options.quiet = true,
            "-v" | "--verbose" => options.verbose = 1,
            "--test-config" => test = true,
            "--tls-keylog" => {
                return Err("--tls-keylog is not there: noctule gives no keys away".into());
            }
            _ => return Err(format!("unknown option {}", word.display())),
        }
    }
    Ok(if test { Asked::Test(options) } else { Asked::Run(options) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn the_flags_are_mosquittos() {
        let file = ConfigFile::Mosquitto(Some("a.conf".into()));
        let wanted = Options {
            config: file.clone(),
            ports: vec![1884, 1885],
            verbose: 1,
            quiet: true,
            daemon: true,
            ..Options::default()
        };
        assert_eq!(parsed("-c a.conf -p 1884 -v -q -d --port 1885"), Ok(Asked::Run(wanted)));
        let wanted = Options { config: file, ..Options::default() };
        assert_eq!(parsed("--test-config -c a.conf"), Ok(Asked::Test(wanted)));
        assert_eq!(parsed("-v -h"), Ok(Asked::Help));
        for wrong in ["-c", "-p", "-p 0", "-p 70000", "-p x", "--foo", "file", "--tls-keylog f"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_name_decides() {
        let words = |line: &str| words(line.split(' ').map(OsString::from));
        assert_eq!(words("/usr/sbin/mosquitto -v"), Some(vec!["-v".into()]));
        assert_eq!(words("noctule -v"), None);
        assert_eq!(words("mosquitto_pub -v"), None);
    }
}
