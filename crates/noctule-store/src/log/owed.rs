//! Messages that are owed to somebody, and the files that they keep from being removed.

use super::cold::{ColdFiles, Home};
use crate::format::{Position, message_bytes};
use noctule_core::Broker;
use noctule_core::record::Stored;
use std::collections::BTreeMap;

/// Messages that are owed to somebody: where they lie and what they cost, each once.
#[derive(Debug, Default)]
pub(super) struct OwedMessages {
    /// Segment, offset and cost: small, because there may be many millions.
    messages: Vec<[u32; 3]>,
    /// So many are in order, and each of them only once.
    sorted: usize,
}

impl OwedMessages {
    pub(super) fn of(broker: &Broker) -> OwedMessages {
        let mut owed = OwedMessages::default();
        broker.places(&mut |stored| owed.push(stored));
        owed.sort();
        owed
    }

    fn push(&mut self, Stored { place, cost }: Stored) {
        let at = Position::of_place(place);
        self.messages.push([at.segment(), at.offset(), cost]);
        // A message to very many takes the room of one, every now and then.
        if self.messages.len() > 2 * self.sorted + (1 << 20) {
            self.sort();
        }
    }

    fn sort(&mut self) {
        self.messages.sort_unstable();
        self.messages.dedup();
        self.sorted = self.messages.len();
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Tells of each message, in order, its place, the newest file that it lies in, the offset
    /// there, and its bytes.
    pub(super) fn each(
        &self,
        colds: &ColdFiles,
        tell: &mut dyn FnMut((u32, u32), (Home, u32), u64),
    ) {
        for run in self.messages.chunk_by(|one, next| one[0] == next[0]) {
            let segment = run[0][0];
            let homes: Vec<_> = colds.of_segment(segment).collect();
            for [_, old, cost] in run {
                let moved = homes.iter().find_map(|(number, _, moved)| {
                    moved.find(*old).map(|new| (Home::Cold(*number), new))
                });
                let lies = moved.unwrap_or((Home::Segment(segment), *old));
                tell((segment, *old), lies, message_bytes(*cost));
            }
        }
    }

    /// Bytes of messages by the file that they lie in.
    pub(super) fn by_home(&self, colds: &ColdFiles) -> BTreeMap<Home, u64> {
        let mut needed = BTreeMap::new();
        self.each(colds, &mut |_, (home, _), bytes| *needed.entry(home).or_default() += bytes);
        needed
    }
}
