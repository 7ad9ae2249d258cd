//! A client that unsubscribes: what was published after its UNSUBACK must not come, whatever
//! happens to the broker in between.

use super::ledger::{Content, Ledger};
use super::line::Line;
use crate::script::connect::resume;
use crate::script::packet::{Packet, kind, puback, subscribe, unsubscribe};
use crate::sim::Chance;
use anyhow::{Result, bail, ensure};
use noctule_proto::Version;
use std::net::SocketAddr;

/// A client with a session that lasts; it subscribes, unsubscribes, and looks, again and again.
#[derive(Debug)]
pub(super) struct Leaver {
    name: String,
    version: Version,
    line: Option<Line>,
    step: Step,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Subscribe,
    Unsubscribe,
    /// UNSUBACK is there; how many messages each stream had then.
    Look(Vec<usize>),
}

impl Leaver {
    pub(super) fn new(name: &str, version: Version) -> Leaver {
        Leaver { name: name.to_owned(), version, line: None, step: Step::Subscribe }
    }

    /// A turn; without an address it makes no connection.
    pub(super) fn turn(
        &mut self,
        ledger: &Ledger,
        chance: &mut Chance,
        address: Option<SocketAddr>,
    ) -> Result<()> {
        if self.line.is_none() {
            if let Some(address) = address
                && chance.percent(3)
            {
                self.line = Line::open(address, self.version);
                if let Some(line) = &mut self.line {
                    line.send_bytes(&resume(&self.name).encode(self.version));
                }
            }
            return Ok(());
        }
        self.hear(ledger, false)?;
        if self.line.as_ref().is_some_and(Line::has_ended) {
            self.line = None;
        } else if matches!(self.step, Step::Look(_)) && chance.percent(2) {
            self.step = Step::Subscribe;
            self.line = None;
        }
        Ok(())
    }

    /// The broker was killed.
    pub(super) fn drain(&mut self, ledger: &Ledger) -> Result<()> {
        if self.line.is_some() {
            self.hear(ledger, true)?;
            self.line = None;
        }
        Ok(())
    }

    fn hear(&mut self, ledger: &Ledger, killed: bool) -> Result<()> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let packets = if killed { line.drain()? } else { line.pump()? };
        for packet in packets {
            self.answer(&packet, ledger)?;
        }
        Ok(())
    }

    fn answer(&mut self, packet: &Packet, ledger: &Ledger) -> Result<()> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let name = &self.name;
        match packet.kind() {
            kind::CONNACK => {
                ensure!(packet.code == 0, "{name} hears {packet:?}");
                match self.step {
                    Step::Subscribe => line.send(&subscribe(1).filter("t/#", 1)),
                    Step::Unsubscribe => line.send(&unsubscribe(2, &["t/#"])),
                    Step::Look(_) => {}
                }
            }
            kind::SUBACK => {
                self.step = Step::Unsubscribe;
                line.send(&unsubscribe(2, &["t/#"]));
            }
            kind::UNSUBACK => self.step = Step::Look(ledger.lengths()),
            kind::PUBLISH => {
                let Content { stream, number } = Content::parse(&packet.payload)?;
                if let Step::Look(lengths) = &self.step {
                    let known = lengths.get(stream).copied().unwrap_or(0);
                    ensure!(number < known, "{name} had unsubscribed, and hears {packet:?}");
                }
                if packet.first >> 1 & 3 == 1 {
                    line.send(&puback(packet.id));
                }
            }
            // Its last connection may be accepted after this one, by another shard.
            kind::DISCONNECT if packet.code == 0x8E => {}
            _ => bail!("{name} hears {packet:?}"),
        }
        Ok(())
    }
}
