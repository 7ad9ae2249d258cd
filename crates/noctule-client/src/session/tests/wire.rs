//! What the client sends, byte by byte.

use super::*;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fn connect(options: Options) -> Vec<u8> {
    let mut session = Owner::new(options);
    session.open(NOW);
    session.output().to_vec()
}

fn full(version: Version) -> Options {
    let mut will = Will::from(Message::new("w", "gone").qos(QoS::AtLeastOnce).retained());
    will.delay_secs = 3;
    Options {
        user_name: Some("u".into()),
        password: Some(b"p".to_vec()),
        will: Some(will),
        ..options(version)
    }
}

/// Each option in its place: client identifier, Will properties, topic and payload, user name,
/// password.
///
/// `[MQTT-3.1.0-1 v5]` `[MQTT-3.1.2-1 v5]` `[MQTT-3.1.2-9 v5]` `[MQTT-3.1.2-12 v5]`
/// `[MQTT-3.1.2-17 v5]` `[MQTT-3.1.2-19 v5]` `[MQTT-3.1.3-1 v5]` `[MQTT-3.1.3-3 v5]`
#[test]
fn connect_holds_what_its_flags_announce() {
    let expected = b"\x10\x23\x00\x04MQTT\x05\xEE\x00\x3C\x00\x00\x01c\
                     \x05\x18\x00\x00\x00\x03\x00\x01w\x00\x04gone\x00\x01u\x00\x01p";
    assert_eq!(connect(full(Version::V5)), expected);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let will = Message::new("w", "").qos(qos);
        let bytes = connect(Options { will: Some(will.into()), ..options(Version::V5) });
        assert_eq!(bytes[9], 0b0000_0110 | (qos as u8) << 3);
    }
}

/// `[MQTT-3.1.0-1 v3.1.1]` `[MQTT-3.1.2-9 v3.1.1]` `[MQTT-3.1.2-14 v3.1.1]`
/// `[MQTT-3.1.2-19 v3.1.1]` `[MQTT-3.1.2-21 v3.1.1]` `[MQTT-3.1.3-1 v3.1.1]`
/// `[MQTT-3.1.3-3 v3.1.1]` `[V31-3.1-1]` `[V31-3.1-4]` `[V31-3.1-15]`
#[test]
fn connect_before_5_0_holds_what_its_flags_announce() {
    let v311 = b"\x10\x1C\x00\x04MQTT\x04\xEE\x00\x3C\x00\x01c\
                 \x00\x01w\x00\x04gone\x00\x01u\x00\x01p";
    assert_eq!(connect(full(Version::V311)), v311);
    let v31 = b"\x10\x1E\x00\x06MQIsdp\x03\xEE\x00\x3C\x00\x01c\
                \x00\x01w\x00\x04gone\x00\x01u\x00\x01p";
    assert_eq!(connect(full(Version::V31)), v31);
}

