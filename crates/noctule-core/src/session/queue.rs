//! Messages that wait for one session, bounded in number and bytes.
//!
//! ```text
//! front: read back from the log | cold: in the log alone, 16 bytes each | fresh: in memory
//! ```
//! Oldest first. What is in the log already moves from the front of `fresh` to the back of `cold`;
//! what is needed soon is fetched from the front of `cold` to the back of `front`.

use super::cold::{Cold, ColdQueue};
use super::pending::{Pending, is_numbered};
use crate::identity::{GroupNumber, Place, Time};
use crate::lazy::{Empty, Lazy};
use crate::limits::{Overflow, QueueLimits};
use crate::message::Message;
use crate::record::{Body, Manner, Stored};
use crate::spare::Spares;
use crate::verdict::Verdict;
use noctule_proto::QoS;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

/// Messages that one fetch asks for at most.
const FETCH_MAX: usize = 256;

/// Bytes of messages that one fetch asks for at most, unless a single one is larger.
const FETCH_BYTES_MAX: u64 = 256 * 1024;

/// A message on its way to one session, with what is particular to that delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outgoing {
    pub(crate) message: Body,
    /// Subscription Identifier; 0 = none.
    pub(crate) subscription_id: u32,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// The share group that picked the session.
    pub(crate) group: Option<GroupNumber>,
}

/// First in, first out.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Queue(Lazy<Parts>);

/// What a queue has once something has waited in it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Parts {
    /// Only while a client takes what was read back for it.
    front: Lazy<VecDeque<Outgoing>>,
    cold: ColdQueue,
    fresh: VecDeque<Outgoing>,
    bytes: u64,
    /// How many of them are QoS 0.
    qos0: u32,
    /// So many the queue may have whatever its limits are: an earlier run had them, some of them in
    /// flight.
    restored: u32,
    /// When it was full and what waits first was last looked at: whole seconds.
    looked_at: u32,
    /// It overflowed and has not been half empty since.
    overflowing: bool,
    /// It is on the list of queues to be moved out of memory.
    listed: bool,
}

impl Empty for VecDeque<Outgoing> {
    fn empty() -> &'static VecDeque<Outgoing> {
        static EMPTY: VecDeque<Outgoing> = VecDeque::new();
        &EMPTY
    }
}

impl Empty for Parts {
    fn empty() -> &'static Parts {
        static EMPTY: LazyLock<Parts> = LazyLock::new(Parts::default);
        &EMPTY
    }
}

/// What a queue has to give next.
pub(crate) enum Next<'a> {
    /// A message.
    Here(&'a Outgoing),
    /// One that has to be fetched first.
    Away,
}

/// What a full queue let go.
pub(crate) struct Dropped {
    pub(crate) outgoing: Outgoing,
    pub(crate) verdict: Verdict,
    /// The first since it last had room.
    pub(crate) first: bool,
}

impl Outgoing {
    pub(crate) fn is_tracked(&self) -> bool {
        self.qos != QoS::AtMostOnce
    }

