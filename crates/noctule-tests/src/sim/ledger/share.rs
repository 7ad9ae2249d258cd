//! Share groups: each message to one member; to another only if the first one's session ended
//! before it settled the message.

use super::{Arrival, At, Ledger};
use noctule_proto::QoS;
use std::collections::BTreeMap;

/// What a group's members subscribed and received.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// The subscriptions of its members.
    pub(super) slots: Vec<usize>,
    got: BTreeMap<usize, Vec<Taken>>,
    /// Where an arrival stands in `got`.
    places: Vec<(usize, usize)>,
}

/// A member received a message.
#[derive(Clone, Copy, Debug)]
struct Taken {
    session: usize,
    qos: QoS,
    settled: Option<At>,
    /// A crash came before the broker knew for good that it was settled.
    forgotten: bool,
}

impl Ledger {
    pub(super) fn share_arrived(&mut self, arrival: &Arrival, slot: usize, number: usize) {
        let filter = self.slots[slot].filter;
        let group = self.universe.filters[filter].group.expect("a share");
        let taken =
            Taken { session: arrival.session, qos: arrival.qos, settled: None, forgotten: false };
        let all = self.groups[group].got.entry(number).or_default();
        all.push(taken);
        let nth = all.len() - 1;
        let place = self.groups[group].places.len();
        self.groups[group].places.push((number, nth));
        if let Some(id) = arrival.id
            && let Some(out) = self.sessions[arrival.session].out.get_mut(&id)
        {
            out.shared = Some((group, place));
        }
        self.slots[slot].got.entry(number).or_default().live += 1;
        self.check_share(group, number);
    }

    /// [U5-4.8.2-3], [MQTT-4.8.2-5 v5]
    fn check_share(&mut self, group: usize, number: usize) {
        let all = &self.groups[group].got[&number];
        let given_up = all.iter().filter(|taken| self.gave_up(taken)).count();
        let routed = self.messages[number].ways().count();
        if all.len() > 1 {
            self.facts.share_moves += 1;
        }
        assert!(
            all.len() <= routed + given_up,
            "message {number}, routed {routed} times, came to members {all:?} of group {group}"
        );
    }

    /// After a crash that took everything back to `cut`: what the broker does not know to be
    /// settled waits in its group again. QoS 2 once begun stays, unless nothing of the session
    /// was stored.
    pub(super) fn shares_forgotten(&mut self, cut: u32, gone: &[bool]) {
        for group in &mut self.groups {
            for taken in group.got.values_mut().flatten() {
                let open = taken.settled.is_none_or(|settled| settled.stamp > cut);
                let stays = taken.qos == QoS::ExactlyOnce && !gone[taken.session];
                taken.forgotten |= open && !stays;
            }
        }
    }

    /// Its session ended and had not settled it, so others get it (QoS 2 once begun stays).
    fn gave_up(&self, taken: &Taken) -> bool {
        if taken.forgotten {
            return true;
        }
        let Some(ended) = self.sessions[taken.session].ended else { return false };
        taken.qos == QoS::AtLeastOnce && taken.settled.is_none_or(|settled| settled > ended)
    }

    pub(super) fn share_settled(&mut self, (group, place): (usize, usize), at: At) {
        let (number, nth) = self.groups[group].places[place];
        let taken = self.groups[group].got.get_mut(&number).and_then(|all| all.get_mut(nth));
        let taken = taken.expect("a place of the group");
        taken.settled.get_or_insert(at);
    }

    /// Every message a group is owed has one member that took it. Answers how many have not.
    pub(super) fn shares_owed(&mut self) -> u64 {
        let mut missing = 0;
        for group in 0..self.groups.len() {
            for number in 0..self.messages.len() {
                if !self.share_is_owed(group, number) {
                    continue;
                }
                self.facts.shares_owed += 1;
                let got = self.groups[group].got.get(&number);
                let taken = got.is_some_and(|all| all.iter().any(|taken| !self.gave_up(taken)));
                if !taken {
                    self.trace(|| format!("group {group} is owed message {number}"));
                    missing += 1;
                }
            }
        }
        missing
    }

    /// A member that was certainly there when it was routed is there still, and no other member
    /// may have taken it away with it.
    fn share_is_owed(&self, group: usize, number: usize) -> bool {
        let message = &self.messages[number];
        if !message.acknowledged || message.expiry_secs.is_some() || message.clear {
            return false;
        }
        let Some(&at) = message.routed.last() else { return false };
        let slots = self.groups[group].slots.iter().map(|slot| &self.slots[*slot]);
        let mut witness = false;
        for slot in slots {
            if !self.universe.matches(slot.filter, message.topic) {
                return false;
            }
            let session = &self.sessions[slot.session];
            let stays = session.ended.is_none() && slot.alive();
            witness |= stays && slot.certain(at, None);
            let left = session.ended.is_some_and(|ended| ended > at)
                || slot.unsubscribed.is_some_and(|end| end > at);
            let qos = |made: &super::subscription::Made| message.qos.min(made.options.qos);
            let weak = slot.made.iter().any(|made| qos(made) == QoS::AtMostOnce);
            let strong = slot.made.iter().any(|made| qos(made) == QoS::ExactlyOnce);
            // A QoS 2 delivery, once begun, ends with its session; what an unsubscribed member
            // was sent stays with it and ends with its session, too.
            let takes_along = left && (strong || slot.unsubscribed.is_some());
            let small = message.size_bound() > session.packet_size_max;
            if weak || takes_along || small {
                return false;
            }
        }
        witness
    }
}
