//! UTF-8 strings: one rule for all text of all packets.
//!
//! Ill-formed bytes, surrogates and U+0000 are refused `[MQTT-1.5.4-1 v5]` `[MQTT-1.5.4-2 v5]`
//! `[MQTT-1.5.3-1 v3.1.1]` `[MQTT-1.5.3-2 v3.1.1]`; control characters U+0001 to U+001F and U+007F
//! to U+009F and non-characters are too, as the standard allows (U5-1.5.4-1). U+FEFF is a character
//! like others `[MQTT-1.5.4-3 v5]`.

use crate::{Cause, TopicError};

/// The longest text or binary field, in bytes.
pub const LEN_MAX: usize = 65_535;

/// Marks bytes that end the fast path: anything but printable ASCII.
const ODD: u8 = 1;
/// Marks `+` and `#`.
const WILD: u8 = 2;

/// What each byte means to the one-pass scan.
const CLASS: [u8; 256] = {
    let mut class = [ODD; 256];
    let mut byte = 0x20;
    while byte < 0x7F {
        class[byte] = 0;
        byte += 1;
    }
    class[b'+' as usize] = WILD;
    class[b'#' as usize] = WILD;
    class
};

/// The union of the classes of all bytes.
#[inline]
fn scan(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |seen, byte| seen | CLASS[usize::from(*byte)])
}

/// Text of a packet.
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, Cause> {
    let text = core::str::from_utf8(bytes).map_err(|_| Cause::IllFormedText)?;
    if scan(bytes) & ODD != 0 && !is_clean_slow(text) {
        return Err(Cause::ForbiddenCharacter);
    }
    Ok(text)
}

/// A topic name of a packet; may be empty.
#[inline]
pub(crate) fn topic(bytes: &[u8]) -> Result<&str, Cause> {
    let text = core::str::from_utf8(bytes).map_err(|_| Cause::IllFormedText)?;
    let seen = scan(bytes);
    if seen == 0 {
        return Ok(text);
    }
    topic_verdict(text, seen).map_err(Cause::TopicName)?;
    Ok(text)
}

/// The rules of a topic name, but for its length.
pub(crate) fn check_topic(text: &str) -> Result<(), TopicError> {
    topic_verdict(text, scan(text.as_bytes()))
}

#[cold]
fn topic_verdict(text: &str, seen: u8) -> Result<(), TopicError> {
    if seen & ODD != 0 && !is_clean_slow(text) {
        return Err(TopicError::ForbiddenCharacter);
    }
    // [MQTT-3.3.2-2 v5], [MQTT-3.3.2-2 v3.1.1]
    if seen & WILD != 0 {
        return Err(TopicError::Wildcard);
    }
    Ok(())
}

/// Whether `text` holds neither control characters nor non-characters, and so may stand in a
/// packet if it is not longer than [`LEN_MAX`].
pub fn is_clean(text: &str) -> bool {
    scan(text.as_bytes()) & ODD == 0 || is_clean_slow(text)
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
    fn long_text_is_cut_between_characters() {
        let long = "ü".repeat(40_000);
        assert_eq!(cut(&long).len(), 65_534);
        assert_eq!(cut("abc"), "abc");
    }
}
