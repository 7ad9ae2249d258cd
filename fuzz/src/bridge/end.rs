//! A broker at one end of a bridge: what it sends, what it is told, and what has to come of that.

use super::UNRELEASED;
use noctule_bridge::fuzz::Setting;
use noctule_proto::packet::{Ack, Packet, Publish, PublishProperties, Role, SubAck};
use noctule_proto::{PacketId, QoS, ReasonCode, TopicName, Version, next_frame};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Messages of its own under way at a time.
const OWN_MAX: u16 = 16;

/// How far a message of its own is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// With this QoS.
    Published(QoS),
    Received,
    Released,
}

/// What the other end has to be told of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Expected {
    topic: String,
    qos: QoS,
    retain: bool,
    payload: Vec<u8>,
}

/// What it has to say.
#[derive(Debug)]
enum Answer {
    Ack(u16),
    Rec(u16),
    Rel(u16),
    Comp(u16),
    Other(Vec<u8>),
}

#[derive(Debug)]
pub(super) struct End {
    grants: Setting,
    input: Vec<u8>,
    own: BTreeMap<u16, Stage>,
    /// Messages of its own that are to arrive, in their order.
    sent: VecDeque<Expected>,
    count: u16,
    /// Messages that it was given and has not settled.
    given: BTreeSet<u16>,
    answers: Vec<Answer>,
}

impl End {
    pub(super) fn new(grants: Setting) -> End {
        End {
            grants,
            input: Vec::new(),
            own: BTreeMap::new(),
            sent: VecDeque::new(),
            count: 0,
            given: BTreeSet::new(),
            answers: Vec::new(),
        }
    }

    /// The bytes of a message, unless there are too many already.
    pub(super) fn publish(
        &mut self,
        topic: &str,
        (qos, retain): (QoS, bool),
        payload: &[u8],
        arrives: bool,
    ) -> Option<Vec<u8>> {
        let qos = qos.min(self.grants.qos_max);
        let retain = retain && self.grants.retain;
        let mut packet_id = None;
        if qos > QoS::AtMostOnce {
            let id = (1..=OWN_MAX).find(|id| !self.own.contains_key(id))?;
            self.own.insert(id, Stage::Published(qos));
            packet_id = PacketId::new(id);
        }
        // No two alike.
        self.count += 1;
        let payload = [&self.count.to_be_bytes(), payload].concat();
        let bytes = self.encoded(&Packet::Publish(Publish {
            dup: false,
            qos,
            retain,
            topic: TopicName::parse(topic).expect("a topic"),
            packet_id,
            properties: PublishProperties::default(),
            payload: &payload,
        }));
        if arrives {
            let other = if topic.starts_with('h') { "t" } else { "h" };
            let topic = format!("{other}{}", &topic[1..]);
            self.sent.push_back(Expected { topic, qos, retain, payload });
        }
        Some(bytes)
    }

    /// One of the answers that it owes; from 128 on it refuses, if it can.
    pub(super) fn answer(&mut self, which: usize) -> Option<Vec<u8>> {
        if self.answers.is_empty() {
            return None;
        }
        let refuses = which & 0x80 != 0 && self.grants.version == Version::V5;
        let reason = if refuses { ReasonCode::UnspecifiedError } else { ReasonCode::Success };
        let ack = |id: u16, reason| Ack::new(PacketId::new(id).expect("none is 0"), reason);
        let packet = match self.answers.remove((which & 0x7f) % self.answers.len()) {
            Answer::Ack(id) => {
                self.given.remove(&id);
                Packet::PubAck(ack(id, reason))
            }
            Answer::Rec(id) => {
                if refuses {
                    self.given.remove(&id);
                }
                Packet::PubRec(ack(id, reason))
            }
            Answer::Rel(id) => {
                self.own.insert(id, Stage::Released);
                Packet::PubRel(ack(id, ReasonCode::Success))
            }
            Answer::Comp(id) => {
                self.given.remove(&id);
                Packet::PubComp(ack(id, ReasonCode::Success))
            }
            Answer::Other(bytes) => return Some(bytes),
        };
        Some(self.encoded(&packet))
    }

    fn encoded(&self, packet: &Packet<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        packet.encode(self.grants.version, &mut bytes);
        bytes
    }

