//! How a node dies, and starts again from what its log has.

use super::{LineState, Node, Shard};
use noctule_core::{Homes, Index, ShardId, Time};

impl Node {
    /// The node dies, with all that its store does not have, and starts again. Every connection is
    /// closed; connections opened from here on have new numbers.
    pub fn restart(&mut self) {
        self.restart_after(0, self.shards());
    }

    /// A dead node's log is folded into a checkpoint before it starts again.
    pub fn fold_log(&mut self) {
        self.log.crash(0);
        self.log.fold(&self.limits);
    }

    /// The same; of the records that are not stored so many survive by chance, and the node starts
    /// with so many shards.
    pub fn restart_after(&mut self, torn: usize, count: u16) {
        self.crash(torn);
        self.start(count, self.now);
        self.write_index();
    }

    /// The node dies; of the records that are not stored so many survive by chance, in whole
    /// batches. Nothing may happen to it before it starts again.
    pub fn crash(&mut self, torn: usize) {
        self.log.crash(torn);
        for line in &mut self.lines {
            line.state = LineState::Closed;
            line.asked = None;
        }
    }

    /// A dead node starts again with so many shards; it was last seen alive at `alive_at`. The next
    /// step has to be `Step::Index`, if it is due: nobody is served before the index is whole.
    /// Answers how many records the log has after each shard has started.
    pub fn start(&mut self, count: u16, alive_at: Time) -> Vec<usize> {
        self.log = std::mem::take(&mut self.log).with_shards(count);
        self.homes = Homes::new(count, self.seed);
        let Node { homes, limits, .. } = self;
        let shards = (0..homes.shards).map(|number| Shard::new(ShardId(number), homes, limits));
        self.shards = shards.collect();
        self.index = Index::new(self.seed);
        for shard in &mut self.shards {
            self.log.replay(&mut shard.broker);
        }
        let mut recorded = Vec::new();
        for number in 0..self.shards() {
            let Node { now, index, shards, outbox, .. } = self;
            shards[usize::from(number)].broker.replayed((*now, alive_at), index, outbox);
            self.drain(ShardId(number));
            recorded.push(self.log.records().len());
        }
        if !self.policies.are_open() {
            self.tell_policies();
        }
        recorded
    }
}
