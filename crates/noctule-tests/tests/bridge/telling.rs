//! Who hears how a bridge stands.

use crate::brokers::{OUT, PLAIN, bridge, client, free, listener, pair, take};
use anyhow::{Result, ensure};
use noctule_client::{Message, QoS};
use noctule_tests::process::BrokerProcess;

#[tokio::test]
async fn clients_of_both_brokers_are_told_how_it_stands() -> Result<()> {
    let (hub_at, topic) = (free()?, "$SYS/broker/connection/hut.hub/state");
    let hub = BrokerProcess::start_at(hub_at, PLAIN)?;
    let hut = BrokerProcess::start_with(&bridge(hub_at, "", &[OUT]))?;
    hut.await_log("bridge hub: is up", 1)?;
    let (_client, mut there) = listener(hub_at, topic).await?;
    let (_client, mut here) = listener(hut.address(), topic).await?;
    ensure!(take(&mut there, 1).await?[0].1 == "1");
    ensure!(take(&mut here, 1).await?[0].1 == "1");
    hub.kill()?;
    ensure!(take(&mut here, 1).await?[0].1 == "0");
    let hub = BrokerProcess::start_at(hub_at, PLAIN)?;
    ensure!(take(&mut here, 1).await?.iter().all(|(_, state)| state == "0" || state == "1"));
    let (_client, mut there) = listener(hub_at, topic).await?;
    ensure!(take(&mut there, 1).await?[0].1 == "1");
    hut.kill()?;
    // Its Will says so.
    ensure!(take(&mut there, 1).await?[0].1 == "0");
    drop(hub);
    Ok(())
}

#[tokio::test]
async fn it_stands_in_sys_how_much_was_passed_on() -> Result<()> {
    let (_hub, hut) = pair("", &[OUT])?;
    let from = client(hut.address(), "p").await?;
    for _ in 0..5 {
        from.publish(Message::new("t/1", "x").qos(QoS::AtLeastOnce)).await?;
    }
    let (_client, mut heard) = listener(hut.address(), "$SYS/broker/bridge/#").await?;
    loop {
        let (topic, count) = take(&mut heard, 1).await?.remove(0);
        if topic == "$SYS/broker/bridge/hub/messages/sent" && count == "5" {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn a_refusal_is_in_the_log_with_its_reason() -> Result<()> {
    let at = free()?;
    let closed = format!("[[listener]]\nport = {}\nallow_anonymous = false\n", at.port());
    let hub = BrokerProcess::start_with(&format!("{PLAIN}{closed}"))?;
    let hut =
        BrokerProcess::start_with(&bridge(at, "user_name = \"x\"\npassword = \"s3cret\"", &[OUT]))?;
    hut.await_log("no connection to mqtt://127.0.0.1", 1)?;
    ensure!(hut.log().contains(": refused: bad user name or password\n"), "{}", hut.log());
    ensure!(!hut.log().contains("s3cret"), "{}", hut.log());
    drop(hub);
    Ok(())
}
