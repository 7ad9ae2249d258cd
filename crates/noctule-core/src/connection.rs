//! One connection, from its first packet to its end: phases, dispatch, keep alive, closing.

use crate::alias::Aliases;
use crate::broker::{Broker, TimerKey, Turn};
use crate::connect::Applicant;
use crate::defence::Traffic;
use crate::identity::{ConnId, SessionNumber, Time};
use crate::input::{Level, Origin};
use crate::output::{Effect, End, Event, Purpose};
use crate::route::LastRoute;
use crate::terms::Terms;
use crate::timer::Deadline;
use crate::wait::{AckKind, Held, Reply, Wait};
use noctule_proto::packet::{Connect, Disconnect, Packet};
use noctule_proto::property::UserProperties;
use noctule_proto::{DecodeError, PacketType, QoS, ReasonCode, Role, Version};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// A transport connection and what the protocol knows of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Connection {
    pub(crate) origin: Origin,
    pub(crate) version: Version,
    /// A bridge, by the bit that mosquitto's set: it must not get back what it sends.
    pub(crate) bridge: bool,
    pub(crate) phase: Phase,
    pub(crate) last_heard: Time,
    pub(crate) timer: Deadline,
    pub(crate) keep_alive_secs: u16,
    /// Largest packet the client takes, bytes.
    pub(crate) packet_size_max: u32,
    /// Reasons not to read it; read while 0.
    pub(crate) holds: u16,
    /// Of those, receivers who are behind with what it publishes.
    pub(crate) held_by: Box<[SessionNumber]>,
    /// Slot of its session, once accepted.
    pub(crate) session: u32,
    /// Where the route of its last PUBLISH lies.
    #[serde(skip)]
    pub(crate) last_route: LastRoute,
    /// QoS 1 messages whose PUBACK is held.
    pub(crate) unacknowledged: u16,
    /// QoS 2 messages it began on this connection and has not released.
    pub(crate) unreleased: u16,
    /// What it did since it was last looked at.
    pub(crate) traffic: Traffic,
    /// What it publishes is refused for now.
    pub(crate) quarantined: bool,
    /// Acknowledgements that wait, in order.
    pub(crate) held: VecDeque<Held>,
    /// What only MQTT 5 connections have.
    pub(crate) v5: Option<Box<Extras>>,
    /// What only some live connections are subject to.
    pub(crate) terms: Option<Box<Terms>>,
}

/// How far a connection is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Its CONNECT is awaited.
    Fresh,
    /// Who it is is being found out.
    Proving(Box<Applicant>),
    /// It is accepted; its CONNACK waits for the store.
    Accepting,
    /// CONNACK is out.
    Live,
}

/// State of an MQTT 5 connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Extras {
    pub(crate) aliases: Aliases,
    /// The client wants reason strings on all packets.
    pub(crate) problem_information: bool,
    /// Authentication Method of the CONNECT.
    pub(crate) method: Option<Box<str>>,
    pub(crate) proving: Proving,
    pub(crate) announced: Announced,
    /// Session Expiry Interval of the CONNECT was above 0: DISCONNECT may set one.
    pub(crate) may_expire_late: bool,
}

/// Whose turn it is in a re-authentication.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) enum Proving {
    /// None runs.
    #[default]
    No,
    /// The client's.
    Asked,
    /// The authenticator's.
    Judged,
}

/// What CONNACK promised. It holds for the connection, whatever a reload brings.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Announced {
    pub(crate) receive_maximum: u16,
    pub(crate) topic_alias_max: u16,
    pub(crate) qos_max: QoS,
    pub(crate) retain_available: bool,
}

/// The connections of a shard by number.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Connections {
    slots: Vec<Option<Box<Connection>>>,
}

impl Connections {
    pub(crate) fn get(&self, conn: ConnId) -> Option<&Connection> {
        self.slots.get(conn.0 as usize)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        self.slots.get_mut(conn.0 as usize)?.as_deref_mut()
    }

