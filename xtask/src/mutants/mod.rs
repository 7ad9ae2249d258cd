//! `cargo xtask mutants`: plants the faults of `spec/mutants.tsv`, one at a time, in a copy of
//! the tree, and asks the fast tests whether they notice.
//!
//! A fault that survives is a hole in the tests, unless the list argues why nothing can notice it.

mod list;
mod scratch;

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::ci::Outcome;
use crate::process;
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
    scratch.baseline(&mutants).context("the tests must pass before a fault is planted")?;
    let mut survivors = Vec::new();
    let mut void = Vec::new();
    let (mut argued, mut endless) = (0, 0);
    for mutant in &mutants {
        let start = Instant::now();
        let verdict = scratch.judge(mutant).with_context(|| mutant.name.clone())?;
        let said = match &verdict {
            Verdict::Caught(by) => format!("caught by {by}"),
            Verdict::DidNotEnd(by) => {
                endless += 1;
                format!("did not end: {by}")
            }
            Verdict::Void => {
                void.push(mutant.name.as_str());
                "does not compile".to_owned()
            }
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
    if !void.is_empty() {
        bail!("these faults do not compile: {}", void.join(", "));
    }
    report(mutants.len(), &survivors, (argued, endless))
}

/// Every fault of the list can still be planted in the tree as it stands: a step of the gate.
pub(crate) fn check() -> Result<Outcome> {
    let mutants = list::load()?;
    for mutant in &mutants {
        let path = process::root().join(&mutant.file);
        let text = fs::read_to_string(&path).with_context(|| mutant.name.clone())?;
        mutant.plant(&text).with_context(|| mutant.name.clone())?;
    }
    println!("{} faults can be planted; cargo xtask mutants plants them", mutants.len());
    Ok(Outcome::Done)
}

/// `argued` survived for a reason; `endless` were noticed only by a suite that did not end.
fn report(planted: usize, survivors: &[&Mutant], counts: (usize, usize)) -> Result<()> {
    let (argued, endless) = counts;
    let caught = planted - survivors.len() - argued - endless;
    let survived = survivors.len();
    println!(
        "{planted} planted, {caught} caught, {endless} did not end, {argued} argued, \
         {survived} survived"
    );
    for mutant in survivors {
        println!("survived: {} ({}): {}", mutant.name, mutant.file, mutant.breaks);
    }
    let allowed = planted * MAY_SURVIVE_IN_FIFTY / 50;
    if survivors.len() > allowed {
        bail!("{} survived, {allowed} may", survivors.len());
    }
    Ok(())
}
