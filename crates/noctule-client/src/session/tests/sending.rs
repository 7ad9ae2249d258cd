//! Messages to the server.

use super::*;

#[test]
fn qos_0_is_done_when_it_is_out() {
    let mut session = online(Version::V311);
    publish(&mut session, "t", QoS::AtMostOnce);
    assert_eq!(sent(&mut session), ["PUBLISH q0 t x"]);
    assert_eq!(events(&mut session), ["published 1 Success"]);
}

#[test]
fn a_message_that_the_caller_keeps_takes_the_same_way() {
    let mut session = online(Version::V311);
    let mut message = Message::new("t", "x");
    assert_eq!(session.publish_ref(&message), Ok(None));
    message = message.qos(QoS::AtLeastOnce);
    assert_eq!(session.publish_ref(&message), Ok(Some(Token(1))));
    assert_eq!(sent(&mut session), ["PUBLISH q0 t x", "PUBLISH q1 #1 t x"]);
    assert_eq!(events(&mut session), Vec::<String>::new());
    give(&mut session, &Packet::PubAck(ack(1)));
    assert_eq!(events(&mut session), ["published 1 Success"]);
    assert!(session.publish_ref(&Message::new("a/#", "x")).is_err());
    // Nothing is lost of what cannot be sent yet, and nothing overtakes it.
    let mut session = Owner::new(options(Version::V311));
    assert_eq!(session.publish_ref(&Message::new("t", "early")), Ok(Some(Token(1))));
    assert_eq!(session.open_requests(), 1);
    session.open(NOW);
    sent(&mut session);
    give(&mut session, &Packet::ConnAck(packet::ConnAck::new(false, ReasonCode::Success)));
    assert_eq!(session.publish_ref(&Message::new("t", "late")), Ok(None));
    assert_eq!(sent(&mut session), ["PUBLISH q0 t early", "PUBLISH q0 t late"]);
    assert_eq!(events(&mut session), ["connected false", "published 1 Success"]);
}

#[test]
fn a_message_that_this_server_does_not_take_fails_at_once_if_the_caller_keeps_it() {
    let one = ConnAckProperties { maximum_qos: Some(QoS::AtMostOnce), ..Default::default() };
    let small = ConnAckProperties { maximum_packet_size: NonZeroU32::new(10), ..one };
    let mut session = online_with(options(Version::V5), small);
    let message = Message::new("topic", "too long for ten bytes");
    let refused = session.publish_ref(&message);
    assert!(matches!(refused, Err(Invalid::PacketTooLarge { max: 10, .. })), "{refused:?}");
    assert_eq!(sent(&mut session), Vec::<String>::new());
}

#[test]
fn qos_1_is_done_with_puback_and_qos_2_with_pubcomp() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut session = online(version);
        publish(&mut session, "a", QoS::AtLeastOnce);
        publish(&mut session, "b", QoS::ExactlyOnce);
        assert_eq!(sent(&mut session), ["PUBLISH q1 #1 a x", "PUBLISH q2 #2 b x"]);
        assert_eq!(events(&mut session), Vec::<String>::new());
        give(&mut session, &Packet::PubAck(ack(1)));
        assert_eq!(events(&mut session), ["published 1 Success"]);
        give(&mut session, &Packet::PubRec(ack(2)));
        assert_eq!(sent(&mut session), ["PUBREL #2 0x00"]);
        assert_eq!(events(&mut session), Vec::<String>::new());
        give(&mut session, &Packet::PubComp(ack(2)));
        assert_eq!(events(&mut session), ["published 2 Success"]);
        assert_eq!(session.open_requests(), 0);
    }
}

/// `[MQTT-4.4.0-2 v5]` `[U5-2.2.1-2]` `[U5-4.13.2-1]` `[U5-4.9.0-1]`
#[test]
fn a_message_that_the_server_refuses_fails_with_its_reason() {
    let mut session = online(Version::V5);
    publish(&mut session, "a", QoS::AtLeastOnce);
    publish(&mut session, "b", QoS::ExactlyOnce);
    sent(&mut session);
    give(&mut session, &Packet::PubAck(Ack::new(id(1), ReasonCode::NotAuthorized)));
    give(&mut session, &Packet::PubRec(Ack::new(id(2), ReasonCode::QuotaExceeded)));
    assert_eq!(events(&mut session), ["published 1 rejected 0x87", "published 2 rejected 0x97"]);
    // No PUBREL for a message that is not the server's [MQTT-4.3.3-4 v5].
    assert_eq!(sent(&mut session), Vec::<String>::new());
}

