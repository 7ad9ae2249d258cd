//! Encode and decode against each other: chosen packets byte by byte, random packets there and
//! back, and random bytes, which must never do harm.

mod any;

use super::*;
use crate::property::{OtherProperties, PropertiesBuf, SubscriptionIds, UserPropertiesBuf};
use crate::{PacketId, QoS, TopicFilter, TopicName, cases, next_frame};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use core::num::NonZeroU16;
use proptest::prelude::*;

fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("tests use no identifier 0")
}

fn topic(name: &str) -> TopicName<'_> {
    TopicName::parse(name).expect("tests use valid names")
}

fn encoded(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = vec![];
    packet.encode(version, &mut out);
    out
}

/// Decodes bytes that are one whole packet; a CONNECT as the first of its connection.
fn decoded(bytes: &[u8], version: Version, sender: Role) -> Result<Packet<'_>, DecodeError> {
    let frame = next_frame(bytes, u32::MAX)?.expect("a whole packet");
    assert_eq!(frame.len, bytes.len());
    let connect = frame.packet_type() == Some(PacketType::Connect);
    Packet::decode(frame, if connect { None } else { Some(version) }, sender)
}

fn publish(name: &str) -> Publish<'_> {
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: topic(name),
        packet_id: Some(id(0x1234)),
        properties: PublishProperties::default(),
        payload: b"hi",
    }
}

#[test]
fn a_publish_is_written_as_the_versions_want_it() {
    let mut publish = publish("a/b");
    let bytes = encoded(&Packet::Publish(publish.clone()), Version::V311);
    assert_eq!(bytes, b"\x32\x09\x00\x03a/b\x12\x34hi");
    publish.properties.message_expiry_secs = Some(1);
    publish.properties.topic_alias = NonZeroU16::new(2);
    let mut others = PropertiesBuf::new();
    others.payload_format(true).user_property("k", "v").expect("short");
    publish.properties.others = others.as_properties();
    let mut buf = [0; 5];
    publish.properties.subscription_ids = SubscriptionIds::encode(300, &mut buf);
    let bytes = encoded(&Packet::Publish(publish.clone()), Version::V5);
    // What travels unchanged, message expiry, topic alias, subscription identifier.
    let properties = b"\x01\x01\x26\x00\x01k\x00\x01v\x02\x00\x00\x00\x01\x23\x00\x02\x0B\xAC\x02";
    let expected = [&b"\x32\x1E\x00\x03a/b\x12\x34\x14"[..], properties, b"hi"].concat();
    assert_eq!(bytes, expected);
    assert_eq!(publish.encoded_len(Version::V5), bytes.len());
}

#[test]
fn the_packet_id_of_a_head_can_be_patched() {
    let long = "x".repeat(200);
    for version in [Version::V31, Version::V311, Version::V5] {
        for name in ["a", &long] {
            let publish = publish(name);
            let mut out = b"before".to_vec();
            let at = publish.encode_head(version, &mut out).expect("QoS 1 has an identifier");
            out.extend_from_slice(publish.payload);
            let frame = &mut out[6..];
            frame[at..at + 2].copy_from_slice(&[0xAB, 0xCD]);
            let Ok(Packet::Publish(patched)) = decoded(frame, version, Role::Server) else {
                panic!("a PUBLISH stays one")
            };
            assert_eq!(patched, Publish { packet_id: Some(id(0xABCD)), ..publish });
        }
    }
    let mut publish = publish("a");
    (publish.qos, publish.packet_id, publish.dup) = (QoS::AtMostOnce, None, true);
    let mut out = vec![];
    assert_eq!(publish.encode_head(Version::V311, &mut out), None);
    // [MQTT-3.3.1-2 v5], [MQTT-3.3.1-2 v3.1.1]
    assert_eq!(out, b"\x30\x05\x00\x01a");
}

