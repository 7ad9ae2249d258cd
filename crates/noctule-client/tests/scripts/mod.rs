//! What a client and a broker do together, whosever the broker is.
#![allow(unreachable_pub, reason = "shared by the test programs of two crates")]
#![allow(dead_code, reason = "not every broker can do everything")]

mod relay;

use noctule_client::{
    Client, Connector, Error, Message, Options, PropertiesBuf, QoS, ReasonCode, Reconnect,
    Subscribe, SubscribeOptions, Subscription, Unsubscribe, Version, Will,
};
use relay::Relay;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// An open broker.
#[derive(Clone, Copy, Debug)]
pub struct Broker {
    pub address: SocketAddr,
    /// What it speaks, oldest first.
    pub versions: &'static [Version],
    pub resumes: Resumes,
}

/// How a broker goes on with a session after a broken connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resumes {
    /// As the standard asks: what was not acknowledged is sent again first.
    InOrder,
    /// New messages overtake those that were not acknowledged.
    OutOfOrder,
}

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A broker that speaks every version.
impl From<SocketAddr> for Broker {
    fn from(address: SocketAddr) -> Broker {
        Broker { address, versions: &VERSIONS, resumes: Resumes::InOrder }
    }
}

impl Broker {
    fn newest(&self) -> Version {
        *self.versions.last().expect("a broker speaks something")
    }
}

pub fn options(version: Version, client_id: &str) -> Options {
    let mut options = Options::new(client_id);
    options.version = version;
    options
}

pub async fn connect(broker: impl Into<Broker>, options: Options) -> Result<Client, Error> {
    let address = broker.into().address.to_string();
    Connector::to(&address, options)?.reconnect(Reconnect::never()).connect().await
}

async fn next(messages: &mut Subscription) -> Message {
    let received = timeout(Duration::from_secs(10), messages.recv()).await;
    received.expect("in time").expect("the connection lasts")
}

