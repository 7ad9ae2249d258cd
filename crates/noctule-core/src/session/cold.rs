//! Messages of a queue that are in the log alone: 16 bytes each, in blocks that never move, so that
//! a queue of millions costs what it holds, and the next message what the first one did.

use super::pending::{Pending, is_numbered};
use super::queue::Outgoing;
use crate::identity::{GroupNumber, Place};
use crate::lazy::{Empty, Lazy};
use crate::record::{Body, Manner, Stored};
use noctule_proto::QoS;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

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

/// Entries of a block.
const BLOCK: usize = 64;

/// First in, first out.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ColdQueue {
    /// The last block: what is added finds it without a detour. It is empty only if all is.
    last: VecDeque<Cold>,
    more: Lazy<More>,
    len: usize,
}

/// What few queues have.
#[derive(Debug, Default, Serialize, Deserialize)]
struct More {
    /// Blocks before the last one, none of them empty.
    blocks: VecDeque<VecDeque<Cold>>,
    /// The groups of entries that have one, in the same order.
    groups: VecDeque<GroupNumber>,
}

impl Empty for More {
    fn empty() -> &'static More {
        static EMPTY: More = More { blocks: VecDeque::new(), groups: VecDeque::new() };
        &EMPTY
    }
}

impl Cold {
    /// Of a message for one session; the place may be a number.
    #[inline]
    pub(super) fn new(place: Place, manner: Manner, cost: u32) -> Cold {
        let flag = |is: bool, flag| if is { flag } else { 0 };
        let form = manner.subscription_id << SUBSCRIPTION
            | flag(manner.qos == QoS::ExactlyOnce, EXACTLY_ONCE)
            | flag(manner.retain, RETAIN);
        Cold { place, form, cost }
    }

    /// `None`: it is not in the log, or its promise needs it in memory.
    pub(super) fn of(outgoing: &Outgoing) -> Option<Cold> {
        let place = outgoing.message.place().filter(|_| outgoing.is_tracked())?;
        let cost = u32::try_from(outgoing.message.cost()).ok()?;
        let mut cold = Cold::new(place, outgoing.manner(), cost);
        cold.form |= if outgoing.group.is_some() { GROUPED } else { 0 };
        Some(cold)
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
        self.len
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn front(&self) -> Option<&Cold> {
        self.more.blocks.front().unwrap_or(&self.last).front()
    }

    /// In order, without their groups.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Cold> {
        self.more.blocks.iter().flatten().chain(&self.last)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Outgoing> + '_ {
        let mut groups = self.more.groups.iter();
        self.entries().map(move |cold| {
            let group = if cold.is_grouped() { groups.next().copied() } else { None };
            cold.outgoing(group)
        })
    }

    #[inline]
    pub(super) fn push_back(&mut self, cold: Cold, group: Option<GroupNumber>) {
        self.len += 1;
        if let Some(group) = group {
            self.more.groups.push_back(group);
        }
        if self.last.len() == self.last.capacity() {
            self.make_room();
        }
        self.last.push_back(cold);
    }

    /// The last block is as long as it may be for now.
    #[cold]
    fn make_room(&mut self) {
        if self.last.len() >= BLOCK {
            let full = std::mem::replace(&mut self.last, VecDeque::with_capacity(BLOCK));
            self.more.blocks.push_back(full);
        } else {
            // A short queue is what most sessions have.
            let more = (self.last.len() / 4).max(4).min(BLOCK - self.last.len());
            self.last.reserve_exact(more);
        }
    }

    pub(super) fn push_front(&mut self, cold: Cold, group: Option<GroupNumber>) {
        self.len += 1;
        if let Some(group) = group {
            self.more.groups.push_front(group);
        }
        let first = match self.more.blocks.is_empty() {
            true => &mut self.last,
            false => &mut self.more.blocks[0],
        };
        if first.len() < BLOCK {
            return first.push_front(cold);
        }
        self.more.blocks.push_front(VecDeque::from([cold]));
    }

    pub(super) fn pop_front(&mut self) -> Option<Outgoing> {
        let cold = match self.more.blocks.is_empty() {
            true => self.last.pop_front()?,
            false => self.taken_of(0, 0)?,
        };
        Some(self.taken(cold, 0))
    }

    /// Takes out the first copy of a message of this manner.
    pub(super) fn take(&mut self, place: Place, manner: Manner) -> Option<Outgoing> {
        let is_it = |cold: &Cold| cold.place == place && cold.manner() == manner;
        let in_it = |(nth, block): (usize, &VecDeque<Cold>)| {
            block.iter().position(is_it).map(|at| (nth, at))
        };
        let (nth, at) = self.more.blocks.iter().chain([&self.last]).enumerate().find_map(in_it)?;
        let grouped = self.grouped_before((nth, at));
        let cold = match nth < self.more.blocks.len() {
            true => self.taken_of(nth, at)?,
            false => self.last.remove(at)?,
        };
        Some(self.taken(cold, grouped))
    }

    /// Takes an entry out of a block before the last one.
    fn taken_of(&mut self, nth: usize, at: usize) -> Option<Cold> {
        let block = self.more.blocks.get_mut(nth)?;
        let cold = block.remove(at)?;
        if block.is_empty() {
            self.more.blocks.remove(nth);
        }
        Some(cold)
    }

