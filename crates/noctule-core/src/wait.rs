//! Acknowledgements that wait, in order, one queue a connection: for a record to be stored, for an
//! index change to be visible, for a share group to answer.

use crate::broker::{Broker, Turn};
use crate::connect::Accepted;
use crate::identity::{ConnId, SessionNumber, ShardId};
use crate::limits::Durability;
use crate::peer::PeerMessage;
use crate::record::Record;
use crate::retained::Wish;
use crate::shortage::NOT_KEPT;
use crate::spare::Spares;
use noctule_proto::packet::{Ack, Packet, SubAck};
use noctule_proto::property::UserProperties;
use noctule_proto::{PacketId, PacketType, ReasonCode, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Acknowledgements of one connection that wait; with as many, it is not read until some leave.
const HELD_MAX: usize = 1024;

/// What an acknowledgement waits for; zeros wait for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Wait {
    /// Index change that has to be visible.
    pub(crate) index: u64,
    /// Record that has to be written.
    pub(crate) written: u64,
    /// Record that has to be durable.
    pub(crate) durable: u64,
    /// Share groups and fences of other shards that have to answer.
    pub(crate) joins: u32,
    /// The number they answer with.
    pub(crate) request: u64,
}

/// One waiting acknowledgement.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    wait: Wait,
    reply: Reply,
}

/// What leaves once the wait is over.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    ConnAck(Box<Accepted>),
    Ack { kind: AckKind, id: PacketId, reason: ReasonCode, why: Option<Box<str>> },
    SubAck { id: PacketId, codes: Box<[u8]>, why: Option<Box<str>>, wishes: Vec<Wish> },
    UnsubAck { id: PacketId, codes: Box<[u8]> },
    PingResp,
}

impl Reply {
    fn is_puback(&self) -> bool {
        matches!(self, Reply::Ack { kind: AckKind::PubAck, .. })
    }

    /// While it waits, its connection is not read: what a client publishes after a SUBSCRIBE it
    /// expects to receive, and not after an UNSUBSCRIBE, whether or not it waited for the answer.
    fn is_of_index(&self) -> bool {
        matches!(self, Reply::SubAck { .. } | Reply::UnsubAck { .. })
    }
}

/// What SUBACK and UNSUBACK, which look alike, answer.
enum Request {
    Subscribe,
    Unsubscribe,
}

/// The four acknowledgements of QoS 1 and 2, by the names the standard gives them.
#[allow(clippy::enum_variant_names, reason = "the standard names them so")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum AckKind {
    PubAck,
    PubRec,
    PubRel,
    PubComp,
}

/// How far the world outside is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Waits {
    index_emitted: u64,
    index_visible: u64,
    records_emitted: u64,
    records_written: u64,
    records_durable: u64,
    /// The last record of the end of a session.
    end_recorded: u64,
    joins_asked: u64,
    /// Connections with something held.
    waiting: BTreeSet<ConnId>,
    /// Slots of sessions with messages that leave once it is stored that they do.
    unsent: BTreeSet<u32>,
    /// Buffers of connections that hold nothing.
    #[serde(skip)]
    spares: Spares<Held>,
}

impl Wait {
    /// Waits for what the other waits for as well.
    pub(crate) fn and(&mut self, other: Wait) {
        self.index = self.index.max(other.index);
        self.written = self.written.max(other.written);
        self.durable = self.durable.max(other.durable);
    }
}

impl Waits {
    /// Counts an emitted index change and gives its number.
    pub(crate) fn index_emitted(&mut self) -> u64 {
        self.index_emitted += 1;
        self.index_emitted
    }

    /// Gives a new number for share groups to answer with.
    pub(crate) fn join_request(&mut self) -> u64 {
        self.joins_asked += 1;
        self.joins_asked
    }

    /// Last index change that everyone sees.
    pub(crate) fn visible(&self) -> u64 {
        self.index_visible
    }

    /// Lets go of buffers that nothing waits in.
    pub(crate) fn let_go(&mut self) {
        self.spares = Spares::default();
    }

    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.waiting.remove(&conn);
    }

    pub(crate) fn over(&self, wait: &Wait) -> bool {
        wait.joins == 0
            && wait.index <= self.index_visible
            && wait.written <= self.records_written
            && wait.durable <= self.records_durable
    }

    /// How many records were emitted.
    pub(crate) fn records_emitted(&self) -> u64 {
        self.records_emitted
    }

    /// A session has messages that wait for the store.
    pub(crate) fn unsent(&mut self, slot: u32) {
        self.unsent.insert(slot);
    }

    /// Acknowledgements wait for nothing that will not come.
    pub(crate) fn check(&self) {
        assert!(self.index_visible <= self.index_emitted, "visible before emitted");
        assert!(self.records_written <= self.records_emitted, "written before emitted");
        assert!(self.records_durable <= self.records_written, "durable before written");
    }
}

