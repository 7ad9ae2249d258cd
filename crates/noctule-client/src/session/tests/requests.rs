//! SUBSCRIBE and UNSUBSCRIBE.

use super::*;

#[test]
fn subscribe_and_unsubscribe_bring_a_code_for_each_filter() {
    let mut session = online(Version::V5);
    let both = Subscribe::to("a", QoS::AtLeastOnce).and("b/#", SubscribeOptions::default());
    session.subscribe(&both).expect("online");
    session.unsubscribe(&Unsubscribe::from("a").and("b/#")).expect("online");
    assert_eq!(sent(&mut session), ["SUBSCRIBE #1 a@1 b/#@0", "UNSUBSCRIBE #2 a b/#"]);
    give(&mut session, &Packet::SubAck(SubAck::new(id(1), &[1, 0x87])));
    give(&mut session, &Packet::UnsubAck(SubAck::new(id(2), &[0, 0x11])));
    let told = [
        "subscribed 1 [GrantedQoS1, NotAuthorized]",
        "unsubscribed 2 [Success, NoSubscriptionExisted]",
    ];
    assert_eq!(events(&mut session), told);
    let mut old = online(Version::V311);
    old.unsubscribe(&Unsubscribe::from("a").and("b")).expect("online");
    give(&mut old, &Packet::UnsubAck(SubAck::new(id(1), &[])));
    assert_eq!(events(&mut old), ["unsubscribed 1 [Success, Success]"]);
}

#[test]
fn requests_die_with_their_connection_and_their_identifiers_are_free_again() {
    let mut session = online_with(kept(Version::V5), ConnAckProperties::default());
    session.subscribe(&Subscribe::to("a", QoS::AtMostOnce)).expect("online");
    session.lose(Error::Closed);
    assert_eq!(events(&mut session), ["subscribed 1 Closed", "ended Closed"]);
    let offline = session.subscribe(&Subscribe::to("a", QoS::AtMostOnce));
    assert!(matches!(offline, Err(Error::NotConnected)));
    assert_eq!(session.open_requests(), 0);
}
