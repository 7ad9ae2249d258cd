//! Packets to bytes: everything but PUBLISH leaves through here.

use crate::broker::{Broker, Turn};
use crate::identity::ConnId;
use crate::output::Send;
use noctule_proto::Version;
use noctule_proto::packet::Packet;

impl Broker {
    /// Sends a packet that is small by nature.
    pub(crate) fn send(&mut self, turn: &mut Turn<'_>, conn: ConnId, packet: &Packet<'_>) {
        self.try_send(turn, conn, packet);
    }

    /// Sends a packet. The broker puts no User Properties into packets of its own, and no Reason
    /// String into AUTH, so these never make one too large. [MQTT-3.2.2-20 v5],
    /// [MQTT-3.4.2-3 v5], [MQTT-3.5.2-3 v5], [MQTT-3.6.2-3 v5], [MQTT-3.7.2-3 v5],
    /// [MQTT-3.9.2-2 v5], [MQTT-3.11.2-2 v5], [MQTT-3.14.2-4 v5], [MQTT-3.15.2-2 v5],
    /// [MQTT-3.15.2-3 v5].
    ///
    /// `false`: nothing was sent, because it exceeds the client's Maximum Packet Size
    /// `[MQTT-3.1.2-24 v5]`.
    pub(crate) fn try_send(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        packet: &Packet<'_>,
    ) -> bool {
        self.try_send_as(turn, conn, |version, out| packet.encode(version, out))
    }

    /// The same for what `encode` appends.
    #[inline]
    pub(crate) fn try_send_as(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        encode: impl FnOnce(Version, &mut Vec<u8>),
    ) -> bool {
        let Some(connection) = self.connections.get(conn) else { return true };
        let start = turn.out.frames.len();
        encode(connection.version, &mut turn.out.frames);
        let len = turn.out.frames.len() - start;
        if len > connection.packet_size_max as usize {
            turn.out.frames.truncate(start);
            return false;
        }
        self.counters.packets_sent += 1;
        self.counters.bytes_sent += len as u64;
        turn.out.sends.push(Send {
            conn,
            start: start as u32,
            len: len as u32,
            id: None,
            body: None,
        });
        true
    }
}
