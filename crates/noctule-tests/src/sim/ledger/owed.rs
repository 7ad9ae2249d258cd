//! Everything acknowledged reaches every session that was certainly subscribed and still is there.

use super::{At, Ledger};
use noctule_proto::QoS;

impl Ledger {
    /// Everyone is connected, has taken and acknowledged everything: what is missing? `lost` is
    /// how many messages the brokers say they dropped for want of room.
    pub(crate) fn nothing_is_missing(&mut self, lost: u64) {
        let mut missing = self.shares_owed() + self.retained_owed();
        for client in 0..self.current.len() {
            let Some(session) = self.current[client] else { continue };
            let count = self.missing_of(session);
            assert!(
                count == 0 || self.sessions[session].overflowed,
                "session {session} misses {count} messages, and its queue never overflowed"
            );
            missing += count;
        }
        self.facts.missing += missing;
        assert!(missing <= lost, "{missing} messages are missing, {lost} were said to be dropped");
    }

    fn missing_of(&mut self, session: usize) -> u64 {
        let mut missing = 0;
        for number in 0..self.messages.len() {
            let message = &self.messages[number];
            if !message.acknowledged || message.expiry_secs.is_some() || message.clear {
                continue;
            }
            let slots = self.sessions[session].slots.iter().copied();
            let owed: Vec<usize> = slots.filter(|slot| self.is_owed(*slot, number)).collect();
            if owed.is_empty() {
                continue;
            }
            self.facts.owed += owed.len() as u64;
            let got = |slot: &usize| {
                let got = self.slots[*slot].got.get(&number);
                got.map_or(0, |got| (got.live + got.either + got.retained) as usize)
            };
            let lacking: Vec<usize> = owed.iter().copied().filter(|slot| got(slot) == 0).collect();
            if lacking.is_empty() {
                continue;
            }
            // Without identifiers it is not known which arrival came by which subscription.
            let all: usize = self.sessions[session].slots.iter().map(got).sum();
            if !self.sessions[session].v5 && all >= owed.len() {
                continue;
            }
            self.trace(|| format!("slots {lacking:?} of session {session} lack message {number}"));
            missing += lacking.len() as u64;
        }
        missing
    }

    /// Whether a message that anybody is owed was certainly routed to a subscription with a QoS
    /// that promises.
    fn is_owed(&self, slot: usize, number: usize) -> bool {
        let message = &self.messages[number];
        let slot = &self.slots[slot];
        let session = &self.sessions[slot.session];
        if !self.universe.matches(slot.filter, message.topic)
            || self.universe.filters[slot.filter].group.is_some()
            || message.size_bound() > session.packet_size_max
        {
            return false;
        }
        let own = message.session == Some(slot.session);
        let promised = |at: &At| {
            slot.certain(*at, session.ended)
                && slot.in_force(*at).all(|made| {
                    let qos = message.qos.min(made.options.qos);
                    qos != QoS::AtMostOnce && !(made.options.no_local && own)
                })
        };
        message.routed.iter().any(promised)
    }

    /// A slot of the witness: it sees each message the instant it is routed.
    pub(crate) fn bear_witness(&mut self, slot: usize) {
        self.witness.push(slot);
    }

    pub(super) fn seen_by_witness(&self, number: usize) -> bool {
        self.witness.iter().any(|slot| self.slots[*slot].got.contains_key(&number))
    }

    /// The witness has seen each message as often as it was routed.
    pub(super) fn witness_at_rest(&mut self) {
        for &slot in &self.witness {
            let slot = &self.slots[slot];
            for (number, message) in self.messages.iter().enumerate().rev().take(40) {
                if message.clear
                    || message.expiry_secs.is_some()
                    || !self.universe.matches(slot.filter, message.topic)
                {
                    continue;
                }
                let certain = message.routed.iter().filter(|at| slot.certain(**at, None)).count();
                let known = slot.got.get(&number).copied().unwrap_or_default();
                let got = (known.live + known.either) as usize;
                let most = certain + message.undone.len() + known.again as usize;
                assert!(
                    (certain..=most).contains(&got),
                    "message {number} and the witness: {got} arrivals, {certain} routings: \
                     {message:?}"
                );
            }
        }
    }

    /// Prints to whoever replays a seed.
    #[allow(clippy::print_stdout, reason = "asked for by --trace")]
    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if self.universe.traced {
            println!("{:>6} {:>9}  {}", self.now.stamp, self.now.time, line());
        }
    }
}
