//! Sessions that outlive a connection, or do not.

use super::*;

#[test]
fn a_kept_session_goes_on_where_it_was() {
    let mut session = online_with(kept(Version::V5), ConnAckProperties::default());
    publish(&mut session, "a", QoS::ExactlyOnce);
    publish(&mut session, "b", QoS::AtLeastOnce);
    publish(&mut session, "c", QoS::ExactlyOnce);
    give(&mut session, &Packet::PubRec(ack(1)));
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
    sent(&mut session);
    session.lose(Error::Closed);
    assert_eq!(events(&mut session), ["message q2 in x", "ended Closed"]);
    publish(&mut session, "d", QoS::AtLeastOnce);
    session.open(NOW);
    assert_eq!(sent(&mut session), ["CONNECT c clean=false keep=60"]);
    welcome(&mut session, true);
    let again = ["PUBREL #1 0x00", "PUBLISH dup q1 #2 b x", "PUBLISH dup q2 #3 c x"];
    let mut expected = again.to_vec();
    expected.push("PUBLISH q1 #4 d x");
    assert_eq!(sent(&mut session), expected);
    // The same message again is acknowledged and not delivered twice [MQTT-4.3.3-10 v5].
    let repeat = Publish { dup: true, ..incoming("in", QoS::ExactlyOnce, 9) };
    give(&mut session, &Packet::Publish(repeat));
    assert_eq!(sent(&mut session), ["PUBREC #9 0x00"]);
    assert_eq!(events(&mut session), ["connected true"]);
    give(&mut session, &Packet::PubRel(ack(9)));
    give(&mut session, &Packet::PubRel(ack(9)));
    assert_eq!(sent(&mut session), ["PUBCOMP #9 0x00", "PUBCOMP #9 0x92"]);
}

#[test]
fn a_lost_session_is_lost_here_too() {
    let mut session = online_with(kept(Version::V5), ConnAckProperties::default());
    publish(&mut session, "a", QoS::ExactlyOnce);
    publish(&mut session, "b", QoS::AtLeastOnce);
    publish(&mut session, "c", QoS::ExactlyOnce);
    give(&mut session, &Packet::PubRec(ack(1)));
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
    sent(&mut session);
    reconnect(&mut session, false);
    // QoS 1 starts anew, and of QoS 2 nobody knows, also of what waited for no more than PUBCOMP.
    let told = ["connected false", "published 1 SessionLost", "published 3 SessionLost"];
    assert_eq!(events(&mut session), told);
    assert_eq!(sent(&mut session), ["PUBLISH q1 #4 b x"]);
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
    assert_eq!(events(&mut session), ["message q2 in x"]);
}

/// What the client keeps is gone with the session that CONNECT says is to be forgotten.
///
/// `[MQTT-3.1.2-4 v5]` `[MQTT-3.1.2-6 v3.1.1]` `[MQTT-3.2.2-5 v5]` `[U5-3.1.2-1]`
#[test]
fn a_session_that_ends_with_its_connection_is_begun_anew() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut session = online(version);
        publish(&mut session, "a", QoS::ExactlyOnce);
        give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
        session.lose(Error::Closed);
        assert_eq!(events(&mut session), ["message q2 in x", "ended Closed"]);
        session.open(NOW);
        assert_eq!(sent(&mut session), ["CONNECT c clean=true keep=60"]);
        welcome(&mut session, false);
        assert_eq!(events(&mut session), ["connected false", "published 1 SessionLost"]);
        assert_eq!(sent(&mut session), Vec::<String>::new());
        give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
        assert_eq!(events(&mut session), ["message q2 in x"]);
    }
}

