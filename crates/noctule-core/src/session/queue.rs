//! Messages that wait for one session, bounded in number and bytes.
//!
//! ```text
//! front: read back from the log | cold: in the log alone, 24 bytes each | fresh: in memory
//! ```
//! Oldest first. What is in the log already moves from the front of `fresh` to the back of `cold`;
//! what is needed soon is fetched from the front of `cold` to the back of `front`.

use crate::identity::{GroupNumber, Place};
use crate::limits::{Limits, Overflow};
use crate::message::Message;
use crate::record::{Body, Manner, Stored};
use crate::verdict::Verdict;
use noctule_proto::QoS;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;

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
pub(crate) struct Queue {
    away: Option<Box<Away>>,
    fresh: VecDeque<Outgoing>,
    bytes: u64,
    /// How many of them are QoS 0.
    qos0: u32,
    /// It overflowed and has not been half empty since.
    overflowing: bool,
    /// It is on the list of queues to be moved out of memory.
    pub(crate) listed: bool,
}

/// What only a queue has of which something lies in the log alone.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Away {
    front: VecDeque<Outgoing>,
    cold: VecDeque<Cold>,
    /// So many the queue may have whatever its limits are: an earlier run had them, some of them in
    /// flight.
    restored: usize,
}

/// An [`Outgoing`] whose message is in the log alone.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Cold {
    place: Place,
    group: Option<NonZeroU64>,
    /// Subscription Identifier, QoS and RETAIN, packed.
    form: u32,
    cost: u32,
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

impl Cold {
    /// `None`: it is not in the log, or its promise needs it in memory.
    fn of(outgoing: &Outgoing) -> Option<Cold> {
        let place = outgoing.message.place().filter(|_| outgoing.is_tracked())?;
        let form =
            outgoing.subscription_id << 3 | (outgoing.qos as u32) << 1 | u32::from(outgoing.retain);
        let group = outgoing.group.and_then(|group| NonZeroU64::new(group.0));
        let cost = u32::try_from(outgoing.message.cost()).ok()?;
        Some(Cold { place, group, form, cost })
    }

