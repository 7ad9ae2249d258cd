//! Replay: records of an earlier run become state again, by the same structures the live path
//! changes. What a record concerns may be gone by then (its session ended later in the log, or an
//! acknowledgement was logged before its message): such records do nothing or are remembered.

use crate::broker::Broker;
use crate::identity::{MessageId, SessionNumber, Time};
use crate::message::Message;
use crate::record::{Receipt, Record, StoredWill};
use crate::session::{HeldSubscription, Outgoing, PendingWill, Session};
use noctule_proto::PacketId;
use noctule_proto::delivery::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What only replay needs; dropped by the first input.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Messages settled before the record of the message was seen.
    /// A session may get several copies, one for each matching subscription.
    settled: BTreeMap<(SessionNumber, MessageId), u32>,
    /// Packet ids given to messages before the record of the message was seen: the shard that sent
    /// it may have been faster to the log than the one it arrived at.
    sent: BTreeMap<(SessionNumber, MessageId), VecDeque<PacketId>>,
}

impl Broker {
    /// Replays one record, before anything else goes in. Records of sessions and topics at home on
    /// other shards are theirs to apply: each shard of a restarted node is given all records.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Session { session, tenant, client_id, expiry_secs, away_since } => {
                self.sessions.number_taken(*session, self.homes.shards);
                if self.homes.of_client(*tenant, client_id) != self.me {
                    return;
                }
                let slot = match self.sessions.slot_of(*session) {
                    Some(slot) => slot,
                    None => {
                        self.counters.sessions_now += 1;
                        self.sessions.insert(Session::new(*session, *tenant, client_id))
                    }
                };
                let found = self.sessions.at_mut(slot);
                found.expiry_secs = *expiry_secs;
                found.since = away_since.unwrap_or_default();
            }
            Record::SessionEnded(session) => self.apply_ended(*session),
            Record::Subscribed { session, filter, options, subscription_id } => {
                let held = HeldSubscription {
                    filter: filter.clone(),
                    options: *options,
                    id: *subscription_id,
                    group: None,
                };
                let seed = self.homes.seed.clone();
                self.apply_to(*session, |found| {
                    found.subscriptions.insert(held, &seed);
                });
            }
            Record::Unsubscribed { session, filter } => self.apply_to(*session, |found| {
                found.subscriptions.remove(filter);
            }),
            Record::Published { message, receivers, retained } => {
                self.apply_published(message, receivers, *retained);
            }
            Record::Sent { session, message, id } => self.apply_sent(*session, *message, *id),
            Record::Released { session, id } => self.apply_to(*session, |found| {
                found.sender.place(*id, Entry::Released);
            }),
            Record::Completed { session, id } => self.apply_to(*session, |found| {
                found.sender.remove(*id);
            }),
            Record::Settled { session, message } => self.apply_settled(*session, *message),
            Record::Received { session, id, message } => self.apply_to(*session, |found| {
                found.received_bytes += message.cost() as u64;
                found.receiver.publish(*id, Arc::clone(message));
            }),
            Record::ReceivedReleased { session, id } => self.apply_to(*session, |found| {
                if let Some(message) = found.receiver.release(*id) {
                    found.received_bytes -= message.cost() as u64;
                }
            }),
            Record::Will { session, will } => self.apply_will(*session, will.as_deref()),
        }
    }

    /// Ends the replay: sessions that were connected when the log ended are away since `now`,
    /// expiries and delayed wills are armed, counts are made, subscriptions emitted for the index.
    /// [U5-3.1.3-3].
    pub fn replayed(
        &mut self,
        now: Time,
        index: &crate::index::Index,
        out: &mut crate::output::Outbox,
    ) {
        self.replay = Replay::default();
        let turn = &mut crate::broker::Turn { now, index, out };
        let slots: Vec<u32> = self.sessions.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            let session = self.sessions.at_mut(slot);
            if session.since == Time::default() {
                session.since = now;
            }
            if let Some(pending) = &mut session.will {
                let delay = pending.will.delay_secs.min(session.expiry_secs);
                pending.due.get_or_insert(session.since.plus_secs(u64::from(delay)));
            }
            self.counters.queued_now += session.queue.len() as u64;
            self.counters.queued_bytes_now += session.queue.bytes();
            self.counters.inflight_now += session.sender.open() as u64;
            self.resubscribe(turn, slot);
            self.arm_session(now, slot);
        }
        self.hear_myself(turn);
    }

    fn apply_to(&mut self, number: SessionNumber, change: impl FnOnce(&mut Session)) {
        if let Some(slot) = self.sessions.slot_of(number) {
            change(self.sessions.at_mut(slot));
        }
    }

    fn apply_ended(&mut self, number: SessionNumber) {
        if let Some(slot) = self.sessions.slot_of(number) {
            self.sessions.remove(slot);
            self.counters.sessions_now -= 1;
        }
    }

    fn apply_published(&mut self, message: &Arc<Message>, receivers: &[Receipt], retained: bool) {
        self.message_taken(message.id);
        if retained && self.homes.of_topic(message.tenant, message.topic()) == self.me {
            // Versions of an index count within one run.
            let mut kept = Arc::clone(message);
            Arc::make_mut(&mut kept).routed_at = 0;
            self.retention.store.set(kept);
        }
        for receipt in receivers {
            let Some(slot) = self.sessions.slot_of(receipt.session) else { continue };
            let copy = (receipt.session, message.id);
            if let Some(settled) = self.replay.settled.get_mut(&copy)
                && *settled > 0
            {
                *settled -= 1;
                continue;
            }
            let outgoing = Outgoing {
                message: Arc::clone(message),
                subscription_id: receipt.subscription_id,
                qos: receipt.qos,
                retain: receipt.retain,
                group: None,
            };
            let found = self.sessions.at_mut(slot);
            match self.replay.sent.get_mut(&copy).and_then(VecDeque::pop_front) {
                Some(id) => {
                    found.sender.place(id, Entry::ExactlyOnce(outgoing));
                }
                None => drop(found.queue.push(outgoing, &self.limits)),
            }
        }
    }

    fn apply_sent(&mut self, number: SessionNumber, message: MessageId, id: PacketId) {
        let Some(slot) = self.sessions.slot_of(number) else { return };
        let found = self.sessions.at_mut(slot);
        match found.queue.take(message) {
            Some(out) => {
                found.sender.place(id, Entry::ExactlyOnce(out));
            }
            None => {
                self.replay.sent.entry((number, message)).or_default().push_back(id);
            }
        }
    }

    fn apply_settled(&mut self, number: SessionNumber, message: MessageId) {
        let Some(slot) = self.sessions.slot_of(number) else { return };
        let found = self.sessions.at_mut(slot);
        let open = found.sender.iter().find_map(|(id, entry)| match entry {
            Entry::AtLeastOnce(out) | Entry::ExactlyOnce(out) if out.message.id == message => {
                Some(id)
            }
            _ => None,
        });
        if let Some(id) = open {
            found.sender.remove(id);
        } else if found.queue.take(message).is_none() {
            *self.replay.settled.entry((number, message)).or_default() += 1;
        }
    }

    fn apply_will(&mut self, number: SessionNumber, will: Option<&StoredWill>) {
        self.apply_to(number, |found| {
            found.will = will.map(|will| Box::new(PendingWill { will: will.clone(), due: None }));
        });
    }
}
