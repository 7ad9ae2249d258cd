//! The connections of a shard, one small entry each.

use crate::net::{Slot, Socket};
use noctule_core::input::{Level, Origin};
use noctule_core::{ConnId, ListenerId, ShardId, Tenant};
use noctule_proto::Version;

/// One connection. There may be a million: it owns no buffer, only slots of pools.
pub(crate) struct Connection {
    pub(crate) socket: Option<Socket>,
    /// Received bytes that make no whole packet yet, or that wait for a resume.
    pub(crate) input: Slot,
    /// What waits for the socket.
    pub(crate) output: Slot,
    pub(crate) listener: ListenerId,
    pub(crate) tenant: Tenant,
    /// Counts the connections that had this entry.
    pub(crate) epoch: u16,
    pub(crate) phase: Phase,
    pub(crate) intake: Intake,
    pub(crate) outlet: Outlet,
    /// What core was last told about the bytes that wait.
    pub(crate) level: Level,
    /// Fixed by its CONNECT.
    pub(crate) version: Option<Version>,
}

// Core's share of a connection counts against the same 400 bytes. With debug assertions mio keeps
// in a socket which poll it belongs to; on Windows a socket is more than its number always.
#[cfg(unix)]
const _: () = assert!(size_of::<Connection>() <= if cfg!(debug_assertions) { 48 } else { 40 });

/// Where a connection is between accept and close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// The entry is free.
    Free,
    /// Packets are read.
    Open,
    /// Core wants no packets for now.
    Paused,
    /// Its CONNECT says that it is at home elsewhere.
    Leaving(ShardId),
    /// Core is done with it: what waits is sent, then the socket closed.
    Closing(Farewell),
}

/// How far a closing connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Farewell {
    /// Bytes wait to be sent.
    Sending,
    /// All was sent and said to be the end; the other side has not closed yet.
    Lingering,
}

/// What is known of the bytes the socket has for us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Intake {
    /// None; an event will come.
    Drained,
    /// There may be some, and no event will come.
    Unread,
    /// The same, and the connection is on the list of those to be read.
    Queued,
}

/// What is known of the way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outlet {
    /// Nothing waits.
    Idle,
    /// Something waits for the end of the turn; the connection is on the list of those to flush.
    Dirty,
    /// The socket is full; an event will come.
    Blocked,
}

/// The connections of a shard, by their number.
#[derive(Default)]
pub(crate) struct Connections {
    entries: Vec<Connection>,
    free: Vec<ConnId>,
}

impl Connections {
    /// An entry for a new connection.
    pub(crate) fn add(&mut self, socket: Socket, from: Origin) -> ConnId {
        let fresh = |epoch| Connection {
            socket: Some(socket),
            input: Slot::NONE,
            output: Slot::NONE,
            listener: from.listener,
            tenant: from.tenant,
            epoch,
            phase: Phase::Open,
            intake: Intake::Drained,
            outlet: Outlet::Idle,
            level: Level::Low,
            version: None,
        };
        if let Some(conn) = self.free.pop() {
            let entry = &mut self.entries[conn.0 as usize];
            *entry = fresh(entry.epoch);
            return conn;
        }
        let conn = u32::try_from(self.entries.len()).expect("fewer connections than ports");
        self.entries.push(fresh(0));
        ConnId(conn)
    }

    /// The entry of a connection; it may be free.
    #[inline]
    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        self.entries.get_mut(conn.0 as usize)
    }

    /// All entries, free ones too.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ConnId, &mut Connection)> {
        self.entries.iter_mut().enumerate().map(|(at, entry)| (ConnId(at as u32), entry))
    }

    /// Frees an entry whose buffers were released.
    pub(crate) fn remove(&mut self, conn: ConnId) {
        let entry = &mut self.entries[conn.0 as usize];
        debug_assert!(
            entry.phase != Phase::Free && entry.input.is_none() && entry.output.is_none()
        );
        entry.phase = Phase::Free;
        entry.socket = None;
        entry.epoch = entry.epoch.wrapping_add(1);
        self.free.push(conn);
    }

    /// Connections whose entry is not free.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}
