//! Writes fields. What a packet writes is said once, for a sink that may only count, so that
//! length and content cannot disagree.

use crate::property::PropertyId;
use crate::{PacketId, text, varint};
use alloc::vec::Vec;

/// Where encoded bytes go.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts the bytes and drops them.
#[derive(Default)]
pub(crate) struct Count(pub(crate) usize);

impl Sink for Count {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// How many bytes `write` writes.
#[inline]
pub(crate) fn count(write: impl FnOnce(&mut Count)) -> usize {
    let mut count = Count::default();
    write(&mut count);
    count.0
}

/// A variable byte integer; lengths beyond its range cannot be written and are cut.
#[inline]
pub(crate) fn varint(out: &mut impl Sink, value: usize) {
    let mut buf = [0; 4];
    let n = varint::encode(u32::try_from(value).unwrap_or(varint::MAX), &mut buf);
    out.put(&buf[..n]);
}

/// Bytes behind their length, cut at 65,535.
#[inline]
pub(crate) fn binary(out: &mut impl Sink, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(text::LEN_MAX)];
    out.put(&(bytes.len() as u16).to_be_bytes());
    out.put(bytes);
}

/// Text behind its length, cut at 65,535 bytes, between characters.
#[inline]
pub(crate) fn text(out: &mut impl Sink, text: &str) {
    binary(out, text::cut(text).as_bytes());
}

#[inline]
pub(crate) fn packet_id(out: &mut impl Sink, id: PacketId) {
    out.put(&id.0.get().to_be_bytes());
}

/// The optional properties of a packet; each function writes nothing for `None`.
pub(crate) mod property {
    use super::{PropertyId, Sink};

    #[inline]
    pub(crate) fn flag(out: &mut impl Sink, id: PropertyId, value: Option<bool>) {
        if let Some(value) = value {
            out.put(&[id as u8, u8::from(value)]);
        }
    }

    #[inline]
    pub(crate) fn u16(out: &mut impl Sink, id: PropertyId, value: Option<u16>) {
        if let Some(value) = value {
            let [high, low] = value.to_be_bytes();
            out.put(&[id as u8, high, low]);
        }
    }

    #[inline]
    pub(crate) fn u32(out: &mut impl Sink, id: PropertyId, value: Option<u32>) {
        if let Some(value) = value {
            let [a, b, c, d] = value.to_be_bytes();
            out.put(&[id as u8, a, b, c, d]);
        }
    }

    #[inline]
    pub(crate) fn text(out: &mut impl Sink, id: PropertyId, value: Option<&str>) {
        if let Some(value) = value {
            out.put(&[id as u8]);
            super::text(out, value);
        }
    }

    #[inline]
    pub(crate) fn binary(out: &mut impl Sink, id: PropertyId, value: Option<&[u8]>) {
        if let Some(value) = value {
            out.put(&[id as u8]);
            super::binary(out, value);
        }
    }
}

/// A property section: its length, then what `write` writes.
#[inline]
pub(crate) fn section<S: Sink, W: PropertyWriter>(out: &mut S, properties: &W) {
    varint(out, count(|out| properties.write_properties(out)));
    properties.write_properties(out);
}

/// What has a property section of its own.
pub(crate) trait PropertyWriter {
    fn write_properties(&self, out: &mut impl Sink);

    /// Whether the section is empty.
    #[inline]
    fn has_none(&self) -> bool {
        count(|out| self.write_properties(out)) == 0
    }
}
