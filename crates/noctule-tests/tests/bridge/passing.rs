//! What is passed on, and how it arrives.

use crate::brokers::{bridge, client, free, is_quiet, listener, next, pair, pair_with, take};
use anyhow::{Result, ensure};
use noctule_client::{Message, QoS};
use noctule_tests::process::BrokerProcess;

const ALL: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const T: &str = "filter = \"t/#\"\ndirection = \"both\"\nqos = 2\nlocal_prefix = \"here/\"\n\
                 remote_prefix = \"there/\"";

/// Both ways, at each QoS, with the topics of the other side, and once.
async fn both_ways(options: &str) -> Result<()> {
    let (hub, hut) = pair(options, &[T])?;
    let (_hub_client, mut at_hub) = listener(hub.address(), "#").await?;
    let (_hut_client, mut at_hut) = listener(hut.address(), "#").await?;
    let (from_hub, from_hut) =
        (client(hub.address(), "p").await?, client(hut.address(), "p").await?);
    for qos in ALL {
        let level = qos as u8;
        from_hut.publish(Message::new(format!("here/t/{level}"), "out").qos(qos)).await?;
        from_hub.publish(Message::new(format!("there/t/{level}"), "in").qos(qos)).await?;
        from_hut.publish(Message::new("else/t", "stays").qos(qos)).await?;
        for (heard, name) in [(&mut at_hub, "there"), (&mut at_hut, "here")] {
            let mut found = Vec::new();
            for _ in 0..if name == "here" { 3 } else { 2 } {
                let message = next(heard).await?;
                ensure!(message.qos == qos, "{options}: {message:?}");
                found.push(message.topic.to_string());
            }
            found.retain(|topic| *topic == format!("{name}/t/{level}"));
            ensure!(found.len() == 2, "{options}: {found:?}");
        }
    }
    is_quiet(hub.address(), "x", &mut at_hub).await?;
    is_quiet(hut.address(), "x", &mut at_hut).await
}

#[tokio::test]
async fn messages_go_both_ways_with_their_topics_changed_and_none_comes_back() -> Result<()> {
    for version in ["5.0", "3.1.1", "3.1"] {
        both_ways(&format!("version = {version:?}")).await?;
    }
    both_ways("clean_start = true").await
}

#[tokio::test]
async fn properties_expiry_retain_and_content_travel() -> Result<()> {
    let (hub, hut) = pair("", &[T])?;
    let (_client, mut heard) = listener(hub.address(), "there/#").await?;
    let message = Message::new("here/t/x", vec![0_u8, 255, 7])
        .qos(QoS::AtLeastOnce)
        .retained()
        .expires_in_secs(1000)
        .content_type("a/b")?
        .response_topic("answers")?
        .correlation_data(&[0, 1])?
        .user_property("shop", "7")?;
    client(hut.address(), "p").await?.publish(message.clone()).await?;
    let came = next(&mut heard).await?;
    ensure!(&*came.topic == "there/t/x" && came.payload == message.payload && came.retain);
    ensure!(came.expiry_secs.is_some_and(|secs| (900..=1000).contains(&secs)), "{came:?}");
    let properties = came.properties.as_properties();
    ensure!(properties.content_type() == Some("a/b"));
    ensure!(properties.response_topic() == Some("answers"));
    ensure!(properties.correlation_data() == Some(&[0, 1][..]));
    let users: Vec<_> = properties.user_properties().iter().collect();
    ensure!(users.len() == 2 && users[0] == ("shop", "7") && users[1].0 == "noctule-via");
    // It is retained there as it is here.
    let (_client, mut later) = listener(hub.address(), "there/t/#").await?;
    ensure!(take(&mut later, 1).await?[0].0 == "there/t/x");
    Ok(())
}

#[tokio::test]
async fn what_is_retained_before_the_bridge_begins_is_passed_on() -> Result<()> {
    let hub = BrokerProcess::start_with("[admin]\nenabled = false\n")?;
    client(hub.address(), "p").await?.publish(Message::new("there/t/old", "1").retained()).await?;
    let hut = BrokerProcess::start_with(&bridge(hub.address(), "", &[T]))?;
    let (_client, mut heard) = listener(hut.address(), "here/#").await?;
    ensure!(take(&mut heard, 1).await? == [("here/t/old".into(), "1".into())]);
    Ok(())
}

#[tokio::test]
async fn what_the_other_broker_cannot_do_is_not_asked_of_it() -> Result<()> {
    let there = "[admin]\nenabled = false\n[limits]\nqos_max = 1\nretain_available = false\n\
                 packet_size_max = 2000\nreceive_maximum = 2\n";
    let (hub, hut) = pair_with(there, "", &[T])?;
    let (_client, mut heard) = listener(hub.address(), "#").await?;
    let from = client(hut.address(), "p").await?;
    for at in 0..20 {
        let topic = format!("here/t/{at}");
        let size = if at == 7 { 3000 } else { 10 };
        from.publish(Message::new(topic, vec![b'x'; size]).qos(QoS::ExactlyOnce).retained())
            .await?;
    }
    for at in (0..20).filter(|at| *at != 7) {
        let message = next(&mut heard).await?;
        ensure!(*message.topic == *format!("there/t/{at}"), "{message:?}");
        ensure!(message.qos == QoS::AtLeastOnce && !message.retain, "{message:?}");
    }
    ensure!(hut.log().contains("larger than the other side takes"), "{}", hut.log());
    // Nothing is open any more: what is published now goes through at once.
    from.publish(Message::new("here/t/end", "end").qos(QoS::ExactlyOnce)).await?;
    ensure!(take(&mut heard, 1).await?[0].1 == "end");
    Ok(())
}

#[tokio::test]
async fn a_circle_of_bridges_ends() -> Result<()> {
    let (one, two, three) = (free()?, free()?, free()?);
    let all = "filter = \"#\"\ndirection = \"both\"\nqos = 1";
    let start = |at, to, id: &str| -> Result<BrokerProcess> {
        let text = bridge(to, "", &[all]).replace("hut.hub", id);
        BrokerProcess::start_at(at, &text)
    };
    let (a, b, c) = (start(one, two, "a")?, start(two, three, "b")?, start(three, one, "c")?);
    for broker in [&a, &b, &c] {
        broker.await_log("bridge hub: is up", 1)?;
    }
    let (_client, mut heard) = listener(c.address(), "#").await?;
    client(a.address(), "p").await?.publish(Message::new("t", "round")).await?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    client(c.address(), "q").await?.publish(Message::new("end", "end")).await?;
    let mut rounds = 0;
    while &*next(&mut heard).await?.topic != "end" {
        rounds += 1;
    }
    // It comes from both sides, and maybe once more from each.
    ensure!((1..=6).contains(&rounds), "{rounds}");
    Ok(())
}
