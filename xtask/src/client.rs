//! `cargo xtask soak client`: the client library on real sockets that break, before brokers and
//! processes that are killed, against a ledger of what it promised.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::ci::Outcome;
use crate::{peers, process};

const PROFILE: &str = "test-fast";
/// Seconds of the gate's run, and of the long one.
const SHORT: &str = "30";
const LONG: &str = "600";

/// A step of the gate: always the same draws.
pub(crate) fn short() -> Result<Outcome> {
    let nats = peers::nats();
    soak(&["--seconds", SHORT])?;
    match nats {
        Ok(()) => Ok(Outcome::Done),
        Err(error) if process::nothing_may_be_left_out() => Err(error),
        Err(error) => Ok(Outcome::LeftOut(format!("{error:#}"))),
    }
}

/// A long run, from a seed that nobody has seen.
pub(crate) fn long() -> Result<()> {
    peers::nats()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let Ok(now) = now else { bail!("the clock stands before 1970") };
    soak(&["--seconds", LONG, "--seed", &now.as_secs().to_string()])
}

/// Optimised, with debug assertions and overflow checks on, as all tests are.
fn soak(args: &[&str]) -> Result<()> {
    process::run("cargo", &["build", "--quiet", "--profile", PROFILE, "--package", "noctule"])?;
    let run = ["run", "--quiet", "--profile", PROFILE, "--package", "noctule-tests"];
    let program = ["--bin", "soak", "--"];
    let mut command = process::command("cargo", &[&run[..], &program, args].concat());
    command.env("NOCTULE_BIN", process::target().join(PROFILE).join("noctule"));
    process::run_command(&mut command)
}
