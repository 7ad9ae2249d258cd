//! One client as a pure state machine: bytes and commands in, bytes and events out.
//!
//! ```text
//! open, publish, subscribe, ... ──▶ ┌─────────┐ ──▶ output   (bytes for the transport)
//! read(bytes)                   ──▶ │ Session │ ──▶ one event for each call
//! tick(now)                     ──▶ └─────────┘ ──▶ next_event, next_deadline, take_changes
//! ```
//!
//! Time is a `Duration` since any moment that the owner chooses, as long as it is always the same.

mod acks;
mod aliases;
mod auth;
mod connect;
mod connected;
mod event;
mod incoming;
mod journal;
mod keep_alive;
mod outgoing;
mod output;
mod requests;
mod sink;
#[cfg(test)]
mod tests;

pub use connected::Connected;
pub use event::{Event, Received, Token};
pub use journal::Change;

use crate::delivery::AckToken;
use crate::error::{Error, Invalid, Notice, Violation};
use crate::message::{Goodbye, Message, Subscribe, Unsubscribe};
use crate::options::Options;
use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use auth::Auth;
use connect::connack_of_old_server;
use connected::PACKET_MAX;
use core::time::Duration;
use incoming::{Fresh, Incoming};
use keep_alive::{Due, KeepAlive};
use noctule_proto::packet::{
    self, Disconnect, PINGREQ, Publish, SubscribeFiltersBuf, UnsubscribeFiltersBuf,
};
use noctule_proto::text::is_clean;
use noctule_proto::{
    Frame, Packet, PacketId, PacketType, QoS, ReasonCode, Role, TopicFilter, Version, next_frame,
};
use outgoing::Outgoing;
use output::Output;
use requests::{Request, Requests};
use sink::Sink;

