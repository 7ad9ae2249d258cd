//! SUBACK and UNSUBACK share one layout.
use crate::PacketId;
use crate::property::UserProperties;

/// SUBACK `[3.9]` or UNSUBACK `[3.11]`.
#[derive(Clone, PartialEq, Debug)]
pub struct SubAck<'a> {
    /// Identifier of the request.
    pub packet_id: PacketId,
    /// One v5 reason code for every filter, in order. Encoding for 3.x turns every failure of a
    /// SUBACK into 0x80 and leaves the codes of an UNSUBACK out.
    pub codes: &'a [u8],
    /// Reason String, v5.
    pub reason_string: Option<&'a str>,
    /// User Properties, v5.
    pub user_properties: UserProperties<'a>,
}
