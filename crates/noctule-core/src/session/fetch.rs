//! Messages that lie in the log alone: left there while nobody takes them, read back in order for a
//! client that does.

use super::Session;
use crate::broker::{Broker, Turn};
use crate::identity::{Place, SessionNumber};
use crate::message::Message;
use crate::output::{Event, Fetch};
use crate::record::{Body, Stored};
use crate::verdict::Verdict;
use noctule_proto::PacketId;
use noctule_proto::delivery::Entry;
use std::sync::Arc;

/// Messages of a connected client's queue that stay in memory: it will take them soon.
const NEWEST_KEPT: usize = 64;

/// Messages in flight that are read back at once.
const RESEND_FETCH_MAX: usize = 64;

impl Broker {
    /// Something was put in the queue of a session: what is in the log need not stay in memory.
    pub(crate) fn relieve(&mut self, slot: u32) {
        let session = self.sessions.at_mut(slot);
        match session.link {
            Some(_) if session.queue.len() > NEWEST_KEPT => {
                session.queue.leave_to_log(NEWEST_KEPT, &mut self.spares);
            }
            Some(_) => {}
            None => {
                session.queue.leave_to_log(0, &mut self.spares);
                // What came in this turn is in the log at its end.
                if session.queue.list() {
                    self.relieved_next.push(slot);
                }
            }
        }
    }

    /// What came in the turn before is in the log by now.
    pub(crate) fn relieve_listed(&mut self) {
        let mut due = std::mem::take(&mut self.relieved_now);
        let placed = self.pending.placed();
        for slot in due.drain(..) {
            let Some(session) = self.sessions.get_mut(slot) else { continue };
            session.queue.unlist();
            session.queue.place(&mut self.pending, placed);
            if session.link.is_none() {
                session.queue.leave_to_log(0, &mut self.spares);
                // What came since then is in the log a turn later.
                if session.is_recorded() && session.queue.awaits_log() && session.queue.list() {
                    self.relieved_next.push(slot);
                }
            }
        }
        self.relieved_now = std::mem::replace(&mut self.relieved_next, due);
    }

    /// A client is away: neither what it was sent nor what it was to be sent soon is needed.
    pub(crate) fn leave_to_log(&mut self, slot: u32) {
        let session = self.sessions.at_mut(slot);
        if session.work.fetching {
            session.work.fetching = false;
        }
        session.queue.leave_front_to_log();
        let sent: Vec<PacketId> = session.work.sender.iter().map(|(id, _)| id).collect();
        for id in sent {
            if let Some(Some(out)) = session.work.sender.message_mut(id)
                && let Some(place) = out.message.place()
                && let Ok(cost) = u32::try_from(out.message.cost())
            {
                out.message = Body::Stored(Stored { place, cost });
            }
        }
        self.relieve(slot);
    }

    /// Asks for what the client takes next, if the log has it.
    pub(crate) fn fetch(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let session = self.sessions.at_mut(slot);
        if session.work.fetching || session.link.is_none() {
            return;
        }
        let places = match session.wanted_again() {
            again if !again.is_empty() => again,
            _ if !session.work.resend.is_empty() => return,
            _ => session.queue.wanted(),
        };
        if !places.is_empty() {
            session.work.fetching = true;
            turn.out.fetches.push(Fetch { session: session.number, places });
        }
    }

    /// The log has answered.
    pub(crate) fn fetched(
        &mut self,
        turn: &mut Turn<'_>,
        number: SessionNumber,
        messages: Vec<(Place, Option<Arc<Message>>)>,
    ) {
        let Some(slot) = self.sessions.slot_of(number) else { return };
        let session = self.sessions.at_mut(slot);
        // Answers to a connection that is over are of no use.
        if !session.work.fetching {
            return;
        }
        session.work.fetching = false;
        if session.link.is_none() {
            return self.stale_read(turn, number, messages);
        }
        for (place, message) in messages {
            let session = self.sessions.at_mut(slot);
            match message {
                Some(message) => {
                    let before = session.queue.bytes();
                    if !session.again_fetched(place, &message) {
                        session.queue.fetched(place, message);
                        let after = session.queue.bytes();
                        let now = &mut self.counters.queued_bytes_now;
                        *now = *now + after - before;
                    }
                }
                None => self.unreadable(turn, slot, place),
            }
        }
        self.pump(turn, slot);
    }

    /// A message that waits cannot be read: it is skipped. No record says so, so that it is still
    /// owed by whoever mends the log.
    fn unreadable(&mut self, turn: &mut Turn<'_>, slot: u32, place: Place) {
        let session = self.sessions.at_mut(slot);
        if let Some(id) = session.sent_from(place) {
            session.work.sender.remove(id);
            session.forget_resend(id);
            self.counters.inflight_now -= 1;
        } else if let Some(out) = session.queue.unreadable(place) {
            self.counters.queued_now -= 1;
            self.counters.queued_bytes_now -= out.message.cost();
        } else {
            return;
        }
        self.counters.verdict(Verdict::Damaged);
        let client_id = self.sessions.at(slot).client_id.clone();
        turn.out.events.push(Event::Damaged { client_id, place });
    }
}

impl Session {
    /// Where the messages lie that are to be sent again next.
    fn wanted_again(&self) -> Vec<Place> {
        let next = self.work.resend.iter().take(RESEND_FETCH_MAX);
        next.filter_map(|again| match self.work.sender.entry(again.id) {
            Some(Entry::AtLeastOnce(Some(out)) | Entry::ExactlyOnce(Some(out))) => {
                match &out.message {
                    Body::Stored(stored) => Some(stored.place),
                    Body::Here(_) => None,
                }
            }
            Some(_) | None => None,
        })
        .collect()
    }

    /// The packet identifier of a message in flight that is in the log alone.
    fn sent_from(&self, place: Place) -> Option<PacketId> {
        self.work.resend.iter().map(|again| again.id).find(|id| match self.work.sender.entry(*id) {
            Some(Entry::AtLeastOnce(Some(out)) | Entry::ExactlyOnce(Some(out))) => {
                matches!(&out.message, Body::Stored(stored) if stored.place == place)
            }
            Some(_) | None => false,
        })
    }

    /// A message in flight was read back. `false`: none is wanted from there.
    fn again_fetched(&mut self, place: Place, message: &Arc<Message>) -> bool {
        let Some(id) = self.sent_from(place) else { return false };
        if let Some(Some(out)) = self.work.sender.message_mut(id) {
            out.message = Body::Here(Arc::clone(message));
        }
        true
    }
}
