//! What a shard does against attacks: looks at its connections now and then, answers what it finds,
//! and keeps out who is banned.
//!
//! A connection is looked at every four seconds, in four slices, some of a slice in each turn. The
//! messages in between cost an addition each, in core.

use super::Shard;
use super::connections::Phase;
use crate::defence::{
    Allowed, Answer, Bans, Report, Reports, Subject, Suspicion, Tally, Thresholds,
};
use noctule_core::defence::{Clients, Found};
use noctule_core::input::{AuthAnswer, SystemPublish};
use noctule_core::output::{AuthRequest, End, Purpose};
use noctule_core::{Broker, ConnId, Event, Index, Input, Tenant, Time};
use noctule_proto::{QoS, ReasonCode};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

/// Slices of a round, one a second.
const SLICES: u32 = 4;

/// Connections looked at in one turn: about a tenth of a millisecond's.
const LOOKS_MAX: u32 = 2048;

/// Clients that are watched on a shard.
const CLIENTS_MAX: usize = 1_000_000;

/// Seconds a connection is not read that is slowed.
const SLOW_SECS: u64 = 10;

/// Seconds of a quarantine.
const QUARANTINE_SECS: u64 = 60;

/// Seconds until the log says again that somebody banned was turned away.
const SAID_AGAIN_SECS: u64 = 10;

/// What a shard needs for it.
pub(crate) struct WatchParts {
    pub(crate) thresholds: Thresholds,
    pub(crate) allowed: Arc<Allowed>,
    pub(crate) bans: Arc<Bans>,
    pub(crate) reports: Reports,
}

/// The same, at work.
pub(super) struct Watch {
    clients: Clients,
    allowed: Arc<Allowed>,
    pub(super) bans: Arc<Bans>,
    pub(super) reports: Reports,
    /// Next connection of the round, and where its slice ends.
    cursor: u32,
    slice_end: u32,
    slice: u32,
    due: Time,
    round_began: Time,
    round_millis: u32,
    /// Answers that end, each with its connection.
    slowed: VecDeque<(Time, ConnId, u16)>,
    quarantined: VecDeque<(Time, ConnId, u16)>,
    said_at: Option<Time>,
}

impl Watch {
    pub(super) fn new(parts: WatchParts, now: Time) -> Watch {
        Watch {
            clients: Clients::new(parts.thresholds, CLIENTS_MAX, now),
            allowed: parts.allowed,
            bans: parts.bans,
            reports: parts.reports,
            cursor: 0,
            slice_end: 0,
            slice: 0,
            due: now,
            round_began: now,
            round_millis: SLICES * 1000,
            slowed: VecDeque::new(),
            quarantined: VecDeque::new(),
            said_at: None,
        }
    }

    pub(super) fn reconfigure(&mut self, thresholds: Thresholds, allowed: Arc<Allowed>) {
        self.clients.set_thresholds(thresholds);
        self.allowed = allowed;
    }

    /// When something is to be done; nothing while nobody is connected.
    pub(super) fn next_deadline(&self, connections: usize) -> Option<Time> {
        let due = if self.cursor < self.slice_end { Time(0) } else { self.due };
        (connections > 0).then_some(due)
    }

    /// Hears what the broker tells, and passes it on.
    pub(super) fn hear(&mut self, now: Time, broker: &Broker, event: Event) {
        match &event {
            Event::Connected { client_id, tenant, .. } => {
                self.clients.connected(now, broker.client_key(*tenant, client_id));
            }
            Event::Disconnected { client_id, tenant, remote, end, purpose } => {
                let flap = match end {
                    // One that only looks whether there is something for it may do so twice a
                    // minute.
                    End::ByClient(_) => *purpose != Purpose::Traffic,
                    End::Lost => true,
                    End::ByBroker { reason, .. } => *reason != ReasonCode::ServerShuttingDown,
                };
                let key = broker.client_key(*tenant, client_id);
                if let Some(found) = self.clients.ended(now, key, flap) {
                    let address = remote.map(|remote| remote.ip());
                    let (client, of) = ((*tenant, client_id.clone()), (address, None));
                    // There is no connection to be slowed, and nothing to be refused.
                    let answer = match self.allowed.answer_client(client_id, of, found.answer) {
                        Answer::Ban => Answer::Ban,
                        Answer::Observe | Answer::Slow | Answer::Quarantine => Answer::Observe,
                    };
                    self.report(now, (found, answer), address, client);
                }
            }
            Event::Refused { .. } | Event::Denied { .. } => {}
            Event::SessionExpired { .. }
            | Event::QueueOverflow { .. }
            | Event::Subscribed { .. }
            | Event::Damaged { .. }
            | Event::Unsubscribed { .. } => return,
        }
        self.reports.tell(Report::Event(now, event));
    }

