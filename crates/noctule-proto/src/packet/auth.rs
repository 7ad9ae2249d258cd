//! AUTH: one step of enhanced authentication (v5).
use super::Body;
use crate::property::{Context, PropertyId, PropertyReader, UserProperties};
use crate::reader::Reader;
use crate::write::{self, PropertyWriter, Sink, property};
use crate::{Cause, PacketType, ReasonCode, Role, Version};
use alloc::vec::Vec;

/// AUTH `[3.15 v5]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Auth<'a> {
    /// `Success`, `ContinueAuthentication` or `ReAuthenticate`.
    pub reason: ReasonCode,
    /// Authentication Method. Absent is a protocol error, left to the receiver to answer.
    pub method: Option<&'a str>,
    /// Authentication Data.
    pub data: Option<&'a [u8]>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Auth<'a> {
    pub(super) fn decode(body: &'a [u8], sender: Role) -> Result<Auth<'a>, Cause> {
        let mut reader = Reader::new(body);
        let mut auth = Auth {
            reason: ReasonCode::Success,
            method: None,
            data: None,
            reason_string: None,
            user_properties: UserProperties::EMPTY,
        };
        // Length 0 stands for success without properties [3.15.2.1 v5]; there is no form with a
        // code and no property length.
        let bare = reader.is_empty();
        let reason = if bare { 0 } else { reader.u8()? };
        // [MQTT-3.15.2-1 v5]
        auth.reason = super::reason_of(reason, PacketType::Auth, sender)?;
        if !bare {
            auth.decode_properties(&mut reader)?;
        }
        reader.end()?;
        Ok(auth)
    }

    fn decode_properties(&mut self, reader: &mut Reader<'a>) -> Result<(), Cause> {
        let mut properties = PropertyReader::open(reader, Context::Packet(PacketType::Auth))?;
        while let Some(id) = properties.next()? {
            match id {
                PropertyId::AuthenticationMethod => self.method = Some(properties.text()?),
                PropertyId::AuthenticationData => self.data = Some(properties.binary()?),
                PropertyId::ReasonString => self.reason_string = Some(properties.text()?),
                PropertyId::UserProperty => properties.user()?,
                _ => return properties.misplaced(),
            }
        }
        self.user_properties = properties.users();
        Ok(())
    }

    /// Appends the packet; before v5 there is none and nothing is appended.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        if version == Version::V5 {
            super::encode(self, version, out);
        }
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        if version == Version::V5 { super::encoded_len(self, version) } else { 0 }
    }
}

impl PropertyWriter for Auth<'_> {
    fn write_properties(&self, out: &mut impl Sink) {
        property::text(out, PropertyId::AuthenticationMethod, self.method);
        property::binary(out, PropertyId::AuthenticationData, self.data);
        property::text(out, PropertyId::ReasonString, self.reason_string);
        self.user_properties.write(out);
    }
}

impl Body for Auth<'_> {
    fn first(&self) -> u8 {
        PacketType::Auth.first()
    }

    fn write(&self, _version: Version, out: &mut impl Sink) {
        if self.reason == ReasonCode::Success && self.has_none() {
            return;
        }
        out.put(&[self.reason.as_u8()]);
        write::section(out, self);
    }
}
