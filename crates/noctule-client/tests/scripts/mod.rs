//! What a client and a broker do together, whosever the broker is.
#![allow(unreachable_pub, reason = "shared by the test programs of two crates")]

use noctule_client::{
    Client, Connector, Error, Message, Options, PropertiesBuf, QoS, ReasonCode, Reconnect,
    Subscribe, SubscribeOptions, Subscription, Unsubscribe, Version, Will,
};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// Where an open broker listens.
type Broker = SocketAddr;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

pub fn options(version: Version, client_id: &str) -> Options {
    let mut options = Options::new(client_id);
    options.version = version;
    options
}

pub async fn connect(broker: Broker, options: Options) -> Result<Client, Error> {
    Connector::to(&broker.to_string(), options)?.reconnect(Reconnect::never()).connect().await
}

async fn next(messages: &mut Subscription) -> Message {
    let received = timeout(Duration::from_secs(10), messages.recv()).await;
    received.expect("in time").expect("the connection lasts")
}

pub async fn messages_of_each_qos_come_back_in_each_version(broker: Broker) -> Result<(), Error> {
    for version in VERSIONS {
        let client = connect(broker, options(version, "c")).await?;
        let mut all = client.subscribe(Subscribe::to("a/#", QoS::ExactlyOnce)).await?;
        assert_eq!(all.codes(), [ReasonCode::GrantedQoS2]);
        for qos in QOS {
            for payload in [&b""[..], b"\x00\xff\n", &[7; 300_000]] {
                client.publish(Message::new("a/b", payload.to_vec()).qos(qos)).await?;
                let message = next(&mut all).await;
                assert_eq!((&message.payload[..], message.qos), (payload, qos));
            }
        }
        assert_eq!(client.unsubscribe(Unsubscribe::from("a/#")).await?, [ReasonCode::Success]);
        assert!(all.recv().await.is_none());
        client.disconnect().await?;
    }
    Ok(())
}

pub async fn many_messages_at_once_keep_their_order(broker: Broker) -> Result<(), Error> {
    for version in VERSIONS {
        for qos in QOS {
            let client = connect(broker, options(version, "c")).await?;
            let mut all = client.subscribe(Subscribe::to("t", qos)).await?;
            let mut receipts = Vec::new();
            for i in 0..2000 {
                receipts.push(client.send(Message::new("t", i.to_string()).qos(qos)).await?);
            }
            for receipt in receipts {
                receipt.await?;
            }
            for i in 0..2000 {
                assert_eq!(next(&mut all).await.payload, i.to_string());
            }
            client.disconnect().await?;
        }
    }
    Ok(())
}

pub async fn an_application_that_answers_each_message_is_not_stuck(
    broker: Broker,
) -> Result<(), Error> {
    const COUNT: usize = 6000;
    let client = connect(broker, options(Version::V311, "echo")).await?;
    let mut asked = client.subscribe(Subscribe::to("ask", QoS::AtMostOnce)).await?;
    let mut answered = client.subscribe(Subscribe::to("answer", QoS::AtMostOnce)).await?;
    for _ in 0..COUNT {
        drop(client.send(Message::new("ask", "?")).await?);
    }
    for _ in 0..COUNT {
        next(&mut asked).await;
        client.publish(Message::new("answer", "!").qos(QoS::AtLeastOnce)).await?;
    }
    for _ in 0..COUNT {
        next(&mut answered).await;
    }
    assert_eq!(client.dropped(), 0);
    client.disconnect().await
}

pub async fn retained_messages_come_with_the_subscription(broker: Broker) -> Result<(), Error> {
    for version in VERSIONS {
        let client = connect(broker, options(version, "c")).await?;
        client.publish(Message::new("r", "last").retained().qos(QoS::AtLeastOnce)).await?;
        let mut kept = client.subscribe(Subscribe::to("r", QoS::AtMostOnce)).await?;
        let message = next(&mut kept).await;
        assert_eq!((&message.payload[..], message.retain), (&b"last"[..], true));
        client.disconnect().await?;
    }
    Ok(())
}

