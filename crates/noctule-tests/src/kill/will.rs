//! Clients that come with a Will and go in one way or another.

use super::ledger::{Content, Kind, Ledger};
use super::line::Line;
use crate::script::connect::{connect, will};
use crate::script::packet::{disconnect, kind};
use crate::script::property;
use crate::sim::Chance;
use anyhow::{Result, ensure};
use noctule_proto::Version;
use std::net::SocketAddr;

/// Clients at a time.
const CLIENTS: usize = 3;
/// Seconds of Will Delay, one stream of Wills each.
const DELAYS: [u32; 2] = [0, 1];

/// All clients with Wills.
#[derive(Debug)]
pub(super) struct Wills {
    streams: [usize; DELAYS.len()],
    clients: Vec<Client>,
    names: usize,
    /// Wills that DISCONNECT erased, and how many messages of the witness had been sent by then: an
    /// acknowledgement of a later one covers the erasure.
    erased: Vec<(Content, usize)>,
}

/// One of them: a session that has one connection and never comes back.
#[derive(Debug)]
struct Client {
    line: Line,
    content: Content,
    accepted: bool,
    leaves: bool,
}

impl Wills {
    pub(super) fn new(ledger: &mut Ledger) -> Wills {
        let streams = DELAYS.map(|delay| ledger.stream(format!("w/{delay}"), Kind::Wills));
        Wills { streams, clients: Vec::new(), names: 0, erased: Vec::new() }
    }

    /// A turn; `witness` is a stream that is published to all the time.
    pub(super) fn turn(
        &mut self,
        ledger: &mut Ledger,
        chance: &mut Chance,
        witness: usize,
        address: Option<SocketAddr>,
    ) -> Result<()> {
        if let Some(address) = address
            && self.clients.len() < CLIENTS
            && chance.percent(5)
        {
            self.arrive(ledger, chance, address);
        }
        let mut stay = Vec::new();
        for mut client in std::mem::take(&mut self.clients) {
            client.hear()?;
            let ended = client.line.has_ended();
            if client.leaves && ended {
                self.erased.push((client.content, ledger.len(witness)));
            } else if ended || client.accepted && !client.leaves && chance.percent(2) {
                // Gone without a word; whether the broker sees that or is killed before, the Will
                // is due.
                client.end(ledger);
            } else {
                client.leaves |= client.accepted && chance.percent(1) && client.leave();
                stay.push(client);
            }
        }
        self.clients = stay;
        let last = ledger.last_acknowledged(witness);
        for (content, sent) in std::mem::take(&mut self.erased) {
            if last.is_some_and(|last| last >= sent) {
                ledger.make_void(content.stream, content.number)?;
            } else {
                self.erased.push((content, sent));
            }
        }
        Ok(())
    }

    /// The broker was killed.
    pub(super) fn drain(&mut self, ledger: &mut Ledger) -> Result<()> {
        for mut client in self.clients.drain(..) {
            client.accepted |=
                client.line.drain()?.iter().any(|packet| packet.kind() == kind::CONNACK);
            client.end(ledger);
        }
        // Nobody knows whether these were erased.
        self.erased.clear();
        Ok(())
    }

    fn arrive(&mut self, ledger: &mut Ledger, chance: &mut Chance, address: SocketAddr) {
        let Some(mut line) = Line::open(address, Version::V5) else { return };
        let at = chance.below(DELAYS.len());
        let stream = self.streams[at];
        let content = Content { stream, number: ledger.send(stream) };
        self.names += 1;
        let will = will(&ledger.streams[stream].topic, "")
            .payload(&content.payload())
            .qos(2)
            .with(property::property(0x18, &DELAYS[at].to_be_bytes()));
        let hello = connect(&format!("will-{}", self.names)).with(property::session_expiry(30));
        line.send_bytes(&hello.will(will).encode(Version::V5));
        self.clients.push(Client { line, content, accepted: false, leaves: false });
    }
}

impl Client {
    fn hear(&mut self) -> Result<()> {
        for packet in self.line.pump()? {
            let welcome = packet.kind() == kind::CONNACK && packet.code == 0;
            ensure!(welcome, "a client with a Will hears {packet:?}");
            self.accepted = true;
        }
        Ok(())
    }

    fn leave(&mut self) -> bool {
        self.line.send(&disconnect(0));
        true
    }

    /// Its connection has ended: by DISCONNECT, which may or may not have been heard; before the
    /// CONNACK, so that nothing was promised; or else the Will is due.
    fn end(self, ledger: &mut Ledger) {
        if self.accepted && !self.leaves {
            ledger.acknowledge(self.content.stream, self.content.number);
        }
    }
}
