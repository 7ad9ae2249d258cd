//! What a client hears, and what the broker may not say.

use super::link::Asking;
use super::{Client, Link, Sent, send};
use crate::sim::chance::Chance;
use crate::sim::ledger::{Answer, Arrival, Ledger};
use noctule_proto::packet::{Ack, ConnAck, Packet, Publish, Role, SubAck};
use noctule_proto::{QoS, ReasonCode, Version, next_frame};

/// Who listens, and with what.
pub(crate) struct Ear<'a> {
    pub(crate) client: &'a mut Client,
    pub(crate) link: &'a mut Link,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) chance: &'a mut Chance,
    pub(crate) now: u64,
}

impl Ear<'_> {
    /// Takes in every whole packet, and answers.
    pub(crate) fn listen(&mut self) {
        let inbox = std::mem::take(&mut self.link.inbox);
        let mut done = 0;
        while let Some(frame) = next_frame(&inbox[done..], self.link.terms.packet_size_max)
            .unwrap_or_else(|error| panic!("client {}: {error}", self.client.id))
        {
            let end = done + frame.len;
            while self.link.marks.front().is_some_and(|(mark, _)| *mark < end) {
                self.link.marks.pop_front();
            }
            let sent_at = self.link.marks.front().expect("bytes have their instant").1;
            let packet = Packet::decode(frame, Some(self.client.version), Role::Server)
                .unwrap_or_else(|error| panic!("client {}: {error}", self.client.id));
            self.ledger.trace(|| format!("{} <- {packet:?}", self.client.id));
            self.hear(&packet, sent_at);
            done = end;
        }
        self.link.inbox = inbox[done..].to_vec();
        for mark in &mut self.link.marks {
            mark.0 -= done;
        }
        self.client.answer(self.link, self.now, self.chance);
    }

    fn hear(&mut self, packet: &Packet<'_>, sent_at: u64) {
        if !self.link.live {
            let Packet::ConnAck(connack) = packet else {
                panic!("{} before CONNACK", packet.packet_type())
            };
            return self.connack(connack, sent_at);
        }
        match packet {
            Packet::Publish(publish) => self.publish(publish, sent_at),
            Packet::PubAck(ack) => self.puback(ack),
            Packet::PubRec(ack) => self.pubrec(ack),
            Packet::PubComp(ack) => self.pubcomp(ack),
            Packet::PubRel(ack) => {
                let id = ack.packet_id.value();
                let (session, _) = self.link.session.expect("CONNACK came");
                self.ledger.pubrel(session, id);
                self.link.answers.push_back((Answer::PubComp, id));
            }
            Packet::SubAck(suback) => self.suback(suback, true),
            Packet::UnsubAck(suback) => self.suback(suback, false),
            Packet::PingResp => {
                assert!(self.link.pings > 0, "PINGRESP that nobody asked for");
                self.link.pings -= 1;
            }
            Packet::Disconnect(disconnect) => {
                assert!(
                    disconnect.reason_string.is_none() || self.link.is_v5(),
                    "a reason string before MQTT 5"
                );
            }
            Packet::ConnAck(_)
            | Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Auth(_) => panic!("{} from a broker", packet.packet_type()),
        }
    }

    /// [MQTT-3.2.2-2 v5], [MQTT-3.2.2-3 v5], [MQTT-3.2.2-21 v5]
    fn connack(&mut self, connack: &ConnAck<'_>, sent_at: u64) {
        if connack.reason != ReasonCode::Success {
            // Only if it took too long to find out who it is; it comes again.
            let timeout = u64::from(self.ledger.limits.connect_timeout_secs) * 1000;
            let busy = [ReasonCode::ServerBusy, ReasonCode::ServerUnavailable];
            assert!(
                busy.contains(&connack.reason) && sent_at >= self.link.opened_at + timeout,
                "client {} refused: {connack:?}",
                self.client.id
            );
            return;
        }
        let (session, present) = self.link.session.expect("CONNACK follows acceptance");
        // MQTT 3.1 does not say; its clients have to know.
        let told = present && self.client.version != Version::V31;
        assert_eq!(
            connack.session_present, told,
            "Session Present of client {} in session {session}",
            self.client.id
        );
        let limits = &self.ledger.limits;
        let properties = &connack.properties;
        let link = &mut *self.link;
        link.live = true;
        let keep_alive = properties.server_keep_alive_secs.unwrap_or(link.terms.keep_alive_secs);
        assert_eq!(keep_alive, link.keep_alive_of(limits), "Server Keep Alive");
        if self.client.version == Version::V5 {
            let announced = properties.receive_maximum.map_or(u16::MAX, |max| max.get());
            assert_eq!(announced, limits.receive_maximum, "announced Receive Maximum");
            link.receive_maximum = announced;
            link.alias_max = properties.topic_alias_maximum.unwrap_or(0);
            assert_eq!(link.alias_max, limits.topic_alias_max, "announced Topic Alias Maximum");
        }
        self.ledger.told(session, link.accepted);
        if present {
            self.client.send_again(self.link, self.ledger, (self.now, self.chance));
        } else {
            self.client.sending.clear();
        }
    }

    fn publish(&mut self, publish: &Publish<'_>, sent_at: u64) {
        let topic = self.topic_of(publish);
        let message = self.ledger.number_of(publish.payload);
        let (session, _) = self.link.session.expect("CONNACK came");
        let id = publish.packet_id.map(|id| id.value());
        let mut ids = publish.properties.subscription_ids.iter();
        let subscription_id = ids.next().unwrap_or(0);
        assert!(ids.next().is_none(), "one delivery for each matching filter");
        if let Some(id) = id {
            self.link.open.insert(id);
            assert!(
                self.link.open.len() <= usize::from(self.link.terms.receive_maximum),
                "client {} has {:?} open and takes {}",
                self.client.id,
                self.link.open,
                self.link.terms.receive_maximum,
            );
        }
        self.check_properties(publish, message);
        let arrival = Arrival {
            link: self.link.number,
            session,
            v5: self.link.is_v5(),
            topic,
            message,
            qos: publish.qos,
            dup: publish.dup,
            retain: publish.retain,
            id,
            subscription_id,
            left_secs: publish.properties.message_expiry_secs,
            sent_at,
        };
        self.ledger.arrived(&arrival);
        self.link.again = self.ledger.again_in_order(&arrival, self.link.again);
        match (id, publish.qos) {
            (Some(id), QoS::AtLeastOnce) => self.link.answers.push_back((Answer::PubAck, id)),
            (Some(id), _) => self.link.answers.push_back((Answer::PubRec, id)),
            (None, _) => {}
        }
    }

    /// What travels unchanged did. [MQTT-3.3.2-17 v5], [MQTT-3.3.2-18 v5], [MQTT-3.3.2-20 v5]
    fn check_properties(&self, publish: &Publish<'_>, message: Option<usize>) {
        let Some(number) = message.filter(|_| self.link.is_v5()) else { return };
        let sent = &self.ledger.messages[number].others;
        assert_eq!(
            publish.properties.others,
            sent.as_properties(),
            "properties of message {number} changed"
        );
    }

    /// The topic, by name or by alias. [MQTT-3.1.2-26 v5], [MQTT-3.1.2-27 v5]
    fn topic_of(&mut self, publish: &Publish<'_>) -> usize {
        let name = publish.topic.as_str();
        let named = self.ledger.universe.topics.iter().position(|topic| topic == name);
        let Some(alias) = publish.properties.topic_alias else {
            return named.unwrap_or_else(|| panic!("unknown topic {name}"));
        };
        let alias = alias.get();
        let max = self.link.terms.alias_max;
        assert!(alias <= max, "topic alias {alias}, the client takes {max}");
        if let Some(topic) = named {
            self.link.aliases_in.insert(alias, topic);
            return topic;
        }
        assert!(name.is_empty(), "unknown topic {name}");
        *self.link.aliases_in.get(&alias).unwrap_or_else(|| panic!("unknown alias {alias}"))
    }

    /// [MQTT-4.6.0-2 v5]
    fn puback(&mut self, ack: &Ack<'_>) {
        let id = ack.packet_id.value();
        assert_eq!(self.link.pubacks.pop_front(), Some(id), "PUBACK out of order");
        let at = self.client.sending.iter().position(|sending| sending.id == id);
        let sending = at.and_then(|at| self.client.sending.remove(at)).expect("it was sent");
        assert_eq!(sending.qos, QoS::AtLeastOnce, "PUBACK for QoS 2");
        assert!(!ack.reason.is_error(), "message {} refused: {ack:?}", sending.number);
        self.ledger.messages[sending.number].acknowledged = true;
    }

    /// [MQTT-4.6.0-3 v5]
    fn pubrec(&mut self, ack: &Ack<'_>) {
        let id = ack.packet_id.value();
        assert_eq!(self.link.pubrecs.pop_front(), Some(id), "PUBREC out of order");
        let sending = self.client.sending.iter_mut().find(|sending| sending.id == id);
        let sending = sending.expect("it was sent");
        assert_eq!(sending.qos, QoS::ExactlyOnce, "PUBREC for QoS 1");
        assert!(!ack.reason.is_error(), "message {} refused: {ack:?}", sending.number);
        sending.released = true;
        self.ledger.messages[sending.number].recorded = true;
        send::pubrel(self.link, id, self.now);
    }

    fn pubcomp(&mut self, ack: &Ack<'_>) {
        let id = ack.packet_id.value();
        assert_eq!(self.link.pubcomps.pop_front(), Some(id), "PUBCOMP out of order");
        let at = self.client.sending.iter().position(|sending| sending.id == id);
        let sending = at.and_then(|at| self.client.sending.remove(at)).expect("it was sent");
        assert!(sending.released, "PUBCOMP before PUBREL");
        self.ledger.messages[sending.number].acknowledged = true;
    }

    /// [MQTT-3.8.4-6 v5], [MQTT-3.9.3-1 v5], [MQTT-3.11.3-1 v5]
    fn suback(&mut self, suback: &SubAck<'_>, subscribe: bool) {
        let id = suback.packet_id.value();
        let at = self.link.asking.iter().position(|asking| asking.id == id);
        let at = at.unwrap_or_else(|| panic!("SUBACK or UNSUBACK for unknown packet id {id}"));
        let asking = self.link.asking.remove(at);
        let Asking { answers, handed_in, subscribe: asked, wanted, .. } = asking;
        assert!(handed_in && asked == subscribe, "an acknowledgement of something else");
        let codes = answers.iter().map(|(_, code)| *code);
        let codes: Vec<u8> = match (self.client.version, subscribe) {
            (Version::V5, _) => codes.collect(),
            (Version::V311, true) => codes.map(|code| code.min(0x80)).collect(),
            // MQTT 3.1 knows no refusal.
            (Version::V31, true) => codes
                .zip(&wanted)
                .map(|(code, wanted)| if code < 0x80 { code } else { wanted.options.qos as u8 })
                .collect(),
            (Version::V311 | Version::V31, false) => Vec::new(),
        };
        assert_eq!(suback.codes, codes, "codes of {} {id}", self.client.id);
        for (place, _) in answers {
            match place {
                Some(place) if subscribe => {
                    // Retained messages are owed to the connection; after its end, to nobody.
                    let link = (!self.link.closed).then_some(self.link.number);
                    self.ledger.suback(link, place);
                }
                Some((slot, _)) => self.ledger.unsuback(slot),
                None => {}
            }
        }
    }
}

