//! What is done while unfinished packets take too much memory: those in the middle of one are not
//! read on, but for one at a time.
//!
//! That one makes the rest move: it may hold what its packet needs, and is cut if the packet is
//! not whole in time, so that neither memory nor patience has to be endless. Those that wait are
//! excused from keep alive. Who has not sent a whole CONNECT has a small budget apart, and is cut
//! if it is used up.

use super::Shard;
use super::connections::{Intake, Phase};
use super::held::{Holder, Pressure};
use super::lines::Lines;
use noctule_core::{ConnId, Index, Input, Time};
use std::collections::VecDeque;

/// Bytes of one receive while nothing may grow.
const PIECE: usize = 4 * 1024;

/// Milliseconds the one that goes on has for its packet.
const FAVOUR_MILLIS: u64 = 5000;

/// Milliseconds it may be silent.
const SILENT_MILLIS: u64 = 1000;

/// Milliseconds between two excuses: less than the shortest keep alive.
const EXCUSE_MILLIS: u64 = 1000;

/// Seconds until the log says again that connections are cut.
const SAID_AGAIN_SECS: u64 = 10;

/// Connections left unread until others hold less.
#[derive(Default)]
pub(super) struct Starved {
    waiting: VecDeque<(ConnId, u16)>,
    favoured: Option<Favoured>,
    excuse_at: Option<Time>,
    said_at: Option<Time>,
}

/// The one that goes on.
#[derive(Clone, Copy)]
struct Favoured {
    conn: ConnId,
    epoch: u16,
    until: Time,
    /// By then it has to hold more than `held` bytes.
    more_by: Time,
    held: usize,
}

impl Starved {
    /// When something has to be done for them.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        if self.waiting.is_empty() && self.favoured.is_none() {
            return None;
        }
        let until = self.favoured.map(|it| it.until.min(it.more_by));
        until.into_iter().chain(self.excuse_at).min()
    }

    /// Somebody may go on, and does not know yet.
    pub(super) fn has_work(&self) -> bool {
        !self.waiting.is_empty() && self.favoured.is_none()
    }

    fn favours(&self, conn: ConnId, epoch: u16) -> bool {
        self.favoured.is_some_and(|it| it.conn == conn && it.epoch == epoch)
    }
}

impl Lines {
    /// How much a connection with `held` bytes of an unfinished packet may receive; `None`:
    /// nothing, for now.
    #[inline]
    pub(super) fn allowance(&mut self, conn: ConnId, held: usize, usual: usize) -> Option<usize> {
        match self.held.pressure() {
            Pressure::None => Some(usual),
            pressure => self.allowance_under(pressure, conn, held, usual),
        }
    }

    #[cold]
    fn allowance_under(
        &mut self,
        pressure: Pressure,
        conn: ConnId,
        held: usize,
        usual: usize,
    ) -> Option<usize> {
        let entry = self.connections.get_mut(conn)?;
        if entry.version.is_none() || self.starved.favours(conn, entry.epoch) {
            return Some(usual);
        }
        match pressure {
            Pressure::None => Some(usual),
            Pressure::Large => (held <= super::intake::TAIL_MAX).then_some(usual),
            Pressure::All => (held == 0).then_some(PIECE.min(usual)),
        }
    }

    /// Leaves a connection unread until others hold less.
    pub(super) fn starve(&mut self, conn: ConnId) {
        let Some(entry) = self.connections.get_mut(conn) else { return };
        if entry.intake != Intake::Queued {
            // It counts as queued: it is on a list, and no event will come.
            entry.intake = Intake::Queued;
            self.starved.waiting.push_back((conn, entry.epoch));
        }
    }

    /// A connection had a whole packet: if it was the one that goes on, others may.
    #[inline]
    pub(super) fn got_whole(&mut self, conn: ConnId) {
        if self.starved.favoured.is_some_and(|it| it.conn == conn) {
            self.starved.favoured = None;
        }
    }

