//! One TCP connection: the byte stream, ordered and lossless, that MQTT asks for.
//! [MQTT-4.2-1 v5], [MQTT-7.1.1-1 v3.1.1]

use super::tls::{Acceptor, Scratch, Tls};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use noctule_tls::Certificate;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

/// A short read tells that nothing is left, and the next byte makes a new event. Where readiness
/// is emulated (Windows) only a read that would block arms the next event.
const SHORT_READ_IS_LAST: bool = cfg!(unix);

/// A connected socket that never blocks, with TLS if its listener speaks it.
pub(crate) struct Socket {
    stream: TcpStream,
    tls: Option<Box<Tls>>,
}

/// A socket between two shards.
pub(crate) struct Moved {
    stream: std::net::TcpStream,
    tls: Option<Box<Tls>>,
}

/// One without TLS.
impl From<std::net::TcpStream> for Moved {
    fn from(stream: std::net::TcpStream) -> Moved {
        Moved { stream, tls: None }
    }
}

/// What a receive gave.
#[derive(Debug)]
pub(crate) enum Received {
    /// So many bytes, and nothing more for now.
    Last(usize),
    /// So many bytes, and there may be more.
    More(usize),
    /// Nothing for now.
    Nothing,
    /// The other side sends no more, or the connection is broken.
    End,
    /// There will be no TLS; why.
    Failed(String),
}

impl Socket {
    /// Takes over an accepted connection.
    pub(crate) fn accepted(stream: TcpStream, acceptor: Option<&Acceptor>) -> io::Result<Socket> {
        stream.set_nodelay(true)?;
        let tls = acceptor.map(Acceptor::accept).transpose().map_err(io::Error::other)?;
        Ok(Socket { stream, tls: tls.map(Box::new) })
    }

    /// From another shard.
    pub(crate) fn arrived(moved: Moved) -> Socket {
        Socket { stream: TcpStream::from_std(moved.stream), tls: moved.tls }
    }

    /// To another shard; no events come here any more.
    pub(crate) fn leave(mut self, registry: &Registry) -> io::Result<Moved> {
        registry.deregister(&mut self.stream)?;
        Ok(Moved { stream: self.stream.into(), tls: self.tls })
    }

    /// Asks for events. Readiness is reported once for each change, in both directions: a change
    /// of interest would cost a system call whenever a socket fills up.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Where it comes from.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }

    /// The client's certificate, if it has shown one.
    pub(crate) fn certificate(&self) -> Option<Certificate<'_>> {
        self.tls.as_ref()?.certificate()
    }

    /// Whether a handshake is under way, each step of which costs much.
    #[inline]
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Memory of unfinished records that was counted, see [`Tls::recount`].
    #[inline]
    pub(crate) fn counted(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.counted())
    }

    /// Counts it anew, or no more.
    #[inline]
    pub(crate) fn recount(&mut self, counts: bool) -> (usize, usize) {
        self.tls.as_mut().map_or((0, 0), |tls| tls.recount(counts))
    }

    /// Receives once.
    #[inline]
    pub(crate) fn receive(&mut self, buffer: &mut [u8], scratch: &mut Scratch) -> Received {
        match &mut self.tls {
            None => read(&self.stream, buffer),
            Some(tls) => tls.receive(&self.stream, buffer, scratch),
        }
    }

    /// Receives once, whatever it may be.
    pub(crate) fn receive_anything(&self, buffer: &mut [u8]) -> Received {
        read(&self.stream, buffer)
    }

    /// Sends; 0 if the socket is full.
    #[inline]
    pub(crate) fn send(&mut self, bytes: &[u8], scratch: &mut Scratch) -> io::Result<usize> {
        match &mut self.tls {
            None => write(&self.stream, bytes),
            Some(tls) => tls.send(&self.stream, bytes, scratch),
        }
    }

    /// Sends segments as if they were one piece; 0 if the socket is full.
    pub(crate) fn send_segments(
        &mut self,
        segments: &[IoSlice<'_>],
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        match &mut self.tls {
            None => outcome(|| (&self.stream).write_vectored(segments)),
            // They are copied anyway; the caller comes again with what follows.
            Some(tls) => {
                let first = segments.iter().find(|segment| !segment.is_empty());
                tls.send(&self.stream, first.map_or(&[], |segment| segment), scratch)
            }
        }
    }

    /// Whether something that was taken to be sent still waits here.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.waits())
    }

    /// Sends what waits here; `false` if the socket is full.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        self.tls.as_mut().map_or(Ok(true), |tls| tls.flush(&self.stream))
    }

    /// Tells the other side that no more comes; it can still be read.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.finish(&self.stream)?;
        }
        self.stream.shutdown(Shutdown::Write)
    }
}

#[inline]
pub(super) fn read(mut stream: &TcpStream, buffer: &mut [u8]) -> Received {
    loop {
        return match stream.read(buffer) {
            Ok(0) => Received::End,
            Ok(count) if SHORT_READ_IS_LAST && count < buffer.len() => Received::Last(count),
            Ok(count) => Received::More(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Received::Nothing,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => Received::End,
        };
    }
}

/// Sends; 0 if the socket is full.
#[inline]
pub(super) fn write(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        return match stream.write(bytes) {
            Ok(0) if !bytes.is_empty() => Err(ErrorKind::WriteZero.into()),
            Ok(count) => Ok(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

#[inline]
fn outcome(send: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        return match send() {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(count) => Ok(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}
