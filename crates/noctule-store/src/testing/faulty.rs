//! A store in memory that acknowledges late, fails when told to, and loses on a crash exactly what
//! it had not acknowledged. It has no places and reads nothing back.

use crate::{Class, Fetch, Fetched, Progress, Replayed, Room, Store, StoreError};
use noctule_core::record::Record;

/// Acknowledges a commit only when [`FaultyStore::finish`] is called, and loses on
/// [`FaultyStore::crash`] what was not acknowledged by then.
#[derive(Debug, Default)]
pub struct FaultyStore {
    /// Durable records of all runs, in order.
    kept: Vec<Record>,
    /// Appended, not yet durable.
    waiting: Vec<Record>,
    /// How many of `waiting` the last commit asked for.
    asked: usize,
    appended: u64,
    durable: u64,
    failed: bool,
}

impl FaultyStore {
    /// Records a commit asked for that are not durable yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.asked
    }

    /// Makes up to `count` of the outstanding records durable, oldest first.
    pub fn finish(&mut self, count: usize) {
        let count = count.min(self.asked);
        self.asked -= count;
        self.durable += count as u64;
        self.kept.extend(self.waiting.drain(..count));
    }

    /// The disk fails: nothing more is appended or made durable until a crash.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Power is lost and comes back. Of the records that were not durable, the first `torn`
    /// happen to have reached the disk; the others are gone. Numbers start again from 0.
    pub fn crash(&mut self, torn: usize) {
        let torn = torn.min(self.waiting.len());
        self.kept.extend(self.waiting.drain(..torn));
        *self = FaultyStore { kept: std::mem::take(&mut self.kept), ..FaultyStore::default() };
    }
}

impl Store for FaultyStore {
    fn append(&mut self, records: &mut Vec<Record>) -> Result<u64, StoreError> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        self.appended += records.len() as u64;
        self.waiting.append(records);
        Ok(self.appended)
    }

    fn commit(&mut self, _class: Class) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        self.asked = self.waiting.len();
        Ok(())
    }

    fn progress(&mut self) -> Result<Progress, StoreError> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        Ok(Progress { written: self.durable, durable: self.durable })
    }

    fn room(&mut self) -> Room {
        Room::Free
    }

    /// Never asked: what this store keeps has no place.
    fn fetch(&mut self, _fetch: Fetch) -> Result<(), StoreError> {
        Ok(())
    }

    fn fetched(&mut self) -> Option<Fetched> {
        None
    }

    fn replay(&mut self, each: &mut dyn FnMut(&Record)) -> Result<Replayed, StoreError> {
        self.kept.iter().for_each(each);
        Ok(Replayed { records: self.kept.len() as u64, ..Replayed::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_core::SessionNumber;

    fn records(numbers: std::ops::Range<u64>) -> Vec<Record> {
        numbers.map(|n| Record::SessionEnded(SessionNumber(n))).collect()
    }

    fn replayed(store: &mut FaultyStore) -> Vec<Record> {
        let mut all = Vec::new();
        store.replay(&mut |record| all.push(record.clone())).unwrap();
        all
    }

    #[test]
    fn nothing_is_durable_before_the_commit_is_finished() {
        let mut store = FaultyStore::default();
        store.append(&mut records(0..4)).unwrap();
        store.finish(4);
        assert_eq!(store.progress().unwrap().durable, 0, "no commit was asked for");
        store.commit(Class::Fsync).unwrap();
        assert_eq!(store.outstanding(), 4);
        store.finish(3);
        assert_eq!(store.progress().unwrap().durable, 3);
    }

    #[test]
    fn a_crash_keeps_the_durable_records_and_a_torn_prefix_of_the_others() {
        let mut store = FaultyStore::default();
        store.append(&mut records(0..2)).unwrap();
        store.commit(Class::Fsync).unwrap();
        store.finish(2);
        store.append(&mut records(2..6)).unwrap();
        store.crash(1);
        assert_eq!(replayed(&mut store), records(0..3));
        assert_eq!(store.append(&mut records(6..7)).unwrap(), 1, "numbers start again");
    }

    #[test]
    fn a_failed_store_acknowledges_nothing_until_it_crashed() {
        let mut store = FaultyStore::default();
        store.append(&mut records(0..1)).unwrap();
        store.commit(Class::Fsync).unwrap();
        store.fail();
        assert!(store.append(&mut records(1..2)).is_err());
        assert!(store.commit(Class::Fsync).is_err());
        assert!(store.progress().is_err());
        store.crash(0);
        assert_eq!(store.progress().unwrap().durable, 0);
    }
}
