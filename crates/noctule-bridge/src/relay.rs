//! What goes from one end to the other. Pure: bytes and time in, bytes and an end out.
//!
//! Packet identifiers stay what they are: those of this broker's messages are those that the other
//! broker sees, and the other way round. So no table has to survive a crash.

use crate::line::Line;
use crate::plan::Plan;
use crate::rules::Way;
use crate::status::{Counted, Status};
use crate::via::Stamp;
use noctule_core::Holdings;
use noctule_proto::packet::{
    Ack, Publish, PublishProperties, RetainHandling, SubAck, Subscribe, SubscribeFiltersBuf,
    SubscribeOptions, Unsubscribe, UnsubscribeFiltersBuf,
};
use noctule_proto::property::{OtherProperties, PropertiesBuf, UserProperties};
use noctule_proto::{
    DecodeError, Frame, Packet, PacketId, PacketType, QoS, ReasonCode, Role, TopicFilter,
    TopicName, Version, next_frame,
};
use noctule_server::config::BridgeStart;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that may wait for an end before the other one's messages do.
const BACKLOG_MAX: usize = 256 * 1024;

/// Filters of one SUBSCRIBE: more are too many for the brokers of some clouds.
const FILTERS_MAX: usize = 8;

/// Packet identifiers of what a bridge itself asks: the last ones that messages come to.
const SUBSCRIBE_ID: u16 = 65_535;
const UNSUBSCRIBE_ID: u16 = 65_534;
const NOTE_ID: u16 = 65_533;

/// An end of a relay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// This broker.
    Near,
    /// The other one.
    Far,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Near => Side::Far,
            Side::Far => Side::Near,
        }
    }

    /// The way of messages that come from there.
    fn way(self) -> Way {
        match self {
            Side::Near => Way::Out,
            Side::Far => Way::In,
        }
    }
}

/// Why a relay ends.
#[derive(Debug)]
pub(crate) enum End {
    /// A side has closed its connection, or the network has.
    Closed(Side, Option<std::io::Error>),
    /// A side sent bytes that are no MQTT.
    Broken(Side, DecodeError),
    /// A side sent what nobody asked for.
    Unexpected(Side, PacketType),
    /// A side has said why it goes.
    Said(Side, ReasonCode, Option<Box<str>>),
    /// A side has no room for more messages: they stay where they are.
    NoRoom(Side),
    /// The other broker does not answer.
    Silent,
    /// There was nothing to be passed on for a while.
    Idle,
    /// The first address is there again.
    Primary,
    /// Somebody wants it.
    Wanted,
}

/// Deliveries that do not go through as they are, of one way.
#[derive(Debug, Default)]
struct Odd {
    /// Sent on with QoS 1 where QoS 2 came.
    lowered: BTreeSet<PacketId>,
    /// Messages of QoS 2 whose end their receiver knows nothing of.
    kept_back: BTreeSet<PacketId>,
}

/// Two ends, joined.
#[derive(Debug)]
pub(crate) struct Relay {
    plan: Arc<Plan>,
    stamp: Stamp,
    status: Arc<Status>,
    near: Line,
    far: Line,
    /// Of messages that go out, and that come in.
    odd: [Odd; 2],
    /// PUBCOMPs to PUBRELs of our own, near and far.
    swept: [BTreeSet<PacketId>; 2],
    /// The first filter of the SUBSCRIBE that was not answered yet, near and far.
    asked: [Option<usize>; 2],
    /// The PUBACK of what the other broker is told of us is awaited.
    noting: bool,
    began: Instant,
    heard: Instant,
    sent: Instant,
    pinged: Option<Instant>,
    moved: Instant,
    /// Messages that may go out before the next second begins.
    tokens: u32,
    second: Instant,
    /// When somebody was last told of a message that was dropped.
    told: Option<Instant>,
}

