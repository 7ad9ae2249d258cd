//! SUBSCRIBE.
use super::Body;
use super::unsubscribe::filter;
use crate::property::{Context, PropertyId, PropertyReader, SubscriptionIds, UserProperties};
use crate::reader::Reader;
use crate::write::{self, PropertyWriter, Sink};
use crate::{Cause, PacketId, PacketType, QoS, TopicFilter, Version};
use alloc::vec::Vec;

/// SUBSCRIBE `[3.8]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Subscribe<'a> {
    /// Packet identifier.
    pub packet_id: PacketId,
    /// Subscription Identifier, 1 to 268,435,455 (v5).
    pub subscription_id: Option<u32>,
    /// User Properties (v5).
    pub user_properties: UserProperties<'a>,
    /// Filters with their options, in order; at least one, all valid once decoded.
    pub filters: SubscribeFilters<'a>,
}

/// The payload of a decoded SUBSCRIBE: an iterator of `(TopicFilter, SubscribeOptions)`.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeFilters<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) v5: bool,
}

/// Options of one subscription `[3.8.3.1 v5]`; before v5 only `qos` is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SubscribeOptions {
    /// Maximum QoS.
    pub qos: QoS,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling.
    pub retain_handling: RetainHandling,
}

/// When a new subscription is sent retained messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum RetainHandling {
    /// At every SUBSCRIBE.
    #[default]
    Always = 0,
    /// Only if the subscription did not exist.
    IfNew = 1,
    /// Never.
    Never = 2,
}

impl<'a> Subscribe<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Subscribe<'a>, Cause> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let mut subscribe = Subscribe {
            packet_id,
            subscription_id: None,
            user_properties: UserProperties::EMPTY,
            filters: SubscribeFilters { raw: &[], v5: version == Version::V5 },
        };
        if version == Version::V5 {
            subscribe.decode_properties(&mut reader)?;
        }
        // [MQTT-3.8.3-2 v5], [MQTT-3.8.3-3 v3.1.1]
        if reader.is_empty() {
            return Err(Cause::EmptyPayload);
        }
        subscribe.filters.raw = reader.rest();
        while !reader.is_empty() {
            let filter = filter(&mut reader)?;
            let options = SubscribeOptions::decode(reader.u8()?, version)?;
            // [MQTT-3.8.3-4 v5]
            if options.no_local && filter.share().is_some() {
                return Err(Cause::NoLocalOnShared);
            }
        }
        Ok(subscribe)
    }

    fn decode_properties(&mut self, reader: &mut Reader<'a>) -> Result<(), Cause> {
        let context = Context::Packet(PacketType::Subscribe);
        let mut properties = PropertyReader::open(reader, context)?;
        while let Some(id) = properties.next()? {
            match id {
                PropertyId::SubscriptionIdentifier => {
                    self.subscription_id = Some(properties.nonzero_varint()?);
                }
                PropertyId::UserProperty => properties.user()?,
                _ => return properties.misplaced(),
            }
        }
        self.user_properties = properties.users();
        Ok(())
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        super::encode(self, version, out);
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        super::encoded_len(self, version)
    }
}

impl SubscribeOptions {
    /// The options byte; before v5 it holds the QoS alone.
    fn decode(byte: u8, version: Version) -> Result<SubscribeOptions, Cause> {
        let reserved = match version {
            // The upper bits are not used and not looked at.
            Version::V31 => 0,
            // [MQTT-3.8.3-4 v3.1.1]
            Version::V311 => 0b1111_1100,
            // [MQTT-3.8.3-5 v5]
            Version::V5 => 0b1100_0000,
        };
        if byte & reserved != 0 {
            return Err(Cause::ReservedOptions);
        }
        // [U5-3.8.3-1], [MQTT-3.8.3-4 v3.1.1]
        let qos = QoS::from_u8(byte & 3).ok_or(Cause::OptionsQoS3)?;
        if version != Version::V5 {
            return Ok(SubscribeOptions { qos, ..SubscribeOptions::default() });
        }
        let retain_handling = match byte >> 4 {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            // [U5-3.8.3-2]
            _ => return Err(Cause::RetainHandling3),
        };
        Ok(SubscribeOptions {
            qos,
            no_local: byte & 4 != 0,
            retain_as_published: byte & 8 != 0,
            retain_handling,
        })
    }

    /// The options byte of v5.
    fn as_u8(self) -> u8 {
        self.qos as u8
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | (self.retain_handling as u8) << 4
    }
}

impl PartialEq for SubscribeFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        Iterator::eq(*self, *other)
    }
}

impl<'a> Iterator for SubscribeFilters<'a> {
    type Item = (TopicFilter<'a>, SubscribeOptions);

    fn next(&mut self) -> Option<(TopicFilter<'a>, SubscribeOptions)> {
        let mut reader = Reader::new(self.raw);
        let text = reader.binary().ok()?;
        let options = reader.u8().ok()?;
        self.raw = reader.rest();
        // Checked when the packet was decoded, or when the builder took it. V31 is the version
        // that ignores what it does not know.
        let version = if self.v5 { Version::V5 } else { Version::V31 };
        let options = SubscribeOptions::decode(options, version).ok()?;
        Some((TopicFilter(core::str::from_utf8(text).ok()?), options))
    }
}

/// Builds the payload of a SUBSCRIBE.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SubscribeFiltersBuf(Vec<u8>);

impl SubscribeFiltersBuf {
    /// No filters yet; allocates nothing.
    pub const fn new() -> SubscribeFiltersBuf {
        SubscribeFiltersBuf(Vec::new())
    }

    /// Adds a filter with its options.
    pub fn push(&mut self, filter: TopicFilter<'_>, options: SubscribeOptions) -> &mut Self {
        write::text(&mut self.0, filter.as_str());
        self.0.push(options.as_u8());
        self
    }

    /// The filters so far.
    pub fn as_filters(&self) -> SubscribeFilters<'_> {
        SubscribeFilters { raw: &self.0, v5: true }
    }
}

impl PropertyWriter for Subscribe<'_> {
    fn write_properties(&self, out: &mut impl Sink) {
        if let Some(id) = self.subscription_id {
            SubscriptionIds::encode(id, &mut [0; 5]).write(out);
        }
        self.user_properties.write(out);
    }
}

impl Body for Subscribe<'_> {
    fn first(&self) -> u8 {
        PacketType::Subscribe.first()
    }

    fn write(&self, version: Version, out: &mut impl Sink) {
        write::packet_id(out, self.packet_id);
        if version == Version::V5 {
            write::section(out, self);
        }
        for (filter, options) in self.filters {
            write::text(out, filter.as_str());
            let byte = if version == Version::V5 { options.as_u8() } else { options.qos as u8 };
            out.put(&[byte]);
        }
    }
}
