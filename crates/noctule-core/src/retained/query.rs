//! A subscriber's shard asks for retained messages: in portions, at the pace of the subscriber.

use crate::broker::{Broker, Turn};
use crate::identity::{ConnId, MessageId, ShardId};
use crate::index::Receiver;
use crate::limits::Durability;
use crate::message::Message;
use crate::outbound::Outbound;
use crate::peer::{PeerMessage, RetainedAnswer, RetainedAsk};
use crate::record::{Receipt, Receivers, Record};
use crate::rights::Asked;
use crate::verdict::Verdict;
use noctule_proto::QoS;
use noctule_proto::packet::SubscribeOptions;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Topics looked at for one portion.
const PORTION: usize = 256;
/// What asking for a portion by a wildcard takes from a turn's budget, and by a topic name.
const ASK_COSTS: (u32, u32) = (64, 2);
/// Questions of one session that are open at a time, by wildcards and by topic names: the ones are
/// answered with up to a portion by each shard, the others with one message. Other wishes wait.
const OPEN_MAX: (usize, usize) = (4, 1024);
/// Live topics remembered while retained messages are awaited. One that is not remembered may be
/// followed by its older retained message.
const SEEN_MAX: usize = 65_536;
/// Bytes of those topics: enough for as many of the usual length.
const SEEN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Retained messages a new subscription is owed once its SUBACK is out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) filter: Box<str>,
    pub(crate) options: SubscribeOptions,
    pub(crate) subscription_id: u32,
    /// Version of the index from which on the subscription gets messages live.
    pub(crate) live_since: u64,
}

/// What a session awaits: there is one exactly while it awaits anything.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Awaited {
    by_wildcard: Asking,
    by_name: Asking,
    /// Live messages the session was given meanwhile, and the last question asked by then: an
    /// older retained one must not follow.
    seen: BTreeMap<Box<str>, (MessageId, u64)>,
    /// Length of those topics together.
    seen_bytes: usize,
    /// A job goes on with it.
    on_list: bool,
}

/// The questions of one kind.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Asking {
    /// By filter: one that is wished again while it waits is sent for once.
    wishes: BTreeMap<Box<str>, Wish>,
    open: BTreeMap<u64, Query>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Query {
    wish: Wish,
    /// Shards that have not said that there is no more.
    awaited: u16,
    /// Portions to ask for once the subscriber has room: the shard and where to go on.
    parked: Vec<(ShardId, Box<str>)>,
}

impl Asking {
    fn is_over(&self) -> bool {
        self.wishes.is_empty() && self.open.is_empty()
    }

    /// The next wish to ask for, if so many questions may be open.
    fn next(&mut self, open_max: usize) -> Option<(Box<str>, Wish)> {
        if self.open.len() >= open_max { None } else { self.wishes.pop_first() }
    }
}

impl Awaited {
    fn is_over(&self) -> bool {
        self.by_wildcard.is_over() && self.by_name.is_over()
    }

    fn of(&mut self, filter: &str) -> &mut Asking {
        if has_wildcard(filter) { &mut self.by_wildcard } else { &mut self.by_name }
    }

    fn query(&mut self, id: u64) -> Option<&mut Query> {
        self.by_wildcard.open.get_mut(&id).or_else(|| self.by_name.open.get_mut(&id))
    }

    /// Notes that the session was given a live message, when so many questions were asked.
    fn remember(&mut self, topic: &str, id: MessageId, asked: u64) {
        if let Some(seen) = self.seen.get_mut(topic) {
            if seen.0 <= id {
                *seen = (id, asked);
            }
        } else if self.seen.len() < SEEN_MAX && self.seen_bytes + topic.len() <= SEEN_BYTES_MAX {
            self.seen_bytes += topic.len();
            self.seen.insert(topic.into(), (id, asked));
        }
    }

    /// Whether a later message of the topic was given to the session since a question was asked.
    fn has_seen_later(&self, query: u64, topic: &str, id: MessageId) -> bool {
        self.seen.get(topic).is_some_and(|(live, at)| *live > id && *at >= query)
    }
}