#[test]
fn what_travels_is_taken_out_of_what_does_not() {
    // Expiry, alias and identifiers between the rest [MQTT-3.3.2-17 v5] [MQTT-3.3.2-18 v5].
    let bytes = b"\x30\x28\x00\x01t\x24\x26\x00\x01a\x00\x011\x02\x00\x00\x00\x09\x03\x00\x01c\
                  \x0B\x05\x23\x00\x07\x26\x00\x01a\x00\x012\x0B\x06\x08\x00\x01r\x01\x01";
    let Ok(Packet::Publish(publish)) = decoded(bytes, Version::V5, Role::Server) else {
        panic!("a valid PUBLISH")
    };
    let properties = &publish.properties;
    assert_eq!(properties.message_expiry_secs, Some(9));
    assert_eq!(properties.topic_alias, NonZeroU16::new(7));
    assert!(properties.subscription_ids.iter().eq([5, 6]));
    let mut copy = vec![];
    properties.others.copy_to(&mut copy);
    assert_eq!(copy.len(), properties.others.encoded_len());
    let copied = OtherProperties::from_clean(&copy);
    assert_eq!(copied, properties.others);
    for others in [copied, properties.others] {
        assert!(others.user_properties().iter().eq([("a", "1"), ("a", "2")]));
        assert_eq!(others.content_type(), Some("c"));
        assert_eq!(others.response_topic(), Some("r"));
        assert_eq!(others.correlation_data(), None);
        assert!(others.payload_format_is_utf8());
    }
    let again = encoded(&Packet::Publish(publish.clone()), Version::V5);
    assert_eq!(decoded(&again, Version::V5, Role::Server), Ok(Packet::Publish(publish)));
}

#[test]
fn short_forms_are_used_where_they_say_all() {
    // [U5-3.4.2-1], [U5-3.14.2-2]
    let ack = |reason| encoded(&Packet::PubRel(Ack::new(id(1), reason)), Version::V5);
    assert_eq!(ack(ReasonCode::Success), b"\x62\x02\x00\x01");
    assert_eq!(ack(ReasonCode::PacketIdentifierNotFound), b"\x62\x03\x00\x01\x92");
    let bye = |reason, version| encoded(&Packet::Disconnect(Disconnect::new(reason)), version);
    assert_eq!(bye(ReasonCode::Success, Version::V5), b"\xE0\x00");
    assert_eq!(bye(ReasonCode::DisconnectWithWill, Version::V5), b"\xE0\x01\x04");
    assert_eq!(bye(ReasonCode::DisconnectWithWill, Version::V311), b"\xE0\x00");
}

#[test]
fn what_a_version_does_not_know_is_left_out() {
    let refused = ConnAck::new(true, ReasonCode::NotAuthorized);
    assert_eq!(encoded(&Packet::ConnAck(refused), Version::V311), b"\x20\x02\x00\x05");
    // [MQTT-3.2.2-6 v3.1.1]
    let nameless = Packet::ConnAck(ConnAck::new(false, ReasonCode::MalformedPacket));
    assert_eq!(encoded(&nameless, Version::V311), b"");
    assert_eq!(nameless.encoded_len(Version::V311), 0);
    let present = Packet::ConnAck(ConnAck::new(true, ReasonCode::Success));
    assert_eq!(encoded(&present, Version::V31), b"\x20\x02\x00\x00");
    assert_eq!(encoded(&present, Version::V311), b"\x20\x02\x01\x00");
    // [MQTT-3.9.3-2 v3.1.1]
    let codes = SubAck::new(id(1), &[0, 2, 0x87]);
    assert_eq!(encoded(&Packet::SubAck(codes.clone()), Version::V311), b"\x90\x05\0\x01\0\x02\x80");
    assert_eq!(encoded(&Packet::UnsubAck(codes), Version::V311), b"\xB0\x02\0\x01");
    let ack = Packet::PubAck(Ack::new(id(1), ReasonCode::NotAuthorized));
    assert_eq!(encoded(&ack, Version::V31), b"\x40\x02\x00\x01");
}

#[test]
fn a_packet_beyond_the_largest_remaining_length_is_not_written() {
    let payload = vec![0; crate::REMAINING_LENGTH_MAX as usize - 2];
    let mut publish = publish("a");
    (publish.qos, publish.packet_id, publish.payload) = (QoS::AtMostOnce, None, &payload);
    assert_eq!(publish.encoded_len(Version::V311), 0);
    let mut out = vec![];
    publish.encode(Version::V311, &mut out);
    assert_eq!(out, b"");
    publish.payload = &payload[1..];
    assert_eq!(publish.encoded_len(Version::V311), crate::REMAINING_LENGTH_MAX as usize + 5);
}

