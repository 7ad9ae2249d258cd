//! SUBACK and UNSUBACK share one layout.
use super::Body;
use crate::property::{Context, PropertyId, PropertyReader, UserProperties};
use crate::reader::Reader;
use crate::write::{self, PropertyWriter, Sink, property};
use crate::{Cause, PacketId, PacketType, Role, Version};
use alloc::vec::Vec;

/// SUBACK `[3.9]` or UNSUBACK `[3.11]`.
#[derive(Clone, PartialEq, Debug)]
pub struct SubAck<'a> {
    /// Identifier of the request.
    pub packet_id: PacketId,
    /// One v5 reason code for every filter, in order. Encoding for 3.x turns every failure of a
    /// SUBACK into 0x80 and leaves the codes of an UNSUBACK out.
    pub codes: &'a [u8],
    /// Reason String, v5.
    pub reason_string: Option<&'a str>,
    /// User Properties, v5.
    pub user_properties: UserProperties<'a>,
}

impl<'a> SubAck<'a> {
    /// An answer with these codes and nothing else.
    pub fn new(packet_id: PacketId, codes: &'a [u8]) -> SubAck<'a> {
        SubAck { packet_id, codes, reason_string: None, user_properties: UserProperties::EMPTY }
    }

    pub(super) fn decode(
        body: &'a [u8],
        version: Version,
        packet: PacketType,
    ) -> Result<SubAck<'a>, Cause> {
        let mut reader = Reader::new(body);
        let mut suback = SubAck::new(reader.packet_id()?, &[]);
        if version == Version::V5 {
            suback.decode_properties(&mut reader, packet)?;
        } else if packet == PacketType::UnsubAck {
            reader.end()?;
            return Ok(suback);
        }
        suback.codes = reader.rest();
        if suback.codes.is_empty() {
            return Err(Cause::EmptyPayload);
        }
        for &code in suback.codes {
            // [MQTT-3.9.3-2 v5], [MQTT-3.11.3-2 v5], [MQTT-3.9.3-2 v3.1.1]
            if version != Version::V5 && !matches!(code, 0..=2 | 0x80) {
                return Err(Cause::ReasonCode(code));
            }
            super::reason_of(code, packet, Role::Server)?;
        }
        Ok(suback)
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

    /// Appends the answer as a packet of this type: SUBACK or UNSUBACK.
    pub fn encode(&self, packet: PacketType, version: Version, out: &mut Vec<u8>) {
        super::encode(&Typed(packet, self), version, out);
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self, packet: PacketType, version: Version) -> usize {
        super::encoded_len(&Typed(packet, self), version)
    }
}

impl PropertyWriter for SubAck<'_> {
    fn write_properties(&self, out: &mut impl Sink) {
        property::text(out, PropertyId::ReasonString, self.reason_string);
        self.user_properties.write(out);
    }
}

struct Typed<'a>(PacketType, &'a SubAck<'a>);

impl Body for Typed<'_> {
    fn first(&self) -> u8 {
        self.0.first()
    }

    fn write(&self, version: Version, out: &mut impl Sink) {
        let Typed(packet, suback) = self;
        write::packet_id(out, suback.packet_id);
        if version == Version::V5 {
            write::section(out, *suback);
            out.put(suback.codes);
        } else if *packet == PacketType::SubAck {
            // 3.x has one code for all failures [MQTT-3.9.3-2 v3.1.1].
            suback.codes.iter().for_each(|code| out.put(&[*code.min(&0x80)]));
        }
    }
}
