//! The PROXY protocol of a real broker process: whose address counts, what is refused, and what
//! certificates say that clients have shown the proxy.

#[allow(dead_code, reason = "shared with tests that need all of it")]
#[path = "tls/pki.rs"]
mod pki;

use anyhow::{Context, Result, bail, ensure};
use noctule_tests::process::BrokerProcess;
use noctule_tls::rustls::pki_types::ServerName;
use noctule_tls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use noctule_tls::{Pem, provider};
use pki::Pki;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

struct Broker {
    process: BrokerProcess,
    address: SocketAddr,
}

impl Broker {
    /// With these options of the listener.
    fn start(options: &str) -> Result<Broker> {
        let config =
            format!("shards = 2\n[[listener]]\nbind = \"127.0.0.2\"\nport = 0\n{options}\n");
        let process = BrokerProcess::start_with(&config)?;
        let broker = Broker { address: SocketAddr::from(([127, 0, 0, 2], 0)), process };
        let line = broker.await_line("listening on 127.0.0.2:")?;
        let place = line.split_once("listening on ").context("a place")?.1;
        let address = place.split([' ', ':']).nth(1).context("a port")?.parse()?;
        Ok(Broker { address: SocketAddr::from(([127, 0, 0, 2], address)), ..broker })
    }

    /// The line that has this text, once there is one.
    fn await_line(&self, text: &str) -> Result<String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(line) = self.process.log().lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            ensure!(Instant::now() < deadline, "no {text:?} in:\n{}", self.process.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn open(&self, header: &[u8]) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(header)?;
        Ok(stream)
    }

    /// Connects behind this header.
    fn connect(&self, header: &[u8], client_id: &str) -> Result<TcpStream> {
        let mut stream = self.open(header)?;
        ensure!(greet(&mut stream, client_id)? == CONNACK, "no CONNACK");
        Ok(stream)
    }

    /// A connection that is closed without an answer.
    fn is_refused(&self, header: &[u8]) -> Result<()> {
        let mut stream = self.open(header)?;
        match greet(&mut stream, "refused") {
            Err(_) => Ok(()),
            Ok(answer) => bail!("{header:?}: {answer:?}"),
        }
    }
}

fn greet(stream: &mut (impl Read + Write), client_id: &str) -> Result<[u8; 4]> {
    let len = u8::try_from(client_id.len())?;
    let mut connect = vec![0x10, 12 + len, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, len];
    connect.extend_from_slice(client_id.as_bytes());
    stream.write_all(&connect)?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// A header of version 2 for this host of 192.0.2.0/24.
fn v2(command: u8, host: u8, values: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, host, 127, 0, 0, 2, 0x30, 0x39, 7, 0x5b];
    let mut bytes = [SIGNATURE, &[command, 0x11]].concat();
    bytes.extend_from_slice(&((addresses.len() + values.len()) as u16).to_be_bytes());
    bytes.extend_from_slice(&addresses);
    bytes.extend_from_slice(values);
    bytes
}

/// What a proxy says of TLS: flags of the client, what came of its certificate, the name in it.
fn tls(client: u8, verify: u8, name: &str) -> Vec<u8> {
    let len = name.len() as u8;
    let mut bytes = vec![0x20, 0, 8 + len, client, 0, 0, 0, verify, 0x22, 0, len];
    bytes.extend_from_slice(name.as_bytes());
    bytes
}

#[test]
fn the_address_that_a_proxy_tells_is_the_client_s() -> Result<()> {
    let deny = "allow_anonymous = true\ndeny = [\"192.0.2.66\", \"2001:db8::/32\"]";
    let broker = Broker::start(&format!("proxy_protocol = \"v1\"\n{deny}"))?;
    // Clients of either shard.
    for number in 0..8 {
        let id = format!("one-{number}");
        let line = format!("PROXY TCP4 192.0.2.{number} 127.0.0.2 4242 1883\r\n");
        drop(broker.connect(line.as_bytes(), &id)?);
        let line = broker.await_line(&format!("client connected client_id=\"{id}\""))?;
        ensure!(line.contains(&format!("remote=\"192.0.2.{number}:4242\"")), "{line}");
    }
    broker.is_refused(b"PROXY TCP4 192.0.2.66 127.0.0.2 4242 1883\r\n")?;
    broker.is_refused(b"PROXY TCP6 2001:db8::1 ::1 4242 1883\r\n")?;
    let line = broker.await_line("does not take connections from there")?;
    ensure!(line.contains("192.0.2.66:4242"), "{line}");
    drop(broker.connect(b"PROXY UNKNOWN\r\n", "unknown")?);
    let broker = Broker::start(&format!("proxy_protocol = \"v2\"\n{deny}"))?;
    // A byte at a time.
    let mut stream = broker.open(&[])?;
    for byte in v2(0x21, 7, &[]) {
        stream.write_all(&[byte])?;
    }
    ensure!(greet(&mut stream, "slow")? == CONNACK, "no CONNACK");
    let line = broker.await_line("client connected client_id=\"slow\"")?;
    ensure!(line.contains("remote=\"192.0.2.7:12345\""), "{line}");
    broker.is_refused(&v2(0x21, 66, &[]))?;
    // The proxy for itself.
    drop(broker.connect(&v2(0x20, 66, &[]), "proxy")?);
    Ok(())
}