impl Relay {
    /// Joins two ends whose brokers have let us in; `held` is what the session here held before.
    pub(crate) fn new(
        plan: Arc<Plan>,
        (stamp, status): (Stamp, Arc<Status>),
        (near, far): (Line, Line),
        now: Instant,
    ) -> Relay {
        let tokens = plan.bridge.rate_max;
        Relay {
            plan,
            stamp,
            status,
            near,
            far,
            odd: <[Odd; 2]>::default(),
            swept: <[BTreeSet<PacketId>; 2]>::default(),
            asked: [None; 2],
            noting: false,
            began: now,
            heard: now,
            sent: now,
            pinged: None,
            moved: now,
            tokens,
            second: now,
            told: None,
        }
    }

    /// How long it has lasted.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.duration_since(self.began)
    }

    pub(crate) fn line(&mut self, side: Side) -> &mut Line {
        match side {
            Side::Near => &mut self.near,
            Side::Far => &mut self.far,
        }
    }

    /// Asks both brokers for what is passed on. `strange`: the other broker may not be the one that
    /// what is open here came from.
    pub(crate) fn begin(&mut self, held: &Holdings, strange: bool) {
        // Their identifiers are to stand for other messages from here on.
        if strange || !self.far.terms.session_present {
            self.sweep(Side::Near, held.unreleased.iter().copied());
        }
        let exactly_once = |(_, qos): &(&str, QoS)| *qos == QoS::ExactlyOnce;
        let sends_exactly_once = self.plan.rules.filters(Way::Out).iter().any(exactly_once);
        if self.far.terms.session_present && !self.near.terms.session_present && sends_exactly_once
        {
            self.sweep(Side::Far, (1..=u16::MAX).filter_map(PacketId::new));
        }
        let plan = Arc::clone(&self.plan);
        for side in [Side::Near, Side::Far] {
            let wanted = plan.rules.filters(side.way());
            self.subscribe(side, 0);
            let unwanted: Vec<&str> = match side {
                Side::Near => {
                    let held = held.filters.iter().map(|filter| &**filter);
                    held.filter(|it| !wanted.iter().any(|(filter, _)| filter == it)).collect()
                }
                Side::Far if plan.bridge.unsubscribe && self.far.terms.session_present => {
                    plan.rules.unwanted().iter().map(String::as_str).collect()
                }
                Side::Far => Vec::new(),
            };
            self.unsubscribe(side, &unwanted);
        }
        self.note("1", QoS::AtLeastOnce);
    }

    fn sweep(&mut self, side: Side, ids: impl Iterator<Item = PacketId>) {
        for id in ids {
            self.line(side).put(&Packet::PubRel(Ack::new(id, ReasonCode::Success)));
            self.swept[side as usize].insert(id);
        }
    }

    /// Asks for the next filters, from this one on.
    fn subscribe(&mut self, side: Side, first: usize) {
        let plan = Arc::clone(&self.plan);
        let wanted = plan.rules.filters(side.way());
        let next = wanted.chunks(FILTERS_MAX).nth(first / FILTERS_MAX);
        self.asked[side as usize] = next.map(|_| first);
        if let Some(next) = next {
            self.line(side).put(&subscribe(&filters(next)));
        }
    }

    fn unsubscribe(&mut self, side: Side, unwanted: &[&str]) {
        let mut filters = UnsubscribeFiltersBuf::default();
        for filter in unwanted.iter().filter_map(|it| TopicFilter::parse(it).ok()) {
            filters.push(filter);
        }
        if unwanted.is_empty() {
            return;
        }
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_id: id(UNSUBSCRIBE_ID),
            user_properties: UserProperties::EMPTY,
            filters: filters.as_filters(),
        });
        self.line(side).put(&packet);
    }

    /// Tells clients of the other broker how the bridge stands.
    fn note(&mut self, state: &str, qos: QoS) {
        let Some(topic) = self.plan.state_topic.clone().filter(|_| self.plan.tells_there()) else {
            return;
        };
        let qos = qos.min(self.far.terms.qos_max);
        let Ok(topic) = TopicName::parse(&topic) else { return };
        self.noting = qos > QoS::AtMostOnce;
        self.far.open += u16::from(self.noting);
        self.far.put(&Packet::Publish(Publish {
            dup: false,
            qos,
            retain: self.far.terms.retain,
            topic,
            packet_id: self.noting.then(|| id(NOTE_ID)),
            properties: PublishProperties::default(),
            payload: state.as_bytes(),
        }));
    }

    /// Says goodbye to both.
    pub(crate) fn leave(&mut self) {
        self.note("0", QoS::AtMostOnce);
        for side in [Side::Near, Side::Far] {
            let goodbye = noctule_proto::packet::Disconnect::new(ReasonCode::Success);
            self.line(side).put(&Packet::Disconnect(goodbye));
        }
    }

    /// Says goodbye to this broker alone: the other one is to publish the Will.
    pub(crate) fn give_up(&mut self) {
        let goodbye = noctule_proto::packet::Disconnect::new(ReasonCode::Success);
        self.near.put(&Packet::Disconnect(goodbye));
        self.far = Line::new(self.far.version, self.far.terms, Vec::new());
    }

    /// Whether more bytes of a side are of use: not while a message of it waits.
    pub(crate) fn reads(&self, side: Side) -> bool {
        let line = match side {
            Side::Near => &self.near,
            Side::Far => &self.far,
        };
        // What is there is no whole packet, or waits: the buffer may grow as large as a message.
        line.unread() < BACKLOG_MAX || noctule_proto::frame_need(line.peek()) > 0
    }

    /// Bytes came from a side.
    pub(crate) fn came(&mut self, side: Side, bytes: &[u8], now: Instant) {
        if side == Side::Far {
            (self.heard, self.pinged) = (now, None);
        }
        self.line(side).came(bytes);
    }

    /// Bytes have left for a side.
    pub(crate) fn written(&mut self, side: Side, len: usize, now: Instant) {
        if side == Side::Far {
            self.sent = now;
        }
        self.line(side).written(len);
    }

    /// When [`Relay::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Instant {
        let keep_alive = Duration::from_secs(self.far.terms.keep_alive_secs.into());
        let mut next = self.began + Duration::from_secs(365 * 86_400);
        if !keep_alive.is_zero() {
            next = match self.pinged {
                Some(pinged) => pinged + keep_alive,
                None => self.sent.min(self.heard) + keep_alive,
            };
        }
        if self.plan.bridge.start == BridgeStart::Lazy {
            next = next.min(self.moved + self.idle());
        }
        if self.plan.bridge.rate_max > 0 && self.tokens == 0 {
            next = next.min(self.second + Duration::from_secs(1));
        }
        next
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(self.plan.bridge.idle_secs.into())
    }

    /// Time has passed. [MQTT-3.1.2-20 v5]
    pub(crate) fn tick(&mut self, now: Instant) -> Result<(), End> {
        let keep_alive = Duration::from_secs(self.far.terms.keep_alive_secs.into());
        match self.pinged {
            _ if keep_alive.is_zero() => {}
            Some(pinged) if now >= pinged + keep_alive => return Err(End::Silent),
            Some(_) => {}
            None if now >= self.sent.min(self.heard) + keep_alive => {
                self.pinged = Some(now);
                self.far.put(&Packet::PingReq);
            }
            None => {}
        }
        if self.plan.bridge.start == BridgeStart::Lazy && now >= self.moved + self.idle() {
            return Err(End::Idle);
        }
        if now >= self.second + Duration::from_secs(1) {
            (self.second, self.tokens) = (now, self.plan.bridge.rate_max);
        }
        Ok(())
    }

    /// Handles what has come, as far as the other side takes it.
    ///
    /// # Errors
    /// It ends.
    pub(crate) fn work(&mut self, now: Instant) -> Result<(), End> {
        self.work_on(Side::Far, now)?;
        self.work_on(Side::Near, now)?;
        // What was acknowledged just now may have made room.
        self.work_on(Side::Far, now)
    }

    fn work_on(&mut self, from: Side, now: Instant) -> Result<(), End> {
        self.unpark(from, now)?;
        let input = self.line(from).take_input();
        let mut used = 0;
        let ended = loop {
            let max = self.line(from).packet_size_max;
            let frame = match next_frame(&input[used..], max) {
                Ok(None) => break Ok(()),
                Ok(Some(frame)) => frame,
                Err(error) => break Err(End::Broken(from, error)),
            };
            if frame.packet_type() == Some(PacketType::Publish)
                && (self.line(from).parked() > 0 || self.waits(from, frame))
            {
                if self.line(from).parked() > BACKLOG_MAX {
                    break Ok(());
                }
                self.line(from).park(&input[used..used + frame.len]);
                used += frame.len;
                continue;
            }
            used += frame.len;
            let handled = self.decode(from, frame, now);
            if handled.is_err() {
                break handled;
            }
        };
        self.line(from).keep(input, used);
        ended
    }

    /// Passes on messages that have waited, as far as the other side takes them.
    fn unpark(&mut self, from: Side, now: Instant) -> Result<(), End> {
        if self.line(from).parked() == 0 {
            return Ok(());
        }
        let parked = self.line(from).take_parked();
        let mut used = 0;
        let ended = loop {
            // They were whole when they came.
            let Ok(Some(frame)) = next_frame(&parked[used..], u32::MAX) else { break Ok(()) };
            if self.waits(from, frame) {
                break Ok(());
            }
            used += frame.len;
            let handled = self.decode(from, frame, now);
            if handled.is_err() {
                break handled;
            }
        };
        self.line(from).keep_parked(parked, used);
        ended
    }

    fn decode(&mut self, from: Side, frame: Frame<'_>, now: Instant) -> Result<(), End> {
        let version = self.line(from).version;
        match Packet::decode(frame, Some(version), Role::Server) {
            Ok(packet) => self.handle(from, &packet, now),
            Err(error) => Err(End::Broken(from, error)),
        }
    }

    /// Whether a message has to wait until the other side takes more.
    fn waits(&mut self, from: Side, frame: Frame<'_>) -> bool {
        if from == Side::Near && self.plan.bridge.rate_max > 0 && self.tokens == 0 {
            return true;
        }
        let to = self.line(from.other());
        let acknowledged = frame.first & 0b110 != 0 && to.terms.qos_max > QoS::AtMostOnce;
        to.unwritten().len() > BACKLOG_MAX || acknowledged && to.open >= to.terms.receive_maximum
    }

    fn handle(&mut self, from: Side, packet: &Packet<'_>, now: Instant) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => self.publish(from, publish, now),
            Packet::PubAck(ack) => return self.puback(from, ack, now),
            Packet::PubRec(ack) => return self.pubrec(from, ack, now),
            Packet::PubRel(ack) => self.pubrel(from, ack),
            Packet::PubComp(ack) => self.pubcomp(from, ack),
            Packet::SubAck(answer) => self.subscribed(from, answer),
            Packet::UnsubAck(_) | Packet::PingResp => {}
            Packet::Disconnect(it) => {
                return Err(End::Said(from, it.reason, it.reason_string.map(Into::into)));
            }
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Auth(_) => return Err(End::Unexpected(from, packet.packet_type())),
        }
        Ok(())
    }

    /// A message: to the other side, unless there is a reason not to.
    fn publish(&mut self, from: Side, publish: &Publish<'_>, now: Instant) {
        let way = from.way();
        let plan = Arc::clone(&self.plan);
        let topic = publish.topic.as_str();
        let Some(mapped) = plan.rules.map(way, topic) else {
            // It was on its way when its subscription was taken back.
            return self.settle(from, publish, ReasonCode::Success);
        };
        let Some(properties) = self.stamp.put(publish.properties.others, plan.bridge.hops_max)
        else {
            self.status.count(Counted::Looped);
            return self.settle(from, publish, ReasonCode::Success);
        };
        let Ok(mapped) = TopicName::parse(&mapped) else {
            self.drop_loudly(topic, "its topic would be none there", now);
            return self.settle(from, publish, ReasonCode::ImplementationSpecificError);
        };
        let to = self.line(from.other());
        let qos = publish.qos.min(to.terms.qos_max);
        let retain = publish.retain && to.terms.retain;
        let message = Publish {
            dup: publish.dup && qos > QoS::AtMostOnce,
            qos,
            retain: retain && (way == Way::In || plan.bridge.outgoing_retain),
            topic: mapped,
            packet_id: publish.packet_id.filter(|_| qos > QoS::AtMostOnce),
            properties: PublishProperties {
                message_expiry_secs: publish.properties.message_expiry_secs,
                others: others(&properties, to.version),
                ..PublishProperties::default()
            },
            payload: publish.payload,
        };
        let size = message.encoded_len(to.version);
        if size == 0 || size > to.terms.packet_size_max as usize {
            self.status.count(Counted::TooLarge);
            self.drop_loudly(topic, "it is larger than the other side takes", now);
            return self.settle(from, publish, ReasonCode::ImplementationSpecificError);
        }
        to.put(&Packet::Publish(message));
        if qos > QoS::AtMostOnce {
            to.open = to.open.saturating_add(1);
        }
        self.passed(way, now);
        match (publish.qos, qos, publish.packet_id) {
            (came, QoS::AtMostOnce, _) if came > QoS::AtMostOnce => {
                self.settle(from, publish, ReasonCode::Success);
            }
            (QoS::ExactlyOnce, QoS::AtLeastOnce, Some(id)) => {
                self.odd[way as usize].lowered.insert(id);
            }
            _ => {}
        }
    }

    fn passed(&mut self, way: Way, now: Instant) {
        self.moved = now;
        match way {
            Way::Out => {
                self.tokens = self.tokens.saturating_sub(1);
                self.status.count(Counted::Sent);
            }
            Way::In => self.status.count(Counted::Received),
        }
    }

    /// Acknowledges a message that goes no further.
    fn settle(&mut self, from: Side, publish: &Publish<'_>, reason: ReasonCode) {
        let Some(id) = publish.packet_id else { return };
        match publish.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.line(from).put(&Packet::PubAck(Ack::new(id, reason))),
            QoS::ExactlyOnce => self.received(from, Ack::new(id, reason)),
        }
    }

    /// Says that a message of QoS 2 was received, by nobody who has to hear of its end.
    fn received(&mut self, to: Side, ack: Ack<'_>) {
        let (id, refused) = (ack.packet_id, ack.reason.is_error());
        let line = self.line(to);
        line.put(&Packet::PubRec(ack));
        // Before 5.0 there is no refusing: its end comes all the same.
        if !refused || line.version != Version::V5 {
            self.odd[to.way() as usize].kept_back.insert(id);
        }
    }

    fn puback(&mut self, from: Side, ack: &Ack<'_>, now: Instant) -> Result<(), End> {
        if from == Side::Far && self.noting && ack.packet_id == id(NOTE_ID) {
            self.noting = false;
            self.far.settled();
            return Ok(());
        }
        self.judge(from, ack, now)?;
        self.line(from).settled();
        let to = from.other();
        let ack = sayable(ack, PacketType::PubAck);
        if self.odd[to.way() as usize].lowered.remove(&ack.packet_id) {
            self.received(to, ack);
        } else {
            self.line(to).put(&Packet::PubAck(ack));
        }
        Ok(())
    }

    fn pubrec(&mut self, from: Side, ack: &Ack<'_>, now: Instant) -> Result<(), End> {
        self.judge(from, ack, now)?;
        let to = from.other();
        let ack = sayable(ack, PacketType::PubRec);
        if ack.reason.is_error() {
            self.line(from).settled();
            self.received(to, ack);
        } else {
            self.line(to).put(&Packet::PubRec(ack));
        }
        Ok(())
    }

    fn pubrel(&mut self, from: Side, ack: &Ack<'_>) {
        if self.odd[from.way() as usize].kept_back.remove(&ack.packet_id) {
            let done = Ack::new(ack.packet_id, ReasonCode::Success);
            self.line(from).put(&Packet::PubComp(done));
        } else {
            self.line(from.other()).put(&Packet::PubRel(ack.clone()));
        }
    }

    fn pubcomp(&mut self, from: Side, ack: &Ack<'_>) {
        if self.swept[from as usize].remove(&ack.packet_id) {
            return;
        }
        self.line(from).settled();
        self.line(from.other()).put(&Packet::PubComp(ack.clone()));
    }

    /// What it means that a side has taken a message, or has not.
    fn judge(&mut self, from: Side, ack: &Ack<'_>, now: Instant) -> Result<(), End> {
        if ack.reason == ReasonCode::QuotaExceeded {
            // Later there may be room: until then it stays where it is.
            return Err(End::NoRoom(from));
        }
        if ack.reason.is_error() {
            self.status.count(Counted::Refused);
            let why = format!("refused: {}", ack.reason_string.unwrap_or(ack.reason.name()));
            self.drop_loudly(&format!("packet {}", ack.packet_id.value()), &why, now);
        }
        Ok(())
    }

    /// Tells of a message that does not arrive, once a second at most.
    fn drop_loudly(&mut self, what: &str, why: &str, now: Instant) {
        if self.told.is_some_and(|told| now < told + Duration::from_secs(1)) {
            return;
        }
        self.told = Some(now);
        tracing::warn!("bridge {}: a message is dropped ({what}): {why}", self.plan.name());
    }

    /// A broker has answered what it was asked for.
    fn subscribed(&mut self, from: Side, answer: &SubAck<'_>) {
        let Some(first) = self.asked[from as usize] else { return };
        let plan = Arc::clone(&self.plan);
        let asked = plan.rules.filters(from.way()).into_iter().skip(first).take(FILTERS_MAX);
        let place = match from {
            Side::Near => "here",
            Side::Far => "there",
        };
        for ((filter, qos), code) in asked.zip(answer.codes) {
            match ReasonCode::from_u8(*code) {
                Some(reason) if reason.is_error() => tracing::error!(
                    "bridge {}: {filter} cannot be subscribed to {place}: {reason}",
                    plan.name()
                ),
                _ if *code < qos as u8 => tracing::warn!(
                    "bridge {}: {filter} is subscribed to {place} with QoS {code} instead of {}",
                    plan.name(),
                    qos as u8
                ),
                _ => tracing::debug!("bridge {}: {filter} is subscribed to {place}", plan.name()),
            }
        }
        self.subscribe(from, first + FILTERS_MAX);
        if self.asked == [None; 2] {
            tracing::info!("bridge {}: is up", plan.name());
        }
    }
}

