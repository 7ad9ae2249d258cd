//! The broker died and came back: what the ledger makes of it.
//!
//! A log keeps a prefix of what was written, so a crash takes the broker back to one instant, the
//! `cut`. What was done later is undone, unless its client was told that it is done: that is a
//! promise, and stays in the ledger whatever the log says. What clients have seen they have seen.

use super::receive::{Out, Stage};
use super::session::{Kept, LineEnd};
use super::will::WillState;
use super::{At, Ledger};
use noctule_core::limits::Durability;
use noctule_proto::QoS;

impl Ledger {
    /// The broker died; its log reaches up to the instant with the stamp `cut`.
    pub(crate) fn crash(&mut self, cut: u32, power: bool) {
        let at = self.instant();
        self.crashed = at;
        self.messages_crash(cut, power);
        let void = self.void_wills();
        let gone: Vec<bool> = (0..self.sessions.len())
            .map(|number| match self.survives(number, cut) {
                Some(kept) => {
                    self.session_comes_back(number, kept, cut);
                    false
                }
                None => {
                    self.session_is_gone(number, at);
                    true
                }
            })
            .collect();
        void.into_iter().for_each(|will| self.will_of_the_expired(will, cut));
        for slot in 0..self.slots.len() {
            if !gone[self.slots[slot].session] {
                self.slot_crashes(slot, cut, at);
            }
        }
        self.shares_forgotten(cut, &gone);
    }

    /// Connections of these clients that were open when the broker died ended by that.
    pub(crate) fn cut_off(&mut self, whose: impl Fn(usize) -> bool) {
        for client in 0..self.current.len() {
            let Some(number) = self.current[client].filter(|_| whose(client)) else { continue };
            let last = self.sessions[number].history.last();
            if last.is_some_and(|kept| kept.connected) {
                self.line_ended(number, LineEnd::Lost);
            }
        }
    }

    /// What the log knows of a session that it keeps.
    fn survives(&self, number: usize, cut: u32) -> Option<Kept> {
        let session = &self.sessions[number];
        let kept = session.history.iter().rev().find(|kept| kept.stamp <= cut);
        let recorded = |kept: &&Kept| self.is_durable() && kept.expiry_secs > 0;
        let ended = session.ended.is_some_and(|ended| ended.stamp <= cut);
        let kept = kept.filter(recorded).filter(|_| !ended).copied();
        let late = session.told.is_some_and(|told| told > cut);
        let lasting = self.is_durable()
            && session.history.iter().any(|kept| kept.stamp > cut && kept.expiry_secs > 0);
        assert!(
            !late || kept.is_none() && !lasting,
            "session {number} was accepted, CONNACK is there, and the log does not know it"
        );
        kept
    }

    fn session_is_gone(&mut self, number: usize, at: At) {
        let session = &mut self.sessions[number];
        session.will = None;
        session.link = None;
        if session.ended.is_none() {
            session.ended = Some(at);
            self.facts.crash.sessions_void += 1;
            let client = session.client;
            if self.current[client] == Some(number) {
                self.current[client] = None;
            }
        }
    }

    fn session_comes_back(&mut self, number: usize, kept: Kept, cut: u32) {
        self.facts.crash.sessions_kept += 1;
        let at = self.now;
        let client = self.sessions[number].client;
        if let Some(ended) = self.sessions[number].ended.take() {
            let told = |other: &super::Session| {
                other.client == client && other.told.is_some_and(|told| told > cut)
            };
            assert!(
                !self.sessions.iter().any(told),
                "session {number} is there again, and its client was told that it is over"
            );
            self.facts.crash.sessions_back += 1;
            for slot in self.sessions[number].slots.clone() {
                self.slots[slot].doubts.push((ended, at));
            }
        }
        self.current[client] = Some(number);
        let session = &mut self.sessions[number];
        let was_delayed = session
            .history
            .iter()
            .any(|kept| kept.will.is_some_and(|(_, state)| matches!(state, WillState::Pending(_))));
        session.history.retain(|kept| kept.stamp <= cut);
        session.link = None;
        session.expiry_secs = kept.expiry_secs;
        session.away_since = kept.away_since;
        session.will = kept.will.map(|(will, _)| will);
        match kept.will {
            Some((will, state)) => self.will_comes_back(will, state),
            None => self.facts.crash.wills_stay_cancelled += u64::from(was_delayed),
        }
        self.incoming_crashes(number, cut);
        self.hand_shakes_crash(number, cut);
    }

    fn will_comes_back(&mut self, will: usize, state: WillState) {
        self.facts.crash.wills_pending += u64::from(matches!(state, WillState::Pending(_)));
        self.messages[will].will = Some(state);
        if !self.wills.contains(&will) {
            self.wills.push(will);
        }
    }

    /// Wills are what sessions keep: those of the others go. Answers all that are not published.
    fn void_wills(&mut self) -> Vec<usize> {
        let mut void = Vec::new();
        for (number, message) in self.messages.iter_mut().enumerate() {
            let undone = message.routed.is_empty() && !message.undone.is_empty();
            match message.will {
                Some(WillState::Armed { .. } | WillState::Pending(_)) => {}
                Some(WillState::Due(_)) if undone => {}
                Some(WillState::Due(_) | WillState::Cancelled) | None => continue,
            }
            message.will = Some(WillState::Cancelled);
            void.push(number);
        }
        void
    }

