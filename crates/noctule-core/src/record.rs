//! What survives a restart. A record is emitted for every change of durable state and replayed by
//! [`crate::Broker::apply`], which runs the same code as the live path.

use crate::identity::{GroupNumber, MessageId, Place, SessionNumber, Tenant, Time};
use crate::index::Receiver;
use crate::limits::Durability;
use crate::message::{Message, Parts};
use noctule_proto::{PacketId, QoS, packet::SubscribeOptions};
use serde::{Deserialize, Serialize};
use std::ops::Deref;
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
        /// What its acknowledgements wait for.
        durability: Durability,
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
    /// A share group exists. After a restart the same group has another number: both name it.
    Group {
        /// Its number.
        group: GroupNumber,
        /// Namespace.
        tenant: Tenant,
        /// Share name.
        name: Box<str>,
        /// Filter without the `$share` prefix.
        filter: Box<str>,
    },
    /// A share group has lost its last member; its number is void from here on.
    GroupEnded(GroupNumber),
    /// A message entered the queues of sessions and share groups and, if `retained`, became its
    /// topic's retained message. Written once, by the shard it arrived at, for receivers on all
    /// shards.
    Published {
        /// The message.
        message: Body,
        /// Its receivers.
        receivers: Receivers,
        /// It became (or, empty, cleared) the retained message.
        retained: bool,
    },
    /// All that waits for a receiver, or the next part of it, in order. Not written by the live
    /// broker: a snapshot says so in one record what many said one by one.
    Waiting {
        /// Who.
        receiver: Receiver,
        /// What waits.
        messages: Vec<Waiting>,
    },
    /// A message to a session was given a packet id (QoS 2 only: a resend needs the same id).
    Sent {
        /// Receiver.
        session: SessionNumber,
        /// Message.
        message: Body,
        /// Which copy.
        manner: Manner,
        /// Packet id.
        id: PacketId,
    },
    /// The receiver of a QoS 2 message answered PUBREC: only PUBREL is sent from here on. Or its
    /// packet id is in use, and nothing else is kept of the message.
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
    /// A message is settled for a session or a share group: acknowledged, completed or dropped.
    Settled {
        /// Receiver.
        receiver: Receiver,
        /// Message.
        message: Body,
        /// Which copy, for a session.
        manner: Option<Manner>,
    },
    /// A QoS 2 message arrived and waits for its PUBREL.
    Received {
        /// Sender.
        session: SessionNumber,
        /// Packet id.
        id: PacketId,
        /// The message.
        message: Body,
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
    /// A topic has no retained message since this one, a short while ago: an older one may yet
    /// follow. Part of a snapshot.
    Cleared {
        /// Namespace of the topic.
        tenant: Tenant,
        /// The topic.
        topic: Box<str>,
        /// The message that cleared it, or that has expired.
        message: MessageId,
    },
    /// Numbers up to these were given: none of them is given again. Part of a snapshot.
    Given {
        /// Sessions.
        session: SessionNumber,
        /// Share groups.
        group: GroupNumber,
        /// Messages.
        message: MessageId,
    },
}

/// A message, or where the log keeps it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Body {
    /// The message itself.
    Here(Arc<Message>),
    /// It is in the log.
    Stored(Stored),
}

/// A message that is in the log and not in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stored {
    /// Where.
    pub place: Place,
    /// [`Message::cost`].
    pub cost: u32,
}

impl Stored {
    /// Of a message that the log keeps.
    #[must_use]
    pub fn of(message: &Message) -> Option<Stored> {
        let cost = u32::try_from(message.cost()).unwrap_or(u32::MAX);
        message.place().map(|place| Stored { place, cost })
    }
}

