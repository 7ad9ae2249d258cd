//! Running other programs from the root of the repository.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

/// How many of its last lines tell why a program failed.
const LAST_LINES: usize = 30;

/// The root of the repository this xtask was started in.
pub(crate) fn root() -> PathBuf {
    // Read at run time: a target folder shared by two checkouts must not mix them up.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    here.and_then(|path| path.parent().map(PathBuf::from)).unwrap_or_else(|| PathBuf::from("."))
}

/// Where cargo builds, and where what a chore leaves behind goes too.
pub(crate) fn target() -> PathBuf {
    let elsewhere = std::env::var_os("CARGO_TARGET_DIR").map(|path| root().join(path));
    elsewhere.unwrap_or_else(|| root().join("target"))
}

/// A command that starts in the root and reads nothing from the terminal.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs a program to its end; what it prints is seen. A status other than 0 is an error.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<()> {
    run_command(&mut command(program, args))
}

/// As [`run`], for a command that was prepared further. Away from a terminal the error repeats the
/// program's last lines: a log of the gate is long, and often only its end is at hand.
pub(crate) fn run_command(command: &mut Command) -> Result<()> {
    let line = describe(command);
    let (status, last) = if std::io::stdout().is_terminal() {
        (command.status().with_context(|| format!("cannot start: {line}"))?, String::new())
    } else {
        heard(command).with_context(|| format!("cannot run: {line}"))?
    };
    if !status.success() {
        bail!("{line}: {status}{last}");
    }
    Ok(())
}

/// Passes on what a program prints, and gives its last lines when it has ended.
fn heard(command: &mut Command) -> Result<(ExitStatus, String)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let last = Mutex::new(VecDeque::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| stdout.map(|from| pass_on(from, &mut std::io::stdout(), &last)));
        scope.spawn(|| stderr.map(|from| pass_on(from, &mut std::io::stderr(), &last)));
    });
    let last = last.into_inner().unwrap_or_default();
    let last = last.iter().map(|line| format!("\n    {line}")).collect();
    Ok((child.wait()?, last))
}

fn pass_on(from: impl Read, to: &mut impl Write, last: &Mutex<VecDeque<String>>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // Nobody may listen any more; the program goes on all the same.
        let _ = to.write_all(&line);
        let _ = to.flush();
        if let Ok(mut last) = last.lock() {
            last.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
            if last.len() > LAST_LINES {
                last.pop_front();
            }
        }
        line.clear();
    }
}

/// What a program prints on its standard output; its complaints are part of the error.
pub(crate) fn output(program: &str, args: &[&str]) -> Result<String> {
    let mut command = command(program, args);
    let line = describe(&command);
    let output = command.output().with_context(|| format!("cannot start: {line}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{line}: {}\n{}", output.status, complaint.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program starts and ends well, its words unseen.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut command = command(program, args);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether the caller insists that nothing is left out (`.ci/run` does).
pub(crate) fn nothing_may_be_left_out() -> bool {
    std::env::var_os("NOCTULE_REQUIRE_ALL").is_some_and(|value| value == "1")
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
