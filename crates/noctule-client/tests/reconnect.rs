//! Connections that break, and what becomes of what was under way.

mod fake;

use fake::Fake;
use noctule_client::{
    Client, Connector, Error, Invalid, Message, Options, QoS, ReasonCode, Reconnect, State,
    Subscribe, Unsubscribe, Version,
};
use noctule_proto::PacketType;
use noctule_proto::packet::{ConnAckProperties, Disconnect};
use std::time::Duration;
use tokio::time::timeout;

/// Long enough for any machine; a test that fails waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// At once, so that no test waits for it.
fn at_once() -> Reconnect {
    Reconnect { first: true, delay_min: Duration::ZERO, ..Reconnect::default() }
}

fn options(client_id: &str) -> Options {
    let mut options = Options::new(client_id);
    options.session_expiry_secs = 600;
    options
}

fn connector(fake: &Fake, options: Options) -> Connector {
    Connector::to(&fake.address(), options).expect("an address").reconnect(at_once())
}

fn start(fake: &Fake) -> Client {
    connector(fake, options("c")).start().expect("legal")
}

fn message(topic: &str, qos: QoS) -> Message {
    Message::new(topic, "x").qos(qos)
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_and_its_promise_kept() {
    let fake = Fake::start(Version::V5).await;
    let client = start(&fake);
    let mut peer = fake.welcome(false).await;
    let one = client.send(message("one", QoS::AtLeastOnce)).await.expect("in line");
    let two = client.send(message("two", QoS::ExactlyOnce)).await.expect("in line");
    peer.expect(&["PUBLISH q1 #1 one x", "PUBLISH q2 #2 two x"]).await;
    drop(peer);
    let mut peer = fake.welcome(true).await;
    peer.expect(&["PUBLISH dup q1 #1 one x", "PUBLISH dup q2 #2 two x"]).await;
    peer.ack(PacketType::PubRec, 2).await;
    peer.expect(&["PUBREL #2 0x00"]).await;
    drop(peer);
    let mut peer = fake.welcome(true).await;
    peer.expect(&["PUBREL #2 0x00", "PUBLISH dup q1 #1 one x"]).await;
    peer.ack(PacketType::PubComp, 2).await;
    peer.ack(PacketType::PubAck, 1).await;
    assert_eq!(two.await.expect("kept"), ReasonCode::Success);
    assert_eq!(one.await.expect("kept"), ReasonCode::Success);
}

#[tokio::test]
async fn a_server_that_has_lost_the_session_is_asked_for_the_subscriptions_again() {
    let fake = Fake::start(Version::V5).await;
    let client = start(&fake);
    let mut peer = fake.welcome(false).await;
    let (subscribed, ()) =
        tokio::join!(client.subscribe(Subscribe::to("a/#", QoS::AtLeastOnce)), {
            async {
                peer.expect(&["SUBSCRIBE #1 id=2 a/#@1"]).await;
                peer.suback(1, &[1]).await;
            }
        });
    let mut all = subscribed.expect("granted");
    // Kept: nothing to ask.
    drop(peer);
    let mut peer = fake.welcome(true).await;
    peer.publish("a/1", QoS::AtMostOnce, 0).await;
    assert_eq!(&*all.recv().await.expect("goes on").topic, "a/1");
    // Lost: the same again.
    drop(peer);
    let mut peer = fake.welcome(false).await;
    peer.expect(&["SUBSCRIBE #2 id=2 a/#@1"]).await;
    peer.suback(2, &[1]).await;
    peer.publish("a/2", QoS::AtMostOnce, 0).await;
    assert_eq!(&*all.recv().await.expect("goes on").topic, "a/2");
    // Lost, and not granted any more.
    drop(peer);
    let mut peer = fake.welcome(false).await;
    peer.expect(&["SUBSCRIBE #3 id=2 a/#@1"]).await;
    peer.suback(3, &[0x87]).await;
    assert!(all.recv().await.is_none());
    let Some(Error::Rejected(notice)) = all.end() else { panic!("{:?}", all.end()) };
    assert_eq!(notice.reason, ReasonCode::NotAuthorized);
    assert!(client.end().is_none());
}

#[tokio::test]
async fn requests_that_a_break_leaves_unanswered_are_asked_again() {
    let fake = Fake::start(Version::V311).await;
    let mut v311 = Options::new("c");
    (v311.version, v311.clean_start) = (Version::V311, false);
    let client = connector(&fake, v311).start().expect("legal");
    let asking = client.clone();
    let asked = tokio::spawn(async move {
        let all = asking.subscribe(Subscribe::to("a", QoS::AtMostOnce)).await.expect("granted");
        let codes = asking.unsubscribe(Unsubscribe::from("a")).await.expect("granted");
        (all.codes().to_vec(), codes)
    });
    let mut peer = fake.welcome(false).await;
    peer.expect(&["SUBSCRIBE #1 a@0"]).await;
    drop(peer);
    let mut peer = fake.welcome(true).await;
    peer.expect(&["SUBSCRIBE #2 a@0"]).await;
    peer.suback(2, &[0]).await;
    peer.expect(&["UNSUBSCRIBE #3 a"]).await;
    drop(peer);
    let mut peer = fake.welcome(true).await;
    peer.expect(&["UNSUBSCRIBE #4 a"]).await;
    peer.unsuback(4).await;
    let (granted, ended) = asked.await.expect("no panic");
    assert_eq!((granted, ended), (vec![ReasonCode::Success], vec![ReasonCode::Success]));
}

#[tokio::test]
async fn while_there_is_no_server_messages_wait_in_a_line_that_ends() {
    let fake = Fake::start(Version::V5).await;
    let client = connector(&fake, options("c")).queue_max(3).start().expect("legal");
    // The line, and what the channel before it holds, are finite.
    let mut in_line = 0;
    let full = loop {
        let sending = client.send(message("t", QoS::AtLeastOnce));
        match timeout(Duration::from_millis(200), sending).await {
            Ok(sent) => drop(sent.expect("in line")),
            Err(_) => break in_line,
        }
        in_line += 1;
        assert!(in_line < 1000, "no end of it");
    };
    // Whoever waits does not keep others from ending it.
    let waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.send(message("t", QoS::AtLeastOnce)).await });
    timeout(PATIENCE, client.disconnect()).await.expect("in time").expect("said");
    let end = waiting.await.expect("no panic").map(drop);
    assert!(matches!(end, Err(Error::Finished)), "{end:?} after {full}");
}

