//! Received bytes that wait: for the rest of their packet, or for core to want packets again.
//!
//! Their memory over all connections of a shard is bounded, by marks for those who are known and a
//! smaller one for those whose CONNECT is not whole. What happens beyond a mark is in `relief`.

use crate::net::{Buffer, Pool, Slot};
use noctule_core::input::Memory;

/// Bytes known connections may hold before those in the middle of a large packet have to wait.
const LARGE_MAX: usize = 256 * 1024 * 1024;

/// Bytes known connections may hold before everyone in the middle of a packet has to wait.
const ALL_MAX: usize = 384 * 1024 * 1024;

/// Bytes all connections may hold whose CONNECT is not whole.
const STRANGERS_MAX: usize = 32 * 1024 * 1024;

/// The same of either while the memory of the process is tight, and full; large packets then come
/// one at a time.
const TIGHT_MAX: usize = 4 * 1024 * 1024;
const FULL_MAX: usize = 1024 * 1024;

/// A CONNECT is seldom larger: parts of larger ones may take half of [`STRANGERS_MAX`].
const CONNECT_USUAL: usize = 8 * 1024;

/// A buffer is exchanged for a smaller one if it is larger than this and mostly empty.
const LOOSE_MIN: usize = 4 * 1024;

/// The bytes of all connections.
pub(super) struct Held {
    buffers: Pool<Waiting>,
    /// Memory of known connections.
    known: usize,
    /// Memory of those whose CONNECT is not whole.
    strangers: usize,
    marks: Marks,
}

struct Marks {
    large: usize,
    all: usize,
    strangers: usize,
}

/// Whose bytes they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Holder {
    /// Its CONNECT was whole.
    #[default]
    Known,
    /// It was not yet.
    Stranger,
}

/// How much is held.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Pressure {
    /// Little enough.
    None,
    /// Large packets have to wait.
    Large,
    /// Nothing may grow.
    All,
}

/// The bytes of one connection.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    of: Holder,
}

impl Buffer for Waiting {
    fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    fn clear(&mut self) {
        self.bytes.clear();
    }
}

impl Held {
    pub(super) fn new() -> Held {
        Held::with(LARGE_MAX, ALL_MAX, STRANGERS_MAX)
    }

    pub(super) fn with(large: usize, all: usize, strangers: usize) -> Held {
        let marks = Marks { large, all, strangers };
        Held { buffers: Pool::new(), known: 0, strangers: 0, marks }
    }

    /// Other marks from here on, of those there are by default.
    pub(super) fn set_memory(&mut self, level: Memory) {
        let (large, all, strangers) = match level {
            Memory::Free | Memory::Near => (LARGE_MAX, ALL_MAX, STRANGERS_MAX),
            Memory::Tight => (0, TIGHT_MAX, TIGHT_MAX),
            Memory::Full => (0, FULL_MAX, FULL_MAX),
        };
        self.marks = Marks { large, all, strangers };
    }

    /// Lets go of buffers that nothing waits in.
    pub(super) fn let_go(&mut self) {
        self.buffers.let_go();
    }

    /// Bytes a connection holds.
    #[inline]
    pub(super) fn len(&mut self, slot: Slot) -> usize {
        self.buffers.get_mut(slot).map_or(0, |waiting| waiting.bytes.len())
    }

    /// Memory of all.
    pub(super) fn total(&self) -> usize {
        self.known + self.strangers
    }

    /// Adds bytes to those of a connection.
    pub(super) fn append(&mut self, slot: &mut Slot, of: Holder, bytes: &[u8]) {
        let before = if slot.is_none() { 0 } else { self.memory(*slot) };
        let tight = slot.is_none() && (of == Holder::Stranger || !self.has_room());
        let waiting = self.buffers.claim(slot);
        if tight && waiting.bytes.capacity() > LOOSE_MIN {
            // It would keep memory that it has no use for.
            waiting.bytes = Vec::with_capacity(bytes.len());
        }
        waiting.of = of;
        waiting.bytes.extend_from_slice(bytes);
        let after = waiting.bytes.capacity();
        *self.sum(of) += after - before;
    }

