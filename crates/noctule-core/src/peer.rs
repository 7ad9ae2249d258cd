//! What shards of one node tell each other. Per pair of shards the order is kept.

use crate::identity::{GroupNumber, SessionNumber, ShardId, Tenant};
use crate::index::Receiver;
use crate::message::Message;
use crate::outbound::Outbound;
use crate::record::{Body, Receipt};
use noctule_proto::QoS;
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
    RetainedAsk(RetainedAsk),
    /// I am asking others (or this one alone) for retained messages: tell them `RetainedPassed`,
    /// behind what you have told them to retain.
    RetainedFence {
        /// Number of the question.
        query: u64,
        /// Who is asked; `None`: all shards.
        home: Option<ShardId>,
    },
    /// What I routed before this question became known to me is on its way no more.
    RetainedPassed {
        /// Who asks.
        asker: ShardId,
        /// Number of the question.
        query: u64,
    },
    /// A portion of them.
    RetainedAnswer(RetainedAnswer),
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
        /// The subscription as the client sent it.
        filter: Box<str>,
    },
    /// A session leaves a share group, or has ended.
    ShareLeave {
        /// Group.
        group: GroupNumber,
        /// Member.
        session: SessionNumber,
        /// Messages it had not settled go to other members, except these (QoS 2 already begun).
        keep: Vec<Body>,
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
    /// A member settled a message of the group.
    ShareSettled {
        /// Group.
        group: GroupNumber,
        /// Member.
        session: SessionNumber,
        /// Message.
        message: Body,
    },
    /// Say `Passed` now: all that was said before has been heard.
    Fence {
        /// Whose acknowledgement waits for it.
        asker: SessionNumber,
        /// Number to echo.
        request: u64,
    },
    /// The answer to `Fence`.
    Passed {
        /// Echo.
        asker: SessionNumber,
        /// Echo.
        request: u64,
        /// `false`: the message right before the fence was not retained for want of memory.
        kept: bool,
    },
    /// What this session publishes has to wait in memory, and that is full: do not read its
    /// connection until it is not.
    HoldBack {
        /// The publisher.
        publisher: SessionNumber,
    },
    /// All receivers of what this session publishes are behind: do not read its connection.
    Hold {
        /// The publisher.
        publisher: SessionNumber,
        /// Who is behind.
        receiver: SessionNumber,
    },
    /// Undo the `Hold` of this receiver.
    Release {
        /// The publisher.
        publisher: SessionNumber,
        /// Who has caught up.
        receiver: SessionNumber,
    },
}

/// A message and who at the receiving shard gets it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// Its receivers there.
    pub targets: Arc<[Target]>,
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

impl Target {
    /// What the record of a message keeps of this receiver: QoS 1 and 2 to a session that is
    /// recorded, or to a share group, whose members may be.
    pub(crate) fn receipt(&self, outbound: &Outbound<'_>) -> Option<Receipt> {
        let qos = outbound.qos.min(self.options.qos);
        let retain = outbound.retain;
        let receiver = self.receiver;
        match receiver {
            // [MQTT-3.8.3-3 v5]: not after a restart either.
            Receiver::Session(session)
                if self.options.no_local && outbound.publisher == Some(session) =>
            {
                None
            }
            Receiver::Session(session) if qos != QoS::AtMostOnce && session.is_recorded() => {
                let retain = retain && self.options.retain_as_published;
                Some(Receipt { receiver, qos, retain, subscription_id: self.subscription_id })
            }
            Receiver::Group(_) if outbound.qos != QoS::AtMostOnce => {
                Some(Receipt { receiver, qos: outbound.qos, retain, subscription_id: 0 })
            }
            Receiver::Session(_) | Receiver::Group(_) => None,
        }
    }
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

/// See [`PeerMessage::RetainedAsk`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RetainedAsk {
    /// Number of the question at the asking shard.
    pub query: u64,
    /// Who gets the answer.
    pub session: SessionNumber,
    /// Namespace.
    pub tenant: Tenant,
    /// Filter.
    pub filter: Box<str>,
    /// Topic after which to go on; `None` at first.
    pub after: Option<Box<str>>,
}

/// See [`PeerMessage::RetainedAnswer`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RetainedAnswer {
    /// Number of the question.
    pub query: u64,
    /// Who gets it.
    pub session: SessionNumber,
    /// Messages, in topic order.
    pub messages: Vec<Arc<Message>>,
    /// Last topic looked at if there may be more.
    pub more_after: Option<Box<str>>,
}
