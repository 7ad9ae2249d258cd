//! The broker of one shard: everything goes in through [`Broker::handle`] and [`Broker::tick`].

use crate::apply::Replay;
use crate::connection::Connections;
use crate::control::Controls;
use crate::counters::Counters;
use crate::crowd::Crowd;
use crate::expiry::Expiries;
use crate::identity::{ConnId, GroupNumber, Homes, MessageId, ShardId, Time};
use crate::index::Index;
use crate::input::{Input, Level};
use crate::job::Jobs;
use crate::limits::Limits;
use crate::output::Outbox;
use crate::peer::PeerMessage;
use crate::random::Random;
use crate::retained::Retention;
use crate::rights::Rights;
use crate::route::RouteCache;
use crate::session::{Outgoing, Pending, Sessions};
use crate::share::Groups;
use crate::shortage::Shortage;
use crate::spare::Spares;
use crate::store_room::StoreRoom;
use crate::terms::{DUES_MAX, Dues};
use crate::timer::Timers;
use crate::wait::Waits;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Timers that a turn has room for, however small its budget.
const TIMERS_MIN: u32 = 64;

/// One shard's broker. Plain data: [`Broker::freeze`] hands it to a new process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Broker {
    pub(crate) me: ShardId,
    pub(crate) homes: Homes,
    pub(crate) limits: Limits,
    pub(crate) random: Random,
    pub(crate) connections: Connections,
    pub(crate) sessions: Sessions,
    pub(crate) groups: Groups,
    pub(crate) retention: Retention,
    pub(crate) timers: Timers<TimerKey>,
    pub(crate) expiries: Expiries,
    pub(crate) jobs: Jobs,
    pub(crate) waits: Waits,
    pub(crate) counters: Counters,
    /// Messages to this shard itself: said like those to others, heard at the end of the call.
    pub(crate) loopback: VecDeque<PeerMessage>,
    /// Who waits for peers whose channel is full.
    pub(crate) full_peers: FullPeers,
    /// Slots of sessions that are away, with messages in memory that will be in the log when
    /// this turn is over.
    pub(crate) relieved_next: Vec<u32>,
    /// Those of the turn before.
    pub(crate) relieved_now: Vec<u32>,
    /// Messages that these sessions are owed.
    pub(crate) pending: Pending,
    /// Buffers of queues that were left to the log.
    #[serde(skip)]
    pub(crate) spares: Spares<Outgoing>,
    /// Whether the store takes more, and who waits for it.
    pub(crate) store_room: StoreRoom,
    /// How much memory is left, and who waits for it.
    pub(crate) shortage: Shortage,
    /// Whether the disk is full, or memory tight.
    pub(crate) short: bool,
    /// Clients that did much lately, where that is bounded.
    pub(crate) dues: Crowd<Dues>,
    /// Deliveries left in this turn before the rest becomes a job.
    pub(crate) budget: u32,
    pub(crate) stopping: bool,
    pub(crate) rights: Rights,
    pub(crate) controls: Controls,
    last_message: u64,
    #[serde(skip)]
    pub(crate) replay: Replay,
    /// Derived from the index, so it is not part of the frozen state.
    #[serde(skip)]
    pub(crate) routes: RouteCache,
    /// Holds a topic while the broker is borrowed.
    #[serde(skip)]
    pub(crate) scratch: String,
}

/// What a timer belongs to. Each has at most one deadline; what is due then is worked out when it
/// comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum TimerKey {
    /// Time to CONNECT, keep alive.
    Connection(ConnId),
    /// A client that published too much may go on.
    Slowed(ConnId),
    /// Will delay, session expiry, stalled receivers; by slot.
    Session(u32),
    /// The next retained message expires.
    Retained,
    /// Share groups of an earlier run have waited for their members.
    Orphans,
    /// The time that a connection may stay.
    Expiry(ConnId),
}

/// Peers whose channel is full, each with the connections not read until it has room.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct FullPeers(BTreeMap<ShardId, BTreeSet<ConnId>>);

impl FullPeers {
    /// A connection is gone: it waits for nothing.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        for waiting in self.0.values_mut() {
            waiting.remove(&conn);
        }
    }
}

/// What one call works with.
pub(crate) struct Turn<'a> {
    pub(crate) now: Time,
    pub(crate) index: &'a Index,
    pub(crate) out: &'a mut Outbox,
}

