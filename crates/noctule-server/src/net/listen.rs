//! Addresses to listening sockets.
//!
//! On Linux every shard listens on every address (`SO_REUSEPORT`), and the kernel spreads new
//! connections over them. Elsewhere the first shard accepts all; either way a connection goes to
//! its home shard with its CONNECT.

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Connections the kernel holds until we accept them.
const BACKLOG: i32 = 4096;

/// One address, listened on.
pub(crate) struct Bound {
    /// With the port the system chose, if it was to choose one.
    pub(crate) address: SocketAddr,
    /// Sockets, for the shards from the first on.
    pub(crate) sockets: Vec<TcpListener>,
}

/// Listens on `address`, for `shards` shards.
pub(crate) fn bind(address: SocketAddr, shards: u16) -> io::Result<Bound> {
    // Sockets that share a port would share it with those of another process too, and each would
    // be served by chance: a first socket that shares nothing finds out.
    let alone = open(address, Sharing::No)?;
    let address = local(&alone)?;
    if shards == 1 || cfg!(not(target_os = "linux")) {
        alone.listen(BACKLOG)?;
        return Ok(Bound { address, sockets: vec![alone.into()] });
    }
    drop(alone);
    let mut sockets = Vec::with_capacity(usize::from(shards));
    for _ in 0..shards {
        let socket = open(address, Sharing::Port)?;
        socket.listen(BACKLOG)?;
        sockets.push(socket.into());
    }
    Ok(Bound { address, sockets })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    No,
    Port,
}

fn open(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // An IPv4 listener of the same port must find it free.
        socket.set_only_v6(true)?;
    }
    // Restarts must not wait for old connections to time out. On Windows the option would let two
    // processes have one port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(sharing == Sharing::Port)?;
    #[cfg(not(target_os = "linux"))]
    let _ = sharing;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn local(socket: &Socket) -> io::Result<SocketAddr> {
    let address = socket.local_addr()?.as_socket();
    address.ok_or_else(|| io::Error::other("a TCP socket without an IP address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_an_address_that_nobody_else_can_have() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_ne!(bound.address.port(), 0);
        if cfg!(target_os = "linux") {
            assert_eq!(bound.sockets.len(), 3);
        }
        for shards in [1, 3] {
            let error = bind(bound.address, shards).err().expect("the address is taken");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        let address = bound.address;
        drop(bound);
        assert!(bind(address, 2).is_ok());
    }
}
