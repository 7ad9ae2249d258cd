//! From a topic to its receivers: the index asked once, the answer kept per topic.

use crate::broker::{Broker, Turn};
use crate::identity::{ConnId, ShardId, Tenant};
use crate::index::{Match, Receiver};
use crate::outbound::Outbound;
use crate::peer::{Delivery, PeerMessage, Target};
use crate::record::Receivers;
use crate::rights::Asked;
use crate::seed::Seed;
use crate::verdict::Verdict;
use hashbrown::HashTable;
use noctule_proto::QoS;
use std::sync::Arc;

/// Who receives a topic, grouped by shard.
#[derive(Debug)]
pub(crate) struct Route {
    tenant: Tenant,
    topic: Box<str>,
    generation: u64,
    /// Receivers at home here.
    pub(crate) here: Arc<[Target]>,
    /// Where their sessions lay when the route was made: a guess, verified by number.
    slots: Arc<[u32]>,
    /// Receivers elsewhere.
    pub(crate) there: Vec<(ShardId, Arc<[Target]>)>,
    /// Of those who have subscribed, how many here may not be given it, and are not among `here`.
    withheld: u32,
    /// Among them are some whose deliveries of QoS 1 and 2 are recorded.
    recorded: bool,
    /// What the records of messages of QoS 1 and of QoS 2 say of them, unless that depends on who
    /// publishes; made on first need.
    receipts: [Option<Receivers>; 2],
    by_publisher: bool,
}

impl Route {
    pub(crate) fn is_empty(&self) -> bool {
        self.here.is_empty() && self.there.is_empty()
    }

    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// What the record of a message says of its receivers.
    pub(crate) fn receivers(&mut self, outbound: &Outbound<'_>) -> Receivers {
        let made = match outbound.qos {
            QoS::AtLeastOnce => Some(0),
            QoS::ExactlyOnce => Some(1),
            QoS::AtMostOnce => None,
        };
        let made = made.filter(|_| !outbound.retain && !self.by_publisher);
        if let Some(at) = made
            && let Some(receivers) = &self.receipts[at]
        {
            return receivers.clone();
        }
        let targets = self.here.iter().chain(self.there.iter().flat_map(|(_, all)| &**all));
        let receivers: Receivers = targets.filter_map(|target| target.receipt(outbound)).collect();
        if let Some(at) = made {
            self.receipts[at] = Some(receivers.clone());
        }
        receivers
    }

    fn is_of(&self, tenant: Tenant, topic: &str) -> bool {
        *self.topic == *topic && self.tenant == tenant
    }

    fn bytes(&self) -> usize {
        let there: usize = self.there.iter().map(|(_, targets)| targets.len()).sum();
        // Receivers as they are routed to, and as they are recorded, at two QoS.
        let each = if self.recorded { 36 + 48 } else { 36 };
        size_of::<Route>() + self.topic.len() + each * (self.here.len() + there + 2)
    }
}

/// Numbers of routes that are given before they begin anew: enough are left for those in between.
const NUMBERS_MAX: u32 = 1 << 31;

/// Where a publisher's last route lies, and at which version of the index it was good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastRoute {
    pub(crate) at: u32,
    /// In which ways the publisher was found to be allowed to publish there: a bit for each QoS,
    /// without RETAIN and with it. No other topic's route is ever at the same number.
    pub(crate) permitted: u8,
    version: u64,
}

impl Default for LastRoute {
    fn default() -> LastRoute {
        LastRoute { at: u32::MAX, permitted: 0, version: u64::MAX }
    }
}

/// Routes by topic, bounded in bytes: when full it is emptied, which costs each topic one question.
/// Each has a number, which no route of another topic is given: publishers know theirs by it.
#[derive(Debug, Default)]
pub(crate) struct RouteCache {
    /// `None` while a route is being used.
    routes: Vec<Option<Box<Route>>>,
    /// Number of the first of them.
    first: u32,
    by_topic: HashTable<u32>,
    bytes: usize,
    /// Routes lent out.
    lent: u32,
    matches: Vec<Match>,
}

impl RouteCache {
    fn get(&self, at: u32) -> Option<&Route> {
        self.routes.get(position(self.first, at)?)?.as_deref()
    }

    fn find(&self, hash: u64, tenant: Tenant, topic: &str) -> Option<u32> {
        let is_it = |at: &u32| self.get(*at).is_some_and(|route| route.is_of(tenant, topic));
        self.by_topic.find(hash, is_it).copied()
    }

    fn insert(&mut self, seed: &Seed, hash: u64, route: Route, bytes_max: usize) -> u32 {
        // A route in use cannot be hashed again, so the table is emptied, never grown, meanwhile.
        if self.bytes + route.bytes() > bytes_max || (self.lent > 0 && self.grows()) {
            self.clear();
        }
        self.bytes += route.bytes();
        let at = self.first + self.routes.len() as u32;
        self.routes.push(Some(Box::new(route)));
        let (routes, first) = (&self.routes, self.first);
        self.by_topic.insert_unique(hash, at, |at| {
            let route = position(first, *at).and_then(|at| routes.get(at)?.as_ref());
            route.map_or(0, |route| key(seed, route.tenant, &route.topic))
        });
        at
    }