#[tokio::test]
async fn what_waited_for_the_first_connection_is_sent_in_order() {
    let fake = Fake::start(Version::V5).await;
    let client = start(&fake);
    let mut receipts = Vec::new();
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtMostOnce] {
        receipts.push(client.send(message("t", qos)).await.expect("in line"));
    }
    let mut peer = fake.welcome(false).await;
    peer.expect(&["PUBLISH q0 t x", "PUBLISH q1 #1 t x", "PUBLISH q0 t x"]).await;
    peer.ack(PacketType::PubAck, 1).await;
    for receipt in receipts {
        receipt.await.expect("kept");
    }
    client.disconnect().await.expect("said");
    peer.expect(&["DISCONNECT 0x00", "closed"]).await;
}

#[tokio::test]
async fn wrong_credentials_and_a_namesake_end_it() {
    let fake = Fake::start(Version::V5).await;
    let client = start(&fake);
    let (mut peer, _) = fake.accept().await;
    peer.connack(ReasonCode::BadUserNameOrPassword, ConnAckProperties::default()).await;
    let Err(Error::Refused(notice)) = client.online().await else { panic!("refused") };
    assert_eq!(notice.reason, ReasonCode::BadUserNameOrPassword);
    let client = start(&fake);
    let mut peer = fake.welcome(false).await;
    client.online().await.expect("let in");
    let taken = Disconnect::new(ReasonCode::SessionTakenOver);
    peer.send(&noctule_proto::Packet::Disconnect(taken)).await;
    let mut states = client.states();
    let ended = states.wait_for(|state| matches!(state, State::Ended(_))).await.expect("told");
    assert!(matches!(&*ended, State::Ended(Error::Disconnected(_))), "{ended:?}");
}

