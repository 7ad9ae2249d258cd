//! SUBSCRIBE.
use crate::property::UserProperties;
use crate::{PacketId, QoS};

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
#[derive(Clone, Copy, PartialEq, Debug)]
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
