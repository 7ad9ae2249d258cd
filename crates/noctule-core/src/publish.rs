//! PUBLISH from a client, to the point where it is routed.

use crate::broker::{Broker, Turn};
use crate::connect::too_deep;
use crate::connection::Connection;
use crate::control::Due;
use crate::grant::Actions;
use crate::identity::ConnId;
use crate::input::SystemPublish;
use crate::limits::Durability;
use crate::message::{Origin, Parts};
use crate::outbound::Outbound;
use crate::peer::PeerMessage;
use crate::record::Record;
use crate::route::{LastRoute, Lent, Route};
use crate::seed::Seed;
use crate::shortage::MEMORY_SHORT;
use crate::verdict::Verdict;
use crate::wait::{AckKind, Reply, Wait};
use noctule_proto::packet::{Ack, Publish};
use noctule_proto::{PacketId, QoS, ReasonCode, TopicName, Version};
use std::sync::Arc;

/// Why a PUBLISH is not taken.
pub(crate) enum Refused {
    /// The connection ends with this code.
    Fatal(ReasonCode, &'static str),
    /// Only this message is refused.
    Message(ReasonCode, &'static str),
    /// The same, because of what its publisher did before.
    Quarantine,
    /// The same, because of its payload.
    TooLarge,
    /// The same, because it would take memory for a while, of which little is left.
    Memory,
}

/// Why a message of a client in quarantine is refused.
const QUARANTINE: &str = "this client is in quarantine";

impl Broker {
    /// A PUBLISH. [MQTT-3.3.4-1 v5], [MQTT-3.3.4-1 v3.1.1], [V31-3.3-1]
    pub(crate) fn publish(&mut self, turn: &mut Turn<'_>, conn: ConnId, publish: &Publish<'_>) {
        self.count_publish(publish);
        // The topic of an alias lies in the connection, which is needed mutably meanwhile.
        let mut scratch = std::mem::take(&mut self.scratch);
        match self.resolve_topic(conn, publish, &mut scratch) {
            Ok(None) => self.publish_to(turn, conn, publish.topic, publish),
            Ok(Some(())) => {
                self.publish_to(turn, conn, TopicName::trusted(&scratch), publish);
            }
            Err((reason, why)) => self.fail(turn, conn, reason, why),
        }
        self.scratch = scratch;
    }

    #[inline]
    pub(crate) fn count_publish(&mut self, publish: &Publish<'_>) {
        self.counters.publishes_received += 1;
        self.counters.publish_bytes_received += publish.payload.len() as u64;
    }

    /// `Some` if the topic is an alias's and was copied to `scratch`.
    /// [MQTT-3.3.2-12 v5].
    pub(crate) fn resolve_topic(
        &mut self,
        conn: ConnId,
        publish: &Publish<'_>,
        scratch: &mut String,
    ) -> Result<Option<()>, (ReasonCode, &'static str)> {
        let Some(alias) = publish.properties.topic_alias else { return Ok(None) };
        // [MQTT-3.2.2-17 v5], [MQTT-3.2.2-18 v5], [MQTT-3.3.2-9 v5]
        let extras = self.connections.get_mut(conn).and_then(|found| found.v5.as_mut());
        let Some(extras) = extras else { return Ok(None) };
        if alias.get() > extras.announced.topic_alias_max {
            return Err((ReasonCode::TopicAliasInvalid, "topic alias above the maximum"));
        }
        if !publish.topic.is_empty() {
            extras.aliases.learn(alias, publish.topic.as_str());
            return Ok(None);
        }
        // [U5-3.3.2-2], [MQTT-3.3.2-7 v5]
        let Some(topic) = extras.aliases.recall(alias) else {
            return Err((ReasonCode::ProtocolError, "topic alias is not mapped"));
        };
        scratch.clear();
        scratch.push_str(topic);
        Ok(Some(()))
    }

    pub(crate) fn publish_to(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        topic: TopicName<'_>,
        publish: &Publish<'_>,
    ) {
        let Some(slot) = self.connections.get(conn).map(|it| it.session) else { return };
        // What came before was taken then, whatever has changed since. [MQTT-4.3.3-10 v5]
        if publish.qos == QoS::ExactlyOnce
            && let Some(id) = publish.packet_id
            && self.sessions.at(slot).work.receiver.is_open(id)
        {
            self.confirm_receipt(turn, conn, Wait::default(), id);
            return;
        }
        let way = (publish.qos, publish.retain);
        let permitted = self.may_publish(conn, topic.as_str(), way);
        if let Err(refused) = self.check_publish(conn, (topic, permitted), publish) {
            self.refuse_publish(turn, conn, (topic, publish), refused);
            return;
        }
        // That of QoS 2 is heard when it is released.
        if publish.qos < QoS::ExactlyOnce && self.is_control(topic.as_str()) {
            self.publish_control(turn, conn, (topic, publish));
            return;
        }
        let Some(connection) = self.connections.get(conn) else { return };
        let promised = connection.origin.durability.unwrap_or(self.limits.durability);
        let durability = self.limits.durability_of(topic, promised);
        if self.short
            && let Some(refused) = self.short_of_room(turn, conn, (topic, publish), durability)
        {
            self.refuse_publish(turn, conn, (topic, publish), refused);
            return;
        }
        let origin = Origin {
            id: self.next_message_id(turn.now),
            tenant: self.sessions.at(slot).tenant,
            publisher: Some(self.sessions.at(slot).number),
            routed_at: turn.index.version(),
            durability,
        };
        let mut outbound = Outbound::of_publish(turn.now, origin, topic, publish);
        match publish.packet_id {
            None => {
                let mut lent = self.route_of(turn, conn, &outbound);
                if outbound.retain {
                    self.store(turn, &mut lent.route, &mut outbound);
                }
                self.keep_if_retained(turn, &mut outbound, Some(conn));
                self.spread(turn, &lent.route, &mut outbound, Some(conn));
                self.route_back(lent);
            }
            Some(id) if publish.qos == QoS::AtLeastOnce => {
                self.publish_once(turn, conn, id, outbound);
            }
            Some(id) => self.receive_once(turn, conn, id, outbound),
        }
    }

    /// Whether taking a message would promise to keep it.
    pub(crate) fn is_to_be_kept(
        &mut self,
        turn: &Turn<'_>,
        slot: u32,
        (topic, publish): (TopicName<'_>, &Publish<'_>),
    ) -> bool {
        let session = self.sessions.at(slot);
        if publish.retain || publish.qos == QoS::AtMostOnce {
            return publish.retain;
        }
        if publish.qos == QoS::ExactlyOnce && session.is_recorded() {
            return true;
        }
        let tenant = session.tenant;
        let lent = self.route(turn, (tenant, topic.as_str()), &mut LastRoute::default());
        let kept = lent.route.is_recorded();
        self.route_back(lent);
        kept
    }

    /// QoS 1: acknowledged when owned, which may mean stored. [MQTT-4.3.2-4 v5],
    /// [MQTT-4.3.2-5 v5], [MQTT-4.3.2-2 v3.1.1]
    /// [MQTT-2.3.1-6 v3.1.1].
    fn publish_once(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        id: PacketId,
        mut outbound: Outbound<'_>,
    ) {
        let mut lent = self.route_of(turn, conn, &outbound);
        let mut wait = self.store(turn, &mut lent.route, &mut outbound);
        if wait != Wait::default() {
            self.hold_for_store(turn, conn);
        }
        self.keep_if_retained(turn, &mut outbound, Some(conn));
        self.await_retained(turn, conn, &outbound, &mut wait);
        let reason = match lent.route.is_empty() {
            true => ReasonCode::NoMatchingSubscribers,
            false => ReasonCode::Success,
        };
        let kind = AckKind::PubAck;
        self.reply(turn, conn, wait, Reply::Ack { kind, id, reason, why: None });
        self.spread(turn, &lent.route, &mut outbound, Some(conn));
        self.route_back(lent);
    }

    /// QoS 2, first half: kept until PUBREL. [MQTT-4.3.3-8 v5], [MQTT-4.3.3-10 v5],
    /// [V31-3.6-1], [MQTT-4.3.3-2 v3.1.1]
    fn receive_once(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        id: PacketId,
        mut outbound: Outbound<'_>,
    ) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.unreleased = connection.unreleased.saturating_add(1);
        let session = self.sessions.at_mut(connection.session);
        let mut wait = Wait::default();
        let message = outbound.shared();
        session.work.received_bytes += message.cost() as u64;
        session.work.receiver.publish(id, message.clone());
        if session.is_recorded() {
            let (session, durability) = (session.number, session.durability);
            let record = Record::Received { session, id, message: message.into() };
            wait = self.record(turn, record, durability);
            self.hold_for_store(turn, conn);
        }
        self.confirm_receipt(turn, conn, wait, id);
    }

    /// PUBREC. It never says that nobody subscribes: who does is only found out at PUBREL.
    fn confirm_receipt(&mut self, turn: &mut Turn<'_>, conn: ConnId, wait: Wait, id: PacketId) {
        let (kind, reason) = (AckKind::PubRec, ReasonCode::Success);
        self.reply(turn, conn, wait, Reply::Ack { kind, id, reason, why: None });
    }

    /// QoS 2, second half: the message is routed. [MQTT-4.3.3-11 v5], [MQTT-4.3.3-12 v5]
    pub(crate) fn pubrel(&mut self, turn: &mut Turn<'_>, conn: ConnId, ack: &Ack<'_>) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let session = self.sessions.at_mut(connection.session);
        let (id, kind) = (ack.packet_id, AckKind::PubComp);
        if session.work.receiver.is_open(id) {
            connection.unreleased = connection.unreleased.saturating_sub(1);
        }
        let Some(mut message) = session.work.receiver.release(id) else {
            // [MQTT-2.2.1-5 v5]
            let reason = ReasonCode::PacketIdentifierNotFound;
            let why = Some("no QoS 2 message is open under this packet identifier".into());
            self.reply(turn, conn, Wait::default(), Reply::Ack { kind, id, reason, why });
            return;
        };
        session.work.received_bytes -= message.cost() as u64;
        let released = session.is_recorded().then_some((session.number, session.durability));
        // It takes its place in the order of messages now: what was published since its PUBLISH has
        // gone out before it, and must not outlive it as the retained message either.
        let placed = Arc::make_mut(&mut message);
        placed.id = self.next_message_id(turn.now);
        placed.routed_at = turn.index.version();
        let expired = message.expired(turn.now);
        if self.is_control(message.topic()) {
            let mut wait = Wait::default();
            if let Some((session, durability)) = released {
                wait = self.record(turn, Record::ReceivedReleased { session, id }, durability);
            }
            let said = (message.topic(), message.payload());
            self.control(turn, conn, said, Some(Due { kind, id, wait }));
            return;
        }
        let mut outbound = Outbound::of_message(&message);
        let mut lent = self.route_of(turn, conn, &outbound);
        let mut wait = match expired {
            true => Wait::default(),
            false => self.store(turn, &mut lent.route, &mut outbound),
        };
        if let Some((session, durability)) = released {
            let record = Record::ReceivedReleased { session, id };
            wait.and(self.record(turn, record, durability));
        }
        if !expired {
            self.keep_if_retained(turn, &mut outbound, Some(conn));
            self.await_retained(turn, conn, &outbound, &mut wait);
        }
        let reason = ReasonCode::Success;
        self.reply(turn, conn, wait, Reply::Ack { kind, id, reason, why: None });
        // [MQTT-4.3.3-13 v5]: the hand-shake ends whatever becomes of the message.
        if expired {
            self.counters.verdict(Verdict::Expired);
        } else {
            self.spread(turn, &lent.route, &mut outbound, Some(conn));
        }
        self.route_back(lent);
    }

