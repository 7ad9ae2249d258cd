//! What one message costs the broker itself, without sockets: decode, handle, and the copy that a
//! server makes of each send. Prints nanoseconds per delivered message.
//!
//! `cargo run --release -p noctule-core --example turn_cost`
//!
//! With the name of a case and a number of steps it does these and prints what was delivered, for
//! somebody else to count instructions: `cargo xtask count`.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "an example measures time and prints"
)]

use noctule_core::grant::{
    Actions, List, Pattern, Placeholders, Policies, Policy, Roles, Rule, Source,
};
use noctule_core::identity::Place;
use noctule_core::input::{AuthAnswer, Origin};
use noctule_core::limits::{Durability, QueueLimits};
use noctule_core::record::{Body, Record};
use noctule_core::{
    Broker, ConnId, Effect, Homes, Index, Input, Limits, ListenerId, Outbox, ShardId, Tenant, Time,
};
use noctule_proto::packet::{LastPublish, Role};
use noctule_proto::{Packet, QoS, Version, next_frame};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

struct Bench {
    broker: Broker,
    index: Index,
    outbox: Outbox,
    out: Vec<u8>,
    now: Time,
    changes: u64,
    records: u64,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(Limits::default())
    }

    fn with(limits: Limits) -> Bench {
        let homes = Homes::new(1, 7);
        Bench {
            broker: Broker::new(ShardId(0), homes, limits),
            index: Index::new(7),
            outbox: Outbox::default(),
            out: Vec::with_capacity(1 << 20),
            now: Time(1_000_000),
            changes: 0,
            records: 0,
        }
    }

    /// Feeds bytes as one read of a connection, the way a shard does.
    fn feed(&mut self, conn: u32, version: Option<Version>, mut bytes: &[u8]) -> u64 {
        let mut last = LastPublish::default();
        while let Some(frame) = next_frame(bytes, 1 << 24).expect("valid bytes") {
            let packet = Packet::decode_next(&mut last, frame, version, Role::Client);
            let (len, packet) = (frame.len, packet.expect("valid packet"));
            let input = Input::Packet { conn: ConnId(conn), packet: &packet, size: len as u32 };
            self.broker.handle(self.now, &self.index, input, &mut self.outbox);
            bytes = &bytes[len..];
        }
        self.drain()
    }

    fn drain(&mut self) -> u64 {
        let sends = self.outbox.sends.len() as u64;
        self.out.clear();
        for send in self.outbox.sends.drain(..) {
            let (start, len) = (send.start as usize, send.len as usize);
            let at = self.out.len();
            self.out.extend_from_slice(&self.outbox.frames[start..start + len]);
            if let Some((id_at, id)) = send.id {
                let place = at + id_at as usize;
                self.out[place..place + 2].copy_from_slice(&id.0.get().to_be_bytes());
            }
        }
        self.outbox.frames.clear();
        let effects = std::mem::take(&mut self.outbox.effects);
        for effect in effects {
            if let Effect::Authenticate { conn, .. } = effect {
                let answer = AuthAnswer::Allow { principal: Default::default(), data: None };
                let input = Input::Authenticated { conn, answer };
                self.broker.handle(self.now, &self.index, input, &mut self.outbox);
            }
        }
        self.outbox.events.clear();
        self.store();
        if !self.outbox.index.is_empty() {
            for change in self.outbox.index.drain(..) {
                self.changes += 1;
                self.index.apply(&change);
            }
            let input = Input::IndexVisible { up_to: self.changes, version: self.index.version() };
            self.broker.handle(self.now, &self.index, input, &mut self.outbox);
        }
        self.broker.tick(self.now, &self.index, &mut self.outbox);
        sends
    }

    /// With rules for everybody: the third of them allows what is done here.
    fn ruled() -> Bench {
        let mut bench = Bench::new();
        let rule = |(line, filter): (u32, &str)| Rule {
            actions: Actions::ALL,
            pattern: Pattern::parse(filter, Placeholders::Anywhere).expect("a filter"),
            qos_max: QoS::ExactlyOnce,
            retain: true,
            source: Source { file: "rules".into(), line },
        };
        let allow = [(1, "own/%c/#"), (2, "news/+"), (3, "bench/#")].map(rule).into();
        let list = List { deny: [(4, "bench/secret/#")].map(rule).into(), allow };
        let roles = Roles {
            rules: [("all".into(), Arc::new(list))].into(),
            of_anonymous: ["all".into()].into(),
            ..Roles::default()
        };
        let policy = Policy { roles: Some(roles), acl: None, strict: true };
        let input = Input::Policies(Policies::of_all(policy));
        bench.broker.handle(bench.now, &bench.index, input, &mut bench.outbox);
        bench
    }

    /// Keeps records as a store does, but for the disk.
    fn store(&mut self) {
        if self.outbox.records.is_empty() {
            return;
        }
        for record in self.outbox.records.drain(..) {
            self.records += 1;
            if let Record::Published { message: Body::Here(message), .. } = record {
                let number = NonZeroU64::new(self.records << 32).expect("counted from 1");
                message.set_place(Place(number));
            }
        }
        let input = Input::Stored { written: self.records, durable: self.records };
        self.broker.handle(self.now, &self.index, input, &mut self.outbox);
    }

    fn connect(&mut self, conn: u32) {
        self.connect_with(conn, 2);
    }

    fn connect_with(&mut self, conn: u32, flags: u8) {
        self.open(conn);
        let id = format!("client-{conn:06}");
        let mut bytes = vec![0x10, 12 + id.len() as u8, 0, 4];
        bytes.extend_from_slice(b"MQTT\x04");
        bytes.extend_from_slice(&[flags, 0, 0x3c, 0]);
        bytes.push(id.len() as u8);
        bytes.extend_from_slice(id.as_bytes());
        self.feed(conn, None, &bytes);
        self.drain();
    }

    fn connect_v5(&mut self, conn: u32) {
        self.open(conn);
        let bytes =
            [0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0x3c, 0, 0, 1, b'0' + conn as u8];
        self.feed(conn, None, &bytes);
        self.drain();
    }

    fn open(&mut self, conn: u32) {
        let from =
            Origin { listener: ListenerId(0), tenant: Tenant(0), remote: None, durability: None };
        let input = Input::Opened { conn: ConnId(conn), from };
        self.broker.handle(self.now, &self.index, input, &mut self.outbox);
    }

    fn subscribe(&mut self, conn: u32, filter: &str, qos: u8) {
        let mut bytes = vec![0x82, 5 + filter.len() as u8, 0, 1, 0, filter.len() as u8];
        bytes.extend_from_slice(filter.as_bytes());
        bytes.push(qos);
        self.feed(conn, Some(Version::V311), &bytes);
        self.drain();
    }
}

