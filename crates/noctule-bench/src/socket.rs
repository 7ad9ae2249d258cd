//! One connection's byte stream, never blocking: TCP, with or without TLS.

use crate::error::Error;
use crate::tls::{Hello, Layer};
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A short read tells that nothing is left, and the next byte makes a new event. Where readiness
/// is emulated (Windows) only a read that would block arms the next event.
const SHORT_READ_IS_LAST: bool = cfg!(unix);

/// Connections from one address to one port. The usual range has 28,232 ports, and Linux looks at
/// one half of them first: beyond that it searches ever longer for a free one.
const PORTS_OF_AN_ADDRESS: usize = 10_000;

/// Fleets up to this size come from where everybody comes from.
const SMALL: usize = 1000;

/// Where connections come from. A port that was used is blocked for a minute after, so a large
/// fleet over loopback takes addresses that the last one has not used: there are millions of them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sources {
    /// The system chooses.
    System,
    /// From this address of the loopback network on.
    Loopback(Ipv4Addr),
}

impl Sources {
    /// For so many connections to this broker; fleets with other numbers come from elsewhere.
    pub(crate) fn new(broker: SocketAddr, connections: usize, number: u32) -> Sources {
        let over_loopback = matches!(broker.ip(), IpAddr::V4(ip) if ip.is_loopback());
        // Elsewhere only 127.0.0.1 is there without being asked for.
        if !cfg!(target_os = "linux") || !over_loopback || connections <= SMALL {
            return Sources::System;
        }
        // 127.1.0.1 to 127.250.255.1, so that some ten million connections follow each.
        let [_, _, high, low] = number.to_be_bytes();
        Sources::Loopback(Ipv4Addr::new(127, 1 + high % 250, low, 1))
    }

    /// Where the `nth` connection comes from.
    fn of(self, nth: usize) -> Option<SocketAddr> {
        let Sources::Loopback(first) = self else { return None };
        let beyond = u32::try_from(nth / PORTS_OF_AN_ADDRESS).ok()?;
        let from = Ipv4Addr::from(u32::from(first).checked_add(beyond)?);
        Some(SocketAddr::new(from.into(), 0))
    }
}

#[derive(Debug)]
pub(crate) struct Socket {
    stream: mio::net::TcpStream,
    tls: Option<Layer>,
}

/// Where a fleet connects to, and how.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    pub(crate) sources: Sources,
    pub(crate) tls: Option<Hello>,
}

/// What a receive gave.
#[derive(Debug)]
pub(crate) enum Input {
    /// So many bytes, and nothing more for now.
    Last(usize),
    /// So many bytes, and there may be more.
    More(usize),
    /// Nothing for now.
    Nothing,
    /// The other side sends no more.
    End,
    /// The connection is broken.
    Broken(io::Error),
}

impl Socket {
    /// Begins to connect, as the `nth` connection.
    pub(crate) fn dial(broker: &Broker, nth: usize) -> Result<Socket, Error> {
        let to = broker.address;
        let stream = match broker.sources.of(nth) {
            None => mio::net::TcpStream::connect(to),
            Some(from) => dial_from(from, to),
        };
        let stream = stream.map_err(Error::io(format!("cannot connect to {to}")))?;
        stream.set_nodelay(true).map_err(Error::io("TCP_NODELAY"))?;
        let tls = broker.tls.as_ref().map(Hello::begin).transpose()?;
        Ok(Socket { stream, tls })
    }

    /// Asks for events: one for each change, in both directions.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> Result<(), Error> {
        registry
            .register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
            .map_err(Error::io("cannot watch a socket"))
    }

    /// Whether the connection stands by now.
    pub(crate) fn established(&self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    #[inline]
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Input {
        let Socket { stream, tls } = self;
        loop {
            let read = match tls {
                None => (&*stream).read(buffer),
                Some(tls) => tls.read(stream, buffer),
            };
            return match read {
                Ok(0) => Input::End,
                Ok(count) if SHORT_READ_IS_LAST && tls.is_none() && count < buffer.len() => {
                    Input::Last(count)
                }
                Ok(count) => Input::More(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Input::Nothing,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Input::Broken(error),
            };
        }
    }

    /// Sends; 0 if the socket is full.
    #[inline]
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Socket { stream, tls } = self;
        if let Some(tls) = tls {
            return tls.write(stream, bytes);
        }
        loop {
            return match (&*stream).write(bytes) {
                Ok(0) => Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                sent => sent,
            };
        }
    }

    /// Sends what TLS had to hold back, or has to say for itself.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.flush(&self.stream).map(drop),
            None => Ok(()),
        }
    }

    /// Nothing more is sent.
    pub(crate) fn end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.end(&self.stream);
        }
    }
}

fn dial_from(from: SocketAddr, to: SocketAddr) -> io::Result<mio::net::TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&from.into())?;
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if in_progress(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(mio::net::TcpStream::from_std(socket.into()))
}

/// Whether a connect that does not block has only just begun.
fn in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) {
        return true;
    }
    error.kind() == ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_large_fleet_over_loopback_has_an_address_for_each_10_000() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 1883));
        let sources = Sources::new(loopback, 100_000, 0x0102);
        let of = |nth| sources.of(nth).map(|from| from.to_string());
        assert_eq!(of(0).as_deref(), Some("127.2.2.1:0"));
        assert_eq!(of(9_999).as_deref(), Some("127.2.2.1:0"));
        assert_eq!(of(10_000).as_deref(), Some("127.2.2.2:0"));
        assert_eq!(of(10_000 * 256).as_deref(), Some("127.2.3.1:0"));
        let last = Sources::new(loopback, 100_000, u32::MAX).of(10_000_000);
        assert!(last.is_some_and(|from| from.ip().is_loopback()), "{last:?}");
    }

    #[test]
    fn small_fleets_and_other_networks_are_left_to_the_system() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 1883));
        assert_eq!(Sources::new(loopback, SMALL, 7).of(999), None);
        let elsewhere = SocketAddr::from(([10, 0, 0, 1], 1883));
        assert_eq!(Sources::new(elsewhere, 100_000, 7).of(99_999), None);
    }
}
