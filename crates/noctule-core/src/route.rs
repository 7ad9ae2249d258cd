//! From a topic to its receivers: the index asked once, the answer kept per topic.

use crate::broker::{Broker, Turn};
use crate::identity::{ConnId, ShardId, Tenant};
use crate::index::{Match, Receiver};
use crate::outbound::Outbound;
use crate::peer::{Delivery, PeerMessage, Target};
use crate::verdict::Verdict;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Who receives a topic, grouped by shard.
#[derive(Debug)]
pub(crate) struct Route {
    tenant: Tenant,
    topic: Box<str>,
    generation: u64,
    /// Receivers at home here.
    pub(crate) here: Arc<[Target]>,
    /// Receivers elsewhere.
    pub(crate) there: Vec<(ShardId, Arc<[Target]>)>,
}

impl Route {
    pub(crate) fn is_empty(&self) -> bool {
        self.here.is_empty() && self.there.is_empty()
    }

    fn bytes(&self) -> usize {
        let there: usize = self.there.iter().map(|(_, targets)| targets.len()).sum();
        size_of::<Route>() + self.topic.len() + 32 * (self.here.len() + there + 2)
    }
}

/// Routes by topic, bounded in bytes: when full it is emptied, which costs each topic one question.
#[derive(Debug, Default)]
pub(crate) struct RouteCache {
    routes: Vec<Arc<Route>>,
    by_topic: HashTable<u32>,
    bytes: usize,
    matches: Vec<Match>,
}

impl RouteCache {
    /// The route a connection used last, if it is that of `topic` and still good.
    fn again(&self, at: u32, tenant: Tenant, topic: &str, generation: u64) -> Option<&Arc<Route>> {
        self.routes.get(at as usize).filter(|route| {
            route.generation == generation && *route.topic == *topic && route.tenant == tenant
        })
    }

    fn find(&self, hash: u64, tenant: Tenant, topic: &str) -> Option<u32> {
        self.by_topic
            .find(hash, |at| {
                let route = &self.routes[*at as usize];
                route.tenant == tenant && *route.topic == *topic
            })
            .copied()
    }

    fn insert(&mut self, hash: u64, route: Route, bytes_max: usize) -> u32 {
        if self.bytes + route.bytes() > bytes_max {
            self.routes.clear();
            self.by_topic.clear();
            self.bytes = 0;
        }
        self.bytes += route.bytes();
        let at = self.routes.len() as u32;
        self.routes.push(Arc::new(route));
        let routes = &self.routes;
        self.by_topic.insert_unique(hash, at, |at| {
            let route = &routes[*at as usize];
            key(route.tenant, &route.topic)
        });
        at
    }

    fn replace(&mut self, at: u32, route: Route) {
        let old = &mut self.routes[at as usize];
        self.bytes = self.bytes + route.bytes() - old.bytes();
        *old = Arc::new(route);
    }
}

fn key(tenant: Tenant, topic: &str) -> u64 {
    FixedState::default().hash_one((tenant, topic))
}

impl Broker {
    /// The receivers of a topic. `last` remembers where a publisher's previous answer lies.
    pub(crate) fn route(
        &mut self,
        turn: &Turn<'_>,
        (tenant, topic): (Tenant, &str),
        last: &mut u32,
    ) -> Arc<Route> {
        let generation = turn.index.generation(tenant, topic);
        if let Some(route) = self.routes.again(*last, tenant, topic, generation) {
            self.counters.route_hits += 1;
            return Arc::clone(route);
        }
        let hash = key(tenant, topic);
        let found = self.routes.find(hash, tenant, topic);
        let good = found.filter(|at| self.routes.routes[*at as usize].generation == generation);
        *last = match (good, found) {
            (Some(at), _) => {
                self.counters.route_hits += 1;
                at
            }
            (None, stale) => {
                self.counters.route_misses += 1;
                let route = self.ask_index(turn, (tenant, topic), generation);
                match stale {
                    Some(at) => {
                        self.routes.replace(at, route);
                        at
                    }
                    None => {
                        let max = self.limits.route_cache_bytes as usize;
                        self.routes.insert(hash, route, max)
                    }
                }
            }
        };
        Arc::clone(&self.routes.routes[*last as usize])
    }

