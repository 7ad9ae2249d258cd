//! What a log that is not whole comes to: a broker that has replayed what is left of it.

use crate::format::{Context, Malformed, Position, Undecoded, decode};
use crate::log::Log;
use noctule_core::identity::{MessageId, Place, Tenant};
use noctule_core::index::Receiver;
use noctule_core::message::{Kept, Message};
use noctule_core::record::Record;
use noctule_core::{Broker, Homes, Limits, SessionNumber, ShardId};
use noctule_proto::QoS;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::sync::Arc;

/// Replays what is left.
pub(super) struct Replay {
    pub(super) broker: Broker,
    /// Places at which messages are lost, as far as the replay met them.
    pub(super) unread: BTreeSet<Place>,
    /// Retained messages that were lost with their topics.
    pub(super) retained_lost: u64,
    /// Messages to sessions of which no record is left, and how many.
    pub(super) unknown: BTreeMap<SessionNumber, u64>,
    /// Clients' sessions: of two with one name the earlier is over, whatever became of the record.
    sessions: HashMap<(Tenant, Box<str>), SessionNumber>,
    known: HashMap<SessionNumber, (Tenant, Box<str>)>,
    ended: BTreeSet<SessionNumber>,
    message_id_max: MessageId,
}

impl Replay {
    pub(super) fn new() -> Replay {
        Replay {
            broker: Broker::new(ShardId(0), Homes::new(1, 0), Limits::default()),
            unread: BTreeSet::new(),
            retained_lost: 0,
            unknown: BTreeMap::new(),
            sessions: HashMap::new(),
            known: HashMap::new(),
            ended: BTreeSet::new(),
            message_id_max: MessageId::default(),
        }
    }

    /// Replays a frame. Blank messages lie at the places that are given.
    pub(super) fn frame(
        &mut self,
        log: &Log,
        (frame, at): (&[u8], Position),
        blanks: &[Position],
    ) -> Result<(), Malformed> {
        self.unread.extend(blanks.iter().filter_map(|at| at.place()));
        let mut unread = BTreeSet::new();
        let mut records = Vec::new();
        let mut bodies = |place| {
            Ok(log.read_anywhere(place).0.map_or_else(
                || {
                    unread.insert(place);
                    blank(place)
                },
                |(_, message)| message,
            ))
        };
        let mut each = |record: &Record| records.push(record.clone());
        let mut context = Context::new(&mut bodies, &mut each);
        let decoded = decode(frame, at, &mut context);
        self.message_id_max = self.message_id_max.max(context.message_id_max);
        drop(context);
        self.unread.extend(unread);
        records.into_iter().for_each(|record| self.record(record));
        match decoded {
            Ok(()) => Ok(()),
            Err(Undecoded::Malformed(error)) => Err(error),
            Err(Undecoded::Body(_)) => unreachable!("what cannot be read is blank"),
        }
    }

    /// All was replayed.
    pub(super) fn end(&mut self) {
        self.broker.message_taken(self.message_id_max);
        let (known, ended) = (&self.known, &self.ended);
        let lost = |number: &SessionNumber| !known.contains_key(number) && !ended.contains(number);
        self.unknown.retain(|number, count| lost(number) && *count > 0);
    }

    fn record(&mut self, mut record: Record) {
        match &mut record {
            Record::Session { session, tenant, client_id, .. } => {
                let client = (*tenant, client_id.clone());
                let before = self.sessions.insert(client.clone(), *session);
                if let Some(before) = before.filter(|before| before != session) {
                    self.ended(before);
                    self.broker.apply(&Record::SessionEnded(before));
                }
                self.known.insert(*session, client);
            }
            Record::SessionEnded(session) => self.ended(*session),
            Record::Published { message, receivers, retained } => {
                let lost = message.place().is_some_and(|place| self.unread.contains(&place));
                if lost && *retained {
                    // Nobody knows its topic.
                    self.retained_lost += 1;
                    *retained = false;
                }
                for receipt in &*receivers {
                    self.owed(receipt.receiver, 1);
                }
            }
            Record::Waiting { receiver, messages } => self.owed(*receiver, messages.len() as u64),
            Record::Settled { receiver: Receiver::Session(session), .. } => {
                if let Some(count) = self.unknown.get_mut(session) {
                    *count = count.saturating_sub(1);
                }
            }
            Record::Settled { receiver: Receiver::Group(_), .. }
            | Record::Subscribed { .. }
            | Record::Unsubscribed { .. }
            | Record::Group { .. }
            | Record::GroupEnded(_)
            | Record::Sent { .. }
            | Record::Released { .. }
            | Record::Completed { .. }
            | Record::Received { .. }
            | Record::ReceivedReleased { .. }
            | Record::Will { .. }
            | Record::Cleared { .. }
            | Record::Given { .. } => {}
        }
        self.broker.apply(&record);
    }

    fn ended(&mut self, session: SessionNumber) {
        self.ended.insert(session);
        if let Some(client) = self.known.remove(&session)
            && self.sessions.get(&client) == Some(&session)
        {
            self.sessions.remove(&client);
        }
    }

    fn owed(&mut self, receiver: Receiver, messages: u64) {
        if let Receiver::Session(session) = receiver
            && session.is_recorded()
            && !self.known.contains_key(&session)
            && !self.ended.contains(&session)
        {
            *self.unknown.entry(session).or_default() += messages;
        }
    }
}

/// Stands for a message that is lost.
fn blank(place: Place) -> Arc<Message> {
    let kept = Kept {
        id: MessageId::default(),
        tenant: Tenant::default(),
        publisher: None,
        qos: QoS::AtMostOnce,
        retain: false,
        expires_at: None,
        topic: "",
        properties: &[],
        payload: &[],
    };
    Arc::new(Message::restored(&kept, place))
}

/// A place from a position.
pub(super) fn place(position: u64) -> Option<Place> {
    NonZeroU64::new(position).map(Place)
}