/// A client without its transport: the state that outlives connections `[MQTT-4.1.0-1 v5]`
/// `[MQTT-4.1.0-1 v3.1.1]` `[MQTT-4.1.0-2 v3.1.1]`, and the connection.
///
/// The owner calls [`open`](Self::open) when a transport stands, carries bytes between the two
/// ([`read`](Self::read), [`output`](Self::output), [`written`](Self::written)), calls
/// [`tick`](Self::tick) at [`next_deadline`](Self::next_deadline), and looks for
/// [`next_event`](Self::next_event) after each. After [`Event::Ended`] it sends the rest of the
/// output, closes the transport, and may `open` again: what was not acknowledged is sent again.
///
/// ```
/// use noctule_client::{Event, Options, Received, Session};
/// use std::time::Duration;
/// let mut session = Session::new(Options::new("meter-1"))?;
/// session.open(Duration::ZERO);
/// assert_eq!(session.output()[0], 0x10); // CONNECT, for the transport
/// let mut input: &[u8] = &[0x20, 3, 0, 0, 0]; // CONNACK, from the transport
/// let read = session.read(Duration::ZERO, &mut input);
/// assert!(matches!(read, Some(Received::Event(Event::Connected(_)))));
/// # Ok::<(), noctule_client::Invalid>(())
/// ```
#[derive(Debug)]
pub struct Session {
    options: Options,
    phase: Phase,
    /// The session has been opened before, so this side may hold state.
    resumed: bool,
    /// Of the CONNECT of this connection, something has left.
    asked: bool,
    /// No CONNACK came to a CONNECT that left: the server may have begun the session anew.
    unanswered: bool,
    /// The client identifier under which the server knows the session.
    identity: Option<String>,
    /// Of the current or the last connection.
    server: Option<Connected>,
    keep_alive: KeepAlive,
    auth: Auth,
    output: Output,
    /// How much of the input was left when it was read last.
    unread: usize,
    events: VecDeque<Event>,
    /// What has to survive the process, if anybody keeps it.
    changes: Option<Vec<Change>>,
    outgoing: Outgoing,
    incoming: Incoming,
    requests: Requests,
    /// The last topic of [`publish_ref`](Self::publish_ref), which is valid.
    checked: Option<Arc<str>>,
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
        let incoming = Incoming::new(&options);
        Ok(Session {
            options,
            phase: Phase::Offline,
            resumed: false,
            asked: false,
            unanswered: false,
            identity: None,
            server: None,
            keep_alive: KeepAlive::default(),
            auth: Auth::default(),
            output: Output::default(),
            unread: 0,
            events: VecDeque::new(),
            changes: None,
            outgoing: Outgoing::default(),
            incoming,
            requests: Requests::default(),
            checked: None,
            tokens: 0,
        })
    }

    /// Bytes came from the server: handles the whole packets at their beginning, up to the first
    /// event, and moves `input` past them. To be called until there is no event; what is left of
    /// `input` then is the beginning of a packet, to be given again with the bytes that follow.
    pub fn read<'a, 'i: 'a>(
        &'a mut self,
        now: Duration,
        input: &mut &'i [u8],
    ) -> Option<Received<'a>> {
        if input.len() > self.unread {
            self.keep_alive.heard(now);
        }
        self.unread = input.len();
        let max = self.options.maximum_packet_size.unwrap_or(PACKET_MAX);
        let (publish, fresh) = loop {
            if let Some(event) = self.events.pop_front() {
                return Some(Received::Event(event));
            }
            if self.phase == Phase::Offline {
                (*input, self.unread) = (&[], 0);
                return None;
            }
            let handled = match next_frame(input, max) {
                Ok(None) => return None,
                Ok(Some(frame)) => {
                    *input = &input[frame.len..];
                    self.unread = input.len();
                    if self.phase == Phase::Online && is_plain_publish(&frame) {
                        self.handle_publish(frame)
                    } else {
                        self.handle(now, frame)
                    }
                }
                Err(error) => Err(Violation::Decode(error)),
            };
            match handled {
                Ok(_) if self.output.is_flooded() => self.refuse(Violation::Unread),
                Ok(Some(message)) => break message,
                Ok(None) => {}
                Err(violation) => self.refuse(violation),
            }
        };
        Some(Received::Message(self.incoming.delivery(publish, fresh)))
    }

    /// What comes most often, without the way through a packet of any kind.
    #[inline]
    fn handle_publish<'a>(&mut self, frame: Frame<'a>) -> Handled<'a> {
        let (_, incoming, mut sink) = self.parts();
        incoming.read(frame, &mut sink)
    }

    fn handle<'a>(&mut self, now: Duration, frame: Frame<'a>) -> Handled<'a> {
        let version = self.options.version;
        let packet = match Packet::decode(frame, Some(version), Role::Server) {
            Ok(packet) => packet,
            Err(error) => match connack_of_old_server(frame) {
                Some(connack) => Packet::ConnAck(connack),
                None => return Err(Violation::Decode(error)),
            },
        };
        if !self.options.request_problem_information && explains(&packet) {
            return Err(Violation::ProblemInformation(packet.packet_type()));
        }
        match (self.phase, packet) {
            (Phase::Online, Packet::Publish(publish)) => {
                let (_, incoming, mut sink) = self.parts();
                let fresh = incoming.publish(&publish, false, &mut sink)?;
                return Ok(fresh.map(|fresh| (publish, fresh)));
            }
            (Phase::Connecting { .. }, Packet::ConnAck(connack)) => self.welcome(now, &connack)?,
            (_, Packet::Auth(auth)) => self.challenged(&auth)?,
            // [U5-3.14.4-2]
            (_, Packet::Disconnect(disconnect)) => {
                self.end(Error::Disconnected(Notice {
                    reason: disconnect.reason,
                    code: disconnect.reason.as_u8(),
                    reason_string: disconnect.reason_string.map(str::to_owned),
                    server_reference: disconnect.server_reference.map(str::to_owned),
                }));
            }
            (Phase::Online, packet) => self.handle_online(&packet)?,
            (Phase::Connecting { .. } | Phase::Offline, packet) => {
                return Err(Violation::Unexpected(packet.packet_type()));
            }
        }
        Ok(None)
    }

    fn handle_online(&mut self, packet: &Packet<'_>) -> Result<(), Violation> {
        let version = self.options.version;
        let (outgoing, incoming, mut sink) = self.parts();
        match packet {
            Packet::PubRel(ack) => {
                incoming.pubrel(ack, &mut sink);
                return Ok(());
            }
            Packet::PubAck(ack) => outgoing.puback(ack, &mut sink)?,
            Packet::PubRec(ack) => outgoing.pubrec(ack, &mut sink)?,
            Packet::PubComp(ack) => outgoing.pubcomp(ack, &mut sink)?,
            Packet::SubAck(answer) | Packet::UnsubAck(answer) => {
                let event = self.requests.answer(packet.packet_type(), answer, version)?;
                self.outgoing.release(answer.packet_id);
                self.events.push_back(event);
            }
            Packet::PingResp => self.keep_alive.pong(),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Publish(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Disconnect(_)
            | Packet::Auth(_) => return Err(Violation::Unexpected(packet.packet_type())),
        }
        self.pump();
        Ok(())
    }

    /// What works on packets, and where it says what it does.
    #[inline]
    fn parts(&mut self) -> (&mut Outgoing, &mut Incoming, Sink<'_>) {
        let sink = Sink {
            version: self.options.version,
            output: &mut self.output,
            events: &mut self.events,
            changes: self.changes.as_mut(),
        };
        (&mut self.outgoing, &mut self.incoming, sink)
    }

    /// Publishes a message: as soon as there is a connection, and as the server's receive maximum
    /// allows. [`Event::Published`] tells the end of it.
    pub fn publish(&mut self, message: Message) -> Result<Token, Invalid> {
        message.check()?;
        let token = self.next_token();
        let server = self.server.as_ref().filter(|_| self.phase == Phase::Online);
        let mut sink = Sink {
            version: self.options.version,
            output: &mut self.output,
            events: &mut self.events,
            changes: self.changes.as_mut(),
        };
        self.outgoing.publish(token, message, server, &mut sink);
        Ok(token)
    }

    /// The same for a message that the caller keeps. One of QoS 0 that need not wait is in the
    /// output at once, without a clone, and nothing more is told of it: `None`. For those who
    /// publish millions.
    pub fn publish_ref(&mut self, message: &Message) -> Result<Option<Token>, Invalid> {
        let waits = message.qos != QoS::AtMostOnce || !self.outgoing.is_line_empty();
        let (false, Some(server), Phase::Online) = (waits, &self.server, self.phase) else {
            return self.publish(message.clone()).map(Some);
        };
        if self.checked.as_ref().is_some_and(|topic| Arc::ptr_eq(topic, &message.topic)) {
            message.check_size()?;
        } else {
            message.check()?;
            self.checked = Some(Arc::clone(&message.topic));
        }
        let mut sink = Sink {
            version: self.options.version,
            output: &mut self.output,
            events: &mut self.events,
            changes: self.changes.as_mut(),
        };
        self.outgoing.put_out(message, server, &mut sink)?;
        Ok(None)
    }

    /// The application has done what it has to do with a message
    /// ([`Acknowledge::ByApplication`](crate::Acknowledge)). The acknowledgement leaves as soon
    /// as those of earlier messages have.
    pub fn acknowledge(&mut self, token: AckToken) {
        self.reject(token, ReasonCode::Success);
    }

    /// The same with a reason, [`ReasonCode::NoMatchingSubscribers`] or one from 0x80: the server
    /// does not send the message again either way (5.0; before, nothing but success can be said).
    pub fn reject(&mut self, token: AckToken, reason: ReasonCode) {
        let sayable = reason.allowed_in(PacketType::PubAck, Role::Client);
        let reason = if sayable { reason } else { ReasonCode::UnspecifiedError };
        let v5 = self.options.version == Version::V5;
        let reason = if v5 { reason } else { ReasonCode::Success };
        let (_, incoming, mut sink) = self.parts();
        incoming.decide(token, reason, &mut sink);
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
    pub fn unsubscribe(&mut self, unsubscribe: &Unsubscribe) -> Result<Token, Error> {
        self.online()?;
        if unsubscribe.filters.is_empty() {
            return Err(Invalid::NoFilter.into());
        }
        let mut parsed = UnsubscribeFiltersBuf::new();
        for filter in &unsubscribe.filters {
            parsed.push(TopicFilter::parse(filter).map_err(Invalid::TopicFilter)?);
        }
        self.request(PacketType::UnsubAck, unsubscribe.filters.len(), |packet_id| {
            Packet::Unsubscribe(packet::Unsubscribe {
                packet_id,
                user_properties: unsubscribe.user_properties.as_properties(),
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
        packet.encode(version, self.output.end());
        let token = self.next_token();
        self.requests.push(id, Request { token, answer, filters });
        Ok(token)
    }

    /// Says good-bye, and nothing after it `[MQTT-3.14.4-1 v5]` `[MQTT-3.14.4-2 v3.1.1]`; the
    /// owner closes `[MQTT-3.14.4-2 v5]` `[MQTT-3.14.4-1 v3.1.1]`. The server discards the Will
    /// (3.14.4 v5) unless the reason is [`ReasonCode::DisconnectWithWill`]. It is said also to a
    /// server that has not answered CONNECT: it may have let us in (3.1.4 v5).
    pub fn disconnect(&mut self, goodbye: &Goodbye) {
        if self.phase != Phase::Offline {
            self.say_goodbye(goodbye);
        }
        self.end(Error::Finished);
    }

    fn say_goodbye(&mut self, goodbye: &Goodbye) {
        let version = self.options.version;
        let with_will = goodbye.reason == ReasonCode::DisconnectWithWill;
        if with_will && version != Version::V5 {
            // DISCONNECT would have the Will discarded; only silence has it published.
            return;
        }
        // [MQTT-3.14.2-1 v5]
        let sayable = goodbye.reason.allowed_in(PacketType::Disconnect, Role::Client);
        let reason = if sayable { goodbye.reason } else { ReasonCode::UnspecifiedError };
        // [U5-3.14.2-1]
        let kept = self.options.session_expiry_secs > 0;
        let whole = Disconnect {
            reason,
            session_expiry_secs: goodbye.session_expiry_secs.filter(|_| kept),
            reason_string: goodbye.reason_string.as_deref().filter(|text| is_clean(text)),
            server_reference: None,
            user_properties: goodbye.user_properties.as_properties(),
        };
        // Not what makes it too large for the server [MQTT-3.14.2-3 v5] [MQTT-3.14.2-4 v5]; how
        // much that is nobody knows before CONNACK.
        let fits = |packet: &Disconnect<'_>| {
            let len = packet.encoded_len(version);
            self.online().map_or(true, |server| server.check_size(len).is_ok())
        };
        let disconnect = if fits(&whole) { whole } else { Disconnect::new(reason) };
        disconnect.encode(version, self.output.end());
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
            // [U5-3.2.2-1]
            Phase::Connecting { give_up } => {
                if now >= give_up {
                    self.end(Error::NoAnswer(PacketType::Connect));
                }
            }
            Phase::Online => match self.keep_alive.due(now) {
                Due::Nothing => {}
                // [MQTT-3.1.2-20 v5]
                Due::Ping => self.output.end().extend_from_slice(&PINGREQ),
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
        self.output.unwritten()
    }

    /// The transport has taken the first `len` bytes of the output.
    pub fn written(&mut self, now: Duration, len: usize) {
        self.output.written(len);
        if len > 0 {
            self.asked = true;
            self.keep_alive.sent(now);
        }
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
            let mut sink = Sink {
                version: self.options.version,
                output: &mut self.output,
                events: &mut self.events,
                changes: self.changes.as_mut(),
            };
            self.outgoing.pump(server, &mut sink);
        }
    }

    /// The server broke the rules: says so where the version can, and leaves
    /// (4.13.1 v5) `[MQTT-4.8.0-1 v3.1.1]`.
    fn refuse(&mut self, violation: Violation) {
        if self.options.version == Version::V5 {
            self.say_goodbye(&Goodbye::because(violation.reason_code()));
        }
        self.end(Error::Protocol(violation));
    }

    fn end(&mut self, error: Error) {
        if self.phase != Phase::Offline {
            let unheard = self.phase != Phase::Online && !matches!(error, Error::Refused(_));
            self.unanswered |= unheard && self.asked;
            self.phase = Phase::Offline;
            for (id, event) in self.requests.close(&error) {
                self.outgoing.release(id);
                self.events.push_back(event);
            }
            self.drop_connection();
            self.events.push_back(Event::Ended(error));
        }
    }

    /// Forgets what belongs to one connection only; subscriptions are the server's `[U5-4.1.0-2]`.
    fn drop_connection(&mut self) {
        self.outgoing.close();
        self.incoming.close();
    }

    fn next_token(&mut self) -> Token {
        // A number from a damaged store may be any.
        self.tokens = self.tokens.wrapping_add(1);
        Token(self.tokens)
    }
}

/// Whether a packet carries what the client has asked not to get (3.1.2.11.7 v5). CONNACK and
/// DISCONNECT may, and PUBLISH speaks for its publisher.
fn explains(packet: &Packet<'_>) -> bool {
    let (reason_string, user_properties) = match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            (ack.reason_string, ack.user_properties)
        }
        Packet::SubAck(answer) | Packet::UnsubAck(answer) => {
            (answer.reason_string, answer.user_properties)
        }
        Packet::Auth(auth) => (auth.reason_string, auth.user_properties),
        Packet::Connect(_)
        | Packet::ConnAck(_)
        | Packet::Publish(_)
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::PingReq
        | Packet::PingResp
        | Packet::Disconnect(_) => return false,
    };
    reason_string.is_some() || !user_properties.is_empty()
}

/// Whether it is a PUBLISH whose length is told as it has to be.
#[inline]
fn is_plain_publish(frame: &Frame<'_>) -> bool {
    !frame.padded && frame.packet_type() == Some(PacketType::Publish)
}

/// What became of a packet: at most a message for the application.
type Handled<'a> = Result<Option<(Publish<'a>, Fresh)>, Violation>;
