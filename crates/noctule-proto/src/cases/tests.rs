//! The decoder against the byte cases.

use super::*;
use crate::Role::{Client, Server};
use crate::Version::{V5, V31, V311};
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

/// Who sends what in which version, and whether it has a body that can be cut.
fn sent() -> Vec<(Version, Role, PacketType, bool)> {
    use PacketType as T;
    let mut sent = Vec::new();
    for version in ALL_VERSIONS {
        let v5 = version == V5;
        let mut add = |role, packet, body| sent.push((version, role, packet, body));
        add(Client, T::Connect, true);
        add(Client, T::Subscribe, true);
        add(Client, T::Unsubscribe, true);
        add(Client, T::PingReq, false);
        add(Client, T::Disconnect, v5);
        add(Server, T::ConnAck, true);
        add(Server, T::SubAck, true);
        add(Server, T::UnsubAck, true);
        add(Server, T::PingResp, false);
        for role in [Client, Server] {
            for packet in [T::Publish, T::PubAck, T::PubRec, T::PubRel, T::PubComp] {
                add(role, packet, true);
            }
        }
        if v5 {
            add(Server, T::Disconnect, true);
            add(Client, T::Auth, true);
            add(Server, T::Auth, true);
        }
    }
    sent
}

#[test]
fn there_are_cases_of_every_kind_for_every_packet() {
    let cases = all();
    assert!(cases.len() > 8_000, "{}", cases.len());
    for (version, sender, packet, has_body) in sent() {
        // A CONNECT whose version is behind what is wrong is of all versions.
        let of = |case: &&Case| {
            case.version.is_none_or(|told| told == version)
                && case.sender == sender
                && case.bytes[0] >> 4 == packet as u8
        };
        let has = |wanted: &dyn Fn(Expect) -> bool| {
            cases.iter().filter(of).any(|case| wanted(case.expect))
        };
        let broken = |cause| has(&|expect| matches!(expect, Expect::Error(c, _) if c == cause));
        let flags = if packet == PacketType::Publish { Cause::QoS3 } else { Cause::ReservedFlags };
        let what = format!("{} {packet} of {sender:?}", version_name(version));
        assert!(has(&|expect| expect == Expect::Packet(packet)), "{what}: valid");
        assert!(has(&|expect| expect == Expect::Incomplete), "{what}: incomplete");
        assert!(broken(Cause::BadRemainingLength), "{what}: length not minimal");
        assert!(broken(flags), "{what}: flags");
        assert!(!has_body || broken(Cause::Truncated), "{what}: cut");
    }
}

/// A reply to a valid packet is itself a packet that servers send.
#[test]
fn every_reply_is_a_packet_of_a_server() {
    let mut replies = 0;
    for case in all() {
        let (Answer::Bytes(bytes), Client) = (case.answer(), case.sender) else { continue };
        if !bytes.is_empty() {
            let frame = next_frame(&bytes, SIZE_MAX).expect("legal").expect("whole");
            assert_eq!(frame.len, bytes.len(), "{}", case.name);
            let version = case.version.expect("a connection has a version");
            let reply = Packet::decode(frame, Some(version), Server).map(|p| p.packet_type());
            assert!(reply.is_ok(), "{}: {reply:?}", case.name);
            replies += 1;
        }
    }
    assert!(replies > 150, "{replies}");
}

#[test]
fn answers_follow_the_version() {
    let case = |version, first, expect| Case {
        name: String::new(),
        version,
        first,
        sender: Client,
        bytes: Vec::new(),
        expect,
        reply: Answer::Close,
    };
    let level = Expect::Error(Cause::UnsupportedLevel(9), ReasonCode::UnsupportedProtocolVersion);
    assert_eq!(case(Some(V5), true, level).answer(), Answer::ConnAck(0x84));
    assert_eq!(case(Some(V311), true, level).answer(), Answer::ConnAck(1));
    let broken = malformed(Cause::Truncated);
    assert_eq!(case(Some(V5), true, broken).answer(), Answer::ConnAck(0x81));
    assert_eq!(case(Some(V311), true, broken).answer(), Answer::Close);
    assert_eq!(case(None, true, broken).answer(), Answer::Close);
    assert_eq!(case(Some(V5), false, broken).answer(), Answer::Disconnect(0x81));
    assert_eq!(case(Some(V31), false, broken).answer(), Answer::Close);
}

/// The reason code that a client's packet is refused with; 0: it is valid. A CONNECT is sent first.
fn code(version: Version, text: &str) -> u8 {
    code_of(version, Client, text)
}