    fn outgoing(&self) -> Outgoing {
        Outgoing {
            message: Body::Stored(Stored { place: self.place, cost: self.cost }),
            subscription_id: self.form >> 3,
            qos: if self.form & 0b100 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce },
            retain: self.form & 1 == 1,
            group: self.group.map(|group| GroupNumber(group.get())),
        }
    }
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        let away = self.away.as_ref().map_or(0, |away| away.front.len() + away.cold.len());
        away + self.fresh.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.away.is_none()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn has_qos0(&self) -> bool {
        self.qos0 > 0
    }

    /// Whether part of it is in memory and was never read back.
    pub(crate) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    pub(crate) fn front(&self) -> Option<Next<'_>> {
        match &self.away {
            Some(away) => away.front.front().map_or(Some(Next::Away), |out| Some(Next::Here(out))),
            None => self.fresh.front().map(Next::Here),
        }
    }

    /// All of it, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Outgoing> + '_ {
        let away = self.away.iter();
        let away = away.flat_map(|away| {
            away.front.iter().cloned().chain(away.cold.iter().map(Cold::outgoing))
        });
        away.chain(self.fresh.iter().cloned())
    }

    /// Where the messages lie that are in the log.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let away = self.away.iter().flat_map(|away| {
            let front = away.front.iter().filter_map(|out| out.message.place());
            front.chain(away.cold.iter().map(|cold| cold.place))
        });
        away.chain(self.fresh.iter().filter_map(|out| out.message.place()))
    }

    /// Adds one, and lets go what exceeds the limits: the newest or the oldest, as configured.
    pub(crate) fn push(&mut self, outgoing: Outgoing, limits: &Limits) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        let cost = outgoing.message.cost();
        let first = !self.overflowing;
        while self.len() >= limits.queue_messages_max as usize
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
        self.came(&outgoing);
        self.fresh.push_back(outgoing);
        dropped
    }

    /// Adds one that an earlier run took in under limits of its own. It is in the log, and left to
    /// it.
    pub(crate) fn restore(&mut self, outgoing: &Outgoing) {
        if let Some(cold) = Cold::of(outgoing) {
            self.came(outgoing);
            let away = self.away.get_or_insert_default();
            away.cold.push_back(cold);
            away.restored += 1;
        }
    }

    fn came(&mut self, outgoing: &Outgoing) {
        self.bytes += outgoing.message.cost();
        self.qos0 += u32::from(!outgoing.is_tracked());
    }

    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        let outgoing = match &mut self.away {
            Some(away) => away.pop()?,
            None => self.fresh.pop_front()?,
        };
        self.gone(&outgoing);
        if self.overflowing && self.is_empty() {
            self.overflowing = false;
        }
        if self.is_empty() && self.fresh.capacity() > 64 {
            self.fresh = VecDeque::new();
        }
        Some(outgoing)
    }

    fn gone(&mut self, outgoing: &Outgoing) {
        self.bytes -= outgoing.message.cost();
        self.qos0 -= u32::from(!outgoing.is_tracked());
        if self.away.as_ref().is_some_and(|away| away.is_empty()) {
            self.away = None;
        }
        let len = self.len();
        if let Some(away) = &mut self.away {
            away.restored = away.restored.min(len);
        }
    }

    /// Takes out a copy of a message that the log keeps there. What is asked for waits near the
    /// front as a rule.
    pub(crate) fn take(&mut self, place: Place, manner: Manner) -> Option<Outgoing> {
        let is_it = |out: &Outgoing| out.message.place() == Some(place) && out.manner() == manner;
        let from_away = self.away.as_mut().and_then(|away| {
            if let Some(at) = away.front.iter().position(is_it) {
                return away.front.remove(at);
            }
            let is_it = |cold: &Cold| cold.place == place && is_it(&cold.outgoing());
            let at = away.cold.iter().position(is_it)?;
            away.cold.remove(at).map(|cold| cold.outgoing())
        });
        let outgoing = from_away.or_else(|| {
            let at = self.fresh.iter().position(is_it)?;
            self.fresh.remove(at)
        })?;
        self.gone(&outgoing);
        Some(outgoing)
    }

    /// Takes out those that `keep` does not want.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Outgoing) -> bool) -> Vec<Outgoing> {
        let mut out = Vec::new();
        if let Some(away) = &mut self.away {
            sift(&mut away.front, &keep, &mut out);
            away.cold.retain(|cold| {
                let outgoing = cold.outgoing();
                let kept = keep(&outgoing);
                if !kept {
                    out.push(outgoing);
                }
                kept
            });
        }
        sift(&mut self.fresh, &keep, &mut out);
        out.iter().for_each(|outgoing| self.gone(outgoing));
        out
    }

    /// Leaves the messages that are in the log to it, but for so many of the newest.
    pub(crate) fn leave_to_log(&mut self, newest: usize) {
        self.listed = false;
        while self.fresh.len() > newest
            && let Some(cold) = self.fresh.front().and_then(Cold::of)
        {
            self.fresh.pop_front();
            self.away.get_or_insert_default().cold.push_back(cold);
        }
        if self.fresh.is_empty() {
            self.fresh = VecDeque::new();
        }
    }

    /// Leaves what was read back to the log again: nobody takes it soon.
    pub(crate) fn leave_front_to_log(&mut self) {
        let Some(away) = &mut self.away else { return };
        while let Some(cold) = away.front.back().and_then(Cold::of) {
            away.front.pop_back();
            away.cold.push_front(cold);
        }
        away.front.shrink_to_fit();
    }

    /// Where the messages lie that have to be fetched soon; empty if enough are here.
    pub(crate) fn wanted(&self) -> Vec<Place> {
        let Some(away) = self.away.as_ref().filter(|away| away.front.len() < FETCH_MAX / 2) else {
            return Vec::new();
        };
        let mut bytes = 0;
        let near = away.cold.iter().take(FETCH_MAX).take_while(|cold| {
            let first = bytes == 0;
            bytes += u64::from(cold.cost);
            first || bytes <= FETCH_BYTES_MAX
        });
        near.map(|cold| cold.place).collect()
    }

    /// A message was read back. `false`: it is not the one that is wanted next.
    pub(crate) fn fetched(&mut self, place: Place, message: Arc<Message>) -> bool {
        let Some(away) = &mut self.away else { return false };
        if away.cold.front().is_none_or(|cold| cold.place != place) {
            return false;
        }
        let Some(cold) = away.cold.pop_front() else { return false };
        // The account is kept by what the log said before.
        let outgoing = Outgoing { message: Body::Here(message), ..cold.outgoing() };
        self.bytes = self.bytes + outgoing.message.cost() - u64::from(cold.cost);
        away.front.push_back(outgoing);
        true
    }

    /// The message that is wanted next cannot be read: it is skipped.
    pub(crate) fn unreadable(&mut self, place: Place) -> Option<Outgoing> {
        let next = self.away.as_ref()?.cold.front().filter(|next| next.place == place)?;
        let manner = next.outgoing().manner();
        self.take(place, manner)
    }

    pub(crate) fn check(&self, limits: &Limits) {
        let bytes: u64 = self.iter().map(|outgoing| outgoing.message.cost()).sum();
        assert_eq!(bytes, self.bytes, "queue bytes miscounted");
        let restored = self.away.as_ref().map_or(0, |away| away.restored);
        let most = restored.max(limits.queue_messages_max as usize);
        assert!(self.len() <= most, "queue over its limit");
        assert!(restored > 0 || self.bytes <= limits.queue_bytes_max, "queue over its bytes");
        assert!(self.away.as_ref().is_none_or(|away| !away.is_empty()), "an empty part is kept");
        let here = |outgoing: &Outgoing| matches!(outgoing.message, Body::Here(_));
        assert!(self.fresh.iter().all(here), "a message in memory is not");
    }
}

impl Away {
    fn is_empty(&self) -> bool {
        self.front.is_empty() && self.cold.is_empty()
    }

    fn pop(&mut self) -> Option<Outgoing> {
        self.front.pop_front().or_else(|| self.cold.pop_front().map(|cold| cold.outgoing()))
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
