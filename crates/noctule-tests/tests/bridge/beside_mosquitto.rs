//! A bridge of mosquitto.conf, and mosquitto at its other end.

use crate::brokers::{free, next, take};
use anyhow::{Result, ensure};
use noctule_client::{Message, QoS};
use noctule_tests::driver::Needs;
use noctule_tests::process;
use std::process::Command;

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
