//! What messages hold: their name, and filler that follows from it, so that what arrives can be
//! told from anything else.

use crate::sim::chance::Chance;

/// One message: its stream, and its place in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Name {
    pub(crate) stream: u16,
    pub(crate) number: u32,
}

/// The payload of a message.
pub(crate) fn payload(name: Name) -> Vec<u8> {
    let mut chance = Chance::new(u64::from(name.stream) << 32 | u64::from(name.number));
    let len = match chance.below(100) {
        0 => chance.between(8 * 1024, 40 * 1024),
        1..=9 => chance.between(200, 4096),
        _ => chance.between(0, 200),
    };
    let mut bytes = format!("{} {}\n", name.stream, name.number).into_bytes();
    bytes.extend((0..len).map(|_| chance.next() as u8));
    bytes
}

/// The message with this payload; `None`: it is none of ours, or not whole.
pub(crate) fn name_of(bytes: &[u8]) -> Option<Name> {
    claimed_name(bytes).filter(|name| payload(*name) == bytes)
}

/// The message that a payload says it is.
pub(crate) fn claimed_name(bytes: &[u8]) -> Option<Name> {
    let head = bytes.split(|byte| *byte == b'\n').next()?;
    let (stream, number) = std::str::from_utf8(head).ok()?.split_once(' ')?;
    Some(Name { stream: stream.parse().ok()?, number: number.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_tells_its_message_only_if_it_is_whole() {
        for number in 0..300 {
            let name = Name { stream: 7, number };
            let mut bytes = payload(name);
            assert_eq!(name_of(&bytes), Some(name));
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            assert_eq!(name_of(&bytes), None, "{number}");
            assert_eq!(name_of(&bytes[..last]), None, "{number}");
        }
    }
}
