//! Long work, cut into turns: a message for very many receivers, the end of a session with very
//! many subscriptions, the end of all connections. Resumed by `tick` under a budget.
//!
//! Each kind has a queue of its own, in which order is kept, and its share of the turn, so that
//! none waits for the end of another.

use crate::broker::{Broker, Turn};
use crate::identity::{ConnId, GroupNumber, SessionNumber, ShardId, Tenant};
use crate::message::Message;
use crate::outbound::Outbound;
use crate::output::Effect;
use crate::peer::{Delivery, PeerMessage, Target};
use crate::record::Body;
use crate::session::{HeldSubscription, Queue};
use crate::shortage::Search;
use noctule_proto::ReasonCode;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Messages of one peer that wait before nothing more is heard from it.
const PEER_WAITING_MAX: usize = 64;

/// The jobs of a shard.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Jobs {
    spreads: VecDeque<Spread>,
    peers: BTreeMap<ShardId, VecDeque<Heard>>,
    ends: VecDeque<Ending>,
    asks: VecDeque<SessionNumber>,
    /// Look at the subscriptions of sessions again, from this slot on.
    recheck: Option<u32>,
    /// Look for those who are furthest behind.
    search: Option<Search>,
    /// End all connections from this number on.
    shutdown: Option<u32>,
}

/// Deliver from target `next` on; `hold` is not read meanwhile.
#[derive(Debug, Serialize, Deserialize)]
struct Spread {
    message: Arc<Message>,
    targets: Arc<[Target]>,
    /// Where their sessions lay when the route was made.
    slots: Arc<[u32]>,
    next: u32,
    hold: Option<ConnId>,
}

/// What a peer said, in order from the first message on that took more than a turn.
#[derive(Debug, Serialize, Deserialize)]
enum Heard {
    Delivery { delivery: Delivery, next: u32 },
    Passed { asker: SessionNumber, request: u64, kept: bool },
}

/// What is left of a session that ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ending {
    /// Its subscriptions leave the index.
    Unsubscribe { tenant: Tenant, number: SessionNumber, rest: Vec<HeldSubscription> },
    /// It leaves its share groups, each with the messages that stay with it.
    Leave { number: SessionNumber, rest: Vec<(GroupNumber, Vec<Body>)> },
    /// What waited for it, counted out already, is let go.
    Discard { queue: Queue },
}

/// The kinds of jobs, each with its share of a turn.
#[derive(Clone, Copy)]
enum Kind {
    Spreads,
    Peer(ShardId),
    Ends,
    Asks,
    Recheck,
    Search,
    Shutdown,
}

impl Jobs {
    pub(crate) fn is_empty(&self) -> bool {
        self.spreads.is_empty()
            && self.peers.is_empty()
            && self.ends.is_empty()
            && self.asks.is_empty()
            && self.recheck.is_none()
            && self.search.is_none()
            && self.shutdown.is_none()
    }

    /// A message of this peer waits to be delivered.
    pub(crate) fn has_delivery_of(&self, shard: ShardId) -> bool {
        self.peers.contains_key(&shard)
    }

    pub(crate) fn deliver(&mut self, from: ShardId, delivery: Delivery) {
        let waiting = self.peers.entry(from).or_default();
        waiting.push_back(Heard::Delivery { delivery, next: 0 });
    }

    /// A fence is passed once what the peer said before it is delivered.
    pub(crate) fn pass_later(
        &mut self,
        from: ShardId,
        asker: SessionNumber,
        (request, kept): (u64, bool),
    ) {
        self.peers.entry(from).or_default().push_back(Heard::Passed { asker, request, kept });
    }

    /// A connection is gone: nothing is to be released once a job is done.
    pub(crate) fn forget_hold(&mut self, conn: ConnId) {
        for spread in &mut self.spreads {
            if spread.hold == Some(conn) {
                spread.hold = None;
            }
        }
    }

    pub(crate) fn ask_on(&mut self, number: SessionNumber) {
        self.asks.push_back(number);
    }

    pub(crate) fn end(&mut self, ending: Ending) {
        self.ends.push_back(ending);
    }

    /// Who may do what has changed.
    pub(crate) fn recheck(&mut self) {
        self.recheck = Some(0);
    }