/// `[MQTT-3.3.4-7 v5]` `[MQTT-3.3.4-8 v5]` `[MQTT-4.9.0-1 v5]` `[MQTT-4.9.0-2 v5]`
/// `[MQTT-4.9.0-3 v5]` `[U5-4.9.0-1]`
#[test]
fn no_more_is_on_the_way_than_the_server_takes_and_the_rest_follows_in_order() {
    let two = ConnAckProperties { receive_maximum: NonZeroU16::new(2), ..Default::default() };
    let mut session = online_with(options(Version::V5), two);
    for topic in ["a", "b", "c", "d"] {
        publish(&mut session, topic, QoS::AtLeastOnce);
    }
    assert_eq!(sent(&mut session), ["PUBLISH q1 #1 a x", "PUBLISH q1 #2 b x"]);
    // Only PUBLISH waits [MQTT-3.3.4-8 v5].
    session.unsubscribe(&Unsubscribe::from("t")).expect("online");
    assert_eq!(sent(&mut session), ["UNSUBSCRIBE #3 t"]);
    give(&mut session, &Packet::PubAck(ack(2)));
    assert_eq!(sent(&mut session), ["PUBLISH q1 #4 c x"]);
    give(&mut session, &Packet::PubAck(ack(1)));
    assert_eq!(sent(&mut session), ["PUBLISH q1 #5 d x"]);
}

/// `[MQTT-3.3.4-7 v5]` `[MQTT-4.9.0-1 v5]`
#[test]
fn resending_keeps_to_the_receive_maximum_of_the_new_connection() {
    let mut session = online_with(kept(Version::V5), ConnAckProperties::default());
    for topic in ["a", "b", "c"] {
        publish(&mut session, topic, QoS::AtLeastOnce);
    }
    session.lose(Error::Closed);
    session.open(NOW);
    sent(&mut session);
    publish(&mut session, "d", QoS::AtMostOnce);
    let one = ConnAckProperties { receive_maximum: NonZeroU16::new(1), ..Default::default() };
    let connack =
        packet::ConnAck { properties: one, ..packet::ConnAck::new(true, ReasonCode::Success) };
    give(&mut session, &Packet::ConnAck(connack));
    assert_eq!(sent(&mut session), ["PUBLISH dup q1 #1 a x"]);
    give(&mut session, &Packet::PubAck(ack(1)));
    assert_eq!(sent(&mut session), ["PUBLISH dup q1 #2 b x"]);
    give(&mut session, &Packet::PubAck(ack(2)));
    assert_eq!(sent(&mut session), ["PUBLISH dup q1 #3 c x", "PUBLISH q0 d x"]);
}

/// `[MQTT-3.2.2-11 v5]` `[MQTT-3.2.2-14 v5]` `[MQTT-3.2.2-15 v5]` `[U5-3.2.2-3]` `[U5-3.2.2-4]`
/// `[U5-3.2.2-5]`
#[test]
fn what_this_server_does_not_take_is_not_sent() {
    let poor = ConnAckProperties {
        maximum_qos: Some(QoS::AtMostOnce),
        retain_available: Some(false),
        maximum_packet_size: NonZeroU32::new(20),
        wildcard_subscription_available: Some(false),
        shared_subscription_available: Some(false),
        subscription_identifiers_available: Some(false),
        ..Default::default()
    };
    let mut session = online_with(options(Version::V5), poor);
    publish(&mut session, "a", QoS::AtLeastOnce);
    session.publish(Message::new("a", "x").retained()).expect("legal");
    session.publish(Message::new("a", "x".repeat(15))).expect("legal");
    session.publish(Message::new("a", "x".repeat(14))).expect("legal");
    let told = events(&mut session);
    assert!(told[0].contains("QoSNotSupported { max: AtMostOnce }"), "{told:?}");
    assert!(told[1].contains("RetainNotSupported"), "{told:?}");
    assert!(told[2].contains("PacketTooLarge { size: 21, max: 20 }"), "{told:?}");
    assert_eq!(told[3], "published 4 Success");
    assert_eq!(sent(&mut session).len(), 1);
    let mut refused = |subscribe: Subscribe| match session.subscribe(&subscribe) {
        Err(Error::Invalid(invalid)) => invalid,
        other => panic!("{other:?}"),
    };
    let qos = QoS::AtMostOnce;
    assert_eq!(refused(Subscribe::to("a/+", qos)), Invalid::WildcardsNotSupported);
    assert_eq!(refused(Subscribe::to("$share/g/a", qos)), Invalid::SharedNotSupported);
    let with_id = Subscribe { id: Some(1), ..Subscribe::to("a", qos) };
    assert_eq!(refused(with_id), Invalid::SubscriptionIdsNotSupported);
    let long = refused(Subscribe::to("a".repeat(20), qos));
    assert!(matches!(long, Invalid::PacketTooLarge { max: 20, .. }));
    assert_eq!(sent(&mut session), Vec::<String>::new());
    session.subscribe(&Subscribe::to("a", qos)).expect("what is left is legal");
}

