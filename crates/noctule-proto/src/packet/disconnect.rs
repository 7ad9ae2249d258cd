//! DISCONNECT.
use crate::ReasonCode;
use crate::property::UserProperties;

/// DISCONNECT `[3.14]`; before v5 it has no content.
#[derive(Clone, PartialEq, Debug)]
pub struct Disconnect<'a> {
    /// Why.
    pub reason: ReasonCode,
    /// New Session Expiry Interval, seconds (client to server).
    pub session_expiry_secs: Option<u32>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// Where to go instead (server to client).
    pub server_reference: Option<&'a str>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
}
