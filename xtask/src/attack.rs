//! `cargo xtask attack`: attacks on a real broker beside clients that behave.

use anyhow::{Result, bail};

use crate::ci::Outcome;
use crate::programs;

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

fn attack(args: &[&str]) -> Result<()> {
    programs::run("attack", args)
}
