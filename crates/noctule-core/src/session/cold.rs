//! Messages of a queue that are in the log alone: 16 bytes each, in memory that grows by a quarter.

use super::queue::Outgoing;
use crate::identity::{GroupNumber, Place};
use crate::record::{Body, Manner, Stored};
use noctule_proto::QoS;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// An [`Outgoing`] whose message is in the log alone.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Cold {
    pub(super) place: Place,
    /// Subscription Identifier, whether a share group picked the session, QoS and RETAIN, packed.
    form: u32,
    pub(super) cost: u32,
}

const RETAIN: u32 = 1;
const EXACTLY_ONCE: u32 = 1 << 1;
const GROUPED: u32 = 1 << 2;
/// A Subscription Identifier has 28 bits.
const SUBSCRIPTION: u32 = 3;

/// First in, first out.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ColdQueue {
    entries: VecDeque<Cold>,
    /// The groups of those that have one, in the same order. Few sessions have any.
    groups: Option<Box<VecDeque<GroupNumber>>>,
}

impl Cold {
    /// `None`: it is not in the log, or its promise needs it in memory.
    pub(super) fn of(outgoing: &Outgoing) -> Option<Cold> {
        let place = outgoing.message.place().filter(|_| outgoing.is_tracked())?;
        let flag = |is: bool, flag| if is { flag } else { 0 };
        let form = outgoing.subscription_id << SUBSCRIPTION
            | flag(outgoing.group.is_some(), GROUPED)
            | flag(outgoing.qos == QoS::ExactlyOnce, EXACTLY_ONCE)
            | flag(outgoing.retain, RETAIN);
        let cost = u32::try_from(outgoing.message.cost()).ok()?;
        Some(Cold { place, form, cost })
    }

    fn is_grouped(&self) -> bool {
        self.form & GROUPED != 0
    }

    pub(super) fn manner(&self) -> Manner {
        let exactly_once = self.form & EXACTLY_ONCE != 0;
        Manner {
            qos: if exactly_once { QoS::ExactlyOnce } else { QoS::AtLeastOnce },
            retain: self.form & RETAIN != 0,
            subscription_id: self.form >> SUBSCRIPTION,
        }
    }

    fn outgoing(&self, group: Option<GroupNumber>) -> Outgoing {
        let Manner { qos, retain, subscription_id } = self.manner();
        let message = Body::Stored(Stored { place: self.place, cost: self.cost });
        Outgoing { message, subscription_id, qos, retain, group }
    }
}

impl ColdQueue {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[inline]
    pub(super) fn front(&self) -> Option<&Cold> {
        self.entries.front()
    }

    /// In order, without their groups.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Cold> {
        self.entries.iter()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Outgoing> + '_ {
        let mut groups = self.groups.iter().flat_map(|groups| groups.iter());
        self.entries.iter().map(move |cold| {
            let group = if cold.is_grouped() { groups.next().copied() } else { None };
            cold.outgoing(group)
        })
    }

    #[inline]
    pub(super) fn push_back(&mut self, cold: Cold, group: Option<GroupNumber>) {
        self.make_room();
        self.entries.push_back(cold);
        if let Some(group) = group {
            self.groups.get_or_insert_default().push_back(group);
        }
    }

    pub(super) fn push_front(&mut self, cold: Cold, group: Option<GroupNumber>) {
        self.make_room();
        self.entries.push_front(cold);
        if let Some(group) = group {
            self.groups.get_or_insert_default().push_front(group);
        }
    }

    /// Twice as much, as is usual, would be too much for a queue of millions.
    #[inline]
    fn make_room(&mut self) {
        let len = self.entries.len();
        if len == self.entries.capacity() {
            self.entries.reserve_exact((len / 4).max(4));
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Outgoing> {
        self.remove(0)
    }

    /// Takes out the first copy of a message of this manner.
    pub(super) fn take(&mut self, place: Place, manner: Manner) -> Option<Outgoing> {
        let is_it = |cold: &Cold| cold.place == place && cold.manner() == manner;
        self.remove(self.entries.iter().position(is_it)?)
    }

    fn remove(&mut self, at: usize) -> Option<Outgoing> {
        let cold = self.entries.remove(at)?;
        let group = match &mut self.groups {
            Some(groups) if cold.is_grouped() => {
                let before = self.entries.iter().take(at).filter(|cold| cold.is_grouped());
                groups.remove(before.count())
            }
            _ => None,
        };
        Some(cold.outgoing(group))
    }

    /// Takes out those that `keep` does not want.
    pub(super) fn sift(&mut self, keep: &impl Fn(&Outgoing) -> bool, out: &mut Vec<Outgoing>) {
        if self.iter().all(|outgoing| keep(&outgoing)) {
            return;
        }
        let all: Vec<Outgoing> = self.iter().collect();
        *self = ColdQueue::default();
        for outgoing in all {
            match Cold::of(&outgoing).filter(|_| keep(&outgoing)) {
                Some(cold) => self.push_back(cold, outgoing.group),
                None => out.push(outgoing),
            }
        }
    }

    /// Whether nothing is held by an empty one.
    pub(super) fn is_free(&self) -> bool {
        self.entries.capacity() == 0 && self.groups.is_none()
    }

    /// Panics if it contradicts itself.
    pub(super) fn check(&self) {
        let grouped = self.entries.iter().filter(|cold| cold.is_grouped()).count();
        assert_eq!(grouped, self.groups.as_ref().map_or(0, |groups| groups.len()));
    }
}
