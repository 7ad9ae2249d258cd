//! One thread, one loop, one `Broker`.
//!
//! A turn: collect what is ready (sockets, peers, commands); decode it into inputs and `handle`
//! each; `tick`; append the outbox's records to the store; apply its index changes; write once to
//! each connection that has something to be sent; sleep. See `Shard::turn`.
//!
//! * `addresses`    what source addresses have open
//! * `intake`       the way in: accept, receive, decode
//! * `logins`       who clients are, asked of the authenticators
//! * `lines`        sockets and their buffers, the way out
//! * `connections`  one small entry for each connection
//! * `strangers`    connections whose CONNECT is awaited
//! * `held`         received bytes that wait
//! * `relief`       what is done when they take too much memory
//! * `scarcity`     what is done when the process has little memory left
//! * `keep`         records on their way to the store, and what comes back from it
//! * `peers`        channels between shards
//! * `mailbox`      commands from outside the message path, and waking
//! * `index_cell`   how the index is shared
//! * `watch`        looks at connections, answers attacks, keeps out who is banned
//! * `reconfigure`  what a reload changes
//! * `snapshot`     counters for others to read
//! * `dynsec`       dynamic security, as far as shards have a part in it
//! * `error`        why a shard ended
//! * `clock`        the time of a turn

mod addresses;
mod clock;
mod connections;
mod dynsec;
mod error;
mod held;
mod index_cell;
mod intake;
mod keep;
mod lines;
mod logins;
mod mailbox;
mod peers;
mod reconfigure;
mod relief;
mod scarcity;
mod snapshot;
mod strangers;
mod watch;

#[cfg(test)]
pub(crate) mod tests_only {
    pub(crate) use super::mailbox::for_tests as mailbox;
}

pub(crate) use addresses::Addresses;
pub(crate) use clock::Clock;
pub(crate) use index_cell::IndexCell;
pub(crate) use mailbox::{Command, Door, Mailbox, Reconfiguration, Wake};
pub(crate) use peers::Peers;
pub(crate) use snapshot::Snapshots;
pub use snapshot::{NetCounters, Snapshot};
pub(crate) use watch::WatchParts;

use crate::auth::Authenticator;
use crate::config::{AddressLimits, UserNameFrom};
use crate::dynsec::{BrokerApi, Desk, Rights};
use crate::events;
use crate::net::{Entrance, Incoming};
use crate::sys::SysTopics;
use connections::Phase;
use error::ShardError;
use keep::Told;
use lines::{Lines, News};
use mio::event::Event;
use mio::{Events, Poll, Token};
use noctule_core::grant::Policies;
use noctule_core::input::{Memory, Origin};
use noctule_core::limits::Durability;
use noctule_core::{
    Broker, ConnId, Effect, Index, Input, Limits, ListenerId, Outbox, ShardId, Tenant, Time,
};
use noctule_store::{Fetched, Progress, Replayed, Store, StoreError};
use peers::Arrival;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Barrier};
use std::time::Duration;
use watch::Watch;

/// Events of one turn.
const EVENTS_MAX: usize = 256;

/// Connections of one turn that are read without an event.
const QUEUED_MAX: usize = 256;

/// Event of the waker.
const WAKER: Token = Token(usize::MAX);

/// Event of the first listener; those of the others count down from there.
const FIRST_LISTENER: usize = usize::MAX - 1;

/// Times a turn looks again at what its own news brought about, before others have a turn.
const ROUNDS_MAX: usize = 4;

/// Milliseconds a shard sleeps at most while a peer's channel is full, or while it is stopping:
/// nothing tells it when that changes.
const SHORT_SLEEP: u64 = 1;

/// What the shards of a node share.
pub(crate) struct Shared {
    pub(crate) index: IndexCell,
    pub(crate) snapshots: Snapshots,
    /// Open connections of each listener.
    pub(crate) open: Arc<[AtomicU32]>,
    /// What source addresses have open.
    pub(crate) addresses: Addresses,
    /// Shards whose broker has not stopped yet.
    pub(crate) running: AtomicU16,
    pub(crate) clock: Clock,
    /// What the broker promises where nothing else is said.
    pub(crate) durability: Durability,
    /// Where all shards meet before any of them serves anybody.
    pub(crate) ready: Barrier,
}

