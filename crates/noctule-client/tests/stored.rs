//! A session that outlives its process.

mod fake;

use fake::Fake;
use noctule_client::{
    Client, Connector, Error, Invalid, Message, Options, QoS, Reconnect, Version,
};
use noctule_proto::PacketType;
use std::path::Path;
use std::time::Duration;

fn connector(fake: &Fake, path: &Path) -> Connector {
    let mut options = Options::new("meter");
    options.session_expiry_secs = u32::MAX;
    let reconnect = Reconnect { delay_min: Duration::ZERO, ..Reconnect::always() };
    Connector::to(&fake.address(), options).expect("an address").reconnect(reconnect).store(path)
}

fn message(payload: &'static str, qos: QoS) -> Message {
    Message::new("t", payload).qos(qos)
}

/// Runs a process with the session in this file, and kills it.
fn live<F: Future<Output = ()>>(fake: &Fake, path: &Path, work: impl FnOnce(Client) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    let connector = connector(fake, path);
    runtime.block_on(async {
        let client = connector.start().expect("a file that can be written");
        work(client).await;
    });
    // Tasks end wherever they are, as in a process that is killed.
    drop(runtime);
}

#[test]
fn what_was_in_line_or_under_way_goes_on_in_the_next_process() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("session");
    // Servers live on beside the processes that end.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().expect("one");
    let fake = runtime.block_on(Fake::start(Version::V5));
    // Offline: nothing but the line.
    let dark = runtime.block_on(Fake::start(Version::V5));
    live(&dark, &path, |client| async move {
        for (payload, qos) in [("0", QoS::AtMostOnce), ("1", QoS::AtLeastOnce)] {
            drop(client.send(message(payload, qos)).await.expect("in line"));
        }
        drop(client.send(message("2", QoS::ExactlyOnce)).await.expect("in line"));
    });
    // QoS 0 promised nothing; the others are sent, and not acknowledged.
    live(&fake, &path, |client| {
        let fake = &fake;
        async move {
            let mut peer = fake.welcome(false).await;
            peer.expect(&["PUBLISH q1 #1 t 1", "PUBLISH q2 #2 t 2"]).await;
            peer.publish("down", QoS::ExactlyOnce, 7).await;
            peer.expect(&["PUBREC #7 0x00"]).await;
            drop(client);
        }
    });
    // Sent again; QoS 2 gets as far as PUBREL.
    live(&fake, &path, |client| {
        let fake = &fake;
        async move {
            let (mut peer, connect) = fake.accept().await;
            assert_eq!(connect, "CONNECT meter clean=false");
            peer.send(&noctule_proto::Packet::ConnAck(noctule_proto::packet::ConnAck::new(
                true,
                noctule_client::ReasonCode::Success,
            )))
            .await;
            peer.expect(&["PUBLISH dup q1 #1 t 1", "PUBLISH dup q2 #2 t 2"]).await;
            peer.ack(PacketType::PubAck, 1).await;
            peer.ack(PacketType::PubRec, 2).await;
            peer.expect(&["PUBREL #2 0x00"]).await;
            drop(client);
        }
    });
    // Only the release is left; what had come is known.
    live(&fake, &path, |client| {
        let fake = &fake;
        async move {
            let mut everything = client.messages().await.expect("a stream");
            let mut peer = fake.welcome(true).await;
            peer.expect(&["PUBREL #2 0x00"]).await;
            peer.publish("down", QoS::ExactlyOnce, 7).await;
            peer.expect(&["PUBREC #7 0x00"]).await;
            peer.publish("down", QoS::ExactlyOnce, 8).await;
            assert_eq!(everything.recv().await.expect("new").packet_id, 8);
            peer.expect(&["PUBREC #8 0x00"]).await;
            peer.ack(PacketType::PubComp, 2).await;
            client.send(message("3", QoS::AtLeastOnce)).await.expect("in line");
            peer.expect(&["PUBLISH q1 #3 t 3"]).await;
        }
    });
}

#[tokio::test]
async fn two_clients_do_not_share_a_file() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("session");
    let fake = Fake::start(Version::V5).await;
    let first = connector(&fake, &path).start().expect("a new file");
    let Err(Error::Failure(failure)) = connector(&fake, &path).start() else { panic!("taken") };
    assert!(failure.what.contains("another process"), "{failure:?}");
    first.disconnect().await.expect("over");
    connector(&fake, &path).start().expect("free again");
}

#[tokio::test]
async fn who_waits_for_a_file_that_cannot_be_written_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let fake = Fake::start(Version::V5).await;
    let client = connector(&fake, &folder.path().join("session")).start().expect("a new file");
    client.send(message("1", QoS::AtLeastOnce)).await.expect("in line");
    drop(folder);
    // Sooner or later the file has to be written anew.
    let failed = loop {
        let large = Message::new("t", vec![0; 100_000]).qos(QoS::AtLeastOnce);
        if let Err(error) = client.send(large).await {
            break error;
        }
    };
    let Error::Failure(failure) = failed else { panic!("{failed:?}") };
    assert!(failure.what.contains("cannot keep the session"), "{failure:?}");
    assert!(matches!(client.end(), Some(Error::Failure(end)) if end == failure));
}

#[tokio::test]
async fn a_message_that_no_packet_can_hold_is_refused_before_it_is_stored() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("session");
    let (dark, fake) = (Fake::start(Version::V5).await, Fake::start(Version::V5).await);
    let client = connector(&dark, &path).start().expect("a new file");
    let huge = Message::new("t", vec![0; 268_435_455]).qos(QoS::AtLeastOnce);
    let refused = client.publish(huge).await;
    assert!(matches!(refused, Err(Error::Invalid(Invalid::PacketTooLarge { .. }))), "{refused:?}");
    client.send(message("1", QoS::AtLeastOnce)).await.expect("in line");
    client.disconnect().await.expect("over");
    let _client = connector(&fake, &path).start().expect("free again");
    fake.welcome(false).await.expect(&["PUBLISH q1 #1 t 1"]).await;
}
