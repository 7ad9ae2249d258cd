//! A WebSocket over bytes in memory: requests, frames, what is sent, and whatever else may come.

use super::*;
use std::fmt::Write as _;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const MASK: [u8; 4] = [0x0f, 0xa0, 0x55, 0x31];

/// Lines of a good request.
const GOOD: [(&str, &str); 6] = [
    ("Host", "broker"),
    ("Upgrade", "WebSocket"),
    ("Connection", "keep-alive, Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Protocol", "mqtt"),
];

/// A good request, but for this line, which is left out if it is empty.
fn request(name: &str, value: &str) -> String {
    let mut text = String::from("GET /mqtt HTTP/1.1\r\n");
    for (other, usual) in GOOD.iter().filter(|(other, _)| *other != name) {
        write!(text, "{other}: {usual}\r\n").unwrap();
    }
    if !value.is_empty() {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    text + "\r\n"
}

fn rules(origins: &[&str]) -> Arc<Rules> {
    let origins = origins.iter().map(|it| (*it).into()).collect();
    Arc::new(Rules { header_max: 4096, origins })
}

/// A frame of a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// What became of a connection.
#[derive(Default, PartialEq, Eq, Debug)]
struct Course {
    /// Bytes of MQTT.
    data: Vec<u8>,
    sent: Vec<u8>,
    failed: Option<String>,
    ended: bool,
}

/// Has a connection receive these bytes in pieces, and close when it is over.
fn receive(mut ws: Ws, bytes: &[u8], mut size: impl FnMut() -> usize) -> Course {
    let mut course = Course::default();
    let mut left = bytes;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let received = ws.receive(&mut buffer, |room| {
            let len = size().min(left.len()).min(room.len());
            room[..len].copy_from_slice(&left[..len]);
            left = &left[len..];
            if len == 0 { Received::Nothing } else { Received::More(len) }
        });
        let sent = &mut course.sent;
        ws.flush(|segments| Ok(take(segments, usize::MAX, sent))).unwrap();
        match received {
            Received::Last(len) | Received::More(len) => {
                course.data.extend_from_slice(&buffer[..len]);
            }
            Received::Nothing => return course,
            Received::End => course.ended = true,
            Received::Told(_) => panic!("there is no proxy"),
            Received::Failed(layer, why) => {
                assert_eq!(layer, Layer::WebSocket);
                course.failed = Some(why);
            }
        }
        if course.ended || course.failed.is_some() {
            let sent = &mut course.sent;
            ws.finish(|segments| Ok(take(segments, usize::MAX, sent))).unwrap();
            assert!(matches!(ws.receive(&mut buffer, |_| unreachable!()), Received::End));
            return course;
        }
    }
}

/// Takes at most so many bytes.
fn take(segments: &[IoSlice<'_>], max: usize, into: &mut Vec<u8>) -> usize {
    let all: Vec<u8> = segments.iter().flat_map(|it| it.iter().copied()).take(max).collect();
    into.extend_from_slice(&all);
    all.len()
}

/// What a connection that is open does with these frames.
fn hear(frames: &[u8], size: impl FnMut() -> usize) -> Course {
    let mut bytes = request("", "").into_bytes();
    bytes.extend_from_slice(frames);
    let mut course = receive(Ws::new(rules(&[])), &bytes, size);
    let end = course.sent.windows(4).position(|it| it == b"\r\n\r\n").expect("an answer") + 4;
    course.sent.drain(..end);
    course
}

/// `[MQTT-6.0.0-4 v5]` `[MQTT-6.0.0-4 v3.1.1]`
#[test]
fn a_good_request_is_welcome_however_it_is_cut() {
    for (protocols, chosen) in [
        ("mqtt", "mqtt"),
        ("mqttv3.1", "mqttv3.1"),
        ("mqttv3.1, mqtt", "mqtt"),
        ("chat, mqtt", "mqtt"),
    ] {
        let request = request("Sec-WebSocket-Protocol", protocols);
        // That of RFC 6455, 1.3.
        let expected = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             Sec-WebSocket-Protocol: {chosen}\r\n\r\n"
        );
        for size in [1, 7, 10_000] {
            let course = receive(Ws::new(rules(&[])), request.as_bytes(), || size);
            assert_eq!(String::from_utf8_lossy(&course.sent), expected);
            assert_eq!((course.failed, course.ended), (None, false));
        }
    }
}