    /// Which copy it is.
    pub(crate) fn manner(&self) -> Manner {
        let Outgoing { qos, retain, subscription_id, .. } = *self;
        Manner { qos, retain, subscription_id }
    }
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.bytes
    }

    pub(crate) fn has_qos0(&self) -> bool {
        self.0.qos0 > 0
    }

    /// Puts it on the list of queues to be moved out of memory, if part of it is there and was
    /// never read back. `false`: nothing is, or it is on the list.
    pub(crate) fn list(&mut self) -> bool {
        let waits = !self.0.fresh.is_empty() || self.0.cold.ends_numbered();
        let lists = waits && !self.0.listed;
        if lists {
            self.0.listed = true;
        }
        lists
    }

    /// Whether the next one to be left to the log will soon be there.
    pub(crate) fn awaits_log(&self) -> bool {
        let recorded = |out: &Outgoing| out.is_tracked() && out.message.is_recorded();
        self.0.fresh.front().map_or(self.0.cold.ends_numbered(), recorded)
    }

    /// It is on the list no more.
    pub(crate) fn unlist(&mut self) {
        if self.0.listed {
            self.0.listed = false;
        }
    }

    /// Lets go of what an empty queue does not need.
    pub(crate) fn tidy(&mut self) {
        self.0.drop_if(|parts| parts.len() == 0 && !parts.listed);
    }

    pub(crate) fn front(&self) -> Option<Next<'_>> {
        match self.0.front.front() {
            Some(outgoing) => Some(Next::Here(outgoing)),
            None if !self.0.cold.is_empty() => Some(Next::Away),
            None => self.0.fresh.front().map(Next::Here),
        }
    }

    /// Whether there is no room for a message that costs so much.
    pub(crate) fn is_full(&self, cost: u64, limits: &QueueLimits) -> bool {
        self.0.is_full(cost, limits)
    }

    /// Whether it is a second since what waits first was looked at; then it is now.
    pub(super) fn looks(&mut self, now: Time) -> bool {
        let secs = (now.0 / 1000) as u32;
        std::mem::replace(&mut self.0.looked_at, secs) != secs
    }

    /// Whether what waits first is what the log keeps there, and not in memory.
    pub(super) fn begins_at(&self, place: Place) -> bool {
        self.0.front.is_empty() && self.0.cold.front().is_some_and(|cold| cold.place == place)
    }

    /// All of it, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Outgoing> + '_ {
        let Parts { front, cold, fresh, .. } = &*self.0;
        front.iter().cloned().chain(cold.iter()).chain(fresh.iter().cloned())
    }

    /// Where the messages lie that are in the log, and what they cost.
    pub(crate) fn places(&self) -> impl Iterator<Item = Stored> + '_ {
        let front = self.0.front.iter().filter_map(|out| out.message.stored());
        let fresh = self.0.fresh.iter().filter_map(|out| out.message.stored());
        let cold = self.0.cold.entries();
        let cold = cold.map(|cold| Stored { place: cold.place, cost: cold.cost });
        front.chain(cold).chain(fresh)
    }

    /// Adds one, and lets go what exceeds the limits: the newest or the oldest, as configured.
    pub(crate) fn push(
        &mut self,
        outgoing: Outgoing,
        limits: &QueueLimits,
        spares: &mut Spares<Outgoing>,
    ) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        let cost = outgoing.message.cost();
        let parts = &mut *self.0;
        let first = !parts.overflowing;
        while parts.is_full(cost, limits) {
            let oldest = match limits.overflow {
                Overflow::DropOldest => parts.pop(),
                Overflow::DropNewest => None,
            };
            parts.overflowing = true;
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
        parts.came(&outgoing);
        spares.lend(&mut parts.fresh);
        parts.fresh.push_back(outgoing);
        dropped
    }

    /// Adds one for a session that is away, whose message is in the log by the end of the turn; its
    /// place may be a number. `false`: there is no room, or others go first.
    #[inline]
    pub(crate) fn push_cold(
        &mut self,
        message: &Arc<Message>,
        manner: Manner,
        (limits, pending): (&QueueLimits, &mut Pending),
    ) -> bool {
        let cost = message.cost() as u64;
        let parts = &mut *self.0;
        let Ok(cost_told) = u32::try_from(cost) else { return false };
        if parts.is_full(cost, limits) || !parts.fresh.is_empty() {
            return false;
        }
        // Numbers are the last ones.
        let place = match message.place() {
            Some(place) if !parts.cold.ends_numbered() => place,
            _ => pending.name(message),
        };
        parts.bytes += cost;
        parts.cold.push_back(Cold::new(place, manner, cost_told), None);
        true
    }

    /// How many have numbers instead of places.
    pub(crate) fn numbered(&self) -> u64 {
        self.0.cold.numbered().count() as u64
    }

    /// Gives those places that have any by now: whose numbers are below this one.
    pub(crate) fn place(&mut self, pending: &mut Pending, bound: Place) {
        if self.0.cold.ends_numbered() {
            self.0.cold.place(pending, bound);
        }
    }

    /// Takes back into memory what has no place yet.
    pub(crate) fn recall(&mut self, pending: &mut Pending) {
        if !self.0.cold.ends_numbered() {
            return;
        }
        let parts = &mut *self.0;
        while let Some(outgoing) = parts.cold.recall(pending) {
            parts.fresh.push_front(outgoing);
        }
    }

    /// Adds one that an earlier run took in under limits of its own. It is in the log, and left to
    /// it.
    pub(crate) fn restore(&mut self, outgoing: &Outgoing) {
        if let Some(cold) = Cold::of(outgoing) {
            self.0.came(outgoing);
            self.0.cold.push_back(cold, outgoing.group);
            self.0.restored += 1;
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        if self.is_empty() {
            return None;
        }
        self.0.pop()
    }

    /// Takes out a copy of a message that the log keeps there. What is asked for waits near the
    /// front as a rule.
    pub(crate) fn take(&mut self, place: Place, manner: Manner) -> Option<Outgoing> {
        if self.is_empty() {
            return None;
        }
        let is_it = |out: &Outgoing| out.message.place() == Some(place) && out.manner() == manner;
        let Parts { front, cold, fresh, .. } = &mut *self.0;
        let outgoing = if let Some(at) = front.iter().position(is_it) {
            front.remove(at)?
        } else if let Some(outgoing) = cold.take(place, manner) {
            outgoing
        } else {
            fresh.remove(fresh.iter().position(is_it)?)?
        };
        self.0.gone(&outgoing);
        Some(outgoing)
    }

    /// Takes out those that `keep` does not want.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Outgoing) -> bool) -> Vec<Outgoing> {
        let mut out = Vec::new();
        if self.is_empty() {
            return out;
        }
        let Parts { front, cold, fresh, .. } = &mut *self.0;
        if !front.is_empty() {
            sift(front, &keep, &mut out);
        }
        cold.sift(&keep, &mut out);
        sift(fresh, &keep, &mut out);
        out.iter().for_each(|outgoing| self.0.gone(outgoing));
        out
    }

    /// Leaves the messages that are in the log to it, but for so many of the newest.
    pub(crate) fn leave_to_log(&mut self, newest: usize, spares: &mut Spares<Outgoing>) {
        if self.0.fresh.len() <= newest {
            return;
        }
        let parts = &mut *self.0;
        while parts.fresh.len() > newest
            && let Some(front) = parts.fresh.front()
            && let Some(cold) = Cold::of(front)
        {
            parts.cold.push_back(cold, front.group);
            parts.fresh.pop_front();
        }
        if parts.fresh.is_empty() {
            spares.take_back(&mut parts.fresh);
        }
    }

    /// Leaves what was read back to the log again: nobody takes it soon.
    pub(crate) fn leave_front_to_log(&mut self) {
        if self.0.front.is_empty() {
            return;
        }
        let Parts { front, cold: behind, .. } = &mut *self.0;
        while let Some(back) = front.back()
            && let Some(cold) = Cold::of(back)
        {
            behind.push_front(cold, back.group);
            front.pop_back();
        }
        self.0.front.drop_if(VecDeque::is_empty);
    }

    /// Where the messages lie that have to be fetched soon; empty if enough are here.
    pub(crate) fn wanted(&self) -> Vec<Place> {
        if self.0.front.len() >= FETCH_MAX / 2 {
            return Vec::new();
        }
        let mut bytes = 0;
        let near = self.0.cold.entries().take(FETCH_MAX).take_while(|cold| {
            let first = bytes == 0;
            bytes += u64::from(cold.cost);
            (first || bytes <= FETCH_BYTES_MAX) && !is_numbered(cold.place)
        });
        near.map(|cold| cold.place).collect()
    }

    /// A message was read back. `false`: it is not the one that is wanted next.
    pub(crate) fn fetched(&mut self, place: Place, message: Arc<Message>) -> bool {
        if self.0.cold.front().is_none_or(|cold| cold.place != place) {
            return false;
        }
        let parts = &mut *self.0;
        let Some(cold) = parts.cold.pop_front() else { return false };
        // The account is kept by what the log said before.
        let told = cold.message.cost();
        let outgoing = Outgoing { message: Body::Here(message), ..cold };
        parts.bytes = parts.bytes + outgoing.message.cost() - told;
        parts.front.push_back(outgoing);
        true
    }

    /// The message that is wanted next cannot be read: it is skipped.
    pub(crate) fn unreadable(&mut self, place: Place) -> Option<Outgoing> {
        let manner = self.0.cold.front().filter(|next| next.place == place)?.manner();
        self.take(place, manner)
    }

    pub(crate) fn check(&self, limits: &QueueLimits) {
        let bytes: u64 = self.iter().map(|outgoing| outgoing.message.cost()).sum();
        assert_eq!(bytes, self.0.bytes, "queue bytes miscounted");
        self.0.cold.check();
        let placed_later = self.0.cold.ends_numbered();
        assert!(!placed_later || self.0.listed, "nobody would ever give it a place");
        let restored = self.0.restored as usize;
        let most = restored.max(limits.messages_max as usize);
        assert!(self.len() <= most, "queue over its limit");
        assert!(restored > 0 || self.0.bytes <= limits.bytes_max, "queue over its bytes");
        let here = |outgoing: &Outgoing| matches!(outgoing.message, Body::Here(_));
        assert!(self.0.fresh.iter().all(here), "a message in memory is not");
    }
}

