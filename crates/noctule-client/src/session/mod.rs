//! One client as a pure state machine: bytes and commands in, bytes and events out.
//!
//! ```text
//! open, publish, subscribe, ... ──▶ ┌─────────┐ ──▶ output   (bytes for the transport)
//! receive(bytes)                ──▶ │ Session │
//! tick(now)                     ──▶ └─────────┘ ──▶ next_event, next_deadline
//! ```
//!
//! Time is a `Duration` since any moment that the owner chooses, as long as it is always the same.

mod connect;
mod connected;
mod event;
mod incoming;
mod keep_alive;
#[cfg(test)]
mod lossy_tests;
mod outgoing;
mod requests;
#[cfg(test)]
mod tests;

pub use connected::Connected;
pub use event::{Event, Token};

use crate::error::{Error, Invalid, Notice, Violation};
use crate::message::{Message, Subscribe};
use crate::options::Options;
use connect::connack_of_old_server;
use connected::PACKET_MAX;
use incoming::Incoming;
use keep_alive::{Due, KeepAlive};
use noctule_proto::packet::{
    self, Disconnect, PINGREQ, SubscribeFiltersBuf, Unsubscribe, UnsubscribeFiltersBuf,
};
use noctule_proto::property::UserProperties;
use noctule_proto::{
    Frame, Packet, PacketId, PacketType, ReasonCode, Role, TopicFilter, TopicName, Version,
    next_frame,
};
use outgoing::{Outgoing, Sink};
use requests::{Request, Requests};
use std::collections::VecDeque;
use std::time::Duration;

/// A client without its transport: the state that outlives connections, and the connection.
///
/// The owner calls [`open`](Self::open) when a transport stands, carries bytes between the two
/// ([`receive`](Self::receive), [`output`](Self::output), [`written`](Self::written)), calls
/// [`tick`](Self::tick) at [`next_deadline`](Self::next_deadline), and looks for
/// [`next_event`](Self::next_event) after each. After [`Event::Ended`] it sends the rest of the
/// output, closes the transport, and may `open` again: what was not acknowledged is sent again.
#[derive(Debug)]
pub struct Session {
    options: Options,
    phase: Phase,
    /// The session has been opened before, so this side may hold state.
    resumed: bool,
    /// Of the current or the last connection.
    server: Option<Connected>,
    keep_alive: KeepAlive,
    /// The beginning of a packet that is not whole yet.
    input: Vec<u8>,
    output: Vec<u8>,
    events: VecDeque<Event>,
    outgoing: Outgoing,
    incoming: Incoming,
    requests: Requests,
    tokens: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Offline,
    Connecting { give_up: Duration },
    Online,
}

impl Session {
    /// A session that has not been connected yet.
    pub fn new(options: Options) -> Result<Session, Invalid> {
        options.check()?;
        let incoming = Incoming::new(options.topic_alias_maximum, options.receive_maximum);
        Ok(Session {
            options,
            phase: Phase::Offline,
            resumed: false,
            server: None,
            keep_alive: KeepAlive::default(),
            input: Vec::new(),
            output: Vec::new(),
            events: VecDeque::new(),
            outgoing: Outgoing::default(),
            incoming,
            requests: Requests::default(),
            tokens: 0,
        })
    }

    /// Bytes came from the server.
    pub fn receive(&mut self, now: Duration, bytes: &[u8]) {
        self.keep_alive.heard(now);
        if self.input.is_empty() {
            let used = self.take_packets(now, bytes);
            self.input.extend_from_slice(&bytes[used..]);
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(bytes);
            let used = self.take_packets(now, &input);
            input.drain(..used);
            self.input = input;
        }
        if self.phase == Phase::Offline {
            self.input = Vec::new();
        }
    }

