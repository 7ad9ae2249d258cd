//! Addresses to listening sockets.
//!
//! On Linux every shard listens on every address (`SO_REUSEPORT`), and the kernel spreads new
//! connections over them. Elsewhere the first shard accepts all; either way a connection goes to
//! its home shard with its CONNECT.

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Connections the kernel holds until we accept them.
pub(super) const BACKLOG: i32 = 4096;

/// One address, listened on.
pub(crate) struct Bound {
    /// With the port the system chose, if it was to choose one.
    pub(crate) address: SocketAddr,
    /// Sockets, for the shards from the first on.
    pub(crate) sockets: Vec<TcpListener>,
}

/// Listens on `address`, for what comes in by `interface` if one is named, for `shards` shards.
pub(crate) fn bind(address: SocketAddr, interface: Option<&str>, shards: u16) -> io::Result<Bound> {
    // Sockets that share a port would share it with those of another process too, and each would
    // be served by chance: a first socket that shares nothing finds out.
    let alone = open(address, interface, Sharing::No)?;
    let address = local(&alone)?;
    if shards == 1 || cfg!(not(target_os = "linux")) {
        alone.listen(BACKLOG)?;
        return Ok(Bound { address, sockets: vec![alone.into()] });
    }
    drop(alone);
    let mut sockets = Vec::with_capacity(usize::from(shards));
    for _ in 0..shards {
        let socket = open(address, interface, Sharing::Port)?;
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

fn open(address: SocketAddr, interface: Option<&str>, sharing: Sharing) -> io::Result<Socket> {
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
    if let Some(interface) = interface {
        bind_to(&socket, interface)
            .map_err(|error| io::Error::other(format!("interface {interface}: {error}")))?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn bind_to(socket: &Socket, interface: &str) -> io::Result<()> {
    socket.bind_device(Some(interface.as_bytes()))
}

#[cfg(not(target_os = "linux"))]
fn bind_to(_: &Socket, _: &str) -> io::Result<()> {
    Err(io::Error::other("can be chosen on Linux alone; name its address in `bind`"))
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
        let bound = bind("127.0.0.1:0".parse().unwrap(), None, 3).unwrap();
        assert_ne!(bound.address.port(), 0);
        if cfg!(target_os = "linux") {
            assert_eq!(bound.sockets.len(), 3);
        }
        for shards in [1, 3] {
            let error = bind(bound.address, None, shards).err().expect("the address is taken");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        let address = bound.address;
        drop(bound);
        assert!(bind(address, None, 2).is_ok());
    }
    #[test]
    #[cfg(target_os = "linux")]
    fn an_interface_is_taken_by_its_name() {
        let any = "127.0.0.1:0".parse().unwrap();
        let error = bind(any, Some("no-such-0"), 2).err().expect("there is none such");
        assert_eq!(error.to_string(), "interface no-such-0: No such device (os error 19)");
        // Old kernels want a privilege for it.
        match bind(any, Some("lo"), 2) {
            Ok(bound) => assert!(std::net::TcpStream::connect(bound.address).is_ok()),
            Err(error) => assert!(error.to_string().contains("not permitted"), "{error}"),
        }
    }
}
