//! Takes fields off the front of a byte slice; every length is checked before it is believed.

use crate::{Cause, PacketId, text, varint};
use core::num::NonZeroU16;

#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been taken yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// All has been taken.
    #[inline]
    pub(crate) fn end(&self) -> Result<(), Cause> {
        if self.rest.is_empty() { Ok(()) } else { Err(Cause::TrailingBytes) }
    }

    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], Cause> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(Cause::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Cause> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Cause::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Cause> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Cause> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Cause> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u32, Cause> {
        let (value, n) = varint::decode(self.rest)?;
        self.rest = &self.rest[n..];
        Ok(value)
    }

    /// Bytes behind their length.
    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Cause> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// Text behind its length.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, Cause> {
        text::decode(self.binary()?)
    }

    /// A packet identifier, which is not 0 `[MQTT-2.2.1-3 v5]` `[MQTT-2.3.1-1 v3.1.1]`
    /// `[V31-2.4-1]`.
    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, Cause> {
        NonZeroU16::new(self.u16()?).map(PacketId).ok_or(Cause::PacketIdZero)
    }
}
