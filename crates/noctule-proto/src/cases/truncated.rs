//! Valid packets cut after every byte: as the beginning of a packet, and with a remaining length
//! that hides the cut.

use super::{Case, Expect, bytes, frame, malformed, ok, protocol_error};
use crate::Role::{Client, Server};
use crate::Version::{V5, V31, V311};
use crate::{Cause, PacketType, Role, Version};
use alloc::format;
use alloc::vec::Vec;

/// A valid packet, and the cuts of its body that are not just too short.
struct Whole {
    version: Version,
    sender: Role,
    text: &'static str,
    /// From this length of the body on every cut is a valid packet; 0: none is.
    valid_from: usize,
    exceptions: Vec<(usize, Expect)>,
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for whole in wholes() {
        let bytes = bytes(whole.text);
        let packet = PacketType::from_u8(bytes[0] >> 4).expect("the packets below have a type");
        let mut push = |what: &str, bytes: Vec<u8>, expect| {
            let name = super::named(whole.version, packet.name(), what);
            let mut case = Case::new(&name, whole.version, whole.sender, bytes, expect);
            // Before the level nothing is known of the peer.
            let told = match expect {
                Expect::Error(..) if case.first => told(&case.bytes[2..]),
                _ => case.version,
            };
            case.version = told;
            cases.push(case);
        };
        for cut in 1..bytes.len() {
            let what = format!("the first {cut} bytes");
            push(&what, bytes[..cut].to_vec(), Expect::Incomplete);
        }
        let body = &bytes[2..];
        for cut in 0..body.len() {
            let exception = whole.exceptions.iter().find(|(at, _)| *at == cut);
            let expect = match exception {
                Some((_, expect)) => *expect,
                None if whole.valid_from > 0 && cut >= whole.valid_from => ok(packet),
                None => malformed(Cause::Truncated),
            };
            let what = format!("cut to a body of {cut} bytes");
            push(&what, frame(&bytes[..1], &body[..cut]), expect);
        }
        push("whole", bytes.clone(), ok(packet));
    }
    cases
}

/// The version that a cut CONNECT has told.
fn told(body: &[u8]) -> Option<Version> {
    let name = usize::from(*body.get(1)?);
    match body.get(2 + name)? {
        3 => Some(V31),
        4 => Some(V311),
        _ => Some(V5),
    }
}

fn wholes() -> Vec<Whole> {
    let whole = |version, sender, text, valid_from, exceptions: &[(usize, Expect)]| Whole {
        version,
        sender,
        text,
        valid_from,
        exceptions: exceptions.to_vec(),
    };
    let mut wholes = connects();
    let empty = protocol_error(Cause::EmptyPayload);
    wholes.extend([
        whole(V311, Server, "20 02 00 00", 0, &[]),
        whole(V5, Server, r#"20| 00 00 05 22 00 0A 25 01"#, 0, &[]),
        whole(V311, Client, r#"30| "a/b" 'hello'"#, 5, &[]),
        whole(V5, Client, r#"34| "a/b" 00 01 0A 26 "k" "vv" 01 01 'hello'"#, 18, &[]),
        whole(V311, Client, "40 02 00 01", 0, &[]),
        whole(V5, Client, r#"40| 00 01 00 04 1F "x""#, 0, &acks(PacketType::PubAck)),
        whole(V5, Client, r#"50| 00 01 00 04 1F "x""#, 0, &acks(PacketType::PubRec)),
        whole(V5, Client, r#"62| 00 01 00 04 1F "x""#, 0, &acks(PacketType::PubRel)),
        whole(V5, Client, r#"70| 00 01 00 04 1F "x""#, 0, &acks(PacketType::PubComp)),
        whole(
            V311,
            Client,
            r#"82| 00 01 "a/b" 01 "c" 00"#,
            0,
            &[(2, empty), (8, ok(PacketType::Subscribe))],
        ),
        whole(
            V5,
            Client,
            r#"82| 00 01 02 0B 01 "a/b" 01 "c" 00"#,
            0,
            &[(5, empty), (11, ok(PacketType::Subscribe))],
        ),
        whole(V311, Server, "90| 00 01 00 80", 3, &[(2, empty)]),
        whole(V5, Server, r#"90| 00 01 04 1F "x" 00 87"#, 8, &[(7, empty)]),
        whole(
            V311,
            Client,
            r#"A2| 00 01 "a/b" "c""#,
            0,
            &[(2, empty), (7, ok(PacketType::Unsubscribe))],
        ),
        whole(
            V5,
            Client,
            r#"A2| 00 01 00 "a/b" "c""#,
            0,
            &[(3, empty), (8, ok(PacketType::Unsubscribe))],
        ),
        whole(V5, Server, "B0| 00 01 00 00 11", 4, &[(3, empty)]),
        whole(
            V5,
            Client,
            "E0| 04 05 11 00 00 00 0A",
            0,
            &[(0, ok(PacketType::Disconnect)), (1, ok(PacketType::Disconnect))],
        ),
        whole(V5, Server, r#"F0| 18 08 15 "m" 16 "d""#, 0, &[(0, ok(PacketType::Auth))]),
    ]);
    wholes
}

fn connects() -> Vec<Whole> {
    let whole = |version, text, exceptions: &[(usize, Expect)]| Whole {
        version,
        sender: Client,
        text,
        valid_from: 0,
        exceptions: exceptions.to_vec(),
    };
    let connect = ok(PacketType::Connect);
    Vec::from([
        // 3.1 lets user name and password be missing as a whole.
        whole(V31, r#"10| "MQIsdp" 03 C2 00 3C "a" "u" "p""#, &[(15, connect), (18, connect)]),
        whole(V311, r#"10| "MQTT" 04 EE 00 3C "a" "w" "bye" "u" "p""#, &[]),
        whole(V5, r#"10| "MQTT" 05 CE 00 3C 05 11 00 00 00 0A "a" 00 "w" "bye" "u" "p""#, &[]),
    ])
}

/// The short forms of an acknowledgement.
fn acks(packet: PacketType) -> [(usize, Expect); 2] {
    [(2, ok(packet)), (3, ok(packet))]
}
