//! What shards of one node tell each other. Per pair of shards the order is kept.

use crate::identity::{GroupNumber, MessageId, SessionNumber, Tenant};
use crate::index::Receiver;
use crate::message::Message;
use noctule_proto::packet::SubscribeOptions;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One message between shards.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum PeerMessage {
    /// A message for receivers at home there.
    Deliver(Delivery),
    /// A message to keep as the retained one of its topic, or with an empty payload to clear it.
    Retain(Arc<Message>),
    /// Send me the retained messages that match, in portions.
    RetainedAsk {
        /// Number of the question at the asking shard.
        query: u64,
        /// Namespace.
        tenant: Tenant,
        /// Filter.
        filter: Box<str>,
        /// Topic after which to go on; empty at first.
        after: Box<str>,
    },
    /// A portion of them.
    RetainedAnswer {
        /// Number of the question.
        query: u64,
        /// Messages, in topic order.
        messages: Vec<Arc<Message>>,
        /// Last topic looked at if there may be more.
        more_after: Option<Box<str>>,
    },
    /// A session joins a share group (or changes its subscription to it).
    ShareJoin(ShareJoin),
    /// The group's home made the membership visible.
    ShareJoined {
        /// Member.
        session: SessionNumber,
        /// Group.
        group: GroupNumber,
        /// Echo of [`ShareJoin::request`].
        request: u64,
    },
    /// A session leaves a share group, or has ended.
    ShareLeave {
        /// Group.
        group: GroupNumber,
        /// Member.
        session: SessionNumber,
        /// Messages it had not settled go to other members, except these (QoS 2 already begun).
        keep: Vec<MessageId>,
    },
    /// A member came online with room for this many messages, or (0) went offline.
    SharePresence {
        /// Group.
        group: GroupNumber,
        /// Member.
        session: SessionNumber,
        /// Room.
        window: u32,
    },
    /// A member settled messages of the group.
    ShareSettled {
        /// Group.
        group: GroupNumber,
        /// Member.
        session: SessionNumber,
        /// Messages.
        messages: Vec<MessageId>,
    },
    /// All receivers of what this connection publishes are behind: do not read it.
    Hold {
        /// The publisher's connection at the receiving shard.
        publisher: SessionNumber,
    },
    /// Undo one `Hold`.
    Release {
        /// The publisher.
        publisher: SessionNumber,
    },
}

/// A message and who at the receiving shard gets it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// Its receivers there.
    pub targets: Vec<Target>,
    /// Nobody else receives it: the receiving shard may hold the publisher.
    pub sole: bool,
}

/// One receiver of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Target {
    /// Who.
    pub receiver: Receiver,
    /// Options of the matching subscription.
    pub options: SubscribeOptions,
    /// Its identifier; 0 = none.
    pub subscription_id: u32,
    /// The share group that picked this session.
    pub group: Option<GroupNumber>,
}

/// See [`PeerMessage::ShareJoin`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ShareJoin {
    /// Namespace.
    pub tenant: Tenant,
    /// Group name.
    pub name: Box<str>,
    /// Filter without prefix.
    pub filter: Box<str>,
    /// Member.
    pub session: SessionNumber,
    /// Its options.
    pub options: SubscribeOptions,
    /// Its subscription identifier; 0 = none.
    pub subscription_id: u32,
    /// Room of the connected member; 0 = offline.
    pub window: u32,
    /// Number to echo.
    pub request: u64,
}
