//! The names of things: shards, tenants, connections, sessions, instants.

use crate::seed::Seed;
use core::hash::Hash;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// A shard of this node: one thread, one loop, one broker.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ShardId(pub u16);

/// A namespace chosen by the listener: client ids, topics and subscriptions of two tenants never
/// meet.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
pub struct Tenant(pub u16);

/// The listener that accepted a connection, by its position in the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct ListenerId(pub u16);

/// A connection of this shard. The server chooses the number (a small slot index); it may be used
/// again once `Input::Closed` went in or `Effect::Close`/`Effect::Move` came out and was done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ConnId(pub u32);

/// A session of this node. Never reused: the number of an ended session is void.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct SessionNumber(pub u64);

impl SessionNumber {
    /// Whether what the session is owed is recorded: the number says so, so that the shard of a
    /// publisher knows it of sessions at home elsewhere.
    #[must_use]
    pub fn is_recorded(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A shared subscription's group, numbered by its home shard. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct GroupNumber(pub u64);

/// A message, numbered by the shard it arrived at. Ids of one shard grow with time, and ids of
/// different shards differ and are comparable: the greater one is the later one.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
pub struct MessageId(pub u64);

impl MessageId {
    /// When the broker took the message: 42 bits of milliseconds lead the number.
    #[must_use]
    pub fn made_at(self) -> Time {
        Time(self.0 >> 22)
    }

    /// The shard it arrived at, where its publisher was: 10 bits end the number.
    #[must_use]
    pub fn arrived_at(self) -> ShardId {
        ShardId((self.0 & 0x3FF) as u16)
    }
}

/// Where the node's log keeps a message. The store gives it and reads it; to the broker it is a
/// name that no other message of the log has, now or later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Place(pub NonZeroU64);

/// An instant: milliseconds since the Unix epoch, never running backwards within a process.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
pub struct Time(pub u64);

impl Time {
    /// The instant `secs` seconds later (saturating).
    #[must_use]
    pub fn plus_secs(self, secs: u64) -> Time {
        Time(self.0.saturating_add(secs.saturating_mul(1000)))
    }

    /// The instant `millis` milliseconds later (saturating).
    #[must_use]
    pub fn plus_millis(self, millis: u64) -> Time {
        Time(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to here; 0 if it is not earlier.
    #[must_use]
    pub fn millis_since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Which shard is home to what. The same value on every shard of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Homes {
    /// Number of shards, at least 1.
    pub shards: u16,
    /// Seed of the hash, drawn at start so that nobody can aim at one shard.
    pub(crate) seed: Seed,
}

impl Homes {
    /// The homes of a node with so many shards, by a secret number.
    #[must_use]
    pub fn new(shards: u16, seed: u64) -> Homes {
        Homes { shards, seed: Seed::new(seed) }
    }

    /// Home of a client's connection and session.
    #[must_use]
    pub fn of_client(&self, tenant: Tenant, client_id: &str) -> ShardId {
        self.pick((0u8, tenant, client_id))
    }

    /// Home of a topic's retained message.
    #[must_use]
    pub fn of_topic(&self, tenant: Tenant, topic: &str) -> ShardId {
        self.pick((1u8, tenant, topic))
    }

    /// Home of a share group.
    #[must_use]
    pub fn of_group(&self, tenant: Tenant, name: &str, filter: &str) -> ShardId {
        self.pick((2u8, tenant, name, filter))
    }

    fn pick(&self, key: impl Hash) -> ShardId {
        if self.shards <= 1 {
            return ShardId(0);
        }
        let hash = self.seed.of(key);
        ShardId((hash % u64::from(self.shards)) as u16)
    }
}