fn code_of(version: Version, sender: Role, text: &str) -> u8 {
    let case = Case::new("", version, sender, bytes(text), Expect::Incomplete);
    match decoded(&case) {
        Ok(packet) => packet.map_or(0xFF, |_| 0),
        Err(error) => error.reason_code().as_u8(),
    }
}

/// Whether 3.1.1 refuses a client's packet; it has no codes.
fn closes(text: &str) -> bool {
    code(V311, text) != 0
}

#[test]
fn text_is_utf8_without_nul() {
    // [MQTT-1.5.4-1 v5], [MQTT-1.5.4-2 v5], [U5-1.5.4-1]
    for text in ["00 01 FF", "00 03 ED A0 80", "00 01 00", "00 01 1F", "00 02 C2 85"] {
        // [MQTT-3.1.3-4 v5], [MQTT-3.1.3-11 v5], [MQTT-3.1.3-12 v5]
        assert_eq!(code(V5, &format!(r#"10| "MQTT" 05 02 00 3C 00 {text}"#)), 0x81);
        assert_eq!(code(V5, &format!(r#"10| "MQTT" 05 06 00 3C 00 "a" 00 {text} "x""#)), 0x81);
        assert_eq!(code(V5, &format!(r#"10| "MQTT" 05 82 00 3C 00 "a" {text}"#)), 0x81);
        // [MQTT-3.3.2-1 v5], [MQTT-3.8.3-1 v5], [MQTT-3.10.3-1 v5], [MQTT-4.7.3-2 v5]
        assert_eq!(code(V5, &format!("30| {text} 00")), 0x81);
        assert_eq!(code(V5, &format!("82| 00 01 00 {text} 00")), 0x81);
        assert_eq!(code(V5, &format!("A2| 00 01 00 {text}")), 0x81);
        // [MQTT-1.5.3-1 v3.1.1], [MQTT-1.5.3-2 v3.1.1], [MQTT-3.1.3-4 v3.1.1],
        // [MQTT-3.1.3-10 v3.1.1], [MQTT-3.1.3-11 v3.1.1]
        assert!(closes(&format!(r#"10| "MQTT" 04 02 00 3C {text}"#)));
        assert!(closes(&format!(r#"10| "MQTT" 04 06 00 3C "a" {text} "x""#)));
        assert!(closes(&format!(r#"10| "MQTT" 04 82 00 3C "a" {text}"#)));
        // [MQTT-3.3.2-1 v3.1.1], [MQTT-3.8.3-1 v3.1.1], [MQTT-3.10.3-1 v3.1.1],
        // [MQTT-4.7.3-2 v3.1.1]
        assert!(closes(&format!("30| {text}")));
        assert!(closes(&format!("82| 00 01 {text} 00")));
        assert!(closes(&format!("A2| 00 01 {text}")));
    }
}

#[test]
fn a_byte_order_mark_is_a_character_like_others() {
    // [MQTT-1.5.4-3 v5], [MQTT-1.5.3-3 v3.1.1], [MQTT-4.7.3-4 v5], [MQTT-4.7.3-4 v3.1.1]
    let bytes = bytes("30| 00 05 EF BB BF 61 62 00");
    let frame = next_frame(&bytes, SIZE_MAX).expect("legal").expect("whole");
    let Ok(Packet::Publish(publish)) = Packet::decode(frame, Some(V5), Client) else {
        panic!("a valid PUBLISH")
    };
    assert_eq!(publish.topic.as_str(), "\u{feff}ab");
}

#[test]
fn lengths_take_the_shortest_form() {
    // [MQTT-1.5.5-1 v5], [U5-1.5.5-1], [MQTT-2.2.2-1 v5]
    assert_eq!(code(V5, "C0 80 00"), 0x81);
    assert_eq!(code(V5, "30 80 80 80 80 01"), 0x81);
    assert_eq!(code(V5, r#"30| "a" 80 00"#), 0x81);
    assert_eq!(code(V5, r#"30| "a""#), 0x81);
    assert_eq!(code(V5, "30 00"), 0x81);
}

#[test]
fn flags_and_types_are_those_of_the_table() {
    // [MQTT-2.1.3-1 v5], [MQTT-3.6.1-1 v5], [MQTT-3.8.1-1 v5], [MQTT-3.10.1-1 v5],
    // [MQTT-3.14.1-1 v5], [MQTT-3.15.1-1 v5]
    for text in ["41 00", "60 00", "6A| 00 01", "80 00", "8A| 00 01 00 00 01 61 00", "A0 00"] {
        assert_eq!(code(V5, text), 0x81, "{text}");
    }
    assert_eq!([code(V5, "E1 00"), code(V5, "F1 00"), code(V5, "C4 00")], [0x81; 3]);
    // [MQTT-2.2.2-1 v3.1.1], [MQTT-2.2.2-2 v3.1.1], [MQTT-3.6.1-1 v3.1.1],
    // [MQTT-3.8.1-1 v3.1.1], [MQTT-3.10.1-1 v3.1.1], [MQTT-3.14.1-1 v3.1.1]
    assert!(closes("E1 00") && closes("C1 00"));
    for repeated in ["6A| 00 01", r#"8A| 00 01 "a" 00"#, r#"AA| 00 01 "a""#] {
        assert!(closes(repeated), "{repeated}");
        assert_eq!(code(V31, repeated), 0, "{repeated}");
    }
    // [U5-2.1.2-1]
    assert_eq!([code(V5, "00 00"), code(V5, "20 02 00 00"), code(V5, "D0 00")], [0x82; 3]);
    assert_eq!(code_of(V5, Server, "C0 00"), 0x82);
}

#[test]
fn packet_identifiers_are_not_0() {
    // [MQTT-2.2.1-2 v5], [MQTT-2.2.1-3 v5], [MQTT-2.3.1-1 v3.1.1], [MQTT-2.3.1-5 v3.1.1]
    assert_eq!(code(V5, r#"30| "a" 00"#), 0);
    for text in [r#"32| "a" 00 00 00"#, r#"82| 00 00 00 "a" 00"#, r#"A2| 00 00 00 "a""#] {
        assert_eq!(code(V5, text), 0x82, "{text}");
    }
    for text in [r#"32| "a" 00 00"#, r#"82| 00 00 "a" 00"#, r#"A2| 00 00 "a""#] {
        assert!(closes(text), "{text}");
    }
}

#[test]
fn the_first_packet_is_a_connect_and_no_other_is() {
    // [MQTT-3.1.0-1 v5], [MQTT-3.1.0-2 v5], [MQTT-3.1.0-1 v3.1.1], [MQTT-3.1.0-2 v3.1.1]
    let ping = [0xC0, 0];
    let frame = next_frame(&ping, SIZE_MAX).expect("legal").expect("whole");
    let error = Packet::decode(frame, None, Client).expect_err("no CONNECT");
    assert!(error.cause == Cause::NotConnect && error.is_silent());
    let connect = bytes(r#"10| "MQTT" 05 02 00 3C 00 "a""#);
    let frame = next_frame(&connect, SIZE_MAX).expect("legal").expect("whole");
    assert!(Packet::decode(frame, None, Client).is_ok());
    for version in ALL_VERSIONS {
        let error = Packet::decode(frame, Some(version), Client).expect_err("a second CONNECT");
        assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
    }
}

#[test]
fn a_connect_is_what_its_flags_say() {
    let v5 = |flags: &str, rest| code(V5, &format!(r#"10| "MQTT" 05 {flags} 00 3C 00 {rest}"#));
    let v311 = |flags: &str, rest| closes(&format!(r#"10| "MQTT" 04 {flags} 00 3C {rest}"#));
    // [MQTT-3.1.2-1 v5], [MQTT-3.1.2-2 v5], [MQTT-3.1.2-1 v3.1.1], [MQTT-3.1.2-2 v3.1.1]
    assert_eq!(code(V5, r#"10| "MQTT" 06 02 00 3C 00 "a""#), 0x84);
    assert_eq!(code(V5, r#"10| "mqtt" 05 02 00 3C 00 "a""#), 0x84);
    // [MQTT-3.1.2-3 v5], [MQTT-3.1.2-3 v3.1.1]
    assert_eq!(v5("03", r#""a""#), 0x81);
    assert!(v311("03", r#""a""#));
    // [MQTT-3.1.2-9 v5], [MQTT-3.1.2-9 v3.1.1]
    assert_eq!(v5("06", r#""a" 00 "w""#), 0x81);
    assert!(v311("06", r#""a" "w""#));
    // [MQTT-3.1.2-11 v5], [MQTT-3.1.2-12 v5], [MQTT-3.1.2-13 v5]
    assert_eq!([v5("0A", r#""a""#), v5("22", r#""a""#)], [0x81; 2]);
    assert_eq!(v5("1E", r#""a" 00 "w" "x""#), 0x81);
    // [MQTT-3.1.2-11 v3.1.1], [MQTT-3.1.2-13 v3.1.1], [MQTT-3.1.2-14 v3.1.1],
    // [MQTT-3.1.2-15 v3.1.1]
    assert!(v311("0A", r#""a""#) && v311("22", r#""a""#) && v311("1E", r#""a" "w" "x""#));
    // [MQTT-3.1.2-16 v5], [MQTT-3.1.2-17 v5], [MQTT-3.1.2-18 v5], [MQTT-3.1.2-19 v5]
    assert_eq!([v5("02", r#""a" "u""#), v5("82", r#""a""#), v5("82", r#""a" "u" "p""#)], [0x81; 3]);
    assert_eq!([v5("C2", r#""a" "u""#), v5("42", r#""a" "p""#)], [0x81, 0]);
    // [MQTT-3.1.2-18 v3.1.1], [MQTT-3.1.2-19 v3.1.1], [MQTT-3.1.2-20 v3.1.1],
    // [MQTT-3.1.2-21 v3.1.1], [MQTT-3.1.2-22 v3.1.1]
    assert!(v311("02", r#""a" "u""#) && v311("82", r#""a""#) && v311("82", r#""a" "u" "p""#));
    assert!(v311("C2", r#""a" "u""#) && v311("42", r#""a" "p""#));
    // [MQTT-3.1.3-1 v5], [MQTT-3.1.3-3 v5], [MQTT-3.1.4-1 v5], [MQTT-3.1.3-1 v3.1.1],
    // [MQTT-3.1.3-3 v3.1.1], [MQTT-3.1.4-1 v3.1.1]
    assert_eq!(v5("02", ""), 0x81);
    assert!(v311("02", ""));
    // [U5-3.1.2-4]
    assert_eq!(code(V5, r#"10| "MQTT" 05 02 00 3C 04 16 "d" "a""#), 0x82);
}

#[test]
fn a_publish_has_a_topic_and_a_qos() {
    // [MQTT-3.3.1-2 v5], [MQTT-3.3.1-4 v5], [MQTT-4.3.1-1 v5]
    assert_eq!([code(V5, r#"38| "a" 00"#), code(V5, r#"36| "a" 00 01 00"#)], [0x81; 2]);
    // [MQTT-3.3.1-2 v3.1.1], [MQTT-3.3.1-4 v3.1.1], [MQTT-4.3.1-1 v3.1.1]
    assert!(closes(r#"38| "a""#) && closes(r#"36| "a" 00 01"#));
    // [MQTT-3.3.2-2 v5], [MQTT-4.7.0-1 v5], [MQTT-3.3.2-2 v3.1.1], [MQTT-4.7.1-1 v3.1.1]
    assert_eq!([code(V5, r#"30| "+" 00"#), code(V5, r##"30| "a/#" 00"##)], [0x82; 2]);
    assert!(closes(r#"30| "+""#) && closes(r##"30| "a/#""##));
    // [MQTT-4.7.3-1 v5], [U5-3.3.2-1], [MQTT-4.7.3-1 v3.1.1]
    assert_eq!([code(V5, r#"30| "" 00"#), code(V5, r#"30| "" 03 23 00 01"#)], [0x82, 0]);
    assert!(closes(r#"30| """#));
    // [MQTT-4.7.3-3 v5], [MQTT-4.7.3-3 v3.1.1]
    let longest = "x".repeat(65_535);
    assert_eq!(code(V5, &format!(r#"30| "{longest}" 00"#)), 0);
}

#[test]
fn the_properties_of_a_publish_have_their_ranges() {
    // [U5-2.2.2-1], [U5-2.2.2-2]
    assert_eq!(code(V5, r#"30| "a" 02 17 00"#), 0x81);
    assert_eq!(code(V5, r#"30| "a" 04 01 00 01 00"#), 0x82);
    // [MQTT-3.3.2-8 v5]
    assert_eq!(code(V5, r#"30| "a" 03 23 00 00"#), 0x94);
    // [MQTT-3.3.2-13 v5], [MQTT-3.3.2-14 v5], [MQTT-3.3.2-19 v5], [MQTT-1.5.7-1 v5]
    assert_eq!(code(V5, r#"30| "a" 04 08 00 01 FF"#), 0x81);
    assert_eq!(code(V5, r#"30| "a" 04 08 "+""#), 0x82);
    assert_eq!(code(V5, r#"30| "a" 04 03 00 01 FF"#), 0x81);
    assert_eq!(code(V5, r#"30| "a" 07 26 "k" 00 01 00"#), 0x81);
    assert_eq!(code(V5, r#"30| "a" 07 26 00 01 00 "v""#), 0x81);
    // [MQTT-3.3.4-6 v5], [U5-3.3.2-4]
    assert_eq!(code(V5, r#"30| "a" 02 0B 01"#), 0x82);
    assert_eq!(code_of(V5, Server, r#"30| "a" 04 0B 01 0B 02"#), 0);
    assert_eq!(code_of(V5, Server, r#"30| "a" 02 0B 00"#), 0x82);
}

#[test]
fn a_packet_carries_codes_of_its_own_table() {
    // [MQTT-3.4.2-1 v5], [MQTT-3.5.2-1 v5], [MQTT-3.6.2-1 v5], [MQTT-3.7.2-1 v5]
    for text in ["40 03 00 01 92", "50 03 00 01 01", "62 03 00 01 10", "70 03 00 01 87"] {
        assert_eq!([code(V5, text), code_of(V5, Server, text)], [0x82; 2], "{text}");
    }
    // [MQTT-3.14.2-1 v5], [MQTT-3.14.2-2 v5], [MQTT-3.15.2-1 v5]
    assert_eq!([code(V5, "E0 01 8E"), code_of(V5, Server, "E0 01 04")], [0x82; 2]);
    assert_eq!(code_of(V5, Server, "E0 07 00 05 11 00 00 00 01"), 0x82);
    assert_eq!([code(V5, "F0 02 00 00"), code_of(V5, Server, "F0 02 19 00")], [0x82; 2]);
    // [MQTT-3.2.2-1 v5], [MQTT-3.2.2-6 v5], [MQTT-3.2.2-8 v5]
    assert_eq!(code_of(V5, Server, "20 03 02 00 00"), 0x81);
    assert_eq!(code_of(V5, Server, "20 03 01 87 00"), 0x82);
    assert_eq!(code_of(V5, Server, "20 03 00 92 00"), 0x82);
    // [MQTT-3.2.2-4 v3.1.1], [MQTT-3.9.3-2 v3.1.1]
    assert_ne!(code_of(V311, Server, "20 02 01 05"), 0);
    assert_ne!(code_of(V311, Server, "90 03 00 01 87"), 0);
    // [MQTT-3.9.3-2 v5], [MQTT-3.11.3-2 v5]
    assert_eq!(code_of(V5, Server, "90 04 00 01 00 11"), 0x82);
    assert_eq!(code_of(V5, Server, "B0 04 00 01 00 01"), 0x82);
}

#[test]
fn a_subscription_names_valid_filters_and_options() {
    // [MQTT-3.8.3-2 v5], [MQTT-3.10.3-2 v5]
    assert_eq!([code(V5, "82 03 00 01 00"), code(V5, "A2 03 00 01 00")], [0x82; 2]);
    // [MQTT-3.8.3-3 v3.1.1], [MQTT-3.10.3-2 v3.1.1]
    assert!(closes("82 02 00 01") && closes("A2 02 00 01"));
    // [MQTT-3.8.3-4 v5], [MQTT-3.8.3-5 v5], [U5-3.8.3-1], [U5-3.8.3-2]
    assert_eq!(code(V5, r#"82| 00 01 00 "$share/g/a" 04"#), 0x82);
    assert_eq!(code(V5, r#"82| 00 01 00 "a" 80"#), 0x81);
    assert_eq!([code(V5, r#"82| 00 01 00 "a" 03"#), code(V5, r#"82| 00 01 00 "a" 30"#)], [0x82; 2]);
    // [MQTT-3.8.3-4 v3.1.1]
    assert!(closes(r#"82| 00 01 "a" 03"#) && closes(r#"82| 00 01 "a" 04"#));
    // [MQTT-4.7.1-1 v5], [MQTT-4.7.1-2 v5], [MQTT-4.8.2-1 v5], [MQTT-4.8.2-2 v5],
    // [MQTT-4.7.1-2 v3.1.1], [MQTT-4.7.1-3 v3.1.1]
    for filter in ["a#", "#/a", "a+", "+a", "", "$share//a", "$share/g", "$share/g/", "$share/+/a"]
    {
        assert_eq!(code(V5, &format!(r#"82| 00 01 00 "{filter}" 00"#)), 0x82, "{filter}");
        assert_eq!(code(V5, &format!(r#"A2| 00 01 00 "{filter}""#)), 0x82, "{filter}");
        assert!(closes(&format!(r#"82| 00 01 "{filter}" 00"#)), "{filter}");
    }
}
