//! What tests and long runs start, built once.

use std::path::PathBuf;

use anyhow::Result;

use crate::process;

/// Optimised, with debug assertions and overflow checks on: the simulator counts its steps in
/// millions.
pub(crate) const PROFILE: &str = "test-fast";

/// Builds all programs. Of the whole workspace at a time: cargo gives the crates that packages
/// share the features of those that are built together, so each choice of packages would build all
/// of them anew.
pub(crate) fn programs() -> Result<()> {
    process::run("cargo", &["build", "--quiet", "--profile", PROFILE, "--workspace"])
}

/// Where one of them is.
pub(crate) fn program(name: &str) -> PathBuf {
    process::target().join(PROFILE).join(name)
}

/// The broker, and everything else that is called noctule.
pub(crate) fn broker() -> PathBuf {
    program("noctule")
}

/// Builds all, and runs one of noctule-tests with what it needs of the others.
pub(crate) fn run(name: &str, args: &[&str]) -> Result<()> {
    programs()?;
    let mut command = process::command(&program(name).to_string_lossy(), args);
    let recorder = program("libnoctule_recorder.so");
    command.env("NOCTULE_BIN", broker()).env("NOCTULE_RECORDER", recorder);
    process::run_command(&mut command)
}