#[test]
fn a_bad_request_is_told_what_is_wrong() {
    let good = request("", "");
    for (request, status, why) in [
        (request("Host", ""), "400 Bad Request", "host is missing"),
        (request("Sec-WebSocket-Key", ""), "400 Bad Request", "key is missing"),
        (request("Sec-WebSocket-Key", "abc"), "400 Bad Request", "not 16 bytes"),
        (request("Sec-WebSocket-Version", ""), "400 Bad Request", "version is missing"),
        (
            request("Sec-WebSocket-Version", "8"),
            "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
            "version 13",
        ),
        (request("Upgrade", ""), "426 Upgrade Required\r\nUpgrade: websocket", "no page"),
        (request("Upgrade", "h2c"), "426 Upgrade Required", "no page"),
        (request("Connection", "close"), "426 Upgrade Required", "no page"),
        (request("Sec-WebSocket-Protocol", ""), "400 Bad Request", "mqtt is not offered"),
        (request("Sec-WebSocket-Protocol", "chat"), "400 Bad Request", "mqtt is not offered"),
        (good.replace("Host: broker", "Host: a\r\nHost: b"), "400 Bad Request", "twice"),
        (good.replace("GET", "POST"), "405 Method Not Allowed\r\nAllow: GET", "GET"),
        (good.replace("HTTP/1.1", "HTTP/1.0"), "505 HTTP Version Not Supported", "1.1"),
        ("SSH-2.0-x\r\n\r\n".into(), "400 Bad Request", "no HTTP"),
        (request("X", &"x".repeat(4096)), "431 Request Header Fields Too Large", "too long"),
        (request("X", &"x\r\nY: y".repeat(80)), "431 Request Header Fields", "too long"),
        (request("Origin", "http://b"), "403 Forbidden", "pages of http://b may not"),
        (request("Origin", "null"), "403 Forbidden", "pages of null may not"),
    ] {
        for size in [1, 10_000] {
            let ws = Ws::new(rules(&["http://a"]));
            let course = receive(ws, request.as_bytes(), || size);
            let sent = String::from_utf8(course.sent).unwrap();
            assert!(sent.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {sent}");
            assert!(course.failed.unwrap().contains(why) && sent.contains(why), "{sent}");
            assert!(course.data.is_empty());
        }
    }
    for (bytes, why) in [(&b"\x10\x0c\0\x04MQTT"[..], "MQTT without"), (b"\x16\x03\x01", "TLS")] {
        let course = receive(Ws::new(rules(&[])), bytes, || 3);
        assert!(course.failed.unwrap().contains(why));
        assert_eq!(course.sent, b"");
    }
}

#[test]
fn pages_of_the_origins_that_are_named_may_connect_and_who_is_no_page() {
    for (allowed, origin) in [
        ("http://a", ""),
        ("http://a", "http://a"),
        ("http://a/", "HTTP://A:80"),
        ("https://a:443", "https://a"),
        ("https://a:8443", "https://a:8443"),
        ("null", "null"),
    ] {
        let course =
            receive(Ws::new(rules(&[allowed])), request("Origin", origin).as_bytes(), || 99);
        assert!(course.sent.starts_with(b"HTTP/1.1 101"), "{allowed} {origin}");
    }
}

#[test]
fn what_is_not_whole_costs_memory_and_nothing_else_does() {
    let mut ws = Ws::new(rules(&[]));
    let request = request("", "");
    let mut buffer = vec![0; 64 * 1024];
    let mut give = |ws: &mut Ws, bytes: &[u8]| {
        let received = ws.receive(&mut buffer, |room| {
            room[..bytes.len()].copy_from_slice(bytes);
            Received::Last(bytes.len())
        });
        ws.flush(|segments| Ok(take(segments, usize::MAX, &mut Vec::new()))).unwrap();
        received
    };
    give(&mut ws, &request.as_bytes()[..100]);
    assert!(ws.memory() >= 100);
    give(&mut ws, &request.as_bytes()[100..]);
    assert!(ws.rare.is_none() && ws.memory() == 0);
    // Half a frame is handed on, and nothing of it kept.
    let whole = frame(0x82, &[1; 1000]);
    assert!(matches!(give(&mut ws, &whole[..500]), Received::Last(492)));
    assert!(ws.rare.is_none());
    assert!(matches!(give(&mut ws, &whole[500..]), Received::Last(508)));
    give(&mut ws, &frame(0x89, b"ping")[..3]);
    assert!(ws.memory() >= 3);
    give(&mut ws, &frame(0x89, b"ping")[3..]);
    assert!(ws.rare.is_none());
    assert!(size_of::<Ws>() <= 56, "{}", size_of::<Ws>());
}

/// The frames of a client: first bytes and payloads.
fn frames(all: &[(u8, &[u8])]) -> Vec<u8> {
    all.iter().flat_map(|(first, payload)| frame(*first, payload)).collect()
}

/// `[MQTT-6.0.0-2 v5]` `[MQTT-6.0.0-2 v3.1.1]`
#[test]
fn the_bytes_come_through_whatever_the_frames_are_and_however_they_are_cut() {
    let long = vec![7; 70_000];
    let bytes = frames(&[
        (0x02, b"a"),
        (0x89, b"hi"),
        (0x00, b""),
        (0x80, b"bc"),
        (0x8a, b"nobody asked"),
        (0x82, &long),
        (0x88, b"\x03\xe8bye"),
        (0x82, b"after the end"),
    ]);
    let expected = Course {
        data: [&b"abc"[..], &long].concat(),
        sent: b"\x8a\x02hi\x88\x02\x03\xe8".to_vec(),
        failed: None,
        ended: true,
    };
    for size in [1, 2, 3, 5, 14, 100, 100_000] {
        assert_eq!(hear(&bytes, || size), expected, "in pieces of {size}");
    }
}

#[test]
fn what_was_said_before_a_mistake_is_heard() {
    let mut bytes = frame(0x82, b"good");
    bytes.extend(frame(0x81, b"text"));
    bytes.extend(frame(0x82, b"late"));
    let course = hear(&bytes, || 1000);
    assert_eq!(course.data, b"good");
    assert_eq!(course.sent, b"\x88\x02\x03\xeb");
    assert!(course.failed.unwrap().contains("text"));
}

#[test]
fn pings_that_cannot_be_answered_take_the_room_of_one() {
    let mut ws = Ws::new(rules(&[]));
    let bytes = request("", "");
    let mut buffer = vec![0; 64 * 1024];
    ws.receive(&mut buffer, |room| {
        room[..bytes.len()].copy_from_slice(bytes.as_bytes());
        Received::Last(bytes.len())
    });
    ws.flush(|segments| Ok(take(segments, usize::MAX, &mut Vec::new()))).unwrap();
    let mut sent = Vec::new();
    for number in 0..=255 {
        let ping = frame(0x89, &[number; 125]);
        ws.receive(&mut buffer, |room| {
            room[..ping.len()].copy_from_slice(&ping);
            Received::Last(ping.len())
        });
        // The socket is full after the first bytes.
        let mut room = if number == 9 { 5 } else { 0 };
        ws.flush(|segments| Ok(take(segments, std::mem::take(&mut room), &mut sent))).unwrap();
        assert!(ws.rare.as_ref().unwrap().outgoing.len() <= 2 * 127);
    }
    ws.flush(|segments| Ok(take(segments, 50, &mut sent))).unwrap();
    let pong = |number| [&[0x8a, 125][..], &[number; 125]].concat();
    // The one that had begun, and the last.
    assert_eq!(sent, [pong(9), pong(255)].concat());
}

/// Numbers that look like chance, the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[test]
fn any_bytes_mean_the_same_in_whatever_pieces_they_come() {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..chance.below(6) {
            let first = [0x82, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88, chance.below(256) as u8];
            let first = first[chance.below(8)];
            let mut payload: Vec<u8> =
                (0..chance.below(200)).map(|_| chance.below(256) as u8).collect();
            if first == 0x88 && chance.below(2) == 0 && payload.len() >= 2 {
                payload[..2].copy_from_slice(&1000_u16.to_be_bytes());
                payload.truncate(2);
            }
            let mut one = frame(first, &payload);
            if chance.below(8) == 0 {
                let at = chance.below(one.len());
                one[at] = chance.below(256) as u8;
            }
            bytes.extend(one);
        }
        let whole = hear(&bytes, || usize::MAX);
        for size in [1, 2, 3, 7, 50] {
            assert_eq!(without_pongs(hear(&bytes, || size)), without_pongs_of(&whole));
        }
        let random = hear(&bytes, || 1 + chance.below(60));
        assert_eq!(without_pongs(random), without_pongs_of(&whole));
        if whole.failed.is_some() { bad += 1 } else { good += 1 }
    }
    assert!(good > 2000 && bad > 2000, "{good} {bad}");
    // What is no frame at all, and no request.
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..chance.below(300)).map(|_| chance.below(256) as u8).collect();
        hear(&bytes, || 1 + chance.below(60));
        receive(Ws::new(rules(&[])), &bytes, || 1 + chance.below(60));
    }
}

