//! The node dies: what was durable is told to new brokers, perhaps more or fewer of them, and its
//! clients find their connections broken.

use super::world::World;
use crate::node::Step;
use noctule_core::counters::Counters;
use noctule_core::limits::Durability;
use noctule_core::{Homes, ShardId, Tenant, Time};

/// How often the node died, and how it looks to those who reckon with it.
#[derive(Debug, Default)]
pub(crate) struct Deaths {
    pub(crate) count: u64,
    /// Of those, when the power went as well: what was written and not synced was lost.
    pub(crate) power_cuts: u64,
    /// Records were lost.
    pub(crate) lost: u64,
    /// It started with another number of shards.
    pub(crate) resharded: u64,
    /// From a checkpoint.
    pub(crate) folded: u64,
    /// What the brokers counted that died.
    pub(crate) counted: Counters,
    /// The disk takes its time: nothing gets stored.
    pub(crate) slow_disk: bool,
    /// After each turn: the ledger's stamp and how many records the log had.
    pub(crate) marks: Vec<(u32, usize)>,
}

impl World {
    /// The node dies and starts again.
    pub(crate) fn die(&mut self) {
        if self.percent(70) {
            self.bustle();
        }
        self.break_links();
        // Where nothing is promised beyond the death of the process, that is all it dies of.
        let power = self.plan.limits.durability == Durability::Fsync && self.percent(70);
        let (cut, kept) = self.survivors(power);
        let (records, stored, _) = self.node.recorded();
        let len = records.len();
        self.ledger.trace(|| {
            format!("the node dies, {kept} of {len} records kept, cut {cut}, power cut: {power}")
        });
        self.deaths.power_cuts += u64::from(power);
        self.deaths.count += 1;
        self.deaths.lost += u64::from(kept < len);
        let counted = self.counters();
        self.deaths.counted.add(&counted);
        self.node.crash(kept - stored);
        self.ledger.crash(cut, power);
        if self.percent(30) {
            self.deaths.folded += 1;
            self.node.fold_log();
        }
        let recorded = self.node.recorded().0.len();
        self.deaths.marks = vec![(self.ledger.stamp(), recorded)];
        self.start_again();
    }

    /// Much happens of which the store does not have much yet.
    fn bustle(&mut self) {
        for _ in 0..self.chance.below(16) {
            let client = self.chance.below(self.plan.clients);
            self.act(client);
            self.flow();
            self.deaths.slow_disk = self.percent(80);
            let count = self.chance.below(12);
            self.run(count);
        }
        self.deaths.slow_disk = false;
    }

    /// The instant that the log still reaches, and how many records it then has: any turn's end
    /// that is at least as far as what is stored, or written.
    fn survivors(&mut self, power: bool) -> (u32, usize) {
        let (_, stored, written) = self.node.recorded();
        let least = if power { stored } else { written };
        let marks = &self.deaths.marks;
        let first = marks.partition_point(|(_, len)| *len < least);
        let open = marks.len() - first;
        let at = match self.chance.below(5) {
            0 | 1 => 0,
            2 => open - 1,
            _ => self.chance.below(open),
        };
        let kept = self.deaths.marks[first + at].1;
        // Turns without records leave no trace of whether they were.
        let last = self.deaths.marks.partition_point(|(_, len)| *len <= kept) - 1;
        self.deaths.marks[last]
    }

    /// Some of what was on its way still arrives.
    fn break_links(&mut self) {
        for at in 0..self.live.len() {
            let number = self.live[at];
            if self.percent(50) {
                let some = self.chance.below(300);
                self.hear(number, some);
            }
        }
        for number in std::mem::take(&mut self.live) {
            let link = &mut self.links[number];
            (link.closed, link.given_up, link.hung_up) = (true, true, true);
            link.down.clear();
            link.up.clear();
            self.ledger.forgive_retained(number);
        }
        for client in &mut self.clients {
            client.link = None;
        }
        self.stuck.clear();
        self.full.clear();
    }

    fn start_again(&mut self) {
        let died_at = self.now();
        let down = match self.chance.below(10) {
            0..6 => self.chance.below(50) as u64,
            6..9 => self.chance.between(500, 6_000),
            _ => self.chance.between(6_000, 40_000),
        };
        let shards = self.node.shards();
        let count = self.chance.pick(&[shards, shards, 1, 2, 3, 5]);
        self.deaths.resharded += u64::from(count != shards);
        self.node.set_now(Time(died_at + down));
        let recorded = self.node.start(count, Time(died_at));
        self.homes = Homes::new(count, self.seed);
        self.ledger.trace(|| format!("it starts again with {count} shards"));
        for (shard, recorded) in recorded.into_iter().enumerate() {
            let (clients, homes) = (&self.clients, &self.homes);
            let home = |client: usize| homes.of_client(Tenant(0), &clients[client].id);
            self.ledger.cut_off(|client| home(client) == ShardId(shard as u16));
            self.deaths.marks.push((self.ledger.stamp(), recorded));
        }
        self.ledger.time_is(died_at + down);
        self.ledger.wills_late();
        if !self.node.changed().is_empty() {
            self.take(Step::Index);
        }
        let witness = self.witness();
        self.connect(witness, false);
        self.hear_all(witness);
    }
}
