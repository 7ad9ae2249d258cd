//! Runs the soak of the client library: `soak [--seed N] [--seconds N] [--only SCENARIO]...`, all
//! scenarios in the given time unless some are chosen.
//!
//! It starts itself as `soak child ...` for publishers that are to be killed.
#![allow(clippy::print_stdout, reason = "a program says what it found")]

use anyhow::{Context, Result, bail};
use noctule_tests::soak::{SCENARIOS, Scenario, Setting, child};
use std::process::ExitCode;
use std::time::{Duration, Instant};

struct Arguments {
    seed: u64,
    seconds: u64,
    scenarios: Vec<Scenario>,
}

fn arguments(given: &[String]) -> Result<Arguments> {
    let mut found = Arguments { seed: 1, seconds: 30, scenarios: Vec::new() };
    let mut given = given.iter();
    while let Some(name) = given.next() {
        let value = given.next().with_context(|| format!("{name} needs a value"))?;
        let number = || value.parse().with_context(|| format!("{name} {value}: no number"));
        match name.as_str() {
            "--seed" => found.seed = number()?,
            "--seconds" => found.seconds = number()?,
            "--only" => {
                let scenario = SCENARIOS.into_iter().find(|scenario| scenario.name() == *value);
                found.scenarios.push(scenario.with_context(|| format!("no scenario {value}"))?);
            }
            _ => bail!("unknown argument {name}"),
        }
    }
    if found.scenarios.is_empty() {
        found.scenarios = SCENARIOS.to_vec();
    }
    Ok(found)
}

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match given.split_first() {
        Some((first, rest)) if first == "child" => child(rest),
        _ => arguments(&given).and_then(|arguments| soak(&arguments)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn soak(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let shares: u32 = arguments.scenarios.iter().map(|scenario| scenario.share()).sum();
    for scenario in &arguments.scenarios {
        let time = Duration::from_secs(arguments.seconds) * scenario.share() / shares;
        let (name, seed) = (scenario.name(), arguments.seed);
        let start = Instant::now();
        let account =
            runtime.block_on(scenario.run(Setting { seed, time })).with_context(|| {
                let seconds = time.as_secs().max(1);
                format!(
                    "{name} is broken\n  again: cargo run --profile test-fast -p noctule-tests \
                 --bin soak -- --seed {seed} --seconds {seconds} --only {name}\n"
                )
            })?;
        println!("{name} held for {:.0} s, seed {seed}", start.elapsed().as_secs_f64());
        println!("{account}");
    }
    Ok(())
}
