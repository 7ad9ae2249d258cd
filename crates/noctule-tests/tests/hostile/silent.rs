//! Attacks by readers that do not read, or one byte a second.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::attack;
use crate::volume::{WINDOW, publish_all};
use crate::wire::{
    Connect, Level, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, Wire, packet, publish, publish_as,
    subscribe,
};

/// A message's payload: large, so that what is kept for many shows.
const PAYLOAD: usize = 64 * 1024;

/// Twenty connections with a subscription, whose sockets nobody reads.
pub(crate) fn silent_subscribers(
    address: SocketAddr,
    (level, qos): (Level, u8),
    topic: &str,
) -> Result<Vec<Wire>> {
    (0..20)
        .map(|number| {
            let id = format!("never-reads-{topic}-{number}");
            subscriber(address, &Connect { level, ..Connect::new(&id) }, (topic, qos))
        })
        .collect()
}

pub(crate) fn subscriber(
    address: SocketAddr,
    connect: &Connect,
    (topic, qos): (&str, u8),
) -> Result<Wire> {
    let mut wire = Wire::connect(address, connect)?;
    let mut packet = subscribe(connect.level, 1, &[topic]);
    *packet.last_mut().expect("a packet is not empty") = qos;
    wire.send(&packet)?;
    let suback = wire.expect(SUBACK)?;
    ensure!(suback.body.last() == Some(&qos), "{suback:02x?}");
    Ok(wire)
}

#[test]
fn readers_that_do_not_read_hold_nobody_back_at_qos_1() -> Result<()> {
    silence("never-read-1", Level::V311, 1)
}

#[test]
fn readers_that_do_not_read_hold_nobody_back_at_qos_2() -> Result<()> {
    silence("never-read-2", Level::V311, 2)
}

#[test]
fn readers_of_v5_that_do_not_read_hold_nobody_back_at_qos_1() -> Result<()> {
    silence("never-read-v5-1", Level::V5, 1)
}

#[test]
fn readers_of_v5_that_do_not_read_hold_nobody_back_at_qos_2() -> Result<()> {
    silence("never-read-v5-2", Level::V5, 2)
}

/// Subscribers that never read, beside one that does: it must get everything.
fn silence(name: &str, level: Level, qos: u8) -> Result<()> {
    const MESSAGES: usize = 2000;
    let payload = vec![b'x'; PAYLOAD];
    attack(name, 256, |broker| {
        let address = broker.address();
        let _silent = silent_subscribers(address, (level, qos), name)?;
        let connect = Connect { level, ..Connect::new("never-reader") };
        let mut reader = subscriber(address, &connect, (name, qos))?;
        let reading = std::thread::spawn(move || reader.settle(MESSAGES));
        let mut sender = Wire::connect(address, &Connect::new("never-pub"))?;
        let sent = if qos == 1 {
            let messages = (0..MESSAGES).map(|_| (name.to_owned(), payload.as_slice()));
            publish_all(&mut sender, 0, messages)
        } else {
            publish_exactly_once(&mut sender, (name, &payload), MESSAGES)
        };
        sent.context("the publisher was held back")?;
        reading.join().expect("no panic").context("the reader of the same topic was held back")
    })
}

/// Publishes a message so many times at QoS 2, a few at once.
fn publish_exactly_once(
    wire: &mut Wire,
    (topic, payload): (&str, &[u8]),
    count: usize,
) -> Result<()> {
    for _ in 0..count / usize::from(WINDOW) {
        for id in 1..=WINDOW {
            wire.send(&publish_as(PUBLISH | 4, Level::V311, topic, Some(id), payload))?;
        }
        for id in 1..=WINDOW {
            ensure!(wire.expect(PUBREC)?.body == id.to_be_bytes());
            wire.send(&packet(PUBREL | 2, &id.to_be_bytes()))?;
        }
        for id in 1..=WINDOW {
            ensure!(wire.expect(PUBCOMP)?.body == id.to_be_bytes());
        }
    }
    Ok(())
}

#[test]
fn readers_that_do_not_read_cost_no_memory_at_qos_0() -> Result<()> {
    deafness("never-read-0", Level::V311)
}

#[test]
fn readers_of_v5_that_do_not_read_cost_no_memory_at_qos_0() -> Result<()> {
    deafness("never-read-v5-0", Level::V5)
}

/// At QoS 0 the broker may drop, and it may hold the publisher for a while; it may neither keep
/// everything (375 MiB, or 7 GiB if each has its own) nor send the publisher away.
fn deafness(name: &str, level: Level) -> Result<()> {
    const MESSAGES: usize = 6000;
    let message = publish(Level::V311, name, None, &vec![b'x'; PAYLOAD]);
    attack(name, 96, |broker| {
        let address = broker.address();
        let _silent = silent_subscribers(address, (level, 0), name)?;
        let mut sender = Wire::connect(address, &Connect::new("never-0-pub"))?;
        for number in 0..MESSAGES {
            sender.send(&message).with_context(|| format!("message {number}"))?;
        }
        // Answered after all of them were taken.
        sender.ping()
    })
}

/// Who reads a byte a second of a large backlog keeps its messages and costs no more than they do.
#[test]
fn a_byte_a_second_of_a_large_backlog_holds_nobody_back() -> Result<()> {
    const MESSAGES: usize = 600;
    const SECONDS: usize = 10;
    attack("slow-readers", 160, |broker| {
        let address = broker.address();
        let mut slow = Vec::new();
        for number in 0..20_usize {
            let level = if number % 2 == 0 { Level::V311 } else { Level::V5 };
            let connect = Connect { level, ..Connect::new(&format!("slow-reader-{number}")) };
            slow.push(subscriber(address, &connect, ("slow-readers", 1))?);
        }
        let mut sender = Wire::connect(address, &Connect::new("slow-readers-pub"))?;
        let sending = std::thread::spawn(move || {
            let payload = vec![b'x'; PAYLOAD];
            let messages = (0..MESSAGES).map(|_| ("slow-readers".to_owned(), payload.as_slice()));
            publish_all(&mut sender, 0, messages)
        });
        let mut starts = vec![Vec::new(); slow.len()];
        for _ in 0..SECONDS {
            for (wire, start) in slow.iter_mut().zip(&mut starts) {
                start.push(wire.byte()?);
            }
            // The pace is the attack.
            std::thread::sleep(Duration::from_secs(1));
        }
        sending.join().expect("no panic").context("the publisher was held back")?;
        for (wire, start) in slow.iter_mut().zip(&starts) {
            let first = wire.receive_after(start)?;
            let id = first.id().context("it came at QoS 0")?;
            ensure!(first.topic() == b"slow-readers", "{:02x?}", &first.body[..20]);
            wire.send(&crate::wire::puback(id))?;
            wire.settle(MESSAGES - 1).context("a slow reader lost messages")?;
        }
        Ok(())
    })
}
