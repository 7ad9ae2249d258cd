//! The steps of the gate that hand over to one tool.

use anyhow::{Context, Result};

use super::Outcome;
use crate::{process, spec, test, tidy};

pub(super) fn fmt() -> Result<Outcome> {
    process::run("cargo", &["fmt", "--all", "--check"])?;
    process::run("cargo", &["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])?;
    Ok(Outcome::Done)
}

pub(super) fn tidy() -> Result<Outcome> {
    tidy::run()?;
    Ok(Outcome::Done)
}

pub(super) fn spec() -> Result<Outcome> {
    spec::run(&["--strict".to_owned()])?;
    Ok(Outcome::Done)
}

pub(super) fn typos() -> Result<Outcome> {
    install("typos", &["--version"], "typos-cli")?;
    process::run("typos", &[])?;
    Ok(Outcome::Done)
}

pub(super) fn clippy() -> Result<Outcome> {
    let args = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    process::run("cargo", &args)?;
    Ok(Outcome::Done)
}

pub(super) fn test() -> Result<Outcome> {
    test::run(&[])?;
    Ok(Outcome::Done)
}

pub(super) fn doc() -> Result<Outcome> {
    let mut command = process::command("cargo", &["doc", "--workspace", "--no-deps"]);
    process::run_command(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Done)
}

pub(super) fn deny() -> Result<Outcome> {
    install("cargo", &["deny", "--version"], "cargo-deny")?;
    process::run("cargo", &["deny", "check", "bans", "licenses", "sources"])?;
    if !process::succeeds("cargo", &["deny", "fetch", "db"]) {
        return Ok(Outcome::LeftOut("advisories: their database cannot be reached".to_owned()));
    }
    process::run("cargo", &["deny", "check", "--disable-fetch", "advisories"])?;
    Ok(Outcome::Done)
}

/// The oldest compiler we promise must build the workspace.
pub(super) fn msrv() -> Result<Outcome> {
    let manifest = std::fs::read_to_string(process::root().join("Cargo.toml"))?;
    let promised = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \""))
        .and_then(|rest| rest.strip_suffix('"'))
        .context("Cargo.toml states a rust-version")?;
    let version = process::output("rustc", &["--version"])?;
    let ours = version.split(' ').nth(1).context("rustc says its version")?;
    if ours == promised || ours.starts_with(&format!("{promised}.")) {
        println!("this compiler, {ours}, is the promised one: the other steps are the proof");
        return Ok(Outcome::Done);
    }
    let toolchain = format!("+{promised}");
    if !process::succeeds("cargo", &[&toolchain, "--version"]) {
        return Ok(Outcome::LeftOut(format!("no toolchain {promised} on this machine")));
    }
    process::run("cargo", &[&toolchain, "check", "--workspace", "--all-targets"])?;
    Ok(Outcome::Done)
}

/// Builds a tool from its crate unless the machine has it.
pub(crate) fn install(program: &str, version: &[&str], name: &str) -> Result<()> {
    if process::succeeds(program, version) {
        return Ok(());
    }
    println!("{name} is missing here; it is built once");
    process::run("cargo", &["install", "--locked", "--quiet", name])
}
