//! Messages on their way from the server.

use super::acks::Acks;
use super::journal::Change;
use super::sink::Sink;
use crate::delivery::{AckToken, Delivery};
use crate::error::Violation;
use crate::options::{Acknowledge, Options};
use alloc::string::String;
use alloc::vec::Vec;
use noctule_proto::delivery::{Arrival, Receiver};
use noctule_proto::packet::{Ack, Publish};
use noctule_proto::{Frame, PacketId, PacketType, QoS, ReasonCode, Role, TopicName, Version};

#[derive(Debug)]
pub(super) struct Incoming {
    /// Messages of QoS 2 that are acknowledged and not released.
    receiver: Receiver<Accepted>,
    /// Counts connections.
    connection: u64,
    /// Something that is known may be of a session that is no more.
    in_doubt: bool,
    /// How many PUBRECs of this connection wait for their PUBREL.
    unreleased: usize,
    /// What the aliases of this connection stand for; alias 1 comes first.
    aliases: Vec<Option<String>>,
    alias_max: u16,
    /// The topic of the last message that named one. The next is likely to name it again.
    last_topic: String,
    receive_max: u16,
    acknowledge: Acknowledge,
    acks: Acks,
}

/// A message of QoS 2 that is not handed over again.
#[derive(Clone, Copy, Debug, Default)]
struct Accepted {
    /// The connection on which PUBREC left last. `None`: it has not, or not from this process.
    answered_on: Option<u64>,
    /// It may be of a session that the server has forgotten.
    doubtful: bool,
}

/// A message that the application has not had yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh {
    /// Where its topic is kept, if it came as an alias.
    alias: Option<usize>,
    ack: Option<AckToken>,
}

impl Incoming {
    pub(super) fn new(options: &Options) -> Incoming {
        Incoming {
            receiver: Receiver::new(),
            connection: 1,
            in_doubt: false,
            unreleased: 0,
            aliases: Vec::new(),
            alias_max: options.topic_alias_maximum,
            last_topic: String::new(),
            receive_max: options.receive_maximum,
            acknowledge: options.acknowledge,
            acks: Acks::default(),
        }
    }

    /// The connection is over: aliases do not outlive it `[MQTT-3.3.2-7 v5]`, QoS 2 does.
    pub(super) fn close(&mut self) {
        self.aliases.clear();
        self.acks.close();
        self.connection += 1;
        self.unreleased = 0;
    }

    /// The server has not kept the session.
    pub(super) fn restart(&mut self) {
        self.receiver.clear().for_each(drop);
        self.acks.clear();
        self.in_doubt = false;
    }

    /// The server may have begun the session anew without our knowing.
    pub(super) fn doubt(&mut self) {
        self.in_doubt = true;
        self.receiver.messages_mut().for_each(|accepted| accepted.doubtful = true);
        self.acks.doubt();
    }

    /// A message of QoS 2 that an earlier process acknowledged.
    pub(super) fn place(&mut self, id: PacketId, doubtful: bool) {
        self.in_doubt |= doubtful;
        self.receiver.publish(id, Accepted { answered_on: None, doubtful });
    }

    /// Messages of QoS 2 that are acknowledged and not released, and which of them may be of a
    /// session that the server has forgotten.
    pub(super) fn received(&self) -> impl Iterator<Item = (PacketId, bool)> {
        self.receiver.iter().map(|(id, accepted)| (id, accepted.doubtful))
    }

