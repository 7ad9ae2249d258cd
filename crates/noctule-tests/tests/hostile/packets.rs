//! Attacks by single packets: lengths that lie, topics beyond reason.

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use noctule_tests::process::BrokerProcess;

use crate::wire::{
    Connect, DISCONNECT, Level, PATIENCE, PUBACK, PUBLISH, SUBACK, Wire, packet, publish, subscribe,
};
use crate::{MIB, attack};

/// The length 268,435,455, the largest there is.
const LONGEST: [u8; 4] = [0xFF, 0xFF, 0xFF, 0x7F];
const PACKET_TOO_LARGE: u8 = 0x95;

#[test]
fn a_length_of_256_mib_reserves_nothing() -> Result<()> {
    attack("lengths", 96, |broker| {
        let before = broker.resident();
        let mut open = Vec::new();
        for first in (0x10..=0xF0).step_by(0x10) {
            for connect in [None, Some(Connect::new("long")), Some(Connect::v5("long"))] {
                let wire = announce(broker, first, connect.as_ref());
                open.push(wire.with_context(|| format!("first byte {first:#04x}"))?);
            }
        }
        if let (Some(before), Some(after)) = (before, broker.resident()) {
            let grown = after.peak.saturating_sub(before.now) / MIB;
            ensure!(grown <= 16, "{grown} MiB more for lengths alone");
        }
        Ok(())
    })
}

/// Announces 256 MiB and sends the first of it; the broker must close all the same.
fn announce(broker: &BrokerProcess, first: u8, connect: Option<&Connect>) -> Result<Wire> {
    let mut wire = match connect {
        Some(connect) => {
            let id = format!("{}-{first}", connect.id);
            Wire::connect(broker.address(), &Connect { id, ..connect.clone() })?
        }
        None => Wire::open(broker.address())?,
    };
    wire.send(&[first])?;
    wire.send(&LONGEST)?;
    // It may be closed before it has taken that much.
    let _ = wire.send(&vec![0; 4 << 20]);
    wire.closed()?;
    Ok(wire)
}

/// Whoever goes on sending after the broker has closed is not listened to for ever.
#[test]
fn an_endless_packet_finds_an_end() -> Result<()> {
    attack("endless", 96, |broker| {
        for connect in [None, Some(Connect::new("endless"))] {
            let wire = announce(broker, 0x10, connect.as_ref())?;
            let mut writer = wire.writer()?;
            let zeros = vec![0; 1 << 16];
            let deadline = Instant::now() + PATIENCE;
            while writer.write_all(&zeros).is_ok() {
                ensure!(Instant::now() < deadline, "the broker still takes what it refused");
            }
        }
        Ok(())
    })
}

/// [MQTT-3.1.2-24 v5] has its mirror in the broker's own limit, which CONNACK tells.
#[test]
fn a_packet_that_is_too_large_is_refused_by_its_length_alone() -> Result<()> {
    attack("too-large", 96, |broker| {
        let mut wire = Wire::connect(broker.address(), &Connect::v5("too-large"))?;
        wire.send(&[PUBLISH])?;
        wire.send(&LONGEST)?;
        let said = wire.closed()?;
        ensure!(said.len() >= 3, "closed without a reason: {said:02x?}");
        ensure!(said[0] == DISCONNECT && said[2] == PACKET_TOO_LARGE, "{said:02x?}");
        let mut wire = Wire::connect(broker.address(), &Connect::new("too-large"))?;
        wire.send(&[PUBLISH])?;
        wire.send(&LONGEST)?;
        ensure!(wire.closed()?.is_empty(), "MQTT 3.1.1 has no DISCONNECT from a server");
        Ok(())
    })
}

/// Lengths that are allowed reserve nothing either, as long as nothing follows them.
#[test]
fn packets_that_never_become_whole_cost_what_they_sent() -> Result<()> {
    attack("unfinished", 128, |broker| {
        let whole = publish(Level::V311, "unfinished", None, &vec![b'x'; 1 << 20]);
        let mut open = Vec::new();
        for number in 0..500 {
            let connect = Connect::new(&format!("unfinished-{number}"));
            let mut wire = Wire::connect(broker.address(), &connect)?;
            wire.send(&whole[..100])?;
            open.push(wire);
        }
        Ok(())
    })
}

