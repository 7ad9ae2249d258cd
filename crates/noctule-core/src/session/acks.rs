//! What a client answers to the messages it was sent.

use crate::broker::{Broker, Turn};
use crate::identity::ConnId;
use crate::record::Record;
use crate::verdict::Verdict;
use crate::wait::{AckKind, Reply, Wait};
use noctule_proto::delivery::{PubRecOutcome, Unknown};
use noctule_proto::packet::Ack;
use noctule_proto::{PacketId, ReasonCode};

impl Broker {
    /// PUBACK, PUBREC or PUBCOMP.
    pub(crate) fn acknowledged(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        kind: AckKind,
        ack: &Ack<'_>,
    ) {
        let Some(connection) = self.connections.get(conn) else { return };
        let slot = connection.session;
        match kind {
            AckKind::PubAck => self.puback(turn, conn, slot, ack),
            AckKind::PubRec => self.pubrec(turn, conn, slot, ack),
            AckKind::PubComp => {
                // [V31-3.5-1], [MQTT-4.3.3-5 v5], [MQTT-4.3.3-1 v3.1.1]
                match self.sessions.at_mut(slot).work.sender.pubcomp(ack.packet_id) {
                    Ok(()) => {
                        self.progressed(turn, slot, ack.packet_id);
                        self.counters.inflight_now -= 1;
                        self.note_completed(turn, slot, ack.packet_id);
                    }
                    Err(Unknown::NotOpen) => {}
                    Err(Unknown::OtherKind) => self.wrong_kind(turn, conn),
                }
            }
            AckKind::PubRel => {}
        }
        if self.connections.get(conn).is_some() {
            self.pump(turn, slot);
        }
    }

    fn wrong_kind(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        let why = "the packet identifier is open for another hand-shake";
        self.fail(turn, conn, ReasonCode::ProtocolError, why);
    }

    /// [MQTT-4.3.2-3 v5], [MQTT-4.4.0-2 v5]. An unknown id is ignored [MQTT-2.2.1-5 v5].
    fn puback(&mut self, turn: &mut Turn<'_>, conn: ConnId, slot: u32, ack: &Ack<'_>) {
        let out = match self.sessions.at_mut(slot).work.sender.puback(ack.packet_id) {
            Ok(out) => out,
            Err(Unknown::NotOpen) => return,
            Err(Unknown::OtherKind) => return self.wrong_kind(turn, conn),
        };
        self.progressed(turn, slot, ack.packet_id);
        self.counters.inflight_now -= 1;
        if let Some(out) = out {
            self.count_refusal(ack.reason, out.group.is_some());
            self.settled(turn, slot, &out);
        }
    }

    /// A hand-shake with the client came further by what it said.
    fn progressed(&mut self, turn: &Turn<'_>, slot: u32, settled: PacketId) {
        let session = self.sessions.at_mut(slot);
        session.work.last_progress = turn.now;
        session.forget_resend(settled);
    }

    /// [MQTT-4.3.3-3 v5], [MQTT-4.3.3-4 v5], [MQTT-4.4.0-2 v5]
    fn pubrec(&mut self, turn: &mut Turn<'_>, conn: ConnId, slot: u32, ack: &Ack<'_>) {
        let id = ack.packet_id;
        let outcome = self.sessions.at_mut(slot).work.sender.pubrec(id, ack.reason);
        match outcome {
            PubRecOutcome::Release(out) => {
                self.sessions.at_mut(slot).work.last_progress = turn.now;
                let wait = match out {
                    Some(out) => self.taken_over(turn, slot, (id, &out)),
                    None => Wait::default(),
                };
                self.pubrel_out(turn, conn, wait, (id, ReasonCode::Success));
            }
            PubRecOutcome::AlreadyReleased => {
                self.pubrel_out(turn, conn, Wait::default(), (id, ReasonCode::Success));
            }
            PubRecOutcome::Settled(out) => {
                self.progressed(turn, slot, id);
                self.counters.inflight_now -= 1;
                if let Some(out) = out {
                    self.count_refusal(ack.reason, out.group.is_some());
                    self.ended_in_flight(turn, slot, (id, &out));
                }
            }
            PubRecOutcome::OtherKind => self.wrong_kind(turn, conn),
            PubRecOutcome::Unknown => {
                // A refusal of nothing needs no answer.
                if !ack.reason.is_error() {
                    let reason = ReasonCode::PacketIdentifierNotFound;
                    self.pubrel_out(turn, conn, Wait::default(), (id, reason));
                }
            }
        }
    }

    fn pubrel_out(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        wait: Wait,
        (id, reason): (PacketId, ReasonCode),
    ) {
        // [MQTT-4.6.0-4 v5]: through the queue of held acknowledgements, so in PUBREC order.
        self.reply(turn, conn, wait, Reply::Ack { kind: AckKind::PubRel, id, reason, why: None });
    }

    /// [MQTT-4.8.2-6 v5]: the refusal discards it for the whole group.
    fn count_refusal(&mut self, reason: ReasonCode, shared: bool) {
        if reason.is_error() && shared {
            self.counters.verdict(Verdict::RefusedByMember);
        }
    }

    pub(super) fn note_completed(&mut self, turn: &mut Turn<'_>, slot: u32, id: PacketId) {
        let session = self.sessions.at(slot);
        let number = session.number;
        if session.is_recorded() {
            self.note(turn, Record::Completed { session: number, id });
        }
    }

    pub(super) fn note_released(&mut self, turn: &mut Turn<'_>, slot: u32, id: PacketId) -> Wait {
        let session = self.sessions.at(slot);
        let (number, durability) = (session.number, session.durability);
        if session.is_recorded() {
            return self.record(turn, Record::Released { session: number, id }, durability);
        }
        Wait::default()
    }
}