/// Of pings that come at once only the last is answered.
fn without_pongs(mut course: Course) -> Course {
    let mut sent = Vec::new();
    let mut rest = &course.sent[..];
    while let [first, len, tail @ ..] = rest {
        let (payload, after) = tail.split_at(usize::from(*len));
        if *first != 0x8a {
            sent.extend_from_slice(&[*first, *len]);
            sent.extend_from_slice(payload);
        }
        rest = after;
    }
    course.sent = sent;
    course
}

fn without_pongs_of(course: &Course) -> Course {
    let Course { data, sent, failed, ended } = course;
    without_pongs(Course {
        data: data.clone(),
        sent: sent.clone(),
        failed: failed.clone(),
        ended: *ended,
    })
}

/// `[MQTT-6.0.0-1 v5]` `[MQTT-6.0.0-1 v3.1.1]`
#[test]
fn what_is_sent_comes_in_binary_frames_whatever_the_socket_takes() {
    let mut chance = Chance(42);
    for round in 0..300 {
        let mut ws = Ws::new(rules(&[]));
        let bytes = request("", "");
        let mut buffer = vec![0; 64 * 1024];
        ws.receive(&mut buffer, |room| {
            room[..bytes.len()].copy_from_slice(bytes.as_bytes());
            Received::Last(bytes.len())
        });
        ws.flush(|segments| Ok(take(segments, usize::MAX, &mut Vec::new()))).unwrap();
        let sizes = [chance.below(70_000), chance.below(300), chance.below(3), 1 + chance.below(9)];
        let all: Vec<Vec<u8>> =
            sizes.iter().enumerate().map(|(at, len)| vec![at as u8; *len]).collect();
        let plain = all.concat();
        let (mut done, mut wire, mut pings) = (0, Vec::new(), 0);
        while done < plain.len() {
            let mut segments = Vec::new();
            let mut skip = done;
            for piece in &all {
                let from = skip.min(piece.len());
                skip -= from;
                segments.push(IoSlice::new(&piece[from..]));
            }
            let waiting = plain.len() - done;
            let mut calls = chance.below(3);
            done += ws
                .send(waiting, &segments, |segments| {
                    let Some(left) = calls.checked_sub(1) else { return Ok(0) };
                    calls = left;
                    let most = [1, 3, 1000, 200_000][chance.below(4)];
                    Ok(take(segments, most, &mut wire))
                })
                .unwrap();
            if chance.below(4) == 0 && pings < 3 {
                pings += 1;
                let ping = frame(0x89, b"?");
                ws.receive(&mut buffer, |room| {
                    room[..ping.len()].copy_from_slice(&ping);
                    Received::Last(ping.len())
                });
            }
        }
        ws.finish(|segments| Ok(take(segments, 2, &mut wire))).unwrap();
        let (mut heard, mut rest) = (Vec::new(), &wire[..]);
        while !rest.is_empty() {
            let (header, len) =
                noctule_proto::websocket::Header::parse(rest, noctule_proto::Role::Server)
                    .unwrap()
                    .expect("a whole header");
            let (payload, after) = rest[len..].split_at(header.len as usize);
            match header.kind {
                Kind::Binary => heard.extend_from_slice(payload),
                Kind::Pong => assert_eq!(payload, b"?"),
                Kind::Close => assert_eq!((payload, after), (&[0x03, 0xe8][..], &[][..])),
                Kind::Ping | Kind::Text | Kind::Continuation => panic!("{header:?}"),
            }
            rest = after;
        }
        assert!(heard == plain, "round {round}");
        assert!(ws.send(1, &[IoSlice::new(b"x")], |_| Ok(1)).is_err(), "nothing after the end");
    }
}
