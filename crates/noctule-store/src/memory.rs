//! A store for brokers that keep nothing: everything is "durable" as soon as it is appended.

use crate::{Class, Fetch, Fetched, Progress, Replayed, Room, Store, StoreError};
use noctule_core::record::Record;

/// Counts records and forgets them.
#[derive(Debug, Default)]
pub struct MemoryStore {
    appended: u64,
}

impl Store for MemoryStore {
    fn append(&mut self, records: &mut Vec<Record>) -> Result<u64, StoreError> {
        self.appended += records.len() as u64;
        records.clear();
        Ok(self.appended)
    }

    fn commit(&mut self, _class: Class) -> Result<(), StoreError> {
        Ok(())
    }

    fn progress(&mut self) -> Result<Progress, StoreError> {
        Ok(Progress { written: self.appended, durable: self.appended })
    }

    fn room(&mut self) -> Room {
        Room::Free
    }

    /// Never asked: what was not kept has no place.
    fn fetch(&mut self, _fetch: Fetch) -> Result<(), StoreError> {
        Ok(())
    }

    fn fetched(&mut self) -> Option<Fetched> {
        None
    }

    fn replay(&mut self, _each: &mut dyn FnMut(&Record)) -> Result<Replayed, StoreError> {
        Ok(Replayed::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_core::SessionNumber;

    #[test]
    fn what_is_appended_is_durable_at_once_and_nothing_is_replayed() {
        let mut store = MemoryStore::default();
        let mut batch = vec![Record::SessionEnded(SessionNumber(1)); 3];
        assert_eq!(store.append(&mut batch).unwrap(), 3);
        assert!(batch.is_empty());
        store.commit(Class::Fsync).unwrap();
        assert_eq!(store.progress().unwrap(), Progress { written: 3, durable: 3 });
        store.replay(&mut |_| panic!("a memory store has nothing to replay")).unwrap();
    }
}
