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
pub(crate) fn build() -> Result<()> {
    process::run("cargo", &["build", "--quiet", "--profile", PROFILE, "--workspace"])
}

/// Where one of them is.
pub(crate) fn path(name: &str) -> PathBuf {
    process::target().join(PROFILE).join(name)
}

/// The broker, and everything else that is called noctule.
pub(crate) fn broker() -> PathBuf {
    path("noctule")
}

/// Builds all, and runs one of noctule-tests with what it needs of the others.
pub(crate) fn run(name: &str, args: &[&str]) -> Result<()> {
    build()?;
    let mut command = process::command(&path(name).to_string_lossy(), args);
    let recorder = path("libnoctule_recorder.so");
    command.env("NOCTULE_BIN", broker()).env("NOCTULE_RECORDER", recorder);
    process::run_command(&mut command)
}