    fn report(
        &self,
        now: Time,
        (found, answer): (Found, Answer),
        address: Option<IpAddr>,
        client: (Tenant, Box<str>),
    ) {
        let client = Some(client);
        let suspicion = Suspicion { found, answer, address, client, user: None };
        self.reports.tell(Report::Found(now, suspicion));
    }

    /// Somebody banned was turned away.
    pub(super) fn turned_away(&mut self, now: Time, address: Option<IpAddr>) {
        Tally::add(&self.reports.tally.banned);
        if self.said_at.is_none_or(|at| now >= at.plus_secs(SAID_AGAIN_SECS)) {
            self.said_at = Some(now);
            let address = address.map(|it| it.to_canonical().to_string()).unwrap_or_default();
            tracing::info!(address, "turned away: banned");
        }
    }

    /// Moves on to the next slice if it is time.
    fn begin_slice(&mut self, now: Time, connections_end: u32) {
        if self.cursor < self.slice_end || now < self.due {
            return;
        }
        self.due = now.plus_secs(1);
        self.clients.sweep(now);
        if self.slice == 0 {
            let millis = now.millis_since(self.round_began);
            // The first round, and one after nobody was there, say nothing.
            let usual = u64::from(SLICES) * 1000;
            self.round_millis = if millis > 4 * usual { usual } else { millis.max(1) } as u32;
            self.round_began = now;
            self.cursor = 0;
        }
        self.slice = (self.slice + 1) % SLICES;
        let all = u64::from(connections_end);
        let slices = u64::from(if self.slice == 0 { SLICES } else { self.slice });
        self.slice_end = (all * slices / u64::from(SLICES)) as u32;
    }
}

impl Shard {
    /// Looks at some connections, ends answers that are over, and reports who came for nothing.
    pub(super) fn watch_clients(&mut self, index: &Index) {
        for address in self.lines.idle.drain(..) {
            self.watch.reports.tell(Report::Idle(self.now, address));
        }
        if self.now >= self.watch.due || self.watch.cursor < self.watch.slice_end {
            self.lines.count_late_strangers(self.now);
            self.look_at_some(index);
        }
    }

    fn look_at_some(&mut self, index: &Index) {
        let now = self.now;
        self.watch.begin_slice(now, self.broker.connections_end());
        let last = self.watch.slice_end.min(self.watch.cursor + LOOKS_MAX);
        while self.watch.cursor < last {
            let conn = ConnId(self.watch.cursor);
            self.watch.cursor += 1;
            let Some(look) = self.broker.look(conn) else { continue };
            if let Some(found) = self.watch.clients.look(now, &look, self.watch.round_millis) {
                self.answer(index, conn, found);
            }
        }
        while let Some((until, conn, epoch)) = self.watch.slowed.front().copied() {
            if until > now {
                break;
            }
            self.watch.slowed.pop_front();
            self.tell_if_same(index, (conn, epoch), Input::Unslowed { conn });
        }
        while let Some((until, conn, epoch)) = self.watch.quarantined.front().copied() {
            if until > now {
                break;
            }
            self.watch.quarantined.pop_front();
            self.tell_if_same(index, (conn, epoch), Input::Quarantined { conn, on: false });
        }
        self.settle(index);
    }

    pub(super) fn tell_if_same(
        &mut self,
        index: &Index,
        (conn, epoch): (ConnId, u16),
        input: Input<'_>,
    ) {
        let entry = self.lines.connections.get_mut(conn);
        if entry.is_some_and(|it| it.epoch == epoch && it.phase != Phase::Free) {
            self.broker.handle(self.now, index, input, &mut self.outbox);
        }
    }

