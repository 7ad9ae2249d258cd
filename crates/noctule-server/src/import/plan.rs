//! What is taken of what mosquitto kept, as records of a store; and what is left, and why.
//!
//! A client's messages are told one by one in the order in which it is owed them, a message that is
//! told again is only named: so all of it fits into one frame of the log, which is there whole or
//! not at all, and no order is lost.

use super::message;
use super::persisted::{BaseMessage, Client, Delivery, Persisted, State, Subscription};
use super::report::{Left, Report};
use noctule_core::identity::MessageId;
use noctule_core::index::Receiver;
use noctule_core::limits::Durability;
use noctule_core::message::Origin;
use noctule_core::record::{Body, Receipt, Receivers, Record, StoredWill};
use noctule_core::{Limits, Message, SessionNumber, Tenant, Time};
use noctule_proto::packet::{RetainHandling, SubscribeOptions};
use noctule_proto::{PacketId, QoS, TopicFilter};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Seconds that a session never ends after.
const NEVER: u32 = u32::MAX;

/// What becomes of a file.
#[derive(Debug)]
pub struct Plan {
    /// What is taken.
    pub records: Vec<Record>,
    /// What that comes to, and what is left.
    pub report: Report,
    /// Bytes of messages that are taken.
    pub(super) bytes: u64,
}

/// Numbers up to these the store has given before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    pub(super) session: SessionNumber,
    pub(super) message: MessageId,
}

impl Default for Given {
    fn default() -> Given {
        Given { session: SessionNumber(0), message: MessageId(0) }
    }
}

/// Plans it, for a store that holds nothing.
pub(super) fn make(persisted: &Persisted<'_>, now: Time, given: Given) -> Plan {
    let mut making = Making {
        now,
        plan: Plan { records: Vec::new(), report: Report::of(persisted), bytes: 0 },
        sessions: HashMap::new(),
        messages: HashMap::new(),
        packet_ids: HashSet::new(),
    };
    making.clients(persisted, given);
    making.messages(persisted, given);
    making.subscriptions(persisted);
    making.wills(persisted);
    making.retained(persisted);
    making.deliveries(persisted);
    making.end();
    making.plan
}

/// What became of a message of the file.
#[derive(Clone)]
enum Found<'p> {
    Taken(Arc<Message>),
    Expired(&'p BaseMessage<'p>),
    Invalid(&'p BaseMessage<'p>),
}

struct Making<'p> {
    now: Time,
    plan: Plan,
    /// Sessions that are taken, by client id.
    sessions: HashMap<&'p [u8], SessionNumber>,
    messages: HashMap<u64, Found<'p>>,
    /// Packet identifiers in use, and in which direction.
    packet_ids: HashSet<(SessionNumber, bool, PacketId)>,
}

impl<'p> Making<'p> {
    fn left(&mut self, left: Left, example: &[u8]) {
        self.plan.report.left(left, example);
    }

    fn record(&mut self, record: Record) {
        self.plan.records.push(record);
    }

    fn clients(&mut self, persisted: &'p Persisted<'p>, given: Given) {
        let mut last = given.session.0 >> 1;
        for client in &persisted.clients {
            let id = std::str::from_utf8(&client.id).ok();
            let id = id.filter(|id| !id.is_empty() && !id.chars().any(char::is_control));
            let Some(id) = id else {
                self.left(Left::ClientId, &client.id);
                continue;
            };
            let ended = client.expires_at_secs.is_some_and(|at| at * 1000 <= self.now.0);
            if client.expiry_interval_secs == 0 || ended {
                let why = if ended { Left::SessionExpired } else { Left::SessionEnds };
                self.left(why, &client.id);
                continue;
            }
            if self.sessions.contains_key(&*client.id) {
                self.left(Left::ClientTwice, &client.id);
                continue;
            }
            last += 1;
            // An odd number: what the session is owed is recorded.
            let session = SessionNumber(last << 1 | 1);
            self.sessions.insert(&client.id, session);
            let (since, expiry_secs) = lifetime(client, self.now);
            self.plan.report.sessions += 1;
            self.plan.report.with_user_name += u64::from(client.has_user_name);
            self.record(Record::Session {
                session,
                tenant: Tenant::default(),
                client_id: id.into(),
                expiry_secs,
                durability: Durability::Fsync,
                away_since: Some(since),
            });
        }
    }