    /// Goes on with all that wait if there is room, else with the one that waits longest. Answers
    /// who had that favour and did not use it in time.
    fn feed_starved(&mut self, now: Time) -> Option<ConnId> {
        if self.held.has_room() {
            self.starved.favoured = None;
            let waiting = std::mem::take(&mut self.starved.waiting);
            self.ready.extend(waiting.into_iter().map(|(conn, _)| conn));
            return None;
        }
        let late = match self.starved.favoured {
            Some(favoured) => {
                let open = self.is_unfinished(&favoured);
                if open && self.goes_on(favoured, now) {
                    return None;
                }
                self.starved.favoured = None;
                Some(favoured.conn).filter(|_| open && !self.starved.waiting.is_empty())
            }
            None => None,
        };
        while let Some((conn, epoch)) = self.starved.waiting.pop_front() {
            let Some(entry) = self.connections.get_mut(conn) else { continue };
            if entry.epoch == epoch && entry.intake == Intake::Queued {
                let until = now.plus_millis(FAVOUR_MILLIS);
                let more_by = now.plus_millis(SILENT_MILLIS);
                let held = self.held.len(entry.input);
                self.starved.favoured = Some(Favoured { conn, epoch, until, more_by, held });
                self.ready.push_back(conn);
                break;
            }
        }
        late
    }

    fn is_unfinished(&mut self, favoured: &Favoured) -> bool {
        let entry = self.connections.get_mut(favoured.conn);
        entry.is_some_and(|it| it.epoch == favoured.epoch && it.phase == Phase::Open)
    }

    /// Whether the one that goes on has time left, and uses it.
    fn goes_on(&mut self, mut favoured: Favoured, now: Time) -> bool {
        if now >= favoured.more_by {
            let entry = self.connections.get_mut(favoured.conn);
            let held = entry.map(|it| it.input).map_or(0, |input| self.held.len(input));
            if held <= favoured.held {
                return false;
            }
            favoured.held = held;
            favoured.more_by = now.plus_millis(SILENT_MILLIS);
            self.starved.favoured = Some(favoured);
        }
        now < favoured.until
    }
}

impl Shard {
    /// Sees to those that are left unread for want of memory.
    #[inline]
    pub(super) fn relieve(&mut self, index: &Index) {
        let starved = &self.lines.starved;
        if !starved.waiting.is_empty() || starved.favoured.is_some() {
            self.relieve_starved(index);
        }
    }

    fn relieve_starved(&mut self, index: &Index) {
        if let Some(late) = self.lines.feed_starved(self.now) {
            self.cut(index, late);
        }
        let starved = &mut self.lines.starved;
        if starved.waiting.is_empty() && starved.favoured.is_none() {
            starved.excuse_at = None;
        } else if starved.excuse_at.is_none_or(|due| due <= self.now) {
            starved.excuse_at = Some(self.now.plus_millis(EXCUSE_MILLIS));
            let favoured = starved.favoured.map(|it| it.conn);
            for conn in starved.waiting.iter().map(|(conn, _)| *conn).chain(favoured) {
                let input = Input::Excused { conn };
                self.broker.handle(self.now, index, input, &mut self.outbox);
            }
        }
    }

    /// Keeps bytes, if the memory for those of its kind is not used up.
    pub(super) fn keep(&mut self, index: &Index, conn: ConnId, rest: &[u8]) {
        let Some(entry) = self.lines.connections.get_mut(conn) else { return };
        if entry.version.is_some() {
            self.lines.held.append(&mut entry.input, Holder::Known, rest);
        } else if self.lines.held.takes_from_stranger(rest.len()) {
            self.lines.held.append(&mut entry.input, Holder::Stranger, rest);
        } else {
            self.cut(index, conn);
        }
    }

