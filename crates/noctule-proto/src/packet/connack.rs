//! CONNACK: the server's answer to CONNECT.
use crate::property::UserProperties;
use crate::{QoS, ReasonCode};
use core::num::{NonZeroU16, NonZeroU32};

/// CONNACK `[3.2]`. `reason` is a v5 reason code; encoding for 3.x maps it to a return code
/// (codes 1 to 5, see [`ReasonCode::v3_return_code`]).
#[derive(Clone, PartialEq, Debug)]
pub struct ConnAck<'a> {
    /// Session Present.
    pub session_present: bool,
    /// Outcome.
    pub reason: ReasonCode,
    /// Properties, v5 only.
    pub properties: ConnAckProperties<'a>,
}

/// CONNACK properties `[3.2.2.3 v5]`; `None` means absent. Encoded in the order of the fields.
#[derive(Clone, PartialEq, Debug, Default)]
#[allow(missing_docs)]
pub struct ConnAckProperties<'a> {
    pub session_expiry_secs: Option<u32>,
    pub receive_maximum: Option<NonZeroU16>,
    pub maximum_qos: Option<QoS>,
    pub retain_available: Option<bool>,
    pub maximum_packet_size: Option<NonZeroU32>,
    pub assigned_client_id: Option<&'a str>,
    pub topic_alias_maximum: Option<u16>,
    pub reason_string: Option<&'a str>,
    pub wildcard_subscription_available: Option<bool>,
    pub subscription_identifiers_available: Option<bool>,
    pub shared_subscription_available: Option<bool>,
    pub server_keep_alive_secs: Option<u16>,
    pub response_information: Option<&'a str>,
    pub server_reference: Option<&'a str>,
    pub authentication_method: Option<&'a str>,
    pub authentication_data: Option<&'a [u8]>,
    pub user_properties: UserProperties<'a>,
}
