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
    all.recv().await.expect("the client goes on")
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

#[tokio::test]
async fn a_request_finds_its_response_and_another_message_does_not_pass_for_it() {
    let fake = Fake::start(Version::V5).await;
    let reconnect = Reconnect::never();
    let connector = Connector::to(&fake.address(), Options::new("asker")).expect("an address");
    let client = connector.reconnect(reconnect).start().expect("legal");
    let serving = async {
        let mut peer = fake.welcome(false).await;
        peer.expect(&["SUBSCRIBE #1 id=2 responses/asker@1"]).await;
        peer.suback(1, &[1]).await;
        peer.expect(&["PUBLISH q0 ask x"]).await;
        for data in [&b"nobody"[..], &1_u64.to_be_bytes()] {
            let mut properties = PropertiesBuf::new();
            properties.correlation_data(data).expect("short");
            let others = properties.as_properties();
            let properties = PublishProperties { others, ..PublishProperties::default() };
            peer.publish_with("responses/asker", QoS::AtMostOnce, 0, properties).await;
        }
        peer.expect(&["PUBLISH q0 ask x"]).await;
        peer
    };
    let asking = async {
        let requester = client.requester().await.expect("granted");
        let patience = Duration::from_secs(20);
        let response = requester.request(Message::new("ask", "x"), patience).await;
        let late = requester.request(Message::new("ask", "x"), Duration::from_millis(1)).await;
        (response.expect("answered"), late)
    };
    let ((response, late), _peer) = tokio::join!(asking, serving);
    assert_eq!(
        response.properties.as_properties().correlation_data(),
        Some(&1_u64.to_be_bytes()[..])
    );
    assert!(matches!(late, Err(Error::NoAnswer(_))), "{late:?}");
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
