//! Messages on their way to the server: waiting, sent, acknowledged.

use super::aliases::{Aliases, Naming};
use super::connected::Connected;
use super::event::Token;
use super::journal::Change;
use super::sink::Sink;
use crate::error::{Error, Invalid, Notice, Violation};
use crate::message::Message;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use noctule_proto::delivery::{Entry, PubRecOutcome, Resend, Sender, Unknown};
use noctule_proto::packet::{Ack, Publish};
use noctule_proto::{PacketId, PacketType, QoS, ReasonCode, TopicName, Version};

/// A message and how its publisher knows it.
#[derive(Clone, Debug)]
struct Sending {
    token: Token,
    message: Message,
    /// The connection on which it was sent last; 0 before it is.
    connection: u64,
}

/// A message that the server is to complete, and how its publisher knows it.
#[derive(Clone, Copy, Debug)]
struct Released {
    token: Token,
    /// Why it was released without PUBREC: whether the server has the message is not known.
    refused: Option<Invalid>,
}

impl Released {
    /// What PUBCOMP means for the publisher. The message became the server's with PUBREC, whatever
    /// PUBCOMP says; without PUBREC only 5.0 tells.
    fn outcome(self, reason: ReasonCode, version: Version) -> Result<ReasonCode, Error> {
        match self.refused {
            Some(invalid) if version != Version::V5 || reason.is_error() => Err(invalid.into()),
            Some(_) | None => Ok(ReasonCode::Success),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Sent and not settled. Boxed, since the ring of the sender comes and goes with each burst.
    sender: Sender<Box<Sending>>,
    /// Publishers of what has been released by PUBREL: the message itself is the server's by then.
    released: BTreeMap<PacketId, Released>,
    /// To be sent again as soon as the quota allows, before anything new.
    resend: VecDeque<PacketId>,
    /// Not sent yet.
    waiting: VecDeque<Sending>,
    /// Counts connections.
    connection: u64,
    /// How many messages this server takes at once; 0 without a connection.
    window: u16,
    /// How many it has: PUBLISHes of this connection without their last acknowledgement, and
    /// what was released on an earlier one and is not completed. A server that counts what its
    /// session holds, not what came on this connection, is not overrun either.
    in_flight: usize,
    aliases: Aliases,
}

impl Outgoing {
    /// Sends a message, or takes it in line: [`pump`](Self::pump) sends it then.
    #[inline]
    pub(super) fn publish(
        &mut self,
        token: Token,
        message: Message,
        server: Option<&Connected>,
        sink: &mut Sink<'_>,
    ) {
        let qos = message.qos;
        if qos != QoS::AtMostOnce {
            sink.note(|| Change::Queued { token, message: message.clone() });
        }
        match server {
            Some(server) if self.is_line_empty() && self.may_send(qos) => {
                self.send(Sending { token, message, connection: 0 }, server, sink);
            }
            Some(_) | None => self.queue(token, message),
        }
    }

    pub(super) fn is_line_empty(&self) -> bool {
        self.waiting.is_empty() && self.resend.is_empty()
    }

    fn may_send(&self, qos: QoS) -> bool {
        qos == QoS::AtMostOnce || self.has_room() && !self.sender.is_full()
    }

    /// The same for a message that is kept already.
    pub(super) fn queue(&mut self, token: Token, message: Message) {
        self.waiting.push_back(Sending { token, message, connection: 0 });
    }

    /// Puts back what an earlier process had sent: the message, or nothing of it once it is
    /// released. In the order of the first sending.
    pub(super) fn place(&mut self, id: PacketId, token: Token, message: Option<Message>) {
        let entry = match message {
            Some(message) if message.qos == QoS::ExactlyOnce => {
                Entry::ExactlyOnce(Box::new(Sending { token, message, connection: 0 }))
            }
            Some(message) => {
                Entry::AtLeastOnce(Box::new(Sending { token, message, connection: 0 }))
            }
            None => {
                self.released.insert(id, Released { token, refused: None });
                Entry::Released
            }
        };
        self.sender.place(id, entry);
    }

    /// All that has to survive the process, as few changes.
    pub(super) fn snapshot(&self, changes: &mut Vec<Change>) {
        for (id, entry) in self.sender.iter() {
            match entry {
                Entry::AtLeastOnce(sending) | Entry::ExactlyOnce(sending) => {
                    changes.push(sending.queued());
                    changes.push(Change::Sent { token: sending.token, id });
                }
                Entry::Released => {
                    let Some(Released { token, .. }) = self.released.get(&id).copied() else {
                        continue;
                    };
                    changes.push(Change::Released { token, id });
                }
                Entry::Reserved => {}
            }
        }
        let kept = self.waiting.iter().filter(|sending| sending.message.qos != QoS::AtMostOnce);
        changes.extend(kept.map(Sending::queued));
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

    /// The server takes this many messages at once, and this many aliases, from now on.
    pub(super) fn open_connection(&mut self, receive_maximum: u16, aliases: u16) {
        self.connection += 1;
        // [MQTT-4.9.0-1 v5]
        (self.window, self.in_flight) = (receive_maximum, 0);
        self.aliases.open(aliases);
    }

    /// The connection is over: what was sent stays until the server is seen again.
    pub(super) fn close(&mut self) {
        self.window = 0;
        self.resend.clear();
    }

    /// The server has kept the session: sends again what it has not acknowledged, in the order of
    /// the first sending `[MQTT-4.4.0-1 v5]` `[MQTT-4.6.0-1 v5]` `[MQTT-4.4.0-1 v3.1.1]`. Nothing
    /// is ever sent again while a connection lasts.
    pub(super) fn resume(&mut self, sink: &mut Sink<'_>) {
        for resend in self.sender.iter_resend() {
            match resend {
                Resend::Publish { id, .. } => self.resend.push_back(id),
                Resend::PubRel { id } => {
                    self.in_flight += 1;
                    sink.answer(PacketType::PubRel, id, ReasonCode::Success);
                }
            }
        }
    }

    /// Whether a session holds nothing of what was sent.
    pub(super) fn is_settled(&self) -> bool {
        self.sender.open() == 0
    }

    /// The server has not kept the session, so its part of it is forgotten here too
    /// `[MQTT-3.2.2-5 v5]`. Messages of QoS 1 are new messages to it. Of those of QoS 2 nobody
    /// knows, and to send them again could deliver them twice: a server passes them on when PUBLISH
    /// comes or when PUBREL does, as it likes (4.3.3), and until PUBCOMP either may be lost.
    pub(super) fn restart(&mut self, sink: &mut Sink<'_>) {
        let mut again = VecDeque::new();
        for (id, entry) in self.sender.clear() {
            match entry {
                // `Change::Forgotten` says as much.
                Entry::AtLeastOnce(sending) => again.push_back(*sending),
                Entry::ExactlyOnce(sending) => {
                    sink.published(sending.token, Err(Error::SessionLost));
                }
                Entry::Released => {
                    if let Some(Released { token, .. }) = self.released.remove(&id) {
                        sink.published(token, Err(Error::SessionLost));
                    }
                }
                Entry::Reserved => {}
            }
        }
        again.append(&mut self.waiting);
        self.waiting = again;
    }

    /// Sends what the quota allows; nothing else waits for it `[MQTT-3.3.4-8 v5]`
    /// `[MQTT-4.9.0-3 v5]`. A message that this server does not take fails, and is
    /// reported.
    pub(super) fn pump(&mut self, server: &Connected, sink: &mut Sink<'_>) {
        while let Some(id) = self.resend.front().copied() {
            // Not what the server has acknowledged before it came again.
            let sending = self.sender.message_mut(id).map(|sending| sending.clone());
            if sending.is_some() && !self.has_room() {
                return;
            }
            self.resend.pop_front();
            if let Some(sending) = sending {
                self.send_again(id, &sending, server, sink);
            }
        }
        while let Some(next) = self.waiting.front() {
            if !self.may_send(next.message.qos) {
                return;
            }
            if let Some(sending) = self.waiting.pop_front() {
                self.send(sending, server, sink);
            }
        }
    }

    /// Puts out a message of QoS 0, which is done with then.
    #[inline]
    pub(super) fn put_out(
        &mut self,
        message: &Message,
        server: &Connected,
        sink: &mut Sink<'_>,
    ) -> Result<(), Invalid> {
        self.encode(message, Attempt::FIRST, server, sink)
    }

    fn send(&mut self, sending: Sending, server: &Connected, sink: &mut Sink<'_>) {
        let Sending { token, message, .. } = sending;
        let qos = message.qos;
        if qos == QoS::AtMostOnce {
            let sent = self.put_out(&message, server, sink);
            sink.published(token, sent.map(|()| ReasonCode::Success).map_err(Error::from));
            return;
        }
        // `may_send` has seen that there is a free identifier [MQTT-2.2.1-3 v5]
        // [MQTT-2.3.1-2 v3.1.1]. DUP is for later [MQTT-4.3.2-2 v5] [MQTT-4.3.3-2 v5].
        let Some(id) = self.sender.next_id() else { return };
        match self.encode(&message, Attempt { id: Some(id), dup: false }, server, sink) {
            Ok(()) => {
                self.in_flight += 1;
                let sending = Sending { token, message, connection: self.connection };
                self.sender.start(qos, Box::new(sending));
                sink.note(|| Change::Sent { token, id });
            }
            Err(invalid) => settle(token, Err(invalid.into()), sink),
        }
    }

    fn send_again(
        &mut self,
        id: PacketId,
        sending: &Sending,
        server: &Connected,
        sink: &mut Sink<'_>,
    ) {
        // However long ago [MQTT-4.3.3-7 v5], under the old identifier [MQTT-2.3.1-3 v3.1.1].
        // [MQTT-3.3.1-1 v5] [MQTT-3.3.1-1 v3.1.1] [V31-2.1-1] [V31-4.2-1]
        let again = Attempt { id: Some(id), dup: true };
        match self.encode(&sending.message, again, server, sink) {
            Ok(()) => {
                self.in_flight += 1;
                if let Some(open) = self.sender.message_mut(id) {
                    open.connection = self.connection;
                }
            }
            Err(invalid) => self.give_up(id, sending, invalid, sink),
        }
    }

    /// This server does not take a message that it may have taken before. Its identifier is not
    /// free until both ends know so; for QoS 2 PUBREL and PUBCOMP tell them.
    fn give_up(&mut self, id: PacketId, sending: &Sending, invalid: Invalid, sink: &mut Sink<'_>) {
        let token = sending.token;
        if sending.message.qos != QoS::ExactlyOnce {
            self.sender.remove(id);
            return settle(token, Err(invalid.into()), sink);
        }
        self.sender.place(id, Entry::Released);
        self.released.insert(id, Released { token, refused: Some(invalid) });
        self.in_flight += 1;
        sink.note(|| Change::Released { token, id });
        sink.answer(PacketType::PubRel, id, ReasonCode::Success);
    }

    pub(super) fn puback(&mut self, ack: &Ack<'_>, sink: &mut Sink<'_>) -> Result<(), Violation> {
        match self.sender.puback(ack.packet_id) {
            Ok(sending) => {
                self.in_flight -= usize::from(self.is_here(&sending));
                settle(sending.token, outcome(ack), sink);
                Ok(())
            }
            // Harmless: a server that is late, or sure.
            Err(Unknown::NotOpen) => Ok(()),
            Err(Unknown::OtherKind) => Err(Violation::UnknownPacketId(PacketType::PubAck)),
        }
    }

    /// At once, and so in order `[MQTT-4.6.0-4 v5]` `[MQTT-4.6.0-4 v3.1.1]` `[V31-3.5-1]`.
    pub(super) fn pubrec(&mut self, ack: &Ack<'_>, sink: &mut Sink<'_>) -> Result<(), Violation> {
        let id = ack.packet_id;
        match self.sender.pubrec(id, ack.reason) {
            PubRecOutcome::Release(sending) => {
                self.in_flight += usize::from(!self.is_here(&sending));
                self.released.insert(id, Released { token: sending.token, refused: None });
                sink.note(|| Change::Released { token: sending.token, id });
                sink.answer(PacketType::PubRel, id, ReasonCode::Success);
            }
            PubRecOutcome::Settled(sending) => {
                self.in_flight -= usize::from(self.is_here(&sending));
                settle(sending.token, outcome(ack), sink);
            }
            PubRecOutcome::AlreadyReleased => {
                sink.answer(PacketType::PubRel, id, ReasonCode::Success);
            }
            PubRecOutcome::Unknown => {
                sink.answer(PacketType::PubRel, id, ReasonCode::PacketIdentifierNotFound);
            }
            PubRecOutcome::OtherKind => {
                return Err(Violation::UnknownPacketId(PacketType::PubRec));
            }
        }
        Ok(())
    }

    pub(super) fn pubcomp(&mut self, ack: &Ack<'_>, sink: &mut Sink<'_>) -> Result<(), Violation> {
        match self.sender.pubcomp(ack.packet_id) {
            Ok(()) => {
                self.in_flight -= 1;
                if let Some(released) = self.released.remove(&ack.packet_id) {
                    settle(released.token, released.outcome(ack.reason, sink.version), sink);
                }
                Ok(())
            }
            Err(Unknown::NotOpen) => Ok(()),
            Err(Unknown::OtherKind) => Err(Violation::UnknownPacketId(PacketType::PubComp)),
        }
    }

    /// Appends the PUBLISH, or says why this server must not get it.
    fn encode(
        &mut self,
        message: &Message,
        attempt: Attempt,
        server: &Connected,
        sink: &mut Sink<'_>,
    ) -> Result<(), Invalid> {
        server.check_publish(message.qos, message.retain)?;
        // The session has checked it when it took the message.
        let topic = TopicName::trusted(&message.topic);
        let mut publish = Publish {
            dup: attempt.dup,
            qos: message.qos,
            retain: message.retain,
            topic,
            packet_id: attempt.id,
            properties: message.publish_properties(),
            payload: &message.payload,
        };
        let len = publish.encoded_len(sink.version);
        server.check_size(len)?;
        if server.check_size(len + ALIAS_LEN).is_ok() {
            match self.aliases.name(&message.topic) {
                Naming::Topic => {}
                Naming::Both(alias) => publish.properties.topic_alias = Some(alias),
                Naming::Alias(alias) => {
                    publish.properties.topic_alias = Some(alias);
                    publish.topic = TopicName::EMPTY;
                }
            }
        }
        publish.encode(sink.version, sink.output.end());
        Ok(())
    }

    /// Never more unacknowledged than the server takes `[MQTT-3.3.4-7 v5]` `[MQTT-4.9.0-2 v5]`.
    fn has_room(&self) -> bool {
        self.in_flight < usize::from(self.window)
    }

    /// Whether a message was sent on this connection, and not only before.
    fn is_here(&self, sending: &Sending) -> bool {
        sending.connection == self.connection
    }
}

/// What became of this one message; the connection goes on `[U5-4.13.2-1]`.
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

/// How a message goes out.
#[derive(Clone, Copy)]
struct Attempt {
    id: Option<PacketId>,
    dup: bool,
}

impl Attempt {
    /// QoS 0: once, and without a name.
    const FIRST: Attempt = Attempt { id: None, dup: false };
}

/// What a topic alias may add to a packet: the property, and a longer length before it.
const ALIAS_LEN: usize = 3 + 2;

impl Sending {
    fn queued(&self) -> Change {
        Change::Queued { token: self.token, message: self.message.clone() }
    }
}

/// The end of a message of QoS 1 or 2.
fn settle(token: Token, result: Result<ReasonCode, Error>, sink: &mut Sink<'_>) {
    sink.note(|| Change::Settled { token });
    sink.published(token, result);
}
