//! `cargo xtask fuzz`: runs the targets of `fuzz/`, each for a number of executions.
//!
//! What a run finds worth keeping stays in `fuzz/corpus/`; a crash stays in `fuzz/artifacts/`
//! and is run again with `cargo xtask fuzz --again TARGET FILE`. No nightly compiler is needed: the
//! counters that guide the fuzzer are a matter of LLVM, and the compiler at hand is told to allow
//! them.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::ci::{self, Outcome};
use crate::process;

const RUNS: &str = "100000";
/// Where the inputs to start from are written.
const SEEDS: &str = "fuzz/target/seeds/cases";
/// The longest input a target is given, in bytes.
const INPUT_MAX: &str = "4096";

/// Runs the targets named in `args`, or all.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let known = targets()?;
    let mut runs = RUNS;
    let mut chosen = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => {
                println!("{}", known.join("\n"));
                return Ok(());
            }
            "--runs" => runs = words.next().context("--runs needs a number")?,
            "--again" => {
                let target = words.next().context("--again needs a target and a file")?;
                let file = words.next().context("--again needs a target and a file")?;
                return cargo_fuzz(&["run", "--sanitizer", "none", target, file]);
            }
            name if known.iter().any(|target| target == name) => chosen.push(name.to_owned()),
            other => bail!("no such target: {other}; there are {}", known.join(", ")),
        }
    }
    runs.parse::<u64>().with_context(|| format!("--runs needs a number, not `{runs}`"))?;
    let chosen = if chosen.is_empty() { known } else { chosen };
    if let Outcome::LeftOut(what) = run_targets(&chosen, runs)? {
        println!("fuzz: left out: {what}");
    }
    Ok(())
}

/// Every target, for a short while: a step of the gate.
pub(crate) fn short() -> Result<Outcome> {
    run_targets(&targets()?, RUNS)
}

fn run_targets(targets: &[String], runs: &str) -> Result<Outcome> {
    if let Err(error) = ci::install("cargo", &["fuzz", "--version"], "cargo-fuzz") {
        if process::nothing_may_be_left_out() {
            return Err(error.context("fuzzing needs cargo-fuzz"));
        }
        return Ok(Outcome::LeftOut(format!("fuzzing needs cargo-fuzz: {error:#}")));
    }
    cargo_fuzz(&["build", "--sanitizer", "none"])?;
    write_seeds()?;
    for target in targets {
        let start = Instant::now();
        let corpus = format!("fuzz/corpus/{target}");
        std::fs::create_dir_all(process::root().join(&corpus))?;
        let mut args = vec!["run", "--sanitizer", "none", target, &corpus];
        let seeds = format!("{SEEDS}/{target}");
        if process::root().join(&seeds).is_dir() {
            args.push(&seeds);
        }
        let runs = format!("-runs={runs}");
        let length = format!("-max_len={INPUT_MAX}");
        args.extend(["--", &runs, &length, "-verbosity=0"]);
        cargo_fuzz(&args)?;
        println!("{target}: {runs} without a crash, {:.0} s", start.elapsed().as_secs_f64());
    }
    Ok(Outcome::Done)
}

/// `cargo fuzz`, with whatever compiler there is.
fn cargo_fuzz(args: &[&str]) -> Result<()> {
    let mut command = process::command("cargo", &[&["fuzz"], args].concat());
    process::run_command(command.env("RUSTC_BOOTSTRAP", "1"))
}

/// Turns the byte cases of the protocol into inputs to start from.
fn write_seeds() -> Result<()> {
    let manifest = ["run", "--quiet", "--manifest-path", "fuzz/Cargo.toml"];
    let program = ["--target-dir", "fuzz/target/seeds", "--example", "seeds", "--", SEEDS];
    process::run("cargo", &[&manifest[..], &program].concat())
}

/// The targets, by the names of their files.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(process::root().join("fuzz/fuzz_targets"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}
