//! Carries bytes to a broker and back, and cuts its connections on purpose.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::spawn;

/// How many connections are cut before one lasts.
const CUTS: usize = 12;
/// What the shortest connection carries: more than a CONNECT and a few messages.
const BYTES_MIN: usize = 600;

/// A relay on a port of its own; ends with the process.
pub struct Relay {
    address: SocketAddr,
    cut: Arc<AtomicUsize>,
}

impl Relay {
    pub fn start(broker: SocketAddr) -> Relay {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        let cut = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&cut);
        spawn(move || {
            for (at, client) in socket.incoming().flatten().enumerate() {
                let Ok(server) = TcpStream::connect(broker) else { continue };
                carry(&client, &server, limit(at), &count);
            }
        });
        Relay { address, cut }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were cut so far.
    pub fn cuts(&self) -> usize {
        self.cut.load(Ordering::Relaxed)
    }
}

/// Bytes, to the broker and back together, after which a connection is cut: as it happens, in the
/// midst of packets.
fn limit(connection: usize) -> usize {
    if connection < CUTS { BYTES_MIN + connection * 487 % 2903 } else { usize::MAX }
}

fn carry(client: &TcpStream, server: &TcpStream, limit: usize, cut: &Arc<AtomicUsize>) {
    let carried = Arc::new(AtomicUsize::new(0));
    let clone = |stream: &TcpStream| stream.try_clone().expect("a handle more");
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (clone(from), clone(to));
        let (carried, cut) = (Arc::clone(&carried), Arc::clone(cut));
        spawn(move || {
            if copy(&mut from, &mut to, &carried, limit) {
                cut.fetch_add(1, Ordering::Relaxed);
            }
            // Either way this is the end of both directions.
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}

/// Whether it was this direction that reached the limit.
fn copy(from: &mut TcpStream, to: &mut TcpStream, carried: &AtomicUsize, limit: usize) -> bool {
    let mut buffer = [0; 2048];
    loop {
        let len = match from.read(&mut buffer) {
            Ok(0) => return false,
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return false,
        };
        let left = limit.saturating_sub(carried.fetch_add(len, Ordering::Relaxed));
        if to.write_all(&buffer[..len.min(left)]).is_err() || left == 0 {
            return false;
        }
        if left < len {
            return true;
        }
    }
}
