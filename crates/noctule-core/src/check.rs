//! Verifies a whole broker: for the simulator, after every step. Panics with what is wrong.

use crate::broker::{Broker, TimerKey};
use crate::connection::Phase;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

impl Broker {
    /// Panics if the state contradicts itself.
    ///
    /// # Panics
    /// When it does: that is its purpose.
    pub fn check(&self) {
        self.waits.check();
        self.groups.check();
        self.retention.store.check();
        self.check_connections();
        self.check_sessions();
        assert!(self.loopback.is_empty(), "something said to itself was not heard");
    }

    fn check_connections(&self) {
        let mut live = 0;
        let mut all = 0;
        for (conn, connection) in self.connections.iter() {
            all += 1;
            live += u64::from(connection.is_live());
            let timer = TimerKey::Connection(conn);
            assert!(self.timers.holds(timer, connection.timer), "{conn:?}: timer out of step");
            if let Some(slowed) = connection.slowed_until() {
                let armed = self.timers.holds(TimerKey::Slowed(conn), slowed);
                assert!(armed && connection.holds > 0, "{conn:?}: slowed and not held");
            }
            let waits_for_connect = matches!(connection.phase, Phase::Fresh | Phase::Proving(_));
            assert_eq!(
                connection.session == u32::MAX,
                waits_for_connect,
                "{conn:?}: a session exactly from acceptance on"
            );
            if !waits_for_connect {
                let session = self.sessions.at(connection.session);
                assert_eq!(session.conn(), Some(conn), "{conn:?}: its session names another");
            }
        }
        for conn in self.controls.waiting() {
            let holds = self.connections.get(conn).map_or(0, |it| it.holds);
            assert!(holds > 0, "{conn:?}: waits for the server and is read");
        }
        for conn in self.shortage.held() {
            let holds = self.connections.get(conn).map_or(0, |it| it.holds);
            assert!(self.shortage.is_full() && holds > 0, "{conn:?}: held back for nothing");
        }
        for (conn, deadline) in self.expiries.iter() {
            let timer = TimerKey::Expiry(conn);
            assert!(self.timers.holds(timer, deadline), "{conn:?}: its time out of step");
            let accepted = self.connections.get(conn).map(|it| it.session != u32::MAX);
            assert_eq!(accepted, Some(true), "{conn:?}: a time of nobody who was let in");
        }
        assert_eq!(self.counters.connections_now, all, "connections miscounted");
        assert_eq!(self.counters.clients_now, live, "clients miscounted");
    }

    fn check_sessions(&self) {
        let (mut queued, mut inflight, mut count) = (0, 0, 0);
        let (mut pending, mut wills) = (0, 0);
        for (slot, session) in self.sessions.iter() {
            count += 1;
            session.queue.check(self.limits.queue_of(session.queue_choice));
            pending += session.queue.numbered();
            assert!(
                session.link.is_none() || session.queue.numbered() == 0,
                "a place is asked for"
            );
            queued += session.queue.len() as u64;
            wills += session.will.as_ref().map_or(0, |it| it.will.cost());
            inflight += session.work.sender.open() as u64;
            assert_eq!(self.sessions.slot_of(session.number), Some(slot), "number table");
            let found = self.sessions.find(session.tenant, &session.client_id);
            assert_eq!(found, Some(slot), "client id table");
            let timer = TimerKey::Session(slot);
            assert!(self.timers.holds(timer, session.timer), "session {slot}: timer out of step");
            match session.link {
                Some(link) => {
                    assert_eq!(session.conn(), Some(link.conn), "linked elsewhere");
                    assert!(session.in_window() <= usize::from(link.window), "window exceeded");
                }
                None => {
                    assert!(session.work.holding.is_empty(), "an absent session holds publishers");
                }
            }
            if session.conn().is_none() {
                assert!(session.is_persistent(), "a session outlived its end");
            }
            let bytes: u64 =
                session.work.receiver.iter().map(|(_, message)| message.cost() as u64).sum();
            assert_eq!(bytes, session.work.received_bytes, "received bytes miscounted");
        }
        assert_eq!(self.counters.sessions_now, count, "sessions miscounted");
        assert_eq!(self.pending.entries(), pending, "messages without a place miscounted");
        assert_eq!(self.counters.queued_now, queued, "queued messages miscounted");
        assert_eq!(self.counters.wills_bytes_now, wills, "wills miscounted");
        assert_eq!(self.counters.inflight_now, inflight, "messages in flight miscounted");
    }

    /// Writes the whole state, to be thawed in another process.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn freeze<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }

    /// Reads a frozen broker and restores what is derived. It goes on as if nothing had been.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn thaw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Broker, D::Error> {
        let mut broker = Broker::deserialize(deserializer)?;
        broker.sessions.relink();
        Ok(broker)
    }
}
