//! What lies between a socket's bytes and those of MQTT: TLS, WebSocket, or one in the other, and
//! before them what a proxy says.

use super::entrance::Entrance;
use super::proxy::Proxy;
use super::tcp::{self, Received};
use super::tls::{Scratch, Tls};
use super::ws::Ws;
use mio::net::TcpStream;
use std::io::{self, IoSlice};

/// Bytes of a frame that are put together for TLS at once.
const GATHERED_MAX: usize = 32 * 1024;

/// The layers of one connection, of which there is one at least.
pub(super) struct Layers {
    pub(super) proxy: Option<Box<Proxy>>,
    pub(super) tls: Option<Box<Tls>>,
    ws: Option<Ws>,
    /// Memory of what is not whole, as far as somebody counts it.
    counted: usize,
}

impl Layers {
    /// Those of a new connection, if there are any.
    pub(super) fn of(entrance: &Entrance) -> io::Result<Option<Box<Layers>>> {
        let tls = entrance.acceptor.as_ref().map(|acceptor| acceptor.accept()).transpose();
        let tls = tls.map_err(io::Error::other)?.map(Box::new);
        let ws = entrance.websocket.clone().map(Ws::new);
        let proxy = entrance.proxy.map(|rules| Box::new(Proxy::Awaited(rules)));
        let any = proxy.is_some() || tls.is_some() || ws.is_some();
        Ok(any.then(|| Box::new(Layers { proxy, tls, ws, counted: 0 })))
    }

    /// Memory of what is not whole that was counted so far.
    pub(super) fn counted(&self) -> usize {
        self.counted
    }

    /// Counts it anew, or no more; answers what was counted before, and what is now.
    pub(super) fn recount(&mut self, counts: bool) -> (usize, usize) {
        let memory = || {
            let tls = self.tls.as_ref().map_or(0, |tls| tls.memory());
            tls + self.ws.as_ref().map_or(0, Ws::memory)
        };
        let now = if counts { memory() } else { 0 };
        (std::mem::replace(&mut self.counted, now), now)
    }

    /// Receives once.
    pub(super) fn receive(
        &mut self,
        stream: &TcpStream,
        buffer: &mut [u8],
        scratch: &mut Scratch,
    ) -> Received {
        let Layers { proxy, tls, ws, .. } = self;
        if let Some(proxy) = proxy
            && let Some(received) = proxy.receive(stream, buffer)
        {
            return received;
        }
        let mut below = |buffer: &mut [u8]| match tls.as_mut() {
            Some(tls) => tls.receive(stream, buffer, scratch),
            None => tcp::read(stream, buffer),
        };
        let Some(ws) = ws else { return below(buffer) };
        let received = ws.receive(buffer, below);
        if ws.waits() {
            // That it cannot be sent is found by a read.
            drop(ws.flush(|segments| write(stream, tls.as_deref_mut(), segments, scratch)));
        }
        received
    }

    /// Sends some of `waiting` bytes, of which `segments` are the first; 0 if the socket is full.
    pub(super) fn send(
        &mut self,
        stream: &TcpStream,
        (waiting, segments): (usize, &[IoSlice<'_>]),
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        let Layers { tls, ws, .. } = self;
        let mut below =
            |segments: &[IoSlice<'_>]| write(stream, tls.as_deref_mut(), segments, scratch);
        match ws {
            Some(ws) => ws.send(waiting, segments, below),
            None => below(segments),
        }
    }

    /// Whether something that was taken to be sent still waits here.
    pub(super) fn waits(&self) -> bool {
        self.ws.as_ref().is_some_and(Ws::waits) || self.tls.as_ref().is_some_and(|it| it.waits())
    }

    /// Sends what waits here; `false` if the socket is full.
    pub(super) fn flush(&mut self, stream: &TcpStream, scratch: &mut Scratch) -> io::Result<bool> {
        let Layers { tls, ws, .. } = self;
        if let Some(ws) = ws
            && !ws.flush(|segments| write(stream, tls.as_deref_mut(), segments, scratch))?
        {
            return Ok(false);
        }
        tls.as_mut().map_or(Ok(true), |tls| tls.flush(stream))
    }

    /// Tells the other side that no more comes.
    pub(super) fn finish(&mut self, stream: &TcpStream, scratch: &mut Scratch) -> io::Result<()> {
        let Layers { tls, ws, .. } = self;
        if let Some(ws) = ws {
            ws.finish(|segments| write(stream, tls.as_deref_mut(), segments, scratch))?;
        }
        tls.as_mut().map_or(Ok(()), |tls| tls.finish(stream))
    }

    /// Whether the other side has said that this is the end, and waits to be told the same.
    pub(super) fn is_ended(&self) -> bool {
        self.ws.as_ref().is_some_and(Ws::is_ended)
    }
}

/// Sends segments; 0 if the socket is full.
fn write(
    stream: &TcpStream,
    tls: Option<&mut Tls>,
    segments: &[IoSlice<'_>],
    scratch: &mut Scratch,
) -> io::Result<usize> {
    let Some(tls) = tls else { return tcp::write_vectored(stream, segments) };
    if let [segment] = segments {
        return tls.send(stream, segment, scratch);
    }
    // A header must not cost a record of its own. They are copied anyway.
    let mut gathered = std::mem::take(&mut scratch.gathered);
    gathered.clear();
    for segment in segments {
        let part = segment.len().min(GATHERED_MAX - gathered.len());
        gathered.extend_from_slice(&segment[..part]);
    }
    let sent = tls.send(stream, &gathered, scratch);
    scratch.gathered = gathered;
    sent
}
