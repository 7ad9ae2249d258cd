//! A message as an item of its own, which records speak of by its place.

use super::bytes::{Bytes, varint_len};
use super::decode::Malformed;
use super::position::Position;
use noctule_core::identity::{MessageId, SessionNumber, Tenant, Time};
use noctule_core::message::{Kept, MESSAGE_OVERHEAD, Message};
use noctule_proto::QoS;

/// Kind of the item.
pub(super) const MESSAGE: u8 = 1;
/// Bytes before the content, at most.
pub(crate) const MESSAGE_HEAD_MAX: usize = 1 + 5 + 4;
/// Bytes of the item besides topic, properties and payload, about.
const ITEM_OVERHEAD: u64 = 20;

const RETAIN: u8 = 1 << 2;
const TENANT: u8 = 1 << 3;
const PUBLISHER: u8 = 1 << 4;
const EXPIRES: u8 = 1 << 5;
const PROPERTIES: u8 = 1 << 6;

/// Bytes of the checksum of a message.
pub(super) const CRC: usize = 4;

/// What the checksum of a message is mixed with that is kept at a place of a store: its bytes,
/// written by mistake where another one belongs, do not pass for that one.
pub(super) fn salt(seed: u32, at: Position) -> u32 {
    crc32c::crc32c_append(seed, &at.0.to_le_bytes())
}

/// An item, not yet looked into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) kind: u8,
    /// Checksum of the content, salted; 0 if it has none of its own.
    pub(super) crc: u32,
    pub(super) content: &'a [u8],
}

impl Item<'_> {
    /// Whether it is the message that is kept at a place of a store, as it was written.
    pub(super) fn is_message_of(&self, at: Position, seed: u32) -> bool {
        self.kind == MESSAGE && self.crc == crc32c::crc32c(self.content) ^ salt(seed, at)
    }
}

/// The next item.
#[inline]
pub(super) fn item<'a>(from: &mut Bytes<'a>) -> Result<Item<'a>, Malformed> {
    let kind = from.u8()?;
    let len = from.small()?;
    let crc = if kind == MESSAGE { from.u32()? } else { 0 };
    Ok(Item { kind, crc, content: from.take(len)? })
}

/// Appends a message; answers where its content begins. Its checksum is to be salted.
pub(super) fn put_message(out: &mut Vec<u8>, message: &Message) -> usize {
    let (topic, properties) = (message.topic_bytes(), message.properties());
    let payload = message.payload();
    let mut head = Head::of(message);
    let len = head.len() + topic.len() + properties.len() + payload.len();
    let (head, content) = head.begin(len as u64);
    out.reserve(MESSAGE_HEAD_MAX + len);
    let start = out.len() + content;
    out.extend_from_slice(head);
    out.extend_from_slice(topic);
    if !properties.is_empty() {
        out.extend_from_slice(properties);
    }
    out.extend_from_slice(payload);
    let crc = crc32c::crc32c(&out[start..]);
    out[start - CRC..start].copy_from_slice(&crc.to_le_bytes());
    start
}

/// All but topic, properties and payload, made where it costs least: the content from
/// [`MESSAGE_HEAD_MAX`] on, and what goes before it towards the beginning once it is known.
struct Head {
    bytes: [u8; MESSAGE_HEAD_MAX + 54],
    end: usize,
}

impl Head {
    #[inline]
    fn of(message: &Message) -> Head {
        let mut head = Head { bytes: [0; MESSAGE_HEAD_MAX + 54], end: MESSAGE_HEAD_MAX };
        let properties = message.properties();
        let mut flags = message.qos as u8;
        flags |= if message.retain { RETAIN } else { 0 };
        flags |= if message.tenant != Tenant::default() { TENANT } else { 0 };
        flags |= if message.publisher.is_some() { PUBLISHER } else { 0 };
        flags |= if message.expires_at.is_some() { EXPIRES } else { 0 };
        flags |= if properties.is_empty() { 0 } else { PROPERTIES };
        head.put(message.id.0.to_le_bytes());
        head.put([flags]);
        if message.tenant != Tenant::default() {
            head.varint(u64::from(message.tenant.0));
        }
        if let Some(publisher) = message.publisher {
            head.varint(publisher.0);
        }
        if let Some(at) = message.expires_at {
            head.varint(at.0);
        }
        head.varint(message.topic_bytes().len() as u64);
        if !properties.is_empty() {
            head.varint(properties.len() as u64);
        }
        head
    }

    /// Bytes of the content so far.
    fn len(&self) -> usize {
        self.end - MESSAGE_HEAD_MAX
    }

    /// Puts kind, length and room for the checksum before the content; where that begins.
    #[inline]
    fn begin(&mut self, len: u64) -> (&[u8], usize) {
        let content = 1 + varint_len(len) + 4;
        let start = MESSAGE_HEAD_MAX - content;
        let end = std::mem::replace(&mut self.end, start);
        self.put([MESSAGE]);
        self.varint(len);
        (&self.bytes[start..end], content)
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes[self.end..self.end + N].copy_from_slice(&bytes);
        self.end += N;
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put([value as u8 | 0x80]);
            value >>= 7;
        }
        self.put([value as u8]);
    }
}

/// Reads the content of a message.
pub(super) fn kept(content: &[u8]) -> Result<Kept<'_>, Malformed> {
    let mut from = Bytes(content);
    let id = MessageId(from.u64()?);
    let flags = from.u8()?;
    let has = |flag| flags & flag != 0;
    let qos = QoS::from_u8(flags & 3).ok_or(Malformed("no such QoS"))?;
    let tenant = if has(TENANT) { Tenant(from.small()?) } else { Tenant::default() };
    let publisher = if has(PUBLISHER) { Some(SessionNumber(from.varint()?)) } else { None };
    let expires_at = if has(EXPIRES) { Some(Time(from.varint()?)) } else { None };
    let topic_len = usize::from(from.small::<u16>()?);
    let properties_len = if has(PROPERTIES) { from.small::<u32>()? } else { 0 };
    let topic = from.take(topic_len)?;
    let topic = core::str::from_utf8(topic).map_err(|_| Malformed("a topic is not UTF-8"))?;
    let properties = from.take(properties_len as usize)?;
    let payload = from.rest();
    let retain = has(RETAIN);
    Ok(Kept { id, tenant, publisher, qos, retain, expires_at, topic, properties, payload })
}

/// Bytes of the message item that begins here, as its head says.
pub(crate) fn message_len(bytes: &[u8]) -> Result<u64, Malformed> {
    let mut from = Bytes(bytes);
    if from.u8()? != MESSAGE {
        return Err(Malformed("there is no message here"));
    }
    let len = from.small::<u32>()?;
    let head = bytes.len() - from.0.len() + 4;
    Ok(head as u64 + u64::from(len))
}

/// Bytes of a message in the log that costs so much in a queue, about.
pub(crate) fn message_bytes(cost: u32) -> u64 {
    u64::from(cost).saturating_sub(MESSAGE_OVERHEAD as u64) + ITEM_OVERHEAD
}

/// The message that begins here, verified to be the one that is kept at a place of a store.
pub(crate) fn message_of(bytes: &[u8], at: Position, seed: u32) -> Result<Kept<'_>, Malformed> {
    let found = item(&mut Bytes(bytes))?;
    if found.kind != MESSAGE {
        return Err(Malformed("there is no message here"));
    }
    if !found.is_message_of(at, seed) {
        return Err(Malformed("the checksum of a message is wrong"));
    }
    kept(found.content)
}
