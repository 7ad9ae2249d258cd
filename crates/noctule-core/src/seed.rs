//! Keyed hashing: nobody outside can aim at a bucket or a shard.

use foldhash::{SharedSeed, fast::FoldHasher};
use std::hash::{Hash, Hasher};

/// The secret that keys every hash of what clients choose: topics, filters, client ids. With a
/// public key they could choose ones that collide.
#[derive(Clone, Debug)]
pub(crate) struct Seed(SharedSeed);

impl Seed {
    pub(crate) fn new(seed: u64) -> Seed {
        Seed(SharedSeed::from_u64(seed))
    }

    #[inline]
    pub(crate) fn of_bytes(&self, bytes: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(0, &self.0);
        hasher.write(bytes);
        hasher.finish()
    }

    #[inline]
    pub(crate) fn of_numbers(&self, a: u64, b: u32) -> u64 {
        let mut hasher = FoldHasher::with_seed(0, &self.0);
        hasher.write_u64(a);
        hasher.write_u32(b);
        hasher.finish()
    }

    /// Hash of a composed key.
    pub(crate) fn of(&self, key: impl Hash) -> u64 {
        let mut hasher = FoldHasher::with_seed(0, &self.0);
        key.hash(&mut hasher);
        hasher.finish()
    }
}
