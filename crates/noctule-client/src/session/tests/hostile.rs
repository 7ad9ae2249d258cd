//! Servers that break the rules.

use super::*;

#[test]
fn a_server_that_breaks_the_rules_is_told_and_left() {
    let v5 = Version::V5;
    let told = |session: &mut Owner| (sent(session).pop(), events(session).pop());
    let mut session = online(v5);
    session.receive(NOW, &[0xF0, 0]);
    let (said, _) = told(&mut session);
    assert_eq!(said.as_deref(), Some("DISCONNECT 0x82"));
    // AUTH without a method in CONNECT (4.12 v5).
    let mut session = online(v5);
    let auth = Auth {
        method: Some("m"),
        data: None,
        reason: ReasonCode::ContinueAuthentication,
        reason_string: None,
        user_properties: UserProperties::EMPTY,
    };
    give(&mut session, &Packet::Auth(auth));
    assert_eq!(told(&mut session).0.as_deref(), Some("DISCONNECT 0x82"));
    // PUBACK for QoS 2.
    let mut session = online(v5);
    publish(&mut session, "a", QoS::ExactlyOnce);
    give(&mut session, &Packet::PubAck(ack(1)));
    assert_eq!(told(&mut session).0.as_deref(), Some("DISCONNECT 0x82"));
    // More QoS 2 than we take (3.3.4 v5).
    let mut few = options(v5);
    few.receive_maximum = 1;
    let mut session = online_with(few, ConnAckProperties::default());
    give(&mut session, &Packet::Publish(incoming("a", QoS::ExactlyOnce, 1)));
    give(&mut session, &Packet::Publish(incoming("a", QoS::ExactlyOnce, 2)));
    assert_eq!(told(&mut session).0.as_deref(), Some("DISCONNECT 0x93"));
    // A packet larger than we take.
    let mut small = options(v5);
    small.maximum_packet_size = Some(10);
    let mut session = online_with(small, ConnAckProperties::default());
    session.receive(NOW, &[0x30, 9]);
    assert_eq!(told(&mut session).0.as_deref(), Some("DISCONNECT 0x95"));
    // A wrong number of codes; nothing can be said before 5.0.
    let mut session = online(Version::V311);
    session.subscribe(&Subscribe::to("a", QoS::AtMostOnce)).expect("online");
    sent(&mut session);
    give(&mut session, &Packet::SubAck(SubAck::new(id(1), &[0, 0])));
    assert_eq!(told(&mut session), (None, Some("ended Protocol(AnswerCount)".into())));
}

#[test]
fn stray_acknowledgements_are_borne() {
    let mut session = online(Version::V5);
    give(&mut session, &Packet::PubAck(ack(7)));
    give(&mut session, &Packet::PubComp(ack(7)));
    give(&mut session, &Packet::PubRec(ack(7)));
    assert_eq!(sent(&mut session), ["PUBREL #7 0x92"]);
    assert!(session.is_online());
}

/// Before 5.0 as well, where nothing can be said.
#[test]
fn a_server_that_asks_for_answers_and_reads_none_is_left() {
    for version in [Version::V311, Version::V5] {
        let mut session = online(version);
        let mut bytes = Vec::new();
        for _ in 0..10_000 {
            Packet::PubRel(ack(1)).encode(version, &mut bytes);
        }
        let mut rounds = 0;
        while session.is_online() {
            rounds += 1;
            assert!(rounds < 1000);
            session.receive(NOW, &bytes);
        }
        assert_eq!(events(&mut session), ["ended Protocol(Unread)"]);
        assert!(session.output().len() < 5 << 20);
        // One that reads them may go on.
        let mut session = online(version);
        for _ in 0..2 * rounds {
            session.receive(NOW, &bytes);
            session.written(NOW, usize::MAX);
        }
        assert!(session.is_online());
    }
}

/// An answer that does not fit its request ends the connection, and the request with it.
#[test]
fn a_request_whose_answer_is_none_is_told_so() {
    let mut session = online(Version::V5);
    session.subscribe(&Subscribe::to("a", QoS::AtMostOnce)).expect("online");
    give(&mut session, &Packet::UnsubAck(SubAck::new(id(1), &[0])));
    let told = ["subscribed 1 Protocol(AnswerCount)", "ended Protocol(AnswerCount)"];
    assert_eq!(events(&mut session), told);
    assert_eq!(session.open_requests(), 0);
}

#[test]
fn a_server_that_explains_itself_against_the_clients_wish_breaks_the_rules() {
    let mut users = crate::UserPropertiesBuf::new();
    users.push("a", "b").expect("short");
    let reason_string = Some("because");
    let user_properties = users.as_properties();
    let puback = Ack { reason_string, ..ack(1) };
    let suback = SubAck { user_properties, ..SubAck::new(id(1), &[0]) };
    let terse = Options { request_problem_information: false, ..options(Version::V5) };
    for packet in [Packet::PubAck(puback), Packet::SubAck(suback)] {
        let mut session = online_with(terse.clone(), ConnAckProperties::default());
        give(&mut session, &packet);
        assert_eq!(sent(&mut session), ["DISCONNECT 0x82"]);
    }
    // These may.
    let spoken = ConnAckProperties { reason_string, user_properties, ..Default::default() };
    let mut session = online_with(terse, spoken);
    let mut publish = incoming("a", QoS::AtMostOnce, 0);
    let mut others = crate::PropertiesBuf::new();
    others.user_property("a", "b").expect("short");
    publish.properties.others = others.as_properties();
    give(&mut session, &Packet::Publish(publish));
    let bye = Disconnect { reason_string, ..Disconnect::new(ReasonCode::ServerShuttingDown) };
    give(&mut session, &Packet::Disconnect(bye));
    assert!(matches!(session.ended, Some(Error::Disconnected(_))));
}

/// With less room than an acknowledgement takes, nothing can be said.
#[test]
fn a_server_that_takes_no_packet_is_left() {
    for (max, online) in [(4, false), (5, true)] {
        let tight = ConnAckProperties {
            maximum_packet_size: NonZeroU32::new(max),
            ..ConnAckProperties::default()
        };
        let mut session = Owner::new(options(Version::V5));
        session.open(NOW);
        sent(&mut session);
        welcome_with(&mut session, false, tight);
        assert_eq!(session.is_online(), online);
        assert_eq!(session.output(), b"");
    }
}
