//! AUTH: one step of enhanced authentication (v5).
use crate::ReasonCode;
use crate::property::UserProperties;

/// AUTH `[3.15 v5]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Auth<'a> {
    /// `Success`, `ContinueAuthentication` or `ReAuthenticate`.
    pub reason: ReasonCode,
    /// Authentication Method. Absent is a protocol error, left to the receiver to answer.
    pub method: Option<&'a str>,
    /// Authentication Data.
    pub data: Option<&'a [u8]>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
}
