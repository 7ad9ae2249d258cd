//! Attacks by volume: subscriptions, retained messages, wills, and readers that do not read.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};

use crate::attack;
use crate::silent::silent_subscribers;
use crate::wire::{
    Connect, DISCONNECT, Level, PUBACK, PUBLISH, PUBREC, SUBACK, Wire, publish, publish_as,
    subscribe,
};

/// Below every broker's limit on what is in flight.
pub(crate) const WINDOW: u16 = 16;

/// Publishes at QoS 1 with a few in flight, until the iterator ends.
pub(crate) fn publish_all<'a>(
    wire: &mut Wire,
    flags: u8,
    messages: impl Iterator<Item = (String, &'a [u8])>,
) -> Result<()> {
    let mut in_flight = 0;
    let mut id = 0;
    for (topic, payload) in messages {
        if in_flight == WINDOW {
            wire.expect(PUBACK)?;
            in_flight -= 1;
        }
        id = id % 1000 + 1;
        let first = PUBLISH | 2 | flags;
        wire.send(&publish_as(first, Level::V311, &topic, Some(id), payload))?;
        in_flight += 1;
    }
    (0..in_flight).try_for_each(|_| wire.expect(PUBACK).map(drop))
}

#[test]
fn a_hundred_thousand_subscriptions_of_one_client() -> Result<()> {
    const PACKETS: u16 = 100;
    const FILTERS: u32 = 1000;
    attack("subscriptions", 128, |broker| {
        let mut greedy = Wire::connect(broker.address(), &Connect::new("greedy"))?;
        let mut sample = Vec::new();
        for packet in 0..PACKETS {
            let wildcard = if packet % 2 == 0 { "+" } else { "#" };
            let filters: Vec<String> =
                (0..FILTERS).map(|n| format!("subscriptions/{packet}/{n}/{wildcard}")).collect();
            let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
            greedy.send(&subscribe(Level::V311, 1 + packet, &filters))?;
            let suback = greedy.expect(SUBACK).with_context(|| format!("SUBACK {packet}"))?;
            // A session may hold a million of them.
            let all_granted = suback.body[2..].iter().all(|code| *code == 1);
            ensure!(suback.body.len() == 2 + filters.len() && all_granted, "{suback:02x?}");
            let probed = (0..FILTERS).step_by(100);
            sample.extend(probed.map(|n| format!("subscriptions/{packet}/{n}/x")));
        }
        let mut sender = Wire::connect(broker.address(), &Connect::new("greedy-pub"))?;
        for topic in &sample {
            publish_all(&mut sender, 0, std::iter::once((topic.clone(), &b"x"[..])))?;
            ensure!(greedy.message()?.topic() == topic.as_bytes());
        }
        // What nobody asked for is not sent: each probe was answered by its own subscription.
        sender.send(&publish(Level::V311, "subscriptions/none/0/x", None, b"x"))?;
        sender.ping()?;
        greedy.ping()
    })
}

/// Asks for everything, again and again, and reads nothing of it.
#[test]
fn requests_whose_answers_are_not_read_stay_bounded() -> Result<()> {
    attack("deaf", 256, |broker| {
        let mut keeper = Wire::connect(broker.address(), &Connect::new("deaf-keeper"))?;
        let payload = vec![b'x'; 1000];
        let topics = (0..1000).map(|n| (format!("deaf/{n}"), payload.as_slice()));
        publish_all(&mut keeper, 1, topics)?;
        let mut open = Vec::new();
        for number in 0..10 {
            let connect = Connect::new(&format!("deaf-{number}"));
            let mut wire = Wire::connect(broker.address(), &connect)?;
            // Retained messages, a thousand for each; then PINGRESPs.
            for id in 1..=200 {
                wire.send(&subscribe(Level::V311, id, &["deaf/#"]))?;
            }
            let mut writer = wire.writer()?;
            writer.set_write_timeout(Some(std::time::Duration::from_secs(1)))?;
            let pings = [0xC0, 0].repeat(100_000);
            // The broker may stop to read from such a one.
            let _ = std::io::Write::write_all(&mut writer, &pings);
            open.push(wire);
        }
        Ok(())
    })
}

#[test]
fn a_flood_of_retained_messages_is_kept_and_cleared() -> Result<()> {
    const TOPICS: usize = 50_000;
    attack("retained", 256, |broker| {
        let address = broker.address();
        let topics =
            |payload| (0..TOPICS).map(move |n| (format!("retained/{}/{n}", n % 100), payload));
        let mut sender = Wire::connect(address, &Connect::new("retained-pub"))?;
        publish_all(&mut sender, 1, topics(&[b'x'; 256][..]))?;
        // Twenty who ask for all and read nothing, and one who reads.
        let _silent = silent_subscribers(address, (Level::V311, 1), "retained/#")?;
        let mut reader = Wire::connect(address, &Connect::new("retained-reader"))?;
        reader.subscribe("retained/#")?;
        let mut seen = HashSet::new();
        while seen.len() < TOPICS {
            let message = reader.message().with_context(|| format!("after {}", seen.len()))?;
            ensure!(message.first & 1 == 1, "retained messages are flagged");
            ensure!(seen.insert(message.topic().to_vec()), "twice: {message:02x?}");
        }
        publish_all(&mut sender, 1, topics(&[][..]))?;
        let mut late = Wire::connect(address, &Connect::new("retained-late"))?;
        late.subscribe("retained/#")?;
        late.send(&publish(Level::V311, "retained/end", None, b"end"))?;
        ensure!(late.message()?.topic() == b"retained/end", "something was left");
        Ok(())
    })
}

