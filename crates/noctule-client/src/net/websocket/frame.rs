//! Frames of a server and of a client [RFC 6455, 5], without input or output: bytes in, what they
//! mean out.

use super::WebSocketError;
use noctule_proto::Role;
use noctule_proto::websocket::{self as wire, FrameError, Header, Sequence};

/// What the server says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Said<'a> {
    /// Bytes of MQTT.
    Data(&'a [u8]),
    /// It wants these bytes back.
    Ping(Vec<u8>),
    /// It ends the WebSocket: the code, if there is one, and the reason.
    Close(Option<u16>, String),
}

/// Understands what comes from a server, however it is cut.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    state: State,
    sequence: Sequence,
}

#[derive(Debug)]
enum State {
    /// The bytes of a header, as far as they have come.
    Header(Vec<u8>),
    /// Bytes of a data frame that are still to come, at least 1.
    Data { left: u64 },
    /// A control frame, as far as it has come.
    Control { kind: wire::Kind, length: usize, payload: Vec<u8> },
}

impl Default for State {
    fn default() -> State {
        State::Header(Vec::new())
    }
}

impl Decoder {
    /// The next thing that the server says; moves `input` past it. `None` when all input is used.
    pub(super) fn decode<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Said<'a>>, WebSocketError> {
        while !input.is_empty() {
            match &mut self.state {
                State::Header(header) => {
                    header.push(take(input, 1)[0]);
                    if let Some(next) = next_state(header, &mut self.sequence).map_err(wrong)? {
                        self.state = next;
                    }
                }
                State::Data { left } => {
                    // What has come is handed on, be it half a packet or three
                    // [MQTT-6.0.0-2 v5] [MQTT-6.0.0-2 v3.1.1].
                    let data = take(input, usize::try_from(*left).unwrap_or(usize::MAX));
                    self.skip(data.len());
                    return Ok(Some(Said::Data(data)));
                }
                State::Control { length, payload, .. } => {
                    payload.extend_from_slice(take(input, *length - payload.len()));
                }
            }
            if let Some(said) = self.control()? {
                return Ok(Some(said));
            }
        }
        Ok(None)
    }

    /// Bytes of MQTT that come before the next header; they may pass by with
    /// [`skip`](Self::skip).
    pub(super) fn data_left(&self) -> u64 {
        match self.state {
            State::Data { left } => left,
            State::Header(_) | State::Control { .. } => 0,
        }
    }

    /// Counts bytes of MQTT that have come.
    pub(super) fn skip(&mut self, len: usize) {
        if let State::Data { left } = &mut self.state {
            *left = left.checked_sub(len as u64).expect("no more is taken than the frame holds");
            if *left == 0 {
                self.state = State::default();
            }
        }
    }

    /// A control frame that is whole. Pongs answer nothing of ours and say nothing.
    fn control(&mut self) -> Result<Option<Said<'static>>, WebSocketError> {
        let State::Control { kind, length, payload } = &mut self.state else { return Ok(None) };
        if payload.len() < *length {
            return Ok(None);
        }
        let (kind, payload) = (*kind, std::mem::take(payload));
        self.state = State::default();
        match kind {
            wire::Kind::Ping => Ok(Some(Said::Ping(payload))),
            wire::Kind::Close => match payload.split_first_chunk() {
                Some((code, reason)) => {
                    let reason = String::from_utf8_lossy(reason).into_owned();
                    Ok(Some(Said::Close(Some(u16::from_be_bytes(*code)), reason)))
                }
                None if payload.is_empty() => Ok(Some(Said::Close(None, String::new()))),
                None => Err(wrong(FrameError::HalfCode)),
            },
            wire::Kind::Pong | wire::Kind::Binary | wire::Kind::Text | wire::Kind::Continuation => {
                Ok(None)
            }
        }
    }
}

fn wrong(error: FrameError) -> WebSocketError {
    WebSocketError::Frame(error.what())
}

/// The state after a header; `None` while it is not whole.
fn next_state(bytes: &[u8], sequence: &mut Sequence) -> Result<Option<State>, FrameError> {
    let Some((header, _)) = Header::parse(bytes, Role::Server)? else { return Ok(None) };
    // Text ends the connection [MQTT-6.0.0-1 v5] [MQTT-6.0.0-1 v3.1.1].
    sequence.follow(&header)?;
    let Header { kind, len: left, .. } = header;
    Ok(Some(if kind.is_control() {
        let length = usize::try_from(left).map_err(|_| FrameError::Control)?;
        State::Control { kind, length, payload: Vec::new() }
    } else if left == 0 {
        State::default()
    } else {
        State::Data { left }
    }))
}

/// The first bytes of the input, at most `max`.
fn take<'a>(input: &mut &'a [u8], max: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(max.min(input.len()));
    *input = rest;
    taken
}

/// What a client says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Bytes of MQTT.
    Data,
    /// The bytes of a ping.
    Pong,
    /// The end: nothing, or a code.
    Close,
}

