//! Builds properties in their encoded form, for clients.

use super::{OtherProperties, PropertyId, UserProperties};
use crate::text::LEN_MAX;
use alloc::vec::Vec;
use core::fmt;

/// A text or binary value of more than 65,535 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("longer than 65,535 bytes")
    }
}

impl core::error::Error for TooLong {}

/// Builds the properties of a message (PUBLISH or Will). Each but User Property may be set once;
/// text has to obey [`crate::text::is_clean`], or the receiver refuses it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PropertiesBuf(Vec<u8>);

impl PropertiesBuf {
    /// No properties yet; allocates nothing.
    pub const fn new() -> PropertiesBuf {
        PropertiesBuf(Vec::new())
    }

    /// The properties built so far.
    pub fn as_properties(&self) -> OtherProperties<'_> {
        OtherProperties::from_clean(&self.0)
    }

    /// Payload Format Indicator: whether the payload is UTF-8 text.
    pub fn payload_format(&mut self, utf8: bool) -> &mut Self {
        self.0.extend_from_slice(&[PropertyId::PayloadFormatIndicator as u8, u8::from(utf8)]);
        self
    }

    /// Content Type.
    pub fn content_type(&mut self, content_type: &str) -> Result<&mut Self, TooLong> {
        self.push(PropertyId::ContentType, content_type.as_bytes())
    }

    /// Response Topic.
    pub fn response_topic(&mut self, topic: crate::TopicName<'_>) -> Result<&mut Self, TooLong> {
        self.push(PropertyId::ResponseTopic, topic.as_str().as_bytes())
    }

    /// Correlation Data.
    pub fn correlation_data(&mut self, data: &[u8]) -> Result<&mut Self, TooLong> {
        self.push(PropertyId::CorrelationData, data)
    }

    /// A User Property; they keep their order.
    pub fn user_property(&mut self, name: &str, value: &str) -> Result<&mut Self, TooLong> {
        push_pair(&mut self.0, name, value)?;
        Ok(self)
    }

    fn push(&mut self, id: PropertyId, value: &[u8]) -> Result<&mut Self, TooLong> {
        let len = u16::try_from(value.len()).map_err(|_| TooLong)?;
        self.0.push(id as u8);
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(value);
        Ok(self)
    }
}

/// The properties of a received message, to keep or to send on.
impl From<OtherProperties<'_>> for PropertiesBuf {
    fn from(properties: OtherProperties<'_>) -> PropertiesBuf {
        let mut bytes = Vec::new();
        properties.copy_to(&mut bytes);
        PropertiesBuf(bytes)
    }
}

/// Builds the User Properties of any packet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserPropertiesBuf(Vec<u8>);

impl UserPropertiesBuf {
    /// No User Properties yet; allocates nothing.
    pub const fn new() -> UserPropertiesBuf {
        UserPropertiesBuf(Vec::new())
    }

    /// Adds one; they keep their order.
    pub fn push(&mut self, name: &str, value: &str) -> Result<&mut Self, TooLong> {
        push_pair(&mut self.0, name, value)?;
        Ok(self)
    }

    /// The User Properties built so far.
    pub fn as_properties(&self) -> UserProperties<'_> {
        UserProperties { raw: &self.0 }
    }
}

/// The User Properties of a received packet, to keep.
impl From<UserProperties<'_>> for UserPropertiesBuf {
    fn from(properties: UserProperties<'_>) -> UserPropertiesBuf {
        let mut bytes = Vec::new();
        properties.copy_to(&mut bytes);
        UserPropertiesBuf(bytes)
    }
}

fn push_pair(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), TooLong> {
    if name.len() > LEN_MAX || value.len() > LEN_MAX {
        return Err(TooLong);
    }
    out.push(PropertyId::UserProperty as u8);
    for text in [name, value] {
        out.extend_from_slice(&(text.len() as u16).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    Ok(())
}
