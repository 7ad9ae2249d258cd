//! Sessions that outlive their process.

use super::*;
use crate::options::Acknowledge;

const NOTHING: [&str; 0] = [];

/// A session whose changes are kept.
fn recorded(options: Options) -> Owner {
    let mut session = Owner::new(options);
    session.keep_changes();
    session.open(NOW);
    sent(&mut session);
    welcome(&mut session, false);
    session
}

fn restored(options: Options, changes: &[Change]) -> Owner {
    Owner::of(Session::restore(options, changes.to_vec()).expect("legal options"))
}

/// Connects and says what is sent first.
fn resume(session: &mut Owner, session_present: bool) -> Vec<String> {
    session.open(NOW);
    sent(session);
    welcome(session, session_present);
    sent(session)
}

/// `[U5-4.1.0-2]`
#[test]
fn another_process_goes_on_where_the_last_one_was() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut session = recorded(kept(version));
        for (topic, qos) in [
            ("a", QoS::ExactlyOnce),
            ("b", QoS::AtLeastOnce),
            ("c", QoS::ExactlyOnce),
            ("d", QoS::AtLeastOnce),
        ] {
            publish(&mut session, topic, qos);
        }
        give(&mut session, &Packet::PubRec(ack(1)));
        give(&mut session, &Packet::PubAck(ack(2)));
        give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 8)));
        give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
        give(&mut session, &Packet::PubRel(ack(8)));
        session.lose(Error::Closed);
        publish(&mut session, "e", QoS::AtLeastOnce);
        publish(&mut session, "f", QoS::AtMostOnce);
        let changes = session.take_changes();
        for changes in [changes, session.snapshot()] {
            let mut session = restored(kept(version), &changes);
            let expected = [
                "PUBREL #1 0x00",
                "PUBLISH dup q2 #3 c x",
                "PUBLISH dup q1 #4 d x",
                "PUBLISH q1 #5 e x",
            ];
            assert_eq!(resume(&mut session, true), expected);
            events(&mut session);
            give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
            give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 8)));
            assert_eq!(events(&mut session), ["message q2 in x"]);
            give(&mut session, &Packet::PubComp(ack(1)));
            give(&mut session, &Packet::PubAck(ack(4)));
            give(&mut session, &Packet::PubAck(ack(5)));
            let told = ["published 1 Success", "published 4 Success", "published 5 Success"];
            assert_eq!(events(&mut session), told);
        }
    }
}

#[test]
fn a_session_that_was_lost_meanwhile_is_lost_here_too() {
    let mut session = recorded(kept(Version::V5));
    publish(&mut session, "a", QoS::ExactlyOnce);
    publish(&mut session, "b", QoS::AtLeastOnce);
    publish(&mut session, "c", QoS::ExactlyOnce);
    give(&mut session, &Packet::PubRec(ack(1)));
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
    let mut changes = session.take_changes();
    let mut session = restored(kept(Version::V5), &changes);
    assert_eq!(resume(&mut session, false), ["PUBLISH q1 #4 b x"]);
    let told = ["connected false", "published 1 SessionLost", "published 3 SessionLost"];
    assert_eq!(events(&mut session), told);
    changes.extend(session.take_changes());
    // One change says it all: a list that breaks off there is as good.
    let at = changes.iter().position(|change| *change == Change::Forgotten).expect("forgotten");
    let mut cut = restored(kept(Version::V5), &changes[..=at]);
    assert_eq!(resume(&mut cut, true), ["PUBLISH q1 #1 b x"]);
    let mut session = restored(kept(Version::V5), &changes);
    assert_eq!(resume(&mut session, true), ["PUBLISH dup q1 #4 b x"]);
    assert_eq!(events(&mut session), ["connected true"]);
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
    assert_eq!(events(&mut session), ["message q2 in x"]);
}

#[test]
fn a_session_is_forgotten_whichever_side_of_it_there_is() {
    let sending = |session: &mut Owner| publish(session, "a", QoS::ExactlyOnce);
    let receiving = |session: &mut Owner| {
        give(session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
    };
    for one_side in [sending, receiving] {
        let mut session = recorded(kept(Version::V5));
        one_side(&mut session);
        reconnect(&mut session, false);
        let mut session = restored(kept(Version::V5), &session.take_changes());
        assert_eq!(resume(&mut session, true), NOTHING);
        give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
        assert_eq!(events(&mut session), ["connected true", "message q2 in x"]);
    }
}

/// `[MQTT-3.1.3-2 v5]` `[MQTT-3.1.3-2 v3.1.1]`
#[test]
fn another_client_identifier_is_another_session() {
    let mut session = recorded(kept(Version::V5));
    publish(&mut session, "a", QoS::ExactlyOnce);
    publish(&mut session, "b", QoS::AtLeastOnce);
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
    let changes = session.take_changes();
    let other = Options { client_id: "other".into(), clean_start: false, ..kept(Version::V5) };
    let mut session = restored(other, &changes);
    assert_eq!(events(&mut session), ["published 1 SessionLost"]);
    session.open(NOW);
    assert_eq!(sent(&mut session), ["CONNECT other clean=false keep=60"]);
    welcome(&mut session, true);
    assert_eq!(sent(&mut session), ["PUBLISH q1 #3 b x"]);
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
    assert_eq!(events(&mut session), ["connected true", "message q2 in x"]);
    let told = session.take_changes();
    assert_eq!(told[..2], [Change::Forgotten, Change::Identity("other".into())]);
}

#[test]
fn an_identifier_that_the_server_gave_outlives_the_process() {
    let nameless = Options { session_expiry_secs: 60, ..Options::default() };
    let mut session = Owner::new(nameless.clone());
    session.keep_changes();
    session.open(NOW);
    sent(&mut session);
    let assigned = ConnAckProperties { assigned_client_id: Some("auto"), ..Default::default() };
    welcome_with(&mut session, false, assigned);
    let mut session = restored(nameless, &session.take_changes());
    session.open(NOW);
    assert_eq!(sent(&mut session), ["CONNECT auto clean=false keep=60"]);
}

/// The application has dealt with a message, and the process dies before PUBREC could leave.
#[test]
fn the_word_on_qos_2_is_kept_before_it_is_sent() {
    let options = Options { acknowledge: Acknowledge::ByApplication, ..kept(Version::V5) };
    let mut session = recorded(options.clone());
    give(&mut session, &Packet::Publish(incoming("in", QoS::AtLeastOnce, 1)));
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 2)));
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 3)));
    let token = session.acks[1];
    session.acknowledge(token);
    assert_eq!(sent(&mut session), NOTHING);
    let mut session = restored(options, &session.take_changes());
    resume(&mut session, true);
    for (qos, number) in [(QoS::AtLeastOnce, 1), (QoS::ExactlyOnce, 2), (QoS::ExactlyOnce, 3)] {
        give(&mut session, &Packet::Publish(incoming("in", qos, number)));
    }
    assert_eq!(events(&mut session), ["connected true", "message q1 in x", "message q2 in x"]);
    for ack in session.acks.clone() {
        session.acknowledge(ack);
    }
    assert_eq!(sent(&mut session), ["PUBACK #1 0x00", "PUBREC #2 0x00", "PUBREC #3 0x00"]);
}