    /// Whether numbers have run out, and none is in use: who remembers one has to forget it.
    fn is_worn_out(&self) -> bool {
        self.first > NUMBERS_MAX && self.lent == 0
    }

    /// Forgets all: who receives what has changed.
    pub(crate) fn clear(&mut self) {
        self.first += self.routes.len() as u32;
        self.routes.clear();
        self.by_topic.clear();
        self.bytes = 0;
    }

    /// Forgets all, and gives the memory back.
    pub(crate) fn let_go(&mut self) {
        self.clear();
        self.routes = Vec::new();
        self.by_topic = HashTable::new();
        self.matches = Vec::new();
    }

    fn grows(&self) -> bool {
        self.by_topic.len() == self.by_topic.capacity()
    }

    fn replace(&mut self, at: u32, route: Route) {
        let place = position(self.first, at).and_then(|at| self.routes.get_mut(at)?.as_mut());
        if let Some(old) = place {
            self.bytes = self.bytes + route.bytes() - old.bytes();
            **old = route;
        }
    }

    /// Lends a route out, so that the broker can be changed while it is walked.
    fn lend(&mut self, at: u32) -> Option<Box<Route>> {
        let route = self.routes.get_mut(position(self.first, at)?)?.take()?;
        self.lent += 1;
        Some(route)
    }

    fn give_back(&mut self, at: u32, route: Box<Route>) {
        self.lent = self.lent.saturating_sub(1);
        // The cache may have been emptied meanwhile.
        let place = position(self.first, at).and_then(|at| self.routes.get_mut(at));
        if let Some(place @ None) = place {
            *place = Some(route);
        }
    }
}

fn position(first: u32, at: u32) -> Option<usize> {
    at.checked_sub(first).map(|at| at as usize)
}

fn key(seed: &Seed, tenant: Tenant, topic: &str) -> u64 {
    seed.of((tenant, topic))
}

/// A route lent by the cache; to be given back.
pub(crate) struct Lent {
    at: u32,
    pub(crate) route: Box<Route>,
}

impl Broker {
    /// The receivers of a topic. `last` remembers where a publisher's previous answer lies.
    pub(crate) fn route(
        &mut self,
        turn: &Turn<'_>,
        (tenant, topic): (Tenant, &str),
        last: &mut LastRoute,
    ) -> Lent {
        let version = turn.index.version();
        let again = last.version == version
            && self.routes.get(last.at).is_some_and(|route| route.is_of(tenant, topic));
        if again {
            self.counters.route_hits += 1;
        } else {
            let at = self.find_route(turn, (tenant, topic));
            *last = LastRoute { at, permitted: 0, version };
        }
        let at = last.at;
        match self.routes.lend(at) {
            Some(route) => Lent { at, route },
            // It is in use further up: work it out again.
            None => {
                let generation = turn.index.generation(tenant, topic);
                let route = self.ask_index(turn, (tenant, topic), generation);
                Lent { at, route: Box::new(route) }
            }
        }
    }

    /// Whether a publisher's last route is that of this topic.
    pub(crate) fn is_last_route(&self, last: LastRoute, (tenant, topic): (Tenant, &str)) -> bool {
        self.routes.get(last.at).is_some_and(|route| route.is_of(tenant, topic))
    }

    pub(crate) fn route_back(&mut self, lent: Lent) {
        self.routes.give_back(lent.at, lent.route);
    }

    fn find_route(&mut self, turn: &Turn<'_>, (tenant, topic): (Tenant, &str)) -> u32 {
        let generation = turn.index.generation(tenant, topic);
        let hash = key(&self.homes.seed, tenant, topic);
        let found = self.routes.find(hash, tenant, topic);
        if let Some(at) = found
            && self.routes.get(at).is_some_and(|route| route.generation == generation)
        {
            self.counters.route_hits += 1;
            return at;
        }
        self.counters.route_misses += 1;
        let route = self.ask_index(turn, (tenant, topic), generation);
        // Asking may have shown that rights have changed, and the cache was emptied.
        let is_there = |at: &u32| self.routes.get(*at).is_some_and(|it| it.is_of(tenant, topic));
        match found.filter(is_there) {
            Some(at) => {
                self.routes.replace(at, route);
                at
            }
            None => {
                if self.routes.is_worn_out() {
                    self.routes = RouteCache::default();
                    self.connections.forget_routes();
                }
                let bytes_max = self.shortage.cache_bytes(self.limits.route_cache_bytes);
                self.routes.insert(&self.homes.seed, hash, route, bytes_max)
            }
        }
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
        let (mut here, mut withheld) = (Arc::new([]) as Arc<[Target]>, 0);
        let mut there: Vec<(ShardId, Arc<[Target]>)> = Vec::new();
        let mut hash = None;
        for group in matches.chunk_by(|a, b| a.shard == b.shard) {
            if group[0].shard == self.me {
                let permitted = group.iter().filter(|found| self.is_for(found, topic, &mut hash));
                here = permitted.map(target).collect();
                withheld = (group.len() - here.len()) as u32;
            } else {
                there.push((group[0].shard, group.iter().map(target).collect()));
            }
        }
        self.routes.matches = matches;
        let slots = here.iter().map(|target| match target.receiver {
            Receiver::Session(number) => self.sessions.slot_of(number).unwrap_or(u32::MAX),
            Receiver::Group(_) => u32::MAX,
        });
        let slots = slots.collect();
        let targets = || here.iter().chain(there.iter().flat_map(|(_, all)| all.iter()));
        let recorded = targets().any(|target| match target.receiver {
            Receiver::Session(number) => number.is_recorded(),
            Receiver::Group(_) => true,
        });
        let by_publisher = targets().any(|target| target.options.no_local);
        let (topic, receipts) = (topic.into(), [None, None]);
        Route {
            tenant,
            topic,
            generation,
            here,
            slots,
            there,
            withheld,
            recorded,
            receipts,
            by_publisher,
        }
    }