    /// Gives a connection that holds nothing these bytes, in their own memory.
    pub(super) fn put(&mut self, slot: &mut Slot, of: Holder, mut bytes: Vec<u8>) {
        debug_assert!(slot.is_none());
        if bytes.capacity() > LOOSE_MIN && bytes.capacity() / 4 > bytes.len() {
            bytes.shrink_to_fit();
        }
        *self.sum(of) += bytes.capacity();
        *self.buffers.claim(slot) = Waiting { bytes, of };
    }

    /// Takes all bytes, in their own memory.
    pub(super) fn take(&mut self, slot: &mut Slot) -> Vec<u8> {
        self.uncount(*slot);
        let Some(waiting) = self.buffers.get_mut(*slot) else { return Vec::new() };
        let bytes = std::mem::take(&mut waiting.bytes);
        self.buffers.release(slot);
        bytes
    }

    /// Moves all bytes to the front of `chunk`, and leaves their memory in the pool.
    pub(super) fn move_into(&mut self, slot: &mut Slot, chunk: &mut [u8]) {
        if let Some(Waiting { bytes, .. }) = self.buffers.get_mut(*slot) {
            chunk[..bytes.len()].copy_from_slice(bytes);
        }
        self.release(slot);
    }

    /// Forgets what a connection holds.
    pub(super) fn release(&mut self, slot: &mut Slot) {
        self.uncount(*slot);
        self.buffers.release(slot);
    }

    /// Whether known connections have to wait.
    #[inline]
    pub(super) fn pressure(&self) -> Pressure {
        if self.known <= self.marks.large {
            Pressure::None
        } else if self.known <= self.marks.all {
            Pressure::Large
        } else {
            Pressure::All
        }
    }

    /// There is room enough for all to go on.
    pub(super) fn has_room(&self) -> bool {
        self.known <= self.marks.large / 4 * 3
    }

    /// Whether a connection without a whole CONNECT may hold so many bytes.
    pub(super) fn takes_from_stranger(&self, bytes: usize) -> bool {
        let max = self.marks.strangers;
        let max = if bytes > CONNECT_USUAL { max / 2 } else { max };
        self.strangers + bytes <= max
    }

    /// What a connection without a whole CONNECT holds elsewhere has changed. `false`: it is too
    /// much, with all others'.
    #[inline]
    pub(super) fn recount_stranger(&mut self, (before, now): (usize, usize)) -> bool {
        self.strangers = self.strangers + now - before;
        now <= before || self.strangers <= self.marks.strangers
    }

    fn memory(&mut self, slot: Slot) -> usize {
        self.buffers.get_mut(slot).map_or(0, |waiting| waiting.bytes.capacity())
    }

    fn uncount(&mut self, slot: Slot) {
        if let Some(waiting) = self.buffers.get_mut(slot) {
            let (memory, of) = (waiting.bytes.capacity(), waiting.of);
            *self.sum(of) -= memory;
        }
    }

