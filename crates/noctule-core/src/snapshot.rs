//! The state that survives a restart, as records: what a log of any length comes to.

use crate::broker::Broker;
use crate::index::Receiver;
use crate::record::{Body, Receipt, Receivers, Record, Stored, Waiting};
use crate::session::{Outgoing, Session};
use noctule_proto::delivery::Entry;

/// Messages that one record tells of.
const WAITING_MAX: usize = 512;

impl Broker {
    /// Tells the state of a broker that has replayed records and done nothing else. Replayed in
    /// their place, these records come to the same state.
    pub fn snapshot(&self, each: &mut dyn FnMut(Record)) {
        each(Record::Given {
            session: self.sessions.given(self.homes.shards),
            group: self.groups.given(),
            message: self.last_message(),
        });
        for message in self.retention.store.iter() {
            let message = Body::Here(message.clone());
            each(Record::Published { message, receivers: Vec::new().into(), retained: true });
        }
        for (tenant, topic, message) in self.retention.store.cleared() {
            each(Record::Cleared { tenant, topic: topic.into(), message });
        }
        for (number, key) in &self.replay.numbers {
            let (tenant, name, filter) = key.clone();
            each(Record::Group { group: *number, tenant, name, filter });
        }
        for (key, queue) in &self.replay.groups {
            let named = self.replay.numbers.iter().rev().find(|(_, named)| *named == key);
            let Some((number, _)) = named else { continue };
            let waiting = queue.iter().map(|message| Waiting {
                message: Body::Here(message.clone()),
                qos: message.qos,
                retain: message.retain,
                subscription_id: 0,
            });
            tell_waiting(Receiver::Group(*number), waiting, each);
        }
        for (_, session) in self.sessions.iter() {
            session.snapshot(each);
        }
    }

    /// Every place of the log that a message which is owed to somebody lies at, with what it
    /// costs, once for each who is owed it.
    pub fn places(&self, each: &mut dyn FnMut(Stored)) {
        let retained = self.retention.store.iter();
        let grouped = self.replay.groups.values().flatten();
        retained.chain(grouped).filter_map(|message| Stored::of(message)).for_each(&mut *each);
        for (_, session) in self.sessions.iter() {
            session.queue.places().for_each(&mut *each);
            for (_, entry) in session.work.sender.iter() {
                if let Entry::AtLeastOnce(Some(out)) | Entry::ExactlyOnce(Some(out)) = entry {
                    out.message.stored().into_iter().for_each(&mut *each);
                }
            }
            let received =
                session.work.receiver.iter().filter_map(|(_, message)| Stored::of(message));
            received.for_each(&mut *each);
        }
    }
}

impl Session {
    fn snapshot(&self, each: &mut dyn FnMut(Record)) {
        let session = self.number;
        each(Record::Session {
            session,
            tenant: self.tenant,
            client_id: self.client_id.clone(),
            expiry_secs: self.expiry_secs,
            durability: self.durability,
            away_since: (self.since != crate::Time::default()).then_some(self.since),
        });
        for held in self.subscriptions.iter() {
            each(Record::Subscribed {
                session,
                filter: held.filter.clone(),
                options: held.options,
                subscription_id: held.id,
            });
        }
        if let Some(pending) = &self.will {
            each(Record::Will { session, will: Some(Box::new(pending.will.clone())) });
        }
        for (id, message) in self.work.receiver.iter() {
            let message = Body::Here(message.clone());
            each(Record::Received { session, id, message });
        }
        for (id, entry) in self.work.sender.iter() {
            match entry {
                Entry::ExactlyOnce(Some(out)) => {
                    let receivers = Receivers::One(Receipt {
                        receiver: Receiver::Session(session),
                        qos: out.qos,
                        retain: out.retain,
                        subscription_id: out.subscription_id,
                    });
                    let message = out.message.clone();
                    each(Record::Published { message, receivers, retained: false });
                    let (message, manner) = (out.message.clone(), out.manner());
                    each(Record::Sent { session, message, manner, id });
                }
                Entry::Released => each(Record::Released { session, id }),
                Entry::ExactlyOnce(None) | Entry::AtLeastOnce(_) | Entry::Reserved => {}
            }
        }
        // Which packet identifier a message of QoS 1 had is not recorded.
        let sent = self.work.sender.iter().filter_map(|(_, entry)| match entry {
            Entry::AtLeastOnce(out) => out.clone(),
            Entry::ExactlyOnce(_) | Entry::Released | Entry::Reserved => None,
        });
        let waiting = sent.chain(self.queue.iter()).map(|out: Outgoing| Waiting {
            message: out.message,
            qos: out.qos,
            retain: out.retain,
            subscription_id: out.subscription_id,
        });
        tell_waiting(Receiver::Session(session), waiting, each);
    }
}

fn tell_waiting(
    receiver: Receiver,
    waiting: impl Iterator<Item = Waiting>,
    each: &mut dyn FnMut(Record),
) {
    let mut waiting = waiting.peekable();
    while waiting.peek().is_some() {
        let messages = waiting.by_ref().take(WAITING_MAX).collect();
        each(Record::Waiting { receiver, messages });
    }
}
