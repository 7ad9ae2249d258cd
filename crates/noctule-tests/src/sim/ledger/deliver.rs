//! Everything that arrives must have been published, routed and owed by a subscription.

use super::subscription::Made;
use super::{At, Ledger, Place};
use noctule_core::limits::Durability;
use noctule_proto::QoS;

/// A PUBLISH that a client received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) link: usize,
    pub(crate) session: usize,
    pub(crate) v5: bool,
    pub(crate) topic: usize,
    /// `None` for an empty payload.
    pub(crate) message: Option<usize>,
    pub(crate) qos: QoS,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) id: Option<u16>,
    /// 0 = none.
    pub(crate) subscription_id: u32,
    pub(crate) left_secs: Option<u32>,
    /// When the broker said it.
    pub(crate) sent_at: u64,
}

impl Ledger {
    /// A PUBLISH arrived.
    pub(crate) fn arrived(&mut self, arrival: &Arrival) {
        self.instant();
        let first = arrival.id.is_none_or(|id| self.first_time(arrival, id));
        match arrival.message {
            Some(number) if first => self.delivered(arrival, number),
            Some(_) => {}
            None => self.cleared(arrival),
        }
    }

    fn delivered(&mut self, arrival: &Arrival, number: usize) {
        self.facts.deliveries += 1;
        self.check_will_due(number);
        let message = &self.messages[number];
        assert_eq!(message.topic, arrival.topic, "message {number} under another topic");
        assert!(message.ways().next().is_some(), "message {number} arrived before it was routed");
        self.check_life(arrival, number);
        let (slot, made) = self.subscription_of(arrival, number);
        let made = self.slots[slot].made[made];
        if self.universe.filters[self.slots[slot].filter].group.is_some() {
            self.share_arrived(arrival, slot, number);
            return;
        }
        self.came_by(arrival, (slot, number));
        let live_flag = made.options.retain_as_published && self.messages[number].retain;
        let got = self.slots[slot].got.entry(number).or_default();
        got.last = self.now.stamp;
        got.exact += u32::from(arrival.qos == QoS::ExactlyOnce);
        match (arrival.retain, live_flag) {
            (true, false) => got.retained += 1,
            (true, true) => got.either += 1,
            (false, false) => got.live += 1,
            (false, true) => panic!("message {number} lost its RETAIN flag in {arrival:?}"),
        }
        self.check_count(arrival, slot, number);
        self.check_exactly_once(slot, number);
        match (arrival.retain, live_flag) {
            (true, false) => self.retained_arrived(slot, number),
            (false, false) => {
                self.check_no_local(arrival, &made, number);
                self.check_order(arrival, slot, number);
            }
            (_, true) => {}
        }
    }

    /// An empty payload says nothing of which message it is.
    fn cleared(&self, arrival: &Arrival) {
        let known = self.messages.iter().any(|message| {
            message.clear && message.topic == arrival.topic && message.ways().next().is_some()
        });
        assert!(known, "an empty payload arrived that nobody published: {arrival:?}");
        let flag = arrival.retain;
        assert!(arrival.v5 || !flag, "a retained message with an empty payload");
    }

    /// [MQTT-3.3.2-5 v5], [MQTT-3.3.2-6 v5]
    fn check_life(&self, arrival: &Arrival, number: usize) {
        let message = &self.messages[number];
        if !arrival.v5 {
            assert!(
                arrival.dup || message.has_left_any(arrival.sent_at),
                "message {number} was sent after it expired"
            );
        } else if !arrival.dup {
            assert!(
                message.has_left(arrival.left_secs, arrival.sent_at),
                "message {number} has {:?} s left at {}: {message:?}",
                arrival.left_secs,
                arrival.sent_at,
            );
        }
    }

    /// The subscription it came by. Those of v5 clients have identifiers; where several have the
    /// same, or none, it does not matter which of those with the same QoS it was.
    fn subscription_of(&self, arrival: &Arrival, number: usize) -> Place {
        let message = &self.messages[number];
        let session = &self.sessions[arrival.session];
        let fits = |made: &Made| -> bool {
            made.subscription_id == arrival.subscription_id
                && arrival.qos == message.qos.min(made.options.qos)
        };
        // Those with room come first, then those it was in force for, then those that have not had
        // it, then those that could have said it in fewer ways.
        let rap = |made: &Made| made.options.retain_as_published;
        let mut best: Option<(bool, u8, u32, u32, Place)> = None;
        for &slot in &session.slots {
            let subscription = &self.slots[slot];
            if !self.universe.matches(subscription.filter, arrival.topic) {
                continue;
            }
            let Some(nth) = subscription.made.iter().position(fits) else { continue };
            let got = subscription.got.get(&number).copied().unwrap_or_default();
            let never = self.never_left(arrival, slot, number);
            let live = arrival.retain && message.retain
                || got.live < self.routings(slot, number, session.ended) + got.again - never;
            let bound = self.count_bound(slot, number, session.ended) - never;
            let arrivals = self.arrivals_of(slot, number);
            let full = !live || bound <= arrivals;
            let choice = if arrival.retain && !(message.retain && rap(&subscription.made[nth])) {
                // Retained: for the latest wish that it fits and that has not had it.
                let wishes = subscription.made.iter().filter(|made| made.wish);
                let most = wishes.clone().count() + got.again as usize;
                let full = full || got.retained as usize >= most;
                let fitting = wishes.filter(|made| self.replaced_by(number, made.from).is_none());
                let latest = fitting.map(|made| made.from.stamp).max();
                // One that is gone is owed nothing, though something of it may be on its way.
                let stale = match (latest, subscription.gone) {
                    (Some(_), None) => 0,
                    (Some(_), Some(_)) => 1,
                    (None, _) => 2,
                };
                (full, stale, got.retained, u32::MAX - latest.unwrap_or(0))
            } else {
                let routed = message.ways();
                let ways = routed.map(|at| subscription.in_force(*at).count()).sum::<usize>();
                let mut routed = message.ways();
                let stale = !routed.any(|at| subscription.in_force(*at).any(fits));
                (full, u8::from(stale), arrivals, ways as u32)
            };
            let (full, stale, had, ways) = choice;
            let choice = (full, stale, had, ways, (slot, nth));
            if best.is_none_or(|best| choice < best) {
                best = Some(choice);
            }
        }
        best.map(|(.., place)| place).unwrap_or_else(|| {
            panic!("no subscription of session {} asked for {arrival:?}", arrival.session)
        })
    }

