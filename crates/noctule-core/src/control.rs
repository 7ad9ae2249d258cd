//! Messages of clients that are for the server, not for subscribers: topics that begin with
//! `$CONTROL/`, while there are rules that come by them, or the server answers questions there.
//!
//! A client waits for its acknowledgement until the server has done what the message asks for, and
//! is not read meanwhile: so a request survives as what it came to, and nobody has two under way.

use crate::broker::{Broker, Turn};
use crate::identity::ConnId;
use crate::output::{ControlRequest, Effect};
use crate::wait::{AckKind, Reply, Wait};
use noctule_proto::packet::Publish;
use noctule_proto::{PacketId, ReasonCode, TopicName, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Requests that the server has not answered, by connection.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Controls(BTreeMap<ConnId, Option<Due>>);

/// What a client is owed when it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Due {
    pub(crate) kind: AckKind,
    pub(crate) id: PacketId,
    pub(crate) wait: Wait,
}

impl Controls {
    /// The connection is gone.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.0.remove(&conn);
    }

    /// The connections that wait.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = ConnId> {
        self.0.keys().copied()
    }
}

impl Broker {
    /// A message of QoS 0 or 1 for the server.
    #[cold]
    pub(crate) fn publish_control(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        (topic, publish): (TopicName<'_>, &Publish<'_>),
    ) {
        let kind = AckKind::PubAck;
        let due = publish.packet_id.map(|id| Due { kind, id, wait: Wait::default() });
        self.control(turn, conn, (topic.as_str(), publish.payload), due);
    }

    /// Hands a message to the server.
    pub(crate) fn control(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        (topic, payload): (&str, &[u8]),
        due: Option<Due>,
    ) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.traffic.message(payload.len());
        if self.controls.0.contains_key(&conn) {
            // Nobody reads it, so this cannot be; but what if.
            self.acknowledge_control(turn, conn, due, false);
            return;
        }
        let tenant = connection.origin.tenant;
        self.controls.0.insert(conn, due);
        self.hold(turn, conn);
        let (topic, payload) = (topic.into(), payload.into());
        let request = Box::new(ControlRequest { tenant, topic, payload });
        turn.out.effects.push(Effect::Control { conn, request });
    }

    /// The server has done what a message asks for, or has not taken it.
    pub(crate) fn controlled(&mut self, turn: &mut Turn<'_>, conn: ConnId, taken: bool) {
        let Some(due) = self.controls.0.remove(&conn) else { return };
        self.acknowledge_control(turn, conn, due, taken);
        self.release(turn, conn);
    }

    fn acknowledge_control(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        due: Option<Due>,
        taken: bool,
    ) {
        let Some(connection) = self.connections.get(conn) else { return };
        let Some(Due { kind, id, wait }) = due else { return };
        let says_why = connection.version == Version::V5 && matches!(kind, AckKind::PubAck);
        let (reason, why) = match taken || !says_why {
            true => (ReasonCode::Success, None),
            false => (ReasonCode::QuotaExceeded, Some("the server is busy".into())),
        };
        self.reply(turn, conn, wait, Reply::Ack { kind, id, reason, why });
    }
}
