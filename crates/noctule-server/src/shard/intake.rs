//! The way in: accepted and arriving connections, received bytes, whole packets.

use super::addresses::{Admitted, TooMany};
use super::connections::{Farewell, Intake, Phase};
use super::held::Holder;
use super::peers::Arrival;
use super::{Shard, ShardListener};
use crate::log::CLIENTS;
use crate::net::{HERE, Layer, Received, Socket, is_hello};
use mio::net::TcpStream;
use noctule_core::input::Origin;
use noctule_core::{ConnId, Index, Input, ListenerId, Tenant};
use noctule_proto::packet::{LastPublish, Role};
use noctule_proto::{Cause, DecodeError, Packet, next_frame};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

/// Bytes of one receive.
const RECEIVE: usize = 64 * 1024;

/// A partial packet up to this size is moved in front of the next receive; a larger one grows in a
/// buffer of its own.
pub(super) const TAIL_MAX: usize = 64 * 1024;

/// Size of the buffer that all receives of a shard share.
pub(super) const CHUNK: usize = SHIFT + TAIL_MAX + RECEIVE;

/// It is used from there on. Large buffers begin at the same place of a page, and what is copied
/// from one to the other at the same pace would always meet there: the processor takes that for a
/// load of what was just stored, and waits (measured: 3 % of a message).
const SHIFT: usize = 2240;

/// Bytes a CONNECT may have, whatever packets may have later: nobody has said who it is yet. All
/// fields a CONNECT has once, at their longest, fit.
const CONNECT_MAX: u32 = 1024 * 1024;

/// Steps of TLS handshakes that one turn takes: about a millisecond's.
pub(super) const HANDSHAKES_MAX: u32 = 8;

/// Connections accepted from one listener in one turn.
const ACCEPTED_MAX: usize = 64;

/// Milliseconds until the next try when the system has no file descriptors left.
const ACCEPT_AGAIN_MILLIS: u64 = 100;

/// Seconds until the log says again that the system refuses, or that somebody is not let in.
const SAID_AGAIN_SECS: u64 = 10;

/// Sends and peer messages that are passed on before more packets are handled: they stay in the
/// cache that way, and a chunk of tiny publishes to many subscribers stays small.
const SETTLE_AT: usize = 256;

/// Why a connection is closed as it comes.
enum Refused {
    /// Its address is banned.
    Banned,
    /// Its listener does not take connections from there.
    Denied,
    /// Its address has, or opens, too many.
    TooMany(TooMany),
    /// Its listener has as many as it may.
    Full,
}

