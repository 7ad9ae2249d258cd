//! The plainest packet of each kind, for what is tried on all of them.

use super::{Case, Expect, bytes, frame, named};
use crate::Role::{Client, Server};
use crate::Version::{V5, V31, V311};
use crate::{PacketType, Role, Version};
use alloc::vec::Vec;

/// A valid packet, and what a server replies to it if a client sent it.
pub(super) struct Plain {
    pub(super) version: Version,
    pub(super) sender: Role,
    pub(super) first: u8,
    pub(super) body: Vec<u8>,
    pub(super) reply: &'static str,
}

impl Plain {
    /// The packet with another first byte; on a connection, unless it is a CONNECT.
    pub(super) fn with_first(&self, what: &str, first: u8, expect: Expect) -> Case {
        self.with_bytes(what, frame(&[first], &self.body), expect)
    }

    /// Other bytes in place of the packet.
    pub(super) fn with_bytes(&self, what: &str, bytes: Vec<u8>, expect: Expect) -> Case {
        let packet = PacketType::from_u8(self.first >> 4).expect("the packets below have a type");
        let name = named(self.version, packet.name(), what);
        Case::new(&name, self.version, self.sender, bytes, expect).replied(self.reply)
    }
}

/// CONNECT as the first packet; everything else on a connection. A PUBLISH has no payload, so
/// that none is kept where it says RETAIN.
pub(super) fn all() -> Vec<Plain> {
    let mut all = Vec::new();
    let mut add = |versions: &[Version], sender, first, body, reply| {
        for &version in versions {
            all.push(Plain { version, sender, first, body: bytes(body), reply });
        }
    };
    add(&[V31], Client, 0x10, r#""MQIsdp" 03 02 00 3C "a""#, "accepted");
    add(&[V311], Client, 0x10, r#""MQTT" 04 02 00 3C "a""#, "accepted");
    add(&[V5], Client, 0x10, r#""MQTT" 05 02 00 3C 00 "a""#, "accepted");
    let (v3, v5) = (&[V31, V311], &[V5]);
    for sender in [Client, Server] {
        add(v3, sender, 0x30, r#""a""#, "");
        add(v3, sender, 0x32, r#""a" 00 01"#, "40 02 00 01");
        add(v3, sender, 0x34, r#""a" 00 01"#, "50 02 00 01");
        add(v3, sender, 0x40, "00 01", "");
        add(v3, sender, 0x50, "00 01", "62 02 00 01");
        add(v3, sender, 0x62, "00 01", "70 02 00 01");
        add(v3, sender, 0x70, "00 01", "");
        add(v5, sender, 0x30, r#""a" 00"#, "");
        add(v5, sender, 0x32, r#""a" 00 01 00"#, "40 03 00 01 10");
        add(v5, sender, 0x34, r#""a" 00 01 00"#, "50 02 00 01");
        add(v5, sender, 0x40, "00 01", "");
        add(v5, sender, 0x50, "00 01", "62 03 00 01 92");
        add(v5, sender, 0x62, "00 01", "70 03 00 01 92");
        add(v5, sender, 0x70, "00 01", "");
        add(v5, sender, 0xE0, "00", "closed");
        add(v5, sender, 0xF0, "18 00", "ends 82");
    }
    add(v3, Client, 0x82, r#"00 01 "a" 00"#, "90 03 00 01 00");
    add(v5, Client, 0x82, r#"00 01 00 "a" 00"#, "90 04 00 01 00 00");
    add(v3, Client, 0xA2, r#"00 01 "a""#, "B0 02 00 01");
    add(v5, Client, 0xA2, r#"00 01 00 "a""#, "B0 04 00 01 00 11");
    add(&[V31, V311, V5], Client, 0xC0, "", "D0 00");
    add(v3, Client, 0xE0, "", "closed");
    add(v3, Server, 0x20, "00 00", "");
    add(v5, Server, 0x20, "00 00 00", "");
    add(v3, Server, 0x90, "00 01 00", "");
    add(v5, Server, 0x90, "00 01 00 00", "");
    add(v3, Server, 0xB0, "00 01", "");
    add(v5, Server, 0xB0, "00 01 00 00", "");
    add(&[V31, V311, V5], Server, 0xD0, "", "");
    all
}
