//! Each transport to a broker that others wrote. A program of its own: the tests of `transports`
//! open so many ports that one chosen for mosquitto would not stay free until it is there.

mod broker;
#[allow(dead_code, reason = "shared with a program that needs all of it")]
#[path = "transports/certificates.rs"]
mod certificates;

use broker::Mosquitto;
use certificates::{Ca, Folder};
use noctule_client::net::{ConnectError, Endpoint, Pem, Stream, Tls, TlsError};
use noctule_client::{Connector, Error, Message, Options, QoS, Reconnect, Subscribe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// CONNECT of 3.1.1 without a client identifier.
const CONNECT: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0";
const CONNACK: &[u8] = b"\x20\x02\0\0";

/// The reference, or what this machine has.
fn start(settings: &str) -> Option<Mosquitto> {
    Mosquitto::start_reference(settings).or_else(|| Mosquitto::start(settings))
}

/// Greets the broker and expects to be let in.
async fn greet(stream: &mut Stream) -> Result<(), ConnectError> {
    // In three parts: neither records nor frames have to hold whole packets.
    for part in CONNECT.chunks(5) {
        if stream.write_all(part).await.is_err() || stream.flush().await.is_err() {
            // The server has closed; what it said before tells why.
            break;
        }
    }
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    assert_eq!(answer, CONNACK);
    stream.write_all(b"\xe0\0").await?;
    stream.shutdown().await?;
    while stream.read(&mut answer).await? > 0 {}
    Ok(())
}

async fn enter(endpoint: &Endpoint) -> Result<(), ConnectError> {
    greet(&mut endpoint.connect().await?).await
}

/// Settings that make the listener one of TLS, by files in this folder.
fn tls_settings(folder: &Folder, ca: &Ca) -> String {
    let server = ca.issue(&["localhost"]);
    let ca = folder.write("ca.crt", &ca.pem);
    let certificate = folder.write("server.crt", server.pem);
    let key = folder.write("server.key", server.key_pem);
    format!(
        "allow_anonymous true\nuser root\ncafile {}\ncertfile {}\nkeyfile {}\n",
        ca.display(),
        certificate.display(),
        key.display()
    )
}

#[tokio::test]
async fn over_tcp() {
    let Some(broker) = start("allow_anonymous true") else { return };
    enter(&Endpoint::tcp("localhost", broker.port)).await.expect("let in");
}

#[tokio::test]
async fn over_tls_in_both_versions() {
    let (folder, ca) = (Folder::new("mosquitto-tls"), Ca::new("a CA"));
    for version in ["tlsv1.2", "tlsv1.3"] {
        let settings = tls_settings(&folder, &ca) + "tls_version " + version;
        let Some(broker) = start(&settings) else { return };
        let mut endpoint = Endpoint::tcp("localhost", broker.port);
        endpoint.tls = Some(Tls::new().ca_file(folder.path().join("ca.crt")).alpn(["mqtt"]));
        enter(&endpoint).await.expect("let in");
        endpoint.tls = Some(Tls::new().ca_pem(Ca::new("another CA").pem));
        let error = endpoint.connect().await.expect_err("a stranger");
        assert!(matches!(error, ConnectError::Tls(TlsError::UnknownIssuer)), "{error:?}");
    }
}

#[tokio::test]
async fn with_client_certificates() {
    let (folder, ca) = (Folder::new("mosquitto-client"), Ca::new("a CA"));
    let settings = tls_settings(&folder, &ca) + "require_certificate true";
    let Some(broker) = start(&settings) else { return };
    let mut endpoint = Endpoint::tcp("localhost", broker.port);
    let tls = Tls::new().ca_file(folder.path().join("ca.crt"));
    for client in [ca.issue_for_client(), ca.issue_version1("a client", "491231235959Z")] {
        let certificate = Pem::file(folder.write("client.crt", client.pem));
        let key = Pem::file(folder.write("client.key", client.key_pem));
        endpoint.tls = Some(tls.clone().client_certificate(certificate, key));
        enter(&endpoint).await.expect("let in");
    }
    endpoint.tls = Some(tls);
    let error = enter(&endpoint).await.expect_err("no certificate");
    assert!(matches!(error, ConnectError::Tls(TlsError::CertificateRefused(_))), "{error:?}");
}

#[tokio::test]
async fn over_websocket_with_and_without_tls() {
    let Some(broker) = Mosquitto::start_reference("protocol websockets\nallow_anonymous true")
    else {
        return;
    };
    let address = format!("ws://localhost:{}/mqtt", broker.port);
    enter(&Endpoint::parse(&address).expect("a good address")).await.expect("let in");

    let (folder, ca) = (Folder::new("mosquitto-wss"), Ca::new("a CA"));
    let settings = format!("protocol websockets\n{}", tls_settings(&folder, &ca));
    let Some(broker) = Mosquitto::start_reference(&settings) else { return };
    let address = format!("wss://localhost:{}", broker.port);
    let mut endpoint = Endpoint::parse(&address).expect("a good address");
    endpoint.tls = Some(Tls::new().ca_pem(ca.pem));
    enter(&endpoint).await.expect("let in");
}

/// Messages of each QoS, small and large, there and back; then a good-bye.
async fn use_client(endpoint: Endpoint) -> Result<(), Error> {
    let connector = Connector::new(endpoint, Options::new("c")).reconnect(Reconnect::never());
    let client = connector.connect().await?;
    let mut all = client.subscribe(Subscribe::to("a", QoS::ExactlyOnce)).await?;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for payload in [vec![], vec![7; 300_000]] {
            client.publish(Message::new("a", payload.clone()).qos(qos)).await?;
            let message = all.recv().await.expect("the connection lasts");
            assert_eq!((message.qos, message.payload.len()), (qos, payload.len()));
        }
    }
    let mut receipts = Vec::new();
    for number in 0..500 {
        let message = Message::new("a", number.to_string()).qos(QoS::AtLeastOnce);
        receipts.push(client.send(message).await?);
    }
    for (number, receipt) in receipts.into_iter().enumerate() {
        receipt.await?;
        let message = all.recv().await.expect("the connection lasts");
        assert_eq!(message.payload, number.to_string());
    }
    client.disconnect().await
}

