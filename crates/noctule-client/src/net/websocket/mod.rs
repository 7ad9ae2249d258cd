//! MQTT over WebSocket [MQTT 5.0, 6; RFC 6455]: the bytes of MQTT travel in binary frames, whose
//! borders mean nothing.
//!
//! The frames are our own, because MQTT needs no messages: what has come of a frame is handed on at
//! once, so a frame of any size takes no memory. Libraries for WebSocket hold each one whole.

mod frame;
mod handshake;
mod stream;

use super::failure::{ConnectError, Missing};
use super::stream::Stream;
use std::fmt;
use std::io;
pub use stream::WebSocketStream;

/// What the request for a WebSocket says.
#[derive(Clone)]
pub struct WebSocket {
    path: String,
    headers: Vec<(String, String)>,
}

/// Why there is no WebSocket, or none any more.
#[derive(Debug)]
#[non_exhaustive]
pub enum WebSocketError {
    /// The connection broke during the request.
    Io(io::Error),
    /// The server answered with another status than 101.
    Status {
        /// The status of HTTP.
        code: u16,
        /// The server's word for it.
        reason: String,
    },
    /// The answer is no HTTP.
    NotHttp,
    /// An answer of HTTP that grants no WebSocket; names the header that is wrong or missing.
    BadAnswer(&'static str),
    /// The server did not choose the subprotocol `mqtt`; names what it chose, if anything.
    NoSubprotocol(Option<String>),
    /// The path or a header that was to be sent is no HTTP.
    BadRequest(String),
    /// The server sent a frame that the standard forbids.
    Frame(&'static str),
    /// The server ended the WebSocket and said why; 1002 and up of RFC 6455, 7.4.
    Closed {
        /// Why, as a number.
        code: u16,
        /// Why, in its words.
        reason: String,
    },
}

impl WebSocket {
    /// A request for this path, which may have a query: `/mqtt`.
    pub fn new(path: impl Into<String>) -> WebSocket {
        WebSocket { path: path.into(), headers: Vec::new() }
    }

    pub(super) fn by_scheme(path: &str) -> Result<WebSocket, Missing> {
        Ok(WebSocket::new(path))
    }

    /// Adds a header to the request, such as `Authorization` or `Origin`.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> WebSocket {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The path of the request.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Asks the server at the other end of `stream` for a WebSocket.
    pub(super) async fn connect(
        &self,
        mut stream: Stream,
        authority: &str,
    ) -> Result<Stream, ConnectError> {
        let read_ahead = handshake::shake(self, &mut stream, authority).await?;
        Ok(Stream::WebSocket(Box::new(WebSocketStream::new(stream, read_ahead))))
    }
}

/// Without the values of the headers, which may be secrets.
impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        write!(f, "WebSocket {{ path: {:?}, headers: {names:?} }}", self.path)
    }
}

impl WebSocketError {
    /// The error that a [`WebSocketStream`] has put into one of the operating system.
    pub(super) fn inside(error: io::Error) -> Result<WebSocketError, io::Error> {
        error.downcast::<WebSocketError>()
    }

    pub(super) fn os_error(&self) -> Option<i32> {
        match self {
            WebSocketError::Io(error) => error.raw_os_error(),
            WebSocketError::Status { .. }
            | WebSocketError::NotHttp
            | WebSocketError::BadAnswer(_)
            | WebSocketError::NoSubprotocol(_)
            | WebSocketError::BadRequest(_)
            | WebSocketError::Frame(_)
            | WebSocketError::Closed { .. } => None,
        }
    }

    pub(super) fn likely_fix(&self) -> Option<&'static str> {
        match self {
            WebSocketError::Status { code: 401 | 403, .. } => {
                Some("send the header that the server wants, such as Authorization or Origin")
            }
            WebSocketError::Status { code: 404, .. } => Some("check the path; many use /mqtt"),
            WebSocketError::Status { .. } | WebSocketError::BadAnswer(_) => {
                Some("check that an MQTT server, or a proxy for one, has this port and path")
            }
            WebSocketError::NotHttp => Some(
                "check the port: plain MQTT has another than WebSocket, and so has WebSocket \
                 over TLS",
            ),
            WebSocketError::NoSubprotocol(_) => Some("check that MQTT is at this path"),
            WebSocketError::Frame(_) => Some("the server needs a repair"),
            WebSocketError::Io(_)
            | WebSocketError::BadRequest(_)
            | WebSocketError::Closed { .. } => None,
        }
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebSocketError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the server closed the connection instead of granting a WebSocket")
            }
            WebSocketError::Io(error) => write!(f, "asking for a WebSocket: {error}"),
            WebSocketError::Status { code, reason } => {
                write!(f, "the server grants no WebSocket: HTTP status {code} {reason}")
            }
            WebSocketError::NotHttp => f.write_str("the server does not answer in HTTP"),
            WebSocketError::BadAnswer(header) => {
                write!(f, "the server grants no WebSocket: wrong {header} in its answer")
            }
            WebSocketError::NoSubprotocol(None) => {
                f.write_str("the server did not choose the subprotocol mqtt, nor any other")
            }
            WebSocketError::NoSubprotocol(Some(other)) => {
                write!(f, "the server chose the subprotocol {other:?} instead of mqtt")
            }
            WebSocketError::BadRequest(what) => write!(f, "{what} is not possible in HTTP"),
            WebSocketError::Frame(what) => write!(f, "the server broke WebSocket: {what}"),
            WebSocketError::Closed { code, reason } if reason.is_empty() => {
                write!(f, "the server ended the WebSocket (code {code})")
            }
            WebSocketError::Closed { code, reason } => {
                write!(f, "the server ended the WebSocket: {reason:?} (code {code})")
            }
        }
    }
}

impl std::error::Error for WebSocketError {}