    /// Handles the whole packets in `bytes` and returns their length.
    fn take_packets(&mut self, now: Duration, bytes: &[u8]) -> usize {
        let max = self.options.maximum_packet_size.unwrap_or(PACKET_MAX);
        let mut at = 0;
        while self.phase != Phase::Offline {
            let handled = match next_frame(&bytes[at..], max) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    at += frame.len;
                    self.handle(now, frame)
                }
                Err(error) => Err(Violation::Decode(error)),
            };
            if let Err(violation) = handled {
                self.refuse(violation);
            }
        }
        at
    }

    fn handle(&mut self, now: Duration, frame: Frame<'_>) -> Result<(), Violation> {
        let version = self.options.version;
        let decoded = Packet::decode(frame, Some(version), Role::Server);
        let packet = match decoded {
            Ok(packet) => packet,
            Err(error) => match connack_of_old_server(frame) {
                Some(connack) => Packet::ConnAck(connack),
                None => return Err(Violation::Decode(error)),
            },
        };
        match (self.phase, packet) {
            (Phase::Connecting { .. }, Packet::ConnAck(connack)) => self.welcome(now, &connack),
            (_, Packet::Disconnect(disconnect)) => {
                self.end(Error::Disconnected(Notice {
                    reason: disconnect.reason,
                    code: disconnect.reason.as_u8(),
                    reason_string: disconnect.reason_string.map(str::to_owned),
                    server_reference: disconnect.server_reference.map(str::to_owned),
                }));
                Ok(())
            }
            (Phase::Online, packet) => self.handle_online(packet),
            (Phase::Connecting { .. } | Phase::Offline, packet) => {
                Err(Violation::Unexpected(packet.packet_type()))
            }
        }
    }

    fn handle_online(&mut self, packet: Packet<'_>) -> Result<(), Violation> {
        let version = self.options.version;
        let mut sink = Sink { version, output: &mut self.output, events: &mut self.events };
        match packet {
            Packet::Publish(publish) => {
                if let Some(message) = self.incoming.publish(&publish, version, sink.output)? {
                    self.events.push_back(Event::Message(message));
                }
                return Ok(());
            }
            Packet::PubRel(ack) => {
                self.incoming.pubrel(&ack, version, sink.output);
                return Ok(());
            }
            Packet::PubAck(ack) => self.outgoing.puback(&ack, &mut sink)?,
            Packet::PubRec(ack) => self.outgoing.pubrec(&ack, &mut sink)?,
            Packet::PubComp(ack) => self.outgoing.pubcomp(&ack, &mut sink)?,
            Packet::SubAck(ref answer) | Packet::UnsubAck(ref answer) => {
                let event = self.requests.answer(packet.packet_type(), answer, version)?;
                self.outgoing.release(answer.packet_id);
                self.events.push_back(event);
            }
            Packet::PingResp => self.keep_alive.pong(),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Disconnect(_)
            // (4.12 v5): no authentication method was named.
            | Packet::Auth(_) => return Err(Violation::Unexpected(packet.packet_type())),
        }
        self.pump();
        Ok(())
    }

    /// Publishes a message: as soon as there is a connection, and as the server's receive maximum
    /// allows. [`Event::Published`] tells the end of it.
    pub fn publish(&mut self, message: Message) -> Result<Token, Invalid> {
        TopicName::parse(&message.topic).map_err(Invalid::TopicName)?;
        let token = self.next_token();
        self.outgoing.push(token, message);
        self.pump();
        Ok(token)
    }

    /// Asks for messages. [`Event::Subscribed`] brings the answer.
    pub fn subscribe(&mut self, subscribe: &Subscribe) -> Result<Token, Error> {
        let server = self.online()?;
        if subscribe.filters.is_empty() {
            return Err(Invalid::NoFilter.into());
        }
        if let Some(id) = subscribe.id {
            server.check_subscription_id(id)?;
        }
        let mut filters = SubscribeFiltersBuf::new();
        for (filter, options) in &subscribe.filters {
            let filter = TopicFilter::parse(filter).map_err(Invalid::TopicFilter)?;
            server.check_filter(filter, *options)?;
            filters.push(filter, *options);
        }
        self.request(PacketType::SubAck, subscribe.filters.len(), |packet_id| {
            Packet::Subscribe(packet::Subscribe {
                packet_id,
                subscription_id: subscribe.id,
                user_properties: subscribe.user_properties.as_properties(),
                filters: filters.as_filters(),
            })
        })
    }

    /// Asks for messages no more. [`Event::Unsubscribed`] brings the answer.
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Result<Token, Error> {
        self.online()?;
        if filters.is_empty() {
            return Err(Invalid::NoFilter.into());
        }
        let mut parsed = UnsubscribeFiltersBuf::new();
        for filter in filters {
            parsed.push(TopicFilter::parse(filter).map_err(Invalid::TopicFilter)?);
        }
        self.request(PacketType::UnsubAck, filters.len(), |packet_id| {
            Packet::Unsubscribe(Unsubscribe {
                packet_id,
                user_properties: UserProperties::EMPTY,
                filters: parsed.as_filters(),
            })
        })
    }

    fn request<'a>(
        &mut self,
        answer: PacketType,
        filters: usize,
        packet: impl FnOnce(PacketId) -> Packet<'a>,
    ) -> Result<Token, Error> {
        let id = self.outgoing.reserve().ok_or(Invalid::NoPacketId)?;
        let packet = packet(id);
        let version = self.options.version;
        let fits = self
            .online()
            .and_then(|server| server.check_size(packet.encoded_len(version)).map_err(Error::from));
        if let Err(error) = fits {
            self.outgoing.release(id);
            return Err(error);
        }
        packet.encode(version, &mut self.output);
        let token = self.next_token();
        self.requests.push(id, Request { token, answer, filters });
        Ok(token)
    }

    /// Says good-bye; the server discards the Will (3.14.4 v5) unless the reason is
    /// [`ReasonCode::DisconnectWithWill`].
    pub fn disconnect(&mut self, reason: ReasonCode) {
        if self.phase == Phase::Online {
            Disconnect::new(reason).encode(self.options.version, &mut self.output);
        }
        self.end(Error::Finished);
    }

    /// The transport is gone.
    pub fn lose(&mut self, error: Error) {
        self.end(error);
        self.output.clear();
    }

    /// Lets the clock act: pings, and gives up on a server that is silent for too long.
    pub fn tick(&mut self, now: Duration) {
        match self.phase {
            Phase::Offline => {}
            Phase::Connecting { give_up } => {
                if now >= give_up {
                    self.end(Error::NoAnswer(PacketType::Connect));
                }
            }
            Phase::Online => match self.keep_alive.due(now) {
                Due::Nothing => {}
                // [MQTT-3.1.2-20 v5]
                Due::Ping => self.output.extend_from_slice(&PINGREQ),
                Due::GiveUp => self.end(Error::NoAnswer(PacketType::PingReq)),
            },
        }
    }

    /// When [`tick`](Self::tick) has to be called next, unless something else happens before.
    pub fn next_deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Offline => None,
            Phase::Connecting { give_up } => Some(give_up),
            Phase::Online => self.keep_alive.next(),
        }
    }

    /// The owner has not read from the transport for a while: silence is not the server's fault.
    pub fn excuse_silence(&mut self, now: Duration) {
        self.keep_alive.heard(now);
    }

    /// Bytes for the server.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// The transport has taken the first `len` bytes of the output.
    pub fn written(&mut self, now: Duration, len: usize) {
        self.output.drain(..len.min(self.output.len()));
        self.keep_alive.sent(now);
    }

    /// What happened, oldest first.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether the server has let us in and the connection lasts.
    pub fn is_online(&self) -> bool {
        self.phase == Phase::Online
    }

    /// How many messages and requests wait for the server, sent or not.
    pub fn open_requests(&self) -> usize {
        self.outgoing.open() + self.requests.len()
    }

    /// The connection as the server granted it: the current one, or the last.
    pub fn server(&self) -> Option<&Connected> {
        self.server.as_ref()
    }

    fn online(&self) -> Result<&Connected, Error> {
        match (&self.server, self.phase) {
            (Some(server), Phase::Online) => Ok(server),
            _ => Err(Error::NotConnected),
        }
    }

    fn pump(&mut self) {
        if let (Some(server), Phase::Online) = (&self.server, self.phase) {
            let version = self.options.version;
            let mut sink = Sink { version, output: &mut self.output, events: &mut self.events };
            self.outgoing.pump(server, &mut sink);
        }
    }

    /// The server broke the rules: says so where the version can, and leaves
    /// (4.13.1 v5) `[MQTT-4.8.0-1 v3.1.1]`.
    fn refuse(&mut self, violation: Violation) {
        if self.options.version == Version::V5 {
            let reason = violation.reason_code();
            Disconnect::new(reason).encode(Version::V5, &mut self.output);
        }
        self.end(Error::Protocol(violation));
    }

    fn end(&mut self, error: Error) {
        if self.phase != Phase::Offline {
            self.phase = Phase::Offline;
            for (id, event) in self.requests.close(&error) {
                self.outgoing.release(id);
                self.events.push_back(event);
            }
            self.drop_connection();
            self.events.push_back(Event::Ended(error));
        }
    }

    /// Forgets what belongs to one connection only.
    fn drop_connection(&mut self) {
        self.input = Vec::new();
        self.outgoing.close();
        self.incoming.close();
    }

    fn next_token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }
}
