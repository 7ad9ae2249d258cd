//! The client against a broker that others wrote.

mod broker;

use broker::Mosquitto;
use noctule_client::{
    Client, Error, Message, Options, PropertiesBuf, QoS, ReasonCode, Subscribe, SubscribeOptions,
    Subscription, Version, Will,
};
use std::time::Duration;
use tokio::time::timeout;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const OPEN: &str = "allow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0";

fn options(version: Version, client_id: &str) -> Options {
    let mut options = Options::new(client_id);
    options.version = version;
    options
}

async fn connect(broker: &Mosquitto, options: Options) -> Result<Client, Error> {
    Client::connect(("127.0.0.1", broker.port), options).await
}

async fn next(messages: &mut Subscription) -> Message {
    let received = timeout(Duration::from_secs(10), messages.recv()).await;
    received.expect("in time").expect("the connection lasts")
}

#[tokio::test]
async fn messages_of_each_qos_come_back_in_each_version() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    for version in VERSIONS {
        let client = connect(&broker, options(version, "c")).await?;
        let mut all = client.subscribe(Subscribe::to("a/#", QoS::ExactlyOnce)).await?;
        assert_eq!(all.codes(), [ReasonCode::GrantedQoS2]);
        for qos in QOS {
            for payload in [&b""[..], b"\x00\xff\n", &[7; 300_000]] {
                client.publish(Message::new("a/b", payload.to_vec()).qos(qos)).await?;
                let message = next(&mut all).await;
                assert_eq!((&message.payload[..], message.qos), (payload, qos));
            }
        }
        assert_eq!(client.unsubscribe("a/#").await?, ReasonCode::Success);
        assert!(all.recv().await.is_none());
        client.disconnect().await?;
    }
    Ok(())
}

#[tokio::test]
async fn many_messages_at_once_keep_their_order() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    for version in VERSIONS {
        for qos in QOS {
            let client = connect(&broker, options(version, "c")).await?;
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

#[tokio::test]
async fn an_application_that_answers_each_message_is_not_stuck() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    const COUNT: usize = 6000;
    let client = connect(&broker, options(Version::V311, "echo")).await?;
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

#[tokio::test]
async fn retained_messages_come_with_the_subscription() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    for version in VERSIONS {
        let client = connect(&broker, options(version, "c")).await?;
        client.publish(Message::new("r", "last").retained().qos(QoS::AtLeastOnce)).await?;
        let mut kept = client.subscribe(Subscribe::to("r", QoS::AtMostOnce)).await?;
        let message = next(&mut kept).await;
        assert_eq!((&message.payload[..], message.retain), (&b"last"[..], true));
        client.disconnect().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_session_that_is_kept_collects_messages() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    for version in VERSIONS {
        let mut kept = options(version, "sleeper");
        kept.clean_start = false;
        kept.session_expiry_secs = 600;
        let client = connect(&broker, kept.clone()).await?;
        let subscribe = Subscribe::to("news", QoS::AtLeastOnce);
        drop(client.subscribe(subscribe.clone()).await?);
        client.disconnect().await?;

        let other = connect(&broker, options(version, "other")).await?;
        other.publish(Message::new("news", "while away").qos(QoS::AtLeastOnce)).await?;
        other.disconnect().await?;

        let client = connect(&broker, kept).await?;
        assert_eq!(client.connected().session_present, version != Version::V31);
        let mut news = client.subscribe(subscribe).await?;
        // MQTT 3.1 cannot say that the session was there, so what comes before SUBACK is lost.
        if version != Version::V31 {
            assert_eq!(next(&mut news).await.payload, "while away");
        }
        client.unsubscribe("news").await?;
        client.disconnect().await?;
    }
    Ok(())
}

#[test]
fn a_will_is_published_for_who_vanishes_and_not_for_who_says_good_bye() {
    let Some(broker) = Mosquitto::start(OPEN) else { return };
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
            let watcher = connect(&broker, options(version, "watcher")).await.expect("open");
            watcher.subscribe(Subscribe::to("will", QoS::AtMostOnce)).await.expect("open")
        });
        let polite = runtime();
        polite.block_on(async {
            let client = connect(&broker, mortal(version, "polite")).await.expect("open");
            client.disconnect().await.expect("connected");
        });
        // A runtime that ends takes its sockets with it, without a word.
        let dying = runtime();
        let client = dying.block_on(connect(&broker, mortal(version, "dead"))).expect("open");
        drop(dying);
        drop(client);
        assert_eq!(watching.block_on(next(&mut wills)).payload, "dead");
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_plain_words() {
    let Some(broker) = Mosquitto::start("allow_anonymous false") else { return };
    for (version, code) in [(Version::V31, 5), (Version::V311, 5), (Version::V5, 135)] {
        let mut options = options(version, "c");
        options.user_name = Some("nobody".into());
        options.password = Some(b"wrong".to_vec());
        let Err(Error::Refused(notice)) = connect(&broker, options).await else {
            panic!("refused")
        };
        assert_eq!(notice.code, code);
        assert!(notice.to_string().starts_with("not authorized"), "{notice}");
    }
}

#[tokio::test]
async fn who_waits_is_told_when_the_broker_dies() -> Result<(), Error> {
    let Some(mut broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    let client = connect(&broker, options(Version::V5, "c")).await?;
    let mut all = client.subscribe(Subscribe::to("#", QoS::AtMostOnce)).await?;
    assert!(client.end().is_none());
    broker.kill();
    assert!(all.recv().await.is_none());
    assert!(all.end().is_some() && client.end().is_some());
    let lost = client.publish(Message::new("a", "x").qos(QoS::AtLeastOnce)).await;
    assert!(matches!(lost, Err(Error::Closed | Error::Io(_))), "{lost:?}");
    assert!(matches!(connect(&broker, Options::default()).await, Err(Error::Io(_))));
    Ok(())
}

#[tokio::test]
async fn properties_of_a_message_arrive() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    let client = connect(&broker, options(Version::V5, "c")).await?;
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

#[tokio::test]
async fn overlapping_subscriptions_each_get_their_messages() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    let client = connect(&broker, options(Version::V5, "c")).await?;
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

#[tokio::test]
async fn two_clients_of_one_name_do_not_get_on() -> Result<(), Error> {
    let Some(broker) = Mosquitto::start(OPEN) else { return Ok(()) };
    let first = connect(&broker, options(Version::V5, "c")).await?;
    let mut all = first.subscribe(Subscribe::to("#", QoS::AtMostOnce)).await?;
    let _second = connect(&broker, options(Version::V5, "c")).await?;
    assert!(all.recv().await.is_none());
    // Whether it says why is up to the broker's version.
    match first.end() {
        Some(Error::Disconnected(notice)) => {
            assert_eq!(notice.reason, ReasonCode::SessionTakenOver);
        }
        Some(Error::Closed | Error::Io(_)) => {}
        other => panic!("{other:?}"),
    }
    Ok(())
}