#[tokio::test]
async fn a_connect_that_was_given_up_and_comes_late_does_not_end_the_client() {
    let fake = Fake::start(Version::V5).await;
    let client = start(&fake);
    // The connection breaks while CONNECT is on its way.
    drop(fake.accept().await);
    for _ in 0..2 {
        let mut peer = fake.welcome(false).await;
        client.online().await.expect("let in");
        let taken = Disconnect::new(ReasonCode::SessionTakenOver);
        peer.send(&noctule_proto::Packet::Disconnect(taken)).await;
        peer.expect(&["closed"]).await;
    }
    // Once it was our own; twice is another's.
    let mut states = client.states();
    states.wait_for(|state| matches!(state, State::Ended(_))).await.expect("told");
}

/// `[U5-4.11.0-1]`
#[tokio::test]
async fn a_server_that_names_another_is_left_for_it_if_so_asked() {
    let (here, there) = (Fake::start(Version::V5).await, Fake::start(Version::V5).await);
    let address = there.address();
    let elsewhere = ConnAckProperties {
        server_reference: Some(address.as_str()),
        ..ConnAckProperties::default()
    };
    let client = connector(&here, options("c")).follow_redirects(true).start().expect("legal");
    let (mut peer, _) = here.accept().await;
    peer.connack(ReasonCode::UseAnotherServer, elsewhere.clone()).await;
    let peer = there.welcome(false).await;
    client.online().await.expect("let in");
    // For one connection only.
    drop(peer);
    let (mut peer, _) = here.accept().await;
    peer.connack(ReasonCode::ServerMoved, elsewhere.clone()).await;
    drop(there.welcome(false).await);
    // For good.
    drop(there.welcome(false).await);
    client.disconnect().await.expect("said");

    let client = connector(&here, options("c")).start().expect("legal");
    let (mut peer, _) = here.accept().await;
    peer.connack(ReasonCode::UseAnotherServer, elsewhere).await;
    let Err(Error::Refused(notice)) = client.online().await else { panic!("refused") };
    assert_eq!(notice.server_reference.as_deref(), Some(there.address().as_str()));
}

#[tokio::test]
async fn the_last_handle_takes_the_connection_with_it() {
    let fake = Fake::start(Version::V5).await;
    let client = start(&fake);
    let mut peer = fake.welcome(false).await;
    client.online().await.expect("let in");
    let all = client.messages().await.expect("a stream");
    drop(client);
    peer.expect_silence().await;
    drop(all);
    peer.expect(&["DISCONNECT 0x00", "closed"]).await;
}

#[tokio::test]
async fn what_is_in_line_goes_before_the_good_bye() {
    let fake = Fake::start(Version::V5).await;
    for by_drop in [false, true] {
        let client = start(&fake);
        let mut peer = fake.welcome(false).await;
        client.online().await.expect("let in");
        // The driver takes none of them before the end: it shares this one thread.
        let mut receipts = Vec::new();
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtMostOnce] {
            receipts.push(client.send(message("t", qos)).await.expect("in line"));
        }
        let leaving =
            async { if by_drop { drop(client) } else { client.disconnect().await.expect("said") } };
        tokio::join!(leaving, async {
            peer.expect(&["PUBLISH q0 t x", "PUBLISH q1 #1 t x", "PUBLISH q0 t x"]).await;
            peer.expect(&["DISCONNECT 0x00", "closed"]).await;
            drop(peer);
        });
        let mut kept = Vec::new();
        for receipt in receipts {
            kept.push(receipt.await.is_ok());
        }
        assert_eq!(kept, [true, false, true]);
    }
}

