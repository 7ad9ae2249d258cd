//! What a server must not send, and what the client makes of it.

use super::*;

/// What the client says in DISCONNECT to these bytes of a server; before 5.0 it says nothing.
fn answer(version: Version, bytes: &[u8]) -> Option<u8> {
    let plenty = Options { topic_alias_maximum: 2, ..options(version) };
    let mut session = online_with(plenty, ConnAckProperties::default());
    session.receive(NOW, bytes);
    let ended = events(&mut session).pop();
    assert!(ended.is_some_and(|it| it.starts_with("ended Protocol")), "{bytes:02X?} is borne");
    assert!(!session.is_online());
    match session.output() {
        [] => None,
        [0xE0, 1, code] => Some(*code),
        other => panic!("{other:02X?} is not DISCONNECT"),
    }
}

const MALFORMED: Option<u8> = Some(0x81);
const PROTOCOL_ERROR: Option<u8> = Some(0x82);

fn check(cases: &[(&[u8], Option<u8>)]) {
    for (bytes, code) in cases {
        assert_eq!(answer(Version::V5, bytes), *code, "{bytes:02X?}");
    }
}

/// `[MQTT-1.5.4-1 v5]` `[MQTT-1.5.4-2 v5]` `[MQTT-1.5.7-1 v5]` `[MQTT-3.3.2-1 v5]`
/// `[MQTT-3.3.2-13 v5]` `[MQTT-3.3.2-19 v5]` `[MQTT-4.7.3-2 v5]` `[U5-1.5.4-1]`
#[test]
fn text_that_is_none_is_malformed() {
    check(&[
        // Topic: not UTF-8, a surrogate, U+0000, a control character, a non-character.
        (b"\x30\x05\x00\x02\xC3\x28\x00", MALFORMED),
        (b"\x30\x06\x00\x03\xED\xA0\x80\x00", MALFORMED),
        (b"\x30\x04\x00\x01\x00\x00", MALFORMED),
        (b"\x30\x04\x00\x01\x1F\x00", MALFORMED),
        (b"\x30\x06\x00\x03\xEF\xBF\xBF\x00", MALFORMED),
        // User property, name and value; response topic; content type; reason string.
        (b"\x30\x0B\x00\x01t\x07\x26\x00\x01\xFF\x00\x01v", MALFORMED),
        (b"\x30\x0B\x00\x01t\x07\x26\x00\x01k\x00\x01\xFF", MALFORMED),
        (b"\x30\x08\x00\x01t\x04\x08\x00\x01\xFF", MALFORMED),
        (b"\x30\x08\x00\x01t\x04\x03\x00\x01\xFF", MALFORMED),
        (b"\x40\x08\x00\x01\x10\x04\x1F\x00\x01\xFF", MALFORMED),
    ]);
}

/// `[MQTT-1.5.5-1 v5]` `[U5-1.5.5-1]` `[MQTT-2.2.2-1 v5]` `[U5-2.2.2-1]` `[U5-2.2.2-2]`
#[test]
fn lengths_and_properties_that_are_none_are_malformed() {
    check(&[
        // Remaining length and property length, longer than needed and of five bytes.
        (b"\xD0\x80\x00", MALFORMED),
        (b"\xD0\x80\x80\x80\x80\x01", MALFORMED),
        (b"\x30\x05\x00\x01t\x80\x00", MALFORMED),
        (b"\x30\x08\x00\x01t\x80\x80\x80\x80\x01", MALFORMED),
        // No property length at all.
        (b"\x30\x03\x00\x01t", MALFORMED),
        (b"\x90\x02\x00\x01", MALFORMED),
        // A property of another packet, one that does not exist, a value that is none.
        (b"\x30\x09\x00\x01t\x05\x11\x00\x00\x00\x01", MALFORMED),
        (b"\x30\x06\x00\x01t\x02\x7F\x00", MALFORMED),
        (b"\x30\x06\x00\x01t\x02\x01\x02", PROTOCOL_ERROR),
        // Twice.
        (b"\x30\x08\x00\x01t\x04\x01\x00\x01\x00", PROTOCOL_ERROR),
        // A subscription identifier of 0 (3.3.2.3.8).
        (b"\x30\x06\x00\x01t\x02\x0B\x00", PROTOCOL_ERROR),
    ]);
}

