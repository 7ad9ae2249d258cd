//! A message as noctule keeps it, if the standard has such a message.

use super::persisted::Content;
use noctule_core::Message;
use noctule_core::Time;
use noctule_core::limits::Durability;
use noctule_core::message::{Origin, Parts};
use noctule_proto::packet::{Packet, Role};
use noctule_proto::{QoS, Version, codec};

/// The topic, and the properties that travel unchanged, of a PUBLISH that noctule would have
/// taken. `None`: it would not.
pub(super) fn checked<'c>(content: &'c Content<'_>) -> Option<(&'c str, Vec<u8>, QoS)> {
    let qos = QoS::from_u8(content.qos)?;
    // The packet it came in, but for its payload: so it is read by what reads packets.
    let topic_len = u16::try_from(content.topic.len()).ok()?.to_be_bytes();
    let properties_len = varint(content.properties.len())?;
    let body = [&topic_len, &*content.topic, &properties_len, &content.properties].concat();
    let packet = [&[0x30], &*varint(body.len())?, &body].concat();
    let frame = codec::next_frame(&packet, u32::MAX).ok()??;
    let Packet::Publish(publish) = Packet::decode(frame, Some(Version::V5), Role::Server).ok()?
    else {
        return None;
    };
    let topic = std::str::from_utf8(&content.topic).ok()?;
    let mut properties = Vec::new();
    publish.properties.others.copy_to(&mut properties);
    (!topic.is_empty()).then_some((topic, properties, qos))
}

/// The message; `None`: noctule would not have taken it.
pub(super) fn made(content: &Content<'_>, now: Time, origin: Origin) -> Option<Message> {
    let (topic, properties, qos) = checked(content)?;
    let parts = Parts {
        topic,
        properties: &properties,
        payload: &content.payload,
        qos,
        retain: content.retain,
        expiry_secs: None,
    };
    // What clients are owed of it is to survive, whatever was promised to its publisher.
    let origin = Origin { durability: Durability::Fsync, ..origin };
    Some(Message::new(now, origin, &parts))
}

fn varint(len: usize) -> Option<Vec<u8>> {
    let mut rest = u32::try_from(len).ok().filter(|len| *len < 1 << 28)?;
    let mut bytes = Vec::new();
    loop {
        let more = rest >= 0x80;
        bytes.push(rest as u8 & 0x7F | u8::from(more) << 7);
        rest >>= 7;
        if !more {
            return Some(bytes);
        }
    }
}
