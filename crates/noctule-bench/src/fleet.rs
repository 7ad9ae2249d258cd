//! All clients of a run on one event loop: one thread, one poll, each socket written once a turn.
//!
//! A turn flushes who has something to say, waits for sockets, reads them, and hands what they say
//! to the [`Listener`], which notes what is to be done. The scenario does it between turns.

use crate::alarm::Alarm;
use crate::connection::{Appetite, BUFFER, Connection, Stage};
use crate::descriptors;
use crate::error::Error;
use crate::plan::Target;
use crate::socket::{Broker, Sources};
use crate::tls::Hello;
use mio::{Events, Poll};
use noctule_client::{
    Delivery, Event, Goodbye, Invalid, Message, Options, ReasonCode, Subscribe, Token, Unsubscribe,
};
use std::hash::{BuildHasher, RandomState};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Sockets that are served in one turn.
const EVENTS: usize = 1024;
/// How often the clocks of the sessions (keep alive, timeouts) are looked at.
const CLOCKS: Duration = Duration::from_millis(500);
const ALARM: mio::Token = mio::Token(usize::MAX);

/// Hears what happens to the clients of a fleet.
pub(crate) trait Listener {
    /// A message came to this client.
    fn message(&mut self, client: usize, delivery: &Delivery<'_>, now: Duration);
    /// Something else happened to this client. Not told: the end of each message published, which
    /// [`Roll::settled`] counts.
    fn event(&mut self, client: usize, event: &Event, now: Duration);
}

/// The clients of one run.
#[derive(Debug)]
pub(crate) struct Fleet {
    poll: Poll,
    events: Events,
    alarm: Alarm,
    broker: Broker,
    connections: Vec<Connection>,
    /// Clients with output that waits for the next turn.
    dirty: Vec<usize>,
    /// Clients that have not been read to the end.
    hungry: Vec<usize>,
    buffer: Vec<u8>,
    roll: Roll,
    epoch: Instant,
    now: Duration,
    clocks_at: Duration,
}

/// How a run's clients stand.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    /// Clients that are online.
    pub(crate) online: usize,
    /// SUBACKs and UNSUBACKs that came in.
    pub(crate) answers: usize,
    /// Filters that were granted, or given up.
    pub(crate) granted: u64,
    /// Messages that are done with, well or not.
    pub(crate) settled: u64,
    /// Connections that ended or were refused, and why the last of them did.
    pub(crate) ended: usize,
    pub(crate) reason: Option<String>,
    /// A filter or a message that was refused, and why.
    pub(crate) refused: u64,
    pub(crate) refusal: Option<String>,
}

impl Roll {
    #[inline]
    pub(crate) fn hear(&mut self, event: &Event) {
        match event {
            Event::Published { result, .. } => {
                self.settled += 1;
                if let Err(error) = result {
                    self.refuse(error.to_string());
                }
            }
            Event::Connected(_) => self.online += 1,
            Event::Subscribed { result, .. } | Event::Unsubscribed { result, .. } => {
                self.answers += 1;
                self.answered(result);
            }
            Event::Ended(error) => {
                self.ended += 1;
                self.reason = Some(error.to_string());
            }
            // Nothing else concerns a bench.
            _ => {}
        }
    }

    fn answered(&mut self, result: &Result<Vec<ReasonCode>, noctule_client::Error>) {
        match result {
            Err(error) => self.refuse(error.to_string()),
            Ok(codes) => {
                for code in codes {
                    if code.is_error() {
                        self.refuse(format!("{code}"));
                    } else {
                        self.granted += 1;
                    }
                }
            }
        }
    }

    fn refuse(&mut self, why: String) {
        self.refused += 1;
        self.refusal = Some(why);
    }

    /// An error if a connection has ended that was to last.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match &self.reason {
            None => Ok(()),
            Some(reason) => Err(Error::Broker(format!(
                "{} connection(s) ended while they were needed: {reason}",
                self.ended
            ))),
        }
    }
}

