//! What a hostile server says: packets that are mostly legal, and bytes that are none.

use crate::script::Script;
use noctule_proto::packet::{
    Ack, Auth, ConnAck, ConnAckProperties, Disconnect, Packet, Publish, PublishProperties, SubAck,
};
use noctule_proto::property::UserProperties;
use noctule_proto::{PacketId, QoS, ReasonCode, TopicName, Version};
use std::num::{NonZeroU16, NonZeroU32};

const REASONS: [ReasonCode; 6] = [
    ReasonCode::Success,
    ReasonCode::Success,
    ReasonCode::QuotaExceeded,
    ReasonCode::NoMatchingSubscribers,
    ReasonCode::PacketIdentifierNotFound,
    ReasonCode::ContinueAuthentication,
];
/// Small, so that they meet those of the client.
const IDS: usize = 7;

/// The next thing that it says.
pub(super) fn speak(script: &mut Script<'_>, version: Version) -> Vec<u8> {
    let ack = |script: &mut Script<'_>| Ack::new(id(script), reason(script));
    let packet = match script.below(13) {
        0 => return script.raw().to_vec(),
        1 => Packet::ConnAck(connack(script)),
        2 | 3 => Packet::Publish(publish(script)),
        4 => Packet::PubAck(ack(script)),
        5 => Packet::PubRec(ack(script)),
        6 => Packet::PubRel(Ack::new(id(script), ReasonCode::Success)),
        7 => Packet::PubComp(ack(script)),
        8 => Packet::SubAck(SubAck::new(id(script), &[0, 1, 0x80][..=script.below(3)])),
        9 => Packet::UnsubAck(SubAck::new(id(script), &[0, 0x11, 0x80][..=script.below(3)])),
        10 => Packet::PingResp,
        11 => Packet::Disconnect(Disconnect::new(reason(script))),
        _ => Packet::Auth(Auth {
            reason: reason(script),
            method: Some(["m", "n"][script.below(2)]),
            data: Some(b"data"),
            reason_string: script.flag().then_some("why"),
            user_properties: UserProperties::EMPTY,
        }),
    };
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    bytes
}

/// Lets the client in, on terms that may be hard to keep.
pub(super) fn connack(script: &mut Script<'_>) -> ConnAck<'static> {
    let mut connack = ConnAck::new(script.flag(), ReasonCode::Success);
    connack.properties = ConnAckProperties {
        receive_maximum: NonZeroU16::new([0, 1, 2, 5][script.below(4)]),
        maximum_qos: [None, Some(QoS::AtMostOnce), Some(QoS::AtLeastOnce)][script.below(3)],
        retain_available: script.flag().then_some(false),
        maximum_packet_size: NonZeroU32::new([0, 4, 5, 12, 30, 100][script.below(6)]),
        topic_alias_maximum: [None, Some(1), Some(3)][script.below(3)],
        server_keep_alive_secs: [None, Some(0), Some(2)][script.below(3)],
        authentication_method: script.flag().then_some("m"),
        ..ConnAckProperties::default()
    };
    connack
}

fn publish(script: &mut Script<'_>) -> Publish<'static> {
    let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][script.below(3)];
    let topic = ["a", "a/b", ""][script.below(3)];
    Publish {
        dup: qos != QoS::AtMostOnce && script.flag(),
        qos,
        retain: script.flag(),
        topic: TopicName::parse(topic).unwrap_or(TopicName::EMPTY),
        packet_id: (qos != QoS::AtMostOnce).then(|| id(script)),
        properties: PublishProperties {
            topic_alias: NonZeroU16::new([0, 1, 2, 9][script.below(4)]),
            ..PublishProperties::default()
        },
        payload: b"x",
    }
}

fn id(script: &mut Script<'_>) -> PacketId {
    let number = script.below(IDS) + 1;
    PacketId::new(u16::try_from(number).expect("small")).expect("not 0")
}

fn reason(script: &mut Script<'_>) -> ReasonCode {
    REASONS[script.below(REASONS.len())]
}
