//! The cases of the Autobahn test suite that apply to a server that speaks MQTT, by their numbers.
//! What it has echoed there is a PINGREQ and its answer here. Its cases of text are one: text is
//! refused.

use crate::peer::{Heard, Peer, frame};
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;

const FIN: u8 = 0x80;
const CONT: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const PINGREQ: &[u8] = &[0xc0, 0];
const PINGRESP: &[u8] = &[0xd0, 0];

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    expected: Expected,
}

enum Expected {
    /// These pongs, and so many PINGRESPs; the connection goes on.
    Lives(Vec<Vec<u8>>, usize),
    /// So many PINGRESPs, then a close frame with this code, then the end.
    Closes(usize, Option<u16>),
}

fn case(name: &'static str, frames: &[(u8, &[u8])], expected: Expected) -> Case {
    let bytes = frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect();
    Case { name, bytes, expected }
}

fn lives(pongs: &[&[u8]], answers: usize) -> Expected {
    Expected::Lives(pongs.iter().map(|it| it.to_vec()).collect(), answers)
}

fn closes(code: u16) -> Expected {
    Expected::Closes(0, Some(code))
}

/// A PUBLISH at QoS 0 whose packet has so many bytes.
fn publish(size: usize) -> Vec<u8> {
    let mut packet = vec![0x30];
    // A Remaining Length may not be longer than it has to be.
    let digits = match size {
        0..=129 => 1,
        130..=16_386 => 2,
        16_387..=2_097_155 => 3,
        _ => 4,
    };
    let mut len = size - 1 - digits;
    for at in 1..=digits {
        packet.push((len % 128) as u8 | if at < digits { 0x80 } else { 0 });
        len /= 128;
    }
    packet.extend_from_slice(b"\0\x01t");
    packet.resize(size, b'x');
    packet
}

fn data() -> Vec<Case> {
    let mut cases = Vec::new();
    let sizes = [125, 126, 127, 128, 65_535, 65_536, 262_144];
    for (name, size) in
        ["1.2.2", "1.2.3", "1.2.4", "1.2.5", "1.2.6", "1.2.7", "9.2.2"].into_iter().zip(sizes)
    {
        let packet = publish(size);
        cases.push(case(name, &[(FIN | BINARY, &packet), (FIN | BINARY, PINGREQ)], lives(&[], 1)));
    }
    cases.push(case("1.2.1", &[(FIN | BINARY, b""), (FIN | BINARY, PINGREQ)], lives(&[], 1)));
    // 9.4, 10.1: one packet in many parts.
    let packet = publish(1 << 20);
    for (name, part) in [("9.4.5", 16_384), ("10.1.1", 1300)] {
        let mut parts: Vec<(u8, &[u8])> = packet.chunks(part).map(|it| (CONT, it)).collect();
        parts[0].0 = BINARY;
        let last = parts.len() - 1;
        parts[last].0 |= FIN;
        parts.push((FIN | BINARY, PINGREQ));
        cases.push(case(name, &parts, lives(&[], 1)));
    }
    for (name, bits) in [("3.1", 0x40), ("3.2", 0x20), ("3.3", 0x10), ("3.5", 0x60), ("3.7", 0x70)]
    {
        let frames: &[(u8, &[u8])] =
            &[(FIN | BINARY, PINGREQ), (FIN | BINARY | bits, PINGREQ), (FIN | PING, b"late")];
        cases.push(case(name, frames, Expected::Closes(1, Some(1002))));
    }
    for code in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let frames: &[(u8, &[u8])] = &[(FIN | BINARY, PINGREQ), (FIN | code, b"")];
        cases.push(case("4", frames, Expected::Closes(1, Some(1002))));
    }
    // 1.1, 6: text, whatever it says.
    cases.push(case("1.1.2", &[(FIN | TEXT, b"hello")], closes(1003)));
    cases.push(case("6.3.1", &[(FIN | TEXT, b"\xce\xba\xed\xa0\x80")], closes(1003)));
    cases.push(case("6.1.2", &[(TEXT, b""), (FIN | CONT, b"")], closes(1003)));
    cases
}

fn pings() -> Vec<Case> {
    let long = [0xfe; 125];
    let too_long = [0xfe; 126];
    let ten: Vec<[u8; 1]> = (0..10).map(|n| [n]).collect();
    let ten_pings: Vec<(u8, &[u8])> = ten.iter().map(|it| (FIN | PING, &it[..])).collect();
    vec![
        case("2.1", &[(FIN | PING, b"")], lives(&[b""], 0)),
        case("2.2", &[(FIN | PING, b"Hello, world!")], lives(&[b"Hello, world!"], 0)),
        case("2.3", &[(FIN | PING, &[0, 0xff, 0xfe, 0xfd])], lives(&[&[0, 0xff, 0xfe, 0xfd]], 0)),
        case("2.4", &[(FIN | PING, &long)], lives(&[&long], 0)),
        case("2.5", &[(FIN | PING, &too_long)], closes(1002)),
        case("2.7", &[(FIN | PONG, b""), (FIN | BINARY, PINGREQ)], lives(&[], 1)),
        case("2.8", &[(FIN | PONG, b"unsolicited"), (FIN | BINARY, PINGREQ)], lives(&[], 1)),
        case("2.9", &[(FIN | PONG, b"unsolicited"), (FIN | PING, b"p")], lives(&[b"p"], 0)),
        // Of those that come at once the last one is answered [RFC 6455, 5.5.3].
        case("2.10", &ten_pings, lives(&[&[9]], 0)),
        case("5.1", &[(PING, b"a"), (FIN | CONT, b"b")], closes(1002)),
        case("5.2", &[(PONG, b"a"), (FIN | CONT, b"b")], closes(1002)),
        case("5.3", &[(BINARY, &PINGREQ[..1]), (FIN | CONT, &PINGREQ[1..])], lives(&[], 1)),
        case(
            "5.6",
            &[(BINARY, &PINGREQ[..1]), (FIN | PING, b"p"), (FIN | CONT, &PINGREQ[1..])],
            lives(&[b"p"], 1),
        ),
        case("5.9", &[(FIN | CONT, PINGREQ), (FIN | BINARY, PINGREQ)], closes(1002)),
        case("5.12", &[(CONT, PINGREQ), (FIN | BINARY, PINGREQ)], closes(1002)),
        case(
            "5.15",
            &[(BINARY, PINGREQ), (FIN | CONT, PINGREQ), (CONT, PINGREQ), (FIN | BINARY, PINGREQ)],
            Expected::Closes(2, Some(1002)),
        ),
        case(
            "5.18",
            &[(BINARY, PINGREQ), (FIN | BINARY, PINGREQ)],
            Expected::Closes(1, Some(1002)),
        ),
        case(
            "5.19",
            &[
                (BINARY, PINGREQ),
                (CONT, PINGREQ),
                (CONT, &PINGREQ[..1]),
                (FIN | PING, b"amid"),
                (CONT, &PINGREQ[1..]),
                (FIN | CONT, PINGREQ),
            ],
            lives(&[b"amid"], 4),
        ),
    ]
}

