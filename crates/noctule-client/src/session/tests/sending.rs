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
