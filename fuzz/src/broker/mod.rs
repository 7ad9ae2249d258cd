//! A broker of one shard, told whatever a script of bytes says: packets of four clients, whole,
//! broken and out of order, time that passes, sockets that fill, answers that come late.
//!
//! What must hold after each step: the broker's own [`Broker::check`]; every frame it sends is a
//! legal packet of a server in the client's version, no larger than the client accepts; and work
//! that is due comes to an end.

mod packets;

use noctule_core::input::{AuthAnswer, Level, Memory, Origin, SystemPublish};
use noctule_core::limits::{Durability, QueueLimits};
use noctule_core::output::AuthRequest;
use noctule_core::{
    Broker, ConnId, Effect, Homes, Index, Input, Limits, ListenerId, Outbox, ShardId, Tenant, Time,
};
use noctule_proto::cases::Case;
use noctule_proto::packet::{Packet, Role};
use noctule_proto::{QoS, ReasonCode, Version, next_frame};

use crate::script::{self, Script};

const LINKS: usize = 4;
const PACKET_SIZE_MAX: u32 = 1024;
/// Turns after which due work must have come to its end.
const TURNS_MAX: usize = 10_000;

/// The first byte of a script in which index and store answer at once.
const PROMPT: u8 = 0;
/// Steps that a seed is made of; the upper half of the byte chooses the connection.
const OPEN: u8 = 0;
const RAW: u8 = 8;
const CONNECT: u8 = 9;

/// Plays the script.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut world = World::new(script.byte());
    while !script.is_over() {
        world.step(&mut script);
        world.broker.check();
    }
    for link in 0..LINKS {
        world.close(link);
    }
    world.pass(10_000);
    world.broker.check();
}

/// A script in which the bytes of a case arrive where they belong: first, or after a CONNECT.
pub fn as_script(case: &Case) -> Vec<u8> {
    let mut script = vec![PROMPT, OPEN];
    if !case.first {
        let level = match case.version {
            Some(Version::V31) => 2,
            Some(Version::V311) => 1,
            Some(Version::V5) | None => 0,
        };
        // Clean start, keep alive 60, no properties, client id "one".
        script.extend([CONNECT, level, 0x02, 60]);
        script.extend(if level == 0 { &[0, 0][..] } else { &[0] });
    }
    for chunk in case.bytes.chunks(script::RAW_MAX) {
        script.extend([RAW, chunk.len() as u8]);
        script.extend_from_slice(chunk);
    }
    script
}

/// The broker and everything around it.
struct World {
    broker: Broker,
    index: Index,
    out: Outbox,
    now: Time,
    links: [Link; LINKS],
    /// Index changes applied, and those the broker was told of.
    changes: (u64, u64),
    /// Records that came out, and those the broker was told are stored.
    records: (u64, u64),
    /// Index and store answer at once; otherwise when the script says so.
    prompt: bool,
}

/// One connection, as the server would hold it.
#[derive(Default)]
struct Link {
    open: bool,
    paused: bool,
    broken: bool,
    /// The broker waits for what authentication says.
    asked: bool,
    version: Option<Version>,
    packet_size_max: u32,
    unread: Vec<u8>,
}

