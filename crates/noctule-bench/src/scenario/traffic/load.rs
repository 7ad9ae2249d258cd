//! Publishes: as the windows allow, or as the clock says.

use super::cast::Cast;
use super::exchange::Exchange;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::histogram::Latencies;
use crate::payload::{Header, LEN, RunId};
use crate::plan::{MessageShape, Pace, Traffic};
use bytes::{Bytes, BytesMut};
use noctule_client::{Message, PropertiesBuf, QoS};
use std::sync::Arc;
use std::time::Duration;

/// Payloads are cut from blocks of this size, unless they are larger.
const BLOCK: usize = 64 * 1024;
/// In an open loop, a publisher that has this much waiting for its socket is not given more; what
/// is due stays due.
const BACKLOG_MAX: usize = 16 * 1024 * 1024;
/// The same for messages that the broker has not acknowledged.
const UNSETTLED_MAX: usize = 50_000;

/// All publishers.
#[derive(Debug)]
pub(crate) struct Load {
    run: RunId,
    mint: Mint,
    topics: Vec<Arc<str>>,
    /// The client of the first publisher.
    first: usize,
    pace: Paced,
    /// Messages published.
    pub(crate) published: u64,
    /// Not to be exceeded by `published`.
    pub(crate) limit: u64,
}

#[derive(Debug)]
enum Paced {
    Closed,
    Open { schedule: Schedule, late: Box<Latencies> },
}

/// When each message of an open loop is due.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    start: Duration,
    nanos_each: f64,
    next: u64,
}

impl Schedule {
    fn due(&self) -> Duration {
        self.start + Duration::from_nanos((self.next as f64 * self.nanos_each) as u64)
    }
}

impl Load {
    pub(crate) fn new(run: RunId, traffic: &Traffic, cast: &Cast<'_>) -> Result<Load, Error> {
        let pace = match traffic.pace {
            Pace::Window { .. } => Paced::Closed,
            Pace::Rate(rate) => Paced::Open {
                schedule: Schedule { start: Duration::ZERO, nanos_each: 1e9 / rate, next: 0 },
                late: Box::default(),
            },
        };
        Ok(Load {
            run,
            mint: Mint::new(&traffic.message)?,
            topics: (0..traffic.publishers).map(|publisher| cast.topic(publisher)).collect(),
            first: traffic.subscribers as usize,
            pace,
            published: 0,
            limit: u64::MAX,
        })
    }

    /// The clock of an open loop starts.
    pub(crate) fn start(&mut self, now: Duration) {
        if let Paced::Open { schedule, .. } = &mut self.pace {
            schedule.start = now;
        }
    }

    /// How late messages were handed to the sockets, of an open loop.
    pub(crate) fn lateness(&mut self) -> Option<&mut Latencies> {
        match &mut self.pace {
            Paced::Closed => None,
            Paced::Open { late, .. } => Some(late),
        }
    }