impl Broker {
    /// Starts to send the retained messages that new subscriptions are owed.
    pub(crate) fn grant_wishes(&mut self, turn: &mut Turn<'_>, conn: ConnId, wishes: Vec<Wish>) {
        let Some(connection) = self.connections.get(conn) else { return };
        if wishes.is_empty() {
            return;
        }
        let slot = connection.session;
        let awaited = self.sessions.at_mut(slot).work.awaited.get_or_insert_default();
        for wish in wishes {
            awaited.of(&wish.filter).wishes.insert(wish.filter.clone(), wish);
        }
        self.ask_on(turn, slot);
    }

    /// A subscription is gone, and with it what it was owed.
    pub(crate) fn withdraw_wish(&mut self, slot: u32, filter: &str) {
        let session = self.sessions.at_mut(slot);
        let Some(awaited) = &mut session.work.awaited else { return };
        let asking = awaited.of(filter);
        asking.wishes.remove(filter);
        asking.open.retain(|_, query| *query.wish.filter != *filter);
        if awaited.is_over() {
            session.work.awaited = None;
        }
    }

    /// Another shard (or this one) asks for a portion.
    pub(crate) fn retained_asked(&mut self, turn: &mut Turn<'_>, from: ShardId, ask: RetainedAsk) {
        if let Some(ask) = self.fenced(from, ask) {
            self.answer_retained(turn, from, ask);
        }
    }

    pub(super) fn answer_retained(&mut self, turn: &mut Turn<'_>, from: ShardId, ask: RetainedAsk) {
        let mut messages = Vec::new();
        let RetainedAsk { query, session, tenant, filter, after } = ask;
        let store = &self.retention.store;
        let more_after = if has_wildcard(&filter) {
            let from = (&*filter, after.as_deref());
            store.scan(tenant, from, (PORTION, turn.now), &mut messages)
        } else {
            let found = store.get(tenant, &filter).filter(|found| !found.expired(turn.now));
            messages.extend(found.cloned());
            None
        };
        let answer = RetainedAnswer { query, session, messages, more_after };
        self.tell(turn, from, PeerMessage::RetainedAnswer(answer));
    }

    /// A portion came. [MQTT-3.3.1-9 v5], [U5-3.3.1-1], [MQTT-3.3.1-8 v3.1.1]
    pub(crate) fn retained_answered(
        &mut self,
        turn: &mut Turn<'_>,
        from: ShardId,
        answer: RetainedAnswer,
    ) {
        let RetainedAnswer { query: id, session: number, messages, more_after } = answer;
        let Some(slot) = self.sessions.slot_of(number) else { return };
        let Some(awaited) = &mut self.sessions.at_mut(slot).work.awaited else { return };
        let Some(query) = awaited.query(id) else { return };
        match more_after {
            Some(after) => query.parked.push((from, after)),
            None => query.awaited -= 1,
        }
        let (wish, done) = (query.wish.clone(), query.awaited == 0);
        for message in messages {
            let awaited = &self.sessions.at(slot).work.awaited;
            // Its live copy went out, or is on its way behind others of its publisher, which it
            // must not overtake. [MQTT-4.6.0-5 v5]
            let live = message.routed_at >= wish.live_since;
            let newer = live
                || awaited
                    .as_ref()
                    .is_some_and(|all| all.has_seen_later(id, message.topic(), message.id));
            // [MQTT-3.8.3-3 v5]
            let own = wish.options.no_local && message.publisher == Some(number);
            let asked = Asked { topic: message.topic(), hash: &mut None };
            let withheld = if newer {
                Some(Verdict::RetainedSuperseded)
            } else if own {
                Some(Verdict::NoLocal)
            } else {
                (!self.may_receive(slot, asked)).then_some(Verdict::ReceiverNotAuthorized)
            };
            if let Some(verdict) = withheld {
                self.counters.verdict(verdict);
                continue;
            }
            let qos = message.qos.min(wish.options.qos);
            let form = (qos, true, wish.subscription_id);
            self.owe_retained(turn, slot, (&message, form));
            let mut outbound = Outbound::of_message(&message);
            // `sole`: what was asked for is queued even if the socket is full just now.
            self.deliver_as(turn, slot, (&mut outbound, true), (form, None));
        }
        if done && let Some(awaited) = &mut self.sessions.at_mut(slot).work.awaited {
            awaited.of(&wish.filter).open.remove(&id);
        }
        self.ask_on(turn, slot);
    }

