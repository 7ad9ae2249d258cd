//! A node without sockets: N brokers, one index, and connections that are two byte queues.
//!
//! Everything a node does is a [`Step`], and nothing happens between steps: [`Node::due`] lists
//! what could happen next and [`Node::take`] does one of them, so that a simulator may choose any
//! order the contract allows. [`Node::settle`] takes a fixed order until nothing is left.
//!
//! A step ends as a turn of the server does: with a tick of the shard it concerned.

mod death;

use crate::log::Log;
use noctule_core::grant::{Policies, Principal};
use noctule_core::input::{AuthAnswer, Level, Origin, SystemPublish};
use noctule_core::limits::Durability;
use noctule_core::output::AuthRequest;
use noctule_core::peer::PeerMessage;
use noctule_core::record::Record;
use noctule_core::{
    Broker, ConnId, Effect, Event, Homes, Index, IndexChange, Input, Limits, ListenerId, Outbox,
    ShardId, Tenant, Time,
};
use noctule_proto::packet::{Packet, Role};
use noctule_proto::{Version, next_frame};
use std::collections::VecDeque;
use std::fmt;

/// A connection of the node, as its client sees it: it keeps its number when its home changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct LineId(pub usize);

/// One thing that can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A shard hears the next message of another one (or itself).
    Hear {
        /// Sender.
        from: ShardId,
        /// Receiver.
        to: ShardId,
    },
    /// The index writer applies what waits and tells the shards that it can be seen.
    Index,
    /// The store has all records of a shard.
    Store(ShardId),
    /// The kernel has all records of a shard; the disk does not yet.
    Write(ShardId),
    /// The store answers the first question of a shard for messages.
    Fetch(ShardId),
    /// The authenticators answer for a connection.
    Answer(LineId),
    /// Something is due on a shard, or one of its jobs goes on.
    Tick(ShardId),
    /// One packet of a connection is decoded and handled.
    Read(LineId),
}

/// Finds out who a client is.
pub type Authenticator = Box<dyn FnMut(&AuthRequest) -> AuthAnswer>;

/// N brokers, their index, the channels between them, and their connections.
pub struct Node {
    now: Time,
    homes: Homes,
    seed: u64,
    limits: Limits,
    index: Index,
    shards: Vec<Shard>,
    lines: Vec<Line>,
    authenticator: Authenticator,
    policies: Policies,
    events: Vec<Event>,
    log: Log,
    /// Kept for its buffers.
    outbox: Outbox,
}

struct Shard {
    broker: Broker,
    /// What each shard has to say to this one, in order.
    heard: Vec<VecDeque<PeerMessage>>,
    /// Whose connection a slot is; free slots are used again, the lowest first.
    slots: Vec<Option<LineId>>,
    changes: Vec<IndexChange>,
    /// Index changes emitted since the start.
    changed: u64,
    stopped: bool,
    /// Runs beside the broker and has to say the same, for so many inputs more.
    twin: Option<(Box<Broker>, u32)>,
}

/// What a twin is told beside the broker.
enum Told<'a> {
    Input(Input<'a>),
    Tick,
}

struct Line {
    home: ShardId,
    conn: ConnId,
    from: Origin,
    state: LineState,
    version: Option<Version>,
    /// The frame of its CONNECT, decoded again where it moves to.
    connect: Vec<u8>,
    /// From the client, not decoded yet.
    inbound: Vec<u8>,
    /// To the client, not taken yet.
    outbound: Vec<u8>,
    asked: Option<Box<AuthRequest>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LineState {
    Open,
    Paused,
    /// Its bytes broke a rule: nothing more is read from it.
    Broken,
    Closed,
}

impl Shard {
    fn new(number: ShardId, homes: &Homes, limits: &Limits) -> Shard {
        Shard {
            broker: Broker::new(number, homes.clone(), limits.clone()),
            heard: (0..homes.shards).map(|_| VecDeque::new()).collect(),
            slots: Vec::new(),
            changes: Vec::new(),
            changed: 0,
            stopped: false,
            twin: None,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node of {} shards at {:?}", self.shards.len(), self.now)
    }
}

impl Node {
    /// A node with these limits at the instant 1 hour after the epoch. `seed` decides which shard
    /// is home to what. Everybody is who it says until [`Node::set_authenticator`], and may do
    /// everything until [`Node::set_policies`].
    #[must_use]
    pub fn new(shards: u16, seed: u64, limits: &Limits) -> Node {
        let homes = Homes::new(shards, seed);
        Node {
            now: Time(3_600_000),
            limits: limits.clone(),
            index: Index::new(seed),
            shards: (0..shards).map(|number| Shard::new(ShardId(number), &homes, limits)).collect(),
            homes,
            seed,
            lines: Vec::new(),
            authenticator: Box::new(believe),
            policies: Policies::default(),
            events: Vec::new(),
            log: Log::new(shards),
            outbox: Outbox::default(),
        }
    }

