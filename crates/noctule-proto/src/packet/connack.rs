//! CONNACK: the server's answer to CONNECT.
use super::Body;
use crate::property::{Context, PropertyId, PropertyReader, UserProperties};
use crate::reader::Reader;
use crate::write::{self, PropertyWriter, Sink, property};
use crate::{Cause, PacketType, QoS, ReasonCode, Role, Version};
use alloc::vec::Vec;
use core::num::{NonZeroU16, NonZeroU32};

/// CONNACK `[3.2]`. `reason` is a v5 reason code; encoding for 3.x maps it to a return code
/// (codes 1 to 5, see [`ReasonCode::v3_return_code`]).
#[derive(Clone, PartialEq, Debug)]
pub struct ConnAck<'a> {
    /// Session Present.
    pub session_present: bool,
    /// Outcome.
    pub reason: ReasonCode,
    /// Properties, v5 only.
    pub properties: ConnAckProperties<'a>,
}

/// CONNACK properties `[3.2.2.3 v5]`; `None` means absent. Encoded in the order of the fields.
#[derive(Clone, PartialEq, Debug, Default)]
#[allow(missing_docs, reason = "the fields are the properties of the standard")]
pub struct ConnAckProperties<'a> {
    pub session_expiry_secs: Option<u32>,
    pub receive_maximum: Option<NonZeroU16>,
    pub maximum_qos: Option<QoS>,
    pub retain_available: Option<bool>,
    pub maximum_packet_size: Option<NonZeroU32>,
    pub assigned_client_id: Option<&'a str>,
    pub topic_alias_maximum: Option<u16>,
    pub reason_string: Option<&'a str>,
    pub wildcard_subscription_available: Option<bool>,
    pub subscription_identifiers_available: Option<bool>,
    pub shared_subscription_available: Option<bool>,
    pub server_keep_alive_secs: Option<u16>,
    pub response_information: Option<&'a str>,
    pub server_reference: Option<&'a str>,
    pub authentication_method: Option<&'a str>,
    pub authentication_data: Option<&'a [u8]>,
    pub user_properties: UserProperties<'a>,
}

impl<'a> ConnAck<'a> {
    /// An answer without properties.
    pub fn new(session_present: bool, reason: ReasonCode) -> ConnAck<'static> {
        ConnAck { session_present, reason, properties: ConnAckProperties::default() }
    }

    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<ConnAck<'a>, Cause> {
        let mut reader = Reader::new(body);
        let flags = reader.u8()?;
        // [MQTT-3.2.2-1 v5]; 3.1 does not use this byte.
        if flags & !1 != 0 && version != Version::V31 {
            return Err(Cause::ReservedConnectFlags);
        }
        let session_present = flags & 1 != 0 && version != Version::V31;
        let code = reader.u8()?;
        let reason = if version == Version::V5 {
            // [MQTT-3.2.2-8 v5]
            super::reason_of(code, PacketType::ConnAck, Role::Server)?
        } else {
            ReasonCode::from_v3_return_code(code).ok_or(Cause::ReasonCode(code))?
        };
        // [MQTT-3.2.2-6 v5], [MQTT-3.2.2-4 v3.1.1]
        if session_present && reason != ReasonCode::Success {
            return Err(Cause::SessionPresentOnFailure);
        }
        let mut properties = ConnAckProperties::default();
        if version == Version::V5 {
            properties = ConnAckProperties::decode(&mut reader)?;
        }
        reader.end()?;
        Ok(ConnAck { session_present, reason, properties })
    }

    /// Appends the packet. Before v5 nothing is appended where no return code fits the reason
    /// `[MQTT-3.2.2-6 v3.1.1]`.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        if version == Version::V5 || self.reason.v3_return_code().is_some() {
            super::encode(self, version, out);
        }
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        if version == Version::V5 || self.reason.v3_return_code().is_some() {
            super::encoded_len(self, version)
        } else {
            0
        }
    }
}

