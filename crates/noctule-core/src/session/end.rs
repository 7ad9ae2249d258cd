//! A session begins, loses its connection, is taken over, expires, ends.

use super::{Queue, Session, Subscriptions, Tie};
use crate::broker::{Broker, TimerKey, Turn};
use crate::identity::{ConnId, Tenant, Time};
use crate::job::Ending;
use crate::lazy::Lazy;
use crate::limits::{Durability, QueueChoice};
use crate::output::{End, Event};
use crate::record::{Record, StoredWill};
use crate::timer::Deadline;
use crate::verdict::Verdict;
use crate::wait::Wait;
use noctule_proto::{QoS, ReasonCode};
use std::collections::VecDeque;

/// Messages of a session that its end lets go at once; more are a job.
const DISCARDED_AT_ONCE: u32 = 256;

impl Broker {
    /// An empty session. [MQTT-3.1.2-6 v5], [MQTT-3.1.2-4 v3.1.1]
    pub(crate) fn new_session(
        &mut self,
        (tenant, client_id): (Tenant, &str),
        expiry_secs: u32,
        durability: Durability,
    ) -> u32 {
        let recorded = expiry_secs > 0 && durability != Durability::Memory;
        let number = self.sessions.next_number((self.me, self.homes.shards), recorded);
        self.counters.sessions_now += 1;
        let bounds = self.limits.queue_choice(client_id);
        let session = Session { durability, ..Session::new(number, tenant, client_id, bounds) };
        self.sessions.insert(session)
    }

    /// The session of a client id, if it is to be carried on: whoever is connected with it is
    /// disconnected, and a clean start ends it. [MQTT-3.1.4-3 v5], [MQTT-3.1.4-2 v3.1.1],
    /// [V31-3.1-5], [MQTT-3.1.2-4 v5], [MQTT-3.1.2-5 v5]
    /// [U5-3.1.3-1].
    pub(crate) fn take_over(
        &mut self,
        turn: &mut Turn<'_>,
        (tenant, client_id): (Tenant, &str),
        clean_start: bool,
    ) -> Option<u32> {
        let slot = self.sessions.find(tenant, client_id)?;
        self.catch_up(turn, slot);
        let slot = self.sessions.find(tenant, client_id)?;
        if let Some(old) = self.sessions.at(slot).conn() {
            self.counters.takeovers += 1;
            let why = "another connection uses this client identifier";
            self.end(turn, old, ReasonCode::SessionTakenOver, why);
        }
        // The end of the old connection may have been the end of the session.
        let slot = self.sessions.find(tenant, client_id)?;
        if clean_start {
            self.end_session(turn, slot);
            return None;
        }
        Some(slot)
    }

    /// Ties a session to a connection. The Will of an earlier connection is void if it was still
    /// pending. [MQTT-3.1.3-9 v5], [MQTT-3.1.2-7 v5], [MQTT-3.1.2-23 v5]
    pub(crate) fn attach(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        (conn, expiry_secs): (ConnId, u32),
        will: Option<Box<StoredWill>>,
    ) -> Wait {
        let session = self.sessions.at_mut(slot);
        self.timers.cancel(TimerKey::Session(slot), &mut session.timer);
        let was_recorded = session.is_recorded();
        session.wake();
        session.tied_to = Tie(conn.0);
        session.since = turn.now;
        session.expiry_secs = expiry_secs;
        let record = will.clone();
        self.set_will(slot, will);
        let session = self.sessions.at(slot);
        let (number, durability) = (session.number, session.durability);
        if session.is_recorded() {
            self.note_session(turn, slot, None);
            self.record(turn, Record::Will { session: number, will: record }, durability)
        } else if was_recorded {
            self.record(turn, Record::SessionEnded(number), durability)
        } else {
            Wait::default()
        }
    }

    pub(crate) fn note_session(
        &mut self,
        turn: &mut Turn<'_>,
        slot: u32,
        away_since: Option<Time>,
    ) {
        let session = self.sessions.at(slot);
        let record = Record::Session {
            session: session.number,
            tenant: session.tenant,
            client_id: session.client_id.clone(),
            expiry_secs: session.expiry_secs,
            durability: session.durability,
            away_since,
        };
        self.note(turn, record);
    }