impl Broker {
    /// Emits a record that nothing waits for.
    pub(crate) fn note(&mut self, turn: &mut Turn<'_>, record: Record) {
        turn.out.records.push(record);
        self.waits.records_emitted += 1;
    }

    /// Emits the record of the end of a session: who is told that there is none waits for it.
    pub(crate) fn note_ended(&mut self, turn: &mut Turn<'_>, session: SessionNumber) {
        self.note(turn, Record::SessionEnded(session));
        self.waits.end_recorded = self.waits.records_emitted;
    }

    /// Waits until no session that has ended can be there again after a crash.
    pub(crate) fn ends_recorded(&self, turn: &mut Turn<'_>, durability: Durability) -> Wait {
        match self.waits.end_recorded > self.waits.records_durable {
            true => self.all_recorded(turn, durability),
            false => Wait::default(),
        }
    }

    /// Emits a record and says what to wait for.
    pub(crate) fn record(
        &mut self,
        turn: &mut Turn<'_>,
        record: Record,
        durability: Durability,
    ) -> Wait {
        self.note(turn, record);
        self.all_recorded(turn, durability)
    }

    /// Waits for all records so far.
    pub(crate) fn all_recorded(&self, turn: &mut Turn<'_>, durability: Durability) -> Wait {
        turn.out.commit = turn.out.commit.max(durability);
        let number = self.waits.records_emitted;
        match durability {
            Durability::Memory => Wait::default(),
            Durability::Os => Wait { written: number, ..Wait::default() },
            Durability::Fsync => Wait { durable: number, ..Wait::default() },
        }
    }

