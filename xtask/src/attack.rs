//! `cargo xtask attack`: attacks on a real broker beside clients that behave.

use anyhow::{Result, bail};

use crate::ci::Outcome;
use crate::process;

const PROFILE: &str = "test-fast";
/// Seconds of each attack, in the gate and in the long run.
const SHORT: &str = "10";
const LONG: &str = "60";

/// Hands its arguments to the harness, which says what they are.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    attack(&args)
}

/// A step of the gate. How late good clients were is printed, and fails nothing.
pub(crate) fn short() -> Result<Outcome> {
    if !is_possible() {
        return Ok(Outcome::LeftOut("the attacks: they come from addresses of 127/8".to_owned()));
    }
    attack(&["--seconds", SHORT])?;
    Ok(Outcome::Done)
}

/// The long run, in which good clients must not have noticed anything either.
pub(crate) fn long() -> Result<()> {
    if !is_possible() {
        bail!("the attacks come from addresses of 127/8, which Linux alone gives to anybody");
    }
    attack(&["--seconds", LONG, "--strict", "true"])
}

fn is_possible() -> bool {
    cfg!(target_os = "linux")
}

/// Optimised, with debug assertions and overflow checks on, as all tests are.
fn attack(args: &[&str]) -> Result<()> {
    process::run("cargo", &["build", "--quiet", "--profile", PROFILE, "--package", "noctule"])?;
    let run = ["run", "--quiet", "--profile", PROFILE, "--package", "noctule-tests"];
    let program = ["--bin", "attack", "--"];
    let mut command = process::command("cargo", &[&run[..], &program, args].concat());
    command.env("NOCTULE_BIN", process::target().join(PROFILE).join("noctule"));
    process::run_command(&mut command)
}
