//! What a client says.

use super::link::Asking;
use super::{Client, Link, Sending, Sent};
use crate::sim::chance::Chance;
use crate::sim::ledger::{Answer, Ledger, Wanted};
use noctule_proto::packet::{
    Ack, Connect, ConnectProperties, Disconnect, Packet, Publish, PublishProperties, Subscribe,
    SubscribeFiltersBuf, Unsubscribe, UnsubscribeFiltersBuf, Will,
};
use noctule_proto::property::UserProperties;
use noctule_proto::{PacketId, QoS, ReasonCode, TopicFilter, TopicName, Version};
use std::num::{NonZeroU16, NonZeroU32};

/// A packet id from its number.
pub(super) fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).expect("ids begin at 1")
}

impl Client {
    /// CONNECT by the terms of the link.
    pub(crate) fn connect(&mut self, link: &mut Link, ledger: &Ledger, now: u64) {
        let terms = link.terms.clone();
        let payload = terms.will.map(|(number, _)| ledger.messages[number].payload(number));
        let will = terms.will.map(|(number, delay_secs)| {
            let message = &ledger.messages[number];
            Will {
                topic: TopicName::parse(&ledger.universe.topics[message.topic]).expect("a topic"),
                payload: payload.as_deref().unwrap_or_default(),
                qos: message.qos,
                retain: message.retain,
                delay_secs,
                message_expiry_secs: message.expiry_secs,
                others: message.others.as_properties(),
            }
        });
        let v5 = self.version == Version::V5;
        let properties = ConnectProperties {
            session_expiry_secs: (v5 && terms.expiry_secs > 0).then_some(terms.expiry_secs),
            receive_maximum: NonZeroU16::new(terms.receive_maximum).filter(|_| v5),
            maximum_packet_size: NonZeroU32::new(terms.packet_size_max).filter(|_| v5),
            topic_alias_maximum: (v5 && terms.alias_max > 0).then_some(terms.alias_max),
            request_problem_information: v5.then_some(terms.problem_information),
            ..ConnectProperties::default()
        };
        let connect = Connect {
            version: self.version,
            bridge: false,
            clean_start: terms.clean_start,
            keep_alive_secs: terms.keep_alive_secs,
            client_id: &self.id,
            will,
            user_name: None,
            password: None,
            properties,
        };
        link.send(now, &Packet::Connect(connect), Sent::Connect);
    }

    /// Publishes a message that the ledger knows.
    pub(crate) fn publish(
        &mut self,
        link: &mut Link,
        ledger: &Ledger,
        (number, now): (usize, u64),
        chance: &mut Chance,
    ) {
        let qos = ledger.messages[number].qos;
        let id = (qos != QoS::AtMostOnce).then(|| self.packet_id(link));
        if let Some(id) = id {
            self.sending.push_back(Sending { id, number, qos, released: false });
        }
        send_publish(link, ledger, (number, id, false), (now, chance));
    }

    /// After a reconnect: everything open, in order. [MQTT-4.4.0-1 v5], [MQTT-4.6.0-1 v5]
    pub(super) fn send_again(
        &mut self,
        link: &mut Link,
        ledger: &Ledger,
        (now, chance): (u64, &mut Chance),
    ) {
        for sending in &self.sending {
            if sending.released {
                pubrel(link, sending.id, now);
            } else {
                let what = (sending.number, Some(sending.id), true);
                send_publish(link, ledger, what, (now, chance));
            }
        }
    }

    pub(crate) fn subscribe(
        &mut self,
        link: &mut Link,
        (ledger, now): (&Ledger, u64),
        mut wanted: Vec<Wanted>,
    ) {
        let id = self.packet_id(link);
        let v5 = link.is_v5();
        self.next_subscription += 1;
        let mut filters = SubscribeFiltersBuf::new();
        for entry in &mut wanted {
            entry.subscription_id = if v5 { self.next_subscription } else { 0 };
            let text = &ledger.universe.filters[entry.filter].text;
            filters.push(TopicFilter::parse(text).expect("a filter"), entry.options);
        }
        let packet = Packet::Subscribe(Subscribe {
            packet_id: packet_id(id),
            subscription_id: v5.then_some(self.next_subscription),
            user_properties: UserProperties::EMPTY,
            filters: filters.as_filters(),
        });
        link.send(now, &packet, Sent::Subscribe { id });
        link.asking.push(Asking { id, subscribe: true, wanted, ..Asking::default() });
    }

