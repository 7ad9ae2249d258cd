//! One TCP connection: the byte stream, ordered and lossless, that MQTT asks for.
//! [MQTT-4.2-1 v5], [MQTT-7.1.1-1 v3.1.1]

use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

/// A short read tells that nothing is left, and the next byte makes a new event. Where readiness
/// is emulated (Windows) only a read that would block arms the next event.
const SHORT_READ_IS_LAST: bool = cfg!(unix);

/// A connected socket that never blocks.
pub(crate) struct Socket(mio::net::TcpStream);

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
}

impl Socket {
    /// Takes over an accepted connection.
    pub(crate) fn accepted(stream: mio::net::TcpStream) -> io::Result<Socket> {
        stream.set_nodelay(true)?;
        Ok(Socket(stream))
    }

    /// From another shard.
    pub(crate) fn arrived(stream: std::net::TcpStream) -> Socket {
        Socket(mio::net::TcpStream::from_std(stream))
    }

    /// To another shard; no events come here any more.
    pub(crate) fn leave(mut self, registry: &Registry) -> io::Result<std::net::TcpStream> {
        registry.deregister(&mut self.0)?;
        Ok(self.0.into())
    }

    /// Asks for events. Readiness is reported once for each change, in both directions: a change
    /// of interest would cost a system call whenever a socket fills up.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.0, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Receives once.
    #[inline]
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Received {
        loop {
            return match (&self.0).read(buffer) {
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
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        outcome(|| (&self.0).write(bytes))
    }

    /// Sends segments as if they were one piece; 0 if the socket is full.
    pub(crate) fn send_segments(&self, segments: &[IoSlice<'_>]) -> io::Result<usize> {
        outcome(|| (&self.0).write_vectored(segments))
    }

    /// Tells the other side that no more comes; it can still be read.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
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