/// `[MQTT-3.1.2-11 v5]` `[MQTT-3.1.2-13 v5]` `[MQTT-3.1.2-16 v5]` `[MQTT-3.1.2-18 v5]`
/// `[MQTT-3.1.2-19 v5]` `[MQTT-3.1.2-11 v3.1.1]` `[MQTT-3.1.2-13 v3.1.1]`
/// `[MQTT-3.1.2-15 v3.1.1]` `[MQTT-3.1.2-18 v3.1.1]` `[MQTT-3.1.2-20 v3.1.1]`
#[test]
fn what_is_not_asked_for_is_not_in_connect() {
    // Clean Start, and nothing else.
    assert_eq!(connect(options(Version::V5)), b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x01c");
    assert_eq!(connect(options(Version::V311)), b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01c");
    // A password needs no user name in 5.0.
    let secret = Options { password: Some(b"p".to_vec()), ..options(Version::V5) };
    assert_eq!(connect(secret), b"\x10\x11\x00\x04MQTT\x05\x42\x00\x3C\x00\x00\x01c\x00\x01p");
}

/// `[MQTT-3.1.2-22 v3.1.1]` `[V31-3.1-14]` `[MQTT-3.1.3-7 v3.1.1]`
#[test]
fn options_that_a_version_does_not_allow_are_refused() {
    for version in [Version::V31, Version::V311] {
        let secret = Options { password: Some(b"p".to_vec()), ..options(version) };
        assert_eq!(Session::new(secret).err(), Some(Invalid::PasswordWithoutUserName));
        let nameless = Options { client_id: String::new(), clean_start: false, ..options(version) };
        assert_eq!(Session::new(nameless.clone()).err(), Some(Invalid::ClientIdMissing));
        let clean = Session::new(Options { clean_start: true, ..nameless });
        assert_eq!(clean.is_ok(), version == Version::V311);
    }
}

/// `[MQTT-1.5.4-1 v5]` `[MQTT-1.5.4-2 v5]` `[MQTT-1.5.4-3 v5]` `[MQTT-1.5.3-1 v3.1.1]`
/// `[MQTT-1.5.3-2 v3.1.1]` `[MQTT-1.5.3-3 v3.1.1]` `[MQTT-3.1.3-4 v5]` `[MQTT-3.1.3-11 v5]`
/// `[MQTT-3.1.3-12 v5]` `[MQTT-3.1.3-4 v3.1.1]` `[MQTT-3.1.3-10 v3.1.1]`
/// `[MQTT-3.1.3-11 v3.1.1]` `[U5-1.5.4-1]` `[V31-2.5-1]`
#[test]
fn text_of_connect_is_clean_and_goes_as_it_is() {
    for version in VERSIONS {
        for bad in ["a\0", "\u{1}", "\u{7F}", "\u{FFFF}"] {
            let texts = [
                Options { client_id: bad.into(), ..options(version) },
                Options { user_name: Some(bad.into()), ..options(version) },
                Options { will: Some(Message::new(bad, "").into()), ..options(version) },
            ];
            for options in texts {
                assert!(Session::new(options).is_err(), "{bad:?}");
            }
        }
        // U+FEFF is a character like others.
        let marked = Options { client_id: "\u{FEFF}a".into(), ..options(version) };
        assert!(connect(marked).ends_with(b"\x00\x04\xEF\xBB\xBFa"));
    }
}

/// `[MQTT-3.8.1-1 v5]` `[MQTT-3.8.3-2 v5]` `[MQTT-3.10.1-1 v5]` `[MQTT-3.10.3-2 v5]`
/// `[MQTT-3.8.1-1 v3.1.1]` `[MQTT-3.8.3-3 v3.1.1]` `[MQTT-3.10.1-1 v3.1.1]`
/// `[MQTT-3.10.3-1 v3.1.1]` `[MQTT-3.10.3-2 v3.1.1]` `[V31-3.8-1]` `[V31-3.10-1]`
/// `[MQTT-2.1.3-1 v5]` `[MQTT-2.2.2-1 v3.1.1]` `[MQTT-2.3.1-1 v3.1.1]` `[V31-2.4-1]`
#[test]
fn requests_have_their_flags_an_identifier_and_a_filter() {
    let none = Unsubscribe::default();
    for version in VERSIONS {
        let mut session = online(version);
        assert!(session.subscribe(&Subscribe::default()).is_err());
        assert!(session.unsubscribe(&none).is_err());
        let two = Subscribe::to("a", QoS::AtLeastOnce).and("b/#", SubscribeOptions::default());
        session.subscribe(&two).expect("online");
        session.unsubscribe(&Unsubscribe::from("a").and("b/#")).expect("online");
        let expected: &[u8] = match version {
            Version::V5 => {
                b"\x82\x0D\x00\x01\x00\x00\x01a\x01\x00\x03b/#\x00\
                  \xA2\x0B\x00\x02\x00\x00\x01a\x00\x03b/#"
            }
            Version::V31 | Version::V311 => {
                b"\x82\x0C\x00\x01\x00\x01a\x01\x00\x03b/#\x00\
                  \xA2\x0A\x00\x02\x00\x01a\x00\x03b/#"
            }
        };
        assert_eq!(session.output(), expected);
    }
}

/// No bits but those that the options have, and none before 5.0.
///
/// `[U5-3.8.3-1]` `[U5-3.8.3-2]`
#[test]
fn subscription_options_are_one_byte() {
    use crate::RetainHandling;
    let options = SubscribeOptions {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::Never,
    };
    for (version, byte) in [(Version::V5, 0b0010_1110), (Version::V311, 2)] {
        let mut session = online(version);
        session.subscribe(&Subscribe::default().and("a", options)).expect("online");
        assert_eq!(session.output().last(), Some(&byte));
    }
}

/// `[MQTT-3.8.3-1 v5]` `[MQTT-3.10.3-1 v5]` `[MQTT-3.8.3-1 v3.1.1]` `[MQTT-3.10.3-1 v3.1.1]`
/// `[MQTT-4.7.1-1 v5]` `[MQTT-4.7.1-2 v5]` `[MQTT-4.7.1-2 v3.1.1]` `[MQTT-4.7.1-3 v3.1.1]`
/// `[MQTT-4.7.3-1 v5]` to `[MQTT-4.7.3-3 v5]` `[MQTT-4.7.3-1 v3.1.1]` to
/// `[MQTT-4.7.3-3 v3.1.1]` `[MQTT-4.7.3-2 v5]` `[MQTT-4.7.3-2 v3.1.1]` `[V31-5-1]`
#[test]
fn what_is_no_topic_filter_is_not_sent() {
    let longest = "x".repeat(65_535);
    for version in VERSIONS {
        let mut session = online(version);
        let long = "x".repeat(65_536);
        for bad in ["", "a\0", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+/c", "\u{1}", &long] {
            let refused = session.subscribe(&Subscribe::to(bad, QoS::AtMostOnce));
            assert!(matches!(refused, Err(Error::Invalid(Invalid::TopicFilter(_)))), "{bad:?}");
            assert!(session.unsubscribe(&Unsubscribe::from(bad)).is_err(), "{bad:?}");
        }
        assert_eq!(session.output(), b"");
        for good in ["#", "+", "/", "a/+/#", "+/+", "/finance", "a b", &longest] {
            session.subscribe(&Subscribe::to(good, QoS::AtMostOnce)).expect("a filter");
            session.unsubscribe(&Unsubscribe::from(good)).expect("a filter");
        }
    }
}

/// `[MQTT-4.8.2-1 v5]` `[MQTT-4.8.2-2 v5]` `[MQTT-3.8.3-4 v5]`
#[test]
fn what_is_no_shared_subscription_is_not_sent() {
    let mut session = online(Version::V5);
    for bad in ["$share/", "$share//a", "$share/g", "$share/g/", "$share/g+/a", "$share/#/a"] {
        let refused = session.subscribe(&Subscribe::to(bad, QoS::AtMostOnce));
        assert!(matches!(refused, Err(Error::Invalid(_))), "{bad:?}");
    }
    let no_local = SubscribeOptions { no_local: true, ..SubscribeOptions::default() };
    let refused = session.subscribe(&Subscribe::default().and("$share/g/a", no_local));
    assert!(matches!(refused, Err(Error::Invalid(Invalid::NoLocalOnShared))));
    assert_eq!(session.output(), b"");
    session.subscribe(&Subscribe::to("$share/g/a/+", QoS::AtMostOnce)).expect("shared");
    assert!(session.output().ends_with(b"$share/g/a/+\0"));
}

/// `[MQTT-3.3.1-2 v5]` `[MQTT-2.2.1-2 v5]` `[MQTT-2.2.2-1 v5]` `[MQTT-3.3.2-1 v5]`
/// `[MQTT-4.3.1-1 v5]` `[MQTT-4.3.2-1 v5]` `[MQTT-4.3.2-2 v5]` `[MQTT-4.3.3-1 v5]`
/// `[MQTT-4.3.3-2 v5]` `[MQTT-3.3.1-4 v5]`
#[test]
fn publish_has_an_identifier_above_qos_0_and_no_dup_at_first() {
    let mut session = online(Version::V5);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        session.publish(Message::new("t", "x").qos(qos).retained()).expect("legal");
    }
    let expected = b"\x31\x05\x00\x01t\x00x\
                     \x33\x07\x00\x01t\x00\x01\x00x\
                     \x35\x07\x00\x01t\x00\x02\x00x";
    assert_eq!(session.output(), expected);
}

/// `[MQTT-3.3.1-2 v3.1.1]` `[MQTT-2.3.1-5 v3.1.1]` `[MQTT-3.3.2-1 v3.1.1]`
/// `[MQTT-4.3.1-1 v3.1.1]` `[MQTT-3.3.1-4 v3.1.1]` `[V31-2.1-2]`
#[test]
fn publish_before_5_0_has_an_identifier_above_qos_0_and_no_dup_at_first() {
    for version in [Version::V31, Version::V311] {
        let mut session = online(version);
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            publish(&mut session, "t", qos);
        }
        let expected = b"\x30\x04\x00\x01tx\x32\x06\x00\x01t\x00\x01x\x34\x06\x00\x01t\x00\x02x";
        assert_eq!(session.output(), expected);
    }
}

