//! The control packets: one type for all protocol versions; the version is an argument of decode
//! and encode. Decoded packets borrow from the frame.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod kind;
mod publish;
mod suback;
mod subscribe;
#[cfg(test)]
mod tests;
mod unsubscribe;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::{ConnAck, ConnAckProperties};
pub use connect::{Connect, ConnectProperties, Will};
pub use disconnect::Disconnect;
pub use kind::{PacketType, Role};
pub use publish::{LastPublish, Publish, PublishProperties};
pub use suback::SubAck;
pub use subscribe::{
    RetainHandling, Subscribe, SubscribeFilters, SubscribeFiltersBuf, SubscribeOptions,
};
pub use unsubscribe::{Unsubscribe, UnsubscribeFilters, UnsubscribeFiltersBuf};

use crate::codec::check_first;
use crate::reader::Reader;
use crate::write::{self, Sink};
use crate::{Cause, DecodeError, Frame, PacketId, ReasonCode, Version};
use alloc::vec::Vec;

/// Any control packet, borrowing its variable parts.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs, reason = "the variants are the packets, documented as their types")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(SubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Decodes a frame that `sender` sent on a connection of this version.
    ///
    /// `version` is `None` before the CONNECT: then nothing else may come `[MQTT-3.1.0-1 v5]`.
    #[inline]
    pub fn decode(
        frame: Frame<'a>,
        version: Option<Version>,
        sender: Role,
    ) -> Result<Packet<'a>, DecodeError> {
        let mut last = LastPublish::default();
        Packet::decode_next(&mut last, frame, version, sender)
    }

    /// The same for a stream of packets in one buffer, see [`Publish::decode_next`].
    #[inline]
    pub fn decode_next(
        last: &mut LastPublish<'a>,
        frame: Frame<'a>,
        version: Option<Version>,
        sender: Role,
    ) -> Result<Packet<'a>, DecodeError> {
        if frame.padded && version.is_some_and(|version| version == Version::V5) {
            return Err(padded(frame));
        }
        match version {
            Some(version) if frame.first >> 4 == PacketType::Publish as u8 => {
                Publish::decode_next(last, frame, version, sender).map(Packet::Publish)
            }
            Some(version) => match plain_ack(frame) {
                Some(packet) => Ok(packet),
                None => decode_other(frame, version, sender),
            },
            None => decode_first(frame, sender),
        }
    }

    /// The type of this packet.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Packet::Connect(_) => PacketType::Connect,
            Packet::ConnAck(_) => PacketType::ConnAck,
            Packet::Publish(_) => PacketType::Publish,
            Packet::PubAck(_) => PacketType::PubAck,
            Packet::PubRec(_) => PacketType::PubRec,
            Packet::PubRel(_) => PacketType::PubRel,
            Packet::PubComp(_) => PacketType::PubComp,
            Packet::Subscribe(_) => PacketType::Subscribe,
            Packet::SubAck(_) => PacketType::SubAck,
            Packet::Unsubscribe(_) => PacketType::Unsubscribe,
            Packet::UnsubAck(_) => PacketType::UnsubAck,
            Packet::PingReq => PacketType::PingReq,
            Packet::PingResp => PacketType::PingResp,
            Packet::Disconnect(_) => PacketType::Disconnect,
            Packet::Auth(_) => PacketType::Auth,
        }
    }

    /// Appends the packet to `out`, as it looks in `version` (a CONNECT has its own).
    ///
    /// What a version does not know is left out. Nothing at all is appended for an AUTH before v5,
    /// for a 3.x CONNACK whose reason has no return code, and for a packet above the 268,435,455
    /// bytes that a remaining length can say. Text and binary fields of more than 65,535 bytes,
    /// which no packet can hold, are cut (text between characters); checked values come from the
    /// builders, [`crate::TopicName::parse`] and [`crate::TopicFilter::parse`].
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        match self {
            Packet::Connect(connect) => connect.encode(out),
            Packet::ConnAck(connack) => connack.encode(version, out),
            Packet::Publish(publish) => publish.encode(version, out),
            Packet::PubAck(ack)
            | Packet::PubRec(ack)
            | Packet::PubRel(ack)
            | Packet::PubComp(ack) => ack.encode(self.packet_type(), version, out),
            Packet::Subscribe(subscribe) => subscribe.encode(version, out),
            Packet::SubAck(suback) | Packet::UnsubAck(suback) => {
                suback.encode(self.packet_type(), version, out);
            }
            Packet::Unsubscribe(unsubscribe) => unsubscribe.encode(version, out),
            Packet::PingReq => out.extend_from_slice(&PINGREQ),
            Packet::PingResp => out.extend_from_slice(&PINGRESP),
            Packet::Disconnect(disconnect) => disconnect.encode(version, out),
            Packet::Auth(auth) => auth.encode(version, out),
        }
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        match self {
            Packet::Connect(connect) => connect.encoded_len(),
            Packet::ConnAck(connack) => connack.encoded_len(version),
            Packet::Publish(publish) => publish.encoded_len(version),
            Packet::PubAck(ack)
            | Packet::PubRec(ack)
            | Packet::PubRel(ack)
            | Packet::PubComp(ack) => ack.encoded_len(version),
            Packet::Subscribe(subscribe) => subscribe.encoded_len(version),
            Packet::SubAck(suback) | Packet::UnsubAck(suback) => {
                suback.encoded_len(self.packet_type(), version)
            }
            Packet::Unsubscribe(unsubscribe) => unsubscribe.encoded_len(version),
            Packet::PingReq | Packet::PingResp => 2,
            Packet::Disconnect(disconnect) => disconnect.encoded_len(version),
            Packet::Auth(auth) => auth.encoded_len(version),
        }
    }
}

