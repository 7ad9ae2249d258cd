//! CONNECT, CONNACK and DISCONNECT.

use super::*;

#[test]
fn the_first_bytes_are_those_of_the_standard() {
    let mut v5 = Owner::new(options(Version::V5));
    v5.open(NOW);
    assert_eq!(v5.output(), b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01c");
    let mut v311 = Owner::new(options(Version::V311));
    v311.open(NOW);
    assert_eq!(v311.output(), b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c");
    let mut v31 = Owner::new(options(Version::V31));
    v31.open(NOW);
    assert_eq!(v31.output(), b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01c");
}

#[test]
fn everything_asked_for_is_in_connect() {
    let mut options = options(Version::V5);
    options.user_name = Some("u".into());
    options.password = Some(b"p".to_vec());
    options.session_expiry_secs = 9;
    options.receive_maximum = 7;
    options.topic_alias_maximum = 5;
    options.maximum_packet_size = Some(1000);
    options.will = Some(Will { message: Message::new("w", "gone").retained(), delay_secs: 3 });
    let mut session = Owner::new(options);
    session.open(NOW);
    let frame = next_frame(session.output(), u32::MAX).expect("legal").expect("whole");
    let Ok(Packet::Connect(connect)) = Packet::decode(frame, None, Role::Client) else {
        panic!("a CONNECT")
    };
    assert_eq!((connect.user_name, connect.password), (Some("u"), Some(&b"p"[..])));
    assert_eq!(connect.properties.session_expiry_secs, Some(9));
    assert_eq!(connect.properties.receive_maximum.map(u16::from), Some(7));
    assert_eq!(connect.properties.topic_alias_maximum, Some(5));
    assert_eq!(connect.properties.maximum_packet_size.map(u32::from), Some(1000));
    let will = connect.will.expect("a will");
    assert_eq!((will.topic.as_str(), will.delay_secs, will.retain), ("w", 3, true));
}

/// `[MQTT-3.2.2-4 v5]`
#[test]
fn a_session_that_was_to_be_forgotten_and_is_resumed_ends_the_connection() {
    let mut session = Owner::new(options(Version::V5));
    session.open(NOW);
    sent(&mut session);
    welcome(&mut session, true);
    assert_eq!(events(&mut session), ["ended Protocol(SessionPresent)"]);
    assert_eq!(sent(&mut session), ["DISCONNECT 0x82"]);
}

#[test]
fn a_refused_connection_tells_code_and_fix() {
    for (version, code) in [(Version::V311, 5), (Version::V5, 0x87)] {
        let mut session = Owner::new(options(version));
        session.open(NOW);
        let connack = packet::ConnAck::new(false, ReasonCode::NotAuthorized);
        give(&mut session, &Packet::ConnAck(connack));
        let Some(Error::Refused(notice)) = session.ended.take() else { panic!("refused") };
        assert_eq!(notice.code, code);
        let words = Error::Refused(notice).to_string();
        assert!(words.contains("not authorized") && words.contains("likely fix"), "{words}");
    }
}

#[test]
fn a_server_of_old_that_refuses_a_new_version_is_understood() {
    let mut session = Owner::new(options(Version::V5));
    session.open(NOW);
    session.receive(NOW, &[0x20, 2, 0, 1]);
    let Some(Error::Refused(notice)) = session.ended.take() else { panic!("refused") };
    assert_eq!(notice.reason, ReasonCode::UnsupportedProtocolVersion);
}

/// `[U5-3.2.2-1]`
#[test]
fn a_server_that_never_answers_connect_is_given_up() {
    let mut session = Owner::new(options(Version::V5));
    session.open(NOW);
    let deadline = session.next_deadline().expect("waits for CONNACK");
    session.tick(deadline - secs(1));
    assert_eq!(events(&mut session), Vec::<String>::new());
    session.tick(deadline);
    assert_eq!(events(&mut session), ["ended NoAnswer(Connect)"]);
}

/// `[MQTT-3.1.3-2 v5]`
#[test]
fn the_assigned_client_identifier_names_the_session_from_then_on() {
    let assigned = ConnAckProperties { assigned_client_id: Some("auto-1"), ..Default::default() };
    let nameless = Options { session_expiry_secs: 60, ..Options::default() };
    let mut session = online_with(nameless, assigned);
    session.lose(Error::Closed);
    session.open(NOW);
    assert_eq!(sent(&mut session), ["CONNECT auto-1 clean=false keep=60"]);
    welcome(&mut session, true);
    assert_eq!(session.server().map(|server| server.client_id.as_str()), Some("auto-1"));
}

#[test]
fn good_bye_is_said_once() {
    let mut session = online(Version::V5);
    session.disconnect(&Goodbye::default());
    session.disconnect(&Goodbye::default());
    assert_eq!(session.output(), [0xE0, 0]);
    assert_eq!(events(&mut session), ["ended Finished"]);
    let mut session = online(Version::V5);
    session.receive(NOW, &[0xE0, 1, 0x8B]);
    let Some(Error::Disconnected(notice)) = session.ended.take() else { panic!("disconnected") };
    assert_eq!(notice.reason, ReasonCode::ServerShuttingDown);
}

/// `[MQTT-3.14.2-1 v5]` `[MQTT-3.14.2-3 v5]` `[MQTT-3.14.2-4 v5]` `[U5-3.14.2-1]`
#[test]
fn what_disconnect_cannot_say_is_left_out() {
    let goodbye = |goodbye: Goodbye, max| {
        let limit =
            ConnAckProperties { maximum_packet_size: NonZeroU32::new(max), ..Default::default() };
        let mut session = online_with(options(Version::V5), limit);
        session.disconnect(&goodbye);
        session.output().to_vec()
    };
    let because = |words: &str| Goodbye {
        reason_string: Some(words.into()),
        ..Goodbye::because(ReasonCode::DisconnectWithWill)
    };
    assert_eq!(goodbye(because("ab"), 100), b"\xE0\x07\x04\x05\x1F\0\x02ab");
    assert_eq!(goodbye(because("ab"), 8), b"\xE0\x01\x04");
    assert_eq!(goodbye(because("a\0"), 100), b"\xE0\x01\x04");
    // Only a server may say this.
    assert_eq!(goodbye(Goodbye::because(ReasonCode::ServerBusy), 100), b"\xE0\x01\x80");
    // A session that ends with the connection cannot be kept any more.
    let keep = Goodbye { session_expiry_secs: Some(9), ..Goodbye::default() };
    assert_eq!(goodbye(keep.clone(), 100), b"\xE0\0");
    let mut session = online_with(kept(Version::V5), ConnAckProperties::default());
    session.disconnect(&keep);
    assert_eq!(session.output(), b"\xE0\x07\0\x05\x11\0\0\0\x09");
}

/// Before 5.0 DISCONNECT discards the Will, whatever it was meant to say.
#[test]
fn a_will_is_published_where_no_disconnect_is_sent() {
    let goodbye = Goodbye::because(ReasonCode::DisconnectWithWill);
    for (version, said) in [(Version::V311, &b""[..]), (Version::V5, b"\xE0\x01\x04")] {
        let mut session = online(version);
        session.disconnect(&goodbye);
        assert_eq!(session.output(), said);
        assert_eq!(events(&mut session), ["ended Finished"]);
    }
}

#[test]
fn a_new_transport_ends_the_connection_before_it() {
    let mut session = online(Version::V5);
    session.subscribe(&Subscribe::to("a", QoS::AtMostOnce)).expect("online");
    session.open(NOW);
    assert_eq!(events(&mut session), ["subscribed 1 Closed", "ended Closed"]);
    assert_eq!(sent(&mut session), ["CONNECT c clean=true keep=60"]);
    welcome(&mut session, false);
    session.subscribe(&Subscribe::to("a", QoS::AtMostOnce)).expect("online");
    assert_eq!(sent(&mut session), ["SUBSCRIBE #2 a@0"]);
}

#[test]
fn a_connect_that_no_packet_holds_is_not_sent() {
    let mut options = options(Version::V5);
    let value = "x".repeat(65_535);
    for _ in 0..4100 {
        options.user_properties.push("a", &value).expect("short enough");
    }
    let mut session = Owner::new(options);
    session.open(NOW);
    assert_eq!(session.output(), b"");
    assert!(matches!(
        session.next_event(),
        Some(Event::Ended(Error::Invalid(Invalid::PacketTooLarge { .. })))
    ));
}

/// `[MQTT-3.14.4-1 v5]` `[MQTT-3.14.4-2 v5]` `[MQTT-3.14.4-1 v3.1.1]` `[MQTT-3.14.4-2 v3.1.1]`
#[test]
fn nothing_follows_disconnect() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let by_application = Options { acknowledge: Acknowledge::ByApplication, ..kept(version) };
        let mut session = online_with(by_application, ConnAckProperties::default());
        give(&mut session, &Packet::Publish(incoming("in", QoS::AtLeastOnce, 1)));
        give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 2)));
        publish(&mut session, "open", QoS::AtLeastOnce);
        events(&mut session);
        sent(&mut session);
        session.disconnect(&Goodbye::default());
        // The owner closes.
        assert_eq!(events(&mut session), ["ended Finished"]);
        publish(&mut session, "a", QoS::AtMostOnce);
        assert!(session.subscribe(&Subscribe::to("a", QoS::AtMostOnce)).is_err());
        assert!(session.unsubscribe(&Unsubscribe::from("a")).is_err());
        for ack in session.acks.clone() {
            session.acknowledge(ack);
        }
        give(&mut session, &Packet::PubAck(ack(1)));
        give(&mut session, &Packet::PubRel(ack(2)));
        session.tick(NOW + secs(10_000));
        session.disconnect(&Goodbye::default());
        assert_eq!(session.output(), b"\xE0\0");
    }
}

