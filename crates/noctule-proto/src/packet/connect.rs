//! CONNECT: the first packet of a client.
use super::Body;
use crate::property::{Context, OtherProperties, PropertyId, PropertyReader, Span, UserProperties};
use crate::reader::Reader;
use crate::write::{self, PropertyWriter, Sink, property};
use crate::{Cause, PacketType, QoS, TopicError, TopicName, Version};
use alloc::vec::Vec;
use core::num::{NonZeroU16, NonZeroU32};

/// CONNECT `[3.1]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Connect<'a> {
    /// Protocol version asked for.
    pub version: Version,
    /// Bit 7 of the protocol level: the peer is a bridge (mosquitto's `try_private`; 3.1, 3.1.1).
    pub bridge: bool,
    /// Clean Start (v5) or Clean Session (3.x).
    pub clean_start: bool,
    /// Keep alive in seconds; 0 switches it off.
    pub keep_alive_secs: u16,
    /// Client identifier; may be empty.
    pub client_id: &'a str,
    /// The Will, if any.
    pub will: Option<Will<'a>>,
    /// User name.
    pub user_name: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// Properties (all default before v5).
    pub properties: ConnectProperties<'a>,
}

/// The Will of a CONNECT.
#[derive(Clone, PartialEq, Debug)]
pub struct Will<'a> {
    /// Will Topic.
    pub topic: TopicName<'a>,
    /// Will payload.
    pub payload: &'a [u8],
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
    /// Will Delay Interval in seconds; 0 if absent.
    pub delay_secs: u32,
    /// Message Expiry Interval of the Will, seconds.
    pub message_expiry_secs: Option<u32>,
    /// Payload format, content type, response topic, correlation data, user properties.
    pub others: OtherProperties<'a>,
}

/// CONNECT properties `[3.1.2.11 v5]`; `None` means absent.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ConnectProperties<'a> {
    /// Session Expiry Interval, seconds; `u32::MAX` never expires.
    pub session_expiry_secs: Option<u32>,
    /// Receive Maximum.
    pub receive_maximum: Option<NonZeroU16>,
    /// Maximum Packet Size in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// Topic Alias Maximum.
    pub topic_alias_maximum: Option<u16>,
    /// Request Response Information.
    pub request_response_information: Option<bool>,
    /// Request Problem Information.
    pub request_problem_information: Option<bool>,
    /// Authentication Method.
    pub authentication_method: Option<&'a str>,
    /// Authentication Data.
    pub authentication_data: Option<&'a [u8]>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
}

/// Bits of the connect flags.
mod flag {
    pub(super) const RESERVED: u8 = 1;
    pub(super) const CLEAN_START: u8 = 1 << 1;
    pub(super) const WILL: u8 = 1 << 2;
    pub(super) const WILL_QOS_SHIFT: u8 = 3;
    pub(super) const WILL_RETAIN: u8 = 1 << 5;
    pub(super) const PASSWORD: u8 = 1 << 6;
    pub(super) const USER_NAME: u8 = 1 << 7;
    /// What means something only together with `WILL`.
    pub(super) const WILL_DETAILS: u8 = 3 << WILL_QOS_SHIFT | WILL_RETAIN;
}

/// Bit 7 of the protocol level.
const BRIDGE: u8 = 0x80;

