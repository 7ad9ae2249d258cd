//! What only some connections are subject to: a mount point, rates of publishing.
//!
//! Connections without have no [`Terms`], and pay nothing for those of others.

use crate::broker::{Broker, TimerKey, Turn};
use crate::connection::Connection;
use crate::crowd::Known;
use crate::identity::{ConnId, Tenant, Time};
use crate::limits::{OverRate, PublishRates};
use crate::mount::too_long;
use crate::publish::Refused;
use crate::rate::Bucket;
use crate::timer::Deadline;
use crate::verdict::Verdict;
use noctule_proto::packet::{Packet, Publish};
use noctule_proto::{QoS, ReasonCode, TopicName, Version};
use serde::{Deserialize, Serialize};

/// Client ids of which a shard remembers what they did lately.
pub(crate) const DUES_MAX: usize = 65_536;

/// What a refusal says.
const TOO_OFTEN: &str = "more messages or bytes than the client may publish in a second";

/// See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// What its topics begin with; empty: with what the client says.
    pub(crate) mount_point: Box<str>,
    rates: Option<Rates>,
}

/// How much a connection may publish, and has published.
#[derive(Debug, Serialize, Deserialize)]
struct Rates {
    of: PublishRates,
    messages: Bucket,
    bytes: Bucket,
    /// By which number its client is known to [`Broker::dues`].
    client: u64,
    /// Armed while it is not read because it published too much.
    timer: Deadline,
}

/// What a client did lately, kept from one connection to the next: connecting anew brings nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Dues {
    connects: Bucket,
    messages: Bucket,
    bytes: Bucket,
}

impl Known for Dues {
    fn is_idle(&self, now: Time) -> bool {
        [self.connects, self.messages, self.bytes].iter().all(|bucket| bucket.is_full(now))
    }
}

impl Rates {
    fn charge(&mut self, now: Time, bytes: u64) {
        if let Some(rate) = self.of.messages {
            self.messages.charge(now, rate, 1);
        }
        if let Some(rate) = self.of.bytes {
            self.bytes.charge(now, rate, bytes);
        }
    }

    /// Milliseconds until there is room for another message, of so many bytes.
    fn wait(&self, now: Time, bytes: u64) -> u64 {
        let messages = self.of.messages.map_or(0, |rate| self.messages.wait(now, rate, 1));
        let bytes = self.of.bytes.map_or(0, |rate| self.bytes.wait(now, rate, bytes));
        messages.max(bytes)
    }
}

impl Connection {
    /// Until when it is not read because it published too much: for `Broker::check`.
    pub(crate) fn slowed_until(&self) -> Option<Deadline> {
        let timer = self.terms.as_ref()?.rates.as_ref()?.timer;
        timer.at().map(|_| timer)
    }

    fn rates(&mut self) -> Option<&mut Rates> {
        self.terms.as_mut()?.rates.as_mut()
    }
}

impl Broker {
    /// By which number a client is known among those who did something lately.
    fn known_as(&self, (tenant, client_id): (Tenant, &str)) -> u64 {
        self.homes.seed.of((3u8, tenant, client_id))
    }

    /// Whether a client may connect once more by now.
    pub(crate) fn may_connect(&mut self, turn: &Turn<'_>, client: (Tenant, &str)) -> bool {
        let Some(rate) = self.limits.client.connect_rate() else { return true };
        let place = self.dues.place(self.known_as(client), turn.now);
        let may = self.dues.at(place).connects.take(turn.now, rate, 1).is_ok();
        self.counters.connects_over_rate += u64::from(!may);
        may
    }

