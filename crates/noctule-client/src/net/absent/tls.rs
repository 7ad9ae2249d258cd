//! What stands for TLS in a build without it: types that have no values.

use super::failure::{ConnectError, Missing, Warning};
use super::stream::Stream;
use std::fmt;
use std::io::Result as IoResult;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// TLS, which this build has not: the feature `tls` brings it.
#[derive(Clone, Debug)]
pub enum Tls {}

/// An error that cannot happen without the feature `tls`.
#[derive(Clone, Debug)]
pub enum TlsError {}

/// A connection that cannot be without the feature `tls`.
#[derive(Debug)]
pub enum TlsStream {}

impl Tls {
    pub(super) fn by_scheme() -> Result<Tls, Missing> {
        Err(Missing::Tls)
    }

    pub(super) async fn connect(&self, _: Stream, _: Option<&str>) -> Result<Stream, ConnectError> {
        match *self {}
    }
}

impl TlsStream {
    pub(super) fn warnings(&self) -> Vec<Warning> {
        match *self {}
    }
}

impl TlsError {
    pub(super) fn inside(_: &std::io::Error) -> Option<TlsError> {
        None
    }

    pub(super) fn os_error(&self) -> Option<i32> {
        match *self {}
    }

    pub(super) fn likely_fix(&self) -> Option<&'static str> {
        match *self {}
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<IoResult<()>> {
        match *self {}
    }
}

impl AsyncWrite for TlsStream {
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
