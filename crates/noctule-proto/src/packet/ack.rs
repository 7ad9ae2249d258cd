//! PUBACK, PUBREC, PUBREL and PUBCOMP share one layout.
use crate::property::UserProperties;
use crate::{PacketId, ReasonCode};

/// One step of a QoS 1 or 2 hand-shake `[3.4 to 3.7]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Ack<'a> {
    /// Identifier of the PUBLISH it belongs to.
    pub packet_id: PacketId,
    /// Outcome; `Success` before v5.
    pub reason: ReasonCode,
    /// Reason String, v5.
    pub reason_string: Option<&'a str>,
    /// User Properties, v5.
    pub user_properties: UserProperties<'a>,
}