#[test]
fn the_longest_topic_arrives() -> Result<()> {
    attack("long-topics", 192, |broker| {
        let topic = "t".repeat(65_535);
        let mut client = Wire::connect(broker.address(), &Connect::new("long-topics"))?;
        client.subscribe(&topic)?;
        let mut sender = Wire::connect(broker.address(), &Connect::new("long-topics-pub"))?;
        for _ in 0..100 {
            sender.send(&publish(Level::V311, &topic, Some(1), b"x"))?;
            sender.expect(PUBACK)?;
            ensure!(client.message()?.topic() == topic.as_bytes());
        }
        // A thousand filters of that length, each another.
        for number in 0..1000_u16 {
            let filter = format!("{}{number:05}", &topic[..65_530]);
            client.send(&subscribe(Level::V311, 1 + number, &[&filter]))?;
            let suback = client.expect(SUBACK)?;
            let [high, low] = (1 + number).to_be_bytes();
            ensure!(suback.body == [high, low, 1], "filter {number}: {suback:02x?}");
        }
        Ok(())
    })
}

/// Each is refused with its code, and costs nobody the connection.
#[test]
fn topics_of_ten_thousand_levels_are_refused() -> Result<()> {
    let topics = ["a/".repeat(10_000), "/".repeat(65_535), format!("{}b", "a/".repeat(9_999))];
    let wild = [
        format!("{}#", "+/".repeat(10_000)),
        "+/a/".repeat(5_000),
        format!("{}#", "/".repeat(65_534)),
    ];
    attack("deep", 64, |broker| {
        for (level, refused) in [(Level::V311, 0x80), (Level::V5, 0x8F)] {
            let connect = Connect { level, ..Connect::new("deep") };
            let mut wire = Wire::connect(broker.address(), &connect)?;
            for filter in topics.iter().chain(&wild) {
                wire.send(&subscribe(level, 1, &[filter]))?;
                let suback = wire.expect(SUBACK)?;
                let body = &suback.body;
                ensure!(body[..2] == [0, 1] && body.last() == Some(&refused), "{body:02x?}");
                // A reason string may stand before the code of MQTT 5.
                ensure!(level == Level::V5 || body.len() == 3, "{body:02x?}");
                wire.ping()?;
            }
            for topic in &topics {
                wire.send(&publish(level, topic, Some(1), b"x"))?;
                let puback = wire.expect(PUBACK)?;
                match level {
                    // MQTT 3.1.1 can say no more than that it came.
                    Level::V311 => ensure!(puback.body == [0, 1], "{puback:02x?}"),
                    Level::V5 => ensure!(puback.body[..3] == [0, 1, 0x90], "{puback:02x?}"),
                }
                wire.ping()?;
            }
        }
        Ok(())
    })
}

/// A naive matcher looks at 2^10 paths for each message here.
#[test]
fn overlapping_wildcards_do_not_multiply() -> Result<()> {
    const LEVELS: u32 = 10;
    attack("overlap", 192, |broker| {
        let mut reader = Wire::connect(broker.address(), &Connect::new("overlap"))?;
        let filters: Vec<String> = (0..1 << LEVELS)
            .map(|mask: u32| {
                let level = |bit: u32| if mask & (1_u32 << bit) == 0 { "a" } else { "+" };
                let levels: Vec<&str> = (0..LEVELS).map(level).collect();
                format!("overlap/{}", levels.join("/"))
            })
            .collect();
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        reader.send(&subscribe(Level::V311, 1, &filters))?;
        reader.expect(SUBACK)?;
        let topic = format!("overlap{}", "/a".repeat(10));
        let mut sender = Wire::connect(broker.address(), &Connect::new("overlap-pub"))?;
        for _ in 0..20 {
            sender.send(&publish(Level::V311, &topic, Some(1), b"x"))?;
            sender.expect(PUBACK)?;
            for _ in 0..filters.len() {
                reader.message()?;
            }
        }
        // The same filters deep down, where they match nothing.
        sender.send(&publish(Level::V311, &format!("{topic}/b"), Some(1), b"x"))?;
        sender.expect(PUBACK)?;
        Ok(())
    })
}

/// A remaining length of five bytes, and one that is longer than it need be.
#[test]
fn lengths_that_are_no_lengths_are_closed() -> Result<()> {
    attack("no-lengths", 96, |broker| {
        for bytes in [
            &[0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x01][..],
            &[0x10, 0x80, 0x80, 0x80, 0x80, 0x00],
            &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
        ] {
            for connect in [None, Some(Connect::new("none")), Some(Connect::v5("none"))] {
                let mut wire = match connect {
                    Some(connect) => Wire::connect(broker.address(), &connect)?,
                    None => Wire::open(broker.address())?,
                };
                wire.send(bytes)?;
                let said = wire.closed()?;
                ensure!(said.is_empty() || said[0] == DISCONNECT, "{said:02x?}");
            }
        }
        // An empty packet of a type that must have a body.
        let mut wire = Wire::connect(broker.address(), &Connect::new("none"))?;
        wire.send(&packet(PUBLISH, &[]))?;
        ensure!(wire.closed()?.is_empty());
        Ok(())
    })
}