#[test]
fn what_no_server_may_get_is_refused_at_once() {
    let mut session = online(Version::V5);
    assert!(matches!(session.publish(Message::new("a/#", "")), Err(Invalid::TopicName(_))));
    assert!(matches!(session.publish(Message::new("", "")), Err(Invalid::TopicName(_))));
    let bad = session.subscribe(&Subscribe::to("a/#/b", QoS::AtMostOnce));
    assert!(matches!(bad, Err(Error::Invalid(Invalid::TopicFilter(_)))));
    assert!(session.subscribe(&Subscribe::default()).is_err());
    let no_local = SubscribeOptions { no_local: true, ..SubscribeOptions::default() };
    let bad = session.subscribe(&Subscribe::default().and("$share/g/a", no_local));
    assert!(matches!(bad, Err(Error::Invalid(Invalid::NoLocalOnShared))));
    assert_eq!(sent(&mut session), Vec::<String>::new());
}

/// What was released on an earlier connection takes a place in the server's window as well.
#[test]
fn the_window_counts_what_is_released_and_not_completed() {
    let two = ConnAckProperties { receive_maximum: NonZeroU16::new(2), ..Default::default() };
    let mut session = online_with(kept(Version::V5), two.clone());
    for topic in ["a", "b", "c", "d"] {
        publish(&mut session, topic, QoS::ExactlyOnce);
    }
    give(&mut session, &Packet::PubRec(ack(1)));
    sent(&mut session);
    session.lose(Error::Closed);
    session.open(NOW);
    sent(&mut session);
    welcome_with(&mut session, true, two);
    assert_eq!(sent(&mut session), ["PUBREL #1 0x00", "PUBLISH dup q2 #2 b x"]);
    give(&mut session, &Packet::PubComp(ack(1)));
    assert_eq!(sent(&mut session), ["PUBLISH q2 #3 c x"]);
}

/// A server that answers on this connection what it got on the last.
#[test]
fn an_acknowledgement_of_what_was_not_sent_again_opens_no_window() {
    let two = ConnAckProperties { receive_maximum: NonZeroU16::new(2), ..Default::default() };
    let mut session = online_with(kept(Version::V5), ConnAckProperties::default());
    for topic in ["a", "b", "c", "d"] {
        publish(&mut session, topic, QoS::AtLeastOnce);
    }
    publish(&mut session, "e", QoS::ExactlyOnce);
    publish(&mut session, "f", QoS::ExactlyOnce);
    session.lose(Error::Closed);
    session.open(NOW);
    sent(&mut session);
    welcome_with(&mut session, true, two);
    assert_eq!(sent(&mut session), ["PUBLISH dup q1 #1 a x", "PUBLISH dup q1 #2 b x"]);
    give(&mut session, &Packet::PubAck(ack(3)));
    assert_eq!(sent(&mut session), Vec::<String>::new());
    give(&mut session, &Packet::PubRec(ack(5)));
    assert_eq!(sent(&mut session), ["PUBREL #5 0x00"]);
    give(&mut session, &Packet::PubAck(ack(1)));
    assert_eq!(sent(&mut session), Vec::<String>::new());
    give(&mut session, &Packet::PubComp(ack(5)));
    assert_eq!(sent(&mut session), ["PUBLISH dup q1 #4 d x"]);
    give(&mut session, &Packet::PubAck(ack(2)));
    assert_eq!(sent(&mut session), ["PUBLISH dup q2 #6 f x"]);
}

/// `[MQTT-3.2.2-17 v5]` `[MQTT-3.2.2-18 v5]` `[MQTT-3.3.2-7 v5]` `[MQTT-3.3.2-8 v5]`
/// `[MQTT-3.3.2-9 v5]` `[U5-3.3.2-2]`
#[test]
fn aliases_stay_within_what_the_server_takes_and_end_with_the_connection() {
    let sent_as = |session: &mut Owner, topic| {
        session.publish(Message::new(topic, "")).expect("legal");
        let bytes = session.output().to_vec();
        session.written(NOW, bytes.len());
        let frame = next_frame(&bytes, u32::MAX).expect("legal").expect("whole");
        let Ok(Packet::Publish(publish)) = Packet::decode(frame, Some(Version::V5), Role::Client)
        else {
            panic!("a PUBLISH")
        };
        let alias = publish.properties.topic_alias.map_or(0, NonZeroU16::get);
        format!("{}={alias}", publish.topic.as_str())
    };
    let two = ConnAckProperties { topic_alias_maximum: Some(2), ..Default::default() };
    let mut session = online_with(options(Version::V5), two.clone());
    for (topic, expected) in
        [("a", "a=1"), ("b", "b=2"), ("a", "=1"), ("c", "c=0"), ("b", "=2"), ("d", "d=0")]
    {
        assert_eq!(sent_as(&mut session, topic), expected);
    }
    session.lose(Error::Closed);
    session.open(NOW);
    sent(&mut session);
    welcome_with(&mut session, false, two.clone());
    assert_eq!(sent_as(&mut session, "a"), "a=1");
    // A server that takes none, and an application that wants none.
    let mut session = online(Version::V5);
    let none = Options { use_topic_aliases: false, ..options(Version::V5) };
    let mut unwilling = online_with(none, two);
    for _ in 0..2 {
        assert_eq!(sent_as(&mut session, "a"), "a=0");
        assert_eq!(sent_as(&mut unwilling, "a"), "a=0");
    }
}

