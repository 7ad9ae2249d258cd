//! The sockets of a shard: who is to be read, what waits to be written, who is about to be closed.
//!
//! Nothing here knows a packet. What the broker has to be told of comes out as [`News`].

use super::addresses::Admitted;
use super::connections::{Connection, Connections, Farewell, Intake, Outlet, Phase};
use super::held::Held;
use super::relief::Starved;
use super::strangers::Strangers;
use crate::dynsec::Order;
use crate::net::{Moved, Output, Pool, Progress, Scratch, Socket};
use mio::{Registry, Token};
use noctule_core::input::{AuthAnswer, Level, Origin, Room};
use noctule_core::output::Send;
use noctule_core::{ConnId, ListenerId, ShardId, Time};
use noctule_store::Fetched;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes waiting for one socket that are not kept until the end of the turn.
const FLUSH_EARLY: usize = 64 * 1024;

/// Milliseconds a closing connection has to take what waits for it, and to close as well. Closing
/// at once would reset the connection if unread bytes are left, and with it take back the
/// DISCONNECT or CONNACK that says why.
pub(super) const LINGER_MILLIS: u64 = 2000;

/// Something the broker has to be told, besides packets.
#[derive(Debug)]
pub(super) enum News {
    /// The bytes waiting for a connection crossed a mark.
    Backlog(ConnId, Level),
    /// Who a connection is.
    Authenticated(ConnId, AuthAnswer),
    /// A peer channel crossed its mark.
    PeerBacklog(ShardId, Level),
    /// Index changes up to this number are visible.
    IndexVisible(u64, u64),
    /// How far the records of the shard have come.
    Stored(noctule_store::Progress),
    /// Messages were read back.
    Fetched(Fetched),
    /// What became of a message for the server.
    Controlled(ConnId, bool),
    /// A message for the server is answered.
    Answered(Box<Order>),
    /// Whether the store takes more.
    StoreRoom(Room),
}

/// Multiple of `backlog_high` at which a connection is not read any more.
const SWAMPED_AT: usize = 4;

/// The sockets of a shard.
pub(super) struct Lines {
    pub(super) connections: Connections,
    pub(super) held: Held,
    pub(super) starved: Starved,
    pub(super) news: VecDeque<News>,
    /// To be read without an event.
    pub(super) ready: VecDeque<ConnId>,
    /// What the limits say of it.
    pub(super) backlog_max: usize,
    /// Limit in force: bytes waiting for a socket that make it a slow one.
    pub(super) backlog_high: usize,
    /// Milliseconds that a closing connection has.
    pub(super) linger_millis: u64,
    /// Bytes waiting for full sockets.
    pub(super) bytes_waiting: usize,
    /// Packets that came for full sockets and wait, as far as can be told from their bytes.
    pub(super) packets_waiting: usize,
    /// Connections whose CONNECT is awaited: it may show that they are at home at another shard.
    strangers: Strangers,
    /// Where connections came from that ended without a CONNECT, until it is told.
    pub(super) idle: Vec<IpAddr>,
    /// Connections that count for their address, while there is a bound.
    admitted: HashMap<ConnId, Admitted>,
    outputs: Pool<Output>,
    pub(super) scratch: Scratch,
    dirty: Vec<ConnId>,
    closing: VecDeque<(Time, ConnId, u16)>,
    registry: Registry,
    /// Open connections of each listener, on all shards.
    open: Arc<[AtomicU32]>,
}

impl Lines {
    pub(super) fn new(registry: Registry, open: Arc<[AtomicU32]>) -> Lines {
        Lines {
            connections: Connections::default(),
            held: Held::new(),
            starved: Starved::default(),
            news: VecDeque::new(),
            ready: VecDeque::new(),
            backlog_max: usize::MAX,
            backlog_high: usize::MAX,
            linger_millis: LINGER_MILLIS,
            bytes_waiting: 0,
            packets_waiting: 0,
            strangers: Strangers::default(),
            idle: Vec::new(),
            admitted: HashMap::new(),
            outputs: Pool::new(),
            scratch: Scratch::default(),
            dirty: Vec::new(),
            closing: VecDeque::new(),
            registry,
            open,
        }
    }