    /// A message comes: what [`publish`](Self::publish) says of it.
    #[inline]
    pub(super) fn read<'a>(
        &mut self,
        frame: Frame<'a>,
        sink: &mut Sink<'_>,
    ) -> Result<Option<(Publish<'a>, Fresh)>, Violation> {
        let last = TopicName::trusted(&self.last_topic);
        let (publish, is_last) = Publish::decode_after(last, frame, sink.version, Role::Server)
            .map_err(Violation::Decode)?;
        let fresh = self.publish(&publish, is_last, sink)?;
        Ok(fresh.map(|fresh| (publish, fresh)))
    }

    /// Takes a message in, whose topic may be the last one. `None`: it has been received before.
    /// What the library acknowledges, it acknowledges in the order of its coming
    /// `[MQTT-4.6.0-2 v5]` `[MQTT-4.6.0-3 v5]`, wanted or not `[MQTT-4.5.0-2 v5]`
    /// `[MQTT-4.5.0-2 v3.1.1]`, expired or not `[MQTT-4.3.3-13 v5]`.
    #[inline]
    pub(super) fn publish(
        &mut self,
        publish: &Publish<'_>,
        is_last: bool,
        sink: &mut Sink<'_>,
    ) -> Result<Option<Fresh>, Violation> {
        let alias = self.name(publish, is_last)?;
        let Some(id) = publish.packet_id else { return Ok(Some(Fresh { alias, ack: None })) };
        if self.in_doubt && publish.qos == QoS::ExactlyOnce && !publish.dup {
            self.forget_namesake(id, sink);
        }
        self.check_receive_max(id, publish.qos, sink.version)?;
        let fresh = match self.acknowledge {
            Acknowledge::Automatically => {
                // [MQTT-4.3.3-10 v5]
                let repeat = publish.qos == QoS::ExactlyOnce && !self.accept(id, false, sink);
                self.send_ack(id, publish.qos, ReasonCode::Success, sink);
                (!repeat).then_some(Fresh { alias, ack: None })
            }
            Acknowledge::ByApplication => {
                let ack = self.arrive(id, publish.qos);
                self.send_decided(sink);
                ack.map(|ack| Fresh { alias, ack: Some(ack) })
            }
        };
        Ok(fresh)
    }

    /// The server sends for the first time what one that knows our session would send again, and
    /// say so `[MQTT-3.3.1-1 v5]`: it is another message, of another session.
    fn forget_namesake(&mut self, id: PacketId, sink: &mut Sink<'_>) {
        if self.acks.is_in_line(id) {
            return;
        }
        self.acks.forget_doubtful(id);
        if self.receiver.message_mut(id).is_some_and(|accepted| accepted.doubtful) {
            self.receiver.release(id);
            sink.note(|| Change::Completed(id));
        }
    }

    /// `None`: the application has had it.
    fn arrive(&mut self, id: PacketId, qos: QoS) -> Option<AckToken> {
        if qos == QoS::ExactlyOnce && self.receiver.is_open(id) {
            self.acks.repeat(id);
            return None;
        }
        self.acks.arrive(id, qos)
    }

    /// The application's word on a message.
    pub(super) fn decide(&mut self, token: AckToken, reason: ReasonCode, sink: &mut Sink<'_>) {
        let decided = self.acks.decide(token, reason);
        // The application is done with it, even if PUBREC has to wait for those before, or for
        // the message to come again.
        if decided == Some(QoS::ExactlyOnce) && !reason.is_error() {
            self.accept(token.id, self.acks.is_doubtful(token.arrival), sink);
        }
        if decided.is_some() {
            self.send_decided(sink);
        }
    }

    /// From now on this message of QoS 2 is not handed over again. `false`: it was so before.
    fn accept(&mut self, id: PacketId, doubtful: bool, sink: &mut Sink<'_>) -> bool {
        let accepted = Accepted { answered_on: None, doubtful };
        let fresh = self.receiver.publish(id, accepted) == Arrival::Fresh;
        if fresh {
            sink.note(|| Change::Received { id, doubtful });
        }
        fresh
    }

    fn send_decided(&mut self, sink: &mut Sink<'_>) {
        while let Some((id, qos, reason)) = self.acks.next() {
            self.send_ack(id, qos, reason, sink);
        }
    }

    /// By QoS `[MQTT-3.3.4-1 v5]` `[MQTT-3.3.4-1 v3.1.1]` `[V31-3.3-1]` `[MQTT-4.3.2-4 v5]`
    /// `[MQTT-4.3.3-8 v5]` `[MQTT-4.3.2-2 v3.1.1]`.
    fn send_ack(&mut self, id: PacketId, qos: QoS, reason: ReasonCode, sink: &mut Sink<'_>) {
        let packet = match qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => PacketType::PubAck,
            QoS::ExactlyOnce => {
                // A refused message is not there: it is done with [MQTT-4.3.3-9 v5].
                if let Some(accepted) = self.receiver.message_mut(id) {
                    let before = accepted.answered_on.replace(self.connection);
                    self.unreleased += usize::from(before != Some(self.connection));
                }
                PacketType::PubRec
            }
        };
        sink.answer(packet, id, reason);
    }

    /// What counts is what came on this connection and has neither PUBACK nor PUBCOMP (3.3.4 v5):
    /// a server need not complete what it has forgotten of a session. Before 5.0 nothing limits a
    /// server but the number of identifiers.
    fn check_receive_max(&self, id: PacketId, qos: QoS, version: Version) -> Result<(), Violation> {
        let max = if version == Version::V5 { self.receive_max } else { u16::MAX };
        if self.unreleased + self.acks.waiting() < usize::from(max) {
            return Ok(());
        }
        let again = qos == QoS::ExactlyOnce && (self.receiver.is_open(id) || self.acks.knows(id));
        // What is acknowledged at once was never one too many.
        let at_once = qos == QoS::AtLeastOnce && self.acknowledge == Acknowledge::Automatically;
        if again || at_once {
            return Ok(());
        }
        Err(Violation::ReceiveMaximum)
    }

    /// PUBREL: the server will not send this message again `[MQTT-4.3.3-11 v5]`.
    pub(super) fn pubrel(&mut self, pubrel: &Ack<'_>, sink: &mut Sink<'_>) {
        let id = pubrel.packet_id;
        let reason = match self.receiver.release(id) {
            Some(accepted) => {
                self.unreleased -= usize::from(accepted.answered_on == Some(self.connection));
                sink.note(|| Change::Completed(id));
                ReasonCode::Success
            }
            None => ReasonCode::PacketIdentifierNotFound,
        };
        sink.answer(PacketType::PubComp, id, reason);
    }

    /// Learns what the alias of a message stands for, or finds the one that stands for its topic.
    #[inline]
    fn name(&mut self, publish: &Publish<'_>, is_last: bool) -> Result<Option<usize>, Violation> {
        if !publish.topic.is_empty() {
            self.last_topic.clear();
            self.last_topic.push_str(publish.topic.as_str());
        }
        let Some(alias) = publish.properties.topic_alias else { return Ok(None) };
        // [MQTT-3.3.2-10 v5]
        if alias.get() > self.alias_max {
            return Err(Violation::TopicAlias);
        }
        let at = usize::from(alias.get()) - 1;
        if publish.topic.is_empty() && !is_last {
            // (U5-3.3.2-2)
            let known = self.aliases.get(at).is_some_and(Option::is_some);
            return if known { Ok(Some(at)) } else { Err(Violation::UnknownAlias) };
        }
        if self.aliases.len() <= at {
            self.aliases.resize(at + 1, None);
        }
        self.aliases[at] = Some(self.last_topic.clone());
        Ok(None)
    }

    /// The message as the application sees it; its payload may be anything `[U5-3.3.2-3]`.
    #[inline]
    pub(super) fn delivery<'a>(&'a self, publish: Publish<'a>, fresh: Fresh) -> Delivery<'a> {
        let aliased = fresh.alias.and_then(|at| self.aliases.get(at)?.as_deref());
        Delivery {
            topic: aliased.unwrap_or(&self.last_topic),
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            duplicate: publish.dup,
            packet_id: publish.packet_id.map_or(0, PacketId::value),
            properties: publish.properties,
            ack: fresh.ack,
        }
    }
}