    fn sum(&mut self, of: Holder) -> &mut usize {
        match of {
            Holder::Known => &mut self.known,
            Holder::Stranger => &mut self.strangers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_in_and_out_is_counted() {
        let mut held = Held::with(100, 200, 50);
        let (mut one, mut two, mut three) = (Slot::NONE, Slot::NONE, Slot::NONE);
        held.append(&mut one, Holder::Known, &[1; 60]);
        held.append(&mut one, Holder::Known, &[2; 20]);
        held.put(&mut two, Holder::Known, vec![3; 40]);
        held.append(&mut three, Holder::Stranger, &[4; 5]);
        assert_eq!((held.len(one), held.len(two), held.len(three)), (80, 40, 5));
        assert!(held.known >= 120 && held.strangers >= 5);
        assert_eq!(held.pressure(), Pressure::Large);
        assert!(!held.has_room());
        assert_eq!(held.take(&mut two), [3; 40]);
        let mut chunk = [0; 100];
        held.move_into(&mut one, &mut chunk);
        assert_eq!((chunk[59], chunk[79], chunk[80]), (1, 2, 0));
        held.release(&mut three);
        assert_eq!((held.total(), held.pressure()), (0, Pressure::None));
        assert!(one.is_none() && two.is_none() && three.is_none());
        assert!(held.take(&mut one).is_empty());
        held.release(&mut one);
        assert_eq!(held.total(), 0);
    }

    #[test]
    fn marks_are_lower_while_memory_is_short() {
        let mut held = Held::new();
        let mut slots = [Slot::NONE; 3];
        let mut pressure = |level, at: usize, bytes| {
            held.set_memory(level);
            held.append(&mut slots[at], Holder::Known, &vec![0; bytes]);
            (held.pressure(), held.has_room(), held.takes_from_stranger(2 << 20))
        };
        assert_eq!(pressure(Memory::Near, 0, 100), (Pressure::None, true, true));
        assert_eq!(pressure(Memory::Tight, 1, 100), (Pressure::Large, false, true));
        assert_eq!(pressure(Memory::Full, 1, 100), (Pressure::Large, false, false));
        assert_eq!(pressure(Memory::Full, 2, FULL_MAX), (Pressure::All, false, false));
        assert_eq!(pressure(Memory::Tight, 2, 0), (Pressure::Large, false, true));
        assert_eq!(pressure(Memory::Free, 2, 0), (Pressure::None, true, true));
    }

    #[test]
    fn memory_counts_and_not_only_the_bytes_in_it() {
        let mut held = Held::with(1 << 20, 2 << 20, 1 << 20);
        let mut slot = Slot::NONE;
        let mut loose = Vec::with_capacity(LOOSE_MIN);
        loose.push(1);
        held.put(&mut slot, Holder::Known, loose);
        assert!(held.known >= LOOSE_MIN);
        held.release(&mut slot);
        let mut large = Vec::with_capacity(1 << 20);
        large.push(1);
        held.put(&mut slot, Holder::Known, large);
        assert!(held.known < LOOSE_MIN, "the memory of a packet that is done is given back");
        held.release(&mut slot);
        // The pool's buffer is large now; who holds three bytes must not hold all of it.
        held.append(&mut slot, Holder::Known, &[0; 100 * 1024]);
        held.release(&mut slot);
        held.append(&mut slot, Holder::Stranger, &[0; 3]);
        assert!(held.strangers < LOOSE_MIN);
    }

    #[test]
    fn large_parts_of_a_connect_leave_room_for_usual_ones() {
        let mut held = Held::with(1 << 20, 2 << 20, 100 * 1024);
        let mut slot = Slot::NONE;
        assert!(held.takes_from_stranger(40 * 1024));
        held.append(&mut slot, Holder::Stranger, &[0; 40 * 1024]);
        assert!(!held.takes_from_stranger(40 * 1024));
        assert!(held.takes_from_stranger(1024));
        let mut more = [Slot::NONE; 12];
        for slot in &mut more {
            if held.takes_from_stranger(8 * 1024) {
                held.append(slot, Holder::Stranger, &[0; 8 * 1024]);
            }
        }
        assert!(held.strangers <= 100 * 1024);
        assert!(!held.takes_from_stranger(8 * 1024));
        assert_eq!(held.pressure(), Pressure::None);
    }

    #[test]
    fn what_strangers_hold_elsewhere_counts_too() {
        let mut held = Held::with(1000, 1000, 100);
        assert!(held.recount_stranger((0, 60)) && held.recount_stranger((0, 40)));
        assert!(!held.recount_stranger((0, 1)) && !held.takes_from_stranger(1));
        assert!(held.recount_stranger((1, 0)), "less is never too much");
        assert!(held.recount_stranger((60, 0)) && held.takes_from_stranger(50));
        assert!(held.recount_stranger((40, 0)) && held.total() == 0);
    }
}