    /// A connection goes live: from here on it is subject to what its listener and the limits say.
    pub(crate) fn agree(&mut self, now: Time, conn: ConnId) {
        let Some(connection) = self.connections.get(conn) else { return };
        let session = self.sessions.at(connection.session);
        let mount_point: Box<str> = self.limits.mount_point(connection.origin.listener).into();
        let client = self.known_as((session.tenant, &session.client_id));
        let rates = self.publish_rates(connection.session);
        let rates = rates.map(|of| self.rates(now, of, client));
        if mount_point.is_empty() && rates.is_none() {
            return;
        }
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.terms = Some(Box::new(Terms { mount_point, rates }));
        }
    }

    /// How much the client of a session may publish, if that is bounded.
    fn publish_rates(&self, slot: u32) -> Option<PublishRates> {
        let client = self.limits.client;
        match self.bounds(slot) {
            Some(bounds) => bounds.of_client(client).publish_rates(),
            None => client.publish_rates(),
        }
    }

    fn rates(&mut self, now: Time, of: PublishRates, client: u64) -> Rates {
        let place = self.dues.place(client, now);
        let Dues { messages, bytes, .. } = *self.dues.at(place);
        Rates { of, messages, bytes, client, timer: Deadline::NONE }
    }

    /// Other rates are in force, for those who are connected too.
    pub(crate) fn agree_anew(&mut self, now: Time) {
        for conn in (0..self.connections.end()).map(ConnId) {
            self.agree_rates(now, conn);
        }
    }

    /// Other rates are in force for a connection, perhaps.
    pub(crate) fn agree_rates(&mut self, now: Time, conn: ConnId) {
        let Some(connection) = self.connections.get(conn).filter(|it| it.is_live()) else { return };
        let slot = connection.session;
        let rates = self.publish_rates(slot);
        let Some(connection) = self.connections.get_mut(conn) else { return };
        match (connection.rates(), rates) {
            (Some(present), Some(rates)) => present.of = rates,
            // Whoever waits is let go when its time is over.
            (Some(present), None) => present.of = PublishRates::default(),
            (None, Some(of)) => {
                let session = self.sessions.at(slot);
                let client = self.known_as((session.tenant, &session.client_id));
                let rates = Some(self.rates(now, of, client));
                if let Some(connection) = self.connections.get_mut(conn) {
                    connection.terms.get_or_insert_default().rates = rates;
                }
            }
            (None, None) => {}
        }
    }

    /// A connection is gone: what it owes is remembered.
    pub(crate) fn remember_dues(&mut self, now: Time, conn: ConnId, connection: &mut Connection) {
        let Some(rates) = connection.rates() else { return };
        self.timers.cancel(TimerKey::Slowed(conn), &mut rates.timer);
        if rates.messages.is_full(now) && rates.bytes.is_full(now) {
            return;
        }
        let place = self.dues.place(rates.client, now);
        let dues = self.dues.at(place);
        dues.messages = dues.messages.or_less(rates.messages);
        dues.bytes = dues.bytes.or_less(rates.bytes);
    }

    /// A packet of a live connection that has terms.
    pub(crate) fn packet_on_terms(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        packet: &Packet<'_>,
        size: u32,
    ) {
        if let Packet::Publish(publish) = packet {
            self.publish_on_terms(turn, conn, publish, size);
        } else {
            self.live_packet(turn, conn, packet);
        }
    }

    fn publish_on_terms(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        publish: &Publish<'_>,
        size: u32,
    ) {
        self.count_publish(publish);
        let mut scratch = std::mem::take(&mut self.scratch);
        // First: what an alias stands for is learnt from messages that are refused too.
        match self.resolve_mounted(conn, publish, &mut scratch) {
            Err((reason, why)) => self.fail(turn, conn, reason, why),
            Ok(Some(())) if too_long(&scratch) => {
                let refused = Refused::Message(
                    ReasonCode::TopicNameInvalid,
                    "the topic is longer than 65,535 bytes with what the broker puts before it",
                );
                self.refuse_publish(turn, conn, (publish.topic, publish), refused);
            }
            Ok(resolved) => {
                let resolved = resolved.map(|()| TopicName::trusted(&scratch));
                if self.is_within_rates(turn, conn, publish, size) {
                    self.publish_to(turn, conn, resolved.unwrap_or(publish.topic), publish);
                }
            }
        }
        self.scratch = scratch;
    }

    /// Whether a message is taken at this time. One that is taken may be the last for a while.
    fn is_within_rates(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        publish: &Publish<'_>,
        size: u32,
    ) -> bool {
        let Some(connection) = self.connections.get_mut(conn) else { return false };
        let (slot, version) = (connection.session, connection.version);
        let Some(rates) = connection.rates() else { return true };
        let (now, size) = (turn.now, u64::from(size));
        let over = rates.of.over;
        if over == OverRate::Wait {
            rates.charge(now, size);
            // Bytes that were taken too many are waited for until they are paid back.
            let wait = rates.wait(now, 0);
            if wait > 0 && rates.timer.at().is_none() {
                self.timers.set(TimerKey::Slowed(conn), &mut rates.timer, now.plus_millis(wait));
                self.counters.publishers_slowed += 1;
                self.hold(turn, conn);
            }
            return true;
        }
        // What was taken before is only confirmed. [MQTT-4.3.3-10 v5]
        let receiver = &self.sessions.at(slot).work.receiver;
        let again = publish.qos == QoS::ExactlyOnce
            && publish.packet_id.is_some_and(|id| receiver.is_open(id));
        if again || rates.wait(now, size) == 0 {
            rates.charge(now, size);
            return true;
        }
        self.counters.publishes_over_rate += 1;
        self.counters.verdict(Verdict::OverRate);
        let says_no = version == Version::V5 || publish.qos == QoS::AtMostOnce;
        if over == OverRate::Disconnect || !says_no {
            self.end(turn, conn, ReasonCode::MessageRateTooHigh, TOO_OFTEN);
        } else if publish.qos != QoS::AtMostOnce {
            let refused = Refused::Message(ReasonCode::QuotaExceeded, TOO_OFTEN);
            self.refuse_publish(turn, conn, (publish.topic, publish), refused);
        }
        false
    }

    /// A connection that published too much is read again.
    pub(crate) fn slowed_due(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        let Some(rates) = self.connections.get_mut(conn).and_then(Connection::rates) else {
            return;
        };
        rates.timer.clear();
        self.release(turn, conn);
    }
}
