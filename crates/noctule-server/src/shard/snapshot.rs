//! Counters where others can read them: each shard copies its own there now and then.

use noctule_core::counters::Counters;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Milliseconds between two copies, at least.
pub(crate) const INTERVAL_MILLIS: u64 = 100;

/// What a shard counts beside core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetCounters {
    /// Connections closed as they came, because their listener was full.
    pub connections_refused: u64,
    /// Connections closed as they came, because of where they come from.
    pub connections_denied: u64,
    /// Connections closed as they came, because their address has, or opens, too many.
    pub addresses_refused: u64,
    /// Connections closed because too many had not sent their CONNECT.
    pub half_open_cut: u64,
    /// Failed accepts, mostly for want of file descriptors.
    pub accepts_failed: u64,
    /// TLS handshakes that failed.
    pub handshakes_failed: u64,
    /// WebSockets that were refused, or broke the rules.
    pub websockets_failed: u64,
    /// Connections without the header that their listener wants of a proxy.
    pub proxy_headers_failed: u64,
    /// Connections cut, because unfinished packets took too much memory.
    pub connections_cut: u64,
    /// Memory of unfinished packets, and of those that wait to be read, in bytes.
    pub bytes_unfinished_now: u64,
    /// Packets that came for full sockets and wait, about.
    pub packets_waiting_now: u64,
    /// Bytes waiting for sockets, after the last flush.
    pub bytes_waiting_now: u64,
    /// Records handed to the store.
    pub records: u64,
    /// Of those, the ones that are not on the disk yet.
    pub records_waiting_now: u64,
    /// 1 while the disk is full.
    pub store_full_now: u64,
    /// Turns of the loop.
    pub turns: u64,
}

impl NetCounters {
    /// Adds those of another shard.
    pub fn add(&mut self, other: &NetCounters) {
        self.connections_refused += other.connections_refused;
        self.connections_denied += other.connections_denied;
        self.addresses_refused += other.addresses_refused;
        self.half_open_cut += other.half_open_cut;
        self.accepts_failed += other.accepts_failed;
        self.handshakes_failed += other.handshakes_failed;
        self.websockets_failed += other.websockets_failed;
        self.proxy_headers_failed += other.proxy_headers_failed;
        self.connections_cut += other.connections_cut;
        self.bytes_unfinished_now += other.bytes_unfinished_now;
        self.packets_waiting_now += other.packets_waiting_now;
        self.bytes_waiting_now += other.bytes_waiting_now;
        self.records += other.records;
        self.records_waiting_now += other.records_waiting_now;
        // One disk serves all shards.
        self.store_full_now = self.store_full_now.max(other.store_full_now);
        self.turns += other.turns;
    }
}

/// All counts of a shard, or the sum of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Core's.
    pub core: Counters,
    /// The server's.
    pub net: NetCounters,
    /// Of a sum: the most sessions that there were when somebody looked.
    pub sessions_most: u64,
}

/// One place for each shard. A lock is held for the time of a copy, off the message path.
#[derive(Debug)]
pub(crate) struct Snapshots {
    shards: Box<[Mutex<Snapshot>]>,
    /// The most sessions of any sum.
    sessions_most: AtomicU64,
}

impl Snapshots {
    pub(crate) fn new(shards: u16) -> Snapshots {
        let shards = (0..shards).map(|_| Mutex::default()).collect();
        Snapshots { shards, sessions_most: AtomicU64::new(0) }
    }

    /// Replaces those of one shard.
    pub(crate) fn put(&self, shard: u16, core: &Counters, net: NetCounters) {
        let place = &self.shards[usize::from(shard)];
        let mut snapshot = place.lock().unwrap_or_else(PoisonError::into_inner);
        snapshot.core.clone_from(core);
        snapshot.net = net;
    }

    /// The sum over all shards.
    pub(crate) fn sum(&self) -> Snapshot {
        let mut sum = Snapshot::default();
        for place in &self.shards {
            let snapshot = place.lock().unwrap_or_else(PoisonError::into_inner);
            sum.core.add(&snapshot.core);
            sum.net.add(&snapshot.net);
        }
        let now = sum.core.sessions_now.max(sum.core.clients_now);
        sum.sessions_most = self.sessions_most.fetch_max(now, Ordering::Relaxed).max(now);
        sum
    }
}
