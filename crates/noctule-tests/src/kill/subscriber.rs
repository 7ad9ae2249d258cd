//! A subscriber with a persistent session, connected or away.

use super::ledger::{Content, Ledger};
use super::line::Line;
use crate::script::connect::resume;
use crate::script::packet::{Packet, kind, puback, pubcomp, pubrec, subscribe};
use crate::sim::Chance;
use anyhow::{Result, bail, ensure};
use noctule_proto::Version;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A subscriber.
#[derive(Debug)]
pub(super) struct Subscriber {
    name: String,
    version: Version,
    qos: u8,
    filters: Vec<String>,
    /// Its account in the ledger; members of a group share one.
    pub(super) receiver: usize,
    line: Option<Line>,
    life: Life,
    accepted: bool,
    /// QoS 2: what was received and not yet released.
    received: BTreeMap<u16, Content>,
    /// Acknowledgements that it takes its time for.
    held: Vec<Packet>,
}

/// How far its session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    /// It is to begin anew: nothing is known of what the broker has.
    Unborn,
    /// The broker has answered CONNECT, so it must know the session from then on.
    Known,
    /// The broker has answered SUBSCRIBE.
    Subscribed,
}

impl Subscriber {
    pub(super) fn new(name: &str, version: Version, receiver: usize) -> Subscriber {
        Subscriber {
            name: name.to_owned(),
            version,
            qos: 2,
            filters: Vec::new(),
            receiver,
            line: None,
            life: Life::Unborn,
            accepted: false,
            received: BTreeMap::new(),
            held: Vec::new(),
        }
    }

    pub(super) fn at(self, qos: u8, filters: &[&str]) -> Subscriber {
        let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
        Subscriber { qos, filters, ..self }
    }

    pub(super) fn connect(&mut self, address: SocketAddr) {
        if self.line.is_some() {
            return;
        }
        self.line = Line::open(address, self.version);
        let Some(line) = &mut self.line else { return };
        let mut hello = resume(&self.name);
        if self.life == Life::Unborn {
            // Clean Start, but kept from then on; in 3.1.1 only a new name would do that.
            hello = if self.version == Version::V5 { hello.set_flags(2) } else { hello };
        }
        line.send_bytes(&hello.encode(self.version));
    }

    /// Goes without a word.
    pub(super) fn hang_up(&mut self) {
        self.line = None;
        self.accepted = false;
        self.held.clear();
    }

    /// Whether it is connected, subscribed, and owes nothing.
    pub(super) fn is_ready(&self) -> bool {
        self.accepted && self.life == Life::Subscribed && self.held.is_empty()
    }

    /// Its next connection begins a new session.
    pub(super) fn begin_anew(&mut self, ledger: &mut Ledger) {
        self.hang_up();
        self.life = Life::Unborn;
        ledger.forget(self.receiver);
    }

    pub(super) fn story(&self) -> String {
        let Subscriber { name, life, accepted, .. } = self;
        format!("\n  {name}: accepted {accepted}, {life:?}, {} ids open", self.received.len())
    }

    /// Reads, and answers at once or later.
    pub(super) fn turn(&mut self, ledger: &mut Ledger, chance: &mut Chance) -> Result<bool> {
        let Some(line) = &mut self.line else { return Ok(false) };
        let packets = line.pump()?;
        let ended = line.has_ended();
        let busy = !packets.is_empty();
        for packet in packets {
            self.hear(packet, ledger)?;
        }
        if ended {
            self.hang_up();
        } else if chance.percent(30) {
            self.answer();
        }
        Ok(busy)
    }

    /// The broker was killed: what it had sent before has arrived.
    pub(super) fn drain(&mut self, ledger: &mut Ledger) -> Result<()> {
        let Some(mut line) = self.line.take() else { return Ok(()) };
        for packet in line.drain()? {
            self.hear(packet, ledger)?;
        }
        self.hang_up();
        Ok(())
    }

    fn answer(&mut self) {
        if let Some(line) = &mut self.line {
            for packet in self.held.drain(..) {
                line.send(&packet);
            }
        }
    }

    fn hear(&mut self, packet: Packet, ledger: &mut Ledger) -> Result<()> {
        let name = &self.name;
        ensure!(!packet.is_refusal(), "{name} hears {packet:?}");
        match packet.kind() {
            kind::CONNACK => self.welcome(&packet)?,
            kind::SUBACK => {
                let asked = vec![self.qos; self.filters.len()];
                ensure!(packet.payload == asked, "{name} hears {packet:?}");
                self.life = Life::Subscribed;
                if !ledger.is_subscribed(self.receiver) {
                    ledger.subscribed(self.receiver);
                }
            }
            kind::PUBLISH => self.receive(&packet, ledger)?,
            kind::PUBREL => {
                self.received.remove(&packet.id);
                self.held.push(pubcomp(packet.id));
            }
            _ => bail!("{name} hears {packet:?}"),
        }
        Ok(())
    }

    fn welcome(&mut self, packet: &Packet) -> Result<()> {
        let present = packet.flags == 1;
        let name = &self.name;
        match self.life {
            Life::Unborn => {
                let clean = self.version == Version::V5;
                ensure!(!(present && clean), "{name} began anew and finds its old session");
                self.received.clear();
                self.life = Life::Known;
            }
            Life::Known | Life::Subscribed => ensure!(present, "the session of {name} is gone"),
        }
        self.accepted = true;
        if self.life != Life::Subscribed
            && let Some(line) = &mut self.line
        {
            let filters = self.filters.iter();
            line.send(
                &filters.fold(subscribe(1), |packet, filter| packet.filter(filter, self.qos)),
            );
        }
        Ok(())
    }

    fn receive(&mut self, packet: &Packet, ledger: &mut Ledger) -> Result<()> {
        let name = &self.name;
        let content = Content::parse(&packet.payload)?;
        let qos = packet.first >> 1 & 3;
        if qos == 2 {
            if let Some(open) = self.received.get(&packet.id) {
                ensure!(*open == content, "{name}: id {} was of {open:?}: {packet:?}", packet.id);
                self.held.push(pubrec(packet.id));
                return Ok(());
            }
            self.received.insert(packet.id, content);
            self.held.push(pubrec(packet.id));
        } else {
            self.held.push(puback(packet.id));
        }
        ledger.arrive(self.receiver, content, qos)
    }
}