/// Hand-shakes in each state, over a connection that breaks.
///
/// `[MQTT-3.1.2-23 v5]` `[MQTT-3.1.3-2 v5]` `[MQTT-3.3.1-1 v5]` `[MQTT-4.1.0-1 v5]`
/// `[MQTT-4.3.2-3 v5]` `[MQTT-4.3.3-3 v5]` `[MQTT-4.3.3-5 v5]` `[MQTT-4.3.3-6 v5]`
/// `[MQTT-4.4.0-1 v5]` `[MQTT-4.6.0-1 v5]` `[U5-4.1.0-2]` `[MQTT-3.1.2-4 v3.1.1]`
/// `[MQTT-3.1.3-2 v3.1.1]` `[MQTT-3.3.1-1 v3.1.1]` `[MQTT-4.1.0-1 v3.1.1]`
/// `[MQTT-4.1.0-2 v3.1.1]` `[MQTT-4.3.2-1 v3.1.1]` `[MQTT-4.3.3-1 v3.1.1]`
/// `[MQTT-4.4.0-1 v3.1.1]` `[MQTT-4.6.0-1 v3.1.1]` `[MQTT-2.3.1-3 v3.1.1]` `[V31-4.2-1]`
/// `[V31-2.1-1]`
#[test]
fn what_is_not_settled_is_sent_again_in_its_order_and_only_then() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut session = online_with(kept(version), ConnAckProperties::default());
        for (topic, qos) in [
            ("a", QoS::ExactlyOnce),
            ("b", QoS::AtLeastOnce),
            ("c", QoS::ExactlyOnce),
            ("d", QoS::AtLeastOnce),
            ("e", QoS::ExactlyOnce),
        ] {
            publish(&mut session, topic, qos);
        }
        session.subscribe(&Subscribe::to("s", QoS::AtMostOnce)).expect("online");
        give(&mut session, &Packet::PubRec(ack(1)));
        give(&mut session, &Packet::PubAck(ack(2)));
        give(&mut session, &Packet::PubRec(ack(3)));
        give(&mut session, &Packet::PubComp(ack(3)));
        sent(&mut session);
        // Nothing is sent again while a connection lasts.
        session.tick(NOW + secs(30));
        assert_eq!(sent(&mut session), Vec::<String>::new());
        for _ in 0..2 {
            session.lose(Error::Closed);
            events(&mut session);
            session.open(NOW);
            assert_eq!(sent(&mut session), ["CONNECT c clean=false keep=60"]);
            welcome(&mut session, version != Version::V31);
            // Subscriptions are no part of the client's session.
            let again = ["PUBREL #1 0x00", "PUBLISH dup q1 #4 d x", "PUBLISH dup q2 #5 e x"];
            assert_eq!(sent(&mut session), again);
        }
        give(&mut session, &Packet::PubComp(ack(1)));
        give(&mut session, &Packet::PubAck(ack(4)));
        give(&mut session, &Packet::PubRec(ack(5)));
        give(&mut session, &Packet::PubComp(ack(5)));
        sent(&mut session);
        reconnect(&mut session, version != Version::V31);
        assert_eq!(sent(&mut session), Vec::<String>::new());
    }
}

/// The same for what comes in.
///
/// `[MQTT-4.3.2-5 v5]` `[MQTT-4.3.3-10 v5]` `[MQTT-4.3.3-11 v5]` `[MQTT-4.3.3-12 v5]`
/// `[MQTT-4.3.2-2 v3.1.1]` `[MQTT-4.3.3-2 v3.1.1]` `[V31-4.2-2]`
#[test]
fn a_message_of_qos_2_is_handed_over_once_until_it_is_released() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut session = online_with(kept(version), ConnAckProperties::default());
        let once = incoming("in", QoS::ExactlyOnce, 2);
        let again = Packet::Publish(Publish { dup: true, ..once.clone() });
        give(&mut session, &Packet::Publish(once));
        give(&mut session, &again);
        assert_eq!(events(&mut session), ["message q2 in x"]);
        assert_eq!(sent(&mut session), ["PUBREC #2 0x00"; 2]);
        reconnect(&mut session, version != Version::V31);
        events(&mut session);
        give(&mut session, &again);
        assert_eq!(events(&mut session), Vec::<String>::new());
        give(&mut session, &Packet::PubRel(ack(2)));
        assert_eq!(sent(&mut session), ["PUBREC #2 0x00", "PUBCOMP #2 0x00"]);
        // From then on it is a new message, whatever DUP says; so is each of QoS 1.
        give(&mut session, &again);
        for _ in 0..2 {
            let new = Publish { dup: true, ..incoming("in", QoS::AtLeastOnce, 1) };
            give(&mut session, &Packet::Publish(new));
        }
        let told = ["message dup q2 in x", "message dup q1 in x", "message dup q1 in x"];
        assert_eq!(events(&mut session), told);
    }
}