impl<'a> Connect<'a> {
    /// A CONNECT with this client identifier that asks for nothing else.
    pub fn new(version: Version, client_id: &'a str) -> Connect<'a> {
        Connect {
            version,
            bridge: false,
            clean_start: true,
            keep_alive_secs: 0,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties::default(),
        }
    }

    /// Decodes a CONNECT, checked field by field in the order of section 3.1 `[MQTT-3.1.3-1 v5]`
    /// `[V31-3.1-15]`
    /// `[MQTT-3.1.4-1 v5]` `[MQTT-3.1.3-1 v3.1.1]` `[MQTT-3.1.4-1 v3.1.1]`; `told` becomes the
    /// version as soon as the bytes have told it.
    pub(super) fn decode(body: &'a [u8], told: &mut Option<Version>) -> Result<Connect<'a>, Cause> {
        let mut reader = Reader::new(body);
        let (version, bridge) = version(&mut reader, told)?;
        let flags = checked_flags(reader.u8()?, version)?;
        let mut connect = Connect::new(version, "");
        connect.bridge = bridge;
        connect.clean_start = flags & flag::CLEAN_START != 0;
        connect.keep_alive_secs = reader.u16()?;
        if version == Version::V5 {
            connect.properties = ConnectProperties::decode(&mut reader)?;
        }
        // [MQTT-3.1.3-3 v5], [MQTT-3.1.3-4 v5], [MQTT-3.1.3-3 v3.1.1], [MQTT-3.1.3-4 v3.1.1]
        connect.client_id = reader.text()?;
        if flags & flag::WILL != 0 {
            connect.will = Some(Will::decode(&mut reader, flags, version)?);
        }
        // MQTT 3.1 lets the remaining length overrule these flags: the fields may be missing.
        // [V31-3.1-13]
        let present = |reader: &Reader<'_>| version != Version::V31 || !reader.is_empty();
        // [MQTT-3.1.2-17 v5], [MQTT-3.1.2-19 v3.1.1], [MQTT-3.1.3-12 v5], [MQTT-3.1.3-11 v3.1.1]
        if flags & flag::USER_NAME != 0 && present(&reader) {
            connect.user_name = Some(reader.text()?);
        }
        // [MQTT-3.1.2-19 v5], [MQTT-3.1.2-21 v3.1.1]
        if flags & flag::PASSWORD != 0 && present(&reader) {
            connect.password = Some(reader.binary()?);
        }
        // [MQTT-3.1.2-16 v5], [MQTT-3.1.2-18 v5], [MQTT-3.1.2-18 v3.1.1], [MQTT-3.1.2-20 v3.1.1]
        reader.end()?;
        Ok(connect)
    }

    /// Appends the packet, in the version that it asks for. A password without user name, which
    /// only v5 knows, is left out before v5.
    pub fn encode(&self, out: &mut Vec<u8>) {
        super::encode(self, self.version, out);
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self) -> usize {
        super::encoded_len(self, self.version)
    }

    fn sent_password(&self) -> Option<&'a [u8]> {
        let sent = self.version == Version::V5 || self.user_name.is_some();
        self.password.filter(|_| sent)
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        let mut set = |bit: u8, on: bool| flags |= if on { bit } else { 0 };
        set(flag::CLEAN_START, self.clean_start);
        set(flag::USER_NAME, self.user_name.is_some());
        set(flag::PASSWORD, self.sent_password().is_some());
        if let Some(will) = &self.will {
            set(flag::WILL | (will.qos as u8) << flag::WILL_QOS_SHIFT, true);
            set(flag::WILL_RETAIN, will.retain);
        }
        flags
    }
}

/// Protocol name and level: the version, and whether the bridge bit is set.
fn version(reader: &mut Reader<'_>, told: &mut Option<Version>) -> Result<(Version, bool), Cause> {
    let name = reader.binary()?;
    // [V31-3.1-1], [MQTT-3.1.2-1 v5], [MQTT-3.1.2-1 v3.1.1]
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(Cause::WrongProtocolName);
    }
    let level = reader.u8()?;
    let (version, bridge) = match (name, level) {
        (b"MQIsdp", 3) => (Version::V31, false),
        (b"MQTT", 4) => (Version::V311, false),
        (b"MQTT", 5) => (Version::V5, false),
        (b"MQIsdp", level) if level == 3 | BRIDGE => (Version::V31, true),
        (b"MQTT", level) if level == 4 | BRIDGE => (Version::V311, true),
        _ => {
            // Who is newer than v5 is taken to understand v5 [MQTT-3.1.2-2 v5]; who is older, or
            // uses the old name, gets return code 1 [MQTT-3.1.2-2 v3.1.1] [V31-3.1-2].
            let newer = name == b"MQTT" && level > 5;
            *told = Some(if newer { Version::V5 } else { Version::V311 });
            return Err(Cause::UnsupportedLevel(level));
        }
    };
    *told = Some(version);
    Ok((version, bridge))
}

/// The connect flags, or what they contradict.
fn checked_flags(flags: u8, version: Version) -> Result<u8, Cause> {
    // [V31-2.6-1], [MQTT-3.1.2-3 v5], [MQTT-3.1.2-3 v3.1.1]; 3.1 does not look at the bit.
    if flags & flag::RESERVED != 0 && version != Version::V31 {
        return Err(Cause::ReservedConnectFlags);
    }
    if flags & flag::WILL == 0 {
        // [MQTT-3.1.2-11 v5], [MQTT-3.1.2-13 v5], [MQTT-3.1.2-11 v3.1.1],
        // [MQTT-3.1.2-13 v3.1.1], [MQTT-3.1.2-15 v3.1.1];
        // 3.1 disregards these bits.
        if flags & flag::WILL_DETAILS != 0 && version != Version::V31 {
            return Err(Cause::WillFlagsWithoutWill);
        }
    } else if flags >> flag::WILL_QOS_SHIFT & 3 == 3 {
        // [MQTT-3.1.2-12 v5], [MQTT-3.1.2-14 v3.1.1]
        return Err(Cause::WillQoS3);
    }
    // [V31-3.1-14], [MQTT-3.1.2-22 v3.1.1]
    if flags & flag::PASSWORD != 0 && flags & flag::USER_NAME == 0 && version != Version::V5 {
        return Err(Cause::PasswordWithoutUserName);
    }
    Ok(flags)
}