/// A whole PINGREQ.
pub const PINGREQ: [u8; 2] = [0xC0, 0];
/// A whole PINGRESP.
pub const PINGRESP: [u8; 2] = [0xD0, 0];

/// An acknowledgement that is nothing but its packet identifier: most packets that are no PUBLISH,
/// legal from both sides in every version.
#[inline]
fn plain_ack(frame: Frame<'_>) -> Option<Packet<'_>> {
    let [high, low] = *frame.body else { return None };
    let id = PacketId::new(u16::from_be_bytes([high, low]))?;
    let ack = Ack::new(id, ReasonCode::Success);
    match frame.first {
        0x40 => Some(Packet::PubAck(ack)),
        0x50 => Some(Packet::PubRec(ack)),
        0x62 => Some(Packet::PubRel(ack)),
        0x70 => Some(Packet::PubComp(ack)),
        _ => None,
    }
}

/// The first packet of a connection.
fn decode_first(frame: Frame<'_>, sender: Role) -> Result<Packet<'_>, DecodeError> {
    let packet = frame.packet_type();
    let mut version = None;
    let connect = if packet == Some(PacketType::Connect) && sender == Role::Client {
        check_first(frame.first)?;
        Connect::decode(frame.body, &mut version)
    } else {
        // [MQTT-3.1.0-1 v5], [MQTT-3.1.0-1 v3.1.1]
        Err(Cause::NotConnect)
    };
    if frame.padded && version == Some(Version::V5) {
        return Err(padded(frame));
    }
    connect.map(Packet::Connect).map_err(|cause| DecodeError { cause, packet, version })
}

/// Its length is told in more bytes than it takes. [MQTT-1.5.5-1 v5]
#[cold]
fn padded(frame: Frame<'_>) -> DecodeError {
    let (cause, version) = (Cause::BadRemainingLength, Some(Version::V5));
    DecodeError { cause, packet: frame.packet_type(), version }
}

/// Any packet but PUBLISH.
fn decode_other(
    frame: Frame<'_>,
    version: Version,
    sender: Role,
) -> Result<Packet<'_>, DecodeError> {
    let fail = |cause| DecodeError { cause, packet: frame.packet_type(), version: Some(version) };
    let packet = check_type(frame, version, sender).map_err(fail)?;
    let body = frame.body;
    let ack = || Ack::decode(body, version, packet, sender).map_err(fail);
    let suback = || SubAck::decode(body, version, packet).map_err(fail);
    Ok(match packet {
        // [MQTT-3.1.0-2 v5], [MQTT-3.1.0-2 v3.1.1]
        PacketType::Connect => return Err(fail(Cause::SecondConnect)),
        PacketType::ConnAck => Packet::ConnAck(ConnAck::decode(body, version).map_err(fail)?),
        PacketType::Publish => Packet::Publish(Publish::decode(frame, version, sender)?),
        PacketType::PubAck => Packet::PubAck(ack()?),
        PacketType::PubRec => Packet::PubRec(ack()?),
        PacketType::PubRel => Packet::PubRel(ack()?),
        PacketType::PubComp => Packet::PubComp(ack()?),
        PacketType::Subscribe => Packet::Subscribe(Subscribe::decode(body, version).map_err(fail)?),
        PacketType::SubAck => Packet::SubAck(suback()?),
        PacketType::Unsubscribe => {
            Packet::Unsubscribe(Unsubscribe::decode(body, version).map_err(fail)?)
        }
        PacketType::UnsubAck => Packet::UnsubAck(suback()?),
        PacketType::PingReq => Reader::new(body).end().map(|()| Packet::PingReq).map_err(fail)?,
        PacketType::PingResp => Reader::new(body).end().map(|()| Packet::PingResp).map_err(fail)?,
        PacketType::Disconnect => {
            Packet::Disconnect(Disconnect::decode(body, version, sender).map_err(fail)?)
        }
        PacketType::Auth => Packet::Auth(Auth::decode(body, sender).map_err(fail)?),
    })
}

/// The packet type, if it may come here and its flags are right.
fn check_type(frame: Frame<'_>, version: Version, sender: Role) -> Result<PacketType, Cause> {
    check_first(frame.first).map_err(|error| error.cause)?;
    let packet = frame.packet_type().ok_or(Cause::ForbiddenType)?;
    if packet == PacketType::Auth && version != Version::V5 {
        return Err(Cause::ForbiddenType);
    }
    // [U5-2.1.2-1]
    if !packet.sent_by(sender, version) {
        return Err(Cause::WrongDirection);
    }
    // Only MQTT 3.1 lets these be repeated with DUP [MQTT-3.6.1-1 v5] [MQTT-3.8.1-1 v5]
    // [V31-2.1-1] [V31-3.8-1] [V31-3.10-1]
    // [MQTT-3.10.1-1 v5] [MQTT-3.6.1-1 v3.1.1] [MQTT-3.8.1-1 v3.1.1] [MQTT-3.10.1-1 v3.1.1].
    if frame.first & 0x0F == 0x0A && packet != PacketType::Publish && version != Version::V31 {
        return Err(Cause::ReservedFlags);
    }
    Ok(packet)
}

/// A reason code that `sender` may put into a packet of this type.
fn reason_of(value: u8, packet: PacketType, sender: Role) -> Result<ReasonCode, Cause> {
    ReasonCode::from_u8(value)
        .filter(|code| code.allowed_in(packet, sender))
        .ok_or(Cause::ReasonCode(value))
}

/// A packet as bytes without the fixed header.
trait Body {
    /// Type and flags.
    fn first(&self) -> u8;

    fn write(&self, version: Version, out: &mut impl Sink);
}

fn encode(packet: &impl Body, version: Version, out: &mut Vec<u8>) {
    let len = write::count(|out| packet.write(version, out));
    if len > crate::varint::MAX as usize {
        return;
    }
    out.reserve(len + 5);
    out.push(packet.first());
    write::varint(out, len);
    packet.write(version, out);
}

fn encoded_len(packet: &impl Body, version: Version) -> usize {
    frame_len(write::count(|out| packet.write(version, out)))
}

/// Length of a packet with a body of `len` bytes; 0 if there can be none.
#[inline]
fn frame_len(len: usize) -> usize {
    match u32::try_from(len) {
        Ok(short) if short <= crate::varint::MAX => 1 + crate::varint::len(short) + len,
        _ => 0,
    }
}