/// What one shard is made of; it becomes the shard on its own thread.
pub(crate) struct Parts {
    pub(crate) id: ShardId,
    pub(crate) poll: Poll,
    pub(crate) broker: Broker,
    pub(crate) limits: Limits,
    pub(crate) policies: Policies,
    pub(crate) address_limits: AddressLimits,
    pub(crate) store: Box<dyn Store>,
    /// What the broker has replayed already.
    pub(crate) replayed: Replayed,
    pub(crate) listeners: Vec<ListenerPart>,
    pub(crate) peers: Peers,
    pub(crate) commands: Receiver<Command>,
    pub(crate) wake: Arc<Wake>,
    pub(crate) auth: Authenticator,
    pub(crate) api: Arc<BrokerApi>,
    pub(crate) dynsec: Option<(Rights, Desk)>,
    pub(crate) sys: Option<SysTopics>,
    pub(crate) watch: WatchParts,
    pub(crate) shared: Arc<Shared>,
}

/// How the certificates of a listener's clients name them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct NamedBy {
    pub(crate) from: UserNameFrom,
    /// Client ids have to be the same.
    pub(crate) bound: bool,
    /// What they have shown a proxy names them too.
    pub(crate) proxied: bool,
}

impl NamedBy {
    /// Whether it names anybody at all.
    pub(crate) fn names_anybody(&self) -> bool {
        self.proxied || self.from != UserNameFrom::Nothing
    }
}

/// A listener as one shard needs it.
pub(crate) struct ListenerPart {
    /// `None`: another shard accepts for it.
    pub(crate) socket: Option<Incoming>,
    pub(crate) tenant: Tenant,
    /// Where clients find it.
    pub(crate) address: SocketAddr,
    pub(crate) door: Door,
    pub(crate) durability: Option<Durability>,
    pub(crate) entrance: Entrance,
    pub(crate) named_by: NamedBy,
}

/// A listener this shard accepts from.
struct ShardListener {
    socket: Incoming,
    at: usize,
    tenant: Tenant,
    door: Door,
    durability: Option<Durability>,
    entrance: Entrance,
    /// Connections may wait, and no event will tell of them.
    waiting: bool,
    again_at: Option<Time>,
    /// When the log last said that the system refuses.
    said_at: Option<Time>,
    /// When it last said that somebody was not let in.
    said_refused_at: Option<Time>,
    open: Arc<[AtomicU32]>,
}

/// One thread's loop.
pub(crate) struct Shard {
    id: ShardId,
    now: Time,
    broker: Broker,
    outbox: Outbox,
    lines: Lines,
    chunk: Box<[u8]>,
    /// Limits in force.
    packet_sizes_max: Vec<u32>,
    half_open_max: usize,
    /// How much memory is left.
    memory: Memory,
    address_limits: AddressLimits,
    peers: Peers,
    auth: Authenticator,
    api: Arc<BrokerApi>,
    /// The api is asked, and not the desk of dynamic security alone.
    control_api: bool,
    desk: Option<Desk>,
    anonymous: Vec<bool>,
    addresses: Vec<SocketAddr>,
    /// What clients of Unix sockets are called.
    unix: Vec<Option<Arc<str>>>,
    named_by: Vec<NamedBy>,
    /// Steps of TLS handshakes that this turn may still take.
    handshakes_left: u32,
    /// Client ids that nobody from outside may have.
    reserved: BTreeSet<Box<str>>,
    /// When the log last told of a failed handshake, and how many it has not told of since.
    handshakes_told: (Option<Time>, u64),
    durabilities: Vec<Option<Durability>>,
    listeners: Vec<ShardListener>,
    commands: Receiver<Command>,
    wake: Arc<Wake>,
    store: Box<dyn Store>,
    told: Told,
    index_changes: u64,
    sys: Option<SysTopics>,
    watch: Watch,
    shared: Arc<Shared>,
    net: NetCounters,
    copied_at: Time,
    /// Counters changed since they were copied.
    stale: bool,
    stopping: Stopping,
}

