//! Buffers that belong to a connection only while there is something in them.
//!
//! A connection holds a [`Slot`] of four bytes instead of a buffer: an idle one owns nothing.

/// Empty buffers that keep their memory, at most.
const KEPT_MAX: usize = 256;

/// A larger buffer gives its memory back when it becomes empty.
const KEPT_CAPACITY_MAX: usize = 128 * 1024;

/// A buffer of a pool, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot(u32);

impl Slot {
    /// No buffer.
    pub(crate) const NONE: Slot = Slot(u32::MAX);

    /// No buffer?
    pub(crate) fn is_none(self) -> bool {
        self == Slot::NONE
    }
}

/// What a pool can hold.
pub(crate) trait Buffer: Default {
    /// Bytes of memory it owns.
    fn capacity(&self) -> usize;

    /// Forgets its content and keeps its memory.
    fn clear(&mut self);
}

impl Buffer for Vec<u8> {
    fn capacity(&self) -> usize {
        Vec::capacity(self)
    }

    fn clear(&mut self) {
        Vec::clear(self);
    }
}

/// Buffers of one kind.
pub(crate) struct Pool<T> {
    items: Vec<T>,
    free: Vec<Slot>,
    /// How many of `free` own memory.
    kept: usize,
}

impl<T: Buffer> Pool<T> {
    pub(crate) fn new() -> Pool<T> {
        Pool { items: Vec::new(), free: Vec::new(), kept: 0 }
    }

    /// The buffer of `slot`, which is given one if it has none.
    #[inline]
    pub(crate) fn claim(&mut self, slot: &mut Slot) -> &mut T {
        if slot.is_none() {
            *slot = self.take();
        }
        &mut self.items[slot.0 as usize]
    }

    /// The buffer of `slot`, if it has one.
    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.items.get_mut(slot.0 as usize)
    }

    /// Takes the buffer back.
    pub(crate) fn release(&mut self, slot: &mut Slot) {
        if slot.is_none() {
            return;
        }
        let item = &mut self.items[slot.0 as usize];
        item.clear();
        if item.capacity() > KEPT_CAPACITY_MAX || self.kept == KEPT_MAX {
            *item = T::default();
        }
        if item.capacity() > 0 {
            self.kept += 1;
        }
        self.free.push(*slot);
        *slot = Slot::NONE;
    }

    /// Gives the memory of empty buffers back.
    pub(crate) fn let_go(&mut self) {
        for slot in &self.free {
            self.items[slot.0 as usize] = T::default();
        }
        self.kept = 0;
    }

    fn take(&mut self) -> Slot {
        let Some(slot) = self.free.pop() else {
            self.items.push(T::default());
            return Slot(u32::try_from(self.items.len() - 1).expect("fewer buffers than sockets"));
        };
        if self.items[slot.0 as usize].capacity() > 0 {
            self.kept -= 1;
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_with_their_memory_but_not_with_their_content() {
        let mut pool: Pool<Vec<u8>> = Pool::new();
        let mut one = Slot::NONE;
        pool.claim(&mut one).extend_from_slice(b"abc");
        pool.claim(&mut one).extend_from_slice(b"def");
        assert_eq!(pool.get_mut(one).unwrap(), b"abcdef");
        let mut two = Slot::NONE;
        pool.claim(&mut two);
        assert!(one != two);
        pool.release(&mut one);
        assert!(one.is_none() && pool.get_mut(one).is_none());
        pool.release(&mut one);
        let mut three = Slot::NONE;
        let buffer = pool.claim(&mut three);
        assert!(buffer.is_empty() && buffer.capacity() >= 6);
        assert_eq!(pool.items.len(), 2);
    }

    #[test]
    fn large_and_surplus_buffers_give_their_memory_back() {
        let mut pool: Pool<Vec<u8>> = Pool::new();
        let mut slots = vec![Slot::NONE; KEPT_MAX + 10];
        for slot in &mut slots {
            pool.claim(slot).reserve(100);
        }
        pool.claim(&mut slots[0]).reserve(KEPT_CAPACITY_MAX + 1);
        slots.iter_mut().for_each(|slot| pool.release(slot));
        let owning = pool.items.iter().filter(|item| item.capacity() > 0).count();
        assert_eq!(owning, KEPT_MAX);
        assert!(pool.items[0].capacity() == 0);
        let count = slots.len();
        slots.iter_mut().for_each(|slot| drop(std::mem::take(pool.claim(slot))));
        assert_eq!((pool.kept, pool.items.len()), (0, count));
    }
}