    pub(crate) fn change_session_expiry(&mut self, turn: &mut Turn<'_>, slot: u32, secs: u32) {
        let session = self.sessions.at_mut(slot);
        let (number, was_recorded) = (session.number, session.is_recorded());
        session.expiry_secs = secs;
        if session.is_recorded() {
            self.note_session(turn, slot, None);
        } else if was_recorded {
            // Nothing more of it is recorded: it ends with its connection.
            self.note_ended(turn, number);
        }
    }

    /// The connection of a session is gone. [MQTT-3.1.2-8 v5], [MQTT-3.14.4-3 v5],
    /// [MQTT-3.1.2-10 v5], [U5-3.14.4-1], [MQTT-4.1.0-2 v5]
    /// [V31-3.14-1],
    /// [MQTT-4.1.0-1 v5], [MQTT-3.14.4-3 v3.1.1], [MQTT-4.1.0-1 v3.1.1], [MQTT-4.1.0-2 v3.1.1].
    pub(crate) fn detach(&mut self, turn: &mut Turn<'_>, slot: u32, end: &End) {
        let session = self.sessions.at_mut(slot);
        session.tied_to = Tie::NONE;
        session.link = None;
        session.since = turn.now;
        if !session.work.resend.is_empty() {
            session.work.resend = VecDeque::new();
        }
        let voluntary = matches!(end, End::ByClient(ReasonCode::Success));
        let forgotten = if voluntary { self.set_will(slot, None) } else { None };
        let session = self.sessions.at_mut(slot);
        let delay = session.will.as_ref().map_or(0, |pending| pending.will.delay_secs);
        if session.expiry_secs > 0 && delay > 0 {
            let delay = u64::from(delay.min(session.expiry_secs));
            if let Some(pending) = &mut session.will {
                pending.due = Some(turn.now.plus_secs(delay));
            }
            self.counters.wills_delayed += 1;
        }
        let (number, recorded) = (session.number, session.is_recorded());
        if forgotten.is_some() && recorded {
            self.note(turn, Record::Will { session: number, will: None });
        }
        self.release_all(turn, slot);
        self.tell_presence(turn, slot);
        // Retained messages were owed to the connection alone.
        let session = self.sessions.at_mut(slot);
        if session.work.awaited.is_some() {
            session.work.awaited = None;
        }
        let due_now = self.sessions.at(slot).will.as_ref().is_some_and(|will| will.due.is_none());
        if due_now {
            self.publish_will(turn, slot);
        }
        if !self.sessions.at(slot).is_persistent() {
            self.end_session(turn, slot);
            return;
        }
        self.forget_qos0(slot);
        if recorded {
            self.note_session(turn, slot, Some(turn.now));
        }
        self.leave_to_log(slot);
        self.sessions.at_mut(slot).rest();
        self.arm_session(turn.now, slot);
    }

    /// QoS 0 messages wait for connected receivers only, unless configured.
    fn forget_qos0(&mut self, slot: u32) {
        let session = self.sessions.at_mut(slot);
        if self.limits.queue_of(session.queue_choice).qos0 {
            return;
        }
        let gone = session.queue.retain(|out| out.qos != QoS::AtMostOnce);
        for out in gone {
            self.counters.queued_now -= 1;
            self.counters.queued_bytes_now -= out.message.cost();
            self.counters.verdict(Verdict::Offline);
        }
    }

    /// Sets the timer of a session that is away, or holds publishers, to what comes first.
    pub(crate) fn arm_session(&mut self, now: Time, slot: u32) {
        let session = self.sessions.at_mut(slot);
        let will = session.will.as_ref().and_then(|pending| pending.due);
        let expiry = (session.conn().is_none() && session.expiry_secs != u32::MAX)
            .then(|| session.since.plus_secs(u64::from(session.expiry_secs)));
        let stall = session.patience_ends(u64::from(self.limits.stall_millis));
        let first = [will, expiry, stall].into_iter().flatten().min();
        match first {
            Some(at) => {
                self.timers.set(TimerKey::Session(slot), &mut session.timer, at.max(now));
            }
            None => self.timers.cancel(TimerKey::Session(slot), &mut session.timer),
        }
    }