impl<'a> ConnAckProperties<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<ConnAckProperties<'a>, Cause> {
        let mut all = ConnAckProperties::default();
        let context = Context::Packet(PacketType::ConnAck);
        let mut properties = PropertyReader::open(reader, context)?;
        while let Some(id) = properties.next()? {
            all.take(id, &mut properties)?;
        }
        // The same as in CONNECT [U5-3.1.2-4].
        if all.authentication_data.is_some() && all.authentication_method.is_none() {
            return Err(Cause::AuthDataWithoutMethod);
        }
        all.user_properties = properties.users();
        Ok(all)
    }

    fn take(&mut self, id: PropertyId, from: &mut PropertyReader<'a>) -> Result<(), Cause> {
        use PropertyId as P;
        match id {
            P::SessionExpiryInterval => self.session_expiry_secs = Some(from.u32()?),
            P::ReceiveMaximum => self.receive_maximum = Some(from.nonzero_u16()?),
            P::MaximumQoS => {
                let at_least_once = from.flag()?;
                let qos = if at_least_once { QoS::AtLeastOnce } else { QoS::AtMostOnce };
                self.maximum_qos = Some(qos);
            }
            P::RetainAvailable => self.retain_available = Some(from.flag()?),
            P::MaximumPacketSize => self.maximum_packet_size = Some(from.nonzero_u32()?),
            P::AssignedClientIdentifier => self.assigned_client_id = Some(from.text()?),
            P::TopicAliasMaximum => self.topic_alias_maximum = Some(from.u16()?),
            P::ReasonString => self.reason_string = Some(from.text()?),
            P::WildcardSubscriptionAvailable => {
                self.wildcard_subscription_available = Some(from.flag()?);
            }
            P::SubscriptionIdentifierAvailable => {
                self.subscription_identifiers_available = Some(from.flag()?);
            }
            P::SharedSubscriptionAvailable => {
                self.shared_subscription_available = Some(from.flag()?);
            }
            P::ServerKeepAlive => self.server_keep_alive_secs = Some(from.u16()?),
            P::ResponseInformation => self.response_information = Some(from.text()?),
            P::ServerReference => self.server_reference = Some(from.text()?),
            P::AuthenticationMethod => self.authentication_method = Some(from.text()?),
            P::AuthenticationData => self.authentication_data = Some(from.binary()?),
            P::UserProperty => from.user()?,
            _ => return from.misplaced(),
        }
        Ok(())
    }
}

impl PropertyWriter for ConnAckProperties<'_> {
    /// Their order means nothing; it is mosquitto's, for whoever compares bytes.
    fn write_properties(&self, out: &mut impl Sink) {
        use PropertyId as P;
        // Absent means QoS 2, which has no value of its own.
        let maximum_qos = self.maximum_qos.filter(|qos| *qos != QoS::ExactlyOnce);
        let maximum_qos = maximum_qos.map(|qos| qos == QoS::AtLeastOnce);
        let (wildcard, ids) =
            (self.wildcard_subscription_available, self.subscription_identifiers_available);
        property::u16(out, P::ServerKeepAlive, self.server_keep_alive_secs);
        property::u16(out, P::TopicAliasMaximum, self.topic_alias_maximum);
        property::text(out, P::AssignedClientIdentifier, self.assigned_client_id);
        property::text(out, P::AuthenticationMethod, self.authentication_method);
        property::binary(out, P::AuthenticationData, self.authentication_data);
        property::u32(out, P::SessionExpiryInterval, self.session_expiry_secs);
        property::text(out, P::ReasonString, self.reason_string);
        property::flag(out, P::WildcardSubscriptionAvailable, wildcard);
        property::flag(out, P::SubscriptionIdentifierAvailable, ids);
        property::flag(out, P::SharedSubscriptionAvailable, self.shared_subscription_available);
        property::text(out, P::ResponseInformation, self.response_information);
        property::text(out, P::ServerReference, self.server_reference);
        property::flag(out, P::RetainAvailable, self.retain_available);
        property::u32(out, P::MaximumPacketSize, self.maximum_packet_size.map(NonZeroU32::get));
        property::u16(out, P::ReceiveMaximum, self.receive_maximum.map(NonZeroU16::get));
        property::flag(out, P::MaximumQoS, maximum_qos);
        self.user_properties.write(out);
    }
}

impl Body for ConnAck<'_> {
    fn first(&self) -> u8 {
        PacketType::ConnAck.first()
    }

    fn write(&self, version: Version, out: &mut impl Sink) {
        let code = match version {
            Version::V5 => self.reason.as_u8(),
            // `encode` asks first whether there is one.
            Version::V31 | Version::V311 => self.reason.v3_return_code().unwrap_or(3),
        };
        // [V31-3.2-1], [MQTT-3.2.2-6 v5], [MQTT-3.2.2-4 v3.1.1]; 3.1 has no such flag.
        let present = self.session_present && code == 0 && version != Version::V31;
        out.put(&[u8::from(present), code]);
        if version == Version::V5 {
            write::section(out, &self.properties);
        }
    }
}
