//! An open TLS connection.

use super::certificate::Certificate;
use super::verifier::{matches_common_name, names_hosts};
use super::{Check, Stream, Warning};
use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};

/// TLS over another stream.
#[derive(Debug)]
pub struct TlsStream {
    stream: client::TlsStream<Stream>,
    server: ServerName<'static>,
    check: Check,
}

impl TlsStream {
    pub(super) fn new(
        stream: client::TlsStream<Stream>,
        server: ServerName<'static>,
        check: Check,
    ) -> TlsStream {
        TlsStream { stream, server, check }
    }

    /// The protocol that the server chose among those we offered by ALPN, if it did.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.stream.get_ref().1.alpn_protocol()
    }

    /// The server's certificate (DER).
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.certificate().map(AsRef::as_ref)
    }

    fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.stream.get_ref().1.peer_certificates()?.first()
    }

    /// What a stricter client would have refused the server for.
    pub(in crate::net) fn warnings(&self) -> Vec<Warning> {
        match self.check {
            Check::Nothing => return vec![Warning::AnyCertificate],
            Check::Issuer => return vec![Warning::AnyHostName],
            Check::All => {}
        }
        let mut warnings = Vec::new();
        if let Some(certificate) = self.certificate().and_then(|der| Certificate::parse(der)) {
            if certificate.is_version1() {
                warnings.push(Warning::Version1);
            }
            if !names_hosts(&certificate) && matches_common_name(&certificate, &self.server) {
                warnings.push(Warning::CommonName);
            }
        }
        warnings
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        match Pin::new(&mut self.get_mut().stream).poll_read(cx, buf) {
            // Many servers close without the farewell of TLS. Packets know their own end, so
            // nobody can make us take half of one for a whole.
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