/// Appends a frame with this payload under this mask.
pub(super) fn encode(kind: Kind, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    // MQTT packets travel in binary frames [MQTT-6.0.0-1 v5] [MQTT-6.0.0-1 v3.1.1], whose borders
    // mean nothing [MQTT-6.0.0-2 v5] [MQTT-6.0.0-2 v3.1.1].
    let kind = match kind {
        Kind::Data => wire::Kind::Binary,
        Kind::Pong => wire::Kind::Pong,
        Kind::Close => wire::Kind::Close,
    };
    let header = Header { last: true, kind, mask: Some(mask), len: payload.len() as u64 };
    let mut bytes = [0; wire::HEADER_MAX];
    let end = header.write(&mut bytes);
    out.extend_from_slice(&bytes[..end]);
    let start = out.len();
    out.extend_from_slice(payload);
    wire::mask(&mut out[start..], mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that the server says, with data joined, when its bytes come in pieces of `size`.
    fn hear(bytes: &[u8], size: usize) -> Result<(Vec<u8>, Vec<Said<'static>>), WebSocketError> {
        let mut decoder = Decoder::default();
        let (mut data, mut others) = (Vec::new(), Vec::new());
        for mut piece in bytes.chunks(size) {
            while let Some(said) = decoder.decode(&mut piece)? {
                match said {
                    Said::Data(bytes) => data.extend_from_slice(bytes),
                    Said::Ping(bytes) => others.push(Said::Ping(bytes)),
                    Said::Close(code, reason) => others.push(Said::Close(code, reason)),
                }
            }
        }
        Ok((data, others))
    }

    /// `[MQTT-6.0.0-2 v5]` `[MQTT-6.0.0-2 v3.1.1]`
    #[test]
    fn data_comes_through_whatever_the_frames_are_and_however_they_are_cut() {
        let mut bytes = vec![0x02, 1, b'a']; // the first part of a message
        bytes.extend_from_slice(&[0x89, 2, b'h', b'i']); // a ping amid it
        bytes.extend_from_slice(&[0x00, 0]); // an empty part
        bytes.extend_from_slice(&[0x80, 126, 0, 2, b'b', b'c']); // the last part, a long form
        bytes.extend_from_slice(&[0x8a, 1, b'x']); // a pong nobody asked for
        bytes.extend_from_slice(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, b'd']);
        bytes.extend_from_slice(&[0x88, 4, 0x03, 0xea, b'n', b'o']);
        bytes.extend_from_slice(&[0x88, 0]);
        for size in 1..=bytes.len() {
            let (data, others) = hear(&bytes, size).expect("good frames");
            assert_eq!(data, b"abcd", "in pieces of {size}");
            let ping = Said::Ping(b"hi".to_vec());
            let close = Said::Close(Some(1002), "no".to_owned());
            assert_eq!(others, [ping, close, Said::Close(None, String::new())]);
        }
    }

    /// `[MQTT-6.0.0-1 v5]` `[MQTT-6.0.0-1 v3.1.1]`
    #[test]
    fn forbidden_frames_are_refused_at_their_header() {
        for (bytes, word) in [
            (&[0x81, 1][..], "text"),
            (&[0x82, 0x81], "masked"),
            (&[0xc2, 0], "reserved"),
            (&[0x83, 0], "unknown"),
            (&[0x8b, 0], "unknown"),
            (&[0x80, 0], "continues"),
            (&[0x02, 0, 0x82, 0], "inside"),
            (&[0x09, 0], "control"),
            (&[0x89, 126, 0, 126], "control"),
            (&[0x88, 1, 3], "half"),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], "2^63"),
        ] {
            let error = hear(bytes, 1).expect_err("a bad frame").to_string();
            assert!(error.contains(word), "{bytes:x?}: {error}");
        }
    }

    #[test]
    fn any_bytes_mean_the_same_in_whatever_pieces_they_come() {
        // Numbers that look like chance, the same in each run.
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut chance = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let mut heard = 0;
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..chance() % 6 {
                let first = [0x82, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88, chance() as u8];
                bytes.push(first[(chance() % 8) as usize]);
                match chance() % 8 {
                    0 => bytes.extend_from_slice(&[126, 0, chance() as u8]),
                    1 => bytes.extend_from_slice(&[127, 0, 0, 0, 0, 0, 0, 0, chance() as u8]),
                    2 => bytes.push(chance() as u8),
                    _ => bytes.push((chance() % 12) as u8),
                }
                bytes.extend((0..chance() % 12).map(|_| chance() as u8));
            }
            let whole = format!("{:?}", hear(&bytes, bytes.len().max(1)));
            for size in [1, 2, 3, 7] {
                assert_eq!(format!("{:?}", hear(&bytes, size)), whole, "{bytes:x?} by {size}");
            }
            heard += usize::from(whole.starts_with("Ok"));
        }
        assert!(heard > 1_000, "only {heard} were good");
    }

    #[test]
    fn a_frame_may_claim_any_length_of_63_bits() {
        let mut decoder = Decoder::default();
        let header = [0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(decoder.decode(&mut &header[..]).expect("good"), None);
        assert_eq!(decoder.data_left(), u64::MAX >> 1);
        assert_eq!(decoder.decode(&mut &b"abc"[..]).expect("good"), Some(Said::Data(b"abc")));
        decoder.skip(1);
        assert_eq!(decoder.data_left(), (u64::MAX >> 1) - 4);
    }

    #[test]
    fn frames_of_a_client_are_masked_and_have_the_shortest_length() {
        let mask = [0x0f, 0xf0, 0xff, 0x00];
        for (len, header) in [
            (0, vec![0x82, 0x80]),
            (125, vec![0x82, 0x80 | 125]),
            (126, vec![0x82, 0x80 | 126, 0, 126]),
            (65535, vec![0x82, 0x80 | 126, 0xff, 0xff]),
            (65536, vec![0x82, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let mut out = Vec::new();
            encode(Kind::Data, &payload, mask, &mut out);
            let (head, body) = out.split_at(header.len() + 4);
            assert_eq!(head, [&header[..], &mask].concat());
            let plain: Vec<u8> = body.iter().zip(mask.iter().cycle()).map(|(b, k)| b ^ k).collect();
            assert_eq!(plain, payload);
        }
        let mut out = Vec::new();
        encode(Kind::Close, &[0x03, 0xe8], mask, &mut out);
        assert_eq!(out, [0x88, 0x82, 0x0f, 0xf0, 0xff, 0x00, 0x03 ^ 0x0f, 0xe8 ^ 0xf0]);
    }
}