/// Who has sent a message has to see it through.
///
/// `[MQTT-4.3.3-7 v5]` `[MQTT-4.3.3-13 v5]`
#[test]
fn a_message_that_was_sent_does_not_expire() {
    let mut session = online_with(kept(Version::V5), ConnAckProperties::default());
    let brief = Message::new("a", "x").qos(QoS::ExactlyOnce);
    session.publish(Message { expiry_secs: Some(1), ..brief }).expect("legal");
    let later = NOW + secs(3600);
    session.lose(Error::Closed);
    session.open(later);
    sent(&mut session);
    let mut bytes = Vec::new();
    packet::ConnAck::new(true, ReasonCode::Success).encode(Version::V5, &mut bytes);
    session.receive(later, &bytes);
    assert_eq!(sent(&mut session), ["PUBLISH dup q2 #1 a x"]);
    give(&mut session, &Packet::PubRec(ack(1)));
    assert_eq!(sent(&mut session), ["PUBREL #1 0x00"]);
    give(&mut session, &Packet::PubComp(ack(1)));
    // Nor does what came in: its hand-shake runs to its end.
    let mut publish = incoming("in", QoS::ExactlyOnce, 7);
    publish.properties.message_expiry_secs = Some(0);
    give(&mut session, &Packet::Publish(publish));
    give(&mut session, &Packet::PubRel(ack(7)));
    assert_eq!(sent(&mut session), ["PUBREC #7 0x00", "PUBCOMP #7 0x00"]);
}

/// A server that takes less than before may have taken a message before: the identifier is free
/// once it has said so.
#[test]
fn a_message_that_can_no_longer_be_sent_gives_its_identifier_back_in_order() {
    for (known, told) in
        [(true, "Success"), (false, "Invalid(QoSNotSupported { max: AtMostOnce })")]
    {
        let mut session = online_with(kept(Version::V5), ConnAckProperties::default());
        publish(&mut session, "a", QoS::ExactlyOnce);
        publish(&mut session, "b", QoS::AtLeastOnce);
        session.lose(Error::Closed);
        session.open(NOW);
        sent(&mut session);
        let less = ConnAckProperties { maximum_qos: Some(QoS::AtMostOnce), ..Default::default() };
        welcome_with(&mut session, true, less);
        assert_eq!(sent(&mut session), ["PUBREL #1 0x00"]);
        let first = events(&mut session).pop();
        let refused = "published 2 Invalid(QoSNotSupported { max: AtMostOnce })";
        assert_eq!(first.as_deref(), Some(refused));
        let reason = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        give(&mut session, &Packet::PubComp(Ack::new(id(1), reason)));
        assert_eq!(events(&mut session), [format!("published 1 {told}")]);
        assert_eq!(session.open_requests(), 0);
    }
}

/// A connection that breaks before its CONNACK comes.
fn knock(session: &mut Owner) {
    session.lose(Error::Closed);
    session.open(NOW);
    sent(session);
    session.lose(Error::Closed);
    session.open(NOW);
    sent(session);
    events(session);
}