    /// Ends a connection at once: its unfinished packet takes memory that others need.
    pub(super) fn cut(&mut self, index: &Index, conn: ConnId) {
        self.net.connections_cut += 1;
        let starved = &mut self.lines.starved;
        if starved.said_at.is_none_or(|at| self.now >= at.plus_secs(SAID_AGAIN_SECS)) {
            starved.said_at = Some(self.now);
            tracing::warn!("unfinished packets take too much memory: cutting connections");
        }
        self.forget(index, conn);
        self.lines.remove(conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Socket;
    use crate::shard::held::Held;
    use noctule_core::input::Origin;
    use noctule_core::{ListenerId, Tenant};
    use noctule_proto::Version;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    const USUAL: usize = 64 * 1024;

    /// Marks of 1000 and 2000 bytes.
    fn lines() -> Lines {
        let poll = mio::Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let mut lines = Lines::new(registry, Arc::new([AtomicU32::new(9)]));
        lines.held = Held::with(1000, 2000, 100);
        lines
    }

    /// A connection in the middle of a packet.
    fn holder(lines: &mut Lines, version: Option<Version>, bytes: usize) -> ConnId {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let from =
            Origin { listener: ListenerId(0), tenant: Tenant(0), remote: None, durability: None };
        let conn = lines.add(Time(0), Socket::arrived(stream.into()), from).unwrap();
        let entry = lines.connections.get_mut(conn).unwrap();
        entry.version = version;
        let of = if version.is_some() { Holder::Known } else { Holder::Stranger };
        if bytes > 0 {
            lines.held.append(&mut entry.input, of, &vec![0; bytes]);
        }
        conn
    }

    fn known(lines: &mut Lines, bytes: usize) -> ConnId {
        holder(lines, Some(Version::V5), bytes)
    }

    fn hold_more(lines: &mut Lines, conn: ConnId, bytes: usize) {
        let entry = lines.connections.get_mut(conn).unwrap();
        lines.held.append(&mut entry.input, Holder::Known, &vec![0; bytes]);
    }

    #[test]
    fn each_mark_stops_those_that_it_is_for() {
        let mut lines = lines();
        let empty = known(&mut lines, 0);
        let small = known(&mut lines, 900);
        assert_eq!(lines.allowance(small, 900, USUAL), Some(USUAL));
        let second = known(&mut lines, 900);
        // Above the first mark large packets wait, and nobody else.
        assert_eq!(lines.allowance(second, USUAL + 1, USUAL), None);
        assert_eq!(lines.allowance(small, 900, USUAL), Some(USUAL));
        let third = known(&mut lines, 900);
        // Above the second whoever holds anything, and the others take little at a time.
        assert_eq!(lines.allowance(third, 900, USUAL), None);
        assert_eq!(lines.allowance(empty, 0, USUAL), Some(PIECE));
        // Strangers have a budget apart.
        let stranger = holder(&mut lines, None, 50);
        assert_eq!(lines.allowance(stranger, 50, USUAL), Some(USUAL));
    }

    #[test]
    fn one_goes_on_after_the_other_and_who_makes_them_wait_is_cut() {
        let mut lines = lines();
        let conns = [900, 900, 900, 700].map(|bytes| known(&mut lines, bytes));
        for conn in &conns {
            lines.starve(*conn);
        }
        let at = |millis| Time(1_000_000 + millis);
        assert!(lines.starved.has_work());
        assert_eq!(lines.feed_starved(at(0)), None);
        assert_eq!(lines.ready, [conns[0]]);
        assert_eq!(lines.allowance(conns[0], 900, USUAL), Some(USUAL));
        assert_eq!(lines.allowance(conns[1], 900, USUAL), None);
        assert!(!lines.starved.has_work());
        // It goes on while it brings more, and is late when it does not.
        hold_more(&mut lines, conns[0], 10);
        assert_eq!(lines.feed_starved(at(SILENT_MILLIS)), None);
        assert_eq!(lines.feed_starved(at(2 * SILENT_MILLIS - 1)), None);
        assert_eq!(lines.feed_starved(at(2 * SILENT_MILLIS)), Some(conns[0]));
        lines.remove(conns[0]);
        assert_eq!(lines.ready, [conns[0], conns[1]]);
        // A whole packet makes room for the next at once, and nobody is cut.
        lines.got_whole(conns[1]);
        assert_eq!(lines.feed_starved(at(2 * SILENT_MILLIS)), None);
        assert_eq!(lines.ready, [conns[0], conns[1], conns[2]]);
        // However much it brings, its time is over once.
        for step in 1..=FAVOUR_MILLIS / SILENT_MILLIS {
            hold_more(&mut lines, conns[2], 10);
            let late = lines.feed_starved(at((2 + step) * SILENT_MILLIS));
            let over = step * SILENT_MILLIS == FAVOUR_MILLIS;
            assert_eq!(late, over.then_some(conns[2]), "step {step}");
        }
        // With room again all go on.
        for conn in [conns[1], conns[2]] {
            lines.remove(conn);
        }
        assert_eq!(lines.feed_starved(at(60_000)), None);
        lines.starve(conns[3]);
        assert!(lines.held.has_room());
        assert_eq!(lines.starved.next_deadline(), None);
    }
}
