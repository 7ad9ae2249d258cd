//! Clients that end their sessions: what was ended, and answered, must not come back.

use super::line::Line;
use crate::script::connect::{connect, resume};
use crate::script::packet::{kind, puback, subscribe};
use crate::sim::Chance;
use anyhow::{Result, bail, ensure};
use noctule_proto::Version;
use std::net::SocketAddr;

/// A client that lets its session begin, ends it, and looks whether it is gone, again and again.
#[derive(Debug)]
pub(super) struct Ender {
    name: String,
    version: Version,
    line: Option<Line>,
    step: Step,
    accepted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// A session with a subscription is to be there.
    Begin,
    /// It is to end, by a session that does not outlive its connection.
    End,
    /// The end was answered: there is no session.
    Look,
}

impl Ender {
    pub(super) fn new(name: &str, version: Version) -> Ender {
        Ender { name: name.to_owned(), version, line: None, step: Step::Begin, accepted: false }
    }

    /// A turn; without an address it makes no connection.
    pub(super) fn turn(&mut self, chance: &mut Chance, address: Option<SocketAddr>) -> Result<()> {
        if self.line.is_none() {
            if let Some(address) = address
                && chance.percent(2)
            {
                self.line = Line::open(address, self.version);
                let hello = match self.step {
                    Step::Begin | Step::Look => resume(&self.name),
                    Step::End => connect(&self.name),
                };
                if let Some(line) = &mut self.line {
                    line.send_bytes(&hello.encode(self.version));
                }
            }
            return Ok(());
        }
        self.hear(false)?;
        if self.line.as_ref().is_some_and(Line::has_ended) {
            self.cut();
        } else if self.accepted && self.step == Step::Look && chance.percent(2) {
            self.next(Step::Begin);
        }
        Ok(())
    }

    /// The broker was killed.
    pub(super) fn drain(&mut self) -> Result<()> {
        if self.line.is_some() {
            self.hear(true)?;
            self.cut();
        }
        Ok(())
    }

    fn next(&mut self, step: Step) {
        (self.line, self.step, self.accepted) = (None, step, false);
    }

    /// The connection ended before the step was done. Whoever looked may have left a session.
    fn cut(&mut self) {
        let step = if self.step == Step::Look { Step::End } else { self.step };
        self.next(step);
    }

    fn hear(&mut self, killed: bool) -> Result<()> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let packets = if killed { line.drain()? } else { line.pump()? };
        for packet in packets {
            if self.line.is_none() {
                // It has hung up over the packet before.
                break;
            }
            let (name, step) = (&self.name, self.step);
            match (packet.kind(), step) {
                (kind::CONNACK, _) => {
                    ensure!(packet.code == 0, "{name} hears {packet:?}");
                    let back = packet.flags == 1 && step != Step::Begin;
                    ensure!(!back, "the session of {name} was ended, and is back: {step:?}");
                    self.accepted = true;
                    match (step, &mut self.line) {
                        (Step::Begin, Some(line)) => {
                            line.send(&subscribe(1).filter("t/#", 1));
                        }
                        (Step::End, _) => self.next(Step::Look),
                        _ => {}
                    }
                }
                (kind::SUBACK, Step::Begin) => self.next(Step::End),
                (kind::PUBLISH, Step::Begin) => {
                    if let Some(line) = &mut self.line {
                        line.send(&puback(packet.id));
                    }
                }
                _ => bail!("{name} hears {packet:?} while it is to {step:?}"),
            }
        }
        Ok(())
    }
}
