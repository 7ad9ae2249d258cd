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
    /// What a server replies to it, if a client sent it.
    reply: &'static str,
    /// From this length of the body on every cut is a valid packet, with the same reply.
    valid_from: Option<usize>,
    exceptions: Vec<(usize, Expect, &'static str)>,
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for whole in wholes() {
        let bytes = bytes(whole.text);
        let packet = PacketType::from_u8(bytes[0] >> 4).expect("the packets below have a type");
        let mut push = |what: &str, bytes: Vec<u8>, expect, reply| {
            let name = super::named(whole.version, packet.name(), what);
            let mut case = Case::new(&name, whole.version, whole.sender, bytes, expect);
            // Before the level nothing is known of the peer.
            let told = match expect {
                Expect::Error(..) if case.first => told(&case.bytes[2..]),
                _ => case.version,
            };
            case.version = told;
            cases.push(case.replied(reply));
        };
        for cut in 1..bytes.len() {
            let what = format!("the first {cut} bytes");
            push(&what, bytes[..cut].to_vec(), Expect::Incomplete, "");
        }
        let body = &bytes[2..];
        for cut in 0..body.len() {
            let exception = whole.exceptions.iter().find(|(at, ..)| *at == cut);
            let (expect, reply) = match exception {
                Some((_, expect, reply)) => (*expect, *reply),
                None if whole.valid_from.is_some_and(|from| cut >= from) => {
                    (ok(packet), whole.reply)
                }
                None => (malformed(Cause::Truncated), ""),
            };
            let what = format!("cut to a body of {cut} bytes");
            push(&what, frame(&bytes[..1], &body[..cut]), expect, reply);
        }
        push("whole", bytes.clone(), ok(packet), whole.reply);
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

impl Whole {
    fn new(version: Version, sender: Role, text: &'static str, reply: &'static str) -> Whole {
        Whole { version, sender, text, reply, valid_from: None, exceptions: Vec::new() }
    }

    /// Cuts at `from` and later are valid.
    fn valid_from(mut self, from: usize) -> Whole {
        self.valid_from = Some(from);
        self
    }

    /// The cut at `at` is something else.
    fn but(mut self, at: usize, expect: Expect, reply: &'static str) -> Whole {
        self.exceptions.push((at, expect, reply));
        self
    }
}

fn wholes() -> Vec<Whole> {
    let mut wholes = Vec::from(connects());
    for version in [V31, V311] {
        v3(version, &mut wholes);
    }
    v5_messages(&mut wholes);
    v5_requests(&mut wholes);
    wholes
}

fn connects() -> [Whole; 3] {
    let connect = ok(PacketType::Connect);
    let v31 = r#"10| "MQIsdp" 03 C2 00 3C "a" "u" "p""#;
    let v311 = r#"10| "MQTT" 04 EE 00 3C "a" "w" "bye" "u" "p""#;
    let v5 = r#"10| "MQTT" 05 CE 00 3C 05 11 00 00 00 0A "a" 00 "w" "bye" "u" "p""#;
    [
        // 3.1 lets user name and password be missing as a whole.
        Whole::new(V31, Client, v31, "accepted")
            .but(15, connect, "accepted")
            .but(18, connect, "accepted"),
        Whole::new(V311, Client, v311, "accepted"),
        Whole::new(V5, Client, v5, "accepted"),
    ]
}

fn v3(version: Version, wholes: &mut Vec<Whole>) {
    let whole = |sender, text, reply| Whole::new(version, sender, text, reply);
    let empty = protocol_error(Cause::EmptyPayload);
    for sender in [Client, Server] {
        wholes.extend([
            whole(sender, r#"30| "a/b" 'hello'"#, "").valid_from(5),
            whole(sender, r#"32| "a/b" 00 0A 'hello'"#, "40 02 00 0A").valid_from(7),
            whole(sender, r#"34| "a/b" 00 0A 'hello'"#, "50 02 00 0A").valid_from(7),
            whole(sender, "40 02 00 01", ""),
            whole(sender, "50 02 00 01", "62 02 00 01"),
            whole(sender, "62 02 00 01", "70 02 00 01"),
            whole(sender, "70 02 00 01", ""),
        ]);
    }
    let subscribe = r#"82| 00 01 "a/b" 01 "c" 00"#;
    let unsubscribe = r#"A2| 00 01 "a/b" "c""#;
    wholes.extend([
        whole(Client, subscribe, "90 04 00 01 01 00").but(2, empty, "").but(
            8,
            ok(PacketType::Subscribe),
            "90 03 00 01 01",
        ),
        whole(Client, unsubscribe, "B0 02 00 01").but(2, empty, "").but(
            7,
            ok(PacketType::Unsubscribe),
            "B0 02 00 01",
        ),
        whole(Client, "C0 00", "D0 00"),
        whole(Client, "E0 00", "closed"),
        whole(Server, "20 02 00 00", ""),
        whole(Server, "90| 00 01 00 80", "").valid_from(3).but(2, empty, ""),
        whole(Server, "B0 02 00 01", ""),
        whole(Server, "D0 00", ""),
    ]);
}

fn v5_messages(wholes: &mut Vec<Whole>) {
    let whole = |sender, text, reply| Whole::new(V5, sender, text, reply);
    for sender in [Client, Server] {
        let qos0 = r#"30| "a/b" 07 02 00 00 00 0A 01 01 'hello'"#;
        let qos1 = r#"32| "a/b" 00 0A 07 02 00 00 00 0A 01 01 'hello'"#;
        let qos2 = r#"34| "a/b" 00 01 0A 26 "k" "vv" 01 01 'hello'"#;
        wholes.extend([
            whole(sender, qos0, "").valid_from(13),
            whole(sender, qos1, "40 03 00 0A 10").valid_from(15),
            whole(sender, qos2, "50 02 00 01").valid_from(18),
        ]);
        for (packet, text, reply) in [
            (PacketType::PubAck, r#"40| 00 01 00 04 1F "x""#, ""),
            (PacketType::PubRec, r#"50| 00 01 00 04 1F "x""#, "62 03 00 01 92"),
            (PacketType::PubRel, r#"62| 00 01 00 04 1F "x""#, "70 03 00 01 92"),
            (PacketType::PubComp, r#"70| 00 01 00 04 1F "x""#, ""),
        ] {
            // The short forms.
            let whole = whole(sender, text, reply);
            wholes.push(whole.but(2, ok(packet), reply).but(3, ok(packet), reply));
        }
    }
}

fn v5_requests(wholes: &mut Vec<Whole>) {
    let whole = |sender, text, reply| Whole::new(V5, sender, text, reply);
    let empty = protocol_error(Cause::EmptyPayload);
    let disconnect = ok(PacketType::Disconnect);
    let subscribe = r#"82| 00 01 02 0B 01 "a/b" 01 "c" 00"#;
    let unsubscribe = r#"A2| 00 01 00 "a/b" "c""#;
    let auth = r#"F0| 18 08 15 "m" 16 "d""#;
    wholes.extend([
        whole(Client, subscribe, "90 05 00 01 00 01 00").but(5, empty, "").but(
            11,
            ok(PacketType::Subscribe),
            "90 04 00 01 00 01",
        ),
        whole(Client, unsubscribe, "B0 05 00 01 00 11 11").but(3, empty, "").but(
            8,
            ok(PacketType::Unsubscribe),
            "B0 04 00 01 00 11",
        ),
        whole(Client, "C0 00", "D0 00"),
        // The CONNECT said 0.
        whole(Client, "E0| 04 05 11 00 00 00 0A", "ends 82")
            .but(0, disconnect, "closed")
            .but(1, disconnect, "closed"),
        // The CONNECT named no method; and no code stands for success, which is a server's to say.
        whole(Client, auth, "ends 82").but(0, protocol_error(Cause::ReasonCode(0)), ""),
        whole(Server, r#"20| 00 00 05 22 00 0A 25 01"#, ""),
        whole(Server, r#"90| 00 01 04 1F "x" 00 87"#, "").valid_from(8).but(7, empty, ""),
        whole(Server, "B0| 00 01 00 00 11", "").valid_from(4).but(3, empty, ""),
        whole(Server, "D0 00", ""),
        whole(Server, r#"E0| 8E 04 1F "x""#, "").but(0, disconnect, "").but(1, disconnect, ""),
        whole(Server, auth, "").but(0, ok(PacketType::Auth), ""),
    ]);
}