    fn insert(&mut self, conn: ConnId, connection: Connection) {
        let at = conn.0 as usize;
        if at >= self.slots.len() {
            self.slots.resize_with(at + 1, || None);
        }
        self.slots[at] = Some(Box::new(connection));
    }

    fn remove(&mut self, conn: ConnId) -> Option<Box<Connection>> {
        self.slots.get_mut(conn.0 as usize)?.take()
    }

    /// Where they publish, and whether they may, has to be found out again.
    pub(crate) fn forget_routes(&mut self) {
        self.slots.iter_mut().flatten().for_each(|it| it.last_route = LastRoute::default());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &Connection)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| Some((ConnId(at as u32), slot.as_deref()?)))
    }

    /// One past the greatest number ever used.
    pub(crate) fn end(&self) -> u32 {
        self.slots.len() as u32
    }
}

impl Connection {
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    /// Whether a Reason String may go with an acknowledgement `[MQTT-3.1.2-29 v5]`.
    pub(crate) fn wants_reasons(&self) -> bool {
        self.v5.as_ref().is_some_and(|extras| extras.problem_information)
    }
}

impl Broker {
    pub(crate) fn opened(&mut self, turn: &mut Turn<'_>, conn: ConnId, from: Origin) {
        self.counters.connections_now += 1;
        self.connections.insert(
            conn,
            Connection {
                origin: from,
                version: Version::V311,
                bridge: false,
                phase: Phase::Fresh,
                last_heard: turn.now,
                timer: Deadline::NONE,
                keep_alive_secs: 0,
                packet_size_max: u32::MAX,
                holds: 0,
                held_by: Box::default(),
                session: u32::MAX,
                last_route: LastRoute::default(),
                unacknowledged: 0,
                unreleased: 0,
                traffic: Traffic::default(),
                quarantined: false,
                held: VecDeque::new(),
                v5: None,
                terms: None,
            },
        );
        // [U5-3.1.4-1]: a connection that sends no CONNECT is not kept.
        let due = turn.now.plus_secs(u64::from(self.limits.connect_timeout_secs));
        if let Some(connection) = self.connections.get_mut(conn) {
            self.timers.set(TimerKey::Connection(conn), &mut connection.timer, due);
        }
        if self.counters.connections_now > u64::from(self.limits.connections_max) {
            self.refuse(turn, conn, ReasonCode::ServerBusy, "too many connections");
        }
    }