impl Body {
    /// Where the log keeps it; `None`: nowhere, or not yet.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        match self {
            Body::Here(message) => message.place(),
            Body::Stored(stored) => Some(stored.place),
        }
    }

    /// As far as the log keeps it: where, and what it costs.
    #[must_use]
    pub fn stored(&self) -> Option<Stored> {
        match self {
            Body::Here(message) => Stored::of(message),
            Body::Stored(stored) => Some(*stored),
        }
    }

    /// Whether what is owed of it is recorded.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        match self {
            Body::Here(message) => message.durability != Durability::Memory,
            Body::Stored(_) => true,
        }
    }

    /// Whether it is this message. The log may know a message by the id that it had before it was
    /// released (QoS 2), so the place decides where there is one.
    #[must_use]
    pub fn is(&self, message: &Message) -> bool {
        match (self.place(), message.place()) {
            (Some(mine), Some(its)) => mine == its,
            _ => matches!(self, Body::Here(this) if this.id == message.id),
        }
    }

    /// [`Message::cost`]
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self {
            Body::Here(message) => message.cost() as u64,
            Body::Stored(stored) => u64::from(stored.cost),
        }
    }
}

impl From<Arc<Message>> for Body {
    fn from(message: Arc<Message>) -> Body {
        Body::Here(message)
    }
}

/// How a message is delivered. A session gets a copy for each subscription that matches, and this
/// tells them apart, but for those that are the same to the client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Manner {
    /// QoS of the delivery.
    pub qos: QoS,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// Subscription Identifier; 0 = none.
    pub subscription_id: u32,
}

/// A receiver of a stored message. For a share group only who it is counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// Who.
    pub receiver: Receiver,
    /// QoS of the delivery.
    pub qos: QoS,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// Subscription Identifier; 0 = none.
    pub subscription_id: u32,
}

/// The receivers of a message. Many are shared by the records of all messages that go the same way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Receivers {
    /// One, as for most messages.
    One(Receipt),
    /// Any number.
    Many(Arc<[Receipt]>),
}

impl Deref for Receivers {
    type Target = [Receipt];

    fn deref(&self) -> &[Receipt] {
        match self {
            Receivers::One(receipt) => std::slice::from_ref(receipt),
            Receivers::Many(receipts) => receipts,
        }
    }
}

impl<'a> IntoIterator for &'a Receivers {
    type Item = &'a Receipt;
    type IntoIter = std::slice::Iter<'a, Receipt>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Receipt> for Receivers {
    fn from_iter<I: IntoIterator<Item = Receipt>>(receipts: I) -> Receivers {
        let mut receipts = receipts.into_iter();
        match (receipts.next(), receipts.next()) {
            (None, _) => Receivers::Many(Arc::new([])),
            (Some(one), None) => Receivers::One(one),
            (Some(one), Some(two)) => {
                Receivers::Many([one, two].into_iter().chain(receipts).collect())
            }
        }
    }
}

impl From<Vec<Receipt>> for Receivers {
    fn from(receipts: Vec<Receipt>) -> Receivers {
        receipts.into_iter().collect()
    }
}

impl Receipt {
    /// Which copy it gets.
    #[must_use]
    pub fn manner(&self) -> Manner {
        let Receipt { qos, retain, subscription_id, .. } = *self;
        Manner { qos, retain, subscription_id }
    }
}

impl Waiting {
    /// Which copy it is.
    #[must_use]
    pub fn manner(&self) -> Manner {
        let Waiting { qos, retain, subscription_id, .. } = *self;
        Manner { qos, retain, subscription_id }
    }
}

/// A message that waits for a receiver, as a snapshot tells it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// The message; for a share group, `Here`.
    pub message: Body,
    /// QoS of the delivery.
    pub qos: QoS,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// Subscription Identifier; 0 = none.
    pub subscription_id: u32,
}

impl StoredWill {
    /// The message that is published.
    #[must_use]
    pub fn parts(&self) -> Parts<'_> {
        Parts {
            topic: &self.topic,
            properties: &self.properties,
            payload: &self.payload,
            qos: self.qos,
            retain: self.retain,
            expiry_secs: self.message_expiry_secs,
        }
    }
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

impl StoredWill {
    /// Bytes of memory that it takes.
    pub(crate) fn cost(&self) -> u64 {
        let parts = self.topic.len() + self.properties.len() + self.payload.len();
        (parts + size_of::<StoredWill>()) as u64
    }
}