/// `[MQTT-2.2.1-3 v5]` `[MQTT-2.3.1-1 v3.1.1]` `[MQTT-2.3.1-2 v3.1.1]` `[MQTT-2.3.1-3 v3.1.1]`
/// `[MQTT-4.3.2-1 v5]` `[MQTT-4.3.3-1 v5]` `[U5-2.2.1-1]` `[U5-2.2.1-2]` `[V31-2.4-1]`
#[test]
fn an_identifier_is_given_again_once_it_is_free() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut session = online(version);
        session.subscribe(&Subscribe::to("a", QoS::AtMostOnce)).expect("online");
        session.unsubscribe(&Unsubscribe::from("a")).expect("online");
        publish(&mut session, "open", QoS::AtLeastOnce);
        let opening = ["SUBSCRIBE #1 a@0", "UNSUBSCRIBE #2 a", "PUBLISH q1 #3 open x"];
        assert_eq!(sent(&mut session), opening);
        // The server counts on its own.
        give(&mut session, &Packet::Publish(incoming("in", QoS::AtLeastOnce, 3)));
        assert_eq!(sent(&mut session), ["PUBACK #3 0x00"]);
        give(&mut session, &Packet::SubAck(SubAck::new(id(1), &[0])));
        let codes: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        give(&mut session, &Packet::UnsubAck(SubAck::new(id(2), codes)));
        for number in (4..=u16::MAX).chain(1..=2) {
            publish(&mut session, "t", QoS::ExactlyOnce);
            assert_eq!(sent(&mut session), [format!("PUBLISH q2 #{number} t x")]);
            give(&mut session, &Packet::PubRec(ack(number)));
            give(&mut session, &Packet::PubComp(ack(number)));
            sent(&mut session);
        }
        // The next one would be 3, which is in use.
        publish(&mut session, "waits", QoS::AtLeastOnce);
        assert_eq!(sent(&mut session), Vec::<String>::new());
        give(&mut session, &Packet::PubAck(ack(3)));
        assert_eq!(sent(&mut session), ["PUBLISH q1 #3 waits x"]);
    }
}

/// `[MQTT-4.6.0-4 v5]` `[MQTT-4.6.0-4 v3.1.1]` `[MQTT-4.3.3-4 v5]` `[V31-3.5-1]`
#[test]
fn pubrels_leave_in_the_order_of_the_pubrecs() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut session = online(version);
        for topic in ["a", "b", "c"] {
            publish(&mut session, topic, QoS::ExactlyOnce);
        }
        sent(&mut session);
        for number in [2, 3, 1] {
            give(&mut session, &Packet::PubRec(ack(number)));
        }
        assert_eq!(sent(&mut session), ["PUBREL #2 0x00", "PUBREL #3 0x00", "PUBREL #1 0x00"]);
    }
}

/// The client explains itself to nobody but in DISCONNECT, where it fits.
///
/// `[MQTT-3.4.2-2 v5]` `[MQTT-3.4.2-3 v5]` `[MQTT-3.5.2-2 v5]` `[MQTT-3.5.2-3 v5]`
/// `[MQTT-3.6.2-2 v5]` `[MQTT-3.6.2-3 v5]` `[MQTT-3.7.2-2 v5]` `[MQTT-3.7.2-3 v5]`
/// `[MQTT-3.2.2-15 v5]`
#[test]
fn acknowledgements_fit_the_smallest_server() {
    let five = ConnAckProperties { maximum_packet_size: NonZeroU32::new(5), ..Default::default() };
    let by_application =
        Options { acknowledge: Acknowledge::ByApplication, ..options(Version::V5) };
    let mut session = online_with(by_application, five);
    give(&mut session, &Packet::Publish(incoming("in", QoS::AtLeastOnce, 1)));
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 2)));
    for ack in session.acks.clone() {
        session.reject(ack, ReasonCode::QuotaExceeded);
    }
    give(&mut session, &Packet::PubRec(ack(3)));
    give(&mut session, &Packet::PubRel(ack(4)));
    let expected = b"\x40\x03\x00\x01\x97\x50\x03\x00\x02\x97\
                     \x62\x03\x00\x03\x92\x70\x03\x00\x04\x92";
    assert_eq!(session.output(), expected);
}
