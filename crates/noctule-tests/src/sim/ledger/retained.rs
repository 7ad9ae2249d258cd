//! Retained messages: a subscriber gets the last one of each topic, and never one that was
//! replaced before it subscribed.

use super::{At, Ledger, Place};
use noctule_proto::QoS;

/// A subscription made with the wish for retained messages, on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    link: usize,
    place: Place,
}

impl Ledger {
    pub(super) fn owe_retained(&mut self, link: usize, slot: usize, nth: usize) {
        self.owed_retained.push(Owed { link, place: (slot, nth) });
    }

    /// A connection ended: what it was still owed is owed no more.
    pub(crate) fn forgive_retained(&mut self, link: usize) {
        self.owed_retained.retain(|owed| owed.link != link);
    }

    /// Whether a later retained publish certainly stood in its place at `at`. Times decide, since
    /// messages of two shards within a millisecond have no order.
    pub(super) fn replaced_by(&self, number: usize, at: At) -> Option<usize> {
        let last = self.messages[number].routed.last()?;
        let all = self.retained[self.messages[number].topic].iter().copied();
        all.filter(|other| *other != number).find(|other| {
            let other = &self.messages[*other];
            other.routed.first().is_some_and(|first| first.time > last.time && *first < at)
        })
    }

    /// [MQTT-3.3.1-5 v5], [MQTT-3.3.1-9 v5]
    pub(super) fn retained_arrived(&mut self, slot: usize, number: usize) {
        self.facts.retained_deliveries += 1;
        let made = self.slots[slot].made.iter().filter(|made| made.wish);
        let mut at = made.map(|made| made.from);
        let fine = at.any(|at| self.replaced_by(number, at).is_none());
        assert!(
            fine,
            "retained message {number} had been replaced by {:?} when slot {slot} subscribed",
            self.slots[slot].made.last().and_then(|made| self.replaced_by(number, made.from)),
        );
    }

    /// What each subscription with a wish must have received. Answers how much it has not.
    pub(super) fn retained_owed(&mut self) -> u64 {
        let mut missing = 0;
        for owed in std::mem::take(&mut self.owed_retained) {
            let (slot, nth) = owed.place;
            for topic in 0..self.universe.topics.len() {
                if self.universe.matches(self.slots[slot].filter, topic)
                    && !self.has_retained((slot, nth), topic)
                {
                    missing += 1;
                }
            }
        }
        missing
    }

    fn has_retained(&mut self, (slot, nth): Place, topic: usize) -> bool {
        let subscription = &self.slots[slot];
        let made = subscription.made[nth];
        let known = |number: &&usize| {
            let first = self.messages[**number].routed.first();
            first.is_some_and(|first| *first < made.from)
        };
        let all = &self.retained[topic];
        let Some(&number) = all.iter().rev().find(known) else { return true };
        let time = |number: usize| self.messages[number].routed.last().map(|at| at.time);
        let first = |number: usize| self.messages[number].routed.first().map(|at| at.time);
        // It and all that may have come after it: any of those will do.
        let later: Vec<usize> =
            all.iter().copied().filter(|other| time(*other) >= first(number)).collect();
        let strong = |number: usize| {
            let message = &self.messages[number];
            let fits = message.size_bound() <= self.sessions[subscription.session].packet_size_max;
            let qos = message.qos.min(made.options.qos);
            // It may have come too late for these options, and be withheld for later ones.
            let own = message.session == Some(subscription.session)
                && subscription.made[nth..].iter().any(|made| made.options.no_local);
            !message.clear
                && message.expiry_secs.is_none()
                && qos != QoS::AtMostOnce
                && fits
                && !own
        };
        let unsure = !later.iter().all(|number| strong(*number));
        if unsure || !subscription.alive() {
            return true;
        }
        self.facts.retained_owed += 1;
        let there = later.iter().any(|number| subscription.got.contains_key(number))
            || self.overtaken((slot, nth), number)
            || self.all_had_one(self.slots[slot].session, topic, &later);
        if !there {
            self.trace(|| {
                format!(
                    "slot {slot} of session {} has none of {later:?} on {}: {made:?}",
                    subscription.session, self.universe.topics[topic],
                )
            });
        }
        there
    }

    /// Without identifiers it is not known which arrival came by which subscription: whether as
    /// many came as there are subscriptions that wished for them, and are owed them still.
    fn all_had_one(&self, session: usize, topic: usize, later: &[usize]) -> bool {
        let session = &self.sessions[session];
        let slots = session.slots.iter().map(|slot| &self.slots[*slot]);
        let mut arrivals = 0;
        let mut wishes = 0;
        for slot in slots.filter(|slot| self.universe.matches(slot.filter, topic)) {
            let got = later.iter().filter_map(|number| slot.got.get(number));
            arrivals += got.map(|got| got.live + got.either + got.retained).sum::<u32>();
            wishes += u32::from(slot.alive() && slot.made.iter().any(|made| made.wish));
        }
        !session.v5 && arrivals >= wishes
    }

    /// Whether a later live message of the topic reached the session since it subscribed: the
    /// retained one then stays away, as it would come out of order.
    fn overtaken(&self, (slot, nth): Place, number: usize) -> bool {
        let made = self.slots[slot].made[nth];
        let first = self.messages[number].routed.first();
        let slots = self.sessions[self.slots[slot].session].slots.iter();
        let mut got = slots.flat_map(|slot| &self.slots[*slot].got);
        got.any(|(other, got)| {
            let message = &self.messages[*other];
            got.live + got.either > 0
                && got.last >= made.from.stamp
                && message.topic == self.messages[number].topic
                && message.routed.last() > first
        })
    }

    /// Whether a topic certainly has a retained message, certainly has none, or it is not known.
    pub(crate) fn has_retained_message(&self, topic: usize, time: u64) -> Option<bool> {
        let all = &self.retained[topic];
        let Some(last) = all.iter().filter_map(|number| self.messages[*number].routed.last()).max()
        else {
            return Some(false);
        };
        let mut latest = all
            .iter()
            .filter(|number| {
                let at = self.messages[**number].routed.last();
                at.is_some_and(|at| at.time >= last.time)
            })
            .map(|number| !self.messages[*number].clear && !self.messages[*number].expired(time));
        let first = latest.next()?;
        latest.all(|other| other == first).then_some(first)
    }
}
