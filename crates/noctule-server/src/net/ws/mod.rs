//! WebSocket [RFC 6455] between the bytes of a socket, or of its TLS, and those of MQTT. It reads
//! and writes nothing by itself: who has bytes gives them, and a way for those that are to be sent.
//!
//! * `handshake`  the request of a client, and its answer
//! * `frame`      frames to bytes of MQTT, and back
//!
//! A message costs no memory: what comes is taken apart where it lies, and what goes gets a header
//! in front of a whole batch. What lies in between (part of a header, an answer to a ping that the
//! socket did not take) is kept in a box that few connections have.

mod frame;
mod handshake;

pub(crate) use handshake::Rules;

use super::tcp::{Layer, Received};
use frame::{End, Reader, Writer};
use handshake::Answer;
use noctule_proto::websocket::{FrameError, Kind, close};
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

/// Segments of one write, beside the header.
const SEGMENTS_MAX: usize = 32;

/// The WebSocket of one connection.
pub(crate) struct Ws {
    reader: Reader,
    writer: Writer,
    state: State,
    rare: Option<Box<Rare>>,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The request is awaited.
    Handshake,
    /// It was refused.
    Refused,
    Open,
    /// The client has said that this is the end, and is to be told the same, after what waits.
    Ended(Option<u16>),
    /// It has broken the rules, and is to be told so, after what waits.
    Broken(FrameError),
    /// We have said that this is the end.
    Closed,
}

/// What few connections have for long.
#[derive(Default)]
struct Rare {
    /// Until the request has come.
    rules: Option<Arc<Rules>>,
    /// Received, and not yet whole.
    incoming: Vec<u8>,
    /// To be sent before the next frame.
    outgoing: Vec<u8>,
    /// How much of it is the rest of what has begun to be sent, or must not be left out.
    begun: usize,
}

impl Ws {
    pub(crate) fn new(rules: Arc<Rules>) -> Ws {
        let rare = Rare { rules: Some(rules), ..Rare::default() };
        Ws {
            reader: Reader::default(),
            writer: Writer::default(),
            state: State::Handshake,
            rare: Some(Box::new(rare)),
        }
    }

