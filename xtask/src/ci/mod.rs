//! `cargo xtask ci`: the gate, step by step. Every step runs, even after one has failed, so that
//! one run shows all there is to mend. A step that cannot run here says so; nothing fails on
//! wall time.

mod platforms;
mod steps;

pub(crate) use steps::install;

use std::time::Instant;

use anyhow::{Result, bail};

use crate::{attack, client, count, fuzz, kill, mutants, simulate};

/// How a step ended when it did not fail.
pub(crate) enum Outcome {
    /// It ran whole.
    Done,
    /// It, or a part of it, could not run on this machine.
    LeftOut(String),
}

type Step = fn() -> Result<Outcome>;

/// What runs when nothing is chosen, cheap steps first.
const STEPS: [(&str, Step); 18] = [
    ("fmt", steps::fmt),
    ("tidy", steps::tidy),
    ("spec", steps::spec),
    ("mutants", mutants::check),
    ("typos", steps::typos),
    ("clippy", steps::clippy),
    ("test", steps::test),
    ("simulation", simulate::short),
    ("client", client::short),
    ("kills", kill::short),
    ("attacks", attack::short),
    ("count", count::check),
    ("doc", steps::doc),
    ("deny", steps::deny),
    ("msrv", steps::msrv),
    ("no_std", platforms::no_std),
    ("platforms", platforms::check),
    ("fuzz", fuzz::short),
];

/// Runs the chosen steps and fails where one of them did.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let chosen = choose(args)?;
    let mut summary = Vec::new();
    let mut failed = 0;
    for (name, step) in chosen {
        println!("\n== {name}");
        let start = Instant::now();
        let ended = match step() {
            Ok(Outcome::Done) => "ok".to_owned(),
            Ok(Outcome::LeftOut(what)) => format!("ok, but left out: {what}"),
            Err(error) => {
                failed += 1;
                format!("FAILED: {error:#}")
            }
        };
        let line = format!("{name:<12}{:>7.1} s  {ended}", start.elapsed().as_secs_f64());
        println!("== {line}");
        summary.push(line);
    }
    println!("\nThe gate:\n{}", summary.join("\n"));
    if failed > 0 {
        bail!("{failed} steps failed");
    }
    Ok(())
}

/// The steps left by `--skip` and `--only`, in their order.
fn choose(args: &[String]) -> Result<Vec<(&'static str, Step)>> {
    let mut only = Vec::new();
    let mut skip = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let list = match word.as_str() {
            "--only" => &mut only,
            "--skip" => &mut skip,
            other => bail!("no such option: {other}"),
        };
        match words.next() {
            Some(name) if STEPS.iter().any(|(step, _)| step == name) => list.push(name.as_str()),
            Some(name) => bail!("no such step: {name}"),
            None => bail!("{word} needs the name of a step"),
        }
    }
    let wanted = |name| (only.is_empty() || only.contains(&name)) && !skip.contains(&name);
    Ok(STEPS.into_iter().filter(|(name, _)| wanted(*name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(args: &[&str]) -> Result<Vec<&'static str>> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        Ok(choose(&args)?.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn steps_are_chosen_by_name_and_keep_their_order() {
        assert_eq!(names(&["--only", "tidy", "--only", "fmt"]).expect("known"), ["fmt", "tidy"]);
        let rest = names(&["--skip", "test"]).expect("known");
        assert_eq!(rest.len(), STEPS.len() - 1);
        assert!(!rest.contains(&"test"));
    }

    #[test]
    fn an_unknown_step_is_refused() {
        assert!(names(&["--only", "nothing"]).is_err());
        assert!(names(&["--only"]).is_err());
    }
}
