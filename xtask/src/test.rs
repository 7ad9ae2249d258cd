//! `cargo xtask test`: every test of the workspace, with what they need on a bare machine.
//!
//! The tests are built once, optimised but with debug assertions and overflow checks on: the
//! simulator counts its steps in millions. A test that cannot run because something is missing
//! here adds a line to the file named by `NOCTULE_LEFT_OUT`; those lines are shown at the end.
//! With `NOCTULE_REQUIRE_ALL=1` nothing may be left out.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::programs::{self, PROFILE};
use crate::{peers, process};

/// Brings the clients that the tests drive: a virtual environment, npm packages, Debian packages.
const SETUP: &str = "crates/noctule-tests/clients/setup.sh";

/// What the test programs said, added up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs all tests, or those that `args` (handed to `cargo test`) choose.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let left_out = process::target().join("left-out.txt");
    std::fs::create_dir_all(process::target())?;
    std::fs::write(&left_out, "").with_context(|| format!("cannot write {left_out:?}"))?;
    let mut missing = set_up()?;
    missing.extend(peers::brokers());
    // What the tests start, and what they load into it.
    programs::build()?;

    let mut tally = Tally::default();
    let all_ran = run_tests(args, &left_out, &mut tally)?;

    let said = std::fs::read_to_string(&left_out).unwrap_or_default();
    missing.extend(said.lines().map(str::to_owned));
    missing.sort();
    missing.dedup();
    for line in &missing {
        println!("left out: {line}");
    }
    if tally.ignored > 0 {
        println!("left out: {} tests marked #[ignore]", tally.ignored);
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if !all_ran || tally.failed > 0 {
        bail!("the tests did not pass");
    }
    if process::nothing_may_be_left_out() && !missing.is_empty() {
        bail!("nothing may be left out here");
    }
    Ok(())
}

/// Brings what the tests need; answers what could not be had.
fn set_up() -> Result<Vec<String>> {
    if !process::root().join(SETUP).is_file() {
        return Ok(Vec::new());
    }
    let mut child = process::command("bash", &[SETUP]).stderr(Stdio::piped()).spawn()?;
    let complaints = child.stderr.take().expect("the pipe was asked for");
    let mut missing = Vec::new();
    for line in BufReader::new(complaints).lines() {
        let line = line?;
        eprintln!("{line}");
        missing.extend(line.strip_prefix("left out: ").map(str::to_owned));
    }
    if !child.wait()?.success() {
        if process::nothing_may_be_left_out() {
            bail!("{SETUP} did not bring everything, and nothing may be left out here");
        }
        missing.push(format!("some of what {SETUP} brings"));
    }
    Ok(missing)
}

/// Runs `cargo test`, showing what it prints; answers whether it ended well.
fn run_tests(args: &[String], left_out: &Path, tally: &mut Tally) -> Result<bool> {
    let mut command = process::command("cargo", &["test", "--no-fail-fast", "--profile", PROFILE]);
    if !args.iter().any(|arg| arg == "-p" || arg == "--package") {
        command.arg("--workspace");
    }
    command.args(args).env("NOCTULE_LEFT_OUT", left_out).env("NOCTULE_BIN", programs::broker());
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
    let stdout = child.stdout.take().expect("the pipe was asked for");
    for line in BufReader::new(stdout).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        tally.add(&line);
    }
    Ok(child.wait()?.success())
}

impl Tally {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) =
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split(';') {
            let Some((number, what)) = count.trim().split_once(' ') else { continue };
            let number = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; \
             finished in 0.00s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            tally.add(line);
        }
        assert_eq!(tally, Tally { passed: 4, failed: 2, ignored: 1 });
    }
}
