//! Frames of WebSocket [RFC 6455, 5]: what both ends of a connection share of them.
//!
//! MQTT travels in binary frames, whose borders mean nothing: a frame may hold half a packet or
//! three. What the bytes in between are for is the owner's to know.

use crate::packet::Role;

/// The longest header, in bytes.
pub const HEADER_MAX: usize = 14;
/// The longest payload of a control frame, in bytes.
pub const CONTROL_MAX: usize = 125;
/// What the server adds to the client's key before it takes the hash [RFC 6455, 1.3].
pub const PROOF: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The next part of a message.
    Continuation,
    /// The first part of a message of text.
    Text,
    /// The first part of a message of bytes.
    Binary,
    /// The end.
    Close,
    /// Its bytes are wanted back.
    Ping,
    /// The bytes of a ping.
    Pong,
}

/// The codes of the kinds.
const KINDS: [(Kind, u8); 6] = [
    (Kind::Continuation, 0),
    (Kind::Text, 1),
    (Kind::Binary, 2),
    (Kind::Close, 8),
    (Kind::Ping, 9),
    (Kind::Pong, 10),
];

impl Kind {
    fn code(self) -> u8 {
        let found = KINDS.iter().find(|(kind, _)| *kind == self);
        found.map_or(0, |(_, code)| *code)
    }

    /// Whether it may stand amid the frames of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Kind::Close | Kind::Ping | Kind::Pong)
    }
}

/// What is wrong with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameError {
    /// A bit is set that means something only if both ends have agreed on it.
    Reserved,
    /// Its kind is none of those there are.
    Unknown,
    /// A client has to mask its frames.
    Unmasked,
    /// A server must not mask its frames.
    Masked,
    /// A control frame in parts, or too long for one.
    Control,
    /// Its length has 64 bits.
    Length,
    /// It continues what was not begun.
    NotBegun,
    /// It begins a message inside of another.
    Inside,
    /// Text.
    Text,
    /// A close frame with half a code.
    HalfCode,
    /// A close frame with a code that must not be sent.
    Code,
    /// A close frame whose reason is not UTF-8.
    Reason,
}

impl FrameError {
    /// The code to close with [RFC 6455, 7.4.1].
    pub fn code(self) -> u16 {
        match self {
            FrameError::Text => close::UNACCEPTABLE,
            FrameError::Reason => close::NOT_TEXT,
            FrameError::Reserved
            | FrameError::Unknown
            | FrameError::Unmasked
            | FrameError::Masked
            | FrameError::Control
            | FrameError::Length
            | FrameError::NotBegun
            | FrameError::Inside
            | FrameError::HalfCode
            | FrameError::Code => close::PROTOCOL_ERROR,
        }
    }

    /// In words.
    pub fn what(self) -> &'static str {
        match self {
            FrameError::Reserved => "a reserved bit is set",
            FrameError::Unknown => "an unknown kind of frame",
            FrameError::Unmasked => "a frame without a mask from a client",
            FrameError::Masked => "a masked frame from a server",
            FrameError::Control => "a control frame in parts, or of more than 125 bytes",
            FrameError::Length => "a frame of 2^63 bytes or more",
            FrameError::NotBegun => "it continues what was not begun",
            FrameError::Inside => "it begins a message inside of another",
            FrameError::Text => "a text frame, but MQTT travels in binary frames",
            FrameError::HalfCode => "half a code in a close frame",
            FrameError::Code => "a close frame with a code that must not be sent",
            FrameError::Reason => "a close frame whose reason is not UTF-8",
        }
    }
}

/// Codes of close frames [RFC 6455, 7.4.1].
pub mod close {
    /// All is well.
    pub const NORMAL: u16 = 1000;
    /// A server stops, or a page is left.
    pub const GOING_AWAY: u16 = 1001;
    /// The rules of WebSocket were broken.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// A kind of message that is not understood.
    pub const UNACCEPTABLE: u16 = 1003;
    /// What should be UTF-8 is not.
    pub const NOT_TEXT: u16 = 1007;