/// `[MQTT-3.3.2-1 v5]` `[MQTT-3.3.2-2 v5]` `[MQTT-4.7.0-1 v5]` `[MQTT-4.7.3-1 v5]`
/// `[MQTT-4.7.3-2 v5]` `[MQTT-4.7.3-3 v5]` `[MQTT-3.3.2-1 v3.1.1]` `[MQTT-3.3.2-2 v3.1.1]`
/// `[MQTT-4.7.1-1 v3.1.1]` `[MQTT-4.7.3-1 v3.1.1]` `[MQTT-4.7.3-2 v3.1.1]`
/// `[MQTT-4.7.3-3 v3.1.1]` `[V31-3.3-3]`
#[test]
fn what_is_no_topic_name_is_not_sent() {
    let (long, longest) = ("x".repeat(65_536), "x".repeat(65_535));
    for version in VERSIONS {
        let mut session = online(version);
        for bad in ["", "a\0", "a/#", "+", "a/+/b", "\u{9F}", &long] {
            let refused = session.publish(Message::new(bad, ""));
            assert!(matches!(refused, Err(Invalid::TopicName(_))), "{bad:?}");
        }
        assert_eq!(session.output(), b"");
        session.publish(Message::new(&longest[..], "")).expect("legal");
        assert!(session.output().starts_with(&[0x30]));
    }
}