impl Sent {
    /// What the ledger makes of a packet that is handed in now.
    pub(crate) fn handed_in(&self, link: &mut Link, ledger: &mut Ledger) {
        let Some((session, _)) = link.session else {
            assert!(matches!(self, Sent::Connect), "{self:?} before acceptance");
            return;
        };
        match *self {
            Sent::Publish { number, id } => ledger.published(session, number, id),
            Sent::PubRel { id } => ledger.released(session, id),
            Sent::Answer { id, answer, refused } => {
                ledger.answered(session, id, (answer, refused));
            }
            Sent::Subscribe { id } | Sent::Unsubscribe { id } => {
                let asking = link.asking.iter_mut().find(|asking| asking.id == id);
                let asking = asking.expect("it awaits an acknowledgement");
                asking.handed_in = true;
                for wanted in &asking.wanted {
                    asking.answers.push(match asking.subscribe {
                        true => ledger.subscribed(session, *wanted),
                        false => {
                            let (slot, code) = ledger.unsubscribed(session, wanted.filter);
                            (slot.map(|slot| (slot, 0)), code)
                        }
                    });
                }
            }
            Sent::Disconnect { will, expiry_secs } => {
                link.goodbye = Some(will);
                if let Some(secs) = expiry_secs {
                    let secs = secs.min(ledger.limits.session_expiry_secs_max);
                    ledger.expiry_changed(session, secs);
                }
            }
            Sent::Connect | Sent::Ping => {}
        }
    }
}
