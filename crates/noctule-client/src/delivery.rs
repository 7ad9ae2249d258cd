//! A received message, borrowed from the bytes it came in.

use crate::message::Message;
use alloc::sync::Arc;
use bytes::Bytes;
use noctule_proto::QoS;
use noctule_proto::packet::PublishProperties;
use noctule_proto::property::PropertiesBuf;

/// A received message. [`to_message`](Self::to_message) makes one to keep.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery<'a> {
    /// Topic Name, also where the server sent an alias.
    pub topic: &'a str,
    /// The content.
    pub payload: &'a [u8],
    /// Quality of service of the transfer from the server.
    pub qos: QoS,
    /// It is the last known value of the topic (or, with retain as published, it was published
    /// with the flag).
    pub retain: bool,
    /// It may have been received before.
    pub duplicate: bool,
    /// The packet identifier of the transfer; 0 at QoS 0.
    pub packet_id: u16,
    /// What came with it (5.0).
    pub properties: PublishProperties<'a>,
    /// For [`Session::acknowledge`](crate::Session::acknowledge): there only if the application has
    /// to acknowledge.
    pub ack: Option<AckToken>,
}

/// Names one received message that waits for the application's acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AckToken {
    pub(crate) id: noctule_proto::PacketId,
    pub(crate) arrival: u64,
}

impl Delivery<'_> {
    /// The same, to keep.
    pub fn to_message(&self) -> Message {
        Message {
            topic: Arc::from(self.topic),
            payload: Bytes::copy_from_slice(self.payload),
            qos: self.qos,
            retain: self.retain,
            expiry_secs: self.properties.message_expiry_secs,
            properties: PropertiesBuf::from(self.properties.others),
            duplicate: self.duplicate,
            packet_id: self.packet_id,
            ack: self.ack,
            subscription_ids: self.properties.subscription_ids.iter().collect(),
        }
    }
}
