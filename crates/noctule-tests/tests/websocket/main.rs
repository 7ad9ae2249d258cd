//! WebSocket of a real broker process: what RFC 6455 says, and the programs that people use.

mod autobahn;
mod browser;
mod peer;
#[allow(dead_code, reason = "shared with tests that need all of it")]
#[path = "../tls/pki.rs"]
mod pki;

use anyhow::{Context, Result, ensure};
use noctule_client::net::{Endpoint, Tls};
use noctule_client::{Client, Connector, Message, Options, QoS, Reconnect, Subscribe};
use noctule_tests::driver::{self, Needs};
use noctule_tests::process::{self, BrokerProcess};
use peer::{Heard, Peer, frame};
use pki::Pki;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

/// A broker with a listener of WebSocket.
struct Broker {
    process: BrokerProcess,
    address: SocketAddr,
}

impl Broker {
    /// With these options of the listener.
    fn start(options: &str) -> Result<Broker> {
        let config = format!(
            "shards = 2\n[[listener]]\nport = 0\nallow_anonymous = true\n\
             protocol = \"websocket\"\n{options}\n"
        );
        let process = BrokerProcess::start_with(&config)?;
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(address) = web_address(&process.log()) {
                return Ok(Broker { process, address });
            }
            ensure!(Instant::now() < deadline, "no WebSocket in:\n{}", process.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same over TLS.
    fn start_secure(pki: &Pki) -> Result<Broker> {
        let (certificate, key) = (pki.path("server.crt"), pki.path("server.key"));
        Broker::start(&format!("[listener.tls]\ncertificate = {certificate:?}\nkey = {key:?}"))
    }

    fn await_log(&self, text: &str) -> Result<()> {
        self.process.await_log(text, 1)
    }
}

fn web_address(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("(WebSocket"))?;
    line.split_once("listening on ")?.1.split(' ').next()?.parse().ok()
}

/// `[MQTT-6.0.0-1 v5]` `[MQTT-6.0.0-1 v3.1.1]` `[MQTT-6.0.0-2 v5]` `[MQTT-6.0.0-2 v3.1.1]`
#[test]
fn the_cases_of_autobahn_end_as_they_should() -> Result<()> {
    let broker = Broker::start("")?;
    let outcome = autobahn::run_all(broker.address);
    broker.process.explain(outcome)
}

/// `[MQTT-6.0.0-4 v5]` `[MQTT-6.0.0-4 v3.1.1]`
#[test]
fn a_request_is_answered_and_offers_of_extensions_are_left_lying() -> Result<()> {
    let broker = Broker::start("websocket_origins = [\"https://example.com\"]")?;
    for (more, status, why) in [
        ("", "101 ", ""),
        ("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", "101 ", ""),
        ("Origin: https://example.com\r\n", "101 ", ""),
        ("Origin: https://example.org\r\n", "403 ", "pages of https://example.org may not"),
        (&format!("X: {}\r\n", "x".repeat(5000)), "431 ", "the request is too long"),
        ("Host: twice\r\n", "400 ", "host stands there twice"),
    ] {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let (mut peer, answer) = Peer::ask(broker.address, more)?;
            ensure!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{more}: {answer}");
            ensure!(!answer.contains("Extensions"), "{answer}");
            if status == "101 " {
                ensure!(answer.contains("Sec-WebSocket-Protocol: mqtt\r\n"), "{answer}");
                peer.write(&frame(0x82, peer::CONNECT))?;
                ensure!(peer.hear()? == Heard::Data(vec![0x20, 2, 0, 0]), "no CONNACK");
                break;
            }
            // One line a second is written.
            if broker.process.log().contains(why) {
                break;
            }
            ensure!(Instant::now() < deadline, "no {why:?} in:\n{}", broker.process.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    Ok(())
}

#[test]
fn who_is_slow_to_ask_is_cut_as_who_is_slow_to_connect() -> Result<()> {
    let broker = Broker::start("[limits]\nconnect_timeout_secs = 1")?;
    let (mut quiet, answer) = Peer::ask(broker.address, "")?;
    ensure!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let began = Instant::now();
    // A WebSocket alone is no client; the end of it is said.
    ensure!(quiet.hear()? == Heard::Close(Some(1000)), "a close frame");
    ensure!(quiet.hear()? == Heard::End, "and then the end");
    ensure!(began.elapsed() < Duration::from_secs(10), "in time");
    Ok(())
}

#[test]
fn the_broker_says_goodbye_when_it_ends_a_connection() -> Result<()> {
    let broker = Broker::start("")?;
    let mut peer = Peer::connect(broker.address)?;
    // A second CONNECT.
    peer.write(&frame(0x82, peer::CONNECT))?;
    ensure!(peer.hear()? == Heard::Close(Some(1000)), "a close frame");
    // DISCONNECT, without a close frame of the client's.
    let mut peer = Peer::connect(broker.address)?;
    peer.write(&frame(0x82, &[0xe0, 0]))?;
    ensure!(peer.hear()? == Heard::Close(Some(1000)), "a close frame");
    broker.await_log("client disconnected")?;
    // Cut amid a frame.
    let mut peer = Peer::connect(broker.address)?;
    peer.write(&frame(0x82, &[0xc0, 0])[..5])?;
    drop(peer);
    broker.await_log("connection lost")
}

/// Messages of each QoS, small and large, there and back; then many at once, and a good-bye.
async fn use_client(endpoint: Endpoint) -> Result<()> {
    let connect = |name: &str| {
        let options = Options::new(name);
        Connector::new(endpoint.clone(), options).reconnect(Reconnect::never())
    };
    let client: Client = connect("sender").connect().await?;
    let other: Client = connect("receiver").connect().await?;
    let mut all = other.subscribe(Subscribe::to("a", QoS::ExactlyOnce)).await?;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for size in [0, 100, 1025, 70_000, 900_000] {
            let payload: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            client.publish(Message::new("a", payload.clone()).qos(qos)).await?;
            let message = all.recv().await.context("the connection lasts")?;
            ensure!(message.qos == qos && message.payload == payload, "{size} at {qos:?}");
        }
    }
    let mut receipts = Vec::new();
    for number in 0..500 {
        let message = Message::new("a", number.to_string()).qos(QoS::AtLeastOnce);
        receipts.push(client.send(message).await?);
    }
    for (number, receipt) in receipts.into_iter().enumerate() {
        receipt.await?;
        let message = all.recv().await.context("the connection lasts")?;
        ensure!(message.payload == number.to_string(), "{number} comes in its turn");
    }
    client.disconnect().await?;
    Ok(other.disconnect().await?)
}

#[tokio::test]
async fn our_client_talks_with_and_without_tls() -> Result<()> {
    let broker = Broker::start("")?;
    let plain = Endpoint::parse(&format!("ws://{}/mqtt", broker.address))?;
    broker.process.explain(use_client(plain).await)?;
    let pki = Pki::new("wss-own")?;
    let broker = Broker::start_secure(&pki)?;
    let mut endpoint = Endpoint::parse(&format!("wss://localhost:{}", broker.address.port()))?;
    endpoint.tls = Some(Tls::new().ca_file(pki.path("ca.crt")));
    broker.process.explain(use_client(endpoint).await)
}

#[test]
fn the_command_line_publishes_and_subscribes() -> Result<()> {
    let broker = Broker::start("")?;
    let port = broker.address.port().to_string();
    let url = format!("ws://127.0.0.1:{port}/kept");
    for args in [
        &["pub", "--ws", "-p", &port, "-t", "kept", "-m", "here", "-r", "-q", "1"][..],
        &["sub", "-L", &url, "-C", "1", "-W", "20"],
        &["rr", "--ws", "-p", &port, "-t", "kept", "-e", "kept", "-m", "again", "-W", "20"],
    ] {
        let output = Command::new(process::binary()?).args(args).output()?;
        ensure!(output.status.success(), "{args:?}: {output:?}");
        let expected = ["", "here\n", "again\n", "here\nagain\n"];
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(expected.contains(&&*text), "{args:?}: {output:?}");
    }
    let Some(mosquitto) = Needs::MosquittoPeers.program() else { return Ok(()) };
    let sub = mosquitto.with_file_name("mosquitto_sub");
    let args = ["--ws", "-h", "127.0.0.1", "-p", &port, "-t", "kept", "-C", "1", "-W", "20"];
    let output = Command::new(sub).args(args).output()?;
    ensure!(output.status.success() && output.stdout == b"here\n", "{output:?}");
    Ok(())
}

/// Runs a script of another client, through a WebSocket, with TLS if there is a CA.
fn drive(needs: Needs, script: &str, versions: &[&str]) -> Result<()> {
    let Some(program) = needs.program() else { return Ok(()) };
    let pki = Pki::new(&format!("wss-{}", script.replace(['/', '.'], "-")))?;
    let brokers = [(Broker::start("")?, None), (Broker::start_secure(&pki)?, Some("ca.crt"))];
    for (broker, ca) in &brokers {
        for version in versions {
            let mut command = Command::new(&program);
            command.arg(driver::clients_directory().join(script));
            command.args(["127.0.0.1", &broker.address.port().to_string(), version]);
            command.env("NOCTULE_TEST_WEBSOCKET", "1").env("PYTHONDONTWRITEBYTECODE", "1");
            if let Some(ca) = ca {
                command.env("NOCTULE_TEST_CA", pki.path(ca));
            }
            let outcome = driver::run(&mut command);
            broker.process.explain(outcome)?;
        }
    }
    Ok(())
}

#[test]
fn mqttjs_talks_with_and_without_tls() -> Result<()> {
    drive(Needs::MqttJs, "mqttjs/any_version.mjs", &["3.1", "3.1.1", "5"])?;
    drive(Needs::MqttJs, "mqttjs/version_5.mjs", &["5"])
}

#[test]
fn paho_talks_with_and_without_tls() -> Result<()> {
    drive(Needs::Paho1, "paho/round_trip.py", &["3.1", "5"])?;
    drive(Needs::Paho2, "paho/round_trip.py", &["3.1.1", "5"])
}