/// `[MQTT-4.13.2-1 v5]` `[U5-3.14.4-2]` `[MQTT-4.13.2-1 v5]`
#[test]
fn who_is_refused_or_sent_away_goes() {
    let mut session = Owner::new(options(Version::V5));
    session.open(NOW);
    sent(&mut session);
    give(&mut session, &Packet::ConnAck(packet::ConnAck::new(false, ReasonCode::Banned)));
    assert!(matches!(session.ended, Some(Error::Refused(_))));
    for reason in [ReasonCode::Success, ReasonCode::ServerShuttingDown] {
        let mut session = online(Version::V5);
        give(&mut session, &Packet::Disconnect(Disconnect::new(reason)));
        assert!(matches!(session.ended, Some(Error::Disconnected(_))));
        assert!(!session.is_online());
        publish(&mut session, "a", QoS::AtMostOnce);
        assert_eq!(session.output(), b"");
    }
}

/// `[MQTT-3.1.0-1 v5]` `[MQTT-3.1.0-1 v3.1.1]` `[U5-3.1.4-2]` `[V31-3.1-4]`
#[test]
fn nothing_is_sent_before_connack_but_connect() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut session = Owner::new(options(version));
        publish(&mut session, "a", QoS::AtMostOnce);
        session.open(NOW);
        publish(&mut session, "b", QoS::AtLeastOnce);
        assert!(session.subscribe(&Subscribe::to("a", QoS::AtMostOnce)).is_err());
        assert_eq!(sent(&mut session).len(), 1);
        welcome(&mut session, false);
        assert_eq!(sent(&mut session), ["PUBLISH q0 a x", "PUBLISH q1 #1 b x"]);
    }
}