    /// Whether a close frame may carry it: not those that stand for "none came".
    pub fn may_be_sent(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// What stands before the payload of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// It ends its message.
    pub last: bool,
    /// What it is for.
    pub kind: Kind,
    /// What its payload is masked with.
    pub mask: Option<[u8; 4]>,
    /// Bytes of its payload.
    pub len: u64,
}

impl Header {
    /// The header that these bytes begin with, and its length; `None` while it is not whole. What
    /// is wrong with it is said as soon as that can be seen.
    ///
    /// # Errors
    /// `sender` must not send it.
    pub fn parse(bytes: &[u8], sender: Role) -> Result<Option<(Header, usize)>, FrameError> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err(FrameError::Reserved);
        }
        let found = KINDS.iter().find(|(_, code)| *code == first & 0x0f);
        let kind = found.ok_or(FrameError::Unknown)?.0;
        let masked = second & MASKED != 0;
        match sender {
            Role::Client if !masked => return Err(FrameError::Unmasked),
            Role::Server if masked => return Err(FrameError::Masked),
            Role::Client | Role::Server => {}
        }
        let (last, short) = (first & FINAL != 0, second & !MASKED);
        if kind.is_control() && (!last || usize::from(short) > CONTROL_MAX) {
            return Err(FrameError::Control);
        }
        let (len, rest) = match short {
            126 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from_be_bytes(*len), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        if len >> 63 != 0 {
            return Err(FrameError::Length);
        }
        let (mask, rest) = match rest.split_first_chunk() {
            _ if !masked => (None, rest),
            Some((mask, rest)) => (Some(*mask), rest),
            None => return Ok(None),
        };
        Ok(Some((Header { last, kind, mask, len }, bytes.len() - rest.len())))
    }

    /// Writes it, with the shortest form of its length; answers how many bytes it has.
    pub fn write(&self, out: &mut [u8; HEADER_MAX]) -> usize {
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        out[0] = self.kind.code() | if self.last { FINAL } else { 0 };
        let mut at = 2;
        match (u8::try_from(self.len), u16::try_from(self.len)) {
            (Ok(len @ 0..=125), _) => out[1] = masked | len,
            (_, Ok(len)) => {
                out[1] = masked | 126;
                out[at..at + 2].copy_from_slice(&len.to_be_bytes());
                at += 2;
            }
            (_, Err(_)) => {
                out[1] = masked | 127;
                out[at..at + 8].copy_from_slice(&self.len.to_be_bytes());
                at += 8;
            }
        }
        if let Some(mask) = self.mask {
            out[at..at + 4].copy_from_slice(&mask);
            at += 4;
        }
        at
    }
}

/// The order of frames: messages do not overlap, and none is text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sequence {
    /// The last data frame was not the last one of its message.
    open: bool,
}

impl Sequence {
    /// The next frame.
    ///
    /// # Errors
    /// It must not come now.
    pub fn follow(&mut self, header: &Header) -> Result<(), FrameError> {
        match header.kind {
            Kind::Continuation if !self.open => return Err(FrameError::NotBegun),
            Kind::Binary | Kind::Text if self.open => return Err(FrameError::Inside),
            // [MQTT-6.0.0-1 v5] [MQTT-6.0.0-1 v3.1.1]
            Kind::Text => return Err(FrameError::Text),
            Kind::Continuation | Kind::Binary => self.open = !header.last,
            Kind::Close | Kind::Ping | Kind::Pong => {}
        }
        Ok(())
    }
}

/// The code of a close frame, and its reason; `None`: it gives none.
///
/// # Errors
/// It must not be sent.
pub fn parse_close(payload: &[u8]) -> Result<Option<(u16, &str)>, FrameError> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(FrameError::HalfCode) };
    };
    let code = u16::from_be_bytes(*code);
    if !close::may_be_sent(code) {
        return Err(FrameError::Code);
    }
    let reason = core::str::from_utf8(reason).map_err(|_| FrameError::Reason)?;
    Ok(Some((code, reason)))
}