    /// Sends a reply now, or in its turn behind those that wait.
    pub(crate) fn reply(&mut self, turn: &mut Turn<'_>, conn: ConnId, wait: Wait, reply: Reply) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if connection.held.is_empty() && self.waits.over(&wait) {
            self.leave(turn, conn, reply);
        } else {
            connection.unacknowledged += u16::from(reply.is_puback());
            let holds = reply.is_of_index();
            if connection.held.is_empty() {
                self.waits.spares.lend(&mut connection.held);
                self.waits.waiting.insert(conn);
            }
            connection.held.push_back(Held { wait, reply });
            let full = connection.held.len() == HELD_MAX;
            for _ in 0..u32::from(holds) + u32::from(full) {
                self.hold(turn, conn);
            }
        }
    }

    pub(crate) fn index_visible(&mut self, turn: &mut Turn<'_>, up_to: u64, version: u64) {
        self.waits.index_visible = up_to.min(self.waits.index_emitted);
        self.date_wishes(version);
        self.groups_visible(turn);
        self.release_held(turn);
    }

    /// Notes since when subscriptions get messages live, on the retained messages they are owed.
    fn date_wishes(&mut self, version: u64) {
        for conn in &self.waits.waiting {
            let Some(connection) = self.connections.get_mut(*conn) else { continue };
            for held in &mut connection.held {
                if held.wait.index <= self.waits.index_visible
                    && let Reply::SubAck { wishes, .. } = &mut held.reply
                {
                    for wish in wishes {
                        wish.live_since = wish.live_since.min(version);
                    }
                }
            }
        }
    }

    pub(crate) fn stored(&mut self, turn: &mut Turn<'_>, (written, durable): (u64, u64)) {
        let waits = &mut self.waits;
        waits.records_written = written.max(durable).min(waits.records_emitted);
        waits.records_durable = durable.min(waits.records_emitted);
        self.release_held(turn);
        for slot in std::mem::take(&mut self.waits.unsent) {
            // What turns out to be too late leaves room for others.
            if self.sessions.get_mut(slot).is_some() {
                self.pump(turn, slot);
            }
        }
    }

    /// Lets an acknowledgement wait until `home` has heard all it was told so far.
    pub(crate) fn fence(
        &mut self,
        turn: &mut Turn<'_>,
        home: ShardId,
        asker: SessionNumber,
        wait: &mut Wait,
    ) {
        if wait.request == 0 {
            wait.request = self.waits.join_request();
        }
        wait.joins += 1;
        self.tell(turn, home, PeerMessage::Fence { asker, request: wait.request });
    }

    /// A fence was passed.
    pub(crate) fn passed(
        &mut self,
        turn: &mut Turn<'_>,
        from: ShardId,
        asker: SessionNumber,
        (request, kept): (u64, bool),
    ) {
        let Some(slot) = self.sessions.slot_of(asker) else { return };
        self.left_group(slot, from, request);
        if let Some(conn) = self.sessions.at(slot).conn() {
            if !kept {
                self.not_kept(turn, conn, request);
            }
            self.join_answered(turn, conn, request);
        }
    }

    /// A retained message was delivered and not kept, for want of memory: its PUBACK says so.
    /// Before v5 nothing does, so the connection ends without it.
    fn not_kept(&mut self, turn: &mut Turn<'_>, conn: ConnId, fence: u64) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let held = connection.held.iter_mut().filter(|held| held.wait.request == fence);
        for held in held {
            if let Reply::Ack { kind: AckKind::PubAck, reason, why, .. } = &mut held.reply {
                self.counters.publishes_short += 1;
                if connection.version != Version::V5 {
                    return self.end(turn, conn, ReasonCode::QuotaExceeded, NOT_KEPT);
                }
                (*reason, *why) = (ReasonCode::QuotaExceeded, Some(NOT_KEPT.into()));
            }
        }
    }

    /// One of the share groups that a SUBACK waits for has answered.
    pub(crate) fn join_answered(&mut self, turn: &mut Turn<'_>, conn: ConnId, request: u64) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        for held in &mut connection.held {
            if held.wait.joins > 0 && held.wait.request == request {
                held.wait.joins -= 1;
            }
        }
        self.release_held_of(turn, conn);
    }

    fn release_held(&mut self, turn: &mut Turn<'_>) {
        let waiting: Vec<ConnId> = self.waits.waiting.iter().copied().collect();
        for conn in waiting {
            self.release_held_of(turn, conn);
        }
    }

    fn release_held_of(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        loop {
            let Some(connection) = self.connections.get_mut(conn) else { return };
            let Some(first) = connection.held.front() else {
                self.waits.waiting.remove(&conn);
                self.waits.spares.take_back(&mut connection.held);
                return;
            };
            if !self.waits.over(&first.wait) {
                return;
            }
            let was_full = connection.held.len() == HELD_MAX;
            let held = connection.held.pop_front().expect("just looked at it");
            connection.unacknowledged -= u16::from(held.reply.is_puback());
            let held_reading = held.reply.is_of_index();
            self.leave(turn, conn, held.reply);
            for _ in 0..u32::from(held_reading) + u32::from(was_full) {
                self.release(turn, conn);
            }
        }
    }

    /// The wait is over. Messages that a SUBSCRIBE makes possible may leave ahead of its SUBACK,
    /// retained ones do not. `[U5-3.8.4-1]`
    fn leave(&mut self, turn: &mut Turn<'_>, conn: ConnId, reply: Reply) {
        match reply {
            Reply::ConnAck(accepted) => self.connack(turn, conn, *accepted),
            Reply::Ack { kind, id, reason, why } => {
                self.send_ack(turn, conn, kind, (id, reason, why.as_deref()));
            }
            Reply::SubAck { id, codes, why, wishes } => {
                self.send_suback(turn, conn, (id, &codes, why.as_deref()), Request::Subscribe);
                self.grant_wishes(turn, conn, wishes);
            }
            Reply::UnsubAck { id, codes } => {
                self.send_suback(turn, conn, (id, &codes, None), Request::Unsubscribe);
            }
            Reply::PingResp => self.send(turn, conn, &Packet::PingResp),
        }
    }

    fn send_suback(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        (packet_id, codes, why): (PacketId, &[u8], Option<&str>),
        request: Request,
    ) {
        let packet = |ack| match request {
            Request::Subscribe => Packet::SubAck(ack),
            Request::Unsubscribe => Packet::UnsubAck(ack),
        };
        let why = why.filter(|_| self.reasons_for(conn));
        let user_properties = UserProperties::default();
        let ack = SubAck { packet_id, codes, reason_string: why, user_properties };
        // [MQTT-3.9.2-1 v5], [MQTT-3.11.2-1 v5]: the reason string yields to the size limit.
        if !self.try_send(turn, conn, &packet(ack)) {
            let ack = SubAck { packet_id, codes, reason_string: None, user_properties };
            if !self.try_send(turn, conn, &packet(ack)) {
                self.end(turn, conn, ReasonCode::PacketTooLarge, "SUBACK exceeds your limit");
            }
        }
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP, with a reason string if it may have one.
    pub(crate) fn send_ack(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        kind: AckKind,
        (packet_id, reason, why): (PacketId, ReasonCode, Option<&str>),
    ) {
        let why = why.filter(|_| self.reasons_for(conn));
        let user_properties = UserProperties::default();
        let ack = Ack { packet_id, reason, reason_string: why, user_properties };
        let packet = match kind {
            AckKind::PubAck => PacketType::PubAck,
            AckKind::PubRec => PacketType::PubRec,
            AckKind::PubRel => PacketType::PubRel,
            AckKind::PubComp => PacketType::PubComp,
        };
        // [MQTT-3.4.2-2 v5], [MQTT-3.5.2-2 v5], [MQTT-3.6.2-2 v5], [MQTT-3.7.2-2 v5]
        if !self.try_send_as(turn, conn, |version, out| ack.encode(packet, version, out)) {
            let ack = Ack { reason_string: None, ..ack };
            self.try_send_as(turn, conn, |version, out| ack.encode(packet, version, out));
        }
    }

    fn reasons_for(&self, conn: ConnId) -> bool {
        self.connections.get(conn).is_some_and(|connection| {
            connection.version == Version::V5
                && connection.wants_reasons()
                && self.limits.reason_strings
        })
    }
}
