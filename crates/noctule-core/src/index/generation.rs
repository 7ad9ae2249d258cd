//! When the outcome of a route may have changed, by first level: churn under one first level
//! leaves cached routes under the others alone.

use crate::identity::Tenant;
use crate::seed::Seed;

const BUCKETS: usize = 256;
const WILD_BUCKETS: usize = 16;

/// Counters of changes. None ever goes down, so neither does a sum of two of them, and a sum that
/// is the same as before means that neither has moved.
#[derive(Clone, Debug)]
pub(super) struct Generations {
    /// Filters whose first level is a literal, by its hash.
    literal: Box<[u64]>,
    /// Filters whose first level is a wildcard, by tenant.
    wild: [u64; WILD_BUCKETS],
}

impl Generations {
    pub(super) fn new() -> Generations {
        Generations { literal: vec![0; BUCKETS].into(), wild: [0; WILD_BUCKETS] }
    }

    /// A subscription with this filter came, changed or went.
    pub(super) fn advance(&mut self, seed: &Seed, tenant: Tenant, filter: &str) {
        match first_level(filter) {
            b"+" | b"#" => self.wild[wild_bucket(tenant)] += 1,
            level => self.literal[bucket(seed, tenant, level)] += 1,
        }
    }

    #[inline]
    pub(super) fn of(&self, seed: &Seed, tenant: Tenant, topic: &str) -> u64 {
        let literal = self.literal[bucket(seed, tenant, first_level(topic))];
        // A wildcard as first level does not match a topic that begins with `$`
        // [MQTT-4.7.2-1 v5].
        let wild = if topic.starts_with('$') { 0 } else { self.wild[wild_bucket(tenant)] };
        literal + wild
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.literal)
    }
}

fn first_level(text: &str) -> &[u8] {
    let bytes = text.as_bytes();
    let end = bytes.iter().position(|&byte| byte == b'/').unwrap_or(bytes.len());
    &bytes[..end]
}

fn bucket(seed: &Seed, tenant: Tenant, level: &[u8]) -> usize {
    (seed.of_bytes(level) ^ u64::from(tenant.0)) as usize % BUCKETS
}

fn wild_bucket(tenant: Tenant) -> usize {
    usize::from(tenant.0) % WILD_BUCKETS
}