#[tokio::test]
async fn a_long_line_goes_before_the_good_bye_however_slowly_the_server_reads() {
    let fake = Fake::start(Version::V5).await;
    let client = start(&fake);
    let mut peer = fake.welcome(false).await;
    client.online().await.expect("let in");
    // More than the sockets hold.
    let large = || Message::new("t", vec![b'x'; 1 << 20]);
    let sending = client.clone();
    let sent = tokio::spawn(async move {
        let mut receipts = Vec::new();
        for _ in 0..16 {
            receipts.push(sending.send(large()).await.expect("in line"));
        }
        drop(sending.disconnect().await);
        for receipt in receipts {
            receipt.await.expect("it was sent");
        }
    });
    for _ in 0..16 {
        assert!(peer.next().await.starts_with("PUBLISH q0 t xxx"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    peer.expect(&["DISCONNECT 0x00", "closed"]).await;
    drop(peer);
    sent.await.expect("no panic");
}

#[tokio::test]
async fn a_server_that_does_not_close_does_not_spoil_what_was_sent() {
    let fake = Fake::start(Version::V5).await;
    let client = start(&fake);
    let mut peer = fake.welcome(false).await;
    client.online().await.expect("let in");
    let receipt = client.send(message("t", QoS::AtMostOnce)).await.expect("in line");
    client.disconnect().await.expect("said");
    receipt.await.expect("it was sent");
    peer.expect(&["PUBLISH q0 t x", "DISCONNECT 0x00", "closed"]).await;
}

#[tokio::test]
async fn who_leaves_while_connecting_leaves_no_will_behind() {
    let fake = Fake::start(Version::V5).await;
    let client = start(&fake);
    let (mut peer, _) = fake.accept().await;
    client.disconnect().await.expect("said");
    peer.expect(&["DISCONNECT 0x00", "closed"]).await;
}

#[test]
fn the_end_of_the_runtime_is_the_end_of_its_clients() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (first, second) = (runtime().expect("one"), runtime().expect("another"));
    let client = first.block_on(async {
        let fake = Fake::start(Version::V5).await;
        start(&fake)
    });
    drop(first);
    let end = second.block_on(async { timeout(PATIENCE, client.online()).await });
    let end = end.expect("in time").map(drop);
    let Err(Error::Failure(failure)) = end else { panic!("{end:?}") };
    assert!(failure.what.contains("runtime"), "{failure:?}");
}

#[tokio::test]
async fn servers_that_send_us_to_and_fro_are_left_in_the_end() {
    let (here, there) = (Fake::start(Version::V5).await, Fake::start(Version::V5).await);
    let client = connector(&here, options("c")).follow_redirects(true).start().expect("legal");
    let sends_on = async |from: &Fake, to: &Fake| loop {
        let mut peer = from.welcome(false).await;
        let address = to.address();
        let elsewhere = Disconnect {
            server_reference: Some(address.as_str()),
            ..Disconnect::new(ReasonCode::ServerMoved)
        };
        peer.send(&noctule_proto::Packet::Disconnect(elsewhere)).await;
    };
    let mut states = client.states();
    let ended = tokio::select! {
        ended = states.wait_for(|state| matches!(state, State::Ended(_))) => ended.expect("told"),
        () = sends_on(&here, &there) => unreachable!("it goes on"),
        () = sends_on(&there, &here) => unreachable!("it goes on"),
        () = tokio::time::sleep(PATIENCE) => panic!("no end of it"),
    };
    assert!(matches!(&*ended, State::Ended(Error::Disconnected(_))), "{ended:?}");
}

#[tokio::test]
async fn a_subscription_that_was_given_up_before_it_was_asked_for_is_not_asked_for() {
    let fake = Fake::start(Version::V5).await;
    let client = connector(&fake, options("c")).queue_max(2).start().expect("legal");
    for _ in 0..2 {
        let subscribing = client.subscribe(Subscribe::to("given/up", QoS::AtMostOnce));
        timeout(Duration::from_millis(50), subscribing).await.expect_err("no server yet");
    }
    let mut peer = fake.welcome(false).await;
    let wanted = client.subscribe(Subscribe::to("wanted", QoS::AtMostOnce));
    let (wanted, ()) = tokio::join!(wanted, async {
        peer.expect(&["SUBSCRIBE #1 id=4 wanted@0"]).await;
        peer.suback(1, &[0]).await;
    });
    wanted.expect("granted");
}

#[tokio::test]
async fn who_subscribes_while_another_unsubscribes_has_a_stream() {
    let fake = Fake::start(Version::V311).await;
    let mut v311 = Options::new("c");
    v311.version = Version::V311;
    let client = connector(&fake, v311).start().expect("legal");
    let mut peer = fake.welcome(false).await;
    let subscribe = || client.subscribe(Subscribe::to("a", QoS::AtMostOnce));
    let (before, ()) = tokio::join!(subscribe(), async {
        peer.expect(&["SUBSCRIBE #1 a@0"]).await;
        peer.suback(1, &[0]).await;
    });
    let (ended, after, ()) =
        tokio::join!(client.unsubscribe(Unsubscribe::from("a")), subscribe(), async {
            peer.expect(&["UNSUBSCRIBE #2 a", "SUBSCRIBE #3 a@0"]).await;
            peer.unsuback(2).await;
            peer.suback(3, &[0]).await;
            peer.publish("a", QoS::AtMostOnce, 0).await;
        });
    ended.expect("granted");
    assert!(before.expect("granted").recv().await.is_none());
    assert_eq!(&*after.expect("granted").recv().await.expect("lives").topic, "a");
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let connector = Connector::to("127.0.0.1:1", options("c")).expect("an address");
    let Err(Error::Failure(failure)) = connector.start() else { panic!("started") };
    assert!(failure.fix.is_some_and(|fix| fix.contains("runtime")), "{failure:?}");
}

#[tokio::test]
async fn what_no_server_takes_is_refused_without_one() {
    let fake = Fake::start(Version::V5).await;
    let client = start(&fake);
    let refused = client.subscribe(Subscribe::to("a/#/b", QoS::AtMostOnce)).await.map(drop);
    assert!(matches!(refused, Err(Error::Invalid(Invalid::TopicFilter(_)))), "{refused:?}");
    let refused = client.subscribe(Subscribe::default()).await.map(drop);
    assert!(matches!(refused, Err(Error::Invalid(Invalid::NoFilter))), "{refused:?}");
    let refused = client.unsubscribe(Unsubscribe::default()).await;
    assert!(matches!(refused, Err(Error::Invalid(Invalid::NoFilter))), "{refused:?}");
}

#[tokio::test]
async fn a_stream_can_be_ended_and_then_read_to_its_end() {
    let fake = Fake::start(Version::V5).await;
    let client = start(&fake);
    let mut peer = fake.welcome(false).await;
    let (all, ()) = tokio::join!(client.subscribe(Subscribe::to("a", QoS::AtMostOnce)), async {
        peer.expect(&["SUBSCRIBE #1 id=2 a@0"]).await;
        peer.suback(1, &[0]).await;
        peer.publish("a", QoS::AtMostOnce, 0).await;
    });
    let mut all = all.expect("granted");
    let (ended, ()) = tokio::join!(all.unsubscribe(), async {
        peer.expect(&["UNSUBSCRIBE #2 a"]).await;
        peer.unsuback(2).await;
    });
    ended.expect("granted");
    assert_eq!(&*all.recv().await.expect("it came before").topic, "a");
    assert!(all.recv().await.is_none() && all.end().is_none());
}

#[tokio::test]
async fn a_session_that_a_lost_connack_may_stand_for_is_asked_for_its_subscriptions() {
    let fake = Fake::start(Version::V5).await;
    let client = start(&fake);
    let mut peer = fake.welcome(false).await;
    let (subscribed, ()) =
        tokio::join!(client.subscribe(Subscribe::to("a/#", QoS::AtLeastOnce)), async {
            peer.expect(&["SUBSCRIBE #1 id=2 a/#@1"]).await;
            peer.suback(1, &[1]).await;
        });
    let _all = subscribed.expect("granted");
    drop(peer);
    // The server has lost the session, and begins one anew; its CONNACK is lost.
    let (peer, _) = fake.accept().await;
    drop(peer);
    let mut peer = fake.welcome(true).await;
    peer.expect(&["SUBSCRIBE #2 id=2 a/#@1"]).await;
    peer.suback(2, &[1]).await;
    drop(peer);
    let mut peer = fake.welcome(true).await;
    client.publish(message("t", QoS::AtMostOnce)).await.expect("leaves");
    peer.expect(&["PUBLISH q0 t x"]).await;
}
