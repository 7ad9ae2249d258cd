//! Attacks brokers beside clients that behave:
//! `attack [--seconds N] [--strict true] [--only NAME]...`.
//!
//! With `--strict` a run fails as well if good clients got slower than they may, which on a shared
//! machine says little about the broker.
#![allow(clippy::print_stdout, reason = "a program says what it found")]

use anyhow::{Context, Result, bail};
use noctule_tests::attack::{ATTACKS, Attack, Setting, heading, run};
use std::process::ExitCode;
use std::time::Duration;

struct Arguments {
    setting: Setting,
    strict: bool,
    attacks: Vec<Attack>,
}

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    match arguments(&given).and_then(|arguments| attack(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(given: &[String]) -> Result<Arguments> {
    let (mut seconds, mut strict, mut attacks) = (10, false, Vec::new());
    let mut given = given.iter();
    while let Some(name) = given.next() {
        let value = given.next().with_context(|| format!("{name} needs a value"))?;
        let parse = || format!("{name} {value}: what is that?");
        match name.as_str() {
            "--seconds" => seconds = value.parse().with_context(parse)?,
            "--strict" => strict = value.parse().with_context(parse)?,
            "--only" => {
                let attack = ATTACKS.into_iter().find(|attack| attack.name() == value);
                attacks.push(attack.with_context(|| format!("no attack {value}"))?);
            }
            _ => bail!("unknown argument {name}"),
        }
    }
    if attacks.is_empty() {
        attacks = ATTACKS.to_vec();
    }
    let attack = Duration::from_secs(seconds);
    let setting = Setting { attack, quiet: (attack / 5).max(Duration::from_secs(1)) };
    Ok(Arguments { setting, strict, attacks })
}

fn attack(arguments: &Arguments) -> Result<()> {
    println!("{}", heading());
    let mut failed = 0;
    for attack in &arguments.attacks {
        let verdict = run(*attack, arguments.setting)?;
        println!("{verdict}");
        for fault in verdict.faults() {
            println!("    FAULT: {fault}");
        }
        if verdict.is_slow() {
            println!("    slow: good clients noticed it");
        }
        let holds = verdict.faults().is_empty() && !(arguments.strict && verdict.is_slow());
        failed += usize::from(!holds);
    }
    if failed > 0 {
        bail!("{failed} attacks did more than they may");
    }
    Ok(())
}