    /// The session has ended by the clock, and the broker had not come to it: it does now.
    fn will_of_the_expired(&mut self, will: usize, cut: u32) {
        let Some(session) = self.messages[will].session else { return };
        let session = &self.sessions[session];
        let kept = session.history.iter().rev().find(|kept| kept.stamp <= cut);
        let its = |kept: &&Kept| kept.will.is_some_and(|(its, _)| its == will);
        let recorded = kept.filter(its).is_some_and(|kept| kept.expiry_secs > 0);
        if session.ended.is_some_and(|ended| ended.stamp <= cut) && recorded && self.is_durable() {
            self.will_comes_back(will, WillState::Pending(0));
        }
    }

    fn messages_crash(&mut self, cut: u32, power: bool) {
        let topics = 0..self.universe.topics.len();
        let classes: Vec<Durability> = topics.map(|topic| self.class_of(topic)).collect();
        for message in &mut self.messages {
            let is_will = message.will.is_some();
            let class = classes[message.topic];
            let promised = match class {
                Durability::Fsync => true,
                Durability::Os => !power,
                Durability::Memory => false,
            };
            if message.acknowledged && promised && !is_will || message.routed.is_empty() {
                continue;
            }
            let late = |routed: &At| routed.stamp > cut || class == Durability::Memory;
            if !message.routed.iter().any(late) {
                continue;
            }
            self.facts.crash.routings_undone += 1;
            if message.acknowledged && !is_will {
                self.facts.crash.lost_of_os += u64::from(class == Durability::Os);
                self.facts.crash.lost_of_memory += u64::from(class == Durability::Memory);
            }
            let (late, kept) = message.routed.iter().partition::<Vec<At>, _>(|at| late(at));
            message.undone.extend(late);
            message.routed = kept;
            if is_will {
                self.facts.crash.wills_undone += 1;
                message.acknowledged = false;
            }
        }
        for of_topic in &mut self.retained {
            of_topic.retain(|number| !self.messages[*number].routed.is_empty());
            let cleared = of_topic.last().is_some_and(|number| self.messages[*number].clear);
            self.facts.crash.clears_kept += u64::from(cleared);
        }
    }

    /// QoS 2 messages of the client that wait for PUBREL: as they were, but for what the client was
    /// told.
    fn incoming_crashes(&mut self, number: usize, cut: u32) {
        let session = &mut self.sessions[number];
        while let Some((stamp, id, before)) = session.incoming_was.pop() {
            let promised = match before {
                Some(released) => self.messages[released].acknowledged,
                None => self.messages[session.incoming[&id]].recorded,
            };
            if stamp <= cut || promised {
                break;
            }
            match before {
                Some(message) => {
                    session.incoming.insert(id, message);
                    self.facts.crash.released_undone += 1;
                }
                None => {
                    session.incoming.remove(&id);
                    self.facts.crash.received_undone += 1;
                }
            }
        }
        session.incoming_was.clear();
        self.facts.crash.received_kept += session.incoming.len() as u64;
    }

    /// What the client received: of QoS 1 all comes again that the broker does not know to be
    /// settled; of QoS 2 the hand-shake goes on from where the broker knows it to be.
    fn hand_shakes_crash(&mut self, number: usize, cut: u32) {
        let topics = 0..self.universe.topics.len();
        let in_memory: Vec<bool> =
            topics.map(|topic| self.class_of(topic) == Durability::Memory).collect();
        let session = &mut self.sessions[number];
        let late = |at: Option<At>| at.is_none_or(|at| at.stamp > cut);
        for once in session.once.drain(..).filter(|once| late(once.settled)) {
            self.facts.crash.again += 1;
            self.facts.crash.answers_undone += u64::from(once.settled.is_some());
            if let Some((slot, message)) = once.by
                && let Some(got) = self.slots[slot].got.get_mut(&message)
            {
                got.again += 1;
            }
        }
        let open = |out: &Out| out.qos == QoS::ExactlyOnce && late(out.settled);
        for (id, out) in session.replaced.drain(..) {
            if open(&out) {
                session.out.insert(id, out);
            }
        }
        session.out.retain(|_, out| open(out));
        for out in session.out.values_mut() {
            if out.settled.take().is_some() {
                self.facts.crash.answers_undone += 1;
                out.stage = match out.recorded {
                    Some(_) => Stage::Released,
                    None => Stage::Received,
                };
            }
            // Of what is in memory alone the broker knows the packet identifier, and no more.
            if in_memory[out.topic] {
                out.stage = out.stage.max(Stage::Recorded);
                continue;
            }
            // A client that has PUBREL has forgotten the message: it must not see it again.
            if late(out.recorded) && out.stage == Stage::Recorded {
                self.facts.crash.answers_undone += 1;
                out.recorded = None;
                out.stage = Stage::Received;
            }
        }
    }

    fn slot_crashes(&mut self, number: usize, cut: u32, at: At) {
        let slot = &mut self.slots[number];
        slot.latest.clear();
        for made in slot.made.iter_mut().filter(|made| made.lost.is_none()) {
            if made.from.stamp <= cut {
                made.known.get_or_insert(at);
            } else if made.known.is_none() {
                made.lost = Some(at);
            }
        }
        if slot.made.iter().all(|made| made.lost.is_some()) {
            self.facts.crash.subscribed_undone += u64::from(slot.gone.is_none());
            slot.unsubscribed.get_or_insert(at);
            slot.gone.get_or_insert(at);
        }
        let Some(unsubscribed) = slot.unsubscribed else { return };
        if unsubscribed.stamp <= cut {
            self.facts.crash.unsubscribed_kept += 1;
            slot.gone.get_or_insert(at);
        } else if slot.gone.is_none() {
            self.facts.crash.unsubscribed_undone += 1;
            slot.doubts.push((unsubscribed, at));
            slot.unsubscribed = None;
        }
    }
}
