//! Acknowledgements by the application.

use super::*;
use crate::options::Acknowledge;

fn by_application(version: Version) -> Options {
    Options { acknowledge: Acknowledge::ByApplication, ..kept(version) }
}

fn receive(session: &mut Owner, qos: QoS, number: u16) {
    give(session, &Packet::Publish(incoming("in", qos, number)));
}

fn repeat(session: &mut Owner, qos: QoS, number: u16) {
    give(session, &Packet::Publish(Publish { dup: true, ..incoming("in", qos, number) }));
}

const NOTHING: [&str; 0] = [];

/// `[MQTT-4.6.0-2 v5]` `[MQTT-4.6.0-3 v5]` `[MQTT-4.6.0-2 v3.1.1]` `[MQTT-4.6.0-3 v3.1.1]`
#[test]
fn nothing_is_acknowledged_before_the_application_says_so() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut session = online_with(by_application(version), ConnAckProperties::default());
        receive(&mut session, QoS::AtMostOnce, 0);
        receive(&mut session, QoS::AtLeastOnce, 1);
        receive(&mut session, QoS::ExactlyOnce, 2);
        receive(&mut session, QoS::AtLeastOnce, 3);
        assert_eq!(sent(&mut session), NOTHING);
        let acks = session.acks.clone();
        assert_eq!(acks.len(), 3);
        session.acknowledge(acks[2]);
        session.acknowledge(acks[1]);
        assert_eq!(sent(&mut session), NOTHING);
        session.acknowledge(acks[0]);
        assert_eq!(sent(&mut session), ["PUBACK #1 0x00", "PUBREC #2 0x00", "PUBACK #3 0x00"]);
        acks.iter().for_each(|ack| session.acknowledge(*ack));
        assert_eq!(sent(&mut session), NOTHING);
        give(&mut session, &Packet::PubRel(ack(2)));
        assert_eq!(sent(&mut session), ["PUBCOMP #2 0x00"]);
    }
}

#[test]
fn a_refusal_says_why_where_it_can() {
    for (version, code) in [(Version::V311, "0x00"), (Version::V5, "0x97")] {
        let mut session = online_with(by_application(version), ConnAckProperties::default());
        receive(&mut session, QoS::AtLeastOnce, 1);
        receive(&mut session, QoS::ExactlyOnce, 2);
        for ack in session.acks.clone() {
            session.reject(ack, ReasonCode::QuotaExceeded);
        }
        let expected = [format!("PUBACK #1 {code}"), format!("PUBREC #2 {code}")];
        assert_eq!(sent(&mut session), expected);
    }
    let mut session = online_with(by_application(Version::V5), ConnAckProperties::default());
    receive(&mut session, QoS::AtLeastOnce, 1);
    let token = session.acks[0];
    // What a client must not say becomes what it may.
    session.reject(token, ReasonCode::SessionTakenOver);
    assert_eq!(sent(&mut session), ["PUBACK #1 0x80"]);
}

/// `[MQTT-4.3.3-9 v5]`
#[test]
fn after_a_refusal_the_identifier_means_a_new_message() {
    let mut session = online_with(by_application(Version::V5), ConnAckProperties::default());
    receive(&mut session, QoS::ExactlyOnce, 2);
    let token = session.acks[0];
    session.reject(token, ReasonCode::QuotaExceeded);
    receive(&mut session, QoS::ExactlyOnce, 2);
    assert_eq!(events(&mut session), ["message q2 in x"; 2]);
}

#[test]
fn a_late_word_on_qos_1_is_void_and_on_qos_2_it_counts() {
    let mut session = online_with(by_application(Version::V5), ConnAckProperties::default());
    receive(&mut session, QoS::AtLeastOnce, 1);
    receive(&mut session, QoS::ExactlyOnce, 2);
    let acks = session.acks.clone();
    reconnect(&mut session, true);
    acks.iter().for_each(|ack| session.acknowledge(*ack));
    events(&mut session);
    repeat(&mut session, QoS::AtLeastOnce, 1);
    repeat(&mut session, QoS::ExactlyOnce, 2);
    // QoS 1 is there again, and is acknowledged again; QoS 2 only waits for its turn.
    assert_eq!(events(&mut session), ["message dup q1 in x"]);
    assert_eq!(sent(&mut session), NOTHING);
    let again = session.acks[2];
    session.acknowledge(again);
    assert_eq!(sent(&mut session), ["PUBACK #1 0x00", "PUBREC #2 0x00"]);
}

