//! The remaining length of every packet: longer than it has to be, and at the borders of each form.

use super::plain::{self, Plain};
use super::{ALL_VERSIONS, Case, bytes, frame, malformed, named, ok};
use crate::Role::Client;
use crate::{Cause, PacketType, Version};
use alloc::format;
use alloc::vec::Vec;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for plain in plain::all() {
        for len in 2..=5 {
            cases.push(padded(&plain, len));
        }
    }
    for version in ALL_VERSIONS {
        for len in [0x7F, 0x80, 0x3FFF, 0x4000] {
            cases.push(long(version, len));
        }
    }
    cases
}

/// The packet with its remaining length in so many bytes.
fn padded(plain: &Plain, len: usize) -> Case {
    let mut bytes = [plain.first, plain.body.len() as u8 | 0x80].to_vec();
    bytes.resize(len, 0x80);
    bytes.push(0);
    bytes.extend_from_slice(&plain.body);
    let what = format!("{:?}, length in {len} bytes", plain.sender);
    // A fifth byte is too many for all; up to there, it was MQTT 5 that forbade it.
    let packet = PacketType::from_u8(plain.first >> 4).expect("a plain packet has a type");
    let expect = match plain.version {
        Version::V31 | Version::V311 if len < 5 => ok(packet),
        Version::V31 | Version::V311 | Version::V5 => malformed(Cause::BadRemainingLength),
    };
    let mut case = plain.with_bytes(&what, bytes, expect);
    if case.first && len == 5 {
        // The version is behind what is wrong.
        case.version = None;
    }
    case
}

/// A PUBLISH with this remaining length.
fn long(version: Version, len: usize) -> Case {
    let mut body = bytes(if version == Version::V5 { r#""a" 00"# } else { r#""a""# });
    body.resize(len, b'x');
    let name = named(version, "PUBLISH", &format!("remaining length {len}"));
    Case::new(&name, version, Client, frame(&[0x30], &body), ok(PacketType::Publish))
}
