//! Messages from the server.

use super::*;

/// `[MQTT-4.5.0-2 v5]` `[MQTT-4.5.0-2 v3.1.1]` `[MQTT-4.6.0-2 v5]` `[MQTT-4.6.0-2 v3.1.1]`
/// `[MQTT-4.3.2-4 v5]`
#[test]
fn a_packet_may_come_in_any_pieces() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut session = online(version);
        let mut bytes = Vec::new();
        for number in 1..4 {
            // Nobody has subscribed to it.
            let publish = incoming("a/b", QoS::AtLeastOnce, number);
            Packet::Publish(publish).encode(version, &mut bytes);
        }
        for size in [1, 5, 11] {
            bytes.chunks(size).for_each(|piece| session.receive(NOW, piece));
            assert_eq!(events(&mut session), ["message q1 a/b x"; 3]);
            assert_eq!(sent(&mut session), ["PUBACK #1 0x00", "PUBACK #2 0x00", "PUBACK #3 0x00"]);
        }
    }
}

/// `[MQTT-3.3.2-7 v5]` `[MQTT-3.3.2-10 v5]` `[U5-3.3.2-2]`
#[test]
fn topic_aliases_stand_for_the_topic_until_the_connection_ends() {
    let mut options = options(Version::V5);
    (options.topic_alias_maximum, options.session_expiry_secs) = (2, 60);
    let mut session = online_with(options, ConnAckProperties::default());
    let aliased = |topic, alias| Publish {
        topic: TopicName::parse(topic).unwrap_or(TopicName::EMPTY),
        properties: PublishProperties {
            topic_alias: NonZeroU16::new(alias),
            ..PublishProperties::default()
        },
        ..incoming("a", QoS::AtMostOnce, 0)
    };
    give(&mut session, &Packet::Publish(aliased("a", 2)));
    give(&mut session, &Packet::Publish(aliased("", 2)));
    give(&mut session, &Packet::Publish(aliased("b", 2)));
    give(&mut session, &Packet::Publish(aliased("", 2)));
    let told = ["message q0 a x", "message q0 a x", "message q0 b x", "message q0 b x"];
    assert_eq!(events(&mut session), told);
    reconnect(&mut session, true);
    events(&mut session);
    give(&mut session, &Packet::Publish(aliased("", 2)));
    assert_eq!(events(&mut session), ["ended Protocol(UnknownAlias)"]);
    assert_eq!(sent(&mut session), ["DISCONNECT 0x82"]);
    reconnect(&mut session, true);
    events(&mut session);
    give(&mut session, &Packet::Publish(aliased("a", 3)));
    assert_eq!(events(&mut session), ["ended Protocol(TopicAlias)"]);
    assert_eq!(sent(&mut session), ["DISCONNECT 0x94"]);
}

/// A topic is remembered from message to message, with and without an alias.
#[test]
fn each_message_has_its_own_topic_however_they_repeat() {
    let mut options = options(Version::V5);
    options.topic_alias_maximum = 2;
    let mut session = online_with(options, ConnAckProperties::default());
    let expected: Vec<&str> = "a a b a c c a d d a d".split(' ').collect();
    let named = [("a", 0), ("a", 1), ("b", 0), ("", 1), ("c", 2), ("c", 0), ("a", 2), ("d", 0)];
    for (topic, alias) in named.into_iter().chain([("d", 1), ("", 2), ("", 1)]) {
        let publish = Publish {
            topic: TopicName::parse(topic).unwrap_or(TopicName::EMPTY),
            properties: PublishProperties {
                topic_alias: NonZeroU16::new(alias),
                ..PublishProperties::default()
            },
            ..incoming("a", QoS::AtMostOnce, 0)
        };
        give(&mut session, &Packet::Publish(publish));
    }
    let told: Vec<String> = expected.iter().map(|topic| format!("message q0 {topic} x")).collect();
    assert_eq!(events(&mut session), told);
}

/// A server need not complete what it has forgotten of a session.
#[test]
fn the_receive_maximum_counts_what_came_on_this_connection() {
    let mut options = kept(Version::V5);
    options.receive_maximum = 2;
    let mut session = online_with(options, ConnAckProperties::default());
    for number in 1..=2 {
        give(&mut session, &Packet::Publish(incoming("a", QoS::ExactlyOnce, number)));
    }
    reconnect(&mut session, true);
    events(&mut session);
    give(&mut session, &Packet::Publish(incoming("a", QoS::ExactlyOnce, 1)));
    give(&mut session, &Packet::Publish(incoming("a", QoS::ExactlyOnce, 3)));
    assert_eq!(events(&mut session), ["message q2 a x"]);
    give(&mut session, &Packet::PubRel(ack(2)));
    sent(&mut session);
    give(&mut session, &Packet::Publish(incoming("a", QoS::ExactlyOnce, 4)));
    assert_eq!(sent(&mut session), ["DISCONNECT 0x93"]);
}

/// What it says of itself is the application's to believe.
///
/// `[U5-3.3.2-3]`
#[test]
fn a_payload_is_handed_over_as_it_came() {
    let mut session = online(Version::V5);
    let mut others = crate::PropertiesBuf::new();
    others.payload_format(true);
    let mut publish = incoming("a", QoS::AtLeastOnce, 1);
    publish.properties.others = others.as_properties();
    publish.payload = b"\xFF";
    give(&mut session, &Packet::Publish(publish));
    assert_eq!(events(&mut session), ["message q1 a \u{FFFD}"]);
    assert_eq!(sent(&mut session), ["PUBACK #1 0x00"]);
}