#[test]
fn a_word_given_without_a_connection_counts_on_the_next() {
    let mut session = online_with(by_application(Version::V5), ConnAckProperties::default());
    receive(&mut session, QoS::ExactlyOnce, 1);
    receive(&mut session, QoS::ExactlyOnce, 2);
    let acks = session.acks.clone();
    session.lose(Error::Closed);
    session.acknowledge(acks[0]);
    session.reject(acks[1], ReasonCode::QuotaExceeded);
    assert_eq!(session.output(), b"");
    reconnect(&mut session, true);
    events(&mut session);
    repeat(&mut session, QoS::ExactlyOnce, 1);
    repeat(&mut session, QoS::ExactlyOnce, 2);
    assert_eq!(events(&mut session), NOTHING);
    assert_eq!(sent(&mut session), ["PUBREC #1 0x00", "PUBREC #2 0x97"]);
}

#[test]
fn a_word_on_a_message_of_a_lost_session_is_void() {
    let mut session = online_with(by_application(Version::V5), ConnAckProperties::default());
    receive(&mut session, QoS::ExactlyOnce, 1);
    let old = session.acks[0];
    reconnect(&mut session, false);
    receive(&mut session, QoS::ExactlyOnce, 1);
    session.acknowledge(old);
    assert_eq!(sent(&mut session), NOTHING);
    let new = session.acks[1];
    session.acknowledge(new);
    assert_eq!(sent(&mut session), ["PUBREC #1 0x00"]);
}

/// A message that the server sends twice on one connection, as 3.1 lets it.
#[test]
fn a_message_that_comes_twice_does_not_hold_up_what_follows() {
    let mut session = online_with(by_application(Version::V31), ConnAckProperties::default());
    receive(&mut session, QoS::AtLeastOnce, 1);
    repeat(&mut session, QoS::AtLeastOnce, 1);
    receive(&mut session, QoS::ExactlyOnce, 2);
    repeat(&mut session, QoS::ExactlyOnce, 2);
    receive(&mut session, QoS::AtLeastOnce, 3);
    let told = ["message q1 in x", "message dup q1 in x", "message q2 in x", "message q1 in x"];
    assert_eq!(events(&mut session), told);
    for ack in session.acks.clone() {
        session.acknowledge(ack);
    }
    let expected = ["PUBACK #1 0x00", "PUBACK #1 0x00", "PUBREC #2 0x00", "PUBACK #3 0x00"];
    assert_eq!(sent(&mut session), expected);
}

/// A repeat that got no answer before the connection broke, and then is released.
#[test]
fn an_identifier_is_free_after_pubrel_whatever_waited() {
    let mut session = online_with(by_application(Version::V5), ConnAckProperties::default());
    receive(&mut session, QoS::ExactlyOnce, 2);
    let token = session.acks[0];
    session.acknowledge(token);
    reconnect(&mut session, true);
    receive(&mut session, QoS::AtLeastOnce, 1);
    repeat(&mut session, QoS::ExactlyOnce, 2);
    reconnect(&mut session, true);
    events(&mut session);
    give(&mut session, &Packet::PubRel(ack(2)));
    assert_eq!(sent(&mut session), ["PUBCOMP #2 0x00"]);
    receive(&mut session, QoS::ExactlyOnce, 2);
    assert_eq!(events(&mut session), ["message q2 in x"]);
}

#[test]
fn what_waits_for_the_application_counts_against_the_receive_maximum() {
    let mut options = by_application(Version::V5);
    options.receive_maximum = 2;
    let mut session = online_with(options, ConnAckProperties::default());
    receive(&mut session, QoS::AtLeastOnce, 1);
    receive(&mut session, QoS::ExactlyOnce, 2);
    let acks = session.acks.clone();
    acks.iter().for_each(|ack| session.acknowledge(*ack));
    // PUBREC is not the end of it.
    receive(&mut session, QoS::AtLeastOnce, 3);
    assert!(session.is_online());
    sent(&mut session);
    receive(&mut session, QoS::AtLeastOnce, 4);
    assert_eq!(sent(&mut session), ["DISCONNECT 0x93"]);
}

#[test]
fn tens_of_thousands_may_wait() {
    let mut session = online_with(by_application(Version::V5), ConnAckProperties::default());
    for number in 1..=u16::MAX {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        receive(&mut session, qos, number);
    }
    for ack in session.acks.clone().into_iter().rev() {
        session.acknowledge(ack);
    }
    assert_eq!(sent(&mut session).len(), usize::from(u16::MAX));
}