    fn ask_index(
        &mut self,
        turn: &Turn<'_>,
        (tenant, topic): (Tenant, &str),
        generation: u64,
    ) -> Route {
        let mut matches = std::mem::take(&mut self.routes.matches);
        matches.clear();
        turn.index.route(tenant, topic, &mut matches);
        // Stable: receivers of one shard keep the order of the index.
        matches.sort_by_key(|found| found.shard);
        let mut here: Arc<[Target]> = Arc::new([]);
        let mut there = Vec::new();
        for group in matches.chunk_by(|a, b| a.shard == b.shard) {
            let targets = group.iter().map(target).collect();
            if group[0].shard == self.me {
                here = targets;
            } else {
                there.push((group[0].shard, targets));
            }
        }
        self.routes.matches = matches;
        Route { tenant, topic: topic.into(), generation, here, there }
    }

    /// Gives a message to all receivers of a route: those here now, the others through their
    /// shards. `conn` is who published, held if there is more to do than a turn allows.
    pub(crate) fn spread(
        &mut self,
        turn: &mut Turn<'_>,
        route: &Route,
        outbound: &mut Outbound<'_>,
        conn: Option<ConnId>,
    ) {
        if route.is_empty() {
            self.counters.verdict(Verdict::NoSubscriber);
            return;
        }
        for (shard, targets) in &route.there {
            let sole = route.here.is_empty() && route.there.len() == 1;
            let delivery =
                Delivery { message: outbound.shared(), targets: Arc::clone(targets), sole };
            turn.out.peers.push((*shard, PeerMessage::Deliver(delivery)));
            if self.full_peers.contains(*shard)
                && let Some(conn) = conn
                && !self.full_peers.waiting.contains(&conn)
            {
                self.full_peers.waiting.push(conn);
                self.hold(turn, conn);
            }
        }
        if route.here.len() > self.budget as usize && route.here.len() > 16 {
            self.spread_later(turn, Arc::clone(&route.here), outbound.shared(), conn);
            return;
        }
        self.budget = self.budget.saturating_sub(route.here.len() as u32);
        let sole = route.there.is_empty();
        let mut behind = sole && !route.here.is_empty();
        for target in &*route.here {
            behind &= self.deliver_to(turn, target, outbound, sole);
        }
        if behind {
            self.all_behind(turn, self.me, &route.here, outbound.publisher);
        }
    }

    /// A message from another shard for receivers here.
    pub(crate) fn deliver_here(&mut self, turn: &mut Turn<'_>, from: ShardId, delivery: Delivery) {
        let many = delivery.targets.len() > self.budget as usize && delivery.targets.len() > 16;
        // What a job of that peer has not delivered yet comes first: order.
        if many || self.jobs.has_delivery_of(from) {
            self.jobs.deliver(from, delivery);
            return;
        }
        self.budget = self.budget.saturating_sub(delivery.targets.len() as u32);
        let mut outbound = Outbound::of_message(&delivery.message);
        let mut behind = delivery.sole;
        for target in &*delivery.targets {
            behind &= self.deliver_to(turn, target, &mut outbound, delivery.sole);
        }
        if behind {
            self.all_behind(turn, from, &delivery.targets, outbound.publisher);
        }
    }

    /// One receiver; says whether it is behind (a receiver that is gone is).
    pub(crate) fn deliver_to(
        &mut self,
        turn: &mut Turn<'_>,
        target: &Target,
        outbound: &mut Outbound<'_>,
        sole: bool,
    ) -> bool {
        match target.receiver {
            Receiver::Session(number) => match self.sessions.slot_of(number) {
                Some(slot) => self.deliver(turn, slot, (outbound, sole), target),
                None => true,
            },
            Receiver::Group(group) => {
                self.share_out(turn, group, outbound);
                false
            }
        }
    }
}

fn target(found: &Match) -> Target {
    Target {
        receiver: found.receiver,
        options: found.options,
        subscription_id: found.subscription_id,
        group: None,
    }
}