    /// Publishes what may or has to be published now; answers when there will be more, unless
    /// that depends on what arrives.
    pub(crate) fn pump(
        &mut self,
        fleet: &mut Fleet,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>, Error> {
        match self.pace {
            Paced::Closed => self.fill_windows(fleet, exchange).map(|()| None),
            Paced::Open { .. } => self.follow_clock(fleet, exchange).map(Some),
        }
    }

    fn fill_windows(&mut self, fleet: &mut Fleet, exchange: &mut Exchange) -> Result<(), Error> {
        let now = fleet.now();
        let mut free = exchange.take_free();
        for publisher in free.drain(..) {
            while exchange.window(publisher).room() > 0 && self.published < self.limit {
                exchange.window(publisher).publish();
                self.publish(publisher, now, fleet, exchange)?;
            }
        }
        exchange.put_free(free);
        Ok(())
    }

    fn follow_clock(
        &mut self,
        fleet: &mut Fleet,
        exchange: &mut Exchange,
    ) -> Result<Duration, Error> {
        let now = fleet.look_at_clock();
        loop {
            let Paced::Open { schedule, late } = &mut self.pace else { return Ok(now) };
            let due = schedule.due();
            if due > now || self.published >= self.limit {
                return Ok(due);
            }
            let publisher = (schedule.next % self.topics.len() as u64) as u32;
            let client = self.first + publisher as usize;
            if fleet.backlog(client) > BACKLOG_MAX || fleet.open_requests(client) > UNSETTLED_MAX {
                // It makes an event when it can be written again.
                return Ok(Duration::MAX);
            }
            schedule.next += 1;
            late.record(now.saturating_sub(due));
            self.publish(publisher, due, fleet, exchange)?;
        }
    }

    #[inline]
    fn publish(
        &mut self,
        publisher: u32,
        sent: Duration,
        fleet: &mut Fleet,
        exchange: &mut Exchange,
    ) -> Result<(), Error> {
        let sequence = exchange.ledger.publish(publisher);
        let header = Header { run: self.run, publisher, sequence, sent };
        let topic = &self.topics[publisher as usize];
        self.published += 1;
        self.mint.publish(topic, &header, (fleet, self.first + publisher as usize))
    }
}

/// Makes messages that are alike but for topic and header.
#[derive(Debug)]
pub(crate) struct Mint {
    /// The last one at QoS 0; above, the form of all.
    message: Message,
    /// A payload, its header empty.
    blank: Vec<u8>,
    /// Where payloads are cut from above QoS 0.
    block: BytesMut,
}

impl Mint {
    pub(crate) fn new(shape: &MessageShape) -> Result<Mint, Error> {
        let mut message = Message::default().qos(shape.qos);
        for number in 0..shape.user_properties {
            message
                .properties
                .user_property(&format!("property-{number}"), "some value")
                .map_err(|error| Error::Plan(error.to_string()))?;
        }
        // Letters, so that the payload can be looked at.
        let blank = (0..shape.size).map(|at| b'a' + (at % 26) as u8).collect();
        Ok(Mint { message, blank, block: BytesMut::new() })
    }

    /// The same, with retained messages.
    pub(crate) fn retained(mut self) -> Mint {
        self.message.retain = true;
        self
    }

    /// Has a client publish a message with this header.
    #[inline]
    pub(crate) fn publish(
        &mut self,
        topic: &Arc<str>,
        header: &Header,
        (fleet, client): (&mut Fleet, usize),
    ) -> Result<(), Error> {
        if self.message.qos == QoS::AtMostOnce {
            self.rewrite(topic, header);
            return fleet.publish_ref(client, &self.message);
        }
        let mut message = Message::new(Arc::clone(topic), self.cut(header)).qos(self.message.qos);
        message.retain = self.message.retain;
        if self.message.properties != PropertiesBuf::new() {
            message.properties = self.message.properties.clone();
        }
        fleet.publish(client, message)
    }

    /// Makes the next message of the last one.
    #[inline]
    fn rewrite(&mut self, topic: &Arc<str>, header: &Header) {
        if !Arc::ptr_eq(&self.message.topic, topic) {
            self.message.topic = Arc::clone(topic);
        }
        let mut payload = std::mem::take(&mut self.message.payload).try_into_mut();
        if payload.as_ref().map_or(true, |payload| payload.is_empty()) {
            // The first one, or one that is still on its way to the connection.
            payload = Ok(BytesMut::from(&self.blank[..]));
        }
        // In place: to move what has just been written makes the processor wait for it.
        if let Ok(payload) = &mut payload
            && let Some(start) = payload.first_chunk_mut::<LEN>()
        {
            header.write(start);
        }
        self.message.payload = payload.map_or_else(|shared| shared, BytesMut::freeze);
    }

    /// A payload that the session keeps until it is acknowledged.
    #[inline]
    fn cut(&mut self, header: &Header) -> Bytes {
        if self.block.capacity() < self.blank.len() {
            self.block.reserve(BLOCK.max(self.blank.len()));
        }
        self.block.extend_from_slice(&self.blank);
        if let Some(start) = self.block.first_chunk_mut::<LEN>() {
            header.write(start);
        }
        self.block.split().freeze()
    }
}
