//! How readers of the index are kept from its writer.
//!
//! One copy of the index serves all shards. A shard holds the read lock while it handles the inputs
//! of one turn, never while it sleeps; a shard whose clients changed subscriptions takes the write
//! lock between two of its turns, applies its batch, and from then on every shard sees it. That is
//! one lock operation a turn, without contention unless somebody subscribes, without a second copy,
//! and without `unsafe`. A writer waits for the turns that are running, so a storm of SUBSCRIBEs
//! costs the other shards up to a turn each. Should that ever show in a measurement, this file is
//! the place for two copies, one read while the other is written (left-right), at twice the memory.

use noctule_core::{Index, IndexChange};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// The index of a node.
#[derive(Debug)]
pub(crate) struct IndexCell(RwLock<Index>);

impl IndexCell {
    pub(crate) fn new(index: Index) -> IndexCell {
        IndexCell(RwLock::new(index))
    }

    /// The index as it stands, for one turn.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Index> {
        // A shard that panicked ends the process; until then the index is as good as it was.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies changes, in order, and leaves `changes` empty. They are visible to every shard when
    /// this returns. Answers the version of the index with them and no others after.
    pub(crate) fn apply(&self, changes: &mut Vec<IndexChange>) -> u64 {
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes.iter() {
            index.apply(change);
        }
        changes.clear();
        index.version()
    }
}
