//! Topics of 65,535 bytes, the longest there are, wherever a topic may stand.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};

use crate::attack;
use crate::silent::silent_subscribers;
use crate::volume::publish_all;
use crate::wire::{Connect, Level, PUBACK, PUBLISH, SUBACK, Wire, publish_aliased, subscribe};

/// As many as the broker lets a client name by an alias.
const ALIASES: u16 = 64;

/// One level, so that `+` chooses them all, and nothing of the well-behaved pair.
fn longest(number: usize) -> String {
    format!("{number:05}{}", "t".repeat(65_530))
}

/// What arrives next, so many messages: the topics must be the longest ones from 0 on, once each.
fn expect_each(wire: &mut Wire, count: usize, retained: bool) -> Result<()> {
    let mut left: HashSet<Vec<u8>> = (0..count).map(|n| longest(n).into_bytes()).collect();
    while !left.is_empty() {
        let message = wire.message().with_context(|| format!("{} are missing", left.len()))?;
        let start = String::from_utf8_lossy(&message.topic()[..10]).into_owned();
        ensure!(left.remove(message.topic()), "{start}... came twice or is another");
        ensure!((message.first & 1 == 1) == retained, "{start}...: {:#04x}", message.first);
        ensure!(message.payload() == b"x", "{start}...");
    }
    Ok(())
}

#[test]
fn the_longest_topics_are_retained_and_cleared() -> Result<()> {
    const TOPICS: usize = 200;
    attack("long-retained", 128, |broker| {
        let mut sender = Wire::connect(broker.address(), &Connect::new("long-retained-pub"))?;
        publish_all(&mut sender, 1, (0..TOPICS).map(|n| (longest(n), &b"x"[..])))?;
        let mut late = Wire::connect(broker.address(), &Connect::new("long-retained-late"))?;
        late.subscribe("+")?;
        expect_each(&mut late, TOPICS, true)?;
        publish_all(&mut sender, 1, (0..TOPICS).map(|n| (longest(n), &b""[..])))?;
        let mut later = Wire::connect(broker.address(), &Connect::new("long-retained-later"))?;
        later.subscribe("+")?;
        publish_all(&mut sender, 0, std::iter::once(("end".to_owned(), &b"x"[..])))?;
        ensure!(later.message()?.topic() == b"end", "something was left");
        Ok(())
    })
}

/// Who still awaits retained messages is not sent an older one after a newer: what the broker
/// remembers for that has an end, however long the topics are.
#[test]
fn the_longest_topics_for_who_awaits_retained_ones_stay_bounded() -> Result<()> {
    const TOPICS: usize = 1000;
    attack("long-awaited", 384, |broker| {
        let address = broker.address();
        let mut sender = Wire::connect(address, &Connect::new("long-awaited-pub"))?;
        let kept = (0..TOPICS).map(|n| (format!("awaited-{n}"), &[b'x'; 65_536][..]));
        publish_all(&mut sender, 1, kept)?;
        let _silent = silent_subscribers(address, (Level::V311, 1), "+")?;
        publish_all(&mut sender, 0, (0..TOPICS).map(|n| (longest(n), &b"x"[..])))
    })
}

#[test]
fn the_longest_topics_are_those_of_wills() -> Result<()> {
    const CLIENTS: usize = 200;
    attack("long-wills", 128, |broker| {
        let mut watcher = Wire::connect(broker.address(), &Connect::new("long-wills-watcher"))?;
        watcher.subscribe("+")?;
        let mut mortals = Vec::new();
        for number in 0..CLIENTS {
            let level = if number % 2 == 0 { Level::V311 } else { Level::V5 };
            let will = Some((longest(number), b"x".to_vec()));
            let id = format!("long-wills-{number}");
            let connect = Connect { will, level, ..Connect::new(&id) };
            mortals.push(Wire::connect(broker.address(), &connect)?);
        }
        drop(mortals);
        expect_each(&mut watcher, CLIENTS, false)
    })
}

/// Both ways: senders name 64 topics each and go on by their aliases; one reader is sent every
/// topic whole, and another is sent aliases.
#[test]
fn the_longest_topics_have_aliases() -> Result<()> {
    const SENDERS: usize = 8;
    attack("long-aliases", 96, |broker| {
        let address = broker.address();
        let mut plain = Wire::connect(address, &Connect::new("long-aliases-plain"))?;
        plain.subscribe("+")?;
        // Topic Alias Maximum.
        let properties = [&[0x22][..], &ALIASES.to_be_bytes()].concat();
        let connect = Connect { properties, ..Connect::v5("long-aliases-v5") };
        let mut aliased = Wire::connect(address, &connect)?;
        aliased.send(&subscribe(Level::V5, 1, &["+"]))?;
        ensure!(aliased.expect(SUBACK)?.body.last() == Some(&1));
        let mut names = Names::default();
        for sender in 0..SENDERS {
            let connect = Connect::v5(&format!("long-aliases-{sender}"));
            let mut sender = Wire::connect(address, &connect)?;
            for round in 0..2 {
                for alias in 1..=ALIASES {
                    let topic = longest(usize::from(alias));
                    let sent = if round == 0 { topic.as_str() } else { "" };
                    sender.send(&publish_aliased(sent, alias, alias, b"x"))?;
                    let puback = sender.expect(PUBACK)?;
                    ensure!(puback.body[..2] == alias.to_be_bytes(), "{puback:02x?}");
                    ensure!(puback.body.get(2).is_none_or(|code| *code < 0x80), "{puback:02x?}");
                    ensure!(plain.message()?.topic() == topic.as_bytes(), "alias {alias}");
                    ensure!(names.read(&mut aliased)? == topic.as_bytes(), "alias {alias}");
                }
            }
        }
        Ok(())
    })
}

/// What the broker's aliases stand for.
#[derive(Default)]
struct Names(std::collections::HashMap<u16, Vec<u8>>);

impl Names {
    /// The next message's topic, by name or by alias.
    fn read(&mut self, wire: &mut Wire) -> Result<Vec<u8>> {
        let message = wire.message()?;
        ensure!(message.kind() == PUBLISH, "{:#04x}", message.first);
        let (properties, payload) = message.properties_and_payload();
        ensure!(payload == b"x", "{payload:02x?}");
        let alias = match properties {
            [] => None,
            [0x23, high, low] => Some(u16::from_be_bytes([*high, *low])),
            other => anyhow::bail!("properties that nobody sent: {other:02x?}"),
        };
        if let Some(alias) = alias {
            ensure!((1..=ALIASES).contains(&alias), "alias {alias} is not allowed");
            if message.topic().is_empty() {
                return self.0.get(&alias).cloned().context("an alias that was not given");
            }
            self.0.insert(alias, message.topic().to_vec());
        }
        Ok(message.topic().to_vec())
    }
}