    /// Replaces who is asked about clients.
    pub fn set_authenticator(&mut self, authenticator: Authenticator) {
        self.authenticator = authenticator;
    }

    /// Other rules from now on, of this run and of those after it.
    pub fn set_policies(&mut self, policies: Policies) {
        self.policies = policies;
        self.tell_policies();
    }

    fn tell_policies(&mut self) {
        for shard in 0..self.shards() {
            let policies = self.policies.clone();
            self.tell(ShardId(shard), Input::Policies(policies));
        }
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The index, as all shards see it.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.shards.len() as u16
    }

    /// A shard's broker.
    #[must_use]
    pub fn broker(&self, shard: ShardId) -> &Broker {
        &self.shards[usize::from(shard.0)].broker
    }

    /// A shard's broker, to freeze and thaw it.
    pub fn broker_mut(&mut self, shard: ShardId) -> &mut Broker {
        &mut self.shards[usize::from(shard.0)].broker
    }

    /// How many records would be lost if the node died now.
    #[must_use]
    pub fn unstored(&self) -> usize {
        self.log.unstored()
    }

    /// The records in the log, how many of them would survive if the power went, and how many if
    /// only the process died.
    #[must_use]
    pub fn recorded(&self) -> (&[Record], usize, usize) {
        (self.log.records(), self.log.stored(), self.log.written())
    }

    /// Takes the events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Messages on their way from one shard to another.
    #[must_use]
    pub fn waiting(&self, from: ShardId, to: ShardId) -> usize {
        self.shards[usize::from(to.0)].heard[usize::from(from.0)].len()
    }

    /// Shards with index changes that the writer has not seen.
    #[must_use]
    pub fn changed(&self) -> Vec<ShardId> {
        let numbers = (0..self.shards()).map(ShardId);
        numbers.filter(|n| !self.shards[usize::from(n.0)].changes.is_empty()).collect()
    }

    /// Whether every shard said that its shutdown is done.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.shards.iter().all(|shard| shard.stopped)
    }
}

/// Connections, as their clients see them.
impl Node {
    /// Opens a connection that `shard` accepts.
    pub fn open(&mut self, shard: ShardId) -> LineId {
        self.open_in(shard, ListenerId(0), Tenant(0))
    }

    /// Opens a connection at a listener of a namespace.
    pub fn open_in(&mut self, shard: ShardId, listener: ListenerId, tenant: Tenant) -> LineId {
        let line = LineId(self.lines.len());
        self.lines.push(Line {
            home: shard,
            conn: ConnId(0),
            from: Origin { listener, tenant, remote: None, durability: None },
            state: LineState::Open,
            version: None,
            connect: Vec::new(),
            inbound: Vec::new(),
            outbound: Vec::new(),
            asked: None,
        });
        self.settle_in(line, shard);
        line
    }

    /// The client sends bytes. What it sends on a closed connection is lost.
    pub fn write(&mut self, line: LineId, bytes: &[u8]) {
        let line = &mut self.lines[line.0];
        if line.state != LineState::Closed {
            line.inbound.extend_from_slice(bytes);
        }
    }

    /// Takes what was sent to the client.
    pub fn read(&mut self, line: LineId) -> Vec<u8> {
        std::mem::take(&mut self.lines[line.0].outbound)
    }

    /// Whether neither side has closed the connection.
    #[must_use]
    pub fn is_open(&self, line: LineId) -> bool {
        self.lines[line.0].state != LineState::Closed
    }

    /// Whether the broker wants nothing to be read from the connection at present.
    #[must_use]
    pub fn is_paused(&self, line: LineId) -> bool {
        self.lines[line.0].state == LineState::Paused
    }

    /// The shard that serves the connection.
    #[must_use]
    pub fn home(&self, line: LineId) -> ShardId {
        self.lines[line.0].home
    }

