//! The bytes of one connection, whatever they travel through.

use super::failure::Warning;
use super::tls::TlsStream;
use super::unix::UnixStream;
use super::websocket::WebSocketStream;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// An open connection to a server.
///
/// What is written to TLS or WebSocket may stay in a buffer until it is flushed; TCP and Unix
/// sockets hold nothing back. After a failed write, reading on may tell why: a server that refuses
/// a client's certificate says so in the last thing it sends. Errors of reading and writing become
/// [`ConnectError`](super::ConnectError) by `From`, with the words of TLS and WebSocket.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// Nothing between MQTT and TCP.
    Tcp(TcpStream),
    /// Nothing between MQTT and a Unix socket.
    Unix(UnixStream),
    /// TLS over one of the others.
    Tls(Box<TlsStream>),
    /// WebSocket over one of the others.
    WebSocket(Box<WebSocketStream>),
}

impl Stream {
    /// The TLS of the connection, if there is any.
    pub fn tls(&self) -> Option<&TlsStream> {
        match self {
            Stream::Tls(tls) => Some(tls),
            Stream::WebSocket(websocket) => websocket.below().tls(),
            Stream::Tcp(_) | Stream::Unix(_) => None,
        }
    }

    /// What a stricter client would not have put up with.
    pub fn warnings(&self) -> Vec<Warning> {
        self.tls().map(TlsStream::warnings).unwrap_or_default()
    }
}

/// No error where a farewell finds the other side gone, or where the answer is that it is: servers
/// that close as soon as they have read DISCONNECT are often faster than the farewells of TLS and
/// WebSocket.
#[cfg(any(feature = "tls", feature = "websocket"))]
pub(super) fn unless_gone(error: std::io::Error) -> Result<()> {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::BrokenPipe | Kind::ConnectionReset | Kind::ConnectionAborted => Ok(()),
        Kind::NotConnected => Ok(()),
        _ => Err(error),
    }
}

/// The same call on whatever the stream is.
macro_rules! of_each {
    ($stream:expr, $io:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($io) => $call,
            Stream::Unix($io) => $call,
            Stream::Tls($io) => $call,
            Stream::WebSocket($io) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        of_each!(self.get_mut(), io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        of_each!(self.get_mut(), io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        of_each!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        of_each!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        of_each!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        of_each!(self, io => io.is_write_vectored())
    }
}
