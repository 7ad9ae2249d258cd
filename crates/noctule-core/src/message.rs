//! An application message on its way from publisher to receivers.

use crate::identity::{MessageId, SessionNumber, Tenant, Time};
use noctule_proto::{QoS, packet::Publish};
use serde::{Deserialize, Serialize};

/// A message, made once and shared by all who still need it. Topic, properties and payload lie in
/// one allocation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Unique, and greater than that of every earlier message of the same publisher.
    pub id: MessageId,
    /// Namespace of the topic.
    pub tenant: Tenant,
    /// Session of the publisher, for No Local; `None` for messages of the broker itself.
    pub publisher: Option<SessionNumber>,
    /// QoS it was published with.
    pub qos: QoS,
    /// RETAIN as published.
    pub retain: bool,
    /// When it stops being deliverable.
    pub expires_at: Option<Time>,
    topic_len: u16,
    properties_len: u32,
    bytes: Box<[u8]>,
}

/// What a message needs besides its PUBLISH.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// See [`Message::id`].
    pub id: MessageId,
    /// See [`Message::tenant`].
    pub tenant: Tenant,
    /// See [`Message::publisher`].
    pub publisher: Option<SessionNumber>,
}

impl Message {
    /// Copies a PUBLISH. `topic` is the resolved topic (the packet may hold only an alias).
    #[must_use]
    pub fn new(now: Time, origin: Origin, topic: &str, publish: &Publish<'_>) -> Message {
        let properties = &publish.properties.others;
        let mut bytes = Vec::with_capacity(topic.len() + publish.payload.len() + 16);
        bytes.extend_from_slice(topic.as_bytes());
        properties.copy_to(&mut bytes);
        let properties_len = bytes.len() - topic.len();
        bytes.extend_from_slice(publish.payload);
        Message {
            id: origin.id,
            tenant: origin.tenant,
            publisher: origin.publisher,
            qos: publish.qos,
            retain: publish.retain,
            expires_at: publish
                .properties
                .message_expiry_secs
                .map(|secs| now.plus_secs(u64::from(secs))),
            topic_len: topic.len() as u16,
            properties_len: properties_len as u32,
            bytes: bytes.into_boxed_slice(),
        }
    }

    /// Topic name.
    #[must_use]
    pub fn topic(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.topic_len)])
            .expect("a topic is copied from a str")
    }

    /// Properties that travel unchanged, encoded as `OtherProperties::from_clean` takes them.
    #[must_use]
    pub fn properties(&self) -> &[u8] {
        let start = usize::from(self.topic_len);
        &self.bytes[start..start + self.properties_len as usize]
    }

    /// Application message.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.bytes[usize::from(self.topic_len) + self.properties_len as usize..]
    }

    /// Bytes it occupies in a queue's account.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.bytes.len() + core::mem::size_of::<Message>()
    }

    /// Expired at `now` `[MQTT-3.3.2-5 v5]`.
    #[must_use]
    pub fn expired(&self, now: Time) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Seconds left at `now`, as sent onward `[MQTT-3.3.2-6 v5]`.
    #[must_use]
    pub fn expiry_secs_left(&self, now: Time) -> Option<u32> {
        // Rounded up: a message with a fraction of a second left is still alive.
        self.expires_at.map(|at| u32::try_from(at.millis_since(now).div_ceil(1000)).unwrap_or(u32::MAX))
    }
}
