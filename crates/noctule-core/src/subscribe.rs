//! SUBSCRIBE and UNSUBSCRIBE.

use crate::broker::{Broker, Turn};
use crate::connect::too_deep;
use crate::grant::Actions;
use crate::identity::{ConnId, GroupNumber, SessionNumber, Tenant};
use crate::index::{IndexChange, Match, Receiver};
use crate::job::Ending;
use crate::output::Event;
use crate::record::Record;
use crate::retained::Wish;
use crate::session::HeldSubscription;
use crate::shortage::MEMORY_SHORT;
use crate::store_room::DISK_FULL;
use crate::wait::{Reply, Wait};
use noctule_proto::packet::{RetainHandling, Subscribe, SubscribeOptions, Unsubscribe};
use noctule_proto::{QoS, ReasonCode, TopicFilter, Version};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Filters of one SUBSCRIBE or UNSUBSCRIBE that are looked at: with more, one packet could stall a
/// shard.
const FILTERS_MAX: usize = 131_072;

/// What the bridge bit of a 3.x CONNECT asks for: a bridge does not get back what it sends, and has
/// to see which messages are to be retained.
fn for_bridge(options: SubscribeOptions) -> SubscribeOptions {
    SubscribeOptions { no_local: true, retain_as_published: true, ..options }
}

/// What a SUBSCRIBE gathers on its way through the filters.
struct Gathered {
    wait: Wait,
    codes: Vec<u8>,
    why: Option<&'static str>,
    wishes: Vec<Wish>,
    /// Highest QoS that the client is granted.
    qos_max: QoS,
    /// Retained messages are there for it.
    retain_available: bool,
}

/// What an UNSUBSCRIBE gathers on its way.
#[derive(Default)]
struct Leaving {
    wait: Wait,
    groups: BTreeSet<GroupNumber>,
}

