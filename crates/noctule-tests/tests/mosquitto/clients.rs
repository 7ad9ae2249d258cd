//! What paho-mqtt sees of both, in both versions: sessions, what is kept, wills, MQTT 5.

use crate::side::Side;
use anyhow::{Result, ensure};
use noctule_tests::driver::{Needs, clients_directory};
use std::path::Path;
use std::process::Command;

/// With files whose listeners allow all that the script does: with the first each paho-mqtt in each
/// version, with the others one of each.
pub(crate) fn compare(sides: &[Side; 2]) -> Result<()> {
    for (file, login) in [
        ("debian.conf", &[][..]),
        ("home-assistant.conf", &["ann", "secret"]),
        ("per-listener.conf", &["ann", "secret"]),
    ] {
        let (old, new) = (Needs::Paho1.program(), Needs::Paho2.program());
        for (program, version) in [(&old, "3.1.1"), (&new, "5"), (&old, "5"), (&new, "3.1.1")]
            .into_iter()
            .take(if login.is_empty() { 4 } else { 2 })
        {
            let Some(program) = program else { continue };
            let see = |side: &Side| observed(side, file, program, version, login);
            let (theirs, ours) = (see(&sides[0])?, see(&sides[1])?);
            ensure!(theirs == ours, "{file} {version}:\n{theirs}\n\n{ours}");
        }
    }
    Ok(())
}

/// By a broker of its own, which remembers nobody: what the script prints.
fn observed(
    side: &Side,
    file: &str,
    program: &Path,
    version: &str,
    login: &[&str],
) -> Result<String> {
    for place in ["state", "ha-state"] {
        std::fs::remove_dir_all(side.folder.join(place))?;
        std::fs::create_dir_all(side.folder.join(place))?;
    }
    let running = side.start(file)?;
    let output = Command::new(program)
        .args(["-W", "ignore"])
        .arg(clients_directory().join("paho/observe.py"))
        .args(["127.0.0.1", &side.ports[0].to_string(), version])
        .args(login)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{file} {version}: {text}\n{errors}\n{}", running.log());
    ensure!(running.end()?.success());
    Ok(text)
}
