//! One story, told to mosquitto by clients; and what clients of noctule find of it.

use super::client::{Client, Message, Out, text};
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;

/// Which features the file that is told of can hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holds {
    /// No shared subscriptions, and no Wills.
    NoShares,
    /// Both.
    All,
}

const QUIET: Out<'_> =
    Out { topic: "", payload: b"", qos: 1, retain: false, id: 1, properties: &[] };

/// The properties that travel: format, type, response topic, correlation, two of the user.
pub(crate) fn properties() -> Vec<u8> {
    let pair = |value: &str| [&[0x26][..], &text("k"), &text(value)].concat();
    [
        &[1, 1, 3][..],
        &text("text/x"),
        &[8],
        &text("re/sp"),
        &[9],
        &text([0, 0xFF]),
        &pair("v"),
        &pair("w"),
    ]
    .concat()
}

/// Tells it to a broker, whose clients are away then.
pub(crate) fn tell(at: SocketAddr) -> Result<()> {
    let mut three = Client::connect(at, "three", (4, 0))?;
    three.subscribe("a/#", 1, 0)?;
    three.subscribe("q2", 2, 0)?;
    let mut five = Client::connect_with(at, "five", (5, 3600), Some(("w/five", 3600)))?;
    five.subscribe("a/b", 2 | 4 | 8 | 0x10, 300)?;
    five.subscribe("$share/g/s/+", 1, 0)?;
    let mut ever = Client::connect(at, "ever", (5, u32::MAX))?;
    ever.subscribe("n/+", 1, 0)?;
    ever.leave(false)?;
    Client::connect(at, "brief", (5, 0))?.subscribe("a/#", 1, 0)?;
    let mut publisher = Client::connect(at, "publisher", (5, 0))?;
    for (id, payload) in [(1, b"one"), (2, b"two")] {
        publisher.publish_whole(&Out { topic: "q2", payload, qos: 2, id, ..QUIET })?;
    }
    // The first goes up to PUBREL; of the second nothing is answered.
    let first = three.message()?;
    ensure!((first.id, &*first.payload) == (1, b"one"), "{first:?}");
    ensure!(three.message()?.id == 2, "the second");
    three.ack(0x50, 1)?;
    three.expect_ack(0x62, 1)?;
    // And of one that it sends PUBREL does not follow.
    three.publish(&Out { topic: "n/x", payload: b"unreleased", qos: 2, id: 77, ..QUIET })?;
    drop(three);
    five.leave(true)?;
    await_away(&mut publisher)?;
    let expiring = [&[2][..], &4000_u32.to_be_bytes(), &properties()].concat();
    let retained = Out { retain: true, ..QUIET };
    publisher.publish_whole(&Out {
        topic: "a/b",
        payload: b"props",
        properties: &expiring,
        ..retained
    })?;
    publisher.publish_whole(&Out { topic: "a/c", payload: b"c", qos: 2, ..QUIET })?;
    for payload in [b"m0", b"m1", b"m2", b"m3"] {
        publisher.publish_whole(&Out { topic: "a/b", payload, ..QUIET })?;
    }
    let brief = [&[2][..], &1_u32.to_be_bytes()].concat();
    publisher.publish_whole(&Out {
        topic: "r/gone",
        payload: b"soon",
        properties: &brief,
        ..retained
    })?;
    publisher.publish_whole(&Out { topic: "r/big", payload: &[b'B'; 20_000], ..retained })?;
    publisher.publish_whole(&Out { topic: "s/1", payload: b"shared", ..QUIET })?;
    publisher.leave(false)
}

/// The connection that `three` cut is gone once mosquitto has looked: so it queues instead.
fn await_away(other: &mut Client) -> Result<()> {
    for _ in 0..3 {
        other.expect_no_more()?;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(())
}

/// What clients find.
pub(crate) fn find(at: SocketAddr, holds: Holds) -> Result<()> {
    three(at).context("three")?;
    five(at, holds).context("five")?;
    ever(at).context("ever")?;
    let mut brief = Client::connect(at, "brief", (5, 60))?;
    ensure!(!brief.session_present, "a session that ended with its connection");
    retained(&mut brief).context("retained")
}

fn payloads(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|it| str::from_utf8(&it.payload).unwrap_or("?")).collect()
}

