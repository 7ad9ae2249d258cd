//! The brokers at both ends of a bridge, and clients of them.

use anyhow::{Context, Result, ensure};
use noctule_client::{Client, Message, Options, QoS, Subscribe, SubscribeOptions, Subscription};
use noctule_tests::process::BrokerProcess;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tokio::time::timeout;

/// Topics that go out.
pub(crate) const OUT: &str = "filter = \"t/#\"\nqos = 1";
/// A broker that nobody needs to look into.
pub(crate) const PLAIN: &str = "[admin]\nenabled = false\n";

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A port of loopback that nobody has.
pub(crate) fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// A bridge to an address, as a noctule.toml has it.
pub(crate) fn bridge(to: SocketAddr, options: &str, topics: &[&str]) -> String {
    let mut text = format!(
        "[admin]\nenabled = false\n[[bridge]]\nname = \"hub\"\naddresses = [\"{to}\"]\n\
         client_id = \"hut.hub\"\nretry_secs_min = 1\nretry_secs_max = 1\n{options}\n"
    );
    for topic in topics {
        text += &format!("[[bridge.topic]]\n{topic}\n");
    }
    text
}

/// The other broker, and one with a bridge to it that is up.
pub(crate) fn pair(options: &str, topics: &[&str]) -> Result<(BrokerProcess, BrokerProcess)> {
    pair_with(PLAIN, options, topics)
}

/// The same; what the other one is configured with is said.
pub(crate) fn pair_with(
    there: &str,
    options: &str,
    topics: &[&str],
) -> Result<(BrokerProcess, BrokerProcess)> {
    let hub = BrokerProcess::start_with(there)?;
    let hut = BrokerProcess::start_with(&bridge(hub.address(), options, topics))?;
    hut.await_log("bridge hub: is up", 1)?;
    Ok((hub, hut))
}

/// A client.
pub(crate) async fn client(at: SocketAddr, id: &str) -> Result<Client> {
    Ok(Client::connect(&at.to_string(), Options::new(id)).await?)
}

/// A client that hears what a filter matches, as it was published.
pub(crate) async fn listener(at: SocketAddr, filter: &str) -> Result<(Client, Subscription)> {
    let client = client(at, &format!("listener-{}", filter.len())).await?;
    let options = SubscribeOptions {
        qos: QoS::ExactlyOnce,
        retain_as_published: true,
        ..SubscribeOptions::default()
    };
    let subscription = client.subscribe(Subscribe::default().and(filter, options)).await?;
    Ok((client, subscription))
}

/// The next message.
pub(crate) async fn next(from: &mut Subscription) -> Result<Message> {
    timeout(PATIENCE, from.recv()).await.context("no message comes")?.context("the client is over")
}

/// Topics and contents of the next messages.
pub(crate) async fn take(from: &mut Subscription, count: usize) -> Result<Vec<(String, String)>> {
    let mut taken = Vec::new();
    for _ in 0..count {
        let message = next(from).await.with_context(|| format!("after {taken:?}"))?;
        let payload = String::from_utf8_lossy(&message.payload).into_owned();
        taken.push((message.topic.to_string(), payload));
    }
    Ok(taken)
}

/// Nothing more comes before a message that is published there now.
pub(crate) async fn is_quiet(at: SocketAddr, topic: &str, heard: &mut Subscription) -> Result<()> {
    // What goes in a circle would be back by then.
    tokio::time::sleep(Duration::from_millis(300)).await;
    client(at, "last").await?.publish(Message::new(topic, "last")).await?;
    let message = next(heard).await?;
    ensure!(&message.payload[..] == b"last", "there is more: {message:?}");
    Ok(())
}
