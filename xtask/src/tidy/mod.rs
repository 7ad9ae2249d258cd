//! `cargo xtask tidy`: the house rules that a machine can check.
//!
//! Each rule looks at the whole tree and names what breaks it. What a rule must put up with
//! stands, with its reason, in `xtask/exceptions.tsv`; an exception nobody needs is a finding too.

mod arrows;
mod code;
mod exceptions;
mod features;
mod manual;
mod portable;
mod shape;

use anyhow::{Result, bail};

use crate::tree::{self, Source};

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    rule: &'static str,
    path: String,
    /// From 1; 0 speaks of the whole file.
    line: usize,
    says: String,
}

impl Finding {
    fn new(rule: &'static str, source: &Source, line: usize, says: impl Into<String>) -> Self {
        Self { rule, path: source.path.clone(), line, says: says.into() }
    }
}

/// Checks the tree and fails on the first finding that no exception covers, having shown them all.
pub(crate) fn run() -> Result<()> {
    let sources = tree::sources()?;
    let mut findings = arrows::check()?;
    for source in &sources {
        shape::check(source, &mut findings);
        code::check(source, &mut findings);
        portable::check(source, &mut findings);
    }
    manual::check(&sources, &mut findings);
    features::check(&mut findings)?;
    exceptions::load(&sources)?.apply(&mut findings);
    for finding in &findings {
        println!("{}:{}: [{}] {}", finding.path, finding.line, finding.rule, finding.says);
    }
    match findings.len() {
        0 => {
            println!("tidy: {} files in order", sources.len());
            Ok(())
        }
        count => bail!("{count} findings"),
    }
}
