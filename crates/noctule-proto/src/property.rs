//! Properties of MQTT 5.0.

/// User Properties, borrowed in their encoded form (0x26, name, value, repeated; other properties
/// in between are skipped), so that decoding copies nothing and forwarding keeps the order.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct UserProperties<'a> {
    pub(crate) raw: &'a [u8],
}

/// Payload format, content type, response topic, correlation data and user properties of a
/// message, borrowed in their encoded form and order. Entries of other kinds in `raw` (expiry,
/// alias, subscription identifier) are skipped by iteration and encoding.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct OtherProperties<'a> {
    pub(crate) raw: &'a [u8],
    /// Nothing in `raw` has to be skipped: it may be copied whole.
    pub(crate) clean: bool,
}

/// The Subscription Identifiers of a PUBLISH, borrowed in encoded form.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct SubscriptionIds<'a> {
    pub(crate) raw: &'a [u8],
}
