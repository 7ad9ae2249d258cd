//! The subscription index: who receives a message of a topic. A pure value, read by every shard,
//! changed between turns by one writer; one copy serves all shards of a node.
//!
//! * `trie`        filters as paths of levels; what matches a topic is found here
//! * `entries`     the receivers of one filter
//! * `levels`      the texts of levels, each stored once
//! * `generation`  whether a cached route still holds
//! * `pool`, `table`  what these are made of: numbered values, and hash tables that grow in parts

mod entries;
mod generation;
mod levels;
mod pool;
mod table;
#[cfg(test)]
mod tests;
mod trie;

use generation::Generations;
use trie::Trie;

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

/// The index. [`Index::apply`] is the one thing that changes it.
#[derive(Clone, Debug)]
pub struct Index {
    trie: Trie,
    generations: Generations,
    version: u64,
}

impl Index {
    /// An empty index; `seed` keys its hashes.
    #[must_use]
    pub fn new(seed: u64) -> Index {
        Index { trie: Trie::new(seed), generations: Generations::new(), version: 0 }
    }

    /// Applies one change.
    pub fn apply(&mut self, change: &IndexChange) {
        let (tenant, filter, changed) = match change {
            IndexChange::Insert { tenant, filter, entry } => {
                (*tenant, filter, self.trie.insert(*tenant, filter, entry))
            }
            IndexChange::Remove { tenant, filter, receiver } => {
                (*tenant, filter, self.trie.remove(*tenant, filter, *receiver))
            }
        };
        // Also where nothing changed: what was routed before a subscription was made again is then
        // older than that. [MQTT-3.8.4-4 v5]
        self.version += 1;
        if changed {
            self.generations.advance(self.trie.seed(), tenant, filter);
        }
    }

    /// Appends every subscription that matches `topic`, one entry per matching filter and
    /// receiver, in an order that depends on nothing but the changes applied.
    pub fn route(&self, tenant: Tenant, topic: &str, out: &mut Vec<Match>) {
        self.trie.route(tenant, topic, out);
    }

    /// How many changes were applied, those that changed nothing included.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A number that differs from an earlier answer if the outcome of `route` for this topic may
    /// have changed since. Cheap: a hash of the first level and two loads.
    #[must_use]
    pub fn generation(&self, tenant: Tenant, topic: &str) -> u64 {
        self.generations.of(self.trie.seed(), tenant, topic)
    }

    /// Entries in the index.
    #[must_use]
    pub fn len(&self) -> usize {
        self.trie.len()
    }

    /// No entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated, without what the allocator adds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Index>() + self.trie.bytes() + self.generations.bytes()
    }

    /// Panics if the structure contradicts itself; for tests and the simulator.
    pub fn check(&self) {
        self.trie.check();
    }
}