    /// The client's end is gone: the transport closes without the broker's doing. Bytes it sent
    /// before and that nobody read yet are lost.
    pub fn hang_up(&mut self, line: LineId) {
        if !self.is_open(line) {
            return;
        }
        let (home, conn) = self.place(line);
        self.leave(line);
        self.lines[line.0].asked = None;
        self.lines[line.0].state = LineState::Closed;
        self.tell(home, Input::Closed { conn });
    }

    /// The bytes waiting for the client's socket crossed a mark.
    pub fn backlog(&mut self, line: LineId, level: Level) {
        if self.is_open(line) {
            let (home, conn) = self.place(line);
            self.tell(home, Input::Backlog { conn, level });
        }
    }

    /// The channel of one shard to another crossed its mark.
    pub fn peer_backlog(&mut self, from: ShardId, to: ShardId, level: Level) {
        self.tell(from, Input::PeerBacklog { to, level });
    }

    fn place(&self, line: LineId) -> (ShardId, ConnId) {
        let line = &self.lines[line.0];
        (line.home, line.conn)
    }

    /// Gives the connection a slot of the shard.
    fn settle_in(&mut self, line: LineId, home: ShardId) {
        let slots = &mut self.shards[usize::from(home.0)].slots;
        let slot = slots.iter().position(Option::is_none).unwrap_or_else(|| {
            slots.push(None);
            slots.len() - 1
        });
        slots[slot] = Some(line);
        let conn = ConnId(slot as u32);
        let state = &mut self.lines[line.0];
        (state.home, state.conn) = (home, conn);
        let from = state.from;
        self.tell(home, Input::Opened { conn, from });
    }

    /// Frees its slot.
    fn leave(&mut self, line: LineId) {
        let (home, conn) = self.place(line);
        self.shards[usize::from(home.0)].slots[conn.0 as usize] = None;
    }
}

/// What happens.
impl Node {
    /// An operator, a reload or the clock of `$SYS` says something to one shard.
    pub fn tell(&mut self, shard: ShardId, input: Input<'_>) {
        let twin = self.shards[usize::from(shard.0)].twin.is_some();
        let told = twin.then(|| Told::Input(input.clone()));
        let Node { now, index, shards, outbox, .. } = self;
        let broker = &mut shards[usize::from(shard.0)].broker;
        broker.handle(*now, index, input, outbox);
        broker.tick(*now, index, outbox);
        self.ask_twin(shard, told);
        self.drain(shard);
    }

    fn tick(&mut self, shard: ShardId) {
        let Node { now, index, shards, outbox, .. } = self;
        shards[usize::from(shard.0)].broker.tick(*now, index, outbox);
        self.ask_twin(shard, Some(Told::Tick));
        self.drain(shard);
    }

    /// Puts `broker` in the place of a shard's own, which goes on beside it for so many inputs:
    /// both have to say the same.
    pub fn replace(&mut self, shard: ShardId, broker: Broker, inputs: u32) {
        let state = &mut self.shards[usize::from(shard.0)];
        let old = std::mem::replace(&mut state.broker, broker);
        state.twin = Some((Box::new(old), inputs));
    }

    fn ask_twin(&mut self, shard: ShardId, told: Option<Told<'_>>) {
        let Node { now, index, shards, outbox, log, .. } = self;
        let state = &mut shards[usize::from(shard.0)];
        let (Some((mut twin, inputs)), Some(told)) = (state.twin.take(), told) else { return };
        let mut said = Outbox::default();
        if let Told::Input(input) = told {
            twin.handle(*now, index, input, &mut said);
        }
        twin.tick(*now, index, &mut said);
        assert!(
            said == *outbox,
            "a thawed broker does not say what the frozen one said:\n{outbox:?}\n{said:?}"
        );
        log.place_all(&outbox.records);
        Log::place_like(&outbox.records, &said.records);
        if inputs > 1 {
            state.twin = Some((twin, inputs - 1));
        }
    }

    /// Publishes a message of the broker itself.
    pub fn publish(&mut self, publish: SystemPublish<'_>) {
        self.tell(ShardId(0), Input::Publish(publish));
    }

    /// Tells every shard to stop.
    pub fn shut_down(&mut self) {
        for shard in 0..self.shards() {
            self.tell(ShardId(shard), Input::Shutdown);
        }
    }

