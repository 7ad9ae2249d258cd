//! What stands for WebSocket in a build without it: types that have no values.

use super::failure::{ConnectError, Missing};
use super::stream::Stream;
use std::fmt;
use std::io::{Error, Result as IoResult};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// WebSocket, which this build has not: the feature `websocket` brings it.
#[derive(Clone, Debug)]
pub enum WebSocket {}

/// An error that cannot happen without the feature `websocket`.
#[derive(Debug)]
pub enum WebSocketError {}

/// A connection that cannot be without the feature `websocket`.
#[derive(Debug)]
pub enum WebSocketStream {}

impl WebSocket {
    pub(super) fn by_scheme(_: &str) -> Result<WebSocket, Missing> {
        Err(Missing::WebSocket)
    }

    pub(super) async fn connect(&self, _: Stream, _: &str) -> Result<Stream, ConnectError> {
        match *self {}
    }
}

impl WebSocketStream {
    pub(super) fn below(&self) -> &Stream {
        match *self {}
    }
}

impl WebSocketError {
    pub(super) fn inside(error: Error) -> Result<WebSocketError, Error> {
        Err(error)
    }

    pub(super) fn os_error(&self) -> Option<i32> {
        match *self {}
    }

    pub(super) fn likely_fix(&self) -> Option<&'static str> {
        match *self {}
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl AsyncRead for WebSocketStream {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<IoResult<()>> {
        match *self {}
    }
}

impl AsyncWrite for WebSocketStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<IoResult<usize>> {
        match *self {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<IoResult<()>> {
        match *self {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<IoResult<()>> {
        match *self {}
    }
}