impl Broker {
    /// [MQTT-3.8.4-1 v5], [MQTT-3.8.4-5 v5], [MQTT-3.8.4-6 v5], [MQTT-3.8.4-4 v3.1.1]
    /// [V31-3.8-2], [MQTT-2.2.1-6 v5], [MQTT-3.8.4-2 v5], [MQTT-3.8.4-7 v5], [MQTT-2.3.1-7 v3.1.1],
    /// [MQTT-3.8.4-1 v3.1.1], [MQTT-3.8.4-2 v3.1.1], [MQTT-3.8.4-5 v3.1.1].
    pub(crate) fn subscribe(&mut self, turn: &mut Turn<'_>, conn: ConnId, packet: &Subscribe<'_>) {
        let Some(connection) = self.connections.get(conn) else { return };
        let (slot, version) = (connection.session, connection.version);
        let bridge = connection.bridge;
        // In v5 the client was told in CONNACK; before v5 each filter is refused by itself.
        if version == Version::V5
            && let Some((reason, why)) = self.unannounced(packet)
        {
            self.fail(turn, conn, reason, why);
            return;
        }
        let Some(connection) = self.connections.get(conn) else { return };
        let (qos_max, retain_available) = self.held_to(connection);
        let mut gathered = Gathered {
            wait: Wait { request: self.waits.join_request(), ..Wait::default() },
            codes: Vec::new(),
            why: None,
            wishes: Vec::new(),
            qos_max,
            retain_available,
        };
        for (at, (filter, options)) in packet.filters.into_iter().enumerate() {
            let options = if bridge { for_bridge(options) } else { options };
            let id = packet.subscription_id.unwrap_or(0);
            let asked = (filter, options, id);
            let done = if at < FILTERS_MAX {
                self.subscribe_one(turn, (conn, slot), asked, &mut gathered)
            } else {
                Err((ReasonCode::QuotaExceeded, "too many filters in one packet"))
            };
            if let Err((reason, why)) = done {
                if reason == ReasonCode::NotAuthorized {
                    self.denied(turn, conn, Actions::SUBSCRIBE, filter.as_str());
                }
                // MQTT 3.1 has no code for a failure: what was asked for is said to be granted,
                // and nothing is delivered. [V31-3.8-3]
                let v31 = version == Version::V31;
                gathered.codes.push(if v31 { options.qos as u8 } else { reason as u8 });
                gathered.why = Some(why);
            }
        }
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.traffic.subscribe(gathered.codes.len());
        }
        let reply = Reply::SubAck {
            id: packet.packet_id,
            codes: gathered.codes.into(),
            why: gathered.why.map(Into::into),
            wishes: gathered.wishes,
        };
        self.reply(turn, conn, gathered.wait, reply);
    }

    /// One filter, as the client says it.
    fn subscribe_one(
        &mut self,
        turn: &mut Turn<'_>,
        (conn, slot): (ConnId, u32),
        (filter, options, id): (TopicFilter<'_>, SubscribeOptions, u32),
        gathered: &mut Gathered,
    ) -> Result<(), (ReasonCode, &'static str)> {
        let meant = self.mounted_filter(conn, filter);
        let filter = match &meant {
            Cow::Borrowed(_) => filter,
            Cow::Owned(whole) => TopicFilter::parse(whole).map_err(|_| {
                let why = "filter is too long with what the broker puts before it";
                (ReasonCode::TopicFilterInvalid, why)
            })?,
        };
        let qos_max = self.check_filter(slot, filter)?.min(gathered.qos_max);
        // [V31-3.9-1], [MQTT-3.2.2-10 v5], [MQTT-3.9.3-1 v5], [MQTT-3.9.3-1 v3.1.1]
        let qos = options.qos.min(qos_max);
        gathered.codes.push(qos as u8);
        self.subscribe_to(turn, slot, (filter, SubscribeOptions { qos, ..options }, id), gathered);
        Ok(())
    }

    /// What a v5 client asks for although it was told that it is switched off.
    fn unannounced(&self, packet: &Subscribe<'_>) -> Option<(ReasonCode, &'static str)> {
        let limits = &self.limits;
        // [U5-3.2.2-4]
        if packet.subscription_id.is_some() && !limits.subscription_ids_available {
            let reason = ReasonCode::SubscriptionIdentifiersNotSupported;
            return Some((reason, "subscription identifiers are switched off"));
        }
        if limits.shared_available && limits.wildcard_available {
            return None;
        }
        packet.filters.into_iter().find_map(|(filter, _)| self.switched_off(filter))
    }

    /// The kind of subscription that the filter asks for, if there is none such.
    fn switched_off(&self, filter: TopicFilter<'_>) -> Option<(ReasonCode, &'static str)> {
        if filter.share().is_some() && !self.limits.shared_available {
            // [U5-3.2.2-5]
            let reason = ReasonCode::SharedSubscriptionsNotSupported;
            return Some((reason, "shared subscriptions are switched off"));
        }
        if filter.has_wildcard() && !self.limits.wildcard_available {
            // [U5-3.2.2-3], [MQTT-3.8.3-2 v3.1.1]
            let reason = ReasonCode::WildcardSubscriptionsNotSupported;
            return Some((reason, "wildcard subscriptions are switched off"));
        }
        None
    }

    /// With which QoS at most a filter may be subscribed to, as far as that is its client's right.
    fn check_filter(
        &mut self,
        slot: u32,
        filter: TopicFilter<'_>,
    ) -> Result<QoS, (ReasonCode, &'static str)> {
        if let Some(refusal) = self.switched_off(filter) {
            return Err(refusal);
        }
        if too_deep(filter.plain(), self.limits.topic_levels_max) {
            return Err((ReasonCode::TopicFilterInvalid, "filter has too many levels"));
        }
        let Some(qos_max) = self.may_subscribe(slot, filter) else {
            self.counters.subscribes_denied += 1;
            return Err((ReasonCode::NotAuthorized, "not authorized to subscribe"));
        };
        let limits = &self.limits;
        let session = self.sessions.at(slot);
        if session.is_recorded() && self.is_full_for(session.durability) {
            return Err((ReasonCode::QuotaExceeded, DISK_FULL));
        }
        let held = &session.subscriptions;
        if held.len() >= limits.subscriptions_max as usize && held.get(filter.as_str()).is_none() {
            return Err((ReasonCode::QuotaExceeded, "too many subscriptions"));
        }
        if self.shortage.is_full() && held.get(filter.as_str()).is_none() {
            self.counters.subscribes_short += 1;
            return Err((ReasonCode::QuotaExceeded, MEMORY_SHORT));
        }
        Ok(qos_max)
    }

    /// One filter. [MQTT-3.8.4-3 v5], [MQTT-3.8.4-3 v3.1.1], [U5-3.8.2-1]
    /// [MQTT-3.8.4-4 v5].
    fn subscribe_to(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        (filter, options, id): (TopicFilter<'_>, SubscribeOptions, u32),
        gathered: &mut Gathered,
    ) {
        let held = HeldSubscription { filter: filter.as_str().into(), options, id, group: None };
        let session = self.sessions.at_mut(slot);
        let new = session.subscriptions.insert(held, &self.homes.seed);
        let (number, tenant) = (session.number, session.tenant);
        if session.is_recorded() {
            let durability = session.durability;
            let record = Record::Subscribed {
                session: number,
                filter: filter.as_str().into(),
                options,
                subscription_id: id,
            };
            gathered.wait.and(self.record(turn, record, durability));
        }
        turn.out.events.push(Event::Subscribed {
            client_id: self.sessions.at(slot).client_id.clone(),
            filter: filter.as_str().into(),
            qos: options.qos,
        });
        if let Some((name, plain)) = filter.share() {
            self.counters.shared_subscriptions_now += u64::from(new);
            gathered.wait.joins += 1;
            self.join_group(turn, slot, (name.as_str(), plain), gathered.wait.request);
            return;
        }
        self.counters.subscriptions_now += u64::from(new);
        let entry = Match {
            shard: self.me,
            receiver: Receiver::Session(number),
            options,
            subscription_id: id,
        };
        let filter: Box<str> = filter.plain().into();
        gathered.wait.index =
            self.change_index(turn, IndexChange::Insert { tenant, filter: filter.clone(), entry });
        // [MQTT-3.3.1-9 v5] to [MQTT-3.3.1-11 v5], [MQTT-3.3.1-6 v3.1.1]
        let wanted = match options.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::IfNew => new,
            RetainHandling::Never => false,
        };
        if wanted && gathered.retain_available {
            let live_since = u64::MAX;
            gathered.wishes.push(Wish { filter, options, subscription_id: id, live_since });
        }
    }

    /// [MQTT-3.10.4-1 v5], [MQTT-3.10.4-4 v5] to [MQTT-3.10.4-6 v5], [MQTT-3.11.3-1 v5],
    /// [V31-3.10-2], [MQTT-3.10.4-4 v3.1.1] to [MQTT-3.10.4-6 v3.1.1]
    /// [MQTT-3.10.4-2 v5], [U5-3.10.4-1], [MQTT-3.10.4-1 v3.1.1], [MQTT-3.10.4-2 v3.1.1],
    /// [MQTT-3.10.4-3 v3.1.1].
    pub(crate) fn unsubscribe(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        packet: &Unsubscribe<'_>,
    ) {
        let Some(connection) = self.connections.get(conn) else { return };
        let slot = connection.session;
        let mut leaving = Leaving::default();
        let mut codes = Vec::new();
        for (at, filter) in packet.filters.into_iter().enumerate() {
            codes.push(match at < FILTERS_MAX {
                false => ReasonCode::ImplementationSpecificError as u8,
                true => {
                    let meant = self.mounted_filter(conn, filter);
                    self.unsubscribe_one(turn, slot, &meant, &mut leaving) as u8
                }
            });
        }
        let Leaving { mut wait, groups } = leaving;
        self.leave_groups(turn, slot, &groups, &mut wait);
        let reply = Reply::UnsubAck { id: packet.packet_id, codes: codes.into() };
        self.reply(turn, conn, wait, reply);
    }

    /// One filter, with its mount point.
    fn unsubscribe_one(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        filter: &str,
        leaving: &mut Leaving,
    ) -> ReasonCode {
        // One that is too long with the mount point was never there.
        let Ok(filter) = TopicFilter::parse(filter) else {
            return ReasonCode::NoSubscriptionExisted;
        };
        if !self.may_unsubscribe(slot, filter) {
            return ReasonCode::NotAuthorized;
        }
        match self.end_subscription(turn, slot, filter, leaving) {
            false => ReasonCode::NoSubscriptionExisted,
            true => ReasonCode::Success,
        }
    }

    /// Ends subscriptions that a session may not have any more. Its client is not told: there is no
    /// packet for that.
    pub(crate) fn end_subscriptions(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        filters: &[Box<str>],
    ) {
        let mut leaving = Leaving::default();
        for filter in filters.iter().filter_map(|filter| TopicFilter::parse(filter).ok()) {
            self.end_subscription(turn, slot, filter, &mut leaving);
        }
        let Leaving { mut wait, groups } = leaving;
        self.leave_groups(turn, slot, &groups, &mut wait);
    }

    /// One of them; `false` if there is none.
    fn end_subscription(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        filter: TopicFilter<'_>,
        leaving: &mut Leaving,
    ) -> bool {
        let session = self.sessions.at_mut(slot);
        let Some(held) = session.subscriptions.remove(filter.as_str()) else { return false };
        let (number, tenant) = (session.number, session.tenant);
        if session.is_recorded() {
            let (durability, filter) = (session.durability, held.filter.clone());
            let record = Record::Unsubscribed { session: number, filter };
            leaving.wait.and(self.record(turn, record, durability));
        }
        turn.out.events.push(Event::Unsubscribed {
            client_id: self.sessions.at(slot).client_id.clone(),
            filter: held.filter.clone(),
        });
        match held.group {
            Some(group) => {
                leaving.groups.insert(group);
            }
            None if filter.share().is_some() => {}
            None => {
                self.withdraw_wish(slot, filter.plain());
                self.counters.subscriptions_now -= 1;
                leaving.wait.index = self.remove_from_index(turn, tenant, filter.plain(), number);
            }
        }
        self.counters.shared_subscriptions_now -= u64::from(filter.share().is_some());
        true
    }

    pub(crate) fn remove_from_index(
        &mut self,
        turn: &mut Turn<'_>,
        tenant: Tenant,
        filter: &str,
        number: SessionNumber,
    ) -> u64 {
        let change = IndexChange::Remove {
            tenant,
            filter: filter.into(),
            receiver: Receiver::Session(number),
        };
        self.change_index(turn, change)
    }

    /// Emits an index change and gives the number to wait for.
    pub(crate) fn change_index(&mut self, turn: &mut Turn<'_>, change: IndexChange) -> u64 {
        turn.out.index.push(change);
        self.waits.index_emitted()
    }

    /// Puts the subscriptions of a replayed session into the index again.
    pub(crate) fn resubscribe(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let session = self.sessions.at(slot);
        let (tenant, number) = (session.tenant, session.number);
        let all: Vec<HeldSubscription> = session.subscriptions.iter().cloned().collect();
        for held in all {
            let Ok(filter) = TopicFilter::parse(&held.filter) else { continue };
            if let Some((name, plain)) = filter.share() {
                self.counters.shared_subscriptions_now += 1;
                let request = self.waits.join_request();
                self.join_group(turn, slot, (name.as_str(), plain), request);
                continue;
            }
            self.counters.subscriptions_now += 1;
            let entry = Match {
                shard: self.me,
                receiver: Receiver::Session(number),
                options: held.options,
                subscription_id: held.id,
            };
            let filter = filter.plain().into();
            self.change_index(turn, IndexChange::Insert { tenant, filter, entry });
        }
    }

    /// Takes the subscriptions of an ended session out of the index; many of them as a job.
    pub(crate) fn unsubscribe_all(
        &mut self,
        turn: &mut Turn<'_>,
        tenant: Tenant,
        number: SessionNumber,
        mut all: Vec<HeldSubscription>,
    ) {
        all.retain(|held| {
            let shared = held.filter.starts_with("$share/");
            self.counters.shared_subscriptions_now -= u64::from(shared);
            !shared
        });
        self.counters.subscriptions_now -= all.len() as u64;
        let rest = all.split_off(all.len().min(256));
        self.budget = self.budget.saturating_sub(all.len() as u32);
        for held in all {
            self.remove_from_index(turn, tenant, &held.filter, number);
        }
        if !rest.is_empty() {
            self.jobs.end(Ending::Unsubscribe { tenant, number, rest });
        }
    }
}