fn three(at: SocketAddr) -> Result<()> {
    let mut three = Client::connect(at, "three", (4, 0))?;
    ensure!(three.session_present, "a session");
    // In flight with QoS 2: PUBREL for the one, the other again under its packet id, with DUP.
    let mut released = false;
    let mut again = false;
    for _ in 0..2 {
        let (first, body) = three.next()?;
        match first {
            0x62 => released = body == [0, 1],
            0x3C => again = body.ends_with(b"\x00\x02two"),
            _ => anyhow::bail!("{first:x} {body:x?}"),
        }
    }
    ensure!(released && again, "PUBREL {released}, PUBLISH {again}");
    three.ack(0x70, 1)?;
    three.ack(0x50, 2)?;
    let (mut messages, mut completed) = (Vec::new(), false);
    while messages.len() < 6 || !completed {
        let (first, body) = three.next()?;
        if first == 0x62 {
            three.ack(0x70, 2)?;
            completed = true;
            continue;
        }
        ensure!(first == 0x32, "{first:x} {body:x?}");
        let topic_len = usize::from(body[1]);
        let (topic, rest) = body[2..].split_at(topic_len);
        three.send(0x40, &rest[..2])?;
        messages.push(format!("{} {}", str::from_utf8(topic)?, str::from_utf8(&rest[2..])?));
    }
    let wanted = ["a/b props", "a/c c", "a/b m0", "a/b m1", "a/b m2", "a/b m3"];
    ensure!(messages == wanted, "{messages:?}");
    three.expect_no_more()?;
    // What it sent before is known by its packet id, and goes out with PUBREL.
    three.send(0x3C, &[&text("n/x")[..], &[0, 77], b"unreleased"].concat())?;
    three.expect_ack(0x50, 77)?;
    three.ack(0x62, 77)?;
    three.expect_ack(0x70, 77)?;
    // Subscriptions are alive.
    let mut publisher = Client::connect(at, "other", (5, 0))?;
    publisher.publish_whole(&Out { topic: "a/z", payload: b"new", ..QUIET })?;
    ensure!(payloads(&three.messages(1)?) == ["new"], "a new message");
    three.leave(false)
}

fn five(at: SocketAddr, holds: Holds) -> Result<()> {
    let mut five = Client::connect(at, "five", (5, 3600))?;
    ensure!(five.session_present, "a session");
    let messages = five.messages(6)?;
    // What was its share waits for it, also where the subscription is not kept.
    let wanted = ["props", "m0", "m1", "m2", "m3", "shared"];
    ensure!(payloads(&messages) == wanted, "{messages:?}");
    ensure!(messages[5].topic == "s/1" && messages[5].properties.is_empty(), "{messages:?}");
    let first = &messages[0];
    // RETAIN as published, and the identifier; what is left of the expiry counts down.
    ensure!(first.flags == 0x3 && messages[1].flags == 0x2, "{messages:?}");
    let expires = |it: &[u8]| {
        it[0] == 2 && (3900..=4000).contains(&u32::from_be_bytes([it[1], it[2], it[3], it[4]]))
    };
    ensure!(first.properties.windows(5).any(expires), "an expiry: {:x?}", first.properties);
    let travelled = properties();
    let kept = first.properties.windows(travelled.len()).any(|it| it == travelled);
    ensure!(kept, "{:x?}", first.properties);
    for message in &messages[..5] {
        let named = message.properties.windows(3).any(|it| it == [0x0B, 0xAC, 2]);
        ensure!(named, "{message:?}");
    }
    five.expect_no_more()?;
    // No Local: what it publishes itself does not come back.
    five.publish_whole(&Out { topic: "a/b", payload: b"mine", ..QUIET })?;
    five.expect_no_more()?;
    if holds == Holds::All {
        let mut other = Client::connect(at, "other", (5, 0))?;
        other.publish_whole(&Out { topic: "s/2", payload: b"one of us", ..QUIET })?;
        ensure!(payloads(&five.messages(1)?) == ["one of us"], "its share");
    }
    five.leave(false)
}

fn ever(at: SocketAddr) -> Result<()> {
    let mut ever = Client::connect(at, "ever", (5, u32::MAX))?;
    ensure!(ever.session_present, "a session");
    let messages = ever.messages(1)?;
    ensure!(payloads(&messages) == ["unreleased"], "{messages:?}");
    ever.expect_no_more()?;
    ever.leave(false)
}

fn retained(client: &mut Client) -> Result<()> {
    client.send(0x82, &[&[0, 9, 0][..], &text("#"), &[0]].concat())?;
    let mut found = Vec::new();
    while found.len() < 2 {
        let (first, body) = client.next()?;
        // What expires after a second may be there yet, or not any more.
        if first >> 4 == 3 && !body.starts_with(b"\x00\x06r/gone") {
            ensure!(first & 1 == 1, "retained: {first:x}");
            found.push(body);
        }
    }
    found.sort();
    ensure!(found[0].starts_with(b"\x00\x03a/b") && found[0].ends_with(b"props"), "{found:x?}");
    let travelled = properties();
    ensure!(found[0].windows(travelled.len()).any(|it| it == travelled), "{:x?}", found[0]);
    ensure!(found[1].starts_with(b"\x00\x05r/big"), "{:x?}", &found[1][..20]);
    ensure!(found[1].ends_with(&[b'B'; 20_000]), "all of it");
    Ok(())
}
