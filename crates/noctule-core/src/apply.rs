//! Replay: records of an earlier run become state again, by the same structures the live path
//! changes. What a record concerns may be gone by then (its session ended later in the log, or an
//! acknowledgement was logged before its message): such records do nothing or are remembered.

use crate::broker::Broker;
use crate::identity::{GroupNumber, Place, SessionNumber, Tenant, Time};
use crate::index::Receiver;
use crate::message::Message;
use crate::record::{Body, Manner, Receipt, Record, StoredWill, Waiting};
use crate::session::{HeldSubscription, Outgoing, PendingWill, Session};
use noctule_proto::PacketId;
use noctule_proto::delivery::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What only replay needs; dropped by the first input.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Messages settled before the record of the message was seen.
    settled: BTreeMap<(Receiver, Place, Option<Manner>), u32>,
    /// Packet ids given to messages before the record of the message was seen: the shard that sent
    /// it may have been faster to the log than the one it arrived at.
    sent: BTreeMap<(SessionNumber, Place, Manner), VecDeque<PacketId>>,
    /// Numbers that share groups had in earlier runs; each run gives them others, because a number
    /// names the group's home.
    pub(crate) numbers: BTreeMap<GroupNumber, GroupKey>,
    /// What waits in the share groups at home here.
    pub(crate) groups: BTreeMap<GroupKey, VecDeque<Arc<Message>>>,
}

/// Namespace, share name and filter.
pub(crate) type GroupKey = (Tenant, Box<str>, Box<str>);

