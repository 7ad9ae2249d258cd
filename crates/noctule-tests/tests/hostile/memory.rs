//! Floods against a small `memory_max`: what no file is behind stays inside of it, but for what
//! comes within one look; the log tells the levels; and whoever asks for nothing that has to wait
//! goes on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use noctule_tests::process::BrokerProcess;

use crate::silent::subscriber;
use crate::wire::{CONNACK, Connect, Level, PUBACK, PUBLISH, Wire, publish, publish_as};
use crate::{MIB, attack_on};

/// The budget, and what a flood over loopback may bring within one look at it.
const BUDGET_MIB: u64 = 64;
const SLACK_MIB: u64 = 24;

/// Files that are mapped, the program above all, count for what is resident, and not for the
/// budget.
const MAPPED_MIB: u64 = 32;

/// How long the broker has to be there for everybody again.
const PATIENCE: Duration = Duration::from_secs(20);

const CONFIG: &str = "shards = 2\n\
    [durability]\nclass = \"memory\"\n\
    [limits]\nmemory_max = \"64 MiB\"\n";

/// Looks at the memory of a broker that counts.
struct Scale {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Scale {
    fn start(broker: &BrokerProcess) -> Result<Scale> {
        let pid = broker.pid().context("the broker has no process")?;
        let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, highest) = (Arc::clone(&stop), Arc::clone(&peak));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                highest.fetch_max(anonymous(pid).unwrap_or_default(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Ok(Scale { stop, peak, thread })
    }

    /// The most there was, in MiB.
    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the scale does not panic");
        self.peak.load(Ordering::Relaxed) / MIB
    }
}

fn anonymous(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Runs a flood beside a well-behaved pair, up to one of these levels: from one look to the next
/// several may be passed. `after` lets go of what it took.
#[expect(clippy::print_stdout, reason = "the figures are shown with --nocapture")]
fn flood<T>(
    name: &str,
    levels: &[&str],
    flood: impl FnOnce(SocketAddr) -> Result<T>,
    after: impl FnOnce(SocketAddr, T) -> Result<()>,
) -> Result<()> {
    let broker = BrokerProcess::start_with(CONFIG)?;
    let resident_max = BUDGET_MIB + SLACK_MIB + MAPPED_MIB;
    attack_on(broker, name, resident_max, |broker| {
        let scale = Scale::start(broker)?;
        let flooded = flood(broker.address());
        let peak = scale.finish();
        println!("{name}: {peak} MiB without files at the most");
        let flooded = flooded?;
        let log = broker.log();
        let told = |level| log.contains(&format!("little memory left level=\"{level}\""));
        ensure!(levels.iter().any(told), "the log tells of none of {levels:?} ({peak} MiB)");
        ensure!(peak <= BUDGET_MIB + SLACK_MIB, "{peak} MiB, over {BUDGET_MIB} MiB");
        after(broker.address(), flooded)?;
        await_room(broker.address())
    })
}

/// New clients are served again.
fn await_room(address: SocketAddr) -> Result<()> {
    let began = Instant::now();
    loop {
        let served = Wire::connect(address, &Connect::new("somebody-new"));
        if served.is_ok() {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "nobody new is served: {:?}", served.err());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Two hundred clients that do not read: without a budget a MiB waits for each.
#[test]
fn readers_that_do_not_read_stay_inside_the_budget() -> Result<()> {
    const MESSAGES: usize = 40_000;
    let message = publish(Level::V311, "budget/slow", None, &[b'x'; 1000]);
    flood(
        "budget-readers",
        &["tight", "full"],
        |address| {
            let mut alerts = subscriber(address, &Connect::new("alerts"), (ALERTS, 0))?;
            let silent = (0..200).map(|number| {
                let connect = Connect::v5(&format!("budget-silent-{number}"));
                subscriber(address, &connect, ("budget/slow", 0))
            });
            let silent = silent.collect::<Result<Vec<_>>>()?;
            let mut sender = Wire::connect(address, &Connect::new("budget-sender"))?;
            for _ in 0..MESSAGES {
                sender.send(&message)?;
            }
            sender.ping()?;
            let alert = String::from_utf8(alerts.message()?.payload().to_vec())?;
            ensure!(alert.contains("\"before\":\"free\""), "{alert}");
            Ok(silent)
        },
        |_, silent| {
            drop(silent);
            Ok(())
        },
    )
}

const ALERTS: &str = "$SYS/broker/alerts/memory";

/// Messages of QoS 1 for a session that is away, and that memory alone keeps, from clients of both
/// versions that may be at home where it is, or not.
#[test]
fn what_waits_for_those_who_are_away_stays_inside_the_budget() -> Result<()> {
    // Who is at home where the session is, is refused, and others are held back: of so many, some
    // are at home there.
    const SENDERS: usize = 12;
    let away = || Connect { clean: false, ..Connect::new("budget-away") };
    flood(
        "budget-away",
        &["full"],
        |address| {
            drop(subscriber(address, &away(), ("budget/away", 1))?);
            let senders = (0..SENDERS).map(|number| {
                let level = if number % 6 == 0 { Level::V311 } else { Level::V5 };
                let connect = Connect { level, ..Connect::new(&format!("budget-away-{number}")) };
                let wire = Wire::connect(address, &connect)?;
                Ok(std::thread::spawn(move || press(wire, level)))
            });
            let senders = senders.collect::<Result<Vec<_>>>()?;
            let (mut taken, mut refused) = (0, 0);
            for sender in senders {
                let pressed = sender.join().expect("a sender does not panic")?;
                taken += pressed.0;
                refused += pressed.1;
            }
            ensure!(taken > 1000 && refused > 1000, "{taken} taken, {refused} refused");
            Ok(())
        },
        // Whoever has a session may end it.
        |address, ()| Wire::connect(address, &Connect::new("budget-away")).map(drop),
    )
}

/// Publishes for a while, each message after the answer to the one before; counts what was taken,
/// and refused.
fn press(mut wire: Wire, level: Level) -> Result<(u32, u32)> {
    let message = publish_as(PUBLISH | 2, level, "budget/away", Some(7), &[b'x'; 10_000]);
    let (mut taken, mut refused) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        wire.send(&message)?;
        let puback = wire.expect(PUBACK)?;
        match puback.body.get(2) {
            Some(0x97) => refused += 1,
            Some(0) | None => taken += 1,
            Some(other) => anyhow::bail!("{other:#04x}"),
        }
    }
    Ok((taken, refused))
}

/// Sessions with large wills, until no more are let in.
#[test]
fn new_sessions_stay_inside_the_budget() -> Result<()> {
    flood(
        "budget-sessions",
        &["tight", "full"],
        |address| {
            let will = Some(("budget/will".to_owned(), vec![b'x'; 60_000]));
            let mut let_in = Vec::new();
            for number in 0..2000 {
                let connect = Connect { will: will.clone(), ..Connect::new(&format!("b{number}")) };
                let mut wire = Wire::open(address)?;
                wire.send(&connect.bytes())?;
                let connack = wire.receive()?;
                ensure!(connack.first == CONNACK, "{connack:02x?}");
                if connack.body[1] != 0 {
                    ensure!(connack.body[1] == 3, "{connack:02x?}");
                    break;
                }
                let_in.push(wire);
            }
            ensure!((300..2000).contains(&let_in.len()), "{} were let in", let_in.len());
            Ok(let_in)
        },
        |_, let_in| {
            drop(let_in);
            Ok(())
        },
    )
}

/// Retained messages of ever new topics.
#[test]
fn retained_topics_stay_inside_the_budget() -> Result<()> {
    const TOPICS: usize = 20_000;
    let topic = |number| format!("budget/retained/{number}");
    flood(
        "budget-retained",
        &["tight", "full"],
        |address| {
            let connect = |id| Wire::connect(address, &Connect::v5(id));
            let (mut keeper, janitor) = (connect("budget-keeper")?, connect("budget-janitor")?);
            let (mut kept, mut refused) = (0, 0);
            for number in 0..TOPICS {
                let topic = topic(number);
                let first = PUBLISH | 3;
                let message = publish_as(first, Level::V5, &topic, Some(7), &[b'x'; 10_000]);
                keeper.send(&message)?;
                match keeper.expect(PUBACK)?.body.get(2) {
                    Some(0x97) => refused += 1,
                    _ => kept += 1,
                }
            }
            ensure!(kept > 1000 && refused > 1000, "{kept} kept, {refused} refused");
            Ok(janitor)
        },
        |_, mut janitor| {
            for number in 0..TOPICS {
                let first = PUBLISH | 1;
                janitor.send(&publish_as(first, Level::V5, &topic(number), None, &[]))?;
            }
            janitor.ping()
        },
    )
}