/// `[U5-3.1.2-1]` `[MQTT-3.1.2-23 v5]` `[U5-3.1.2-4]`
#[test]
fn how_long_a_session_lasts_is_said_in_connect() {
    for (session_expiry_secs, properties) in
        [(0, &b"\0"[..]), (7, b"\x05\x11\0\0\0\x07"), (u32::MAX, b"\x05\x11\xFF\xFF\xFF\xFF")]
    {
        let mut session = Owner::new(Options { session_expiry_secs, ..options(Version::V5) });
        session.open(NOW);
        // And neither method nor data of an authentication.
        assert_eq!(&session.output()[12..session.output().len() - 3], properties);
    }
}

/// It would not be known under another process's options.
#[test]
fn a_server_gives_no_other_name_to_who_has_one() {
    for name in ["", "other"] {
        let mut session = Owner::new(kept(Version::V5));
        session.keep_changes();
        session.open(NOW);
        sent(&mut session);
        let assigned =
            ConnAckProperties { assigned_client_id: Some(name), ..ConnAckProperties::default() };
        welcome_with(&mut session, false, assigned);
        assert_eq!(session.take_changes(), [Change::Identity("c".into())]);
        assert_eq!(session.server().map(|server| server.client_id.as_str()), Some("c"));
    }
}