impl<'a> Will<'a> {
    /// A Will without properties.
    pub fn new(topic: TopicName<'a>, payload: &'a [u8], qos: QoS, retain: bool) -> Will<'a> {
        let others = OtherProperties::EMPTY;
        Will { topic, payload, qos, retain, delay_secs: 0, message_expiry_secs: None, others }
    }

    /// Will properties, topic and payload [MQTT-3.1.2-9 v5] [MQTT-3.1.2-9 v3.1.1].
    fn decode(reader: &mut Reader<'a>, flags: u8, version: Version) -> Result<Will<'a>, Cause> {
        let qos = QoS::from_u8(flags >> flag::WILL_QOS_SHIFT & 3).ok_or(Cause::WillQoS3)?;
        let mut will = Will::new(TopicName::EMPTY, &[], qos, flags & flag::WILL_RETAIN != 0);
        if version == Version::V5 {
            will.decode_properties(reader)?;
        }
        // [MQTT-3.1.3-11 v5], [MQTT-3.1.3-10 v3.1.1]
        will.topic = TopicName::decode(reader.binary()?).map_err(|cause| match cause {
            Cause::TopicName(error) => Cause::WillTopic(error),
            other => other,
        })?;
        // [MQTT-4.7.3-1 v5], [MQTT-4.7.3-1 v3.1.1]
        if will.topic.is_empty() {
            return Err(Cause::WillTopic(TopicError::Empty));
        }
        will.payload = reader.binary()?;
        Ok(will)
    }

    fn decode_properties(&mut self, reader: &mut Reader<'a>) -> Result<(), Cause> {
        let mut properties = PropertyReader::open(reader, Context::Will)?;
        let mut others = Span::default();
        while let Some(id) = properties.next()? {
            match id {
                PropertyId::WillDelayInterval => self.delay_secs = properties.u32()?,
                PropertyId::MessageExpiryInterval => {
                    self.message_expiry_secs = Some(properties.u32()?);
                }
                _ => properties.travelling(id, &mut others)?,
            }
        }
        self.others = OtherProperties::from_span(&others, properties.section());
        Ok(())
    }
}

impl PropertyWriter for Will<'_> {
    fn write_properties(&self, out: &mut impl Sink) {
        let delay = Some(self.delay_secs).filter(|secs| *secs != 0);
        property::u32(out, PropertyId::WillDelayInterval, delay);
        self.others.write(out);
        property::u32(out, PropertyId::MessageExpiryInterval, self.message_expiry_secs);
    }
}

impl<'a> ConnectProperties<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<ConnectProperties<'a>, Cause> {
        let mut all = ConnectProperties::default();
        let context = Context::Packet(PacketType::Connect);
        let mut properties = PropertyReader::open(reader, context)?;
        while let Some(id) = properties.next()? {
            all.take(id, &mut properties)?;
        }
        // [U5-3.1.2-4]
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
            P::MaximumPacketSize => self.maximum_packet_size = Some(from.nonzero_u32()?),
            P::TopicAliasMaximum => self.topic_alias_maximum = Some(from.u16()?),
            P::RequestResponseInformation => {
                self.request_response_information = Some(from.flag()?);
            }
            P::RequestProblemInformation => {
                self.request_problem_information = Some(from.flag()?);
            }
            P::AuthenticationMethod => self.authentication_method = Some(from.text()?),
            P::AuthenticationData => self.authentication_data = Some(from.binary()?),
            P::UserProperty => from.user()?,
            _ => return from.misplaced(),
        }
        Ok(())
    }
}

impl PropertyWriter for ConnectProperties<'_> {
    fn write_properties(&self, out: &mut impl Sink) {
        use PropertyId as P;
        property::u32(out, P::SessionExpiryInterval, self.session_expiry_secs);
        property::u16(out, P::ReceiveMaximum, self.receive_maximum.map(NonZeroU16::get));
        property::u32(out, P::MaximumPacketSize, self.maximum_packet_size.map(NonZeroU32::get));
        property::u16(out, P::TopicAliasMaximum, self.topic_alias_maximum);
        property::flag(out, P::RequestResponseInformation, self.request_response_information);
        property::flag(out, P::RequestProblemInformation, self.request_problem_information);
        property::text(out, P::AuthenticationMethod, self.authentication_method);
        property::binary(out, P::AuthenticationData, self.authentication_data);
        self.user_properties.write(out);
    }
}

impl Body for Connect<'_> {
    fn first(&self) -> u8 {
        PacketType::Connect.first()
    }

    fn write(&self, version: Version, out: &mut impl Sink) {
        let (name, level) = match version {
            Version::V31 => ("MQIsdp", 3),
            Version::V311 => ("MQTT", 4),
            Version::V5 => ("MQTT", 5),
        };
        let bridge = self.bridge && version != Version::V5;
        write::text(out, name);
        out.put(&[level | if bridge { BRIDGE } else { 0 }, self.flags()]);
        out.put(&self.keep_alive_secs.to_be_bytes());
        if version == Version::V5 {
            write::section(out, &self.properties);
        }
        write::text(out, self.client_id);
        if let Some(will) = &self.will {
            if version == Version::V5 {
                write::section(out, will);
            }
            write::text(out, will.topic.as_str());
            write::binary(out, will.payload);
        }
        if let Some(user_name) = self.user_name {
            write::text(out, user_name);
        }
        if let Some(password) = self.sent_password() {
            write::binary(out, password);
        }
    }
}