    /// Everything that can happen now, without the passing of time. In the order that
    /// [`Node::settle`] prefers: what a packet brought about comes before the next packet.
    pub fn due(&self, steps: &mut Vec<Step>) {
        for (to, shard) in self.shards.iter().enumerate() {
            let waiting = shard.heard.iter().enumerate().filter(|(from, heard)| {
                !heard.is_empty() && shard.broker.listens_to(ShardId(*from as u16))
            });
            steps.extend(waiting.map(|(from, _)| Step::Hear {
                from: ShardId(from as u16),
                to: ShardId(to as u16),
            }));
        }
        if self.shards.iter().any(|shard| !shard.changes.is_empty()) {
            steps.push(Step::Index);
        }
        for (number, shard) in self.shards.iter().enumerate() {
            let number = ShardId(number as u16);
            if self.log.owes(number) {
                steps.push(Step::Store(number));
            }
            if self.log.owes_write(number) {
                steps.push(Step::Write(number));
            }
            if self.log.is_asked(number) {
                steps.push(Step::Fetch(number));
            }
            if shard.broker.next_deadline().is_some_and(|at| at <= self.now) {
                steps.push(Step::Tick(number));
            }
        }
        for (number, line) in self.lines.iter().enumerate() {
            if line.asked.is_some() {
                steps.push(Step::Answer(LineId(number)));
            }
            if self.is_readable(line) {
                steps.push(Step::Read(LineId(number)));
            }
        }
    }

    /// Does one thing; it must be due.
    pub fn take(&mut self, step: Step) {
        match step {
            Step::Hear { from, to } => {
                let heard = &mut self.shards[usize::from(to.0)].heard[usize::from(from.0)];
                let message = heard.pop_front().expect("a step is taken only when it is due");
                self.tell(to, Input::Peer { from, message });
            }
            Step::Index => self.write_index(),
            Step::Store(shard) => {
                let stored = self.log.store(shard);
                self.tell(shard, stored);
            }
            Step::Write(shard) => {
                let written = self.log.write(shard);
                self.tell(shard, written);
            }
            Step::Fetch(shard) => {
                let fetched = self.log.answer(shard);
                self.tell(shard, fetched);
            }
            Step::Answer(line) => {
                let request = self.lines[line.0].asked.take();
                let request = request.expect("a step is taken only when it is due");
                let answer = (self.authenticator)(&request);
                let (home, conn) = self.place(line);
                self.tell(home, Input::Authenticated { conn, answer });
            }
            Step::Tick(shard) => self.tick(shard),
            Step::Read(line) => self.read_packet(line),
        }
    }

    /// Lets everything happen that needs no time to pass.
    ///
    /// # Panics
    /// If a million steps are not enough.
    pub fn settle(&mut self) {
        let mut steps = Vec::new();
        for _ in 0..1_000_000 {
            steps.clear();
            self.due(&mut steps);
            let Some(step) = steps.first() else { return };
            self.take(*step);
        }
        panic!("the node does not come to rest: {steps:?}");
    }

    /// Lets time pass, stopping at each deadline on the way.
    pub fn advance_millis(&mut self, millis: u64) {
        let end = self.now.plus_millis(millis);
        loop {
            self.settle();
            let deadlines = self.shards.iter().filter_map(|shard| shard.broker.next_deadline());
            match deadlines.min() {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => break,
            }
        }
        self.now = end;
        self.settle();
    }

    /// The next deadline of any shard.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.shards.iter().filter_map(|shard| shard.broker.next_deadline()).min()
    }

    /// Moves the clock without letting anything happen; what was due on the way is late.
    pub fn set_now(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    fn is_readable(&self, line: &Line) -> bool {
        line.state == LineState::Open
            && !matches!(next_frame(&line.inbound, self.limits.packet_size_max), Ok(None))
    }

    fn write_index(&mut self) {
        let mut told = Vec::new();
        for (number, shard) in self.shards.iter_mut().enumerate() {
            if !shard.changes.is_empty() {
                shard.changes.drain(..).for_each(|change| self.index.apply(&change));
                told.push((ShardId(number as u16), shard.changed, self.index.version()));
            }
        }
        for (shard, up_to, version) in told {
            self.tell(shard, Input::IndexVisible { up_to, version });
        }
    }

    /// Decodes one packet and hands it in.
    fn read_packet(&mut self, number: LineId) {
        let line = &mut self.lines[number.0];
        let (home, conn, version) = (line.home, line.conn, line.version);
        let bytes = std::mem::take(&mut line.inbound);
        let frame = match next_frame(&bytes, self.limits.packet_size_max) {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                line.inbound = bytes;
                return;
            }
            Err(error) => {
                let error = version.map_or(error, |version| error.with_version(version));
                line.state = LineState::Broken;
                return self.tell(home, Input::Broken { conn, error });
            }
        };
        line.inbound = bytes[frame.len..].to_vec();
        match Packet::decode(frame, version, Role::Client) {
            Ok(packet) => {
                if let (None, Packet::Connect(connect)) = (version, &packet) {
                    line.version = Some(connect.version);
                    line.connect = bytes[..frame.len].to_vec();
                }
                let size = frame.len as u32;
                self.tell(home, Input::Packet { conn, packet: &packet, size });
            }
            Err(error) => {
                line.state = LineState::Broken;
                self.tell(home, Input::Broken { conn, error });
            }
        }
    }

