//! `cargo xtask soak`: the long runs, asked for before a piece of work is called done.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{attack, client, fuzz, kill, mutants, programs, simulate};

/// A long run: its name, what it proves, and how it starts.
struct Soak {
    name: &'static str,
    proves: &'static str,
    run: fn() -> Result<()>,
}

const SOAKS: [Soak; 8] = [
    Soak {
        name: "fuzz",
        proves: "10 million executions of every fuzz target without a crash",
        run: || fuzz::run(&["--runs".to_owned(), "10000000".to_owned()]),
    },
    Soak {
        name: "simulation",
        proves: "30,000 seeds that the gate never sees, with 1, 2 and 5 shards",
        run: simulate::long,
    },
    Soak {
        name: "client",
        proves: "10 minutes of clients whose connections, processes and brokers die",
        run: client::long,
    },
    Soak {
        name: "kills",
        proves: "1,000 brokers killed, most with a power cut, and nothing acknowledged is missing",
        run: kill::long,
    },
    Soak {
        name: "attacks",
        proves: "eight attacks of a minute each, of which clients that behave notice nothing",
        run: attack::long,
    },
    Soak {
        name: "bridge",
        proves: "10 minutes of bridges whose brokers are killed: all arrives, and nothing loops",
        run: || programs::run("triangle", &["--seconds", "600"]),
    },
    Soak {
        name: "client-simulation",
        proves: "300,000 seeds of the client's session over links and processes that die",
        run: simulate::client,
    },
    Soak {
        name: "mutants",
        proves: "the tests notice the faults of spec/mutants.tsv",
        run: || mutants::run(&[]),
    },
];

/// Runs the one that is named; without a name, says which there are.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let [name] = args else {
        for soak in SOAKS {
            println!("{:<20}{}", soak.name, soak.proves);
        }
        if args.is_empty() {
            return Ok(());
        }
        bail!("one name, please");
    };
    let soak = SOAKS.into_iter().find(|soak| soak.name == name);
    let soak = soak.with_context(|| format!("no such long run: {name}"))?;
    let start = Instant::now();
    (soak.run)()?;
    println!("{}: held for {:.0} s: {}", soak.name, start.elapsed().as_secs_f64(), soak.proves);
    Ok(())
}