    /// A message of the broker's own.
    pub(crate) fn system_publish(&mut self, turn: &mut Turn<'_>, publish: SystemPublish<'_>) {
        let parts = Parts {
            topic: publish.topic,
            properties: &[],
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            expiry_secs: None,
        };
        let id = self.next_message_id(turn.now);
        let routed_at = turn.index.version();
        // What the broker says of itself is said again by the next run.
        let durability = Durability::Memory;
        let origin = Origin { id, tenant: publish.tenant, publisher: None, routed_at, durability };
        self.publish_own(turn, &mut Outbound::of_parts(turn.now, origin, &parts));
    }

    /// Routes a message that no connection waits for an answer to.
    pub(crate) fn publish_own(&mut self, turn: &mut Turn<'_>, outbound: &mut Outbound<'_>) {
        let mut last = LastRoute::default();
        let mut lent = self.route(turn, (outbound.tenant, outbound.topic.as_str()), &mut last);
        self.store(turn, &mut lent.route, outbound);
        self.keep_if_retained(turn, outbound, None);
        self.spread(turn, &lent.route, outbound, None);
        self.route_back(lent);
    }

    fn route_of(&mut self, turn: &Turn<'_>, conn: ConnId, outbound: &Outbound<'_>) -> Lent {
        let mut last = self.connections.get(conn).map_or_else(Default::default, |c| c.last_route);
        let before = last.at;
        let lent = self.route(turn, (outbound.tenant, outbound.topic.as_str()), &mut last);
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.last_route = last;
            connection.traffic.message(outbound.payload.len());
            // Of one topic after the other it is enough to count it once.
            if last.at != before {
                count_topic(connection, &self.homes.seed, outbound.topic);
            }
        }
        lent
    }

    /// Emits the record of a message that somebody is owed, once for all receivers.
    fn store(
        &mut self,
        turn: &mut Turn<'_>,
        route: &mut Route,
        outbound: &mut Outbound<'_>,
    ) -> Wait {
        let durability = outbound.durability;
        if durability == Durability::Memory || !(route.is_recorded() || outbound.retain) {
            return Wait::default();
        }
        let receivers = route.receivers(outbound);
        if receivers.is_empty() && !outbound.retain {
            return Wait::default();
        }
        let (message, retained) = (outbound.shared().into(), outbound.retain);
        let record = Record::Published { message, receivers, retained };
        if outbound.qos == QoS::AtMostOnce {
            self.note(turn, record);
            return Wait::default();
        }
        self.record(turn, record, durability)
    }

    /// [V31-2.1-4],
    /// [MQTT-3.3.1-5 v5] to [MQTT-3.3.1-8 v5], [MQTT-3.3.1-5 v3.1.1], [MQTT-3.3.1-12 v3.1.1]
    fn keep_if_retained(
        &mut self,
        turn: &mut Turn<'_>,
        outbound: &mut Outbound<'_>,
        conn: Option<ConnId>,
    ) {
        if outbound.retain {
            let home = self.homes.of_topic(outbound.tenant, outbound.topic.as_str());
            let message = outbound.shared();
            self.tell(turn, home, PeerMessage::Retain(message));
            if let Some(conn) = conn {
                self.hold_for_peer(turn, home, conn);
            }
        }
    }

    /// A retained message is acknowledged once its home has it, so that whoever subscribes after
    /// the acknowledgement finds it. A publisher that is also a receiver may have the message
    /// before. [MQTT-3.3.1-5 v5]
    fn await_retained(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        outbound: &Outbound<'_>,
        wait: &mut Wait,
    ) {
        let home = self.homes.of_topic(outbound.tenant, outbound.topic.as_str());
        if !outbound.retain || home == self.me {
            return;
        }
        let Some(connection) = self.connections.get(conn) else { return };
        let number = self.sessions.at(connection.session).number;
        self.fence(turn, home, number, wait);
    }

    /// All that may refuse a message comes before it is owned `[U5-4.3.3-1]`.
    fn check_publish(
        &self,
        conn: ConnId,
        (topic, permitted): (TopicName<'_>, bool),
        publish: &Publish<'_>,
    ) -> Result<(), Refused> {
        let Some(connection) = self.connections.get(conn) else { return Ok(()) };
        let limits = &self.limits;
        let (qos_max, retain_available) = self.held_to(connection);
        if publish.qos > qos_max {
            // [MQTT-3.2.2-11 v5]
            return Err(Refused::Fatal(ReasonCode::QoSNotSupported, "QoS above the maximum"));
        }
        if publish.retain && !retain_available {
            // [MQTT-3.2.2-14 v5]
            let reason = ReasonCode::RetainNotSupported;
            return Err(Refused::Fatal(reason, "retained messages are switched off"));
        }
        if publish.qos != QoS::AtMostOnce {
            self.check_window(connection, publish)?;
        }
        if too_deep(topic.as_str(), limits.topic_levels_max) {
            let reason = ReasonCode::TopicNameInvalid;
            return Err(Refused::Message(reason, "topic has too many levels"));
        }
        if !permitted {
            let reason = ReasonCode::NotAuthorized;
            return Err(Refused::Message(reason, "not authorized to publish to this topic"));
        }
        if publish.payload.len() > limits.payload_size_max as usize {
            return Err(Refused::TooLarge);
        }
        // After what it may not do, which goes on being counted.
        if connection.quarantined {
            return Err(Refused::Quarantine);
        }
        // [U5-3.3.2-3]
        if connection.version == Version::V5
            && publish.properties.others.payload_format_is_utf8()
            && core::str::from_utf8(publish.payload).is_err()
        {
            let reason = ReasonCode::PayloadFormatInvalid;
            return Err(Refused::Message(reason, "payload is not UTF-8"));
        }
        Ok(())
    }

    /// The highest QoS that a client may publish with, and whether RETAIN may be set: what CONNACK
    /// said, or what is in force for those that were told nothing.
    #[inline]
    pub(crate) fn held_to(&self, connection: &Connection) -> (QoS, bool) {
        match &connection.v5 {
            Some(extras) => (extras.announced.qos_max, extras.announced.retain_available),
            None => {
                let offer = self.limits.offer(connection.origin.listener);
                (offer.qos_max, offer.retain_available)
            }
        }
    }

    /// [MQTT-3.3.4-7 v5], [MQTT-4.9.0-1 v5], [MQTT-4.9.0-2 v5]
    fn check_window(&self, connection: &Connection, publish: &Publish<'_>) -> Result<(), Refused> {
        let session = self.sessions.at(connection.session);
        if publish.packet_id.is_some_and(|id| session.work.receiver.is_open(id)) {
            let reason = ReasonCode::PacketIdentifierInUse;
            return Err(Refused::Message(reason, "the packet identifier is open for QoS 2"));
        }
        // What an earlier connection left open does not count [U5-4.9.0-1]. 3.x clients were never
        // told the number; they are bounded by bytes alone.
        let open = u32::from(connection.unreleased) + u32::from(connection.unacknowledged);
        let max = connection.v5.as_ref().map(|extras| extras.announced.receive_maximum);
        if max.is_some_and(|max| open >= u32::from(max)) {
            let reason = ReasonCode::ReceiveMaximumExceeded;
            return Err(Refused::Fatal(reason, "more messages open than Receive Maximum"));
        }
        let bytes = session.work.received_bytes + publish.payload.len() as u64;
        let bytes_max = self.limits.queue_of(session.queue_choice).bytes_max;
        if publish.qos == QoS::ExactlyOnce && bytes > self.shortage.unreleased_bytes(bytes_max) {
            let reason = ReasonCode::QuotaExceeded;
            return Err(Refused::Message(reason, "too many bytes wait for PUBREL"));
        }
        Ok(())
    }

    /// [MQTT-3.3.5-2 v3.1.1], [V31-3.3-2]: 3.x has no error reply, so it is acknowledged and
    /// dropped.
    /// [U5-4.13.2-1].
    pub(crate) fn refuse_publish(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        (topic, publish): (TopicName<'_>, &Publish<'_>),
        refused: Refused,
    ) {
        let Some(connection) = self.connections.get(conn) else { return };
        let v5 = connection.version == Version::V5;
        let (reason, why) = match refused {
            Refused::Fatal(reason, why) => {
                self.fail(turn, conn, reason, why);
                return;
            }
            Refused::Message(reason, why) => (reason, why),
            Refused::Quarantine => {
                self.counters.verdict(Verdict::Quarantined);
                if let Some(connection) = self.connections.get_mut(conn) {
                    connection.traffic.message(publish.payload.len());
                }
                self.drop_publish(turn, conn, publish, (ReasonCode::QuotaExceeded, QUARANTINE));
                return;
            }
            Refused::TooLarge => {
                self.counters.verdict(Verdict::TooLarge);
                let why = "the payload is larger than this broker takes";
                self.drop_publish(turn, conn, publish, (ReasonCode::QuotaExceeded, why));
                return;
            }
            Refused::Memory => {
                self.counters.publishes_short += 1;
                self.counters.verdict(Verdict::MemoryShort);
                let (reason, why) = (ReasonCode::QuotaExceeded, MEMORY_SHORT);
                match v5 {
                    true => self.drop_publish(turn, conn, publish, (reason, why)),
                    false => self.end(turn, conn, reason, why),
                }
                return;
            }
        };
        if reason == ReasonCode::QuotaExceeded && !v5 {
            self.fail(turn, conn, reason, why);
            return;
        }
        if reason == ReasonCode::NotAuthorized {
            self.counters.verdict(Verdict::NotAuthorized);
            self.denied(turn, conn, Actions::PUBLISH, topic.as_str());
        } else if publish.qos == QoS::AtMostOnce && v5 {
            self.fail(turn, conn, reason, why);
            return;
        }
        self.drop_publish(turn, conn, publish, (reason, why));
    }

    /// Refuses one message, as far as its QoS and the version allow to say so.
    fn drop_publish(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        publish: &Publish<'_>,
        (reason, why): (ReasonCode, &'static str),
    ) {
        let Some(connection) = self.connections.get(conn) else { return };
        let v5 = connection.version == Version::V5;
        let kind = match publish.qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => AckKind::PubAck,
            QoS::ExactlyOnce => AckKind::PubRec,
        };
        let Some(id) = publish.packet_id else { return };
        self.reply(
            turn,
            conn,
            Wait::default(),
            Reply::Ack {
                kind,
                id,
                reason: if v5 { reason } else { ReasonCode::Success },
                why: Some(why.into()),
            },
        );
    }
}

/// Out of the way of those that publish to one topic.
#[inline(never)]
fn count_topic(connection: &mut Connection, seed: &Seed, topic: TopicName<'_>) {
    connection.traffic.topic(seed.of_bytes(topic.as_str().as_bytes()));
}
