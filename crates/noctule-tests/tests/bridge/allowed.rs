//! What bridges may be and do, and what clients may not because of them.

use crate::brokers::{OUT, PLAIN, bridge, client, free, listener, pair, take};
use anyhow::{Result, ensure};
use noctule_client::{Message, QoS};
use noctule_tests::process::{self, BrokerProcess};
use std::process::Command;

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_starts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let base = bridge(free()?, "", &[OUT]);
    for (text, wanted) in [
        (base.replace("name = \"hub\"\n", ""), "bridge.name: is missing"),
        (base.replace("[[bridge.topic]]\n", "").replace(OUT, ""), "bridge.topic: is missing"),
        (base.replace("127.0.0.1:", "ftp://127.0.0.1:"), "bridge.addresses"),
        (base.replace("qos = 1", "qos = 3"), "bridge.topic.qos"),
        (base.replace("t/#", "t/#/x"), "bridge.topic.filter"),
        (base.replace("t/#", "$share/g/t"), "bridge.topic.filter"),
        (base.replace("retry_secs_max = 1", "retry_secs_max = 0"), "bridge.retry_secs_max"),
        (
            base.replace("[[bridge.topic]]", "[bridge.tls]\nca = \"no\"\n[[bridge.topic]]")
                .replace("127.0.0.1", "mqtts://127.0.0.1"),
            "bridge.tls: of \"hub\": ",
        ),
    ] {
        let path = folder.path().join("noctule.toml");
        std::fs::write(&path, &text)?;
        let checked =
            Command::new(process::binary()?).args(["config", "check"]).arg(&path).output()?;
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        ensure!(!checked.status.success() && said.contains(wanted), "{wanted}: {said}\n{text}");
    }
    Ok(())
}

/// What clients here may do is nothing to a bridge, which is no stranger.
#[tokio::test]
async fn a_bridge_is_under_none_of_the_rules_for_clients() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let dynsec = folder.path().join("dynsec.json");
    for rules in [
        format!("[dynamic_security]\nfile = {dynsec:?}\n"),
        "[[role]]\nname = \"none\"\neveryone = true\nanonymous = true\n[[role.rule]]\n\
         deny = [\"publish\", \"subscribe\", \"receive\"]\ntopics = [\"#\", \"$SYS/#\"]\n"
            .to_owned(),
        "[limits]\nrefusals_as_mosquitto = true\n[limits.address]\nconnections_max = 1\n"
            .to_owned(),
    ] {
        let (hub_at, closed) = (BrokerProcess::start_with(PLAIN)?, free()?);
        let topic = "filter = \"t/#\"\nqos = 2\ndirection = \"both\"";
        let listener_closed =
            format!("[[listener]]\nport = {}\nallow_anonymous = false\n", closed.port());
        let text = bridge(hub_at.address(), "", &[topic]);
        let hut = BrokerProcess::start_with(&format!("{text}{listener_closed}{rules}"))?;
        hut.await_log("bridge hub: is up", 1)?;
        // From the hub and back to it, by way of the hut: what comes in is taken there.
        let from = client(hub_at.address(), "p").await?;
        from.publish(Message::new("t/1", "x").qos(QoS::ExactlyOnce)).await?;
        let log = hut.log();
        ensure!(!log.contains("cannot be subscribed") && !log.contains("refused"), "{log}");
        let (_client, mut state) =
            listener(hub_at.address(), "$SYS/broker/connection/hut.hub/state").await?;
        ensure!(take(&mut state, 1).await?[0].1 == "1");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_from_outside_takes_over_what_waits_for_a_bridge() -> Result<()> {
    let (_hub, hut) = pair("", &[OUT])?;
    let error = client(hut.address(), "local.hut.hub").await.err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    ensure!(error.contains("the client id is a bridge's"), "{error}");
    ensure!(hut.log().matches("bridge hub: is up").count() == 1, "{}", hut.log());
    Ok(())
}
