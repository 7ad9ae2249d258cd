//! An application message on its way from publisher to receivers.

use crate::identity::{MessageId, Place, SessionNumber, Tenant, Time};
use crate::limits::Durability;
use crate::outbound::Outbound;
use noctule_proto::QoS;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Version of the index it was routed by: a subscription visible at that version got it live.
    pub routed_at: u64,
    /// What was promised to its publisher. Above `Memory`, whatever is owed of it is recorded.
    pub durability: Durability,
    topic_len: u16,
    properties_len: u32,
    place: PlaceCell,
    bytes: Box<[u8]>,
}

/// Where the log keeps the message, once it does. Written once, by the store, while the records of
/// the turn that made the message are appended: before another shard, or a later turn, sees it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct PlaceCell(AtomicU64);

impl Clone for PlaceCell {
    fn clone(&self) -> PlaceCell {
        PlaceCell(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

impl PartialEq for PlaceCell {
    /// Where a message is kept is no part of what it says.
    fn eq(&self, _: &PlaceCell) -> bool {
        true
    }
}

/// Bytes that a message takes in a queue's account besides its topic, properties and payload.
pub const MESSAGE_OVERHEAD: usize = 88;

/// What a message needs besides its PUBLISH.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// See [`Message::id`].
    pub id: MessageId,
    /// See [`Message::tenant`].
    pub tenant: Tenant,
    /// See [`Message::publisher`].
    pub publisher: Option<SessionNumber>,
    /// See [`Message::routed_at`].
    pub routed_at: u64,
    /// See [`Message::durability`].
    pub durability: Durability,
}

/// A message as the log keeps it: see [`Message::restored`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Kept<'a> {
    /// See [`Message::id`].
    pub id: MessageId,
    /// See [`Message::tenant`].
    pub tenant: Tenant,
    /// See [`Message::publisher`].
    pub publisher: Option<SessionNumber>,
    /// See [`Message::qos`].
    pub qos: QoS,
    /// See [`Message::retain`].
    pub retain: bool,
    /// See [`Message::expires_at`].
    pub expires_at: Option<Time>,
    /// A valid topic name.
    pub topic: &'a str,
    /// See [`Message::properties`].
    pub properties: &'a [u8],
    /// See [`Message::payload`].
    pub payload: &'a [u8],
}

/// The parts of a message that does not come from a PUBLISH (wills, `$SYS`, tests).
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// A valid topic name.
    pub topic: &'a str,
    /// Encoded properties that travel unchanged.
    pub properties: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
    /// QoS.
    pub qos: QoS,
    /// Retain.
    pub retain: bool,
    /// Message expiry interval, seconds.
    pub expiry_secs: Option<u32>,
}

impl Message {
    /// Copies what is on its way out.
    pub(crate) fn of_outbound(outbound: &Outbound<'_>) -> Message {
        let topic = outbound.topic.as_str();
        let properties_len = outbound.others.encoded_len();
        // Exactly, so that it need not be moved into a box of its size.
        let mut bytes = Vec::with_capacity(topic.len() + properties_len + outbound.payload.len());
        bytes.extend_from_slice(topic.as_bytes());
        outbound.others.copy_to(&mut bytes);
        bytes.extend_from_slice(outbound.payload);
        Message {
            id: outbound.id,
            tenant: outbound.tenant,
            publisher: outbound.publisher,
            qos: outbound.qos,
            retain: outbound.retain,
            expires_at: outbound.expires_at,
            routed_at: outbound.routed_at,
            durability: outbound.durability,
            topic_len: topic.len() as u16,
            properties_len: properties_len as u32,
            place: PlaceCell::default(),
            bytes: bytes.into_boxed_slice(),
        }
    }

    /// A message made from its parts; `properties` encoded as `OtherProperties::copy_to` writes.
    #[must_use]
    pub fn new(now: Time, origin: Origin, parts: &Parts<'_>) -> Message {
        Message::of_outbound(&Outbound::of_parts(now, origin, parts))
    }

    /// The message that the log keeps at a place; versions of an index count within one run.
    #[must_use]
    pub fn restored(kept: &Kept<'_>, place: Place) -> Message {
        let bytes = [kept.topic.as_bytes(), kept.properties, kept.payload].concat();
        Message {
            id: kept.id,
            tenant: kept.tenant,
            publisher: kept.publisher,
            qos: kept.qos,
            retain: kept.retain,
            expires_at: kept.expires_at,
            routed_at: 0,
            durability: Durability::Fsync,
            topic_len: kept.topic.len() as u16,
            properties_len: kept.properties.len() as u32,
            place: PlaceCell(AtomicU64::new(place.0.get())),
            bytes: bytes.into_boxed_slice(),
        }
    }

    /// Where the log keeps it; `None`: nowhere, or not yet.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        NonZeroU64::new(self.place.0.load(Ordering::Relaxed)).map(Place)
    }

    /// The log keeps it there. For the store alone, once for each message.
    pub fn set_place(&self, place: Place) {
        self.place.0.store(place.0.get(), Ordering::Relaxed);
    }

    /// Topic name.
    #[must_use]
    pub fn topic(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.topic_len)])
            .expect("a topic is copied from a str")
    }

    /// The bytes of the topic name.
    #[must_use]
    pub fn topic_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.topic_len)]
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

    /// The same message without its payload: as a retained one it clears the topic.
    pub(crate) fn cleared(&self) -> Message {
        let head = self.bytes.len() - self.payload().len();
        Message { bytes: self.bytes[..head].into(), place: self.place.clone(), ..*self }
    }

    /// Bytes it occupies in a queue's account.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.bytes.len() + MESSAGE_OVERHEAD
    }

    /// Expired at `now` `[MQTT-3.3.2-5 v5]`.
    #[must_use]
    pub fn expired(&self, now: Time) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}