    fn arrivals_of(&self, slot: usize, number: usize) -> u32 {
        let got = self.slots[slot].got.get(&number).copied().unwrap_or_default();
        got.live + got.retained + got.either
    }

    /// Routings of the message that may have found the subscription.
    pub(super) fn routings(&self, slot: usize, number: usize, ended: Option<At>) -> u32 {
        let slot = &self.slots[slot];
        let routed = self.messages[number].ways();
        routed.filter(|at| slot.possible(**at, ended)).count() as u32
    }

    /// Routings that the bounds count, but that a crash took back before a message of this QoS
    /// could leave.
    fn never_left(&self, arrival: &Arrival, slot: usize, number: usize) -> u32 {
        let message = &self.messages[number];
        let kept = self.class_of(message.topic) != Durability::Memory;
        if !kept || arrival.qos != QoS::ExactlyOnce {
            return 0;
        }
        let (ended, slot) = (self.sessions[arrival.session].ended, &self.slots[slot]);
        message.undone.iter().filter(|at| slot.possible(**at, ended)).count() as u32
    }

    fn count_bound(&self, slot: usize, number: usize, ended: Option<At>) -> u32 {
        let retained = match self.messages[number].retain {
            true => self.slots[slot].made.iter().filter(|made| made.wish).count() as u32,
            false => 0,
        };
        let got = self.slots[slot].got.get(&number).copied().unwrap_or_default();
        self.routings(slot, number, ended) + retained + got.again
    }

    fn check_count(&self, arrival: &Arrival, slot: usize, number: usize) {
        let ended = self.sessions[arrival.session].ended;
        let got = self.slots[slot].got[&number];
        let live = self.routings(slot, number, ended);
        assert!(
            got.live <= live + got.again,
            "message {number} came {} times by slot {slot} for {live} routings: {:?}",
            got.live,
            self.messages[number],
        );
        assert!(
            self.arrivals_of(slot, number) <= self.count_bound(slot, number, ended),
            "message {number} came too often by slot {slot}: {got:?} {:?}",
            self.slots[slot],
        );
    }

    /// A message of QoS 2 leaves once it is stored that it does: what a crash took back never left,
    /// and nothing comes again.
    fn check_exactly_once(&self, slot: usize, number: usize) {
        let subscription = &self.slots[slot];
        let ended = self.sessions[subscription.session].ended;
        let message = &self.messages[number];
        if self.class_of(message.topic) == Durability::Memory {
            return;
        }
        let routed = message.routed.iter().filter(|at| subscription.possible(**at, ended)).count();
        let wishes = subscription.made.iter().filter(|made| made.wish && message.retain).count();
        assert!(
            subscription.got[&number].exact as usize <= routed + wishes,
            "message {number} came more than once by slot {slot}, with QoS 2: {message:?} \
             {subscription:?}"
        );
    }

    /// Notes by which subscription it came.
    fn came_by(&mut self, arrival: &Arrival, (slot, number): (usize, usize)) {
        let message = &self.messages[number];
        let old = message.acknowledged && message.routed.iter().all(|at| *at < self.crashed);
        if old && !message.routed.is_empty() && !self.slots[slot].got.contains_key(&number) {
            self.facts.crash.waited += 1;
        }
        let session = &mut self.sessions[arrival.session];
        let once = arrival.id.and_then(|id| session.out.get(&id)).and_then(|out| out.once);
        if let Some(once) = once {
            session.once[once].by = Some((slot, number));
        }
    }

    /// [MQTT-3.8.3-3 v5]
    fn check_no_local(&self, arrival: &Arrival, made: &Made, number: usize) {
        let own = self.messages[number].session == Some(arrival.session);
        assert!(!(made.options.no_local && own), "message {number} came back to its publisher");
    }

    /// [MQTT-4.6.0-5 v5]: messages of one publisher, topic and QoS come in the order in which the
    /// broker took them.
    fn check_order(&mut self, arrival: &Arrival, slot: usize, number: usize) {
        let message = &self.messages[number];
        if message.will.is_some() || self.slots[slot].got[&number].live > 1 {
            return;
        }
        let (Some(first), Some(last)) = (message.ways().min(), message.ways().max()) else {
            return;
        };
        let key = (message.client, message.topic, message.qos, arrival.qos);
        let latest = self.slots[slot].latest.entry(key).or_default();
        assert!(
            *latest <= last.stamp,
            "message {number}, routed at {last:?}, came after one routed at {latest}"
        );
        *latest = (*latest).max(first.stamp);
    }
}