#[tokio::test]
async fn the_client_works_over_each_of_them() {
    const OPEN: &str = "allow_anonymous true\nmax_queued_messages 0\n";
    let (folder, ca) = (Folder::new("mosquitto-client-over"), Ca::new("a CA"));
    let over_tls = tls_settings(&folder, &ca);
    let tls = Tls::new().ca_pem(ca.pem);
    for (scheme, settings) in [
        ("mqtts", over_tls.clone()),
        ("ws", format!("protocol websockets\n{OPEN}")),
        ("wss", format!("protocol websockets\n{over_tls}")),
    ] {
        let Some(broker) = Mosquitto::start_reference(&settings) else { return };
        let address = format!("{scheme}://localhost:{}", broker.port);
        let mut endpoint = Endpoint::parse(&address).expect("a good address");
        endpoint.tls = endpoint.tls.map(|_| tls.clone());
        use_client(endpoint).await.unwrap_or_else(|error| panic!("{scheme}: {error}"));
    }
}

#[tokio::test]
async fn the_client_tells_that_its_certificate_is_missing() {
    let (folder, ca) = (Folder::new("mosquitto-refused"), Ca::new("a CA"));
    let settings = tls_settings(&folder, &ca) + "require_certificate true";
    let Some(broker) = start(&settings) else { return };
    let mut endpoint = Endpoint::tcp("localhost", broker.port);
    endpoint.tls = Some(Tls::new().ca_pem(ca.pem));
    let error = use_client(endpoint).await.expect_err("no certificate").to_string();
    assert!(error.contains("refuses our certificate"), "{error}");
}
