//! CONNECT: the first packet of a client.
use crate::property::UserProperties;
use crate::{QoS, TopicName, Version};
use core::num::{NonZeroU16, NonZeroU32};

/// CONNECT `[3.1]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Connect<'a> {
    /// Protocol version asked for.
    pub version: Version,
    /// Bit 7 of the protocol level: the peer is a bridge (mosquitto's `try_private`; 3.1 and 3.1.1).
    pub bridge: bool,
    /// Clean Start (v5) or Clean Session (3.x).
    pub clean_start: bool,
    /// Keep alive in seconds; 0 switches it off.
    pub keep_alive_secs: u16,
    /// Client identifier; may be empty.
    pub client_id: &'a str,
    /// The Will, if any.
    pub will: Option<Will<'a>>,
    /// User name.
    pub user_name: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// Properties (all default before v5).
    pub properties: ConnectProperties<'a>,
}

/// The Will of a CONNECT.
#[derive(Clone, PartialEq, Debug)]
pub struct Will<'a> {
    /// Will Topic.
    pub topic: TopicName<'a>,
    /// Will payload.
    pub payload: &'a [u8],
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
    /// Will Delay Interval in seconds; 0 if absent.
    pub delay_secs: u32,
    /// Message Expiry Interval of the Will, seconds.
    pub message_expiry_secs: Option<u32>,
    /// Payload format, content type, response topic, correlation data, user properties.
    pub others: crate::property::OtherProperties<'a>,
}

/// CONNECT properties `[3.1.2.11 v5]`; `None` means absent.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ConnectProperties<'a> {
    /// Session Expiry Interval, seconds; `u32::MAX` never expires.
    pub session_expiry_secs: Option<u32>,
    /// Receive Maximum.
    pub receive_maximum: Option<NonZeroU16>,
    /// Maximum Packet Size in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// Topic Alias Maximum.
    pub topic_alias_maximum: Option<u16>,
    /// Request Response Information.
    pub request_response_information: Option<bool>,
    /// Request Problem Information.
    pub request_problem_information: Option<bool>,
    /// Authentication Method.
    pub authentication_method: Option<&'a str>,
    /// Authentication Data.
    pub authentication_data: Option<&'a [u8]>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
}
