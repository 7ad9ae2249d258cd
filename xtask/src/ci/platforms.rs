//! The platforms we promise, checked as far as their standard libraries are installed here.

use std::path::Path;

use anyhow::{Result, bail};

use super::Outcome;
use crate::process;

/// Where the whole workspace must at least check.
const TARGETS: [&str; 5] = [
    "aarch64-unknown-linux-gnu",
    "armv7-unknown-linux-gnueabihf",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
];

/// A machine without an operating system: what needs `std` does not build there.
const BARE: &str = "thumbv7em-none-eabihf";

/// Checks the workspace for every target whose standard library is at hand.
pub(super) fn check() -> Result<Outcome> {
    let (here, missing): (Vec<&str>, Vec<&str>) =
        TARGETS.into_iter().partition(|target| is_installed(target));
    let mut failed = Vec::new();
    for target in here {
        println!("-- {target}");
        if process::run("cargo", &["check", "--package", "noctule", "--target", target]).is_err() {
            failed.push(target);
        }
    }
    if !failed.is_empty() {
        bail!("does not check for {}", failed.join(", "));
    }
    Ok(left_out(&missing))
}

/// Builds what devices need for a machine without an operating system: the protocol and the pure
/// session of the client.
pub(super) fn no_std() -> Result<Outcome> {
    let build = ["build", "--no-default-features", "-p", "noctule-proto", "-p", "noctule-client"];
    if !is_installed(BARE) {
        process::run("cargo", &build)?;
        return Ok(left_out(&[BARE]));
    }
    process::run("cargo", &[&build[..], &["--target", BARE]].concat())?;
    Ok(Outcome::Done)
}

fn left_out(missing: &[&str]) -> Outcome {
    if missing.is_empty() {
        return Outcome::Done;
    }
    Outcome::LeftOut(format!("{} (rustup target add would bring it)", missing.join(", ")))
}

fn is_installed(target: &str) -> bool {
    let folder = process::output("rustc", &["--print", "target-libdir", "--target", target]);
    folder.is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}
