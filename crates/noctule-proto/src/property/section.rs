//! Properties that stay in their encoded form.

use super::id::PropertyId;
use super::reader::{Entries, Span, Value};
use crate::varint;
use crate::write::Sink;
use alloc::vec::Vec;

/// User Properties, borrowed in their encoded form (0x26, name, value, repeated; other properties
/// in between are skipped), so that decoding copies nothing and forwarding keeps the order.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserProperties<'a> {
    pub(crate) raw: &'a [u8],
}

impl<'a> UserProperties<'a> {
    /// No User Properties.
    pub const EMPTY: UserProperties<'static> = UserProperties { raw: &[] };

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> Users<'a> {
        Users(Entries(self.raw))
    }

    /// Appends the entries in encoded form.
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        self.write(out);
    }

    /// User Properties from bytes that `copy_to` wrote.
    pub fn from_clean(raw: &'a [u8]) -> UserProperties<'a> {
        UserProperties { raw }
    }

    #[inline]
    pub(crate) fn write(&self, out: &mut impl Sink) {
        if !self.raw.is_empty() {
            let users = Entries(self.raw).filter(|entry| entry.id == PropertyId::UserProperty);
            users.for_each(|entry| out.put(entry.raw));
        }
    }
}

impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a> IntoIterator for UserProperties<'a> {
    type Item = (&'a str, &'a str);
    type IntoIter = Users<'a>;

    fn into_iter(self) -> Users<'a> {
        self.iter()
    }
}

/// Iterates over User Properties, see [`UserProperties::iter`].
#[derive(Clone)]
pub struct Users<'a>(Entries<'a>);

impl<'a> Iterator for Users<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        self.0.find_map(|entry| match entry.value {
            Value::Pair(name, value) => {
                Some((core::str::from_utf8(name).ok()?, core::str::from_utf8(value).ok()?))
            }
            Value::Byte(_) | Value::Varint(_) | Value::Binary(_) | Value::Number => None,
        })
    }
}

/// Payload format, content type, response topic, correlation data and user properties of a
/// message, borrowed in their encoded form and order. Entries of other kinds in `raw` (expiry,
/// alias, subscription identifier) are skipped by iteration and encoding.
#[derive(Clone, Copy, Debug, Default)]
pub struct OtherProperties<'a> {
    pub(crate) raw: &'a [u8],
    /// Something in `raw` has to be skipped: it must not be copied whole.
    pub(crate) mixed: bool,
}

/// Whether a property travels with its message unchanged.
pub(crate) fn travels(id: PropertyId) -> bool {
    matches!(
        id,
        PropertyId::PayloadFormatIndicator
            | PropertyId::ContentType
            | PropertyId::ResponseTopic
            | PropertyId::CorrelationData
            | PropertyId::UserProperty
    )
}

impl<'a> OtherProperties<'a> {
    /// No properties.
    pub const EMPTY: OtherProperties<'static> = OtherProperties { raw: &[], mixed: false };

    /// Properties from bytes that [`copy_to`](Self::copy_to) wrote.
    #[inline]
    pub fn from_clean(raw: &'a [u8]) -> OtherProperties<'a> {
        OtherProperties { raw, mixed: false }
    }

    pub(crate) fn from_span(span: &Span, section: &'a [u8]) -> OtherProperties<'a> {
        let (raw, clean) = span.of(section);
        OtherProperties { raw, mixed: !clean }
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Appends the entries in encoded form and order, without those that do not travel
    /// `[MQTT-3.3.2-17 v5]` `[MQTT-3.3.2-18 v5]`.
    #[inline]
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        self.write(out);
    }

    /// How many bytes [`copy_to`](Self::copy_to) appends.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        if !self.mixed {
            return self.raw.len();
        }
        self.entries().map(|entry| entry.raw.len()).sum()
    }

    #[inline]
    pub(crate) fn write(&self, out: &mut impl Sink) {
        if self.mixed {
            self.entries().for_each(|entry| out.put(entry.raw));
        } else {
            out.put(self.raw);
        }
    }