    /// Whether somebody at home here who has subscribed may be given messages of a topic. Share
    /// groups ask their members when they are given one.
    fn is_for(&mut self, found: &Match, topic: &str, hash: &mut Option<u64>) -> bool {
        let slot = match found.receiver {
            Receiver::Session(number) => self.sessions.slot_of(number),
            Receiver::Group(_) => None,
        };
        slot.is_none_or(|slot| self.may_receive(slot, Asked { topic, hash }))
    }

    /// Gives a message to all receivers of a route: those here now, the others through their
    /// shards. `conn` is who published, held if there is more to do than a turn allows.
    /// [MQTT-4.5.0-1 v5], [MQTT-4.5.0-1 v3.1.1].
    pub(crate) fn spread(
        &mut self,
        turn: &mut Turn<'_>,
        route: &Route,
        outbound: &mut Outbound<'_>,
        conn: Option<ConnId>,
    ) {
        self.counters.verdicts[Verdict::ReceiverNotAuthorized as usize] +=
            u64::from(route.withheld);
        if route.is_empty() {
            self.counters.verdict(Verdict::NoSubscriber);
            return;
        }
        for (shard, targets) in &route.there {
            let sole = route.here.is_empty() && route.there.len() == 1;
            let delivery =
                Delivery { message: outbound.shared(), targets: Arc::clone(targets), sole };
            turn.out.peers.push((*shard, PeerMessage::Deliver(delivery)));
            if let Some(conn) = conn {
                self.hold_for_peer(turn, *shard, conn);
            }
        }
        if route.here.len() > self.budget as usize && route.here.len() > 16 {
            let targets = (Arc::clone(&route.here), Arc::clone(&route.slots));
            self.spread_later(turn, targets, outbound.shared(), conn);
            return;
        }
        self.budget = self.budget.saturating_sub(route.here.len() as u32);
        let sole = route.there.is_empty();
        let mut behind = sole && !route.here.is_empty();
        for (target, slot) in route.here.iter().zip(&*route.slots) {
            behind &= self.deliver_near(turn, (target, *slot), outbound, sole);
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

    /// The same for a receiver that is likely to be found at a slot.
    #[inline]
    pub(crate) fn deliver_near(
        &mut self,
        turn: &mut Turn<'_>,
        (target, slot): (&Target, u32),
        outbound: &mut Outbound<'_>,
        sole: bool,
    ) -> bool {
        match target.receiver {
            // Its right was looked at when the route was made.
            Receiver::Session(number) if self.sessions.is_at(slot, number) => {
                self.deliver_permitted(turn, slot, (outbound, sole), target)
            }
            Receiver::Session(_) | Receiver::Group(_) => {
                self.deliver_to(turn, target, outbound, sole)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_given_twice_however_often_the_cache_is_emptied() {
        let (seed, mut cache) = (Seed::new(7), RouteCache::default());
        let insert = |cache: &mut RouteCache, topic: &str| {
            let route = Route {
                tenant: Tenant(0),
                topic: topic.into(),
                generation: 0,
                here: Arc::new([]),
                slots: Arc::new([]),
                there: Vec::new(),
                withheld: 0,
                recorded: false,
                receipts: [None, None],
                by_publisher: false,
            };
            // There is room for one at a time.
            cache.insert(&seed, key(&seed, Tenant(0), topic), route, 0)
        };
        let first = insert(&mut cache, "a");
        assert!(cache.get(first).is_some_and(|route| route.is_of(Tenant(0), "a")));
        let second = insert(&mut cache, "b");
        assert!(first != second && cache.get(first).is_none());
        assert_eq!(cache.find(key(&seed, Tenant(0), "b"), Tenant(0), "b"), Some(second));
        let lent = cache.lend(second).unwrap();
        let third = insert(&mut cache, "c");
        cache.give_back(second, lent);
        assert!(cache.get(third).is_some_and(|route| route.is_of(Tenant(0), "c")));
        cache.first = NUMBERS_MAX + 1;
        assert!(cache.is_worn_out());
    }
}