#[test]
fn who_has_no_header_is_refused_and_the_log_says_why() -> Result<()> {
    let options = "allow_anonymous = true\n";
    for (version, header, why) in [
        ("v1", &b""[..], "there is no header of version 1"),
        ("v1", SIGNATURE, "its header is of version 2"),
        ("v1", b"PROXY TCP4 a b 1 2\r\n", "its header cannot be understood"),
        ("v2", b"", "there is no header of version 2"),
        ("v2", b"PROXY UNKNOWN\r\n", "its header is of version 1"),
        ("v2", &[SIGNATURE, &[0x31, 0x11, 0, 0]].concat(), "another version or command"),
    ] {
        let broker = Broker::start(&format!("{options}proxy_protocol = {version:?}"))?;
        broker.is_refused(header)?;
        let line = broker.await_line("PROXY protocol failed")?;
        ensure!(line.contains(why), "{line}");
    }
    let limits = "[limits]\nconnect_timeout_secs = 1";
    let broker = Broker::start(&format!("{options}proxy_protocol = \"v2\"\n{limits}"))?;
    let mut stream = broker.open(SIGNATURE)?;
    ensure!(stream.read(&mut [0; 4])? == 0, "closed in time");
    broker.await_line("no CONNECT in time").map(drop)
}

#[test]
fn a_certificate_that_the_proxy_has_seen_names_its_client() -> Result<()> {
    let broker = Broker::start(
        "allow_anonymous = false\nproxy_protocol = \"v2\"\nproxy_protocol_require_tls = true\n\
         proxy_protocol_user_name = \"common_name\"",
    )?;
    drop(broker.connect(&v2(0x21, 1, &tls(3, 0, "ann")), "a")?);
    let line = broker.await_line("client connected client_id=\"a\"")?;
    ensure!(line.contains("user_name=\"ann\""), "{line}");
    // No TLS with the proxy.
    broker.is_refused(&v2(0x21, 1, &[]))?;
    broker.is_refused(&v2(0x21, 1, &tls(2, 0, "ann")))?;
    // Nor may who is somewhere that the proxy does not know. The proxy itself is answered.
    broker.is_refused(&[SIGNATURE, &[0x21, 0, 0, 0]].concat())?;
    greet(&mut broker.open(&[SIGNATURE, &[0x20, 0, 0, 0]].concat())?, "proxy")?;
    broker.await_line("the client speaks no TLS with the proxy")?;
    // A certificate that the proxy does not believe, one without a name, and none.
    for values in [tls(3, 1, "ann"), tls(3, 0, ""), tls(1, 0, "ann")] {
        let mut stream = broker.open(&v2(0x21, 1, &values))?;
        let answer = greet(&mut stream, "b")?;
        ensure!(answer[..3] == [0x20, 2, 0] && [4, 5].contains(&answer[3]), "{answer:?}");
    }
    Ok(())
}

#[test]
fn what_follows_may_be_tls_or_websocket() -> Result<()> {
    let pki = Pki::new("proxied")?;
    let (certificate, key) = (pki.path("server.crt"), pki.path("server.key"));
    let options = "allow_anonymous = true\nproxy_protocol = \"v1\"";
    let header = b"PROXY TCP4 192.0.2.9 127.0.0.2 4242 1883\r\n";
    let broker = Broker::start(&format!(
        "{options}\n[listener.tls]\ncertificate = {certificate:?}\nkey = {key:?}"
    ))?;
    let mut roots = RootCertStore::empty();
    for certificate in Pem::file(pki.path("ca.crt")).certificates()? {
        roots.add(certificate)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider(&[])))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost")?;
    let session = ClientConnection::new(Arc::new(config), name)?;
    let mut stream = StreamOwned::new(session, broker.open(header)?);
    ensure!(greet(&mut stream, "secure")? == CONNACK, "no CONNACK");
    let line = broker.await_line("client connected client_id=\"secure\"")?;
    ensure!(line.contains("remote=\"192.0.2.9:4242\""), "{line}");
    let broker = Broker::start(&format!("{options}\nprotocol = \"websocket\""))?;
    let mut stream = broker.open(header)?;
    stream.write_all(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Protocol: mqtt\r\n\r\n",
    )?;
    // A CONNECT, masked with nothing.
    stream.write_all(b"\x82\x8e\0\0\0\0\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0")?;
    let line = broker.await_line("client connected")?;
    ensure!(line.contains("remote=\"192.0.2.9:4242\""), "{line}");
    Ok(())
}