    pub(crate) fn unsubscribe(
        &mut self,
        link: &mut Link,
        (ledger, now): (&Ledger, u64),
        wanted: Vec<Wanted>,
    ) {
        let id = self.packet_id(link);
        let mut filters = UnsubscribeFiltersBuf::new();
        for entry in &wanted {
            let text = &ledger.universe.filters[entry.filter].text;
            filters.push(TopicFilter::parse(text).expect("a filter"));
        }
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_id: packet_id(id),
            user_properties: UserProperties::EMPTY,
            filters: filters.as_filters(),
        });
        link.send(now, &packet, Sent::Unsubscribe { id });
        link.asking.push(Asking { id, subscribe: false, wanted, ..Asking::default() });
    }

    /// Says what it has to answer, unless it sleeps.
    pub(crate) fn answer(&mut self, link: &mut Link, now: u64, chance: &mut Chance) {
        if self.asleep {
            return;
        }
        while let Some((answer, id)) = link.answers.pop_front() {
            let refused = link.is_v5() && answer != Answer::PubComp && chance.percent(2);
            let reason = if refused { ReasonCode::UnspecifiedError } else { ReasonCode::Success };
            let ack = Ack::new(packet_id(id), reason);
            let packet = match answer {
                Answer::PubAck => Packet::PubAck(ack),
                Answer::PubRec => Packet::PubRec(ack),
                Answer::PubComp => Packet::PubComp(ack),
            };
            if answer != Answer::PubRec || refused {
                link.open.remove(&id);
            }
            link.send(now, &packet, Sent::Answer { id, answer, refused });
        }
    }

    /// DISCONNECT, and the client turns away.
    pub(crate) fn disconnect(
        &mut self,
        link: &mut Link,
        now: u64,
        (will, expiry_secs): (bool, Option<u32>),
    ) {
        let v5 = link.is_v5();
        let packet = Packet::Disconnect(Disconnect {
            reason: if will && v5 { ReasonCode::DisconnectWithWill } else { ReasonCode::Success },
            session_expiry_secs: expiry_secs.filter(|_| v5),
            reason_string: None,
            server_reference: None,
            user_properties: UserProperties::EMPTY,
        });
        let (will, expiry_secs) = (will && v5, expiry_secs.filter(|_| v5));
        link.send(now, &packet, Sent::Disconnect { will, expiry_secs });
        link.given_up = true;
        self.link = None;
    }
}

/// PUBREL for a message of the client's.
pub(super) fn pubrel(link: &mut Link, id: u16, now: u64) {
    let ack = Ack::new(packet_id(id), ReasonCode::Success);
    link.send(now, &Packet::PubRel(ack), Sent::PubRel { id });
    link.pubcomps.push_back(id);
}

fn send_publish(
    link: &mut Link,
    ledger: &Ledger,
    (number, id, dup): (usize, Option<u16>, bool),
    (now, chance): (u64, &mut Chance),
) {
    let message = &ledger.messages[number];
    let (alias, known) = choose_alias(link, message.topic, chance);
    let payload = message.payload(number);
    let name = TopicName::parse(&ledger.universe.topics[message.topic]).expect("a topic");
    let publish = Publish {
        dup,
        qos: message.qos,
        retain: message.retain,
        topic: if known { TopicName::EMPTY } else { name },
        packet_id: id.map(packet_id),
        properties: PublishProperties {
            message_expiry_secs: message.expiry_secs,
            topic_alias: alias.and_then(NonZeroU16::new),
            others: message.others.as_properties(),
            ..PublishProperties::default()
        },
        payload: &payload,
    };
    link.send(now, &Packet::Publish(publish), Sent::Publish { number, id });
    match (id, message.qos) {
        (Some(id), QoS::AtLeastOnce) => link.pubacks.push_back(id),
        (Some(id), _) => link.pubrecs.push_back(id),
        (None, _) => {}
    }
}

/// An alias for the topic, and whether the broker knows it.
fn choose_alias(link: &mut Link, topic: usize, chance: &mut Chance) -> (Option<u16>, bool) {
    if !link.is_v5() || link.alias_max == 0 || chance.percent(40) {
        return (None, false);
    }
    let found = link.aliases_out.iter().find(|(_, known)| **known == topic);
    if let Some((alias, _)) = found {
        return (Some(*alias), true);
    }
    let alias = chance.between(1, u64::from(link.alias_max.min(5))) as u16;
    link.aliases_out.insert(alias, topic);
    (Some(alias), false)
}