#[test]
fn the_options_of_a_subscription_survive() {
    let mut filters = SubscribeFiltersBuf::new();
    let options = SubscribeOptions {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::Never,
    };
    let filter = TopicFilter::parse("a/+").expect("valid");
    filters.push(filter, options).push(filter, SubscribeOptions::default());
    let mut user_properties = UserPropertiesBuf::new();
    user_properties.push("k", "v").expect("short");
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: id(10),
        subscription_id: Some(268_435_455),
        user_properties: user_properties.as_properties(),
        filters: filters.as_filters(),
    });
    let bytes = encoded(&subscribe, Version::V5);
    assert_eq!(decoded(&bytes, Version::V5, Role::Client), Ok(subscribe.clone()));
    let bytes = encoded(&subscribe, Version::V311);
    let Ok(Packet::Subscribe(plain)) = decoded(&bytes, Version::V311, Role::Client) else {
        panic!("a valid SUBSCRIBE")
    };
    let qos = SubscribeOptions { qos: QoS::ExactlyOnce, ..SubscribeOptions::default() };
    assert!(plain.filters.eq([(filter, qos), (filter, SubscribeOptions::default())]));
}

#[test]
fn long_fields_are_cut_and_never_break_the_packet() {
    let long = "ü".repeat(40_000);
    let mut connect = Connect::new(Version::V5, &long);
    connect.password = Some(long.as_bytes());
    connect.properties.authentication_method = Some(&long);
    let bytes = encoded(&Packet::Connect(connect), Version::V5);
    let Ok(Packet::Connect(cut)) = decoded(&bytes, Version::V5, Role::Client) else {
        panic!("a valid CONNECT")
    };
    assert_eq!(cut.client_id.len(), 65_534);
    assert_eq!(cut.password.map(<[u8]>::len), Some(65_535));
}

proptest! {
    #[test]
    fn random_packets_survive_the_way_there_and_back((packet, sender) in any::packet()) {
        for version in [Version::V31, Version::V311, Version::V5] {
            let Some(packet) = any::seen_in(packet.clone(), version) else { continue };
            let bytes = encoded(&packet, version);
            prop_assert_eq!(packet.encoded_len(version), bytes.len());
            prop_assert_eq!(decoded(&bytes, version, sender), Ok(packet));
        }
    }
}

#[test]
fn the_topic_of_the_message_before_is_recognised_and_not_checked_again() {
    let read = |last: &'static str, name, alias| {
        let mut publish = Publish { topic: TopicName(name), ..publish("a") };
        publish.properties.topic_alias = NonZeroU16::new(alias);
        let bytes = encoded(&Packet::Publish(publish), Version::V5);
        let frame = next_frame(&bytes, u32::MAX).expect("valid").expect("whole");
        Publish::decode_after(TopicName(last), frame, Version::V5, Role::Server)
            .map(|(publish, is_last)| (publish.topic.as_str().to_owned(), is_last))
            .map_err(|error| error.cause)
    };
    assert_eq!(read("a/b", "a/b", 0), Ok((String::new(), true)));
    assert_eq!(read("a/b", "a/c", 0), Ok(("a/c".to_owned(), false)));
    assert_eq!(read("a/b", "a/b/c", 0), Ok(("a/b/c".to_owned(), false)));
    assert_eq!(read("a/b", "a", 1), Ok(("a".to_owned(), false)));
    assert_eq!(read("", "a", 0), Ok(("a".to_owned(), false)));
    // No topic at all is not the last one.
    assert_eq!(read("", "", 1), Ok((String::new(), false)));
    assert_eq!(read("", "", 0), Err(Cause::NoTopic));
    assert_eq!(read("a", "", 0), Err(Cause::NoTopic));
}

