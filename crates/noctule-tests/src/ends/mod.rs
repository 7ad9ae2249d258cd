//! The client's pure session against the pure broker: both ends of a link, and what lies between.
//!
//! ```text
//!  Owner (a process: session, application)     cut, delayed, broken         Node (brokers)
//!    │ changes and facts, record by record      ──── up ────▶
//!    ▼                                          ◀─── down ───
//!  Disk (what a crash leaves)
//! ```
//!
//! Two clients publish to each other at every QoS. Bytes come in any pieces, connections break
//! at either end, processes die between any two records and come back with what was stored, the
//! broker restarts. Whatever happens: nothing acknowledged is lost, QoS 2 is handled exactly once,
//! order is kept. A run is a function of its seed.
#![allow(clippy::print_stdout, reason = "a trace is printed where it is asked for")]

mod disk;
mod owner;

use crate::node::Node;
use crate::sim::{Chance, Coverage};
use disk::Disk;
use noctule_client::{Acknowledge, Options, QoS, Version};
use noctule_core::limits::Durability;
use noctule_core::{Limits, ShardId};
use owner::Owner;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many messages each client publishes.
const MESSAGES: usize = 40;
/// Far more turns than a calm network needs.
const TURNS_MAX: usize = 2_000;

/// What both clients and the broker live in.
struct World {
    chance: Chance,
    node: Node,
    owners: [Owner; 2],
    counts: BTreeMap<&'static str, u64>,
    traced: bool,
}

/// Runs one seed.
///
/// # Errors
/// If a promise was broken: what it was, and how to see it again.
pub fn run(seed: u64, traced: bool) -> Result<Coverage, String> {
    crate::sim::caught(|| play(seed, traced)).map_err(|what| {
        format!(
            "seed {seed}: {what}\n  replay: cargo run --profile test-fast -p noctule-tests \
             --bin simulate -- --client --seed {seed} --trace"
        )
    })
}

fn play(seed: u64, traced: bool) -> Coverage {
    let mut world = World::new(seed, traced);
    while !world.owners.iter().all(|owner| owner.disk.app.subscribed) {
        world.step(false);
    }
    let publishing = world.chance.between(150, 400);
    for _ in 0..publishing {
        world.step(true);
    }
    world.calm_down();
    let [first, second] = &world.owners;
    check(first, second);
    check(second, first);
    world.count("runs");
    Coverage::counted(world.counts)
}

impl World {
    fn new(seed: u64, traced: bool) -> World {
        let mut chance = Chance::new(seed);
        let limits = Limits {
            durability: Durability::Fsync,
            receive_maximum: chance.pick(&[1, 3, 20]),
            inflight_max: chance.pick(&[1, 3, 20]),
            topic_alias_max: chance.pick(&[0, 2, 16]),
            topic_alias_out_max: chance.pick(&[0, 2, 16]),
            ..Limits::default()
        };
        let node = Node::new(chance.pick(&[1, 2]), seed, &limits);
        let owners = ["a", "b"].map(|name| {
            let options = options(name, &mut chance);
            let qos = (0..MESSAGES).map(|_| any_qos(&mut chance)).collect();
            Owner::new(options, if name == "a" { "b" } else { "a" }, qos)
        });
        World { chance, node, owners, counts: BTreeMap::new(), traced }
    }

    /// One of both does something, or something happens to it; bytes move, the broker works.
    fn step(&mut self, faulty: bool) {
        let at = self.chance.below(2);
        let World { chance, node, owners, .. } = self;
        let owner = &mut owners[at];
        let now = Duration::from_millis(node.now().0);
        let seen = match chance.below(6) {
            0 => owner.connect(now, node, chance),
            1 | 2 if faulty => owner.publish(),
            3 => owner.acknowledge_one(chance),
            4 => owner.tick(now, node),
            _ => None,
        };
        self.note(at, seen);
        if faulty && self.chance.percent(5) {
            self.fault(at);
        }
        self.flow();
        let millis = self.chance.between(1, 40);
        self.node.set_now(self.node.now().plus_millis(millis));
    }

    fn flow(&mut self) {
        let now = Duration::from_millis(self.node.now().0);
        for at in 0..2 {
            let World { chance, node, owners, .. } = self;
            let owner = &mut owners[at];
            let seen = match chance.below(4) {
                0 => owner.store(chance.below(3)),
                1 => owner.store(usize::MAX),
                2 => owner.send(now, node, chance),
                _ => owner.hear(now, node, chance),
            };
            self.note(at, seen);
        }
        self.turn_broker();
    }