    /// Whether a connection began within this process.
    pub(super) fn is_inside(&mut self, conn: ConnId) -> bool {
        let inside = self.inside();
        self.lines.connections.get_mut(conn).is_some_and(|it| it.listener == inside)
    }

    /// Does what is to be done about the client of a connection, but for a ban, and reports.
    fn answer(&mut self, index: &Index, conn: ConnId, found: Found) {
        let Some((tenant, client_id, remote)) = self.broker.client_of(conn) else { return };
        let client = (tenant, Box::from(client_id));
        let address = remote.map(|remote| remote.ip());
        let answer = if self.is_inside(conn) {
            // What a bridge does is the doing of many.
            Answer::Observe
        } else {
            let of = (address, self.auth.user_of(conn));
            self.watch.allowed.answer_client(&client.1, of, found.answer)
        };
        let Some(epoch) = self.lines.connections.get_mut(conn).map(|it| it.epoch) else { return };
        match answer {
            Answer::Observe | Answer::Ban => {}
            Answer::Slow => {
                self.watch.slowed.push_back((self.now.plus_secs(SLOW_SECS), conn, epoch));
                let input = Input::Slowed { conn };
                self.broker.handle(self.now, index, input, &mut self.outbox);
            }
            Answer::Quarantine => {
                let until = self.now.plus_secs(QUARANTINE_SECS);
                self.watch.quarantined.push_back((until, conn, epoch));
                let input = Input::Quarantined { conn, on: true };
                self.broker.handle(self.now, index, input, &mut self.outbox);
            }
        }
        self.watch.report(self.now, (found, answer), address, client);
    }

    /// Other bans from here on; those who are meant by new ones are ended.
    pub(super) fn banned(&mut self, index: &Index, bans: Arc<Bans>, cut: &[Subject]) {
        self.watch.bans = bans;
        if cut.is_empty() {
            return;
        }
        for conn in (0..self.broker.connections_end()).map(ConnId) {
            let Some((tenant, client_id, remote)) = self.broker.client_of(conn) else { continue };
            let user = self.auth.user_of(conn);
            let meant = cut.iter().any(|subject| match subject {
                Subject::Address(network) => remote.is_some_and(|it| network.contains(it.ip())),
                Subject::Client(of, name) => (*of, &**name) == (tenant, client_id),
                Subject::User(name) => user == Some(&**name),
            });
            if meant {
                // 0x8A, Banned, is for CONNACK alone.
                let reason = ReasonCode::AdministrativeAction;
                let input = Input::Revoked { conn, reason, why: "banned" };
                self.broker.handle(self.now, index, input, &mut self.outbox);
            }
        }
    }

    /// The answer to who is banned by what it says of itself.
    pub(super) fn ban_of(
        &mut self,
        tenant: Tenant,
        request: &AuthRequest,
        shown: Option<&str>,
    ) -> Option<AuthAnswer> {
        let AuthRequest::Connect { client_id, user_name, .. } = request else { return None };
        let user = shown.or(user_name.as_deref());
        self.watch.bans.bans_client((tenant, client_id), user, self.now).then(|| self.refusal())
    }

    /// The same for who is let in, by the name that it has proved to have.
    pub(super) fn unless_banned(&mut self, conn: ConnId, answer: AuthAnswer) -> AuthAnswer {
        let allowed = matches!(answer, AuthAnswer::Allow { .. });
        let user = self.auth.user_of(conn).filter(|_| allowed);
        match user.is_some_and(|user| self.watch.bans.bans_user(user, self.now)) {
            true => self.refusal(),
            false => self.auth.counted(conn, answer),
        }
    }

    fn refusal(&mut self) -> AuthAnswer {
        self.watch.turned_away(self.now, None);
        AuthAnswer::Deny { reason: ReasonCode::Banned, why: "banned".into() }
    }

    /// Publishes what the server itself has to say.
    pub(super) fn publish_own(
        &mut self,
        index: &Index,
        tenants: &[Tenant],
        (topic, payload): (&str, &str),
        retain: bool,
    ) {
        for tenant in tenants {
            let publish = SystemPublish {
                tenant: *tenant,
                topic,
                payload: payload.as_bytes(),
                qos: QoS::AtLeastOnce,
                retain,
            };
            let input = Input::Publish(publish);
            self.broker.handle(self.now, index, input, &mut self.outbox);
        }
    }
}
