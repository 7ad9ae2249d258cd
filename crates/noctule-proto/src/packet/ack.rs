//! PUBACK, PUBREC, PUBREL and PUBCOMP share one layout.
use super::Body;
use crate::property::{Context, PropertyId, PropertyReader, UserProperties};
use crate::reader::Reader;
use crate::write::{self, PropertyWriter, Sink, property};
use crate::{Cause, PacketId, PacketType, ReasonCode, Role, Version};
use alloc::vec::Vec;

/// One step of a QoS 1 or 2 hand-shake `[3.4 to 3.7]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Ack<'a> {
    /// Identifier of the PUBLISH it belongs to.
    pub packet_id: PacketId,
    /// Outcome; `Success` before v5.
    pub reason: ReasonCode,
    /// Reason String, v5.
    pub reason_string: Option<&'a str>,
    /// User Properties, v5.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Ack<'a> {
    /// An acknowledgement with this outcome and nothing else.
    #[inline]
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Ack<'static> {
        Ack { packet_id, reason, reason_string: None, user_properties: UserProperties::EMPTY }
    }

    #[inline]
    pub(super) fn decode(
        body: &'a [u8],
        version: Version,
        packet: PacketType,
        sender: Role,
    ) -> Result<Ack<'a>, Cause> {
        let mut reader = Reader::new(body);
        let mut ack = Ack::new(reader.packet_id()?, ReasonCode::Success);
        // Length 2 stands for success, length 3 for a reason without properties [U5-3.4.2-1].
        if version == Version::V5 && !reader.is_empty() {
            // [MQTT-3.4.2-1 v5], [MQTT-3.5.2-1 v5], [MQTT-3.6.2-1 v5], [MQTT-3.7.2-1 v5]
            ack.reason = super::reason_of(reader.u8()?, packet, sender)?;
            if !reader.is_empty() {
                ack.decode_properties(&mut reader, packet)?;
            }
        }
        reader.end()?;
        Ok(ack)
    }

    fn decode_properties(
        &mut self,
        reader: &mut Reader<'a>,
        packet: PacketType,
    ) -> Result<(), Cause> {
        let mut properties = PropertyReader::open(reader, Context::Packet(packet))?;
        while let Some(id) = properties.next()? {
            match id {
                PropertyId::ReasonString => self.reason_string = Some(properties.text()?),
                PropertyId::UserProperty => properties.user()?,
                _ => return properties.misplaced(),
            }
        }
        self.user_properties = properties.users();
        Ok(())
    }

    /// Appends the acknowledgement as a packet of this type: PUBACK, PUBREC, PUBREL or PUBCOMP.
    /// The short forms are used where they say all.
    #[inline]
    pub fn encode(&self, packet: PacketType, version: Version, out: &mut Vec<u8>) {
        if self.is_plain(version) {
            let [high, low] = self.packet_id.0.get().to_be_bytes();
            out.extend_from_slice(&[packet.first(), 2, high, low]);
        } else {
            super::encode(&Typed(packet, self), version, out);
        }
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        super::encoded_len(&Typed(PacketType::PubAck, self), version)
    }

    /// Whether the packet identifier says all.
    #[inline]
    fn is_plain(&self, version: Version) -> bool {
        version != Version::V5 || self.reason == ReasonCode::Success && self.has_none()
    }
}

impl PropertyWriter for Ack<'_> {
    #[inline]
    fn write_properties(&self, out: &mut impl Sink) {
        property::text(out, PropertyId::ReasonString, self.reason_string);
        self.user_properties.write(out);
    }

    #[inline]
    fn has_none(&self) -> bool {
        self.reason_string.is_none() && self.user_properties.is_empty()
    }
}

struct Typed<'a>(PacketType, &'a Ack<'a>);

impl Body for Typed<'_> {
    fn first(&self) -> u8 {
        self.0.first()
    }

    fn write(&self, version: Version, out: &mut impl Sink) {
        let Typed(_, ack) = self;
        write::packet_id(out, ack.packet_id);
        if ack.is_plain(version) {
            return;
        }
        out.put(&[ack.reason.as_u8()]);
        if !ack.has_none() {
            write::section(out, *ack);
        }
    }
}
