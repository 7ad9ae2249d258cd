//! The subscription index: who receives a message of a topic. A pure value, read by every shard,
//! changed between turns by one writer; one copy serves all shards of a node.

use crate::identity::{GroupNumber, SessionNumber, ShardId, Tenant};
use noctule_proto::packet::SubscribeOptions;
use serde::{Deserialize, Serialize};

/// Who receives: a session, or a share group that picks one of its members.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Receiver {
    /// A session.
    Session(SessionNumber),
    /// A share group.
    Group(GroupNumber),
}

/// One subscription that matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Match {
    /// Home of the receiver.
    pub shard: ShardId,
    /// The receiver.
    pub receiver: Receiver,
    /// Options of the subscription (for a group: defaults; its members have their own).
    pub options: SubscribeOptions,
    /// Subscription Identifier; 0 = none.
    pub subscription_id: u32,
}

/// A change of the index, emitted by a broker, applied by the index writer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum IndexChange {
    /// Add a subscription, or replace the receiver's subscription with the same filter.
    Insert {
        /// Namespace.
        tenant: Tenant,
        /// Filter without its `$share` prefix; valid.
        filter: Box<str>,
        /// Receiver and options.
        entry: Match,
    },
    /// Remove a receiver's subscription; nothing happens if there is none.
    Remove {
        /// Namespace.
        tenant: Tenant,
        /// Filter without its `$share` prefix; valid.
        filter: Box<str>,
        /// Whose.
        receiver: Receiver,
    },
}

/// The index.
#[derive(Clone, Debug)]
pub struct Index {}

impl Index {
    /// An empty index; `seed` keys its hashes.
    #[must_use]
    pub fn new(_seed: u64) -> Index {
        Index {}
    }

    /// Applies one change.
    pub fn apply(&mut self, _change: &IndexChange) {}

    /// Appends every subscription that matches `topic`, one entry per matching filter and
    /// receiver, in an order that depends on nothing but the changes applied.
    pub fn route(&self, _tenant: Tenant, _topic: &str, _out: &mut Vec<Match>) {}

    /// A number that differs from an earlier answer if the outcome of `route` for this topic may
    /// have changed since. Cheap: a hash of the first level and one load.
    #[must_use]
    pub fn generation(&self, _tenant: Tenant, _topic: &str) -> u64 {
        0
    }

    /// Entries in the index.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }

    /// No entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Panics if the structure contradicts itself; for tests and the simulator.
    pub fn check(&self) {}
}
