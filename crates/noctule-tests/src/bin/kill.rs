//! Kills brokers, cuts their power, and looks for what they had acknowledged:
//! `kill [--seed N] [--rounds N] [--home DIR] [--lie true] [--memory true]`.
//!
//! `kill full DIR` fills the small file system that a directory is on, with a broker there.
//! With `--lie` the broker's syncs do nothing, and the run fails unless that is found out. With
//! `--memory` the broker is not killed but loses its connections, which tests the test. `kill
//! scribble DIRECTORY PROGRESS SEED DEEDS NAMES` is the program that the recorder is tested with.
#![allow(clippy::print_stdout, reason = "a program says what it found")]

use anyhow::{Context, Result, bail};
use noctule_tests::kill::{Run, Setting, full, scribble};
use std::process::ExitCode;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    match run(&given) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(given: &[String]) -> Result<()> {
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    match given[..] {
        ["scribble", directory, progress, seed, deeds, names] => scribble(
            directory.as_ref(),
            progress.as_ref(),
            seed.parse()?,
            deeds.parse()?,
            names.parse()?,
        ),
        ["full", home] => full(home.as_ref()),
        _ => kill(setting(&given)?),
    }
}

fn setting(given: &[&str]) -> Result<Setting> {
    let home = std::env::temp_dir().join(format!("noctule-kill-{}", std::process::id()));
    let mut found = Setting { seed: 1, rounds: 30, lie: false, memory: false, home };
    let mut given = given.iter();
    while let Some(name) = given.next() {
        let value = *given.next().with_context(|| format!("{name} needs a value"))?;
        let parse = || format!("{name} {value}: what is that?");
        match *name {
            "--seed" => found.seed = value.parse().with_context(parse)?,
            "--rounds" => found.rounds = value.parse().with_context(parse)?,
            "--lie" => found.lie = value.parse().with_context(parse)?,
            "--memory" => found.memory = value.parse().with_context(parse)?,
            "--home" => found.home = value.into(),
            _ => bail!("unknown argument {name}"),
        }
    }
    Ok(found)
}

fn kill(setting: Setting) -> Result<()> {
    let mut run = Run::new(setting.clone())?;
    let outcome = run.run(&mut |line| println!("{line}"));
    let (acknowledged, arrived, checkpoints) = run.account();
    match outcome {
        // What is left there says why.
        Err(error) if !setting.lie => return Err(error),
        Err(error) => println!("found out: {error:#}"),
        Ok(()) if setting.lie => bail!("{} rounds did not see that syncs lie", setting.rounds),
        Ok(()) => {
            println!("{acknowledged} acknowledged, {arrived} arrived, {checkpoints} checkpoints");
        }
    }
    std::fs::remove_dir_all(setting.home)?;
    Ok(())
}
