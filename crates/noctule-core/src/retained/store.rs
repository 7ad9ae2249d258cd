//! The retained messages of a shard, ordered by topic.
//!
//! The greatest [`MessageId`](crate::identity::MessageId) of a topic wins, whatever the order of
//! arrival: shards hand messages of one topic to its home each at its own pace. A topic that was
//! cleared is therefore remembered for a while, or a message overtaken by its removal would stay.

use super::cleared::Cleared;
use super::scan::{Pattern, Step};
use crate::identity::{MessageId, Tenant, Time};
use crate::message::Message;
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// Retained messages by tenant and topic.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Frozen")]
pub struct RetainedStore {
    tenants: BTreeMap<Tenant, BTreeSet<ByTopic>>,
    /// Those that expire.
    expiring: BTreeSet<ByExpiry>,
    cleared: Cleared,
    len: usize,
    bytes: u64,
}

/// Ordered by the bytes of its topic.
#[derive(Clone, Debug)]
struct ByTopic(Arc<Message>);

/// Ordered by the instant it expires at.
#[derive(Clone, Debug)]
struct ByExpiry(Arc<Message>);

impl RetainedStore {
    /// Nothing retained.
    #[must_use]
    pub fn new() -> RetainedStore {
        RetainedStore::default()
    }

    /// Keeps a message as the retained one of its topic; an empty payload clears the topic
    /// instead `[MQTT-3.3.1-6 v5]`. Answers the loser: the message replaced or cleared, or, if
    /// what is known of the topic is newer, this one.
    pub fn set(&mut self, message: Arc<Message>) -> Option<Arc<Message>> {
        let (tenant, id) = (message.tenant, message.id);
        let topic = message.topic_bytes();
        let kept = self.tenants.get(&tenant).and_then(|topics| topics.get(topic));
        let newest = match kept {
            Some(kept) => Some(kept.0.id),
            None => self.cleared.find(tenant, topic),
        };
        if newest.is_some_and(|newest| newest > id) {
            return Some(message);
        }
        let loser = kept.map(|kept| Arc::clone(&kept.0));
        if let Some(loser) = &loser {
            self.remove(loser);
        }
        if message.payload().is_empty() {
            self.cleared.insert(tenant, topic, id);
        } else {
            self.cleared.remove(tenant, topic);
            self.insert(message);
        }
        loser
    }

    /// A topic that has no message had none since this one, or since one that is known.
    pub(crate) fn was_cleared(&mut self, tenant: Tenant, topic: &str, id: MessageId) {
        if self.get(tenant, topic).is_none() {
            self.cleared.insert(tenant, topic.as_bytes(), id);
        }
    }

    /// Topics that were cleared a short while ago, and by which message.
    pub(crate) fn cleared(&self) -> impl Iterator<Item = (Tenant, &str, MessageId)> {
        let topics = self.cleared.iter();
        topics.filter_map(|(tenant, topic, id)| Some((tenant, str::from_utf8(topic).ok()?, id)))
    }

