//! The steps of a run: clients act, bytes move, things break, time passes.

use super::world::World;
use crate::node::Step;
use noctule_core::{Broker, ShardId};

impl World {
    /// One step of the run.
    pub(crate) fn step(&mut self) {
        if self.plan.dies && self.chance.below(1000) < 8 {
            self.die();
        } else if self.percent(self.plan.faults) {
            self.fault();
        } else {
            let client = self.chance.below(self.plan.clients);
            self.act(client);
        }
        self.keep_alive();
        self.flow();
        let quiet = self.percent(35);
        let count = if quiet { 0 } else { self.chance.below(24) };
        self.run(count);
        if quiet && self.stuck.is_empty() {
            self.rest();
        }
        self.bury();
        self.pass_time();
    }

    /// Most of the time a little passes; sometimes the clock jumps.
    fn pass_time(&mut self) {
        let millis = match self.chance.below(100) {
            0 => self.chance.between(1_000, 70_000),
            1..4 => self.chance.between(500, 6_000),
            _ => self.chance.between(1, 15),
        };
        self.set_time(self.now() + millis);
        // A shard wakes up for its deadline, unless it was late.
        if self.percent(80) {
            self.run(3);
        }
    }

    /// Some of the bytes move.
    pub(crate) fn flow(&mut self) {
        for at in 0..self.live.len() {
            let number = self.live[at];
            let (up, down) = (self.amount(), self.amount());
            self.carry_up(number, up);
            if down > 0 && !self.links[number].stalled {
                self.hear(number, down);
                self.watch_backlog(number);
            }
            let link = &self.links[number];
            let idle = link.given_up && link.up.is_empty() && !link.closed;
            if idle && self.percent(15) {
                self.hang_up(number);
            }
        }
    }

    /// How many bytes move on a link: often all of them, sometimes none.
    fn amount(&mut self) -> usize {
        match self.chance.below(10) {
            0..6 => usize::MAX,
            6..8 => self.chance.between(1, 40) as usize,
            _ => 0,
        }
    }

    /// Clients with a keep alive ping in time, unless they sleep.
    fn keep_alive(&mut self) {
        for client in 0..self.clients.len() {
            let Some(number) = self.clients[client].link else { continue };
            let link = &self.links[number];
            let keep_alive = u64::from(link.keep_alive_of(&self.plan.limits)) * 700;
            let due = keep_alive > 0 && self.now() - link.last_sent >= keep_alive;
            if due && link.live && !self.clients[client].asleep {
                self.ping(number);
                if client == self.witness() {
                    self.hand_in(number);
                }
            }
        }
    }

    /// What a client said reaches the node and is read at once, before the clock jumps again.
    fn hand_in(&mut self, number: usize) {
        self.carry_up(number, usize::MAX);
        while !self.links[number].sent.is_empty() {
            self.take(Step::Read(self.links[number].line));
        }
    }

    fn fault(&mut self) {
        let client = self.chance.below(self.plan.clients);
        let link = self.clients[client].link;
        match (self.chance.below(16), link) {
            (0..4, Some(link)) => self.cut(link),
            // The client gives up and comes back while the node knows of nothing.
            (4, Some(_)) => {
                let clean = self.percent(25);
                self.connect(client, clean);
            }
            (5, Some(link)) => {
                self.links[link].given_up = true;
                self.clients[client].link = None;
            }
            (6..9, Some(link)) => self.links[link].stalled = !self.links[link].stalled,
            (9..11, _) => self.sleep(client),
            (11..13, _) => self.freeze(),
            (13, _) => {
                let shards = u64::from(self.node.shards()) - 1;
                let from = self.chance.between(0, shards) as u16;
                let to = self.chance.between(0, shards) as u16;
                self.stuck.insert((from, to));
            }
            (14.., _) => self.stuck.clear(),
            (_, None) => {}
        }
    }

    /// The link breaks, perhaps in the midst of a packet.
    fn cut(&mut self, number: usize) {
        let some = self.chance.below(200);
        self.carry_up(number, some);
        if self.percent(50) {
            self.run(4);
        }
        let client = self.links[number].client;
        if self.clients[client].link == Some(number) {
            self.clients[client].link = None;
        }
        self.links[number].given_up = true;
        self.hang_up(number);
    }

    /// The transport ends.
    pub(crate) fn hang_up(&mut self, number: usize) {
        let link = &mut self.links[number];
        link.given_up = true;
        if self.node.is_open(link.line) {
            link.hung_up = true;
            let (line, home) = (link.line, self.node.home(link.line));
            self.node.hang_up(line);
            self.after(&[home], None);
        }
    }

    /// Falls asleep: acknowledges nothing. Or wakes up.
    pub(crate) fn sleep(&mut self, client: usize) {
        self.clients[client].asleep = !self.clients[client].asleep;
        if let Some(number) = self.clients[client].link {
            let now = self.now();
            let link = &mut self.links[number];
            self.clients[client].answer(link, now, &mut self.chance);
        }
    }

    /// A broker is written down and read again; for a while both go on side by side.
    fn freeze(&mut self) {
        self.freezes += 1;
        let shards = usize::from(self.node.shards());
        let shard = ShardId(self.chance.below(shards) as u16);
        let mut serializer = postcard::Serializer { output: postcard::ser_flavors::StdVec::new() };
        self.node.broker(shard).freeze(&mut serializer).expect("a broker can be frozen");
        let bytes = postcard::ser_flavors::Flavor::finalize(serializer.output)
            .expect("memory takes all bytes");
        let mut deserializer = postcard::Deserializer::from_bytes(&bytes);
        let thawed = Broker::thaw(&mut deserializer).expect("what was frozen can be thawed");
        thawed.check();
        self.node.replace(shard, thawed, 25);
    }
}
