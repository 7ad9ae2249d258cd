//! Programs of other projects that the tests drive: where they are, and how they are run.
//!
//! `clients/setup.sh` brings them. A test whose program is missing says "skipped" where everybody
//! sees it and ends; with `NOCTULE_REQUIRE_ALL=1` it fails instead.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::process::target_directory;

const SETUP: &str = "crates/noctule-tests/clients/setup.sh";
/// Far beyond what any program needs, so that one that hangs fails and says so.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a test needs from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// paho-mqtt 1.6.
    Paho1,
    /// paho-mqtt 2.x.
    Paho2,
    /// MQTT.js under node.
    MqttJs,
    /// MQTT.js in a browser: Chromium.
    Chromium,
    /// `mosquitto_pub` and `mosquitto_sub`.
    MosquittoClients,
    /// mosquitto 2.1.2 with its clients, brought by `cargo xtask peers`.
    MosquittoPeers,
}

impl Needs {
    /// The program that runs the scripts; `None`, said aloud, when it is not here.
    #[must_use]
    pub fn program(self) -> Option<PathBuf> {
        let found = match self {
            Self::Paho1 => existing(target_directory().join("clients/paho1/bin/python")),
            Self::Paho2 => existing(target_directory().join("clients/paho2/bin/python")),
            Self::MqttJs => existing(clients_directory().join("mqttjs/node_modules/mqtt"))
                .and_then(|_| on_path("node")),
            Self::Chromium => {
                let bundle = "mqttjs/node_modules/mqtt/dist/mqtt.min.js";
                existing(clients_directory().join(bundle)).and_then(|_| on_path("chromium"))
            }
            Self::MosquittoClients => on_path("mosquitto_pub")
                .and_then(|_| on_path("mosquitto_sub"))
                .and_then(|_| on_path("sh")),
            Self::MosquittoPeers => existing(target_directory().join("peers/bin/mosquitto")),
        };
        if found.is_none() {
            leave_out(self.describe());
        }
        found
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Paho1 => "paho-mqtt 1.6",
            Self::Paho2 => "paho-mqtt 2.x",
            Self::MqttJs => "MQTT.js",
            Self::Chromium => "chromium, or MQTT.js for it",
            Self::MosquittoClients => "mosquitto_pub and mosquitto_sub",
            Self::MosquittoPeers => "mosquitto 2.1.2 with its clients (cargo xtask peers)",
        }
    }
}

/// Where the scripts are.
#[must_use]
pub fn clients_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// Says aloud that a test was left out, or fails where nothing may be.
///
/// # Panics
/// When `NOCTULE_REQUIRE_ALL=1`.
pub fn leave_out(what: &str) {
    let required = std::env::var_os("NOCTULE_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "{what} is missing and nothing may be left out: run {SETUP}");
    let thread = std::thread::current();
    let line = format!("{}: {what} is missing", thread.name().unwrap_or("a test"));
    // Not eprintln!, which the test harness swallows when the test passes. Nobody to tell if that
    // fails.
    let _ = writeln!(std::io::stderr(), "skipped: {line} (run {SETUP})");
    if let Some(path) = std::env::var_os("NOCTULE_LEFT_OUT") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let _ = file.and_then(|mut file| writeln!(file, "{line}"));
    }
}

/// Runs a program to its end; its output is the error when it does not end well. What its client
/// cannot do (lines that begin with `cannot: `) is said aloud in any case.
pub fn run(command: &mut Command) -> Result<()> {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let stdout = child.stdout.take().context("the pipe was asked for")?;
    let stderr = child.stderr.take().context("the pipe was asked for")?;
    let (lines, output) = channel();
    forward(stdout, lines.clone());
    forward(stderr, lines);
    let deadline = Instant::now() + PATIENCE;
    let mut text = String::new();
    loop {
        match output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if line.starts_with("cannot: ") {
                    // As in `leave_out`: seen even when the test passes, and nobody to tell else.
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
                text.extend([line.as_str(), "\n"]);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                bail!("{name} hangs; so far it said:\n{text}");
            }
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "{name} ended with {status}:\n{text}");
    Ok(())
}

fn forward(from: impl std::io::Read + Send + 'static, to: std::sync::mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(std::io::Result::ok) {
            if to.send(line).is_err() {
                break;
            }
        }
    });
}

/// A program that is spoken with line by line, as one does in a terminal.
#[derive(Debug)]
pub struct Terminal {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    seen: Vec<String>,
}

impl Terminal {
    /// Starts the program.
    pub fn open(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let (lines, output) = channel();
        forward(child.stdout.take().context("the pipe was asked for")?, lines.clone());
        forward(child.stderr.take().context("the pipe was asked for")?, lines);
        let input = child.stdin.take();
        Ok(Self { name: name.to_owned(), child, input, output, seen: Vec::new() })
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("its input is closed")?;
        writeln!(input, "{line}")?;
        Ok(input.flush()?)
    }

    /// The next line that it prints.
    pub fn next_line(&mut self) -> Result<String> {
        match self.output.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.push(line.clone());
                Ok(line)
            }
            Err(_) => bail!("{} printed no further line; before: {:#?}", self.name, self.seen),
        }
    }

    /// The next lines must be exactly these.
    pub fn expect(&mut self, lines: &[&str]) -> Result<()> {
        for wanted in lines {
            let got = self.next_line()?;
            ensure!(got == *wanted, "{}: wanted {wanted:?}, got {:#?}", self.name, self.seen);
        }
        Ok(())
    }

    /// The next lines must be these in any order.
    pub fn expect_in_any_order(&mut self, lines: &[&str]) -> Result<()> {
        let mut got = Vec::new();
        for _ in lines {
            got.push(self.next_line()?);
        }
        let mut wanted = lines.to_vec();
        wanted.sort_unstable();
        got.sort_unstable();
        ensure!(got == wanted, "{}: wanted {wanted:#?}, got {got:#?}", self.name);
        Ok(())
    }

    /// Closes its input, upon which it ends by itself; what it printed until then.
    pub fn close(mut self) -> Result<Vec<String>> {
        drop(self.input.take());
        let mut rest = Vec::new();
        loop {
            match self.output.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("{} does not end: {rest:#?}", self.name),
            }
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "{} ended with {status}: {rest:#?}", self.name);
        Ok(rest)
    }

    /// Kills it where it stands (SIGKILL).
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already, and nobody is left to be told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