impl Fleet {
    /// No clients yet. `connections` is how many there will be at most.
    pub(crate) fn new(target: &Target, connections: usize) -> Result<Fleet, Error> {
        descriptors::allow(connections as u64)?;
        let address = resolve(&target.host, target.port)?;
        let number = RandomState::new().hash_one(connections) as u32;
        let broker = Broker {
            address,
            sources: Sources::new(address, connections, number),
            tls: target.tls.as_ref().map(|tls| Hello::new(tls, &target.host)).transpose()?,
        };
        let poll = Poll::new().map_err(Error::io("an event queue"))?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        Ok(Fleet {
            poll,
            events: Events::with_capacity(EVENTS),
            alarm,
            broker,
            connections: Vec::with_capacity(connections),
            dirty: Vec::new(),
            hungry: Vec::new(),
            buffer: vec![0; BUFFER],
            roll: Roll::default(),
            epoch: Instant::now(),
            now: Duration::ZERO,
            clocks_at: Duration::ZERO,
        })
    }

    /// Since the fleet was made, as of this turn.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// Since the fleet was made, this very moment.
    pub(crate) fn look_at_clock(&mut self) -> Duration {
        self.now = self.epoch.elapsed();
        self.now
    }

    /// How the clients stand, since the last [`call_roll`](Fleet::call_roll).
    pub(crate) fn roll(&self) -> &Roll {
        &self.roll
    }

    /// Counts anew.
    pub(crate) fn call_roll(&mut self) -> Roll {
        std::mem::take(&mut self.roll)
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Adds a client and begins to connect it; its number is answered.
    pub(crate) fn add(&mut self, options: Options) -> Result<usize, Error> {
        let client = self.connections.len();
        self.connections.push(Connection::new(options)?);
        self.dial(client)?;
        Ok(client)
    }

    /// Begins to connect a client again.
    pub(crate) fn dial(&mut self, client: usize) -> Result<(), Error> {
        self.connections[client].dial(&self.broker, client, self.poll.registry())
    }

    /// Hands a message to a client's session.
    #[inline]
    pub(crate) fn publish(&mut self, client: usize, message: Message) -> Result<(), Error> {
        let published = self.connections[client].session.publish(message);
        self.published(client, published.map(Some))
    }

    /// The same for a message that the caller keeps: cheaper at QoS 0, and only there.
    #[inline]
    pub(crate) fn publish_ref(&mut self, client: usize, message: &Message) -> Result<(), Error> {
        let published = self.connections[client].session.publish_ref(message);
        self.published(client, published)
    }

    #[inline]
    fn published(
        &mut self,
        client: usize,
        what: Result<Option<Token>, Invalid>,
    ) -> Result<(), Error> {
        match what {
            Ok(Some(_)) => {}
            Ok(None) => self.roll.settled += 1,
            Err(invalid) => {
                return Err(Error::Plan(format!("no message can be like that: {invalid}")));
            }
        }
        self.mark(client);
        Ok(())
    }

    pub(crate) fn subscribe(&mut self, client: usize, what: &Subscribe) -> Result<(), Error> {
        let asked = self.connections[client].session.subscribe(what);
        asked.map_err(|error| Error::Broker(format!("cannot subscribe: {error}")))?;
        self.mark(client);
        Ok(())
    }

    pub(crate) fn unsubscribe(&mut self, client: usize, what: &Unsubscribe) -> Result<(), Error> {
        let asked = self.connections[client].session.unsubscribe(what);
        asked.map_err(|error| Error::Broker(format!("cannot unsubscribe: {error}")))?;
        self.mark(client);
        Ok(())
    }

    /// Ends a client's connection with DISCONNECT.
    pub(crate) fn disconnect(&mut self, client: usize, goodbye: &Goodbye) {
        self.connections[client].session.disconnect(goodbye);
        self.mark(client);
    }

    /// Bytes that a client has not been able to send.
    pub(crate) fn backlog(&self, client: usize) -> usize {
        self.connections[client].backlog()
    }

    /// Messages and requests of a client that wait for the broker.
    pub(crate) fn open_requests(&self, client: usize) -> usize {
        self.connections[client].session.open_requests()
    }

    #[inline]
    fn mark(&mut self, client: usize) {
        let connection = &mut self.connections[client];
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(client);
        }
    }

