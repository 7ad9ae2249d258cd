//! Properties as scripts write them: an identifier and the bytes of a value, right or wrong.

use super::packet::{binary, text, varint};

/// One property.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// Identifier.
    pub id: u8,
    /// Value as it stands on the wire.
    pub value: Vec<u8>,
}

/// Any property.
#[must_use]
pub fn property(id: u8, value: &[u8]) -> Property {
    Property { id, value: value.to_vec() }
}

fn text_property(id: u8, value: &str) -> Property {
    property(id, &text(value))
}

/// Payload Format Indicator.
#[must_use]
pub fn payload_format(value: u8) -> Property {
    property(0x01, &[value])
}

/// Message Expiry Interval.
#[must_use]
pub fn message_expiry(secs: u32) -> Property {
    property(0x02, &secs.to_be_bytes())
}

/// Content Type.
#[must_use]
pub fn content_type(value: &str) -> Property {
    text_property(0x03, value)
}

/// Response Topic.
#[must_use]
pub fn response_topic(value: &str) -> Property {
    text_property(0x08, value)
}

/// Correlation Data.
#[must_use]
pub fn correlation_data(value: &[u8]) -> Property {
    property(0x09, &binary(value))
}

/// Subscription Identifier.
#[must_use]
pub fn subscription_id(value: u32) -> Property {
    property(0x0B, &varint(value))
}

/// Session Expiry Interval.
#[must_use]
pub fn session_expiry(secs: u32) -> Property {
    property(0x11, &secs.to_be_bytes())
}

/// Assigned Client Identifier.
#[must_use]
pub fn assigned_client_id(value: &str) -> Property {
    text_property(0x12, value)
}

/// Server Keep Alive.
#[must_use]
pub fn server_keep_alive(secs: u16) -> Property {
    property(0x13, &secs.to_be_bytes())
}

/// Authentication Method.
#[must_use]
pub fn auth_method(value: &str) -> Property {
    text_property(0x15, value)
}

/// Authentication Data.
#[must_use]
pub fn auth_data(value: &[u8]) -> Property {
    property(0x16, &binary(value))
}

/// Request Problem Information.
#[must_use]
pub fn request_problem_information(value: u8) -> Property {
    property(0x17, &[value])
}

/// Will Delay Interval.
#[must_use]
pub fn will_delay(secs: u32) -> Property {
    property(0x18, &secs.to_be_bytes())
}

/// Request Response Information.
#[must_use]
pub fn request_response_information(value: u8) -> Property {
    property(0x19, &[value])
}

/// Response Information.
#[must_use]
pub fn response_information(value: &str) -> Property {
    text_property(0x1A, value)
}

/// Reason String.
#[must_use]
pub fn reason_string(value: &str) -> Property {
    text_property(REASON_STRING, value)
}

/// Receive Maximum.
#[must_use]
pub fn receive_maximum(value: u16) -> Property {
    property(0x21, &value.to_be_bytes())
}

/// Topic Alias Maximum.
#[must_use]
pub fn topic_alias_maximum(value: u16) -> Property {
    property(0x22, &value.to_be_bytes())
}

/// Topic Alias.
#[must_use]
pub fn topic_alias(value: u16) -> Property {
    property(TOPIC_ALIAS, &value.to_be_bytes())
}

/// Maximum QoS.
#[must_use]
pub fn maximum_qos(value: u8) -> Property {
    property(0x24, &[value])
}

/// Retain Available.
#[must_use]
pub fn retain_available(value: u8) -> Property {
    property(0x25, &[value])
}

/// User Property.
#[must_use]
pub fn user(name: &str, value: &str) -> Property {
    property(USER_PROPERTY, &[text(name), text(value)].concat())
}

/// Maximum Packet Size.
#[must_use]
pub fn maximum_packet_size(value: u32) -> Property {
    property(0x27, &value.to_be_bytes())
}

/// Wildcard Subscription Available.
#[must_use]
pub fn wildcard_available(value: u8) -> Property {
    property(0x28, &[value])
}

/// Subscription Identifier Available.
#[must_use]
pub fn subscription_ids_available(value: u8) -> Property {
    property(0x29, &[value])
}

/// Shared Subscription Available.
#[must_use]
pub fn shared_available(value: u8) -> Property {
    property(0x2A, &[value])
}

pub(super) const REASON_STRING: u8 = 0x1F;
pub(super) const TOPIC_ALIAS: u8 = 0x23;
pub(super) const USER_PROPERTY: u8 = 0x26;

/// A property section: its length and its properties.
#[must_use]
pub fn section(properties: &[Property]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for property in properties {
        bytes.push(property.id);
        bytes.extend_from_slice(&property.value);
    }
    [varint(bytes.len() as u32), bytes].concat()
}

/// Length of the value of a property with this identifier that `bytes` open with.
pub(super) fn value_len(id: u8, bytes: &[u8]) -> Result<usize, String> {
    let text_len = |at: usize| -> Result<usize, String> {
        let len = bytes.get(at..at + 2).ok_or("a property ends within its length")?;
        Ok(2 + usize::from(u16::from_be_bytes([len[0], len[1]])))
    };
    Ok(match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => 1,
        0x13 | 0x21 | 0x22 | 0x23 => 2,
        0x02 | 0x11 | 0x18 | 0x27 => 4,
        0x0B => bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1,
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => text_len(0)?,
        USER_PROPERTY => text_len(0)? + text_len(text_len(0)?)?,
        id => return Err(format!("property {id:#04x} does not exist")),
    })
}
