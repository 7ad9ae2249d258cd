//! Seeded randomness for client ids: the same seed gives the same broker.

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// Numbers that nobody can tell in advance who does not know the key, however many of them he has
/// seen: clients see them in the names they are given. SipHash of a counter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Random {
    key: (u64, u64),
    drawn: u64,
}

impl Random {
    pub(crate) fn new(key: (u64, u64)) -> Random {
        Random { key, drawn: 0 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.drawn += 1;
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        hasher.write_u64(self.drawn);
        hasher.finish()
    }
}