    /// Carries out what a shard said.
    fn drain(&mut self, shard: ShardId) {
        let mut out = std::mem::take(&mut self.outbox);
        let from = usize::from(shard.0);
        for send in out.sends.drain(..) {
            let Some(line) = self.line_at(shard, send.conn) else { continue };
            let outbound = &mut self.lines[line.0].outbound;
            let start = outbound.len();
            let frame = &out.frames[send.start as usize..(send.start + send.len) as usize];
            outbound.extend_from_slice(frame);
            if let Some((at, id)) = send.id {
                let at = start + at as usize;
                outbound[at..at + 2].copy_from_slice(&id.value().to_be_bytes());
            }
            if let Some(message) = &send.body {
                outbound.extend_from_slice(message.payload());
            }
        }
        out.frames.clear();
        for (to, message) in out.peers.drain(..) {
            self.shards[usize::from(to.0)].heard[from].push_back(message);
        }
        let state = &mut self.shards[from];
        state.changed += out.index.len() as u64;
        state.changes.append(&mut out.index);
        self.log.append(shard, &mut out.records);
        self.log.ask(shard, &mut out.fetches);
        out.commit = Durability::Memory;
        self.events.append(&mut out.events);
        let effects = std::mem::take(&mut out.effects);
        self.outbox = out;
        for effect in effects {
            self.carry_out(shard, effect);
        }
    }

    fn carry_out(&mut self, shard: ShardId, effect: Effect) {
        let conn = match &effect {
            Effect::Close { conn }
            | Effect::Move { conn, .. }
            | Effect::Pause { conn }
            | Effect::Resume { conn }
            | Effect::Authenticate { conn, .. }
            | Effect::Control { conn, .. } => *conn,
            Effect::Stopped => {
                self.shards[usize::from(shard.0)].stopped = true;
                return;
            }
        };
        let Some(line) = self.line_at(shard, conn) else {
            panic!("{effect:?} concerns no connection of {shard:?}");
        };
        let state = &mut self.lines[line.0];
        match effect {
            Effect::Close { .. } => {
                state.state = LineState::Closed;
                state.asked = None;
                self.leave(line);
            }
            Effect::Move { to, .. } => {
                let rest = std::mem::take(&mut state.inbound);
                state.inbound = std::mem::take(&mut state.connect);
                state.inbound.extend_from_slice(&rest);
                state.version = None;
                state.state = LineState::Open;
                self.leave(line);
                self.settle_in(line, to);
            }
            Effect::Pause { .. } if state.state == LineState::Open => {
                state.state = LineState::Paused;
            }
            Effect::Resume { .. } if state.state == LineState::Paused => {
                state.state = LineState::Open;
            }
            Effect::Authenticate { request, .. } => state.asked = Some(request),
            // No node of the simulator has rules that come by messages.
            Effect::Pause { .. }
            | Effect::Resume { .. }
            | Effect::Control { .. }
            | Effect::Stopped => {}
        }
    }

    fn line_at(&self, shard: ShardId, conn: ConnId) -> Option<LineId> {
        *self.shards[usize::from(shard.0)].slots.get(conn.0 as usize)?
    }
}

/// Who gives a user name has it.
fn believe(request: &AuthRequest) -> AuthAnswer {
    let user_name = match request {
        AuthRequest::Connect { user_name, .. } => user_name.as_deref().map(Into::into),
        AuthRequest::Step { .. } | AuthRequest::Again { .. } => None,
    };
    AuthAnswer::Allow { principal: Principal { user_name, ..Principal::default() }, data: None }
}