    /// Takes a connection in; `None` if the system does not let us watch it.
    pub(super) fn add(&mut self, now: Time, socket: Socket, from: Origin) -> Option<ConnId> {
        let conn = self.connections.add(socket, from);
        if let Some(remote) = from.remote {
            self.strangers.come(now, conn, remote);
        }
        let entry = self.connections.get_mut(conn)?;
        let watched = entry.socket.as_mut()?.watch(&self.registry, Token(conn.0 as usize));
        if watched.is_err() {
            self.remove(conn);
            return None;
        }
        Some(conn)
    }

    /// Closes the socket and frees the entry.
    pub(super) fn remove(&mut self, conn: ConnId) {
        if let Some(listener) = self.forget(conn) {
            self.uncount(listener);
        }
    }

    /// Looks at those again whose sockets are full: the mark may have become a lower one.
    pub(super) fn recount_backlogs(&mut self) {
        let Lines { connections, outputs, news, backlog_high, .. } = self;
        for (conn, entry) in connections.iter_mut() {
            if entry.outlet == Outlet::Blocked
                && let Some(output) = outputs.get_mut(entry.output)
                && let Some(level) = crossing(entry, output.waiting(), *backlog_high)
            {
                entry.level = level;
                news.push_back(News::Backlog(conn, level));
            }
        }
    }

    /// Lets go of buffers that nothing waits in.
    pub(super) fn let_go(&mut self) {
        self.outputs.let_go();
        self.held.let_go();
        self.scratch = Scratch::default();
        self.dirty.shrink_to_fit();
        self.ready.shrink_to_fit();
        self.news.shrink_to_fit();
    }

    /// The other side will send no more; what this turn has for it may still reach it.
    pub(super) fn part(&mut self, conn: ConnId) {
        if let Some(entry) = self.connections.get_mut(conn)
            && entry.outlet == Outlet::Dirty
            && let Some(output) = self.outputs.get_mut(entry.output)
            && let Some(socket) = &mut entry.socket
        {
            // Whether it could be written is nobody's concern any more.
            let _ = output.flush(socket, &mut self.scratch);
        }
        if let Some(entry) = self.connections.get_mut(conn)
            && let Some(socket) = entry.socket.as_mut().filter(|socket| socket.is_ended())
        {
            drop(socket.finish(&mut self.scratch));
        }
        self.remove(conn);
    }

    /// Takes the socket out and frees the entry; the connection still counts as open.
    pub(super) fn take(&mut self, conn: ConnId) -> Option<Moved> {
        let mut socket = self.connections.get_mut(conn)?.socket.take()?;
        self.held.recount_stranger(socket.recount(false));
        let stream = socket.leave(&self.registry);
        let listener = self.forget(conn)?;
        if stream.is_err() {
            self.uncount(listener);
        }
        stream.ok()
    }

    /// Who waits longest to send a CONNECT, if more than so many do.
    pub(super) fn stranger_beyond(&mut self, max: usize) -> Option<ConnId> {
        self.strangers.beyond(max)
    }

    /// Counts those that have been silent for long as come for nothing.
    pub(super) fn count_late_strangers(&mut self, now: Time) {
        let Lines { strangers, idle, connections, .. } = self;
        strangers.become_late(now, |conn, address| {
            let socket = connections.get_mut(conn).and_then(|entry| entry.socket.as_ref());
            // Who is silent behind a proxy is not known yet.
            if socket.is_none_or(|socket| !socket.is_of_proxy()) {
                idle.push(address);
            }
        });
    }

    /// A connection counts for its address.
    pub(super) fn admit(&mut self, conn: ConnId, admitted: Admitted) {
        self.admitted.insert(conn, admitted);
    }

    /// The CONNECT of a connection has come.
    pub(super) fn has_connected(&mut self, conn: ConnId) {
        if let Some(admitted) = self.admitted.get_mut(&conn) {
            admitted.has_connected();
        }
    }

    /// How a connection counts for its address; it does no more.
    pub(super) fn take_admitted(&mut self, conn: ConnId) -> Option<Admitted> {
        self.admitted.remove(&conn)
    }

    /// A proxy has told where a connection comes from.
    pub(super) fn relocate(&mut self, conn: ConnId, remote: SocketAddr) {
        self.strangers.relocate(conn, remote);
    }

    /// Where a connection comes from, told once.
    pub(super) fn take_remote(&mut self, conn: ConnId) -> Option<SocketAddr> {
        self.strangers.introduced(conn)
    }

    /// Where a connection comes from whose CONNECT is awaited.
    pub(super) fn remote(&self, conn: ConnId) -> Option<SocketAddr> {
        self.strangers.remote(conn)
    }