    fn fault(&mut self, at: usize) {
        let happens = self.chance.below(5);
        let World { chance, node, owners, .. } = self;
        let seen = match happens {
            0 | 1 => owners[at].lose_link(node, chance.percent(50)),
            2 | 3 => {
                let records = chance.below(4);
                owners[at].crash(node, chance.percent(50), records)
            }
            _ => {
                let torn = chance.below(1 + node.unstored());
                let shards = chance.pick(&[node.shards(), 1, 2, 4]);
                node.restart_after(torn, shards);
                if chance.percent(30) {
                    node.fold_log();
                    node.restart();
                }
                for owner in owners {
                    owner.lose_link(node, true);
                }
                Some("broker restarts")
            }
        };
        self.note(at, seen);
    }

    /// The broker does some of what is due, in any order.
    fn turn_broker(&mut self) {
        for _ in 0..self.chance.below(12) {
            let mut due = Vec::new();
            self.node.due(&mut due);
            if due.is_empty() {
                break;
            }
            self.node.take(self.chance.pick(&due));
        }
    }

    /// From here on nothing breaks, and everything comes to its end.
    fn calm_down(&mut self) {
        for _ in 0..TURNS_MAX {
            for at in 0..2 {
                let World { chance, node, owners, .. } = self;
                let now = Duration::from_millis(node.now().0);
                let owner = &mut owners[at];
                owner.forget_old_links(node);
                owner.connect(now, node, chance);
                while owner.publish().is_some() {}
                owner.hear_bytes(now, node, usize::MAX);
                while owner.acknowledge_one(chance).is_some() {}
                owner.store(usize::MAX);
                owner.send_bytes(now, node, usize::MAX);
                node.settle();
            }
            let now = self.node.now().plus_millis(50);
            self.node.set_now(now);
            let [a, b] = &self.owners;
            if a.is_done(b) && b.is_done(a) {
                return self.settle_rest();
            }
        }
        let left: Vec<String> = self.owners.iter().map(Owner::describe).collect();
        panic!("the network is calm and it does not end: {left:#?}");
    }

    /// What comes once too often comes now.
    fn settle_rest(&mut self) {
        for at in 0..20 {
            let now = Duration::from_millis(self.node.now().0);
            let owner = &mut self.owners[at % 2];
            owner.hear_bytes(now, &mut self.node, usize::MAX);
            while owner.acknowledge_one(&mut self.chance).is_some() {}
            owner.store(usize::MAX);
            owner.send_bytes(now, &mut self.node, usize::MAX);
            self.node.settle();
        }
        for owner in &mut self.owners {
            for (what, count) in std::mem::take(&mut owner.counts) {
                *self.counts.entry(what).or_default() += count;
            }
        }
    }

    fn note(&mut self, at: usize, seen: Option<&'static str>) {
        if let Some(seen) = seen {
            self.count(seen);
            if self.traced {
                println!("{} {}: {seen}", self.node.now().0, self.owners[at].describe());
            }
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

fn options(name: &str, chance: &mut Chance) -> Options {
    let version = chance.pick(&[Version::V31, Version::V311, Version::V5, Version::V5]);
    let mut options = Options::new(name);
    options.version = version;
    options.clean_start = version == Version::V5;
    options.session_expiry_secs = u32::MAX;
    options.receive_maximum = chance.pick(&[1, 2, 7, u16::MAX]);
    options.topic_alias_maximum = chance.pick(&[0, 2]);
    options.acknowledge = chance.pick(&[Acknowledge::Automatically, Acknowledge::ByApplication]);
    options.send_maximum = chance.pick(&[None, Some(3)]);
    options
}

fn any_qos(chance: &mut Chance) -> QoS {
    chance.pick(&[
        QoS::AtMostOnce,
        QoS::AtLeastOnce,
        QoS::AtLeastOnce,
        QoS::ExactlyOnce,
        QoS::ExactlyOnce,
    ])
}

/// Whether what one has published is what the other has handled.
fn check(publisher: &Owner, receiver: &Owner) {
    let Disk { app, .. } = &publisher.disk;
    let handled = &receiver.disk.app.handled;
    for (number, qos) in publisher.qos.iter().enumerate() {
        let times = handled.iter().filter(|it| **it == number).count();
        let (least, most) = match qos {
            QoS::AtMostOnce => (0, 1),
            QoS::AtLeastOnce => (1, usize::MAX),
            QoS::ExactlyOnce => (1, 1),
        };
        assert!(
            (least..=most).contains(&times),
            "{} handled message {number} of {qos:?} {times} times",
            receiver.name()
        );
        let promised = *qos != QoS::AtMostOnce;
        assert!(!promised || app.done.contains(&number), "nobody was told the end of {number}");
    }
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut first: Vec<usize> = Vec::new();
        for number in receiver.handed_over.iter().filter(|it| publisher.qos[**it] == qos) {
            if !first.contains(number) {
                first.push(*number);
            }
        }
        assert!(first.is_sorted(), "{} got {qos:?} as {first:?}", receiver.name());
    }
}

/// Where a connection is accepted.
fn any_shard(node: &Node, chance: &mut Chance) -> ShardId {
    ShardId(chance.below(usize::from(node.shards())) as u16)
}
