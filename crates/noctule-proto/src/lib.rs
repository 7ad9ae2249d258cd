//! The MQTT protocol: packets <-> bytes, and what both ends of a connection share.
//!
//! ```text
//! bytes --codec::next_frame--> Frame --packet::decode--> Packet<'_>  (borrows the bytes)
//! Packet<'_> --encode(version, &mut Vec<u8>)--> bytes
//! ```
//!
//! * `packet/`    one file per control packet: its type, decode and encode, for 3.1, 3.1.1 and 5.0
//! * `codec`      framing: where a packet ends, and whether it may be that large
//! * `delivery/`  QoS 1 and 2 hand-shakes: sender, receiver, packet identifiers
//! * `topic`, `property`, `reason`, `text`, `varint`
//! * `websocket`  frames of WebSocket, which MQTT may travel in
//! * `cases`     packets as bytes, valid and broken, for tests (feature `cases`)
//!
//! Deliberately absent: I/O, clocks, sessions, routing. `no_std` with `alloc`.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(any(test, feature = "cases"))]
pub mod cases;
pub mod codec;
pub mod delivery;
pub mod error;
pub mod packet;
pub mod property;
mod reader;
pub mod reason;
pub mod text;
pub mod topic;
mod varint;
pub mod websocket;
mod write;

pub use codec::{Frame, frame_need, next_frame};
pub use error::{Cause, DecodeError};
pub use packet::{Packet, PacketType, Role};
pub use reason::ReasonCode;
pub use topic::{ShareName, TopicError, TopicFilter, TopicName, matches};
pub use varint::MAX as REMAINING_LENGTH_MAX;

/// The protocol version of a connection, fixed by its CONNECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Version {
    /// MQTT 3.1: protocol name `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1: protocol name `MQTT`, level 4.
    V311,
    /// MQTT 5.0: protocol name `MQTT`, level 5.
    V5,
}

/// Quality of service of a message or the ceiling of a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum QoS {
    /// QoS 0.
    #[default]
    AtMostOnce = 0,
    /// QoS 1.
    AtLeastOnce = 1,
    /// QoS 2.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS of this number; 3 and above are none.
    #[inline]
    pub fn from_u8(number: u8) -> Option<QoS> {
        match number {
            0 => Some(QoS::AtMostOnce),
            1 => Some(QoS::AtLeastOnce),
            2 => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }
}

/// A packet identifier: 1 to 65,535 `[MQTT-2.2.1-3 v5]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PacketId(pub core::num::NonZeroU16);

impl PacketId {
    /// The identifier of this number, unless it is 0.
    #[inline]
    pub fn new(number: u16) -> Option<PacketId> {
        core::num::NonZeroU16::new(number).map(PacketId)
    }

    /// The number.
    #[inline]
    pub fn value(self) -> u16 {
        self.0.get()
    }
}

impl core::fmt::Display for PacketId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}
