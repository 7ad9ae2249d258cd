//! Messages that wait for one session, bounded in number and bytes.

use crate::identity::{GroupNumber, MessageId};
use crate::limits::{Limits, Overflow};
use crate::message::Message;
use crate::verdict::Verdict;
use noctule_proto::QoS;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// A message on its way to one session, with what is particular to that delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outgoing {
    pub(crate) message: Arc<Message>,
    /// Subscription Identifier; 0 = none.
    pub(crate) subscription_id: u32,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// The share group that picked the session.
    pub(crate) group: Option<GroupNumber>,
}

/// First in, first out.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Queue {
    waiting: VecDeque<Outgoing>,
    bytes: u64,
    /// How many of them are QoS 0.
    qos0: u32,
    /// It overflowed and has not been half empty since.
    overflowing: bool,
}

/// What a full queue let go.
pub(crate) struct Dropped {
    pub(crate) outgoing: Outgoing,
    pub(crate) verdict: Verdict,
    /// The first since it last had room.
    pub(crate) first: bool,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn has_qos0(&self) -> bool {
        self.qos0 > 0
    }

    pub(crate) fn front(&self) -> Option<&Outgoing> {
        self.waiting.front()
    }

    /// Adds one, and lets go what exceeds the limits: the newest or the oldest, as configured.
    pub(crate) fn push(&mut self, outgoing: Outgoing, limits: &Limits) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        let cost = outgoing.message.cost() as u64;
        let first = !self.overflowing;
        while self.waiting.len() >= limits.queue_messages_max as usize
            || self.bytes + cost > limits.queue_bytes_max
        {
            let oldest = match limits.overflow {
                Overflow::DropOldest => self.pop(),
                Overflow::DropNewest => None,
            };
            self.overflowing = true;
            match oldest {
                Some(outgoing) => dropped.push(Dropped {
                    outgoing,
                    verdict: Verdict::QueueFullOldest,
                    first: first && dropped.is_empty(),
                }),
                None => {
                    let first = first && dropped.is_empty();
                    let verdict = Verdict::QueueFullNewest;
                    dropped.push(Dropped { outgoing, verdict, first });
                    return dropped;
                }
            }
        }
        self.bytes += cost;
        self.qos0 += u32::from(outgoing.qos == QoS::AtMostOnce);
        self.waiting.push_back(outgoing);
        dropped
    }

    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        let outgoing = self.waiting.pop_front()?;
        self.bytes -= outgoing.message.cost() as u64;
        self.qos0 -= u32::from(outgoing.qos == QoS::AtMostOnce);
        if self.overflowing && self.waiting.is_empty() {
            self.overflowing = false;
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 64 {
            self.waiting = VecDeque::new();
        }
        Some(outgoing)
    }

    /// Takes out the first copy of a message. What is asked for waits near the front as a rule.
    pub(crate) fn take(&mut self, message: MessageId) -> Option<Outgoing> {
        let at = self.waiting.iter().position(|out| out.message.id == message)?;
        let outgoing = self.waiting.remove(at)?;
        self.bytes -= outgoing.message.cost() as u64;
        self.qos0 -= u32::from(outgoing.qos == QoS::AtMostOnce);
        Some(outgoing)
    }

    /// Takes out those that `keep` does not want.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Outgoing) -> bool) -> Vec<Outgoing> {
        let mut out = Vec::new();
        if self.waiting.iter().all(&keep) {
            return out;
        }
        for outgoing in std::mem::take(&mut self.waiting) {
            if keep(&outgoing) {
                self.waiting.push_back(outgoing);
            } else {
                self.bytes -= outgoing.message.cost() as u64;
                self.qos0 -= u32::from(outgoing.qos == QoS::AtMostOnce);
                out.push(outgoing);
            }
        }
        out
    }

    pub(crate) fn check(&self, limits: &Limits) {
        let bytes: u64 = self.waiting.iter().map(|outgoing| outgoing.message.cost() as u64).sum();
        assert_eq!(bytes, self.bytes, "queue bytes miscounted");
        assert!(self.waiting.len() <= limits.queue_messages_max as usize, "queue over its limit");
        assert!(self.bytes <= limits.queue_bytes_max, "queue over its bytes");
    }
}