impl Broker {
    /// An empty broker for `shard` of `homes`.
    #[must_use]
    pub fn new(shard: ShardId, homes: Homes, limits: Limits) -> Broker {
        Broker {
            me: shard,
            random: Random::new((homes.seed.number(), u64::from(shard.0))),
            connections: Connections::default(),
            sessions: Sessions::new(homes.seed.clone()),
            groups: Groups::new(shard, &homes),
            retention: Retention::default(),
            timers: Timers::default(),
            expiries: Expiries::default(),
            jobs: Jobs::default(),
            waits: Waits::default(),
            counters: Counters::default(),
            loopback: VecDeque::new(),
            full_peers: FullPeers::default(),
            relieved_next: Vec::new(),
            relieved_now: Vec::new(),
            pending: Pending::default(),
            spares: Spares::default(),
            store_room: StoreRoom::default(),
            shortage: Shortage::default(),
            short: false,
            dues: Crowd::new(DUES_MAX),
            budget: limits.turn_budget,
            stopping: false,
            rights: Rights::new(limits.control_api),
            controls: Controls::default(),
            last_message: 0,
            replay: Replay::default(),
            routes: RouteCache::default(),
            scratch: String::new(),
            homes,
            limits,
        }
    }

    /// Takes in one thing that happened.
    pub fn handle(&mut self, now: Time, index: &Index, input: Input<'_>, out: &mut Outbox) {
        let turn = &mut Turn { now, index, out };
        match input {
            Input::Packet { conn, packet, size } => self.packet(turn, conn, packet, size),
            Input::Opened { conn, from } => self.opened(turn, conn, from),
            Input::Broken { conn, error } => self.broken(turn, conn, error),
            Input::Closed { conn } => self.closed(turn, conn),
            Input::Backlog { conn, level } => self.backlog(turn, conn, level),
            Input::Located { conn, remote } => self.located(conn, remote),
            Input::Excused { conn } => self.excused(turn, conn),
            Input::Authenticated { conn, answer } => self.authenticated(turn, conn, answer),
            Input::Peer { from, message } => self.heard(turn, from, message),
            Input::PeerBacklog { to, level } => self.peer_backlog(turn, to, level),
            Input::IndexVisible { up_to, version } => {
                self.index_visible(turn, up_to, version);
            }
            Input::Stored { written, durable } => self.stored(turn, (written, durable)),
            Input::Fetched { session, messages } => self.fetched(turn, session, messages),
            Input::StoreRoom(room) => self.store_room(turn, room),
            Input::Memory(level) => self.memory_is(turn, level),
            Input::Publish(publish) => self.system_publish(turn, publish),
            Input::Reconfigured(limits) => self.reconfigure(turn.now, *limits),
            Input::Policies(policies) => self.set_policies(policies),
            Input::Ranked(ranked) => self.set_ranked(ranked),
            Input::Controlled { conn, taken } => self.controlled(turn, conn, taken),
            Input::Identified { conn, principal } => self.identified(turn, conn, principal),
            Input::Kick { tenant, client_id, reason } => {
                self.kick(turn, (tenant, client_id), reason);
            }
            Input::Revoked { conn, reason, why } => self.end(turn, conn, reason, why),
            Input::Slowed { conn } => self.hold(turn, conn),
            Input::Unslowed { conn } => self.release(turn, conn),
            Input::Quarantined { conn, on } => self.quarantine(conn, on),
            Input::Shutdown => self.shutdown(turn),
        }
        self.hear_myself(turn);
    }

    /// Does what is due at `now` and gives running jobs their share of the turn.
    pub fn tick(&mut self, now: Time, index: &Index, out: &mut Outbox) {
        let turn = &mut Turn { now, index, out };
        // Half of the turn is for what is due, so that jobs cannot put it off for ever, nor it
        // them.
        self.relieve_listed();
        let half = (self.limits.turn_budget / 2).max(1);
        self.budget = half.max(TIMERS_MIN);
        while self.budget > 0
            && let Some(key) = self.timers.pop_due(now)
        {
            self.budget -= 1;
            match key {
                TimerKey::Connection(conn) => self.connection_due(turn, conn),
                TimerKey::Slowed(conn) => self.slowed_due(turn, conn),
                TimerKey::Session(slot) => self.session_due(turn, slot),
                TimerKey::Retained => self.retained_due(turn),
                TimerKey::Orphans => self.orphans_due(turn),
                TimerKey::Expiry(conn) => self.expiry_due(turn, conn),
            }
        }
        self.budget = half + self.budget.min(half);
        self.run_jobs(turn);
        self.hear_myself(turn);
    }

