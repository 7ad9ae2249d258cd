//! How received messages reach the application, and when they are acknowledged.

mod fake;

use fake::{Fake, Peer};
use noctule_client::{
    Acknowledge, AuthError, Authenticator, Client, Connector, Error, Message, Options, QoS,
    ReasonCode, Reconnect, Subscribe, Subscription, Version,
};
use noctule_proto::packet::{Auth, ConnAckProperties, PublishProperties};
use noctule_proto::property::{PropertiesBuf, SubscriptionIds, UserProperties};
use noctule_proto::{Packet, PacketType};
use std::time::Duration;

/// A client with one subscription, and its server.
async fn subscribed(fake: &Fake, options: Options) -> (Client, Subscription, Peer) {
    let reconnect = Reconnect { delay_min: Duration::ZERO, ..Reconnect::default() };
    let connector = Connector::to(&fake.address(), options).expect("an address");
    let client = connector.reconnect(reconnect).start().expect("legal");
    let mut peer = fake.welcome(false).await;
    let (all, ()) = tokio::join!(client.subscribe(Subscribe::to("#", QoS::ExactlyOnce)), async {
        peer.next().await;
        peer.suback(1, &[2]).await;
    });
    (client, all.expect("granted"), peer)
}

async fn next(all: &mut Subscription) -> Message {
    let next = tokio::time::timeout(Duration::from_secs(20), all.recv()).await;
    next.expect("in time").expect("the client goes on")
}

#[tokio::test]
async fn what_the_application_acknowledges_is_acknowledged_then_and_in_order() {
    let fake = Fake::start(Version::V5).await;
    let mut options = Options::new("c");
    options.acknowledge = Acknowledge::ByApplication;
    options.session_expiry_secs = 60;
    let (client, mut all, mut peer) = subscribed(&fake, options).await;
    peer.publish("a", QoS::AtLeastOnce, 1).await;
    peer.publish("b", QoS::ExactlyOnce, 2).await;
    peer.publish("c", QoS::AtLeastOnce, 3).await;
    let (a, b, c) = (next(&mut all).await, next(&mut all).await, next(&mut all).await);
    peer.expect_silence().await;
    client.acknowledge(&c).expect("lives");
    client.acknowledge(&b).expect("lives");
    peer.expect_silence().await;
    client.reject(&a, ReasonCode::PayloadFormatInvalid).expect("lives");
    peer.expect(&["PUBACK #1 0x99", "PUBREC #2 0x00", "PUBACK #3 0x00"]).await;
    // A word on a message of QoS 1 that comes after a break is for nobody: the server repeats it.
    peer.publish("d", QoS::AtLeastOnce, 4).await;
    let d = next(&mut all).await;
    drop(peer);
    let mut peer = fake.welcome(true).await;
    client.acknowledge(&d).expect("lives");
    peer.publish("d", QoS::AtLeastOnce, 4).await;
    let again = next(&mut all).await;
    peer.expect_silence().await;
    client.acknowledge(&again).expect("lives");
    peer.expect(&["PUBACK #4 0x00"]).await;
}

#[tokio::test]
async fn an_application_that_lags_behind_is_given_the_servers_window_and_no_more() {
    const MANY: usize = 5000;
    let fake = Fake::start(Version::V5).await;
    let (client, mut all, mut peer) = subscribed(&fake, Options::new("c")).await;
    // A request without an answer makes the client read on.
    let pending = client.send(Message::new("t", "x").qos(QoS::AtLeastOnce)).await.expect("in line");
    peer.expect(&["PUBLISH q1 #2 t x"]).await;
    let mut acknowledged = 0;
    for number in 1..=MANY {
        peer.publish("a", QoS::AtLeastOnce, number as u16).await;
    }
    while acknowledged < 4095 {
        acknowledged += 1;
        peer.expect(&[&format!("PUBACK #{acknowledged} 0x00")]).await;
    }
    // More lies unread than is good: no acknowledgement, but the answer is heard.
    peer.expect_silence().await;
    peer.ack(PacketType::PubAck, 2).await;
    pending.await.expect("kept");
    for _ in 0..MANY {
        next(&mut all).await;
    }
    while acknowledged < MANY {
        acknowledged += 1;
        peer.expect(&[&format!("PUBACK #{acknowledged} 0x00")]).await;
    }
    assert_eq!(client.dropped(), 0);
}