impl Broker {
    /// Replays one record, before anything else goes in. Records of sessions and topics at home on
    /// other shards are theirs to apply: each shard of a restarted node is given all records.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Session { .. } => self.apply_session(record),
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
            Record::Group { group, tenant, name, filter } => {
                self.apply_group(*group, (*tenant, name.clone(), filter.clone()));
            }
            Record::GroupEnded(group) => self.apply_group_ended(*group),
            Record::Published { message, receivers, retained } => {
                self.apply_published(message, receivers, *retained);
            }
            Record::Waiting { receiver, messages } => {
                for waiting in messages {
                    self.apply_waiting(*receiver, waiting);
                }
            }
            Record::Sent { session, message, manner, id } => {
                if let Some(place) = message.place() {
                    self.apply_sent((*session, place, *manner), *id);
                }
            }
            Record::Released { session, id } => self.apply_to(*session, |found| {
                found.work.sender.place(*id, Entry::Released);
            }),
            Record::Completed { session, id } => self.apply_to(*session, |found| {
                found.work.sender.remove(*id);
            }),
            Record::Settled { receiver, message, manner } => {
                if let Some(place) = message.place() {
                    self.apply_settled((*receiver, place, *manner));
                }
            }
            Record::Received { session, id, message } => {
                self.apply_received(*session, *id, message);
            }
            Record::ReceivedReleased { session, id } => self.apply_to(*session, |found| {
                if let Some(message) = found.work.receiver.release(*id) {
                    found.work.received_bytes -= message.cost() as u64;
                }
            }),
            Record::Will { session, will } => self.apply_will(*session, will.as_deref()),
            Record::Cleared { tenant, topic, message } => {
                self.message_taken(*message);
                if self.homes.of_topic(*tenant, topic) == self.me {
                    self.retention.store.was_cleared(*tenant, topic, *message);
                }
            }
            Record::Given { session, group, message } => {
                self.sessions.number_taken(*session, self.homes.shards);
                self.groups.number_taken(*group);
                self.message_taken(*message);
            }
        }
    }

    /// Ends the replay: sessions that were connected when the log ended are away since then,
    /// expiries and delayed wills are armed, counts are made, subscriptions emitted for the index.
    /// `alive_at` is the last sign of life of the earlier run. [U5-3.1.3-3].
    pub fn replayed(
        &mut self,
        (now, alive_at): (Time, Time),
        index: &crate::index::Index,
        out: &mut crate::output::Outbox,
    ) {
        let turn = &mut crate::broker::Turn { now, index, out };
        let replay = std::mem::take(&mut self.replay);
        self.restore_groups(turn, replay.groups);
        self.count_retained(turn);
        let slots: Vec<u32> = self.sessions.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            let session = self.sessions.at_mut(slot);
            let connected = session.since == Time::default();
            if connected {
                session.since = alive_at.min(now);
            }
            if let Some(pending) = &mut session.will {
                let delay = pending.will.delay_secs.min(session.expiry_secs);
                pending.due.get_or_insert(session.since.plus_secs(u64::from(delay)));
            }
            self.counters.wills_bytes_now += session.will.as_ref().map_or(0, |it| it.will.cost());
            self.counters.queued_now += session.queue.len() as u64;
            self.counters.queued_bytes_now += session.queue.bytes();
            self.counters.inflight_now += session.work.sender.open() as u64;
            session.rest();
            if connected {
                self.note_session(turn, slot, Some(alive_at.min(now)));
            }
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

    fn apply_session(&mut self, record: &Record) {
        let Record::Session { session, tenant, client_id, expiry_secs, durability, away_since } =
            record
        else {
            return;
        };
        self.sessions.number_taken(*session, self.homes.shards);
        if self.homes.of_client(*tenant, client_id) != self.me {
            return;
        }
        let slot = match self.sessions.slot_of(*session) {
            Some(slot) => slot,
            None => {
                self.counters.sessions_now += 1;
                let bounds = self.limits.queue_choice(client_id);
                self.sessions.insert(Session::new(*session, *tenant, client_id, bounds))
            }
        };
        let found = self.sessions.at_mut(slot);
        found.expiry_secs = *expiry_secs;
        found.durability = *durability;
        found.since = away_since.unwrap_or_default();
    }

    fn apply_ended(&mut self, number: SessionNumber) {
        if let Some(slot) = self.sessions.slot_of(number) {
            self.sessions.remove(slot);
            self.counters.sessions_now -= 1;
        }
    }

    fn apply_group(&mut self, group: GroupNumber, key: GroupKey) {
        self.groups.number_taken(group);
        if self.homes.of_group(key.0, &key.1, &key.2) == self.me {
            self.replay.groups.entry(key.clone()).or_default();
            self.replay.numbers.insert(group, key);
        }
    }

    fn apply_group_ended(&mut self, group: GroupNumber) {
        if let Some(key) = self.replay.numbers.remove(&group) {
            self.replay.groups.remove(&key);
            self.replay.numbers.retain(|_, named| *named != key);
        }
    }

    fn apply_published(&mut self, message: &Body, receivers: &[Receipt], retained: bool) {
        if let Body::Here(message) = message {
            self.message_taken(message.id);
            if retained && self.homes.of_topic(message.tenant, message.topic()) == self.me {
                // Versions of an index count within one run.
                let mut kept = Arc::clone(message);
                if kept.routed_at != 0 {
                    Arc::make_mut(&mut kept).routed_at = 0;
                }
                self.retention.store.set(kept);
            }
        }
        for receipt in receivers {
            let waiting = Waiting {
                message: message.clone(),
                qos: receipt.qos,
                retain: receipt.retain,
                subscription_id: receipt.subscription_id,
            };
            self.apply_waiting(receipt.receiver, &waiting);
        }
    }

    /// A message waits for a receiver.
    fn apply_waiting(&mut self, receiver: Receiver, waiting: &Waiting) {
        let Some(place) = waiting.message.place() else { return };
        if let Receiver::Group(group) = receiver {
            if !self.was_settled((receiver, place, None))
                && let Body::Here(message) = &waiting.message
                && let Some(queue) = self.replayed_group(group)
            {
                queue.push_back(Arc::clone(message));
            }
            return;
        }
        let Receiver::Session(number) = receiver else { return };
        let Some(slot) = self.sessions.slot_of(number) else { return };
        let manner = waiting.manner();
        let sent = self.replay.sent.get_mut(&(number, place, manner));
        let sent = sent.and_then(VecDeque::pop_front);
        if sent.is_none() && self.was_settled((receiver, place, Some(manner))) {
            return;
        }
        let outgoing = Outgoing {
            message: waiting.message.clone(),
            subscription_id: waiting.subscription_id,
            qos: waiting.qos,
            retain: waiting.retain,
            group: None,
        };
        let found = self.sessions.at_mut(slot);
        match sent {
            Some(id) => drop(found.work.sender.place(id, Entry::ExactlyOnce(Some(outgoing)))),
            None => found.queue.restore(&outgoing),
        }
    }

    /// What waits in a share group that is at home here.
    fn replayed_group(&mut self, group: GroupNumber) -> Option<&mut VecDeque<Arc<Message>>> {
        let key = self.replay.numbers.get(&group)?;
        self.replay.groups.get_mut(key)
    }

    /// Whether a copy was settled before it was seen.
    fn was_settled(&mut self, copy: (Receiver, Place, Option<Manner>)) -> bool {
        if self.replay.settled.is_empty() {
            return false;
        }
        let Some(settled) = self.replay.settled.get_mut(&copy) else { return false };
        *settled -= 1;
        if *settled == 0 {
            self.replay.settled.remove(&copy);
        }
        true
    }

    fn apply_sent(&mut self, copy: (SessionNumber, Place, Manner), id: PacketId) {
        let (number, place, manner) = copy;
        let Some(slot) = self.sessions.slot_of(number) else { return };
        let found = self.sessions.at_mut(slot);
        match found.queue.take(place, manner) {
            Some(out) => drop(found.work.sender.place(id, Entry::ExactlyOnce(Some(out)))),
            None => self.replay.sent.entry(copy).or_default().push_back(id),
        }
    }

    fn apply_settled(&mut self, copy: (Receiver, Place, Option<Manner>)) {
        let (receiver, place, manner) = copy;
        let taken = match receiver {
            Receiver::Group(group) => {
                let Some(queue) = self.replayed_group(group) else { return };
                let at = queue.iter().position(|message| message.place() == Some(place));
                at.and_then(|at| queue.remove(at)).is_some()
            }
            Receiver::Session(number) => {
                let Some(slot) = self.sessions.slot_of(number) else { return };
                // What is recorded as sent is settled by its packet identifier.
                let queue = &mut self.sessions.at_mut(slot).queue;
                manner.and_then(|manner| queue.take(place, manner)).is_some()
            }
        };
        if !taken {
            *self.replay.settled.entry(copy).or_default() += 1;
        }
    }

    fn apply_received(&mut self, number: SessionNumber, id: PacketId, message: &Body) {
        let Body::Here(message) = message else { return };
        self.message_taken(message.id);
        self.apply_to(number, |found| {
            found.work.received_bytes += message.cost() as u64;
            found.work.receiver.publish(id, Arc::clone(message));
        });
    }

    fn apply_will(&mut self, number: SessionNumber, will: Option<&StoredWill>) {
        self.apply_to(number, |found| {
            found.will = will.map(|will| Box::new(PendingWill { will: will.clone(), due: None }));
        });
    }
}