fn closing() -> Vec<Case> {
    let reason = [&[0x03, 0xe8][..], &[b'*'; 123]].concat();
    let too_long = [&[0x03, 0xe8][..], &[b'*'; 124]].concat();
    let bye = &[0x03, 0xe8][..];
    let mut cases = vec![
        case(
            "7.1.1",
            &[(FIN | BINARY, PINGREQ), (FIN | CLOSE, bye)],
            Expected::Closes(1, Some(1000)),
        ),
        case("7.1.2", &[(FIN | CLOSE, bye), (FIN | CLOSE, bye)], closes(1000)),
        case("7.1.3", &[(FIN | CLOSE, bye), (FIN | PING, b"late")], closes(1000)),
        case("7.1.4", &[(FIN | CLOSE, bye), (FIN | BINARY, PINGREQ)], closes(1000)),
        case(
            "7.1.5",
            &[(BINARY, PINGREQ), (FIN | CLOSE, bye), (FIN | CONT, PINGREQ)],
            Expected::Closes(1, Some(1000)),
        ),
        case("7.3.1", &[(FIN | CLOSE, b"")], Expected::Closes(0, None)),
        case("7.3.2", &[(FIN | CLOSE, b"a")], closes(1002)),
        case("7.3.3", &[(FIN | CLOSE, bye)], closes(1000)),
        case("7.3.4", &[(FIN | CLOSE, b"\x03\xe8Hello World!")], closes(1000)),
        case("7.3.5", &[(FIN | CLOSE, &reason)], closes(1000)),
        case("7.3.6", &[(FIN | CLOSE, &too_long)], closes(1002)),
        case("7.5.1", &[(FIN | CLOSE, b"\x03\xe8\xce\xba\xed\xa0\x80")], closes(1007)),
    ];
    let good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    for code in good {
        cases.push(case("7.7", &[(FIN | CLOSE, &u16::to_be_bytes(code))], closes(code)));
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(case("7.9", &[(FIN | CLOSE, &u16::to_be_bytes(code))], closes(1002)));
    }
    cases
}

fn run(address: SocketAddr, case: &Case, size: usize) -> Result<()> {
    let mut peer = Peer::connect(address)?;
    peer.write_chopped(&case.bytes, size)?;
    match &case.expected {
        Expected::Lives(pongs, answers) => {
            // In pieces each ping may be answered before the next one comes; the last one has to
            // be, before another could stand for it.
            let last = |all: &[Heard]| all.iter().rfind(|it| is_pong(it)).cloned();
            let expected = pongs.last().cloned().map(Heard::Pong);
            let mut heard = peer.hear_until(&PINGRESP.repeat(*answers))?;
            while last(&heard) != expected {
                ensure!(!heard.contains(&Heard::End), "{heard:?}");
                heard.push(peer.hear()?);
            }
            peer.write(&frame(FIN | PING, b"alive?"))?;
            peer.write(&frame(FIN | BINARY, PINGREQ))?;
            heard.extend(peer.hear_until(PINGRESP)?);
            let alive = Heard::Pong(b"alive?".to_vec());
            let at = heard.iter().position(|it| *it == alive).context("a pong")?;
            heard.truncate(at);
            ensure!(last(&heard) == expected, "{heard:?}");
        }
        Expected::Closes(answers, code) => {
            let heard = peer.hear_until(&PINGRESP.repeat(*answers))?;
            ensure!(!heard.contains(&Heard::End), "{heard:?}");
            let close = peer.hear()?;
            ensure!(close == Heard::Close(*code), "{close:?} instead of {code:?}");
            peer.write(&frame(FIN | CLOSE, &code.map(u16::to_be_bytes).unwrap_or_default()))?;
            let end = peer.hear()?;
            ensure!(end == Heard::End, "{end:?} instead of the end");
        }
    }
    Ok(())
}

fn is_pong(heard: &Heard) -> bool {
    matches!(heard, Heard::Pong(_))
}

/// Runs all of them, whole and in pieces.
pub(crate) fn run_all(address: SocketAddr) -> Result<()> {
    for case in [data(), pings(), closing()].into_iter().flatten() {
        for size in [usize::MAX, 997, 1] {
            if case.bytes.len() / size.max(1) > 2000 {
                continue;
            }
            run(address, &case, size).with_context(|| format!("{} by {size}", case.name))?;
        }
    }
    Ok(())
}