impl Shard {
    /// Accepts what waits at a listener.
    pub(super) fn accept(&mut self, index: &Index, at: usize) {
        for _ in 0..ACCEPTED_MAX {
            let listener = &mut self.listeners[at];
            listener.waiting = false;
            listener.again_at = None;
            match listener.socket.accept() {
                Ok((stream, remote)) => {
                    if let Err(refused) = self.take_in(index, at, stream, remote) {
                        self.turn_away(at, remote, refused);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionAborted
                            | ErrorKind::ConnectionReset
                            | ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    // Out of file descriptors, most likely: the connection stays in the queue, and
                    // no event will tell of it again.
                    self.net.accepts_failed += 1;
                    let listener = &mut self.listeners[at];
                    if listener.said_at.is_none_or(|at| self.now >= at.plus_secs(SAID_AGAIN_SECS)) {
                        listener.said_at = Some(self.now);
                        tracing::warn!("cannot accept connections for now: {error}");
                    }
                    listener.waiting = true;
                    listener.again_at = Some(self.now.plus_millis(ACCEPT_AGAIN_MILLIS));
                    return;
                }
            }
        }
        self.listeners[at].waiting = true;
    }

    /// Takes a connection in, if its listener and its address may have another one. Nothing was
    /// spent on it before that is decided: no handshake, no memory.
    fn take_in(
        &mut self,
        index: &Index,
        at: usize,
        stream: TcpStream,
        remote: SocketAddr,
    ) -> Result<(), Refused> {
        // Where a client of a proxy comes from is not known yet.
        let admitted = match self.listeners[at].entrance.proxy {
            Some(_) => None,
            None => self.admit(at, remote)?,
        };
        let listener = &self.listeners[at];
        if !listener.has_room() {
            return Err(Refused::Full);
        }
        let (id, tenant) = (super::listener_id(listener.at), listener.tenant);
        let Ok(socket) = Socket::accepted(stream, &listener.entrance) else {
            self.lines.uncount(id);
            return Ok(());
        };
        if tracing::enabled!(tracing::Level::DEBUG) {
            let port = self.addresses.get(usize::from(id.0)).map_or(0, SocketAddr::port);
            tracing::debug!(target: CLIENTS, remote = %remote, port, "connection accepted");
        }
        let (remote, durability) = (Some(remote), listener.durability);
        let from = Origin { listener: id, tenant, remote, durability };
        let conn = self.open(index, socket, from);
        if let (Some(conn), Some(admitted)) = (conn, admitted) {
            self.lines.admit(conn, admitted);
        }
        self.cut_strangers(index);
        Ok(())
    }

    /// The listener behind those that are configured: of connections that begin in this process.
    pub(super) fn inside(&self) -> ListenerId {
        super::listener_id(self.addresses.len() - 1)
    }

    /// Takes in a connection that begins within this process.
    pub(super) fn join(&mut self, index: &Index, stream: TcpStream) {
        let listener = self.inside();
        self.shared.open[usize::from(listener.0)].fetch_add(1, Ordering::Relaxed);
        let from = Origin { listener, tenant: Tenant(0), remote: None, durability: None };
        self.open(index, Socket::joined(stream), from);
    }

    /// Lets somebody in by where it comes from; answers how it counts for that.
    fn admit(&mut self, at: usize, remote: SocketAddr) -> Result<Option<Admitted>, Refused> {
        if self.watch.bans.bans_address(remote.ip(), self.now) {
            return Err(Refused::Banned);
        }
        if !self.listeners[at].door.admission.admits(remote.ip()) {
            return Err(Refused::Denied);
        }
        if !self.address_limits.are_any() {
            return Ok(None);
        }
        let addresses = &self.shared.addresses;
        let admission = addresses.admit(&self.address_limits, remote.ip(), self.now);
        admission.map(Some).map_err(Refused::TooMany)
    }

    /// A proxy has told where a connection comes from: whether it may is decided now.
    fn told_by_proxy(&mut self, index: &Index, conn: ConnId, told: Option<SocketAddr>) {
        let Some(remote) = told.or(self.lines.remote(conn)) else { return };
        self.lines.relocate(conn, remote);
        let Some(entry) = self.lines.connections.get_mut(conn) else { return };
        let listener = usize::from(entry.listener.0);
        // None is left where the broker is about to end.
        let at = self.listeners.iter().position(|it| it.at == listener);
        match at.map_or(Ok(None), |at| self.admit(at, remote)) {
            Ok(admitted) => {
                if let Some(admitted) = admitted {
                    self.lines.admit(conn, admitted);
                }
                if let Some(remote) = told {
                    let input = Input::Located { conn, remote };
                    self.broker.handle(self.now, index, input, &mut self.outbox);
                    self.settle(index);
                }
            }
            Err(refused) => {
                if let Some(at) = at {
                    self.turn_away(at, remote, refused);
                }
                self.forget(index, conn);
                self.lines.remove(conn);
            }
        }
    }

    /// Counts a connection that was not taken in, and says so now and then.
    fn turn_away(&mut self, at: usize, remote: SocketAddr, refused: Refused) {
        match refused {
            Refused::Banned => return self.watch.turned_away(self.now, Some(remote.ip())),
            Refused::Denied => self.net.connections_denied += 1,
            Refused::TooMany(_) => {
                self.net.addresses_refused += 1;
                self.lines.idle.push(remote.ip());
            }
            Refused::Full => self.net.connections_refused += 1,
        }
        let listener = &mut self.listeners[at];
        if listener.said_refused_at.is_some_and(|at| self.now < at.plus_secs(SAID_AGAIN_SECS)) {
            return;
        }
        listener.said_refused_at = Some(self.now);
        let remote = match &listener.entrance.unix {
            Some(name) if remote == HERE => name.to_string(),
            Some(_) | None => remote.to_string(),
        };
        match refused {
            Refused::Banned => {}
            Refused::Denied => {
                tracing::warn!(remote, "a listener does not take connections from there: closed");
            }
            Refused::TooMany(which) => {
                tracing::warn!(remote, why = which.why(), "an address is refused: closed");
            }
            Refused::Full => {
                let max = listener.door.connections_max;
                tracing::warn!(remote, "a listener has its {max} connections: closing what comes");
            }
        }
    }

    /// Closes who has waited longest to send a CONNECT, while too many do: those who mean it have
    /// sent it by then.
    fn cut_strangers(&mut self, index: &Index) {
        while let Some(conn) = self.lines.stranger_beyond(self.strangers_max()) {
            self.net.half_open_cut += 1;
            self.forget(index, conn);
            self.lines.remove(conn);
        }
    }

    /// A connection whose CONNECT says that it is at home here.
    pub(super) fn arrive(&mut self, index: &Index, arrival: Arrival) {
        let Arrival { socket, from, admitted, bytes } = arrival;
        let Some(conn) = self.open(index, Socket::arrived(socket), from) else { return };
        if let Some(admitted) = admitted {
            self.lines.admit(conn, admitted);
        }
        // What was decrypted already makes no event.
        self.lines.queue(conn);
        let used = self.decode(index, conn, &bytes);
        self.keep_rest(index, conn, &bytes[used..]);
    }

    fn open(&mut self, index: &Index, socket: Socket, from: Origin) -> Option<ConnId> {
        let Some(conn) = self.lines.add(self.now, socket, from) else {
            tracing::warn!("cannot watch a connection: the system refuses");
            return None;
        };
        let entry = self.lines.connections.get_mut(conn)?;
        let of_proxy = entry.socket.as_ref().is_some_and(Socket::is_of_proxy);
        // What a proxy's own address is said to do would be held against all its clients.
        let from = Origin { remote: from.remote.filter(|_| !of_proxy), ..from };
        self.broker.handle(self.now, index, Input::Opened { conn, from }, &mut self.outbox);
        self.settle(index);
        Some(conn)
    }

    /// The socket of a connection has bytes, or its end, for us.
    pub(super) fn readable(&mut self, index: &Index, conn: ConnId) {
        let Some(entry) = self.lines.connections.get_mut(conn) else { return };
        match entry.phase {
            Phase::Open => {}
            Phase::Closing(Farewell::Lingering) => return self.throw_away(conn),
            Phase::Paused | Phase::Leaving(_) | Phase::Closing(Farewell::Sending) => {
                if entry.intake == Intake::Drained {
                    entry.intake = Intake::Unread;
                }
                return;
            }
            Phase::Free => return,
        }
        if self.lines.is_swamped(conn) {
            return self.leave_unread(conn);
        }
        let Some(entry) = self.lines.connections.get_mut(conn) else { return };
        if entry.socket.as_ref().is_some_and(Socket::is_handshaking) {
            // Those that are in have their turn before those that want in.
            if self.handshakes_left == 0 {
                return self.lines.queue(conn);
            }
            self.handshakes_left -= 1;
        }
        // The buffer is taken out while packets borrow from it.
        let mut chunk = std::mem::take(&mut self.chunk);
        self.receive(index, conn, &mut chunk[SHIFT..]);
        self.chunk = chunk;
        let entry = self.lines.connections.get_mut(conn);
        if entry.is_some_and(|it| it.phase == Phase::Open && it.intake == Intake::Unread) {
            self.lines.queue(conn);
        }
    }

    fn leave_unread(&mut self, conn: ConnId) {
        if let Some(entry) = self.lines.connections.get_mut(conn)
            && entry.intake == Intake::Drained
        {
            entry.intake = Intake::Unread;
        }
    }

    /// Goes on with a connection that was resumed, or had more than one receive can take.
    pub(super) fn go_on(&mut self, index: &Index, conn: ConnId) {
        let Some(entry) = self.lines.connections.get_mut(conn) else { return };
        if entry.intake != Intake::Queued {
            return;
        }
        entry.intake = Intake::Unread;
        if entry.phase == Phase::Open && !entry.input.is_none() {
            let bytes = self.lines.held.take(&mut entry.input);
            let used = self.decode(index, conn, &bytes);
            self.keep_grown(index, conn, bytes, used);
        }
        self.readable(index, conn);
    }

    fn receive(&mut self, index: &Index, conn: ConnId, chunk: &mut [u8]) {
        let Some(entry) = self.lines.connections.get_mut(conn) else { return };
        let held = self.lines.held.len(entry.input);
        let large = held > TAIL_MAX;
        let Some(piece) = self.lines.allowance(conn, held, RECEIVE) else {
            return self.lines.starve(conn);
        };
        let Some(entry) = self.lines.connections.get_mut(conn) else { return };
        let Some(socket) = &mut entry.socket else { return };
        let tail = if large { 0 } else { held };
        let received = socket.receive(&mut chunk[tail..tail + piece], &mut self.lines.scratch);
        // Parts of records of those who are known are few, and small.
        let changed = socket.recount(entry.version.is_none());
        if !self.lines.held.recount_stranger(changed) {
            return self.cut(index, conn);
        }
        let (count, intake) = match received {
            // Without an event of its own (the intake is not drained) even a short receive may not
            // be the last: the end of the connection may have been told of long ago.
            Received::Last(count) if entry.intake == Intake::Drained => (count, Intake::Drained),
            Received::Last(count) | Received::More(count) => (count, Intake::Unread),
            Received::Nothing => {
                entry.intake = Intake::Drained;
                return;
            }
            Received::End => return self.ended(index, conn),
            Received::Told(remote) => {
                if entry.intake != Intake::Queued {
                    entry.intake = Intake::Unread;
                }
                return self.told_by_proxy(index, conn, remote);
            }
            Received::Failed(layer, why) => {
                self.layer_failed(conn, layer, &why);
                return self.refused(index, conn);
            }
        };
        if entry.intake != Intake::Queued {
            entry.intake = intake;
        }
        if large {
            let mut bytes = self.lines.held.take(&mut entry.input);
            bytes.extend_from_slice(&chunk[..count]);
            let used = self.decode(index, conn, &bytes);
            return self.keep_grown(index, conn, bytes, used);
        }
        self.lines.held.move_into(&mut entry.input, chunk);
        let whole = &chunk[..tail + count];
        let used = self.decode(index, conn, whole);
        self.keep_rest(index, conn, &whole[used..]);
    }

    /// Handles the whole packets in `bytes`; answers how many bytes need not be kept.
    fn decode(&mut self, index: &Index, conn: ConnId, bytes: &[u8]) -> usize {
        let Some(entry) = self.lines.connections.get_mut(conn) else { return bytes.len() };
        let mut version = entry.version;
        let size_max = self.packet_sizes_max[usize::from(entry.listener.0)];
        let mut remote = None;
        let mut at = 0;
        let mut last = LastPublish::default();
        while at < bytes.len() {
            let start = at;
            let size_max = match version {
                Some(_) => size_max,
                None => size_max.min(CONNECT_MAX),
            };
            let frame = match next_frame(&bytes[at..], size_max) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    let hello = version.is_none() && is_hello(&bytes[at..]);
                    let cause = if hello { Cause::TlsHello } else { error.cause };
                    let error = DecodeError { cause, version, ..error };
                    self.broken(index, conn, error);
                    return bytes.len();
                }
            };
            at += frame.len;
            let decoded = Packet::decode_next(&mut last, frame, version, Role::Client);
            let packet = match decoded {
                Ok(packet) => packet,
                Err(error) => {
                    self.broken(index, conn, error);
                    return bytes.len();
                }
            };
            if let (None, Packet::Connect(connect)) = (version, &packet) {
                version = Some(connect.version);
                if let Some(entry) = self.lines.connections.get_mut(conn) {
                    entry.version = version;
                }
                remote = self.lines.take_remote(conn);
                self.lines.has_connected(conn);
            }
            let size = frame.len as u32;
            let input = Input::Packet { conn, packet: &packet, size };
            self.broker.handle(self.now, index, input, &mut self.outbox);
            let out = &self.outbox;
            if out.effects.is_empty() && out.sends.len() < SETTLE_AT && out.peers.len() < SETTLE_AT
            {
                continue;
            }
            self.settle(index);
            match self.lines.connections.get_mut(conn).map_or(Phase::Free, |it| it.phase) {
                Phase::Open => {}
                Phase::Paused => {
                    self.lines.got_whole(conn);
                    return at;
                }
                Phase::Leaving(home) => {
                    self.send_home(conn, home, remote, &bytes[start..]);
                    return bytes.len();
                }
                Phase::Closing(_) | Phase::Free => return bytes.len(),
            }
        }
        self.settle(index);
        if at > 0 {
            self.lines.got_whole(conn);
        }
        at
    }

    /// Counts a layer that failed, mostly in its handshake, and says so now and then.
    fn layer_failed(&mut self, conn: ConnId, layer: Layer, why: &str) {
        match layer {
            Layer::Tls => self.net.handshakes_failed += 1,
            Layer::WebSocket => self.net.websockets_failed += 1,
            Layer::Proxy => self.net.proxy_headers_failed += 1,
        }
        let (told_at, untold) = &mut self.handshakes_told;
        if told_at.is_some_and(|at| self.now < at.plus_secs(1)) {
            *untold += 1;
            return;
        }
        *told_at = Some(self.now);
        let others = std::mem::take(untold);
        let remote = match self.lines.remote(conn) {
            Some(HERE) => super::name_of(&self.unix).into(),
            Some(address) => address.to_string(),
            None => String::new(),
        };
        match layer {
            Layer::Tls => tracing::warn!(remote, why, others, "TLS handshake failed"),
            Layer::WebSocket => tracing::warn!(remote, why, others, "WebSocket failed"),
            Layer::Proxy => tracing::warn!(remote, why, others, "PROXY protocol failed"),
        }
    }

    fn broken(&mut self, index: &Index, conn: ConnId, error: DecodeError) {
        self.broker.handle(self.now, index, Input::Broken { conn, error }, &mut self.outbox);
        self.settle(index);
        // Core closes it; should it not, nothing more may be decoded all the same.
        self.lines.close(conn, self.now);
    }

    /// Keeps what was not used, if the connection goes on.
    fn keep_rest(&mut self, index: &Index, conn: ConnId, rest: &[u8]) {
        if rest.is_empty() {
            return;
        }
        let Some(entry) = self.lines.connections.get_mut(conn) else { return };
        if matches!(entry.phase, Phase::Open | Phase::Paused) {
            self.keep(index, conn, rest);
        }
    }

    /// The same for bytes that have a buffer of their own.
    fn keep_grown(&mut self, index: &Index, conn: ConnId, mut bytes: Vec<u8>, used: usize) {
        if used == bytes.len() {
            return;
        }
        let Some(entry) = self.lines.connections.get_mut(conn) else { return };
        if !matches!(entry.phase, Phase::Open | Phase::Paused) {
            return;
        }
        if entry.version.is_none() {
            return self.keep(index, conn, &bytes[used..]);
        }
        bytes.drain(..used);
        self.lines.held.put(&mut entry.input, Holder::Known, bytes);
    }

    /// The other side is gone, or has said that this is the end.
    fn ended(&mut self, index: &Index, conn: ConnId) {
        self.forget(index, conn);
        self.lines.part(conn);
    }

    /// A layer has failed: the other side may still read why.
    fn refused(&mut self, index: &Index, conn: ConnId) {
        self.forget(index, conn);
        self.lines.close(conn, self.now);
    }

    /// Nothing more of a connection is heard, whatever becomes of its socket.
    pub(super) fn forget(&mut self, index: &Index, conn: ConnId) {
        self.auth.forget(conn);
        self.broker.handle(self.now, index, Input::Closed { conn }, &mut self.outbox);
        self.settle(index);
    }

    /// Reads a connection that was said goodbye to, only to learn of its end.
    fn throw_away(&mut self, conn: ConnId) {
        let Some(entry) = self.lines.connections.get_mut(conn) else { return };
        let Some(socket) = &entry.socket else { return };
        match socket.receive_anything(&mut self.chunk[..RECEIVE]) {
            Received::Nothing => entry.intake = Intake::Drained,
            Received::Last(_) if entry.intake == Intake::Drained => {}
            Received::Last(_) | Received::More(_) => self.lines.queue(conn),
            Received::End | Received::Told(_) | Received::Failed(..) => self.lines.remove(conn),
        }
    }
}

impl ShardListener {
    /// Counts one more connection, if there is room for it.
    fn has_room(&self) -> bool {
        let before = self.open[self.at].fetch_add(1, Ordering::Relaxed);
        if before < self.door.connections_max {
            return true;
        }
        self.open[self.at].fetch_sub(1, Ordering::Relaxed);
        false
    }
}
