//! UNSUBSCRIBE.
use crate::PacketId;
use crate::property::UserProperties;

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
