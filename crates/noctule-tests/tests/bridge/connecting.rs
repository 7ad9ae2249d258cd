//! Where a bridge goes, when, and what a reload changes.

use crate::brokers::{OUT, PLAIN, bridge, client, free, listener, next, pair, take};
use anyhow::{Result, ensure};
use noctule_client::{Message, QoS};
use noctule_tests::process::{self, BrokerProcess};
use std::process::Command;

#[tokio::test]
async fn the_next_address_is_taken_until_the_first_is_there_again() -> Result<()> {
    let (first, second) = (free()?, BrokerProcess::start_with(PLAIN)?);
    let text = bridge(first, "", &[OUT]);
    let both = format!("addresses = [\"{first}\", \"{}\"]", second.address());
    let text = text.replace(&format!("addresses = [\"{first}\"]"), &both);
    let hut = BrokerProcess::start_with(&text)?;
    hut.await_log("bridge hub: is up", 1)?;
    let from = client(hut.address(), "p").await?;
    let (_client, mut heard) = listener(second.address(), "t/#").await?;
    from.publish(Message::new("t/1", "second").qos(QoS::AtLeastOnce)).await?;
    ensure!(take(&mut heard, 1).await?[0].1 == "second");
    let first = BrokerProcess::start_at(first, PLAIN)?;
    hut.await_log("goes back to its first address", 1)?;
    hut.await_log("bridge hub: is up", 2)?;
    let (_client, mut heard) = listener(first.address(), "t/#").await?;
    from.publish(Message::new("t/1", "first").qos(QoS::AtLeastOnce)).await?;
    ensure!(take(&mut heard, 1).await?[0].1 == "first");
    Ok(())
}

#[tokio::test]
async fn a_lazy_one_connects_for_so_many_messages_and_leaves_when_there_are_none() -> Result<()> {
    let options = "start = \"lazy\"\nthreshold = 3\nidle_secs = 1";
    let hub = BrokerProcess::start_with(PLAIN)?;
    let hut = BrokerProcess::start_with(&bridge(hub.address(), options, &[OUT]))?;
    hut.await_log("what is published waits for it from now on", 1)?;
    let (_client, mut heard) = listener(hub.address(), "t/#").await?;
    let from = client(hut.address(), "p").await?;
    for at in 0..2 {
        from.publish(Message::new("t/1", at.to_string()).qos(QoS::AtLeastOnce)).await?;
    }
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    ensure!(!hut.log().contains("bridge hub: is up"), "{}", hut.log());
    from.publish(Message::new("t/1", "2").qos(QoS::AtLeastOnce)).await?;
    let came: Vec<String> = take(&mut heard, 3).await?.into_iter().map(|it| it.1).collect();
    ensure!(came == ["0", "1", "2"], "{came:?}");
    hut.await_log("has nothing to pass on", 1)
}

#[tokio::test]
async fn one_that_is_started_once_does_not_come_back() -> Result<()> {
    let (hub, hut) = pair("start = \"once\"", &[OUT])?;
    hub.kill()?;
    hut.await_log("is started once only", 1)
}

#[tokio::test]
async fn a_reload_changes_and_ends_bridges_and_leaves_others_alone() -> Result<()> {
    let (hub, other) = (BrokerProcess::start_with(PLAIN)?, BrokerProcess::start_with(PLAIN)?);
    let first = bridge(hub.address(), "", &[OUT]);
    let name = |text: &str| text.replace(PLAIN, "").replace("hub", "other");
    let second = name(&bridge(other.address(), "", &[OUT]));
    let hut = BrokerProcess::start_with(&format!("{first}{second}"))?;
    hut.await_log("bridge hub: is up", 1)?;
    hut.await_log("bridge other: is up", 1)?;
    let changed = name(&bridge(other.address(), "", &["filter = \"new/#\"\nqos = 1"]));
    hut.reload(&format!("{first}{changed}"))?;
    hut.await_log("bridge other: is up", 2)?;
    let from = client(hut.address(), "p").await?;
    let (_client, mut heard) = listener(other.address(), "#").await?;
    from.publish(Message::new("t/1", "old").qos(QoS::AtLeastOnce)).await?;
    from.publish(Message::new("new/1", "new").qos(QoS::AtLeastOnce)).await?;
    // What it has no use for any more is not subscribed to.
    ensure!(take(&mut heard, 1).await? == [("new/1".into(), "new".into())]);
    hut.reload(&first)?;
    hut.await_log("bridge other: is configured no more", 1)?;
    let forgotten = "client_id=\"local.hut.other\" remote=\"\" tenant=0 version=V5 \
                     keep_alive_secs=0 clean_start=true";
    hut.await_log(forgotten, 1)?;
    ensure!(hut.log().matches("bridge hub: is up").count() == 1, "{}", hut.log());
    hut.reload(&first.replace("t/#", "t/+/#/x"))?;
    hut.await_log("the configuration stays as it was", 1)?;
    let (_client, mut heard) = listener(hub.address(), "t/#").await?;
    from.publish(Message::new("t/1", "still").qos(QoS::AtLeastOnce)).await?;
    ensure!(take(&mut heard, 1).await?[0].1 == "still");
    Ok(())
}

#[tokio::test]
async fn it_goes_over_tls_with_a_certificate_and_over_websocket() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let made = Command::new(process::binary()?)
        .args(["cert", "--client", "hut", "--dir"])
        .arg(folder.path())
        .arg("localhost")
        .output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let file = |name: &str| format!("{:?}", folder.path().join(name));
    let at = free()?;
    let hub = BrokerProcess::start_with(&format!(
        "{PLAIN}[[listener]]\nport = {}\nprotocol = \"websocket\"\n[listener.tls]\n\
         certificate = {}\nkey = {}\nclient_ca = {}\n",
        at.port(),
        file("server.crt"),
        file("server.key"),
        file("ca.crt"),
    ))?;
    let text = bridge(at, "", &[])
        .replace(&at.to_string(), &format!("wss://localhost:{}/mqtt", at.port()));
    let tls = format!(
        "[bridge.tls]\nca = {}\ncertificate = {}\nkey = {}\n[[bridge.topic]]\n{OUT}\n",
        file("ca.crt"),
        file("hut.crt"),
        file("hut.key"),
    );
    let hut = BrokerProcess::start_with(&format!("{text}{tls}"))?;
    hut.await_log("bridge hub: is up", 1)?;
    let (_client, mut heard) = listener(hub.address(), "t/#").await?;
    let large = vec![b'x'; 300_000];
    client(hut.address(), "p")
        .await?
        .publish(Message::new("t/1", large.clone()).qos(QoS::AtLeastOnce))
        .await?;
    ensure!(next(&mut heard).await?.payload[..] == large);
    Ok(())
}