    /// Where a connection comes from is known only now.
    pub(crate) fn located(&mut self, conn: ConnId, remote: SocketAddr) {
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.origin.remote = Some(remote);
        }
    }

    /// A whole packet: the CONNECT, a step of authentication, or anything once connected.
    pub(crate) fn packet(&mut self, turn: &mut Turn<'_>, conn: ConnId, p: &Packet<'_>, size: u32) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.last_heard = turn.now;
        if let (Phase::Fresh, Packet::Connect(connect)) = (&connection.phase, p) {
            if let Some(user_name) = connect.user_name.filter(|name| *name != connect.client_id)
                && self.limits.calls_by_user_name(connection.origin.listener)
            {
                let renamed = Connect { client_id: user_name, ..connect.clone() };
                self.packet(turn, conn, &Packet::Connect(renamed), size);
                return;
            }
            // That of a connection that moves is heard again at its home, and counted there.
            if self.moves_home(turn, conn, connect) {
                return;
            }
        }
        self.counters.packets_received += 1;
        self.counters.bytes_received += u64::from(size);
        let Some(connection) = self.connections.get_mut(conn) else { return };
        match connection.phase {
            Phase::Live if connection.terms.is_some() => self.packet_on_terms(turn, conn, p, size),
            Phase::Live => self.live_packet(turn, conn, p),
            Phase::Fresh => match p {
                Packet::Connect(connect) => self.connect(turn, conn, connect),
                // [V31-3.1-4], [MQTT-3.1.0-1 v5], [MQTT-3.1.0-1 v3.1.1]
                _ => self.lose(turn, conn, ReasonCode::ProtocolError, "no CONNECT"),
            },
            Phase::Proving(_) => match p {
                Packet::Auth(auth) => self.auth_step(turn, conn, auth),
                Packet::Disconnect(disconnect) => self.disconnected(turn, conn, disconnect),
                // [MQTT-3.1.2-30 v5]
                _ => self.refuse(
                    turn,
                    conn,
                    ReasonCode::ProtocolError,
                    "only AUTH may come before CONNACK",
                ),
            },
            // Reading is paused until CONNACK leaves.
            Phase::Accepting => {}
        }
    }

    pub(crate) fn live_packet(&mut self, turn: &mut Turn<'_>, conn: ConnId, packet: &Packet<'_>) {
        match packet {
            Packet::Publish(publish) => self.publish(turn, conn, publish),
            Packet::PubAck(ack) => self.acknowledged(turn, conn, AckKind::PubAck, ack),
            Packet::PubRec(ack) => self.acknowledged(turn, conn, AckKind::PubRec, ack),
            Packet::PubComp(ack) => self.acknowledged(turn, conn, AckKind::PubComp, ack),
            Packet::PubRel(ack) => self.pubrel(turn, conn, ack),
            Packet::Subscribe(subscribe) => self.subscribe(turn, conn, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(turn, conn, unsubscribe),
            // [V31-3.12-1], [MQTT-3.12.4-1 v5], [MQTT-3.12.4-1 v3.1.1]
            // In its turn: a client may take the answer for the end of all it asked before.
            Packet::PingReq => self.reply(turn, conn, Wait::default(), Reply::PingResp),
            Packet::Disconnect(disconnect) => self.disconnected(turn, conn, disconnect),
            Packet::Auth(auth) => self.authenticate_again(turn, conn, auth),
            // [MQTT-3.1.0-2 v5], [MQTT-3.1.0-2 v3.1.1]
            Packet::Connect(_) => {
                self.fail(turn, conn, ReasonCode::ProtocolError, "second CONNECT");
            }
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                self.fail(turn, conn, ReasonCode::ProtocolError, "a packet that only servers send");
            }
        }
    }

    /// The bytes broke a rule. [MQTT-4.13.1-1 v5], [MQTT-4.8.0-1 v3.1.1]
    /// [U5-4.13.1-1].
    pub(crate) fn broken(&mut self, turn: &mut Turn<'_>, conn: ConnId, error: DecodeError) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let why = error.to_string();
        match connection.phase {
            Phase::Live | Phase::Accepting => self.fail(turn, conn, error.reason_code(), &why),
            Phase::Fresh | Phase::Proving(_) => {
                self.counters.protocol_errors += 1;
                if matches!(connection.phase, Phase::Proving(_)) {
                    self.refuse(turn, conn, error.reason_code(), &why);
                } else {
                    self.refuse_broken(turn, conn, error, &why);
                }
            }
        }
    }

    /// The transport ended: the Will applies. [MQTT-3.1.2-8 v5]
    pub(crate) fn closed(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        self.drop_connection(turn, conn, End::Lost);
    }

    /// DISCONNECT from the client.
    /// [MQTT-3.14.4-1 v5], [MQTT-3.14.4-2 v5], [U5-3.14.4-2].
    fn disconnected(&mut self, turn: &mut Turn<'_>, conn: ConnId, packet: &Disconnect<'_>) {
        let Some(connection) = self.connections.get(conn) else { return };
        if connection.is_live()
            && let Some(secs) = packet.session_expiry_secs
        {
            let slot = connection.session;
            // [U5-3.14.2-1]: not from 0 to above 0.
            let late = connection.v5.as_ref().is_some_and(|extras| extras.may_expire_late);
            if !late && secs > 0 {
                self.fail(
                    turn,
                    conn,
                    ReasonCode::ProtocolError,
                    "session expiry cannot change from 0 at DISCONNECT",
                );
                return;
            }
            let secs = secs.min(self.limits.session_expiry_secs_max);
            self.change_session_expiry(turn, slot, secs);
        }
        turn.out.effects.push(Effect::Close { conn });
        self.drop_connection(turn, conn, End::ByClient(packet.reason));
    }

    /// The socket's backlog crossed a mark.
    pub(crate) fn backlog(&mut self, turn: &mut Turn<'_>, conn: ConnId, level: Level) {
        let Some(connection) = self.connections.get(conn) else { return };
        if !connection.is_live() {
            return;
        }
        let slot = connection.session;
        let now = turn.now;
        let session = self.sessions.at_mut(slot);
        // Its patience begins here; to come here again, half of what waits has to leave.
        session.work.last_progress = now;
        if let Some(link) = &mut session.link {
            link.congested = level == Level::High;
        }
        if level == Level::Low {
            self.pump(turn, slot);
        }
    }

    /// What it sends is not read for now. [MQTT-3.1.2-22 v5]
    pub(crate) fn excused(&mut self, turn: &Turn<'_>, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.last_heard = turn.now;
        }
    }

    /// Time to CONNECT is over, or keep alive may be. [MQTT-3.1.2-22 v5], [MQTT-3.1.2-24 v3.1.1]
    /// [V31-3.1-3], [V31-3.1-9].
    pub(crate) fn connection_due(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.timer.clear();
        match connection.phase {
            Phase::Live => {}
            Phase::Fresh => {
                self.lose(turn, conn, ReasonCode::UnspecifiedError, "no CONNECT in time");
                return;
            }
            Phase::Proving(_) => {
                let why = "authentication took too long";
                self.refuse(turn, conn, ReasonCode::ServerBusy, why);
                return;
            }
            Phase::Accepting => {
                self.lose(turn, conn, ReasonCode::UnspecifiedError, "CONNACK took too long");
                return;
            }
        }
        // One and a half times the keep alive. While we do not read it, it cannot be blamed.
        let due = connection.last_heard.plus_millis(u64::from(connection.keep_alive_secs) * 1500);
        if connection.holds > 0 {
            let again = turn.now.plus_millis(u64::from(connection.keep_alive_secs) * 1500);
            self.timers.set(TimerKey::Connection(conn), &mut connection.timer, again);
        } else if due > turn.now {
            self.timers.set(TimerKey::Connection(conn), &mut connection.timer, due);
        } else {
            self.counters.keep_alive_timeouts += 1;
            self.end(turn, conn, ReasonCode::KeepAliveTimeout, "no packet within 1.5 x keep alive");
        }
    }

    /// Ends a connection for a breach of the protocol.
    /// [MQTT-4.8.0-2 v3.1.1].
    pub(crate) fn fail(&mut self, turn: &mut Turn<'_>, conn: ConnId, why: ReasonCode, text: &str) {
        self.counters.protocol_errors += 1;
        self.end(turn, conn, why, text);
    }

    /// Ends a live connection: DISCONNECT where the version has one, then close. Nobody is sent to
    /// another server `[U5-4.11.0-1]`, and before CONNACK there is no DISCONNECT
    /// [MQTT-3.14.0-1 v5].
    /// [MQTT-4.13.2-1 v5]
    pub(crate) fn end(&mut self, turn: &mut Turn<'_>, conn: ConnId, why: ReasonCode, text: &str) {
        let Some(connection) = self.connections.get(conn) else { return };
        // Codes of CONNACK may come here, from authenticators and operators. [MQTT-3.14.2-1 v5]
        let fits = why.allowed_in(PacketType::Disconnect, Role::Server);
        let why = if fits { why } else { ReasonCode::UnspecifiedError };
        if connection.version == Version::V5 && connection.is_live() {
            let mut packet = Disconnect {
                reason: why,
                session_expiry_secs: None,
                reason_string: Some(text).filter(|_| self.limits.reason_strings),
                server_reference: None,
                user_properties: UserProperties::default(),
            };
            if !self.try_send(turn, conn, &Packet::Disconnect(packet.clone())) {
                // [MQTT-3.14.2-3 v5]
                packet.reason_string = None;
                self.try_send(turn, conn, &Packet::Disconnect(packet));
            }
        }
        self.lose(turn, conn, why, text);
    }

    /// Closes without a packet.
    pub(crate) fn lose(&mut self, turn: &mut Turn<'_>, conn: ConnId, why: ReasonCode, text: &str) {
        turn.out.effects.push(Effect::Close { conn });
        self.drop_connection(turn, conn, End::ByBroker { reason: why, why: text.into() });
    }

    /// Forgets a connection; its session, if it has one, goes on by itself.
    pub(crate) fn drop_connection(&mut self, turn: &mut Turn<'_>, conn: ConnId, end: End) {
        let Some(mut connection) = self.connections.remove(conn) else { return };
        self.timers.cancel(TimerKey::Connection(conn), &mut connection.timer);
        self.forget_expiry(conn);
        self.waits.forget(conn);
        self.controls.forget(conn);
        self.remember_dues(turn.now, conn, &mut connection);
        if connection.holds > 0 {
            // Its number may be given to another connection, which these do not hold.
            self.full_peers.forget(conn);
            self.store_room.forget(conn);
            self.shortage.forget(conn);
            self.jobs.forget_hold(conn);
        }
        self.counters.connections_now -= 1;
        if matches!(connection.phase, Phase::Fresh) {
            self.counters.connections_opened += 1;
        }
        if connection.session == u32::MAX {
            if let End::ByBroker { reason, why } = end {
                self.counters.connects_refused += 1;
                let (client_id, user_name) = match connection.phase {
                    Phase::Proving(applicant) => applicant.into_names(),
                    Phase::Fresh | Phase::Accepting | Phase::Live => (None, None),
                };
                turn.out.events.push(Event::Refused {
                    client_id,
                    user_name,
                    tenant: connection.origin.tenant,
                    remote: connection.origin.remote,
                    reason,
                    why,
                });
            }
            return;
        }
        let slot = connection.session;
        let purpose = if connection.traffic.was_useful() {
            Purpose::Traffic
        } else if self.sessions.at(slot).subscriptions.len() == 0 {
            Purpose::None
        } else {
            Purpose::Hearing
        };
        self.counters.clients_now -= u64::from(connection.is_live());
        turn.out.events.push(Event::Disconnected {
            client_id: self.sessions.at(slot).client_id.clone(),
            tenant: connection.origin.tenant,
            remote: connection.origin.remote,
            end: end.clone(),
            purpose,
        });
        self.detach(turn, slot, &end);
    }

    /// Whether a connection moves to another shard, the home of its client: then it never was here.
    /// A client without an identifier is given one that is at home here.
    fn moves_home(&mut self, turn: &mut Turn<'_>, conn: ConnId, connect: &Connect<'_>) -> bool {
        let Some(connection) = self.connections.get(conn) else { return false };
        let home = self.homes.of_client(connection.origin.tenant, connect.client_id);
        if connect.client_id.is_empty() || home == self.me {
            return false;
        }
        if let Some(mut connection) = self.connections.remove(conn) {
            self.timers.cancel(TimerKey::Connection(conn), &mut connection.timer);
            self.counters.connections_now -= 1;
        }
        turn.out.effects.push(Effect::Move { conn, to: home });
        true
    }

    /// One more reason not to read a connection.
    pub(crate) fn hold(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if connection.holds == 0 {
            turn.out.effects.push(Effect::Pause { conn });
        }
        connection.holds += 1;
    }

    /// One reason less.
    pub(crate) fn release(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if connection.holds == 0 {
            return;
        }
        connection.holds -= 1;
        if connection.holds == 0 {
            // What it sent meanwhile is only heard now. [MQTT-3.1.2-22 v5]
            connection.last_heard = turn.now;
            turn.out.effects.push(Effect::Resume { conn });
        }
    }
}
