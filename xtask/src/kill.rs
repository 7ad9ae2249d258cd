//! `cargo xtask kill`: real brokers that are killed, whose power is cut, and whose disk is full,
//! against a ledger of what they acknowledged.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::ci::Outcome;
use crate::{process, programs};

/// Rounds of the gate, of the long run, and those within which syncs that lie must be found out.
const SHORT: &str = "30";
const LONG: &str = "1000";
const LIES: &str = "10";

/// Mounts a small file system that nobody else sees, and fills it.
const SMALL: &str = "mount -t tmpfs -o size=72m none \"$1\" && exec \"$2\" full \"$1\"";

/// Hands its arguments to the harness, which says what they are.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    kill(&args)
}

/// A step of the gate: always the same draws.
pub(crate) fn short() -> Result<Outcome> {
    kill(&["--rounds", SHORT])?;
    kill(&["--rounds", LIES, "--lie", "true"])?;
    // As nobody in a user namespace of our own, or as root.
    let ways = ["-rm", "-m"];
    let Some(way) = ways.into_iter().find(|way| process::succeeds("unshare", &[way, "true"]))
    else {
        if process::nothing_may_be_left_out() {
            bail!("unshare -m does not work here, and nothing may be left out");
        }
        return Ok(Outcome::LeftOut("the full file system: no mounts of our own here".to_owned()));
    };
    let mount = process::target().join("full");
    std::fs::create_dir_all(&mount)?;
    let harness = programs::path("kill");
    let mut command = process::command("unshare", &[way, "sh", "-c", SMALL, "sh"]);
    command.arg(mount).arg(harness).env("NOCTULE_BIN", programs::broker());
    process::run_command(&mut command)?;
    Ok(Outcome::Done)
}

/// A long run, from a seed that nobody has seen.
pub(crate) fn long() -> Result<()> {
    let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
        bail!("the clock stands before 1970");
    };
    kill(&["--rounds", LONG, "--seed", &now.as_secs().to_string()])
}

fn kill(args: &[&str]) -> Result<()> {
    programs::run("kill", args)
}
