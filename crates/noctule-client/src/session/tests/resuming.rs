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
    // What had been the server's is delivered, QoS 1 starts anew, and of QoS 2 nobody knows.
    let told = ["connected false", "published 1 Success", "published 3 SessionLost"];
    assert_eq!(events(&mut session), told);
    assert_eq!(sent(&mut session), ["PUBLISH q1 #4 b x"]);
    give(&mut session, &Packet::Publish(incoming("in", QoS::ExactlyOnce, 9)));
    assert_eq!(events(&mut session), ["message q2 in x"]);
}
