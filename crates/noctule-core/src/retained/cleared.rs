//! Topics cleared a short while ago, and by which message. A message of the same topic that is
//! older but arrives later has already lost. Bounded: shards are milliseconds apart, so what must
//! be remembered is little; beyond the bound the topic cleared longest ago is forgotten.

use crate::identity::{MessageId, Tenant};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Topics remembered.
const TOPICS_MAX: usize = 16_384;
/// Bytes of topics remembered.
const BYTES_MAX: usize = 1024 * 1024;

/// Cleared topics, and the order in which they were cleared.
#[derive(Clone, Debug, Default)]
pub(super) struct Cleared {
    topics: BTreeMap<Tenant, BTreeMap<Arc<[u8]>, Clearing>>,
    order: BTreeMap<u64, (Tenant, Arc<[u8]>)>,
    next: u64,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Clearing {
    id: MessageId,
    /// Its place in the order.
    number: u64,
}

impl Cleared {
    /// The message that cleared a topic.
    pub(super) fn find(&self, tenant: Tenant, topic: &[u8]) -> Option<MessageId> {
        Some(self.topics.get(&tenant)?.get(topic)?.id)
    }

    pub(super) fn insert(&mut self, tenant: Tenant, topic: &[u8], id: MessageId) {
        self.remove(tenant, topic);
        let topic: Arc<[u8]> = topic.into();
        let number = self.next;
        self.next += 1;
        self.bytes += topic.len();
        self.order.insert(number, (tenant, Arc::clone(&topic)));
        self.topics.entry(tenant).or_default().insert(topic, Clearing { id, number });
        while self.order.len() > TOPICS_MAX || self.bytes > BYTES_MAX {
            let Some((_, (tenant, topic))) = self.order.pop_first() else { return };
            self.remove(tenant, &topic);
        }
    }

    pub(super) fn remove(&mut self, tenant: Tenant, topic: &[u8]) {
        let Some(topics) = self.topics.get_mut(&tenant) else { return };
        let Some(gone) = topics.remove(topic) else { return };
        if topics.is_empty() {
            self.topics.remove(&tenant);
        }
        self.order.remove(&gone.number);
        self.bytes -= topic.len();
    }

    /// All, in the order in which they were cleared.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Tenant, &[u8], MessageId)> {
        self.order.values().map(|(tenant, topic)| {
            let id = self.find(*tenant, topic).expect("what is in order is a cleared topic");
            (*tenant, &**topic, id)
        })
    }

    /// Panics if the structure contradicts itself.
    pub(super) fn check(&self) {
        let len: usize = self.topics.values().map(BTreeMap::len).sum();
        assert_eq!(len, self.iter().count());
        assert_eq!(self.bytes, self.iter().map(|(_, topic, _)| topic.len()).sum::<usize>());
        assert!(len <= TOPICS_MAX && self.bytes <= BYTES_MAX);
    }
}
