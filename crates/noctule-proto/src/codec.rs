//! Framing: bytes in, whole packets out.

use crate::{Cause, DecodeError, PacketType};

/// One whole packet, not yet decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// First byte: packet type and flags.
    pub first: u8,
    /// All that follows the remaining length.
    pub body: &'a [u8],
    /// Length of the whole frame, header included.
    pub len: usize,
    /// The remaining length could be told in fewer bytes, which MQTT 5 forbids `[MQTT-1.5.5-1 v5]`
    /// and earlier versions do not.
    pub padded: bool,
}

impl Frame<'_> {
    /// The packet type that the first byte tells.
    #[inline]
    pub fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_u8(self.first >> 4)
    }
}

/// The first packet in `bytes`, or `None` while it is incomplete.
///
/// Type, flags, length and size are judged as soon as the bytes that tell them are there, so that
/// nothing is buffered for a packet that will be refused. `max_packet_size` counts the whole
/// packet, header included.
#[inline]
pub fn next_frame(bytes: &[u8], max_packet_size: u32) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    check_first(first)?;
    let Some((remaining, header, padded)) = remaining_length(bytes)? else { return Ok(None) };
    let len = header + remaining;
    if len as u64 > u64::from(max_packet_size) {
        return Err(error(first, Cause::PacketTooLarge));
    }
    Ok(bytes.get(header..len).map(|body| Frame { first, body, len, padded }))
}

/// How many more bytes the first packet in `bytes` needs at least; 0 if it is whole, or so broken
/// that [`next_frame`] says so.
pub fn frame_need(bytes: &[u8]) -> usize {
    match remaining_length(bytes) {
        Ok(Some((remaining, header, _))) => (header + remaining).saturating_sub(bytes.len()),
        Ok(None) => 2_usize.saturating_sub(bytes.len()).max(1),
        Err(_) => 0,
    }
}

/// Remaining length, length of the header, and whether that is longer than it has to be, if `bytes`
/// hold the header.
#[inline]
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize, bool)>, DecodeError> {
    match bytes {
        [_, short, ..] if *short < 0x80 => Ok(Some((usize::from(*short), 2, false))),
        [first, long @ ..] => remaining_length_long(*first, long),
        [] => Ok(None),
    }
}

fn remaining_length_long(
    first: u8,
    bytes: &[u8],
) -> Result<Option<(usize, usize, bool)>, DecodeError> {
    match crate::varint::decode_padded(bytes) {
        Ok((value, n, padded)) => Ok(Some((value as usize, n + 1, padded))),
        Err(Cause::Truncated) => Ok(None),
        Err(_) => Err(error(first, Cause::BadRemainingLength)),
    }
}

/// Refuses first bytes that are wrong in every version. The DUP bit of PUBREL, SUBSCRIBE and
/// UNSUBSCRIBE, which MQTT 3.1 allows, is judged when the packet is decoded.
#[inline]
pub(crate) fn check_first(first: u8) -> Result<(), DecodeError> {
    // One bit for each of the 256 first bytes.
    const LEGAL: [u16; 16] = legal_flags();
    if LEGAL[usize::from(first >> 4)] & (1 << (first & 0x0F)) != 0 {
        return Ok(());
    }
    Err(refuse_first(first))
}

/// A bit for each legal flags nibble, by packet type.
const fn legal_flags() -> [u16; 16] {
    let mut legal = [1; 16];
    legal[0] = 0;
    legal[PacketType::PubRel as usize] = 1 << 0x2 | 1 << 0xA;
    legal[PacketType::Subscribe as usize] = 1 << 0x2 | 1 << 0xA;
    legal[PacketType::Unsubscribe as usize] = 1 << 0x2 | 1 << 0xA;
    // DUP needs a QoS above 0; QoS 3 does not exist.
    legal[PacketType::Publish as usize] = 0b0011_1100_0011_1111;
    legal
}

#[cold]
fn refuse_first(first: u8) -> DecodeError {
    let cause = match PacketType::from_u8(first >> 4) {
        None => Cause::ForbiddenType,
        // [V31-2.1-2], [MQTT-3.3.1-4 v5], [MQTT-3.3.1-4 v3.1.1]
        Some(PacketType::Publish) if first & 0b110 == 0b110 => Cause::QoS3,
        // [MQTT-3.3.1-2 v5], [MQTT-4.3.1-1 v5], [MQTT-3.3.1-2 v3.1.1], [MQTT-4.3.1-1 v3.1.1]
        Some(PacketType::Publish) => Cause::DupWithQoS0,
        // [MQTT-2.1.3-1 v5], [MQTT-3.14.1-1 v5], [MQTT-3.15.1-1 v5], [MQTT-2.2.2-1 v3.1.1],
        // [MQTT-2.2.2-2 v3.1.1], [MQTT-3.14.1-1 v3.1.1]
        Some(_) => Cause::ReservedFlags,
    };
    error(first, cause)
}

#[cold]
fn error(first: u8, cause: Cause) -> DecodeError {
    DecodeError { cause, packet: PacketType::from_u8(first >> 4), version: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(bytes: &[u8], max: u32) -> Option<Cause> {
        next_frame(bytes, max).err().map(|error| error.cause)
    }

    #[test]
    fn a_frame_is_whole_or_not_there() {
        let bytes = [0x30, 3, b'a', b'b', b'c', 0xC0];
        for n in 0..5 {
            assert_eq!(next_frame(&bytes[..n], 100), Ok(None), "{n} bytes");
        }
        let frame = next_frame(&bytes, 100).expect("legal").expect("whole");
        assert_eq!((frame.first, frame.body, frame.len), (0x30, &b"abc"[..], 5));
        assert_eq!([0, 1, 2, 5].map(|n| frame_need(&bytes[..n])), [2, 1, 3, 0]);
    }

    #[test]
    fn the_header_is_judged_before_the_body_is_there() {
        assert_eq!(cause(&[0x00], 100), Some(Cause::ForbiddenType));
        assert_eq!(cause(&[0x36], 100), Some(Cause::QoS3));
        assert_eq!(cause(&[0x38], 100), Some(Cause::DupWithQoS0));
        assert_eq!(cause(&[0xC1], 100), Some(Cause::ReservedFlags));
        assert_eq!(cause(&[0x80], 100), Some(Cause::ReservedFlags));
        assert_eq!(cause(&[0x30, 99], 100), Some(Cause::PacketTooLarge));
        assert_eq!(cause(&[0x30, 98], 100), None);
        let padded = next_frame(&[0xC0, 0x80, 0x00], 100).expect("legal").expect("whole");
        assert!(padded.padded && padded.body.is_empty() && padded.len == 3);
        assert_eq!(cause(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], 100), Some(Cause::BadRemainingLength));
        assert_eq!(cause(&[0x30, 0xFF, 0xFF, 0xFF], 100), None);
        assert_eq!(cause(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], u32::MAX), None);
        assert_eq!(
            cause(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], 268_435_455),
            Some(Cause::PacketTooLarge)
        );
    }
}
