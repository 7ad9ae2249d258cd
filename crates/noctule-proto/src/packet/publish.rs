//! PUBLISH: a message, in either direction.
use crate::property::{OtherProperties, SubscriptionIds};
use crate::{PacketId, QoS, TopicName};
use core::num::NonZeroU16;

/// PUBLISH `[3.3]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Publish<'a> {
    /// Sent before.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Topic Name; empty only together with a topic alias (v5).
    pub topic: TopicName<'a>,
    /// Packet identifier: present exactly when `qos` is above 0.
    pub packet_id: Option<PacketId>,
    /// Properties (default before v5).
    pub properties: PublishProperties<'a>,
    /// Application message.
    pub payload: &'a [u8],
}

/// PUBLISH properties, split by who may change them on the way.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct PublishProperties<'a> {
    /// Message Expiry Interval, seconds: counted down by the server.
    pub message_expiry_secs: Option<u32>,
    /// Topic Alias: of this connection only.
    pub topic_alias: Option<NonZeroU16>,
    /// Subscription Identifiers: server to client only.
    pub subscription_ids: SubscriptionIds<'a>,
    /// All that travels unchanged from publisher to subscriber, in its order.
    pub others: OtherProperties<'a>,
}