#[test]
fn packets_of_one_buffer_are_what_each_of_them_is_alone() {
    let user = |value: &str| {
        let mut buffer = PropertiesBuf::default();
        buffer.payload_format(true).user_property("name", value).expect("short");
        buffer
    };
    let (first, second, none) = (user("a"), user("b"), PropertiesBuf::default());
    let others = [&first, &first, &second, &none, &none, &first];
    let topics = ["a/b", "a/b", "a", "", "a", "a/b"];
    let frames: Vec<Vec<u8>> = (0..216)
        .map(|nth| {
            // Each with each other before it, some time.
            let (topic, others) = (topics[nth % 6], others[nth / 6 % 6]);
            let mut publish = Publish { topic: TopicName(topic), ..publish("a") };
            publish.properties.topic_alias = NonZeroU16::new(1);
            publish.properties.message_expiry_secs = (nth / 36 % 2 == 1).then_some(7);
            publish.properties.others = others.as_properties();
            encoded(&Packet::Publish(publish), Version::V5)
        })
        .collect();
    let mut last = LastPublish::default();
    for bytes in &frames {
        let frame = next_frame(bytes, u32::MAX).expect("valid").expect("whole");
        let alone = Packet::decode(frame, Some(Version::V5), Role::Client);
        assert!(alone.is_ok());
        assert_eq!(Packet::decode_next(&mut last, frame, Some(Version::V5), Role::Client), alone);
    }
}

#[test]
fn what_is_wrong_is_wrong_behind_anything() {
    let good = encoded(&Packet::Publish(publish("a")), Version::V5);
    let bad: [&[u8]; 6] = [
        &[0x30, 6, 0, 1, b'a', 2, 0x20, 0],
        &[0x30, 5, 0, 1, b'a', 9, 1],
        &[0x30, 6, 0, 1, b'a', 2, 1, 2],
        &[0x30, 6, 0, 1, b'#', 2, 1, 1],
        &[0x30, 3, 0, 0, 0],
        &[0x30, 4, 0, 1, b'a', 0x80],
    ];
    for bytes in bad {
        let mut last = LastPublish::default();
        for bytes in [&good[..], bytes, bytes] {
            let frame = next_frame(bytes, u32::MAX).expect("valid").expect("whole");
            let alone = Packet::decode(frame, Some(Version::V5), Role::Client);
            assert_eq!(alone.is_ok(), bytes == good);
            let next = Packet::decode_next(&mut last, frame, Some(Version::V5), Role::Client);
            assert_eq!(next, alone);
        }
    }
}

/// A small generator of noise, the same at every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Decodes `bytes` in every version, from both sides; what is a packet has to survive the way
/// there and back.
fn do_no_harm(bytes: &[u8]) {
    let Ok(Some(frame)) = next_frame(bytes, 1 << 20) else { return };
    for sender in [Role::Client, Role::Server] {
        for version in [None, Some(Version::V31), Some(Version::V311), Some(Version::V5)] {
            match Packet::decode(frame, version, sender) {
                Ok(packet) => {
                    let version = match (&packet, version) {
                        (Packet::Connect(connect), _) => connect.version,
                        (_, version) => version.expect("only CONNECT comes first"),
                    };
                    let again = encoded(&packet, version);
                    assert_eq!(decoded(&again, version, sender), Ok(packet), "{bytes:02X?}");
                }
                Err(error) => assert!(error.reason_code().is_error(), "{error}"),
            }
        }
    }
}

#[test]
fn no_bytes_do_harm() {
    let seeds: Vec<Vec<u8>> = cases::all().into_iter().map(|case| case.bytes).collect();
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    for round in 0..200_000 {
        let mut bytes = seeds[noise.below(seeds.len())].clone();
        for _ in 0..=noise.below(3) {
            let at = noise.below(bytes.len());
            match noise.below(5) {
                0 if !bytes.is_empty() => bytes[at] = noise.next() as u8,
                1 if !bytes.is_empty() => bytes[at] ^= 1 << noise.below(8),
                2 => bytes.insert(at, noise.next() as u8),
                3 => bytes.truncate(at),
                _ => bytes.extend_from_slice(&seeds[noise.below(seeds.len())]),
            }
        }
        // Half of the time the remaining length fits again.
        if round % 2 == 0 && (2..129).contains(&bytes.len()) {
            bytes[1] = (bytes.len() - 2) as u8;
        }
        do_no_harm(&bytes);
    }
    for _ in 0..100_000 {
        let len = noise.below(40);
        let mut bytes: Vec<u8> = (0..len).map(|_| noise.next() as u8).collect();
        if let [_, length, body @ ..] = &mut bytes[..] {
            *length = body.len() as u8;
        }
        do_no_harm(&bytes);
    }
}