    /// Does what was due for a session that is away, however late the tick is: a delay that is over
    /// is over, and a session that has expired is not carried on. [MQTT-3.1.3-9 v5],
    /// [MQTT-3.1.2-23 v5], [MQTT-4.1.0-2 v5]
    fn catch_up(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let session = self.sessions.at_mut(slot);
        if session.conn().is_none() {
            self.timers.cancel(TimerKey::Session(slot), &mut session.timer);
            self.session_due(turn, slot);
        }
    }

    /// Something of a session is due: its Will, its end, the patience with it.
    pub(crate) fn session_due(&mut self, turn: &mut Turn<'_>, slot: u32) {
        let session = self.sessions.at_mut(slot);
        session.timer.clear();
        let will = session.will.as_ref().and_then(|pending| pending.due);
        if will.is_some_and(|due| due <= turn.now) {
            self.publish_will(turn, slot);
        }
        let session = self.sessions.at(slot);
        let ends = session.since.plus_secs(u64::from(session.expiry_secs));
        if session.conn().is_none() && session.expiry_secs != u32::MAX && ends <= turn.now {
            self.counters.sessions_expired += 1;
            let client_id = session.client_id.clone();
            turn.out.events.push(Event::SessionExpired { client_id });
            self.end_session(turn, slot);
            return;
        }
        let patience = session.patience_ends(u64::from(self.limits.stall_millis));
        if patience.is_some_and(|end| end <= turn.now) {
            self.release_all(turn, slot);
        }
        self.arm_session(turn.now, slot);
    }

    /// Ends a session: a pending Will goes out, subscriptions go, its number is void.
    /// [MQTT-4.1.0-2 v5], [MQTT-3.1.2-8 v5]
    pub(crate) fn end_session(&mut self, turn: &mut Turn<'_>, slot: u32) {
        self.publish_will(turn, slot);
        self.leave_all_groups(turn, slot);
        let Some(mut session) = self.sessions.remove(slot) else { return };
        self.timers.cancel(TimerKey::Session(slot), &mut session.timer);
        self.counters.sessions_now -= 1;
        self.counters.inflight_now -= session.work.sender.open() as u64;
        self.counters.queued_now -= session.queue.len() as u64;
        self.counters.queued_bytes_now -= session.queue.bytes();
        let mut queue = std::mem::take(&mut session.queue);
        queue.recall(&mut self.pending);
        self.discard(&mut queue, DISCARDED_AT_ONCE);
        if !queue.is_empty() {
            self.jobs.end(Ending::Discard { queue });
        }
        if session.is_recorded() {
            self.note_ended(turn, session.number);
        }
        self.unsubscribe_all(turn, session.tenant, session.number, session.subscriptions.take());
    }

    /// Lets go so many messages that wait for a session that ended.
    pub(crate) fn discard(&mut self, queue: &mut Queue, count: u32) {
        for out in (0..count).map_while(|_| queue.pop()) {
            // Those of a share group go to other members.
            if out.group.is_none() {
                self.counters.verdict(Verdict::SessionEnded);
            }
        }
    }

    /// An operator ends a client.
    pub(crate) fn kick(
        &mut self,
        turn: &mut Turn<'_>,
        (tenant, client_id): (Tenant, &str),
        reason: ReasonCode,
    ) {
        let Some(slot) = self.sessions.find(tenant, client_id) else { return };
        if let Some(conn) = self.sessions.at(slot).conn() {
            self.end(turn, conn, reason, "an operator ended the connection");
        }
        if let Some(slot) = self.sessions.find(tenant, client_id) {
            self.end_session(turn, slot);
        }
    }
}

impl Session {
    /// A session with nothing in it.
    pub(crate) fn new(
        number: crate::identity::SessionNumber,
        tenant: Tenant,
        client_id: &str,
        queue_choice: QueueChoice,
    ) -> Session {
        Session {
            number,
            tenant,
            client_id: client_id.into(),
            tied_to: Tie::NONE,
            link: None,
            expiry_secs: 0,
            durability: Durability::Memory,
            since: Time::default(),
            timer: Deadline::NONE,
            subscriptions: Subscriptions::default(),
            queue: Queue::default(),
            queue_choice,
            will: None,
            permit: None,
            work: Lazy::default(),
            next_id: None,
        }
    }
}
