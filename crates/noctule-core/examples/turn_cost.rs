//! What one message costs the broker itself, without sockets: decode, handle, and the copy that a
//! server makes of each send. Prints nanoseconds per delivered message.
//!
//! `cargo run --release -p noctule-core --example turn_cost`
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "an example measures time and prints"
)]

use noctule_core::input::{AuthAnswer, Origin};
use noctule_core::{
    Broker, ConnId, Effect, Homes, Index, Input, Limits, ListenerId, Outbox, ShardId, Tenant, Time,
};
use noctule_proto::packet::Role;
use noctule_proto::{Packet, Version, next_frame};
use std::time::Instant;

struct Bench {
    broker: Broker,
    index: Index,
    outbox: Outbox,
    out: Vec<u8>,
    now: Time,
    changes: u64,
}

impl Bench {
    fn new() -> Bench {
        let homes = Homes::new(1, 7);
        Bench {
            broker: Broker::new(ShardId(0), homes, Limits::default()),
            index: Index::new(7),
            outbox: Outbox::default(),
            out: Vec::with_capacity(1 << 20),
            now: Time(1_000_000),
            changes: 0,
        }
    }

    /// Feeds bytes as one read of a connection, the way a shard does.
    fn feed(&mut self, conn: u32, version: Option<Version>, mut bytes: &[u8]) -> u64 {
        while let Some(frame) = next_frame(bytes, 1 << 24).expect("valid bytes") {
            let (len, packet) =
                (frame.len, Packet::decode(frame, version, Role::Client).expect("valid packet"));
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
                let answer =
                    AuthAnswer::Allow { grant: Default::default(), data: None, user_name: None };
                let input = Input::Authenticated { conn, answer };
                self.broker.handle(self.now, &self.index, input, &mut self.outbox);
            }
        }
        self.outbox.events.clear();
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

    fn connect(&mut self, conn: u32) {
        let from =
            Origin { listener: ListenerId(0), tenant: Tenant(0), remote: None, durability: None };
        let input = Input::Opened { conn: ConnId(conn), from };
        self.broker.handle(self.now, &self.index, input, &mut self.outbox);
        let id = format!("client-{conn:06}");
        let mut bytes = vec![0x10, 12 + id.len() as u8, 0, 4];
        bytes.extend_from_slice(b"MQTT\x04\x02\x00\x3c\x00");
        bytes.push(id.len() as u8);
        bytes.extend_from_slice(id.as_bytes());
        self.feed(conn, None, &bytes);
        self.drain();
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

fn measure(name: &str, mut step: impl FnMut() -> u64) {
    let mut best = f64::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        let mut delivered = 0;
        for _ in 0..200 {
            delivered += step();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / delivered.max(1) as f64);
    }
    println!("{name:40} {best:8.1} ns per delivery");
}

fn main() {
    let mut bench = Bench::new();
    for pair in 0..50 {
        bench.connect(2 * pair);
        bench.connect(2 * pair + 1);
        bench.subscribe(2 * pair + 1, &format!("bench/pair/{pair:03}/data"), 1);
    }
    let frames: Vec<Vec<u8>> =
        (0..50).map(|pair| publishes(&format!("bench/pair/{pair:03}/data"), 0, 32)).collect();
    let mut pair = 0;
    measure("pairs, QoS 0, 32 a read", || {
        pair = (pair + 1) % 50;
        bench.feed(2 * pair, Some(Version::V311), &frames[pair as usize])
    });

    let frames: Vec<Vec<u8>> =
        (0..50).map(|pair| publishes(&format!("bench/pair/{pair:03}/data"), 1, 32)).collect();
    let mut acks = Vec::new();
    let mut next = [1u16; 50];
    measure("pairs, QoS 1, 32 a read, with acks", || {
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
    });

    let mut bench = Bench::new();
    bench.connect(0);
    for conn in 1..=100 {
        bench.connect(conn);
        bench.subscribe(conn, "bench/fan/out", 0);
    }
    let frames = publishes("bench/fan/out", 0, 16);
    measure("fan-out 1 to 100, QoS 0, 16 a read", || bench.feed(0, Some(Version::V311), &frames));
}
