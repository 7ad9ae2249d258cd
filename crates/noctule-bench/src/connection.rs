//! One client: the pure session of `noctule-client` on a socket.

use crate::error::Error as BenchError;
use crate::fleet::{Listener, Roll};
use crate::socket::{Broker, Input, Socket};
use mio::{Registry, Token};
use noctule_client::{Error, Event, Failure, Layer, Options, Received, Session};
use std::time::Duration;

/// One receive takes at most this much, unless a packet is longer.
pub(crate) const BUFFER: usize = 64 * 1024;
/// Receives of one connection before it is the turn of the others.
const RECEIVES_MAX: usize = 16;

/// A client and where it stands.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) session: Session,
    line: Line,
    /// The beginning of a packet whose rest has not come yet.
    partial: Vec<u8>,
    /// It is among those to be flushed.
    pub(crate) dirty: bool,
}

#[derive(Debug)]
enum Line {
    Closed,
    Dialling(Socket),
    Open(Socket),
    /// The socket is full; it will tell.
    Full(Socket),
}

/// What a connection needs of the loop that drives it.
pub(crate) struct Stage<'a> {
    pub(crate) client: usize,
    pub(crate) now: Duration,
    /// Shared by all connections.
    pub(crate) buffer: &'a mut Vec<u8>,
    pub(crate) roll: &'a mut Roll,
    pub(crate) listener: &'a mut dyn Listener,
}

impl Stage<'_> {
    /// Passes an event on; whether it was the connection's last.
    #[inline]
    fn hear(&mut self, event: &Event) -> bool {
        self.roll.hear(event);
        if let Event::Published { .. } = event {
            // There is one for each message, and the roll is all that counts them.
            return false;
        }
        self.listener.event(self.client, event, self.now);
        matches!(event, Event::Ended(_))
    }
}

/// Whether a connection wants to be read again before it makes another event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Appetite {
    Later,
    Now,
}

impl Connection {
    pub(crate) fn new(options: Options) -> Result<Connection, BenchError> {
        let session = Session::new(options)
            .map_err(|invalid| BenchError::Plan(format!("no CONNECT can say that: {invalid}")))?;
        Ok(Connection { session, line: Line::Closed, partial: Vec::new(), dirty: false })
    }

    /// Begins to connect; the session opens as soon as the connection stands.
    pub(crate) fn dial(
        &mut self,
        broker: &Broker,
        client: usize,
        registry: &Registry,
    ) -> Result<(), BenchError> {
        let mut socket = Socket::dial(broker, client)?;
        socket.watch(registry, Token(client))?;
        self.line = Line::Dialling(socket);
        Ok(())
    }

    /// Bytes that wait for the socket.
    pub(crate) fn backlog(&self) -> usize {
        self.session.output().len()
    }

    /// The socket may be written.
    pub(crate) fn writable(&mut self, stage: &mut Stage<'_>) {
        match std::mem::replace(&mut self.line, Line::Closed) {
            Line::Closed => {}
            Line::Dialling(socket) => match socket.established() {
                Ok(false) => self.line = Line::Dialling(socket),
                Ok(true) => {
                    self.line = Line::Open(socket);
                    self.session.open(stage.now);
                    self.flush(stage);
                }
                Err(error) => self.fail(failure(&error), stage),
            },
            Line::Open(mut socket) => match socket.flush() {
                Ok(()) => self.line = Line::Open(socket),
                Err(error) => self.fail(failure(&error), stage),
            },
            Line::Full(socket) => {
                self.line = Line::Open(socket);
                self.flush(stage);
            }
        }
    }

    /// The socket may be read; if the other side has ended, to the end.
    pub(crate) fn readable(&mut self, ending: bool, stage: &mut Stage<'_>) -> Appetite {
        for _ in 0..RECEIVES_MAX {
            let (Line::Open(socket) | Line::Full(socket)) = &mut self.line else {
                return Appetite::Later;
            };
            let kept = self.partial.len();
            if stage.buffer.len() < kept + BUFFER {
                stage.buffer.resize(kept + BUFFER, 0);
            }
            stage.buffer[..kept].copy_from_slice(&self.partial);
            self.partial.clear();
            match socket.receive(&mut stage.buffer[kept..]) {
                Input::Last(count) => {
                    self.take(kept + count, stage);
                    if !ending {
                        return Appetite::Later;
                    }
                }
                Input::More(count) => self.take(kept + count, stage),
                Input::Nothing => {
                    self.partial.extend_from_slice(&stage.buffer[..kept]);
                    return Appetite::Later;
                }
                Input::End => {
                    self.fail(Error::Closed, stage);
                    return Appetite::Later;
                }
                Input::Broken(error) => {
                    self.fail(failure(&error), stage);
                    return Appetite::Later;
                }
            }
        }
        Appetite::Now
    }

    /// Hands what came in to the session.
    fn take(&mut self, len: usize, stage: &mut Stage<'_>) {
        let buffer = std::mem::take(stage.buffer);
        let mut input = &buffer[..len];
        let mut ended = false;
        loop {
            // By reference: a delivery is large, and moved for every message.
            match self.session.read(stage.now, &mut input) {
                None => break,
                Some(Received::Message(ref delivery)) => {
                    stage.listener.message(stage.client, delivery, stage.now);
                }
                Some(Received::Event(ref event)) => ended |= stage.hear(event),
            }
        }
        if !input.is_empty() {
            self.partial.extend_from_slice(input);
        }
        *stage.buffer = buffer;
        if ended {
            self.close(stage.now);
        }
    }

    /// Tells what happened without input. Ends the line if the session has ended.
    pub(crate) fn tell(&mut self, stage: &mut Stage<'_>) {
        let mut ended = false;
        while let Some(event) = self.session.next_event() {
            ended |= stage.hear(&event);
        }
        if ended {
            self.close(stage.now);
        }
    }

    /// Writes what the session has to say.
    pub(crate) fn flush(&mut self, stage: &mut Stage<'_>) {
        while let Line::Open(socket) = &mut self.line {
            let output = self.session.output();
            if output.is_empty() {
                return;
            }
            match socket.send(output) {
                Ok(0) => {
                    let line = std::mem::replace(&mut self.line, Line::Closed);
                    if let Line::Open(socket) = line {
                        self.line = Line::Full(socket);
                    }
                }
                Ok(count) => self.session.written(stage.now, count),
                Err(error) => self.fail(failure(&error), stage),
            }
        }
    }

    fn fail(&mut self, error: Error, stage: &mut Stage<'_>) {
        let unopened = matches!(self.line, Line::Dialling(_) | Line::Closed);
        self.line = Line::Closed;
        self.partial = Vec::new();
        if unopened && !self.session.is_online() {
            // The session has not been opened, so it has nothing to end.
            stage.hear(&Event::Ended(error));
            return;
        }
        self.session.lose(error);
        self.tell(stage);
    }

    /// Sends the last words and closes.
    fn close(&mut self, now: Duration) {
        self.partial = Vec::new();
        if let Line::Open(mut socket) = std::mem::replace(&mut self.line, Line::Closed) {
            // A few bytes always fit; if not, the broker sees the connection end without them.
            if let Ok(count) = socket.send(self.session.output()) {
                self.session.written(now, count);
            }
            socket.end();
        }
    }
}

/// The network's own words.
fn failure(error: &std::io::Error) -> Error {
    let (what, os_error) = (error.to_string(), error.raw_os_error());
    Error::Failure(Failure { layer: Layer::Network, what, os_error, fix: None, is_final: false })
}