    /// When `tick` has to run next, if nothing comes in before; a time in the past means at once
    /// (a job has work left).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        if self.jobs.is_empty() { self.timers.next() } else { Some(Time(0)) }
    }

    /// Present counts.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Other limits, from now on: what is beyond them already goes when more comes.
    fn reconfigure(&mut self, now: Time, limits: Limits) {
        let old = std::mem::replace(&mut self.limits, limits);
        self.control_anew();
        if old.client != self.limits.client {
            self.agree_anew(now);
        }
        if old.queue_rules != self.limits.queue_rules {
            for (_, session) in self.sessions.iter_mut() {
                session.queue_choice = self.limits.queue_choice(&session.client_id);
            }
        }
    }

    /// The next message id: later than all before it here, and comparable with those of others.
    pub(crate) fn next_message_id(&mut self, now: Time) -> MessageId {
        // 42 bits of milliseconds, 12 of sequence (borrowing from the next millisecond when they
        // run out), 10 of shard.
        self.last_message = (self.last_message + 1).max(now.0 << 12);
        MessageId((self.last_message << 10) | u64::from(self.me.0))
    }

    /// The greatest message id given so far.
    pub(crate) fn last_message(&self) -> MessageId {
        MessageId((self.last_message + 1) << 10)
    }

    /// Ids up to this one are taken (by messages of an earlier run). Who replays a log says it of
    /// the greatest id seen: messages that stay in the log do not show theirs.
    pub fn message_taken(&mut self, id: MessageId) {
        self.last_message = self.last_message.max(id.0 >> 10);
    }

    /// Says something to a shard, possibly this one.
    pub(crate) fn tell(&mut self, turn: &mut Turn<'_>, to: ShardId, message: PeerMessage) {
        if to == self.me {
            self.loopback.push_back(message);
        } else {
            turn.out.peers.push((to, message));
        }
    }

    /// Says something to all shards, this one included.
    pub(crate) fn tell_all(&mut self, turn: &mut Turn<'_>, message: &PeerMessage) {
        for shard in 0..self.homes.shards {
            self.tell(turn, ShardId(shard), message.clone());
        }
    }

    /// What this shard said to itself is heard within the same call: with one shard nothing waits
    /// for another turn.
    pub(crate) fn hear_myself(&mut self, turn: &mut Turn<'_>) {
        while let Some(message) = self.loopback.pop_front() {
            self.heard(turn, self.me, message);
        }
    }

    fn heard(&mut self, turn: &mut Turn<'_>, from: ShardId, message: PeerMessage) {
        match message {
            PeerMessage::Deliver(delivery) => self.deliver_here(turn, from, delivery),
            PeerMessage::Retain(message) => self.keep_retained(turn, message),
            PeerMessage::RetainedAsk(ask) => self.retained_asked(turn, from, ask),
            PeerMessage::RetainedFence { query, home } => {
                self.retained_fence(turn, from, (query, home));
            }
            PeerMessage::RetainedPassed { asker, query } => {
                self.retained_passed(turn, asker, query);
            }
            PeerMessage::RetainedAnswer(answer) => self.retained_answered(turn, from, answer),
            PeerMessage::ShareJoin(join) => self.share_join(turn, from, join),
            PeerMessage::ShareJoined { session, group, request, filter } => {
                self.share_joined(turn, (session, group), (request, &filter));
            }
            PeerMessage::ShareLeave { group, session, keep } => {
                self.share_leave(turn, group, session, &keep);
            }
            PeerMessage::SharePresence { group, session, window } => {
                self.share_presence(turn, group, session, window);
            }
            PeerMessage::ShareSettled { group, session, message } => {
                self.share_settled(turn, group, session, &message);
            }
            PeerMessage::Fence { asker, request } => {
                let kept = !self.retention.refused(asker);
                self.tell(turn, from, PeerMessage::Passed { asker, request, kept });
            }
            // Behind what that peer said before: a message of a group that was left, above all.
            PeerMessage::Passed { asker, request, kept } if self.jobs.has_delivery_of(from) => {
                self.jobs.pass_later(from, asker, (request, kept));
            }
            PeerMessage::Passed { asker, request, kept } => {
                self.passed(turn, from, asker, (request, kept));
            }
            PeerMessage::HoldBack { publisher } => self.held_back(turn, publisher),
            PeerMessage::Hold { publisher, receiver } => {
                self.hold_publisher(turn, publisher, receiver);
            }
            PeerMessage::Release { publisher, receiver } => {
                self.release_publisher(turn, publisher, receiver);
            }
        }
    }

    fn peer_backlog(&mut self, turn: &mut Turn<'_>, to: ShardId, level: Level) {
        match level {
            Level::High => {
                self.counters.peer_channel_full += 1;
                self.full_peers.0.entry(to).or_default();
            }
            Level::Low => {
                for conn in self.full_peers.0.remove(&to).unwrap_or_default() {
                    self.release(turn, conn);
                }
            }
        }
    }

    /// A connection said something for a peer: if the channel to it is full, it is not read until
    /// there is room.
    pub(crate) fn hold_for_peer(&mut self, turn: &mut Turn<'_>, to: ShardId, conn: ConnId) {
        if let Some(waiting) = self.full_peers.0.get_mut(&to)
            && waiting.insert(conn)
        {
            self.hold(turn, conn);
        }
    }

    /// Whether the group is at home here (its number says so).
    pub(crate) fn group_home(&self, group: GroupNumber) -> ShardId {
        ShardId((group.0 % u64::from(self.homes.shards)) as u16)
    }
}