/// `[MQTT-2.1.3-1 v5]` `[MQTT-3.6.1-1 v5]` `[MQTT-3.14.1-1 v5]` `[MQTT-3.15.1-1 v5]`
/// `[MQTT-3.3.1-2 v5]` `[MQTT-3.3.1-4 v5]` `[U5-2.1.2-1]`
#[test]
fn flags_and_types_that_are_none_are_refused() {
    check(&[
        (b"\x41\x02\x00\x01", MALFORMED),
        (b"\x60\x02\x00\x01", MALFORMED),
        (b"\x91\x04\x00\x01\x00\x00", MALFORMED),
        (b"\xD8\x00", MALFORMED),
        (b"\xE1\x00", MALFORMED),
        (b"\xF2\x00", MALFORMED),
        // DUP at QoS 0, QoS 3.
        (b"\x38\x04\x00\x01t\x00", MALFORMED),
        (b"\x36\x06\x00\x01t\x00\x01\x00", MALFORMED),
        // Type 0, and what only a client sends.
        (b"\x00\x00", PROTOCOL_ERROR),
        (b"\x10\x0D\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x00", PROTOCOL_ERROR),
        (b"\x82\x07\x00\x01\x00\x00\x01a\x00", PROTOCOL_ERROR),
        (b"\xA2\x06\x00\x01\x00\x00\x01a", PROTOCOL_ERROR),
        (b"\xC0\x00", PROTOCOL_ERROR),
        // A second CONNACK.
        (b"\x20\x03\x00\x00\x00", PROTOCOL_ERROR),
    ]);
}

/// `[MQTT-3.4.2-1 v5]` `[MQTT-3.5.2-1 v5]` `[MQTT-3.6.2-1 v5]` `[MQTT-3.7.2-1 v5]`
/// `[MQTT-3.14.2-1 v5]` `[MQTT-3.15.2-1 v5]`
#[test]
fn reason_codes_that_a_packet_does_not_have_are_a_protocol_error() {
    check(&[
        (b"\x40\x03\x00\x01\x01", PROTOCOL_ERROR),
        (b"\x50\x03\x00\x01\x92", PROTOCOL_ERROR),
        (b"\x62\x03\x00\x01\x10", PROTOCOL_ERROR),
        (b"\x70\x03\x00\x01\x80", PROTOCOL_ERROR),
        // With Will: only a client may say so.
        (b"\xE0\x01\x04", PROTOCOL_ERROR),
        (b"\xF0\x02\x19\x00", PROTOCOL_ERROR),
    ]);
}

/// `[MQTT-3.3.2-2 v5]` `[MQTT-3.3.2-8 v5]` `[MQTT-3.3.2-14 v5]` `[MQTT-4.7.0-1 v5]`
/// `[MQTT-4.7.3-1 v5]` `[U5-3.3.2-1]` `[U5-3.3.2-2]`
#[test]
fn topics_that_are_none_are_refused() {
    check(&[
        (b"\x30\x06\x00\x03a/#\x00", PROTOCOL_ERROR),
        (b"\x30\x04\x00\x01+\x00", PROTOCOL_ERROR),
        (b"\x30\x03\x00\x00\x00", PROTOCOL_ERROR),
        (b"\x30\x08\x00\x01t\x04\x08\x00\x01#", PROTOCOL_ERROR),
        // An alias of 0, above the maximum, and one that stands for nothing.
        (b"\x30\x07\x00\x01t\x03\x23\x00\x00", Some(0x94)),
        (b"\x30\x07\x00\x01t\x03\x23\x00\x03", Some(0x94)),
        (b"\x30\x06\x00\x00\x03\x23\x00\x01", PROTOCOL_ERROR),
    ]);
}

