//! Where the connections of a listener come in: a socket of TCP, or a Unix socket.

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// Where clients of a Unix socket come from: this machine, by no port.
pub(crate) const HERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// A listening socket of a shard.
pub(crate) enum Incoming {
    /// Of TCP.
    Tcp(mio::net::TcpListener),
    /// Named by a file.
    #[cfg(unix)]
    Unix(mio::net::UnixListener),
}

impl From<std::net::TcpListener> for Incoming {
    fn from(socket: std::net::TcpListener) -> Incoming {
        Incoming::Tcp(mio::net::TcpListener::from_std(socket))
    }
}

impl Incoming {
    /// Asks for events.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Incoming::Tcp(socket) => registry.register(socket, token, Interest::READABLE),
            #[cfg(unix)]
            Incoming::Unix(socket) => registry.register(socket, token, Interest::READABLE),
        }
    }

    /// The next connection, and where it comes from.
    pub(crate) fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Incoming::Tcp(socket) => socket.accept(),
            // Connected, it is a stream as any: nothing asks from here on what named it.
            #[cfg(unix)]
            Incoming::Unix(socket) => {
                let (stream, _) = socket.accept()?;
                let stream =
                    std::os::fd::OwnedFd::from(std::os::unix::net::UnixStream::from(stream));
                Ok((TcpStream::from_std(stream.into()), HERE))
            }
        }
    }
}