fn publishes(topic: &str, qos: u8, count: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    for id in 1..=count {
        let ids = if qos > 0 { 2 } else { 0 };
        bytes.push(0x30 | (qos << 1));
        bytes.push((2 + topic.len() + ids + 64) as u8);
        bytes.extend_from_slice(&(topic.len() as u16).to_be_bytes());
        bytes.extend_from_slice(topic.as_bytes());
        if qos > 0 {
            bytes.extend_from_slice(&id.to_be_bytes());
        }
        bytes.extend_from_slice(&[b'x'; 64]);
    }
    bytes
}

/// What is done over and over; answers how many messages were delivered, or whatever is counted.
type Step = Box<dyn FnMut() -> u64>;

/// A name, and what begins the case.
type Case = (&'static str, fn() -> Step);

/// The cases, by the names that `cargo xtask count` knows them by.
const CASES: [Case; 8] = [
    ("pairs-qos0", pairs_qos0),
    ("pairs-qos1", pairs_qos1),
    ("fan-out-qos0", fan_out_qos0),
    ("kept-qos1", kept_qos1),
    ("v5-properties", v5_properties),
    ("subscribe", subscribe),
    ("ruled-pairs-qos0", ruled_pairs_qos0),
    ("ruled-fan-out-qos0", ruled_fan_out_qos0),
];

/// Fifty pairs.
fn pairs() -> Bench {
    pairs_of(Bench::new())
}

fn pairs_of(mut bench: Bench) -> Bench {
    for pair in 0..50 {
        bench.connect(2 * pair);
        bench.connect(2 * pair + 1);
        bench.subscribe(2 * pair + 1, &topic(pair), 1);
    }
    bench
}

fn topic(pair: u32) -> String {
    format!("bench/pair/{pair:03}/data")
}

/// 32 messages in each read.
fn pairs_qos0() -> Step {
    let (mut bench, mut pair) = (pairs(), 0);
    let frames: Vec<Vec<u8>> = (0..50).map(|pair| publishes(&topic(pair), 0, 32)).collect();
    Box::new(move || {
        pair = (pair + 1) % 50;
        bench.feed(2 * pair, Some(Version::V311), &frames[pair as usize])
    })
}

/// The same, with rules for everybody, some of which name the client.
fn ruled_pairs_qos0() -> Step {
    let (mut bench, mut pair) = (pairs_of(Bench::ruled()), 0);
    let frames: Vec<Vec<u8>> = (0..50).map(|pair| publishes(&topic(pair), 0, 32)).collect();
    Box::new(move || {
        pair = (pair + 1) % 50;
        bench.feed(2 * pair, Some(Version::V311), &frames[pair as usize])
    })
}

/// 32 messages in each read, and then their acknowledgements.
fn pairs_qos1() -> Step {
    let (mut bench, mut pair) = (pairs(), 0);
    let frames: Vec<Vec<u8>> = (0..50).map(|pair| publishes(&topic(pair), 1, 32)).collect();
    let (mut acks, mut next) = (Vec::new(), [1u16; 50]);
    Box::new(move || {
        pair = (pair + 1) % 50;
        let sent = bench.feed(2 * pair, Some(Version::V311), &frames[pair as usize]);
        acks.clear();
        for _ in 0..32 {
            let id = &mut next[pair as usize];
            acks.extend_from_slice(&[0x40, 2, (*id >> 8) as u8, *id as u8]);
            *id = if *id == u16::MAX { 1 } else { *id + 1 };
        }
        bench.feed(2 * pair + 1, Some(Version::V311), &acks);
        sent / 2
    })
}

/// One publisher, 100 subscribers, 16 messages in each read.
fn fan_out_qos0() -> Step {
    fan_out(Bench::new())
}

/// The same, with rules.
fn ruled_fan_out_qos0() -> Step {
    fan_out(Bench::ruled())
}

fn fan_out(mut bench: Bench) -> Step {
    bench.connect(0);
    for conn in 1..=100 {
        bench.connect(conn);
        bench.subscribe(conn, "bench/fan/out", 0);
    }
    let frames = publishes("bench/fan/out", 0, 16);
    Box::new(move || bench.feed(0, Some(Version::V311), &frames))
}

/// To a session that is away, and stored.
fn kept_qos1() -> Step {
    let limits = Limits { durability: Durability::Fsync, ..Limits::default() };
    let mut bench = Bench::with(Limits {
        queue: QueueLimits { messages_max: u32::MAX, bytes_max: u64::MAX >> 1, ..limits.queue },
        ..limits
    });
    bench.connect_with(1, 0);
    bench.subscribe(1, "bench/kept", 1);
    bench.feed(1, Some(Version::V311), &[0xE0, 0]);
    bench.connect(0);
    let frames = publishes("bench/kept", 1, 32);
    Box::new(move || bench.feed(0, Some(Version::V311), &frames))
}

/// MQTT 5, with a topic alias and a User Property of 8 and 16 bytes.
fn v5_properties() -> Step {
    let mut bench = Bench::new();
    for conn in 0..2 {
        bench.connect_v5(conn);
    }
    let filter = b"bench/v5";
    let mut packet = vec![0x82, 6 + filter.len() as u8, 0, 1, 0, 0, filter.len() as u8];
    packet.extend_from_slice(filter);
    packet.push(0);
    bench.feed(1, Some(Version::V5), &packet);
    let publish = |topic: &[u8]| {
        let properties = b"\x23\0\x01\x26\0\x08property\0\x10sixteen bytes ..";
        let mut bytes = vec![0x30, (3 + topic.len() + properties.len() + 64) as u8, 0];
        bytes.push(topic.len() as u8);
        bytes.extend_from_slice(topic);
        bytes.push(properties.len() as u8);
        bytes.extend_from_slice(properties);
        bytes.extend_from_slice(&[b'x'; 64]);
        bytes
    };
    bench.feed(0, Some(Version::V5), &publish(filter));
    let frames = publish(b"").repeat(32);
    Box::new(move || bench.feed(0, Some(Version::V5), &frames))
}

/// One more subscription and one less, among ten thousand.
fn subscribe() -> Step {
    let mut bench = Bench::new();
    for conn in 0..100 {
        bench.connect(conn);
        for number in 0..100 {
            bench.subscribe(conn, &format!("bench/{conn}/+/{number}"), 1);
        }
    }
    let filter = "bench/7/another/#";
    let mut unsubscribe = vec![0xA2, 4 + filter.len() as u8, 0, 1, 0, filter.len() as u8];
    unsubscribe.extend_from_slice(filter.as_bytes());
    Box::new(move || {
        bench.subscribe(7, filter, 1);
        bench.feed(7, Some(Version::V311), &unsubscribe);
        1
    })
}

fn measure(name: &str, step: &mut Step) {
    let mut best = f64::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        let mut delivered = 0;
        for _ in 0..200 {
            delivered += step();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / delivered.max(1) as f64);
    }
    println!("{name:16} {best:8.1} ns");
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let case = |name: &str| CASES.iter().find(|(known, _)| *known == name).map(|(_, case)| case());
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => CASES.iter().for_each(|(name, case)| measure(name, &mut case())),
        [name, steps] => {
            let (mut step, steps) = (case(name).expect("a case"), steps.parse().expect("a number"));
            println!("{}", (0..steps).map(|_: u64| step()).sum::<u64>());
        }
        _ => panic!("[CASE STEPS]"),
    }
}
