//! Hostile input over real sockets: while an attack runs, a well-behaved publisher and subscriber
//! keep flowing without a long gap, the broker's memory stays below a bound stated with the attack,
//! and afterwards it still answers and ends cleanly.
//!
//! mosquitto 2.0.11 (run with `max_queued_messages 0`) does not pass all of them:
//!
//! * connections that send nothing are not closed within 30 s
//! * a packet of 256 MiB is announced and taken
//! * QoS 0 for clients that do not read is queued without a bound (7 GiB here)
//! * overlapping subscriptions deliver once
//! * a client of MQTT 3.1.1 may have 20 QoS 2 messages in flight, then it is closed

mod connections;
#[cfg(target_os = "linux")]
mod memory;
mod order;
mod packets;
mod pair;
mod silent;
mod topics;
mod volume;
mod wire;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use noctule_tests::process::BrokerProcess;

use crate::pair::Pair;
use crate::wire::{Connect, Level, PUBACK, Wire, publish};

const MIB: u64 = 1024 * 1024;
/// A well-behaved pair waits no longer for its next message, whatever others do: a thousand times
/// what a message takes, so that a busy machine stays below it.
const GAP_MAX: Duration = Duration::from_secs(5);

/// Runs an attack beside a well-behaved pair. The broker's resident memory must never exceed the
/// bound, every message of the pair must arrive, and no gap between two of them may be long: an
/// attack that takes longer than such a gap has let messages through.
fn attack(
    name: &str,
    resident_mib_max: u64,
    attack: impl FnOnce(&BrokerProcess) -> Result<()>,
) -> Result<()> {
    attack_on(BrokerProcess::start()?, name, resident_mib_max, attack)
}

/// The same, on a broker that was started in its own way.
fn attack_on(
    broker: BrokerProcess,
    name: &str,
    resident_mib_max: u64,
    attack: impl FnOnce(&BrokerProcess) -> Result<()>,
) -> Result<()> {
    let outcome = withstand(&broker, name, resident_mib_max, attack);
    broker.explain(outcome)?;
    if broker.is_ours() {
        let log = broker.log();
        let status = broker.stop()?;
        ensure!(status.success(), "SIGTERM ended it with {status}:\n{log}");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are shown with --nocapture")]
fn withstand(
    broker: &BrokerProcess,
    name: &str,
    resident_mib_max: u64,
    attack: impl FnOnce(&BrokerProcess) -> Result<()>,
) -> Result<()> {
    let pair = Pair::start(broker.address(), name)?;
    let before = pair.received();
    let attacked = attack(broker);
    let during = pair.received() - before;
    // A pair that was held back says more than an attack that was not answered.
    let gap = pair.finish()?;
    ensure!(gap <= GAP_MAX, "the well-behaved pair was held back for {gap:?} ({attacked:?})");
    attacked.context("the attack did not go as it should")?;
    answers(broker).context("the broker does not answer after the attack")?;
    if let Some(resident) = broker.resident() {
        let peak = resident.peak / MIB;
        println!("{name}: {peak} MiB at the most, {during} messages, {gap:?} between two");
        ensure!(peak <= resident_mib_max, "{peak} MiB resident, over {resident_mib_max} MiB");
    }
    Ok(())
}

/// A new client is served.
fn answers(broker: &BrokerProcess) -> Result<()> {
    let mut client = Wire::connect(broker.address(), &Connect::new("still-there"))?;
    client.subscribe("still/there")?;
    client.send(&publish(Level::V311, "still/there", Some(7), b"?"))?;
    let (first, second) = (client.receive()?, client.receive()?);
    let (puback, message) = if first.kind() == PUBACK { (first, second) } else { (second, first) };
    ensure!(puback.body == [0, 7], "{puback:02x?}");
    ensure!(message.payload() == b"?", "{message:02x?}");
    Ok(())
}
