//! Messages on their way to the server: waiting, sent, acknowledged.

use super::connected::Connected;
use super::event::{Event, Token};
use crate::error::{Error, Invalid, Notice, Violation};
use crate::message::Message;
use noctule_proto::delivery::{Entry, PubRecOutcome, Quota, Resend, Sender, Unknown};
use noctule_proto::packet::{Ack, Publish};
use noctule_proto::{PacketId, PacketType, QoS, ReasonCode, TopicName, Version};
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;

/// A message and how its publisher knows it.
#[derive(Clone, Debug)]
struct Sending {
    token: Token,
    message: Message,
}

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Sent and not settled.
    sender: Sender<Sending>,
    /// Publishers of what has been released by PUBREL: the message itself is the server's by then.
    released: BTreeMap<PacketId, Token>,
    /// To be sent again as soon as the quota allows, before anything new.
    resend: VecDeque<PacketId>,
    /// Not sent yet.
    waiting: VecDeque<Sending>,
    /// Of this connection.
    quota: Option<Quota>,
}

/// Where packets and events of one step go.
pub(super) struct Sink<'a> {
    pub(super) version: Version,
    pub(super) output: &'a mut Vec<u8>,
    pub(super) events: &'a mut VecDeque<Event>,
}

impl Sink<'_> {
    fn published(&mut self, token: Token, result: Result<ReasonCode, Error>) {
        self.events.push_back(Event::Published { token, result });
    }

    fn pubrel(&mut self, id: PacketId, reason: ReasonCode) {
        Ack::new(id, reason).encode(PacketType::PubRel, self.version, self.output);
    }
}

impl Outgoing {
    pub(super) fn push(&mut self, token: Token, message: Message) {
        self.waiting.push_back(Sending { token, message });
    }

    /// How many messages are not settled.
    pub(super) fn open(&self) -> usize {
        self.waiting.len() + self.sender.open()
    }

    pub(super) fn reserve(&mut self) -> Option<PacketId> {
        self.sender.reserve()
    }

    pub(super) fn release(&mut self, id: PacketId) {
        // Only ids of pending requests come here, and those are reserved.
        let _ = self.sender.release(id);
    }

    /// The server takes this many at once, from now on.
    pub(super) fn open_quota(&mut self, max: u16) {
        self.quota = NonZeroU16::new(max).map(Quota::new);
    }

    /// The connection is over: what was sent stays until the server is seen again.
    pub(super) fn close(&mut self) {
        self.quota = None;
        self.resend.clear();
    }

    /// The server has kept the session: sends again what it has not acknowledged, in the order of
    /// the first sending `[MQTT-4.4.0-1 v5]` `[MQTT-4.6.0-1 v5]` `[MQTT-4.4.0-1 v3.1.1]`. Nothing
    /// is ever sent again while a connection lasts.
    pub(super) fn resume(&mut self, sink: &mut Sink<'_>) {
        for resend in self.sender.iter_resend() {
            match resend {
                Resend::Publish { id, .. } => self.resend.push_back(id),
                Resend::PubRel { id } => sink.pubrel(id, ReasonCode::Success),
            }
        }
    }

    /// The server has not kept the session, so its part of it is forgotten here too
    /// `[MQTT-3.2.2-5 v5]`. Messages of QoS 1 are new messages to it. Those of QoS 2 that it had
    /// taken are delivered; of the others nobody knows, and to send them again could do so twice.
    pub(super) fn restart(&mut self, sink: &mut Sink<'_>) {
        let mut again = VecDeque::new();
        for (id, entry) in self.sender.clear() {
            match entry {
                Entry::AtLeastOnce(sending) => again.push_back(sending),
                Entry::ExactlyOnce(sending) => {
                    sink.published(sending.token, Err(Error::SessionLost));
                }
                Entry::Released => {
                    if let Some(token) = self.released.remove(&id) {
                        sink.published(token, Ok(ReasonCode::Success));
                    }
                }
                Entry::Reserved => {}
            }
        }
        again.append(&mut self.waiting);
        self.waiting = again;
    }

    /// Sends what the quota allows. A message that this server does not take fails, and is
    /// reported.
    pub(super) fn pump(&mut self, server: &Connected, sink: &mut Sink<'_>) {
        while let Some(id) = self.resend.front().copied() {
            if !self.take_quota() {
                return;
            }
            self.resend.pop_front();
            self.send_again(id, server, sink);
        }
        while let Some(next) = self.waiting.front() {
            let qos = next.message.qos;
            let must_wait = qos != QoS::AtMostOnce && (self.sender.is_full() || !self.has_quota());
            if must_wait {
                return;
            }
            if let Some(sending) = self.waiting.pop_front() {
                self.send(sending, server, sink);
            }
        }
    }

