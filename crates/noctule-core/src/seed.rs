//! Keyed hashing: nobody outside can aim at a bucket or a shard.

use foldhash::{SharedSeed, fast::FoldHasher};
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};

/// The secret that keys every hash of what clients choose: topics, filters, client ids. With a
/// public key they could choose ones that collide.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub(crate) struct Seed {
    number: u64,
    /// What the hash is keyed by, worked out once: it costs more than hashing a topic.
    expanded: SharedSeed,
}

impl Seed {
    /// From a number drawn at random.
    pub(crate) fn new(number: u64) -> Seed {
        Seed { number, expanded: SharedSeed::from_u64(number) }
    }

    /// The number it was made of.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    #[inline]
    pub(crate) fn of_bytes(&self, bytes: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(0, &self.expanded);
        hasher.write(bytes);
        hasher.finish()
    }

    #[inline]
    pub(crate) fn of_numbers(&self, a: u64, b: u32) -> u64 {
        let mut hasher = FoldHasher::with_seed(0, &self.expanded);
        hasher.write_u64(a);
        hasher.write_u32(b);
        hasher.finish()
    }

    /// Hash of a composed key.
    pub(crate) fn of(&self, key: impl Hash) -> u64 {
        let mut hasher = FoldHasher::with_seed(0, &self.expanded);
        key.hash(&mut hasher);
        hasher.finish()
    }
}

impl From<u64> for Seed {
    fn from(number: u64) -> Seed {
        Seed::new(number)
    }
}

impl From<Seed> for u64 {
    fn from(seed: Seed) -> u64 {
        seed.number
    }
}
