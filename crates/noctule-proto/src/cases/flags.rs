//! Every first byte: each type with each value of its flags, in each version, from each side.

use super::plain::{self, Plain};
use super::{ALL_VERSIONS, Case, Expect, malformed, ok, protocol_error};
use crate::Role::{Client, Server};
use crate::{Cause, PacketType, Role, Version};
use alloc::format;
use alloc::vec::Vec;

pub(super) fn cases() -> Vec<Case> {
    let plain = plain::all();
    let mut cases = Vec::new();
    for version in ALL_VERSIONS {
        for sender in [Client, Server] {
            for first in 0..=0xFF {
                cases.push(on_connection(&plain, version, sender, first));
            }
        }
    }
    for other in plain.iter().filter(|plain| plain.sender == Client && plain.first != 0x10) {
        let expect = protocol_error(Cause::NotConnect);
        let mut case = other.with_first("in place of CONNECT", other.first, expect);
        (case.version, case.first) = (None, true);
        cases.push(case);
    }
    for connect in plain.iter().filter(|plain| plain.first == 0x10) {
        cases.push(connect.with_first("flags 0", 0x10, ok(PacketType::Connect)));
        for flags in 1..0x10 {
            let expect = malformed(Cause::ReservedFlags);
            let mut case = connect.with_first(&format!("flags {flags}"), 0x10 | flags, expect);
            // The version is behind what is wrong.
            case.version = None;
            cases.push(case);
        }
    }
    cases
}

/// A packet on a connection that begins with this byte.
fn on_connection(plain: &[Plain], version: Version, sender: Role, first: u8) -> Case {
    let what = format!("first byte {first:02X} of {sender:?}");
    // A PUBLISH of QoS 3 has a packet id like one of QoS 2.
    let alike = match first {
        0x36..=0x37 | 0x3E..=0x3F => 0x34,
        0x30..=0x3F => first & 0xF6,
        0x60..=0x6F | 0x80..=0x8F | 0xA0..=0xAF => first & 0xF0 | 0x02,
        _ => first & 0xF0,
    };
    let expect = expected(version, sender, first);
    let fits =
        |plain: &&Plain| (plain.version, plain.sender, plain.first) == (version, sender, alike);
    let mut case = match plain.iter().find(fits) {
        Some(plain) => plain.with_first(&what, first, expect),
        None => Case::new(&what, version, sender, [first, 0].to_vec(), expect),
    };
    case.first = false;
    case
}

/// The table of the fixed header: what a first byte is in each version, from each side.
/// MQTT 3.1 lets PUBREL, SUBSCRIBE and UNSUBSCRIBE be sent again with DUP.
fn expected(version: Version, sender: Role, first: u8) -> Expect {
    let v31 = version == Version::V31;
    let v5 = version == Version::V5;
    let wrong = protocol_error(Cause::WrongDirection);
    let from = |by: Role, packet| if sender == by { ok(packet) } else { wrong };
    match first {
        0x00..=0x0F => protocol_error(Cause::ForbiddenType),
        0x10 if sender == Client => protocol_error(Cause::SecondConnect),
        0x10 => wrong,
        0x20 => from(Server, PacketType::ConnAck),
        0x38 | 0x39 => malformed(Cause::DupWithQoS0),
        0x36 | 0x37 | 0x3E | 0x3F => malformed(Cause::QoS3),
        0x30..=0x3F => ok(PacketType::Publish),
        0x40 => ok(PacketType::PubAck),
        0x50 => ok(PacketType::PubRec),
        0x62 => ok(PacketType::PubRel),
        0x6A if v31 => ok(PacketType::PubRel),
        0x70 => ok(PacketType::PubComp),
        0x82 => from(Client, PacketType::Subscribe),
        0x8A if v31 => from(Client, PacketType::Subscribe),
        // Legal flags in some version; a server may not send the packet in any.
        0x8A | 0xAA if sender == Server => wrong,
        0x90 => from(Server, PacketType::SubAck),
        0xA2 => from(Client, PacketType::Unsubscribe),
        0xAA if v31 => from(Client, PacketType::Unsubscribe),
        0xB0 => from(Server, PacketType::UnsubAck),
        0xC0 => from(Client, PacketType::PingReq),
        0xD0 => from(Server, PacketType::PingResp),
        0xE0 if v5 => ok(PacketType::Disconnect),
        0xE0 => from(Client, PacketType::Disconnect),
        0xF0 if v5 => ok(PacketType::Auth),
        0xF0 => protocol_error(Cause::ForbiddenType),
        _ => malformed(Cause::ReservedFlags),
    }
}