/// Identifiers of what is open may lie far apart, and around the end of their numbers.
#[test]
fn the_order_of_sending_outlives_the_process() {
    let mut session = recorded(kept(Version::V5));
    publish(&mut session, "first", QoS::ExactlyOnce);
    for number in 2..=40_000 {
        publish(&mut session, "t", QoS::AtLeastOnce);
        give(&mut session, &Packet::PubAck(ack(number)));
    }
    publish(&mut session, "last", QoS::ExactlyOnce);
    sent(&mut session);
    let expected = ["PUBLISH dup q2 #1 first x", "PUBLISH dup q2 #40001 last x"];
    let mut again = restored(kept(Version::V5), &session.take_changes());
    assert_eq!(resume(&mut again, true), expected);
    publish(&mut again, "next", QoS::AtLeastOnce);
    assert_eq!(sent(&mut again), ["PUBLISH q1 #40002 next x"]);
    session.lose(Error::Closed);
    assert_eq!(resume(&mut session, true), expected);
}

#[test]
fn tens_of_thousands_in_flight_are_settled_and_restored() {
    let mut session = recorded(kept(Version::V5));
    for _ in 1..=u16::MAX {
        publish(&mut session, "t", QoS::AtLeastOnce);
    }
    let last = session.publish(Message::new("t", "waits").qos(QoS::AtLeastOnce)).expect("legal");
    for number in (2..=u16::MAX).rev() {
        give(&mut session, &Packet::PubAck(ack(number)));
    }
    sent(&mut session);
    let changes = session.take_changes();
    assert!(!changes.contains(&Change::Sent { token: last, id: id(1) }));
    let mut session = restored(kept(Version::V5), &changes);
    let again = ["PUBLISH dup q1 #1 t x", "PUBLISH q1 #2 t waits"];
    assert_eq!(resume(&mut session, true), again);
}

#[test]
fn a_damaged_list_is_borne() {
    let token = Token::from_number(u64::MAX);
    let message = Message::new("a", "x").qos(QoS::AtLeastOnce);
    let changes = [
        Change::Identity("c".into()),
        Change::Released { token, id: id(7) },
        Change::Sent { token: Token::from_number(3), id: id(3) },
        Change::Queued { token, message: message.clone() },
        Change::Sent { token, id: id(9) },
        Change::Sent { token, id: id(8) },
        Change::Queued { token: Token::from_number(1), message },
        Change::Sent { token: Token::from_number(1), id: id(9) },
        Change::Queued {
            token: Token::from_number(2),
            message: Message::new("a/#", "x").qos(QoS::AtLeastOnce),
        },
        Change::Completed(id(4)),
        Change::Settled { token: Token::from_number(7) },
    ];
    let mut session = restored(kept(Version::V5), &changes);
    assert_eq!(events(&mut session), ["published 2 Invalid(TopicName(Wildcard))"]);
    publish(&mut session, "b", QoS::AtLeastOnce);
    assert_eq!(resume(&mut session, true), ["PUBLISH dup q1 #9 a x", "PUBLISH q1 #10 b x"]);
}

#[test]
fn a_doubt_outlives_the_process() {
    let mut session = recorded(kept(Version::V5));
    let before = incoming("before", QoS::ExactlyOnce, 8);
    let after = incoming("after", QoS::ExactlyOnce, 9);
    give(&mut session, &Packet::Publish(before.clone()));
    // A CONNECT without an answer may have begun the session anew.
    session.lose(Error::Closed);
    session.open(NOW);
    sent(&mut session);
    session.lose(Error::Closed);
    resume(&mut session, true);
    give(&mut session, &Packet::Publish(after.clone()));
    let changes = session.take_changes();
    for changes in [changes, session.snapshot()] {
        let mut session = restored(kept(Version::V5), &changes);
        resume(&mut session, true);
        events(&mut session);
        give(&mut session, &Packet::Publish(after.clone()));
        assert_eq!(events(&mut session), NOTHING);
        give(&mut session, &Packet::Publish(before.clone()));
        assert_eq!(events(&mut session), ["message q2 before x"]);
    }
}
