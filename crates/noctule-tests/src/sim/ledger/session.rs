//! Sessions, as the standard has them: when they begin, are carried on, expire and end.

use super::receive::{Once, Out};
use super::will::WillState;
use super::{At, Ledger};
use std::collections::BTreeMap;

/// A session of a client.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) client: usize,
    pub(crate) v5: bool,
    /// When the latest connection was accepted of those whose client knows.
    pub(super) told: Option<u32>,
    /// What a restart needs to know of it, after each change.
    pub(super) history: Vec<Kept>,
    /// The link that serves it.
    pub(crate) link: Option<usize>,
    pub(crate) expiry_secs: u32,
    pub(super) away_since: u64,
    pub(crate) ended: Option<At>,
    /// Subscriptions, those that ended included.
    pub(crate) slots: Vec<usize>,
    /// What the client received, by packet id.
    pub(crate) out: BTreeMap<u16, Out>,
    /// How many messages with a packet id it received.
    pub(crate) received: u32,
    /// QoS 2 messages of the client that wait for PUBREL.
    pub(crate) incoming: BTreeMap<u16, usize>,
    /// How that changed: when, which packet id, and what was under it before.
    pub(super) incoming_was: Vec<(u32, u16, Option<usize>)>,
    /// Messages of QoS 1 that it received.
    pub(super) once: Vec<Once>,
    /// Messages under packet ids that were used again.
    pub(super) replaced: Vec<(u16, Out)>,
    /// Its Will, armed or pending.
    pub(crate) will: Option<usize>,
    /// Its queue was said to overflow.
    pub(crate) overflowed: bool,
    /// A smaller Maximum Packet Size than every message needs was in force.
    pub(crate) packet_size_max: u32,
}

/// What a restart needs to know of a session, as it was from an instant on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) stamp: u32,
    pub(super) expiry_secs: u32,
    pub(super) connected: bool,
    pub(super) away_since: u64,
    pub(super) will: Option<(usize, WillState)>,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LineEnd {
    /// DISCONNECT with Normal Disconnection.
    Goodbye,
    /// Anything else.
    Lost,
}

/// What an accepted CONNECT asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) client: usize,
    pub(crate) link: usize,
    pub(crate) v5: bool,
    pub(crate) clean_start: bool,
    pub(crate) expiry_secs: u32,
    pub(crate) packet_size_max: u32,
    pub(crate) will: Option<usize>,
}

impl Ledger {
    /// A CONNECT was accepted, and whoever it took over from has been dealt with. Answers the
    /// session and whether it was there before.
    pub(crate) fn accepted(&mut self, asked: Asked) -> (usize, bool) {
        self.instant();
        // Whatever the broker does first: what was due by now is done before the session goes on.
        self.wills_overdue(|client| client == asked.client);
        self.expire_sessions();
        let found = self.current[asked.client];
        if let (Some(old), true) = (found, asked.clean_start) {
            self.end_session(old);
        }
        let (number, present) = match self.current[asked.client] {
            Some(number) => (number, true),
            None => {
                self.sessions.push(Session {
                    client: asked.client,
                    packet_size_max: u32::MAX,
                    ..Session::default()
                });
                (self.sessions.len() - 1, false)
            }
        };
        self.current[asked.client] = Some(number);
        let session = &mut self.sessions[number];
        assert!(session.link.is_none(), "two connections of one session");
        session.link = Some(asked.link);
        session.v5 = asked.v5;
        session.expiry_secs = asked.expiry_secs;
        session.packet_size_max = session.packet_size_max.min(asked.packet_size_max);
        for out in session.out.values_mut() {
            let size = out.message.map_or(0, |number| self.messages[number].size_bound());
            out.too_large |= size > asked.packet_size_max;
        }
        let pending = std::mem::replace(&mut session.will, asked.will);
        if let Some(will) = pending {
            self.will_cancelled(will);
        }
        if asked.will.is_none() {
            self.remember(number);
        }
        self.facts.resumed += u64::from(present);
        (number, present)
    }

    /// The connection of a session ended.
    pub(crate) fn line_ended(&mut self, number: usize, end: LineEnd) {
        let at = self.instant();
        let session = &mut self.sessions[number];
        session.link = None;
        session.away_since = at.time;
        let expiry = session.expiry_secs;
        if end == LineEnd::Goodbye {
            if let Some(will) = session.will.take() {
                self.will_cancelled(will);
            }
        } else if let Some(will) = session.will {
            self.will_triggered(will, expiry);
        }
        if expiry == 0 {
            self.end_session(number);
        }
        self.remember(number);
    }

    /// The client said how long the session lasts.
    pub(crate) fn expiry_changed(&mut self, number: usize, secs: u32) {
        self.instant();
        self.sessions[number].expiry_secs = secs;
        self.remember(number);
    }

    /// CONNACK reached the client, for a connection accepted then.
    pub(crate) fn told(&mut self, number: usize, accepted: u32) {
        self.sessions[number].told = Some(accepted);
    }

    /// Notes what a restart would find, were all of it stored.
    pub(super) fn remember(&mut self, number: usize) {
        let session = &mut self.sessions[number];
        let state = |will: usize| self.messages[will].will.map(|state| (will, state));
        session.history.push(Kept {
            stamp: self.now.stamp,
            expiry_secs: session.expiry_secs,
            connected: session.link.is_some(),
            away_since: session.away_since,
            will: session.will.and_then(state),
        });
    }

    /// Sessions whose interval is over end.
    pub(crate) fn expire_sessions(&mut self) {
        for client in 0..self.current.len() {
            let Some(number) = self.current[client] else { continue };
            let session = &self.sessions[number];
            let end = session.away_since + u64::from(session.expiry_secs) * 1000;
            if session.link.is_none() && session.expiry_secs != u32::MAX && end <= self.now.time {
                self.end_session(number);
            }
        }
    }

    pub(super) fn end_session(&mut self, number: usize) {
        let at = self.instant();
        let session = &mut self.sessions[number];
        session.ended = Some(at);
        self.current[session.client] = None;
        // Whatever delay it had: the end of the session is the latest moment. A Will whose delay
        // is over already comes out with the next tick, as the end of the session does.
        if let Some(will) = session.will.take()
            && !self.is_overdue(will)
        {
            self.will_is_due(will);
        }
    }
}
