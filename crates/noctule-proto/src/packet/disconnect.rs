//! DISCONNECT.
use super::Body;
use crate::property::{Context, PropertyId, PropertyReader, UserProperties};
use crate::reader::Reader;
use crate::write::{self, PropertyWriter, Sink, property};
use crate::{Cause, PacketType, ReasonCode, Role, Version};
use alloc::vec::Vec;

/// DISCONNECT `[3.14]`; before v5 it has no content.
#[derive(Clone, PartialEq, Debug)]
pub struct Disconnect<'a> {
    /// Why.
    pub reason: ReasonCode,
    /// New Session Expiry Interval, seconds (client to server).
    pub session_expiry_secs: Option<u32>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// Where to go instead (server to client).
    pub server_reference: Option<&'a str>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A DISCONNECT with this reason and nothing else.
    pub fn new(reason: ReasonCode) -> Disconnect<'static> {
        Disconnect {
            reason,
            session_expiry_secs: None,
            reason_string: None,
            server_reference: None,
            user_properties: UserProperties::EMPTY,
        }
    }

    pub(super) fn decode(
        body: &'a [u8],
        version: Version,
        sender: Role,
    ) -> Result<Disconnect<'a>, Cause> {
        let mut reader = Reader::new(body);
        let mut disconnect = Disconnect::new(ReasonCode::Success);
        // Length 0 stands for code 0, length 1 for no properties [U5-3.14.2-2].
        if version == Version::V5 && !reader.is_empty() {
            // [MQTT-3.14.2-1 v5]
            disconnect.reason = super::reason_of(reader.u8()?, PacketType::Disconnect, sender)?;
            if !reader.is_empty() {
                disconnect.decode_properties(&mut reader, sender)?;
            }
        }
        reader.end()?;
        Ok(disconnect)
    }

    fn decode_properties(&mut self, reader: &mut Reader<'a>, sender: Role) -> Result<(), Cause> {
        let mut properties = PropertyReader::open(reader, Context::Packet(PacketType::Disconnect))?;
        while let Some(id) = properties.next()? {
            match (id, sender) {
                // [MQTT-3.14.2-2 v5]; that a client sends no Server Reference has no number.
                (PropertyId::SessionExpiryInterval, Role::Server)
                | (PropertyId::ServerReference, Role::Client) => {
                    return Err(Cause::ForbiddenProperty(id));
                }
                (PropertyId::SessionExpiryInterval, Role::Client) => {
                    self.session_expiry_secs = Some(properties.u32()?);
                }
                (PropertyId::ServerReference, Role::Server) => {
                    self.server_reference = Some(properties.text()?);
                }
                (PropertyId::ReasonString, _) => self.reason_string = Some(properties.text()?),
                (PropertyId::UserProperty, _) => properties.user()?,
                _ => return properties.misplaced(),
            }
        }
        self.user_properties = properties.users();
        Ok(())
    }

    /// Appends the packet; the short forms are used where they say all.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        super::encode(self, version, out);
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        super::encoded_len(self, version)
    }
}

impl PropertyWriter for Disconnect<'_> {
    fn write_properties(&self, out: &mut impl Sink) {
        property::u32(out, PropertyId::SessionExpiryInterval, self.session_expiry_secs);
        property::text(out, PropertyId::ReasonString, self.reason_string);
        property::text(out, PropertyId::ServerReference, self.server_reference);
        self.user_properties.write(out);
    }
}

impl Body for Disconnect<'_> {
    fn first(&self) -> u8 {
        PacketType::Disconnect.first()
    }

    fn write(&self, version: Version, out: &mut impl Sink) {
        let none = self.has_none();
        if version != Version::V5 || self.reason == ReasonCode::Success && none {
            return;
        }
        out.put(&[self.reason.as_u8()]);
        if !none {
            write::section(out, self);
        }
    }
}