pub async fn a_session_that_is_kept_collects_messages(broker: Broker) -> Result<(), Error> {
    for version in VERSIONS {
        let mut kept = options(version, "sleeper");
        kept.clean_start = false;
        kept.session_expiry_secs = 600;
        let client = connect(broker, kept.clone()).await?;
        let subscribe = Subscribe::to("news", QoS::AtLeastOnce);
        drop(client.subscribe(subscribe.clone()).await?);
        client.disconnect().await?;

        let other = connect(broker, options(version, "other")).await?;
        other.publish(Message::new("news", "while away").qos(QoS::AtLeastOnce)).await?;
        other.disconnect().await?;

        let client = connect(broker, kept).await?;
        assert_eq!(client.online().await?.session_present, version != Version::V31);
        let mut news = client.subscribe(subscribe).await?;
        // MQTT 3.1 cannot say that the session was there, so what comes before SUBACK is lost.
        if version != Version::V31 {
            assert_eq!(next(&mut news).await.payload, "while away");
        }
        client.unsubscribe(Unsubscribe::from("news")).await?;
        client.disconnect().await?;
    }
    Ok(())
}

pub fn a_will_is_published_for_who_vanishes_and_not_for_who_says_good_bye(broker: Broker) {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mortal = |version, word: &str| {
        let mut options = options(version, "mortal");
        options.will = Some(Will::from(Message::new("will", word.to_owned())));
        options
    };
    for version in VERSIONS {
        let watching = runtime();
        let mut wills = watching.block_on(async {
            let watcher = connect(broker, options(version, "watcher")).await.expect("open");
            watcher.subscribe(Subscribe::to("will", QoS::AtMostOnce)).await.expect("open")
        });
        let polite = runtime();
        polite.block_on(async {
            let client = connect(broker, mortal(version, "polite")).await.expect("open");
            client.disconnect().await.expect("connected");
        });
        // A runtime that ends takes its sockets with it, without a word.
        let dying = runtime();
        let client = dying.block_on(connect(broker, mortal(version, "dead"))).expect("open");
        drop(dying);
        drop(client);
        assert_eq!(watching.block_on(next(&mut wills)).payload, "dead");
    }
}

pub async fn properties_of_a_message_arrive(broker: Broker) -> Result<(), Error> {
    let client = connect(broker, options(Version::V5, "c")).await?;
    let mut all = client.subscribe(Subscribe::to("p", QoS::AtLeastOnce)).await?;
    let mut properties = PropertiesBuf::new();
    properties.payload_format(true).content_type("text/plain").expect("short");
    properties.correlation_data(b"\x00\x01").expect("short");
    properties.user_property("room", "kitchen").expect("short");
    let mut message = Message::new("p", "x").qos(QoS::AtLeastOnce);
    message.properties = properties;
    message.expiry_secs = Some(100);
    client.publish(message).await?;
    let received = next(&mut all).await;
    let properties = received.properties.as_properties();
    assert_eq!(properties.content_type(), Some("text/plain"));
    assert_eq!(properties.correlation_data(), Some(&b"\x00\x01"[..]));
    assert!(properties.user_properties().iter().eq([("room", "kitchen")]));
    assert!(received.expiry_secs.is_some_and(|secs| (90..=100).contains(&secs)));
    client.disconnect().await
}

pub async fn overlapping_subscriptions_each_get_their_messages(
    broker: Broker,
) -> Result<(), Error> {
    let client = connect(broker, options(Version::V5, "c")).await?;
    let mut all = client.subscribe(Subscribe::to("#", QoS::AtMostOnce)).await?;
    let mut one = client.subscribe(Subscribe::to("a/+", QoS::AtLeastOnce)).await?;
    let no_local = SubscribeOptions { no_local: true, ..SubscribeOptions::default() };
    let mut not_mine = client.subscribe(Subscribe::default().and("a/b", no_local)).await?;
    client.publish(Message::new("a/b", "1").qos(QoS::AtLeastOnce)).await?;
    client.publish(Message::new("b", "2").qos(QoS::AtLeastOnce)).await?;
    let mut seen = [next(&mut all).await.payload, next(&mut all).await.payload];
    seen.sort();
    assert_eq!(seen, ["1", "2"]);
    assert_eq!(next(&mut one).await.payload, "1");
    let nothing = timeout(Duration::from_millis(100), not_mine.recv()).await;
    assert!(nothing.is_err());
    client.disconnect().await
}

pub async fn two_clients_of_one_name_do_not_get_on(broker: Broker) -> Result<(), Error> {
    let first = connect(broker, options(Version::V5, "c")).await?;
    let mut all = first.subscribe(Subscribe::to("#", QoS::AtMostOnce)).await?;
    let _second = connect(broker, options(Version::V5, "c")).await?;
    assert!(all.recv().await.is_none());
    // Whether it says why is up to the broker's version.
    match first.end() {
        Some(Error::Disconnected(notice)) => {
            assert_eq!(notice.reason, ReasonCode::SessionTakenOver);
        }
        Some(Error::Closed | Error::Failure(_)) => {}
        other => panic!("{other:?}"),
    }
    Ok(())
}