    /// Memory of what is not whole yet.
    pub(crate) fn memory(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.incoming.capacity())
    }

    /// Whether something waits to be sent that is no part of a data frame.
    pub(crate) fn waits(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.outgoing.is_empty())
    }

    /// Receives once from below; `buffer` gets the bytes of MQTT.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        below: impl FnOnce(&mut [u8]) -> Received,
    ) -> Received {
        match self.state {
            State::Handshake | State::Open => {}
            State::Broken(error) => return broken(error),
            State::Ended(_) | State::Refused | State::Closed => return Received::End,
        }
        let incoming = self.rare.as_ref().map_or(&[][..], |rare| &rare.incoming);
        let kept = incoming.len();
        if kept >= buffer.len() {
            return Received::Failed(Layer::WebSocket, "there is no room for it".into());
        }
        buffer[..kept].copy_from_slice(incoming);
        let received = below(&mut buffer[kept..]);
        let (count, more) = match received {
            Received::Last(count) => (count, false),
            Received::More(count) => (count, true),
            Received::Nothing | Received::End | Received::Told(_) | Received::Failed(..) => {
                return received;
            }
        };
        if let Some(rare) = &mut self.rare {
            rare.incoming = Vec::new();
        }
        let taken = self.take(&mut buffer[..kept + count]);
        self.tidy();
        match taken {
            Err(why) => Received::Failed(Layer::WebSocket, why),
            Ok(0) if let State::Broken(error) = self.state => broken(error),
            // An end is told when it is asked for again.
            Ok(data) if more || self.state != State::Open && self.state != State::Handshake => {
                Received::More(data)
            }
            Ok(data) => Received::Last(data),
        }
    }

    /// Takes apart what has come; answers how many bytes of MQTT lie at the front of it now.
    fn take(&mut self, bytes: &mut [u8]) -> Result<usize, String> {
        let mut from = 0;
        if self.state == State::Handshake {
            match self.shake_hands(bytes)? {
                Some(end) => from = end,
                None => return Ok(0),
            }
        }
        let Ws { reader, rare, .. } = self;
        let found = reader.unframe(bytes, from, |ping| {
            rare.get_or_insert_default().answer(ping);
        });
        match found.end {
            End::None => {
                let rest = &bytes[found.rest..];
                if !rest.is_empty() {
                    self.rare.get_or_insert_default().incoming = rest.to_vec();
                }
            }
            End::Closed(code) => self.state = State::Ended(code),
            End::Broken(error) => self.state = State::Broken(error),
        }
        Ok(found.data)
    }

    /// Where the frames begin, once the request is whole.
    fn shake_hands(&mut self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let rare = self.rare.get_or_insert_default();
        let Some(rules) = &rare.rules else { return Err("it has no rules".into()) };
        match handshake::answer(bytes, rules) {
            Answer::More => {
                rare.incoming = bytes.to_vec();
                Ok(None)
            }
            Answer::Welcome(welcome, end) => {
                self.state = State::Open;
                rare.rules = None;
                rare.begun = welcome.len();
                rare.outgoing = welcome;
                Ok(Some(end))
            }
            Answer::Refused(refusal, why) => {
                self.state = State::Refused;
                rare.begun = refusal.len();
                rare.outgoing = refusal;
                Err(why)
            }
        }
    }

    /// Lets go of what has no use any more.
    fn tidy(&mut self) {
        self.rare.take_if(|rare| {
            rare.rules.is_none() && rare.incoming.is_empty() && rare.outgoing.is_empty()
        });
    }

    /// Sends some of `waiting` bytes, of which `segments` are the first; 0 if the socket is full.
    pub(crate) fn send(
        &mut self,
        waiting: usize,
        segments: &[IoSlice<'_>],
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        match self.state {
            State::Open | State::Ended(_) | State::Broken(_) => {}
            State::Handshake | State::Refused | State::Closed => {
                return Err(ErrorKind::NotConnected.into());
            }
        }
        if !self.flush(&mut write)? {
            return Ok(0);
        }
        self.writer.begin(waiting);
        loop {
            let mut all = [IoSlice::new(&[]); SEGMENTS_MAX + 1];
            all[0] = IoSlice::new(self.writer.head());
            let (mut used, mut room) = (1, self.writer.room());
            for segment in segments.iter().take(SEGMENTS_MAX) {
                let part = segment.len().min(room);
                all[used] = IoSlice::new(&segment[..part]);
                used += 1;
                room -= part;
            }
            let first = if all[0].is_empty() { 1 } else { 0 };
            let sent = write(&all[first..used])?;
            let sent = match sent {
                0 => return Ok(0),
                sent => self.writer.sent(sent),
            };
            // Of a header alone who sends could not tell that the socket is not full.
            if sent > 0 {
                return Ok(sent);
            }
        }
    }

    /// Sends what goes before the next frame; `false` if the socket is full. Amid a frame there is
    /// nothing to be done: who sends the rest of it comes by again.
    pub(crate) fn flush(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<bool> {
        if !self.writer.is_between() {
            return Ok(true);
        }
        let Some(rare) = &mut self.rare else { return Ok(true) };
        while !rare.outgoing.is_empty() {
            let sent = write(&[IoSlice::new(&rare.outgoing)])?;
            if sent == 0 {
                return Ok(false);
            }
            rare.begun = rare.outgoing.len() - sent;
            rare.outgoing.drain(..sent);
        }
        self.tidy();
        Ok(true)
    }

    /// Says that this is the end, after all that was sent. `false` if the socket is full.
    pub(crate) fn finish(
        &mut self,
        write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<bool> {
        let code = match self.state {
            State::Open => Some(close::NORMAL),
            State::Ended(code) => code,
            State::Broken(error) => Some(error.code()),
            State::Handshake | State::Refused | State::Closed => return self.flush(write),
        };
        self.state = State::Closed;
        let rare = self.rare.get_or_insert_default();
        let code = code.map(u16::to_be_bytes);
        frame::control(Kind::Close, code.as_ref().map_or(&[], |code| code), &mut rare.outgoing);
        self.flush(write)
    }

    /// Whether the client waits to be told that this is the end.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }
}

impl Rare {
    /// Answers a ping, and none of those before.
    fn answer(&mut self, ping: &[u8]) {
        self.outgoing.truncate(self.begun);
        frame::control(Kind::Pong, ping, &mut self.outgoing);
    }
}

fn broken(error: FrameError) -> Received {
    Received::Failed(Layer::WebSocket, error.what().into())
}

#[cfg(test)]
mod tests;