    /// A retained message is owed to a session from here on as any other is.
    fn owe_retained(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        (message, (qos, retain, subscription_id)): (&Arc<Message>, (QoS, bool, u32)),
    ) {
        let session = self.sessions.at(slot);
        let recorded = session.is_recorded() && message.durability != Durability::Memory;
        if recorded && qos != QoS::AtMostOnce {
            let receiver = Receiver::Session(session.number);
            let receivers = Receivers::One(Receipt { receiver, qos, retain, subscription_id });
            let message = Arc::clone(message).into();
            self.note(turn, Record::Published { message, receivers, retained: false });
        }
    }

    /// Asks for the next portions if the subscriber has taken most of the last; later in this turn
    /// or in the next where the budget is used up.
    pub(crate) fn ask_on(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let session = self.sessions.at_mut(slot);
        let Some(awaited) = &mut session.work.awaited else { return };
        if awaited.is_over() {
            session.work.awaited = None;
            return;
        }
        let takes = session.link.is_some_and(|link| !link.congested);
        if !takes || session.queue.len() >= PORTION {
            return;
        }
        if self.budget == 0 {
            if !std::mem::replace(&mut awaited.on_list, true) {
                self.jobs.ask_on(session.number);
            }
            return;
        }
        let Some((to, ask)) = self.next_ask(slot) else { return };
        let cost = if has_wildcard(&ask.filter) { ASK_COSTS.0 } else { ASK_COSTS.1 };
        self.budget = self.budget.saturating_sub(cost);
        match (to, &ask.after) {
            (Some(shard), Some(_)) => self.tell(turn, shard, PeerMessage::RetainedAsk(ask)),
            (to, _) => self.ask_first(turn, to, ask),
        }
        self.ask_on(turn, slot);
    }

    /// The job of a session comes up: it may have something to ask.
    pub(crate) fn ask_on_again(&mut self, turn: &mut Turn<'_>, slot: u32) {
        if let Some(awaited) = &mut self.sessions.at_mut(slot).work.awaited {
            awaited.on_list = false;
        }
        self.ask_on(turn, slot);
    }

    /// What a session asks next, and whom (`None`: all shards): a portion that is parked, or the
    /// first ones of a wish.
    fn next_ask(&mut self, slot: u32) -> Option<(Option<ShardId>, RetainedAsk)> {
        let session = self.sessions.at_mut(slot);
        let (number, tenant) = (session.number, session.tenant);
        let awaited = session.work.awaited.as_mut()?;
        let ask = |query, filter: &str, after| {
            let filter = filter.into();
            RetainedAsk { query, session: number, tenant, filter, after }
        };
        for (id, query) in &mut awaited.by_wildcard.open {
            if let Some((shard, after)) = query.parked.pop() {
                return Some((Some(shard), ask(*id, &query.wish.filter, Some(after))));
            }
        }
        let by_wildcard = awaited.by_wildcard.next(OPEN_MAX.0);
        let (filter, wish) = by_wildcard.or_else(|| awaited.by_name.next(OPEN_MAX.1))?;
        self.retention.queries += 1;
        let id = self.retention.queries;
        let (to, shards) = match has_wildcard(&filter) {
            true => (None, self.homes.shards),
            false => (Some(self.homes.of_topic(tenant, &filter)), 1),
        };
        let query = Query { wish, awaited: shards, parked: Vec::new() };
        awaited.of(&filter).open.insert(id, query);
        Some((to, ask(id, &filter, None)))
    }

    /// A live message went to a session that awaits retained ones.
    pub(crate) fn seen_live(&mut self, slot: u32, topic: &str, id: MessageId) {
        let asked = self.retention.queries;
        if let Some(awaited) = &mut self.sessions.at_mut(slot).work.awaited {
            awaited.remember(topic, id, asked);
        }
    }
}

/// Whether a valid filter names more than one topic.
fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}
