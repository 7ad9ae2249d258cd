//! A client that says no more than it has to, so that what it is answered can be told exactly.

use crate::pki::Pki;
use anyhow::{Context, Result, bail, ensure};
use noctule_tests::wire::read_packet;
use noctule_tls::rustls::client::WebPkiServerVerifier;
use noctule_tls::rustls::pki_types::{CertificateDer, ServerName};
use noctule_tls::rustls::sign::SingleCertAndKey;
use noctule_tls::rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error, HandshakeKind, RootCertStore,
    StreamOwned, version,
};
use noctule_tls::{Pem, certified_key, provider};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How to connect.
#[derive(Clone, Copy, Default)]
pub(crate) struct Attempt<'a> {
    /// Whose certificate is shown.
    pub(crate) name: Option<&'a str>,
    pub(crate) only_tls12: bool,
    pub(crate) alpn: Option<&'a str>,
}

/// What came of it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// CONNACK.
    Connected,
    /// The server has said why not.
    Alert(AlertDescription),
    /// Anything else.
    Broken(String),
}

/// A connected client.
pub(crate) struct Client(StreamOwned<ClientConnection, TcpStream>);

/// MQTT 3.1.1, a clean session, a client id that the broker chooses.
const CONNECT: [u8; 14] = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 0];

/// Connects, and says what came of it.
pub(crate) fn attempt(pki: &Pki, address: SocketAddr, attempt: &Attempt<'_>) -> Result<Outcome> {
    let error = match connect_by(&config(pki, attempt)?, address)? {
        Ok(_) => return Ok(Outcome::Connected),
        Err(error) => error,
    };
    let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<Error>());
    Ok(match inside {
        Some(Error::AlertReceived(alert)) => Outcome::Alert(*alert),
        Some(error) => Outcome::Broken(error.to_string()),
        None => Outcome::Broken(error.to_string()),
    })
}

/// Connects.
pub(crate) fn connect(pki: &Pki, address: SocketAddr, attempt: &Attempt<'_>) -> Result<Client> {
    connect_with(&config(pki, attempt)?, address)
}

/// The same as others did who have the configuration.
pub(crate) fn connect_with(config: &Arc<ClientConfig>, address: SocketAddr) -> Result<Client> {
    connect_by(config, address)?.context("the broker lets it in")
}

/// Says CONNECT without TLS.
pub(crate) fn write_connect(stream: &mut TcpStream) -> Result<()> {
    Ok(stream.write_all(&CONNECT)?)
}

/// What a client begins with.
pub(crate) fn config(pki: &Pki, attempt: &Attempt<'_>) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(provider(&[]));
    let mut roots = RootCertStore::empty();
    for certificate in Pem::file(pki.path("ca.crt")).certificates()? {
        roots.add(certificate)?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let versions: &[_] = match attempt.only_tls12 {
        true => &[&version::TLS12],
        false => &[&version::TLS13, &version::TLS12],
    };
    let own = Arc::clone(&provider);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_webpki_verifier(verifier.build()?);
    let mut config = match attempt.name {
        None => builder.with_no_client_auth(),
        // rustls itself would not even show one of X.509 version 1.
        Some(name) => {
            let file = |end| Pem::file(pki.path(&format!("{name}.{end}")));
            let shown = certified_key(&file("crt"), &file("key"), &own)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
        }
    };
    config.alpn_protocols = attempt.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

fn connect_by(config: &Arc<ClientConfig>, address: SocketAddr) -> Result<io::Result<Client>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let session = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
    let mut client = Client(StreamOwned::new(session, stream));
    let mut answer = [0; 4];
    let outcome = client.0.write_all(&CONNECT).and_then(|()| client.0.read_exact(&mut answer));
    if outcome.is_ok() {
        ensure!(answer == [0x20, 2, 0, 0], "no CONNACK: {answer:?}");
    }
    Ok(outcome.map(|()| client))
}

impl Client {
    /// PINGREQ and its answer.
    pub(crate) fn ping(&mut self) -> Result<()> {
        let mut answer = [0; 2];
        self.0.write_all(&[0xC0, 0])?;
        self.0.read_exact(&mut answer)?;
        ensure!(answer == [0xD0, 0], "no PINGRESP: {answer:?}");
        Ok(())
    }

    /// SUBSCRIBE and its answer.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> Result<()> {
        let len = u8::try_from(filter.len()).context("a short filter")?;
        let mut packet = vec![0x82, 5 + len, 0, 1, 0, len];
        packet.extend_from_slice(filter.as_bytes());
        packet.push(qos);
        self.0.write_all(&packet)?;
        let mut answer = [0; 5];
        self.0.read_exact(&mut answer)?;
        ensure!(answer == [0x90, 3, 0, 1, qos], "no SUBACK: {answer:?}");
        Ok(())
    }

    /// PUBLISH at QoS 1 and its answer.
    pub(crate) fn publish(&mut self, topic: &str, id: u16, payload: &[u8]) -> Result<()> {
        let mut packet = vec![0x32];
        let mut len = 2 + topic.len() + 2 + payload.len();
        while len >= 0x80 {
            packet.push(len as u8 | 0x80);
            len >>= 7;
        }
        packet.push(len as u8);
        packet.extend_from_slice(&u16::try_from(topic.len())?.to_be_bytes());
        packet.extend_from_slice(topic.as_bytes());
        packet.extend_from_slice(&id.to_be_bytes());
        packet.extend_from_slice(payload);
        self.0.write_all(&packet)?;
        let mut answer = [0; 4];
        self.0.read_exact(&mut answer)?;
        ensure!(answer[..2] == [0x40, 2] && answer[2..] == id.to_be_bytes(), "{answer:?}");
        Ok(())
    }

    /// The payload of a PUBLISH at QoS 1, which is acknowledged.
    pub(crate) fn read_publish(&mut self, topic: &str) -> Result<Vec<u8>> {
        let (first, mut body) = read_packet(&mut self.0)?;
        ensure!(first == 0x32, "no PUBLISH: {first}");
        let head = 2 + topic.len();
        ensure!(body.get(2..head) == Some(topic.as_bytes()), "another topic");
        self.0.write_all(&[0x40, 2, body[head], body[head + 1]])?;
        Ok(body.split_off(head + 2))
    }

    /// What the server has shown.
    pub(crate) fn certificate(&self) -> Result<CertificateDer<'static>> {
        let Some([first, ..]) = self.0.conn.peer_certificates() else { bail!("no certificate") };
        Ok(first.clone())
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.0.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}
