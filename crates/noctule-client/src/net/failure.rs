//! Why there is no way to a server, in plain words, and what probably helps.

use super::socks::SocksError;
use super::tls::TlsError;
use super::websocket::WebSocketError;
use std::fmt;
use std::io::{self, ErrorKind};

/// Why a connection could not be made, or was lost below MQTT.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name of the host stands for no address.
    Lookup {
        /// The name that was asked for.
        name: String,
        /// What the resolver said.
        error: io::Error,
    },
    /// No address of the host took the connection.
    Unreachable {
        /// Where the last attempt went: an address with its port, or a path.
        to: String,
        /// How it ended.
        error: io::Error,
    },
    /// The operating system reports a failure of an open connection.
    Io(io::Error),
    /// The proxy does not let us through.
    Socks(SocksError),
    /// No trust, or no common ground, below TLS.
    Tls(TlsError),
    /// The server speaks no MQTT over WebSocket here.
    WebSocket(WebSocketError),
    /// This build or this platform cannot do it.
    Missing(Missing),
}

/// What a build can be without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Missing {
    /// TLS: the feature `tls`.
    Tls,
    /// WebSocket: the feature `websocket`.
    WebSocket,
    /// SOCKS5: the feature `socks`.
    Socks,
    /// SRV records: the feature `srv`, on Unix.
    Srv,
    /// Unix sockets, on a platform without.
    Unix,
    /// TLS by a key that both sides know before (PSK), which rustls has not.
    PreSharedKeys,
}

/// What a stricter client would not have put up with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Warning {
    /// The host stands only in the common name of the server's certificate.
    CommonName,
    /// The server's certificate is of X.509 version 1.
    Version1,
    /// Any host name was to be accepted.
    AnyHostName,
    /// Any certificate was to be accepted.
    AnyCertificate,
}

impl ConnectError {
    /// The number of the operating system's error (`errno`), where it reported one.
    pub fn os_error(&self) -> Option<i32> {
        match self {
            ConnectError::Lookup { error, .. }
            | ConnectError::Unreachable { error, .. }
            | ConnectError::Io(error) => error.raw_os_error(),
            ConnectError::Socks(error) => error.os_error(),
            ConnectError::Tls(error) => error.os_error(),
            ConnectError::WebSocket(error) => error.os_error(),
            ConnectError::Missing(_) => None,
        }
    }

    /// What probably helps, where that can be told.
    pub fn likely_fix(&self) -> Option<&'static str> {
        match self {
            ConnectError::Lookup { .. } => Some("check the spelling of the host, and the network"),
            ConnectError::Unreachable { error, .. } => fix_of(error.kind()),
            ConnectError::Io(error) if error.kind() == ErrorKind::ConnectionReset => Some(
                "see the server's log; a server that expects TLS, or no TLS, breaks off like this",
            ),
            ConnectError::Io(_) => None,
            ConnectError::Socks(error) => error.likely_fix(),
            ConnectError::Tls(error) => error.likely_fix(),
            ConnectError::WebSocket(error) => error.likely_fix(),
            ConnectError::Missing(missing) => missing.likely_fix(),
        }
    }
}

/// What probably helps against a connection that did not come about.
fn fix_of(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::ConnectionRefused => Some("start the server, or check host and port"),
        ErrorKind::NotFound => Some("check the path; the server makes the socket when it starts"),
        ErrorKind::PermissionDenied => Some("check the rights of the socket, or the firewall"),
        ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            Some("check the network, and firewalls on the way")
        }
        ErrorKind::AddrNotAvailable => Some("bind to an address that this machine has"),
        _ => None,
    }
}

impl Missing {
    fn likely_fix(self) -> Option<&'static str> {
        match self {
            Missing::Tls => Some("build with the feature `tls`"),
            Missing::WebSocket => Some("build with the feature `websocket`"),
            Missing::Socks => Some("build with the feature `socks`"),
            Missing::Srv => {
                Some("build with the feature `srv` on a Unix system, or name host and port")
            }
            Missing::Unix => Some("connect over TCP"),
            Missing::PreSharedKeys => Some("give the server and, if it asks, us certificates"),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Lookup { name, error } => write!(f, "no address for {name}: {error}"),
            ConnectError::Unreachable { to, error } => write!(f, "cannot connect to {to}: {error}"),
            ConnectError::Io(error) => error.fmt(f),
            ConnectError::Socks(error) => error.fmt(f),
            ConnectError::Tls(error) => error.fmt(f),
            ConnectError::WebSocket(error) => error.fmt(f),
            ConnectError::Missing(missing) => missing.fmt(f),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Missing::Tls => "this build has no TLS",
            Missing::WebSocket => "this build has no WebSocket",
            Missing::Socks => "this build knows no proxies",
            Missing::Srv => "this build looks up no SRV records",
            Missing::Unix => "this platform has no Unix sockets",
            Missing::PreSharedKeys => "TLS by pre-shared keys (PSK) is not supported",
        })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Warning::CommonName => {
                "the server's certificate has its host only in the common name: have it issued \
                 with a subject alternative name"
            }
            Warning::Version1 => {
                "the server's certificate is of X.509 version 1: have it issued with extensions"
            }
            Warning::AnyHostName => {
                "the server's certificate was accepted whichever host it stands for"
            }
            Warning::AnyCertificate => "the server's certificate was not checked",
        })
    }
}

impl std::error::Error for ConnectError {}

/// Also for what an open [`Stream`](super::Stream) reports: TLS and WebSocket put their own errors
/// into those of the operating system.
impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> ConnectError {
        if let Some(tls) = TlsError::inside(&error) {
            return ConnectError::Tls(tls);
        }
        match WebSocketError::inside(error) {
            Ok(websocket) => ConnectError::WebSocket(websocket),
            Err(error) => ConnectError::Io(error),
        }
    }
}

impl From<Missing> for ConnectError {
    fn from(missing: Missing) -> ConnectError {
        ConnectError::Missing(missing)
    }
}

impl From<SocksError> for ConnectError {
    fn from(error: SocksError) -> ConnectError {
        ConnectError::Socks(error)
    }
}

impl From<TlsError> for ConnectError {
    fn from(error: TlsError) -> ConnectError {
        ConnectError::Tls(error)
    }
}

impl From<WebSocketError> for ConnectError {
    fn from(error: WebSocketError) -> ConnectError {
        ConnectError::WebSocket(error)
    }
}