    /// A connection that was counted, but never taken in.
    pub(super) fn uncount(&self, listener: ListenerId) {
        self.open[usize::from(listener.0)].fetch_sub(1, Ordering::Relaxed);
    }

    fn forget(&mut self, conn: ConnId) -> Option<ListenerId> {
        let entry = self.connections.get_mut(conn).filter(|it| it.phase != Phase::Free)?;
        if entry.outlet == Outlet::Blocked
            && let Some(output) = self.outputs.get_mut(entry.output)
        {
            self.bytes_waiting -= output.waiting();
            self.packets_waiting -= output.late;
        }
        let counted = entry.socket.as_ref().map_or(0, Socket::counted);
        self.held.recount_stranger((counted, 0));
        self.held.release(&mut entry.input);
        self.outputs.release(&mut entry.output);
        let listener = entry.listener;
        // A proxy that looks whether we are there does not come for nothing.
        let counts = entry.socket.as_ref().is_none_or(|socket| !socket.is_of_proxy());
        self.connections.remove(conn);
        self.idle.extend(self.strangers.gone(conn).filter(|_| counts));
        self.admitted.remove(&conn);
        Some(listener)
    }

    /// Appends what the broker sends to one connection.
    #[inline]
    pub(super) fn send(&mut self, frames: &[u8], send: Send) {
        let Some(entry) = self.connections.get_mut(send.conn) else { return };
        if matches!(entry.phase, Phase::Free | Phase::Closing(_)) {
            return;
        }
        let output = self.outputs.claim(&mut entry.output);
        let start = send.start as usize;
        let before = output.waiting();
        output.push(&frames[start..start + send.len as usize], send.id);
        if let Some(message) = send.body {
            output.push_body(message, entry.outlet == Outlet::Blocked);
        }
        let waiting = output.waiting();
        match entry.outlet {
            Outlet::Idle => {
                entry.outlet = Outlet::Dirty;
                self.dirty.push(send.conn);
            }
            Outlet::Dirty => {}
            Outlet::Blocked => {
                self.bytes_waiting += waiting - before;
                output.late += 1;
                self.packets_waiting += 1;
                if entry.level == Level::Low && waiting > self.backlog_high {
                    entry.level = Level::High;
                    self.news.push_back(News::Backlog(send.conn, Level::High));
                }
                return;
            }
        }
        if waiting >= FLUSH_EARLY {
            self.flush(send.conn);
        }
    }