/// What a message says of itself cannot be built in another form.
///
/// `[MQTT-1.5.7-1 v5]` `[MQTT-3.3.2-13 v5]` `[MQTT-3.3.2-14 v5]` `[MQTT-3.3.2-19 v5]`
/// `[U5-2.2.2-1]` `[U5-2.2.2-2]`
#[test]
fn properties_of_a_message_are_legal() {
    let mut properties = crate::PropertiesBuf::new();
    assert!(TopicName::parse("reply/#").is_err());
    let topic = TopicName::parse("reply").expect("a topic");
    assert!(properties.content_type("a\0").is_err());
    assert!(properties.user_property("a", "\0").is_err());
    let mut add = || {
        properties.response_topic(topic)?.content_type("c")?.user_property("k", "v")?;
        properties.user_property("k", "v").map(drop)
    };
    add().expect("short");
    let mut session = online(Version::V5);
    let message = Message { properties, expiry_secs: Some(9), ..Message::new("t", "x") };
    session.publish(message).expect("legal");
    let expected = b"\x30\x24\x00\x01t\x1F\x08\0\x05reply\x03\0\x01c\
                     \x26\0\x01k\0\x01v\x26\0\x01k\0\x01v\x02\0\0\0\x09x";
    assert_eq!(session.output(), expected);
}

/// A message that came through a subscription, sent on as it is.
///
/// `[MQTT-3.3.4-6 v5]`
#[test]
fn a_message_that_is_sent_on_names_no_subscription() {
    let mut session = online(Version::V5);
    let message = Message { subscription_ids: vec![7], ..Message::new("t", "x") };
    session.publish(message).expect("legal");
    assert_eq!(session.output(), b"\x30\x05\x00\x01t\x00x");
}

/// `[MQTT-3.6.1-1 v5]` `[MQTT-3.6.1-1 v3.1.1]` `[MQTT-2.1.3-1 v5]` `[MQTT-2.2.2-1 v3.1.1]`
/// `[MQTT-2.2.1-5 v5]` `[MQTT-2.3.1-6 v3.1.1]` `[U5-3.4.2-1]` `[MQTT-3.3.4-1 v5]`
/// `[MQTT-3.3.4-1 v3.1.1]` `[V31-3.3-1]` `[V31-3.5-1]` `[MQTT-4.3.2-4 v5]` `[MQTT-4.3.3-4 v5]`
/// `[MQTT-4.3.3-8 v5]` `[MQTT-4.3.3-11 v5]`
#[test]
fn hand_shakes_are_four_bytes_a_step() {
    for version in VERSIONS {
        let mut session = online(version);
        publish(&mut session, "t", QoS::ExactlyOnce);
        sent(&mut session);
        give(&mut session, &Packet::PubRec(ack(1)));
        assert_eq!(session.output(), b"\x62\x02\x00\x01");
        sent(&mut session);
        give(&mut session, &Packet::Publish(incoming("in", QoS::AtMostOnce, 0)));
        give(&mut session, &Packet::Publish(incoming("in", QoS::AtLeastOnce, 0x0102)));
        give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 0x0304)));
        give(&mut session, &Packet::PubRel(ack(0x0304)));
        assert_eq!(session.output(), b"\x40\x02\x01\x02\x50\x02\x03\x04\x70\x02\x03\x04");
    }
}
