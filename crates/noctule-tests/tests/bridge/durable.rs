//! What outages and kills do to messages on their way.

use crate::brokers::{PLAIN, bridge, client, free, is_quiet, next};
use anyhow::{Context, Result, ensure};
use noctule_client::{Client, Message, Options, QoS, Subscribe};
use noctule_tests::process::{BrokerProcess, signal};
use std::collections::HashMap;
use std::time::Duration;

const OUT: &str = "filter = \"t/#\"\nqos = 2";
const IN: &str = "filter = \"u/#\"\ndirection = \"in\"\nqos = 2";

async fn publish(client: &Client, topic: &str, from: usize, to: usize) -> Result<()> {
    for at in from..to {
        let qos = if at % 2 == 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
        let message = Message::new(format!("{topic}/{}", at % 2), at.to_string());
        client.publish(message.qos(qos)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_queue_here_keeps_what_comes_while_the_other_is_away_through_kills() -> Result<()> {
    let (hub_at, hut_at) = (free()?, free()?);
    let data = [tempfile::tempdir()?, tempfile::tempdir()?];
    let config = bridge(hub_at, "", &[OUT]);
    let start_hub = || BrokerProcess::start_keeping(hub_at, PLAIN, data[0].path());
    let start_hut = || BrokerProcess::start_keeping(hut_at, &config, data[1].path());
    let (hub, hut) = (start_hub()?, start_hut()?);
    hut.await_log("bridge hub: is up", 1)?;
    let ear = Client::connect(&hub_at.to_string(), kept("ear")).await?;
    let mut heard = ear.subscribe(Subscribe::to("t/#", QoS::ExactlyOnce)).await?;
    hub.kill()?;
    hut.await_log("no connection to", 1)?;
    publish(&client(hut_at, "p").await?, "t", 0, 300).await?;
    hut.kill()?;
    let _hut = start_hut()?;
    publish(&client(hut_at, "p").await?, "t", 300, 400).await?;
    let _hub = start_hub()?;
    // Order is promised among messages of one QoS.
    let mut came = [Vec::new(), Vec::new()];
    while came.iter().map(Vec::len).sum::<usize>() < 400 {
        let message = next(&mut heard).await?;
        let which = usize::from(message.qos == QoS::AtLeastOnce);
        came[which].push(String::from_utf8_lossy(&message.payload).into_owned());
    }
    for (which, came) in came.iter().enumerate() {
        let wanted: Vec<String> = (which..400).step_by(2).map(|at| at.to_string()).collect();
        ensure!(*came == wanted, "{came:?}");
    }
    Ok(())
}

/// A session that is kept.
fn kept(id: &str) -> Options {
    let mut options = Options::new(id);
    (options.clean_start, options.session_expiry_secs) = (false, 3600);
    options
}

#[tokio::test]
async fn what_comes_before_the_first_connection_waits_for_it_and_comes_once() -> Result<()> {
    let (hub_at, data) = (free()?, tempfile::tempdir()?);
    let start_hub = || BrokerProcess::start_keeping(hub_at, PLAIN, data.path());
    let hub = start_hub()?;
    let ear = Client::connect(&hub_at.to_string(), kept("ear")).await?;
    let mut heard = ear.subscribe(Subscribe::to("#", QoS::ExactlyOnce)).await?;
    hub.kill()?;
    let hut = BrokerProcess::start_with(&bridge(hub_at, "", &[OUT]))?;
    hut.await_log("no connection to", 1)?;
    let from = client(hut.address(), "p").await?;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let message = Message::new(format!("t/{}", qos as u8), "early");
        from.publish(message.qos(qos).retained()).await?;
    }
    from.publish(Message::new("t/1", "live").qos(QoS::AtLeastOnce)).await?;
    let _hub = start_hub()?;
    let mut came = Vec::new();
    for _ in 0..4 {
        let message = next(&mut heard).await?;
        let payload = String::from_utf8_lossy(&message.payload).into_owned();
        came.push(format!("{} {payload}", message.topic));
    }
    came.sort();
    ensure!(came == ["t/0 early", "t/1 early", "t/1 live", "t/2 early"], "{came:?}");
    is_quiet(hub_at, "x", &mut heard).await
}

/// Messages that keep coming through kills of both brokers, one after the other.
#[tokio::test]
async fn nothing_is_lost_or_doubled_by_kills_of_either_broker() -> Result<()> {
    let (hub_at, hut_at) = (free()?, free()?);
    let data = [tempfile::tempdir()?, tempfile::tempdir()?];
    let config = bridge(hub_at, "receive_maximum = 20", &[OUT, IN]);
    let start_hub = || BrokerProcess::start_keeping(hub_at, PLAIN, data[0].path());
    let start_hut = || BrokerProcess::start_keeping(hut_at, &config, data[1].path());
    let mut brokers = [Some(start_hub()?), Some(start_hut()?)];
    if let Some(hut) = &brokers[1] {
        hut.await_log("bridge hub: is up", 1)?;
    }
    // Both keep what they are owed.
    let mut ears = Vec::new();
    for (at, filter) in [(hub_at, "t/#"), (hut_at, "u/#")] {
        let ear = Client::connect(&at.to_string(), kept("ear")).await?;
        let heard = ear.subscribe(Subscribe::to(filter, QoS::ExactlyOnce)).await?;
        ears.push((ear, heard));
    }
    let mut mouths = Vec::new();
    for (at, topic) in [(hut_at, "t"), (hub_at, "u")] {
        mouths.push(tokio::spawn(async move {
            let mouth = Client::connect(&at.to_string(), kept("mouth")).await?;
            for number in 0..600_u32 {
                let message = Message::new(format!("{topic}/x"), number.to_string());
                mouth.publish(message.qos(QoS::ExactlyOnce)).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            anyhow::Ok(())
        }));
    }
    for round in 0..6 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let which = round % 2;
        if let Some(broker) = brokers[which].take() {
            // What reaches it meanwhile is with its system, and dies with it.
            signal("STOP", broker.pid().context("a process of ours")?)?;
            tokio::time::sleep(Duration::from_millis(200)).await;
            broker.kill()?;
        }
        brokers[which] = Some(if which == 0 { start_hub()? } else { start_hut()? });
    }
    for mouth in mouths {
        mouth.await??;
    }
    for (_, heard) in &mut ears {
        let mut counts: HashMap<String, u32> = HashMap::new();
        while counts.len() < 600 {
            let message = next(heard).await?;
            let payload = String::from_utf8_lossy(&message.payload).into_owned();
            *counts.entry(payload).or_default() += 1;
        }
        let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
        ensure!(doubled.is_empty(), "came twice: {doubled:?}");
    }
    Ok(())
}
