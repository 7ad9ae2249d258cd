//! Subscriptions, as clients made them.

use super::{At, Ledger};
use noctule_proto::QoS;
use noctule_proto::packet::{RetainHandling, SubscribeOptions};
use std::collections::BTreeMap;

/// A subscription, and which of its SUBSCRIBEs.
pub(crate) type Place = (usize, usize);

/// One entry of a SUBSCRIBE.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Filter, by its number in the universe.
    pub(crate) filter: usize,
    pub(crate) options: SubscribeOptions,
    /// 0 = none.
    pub(crate) subscription_id: u32,
}

/// A subscription from its first SUBSCRIBE to its UNSUBSCRIBE or the end of its session.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) session: usize,
    pub(crate) filter: usize,
    /// What SUBSCRIBE said, the latest last.
    pub(crate) made: Vec<Made>,
    /// UNSUBSCRIBE was handed in.
    pub(crate) unsubscribed: Option<At>,
    /// And acknowledged.
    pub(crate) gone: Option<At>,
    /// From when to when it may have been gone, undone by a crash.
    pub(super) doubts: Vec<(At, At)>,
    /// What arrived by it.
    pub(crate) got: BTreeMap<usize, Got>,
    /// The latest routing of what arrived, by publisher, topic, QoS as published and as received.
    pub(super) latest: BTreeMap<(usize, usize, QoS, QoS), u32>,
}

/// A SUBSCRIBE that made or changed a subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) options: SubscribeOptions,
    pub(crate) subscription_id: u32,
    /// Handed in.
    pub(crate) from: At,
    /// SUBACK arrived.
    pub(crate) known: Option<At>,
    /// Retained messages are sent for it.
    pub(crate) wish: bool,
    /// A crash took it back.
    pub(super) lost: Option<At>,
}

/// How often a message arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Got {
    pub(crate) live: u32,
    pub(crate) retained: u32,
    /// Either of the two: the RETAIN flag fits both.
    pub(crate) either: u32,
    /// Of those, by QoS 2.
    pub(crate) exact: u32,
    /// How often it may come again, because the broker may have forgotten that it came.
    pub(crate) again: u32,
    /// Stamp of its last arrival.
    pub(crate) last: u32,
}

impl Slot {
    pub(crate) fn alive(&self) -> bool {
        self.unsubscribed.is_none()
    }

    /// What may be in force for a message routed at `at`: what was last acknowledged by then, and
    /// all that came after.
    pub(crate) fn in_force(&self, at: At) -> impl Iterator<Item = &Made> {
        let first = self.made.iter().rposition(|made| made.known.is_some_and(|known| known <= at));
        self.made[first.unwrap_or(0)..]
            .iter()
            .filter(move |made| made.from <= at && made.lost.is_none_or(|lost| at < lost))
    }

    /// Certainly subscribed at `at`.
    pub(crate) fn certain(&self, at: At, ended: Option<At>) -> bool {
        self.made.iter().any(|made| made.known.is_some_and(|known| known <= at))
            && self.unsubscribed.is_none_or(|end| at < end)
            && !self.doubts.iter().any(|(from, to)| *from <= at && at <= *to)
            && ended.is_none_or(|end| at < end)
    }

    /// Perhaps subscribed at `at`.
    pub(crate) fn possible(&self, at: At, ended: Option<At>) -> bool {
        self.made[0].from <= at
            && self.gone.is_none_or(|gone| at < gone)
            && ended.is_none_or(|end| at <= end)
    }
}

impl Ledger {
    /// The living subscription of a session with a filter.
    pub(crate) fn slot_of(&self, session: usize, filter: usize) -> Option<usize> {
        let slots = &self.sessions[session].slots;
        slots.iter().copied().find(|slot| {
            let slot = &self.slots[*slot];
            slot.filter == filter && slot.alive()
        })
    }

    /// SUBSCRIBE was handed in: the subscription, which SUBSCRIBE of it this is, and the code it
    /// should be answered with.
    pub(crate) fn subscribed(&mut self, session: usize, wanted: Wanted) -> (Option<Place>, u8) {
        let from = self.instant();
        let found = self.slot_of(session, wanted.filter);
        let slots = &self.sessions[session].slots;
        let count = slots.iter().filter(|slot| self.slots[**slot].alive()).count();
        if found.is_none() && count >= self.limits.subscriptions_max as usize {
            return (None, 0x97);
        }
        let shared = self.universe.filters[wanted.filter].group.is_some();
        let wish = !shared
            && match wanted.options.retain_handling {
                RetainHandling::Always => true,
                RetainHandling::IfNew => found.is_none(),
                RetainHandling::Never => false,
            };
        let made = Made {
            options: wanted.options,
            subscription_id: wanted.subscription_id,
            from,
            known: None,
            wish,
            lost: None,
        };
        let slot = match found {
            Some(slot) => {
                self.slots[slot].made.push(made);
                slot
            }
            None => self.new_slot(session, wanted.filter, made),
        };
        (Some((slot, self.slots[slot].made.len() - 1)), wanted.options.qos as u8)
    }

    fn new_slot(&mut self, session: usize, filter: usize, made: Made) -> usize {
        let number = self.slots.len();
        self.slots.push(Slot {
            session,
            filter,
            made: vec![made],
            unsubscribed: None,
            gone: None,
            doubts: Vec::new(),
            got: BTreeMap::new(),
            latest: BTreeMap::new(),
        });
        self.sessions[session].slots.push(number);
        if let Some(group) = self.universe.filters[filter].group {
            self.groups[group].slots.push(number);
        }
        number
    }

    /// SUBACK arrived for it.
    pub(crate) fn suback(&mut self, link: Option<usize>, (slot, nth): Place) {
        let at = self.instant();
        let made = &mut self.slots[slot].made[nth];
        made.known = Some(at);
        if let (true, Some(link)) = (made.wish, link) {
            self.owe_retained(link, slot, nth);
        }
    }

    /// UNSUBSCRIBE was handed in: the subscription and the code it should be answered with.
    pub(crate) fn unsubscribed(&mut self, session: usize, filter: usize) -> (Option<usize>, u8) {
        let at = self.instant();
        match self.slot_of(session, filter) {
            Some(slot) => {
                self.slots[slot].unsubscribed = Some(at);
                (Some(slot), 0)
            }
            None => (None, 0x11),
        }
    }

    pub(crate) fn unsuback(&mut self, slot: usize) {
        let at = self.instant();
        self.slots[slot].gone = Some(at);
    }
}