#[test]
fn a_session_that_an_unanswered_connect_may_have_begun_is_in_doubt() {
    let in_doubt = |session: &Owner| session.server().expect("online").session_in_doubt;
    let mut session = online_with(kept(Version::V5), ConnAckProperties::default());
    reconnect(&mut session, true);
    assert!(!in_doubt(&session));
    knock(&mut session);
    welcome(&mut session, true);
    assert!(in_doubt(&session));
    reconnect(&mut session, true);
    assert!(!in_doubt(&session));
    // A CONNECT of which nothing has left, and one that was refused, begin no session.
    session.lose(Error::Closed);
    session.open(NOW);
    reconnect(&mut session, true);
    assert!(!in_doubt(&session));
    session.lose(Error::Closed);
    session.open(NOW);
    sent(&mut session);
    let busy = packet::ConnAck::new(false, ReasonCode::ServerBusy);
    give(&mut session, &Packet::ConnAck(busy));
    reconnect(&mut session, true);
    assert!(!in_doubt(&session));
    // What the server says it has not kept is in no doubt.
    knock(&mut session);
    welcome(&mut session, false);
    assert!(!in_doubt(&session));
}

#[test]
fn a_first_sending_in_a_session_in_doubt_is_no_repeat_of_what_is_known() {
    for acknowledge in [Acknowledge::Automatically, Acknowledge::ByApplication] {
        let options = Options { acknowledge, ..kept(Version::V5) };
        let mut session = online_with(options, ConnAckProperties::default());
        let first = incoming("in", QoS::ExactlyOnce, 9);
        let again = || Publish { dup: true, ..first.clone() };
        give(&mut session, &Packet::Publish(first.clone()));
        assert_eq!(events(&mut session), ["message q2 in x"]);
        knock(&mut session);
        welcome(&mut session, true);
        // The server has kept it after all.
        give(&mut session, &Packet::Publish(again()));
        assert_eq!(events(&mut session), ["connected true"]);
        knock(&mut session);
        welcome(&mut session, true);
        give(&mut session, &Packet::Publish(first.clone()));
        assert_eq!(events(&mut session), ["connected true", "message q2 in x"]);
        give(&mut session, &Packet::Publish(again()));
        assert_eq!(events(&mut session), [""; 0]);
        // The application's word is for the one that it got last.
        let acks = std::mem::take(&mut session.acks);
        sent(&mut session);
        for ack in acks.iter().copied() {
            session.acknowledge(ack);
        }
        let expected = if acks.is_empty() { &[][..] } else { &["PUBREC #9 0x00"][..] };
        assert_eq!(sent(&mut session), expected);
    }
}

#[test]
fn what_a_doubtful_session_sent_and_the_application_accepted_is_in_no_doubt() {
    let options = Options { acknowledge: Acknowledge::ByApplication, ..kept(Version::V5) };
    for accepted_online in [true, false] {
        let mut session = online_with(options.clone(), ConnAckProperties::default());
        let before = incoming("before", QoS::ExactlyOnce, 8);
        let after = incoming("after", QoS::ExactlyOnce, 9);
        give(&mut session, &Packet::Publish(before.clone()));
        knock(&mut session);
        welcome(&mut session, true);
        give(&mut session, &Packet::Publish(after.clone()));
        events(&mut session);
        let acks = std::mem::take(&mut session.acks);
        if !accepted_online {
            session.lose(Error::Closed);
        }
        for ack in acks {
            session.acknowledge(ack);
        }
        reconnect(&mut session, true);
        // Not marked as a duplicate, as no server should send it again.
        give(&mut session, &Packet::Publish(after));
        assert_eq!(events(&mut session)[1..], [""; 0], "online: {accepted_online}");
        // What came before the doubt stays doubtful, whenever it was accepted.
        give(&mut session, &Packet::Publish(before));
        assert_eq!(events(&mut session), ["message q2 before x"], "online: {accepted_online}");
    }
}
