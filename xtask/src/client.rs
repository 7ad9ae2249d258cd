//! `cargo xtask soak client`: the client library on real sockets that break, before brokers and
//! processes that are killed, against a ledger of what it promised.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::ci::Outcome;
use crate::{peers, process, programs};

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

fn soak(args: &[&str]) -> Result<()> {
    programs::run("soak", args)
}
