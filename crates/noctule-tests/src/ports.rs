//! Ports of loopback for servers that are told where to listen.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that systems hand out of themselves.
const FIRST: u32 = 15_000;
const COUNT: u32 = 15_000;

/// A port that nobody has. Not one of those that the system hands out: somebody else might be given
/// it before the server is up, and be taken for the server.
///
/// # Panics
///
/// If none of many is free.
#[must_use]
pub fn free() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut ports = (0..COUNT).filter_map(|_| {
        // Processes side by side begin far from each other.
        let next = std::process::id() % COUNT * 101 + NEXT.fetch_add(1, Ordering::Relaxed);
        u16::try_from(FIRST + next % COUNT).ok()
    });
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.find(free).expect("some port is free")
}
