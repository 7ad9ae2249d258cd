//! Packets as they pass, shown to the application.

mod fake;

use fake::Fake;
use noctule_client::{
    Connector, Error, Layer, Message, Options, QoS, Reconnect, Subscribe, Tapped, Version,
};
use noctule_proto::PacketType;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Which way a packet goes, and its first byte.
fn short(tapped: Tapped<'_>) -> String {
    match tapped {
        Tapped::Sent(packet) => format!("> {:02x}", packet[0]),
        Tapped::Received(packet) => format!("< {:02x}", packet[0]),
    }
}

#[tokio::test]
async fn every_packet_is_shown_once_in_the_order_of_passing() {
    let fake = Fake::start(Version::V5).await;
    let (sender, seen) = channel();
    let look = move |tapped: Tapped<'_>| sender.send(short(tapped)).expect("the test listens");
    let reconnect = Reconnect { delay_min: Duration::ZERO, ..Reconnect::default() };
    let mut options = Options::new("c");
    options.session_expiry_secs = 600;
    let connector = Connector::to(&fake.address(), options).expect("an address");
    let client = connector.reconnect(reconnect).tap(look).start().expect("legal");
    let mut peer = fake.welcome(false).await;
    let (messages, ()) =
        tokio::join!(client.subscribe(Subscribe::to("a", QoS::AtMostOnce)), peer.suback(1, &[0]));
    let mut messages = messages.expect("granted");
    peer.publish("a", QoS::AtMostOnce, 0).await;
    assert_eq!(&messages.recv().await.expect("it was sent").payload[..], b"x");
    let sent = client.send(Message::new("b", "y").qos(QoS::AtLeastOnce)).await.expect("in line");
    peer.expect(&["SUBSCRIBE #1 id=2 a@0", "PUBLISH q1 #2 b y"]).await;
    drop(peer);
    let mut peer = fake.welcome(true).await;
    peer.expect(&["PUBLISH dup q1 #2 b y"]).await;
    peer.ack(PacketType::PubAck, 2).await;
    sent.await.expect("acknowledged");
    let (left, ()) = tokio::join!(client.disconnect(), async {
        peer.expect(&["DISCONNECT 0x00"]).await;
        drop(peer);
    });
    left.expect("said");
    let seen: Vec<String> = seen.try_iter().collect();
    let first = ["> 10", "< 20", "> 82", "< 90", "< 30", "> 32"];
    let second = ["> 10", "< 20", "> 3a", "< 40", "> e0"];
    assert_eq!(seen, [&first[..], &second[..]].concat());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_from_a_connection_that_broke() {
    let fake = Fake::start(Version::V5).await;
    let address = fake.address();
    let connect = || Connector::to(&address, Options::new("c")).expect("an address").connect();
    let (broken, ()) = tokio::join!(connect(), async { drop(fake.accept().await) });
    let broken = broken.expect_err("it hung up");
    assert!(!matches!(&broken, Error::Failure(f) if f.layer == Layer::Reach));
    drop(fake);
    match connect().await.expect_err("nobody listens") {
        Error::Failure(failure) => {
            assert_eq!(failure.layer, Layer::Reach);
            let error = failure.os_error.map(std::io::Error::from_raw_os_error);
            let kind = error.map(|error| error.kind());
            assert_eq!(kind, Some(std::io::ErrorKind::ConnectionRefused));
        }
        other => panic!("{other:?}"),
    }
}
