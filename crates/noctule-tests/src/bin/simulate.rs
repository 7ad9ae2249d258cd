//! Runs the simulation: `simulate [--seeds N] [--from SEED] [--threads N]`, or one seed again:
//! `simulate --seed SEED [--shards N] [--trace]`. With `--client` the client's session is put to
//! the test, against a broker of any number of shards.
#![allow(clippy::print_stdout, reason = "a program says what it found")]

use anyhow::{Context, Result, bail};
use noctule_tests::ends;
use noctule_tests::sim::{Coverage, SHARDS, quiet_panics, run};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// Failures shown before the run gives up.
const FAILURES_MAX: usize = 8;

struct Arguments {
    seeds: u64,
    from: u64,
    threads: usize,
    seed: Option<u64>,
    shards: Vec<u16>,
    traced: bool,
    client: bool,
}

fn arguments() -> Result<Arguments> {
    let mut found = Arguments {
        seeds: 1000,
        from: 0,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        seed: None,
        shards: SHARDS.to_vec(),
        traced: false,
        client: false,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut number = || -> Result<u64> {
            let value = given.next().with_context(|| format!("{name} needs a number"))?;
            value.parse().with_context(|| format!("{name} {value}: no number"))
        };
        match name.as_str() {
            "--seeds" => found.seeds = number()?,
            "--from" => found.from = number()?,
            "--threads" => found.threads = number()?.max(1) as usize,
            "--seed" => found.seed = Some(number()?),
            "--shards" => found.shards = vec![number()?.clamp(1, 64) as u16],
            "--trace" => found.traced = true,
            "--client" => found.client = true,
            _ => bail!("unknown argument {name}"),
        }
    }
    Ok(found)
}

fn main() -> ExitCode {
    quiet_panics();
    let outcome = arguments().and_then(|arguments| match arguments.seed {
        Some(seed) => replay(seed, &arguments),
        None => simulate(&arguments),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Every run of a seed: what came about, or what went wrong.
fn runs(seed: u64, arguments: &Arguments) -> Vec<Result<Coverage, String>> {
    if arguments.client {
        return vec![ends::run(seed, arguments.traced)];
    }
    let run = |shards: &u16| run(seed, *shards, arguments.traced).map_err(|it| it.to_string());
    arguments.shards.iter().map(run).collect()
}

fn replay(seed: u64, arguments: &Arguments) -> Result<()> {
    for outcome in runs(seed, arguments) {
        match outcome {
            Ok(coverage) => println!("seed {seed} holds\n{coverage}"),
            Err(failure) => bail!("{failure}"),
        }
    }
    Ok(())
}

fn simulate(arguments: &Arguments) -> Result<()> {
    let start = Instant::now();
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from + arguments.seeds;
    let total = Mutex::new(Coverage::default());
    let failures = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                let mut mine = Coverage::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || failures.load(Ordering::Relaxed) >= FAILURES_MAX {
                        break;
                    }
                    for outcome in runs(seed, arguments) {
                        match outcome {
                            Ok(coverage) => mine.add(&coverage),
                            Err(failure) => {
                                println!("FAILED {failure}");
                                failures.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                }
                total.lock().expect("nobody panics with it").add(&mine);
            });
        }
    });
    let total = total.into_inner().expect("all threads ended");
    print!("{total}");
    println!("{} seeds in {:.1} s", arguments.seeds, start.elapsed().as_secs_f64());
    let failures = failures.into_inner();
    if failures > 0 {
        bail!("{failures} runs failed");
    }
    let never: Vec<_> = total.never().collect();
    if !never.is_empty() && arguments.seeds >= 100 {
        bail!("never came about: {never:?}");
    }
    Ok(())
}
