//! Room in a full queue: what has expired, or has waited for too long, goes before anything else.

use super::queue::Next;
use crate::broker::{Broker, Turn};
use crate::identity::{Place, SessionNumber};
use crate::message::Message;
use crate::output::Fetch;
use crate::record::Body;
use crate::verdict::Verdict;
use std::sync::Arc;

impl Broker {
    /// Lets go what waits first in a queue without room for a message that costs so much, as far as
    /// it will not be sent any more. What is in the log alone is read first: until then the queue
    /// stays full.
    pub(super) fn drop_stale(&mut self, turn: &mut Turn<'_>, slot: u32, cost: u64) {
        loop {
            let session = self.sessions.at(slot);
            if !session.queue.is_full(cost, self.limits.queue_of(session.queue_choice)) {
                return;
            }
            let message = match session.queue.front() {
                Some(Next::Here(front)) => front.message.clone(),
                Some(Next::Away) => return self.read_for_stale(turn, slot),
                None => return,
            };
            let Body::Here(message) = message else { return };
            let Some(verdict) = self.too_late(turn, slot, &message) else { return };
            self.drop_first(turn, slot, verdict);
        }
    }

    /// Asks the log for what waits first for a session that is away, once a second at most.
    fn read_for_stale(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let session = self.sessions.at_mut(slot);
        // A connected client has it read anyway.
        let away = session.link.is_none() && !session.work.fetching;
        if away && session.queue.looks(turn.now) {
            self.read_on(turn, slot);
        }
    }

    fn read_on(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let session = self.sessions.at_mut(slot);
        let places = session.queue.wanted();
        if places.is_empty() {
            return session.rest();
        }
        session.work.fetching = true;
        turn.out.fetches.push(Fetch { session: session.number, places });
    }

    /// The log has answered for a session that is away. If all of that goes, there may be more.
    pub(super) fn stale_read(
        &mut self,
        turn: &mut Turn<'_>,
        number: SessionNumber,
        messages: Vec<(Place, Option<Arc<Message>>)>,
    ) {
        for (place, message) in messages {
            let Some(slot) = self.sessions.slot_of(number) else { return };
            let verdict = message.and_then(|message| self.too_late(turn, slot, &message));
            let session = self.sessions.at_mut(slot);
            match verdict.filter(|_| session.queue.begins_at(place)) {
                Some(verdict) => self.drop_first(turn, slot, verdict),
                None => return session.rest(),
            }
        }
        if let Some(slot) = self.sessions.slot_of(number) {
            self.read_on(turn, slot);
        }
    }

    fn drop_first(&mut self, turn: &mut Turn<'_>, slot: u32, verdict: Verdict) {
        if let Some(out) = self.sessions.at_mut(slot).queue.pop() {
            self.counters.queued_now -= 1;
            self.counters.queued_bytes_now -= out.message.cost();
            self.counters.verdict(verdict);
            self.settled(turn, slot, &out);
        }
    }
}