    /// Writes what the turn left, once per connection.
    pub(super) fn flush_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            if self.connections.get_mut(conn).is_some_and(|it| it.outlet == Outlet::Dirty) {
                self.flush(conn);
            }
        }
        // Flushing makes nothing dirty: what it brings about is news, for the next turn.
        debug_assert!(self.dirty.is_empty());
        self.dirty = dirty;
    }

    /// The socket has room again.
    pub(super) fn writable(&mut self, conn: ConnId) {
        let Some(entry) = self.connections.get_mut(conn) else { return };
        if entry.outlet == Outlet::Blocked {
            return self.flush(conn);
        }
        // The end of a handshake waits for the socket, or the answer to a ping. That it cannot be
        // sent is found by a read.
        if let Some(socket) = entry.socket.as_mut().filter(|socket| socket.waits()) {
            drop(socket.flush(&mut self.scratch));
        }
    }

    fn flush(&mut self, conn: ConnId) {
        let Some(entry) = self.connections.get_mut(conn) else { return };
        let Some(output) = self.outputs.get_mut(entry.output) else { return };
        let Some(socket) = &mut entry.socket else { return };
        let before = if entry.outlet == Outlet::Blocked { output.waiting() } else { 0 };
        let late = output.late;
        let progress = output.flush(socket, &mut self.scratch);
        let waiting = output.waiting();
        self.bytes_waiting -= before;
        self.packets_waiting -= late;
        match progress {
            Ok(Progress::Blocked) => {
                entry.outlet = Outlet::Blocked;
                self.bytes_waiting += waiting;
                // What was sent of them is known in bytes only. One is under way at least.
                output.late = (late * waiting).checked_div(before).unwrap_or_default().max(1);
                self.packets_waiting += output.late;
            }
            Ok(Progress::Done) | Err(_) => {
                entry.outlet = Outlet::Idle;
                self.outputs.release(&mut entry.output);
            }
        }
        let waiting = if entry.outlet == Outlet::Blocked { waiting } else { 0 };
        if let Some(level) = crossing(entry, waiting, self.backlog_high) {
            entry.level = level;
            self.news.push_back(News::Backlog(conn, level));
        }
        if progress.is_err() {
            return self.broke(conn);
        }
        if entry.outlet != Outlet::Idle {
            return;
        }
        match entry.phase {
            Phase::Closing(Farewell::Sending) => self.finish(conn),
            // It may have been left unread while it was swamped.
            Phase::Open if entry.intake == Intake::Unread => self.queue(conn),
            _ => {}
        }
    }

    /// A client that takes nothing, and whose requests' answers alone fill the buffer by now: it
    /// is not read until it has taken them. Well above the mark where core stops sending messages,
    /// so that a client that writes a lot before it reads does not stand still.
    pub(super) fn is_swamped(&mut self, conn: ConnId) -> bool {
        let max = self.backlog_high.saturating_mul(SWAMPED_AT);
        let Some(entry) = self.connections.get_mut(conn) else { return false };
        entry.outlet == Outlet::Blocked
            && self.outputs.get_mut(entry.output).is_some_and(|output| output.waiting() > max)
    }

    /// The socket takes nothing any more. What it received before is still read: it may end with a
    /// DISCONNECT, and the read tells of the end.
    fn broke(&mut self, conn: ConnId) {
        let Some(entry) = self.connections.get_mut(conn) else { return };
        match entry.phase {
            Phase::Closing(_) => self.remove(conn),
            Phase::Open => self.queue(conn),
            Phase::Paused | Phase::Leaving(_) if entry.intake == Intake::Drained => {
                entry.intake = Intake::Unread;
            }
            Phase::Paused | Phase::Leaving(_) | Phase::Free => {}
        }
    }

    /// Core is done with it: sends what waits, then closes.
    pub(super) fn close(&mut self, conn: ConnId, now: Time) {
        let Some(entry) = self.connections.get_mut(conn) else { return };
        if matches!(entry.phase, Phase::Free | Phase::Closing(_)) {
            return;
        }
        entry.phase = Phase::Closing(Farewell::Sending);
        self.held.release(&mut entry.input);
        self.closing.push_back((now.plus_millis(self.linger_millis), conn, entry.epoch));
        if entry.outlet == Outlet::Idle {
            self.finish(conn);
        }
    }

    /// All was sent: the other side may close now, and what it sends until then is thrown away.
    fn finish(&mut self, conn: ConnId) {
        let Some(entry) = self.connections.get_mut(conn) else { return };
        entry.phase = Phase::Closing(Farewell::Lingering);
        let scratch = &mut self.scratch;
        let finished = entry.socket.as_mut().is_some_and(|it| it.finish(scratch).is_ok());
        if !finished {
            return self.remove(conn);
        }
        if entry.intake == Intake::Unread {
            self.queue(conn);
        }
    }

    /// Has a connection read without an event.
    pub(super) fn queue(&mut self, conn: ConnId) {
        let Some(entry) = self.connections.get_mut(conn) else { return };
        if entry.intake != Intake::Queued {
            entry.intake = Intake::Queued;
            self.ready.push_back(conn);
        }
    }

    /// Cuts connections that had time enough to close.
    pub(super) fn cut_closing(&mut self, now: Time) {
        while let Some((due, conn, epoch)) = self.closing.front().copied() {
            let entry = self.connections.get_mut(conn);
            let over = entry.is_none_or(|it| it.epoch != epoch || it.phase == Phase::Free);
            if !over && due > now {
                return;
            }
            self.closing.pop_front();
            if !over {
                self.remove(conn);
            }
        }
    }

    /// When a connection has to be cut, or those that are left unread seen to.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let cut = self.closing.front().map(|(due, ..)| *due);
        cut.into_iter().chain(self.starved.next_deadline()).min()
    }

    /// Something is left to do before a sleep.
    pub(super) fn has_work(&self) -> bool {
        !(self.ready.is_empty() && self.news.is_empty() && self.dirty.is_empty())
            || self.starved.has_work()
    }
}

/// The level to tell core of, if it changed: half of the mark lies between the two.
fn crossing(entry: &Connection, waiting: usize, high: usize) -> Option<Level> {
    let level = match entry.level {
        Level::Low if waiting > high => Level::High,
        Level::High if waiting <= high / 2 => Level::Low,
        Level::Low | Level::High => return None,
    };
    matches!(entry.phase, Phase::Open | Phase::Paused).then_some(level)
}