impl World {
    fn new(mode: u8) -> World {
        let homes = Homes::new(1, 7);
        let durability = if mode & 2 == 0 { Durability::Memory } else { Durability::Fsync };
        World {
            broker: Broker::new(ShardId(0), homes, tight_limits(durability)),
            index: Index::new(7),
            out: Outbox::default(),
            now: Time(1_700_000_000_000),
            links: Default::default(),
            changes: (0, 0),
            records: (0, 0),
            prompt: mode & 1 == 0,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let op = script.byte();
        let link = usize::from(op >> 4) % LINKS;
        match op & 0xF {
            OPEN => self.open(link),
            1 => self.close(link),
            2 => self.pass([1, 100, 1500, 20_000, 4_000_000][script.below(5)]),
            3 => self.answer_late(),
            4 => self.backlog(link, script.flag()),
            5 => self.authenticated(link, script),
            6 => self.system(script),
            7 => self.interrupt(script),
            RAW => self.receive(link, script.raw()),
            CONNECT => self.receive(link, &packets::connect(script)),
            10 | 11 => self.receive(link, &packets::publish(script)),
            12 => self.receive(link, &packets::subscribe(script)),
            13 => self.receive(link, &packets::unsubscribe(script)),
            14 => self.receive(link, &packets::ack(script)),
            _ => self.receive(link, &packets::other(script)),
        }
    }

    fn open(&mut self, link: usize) {
        if self.links[link].open {
            return;
        }
        self.links[link] = Link { open: true, packet_size_max: u32::MAX, ..Link::default() };
        let (listener, tenant) = (ListenerId(0), Tenant(0));
        let from = Origin { listener, tenant, remote: None, durability: None };
        self.tell(Input::Opened { conn: conn(link), from });
    }

    fn close(&mut self, link: usize) {
        if self.links[link].open {
            self.links[link].open = false;
            self.tell(Input::Closed { conn: conn(link) });
        }
    }

    /// Lets time pass, and what is due happen.
    fn pass(&mut self, millis: u64) {
        self.now = self.now.plus_millis(millis);
        for _ in 0..TURNS_MAX {
            if self.broker.next_deadline().is_none_or(|due| due > self.now) {
                return;
            }
            self.broker.tick(self.now, &self.index, &mut self.out);
            self.settle();
        }
        panic!("what is due comes to an end");
    }

    /// The index and the store catch up.
    fn answer_late(&mut self) {
        if self.changes.1 < self.changes.0 {
            self.changes.1 = self.changes.0;
            let version = self.index.version();
            self.tell(Input::IndexVisible { up_to: self.changes.0, version });
        }
        if self.records.1 < self.records.0 {
            self.records.1 = self.records.0;
            self.tell(Input::Stored { written: self.records.0, durable: self.records.0 });
        }
    }

    fn backlog(&mut self, link: usize, full: bool) {
        if self.links[link].open {
            let level = if full { Level::High } else { Level::Low };
            self.tell(Input::Backlog { conn: conn(link), level });
        }
    }

    fn authenticated(&mut self, link: usize, script: &mut Script<'_>) {
        if !self.links[link].open || !std::mem::take(&mut self.links[link].asked) {
            return;
        }
        let answer = match script.below(3) {
            0 => AuthAnswer::Continue { data: script.raw().into() },
            1 => AuthAnswer::Deny { reason: ReasonCode::NotAuthorized, why: "no".into() },
            _ => allow(script.flag().then(|| script.raw().into())),
        };
        self.tell(Input::Authenticated { conn: conn(link), answer });
    }

    fn system(&mut self, script: &mut Script<'_>) {
        let publish = SystemPublish {
            tenant: Tenant(0),
            topic: "$SYS/broker/uptime",
            payload: script.raw(),
            qos: QoS::AtMostOnce,
            retain: script.flag(),
        };
        self.tell(Input::Publish(publish));
    }

    fn interrupt(&mut self, script: &mut Script<'_>) {
        match script.below(8) {
            0 => self.tell(Input::Shutdown),
            1 => {
                let limits = tight_limits(self.broker.limits().durability);
                self.tell(Input::Reconfigured(Box::new(limits)));
            }
            2 | 3 => {
                let level = Memory::ALL[script.below(4)];
                self.tell(Input::Memory(level));
            }
            _ => {
                let client_id = script.client_id();
                let reason = ReasonCode::AdministrativeAction;
                self.tell(Input::Kick { tenant: Tenant(0), client_id, reason });
            }
        }
    }

    /// Bytes arrive on a connection.
    fn receive(&mut self, link: usize, bytes: &[u8]) {
        if self.links[link].open {
            self.links[link].unread.extend_from_slice(bytes);
            self.read(link);
        }
    }

    /// Decodes what has arrived, as far as the broker wants to read.
    fn read(&mut self, at: usize) {
        loop {
            let link = &mut self.links[at];
            if !link.open || link.paused || link.broken {
                return;
            }
            let unread = std::mem::take(&mut link.unread);
            let decoded = next_frame(&unread, PACKET_SIZE_MAX).and_then(|frame| {
                let packet = frame.map(|frame| Packet::decode(frame, link.version, Role::Client));
                Ok(frame.map(|frame| frame.len).zip(packet.transpose()?))
            });
            match decoded {
                Ok(None) => {
                    link.unread = unread;
                    return;
                }
                Ok(Some((len, packet))) => {
                    if let Packet::Connect(connect) = &packet
                        && link.version.is_none()
                    {
                        link.version = Some(connect.version);
                        let accepted = connect.properties.maximum_packet_size;
                        link.packet_size_max = accepted.map_or(u32::MAX, |max| max.get());
                    }
                    link.unread = unread[len..].to_vec();
                    self.tell(Input::Packet { conn: conn(at), packet: &packet, size: len as u32 });
                }
                Err(error) => {
                    link.broken = true;
                    link.version = link.version.or(error.version);
                    self.tell(Input::Broken { conn: conn(at), error });
                }
            }
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.broker.handle(self.now, &self.index, input, &mut self.out);
        self.settle();
    }

    /// Does what the broker said, as a server would.
    fn settle(&mut self) {
        let out = std::mem::take(&mut self.out);
        for send in &out.sends {
            let mut bytes = out.frames[send.start as usize..][..send.len as usize].to_vec();
            if let Some((at, id)) = send.id {
                bytes[at as usize..][..2].copy_from_slice(&id.0.get().to_be_bytes());
            }
            if let Some(body) = &send.body {
                bytes.extend_from_slice(body.payload());
            }
            self.check_sent(send.conn.0 as usize, &bytes);
        }
        for change in &out.index {
            self.index.apply(change);
        }
        self.changes.0 += out.index.len() as u64;
        self.records.0 += out.records.len() as u64;
        let mut resumed = Vec::new();
        for effect in out.effects {
            self.effect(effect, &mut resumed);
        }
        if self.prompt {
            self.answer_late();
        }
        for link in resumed {
            self.read(link);
        }
    }

    fn effect(&mut self, effect: Effect, resumed: &mut Vec<usize>) {
        match effect {
            Effect::Close { conn } => self.links[conn.0 as usize].open = false,
            Effect::Pause { conn } => self.links[conn.0 as usize].paused = true,
            Effect::Resume { conn } => {
                self.links[conn.0 as usize].paused = false;
                resumed.push(conn.0 as usize);
            }
            Effect::Authenticate { conn, request } => {
                // A name and a password are answered at once, an exchange when the script says so.
                if let AuthRequest::Connect { method: None, .. } = *request {
                    self.tell(Input::Authenticated { conn, answer: allow(None) });
                } else {
                    self.links[conn.0 as usize].asked = true;
                }
            }
            Effect::Control { conn, .. } => self.tell(Input::Controlled { conn, taken: true }),
            Effect::Move { .. } => panic!("there is nowhere to go with one shard"),
            Effect::Stopped => {}
        }
    }

    /// What a client is sent must be what a server may send.
    fn check_sent(&self, link: usize, bytes: &[u8]) {
        let link = &self.links[link];
        let version = link.version.unwrap_or(Version::V311);
        let mut rest = bytes;
        while !rest.is_empty() {
            let frame = next_frame(rest, u32::MAX).expect("what is sent is well formed");
            let frame = frame.expect("what is sent is whole");
            Packet::decode(frame, Some(version), Role::Server).expect("what is sent is legal");
            let len = u32::try_from(frame.len).expect("a packet has at most 256 MiB");
            assert!(len <= link.packet_size_max, "the client said how much it takes");
            rest = &rest[frame.len..];
        }
    }
}

fn conn(link: usize) -> ConnId {
    ConnId(link as u32)
}

fn allow(data: Option<Box<[u8]>>) -> AuthAnswer {
    AuthAnswer::Allow { principal: Default::default(), data }
}

/// Bounds so tight that a short script runs into them.
fn tight_limits(durability: Durability) -> Limits {
    Limits {
        packet_size_max: PACKET_SIZE_MAX,
        receive_maximum: 4,
        inflight_max: 4,
        topic_alias_max: 2,
        topic_alias_out_max: 2,
        topic_levels_max: 6,
        queue: QueueLimits { messages_max: 6, bytes_max: 512, ..QueueLimits::default() },
        subscriptions_max: 5,
        retained_max: 4,
        retained_bytes_max: 512,
        sessions_max: 6,
        share_queue_max: 4,
        turn_budget: 3,
        durability,
        ..Limits::default()
    }
}
