//! Every value of every reason code and return code, from each side that sends it.

use super::{ALL_VERSIONS, Case, bytes, frame, named, ok, protocol_error};
use crate::Role::{Client, Server};
use crate::{Cause, PacketType, Role, Version};
use alloc::format;
use alloc::vec::Vec;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for table in tables() {
        for code in 0..=0xFF {
            let what = format!("code {code:#04x} of {:?}", table.sender);
            let body = [&bytes(table.before)[..], &[code], &bytes(table.after)].concat();
            let expect = if table.allowed.contains(&code) {
                ok(table.packet)
            } else {
                protocol_error(Cause::ReasonCode(code))
            };
            let name = named(table.version, table.packet.name(), &what);
            let bytes = frame(&[table.packet.first()], &body);
            let case = Case::new(&name, table.version, table.sender, bytes, expect);
            cases.push(case.replied((table.reply)(code)));
        }
    }
    cases
}

/// A packet with a code in it, and the values it may have when this side sends it.
struct Codes {
    version: Version,
    sender: Role,
    packet: PacketType,
    before: &'static str,
    after: &'static str,
    allowed: &'static [u8],
    /// What a server replies, if a client sent it.
    reply: fn(u8) -> &'static str,
}

/// The tables of reason codes, written down from the standard `[2.4 v5]`.
mod allowed {
    pub(super) const RECEIPT_OF_CLIENT: &[u8] = &[0x00, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    pub(super) const RECEIPT_OF_SERVER: &[u8] =
        &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    pub(super) const RELEASE: &[u8] = &[0x00, 0x92];
    pub(super) const DISCONNECT_OF_CLIENT: &[u8] = &[
        0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x8C, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
        0x9B,
    ];
    pub(super) const DISCONNECT_OF_SERVER: &[u8] = &[
        0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
        0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
    ];
    pub(super) const AUTH_OF_CLIENT: &[u8] = &[0x18, 0x19];
    pub(super) const AUTH_OF_SERVER: &[u8] = &[0x00, 0x18];
    pub(super) const CONNACK: &[u8] = &[
        0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95,
        0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
    ];
    pub(super) const SUBACK: &[u8] =
        &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
    pub(super) const UNSUBACK: &[u8] = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
    pub(super) const CONNACK_V3: &[u8] = &[0, 1, 2, 3, 4, 5];
    pub(super) const SUBACK_V3: &[u8] = &[0x00, 0x01, 0x02, 0x80];
}

fn tables() -> Vec<Codes> {
    use PacketType as T;
    use allowed as a;
    let mut tables = Vec::new();
    for version in ALL_VERSIONS {
        let v5 = version == Version::V5;
        let mut add = |sender, packet, (before, after), allowed, reply| {
            tables.push(Codes { version, sender, packet, before, after, allowed, reply });
        };
        let nothing: fn(u8) -> &'static str = |_| "";
        if !v5 {
            add(Server, T::ConnAck, ("00", ""), a::CONNACK_V3, nothing);
            add(Server, T::SubAck, ("00 01", ""), a::SUBACK_V3, nothing);
            continue;
        }
        let (id, listed) = (("00 01", ""), ("00 01 00", ""));
        add(Client, T::PubAck, id, a::RECEIPT_OF_CLIENT, nothing);
        // Who refused a message does not wait for its PUBREL.
        let released = |code| if code < 0x80 { "62 03 00 01 92" } else { "" };
        add(Client, T::PubRec, id, a::RECEIPT_OF_CLIENT, released);
        add(Client, T::PubRel, id, a::RELEASE, |_| "70 03 00 01 92");
        add(Client, T::PubComp, id, a::RELEASE, nothing);
        add(Client, T::Disconnect, ("", ""), a::DISCONNECT_OF_CLIENT, |_| "closed");
        // The CONNECT named no method.
        add(Client, T::Auth, ("", "00"), a::AUTH_OF_CLIENT, |_| "ends 82");
        add(Server, T::PubAck, id, a::RECEIPT_OF_SERVER, nothing);
        add(Server, T::PubRec, id, a::RECEIPT_OF_SERVER, nothing);
        add(Server, T::PubRel, id, a::RELEASE, nothing);
        add(Server, T::PubComp, id, a::RELEASE, nothing);
        add(Server, T::Disconnect, ("", ""), a::DISCONNECT_OF_SERVER, nothing);
        add(Server, T::Auth, ("", "00"), a::AUTH_OF_SERVER, nothing);
        add(Server, T::ConnAck, ("00", "00"), a::CONNACK, nothing);
        add(Server, T::SubAck, listed, a::SUBACK, nothing);
        add(Server, T::UnsubAck, listed, a::UNSUBACK, nothing);
    }
    tables
}
