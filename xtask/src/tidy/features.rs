//! Crates from elsewhere have the same features with and without what only tests depend on: cargo
//! would build them, and all of ours that use them, once for the programs and once for the tests.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use super::Finding;
use crate::process;

/// Where such features are named.
const MANIFEST: &str = "crates/noctule-tests/Cargo.toml";

/// Compares the two.
pub(super) fn check(findings: &mut Vec<Finding>) -> Result<()> {
    let programs = features("normal")?;
    let tests = features("normal,dev")?;
    for (name, wanted) in tests {
        let Some(had) = programs.get(&name).filter(|had| **had != wanted) else { continue };
        let missing: Vec<_> = wanted.difference(had).map(String::as_str).collect();
        findings.push(Finding {
            rule: "features",
            path: MANIFEST.to_owned(),
            line: 0,
            says: format!("{name} has {missing:?} for tests alone: name them here as well"),
        });
    }
    Ok(())
}

/// Each crate, by name and version, and its features.
fn features(edges: &str) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let args = ["tree", "--workspace", "-e", edges, "--prefix", "none", "-f", "{p}|{f}"];
    let output = process::command("cargo", &args).output().context("cannot start cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |line: &str| {
        let (name, features) = line.trim_end_matches(" (*)").split_once('|')?;
        Some((name.to_owned(), features.split(',').map(str::to_owned).collect()))
    };
    Ok(text.lines().filter_map(line).collect())
}