impl Parts {
    fn len(&self) -> usize {
        self.front.len() + self.cold.len() + self.fresh.len()
    }

    /// Whether there is no room for a message that costs so much.
    fn is_full(&self, cost: u64, limits: &QueueLimits) -> bool {
        self.len() >= limits.messages_max as usize || self.bytes + cost > limits.bytes_max
    }

    fn came(&mut self, outgoing: &Outgoing) {
        self.bytes += outgoing.message.cost();
        self.qos0 += u32::from(!outgoing.is_tracked());
    }

    fn pop(&mut self) -> Option<Outgoing> {
        let outgoing = if !self.front.is_empty() {
            self.front.pop_front()?
        } else if let Some(outgoing) = self.cold.pop_front() {
            outgoing
        } else {
            self.fresh.pop_front()?
        };
        self.gone(&outgoing);
        if self.len() == 0 {
            self.overflowing = false;
            if self.fresh.capacity() > 64 {
                self.fresh = VecDeque::new();
            }
        }
        Some(outgoing)
    }

    fn gone(&mut self, outgoing: &Outgoing) {
        self.bytes -= outgoing.message.cost();
        self.qos0 -= u32::from(!outgoing.is_tracked());
        self.restored = self.restored.min(self.len() as u32);
        if self.cold.is_empty() && self.front.is_empty() {
            if !self.cold.is_free() {
                self.cold = ColdQueue::default();
            }
            self.front = Lazy::default();
            self.restored = 0;
        }
    }
}

fn sift(from: &mut VecDeque<Outgoing>, keep: &impl Fn(&Outgoing) -> bool, out: &mut Vec<Outgoing>) {
    if from.iter().all(keep) {
        return;
    }
    for outgoing in std::mem::take(from) {
        if keep(&outgoing) { from.push_back(outgoing) } else { out.push(outgoing) }
    }
}
