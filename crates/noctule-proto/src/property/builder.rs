//! Builds properties in their encoded form, for clients.

use super::reader::Entries;
use super::{OtherProperties, PropertyId, UserProperties};
use crate::text::{LEN_MAX, is_clean};
use alloc::vec::Vec;
use core::fmt;

/// A value that no property can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueError {
    /// More than 65,535 bytes.
    TooLong,
    /// Text with U+0000, another control character or a non-character.
    ForbiddenCharacter,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueError::TooLong => "longer than 65,535 bytes",
            ValueError::ForbiddenCharacter => "holds a character that MQTT forbids",
        })
    }
}

impl core::error::Error for ValueError {}

/// Builds the properties of a message (PUBLISH or Will). Each but User Property is there once: set
/// again, it replaces what it was.
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
        self.remove(PropertyId::PayloadFormatIndicator);
        self.0.extend_from_slice(&[PropertyId::PayloadFormatIndicator as u8, u8::from(utf8)]);
        self
    }

    /// Content Type.
    pub fn content_type(&mut self, content_type: &str) -> Result<&mut Self, ValueError> {
        check_text(content_type)?;
        self.push(PropertyId::ContentType, content_type.as_bytes())
    }

    /// Response Topic.
    pub fn response_topic(&mut self, topic: crate::TopicName<'_>) -> Result<&mut Self, ValueError> {
        self.push(PropertyId::ResponseTopic, topic.as_str().as_bytes())
    }

    /// Correlation Data.
    pub fn correlation_data(&mut self, data: &[u8]) -> Result<&mut Self, ValueError> {
        self.push(PropertyId::CorrelationData, data)
    }

    /// A User Property; they keep their order.
    pub fn user_property(&mut self, name: &str, value: &str) -> Result<&mut Self, ValueError> {
        push_pair(&mut self.0, name, value)?;
        Ok(self)
    }

    fn push(&mut self, id: PropertyId, value: &[u8]) -> Result<&mut Self, ValueError> {
        let len = u16::try_from(value.len()).map_err(|_| ValueError::TooLong)?;
        self.remove(id);
        self.0.push(id as u8);
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(value);
        Ok(self)
    }
}

impl PropertiesBuf {
    /// To send one twice is an error of the protocol.
    fn remove(&mut self, id: PropertyId) {
        if Entries(&self.0).any(|entry| entry.id == id) {
            let others = Entries(&self.0).filter(|entry| entry.id != id);
            self.0 = others.flat_map(|entry| entry.raw).copied().collect();
        }
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
    pub fn push(&mut self, name: &str, value: &str) -> Result<&mut Self, ValueError> {
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

fn push_pair(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), ValueError> {
    check_text(name)?;
    check_text(value)?;
    out.push(PropertyId::UserProperty as u8);
    for text in [name, value] {
        out.extend_from_slice(&(text.len() as u16).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    Ok(())
}

/// `[MQTT-1.5.4-1 v5]` `[MQTT-1.5.4-2 v5]` `[MQTT-1.5.7-1 v5]` `[MQTT-3.3.2-19 v5]`
fn check_text(text: &str) -> Result<(), ValueError> {
    if text.len() > LEN_MAX {
        return Err(ValueError::TooLong);
    }
    if is_clean(text) { Ok(()) } else { Err(ValueError::ForbiddenCharacter) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_that_is_set_again_is_replaced() {
        let mut twice = PropertiesBuf::new();
        twice.payload_format(false).content_type("a").expect("clean");
        twice.correlation_data(b"old").expect("short").user_property("k", "v").expect("clean");
        twice.correlation_data(b"new").expect("short").user_property("k", "v").expect("clean");
        twice.payload_format(true).content_type("b").expect("clean");
        let properties = twice.as_properties();
        assert_eq!(properties.content_type(), Some("b"));
        assert_eq!(properties.correlation_data(), Some(&b"new"[..]));
        assert_eq!(properties.payload_format(), Some(true));
        assert_eq!(properties.user_properties().iter().count(), 2);
        assert_eq!(Entries(&twice.0).count(), 5);
    }

    #[test]
    fn what_no_receiver_takes_is_not_built() {
        let mut message = PropertiesBuf::new();
        let bad = Err(ValueError::ForbiddenCharacter);
        assert_eq!(message.content_type("a\0b").map(drop), bad);
        assert_eq!(message.user_property("a", "\u{1}").map(drop), bad);
        assert_eq!(message.user_property("\u{FFFF}", "a").map(drop), bad);
        let long = "x".repeat(LEN_MAX + 1);
        assert_eq!(message.user_property("a", &long).map(drop), Err(ValueError::TooLong));
        assert_eq!(message.correlation_data(long.as_bytes()).map(drop), Err(ValueError::TooLong));
        assert_eq!(message, PropertiesBuf::new());
        let mut users = UserPropertiesBuf::new();
        assert_eq!(users.push("a", "\u{7F}").map(drop), bad);
        assert_eq!(users, UserPropertiesBuf::new());
        assert!(users.push("a", "\u{FEFF}").is_ok());
    }
}