    fn messages(&mut self, persisted: &'p Persisted<'p>, given: Given) {
        // Ids end before now: what is published from here on is later.
        let many = persisted.messages.len() as u64;
        let first = (self.now.0 << 12).saturating_sub(many + 1).max((given.message.0 >> 10) + 1);
        for (at, base) in persisted.messages.iter().enumerate() {
            let found = if base.expires_at_secs.is_some_and(|secs| secs * 1000 <= self.now.0) {
                Found::Expired(base)
            } else {
                let origin = Origin {
                    id: MessageId((first + at as u64) << 10),
                    publisher: self.sessions.get(&*base.source_id).copied(),
                    ..Origin::default()
                };
                match message::made(&base.content, self.now, origin) {
                    None => Found::Invalid(base),
                    Some(mut message) => {
                        message.expires_at = base.expires_at_secs.map(|secs| Time(secs * 1000));
                        Found::Taken(Arc::new(message))
                    }
                }
            };
            self.messages.insert(base.store_id, found);
        }
    }

    fn subscriptions(&mut self, persisted: &'p Persisted<'p>) {
        for held in &persisted.subscriptions {
            let Some(session) = self.sessions.get(&*held.client_id).copied() else {
                self.left(Left::SubscriptionAlone, &held.filter);
                continue;
            };
            let Some((filter, options)) = subscription(held) else {
                self.left(Left::Subscription, &held.filter);
                continue;
            };
            let report = &mut self.plan.report;
            report.subscriptions += 1;
            report.shared += u64::from(filter.share().is_some());
            self.record(Record::Subscribed {
                session,
                filter: filter.as_str().into(),
                options,
                subscription_id: held.identifier,
            });
        }
    }

    fn wills(&mut self, persisted: &'p Persisted<'p>) {
        let waits = |client: &&Client<'_>| client.will_at_secs.is_some();
        let waiting = persisted.clients.iter().filter(waits);
        let waiting: HashMap<&[u8], u32> =
            waiting.map(|client| (&*client.id, client.will_delay_secs)).collect();
        for will in &persisted.wills {
            let session = self.sessions.get(&*will.client_id).copied();
            let (Some(session), Some(delay)) = (session, waiting.get(&*will.client_id)) else {
                self.left(Left::WillNotWaiting, &will.client_id);
                continue;
            };
            let Some((topic, properties, qos)) = message::checked(&will.content) else {
                self.left(Left::Will, &will.content.topic);
                continue;
            };
            let will = StoredWill {
                topic: topic.into(),
                properties: properties.into(),
                payload: (&*will.content.payload).into(),
                qos,
                retain: will.content.retain,
                message_expiry_secs: None,
                delay_secs: *delay,
            };
            self.plan.report.wills += 1;
            self.record(Record::Will { session, will: Some(Box::new(will)) });
        }
    }

    fn retained(&mut self, persisted: &'p Persisted<'p>) {
        for id in &persisted.retained {
            let message = match self.messages.get(id).cloned() {
                Some(Found::Taken(message)) => message,
                Some(Found::Expired(base)) => {
                    self.left(Left::RetainedExpired, &base.content.topic);
                    continue;
                }
                Some(Found::Invalid(base)) => {
                    self.left(Left::RetainedInvalid, &base.content.topic);
                    continue;
                }
                None => {
                    self.left(Left::RetainedAlone, b"");
                    continue;
                }
            };
            if message.topic().starts_with("$SYS/") {
                self.left(Left::RetainedSys, message.topic_bytes());
                continue;
            }
            if message.payload().is_empty() {
                self.left(Left::RetainedEmpty, message.topic_bytes());
                continue;
            }
            self.plan.report.retained += 1;
            let (message, receivers) = (Body::Here(message), Receivers::from(Vec::new()));
            self.record(Record::Published { message, receivers, retained: true });
        }
    }

    fn deliveries(&mut self, persisted: &'p Persisted<'p>) {
        for delivery in &persisted.deliveries {
            if let Err(left) = self.delivery(delivery) {
                self.left(left, &delivery.client_id);
            }
        }
    }

