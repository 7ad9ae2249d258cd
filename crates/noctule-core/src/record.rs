//! What survives a restart. A record is emitted for every change of durable state and replayed by
//! [`crate::Broker::apply`], which runs the same code as the live path.

use crate::identity::{MessageId, SessionNumber, Tenant, Time};
use crate::message::Message;
use noctule_proto::{PacketId, QoS, packet::SubscribeOptions};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One change of durable state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Record {
    /// A persistent session exists (again), or its expiry interval changed.
    Session {
        /// Its number.
        session: SessionNumber,
        /// Namespace.
        tenant: Tenant,
        /// Client id.
        client_id: Box<str>,
        /// Session expiry interval, seconds.
        expiry_secs: u32,
        /// While away: since when (expiry counts from there).
        away_since: Option<Time>,
    },
    /// A session ended; its number is void from here on.
    SessionEnded(SessionNumber),
    /// A subscription was made or replaced.
    Subscribed {
        /// Whose.
        session: SessionNumber,
        /// Filter as the client sent it, with `$share` prefix if it has one.
        filter: Box<str>,
        /// Options.
        options: SubscribeOptions,
        /// Identifier; 0 = none.
        subscription_id: u32,
    },
    /// A subscription was removed.
    Unsubscribed {
        /// Whose.
        session: SessionNumber,
        /// Filter as the client sent it.
        filter: Box<str>,
    },
    /// A message entered the queues of sessions and, if `retained`, became its topic's retained
    /// message. Written once, by the shard it arrived at, for receivers on all shards.
    Published {
        /// The message.
        message: Arc<Message>,
        /// Its persistent receivers.
        receivers: Vec<Receipt>,
        /// It became (or, empty, cleared) the retained message.
        retained: bool,
    },
    /// A message to a session was given a packet id (QoS 2 only: a resend needs the same id).
    Sent {
        /// Receiver.
        session: SessionNumber,
        /// Message.
        message: MessageId,
        /// Packet id.
        id: PacketId,
    },
    /// The receiver of a QoS 2 message answered PUBREC: only PUBREL is sent from here on.
    Released {
        /// Receiver.
        session: SessionNumber,
        /// Packet id.
        id: PacketId,
    },
    /// The receiver answered PUBREL by PUBCOMP: the packet id is free.
    Completed {
        /// Receiver.
        session: SessionNumber,
        /// Packet id.
        id: PacketId,
    },
    /// A message is settled for a session: acknowledged, completed or dropped.
    Settled {
        /// Receiver.
        session: SessionNumber,
        /// Message.
        message: MessageId,
    },
    /// A QoS 2 message arrived and waits for its PUBREL.
    Received {
        /// Sender.
        session: SessionNumber,
        /// Packet id.
        id: PacketId,
        /// The message.
        message: Arc<Message>,
    },
    /// Its PUBREL arrived: the packet id is free.
    ReceivedReleased {
        /// Sender.
        session: SessionNumber,
        /// Packet id.
        id: PacketId,
    },
    /// The Will of a session, due when the connection ends plus its delay; `None` erases it.
    Will {
        /// Whose.
        session: SessionNumber,
        /// The Will.
        will: Option<Box<StoredWill>>,
    },
}

/// A receiver of a stored message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// Who.
    pub session: SessionNumber,
    /// QoS of the delivery.
    pub qos: QoS,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// Subscription Identifier; 0 = none.
    pub subscription_id: u32,
}

/// A Will as it is kept.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StoredWill {
    /// Topic.
    pub topic: Box<str>,
    /// Properties that travel unchanged, encoded.
    pub properties: Box<[u8]>,
    /// Payload.
    pub payload: Box<[u8]>,
    /// QoS.
    pub qos: QoS,
    /// Retain.
    pub retain: bool,
    /// Message expiry interval, seconds.
    pub message_expiry_secs: Option<u32>,
    /// Will Delay Interval, seconds.
    pub delay_secs: u32,
}