    /// All messages, expired or not.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.tenants.values().flatten().map(|kept| &kept.0)
    }

    /// The message of a topic, expired or not.
    #[must_use]
    pub fn get(&self, tenant: Tenant, topic: &str) -> Option<&Arc<Message>> {
        Some(&self.tenants.get(&tenant)?.get(topic.as_bytes())?.0)
    }

    /// Appends messages that match a filter and are alive at `now`, in the order of their topics.
    /// `from` is the filter and the topic after which to begin; `bound` is how many topics to look
    /// at, and `now`. Answers where to go on: the last topic looked at, `None` if that was all.
    /// Topics that cannot match are passed over in whole subtrees, and not looked at.
    pub fn scan(
        &self,
        tenant: Tenant,
        from: (&str, Option<&str>),
        bound: (usize, Time),
        out: &mut Vec<Arc<Message>>,
    ) -> Option<Box<str>> {
        let ((filter, after), (limit, now)) = (from, bound);
        let topics = self.tenants.get(&tenant)?;
        let pattern = Pattern::new(filter);
        let mut seek = pattern.start();
        let first = match after.map(str::as_bytes) {
            Some(after) if after >= &*seek => match pattern.judge(after, &mut seek) {
                Step::Match | Step::Next => Bound::Excluded(after),
                Step::Seek => Bound::Included(&*seek),
                Step::Done => return None,
            },
            _ => Bound::Included(&*seek),
        };
        let mut rest = topics.range::<[u8], _>((first, Bound::Unbounded));
        let mut found = rest.next();
        let mut looked = 0;
        while let Some(ByTopic(message)) = found {
            let step = pattern.judge(message.topic_bytes(), &mut seek);
            looked += 1;
            match step {
                Step::Match if !message.expired(now) => out.push(Arc::clone(message)),
                Step::Match | Step::Next | Step::Seek => {}
                Step::Done => return None,
            }
            if looked >= limit {
                return Some(message.topic().into());
            }
            found = rest.next();
            // The next topic is often far enough, and a search costs more than a look.
            if step == Step::Seek && found.is_some_and(|found| found.0.topic_bytes() < &*seek) {
                let first = Bound::Included(&*seek);
                rest = topics.range::<[u8], _>((first, Bound::Unbounded));
                found = rest.next();
            }
        }
        None
    }

    /// Removes messages that have expired at `now`, `limit` at most; answers how many.
    pub fn expire(&mut self, now: Time, limit: usize) -> usize {
        let mut count = 0;
        while count < limit {
            let Some(first) = self.expiring.first().filter(|first| first.0.expired(now)) else {
                break;
            };
            let message = Arc::clone(&first.0);
            self.remove(&message);
            self.cleared.insert(message.tenant, message.topic_bytes(), message.id);
            count += 1;
        }
        count
    }

    /// When the next message expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Time> {
        self.expiring.first()?.0.expires_at
    }

    /// Messages kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the messages kept.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Panics if the structure contradicts itself; for tests and the simulator.
    pub fn check(&self) {
        let (mut len, mut bytes, mut expiring) = (0, 0, 0);
        for (tenant, topics) in &self.tenants {
            assert!(!topics.is_empty(), "a tenant without messages is forgotten");
            for ByTopic(message) in topics {
                assert_eq!(message.tenant, *tenant);
                assert!(!message.payload().is_empty(), "an empty payload is not kept");
                assert!(self.cleared.find(*tenant, message.topic_bytes()).is_none());
                if message.expires_at.is_some() {
                    assert!(self.expiring.contains(&ByExpiry(Arc::clone(message))));
                    expiring += 1;
                }
                len += 1;
                bytes += message.cost() as u64;
            }
        }
        assert_eq!((len, bytes, expiring), (self.len, self.bytes, self.expiring.len()));
        self.cleared.check();
    }

    fn insert(&mut self, message: Arc<Message>) {
        self.len += 1;
        self.bytes += message.cost() as u64;
        if message.expires_at.is_some() {
            self.expiring.insert(ByExpiry(Arc::clone(&message)));
        }
        self.tenants.entry(message.tenant).or_default().insert(ByTopic(message));
    }

    fn remove(&mut self, message: &Arc<Message>) {
        self.len -= 1;
        self.bytes -= message.cost() as u64;
        if message.expires_at.is_some() {
            self.expiring.remove(&ByExpiry(Arc::clone(message)));
        }
        let topics = self.tenants.get_mut(&message.tenant).expect("its tenant has messages");
        topics.remove(message.topic_bytes());
        if topics.is_empty() {
            self.tenants.remove(&message.tenant);
        }
    }
}

/// What a thawed store is made of; the rest follows from it.
#[derive(Deserialize)]
struct Frozen {
    messages: Vec<Arc<Message>>,
    cleared: Vec<(Tenant, Box<[u8]>, MessageId)>,
}

#[derive(Serialize)]
#[serde(rename = "Frozen")]
struct Freezing<'a> {
    messages: Vec<&'a Message>,
    cleared: Vec<(Tenant, &'a [u8], MessageId)>,
}

impl Serialize for RetainedStore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let messages = self.tenants.values().flatten().map(|message| &*message.0).collect();
        Freezing { messages, cleared: self.cleared.iter().collect() }.serialize(serializer)
    }
}

impl From<Frozen> for RetainedStore {
    fn from(frozen: Frozen) -> RetainedStore {
        let mut store = RetainedStore::new();
        for (tenant, topic, id) in frozen.cleared {
            store.cleared.insert(tenant, &topic, id);
        }
        for message in frozen.messages {
            store.set(message);
        }
        store
    }
}

impl Borrow<[u8]> for ByTopic {
    fn borrow(&self) -> &[u8] {
        self.0.topic_bytes()
    }
}

impl Ord for ByTopic {
    fn cmp(&self, other: &ByTopic) -> Ordering {
        self.0.topic_bytes().cmp(other.0.topic_bytes())
    }
}

impl PartialOrd for ByTopic {
    fn partial_cmp(&self, other: &ByTopic) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByTopic {
    fn eq(&self, other: &ByTopic) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByTopic {}

impl ByExpiry {
    fn key(&self) -> (Option<Time>, MessageId, Tenant, &[u8]) {
        let message = &self.0;
        (message.expires_at, message.id, message.tenant, message.topic_bytes())
    }
}

impl Ord for ByExpiry {
    fn cmp(&self, other: &ByExpiry) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for ByExpiry {
    fn partial_cmp(&self, other: &ByExpiry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByExpiry {
    fn eq(&self, other: &ByExpiry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByExpiry {}
