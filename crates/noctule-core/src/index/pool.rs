//! Values numbered by `u32`, in blocks of fixed size: growing copies nothing, so an insert never
//! holds the readers up for longer than one block takes to allocate.

use std::ops;

/// The number that no value has.
pub(super) const NIL: u32 = 0;

const BLOCK_BITS: u32 = 12;
const BLOCK: usize = 1 << BLOCK_BITS;

/// Values by number, from 1. A freed number is used again, the last freed first.
#[derive(Clone, Debug)]
pub(super) struct Pool<T> {
    blocks: Vec<Vec<T>>,
    /// Numbers handed out once, `NIL` included.
    end: u32,
    free: Vec<u32>,
}

impl<T: Default> Pool<T> {
    pub(super) fn new() -> Pool<T> {
        Pool { blocks: vec![vec![T::default()]], end: 1, free: Vec::new() }
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(number) = self.free.pop() {
            self[number] = value;
            return number;
        }
        let number = self.end;
        // One bit is left to those who store numbers.
        assert!(number < 1 << 31, "the pool is within its bound");
        if (number as usize).is_multiple_of(BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        self.blocks.last_mut().expect("the first block is never dropped").push(value);
        self.end += 1;
        number
    }

    /// Takes a value out and frees its number. Memory goes back once the last value is gone.
    pub(super) fn remove(&mut self, number: u32) -> T {
        let value = std::mem::take(&mut self[number]);
        self.free.push(number);
        if self.is_empty() {
            self.blocks.truncate(1);
            self.blocks[0].truncate(1);
            self.blocks[0].shrink_to(64);
            self.free = Vec::new();
            self.end = 1;
        }
        value
    }

    pub(super) fn len(&self) -> usize {
        self.end as usize - 1 - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers in use; slow, for checks.
    pub(super) fn numbers(&self) -> Vec<u32> {
        let mut used = vec![true; self.end as usize];
        used[NIL as usize] = false;
        for &number in &self.free {
            assert!(std::mem::take(&mut used[number as usize]), "{number} is freed once");
        }
        (0..self.end).filter(|&number| used[number as usize]).collect()
    }

    /// Bytes allocated by the pool itself.
    pub(super) fn bytes(&self) -> usize {
        let values: usize = self.blocks.iter().map(Vec::capacity).sum();
        values * size_of::<T>()
            + self.blocks.capacity() * size_of::<Vec<T>>()
            + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> ops::Index<u32> for Pool<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: u32) -> &T {
        &self.blocks[(number >> BLOCK_BITS) as usize][number as usize % BLOCK]
    }
}

impl<T> ops::IndexMut<u32> for Pool<T> {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.blocks[(number >> BLOCK_BITS) as usize][number as usize % BLOCK]
    }
}
