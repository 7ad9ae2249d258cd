//! The decoder against the byte cases.

use super::*;
use crate::{DecodeError, Packet, next_frame};

const SIZE_MAX: u32 = 1 << 20;

/// What the decoder makes of a case: the packet type, `None` for an incomplete one, or the error.
fn decoded(case: &Case) -> Result<Option<PacketType>, DecodeError> {
    let Some(frame) = next_frame(&case.bytes, SIZE_MAX)? else { return Ok(None) };
    assert_eq!(frame.len, case.bytes.len(), "{}", case.name);
    let version = case.version.filter(|_| !case.first);
    Packet::decode(frame, version, case.sender).map(|packet| Some(packet.packet_type()))
}

#[test]
fn every_case_has_its_outcome() {
    let mut wrong = 0;
    for case in all() {
        let found = decoded(&case);
        let (fits, version_fits) = match (case.expect, found) {
            (Expect::Packet(packet), Ok(Some(decoded))) => (packet == decoded, true),
            (Expect::Incomplete, Ok(None)) => (true, true),
            (Expect::Error(cause, code), Err(error)) => (
                error.cause == cause && error.reason_code() == code,
                // Framing does not know the version of a connection.
                error.version == case.version || !case.first,
            ),
            _ => (false, true),
        };
        if !fits || !version_fits {
            std::println!("{}: {:02X?}", case.name, case.bytes);
            std::println!("   expected {:?} {:?}, found {found:?}", case.expect, case.version);
            wrong += 1;
        }
    }
    assert_eq!(wrong, 0);
}

#[test]
fn there_are_cases_for_every_packet_and_every_property() {
    let cases = all();
    assert!(cases.len() > 2_000, "{}", cases.len());
    for packet in PacketType::ALL {
        assert!(cases.iter().any(|case| case.expect == Expect::Packet(packet)), "{packet}");
        let broken = |case: &&Case| case.bytes[0] >> 4 == packet as u8;
        let count = cases
            .iter()
            .filter(broken)
            .filter(|case| matches!(case.expect, Expect::Error(..)))
            .count();
        assert!(count > 3, "{packet}: {count}");
    }
}

#[test]
fn answers_follow_the_version() {
    let case = |version, first, expect| Case {
        name: String::new(),
        version,
        first,
        sender: Role::Client,
        bytes: Vec::new(),
        expect,
    };
    let level = Expect::Error(Cause::UnsupportedLevel(9), ReasonCode::UnsupportedProtocolVersion);
    assert_eq!(case(Some(Version::V5), true, level).answer(), Answer::ConnAck(0x84));
    assert_eq!(case(Some(Version::V311), true, level).answer(), Answer::ConnAck(1));
    let broken = malformed(Cause::Truncated);
    assert_eq!(case(Some(Version::V5), true, broken).answer(), Answer::ConnAck(0x81));
    assert_eq!(case(Some(Version::V311), true, broken).answer(), Answer::Close);
    assert_eq!(case(None, true, broken).answer(), Answer::Close);
    assert_eq!(case(Some(Version::V5), false, broken).answer(), Answer::Disconnect(0x81));
    assert_eq!(case(Some(Version::V31), false, broken).answer(), Answer::Close);
}