    /// Whether the payload is declared to be UTF-8 text. Whether it is is left to the receiver.
    #[inline]
    pub fn payload_format_is_utf8(&self) -> bool {
        // Seldom there, and as seldom a byte like its identifier.
        const ID: u8 = PropertyId::PayloadFormatIndicator as u8;
        memchr::memchr(ID, self.raw).is_some() && self.is_marked_utf8()
    }

    fn is_marked_utf8(&self) -> bool {
        self.entries().any(|entry| {
            entry.id == PropertyId::PayloadFormatIndicator && matches!(entry.value, Value::Byte(1))
        })
    }

    /// The payload format indicator as sent: `None` if absent.
    pub fn payload_format(&self) -> Option<bool> {
        self.entries().find_map(|entry| match (entry.id, entry.value) {
            (PropertyId::PayloadFormatIndicator, Value::Byte(byte)) => Some(byte == 1),
            _ => None,
        })
    }

    /// Content Type.
    pub fn content_type(&self) -> Option<&'a str> {
        self.text(PropertyId::ContentType)
    }

    /// Response Topic; a valid topic name.
    pub fn response_topic(&self) -> Option<&'a str> {
        self.text(PropertyId::ResponseTopic)
    }

    /// Correlation Data.
    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.binary(PropertyId::CorrelationData)
    }

    /// User Properties, in order.
    pub fn user_properties(&self) -> UserProperties<'a> {
        UserProperties { raw: self.raw }
    }

    /// Which properties there are, in the order in which they were sent; User Property comes as
    /// often as there are some.
    pub fn ids(&self) -> impl Iterator<Item = PropertyId> + use<'a> {
        self.entries().map(|entry| entry.id)
    }

    fn text(&self, id: PropertyId) -> Option<&'a str> {
        core::str::from_utf8(self.binary(id)?).ok()
    }

    fn binary(&self, id: PropertyId) -> Option<&'a [u8]> {
        self.entries().find_map(|entry| match entry.value {
            Value::Binary(bytes) if entry.id == id => Some(bytes),
            _ => None,
        })
    }

    fn entries(&self) -> impl Iterator<Item = super::reader::Entry<'a>> + use<'a> {
        Entries(self.raw).filter(|entry| travels(entry.id))
    }
}

impl PartialEq for OtherProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.entries().map(|entry| entry.raw).eq(other.entries().map(|entry| entry.raw))
    }
}

/// The Subscription Identifiers of a PUBLISH, borrowed in encoded form.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubscriptionIds<'a> {
    pub(crate) raw: &'a [u8],
}

impl<'a> SubscriptionIds<'a> {
    /// No Subscription Identifier.
    pub const EMPTY: SubscriptionIds<'static> = SubscriptionIds { raw: &[] };

    /// One identifier (1 to 268,435,455), written into `buf`.
    #[inline]
    pub fn encode(id: u32, buf: &mut [u8; 5]) -> SubscriptionIds<'_> {
        let mut bytes = [0; 4];
        let n = varint::encode(id, &mut bytes);
        buf[0] = PropertyId::SubscriptionIdentifier as u8;
        buf[1..].copy_from_slice(&bytes);
        SubscriptionIds { raw: &buf[..=n] }
    }

    /// Appends one identifier to `buf`, in the form that [`from_clean`](Self::from_clean) reads.
    pub fn push(id: u32, buf: &mut Vec<u8>) {
        buf.extend_from_slice(SubscriptionIds::encode(id, &mut [0; 5]).raw);
    }

    /// Identifiers from bytes that [`push`](Self::push) wrote.
    #[inline]
    pub fn from_clean(raw: &'a [u8]) -> SubscriptionIds<'a> {
        SubscriptionIds { raw }
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The identifiers, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        Entries(self.raw).filter_map(|entry| match entry.value {
            Value::Varint(id) => Some(id),
            Value::Byte(_) | Value::Binary(_) | Value::Pair(..) | Value::Number => None,
        })
    }

    #[inline]
    pub(crate) fn write(&self, out: &mut impl Sink) {
        if !self.raw.is_empty() {
            let ids =
                Entries(self.raw).filter(|entry| entry.id == PropertyId::SubscriptionIdentifier);
            ids.for_each(|entry| out.put(entry.raw));
        }
    }
}

impl PartialEq for SubscriptionIds<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}
