//! `cargo xtask simulate`: many brokers, clients and faults on virtual time, a seed each.

use anyhow::Result;

use crate::ci::Outcome;
use crate::programs;

/// Seeds of the gate's run, each with three numbers of shards.
const SEEDS: &str = "3000";

/// Hands its arguments to the simulator, which says what they are.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    simulate(&args)
}

/// A step of the gate.
pub(crate) fn short() -> Result<Outcome> {
    simulate(&["--seeds", SEEDS])?;
    simulate(&["--client", "--seeds", SEEDS])?;
    Ok(Outcome::Done)
}

/// A long run: seeds that the gate never sees.
pub(crate) fn long() -> Result<()> {
    for from in ["1000000", "2000000", "3000000"] {
        simulate(&["--seeds", SEEDS, "--from", from])?;
    }
    Ok(())
}

/// The same for the client.
pub(crate) fn client() -> Result<()> {
    simulate(&["--client", "--seeds", "300000", "--from", "1000000"])
}

fn simulate(args: &[&str]) -> Result<()> {
    programs::run("simulate", args)
}
