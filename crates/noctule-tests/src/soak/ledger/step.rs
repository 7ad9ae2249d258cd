//! The packets of hand-shakes, as a client's tap shows them.

use crate::soak::content::{Name, claimed_name};
use noctule_client::{PacketType, Tapped, Version};
use noctule_proto::{Packet, PacketId, Role, next_frame};
use std::fmt;

/// One packet of a hand-shake, from the point of view of the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    packet: PacketType,
    sent: bool,
    duplicate: bool,
}

impl Step {
    /// What a packet says of a hand-shake: the step, its identifier, and the message if it has one.
    pub(crate) fn of(tapped: Tapped<'_>, version: Version) -> Option<(Step, u16, Option<Name>)> {
        let (bytes, sent) = match tapped {
            Tapped::Sent(bytes) => (bytes, true),
            Tapped::Received(bytes) => (bytes, false),
        };
        let from = if sent { Role::Client } else { Role::Server };
        let frame = next_frame(bytes, u32::MAX).ok()??;
        let packet = Packet::decode(frame, Some(version), from).ok()?;
        let packet_type = packet.packet_type();
        let step = |duplicate| Step { packet: packet_type, sent, duplicate };
        match packet {
            Packet::Publish(publish) => {
                let id = publish.packet_id.map_or(0, PacketId::value);
                Some((step(publish.dup), id, claimed_name(publish.payload)))
            }
            Packet::PubAck(ack)
            | Packet::PubRec(ack)
            | Packet::PubRel(ack)
            | Packet::PubComp(ack) => Some((step(false), ack.packet_id.value(), None)),
            _ => None,
        }
    }

    pub(super) fn is_publish(self) -> bool {
        self.packet == PacketType::Publish
    }

    /// Whether it belongs to a message that the client sends.
    pub(super) fn of_sender(self) -> bool {
        let by_sender = matches!(self.packet, PacketType::Publish | PacketType::PubRel);
        by_sender == self.sent
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.sent { "->" } else { "<-" };
        let again = if self.duplicate { " dup" } else { "" };
        write!(f, "{way} {}{again}", self.packet)
    }
}