/// Filters as a bridge subscribes to them: it does not get back what it sends, and what is retained
/// comes once.
pub(crate) fn filters(wanted: &[(&str, QoS)]) -> SubscribeFiltersBuf {
    let mut filters = SubscribeFiltersBuf::default();
    for (filter, qos) in wanted {
        // The configuration has been checked.
        let Ok(filter) = TopicFilter::parse(filter) else { continue };
        let options = SubscribeOptions {
            qos: *qos,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::IfNew,
        };
        filters.push(filter, options);
    }
    filters
}

/// The packet that asks for them.
pub(crate) fn subscribe(filters: &SubscribeFiltersBuf) -> Packet<'_> {
    Packet::Subscribe(Subscribe {
        packet_id: id(SUBSCRIBE_ID),
        subscription_id: None,
        user_properties: UserProperties::EMPTY,
        filters: filters.as_filters(),
    })
}

/// The same from a client: some reasons are for brokers alone.
fn sayable<'a>(ack: &Ack<'a>, packet: PacketType) -> Ack<'a> {
    let reason = match ack.reason {
        reason if reason.allowed_in(packet, Role::Client) => reason,
        reason if reason.is_error() => ReasonCode::UnspecifiedError,
        _ => ReasonCode::Success,
    };
    Ack { reason, ..ack.clone() }
}

/// What goes along with a message, where that is known.
fn others(properties: &PropertiesBuf, version: Version) -> OtherProperties<'_> {
    if version == Version::V5 { properties.as_properties() } else { OtherProperties::EMPTY }
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("none of ours is 0")
}

#[cfg(feature = "fuzz")]
pub mod fuzz;
#[cfg(test)]
mod tests;
