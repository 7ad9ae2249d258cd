//! Messages on their way from the server.

use crate::error::Violation;
use crate::message::Message;
use bytes::Bytes;
use noctule_proto::delivery::{Arrival, Receiver};
use noctule_proto::packet::{Ack, Publish};
use noctule_proto::property::PropertiesBuf;
use noctule_proto::{PacketType, QoS, ReasonCode, Version};

#[derive(Debug)]
pub(super) struct Incoming {
    receiver: Receiver<()>,
    /// What the aliases of this connection stand for; alias 1 comes first.
    aliases: Vec<Option<String>>,
    alias_max: u16,
    receive_max: u16,
}

impl Incoming {
    pub(super) fn new(alias_max: u16, receive_max: u16) -> Incoming {
        Incoming { receiver: Receiver::new(), aliases: Vec::new(), alias_max, receive_max }
    }

    /// The connection is over: aliases do not outlive it `[MQTT-3.3.2-7 v5]`, QoS 2 does.
    pub(super) fn close(&mut self) {
        self.aliases.clear();
    }

    /// The server has not kept the session.
    pub(super) fn restart(&mut self) {
        self.receiver.clear().for_each(drop);
    }

    /// Takes a message in and acknowledges it. `None`: it has been received before. A message is
    /// acknowledged in the order of its coming `[MQTT-4.6.0-2 v5]` `[MQTT-4.6.0-3 v5]`, wanted or
    /// not `[MQTT-4.5.0-2 v5]`.
    pub(super) fn publish(
        &mut self,
        publish: &Publish<'_>,
        version: Version,
        output: &mut Vec<u8>,
    ) -> Result<Option<Message>, Violation> {
        let topic = self.topic(publish)?;
        let ack = |reason| publish.packet_id.map(|id| Ack::new(id, reason));
        match (publish.qos, ack(ReasonCode::Success)) {
            (QoS::AtMostOnce, _) | (_, None) => {}
            (QoS::AtLeastOnce, Some(ack)) => ack.encode(PacketType::PubAck, version, output),
            (QoS::ExactlyOnce, Some(ack)) => {
                self.check_receive_max(&ack, version)?;
                let arrival = self.receiver.publish(ack.packet_id, ());
                ack.encode(PacketType::PubRec, version, output);
                // [MQTT-4.3.3-10 v5]
                if arrival == Arrival::Repeat {
                    return Ok(None);
                }
            }
        }
        Ok(Some(message(publish, topic)))
    }

    fn check_receive_max(&self, ack: &Ack<'_>, version: Version) -> Result<(), Violation> {
        let full = self.receiver.open() >= usize::from(self.receive_max);
        if version == Version::V5 && full && !self.receiver.is_open(ack.packet_id) {
            // (3.3.4 v5)
            return Err(Violation::ReceiveMaximum);
        }
        Ok(())
    }

    /// PUBREL: the server will not send this message again.
    pub(super) fn pubrel(&mut self, pubrel: &Ack<'_>, version: Version, output: &mut Vec<u8>) {
        let reason = match self.receiver.release(pubrel.packet_id) {
            Some(()) => ReasonCode::Success,
            None => ReasonCode::PacketIdentifierNotFound,
        };
        Ack::new(pubrel.packet_id, reason).encode(PacketType::PubComp, version, output);
    }

    fn topic(&mut self, publish: &Publish<'_>) -> Result<String, Violation> {
        let Some(alias) = publish.properties.topic_alias else {
            return Ok(publish.topic.as_str().to_owned());
        };
        // [MQTT-3.3.2-10 v5]
        if alias.get() > self.alias_max {
            return Err(Violation::TopicAlias);
        }
        let at = usize::from(alias.get()) - 1;
        if publish.topic.is_empty() {
            // (U5-3.3.2-2)
            return self.aliases.get(at).cloned().flatten().ok_or(Violation::UnknownAlias);
        }
        if self.aliases.len() <= at {
            self.aliases.resize(at + 1, None);
        }
        let topic = publish.topic.as_str().to_owned();
        self.aliases[at] = Some(topic.clone());
        Ok(topic)
    }
}

fn message(publish: &Publish<'_>, topic: String) -> Message {
    Message {
        topic,
        payload: Bytes::copy_from_slice(publish.payload),
        qos: publish.qos,
        retain: publish.retain,
        expiry_secs: publish.properties.message_expiry_secs,
        properties: PropertiesBuf::from(publish.properties.others),
        duplicate: publish.dup,
        subscription_ids: publish.properties.subscription_ids.iter().collect(),
    }
}
