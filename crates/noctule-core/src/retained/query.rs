//! A subscriber's shard asks for retained messages: in portions, at the pace of the subscriber.

use crate::broker::{Broker, Turn};
use crate::identity::{ConnId, MessageId, SessionNumber, ShardId};
use crate::outbound::Outbound;
use crate::peer::{PeerMessage, RetainedAnswer, RetainedAsk};
use crate::verdict::Verdict;
use noctule_proto::packet::SubscribeOptions;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Topics looked at for one portion.
const PORTION: usize = 256;
/// Live topics remembered while retained messages are awaited.
const SEEN_MAX: usize = 65_536;

/// Retained messages a new subscription is owed once its SUBACK is out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) filter: Box<str>,
    pub(crate) options: SubscribeOptions,
    pub(crate) subscription_id: u32,
    /// Version of the index from which on the subscription gets messages live.
    pub(crate) live_since: u64,
}

/// The open questions of a shard.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Queries {
    next: u64,
    open: BTreeMap<u64, Query>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Query {
    session: SessionNumber,
    wish: Wish,
    /// Shards that have not said that there is no more.
    awaited: u16,
    /// Portions to ask for once the subscriber has room: the shard and where to go on.
    parked: Vec<(ShardId, Box<str>)>,
    /// Live messages the session was given meanwhile: an older retained one must not follow.
    seen: BTreeMap<Box<str>, MessageId>,
}

impl Broker {
    /// Starts to send the retained messages a subscription is owed.
    pub(crate) fn grant_wish(&mut self, turn: &mut Turn<'_>, conn: ConnId, wish: Wish) {
        let Some(connection) = self.connections.get(conn) else { return };
        let session = self.sessions.at_mut(connection.session);
        session.queries += 1;
        let (number, tenant) = (session.number, session.tenant);
        let queries = &mut self.retention.queries;
        queries.next += 1;
        let query = queries.next;
        let ask = RetainedAsk { query, tenant, filter: wish.filter.clone(), after: None };
        let exact = !has_wildcard(&wish.filter);
        let awaited = if exact { 1 } else { self.homes.shards };
        let (parked, seen) = (Vec::new(), BTreeMap::new());
        queries.open.insert(query, Query { session: number, wish, awaited, parked, seen });
        if exact {
            let home = self.homes.of_topic(tenant, &ask.filter);
            self.tell(turn, home, PeerMessage::RetainedAsk(ask));
        } else {
            self.tell_all(turn, &PeerMessage::RetainedAsk(ask));
        }
    }

    /// Another shard (or this one) asks for a portion.
    pub(crate) fn retained_asked(&mut self, turn: &mut Turn<'_>, from: ShardId, ask: RetainedAsk) {
        let mut messages = Vec::new();
        let RetainedAsk { query, tenant, filter, after } = ask;
        let store = &self.retention.store;
        let more_after = if has_wildcard(&filter) {
            let from = (&*filter, after.as_deref());
            store.scan(tenant, from, (PORTION, turn.now), &mut messages)
        } else {
            let found = store.get(tenant, &filter).filter(|found| !found.expired(turn.now));
            messages.extend(found.cloned());
            None
        };
        let answer = RetainedAnswer { query, messages, more_after };
        self.tell(turn, from, PeerMessage::RetainedAnswer(answer));
    }

    /// A portion came. [MQTT-3.3.1-9 v5], [U5-3.3.1-1], [MQTT-3.3.1-8 v3.1.1]
    pub(crate) fn retained_answered(
        &mut self,
        turn: &mut Turn<'_>,
        from: ShardId,
        answer: RetainedAnswer,
    ) {
        let Some(query) = self.retention.queries.open.get_mut(&answer.query) else { return };
        let Some(slot) = self.sessions.slot_of(query.session) else { return };
        match answer.more_after {
            Some(after) => query.parked.push((from, after)),
            None => query.awaited -= 1,
        }
        let (wish, done) = (query.wish.clone(), query.awaited == 0);
        for message in answer.messages {
            let query = self.retention.queries.open.get(&answer.query);
            // Its live copy went out, or is on its way behind others of its publisher, which it
            // must not overtake. [MQTT-4.6.0-5 v5]
            let live = message.routed_at >= wish.live_since;
            let newer = live
                || query
                    .and_then(|query| query.seen.get(message.topic()))
                    .is_some_and(|live| *live >= message.id);
            if newer {
                self.counters.verdict(Verdict::RetainedSuperseded);
                continue;
            }
            let qos = message.qos.min(wish.options.qos);
            let form = (qos, true, wish.subscription_id);
            let mut outbound = Outbound::of_message(&message);
            // `sole`: what was asked for is queued even if the socket is full just now.
            self.deliver_as(turn, slot, (&mut outbound, true), (form, None));
        }
        if done {
            self.retention.queries.open.remove(&answer.query);
            let session = self.sessions.at_mut(slot);
            session.queries = session.queries.saturating_sub(1);
        }
        self.ask_on(turn, slot);
    }

    /// Asks for the next portions if the subscriber has taken most of the last.
    pub(crate) fn ask_on(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let session = self.sessions.at(slot);
        if session.queries == 0 {
            return;
        }
        let room = session.link.is_some_and(|link| !link.congested)
            && session.queue.len() < PORTION
            && self.budget > 0;
        if !room {
            if self.budget == 0 && session.link.is_some() {
                self.jobs.ask_on(session.number);
            }
            return;
        }
        let (number, tenant) = (session.number, session.tenant);
        let mut asks = Vec::new();
        for (id, query) in &mut self.retention.queries.open {
            if query.session == number {
                for (shard, after) in query.parked.drain(..) {
                    let filter = query.wish.filter.clone();
                    let after = Some(after);
                    asks.push((shard, RetainedAsk { query: *id, tenant, filter, after }));
                }
            }
        }
        for (shard, ask) in asks {
            self.budget = self.budget.saturating_sub(PORTION as u32);
            self.tell(turn, shard, PeerMessage::RetainedAsk(ask));
        }
    }

    /// A live message went to a session that awaits retained ones.
    pub(crate) fn seen_live(&mut self, slot: u32, topic: &str, id: MessageId) {
        let number = self.sessions.at(slot).number;
        for query in self.retention.queries.open.values_mut() {
            if query.session == number && query.seen.len() < SEEN_MAX {
                let seen = query.seen.entry(topic.into()).or_default();
                *seen = id.max(*seen);
            }
        }
    }

    /// The connection is gone: retained messages were owed to it alone.
    pub(crate) fn stop_queries(&mut self, slot: u32) {
        let session = self.sessions.at_mut(slot);
        if session.queries == 0 {
            return;
        }
        session.queries = 0;
        let number = session.number;
        self.retention.queries.open.retain(|_, query| query.session != number);
    }
}

/// Whether a valid filter names more than one topic.
fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}