    fn send(&mut self, sending: Sending, server: &Connected, sink: &mut Sink<'_>) {
        let Sending { token, message } = sending;
        let qos = message.qos;
        if qos == QoS::AtMostOnce {
            let sent = encode(&message, None, false, (server, sink));
            sink.published(token, sent.map(|()| ReasonCode::Success).map_err(Error::from));
            return;
        }
        // `pump` has seen that there is a free identifier [MQTT-2.2.1-3 v5].
        let Some(id) = self.sender.next_id() else { return };
        match encode(&message, Some(id), false, (server, sink)) {
            Ok(()) => {
                self.take_quota();
                self.sender.start(qos, Sending { token, message });
            }
            Err(invalid) => sink.published(token, Err(invalid.into())),
        }
    }

    fn send_again(&mut self, id: PacketId, server: &Connected, sink: &mut Sink<'_>) {
        let Some(sending) = self.sender.message_mut(id) else { return self.give_quota() };
        // [MQTT-3.3.1-1 v5]
        let Err(invalid) = encode(&sending.message, Some(id), true, (server, sink)) else { return };
        let token = sending.token;
        self.give_quota();
        self.sender.remove(id);
        sink.published(token, Err(invalid.into()));
    }

    pub(super) fn puback(&mut self, ack: &Ack<'_>, sink: &mut Sink<'_>) -> Result<(), Violation> {
        match self.sender.puback(ack.packet_id) {
            Ok(sending) => {
                self.give_quota();
                sink.published(sending.token, outcome(ack));
                Ok(())
            }
            // Harmless: a server that is late, or sure.
            Err(Unknown::NotOpen) => Ok(()),
            Err(Unknown::OtherKind) => Err(Violation::UnknownPacketId(PacketType::PubAck)),
        }
    }

    pub(super) fn pubrec(&mut self, ack: &Ack<'_>, sink: &mut Sink<'_>) -> Result<(), Violation> {
        let id = ack.packet_id;
        match self.sender.pubrec(id, ack.reason) {
            PubRecOutcome::Release(sending) => {
                self.released.insert(id, sending.token);
                sink.pubrel(id, ReasonCode::Success);
            }
            PubRecOutcome::Settled(sending) => {
                self.give_quota();
                sink.published(sending.token, outcome(ack));
            }
            PubRecOutcome::AlreadyReleased => sink.pubrel(id, ReasonCode::Success),
            PubRecOutcome::Unknown => sink.pubrel(id, ReasonCode::PacketIdentifierNotFound),
            PubRecOutcome::OtherKind => {
                return Err(Violation::UnknownPacketId(PacketType::PubRec));
            }
        }
        Ok(())
    }

    pub(super) fn pubcomp(&mut self, ack: &Ack<'_>, sink: &mut Sink<'_>) -> Result<(), Violation> {
        match self.sender.pubcomp(ack.packet_id) {
            Ok(()) => {
                self.give_quota();
                // The message became the server's with PUBREC, whatever PUBCOMP says.
                if let Some(token) = self.released.remove(&ack.packet_id) {
                    sink.published(token, Ok(ReasonCode::Success));
                }
                Ok(())
            }
            Err(Unknown::NotOpen) => Ok(()),
            Err(Unknown::OtherKind) => Err(Violation::UnknownPacketId(PacketType::PubComp)),
        }
    }

    fn has_quota(&self) -> bool {
        self.quota.is_some_and(|quota| quota.left() > 0)
    }

    /// Never more unacknowledged than the server takes `[MQTT-3.3.4-7 v5]` `[MQTT-4.9.0-2 v5]`.
    fn take_quota(&mut self) -> bool {
        self.quota.as_mut().is_some_and(Quota::take)
    }

    fn give_quota(&mut self) {
        if let Some(quota) = &mut self.quota {
            quota.give();
        }
    }
}

fn outcome(ack: &Ack<'_>) -> Result<ReasonCode, Error> {
    if !ack.reason.is_error() {
        return Ok(ack.reason);
    }
    Err(Error::Rejected(Notice {
        reason: ack.reason,
        code: ack.reason.as_u8(),
        reason_string: ack.reason_string.map(str::to_owned),
        server_reference: None,
    }))
}

/// Appends the PUBLISH, or says why this server must not get it.
fn encode(
    message: &Message,
    packet_id: Option<PacketId>,
    dup: bool,
    (server, sink): (&Connected, &mut Sink<'_>),
) -> Result<(), Invalid> {
    server.check_publish(message.qos, message.retain)?;
    let publish = Publish {
        dup,
        qos: message.qos,
        retain: message.retain,
        topic: TopicName::parse(&message.topic).map_err(Invalid::TopicName)?,
        packet_id,
        properties: message.publish_properties(),
        payload: &message.payload,
    };
    server.check_size(publish.encoded_len(sink.version))?;
    publish.encode(sink.version, sink.output);
    Ok(())
}
