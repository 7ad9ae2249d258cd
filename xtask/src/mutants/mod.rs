//! `cargo xtask mutants`: plants the faults of `spec/mutants.tsv`, one at a time, in a copy of
//! the tree, and asks the fast tests whether they notice.
//!
//! A fault that survives is a hole in the tests, unless the list argues why nothing can notice it.

mod list;
mod scratch;

use std::time::Instant;

use anyhow::{Context, Result, bail};

use list::Mutant;
use scratch::{Scratch, Verdict};

/// How many of fifty faults may survive without an argument.
const MAY_SURVIVE_IN_FIFTY: usize = 2;

/// Plants the faults named in `args`, or all.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut mutants = list::load()?;
    if let Some(unknown) = args.iter().find(|arg| !mutants.iter().any(|m| m.name == **arg)) {
        bail!("no such fault: {unknown}");
    }
    if !args.is_empty() {
        mutants.retain(|mutant| args.contains(&mutant.name));
    }
    let scratch = Scratch::new().context("copying the tree")?;
    scratch.baseline().context("the tests must pass before a fault is planted")?;
    let mut survivors = Vec::new();
    let mut argued = 0;
    for mutant in &mutants {
        let start = Instant::now();
        let verdict = scratch.judge(mutant).with_context(|| mutant.name.clone())?;
        let said = match &verdict {
            Verdict::Caught(by) => format!("caught by {by}"),
            Verdict::Survived if !mutant.argued.is_empty() => {
                argued += 1;
                format!("survived, argued: {}", mutant.argued)
            }
            Verdict::Survived => {
                survivors.push(mutant);
                format!("SURVIVED: {}", mutant.breaks)
            }
        };
        println!("{:<28}{:>6.1} s  {said}", mutant.name, start.elapsed().as_secs_f64());
    }
    report(mutants.len(), &survivors, argued)
}

fn report(planted: usize, survivors: &[&Mutant], argued: usize) -> Result<()> {
    let caught = planted - survivors.len() - argued;
    println!("{planted} planted, {caught} caught, {argued} argued, {} survived", survivors.len());
    for mutant in survivors {
        println!("survived: {} ({}): {}", mutant.name, mutant.file, mutant.breaks);
    }
    let allowed = planted * MAY_SURVIVE_IN_FIFTY / 50;
    if survivors.len() > allowed {
        bail!("{} survived, {allowed} may", survivors.len());
    }
    Ok(())
}