/// Masks bytes, or takes the mask off again [RFC 6455, 5.3].
#[inline]
pub fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_header_is_read_as_it_was_written_and_not_before_it_is_whole() {
        let lengths = [0, 1, 125, 126, 65_535, 65_536, u64::MAX >> 1];
        for (kind, _) in KINDS {
            for (len, mask) in lengths.iter().flat_map(|len| [(*len, None), (*len, Some([1; 4]))]) {
                if kind.is_control() && len > CONTROL_MAX as u64 {
                    continue;
                }
                let header = Header { last: true, kind, mask, len };
                let mut bytes = [0; HEADER_MAX];
                let end = header.write(&mut bytes);
                let sender = if mask.is_some() { Role::Client } else { Role::Server };
                assert_eq!(Header::parse(&bytes[..end], sender), Ok(Some((header, end))));
                for part in 0..end {
                    assert_eq!(Header::parse(&bytes[..part], sender), Ok(None), "{header:?}");
                }
            }
        }
    }

    #[test]
    fn what_must_not_be_sent_is_named_at_once() {
        use FrameError as E;
        let (client, server) = (Role::Client, Role::Server);
        for (bytes, sender, error) in [
            (&[0xc2, 0x80][..], client, E::Reserved),
            (&[0xa2, 0x80], client, E::Reserved),
            (&[0x92, 0x80], client, E::Reserved),
            (&[0x83, 0x80], client, E::Unknown),
            (&[0x8f, 0x80], client, E::Unknown),
            (&[0x82, 0x00], client, E::Unmasked),
            (&[0x82, 0x80], server, E::Masked),
            (&[0x09, 0x80], client, E::Control),
            (&[0x88, 0xfe], client, E::Control),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], server, E::Length),
        ] {
            assert_eq!(Header::parse(bytes, sender), Err(error), "{bytes:x?}");
        }
    }

    #[test]
    fn messages_come_one_after_the_other_with_control_frames_amid_them() {
        let follow = |frames: &[(bool, Kind)]| {
            let mut sequence = Sequence::default();
            frames.iter().try_for_each(|(last, kind)| {
                sequence.follow(&Header { last: *last, kind: *kind, mask: None, len: 0 })
            })
        };
        let (more, last) = (false, true);
        let good = [
            (more, Kind::Binary),
            (last, Kind::Ping),
            (more, Kind::Continuation),
            (last, Kind::Pong),
            (last, Kind::Continuation),
            (last, Kind::Binary),
            (last, Kind::Close),
        ];
        assert_eq!(follow(&good), Ok(()));
        assert_eq!(follow(&[(last, Kind::Continuation)]), Err(FrameError::NotBegun));
        assert_eq!(follow(&[(more, Kind::Binary), (last, Kind::Binary)]), Err(FrameError::Inside));
        assert_eq!(follow(&[(more, Kind::Text)]), Err(FrameError::Text));
    }

    #[test]
    fn a_close_frame_has_a_code_that_may_be_sent_and_a_reason_that_is_text() {
        assert_eq!(parse_close(b""), Ok(None));
        assert_eq!(parse_close(b"\x03\xe8bye"), Ok(Some((1000, "bye"))));
        assert_eq!(parse_close(b"\x03"), Err(FrameError::HalfCode));
        assert_eq!(parse_close(b"\x03\xe8\xff"), Err(FrameError::Reason));
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert_eq!(parse_close(&code.to_be_bytes()), Err(FrameError::Code), "{code}");
        }
        for code in [1000_u16, 1003, 1007, 1011, 1014, 3000, 4999] {
            assert_eq!(parse_close(&code.to_be_bytes()), Ok(Some((code, ""))));
        }
    }

    #[test]
    fn a_mask_comes_off_as_it_went_on() {
        let key = [0x0f, 0xf0, 0xff, 0x01];
        for len in 0..40 {
            let plain: Vec<u8> = (0..len).collect();
            let mut masked = plain.clone();
            mask(&mut masked, key);
            let slowly: Vec<u8> =
                plain.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k).collect();
            assert_eq!(masked, slowly);
            mask(&mut masked, key);
            assert_eq!(masked, plain);
        }
    }
}