#[tokio::test]
async fn a_qos_2_message_that_a_lagging_application_has_is_answered_after_a_break() {
    let fake = Fake::start(Version::V5).await;
    let mut options = Options::new("c");
    options.session_expiry_secs = 60;
    let (client, mut all, mut peer) = subscribed(&fake, options).await;
    // Requests without an answer make the client read on.
    let first = client.send(Message::new("t", "1").qos(QoS::AtLeastOnce)).await.expect("in line");
    let second = client.send(Message::new("t", "2").qos(QoS::AtLeastOnce)).await.expect("in line");
    peer.expect(&["PUBLISH q1 #2 t 1", "PUBLISH q1 #3 t 2"]).await;
    for _ in 0..4096 {
        peer.publish("a", QoS::AtMostOnce, 0).await;
    }
    peer.publish("b", QoS::ExactlyOnce, 7).await;
    peer.ack(PacketType::PubAck, 2).await;
    first.await.expect("kept");
    drop(peer);
    let mut peer = fake.welcome(true).await;
    peer.expect(&["PUBLISH dup q1 #3 t 2"]).await;
    peer.publish("b", QoS::ExactlyOnce, 7).await;
    peer.expect(&["PUBREC #7 0x00"]).await;
    peer.ack(PacketType::PubAck, 3).await;
    second.await.expect("kept");
    for _ in 0..4096 {
        assert_eq!(&*next(&mut all).await.topic, "a");
    }
    assert_eq!(&*next(&mut all).await.topic, "b");
}

#[tokio::test]
async fn what_came_for_a_subscription_that_was_refused_holds_nothing_up() {
    let fake = Fake::start(Version::V5).await;
    let (client, mut all, mut peer) = subscribed(&fake, Options::new("c")).await;
    let refused = client.subscribe(Subscribe::to("other", QoS::AtMostOnce));
    let (refused, ()) = tokio::join!(refused, async {
        peer.expect(&["SUBSCRIBE #2 id=3 other@0"]).await;
        for _ in 0..5000 {
            let mut id = [0; 5];
            let subscription_ids = SubscriptionIds::encode(3, &mut id);
            let properties = PublishProperties { subscription_ids, ..Default::default() };
            peer.publish_with("other", QoS::AtMostOnce, 0, properties).await;
        }
        peer.suback(2, &[0x87]).await;
    });
    assert!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");
    peer.publish("a", QoS::AtMostOnce, 0).await;
    assert_eq!(&*next(&mut all).await.topic, "a");
}

#[tokio::test]
async fn one_stream_for_all_brings_also_what_an_earlier_session_subscribed_to() {
    let fake = Fake::start(Version::V5).await;
    let connector = Connector::to(&fake.address(), Options::new("c")).expect("an address");
    let mut options = Options::new("c");
    options.clean_start = false;
    let client = Connector::to(&fake.address(), options).expect("an address").start();
    drop(connector);
    let client = client.expect("legal");
    let mut peer = fake.welcome(true).await;
    peer.publish("old", QoS::AtLeastOnce, 1).await;
    peer.expect(&["PUBACK #1 0x00"]).await;
    let mut everything = client.messages().await.expect("a stream");
    assert_eq!(&*next(&mut everything).await.topic, "old");
    peer.publish("new", QoS::AtMostOnce, 0).await;
    assert_eq!(&*next(&mut everything).await.topic, "new");
}

async fn respond(peer: &mut Peer, qos: QoS, id: u16, correlation: &[u8]) {
    let mut properties = PropertiesBuf::new();
    properties.correlation_data(correlation).expect("short");
    let others = properties.as_properties();
    let properties = PublishProperties { others, ..PublishProperties::default() };
    peer.publish_with("responses/a_b", qos, id, properties).await;
}

#[tokio::test]
async fn requests_find_their_responses_and_other_messages_do_not_pass_for_them() {
    let fake = Fake::start(Version::V5).await;
    let mut options = Options::new("a+b");
    options.acknowledge = Acknowledge::ByApplication;
    let connector = Connector::to(&fake.address(), options).expect("an address");
    let client = connector.reconnect(Reconnect::never()).start().expect("legal");
    let mut peer = fake.welcome(false).await;
    let (requesters, ()) = tokio::join!(
        async {
            let one = client.requester().await.expect("granted");
            (one, client.requester().await.expect("granted"))
        },
        async {
            peer.expect(&["SUBSCRIBE #1 id=2 responses/a_b@1"]).await;
            peer.suback(1, &[1]).await;
            peer.expect(&["SUBSCRIBE #2 id=3 responses/a_b@1"]).await;
            peer.suback(2, &[1]).await;
        }
    );
    let (one, other) = requesters;
    let ask = || Message::new("ask", "x");
    let patience = Duration::from_secs(20);
    let (first, second, ()) =
        tokio::join!(one.request(ask(), patience), other.request(ask(), patience), async {
            let (first, second) = (peer.next_correlation().await, peer.next_correlation().await);
            assert_ne!(first, second);
            respond(&mut peer, QoS::AtLeastOnce, 1, b"nobody").await;
            respond(&mut peer, QoS::AtLeastOnce, 2, &second).await;
            respond(&mut peer, QoS::AtLeastOnce, 3, &first).await;
            // Acknowledged by the library, whoever does so for other messages.
            peer.expect(&["PUBACK #1 0x00", "PUBACK #2 0x00", "PUBACK #3 0x00"]).await;
        });
    assert_eq!(first.expect("answered").packet_id, 3);
    assert_eq!(second.expect("answered").packet_id, 2);
    let late = one.request(ask(), Duration::from_millis(1)).await;
    assert!(matches!(late, Err(Error::NoResponse)), "{late:?}");
    let late = peer.next_correlation().await;
    // Those who wait when the client ends hear why; who asks then, at once.
    let (over, ()) = tokio::join!(one.request(ask(), patience), async {
        respond(&mut peer, QoS::AtMostOnce, 0, &late).await;
        peer.next_correlation().await;
        drop(peer);
    });
    assert!(matches!(over, Err(Error::Closed | Error::Failure(_))), "{over:?}");
    assert!(matches!(one.request(ask(), patience).await, Err(Error::Closed | Error::Failure(_))));
}