    /// One turn. Waits until something happens, but not beyond `until`.
    pub(crate) fn turn(
        &mut self,
        until: Duration,
        listener: &mut dyn Listener,
    ) -> Result<(), Error> {
        self.flush(listener);
        let wait = self.wait_until(until);
        if let Err(error) = self.poll.poll(&mut self.events, Some(wait))
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            return Err(Error::io("cannot wait for sockets")(error));
        }
        self.look_at_clock();
        self.serve(listener);
        if self.now >= self.clocks_at {
            self.clocks_at = self.now + CLOCKS;
            self.tick(listener);
        }
        Ok(())
    }

    /// How long to wait for sockets. Short times are the alarm's; the poll counts milliseconds.
    fn wait_until(&mut self, until: Duration) -> Duration {
        const FINE: Duration = Duration::from_millis(10);
        const COARSE: Duration = Duration::from_millis(1);
        if !self.hungry.is_empty() || !self.dirty.is_empty() {
            return Duration::ZERO;
        }
        let until = until.min(self.clocks_at);
        let now = self.look_at_clock();
        let wait = until.saturating_sub(now);
        if !wait.is_zero() && wait < FINE {
            self.alarm.set(wait);
            return wait + COARSE;
        }
        wait
    }

    /// Writes the output of all who have some, and tells what came of it.
    pub(crate) fn flush(&mut self, listener: &mut dyn Listener) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for client in dirty.drain(..) {
            let (connection, mut stage) = self.stage(client, listener);
            connection.dirty = false;
            connection.tell(&mut stage);
            connection.flush(&mut stage);
        }
        // Keeps its room; what the listener's doings marked meanwhile is nothing yet.
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    fn serve(&mut self, listener: &mut dyn Listener) {
        let hungry = std::mem::take(&mut self.hungry);
        for client in hungry {
            self.read(client, false, listener);
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let mio::Token(client) = event.token();
            if client >= self.connections.len() {
                continue;
            }
            if event.is_writable() {
                let (connection, mut stage) = self.stage(client, listener);
                connection.writable(&mut stage);
            }
            if event.is_readable() || event.is_read_closed() {
                self.read(client, event.is_read_closed(), listener);
            }
        }
        self.events = events;
    }

    fn read(&mut self, client: usize, ending: bool, listener: &mut dyn Listener) {
        let (connection, mut stage) = self.stage(client, listener);
        let appetite = connection.readable(ending, &mut stage);
        if connection.backlog() > 0 {
            // Acknowledgements go with whatever else this turn brings.
            self.mark(client);
        }
        if appetite == Appetite::Now {
            self.hungry.push(client);
        }
    }

    fn tick(&mut self, listener: &mut dyn Listener) {
        for client in 0..self.connections.len() {
            let session = &mut self.connections[client].session;
            if session.next_deadline().is_some_and(|at| at <= self.now) {
                session.tick(self.now);
                self.mark(client);
            }
        }
        self.flush(listener);
    }

    fn stage<'a>(
        &'a mut self,
        client: usize,
        listener: &'a mut dyn Listener,
    ) -> (&'a mut Connection, Stage<'a>) {
        let stage = Stage {
            client,
            now: self.now,
            buffer: &mut self.buffer,
            roll: &mut self.roll,
            listener,
        };
        (&mut self.connections[client], stage)
    }
}

/// The address of the broker. One on `localhost` listens on IPv4 more often than not.
fn resolve(host: &str, port: u16) -> Result<SocketAddr, Error> {
    let what = || format!("cannot find {host}");
    let addresses = (host, port).to_socket_addrs().map_err(Error::io(what()))?;
    addresses.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| Error::Broker(what()))
}
