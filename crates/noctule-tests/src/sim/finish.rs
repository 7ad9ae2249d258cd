//! The end of a run: everybody comes back, everything arrives, everything is counted, and when all
//! have gone nothing is left.

use super::world::World;
use noctule_core::ShardId;
use noctule_core::counters::Counters;
use noctule_core::limits::ClientLimits;
use noctule_core::verdict::Verdict;

impl World {
    /// Checks everything that is promised for the end.
    pub(crate) fn finish(&mut self) {
        if self.plan.dies && self.percent(50) {
            self.die();
        }
        self.ledger.trace(|| "everybody comes back".into());
        self.stuck.clear();
        for client in 0..self.plan.clients {
            if self.clients[client].asleep {
                self.sleep(client);
            }
        }
        self.drain();
        self.check_promises();
        self.observe();
        self.check_promises();
        self.check_counts();
        self.leave();
    }

    /// Until nothing moves: bytes flow, clients answer and reconnect.
    fn drain(&mut self) {
        let mut paused = 0;
        // Who published too much is let go by and by, a message at a time.
        let patience = if self.plan.limits.client == ClientLimits::default() { 3 } else { 1000 };
        for _ in 0..4000 {
            for at in 0..self.live.len() {
                self.links[self.live[at]].stalled = false;
            }
            for client in 0..self.plan.clients {
                if self.clients[client].link.is_none() {
                    self.connect(client, false);
                }
            }
            self.settle();
            self.set_time(self.now() + 2);
            self.rest();
            let moved = self.is_moving();
            if self.paused() && !moved {
                paused += 1;
                if paused == patience {
                    for number in &self.live {
                        let link = &self.links[*number];
                        if self.node.is_paused(link.line) {
                            self.ledger.trace(|| format!("paused: {link:?}"));
                        }
                    }
                    self.ledger.trace(|| format!("{:#?}", self.node.broker(ShardId(0))));
                }
                assert!(paused < patience, "publishers are held although everybody has caught up");
                self.set_time(self.now() + u64::from(self.plan.limits.stall_millis));
                self.rest();
                continue;
            }
            if !moved && self.clients[..self.plan.clients].iter().all(|c| c.link.is_some()) {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// Every byte moves once in each direction; whether some have to again.
    fn settle(&mut self) -> bool {
        for at in 0..self.live.len() {
            let number = self.live[at];
            self.carry_up(number, usize::MAX);
            self.hear(number, usize::MAX);
            self.watch_backlog(number);
            let link = &self.links[number];
            if link.given_up && link.sent.is_empty() && link.goodbye.is_none() {
                self.hang_up(number);
            }
        }
        self.rest();
        self.bury();
        self.is_moving()
    }

    /// Whether bytes are on their way, or an end that one side does not know of.
    fn is_moving(&self) -> bool {
        let mut live = self.live.iter().map(|number| &self.links[*number]);
        live.any(|link| {
            let leaving = link.given_up && link.goodbye.is_none();
            !link.up.is_empty() || !link.down.is_empty() || link.closed || leaving
        })
    }

    fn paused(&self) -> bool {
        self.live.iter().any(|number| self.node.is_paused(self.links[*number].line))
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut all = Counters::default();
        for shard in 0..self.node.shards() {
            all.add(self.node.broker(ShardId(shard)).counters());
        }
        all
    }

    fn check_promises(&mut self) {
        for client in &self.clients[..self.plan.clients] {
            let link = &self.links[client.link.expect("everybody is back")];
            assert!(
                client.sending.is_empty()
                    && link.asking.is_empty()
                    && link.pubacks.is_empty()
                    && link.pings == 0,
                "client {} waits for an answer: {:?} {:?} {:?} {}",
                client.id,
                client.sending,
                link.asking,
                link.pubacks,
                link.pings,
            );
            assert!(link.open.is_empty(), "client {} has messages open", client.id);
        }
        let counters = self.counted();
        let lost = |verdict: Verdict| counters.verdicts[verdict as usize];
        let lost = lost(Verdict::QueueFullNewest)
            + lost(Verdict::QueueFullOldest)
            + lost(Verdict::GroupFull);
        self.ledger.nothing_is_missing(lost);
    }

    /// Two clients that never were here subscribe to everything.
    fn observe(&mut self) {
        self.ledger.trace(|| "observers come".into());
        let first = self.plan.clients + 1;
        for client in first..first + 2 {
            self.connect(client, true);
        }
        while self.settle() {}
        for client in first..first + 2 {
            let link = self.clients[client].link.expect("it just connected");
            let wanted = ["t/#", "r/#", "w/#", "$r/#"]
                .map(|text| super::ledger::Wanted {
                    filter: self.ledger.universe.filter(text),
                    options: noctule_proto::packet::SubscribeOptions {
                        qos: noctule_proto::QoS::ExactlyOnce,
                        ..Default::default()
                    },
                    subscription_id: 0,
                })
                .to_vec();
            let now = self.now();
            self.clients[client].subscribe(&mut self.links[link], (&self.ledger, now), wanted);
        }
        while self.settle() {}
    }

    /// The brokers count what the ledger counts.
    fn check_counts(&mut self) {
        let counters = self.counters();
        let sessions: Vec<usize> = self.ledger.current.iter().copied().flatten().collect();
        assert_eq!(counters.sessions_now, sessions.len() as u64, "sessions");
        assert_eq!(counters.queued_now, 0, "messages still wait");
        assert_eq!(counters.inflight_now, 0, "messages are still open");
        let slots = sessions.iter().flat_map(|session| &self.ledger.sessions[*session].slots);
        let slots: Vec<_> = slots.map(|slot| &self.ledger.slots[*slot]).collect();
        let universe = &self.ledger.universe;
        let count = |shared: bool| {
            let of_kind =
                slots.iter().filter(|s| universe.filters[s.filter].group.is_some() == shared);
            of_kind.filter(|slot| slot.alive()).count() as u64
        };
        assert_eq!(counters.subscriptions_now, count(false), "subscriptions");
        assert_eq!(counters.shared_subscriptions_now, count(true), "shared subscriptions");
        self.check_retained(&counters);
    }

    fn check_retained(&mut self, counters: &Counters) {
        // Shards drop what has expired at their next tick.
        let topics = 0..self.ledger.universe.topics.len();
        let all: Option<Vec<bool>> =
            topics.map(|topic| self.ledger.has_retained_message(topic, self.now())).collect();
        if let Some(all) = all {
            self.ledger.trace(|| format!("topics with a retained message: {all:?}"));
            let count = all.iter().filter(|there| **there).count() as u64;
            assert_eq!(counters.retained_now, count, "retained messages");
        }
    }

    /// All sessions end: nothing is left but what is retained.
    fn leave(&mut self) {
        self.ledger.trace(|| "everybody leaves".into());
        for client in 0..self.clients.len() {
            if client < self.plan.clients {
                self.connect(client, true);
            }
        }
        while self.settle() {}
        for client in 0..self.clients.len() {
            let now = self.now();
            let link = self.clients[client].link.expect("it is connected");
            let link = &mut self.links[link];
            let expiry = (link.terms.expiry_secs > 0).then_some(0);
            self.clients[client].disconnect(link, now, (false, expiry));
        }
        while self.settle() {}
        // v3 sessions with Clean Session 1 and v5 sessions with expiry 0 have ended.
        if self.deaths.count > 0 {
            // Share groups of an earlier run that nobody came back to.
            self.set_time(self.now() + 61_000);
            self.rest();
        }
        let counters = self.counters();
        assert_eq!(counters.sessions_now, 0, "sessions are left");
        assert_eq!(counters.connections_now, 0, "connections are left");
        assert_eq!(counters.subscriptions_now, 0, "subscriptions are left");
        assert_eq!(counters.shared_subscriptions_now, 0, "shared subscriptions are left");
        assert_eq!(self.node.index().len(), 0, "the index still holds subscriptions");
        self.node.index().check();
    }

    /// What the brokers counted in all.
    pub(crate) fn counted(&self) -> Counters {
        let mut all = self.deaths.counted.clone();
        all.add(&self.counters());
        all
    }
}
