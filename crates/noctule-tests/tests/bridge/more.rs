//! Where a bridge goes, when, and who hears of it.

use crate::brokers::{bridge, client, free, listener, next, pair, take};
use anyhow::{Result, ensure};
use noctule_client::{Message, QoS};
use noctule_tests::driver::Needs;
use noctule_tests::process::{self, BrokerProcess};
use std::process::Command;

const OUT: &str = "filter = \"t/#\"\nqos = 1";
const PLAIN: &str = "[admin]\nenabled = false\n";

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
    // Its session waits for messages from the beginning.
    hut.await_log("client disconnected client_id=\"local.hut.hub\"", 1)?;
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
async fn what_comes_before_the_first_connection_waits_for_it() -> Result<()> {
    let hub_at = free()?;
    let hut = BrokerProcess::start_with(&bridge(hub_at, "", &[OUT]))?;
    hut.await_log("no connection to", 1)?;
    let from = client(hut.address(), "p").await?;
    from.publish(Message::new("t/kept", "kept").retained()).await?;
    from.publish(Message::new("t/1", "early").qos(QoS::AtLeastOnce).retained()).await?;
    let _hub = BrokerProcess::start_at(hub_at, PLAIN)?;
    hut.await_log("bridge hub: is up", 1)?;
    let (_client, mut heard) = listener(hub_at, "t/#").await?;
    let mut came = take(&mut heard, 2).await?;
    came.sort();
    let wanted = [("t/1", "early"), ("t/kept", "kept")];
    ensure!(came == wanted.map(|(topic, text)| (topic.into(), text.into())), "{came:?}");
    Ok(())
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
    hut.await_log("client_id=\"local.hut.other\" remote=\"\" tenant=0 version=V5", 4)?;
    ensure!(hut.log().matches("bridge hub: is up").count() == 1, "{}", hut.log());
    hut.reload(&first.replace("t/#", "t/+/#/x"))?;
    hut.await_log("the configuration stays as it was", 1)?;
    let (_client, mut heard) = listener(hub.address(), "t/#").await?;
    from.publish(Message::new("t/1", "still").qos(QoS::AtLeastOnce)).await?;
    ensure!(take(&mut heard, 1).await?[0].1 == "still");
    Ok(())
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

/// Mosquitto at the other end, with the bridge that mosquitto would be given.
#[tokio::test]
async fn mosquitto_and_a_bridge_of_its_own_configuration_get_along() -> Result<()> {
    let Some(mosquitto) = Needs::MosquittoPeers.program() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let (there, here) = (free()?, free()?);
    let conf = format!("listener {} 127.0.0.1\nallow_anonymous true\n", there.port());
    std::fs::write(folder.path().join("hub.conf"), conf)?;
    for version in ["mqttv311", "mqttv50", "mqttv31"] {
        let mut hub = Command::new(&mosquitto)
            .args(["-c", "hub.conf"])
            .current_dir(folder.path())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        let conf = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nconnection hub\naddress {there}\n\
             bridge_protocol_version {version}\nremote_clientid hut\nrestart_timeout 1\n\
             topic t/# both 2 here/ there/\ntopic \"\" out 1 door alarm/door\n",
            here.port()
        );
        let path = folder.path().join(format!("{version}.conf"));
        std::fs::write(&path, conf)?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut hut = Command::new(process::binary()?)
            .args(["serve", "--memory", "-c"])
            .arg(&path)
            .stderr(log)
            .spawn()?;
        let outcome = talk(here, there).await;
        hut.kill()?;
        hub.kill()?;
        hut.wait()?;
        hub.wait()?;
        let log = std::fs::read_to_string(folder.path().join("log"))?;
        outcome.map_err(|error| error.context(format!("{version}: {log}")))?;
    }
    Ok(())
}

async fn talk(here: std::net::SocketAddr, there: std::net::SocketAddr) -> Result<()> {
    let reconnect = noctule_client::Reconnect::always();
    let connect = |at: std::net::SocketAddr, id: &str| {
        let options = noctule_client::Options::new(id);
        let connector = noctule_client::Connector::to(&at.to_string(), options)?;
        connector.reconnect(reconnect).start()
    };
    let (a, b) = (connect(here, "a")?, connect(there, "b")?);
    let all = |filter: &str| noctule_client::Subscribe::to(filter, QoS::ExactlyOnce);
    let (mut here, mut there) = (a.subscribe(all("here/#")).await?, b.subscribe(all("#")).await?);
    // The state that it tells comes when it is up.
    let mut state = b.subscribe(all("$SYS/broker/connection/hut/state")).await?;
    while take(&mut state, 1).await?[0].1 != "1" {}
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        b.publish(Message::new("there/t/1", "in").qos(qos)).await?;
        let came = next(&mut here).await?;
        ensure!(&*came.topic == "here/t/1" && came.qos == qos, "{came:?}");
        let echo = next(&mut there).await?;
        ensure!(&*echo.topic == "there/t/1", "{echo:?}");
        a.publish(Message::new("here/t/2", "out").qos(qos)).await?;
        let came = next(&mut there).await?;
        ensure!(&*came.topic == "there/t/2" && came.qos == qos, "{came:?}");
        ensure!(&*next(&mut here).await?.topic == "here/t/2");
    }
    a.publish(Message::new("door", "open").qos(QoS::ExactlyOnce)).await?;
    let came = next(&mut there).await?;
    ensure!(&*came.topic == "alarm/door" && came.qos == QoS::AtLeastOnce, "{came:?}");
    Ok(())
}