    fn delivery(&mut self, delivery: &Delivery<'_>) -> Result<(), Left> {
        let session = *self.sessions.get(&*delivery.client_id).ok_or(Left::DeliveryAlone)?;
        let state = State::of(delivery).ok_or(Left::Delivery)?;
        let id = PacketId::new(delivery.packet_id);
        let qos = QoS::from_u8(delivery.qos).ok_or(Left::Delivery)?;
        if delivery.subscription_id > SUBSCRIPTION_ID_MAX {
            return Err(Left::Delivery);
        }
        match state {
            State::Done => return Err(Left::DeliveryDone),
            State::Released => {
                let id = self.free((session, true), id)?;
                self.plan.report.released += 1;
                self.record(Record::Released { session, id });
                return Ok(());
            }
            State::Waits | State::Sent | State::Unreleased => {}
        }
        let message = match self.messages.get(&delivery.store_id) {
            Some(Found::Taken(message)) => Arc::clone(message),
            Some(Found::Expired(_)) => return Err(Left::DeliveryExpired),
            Some(Found::Invalid(_)) => return Err(Left::DeliveryInvalid),
            None => return Err(Left::DeliveryLost),
        };
        match (state, qos) {
            (State::Unreleased, _) => {
                let id = self.free((session, false), id)?;
                self.plan.report.unreleased += 1;
                self.record(Record::Received { session, id, message: Body::Here(message) });
            }
            (_, QoS::AtMostOnce) => return Err(Left::DeliveryQos0),
            (State::Sent, QoS::ExactlyOnce) => {
                let id = self.free((session, true), id)?;
                let receipt = receipt(session, qos, delivery);
                let (manner, message) = (receipt.manner(), Body::Here(message));
                self.plan.report.sent += 1;
                self.owe(message.clone(), receipt);
                self.record(Record::Sent { session, message, manner, id });
            }
            (_, _) => {
                self.plan.report.queued += 1;
                self.owe(Body::Here(message), receipt(session, qos, delivery));
            }
        }
        Ok(())
    }

    fn owe(&mut self, message: Body, receipt: Receipt) {
        let receivers = Receivers::One(receipt);
        self.record(Record::Published { message, receivers, retained: false });
    }

    /// The packet identifier, if the client has no other message under it.
    fn free(
        &mut self,
        (session, outgoing): (SessionNumber, bool),
        id: Option<PacketId>,
    ) -> Result<PacketId, Left> {
        let id = id.ok_or(Left::Delivery)?;
        let is_new = self.packet_ids.insert((session, outgoing, id));
        is_new.then_some(id).ok_or(Left::DeliveryTwice)
    }

    fn end(&mut self) {
        let taken = self.messages.values().filter_map(|found| match found {
            Found::Taken(message) => Some(message),
            Found::Expired(_) | Found::Invalid(_) => None,
        });
        self.plan.bytes = taken.map(|message| message.cost() as u64).sum();
    }
}

/// Since when a session's client is away, and its expiry interval, so that it ends when it would
/// have ended. What was not away when the file was written is away since now.
fn lifetime(client: &Client<'_>, now: Time) -> (Time, u32) {
    let before = |secs: u64| Time((secs * 1000).min(now.0));
    let interval = client.expiry_interval_secs;
    match (client.expires_at_secs, client.will_at_secs) {
        (Some(at), _) if interval != NEVER => {
            (before(at.saturating_sub(u64::from(interval))), interval)
        }
        // It has no interval of its own: mosquitto was configured with one.
        (Some(at), _) => {
            let left = (at * 1000).saturating_sub(now.0).div_ceil(1000);
            (now, u32::try_from(left).unwrap_or(NEVER).min(NEVER - 1))
        }
        (None, Some(will_at)) => {
            (before(will_at.saturating_sub(u64::from(client.will_delay_secs))), interval)
        }
        (None, None) => (now, interval),
    }
}

fn receipt(session: SessionNumber, qos: QoS, delivery: &Delivery<'_>) -> Receipt {
    Receipt {
        receiver: Receiver::Session(session),
        qos,
        retain: delivery.retain,
        subscription_id: delivery.subscription_id,
    }
}

/// The greatest Subscription Identifier.
const SUBSCRIPTION_ID_MAX: u32 = 268_435_455;

/// A subscription that noctule could have taken.
fn subscription<'s>(held: &'s Subscription<'_>) -> Option<(TopicFilter<'s>, SubscribeOptions)> {
    let filter = TopicFilter::parse(std::str::from_utf8(&held.filter).ok()?).ok()?;
    let levels_max = usize::from(Limits::default().topic_levels_max);
    let options = SubscribeOptions {
        qos: QoS::from_u8(held.options & 3)?,
        no_local: held.options & 4 != 0 && filter.share().is_none(),
        retain_as_published: held.options & 8 != 0,
        retain_handling: match held.options >> 4 & 3 {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            _ => RetainHandling::Never,
        },
    };
    let fits = filter.levels().count() <= levels_max && held.identifier <= SUBSCRIPTION_ID_MAX;
    fits.then_some((filter, options))
}

#[cfg(test)]
mod tests;
