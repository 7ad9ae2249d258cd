//! Publishers with a window of unacknowledged messages each.

use super::super::traffic::Mint;
use super::super::{Deaf, Step, client_id, connect, wait};
use crate::accounting::Ledger;
use crate::error::Error;
use crate::fleet::{Fleet, Listener};
use crate::observer::{Cost, Observer};
use crate::payload::{Header, RunId};
use crate::plan::{MessageShape, Plan};
use noctule_client::{Delivery, Event, Options};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Connections that publish.
pub(super) const PUBLISHERS: u32 = 8;

/// Messages without an acknowledgement, of all of them.
pub(super) const OUTSTANDING: usize = 256;

/// Client numbers of publishers begin here, beyond those of any session.
const NUMBERS_FROM: usize = 900_000;

/// The publishers.
#[derive(Debug)]
pub(super) struct Pump {
    id: RunId,
    mint: Mint,
    topics: Vec<Arc<str>>,
    clients: Range<usize>,
    /// Not to be exceeded by `published`.
    pub(super) limit: u64,
    pub(super) published: u64,
    /// What became of the messages.
    pub(super) ledger: Ledger,
    /// When the last one arrived.
    pub(super) arrived: Duration,
}

impl Pump {
    /// Connects the publishers; they publish to these topics in turn.
    pub(super) fn connect(
        (id, message): (RunId, &MessageShape),
        topics: Vec<Arc<str>>,
        fleet: &mut Fleet,
        plan: &Plan,
    ) -> Result<Pump, Error> {
        let first = fleet.len();
        let options = (0..PUBLISHERS as usize)
            .map(|number| message.tune(plan.target.options(client_id(id, NUMBERS_FROM + number))));
        let options: Vec<Options> = options.collect();
        connect(fleet, options.into_iter(), plan, &mut Deaf)?;
        Ok(Pump {
            id,
            mint: Mint::new(message)?,
            topics,
            clients: first..fleet.len(),
            limit: 0,
            published: 0,
            ledger: Ledger::new(id, message.size, PUBLISHERS),
            arrived: Duration::ZERO,
        })
    }

    /// Publishes what the windows have room for.
    pub(super) fn fill(&mut self, fleet: &mut Fleet) -> Result<(), Error> {
        let now = fleet.now();
        for (publisher, client) in (0..PUBLISHERS).zip(self.clients.clone()) {
            let window = OUTSTANDING / PUBLISHERS as usize;
            while self.published < self.limit && fleet.open_requests(client) < window {
                let sequence = self.ledger.publish(publisher);
                let header = Header { run: self.id, publisher, sequence, sent: now };
                let topic = &self.topics[(self.published % self.topics.len() as u64) as usize];
                self.mint.publish(topic, &header, (fleet, client))?;
                self.published += 1;
            }
        }
        Ok(())
    }

    /// Publishes so many messages, and waits for their acknowledgements.
    pub(super) fn publish(
        &mut self,
        count: u64,
        (fleet, plan): (&mut Fleet, &Plan),
        observer: &mut Observer,
    ) -> Result<Cost, Error> {
        self.limit = self.published + count;
        let clocks = observer.clocks(fleet.look_at_clock())?;
        let before = fleet.roll().settled;
        wait(fleet, plan, &mut Deaf, |fleet, _| {
            self.fill(fleet)?;
            let settled = fleet.roll().settled - before;
            observer.show(fleet.now(), settled, "messages kept");
            Ok(if settled == count { Step::Done } else { Step::At(settled) })
        })?;
        observer.since(clocks, fleet.look_at_clock())
    }

    /// Publishes for a while, and waits for the acknowledgements; answers how many there were.
    pub(super) fn publish_for(
        &mut self,
        time: Duration,
        (fleet, plan): (&mut Fleet, &Plan),
        observer: &mut Observer,
    ) -> Result<(u64, Cost), Error> {
        let end = fleet.look_at_clock() + time;
        let clocks = observer.clocks(fleet.now())?;
        let (published, settled) = (self.published, fleet.roll().settled);
        self.limit = u64::MAX;
        wait(fleet, plan, &mut Deaf, |fleet, _| {
            let over = fleet.now() >= end;
            if !over {
                self.fill(fleet)?;
            }
            let done = fleet.roll().settled - settled;
            observer.show(fleet.now(), done, "messages kept");
            let all = self.published - published;
            Ok(if over && done == all { Step::Done } else { Step::At(done) })
        })?;
        let cost = observer.since(clocks, fleet.look_at_clock())?;
        Ok((self.published - published, cost))
    }

    /// An error if the broker refused a message.
    pub(super) fn check(fleet: &Fleet) -> Result<(), Error> {
        match &fleet.roll().refusal {
            None => Ok(()),
            Some(why) => Err(Error::Broker(format!("the broker refused a message: {why}"))),
        }
    }
}

/// Of the sessions that it publishes to, one may be read at a time: the first subscriber of the
/// ledger.
impl Listener for Pump {
    fn message(&mut self, _: usize, delivery: &Delivery<'_>, now: Duration) {
        self.ledger.arrive(0, delivery.payload, delivery.retain);
        self.arrived = now;
    }

    fn event(&mut self, _: usize, _: &Event, _: Duration) {}
}