#[tokio::test]
async fn a_requester_that_is_refused_its_subscription_says_so() {
    let fake = Fake::start(Version::V5).await;
    let reconnect = Reconnect { delay_min: Duration::ZERO, ..Reconnect::default() };
    let connector = Connector::to(&fake.address(), Options::new("c")).expect("an address");
    let client = connector.reconnect(reconnect).start().expect("legal");
    let mut peer = fake.welcome(false).await;
    let (requester, ()) = tokio::join!(client.requester(), async {
        peer.expect(&["SUBSCRIBE #1 id=2 responses/c@1"]).await;
        peer.suback(1, &[1]).await;
    });
    let requester = requester.expect("granted");
    let patience = Duration::from_secs(20);
    let (refused, ()) =
        tokio::join!(requester.request(Message::new("ask", "x"), patience), async {
            peer.next_correlation().await;
            drop(peer);
            let mut peer = fake.welcome(false).await;
            peer.expect(&["SUBSCRIBE #2 id=2 responses/c@1"]).await;
            peer.suback(2, &[0x87]).await;
        });
    assert!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");
    let again = requester.request(Message::new("ask", "x"), patience).await;
    assert!(matches!(again, Err(Error::Rejected(_))), "{again:?}");
}

/// Says what it was told, backwards.
struct Echo;

impl Authenticator for Echo {
    fn method(&self) -> &str {
        "ECHO"
    }

    fn start(&mut self) -> Option<Vec<u8>> {
        Some(b"hello".to_vec())
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, AuthError> {
        Ok(challenge.iter().rev().copied().collect())
    }

    fn finish(&mut self, data: &[u8]) -> Result<(), AuthError> {
        if data == b"fine" { Ok(()) } else { Err(AuthError("not fine".into())) }
    }
}

fn auth(reason: ReasonCode, data: &'static [u8]) -> Packet<'static> {
    Packet::Auth(Auth {
        reason,
        method: Some("ECHO"),
        data: Some(data),
        reason_string: None,
        user_properties: UserProperties::EMPTY,
    })
}

#[tokio::test]
async fn challenges_are_answered_at_the_beginning_and_again_when_asked() {
    let fake = Fake::start(Version::V5).await;
    let connector = Connector::to(&fake.address(), Options::new("c")).expect("an address");
    let client = connector.authenticator(Box::new(Echo)).start().expect("legal");
    let (mut peer, _) = fake.accept().await;
    peer.send(&auth(ReasonCode::ContinueAuthentication, b"abc")).await;
    peer.expect(&["AUTH 0x18 cba"]).await;
    let welcome = ConnAckProperties {
        authentication_method: Some("ECHO"),
        authentication_data: Some(b"fine"),
        ..ConnAckProperties::default()
    };
    peer.connack(ReasonCode::Success, welcome).await;
    client.online().await.expect("let in");
    let (renewed, ()) = tokio::join!(client.reauthenticate(), async {
        peer.expect(&["AUTH 0x19 hello"]).await;
        peer.send(&auth(ReasonCode::ContinueAuthentication, b"xy")).await;
        peer.expect(&["AUTH 0x18 yx"]).await;
        peer.send(&auth(ReasonCode::Success, b"fine")).await;
    });
    renewed.expect("accepted");
    // Once for all who ask meanwhile.
    let given_up = tokio::time::timeout(Duration::from_millis(50), client.reauthenticate()).await;
    assert!(given_up.is_err());
    let (refused, ()) = tokio::join!(client.reauthenticate(), async {
        peer.expect(&["AUTH 0x19 hello"]).await;
        peer.expect_silence().await;
        peer.send(&auth(ReasonCode::Success, b"trust me")).await;
        peer.expect(&["DISCONNECT 0x80"]).await;
    });
    assert!(matches!(refused, Err(Error::Authentication(_))), "{refused:?}");
    assert!(matches!(client.online().await, Err(Error::Authentication(_))));
}
