//! Bridges in a triangle of brokers that are killed:
//! `triangle [--seconds N] [--seed N] [--mosquitto false]`.
#![allow(clippy::print_stdout, reason = "a program says what it found")]

use anyhow::{Context, Result, bail};
use noctule_tests::driver::Needs;
use noctule_tests::triangle::{Setting, run};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    match setting(&given).and_then(triangle) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn setting(given: &[String]) -> Result<(Setting, bool)> {
    let mut mosquitto = true;
    let mut setting = Setting { duration: Duration::from_secs(20), seed: 1 };
    let mut given = given.iter();
    while let Some(name) = given.next() {
        let value = given.next().with_context(|| format!("{name} needs a value"))?;
        let number = || value.parse().with_context(|| format!("{name} {value}: what is that?"));
        match name.as_str() {
            "--seconds" => setting.duration = Duration::from_secs(number()?),
            "--seed" => setting.seed = number()?,
            "--mosquitto" => mosquitto = value == "true",
            _ => bail!("unknown argument {name}"),
        }
    }
    Ok((setting, mosquitto))
}

fn triangle((setting, mosquitto): (Setting, bool)) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = std::env::temp_dir().join(format!("noctule-triangle-{}", std::process::id()));
    let mosquitto = Needs::MosquittoPeers.program().filter(|_| mosquitto);
    // What is left there says why, if it fails.
    let found = runtime.block_on(run(setting, mosquitto.as_deref(), &folder))?;
    std::fs::remove_dir_all(&folder)?;
    println!("{found:?}");
    Ok(())
}
