//! Things numbered by small integers, whose numbers are used again.
//!
//! The number given to the next thing depends on nothing but the calls made before: the slot freed
//! last is used first. A frozen and thawed slab goes on giving the same numbers.

use serde::{Deserialize, Serialize};

/// Values by `u32` key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Slab<T> {
    /// Slots by key, in chunks: what is there never moves, and little room waits unused.
    chunks: Vec<Vec<Slot<T>>>,
    /// The slot freed last; `NIL` if none is free.
    free: u32,
    len: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Slot<T> {
    /// Free; the slot freed before this one, or `NIL`.
    Free(u32),
    Used(T),
}

const NIL: u32 = u32::MAX;

/// Slots of a chunk, as a power of two. The first chunk grows to it.
const CHUNK_BITS: u32 = 8;
const CHUNK: usize = 1 << CHUNK_BITS;

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { chunks: Vec::new(), free: NIL, len: 0 }
    }
}

impl<T> Slab<T> {
    /// An empty slab.
    #[must_use]
    pub fn new() -> Slab<T> {
        Slab::default()
    }

    /// The key that the next `insert` will return.
    #[must_use]
    pub fn next_key(&self) -> u32 {
        if self.free != NIL { self.free } else { self.keys_end() }
    }

    fn slot(&self, key: u32) -> Option<&Slot<T>> {
        self.chunks.get((key >> CHUNK_BITS) as usize)?.get(key as usize % CHUNK)
    }

    fn slot_mut(&mut self, key: u32) -> Option<&mut Slot<T>> {
        self.chunks.get_mut((key >> CHUNK_BITS) as usize)?.get_mut(key as usize % CHUNK)
    }

    fn push(&mut self, slot: Slot<T>) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(slot),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(slot);
                self.chunks.push(chunk);
            }
            None => self.chunks.push(vec![slot]),
        }
    }

    /// Stores a value and returns its key: the one freed last, else a new one.
    pub fn insert(&mut self, value: T) -> u32 {
        let key = self.next_key();
        assert!(key != NIL, "a slab holds fewer than 2^32 - 1 values");
        match self.slot_mut(key) {
            Some(slot) => {
                let Slot::Free(next) = *slot else {
                    unreachable!("the free list holds free slots")
                };
                *slot = Slot::Used(value);
                self.free = next;
            }
            None => self.push(Slot::Used(value)),
        }
        self.len += 1;
        key
    }

    /// Takes a value out; its key may be given to another at once.
    pub fn remove(&mut self, key: u32) -> Option<T> {
        let free = self.free;
        let slot = self.slot_mut(key)?;
        if matches!(slot, Slot::Free(_)) {
            return None;
        }
        let Slot::Used(value) = core::mem::replace(slot, Slot::Free(free)) else {
            unreachable!("just seen in use")
        };
        self.free = key;
        self.len -= 1;
        Some(value)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: u32) -> Option<&T> {
        match self.slot(key)? {
            Slot::Used(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    /// The value of a key, to be changed.
    #[must_use]
    pub fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        match self.slot_mut(key)? {
            Slot::Used(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    /// Whether the key is in use.
    #[must_use]
    pub fn contains(&self, key: u32) -> bool {
        self.get(key).is_some()
    }

    /// All values by ascending key.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.chunks.iter().flatten().enumerate().filter_map(|(key, slot)| match slot {
            Slot::Used(value) => Some((key as u32, value)),
            Slot::Free(_) => None,
        })
    }

    /// All values by ascending key, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.chunks.iter_mut().flatten().enumerate().filter_map(|(key, slot)| match slot {
            Slot::Used(value) => Some((key as u32, value)),
            Slot::Free(_) => None,
        })
    }

    /// One more than the greatest key ever used: for walks with a cursor.
    #[must_use]
    pub fn keys_end(&self) -> u32 {
        let before = self.chunks.len().saturating_sub(1) * CHUNK;
        (before + self.chunks.last().map_or(0, Vec::len)) as u32
    }

    /// Values in the slab.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// No values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Panics if the free list and the slots contradict each other.
    pub fn check(&self) {
        let (mut free, slots) = (0, self.keys_end() as usize);
        let mut at = self.free;
        while at != NIL {
            let Some(Slot::Free(next)) = self.slot(at) else {
                panic!("slot {at} is in the free list and not free")
            };
            free += 1;
            assert!(free <= slots, "the free list has a cycle");
            at = *next;
        }
        assert_eq!(free + self.len(), slots, "every slot is used or in the free list");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_freed_last_is_used_first() {
        let mut slab = Slab::new();
        let keys: Vec<u32> = "abcd".chars().map(|c| slab.insert(c)).collect();
        assert_eq!(keys, [0, 1, 2, 3]);
        assert_eq!(slab.remove(1), Some('b'));
        assert_eq!(slab.remove(3), Some('d'));
        assert_eq!(slab.remove(3), None);
        slab.check();
        assert_eq!(slab.next_key(), 3);
        assert_eq!((slab.insert('e'), slab.insert('f'), slab.insert('g')), (3, 1, 4));
        assert_eq!(slab.iter().map(|(_, c)| *c).collect::<String>(), "afceg");
        assert_eq!(slab.len(), 5);
        slab.check();
    }

    #[test]
    fn many_keys_lie_in_several_chunks() {
        let mut slab = Slab::new();
        let count = 3 * CHUNK as u32 + 7;
        for key in 0..count {
            assert_eq!(slab.insert(key * 2), key);
        }
        assert_eq!((slab.len() as u32, slab.keys_end()), (count, count));
        assert!((0..count).all(|key| slab.get(key) == Some(&(key * 2))));
        assert!(slab.iter().map(|(key, _)| key).eq(0..count));
        assert!(slab.get(count).is_none());
        for key in (0..count).step_by(3) {
            assert_eq!(slab.remove(key), Some(key * 2));
        }
        slab.check();
        assert!(slab.iter_mut().all(|(key, value)| *value == key * 2 && key % 3 != 0));
    }

    #[test]
    fn a_key_that_is_free_or_was_never_used_answers_nothing() {
        let mut slab = Slab::new();
        let key = slab.insert(1);
        assert_eq!(slab.get(key), Some(&1));
        *slab.get_mut(key).expect("just inserted") += 1;
        assert_eq!(slab.remove(key), Some(2));
        assert!(slab.get(key).is_none() && slab.get_mut(key).is_none());
        assert!(!slab.contains(u32::MAX) && slab.remove(u32::MAX).is_none());
        assert!(slab.is_empty());
    }

    #[test]
    fn churn_does_not_grow_it() {
        let mut slab = Slab::new();
        for round in 0..1000 {
            let keys: Vec<u32> = (0..round % 7).map(|n| slab.insert(n)).collect();
            for key in keys {
                assert!(slab.remove(key).is_some());
            }
        }
        slab.check();
        assert!(slab.keys_end() <= 6);
    }
}
