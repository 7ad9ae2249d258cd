//! Variable byte integers `[1.5.5 v5]`: seven bits a byte, least significant first.

use crate::Cause;

/// The largest value: four bytes of seven bits.
pub const MAX: u32 = 268_435_455;

/// Reads one from the front of `bytes`: the value and how many bytes it took.
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Result<(u32, usize), Cause> {
    match bytes.first() {
        None => Err(Cause::Truncated),
        Some(&first) if first < 0x80 => Ok((u32::from(first), 1)),
        Some(_) => match decode_padded(bytes)? {
            // The shortest form only [MQTT-1.5.5-1 v5].
            (_, _, true) => Err(Cause::BadVarint),
            (value, n, false) => Ok((value, n)),
        },
    }
}

/// The same, in whatever form: the value, how many bytes it took, and whether fewer would do.
pub(crate) fn decode_padded(bytes: &[u8]) -> Result<(u32, usize, bool), Cause> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * i);
        if byte < 0x80 {
            return Ok((value, i + 1, byte == 0 && i > 0));
        }
    }
    // A fourth byte that wants a fifth [U5-1.5.5-1] [V31-2.1-6].
    Err(if bytes.len() < 4 { Cause::Truncated } else { Cause::BadVarint })
}

/// How many bytes `value` takes.
#[inline]
pub(crate) fn len(value: u32) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Writes `value` (at most [`MAX`]) to the front of `buf` and says how many bytes it took.
#[inline]
pub(crate) fn encode(value: u32, buf: &mut [u8; 4]) -> usize {
    let mut rest = value.min(MAX);
    let mut n = 0;
    loop {
        buf[n] = (rest & 0x7F) as u8;
        rest >>= 7;
        if rest == 0 {
            return n + 1;
        }
        buf[n] |= 0x80;
        n += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_at_the_borders_survive_the_round_trip() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, MAX] {
            let mut buf = [0; 4];
            let n = encode(value, &mut buf);
            assert_eq!(n, len(value));
            assert_eq!(decode(&buf[..n]), Ok((value, n)));
            for short in 0..n {
                assert_eq!(decode(&buf[..short]), Err(Cause::Truncated));
            }
        }
    }

    #[test]
    fn long_forms_are_refused() {
        assert_eq!(decode(&[0x80, 0x00]), Err(Cause::BadVarint));
        assert_eq!(decode(&[0xFF, 0xFF, 0xFF, 0x80, 0x01]), Err(Cause::BadVarint));
        assert_eq!(decode(&[0x81, 0x80, 0x80, 0x00]), Err(Cause::BadVarint));
    }
}