#[test]
fn the_largest_wills_arrive_whole() -> Result<()> {
    const CLIENTS: usize = 300;
    attack("wills", 192, |broker| {
        let address = broker.address();
        let mut watcher = Wire::connect(address, &Connect::new("wills-watcher"))?;
        watcher.subscribe("wills/#")?;
        let mut mortals = Vec::new();
        for number in 0..CLIENTS {
            let payload = vec![u8::try_from(number % 256)?; 65_535];
            let will = Some((format!("wills/{number}"), payload));
            let connect = Connect { will, ..Connect::new(&format!("wills-{number}")) };
            mortals.push(Wire::connect(address, &connect)?);
        }
        drop(mortals);
        let mut seen = HashSet::new();
        while seen.len() < CLIENTS {
            let message = watcher.message().with_context(|| format!("after {}", seen.len()))?;
            let topic = String::from_utf8(message.topic().to_vec())?;
            let number: usize = topic.trim_start_matches("wills/").parse()?;
            let whole = message.payload().iter().all(|byte| usize::from(*byte) == number % 256);
            ensure!(message.payload().len() == 65_535 && whole, "{topic} is not whole");
            ensure!(seen.insert(topic), "a will came twice");
        }
        Ok(())
    })
}

/// Ten sessions whose clients are away and ten whose clients read but never acknowledge: each queue
/// has an end, by count (tiny messages) and by size (large ones).
#[test]
fn queues_that_nobody_empties_have_an_end() -> Result<()> {
    attack("queues", 384, |broker| {
        let address = broker.address();
        let mut reading = Vec::new();
        for number in 0..20 {
            let connect = Connect { clean: false, ..Connect::new(&format!("queues-{number}")) };
            let mut wire = Wire::connect(address, &connect)?;
            wire.subscribe("queues/#")?;
            if number % 2 == 0 {
                // What arrives is read and never acknowledged, until the broker ends.
                reading.push(std::thread::spawn(move || while wire.receive().is_ok() {}));
            } else {
                wire.send(&[DISCONNECT, 0])?;
            }
        }
        let mut sender = Wire::connect(address, &Connect::new("queues-pub"))?;
        let tiny = (0..120_000).map(|n| (format!("queues/{}", n % 10), &b"x"[..]));
        publish_all(&mut sender, 0, tiny)?;
        let payload = vec![b'x'; 100_000];
        let large = (0..1000).map(|_| ("queues/large".to_owned(), payload.as_slice()));
        publish_all(&mut sender, 0, large)
    })
}

/// Every packet id there is, each with a hand-shake that is never finished.
#[test]
fn unfinished_hand_shakes_stay_bounded() -> Result<()> {
    attack("unfinished-2", 128, |broker| {
        let mut wire = Wire::connect(broker.address(), &Connect::new("unfinished-2"))?;
        for id in 1..=u16::MAX {
            wire.send(&publish_as(0x34, Level::V311, "unfinished/2", Some(id), b"x"))?;
            if id % 16 == 0 {
                for _ in 0..16 {
                    wire.expect(PUBREC)?;
                }
            }
        }
        // MQTT 5 has a limit, which CONNACK tells: beyond it the connection ends with 0x93.
        let mut wire = Wire::connect(broker.address(), &Connect::v5("unfinished-2"))?;
        for id in 1..=u16::MAX {
            let publish = publish_as(0x34, Level::V5, "unfinished/2", Some(id), b"x");
            if wire.send(&publish).is_err() {
                break;
            }
            let answer = wire.receive()?;
            if answer.kind() == DISCONNECT {
                ensure!(answer.body[0] == 0x93, "{answer:02x?}");
                break;
            }
            ensure!(answer.kind() == PUBREC, "{answer:02x?}");
        }
        Ok(())
    })
}

/// Acknowledgements for what was never sent, of every id and type.
#[test]
fn acknowledgements_out_of_nowhere_do_no_harm() -> Result<()> {
    attack("nowhere", 96, |broker| {
        for kind in [PUBACK, PUBREC, 0x62, 0x70] {
            for level in [Level::V311, Level::V5] {
                let connect = Connect { level, ..Connect::new("nowhere") };
                let mut wire = Wire::connect(broker.address(), &connect)?;
                let mut bytes = Vec::new();
                for id in 0..=u16::MAX {
                    bytes.extend([kind, 2]);
                    bytes.extend(id.to_be_bytes());
                }
                // It may be closed at the id 0, which is malformed, or answer each PUBREC.
                let _ = wire.send(&bytes);
                wire.end_sending();
                wire.closed()?;
            }
        }
        Ok(())
    })
}
