//! A WebSocket: whatever the request and the frames, and however they are cut, the bytes of MQTT in
//! them are those that a plain and slow reader finds; and what is sent meanwhile is whole frames,
//! with answers to pings between them.

use crate::script::Script;
use noctule_server::fuzz::{Heard, WebSocket};

const HEADER_MAX: usize = 1024;
const ORIGIN: &str = "https://example.com";
/// What a client asks for, if the script says that it asks well.
const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
/// How many sizes of pieces a script has.
const SIZES: usize = 4;
/// Bytes of MQTT that are sent, at most: a frame of the longest kind, and more.
const SENT_MAX: usize = 70_000;
const SENT_STEP: usize = 40;

/// The first byte says how the request is, the next ones how all is cut; the others come.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let how = script.byte();
    let sizes: [usize; SIZES] = std::array::from_fn(|_| usize::from(script.byte()));
    let rest = script.rest();
    let (asks_well, origins) = (how & 1 == 0, if how & 2 == 0 { &[][..] } else { &[ORIGIN] });
    let request = if asks_well && origins.is_empty() { REQUEST } else { &[] };
    let all = [request, rest].concat();
    let sends = match usize::from(how >> 2) {
        63 => SENT_MAX,
        steps => steps * SENT_STEP,
    };
    let whole = course(&all, origins, &[usize::MAX], sends);
    let cut = course(&all, origins, &sizes, sends);
    assert_eq!(whole.data, cut.data, "bytes are the same however they are cut");
    assert_eq!(whole.outcome, cut.outcome, "and so is the end");
    if !request.is_empty() {
        let found = read(rest, true);
        assert_eq!(whole.data, found.data, "the bytes of the frames");
        for course in [&whole, &cut] {
            course.check_sent(&found.pings);
        }
    }
}

/// A script that asks well and sends these frames, all at once.
pub fn as_script(frames: &[u8]) -> Vec<u8> {
    [&[0, 255, 1, 2, 7], frames].concat()
}

/// A script that asks by these bytes.
pub fn as_request(request: &[u8]) -> Vec<u8> {
    [&[1, 255, 1, 2, 7], request].concat()
}

/// The request of a client that asks well.
pub fn request() -> &'static [u8] {
    REQUEST
}

/// What became of a connection.
#[derive(Default)]
struct Course {
    /// Bytes of MQTT that came, and all bytes that were sent.
    data: Vec<u8>,
    sent: Vec<u8>,
    /// Bytes of MQTT that the WebSocket took.
    taken: usize,
    outcome: Option<Result<(), String>>,
}

fn course(bytes: &[u8], origins: &[&str], sizes: &[usize], sends: usize) -> Course {
    let mut ws = WebSocket::new(HEADER_MAX, origins);
    let mut course = Course::default();
    let mut left = bytes;
    let more = vec![0x5a; sends];
    let mut turns = 0;
    // A size of nothing is a socket that has nothing, or takes nothing, for once.
    let mut size = || {
        turns += 1;
        sizes[turns % sizes.len()]
    };
    loop {
        // Not nothing for ever.
        let heard = ws.receive(&mut left, size().max(1));
        let sent = &mut course.sent;
        ws.flush(|segment| take(segment, size(), sent));
        if let Some(count) = ws.send(&more[course.taken..], |segment| take(segment, size(), sent)) {
            course.taken += count;
        }
        match heard {
            Heard::Data(data) => course.data.extend(data),
            Heard::Nothing if left.is_empty() => break,
            Heard::Nothing => {}
            Heard::End => course.outcome = Some(Ok(())),
            Heard::Failed(why) => course.outcome = Some(Err(why)),
        }
        if course.outcome.is_some() {
            ws.finish(|segment| take(segment, usize::MAX, &mut course.sent));
            assert_eq!(ws.receive(&mut left, 1), Heard::End, "an end is the end");
            break;
        }
    }
    course
}

/// Takes at most so many bytes.
fn take(segment: &[u8], max: usize, into: &mut Vec<u8>) -> usize {
    let len = segment.len().min(max);
    into.extend_from_slice(&segment[..len]);
    len
}

impl Course {
    /// What was sent after the answer to the request: frames, the last of which may be in its
    /// middle.
    fn check_sent(&self, pings: &[Vec<u8>]) {
        let Some(end) = self.sent.windows(4).position(|it| it == b"\r\n\r\n") else { return };
        let found = read(&self.sent[end + 4..], false);
        assert!(!found.broken, "frames that are sent are good ones");
        assert_eq!(found.data, vec![0x5a; found.data.len()], "they carry what was sent");
        assert_eq!(found.data.len(), self.taken, "no more, and no less");
        let mut asked = pings.iter();
        for pong in &found.pongs {
            assert!(asked.any(|ping| ping == pong), "each answer is to a ping, in their order");
        }
    }
}

/// What there is in frames.
#[derive(Default)]
struct Found {
    data: Vec<u8>,
    pings: Vec<Vec<u8>>,
    pongs: Vec<Vec<u8>>,
    closed: bool,
    broken: bool,
}

/// Reads frames as RFC 6455 says, one byte after the other, until a close or a broken rule.
fn read(bytes: &[u8], masked: bool) -> Found {
    let mut found = Found::default();
    let mut rest = bytes.iter().copied();
    let mut amid = false;
    loop {
        let (Some(first), Some(second)) = (rest.next(), rest.next()) else { return found };
        let (last, kind) = (first & 0x80 != 0, first & 0x0f);
        let control = kind & 8 != 0;
        let legal = match kind {
            0 => amid,
            2 => !amid,
            8..=10 => last && second & 0x7f <= 125,
            _ => false,
        };
        if first & 0x70 != 0 || !legal || (second & 0x80 != 0) != masked {
            found.broken = true;
            return found;
        }
        let bytes_of_len = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mut len = u64::from(second & 0x7f);
        if bytes_of_len > 0 {
            len = 0;
            for _ in 0..bytes_of_len {
                let Some(byte) = rest.next() else { return found };
                len = len << 8 | u64::from(byte);
            }
        }
        if len >> 63 == 1 {
            found.broken = true;
            return found;
        }
        let mut key = [0; 4];
        if masked {
            for byte in &mut key {
                let Some(next) = rest.next() else { return found };
                *byte = next;
            }
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let payload: Vec<u8> =
            rest.by_ref().take(len).zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        let whole = payload.len() == len;
        match kind {
            0 | 2 => {
                amid = !last;
                found.data.extend(payload);
            }
            9 if whole => found.pings.push(payload),
            10 if whole => found.pongs.push(payload),
            8 if whole => {
                found.closed = true;
                return found;
            }
            _ => assert!(control, "there is no other kind"),
        }
    }
}
