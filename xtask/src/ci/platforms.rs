//! The platforms we promise, checked as far as their standard libraries are installed here.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

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

/// Stands for the C compiler and the archiver of another platform: makes the files it is asked
/// for, empty. ring builds C and assembler in its build script even for a check, which neither
/// looks into the result nor links it; so no cross compiler is needed for what a check proves,
/// that our Rust fits the platform.
const NO_COMPILER: &str = r#"#!/bin/sh
before=
for word; do
  case $before in -o) : >"$word" ;; esac
  case $word in
    [-/][oO][uU][tT]:*) : >"${word#*:}" ;;
    *.a | *.lib) [ -e "$word" ] || : >"$word" ;;
  esac
  before=$word
done
"#;

/// Checks the workspace for every target whose standard library is at hand.
pub(super) fn check() -> Result<Outcome> {
    let (here, missing): (Vec<&str>, Vec<&str>) =
        TARGETS.into_iter().partition(|target| is_installed(target));
    let no_compiler = no_compiler()?;
    let mut failed = Vec::new();
    for target in here {
        println!("-- {target}");
        // The client has features that the command line does not use.
        let packages = ["check", "--package", "noctule", "--package", "noctule-client"];
        let mut check = process::command("cargo", &packages);
        check.args(["--all-features", "--target", target]);
        for tool in ["CC", "AR"] {
            check.env(format!("{tool}_{}", target.replace('-', "_")), &no_compiler);
        }
        if process::run_command(&mut check).is_err() {
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

/// Writes [`NO_COMPILER`] where cargo can start it.
fn no_compiler() -> Result<PathBuf> {
    let path = process::target().join("no-compiler.sh");
    std::fs::create_dir_all(process::target())?;
    std::fs::write(&path, NO_COMPILER).with_context(|| format!("cannot write {path:?}"))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
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
