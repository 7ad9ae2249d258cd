//! A hash table in many parts: one part at a time grows, so that no insert rehashes everything
//! while readers wait. Keys lie with the caller; what is found is always compared, never trusted.

use hashbrown::HashTable;

const PARTS: usize = 256;

/// Small values, found by the hash of a key that the caller can compute from the value.
#[derive(Clone, Debug)]
pub(super) struct Table<V> {
    parts: Box<[HashTable<V>]>,
    len: usize,
}

impl<V> Table<V> {
    pub(super) fn new() -> Table<V> {
        Table { parts: (0..PARTS).map(|_| HashTable::new()).collect(), len: 0 }
    }

    /// The part of a hash: bits used by the parts themselves for neither position nor tag.
    #[inline]
    fn part(hash: u64) -> usize {
        (hash >> 44) as usize % PARTS
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, same: impl FnMut(&V) -> bool) -> Option<&V> {
        self.parts[Table::<V>::part(hash)].find(hash, same)
    }

    pub(super) fn find_mut(&mut self, hash: u64, same: impl FnMut(&V) -> bool) -> Option<&mut V> {
        self.parts[Table::<V>::part(hash)].find_mut(hash, same)
    }

    /// Adds a value whose key is not in the table.
    pub(super) fn insert(&mut self, hash: u64, value: V, hash_of: impl Fn(&V) -> u64) {
        self.parts[Table::<V>::part(hash)].insert_unique(hash, value, hash_of);
        self.len += 1;
    }

    /// Removes a value that is in the table, and gives memory back when little is left.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        same: impl FnMut(&V) -> bool,
        hash_of: impl Fn(&V) -> u64,
    ) {
        let part = &mut self.parts[Table::<V>::part(hash)];
        let found = part.find_entry(hash, same).ok().expect("what is removed was inserted");
        found.remove();
        self.len -= 1;
        if part.len() < part.capacity() / 8 {
            part.shrink_to(part.len() * 2, hash_of);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated by the table itself.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.parts) + self.parts.iter().map(HashTable::allocation_size).sum::<usize>()
    }
}
