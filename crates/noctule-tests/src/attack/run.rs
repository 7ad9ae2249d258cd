//! One attack, from the start of its broker to the verdict.

use super::good::{self, Good};
use super::mallory::{Attack, Scene, Toll, is_named};
use super::newcomer::{Arrivals, Newcomers};
use super::operator::{Alert, Operator};
use super::stage::Stage;
use super::usage;
use super::verdict::{GROWTH_MAX, Verdict};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// The load has its caches, and everybody's password was checked.
const WARM: Duration = Duration::from_secs(1);
/// An alert may be on its way when the attack ends: two looks of the broker at its connections.
const TOLD_AFTER: Duration = Duration::from_secs(9);
/// A banned address had so many guesses at most: those of the threshold, and what was on its way.
const GUESSES_MAX: u64 = 40;

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The attack.
    pub attack: Duration,
    /// The quiet before and after it.
    pub quiet: Duration,
}

/// What is seen from the outside during an attack.
struct Seen {
    toll: Toll,
    began: Instant,
    growth: u64,
    cores: (f64, f64),
    arrivals: Arrivals,
}

/// Runs one attack.
///
/// # Errors
/// The broker, or who is to watch it, does not come up. What is found is part of the verdict.
pub fn run(attack: Attack, setting: Setting) -> Result<Verdict> {
    let stage = Stage::new()?;
    let outcome = play(&stage, attack, setting);
    stage.broker.explain(outcome)
}

fn play(stage: &Stage, attack: Attack, setting: Setting) -> Result<Verdict> {
    let operator = Operator::start(stage.doors)?;
    let good = Good::start(stage.doors)?;
    std::thread::sleep(WARM);
    let mut quiet = vec![pause(setting.quiet)];
    let seen = assail(stage, attack, setting)?;
    let under = (seen.began, seen.began + setting.attack);
    // What the attackers left behind is over.
    std::thread::sleep(WARM);
    quiet.push(pause(setting.quiet));
    operator.await_alert(|alert| is_named(&alert.text), TOLD_AFTER);
    let (alerts, watched) = operator.stop()?;
    let mut good = good.stop()?;
    if let Err(error) = watched {
        good.broken.push(format!("operator: {error:#}"));
    }
    let named = alerts.iter().find(|alert| is_named(&alert.text));
    Ok(Verdict {
        attack,
        acknowledged: good.acknowledged,
        quiet: good.p99(&quiet).context("nothing arrived before the attack")?,
        // Whoever hears nothing at all is as late as the attack is long.
        under: good.p99(&[under]).unwrap_or(setting.attack),
        broken: good.broken.len(),
        growth: seen.growth,
        newcomers: seen.arrivals.served,
        slowest: seen.arrivals.slowest,
        cores: seen.cores,
        named: named.map(|it| (it.kind.clone(), it.at.duration_since(seen.began))),
        toll: seen.toll.to_string(),
        faults: faults(&good, &seen, &alerts),
    })
}

fn pause(time: Duration) -> (Instant, Instant) {
    let began = Instant::now();
    std::thread::sleep(time);
    (began, Instant::now())
}

/// The attack itself, on this thread.
fn assail(stage: &Stage, attack: Attack, setting: Setting) -> Result<Seen> {
    let pid = stage.broker.pid().context("a broker of ours")?;
    let newcomers = Newcomers::start(stage.doors);
    let resident = stage.broker.resident().map_or(0, |it| it.now);
    let before = (resident, usage::of_process(pid), usage::of_this_thread());
    let began = Instant::now();
    let scene = Scene::new(stage.doors, began + setting.attack);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, attack.run(&scene));
    let cores = |before: Option<Duration>, now: Option<Duration>| {
        let used = now.zip(before).map_or(Duration::ZERO, |(now, then)| now.saturating_sub(then));
        used.as_secs_f64() / began.elapsed().as_secs_f64()
    };
    let broker = cores(before.1, usage::of_process(pid));
    let attackers = cores(before.2, usage::of_this_thread());
    // Their connections end here.
    drop(local);
    drop(runtime);
    let arrivals = newcomers.stop()?;
    let peak = stage.broker.resident().map_or(0, |it| it.peak);
    let growth = peak.saturating_sub(before.0);
    Ok(Seen { toll: scene.toll(), began, growth, cores: (broker, attackers), arrivals })
}

/// What must not be, whatever the machine.
fn faults(good: &good::Outcome, seen: &Seen, alerts: &[Alert]) -> Vec<String> {
    let mut faults = good.broken.clone();
    faults.extend(seen.arrivals.refused.iter().cloned());
    if good.lost > 0 {
        faults.push(format!("{} acknowledged messages were lost", good.lost));
    }
    if seen.growth > GROWTH_MAX {
        let (grew, max) = (seen.growth >> 20, GROWTH_MAX >> 20);
        faults.push(format!("memory grew by {grew} MiB, more than {max}"));
    }
    if !alerts.iter().any(|alert| is_named(&alert.text)) {
        faults.push("no alert names the attacker".to_owned());
    }
    let innocent = |alert: &&Alert| {
        let text = &alert.text;
        text.contains("\"client_id\":\"good-") || text.contains("\"address\":\"127.0.0.1\"")
    };
    if let Some(alert) = alerts.iter().find(innocent) {
        faults.push(format!("an alert names a good client: {}", alert.text));
    }
    for (what, max) in [
        ("let in", 0),
        ("wildcards granted", 0),
        ("guesses at most of an address", GUESSES_MAX),
        ("subscriptions", 4 * 10_000),
    ] {
        let count = seen.toll.of(what);
        if count > max {
            faults.push(format!("{count} {what}, where {max} are allowed"));
        }
    }
    faults
}