    /// Those who are furthest behind have to go; a search that runs already finds them.
    pub(crate) fn search_slowest(&mut self) {
        self.search.get_or_insert_default();
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        let mut add = |empty: bool, kind| {
            if !empty {
                kinds.push(kind);
            }
        };
        add(self.spreads.is_empty(), Kind::Spreads);
        self.peers.keys().for_each(|peer| add(false, Kind::Peer(*peer)));
        add(self.ends.is_empty(), Kind::Ends);
        add(self.asks.is_empty(), Kind::Asks);
        add(self.recheck.is_none(), Kind::Recheck);
        add(self.search.is_none(), Kind::Search);
        add(self.shutdown.is_none(), Kind::Shutdown);
        kinds
    }
}

impl Broker {
    /// Whether messages of this peer may go in. One that says more than can be delivered is not
    /// listened to for a while: its channel fills, and it holds its publishers.
    #[must_use]
    pub fn listens_to(&self, peer: ShardId) -> bool {
        self.jobs.peers.get(&peer).is_none_or(|waiting| waiting.len() < PEER_WAITING_MAX)
    }

    /// Delivers to many receivers as a job. The publisher is not read until it is done, so that
    /// its next message cannot overtake. [MQTT-4.6.0-5 v5]
    pub(crate) fn spread_later(
        &mut self,
        turn: &mut Turn<'_>,
        (targets, slots): (Arc<[Target]>, Arc<[u32]>),
        message: Arc<Message>,
        conn: Option<ConnId>,
    ) {
        if let Some(conn) = conn {
            self.hold(turn, conn);
        }
        self.jobs.spreads.push_back(Spread { message, targets, slots, next: 0, hold: conn });
    }

    /// Works through the jobs until they are done or the turn's budget is.
    pub(crate) fn run_jobs(&mut self, turn: &mut Turn<'_>) {
        while self.budget > 0 && !self.jobs.is_empty() {
            let kinds = self.jobs.kinds();
            let share = (self.budget / kinds.len() as u32).max(1);
            for kind in kinds {
                let all = self.budget;
                self.budget = share.min(all);
                let given = self.budget;
                self.run_kind(turn, kind);
                self.budget = all - (given - self.budget);
            }
        }
        self.counters.jobs_continued += u64::from(!self.jobs.is_empty());
    }

    /// One share of one kind; whatever was done costs one at least.
    fn run_kind(&mut self, turn: &mut Turn<'_>, kind: Kind) {
        while self.budget > 0 {
            let before = self.budget;
            let done = match kind {
                Kind::Spreads => self.run_spread(turn),
                Kind::Peer(peer) => self.run_peer(turn, peer),
                Kind::Ends => self.run_ending(turn),
                Kind::Asks => self.run_ask(turn),
                Kind::Recheck => self.run_recheck(turn),
                Kind::Search => self.search_on(turn),
                Kind::Shutdown => self.run_shutdown(turn),
            };
            if self.budget == before {
                self.budget -= 1;
            }
            if done {
                return;
            }
        }
    }

    /// Goes on with the first; whether none is left.
    fn run_spread(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(spread) = self.jobs.spreads.pop_front() else { return true };
        let Spread { next, hold, .. } = spread;
        match self.run_delivery(turn, &spread.message, (&spread.targets, &spread.slots), next) {
            Some(next) => self.jobs.spreads.push_front(Spread { next, ..spread }),
            None => {
                if let Some(conn) = hold {
                    self.release(turn, conn);
                }
            }
        }
        self.jobs.spreads.is_empty()
    }

    fn run_peer(&mut self, turn: &mut Turn<'_>, from: ShardId) -> bool {
        let Some(waiting) = self.jobs.peers.get_mut(&from) else { return true };
        let mut left = None;
        match waiting.pop_front() {
            Some(Heard::Delivery { delivery, next }) => {
                let Delivery { message, targets, .. } = &delivery;
                left = self
                    .run_delivery(turn, message, (targets, &[]), next)
                    .map(|next| Heard::Delivery { delivery, next });
            }
            Some(Heard::Passed { asker, request, kept }) => {
                self.passed(turn, from, asker, (request, kept));
            }
            None => {}
        }
        // Nothing is said to this shard meanwhile but by itself, and that is heard later.
        let Some(waiting) = self.jobs.peers.get_mut(&from) else { return true };
        left.into_iter().for_each(|left| waiting.push_front(left));
        if waiting.is_empty() {
            self.jobs.peers.remove(&from);
            return true;
        }
        false
    }

