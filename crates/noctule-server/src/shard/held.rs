//! Received bytes that wait: for the rest of their packet, or for core to want packets again.
//!
//! Their sum over all connections of a shard is bounded. Beyond the bound no connection in the
//! middle of a large packet is read on, until others are done: its bytes wait at the sender.

use crate::net::{Pool, Slot};

/// Bytes all connections of a shard may hold before large packets have to wait.
const HELD_MAX: usize = 256 * 1024 * 1024;

/// The bytes of all connections.
pub(super) struct Held {
    buffers: Pool<Vec<u8>>,
    bytes: usize,
    max: usize,
}

impl Held {
    pub(super) fn new() -> Held {
        Held { buffers: Pool::new(), bytes: 0, max: HELD_MAX }
    }

    /// Bytes a connection holds.
    #[inline]
    pub(super) fn len(&mut self, slot: Slot) -> usize {
        self.buffers.get_mut(slot).map_or(0, |bytes| bytes.len())
    }

    /// Adds bytes.
    pub(super) fn append(&mut self, slot: &mut Slot, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.buffers.claim(slot).extend_from_slice(bytes);
    }

    /// Gives a connection that holds nothing these bytes, in their own memory.
    pub(super) fn put(&mut self, slot: &mut Slot, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        *self.buffers.claim(slot) = bytes;
    }

    /// Takes all bytes, in their own memory.
    pub(super) fn take(&mut self, slot: &mut Slot) -> Vec<u8> {
        let Some(bytes) = self.buffers.get_mut(*slot) else { return Vec::new() };
        let bytes = std::mem::take(bytes);
        self.bytes -= bytes.len();
        self.buffers.release(slot);
        bytes
    }

    /// Moves all bytes to the front of `chunk`, and leaves their memory in the pool.
    pub(super) fn move_into(&mut self, slot: &mut Slot, chunk: &mut [u8]) {
        if let Some(bytes) = self.buffers.get_mut(*slot) {
            chunk[..bytes.len()].copy_from_slice(bytes);
        }
        self.release(slot);
    }

    /// Forgets what a connection holds.
    pub(super) fn release(&mut self, slot: &mut Slot) {
        self.bytes -= self.len(*slot);
        self.buffers.release(slot);
    }

    /// Large packets have to wait.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > self.max
    }

    /// There is room enough to go on with large packets.
    pub(super) fn has_room(&self) -> bool {
        self.bytes <= self.max / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_in_and_out_is_counted() {
        let mut held = Held { max: 100, ..Held::new() };
        let (mut one, mut two, mut three) = (Slot::NONE, Slot::NONE, Slot::NONE);
        held.append(&mut one, &[1; 60]);
        held.append(&mut one, &[2; 20]);
        held.put(&mut two, vec![3; 40]);
        held.append(&mut three, &[4; 5]);
        assert_eq!((held.len(one), held.len(two), held.bytes), (80, 40, 125));
        assert!(held.is_full() && !held.has_room());
        assert_eq!(held.take(&mut two), [3; 40]);
        assert!(!held.is_full() && !held.has_room());
        let mut chunk = [0; 100];
        held.move_into(&mut one, &mut chunk);
        assert_eq!((chunk[59], chunk[79], chunk[80]), (1, 2, 0));
        held.release(&mut three);
        assert_eq!(held.bytes, 0);
        assert!(one.is_none() && two.is_none() && three.is_none());
        assert!(held.take(&mut one).is_empty());
        held.release(&mut one);
    }
}
