//! One TCP connection: the byte stream, ordered and lossless, that MQTT asks for.
//! [MQTT-4.2-1 v5], [MQTT-7.1.1-1 v3.1.1]

use super::entrance::Entrance;
use super::layers::Layers;
use super::proxy::Told;
use super::tls::Scratch;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use noctule_tls::Certificate;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

/// A short read tells that nothing is left, and the next byte makes a new event. Where readiness
/// is emulated (Windows) only a read that would block arms the next event.
const SHORT_READ_IS_LAST: bool = cfg!(unix);

/// A connected socket that never blocks, with what its listener has between it and MQTT.
pub(crate) struct Socket {
    stream: TcpStream,
    layers: Option<Box<Layers>>,
}

/// A socket between two shards.
pub(crate) struct Moved {
    stream: std::net::TcpStream,
    layers: Option<Box<Layers>>,
}

/// One without layers.
impl From<std::net::TcpStream> for Moved {
    fn from(stream: std::net::TcpStream) -> Moved {
        Moved { stream, layers: None }
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
    /// What a proxy says, before the first byte: where the client comes from. `None`: from where it
    /// seems to.
    Told(Option<SocketAddr>),
    /// A layer has failed for good; why.
    Failed(Layer, String),
}

/// What may fail between a socket and MQTT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layer {
    /// TLS.
    Tls,
    /// WebSocket.
    WebSocket,
    /// What a proxy says.
    Proxy,
}

impl Socket {
    /// Takes over an accepted connection.
    pub(crate) fn accepted(stream: TcpStream, entrance: &Entrance) -> io::Result<Socket> {
        if entrance.unix.is_none() {
            stream.set_nodelay(true)?;
        }
        Ok(Socket { stream, layers: Layers::of(entrance)? })
    }

    /// Takes over an end of a pair that was made within this process.
    pub(crate) fn joined(stream: TcpStream) -> Socket {
        Socket { stream, layers: None }
    }

    /// From another shard.
    pub(crate) fn arrived(moved: Moved) -> Socket {
        Socket { stream: TcpStream::from_std(moved.stream), layers: moved.layers }
    }

    /// To another shard; no events come here any more.
    pub(crate) fn leave(mut self, registry: &Registry) -> io::Result<Moved> {
        registry.deregister(&mut self.stream)?;
        Ok(Moved { stream: self.stream.into(), layers: self.layers })
    }

    /// Asks for events. Readiness is reported once for each change, in both directions: a change
    /// of interest would cost a system call whenever a socket fills up.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Where it comes from.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        let told = self.told().and_then(|told| told.remote);
        told.or_else(|| self.stream.peer_addr().ok())
    }

    fn told(&self) -> Option<&Told> {
        self.layers.as_ref()?.proxy.as_ref()?.told()
    }

    /// Whether nobody but a proxy is known to be at the other side.
    pub(crate) fn is_of_proxy(&self) -> bool {
        let proxied = self.layers.as_ref().is_some_and(|layers| layers.proxy.is_some());
        proxied && self.told().is_none_or(|told| told.remote.is_none())
    }

    /// The common name in the certificate that the client has shown its proxy, if it has.
    pub(crate) fn proxied_name(&self) -> Option<Option<Arc<str>>> {
        self.told()?.shown.clone()
    }

    /// The client's certificate, if it has shown one.
    pub(crate) fn certificate(&self) -> Option<Certificate<'_>> {
        self.layers.as_ref()?.tls.as_ref()?.certificate()
    }

    /// Whether a handshake is under way, each step of which costs much.
    #[inline]
    pub(crate) fn is_handshaking(&self) -> bool {
        let tls = self.layers.as_ref().and_then(|layers| layers.tls.as_ref());
        tls.is_some_and(|tls| tls.is_handshaking())
    }

    /// Memory of what is not whole in a layer that was counted, see [`Layers::recount`].
    #[inline]
    pub(crate) fn counted(&self) -> usize {
        self.layers.as_ref().map_or(0, |layers| layers.counted())
    }

    /// Counts it anew, or no more.
    #[inline]
    pub(crate) fn recount(&mut self, counts: bool) -> (usize, usize) {
        self.layers.as_mut().map_or((0, 0), |layers| layers.recount(counts))
    }

    /// Receives once.
    #[inline]
    pub(crate) fn receive(&mut self, buffer: &mut [u8], scratch: &mut Scratch) -> Received {
        match &mut self.layers {
            None => read(&self.stream, buffer),
            Some(layers) => layers.receive(&self.stream, buffer, scratch),
        }
    }

    /// Receives once, whatever it may be.
    pub(crate) fn receive_anything(&self, buffer: &mut [u8]) -> Received {
        read(&self.stream, buffer)
    }

    /// Sends all that waits; 0 if the socket is full.
    #[inline]
    pub(crate) fn send(&mut self, bytes: &[u8], scratch: &mut Scratch) -> io::Result<usize> {
        match &mut self.layers {
            None => write(&self.stream, bytes),
            Some(layers) => {
                layers.send(&self.stream, (bytes.len(), &[IoSlice::new(bytes)]), scratch)
            }
        }
    }

    /// Sends segments as if they were one piece, the first of `waiting` bytes; 0 if the socket is
    /// full.
    pub(crate) fn send_segments(
        &mut self,
        waiting: usize,
        segments: &[IoSlice<'_>],
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        match &mut self.layers {
            None => write_vectored(&self.stream, segments),
            Some(layers) => layers.send(&self.stream, (waiting, segments), scratch),
        }
    }

    /// Whether something that was taken to be sent still waits here.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.layers.as_ref().is_some_and(|layers| layers.waits())
    }

    /// Sends what waits here; `false` if the socket is full.
    pub(crate) fn flush(&mut self, scratch: &mut Scratch) -> io::Result<bool> {
        let Socket { stream, layers } = self;
        layers.as_mut().map_or(Ok(true), |layers| layers.flush(stream, scratch))
    }

    /// Tells the other side that no more comes; it can still be read.
    pub(crate) fn finish(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        if let Some(layers) = &mut self.layers {
            layers.finish(&self.stream, scratch)?;
        }
        self.stream.shutdown(Shutdown::Write)
    }

    /// Whether the other side has said that this is the end, and waits to be told the same.
    pub(crate) fn is_ended(&self) -> bool {
        self.layers.as_ref().is_some_and(|layers| layers.is_ended())
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

/// Sends segments as if they were one piece; 0 if the socket is full.
#[inline]
pub(super) fn write_vectored(
    mut stream: &TcpStream,
    segments: &[IoSlice<'_>],
) -> io::Result<usize> {
    loop {
        return match stream.write_vectored(segments) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(count) => Ok(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}
