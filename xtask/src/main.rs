//! The gate and the chores of this repository. `cargo xtask` alone lists them.
//!
//! One file or folder per subcommand; what they share is `tree` (which files there are) and
//! `process` (running programs).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks here")]

mod attack;
mod ci;
mod client;
mod count;
mod fuzz;
mod kill;
mod mutants;
mod peers;
mod process;
mod programs;
mod simulate;
mod soak;
mod spec;
mod test;
mod tidy;
mod tree;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask SUBCOMMAND

  test [ARGS]      every test, and what the tests need; ARGS go to cargo test
  ci [--skip STEP]... [--only STEP]...
                   the whole gate, in the order of its steps
  count [--record] how many instructions a message takes, against what is recorded
  fuzz [TARGET]... [--runs N] [--list] [--again TARGET FILE]
                   fuzz targets, all of them unless named; N runs each (100,000)
  attack [ARGS]    attacks on a broker beside clients that behave; ARGS are the harness's own
  kill [ARGS]      brokers that are killed and whose power is cut; ARGS are the harness's own
  peers            brokers and clients of others, brought into target/peers
  mutants [NAME]...
                   plants listed faults and asks the tests whether they notice
  simulate [ARGS]  the simulator; ARGS are its own
  soak [NAME]      the long runs; without a name, which there are
  tidy             the house rules that a machine can check
  spec [--strict] [--open] [--update]
                   the statements of the standards: done, excused, open
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    };
    match dispatch(name, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(name: &str, args: &[String]) -> Result<()> {
    match name {
        "ci" => ci::run(args),
        "count" => count::run(args),
        "fuzz" => fuzz::run(args),
        "attack" => attack::run(args),
        "kill" => kill::run(args),
        "mutants" => mutants::run(args),
        "peers" => peers::run(),
        "simulate" => simulate::run(args),
        "soak" => soak::run(args),
        "spec" => spec::run(args),
        "test" => test::run(args),
        "tidy" => tidy::run(),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!("no such subcommand: {other}\n\n{USAGE}"),
    }
}
