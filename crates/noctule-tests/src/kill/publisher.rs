//! A publisher with a persistent session: what was not acknowledged is sent again, as the standard
//! has it, to the broker that comes after.

use super::ledger::{Content, Kind, Ledger};
use super::line::Line;
use crate::script::connect::resume;
use crate::script::packet::{Packet, kind, publish, pubrel};
use crate::sim::Chance;
use anyhow::{Result, bail, ensure};
use noctule_proto::Version;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Messages that wait for the end of their hand-shake at most.
const WINDOW: usize = 40;
/// Messages sent at one go.
const BURST: u64 = 8;
/// Every so many-th message to a retained topic clears it.
pub(super) const CLEARS: usize = 7;

/// A publisher.
#[derive(Debug)]
pub(super) struct Publisher {
    name: String,
    version: Version,
    streams: Vec<usize>,
    line: Option<Line>,
    /// The broker has answered this session's first CONNECT, so it must know it from then on.
    known: bool,
    accepted: bool,
    inflight: VecDeque<Inflight>,
    last_id: u16,
}

#[derive(Clone, Copy, Debug)]
struct Inflight {
    id: u16,
    content: Content,
    qos: u8,
    /// PUBREC has come: only PUBREL is sent from here on.
    released: bool,
}

impl Publisher {
    pub(super) fn new(number: usize, version: Version, ledger: &mut Ledger) -> Publisher {
        let mut stream = |topic: String, kind| ledger.stream(topic, kind);
        let mut streams = vec![
            stream(format!("t/{number}/one"), Kind::AtLeastOnce),
            stream(format!("t/{number}/two"), Kind::ExactlyOnce),
        ];
        streams.extend((0..3).map(|at| stream(format!("r/{number}/{at}"), Kind::Retained)));
        Publisher {
            name: format!("publisher-{number}"),
            version,
            streams,
            line: None,
            known: false,
            accepted: false,
            inflight: VecDeque::new(),
            last_id: 0,
        }
    }

    pub(super) fn connect(&mut self, address: SocketAddr) {
        if self.line.is_none() {
            self.line = Line::open(address, self.version);
            if let Some(line) = &mut self.line {
                line.send_bytes(&resume(&self.name).encode(self.version));
            }
        }
    }

    /// Goes without a word.
    pub(super) fn hang_up(&mut self) {
        self.line = None;
        self.accepted = false;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.accepted && self.inflight.is_empty()
    }

    /// Says how far it is, for when it is waited for.
    pub(super) fn story(&self) -> String {
        let (name, accepted) = (&self.name, self.accepted);
        let first = self.inflight.front();
        format!("\n  {name}: accepted {accepted}, {} in flight: {first:?}", self.inflight.len())
    }

    /// Reads, and sends what is new if it may.
    pub(super) fn turn(
        &mut self,
        ledger: &mut Ledger,
        chance: &mut Chance,
        produces: bool,
    ) -> Result<bool> {
        let Some(line) = &mut self.line else { return Ok(false) };
        let packets = line.pump()?;
        let ended = line.has_ended();
        let mut busy = !packets.is_empty();
        for packet in packets {
            self.hear(&packet, ledger)?;
        }
        if ended {
            self.hang_up();
        } else if produces && self.accepted {
            busy |= self.produce(ledger, chance);
        }
        Ok(busy)
    }

    /// The broker was killed: what it had sent before still counts.
    pub(super) fn drain(&mut self, ledger: &mut Ledger) -> Result<()> {
        let Some(mut line) = self.line.take() else { return Ok(()) };
        for packet in line.drain()? {
            self.hear(&packet, ledger)?;
        }
        self.hang_up();
        Ok(())
    }

    fn produce(&mut self, ledger: &mut Ledger, chance: &mut Chance) -> bool {
        let has_room = self.line.as_ref().is_some_and(Line::has_room);
        if !has_room || self.inflight.len() >= WINDOW {
            return false;
        }
        for _ in 0..chance.between(1, BURST) {
            let stream = chance.pick(&self.streams);
            let content = Content { stream, number: ledger.send(stream) };
            let qos = if ledger.streams[stream].kind == Kind::ExactlyOnce { 2 } else { 1 };
            self.last_id = self.last_id % u16::MAX + 1;
            let entry = Inflight { id: self.last_id, content, qos, released: false };
            self.inflight.push_back(entry);
            self.publish(ledger, entry, false);
        }
        true
    }

    fn publish(&mut self, ledger: &Ledger, entry: Inflight, again: bool) {
        let Some(line) = &mut self.line else { return };
        let stream = &ledger.streams[entry.content.stream];
        let clears = stream.kind == Kind::Retained && entry.content.number % CLEARS == CLEARS - 1;
        let payload = if clears { Vec::new() } else { entry.content.payload() };
        let mut packet = publish(&stream.topic, payload).qos(entry.qos, entry.id);
        if stream.kind == Kind::Retained {
            packet = packet.retain();
        }
        line.send(&if again { packet.dup() } else { packet });
    }

    fn hear(&mut self, packet: &Packet, ledger: &mut Ledger) -> Result<()> {
        let name = &self.name;
        ensure!(packet.code < 0x80 || packet.code == 0x92, "{name} hears {packet:?}");
        match packet.kind() {
            kind::CONNACK => return self.welcome(packet, ledger),
            kind::PUBACK | kind::PUBCOMP => {
                let last = if packet.kind() == kind::PUBACK { 1 } else { 2 };
                let ours = |entry: &Inflight| entry.id == packet.id && entry.qos == last;
                let Some(at) = self.inflight.iter().position(ours) else {
                    bail!("{name} hears {packet:?} of nothing that it sent");
                };
                let entry = self.inflight.remove(at).expect("found above");
                ensure!(last == 1 || entry.released, "{name} hears {packet:?} before PUBREC");
                ledger.acknowledge(entry.content.stream, entry.content.number);
            }
            kind::PUBREC => {
                let ours = |entry: &&mut Inflight| entry.id == packet.id && entry.qos == 2;
                let Some(entry) = self.inflight.iter_mut().find(ours) else {
                    bail!("{name} hears {packet:?} of nothing that it sent");
                };
                entry.released = true;
                if let Some(line) = &mut self.line {
                    line.send(&pubrel(packet.id));
                }
            }
            _ => bail!("{name} hears {packet:?}"),
        }
        Ok(())
    }

    fn welcome(&mut self, packet: &Packet, ledger: &Ledger) -> Result<()> {
        let name = &self.name;
        ensure!(packet.flags == 1 || !self.known, "the session of {name} is gone");
        (self.known, self.accepted) = (true, true);
        for entry in self.inflight.clone() {
            if entry.released {
                if let Some(line) = &mut self.line {
                    line.send(&pubrel(entry.id));
                }
            } else {
                self.publish(ledger, entry, true);
            }
        }
        Ok(())
    }
}
