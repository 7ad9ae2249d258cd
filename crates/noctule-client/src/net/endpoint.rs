//! Where a server is and how to get there.

use super::address::{Address, AddressError};
use super::dial::dial;
use super::failure::ConnectError;
use super::socks::Socks5;
use super::stream::Stream;
use super::tls::Tls;
use super::websocket::WebSocket;
use super::{srv, unix};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// A server, and the way to it. Cloning is cheap; clones share what was loaded for TLS.
///
/// ```
/// use noctule_client::net::{Endpoint, Host};
///
/// let mut endpoint = Endpoint::tcp("localhost", 1883);
/// endpoint.no_delay = false;
/// assert_eq!(endpoint.to_string(), "mqtt://localhost:1883");
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Which server.
    pub host: Host,
    /// How to talk TLS with it; `None` for bare bytes.
    pub tls: Option<Tls>,
    /// How to talk WebSocket with it; `None` for MQTT without frames.
    pub websocket: Option<WebSocket>,
    /// A proxy that makes the TCP connection for us, and looks up the host.
    pub proxy: Option<Socks5>,
    /// The address of this machine that TCP connections come from.
    pub bind: Option<IpAddr>,
    /// Whether small packets leave at once (`TCP_NODELAY`) instead of waiting for company.
    pub no_delay: bool,
}

/// What names a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Host {
    /// A host and a port of TCP.
    Tcp {
        /// A name, or an address without brackets.
        name: String,
        /// From 1.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
    /// A domain whose SRV records name hosts and ports: `_mqtt._tcp`, with TLS
    /// `_secure-mqtt._tcp`. A certificate must hold the name of the domain, since anybody on the
    /// way could have named the host.
    Srv(String),
}

impl Endpoint {
    /// MQTT over TCP.
    pub fn tcp(name: impl Into<String>, port: u16) -> Endpoint {
        Endpoint::of(Host::Tcp { name: name.into(), port })
    }

    /// MQTT over a Unix socket.
    pub fn unix(path: impl Into<PathBuf>) -> Endpoint {
        Endpoint::of(Host::Unix(path.into()))
    }

    /// MQTT over TCP, to where the SRV records of this domain say.
    pub fn srv(domain: impl Into<String>) -> Endpoint {
        Endpoint::of(Host::Srv(domain.into()))
    }

    fn of(host: Host) -> Endpoint {
        Endpoint { host, tls: None, websocket: None, proxy: None, bind: None, no_delay: true }
    }

    /// The endpoint of an address such as `mqtts://host:8883`; see [`Address::parse`], which also
    /// gives the other parts of it.
    pub fn parse(text: &str) -> Result<Endpoint, AddressError> {
        Address::parse(text).map(|address| address.endpoint)
    }

    /// Connects, through each layer, until the next byte would be MQTT.
    ///
    /// There is no time limit here. Dropping the future closes what it has opened.
    pub async fn connect(&self) -> Result<Stream, ConnectError> {
        match &self.host {
            Host::Tcp { name, port } => {
                let stream = self.reach(name, *port).await?;
                self.wrap(stream, Some(name), &authority(name, *port)).await
            }
            Host::Unix(path) => {
                let stream = Stream::Unix(unix::connect(path).await?);
                self.wrap(stream, None, "localhost").await
            }
            Host::Srv(domain) => self.connect_by_srv(domain).await,
        }
    }

    /// Tries the servers of a domain in the order that its records ask for.
    async fn connect_by_srv(&self, domain: &str) -> Result<Stream, ConnectError> {
        let mut failure = None;
        for (name, port) in srv::lookup(domain, self.tls.is_some()).await? {
            match self.reach(&name, port).await {
                Ok(stream) => {
                    return self.wrap(stream, Some(domain), &authority(&name, port)).await;
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("a lookup without servers is an error"))
    }

    /// A TCP connection, through the proxy if there is one.
    async fn reach(&self, name: &str, port: u16) -> Result<Stream, ConnectError> {
        let (to, to_port) = self.proxy.as_ref().map_or((name, port), Socks5::address);
        let stream = dial(to, to_port, self.bind).await?;
        stream.set_nodelay(self.no_delay)?;
        let stream = Stream::Tcp(stream);
        match &self.proxy {
            Some(proxy) => proxy.connect(stream, (name, port)).await,
            None => Ok(stream),
        }
    }

    /// Puts TLS and WebSocket around a connection. `name` is what the certificate must hold.
    async fn wrap(
        &self,
        mut stream: Stream,
        name: Option<&str>,
        authority: &str,
    ) -> Result<Stream, ConnectError> {
        if let Some(tls) = &self.tls {
            stream = tls.connect(stream, name).await?;
        }
        if let Some(websocket) = &self.websocket {
            stream = websocket.connect(stream, authority).await?;
        }
        Ok(stream)
    }
}

/// Host and port as a URL writes them.
fn authority(name: &str, port: u16) -> String {
    if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}

/// As a URL, without secrets.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (&self.websocket, &self.tls) {
            (None, None) => "mqtt",
            (None, Some(_)) => "mqtts",
            (Some(_), None) => "ws",
            (Some(_), Some(_)) => "wss",
        };
        match &self.host {
            Host::Tcp { name, port } => write!(f, "{scheme}://{}", authority(name, *port)),
            Host::Unix(path) => write!(f, "unix://{}", path.display()),
            Host::Srv(domain) => write!(f, "{scheme}://{domain} (SRV)"),
        }
    }
}
