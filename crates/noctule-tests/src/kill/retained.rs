//! Looks at what is retained after a start: for each topic the last acknowledged message, or a
//! later one that was sent and not acknowledged.

use super::ledger::{Content, Kind, Ledger};
use super::line::Line;
use super::publisher::CLEARS;
use crate::script::connect::connect;
use crate::script::packet::{kind, subscribe};
use anyhow::{Context, Result, bail, ensure};
use noctule_proto::Version;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A look at all retained topics.
#[derive(Debug, Default)]
pub(super) struct Look {
    line: Option<Line>,
    subscribed: bool,
    /// The last acknowledged message of each stream when the look began.
    low: Vec<Option<usize>>,
    found: BTreeSet<usize>,
}

impl Look {
    pub(super) fn begin(address: SocketAddr, ledger: &Ledger) -> Look {
        let mut line = Line::open(address, Version::V311);
        if let Some(line) = &mut line {
            line.send_bytes(&connect("look").encode(Version::V311));
        }
        let low = (0..ledger.streams.len()).map(|stream| ledger.last_acknowledged(stream));
        Look { line, low: low.collect(), ..Look::default() }
    }

    /// Reads what comes. What was sent before the broker was killed counts too.
    pub(super) fn turn(&mut self, ledger: &Ledger, killed: bool) -> Result<()> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let packets = if killed { line.drain()? } else { line.pump()? };
        for packet in packets {
            match packet.kind() {
                kind::CONNACK if packet.code == 0 => {
                    if let Some(line) = &mut self.line {
                        line.send(&subscribe(1).filter("r/#", 0));
                    }
                }
                kind::SUBACK => self.subscribed = true,
                kind::PUBLISH => {
                    let of = |at: &usize| ledger.streams[*at].topic.as_bytes() == packet.topic;
                    let stream = (0..ledger.streams.len()).find(of).context("a topic of nobody")?;
                    self.found.insert(stream);
                    // What comes without RETAIN was published just now.
                    if packet.first & 1 == 1 {
                        self.judge(stream, &packet.payload, ledger)?;
                    }
                }
                _ => bail!("the look at retained messages hears {packet:?}"),
            }
        }
        Ok(())
    }

    fn judge(&self, stream: usize, payload: &[u8], ledger: &Ledger) -> Result<()> {
        let content = Content::parse(payload)?;
        let (topic, low) = (&ledger.streams[stream].topic, self.low[stream]);
        let right = content.stream == stream && content.number < ledger.len(stream);
        ensure!(right, "{topic} retains {content:?}");
        let number = content.number;
        let new = low.is_none_or(|low| number >= low);
        ensure!(new, "{topic} retains {number}, but {low:?} was acknowledged");
        Ok(())
    }

    /// The retained topics that are missing, as far as they must not be.
    pub(super) fn lacks(&self, ledger: &Ledger) -> Vec<String> {
        let clears = |number: usize| number % CLEARS == CLEARS - 1;
        let must = |stream: &usize| {
            let low = self.low.get(*stream).copied().flatten();
            let mut possible = low.unwrap_or(0)..ledger.len(*stream);
            let kept = low.is_some() && !possible.any(clears);
            ledger.streams[*stream].kind == Kind::Retained && kept && !self.found.contains(stream)
        };
        let missing = (0..ledger.streams.len()).filter(must);
        missing.map(|stream| ledger.streams[stream].topic.clone()).collect()
    }

    /// Whether it has heard that it is subscribed.
    pub(super) fn is_subscribed(&self) -> bool {
        self.subscribed
    }
}
