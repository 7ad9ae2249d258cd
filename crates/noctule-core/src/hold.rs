//! Back-pressure: a publisher is not read while everyone it publishes to is behind.
//!
//! A receiver that is behind makes nobody wait who also has other receivers, and after
//! `stall_millis` without progress it makes nobody wait at all: its queue then overflows as
//! configured.

use crate::broker::{Broker, Turn};
use crate::identity::{SessionNumber, ShardId, Time};
use crate::index::Receiver;
use crate::peer::{PeerMessage, Target};
use crate::session::Session;

/// Messages waiting for a session above which its publishers are held, and (a quarter) released.
const HOLD_ABOVE: usize = 1000;

/// Milliseconds after which publishers are read for a while even if the receiver still moves, were
/// it ever so slowly: they are to be heard within their keep alive. [MQTT-3.12.4-1 v5]
const HOLD_MILLIS_MAX: u64 = 5000;

impl Session {
    /// When it holds publishers no longer, unless it moves on.
    pub(crate) fn patience_ends(&self, stall_millis: u64) -> Option<Time> {
        let stalled = self.work.last_progress.plus_millis(stall_millis);
        let longest = self.work.holding_since.plus_millis(HOLD_MILLIS_MAX.max(stall_millis));
        (!self.work.holding.is_empty()).then(|| stalled.min(longest))
    }
}

impl Broker {
    /// Whether a session has stopped taking anything.
    pub(crate) fn stalled(&self, slot: u32, turn: &Turn<'_>) -> bool {
        let since = turn.now.millis_since(self.sessions.at(slot).work.last_progress);
        since >= u64::from(self.limits.stall_millis)
    }

    /// All receivers of a message are behind: hold its publisher at the first that is connected,
    /// far enough behind, and still moving.
    pub(crate) fn all_behind(
        &mut self,
        turn: &mut Turn<'_>,
        from: ShardId,
        targets: &[Target],
        publisher: Option<SessionNumber>,
    ) {
        let Some(publisher) = publisher else { return };
        for target in targets {
            let Receiver::Session(number) = target.receiver else { return };
            let Some(slot) = self.sessions.slot_of(number) else { continue };
            let session = self.sessions.at(slot);
            let Some(link) = session.link else { continue };
            // A client that publishes to itself must go on being read: its acknowledgements are
            // what it waits for.
            let mark = self.hold_mark(session);
            let holds =
                (link.congested || session.queue.len() > mark) && session.number != publisher;
            if holds && !self.stalled(slot, turn) {
                let session = self.sessions.at_mut(slot);
                if session.work.holding.is_empty() {
                    session.work.holding_since = turn.now;
                }
                if session.work.holding.insert((from, publisher)) {
                    self.counters.publishers_held += 1;
                    let hold = PeerMessage::Hold { publisher, receiver: number };
                    self.tell(turn, from, hold);
                    self.arm_session(turn.now, slot);
                }
                return;
            }
        }
    }

    /// Messages that wait for a session from where on it holds its publishers.
    fn hold_mark(&self, session: &Session) -> usize {
        HOLD_ABOVE.min(self.limits.queue_of(session.queue_choice).messages_max as usize / 2)
    }

    /// Lets publishers go on once a session has caught up with most of what waited.
    pub(crate) fn release_if_caught_up(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let session = self.sessions.at(slot);
        let mark = self.hold_mark(session) / 4;
        let congested = session.link.is_some_and(|link| link.congested);
        if !session.work.holding.is_empty() && !congested && session.queue.len() <= mark {
            self.release_all(turn, slot);
            self.arm_session(turn.now, slot);
        }
    }

    /// Lets all go on that a session holds.
    pub(crate) fn release_all(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let receiver = self.sessions.at(slot).number;
        for (shard, publisher) in std::mem::take(&mut self.sessions.at_mut(slot).work.holding) {
            self.tell(turn, shard, PeerMessage::Release { publisher, receiver });
        }
    }

    /// A receiver asks to hold a publisher of this shard.
    pub(crate) fn hold_publisher(
        &mut self,
        turn: &mut Turn<'_>,
        publisher: SessionNumber,
        receiver: SessionNumber,
    ) {
        let Some(slot) = self.sessions.slot_of(publisher) else { return };
        let session = self.sessions.at(slot);
        // One that is behind itself goes on being read: its acknowledgements are what its own
        // publishers wait for, so nobody ever waits for a client that waits.
        let behind = !session.queue.is_empty()
            || !session.work.holding.is_empty()
            || session.link.is_some_and(|link| link.congested);
        let Some(conn) = session.conn().filter(|_| !behind) else { return };
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let held_by = std::mem::take(&mut connection.held_by).into_vec();
        connection.held_by = held_by.into_iter().chain([receiver]).collect();
        self.hold(turn, conn);
    }

    /// A receiver lets a publisher of this shard go on, if this connection of it is still held.
    pub(crate) fn release_publisher(
        &mut self,
        turn: &mut Turn<'_>,
        publisher: SessionNumber,
        receiver: SessionNumber,
    ) {
        let Some(conn) = self.conn_of(publisher) else { return };
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if connection.held_by.contains(&receiver) {
            let held_by = std::mem::take(&mut connection.held_by).into_vec();
            connection.held_by = held_by.into_iter().filter(|by| *by != receiver).collect();
            self.release(turn, conn);
        }
    }

    fn conn_of(&self, number: SessionNumber) -> Option<crate::identity::ConnId> {
        self.sessions.at(self.sessions.slot_of(number)?).conn()
    }
}