    /// It is told these bytes, of which messages are the other end's.
    pub(super) fn told(&mut self, bytes: &[u8], other: &mut End, polite: bool) {
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while let Some(frame) = next_frame(rest, u32::MAX).expect("well formed") {
            rest = &rest[frame.len..];
            let packet = Packet::decode(frame, Some(self.grants.version), Role::Client);
            let packet = packet.expect("a legal packet of a client");
            match &packet {
                Packet::Publish(publish) => {
                    let fits = frame.len <= self.grants.packet_size_max as usize;
                    assert!(fits, "no packet is larger than it takes");
                    self.message(publish, other, polite);
                }
                packet => self.other(packet, polite),
            }
        }
        self.input = rest.to_vec();
    }

    fn message(&mut self, publish: &Publish<'_>, other: &mut End, polite: bool) {
        assert!(publish.qos <= self.grants.qos_max, "no more QoS than it takes");
        assert!(!publish.retain || self.grants.retain, "no more retained than it takes");
        if polite && !publish.topic.as_str().starts_with('$') {
            let expected = other.sent.pop_front().expect("nothing comes twice");
            let got = Expected {
                topic: publish.topic.as_str().to_owned(),
                qos: publish.qos,
                retain: publish.retain,
                payload: publish.payload.to_vec(),
            };
            let qos = expected.qos.min(self.grants.qos_max);
            let retain = expected.retain && self.grants.retain;
            assert_eq!(got, Expected { qos, retain, ..expected }, "all comes in its order");
        }
        let Some(id) = publish.packet_id.map(PacketId::value) else { return };
        let new = self.given.insert(id);
        assert!(new || !polite, "an identifier stands for one message");
        let most = usize::from(self.grants.receive_maximum);
        assert!(self.given.len() <= most || !polite, "no more at a time than it takes");
        self.answers.push(match publish.qos {
            QoS::ExactlyOnce => Answer::Rec(id),
            QoS::AtLeastOnce | QoS::AtMostOnce => Answer::Ack(id),
        });
    }

    fn other(&mut self, packet: &Packet<'_>, polite: bool) {
        match packet {
            Packet::PubAck(ack) => {
                let stage = self.own.remove(&ack.packet_id.value());
                let good = stage == Some(Stage::Published(QoS::AtLeastOnce));
                assert!(good || !polite, "PUBACK of {stage:?}");
            }
            Packet::PubRec(ack) => {
                let id = ack.packet_id.value();
                let stage = self.own.insert(id, Stage::Received);
                let good = stage == Some(Stage::Published(QoS::ExactlyOnce));
                assert!(good || !polite, "PUBREC of {stage:?}");
                if ack.reason.is_error() {
                    self.own.remove(&id);
                } else {
                    self.answers.push(Answer::Rel(id));
                }
            }
            Packet::PubRel(ack) => {
                let id = ack.packet_id.value();
                let good = self.given.contains(&id) || UNRELEASED.contains(&id);
                assert!(good || !polite, "PUBREL of nothing");
                self.answers.push(Answer::Comp(id));
            }
            Packet::PubComp(ack) => {
                let stage = self.own.remove(&ack.packet_id.value());
                assert!(stage == Some(Stage::Released) || !polite, "PUBCOMP of {stage:?}");
            }
            Packet::Subscribe(it) => {
                let codes = vec![self.grants.qos_max as u8; it.filters.into_iter().count()];
                let answer = self.encoded(&Packet::SubAck(SubAck::new(it.packet_id, &codes)));
                self.answers.push(Answer::Other(answer));
            }
            Packet::Unsubscribe(it) => {
                let codes = vec![0; it.filters.into_iter().count()];
                let answer = self.encoded(&Packet::UnsubAck(SubAck::new(it.packet_id, &codes)));
                self.answers.push(Answer::Other(answer));
            }
            Packet::PingReq => {
                let answer = self.encoded(&Packet::PingResp);
                self.answers.push(Answer::Other(answer));
            }
            other => panic!("a bridge does not say {other:?}"),
        }
    }

    /// All that it sent has arrived and is settled, and it owes nothing.
    pub(super) fn check_settled(&self) {
        assert!(self.sent.is_empty(), "lost: {:?}", self.sent);
        assert!(self.own.is_empty(), "not settled: {:?}", self.own);
        assert!(self.given.is_empty(), "not settled there: {:?}", self.given);
        assert!(self.input.is_empty(), "half a packet");
    }
}
