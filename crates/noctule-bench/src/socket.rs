//! One connection's byte stream, never blocking. TCP now; what else carries MQTT goes in here.

use crate::error::Error;
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A short read tells that nothing is left, and the next byte makes a new event. Where readiness
/// is emulated (Windows) only a read that would block arms the next event.
const SHORT_READ_IS_LAST: bool = cfg!(unix);

/// Connections from one address to one port; the usual range of ports has 28,232.
const PORTS_OF_AN_ADDRESS: usize = 25_000;

#[derive(Debug)]
pub(crate) struct Socket(mio::net::TcpStream);

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
    /// Begins to connect, as the `nth` connection to this address.
    pub(crate) fn dial(to: SocketAddr, nth: usize) -> Result<Socket, Error> {
        let stream = match source(to, nth) {
            None => mio::net::TcpStream::connect(to),
            Some(from) => dial_from(from, to),
        };
        let stream = stream.map_err(Error::io(format!("cannot connect to {to}")))?;
        stream.set_nodelay(true).map_err(Error::io("TCP_NODELAY"))?;
        Ok(Socket(stream))
    }

    /// Asks for events: one for each change, in both directions.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> Result<(), Error> {
        registry
            .register(&mut self.0, token, Interest::READABLE | Interest::WRITABLE)
            .map_err(Error::io("cannot watch a socket"))
    }

    /// Whether the connection stands by now.
    pub(crate) fn established(&self) -> io::Result<bool> {
        if let Some(error) = self.0.take_error()? {
            return Err(error);
        }
        match self.0.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    #[inline]
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Input {
        loop {
            return match (&self.0).read(buffer) {
                Ok(0) => Input::End,
                Ok(count) if SHORT_READ_IS_LAST && count < buffer.len() => Input::Last(count),
                Ok(count) => Input::More(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Input::Nothing,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Input::Broken(error),
            };
        }
    }

    /// Sends; 0 if the socket is full.
    #[inline]
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            return match (&self.0).write(bytes) {
                Ok(0) => Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                sent => sent,
            };
        }
    }
}

/// Where the `nth` connection has to come from. One loopback address has ports for 28,000
/// connections to a broker, but there are millions of such addresses.
fn source(to: SocketAddr, nth: usize) -> Option<SocketAddr> {
    let IpAddr::V4(ip) = to.ip() else { return None };
    let beyond = nth / PORTS_OF_AN_ADDRESS;
    if !ip.is_loopback() || beyond == 0 {
        return None;
    }
    let first = u32::from(Ipv4Addr::LOCALHOST);
    let from = Ipv4Addr::from(first + u32::try_from(beyond).ok()?);
    Some(SocketAddr::new(from.into(), 0))
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
    fn each_25_000_connections_over_loopback_have_an_address_of_their_own() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 1883));
        let of = |nth| source(loopback, nth).map(|from| from.to_string());
        assert_eq!(of(0), None);
        assert_eq!(of(24_999), None);
        assert_eq!(of(25_000).as_deref(), Some("127.0.0.2:0"));
        assert_eq!(of(49_999).as_deref(), Some("127.0.0.2:0"));
        assert_eq!(of(25_000 * 255).as_deref(), Some("127.0.1.0:0"));
        let elsewhere = SocketAddr::from(([10, 0, 0, 1], 1883));
        assert_eq!(source(elsewhere, 100_000), None);
    }
}