pub async fn messages_of_each_qos_come_back_in_each_version(broker: Broker) -> Result<(), Error> {
    for version in broker.versions.iter().copied() {
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
    for version in broker.versions.iter().copied() {
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
    for version in broker.versions.iter().copied() {
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
    for version in broker.versions.iter().copied() {
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
    for version in broker.versions.iter().copied() {
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
    let first = connect(broker, options(broker.newest(), "c")).await?;
    let mut all = first.subscribe(Subscribe::to("#", QoS::AtMostOnce)).await?;
    let _second = connect(broker, options(broker.newest(), "c")).await?;
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

/// Options of a client whose session outlives its connections.
fn kept(version: Version, client_id: &str) -> Options {
    let mut options = options(version, client_id);
    // Before 5.0 a session that is kept is one that is not new.
    options.clean_start = version == Version::V5;
    options.session_expiry_secs = 600;
    options
}

/// Connects through a relay that cuts connections, and again whenever it does.
async fn connect_through(relay: &Relay, options: Options) -> Result<Client, Error> {
    let at_once = Reconnect { first: true, delay_min: Duration::ZERO, ..Reconnect::default() };
    let at_once = Reconnect { delay_max: Duration::from_millis(50), ..at_once };
    Connector::to(&relay.address().to_string(), options)?.reconnect(at_once).connect().await
}

/// Who publishes over connections that break keeps the promise of each QoS.
pub async fn what_is_published_over_broken_connections_arrives(
    broker: Broker,
) -> Result<(), Error> {
    for version in broker.versions.iter().copied() {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let relay = Relay::start(broker.address);
            let receiver = connect(broker, options(version, "receiver")).await?;
            let messages = receiver.subscribe(Subscribe::to("out/#", qos)).await?;
            let name = format!("out-{version:?}-{qos:?}");
            let sender = connect_through(&relay, kept(version, &name)).await?;
            publish_numbers(&sender, "out/a", qos).await?;
            numbers_arrive(messages, qos, broker.resumes).await;
            assert!(relay.cuts() > 8, "{} cuts", relay.cuts());
            sender.disconnect().await?;
            receiver.disconnect().await?;
        }
    }
    Ok(())
}

/// Who receives over connections that break gets what the QoS promises.
pub async fn what_is_received_over_broken_connections_is_whole(
    broker: Broker,
) -> Result<(), Error> {
    for version in broker.versions.iter().copied() {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let relay = Relay::start(broker.address);
            let name = format!("in-{version:?}-{qos:?}");
            let receiver = connect_through(&relay, kept(version, &name)).await?;
            let messages = receiver.subscribe(Subscribe::to("in/#", qos)).await?;
            let sender = connect(broker, options(version, "sender")).await?;
            publish_numbers(&sender, "in/a", qos).await?;
            numbers_arrive(messages, qos, broker.resumes).await;
            assert!(relay.cuts() > 8, "{} cuts", relay.cuts());
            sender.disconnect().await?;
            receiver.disconnect().await?;
        }
    }
    Ok(())
}

const NUMBERS: usize = 300;

/// Payloads of some size, so that connections are cut in the midst of them.
fn number(i: usize) -> String {
    format!("{i:0100}")
}

async fn publish_numbers(client: &Client, topic: &str, qos: QoS) -> Result<(), Error> {
    let mut receipts = Vec::new();
    for i in 0..=NUMBERS {
        receipts.push(client.send(Message::new(topic, number(i)).qos(qos)).await?);
    }
    for receipt in receipts {
        receipt.await?;
    }
    Ok(())
}

/// At QoS 2 each number once, at QoS 1 at least once, and the first time in order.
async fn numbers_arrive(mut messages: Subscription, qos: QoS, resumes: Resumes) {
    let mut seen = [false; NUMBERS + 1];
    while !seen.iter().all(|seen| *seen) {
        let message = next(&mut messages).await;
        let text = std::str::from_utf8(&message.payload).expect("digits");
        let number: usize = text.parse().expect("a number");
        let again = std::mem::replace(&mut seen[number], true);
        assert!(!again || qos == QoS::AtLeastOnce, "{number} came twice");
        let in_order = again || seen[..number].iter().all(|seen| *seen);
        assert!(in_order || resumes == Resumes::OutOfOrder, "{number} came too early");
    }
}

pub async fn requests_find_their_responses(broker: Broker) -> Result<(), Error> {
    let server = connect(broker, options(Version::V5, "server")).await?;
    let mut requests = server.subscribe(Subscribe::to("double", QoS::AtLeastOnce)).await?;
    let client = connect(broker, options(Version::V5, "client")).await?;
    let requester = client.requester().await?;
    let patience = Duration::from_secs(10);
    let ask = |text: &'static str| {
        requester.request(Message::new("double", text).qos(QoS::AtLeastOnce), patience)
    };
    let answers = async {
        // The later one is answered first.
        let (one, two) = (next(&mut requests).await, next(&mut requests).await);
        for request in [two, one] {
            let payload = [&request.payload[..], &request.payload].concat();
            server.respond(&request, Message::new("", payload)).await?;
        }
        Ok::<(), Error>(())
    };
    let (a, b, answered) = tokio::join!(ask("a"), ask("b"), answers);
    answered?;
    assert_eq!((a?.payload, b?.payload), ("aa".into(), "bb".into()));
    client.disconnect().await?;
    server.disconnect().await
}

pub async fn a_shared_subscription_divides_the_work(broker: Broker) -> Result<(), Error> {
    const COUNT: usize = 200;
    let mut workers = Vec::new();
    for name in ["one", "two"] {
        let worker = connect(broker, options(Version::V5, name)).await?;
        let jobs = worker.subscribe(Subscribe::to("$share/team/job", QoS::AtLeastOnce)).await?;
        workers.push((worker, jobs));
    }
    let sender = connect(broker, options(Version::V5, "sender")).await?;
    for i in 0..COUNT {
        sender.publish(Message::new("job", i.to_string()).qos(QoS::AtLeastOnce)).await?;
    }
    let [(_, one), (_, two)] = &mut workers[..] else { unreachable!("there are two") };
    let mut done = Vec::new();
    let mut by_one = 0;
    while done.len() < COUNT {
        let job = tokio::select! {
            job = next(one) => { by_one += 1; job }
            job = next(two) => job,
        };
        done.push(String::from_utf8_lossy(&job.payload).parse::<usize>().expect("a number"));
    }
    assert!((1..COUNT).contains(&by_one), "{by_one} of {COUNT} went to one of two");
    done.sort_unstable();
    assert!(done.into_iter().eq(0..COUNT));
    for (worker, jobs) in workers {
        drop(jobs);
        worker.disconnect().await?;
    }
    sender.disconnect().await
}