    fn run_ending(&mut self, turn: &mut Turn<'_>) -> bool {
        let left = match self.jobs.ends.pop_front() {
            Some(Ending::Unsubscribe { tenant, number, mut rest }) => {
                for held in self.portion(&mut rest) {
                    self.remove_from_index(turn, tenant, &held.filter, number);
                }
                (!rest.is_empty()).then_some(Ending::Unsubscribe { tenant, number, rest })
            }
            Some(Ending::Leave { number, mut rest }) => {
                for (group, keep) in self.portion(&mut rest) {
                    let home = self.group_home(group);
                    let leave = PeerMessage::ShareLeave { group, session: number, keep };
                    self.tell(turn, home, leave);
                }
                (!rest.is_empty()).then_some(Ending::Leave { number, rest })
            }
            Some(Ending::Discard { mut queue }) => {
                self.discard(&mut queue, self.budget);
                self.budget = 0;
                (!queue.is_empty()).then_some(Ending::Discard { queue })
            }
            None => None,
        };
        left.into_iter().for_each(|left| self.jobs.ends.push_front(left));
        self.jobs.ends.is_empty()
    }

    /// As much as the budget allows, from the end.
    fn portion<T>(&mut self, rest: &mut Vec<T>) -> Vec<T> {
        let now = rest.split_off(rest.len().saturating_sub(self.budget as usize));
        self.budget -= now.len() as u32;
        now
    }

    fn run_ask(&mut self, turn: &mut Turn<'_>) -> bool {
        let number = self.jobs.asks.pop_front();
        if let Some(slot) = number.and_then(|number| self.sessions.slot_of(number)) {
            self.ask_on_again(turn, slot);
        }
        self.jobs.asks.is_empty()
    }

    fn run_recheck(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(slot) = self.jobs.recheck else { return true };
        if slot >= self.sessions.slots_end() {
            self.jobs.recheck = None;
            return true;
        }
        self.jobs.recheck = Some(slot + 1);
        if self.sessions.get_mut(slot).is_some() {
            let seen = self.recheck(turn, slot);
            self.budget = self.budget.saturating_sub(seen as u32);
        }
        false
    }

    fn search_on(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(mut search) = self.jobs.search.take() else { return true };
        let done = self.run_search(turn, &mut search);
        self.jobs.search = (!done).then_some(search);
        done
    }

    /// Delivers from `next` on and says where to go on.
    fn run_delivery(
        &mut self,
        turn: &mut Turn<'_>,
        message: &Arc<Message>,
        (targets, slots): (&[Target], &[u32]),
        next: u32,
    ) -> Option<u32> {
        let mut outbound = Outbound::of_message(message);
        let end = (next + self.budget).min(targets.len() as u32);
        self.budget -= end - next;
        let slots = slots.iter().copied().chain(std::iter::repeat(u32::MAX));
        let near = targets.iter().zip(slots).take(end as usize).skip(next as usize);
        for near in near {
            self.deliver_near(turn, near, &mut outbound, false);
        }
        (end < targets.len() as u32).then_some(end)
    }

    /// Refuses new connections and ends all others. (DISCONNECT 0x8B)
    pub(crate) fn shutdown(&mut self, turn: &mut Turn<'_>) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        self.jobs.shutdown = Some(0);
        self.run_jobs(turn);
    }

    fn run_shutdown(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(next) = self.jobs.shutdown else { return true };
        if next >= self.connections.end() {
            self.jobs.shutdown = None;
            turn.out.effects.push(Effect::Stopped);
            return true;
        }
        self.jobs.shutdown = Some(next + 1);
        let conn = ConnId(next);
        let why = "the broker is shutting down";
        match self.connections.get(conn).map(|connection| connection.is_live()) {
            Some(true) => self.end(turn, conn, ReasonCode::ServerShuttingDown, why),
            Some(false) => self.lose(turn, conn, ReasonCode::ServerShuttingDown, why),
            None => {}
        }
        false
    }
}
