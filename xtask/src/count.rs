//! `cargo xtask count`: how many instructions a message takes, held against what is recorded in
//! `spec/instructions.tsv`. Instructions do not depend on what else a machine does, so a change for
//! the worse shows without a quiet one; time does not follow from them alone, and is measured by
//! `noctule bench`.
//!
//! Cachegrind counts, a case of the example `turn_cost` at a time, twice with different numbers of
//! steps: the difference is the steps' alone.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail, ensure};

use crate::ci::Outcome;
use crate::process;

const RECORD: &str = "spec/instructions.tsv";
const HEAD: &str = "case\tinstructions\n";
const STEPS: [u64; 2] = [100, 600];

/// A message may take so many in a hundred more than is recorded.
const MORE_MAX: f64 = 3.0;

/// Counts and compares; with `--record`, writes down what was counted.
pub(crate) fn run(args: &[String]) -> Result<()> {
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => compare(),
        ["--record"] => record(),
        _ => bail!("[--record]"),
    }
}

/// A step of the gate.
pub(crate) fn check() -> Result<Outcome> {
    if !process::succeeds("valgrind", &["--version"]) {
        return Ok(Outcome::LeftOut("valgrind".into()));
    }
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Ok(Outcome::LeftOut("the counts are those of Linux on x86-64".into()));
    }
    compare().map(|()| Outcome::Done)
}

fn compare() -> Result<()> {
    let example = build()?;
    let mut worse = Vec::new();
    for (case, recorded) in recorded()? {
        let counted = count(&example, &case)?;
        let more = (counted / recorded - 1.0) * 100.0;
        println!("{case:<16}{counted:>9.0}  recorded {recorded:.0}, {more:+.1} %");
        if more > MORE_MAX {
            worse.push(case);
        }
    }
    if worse.is_empty() {
        return Ok(());
    }
    bail!(
        "{} take more than {MORE_MAX} % more instructions than recorded. Find out why; if that is \
         the price of something, `cargo xtask count --record`, and say in the commit what for",
        worse.join(", ")
    )
}

fn record() -> Result<()> {
    let example = build()?;
    let mut text = String::from(HEAD);
    for (case, _) in recorded()? {
        let counted = count(&example, &case)?;
        println!("{case:<16}{counted:>9.0}");
        writeln!(text, "{case}\t{counted:.0}")?;
    }
    Ok(fs::write(process::root().join(RECORD), text)?)
}

/// What is recorded, in its order.
fn recorded() -> Result<Vec<(String, f64)>> {
    let text = fs::read_to_string(process::root().join(RECORD)).context(RECORD)?;
    let lines = text.strip_prefix(HEAD).with_context(|| format!("{RECORD}: no head"))?.lines();
    let entry = |line: &str| {
        let (case, count) = line.split_once('\t')?;
        Some((case.to_owned(), count.parse().ok().filter(|count| *count > 0.0)?))
    };
    lines.map(|line| entry(line).with_context(|| format!("{RECORD}: {line:?}"))).collect()
}

/// The example, as it is shipped but for what links it.
fn build() -> Result<String> {
    let words = ["build", "--release", "--package", "noctule-core", "--example", "turn_cost"];
    process::run("cargo", &words)?;
    Ok(process::target().join("release/examples/turn_cost").to_string_lossy().into_owned())
}

/// Instructions of one delivery.
fn count(example: &str, case: &str) -> Result<f64> {
    let [few, many] = STEPS;
    let (few, many) = (count_steps(example, case, few)?, count_steps(example, case, many)?);
    ensure!(many.0 > few.0, "{case} delivers nothing");
    Ok((many.1 - few.1) as f64 / (many.0 - few.0) as f64)
}

/// Deliveries of so many steps, and all instructions.
fn count_steps(example: &str, case: &str, steps: u64) -> Result<(u64, i64)> {
    let output = process::command("valgrind", &["--tool=cachegrind", "--cache-sim=no"])
        .arg("--cachegrind-out-file=/dev/null")
        .args([example, case, &steps.to_string()])
        .output()
        .context("cannot start valgrind")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{case}: {told}");
    let delivered = String::from_utf8_lossy(&output.stdout).trim().parse();
    let refs = told.lines().find_map(|line| line.split_once("refs:")).map(|(_, number)| number);
    let refs = refs.and_then(|number| number.trim().replace(',', "").parse().ok());
    Ok((delivered.with_context(|| format!("{case}: {told}"))?, refs.context("no count")?))
}