/// `[MQTT-1.5.3-1 v3.1.1]` `[MQTT-1.5.3-2 v3.1.1]` `[MQTT-2.2.2-1 v3.1.1]`
/// `[MQTT-2.2.2-2 v3.1.1]` `[MQTT-2.3.1-1 v3.1.1]` `[MQTT-3.3.1-2 v3.1.1]`
/// `[MQTT-3.3.1-4 v3.1.1]` `[MQTT-3.3.2-1 v3.1.1]` `[MQTT-3.3.2-2 v3.1.1]`
/// `[MQTT-3.6.1-1 v3.1.1]` `[MQTT-4.7.1-1 v3.1.1]` `[MQTT-4.7.3-1 v3.1.1]`
/// `[MQTT-4.7.3-2 v3.1.1]` `[MQTT-4.8.0-1 v3.1.1]`
#[test]
fn before_5_0_a_broken_rule_ends_the_connection_without_a_word() {
    let cases: [&[u8]; 14] = [
        b"\x30\x04\x00\x02\xC3\x28",
        b"\x30\x03\x00\x01\x00",
        b"\x41\x02\x00\x01",
        b"\x60\x02\x00\x01",
        b"\x38\x03\x00\x01t",
        b"\x36\x05\x00\x01t\x00\x01",
        b"\x32\x05\x00\x01t\x00\x00",
        b"\x30\x05\x00\x03a/#",
        b"\x30\x02\x00\x00",
        b"\x40\x02\x00\x00",
        b"\x82\x06\x00\x01\x00\x01a\x00",
        b"\x20\x02\x00\x00",
        // What is a packet of 5.0 only.
        b"\xF0\x02\x18\x00",
        b"\xE0\x00",
    ];
    for case in cases {
        assert_eq!(answer(Version::V311, case), None);
    }
}

/// `[V31-2.1-2]` `[V31-2.1-6]` `[V31-2.4-1]` `[V31-2.5-1]` `[V31-3.3-3]`
#[test]
fn mqtt_3_1_knows_these_rules_too() {
    let cases: [&[u8]; 6] = [
        b"\x36\x05\x00\x01t\x00\x01",
        b"\xD0\x80\x80\x80\x80\x01",
        b"\x32\x05\x00\x01t\x00\x00",
        b"\x40\x02\x00\x00",
        b"\x30\x04\x00\x02\xC3\x28",
        b"\x30\x05\x00\x03a/#",
    ];
    for case in cases {
        assert_eq!(answer(Version::V31, case), None);
    }
}

/// Bits that 3.1 does not use, DUP of a PUBREL, and a mark that is a character like others.
///
/// `[V31-2.6-1]` `[V31-2.1-1]` `[MQTT-1.5.4-3 v5]` `[MQTT-1.5.3-3 v3.1.1]`
#[test]
fn what_only_looks_wrong_is_taken() {
    let mut session = Owner::new(options(Version::V31));
    session.open(NOW);
    session.receive(NOW, b"\x20\x02\xFF\x00\x6A\x02\x00\x01");
    assert_eq!(events(&mut session), ["connected false"]);
    assert_eq!(session.output().last_chunk(), Some(b"\x70\x02\x00\x01"));
    for version in [Version::V311, Version::V5] {
        let mut session = online(version);
        give(&mut session, &Packet::Publish(incoming("\u{FEFF}a", QoS::AtMostOnce, 0)));
        assert_eq!(events(&mut session), ["message q0 \u{FEFF}a x"]);
    }
}

/// `[U5-3.4.2-1]` `[U5-3.14.2-2]` `[MQTT-2.2.1-2 v5]`
#[test]
fn short_forms_are_understood() {
    let mut session = online(Version::V5);
    for _ in 0..3 {
        publish(&mut session, "t", QoS::AtLeastOnce);
    }
    session.receive(NOW, b"\x40\x02\x00\x01\x40\x03\x00\x02\x10\x40\x04\x00\x03\x00\x00");
    let told = ["published 1 Success", "published 2 NoMatchingSubscribers", "published 3 Success"];
    assert_eq!(events(&mut session), told);
    for (bytes, code) in
        [(&b"\xE0\x00"[..], 0), (b"\xE0\x01\x8B", 0x8B), (b"\xE0\x02\x8B\x00", 0x8B)]
    {
        let mut session = online(Version::V5);
        session.receive(NOW, bytes);
        let Some(Error::Disconnected(notice)) = session.ended.take() else { panic!("ended") };
        assert_eq!(notice.code, code);
    }
}
