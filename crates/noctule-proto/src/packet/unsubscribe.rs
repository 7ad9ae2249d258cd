//! UNSUBSCRIBE.
use super::Body;
use crate::property::{Context, PropertyId, PropertyReader, UserProperties};
use crate::reader::Reader;
use crate::write::{self, PropertyWriter, Sink};
use crate::{Cause, PacketId, PacketType, TopicFilter, Version};
use alloc::vec::Vec;

/// UNSUBSCRIBE `[3.10]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Unsubscribe<'a> {
    /// Packet identifier.
    pub packet_id: PacketId,
    /// User Properties (v5).
    pub user_properties: UserProperties<'a>,
    /// Filters, in order; at least one, all valid once decoded.
    pub filters: UnsubscribeFilters<'a>,
}

/// The payload of a decoded UNSUBSCRIBE: an iterator of `TopicFilter`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct UnsubscribeFilters<'a> {
    pub(crate) raw: &'a [u8],
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Unsubscribe<'a>, Cause> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let mut user_properties = UserProperties::EMPTY;
        if version == Version::V5 {
            let context = Context::Packet(PacketType::Unsubscribe);
            let mut properties = PropertyReader::open(&mut reader, context)?;
            while let Some(id) = properties.next()? {
                match id {
                    PropertyId::UserProperty => properties.user()?,
                    _ => return properties.misplaced(),
                }
            }
            user_properties = properties.users();
        }
        let filters = UnsubscribeFilters { raw: reader.rest() };
        // [MQTT-3.10.3-2 v5], [MQTT-3.10.3-2 v3.1.1]
        if reader.is_empty() {
            return Err(Cause::EmptyPayload);
        }
        while !reader.is_empty() {
            filter(&mut reader)?;
        }
        Ok(Unsubscribe { packet_id, user_properties, filters })
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

/// A topic filter of a packet `[MQTT-3.8.3-1 v5]` `[MQTT-3.10.3-1 v5]` `[MQTT-3.8.3-1 v3.1.1]`
/// `[MQTT-3.10.3-1 v3.1.1]`.
pub(super) fn filter<'a>(reader: &mut Reader<'a>) -> Result<TopicFilter<'a>, Cause> {
    let text = core::str::from_utf8(reader.binary()?).map_err(|_| Cause::IllFormedText)?;
    TopicFilter::parse(text).map_err(Cause::TopicFilter)
}

impl<'a> Iterator for UnsubscribeFilters<'a> {
    type Item = TopicFilter<'a>;

    fn next(&mut self) -> Option<TopicFilter<'a>> {
        let mut reader = Reader::new(self.raw);
        let text = reader.binary().ok()?;
        self.raw = reader.rest();
        // Checked when the packet was decoded, or when the builder took it.
        core::str::from_utf8(text).ok().map(TopicFilter)
    }
}

/// Builds the payload of an UNSUBSCRIBE.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UnsubscribeFiltersBuf(Vec<u8>);

impl UnsubscribeFiltersBuf {
    /// No filters yet; allocates nothing.
    pub const fn new() -> UnsubscribeFiltersBuf {
        UnsubscribeFiltersBuf(Vec::new())
    }

    /// Adds a filter.
    pub fn push(&mut self, filter: TopicFilter<'_>) -> &mut Self {
        write::text(&mut self.0, filter.as_str());
        self
    }

    /// The filters so far.
    pub fn as_filters(&self) -> UnsubscribeFilters<'_> {
        UnsubscribeFilters { raw: &self.0 }
    }
}

impl PropertyWriter for Unsubscribe<'_> {
    fn write_properties(&self, out: &mut impl Sink) {
        self.user_properties.write(out);
    }
}

impl Body for Unsubscribe<'_> {
    fn first(&self) -> u8 {
        PacketType::Unsubscribe.first()
    }

    fn write(&self, version: Version, out: &mut impl Sink) {
        write::packet_id(out, self.packet_id);
        if version == Version::V5 {
            write::section(out, self);
        }
        out.put(self.filters.raw);
    }
}
