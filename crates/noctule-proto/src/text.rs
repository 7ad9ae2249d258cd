//! UTF-8 strings: one rule for all text of all packets.
//!
//! Ill-formed bytes, surrogates and U+0000 are refused `[MQTT-1.5.4-1 v5]` `[MQTT-1.5.4-2 v5]`
//! `[MQTT-1.5.3-1 v3.1.1]` `[MQTT-1.5.3-2 v3.1.1]` `[V31-2.5-1]`; control characters U+0001 to
//! U+001F and U+007F to U+009F and non-characters are too, as the standard allows `[U5-1.5.4-1]`.
//! U+FEFF is a character like others `[MQTT-1.5.4-3 v5]` `[MQTT-1.5.3-3 v3.1.1]`.

use crate::{Cause, TopicError};

/// The longest text or binary field, in bytes.
pub const LEN_MAX: usize = 65_535;

/// Whether all bytes are printable ASCII but `+` and `#`: true for most text, in one pass.
///
/// Eight bytes at a time; the last word overlaps the one before, so that there is no slow tail.
#[inline]
fn is_simple(bytes: &[u8]) -> bool {
    let mut seen = 0;
    match bytes.last_chunk() {
        Some(last) => {
            for word in bytes.as_chunks().0 {
                seen |= special(u64::from_ne_bytes(*word));
            }
            seen |= special(u64::from_ne_bytes(*last));
        }
        None => {
            for byte in bytes {
                seen |= special(LOW * u64::from(*byte));
            }
        }
    }
    seen & HIGH == 0
}

const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Has high bits set if, and only if, a byte is below 0x20, above 0x7E, `+` or `#`.
#[inline]
fn special(word: u64) -> u64 {
    // Borrows and carries reach another byte only from one that is special itself. The two
    // wildcards differ in bit 3 alone.
    let wild = (word | (LOW * 0x08)) ^ (LOW * 0x2B);
    word | word.wrapping_sub(LOW * 0x20) | word.wrapping_add(LOW) | (wild.wrapping_sub(LOW) & !wild)
}

/// Text of a packet.
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, Cause> {
    let text = core::str::from_utf8(bytes).map_err(|_| Cause::IllFormedText)?;
    if is_clean(text) { Ok(text) } else { Err(Cause::ForbiddenCharacter) }
}

/// A topic name of a packet; may be empty.
#[inline]
pub(crate) fn topic(bytes: &[u8]) -> Result<&str, Cause> {
    let text = core::str::from_utf8(bytes).map_err(|_| Cause::IllFormedText)?;
    match check_topic(text) {
        Ok(()) => Ok(text),
        Err(error) => Err(Cause::TopicName(error)),
    }
}

/// The rules of a topic name, but for its length.
#[inline]
pub(crate) fn check_topic(text: &str) -> Result<(), TopicError> {
    if is_simple(text.as_bytes()) { Ok(()) } else { check_topic_slow(text) }
}

#[cold]
fn check_topic_slow(text: &str) -> Result<(), TopicError> {
    if !is_clean_slow(text) {
        return Err(TopicError::ForbiddenCharacter);
    }
    // [V31-3.3-3],
    // [MQTT-3.3.2-2 v5], [MQTT-4.7.0-1 v5], [MQTT-3.3.2-2 v3.1.1], [MQTT-4.7.1-1 v3.1.1]
    if memchr::memchr2(b'+', b'#', text.as_bytes()).is_some() {
        return Err(TopicError::Wildcard);
    }
    Ok(())
}

/// Whether `text` holds neither control characters nor non-characters, and so may stand in a
/// packet if it is not longer than [`LEN_MAX`].
#[inline]
pub fn is_clean(text: &str) -> bool {
    is_simple(text.as_bytes()) || is_clean_slow(text)
}

fn is_clean_slow(text: &str) -> bool {
    !text.chars().any(|c| {
        let code = c as u32;
        c.is_control() || matches!(code, 0xFDD0..=0xFDEF) || code & 0xFFFE == 0xFFFE
    })
}

/// `text` cut to at most `LEN_MAX` bytes, between characters.
#[inline]
pub(crate) fn cut(text: &str) -> &str {
    if text.len() <= LEN_MAX { text } else { &text[..text.floor_char_boundary(LEN_MAX)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_non_characters_are_refused() {
        for bad in ['\0', '\u{1}', '\u{1f}', '\u{7f}', '\u{9f}', '\u{fdd0}', '\u{fffe}'] {
            let text = alloc::format!("a{bad}");
            assert_eq!(decode(text.as_bytes()), Err(Cause::ForbiddenCharacter), "{bad:?}");
        }
        assert!(!is_clean("\u{10ffff}"));
        for good in ["", " ~", "\u{a0}", "\u{feff}x", "\u{fffd}", "😀", "\u{fdcf}\u{fdf0}"] {
            assert_eq!(decode(good.as_bytes()), Ok(good));
        }
        for bad in [&b"\xC0\x80"[..], b"\xED\xA0\x80", b"\xF4\x90\x80\x80", b"a\xE2\x82", b"\xFF"] {
            assert_eq!(decode(bad), Err(Cause::IllFormedText), "{bad:?}");
        }
    }

    #[test]
    fn every_special_byte_is_seen_at_every_place() {
        for len in 0..20 {
            for at in 0..len {
                for byte in 0..=255u8 {
                    let mut bytes = [b'a'; 20];
                    bytes[at] = byte;
                    let simple = (0x20..0x7F).contains(&byte) && byte != b'+' && byte != b'#';
                    assert_eq!(is_simple(&bytes[..len]), simple, "{byte:#x} at {at} of {len}");
                }
            }
        }
        assert!(is_simple(b""));
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let long = "ü".repeat(40_000);
        assert_eq!(cut(&long).len(), 65_534);
        assert_eq!(cut("abc"), "abc");
    }
}