    /// How many entries before one of a block have a group.
    fn grouped_before(&self, (nth, at): (usize, usize)) -> usize {
        let More { blocks, groups } = &*self.more;
        if groups.is_empty() {
            return 0;
        }
        let its = blocks.get(nth).unwrap_or(&self.last);
        let before = blocks.iter().take(nth).flatten().chain(its.iter().take(at));
        before.filter(|cold| cold.is_grouped()).count()
    }

    /// An entry was taken out, behind so many that have a group.
    fn taken(&mut self, cold: Cold, grouped: usize) -> Outgoing {
        self.len -= 1;
        let group = if cold.is_grouped() { self.more.groups.remove(grouped) } else { None };
        if self.last.is_empty() && !self.more.blocks.is_empty() {
            self.last = self.more.blocks.pop_back().unwrap_or_default();
        }
        self.more.drop_if(|more| more.blocks.is_empty() && more.groups.is_empty());
        cold.outgoing(group)
    }

    /// Entries that have numbers instead of places: the last ones.
    pub(super) fn numbered(&self) -> impl Iterator<Item = &Cold> {
        let blocks = self.more.blocks.iter().rev().flat_map(|block| block.iter().rev());
        self.last.iter().rev().chain(blocks).take_while(|cold| is_numbered(cold.place))
    }

    /// Whether the last one has a number instead of a place.
    #[inline]
    pub(super) fn ends_numbered(&self) -> bool {
        self.last.back().is_some_and(|cold| is_numbered(cold.place))
    }

    /// Gives places to those that have numbers below a bound: their messages have places by now.
    pub(super) fn place(&mut self, pending: &mut Pending, bound: Place) {
        let mut place = |cold: &mut Cold| {
            if !is_numbered(cold.place) {
                return false;
            }
            // Numbers ascend.
            if cold.place < bound {
                cold.place = pending.settle(cold.place);
            }
            true
        };
        let all = self.last.iter_mut().rev().all(&mut place);
        if all && !self.more.blocks.is_empty() {
            self.more.blocks.iter_mut().rev().flat_map(|block| block.iter_mut().rev()).all(place);
        }
    }

    /// Takes the last one out that has a number, with its message.
    pub(super) fn recall(&mut self, pending: &mut Pending) -> Option<Outgoing> {
        let cold = *self.numbered().next()?;
        self.last.pop_back();
        let out = self.taken(cold, 0);
        let message = Body::Here(Arc::clone(pending.message(cold.place)));
        pending.forget(cold.place);
        Some(Outgoing { message, ..out })
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
        self.last.capacity() == 0
    }

    /// Panics if it contradicts itself.
    pub(super) fn check(&self) {
        assert_eq!(self.entries().count(), self.len);
        assert!(self.len == 0 || !self.last.is_empty());
        assert!(self.more.blocks.iter().all(|block| !block.is_empty()));
        let grouped = self.entries().filter(|cold| cold.is_grouped()).count();
        assert_eq!(grouped, self.more.groups.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    fn out(number: u64) -> Outgoing {
        let place = Place(NonZeroU64::new(number + 1).expect("not 0"));
        Outgoing {
            message: Body::Stored(Stored { place, cost: number as u32 }),
            subscription_id: number as u32 % 7,
            qos: if number.is_multiple_of(2) { QoS::AtLeastOnce } else { QoS::ExactlyOnce },
            retain: number.is_multiple_of(5),
            group: number.is_multiple_of(3).then_some(GroupNumber(number)),
        }
    }

    /// All that a step may do is done in a plain list too.
    #[test]
    fn it_is_a_queue_whatever_is_taken_out_of_it() {
        let (mut queue, mut list) = (ColdQueue::default(), VecDeque::new());
        let told = |all: &mut dyn Iterator<Item = Outgoing>| -> Vec<String> {
            all.map(|out| format!("{out:?}")).collect()
        };
        let mut chance = 1_u64;
        for number in 0..7000 {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (draw, at) = (chance >> 33, (chance >> 13) as usize);
            // It grows first, and shrinks then.
            let grows = if number < 3000 { 8 } else { 3 };
            let new = out(number);
            let cold = Cold::of(&new).expect("it is in the log");
            match draw % 11 {
                kind if kind < grows => {
                    queue.push_back(cold, new.group);
                    list.push_back(new);
                }
                8 => {
                    queue.push_front(cold, new.group);
                    list.push_front(new);
                }
                9 if !list.is_empty() => {
                    let gone = list.remove(at % list.len()).expect("it is in there");
                    let place = gone.message.place().expect("it has one");
                    let taken = queue.take(place, gone.manner());
                    assert_eq!(told(&mut taken.into_iter()), told(&mut [gone].into_iter()));
                }
                _ => {
                    let (taken, gone) = (queue.pop_front(), list.pop_front());
                    assert_eq!(told(&mut taken.into_iter()), told(&mut gone.into_iter()));
                }
            }
            assert_eq!(queue.len(), list.len());
            if number.is_multiple_of(500) {
                queue.check();
                let mut taken = Vec::new();
                let keep = |out: &Outgoing| out.message.cost() % 11 != 4;
                queue.sift(&keep, &mut taken);
                list.retain(keep);
            }
            assert_eq!(
                queue.front().map(|cold| cold.place),
                list.front().and_then(|out| out.message.place())
            );
        }
        queue.check();
        assert!(queue.len() < 1000, "it became short again");
        assert_eq!(told(&mut queue.iter()), told(&mut list.iter().cloned()));
        while queue.pop_front().is_some() {}
        assert!(queue.is_empty() && queue.more.groups.is_empty());
    }
}
