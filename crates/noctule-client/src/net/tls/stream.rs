//! An open TLS connection.

use super::verifier::{matches_common_name, names_hosts};
use super::{Check, Stream, Warning};
use crate::net::stream::unless_gone;
use noctule_tls::Certificate;
use std::io::{ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};

/// TLS over another stream. Once it is shut down, nothing more is heard: what still comes is
/// thrown away, up to the end of the connection.
#[derive(Debug)]
pub struct TlsStream {
    stream: client::TlsStream<Stream>,
    server: ServerName<'static>,
    check: Check,
    /// Our farewell has been said.
    shut: bool,
}

impl TlsStream {
    pub(super) fn new(
        stream: client::TlsStream<Stream>,
        server: ServerName<'static>,
        check: Check,
    ) -> TlsStream {
        TlsStream { stream, server, check, shut: false }
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

impl TlsStream {
    /// Reads and forgets, up to the end.
    ///
    /// After its farewell rustls must not see bytes that are no TLS: it asserts in builds with
    /// assertions that it has no second alert to send. mosquitto 2.1.2 sends such bytes, a last
    /// frame of WebSocket past its TLS.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let below = self.stream.get_mut().0;
        loop {
            let mut bytes = [0; 1024];
            let mut unheard = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut *below).poll_read(cx, &mut unheard)).or_else(unless_gone)?;
            if unheard.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = self.get_mut();
        if this.shut {
            return this.poll_discard(cx);
        }
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
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
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        this.shut = true;
        let shut = ready!(Pin::new(&mut this.stream).poll_shutdown(cx));
        Poll::Ready(shut.or_else(unless_gone))
    }
}
