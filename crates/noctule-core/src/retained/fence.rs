//! A question for retained messages is answered once all has arrived that was published before it.
//!
//! What a shard routes to a subscription that it does not know yet is live for nobody, and on its
//! way to the topic's home: a question that came first would miss it for good. So whoever asks
//! tells all other shards, and each tells the homes that are asked, behind what it told them to
//! retain. By then it routes with an index that has the subscription.

use crate::broker::{Broker, Turn};
use crate::identity::ShardId;
use crate::peer::{PeerMessage, RetainedAsk};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Questions that wait, by who asks and their numbers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Fences(BTreeMap<(ShardId, u64), Fenced>);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Fenced {
    ask: Option<RetainedAsk>,
    /// Shards that have nothing on its way any more.
    passed: u16,
}

impl Broker {
    /// Asks one shard, or all, for the first portions of retained messages.
    pub(super) fn ask_first(&mut self, turn: &mut Turn<'_>, to: Option<ShardId>, ask: RetainedAsk) {
        let fence = PeerMessage::RetainedFence { query: ask.query, home: to };
        for shard in (0..self.homes.shards).map(ShardId) {
            if shard != self.me && to != Some(shard) {
                self.tell(turn, shard, fence.clone());
            }
        }
        match to {
            Some(shard) => self.tell(turn, shard, PeerMessage::RetainedAsk(ask)),
            None => self.tell_all(turn, &PeerMessage::RetainedAsk(ask)),
        }
    }

    /// Another shard asks somebody for retained messages.
    pub(crate) fn retained_fence(
        &mut self,
        turn: &mut Turn<'_>,
        asker: ShardId,
        (query, home): (u64, Option<ShardId>),
    ) {
        let passed = PeerMessage::RetainedPassed { asker, query };
        for shard in (0..self.homes.shards).map(ShardId) {
            if shard != self.me && home.is_none_or(|home| home == shard) {
                self.tell(turn, shard, passed.clone());
            }
        }
    }

    /// A question came: it is given if nothing that it is about is on its way any more.
    pub(super) fn fenced(&mut self, asker: ShardId, ask: RetainedAsk) -> Option<RetainedAsk> {
        let key = (asker, ask.query);
        if ask.after.is_some() || self.fences_of(asker) == 0 {
            return Some(ask);
        }
        self.retention.fences.0.entry(key).or_default().ask = Some(ask);
        self.unfenced(key)
    }

    pub(crate) fn retained_passed(&mut self, turn: &mut Turn<'_>, asker: ShardId, query: u64) {
        let key = (asker, query);
        self.retention.fences.0.entry(key).or_default().passed += 1;
        if let Some(ask) = self.unfenced(key) {
            self.answer_retained(turn, asker, ask);
        }
    }

    fn unfenced(&mut self, key: (ShardId, u64)) -> Option<RetainedAsk> {
        let count = self.fences_of(key.0);
        let fences = &mut self.retention.fences.0;
        let over = fences.get(&key).is_some_and(|it| it.ask.is_some() && it.passed == count);
        if over { fences.remove(&key)?.ask } else { None }
    }

    /// How many shards have to pass: all but this one and the one that asks.
    fn fences_of(&self, asker: ShardId) -> u16 {
        self.homes.shards - 1 - u16::from(asker != self.me)
    }
}