/// How far the end is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopping {
    /// It is not.
    No,
    /// Connections are being ended, by then at the latest.
    By(Time),
    /// The broker is done; what was sent is on its way.
    Stopped(Time),
}

impl Shard {
    /// Runs until it is told to stop.
    pub(crate) fn run(parts: Parts) -> Result<(), ShardError> {
        let mut poll = parts.poll;
        let mut events = Events::with_capacity(EVENTS_MAX);
        let shared = Arc::clone(&parts.shared);
        let mut shard = Shard {
            id: parts.id,
            now: shared.clock.now(),
            broker: parts.broker,
            outbox: Outbox::default(),
            lines: Lines::new(poll.registry().try_clone()?, Arc::clone(&shared.open)),
            chunk: vec![0; intake::CHUNK].into_boxed_slice(),
            packet_sizes_max: vec![0; parts.listeners.len()],
            half_open_max: 0,
            memory: Memory::default(),
            address_limits: parts.address_limits,
            peers: parts.peers,
            auth: parts.auth,
            api: parts.api,
            control_api: false,
            desk: None,
            addresses: parts.listeners.iter().map(|it| it.address).collect(),
            unix: parts.listeners.iter().map(|it| it.entrance.unix.clone()).collect(),
            anonymous: parts.listeners.iter().map(|it| it.door.allow_anonymous).collect(),
            named_by: parts.listeners.iter().map(|it| it.named_by).collect(),
            handshakes_left: 0,
            reserved: BTreeSet::new(),
            handshakes_told: (None, 0),
            durabilities: parts.listeners.iter().map(|it| it.durability).collect(),
            listeners: Vec::new(),
            commands: parts.commands,
            wake: parts.wake,
            store: parts.store,
            told: Told::default(),
            index_changes: 0,
            sys: parts.sys,
            watch: Watch::new(parts.watch, shared.clock.now()),
            shared: Arc::clone(&shared),
            net: NetCounters::default(),
            copied_at: Time::default(),
            stale: true,
            stopping: Stopping::No,
        };
        shard.limit(&parts.limits);
        shard.resume(&shared, &parts.replayed)?;
        {
            let index = shared.index.read();
            let input = Input::Policies(parts.policies);
            shard.broker.handle(shard.now, &index, input, &mut shard.outbox);
            if let Some((rights, desk)) = parts.dynsec {
                shard.desk = Some(desk);
                shard.heed(&index, rights);
            }
        }
        shard.listen(&poll, parts.listeners)?;
        while !shard.is_over() {
            let timeout = shard.sleep_time();
            match poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                Ok(()) | Err(_) => {}
            }
            shard.wake.wake_up();
            if let Err(error) = shard.turn(&shared, &events) {
                shard.last_words(&shared);
                return Err(error.into());
            }
        }
        shard.copy_counters();
        Ok(())
    }

    fn listen(&mut self, poll: &Poll, parts: Vec<ListenerPart>) -> std::io::Result<()> {
        for (at, part) in parts.into_iter().enumerate() {
            let Some(mut socket) = part.socket else { continue };
            socket.watch(poll.registry(), Token(FIRST_LISTENER - at))?;
            self.listeners.push(ShardListener {
                socket,
                at,
                tenant: part.tenant,
                door: part.door,
                durability: part.durability,
                entrance: part.entrance,
                waiting: true,
                again_at: None,
                said_at: None,
                said_refused_at: None,
                open: Arc::clone(&self.shared.open),
            });
        }
        Ok(())
    }

    /// One turn.
    fn turn(&mut self, shared: &Shared, events: &Events) -> Result<(), StoreError> {
        self.now = shared.clock.now();
        self.net.turns += 1;
        self.handshakes_left = intake::HANDSHAKES_MAX;
        {
            let index = shared.index.read();
            self.settle(&index);
            self.obey(&index);
            self.listen_to_peers(&index);
            self.serve_queued(&index);
            for event in events {
                self.serve(&index, event);
            }
            self.accept_waiting(&index);
            self.relieve(&index);
            self.publish_sys(&index);
            self.watch_clients(&index);
            self.auth.ask_again(self.now);
            self.broker.tick(self.now, &index, &mut self.outbox);
            self.settle(&index);
        }
        for _ in 0..ROUNDS_MAX {
            self.keep_records()?;
            self.change_index(shared);
            // What was read back for one client can wait until others had a turn.
            if self.lines.news.iter().all(|news| matches!(news, News::Fetched(_))) {
                break;
            }
            let index = shared.index.read();
            self.settle(&index);
        }
        // Before peers hear of it.
        self.keep_records()?;
        self.lines.flush_dirty();
        self.lines.cut_closing(self.now);
        let Shard { peers, lines, .. } = self;
        peers.flush(|to, level| lines.news.push_back(News::PeerBacklog(to, level)));
        self.stale = true;
        if self.now.millis_since(self.copied_at) >= snapshot::INTERVAL_MILLIS {
            self.copy_counters();
        }
        Ok(())
    }

    fn serve(&mut self, index: &Index, event: &Event) {
        let token = event.token();
        if token == WAKER {
            return;
        }
        if let Some(at) = self.listener_of(token) {
            return self.accept(index, at);
        }
        let conn = ConnId(token.0 as u32);
        if event.is_writable() {
            self.lines.writable(conn);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.readable(index, conn);
            // The end came with the bytes, and no event will tell of it again.
            if (event.is_read_closed() || event.is_error()) && self.is_read(conn) {
                self.lines.queue(conn);
            }
        }
    }

    /// Whether a connection would be read if there were something to be read.
    fn is_read(&mut self, conn: ConnId) -> bool {
        match self.lines.connections.get_mut(conn).map_or(Phase::Free, |it| it.phase) {
            Phase::Open | Phase::Closing(connections::Farewell::Lingering) => true,
            Phase::Paused
            | Phase::Leaving(_)
            | Phase::Closing(connections::Farewell::Sending)
            | Phase::Free => false,
        }
    }

    fn listener_of(&self, token: Token) -> Option<usize> {
        let at = FIRST_LISTENER.checked_sub(token.0)?;
        self.listeners.iter().position(|it| it.at == at)
    }

    fn accept_waiting(&mut self, index: &Index) {
        for at in 0..self.listeners.len() {
            let listener = &self.listeners[at];
            if listener.waiting && listener.again_at.is_none_or(|due| due <= self.now) {
                self.listeners[at].again_at = None;
                self.accept(index, at);
            }
        }
    }

    fn serve_queued(&mut self, index: &Index) {
        // What is queued meanwhile, and what is left, has its turn next time.
        for _ in 0..self.lines.ready.len().min(QUEUED_MAX) {
            let Some(conn) = self.lines.ready.pop_front() else { return };
            self.go_on(index, conn);
        }
    }

    fn listen_to_peers(&mut self, index: &Index) {
        for from in (0..self.peers.count()).map(ShardId) {
            let mut taken = 0;
            // One that says more than can be delivered waits in its channel, which then fills.
            while self.broker.listens_to(from)
                && let Some(batch) = self.peers.next(from, &mut taken)
            {
                for message in batch.messages {
                    let input = Input::Peer { from, message };
                    self.broker.handle(self.now, index, input, &mut self.outbox);
                }
                self.settle(index);
                for arrival in batch.arrivals {
                    self.arrive(index, arrival);
                }
            }
        }
    }

    /// Commands from outside the message path.
    fn obey(&mut self, index: &Index) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::PasswordChecked { conn, ticket, accepted } => {
                    if let Some(answer) = self.auth.checked(conn, ticket, accepted) {
                        let answer = self.unless_banned(conn, answer);
                        self.lines.news.push_back(News::Authenticated(conn, answer));
                    }
                }
                Command::Identified { conn, ticket, verdict } => {
                    self.identified(index, (conn, ticket), verdict);
                }
                Command::Banned { bans, cut } => self.banned(index, bans, &cut),
                Command::Publish { tenants, topic, payload, retain } => {
                    self.publish_own(index, &tenants, (&topic, &payload), retain);
                }
                Command::Join(stream) => self.join(index, stream),
                Command::Reserve(client_id, true) => drop(self.reserved.insert(client_id)),
                Command::Reserve(client_id, false) => drop(self.reserved.remove(&client_id)),
                Command::Holdings { client_id, answer } => {
                    // Who does not wait any more needs no answer.
                    drop(answer.send(self.broker.holdings(Tenant(0), &client_id)));
                }
                Command::Dynsec(order) => self.dynsec(index, order),
                Command::Memory(level) => self.memory_is(index, level),
                Command::Reconfigure(new) => self.reconfigure(index, &new),
                Command::Shutdown { deadline } => {
                    self.listeners.clear();
                    if self.stopping == Stopping::No {
                        self.stopping = Stopping::By(deadline);
                    }
                    self.broker.handle(self.now, index, Input::Shutdown, &mut self.outbox);
                }
            }
            self.settle(index);
        }
    }

    fn publish_sys(&mut self, index: &Index) {
        let Some(sys) = &mut self.sys else { return };
        if sys.next_deadline().is_none_or(|due| due > self.now) {
            return;
        }
        // This shard's own counts are up to date; the others' are a tenth of a second old at most.
        self.shared.snapshots.put(self.id.0, self.broker.counters(), self.net);
        let uptime = self.shared.clock.uptime_millis(self.now);
        let sum = self.shared.snapshots.sum();
        let memory = &self.watch.reports.tally.memory;
        for publish in sys.update(self.now, uptime, (&sum, memory)) {
            let input = Input::Publish(publish);
            self.broker.handle(self.now, index, input, &mut self.outbox);
        }
        self.settle(index);
    }

    /// Passes on what the broker said, and tells it what came of that, until nothing is left.
    fn settle(&mut self, index: &Index) {
        loop {
            self.pass_on();
            let Some(news) = self.lines.news.pop_front() else { return };
            let input = match news {
                News::Backlog(conn, level) => Input::Backlog { conn, level },
                News::Authenticated(conn, answer) => Input::Authenticated { conn, answer },
                News::PeerBacklog(to, level) => Input::PeerBacklog { to, level },
                News::IndexVisible(up_to, version) => Input::IndexVisible { up_to, version },
                News::Stored(Progress { written, durable }) => Input::Stored { written, durable },
                News::Fetched(Fetched { session, messages }) => {
                    Input::Fetched { session, messages }
                }
                News::Controlled(conn, taken) => Input::Controlled { conn, taken },
                News::Answered(order) => {
                    self.dynsec(index, *order);
                    continue;
                }
                News::StoreRoom(room) => Input::StoreRoom(room),
            };
            self.broker.handle(self.now, index, input, &mut self.outbox);
        }
    }

    /// Empties the outbox, but for records and index changes, which leave at the end of the turn.
    fn pass_on(&mut self) {
        let Shard { outbox, lines, peers, watch, broker, now, unix, .. } = self;
        for send in outbox.sends.drain(..) {
            lines.send(&outbox.frames, send);
        }
        outbox.frames.clear();
        for (to, message) in outbox.peers.drain(..) {
            peers.tell(to, message);
        }
        for event in outbox.events.drain(..) {
            events::log(&event, name_of(unix));
            watch.hear(*now, broker, event);
        }
        if !self.outbox.effects.is_empty() {
            let mut effects = std::mem::take(&mut self.outbox.effects);
            effects.drain(..).for_each(|effect| self.act(effect));
            self.outbox.effects = effects;
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Close { conn } => {
                self.auth.forget(conn);
                self.lines.close(conn, self.now);
            }
            Effect::Move { conn, to } => self.turn_phase(conn, Phase::Open, Phase::Leaving(to)),
            Effect::Pause { conn } => self.turn_phase(conn, Phase::Open, Phase::Paused),
            Effect::Resume { conn } => {
                self.turn_phase(conn, Phase::Paused, Phase::Open);
                self.lines.queue(conn);
            }
            Effect::Authenticate { conn, request } => self.authenticate(conn, *request),
            Effect::Control { conn, request } => self.control(conn, *request),
            Effect::Stopped => {
                if let Stopping::By(deadline) = self.stopping {
                    self.stopping = Stopping::Stopped(deadline);
                    self.shared.running.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn turn_phase(&mut self, conn: ConnId, from: Phase, to: Phase) {
        if let Some(entry) = self.lines.connections.get_mut(conn).filter(|it| it.phase == from) {
            entry.phase = to;
        }
    }

    /// Hands a connection to its home shard, with its bytes from the CONNECT on.
    fn send_home(&mut self, conn: ConnId, home: ShardId, remote: Option<SocketAddr>, bytes: &[u8]) {
        self.auth.forget(conn);
        let Some(entry) = self.lines.connections.get_mut(conn) else { return };
        let durability = self.durabilities[usize::from(entry.listener.0)];
        let from = Origin { listener: entry.listener, tenant: entry.tenant, remote, durability };
        let admitted = self.lines.take_admitted(conn);
        let Some(socket) = self.lines.take(conn) else { return };
        self.peers.send_home(home, Arrival { socket, from, admitted, bytes: bytes.to_vec() });
    }

    fn change_index(&mut self, shared: &Shared) {
        if self.outbox.index.is_empty() {
            return;
        }
        self.index_changes += self.outbox.index.len() as u64;
        let version = shared.index.apply(&mut self.outbox.index);
        self.lines.news.push_back(News::IndexVisible(self.index_changes, version));
    }

    fn copy_counters(&mut self) {
        self.net.bytes_waiting_now = self.lines.bytes_waiting as u64;
        self.net.packets_waiting_now = self.lines.packets_waiting as u64;
        self.net.bytes_unfinished_now = self.lines.held.total() as u64;
        self.count_records();
        self.shared.snapshots.put(self.id.0, self.broker.counters(), self.net);
        self.copied_at = self.now;
        self.stale = false;
    }

    /// How long nothing is to be done if nothing comes in; `None`: for ever.
    fn sleep_time(&mut self) -> Option<Duration> {
        let busy = self.lines.has_work()
            || !self.outbox.index.is_empty()
            || !self.outbox.records.is_empty()
            || self.listeners.iter().any(|it| it.waiting && it.again_at.is_none());
        if busy {
            return Some(Duration::ZERO);
        }
        if self.peers.count() > 1 {
            self.wake.fall_asleep();
            if self.peers.has_news() {
                return Some(Duration::ZERO);
            }
        }
        let copy_due = self.copied_at.plus_millis(snapshot::INTERVAL_MILLIS);
        let soon = self.now.plus_millis(SHORT_SLEEP);
        let hurried = self.peers.has_waiting() || self.stopping != Stopping::No;
        let accept = self.listeners.iter().filter_map(|it| it.again_at).min();
        let deadlines = [
            self.broker.next_deadline(),
            self.lines.next_deadline(),
            self.stale.then_some(copy_due),
            self.sys.as_ref().and_then(SysTopics::next_deadline),
            self.watch.next_deadline(self.lines.connections.len()),
            self.auth.next_deadline(),
            accept,
            hurried.then_some(soon),
        ];
        let due = deadlines.into_iter().flatten().min()?;
        // `now` is rounded down to a millisecond, so this cannot end before `due`.
        Some(Duration::from_millis(due.millis_since(self.now)))
    }

    fn is_over(&self) -> bool {
        match self.stopping {
            Stopping::No => false,
            Stopping::By(deadline) => self.now >= deadline,
            Stopping::Stopped(deadline) => {
                let others = self.shared.running.load(Ordering::Relaxed);
                let quiet = others == 0 && self.lines.connections.len() == 0;
                self.now >= deadline || quiet && !self.lines.has_work()
            }
        }
    }
}

/// What clients of Unix sockets are called where nobody knows of which: its name, if there is one.
fn name_of(unix: &[Option<Arc<str>>]) -> &str {
    let mut all = unix.iter().flatten();
    match (all.next(), all.next()) {
        (Some(name), None) => name,
        (Some(_), Some(_)) | (None, _) => "unix",
    }
}

/// The waker's token, for whoever makes it.
pub(crate) const fn waker_token() -> Token {
    WAKER
}

/// A listener's number as core sees it.
pub(crate) fn listener_id(at: usize) -> ListenerId {
    ListenerId(u16::try_from(at).expect("fewer listeners than ports"))
}
