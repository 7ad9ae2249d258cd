//! Retained messages: kept by the home shard of their topic, asked for by subscribers' shards.

mod cleared;
mod fence;
mod query;
mod scan;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use query::{Awaited, Wish};
pub use store::RetainedStore;

use serde::{Deserialize, Serialize};

use crate::broker::{Broker, TimerKey, Turn};
use crate::identity::SessionNumber;
use crate::message::Message;
use crate::timer::Deadline;
use crate::verdict::Verdict;
use noctule_proto::QoS;
use std::sync::Arc;

/// What a shard keeps, and what it asked others for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Retention {
    pub(crate) store: RetainedStore,
    /// Questions asked so far.
    pub(crate) queries: u64,
    fences: fence::Fences,
    /// Whose message of QoS 1 was just not kept for want of memory: its fence comes next.
    refused: Option<SessionNumber>,
    pub(crate) timer: Deadline,
}

impl Retention {
    /// Whether the last message of a publisher was not kept, asked once.
    pub(crate) fn refused(&mut self, publisher: SessionNumber) -> bool {
        self.refused.take() == Some(publisher)
    }
}

impl Broker {
    /// Keeps the message of a topic at home here, or clears it. [MQTT-3.3.1-5 v5], [V31-2.1-5],
    /// [MQTT-3.3.1-6 v5], [MQTT-3.3.1-7 v5], [MQTT-3.3.1-10 v3.1.1], [MQTT-3.3.1-11 v3.1.1]
    /// [MQTT-3.1.2-7 v3.1.1], [MQTT-3.3.1-7 v3.1.1].
    pub(crate) fn keep_retained(&mut self, turn: &mut Turn<'_>, message: Arc<Message>) {
        let store = &self.retention.store;
        let old = store.get(message.tenant, message.topic());
        // What the broker says of itself is little, and a message of QoS 2 was acknowledged before.
        let spared = message.publisher.is_none() || message.qos == QoS::ExactlyOnce;
        if self.shortage.is_tight() && old.is_none() && !spared && !message.payload().is_empty() {
            self.counters.verdict(Verdict::MemoryShort);
            let tells = message.qos == QoS::AtLeastOnce;
            self.retention.refused = message.publisher.filter(|_| tells);
            return;
        }
        let others = store.bytes() - old.map_or(0, |old| old.cost() as u64);
        let full = (old.is_none() && store.len() >= self.limits.retained_max as usize)
            || others + message.cost() as u64 > self.limits.retained_bytes_max;
        if full && !message.payload().is_empty() {
            self.counters.verdict(Verdict::RetainedFull);
            // What it would have replaced is out of date: better none than a wrong one.
            if old.is_some() {
                self.retention.store.set(Arc::new(message.cleared()));
                self.count_retained(turn);
            }
            return;
        }
        self.retention.store.set(message);
        self.count_retained(turn);
    }

    /// Retained messages expire. [U5-3.3.1-2]
    pub(crate) fn retained_due(&mut self, turn: &mut Turn<'_>) {
        self.retention.timer.clear();
        let limit = self.budget.max(1) as usize;
        let expired = self.retention.store.expire(turn.now, limit);
        self.budget = self.budget.saturating_sub(expired as u32);
        self.count_retained(turn);
    }

    pub(crate) fn count_retained(&mut self, turn: &mut Turn<'_>) {
        let Retention { store, timer, .. } = &mut self.retention;
        self.counters.retained_now = store.len() as u64;
        self.counters.retained_bytes_now = store.bytes();
        match store.next_expiry() {
            Some(at) => self.timers.set(TimerKey::Retained, timer, at.max(turn.now)),
            None => self.timers.cancel(TimerKey::Retained, timer),
        }
    }
}
